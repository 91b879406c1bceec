use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use amqp10_codec::{
    Attach, Begin, Channel, Close, DeliveryNumber, Detach, Encode, End, Error, ErrorCondition, FrameType, Handle,
    IntoOwned, MIN_MAX_FRAME_SIZE, Milliseconds, Open, ProtocolHeader, Role, encode_frame,
};

use bytes::Bytes;

use crate::event::{ConnectionEnd, Ended, Event, LinkEvent, SessionEvent};
use crate::link::Link;
use crate::output::Output;
use crate::session::Session;
use crate::slots::{Key, LinkId, SessionId, Slots};
use crate::state::{ConnectionState, LinkState, SessionState, Stage};
use crate::timer::{Timer, Timers};
use crate::violation::{Scope, Violation};
use crate::{Config, HeartbeatPace, LinkConfig, Receiver, Sender, SessionConfig, Terminus};

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
    pub(crate) links: Slots<Link>,
    /// Sessions by our channel.
    channels: Vec<Option<Key>>,
    /// Sessions by the peer's channel.
    pub(crate) remote_channels: Vec<Option<Key>>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) timers: Timers,
    /// Deadlines set by a command, which knows no time, are set anew with the next instant told.
    pub(crate) timers_due: bool,
    pub(crate) heartbeat_due: bool,
    /// Begins and attaches of the peer that wait for an answer, oldest first.
    unanswered: VecDeque<(Instant, Unanswered)>,
    /// Whether `Closed` was told.
    pub(crate) end_told: bool,
    /// The latest instant the engine was told.
    pub(crate) now: Instant,
    /// Whose turn it is to send transfers.
    pub(crate) turn: u32,
}

