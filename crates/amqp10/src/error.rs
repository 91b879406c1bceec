use std::io;
use std::sync::Arc;

use amqp10_codec::{DeliveryState, Error};
use amqp10_link::{CommandError, ConnectionEnd, Ended, Violation};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one to connect to.
    #[error(transparent)]
    Url(#[from] amqp10_transport::UrlError),
    /// TLS cannot be set up as configured.
    #[error(transparent)]
    TlsConfig(#[from] amqp10_transport::TlsConfigError),
    /// Name, TCP, TLS or SASL failed.
    #[error(transparent)]
    Transport(#[from] amqp10_transport::ConnectError),
    /// The settings do not make a legal open.
    #[error("the connection cannot be opened: {0}")]
    Open(#[from] CommandError),
    /// The stream was there, but the peer did not open the connection.
    #[error(transparent)]
    Refused(#[from] ConnectionError),
}

/// How a connection ended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// We closed it.
    #[error("the connection was closed")]
    Closed,
    /// The peer closed it, with an error if it had one.
    #[error("the peer closed the connection{}", Told(.0))]
    ClosedByPeer(Option<Error<'static>>),
    /// The peer broke a rule.
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// Nothing came from the peer for twice the idle-time-out.
    #[error("the peer fell silent for longer than the idle-time-out")]
    IdleTimeOut,
    /// The peer did not take what was sent for as long as it wanted to hear from us.
    #[error("the peer stopped reading")]
    WriteStalled,
    /// The peer did not open or close the connection in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The stream ended without a close.
    #[error("the stream ended without a close")]
    Eof,
    /// The runtime that the connection was made on is gone, and the connection with it.
    #[error("the runtime of the connection was shut down")]
    Stopped,
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[source] Arc<io::Error>),
}

impl ConnectionError {
    /// The error that the peer told, if it told one.
    pub fn remote_error(&self) -> Option<&Error<'static>> {
        if let Self::ClosedByPeer(error) = self { error.as_ref() } else { None }
    }
}

impl From<ConnectionEnd> for ConnectionError {
    fn from(end: ConnectionEnd) -> Self {
        match end {
            ConnectionEnd::Local => Self::Closed,
            ConnectionEnd::Remote(error) => Self::ClosedByPeer(error),
            ConnectionEnd::Violation(violation) => Self::Violation(violation),
            ConnectionEnd::IdleTimeOut => Self::IdleTimeOut,
            ConnectionEnd::HandshakeTimeOut => Self::TimedOut,
            _ => Self::Eof,
        }
    }
}

/// What the peer told, for people: the end of a sentence.
struct Told<'e>(&'e Option<Error<'static>>);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(error) => write!(f, ": {error}"),
            None => f.write_str(" without an error"),
        }
    }
}

/// Why a session could not be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer ended it, with an error if it had one.
    #[error("the peer ended the session{}", Told(.0))]
    EndedByPeer(Option<Error<'static>>),
    /// We ended it.
    #[error("the session was ended")]
    Ended,
    /// The peer broke a rule.
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The connection is over.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The peer did not answer in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The command could not be carried out.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl SessionError {
    pub(crate) fn from_end(end: Ended, connection: Option<ConnectionError>) -> Self {
        match end {
            Ended::Remote(error) => Self::EndedByPeer(error),
            Ended::Violation(violation) => Self::Violation(violation),
            Ended::Below => Self::Connection(connection.unwrap_or(ConnectionError::Closed)),
            _ => Self::Ended,
        }
    }
}

/// Why a link could not be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The peer refused or detached it, with an error if it had one.
    #[error("the peer detached the link{}", Told(.0))]
    DetachedByPeer(Option<Error<'static>>),
    /// We detached it.
    #[error("the link was detached")]
    Detached,
    /// The peer broke a rule.
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The session is over.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The peer did not answer in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The command could not be carried out.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl LinkError {
    pub(crate) fn from_end(end: Ended, session: Option<SessionError>) -> Self {
        match end {
            Ended::Remote(error) => Self::DetachedByPeer(error),
            Ended::Violation(violation) => Self::Violation(violation),
            Ended::Below => Self::Session(session.unwrap_or(SessionError::Ended)),
            _ => Self::Detached,
        }
    }

    /// The error that the peer told, at whatever scope, if it told one.
    pub fn remote_error(&self) -> Option<&Error<'static>> {
        match self {
            Self::DetachedByPeer(error) | Self::Session(SessionError::EndedByPeer(error)) => error.as_ref(),
            Self::Session(SessionError::Connection(error)) => error.remote_error(),
            _ => None,
        }
    }

    /// How the connection ended, if that is why the link is over.
    pub fn connection_error(&self) -> Option<&ConnectionError> {
        if let Self::Session(SessionError::Connection(error)) = self { Some(error) } else { None }
    }
}

/// Why a message was not sent, or nothing is known of it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Nothing of it was sent: the link is over.
    #[error("the message was not sent: {0}")]
    NotSent(#[source] LinkError),
    /// It was sent, but the link ended before the peer told its outcome: it may or may not have arrived.
    #[error("the message was sent, but its outcome is unknown: {0}")]
    InDoubt(#[source] LinkError),
    /// There was no outcome within the time limit. A message that had not been started is withdrawn, of one that had it is not
    /// known whether it arrived, and nobody can tell which it was: it may or may not have arrived.
    #[error("the message may have been sent, but its outcome did not come in time")]
    TimedOut,
    /// The message is larger than the peer takes.
    #[error("the message is larger than the peer's max-message-size")]
    MessageTooLarge,
    /// The peer ended the delivery with an outcome other than accepted.
    #[error("the peer did not accept the message: {0:?}")]
    NotAccepted(Box<DeliveryState<'static>>),
}
