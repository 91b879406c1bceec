//! Peers that ask without end.

mod support;

use std::time::Duration;

use amqp10_codec::{Channel, Handle};
use amqp10_link::{Connection, ConnectionEnd, Ended, Event, LinkEvent, SessionEvent};
use bytes::BytesMut;
use support::scene::{self, Scene, refused_session};
use support::script::*;
use support::{Script, Wire, drain, events};

/// What may wait to be sent in answer to the peer, as `Connection::wants_input` says.
const MAX_ANSWERS: usize = 1 << 20;
/// What a driver reads at a time.
const READ: usize = 64 * 1024;

/// Sends what `asking` says over and over until `octets` have been sent, as a driver would that has nobody to write to, and returns
/// how many octets were not taken.
fn flood(
    engine: &mut Connection,
    now: std::time::Instant,
    asking: &[u8],
    octets: usize,
    input: &mut BytesMut,
) -> usize {
    let mut sent = 0;
    while sent < octets {
        if !engine.wants_input() {
            return octets - sent;
        }
        while input.len() < READ {
            input.extend_from_slice(asking);
            sent += asking.len();
        }
        engine.handle_input(input, now);
        // The application is told, and does not care.
        while let Some(event) = engine.poll_event() {
            if let Event::Link(link, LinkEvent::Detached { .. }) = event {
                engine.take_terminus(link);
            }
        }
    }
    0
}

/// A peer that asks for this without end and reads nothing is held back; when it reads, all it asked for is answered.
fn held_back(asking: &[u8], answers: usize) {
    const MUCH: usize = 8 << 20;
    let Scene { mut peer, d, .. } = Scene::new(Wire::Whole);
    peer.engine.look_away();
    let mut input = BytesMut::new();
    let left = flood(&mut peer.engine, peer.now, asking, MUCH, &mut input);
    assert!(!peer.engine.wants_input() && left > MUCH / 2, "{left} octets left");
    assert!(!input.is_empty() && input.len() <= READ + asking.len());
    // Nothing is handled, and nothing grows.
    let waiting = input.len();
    peer.engine.handle_input(&mut input, peer.now);
    assert_eq!((input.len(), peer.engine.poll_event()), (waiting, None));
    // That the peer is not heard is not its fault.
    peer.now += Duration::from_secs(1000);
    peer.engine.handle_timeout(peer.now);
    assert_eq!(events(&mut peer.engine), []);
    // It reads now, and everything goes on.
    let mut told = 0;
    loop {
        let octets = drain(&mut peer.engine, peer.now);
        assert!(octets.len() <= MAX_ANSWERS + 2 * READ, "{} octets waited", octets.len());
        let before = input.len();
        told += frames(&octets);
        peer.engine.handle_input(&mut input, peer.now);
        events(&mut peer.engine);
        if octets.is_empty() && input.len() == before {
            break;
        }
    }
    assert_eq!(told, (MUCH - left) / asking.len() * answers);
    assert!(peer.engine.wants_input() && input.is_empty());
    peer.deliver(11, 5, 1, b"still here");
    assert_eq!(peer.events(), [Event::Link(d, LinkEvent::DeliveryComplete)]);
}

fn frames(mut octets: &[u8]) -> usize {
    let mut frames = 0;
    while let Some(frame) = amqp10_codec::next_frame(octets, u32::MAX).unwrap() {
        octets = &octets[frame.header.size as usize..];
        frames += usize::from(!frame.body.is_empty());
    }
    frames
}

#[test]
fn h15_attaches_and_detaches_of_a_peer_that_reads_nothing() {
    held_back(&[frame(10, &sender("flood", 8)), frame(10, &detach(8, true))].concat(), 2);
    held_back(&[frame(10, &receiver("flood", 8)), frame(10, &detach(8, false))].concat(), 2);
}

#[test]
fn h15_begins_and_ends_of_a_peer_that_reads_nothing() {
    held_back(&[frame(12, &begin()), frame(12, &end())].concat(), 2);
}

#[test]
fn h15_answers_of_the_application_count_too() {
    let mut scene = Scene::new(Wire::Whole);
    let peer = &mut scene.peer;
    let mut refused = 0;
    while peer.engine.wants_input() {
        peer.send(10, &sender("flood", 8));
        let told = peer.events();
        let Some(Event::Link(link, LinkEvent::Incoming)) = told.last() else { panic!("{told:?}") };
        peer.engine.refuse_attach(*link, problem()).unwrap();
        peer.engine.abandon_link(*link);
        refused += 1;
        peer.send(10, &detach(8, true));
        peer.events();
        assert!(refused < 50_000);
    }
    let octets = drain(&mut peer.engine, peer.now);
    assert!(octets.len() > MAX_ANSWERS && octets.len() < MAX_ANSWERS + 1_000);
    assert_eq!(frames(&octets), 2 * refused);
}

#[test]
fn h15_what_the_application_asks_for_holds_nobody_back() {
    let mut config = scene::config();
    config.max_frame_size = 1 << 20;
    let mut peer = Script::client(config, open());
    peer.engine.look_away();
    let session = peer.engine.begin(scene::session_config()).unwrap();
    peer.send(10, &answer(0));
    for _ in 0..20_000 {
        let link = peer.engine.attach(session, scene::receiving("link")).unwrap();
        peer.engine.abandon_link(link);
        peer.send(10, &sender("link", 5));
        peer.send(10, &detach(5, true));
    }
    assert!(peer.engine.wants_input());
    assert!(drain(&mut peer.engine, peer.now).len() > MAX_ANSWERS);
}

