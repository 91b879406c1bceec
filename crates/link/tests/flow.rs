//! Flows: credit and drain at either end of a link, echo, what a sender does with them.

mod support;

use amqp10_codec::{DeliveryState, Flow, Handle, Role, SequenceNo, TransferNumber};
use amqp10_link::{CreditMode, DeliveryKey, DeliveryStart, Event, LinkEvent, LinkId, Replenish, SendError};
use bytes::Bytes;
use support::scene::{CREDIT, Scene, receiving, sending, session_config};
use support::script::*;
use support::{Pair, Script, Wire, events};

const NOTHING: [&str; 0] = [];
const WIRES: [Wire; 2] = [Wire::Whole, Wire::Octets];

fn begin(peer: &mut Script, link: LinkId) -> Result<DeliveryKey, SendError> {
    peer.engine.sender(link).unwrap().begin_delivery(DeliveryStart::default())
}

fn send(peer: &mut Script, link: LinkId) -> DeliveryKey {
    let key = begin(peer, link).unwrap();
    let mut sender = peer.engine.sender(link).unwrap();
    sender.write(key, Bytes::from_static(b"x")).unwrap();
    sender.finish(key).unwrap();
    key
}

fn draining(flow: Flow<'static>) -> Flow<'static> {
    Flow { drain: true, ..flow }
}

/// What link `c` of a scene, which sends, has told.
fn told(scene: &mut Scene) -> Vec<LinkEvent> {
    let (events, c) = (scene.peer.events(), scene.c);
    of_link(events, c)
}

#[test]
fn h20_a_sender_without_credit_starts_nothing() {
    // 2.6.7-05, 2.6.7-06, 2.6.7-07, 2.6.7-21
    let mut scene = Scene::new(Wire::Octets);
    let c = scene.c;
    assert_eq!(begin(&mut scene.peer, c), Err(SendError::NoCredit));
    scene.peer.send(10, &credit(7, 0, 2));
    assert_eq!(told(&mut scene), [LinkEvent::Sendable]);
    send(&mut scene.peer, c);
    send(&mut scene.peer, c);
    assert_eq!(begin(&mut scene.peer, c), Err(SendError::NoCredit));
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1", "0 transfer handle 2 id 1 of 1"]);
    // Credit counts from the delivery-count in the flow.
    scene.peer.send(10, &credit(7, 1, 2));
    assert_eq!(told(&mut scene), [LinkEvent::Sendable]);
    assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 1);
    // No credit in a flow leaves it as it was; no delivery-count stands for the initial one.
    scene.peer.send(10, &Flow { handle: Some(Handle(7)), ..flow() });
    assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 1);
    scene.peer.send(10, &Flow { delivery_count: None, ..credit(7, 0, 7) });
    assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 5);
}

#[test]
fn h20_credit_lowered_below_what_was_sent() {
    // 2.6.7-10
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let c = scene.c;
        scene.peer.send(10, &credit(7, 0, 10));
        for _ in 0..5 {
            send(&mut scene.peer, c);
        }
        scene.peer.quiet();
        for lowered in [0, 2, 5] {
            scene.peer.send(10, &credit(7, 0, lowered));
            assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 0);
            assert_eq!(begin(&mut scene.peer, c), Err(SendError::NoCredit), "no credit of four billion");
        }
        assert_eq!(told(&mut scene), []);
        scene.peer.send(10, &credit(7, 0, 6));
        assert_eq!(told(&mut scene), [LinkEvent::Sendable]);
        assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 1);
    }
}

#[test]
fn h20_credit_lowered_below_what_waits_to_be_sent() {
    // 2.6.7-08
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 10));
    let keys: Vec<_> = (0..5).map(|_| send(&mut scene.peer, c)).collect();
    scene.peer.send(10, &credit(7, 0, 2));
    scene.peer.events();
    assert_eq!(scene.peer.told().len(), 2);
    assert_eq!(begin(&mut scene.peer, c), Err(SendError::NoCredit));
    scene.peer.send(10, &credit(7, 2, 3));
    assert_eq!(scene.peer.told().len(), 3);
    scene.peer.send(10, &disposition(Role::Receiver, 0, 4, true));
    let mut sender = scene.peer.engine.sender(c).unwrap();
    let settled: Vec<_> = std::iter::from_fn(|| sender.next_outcome()).map(|outcome| outcome.key).collect();
    assert_eq!(settled, keys);
}

