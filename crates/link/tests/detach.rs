//! How links begin and end: answers, refusals, crossings, thefts, numbers that are used again.

mod support;

use amqp10_codec::{Attach, Detach, Error, ErrorCondition, Flow, Role, Transfer};
use amqp10_link::{CommandError, DeliveryStart, Ended, Event, LinkEvent, LinkId, SendError, SessionEvent, SettleError};
use bytes::Bytes;
use support::scene::{Scene, config, receiving, sending, session_config};
use support::script::*;
use support::{Pair, Script, Wire, events};

const NOTHING: [&str; 0] = [];
const WIRES: [Wire; 2] = [Wire::Whole, Wire::Octets];

fn detached(link: LinkId, closed: bool, end: Ended) -> Event {
    Event::Link(link, LinkEvent::Detached { closed, end })
}

/// A peer's attach without its own terminus: the first half of a refusal.
fn null(attach: Attach<'static>) -> Attach<'static> {
    match attach.role {
        Role::Sender => Attach { source: None, ..attach },
        Role::Receiver => Attach { target: None, ..attach },
    }
}

fn not_found() -> Error<'static> {
    Error::new(ErrorCondition::NOT_FOUND, "no such node")
}

#[test]
fn h18_detaches_crossing_on_the_wire() {
    // 2.6.6-05, 2.6.6-06
    // A closing detach may be answered by a non-closing one, and the other way round.
    for ours in [true, false] {
        for theirs in [true, false] {
            for error in [None, Some(not_found())] {
                let mut scene = Scene::new(Wire::Octets);
                let a = scene.a;
                scene.peer.engine.detach(a, ours, error.clone());
                assert_eq!(scene.peer.told().len(), 1);
                let closes_anew = theirs && !ours && error.is_none();
                scene.peer.send(10, &Detach { error, ..detach(5, theirs) });
                if closes_anew {
                    // 2.6.6-04, 2.6.6-05
                    assert_eq!(scene.peer.told(), ["0 attach a handle 0", "0 detach handle 0 closed"]);
                    scene.peer.send(10, &sender("a", 5));
                    scene.peer.send(10, &detach(5, true));
                }
                // 2.6.6-06
                assert_eq!(scene.peer.told(), NOTHING, "no second detach");
                assert_eq!(scene.peer.events(), [detached(a, theirs, Ended::Local)]);
                assert!(scene.peer.engine.take_terminus(a).is_some());
                scene.session_one_works();
                // Handles and name are free.
                let again = scene.peer.engine.attach(scene.one, receiving("a")).unwrap();
                assert_eq!(scene.peer.told(), ["0 attach a handle 0"]);
                scene.peer.send(10, &sender("a", 5));
                assert_eq!(scene.peer.events(), [Event::Link(again, LinkEvent::Attached)]);
            }
        }
    }
}

#[test]
fn h18_detaches_of_two_engines_crossing() {
    for wire in WIRES {
        let mut pair = Pair::plain();
        pair.wire = wire;
        let (session, _) = pair.session(session_config(), session_config());
        let (ours, theirs) = pair.link(session, receiving("link"), sending(""));
        events(&mut pair.client);
        events(&mut pair.server);
        pair.client.detach(ours, true, None);
        pair.server.detach(theirs, true, None);
        pair.run();
        assert_eq!(events(&mut pair.client), [detached(ours, true, Ended::Local)]);
        assert_eq!(events(&mut pair.server), [detached(theirs, true, Ended::Local)]);
    }
}

