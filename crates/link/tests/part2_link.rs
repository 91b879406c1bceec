//! Part 2 of the specification, what belongs to links: requirements that no other test asserts. And of Part 3 what an engine
//! without knowledge of messages can keep.

mod support;

use std::collections::HashSet;

use amqp10_codec::{
    Attach, DeliveryState, Described, Disposition, DistributionMode, Flow, List, Map, Message, MessageFormat, Modified,
    Performative, ReceiverSettleMode, Rejected, Role, SenderSettleMode, SequenceNo, Source, Symbol, Target,
    TargetArchetype, Transfer, TransferNumber,
};
use amqp10_link::{
    CreditMode, Delivery, DeliveryKey, DeliveryStart, Event, LinkConfig, LinkEvent, LinkId, SendError, SettleError,
};
use bytes::Bytes;
use support::scene::{CREDIT, Scene, config, receiving, sending, session_config};
use support::script::*;
use support::{Pair, Script, Wire, events};

const NOTHING: [&str; 0] = [];

fn more(transfer: Transfer<'_>) -> Transfer<'_> {
    Transfer { more: true, ..transfer }
}

fn send_with(peer: &mut Script, link: LinkId, start: DeliveryStart, octets: usize) -> DeliveryKey {
    let mut sender = peer.engine.sender(link).unwrap();
    let key = sender.begin_delivery(start).unwrap();
    sender.write(key, Bytes::from(vec![1; octets])).unwrap();
    sender.finish(key).unwrap();
    key
}

fn send(peer: &mut Script, link: LinkId) -> DeliveryKey {
    send_with(peer, link, DeliveryStart::default(), 1)
}

fn take(peer: &mut Script, link: LinkId) -> Vec<Delivery> {
    let mut receiver = peer.engine.receiver(link).unwrap();
    std::iter::from_fn(|| receiver.next_delivery()).collect()
}

/// What a link of ours tells of itself when it is asked.
fn told_flow(peer: &mut Script, flow: Flow<'static>) -> Flow<'static> {
    peer.frames();
    peer.send(10, &Flow { echo: true, ..flow });
    let frames = peer.frames();
    let [(0, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    flow.clone()
}

/// The transfers that were sent, with their payloads.
fn transfers(peer: &mut Script) -> Vec<(Transfer<'static>, Vec<u8>)> {
    let transfer =
        |(_, body, payload)| if let Performative::Transfer(found) = body { Some((found, payload)) } else { None };
    peer.frames().into_iter().filter_map(transfer).collect()
}

/// A link more in session one, attached by the engine as its fourth and by the peer as 8, with credit where the engine sends.
fn attached(scene: &mut Scene, config: LinkConfig, answer: Attach<'static>) -> LinkId {
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    scene.peer.send(10, &answer);
    if answer.role == Role::Receiver {
        scene.peer.send(10, &credit(8, 0, 100));
    }
    scene.peer.quiet();
    link
}

#[test]
fn names_may_be_long() {
    // 2.6.1-03
    let name: &'static str = "n".repeat(10_000).leak();
    let mut scene = Scene::new(Wire::Octets);
    let ours = scene.peer.engine.attach(scene.one, receiving(name)).unwrap();
    scene.peer.send(10, &sender(name, 8));
    assert_eq!(scene.peer.events(), [Event::Link(ours, LinkEvent::Attached)]);
    scene.peer.send(10, &receiver(name, 9));
    let told = scene.peer.events();
    let [Event::Link(theirs, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    scene.peer.engine.accept_attach(theirs, sending("")).unwrap();
    assert_eq!(scene.peer.events(), [Event::Link(theirs, LinkEvent::Attached)]);
}

#[test]
fn a_link_is_attached_while_both_ends_have_a_handle() {
    // 2.6.2-02, 2.6.2-03
    let mut scene = Scene::new(Wire::Whole);
    let link = scene.peer.engine.attach(scene.one, sending("new")).unwrap();
    assert_eq!(scene.peer.told(), ["0 attach new handle 3"]);
    let begin = |peer: &mut Script| peer.engine.sender(link).unwrap().begin_delivery(DeliveryStart::default());
    assert_eq!(begin(&mut scene.peer), Err(SendError::Detached), "half attached");
    scene.peer.send(10, &receiver("new", 8));
    assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Attached)]);
    assert_eq!(begin(&mut scene.peer), Err(SendError::NoCredit));
    scene.peer.send(10, &Flow { echo: true, ..credit(8, 0, 2) });
    send(&mut scene.peer, link);
    assert_eq!(scene.peer.told(), ["0 flow handle 3 count 0 credit 2", "0 transfer handle 3 id 0 of 1"]);
    scene.peer.send(10, &detach(8, false));
    assert_eq!(begin(&mut scene.peer), Err(SendError::Detached));
    assert_eq!(scene.peer.told(), ["0 detach handle 3"]);
}

#[test]
fn the_lowest_free_handle_is_taken() {
    // 2.7.3-04, 2.7.3-06
    let mut scene = Scene::new(Wire::Whole);
    // Three are attached: 0, 1 and 2.
    scene.peer.engine.detach(scene.b, true, None);
    scene.peer.engine.attach(scene.one, receiving("early")).unwrap();
    assert_eq!(scene.peer.told(), ["0 detach handle 1 closed", "0 attach early handle 3"], "1 is not free yet");
    scene.peer.send(10, &detach(6, true));
    scene.peer.engine.attach(scene.one, receiving("late")).unwrap();
    scene.peer.engine.attach(scene.one, receiving("later")).unwrap();
    assert_eq!(scene.peer.told(), ["0 attach late handle 1", "0 attach later handle 4"]);
}

#[test]
fn what_the_peer_says_of_its_own_end_is_in_force() {
    // 2.6.3-09, 2.7.3-07
    let mut scene = Scene::new(Wire::Octets);
    // We ask for second, the receiver settles first; the target is not the one we named.
    let mut config = sending("out");
    config.rcv_settle_mode = ReceiverSettleMode::Second;
    let answer = Attach { target: Some(Target::at("elsewhere").into()), ..receiver("out", 8) };
    let out = attached(&mut scene, config, answer);
    let found = scene.peer.engine.remote_attach(out).unwrap();
    assert_eq!(found.rcv_settle_mode, ReceiverSettleMode::First);
    assert_eq!(found.target, Some(TargetArchetype::from(Target::at("elsewhere"))));
    // We ask for settled deliveries, the sender sends unsettled ones; we ask the peer for nothing as to our own mode.
    let mut config = receiving("in");
    config.snd_settle_mode = SenderSettleMode::Settled;
    config.rcv_settle_mode = ReceiverSettleMode::First;
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    let answer = Attach {
        snd_settle_mode: SenderSettleMode::Unsettled,
        rcv_settle_mode: ReceiverSettleMode::Second,
        source: Some(Source::at("elsewhere").into()),
        ..sender("in", 9)
    };
    scene.peer.send(10, &answer);
    scene.peer.quiet();
    let found = scene.peer.engine.remote_attach(link).unwrap();
    assert_eq!(found.source, Some(Source::at("elsewhere").into()));
    scene.peer.deliver(10, 9, 0, b"x");
    let delivery = take(&mut scene.peer, link).pop().unwrap();
    assert!(!delivery.settled);
    scene.peer.engine.receiver(link).unwrap().settle(delivery.key, DeliveryState::Accepted, true).unwrap();
    assert!(scene.peer.told().contains(&"0 disposition receiver 0 settled".to_owned()));
}

#[test]
fn deliveries_are_counted_not_frames() {
    // 2.6.7-01, 2.6.7-02, 2.6.7-03, 2.7.4-13
    let mut scene = Scene::new(Wire::Octets);
    let mut config = sending("out");
    config.initial_delivery_count = SequenceNo(u32::MAX);
    let out = attached(&mut scene, config, receiver("out", 8));
    scene.peer.send(10, &credit(8, u32::MAX, 10));
    let mut end = scene.peer.engine.sender(out).unwrap();
    let key = end.begin_delivery(DeliveryStart::default()).unwrap();
    for _ in 0..3 {
        scene.peer.engine.sender(out).unwrap().write(key, Bytes::from_static(b"x")).unwrap();
        assert_eq!(scene.peer.told().len(), 1);
    }
    scene.peer.engine.sender(out).unwrap().finish(key).unwrap();
    assert_eq!(told_flow(&mut scene.peer, credit(8, u32::MAX, 10)).delivery_count, Some(SequenceNo(0)));
    // Whatever the receiver takes it for.
    assert_eq!(told_flow(&mut scene.peer, credit(8, 77, 10)).delivery_count, Some(SequenceNo(0)));

    let link = scene.peer.engine.attach(scene.one, receiving("in")).unwrap();
    scene.peer.send(10, &Attach { initial_delivery_count: Some(SequenceNo(u32::MAX)), ..sender("in", 9) });
    scene.peer.quiet();
    scene.peer.transfer(10, &more(first(9, 0)), b"a");
    scene.peer.transfer(10, &more(next(9)), b"b");
    scene.peer.transfer(10, &next(9), b"c");
    scene.peer.deliver(10, 9, 1, b"x");
    scene.peer.engine.receiver(link).unwrap().set_credit(7);
    assert_eq!(scene.peer.told().last().unwrap(), "0 flow handle 4 count 1 credit 7");
}

#[test]
fn the_receiver_sets_the_limit() {
    // 2.6.7-04
    for wire in [Wire::Whole, Wire::Octets] {
        let mut pair = Pair::opened(config(), config());
        pair.wire = wire;
        let (session, _) = pair.session(session_config(), session_config());
        let mut manual = receiving("link");
        manual.credit = CreditMode::Manual;
        let (ours, theirs) = pair.link(session, manual, sending(""));
        let mut sent = 0;
        for granted in [10, 3] {
            pair.client.receiver(ours).unwrap().set_credit(granted);
            pair.run();
            let mut end = pair.server.sender(theirs).unwrap();
            while let Ok(key) = end.begin_delivery(DeliveryStart::default()) {
                end.finish(key).unwrap();
                sent += 1;
            }
            pair.run();
        }
        assert_eq!(sent, 13);
        let mut end = pair.client.receiver(ours).unwrap();
        assert_eq!(std::iter::from_fn(|| end.next_delivery()).count(), 13);
        events(&mut pair.client);
    }
}

#[test]
fn how_many_wait_is_told_by_the_sender_alone() {
    // 2.6.7-13, 2.6.7-14, 2.7.4-16
    let mut scene = Scene::new(Wire::Whole);
    let (a, c) = (scene.a, scene.c);
    scene.peer.send(10, &credit(7, 0, 10));
    scene.peer.engine.sender(c).unwrap().set_available(5);
    // What the receiver says of it is nothing to us.
    let flow = told_flow(&mut scene.peer, Flow { available: Some(99), ..credit(7, 0, 10) });
    assert_eq!(flow.available, Some(5));
    scene.peer.engine.sender(c).unwrap().set_available(0);
    assert_eq!(told_flow(&mut scene.peer, credit(7, 0, 10)).available, Some(0));
    send(&mut scene.peer, c);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1"]);

    let flow = told_flow(&mut scene.peer, Flow { available: Some(3), ..credit(5, 0, CREDIT) });
    assert!(flow.available.is_none_or(|available| available == 3));
    assert_eq!(scene.peer.engine.receiver(a).unwrap().available(), Some(3));
}

#[test]
fn what_was_begun_and_has_not_left_waits_too() {
    // 2.6.7-13
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    let closed = |credit| Flow { incoming_window: 0, ..credit };
    scene.peer.send(10, &closed(credit(7, 0, 10)));
    scene.peer.engine.sender(c).unwrap().set_available(5);
    send(&mut scene.peer, c);
    send(&mut scene.peer, c);
    let flow = told_flow(&mut scene.peer, closed(credit(7, 0, 10)));
    assert_eq!((flow.available, flow.delivery_count), (Some(7), Some(SequenceNo(0))));
    scene.peer.send(10, &credit(7, 0, 10));
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1", "0 transfer handle 2 id 1 of 1"]);
    let flow = told_flow(&mut scene.peer, Flow { next_incoming_id: Some(TransferNumber(2)), ..credit(7, 2, 8) });
    assert_eq!((flow.available, flow.delivery_count), (Some(5), Some(SequenceNo(2))));
}

#[test]
fn what_waits_at_the_sender_is_counted_down_to_zero() {
    // 2.6.7-15
    let mut scene = Scene::new(Wire::Octets);
    let a = scene.a;
    let available = |peer: &mut Script| peer.engine.receiver(a).unwrap().available();
    scene.peer.deliver(10, 5, 0, b"x");
    assert_eq!(available(&mut scene.peer), None, "nothing was said");
    scene.peer.send(10, &Flow { available: Some(2), ..credit(5, 1, 9) });
    for (id, expected) in [(1, 1), (2, 0), (3, 0)] {
        scene.peer.transfer(10, &more(first(5, id)), b"x");
        scene.peer.transfer(10, &next(5), b"x");
        assert_eq!(available(&mut scene.peer), Some(expected));
    }
}

#[test]
fn a_link_comes_to_rest() {
    // 2.6.10-02
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 5));
    send(&mut scene.peer, c);
    assert_eq!(scene.peer.told().len(), 1);
    for _ in 0..2 {
        send(&mut scene.peer, c);
    }
    scene.peer.send(10, &Flow { echo: true, ..credit(7, 0, 0) });
    assert_eq!(scene.peer.told(), ["0 flow handle 2 count 1 credit 0"]);
    assert_eq!(scene.peer.told(), NOTHING);
}

#[test]
fn tags_are_of_one_delivery_as_long_as_it_is_unsettled() {
    // 2.6.12-01, 2.6.12-02
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &Flow { incoming_window: 2_000, ..credit(7, 0, 2_000) });
    for _ in 0..1_000 {
        send(&mut scene.peer, c);
    }
    let told = transfers(&mut scene.peer);
    let tags: HashSet<_> = told.iter().map(|(transfer, _)| transfer.delivery_tag.unwrap()).collect();
    assert_eq!(tags.len(), 1_000);
    let start = || DeliveryStart { tag: told[7].0.delivery_tag, ..DeliveryStart::default() };
    let refused = scene.peer.engine.sender(c).unwrap().begin_delivery(start());
    assert_eq!(refused, Err(SendError::DuplicateTag));
    scene.peer.send(10, &disposition(Role::Receiver, 7, 7, true));
    send_with(&mut scene.peer, c, start(), 1);
    assert_eq!(transfers(&mut scene.peer)[0].0.delivery_tag, told[7].0.delivery_tag);
}