#[test]
fn h20_drain_that_is_taken_back() {
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &draining(credit(7, 0, 5)));
    scene.peer.send(10, &credit(7, 0, 5));
    scene.peer.quiet();
    let mut sender = scene.peer.engine.sender(c).unwrap();
    assert!(!sender.is_draining());
    sender.drained();
    assert_eq!(sender.credit(), 5);
    assert_eq!(scene.peer.told(), NOTHING);
}

/// A receiver with 5 of credit, granted by hand.
fn five() -> Scene {
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.engine.receiver(scene.a).unwrap().set_credit(5);
    scene.peer.quiet();
    scene
}

/// What the peer says when it has used up credit.
fn used_up(count: u32) -> Flow<'static> {
    draining(credit(5, count, 0))
}

#[test]
fn h20_a_receiver_drains_an_empty_link() {
    // 2.6.7-20
    let mut scene = five();
    let a = scene.a;
    scene.peer.engine.receiver(a).unwrap().drain();
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 5 drain"]);
    assert_eq!(scene.peer.events(), []);
    scene.peer.send(10, &used_up(5));
    assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::Drained)]);
    assert_eq!(scene.peer.engine.receiver(a).unwrap().credit(), 0);
    scene.peer.send(10, &used_up(5));
    assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
    // Credit again after drain.
    scene.peer.engine.receiver(a).unwrap().set_credit(1);
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 5 credit 1"]);
    scene.peer.deliver(10, 5, 0, b"x");
    assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::DeliveryComplete)]);
}

#[test]
fn h20_a_sender_that_gave_up_most_of_all_numbers_counts_new_credit_right() {
    // 2.6.7-06, 2.6.7-07
    const MANY: u32 = 3_000_000_000;
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let c = scene.c;
        scene.peer.send(10, &draining(credit(7, 0, MANY)));
        scene.peer.engine.sender(c).unwrap().drained();
        assert_eq!(scene.peer.told(), [format!("0 flow handle 2 count {MANY} credit 0 drain")]);
        // Credit that crosses that flow: it counts from where the receiver still believes the sender to be.
        scene.peer.send(10, &credit(7, 0, MANY + 2));
        assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 2);
        scene.peer.send(10, &draining(credit(7, 0, u32::MAX)));
        scene.peer.engine.sender(c).unwrap().drained();
        assert_eq!(scene.peer.told(), [format!("0 flow handle 2 count {} credit 0 drain", u32::MAX)]);
        scene.peer.send(10, &credit(7, MANY, 1));
        assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 0);
        // And credit of one that has heard of it.
        scene.peer.send(10, &credit(7, u32::MAX, 1));
        assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 1);
        send(&mut scene.peer, c);
        scene.peer.send(10, &credit(7, u32::MAX, 3));
        assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 2);
    }
}

#[test]
fn h20_a_receiver_drains_more_than_half_of_all_numbers() {
    // 2.6.7-20
    for many in [i32::MAX as u32, 1 << 31, u32::MAX] {
        let mut scene = Scene::new(Wire::Octets);
        let a = scene.a;
        scene.peer.engine.receiver(a).unwrap().set_credit(many);
        scene.peer.quiet();
        scene.peer.deliver(10, 5, 0, b"x");
        scene.peer.engine.receiver(a).unwrap().drain();
        scene.peer.quiet();
        scene.peer.events();
        // More than the sender has been given is none of its business.
        scene.peer.send(10, &used_up(0));
        assert_eq!(scene.peer.events(), [], "{many}");
        scene.peer.send(10, &used_up(many));
        assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::Drained)], "{many}");
        scene.peer.engine.receiver(a).unwrap().set_credit(1);
        assert_eq!(scene.peer.told(), [format!("0 flow handle 0 count {many} credit 1")]);
    }
}

