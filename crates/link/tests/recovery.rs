//! Links recovered on another connection: what termini keep, what attaches tell of it, and what is forgotten.

mod support;

use std::collections::BTreeSet;
use std::time::Instant;

use amqp10_codec::{
    Attach, DeliveryNumber, DeliveryState, DeliveryTag, Map, Performative, Received, ReceiverSettleMode, Role,
    SenderSettleMode, Source, SourceArchetype, Target, TargetArchetype, Transfer, encode_to_vec,
};
use amqp10_link::{
    DeliveryStart, Ended, Event, LinkEvent, LinkId, Payload, Resumption, SendError, SessionId, Terminus,
    UnsettledDelivery,
};
use bytes::Bytes;
use support::scene::{Scene, config, receiving, sending, session_config};
use support::script::*;
use support::{Pair, Script, Wire, events};

const ACCEPTED: DeliveryState<'static> = DeliveryState::Accepted;

fn received(section_number: u32, section_offset: u64) -> DeliveryState<'static> {
    DeliveryState::Received(Received { section_number, section_offset })
}

fn named(n: u8) -> DeliveryTag {
    DeliveryTag::new(&[n]).unwrap()
}

fn delivery(n: u8, state: Option<DeliveryState<'static>>) -> UnsettledDelivery {
    let mut delivery = UnsettledDelivery::new(named(n));
    delivery.state = state;
    delivery
}

fn send(peer: &mut Script, link: LinkId, n: u8) -> amqp10_link::DeliveryKey {
    let start = DeliveryStart { tag: Some(named(n)), ..DeliveryStart::default() };
    peer.engine.sender(link).unwrap().deliver(start, Bytes::from_static(b"message")).unwrap()
}

/// Another connection of the same containers, with a session on channel 10.
fn again() -> (Script, SessionId) {
    let mut peer = Script::client(config(), open());
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &answer(0));
    peer.quiet();
    (peer, session)
}

/// The connection is lost; what the link leaves behind.
fn lose(scene: &mut Scene, link: LinkId) -> Terminus {
    scene.peer.frames();
    scene.peer.engine.handle_eof(Instant::now());
    scene.peer.events();
    scene.peer.engine.take_terminus(link).unwrap()
}

/// The attach that the engine has just sent.
fn attach_of(peer: &mut Script) -> Box<Attach<'static>> {
    let frames = peer.frames();
    let Some((_, Performative::Attach(attach), _)) = frames.into_iter().next() else { panic!("no attach") };
    attach
}

/// The deliveries that it tells of, by tag, and their states.
fn told(attach: &Attach<'static>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let map = attach.unsettled.as_ref().expect("an unsettled map");
    let entry = |entry: Result<(amqp10_codec::ValueRef<'_>, amqp10_codec::ValueRef<'_>), _>| {
        let (tag, state) = entry.unwrap();
        let amqp10_codec::ValueRef::Binary(tag) = tag else { panic!("{tag:?}") };
        (tag.to_vec(), encode_to_vec(&state.to_value().unwrap()))
    };
    map.entries().map(entry).collect()
}

fn null() -> Vec<u8> {
    encode_to_vec(&())
}

fn transfers(peer: &mut Script) -> Vec<(Transfer<'static>, Vec<u8>)> {
    let transfer =
        |(_, body, payload)| if let Performative::Transfer(found) = body { Some((found, payload)) } else { None };
    peer.frames().into_iter().filter_map(transfer).collect()
}

