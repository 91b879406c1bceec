#![doc = include_str!("../README.md")]

mod builder;
mod connection;
mod delivery;
mod driver;
mod error;
mod listener;
mod mailbox;
mod receiver;
mod sender;
mod session;

pub use builder::{ConnectionBuilder, ServerBuilder};
pub use connection::Connection;
pub use delivery::Delivery;
pub use error::{ConnectError, ConnectionError, LinkError, SendError, SessionError};
pub use listener::{IncomingConnection, Listener, PendingOpen, ServerStream};
pub use receiver::{Receiver, ReceiverBuilder};
pub use sender::{Sender, SenderBuilder};
pub use session::{IncomingLink, IncomingSession, Session};

pub use amqp10_codec as codec;
pub use amqp10_codec::{DeliveryState, Error, ErrorCondition, Message, MessageView, Source, Target};
pub use amqp10_link::{CreditMode, HeartbeatPace, Replenish, SessionConfig};
pub use amqp10_transport as transport;
