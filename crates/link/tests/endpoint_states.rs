//! The states of connections and sessions, and what both ends tell each other when they begin.

mod support;

use amqp10_codec::{
    Attach, Begin, Channel, Error, ErrorCondition, Fields, Flow, FrameError, Multiple, Open, Performative,
    ProtocolHeader, ProtocolId, Symbol, Transfer,
};
use amqp10_link::{
    Config, ConnectionEnd, DeliveryStart, Ended, Event, LinkEvent, Redirect, SessionConfig, SessionEvent, Violation,
};
use bytes::Bytes;
use support::scene::{Scene, config, receiving, sending, session_config};
use support::script::*;
use support::{Pair, Script, Wire, events};

const NOTHING: [&str; 0] = [];
const WIRES: [Wire; 2] = [Wire::Whole, Wire::Octets];

/// What a peer that does not know of our close may still send, the answer last.
fn late(peer: &mut Script) {
    peer.send(0, &begin());
    peer.send(0, &sender("link", 0));
    peer.transfer(0, &first(0, 0), b"in flight");
    peer.octets(&[0, 0, 0, 8, 2, 0, 0, 0]);
    assert_eq!((peer.events(), peer.told()), (vec![], vec![]));
    peer.send(0, &close());
}

#[test]
fn closed_before_anything_came_oc_pipe() {
    // 2.4.3-07, 2.4.6-06, 2.4.7-04
    for wire in WIRES {
        for error in [None, Some(problem())] {
            let mut peer = Script::silent_client(config());
            peer.wire = wire;
            let session = peer.engine.begin(session_config()).unwrap();
            let with_error = error.is_some();
            peer.engine.close(error);
            let end = if with_error { "0 close amqp:internal-error" } else { "0 close" };
            assert_eq!(peer.told(), ["header", "0 open", "0 begin", end]);
            assert_eq!(peer.events(), [Event::Session(session, SessionEvent::Ended(Ended::Below))]);
            // CLOSE_PIPE, then CLOSE_SENT or DISCARDING.
            peer.header();
            peer.send(0, &open());
            late(&mut peer);
            assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::Local)]);
            assert_eq!(peer.told(), NOTHING);
            assert!(peer.engine.is_closed());
        }
    }
}

#[test]
fn closed_before_an_open_came_close_pipe() {
    // 2.4.6-09, 2.4.7-04
    for wire in WIRES {
        let mut peer = Script::silent_client(config());
        peer.wire = wire;
        peer.header();
        peer.engine.close(None);
        assert_eq!(peer.told(), ["header", "0 open", "0 close"]);
        // Even if its open is one that could not be lived with.
        peer.send(0, &Open { max_frame_size: 1, ..open() });
        late(&mut peer);
        assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::Local)]);
        assert_eq!(peer.told(), NOTHING);
    }
}

#[test]
fn another_header_ends_every_state_that_waits_for_one() {
    // 2.4.7-06
    let other = ProtocolHeader { id: ProtocolId::Amqp, version: [1, 1, 0] }.to_octets();
    for states in [0, 1, 2] {
        let mut peer = Script::silent_client(config());
        if states >= 1 {
            peer.engine.begin(session_config()).unwrap();
        }
        if states == 2 {
            peer.engine.close(None);
        }
        peer.quiet();
        peer.octets(&other);
        peer.header();
        peer.send(0, &open());
        assert_eq!(peer.told(), NOTHING, "no frame follows");
        assert_eq!(peer.events().last(), Some(&Event::Closed(ConnectionEnd::Violation(Violation::ProtocolHeader))));
        assert!(peer.engine.is_closed());
    }
}

#[test]
fn everything_pipelined_by_us_and_answered_in_one_write() {
    // 2.4.2-01, 2.4.2-02, 2.4.6-05, 2.4.7-02, 2.5.5-02
    for wire in WIRES {
        let mut peer = Script::silent_client(config());
        peer.wire = wire;
        let session = peer.engine.begin(session_config()).unwrap();
        let link = peer.engine.attach(session, sending("out")).unwrap();
        let other = peer.engine.attach(session, receiving("in")).unwrap();
        peer.max_frame_size = 512;
        assert_eq!(peer.told(), ["header", "0 open", "0 begin", "0 attach out handle 0", "0 attach in handle 1"]);
        peer.max_frame_size = u32::MAX;
        let answers = [
            ProtocolHeader::AMQP.to_octets().to_vec(),
            frame(0, &open()),
            frame(7, &answer(0)),
            frame(7, &receiver("out", 3)),
            frame(7, &credit(3, 0, 5)),
            frame(7, &sender("in", 4)),
        ];
        peer.octets(&answers.concat());
        let expected = [
            Event::Opened,
            Event::Session(session, SessionEvent::Begun),
            Event::Link(link, LinkEvent::Attached),
            Event::Link(link, LinkEvent::Sendable),
            Event::Link(other, LinkEvent::Attached),
        ];
        assert_eq!(peer.events(), expected);
        assert_eq!(peer.told(), ["0 flow handle 1 count 0 credit 10"]);
        peer.deliver(7, 4, 0, b"x");
        assert_eq!(peer.events(), [Event::Link(other, LinkEvent::DeliveryComplete)]);
    }
}

