//! How deliveries are settled: both modes of both ends, and what counts when a side says nothing.

mod support;

use amqp10_codec::{
    Attach, DeliveryState, DeliveryTag, ReceiverSettleMode, SenderSettleMode, Source, Target, Transfer,
};
use amqp10_link::{DeliveryKey, DeliveryStart, Event, LinkConfig, LinkEvent, LinkId};
use bytes::Bytes;
use support::scene::{Scene, receiving, session_config};
use support::script::*;
use support::{Pair, Wire, events};

const ACCEPTED: DeliveryState<'static> = DeliveryState::Accepted;

fn deliver(pair: &mut Pair, link: LinkId, settled: bool) -> DeliveryKey {
    let start = DeliveryStart { settled, ..DeliveryStart::default() };
    pair.client.sender(link).unwrap().deliver(start, Bytes::from_static(b"message")).unwrap()
}

#[test]
fn both_modes_of_both_ends() {
    // 2.6.12-07, 2.6.12-08, 2.6.12-09, 2.6.12-10, 2.6.12-11
    for snd in [SenderSettleMode::Unsettled, SenderSettleMode::Settled, SenderSettleMode::Mixed] {
        for rcv in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
            for asked in [false, true] {
                let mut pair = Pair::plain();
                let (session, _) = pair.session(session_config(), session_config());
                let mut config = LinkConfig::sender("link", Target::at("queue"));
                (config.snd_settle_mode, config.rcv_settle_mode) = (snd, rcv);
                let mut theirs = receiving("");
                theirs.rcv_settle_mode = rcv;
                let (ours, theirs) = pair.link(session, config, theirs);
                events(&mut pair.client);
                events(&mut pair.server);
                let settled = snd == SenderSettleMode::Settled || (asked && snd == SenderSettleMode::Mixed);
                let key = deliver(&mut pair, ours, asked);
                pair.run();
                let case = format!("{snd:?} {rcv:?} {asked}");
                let mut receiver = pair.server.receiver(theirs).unwrap();
                let delivery = receiver.next_delivery().unwrap();
                assert_eq!(delivery.settled, settled, "{case}");
                let outcome = |pair: &mut Pair| pair.client.sender(ours).unwrap().next_outcome();
                if settled {
                    assert!(receiver.settle(delivery.key, ACCEPTED, true).is_err());
                    let told = outcome(&mut pair).unwrap();
                    assert_eq!((told.key, told.state, told.settled), (key, None, true), "{case}");
                } else {
                    assert!(outcome(&mut pair).is_none(), "{case}");
                    let mut receiver = pair.server.receiver(theirs).unwrap();
                    receiver.settle(delivery.key, ACCEPTED, true).unwrap();
                    let waits = rcv == ReceiverSettleMode::Second;
                    assert_eq!(receiver.unsettled().len(), usize::from(waits), "{case}");
                    events(&mut pair.server);
                    pair.run();
                    let told = outcome(&mut pair).unwrap();
                    assert_eq!((told.key, told.state, told.settled), (key, Some(ACCEPTED), !waits), "{case}");
                    if waits {
                        pair.client.sender(ours).unwrap().settle(key, Some(ACCEPTED)).unwrap();
                        pair.run();
                        let told = events(&mut pair.server);
                        let [Event::Link(link, LinkEvent::Disposition(end))] = &told[..] else { panic!("{told:?}") };
                        assert_eq!(
                            (*link, end.key, &end.state, end.settled),
                            (theirs, delivery.key, &Some(ACCEPTED), true)
                        );
                    }
                }
                assert!(pair.client.sender(ours).unwrap().unsettled().is_empty(), "{case}");
                assert!(pair.server.receiver(theirs).unwrap().unsettled().is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn an_outcome_of_the_senders_own_is_told_once_and_confirmed() {
    // 2.6.12-06, 2.7.5-29, 3.4-01
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.deliver(10, 5, 0, b"x");
    let key = scene.peer.engine.receiver(scene.a).unwrap().next_delivery().unwrap().key;
    scene.peer.quiet();
    for _ in 0..100 {
        scene.peer.send(10, &disposition(amqp10_codec::Role::Sender, 0, 0, false));
    }
    let told = of_link(scene.peer.events(), scene.a);
    let [LinkEvent::Disposition(outcome)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((outcome.key, &outcome.state, outcome.settled), (key, &Some(ACCEPTED), false));
    scene.peer.engine.receiver(scene.a).unwrap().settle(key, ACCEPTED, true).unwrap();
    assert_eq!(scene.peer.told(), ["0 disposition receiver 0 settled"]);
}

#[test]
fn a_state_on_a_transfer_is_told() {
    // 2.7.5-28, 2.7.5-14, 2.7.5-15
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.transfer(10, &Transfer { more: true, ..first(5, 0) }, b"one");
    scene.peer.events();
    let state = Some(DeliveryState::Released);
    scene.peer.transfer(10, &Transfer { more: true, settled: Some(true), state: state.clone(), ..next(5) }, b"two");
    let told = of_link(scene.peer.events(), scene.a);
    let [LinkEvent::Disposition(outcome)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&outcome.state, outcome.settled), (&state, true));
    scene.peer.transfer(10, &next(5), b"three");
    let mut receiver = scene.peer.engine.receiver(scene.a).unwrap();
    let delivery = receiver.next_delivery().unwrap();
    assert!(delivery.settled && delivery.key == outcome.key && receiver.unsettled().is_empty());
}

#[test]
fn what_is_settled_without_an_outcome_has_the_default() {
    // 3.5.3-14, 3.5.3-17, 2.6.12-12
    let default = amqp10_codec::Outcome::Released;
    let received = DeliveryState::Received(amqp10_codec::Received { section_number: 1, section_offset: 2 });
    for default in [None, Some(default)] {
        for (before, with, expected) in [
            (None, None, default.clone().map(DeliveryState::from)),
            (None, Some(received.clone()), Some(default.clone().map_or(received.clone(), DeliveryState::from))),
            (None, Some(ACCEPTED), Some(ACCEPTED)),
            (Some(ACCEPTED), None, Some(ACCEPTED)),
        ] {
            let mut scene = Scene::new(Wire::Octets);
            let mut config = LinkConfig::sender("out", Target::at("queue"));
            config.source = Some(Source { default_outcome: default.clone(), ..Source::default() }.into());
            let link = scene.peer.engine.attach(scene.one, config).unwrap();
            scene.peer.send(10, &receiver("out", 9));
            scene.peer.send(10, &credit(9, 0, 5));
            let mut sender = scene.peer.engine.sender(link).unwrap();
            let start = DeliveryStart { tag: Some(DeliveryTag::from(1)), ..DeliveryStart::default() };
            let key = sender.deliver(start, Bytes::from_static(b"x")).unwrap();
            scene.peer.quiet();
            let mut say = |state: Option<DeliveryState<'static>>, settled| {
                let mut said = disposition(amqp10_codec::Role::Receiver, 0, 0, settled);
                said.state = state;
                scene.peer.send(10, &said);
                scene.peer.engine.sender(link).unwrap().next_outcome().unwrap()
            };
            if before.is_some() {
                assert_eq!(say(before.clone(), false).state, before);
            }
            let outcome = say(with.clone(), true);
            assert_eq!((outcome.key, outcome.state, outcome.settled), (key, expected, true), "{before:?} {with:?}");
        }
    }
}

#[test]
fn mode_second_on_a_transfer_of_a_link_of_mode_first_is_an_error() {
    // 2.7.5-25, 2.7.5-26
    support::scene::refused_link("amqp:invalid-field", |scene| {
        let second = Some(ReceiverSettleMode::Second);
        let settled = Transfer { settled: Some(true), rcv_settle_mode: second, ..first(5, 0) };
        scene.peer.transfer(10, &settled, b"x");
        assert!(scene.peer.engine.receiver(scene.a).unwrap().next_delivery().unwrap().settled);
        scene.peer.quiet();
        scene.peer.transfer(10, &Transfer { rcv_settle_mode: second, ..first(5, 1) }, b"x");
    });
}

#[test]
fn addresses_of_dynamic_nodes_are_told() {
    // 3.5.3-07, 3.5.4-07, 2.6.3-09
    let mut scene = Scene::new(Wire::Octets);
    let mut config = receiving("in");
    config.source = Some(Source { dynamic: true, ..Source::default() }.into());
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    let source = Source { dynamic: true, ..Source::at("made for in") };
    scene.peer.send(10, &Attach { source: Some(source.clone().into()), ..sender("in", 9) });
    let receiver = scene.peer.engine.receiver(link).unwrap();
    assert_eq!(receiver.remote_attach().unwrap().source.as_ref().unwrap().as_source(), Some(&source));
    let config = LinkConfig::sender("out", Target { dynamic: true, ..Target::default() });
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    let target = Target { dynamic: true, ..Target::at("made for out") };
    scene.peer.send(10, &Attach { target: Some(target.clone().into()), ..support::script::receiver("out", 8) });
    let sender = scene.peer.engine.sender(link).unwrap();
    assert_eq!(sender.remote_attach().unwrap().target, Some(target.into()));
}
