//! Links detached and attached again while their session lasts: what goes on, what is over, what is wrong.

mod support;

use amqp10_codec::{Attach, DeliveryState, Detach, Disposition, Map, Performative, ReceiverSettleMode, Role, Transfer};
use amqp10_link::{DeliveryStart, Ended, Event, LinkConfig, LinkEvent, LinkId, SessionEvent, SettleError, Terminus};
use bytes::Bytes;
use support::scene::{Scene, receiving, refused_session, sending, session_config};
use support::script::*;
use support::work::{EVERYTHING, texts};
use support::{Pair, Wire, events};

const NOTHING: [&str; 0] = [];
const ACCEPTED: DeliveryState<'static> = DeliveryState::Accepted;

fn unsettled(scene: &mut Scene) -> Option<Map<'static>> {
    let frames = scene.peer.frames();
    let Some((_, Performative::Attach(attach), _)) = frames.into_iter().next() else { panic!("no attach") };
    attach.unsettled
}

fn send(scene: &mut Scene, link: LinkId) -> amqp10_link::DeliveryKey {
    let mut sender = scene.peer.engine.sender(link).unwrap();
    sender.deliver(DeliveryStart::default(), Bytes::from_static(b"x")).unwrap()
}

/// Both ends detach without closing; either may be first.
fn suspend(scene: &mut Scene, link: LinkId, handle: u32, ours: bool) {
    if ours {
        scene.peer.engine.detach(link, false, None);
        scene.peer.frames();
    }
    scene.peer.send(10, &detach(handle, false));
    let ended = if ours { Ended::Local } else { Ended::Remote(None) };
    let told = scene.peer.events();
    assert_eq!(told.last(), Some(&Event::Link(link, LinkEvent::Detached { closed: false, end: ended })));
    scene.peer.frames();
}

#[test]
fn nothing_is_told_of_what_had_arrived_in_part_and_is_settled() {
    // 2.6.12-09
    for on_the_transfer in [true, false] {
        let mut scene = Scene::new(Wire::Octets);
        let a = scene.a;
        scene.peer.transfer(10, &Transfer { more: true, settled: Some(on_the_transfer), ..first(5, 0) }, b"half");
        if !on_the_transfer {
            scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
        }
        scene.peer.quiet();
        suspend(&mut scene, a, 5, true);
        let link = scene.peer.engine.attach(scene.one, receiving("a")).unwrap();
        scene.peer.send(10, &sender("a", 5));
        let told = scene.peer.told();
        assert!(told.iter().all(|frame| !frame.contains("disposition")), "{told:?}");
        assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
        scene.peer.deliver(10, 5, 1, b"what comes next");
        assert!(scene.peer.engine.receiver(link).unwrap().next_delivery().is_some());
    }
}

#[test]
fn what_had_arrived_in_part_in_mode_second_is_for_the_sender_to_settle() {
    // 2.7.5-23
    let second = || Attach { rcv_settle_mode: ReceiverSettleMode::Second, ..sender("e", 9) };
    let config = |mode| {
        let mut config = receiving("e");
        config.rcv_settle_mode = mode;
        config
    };
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let mut scene = Scene::new(Wire::Octets);
        let old = scene.peer.engine.attach(scene.one, config(ReceiverSettleMode::Second)).unwrap();
        scene.peer.send(10, &second());
        scene.peer.quiet();
        scene.peer.transfer(10, &Transfer { more: true, ..first(9, 0) }, b"half");
        suspend(&mut scene, old, 9, true);
        // The mode of the new link is for what is sent on it.
        let link = scene.peer.engine.attach(scene.one, config(mode)).unwrap();
        scene.peer.send(10, &second());
        let told = scene.peer.told();
        assert!(told.contains(&"0 disposition receiver 0".to_owned()), "{told:?}");
        let unsettled = scene.peer.engine.receiver(link).unwrap().unsettled();
        assert_eq!(unsettled.len(), 1);
        assert_eq!((unsettled[0].tag, &unsettled[0].state), (tag(0), &Some(DeliveryState::Released)));
        scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
        assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
        assert_eq!(scene.peer.told(), NOTHING);
    }
}

