//! One end of a link. §2.6

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Instant;

use amqp10_codec::{
    Attach, Coordinator, DeliveryNumber, DeliveryState, DeliveryTag, Flow, Handle, MessageFormat, ReceiverSettleMode,
    Role, SenderSettleMode, SequenceNo, SourceArchetype, Str, Symbol, TransactionId,
};
use bytes::{Bytes, BytesMut};

use crate::coordinator::{PROPERTY, transaction_property};
use crate::credit::Credit;
use crate::deliveries::Incoming;
use crate::queue::Queue;
use crate::resume::Resumes;
use crate::slots::Key;
use crate::state::LinkState;
use crate::terminus::{Arrived, Doubts, Terminus, UnsettledDelivery};
use crate::unsettled::{Tagged, Unsettled};
use crate::{Delivery, LinkConfig, Outcome};

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) session: Key,
    pub(crate) name: Str<'static>,
    pub(crate) state: LinkState,
    /// Nobody waits for the answer to our attach any more, or holds the link.
    pub(crate) abandoned: bool,
    /// Its end has been told.
    pub(crate) told: bool,
    /// We end it for good: closed, or with an error. §2.6.5, §2.6.6
    pub(crate) destroyed: bool,
    /// Either end has detached it with an error. §2.6.5
    pub(crate) failed: bool,
    /// Detached at both ends, but not destroyed: its deliveries are settled as before, and it can be reattached. §2.6.4
    pub(crate) suspended: bool,
    /// It resumes an earlier link, so its attach has an unsettled map.
    pub(crate) resumes: bool,
    /// Our unsettled map was too large for the attach; or the peer's, if we send. §2.7.3
    pub(crate) incomplete: bool,
    pub(crate) handle: Option<Handle>,
    pub(crate) remote_handle: Option<Handle>,
    pub(crate) remote_attach: Option<Box<Attach<'static>>>,
    pub(crate) snd_settle_mode: SenderSettleMode,
    pub(crate) rcv_settle_mode: ReceiverSettleMode,
    /// Whether the link stands in its session's queue of flows.
    pub(crate) flow_queued: bool,
    /// A flow is wanted whatever the credit says.
    pub(crate) flow_due: bool,
    pub(crate) properties: Option<amqp10_codec::Fields<'static>>,
    /// Our coordinator, or what we ask of the peer's: only on control links. §4.1
    pub(crate) coordinator: Option<Box<Coordinator<'static>>>,
    /// Whether it may acquire in transactions of the peer. §4.4.3
    pub(crate) acquires: bool,
    /// The transaction in which what is sent from now on is acquired. §4.4.3
    pub(crate) acquisition: Option<Box<TransactionId>>,
    pub(crate) end: End,
}

/// The part of a link that depends on which end it is.
#[derive(Debug)]
pub(crate) enum End {
    Receiver(Box<ReceiverEnd>),
    Sender(Box<SenderEnd>),
}

#[derive(Debug)]
pub(crate) struct ReceiverEnd {
    pub(crate) credit: Credit,
    pub(crate) delivery_count: SequenceNo,
    pub(crate) max_message_size: Option<u64>,
    pub(crate) link_buffer: usize,
    pub(crate) incoming: Option<Incoming>,
    /// What came last of it in small pieces. They are copied, so that a few octets do not pin a large buffer for long.
    pub(crate) joined: BytesMut,
    pub(crate) ready: Queue<Option<Delivery>>,
    /// What comes are requests, and nothing is told of deliveries.
    pub(crate) control: bool,
    /// The peer was asked to acquire in a transaction. §4.4.3
    pub(crate) asked: bool,
    /// Whether `DeliveryComplete` was told and not everything taken since.
    pub(crate) ready_told: bool,
    /// Octets that came in and were not taken.
    pub(crate) held: usize,
    /// Those among them that belong to a delivery in progress, unless the link is streamed.
    pub(crate) unfinished: usize,
    /// Deliveries are taken as they arrive.
    pub(crate) streamed: bool,
    /// How many messages wait at the sender: what it last said, less what has come since. §2.6.7
    pub(crate) available: Option<u32>,
    pub(crate) unsettled: Unsettled<UnsettledIn>,
    /// Until when one delivery is asked for.
    pub(crate) pull: Option<Instant>,
    /// What an earlier link left of deliveries that were not resumed yet.
    pub(crate) arrived: HashMap<Key, Arrived>,
}