#[test]
fn h20_a_receiver_drains_what_is_in_flight() {
    // 2.6.8-02
    let mut scene = five();
    let a = scene.a;
    scene.peer.engine.receiver(a).unwrap().drain();
    scene.peer.quiet();
    scene.peer.deliver(10, 5, 0, b"crossed the drain");
    scene.peer.deliver(10, 5, 1, b"crossed the drain");
    assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::DeliveryComplete)]);
    scene.peer.send(10, &used_up(5));
    assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::Drained)]);
    let mut receiver = scene.peer.engine.receiver(a).unwrap();
    assert_eq!(std::iter::from_fn(|| receiver.next_delivery()).count(), 2);
}

#[test]
fn h20_a_flow_that_crosses_the_drain_does_not_end_it() {
    let mut scene = five();
    let a = scene.a;
    let mut receiver = scene.peer.engine.receiver(a).unwrap();
    receiver.set_credit(7);
    receiver.drain();
    scene.peer.send(10, &credit(5, 0, 5));
    assert_eq!(scene.peer.events(), []);
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 7 drain"]);
    scene.peer.send(10, &credit(5, 0, 5));
    assert_eq!(scene.peer.events(), []);
    scene.peer.send(10, &used_up(7));
    assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::Drained)]);
}

#[test]
fn h20_two_engines_drain_each_other() {
    // 2.6.7-18
    for wire in WIRES {
        for queued in [0, 3, 10, 12] {
            let mut pair = Pair::plain();
            pair.wire = wire;
            let (session, _) = pair.session(session_config(), session_config());
            let mut manual = receiving("link");
            manual.credit = CreditMode::Manual;
            let (ours, theirs) = pair.link(session, manual, sending(""));
            pair.client.receiver(ours).unwrap().set_credit(10);
            pair.run();
            events(&mut pair.client);
            events(&mut pair.server);
            let mut sender = pair.server.sender(theirs).unwrap();
            for _ in 0..queued.min(10) {
                let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
                sender.write(key, Bytes::from_static(b"x")).unwrap();
                sender.finish(key).unwrap();
            }
            pair.client.receiver(ours).unwrap().drain();
            pair.run();
            if events(&mut pair.server).contains(&Event::Link(theirs, LinkEvent::Drain)) {
                pair.server.sender(theirs).unwrap().drained();
            }
            pair.run();
            let told = events(&mut pair.client);
            assert_eq!(told.iter().filter(|event| **event == Event::Link(ours, LinkEvent::Drained)).count(), 1);
            let mut receiver = pair.client.receiver(ours).unwrap();
            assert_eq!(std::iter::from_fn(|| receiver.next_delivery()).count(), queued.min(10));
            assert_eq!((receiver.credit(), pair.server.sender(theirs).unwrap().credit()), (0, 0));
            pair.client.receiver(ours).unwrap().set_credit(2);
            pair.run();
            assert_eq!(pair.server.sender(theirs).unwrap().credit(), 2);
        }
    }
}

#[test]
fn h15_echo_in_a_flood_is_answered_once() {
    // 2.7.4-18, 2.7.4-19, 2.7.4-20, 2.7.4-21
    let mut scene = Scene::new(Wire::Whole);
    let mut flood = Vec::new();
    for n in 0..3_000 {
        let flow = match n % 3 {
            0 => flow(),
            1 => Flow { delivery_count: Some(SequenceNo(0)), ..credit(5, 0, 0) },
            _ => credit(7, 0, 0),
        };
        flood.extend(frame(10, &Flow { echo: true, ..flow }));
    }
    scene.peer.octets(&flood);
    let told = scene.peer.told();
    // One for each link, which answers for the session too, and never an echo of an echo.
    assert_eq!(told, ["0 flow handle 0 count 0 credit 10", "0 flow handle 2 count 0 credit 0"]);
    scene.peer.send(10, &Flow { echo: true, ..flow() });
    assert_eq!(scene.peer.told(), ["0 flow"]);
    scene.session_one_works();
}

