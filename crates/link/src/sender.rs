use std::fmt;

use amqp10_codec::{
    Attach, DeliveryState, DeliveryTag, Fields, MessageFormat, Received, Role, SenderSettleMode, TransactionId,
};
use bytes::Bytes;

use crate::DeliveryKey;
use crate::coordinator::Parted;
use crate::fit::flow_fits;
use crate::link::{Link, Outgoing, Rare, SenderEnd};
use crate::resume::{Resumes, octets_from};
use crate::session::Session;
use crate::slots::Key;
use crate::terminus::Remote;
use crate::transaction::{self, Transactions};
use crate::{CommandError, Payload, Resumption, SettleError, UnsettledDelivery};

/// A short-lived view of the sending end of a link.
#[derive(Debug)]
pub struct Sender<'c> {
    pub(crate) key: Key,
    pub(crate) link: &'c mut Link,
    /// None once the session is gone.
    pub(crate) session: Option<&'c mut Session>,
    pub(crate) transactions: Option<&'c mut Transactions>,
    /// The largest frame that the peer takes.
    pub(crate) max_frame: u32,
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

/// What the peer said of a delivery.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The delivery.
    pub key: DeliveryKey,
    /// Its state at the peer; if the peer settled without telling an outcome, the one that it told before, or else the
    /// default-outcome of the sender's source, §3.5.3; none if there is none, and for deliveries that left settled.
    pub state: Option<DeliveryState<'static>>,
    /// Whether it is settled. If not, [`Sender::settle`] or [`Receiver::settle`](crate::Receiver::settle) settles it.
    pub settled: bool,
}

impl Outcome {
    /// The transaction within which the state is provisional: it takes effect if that is committed, otherwise it never does. §4.5.6
    pub fn transaction(&self) -> Option<TransactionId> {
        if let Some(DeliveryState::Transactional(state)) = &self.state { Some(state.txn_id) } else { None }
    }
}