#[derive(Clone, Copy, Debug)]
enum Unanswered {
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
            links: Slots::default(),
            channels: Vec::new(),
            remote_channels: Vec::new(),
            events: VecDeque::new(),
            timers,
            timers_due: false,
            heartbeat_due: false,
            unanswered: VecDeque::new(),
            end_told: false,
            now,
            turn: 0,
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
        self.handle_early();
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
        if self.state.sent < Stage::Open {
            // Not even an open was answered: there is nothing to close but the stream.
            self.finish(ConnectionEnd::Local);
            return;
        }
        self.flush_sessions();
        self.state.discarding = error.is_some();
        self.send_close(error);
        self.end_everything(Ended::Below);
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
                Timer::PeerSilent => {
                    let text = "nothing was received for twice the idle-time-out";
                    self.fail(ConnectionEnd::IdleTimeOut, Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, text));
                }
                Timer::Heartbeat => self.heartbeat_due = self.state.may_send(),
                Timer::Answer => self.refuse_unanswered(),
            }
        }
    }

    fn refuse_unanswered(&mut self) {
        let error = || Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "nobody answered in time");
        while let Some((deadline, waiting)) = self.unanswered.front().copied() {
            let still = self.waits(waiting);
            if still && deadline > self.now {
                self.timers.set(Timer::Answer, Some(deadline));
                return;
            }
            self.unanswered.pop_front();
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

    fn await_answer(&mut self, waiting: Unanswered) {
        if let Some(deadline) = self.now.checked_add(self.config.answer_time_out) {
            if self.unanswered.is_empty() {
                self.timers.set(Timer::Answer, Some(deadline));
            }
            self.unanswered.push_back((deadline, waiting));
            // A peer that takes back what it asks for, again and again, leaves nothing behind.
            let most = self.sessions.len().saturating_add(self.links.len()).saturating_mul(2);
            if self.unanswered.len() > most.max(64) {
                let mut unanswered = std::mem::take(&mut self.unanswered);
                unanswered.retain(|(_, waiting)| self.waits(*waiting));
                self.unanswered = unanswered;
            }
        }
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

    // Sessions.

    /// Begins a session; it may be used at once. §2.5.1
    ///
    /// # Errors
    /// When the connection is closed or has no channel left.
    pub fn begin(&mut self, config: SessionConfig) -> Result<SessionId, CommandError> {
        if !self.state.may_send() {
            return Err(CommandError::Closed);
        }
        let key = self.sessions.insert(Session::new(config, SessionState::BeginSent));
        match self.send_begin(key) {
            Ok(()) => Ok(SessionId(key)),
            Err(error) => {
                self.sessions.remove(key);
                Err(error)
            }
        }
    }

    /// Answers the peer's begin. What the peer sent behind it is handled from now on. §2.5.1
    ///
    /// # Errors
    /// When it was answered already, the session is gone, or there is no channel left.
    pub fn accept_begin(&mut self, id: SessionId, config: SessionConfig) -> Result<(), CommandError> {
        self.answer_begin(id.0, config)?;
        self.events.push_back(Event::Session(id, SessionEvent::Begun));
        self.handle_early_in_session(id.0);
        Ok(())
    }

    /// Answers the peer's begin and ends the session with an error. §2.5.1
    ///
    /// # Errors
    /// As [`accept_begin`](Self::accept_begin).
    pub fn refuse_begin(&mut self, id: SessionId, error: Error<'static>) -> Result<(), CommandError> {
        self.answer_begin(id.0, SessionConfig::default())?;
        self.end(id, Some(error));
        Ok(())
    }

    pub(crate) fn answer_begin(&mut self, key: Key, config: SessionConfig) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(key).ok_or(CommandError::Gone)?;
        if session.state != SessionState::BeginReceived {
            return Err(CommandError::NotWaiting);
        }
        session.next_outgoing_id = config.next_outgoing_id;
        session.next_delivery_id = DeliveryNumber(config.next_outgoing_id.0);
        session.incoming_left = config.incoming_window;
        session.config = config;
        self.send_begin(key)?;
        if let Some(session) = self.sessions.get_mut(key) {
            session.state = SessionState::Mapped;
        }
        Ok(())
    }

    /// Ends a session, with an error if there is one to tell. Its links end with it. §2.5.3
    ///
    /// What the application has settled and sent before is sent first as far as windows permit.
    pub fn end(&mut self, id: SessionId, error: Option<Error<'static>>) {
        let Some(session) = self.sessions.get(id.0) else {
            return;
        };
        if matches!(session.state, SessionState::EndSent | SessionState::Discarding) {
            return;
        }
        if session.state == SessionState::BeginReceived {
            let refusal = error.unwrap_or_else(|| Error::new(ErrorCondition::NOT_ALLOWED, "the session was refused"));
            let _ = self.refuse_begin(id, refusal);
            return;
        }
        self.flush_session(id.0);
        self.end_links(id.0, &Ended::Below);
        let state = if error.is_some() { SessionState::Discarding } else { SessionState::EndSent };
        self.send_end(id.0, error, state);
    }

    /// Nobody waits for the answer to a begin any more: when it comes, the session is ended without a word.
    pub fn abandon_session(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id.0) {
            session.abandoned = true;
            self.end(id, None);
        }
    }

    // Links.

    /// Attaches a link. §2.6.3
    ///
    /// # Errors
    /// When the session is gone or has no handle left, the name is in use, or the attach exceeds the peer's max-frame-size.
    pub fn attach(&mut self, session: SessionId, mut config: LinkConfig) -> Result<LinkId, CommandError> {
        let state = self.sessions.get(session.0).ok_or(CommandError::Gone)?.state;
        if !self.state.may_send() {
            return Err(CommandError::Closed);
        }
        if !state.may_send() {
            return Err(if state == SessionState::BeginReceived {
                CommandError::SessionNotBegun
            } else {
                CommandError::Gone
            });
        }
        if self.find_link(&config.name, config.role, |_| true).is_some() {
            return Err(CommandError::NameInUse);
        }
        let link = Link::new(session.0, &mut config, LinkState::AttachSent);
        let key = self.links.insert(link);
        match self.send_attach(key, config) {
            Ok(()) => Ok(LinkId(key)),
            Err(error) => {
                self.links.remove(key);
                Err(error)
            }
        }
    }

    /// What the peer said when it attached this link, if it has.
    pub fn remote_attach(&self, id: LinkId) -> Option<&Attach<'static>> {
        self.links.get(id.0)?.remote_attach.as_deref()
    }

    /// The session that a link belongs to.
    pub fn session_of(&self, id: LinkId) -> Option<SessionId> {
        self.links.get(id.0).map(|link| SessionId(link.session))
    }

    /// Answers the peer's attach; name and role of `config` are replaced by what the peer's attach demands. §2.6.3
    ///
    /// # Errors
    /// When it was answered already, the link is gone, or its session has no handle left.
    pub fn accept_attach(&mut self, id: LinkId, mut config: LinkConfig) -> Result<(), CommandError> {
        let link = self.links.get(id.0).ok_or(CommandError::Gone)?;
        let remote = self.answerable(link)?.clone();
        config.name = remote.name.clone();
        config.role = link.role();
        match config.role {
            // The receiver's wish counts for how the receiver settles, the sender's for how the sender does. §2.7.3
            Role::Receiver => config.snd_settle_mode = remote.snd_settle_mode,
            Role::Sender => config.rcv_settle_mode = remote.rcv_settle_mode,
        }
        let mut link = Link::new(link.session, &mut config, LinkState::AttachReceived);
        link.receive_attach(&remote);
        link.remote_attach = Some(Box::new(remote));
        if let Some(place) = self.links.get_mut(id.0) {
            link.take_early_flow(place);
            *place = link;
        }
        self.send_attach(id.0, config)?;
        self.attached(id.0);
        Ok(())
    }

    /// Refuses the peer's attach: answers it with a null terminus and detaches with the error. §2.6.3
    ///
    /// # Errors
    /// As [`accept_attach`](Self::accept_attach).
    pub fn refuse_attach(&mut self, id: LinkId, error: Error<'static>) -> Result<(), CommandError> {
        let link = self.links.get(id.0).ok_or(CommandError::Gone)?;
        let remote = self.answerable(link)?.clone();
        let mut config = match link.role() {
            Role::Receiver => LinkConfig::receiver(remote.name.clone(), remote.source.clone().unwrap_or_default()),
            Role::Sender => LinkConfig::sender(remote.name.clone(), remote.target.clone().unwrap_or_default()),
        };
        match config.role {
            Role::Receiver => config.target = None,
            Role::Sender => config.source = None,
        }
        self.send_attach(id.0, config)?;
        self.detach(id, true, Some(error));
        Ok(())
    }

    fn answerable<'l>(&self, link: &'l Link) -> Result<&'l Attach<'static>, CommandError> {
        let session = self.sessions.get(link.session).ok_or(CommandError::Gone)?;
        match (link.remote_attach.as_deref(), session.state) {
            (Some(attach), SessionState::Mapped) if link.state == LinkState::AttachReceived => Ok(attach),
            _ => Err(CommandError::NotWaiting),
        }
    }

    /// Detaches a link; `closed` gives its terminus up too. §2.6.4, §2.6.6
    ///
    /// What the application has settled and sent before is sent first as far as credit and windows permit. The peer's answer is
    /// told by [`LinkEvent::Detached`].
    pub fn detach(&mut self, id: LinkId, closed: bool, error: Option<Error<'static>>) {
        let Some(link) = self.links.get(id.0) else {
            return;
        };
        if !link.state.is_alive() {
            return;
        }
        if link.state == LinkState::AttachReceived && link.handle.is_none() {
            let refusal = error.unwrap_or_else(|| Error::new(ErrorCondition::NOT_ALLOWED, "the link was refused"));
            let _ = self.refuse_attach(id, refusal);
            return;
        }
        let session = link.session;
        self.flush_session(session);
        self.send_detach(id.0, closed, error);
        if let Some(link) = self.links.get_mut(id.0) {
            link.state = LinkState::DetachSent;
        }
        self.forget_flow(session, id.0);
    }

    /// Nobody waits for the answer to an attach any more, or holds the link: it is closed without a word, and forgotten once the
    /// peer has agreed.
    pub fn abandon_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id.0) else {
            return;
        };
        link.abandoned = true;
        if link.state == LinkState::Detached {
            self.links.remove(id.0);
        } else {
            self.detach(id, true, None);
        }
    }

    /// Takes the unsettled state of a link whose end was told; its name finds nothing from then on.
    pub fn take_terminus(&mut self, id: LinkId) -> Option<Terminus> {
        let link = self.links.get_mut(id.0).filter(|link| link.told && !link.abandoned)?;
        let unsettled = link.unsettled();
        // Where the peer has not answered our detach yet, its numbers stay taken until it has.
        link.abandoned = true;
        if link.state == LinkState::Detached {
            self.links.remove(id.0);
        }
        Some(Terminus { unsettled })
    }

    /// A view of a link that receives.
    #[inline]
    pub fn receiver(&mut self, id: LinkId) -> Option<Receiver<'_>> {
        let link = self.links.get_mut(id.0).filter(|link| link.role() == Role::Receiver && !link.abandoned)?;
        let session = self.sessions.get_mut(link.session);
        Some(Receiver { key: id.0, link, session })
    }

    /// A view of a link that sends.
    #[inline]
    pub fn sender(&mut self, id: LinkId) -> Option<Sender<'_>> {
        let link = self.links.get_mut(id.0).filter(|link| link.role() == Role::Sender && !link.abandoned)?;
        let session = self.sessions.get_mut(link.session);
        Some(Sender { key: id.0, link, session })
    }

    /// Asks the peer for a flow on a session; a sign of life in both directions. §2.7.4
    pub fn request_flow(&mut self, id: SessionId) {
        let may_send = self.state.may_send();
        if let Some(session) = self.sessions.get_mut(id.0).filter(|session| may_send && session.state.may_send()) {
            let mut flow = session.flow();
            flow.echo = true;
            if let Some(channel) = session.channel {
                self.control.small(|out| encode_frame(FrameType::Amqp, channel, &flow, out));
            }
        }
    }

    /// A link of this name and direction that is not detached on both sides.
    pub(crate) fn find_link(&self, name: &str, role: Role, which: impl Fn(&Link) -> bool) -> Option<Key> {
        let mut links = self.links.iter().filter(|(_, link)| link.state != LinkState::Detached && which(link));
        links.find(|(_, link)| link.name == *name && link.role() == role).map(|(key, _)| key)
    }

    // What is sent.

    pub(crate) fn send_header(&mut self) {
        self.control.small(|out| out.extend_from_slice(&ProtocolHeader::AMQP.to_octets()));
        self.state.sent = Stage::Header;
    }

    /// Queues a frame unless it exceeds what the peer takes.
    fn send(&mut self, channel: Channel, body: &impl Encode) -> Result<(), CommandError> {
        let limit = self.peer_max_frame;
        self.control.small(|out| {
            let start = out.len();
            let size = encode_frame(FrameType::Amqp, channel, body, out);
            if size > limit {
                out.truncate(start);
                return Err(CommandError::FrameTooLarge(size));
            }
            Ok(())
        })
    }

    fn send_open(&mut self) -> Result<(), CommandError> {
        let config = &self.config;
        let millis = |time: Duration| Milliseconds(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        let open = Open {
            hostname: config.hostname.clone(),
            max_frame_size: config.max_frame_size.max(MIN_MAX_FRAME_SIZE),
            channel_max: Channel(config.channel_max),
            idle_time_out: config.bears_silence_for().map(millis),
            offered_capabilities: config.offered_capabilities.clone(),
            desired_capabilities: config.desired_capabilities.clone(),
            properties: config.properties.clone(),
            ..Open::new(config.container_id.clone())
        };
        self.send(Channel(0), &open)?;
        self.state.sent = Stage::Open;
        Ok(())
    }

    /// Sends a close; an error whose text does not fit is told without it.
    pub(crate) fn send_close(&mut self, error: Option<Error<'static>>) {
        let bare = error.as_ref().map(|error| Error { description: None, info: None, ..error.clone() });
        if self.send(Channel(0), &Close { error }).is_err() {
            let _ = self.send(Channel(0), &Close { error: bare });
        }
        self.state.sent = Stage::Close;
        self.heartbeat_due = false;
        self.timers.set(Timer::Heartbeat, None);
        self.timers.set(Timer::PeerSilent, None);
        self.await_close();
        self.timers_due = true;
    }

    fn await_close(&mut self) {
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

    fn send_begin(&mut self, key: Key) -> Result<(), CommandError> {
        // Before the peer's open only channel 0 may be counted on. §2.4.1
        let most = self.remote_open.as_ref().map_or(0, |open| open.channel_max.0);
        let at = self.channels.iter().position(Option::is_none).unwrap_or(self.channels.len());
        let channel = u16::try_from(at).ok().filter(|channel| *channel <= most).ok_or(CommandError::NoChannel)?;
        let begin = self.sessions.get(key).map(Session::begin).ok_or(CommandError::Gone)?;
        self.send(Channel(channel), &begin)?;
        if at == self.channels.len() {
            self.channels.push(None);
        }
        if let Some(place) = self.channels.get_mut(at) {
            *place = Some(key);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.channel = Some(Channel(channel));
        }
        Ok(())
    }

    pub(crate) fn send_end(&mut self, key: Key, error: Option<Error<'static>>, state: SessionState) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.state = state;
        session.early.clear();
        let Some(channel) = session.channel else {
            return;
        };
        let bare = error.as_ref().map(|error| Error { description: None, info: None, ..error.clone() });
        if self.send(channel, &End { error }).is_err() {
            let _ = self.send(channel, &End { error: bare });
        }
    }

    fn send_attach(&mut self, key: Key, config: LinkConfig) -> Result<(), CommandError> {
        let link = self.links.get(key).ok_or(CommandError::Gone)?;
        let session = self.sessions.get_mut(link.session).ok_or(CommandError::Gone)?;
        let handle = session.free_handle().ok_or(CommandError::NoHandle)?;
        let channel = session.channel.ok_or(CommandError::SessionNotBegun)?;
        let attach = link.attach(handle, config);
        self.send(channel, &attach)?;
        if let Some(link) = self.links.get_mut(key) {
            link.handle = Some(handle);
            if let Some(session) = self.sessions.get_mut(link.session) {
                session.set_handle(handle, Some(key));
            }
        }
        Ok(())
    }

    pub(crate) fn send_detach(&mut self, key: Key, closed: bool, error: Option<Error<'static>>) {
        let Some(link) = self.links.get(key) else {
            return;
        };
        let channel = self.sessions.get(link.session).and_then(|session| session.channel);
        let (Some(handle), Some(channel)) = (link.handle, channel) else {
            return;
        };
        let bare = error.as_ref().map(|error| Error { description: None, info: None, ..error.clone() });
        if self.send(channel, &Detach { handle, closed, error }).is_err() {
            let _ = self.send(channel, &Detach { handle, closed, error: bare });
        }
    }

    // What ends.

    /// The connection cannot go on: tells the peer, and the application once.
    pub(crate) fn fail(&mut self, end: ConnectionEnd, error: Error<'static>) {
        if self.state.sent >= Stage::Close || self.state.is_over() {
            return;
        }
        if self.state.sent < Stage::Header {
            self.send_header();
        }
        if self.state.sent < Stage::Open && self.send_open().is_err() {
            // A close cannot be the first frame.
            return self.finish(end);
        }
        self.state.discarding = true;
        self.send_close(Some(error));
        self.tell_end(end);
    }

    /// Answers a rule that the peer broke at the scope that the rule demands.
    pub(crate) fn violation(&mut self, violation: Violation, session: Option<Key>, link: Option<Key>) {
        tracing::debug!(%violation, "the peer broke a rule");
        match (violation.scope(), session, link) {
            (Scope::Link, Some(session), Some(link)) => {
                let unanswered = self.links.get(link).is_some_and(|link| link.handle.is_none());
                if unanswered && self.refuse_attach(LinkId(link), violation.to_error()).is_err() {
                    // It cannot even be attached, so that it could be detached.
                    return self.violation(violation, Some(session), None);
                }
                if !unanswered {
                    self.send_detach(link, true, Some(violation.to_error()));
                }
                if let Some(link) = self.links.get_mut(link) {
                    link.state = LinkState::DetachSent;
                }
                self.tell_detached(link, true, Ended::Violation(violation));
                self.forget_flow(session, link);
            }
            (Scope::Session | Scope::Link, Some(session), _) => {
                self.flush_session(session);
                self.end_links(session, &Ended::Below);
                self.send_end(session, Some(violation.to_error()), SessionState::Discarding);
                self.tell_ended(session, Ended::Violation(violation));
            }
            _ => self.fail(ConnectionEnd::Violation(violation), violation.to_error()),
        }
    }

    pub(crate) fn tell_end(&mut self, end: ConnectionEnd) {
        if !std::mem::replace(&mut self.end_told, true) {
            self.end_everything(Ended::Below);
            self.events.push_back(Event::Closed(end));
        }
    }

    /// Nothing is waited for any more.
    pub(crate) fn finish(&mut self, end: ConnectionEnd) {
        self.state.over = true;
        self.timers = Timers::default();
        self.early.clear();
        self.tell_end(end);
    }

    fn end_everything(&mut self, end: Ended) {
        for key in self.sessions.keys() {
            self.end_links(key, &end);
            self.tell_ended(key, end.clone());
            self.remove_session(key);
        }
        self.channels.clear();
        self.remote_channels.clear();
        self.unanswered.clear();
        self.timers.set(Timer::Answer, None);
    }

    /// Tells once that a session has ended.
    pub(crate) fn tell_ended(&mut self, key: Key, end: Ended) {
        if let Some(session) = self.sessions.get_mut(key)
            && !std::mem::replace(&mut session.abandoned, true)
        {
            self.events.push_back(Event::Session(SessionId(key), SessionEvent::Ended(end)));
        }
    }

    /// Ends all links of a session that ends.
    pub(crate) fn end_links(&mut self, session: Key, end: &Ended) {
        let mine: Vec<Key> =
            self.links.iter().filter(|(_, link)| link.session == session).map(|(key, _)| key).collect();
        for key in mine {
            self.detached(key, false, end.clone());
        }
    }

    /// A session is gone from both sides, or with its connection.
    pub(crate) fn remove_session(&mut self, key: Key) {
        let Some(session) = self.sessions.remove(key) else {
            return;
        };
        if let Some(place) = session.channel.and_then(|channel| self.channels.get_mut(usize::from(channel.0))) {
            *place = None;
        }
    }

    /// Tells once that a link is over, and forgets what it held.
    pub(crate) fn tell_detached(&mut self, key: Key, closed: bool, end: Ended) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let held = match &mut link.end {
            crate::link::End::Receiver(receiver) => receiver.clear(),
            crate::link::End::Sender(sender) => {
                sender.queue.clear();
                0
            }
        };
        let told = std::mem::replace(&mut link.told, true) || link.abandoned;
        if let Some(session) = self.sessions.get_mut(link.session) {
            session.release_octets(held);
            session.incoming.remove_link(key);
            session.outgoing.remove_link(key);
        }
        if !told {
            self.events.push_back(Event::Link(LinkId(key), LinkEvent::Detached { closed, end }));
        }
    }

    /// A link is detached on both sides, or what it stood on is gone: tells so once and frees its handles.
    pub(crate) fn detached(&mut self, key: Key, closed: bool, end: Ended) {
        let Some(link) = self.links.get(key) else {
            return;
        };
        if link.state == LinkState::Detached {
            return;
        }
        let forgotten = link.abandoned;
        self.tell_detached(key, closed, end);
        if let Some(link) = self.links.get_mut(key) {
            link.state = LinkState::Detached;
            let (session, handle, remote) = (link.session, link.handle.take(), link.remote_handle.take());
            if let Some(session) = self.sessions.get_mut(session) {
                if let Some(handle) = handle {
                    session.set_handle(handle, None);
                }
                if let Some(remote) = remote {
                    session.set_remote_handle(remote, None);
                }
            }
            self.forget_flow(session, key);
        }
        if forgotten {
            self.links.remove(key);
        }
    }

    /// Removes a link from the queues of its session.
    fn forget_flow(&mut self, session: Key, key: Key) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.flows.retain(|link| *link != key);
            session.senders.retain(|link| *link != key);
        }
    }

    // What begins.

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
            let limit = self.config.bears_silence_for().and_then(|time| time.checked_mul(2));
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
    pub(crate) fn incoming_begin(&mut self, channel: Channel, begin: &Begin<'_>) {
        let mut session = Session::new(SessionConfig::default(), SessionState::BeginReceived);
        session.receive_begin(channel, begin);
        let key = self.sessions.insert(session);
        self.set_remote_channel(channel, Some(key));
        self.events.push_back(Event::Session(SessionId(key), SessionEvent::Incoming));
        self.await_answer(Unanswered::Begin(key));
    }

    /// The peer attached a link of its own.
    pub(crate) fn incoming_attach(&mut self, session: Key, attach: &Attach<'_>) {
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
        self.events.push_back(Event::Link(LinkId(key), LinkEvent::Incoming));
        self.await_answer(Unanswered::Attach(key));
    }

    /// Both ends have attached.
    pub(crate) fn attached(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.state = LinkState::Attached;
        let (session, abandoned) = (link.session, link.abandoned);
        let wants_flow = link.flow_due || link.receiver().is_some_and(|end| end.wants_flow());
        if abandoned {
            self.detach(LinkId(key), true, None);
            return;
        }
        if wants_flow && let Some(session) = self.sessions.get_mut(session) {
            link.flow_queued = true;
            session.flows.push_back(key);
        }
        let mut tell = |event| self.events.push_back(Event::Link(LinkId(key), event));
        tell(LinkEvent::Attached);
        if let Some(end) = link.sender().filter(|end| end.credit > 0) {
            tell(LinkEvent::Sendable);
            if end.drain {
                tell(LinkEvent::Drain);
            }
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
    use amqp10_codec::TransferNumber;
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
