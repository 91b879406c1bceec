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
mod fit;
mod input;
mod link;
mod links;
mod output;
mod pull;
mod queue;
mod reattach;
mod receive;
mod receiver;
mod redirect;
mod resume;
mod sections;
mod send;
mod sender;
mod session;
mod slots;
mod state;
mod tags;
mod terminus;
mod timer;
mod trace;
mod transaction;
mod transfers;
mod unsettled;
mod violation;

pub use config::{Config, CreditMode, HeartbeatPace, LinkConfig, Replenish, SessionConfig};
pub use connection::{CommandError, Connection};
pub use deliveries::{Delivery, DeliveryKey, Partial, Payload};
pub use event::{ConnectionEnd, Ended, Event, LinkEvent, SessionEvent};
pub use output::Output;
pub use receiver::{Receiver, SettleError};
pub use redirect::Redirect;
pub use resume::Resumption;
pub use sender::{DeliveryStart, InDoubt, Outcome, SendError, Sender};
pub use slots::{LinkId, SessionId};
pub use terminus::{Arrived, Terminus, UnsettledDelivery};
pub use trace::{Direction, TracedFrame};
pub use transaction::{TransactError, TransactionEnd, TransactionError, TransactionEvent, Work, WorkKind};
pub use violation::{Scope, Violation};
