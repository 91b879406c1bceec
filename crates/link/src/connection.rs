use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use amqp10_codec::{
    Attach, Begin, Channel, Error, ErrorCondition, Handle, IntoOwned, MIN_MAX_FRAME_SIZE, Open, Role, Value,
};
use bytes::Bytes;

use crate::event::{ConnectionEnd, Ended, Event, LinkEvent, SessionEvent};
use crate::link::Link;
use crate::links::Links;
use crate::output::Output;
use crate::session::Session;
use crate::slots::{Key, LinkId, SessionId, Slots};
use crate::state::{ConnectionState, LinkState, SessionState, Stage};
use crate::timer::{Timer, Timers};
use crate::trace::Trace;
use crate::transaction::Transactions;
use crate::violation::Violation;
use crate::{Config, HeartbeatPace, LinkConfig, SessionConfig};

/// One AMQP connection with its sessions and links, as a machine without I/O and without a clock.
///
/// The world is pushed in with `handle_*`, consequences are pulled out with `poll_*`, and the other methods are commands of the
/// application. After any of these, drain [`poll_event`](Self::poll_event), then [`poll_output`](Self::poll_output), then ask
/// [`poll_timeout`](Self::poll_timeout) when to come back. Input never fails: what a peer does wrong is answered as the
/// specification demands and told by one event.
#[derive(Debug)]
pub struct Connection {
    pub(crate) config: Config,
    pub(crate) state: ConnectionState,
    pub(crate) remote_open: Option<Box<Open<'static>>>,
    /// The largest frame the peer takes.
    pub(crate) peer_max_frame: u32,
    /// Frames that go before everything else, already encoded.
    pub(crate) control: Output,
    /// Frames that came before our open was out; nothing may be answered until it is.
    pub(crate) early: Vec<Bytes>,
    pub(crate) sessions: Slots<Session>,
    pub(crate) links: Links,
    /// Sessions by our channel.
    pub(crate) channels: Vec<Option<Key>>,
    /// Sessions by the peer's channel.
    pub(crate) remote_channels: Vec<Option<Key>>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) timers: Timers,
    /// Deadlines set by a command, which knows no time, are set anew with the next instant told.
    pub(crate) timers_due: bool,
    pub(crate) heartbeat_due: bool,
    /// Links whose pulls have a deadline to come.
    pub(crate) pulls: Vec<Key>,
    /// Begins and attaches of the peer that wait for an answer, oldest first.
    pub(crate) unanswered: VecDeque<(Instant, Unanswered, usize)>,
    /// What those take, or more: some may have been answered since.
    pub(crate) unanswered_octets: usize,
    /// What is kept in `early` and in those of sessions, or more: some may have been handled since.
    pub(crate) early_octets: usize,
    /// Octets of `control` that answer the peer.
    pub(crate) answers: usize,
    /// Whether `Closed` was told.
    pub(crate) end_told: bool,
    /// The latest instant the engine was told.
    pub(crate) now: Instant,
    /// Whose turn it is to send transfers.
    pub(crate) turn: u32,
    /// Who is told of frames.
    pub(crate) trace: Option<Trace>,
    /// None where there is no control link and never was.
    pub(crate) transactions: Option<Box<Transactions>>,
}

/// Octets that begins and attaches of the peer may take while they wait for an answer.
const MAX_UNANSWERED: usize = 4 << 20;

/// What a begin or attach that waits takes besides the octets of its frame.
const UNANSWERED_OVERHEAD: usize = 1024;

/// Octets that wait to be sent in answer to the peer above which no more of its frames are handled.
const MAX_ANSWERS: usize = 1 << 20;

/// Events that wait to be taken above which no more frames of the peer are handled.
const MAX_EVENTS: usize = 8 * 1024;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Unanswered {
    Begin(Key),
    Attach(Key),
}

