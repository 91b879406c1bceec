//! How the program ends: exit codes, and the sentence that goes with them.

use std::process::ExitCode;

use amqp10::transport::sasl::SaslError;
use amqp10::transport::{self, Step};
use amqp10::{ConnectError, ConnectionError};
use amqp10_iot::ConsumerError;

/// A reason to end with an exit code other than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// 1: nothing that was foreseen.
    pub(crate) fn unforeseen(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// 2: usage or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// 6: no message in time.
    pub(crate) fn no_message(message: impl Into<String>) -> Self {
        Self { code: 6, message: message.into() }
    }

    /// Tells the reason on stderr.
    pub(crate) fn report(self) -> ExitCode {
        tracing::error!(target: crate::log::EVENTS, "{}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<ConsumerError> for Failure {
    fn from(error: ConsumerError) -> Self {
        let connect = |message: String| Self { code: 3, message: format!("transport error: {message}") };
        let authentication = |message| Self { code: 4, message };
        let refused = |message: String| Self { code: 5, message: format!("connection error: {message}") };
        match error {
            ConsumerError::Config(_) | ConsumerError::Credentials(_) => Self::usage(error.to_string()),
            ConsumerError::AuthenticationRefused { key_id } => authentication(format!(
                "authentication refused for access key {key_id} (SASL code 1): check the secret, the RAM permission \
                 iot:sub, instance id, consumer group, and this machine's clock ({})",
                crate::log::now()
            )),
            ConsumerError::Refused(error) => match (error.remote_error(), error.connection_error()) {
                (Some(told), _) => refused(told.to_string()),
                // Nobody refused anything: the way to the service broke.
                (None, Some(ConnectionError::Eof | ConnectionError::Io(_) | ConnectionError::IdleTimeOut)) => {
                    connect(error.to_string())
                }
                (None, _) => refused(error.to_string()),
            },
            ConsumerError::Connect(error) => match &error {
                ConnectError::Transport(transport::ConnectError::Sasl(
                    SaslError::NoCommonMechanism { .. } | SaslError::ClearText,
                )) => authentication(error.to_string()),
                ConnectError::Transport(transport::ConnectError::TimedOut(Step::Sasl)) => connect(error.to_string()),
                ConnectError::Refused(ConnectionError::ClosedByPeer(Some(told))) => refused(told.to_string()),
                ConnectError::Refused(ConnectionError::ClosedByPeer(None)) => refused(error.to_string()),
                ConnectError::Url(_) | ConnectError::TlsConfig(_) | ConnectError::Open(_) => {
                    Self::usage(error.to_string())
                }
                _ => connect(error.to_string()),
            },
            other => Self::unforeseen(other.to_string()),
        }
    }
}
