//! Deliveries of an earlier link that are resumed on this one. §2.6.13, §3.4.6

use std::collections::VecDeque;

use amqp10_codec::{DeliveryNumber, DeliveryState, MessageFormat, Received, ReceiverSettleMode, Role, Transfer};
use bytes::{Buf, Bytes};

use crate::connection::Connection;
use crate::deliveries::{Head, Incoming, Payload};
use crate::event::{Event, LinkEvent};
use crate::link::{End, Outgoing, Rare, ReceiverEnd, SenderEnd};
use crate::sections::Progress;
use crate::send::Sent;
use crate::session::Session;
use crate::slots::{Key, LinkId};
use crate::terminus::{Remote, remote_map};
use crate::violation::Violation;
use crate::{DeliveryKey, Outcome, Replenish};

const NOWHERE: Key = Key { slot: u32::MAX, generation: u32::MAX };

const BEGINNING: Received = Received { section_number: 0, section_offset: 0 };

/// What the first transfer of a delivery says besides if it resumes one of an earlier link.
#[derive(Debug)]
pub(crate) struct Resumes {
    pub(crate) state: Option<DeliveryState<'static>>,
    /// It is settled once it has left.
    pub(crate) settles: bool,
    /// What the application is told when it has left.
    pub(crate) tells: Option<DeliveryState<'static>>,
}

/// A delivery of an earlier link whose transfers are coming in.
#[derive(Debug)]
pub(crate) struct Resumed {
    how: How,
    state: Option<DeliveryState<'static>>,
}

#[derive(Debug)]
enum How {
    /// It is not unsettled here: whatever comes of it is ignored.
    Unknown,
    /// All of it arrived before, and is with the application.
    Taken,
    /// All of it arrived before, and waits for the application.
    Whole,
    /// So many octets arrived before that come again.
    Octets(u64),
    /// What comes begins with a section, and arrived before up to this point.
    Until(Box<Progress>, Received),
}

impl Resumed {
    /// Cuts off what arrived before. §3.4.6
    #[cold]
    pub(crate) fn trim(&mut self, mut payload: Bytes) -> Bytes {
        match &mut self.how {
            How::Unknown | How::Taken | How::Whole => return Bytes::new(),
            How::Octets(left) => {
                let step = usize::try_from(*left).unwrap_or(usize::MAX).min(payload.len());
                payload.advance(step);
                *left = left.saturating_sub(step as u64);
            }
            How::Until(progress, point) => {
                let step = progress.advance_to(&payload, point);
                payload.advance(step);
            }
        }
        payload
    }

    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.how, How::Unknown)
    }

    /// Whether a delivery comes of it that the application has not seen.
    pub(crate) fn brings_something(&self) -> bool {
        !matches!(self.how, How::Unknown | How::Taken)
    }
}

