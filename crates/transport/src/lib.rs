#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]
#![doc = include_str!("../README.md")]

mod accept;
mod connect;
mod error;
mod handshake;
pub mod sasl;
mod secret;
mod stream;
mod tcp;
mod tls;
mod url;
mod verifier;

pub use accept::{AcceptOptions, Accepted, accept};
pub use connect::{ConnectOptions, Established, SaslProfile, Timeouts, connect, connect_over};
pub use error::{AcceptError, ConnectError, Step};
pub use secret::Secret;
pub use stream::{ByteStream, Stream};
pub use tls::{Crypto, TlsClient, TlsClientBuilder, TlsConfigError, TlsError, TlsServer};
pub use url::{Scheme, Url, UrlError};