#[test]
fn h18_frames_that_crossed_our_detach_are_discarded_but_counted() {
    // 2.6.4-04, 2.7.4-22
    for closed in [true, false] {
        let mut scene = Scene::new(Wire::Octets);
        let (a, c) = (scene.a, scene.c);
        scene.peer.send(10, &credit(7, 0, 5));
        scene.peer.engine.detach(a, closed, None);
        scene.peer.engine.detach(c, closed, None);
        scene.peer.quiet();
        // Nothing of this is errant, whatever it says.
        scene.peer.deliver(10, 5, 0, b"x");
        scene.peer.transfer(10, &Transfer { more: true, ..first(5, 1) }, b"x");
        scene.peer.transfer(10, &Transfer { delivery_id: None, delivery_tag: None, ..first(5, 2) }, b"x");
        scene.peer.send(10, &Flow { echo: false, ..credit(5, 7, 7) });
        scene.peer.send(10, &Flow { drain: true, ..credit(7, 0, 50) });
        assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
        scene.peer.engine.request_flow(scene.one);
        let frames = scene.peer.frames();
        let [(0, amqp10_codec::Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
        // Three transfers, as far as the peer's flows did not say otherwise since.
        assert_eq!(flow.next_incoming_id.unwrap().0, 0);
        scene.peer.deliver(10, 5, 3, b"x");
        scene.peer.engine.request_flow(scene.one);
        let frames = scene.peer.frames();
        let [(0, amqp10_codec::Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(flow.next_incoming_id.unwrap().0, 1);

        scene.peer.send(10, &detach(5, closed));
        scene.peer.send(10, &detach(7, closed));
        assert_eq!(scene.peer.events(), [detached(a, closed, Ended::Local), detached(c, closed, Ended::Local)]);
        scene.session_one_works();
        // Now nothing can be on its way any more.
        scene.peer.deliver(10, 5, 2_000_000, b"x");
        assert_eq!(scene.peer.told().last().unwrap(), "0 end amqp:session:unattached-handle");
    }
}

#[test]
fn h18_transfers_that_crossed_our_detach_use_up_the_window() {
    // 2.5.6-20
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.engine.detach(scene.a, true, None);
    scene.peer.quiet();
    for id in 0..=support::scene::WINDOW {
        assert_eq!(scene.peer.events(), []);
        scene.peer.deliver(10, 5, id, b"x");
    }
    assert_eq!(scene.peer.told().last().unwrap(), "0 end amqp:session:window-violation");
}

#[test]
fn h18_dispositions_that_crossed_our_detach_count() {
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    let mut end = scene.peer.engine.sender(c).unwrap();
    let key = end.begin_delivery(DeliveryStart::default()).unwrap();
    end.finish(key).unwrap();
    scene.peer.engine.detach(c, false, None);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 0", "0 detach handle 2"]);
    scene.peer.events();
    scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
    assert_eq!(scene.peer.events(), [Event::Link(c, LinkEvent::Outcomes)]);
    scene.peer.send(10, &detach(7, false));
    assert_eq!(scene.peer.events(), [detached(c, false, Ended::Local)]);
    assert_eq!(scene.peer.engine.sender(c).unwrap().next_outcome().unwrap().key, key);
    assert!(scene.peer.engine.take_terminus(c).unwrap().unsettled.is_empty());
}

#[test]
fn h18_a_detach_is_answered_even_if_the_application_is_idle() {
    // 2.6.6-02
    for closed in [true, false] {
        for error in [None, Some(not_found())] {
            let mut scene = Scene::new(Wire::Octets);
            let (a, c) = (scene.a, scene.c);
            // Nobody takes deliveries or events.
            scene.peer.deliver(10, 5, 0, b"x");
            scene.peer.transfer(10, &Transfer { more: true, ..first(5, 1) }, b"never finished");
            scene.peer.send(10, &Detach { error: error.clone(), ..detach(5, closed) });
            scene.peer.send(10, &Detach { error: error.clone(), ..detach(7, closed) });
            let how = if closed { " closed" } else { "" };
            let told = scene.peer.told();
            assert_eq!(told[told.len() - 2..], [format!("0 detach handle 0{how}"), format!("0 detach handle 2{how}")]);
            let told = scene.peer.events();
            let ends = [detached(a, closed, Ended::Remote(error.clone())), detached(c, closed, Ended::Remote(error))];
            assert_eq!(told[told.len() - 2..], ends);
            let mut receiver = scene.peer.engine.receiver(a).unwrap();
            assert!(receiver.next_delivery().is_some(), "what came can be taken until the terminus is");
            assert!(receiver.next_delivery().is_none(), "half of one is none");
            assert_eq!(
                scene.peer.engine.sender(c).unwrap().begin_delivery(DeliveryStart::default()),
                Err(SendError::Detached)
            );
            scene.session_one_works();
        }
    }
}

#[test]
fn h18_a_detach_is_answered_even_if_the_handle_of_the_link_is_gone() {
    // Given up while it was attached: closed, and no event.
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.engine.abandon_link(scene.a);
    assert_eq!(scene.peer.told(), ["0 detach handle 0 closed"]);
    scene.peer.deliver(10, 5, 0, b"in flight");
    scene.peer.send(10, &detach(5, true));
    assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
    assert!(scene.peer.engine.receiver(scene.a).is_none());
    scene.session_one_works();

    // Given up before the peer answered: the late answer is taken, and nothing told.
    for refused in [false, true] {
        let link = scene.peer.engine.attach(scene.one, receiving("late")).unwrap();
        scene.peer.engine.abandon_link(link);
        assert_eq!(scene.peer.told(), ["0 attach late handle 0", "0 detach handle 0 closed"]);
        let answer = sender("late", 5);
        scene.peer.send(10, &if refused { null(answer) } else { answer });
        scene.peer.send(10, &detach(5, true));
        assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
        scene.session_one_works();
    }

    // Given up when it was over already.
    scene.peer.send(10, &detach(6, true));
    scene.peer.quiet();
    scene.peer.engine.abandon_link(scene.b);
    assert!(scene.peer.engine.take_terminus(scene.b).is_none());
    assert_eq!(scene.peer.told(), NOTHING);
}

#[test]
fn h18_a_detach_before_our_attach_is_answered_with_attach_and_detach() {
    for (attach, name) in [(sender("in", 8), "in"), (receiver("out", 8), "out")] {
        for closed in [true, false] {
            let mut scene = Scene::new(Wire::Octets);
            scene.peer.send(10, &attach);
            scene.peer.send(10, &detach(8, closed));
            let told = scene.peer.events();
            let [Event::Link(link, LinkEvent::Incoming), ref end] = told[..] else { panic!("{told:?}") };
            assert_eq!(*end, detached(link, closed, Ended::Remote(None)));
            assert_eq!(
                scene.peer.told(),
                [format!("0 attach {name} handle 3 null"), "0 detach handle 3 closed amqp:link:detach-forced".into()]
            );
            let refused = scene.peer.engine.accept_attach(link, receiving("in"));
            assert_eq!(refused, Err(CommandError::NotWaiting));
            scene.session_one_works();
            scene.peer.send(10, &attach);
            assert!(matches!(scene.peer.events()[..], [Event::Link(_, LinkEvent::Incoming)]));
        }
    }
}

#[test]
fn h18_our_own_detach_sends_first_what_was_left_to_do() {
    // 2.6.4-01, 2.6.4-03, 2.6.6-01
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.send(10, &credit(7, 0, 5));
    let mut end = scene.peer.engine.sender(scene.c).unwrap();
    let key = end.begin_delivery(DeliveryStart::default()).unwrap();
    end.write(key, Bytes::from_static(b"x")).unwrap();
    end.finish(key).unwrap();
    scene.peer.engine.detach(scene.c, true, None);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1", "0 detach handle 2 closed"]);
    let mut end = scene.peer.engine.sender(scene.c).unwrap();
    assert_eq!(end.begin_delivery(DeliveryStart::default()), Err(SendError::Detached));
    end.drained();
    assert_eq!(scene.peer.told(), NOTHING);
}

#[test]
fn h24_handle_numbers_used_again() {
    // 2.6.4-07, 2.7.7-03, 2.8.4-02
    let mut scene = Scene::new(Wire::Octets);
    let (a, c) = (scene.a, scene.c);
    scene.peer.send(10, &credit(7, 0, 5));
    scene.peer.deliver(10, 5, 0, b"old");
    let old_delivery = scene.peer.engine.receiver(a).unwrap().next_delivery().unwrap().key;
    let old_sent = scene.peer.engine.sender(c).unwrap().begin_delivery(DeliveryStart::default()).unwrap();
    scene.peer.send(10, &detach(5, true));
    scene.peer.send(10, &detach(7, true));
    scene.peer.quiet();
    scene.peer.engine.take_terminus(a).unwrap();
    scene.peer.engine.take_terminus(c).unwrap();

    // The same handles, the other way round: what was `a` is a sender now.
    let new_sender = scene.peer.engine.attach(scene.one, sending("new out")).unwrap();
    let new_receiver = scene.peer.engine.attach(scene.one, receiving("new in")).unwrap();
    assert_eq!(scene.peer.told(), ["0 attach new out handle 0", "0 attach new in handle 2"]);
    scene.peer.send(10, &receiver("new out", 5));
    scene.peer.send(10, &sender("new in", 7));
    scene.peer.send(10, &credit(5, 0, 5));
    scene.peer.quiet();
    assert!(new_sender != a && new_receiver != c);

    // The old names find nothing, whatever is asked of them.
    let engine = &mut scene.peer.engine;
    assert!(engine.receiver(a).is_none() && engine.sender(a).is_none());
    assert!(engine.receiver(c).is_none() && engine.sender(c).is_none());
    assert!(engine.remote_attach(a).is_none() && engine.session_of(a).is_none());
    assert_eq!(engine.accept_attach(a, receiving("a")), Err(CommandError::Gone));
    assert_eq!(engine.refuse_attach(c, not_found()), Err(CommandError::Gone));
    engine.detach(a, true, None);
    engine.abandon_link(c);
    assert!(engine.take_terminus(a).is_none());
    let state = amqp10_codec::DeliveryState::Accepted;
    let mut end = engine.receiver(new_receiver).unwrap();
    assert_eq!(end.settle(old_delivery, state, true), Err(SettleError::Unknown));
    let mut end = engine.sender(new_sender).unwrap();
    assert_eq!(end.write(old_sent, Bytes::new()), Err(SendError::Unknown));
    assert_eq!(end.abort(old_sent), Err(SendError::Unknown));
    assert_eq!(end.settle(old_sent, None), Err(SettleError::Unknown));
    assert_eq!((scene.peer.told(), scene.peer.events()), (vec![], vec![]));
    scene.peer.deliver(10, 7, 1, b"new");
    assert_eq!(scene.peer.events(), [Event::Link(new_receiver, LinkEvent::DeliveryComplete)]);
    scene.session_one_works();
}

#[test]
fn h24_the_same_name_in_both_directions() {
    // 2.6.1-01
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        // `a` is our receiver.
        assert_eq!(scene.peer.engine.attach(scene.one, receiving("a")), Err(CommandError::NameInUse));
        assert_eq!(scene.peer.engine.attach(scene.two, receiving("a")), Err(CommandError::NameInUse));
        let out = scene.peer.engine.attach(scene.one, sending("a")).unwrap();
        assert_eq!(scene.peer.told(), ["0 attach a handle 3"]);
        scene.peer.send(10, &receiver("a", 8));
        scene.peer.send(10, &credit(8, 0, 1));
        assert_eq!(of_link(scene.peer.events(), out), [LinkEvent::Attached, LinkEvent::Sendable]);
        scene.peer.deliver(10, 5, 0, b"x");
        assert_eq!(scene.peer.events(), [Event::Link(scene.a, LinkEvent::DeliveryComplete)]);
        scene.peer.send(10, &detach(8, true));
        assert_eq!(scene.peer.events(), [detached(out, true, Ended::Remote(None))]);
        scene.peer.frames();
        scene.session_one_works();
        // Begun by the peer, too.
        scene.peer.send(10, &receiver("b", 9));
        let told = scene.peer.events();
        assert!(matches!(told[..], [Event::Link(link, LinkEvent::Incoming)] if link != scene.b), "{told:?}");
        assert_eq!(scene.peer.told(), NOTHING);
    }
}

#[test]
fn h24_attaches_of_both_ends_crossing_make_one_link() {
    // 2.6.3-17
    let mut scene = Scene::new(Wire::Octets);
    let link = scene.peer.engine.attach(scene.one, sending("crossing")).unwrap();
    scene.peer.send(10, &receiver("crossing", 8));
    assert_eq!(scene.peer.told(), ["0 attach crossing handle 3"]);
    assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Attached)]);
}

