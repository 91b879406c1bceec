//! One task per connection that owns engine and stream. Every decision is the engine's; this only carries.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use amqp10_codec::{DeliveryState, Error, ErrorCondition};
use amqp10_link::{
    Connection as Engine, DeliveryKey, DeliveryStart, Ended, Event, LinkConfig, LinkEvent, LinkId, Output,
    SessionConfig, SessionEvent, SessionId,
};
use amqp10_transport::Stream;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep_until};

use crate::error::{ConnectionError, LinkError, SendError, SessionError};
use crate::mailbox::{
    Arrived, Collected, Command, CreditChange, LinkBox, LinkParts, Outbox, SendRequest, SessionParts, Shared,
    Unclaimed, Waiting,
};

/// Octets that are collected ahead of what the stream takes.
const AHEAD: usize = 256 * 1024;
/// The size of a read.
const READ: usize = 64 * 1024;
/// The size of the first read of a connection that has been quiet.
const IDLE_READ: usize = 2 * 1024;
/// The fewest sends that wait for credit before those that were withdrawn are looked for.
const TIDY: usize = 64;
/// Links of a session, and sessions of a connection, that the peer may begin before the application looks for one.
pub(crate) const INCOMING: usize = 256;
/// How long a chunk is kept after the last read.
const QUIET: Duration = Duration::from_secs(1);
/// How long settlements wait for company.
const LAZY: Duration = Duration::from_millis(1);
/// How long the peer may refuse to take anything if it announced no idle-time-out.
const WRITE_STALL: Duration = Duration::from_secs(60);