/// A delivery that came in and is unsettled.
#[derive(Debug)]
pub(crate) struct UnsettledIn {
    /// None if it belongs to an earlier link and was not resumed yet.
    pub(crate) id: Option<DeliveryNumber>,
    pub(crate) tag: DeliveryTag,
    /// The state we told, if it was not settled with it.
    pub(crate) state: Option<Box<DeliveryState<'static>>>,
    pub(crate) mode: ReceiverSettleMode,
    /// All of it is here, or no more of it comes; only then can it be settled for good.
    pub(crate) complete: bool,
    /// The sender has told an outcome of its own. §2.6.12
    pub(crate) decided: bool,
}

#[derive(Debug)]
pub(crate) struct SenderEnd {
    pub(crate) initial_delivery_count: SequenceNo,
    pub(crate) delivery_count: SequenceNo,
    /// What the receiver last knew of that count: by its flow, or by our attach.
    known_count: SequenceNo,
    /// How many more deliveries may be started on the wire.
    pub(crate) credit: u32,
    /// The peer wants its credit used up, and has not been told that it is.
    pub(crate) drain: bool,
    /// The application has nothing more to send for that.
    pub(crate) drained: bool,
    pub(crate) available: u32,
    pub(crate) max_message_size: Option<u64>,
    /// Deliveries that have not left completely.
    pub(crate) queue: VecDeque<Outgoing>,
    /// How many of those have not been started on the wire.
    pub(crate) waiting: u32,
    /// Whether the link stands in its session's queue of senders.
    pub(crate) queued: bool,
    /// Every delivery that is not finished with, also those that are sent settled, until they have left.
    pub(crate) unsettled: Unsettled<UnsettledOut>,
    pub(crate) next_tag: u64,
    pub(crate) outcomes: VecDeque<Outcome>,
    /// How many outcomes were taken; with this their places in the queue can be told.
    pub(crate) outcomes_taken: u64,
    pub(crate) outcomes_told: bool,
    /// Deliveries of an earlier link, and those whose outcome the receiver has told without settling.
    pub(crate) doubts: Doubts,
    /// The writer is to be told when no more octets than this are queued.
    pub(crate) notify_below: Option<usize>,
    /// The outcome of what the receiver settles without one. §3.5.3
    pub(crate) default_outcome: Option<Box<DeliveryState<'static>>>,
}

/// A delivery that went out, or is about to.
#[derive(Debug)]
pub(crate) struct UnsettledOut {
    pub(crate) id: Option<DeliveryNumber>,
    pub(crate) tag: DeliveryTag,
    pub(crate) message_format: MessageFormat,
    pub(crate) settled: bool,
    /// It was sent on an earlier link, and has not been resumed or sent again on this one.
    pub(crate) in_doubt: bool,
    /// The number of its outcome that was told last, counted from 1.
    pub(crate) told: Option<NonZeroU64>,
}

impl Tagged for UnsettledIn {
    fn tag(&self) -> &DeliveryTag {
        &self.tag
    }
}

impl Tagged for UnsettledOut {
    fn tag(&self) -> &DeliveryTag {
        &self.tag
    }
}

impl UnsettledOut {
    pub(crate) fn new(tag: DeliveryTag, message_format: MessageFormat, settled: bool) -> Self {
        Self { id: None, tag, message_format, settled, in_doubt: false, told: None }
    }
}

/// A delivery that has not left completely.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) key: Key,
    pub(crate) tag: DeliveryTag,
    pub(crate) message_format: MessageFormat,
    pub(crate) settled: bool,
    /// Its id, once the first transfer has left.
    pub(crate) id: Option<DeliveryNumber>,
    pub(crate) next: Bytes,
    /// All octets written so far, those that left included.
    pub(crate) octets: u64,
    pub(crate) finished: bool,
    pub(crate) aborted: bool,
    /// Apart, because nearly no delivery has anything of it, and all are moved about.
    pub(crate) rare: Option<Box<Rare>>,
}

/// What is out of the ordinary about a delivery that leaves.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// What comes behind `next`.
    pub(crate) more: VecDeque<Bytes>,
    /// What its first transfer says besides, if it resumes a delivery of an earlier link.
    pub(crate) resumes: Option<Resumes>,
    /// What every transfer says of its state: that it is within a transaction. §4.4.1
    pub(crate) state: Option<DeliveryState<'static>>,
}