#[test]
fn h16_credit_across_the_wrap_of_delivery_count() {
    for granted in [1, 2, 3, 4, 100] {
        let mut scene = Scene::new(Wire::Octets);
        let mut config = sending("new");
        config.initial_delivery_count = SequenceNo(u32::MAX - 2);
        let link = scene.peer.engine.attach(scene.one, config).unwrap();
        scene.peer.send(10, &receiver("new", 8));
        scene.peer.quiet();
        let mut count = u32::MAX - 2;
        let mut window = 0_u32;
        let mut left = 300;
        while left > 0 {
            scene.peer.send(10, &Flow { next_incoming_id: Some(TransferNumber(window)), ..credit(8, count, granted) });
            assert_eq!(scene.peer.engine.sender(link).unwrap().credit(), granted);
            let sent = granted.min(left);
            for _ in 0..sent {
                send(&mut scene.peer, link);
            }
            assert_eq!(scene.peer.told().len(), sent as usize);
            count = count.wrapping_add(sent);
            window += sent;
            left -= sent;
        }
        scene.peer.send(10, &draining(Flow { next_incoming_id: Some(TransferNumber(window)), ..credit(8, count, 5) }));
        scene.peer.engine.sender(link).unwrap().drained();
        assert_eq!(scene.peer.told(), [format!("0 flow handle 3 count {} credit 0 drain", count.wrapping_add(5))]);
    }
}

#[test]
fn a_delivery_that_is_aborted_half_way() {
    // 2.6.14-04, 2.7.5-21, 2.7.5-38
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    let key = begin(&mut scene.peer, c).unwrap();
    scene.peer.engine.sender(c).unwrap().write(key, Bytes::from_static(b"half")).unwrap();
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 more of 4"]);
    let mut sender = scene.peer.engine.sender(c).unwrap();
    sender.write(key, Bytes::from_static(b"never sent")).unwrap();
    sender.abort(key).unwrap();
    assert_eq!(sender.write(key, Bytes::new()), Err(SendError::Unknown));
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 aborted of 0"]);
    let mut sender = scene.peer.engine.sender(c).unwrap();
    assert!(sender.unsettled().is_empty());
    assert_eq!(sender.settle(key, None), Err(amqp10_link::SettleError::Unknown));
    scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
    assert!(scene.peer.engine.sender(c).unwrap().next_outcome().is_none());
}

#[test]
fn an_outcome_that_the_sender_settles() {
    // 2.6.12-07
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    let keys = [(); 3].map(|()| send(&mut scene.peer, c));
    scene.peer.quiet();
    scene.peer.send(10, &disposition(Role::Receiver, 0, 2, false));
    let mut sender = scene.peer.engine.sender(c).unwrap();
    for key in keys {
        let outcome = sender.next_outcome().unwrap();
        assert_eq!((outcome.key, outcome.settled), (key, false));
        sender.settle(key, Some(DeliveryState::Accepted)).unwrap();
        assert_eq!(sender.settle(key, None), Err(amqp10_link::SettleError::Unknown));
    }
    assert!(sender.unsettled().is_empty());
    assert_eq!(scene.peer.told(), ["0 disposition sender 0 to 2 settled"]);
    scene.peer.events();
    scene.peer.send(10, &disposition(Role::Receiver, 0, 2, true));
    assert_eq!(scene.peer.events(), []);
}

#[test]
fn h23_a_credit_mode_change_takes_effect() {
    let mut scene = Scene::new(Wire::Whole);
    let a = scene.a;
    let mode = |window| CreditMode::Automatic { window, replenish: Replenish::Taken };
    scene.peer.engine.receiver(a).unwrap().set_credit_mode(mode(25));
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 25"]);
    scene.peer.engine.receiver(a).unwrap().set_credit_mode(CreditMode::Manual);
    scene.peer.engine.receiver(a).unwrap().add_credit(5);
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 30"]);
}

#[test]
fn h23_aborted_deliveries_replenish_credit_at_once() {
    for replenish in [Replenish::Taken, Replenish::Settled] {
        let mut scene = Scene::new(Wire::Whole);
        scene.peer.engine.receiver(scene.a).unwrap().set_credit_mode(CreditMode::Automatic { window: 30, replenish });
        assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 30"]);
        for id in 0..15 {
            assert_eq!(scene.peer.told(), NOTHING, "{id} aborted");
            scene.peer.transfer(10, &amqp10_codec::Transfer { more: true, ..first(5, id) }, b"x");
            scene.peer.transfer(10, &amqp10_codec::Transfer { aborted: true, ..next(5) }, b"");
        }
        assert_eq!(scene.peer.told(), ["0 flow handle 0 count 15 credit 30"], "half of the window has come back");
    }
}

