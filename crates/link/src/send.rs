//! What leaves, and in which order: control frames, dispositions and flows, then transfers, links taking turns.

use std::time::Instant;

use amqp10_codec::{
    Channel, DeliveryState, DeliveryTag, Encode, FRAME_HEADER_SIZE, FrameType, Handle, MessageFormat, SenderSettleMode,
    Transfer, begin_frame, encode_frame, finish_frame,
};

use crate::Outcome;
use crate::connection::Connection;
use crate::deliveries::DeliveryKey;
use crate::event::{Event, LinkEvent};
use crate::fit::fit;
use crate::link::{Link, Outgoing};
use crate::output::Output;
use crate::resume::Resumes;
use crate::session::Session;
use crate::slots::{Key, LinkId};
use crate::transaction::Transactions;

/// The largest transfer frame we send, whatever the peer takes: links take turns frame by frame, and heartbeats go in between.
const MOST_IN_A_FRAME: usize = 128 * 1024;

/// The most octets that a transfer takes before its payload: header, tag of 32 octets and every other field at its widest.
const TRANSFER_OVERHEAD: usize = FRAME_HEADER_SIZE + 96;

/// The most octets that the state of a delivery within a transaction adds to that: descriptors, list and id.
const STATE_OVERHEAD: usize = 48;

/// The most octets that a disposition takes beside its state.
const DISPOSITION_OVERHEAD: usize = FRAME_HEADER_SIZE + 32;

impl Connection {
    /// Appends what is to be sent to `out`, until that holds `max` octets or more. Returns whether anything was appended.
    ///
    /// `now` restarts the heartbeat: what is polled is taken to leave at once.
    pub fn poll_output(&mut self, out: &mut Output, max: usize, now: Instant) -> bool {
        self.set_time(now);
        let before = out.len();
        out.append(&mut self.control);
        self.answers = 0;
        if self.state.may_send() {
            for key in self.sessions.keys() {
                self.send_session_frames(key, out);
            }
            if self.heartbeat_due && out.len() == before {
                out.small(begin_and_finish_empty_frame);
            }
            while out.len() < max && self.send_next_transfers(out, max) {}
            if self.transactions.as_deref().is_some_and(Transactions::owes_answers) {
                self.answer_deferred();
                for key in self.sessions.keys() {
                    self.send_session_frames(key, out);
                }
                out.append(&mut self.control);
            }
        }
        let appended = out.len() > before;
        if let Some(trace) = &mut self.trace {
            trace.sent(out.pieces_from(before));
        }
        if appended {
            self.restart_heartbeat(now);
        }
        appended
    }

    /// Dispositions and flows of a session.
    fn send_session_frames(&mut self, key: Key, out: &mut Output) {
        let room = (self.peer_max_frame as usize).saturating_sub(DISPOSITION_OVERHEAD);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(channel) = session.channel.filter(|_| session.state.may_send()) else {
            return;
        };
        while let Some(settlements) = session.settlements.pop_front() {
            let mut disposition = settlements.into_disposition();
            fit(&mut disposition.state, room);
            out.small(|octets| encode_frame(FrameType::Amqp, channel, &disposition, octets));
        }
        while let Some(key) = session.flows.pop_front() {
            let Some(link) = self.links.get_mut(key) else {
                continue;
            };
            link.flow_queued = false;
            if !link.state.is_attached() {
                continue;
            }
            let due = session.flow_due;
            let mut flow = session.flow();
            if link.flow(&mut flow) {
                out.small(|octets| encode_frame(FrameType::Amqp, channel, &flow, octets));
            } else {
                session.flow_due = due;
            }
        }
        if session.wants_flow() {
            let flow = session.flow();
            out.small(|octets| encode_frame(FrameType::Amqp, channel, &flow, octets));
        }
    }

    /// One transfer of the session and link whose turn it is; or several if no other waits, until `out` holds `max` octets.
    fn send_next_transfers(&mut self, out: &mut Output, max: usize) -> bool {
        let waiting = self.sessions.iter().filter(|(_, session)| !session.senders.is_empty()).take(2).count();
        let max = if waiting > 1 { 0 } else { max };
        if waiting == 0 {
            return false;
        }
        let sessions = self.sessions.slots() as u32;
        for offset in 0..sessions {
            let at = self.turn.wrapping_add(offset).checked_rem(sessions).unwrap_or(0);
            let Some(key) = self.sessions.key_at(at) else {
                continue;
            };
            if self.send_transfers_of(key, out, max) {
                self.turn = at.wrapping_add(1);
                return true;
            }
        }
        false
    }

