use std::fmt;
use std::io;

use crate::TlsError;
use crate::sasl::SaslError;

/// A step on the way to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Finding the addresses of a name.
    Resolve,
    /// Connecting by TCP.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// The SASL exchange.
    Sasl,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "name resolution",
            Self::Tcp => "the TCP connection",
            Self::Tls => "the TLS handshake",
            Self::Sasl => "the SASL exchange",
        })
    }
}

/// Why there is no stream to run AMQP over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address.
    #[error("the host name {host} cannot be resolved: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No address of the host takes connections.
    #[error("cannot connect to {host} port {port}: {source}")]
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why, for the last address that was tried.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The SASL exchange failed.
    #[error("{0}")]
    Sasl(#[from] SaslError),
    /// The stream ended or broke during the SASL exchange.
    #[error("the server closed the stream during the SASL exchange: {0}")]
    SaslStream(io::Error),
    /// A step took too long.
    #[error("{0} took too long")]
    TimedOut(Step),
}

/// Why a peer that connected did not become one to run AMQP with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    /// The SASL exchange failed.
    #[error("{0}")]
    Sasl(#[from] SaslError),
    /// The stream ended or broke.
    #[error("the client closed the stream during the SASL exchange: {0}")]
    Stream(io::Error),
    /// A step took too long.
    #[error("{0} took too long")]
    TimedOut(Step),
}
