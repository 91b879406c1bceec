#![doc = include_str!("../README.md")]

mod backoff;
mod builder;
mod consumer;
mod credentials;
mod error;
mod hooks;
mod message;
mod sign;
mod user_name;

pub use builder::ConsumerBuilder;
pub use consumer::{Consumer, ConsumerHandle, HandlerError};
pub use credentials::{
    AkSign, AppKey, BoxFuture, CredentialProvider, Credentials, CredentialsError, KeySource, Keys, SignIn,
};
pub use error::{ConfigError, ConsumerError};
pub use hooks::{Closed, ConnectionFailed, Opened, TransportFailed};
pub use message::DeviceMessage;
pub use sign::{SignMethod, UnknownSignMethod};
pub use user_name::{UserName, UserNameError, VerifyError};

pub use amqp10::transport::Secret;