#[test]
fn what_is_settled_at_one_end_is_settled_at_the_other_without_a_word() {
    // 2.6.12-08, 2.6.12-09, 2.6.12-12, 2.7.6-11
    let mut scene = Scene::new(Wire::Octets);
    let (a, c) = (scene.a, scene.c);
    // The sender settles what is here, and what is still arriving.
    scene.peer.deliver(10, 5, 0, b"x");
    scene.peer.transfer(10, &more(first(5, 1)), b"y");
    scene.peer.send(10, &disposition(Role::Sender, 0, 1, true));
    assert_eq!(scene.peer.told(), NOTHING);
    scene.peer.transfer(10, &next(5), b"z");
    assert!(scene.peer.engine.receiver(a).unwrap().unsettled().is_empty());
    // It sends what is settled.
    scene.peer.transfer(10, &Transfer { settled: Some(true), ..first(5, 2) }, b"x");
    for delivery in take(&mut scene.peer, a) {
        let settled = scene.peer.engine.receiver(a).unwrap().settle(delivery.key, DeliveryState::Accepted, true);
        assert_eq!(settled, Err(SettleError::Unknown));
    }
    assert!(!scene.peer.told().iter().any(|frame| frame.contains("disposition")));
    // We send what is settled, and nothing that the receiver says of it counts.
    scene.peer.send(10, &credit(7, 0, 10));
    let key = send_with(&mut scene.peer, c, DeliveryStart { settled: true, ..DeliveryStart::default() }, 1);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 settled of 1"]);
    let mut end = scene.peer.engine.sender(c).unwrap();
    assert!(end.unsettled().is_empty());
    let outcome = end.next_outcome().unwrap();
    assert_eq!((outcome.key, outcome.state, outcome.settled), (key, None, true));
    scene.peer.events();
    scene.peer.send(10, &disposition(Role::Receiver, 0, 0, false));
    assert_eq!(scene.peer.events(), []);
    // We settle what nobody has said anything of.
    let key = send(&mut scene.peer, c);
    scene.peer.frames();
    scene.peer.engine.sender(c).unwrap().settle(key, None).unwrap();
    let frames = scene.peer.frames();
    let [(0, Performative::Disposition(told), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((told.role, told.first.0, told.settled, &told.state), (Role::Sender, 1, true, &None));
}

#[test]
fn a_delivery_goes_out_whole_in_parts_or_not_at_all() {
    // 2.6.14-06, 2.7.5-36
    let mut scene = Scene::new(Wire::Octets);
    let (a, c) = (scene.a, scene.c);
    scene.peer.send(10, &credit(7, 0, 10));
    let begin =
        |scene: &mut Scene| scene.peer.engine.sender(c).unwrap().begin_delivery(DeliveryStart::default()).unwrap();
    let write = |scene: &mut Scene, key| {
        scene.peer.engine.sender(c).unwrap().write(key, Bytes::from_static(b"x")).unwrap();
    };
    // NOT_SENT to SENT.
    send(&mut scene.peer, c);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 0 of 1"]);
    // NOT_SENT to SENDING to SENDING to SENT.
    let key = begin(&mut scene);
    write(&mut scene, key);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 1 more of 1"]);
    write(&mut scene, key);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 more of 1"]);
    scene.peer.engine.sender(c).unwrap().finish(key).unwrap();
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 of 0"]);
    // NOT_SENT to SENDING to ABORTED.
    let key = begin(&mut scene);
    write(&mut scene, key);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 2 more of 1"]);
    scene.peer.engine.sender(c).unwrap().abort(key).unwrap();
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 aborted of 0"]);

    // The same, coming in.
    scene.peer.deliver(10, 5, 0, b"a");
    scene.peer.transfer(10, &more(first(5, 1)), b"b");
    scene.peer.transfer(10, &more(next(5)), b"c");
    scene.peer.transfer(10, &next(5), b"d");
    scene.peer.transfer(10, &more(first(5, 2)), b"gone");
    scene.peer.transfer(10, &Transfer { aborted: true, ..next(5) }, b"");
    scene.peer.deliver(10, 5, 3, b"e");
    let found: Vec<_> = take(&mut scene.peer, a).into_iter().map(|found| found.payload.into_bytes()).collect();
    assert_eq!(found, [&b"a"[..], b"bcd", b"e"]);
}

#[test]
fn half_a_delivery_is_never_handed_over() {
    // 2.6.14-09
    for ending in ["detach", "end", "close", "cut"] {
        let mut scene = Scene::new(Wire::Whole);
        let a = scene.a;
        scene.peer.transfer(10, &more(first(5, 0)), b"half");
        scene.peer.quiet();
        match ending {
            "detach" => scene.peer.send(10, &detach(5, false)),
            "end" => scene.peer.send(10, &end()),
            "close" => scene.peer.send(0, &close()),
            _ => scene.peer.engine.handle_eof(scene.peer.now),
        }
        let told = scene.peer.events();
        assert!(!told.contains(&Event::Link(a, LinkEvent::DeliveryComplete)), "{ending}: {told:?}");
        assert!(scene.peer.engine.receiver(a).unwrap().next_delivery().is_none(), "{ending}");
    }
}

#[test]
fn an_attach_that_says_no_more_than_it_must() {
    // 2.7.3-03, 3.5.3-03, 3.5.3-17, 3.5.4-03
    let mut scene = Scene::new(Wire::Octets);
    // Name, handle, role, termini of which nothing is said, and the initial-delivery-count.
    let attach = |role: u8, handle: u8| {
        let list =
            [b"\xa1\x03new\x52", &[handle, role][..], b"\x40\x40\0\x53\x28\x45\0\x53\x29\x45\x40\x40\x43"].concat();
        let mut octets =
            [&[0, 0, 0, 0, 2, 0, 0, 10, 0, 0x53, 0x12, 0xc0, list.len() as u8 + 1, 10][..], &list].concat();
        octets[3] = octets.len() as u8;
        octets
    };
    scene.peer.octets(&attach(0x41, 9));
    let told = scene.peer.events();
    let [Event::Link(out, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    scene.peer.engine.accept_attach(out, sending("")).unwrap();
    assert_eq!(scene.peer.events(), [Event::Link(out, LinkEvent::Attached)]);
    scene.peer.octets(&attach(0x42, 8));
    let told = scene.peer.events();
    let [Event::Link(link, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    scene.peer.engine.accept_attach(link, receiving("")).unwrap();
    let found = scene.peer.engine.remote_attach(link).unwrap();
    let modes = (found.snd_settle_mode, found.rcv_settle_mode, found.incomplete_unsettled);
    assert_eq!(modes, (SenderSettleMode::Mixed, ReceiverSettleMode::First, false));
    scene.peer.quiet();
    scene.peer.deliver(10, 8, 0, b"x");
    scene.peer.transfer(10, &Transfer { settled: Some(true), ..first(8, 1) }, b"x");
    let found = take(&mut scene.peer, link);
    assert_eq!(found.iter().map(|found| found.settled).collect::<Vec<_>>(), [false, true]);
    scene.peer.engine.receiver(link).unwrap().settle(found[0].key, DeliveryState::Accepted, true).unwrap();
    assert!(scene.peer.told().contains(&"0 disposition receiver 0 settled".to_owned()));
}

#[test]
fn a_receiver_has_no_initial_delivery_count() {
    // 2.7.3-20, 2.7.3-21
    let mut scene = Scene::new(Wire::Octets);
    let answer = Attach { initial_delivery_count: Some(SequenceNo(77)), ..receiver("out", 8) };
    scene.peer.engine.attach(scene.one, sending("out")).unwrap();
    let frames = scene.peer.frames();
    let [(0, Performative::Attach(attach), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(attach.initial_delivery_count, Some(SequenceNo(0)));
    scene.peer.send(10, &answer);
    assert_eq!(told_flow(&mut scene.peer, credit(8, 0, 10)).delivery_count, Some(SequenceNo(0)));
    // And a sender has to have one.
    scene.peer.send(10, &Attach { initial_delivery_count: None, ..sender("in", 9) });
    assert_eq!(scene.peer.told(), ["0 end amqp:invalid-field"]);
}

#[test]
fn messages_are_as_large_as_the_receiver_says() {
    // 2.7.3-22, 2.7.3-23
    for limit in [None, Some(0), Some(100)] {
        let limited = limit == Some(100);
        let mut scene = Scene::new(Wire::Whole);
        let out = attached(&mut scene, sending("out"), Attach { max_message_size: limit, ..receiver("out", 8) });
        let mut end = scene.peer.engine.sender(out).unwrap();
        let key = end.begin_delivery(DeliveryStart::default()).unwrap();
        end.write(key, Bytes::from(vec![0; 100])).unwrap();
        let beyond = end.write(key, Bytes::from_static(b"x"));
        assert_eq!(beyond, if limited { Err(SendError::MessageTooLarge) } else { Ok(()) }, "{limit:?}");

        let mut config = receiving("in");
        config.max_message_size = limit;
        let link = scene.peer.engine.attach(scene.one, config).unwrap();
        scene.peer.send(10, &sender("in", 9));
        scene.peer.quiet();
        scene.peer.deliver(10, 9, 0, &[0; 100]);
        scene.peer.deliver(10, 9, 1, &[0; 60_000]);
        let told = scene.peer.told();
        let refused = "0 detach handle 4 closed amqp:link:message-size-exceeded".to_owned();
        assert_eq!(told.contains(&refused), limited, "{limit:?}: {told:?}");
        // What was whole before the fault can still be taken.
        let expected = if limited { 1 } else { 2 };
        assert_eq!(take(&mut scene.peer, link).len(), expected, "{limit:?}");
    }
}

#[test]
fn a_receiver_grants_nothing_before_it_knows_the_count_of_the_sender() {
    // 2.7.4-14
    let mut scene = Scene::new(Wire::Whole);
    let link = scene.peer.engine.attach(scene.one, receiving("new")).unwrap();
    scene.peer.engine.receiver(link).unwrap().set_credit(5);
    let early = scene.peer.frames();
    assert!(early.iter().all(|(_, body, _)| match body {
        Performative::Flow(flow) => flow.delivery_count.is_none(),
        _ => true,
    }));
    scene.peer.send(10, &Attach { initial_delivery_count: Some(SequenceNo(9)), ..sender("new", 8) });
    assert_eq!(scene.peer.told(), ["0 flow handle 3 count 9 credit 5"]);
}

#[test]
fn the_first_transfer_says_what_is_true_of_all() {
    // 2.7.5-11, 3.2.16-01
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &credit(7, 0, 10));
    for format in [MessageFormat(0), MessageFormat(0x8001_3700)] {
        let start = DeliveryStart { message_format: format, ..DeliveryStart::default() };
        send_with(&mut scene.peer, c, start, 300_000);
        let told = transfers(&mut scene.peer);
        assert!(told.len() > 2);
        assert_eq!(told[0].0.message_format, Some(format));
        assert!(told[1..].iter().all(|(transfer, _)| transfer.message_format.is_none_or(|found| found == format)));
    }
    assert_eq!(DeliveryStart::default().message_format, MessageFormat(0), "that of messages");
}

#[test]
fn messages_of_other_formats_pass_as_they_are() {
    // 2.8.11-02
    let mut scene = Scene::new(Wire::Octets);
    let a = scene.a;
    for (id, format) in [(0, MessageFormat(1)), (1, MessageFormat(0x8001_3700))] {
        scene.peer.transfer(10, &Transfer { message_format: Some(format), ..first(5, id) }, b"\xff no section");
        let found = take(&mut scene.peer, a).pop().unwrap();
        assert_eq!((found.message_format, &found.payload.into_bytes()[..]), (format, &b"\xff no section"[..]));
    }
}

#[test]
fn the_settle_mode_of_a_sender_is_kept() {
    // 2.7.5-16, 2.7.5-17, 2.8.2-02
    use SenderSettleMode::{Mixed, Settled, Unsettled};
    let expected = [(Mixed, [false, true]), (Settled, [true, true]), (Unsettled, [false, false])];
    for (mode, expected) in expected {
        let mut scene = Scene::new(Wire::Whole);
        let mut config = sending("out");
        config.snd_settle_mode = mode;
        let link = attached(&mut scene, config, receiver("out", 8));
        for (settled, expected) in [false, true].into_iter().zip(expected) {
            send_with(&mut scene.peer, link, DeliveryStart { settled, ..DeliveryStart::default() }, 200_000);
            let told = transfers(&mut scene.peer);
            assert!(told.len() > 1);
            let found = told.iter().any(|(transfer, _)| transfer.settled == Some(true));
            assert_eq!(found, expected, "{mode:?}, asked for settled: {settled}");
        }
    }
}

#[test]
fn a_sender_that_does_not_keep_its_settle_mode_is_tolerated() {
    // 2.7.5-18
    use SenderSettleMode::{Settled, Unsettled};
    for (mode, settled) in [(Unsettled, Some(true)), (Settled, None)] {
        let mut scene = Scene::new(Wire::Octets);
        let link = attached(&mut scene, receiving("in"), Attach { snd_settle_mode: mode, ..sender("in", 8) });
        scene.peer.transfer(10, &Transfer { settled, ..first(8, 0) }, b"x");
        let found = take(&mut scene.peer, link).pop().unwrap();
        assert!(found.settled, "{mode:?}");
        assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
        assert!(!scene.peer.told().iter().any(|frame| frame.contains("detach") || frame.contains("end")));
    }
}

#[test]
fn the_settle_mode_of_a_receiver_is_kept_and_a_transfer_may_be_more_lenient() {
    // 2.7.5-22, 2.7.5-26, 2.7.5-41, 2.8.3-02
    use ReceiverSettleMode::{First, Second};
    // The mode of the link, that of the transfer, and whether the receiver settles at once.
    for (link_mode, mode, at_once) in
        [(First, None, true), (First, Some(First), true), (Second, None, false), (Second, Some(First), true)]
    {
        let mut scene = Scene::new(Wire::Octets);
        let mut config = receiving("in");
        config.rcv_settle_mode = link_mode;
        let link = attached(&mut scene, config, Attach { rcv_settle_mode: link_mode, ..sender("in", 8) });
        scene.peer.transfer(10, &Transfer { rcv_settle_mode: mode, ..first(8, 0) }, b"x");
        let key = take(&mut scene.peer, link)[0].key;
        let mut end = scene.peer.engine.receiver(link).unwrap();
        end.settle(key, DeliveryState::Accepted, true).unwrap();
        assert_eq!(end.unsettled().is_empty(), at_once, "{link_mode:?} {mode:?}");
        let expected = if at_once { "0 disposition receiver 0 settled" } else { "0 disposition receiver 0" };
        assert!(scene.peer.told().iter().any(|frame| frame == expected), "{link_mode:?} {mode:?}");
        if !at_once {
            scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
            assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
        }
        // Of what is settled already nothing is said, whatever the mode.
        let settled = Transfer { settled: Some(true), rcv_settle_mode: Some(Second), ..first(8, 1) };
        scene.peer.transfer(10, &settled, b"x");
        assert_eq!(take(&mut scene.peer, link).len(), 1);
        assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
        assert!(!scene.peer.told().iter().any(|frame| frame.contains("disposition")));
    }
}

#[test]
fn every_outcome_goes_both_ways() {
    // 3.4-02, 3.4-03, 3.5.3-18
    let unknown = Described::new(&Symbol::from_static("example:state:list"), &List::new());
    for state in [
        DeliveryState::Accepted,
        DeliveryState::Rejected(Box::new(Rejected { error: Some(problem()) })),
        DeliveryState::Released,
        DeliveryState::Modified(Box::new(Modified { delivery_failed: Some(true), ..Modified::default() })),
        DeliveryState::Received(amqp10_codec::Received { section_number: 1, section_offset: 2 }),
        DeliveryState::Other(Box::new(unknown)),
    ] {
        let mut scene = Scene::new(Wire::Octets);
        let (a, c) = (scene.a, scene.c);
        scene.peer.deliver(10, 5, 0, b"x");
        let key = take(&mut scene.peer, a)[0].key;
        scene.peer.engine.receiver(a).unwrap().settle(key, state.clone(), false).unwrap();
        let frames = scene.peer.frames();
        let found = frames.iter().any(|(_, body, _)| match body {
            Performative::Disposition(told) => told.state.as_ref() == Some(&state) && !told.settled,
            _ => false,
        });
        assert!(found, "{frames:?}");
        scene.peer.send(10, &credit(7, 0, 1));
        send(&mut scene.peer, c);
        scene.peer.quiet();
        let told = Disposition { state: Some(state.clone()), ..disposition(Role::Receiver, 0, 0, false) };
        scene.peer.send(10, &told);
        assert_eq!(scene.peer.events(), [Event::Link(c, LinkEvent::Outcomes)]);
        let outcome = scene.peer.engine.sender(c).unwrap().next_outcome().unwrap();
        assert_eq!((outcome.state, outcome.settled), (Some(state), false));
        scene.session_one_works();
    }
}

#[test]
fn what_is_accepted_early_is_sent_to_its_end() {
    // 3.4.2-03
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &Flow { incoming_window: 1, ..credit(7, 0, 5) });
    send_with(&mut scene.peer, c, DeliveryStart::default(), 300_000);
    let mut told = transfers(&mut scene.peer);
    assert_eq!(told.len(), 1);
    scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
    scene.peer.send(10, &Flow { incoming_window: 100, next_incoming_id: Some(TransferNumber(1)), ..credit(7, 1, 4) });
    told.extend(transfers(&mut scene.peer));
    assert!(told.len() > 2 && !told.last().unwrap().0.more);
    assert_eq!(told.iter().map(|(_, payload)| payload.len()).sum::<usize>(), 300_000);
    send(&mut scene.peer, c);
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 1 of 1"]);
}

#[test]
fn a_message_in_pieces_of_one_octet_is_the_same_message() {
    // 3.2-07
    let message = Message::data(vec![7; 20])
        .durable(true)
        .message_annotation(Symbol::from_static("x-opt-m"), 1_u8)
        .subject("subject")
        .application_property("key", "value")
        .footer_entry(Symbol::from_static("x-opt-f"), 2_u8);
    let mut octets = Vec::new();
    message.encode(&mut octets);
    let mut scene = Scene::new(Wire::Whole);
    let a = scene.a;
    for (at, octet) in octets.iter().enumerate() {
        let transfer = if at == 0 { first(5, 0) } else { next(5) };
        scene.peer.transfer(10, &Transfer { more: at + 1 < octets.len(), ..transfer }, &[*octet]);
        scene.peer.frames();
    }
    let found = take(&mut scene.peer, a).pop().unwrap();
    assert_eq!(Message::decode(&found.payload.into_bytes()).unwrap(), message);
    assert_eq!(scene.peer.events().last(), Some(&Event::Link(a, LinkEvent::DeliveryComplete)));
}

#[test]
fn what_is_asked_of_a_terminus_and_what_is_answered_are_passed_on() {
    // 3.5.3-09, 3.5.3-11
    let node =
        |policy: u64| Map::new().with(Symbol::from_static("lifetime-policy"), Described::new(&policy, &List::new()));
    let dynamic = |policy, mode| Source {
        dynamic: true,
        dynamic_node_properties: Some(node(policy)),
        distribution_mode: Some(mode),
        ..Source::default()
    };
    let mut scene = Scene::new(Wire::Octets);
    let wish = dynamic(0x2b, DistributionMode::COPY);
    let link = scene.peer.engine.attach(scene.one, LinkConfig::receiver("in", wish.clone())).unwrap();
    let frames = scene.peer.frames();
    let [(0, Performative::Attach(asked), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(asked.source, Some(wish.clone().into()));
    // The sender answers with what there really is.
    let actual = Source { address: Some("generated".into()), ..dynamic(0x2c, DistributionMode::MOVE) };
    scene.peer.send(10, &Attach { source: Some(actual.clone().into()), ..sender("in", 8) });
    assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Attached)]);
    assert_eq!(scene.peer.engine.remote_attach(link).unwrap().source, Some(actual.clone().into()));
    // The other way round.
    scene.peer.send(10, &Attach { source: Some(wish.clone().into()), ..receiver("out", 9) });
    let told = scene.peer.events();
    let [Event::Link(link, LinkEvent::Incoming)] = told[..] else { panic!("{told:?}") };
    assert_eq!(scene.peer.engine.remote_attach(link).unwrap().source, Some(wish.into()));
    let mut config = sending("");
    config.source = Some(actual.clone().into());
    scene.peer.frames();
    scene.peer.engine.accept_attach(link, config).unwrap();
    let frames = scene.peer.frames();
    let [(0, Performative::Attach(answer), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(answer.source, Some(actual.into()));
}
