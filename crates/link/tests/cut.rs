//! Two engines in a conversation from open to close, whose octets are split and cut off at every place.

mod support;

use std::time::Instant;

use amqp10_codec::DeliveryState;
use amqp10_link::{
    Config, ConnectionEnd, CreditMode, DeliveryStart, Ended, Event, LinkEvent, LinkId, Replenish, SessionEvent,
    SessionId,
};
use bytes::{Bytes, BytesMut};
use support::scene::{receiving, sending, session_config};
use support::{Checked, drain, events};

/// What each side sends: one frame, two frames, nothing at all.
const SIZES: [usize; 3] = [1, 600, 0];

fn config() -> Config {
    let mut config = support::scene::config();
    config.max_frame_size = 512;
    config
}

/// An application at one end, which does what events ask for. The client begins and ends everything.
#[derive(Default)]
struct App {
    is_client: bool,
    sessions: Vec<SessionId>,
    links: Vec<LinkId>,
    sent: usize,
    outcomes: usize,
    received: Vec<Bytes>,
    detached: bool,
    /// How everything ended, in order.
    ends: Vec<Ended>,
    closed: Vec<ConnectionEnd>,
}

impl App {
    fn react(&mut self, engine: &mut Checked) {
        loop {
            let told = events(engine);
            if told.is_empty() {
                return;
            }
            told.into_iter().for_each(|event| self.answer(engine, event));
        }
    }

    fn answer(&mut self, engine: &mut Checked, event: Event) {
        match event {
            Event::Incoming => engine.accept(config()).unwrap(),
            Event::Opened if self.is_client => self.sessions.extend(engine.begin(session_config())),
            Event::Closed(end) => self.closed.push(end),
            Event::Session(id, SessionEvent::Incoming) => {
                self.sessions.push(id);
                engine.accept_begin(id, session_config()).unwrap();
            }
            Event::Session(id, SessionEvent::Begun) if self.is_client => {
                let mut receiver = receiving("in");
                receiver.credit = CreditMode::Automatic { window: 2, replenish: Replenish::Settled };
                self.links.extend([engine.attach(id, receiver).unwrap(), engine.attach(id, sending("out")).unwrap()]);
            }
            Event::Session(id, SessionEvent::Ended(end)) => {
                self.ends.push(end);
                self.sessions.retain(|session| *session != id);
                if self.is_client {
                    engine.close(None);
                }
            }
            Event::Link(id, event) => self.answer_link(engine, id, event),
            _ => {}
        }
    }

    fn answer_link(&mut self, engine: &mut Checked, id: LinkId, event: LinkEvent) {
        match event {
            LinkEvent::Incoming => {
                self.links.push(id);
                let config = if engine.receiver(id).is_some() { receiving("") } else { sending("") };
                engine.accept_attach(id, config).unwrap();
            }
            LinkEvent::Sendable => {
                let mut sender = engine.sender(id).unwrap();
                while sender.credit() > 0 && self.sent < SIZES.len() {
                    let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
                    sender.write(key, Bytes::from(vec![self.sent as u8; SIZES[self.sent]])).unwrap();
                    sender.finish(key).unwrap();
                    self.sent += 1;
                }
            }
            LinkEvent::DeliveryComplete => {
                let mut receiver = engine.receiver(id).unwrap();
                while let Some(delivery) = receiver.next_delivery() {
                    self.received.push(delivery.payload.into_bytes());
                    receiver.settle(delivery.key, DeliveryState::Accepted, true).unwrap();
                }
            }
            LinkEvent::Outcomes => {
                let mut sender = engine.sender(id).unwrap();
                self.outcomes += std::iter::from_fn(|| sender.next_outcome()).count();
            }
            LinkEvent::Detached { end, .. } => {
                self.ends.push(end);
                assert!(engine.take_terminus(id).is_some());
                self.links.retain(|link| *link != id);
            }
            _ => {}
        }
        let done = self.outcomes == SIZES.len() && self.received.len() == SIZES.len();
        if self.is_client && done && !self.detached {
            self.detached = true;
            self.links.iter().for_each(|link| engine.detach(*link, true, None));
        } else if self.detached && self.links.is_empty() {
            self.sessions.iter().for_each(|session| engine.end(*session, None));
        }
    }
}

/// What befalls the octets in one direction at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// They arrive in two pieces.
    Split,
    /// The stream ends for both.
    Lost,
    /// Nothing arrives any more in this direction, and nobody is told.
    Silent,
}

#[derive(Clone, Copy, Debug)]
struct Befalls {
    fate: Fate,
    to_server: bool,
    at: usize,
}

struct Conversation {
    engines: [Checked; 2],
    apps: [App; 2],
    buffers: [BytesMut; 2],
    /// Octets that have arrived at each.
    arrived: [usize; 2],
    now: Instant,
    befalls: Option<Befalls>,
    /// It has befallen.
    is_cut: bool,
}

