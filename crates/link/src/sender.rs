use std::collections::VecDeque;
use std::fmt;

use amqp10_codec::{Attach, DeliveryState, DeliveryTag, Fields, MessageFormat, Role, SenderSettleMode, TransactionId};
use bytes::Bytes;

use crate::DeliveryKey;
use crate::coordinator::Parted;
use crate::link::{Link, Outgoing, SenderEnd, UnsettledOut};
use crate::session::Session;
use crate::slots::Key;
use crate::transaction::{self, Transactions};
use crate::{SettleError, UnsettledDelivery};

/// A short-lived view of the sending end of a link.
#[derive(Debug)]
pub struct Sender<'c> {
    pub(crate) key: Key,
    pub(crate) link: &'c mut Link,
    /// None once the session is gone.
    pub(crate) session: Option<&'c mut Session>,
    pub(crate) transactions: Option<&'c mut Transactions>,
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
    /// The transaction within which it is posted, declared at the peer's coordinator. Where the peer acquires in a transaction, what
    /// is sent is within that anyway. §4.4.1, §4.4.3
    pub transaction: Option<TransactionId>,
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

impl Outcome {
    /// The transaction within which the state is provisional: it takes effect if that is committed, otherwise it never does. §4.5.6
    pub fn transaction(&self) -> Option<TransactionId> {
        if let Some(DeliveryState::Transactional(state)) = &self.state { Some(state.txn_id) } else { None }
    }
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
    /// There is no such transaction, it is being discharged, or may not be used on this session. §4.5.7
    UnknownTransaction,
    /// A link to a coordinator carries nothing but what [`declare`](crate::Connection::declare) and
    /// [`discharge`](crate::Connection::discharge) send. §4.1
    ControlLink,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCredit => "the peer has granted no credit",
            Self::Detached => "the link is not attached",
            Self::DuplicateTag => "an unsettled delivery has this tag",
            Self::Unknown => "no delivery of this name is being sent",
            Self::MessageTooLarge => "the message is larger than the peer's max-message-size",
            Self::UnknownTransaction => "there is no such transaction here",
            Self::ControlLink => "the link leads to a coordinator",
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

    /// Begins a delivery; [`write`](Self::write) and [`finish`](Self::finish) complete it.
    ///
    /// # Errors
    /// When there is no credit for it, its tag is in use, the link is not attached, or its transaction is none to be used here.
    pub fn begin_delivery(&mut self, start: DeliveryStart) -> Result<DeliveryKey, SendError> {
        if self.link.is_control() {
            return Err(SendError::ControlLink);
        }
        if start.transaction.is_none() && self.link.acquisition.is_none() {
            return self.begin(start, None);
        }
        let transactions = self.transactions.as_deref();
        let (state, number, kind) =
            transaction::of_start(transactions, self.link.session, self.link, start.transaction)?;
        let key = self.begin(start, Some(Box::new(state)))?;
        let member = self.transactions.as_deref_mut().and_then(|transactions| transactions.join(number, key, kind));
        if let Some(member) = member {
            let delivery = self.link.sender().and_then(|end| end.unsettled.get(key.delivery));
            member.settled = delivery.is_some_and(|delivery| delivery.settled);
            member.partial = true;
        }
        Ok(key)
    }

    #[inline]
    pub(crate) fn begin(
        &mut self,
        start: DeliveryStart,
        state: Option<Box<DeliveryState<'static>>>,
    ) -> Result<DeliveryKey, SendError> {
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
        if end.tags.contains_key(&tag) {
            return Err(SendError::DuplicateTag);
        }
        let key = end.unsettled.insert(UnsettledOut::new(tag, settled));
        end.tags.insert(tag, key);
        end.waiting = end.waiting.saturating_add(1);
        end.queue.push_back(Outgoing {
            key,
            tag,
            message_format: start.message_format,
            settled,
            id: None,
            next: Bytes::new(),
            more: VecDeque::new(),
            octets: 0,
            finished: false,
            aborted: false,
            state,
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
            end.forget(key.delivery);
            if let Some(transactions) = self.transactions.as_deref_mut() {
                transactions.leave(key);
            }
            // It may have stood in the way of others.
            self.queue();
        }
        Ok(())
    }

    /// The transaction of a delivery that has not left completely is over: takes it back. Returns whether it was one.
    pub(crate) fn withdraw(&mut self, key: DeliveryKey) -> bool {
        let Some(end) = self.link.sender() else {
            return false;
        };
        let Some(outgoing) = end.queue.iter_mut().find(|outgoing| outgoing.key == key.delivery) else {
            return false;
        };
        outgoing.state = None;
        outgoing.finished = false;
        self.abort(key).is_ok()
    }

    /// The transaction is over in which a delivery was acquired that has not left completely. What has begun to leave is given up
    /// if `abort`; what has not leaves outside of it. §4.4.3
    pub(crate) fn end_work(&mut self, key: DeliveryKey, abort: bool) -> Parted {
        let end = self.link.sender();
        let Some(outgoing) = end.and_then(|end| end.queue.iter_mut().find(|outgoing| outgoing.key == key.delivery))
        else {
            return Parted::GoesOn;
        };
        outgoing.state = None;
        if outgoing.id.is_none() {
            return Parted::Outside;
        }
        if abort && self.withdraw(key) { Parted::Aborted } else { Parted::GoesOn }
    }

    /// The transaction in which the peer wants what is sent from now on to be acquired; deliveries say so by themselves. §4.4.3
    pub fn acquisition(&self) -> Option<TransactionId> {
        self.link.acquisition.as_deref().copied()
    }

    /// The next state that the peer told of a sent delivery.
    pub fn next_outcome(&mut self) -> Option<Outcome> {
        self.link.sender()?.take_outcome()
    }

    /// Settles a delivery after the peer told its outcome without settling. §2.6.12 The outcome of one that is part of a live
    /// transaction is told within that. §4.4
    ///
    /// # Errors
    /// When it is settled already, or the link is gone, or the state is within another transaction.
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
        let state = match self.transactions.as_deref_mut() {
            Some(transactions) => transactions.state_of_sent(key, state)?,
            None if matches!(state, Some(DeliveryState::Transactional(_))) => {
                return Err(SettleError::UnknownTransaction);
            }
            None => state,
        };
        end.forget(key.delivery);
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
