//! What comes in: every frame of the peer, and what follows from it.

use std::time::Instant;

use amqp10_codec::{
    Attach, Begin, Channel, DecodeError, Detach, Disposition, End as EndFrame, Error, ErrorCondition, Flow, Frame,
    FrameType, IntoOwned, MIN_MAX_FRAME_SIZE, Open, Performative, ProtocolHeader, Reader, Role, SenderSettleMode,
    Transfer, next_frame,
};
use bytes::{Bytes, BytesMut};

use crate::connection::Connection;
use crate::deliveries::{Delivery, DeliveryKey, Incoming, Payload};
use crate::event::{ConnectionEnd, Ended, Event, LinkEvent, SessionEvent};
use crate::link::UnsettledIn;
use crate::slots::{Key, LinkId, SessionId};
use crate::state::{LinkState, SessionState, Stage};
use crate::violation::Violation;
use crate::{Outcome, Replenish, SessionConfig};

/// Transfers without payload that one delivery may have.
const MAX_EMPTY_TRANSFERS: u32 = 64;

/// The shortest idle-time-out, in milliseconds, that timers and networks let us keep up with.
const MIN_IDLE_TIME_OUT: u32 = 10;

/// Octets of frames that are kept for a peer that does not wait for our open.
const MAX_EARLY_OCTETS: usize = 64 * 1024;

impl Connection {
    /// Takes every whole frame off the front of `input`; a partial frame stays where it is.
    ///
    /// All whole frames are frozen once, and payloads are slices of that, so nothing is copied.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) {
        self.set_time(now);
        if self.state.received == Stage::Nothing && !self.state.is_over() {
            self.handle_header(input);
        }
        if self.state.received == Stage::Nothing || self.state.is_over() {
            if self.state.is_over() {
                input.clear();
            }
            return;
        }
        let limit = self.config.max_frame_size.max(MIN_MAX_FRAME_SIZE);
        let mut whole = 0_usize;
        let broken = loop {
            match next_frame(input.get(whole..).unwrap_or(&[]), limit) {
                Ok(Some(frame)) => whole = whole.saturating_add(frame.header.size as usize),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if whole > 0 {
            self.restart_silence();
        }
        if whole > 0 {
            self.handle_frames(input.split_to(whole).freeze());
        }
        if self.state.is_over() {
            input.clear();
        } else if let Some(error) = broken {
            self.violation(Violation::Framing(error), None, None);
            // Nothing behind it can be told apart either; the peer's close will never be seen.
            input.clear();
            self.finish(ConnectionEnd::Violation(Violation::Framing(error)));
        }
    }

    /// Handles frames that are whole and whose headers are legal.
    fn handle_frames(&mut self, mut frames: Bytes) {
        while let Ok(Some(frame)) = next_frame(&frames, u32::MAX) {
            if self.state.waits_for_our_open() {
                return self.keep_early(frames);
            }
            self.handle_frame(&frames, frame);
            if self.state.is_over() {
                return;
            }
            let size = frame.header.size as usize;
            frames = frames.slice(size..);
        }
    }

    /// The peer may go on before it has seen our open, but everything that could be said to that has to stand behind it. §2.4.2
    fn keep_early(&mut self, frames: Bytes) {
        if self.may_keep(&frames) {
            // A copy, so that a few octets do not pin a large buffer.
            self.early.push(Bytes::copy_from_slice(&frames));
        }
    }

    /// The same holds for frames of a session whose begin was not answered. §2.5.5
    fn keep_early_in_session(&mut self, key: Key, frame: &[u8]) {
        if self.may_keep(frame)
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.early.push(Bytes::copy_from_slice(frame));
        }
    }

    fn may_keep(&mut self, frames: &[u8]) -> bool {
        let in_sessions = self.sessions.iter().flat_map(|(_, session)| &session.early);
        let held = self.early.iter().chain(in_sessions).fold(frames.len(), |sum, kept| sum.saturating_add(kept.len()));
        if held > MAX_EARLY_OCTETS {
            self.violation(Violation::EarlyFrames, None, None);
        }
        held <= MAX_EARLY_OCTETS
    }

