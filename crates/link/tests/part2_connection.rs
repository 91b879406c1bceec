//! Part 2 of the specification, what belongs to connections: requirements that no other test asserts.

mod support;

use std::time::Duration;

use amqp10_codec::{
    Begin, Channel, Close, Detach, End, Error, ErrorCondition, Map, Open, Performative, Role, SequenceNo, Symbol,
    Transfer, encode_to_vec,
};
use amqp10_link::{CommandError, ConnectionEnd, DeliveryStart, Ended, Event, LinkEvent, LinkId, SessionEvent};
use bytes::Bytes;
use support::scene::{Scene, config, receiving, refused_connection, sending, session_config};
use support::script::*;
use support::{Script, Wire};

const NOTHING: [&str; 0] = [];

/// A frame whose body is a list of these fields.
fn fields(channel: u8, code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let list = [&[0, 0x53, code, 0xc0, body.len() as u8 + 1, fields.len() as u8][..], &body].concat();
    [&[0, 0, 0, 8 + list.len() as u8, 2, 0, 0, channel][..], &list].concat()
}

fn taken(peer: &mut Script, link: LinkId) -> Vec<Vec<u8>> {
    let mut receiver = peer.engine.receiver(link).unwrap();
    std::iter::from_fn(|| receiver.next_delivery()).map(|found| found.payload.into_bytes().to_vec()).collect()
}

fn send(peer: &mut Script, link: LinkId, octets: &'static [u8]) {
    let mut sender = peer.engine.sender(link).unwrap();
    let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.write(key, Bytes::from_static(octets)).unwrap();
    sender.finish(key).unwrap();
}

#[test]
fn a_client_says_its_header_at_once_and_a_server_answers() {
    // 2.2-01, 2.2-05, 2.2-06, 2.2-07, 2.2-08
    let mut client = Script::silent_client(config());
    assert_eq!(client.told(), ["header", "0 open"], "version 1.0.0, before anything has come in");
    let mut server = Script::silent_server(config());
    assert_eq!(server.told(), NOTHING);
    server.header();
    assert_eq!(server.told(), ["header"]);
    server.send(0, &open());
    server.engine.accept(config()).unwrap();
    assert_eq!(server.told(), ["0 open"]);
    assert_eq!(server.events(), [Event::Incoming, Event::Opened]);
}

#[test]
fn headers_and_opens_in_either_order() {
    // 2.4.7-01, 2.4.7-02, 2.4.7-03, 2.4.6-10
    for wire in [Wire::Whole, Wire::Octets] {
        // Header sent, open sent, header received, open received.
        let mut client = Script::silent_client(config());
        client.wire = wire;
        client.quiet();
        client.header();
        assert_eq!((client.told(), client.events()), (vec![], vec![]));
        client.send(0, &open());
        assert_eq!((client.told(), client.events()), (vec![], vec![Event::Opened]));
        // Header received, header sent, open received, open sent.
        let mut server = Script::silent_server(config());
        server.wire = wire;
        server.header();
        assert_eq!(server.told(), ["header"]);
        server.send(0, &open());
        assert_eq!((server.told(), server.events()), (vec![], vec![Event::Incoming]));
        server.engine.accept(config()).unwrap();
        assert_eq!(server.told(), ["0 open"]);
        assert_eq!(server.events(), [Event::Opened]);
        for peer in [&mut client, &mut server] {
            peer.engine.begin(session_config()).unwrap();
            assert_eq!(peer.told(), ["0 begin"]);
            peer.send(10, &answer(0));
            assert!(matches!(peer.events()[..], [Event::Session(_, SessionEvent::Begun)]));
        }
    }
}