#[test]
fn what_was_written_to_a_connection_that_is_lost_is_in_doubt() {
    // 2.1.2-02, 2.6-04, 2.6.1-02
    let mut scene = Scene::new(Wire::Octets);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    send(&mut scene.peer, c, 1);
    send(&mut scene.peer, c, 2);
    assert_eq!(transfers(&mut scene.peer).len(), 2);
    let left = lose(&mut scene, c);
    let tags: Vec<_> = left.unsettled.iter().map(|delivery| delivery.tag).collect();
    assert_eq!(tags, [named(1), named(2)], "nobody knows whether they arrived");

    // The first has arrived, the second has not.
    let (mut peer, session) = again();
    let mut config = sending("c");
    config.terminus = Some(left);
    let link = peer.engine.attach(session, config).unwrap();
    let attach = attach_of(&mut peer);
    assert_eq!((&*attach.name, told(&attach)), ("c", vec![(vec![1], null()), (vec![2], null())]));
    let theirs = Map::new().with(named(1), ACCEPTED);
    peer.send(10, &Attach { unsettled: Some(theirs), ..receiver("c", 9) });
    peer.send(10, &credit(9, 0, 5));
    peer.quiet();
    let doubts = peer.engine.sender(link).unwrap().in_doubt();
    let found: Vec<_> = doubts.iter().map(|doubt| (doubt.tag, doubt.resumption.clone())).collect();
    assert_eq!(found, [(named(1), Resumption::Settle(ACCEPTED)), (named(2), Resumption::Resend)]);
    for doubt in doubts {
        let message = Payload::from(Bytes::from_static(b"message"));
        peer.engine.sender(link).unwrap().resolve(doubt.key, Some(message)).unwrap();
    }
    let sent = transfers(&mut peer);
    let [(one, settles), (two, again)] = &sent[..] else { panic!("{sent:?}") };
    assert!(one.resume && one.settled == Some(true) && settles.is_empty());
    assert!(!two.resume && again == b"message");
}

#[test]
fn nothing_of_the_former_endpoint_is_needed_to_resume() {
    // 2.6-05
    let mut scene = Scene::new(Wire::Octets);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 50));
    for n in 1..=3 {
        send(&mut scene.peer, c, n);
    }
    let left = lose(&mut scene, c);
    let (mut peer, session) = again();
    let mut config = sending("c");
    config.terminus = Some(left);
    let link = peer.engine.attach(session, config).unwrap();
    let attach = attach_of(&mut peer);
    assert_eq!((attach.handle.0, attach.initial_delivery_count.unwrap().0), (0, 0));
    let theirs = Map::new().with(named(3), ());
    peer.send(10, &Attach { unsettled: Some(theirs), ..receiver("c", 9) });
    peer.quiet();
    let mut end = peer.engine.sender(link).unwrap();
    assert_eq!(end.credit(), 0);
    let key = end.by_tag(&named(3)).unwrap();
    end.resolve(key, Some(Payload::from(Bytes::from_static(b"message")))).unwrap();
    assert_eq!(transfers(&mut peer), [], "no credit");
    peer.send(10, &credit(9, 0, 1));
    let sent = transfers(&mut peer);
    assert_eq!((sent[0].0.delivery_id, sent[0].0.delivery_tag), (Some(DeliveryNumber(0)), Some(named(3))));
}