impl Outgoing {
    pub(crate) fn new(key: Key, tag: DeliveryTag, message_format: MessageFormat, settled: bool, octets: Bytes) -> Self {
        Self {
            key,
            tag,
            message_format,
            settled,
            id: None,
            octets: octets.len() as u64,
            next: octets,
            finished: false,
            aborted: false,
            rare: None,
        }
    }

    /// Whether there is something to send now.
    pub(crate) fn is_sendable(&self) -> bool {
        self.finished || self.aborted || !self.next.is_empty()
    }

    /// Whether all of it waits, in one piece, and nothing of it is out of the ordinary.
    #[inline]
    pub(crate) fn is_ordinary(&self) -> bool {
        self.finished && !self.aborted && self.rare.is_none() && self.id.is_none()
    }

    /// What its first transfer says besides, if it resumes a delivery of an earlier link.
    pub(crate) fn resumes(&self) -> Option<&Resumes> {
        self.rare.as_ref()?.resumes.as_ref()
    }

    /// What every transfer says of its state.
    pub(crate) fn state(&self) -> Option<&DeliveryState<'static>> {
        self.rare.as_ref()?.state.as_ref()
    }

    /// It is not within a transaction any more.
    pub(crate) fn clear_state(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.state = None;
        }
    }

    /// How many octets wait, counted up to `limit`.
    #[inline]
    pub(crate) fn waiting(&self, limit: usize) -> usize {
        let mut octets = self.next.len();
        for part in self.rare.iter().flat_map(|rare| &rare.more) {
            if octets >= limit {
                break;
            }
            octets = octets.saturating_add(part.len());
        }
        octets.min(limit)
    }

    /// Takes at most `room` octets from the front, all of one part.
    #[inline]
    pub(crate) fn take(&mut self, room: usize) -> Bytes {
        if self.next.len() > room {
            return self.next.split_to(room);
        }
        let next = self.rare.as_mut().and_then(|rare| rare.more.pop_front()).unwrap_or_default();
        std::mem::replace(&mut self.next, next)
    }

    pub(crate) fn push(&mut self, octets: Bytes) {
        self.octets = self.octets.saturating_add(octets.len() as u64);
        if self.next.is_empty() {
            self.next = octets;
        } else if !octets.is_empty() {
            self.rare.get_or_insert_default().more.push_back(octets);
        }
    }
}

impl Link {
    /// Our end as configured.
    pub(crate) fn new(session: Key, config: &mut LinkConfig, state: LinkState) -> Self {
        let coordinator = config.target.as_ref().and_then(|target| target.as_coordinator());
        let coordinator = coordinator.map(|coordinator| Box::new(coordinator.clone()));
        // A control link cannot be resumed. §4.2
        let terminus = config.terminus.take().filter(|_| coordinator.is_none());
        let resumes = terminus.is_some();
        let terminus = terminus.unwrap_or_default();
        let snd_settle_mode = match config.snd_settle_mode {
            // A request that is sent settled has no answer. §4.2
            SenderSettleMode::Settled if config.role == Role::Sender && coordinator.is_some() => {
                SenderSettleMode::Unsettled
            }
            mode => mode,
        };
        let end = match config.role {
            Role::Receiver => End::Receiver(Box::new(ReceiverEnd::new(config, terminus, coordinator.is_some()))),
            Role::Sender => End::Sender(Box::new(SenderEnd::new(config, terminus))),
        };
        Self {
            session,
            name: config.name.clone(),
            state,
            abandoned: false,
            told: false,
            destroyed: false,
            failed: false,
            suspended: false,
            resumes,
            incomplete: false,
            handle: None,
            remote_handle: None,
            remote_attach: None,
            snd_settle_mode,
            rcv_settle_mode: config.rcv_settle_mode,
            flow_queued: false,
            flow_due: false,
            properties: None,
            coordinator,
            acquires: config.role == Role::Sender && config.transactional_acquisition,
            acquisition: None,
            end,
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self.end {
            End::Receiver(_) => Role::Receiver,
            End::Sender(_) => Role::Sender,
        }
    }

    /// Whether transactions are declared and discharged on it. §4.1
    pub(crate) fn is_control(&self) -> bool {
        self.coordinator.is_some()
    }

    pub(crate) fn receiver(&mut self) -> Option<&mut ReceiverEnd> {
        if let End::Receiver(receiver) = &mut self.end { Some(receiver) } else { None }
    }

    pub(crate) fn sender(&mut self) -> Option<&mut SenderEnd> {
        if let End::Sender(sender) = &mut self.end { Some(sender) } else { None }
    }

    /// Our attach.
    pub(crate) fn attach(&self, handle: Handle, config: LinkConfig) -> Attach<'static> {
        Attach {
            snd_settle_mode: self.snd_settle_mode,
            rcv_settle_mode: self.rcv_settle_mode,
            source: config.source,
            target: config.target,
            unsettled: self.resumes.then(amqp10_codec::Map::new),
            initial_delivery_count: match &self.end {
                End::Sender(sender) => Some(sender.delivery_count),
                End::Receiver(_) => None,
            },
            max_message_size: config.max_message_size,
            offered_capabilities: config.offered_capabilities,
            desired_capabilities: config.desired_capabilities,
            properties: config.properties,
            ..Attach::new(config.name, handle, config.role)
        }
    }