impl Conversation {
    /// From beginning to end, whatever befalls it.
    fn of(befalls: Option<Befalls>) -> Self {
        let now = Instant::now();
        let client = amqp10_link::Connection::client(config(), now).unwrap();
        let server = amqp10_link::Connection::server(config(), now);
        let mut this = Self {
            engines: [client.into(), server.into()],
            apps: [App { is_client: true, ..App::default() }, App::default()],
            buffers: Default::default(),
            arrived: [0; 2],
            now,
            befalls,
            is_cut: false,
        };
        this.run();
        // Whoever still waits for something is told of each deadline.
        while let Some(next) = this.engines.iter().filter_map(|engine| engine.poll_timeout()).min() {
            this.now = this.now.max(next);
            this.engines.iter_mut().for_each(|engine| engine.handle_timeout(this.now));
            this.run();
        }
        this
    }

    fn run(&mut self) {
        while self.carry(1) | self.carry(0) {}
    }

    fn react(&mut self) {
        self.apps.iter_mut().zip(&mut self.engines).for_each(|(app, engine)| app.react(engine));
    }

    fn carry(&mut self, to: usize) -> bool {
        self.react();
        let octets = drain(&mut self.engines[1 - to], self.now);
        let befalls = self.befalls.filter(|befalls| usize::from(befalls.to_server) == to);
        let before = self.arrived[to];
        let Some(at) = befalls.map(|befalls| befalls.at).filter(|at| *at <= before + octets.len()) else {
            if self.is_cut && self.befalls.is_some_and(|befalls| befalls.fate == Fate::Lost) {
                return false;
            }
            return self.arrives(to, &octets);
        };
        let (first, second) = octets.split_at(at.saturating_sub(before));
        let moved = self.arrives(to, first);
        match self.befalls.unwrap().fate {
            Fate::Split => self.arrives(to, second) || moved,
            Fate::Silent => moved,
            Fate::Lost => {
                if !std::mem::replace(&mut self.is_cut, true) {
                    self.engines.iter_mut().for_each(|engine| engine.handle_eof(self.now));
                    self.react();
                }
                moved
            }
        }
    }

    fn arrives(&mut self, at: usize, octets: &[u8]) -> bool {
        self.arrived[at] += octets.len();
        support::push(support::Wire::Whole, &mut self.engines[at], &mut self.buffers[at], octets, self.now);
        self.react();
        !octets.is_empty()
    }

    /// Everything has ended at both ends, and nothing is left.
    fn is_over(&mut self) {
        let Self { engines, apps, befalls, .. } = self;
        for (engine, app) in engines.iter_mut().zip(apps) {
            assert_eq!(app.closed.len(), 1, "{befalls:?}: {:?}", app.closed);
            assert!(app.sessions.is_empty() && app.links.is_empty(), "{befalls:?}: {:?}", app.ends);
            assert!(engine.is_closed() && engine.poll_timeout().is_none(), "{befalls:?}");
            assert!(drain(engine, self.now).is_empty() && events(engine).is_empty(), "{befalls:?}");
            let wrong = |end: &Ended| matches!(end, Ended::Violation(_));
            assert!(
                !app.ends.iter().any(wrong) && !matches!(app.closed[0], ConnectionEnd::Violation(_)),
                "{befalls:?}"
            );
            // What has come is what was sent, from its beginning.
            for (at, payload) in app.received.iter().enumerate() {
                assert!(payload.len() == SIZES[at] && payload.iter().all(|octet| *octet == at as u8), "{befalls:?}");
            }
        }
    }
}

/// Every place there is in a conversation of two engines, in both directions.
fn at_every_place(fate: Fate, check: impl Fn(&Conversation, &Conversation)) {
    let mut whole = Conversation::of(None);
    whole.is_over();
    assert_eq!(whole.apps[0].closed, [ConnectionEnd::Local]);
    assert_eq!(whole.apps[1].closed, [ConnectionEnd::Remote(None)]);
    assert_eq!(whole.apps.each_ref().map(|app| (app.received.len(), app.outcomes)), [(3, 3); 2]);
    for to_server in [false, true] {
        let octets = whole.arrived[usize::from(to_server)];
        assert!(octets > 800, "{octets} octets");
        for at in 0..=octets {
            let mut conversation = Conversation::of(Some(Befalls { fate, to_server, at }));
            conversation.is_over();
            check(&conversation, &whole);
        }
    }
}

#[test]
fn a_conversation_split_at_every_place_is_the_same_one() {
    at_every_place(Fate::Split, |split, whole| {
        for (split, whole) in split.apps.iter().zip(&whole.apps) {
            assert_eq!((split.outcomes, &split.received), (whole.outcomes, &whole.received));
            assert_eq!((&split.closed, &split.ends), (&whole.closed, &whole.ends));
        }
    });
}

#[test]
fn a_conversation_that_is_cut_off_at_any_place_ends_once_for_both() {
    at_every_place(Fate::Lost, |cut, _| {
        for app in &cut.apps {
            let fits = |end: &ConnectionEnd| {
                matches!(end, ConnectionEnd::Eof | ConnectionEnd::Local | ConnectionEnd::Remote(None))
            };
            assert!(app.closed.iter().all(fits), "{:?}: {:?}", cut.befalls, app.closed);
        }
    });
}

#[test]
fn a_conversation_in_which_one_direction_falls_silent_ends_in_time() {
    at_every_place(Fate::Silent, |silent, _| {
        // Nobody is told that octets are lost: it is the timers of both sides that end it.
        for app in &silent.apps {
            assert_ne!(app.closed, [ConnectionEnd::Eof], "{:?}", silent.befalls);
        }
    });
}