/// A delivery of an earlier link that this end considers unsettled. §2.6.13
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InDoubt {
    /// Its name on this link.
    pub key: DeliveryKey,
    /// Its tag.
    pub tag: DeliveryTag,
    /// How the payload is laid out. §2.8.11
    pub message_format: MessageFormat,
    /// How it is brought to its end.
    pub resumption: Resumption,
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
    /// An unsettled map was incomplete, so the link has to be resumed once more before anything new is sent. §2.7.3
    UnsettledIncomplete,
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
            Self::UnsettledIncomplete => "an unsettled map was incomplete, so nothing new can be sent",
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
        let key = self.start(start, payload, true)?;
        self.queue();
        Ok(key)
    }

    /// Begins a delivery; [`write`](Self::write) and [`finish`](Self::finish) complete it.
    ///
    /// # Errors
    /// When there is no credit for it, its tag is in use, the link is not attached, or its transaction is none to be used here.
    pub fn begin_delivery(&mut self, start: DeliveryStart) -> Result<DeliveryKey, SendError> {
        self.start(start, Bytes::new(), false)
    }

    #[inline(always)]
    fn start(&mut self, start: DeliveryStart, payload: Bytes, finished: bool) -> Result<DeliveryKey, SendError> {
        if self.link.is_control() {
            return Err(SendError::ControlLink);
        }
        if start.transaction.is_none() && self.link.acquisition.is_none() {
            return self.begin(&start, payload, finished, None);
        }
        let transactions = self.transactions.as_deref();
        let (state, number, kind) =
            transaction::of_start(transactions, self.link.session, self.link, start.transaction)?;
        let rare = Rare { state: Some(state), ..Rare::default() };
        let key = self.begin(&start, payload, finished, Some(Box::new(rare)))?;
        let member = self.transactions.as_deref_mut().and_then(|transactions| transactions.join(number, key, kind));
        if let Some(member) = member {
            let delivery = self.link.sender().and_then(|end| end.unsettled.get(key.delivery));
            member.settled = delivery.is_some_and(|delivery| delivery.settled);
            member.partial = true;
        }
        Ok(key)
    }

    #[inline(always)]
    pub(crate) fn begin(
        &mut self,
        start: &DeliveryStart,
        payload: Bytes,
        finished: bool,
        rare: Option<Box<Rare>>,
    ) -> Result<DeliveryKey, SendError> {
        if !self.link.state.is_attached() || self.session.is_none() {
            return Err(SendError::Detached);
        }
        let settled = match self.link.snd_settle_mode {
            SenderSettleMode::Settled => true,
            SenderSettleMode::Unsettled => false,
            SenderSettleMode::Mixed => start.settled,
        };
        let incomplete = self.link.incomplete;
        let Some(end) = self.link.sender() else {
            return Err(SendError::Unknown);
        };
        if incomplete {
            return Err(SendError::UnsettledIncomplete);
        }
        if end.waiting >= end.credit {
            return Err(SendError::NoCredit);
        }
        let placed = end.place(start.tag, start.message_format, settled);
        let (key, tag) = placed.ok_or(SendError::DuplicateTag)?;
        end.waiting = end.waiting.saturating_add(1);
        let mut outgoing = Outgoing::new(key, tag, start.message_format, settled, payload);
        (outgoing.finished, outgoing.rare) = (finished, rare);
        end.queue.push_back(outgoing);
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
        if outgoing.id.is_some() || outgoing.resumes().is_some() {
            (outgoing.aborted, outgoing.finished) = (true, true);
            self.queue();
        } else {
            // Nothing of it has left, so the peer need not know.
            end.queue.retain(|outgoing| outgoing.key != key.delivery);
            end.waiting = end.waiting.saturating_sub(1);
            end.unsettled.remove(key.delivery);
            if let Some(transactions) = self.transactions.as_deref_mut() {
                transactions.leave(key);
            }
            // It may have stood in the way of others.
            self.queue();
        }
        Ok(())
    }

    /// How many octets were written and have not left: credit, windows or the stream hold them back. A writer that streams writes no
    /// more while this is high.
    pub fn queued_octets(&mut self) -> usize {
        self.link.sender().map_or(0, |end| end.queued_octets(usize::MAX))
    }

    /// Asks for one [`LinkEvent::Writable`](crate::LinkEvent::Writable) as soon as no more than `octets` are queued after a frame has
    /// left. Returns whether that is so already; then no event is told.
    pub fn notify_below(&mut self, octets: usize) -> bool {
        let Some(end) = self.link.sender() else {
            return false;
        };
        end.notify_below = Some(octets);
        end.is_writable()
    }

    /// The transaction of a delivery that has not left completely is over: takes it back. Returns whether it was one.
    pub(crate) fn withdraw(&mut self, key: DeliveryKey) -> bool {
        let Some(end) = self.link.sender() else {
            return false;
        };
        let Some(outgoing) = end.queue.iter_mut().find(|outgoing| outgoing.key == key.delivery) else {
            return false;
        };
        outgoing.clear_state();
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
        outgoing.clear_state();
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
    /// transaction is told within that. §4.4 [`Received`] is not told: that is said only where a delivery is resumed. §3.4.1
    ///
    /// # Errors
    /// When it is settled already, or has not left yet, or the link is gone, or the state is within another transaction.
    pub fn settle(&mut self, key: DeliveryKey, state: Option<DeliveryState<'static>>) -> Result<(), SettleError> {
        let state = state.filter(|state| !matches!(state, DeliveryState::Received(_)));
        let (attached, may_settle) = (self.link.state.is_attached(), self.link.may_settle());
        let this = self.key;
        let Some(end) = self.link.sender().filter(|_| key.link == this) else {
            return Err(SettleError::Unknown);
        };
        let unsettled = end.unsettled.get(key.delivery).ok_or(SettleError::Unknown)?;
        let (id, session) = match (unsettled.id, self.session.as_deref_mut()) {
            (Some(id), Some(session)) if may_settle => (id, session),
            (None, Some(_)) if attached => {
                let in_doubt = unsettled.in_doubt && end.doubts.get(&key.delivery).is_none_or(|doubt| !doubt.queued);
                if !in_doubt {
                    return Err(SettleError::NotSent);
                }
                self.settle_in_doubt(key, state);
                return Ok(());
            }
            _ => return Err(SettleError::Detached),
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
    ///
    /// # Errors
    /// When a flow with them would be larger than a frame that the peer takes; then nothing is sent.
    pub fn set_properties(&mut self, properties: Fields<'static>) -> Result<(), CommandError> {
        flow_fits(&properties, self.max_frame)?;
        self.link.properties = Some(properties);
        self.send_flow();
        Ok(())
    }

    /// Settles a delivery of an earlier link: by a transfer that resumes it, or by forgetting it if the receiver has.
    fn settle_in_doubt(&mut self, key: DeliveryKey, state: Option<DeliveryState<'static>>) {
        let Some(end) = self.link.sender() else { return };
        let doubt = end.doubts.get(&key.delivery);
        if doubt.is_some_and(|doubt| matches!(doubt.remote, Remote::Unsettled(_))) {
            end.resume(key.delivery, Resumes { state, settles: true, tells: None }, true, false);
            self.queue();
        } else {
            end.forget(key.delivery);
        }
    }

    /// The deliveries of an earlier link about which something is to be done, and what. §2.6.13
    ///
    /// What needs neither the message nor a decision has been done when the link was attached: deliveries that both ends have decided
    /// alike are settled, and outcomes that the receiver told are among [the others](Self::next_outcome).
    pub fn in_doubt(&mut self) -> Vec<InDoubt> {
        let link = self.key;
        let Some(end) = self.link.sender() else { return Vec::new() };
        let entry = |(delivery, tag): (Key, DeliveryTag)| {
            let doubt = end.doubts.get(&delivery)?;
            let message_format = end.unsettled.get(delivery)?.message_format;
            let resumption = Resumption::of(doubt.state.as_ref(), &doubt.remote);
            Some(InDoubt { key: DeliveryKey { link, delivery }, tag, message_format, resumption })
        };
        end.in_doubt().into_iter().filter_map(entry).collect()
    }

    /// Resumes a delivery of an earlier link from this point of its message, the beginning if there is none:
    /// [`write`](Self::write) takes the octets from there on, [`finish`](Self::finish) or [`abort`](Self::abort) ends it. It leaves once
    /// there is credit. §2.6.13
    ///
    /// # Errors
    /// When the delivery is not in doubt, or the link is not attached.
    pub fn resume(&mut self, key: DeliveryKey, from: Option<Received>) -> Result<(), SendError> {
        let state = from.map(DeliveryState::Received);
        self.in_doubt_end(key)?
            .resume(key.delivery, Resumes { state, settles: false, tells: None }, false, false)
            .ok_or(SendError::Unknown)
    }

    /// Sends a delivery of an earlier link that the receiver does not know again under its old tag, as a new one:
    /// [`write`](Self::write) takes the whole message. It leaves once there is credit. §3.4.6
    ///
    /// # Errors
    /// When the delivery is not in doubt, the receiver may know it, or the link is not attached.
    pub fn resend(&mut self, key: DeliveryKey) -> Result<(), SendError> {
        let incomplete = self.link.is_unsettled_incomplete();
        let end = self.in_doubt_end(key)?;
        if incomplete {
            return Err(SendError::UnsettledIncomplete);
        }
        end.resend(key.delivery).ok_or(SendError::Unknown)
    }

    /// Ends the doubt about a delivery of an earlier link as §3.4.6 has it, with the message if there is one: here, or in its
    /// [`UnsettledDelivery`]. Returns what was to be done; without a message nothing is done where one is needed.
    ///
    /// A delivery that had to be aborted may be sent anew.
    ///
    /// # Errors
    /// When the delivery is not in doubt, or the link is not attached.
    pub fn resolve(&mut self, key: DeliveryKey, message: Option<Payload>) -> Result<Resumption, SendError> {
        let end = self.in_doubt_end(key)?;
        let format = end.unsettled.get(key.delivery).ok_or(SendError::Unknown)?.message_format;
        let doubt = end.doubts.get(&key.delivery);
        let doubt = doubt.filter(|doubt| !doubt.queued).ok_or(SendError::Unknown)?;
        let resumption = Resumption::of(doubt.state.as_ref(), &doubt.remote);
        let message = message.or_else(|| doubt.message.clone());
        match (&resumption, message) {
            (Resumption::Resend, Some(message)) => {
                self.resend(key)?;
                for part in message.parts() {
                    self.write(key, part.clone())?;
                }
                self.finish(key)?;
            }
            (Resumption::Resume(point), Some(message)) => {
                let (rest, point) = octets_from(&message, format, point);
                self.resume(key, Some(point))?;
                for part in rest {
                    self.write(key, part)?;
                }
                self.finish(key)?;
            }
            (Resumption::Abort, _) => {
                self.resume(key, None)?;
                self.abort(key)?;
            }
            (Resumption::Settle(outcome), _) => self.settle_in_doubt(key, Some(outcome.clone())),
            _ => {}
        }
        Ok(resumption)
    }

    fn in_doubt_end(&mut self, key: DeliveryKey) -> Result<&mut SenderEnd, SendError> {
        if !self.link.state.is_attached() || self.session.is_none() {
            return Err(SendError::Detached);
        }
        let this = self.key;
        self.link.sender().filter(|_| key.link == this).ok_or(SendError::Unknown)
    }

    /// The unsettled delivery that has this tag.
    pub fn by_tag(&mut self, tag: &DeliveryTag) -> Option<DeliveryKey> {
        let link = self.key;
        let delivery = self.link.sender()?.unsettled.by_tag(tag)?;
        Some(DeliveryKey { link, delivery })
    }

    /// Whether either end could not tell all of its unsettled deliveries: then nothing new can be sent. The link is to be detached and
    /// resumed again once everything [in doubt](Self::in_doubt) is done that can be. §2.7.3
    pub fn is_unsettled_incomplete(&self) -> bool {
        self.link.is_unsettled_incomplete()
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