/// The first transfer of a delivery that is resumed came in.
#[cold]
pub(crate) fn begin(
    session: &mut Session,
    link: Key,
    end: &mut ReceiverEnd,
    transfer: &Transfer<'_>,
    mode: ReceiverSettleMode,
) -> Result<(Incoming, Option<LinkEvent>), Violation> {
    let id = transfer.delivery_id.ok_or(Violation::MissingOnFirstTransfer("delivery-id"))?;
    let tag = transfer.delivery_tag.ok_or(Violation::MissingOnFirstTransfer("delivery-tag"))?;
    if session.next_incoming_delivery.is_some_and(|next| id.precedes(next)) || !session.incoming.admits(id) {
        return Err(Violation::DeliveryId);
    }
    let known = end.unsettled.by_tag(&tag);
    if known.and_then(|key| end.unsettled.get(key)).is_some_and(|unsettled| unsettled.id.is_some()) {
        return Err(Violation::DuplicateTag);
    }
    end.credit.spend().map_err(|_| Violation::TransferLimitExceeded)?;
    end.delivery_count = end.delivery_count.next();
    session.next_incoming_delivery = Some(id.next());
    let state = transfer.state.clone().map(amqp10_codec::IntoOwned::into_owned);
    let message_format = transfer.message_format.unwrap_or_default();
    let mut incoming = Incoming {
        head: Head {
            key: DeliveryKey { link, delivery: NOWHERE },
            id,
            tag,
            message_format,
            transactional: false,
            settled: transfer.settled == Some(true),
        },
        payload: Payload::default(),
        octets: 0,
        empty_transfers: 0,
        started: true,
        told: true,
        progress: None,
        resumed: None,
    };
    let how = match known.and_then(|key| Some((key, end.unsettled.get_mut(key)?))) {
        None => How::Unknown,
        Some((key, unsettled)) => {
            (unsettled.id, unsettled.mode) = (Some(id), mode);
            incoming.head.key.delivery = key;
            session.incoming.push(id, link, key);
            match end.arrived.remove(&key) {
                None => How::Taken,
                Some(arrived) => {
                    end.held = end.held.saturating_add(arrived.payload.len());
                    session.held = session.held.saturating_add(arrived.payload.len());
                    if !end.streamed {
                        end.unfinished = end.unfinished.saturating_add(arrived.payload.len());
                        session.unfinished = session.unfinished.saturating_add(arrived.payload.len());
                    }
                    let progress = arrived.progress();
                    (incoming.payload, incoming.progress) = (arrived.payload, arrived.before.map(Box::new));
                    match progress {
                        None => How::Whole,
                        Some(progress) => {
                            incoming.told = false;
                            incoming.octets = progress.octets();
                            rest_of(&progress, state.as_ref(), message_format)?
                        }
                    }
                }
            }
        }
    };
    let key = incoming.head.key;
    let event = (!matches!(how, How::Unknown)).then_some(LinkEvent::Resumed { key, tag });
    incoming.resumed = Some(Box::new(Resumed { how, state }));
    Ok((incoming, event))
}

/// What is to be done to a message that comes again from where the sender says, and has arrived so far.
fn rest_of(progress: &Progress, state: Option<&DeliveryState<'_>>, format: MessageFormat) -> Result<How, Violation> {
    let start = if let Some(DeliveryState::Received(start)) = state { start } else { &BEGINNING };
    let point = progress.point();
    match progress.octets_since(start) {
        Some(octets) => Ok(How::Octets(octets)),
        None if start.section_offset == 0 && start.section_number < point.section_number => {
            Ok(How::Until(Box::new(Progress::at(start, format)), point))
        }
        None => Err(Violation::ResumedElsewhere),
    }
}

/// What a resumed delivery that has come in whole settles, now that it has a delivery-id. §3.4.6
///
/// Returns whether it is to be handed over, and what the application is to be told.
#[cold]
pub(crate) fn finish(
    session: &mut Session,
    end: &mut ReceiverEnd,
    head: &Head,
    resumed: Resumed,
) -> (bool, Option<LinkEvent>) {
    let key = head.key;
    let told = |state, settled| Some(LinkEvent::Disposition(Outcome { key, state, settled }));
    let new = resumed.brings_something();
    let unknown = resumed.is_unknown();
    let theirs = resumed.state.filter(|state| !matches!(state, DeliveryState::Received(_)));
    if !new {
        end.credit.make_room(Replenish::Taken, 1);
    }
    if unknown || head.settled {
        if !new {
            end.unsettled.remove(key.delivery);
            session.incoming.remove(head.id);
            end.credit.make_room(Replenish::Settled, 1);
        }
        let silent = unknown || (new && theirs.is_none());
        return (new, if silent { None } else { told(theirs, true) });
    }
    let Some(unsettled) = end.unsettled.get_mut(key.delivery) else {
        return (new, None);
    };
    let ours = unsettled.state.as_deref().filter(|ours| ours.is_outcome());
    match (theirs, ours) {
        (Some(theirs), Some(_)) if theirs.is_outcome() => {
            // Theirs is what has come to pass; but in mode second it is for them to settle first. §2.7.5
            let settles = unsettled.mode == ReceiverSettleMode::First;
            session.settle(Role::Receiver, head.id, settles, Some(theirs.clone()));
            if settles {
                end.unsettled.remove(key.delivery);
                session.incoming.remove(head.id);
                end.credit.make_room(Replenish::Settled, 1);
            } else {
                unsettled.state = Some(Box::new(theirs.clone()));
            }
            (new, told(Some(theirs), settles))
        }
        (theirs, ours) => {
            if let Some(ours) = ours {
                // They have not heard, or not understood.
                session.settle(Role::Receiver, head.id, false, Some(ours.clone()));
            }
            (new, theirs.and_then(|theirs| told(Some(theirs), false)))
        }
    }
}

