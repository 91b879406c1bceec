//! An engine with two sessions and four links, and what it means that a peer's fault is refused.

use amqp10_codec::{Handle, Role, Source, Target};
use amqp10_link::{
    Config, CreditMode, Ended, Event, LinkConfig, LinkEvent, LinkId, Replenish, SessionConfig, SessionEvent, SessionId,
};

use super::script::*;
use super::{Script, Wire};
use amqp10_link::ConnectionEnd;

/// The engine is the client. All numbers of the peer differ from the engine's.
///
/// | session | ours | peer's | links: ours, peer's |
/// | --- | --- | --- | --- |
/// | `one` | 0 | 10 | receiver `a` 0, 5; receiver `b` 1, 6; sender `c` 2, 7 |
/// | `two` | 1 | 11 | receiver `d` 0, 5 |
pub(crate) struct Scene {
    pub(crate) peer: Script,
    pub(crate) one: SessionId,
    pub(crate) two: SessionId,
    pub(crate) a: LinkId,
    pub(crate) b: LinkId,
    pub(crate) c: LinkId,
    pub(crate) d: LinkId,
    /// Of a delivery that shows that a link works.
    next_id: u32,
}

pub(crate) const CHANNEL_MAX: u16 = 20;
pub(crate) const HANDLE_MAX: u32 = 20;
/// The credit of every receiver.
pub(crate) const CREDIT: u32 = 10;
pub(crate) const WINDOW: u32 = 100;
pub(crate) const MAX_MESSAGE_SIZE: u64 = 10_000;

pub(crate) fn config() -> Config {
    let mut config = Config::new("engine");
    config.channel_max = CHANNEL_MAX;
    config
}

pub(crate) fn session_config() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.incoming_window = WINDOW;
    config.handle_max = Handle(HANDLE_MAX);
    config
}

pub(crate) fn receiving(name: &'static str) -> LinkConfig {
    let mut config = LinkConfig::receiver(name, Source::at("queue"));
    config.credit = CreditMode::Automatic { window: CREDIT, replenish: Replenish::Taken };
    config.max_message_size = Some(MAX_MESSAGE_SIZE);
    config
}

pub(crate) fn sending(name: &'static str) -> LinkConfig {
    LinkConfig::sender(name, Target::at("queue"))
}

impl Scene {
    pub(crate) fn new(wire: Wire) -> Self {
        Self::with(wire, config())
    }

    /// With another configuration of the engine's connection.
    pub(crate) fn with(wire: Wire, config: Config) -> Self {
        let mut peer = Script::client(config, open());
        peer.wire = wire;
        let one = peer.engine.begin(session_config()).unwrap();
        let two = peer.engine.begin(session_config()).unwrap();
        peer.send(10, &answer(0));
        peer.send(11, &answer(1));
        let a = peer.engine.attach(one, receiving("a")).unwrap();
        let b = peer.engine.attach(one, receiving("b")).unwrap();
        let c = peer.engine.attach(one, sending("c")).unwrap();
        let d = peer.engine.attach(two, receiving("d")).unwrap();
        peer.send(10, &sender("a", 5));
        peer.send(10, &sender("b", 6));
        peer.send(10, &receiver("c", 7));
        peer.send(11, &sender("d", 5));
        peer.quiet();
        Self { peer, one, two, a, b, c, d, next_id: 1_000_000 }
    }

    /// Link `b` delivers: its session is alive and its numbers are right.
    pub(crate) fn session_one_works(&mut self) {
        self.works(10, 6, self.b);
    }

    /// Link `d` delivers: the other session is alive.
    pub(crate) fn session_two_works(&mut self) {
        self.works(11, 5, self.d);
    }

    fn works(&mut self, channel: u16, handle: u32, link: LinkId) {
        self.next_id += 1;
        self.peer.deliver(channel, handle, self.next_id, b"still here");
        assert_eq!(self.peer.events(), [Event::Link(link, LinkEvent::DeliveryComplete)]);
        let mut receiver = self.peer.engine.receiver(link).unwrap();
        let delivery = receiver.next_delivery().unwrap();
        assert_eq!(&delivery.payload.into_bytes()[..], b"still here");
        assert!(receiver.next_delivery().is_none());
        self.peer.frames();
    }
}

