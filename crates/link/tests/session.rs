//! What belongs to a session: begins, windows, ends, dispositions.

mod support;

use amqp10_codec::{
    Attach, Begin, Coordinator, DeliveryState, Described, Error, ErrorCondition, Flow, Handle, List, Open, Role,
    SequenceNo, Source, SourceArchetype, Symbol, TargetArchetype, TransferNumber, TxnCapability,
};
use amqp10_link::{
    CommandError, DeliveryStart, Ended, Event, LinkConfig, LinkEvent, LinkId, SessionConfig, SessionEvent, SessionId,
};
use bytes::Bytes;
use support::scene::{
    HANDLE_MAX, Scene, WINDOW, config, receiving, refused_connection, refused_session, sending, session_config,
};
use support::script::*;
use support::{Pair, Script, Wire, events};

const NOTHING: [&str; 0] = [];
const WIRES: [Wire; 2] = [Wire::Whole, Wire::Octets];

/// A session with one link on which the engine sends; the peer has granted neither window nor credit.
fn sending_session(max_frame_size: u32, config: SessionConfig) -> (Script, SessionId, LinkId) {
    let mut peer = Script::client(support::scene::config(), Open { max_frame_size, ..open() });
    let session = peer.engine.begin(config).unwrap();
    peer.send(10, &Begin { incoming_window: 0, ..answer(0) });
    let link = peer.engine.attach(session, sending("link")).unwrap();
    peer.send(10, &receiver("link", 5));
    peer.quiet();
    (peer, session, link)
}

fn send(peer: &mut Script, link: LinkId, octets: usize) -> amqp10_link::DeliveryKey {
    let mut sender = peer.engine.sender(link).unwrap();
    let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.write(key, Bytes::from(vec![1; octets])).unwrap();
    sender.finish(key).unwrap();
    key
}

fn window(next_incoming_id: u32, incoming_window: u32) -> Flow<'static> {
    Flow { next_incoming_id: Some(TransferNumber(next_incoming_id)), incoming_window, ..flow() }
}