#[test]
fn a_close_right_behind_the_open() {
    // 2.4.3-07, 2.4.6-06, 2.4.6-09, 2.4.7-04
    for header_first in [false, true] {
        let mut peer = Script::silent_client(config());
        if header_first {
            peer.header();
        }
        peer.engine.close(None);
        assert_eq!(peer.told(), ["header", "0 open", "0 close"]);
        assert_eq!(peer.engine.begin(session_config()), Err(CommandError::Closed));
        if !header_first {
            peer.header();
        }
        // The open is awaited all the same, and what comes behind it is for nobody.
        peer.send(0, &open());
        peer.send(10, &begin());
        assert_eq!((peer.told(), peer.events()), (vec![], vec![]));
        assert!(!peer.engine.is_closed());
        peer.send(0, &close());
        assert_eq!((peer.told(), peer.events()), (vec![], vec![Event::Closed(ConnectionEnd::Local)]));
        assert!(peer.engine.is_closed());
    }
}

#[test]
fn closes_in_either_order() {
    // 2.4.3-01, 2.4.6-14, 2.4.7-05, 2.7.9-02, 2.7.9-04
    for error in [None, Some(problem())] {
        for ours_first in [true, false] {
            let mut peer = Scene::new(Wire::Octets).peer;
            if ours_first {
                peer.engine.close(error.clone());
                let frames = peer.frames();
                let [(0, Performative::Close(told), _)] = &frames[..] else { panic!("{frames:?}") };
                assert_eq!(told.error, error, "with all that is known of the cause");
                peer.send(0, &close());
                assert_eq!(peer.told(), NOTHING);
            } else {
                peer.send(0, &Close { error: error.clone() });
                assert_eq!(peer.told(), ["0 close"]);
            }
            let end = if ours_first { ConnectionEnd::Local } else { ConnectionEnd::Remote(error.clone()) };
            assert_eq!(peer.events().last(), Some(&Event::Closed(end)));
            assert!(peer.engine.is_closed());
            assert_eq!(peer.engine.poll_timeout(), None);
            peer.advance(Duration::from_secs(3600));
            assert_eq!(peer.told(), NOTHING);
        }
    }
}

#[test]
fn sessions_and_links_have_numbers_at_both_ends() {
    // 2.1.1-01, 2.1.2-03, 2.4-01, 2.4-02, 2.6.2-01
    let Scene { mut peer, a, c, d, .. } = Scene::new(Wire::Octets);
    // Channel 10 of the peer is our 0 and 11 is our 1; handle 5 of the peer is our 0 in both.
    let more = |transfer| Transfer { more: true, ..transfer };
    peer.transfer(10, &more(first(5, 0)), b"on");
    peer.transfer(11, &more(first(5, 0)), b"tw");
    peer.transfer(10, &next(5), b"e");
    peer.transfer(11, &next(5), b"o");
    assert_eq!((taken(&mut peer, a), taken(&mut peer, d)), (vec![b"one".to_vec()], vec![b"two".to_vec()]));
    peer.send(10, &credit(7, 0, 1));
    send(&mut peer, c, b"x");
    assert_eq!(peer.told(), ["0 transfer handle 2 id 0 of 1"]);
    peer.send(11, &amqp10_codec::Flow { echo: true, ..flow() });
    assert_eq!(peer.told(), ["1 flow"]);
}

#[test]
fn every_performative_reaches_its_endpoint() {
    // 2.1.3-01
    let Scene { mut peer, two, a, b, c, d, .. } = Scene::new(Wire::Octets);
    peer.send(10, &credit(7, 0, 1));
    assert_eq!(peer.events(), [Event::Link(c, LinkEvent::Sendable)]);
    peer.deliver(10, 5, 0, b"x");
    assert_eq!(peer.events(), [Event::Link(a, LinkEvent::DeliveryComplete)]);
    send(&mut peer, c, b"x");
    peer.quiet();
    peer.send(10, &disposition(Role::Receiver, 0, 0, true));
    assert_eq!(peer.events(), [Event::Link(c, LinkEvent::Outcomes)]);
    let detached = |link, closed, end| Event::Link(link, LinkEvent::Detached { closed, end });
    peer.send(10, &detach(6, true));
    assert_eq!(peer.events(), [detached(b, true, Ended::Remote(None))]);
    peer.send(10, &sender("new", 6));
    assert!(matches!(peer.events()[..], [Event::Link(_, LinkEvent::Incoming)]));
    peer.send(12, &begin());
    assert!(matches!(peer.events()[..], [Event::Session(_, SessionEvent::Incoming)]));
    peer.send(11, &end());
    let ended = Event::Session(two, SessionEvent::Ended(Ended::Remote(None)));
    assert_eq!(peer.events(), [detached(d, false, Ended::Below), ended]);
    peer.send(0, &close());
    assert_eq!(peer.events().last(), Some(&Event::Closed(ConnectionEnd::Remote(None))));
}