/// Link `a` is detached with this condition, once, one event tells so, what follows on it is discarded, and the rest of its
/// session goes on. `fault` ends with the one frame that is wrong; what comes before it is made quiet.
pub(crate) fn refused_link(condition: &str, fault: impl Fn(&mut Scene)) {
    for wire in [Wire::Whole, Wire::Octets] {
        let mut scene = Scene::new(wire);
        fault(&mut scene);
        let Scene { peer, a, .. } = &mut scene;
        assert_eq!(peer.told(), [format!("0 detach handle 0 closed {condition}")]);
        let told = peer.events();
        let [Event::Link(link, LinkEvent::Detached { closed: true, end: Ended::Violation(violation) })] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!((link, violation.condition().as_str()), (&*a, condition));
        assert!(peer.engine.take_terminus(*a).is_some());

        peer.deliver(10, 5, 500_000, b"in flight");
        peer.transfer(10, &next(5), b"in flight");
        peer.send(10, &credit(5, 0, 0));
        assert_eq!(peer.events(), []);
        assert_eq!(peer.told(), [] as [&str; 0]);
        scene.session_one_works();
        scene.session_two_works();

        let Scene { peer, .. } = &mut scene;
        peer.send(10, &detach(5, true));
        assert_eq!(peer.events(), []);
        assert_eq!(peer.told(), [] as [&str; 0]);
        // Handle and name are free again.
        peer.send(10, &sender("a", 5));
        let told = peer.events();
        assert!(matches!(told[..], [Event::Link(link, LinkEvent::Incoming)] if link != scene.a), "{told:?}");
    }
}

/// As [`refused_link`], for session `one`.
pub(crate) fn refused_session(condition: &str, fault: impl Fn(&mut Scene)) {
    for wire in [Wire::Whole, Wire::Octets] {
        let mut scene = Scene::new(wire);
        fault(&mut scene);
        let Scene { peer, one, a, b, c, .. } = &mut scene;
        let mut told = peer.told();
        // What was due before the fault came in.
        told.retain(|frame| frame != "0 flow");
        assert_eq!(told, [format!("0 end {condition}")]);
        let told = peer.events();
        let [links @ .., Event::Session(session, SessionEvent::Ended(Ended::Violation(violation)))] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((session, violation.condition().as_str()), (&*one, condition));
        assert_eq!(links, [*a, *b, *c].map(below));

        peer.deliver(10, 5, 500_000, b"in flight");
        peer.send(10, &credit(7, 0, 10));
        peer.send(10, &sender("new", 8));
        peer.send(10, &detach(6, true));
        peer.send(10, &disposition(Role::Receiver, 0, 10, true));
        assert_eq!(peer.events(), []);
        assert_eq!(peer.told(), [] as [&str; 0]);
        scene.session_two_works();

        let Scene { peer, .. } = &mut scene;
        peer.send(10, &end());
        assert_eq!(peer.events(), []);
        assert_eq!(peer.told(), [] as [&str; 0]);
        // Its channels are free again, in both directions.
        peer.send(10, &begin());
        let told = peer.events();
        let [Event::Session(again, SessionEvent::Incoming)] = told[..] else { panic!("{told:?}") };
        peer.engine.accept_begin(again, session_config()).unwrap();
        assert_eq!(peer.told(), ["0 begin for 10"]);
        assert_eq!(peer.events(), [Event::Session(again, SessionEvent::Begun)]);
        scene.session_two_works();
    }
}

/// As [`refused_link`], for the connection.
pub(crate) fn refused_connection(condition: &str, fault: impl Fn(&mut Scene)) {
    for wire in [Wire::Whole, Wire::Octets] {
        let mut scene = Scene::new(wire);
        fault(&mut scene);
        let Scene { peer, one, two, a, b, c, d, .. } = &mut scene;
        assert_eq!(peer.told(), [format!("0 close {condition}")]);
        let told = peer.events();
        let [below_it @ .., Event::Closed(ConnectionEnd::Violation(violation))] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(violation.condition().as_str(), condition);
        let ended = |session| Event::Session(session, SessionEvent::Ended(Ended::Below));
        assert_eq!(below_it, [below(*a), below(*b), below(*c), ended(*one), below(*d), ended(*two)]);

        peer.deliver(11, 5, 0, b"in flight");
        peer.send(10, &end());
        peer.send(12, &begin());
        peer.octets(&[0, 0, 0, 12, 2, 0, 0, 0, 1, 2, 3, 4]);
        peer.send(0, &close());
        assert_eq!(peer.events(), []);
        assert_eq!(peer.told(), [] as [&str; 0]);
        assert!(peer.engine.is_closed());
        assert_eq!(peer.engine.poll_timeout(), None);
    }
}

fn below(link: LinkId) -> Event {
    Event::Link(link, LinkEvent::Detached { closed: false, end: Ended::Below })
}