#[test]
fn deliveries_of_a_suspended_link_are_settled_by_their_ids() {
    // 2.6.4-05, 2.6.4-02
    for ours in [true, false] {
        let mut scene = Scene::new(Wire::Octets);
        let (a, c) = (scene.a, scene.c);
        for id in 0..3 {
            scene.peer.deliver(10, 5, id, b"x");
        }
        let keys: Vec<_> =
            (0..3).map(|_| scene.peer.engine.receiver(a).unwrap().next_delivery().unwrap().key).collect();
        scene.peer.send(10, &credit(7, 0, 5));
        let (one, two) = (send(&mut scene, c), send(&mut scene, c));
        scene.peer.quiet();
        suspend(&mut scene, a, 5, ours);
        suspend(&mut scene, c, 7, ours);

        // They settle what we have received and sent.
        scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
        scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
        let told = scene.peer.events();
        let settled = |event: &Event| {
            matches!(event, Event::Link(link, LinkEvent::Disposition(outcome))
            if *link == a && outcome.key == keys[0] && outcome.settled)
        };
        assert!(told.len() == 2 && settled(&told[0]), "{told:?}");
        assert_eq!(told[1], Event::Link(c, LinkEvent::Outcomes));
        let outcome = scene.peer.engine.sender(c).unwrap().next_outcome().unwrap();
        assert_eq!((outcome.key, outcome.state, outcome.settled), (one, Some(ACCEPTED), true));
        // And we settle.
        let mut receiver = scene.peer.engine.receiver(a).unwrap();
        assert_eq!(receiver.settle(keys[0], ACCEPTED, true), Err(SettleError::Unknown));
        receiver.settle(keys[1], ACCEPTED, true).unwrap();
        scene.peer.engine.sender(c).unwrap().settle(two, None).unwrap();
        assert_eq!(scene.peer.told(), ["0 disposition receiver 1 settled", "0 disposition sender 1 settled"]);
        assert_eq!(scene.peer.engine.receiver(a).unwrap().unsettled().len(), 1);
        assert!(scene.peer.engine.sender(c).unwrap().unsettled().is_empty());
        scene.session_one_works();
    }
}

#[test]
fn a_suspended_link_is_reattached_with_its_deliveries() {
    // 2.6.4-06, 2.7.3-16, 2.6.3-08
    for we_begin in [true, false] {
        let mut scene = Scene::new(Wire::Octets);
        let (a, c) = (scene.a, scene.c);
        scene.peer.deliver(10, 5, 0, b"taken");
        scene.peer.deliver(10, 5, 1, b"waits");
        let delivery = scene.peer.engine.receiver(a).unwrap().next_delivery().unwrap();
        scene.peer.transfer(10, &Transfer { more: true, ..first(5, 2) }, b"half");
        scene.peer.send(10, &credit(7, 0, 5));
        let sent = send(&mut scene, c);
        scene.peer.quiet();
        suspend(&mut scene, a, 5, true);
        suspend(&mut scene, c, 7, true);
        let (new_a, new_c) = if we_begin {
            let new_a = scene.peer.engine.attach(scene.one, receiving("a")).unwrap();
            assert!(unsettled(&mut scene).is_none());
            scene.peer.send(10, &sender("a", 5));
            let new_c = scene.peer.engine.attach(scene.one, sending("c")).unwrap();
            assert!(scene.peer.frames().iter().any(|(_, frame, _)| matches!(frame,
                Performative::Attach(attach) if attach.unsettled.is_none())));
            scene.peer.send(10, &receiver("c", 7));
            (new_a, new_c)
        } else {
            scene.peer.send(10, &sender("a", 5));
            scene.peer.send(10, &receiver("c", 7));
            let told = scene.peer.events();
            let [Event::Link(new_a, LinkEvent::Incoming), Event::Link(new_c, LinkEvent::Incoming)] = told[..] else {
                panic!("{told:?}")
            };
            scene.peer.engine.accept_attach(new_a, receiving("a")).unwrap();
            // The rest of what had begun to arrive will not come, so it is to be sent again.
            let frames = scene.peer.frames();
            assert!(frames.iter().any(|(_, frame, _)| matches!(frame,
                Performative::Disposition(disposition) if disposition.first.0 == 2
                    && disposition.settled && disposition.state == Some(DeliveryState::Released))));
            assert!(frames.iter().all(|(_, frame, _)| !matches!(frame,
                Performative::Attach(attach) if attach.unsettled.is_some())));
            scene.peer.engine.accept_attach(new_c, sending("c")).unwrap();
            (new_a, new_c)
        };
        scene.peer.quiet();
        assert!(scene.peer.engine.receiver(a).is_none() && scene.peer.engine.sender(c).is_none(), "the old names");
        // The numbers of the deliveries still count.
        let mut receiver = scene.peer.engine.receiver(new_a).unwrap();
        assert_eq!(receiver.unsettled().len(), 2);
        assert_eq!(receiver.settle(delivery.key, ACCEPTED, true), Err(SettleError::Unknown));
        let key = receiver.by_tag(&tag(0)).unwrap();
        receiver.settle(key, ACCEPTED, true).unwrap();
        let waits = receiver.next_delivery().unwrap();
        assert_eq!(&waits.payload.into_bytes()[..], b"waits");
        receiver.settle(waits.key, ACCEPTED, true).unwrap();
        let told = scene.peer.told();
        assert!(told.contains(&"0 disposition receiver 0 to 1 settled".to_owned()), "{told:?}");
        scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
        assert_eq!(scene.peer.events(), [Event::Link(new_c, LinkEvent::Outcomes)]);
        let outcome = scene.peer.engine.sender(new_c).unwrap().next_outcome().unwrap();
        assert!(outcome.settled && outcome.key != sent && outcome.key.link() == new_c);
        assert!(scene.peer.engine.sender(new_c).unwrap().unsettled().is_empty());
        scene.peer.deliver(10, 5, 3, b"new");
        assert_eq!(scene.peer.events(), [Event::Link(new_a, LinkEvent::DeliveryComplete)]);
    }
}