type Reply<T, E> = oneshot::Sender<Result<T, E>>;
type IncomingLinks = mpsc::Sender<(LinkId, Box<amqp10_codec::Attach<'static>>)>;

struct SessionEntry {
    begin: Option<(Reply<SessionParts, SessionError>, SessionParts)>,
    links: IncomingLinks,
    end: watch::Sender<Option<SessionError>>,
    ending: Vec<oneshot::Sender<()>>,
}

struct LinkEntry {
    mailbox: Arc<LinkBox>,
    attach: Option<Reply<LinkParts, LinkError>>,
    detaching: Vec<oneshot::Sender<()>>,
    sends: VecDeque<SendRequest>,
    /// How many requests have left `sends`.
    begun: u64,
    /// How many may wait before those that were withdrawn are looked for.
    tidy_at: usize,
    in_flight: HashMap<DeliveryKey, Reply<Option<DeliveryState<'static>>, SendError>>,
}

impl LinkEntry {
    /// Tells everybody who waits for something of this link that it is over.
    fn end(self, error: LinkError) {
        if let Some(reply) = self.attach {
            let _ = reply.send(Err(error.clone()));
        }
        for request in self.sends {
            let _ = request.reply.send(Err(SendError::NotSent(error.clone())));
        }
        for reply in self.in_flight.into_values() {
            let _ = reply.send(Err(SendError::InDoubt(error.clone())));
        }
        self.mailbox.end(error);
    }
}

struct Driver {
    engine: Engine,
    stream: Stream,
    input: BytesMut,
    /// The engine has left frames in `input`, since too much waits to be sent in answer to others.
    held_back: bool,
    output: Output,
    shared: Arc<Shared>,
    incoming_sessions: mpsc::Sender<SessionId>,
    /// Told when the peer's open is here (a server) or both opens are (a client).
    opened: Option<oneshot::Sender<()>>,
    sessions: HashMap<SessionId, SessionEntry>,
    links: HashMap<LinkId, LinkEntry>,
    collected: Collected,
    outbox: Outbox,
    read_size: usize,
    /// Since when nothing was read although more than an idle connection needs is held to read into.
    quiet_since: Option<Instant>,
    needs_flush: bool,
    /// The peer will send no more.
    eof: bool,
    broken: Option<ConnectionError>,
    /// The stream takes nothing any more; what the peer said before may still be read.
    write_error: Option<Arc<io::Error>>,
    end: Option<ConnectionError>,
    /// We have asked for the end.
    closing: bool,
    /// Why sessions end whose links are being told.
    session_ends: HashMap<SessionId, SessionError>,
    /// A buffer for events.
    told: Vec<Event>,
    /// Since when the stream has taken nothing although something waits.
    stalled_since: Option<Instant>,
    lazy_since: Option<Instant>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Why what the peer begins is refused before the application has seen it.
fn nobody_looks() -> Error<'static> {
    Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too many wait that the application has not looked at")
}

/// Starts a driver. The receiver resolves when the connection is open, or an open waits for an answer.
pub(crate) fn spawn(engine: Engine, stream: Stream, leftover: BytesMut) -> (Arc<Shared>, oneshot::Receiver<()>) {
    let (shared, incoming_sessions) = Shared::new();
    let (opened, opening) = oneshot::channel();
    let driver = Driver {
        engine,
        stream,
        input: leftover,
        held_back: false,
        output: Output::new(),
        shared: Arc::clone(&shared),
        incoming_sessions,
        opened: Some(opened),
        sessions: HashMap::new(),
        links: HashMap::new(),
        collected: Collected { commands: VecDeque::new(), links: Vec::new() },
        outbox: Outbox::default(),
        read_size: IDLE_READ,
        quiet_since: None,
        needs_flush: false,
        eof: false,
        broken: None,
        write_error: None,
        end: None,
        closing: false,
        session_ends: HashMap::new(),
        told: Vec::new(),
        stalled_since: None,
        lazy_since: None,
    };
    tokio::spawn(driver.run());
    (shared, opening)
}

impl Driver {
    async fn run(mut self) {
        let mut timer = pin!(sleep_until(tokio::time::Instant::now()));
        self.handle_input();
        loop {
            self.turn();
            if self.engine.is_closed() && (self.output.is_empty() || self.broken.is_some()) {
                break;
            }
            poll_fn(|cx| self.poll(cx, timer.as_mut())).await;
        }
        self.turn();
        self.finish().await;
    }

    /// Takes what the application left, hands out what the engine produced, and collects what is to be sent.
    fn turn(&mut self) {
        let mut collected =
            std::mem::replace(&mut self.collected, Collected { commands: VecDeque::new(), links: Vec::new() });
        self.shared.collect(&mut collected);
        // What is asked for may fail for a reason that has just come.
        self.events();
        self.lazy_since = None;
        if !collected.commands.is_empty() {
            // Time limits of what is about to be asked of the peer count from now, not from when it was last heard.
            self.engine.handle_timeout(now());
        }
        for command in collected.commands.drain(..) {
            self.command(command);
        }
        for mailbox in collected.links.drain(..) {
            self.take_out(&mailbox);
        }
        self.collected = collected;
        self.events();
        loop {
            while self.output.len() < AHEAD && self.engine.poll_output(&mut self.output, AHEAD, now()) {
                // Sending may have told the outcome of deliveries that are sent settled.
                self.events();
            }
            if !self.held_back || !self.engine.wants_input() {
                break;
            }
            self.handle_input();
            self.events();
        }
    }

    /// Hands over what was read.
    fn handle_input(&mut self) {
        self.engine.handle_input(&mut self.input, now());
        self.held_back = !self.engine.wants_input();
    }

    /// Hands out what happened.
    fn events(&mut self) {
        let mut events = std::mem::take(&mut self.told);
        loop {
            events.extend(std::iter::from_fn(|| self.engine.poll_event()));
            if events.is_empty() {
                break;
            }
            // What stands on something is told to end before it, but wants to know why.
            for event in &events {
                match event {
                    Event::Closed(end) => self.end = Some(self.broken.clone().unwrap_or_else(|| end.clone().into())),
                    Event::Session(id, SessionEvent::Ended(end)) if *end != Ended::Below => {
                        self.session_ends.insert(*id, SessionError::from_end(end.clone(), None));
                    }
                    _ => {}
                }
            }
            for event in events.drain(..) {
                self.event(event);
            }
        }
        self.told = events;
    }

    /// Ready when anything moved. Nothing is lost if this is not polled again.
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
        let mut moved = false;
        match self.shared.poll_waiting(cx) {
            Waiting::Urgent => moved = true,
            Waiting::Lazy => {
                let since = *self.lazy_since.get_or_insert_with(now);
                moved |= since + LAZY <= now();
            }
            Waiting::Nothing => {}
        }
        moved |= self.poll_read(cx);
        moved |= self.poll_write(cx);
        let stall = self.stalled_since.map(|since| since + self.stall_limit());
        let lazy = self.lazy_since.map(|since| since + LAZY);
        let quiet = self.quiet_since.map(|since| since + QUIET);
        if let Some(deadline) = [self.engine.poll_timeout(), stall, lazy, quiet].into_iter().flatten().min() {
            let deadline = tokio::time::Instant::from_std(deadline);
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_ready() {
                let now = now();
                self.engine.handle_timeout(now);
                if stall.is_some_and(|stall| stall <= now) {
                    self.break_off(ConnectionError::WriteStalled);
                }
                if quiet.is_some_and(|quiet| quiet <= now) {
                    self.quiet_since = None;
                    self.input = BytesMut::new();
                }
                moved = true;
            }
        }
        if moved { Poll::Ready(()) } else { Poll::Pending }
    }

    fn stall_limit(&self) -> Duration {
        let announced = self.engine.remote_open().and_then(|open| open.idle_time_out).filter(|time| time.0 > 0);
        announced.map_or(WRITE_STALL, |time| Duration::from_millis(time.0.into()))
    }

    fn break_off(&mut self, error: ConnectionError) {
        self.broken.get_or_insert(error);
        self.eof = true;
        self.engine.handle_eof(now());
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.eof || self.held_back {
            return false;
        }
        let wanted = self.engine.input_wanted(&self.input).max(self.read_size);
        self.input.reserve(wanted);
        let result = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        match result {
            Poll::Pending => {
                let Some(error) = self.write_error.take() else {
                    if self.input.is_empty() {
                        self.read_size = IDLE_READ;
                        if self.input.capacity() > IDLE_READ {
                            self.quiet_since.get_or_insert_with(now);
                        }
                    }
                    return false;
                };
                self.break_off(ConnectionError::Io(error));
            }
            Poll::Ready(Ok(0)) => self.read_eof(),
            // The end of a TLS stream without its own good-bye; whether all was said, AMQP's close tells.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => self.read_eof(),
            Poll::Ready(Ok(read)) => {
                self.quiet_since = None;
                if read >= self.read_size {
                    self.read_size = READ;
                }
                self.handle_input();
            }
            Poll::Ready(Err(error)) => self.break_off(ConnectionError::Io(Arc::new(error))),
        }
        true
    }

    fn read_eof(&mut self) {
        match self.write_error.take() {
            Some(error) => self.break_off(ConnectionError::Io(error)),
            None => {
                self.eof = true;
                self.engine.handle_eof(now());
            }
        }
    }

    /// The stream takes nothing any more. The connection breaks once there is nothing more to read either.
    fn write_failed(&mut self, error: io::Error) {
        self.output = Output::new();
        let error = Arc::new(error);
        if self.eof {
            self.break_off(ConnectionError::Io(error));
        } else {
            self.write_error = Some(error);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if self.write_error.is_some() {
            self.output = Output::new();
            return false;
        }
        while !self.output.is_empty() && self.broken.is_none() {
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = self.output.chunks(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..filled]) {
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(now);
                    return moved;
                }
                Poll::Ready(Ok(0)) => {
                    self.write_failed(io::ErrorKind::WriteZero.into());
                    return true;
                }
                Poll::Ready(Ok(written)) => {
                    self.output.advance(written);
                    self.stalled_since = None;
                    self.needs_flush = true;
                    moved = true;
                }
                Poll::Ready(Err(error)) => {
                    self.write_failed(error);
                    return true;
                }
            }
        }
        if self.needs_flush && self.broken.is_none() {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.needs_flush = false;
                    self.stalled_since = None;
                }
                Poll::Ready(Err(error)) => {
                    self.write_failed(error);
                    return true;
                }
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(now);
                }
            }
        }
        moved
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::AcceptOpen { config, reply } => {
                let result = self.engine.accept(*config).map_err(|_| self.over());
                let _ = reply.send(result);
            }
            Command::RefuseOpen(error) => {
                if let Err(error) = self.engine.refuse(error) {
                    tracing::debug!(%error, "the open could not be refused");
                }
            }
            Command::Begin { config, reply } => match self.engine.begin(config) {
                Ok(id) => {
                    let parts = self.new_session(id);
                    if let Some(entry) = self.sessions.get_mut(&id) {
                        entry.begin = Some((reply, parts));
                    }
                }
                Err(error) => drop(reply.send(Err(self.session_error(error)))),
            },
            Command::AcceptBegin { id, config, reply } => self.accept_begin(id, config, reply),
            Command::RefuseBegin { id, error } => {
                if let Err(error) = self.engine.refuse_begin(id, error) {
                    tracing::debug!(%error, "the begin could not be refused");
                }
            }
            Command::End { id, error, reply } => {
                if let Some(entry) = self.sessions.get_mut(&id) {
                    entry.ending.extend(reply);
                    self.take_out_all(Some(id));
                    self.engine.end(id, error);
                }
            }
            Command::Attach { session, config, release_dropped, reply } => match self.engine.attach(session, *config) {
                Ok(id) => self.new_link(id, release_dropped, reply),
                Err(error) => {
                    let error = match self.session_error(error) {
                        SessionError::Command(error) => LinkError::Command(error),
                        over => LinkError::Session(over),
                    };
                    let _ = reply.send(Err(error));
                }
            },
            Command::AcceptAttach { id, config, reply } => self.accept_attach(id, *config, reply),
            Command::RefuseAttach { id, error } => {
                if let Err(error) = self.engine.refuse_attach(id, error) {
                    tracing::debug!(%error, "the attach could not be refused");
                }
            }
            Command::Detach { id, closed, error, reply } => {
                if let Some(entry) = self.links.get_mut(&id) {
                    entry.detaching.extend(reply);
                    let mailbox = Arc::clone(&entry.mailbox);
                    self.take_out(&mailbox);
                    self.engine.detach(id, closed, error);
                }
            }
            Command::AbandonLink(id) => {
                if let Some(entry) = self.links.get(&id) {
                    let mailbox = Arc::clone(&entry.mailbox);
                    self.take_out(&mailbox);
                    self.engine.detach(id, true, None);
                }
            }
            Command::Abort => self.break_off(ConnectionError::Closed),
            Command::Close(error) => {
                self.take_out_all(None);
                self.closing = true;
                self.engine.close(error);
            }
        }
    }

    /// Why a command that needs the connection failed.
    fn over(&self) -> ConnectionError {
        self.closing().unwrap_or(ConnectionError::Closed)
    }

    fn session_error(&self, error: amqp10_link::CommandError) -> SessionError {
        match error {
            amqp10_link::CommandError::Closed => SessionError::Connection(self.over()),
            amqp10_link::CommandError::Gone => SessionError::Ended,
            other => SessionError::Command(other),
        }
    }

    fn new_session(&mut self, id: SessionId) -> SessionParts {
        let (links, incoming) = mpsc::channel(INCOMING);
        let (end, ended) = watch::channel(None);
        self.sessions.insert(id, SessionEntry { begin: None, links, end, ending: Vec::new() });
        SessionParts { id, links: incoming, end: ended, unclaimed: Unclaimed::session(id, &self.shared) }
    }

    fn accept_begin(&mut self, id: SessionId, config: SessionConfig, reply: Reply<SessionParts, SessionError>) {
        if let Err(error) = self.engine.accept_begin(id, config) {
            let _ = reply.send(Err(self.session_error(error)));
            return;
        }
        // If nobody waits for the parts any more, dropping them ends the session.
        let _ = reply.send(Ok(self.new_session(id)));
    }

    fn new_link(&mut self, id: LinkId, release_dropped: bool, attach: Reply<LinkParts, LinkError>) {
        let entry = LinkEntry {
            mailbox: LinkBox::new(id, Arc::clone(&self.shared), release_dropped),
            attach: Some(attach),
            detaching: Vec::new(),
            sends: VecDeque::new(),
            begun: 0,
            tidy_at: TIDY,
            in_flight: HashMap::new(),
        };
        self.links.insert(id, entry);
    }

    fn accept_attach(&mut self, id: LinkId, config: LinkConfig, reply: Reply<LinkParts, LinkError>) {
        if let Err(error) = self.engine.accept_attach(id, config) {
            let _ = reply.send(Err(LinkError::Command(error)));
            return;
        }
        self.new_link(id, true, reply);
        self.attached(id);
    }

    /// Answers whoever waits for a link.
    fn attached(&mut self, id: LinkId) {
        let Some(entry) = self.links.get_mut(&id) else { return };
        let Some(reply) = entry.attach.take() else { return };
        let Some(remote) = self.engine.remote_attach(id) else { return };
        let unclaimed = Unclaimed::link(id, &self.shared);
        let mailbox = Arc::clone(&entry.mailbox);
        // If nobody waits for the parts any more, dropping them closes the link.
        let _ = reply.send(Ok(LinkParts { mailbox, remote_attach: Box::new(remote.clone()), unclaimed }));
    }

    /// Carries out what the application left at the links of a session, or at all links, before that ends.
    fn take_out_all(&mut self, session: Option<SessionId>) {
        let ending = |id: LinkId| session.is_none() || self.engine.session_of(id) == session;
        let links = self.links.iter().filter(|(id, _)| ending(**id)).map(|(_, entry)| Arc::clone(&entry.mailbox));
        for mailbox in links.collect::<Vec<_>>() {
            self.take_out(&mailbox);
        }
    }

    /// Carries out what the application left at a link.
    fn take_out(&mut self, mailbox: &Arc<LinkBox>) {
        let mut outbox = std::mem::take(&mut self.outbox);
        mailbox.take_out(&mut outbox);
        let (taken, octets, settled) = mailbox.take_taken();
        if let Some(mut receiver) = self.engine.receiver(mailbox.id) {
            // Changes of credit come first, so that a smaller window counts before settlements make room in it.
            for change in outbox.credit.drain(..) {
                match change {
                    CreditChange::Set(credit) => receiver.set_credit(credit),
                    CreditChange::Add(credit) => receiver.add_credit(credit),
                    CreditChange::Mode(mode) => receiver.set_credit_mode(mode),
                    CreditChange::Drain => receiver.drain(),
                }
            }
            for (key, state) in outbox.settlements.drain(..) {
                if let Err(error) = receiver.settle(key, state, true) {
                    tracing::debug!(%error, "a settlement came too late");
                }
            }
            if taken > 0 {
                receiver.taken(taken, octets);
                receiver.settled_on_arrival(settled);
            }
        }
        outbox.credit.clear();
        outbox.settlements.clear();
        if let Some(entry) = self.links.get_mut(&mailbox.id) {
            entry.sends.append(&mut outbox.sends);
            self.pump(mailbox.id);
        }
        // Requests of a link that is gone are answered by dropping them.
        outbox.sends.clear();
        self.outbox = outbox;
    }

    /// Sends what waits, as far as credit permits.
    fn pump(&mut self, id: LinkId) {
        let (Some(entry), Some(mut sender)) = (self.links.get_mut(&id), self.engine.sender(id)) else { return };
        while let Some(request) = entry.sends.pop_front() {
            if request.reply.is_closed() {
                // Withdrawn before anything of it was sent.
                entry.begun += 1;
                continue;
            }
            let start = DeliveryStart { settled: request.settled, ..DeliveryStart::default() };
            let key = match sender.begin_delivery(start) {
                Ok(key) => key,
                Err(_) => {
                    entry.sends.push_front(request);
                    break;
                }
            };
            entry.begun += 1;
            let mut slices = request.slices.into_iter();
            if slices.try_for_each(|slice| sender.write(key, slice)).is_err() {
                let _ = sender.abort(key);
                let _ = request.reply.send(Err(SendError::MessageTooLarge));
                continue;
            }
            if sender.finish(key).is_ok() {
                entry.in_flight.insert(key, request.reply);
            }
        }
        if entry.sends.len() >= entry.tidy_at {
            // Without credit, what was withdrawn must not pile up.
            let before = entry.sends.len();
            entry.sends.retain(|request| !request.reply.is_closed());
            entry.begun += (before - entry.sends.len()) as u64;
            entry.tidy_at = TIDY.max(entry.sends.len() * 2);
        }
        entry.mailbox.set_send_limit(entry.begun + u64::from(sender.credit()));
        sender.set_available(u32::try_from(entry.sends.len()).unwrap_or(u32::MAX));
        if entry.sends.is_empty() && sender.is_draining() {
            sender.drained();
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Incoming | Event::Opened => {
                if let Some(open) = self.engine.remote_open() {
                    self.shared.remote_open.get_or_init(|| open.clone());
                }
                if let Some(opened) = self.opened.take() {
                    let _ = opened.send(());
                }
            }
            Event::Session(id, event) => self.session_event(id, event),
            Event::Link(id, event) => self.link_event(id, event),
            _ => {}
        }
    }

    fn session_event(&mut self, id: SessionId, event: SessionEvent) {
        match event {
            SessionEvent::Incoming => {
                let full = self.incoming_sessions.try_send(id).is_err();
                if full {
                    self.command(Command::RefuseBegin { id, error: nobody_looks() });
                }
            }
            SessionEvent::Begun => {
                if let Some((reply, parts)) = self.sessions.get_mut(&id).and_then(|entry| entry.begin.take()) {
                    // If whoever asked for it has gone, dropping the parts ends it.
                    let _ = reply.send(Ok(parts));
                }
            }
            SessionEvent::Ended(end) => {
                let Some(entry) = self.sessions.remove(&id) else { return };
                self.session_ends.remove(&id);
                let error = SessionError::from_end(end, self.closing());
                if let Some((reply, _)) = entry.begin {
                    let _ = reply.send(Err(error.clone()));
                }
                entry.end.send_replace(Some(error));
            }
            _ => {}
        }
    }

    /// How the connection is about to end, if it is.
    fn closing(&self) -> Option<ConnectionError> {
        let ours = self.closing.then_some(ConnectionError::Closed);
        self.broken.clone().or_else(|| self.end.clone()).or(ours)
    }

    fn link_event(&mut self, id: LinkId, event: LinkEvent) {
        match event {
            LinkEvent::Incoming => {
                let session = self.engine.session_of(id).and_then(|session| self.sessions.get(&session));
                if let (Some(entry), Some(attach)) = (session, self.engine.remote_attach(id))
                    && entry.links.try_send((id, Box::new(attach.clone()))).is_err()
                {
                    self.command(Command::RefuseAttach { id, error: nobody_looks() });
                }
            }
            LinkEvent::Attached => self.attached(id),
            LinkEvent::DeliveryComplete => {
                let (Some(entry), Some(mut receiver)) = (self.links.get(&id), self.engine.receiver(id)) else { return };
                let at = now();
                let arrived = std::iter::from_fn(|| receiver.hand_over()).map(|delivery| Arrived { delivery, at });
                entry.mailbox.deliver(arrived);
            }
            LinkEvent::Sendable | LinkEvent::Drain => self.pump(id),
            LinkEvent::Drained => {
                if let Some(entry) = self.links.get(&id) {
                    entry.mailbox.drained.notify_waiters();
                }
            }
            LinkEvent::Outcomes => self.outcomes(id),
            LinkEvent::Detached { end, .. } => {
                self.outcomes(id);
                self.detached(id, end);
            }
            _ => {}
        }
    }

    fn outcomes(&mut self, id: LinkId) {
        let (Some(entry), Some(mut sender)) = (self.links.get_mut(&id), self.engine.sender(id)) else { return };
        while let Some(outcome) = sender.next_outcome() {
            let decided = outcome.settled || outcome.state.as_ref().is_some_and(DeliveryState::is_outcome);
            if !decided {
                continue;
            }
            if !outcome.settled
                && let Err(error) = sender.settle(outcome.key, outcome.state.clone())
            {
                tracing::debug!(%error, "a delivery could not be settled");
            }
            if let Some(reply) = entry.in_flight.remove(&outcome.key) {
                let _ = reply.send(Ok(outcome.state));
            }
        }
    }

    fn detached(&mut self, id: LinkId, end: Ended) {
        let session = self.engine.session_of(id).and_then(|session| self.session_ends.get(&session).cloned());
        let session = session.or_else(|| self.closing().map(SessionError::Connection));
        if self.engine.take_terminus(id).is_none() {
            // The peer broke a rule and has not detached yet: nobody will look at the link again.
            self.engine.abandon_link(id);
        }
        let Some(entry) = self.links.remove(&id) else { return };
        entry.end(LinkError::from_end(end, session));
    }

    /// Ends the stream.
    async fn finish(mut self) {
        self.end.get_or_insert(ConnectionError::Eof);
        if self.broken.is_none() {
            use tokio::io::AsyncWriteExt;
            let shutdown = tokio::time::timeout(Duration::from_secs(1), self.stream.shutdown());
            if let Ok(Err(error)) = shutdown.await {
                tracing::debug!(%error, "the stream could not be shut down");
            }
        }
    }
}

impl Drop for Driver {
    /// Tells everybody, also when the task ends before its time: with its runtime, or by a panic.
    fn drop(&mut self) {
        let end = self.end.take().unwrap_or(ConnectionError::Stopped);
        for (_, entry) in self.links.drain() {
            entry.end(LinkError::Session(end.clone().into()));
        }
        for (_, entry) in self.sessions.drain() {
            if let Some((reply, _)) = entry.begin {
                let _ = reply.send(Err(end.clone().into()));
            }
            entry.end.send_replace(Some(end.clone().into()));
        }
        self.shared.close(end);
    }
}