/// Why a command was not carried out. Nothing has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// The connection is closed, or about to be.
    Closed,
    /// The session or link of this name is gone.
    Gone,
    /// There is nothing to answer, or it was answered already.
    NotWaiting,
    /// The session's begin waits for an answer; answer it first.
    SessionNotBegun,
    /// All channels that the peer permits are in use: `channel-max`.
    NoChannel,
    /// All handles that the peer permits are in use: `handle-max`.
    NoHandle,
    /// A link of this name and direction exists already on this connection. §2.6.1
    NameInUse,
    /// The frame would have so many octets, more than the peer's max-frame-size. §2.4.1
    FrameTooLarge(u32),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closed"),
            Self::Gone => f.write_str("the session or link is gone"),
            Self::NotWaiting => f.write_str("nothing waits for this answer"),
            Self::SessionNotBegun => f.write_str("the begin of the session was not answered yet"),
            Self::NoChannel => f.write_str("all channels that the peer permits are in use (channel-max)"),
            Self::NoHandle => f.write_str("all handles that the peer permits are in use (handle-max)"),
            Self::NameInUse => f.write_str("a link of this name and direction exists already"),
            Self::FrameTooLarge(size) => {
                write!(f, "the frame would have {size} octets, more than the peer's max-frame-size")
            }
        }
    }
}

impl std::error::Error for CommandError {}

