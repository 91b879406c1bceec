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
    /// An unsettled map whose keys are no delivery-tags, or whose values are no states. §2.7.3
    UnsettledMap,
    /// A link that we detached with an error reattached instead of resumed. §2.6.5
    ErrantLink,
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
    /// A delivery that is to be settled second, on a link whose receiver settles first. §2.7.5
    SettlesSecond,
    /// A delivery-id that was used before, or is too far ahead of those that are unsettled. §2.7.5
    DeliveryId,
    /// A delivery-tag that an unsettled delivery has already. §2.6.12
    DuplicateTag,
    /// A delivery resumed behind what has arrived of it, or at a point that is not known any more. §3.4.6
    ResumedElsewhere,
    /// A new delivery although our unsettled map was incomplete. §2.7.3
    UnsettledIncomplete,
    /// A message larger than our max-message-size. §2.7.3
    MessageSizeExceeded,
    /// More transfers without payload in one delivery than anybody needs.
    EmptyTransfers,
    /// More octets of deliveries that are not whole than their session may hold.
    PartialBuffer,
    /// More begins, or larger ones, than are kept until they are answered. §2.5.1
    UnansweredBegins,
    /// More attaches, or larger ones, than are kept until they are answered. §2.6.3
    UnansweredAttaches,
    /// More links than the connection may have.
    MaxLinks,
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
            | Self::UnsettledMap
            | Self::InitialDeliveryCount
            | Self::DispositionRange
            | Self::MissingOnFirstTransfer(_)
            | Self::ChangedInDelivery(_)
            | Self::SettlesSecond
            | Self::DeliveryId
            | Self::DuplicateTag
            | Self::ResumedElsewhere => ErrorCondition::INVALID_FIELD,
            Self::WindowViolation => ErrorCondition::WINDOW_VIOLATION,
            Self::HandleInUse => ErrorCondition::HANDLE_IN_USE,
            Self::ErrantLink => ErrorCondition::ERRANT_LINK,
            Self::UnattachedHandle(_) => ErrorCondition::UNATTACHED_HANDLE,
            Self::TransferFromReceiver | Self::UnsettledIncomplete | Self::WorkOnControlLink => {
                ErrorCondition::NOT_ALLOWED
            }
            Self::TransferLimitExceeded => ErrorCondition::TRANSFER_LIMIT_EXCEEDED,
            Self::MessageSizeExceeded => ErrorCondition::MESSAGE_SIZE_EXCEEDED,
            Self::EarlyFrames
            | Self::EmptyTransfers
            | Self::PartialBuffer
            | Self::UnansweredBegins
            | Self::UnansweredAttaches
            | Self::MaxLinks => ErrorCondition::RESOURCE_LIMIT_EXCEEDED,
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
            | Self::UnsettledMap
            | Self::ErrantLink
            | Self::InitialDeliveryCount
            | Self::DispositionRange
            | Self::UnansweredBegins
            | Self::MaxLinks => Scope::Session,
            Self::TransferLimitExceeded
            | Self::MissingOnFirstTransfer(_)
            | Self::ChangedInDelivery(_)
            | Self::SettlesSecond
            | Self::DeliveryId
            | Self::DuplicateTag
            | Self::ResumedElsewhere
            | Self::UnsettledIncomplete
            | Self::MessageSizeExceeded
            | Self::EmptyTransfers
            | Self::PartialBuffer
            | Self::UnansweredAttaches
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
            Self::UnsettledMap => f.write_str("the unsettled map is not one of delivery-tags and states (§2.7.3)"),
            Self::ErrantLink => f.write_str("a link that was detached with an error can only be resumed (§2.6.5)"),
            Self::InitialDeliveryCount => f.write_str("a sender's attach lacks initial-delivery-count (§2.7.3)"),
            Self::TransferFromReceiver => f.write_str("a transfer from the receiver of a link (§2.7.5)"),
            Self::DispositionRange => {
                f.write_str("the last delivery of a disposition stands before the first (§2.7.6)")
            }
            Self::TransferLimitExceeded => f.write_str("more deliveries than the link-credit (§2.6.7)"),
            Self::MissingOnFirstTransfer(field) => {
                write!(f, "the first transfer of a delivery lacks {field} (§2.7.5)")
            }
            Self::SettlesSecond => {
                f.write_str("a delivery is to be settled second on a link whose receiver settles first (§2.7.5)")
            }
            Self::ChangedInDelivery(field) => {
                write!(f, "{field} changed in the middle of a delivery (§2.7.5)")
            }
            Self::DeliveryId => f.write_str("the delivery-id is not a later one (§2.7.5)"),
            Self::DuplicateTag => f.write_str("the delivery-tag belongs to an unsettled delivery (§2.6.12)"),
            Self::ResumedElsewhere => f.write_str("the delivery is resumed where it cannot be joined (§3.4.6)"),
            Self::UnsettledIncomplete => f.write_str("a new delivery before the unsettled map was complete (§2.7.3)"),
            Self::MessageSizeExceeded => f.write_str("the message is larger than max-message-size (§2.7.3)"),
            Self::EmptyTransfers => f.write_str("too many transfers without payload in one delivery"),
            Self::PartialBuffer => {
                f.write_str("more deliveries have begun to arrive than there is room for until they are whole")
            }
            Self::UnansweredBegins => f.write_str("too many begins wait for an answer (§2.5.1)"),
            Self::UnansweredAttaches => f.write_str("too many attaches wait for an answer (§2.6.3)"),
            Self::MaxLinks => f.write_str("too many links on one connection"),
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