    /// Takes over what the peer's attach says.
    pub(crate) fn receive_attach(&mut self, attach: &Attach<'_>) {
        self.remote_handle = Some(attach.handle);
        match &mut self.end {
            End::Receiver(receiver) => {
                // The sender of a link may wish for a mode, the receiver decides; and the other way round. §2.7.3
                self.snd_settle_mode = attach.snd_settle_mode;
                receiver.delivery_count = attach.initial_delivery_count.unwrap_or_default();
            }
            End::Sender(sender) => {
                self.rcv_settle_mode = attach.rcv_settle_mode;
                self.incomplete |= attach.incomplete_unsettled;
                sender.max_message_size = attach.max_message_size.filter(|size| *size > 0);
            }
        }
    }

    /// Takes over what the peer's flows told before the link was answered.
    pub(crate) fn take_early_flow(&mut self, early: &mut Self) {
        self.flow_due = early.flow_due;
        self.acquisition = early.acquisition.take();
        if let (Some(end), Some(early)) = (self.sender(), early.sender()) {
            (end.credit, end.drain) = (early.credit, early.drain);
        }
    }

    /// The unsettled deliveries of this end.
    pub(crate) fn unsettled(&self) -> Vec<UnsettledDelivery> {
        match &self.end {
            End::Receiver(receiver) => receiver.unsettled(),
            End::Sender(sender) => sender.unsettled(),
        }
    }

    /// Whether either attach had no room for all unsettled deliveries.
    pub(crate) fn is_unsettled_incomplete(&self) -> bool {
        self.incomplete || self.remote_attach.as_ref().is_some_and(|attach| attach.incomplete_unsettled)
    }

    /// Whether deliveries may be settled: frames that name them by delivery-id mean something. §2.6.4
    pub(crate) fn may_settle(&self) -> bool {
        self.state.is_attached() || self.suspended
    }

    /// What the link's part of a flow says; `None` if there is nothing worth a frame.
    pub(crate) fn flow(&mut self, flow: &mut Flow<'static>) -> bool {
        let Some(handle) = self.handle else {
            return false;
        };
        let forced = std::mem::take(&mut self.flow_due) || self.properties.is_some();
        match &mut self.end {
            End::Receiver(receiver) => {
                let due = receiver.credit.due(receiver.held < receiver.link_buffer);
                if let Some(credit) = due {
                    receiver.credit.announced(credit);
                } else if !forced {
                    return false;
                }
                flow.delivery_count = Some(receiver.delivery_count);
                flow.link_credit = Some(receiver.credit.left());
                flow.drain = receiver.credit.is_draining();
                // A sender without credit has nothing to drain, and might say nothing.
                flow.echo = flow.drain && receiver.credit.left() == 0;
            }
            End::Sender(sender) => {
                if !forced {
                    return false;
                }
                flow.delivery_count = Some(sender.delivery_count);
                flow.link_credit = Some(sender.credit);
                flow.available = Some(sender.available.saturating_add(sender.waiting));
                flow.drain = sender.drain;
                // The answer to a drain ends it.
                sender.drain &= sender.credit > 0;
            }
        }
        flow.handle = Some(handle);
        flow.properties = self.properties.take();
        if let (Some(id), Role::Sender) = (&self.acquisition, self.role()) {
            // It says so of what it will send. §4.4
            let properties = flow.properties.get_or_insert_default();
            if transaction_property(properties).is_none() {
                properties.push(&Symbol::from_static(PROPERTY), &**id);
            }
        }
        true
    }
}

