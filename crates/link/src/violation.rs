//! Every rule that a peer can break, with the condition it is told and the scope that ends: one table.

use std::fmt;

use amqp10_codec::{DecodeError, Error, ErrorCondition, FrameError};

/// What ends when a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The connection is closed.
    Connection,
    /// The session is ended.
    Session,
    /// The link is detached.
    Link,
}

/// A rule that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The octets are no AMQP protocol header. §2.2
    ProtocolHeader,
    /// The frames cannot be told apart. §2.3.1
    Framing(FrameError),
    /// The body of a frame cannot be decoded. §2.3.2
    Decode(DecodeError),
    /// A SASL frame among AMQP frames. §2.3.1
    SaslFrame,
    /// A frame that the state of the connection does not permit. §2.4.6
    ConnectionState(&'static str),
    /// An open or close on another channel than 0. §2.4.1
    OpenChannel,
    /// More octets behind the peer's open or begin than are kept until that is answered. §2.4.2
    EarlyFrames,
    /// A max-frame-size below 512. §2.7.1
    MaxFrameSize,
    /// An idle-time-out below 10 ms, too short to keep up with. §2.4.5
    IdleTimeOut,
    /// A channel above our channel-max. §2.7.1
    ChannelMax,
    /// A frame on a channel on which no session was begun. §2.5.1
    UnmappedChannel(&'static str),
    /// A begin on a channel that has a session already. §2.5.1
    ChannelInUse,
    /// A begin in answer to one that was never sent. §2.5.1
    UnknownRemoteChannel,
    /// A handle above our handle-max. §2.7.2
    HandleMax,
    /// A frame that the state of the session does not permit. §2.5.5
    SessionState(&'static str),
    /// More transfers than our incoming-window. §2.5.6
    WindowViolation,
    /// A flow without next-incoming-id although our begin was answered. §2.7.4
    NextIncomingId,
    /// A flow that speaks of a link without having a handle. §2.7.4
    FlowWithoutHandle,
    /// A handle that is attached already. §2.7.3
    HandleInUse,
    /// A handle that is not attached. §2.6.2
    UnattachedHandle(&'static str),
    /// A sender's attach without initial-delivery-count. §2.7.3
    InitialDeliveryCount,
    /// A transfer from the receiver of a link. §2.7.5
    TransferFromReceiver,
    /// A range of deliveries whose end stands before its beginning. §2.7.6
    DispositionRange,
    /// More deliveries than the link's credit. §2.6.7
    TransferLimitExceeded,
    /// The first transfer of a delivery without this field. §2.7.5
    MissingOnFirstTransfer(&'static str),
    /// A field that changed in the middle of a delivery. §2.7.5
    ChangedInDelivery(&'static str),
    /// A delivery-id that was used before, or is too far ahead of those that are unsettled. §2.7.5
    DeliveryId,
    /// A delivery-tag that an unsettled delivery has already. §2.6.12
    DuplicateTag,
    /// A message larger than our max-message-size. §2.7.3
    MessageSizeExceeded,
    /// More transfers without payload in one delivery than anybody needs.
    EmptyTransfers,
    /// Work in a transaction on a link to the coordinator. §4.1
    WorkOnControlLink,
    /// Work in a transaction that does not exist, is over, or may not be used on this session. §4.5.8
    UnknownTransaction,
    /// A declare or discharge that was sent settled. §4.2
    SettledRequest,
    /// A transaction was discharged while a delivery of it was still on its way. §4.4.1
    PartialDelivery,
    /// An outcome in another transaction than the one that the delivery is part of, or in none. §4.4.2
    MixedTransactions,
    /// A link was to acquire in a transaction that does not do so. §4.4.3
    TransactionalAcquisition,
    /// A `txn-id` in the properties of a flow that is none. §4.5.4
    TransactionProperty,
    /// A coordinator declared a transaction by the id of a live one. §4.5.5
    TransactionInUse,
    /// A delivery that we posted in one transaction was given an outcome in another. §4.4
    ForeignTransaction,
}

impl Violation {
    /// The condition that the peer is told.
    pub const fn condition(&self) -> ErrorCondition<'static> {
        match self {
            Self::ProtocolHeader | Self::Framing(_) | Self::SaslFrame => ErrorCondition::FRAMING_ERROR,
            // Above channel-max or handle-max: §2.7.1 and §2.7.2 name framing-error.
            Self::ChannelMax | Self::HandleMax => ErrorCondition::FRAMING_ERROR,
            Self::Decode(_) => ErrorCondition::DECODE_ERROR,
            Self::ConnectionState(_) | Self::SessionState(_) => ErrorCondition::ILLEGAL_STATE,
            Self::OpenChannel | Self::IdleTimeOut | Self::UnmappedChannel(_) | Self::ChannelInUse => {
                ErrorCondition::NOT_ALLOWED
            }
            Self::UnknownRemoteChannel => ErrorCondition::NOT_FOUND,
            Self::MaxFrameSize
            | Self::NextIncomingId
            | Self::FlowWithoutHandle
            | Self::InitialDeliveryCount
            | Self::DispositionRange
            | Self::MissingOnFirstTransfer(_)
            | Self::ChangedInDelivery(_)
            | Self::DeliveryId
            | Self::DuplicateTag => ErrorCondition::INVALID_FIELD,
            Self::WindowViolation => ErrorCondition::WINDOW_VIOLATION,
            Self::HandleInUse => ErrorCondition::HANDLE_IN_USE,
            Self::UnattachedHandle(_) => ErrorCondition::UNATTACHED_HANDLE,
            Self::TransferFromReceiver | Self::WorkOnControlLink => ErrorCondition::NOT_ALLOWED,
            Self::TransferLimitExceeded => ErrorCondition::TRANSFER_LIMIT_EXCEEDED,
            Self::MessageSizeExceeded => ErrorCondition::MESSAGE_SIZE_EXCEEDED,
            Self::EarlyFrames | Self::EmptyTransfers => ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
            Self::UnknownTransaction => ErrorCondition::TRANSACTION_UNKNOWN_ID,
            Self::SettledRequest => ErrorCondition::ILLEGAL_STATE,
            Self::PartialDelivery | Self::MixedTransactions => ErrorCondition::TRANSACTION_ROLLBACK,
            Self::TransactionalAcquisition => ErrorCondition::NOT_IMPLEMENTED,
            Self::TransactionProperty | Self::TransactionInUse | Self::ForeignTransaction => {
                ErrorCondition::INVALID_FIELD
            }
        }
    }

    /// What ends.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::ProtocolHeader
            | Self::Framing(_)
            | Self::Decode(_)
            | Self::SaslFrame
            | Self::ConnectionState(_)
            | Self::OpenChannel
            | Self::EarlyFrames
            | Self::MaxFrameSize
            | Self::IdleTimeOut
            | Self::ChannelMax
            | Self::UnmappedChannel(_)
            | Self::ChannelInUse
            | Self::UnknownRemoteChannel
            | Self::HandleMax => Scope::Connection,
            Self::SessionState(_)
            | Self::WindowViolation
            | Self::NextIncomingId
            | Self::FlowWithoutHandle
            | Self::HandleInUse
            | Self::UnattachedHandle(_)
            | Self::TransferFromReceiver
            | Self::InitialDeliveryCount
            | Self::DispositionRange => Scope::Session,
            Self::TransferLimitExceeded
            | Self::MissingOnFirstTransfer(_)
            | Self::ChangedInDelivery(_)
            | Self::DeliveryId
            | Self::DuplicateTag
            | Self::MessageSizeExceeded
            | Self::EmptyTransfers
            | Self::WorkOnControlLink
            | Self::UnknownTransaction
            | Self::SettledRequest
            | Self::PartialDelivery
            | Self::MixedTransactions
            | Self::TransactionalAcquisition
            | Self::TransactionProperty
            | Self::TransactionInUse
            | Self::ForeignTransaction => Scope::Link,
        }
    }

    /// The error that the peer is told.
    pub(crate) fn to_error(self) -> Error<'static> {
        Error::new(self.condition(), self.to_string())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolHeader => f.write_str("the peer does not speak AMQP 1.0.0 (§2.2)"),
            Self::Framing(error) => write!(f, "{error}"),
            Self::Decode(error) => write!(f, "a frame body cannot be decoded: {error}"),
            Self::SaslFrame => f.write_str("a SASL frame after the SASL exchange (§5.3)"),
            Self::ConnectionState(name) => {
                write!(f, "{name} is not permitted in this state of the connection (§2.4.6)")
            }
            Self::OpenChannel => f.write_str("open and close belong on channel 0 (§2.4.1)"),
            Self::EarlyFrames => f.write_str("too much was sent before an open or begin was answered (§2.4.2)"),
            Self::MaxFrameSize => f.write_str("max-frame-size is below 512 (§2.7.1)"),
            Self::IdleTimeOut => f.write_str("an idle-time-out below 10 ms cannot be kept up with (§2.4.5)"),
            Self::ChannelMax => f.write_str("the channel is above channel-max (§2.7.1)"),
            Self::UnmappedChannel(name) => {
                write!(f, "{name} on a channel without a session (§2.5.1)")
            }
            Self::ChannelInUse => f.write_str("begin on a channel that has a session (§2.5.1)"),
            Self::UnknownRemoteChannel => f.write_str("begin answers a channel on which none was sent (§2.5.1)"),
            Self::HandleMax => f.write_str("the handle is above handle-max (§2.7.2)"),
            Self::SessionState(name) => write!(f, "{name} is not permitted in this state of the session (§2.5.5)"),
            Self::WindowViolation => f.write_str("more transfers than the incoming-window (§2.5.6)"),
            Self::NextIncomingId => f.write_str("next-incoming-id is missing after the begin was answered (§2.7.4)"),
            Self::FlowWithoutHandle => f.write_str("flow state of a link without its handle (§2.7.4)"),
            Self::HandleInUse => f.write_str("the handle is attached already (§2.7.3)"),
            Self::UnattachedHandle(name) => {
                write!(f, "{name} for a handle that is not attached (§2.6.2)")
            }
            Self::InitialDeliveryCount => f.write_str("a sender's attach lacks initial-delivery-count (§2.7.3)"),
            Self::TransferFromReceiver => f.write_str("a transfer from the receiver of a link (§2.7.5)"),
            Self::DispositionRange => {
                f.write_str("the last delivery of a disposition stands before the first (§2.7.6)")
            }
            Self::TransferLimitExceeded => f.write_str("more deliveries than the link-credit (§2.6.7)"),
            Self::MissingOnFirstTransfer(field) => {
                write!(f, "the first transfer of a delivery lacks {field} (§2.7.5)")
            }
            Self::ChangedInDelivery(field) => {
                write!(f, "{field} changed in the middle of a delivery (§2.7.5)")
            }
            Self::DeliveryId => f.write_str("the delivery-id is not a later one (§2.7.5)"),
            Self::DuplicateTag => f.write_str("the delivery-tag belongs to an unsettled delivery (§2.6.12)"),
            Self::MessageSizeExceeded => f.write_str("the message is larger than max-message-size (§2.7.3)"),
            Self::EmptyTransfers => f.write_str("too many transfers without payload in one delivery"),
            Self::WorkOnControlLink => f.write_str("no work has a place on a link to the coordinator (§4.1)"),
            Self::UnknownTransaction => f.write_str("there is no such transaction here (§4.5.8)"),
            Self::SettledRequest => f.write_str("a declare or discharge was sent settled (§4.2)"),
            Self::PartialDelivery => f.write_str("a delivery of the transaction is still on its way (§4.4.1)"),
            Self::MixedTransactions => f.write_str("the delivery is part of another transaction (§4.4.2)"),
            Self::TransactionalAcquisition => f.write_str("this link does not acquire in transactions (§4.4.3)"),
            Self::TransactionProperty => f.write_str("the txn-id of the flow is no transaction-id (§4.5.4)"),
            Self::TransactionInUse => f.write_str("the declared transaction has the id of a live one (§4.5.5)"),
            Self::ForeignTransaction => f.write_str("the outcome is in another transaction than the delivery (§4.4)"),
        }
    }
}

impl std::error::Error for Violation {}