#[test]
fn a_peer_detaches_and_attaches_in_one_breath() {
    // 2.6.4-06, 2.6.4-07
    let mut scene = Scene::new(Wire::Whole);
    let a = scene.a;
    let octets = [frame(10, &detach(5, false)), frame(10, &sender("a", 5))].concat();
    scene.peer.octets(&octets);
    let told = scene.peer.events();
    let [Event::Link(old, LinkEvent::Detached { closed: false, .. }), Event::Link(new, LinkEvent::Incoming)] = told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(old, a);
    scene.peer.engine.accept_attach(new, receiving("a")).unwrap();
    assert_eq!(scene.peer.told()[..2], ["0 detach handle 0", "0 attach a handle 0"]);
    scene.peer.deliver(10, 5, 0, b"x");
    let complete = Event::Link(new, LinkEvent::DeliveryComplete);
    assert_eq!(scene.peer.events(), [Event::Link(new, LinkEvent::Attached), complete]);
    scene.session_one_works();
}

#[test]
fn nothing_of_a_link_that_is_closed_or_has_an_error_lives_on() {
    // 2.6.6-01, 2.6.6-02, 2.6.6-03, 2.6.5-02
    for (closed, error) in [(true, None), (true, Some(problem())), (false, Some(problem()))] {
        for ours in [true, false] {
            let mut scene = Scene::new(Wire::Octets);
            let (a, c) = (scene.a, scene.c);
            scene.peer.deliver(10, 5, 0, b"x");
            let key = scene.peer.engine.receiver(a).unwrap().next_delivery().unwrap().key;
            scene.peer.send(10, &credit(7, 0, 5));
            let sent = send(&mut scene, c);
            for (link, handle) in [(a, 5), (c, 7)] {
                if ours {
                    scene.peer.engine.detach(link, closed, error.clone());
                    scene.peer.send(10, &detach(handle, closed));
                } else {
                    scene.peer.send(10, &Detach { error: error.clone(), ..detach(handle, closed) });
                }
            }
            scene.peer.quiet();
            if !ours || error.is_none() {
                scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
                scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
                assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
            }
            let mut receiver = scene.peer.engine.receiver(a).unwrap();
            assert_eq!(receiver.settle(key, ACCEPTED, true), Err(SettleError::Detached));
            assert_eq!(scene.peer.engine.sender(c).unwrap().settle(sent, None), Err(SettleError::Detached));
            scene.session_one_works();
        }
    }
}