impl Connection {
    /// Both unsettled maps are known: what follows from them without a word of the application.
    #[cold]
    pub(crate) fn resolve(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let Some(attach) = link.remote_attach.as_deref() else { return };
        let mut remote = remote_map(attach);
        let whole = !attach.incomplete_unsettled;
        let mut outcomes_told = false;
        match &mut link.end {
            End::Receiver(end) => {
                let waiting = |end: &ReceiverEnd| {
                    let mine = end.unsettled.iter().filter(|(_, unsettled)| unsettled.id.is_none());
                    mine.map(|(key, unsettled)| (key, unsettled.tag)).collect::<Vec<_>>()
                };
                for (delivery, tag) in waiting(end) {
                    if whole && !remote.contains_key(&tag) {
                        // Only the receiver considers it unsettled: so it is settled. §2.6.13
                        end.unsettled.remove(delivery);
                        end.arrived.remove(&delivery);
                        let outcome = Outcome { key: DeliveryKey { link: key, delivery }, state: None, settled: true };
                        self.events.push_back(Event::Link(LinkId(key), LinkEvent::Disposition(outcome)));
                    }
                }
            }
            End::Sender(end) => {
                for (delivery, doubt) in &mut end.doubts {
                    let tag = end.unsettled.get(*delivery).filter(|unsettled| unsettled.in_doubt);
                    let Some(tag) = tag.map(|unsettled| unsettled.tag) else { continue };
                    doubt.remote = match remote.remove(&tag) {
                        Some(state) => Remote::Unsettled(state),
                        None if whole => Remote::Absent,
                        None => Remote::Untold,
                    };
                }
                for (delivery, _) in end.in_doubt() {
                    if let Some(outcome) = end.resolve(DeliveryKey { link: key, delivery }) {
                        outcomes_told |= end.tell(outcome);
                    }
                }
                if !end.queue.is_empty()
                    && !std::mem::replace(&mut end.queued, true)
                    && let Some(session) = self.sessions.get_mut(link.session)
                {
                    session.senders.push_back(key);
                }
            }
        }
        if outcomes_told {
            self.events.push_back(Event::Link(LinkId(key), LinkEvent::Outcomes));
        }
    }
}

impl SenderEnd {
    /// The deliveries of an earlier link about which nothing was begun, in the order of their slots.
    pub(crate) fn in_doubt(&self) -> Vec<(Key, amqp10_codec::DeliveryTag)> {
        let waits = |key: &Key| self.doubts.get(key).is_some_and(|doubt| !doubt.queued);
        let mine = self.unsettled.iter().filter(|(key, unsettled)| unsettled.in_doubt && waits(key));
        mine.map(|(key, unsettled)| (key, unsettled.tag)).collect()
    }

    /// Does what needs neither the message nor a decision. Returns what the application is to be told.
    fn resolve(&mut self, key: DeliveryKey) -> Option<Outcome> {
        let doubt = self.doubts.get(&key.delivery)?;
        let ours = doubt.state.clone().filter(DeliveryState::is_outcome);
        let theirs = doubt.remote.clone();
        match (ours, theirs) {
            (_, Remote::Untold) | (None, Remote::Absent) => None,
            (Some(ours), Remote::Absent) => {
                self.forget(key.delivery);
                Some(Outcome { key, state: Some(ours), settled: true })
            }
            (None, Remote::Unsettled(theirs)) => {
                let theirs = theirs.filter(DeliveryState::is_outcome)?;
                Some(Outcome { key, state: Some(theirs), settled: false })
            }
            (Some(ours), Remote::Unsettled(Some(theirs))) if theirs.is_outcome() => {
                // Where the outcomes differ, the receiver is told ours and settles.
                let settles = ours == theirs;
                let tells = settles.then(|| ours.clone());
                self.resume(key.delivery, Resumes { state: Some(ours), settles, tells }, true, false);
                None
            }
            (Some(ours), Remote::Unsettled(_)) => {
                self.resume(key.delivery, Resumes { state: None, settles: false, tells: Some(ours) }, true, true);
                None
            }
        }
    }

