//! What comes in: every frame of the peer, and what follows from it.

use std::time::Instant;

use amqp10_codec::{
    Attach, Begin, Channel, DecodeError, Detach, End as EndFrame, Error, ErrorCondition, Frame, FrameType, IntoOwned,
    MIN_MAX_FRAME_SIZE, Open, Performative, ProtocolHeader, Reader, Role, next_frame,
};
use bytes::{Bytes, BytesMut};

use crate::SessionConfig;
use crate::connection::Connection;
use crate::event::{ConnectionEnd, Ended, Event, SessionEvent};
use crate::reattach::Whose;
use crate::slots::{Key, LinkId, SessionId};
use crate::state::{LinkState, SessionState, Stage};
use crate::terminus::unsettled_of;
use crate::transfers::Transfers;
use crate::violation::Violation;

/// The shortest idle-time-out, in milliseconds, that timers and networks let us keep up with.
const MIN_IDLE_TIME_OUT: u32 = 10;

/// Octets of frames that are kept for a peer that does not wait for our open.
const MAX_EARLY_OCTETS: usize = 64 * 1024;

impl Connection {
    /// Takes every whole frame off the front of `input`; a partial frame stays where it is, and so do frames while
    /// [`wants_input`](Self::wants_input) is `false`.
    ///
    /// All whole frames are frozen once, and payloads are slices of that, so nothing is copied.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) {
        self.set_time(now);
        if !self.wants_input() {
            return;
        }
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
            let frames = input.split_to(whole).freeze();
            let handled = self.handle_frames(&frames, true);
            if let Some(trace) = &mut self.trace {
                trace.received(frames.get(..handled).unwrap_or(&frames));
            }
            if let Some(left) = frames.get(handled..).filter(|left| !left.is_empty()) {
                // Rare, so it may be copied.
                let behind = std::mem::take(input);
                input.reserve(left.len().saturating_add(behind.len()));
                input.extend_from_slice(left);
                input.extend_from_slice(&behind);
                return;
            }
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

    /// Handles frames that are whole and whose headers are legal, and returns how many octets it has done with.
    fn handle_frames(&mut self, frames: &Bytes, may_stop: bool) -> usize {
        let mut at = 0_usize;
        let (answers, queued) = (self.answers, self.control.len());
        while let Ok(Some(frame)) = next_frame(frames.get(at..).unwrap_or(&[]), u32::MAX) {
            if may_stop && !self.wants_input() {
                return at;
            }
            if self.state.waits_for_our_open() {
                self.keep_early(frames.get(at..).unwrap_or(&[]));
                break;
            }
            at = if Transfers::begin_with(&frame)
                && self.state.is_open()
                && let Some(session) = self.by_remote_channel(frame.header.channel)
                && self.sessions.get(session).is_some_and(|session| session.state == SessionState::Mapped)
                && let Some(transfers) = Transfers::from(frames, at, &frame)
            {
                // What comes most often, with nothing in its way. No session is mapped to a channel above channel-max.
                self.handle_transfers(session, transfers)
            } else {
                self.handle_frame(frames, at, frame);
                at.saturating_add(frame.header.size as usize)
            };
            if self.state.is_over() {
                break;
            }
            self.answers = answers.saturating_add(self.control.len().saturating_sub(queued));
        }
        frames.len()
    }

    /// Returns where the first frame stands that is something else, or is to wait.
    fn handle_transfers(&mut self, session: Key, mut transfers: Transfers<'_>) -> usize {
        self.handle_transfer(session, &mut transfers);
        while transfers.waits && self.wants_input() {
            self.handle_transfer(session, &mut transfers);
        }
        transfers.next()
    }

