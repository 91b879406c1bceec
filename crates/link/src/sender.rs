use std::fmt;

use amqp10_codec::{Attach, DeliveryState, DeliveryTag, Fields, MessageFormat, Role, SenderSettleMode};
use bytes::Bytes;

use crate::DeliveryKey;
use crate::link::{Link, Outgoing, SenderEnd, UnsettledOut};
use crate::session::Session;
use crate::slots::Key;
use crate::{SettleError, UnsettledDelivery};

/// A short-lived view of the sending end of a link.
#[derive(Debug)]
pub struct Sender<'c> {
    pub(crate) key: Key,
    pub(crate) link: &'c mut Link,
    /// None once the session is gone.
    pub(crate) session: Option<&'c mut Session>,
}

/// How a delivery is begun.
#[derive(Clone, Debug, Default)]
pub struct DeliveryStart {
    /// Its tag; a fresh one if there is none. §2.6.12
    pub tag: Option<DeliveryTag>,
    /// How the payload is laid out. §2.8.11
    pub message_format: MessageFormat,
    /// Whether it is sent settled. A link with snd-settle-mode settled or unsettled decides for itself.
    pub settled: bool,
}

/// What the peer said of a sent delivery.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The delivery.
    pub key: DeliveryKey,
    /// Its state at the peer; none if the peer settled without telling one, and for deliveries that left settled.
    pub state: Option<DeliveryState<'static>>,
    /// Whether it is settled. If not, [`Sender::settle`] settles it.
    pub settled: bool,
}

/// Why a delivery was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The peer has granted no credit; [`LinkEvent::Sendable`](crate::LinkEvent::Sendable) tells when it has.
    NoCredit,
    /// The link is not attached.
    Detached,
    /// An unsettled delivery has this tag.
    DuplicateTag,
    /// No delivery of this name is being sent.
    Unknown,
    /// The message would become larger than the peer's max-message-size.
    MessageTooLarge,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCredit => "the peer has granted no credit",
            Self::Detached => "the link is not attached",
            Self::DuplicateTag => "an unsettled delivery has this tag",
            Self::Unknown => "no delivery of this name is being sent",
            Self::MessageTooLarge => "the message is larger than the peer's max-message-size",
        })
    }
}

impl std::error::Error for SendError {}