#[test]
fn h25_an_attach_refused_by_the_peer() {
    // 2.6.3-07
    for wire in WIRES {
        for error in [None, Some(not_found())] {
            for closed in [true, false] {
                for is_sender in [true, false] {
                    let mut scene = Scene::new(wire);
                    let (config, answer) = if is_sender {
                        (sending("refused"), null(receiver("refused", 8)))
                    } else {
                        (receiving("refused"), null(sender("refused", 8)))
                    };
                    let link = scene.peer.engine.attach(scene.one, config.clone()).unwrap();
                    scene.peer.quiet();
                    scene.peer.send(10, &answer);
                    assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]), "not attached");
                    scene.peer.send(10, &Detach { error: error.clone(), ..detach(8, closed) });
                    // One error, with the peer's condition, and the peer's detach is answered.
                    assert_eq!(scene.peer.events(), [detached(link, closed, Ended::Remote(error.clone()))]);
                    let how = if closed { " closed" } else { "" };
                    assert_eq!(scene.peer.told(), [format!("0 detach handle 3{how}")]);
                    scene.session_one_works();
                    // It may be tried again.
                    let again = scene.peer.engine.attach(scene.one, config).unwrap();
                    assert_eq!(scene.peer.told(), ["0 attach refused handle 3"]);
                    scene.peer.send(10, &if is_sender { receiver("refused", 8) } else { sender("refused", 8) });
                    assert_eq!(scene.peer.events(), [Event::Link(again, LinkEvent::Attached)]);
                }
            }
        }
    }
}