#[test]
fn a_link_that_had_an_error_can_only_be_resumed() {
    // 2.6.5-05, 2.6.5-06, 2.6.5-07
    refused_session("amqp:session:errant-link", |scene| {
        let mut other = sending("errant");
        other.initial_delivery_count = amqp10_codec::SequenceNo(0);
        let link = scene.peer.engine.attach(scene.one, other).unwrap();
        scene.peer.send(10, &receiver("errant", 9));
        scene.peer.engine.detach(link, false, Some(problem()));
        scene.peer.quiet();
        // Pipelined, as far as anybody can know.
        scene.peer.send(10, &detach(9, false));
        scene.peer.quiet();
        scene.peer.engine.take_terminus(link).unwrap();
        scene.peer.send(10, &receiver("errant", 9));
    });
    for ours in [true, false] {
        for we_attach in [true, false] {
            let mut scene = Scene::new(Wire::Octets);
            if ours {
                scene.peer.engine.detach(scene.a, false, Some(problem()));
                scene.peer.send(10, &detach(5, false));
            } else {
                scene.peer.send(10, &Detach { error: Some(problem()), ..detach(5, false) });
            }
            scene.peer.quiet();
            if we_attach {
                let link = scene.peer.engine.attach(scene.one, receiving("a")).unwrap();
                assert!(unsettled(&mut scene).is_some_and(|map| map.is_empty()), "a map, though of nothing");
                scene.peer.send(10, &Attach { unsettled: Some(Map::new()), ..sender("a", 5) });
                assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Attached)]);
            } else {
                scene.peer.send(10, &Attach { unsettled: Some(Map::new()), ..sender("a", 5) });
                let told = scene.peer.events();
                let [Event::Link(link, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
                let mut config = receiving("a");
                config.terminus = Some(Terminus::default());
                scene.peer.engine.accept_attach(link, config).unwrap();
                assert!(unsettled(&mut scene).is_some_and(|map| map.is_empty()));
                assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Attached)]);
            }
            scene.session_one_works();
        }
    }
}

#[test]
fn a_control_link_that_had_an_error_is_attached_with_an_empty_map() {
    let mut pair = Pair::plain();
    let (session, _) = pair.session(session_config(), session_config());
    for server_fails in [true, false] {
        let attach = |pair: &mut Pair| {
            let links =
                pair.link(session, LinkConfig::controller("control", EVERYTHING), LinkConfig::coordinator(EVERYTHING));
            assert!(events(&mut pair.client).contains(&Event::Link(links.0, LinkEvent::Attached)));
            assert_eq!(events(&mut pair.server), [Event::Link(links.1, LinkEvent::Attached)]);
            links
        };
        let (ours, theirs) = attach(&mut pair);
        let (engine, link) = if server_fails { (&mut pair.server, theirs) } else { (&mut pair.client, ours) };
        engine.detach(link, false, Some(problem()));
        pair.run();
        events(&mut pair.client);
        events(&mut pair.server);
        let (again, theirs) = attach(&mut pair);
        let unsettled = pair.server.remote_attach(theirs).unwrap().unsettled.as_ref();
        assert!(unsettled.is_some_and(|map| map.is_empty()));
        pair.client.declare(again, None).unwrap();
        pair.run();
        assert_eq!(texts(events(&mut pair.server)), ["declare"]);
        pair.client.detach(again, true, None);
        pair.run();
        events(&mut pair.client);
        events(&mut pair.server);
    }
}

#[test]
fn an_answer_that_crosses_an_error_is_no_attach_of_its_own() {
    for refused in [false, true] {
        let mut scene = Scene::new(Wire::Whole);
        let link = scene.peer.engine.attach(scene.one, receiving("errant")).unwrap();
        scene.peer.engine.detach(link, false, Some(problem()));
        scene.peer.quiet();
        let mut answer = sender("errant", 9);
        if refused {
            answer.source = None;
        }
        scene.peer.send(10, &answer);
        scene.peer.send(10, &detach(9, refused));
        let end = Event::Link(link, LinkEvent::Detached { closed: refused, end: Ended::Local });
        assert_eq!(scene.peer.events(), [end]);
        assert_eq!(scene.peer.told(), [""; 0]);
    }
}