    /// The peer may go on before it has seen our open, but everything that could be said to that has to stand behind it. §2.4.2
    fn keep_early(&mut self, frames: &[u8]) {
        if self.may_keep(frames) {
            // A copy, so that a few octets do not pin a large buffer.
            self.early.push(Bytes::copy_from_slice(frames));
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
        self.early_octets = self.early_octets.saturating_add(frames.len());
        if self.early_octets > MAX_EARLY_OCTETS {
            // Some may have been handled since it was counted.
            let in_sessions = self.sessions.iter().flat_map(|(_, session)| &session.early);
            let kept = self.early.iter().chain(in_sessions);
            self.early_octets = kept.fold(frames.len(), |sum, kept| sum.saturating_add(kept.len()));
        }
        let fits = self.early_octets <= MAX_EARLY_OCTETS;
        if !fits {
            self.violation(Violation::EarlyFrames, None, None);
        }
        fits
    }

    /// Our begin is out: handles what came before.
    pub(crate) fn handle_early_in_session(&mut self, key: Key) {
        let early = self.sessions.get_mut(key).map(|session| std::mem::take(&mut session.early));
        for frame in early.unwrap_or_default() {
            if !self.state.is_over() {
                self.handle_frames(&frame, false);
            }
        }
    }

    /// Our open is out: handles what came before.
    pub(crate) fn handle_early(&mut self) {
        for frames in std::mem::take(&mut self.early) {
            if !self.state.is_over() {
                self.handle_frames(&frames, false);
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

    /// Handles the frame that stands at `at` of `octets`.
    fn handle_frame(&mut self, octets: &Bytes, at: usize, frame: Frame<'_>) {
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
        let end = at.saturating_add(frame.header.size as usize);
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
        let whole = octets.get(at..end).unwrap_or_default();
        match performative {
            Performative::Open(open) => self.handle_open(channel, *open),
            Performative::Close(close) => self.handle_close(channel, close.error),
            Performative::Begin(begin) => self.handle_begin(channel, &begin, whole.len()),
            Performative::Transfer(transfer) => {
                let alone = octets.slice(at..end);
                let mut transfers = Transfers::alone(&alone, channel, transfer, reader.rest().len());
                self.in_session(channel, "transfer", whole, |this, key| this.handle_transfer(key, &mut transfers));
            }
            Performative::Flow(flow) => {
                self.in_session(channel, "flow", whole, |this, key| this.handle_flow(key, flow));
            }
            Performative::Disposition(disposition) => {
                self.in_session(channel, "disposition", whole, |this, key| this.handle_disposition(key, disposition));
            }
            Performative::Attach(attach) => {
                self.in_session(channel, "attach", whole, |this, key| {
                    this.handle_attach(key, &attach, whole.len());
                });
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
        let offered = &open.offered_capabilities;
        if !self.config.required_capabilities.iter().all(|needed| offered.contains(needed)) {
            return self.violation(Violation::MissingCapability, None, None);
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

    fn handle_begin(&mut self, channel: Channel, begin: &Begin<'_>, frame: usize) {
        if self.by_remote_channel(channel).is_some() {
            return self.violation(Violation::ChannelInUse, None, None);
        }
        let Some(answered) = begin.remote_channel else {
            return self.incoming_begin(channel, begin, frame);
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

    fn handle_attach(&mut self, session: Key, attach: &Attach<'_>, frame: usize) {
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
        if attach.unsettled.is_some() && unsettled_of(attach).any(|entry| entry.is_err()) {
            return self.violation(Violation::UnsettledMap, Some(session), None);
        }
        let ours = if attach.role == Role::Sender { Role::Receiver } else { Role::Sender };
        if let Some(session) = self.sessions.get_mut(session) {
            session.errant.remove_handle(attach.handle);
        }
        let answered = self.find_link(&attach.name, ours, |link| {
            link.session == session && link.remote_handle.is_none() && link.handle.is_some()
        });
        if let Some(key) = answered {
            return self.answered_attach(session, key, attach);
        }
        // An answer to what we have detached since is none of this: the peer had not seen our error.
        let errant = self.sessions.get_mut(session).and_then(|session| session.errant.remove(&attach.name, ours));
        if errant == Some(Whose::Ours) && attach.unsettled.is_none() {
            return self.violation(Violation::ErrantLink, Some(session), None);
        }
        if let Some(key) = self.find_link(&attach.name, ours, |link| link.state.is_alive()) {
            self.stolen(key);
        }
        self.incoming_attach(session, attach, frame);
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
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let error = detach.error.into_owned();
        let ours = link.failed;
        link.failed |= error.is_some();
        if link.failed
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.errant.push_handle(detach.handle);
            if ours {
                session.errant.push_deliveries(link);
            }
            if error.is_some() && !detach.closed {
                session.errant.push(link, Whose::Theirs);
            }
        }
        if link.state == LinkState::DetachSent {
            let attach = link.remote_attach.take().filter(|_| detach.closed && !link.destroyed);
            link.destroyed |= error.is_some();
            self.detached(key, detach.closed, Ended::Local);
            if let Some(attach) = attach {
                self.close_anew(session, &attach);
            }
            return;
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
}