    /// One transfer of a session; or several if only one of its links has any, until `out` holds `max` octets.
    fn send_transfers_of(&mut self, session_key: Key, out: &mut Output, max: usize) -> bool {
        let limit = (self.peer_max_frame as usize).min(MOST_IN_A_FRAME);
        let Some(session) = self.sessions.get_mut(session_key) else {
            return false;
        };
        let Some(channel) = session.channel.filter(|_| session.state.may_send()) else {
            return false;
        };
        for _ in 0..session.senders.len() {
            if session.remote_incoming_window == 0 {
                return false;
            }
            let Some(key) = session.senders.pop_front() else {
                return false;
            };
            let Some(link) = self.links.get_mut(key) else {
                continue;
            };
            let max = if session.senders.is_empty() { max } else { 0 };
            let mut sent = send_whole(session, key, link, channel, limit, out, max);
            if let Sent::Nothing = sent {
                sent = send_transfer(session, key, link, channel, limit, out, self.transactions.as_deref_mut());
            }
            let Some(sender) = link.sender() else {
                continue;
            };
            // A link that is stopped by credit or by unfinished writing gets its turn back when that changes.
            let more =
                sender.queue.front().is_some_and(|next| next.is_sendable() && (next.id.is_some() || sender.credit > 0));
            sender.queued = more;
            if more {
                session.senders.push_back(key);
            }
            let frame = !matches!(sent, Sent::Nothing);
            let told = match sent {
                Sent::Settled(delivery, state) => {
                    sender.tell(Outcome { key: DeliveryKey { link: key, delivery }, state, settled: true })
                }
                Sent::Whole { told } => told,
                Sent::Nothing | Sent::Frame => false,
            };
            if told {
                self.events.push_back(Event::Link(LinkId(key), LinkEvent::Outcomes));
            }
            if sender.notify_below.is_some() && sender.is_writable() {
                self.events.push_back(Event::Link(LinkId(key), LinkEvent::Writable));
            }
            let drained = frame && sender.finish_drain();
            if drained {
                link.flow_due = true;
                if !std::mem::replace(&mut link.flow_queued, true) {
                    session.flows.push_back(key);
                }
            }
            if drained {
                self.send_session_frames(session_key, out);
                return true;
            }
            if frame {
                return true;
            }
        }
        false
    }

    /// Sends what is queued in a session before a frame of ours that ends part of it.
    pub(crate) fn flush_session(&mut self, key: Key) {
        self.flush_dispositions(key);
        if self.state.may_send() {
            let mut control = std::mem::take(&mut self.control);
            while self.send_transfers_of(key, &mut control, usize::MAX) {}
            self.control = control;
        }
    }

    /// Sends what was settled before the answer to a frame of the peer that ends part of a session.
    pub(crate) fn flush_dispositions(&mut self, key: Key) {
        if self.state.may_send() {
            let mut control = std::mem::take(&mut self.control);
            self.send_session_frames(key, &mut control);
            self.control = control;
        }
    }

    pub(crate) fn flush_sessions(&mut self) {
        for key in self.sessions.keys() {
            self.flush_session(key);
        }
    }
}

fn begin_and_finish_empty_frame(out: &mut Vec<u8>) {
    let start = begin_frame(FrameType::Amqp, Channel(0), out);
    finish_frame(start, 0, out);
}