#[test]
fn an_open_of_512_octets_is_taken() {
    // 2.4.1-02
    let mut config = config();
    config.max_frame_size = 100;
    let mut peer = Script::silent_server(config);
    peer.header();
    let long = |length: usize| Open { hostname: Some("x".repeat(length).into()), ..open() };
    let length = 512 - frame(0, &long(300)).len() + 300;
    assert_eq!(frame(0, &long(length)).len(), 512);
    peer.send(0, &long(length));
    assert_eq!(peer.events(), [Event::Incoming]);
}

#[test]
fn what_is_pipelined_is_treated_as_if_it_had_come_later() {
    // 2.4.2-03
    let frames = [
        frame(0, &open()),
        frame(10, &begin()),
        frame(10, &receiver("link", 5)),
        frame(10, &{ amqp10_codec::Flow { next_incoming_id: None, delivery_count: None, ..credit(5, 0, 3) } }),
    ];
    let told = [true, false].map(|at_once| {
        let mut peer = Script::silent_server(config());
        peer.header();
        let mut told = peer.told();
        let mut link = None;
        let batches = if at_once { vec![frames.concat()] } else { frames.to_vec() };
        for batch in batches {
            peer.octets(&batch);
            // Whatever is asked is answered, until nothing is asked any more.
            loop {
                let events = peer.events();
                if events.is_empty() {
                    break;
                }
                for event in events {
                    match event {
                        Event::Incoming => peer.engine.accept(config()).unwrap(),
                        Event::Session(id, SessionEvent::Incoming) => {
                            peer.engine.accept_begin(id, session_config()).unwrap();
                        }
                        Event::Link(id, LinkEvent::Incoming) => {
                            peer.engine.accept_attach(id, sending("link")).unwrap();
                            link = Some(id);
                        }
                        _ => {}
                    }
                }
            }
            told.extend(peer.told());
        }
        (told, peer.engine.sender(link.unwrap()).unwrap().credit())
    });
    assert_eq!(told[0], told[1]);
    let expected = ["header", "0 open", "0 begin for 10", "0 attach link handle 0"].map(str::to_owned);
    assert_eq!(told[0], (expected.to_vec(), 3));
}

#[test]
fn a_stream_that_is_cut_ends_everything() {
    // 2.1.2-01, 2.5.2-01
    let Scene { mut peer, one, two, a, b, c, d, .. } = Scene::new(Wire::Whole);
    let whole = transfer_frame(10, &first(5, 0), b"never whole");
    peer.octets(&whole[..whole.len() - 1]);
    peer.engine.handle_eof(peer.now);
    let below = |link| Event::Link(link, LinkEvent::Detached { closed: false, end: Ended::Below });
    let ended = |session| Event::Session(session, SessionEvent::Ended(Ended::Below));
    let closed = Event::Closed(ConnectionEnd::Eof);
    assert_eq!(peer.events(), [below(a), below(b), below(c), ended(one), below(d), ended(two), closed]);
    assert!(peer.engine.is_closed());
    peer.octets(&whole[whole.len() - 1..]);
    peer.deliver(10, 5, 1, b"behind the gap");
    assert_eq!((peer.told(), peer.events()), (vec![], vec![]));
    assert!(peer.engine.take_terminus(a).unwrap().unsettled.is_empty());
}