#[test]
fn a_delivery_behind_one_that_was_given_up() {
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    let given_up = begin(&mut scene.peer, c).unwrap();
    send(&mut scene.peer, c);
    assert_eq!(scene.peer.told(), NOTHING, "the first has not been written yet");
    scene.peer.engine.sender(c).unwrap().abort(given_up).unwrap();
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1"]);
    assert_eq!(scene.peer.engine.sender(c).unwrap().credit(), 4);
}

#[test]
fn h20_credit_granted_before_our_attach() {
    // 2.6.7-23
    for wire in WIRES {
        for (flows, expected) in [
            (vec![Flow { delivery_count: None, ..credit(8, 0, 3) }], vec![LinkEvent::Attached, LinkEvent::Sendable]),
            (vec![credit(8, 77, 3), credit(8, 77, 2)], vec![LinkEvent::Attached, LinkEvent::Sendable]),
            (vec![credit(8, 0, 3), credit(8, 0, 0)], vec![LinkEvent::Attached]),
            (vec![draining(credit(8, 0, 3))], vec![LinkEvent::Attached, LinkEvent::Sendable, LinkEvent::Drain]),
        ] {
            let mut scene = Scene::new(wire);
            let granted = flows.last().unwrap().link_credit.unwrap();
            let mut octets = frame(10, &receiver("new", 8));
            for flow in flows {
                octets.extend(frame(10, &flow));
            }
            scene.peer.octets(&octets);
            let told = scene.peer.events();
            let [Event::Link(link, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
            let mut config = sending("new");
            config.initial_delivery_count = SequenceNo(1_000);
            scene.peer.engine.accept_attach(link, config).unwrap();
            assert_eq!(of_link(scene.peer.events(), link), expected);
            assert_eq!(scene.peer.engine.sender(link).unwrap().credit(), granted);
            for _ in 0..granted {
                send(&mut scene.peer, link);
            }
            assert_eq!(begin(&mut scene.peer, link), Err(SendError::NoCredit));
            let told = scene.peer.told();
            assert_eq!(told.iter().filter(|frame| frame.contains("transfer")).count(), granted as usize);
        }
    }
}

#[test]
fn h20_echo_asked_for_before_our_attach() {
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.octets(&[frame(10, &receiver("new", 8)), frame(10, &Flow { echo: true, ..credit(8, 0, 3) })].concat());
    let told = scene.peer.events();
    let [Event::Link(link, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    scene.peer.frames();
    scene.peer.engine.accept_attach(link, sending("new")).unwrap();
    assert_eq!(scene.peer.told(), ["0 attach new handle 3", "0 flow handle 3 count 0 credit 3"]);
}

#[test]
fn h20_drain_on_an_empty_link() {
    // 2.6.7-16, 2.6.7-17, 2.7.4-12, 2.7.4-17
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let c = scene.c;
        scene.peer.send(10, &draining(credit(7, 0, 5)));
        assert_eq!(told(&mut scene), [LinkEvent::Sendable, LinkEvent::Drain]);
        assert_eq!(scene.peer.told(), NOTHING);
        let mut sender = scene.peer.engine.sender(c).unwrap();
        assert!(sender.is_draining());
        sender.drained();
        assert_eq!(scene.peer.told(), ["0 flow handle 2 count 5 credit 0 drain"]);
        let mut sender = scene.peer.engine.sender(c).unwrap();
        assert!(!sender.is_draining());
        sender.drained();
        assert_eq!(scene.peer.told(), NOTHING);
        assert_eq!(begin(&mut scene.peer, c), Err(SendError::NoCredit), "spent, not returned");

        // Credit again after drain.
        scene.peer.send(10, &credit(7, 5, 1));
        assert_eq!(told(&mut scene), [LinkEvent::Sendable]);
        send(&mut scene.peer, c);
        assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1"]);
        // And drain again, of nothing: an answer all the same.
        scene.peer.send(10, &draining(credit(7, 6, 0)));
        assert_eq!(told(&mut scene), []);
        assert_eq!(scene.peer.told(), ["0 flow handle 2 count 6 credit 0 drain"]);
    }
}

#[test]
fn h20_drain_that_messages_use_up() {
    // 2.6.7-19
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &draining(credit(7, 0, 2)));
    scene.peer.events();
    // The application never says that there is nothing more, because there is.
    send(&mut scene.peer, c);
    let last = begin(&mut scene.peer, c).unwrap();
    scene.peer.engine.sender(c).unwrap().write(last, Bytes::from_static(b"a")).unwrap();
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1", "0 transfer handle 2 id 1 more of 1"]);
    scene.peer.engine.sender(c).unwrap().finish(last).unwrap();
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 of 0", "0 flow handle 2 count 2 credit 0 drain"]);
    assert!(!scene.peer.engine.sender(c).unwrap().is_draining());
}

#[test]
fn h20_drain_with_messages_in_flight() {
    for drained_before in [true, false] {
        let mut scene = Scene::new(Wire::Whole);
        let c = scene.c;
        scene.peer.send(10, &Flow { incoming_window: 0, ..credit(7, 0, 5) });
        for _ in 0..2 {
            send(&mut scene.peer, c);
        }
        scene.peer.quiet();
        scene.peer.send(10, &Flow { incoming_window: 0, ..draining(credit(7, 0, 5)) });
        assert_eq!(told(&mut scene), [LinkEvent::Drain]);
        if drained_before {
            scene.peer.engine.sender(c).unwrap().drained();
            assert_eq!(scene.peer.told(), NOTHING, "what was begun goes first");
        }
        // A repeated request is the same request.
        scene.peer.send(10, &Flow { incoming_window: 2, ..draining(credit(7, 0, 5)) });
        assert_eq!(told(&mut scene), []);
        let mut frames = scene.peer.told();
        if !drained_before {
            scene.peer.engine.sender(c).unwrap().drained();
            frames.extend(scene.peer.told());
        }
        let transfer = |id| format!("0 transfer handle 2 id {id} of 1");
        assert_eq!(frames, [transfer(0), transfer(1), "0 flow handle 2 count 5 credit 0 drain".into()]);
    }
}

#[test]
fn h20_a_drain_that_deliveries_use_up_needs_no_flow() {
    for aborted in [false, true] {
        let mut scene = five();
        let a = scene.a;
        scene.peer.engine.receiver(a).unwrap().drain();
        scene.peer.quiet();
        for id in 0..4 {
            scene.peer.deliver(10, 5, id, b"x");
        }
        scene.peer.transfer(10, &amqp10_codec::Transfer { more: true, ..first(5, 4) }, b"x");
        assert!(!scene.peer.events().contains(&Event::Link(a, LinkEvent::Drained)), "it is still arriving");
        scene.peer.transfer(10, &amqp10_codec::Transfer { aborted, ..next(5) }, b"x");
        assert_eq!(scene.peer.events().last(), Some(&Event::Link(a, LinkEvent::Drained)));
        scene.peer.send(10, &used_up(5));
        assert_eq!(scene.peer.events(), []);
    }
}

#[test]
fn h20_a_drain_without_credit_is_answered_too() {
    let mut scene = five();
    let a = scene.a;
    scene.peer.engine.receiver(a).unwrap().set_credit(0);
    scene.peer.engine.receiver(a).unwrap().drain();
    // There is nothing that the peer would have to tell by itself, so it is asked.
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 0 drain echo"]);
    scene.peer.send(10, &used_up(0));
    assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::Drained)]);
}