#[cfg(test)]
mod tests {
    use amqp10_codec::{FrameHeader, Reader};

    use super::*;

    /// Every rule with its scope and condition.
    fn table() -> Vec<(Violation, Scope, &'static str)> {
        use Scope::{Connection, Link, Session};
        use Violation as V;
        let framing = FrameHeader::parse([0; 8], 512).unwrap_err();
        let decode = Reader::sized(&[]).skip().unwrap_err();
        vec![
            (V::ProtocolHeader, Connection, "amqp:connection:framing-error"),
            (V::Framing(framing), Connection, "amqp:connection:framing-error"),
            (V::Decode(decode), Connection, "amqp:decode-error"),
            (V::SaslFrame, Connection, "amqp:connection:framing-error"),
            (V::ConnectionState("begin"), Connection, "amqp:illegal-state"),
            (V::OpenChannel, Connection, "amqp:not-allowed"),
            (V::EarlyFrames, Connection, "amqp:resource-limit-exceeded"),
            (V::MaxFrameSize, Connection, "amqp:invalid-field"),
            (V::IdleTimeOut, Connection, "amqp:not-allowed"),
            (V::ChannelMax, Connection, "amqp:connection:framing-error"),
            (V::UnmappedChannel("flow"), Connection, "amqp:not-allowed"),
            (V::ChannelInUse, Connection, "amqp:not-allowed"),
            (V::UnknownRemoteChannel, Connection, "amqp:not-found"),
            (V::HandleMax, Connection, "amqp:connection:framing-error"),
            (V::SessionState("flow"), Session, "amqp:illegal-state"),
            (V::WindowViolation, Session, "amqp:session:window-violation"),
            (V::NextIncomingId, Session, "amqp:invalid-field"),
            (V::FlowWithoutHandle, Session, "amqp:invalid-field"),
            (V::HandleInUse, Session, "amqp:session:handle-in-use"),
            (V::UnattachedHandle("flow"), Session, "amqp:session:unattached-handle"),
            (V::UnsettledMap, Session, "amqp:invalid-field"),
            (V::ErrantLink, Session, "amqp:session:errant-link"),
            (V::InitialDeliveryCount, Session, "amqp:invalid-field"),
            (V::TransferFromReceiver, Session, "amqp:not-allowed"),
            (V::DispositionRange, Session, "amqp:invalid-field"),
            (V::TransferLimitExceeded, Link, "amqp:link:transfer-limit-exceeded"),
            (V::MissingOnFirstTransfer("delivery-id"), Link, "amqp:invalid-field"),
            (V::ChangedInDelivery("delivery-id"), Link, "amqp:invalid-field"),
            (V::SettlesSecond, Link, "amqp:invalid-field"),
            (V::DeliveryId, Link, "amqp:invalid-field"),
            (V::DuplicateTag, Link, "amqp:invalid-field"),
            (V::ResumedElsewhere, Link, "amqp:invalid-field"),
            (V::UnsettledIncomplete, Link, "amqp:not-allowed"),
            (V::MessageSizeExceeded, Link, "amqp:link:message-size-exceeded"),
            (V::EmptyTransfers, Link, "amqp:resource-limit-exceeded"),
            (V::PartialBuffer, Link, "amqp:resource-limit-exceeded"),
            (V::UnansweredBegins, Session, "amqp:resource-limit-exceeded"),
            (V::UnansweredAttaches, Link, "amqp:resource-limit-exceeded"),
            (V::MaxLinks, Session, "amqp:resource-limit-exceeded"),
            (V::WorkOnControlLink, Link, "amqp:not-allowed"),
            (V::UnknownTransaction, Link, "amqp:transaction:unknown-id"),
            (V::SettledRequest, Link, "amqp:illegal-state"),
            (V::PartialDelivery, Link, "amqp:transaction:rollback"),
            (V::MixedTransactions, Link, "amqp:transaction:rollback"),
            (V::TransactionalAcquisition, Link, "amqp:not-implemented"),
            (V::TransactionProperty, Link, "amqp:invalid-field"),
            (V::TransactionInUse, Link, "amqp:invalid-field"),
            (V::ForeignTransaction, Link, "amqp:invalid-field"),
        ]
    }

    #[test]
    fn every_rule_has_one_condition_at_one_scope() {
        // 2.8.15-04, 2.8.15-06, 2.8.15-12, 2.8.16-02, 2.8.17-04
        let mut names = Vec::new();
        for (violation, scope, condition) in table() {
            assert_eq!((violation.scope(), violation.condition().as_str()), (scope, condition), "{violation:?}");
            let error = violation.to_error();
            assert_eq!(error.condition, violation.condition());
            assert!(error.description.is_some_and(|text| !text.is_empty()), "{violation:?}");
            names.push(format!("{violation:?}").split(['(', ' ']).next().unwrap().to_owned());
        }
        let (_, source) = include_str!("violation.rs").split_once("pub enum Violation {").unwrap();
        let (variants, _) = source.split_once("\n}").unwrap();
        let variants = variants.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.is_empty());
        let variants: Vec<_> = variants.map(|line| line.split(['(', ',']).next().unwrap()).collect();
        assert_eq!(names, variants, "the table is whole, in the order of the enum");
    }
}