#[test]
fn h25_a_refused_link_carries_nothing() {
    // 2.7.3-10
    let mut scene = Scene::new(Wire::Octets);
    let out = scene.peer.engine.attach(scene.one, sending("out")).unwrap();
    let back = scene.peer.engine.attach(scene.one, receiving("in")).unwrap();
    scene.peer.send(10, &null(receiver("out", 8)));
    scene.peer.send(10, &null(sender("in", 9)));
    scene.peer.quiet();
    scene.peer.send(10, &credit(8, 0, 5));
    let mut end = scene.peer.engine.sender(out).unwrap();
    assert_eq!(end.begin_delivery(DeliveryStart::default()), Err(SendError::Detached));
    scene.peer.engine.receiver(back).unwrap().set_credit(5);
    assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
    scene.peer.deliver(10, 9, 0, b"x");
    assert_eq!(scene.peer.told(), ["0 detach handle 4 closed amqp:link:transfer-limit-exceeded"]);
    assert!(matches!(scene.peer.events()[..], [Event::Link(link, LinkEvent::Detached { .. })] if link == back));
    // Given up while the peer's detach is awaited.
    scene.peer.engine.abandon_link(out);
    assert_eq!(scene.peer.told(), ["0 detach handle 3 closed"]);
    scene.peer.send(10, &detach(8, true));
    scene.peer.send(10, &detach(9, true));
    assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
    scene.session_one_works();
}