impl ReceiverEnd {
    fn new(config: &LinkConfig, terminus: Terminus, control: bool) -> Self {
        let mut end = Self {
            credit: Credit::new(config.credit),
            delivery_count: SequenceNo(0),
            max_message_size: config.max_message_size.filter(|size| *size > 0),
            link_buffer: config.link_buffer,
            incoming: None,
            joined: BytesMut::new(),
            ready: Queue::default(),
            control,
            asked: false,
            ready_told: control,
            held: 0,
            unfinished: 0,
            streamed: false,
            available: None,
            unsettled: Unsettled::default(),
            pull: None,
            arrived: HashMap::new(),
        };
        end.take_terminus(terminus, config.rcv_settle_mode);
        end
    }

    /// Whether the peer may send more, now or soon.
    pub(crate) fn may_get_more(&self) -> bool {
        self.credit.left() > 0 || self.wants_flow()
    }

    /// Whether a flow with new credit would be worth sending.
    #[inline]
    pub(crate) fn wants_flow(&self) -> bool {
        self.credit.due(self.held < self.link_buffer).is_some()
    }

    /// What came of the delivery in progress in small pieces since the last large one.
    pub(crate) fn take_joined(&mut self) -> Bytes {
        std::mem::take(&mut self.joined).freeze()
    }
}

/// The default-outcome of the sender's source.
fn default_outcome(config: &LinkConfig) -> Option<Box<DeliveryState<'static>>> {
    let source = config.source.as_ref().and_then(SourceArchetype::as_source)?;
    source.default_outcome.clone().map(|outcome| Box::new(outcome.into()))
}

impl SenderEnd {
    fn new(config: &LinkConfig, terminus: Terminus) -> Self {
        let mut end = Self {
            initial_delivery_count: config.initial_delivery_count,
            delivery_count: config.initial_delivery_count,
            known_count: config.initial_delivery_count,
            credit: 0,
            drain: false,
            drained: false,
            available: 0,
            max_message_size: None,
            queue: VecDeque::new(),
            waiting: 0,
            queued: false,
            unsettled: Unsettled::default(),
            next_tag: 0,
            outcomes: VecDeque::new(),
            outcomes_taken: 0,
            outcomes_told: false,
            doubts: Doubts::new(),
            notify_below: None,
            default_outcome: default_outcome(config),
        };
        end.take_terminus(terminus);
        end
    }

    /// How far the delivery-count is ahead of `count`, by which the receiver has counted its credit. §2.6.7
    pub(crate) fn in_flight(&mut self, count: SequenceNo) -> u32 {
        // Credit that was given up takes the count further than serial numbers can be compared, but never 2^32 beyond what the
        // receiver knows: from there on it is told apart.
        let unknown = self.delivery_count.beyond(self.known_count);
        match unknown.checked_sub(count.beyond(self.known_count)) {
            Some(in_flight) => {
                self.known_count = count;
                in_flight
            }
            // It counts in a way of its own.
            None => self.delivery_count.ahead_of(count).max(0).unsigned_abs(),
        }
    }

    /// Uses up what is left of the credit if the peer wants it and nothing stands before. Returns whether that is to be told.
    pub(crate) fn finish_drain(&mut self) -> bool {
        let between_deliveries = self.queue.front().is_none_or(|next| next.id.is_none());
        let nothing_more = self.credit == 0 || (self.drained && self.queue.is_empty());
        if !self.drain || !between_deliveries || !nothing_more {
            return false;
        }
        self.delivery_count = self.delivery_count.plus(self.credit);
        (self.credit, self.drained) = (0, false);
        true
    }

    /// How many octets are queued, counted up to `limit`.
    pub(crate) fn queued_octets(&self, limit: usize) -> usize {
        let mut octets = 0_usize;
        for delivery in &self.queue {
            if octets >= limit {
                break;
            }
            octets = octets.saturating_add(delivery.waiting(limit));
        }
        octets.min(limit)
    }

    /// Whether the writer is to be told now that there is room.
    #[cold]
    pub(crate) fn is_writable(&mut self) -> bool {
        let writable = self.notify_below.is_some_and(|most| self.queued_octets(most.saturating_add(1)) <= most);
        if writable {
            self.notify_below = None;
        }
        writable
    }

    /// Forgets a delivery that is settled, or has left settled.
    #[inline(always)]
    pub(crate) fn forget(&mut self, key: Key) {
        if !self.doubts.is_empty() {
            self.doubts.remove(&key);
        }
        self.unsettled.forget(key);
    }