#[test]
fn a_close_that_crosses_a_detach_of_two_engines() {
    // 2.6.6-04, 2.6.6-05
    for wire in [Wire::Whole, Wire::Octets] {
        for client_closes in [true, false] {
            let mut pair = Pair::plain();
            pair.wire = wire;
            let (session, _) = pair.session(session_config(), session_config());
            let (ours, theirs) = pair.link(session, receiving("link"), sending(""));
            events(&mut pair.client);
            events(&mut pair.server);
            pair.client.detach(ours, client_closes, None);
            pair.server.detach(theirs, !client_closes, None);
            pair.run();
            let (client, server) = (events(&mut pair.client), events(&mut pair.server));
            let first =
                |events: &[Event]| matches!(&events[0], Event::Link(_, LinkEvent::Detached { end: Ended::Local, .. }));
            assert!(first(&client) && first(&server), "{client:?} {server:?}");
            // Whoever had closed sees the link come and go once more.
            let closer = if client_closes { &client } else { &server };
            assert!(
                matches!(closer[1..], [
                    Event::Link(again, LinkEvent::Incoming),
                    Event::Link(gone, LinkEvent::Detached { closed: true, .. })
                ] if again == gone),
                "{closer:?}"
            );
            assert_eq!(if client_closes { server.len() } else { client.len() }, 1);
            // The name is free at both ends.
            let (again, _) = pair.link(session, receiving("link"), sending(""));
            assert!(events(&mut pair.client).contains(&Event::Link(again, LinkEvent::Attached)));
        }
    }
}

