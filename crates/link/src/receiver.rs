use std::fmt;

use amqp10_codec::{Attach, DeliveryState, DeliveryTag, Fields, ReceiverSettleMode, Role, Symbol, TransactionId};

use crate::coordinator::{PROPERTY, transaction_property};
use crate::deliveries::Partial;
use crate::fit::flow_fits;
use crate::link::{Link, ReceiverEnd};
use crate::session::Session;
use crate::slots::Key;
use crate::transaction::{Side, Transactions};
use crate::{CommandError, CreditMode, Delivery, DeliveryKey, Replenish, TransactError, UnsettledDelivery};

/// A short-lived view of the receiving end of a link.
#[derive(Debug)]
pub struct Receiver<'c> {
    pub(crate) key: Key,
    pub(crate) link: &'c mut Link,
    /// None once the session is gone.
    pub(crate) session: Option<&'c mut Session>,
    pub(crate) transactions: Option<&'c mut Transactions>,
    /// The largest frame that the peer takes.
    pub(crate) max_frame: u32,
}

/// Why a delivery was not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettleError {
    /// It is settled already, by either side, or never was on this link.
    Unknown,
    /// The link or its session is gone; its unsettled state can be taken to a new link.
    Detached,
    /// It belongs to an earlier link, and the sender has not resumed it yet: [`LinkEvent::Resumed`](crate::LinkEvent::Resumed) tells when
    /// it has.
    NotResumed,
    /// Not all of it has arrived: only a state without settlement can be told.
    Incomplete,
    /// It has been begun, resumed or sent again, and nothing of that has left yet: it can be aborted, and settled once it has left.
    NotSent,
    /// The state is within a transaction that does not exist, is being discharged, or has no place here. §4.4.2
    UnknownTransaction,
    /// The delivery is part of another transaction that is not discharged. §4.4.2
    WrongTransaction,
}

impl fmt::Display for SettleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the delivery is settled already or does not belong to this link",
            Self::Detached => "the link of the delivery is detached",
            Self::NotResumed => "the delivery was not resumed by its sender yet",
            Self::Incomplete => "the delivery has not arrived completely",
            Self::NotSent => "nothing of the delivery has left yet",
            Self::UnknownTransaction => "there is no such transaction here",
            Self::WrongTransaction => "the delivery is part of another transaction",
        })
    }
}

impl std::error::Error for SettleError {}

