use amqp10_codec::{DeliveryTag, Error, Fields};

use crate::{DeliveryKey, LinkId, Outcome, SessionId, TransactionEvent, Violation};

/// What happened. Events name things; their contents are pulled from the engine.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer's open waits for [`accept`](crate::Connection::accept) or [`refuse`](crate::Connection::refuse).
    Incoming,
    /// Both opens have been exchanged; [`remote_open`](crate::Connection::remote_open) holds the peer's.
    Opened,
    /// The connection is over. The last event, and there is exactly one.
    Closed(ConnectionEnd),
    /// Something happened to a session.
    Session(SessionId, SessionEvent),
    /// Something happened to a link.
    Link(LinkId, LinkEvent),
    /// Something happened to a transaction of this control link. §4.1
    Transaction(LinkId, Box<TransactionEvent>),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// We closed it and the peer agreed.
    Local,
    /// The peer closed it, with an error if it had one.
    Remote(Option<Error<'static>>),
    /// The peer broke a rule; it was told so.
    Violation(Violation),
    /// Nothing came from the peer for twice the idle-time-out that we announced. §2.4.5
    IdleTimeOut,
    /// The peer did not finish the exchange of headers and opens, or did not answer our close, in time.
    HandshakeTimeOut,
    /// The octets ended without a close.
    Eof,
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The peer began it; it waits for [`accept_begin`](crate::Connection::accept_begin) or
    /// [`refuse_begin`](crate::Connection::refuse_begin).
    Incoming,
    /// Both ends have begun it.
    Begun,
    /// It is over; its links are too. Exactly one for every session.
    Ended(Ended),
}

/// What happened to a link.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The peer attached it; it waits for [`accept_attach`](crate::Connection::accept_attach) or
    /// [`refuse_attach`](crate::Connection::refuse_attach).
    Incoming,
    /// Both ends have attached it.
    Attached,
    /// A delivery of several transfers has begun to arrive.
    DeliveryStarted(DeliveryKey),
    /// More of the delivery in progress has arrived. Told once until it is taken.
    DataReady(DeliveryKey),
    /// Whole deliveries wait to be taken. Told once until all have been.
    DeliveryComplete,
    /// The peer aborted the delivery; what had come of it is gone.
    DeliveryAborted(DeliveryKey),
    /// The sender resumes a delivery that an earlier link left: it can be settled by this name now. §2.6.13
    Resumed {
        /// Its name on this link.
        key: DeliveryKey,
        /// Its tag, as in the terminus of the earlier link.
        tag: DeliveryTag,
    },
    /// The sender told the state of a delivery that is unsettled here, or has settled it: by a disposition, with a transfer, or by not
    /// knowing it any more when the link was resumed. §2.6.12
    Disposition(Outcome),
    /// There is credit for at least one more delivery, or more than before.
    Sendable,
    /// The peer wants the credit used up: send what there is, then call [`Sender::drained`](crate::Sender::drained). §2.6.7
    Drain,
    /// The peer has used up the credit that was to be drained.
    Drained,
    /// No more octets are queued than [`Sender::notify_below`](crate::Sender::notify_below) asked for.
    Writable,
    /// A [pull](crate::Connection::pull) has ended: with a delivery that waits to be taken, or with none. §2.6.8
    Pulled {
        /// Whether there is a delivery.
        delivered: bool,
    },
    /// States of sent deliveries wait to be taken. Told once until all have been.
    Outcomes,
    /// The peer set properties of the link's state. §2.7.4
    Properties(Fields<'static>),
    /// It is over. Exactly one for every link. Its unsettled state waits to be taken with
    /// [`take_terminus`](crate::Connection::take_terminus).
    Detached {
        /// Whether the terminus of the peer is gone too.
        closed: bool,
        /// How it ended.
        end: Ended,
    },
}

/// How a session or link ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Ended {
    /// We ended it and the peer agreed.
    Local,
    /// The peer ended it, with an error if it had one. A refusal is told so too.
    Remote(Option<Error<'static>>),
    /// The peer broke a rule; it was told so.
    Violation(Violation),
    /// What it stood on ended: the session of a link, or the connection.
    Below,
}