    /// Our begin is out: handles what came before.
    pub(crate) fn handle_early_in_session(&mut self, key: Key) {
        let early = self.sessions.get_mut(key).map(|session| std::mem::take(&mut session.early));
        for frame in early.unwrap_or_default() {
            if !self.state.is_over() {
                self.handle_frames(frame);
            }
        }
    }

    /// Our open is out: handles what came before.
    pub(crate) fn handle_early(&mut self) {
        for frames in std::mem::take(&mut self.early) {
            if !self.state.is_over() {
                self.handle_frames(frames);
            }
        }
    }

    /// How many more octets the frame at the front of `input` needs, if its header is there and legal; for choosing a buffer.
    pub fn input_wanted(&self, input: &[u8]) -> usize {
        let Some(size) = input.first_chunk::<4>() else {
            return 0;
        };
        let size = u32::from_be_bytes(*size);
        if self.state.received == Stage::Nothing || size > self.config.max_frame_size {
            return 0;
        }
        (size as usize).saturating_sub(input.len())
    }

    fn handle_header(&mut self, input: &mut BytesMut) {
        match ProtocolHeader::parse(input) {
            Ok(None) => {}
            Ok(Some(ProtocolHeader::AMQP)) => {
                drop(input.split_to(ProtocolHeader::SIZE));
                self.state.received = Stage::Header;
                if self.state.sent < Stage::Header {
                    self.send_header();
                }
            }
            Ok(Some(_)) | Err(_) => {
                // A server tells what it speaks and hangs up; a client just hangs up. §2.2
                if self.state.sent < Stage::Header {
                    self.send_header();
                }
                self.finish(ConnectionEnd::Violation(Violation::ProtocolHeader));
            }
        }
    }

