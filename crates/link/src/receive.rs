//! Flows, dispositions and transfers that come in.

use amqp10_codec::{
    DeliveryNumber, DeliveryState, DeliveryTag, Disposition, Flow, IntoOwned, ReceiverSettleMode, Role,
    SenderSettleMode, Transfer,
};
use bytes::Bytes;

use crate::connection::Connection;
use crate::deliveries::{Delivery, DeliveryKey, Head, Incoming, Payload};
use crate::event::{Event, LinkEvent};
use crate::link::{Link, ReceiverEnd, UnsettledIn};
use crate::session::Session;
use crate::slots::{Key, LinkId};
use crate::state::LinkState;
use crate::transaction::Transactions;
use crate::transfers::Transfers;
use crate::violation::Violation;
use crate::{Outcome, Replenish, coordinator, resume, transaction};

/// Transfers without payload that one delivery may have.
const MAX_EMPTY_TRANSFERS: u32 = 64;

/// Pieces of a delivery that have fewer octets than this are copied together.
const SMALL_PIECE: usize = 16 * 1024;

impl Connection {
    pub(crate) fn handle_flow(&mut self, key: Key, flow: Flow<'_>) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if flow.next_incoming_id.is_none() && session.answered {
            return self.violation(Violation::NextIncomingId, Some(key), None);
        }
        let Some(handle) = flow.handle else {
            if flow.delivery_count.is_some() || flow.link_credit.is_some() || flow.drain {
                return self.violation(Violation::FlowWithoutHandle, Some(key), None);
            }
            session.receive_flow(&flow);
            return;
        };
        session.receive_flow(&flow);
        let Some(link_key) = session.by_remote_handle(handle) else {
            let violation = session.errant.unattached(handle, "flow");
            return self.violation(violation, Some(key), None);
        };
        let Some(link) = self.links.get_mut(link_key) else {
            return;
        };
        // A receiver may grant credit right behind its attach; that is told once the link is attached. §2.6.7
        let early = link.state == LinkState::AttachReceived && link.role() == Role::Sender;
        if !link.state.is_attached() && !early {
            return;
        }
        let id = LinkId(link_key);
        let mut told = Vec::new();
        if let Some(end) = link.receiver() {
            end.available = flow.available;
            let count = flow.delivery_count.unwrap_or(end.delivery_count);
            let advance = count.beyond(end.delivery_count);
            if end.delivery_count.precedes(count) || end.credit.may_give_back(advance) {
                end.credit.give_back(advance);
                end.delivery_count = count;
            }
            if end.credit.finish_drain() {
                let pulled = end.pull.take().is_some();
                told.push(if pulled { LinkEvent::Pulled { delivered: false } } else { LinkEvent::Drained });
            }
        } else if let Some(end) = link.sender() {
            if let Some(credit) = flow.link_credit {
                let before = end.credit.saturating_sub(end.waiting);
                // Before our attach the peer cannot know a count.
                let count = flow.delivery_count.filter(|_| !early);
                let base = count.unwrap_or(end.initial_delivery_count);
                let in_flight = end.in_flight(base);
                end.credit = credit.saturating_sub(in_flight);
                if end.credit.saturating_sub(end.waiting) > before {
                    told.push(LinkEvent::Sendable);
                }
                let resumes = !end.queue.is_empty() && !end.queued;
                if resumes {
                    end.queued = true;
                    session.senders.push_back(link_key);
                }
            }
            let wanted = std::mem::replace(&mut end.drain, flow.drain);
            end.drained &= flow.drain;
            if end.finish_drain() {
                link.flow_due = true;
            } else if flow.drain && !wanted {
                told.push(LinkEvent::Drain);
            }
        }
        link.flow_due |= flow.echo;
        if early {
            told.clear();
        }
        let wants_flow = link.flow_due || link.receiver().is_some_and(|end| end.wants_flow());
        if wants_flow && !early && !std::mem::replace(&mut link.flow_queued, true) {
            session.flows.push_back(link_key);
        }
        if let Some(properties) = flow.properties {
            if link.role() == Role::Sender
                && let Some(wanted) = coordinator::transaction_property(&properties)
            {
                if early {
                    // Whether the link may do that is known when it is attached.
                    link.acquisition = coordinator::named(&wanted).map(Box::new);
                } else if let Err(violation) = self.acquire(key, link_key, &wanted) {
                    return self.violation(violation, Some(key), Some(link_key));
                }
            }
            told.push(LinkEvent::Properties(properties.into_owned()));
        }
        self.events.extend(told.into_iter().map(|event| Event::Link(id, event)));
    }

    pub(crate) fn handle_disposition(&mut self, key: Key, disposition: Disposition<'_>) {
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        if last.precedes(first) {
            return self.violation(Violation::DispositionRange, Some(key), None);
        }
        if self.sessions.get_mut(key).is_some_and(|session| session.names_errant(disposition.role, first, last)) {
            return self.violation(Violation::ErrantLink, Some(key), None);
        }
        if (self.transactions.is_some() || matches!(disposition.state, Some(DeliveryState::Transactional(_))))
            && !self.disposition_in_transactions(key, &disposition)
        {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let mut answers = Vec::new();
        let state = disposition.state.into_owned();
        match disposition.role {
            // The peer speaks of what it has received from us.
            Role::Receiver if disposition.settled => {
                let undecided = matches!(state, None | Some(DeliveryState::Received(_)));
                let mut found: Option<(Key, &mut Link)> = None;
                for entry in session.outgoing.take_range(first, last) {
                    // Nearly always all of them are of one link.
                    if found.as_ref().is_none_or(|(key, _)| *key != entry.link) {
                        found = self.links.get_mut(entry.link).map(|link| (entry.link, link));
                    }
                    let Some((_, link)) = &mut found else { continue };
                    let control = link.is_control();
                    let Some(end) = link.sender() else { continue };
                    let decided = if undecided { end.outcome_of(entry.delivery) } else { None };
                    let key = DeliveryKey { link: entry.link, delivery: entry.delivery };
                    let outcome = Outcome { key, state: decided.or_else(|| copy(&state)), settled: true };
                    if control {
                        end.forget(entry.delivery);
                        answers.push(outcome);
                    } else if end.tell_settled(outcome) {
                        self.events.push_back(Event::Link(LinkId(entry.link), LinkEvent::Outcomes));
                    }
                }
            }
            Role::Receiver => {
                for entry in session.outgoing.range(first, last) {
                    let Some(link) = self.links.get_mut(entry.link) else {
                        continue;
                    };
                    let control = link.is_control();
                    let Some(end) = link.sender() else { continue };
                    let key = DeliveryKey { link: entry.link, delivery: entry.delivery };
                    let outcome = Outcome { key, state: state.clone(), settled: false };
                    if control {
                        answers.push(outcome);
                    } else if end.tell(outcome) {
                        self.events.push_back(Event::Link(LinkId(entry.link), LinkEvent::Outcomes));
                    }
                    if let Some(outcome) = state.as_ref().filter(|state| state.is_outcome()) {
                        end.remember(entry.delivery, outcome);
                    }
                }
            }
            // The peer speaks of what it has sent to us.
            Role::Sender if disposition.settled || state.as_ref().is_some_and(DeliveryState::is_outcome) => {
                for entry in session.incoming.range(first, last) {
                    let Some(link) = self.links.get_mut(entry.link) else {
                        continue;
                    };
                    let Some(end) = link.receiver() else { continue };
                    let Some(unsettled) = end.unsettled.get_mut(entry.delivery) else {
                        continue;
                    };
                    if std::mem::replace(&mut unsettled.decided, true) && !disposition.settled {
                        // An outcome does not change, and is told once. §3.4
                        continue;
                    }
                    let key = DeliveryKey { link: entry.link, delivery: entry.delivery };
                    let outcome = Outcome { key, state: state.clone(), settled: disposition.settled };
                    self.events.push_back(Event::Link(LinkId(entry.link), LinkEvent::Disposition(outcome)));
                    if !disposition.settled {
                        continue;
                    }
                    if !unsettled.complete {
                        // It is settled, but the rest of it still comes.
                        if let Some(incoming) = &mut end.incoming {
                            incoming.head.settled = true;
                        }
                        continue;
                    }
                    end.unsettled.remove(entry.delivery);
                    session.incoming.remove(entry.id);
                    end.credit.make_room(Replenish::Settled, 1);
                    if end.wants_flow() && !std::mem::replace(&mut link.flow_queued, true) {
                        session.flows.push_back(entry.link);
                    }
                }
            }
            Role::Sender => {}
        }
        for answer in answers {
            self.handle_answer(answer);
        }
    }

    /// Handles a transfer, and those behind it on the same link as long as each is a whole delivery and nothing else is to be done.
    pub(crate) fn handle_transfer(&mut self, session_key: Key, transfers: &mut Transfers<'_>) {
        transfers.waits = false;
        let transfer = &transfers.transfer;
        let Some(session) = self.sessions.get_mut(session_key) else {
            return;
        };
        if !session.receive_transfer() {
            return self.violation(Violation::WindowViolation, Some(session_key), None);
        }
        let Some(key) = session.by_remote_handle(transfer.handle) else {
            let violation = session.errant.unattached(transfer.handle, "transfer");
            return self.violation(violation, Some(session_key), None);
        };
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        match link.state {
            LinkState::Attached => {}
            LinkState::AttachReceived | LinkState::Refused => {
                return self.violation(Violation::TransferLimitExceeded, Some(session_key), Some(key));
            }
            // It may have crossed our detach.
            _ => return,
        }
        let mut modes = (link.snd_settle_mode, link.rcv_settle_mode);
        if let Some(mode) = transfer.rcv_settle_mode.filter(|_| transfer.settled != Some(true)) {
            if (modes.1, mode) == (ReceiverSettleMode::First, ReceiverSettleMode::Second) {
                return self.violation(Violation::SettlesSecond, Some(session_key), Some(key));
            }
            modes.1 = mode;
        }
        if let Some(state) = &transfer.state
            && let Err(violation) =
                transaction::check_transfer(self.transactions.as_deref(), session_key, key, link, state)
        {
            return self.violation(violation, Some(session_key), Some(key));
        }
        let incomplete = link.incomplete;
        let Some(end) = link.receiver() else {
            return self.violation(Violation::TransferFromReceiver, Some(session_key), None);
        };
        let aborted = transfer.aborted;
        if is_whole(transfer) && end.incoming.is_none() && !incomplete {
            // The ordinary delivery: all of it in one transfer.
            let (handle, own_mode) = (transfer.handle, transfer.rcv_settle_mode.is_some());
            loop {
                if let Err(refused) = end.whole(session, key, modes, transfers) {
                    return self.violation(refused.into(), Some(session_key), Some(key));
                }
                if !std::mem::replace(&mut end.ready_told, true) {
                    self.events.push_back(Event::Link(LinkId(key), LinkEvent::DeliveryComplete));
                }
                if own_mode || end.control || end.credit.left() == 0 || !transfers.advance() {
                    break;
                }
                let next = &transfers.transfer;
                if next.handle != handle || next.rcv_settle_mode.is_some() || !is_whole(next) {
                    break;
                }
                if !session.receive_transfer() {
                    break;
                }
                transfers.waits = false;
            }
        } else if incomplete && end.incoming.is_none() && !transfer.resume {
            return self.violation(Violation::UnsettledIncomplete, Some(session_key), Some(key));
        } else {
            match end.part(session, key, modes, transfer, transfers.payload(), self.transactions.as_deref_mut()) {
                Ok(events) => {
                    self.events.extend(events.into_iter().flatten().map(|event| Event::Link(LinkId(key), event)))
                }
                Err(violation) => return self.violation(violation, Some(session_key), Some(key)),
            }
        }
        let drained = end.incoming.is_none() && end.credit.finish_drain();
        if end.credit.left() == 0 && end.pull.is_some() {
            let used = end.incoming.is_none();
            let event = used.then(|| end.pull_is_used(!end.ready.is_empty(), drained)).flatten();
            self.events.extend(event.map(|event| Event::Link(LinkId(key), event)));
        } else if drained {
            // The sender need not say so if it has used up everything by sending. §2.6.7
            self.events.push_back(Event::Link(LinkId(key), LinkEvent::Drained));
        }
        let control = end.control;
        // A delivery takes as much from the credit as from the room, so that a flow is worth sending only when nothing is left.
        if (aborted || end.credit.left() == 0) && end.wants_flow() && !std::mem::replace(&mut link.flow_queued, true) {
            session.flows.push_back(key);
        }
        if control {
            self.handle_requests(session_key, key);
        }
    }
}