#[test]
fn h20_automatic_credit_comes_back_after_drain() {
    let mut scene = Scene::new(Wire::Whole);
    let a = scene.a;
    scene.peer.engine.receiver(a).unwrap().drain();
    assert_eq!(scene.peer.told(), [format!("0 flow handle 0 count 0 credit {CREDIT} drain")]);
    for id in 0..CREDIT {
        scene.peer.deliver(10, 5, id, b"x");
    }
    assert_eq!(scene.peer.events().last(), Some(&Event::Link(a, LinkEvent::Drained)));
    assert_eq!(scene.peer.told(), NOTHING, "all that is granted is held");
    let mut receiver = scene.peer.engine.receiver(a).unwrap();
    assert_eq!(std::iter::from_fn(|| receiver.next_delivery()).count(), CREDIT as usize);
    assert_eq!(scene.peer.told().last().unwrap(), "0 flow handle 0 count 10 credit 10");
}

#[test]
fn h20_a_sender_that_gives_credit_back_by_itself() {
    // 2.6.7-25, 2.7.4-15
    let mut scene = Scene::new(Wire::Whole);
    let a = scene.a;
    scene.peer.send(10, &credit(5, 4, 6));
    assert_eq!(scene.peer.engine.receiver(a).unwrap().credit(), CREDIT - 4);
    assert_eq!(scene.peer.told(), NOTHING);
    scene.peer.send(10, &credit(5, 10, 0));
    // Nothing is left, so there is new credit, counted from where the sender is.
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 10 credit 10"]);
    scene.peer.send(10, &credit(5, 3, 0));
    assert_eq!(scene.peer.events(), []);
    scene.peer.deliver(10, 5, 0, b"x");
    assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::DeliveryComplete)]);
    assert_eq!(scene.peer.engine.receiver(a).unwrap().credit(), 9, "a count that went back changes nothing");
    // A sender's credit grants nothing.
    scene.peer.send(10, &credit(5, 11, 1_000));
    assert_eq!(scene.peer.engine.receiver(a).unwrap().credit(), 9);
}

