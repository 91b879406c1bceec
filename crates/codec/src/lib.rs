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
#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;
// The crate `arbitrary` needs it too.
#[cfg(any(test, feature = "arbitrary"))]
extern crate std;

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod array;
mod by_count;
mod codec;
mod collections;
mod composite;
mod condition;
mod constructor;
mod dissect;
mod error;
mod frame;
#[cfg(feature = "json")]
pub mod json;
mod keys;
mod limits;
mod map_reader;
mod message;
mod multiple;
mod numbers;
mod performative;
mod primitive;
mod reader;
pub mod sasl;
#[cfg(feature = "serde")]
pub mod serde;
mod state;
mod symbol;
mod tag;
mod terminus;
mod text;
mod transaction;
mod transport;
mod validate;
mod value;
mod value_ref;

pub use array::{Array, ArrayElement, ArrayIter, InvalidArray};
pub use codec::{Decode, Encode, IntoOwned, encode_to_vec};
pub use collections::{Entries, Fields, List, ListIter, Map, MapIter, NamedEntries};
pub use composite::{Composite, ListReader, ListWriter, begin_described, expect_descriptor};
pub use condition::{Error, ErrorCondition};
pub use constructor::Descriptor;
pub use dissect::{Dissection, dissect};
pub use error::{DecodeError, DecodeErrorKind};
pub use frame::{
    FRAME_HEADER_SIZE, Frame, FrameError, FrameErrorKind, FrameHeader, FrameType, MIN_MAX_FRAME_SIZE, ProtocolHeader,
    ProtocolId, begin_frame, encode_frame, finish_frame, next_frame,
};
pub use limits::Limits;
pub use map_reader::MapReader;
pub use message::{
    Body, DataIter, Header, Message, MessageBody, MessageError, MessageId, MessageIdRef, MessageView, Properties,
    PropertiesRef, Section, SequenceIter,
};
pub use multiple::Multiple;
pub use numbers::{Channel, DeliveryNumber, Handle, MessageFormat, Milliseconds, Seconds, SequenceNo, TransferNumber};
pub use performative::Performative;
pub use primitive::{Decimal32, Decimal64, Decimal128, Timestamp, Uuid};
pub use reader::{MAX_DEPTH, Reader};
pub use state::{Accepted, DeliveryState, Modified, Outcome, Received, Rejected, Released};
pub use tag::{DeliveryTag, InvalidDeliveryTag};
pub use terminus::{
    DistributionMode, ExpiryPolicy, LifetimePolicy, Source, SourceArchetype, Target, TargetArchetype,
    TerminusDurability,
};
pub use text::{Binary, InvalidSymbol, Str, Symbol};
pub use transaction::{
    Coordinator, Declare, Declared, Discharge, InvalidTransactionId, TransactionId, TransactionalState, TxnCapability,
};
pub use transport::{
    Attach, Begin, Close, Detach, Disposition, End, Flow, Open, ReceiverSettleMode, Role, SenderSettleMode, Transfer,
};
pub use value::{Described, Value};
pub use value_ref::{CompoundRef, ValueRef};

#[cfg(feature = "derive")]
pub use amqp10_codec_derive::{Composite, Decode, Encode, IntoOwned};

/// What derived code names and a crate without `std` cannot.
#[cfg(feature = "derive")]
#[doc(hidden)]
pub mod derived {
    pub use alloc::vec::Vec;

    /// Whether a field has its default, which takes its type from the field.
    pub fn same<T: PartialEq>(field: &T, default: &T) -> bool {
        field == default
    }
}