    /// Queues a delivery of an earlier link.
    pub(crate) fn resume(&mut self, delivery: Key, resumes: Resumes, finished: bool, aborted: bool) -> Option<()> {
        let unsettled = self.unsettled.get(delivery).filter(|unsettled| unsettled.in_doubt)?;
        let doubt = self.doubts.get_mut(&delivery)?;
        if std::mem::replace(&mut doubt.queued, true) {
            return None;
        }
        self.waiting = self.waiting.saturating_add(1);
        let outgoing = Outgoing::new(delivery, unsettled.tag, unsettled.message_format, false, Bytes::new());
        let rare = Some(Box::new(Rare { resumes: Some(resumes), ..Rare::default() }));
        self.queue.push_back(Outgoing { finished, aborted, rare, ..outgoing });
        Some(())
    }

    /// The last transfer of a delivery of an earlier link has left.
    #[cold]
    pub(crate) fn resumed(
        &mut self,
        session: &mut Session,
        key: Key,
        id: DeliveryNumber,
        resumes: Resumes,
        aborted: bool,
        settled: bool,
    ) -> Sent {
        if !aborted && !resumes.settles {
            return Sent::Frame;
        }
        if !aborted && !settled {
            // The link settles nothing by transfers.
            session.settle(Role::Sender, id, true, resumes.state);
        }
        session.outgoing.remove(id);
        self.forget(key);
        resumes.tells.map_or(Sent::Frame, |state| Sent::Settled(key, Some(state)))
    }

    /// Queues a delivery of an earlier link that the receiver does not know as a new one.
    pub(crate) fn resend(&mut self, delivery: Key) -> Option<()> {
        let unsettled = self.unsettled.get(delivery).filter(|unsettled| unsettled.in_doubt)?;
        let doubt = self.doubts.get_mut(&delivery)?;
        if doubt.remote != Remote::Absent || std::mem::replace(&mut doubt.queued, true) {
            return None;
        }
        self.waiting = self.waiting.saturating_add(1);
        let outgoing = Outgoing::new(delivery, unsettled.tag, unsettled.message_format, false, Bytes::new());
        self.queue.push_back(outgoing);
        Some(())
    }
}

/// How a delivery of an earlier link is brought to its end. §3.4.6
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Resumption {
    /// The receiver has no record of it: it may be [sent again](crate::Sender::resend) as a new delivery.
    Resend,
    /// The receiver has the message up to this point: it is [resumed](crate::Sender::resume) there or before.
    Resume(Received),
    /// The receiver lacks octets that this end does not have any more: it is resumed and [aborted](crate::Sender::abort).
    Abort,
    /// The receiver has decided on this outcome: [`Sender::settle`](crate::Sender::settle) settles it.
    Settle(DeliveryState<'static>),
    /// Not all could be told of the receiver's deliveries. The link is to be detached and resumed again once this end has done what it
    /// can about the others.
    Untold,
}

impl Resumption {
    pub(crate) fn of(ours: Option<&DeliveryState<'_>>, theirs: &Remote) -> Self {
        let theirs = match theirs {
            Remote::Absent => return Self::Resend,
            Remote::Untold => return Self::Untold,
            Remote::Unsettled(theirs) => theirs,
        };
        let point = match theirs {
            Some(outcome) if outcome.is_outcome() => return Self::Settle(outcome.clone()),
            Some(DeliveryState::Received(point)) => point.clone(),
            None => BEGINNING,
            // A state of some extension, or of a transaction: so all of the message is there.
            Some(_) => Received { section_number: u32::MAX, section_offset: 0 },
        };
        let order = |point: &Received| (point.section_number, point.section_offset);
        match ours {
            Some(DeliveryState::Received(earliest)) if order(earliest) > order(&point) => Self::Abort,
            Some(ours) if ours.is_outcome() => Self::Abort,
            _ => Self::Resume(point),
        }
    }
}

/// The octets of a message from a point on, and where they begin; none if it is longer than the message.
pub(crate) fn octets_from(message: &Payload, format: MessageFormat, point: &Received) -> (VecDeque<Bytes>, Received) {
    let mut progress = Progress::new(format);
    let mut rest = VecDeque::new();
    for part in message.parts() {
        let step = progress.advance_to(part, point);
        let left = part.slice(step..);
        if !left.is_empty() {
            rest.push_back(left);
        }
    }
    (rest, progress.point())
}