    /// Tells an outcome; one of the same delivery that was not taken yet is replaced. Returns whether there is an event to tell.
    pub(crate) fn tell(&mut self, outcome: Outcome) -> bool {
        let next = self.outcomes_taken.wrapping_add(self.outcomes.len() as u64).wrapping_add(1);
        let mut unsettled = self.unsettled.get_mut(outcome.key.delivery);
        let before = unsettled.as_ref().and_then(|delivery| delivery.told);
        match told_before(&mut self.outcomes, self.outcomes_taken, before) {
            Some(place) => replace(place, outcome),
            None => {
                if let Some(delivery) = &mut unsettled {
                    delivery.told = NonZeroU64::new(next);
                }
                self.outcomes.push_back(outcome);
            }
        }
        !std::mem::replace(&mut self.outcomes_told, true)
    }

    /// Tells the outcome of a delivery, as [`tell`](Self::tell), and forgets that: it is settled.
    #[inline(always)]
    pub(crate) fn tell_settled(&mut self, outcome: Outcome) -> bool {
        let before = self.unsettled.get(outcome.key.delivery).and_then(|delivery| delivery.told);
        self.forget(outcome.key.delivery);
        match told_before(&mut self.outcomes, self.outcomes_taken, before) {
            Some(place) => replace(place, outcome),
            None => self.outcomes.push_back(outcome),
        }
        !std::mem::replace(&mut self.outcomes_told, true)
    }

    #[inline]
    pub(crate) fn take_outcome(&mut self) -> Option<Outcome> {
        let outcome = self.outcomes.pop_front();
        self.outcomes_told &= outcome.is_some();
        self.outcomes_taken = self.outcomes_taken.wrapping_add(u64::from(outcome.is_some()));
        outcome
    }

    /// Takes a place for a delivery, under a fresh tag if it has none of its own; `None` if that is in use.
    #[inline(always)]
    pub(crate) fn place(
        &mut self,
        own: Option<DeliveryTag>,
        message_format: MessageFormat,
        settled: bool,
    ) -> Option<(Key, DeliveryTag)> {
        loop {
            let tag = own.unwrap_or_else(|| self.next_tag());
            let key = self.unsettled.insert_with(&tag, || UnsettledOut::new(tag, message_format, settled));
            if key.is_some() || own.is_some() {
                return key.map(|key| (key, tag));
            }
        }
    }

    /// A tag that was not made on this link before: a counter, without the zeros before it.
    #[inline]
    fn next_tag(&mut self) -> DeliveryTag {
        let number = self.next_tag;
        self.next_tag = number.wrapping_add(1);
        let [.., a, b, c, d] = number.to_be_bytes();
        let tag = match number {
            // Where it is known how many there are they are not copied by a call.
            0..=0xff => DeliveryTag::new(&[d]),
            0x100..=0xffff => DeliveryTag::new(&[c, d]),
            0x1_0000..=0xff_ffff => DeliveryTag::new(&[b, c, d]),
            0x100_0000..=0xffff_ffff => DeliveryTag::new(&[a, b, c, d]),
            _ => Ok(number.into()),
        };
        tag.unwrap_or_else(|_| number.into())
    }
}

/// The outcome of this number, if it was not taken yet.
#[inline]
fn told_before(outcomes: &mut VecDeque<Outcome>, taken: u64, number: Option<NonZeroU64>) -> Option<&mut Outcome> {
    let place = number?.get().checked_sub(taken)?.checked_sub(1)?;
    outcomes.get_mut(usize::try_from(place).ok()?)
}

/// Replaces an outcome by a later one of the same delivery. No state leaves the one before as it was. §2.7.6
fn replace(told: &mut Outcome, mut outcome: Outcome) {
    outcome.state = outcome.state.or_else(|| told.state.take());
    *told = outcome;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliveries::Ledger;
    use crate::slots::Slots;

    /// What an unsettled delivery takes besides its payload and beyond the slack of collections: its place among those of its link, its
    /// entry in the ledger of its session, and, unless tags count up, its place in the table of tags.
    #[test]
    fn an_unsettled_delivery_takes_at_most_96_octets() {
        // A slot's number and an octet beside it; a table that has just grown is filled to seven sixteenths.
        let in_table = ((size_of::<u32>() + 1) * 16).div_ceil(7);
        for slot in [Slots::<UnsettledIn>::SLOT, Slots::<UnsettledOut>::SLOT] {
            assert!(slot + Ledger::ENTRY + in_table <= 96, "{slot}, {} and {in_table}", Ledger::ENTRY);
        }
    }
}