#[test]
fn an_open_needs_a_container_id_and_nothing_else() {
    // 2.7.1-02, 2.7.1-04
    let open_without: [&[&[u8]]; 3] = [&[], &[b"\x40"], &[b"\x40", b"\xa1\x01h"]];
    for missing in open_without {
        let mut peer = Script::silent_client(config());
        peer.header();
        peer.octets(&fields(0, 0x10, missing));
        assert_eq!(peer.told(), ["header", "0 open", "0 close amqp:decode-error"]);
    }
    let mut peer = Script::silent_client(config());
    peer.header();
    peer.octets(&fields(0, 0x10, &[b"\xa1\x01c"]));
    assert_eq!(peer.events(), [Event::Opened]);
    peer.quiet();
    // No limit to channels, and frames of any size.
    let sessions: Vec<_> = (0..300).map(|_| peer.engine.begin(session_config()).unwrap()).collect();
    assert_eq!(peer.told().len(), 300);
    peer.send(10, &answer(299));
    let link = peer.engine.attach(sessions[299], sending("link")).unwrap();
    peer.send(10, &receiver("link", 5));
    peer.send(10, &credit(5, 0, 1));
    peer.quiet();
    send(&mut peer, link, &[0; 100_000]);
    assert_eq!(peer.told(), ["299 transfer handle 0 id 0 of 100000"]);
}

#[test]
fn unknown_capabilities_and_properties_are_ignored() {
    // 2.7.1-23, 2.7.2-08, 2.7.3-25, 3.5.3-20
    let symbols = || [Symbol::from_static("example:unknown")].into_iter().collect::<amqp10_codec::Multiple<_>>();
    let properties = || Some(Map::new().with(Symbol::from_static("example:property"), Map::new()));
    let mut peer = Script::silent_client(config());
    peer.header();
    let (offered_capabilities, desired_capabilities) = (symbols(), symbols());
    peer.send(0, &Open { offered_capabilities, desired_capabilities, properties: properties(), ..open() });
    assert_eq!(peer.events(), [Event::Opened]);
    let session = peer.engine.begin(session_config()).unwrap();
    let (offered_capabilities, desired_capabilities) = (symbols(), symbols());
    peer.send(10, &Begin { offered_capabilities, desired_capabilities, properties: properties(), ..answer(0) });
    assert_eq!(peer.events(), [Event::Session(session, SessionEvent::Begun)]);
    let link = peer.engine.attach(session, receiving("link")).unwrap();
    let (offered_capabilities, desired_capabilities) = (symbols(), symbols());
    let attach = amqp10_codec::Attach {
        source: Some(amqp10_codec::Source { capabilities: symbols(), ..amqp10_codec::Source::default() }.into()),
        offered_capabilities,
        desired_capabilities,
        properties: properties(),
        ..sender("link", 5)
    };
    peer.send(10, &attach);
    assert_eq!(peer.events(), [Event::Link(link, LinkEvent::Attached)]);
    peer.quiet();
    peer.deliver(10, 5, 0, b"x");
    assert_eq!(taken(&mut peer, link), [b"x"]);
}