#[test]
fn everything_pipelined_by_the_peer_in_one_write() {
    // 2.4.1-03, 2.4.2-03, 2.4.6-02, 2.4.6-07, 2.5.5-03
    for wire in WIRES {
        let mut peer = Script::silent_server(config());
        peer.wire = wire;
        let asking = [
            ProtocolHeader::AMQP.to_octets().to_vec(),
            frame(0, &open()),
            frame(0, &begin()),
            frame(0, &receiver("queue", 2)),
            frame(0, &credit(2, 0, 5)),
        ];
        peer.octets(&asking.concat());
        assert_eq!(peer.events(), [Event::Incoming]);
        peer.engine.accept(config()).unwrap();
        let told = peer.events();
        let [Event::Opened, Event::Session(session, SessionEvent::Incoming)] = told[..] else { panic!("{told:?}") };
        peer.engine.accept_begin(session, session_config()).unwrap();
        let told = peer.events();
        let [Event::Session(begun, SessionEvent::Begun), Event::Link(link, LinkEvent::Incoming)] = told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(begun, session);
        peer.engine.accept_attach(link, sending("")).unwrap();
        assert_eq!(peer.events(), [Event::Link(link, LinkEvent::Attached), Event::Link(link, LinkEvent::Sendable)]);
        assert_eq!(peer.told(), ["header", "0 open", "0 begin for 0", "0 attach queue handle 0"]);
    }
}

#[test]
fn closed_with_an_error_while_everything_is_in_flight() {
    // 2.4.3-01, 2.4.3-02, 2.4.6-12, 2.4.6-13, 2.5.2-01
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let Scene { peer, one, two, a, b, c, d, .. } = &mut scene;
        peer.send(10, &credit(7, 0, 10));
        peer.transfer(10, &Transfer { more: true, ..first(5, 0) }, b"half");
        peer.deliver(11, 5, 0, b"whole");
        peer.quiet();
        let mut sender = peer.engine.sender(*c).unwrap();
        let whole = sender.begin_delivery(DeliveryStart::default()).unwrap();
        sender.write(whole, Bytes::from_static(b"last")).unwrap();
        sender.finish(whole).unwrap();
        let half = sender.begin_delivery(DeliveryStart::default()).unwrap();
        sender.write(half, Bytes::from_static(b"half")).unwrap();
        let taken = peer.engine.receiver(*d).unwrap().next_delivery().unwrap();
        peer.engine.receiver(*d).unwrap().settle(taken.key, amqp10_codec::DeliveryState::Accepted, true).unwrap();
        peer.engine.close(Some(problem()));
        let mut told = peer.told();
        assert_eq!(told.pop().unwrap(), "0 close amqp:internal-error");
        told.sort();
        let before =
            ["0 transfer handle 2 id 0 of 4", "0 transfer handle 2 id 1 more of 4", "1 disposition receiver 0 settled"];
        assert_eq!(told, before, "what was left to do is done");
        let below = |link| Event::Link(link, LinkEvent::Detached { closed: false, end: Ended::Below });
        let ended = |session| Event::Session(session, SessionEvent::Ended(Ended::Below));
        assert_eq!(peer.events(), [below(*a), below(*b), below(*c), ended(*one), below(*d), ended(*two)]);
        // The other half, a new session, and what cannot be read at all.
        peer.transfer(10, &next(5), b"other half");
        peer.send(12, &begin());
        peer.octets(&[0, 0, 0, 12, 2, 0, 0, 10, 1, 2, 3, 4]);
        peer.octets(&[0, 0, 0, 8, 2, 1, 0, 0]);
        assert_eq!((peer.events(), peer.told()), (vec![], vec![]));
        peer.send(0, &close());
        assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::Local)]);
        assert_eq!(peer.engine.poll_timeout(), None);
    }
}