impl Connection {
    fn new(config: Config, now: Instant) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Handshake, now.checked_add(config.handshake_time_out));
        Self {
            config,
            state: ConnectionState::START,
            remote_open: None,
            peer_max_frame: MIN_MAX_FRAME_SIZE,
            control: Output::new(),
            early: Vec::new(),
            sessions: Slots::default(),
            links: Links::default(),
            channels: Vec::new(),
            remote_channels: Vec::new(),
            events: VecDeque::new(),
            timers,
            timers_due: false,
            heartbeat_due: false,
            pulls: Vec::new(),
            unanswered: VecDeque::new(),
            unanswered_octets: 0,
            early_octets: 0,
            answers: 0,
            end_told: false,
            now,
            turn: 0,
            trace: None,
            transactions: None,
        }
    }

    /// The end that speaks first: its protocol header and open leave at once. §2.4.1
    ///
    /// # Errors
    /// When the open would have more than 512 octets, the most that may be sent before the peer's open is known.
    pub fn client(config: Config, now: Instant) -> Result<Self, CommandError> {
        let mut connection = Self::new(config, now);
        connection.send_header();
        connection.send_open()?;
        Ok(connection)
    }

    /// The end that waits for the peer. [`Event::Incoming`] tells that the peer's open waits for [`accept`](Self::accept) or
    /// [`refuse`](Self::refuse).
    pub fn server(config: Config, now: Instant) -> Self {
        Self::new(config, now)
    }

    /// Answers the peer's open with this configuration.
    ///
    /// # Errors
    /// When there is no open to answer, or the answer exceeds the peer's max-frame-size.
    pub fn accept(&mut self, config: Config) -> Result<(), CommandError> {
        if self.state.sent != Stage::Header || self.state.received != Stage::Open {
            return Err(CommandError::NotWaiting);
        }
        self.config = config;
        self.send_open()?;
        self.opened();
        self.handle_early();
        Ok(())
    }

    /// Answers the peer's open and closes the connection with an error. §2.4.3
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn refuse(&mut self, error: Error<'static>) -> Result<(), CommandError> {
        if self.state.sent != Stage::Header || self.state.received != Stage::Open {
            return Err(CommandError::NotWaiting);
        }
        self.send_open()?;
        self.close(Some(error));
        Ok(())
    }

    /// The peer's open, once it has arrived.
    pub fn remote_open(&self) -> Option<&Open<'static>> {
        self.remote_open.as_deref()
    }

    /// What happened next, if anything did.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether [`handle_input`](Self::handle_input) handles frames now.
    ///
    /// It does not while more than 1 MiB waits to be [polled](Self::poll_output) in answer to the peer, or more than 8,192 events wait:
    /// so a peer that asks without end and reads nothing is held back by its own stream. While this is `false`, do not read; once it is
    /// `true` again, call `handle_input` for what is left in the buffer, whether or not more has come.
    #[inline]
    pub fn wants_input(&self) -> bool {
        self.answers <= MAX_ANSWERS && self.events.len() <= MAX_EVENTS
    }

    /// Carries out what answers the peer.
    pub(crate) fn answering<R>(&mut self, answer: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.control.len();
        let result = answer(self);
        self.answers = self.answers.saturating_add(self.control.len().saturating_sub(before));
        result
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. May change after every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Whether the connection is over: nothing more will be read or sent but what [`poll_output`](Self::poll_output) still holds.
    pub fn is_closed(&self) -> bool {
        self.state.is_over()
    }

    /// Closes the connection, with an error if there is one to tell. Sessions and links end with it. §2.4.3
    ///
    /// Does nothing on a connection that is closed or closing.
    pub fn close(&mut self, error: Option<Error<'static>>) {
        if self.state.sent >= Stage::Close || self.state.is_over() {
            return;
        }
        // A close needs an open before it; and to a peer of which there is not even a header, nothing can be said.
        if self.state.sent < Stage::Open && (self.state.sent < Stage::Header || self.send_open().is_err()) {
            self.finish(ConnectionEnd::Local);
            return;
        }
        self.flush_sessions();
        self.state.discarding = error.is_some();
        self.send_close(error);
        self.end_everything(Ended::Below);
        self.handle_early();
    }

    /// The octets ended.
    pub fn handle_eof(&mut self, now: Instant) {
        self.set_time(now);
        if !self.state.is_over() {
            self.finish(if self.state.sent == Stage::Close { ConnectionEnd::Local } else { ConnectionEnd::Eof });
        }
    }

    /// A deadline has passed. Early and repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.set_time(now);
        while let Some(timer) = self.timers.pop_expired(now) {
            match timer {
                Timer::Handshake => {
                    if self.state.sent == Stage::Open || self.state.received > Stage::Nothing {
                        // Somebody is there to be told why.
                        let text = "the connection was not opened in time";
                        let error = Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, text);
                        self.fail(ConnectionEnd::HandshakeTimeOut, error);
                    }
                    self.finish(ConnectionEnd::HandshakeTimeOut);
                }
                // What it says waits to be handled.
                Timer::PeerSilent if !self.wants_input() => self.restart_silence(),
                Timer::PeerSilent => {
                    let text = "nothing was received for too long (idle-time-out)";
                    self.fail(ConnectionEnd::IdleTimeOut, Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, text));
                    // A peer that says nothing will not answer the close either.
                    self.finish(ConnectionEnd::IdleTimeOut);
                }
                Timer::Heartbeat => self.heartbeat_due = self.state.may_send(),
                Timer::Answer => self.refuse_unanswered(),
                Timer::Pull => self.drain_pulls(),
            }
        }
    }

    fn refuse_unanswered(&mut self) {
        let error = || Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "nobody answered in time");
        while let Some((deadline, waiting, octets)) = self.unanswered.front().copied() {
            let still = self.waits(waiting);
            if still && deadline > self.now {
                self.timers.set(Timer::Answer, Some(deadline));
                return;
            }
            self.unanswered.pop_front();
            self.unanswered_octets = self.unanswered_octets.saturating_sub(octets);
            match waiting {
                Unanswered::Begin(key) if still => {
                    let _ = self.refuse_begin(SessionId(key), error());
                }
                Unanswered::Attach(key) if still => {
                    let _ = self.refuse_attach(LinkId(key), error());
                }
                _ => {}
            }
        }
    }

    /// Starts the time that an answer may take. `false` says that too much waits already.
    pub(crate) fn await_answer(&mut self, waiting: Unanswered, frame: usize) -> bool {
        let octets = frame.saturating_add(UNANSWERED_OVERHEAD);
        let Some(deadline) = self.now.checked_add(self.config.answer_time_out) else {
            return true;
        };
        // A peer that takes back what it asks for, again and again, leaves nothing behind.
        let most = self.sessions.len().saturating_add(self.links.len()).saturating_mul(2).max(64);
        if self.unanswered.len() >= most || self.unanswered_octets.saturating_add(octets) > MAX_UNANSWERED {
            let mut unanswered = std::mem::take(&mut self.unanswered);
            unanswered.retain(|(_, waiting, _)| self.waits(*waiting));
            self.unanswered_octets = unanswered.iter().fold(0, |sum, (_, _, octets)| sum.saturating_add(*octets));
            self.unanswered = unanswered;
        }
        if self.unanswered_octets.saturating_add(octets) > MAX_UNANSWERED {
            return false;
        }
        if self.unanswered.is_empty() {
            self.timers.set(Timer::Answer, Some(deadline));
        }
        self.unanswered_octets = self.unanswered_octets.saturating_add(octets);
        self.unanswered.push_back((deadline, waiting, octets));
        true
    }

    /// Whether nobody has answered this yet, and somebody still waits.
    fn waits(&self, waiting: Unanswered) -> bool {
        match waiting {
            Unanswered::Begin(key) => {
                self.sessions.get(key).is_some_and(|session| session.state == SessionState::BeginReceived)
            }
            Unanswered::Attach(key) => self.links.get(key).is_some_and(|link| link.state == LinkState::AttachReceived),
        }
    }

    pub(crate) fn await_close(&mut self) {
        self.timers.set(Timer::Handshake, self.now.checked_add(self.config.handshake_time_out));
    }

    /// Takes the time, from which deadlines set by a command run.
    #[inline]
    pub(crate) fn set_time(&mut self, now: Instant) {
        self.now = now;
        if std::mem::take(&mut self.timers_due) {
            match self.state.sent {
                _ if self.state.is_over() => {}
                Stage::Close => self.await_close(),
                _ => self.restart_silence(),
            }
        }
    }

    /// Both opens have been exchanged.
    pub(crate) fn opened(&mut self) {
        self.timers.set(Timer::Handshake, None);
        self.restart_silence();
        self.restart_heartbeat(self.now);
        self.timers_due = true;
        self.events.push_back(Event::Opened);
    }

    /// Something came from the peer.
    #[inline]
    pub(crate) fn restart_silence(&mut self) {
        if self.state.sent == Stage::Open && self.state.received == Stage::Open {
            let twice = || self.config.bears_silence_for().and_then(|time| time.checked_mul(2));
            let limit = self.config.silence_limit.or_else(twice);
            self.timers.set(Timer::PeerSilent, limit.and_then(|limit| self.now.checked_add(limit)));
        }
    }

    /// Something leaves for the peer.
    #[inline]
    pub(crate) fn restart_heartbeat(&mut self, now: Instant) {
        self.heartbeat_due = false;
        if !self.state.may_send() {
            return;
        }
        let announced = self.remote_open.as_ref().and_then(|open| open.idle_time_out).filter(|time| time.0 > 0);
        let peer = announced.map(|time| Duration::from_millis(time.0.into()));
        let limit = match self.config.heartbeat_pace {
            HeartbeatPace::Peer => peer,
            HeartbeatPace::Both => [peer, self.config.bears_silence_for()].into_iter().flatten().min(),
        };
        self.timers.set(Timer::Heartbeat, limit.and_then(|limit| now.checked_add(limit.checked_div(2)?)));
    }

    /// The peer began a session of its own.
    pub(crate) fn incoming_begin(&mut self, channel: Channel, begin: &Begin<'_>, frame: usize) {
        let mut session = Session::new(SessionConfig::default(), SessionState::BeginReceived);
        session.receive_begin(channel, begin);
        let key = self.sessions.insert(session);
        self.set_remote_channel(channel, Some(key));
        if !self.await_answer(Unanswered::Begin(key), frame) {
            // The application never hears of it.
            if let Some(session) = self.sessions.get_mut(key) {
                session.abandoned = true;
            }
            return self.violation(Violation::UnansweredBegins, Some(key), None);
        }
        self.events.push_back(Event::Session(SessionId(key), SessionEvent::Incoming));
    }

    /// The peer attached a link of its own.
    pub(crate) fn incoming_attach(&mut self, session: Key, attach: &Attach<'_>, frame: usize) {
        if self.links.len() >= self.config.max_links {
            return self.violation(Violation::MaxLinks, Some(session), None);
        }
        let name = attach.name.clone().into_owned();
        let mut config = match attach.role {
            Role::Sender => LinkConfig::receiver(name, attach.source.clone().into_owned().unwrap_or_default()),
            Role::Receiver => LinkConfig::sender(name, attach.target.clone().into_owned().unwrap_or_default()),
        };
        let mut link = Link::new(session, &mut config, LinkState::AttachReceived);
        link.receive_attach(attach);
        link.remote_attach = Some(Box::new(attach.clone().into_owned()));
        let key = self.links.insert(link);
        if let Some(session) = self.sessions.get_mut(session) {
            session.set_remote_handle(attach.handle, Some(key));
        }
        if !self.await_answer(Unanswered::Attach(key), frame) {
            // The application never hears of it.
            if let Some(link) = self.links.get_mut(key) {
                link.abandoned = true;
            }
            return self.violation(Violation::UnansweredAttaches, Some(session), Some(key));
        }
        self.events.push_back(Event::Link(LinkId(key), LinkEvent::Incoming));
    }

    /// Both ends have attached.
    pub(crate) fn attached(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.state = LinkState::Attached;
        let (session, abandoned) = (link.session, link.abandoned);
        let wants_flow = link.flow_due || link.receiver().is_some_and(|end| end.wants_flow());
        let control = link.is_control();
        // That of a receiver is its own wish.
        let early_acquisition = if link.role() == Role::Sender { link.acquisition.take() } else { None };
        if abandoned {
            self.detach(LinkId(key), true, None);
            return;
        }
        if wants_flow && let Some(session) = self.sessions.get_mut(session) {
            link.flow_queued = true;
            session.flows.push_back(key);
        }
        let resumes = link.resumes;
        let mut tell = |event| self.events.push_back(Event::Link(LinkId(key), event));
        tell(LinkEvent::Attached);
        if resumes {
            self.resolve(key);
        }
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let mut tell = |event| self.events.push_back(Event::Link(LinkId(key), event));
        if let Some(end) = link.sender().filter(|end| end.credit > 0) {
            tell(LinkEvent::Sendable);
            if end.drain {
                tell(LinkEvent::Drain);
            }
        }
        if control {
            self.control_attached(key);
        }
        if let Some(id) = early_acquisition
            && let Err(violation) = self.acquire(session, key, &Value::Binary(id.as_slice().into()))
        {
            self.violation(violation, Some(session), Some(key));
        }
    }

    pub(crate) fn set_remote_channel(&mut self, channel: Channel, session: Option<Key>) {
        let at = usize::from(channel.0);
        if at >= self.remote_channels.len() {
            self.remote_channels.resize(at.saturating_add(1), None);
        }
        if let Some(place) = self.remote_channels.get_mut(at) {
            *place = session;
        }
    }

    #[inline]
    pub(crate) fn by_remote_channel(&self, channel: Channel) -> Option<Key> {
        self.remote_channels.get(usize::from(channel.0)).copied().flatten()
    }

    pub(crate) fn by_channel(&self, channel: Channel) -> Option<Key> {
        self.channels.get(usize::from(channel.0)).copied().flatten()
    }

    pub(crate) fn handle_max(&self, session: Key) -> Handle {
        self.sessions.get(session).map_or(Handle(0), |session| session.config.handle_max)
    }
}