/// One error at each level, from us and from the peer.
fn any_error(error: &Error<'static>) {
    let Scene { mut peer, one, a, b, .. } = Scene::new(Wire::Octets);
    let some = || Some(error.clone());
    peer.engine.detach(a, true, some());
    let frames = peer.frames();
    let [(0, Performative::Detach(told), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(told.error, some());
    peer.events();
    peer.send(10, &Detach { error: some(), ..detach(6, true) });
    let end = Ended::Remote(some());
    assert_eq!(peer.events(), [Event::Link(b, LinkEvent::Detached { closed: true, end })]);
    peer.quiet();
    peer.engine.end(one, some());
    let frames = peer.frames();
    let [(0, Performative::End(told), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(told.error, some());
    peer.quiet();
    peer.send(11, &End { error: some() });
    let told = peer.events();
    assert!(
        matches!(&told[..], [.., Event::Session(_, SessionEvent::Ended(Ended::Remote(found)))] if *found == some())
    );
    peer.send(0, &Close { error: some() });
    assert_eq!(peer.events().last(), Some(&Event::Closed(ConnectionEnd::Remote(some()))));
}

#[test]
fn errors_of_any_condition_are_told_and_reported() {
    // 2.7.7-05, 2.7.8-02, 2.8.14-03, 2.8.14-04, 2.8.15-01
    for condition in [
        ErrorCondition::INTERNAL_ERROR,
        ErrorCondition::CONNECTION_FORCED,
        ErrorCondition::WINDOW_VIOLATION,
        ErrorCondition::STOLEN,
        ErrorCondition::custom(Symbol::from_static("example:strange")),
    ] {
        any_error(&Error::new(condition, "with a description"));
    }
}

#[test]
fn what_operators_force_is_told_and_reported() {
    // 2.8.16-01, 2.8.18-01
    any_error(&Error::new(ErrorCondition::CONNECTION_FORCED, "maintenance"));
    any_error(&Error::new(ErrorCondition::DETACH_FORCED, "maintenance"));
}

#[test]
fn redirections_are_reported_with_what_there_is_of_them() {
    // 2.8.16-03, 2.8.18-04
    let symbol = Symbol::from_static;
    let whole = Map::new()
        .with(symbol("hostname"), "tenant.example")
        .with(symbol("network-host"), "127.0.0.1")
        .with(symbol("port"), 5672_u16)
        .with(symbol("address"), "queue");
    for condition in [ErrorCondition::CONNECTION_REDIRECT, ErrorCondition::LINK_REDIRECT] {
        for info in [None, Some(Map::new()), Some(whole.clone())] {
            any_error(&Error { info, ..Error::new(condition.clone(), "elsewhere") });
        }
    }
}

#[test]
fn texts_are_in_english_whatever_is_asked_for() {
    // 2.7.1-17, 2.7.1-18, 2.7.1-19, 2.8.12-02
    let asked: [&[u8]; 4] = [b"\x40", b"\xe0\x02\0\xa3", b"\xa3\x05en-US", b"\xe0\x0e\x02\xa3\x05de-DE\x05fr-FR"];
    for locales in asked {
        let mut peer = Script::silent_client(config());
        peer.header();
        let null = b"\x40";
        peer.octets(&fields(0, 0x10, &[b"\xa1\x01c", null, null, null, null, locales, locales]));
        assert_eq!(peer.events(), [Event::Opened]);
        peer.quiet();
        peer.send(0, &open());
        let frames = peer.frames();
        let [(0, Performative::Close(Close { error: Some(error) }), _)] = &frames[..] else { panic!("{frames:?}") };
        let told = peer.events();
        let [Event::Closed(ConnectionEnd::Violation(violation))] = &told[..] else { panic!("{told:?}") };
        assert_eq!(error.description.as_ref().unwrap().as_str(), violation.to_string());
        assert_eq!(violation.to_string(), "open is not permitted in this state of the connection (§2.4.6)");
    }
}

#[test]
fn silence_may_be_limited_without_a_word() {
    // 2.7.1-16
    let mut config = config();
    config.idle_time_out = None;
    config.silence_limit = Some(Duration::from_secs(5));
    let mut peer = Script::silent_client(config);
    let frames = peer.frames();
    let [(0, Performative::Open(told), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(told.idle_time_out, None);
    peer.header();
    peer.send(0, &open());
    peer.quiet();
    peer.advance(Duration::from_millis(4_999));
    assert_eq!(peer.events(), []);
    peer.advance(Duration::from_millis(1));
    assert_eq!(peer.told(), ["0 close amqp:resource-limit-exceeded"]);
    assert_eq!(peer.events().last(), Some(&Event::Closed(ConnectionEnd::IdleTimeOut)));
}

/// Without any of the first so many fields, one at a time, a frame cannot be decoded; with all of them it can.
#[track_caller]
fn mandatory(code: u8, least: &[&[u8]], which: &[usize]) {
    for missing in which {
        let mut without = least.to_vec();
        without[*missing] = b"\x40";
        refused_connection("amqp:decode-error", |scene| scene.peer.octets(&fields(10, code, &without)));
        refused_connection("amqp:decode-error", |scene| scene.peer.octets(&fields(10, code, &least[..*missing])));
    }
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.octets(&fields(10, code, least));
    assert!(!scene.peer.told().iter().any(|frame| frame.contains("decode-error")));
}

#[test]
fn mandatory_fields_of_begin_attach_and_flow() {
    // 2.7.2-02, 2.7.3-02, 2.7.4-02
    mandatory(0x11, &[b"\x40", b"\x43", b"\x43", b"\x43"], &[1, 2, 3]);
    mandatory(0x12, &[b"\xa1\x03new", b"\x52\x08", b"\x41"], &[0, 1, 2]);
    mandatory(0x13, &[b"\x43", b"\x43", b"\x43", b"\x43"], &[1, 2, 3]);
    // A begin without handle-max permits any handle.
    let mut peer = Script::client(config(), open());
    let session = peer.engine.begin(session_config()).unwrap();
    peer.octets(&fields(10, 0x11, &[b"\x60\0\0", b"\x43", b"\x43", b"\x43"]));
    for n in 0..300 {
        let mut config = receiving("");
        config.name = n.to_string().into();
        peer.engine.attach(session, config).unwrap();
    }
    assert_eq!(peer.told().last().unwrap(), "0 attach 299 handle 299");
}

#[test]
fn mandatory_fields_of_transfer_disposition_and_detach() {
    // 2.7.5-02, 2.7.6-02, 2.7.7-02
    mandatory(0x14, &[b"\x52\x05", b"\x43", b"\xa0\x01t"], &[0]);
    mandatory(0x15, &[b"\x41", b"\x43"], &[0, 1]);
    mandatory(0x16, &[b"\x52\x05"], &[0]);
    // A detach that does not say so does not close.
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.octets(&fields(10, 0x16, &[b"\x52\x05"]));
    let end = Ended::Remote(None);
    assert_eq!(scene.peer.events(), [Event::Link(scene.a, LinkEvent::Detached { closed: false, end })]);
    // A disposition that does not say so does not settle.
    scene.peer.send(10, &credit(7, 0, 1));
    send(&mut scene.peer, scene.c, b"x");
    scene.peer.quiet();
    scene.peer.octets(&fields(10, 0x15, &[b"\x41", b"\x43"]));
    let outcome = scene.peer.engine.sender(scene.c).unwrap().next_outcome().unwrap();
    assert!(!outcome.settled);
}

#[test]
fn nothing_but_the_specification_is_needed() {
    // 0.2-02
    let mut peer = Script::silent_client(amqp10_link::Config::new("engine"));
    let mut frames = peer.frames();
    peer.header();
    peer.send(0, &Open { max_frame_size: 512, channel_max: Channel(0), ..open() });
    let session = peer.engine.begin(amqp10_link::SessionConfig::default()).unwrap();
    peer.send(10, &answer(0));
    let link = peer.engine.attach(session, sending("link")).unwrap();
    peer.send(10, &receiver("link", 5));
    frames.extend(peer.frames());
    for (_, body, _) in &frames {
        let octets = match body {
            Performative::Open(open) => {
                assert!(open.properties.is_none());
                [encode_to_vec(&open.offered_capabilities), encode_to_vec(&open.desired_capabilities)]
            }
            Performative::Begin(begin) => {
                assert!(begin.properties.is_none());
                [encode_to_vec(&begin.offered_capabilities), encode_to_vec(&begin.desired_capabilities)]
            }
            Performative::Attach(attach) => {
                assert!(attach.properties.is_none() && attach.initial_delivery_count == Some(SequenceNo(0)));
                [encode_to_vec(&attach.offered_capabilities), encode_to_vec(&attach.desired_capabilities)]
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(octets, [[0x40], [0x40]], "{}", body.name());
    }
    peer.send(10, &credit(5, 0, 1));
    send(&mut peer, link, b"x");
    assert_eq!(peer.told(), ["0 transfer handle 0 id 0 of 1"]);
}