#[test]
fn h25_refused_by_our_engine() {
    // 2.6.3-06
    for wire in WIRES {
        let mut pair = Pair::opened(config(), config());
        pair.wire = wire;
        let (session, _) = pair.session(session_config(), session_config());
        for config in [receiving("link"), sending("link")] {
            let ours = pair.client.attach(session, config).unwrap();
            pair.run();
            let [Event::Link(theirs, LinkEvent::Incoming)] = events(&mut pair.server)[..] else { panic!() };
            pair.server.refuse_attach(theirs, not_found()).unwrap();
            pair.run();
            assert_eq!(events(&mut pair.client), [detached(ours, true, Ended::Remote(Some(not_found())))]);
            assert_eq!(events(&mut pair.server), [detached(theirs, true, Ended::Local)]);
        }
    }
}

#[test]
fn an_attach_that_nobody_answers_is_refused_in_time() {
    // 2.6.3-04, 2.6.3-05
    let mut peer = Script::server(config(), open());
    peer.send(10, &begin());
    let [Event::Session(session, SessionEvent::Incoming)] = peer.events()[..] else { panic!() };
    peer.engine.accept_begin(session, session_config()).unwrap();
    peer.quiet();
    peer.send(10, &sender("first", 5));
    peer.advance(config().answer_time_out / 2);
    peer.send(10, &receiver("second", 6));
    let told = peer.events();
    let [Event::Link(first, LinkEvent::Incoming), Event::Link(second, LinkEvent::Incoming)] = told[..] else {
        panic!("{told:?}")
    };
    peer.advance(config().answer_time_out / 2);
    let refused = |name, handle| {
        let detach = format!("0 detach handle {handle} closed amqp:resource-limit-exceeded");
        [format!("0 attach {name} handle {handle} null"), detach]
    };
    assert_eq!(peer.told(), refused("first", 0));
    assert_eq!(peer.engine.accept_attach(first, receiving("first")), Err(CommandError::NotWaiting));
    peer.engine.accept_attach(second, sending("second")).unwrap();
    peer.quiet();
    peer.send(10, &detach(5, true));
    assert_eq!(peer.events(), [detached(first, true, Ended::Local)]);
    peer.advance(config().answer_time_out * 2 / 3);
    assert_eq!(peer.told(), NOTHING);
}