/// What became of a link's turn.
pub(crate) enum Sent {
    /// It had nothing to send, or might not.
    Nothing,
    /// A frame.
    Frame,
    /// The last frame of a delivery that was settled when it left.
    Settled(Key, Option<DeliveryState<'static>>),
    /// Whole deliveries, each in a frame; and whether there are outcomes to be told of.
    Whole { told: bool },
}

/// Appends the next deliveries of a link until `out` holds `max` octets, or at least one, as long as they are ordinary: they leave in
/// one frame, and there is nothing else to be said or done.
fn send_whole(
    session: &mut Session,
    key: Key,
    link: &mut Link,
    channel: Channel,
    limit: usize,
    out: &mut Output,
    max: usize,
) -> Sent {
    let (Some(handle), true) = (link.handle, link.state.is_attached()) else {
        return Sent::Nothing;
    };
    let Some(end) = link.sender() else {
        return Sent::Nothing;
    };
    let room = limit.saturating_sub(TRANSFER_OVERHEAD);
    let mut sent = Sent::Nothing;
    while end.queue.front().is_some_and(|delivery| delivery.is_ordinary() && delivery.next.len() <= room)
        && let (Some(credit), Some(window)) = (end.credit.checked_sub(1), session.remote_incoming_window.checked_sub(1))
        && let Some(Outgoing { key: delivery, tag, message_format, settled, next: payload, .. }) = end.queue.pop_front()
    {
        end.credit = credit;
        end.waiting = end.waiting.saturating_sub(1);
        end.delivery_count = end.delivery_count.next();
        let id = session.next_delivery_id;
        session.next_delivery_id = id.next();
        session.next_outgoing_id = session.next_outgoing_id.next();
        session.remote_incoming_window = window;
        let transfer = Transfer {
            delivery_id: Some(id),
            delivery_tag: Some(tag),
            message_format: Some(message_format),
            settled: settled.then_some(true),
            ..Transfer::new(handle)
        };
        let octets = payload.len();
        out.small_and_payload(payload, |small| {
            let start = begin_frame(FrameType::Amqp, channel, small);
            transfer.encode(small);
            finish_frame(start, octets, small);
        });
        let mut told = matches!(sent, Sent::Whole { told: true });
        if settled {
            end.forget(delivery);
            told |= end.tell(Outcome { key: DeliveryKey { link: key, delivery }, state: None, settled });
        } else {
            session.outgoing.push(id, key, delivery);
            if let Some(unsettled) = end.unsettled.get_mut(delivery) {
                (unsettled.id, unsettled.in_doubt) = (Some(id), false);
            }
        }
        sent = Sent::Whole { told };
        if out.len() >= max {
            break;
        }
    }
    sent
}

/// Appends the next transfer of a link, if it has one that may be sent.
fn send_transfer(
    session: &mut Session,
    key: Key,
    link: &mut Link,
    channel: Channel,
    limit: usize,
    out: &mut Output,
    transactions: Option<&mut Transactions>,
) -> Sent {
    let (Some(handle), true) = (link.handle, link.state.is_attached()) else {
        return Sent::Nothing;
    };
    let never_settled = link.snd_settle_mode == SenderSettleMode::Unsettled;
    let Some(end) = link.sender() else {
        return Sent::Nothing;
    };
    let Some(delivery) = end.queue.front_mut().filter(|delivery| delivery.is_sendable()) else {
        return Sent::Nothing;
    };
    let first = delivery.id.is_none();
    let id = match delivery.id {
        Some(id) => id,
        None => {
            let Some(credit) = end.credit.checked_sub(1) else {
                return Sent::Nothing;
            };
            end.credit = credit;
            end.waiting = end.waiting.saturating_sub(1);
            end.delivery_count = end.delivery_count.next();
            let id = session.next_delivery_id;
            session.next_delivery_id = id.next();
            delivery.id = Some(id);
            if let Some(resumes) = delivery.resumes() {
                delivery.settled = resumes.settles && !never_settled;
            }
            if !delivery.settled {
                session.outgoing.push(id, key, delivery.key);
            }
            if let Some(unsettled) = end.unsettled.get_mut(delivery.key) {
                (unsettled.id, unsettled.in_doubt) = (Some(id), false);
            }
            id
        }
    };
    let mut room = limit.saturating_sub(TRANSFER_OVERHEAD);
    if delivery.state().is_some() {
        room = room.saturating_sub(STATE_OVERHEAD);
    }
    let waiting = if delivery.aborted { 0 } else { delivery.waiting(room.saturating_add(1)) };
    let mut octets = waiting.min(room);
    let last = delivery.aborted || (delivery.finished && waiting <= room);
    let head = Head {
        handle,
        first: first.then_some((id, delivery.tag, delivery.message_format)),
        settled: delivery.settled,
        more: !last,
        aborted: delivery.aborted,
        resumes: delivery.resumes().filter(|_| first),
    };
    out.small(|small| {
        let start = begin_frame(FrameType::Amqp, channel, small);
        let mut transfer = head.transfer();
        fit(&mut transfer.state, room);
        if let Some(state) = delivery.state() {
            transfer.state = Some(state.clone());
        }
        transfer.encode(small);
        finish_frame(start, octets, small);
    });
    while octets > 0 {
        let part = delivery.take(octets);
        octets = octets.saturating_sub(part.len());
        out.payload(part);
    }
    session.next_outgoing_id = session.next_outgoing_id.next();
    session.remote_incoming_window = session.remote_incoming_window.saturating_sub(1);
    if !last {
        return Sent::Frame;
    }
    let (aborted, settled) = (delivery.aborted, delivery.settled);
    if let Some(transactions) = transactions
        && (aborted || delivery.state().is_some())
    {
        transactions.left(DeliveryKey { link: key, delivery: delivery.key }, aborted);
    }
    let key = delivery.key;
    let resumes = delivery.rare.take().and_then(|rare| rare.resumes);
    end.queue.pop_front();
    if let Some(resumes) = resumes {
        return end.resumed(session, key, id, resumes, aborted, settled);
    }
    if aborted {
        // An aborted delivery is settled on both sides, without a disposition. §2.7.5
        session.outgoing.remove(id);
        end.forget(key);
    } else if settled {
        end.forget(key);
        return Sent::Settled(key, None);
    }
    Sent::Frame
}

/// What a transfer says.
struct Head<'d> {
    handle: Handle,
    first: Option<(amqp10_codec::DeliveryNumber, DeliveryTag, MessageFormat)>,
    settled: bool,
    more: bool,
    aborted: bool,
    resumes: Option<&'d Resumes>,
}

impl Head<'_> {
    fn transfer(&self) -> Transfer<'static> {
        Transfer {
            delivery_id: self.first.map(|(id, _, _)| id),
            delivery_tag: self.first.map(|(_, tag, _)| tag),
            message_format: self.first.map(|(_, _, format)| format),
            settled: self.settled.then_some(true),
            more: self.more,
            aborted: self.aborted,
            resume: self.resumes.is_some(),
            state: self.resumes.and_then(|resumes| resumes.state.clone()),
            ..Transfer::new(self.handle)
        }
    }
}