/// Whether a transfer is the only one of its delivery, and says nothing of its state.
#[inline(always)]
fn is_whole(transfer: &Transfer<'_>) -> bool {
    !(transfer.more || transfer.aborted || transfer.resume) && transfer.state.is_none()
}

/// A delivery that has its place among the unsettled ones.
struct Begun<'t> {
    key: DeliveryKey,
    id: DeliveryNumber,
    tag: &'t DeliveryTag,
    settled: bool,
}

/// Why a delivery cannot begin: a [`Violation`] in an octet, since something larger would be moved about for every delivery that can.
enum Refused {
    NoId,
    NoTag,
    Id,
    Credit,
    Tag,
    Size,
}

impl From<Refused> for Violation {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoId => Self::MissingOnFirstTransfer("delivery-id"),
            Refused::NoTag => Self::MissingOnFirstTransfer("delivery-tag"),
            Refused::Id => Self::DeliveryId,
            Refused::Credit => Self::TransferLimitExceeded,
            Refused::Tag => Self::DuplicateTag,
            Refused::Size => Self::MessageSizeExceeded,
        }
    }
}

/// A copy of a state. Nearly always it is accepted, which takes no call.
#[inline]
fn copy(state: &Option<DeliveryState<'static>>) -> Option<DeliveryState<'static>> {
    if let Some(DeliveryState::Accepted) = state { Some(DeliveryState::Accepted) } else { state.clone() }
}

/// How the sender and the receiver of a delivery settle it.
type Modes = (SenderSettleMode, ReceiverSettleMode);

impl ReceiverEnd {
    /// A delivery begins: it takes its place among the unsettled ones.
    #[inline(always)]
    fn begin<'t>(
        &mut self,
        session: &mut Session,
        link: Key,
        modes: Modes,
        transfer: &'t Transfer<'_>,
    ) -> Result<Begun<'t>, Refused> {
        let id = transfer.delivery_id.ok_or(Refused::NoId)?;
        let tag = transfer.delivery_tag.as_ref().ok_or(Refused::NoTag)?;
        if session.next_incoming_delivery.is_some_and(|next| id.precedes(next)) || !session.incoming.admits(id) {
            return Err(Refused::Id);
        }
        self.credit.spend().map_err(|_| Refused::Credit)?;
        self.delivery_count = self.delivery_count.next();
        self.available = self.available.map(|waiting| waiting.saturating_sub(1));
        session.next_incoming_delivery = Some(id.next());
        let complete = !transfer.more;
        let unsettled =
            || UnsettledIn { id: Some(id), tag: *tag, state: None, mode: modes.1, complete, decided: false };
        let delivery = self.unsettled.insert_with(tag, unsettled).ok_or(Refused::Tag)?;
        session.incoming.push(id, link, delivery);
        let settled = modes.0 == SenderSettleMode::Settled || transfer.settled == Some(true);
        Ok(Begun { key: DeliveryKey { link, delivery }, id, tag, settled })
    }

    /// So many octets of a delivery, of which `all` have come by now, are held from now on.
    #[inline(always)]
    fn hold(&mut self, session: &mut Session, octets: usize, all: u64) -> Result<(), Refused> {
        if self.max_message_size.is_some_and(|limit| all > limit) {
            return Err(Refused::Size);
        }
        self.held = self.held.saturating_add(octets);
        session.held = session.held.saturating_add(octets);
        Ok(())
    }

    /// A delivery that came in several transfers is here and can be taken.
    fn complete(&mut self, session: &mut Session, head: Head, payload: Payload) {
        if head.settled {
            self.unsettled.remove(head.key.delivery);
            session.incoming.remove(head.id);
        }
        let Head { key, tag, message_format, settled, transactional, .. } = head;
        self.ready.push(Some(Delivery { key, tag, message_format, settled, transactional, payload }));
    }

    /// A delivery in one transfer.
    #[inline(always)]
    fn whole(
        &mut self,
        session: &mut Session,
        link: Key,
        modes: Modes,
        transfers: &Transfers<'_>,
    ) -> Result<(), Refused> {
        let transfer = &transfers.transfer;
        let Begun { key, id, tag, settled } = self.begin(session, link, modes, transfer)?;
        self.hold(session, transfers.octets(), transfers.octets() as u64)?;
        if settled {
            self.unsettled.forget(key.delivery);
            session.incoming.remove(id);
        }
        self.ready.push(Some(Delivery {
            key,
            tag: *tag,
            message_format: transfer.message_format.unwrap_or_default(),
            settled,
            transactional: false,
            payload: Payload::new(transfers.payload()),
        }));
        Ok(())
    }

    /// One of several transfers of a delivery, or of one that is aborted; and what there is to tell.
    fn part(
        &mut self,
        session: &mut Session,
        link: Key,
        modes: Modes,
        transfer: &Transfer<'_>,
        payload: Bytes,
        transactions: Option<&mut Transactions>,
    ) -> Result<[Option<LinkEvent>; 3], Violation> {
        let (mut incoming, resumed) = match self.incoming.take() {
            Some(incoming) => (incoming.goes_on(transfer)?, None),
            None if transfer.resume => resume::begin(session, link, self, transfer, modes.1)?,
            None => {
                let Begun { key, id, tag, settled } = self.begin(session, link, modes, transfer)?;
                let message_format = transfer.message_format.unwrap_or_default();
                (Incoming::new(Head { key, id, tag: *tag, message_format, settled, transactional: false }), None)
            }
        };
        let key = incoming.head.key;
        if let Some(transactions) = transactions {
            let transactional = transactions.received(key, transfer, incoming.head.settled, self.asked);
            incoming.head.transactional |= transactional;
        }
        if transfer.aborted {
            let known = self.unsettled.remove(key.delivery).is_some();
            session.incoming.remove(incoming.head.id);
            session.unfinished = session.unfinished.saturating_sub(std::mem::take(&mut self.unfinished));
            let octets = incoming.payload.len().saturating_add(self.take_joined().len());
            self.held = self.held.saturating_sub(octets);
            session.release_octets(octets);
            self.credit.make_room_now();
            let told = known && !self.control;
            return Ok([resumed, told.then_some(LinkEvent::DeliveryAborted(key)), None]);
        }
        if payload.is_empty() && transfer.more {
            incoming.empty_transfers = incoming.empty_transfers.saturating_add(1);
            if incoming.empty_transfers > MAX_EMPTY_TRANSFERS {
                return Err(Violation::EmptyTransfers);
            }
        }
        // That a delivery is within a transaction is said by the delivery itself.
        let told = |state: &&DeliveryState<'_>| !matches!(state, DeliveryState::Transactional(_));
        let state = transfer.state.as_ref().filter(|_| incoming.resumed.is_none()).filter(told);
        let state = state.cloned().map(IntoOwned::into_owned);
        let mut said = state
            .map(|state| LinkEvent::Disposition(Outcome { key, state: Some(state), settled: incoming.head.settled }));
        let payload = match &mut incoming.resumed {
            None => payload,
            Some(resumed) => resumed.trim(payload),
        };
        incoming.octets = incoming.octets.saturating_add(payload.len() as u64);
        self.hold(session, payload.len(), incoming.octets)?;
        if transfer.more && !self.streamed {
            self.unfinished = self.unfinished.saturating_add(payload.len());
            session.unfinished = session.unfinished.saturating_add(payload.len());
            if session.unfinished > session.config.partial_buffer {
                return Err(Violation::PartialBuffer);
            }
        }
        if payload.len() < SMALL_PIECE {
            self.joined.extend_from_slice(&payload);
        } else {
            incoming.payload.push(self.take_joined());
            incoming.payload.push(payload);
        }
        let events = if transfer.more {
            let started = !self.control && !std::mem::replace(&mut incoming.started, true);
            let ready = !self.control && !std::mem::replace(&mut incoming.told, true);
            self.incoming = Some(incoming);
            let started = started.then_some(LinkEvent::DeliveryStarted(key));
            [resumed.or(said), started, ready.then_some(LinkEvent::DataReady(key))]
        } else {
            incoming.payload.push(self.take_joined());
            session.unfinished = session.unfinished.saturating_sub(std::mem::take(&mut self.unfinished));
            if let Some(unsettled) = self.unsettled.get_mut(key.delivery) {
                unsettled.complete = true;
            }
            if let Some(again) = incoming.resumed {
                let (brings_something, told) = resume::finish(session, self, &incoming.head, *again);
                if !brings_something {
                    return Ok([resumed, told, None]);
                }
                said = told;
            }
            self.complete(session, incoming.head, incoming.payload);
            let told = std::mem::replace(&mut self.ready_told, true);
            [resumed, said, (!told).then_some(LinkEvent::DeliveryComplete)]
        };
        Ok(events)
    }
}

impl Incoming {
    fn new(head: Head) -> Self {
        Self {
            head,
            payload: Payload::default(),
            octets: 0,
            empty_transfers: 0,
            started: false,
            told: false,
            progress: None,
            resumed: None,
        }
    }

    /// The next transfer of this delivery has come. §2.7.5
    fn goes_on(mut self, transfer: &Transfer<'_>) -> Result<Self, Violation> {
        if transfer.delivery_id.is_some_and(|id| id != self.head.id) {
            return Err(Violation::ChangedInDelivery("delivery-id"));
        }
        if transfer.delivery_tag.is_some_and(|tag| tag != self.head.tag) {
            return Err(Violation::ChangedInDelivery("delivery-tag"));
        }
        if transfer.message_format.is_some_and(|format| format != self.head.message_format) {
            return Err(Violation::ChangedInDelivery("message-format"));
        }
        self.head.settled |= transfer.settled == Some(true);
        Ok(self)
    }
}
