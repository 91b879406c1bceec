//! Two engines on one wire under one clock, and one engine against a [`Script`].

#![allow(dead_code)]
// Every test file uses its own part of this.

pub(crate) mod app;
pub(crate) mod checker;
pub(crate) mod resource;
pub(crate) mod scene;
pub(crate) mod script;
pub(crate) mod snapshot;
pub(crate) mod work;

use std::collections::HashSet;
use std::io::IoSlice;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use amqp10_link::{
    Config, Connection, Event, LinkConfig, LinkEvent, LinkId, Output, SessionConfig, SessionEvent, SessionId,
};
use bytes::BytesMut;
use checker::Checker;
pub(crate) use script::Script;

/// How octets travel from one engine to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// As much at once as there is.
    Whole,
    /// One octet at a time.
    Octets,
    /// Not at all.
    Cut,
}

/// An engine of which everything that it sends and tells is checked.
#[derive(Debug)]
pub(crate) struct Checked {
    engine: Connection,
    checker: Checker,
    endings: Endings,
}

impl Checked {
    /// The engine alone, unchecked from here on.
    pub(crate) fn into_engine(self) -> Connection {
        self.engine
    }
}

impl From<Connection> for Checked {
    fn from(engine: Connection) -> Self {
        Self { engine, checker: Checker::default(), endings: Endings::default() }
    }
}

impl Checked {
    /// For tests that go past the checker with what comes in: from here on what leaves is not held against it.
    pub(crate) fn look_away(&mut self) {
        self.checker.look_away();
    }
}

impl Deref for Checked {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.engine
    }
}

impl DerefMut for Checked {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.engine
    }
}

/// What has ended: once only, and nothing is told of it afterwards.
#[derive(Debug, Default)]
struct Endings {
    connection: bool,
    sessions: HashSet<SessionId>,
    links: HashSet<LinkId>,
}

impl Endings {
    fn told(&mut self, event: &Event) {
        assert!(!self.connection, "{event:?} after the last");
        match event {
            Event::Closed(_) => self.connection = true,
            Event::Session(id, SessionEvent::Ended(_)) => assert!(self.sessions.insert(*id), "ended twice"),
            Event::Session(id, _) => assert!(!self.sessions.contains(id), "{event:?} after its end"),
            Event::Link(id, LinkEvent::Detached { .. }) => assert!(self.links.insert(*id), "detached twice"),
            // A link that was detached and not closed lives on in its deliveries, §2.6.4.
            Event::Link(_, LinkEvent::Outcomes | LinkEvent::Disposition(_)) => {}
            Event::Link(id, _) => assert!(!self.links.contains(id), "{event:?} after its end"),
            _ => {}
        }
    }
}

pub(crate) struct Pair {
    pub(crate) client: Checked,
    pub(crate) server: Checked,
    pub(crate) now: Instant,
    pub(crate) wire: Wire,
    /// What [`Self::line`] has taken and not delivered: to the client, to the server.
    pub(crate) on_the_way: [BytesMut; 2],
    to_server: BytesMut,
    to_client: BytesMut,
}

/// Everything that an engine has to send.
#[track_caller]
pub(crate) fn drain(engine: &mut Checked, now: Instant) -> Vec<u8> {
    let mut output = Output::new();
    while engine.poll_output(&mut output, usize::MAX, now) {}
    let mut octets = Vec::new();
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = output.chunks(&mut slices);
        let before = octets.len();
        slices[..filled].iter().for_each(|slice| octets.extend_from_slice(slice));
        output.advance(octets.len() - before);
    }
    engine.checker.sent(&octets);
    octets
}

/// Hands octets to an engine; what it leaves of them stays in `buffer`.
pub(crate) fn push(wire: Wire, to: &mut Checked, buffer: &mut BytesMut, octets: &[u8], now: Instant) {
    let step = if wire == Wire::Octets { 1 } else { octets.len().max(1) };
    for octets in octets.chunks(step) {
        buffer.extend_from_slice(octets);
        to.checker.received(octets);
        to.handle_input(buffer, now);
    }
}

pub(crate) fn events(engine: &mut Checked) -> Vec<Event> {
    let events: Vec<Event> = std::iter::from_fn(|| engine.poll_event()).collect();
    events.iter().for_each(|event| engine.endings.told(event));
    events
}

impl Pair {
    pub(crate) fn new(client: Config, server: Config) -> Self {
        let now = Instant::now();
        Self {
            client: Connection::client(client, now).unwrap().into(),
            server: Connection::server(server, now).into(),
            now,
            wire: Wire::Whole,
            on_the_way: Default::default(),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
        }
    }

    /// Both opens exchanged, all events taken.
    pub(crate) fn opened(client: Config, server: Config) -> Self {
        let mut pair = Self::new(client, server.clone());
        pair.run();
        assert_eq!(events(&mut pair.server), [Event::Incoming]);
        pair.server.accept(server).unwrap();
        pair.run();
        assert_eq!(events(&mut pair.server), [Event::Opened]);
        assert_eq!(events(&mut pair.client), [Event::Opened]);
        pair
    }

    pub(crate) fn plain() -> Self {
        Self::opened(Config::new("client"), Config::new("server"))
    }

    fn carry(wire: Wire, from: &mut Checked, to: &mut Checked, buffer: &mut BytesMut, now: Instant) -> bool {
        let octets = drain(from, now);
        if wire == Wire::Cut {
            return false;
        }
        push(wire, to, buffer, &octets, now);
        !octets.is_empty()
    }

    /// Carries so many octets of what one of the two has sent, which stays on the way until then.
    pub(crate) fn line(&mut self, to_server: bool, octets: usize) {
        let Self { client, server, now, wire, on_the_way, to_server: forth, to_client: back } = self;
        let (from, to, buffer) = if to_server { (client, server, forth) } else { (server, client, back) };
        let on_the_way = &mut on_the_way[usize::from(to_server)];
        on_the_way.extend_from_slice(&drain(from, *now));
        let octets = on_the_way.split_to(octets.min(on_the_way.len()));
        push(*wire, to, buffer, &octets, *now);
    }

    /// Carries octets to and fro until both are quiet.
    pub(crate) fn run(&mut self) {
        loop {
            let there = Self::carry(self.wire, &mut self.client, &mut self.server, &mut self.to_server, self.now);
            let back = Self::carry(self.wire, &mut self.server, &mut self.client, &mut self.to_client, self.now);
            if !there && !back {
                break;
            }
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// A session, begun by the client.
    pub(crate) fn session(&mut self, client: SessionConfig, server: SessionConfig) -> (SessionId, SessionId) {
        let ours = self.client.begin(client).unwrap();
        self.run();
        let [Event::Session(theirs, SessionEvent::Incoming)] = events(&mut self.server)[..] else { panic!() };
        self.server.accept_begin(theirs, server).unwrap();
        self.run();
        assert_eq!(events(&mut self.server), [Event::Session(theirs, SessionEvent::Begun)]);
        assert_eq!(events(&mut self.client), [Event::Session(ours, SessionEvent::Begun)]);
        (ours, theirs)
    }

    /// A link, attached by the client.
    pub(crate) fn link(&mut self, session: SessionId, client: LinkConfig, server: LinkConfig) -> (LinkId, LinkId) {
        let ours = self.client.attach(session, client).unwrap();
        self.run();
        let [Event::Link(theirs, LinkEvent::Incoming)] = events(&mut self.server)[..] else { panic!() };
        self.server.accept_attach(theirs, server).unwrap();
        self.run();
        (ours, theirs)
    }
}