#[test]
fn h15_empty_frames_in_a_flood() {
    // 2.4.5-03, 2.4.5-10
    let mut scene = Scene::new(Wire::Whole);
    let empty = [0, 0, 0, 8, 2, 0, 0, 10].repeat(1_000);
    for _ in 0..100 {
        scene.peer.octets(&empty);
        assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
    }
    scene.session_one_works();
}

/// A sender of the peer, its delivery-count shortly before the wrap, on which the engine grants by hand.
fn counting_from(count: u32) -> (Scene, LinkId) {
    let mut scene = Scene::new(Wire::Octets);
    let mut manual = receiving("new");
    manual.credit = CreditMode::Manual;
    let link = scene.peer.engine.attach(scene.one, manual).unwrap();
    let attach = amqp10_codec::Attach { initial_delivery_count: Some(SequenceNo(count)), ..sender("new", 8) };
    scene.peer.send(10, &attach);
    scene.peer.quiet();
    (scene, link)
}

#[test]
fn h16_credit_of_a_receiver_across_the_wrap_of_delivery_count() {
    // 2.6.7-02, 2.6.7-04, 2.7.4-13
    for granted in [1, 2, 3, 4, 10] {
        let (mut scene, link) = counting_from(u32::MAX - 2);
        let mut count = u32::MAX - 2;
        for _ in 0..10 {
            scene.peer.engine.receiver(link).unwrap().set_credit(granted);
            assert_eq!(scene.peer.told(), [format!("0 flow handle 3 count {count} credit {granted}")]);
            for _ in 0..granted {
                scene.peer.deliver(10, 8, count, b"x");
                count = count.wrapping_add(1);
            }
            let mut receiver = scene.peer.engine.receiver(link).unwrap();
            assert_eq!(receiver.credit(), 0);
            assert_eq!(std::iter::from_fn(|| receiver.next_delivery()).count(), granted as usize);
        }
        scene.peer.quiet();
        scene.peer.deliver(10, 8, count, b"x");
        assert_eq!(scene.peer.told(), ["0 detach handle 3 closed amqp:link:transfer-limit-exceeded"]);
    }
}

#[test]
fn h16_drain_of_a_receiver_across_the_wrap_of_delivery_count() {
    for used in [0, 1, 2, 3, 5] {
        let (mut scene, link) = counting_from(u32::MAX - 2);
        let mut receiver = scene.peer.engine.receiver(link).unwrap();
        receiver.set_credit(5);
        receiver.drain();
        assert_eq!(scene.peer.told(), [format!("0 flow handle 3 count {} credit 5 drain", u32::MAX - 2)]);
        (0..used).for_each(|n| scene.peer.deliver(10, 8, n, b"x"));
        if used < 5 {
            scene.peer.send(10, &draining(credit(8, 2, 0)));
        }
        let told = of_link(scene.peer.events(), link);
        assert_eq!(told.iter().filter(|event| **event == LinkEvent::Drained).count(), 1, "{used}: {told:?}");
        let mut receiver = scene.peer.engine.receiver(link).unwrap();
        assert_eq!(receiver.credit(), 0);
        receiver.set_credit(1);
        assert_eq!(scene.peer.told(), ["0 flow handle 3 count 2 credit 1"]);
    }
}