#[test]
fn h15_events_that_nobody_takes() {
    let mut scene = Scene::new(Wire::Whole);
    let mut input = BytesMut::new();
    for n in 0..20_000 {
        // More credit each time, which is told each time.
        input.extend_from_slice(&frame(10, &credit(7, 0, n + 1)));
    }
    let engine = &mut scene.peer.engine;
    let mut told = 0;
    while !input.is_empty() {
        engine.handle_input(&mut input, scene.peer.now);
        let events = events(engine).len();
        assert!((1..9_000).contains(&events), "{events} events");
        told += events;
    }
    assert_eq!(told, 20_000);
    assert_eq!(engine.sender(scene.c).unwrap().credit(), 20_000);
}

#[test]
fn h15_attaches_that_wait_for_an_answer() {
    let mut scene = Scene::new(Wire::Whole);
    let peer = &mut scene.peer;
    let mut config = scene::session_config();
    config.handle_max = Handle(u32::MAX);
    let session = peer.engine.begin(config).unwrap();
    peer.send(12, &answer(2));
    peer.quiet();
    let names: Vec<String> = (0..4_200).map(|n| format!("link {n}")).collect();
    let attach = |n: usize| {
        let mut attach = sender("", n as u32);
        attach.name = names[n].clone().into();
        attach
    };
    let mut incoming = Vec::new();
    for n in 0..names.len() {
        peer.send(12, &attach(n));
        let told = peer.events();
        if let [Event::Link(link, LinkEvent::Incoming)] = told[..] {
            incoming.push(link);
        } else {
            let answered = peer.told();
            assert_eq!(told, [], "nobody is asked");
            assert_eq!(answered.len(), 2);
            assert!(answered[1].ends_with("closed amqp:resource-limit-exceeded"), "{answered:?}");
            peer.send(12, &detach(n as u32, true));
            assert_eq!((peer.events(), peer.told()), (vec![], vec![]));
        }
    }
    assert!((3_000..4_097).contains(&incoming.len()), "{} wait", incoming.len());
    // Once they are answered there is room again, in whatever order that was done.
    for link in incoming.drain(..).rev() {
        peer.engine.accept_attach(link, scene::receiving("")).unwrap();
    }
    peer.quiet();
    peer.send(12, &attach(4_199));
    assert!(
        matches!(peer.events()[..], [Event::Link(link, LinkEvent::Incoming)] if peer.engine.session_of(link) == Some(session))
    );
    scene.session_one_works();
}

#[test]
fn h15_begins_that_wait_for_an_answer() {
    let mut config = scene::config();
    config.channel_max = u16::MAX;
    let open = amqp10_codec::Open { channel_max: Channel(u16::MAX), ..open() };
    let mut peer = Script::client(config, open);
    let (mut incoming, mut refused) = (0, 0);
    for channel in 0..4_200 {
        peer.send(channel, &begin());
        let told = peer.events();
        if let [Event::Session(_, SessionEvent::Incoming)] = told[..] {
            assert_eq!(refused, 0);
            incoming += 1;
        } else {
            let answered = peer.told();
            let refusal =
                [format!("{refused} begin for {channel}"), format!("{refused} end amqp:resource-limit-exceeded")];
            assert_eq!((told, &answered[..]), (vec![], &refusal[..]));
            refused += 1;
        }
    }
    assert!((3_000..4_097).contains(&incoming), "{incoming} wait");
}

#[test]
fn h15_more_links_than_a_connection_may_have() {
    refused_session("amqp:resource-limit-exceeded", |scene| {
        let mut config = scene::config();
        config.max_links = 10;
        *scene = Scene::with(scene.peer.wire, config);
        for n in 0..6 {
            scene.peer.send(10, &named(n));
        }
        let told = scene.peer.events();
        assert_eq!(told.len(), 6);
        for event in told {
            let Event::Link(link, LinkEvent::Incoming) = event else { panic!("{event:?}") };
            scene.peer.engine.refuse_attach(link, problem()).unwrap();
            scene.peer.engine.abandon_link(link);
        }
        scene.peer.quiet();
        // Those that were refused are links until the peer agrees.
        scene.peer.send(10, &named(6));
    });
}

fn named(n: u32) -> amqp10_codec::Attach<'static> {
    let mut attach = sender("", 8 + n);
    attach.name = format!("link {n}").into();
    attach
}

#[test]
fn a_close_is_heard_in_a_flood() {
    let mut scene = Scene::new(Wire::Whole);
    let asking = [frame(10, &sender("flood", 8)), frame(10, &detach(8, true))].concat();
    let mut input = BytesMut::new();
    scene.peer.engine.look_away();
    flood(&mut scene.peer.engine, scene.peer.now, &asking, 8 << 20, &mut input);
    input.extend_from_slice(&frame(0, &close()));
    for _ in 0..2 {
        drain(&mut scene.peer.engine, scene.peer.now);
        scene.peer.engine.handle_input(&mut input, scene.peer.now);
    }
    let told = scene.peer.events();
    assert_eq!(told.last(), Some(&Event::Closed(ConnectionEnd::Remote(None))));
    assert!(told.contains(&Event::Session(scene.one, SessionEvent::Ended(Ended::Below))));
    assert!(scene.peer.engine.is_closed());
}