#[cfg(test)]
mod tests {
    use amqp10_codec::{Encode, End, FrameType, ProtocolHeader, TransferNumber, encode_frame};
    use bytes::BytesMut;

    use super::*;

    fn frame(channel: u16, body: &impl Encode) -> Vec<u8> {
        let mut octets = Vec::new();
        encode_frame(FrameType::Amqp, Channel(channel), body, &mut octets);
        octets
    }

    #[test]
    fn h15_requests_that_are_taken_back_leave_nothing_behind() {
        let now = Instant::now();
        let mut engine = Connection::client(Config::new("engine"), now).unwrap();
        let mut say = |octets: Vec<u8>| engine.handle_input(&mut BytesMut::from(&octets[..]), now);
        say(ProtocolHeader::AMQP.to_octets().to_vec());
        say(frame(0, &Open::new("peer")));
        // One that waits, so that the queue is not simply emptied from its front.
        say(frame(1, &Begin::new(TransferNumber(0), 10, 10)));
        for _ in 0..1_000 {
            say(frame(2, &Begin::new(TransferNumber(0), 10, 10)));
            say(frame(2, &End { error: None }));
        }
        assert!(engine.unanswered.len() <= 65, "{} waiting", engine.unanswered.len());
        assert_eq!(engine.sessions.len(), 1);
        engine.handle_timeout(now + engine.config.answer_time_out);
        assert!(engine.unanswered.is_empty());
    }
}