impl Receiver<'_> {
    fn end(&mut self) -> Option<&mut ReceiverEnd> {
        self.link.receiver()
    }

    /// What the peer said when it attached.
    pub fn remote_attach(&self) -> Option<&Attach<'static>> {
        self.link.remote_attach.as_deref()
    }

    /// Takes the next whole delivery; room for another is made if credit is replenished as deliveries are taken, or if it came
    /// settled.
    #[inline]
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        // It is looked at where it is, for moving it costs more.
        let next = self.link.receiver()?.ready.as_slice().first().and_then(Option::as_ref);
        let Some((octets, settled)) = next.map(|next| (next.payload.len(), next.settled)) else {
            return self.hand_over();
        };
        self.make_room(1, octets);
        if settled {
            self.settled_on_arrival(1);
        }
        self.link.receiver()?.ready.pop()
    }

    /// Takes the next whole delivery on behalf of somebody who has not seen it yet: its octets and its place in the window stay
    /// occupied until [`taken`](Self::taken) says otherwise.
    #[inline]
    pub fn hand_over(&mut self) -> Option<Delivery> {
        let end = self.end()?;
        let delivery = end.ready.pop();
        end.ready_told &= delivery.is_some();
        delivery
    }

    /// Deliveries that were handed over have reached the application, `octets` of payload in all.
    pub fn taken(&mut self, deliveries: u32, octets: usize) {
        self.make_room(deliveries, octets);
    }

    #[inline(always)]
    fn make_room(&mut self, deliveries: u32, octets: usize) {
        let Some(end) = self.link.receiver() else {
            return;
        };
        let octets = octets.min(end.held);
        let was_full = end.held >= end.link_buffer;
        end.held = end.held.saturating_sub(octets);
        let room = end.credit.make_room(Replenish::Taken, deliveries);
        if let Some(session) = self.session.as_deref_mut() {
            session.release_octets(octets);
        }
        if room || was_full {
            self.touch();
        }
    }

    /// A pre-settled delivery that was taken also counts as settled.
    pub fn settled_on_arrival(&mut self, deliveries: u32) {
        let Some(end) = self.link.receiver() else {
            return;
        };
        if end.credit.make_room(Replenish::Settled, deliveries) {
            self.touch();
        }
    }

    /// The delivery that is still arriving.
    ///
    /// From the first call on the link counts as streamed, also if nothing is arriving: what comes is expected to be taken as it comes,
    /// and the peer is held back while it is not. See [`SessionConfig::session_buffer`](crate::SessionConfig::session_buffer).
    pub fn partial(&mut self) -> Option<Partial<'_>> {
        let end = self.link.receiver()?;
        end.streamed = true;
        let unfinished = std::mem::take(&mut end.unfinished);
        if let Some(session) = self.session.as_deref_mut() {
            session.unfinished = session.unfinished.saturating_sub(unfinished);
        }
        let joined = end.take_joined();
        let incoming = end.incoming.as_mut()?;
        incoming.payload.push(joined);
        Some(Partial { incoming, held: &mut end.held, session: self.session.as_deref_mut() })
    }

    /// The live transaction that a delivery is part of: the peer posted it there, or it was acquired or given an outcome in it. §4.4
    pub fn transaction(&self, delivery: DeliveryKey) -> Option<TransactionId> {
        self.transactions.as_deref()?.member(delivery).map(|(_, transaction)| transaction.id)
    }

    /// Grants exactly `credit` more deliveries, counted from those that have arrived; automatic credit stops. §2.6.7
    ///
    /// Lowering it does not undo deliveries that are on their way.
    pub fn set_credit(&mut self, credit: u32) {
        if let Some(end) = self.end() {
            end.credit.set(credit);
        }
        self.touch();
    }

    /// Grants `credit` deliveries more than before; automatic credit stops. §2.6.7
    pub fn add_credit(&mut self, credit: u32) {
        if let Some(end) = self.end() {
            end.credit.add(credit);
        }
        self.touch();
    }

    /// Changes how credit is granted from now on.
    pub fn set_credit_mode(&mut self, mode: CreditMode) {
        if let Some(end) = self.end() {
            end.credit.set_mode(mode);
        }
        self.touch();
    }

    /// Asks the peer to use up the credit it has: [`LinkEvent::Drained`](crate::LinkEvent::Drained) tells when it has. §2.6.7
    pub fn drain(&mut self) {
        if let Some(end) = self.end() {
            end.credit.start_drain();
        }
        self.link.flow_due = true;
        self.touch();
    }

    /// How many deliveries the peer may still send.
    pub fn credit(&mut self) -> u32 {
        self.end().map_or(0, |end| end.credit.left())
    }

    /// How many messages wait at the peer: what it last said, less what has come since. §2.6.7
    pub fn available(&mut self) -> Option<u32> {
        self.end().and_then(|end| end.available)
    }

    /// Sends properties of the link's state with the next flow. §2.7.4
    ///
    /// # Errors
    /// When a flow with them would be larger than a frame that the peer takes; then nothing is sent.
    pub fn set_properties(&mut self, properties: Fields<'static>) -> Result<(), CommandError> {
        flow_fits(&properties, self.max_frame)?;
        self.tell_properties(properties);
        Ok(())
    }

    fn tell_properties(&mut self, properties: Fields<'static>) {
        let asks = transaction_property(&properties).is_some();
        if let Some(end) = self.end() {
            end.asked |= asks;
        }
        self.link.properties = Some(properties);
        self.touch();
    }

    /// Asks the peer to acquire what it sends from now on within a transaction that was declared there, until that is discharged;
    /// told with the next flow. Credit is best granted by hand, so that none is left at the discharge. §4.4.3
    ///
    /// # Errors
    /// When there is no such transaction, or it may not be used on this session; on a control link none may.
    pub fn acquire(&mut self, transaction: TransactionId) -> Result<(), TransactError> {
        if self.link.is_control() {
            return Err(TransactError::UnknownTransaction);
        }
        let key = self.key;
        let transactions = self.transactions.as_deref_mut().ok_or(TransactError::UnknownTransaction)?;
        let number = transactions.usable(Side::Controller, transaction, self.link.session);
        let found = number.and_then(|number| transactions.get_mut(number)).ok_or(TransactError::UnknownTransaction)?;
        if !found.acquirers.contains(&key) {
            found.acquirers.push(key);
        }
        self.link.acquisition = Some(Box::new(transaction));
        // That fits into any frame.
        self.tell_properties(Fields::new().with(Symbol::from_static(PROPERTY), transaction));
        Ok(())
    }

    /// Tells the state of a delivery and, if `settled`, settles it. §2.6.12
    ///
    /// An outcome of a delivery that is part of a live transaction is told within that: one that the peer posted, or that was
    /// acquired or given an outcome in it. §4.4
    ///
    /// Where the peer is to settle second, a settling outcome waits for its settlement before the delivery is forgotten.
    ///
    /// # Errors
    /// When the delivery is not unsettled here, has not arrived completely, or its link is gone; or when the state is within a
    /// transaction in which it has no place.
    pub fn settle(
        &mut self,
        key: DeliveryKey,
        state: DeliveryState<'static>,
        settled: bool,
    ) -> Result<(), SettleError> {
        if self.transactions.is_some() || matches!(state, DeliveryState::Transactional(_)) {
            return self.settle_in_transaction(key, state, settled);
        }
        self.tell_state(key, state, settled)
    }

    #[inline(always)]
    fn tell_state(
        &mut self,
        key: DeliveryKey,
        state: DeliveryState<'static>,
        settled: bool,
    ) -> Result<(), SettleError> {
        if key.link != self.key {
            return Err(SettleError::Unknown);
        }
        let may_settle = self.link.may_settle();
        let Some(end) = self.link.receiver() else {
            return Err(SettleError::Unknown);
        };
        let Some(delivery) = end.unsettled.get_mut(key.delivery) else {
            return Err(SettleError::Unknown);
        };
        let (id, session) = match (delivery.id, self.session.as_deref_mut()) {
            (Some(id), Some(session)) if may_settle => (id, session),
            (None, Some(_)) if may_settle => return Err(SettleError::NotResumed),
            _ => return Err(SettleError::Detached),
        };
        if settled && !delivery.complete {
            return Err(SettleError::Incomplete);
        }
        let settles_now = settled && delivery.mode == ReceiverSettleMode::First;
        if settles_now {
            end.unsettled.forget(key.delivery);
            session.incoming.remove(id);
            session.settle(Role::Receiver, id, true, Some(state));
            if end.credit.make_room(Replenish::Settled, 1) {
                self.touch();
            }
        } else {
            session.settle(Role::Receiver, id, false, Some(state.clone()));
            delivery.state = Some(Box::new(state));
        }
        Ok(())
    }

    /// The unsettled delivery that has this tag.
    pub fn by_tag(&mut self, tag: &DeliveryTag) -> Option<DeliveryKey> {
        let link = self.key;
        let delivery = self.end()?.unsettled.by_tag(tag)?;
        Some(DeliveryKey { link, delivery })
    }

    /// Whether either end could not tell all of its unsettled deliveries. The link is to be detached and resumed again once the sender
    /// has done what it can. §2.7.3
    pub fn is_unsettled_incomplete(&self) -> bool {
        self.link.is_unsettled_incomplete()
    }

    /// Tells a state within the transaction of the delivery, if it has one.
    #[cold]
    fn settle_in_transaction(
        &mut self,
        key: DeliveryKey,
        state: DeliveryState<'static>,
        settled: bool,
    ) -> Result<(), SettleError> {
        let attached = key.link == self.key && self.link.state.is_attached() && self.session.is_some();
        let delivery = self.end().and_then(|end| end.unsettled.get(key.delivery));
        let sound = delivery.is_some_and(|delivery| delivery.id.is_some() && (delivery.complete || !settled));
        if !attached || !sound {
            // What is wrong is found there; nothing may be entered into the book.
            return self.tell_state(key, state, settled);
        }
        let transactions = self.transactions.as_deref_mut().ok_or(SettleError::UnknownTransaction)?;
        let state = transactions.state_of_received(key, self.link.session, state, settled)?;
        self.tell_state(key, state, settled)
    }

    /// The deliveries that are unsettled here.
    pub fn unsettled(&self) -> Vec<UnsettledDelivery> {
        self.link.unsettled()
    }

    /// Queues a flow if it is worth one.
    #[inline(always)]
    fn touch(&mut self) {
        if self.link.flow_due
            || self.link.properties.is_some()
            || self.link.receiver().is_some_and(|end| end.wants_flow())
        {
            self.queue_flow();
        }
    }

    #[inline(never)]
    fn queue_flow(&mut self) {
        if self.link.state.is_attached()
            && !self.link.flow_queued
            && let Some(session) = self.session.as_deref_mut()
        {
            self.link.flow_queued = true;
            session.flows.push_back(self.key);
        }
    }
}