#[test]
fn h14_next_outgoing_id_rewound_or_skipped() {
    // 2.5.6-13
    for claimed in [0, 1, 50, 3_000_000_000] {
        let mut scene = Scene::new(Wire::Octets);
        let peer = &mut scene.peer;
        for id in 0..3 {
            peer.deliver(10, 5, id, b"x");
        }
        peer.send(10, &Flow { next_outgoing_id: TransferNumber(claimed), echo: true, ..flow() });
        let frames = peer.frames();
        let [(0, amqp10_codec::Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(flow.next_incoming_id, Some(TransferNumber(claimed)), "taken over as it is");
        peer.events();
        // The window counts frames, so it is neither larger nor smaller for it.
        peer.transfer(10, &amqp10_codec::Transfer { more: true, ..first(6, 10) }, b"x");
        for _ in 1..WINDOW {
            peer.transfer(10, &amqp10_codec::Transfer { more: true, ..next(6) }, b"x");
        }
        peer.events();
        peer.transfer(10, &amqp10_codec::Transfer { more: true, ..next(6) }, b"x");
        assert_eq!(peer.told().last().unwrap(), "0 end amqp:session:window-violation");
    }
}

#[test]
fn h14_transfers_beyond_the_incoming_window() {
    // 2.5.6-16, 2.8.17-01
    refused_session("amqp:session:window-violation", |scene| {
        let peer = &mut scene.peer;
        peer.transfer(10, &amqp10_codec::Transfer { more: true, ..first(6, 0) }, b"x");
        for _ in 1..WINDOW {
            peer.transfer(10, &amqp10_codec::Transfer { more: true, ..next(6) }, b"x");
        }
        peer.events();
        peer.transfer(10, &next(6), b"x");
    });
}

#[test]
fn h14_a_window_of_0_in_either_direction() {
    // 2.5.6-14, 2.5.6-17
    let mut closed = session_config();
    closed.incoming_window = 0;
    let (mut peer, session, link) = sending_session(512, closed.clone());
    peer.send(10, &Flow { incoming_window: 0, ..credit(5, 0, 10) });
    assert_eq!(peer.events(), [Event::Link(link, LinkEvent::Sendable)]);
    send(&mut peer, link, 10);
    assert_eq!(peer.told(), NOTHING, "credit, but no window");
    peer.send(10, &window(0, 1));
    assert_eq!(peer.told(), ["0 transfer handle 0 id 0 of 10"]);

    let receiver = peer.engine.attach(session, receiving("in")).unwrap();
    peer.send(10, &sender("in", 6));
    peer.quiet();
    peer.deliver(10, 6, 0, b"x");
    assert_eq!(of_link(peer.events(), receiver), [LinkEvent::Detached { closed: false, end: Ended::Below }]);
    assert_eq!(peer.told().last().unwrap(), "0 end amqp:session:window-violation");
}

#[test]
fn h14_a_message_of_more_frames_than_the_peers_window() {
    // 2.5.6-06, 2.5.6-19, 2.6.7-09
    let (mut peer, _, link) = sending_session(512, session_config());
    peer.send(10, &Flow { incoming_window: 3, ..credit(5, 0, 1) });
    peer.quiet();
    send(&mut peer, link, 4080);
    let mut taken = 0;
    for frames in [3, 3, 3, 1] {
        let told = peer.told();
        assert_eq!(told.len(), frames);
        taken += frames as u32;
        assert_eq!(peer.told(), NOTHING);
        peer.send(10, &window(taken, 3));
    }
    assert_eq!(peer.told(), NOTHING);
    assert_eq!(peer.events(), []);
}

#[test]
fn h14_a_message_of_more_frames_than_our_window() {
    // 2.5.6-18
    for wire in WIRES {
        let mut small = config();
        small.max_frame_size = 512;
        let mut pair = Pair::opened(small.clone(), small);
        pair.wire = wire;
        let mut narrow = session_config();
        narrow.incoming_window = 2;
        let (session, _) = pair.session(narrow.clone(), narrow);
        let mut receiving = receiving("link");
        receiving.max_message_size = None;
        let (ours, theirs) = pair.link(session, receiving, sending(""));
        let octets = Bytes::from((0..100_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        let mut sender = pair.server.sender(theirs).unwrap();
        let sent = sender.begin_delivery(DeliveryStart::default()).unwrap();
        sender.write(sent, octets.clone()).unwrap();
        sender.finish(sent).unwrap();
        pair.run();
        let delivery = pair.client.receiver(ours).unwrap().next_delivery().unwrap();
        assert_eq!(delivery.payload.into_bytes(), octets);
    }
}

#[test]
fn h14_a_window_that_was_shrunk_below_what_is_in_flight() {
    // 2.5.6-07, 2.5.6-11, 2.5.6-15
    let (mut peer, _, link) = sending_session(512, session_config());
    peer.send(10, &Flow { incoming_window: 10, ..credit(5, 0, 100) });
    for _ in 0..20 {
        send(&mut peer, link, 1);
    }
    assert_eq!(peer.told().len(), 10);
    peer.send(10, &window(5, 2));
    assert_eq!(peer.told(), NOTHING, "5 + 2 - 10 is no window of four billion");
    peer.send(10, &window(5, 7));
    assert_eq!(peer.told().len(), 2);
    // Before our begin is known there is no next-incoming-id; a peer that answered knows it.
    refused_session("amqp:invalid-field", |scene| scene.peer.send(10, &Flow { next_incoming_id: None, ..flow() }));
}

#[test]
fn h14_the_session_part_of_a_links_flow_counts() {
    // 2.7.4-04, 2.6.7-24
    let (mut peer, _, link) = sending_session(512, session_config());
    peer.send(10, &Flow { incoming_window: 1, ..credit(5, 0, 10) });
    send(&mut peer, link, 1);
    send(&mut peer, link, 1);
    assert_eq!(peer.told().len(), 1);
    // No credit is said, and none is taken.
    peer.send(10, &Flow { handle: Some(Handle(5)), ..window(1, 1) });
    assert_eq!(peer.told().len(), 1);
}

#[test]
fn h16_transfer_ids_and_windows_across_the_wrap() {
    // 2.5.6-02, 2.5.6-09
    let mut start = session_config();
    start.next_outgoing_id = TransferNumber(u32::MAX - 2);
    let (mut peer, session, link) = sending_session(512, start);
    peer.send(
        10,
        &Flow {
            incoming_window: 5,
            ..Flow { next_incoming_id: Some(TransferNumber(u32::MAX - 2)), ..credit(5, 0, u32::MAX) }
        },
    );
    for _ in 0..500 {
        send(&mut peer, link, 1);
    }
    peer.events();
    let mut left = 500;
    let mut expected = u32::MAX - 2;
    while left > 0 {
        let told = peer.told();
        assert!(told.len() == 5 || told.len() == left, "{} frames", told.len());
        left -= told.len();
        expected = expected.wrapping_add(told.len() as u32);
        peer.send(10, &window(expected, 5));
    }
    peer.engine.request_flow(session);
    let frames = peer.frames();
    let [(0, amqp10_codec::Performative::Flow(flow), _)] = &frames[..] else { panic!() };
    assert_eq!(flow.next_outgoing_id, TransferNumber(497));
}

#[test]
fn h16_incoming_ids_and_dispositions_across_the_wrap() {
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let peer = &mut scene.peer;
        let mut settled = 0;
        let mut window = WINDOW;
        for n in 0..300_u32 {
            let id = (u32::MAX - 2).wrapping_add(n);
            peer.deliver(10, 5, id, b"x");
            window -= 1;
            let mut receiver = peer.engine.receiver(scene.a).unwrap();
            let delivery = receiver.next_delivery().unwrap();
            receiver.settle(delivery.key, DeliveryState::Accepted, true).unwrap();
            if n % 3 == 2 {
                for frame in peer.told() {
                    if let Some(range) = frame.strip_prefix("0 disposition receiver ") {
                        let (first, last) = (id.wrapping_sub(2), id);
                        assert_eq!(range, format!("{first} to {last} settled"));
                        settled += 3;
                    } else {
                        assert!(frame.starts_with("0 flow"), "{frame}");
                        window = WINDOW;
                    }
                }
            }
            assert!(window > 0, "the window was renewed in time");
        }
        assert_eq!(settled, 300);
        assert!(peer.engine.receiver(scene.a).unwrap().unsettled().is_empty());
        assert!(peer.events().iter().all(|event| *event == Event::Link(scene.a, LinkEvent::DeliveryComplete)));
    }
}

#[test]
fn h16_outgoing_ids_and_dispositions_across_the_wrap() {
    // 2.7.6-04
    let mut start = session_config();
    start.next_outgoing_id = TransferNumber(u32::MAX - 2);
    let (mut peer, _, link) = sending_session(512, start);
    let granted = Flow { next_incoming_id: Some(TransferNumber(u32::MAX - 2)), ..credit(5, 0, 300) };
    peer.send(10, &Flow { incoming_window: 300, ..granted });
    let keys: Vec<_> = (0..300).map(|_| send(&mut peer, link, 1)).collect();
    let ids = peer.told();
    assert_eq!(
        ids[..4],
        [4294967293, 4294967294, 4294967295_u32, 0].map(|id| format!("0 transfer handle 0 id {id} of 1"))
    );
    peer.events();
    peer.send(10, &disposition(Role::Receiver, u32::MAX - 1, 200, true));
    let mut sender = peer.engine.sender(link).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| sender.next_outcome()).map(|outcome| outcome.key).collect();
    assert_eq!(told, keys[1..=203]);
    peer.send(10, &disposition(Role::Receiver, u32::MAX - 2, 296, true));
    let mut sender = peer.engine.sender(link).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| sender.next_outcome()).map(|outcome| outcome.key).collect();
    assert_eq!(told, [&keys[..1], &keys[204..]].concat());
    assert!(sender.unsettled().is_empty());
}

#[test]
fn h16_hundreds_of_deliveries_across_every_wrap() {
    // 2.6.7-22, 2.6.9-01
    for wire in WIRES {
        let mut pair = Pair::opened(config(), config());
        pair.wire = wire;
        let mut start = session_config();
        start.next_outgoing_id = TransferNumber(u32::MAX - 2);
        let (session, _) = pair.session(start.clone(), start);
        let mut sending = sending("");
        sending.initial_delivery_count = SequenceNo(u32::MAX - 2);
        let (ours, theirs) = pair.link(session, receiving("link"), sending);
        let (mut sent, mut received, mut accepted) = (0_u32, 0_u32, 0_u32);
        while accepted < 500 {
            let mut sender = pair.server.sender(theirs).unwrap();
            while sent < 500 && sender.credit() > 0 {
                let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
                sender.write(key, Bytes::copy_from_slice(&sent.to_be_bytes())).unwrap();
                sender.finish(key).unwrap();
                sent += 1;
            }
            pair.run();
            let mut receiver = pair.client.receiver(ours).unwrap();
            let before = received;
            while let Some(delivery) = receiver.next_delivery() {
                assert_eq!(&delivery.payload.into_bytes()[..], received.to_be_bytes());
                receiver.settle(delivery.key, DeliveryState::Accepted, true).unwrap();
                received += 1;
            }
            assert!(received > before, "a standstill after {received}");
            pair.run();
            let mut sender = pair.server.sender(theirs).unwrap();
            while let Some(outcome) = sender.next_outcome() {
                assert_eq!((outcome.state, outcome.settled), (Some(DeliveryState::Accepted), true));
                accepted += 1;
            }
            assert_eq!(accepted, received);
        }
        assert!(pair.server.sender(theirs).unwrap().unsettled().is_empty());
        assert!(pair.client.receiver(ours).unwrap().unsettled().is_empty());
    }
}

/// The engine has sent five unsettled deliveries, ids 0 to 4, of which the second and fourth belong to another link.
fn five_sent() -> (Script, [LinkId; 2], [amqp10_link::DeliveryKey; 5]) {
    let (mut peer, session, link) = sending_session(512, session_config());
    let other = peer.engine.attach(session, sending("other")).unwrap();
    peer.send(10, &receiver("other", 6));
    peer.send(10, &credit(5, 0, 10));
    peer.send(10, &credit(6, 0, 10));
    let mut keys = [link, other, link, other, link].map(|link| (link, None));
    for (link, key) in &mut keys {
        *key = Some(send(&mut peer, *link, 1));
        peer.frames();
    }
    peer.quiet();
    (peer, [link, other], keys.map(|(_, key)| key.unwrap()))
}

/// The deliveries of which there are outcomes, in order of their ids, and whether they are settled.
fn outcomes(peer: &mut Script, links: [LinkId; 2], keys: [amqp10_link::DeliveryKey; 5]) -> Vec<(usize, bool)> {
    let mut found = Vec::new();
    for link in links {
        let mut sender = peer.engine.sender(link).unwrap();
        while let Some(outcome) = sender.next_outcome() {
            found.push((keys.iter().position(|key| *key == outcome.key).unwrap(), outcome.settled));
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn h17_ranges_whose_last_stands_before_their_first() {
    // 2.7.6-16
    for (first, last) in [(0, u32::MAX), (5, 3), (u32::MAX, u32::MAX - 1), (0, 0x8000_0001)] {
        refused_session("amqp:invalid-field", |scene| {
            scene.peer.send(10, &disposition(Role::Receiver, first, last, true));
        });
        refused_session("amqp:invalid-field", |scene| {
            scene.peer.send(10, &disposition(Role::Sender, first, last, true));
        });
    }
}

#[test]
fn h17_an_antipodal_range_costs_what_lives_in_it() {
    // 2.7.6-14
    for (first, last) in [(0, 0x8000_0000), (0, 0x7fff_ffff), (u32::MAX, 0x7fff_fffe), (0x8000_0005, 5)] {
        let (mut peer, links, keys) = five_sent();
        // Id by id these would take days.
        for _ in 0..1000 {
            peer.send(10, &disposition(Role::Receiver, first, last, true));
        }
        assert_eq!(peer.told(), NOTHING);
        let all = [(0, true), (1, true), (2, true), (3, true), (4, true)];
        assert_eq!(outcomes(&mut peer, links, keys), all, "{first} to {last}");
    }
}

#[test]
fn h17_a_range_over_several_links() {
    // 2.7.6-07, 2.6.2-04
    let (mut peer, links, keys) = five_sent();
    peer.send(10, &disposition(Role::Receiver, 1, 2, true));
    let told = peer.events();
    assert_eq!(told, [Event::Link(links[1], LinkEvent::Outcomes), Event::Link(links[0], LinkEvent::Outcomes)]);
    assert_eq!(outcomes(&mut peer, links, keys), [(1, true), (2, true)]);
}

#[test]
fn h17_a_range_of_deliveries_settled_already_or_never_sent() {
    // 2.7.6-08, 2.6.12-13, 2.6-03
    let (mut peer, links, keys) = five_sent();
    peer.send(10, &disposition(Role::Receiver, 1, 3, true));
    assert_eq!(outcomes(&mut peer, links, keys), [(1, true), (2, true), (3, true)]);
    peer.quiet();
    for (first, last) in [(1, 3), (2, 2), (5, 100), (u32::MAX - 5, u32::MAX)] {
        peer.send(10, &disposition(Role::Receiver, first, last, true));
        assert_eq!((peer.events(), peer.told()), (vec![], vec![]));
    }
    peer.send(10, &disposition(Role::Receiver, 0, 4, true));
    assert_eq!(outcomes(&mut peer, links, keys), [(0, true), (4, true)]);
    assert!(peer.engine.sender(links[0]).unwrap().unsettled().is_empty());
}

#[test]
fn h17_a_role_speaks_of_one_direction_only() {
    // 2.7.6-05, 2.7.6-06
    let mut scene = Scene::new(Wire::Whole);
    let peer = &mut scene.peer;
    peer.send(10, &credit(7, 0, 10));
    send(peer, scene.c, 1);
    peer.deliver(10, 5, 0, b"x");
    peer.quiet();
    // Delivery 0 went out, and another delivery 0 came in.
    peer.send(10, &disposition(Role::Sender, 0, 0, true));
    let told = peer.events();
    assert!(matches!(told[..], [Event::Link(link, LinkEvent::Disposition(_))] if link == scene.a), "{told:?}");
    assert_eq!(peer.engine.sender(scene.c).unwrap().unsettled().len(), 1);
    assert_eq!(peer.engine.receiver(scene.a).unwrap().unsettled().len(), 0);
    peer.send(10, &disposition(Role::Receiver, 0, 0, true));
    assert_eq!(peer.events(), [Event::Link(scene.c, LinkEvent::Outcomes)]);
    assert_eq!(peer.engine.sender(scene.c).unwrap().unsettled().len(), 0);
}

#[test]
fn h18_ends_crossing_on_the_wire() {
    // 2.5.3-01, 2.5.5-05
    for error in [None, Some(problem())] {
        let mut scene = Scene::new(Wire::Octets);
        scene.peer.engine.end(scene.one, error.clone());
        assert_eq!(scene.peer.told().len(), 1);
        let told = scene.peer.events();
        assert!(
            told.iter().all(|event| matches!(event, Event::Link(_, LinkEvent::Detached { .. }))) && told.len() == 3
        );
        // Frames after our own end are discarded, not answered.
        scene.peer.deliver(10, 5, 0, b"in flight");
        scene.peer.deliver(10, 99, 0, b"in flight");
        scene.peer.send(10, &credit(7, 0, 10));
        scene.peer.send(10, &sender("new", 8));
        scene.peer.send(10, &detach(6, true));
        scene.peer.send(10, &disposition(Role::Sender, 5, 3, true));
        scene.peer.send(10, &Flow { echo: true, ..flow() });
        assert_eq!(scene.peer.events(), []);
        assert_eq!(scene.peer.told(), NOTHING);
        scene.session_two_works();
        scene.peer.send(10, &amqp10_codec::End { error });
        assert_eq!(scene.peer.told(), NOTHING, "no second end");
        assert_eq!(scene.peer.events(), [Event::Session(scene.one, SessionEvent::Ended(Ended::Local))]);
        scene.session_two_works();
    }
}

#[test]
fn h18_ends_of_two_engines_crossing() {
    for wire in WIRES {
        let mut pair = Pair::plain();
        pair.wire = wire;
        let (ours, theirs) = pair.session(session_config(), session_config());
        pair.client.end(ours, None);
        pair.server.end(theirs, Some(problem()));
        pair.run();
        assert_eq!(events(&mut pair.client), [Event::Session(ours, SessionEvent::Ended(Ended::Local))]);
        assert_eq!(events(&mut pair.server), [Event::Session(theirs, SessionEvent::Ended(Ended::Local))]);
        pair.session(session_config(), session_config());
    }
}

#[test]
fn h18_an_end_is_answered_at_once() {
    // 2.5.5-06, 2.5.2-05
    for error in [None, Some(problem())] {
        let mut scene = Scene::new(Wire::Octets);
        scene.peer.send(10, &amqp10_codec::End { error: error.clone() });
        assert_eq!(scene.peer.told(), ["0 end"]);
        let below = |link| Event::Link(link, LinkEvent::Detached { closed: false, end: Ended::Below });
        let ended = Event::Session(scene.one, SessionEvent::Ended(Ended::Remote(error)));
        assert_eq!(scene.peer.events(), [below(scene.a), below(scene.b), below(scene.c), ended]);
        scene.session_two_works();
    }
}

#[test]
fn h18_a_begin_right_behind_an_end() {
    // 2.5.2-03, 2.5.2-06
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.octets(&[frame(10, &end()), frame(10, &begin()), frame(10, &sender("new", 5))].concat());
    let told = scene.peer.events();
    let [.., Event::Session(session, SessionEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    scene.peer.engine.accept_begin(session, session_config()).unwrap();
    let told = scene.peer.events();
    let [Event::Session(begun, SessionEvent::Begun), Event::Link(link, LinkEvent::Incoming)] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(begun, session);
    scene.peer.engine.accept_attach(link, receiving("new")).unwrap();
    let told = scene.peer.told();
    assert_eq!(told[..3], ["0 end", "0 begin for 10", "0 attach new handle 0"]);
    assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Attached)]);
    scene.session_two_works();
}

#[test]
fn h18_an_end_before_our_begin_is_answered_with_begin_and_end() {
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.send(12, &begin());
    let told = scene.peer.events();
    let [Event::Session(session, SessionEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    scene.peer.send(12, &sender("new", 5));
    scene.peer.send(12, &end());
    assert_eq!(scene.peer.told(), ["2 begin for 12", "2 end"]);
    let told = scene.peer.events();
    assert_eq!(told, [Event::Session(session, SessionEvent::Ended(Ended::Remote(None)))]);
    assert_eq!(scene.peer.engine.accept_begin(session, session_config()), Err(CommandError::Gone));
    scene.session_two_works();
}

#[test]
fn h18_an_end_before_a_begin_that_cannot_be_sent() {
    // All our channels are in use, so the peer's begin can be neither answered nor refused.
    let mut peer = Script::client(config(), Open { channel_max: amqp10_codec::Channel(0), ..open() });
    let ours = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &answer(0));
    peer.send(11, &begin());
    let told = peer.events();
    let [Event::Session(_, SessionEvent::Begun), Event::Session(theirs, SessionEvent::Incoming)] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(peer.engine.accept_begin(theirs, session_config()), Err(CommandError::NoChannel));
    peer.engine.end(ours, None);
    peer.send(10, &end());
    peer.send(11, &end());
    let ended = |id, end| Event::Session(id, SessionEvent::Ended(end));
    assert_eq!(peer.events(), [ended(ours, Ended::Local), ended(theirs, Ended::Remote(None))]);
}

#[test]
fn a_begin_that_is_refused_not_answered_or_given_up() {
    // 2.5.1-08
    // Refused by the application.
    let mut peer = Script::server(config(), open());
    peer.send(10, &begin());
    let [Event::Session(id, SessionEvent::Incoming)] = peer.events()[..] else { panic!() };
    peer.engine.refuse_begin(id, problem()).unwrap();
    assert_eq!(peer.told(), ["0 begin for 10", "0 end amqp:internal-error"]);
    peer.send(10, &sender("pipelined", 0));
    peer.send(10, &end());
    assert_eq!(peer.events(), [Event::Session(id, SessionEvent::Ended(Ended::Local))]);

    // Not answered in time.
    peer.send(10, &begin());
    peer.send(11, &begin());
    peer.quiet();
    peer.advance(config().answer_time_out);
    assert_eq!(
        peer.told(),
        [
            "0 begin for 10",
            "0 end amqp:resource-limit-exceeded",
            "1 begin for 11",
            "1 end amqp:resource-limit-exceeded"
        ]
    );
    assert_eq!(peer.events(), []);
    peer.send(10, &end());
    assert!(matches!(peer.events()[..], [Event::Session(_, SessionEvent::Ended(Ended::Local))]));

    // Given up by whoever asked for it: no event tells of it, and the late answer is ended.
    let mut peer = Script::client(config(), open());
    let id = peer.engine.begin(session_config()).unwrap();
    peer.engine.abandon_session(id);
    assert_eq!(peer.told(), ["0 begin", "0 end"]);
    peer.send(10, &answer(0));
    peer.send(10, &end());
    assert_eq!((peer.events(), peer.told()), (vec![], vec![]));
    let id = peer.engine.begin(session_config()).unwrap();
    assert_eq!(peer.told(), ["0 begin"]);
    peer.send(10, &answer(0));
    assert_eq!(peer.events(), [Event::Session(id, SessionEvent::Begun)]);
}

#[test]
fn begins_answered_in_another_order() {
    // 2.5.1-01, 2.5.1-02, 2.5.1-04, 2.7.2-03
    let mut peer = Script::client(config(), open());
    let ids = [(); 3].map(|()| peer.engine.begin(session_config()).unwrap());
    for at in [2, 0, 1] {
        peer.send(10 + at, &answer(at));
        assert_eq!(peer.events(), [Event::Session(ids[usize::from(at)], SessionEvent::Begun)]);
    }
    assert_eq!(peer.told(), ["0 begin", "1 begin", "2 begin"]);
}

#[test]
fn handles_that_are_not_attached() {
    // 2.5.4-01, 2.7.4-06, 2.7.5-04, 2.7.7-04, 2.8.17-04
    let unattached = "amqp:session:unattached-handle";
    for handle in [0, 1, 8, HANDLE_MAX, u32::MAX] {
        refused_session(unattached, |scene| scene.peer.deliver(10, handle, 0, b"x"));
        refused_session(unattached, |scene| scene.peer.send(10, &credit(handle, 0, 1)));
        refused_session(unattached, |scene| scene.peer.send(10, &detach(handle, true)));
    }
}

#[test]
fn handles_that_are_in_use_or_above_ours() {
    // 2.7.2-06, 2.7.3-05, 2.8.17-03
    refused_session("amqp:session:handle-in-use", |scene| scene.peer.send(10, &sender("new", 5)));
    refused_session("amqp:session:handle-in-use", |scene| scene.peer.send(10, &sender("a", 5)));
    for handle in [HANDLE_MAX + 1, u32::MAX] {
        refused_connection("amqp:connection:framing-error", |scene| scene.peer.send(10, &sender("new", handle)));
    }
}

#[test]
fn a_coordinator_and_unknown_termini_are_offered_and_can_be_refused_alone() {
    // 4.5.1-03, 3.5-01
    let target = |peer: &mut Script, link| peer.engine.remote_attach(link).unwrap().target.clone().unwrap();
    let unknown = || Described::new(&Symbol::from_static("example:target:list"), &List::new());
    let coordinator = Coordinator { capabilities: [TxnCapability::LOCAL_TRANSACTIONS].into_iter().collect() };
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let attach = |name, handle, target| Attach { target: Some(target), ..sender(name, handle) };
        scene.peer.send(10, &attach("control", 8, coordinator.clone().into()));
        scene.peer.send(10, &attach("other", 9, TargetArchetype::Other(unknown())));
        let source = Some(SourceArchetype::Other(unknown()));
        scene.peer.send(10, &Attach { source, ..receiver("another", 10) });
        let told = scene.peer.events();
        let [
            Event::Link(control, LinkEvent::Incoming),
            Event::Link(other, LinkEvent::Incoming),
            Event::Link(another, LinkEvent::Incoming),
        ] = told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(target(&mut scene.peer, control).as_coordinator(), Some(&coordinator));
        assert_eq!(target(&mut scene.peer, other), TargetArchetype::Other(unknown()));
        for link in [control, other, another] {
            let error = Error::new(ErrorCondition::NOT_IMPLEMENTED, "no such terminus");
            scene.peer.engine.refuse_attach(link, error).unwrap();
        }
        let told = scene.peer.told();
        for (name, line) in ["control", "other", "another"].iter().zip(told.chunks(2)) {
            assert!(line[0].starts_with(&format!("0 attach {name} ")) && line[0].ends_with(" null"), "{told:?}");
            assert!(line[1].ends_with(" closed amqp:not-implemented"), "{told:?}");
        }
        let told = scene.peer.events();
        assert!(told.is_empty(), "{told:?}");
        for handle in [8, 9, 10] {
            scene.peer.send(10, &detach(handle, true));
        }
        assert_eq!(scene.peer.events().len(), 3, "each link is over, once");
        scene.session_one_works();
        scene.session_two_works();
    }
}

#[test]
fn frames_that_no_session_can_bear() {
    // 2.6-01, 2.5.4-02, 2.5.5-07, 2.8.15-06, 2.8.15-07
    refused_session("amqp:not-allowed", |scene| scene.peer.deliver(10, 7, 0, b"from a receiver"));
    refused_session("amqp:invalid-field", |scene| {
        scene.peer.send(10, &Attach { initial_delivery_count: None, ..sender("new", 8) });
    });
    let without_handle = [
        Flow { link_credit: Some(1), ..flow() },
        Flow { delivery_count: Some(SequenceNo(0)), ..flow() },
        Flow { drain: true, ..flow() },
    ];
    for flow in without_handle {
        refused_session("amqp:invalid-field", |scene| scene.peer.send(10, &flow));
    }
}

#[test]
fn a_session_ended_by_the_engine_takes_no_commands() {
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.engine.end(scene.one, None);
    scene.peer.quiet();
    let refused = scene.peer.engine.attach(scene.one, LinkConfig::receiver("x", Source::at("queue")));
    assert_eq!(refused, Err(CommandError::Gone));
    scene.peer.engine.end(scene.one, None);
    scene.peer.engine.abandon_session(scene.one);
    scene.peer.engine.request_flow(scene.one);
    scene.peer.engine.detach(scene.a, true, None);
    assert_eq!(scene.peer.told(), NOTHING);
}

#[test]
fn h18_frames_before_our_begin_wait_for_it() {
    // 2.5.5-03, 2.5.1-03, 2.7.2-04
    for wire in WIRES {
        let mut peer = Script::server(config(), open());
        peer.wire = wire;
        let flow = Flow { next_incoming_id: None, ..credit(5, 0, 3) };
        let frames = [
            frame(10, &begin()),
            frame(10, &sender("gone", 4)),
            frame(10, &detach(4, true)),
            frame(10, &receiver("kept", 5)),
            frame(10, &flow),
        ];
        peer.octets(&frames.concat());
        let told = peer.events();
        let [Event::Session(session, SessionEvent::Incoming)] = told[..] else { panic!("{told:?}") };
        assert_eq!(peer.told(), NOTHING);
        peer.engine.accept_begin(session, session_config()).unwrap();
        let told = peer.events();
        let [
            Event::Session(_, SessionEvent::Begun),
            Event::Link(gone, LinkEvent::Incoming),
            Event::Link(detached, LinkEvent::Detached { closed: true, end: Ended::Remote(None) }),
            Event::Link(kept, LinkEvent::Incoming),
        ] = told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(gone, detached);
        assert_eq!(
            peer.told(),
            ["0 begin for 10", "0 attach gone handle 0 null", "0 detach handle 0 closed amqp:link:detach-forced"]
        );
        peer.engine.accept_attach(kept, sending("kept")).unwrap();
        assert_eq!(peer.engine.sender(kept).unwrap().credit(), 3);
    }
}

#[test]
fn h18_frames_before_our_begin_are_bounded() {
    let mut peer = Script::server(config(), open());
    for channel in 10..12 {
        peer.send(channel, &begin());
        for _ in 0..1_000 {
            peer.send(channel, &sender("link", 5));
        }
    }
    assert_eq!(peer.told(), ["0 close amqp:resource-limit-exceeded"]);
    let violation = amqp10_link::Violation::EarlyFrames;
    let told = peer.events();
    assert_eq!(told.last(), Some(&Event::Closed(amqp10_link::ConnectionEnd::Violation(violation))));
}

#[test]
fn h18_nothing_is_begun_in_a_session_that_the_peer_has_ended() {
    for closes in [false, true] {
        let mut scene = Scene::new(Wire::Whole);
        let peer = &mut scene.peer;
        peer.deliver(10, 5, 0, b"x");
        peer.send(10, &credit(7, 0, 5));
        send(peer, scene.c, 1);
        let mut receiver = peer.engine.receiver(scene.a).unwrap();
        let key = receiver.next_delivery().unwrap().key;
        receiver.settle(key, DeliveryState::Accepted, true).unwrap();
        if closes {
            peer.send(0, &close());
        } else {
            peer.send(10, &end());
        }
        let last = if closes { "0 close" } else { "0 end" };
        assert_eq!(peer.told(), ["0 disposition receiver 0 settled", last]);
    }
}

#[test]
fn a_session_that_lets_the_peer_use_any_handle() {
    let mut peer = Script::client(config(), open());
    let mut config = session_config();
    config.handle_max = Handle(u32::MAX);
    peer.engine.begin(config).unwrap();
    peer.send(10, &answer(0));
    for (name, handle) in [("a", u32::MAX), ("b", 5), ("c", u32::MAX - 1)] {
        peer.send(10, &sender(name, handle));
    }
    let told = peer.events();
    let incoming = |event: &&Event| matches!(event, Event::Link(_, LinkEvent::Incoming));
    assert_eq!(told.iter().filter(incoming).count(), 3);
    peer.send(10, &detach(u32::MAX, true));
    assert_eq!(peer.told()[1], "0 attach a handle 0 null");
    peer.send(10, &detach(u32::MAX, true));
    assert_eq!(peer.told().last().unwrap(), "0 end amqp:session:unattached-handle");
}

#[test]
fn h17_states_told_again_and_again_are_held_once() {
    // 2.7.6-10, 2.6.12-05
    let (mut peer, links, keys) = five_sent();
    for n in 0..1000 {
        let state = Some(DeliveryState::Received(amqp10_codec::Received { section_number: 0, section_offset: n }));
        peer.send(10, &amqp10_codec::Disposition { state, ..disposition(Role::Receiver, 0, 4, false) });
    }
    peer.send(10, &disposition(Role::Receiver, 0, 0, true));
    let mut sender = peer.engine.sender(links[0]).unwrap();
    let first = sender.next_outcome().unwrap();
    assert_eq!((first.key, first.state, first.settled), (keys[0], Some(DeliveryState::Accepted), true));
    let second = sender.next_outcome().unwrap();
    let latest = DeliveryState::Received(amqp10_codec::Received { section_number: 0, section_offset: 999 });
    assert_eq!((second.key, &second.state, second.settled), (keys[2], &Some(latest), false));
    let settled = amqp10_codec::Disposition { state: None, ..disposition(Role::Receiver, 4, 4, true) };
    peer.send(10, &settled);
    let third = peer.engine.sender(links[0]).unwrap().next_outcome().unwrap();
    assert_eq!((third.key, third.settled), (keys[4], true));
    assert_eq!(third.state, second.state, "no state leaves the one before");
    assert_eq!(outcomes(&mut peer, links, keys), [(1, false), (3, false)]);
}

#[test]
fn h16_our_windows_across_the_wrap() {
    // 2.5.6-02, 2.5.6-03, 2.5.6-04, 2.5.6-16
    for wire in WIRES {
        let mut peer = Script::client(config(), open());
        peer.wire = wire;
        let session = peer.engine.begin(session_config()).unwrap();
        peer.send(10, &Begin { next_outgoing_id: TransferNumber(u32::MAX - 2), ..answer(0) });
        let mut config = receiving("in");
        config.credit = amqp10_link::CreditMode::Manual;
        let link = peer.engine.attach(session, config).unwrap();
        peer.send(10, &sender("in", 5));
        peer.engine.receiver(link).unwrap().set_credit(10_000);
        peer.quiet();
        // What the peer knows: the first id that it may not use.
        let mut next = u32::MAX - 2;
        let mut end = next.wrapping_add(WINDOW);
        for n in 0..3 * WINDOW {
            assert!(end.wrapping_sub(next) as i32 > 0, "the window is renewed before it is used up");
            peer.deliver(10, 5, n, b"x");
            next = next.wrapping_add(1);
            for (_, body, _) in peer.frames() {
                let amqp10_codec::Performative::Flow(flow) = body else { panic!("{body:?}") };
                assert_eq!(flow.next_incoming_id, Some(TransferNumber(next)));
                end = next.wrapping_add(flow.incoming_window);
            }
        }
        // One transfer for every id up to the end, and one beyond; the engine is not given a chance to renew its window.
        let many = |count: u32| -> Vec<u8> {
            let last = count - 1;
            let transfer =
                |n| amqp10_codec::Transfer { more: n < last, ..if n == 0 { first(5, 1_000) } else { next_transfer() } };
            (0..count).flat_map(|n| transfer_frame(10, &transfer(n), b"x")).collect()
        };
        peer.octets(&many(end.wrapping_sub(next)));
        assert!(peer.events().iter().all(|event| matches!(event, Event::Link(..))));
        peer.octets(&transfer_frame(10, &first(5, 1_001), b"x"));
        assert_eq!(peer.told().last().unwrap(), "0 end amqp:session:window-violation");
    }
}

fn next_transfer() -> amqp10_codec::Transfer<'static> {
    support::script::next(5)
}

#[test]
fn h16_dispositions_of_our_sender_across_the_wrap() {
    let mut start = session_config();
    start.next_outgoing_id = TransferNumber(u32::MAX - 2);
    let (mut peer, _, link) = sending_session(512, start);
    let granted = Flow { next_incoming_id: Some(TransferNumber(u32::MAX - 2)), ..credit(5, 0, 6) };
    peer.send(10, &granted);
    let keys: Vec<_> = (0..6).map(|_| send(&mut peer, link, 1)).collect();
    peer.quiet();
    peer.send(10, &disposition(Role::Receiver, u32::MAX - 2, 2, false));
    let mut sender = peer.engine.sender(link).unwrap();
    for key in keys {
        let outcome = sender.next_outcome().unwrap();
        assert_eq!((outcome.key, outcome.settled), (key, false));
        sender.settle(key, outcome.state).unwrap();
    }
    assert_eq!(peer.told(), [format!("0 disposition sender {} to 2 settled", u32::MAX - 2)]);
    assert!(peer.engine.sender(link).unwrap().unsettled().is_empty());
}

#[test]
fn h17_ranges_of_a_sender_settle_what_lives_in_them() {
    for (first, last) in [(0, 0x7fff_ffff), (u32::MAX, 0x7fff_fffe), (0x8000_0005, 5), (0, 4)] {
        let mut scene = Scene::new(Wire::Octets);
        let handles = [5, 6, 5, 6, 5];
        (0..5).for_each(|id| scene.peer.deliver(10, handles[id as usize], id, b"x"));
        scene.peer.quiet();
        for _ in 0..1_000 {
            scene.peer.send(10, &disposition(Role::Sender, first, last, true));
        }
        let told = scene.peer.events();
        let settled =
            |event: &Event| matches!(event, Event::Link(_, LinkEvent::Disposition(outcome)) if outcome.settled);
        assert!(told.len() == 5 && told.iter().all(settled), "each told once: {told:?}");
        assert_eq!(scene.peer.told(), [] as [&str; 0]);
        for link in [scene.a, scene.b] {
            let mut receiver = scene.peer.engine.receiver(link).unwrap();
            assert!(receiver.unsettled().is_empty(), "{first} to {last}");
            // What was settled meanwhile is still handed over, and cannot be settled again.
            while let Some(delivery) = receiver.next_delivery() {
                let settled = receiver.settle(delivery.key, DeliveryState::Accepted, true);
                assert_eq!(settled, Err(amqp10_link::SettleError::Unknown));
            }
        }
        scene.session_one_works();
    }
}