#[test]
fn h16_credit_of_four_billion_at_the_wrap_of_delivery_count() {
    let mut scene = Scene::new(Wire::Whole);
    let mut config = sending("new");
    config.initial_delivery_count = SequenceNo(u32::MAX - 2);
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    scene.peer.send(10, &receiver("new", 8));
    scene.peer.send(10, &credit(8, u32::MAX - 2, u32::MAX));
    scene.peer.quiet();
    for sent in 1..=6 {
        send(&mut scene.peer, link);
        assert_eq!(scene.peer.told().len(), 1);
        assert_eq!(scene.peer.engine.sender(link).unwrap().credit(), u32::MAX - sent);
        // Told again with the count of before, it is the same credit.
        scene.peer.send(10, &credit(8, u32::MAX - 2, u32::MAX));
        assert_eq!(scene.peer.engine.sender(link).unwrap().credit(), u32::MAX - sent);
    }
}

#[test]
fn h23_a_sender_keeps_nothing_after_settlement() {
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let c = scene.c;
        for id in 0..500 {
            let seen = Flow { next_incoming_id: Some(TransferNumber(id)), ..credit(7, id, 1) };
            scene.peer.send(10, &seen);
            let mut sender = scene.peer.engine.sender(c).unwrap();
            let settled = id % 4 == 0;
            let key = sender.begin_delivery(DeliveryStart { settled, ..DeliveryStart::default() }).unwrap();
            sender.finish(key).unwrap();
            scene.peer.frames();
            match id % 4 {
                // Sent settled.
                0 => {}
                // Settled by the receiver.
                1 => scene.peer.send(10, &disposition(Role::Receiver, id, id, true)),
                // As where the receiver settles second: an outcome, which we settle, which the receiver settles too.
                2 => {
                    scene.peer.send(10, &disposition(Role::Receiver, id, id, false));
                    let mut sender = scene.peer.engine.sender(c).unwrap();
                    assert_eq!(sender.unsettled().len(), 1);
                    sender.settle(key, Some(DeliveryState::Accepted)).unwrap();
                    assert_eq!(scene.peer.told(), [format!("0 disposition sender {id} settled")]);
                    scene.peer.send(10, &disposition(Role::Receiver, id, id, true));
                }
                // Settled by both at once.
                _ => {
                    scene.peer.engine.sender(c).unwrap().settle(key, None).unwrap();
                    scene.peer.send(10, &disposition(Role::Receiver, id, id, true));
                }
            }
            let mut sender = scene.peer.engine.sender(c).unwrap();
            assert!(sender.unsettled().is_empty(), "{id}");
            let outcomes = std::iter::from_fn(|| sender.next_outcome()).count();
            assert_eq!(outcomes, usize::from(id % 4 != 3), "one outcome of each that we did not settle ourselves");
            scene.peer.quiet();
        }
    }
}

#[test]
fn h23_a_sender_keeps_nothing_after_detach() {
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    let keys = [(); 5].map(|()| send(&mut scene.peer, c));
    scene.peer.quiet();
    scene.peer.send(10, &detach(7, true));
    scene.peer.quiet();
    assert_eq!(scene.peer.engine.take_terminus(c).unwrap().unsettled.len(), 5);
    assert!(scene.peer.engine.sender(c).is_none());
    let again = scene.peer.engine.attach(scene.one, sending("c")).unwrap();
    scene.peer.send(10, &receiver("c", 7));
    scene.peer.send(10, &disposition(Role::Receiver, 0, 4, true));
    let mut sender = scene.peer.engine.sender(again).unwrap();
    assert!(sender.unsettled().is_empty() && sender.next_outcome().is_none());
    assert_eq!(sender.settle(keys[0], None), Err(amqp10_link::SettleError::Unknown));
    assert!(of_link(scene.peer.events(), again).iter().all(|event| *event == LinkEvent::Attached));
}