#[test]
fn the_maps_of_both_ends_are_what_is_unsettled() {
    // 2.6-02, 2.6.12-03
    let mut pair = Pair::plain();
    let (session, _) = pair.session(session_config(), session_config());
    let (ours, theirs) = pair.link(session, sending("link"), receiving(""));
    for n in 0..6 {
        let start = DeliveryStart { tag: Some(named(n)), settled: n == 5, ..DeliveryStart::default() };
        pair.client.sender(ours).unwrap().deliver(start, Bytes::from_static(b"x")).unwrap();
    }
    pair.run();
    let mut receiver = pair.server.receiver(theirs).unwrap();
    let keys: Vec<_> = std::iter::from_fn(|| receiver.next_delivery()).map(|delivery| delivery.key).collect();
    // One is settled at both ends, another has only a state.
    receiver.settle(keys[1], ACCEPTED, true).unwrap();
    receiver.settle(keys[2], ACCEPTED, false).unwrap();
    pair.run();
    // The settlement of a third is lost with the connection: forgotten at the sender alone.
    pair.wire = Wire::Cut;
    let key = pair.client.sender(ours).unwrap().by_tag(&named(4)).unwrap();
    pair.client.sender(ours).unwrap().settle(key, None).unwrap();
    pair.run();
    pair.client.handle_eof(pair.now);
    pair.server.handle_eof(pair.now);
    events(&mut pair.client);
    events(&mut pair.server);
    for (left, ours, expected) in [
        (pair.client.take_terminus(ours).unwrap(), sending("link"), [0, 2, 3].to_vec()),
        (pair.server.take_terminus(theirs).unwrap(), receiving("link"), [0, 2, 3, 4].to_vec()),
    ] {
        let (mut peer, session) = again();
        let mut config = ours;
        config.terminus = Some(left);
        peer.engine.attach(session, config).unwrap();
        let told: BTreeSet<u8> = told(&attach_of(&mut peer)).into_iter().map(|(tag, _)| tag[0]).collect();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_termini_of_who_owns_them_are_in_force() {
    // 2.6.3-14
    let (mut peer, session) = again();
    let mut config = sending("out");
    config.terminus = Some(Terminus { unsettled: vec![delivery(1, None)] });
    let out = peer.engine.attach(session, config).unwrap();
    let ours = attach_of(&mut peer);
    assert_eq!(ours.target, Some(TargetArchetype::from(Target::at("queue"))));
    let target = TargetArchetype::from(Target::at("elsewhere"));
    let theirs = Map::new().with(named(1), ());
    peer.send(10, &Attach { target: Some(target.clone()), unsettled: Some(theirs), ..receiver("out", 9) });
    assert_eq!(of_link(peer.events(), out), [LinkEvent::Attached]);
    assert_eq!(peer.engine.remote_attach(out).unwrap().target, Some(target));
    let doubts = peer.engine.sender(out).unwrap().in_doubt();
    assert_eq!(doubts[0].resumption, Resumption::Resume(Received { section_number: 0, section_offset: 0 }));

    let mut config = receiving("in");
    config.terminus = Some(Terminus { unsettled: vec![delivery(1, None)] });
    let link = peer.engine.attach(session, config).unwrap();
    peer.frames();
    let source = SourceArchetype::from(Source::at("elsewhere"));
    let theirs = Map::new().with(named(1), ());
    peer.send(10, &Attach { source: Some(source.clone()), unsettled: Some(theirs), ..sender("in", 8) });
    assert_eq!(of_link(peer.events(), link), [LinkEvent::Attached]);
    assert_eq!(peer.engine.remote_attach(link).unwrap().source, Some(source));
    assert_eq!(peer.engine.receiver(link).unwrap().unsettled().len(), 1);
}

#[test]
fn a_link_is_recovered_by_its_name_alone() {
    // 2.6.3-15
    let target = TargetArchetype::from(Target::at("known"));
    let source = SourceArchetype::from(Source::at("known"));
    // We ask, and take what the peer says.
    let (mut peer, session) = again();
    for receives in [false, true] {
        let mut config = if receives { receiving("lost") } else { sending("lost") };
        if receives {
            config.source = None;
        } else {
            config.target = None;
        }
        config.terminus = Some(Terminus::default());
        let link = peer.engine.attach(session, config).unwrap();
        let asked = attach_of(&mut peer);
        assert_eq!((asked.source.is_some(), asked.target.is_some()), (!receives, receives));
        if receives {
            peer.send(10, &Attach { source: Some(source.clone()), ..sender("lost", 9) });
        } else {
            peer.send(10, &Attach { target: Some(target.clone()), ..receiver("lost", 8) });
        }
        assert_eq!(of_link(peer.events(), link)[0], LinkEvent::Attached);
        let found = peer.engine.remote_attach(link).unwrap();
        assert!(if receives { found.source == Some(source.clone()) } else { found.target == Some(target.clone()) });
        peer.frames();
    }
    // The peer asks.
    let (mut peer, _) = again();
    for asked in [Attach { target: None, ..sender("theirs", 5) }, Attach { source: None, ..receiver("theirs", 6) }] {
        let asked = Attach { unsettled: Some(Map::new()), ..asked };
        peer.send(10, &asked);
        let told = peer.events();
        let [Event::Link(link, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
        let mut config = if asked.role == Role::Sender { receiving("") } else { sending("") };
        (config.source, config.target) = (Some(source.clone()), Some(target.clone()));
        config.terminus = Some(Terminus::default());
        peer.engine.accept_attach(link, config).unwrap();
        let answer = attach_of(&mut peer);
        assert_eq!((&answer.source, &answer.target), (&Some(source.clone()), &Some(target.clone())));
        assert_eq!(of_link(peer.events(), link), [LinkEvent::Attached]);
    }
}

#[test]
fn what_is_to_be_recovered_and_is_not_known_is_refused() {
    // 2.6.3-16
    let (mut peer, _) = again();
    for asked in [Attach { target: None, ..sender("unknown", 5) }, Attach { source: None, ..receiver("unknown", 6) }] {
        peer.send(10, &Attach { unsettled: Some(Map::new()), ..asked });
        let told = peer.events();
        let [Event::Link(link, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
        peer.engine.refuse_attach(link, problem()).unwrap();
        let told = peer.told();
        let [attach, detach] = &told[..] else { panic!("{told:?}") };
        assert!(attach.starts_with("0 attach unknown") && attach.ends_with("null"), "{attach}");
        assert!(detach.starts_with("0 detach") && detach.ends_with("closed amqp:internal-error"), "{detach}");
    }
}

#[test]
fn the_senders_map_tells_from_where_it_can_send_again() {
    // 3.4.1-03, 3.4.6-01
    let (mut peer, session) = again();
    let mut config = sending("c");
    let states = [None, Some(received(1, 150)), Some(ACCEPTED)];
    config.terminus =
        Some(Terminus { unsettled: (1..).zip(&states).map(|(n, state)| delivery(n, state.clone())).collect() });
    let link = peer.engine.attach(session, config).unwrap();
    let state = |state: &Option<DeliveryState<'static>>| state.as_ref().map_or_else(null, encode_to_vec);
    let expected: Vec<_> = (1..).zip(&states).map(|(n, said)| (vec![n], state(said))).collect();
    assert_eq!(told(&attach_of(&mut peer)), expected);
    // A receiver that kept nothing gets all of it.
    let theirs = Map::new().with(named(1), ());
    peer.send(10, &Attach { unsettled: Some(theirs), ..receiver("c", 9) });
    peer.send(10, &credit(9, 0, 5));
    peer.quiet();
    let mut end = peer.engine.sender(link).unwrap();
    let key = end.by_tag(&named(1)).unwrap();
    end.resolve(key, Some(Payload::from(Bytes::from_static(b"message")))).unwrap();
    let sent = transfers(&mut peer);
    assert!(sent[0].0.resume && sent[0].1 == b"message");
}

#[test]
fn received_is_said_only_where_a_delivery_is_resumed() {
    // 3.4.1-05
    let mut peer = Script::client(config(), amqp10_codec::Open { max_frame_size: 512, ..open() });
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &answer(0));
    peer.quiet();
    let mut config = sending("c");
    config.snd_settle_mode = SenderSettleMode::Mixed;
    config.terminus = Some(Terminus { unsettled: vec![delivery(1, None), delivery(2, None), delivery(3, None)] });
    let link = peer.engine.attach(session, config).unwrap();
    peer.frames();
    let theirs = Map::new().with(named(1), received(0, 100)).with(named(3), received(0, 100));
    peer.send(10, &Attach { unsettled: Some(theirs), ..receiver("c", 9) });
    peer.send(10, &credit(9, 0, 50));
    peer.quiet();
    let mut end = peer.engine.sender(link).unwrap();
    let message = Bytes::from(vec![7; 2000]);
    for n in [1, 2] {
        let key = end.by_tag(&named(n)).unwrap();
        end.resolve(key, Some(Payload::from(message.clone()))).unwrap();
    }
    let key = end.by_tag(&named(3)).unwrap();
    end.settle(key, Some(received(0, 100))).unwrap();
    let start = DeliveryStart { tag: Some(named(4)), ..DeliveryStart::default() };
    end.deliver(start, message).unwrap();
    let sent = transfers(&mut peer);
    assert!(sent.len() > 12, "several transfers each");
    for (n, (transfer, _)) in sent.iter().enumerate() {
        assert_eq!(transfer.state, (n == 0).then(|| received(0, 100)), "{n}");
    }
    // Nor when the application says so.
    let mut end = peer.engine.sender(link).unwrap();
    for n in [1, 4] {
        let key = end.by_tag(&named(n)).unwrap();
        end.settle(key, Some(received(0, 100))).unwrap();
        let frames = peer.frames();
        let [(0, Performative::Disposition(said), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((said.role, said.settled, &said.state), (Role::Sender, true, &None));
        end = peer.engine.sender(link).unwrap();
    }
}

#[test]
fn data_that_is_gone_is_reported() {
    // 3.4.6-13
    let (mut peer, session) = again();
    let mut config = sending("c");
    config.terminus = Some(Terminus { unsettled: vec![delivery(5, Some(received(0, 200)))] });
    let link = peer.engine.attach(session, config).unwrap();
    peer.frames();
    peer.send(10, &Attach { unsettled: Some(Map::new()), ..receiver("c", 9) });
    peer.send(10, &credit(9, 0, 50));
    peer.quiet();
    let mut end = peer.engine.sender(link).unwrap();
    let doubt = end.in_doubt().remove(0);
    assert_eq!(doubt.resumption, Resumption::Resend);
    // There is nothing to send again, and it stays in doubt until the application has taken note.
    assert_eq!(end.resolve(doubt.key, None), Ok(Resumption::Resend));
    assert_eq!(end.in_doubt(), std::slice::from_ref(&doubt));
    end.settle(doubt.key, None).unwrap();
    assert!(end.in_doubt().is_empty() && end.unsettled().is_empty());
    assert_eq!(peer.told(), [] as [&str; 0]);
}

#[test]
fn no_outcome_stands_in_the_senders_map_before_the_receiver_has_told_one() {
    // 3.4.6-21
    let mut scene = Scene::new(Wire::Octets);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    for n in 1..=4 {
        send(&mut scene.peer, c, n);
    }
    scene.peer.quiet();
    let mut said = disposition(Role::Receiver, 1, 1, false);
    said.state = Some(received(0, 3));
    scene.peer.send(10, &said);
    scene.peer.send(10, &disposition(Role::Receiver, 2, 2, false));
    let left = lose(&mut scene, c);
    let (mut peer, session) = again();
    let mut config = sending("c");
    config.terminus = Some(left);
    peer.engine.attach(session, config).unwrap();
    let accepted = encode_to_vec(&ACCEPTED);
    let expected = [(vec![1], null()), (vec![2], null()), (vec![3], accepted), (vec![4], null())];
    assert_eq!(told(&attach_of(&mut peer)), expected);
}

#[test]
fn a_disposition_behind_the_detach_is_told_by_the_next_attach() {
    // 2.7.6-12, 2.7.6-13
    for failed in [false, true] {
        for ours in [false, true] {
            let mut scene = Scene::new(Wire::Octets);
            let c = scene.c;
            scene.peer.send(10, &credit(7, 0, 5));
            send(&mut scene.peer, c, 1);
            send(&mut scene.peer, c, 2);
            scene.peer.quiet();
            let error = failed.then(problem);
            if ours {
                scene.peer.engine.detach(c, false, error.clone());
                scene.peer.send(10, &detach(7, false));
            } else {
                scene.peer.send(10, &amqp10_codec::Detach { error: error.clone(), ..detach(7, false) });
            }
            let end = if ours { Ended::Local } else { Ended::Remote(error) };
            let last = LinkEvent::Detached { closed: false, end };
            assert_eq!(of_link(scene.peer.events(), c).last(), Some(&last));
            scene.peer.frames();
            // After an error of ours it ends the session.
            if !(failed && ours) {
                scene.peer.send(10, &disposition(Role::Receiver, 0, 0, false));
                scene.peer.events();
            }
            let mut config = sending("c");
            config.terminus = Some(scene.peer.engine.take_terminus(c).unwrap());
            scene.peer.engine.attach(scene.one, config).unwrap();
            let state = if failed { null() } else { encode_to_vec(&ACCEPTED) };
            assert_eq!(told(&attach_of(&mut scene.peer)), [(vec![1], state), (vec![2], null())]);
        }
    }
}

#[test]
fn how_a_delivery_is_settled_is_not_kept() {
    // 2.7.5-27
    use ReceiverSettleMode::{First, Second};
    for (before, after) in [(First, Second), (Second, First)] {
        let mut scene = Scene::new(Wire::Octets);
        let mut config = receiving("r");
        config.rcv_settle_mode = Second;
        let link = scene.peer.engine.attach(scene.one, config).unwrap();
        scene.peer.send(10, &sender("r", 9));
        scene.peer.quiet();
        let transfer = Transfer { rcv_settle_mode: Some(before), batchable: true, ..first(9, 0) };
        scene.peer.transfer(10, &transfer, b"x");
        scene.peer.engine.receiver(link).unwrap().next_delivery().unwrap();
        let left = lose(&mut scene, link);
        let (mut peer, session) = again();
        let mut config = receiving("r");
        (config.rcv_settle_mode, config.terminus) = (after, Some(left));
        let link = peer.engine.attach(session, config).unwrap();
        let theirs = Map::new().with(tag(0), ());
        peer.send(10, &Attach { unsettled: Some(theirs), ..sender("r", 9) });
        peer.quiet();
        peer.transfer(10, &Transfer { resume: true, ..first(9, 0) }, b"x");
        peer.quiet();
        let mut end = peer.engine.receiver(link).unwrap();
        let key = end.by_tag(&tag(0)).unwrap();
        end.settle(key, ACCEPTED, true).unwrap();
        let settled = if after == First { " settled" } else { "" };
        assert_eq!(peer.told(), [format!("0 disposition receiver 0{settled}")]);
    }
}

#[test]
fn links_are_resumed_until_both_maps_are_whole() {
    // 2.6.13-08, 2.7.3-19
    const MANY: u8 = 200;
    let mut ours = Terminus { unsettled: (0..MANY).map(|n| delivery(n, None)).collect() };
    let mut theirs = Terminus { unsettled: (0..MANY).rev().map(|n| delivery(n, None)).collect() };
    for incomplete in 0..100 {
        let mut small = config();
        small.max_frame_size = 512;
        let mut pair = Pair::opened(small.clone(), small);
        let (session, _) = pair.session(session_config(), session_config());
        let (mut out, mut r#in) = (sending("link"), receiving(""));
        (out.terminus, r#in.terminus) = (Some(ours), Some(theirs));
        let (out, r#in) = pair.link(session, out, r#in);
        events(&mut pair.client);
        let mut end = pair.client.sender(out).unwrap();
        let start = DeliveryStart { tag: Some(DeliveryTag::new(b"new").unwrap()), ..DeliveryStart::default() };
        if !end.is_unsettled_incomplete() {
            assert!(incomplete > 2, "it was detached and attached at least once");
            assert!(end.begin_delivery(start).is_ok());
            return;
        }
        assert_eq!(end.begin_delivery(start), Err(SendError::UnsettledIncomplete));
        for doubt in end.in_doubt() {
            if matches!(doubt.resumption, Resumption::Resume(_)) {
                let message = Payload::from(Bytes::from_static(b"message"));
                end.resolve(doubt.key, Some(message)).unwrap();
            }
        }
        let before = end.unsettled().len();
        pair.run();
        while !pair.server.receiver(r#in).unwrap().unsettled().is_empty() {
            let mut resumed = 0;
            for event in of_link(events(&mut pair.server), r#in) {
                if let LinkEvent::Resumed { key, .. } = event {
                    pair.server.receiver(r#in).unwrap().settle(key, ACCEPTED, true).unwrap();
                    pair.server.receiver(r#in).unwrap().taken(1, 0);
                    resumed += 1;
                }
            }
            pair.run();
            if resumed == 0 {
                break;
            }
        }
        let end = pair.client.sender(out).unwrap();
        assert!(end.unsettled().len() < before, "unsettled state was reduced");
        pair.client.detach(out, false, None);
        pair.run();
        events(&mut pair.client);
        events(&mut pair.server);
        ours = pair.client.take_terminus(out).unwrap();
        theirs = pair.server.take_terminus(r#in).unwrap();
    }
    panic!("still incomplete");
}