#[test]
fn octets_behind_our_close_that_are_no_frames() {
    // 2.4.6-13
    let mut peer = Script::client(config(), open());
    peer.engine.close(Some(problem()));
    peer.quiet();
    peer.octets(&[0, 0, 0, 1, 2, 0, 0, 0]);
    // The peer's close cannot be found any more.
    let told = peer.events();
    let [Event::Closed(ConnectionEnd::Violation(Violation::Framing(FrameError { .. })))] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(peer.told(), NOTHING);
}

fn symbols(names: [&'static str; 2]) -> Multiple<Symbol<'static>> {
    names.into_iter().map(|name| Symbol::new(name).unwrap()).collect()
}

fn property(value: &'static str) -> Option<Fields<'static>> {
    Some(Fields::new().with(Symbol::new("product").unwrap(), value))
}

#[test]
fn capabilities_and_properties_are_told_both_ways() {
    // 2.7.1-23, 2.7.2-08, 2.7.3-25
    let side = |name: &'static str| {
        let mut config = Config::new(name);
        config.offered_capabilities = symbols([name, "offered"]);
        config.desired_capabilities = symbols([name, "desired"]);
        config.properties = property(name);
        let mut session = SessionConfig::default();
        session.offered_capabilities = symbols([name, "offered by the session"]);
        session.desired_capabilities = symbols([name, "desired by the session"]);
        session.properties = property(name);
        let mut link = if name == "client" { receiving("link") } else { sending("link") };
        link.offered_capabilities = symbols([name, "offered by the link"]);
        link.desired_capabilities = symbols([name, "desired by the link"]);
        link.properties = property(name);
        (config, session, link)
    };
    let ((client, client_session, client_link), (server, server_session, server_link)) =
        (side("client"), side("server"));
    let mut pair = Pair::opened(client, server);
    let (ours, theirs) = pair.session(client_session, server_session);
    let (our_link, their_link) = pair.link(ours, client_link, server_link);
    for (engine, other, session, link) in
        [(&pair.client, "server", ours, our_link), (&pair.server, "client", theirs, their_link)]
    {
        let Open { offered_capabilities, desired_capabilities, properties, .. } = engine.remote_open().unwrap();
        assert_eq!(*offered_capabilities, symbols([other, "offered"]));
        assert_eq!(*desired_capabilities, symbols([other, "desired"]));
        assert_eq!(*properties, property(other));
        let Begin { offered_capabilities, desired_capabilities, properties, .. } =
            engine.remote_begin(session).unwrap();
        assert_eq!(*offered_capabilities, symbols([other, "offered by the session"]));
        assert_eq!(*desired_capabilities, symbols([other, "desired by the session"]));
        assert_eq!(*properties, property(other));
        let Attach { offered_capabilities, desired_capabilities, properties, .. } = engine.remote_attach(link).unwrap();
        assert_eq!(*offered_capabilities, symbols([other, "offered by the link"]));
        assert_eq!(*desired_capabilities, symbols([other, "desired by the link"]));
        assert_eq!(*properties, property(other));
    }
}

#[test]
fn redirects_are_told() {
    // 2.8.16-03, 2.8.18-04
    let info = Fields::new()
        .with(Symbol::new("network-host").unwrap(), "10.0.0.2")
        .with(Symbol::new("port").unwrap(), 5671_u16)
        .with(Symbol::new("address").unwrap(), "elsewhere");
    let error = |condition| Error { info: Some(info.clone()), ..Error::new(condition, "it has moved") };
    let mut scene = Scene::new(Wire::Octets);
    let link = error(ErrorCondition::LINK_REDIRECT);
    scene.peer.send(10, &amqp10_codec::Detach { error: Some(link), ..detach(5, true) });
    scene.peer.send(0, &amqp10_codec::Close { error: Some(error(ErrorCondition::CONNECTION_REDIRECT)) });
    let told = scene.peer.events();
    let mut redirects = told.iter().filter_map(|event| match event {
        Event::Link(_, LinkEvent::Detached { end: Ended::Remote(Some(error)), .. }) => Redirect::of(error),
        Event::Closed(ConnectionEnd::Remote(Some(error))) => Redirect::of(error),
        _ => None,
    });
    let (link, connection) = (redirects.next().unwrap(), redirects.next().unwrap());
    assert_eq!((link.network_host.as_deref(), link.port), (Some("10.0.0.2"), Some(5671)));
    assert_eq!((link.address.as_deref(), link.hostname), (Some("elsewhere"), None));
    assert_eq!((connection.network_host.as_deref(), connection.address), (Some("10.0.0.2"), None));
}

#[test]
fn the_lowest_free_channel_is_taken() {
    // 2.5.1-01, 2.5.1-02, 2.5.1-07, 2.5.2-02, 2.5.2-03
    let mut peer = Script::client(config(), Open { channel_max: Channel(3), ..open() });
    let sessions: Vec<_> = (0..4).map(|_| peer.engine.begin(session_config()).unwrap()).collect();
    assert_eq!(peer.told(), ["0 begin", "1 begin", "2 begin", "3 begin"]);
    for channel in [2, 0, 3, 1] {
        peer.send(10 + channel, &answer(channel));
    }
    peer.quiet();
    peer.engine.end(sessions[1], None);
    peer.engine.end(sessions[2], Some(problem()));
    assert_eq!(peer.told(), ["1 end", "2 end amqp:internal-error"]);
    assert!(peer.engine.begin(session_config()).is_err(), "both are taken until the peer agrees");
    peer.send(12, &end());
    peer.send(11, &end());
    assert_eq!(peer.events().len(), 2);
    peer.engine.begin(session_config()).unwrap();
    peer.engine.begin(session_config()).unwrap();
    assert_eq!(peer.told(), ["1 begin", "2 begin"]);
    // The peer's channels are free again as well.
    peer.send(11, &begin());
    assert!(matches!(peer.events()[..], [Event::Session(_, SessionEvent::Incoming)]));
}

#[test]
fn sessions_share_nothing_but_the_connection() {
    // 2.4.1-05, 2.5.6-01, 2.5.6-06, 2.5.6-14
    let mut pair = Pair::plain();
    let mut links = Vec::new();
    for n in 0..5 {
        let mut narrow = session_config();
        narrow.incoming_window = n;
        narrow.next_outgoing_id = amqp10_codec::TransferNumber(u32::MAX - n);
        let (ours, _) = pair.session(narrow.clone(), narrow);
        let mut receiving = receiving("link");
        receiving.name = format!("link {n}").into();
        links.push(pair.link(ours, receiving, sending("")));
        events(&mut pair.server);
        events(&mut pair.client);
    }
    for (_, theirs) in &links {
        for _ in 0..3 {
            let mut sender = pair.server.sender(*theirs).unwrap();
            let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
            sender.write(key, Bytes::from_static(b"x")).unwrap();
            sender.finish(key).unwrap();
        }
    }
    pair.run();
    for (n, (ours, _)) in links.iter().enumerate() {
        let mut receiver = pair.client.receiver(*ours).unwrap();
        let came = std::iter::from_fn(|| receiver.next_delivery()).count();
        assert_eq!(came, if n == 0 { 0 } else { 3 }, "a window of {n}, which is renewed unless it is 0");
    }
}

#[test]
fn a_flow_before_our_begin_was_answered_may_leave_out_what_it_expects() {
    // 2.5.6-11, 2.5.6-12
    let mut peer = Script::server(config(), open());
    peer.send(3, &begin());
    let told = peer.events();
    let [Event::Session(session, SessionEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    let mut ours = session_config();
    ours.next_outgoing_id = amqp10_codec::TransferNumber(u32::MAX);
    peer.engine.accept_begin(session, ours).unwrap();
    let link = peer.engine.attach(session, sending("out")).unwrap();
    peer.send(3, &receiver("out", 0));
    peer.send(3, &Flow { next_incoming_id: None, incoming_window: 2, ..credit(0, 0, 10) });
    peer.quiet();
    for _ in 0..5 {
        let mut sender = peer.engine.sender(link).unwrap();
        let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
        sender.write(key, Bytes::from_static(b"x")).unwrap();
        sender.finish(key).unwrap();
    }
    let transfers = |peer: &mut Script| {
        peer.frames().iter().filter(|(_, frame, _)| matches!(frame, Performative::Transfer(_))).count()
    };
    assert_eq!(transfers(&mut peer), 2);
    peer.send(3, &Flow { next_incoming_id: None, incoming_window: 3, ..flow() });
    assert_eq!(transfers(&mut peer), 1, "counted from the first id");
    peer.send(3, &Flow { next_incoming_id: Some(amqp10_codec::TransferNumber(1)), incoming_window: 2, ..flow() });
    assert_eq!(transfers(&mut peer), 1, "one of the two is in flight");
}
