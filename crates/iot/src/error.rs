use amqp10::codec::sasl::SaslCode;
use amqp10::transport::TlsConfigError;
use amqp10::transport::sasl::SaslError;
use amqp10::{ConnectError, LinkError};

use crate::CredentialsError;

/// A setting that the service would not accept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The heartbeat leaves the range of the service.
    #[error("a heartbeat of {0} ms is not acceptable: it must be from 30000 to 300000 ms (30 s to 300 s)")]
    Heartbeat(u128),
    /// The client id is too long.
    #[error("the client id has {0} characters: it may have at most 64")]
    ClientIdTooLong(usize),
    /// A value is empty.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// The host is not a host.
    #[error("{0:?} is not a host name: give it without scheme, port and path")]
    Host(String),
    /// There would never be a message.
    #[error("a credit of 0 would never receive anything: it must be at least 1")]
    NoCredit,
    /// A value would break the user name apart.
    #[error("the {0} may not hold '|' or ',', which separate the parts of the user name")]
    Separator(&'static str),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
}

/// Why a consumer could not connect, or has given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// A setting is not acceptable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The provider made no credentials.
    #[error("there are no credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// The service refused the credentials.
    #[error("authentication refused for {key_id} (SASL code 1)")]
    AuthenticationRefused {
        /// What the keys are called.
        key_id: String,
    },
    /// Name, TCP, TLS, SASL or the opening of the connection failed.
    #[error("{0}")]
    Connect(#[source] ConnectError),
    /// The service refused the session or the link.
    #[error("{0}")]
    Refused(#[source] LinkError),
}

impl ConsumerError {
    pub(crate) fn from_connect(error: ConnectError, key_id: &str) -> Self {
        use amqp10::transport::ConnectError as Transport;
        match error {
            ConnectError::Transport(Transport::Sasl(SaslError::Refused(SaslCode::Auth))) => {
                Self::AuthenticationRefused { key_id: key_id.to_owned() }
            }
            other => Self::Connect(other),
        }
    }
}