#[test]
fn h15_attach_and_detach_in_a_flood() {
    let mut scene = Scene::new(Wire::Whole);
    for n in 0..2_000_u32 {
        scene.peer.send(10, &sender("flood", 8));
        scene.peer.send(10, &detach(8, n % 2 == 0));
        let told = scene.peer.events();
        let [Event::Link(link, LinkEvent::Incoming), Event::Link(gone, LinkEvent::Detached { .. })] = told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(link, gone);
        assert!(scene.peer.engine.take_terminus(link).is_some());
        assert_eq!(
            scene.peer.told(),
            ["0 attach flood handle 3 null", "0 detach handle 3 closed amqp:link:detach-forced"]
        );
    }
    scene.session_one_works();
}

#[test]
fn h24_a_link_stolen_before_the_peer_answered_it() {
    let mut scene = Scene::new(Wire::Octets);
    let ours = scene.peer.engine.attach(scene.one, receiving("new")).unwrap();
    scene.peer.quiet();
    // The peer attaches it on the other session, and answers the first attach only then.
    scene.peer.send(11, &sender("new", 8));
    let told = scene.peer.events();
    let [Event::Link(gone, LinkEvent::Detached { .. }), Event::Link(theirs, LinkEvent::Incoming)] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(gone, ours);
    assert_eq!(scene.peer.told(), ["0 detach handle 3 closed amqp:link:stolen"]);
    scene.peer.engine.accept_attach(theirs, receiving("new")).unwrap();
    scene.peer.quiet();
    scene.peer.send(10, &sender("new", 8));
    scene.peer.send(10, &detach(8, true));
    assert_eq!(
        (scene.peer.events(), scene.peer.told()),
        (vec![], vec![]),
        "the answer to what was stolen steals nothing"
    );
    scene.peer.deliver(11, 8, 0, b"x");
    assert_eq!(scene.peer.events(), [Event::Link(theirs, LinkEvent::DeliveryComplete)]);
}