    fn handle_frame(&mut self, octets: &Bytes, frame: Frame<'_>) {
        if frame.header.frame_type != FrameType::Amqp {
            self.violation(Violation::SaslFrame, None, None);
            return;
        }
        let channel = frame.header.channel;
        if frame.body.is_empty() {
            if self.state.received < Stage::Open {
                self.violation(Violation::ConnectionState("an empty frame"), None, None);
            } else if channel.0 > self.config.channel_max {
                self.violation(Violation::ChannelMax, None, None);
            }
            return;
        }
        let mut reader = Reader::sized(frame.body);
        let performative = match reader.read::<Performative<'_>>() {
            Ok(performative) => performative,
            Err(error) => return self.undecodable(error),
        };
        tracing::trace!(channel = channel.0, performative = performative.name(), size = frame.header.size, "received");
        if !matches!(performative, Performative::Transfer(_))
            && let Err(error) = reader.finish()
        {
            return self.undecodable(error);
        }
        match self.state.receive(performative.name()) {
            Ok(true) => {}
            Ok(false) => return,
            Err(violation) => return self.violation(violation, None, None),
        }
        if channel.0 > self.config.channel_max
            && !matches!(performative, Performative::Open(_) | Performative::Close(_))
        {
            return self.violation(Violation::ChannelMax, None, None);
        }
        let (size, body) = (frame.header.size as usize, usize::from(frame.header.body_offset));
        let whole = octets.get(..size).unwrap_or_default();
        match performative {
            Performative::Open(open) => self.handle_open(channel, *open),
            Performative::Close(close) => self.handle_close(channel, close.error),
            Performative::Begin(begin) => self.handle_begin(channel, &begin),
            Performative::Transfer(transfer) => {
                let start = body.saturating_add(reader.offset());
                let payload = octets.slice(start..size);
                self.in_session(channel, "transfer", whole, |this, key| this.handle_transfer(key, &transfer, payload));
            }
            Performative::Flow(flow) => {
                self.in_session(channel, "flow", whole, |this, key| this.handle_flow(key, flow));
            }
            Performative::Disposition(disposition) => {
                self.in_session(channel, "disposition", whole, |this, key| this.handle_disposition(key, disposition));
            }
            Performative::Attach(attach) => {
                self.in_session(channel, "attach", whole, |this, key| this.handle_attach(key, &attach));
            }
            Performative::Detach(detach) => {
                self.in_session(channel, "detach", whole, |this, key| this.handle_detach(key, detach));
            }
            Performative::End(end) => self.handle_end(channel, end),
        }
    }

    fn undecodable(&mut self, error: DecodeError) {
        if !self.state.discarding {
            self.violation(Violation::Decode(error), None, None);
        }
    }

    fn handle_open(&mut self, channel: Channel, open: Open<'_>) {
        if channel != Channel(0) {
            return self.violation(Violation::OpenChannel, None, None);
        }
        if open.max_frame_size < MIN_MAX_FRAME_SIZE {
            return self.violation(Violation::MaxFrameSize, None, None);
        }
        if open.idle_time_out.is_some_and(|time| (1..MIN_IDLE_TIME_OUT).contains(&time.0)) {
            return self.violation(Violation::IdleTimeOut, None, None);
        }
        self.peer_max_frame = open.max_frame_size;
        self.remote_open = Some(Box::new(open.into_owned()));
        match self.state.sent {
            Stage::Open => self.opened(),
            Stage::Header => self.events.push_back(Event::Incoming),
            _ => {}
        }
    }

    fn handle_close(&mut self, channel: Channel, error: Option<Error<'_>>) {
        if channel != Channel(0) {
            // The state has moved to closed already, which is what the peer wanted.
            tracing::debug!(channel = channel.0, "a close on another channel than 0");
        }
        let end = if self.state.sent == Stage::Close {
            ConnectionEnd::Local
        } else {
            ConnectionEnd::Remote(error.into_owned())
        };
        if self.state.sent < Stage::Close {
            for key in self.sessions.keys() {
                self.flush_dispositions(key);
            }
            self.send_close(None);
        }
        self.finish(end);
    }

    fn handle_begin(&mut self, channel: Channel, begin: &Begin<'_>) {
        if self.by_remote_channel(channel).is_some() {
            return self.violation(Violation::ChannelInUse, None, None);
        }
        let Some(answered) = begin.remote_channel else {
            return self.incoming_begin(channel, begin);
        };
        let Some(key) = self.by_channel(answered) else {
            return self.violation(Violation::UnknownRemoteChannel, None, None);
        };
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.remote_channel.is_none()) else {
            return self.violation(Violation::UnknownRemoteChannel, None, None);
        };
        session.receive_begin(channel, begin);
        let begun = session.state == SessionState::BeginSent;
        if begun {
            session.state = SessionState::Mapped;
        }
        self.set_remote_channel(channel, Some(key));
        if begun {
            self.events.push_back(Event::Session(SessionId(key), SessionEvent::Begun));
        }
    }

    /// Hands a frame to the session of its channel, unless it is to be discarded.
    fn in_session(&mut self, channel: Channel, name: &'static str, frame: &[u8], handle: impl FnOnce(&mut Self, Key)) {
        let Some(key) = self.by_remote_channel(channel) else {
            return self.violation(Violation::UnmappedChannel(name), None, None);
        };
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        match session.state.receive(name) {
            Ok(true) if session.state == SessionState::BeginReceived => self.keep_early_in_session(key, frame),
            Ok(true) => handle(self, key),
            Ok(false) => {}
            Err(violation) => self.violation(violation, Some(key), None),
        }
    }

    fn handle_end(&mut self, channel: Channel, end: EndFrame<'_>) {
        let Some(key) = self.by_remote_channel(channel) else {
            return self.violation(Violation::UnmappedChannel("end"), None, None);
        };
        // The peer may begin anew on this channel at once. §2.5.2
        self.set_remote_channel(channel, None);
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let ended = match session.state {
            SessionState::EndSent | SessionState::Discarding => Ended::Local,
            SessionState::BeginReceived => {
                // So that the peer sees both. Without a channel left it sees neither.
                let _ = self.answer_begin(key, SessionConfig::default());
                Ended::Remote(end.error.into_owned())
            }
            _ => Ended::Remote(end.error.into_owned()),
        };
        if matches!(ended, Ended::Remote(_)) {
            self.flush_dispositions(key);
            self.send_end(key, None, SessionState::EndSent);
        }
        self.end_links(key, &Ended::Below);
        self.tell_ended(key, ended);
        self.remove_session(key);
    }

    fn handle_attach(&mut self, session: Key, attach: &Attach<'_>) {
        if attach.handle > self.handle_max(session) {
            return self.violation(Violation::HandleMax, None, None);
        }
        let in_use = self.sessions.get(session).and_then(|session| session.by_remote_handle(attach.handle));
        if in_use.is_some() {
            return self.violation(Violation::HandleInUse, Some(session), None);
        }
        if attach.role == Role::Sender && attach.initial_delivery_count.is_none() {
            return self.violation(Violation::InitialDeliveryCount, Some(session), None);
        }
        let ours = if attach.role == Role::Sender { Role::Receiver } else { Role::Sender };
        let answered = self.find_link(&attach.name, ours, |link| {
            link.session == session && link.remote_handle.is_none() && link.handle.is_some()
        });
        if let Some(key) = answered {
            return self.answered_attach(session, key, attach);
        }
        if let Some(key) = self.find_link(&attach.name, ours, |link| link.state.is_alive()) {
            self.stolen(key);
        }
        self.incoming_attach(session, attach);
    }

    /// The peer attached what is attached already: the older link is closed. §2.6.1
    fn stolen(&mut self, key: Key) {
        let stolen = Error::new(ErrorCondition::STOLEN, "the link was attached anew");
        self.detach(LinkId(key), true, Some(stolen.clone()));
        self.tell_detached(key, true, Ended::Remote(Some(stolen)));
    }

    /// The peer answered our attach.
    fn answered_attach(&mut self, session: Key, key: Key, attach: &Attach<'_>) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.receive_attach(attach);
        link.remote_attach = Some(Box::new(attach.clone().into_owned()));
        let refused = match attach.role {
            Role::Sender => attach.source.is_none(),
            Role::Receiver => attach.target.is_none(),
        };
        if let Some(session) = self.sessions.get_mut(session) {
            session.set_remote_handle(attach.handle, Some(key));
        }
        match link.state {
            LinkState::AttachSent if refused => link.state = LinkState::Refused,
            LinkState::AttachSent => self.attached(key),
            // Our detach is out already; the peer's will follow.
            _ => {}
        }
    }

    fn handle_detach(&mut self, session: Key, detach: Detach<'_>) {
        let found = self.sessions.get(session).and_then(|session| session.by_remote_handle(detach.handle));
        let Some(key) = found else {
            return self.violation(Violation::UnattachedHandle("detach"), Some(session), None);
        };
        let Some(link) = self.links.get(key) else {
            return;
        };
        let error = detach.error.into_owned();
        if link.state == LinkState::DetachSent {
            return self.detached(key, detach.closed, Ended::Local);
        }
        if link.state == LinkState::AttachReceived && link.handle.is_none() {
            // Not answered yet: attach, then detach, so that the peer sees both. §2.6.3
            let refusal = Error::new(ErrorCondition::DETACH_FORCED, "detached by the peer");
            let _ = self.refuse_attach(LinkId(key), refusal);
        } else {
            self.flush_dispositions(session);
            self.send_detach(key, detach.closed, None);
        }
        self.detached(key, detach.closed, Ended::Remote(error));
    }

    fn handle_flow(&mut self, key: Key, flow: Flow<'_>) {
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
            return self.violation(Violation::UnattachedHandle("flow"), Some(key), None);
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
            if end.delivery_count.precedes(count) {
                end.credit.give_back(count.ahead_of(end.delivery_count).unsigned_abs());
                end.delivery_count = count;
            }
            if end.credit.finish_drain() {
                told.push(LinkEvent::Drained);
            }
        } else if let Some(end) = link.sender() {
            if let Some(credit) = flow.link_credit {
                let before = end.credit.saturating_sub(end.waiting);
                // Before our attach the peer cannot know a count.
                let count = flow.delivery_count.filter(|_| !early);
                let base = count.unwrap_or(end.initial_delivery_count);
                let in_flight = end.delivery_count.ahead_of(base).max(0).unsigned_abs();
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
            told.push(LinkEvent::Properties(properties.into_owned()));
        }
        self.events.extend(told.into_iter().map(|event| Event::Link(id, event)));
    }

    fn handle_disposition(&mut self, key: Key, disposition: Disposition<'_>) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        if last.precedes(first) {
            return self.violation(Violation::DispositionRange, Some(key), None);
        }
        let state = disposition.state.into_owned();
        match disposition.role {
            // The peer speaks of what it has received from us.
            Role::Receiver => {
                for entry in session.outgoing.range(first, last) {
                    let Some(link) = self.links.get_mut(entry.link) else {
                        continue;
                    };
                    let Some(end) = link.sender() else { continue };
                    let key = DeliveryKey { link: entry.link, delivery: entry.delivery };
                    if end.tell(Outcome { key, state: state.clone(), settled: disposition.settled }) {
                        self.events.push_back(Event::Link(LinkId(entry.link), LinkEvent::Outcomes));
                    }
                    if disposition.settled {
                        end.forget(entry.delivery);
                        session.outgoing.remove(entry.id);
                    }
                }
            }
            // The peer speaks of what it has sent to us.
            Role::Sender if disposition.settled => {
                for entry in session.incoming.range(first, last) {
                    let Some(link) = self.links.get_mut(entry.link) else {
                        continue;
                    };
                    let Some(end) = link.receiver() else { continue };
                    let Some(unsettled) = end.unsettled.get(entry.delivery) else {
                        continue;
                    };
                    if !unsettled.complete {
                        // It is settled, but the rest of it still comes.
                        if let Some(incoming) = &mut end.incoming {
                            incoming.settled = true;
                        }
                        continue;
                    }
                    end.forget(entry.delivery);
                    session.incoming.remove(entry.id);
                    end.credit.make_room(Replenish::Settled);
                    if end.wants_flow() && !std::mem::replace(&mut link.flow_queued, true) {
                        session.flows.push_back(entry.link);
                    }
                }
            }
            Role::Sender => {}
        }
    }

    fn handle_transfer(&mut self, session_key: Key, transfer: &Transfer<'_>, payload: Bytes) {
        let Some(session) = self.sessions.get_mut(session_key) else {
            return;
        };
        if !session.receive_transfer() {
            return self.violation(Violation::WindowViolation, Some(session_key), None);
        }
        let Some(key) = session.by_remote_handle(transfer.handle) else {
            return self.violation(Violation::UnattachedHandle("transfer"), Some(session_key), None);
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
        let snd_settle_mode = link.snd_settle_mode;
        let rcv_settle_mode = transfer.rcv_settle_mode.unwrap_or(link.rcv_settle_mode);
        let Some(end) = link.receiver() else {
            return self.violation(Violation::TransferFromReceiver, Some(session_key), None);
        };
        let check = || -> Result<bool, Violation> {
            let incoming = match &mut end.incoming {
                Some(incoming) => {
                    if transfer.delivery_id.is_some_and(|id| id != incoming.id) {
                        return Err(Violation::ChangedInDelivery("delivery-id"));
                    }
                    if transfer.delivery_tag.is_some_and(|tag| tag != incoming.tag) {
                        return Err(Violation::ChangedInDelivery("delivery-tag"));
                    }
                    if transfer.message_format.is_some_and(|format| format != incoming.message_format) {
                        return Err(Violation::ChangedInDelivery("message-format"));
                    }
                    incoming
                }
                place @ None => {
                    let id = transfer.delivery_id.ok_or(Violation::MissingOnFirstTransfer("delivery-id"))?;
                    let tag = transfer.delivery_tag.ok_or(Violation::MissingOnFirstTransfer("delivery-tag"))?;
                    if session.next_incoming_delivery.is_some_and(|next| id.precedes(next))
                        || !session.incoming.admits(id)
                    {
                        return Err(Violation::DeliveryId);
                    }
                    if end.tags.contains_key(&tag) {
                        return Err(Violation::DuplicateTag);
                    }
                    end.credit.spend().map_err(|_| Violation::TransferLimitExceeded)?;
                    end.delivery_count = end.delivery_count.next();
                    session.next_incoming_delivery = Some(id.next());
                    let delivery = end.unsettled.insert(UnsettledIn {
                        id: Some(id),
                        tag,
                        state: None,
                        mode: rcv_settle_mode,
                        complete: false,
                    });
                    end.tags.insert(tag, delivery);
                    session.incoming.push(id, key, delivery);
                    place.insert(Incoming {
                        key: delivery,
                        id,
                        tag,
                        message_format: transfer.message_format.unwrap_or_default(),
                        settled: snd_settle_mode == SenderSettleMode::Settled,
                        payload: Payload::new(Bytes::new()),
                        octets: 0,
                        empty_transfers: 0,
                        started: false,
                        told: false,
                    })
                }
            };
            incoming.settled |= transfer.settled == Some(true);
            if transfer.aborted {
                return Ok(true);
            }
            if payload.is_empty() && transfer.more {
                incoming.empty_transfers = incoming.empty_transfers.saturating_add(1);
                if incoming.empty_transfers > MAX_EMPTY_TRANSFERS {
                    return Err(Violation::EmptyTransfers);
                }
            }
            incoming.octets = incoming.octets.saturating_add(payload.len() as u64);
            if end.max_message_size.is_some_and(|limit| incoming.octets > limit) {
                return Err(Violation::MessageSizeExceeded);
            }
            end.held = end.held.saturating_add(payload.len());
            session.held = session.held.saturating_add(payload.len());
            incoming.payload.push(payload);
            if transfer.more && !incoming.told {
                let delivery = DeliveryKey { link: key, delivery: incoming.key };
                let id = LinkId(key);
                if !std::mem::replace(&mut incoming.started, true) {
                    self.events.push_back(Event::Link(id, LinkEvent::DeliveryStarted(delivery)));
                }
                self.events.push_back(Event::Link(id, LinkEvent::DataReady(delivery)));
                incoming.told = true;
            }
            Ok(!transfer.more)
        };
        match check() {
            Ok(false) => return,
            Ok(true) => {}
            Err(violation) => return self.violation(violation, Some(session_key), Some(key)),
        }
        let Some(incoming) = end.incoming.take() else {
            return;
        };
        if transfer.aborted || incoming.settled {
            end.forget(incoming.key);
            session.incoming.remove(incoming.id);
        } else if let Some(unsettled) = end.unsettled.get_mut(incoming.key) {
            unsettled.complete = true;
        }
        let delivery = DeliveryKey { link: key, delivery: incoming.key };
        if transfer.aborted {
            let octets = incoming.payload.len();
            end.held = end.held.saturating_sub(octets);
            session.release_octets(octets);
            end.credit.make_room_now();
            self.events.push_back(Event::Link(LinkId(key), LinkEvent::DeliveryAborted(delivery)));
        } else {
            end.ready.push_back(Delivery {
                key: delivery,
                tag: incoming.tag,
                message_format: incoming.message_format,
                settled: incoming.settled,
                payload: incoming.payload,
            });
            if !std::mem::replace(&mut end.ready_told, true) {
                self.events.push_back(Event::Link(LinkId(key), LinkEvent::DeliveryComplete));
            }
        }
        if end.credit.finish_drain() {
            // The sender need not say so if it has used up everything by sending. §2.6.7
            self.events.push_back(Event::Link(LinkId(key), LinkEvent::Drained));
        }
        if end.wants_flow() && !std::mem::replace(&mut link.flow_queued, true) {
            session.flows.push_back(key);
        }
    }
}
