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

mod commands;
mod config;
mod connection;
mod control;
mod controller;
mod coordinator;
mod credit;
mod deliveries;
mod ending;
mod event;
mod input;
mod link;
mod output;
mod receive;
mod receiver;
mod send;
mod sender;
mod session;
mod slots;
mod state;
mod tags;
mod timer;
mod transaction;
mod violation;

pub use config::{Config, CreditMode, HeartbeatPace, LinkConfig, Replenish, SessionConfig};
pub use connection::{CommandError, Connection};
pub use deliveries::{Delivery, DeliveryKey, Partial, Payload, Terminus, UnsettledDelivery};
pub use event::{ConnectionEnd, Ended, Event, LinkEvent, SessionEvent};
pub use output::Output;
pub use receiver::{Receiver, SettleError};
pub use sender::{DeliveryStart, Outcome, SendError, Sender};
pub use slots::{LinkId, SessionId};
pub use transaction::{TransactError, TransactionEnd, TransactionError, TransactionEvent, Work, WorkKind};
pub use violation::{Scope, Violation};