#[test]
fn h24_a_link_stolen_within_its_session_or_from_another() {
    // 2.6.1-04, 2.6.1-05, 2.8.18-05, 2.5-01
    for (channel, answered_on) in [(10, 0), (11, 1)] {
        for wire in WIRES {
            let mut scene = Scene::new(wire);
            let a = scene.a;
            scene.peer.deliver(10, 5, 0, b"x");
            scene.peer.quiet();
            scene.peer.send(channel, &sender("a", 9));
            let stolen = Error::new(ErrorCondition::STOLEN, "the link was attached anew");
            let told = scene.peer.events();
            let [ref end, Event::Link(new, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
            assert_eq!(*end, detached(a, true, Ended::Remote(Some(stolen))));
            assert_eq!(scene.peer.told(), ["0 detach handle 0 closed amqp:link:stolen"]);
            assert_eq!(scene.peer.engine.take_terminus(a).unwrap().unsettled.len(), 1);
            scene.peer.engine.accept_attach(new, receiving("a")).unwrap();
            scene.peer.deliver(10, 5, 1, b"crossed the theft");
            scene.peer.send(10, &detach(5, true));
            assert_eq!(scene.peer.events(), [Event::Link(new, LinkEvent::Attached)]);
            let told = scene.peer.told();
            assert!(told[0].starts_with(&format!("{answered_on} attach a handle")), "{told:?}");
            scene.peer.deliver(channel, 9, 2, b"x");
            assert_eq!(scene.peer.events(), [Event::Link(new, LinkEvent::DeliveryComplete)]);
            scene.session_one_works();
        }
    }
}

#[test]
fn h24_an_unanswered_link_stolen() {
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.send(10, &sender("new", 8));
    scene.peer.send(11, &sender("new", 8));
    let told = scene.peer.events();
    let [
        Event::Link(first, LinkEvent::Incoming),
        Event::Link(gone, LinkEvent::Detached { closed: true, end: Ended::Remote(Some(_)) }),
        Event::Link(second, LinkEvent::Incoming),
    ] = told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(first, gone);
    assert_eq!(scene.peer.told(), ["0 attach new handle 3 null", "0 detach handle 3 closed amqp:link:stolen"]);
    assert_eq!(scene.peer.engine.accept_attach(first, receiving("new")), Err(CommandError::NotWaiting));
    scene.peer.engine.accept_attach(second, receiving("new")).unwrap();
    assert_eq!(scene.peer.events(), [Event::Link(second, LinkEvent::Attached)]);
    scene.peer.send(10, &detach(8, true));
    assert_eq!(scene.peer.events(), []);
    scene.session_one_works();
}

#[test]
fn h18_nothing_is_sent_on_a_link_that_the_peer_has_detached() {
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.deliver(10, 5, 0, b"x");
    scene.peer.send(10, &credit(7, 0, 5));
    let delivery = scene.peer.engine.receiver(scene.a).unwrap().next_delivery().unwrap();
    let state = amqp10_codec::DeliveryState::Accepted;
    scene.peer.engine.receiver(scene.a).unwrap().settle(delivery.key, state, true).unwrap();
    let mut end = scene.peer.engine.sender(scene.c).unwrap();
    let key = end.begin_delivery(DeliveryStart::default()).unwrap();
    end.write(key, Bytes::from_static(b"x")).unwrap();
    end.finish(key).unwrap();
    scene.peer.send(10, &detach(7, true));
    // What was settled is told, what was not begun is not begun.
    assert_eq!(scene.peer.told(), ["0 disposition receiver 0 settled", "0 detach handle 2 closed"]);
    assert!(scene.peer.engine.take_terminus(scene.c).unwrap().unsettled.is_empty());
}