impl Sender<'_> {
    /// What the peer said when it attached.
    pub fn remote_attach(&self) -> Option<&Attach<'static>> {
        self.link.remote_attach.as_deref()
    }

    /// How many more deliveries may be begun. §2.6.7
    pub fn credit(&mut self) -> u32 {
        self.link.sender().map_or(0, |end| end.credit.saturating_sub(end.waiting))
    }

    /// Sends a whole delivery: [`begin_delivery`](Self::begin_delivery), [`write`](Self::write) and [`finish`](Self::finish) at
    /// once. It leaves as credit, window and frame size permit.
    ///
    /// # Errors
    /// As those have; then nothing is sent.
    pub fn deliver(&mut self, start: DeliveryStart, payload: Bytes) -> Result<DeliveryKey, SendError> {
        let limit = self.link.sender().and_then(|end| end.max_message_size);
        if limit.is_some_and(|limit| payload.len() as u64 > limit) {
            return Err(SendError::MessageTooLarge);
        }
        let key = self.enqueue(start, payload, true)?;
        self.queue();
        Ok(key)
    }

    /// Begins a delivery; [`write`](Self::write) and [`finish`](Self::finish) complete it.
    ///
    /// # Errors
    /// When there is no credit for it, its tag is in use, or the link is not attached.
    pub fn begin_delivery(&mut self, start: DeliveryStart) -> Result<DeliveryKey, SendError> {
        self.enqueue(start, Bytes::new(), false)
    }

    #[inline]
    fn enqueue(&mut self, start: DeliveryStart, payload: Bytes, finished: bool) -> Result<DeliveryKey, SendError> {
        if !self.link.state.is_attached() || self.session.is_none() {
            return Err(SendError::Detached);
        }
        let settled = match self.link.snd_settle_mode {
            SenderSettleMode::Settled => true,
            SenderSettleMode::Unsettled => false,
            SenderSettleMode::Mixed => start.settled,
        };
        let Some(end) = self.link.sender() else {
            return Err(SendError::Unknown);
        };
        if end.waiting >= end.credit {
            return Err(SendError::NoCredit);
        }
        let tag = start.tag.unwrap_or_else(|| end.fresh_tag());
        let key = end.unsettled.insert(UnsettledOut::new(tag, settled)).ok_or(SendError::DuplicateTag)?;
        end.waiting = end.waiting.saturating_add(1);
        end.queue.push_back(Outgoing {
            key,
            tag,
            message_format: start.message_format,
            settled,
            id: None,
            octets: payload.len() as u64,
            next: payload,
            more: None,
            finished,
            aborted: false,
        });
        Ok(DeliveryKey { link: self.key, delivery: key })
    }

    fn outgoing(end: &mut SenderEnd, key: DeliveryKey) -> Option<&mut Outgoing> {
        // Nearly always the one begun last.
        end.queue.iter_mut().rev().find(|outgoing| outgoing.key == key.delivery && !outgoing.finished)
    }

    /// Adds octets to a delivery that was begun. They leave as credit, window and frame size permit.
    ///
    /// # Errors
    /// When the delivery is not being sent, or would exceed the peer's max-message-size.
    pub fn write(&mut self, key: DeliveryKey, octets: Bytes) -> Result<(), SendError> {
        let this = self.key;
        let end = self.link.sender().filter(|_| key.link == this).ok_or(SendError::Unknown)?;
        let limit = end.max_message_size;
        let outgoing = Self::outgoing(end, key).ok_or(SendError::Unknown)?;
        if limit.is_some_and(|limit| outgoing.octets.saturating_add(octets.len() as u64) > limit) {
            return Err(SendError::MessageTooLarge);
        }
        outgoing.push(octets);
        self.queue();
        Ok(())
    }

    /// Ends a delivery: what was written is all of it.
    ///
    /// # Errors
    /// When the delivery is not being sent.
    pub fn finish(&mut self, key: DeliveryKey) -> Result<(), SendError> {
        let this = self.key;
        let end = self.link.sender().filter(|_| key.link == this).ok_or(SendError::Unknown)?;
        Self::outgoing(end, key).ok_or(SendError::Unknown)?.finished = true;
        self.queue();
        Ok(())
    }

    /// Gives a delivery up that was not finished: the peer discards what it has of it. §2.6.14
    ///
    /// # Errors
    /// When the delivery is not being sent.
    pub fn abort(&mut self, key: DeliveryKey) -> Result<(), SendError> {
        let this = self.key;
        let end = self.link.sender().filter(|_| key.link == this).ok_or(SendError::Unknown)?;
        let outgoing = Self::outgoing(end, key).ok_or(SendError::Unknown)?;
        if outgoing.id.is_some() {
            (outgoing.aborted, outgoing.finished) = (true, true);
            self.queue();
        } else {
            // Nothing of it has left, so the peer need not know.
            end.queue.retain(|outgoing| outgoing.key != key.delivery);
            end.waiting = end.waiting.saturating_sub(1);
            end.unsettled.remove(key.delivery);
            // It may have stood in the way of others.
            self.queue();
        }
        Ok(())
    }

    /// The next state that the peer told of a sent delivery.
    pub fn next_outcome(&mut self) -> Option<Outcome> {
        self.link.sender()?.take_outcome()
    }

    /// Settles a delivery after the peer told its outcome without settling. §2.6.12
    ///
    /// # Errors
    /// When it is settled already, or the link is gone.
    pub fn settle(&mut self, key: DeliveryKey, state: Option<DeliveryState<'static>>) -> Result<(), SettleError> {
        let attached = self.link.state.is_attached();
        let this = self.key;
        let Some(end) = self.link.sender().filter(|_| key.link == this) else {
            return Err(SettleError::Unknown);
        };
        let id = end.unsettled.get(key.delivery).ok_or(SettleError::Unknown)?.id;
        let (Some(id), Some(session), true) = (id, self.session.as_deref_mut(), attached) else {
            return Err(SettleError::Detached);
        };
        end.unsettled.remove(key.delivery);
        session.outgoing.remove(id);
        session.settle(Role::Sender, id, true, state);
        Ok(())
    }

    /// How many messages wait here besides those that were begun; told to the peer with the next flow. §2.6.7
    pub fn set_available(&mut self, available: u32) {
        if let Some(end) = self.link.sender() {
            end.available = available;
        }
    }

    /// There is nothing more to send for now: a drain that the peer asked for is complete once what was begun has left. §2.6.7
    pub fn drained(&mut self) {
        let Some(end) = self.link.sender() else {
            return;
        };
        end.drained = end.drain;
        if end.finish_drain() {
            self.send_flow();
        }
    }

    /// Whether the peer waits for its credit to be used up.
    pub fn is_draining(&mut self) -> bool {
        self.link.sender().is_some_and(|end| end.drain)
    }

    /// Sends properties of the link's state with the next flow. §2.7.4
    pub fn set_properties(&mut self, properties: Fields<'static>) {
        self.link.properties = Some(properties);
        self.send_flow();
    }

    /// The deliveries that are unsettled here.
    pub fn unsettled(&self) -> Vec<UnsettledDelivery> {
        self.link.unsettled()
    }

    fn send_flow(&mut self) {
        self.link.flow_due = true;
        if !self.link.flow_queued
            && let Some(session) = self.session.as_deref_mut()
        {
            self.link.flow_queued = true;
            session.flows.push_back(self.key);
        }
    }

    /// Gives the link a turn.
    fn queue(&mut self) {
        if let Some(end) = self.link.sender()
            && !end.queued
            && let Some(session) = self.session.as_deref_mut()
        {
            end.queued = true;
            session.senders.push_back(self.key);
        }
    }
}