#[test]
fn a_close_that_crosses_a_detach_of_what_is_attached_anew_already() {
    // 2.6.1-01, 2.6.6-04
    for accepted in [true, false] {
        let mut scene = Scene::new(Wire::Whole);
        let b = scene.b;
        scene.peer.engine.detach(b, false, None);
        assert_eq!(scene.peer.told(), ["0 detach handle 1"]);
        // The peer has not seen it yet when it takes the name, and when it gives the older link up.
        scene.peer.send(10, &sender("b", 9));
        let told = scene.peer.events();
        let [Event::Link(new, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
        if accepted {
            scene.peer.engine.accept_attach(new, receiving("b")).unwrap();
            scene.peer.quiet();
        }
        scene.peer.send(10, &detach(6, true));
        assert_eq!(scene.peer.events(), [Event::Link(b, LinkEvent::Detached { closed: true, end: Ended::Local })]);
        assert_eq!(scene.peer.told(), NOTHING, "the name is that of the new link");
        if !accepted {
            scene.peer.engine.accept_attach(new, receiving("b")).unwrap();
            scene.peer.quiet();
        }
        scene.peer.deliver(10, 9, 0, b"x");
        assert_eq!(scene.peer.events(), [Event::Link(new, LinkEvent::DeliveryComplete)]);
    }
}

#[test]
fn a_session_that_ends_takes_its_suspended_links_along() {
    let mut scene = Scene::new(Wire::Octets);
    let a = scene.a;
    scene.peer.deliver(10, 5, 0, b"x");
    let key = scene.peer.engine.receiver(a).unwrap().next_delivery().unwrap().key;
    suspend(&mut scene, a, 5, true);
    scene.peer.send(10, &end());
    let told = scene.peer.events();
    assert!(!told.iter().any(|event| matches!(event, Event::Link(link, _) if *link == a)), "told already");
    assert!(told.contains(&Event::Session(scene.one, SessionEvent::Ended(Ended::Remote(None)))));
    let mut receiver = scene.peer.engine.receiver(a).unwrap();
    assert_eq!(receiver.settle(key, ACCEPTED, true), Err(SettleError::Detached));
    // What is unsettled can go to another session.
    let left = scene.peer.engine.take_terminus(a).unwrap();
    assert_eq!(left.unsettled.len(), 1);
    let mut config = receiving("a");
    config.terminus = Some(left);
    scene.peer.quiet();
    scene.peer.engine.attach(scene.two, config).unwrap();
    assert!(unsettled(&mut scene).is_some_and(|map| map.len() == 1));
    assert_eq!(scene.peer.told(), NOTHING);
}

#[test]
fn what_is_used_on_after_an_error_is_errant() {
    // 2.6.5-04, 2.8.17-02
    for by_flow in [true, false] {
        for ours in [true, false] {
            for closed in [true, false] {
                refused_session("amqp:session:errant-link", |scene| {
                    if ours {
                        let link = scene.peer.engine.attach(scene.one, receiving("errant")).unwrap();
                        scene.peer.send(10, &sender("errant", 9));
                        scene.peer.engine.detach(link, closed, Some(problem()));
                        // It may not know yet.
                        scene.peer.deliver(10, 9, 0, b"in flight");
                        scene.peer.send(10, &detach(9, closed));
                        scene.peer.quiet();
                        scene.peer.engine.take_terminus(link).unwrap();
                    } else {
                        let link = scene.peer.engine.attach(scene.one, receiving("errant")).unwrap();
                        scene.peer.send(10, &sender("errant", 9));
                        scene.peer.send(10, &Detach { error: Some(problem()), ..detach(9, closed) });
                        scene.peer.quiet();
                        scene.peer.engine.take_terminus(link).unwrap();
                    }
                    if by_flow {
                        scene.peer.send(10, &credit(9, 0, 0));
                    } else {
                        scene.peer.deliver(10, 9, 1, b"x");
                    }
                });
            }
        }
    }
    // The handle is as good as any other once it is given to another link.
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.send(10, &Detach { error: Some(problem()), ..detach(5, true) });
    scene.peer.send(10, &sender("other", 5));
    scene.peer.send(10, &detach(5, true));
    scene.peer.quiet();
    scene.peer.deliver(10, 5, 0, b"x");
    assert_eq!(scene.peer.told().last().unwrap(), "0 end amqp:session:unattached-handle");
}

/// Two deliveries each way, 0 and 1, on a link that is detached with an error of ours and on one that goes on.
fn one_errant_each_way(scene: &mut Scene, closed: bool, taken: bool) {
    let errant = [receiving("in"), sending("out")].map(|link| scene.peer.engine.attach(scene.one, link).unwrap());
    scene.peer.send(10, &sender("in", 8));
    scene.peer.send(10, &receiver("out", 9));
    scene.peer.send(10, &credit(9, 0, 5));
    scene.peer.send(10, &credit(7, 0, 5));
    for (id, (link, handle)) in [(errant[1], 8), (scene.c, 5)].into_iter().enumerate() {
        send(scene, link);
        scene.peer.quiet();
        scene.peer.deliver(10, handle, id as u32, b"x");
    }
    for link in errant {
        scene.peer.engine.detach(link, closed, Some(problem()));
    }
    // It may not know yet.
    scene.peer.send(10, &Disposition { settled: false, ..disposition(Role::Receiver, 0, 1, true) });
    scene.peer.send(10, &Disposition { settled: false, ..disposition(Role::Sender, 0, 1, true) });
    for handle in [8, 9] {
        scene.peer.send(10, &detach(handle, closed));
    }
    scene.peer.quiet();
    if taken {
        errant.into_iter().for_each(|link| drop(scene.peer.engine.take_terminus(link).unwrap()));
    }
}

#[test]
fn a_delivery_of_a_link_that_ended_with_an_error_of_ours_is_errant() {
    // 2.6.5-04
    for role in [Role::Receiver, Role::Sender] {
        for closed in [true, false] {
            for (first, last) in [(0, 0), (u32::MAX, 0), (0, 1), (u32::MAX, 3)] {
                for settled in [true, false] {
                    refused_session("amqp:session:errant-link", |scene| {
                        one_errant_each_way(scene, closed, settled);
                        scene.peer.send(10, &Disposition { settled, ..disposition(role, first, last, true) });
                    });
                }
            }
            // The deliveries of other links are none of this, nor those that nobody knows.
            let mut scene = Scene::new(Wire::Octets);
            one_errant_each_way(&mut scene, closed, true);
            for (first, last) in [(1, 1), (2, 9), (u32::MAX, u32::MAX), (0x8000_0000, u32::MAX)] {
                scene.peer.send(10, &disposition(role, first, last, true));
            }
            assert_eq!(scene.peer.told(), NOTHING);
            scene.peer.quiet();
            scene.session_one_works();
        }
    }
}

#[test]
fn a_delivery_of_a_link_that_broke_a_rule_is_errant() {
    refused_session("amqp:session:errant-link", |scene| {
        let link = scene.peer.engine.attach(scene.one, receiving("errant")).unwrap();
        scene.peer.send(10, &sender("errant", 9));
        scene.peer.quiet();
        scene.peer.deliver(10, 9, 0, b"x");
        scene.peer.transfer(10, &Transfer { delivery_tag: None, ..first(9, 1) }, b"x");
        assert_eq!(scene.peer.told(), ["0 detach handle 3 closed amqp:invalid-field"]);
        scene.peer.engine.take_terminus(link).unwrap();
        scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
        assert_eq!(scene.peer.told(), NOTHING, "it may have been on its way");
        scene.peer.send(10, &detach(9, true));
        scene.peer.quiet();
        scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
    });
}
