//! Links resumed with what an earlier one left unsettled: every row of the table of §3.4.6, at both ends.

mod support;

use amqp10_codec::{
    Attach, DeliveryState, DeliveryTag, Map, MessageFormat, Open, Performative, Received, ReceiverSettleMode, Role,
    SenderSettleMode, Transfer, encode_to_vec,
};
use amqp10_link::{
    Arrived, DeliveryStart, Ended, LinkEvent, LinkId, Outcome, Payload, Resumption, SendError, SettleError, Terminus,
    UnsettledDelivery, Violation,
};
use bytes::Bytes;
use support::scene::{Scene, receiving, sending};
use support::script::*;
use support::{Script, Wire, script};

const ACCEPTED: DeliveryState<'static> = DeliveryState::Accepted;
const RELEASED: DeliveryState<'static> = DeliveryState::Released;

const RESUME_AT_200: Resumption = Resumption::Resume(Received { section_number: 0, section_offset: 200 });

fn received(section_number: u32, section_offset: u64) -> DeliveryState<'static> {
    DeliveryState::Received(Received { section_number, section_offset })
}

/// A data section of so many octets in all.
fn section(octets: usize, fill: u8) -> Vec<u8> {
    let mut section = vec![0, 0x53, 0x75, 0xb0];
    section.extend_from_slice(&(octets as u32 - 8).to_be_bytes());
    section.resize(octets, fill);
    section
}

/// A message of five sections, of 600, 3,000, 100, 50 and 10 octets.
fn message() -> Vec<u8> {
    [600, 3000, 100, 50, 10].into_iter().zip(1..).flat_map(|(octets, fill)| section(octets, fill)).collect()
}

/// Where a point of it stands.
fn octet(section: usize, offset: usize) -> usize {
    [0, 600, 3600, 3700, 3750, 3760][section] + offset
}

fn number(n: u8) -> DeliveryTag {
    DeliveryTag::new(&[n]).unwrap()
}

fn delivery(n: u8, state: Option<DeliveryState<'static>>) -> UnsettledDelivery {
    let mut delivery = UnsettledDelivery::new(number(n));
    delivery.state = state;
    delivery
}

fn terminus(unsettled: impl IntoIterator<Item = UnsettledDelivery>) -> Terminus {
    Terminus { unsettled: unsettled.into_iter().collect() }
}

/// The unsettled map of an attach.
fn map(entries: impl IntoIterator<Item = (u8, Option<DeliveryState<'static>>)>) -> Map<'static> {
    let mut map = Map::new();
    for (n, state) in entries {
        match state {
            Some(state) => map.push(&number(n), &state),
            None => map.push(&number(n), &()),
        }
    }
    map
}

fn same(one: &Map<'_>, other: &Map<'_>) -> bool {
    encode_to_vec(one) == encode_to_vec(other)
}

fn transfers(peer: &mut Script) -> Vec<(Transfer<'static>, Vec<u8>)> {
    let transfer =
        |(_, body, payload)| if let Performative::Transfer(body) = body { Some((body, payload)) } else { None };
    peer.frames().into_iter().filter_map(transfer).collect()
}

/// The attach that the engine has just sent.
fn attach_of(peer: &mut Script) -> Box<Attach<'static>> {
    let frames = peer.frames();
    let Some((_, Performative::Attach(attach), _)) = frames.into_iter().next() else { panic!("no attach") };
    attach
}

/// A sender `s` that resumes; the receiver has these deliveries, and grants credit.
fn sender_resumes(ours: Terminus, theirs: Map<'static>, mode: SenderSettleMode) -> (Scene, LinkId, Vec<LinkEvent>) {
    let mut scene = Scene::new(Wire::Octets);
    let mut config = sending("s");
    (config.terminus, config.snd_settle_mode) = (Some(ours), mode);
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    scene.peer.frames();
    scene.peer.send(10, &Attach { unsettled: Some(theirs), ..receiver("s", 9) });
    let told = of_link(scene.peer.events(), link);
    assert_eq!(transfers(&mut scene.peer), [], "nothing without credit");
    scene.peer.send(10, &credit(9, 0, 50));
    scene.peer.events();
    (scene, link, told)
}

fn outcome(scene: &mut Scene, link: LinkId) -> Option<(Option<DeliveryState<'static>>, bool)> {
    let outcome = scene.peer.engine.sender(link).unwrap().next_outcome();
    outcome.map(|Outcome { state, settled, .. }| (state, settled))
}

/// What the sender does about one delivery once it has the message, in transfers joined to one.
fn resolved(scene: &mut Scene, link: LinkId, expected: &Resumption) -> Vec<(Transfer<'static>, Vec<u8>)> {
    let mut sender = scene.peer.engine.sender(link).unwrap();
    let in_doubt = sender.in_doubt();
    assert_eq!(in_doubt.len(), 1);
    assert_eq!(in_doubt[0].resumption, *expected);
    let done = sender.resolve(in_doubt[0].key, Some(Payload::from(Bytes::from(message()))));
    assert_eq!(done.as_ref(), Ok(expected));
    assert_eq!(sender.in_doubt(), []);
    assert!(sender.resolve(in_doubt[0].key, None).is_err(), "only once");
    transfers(&mut scene.peer)
}

#[test]
fn the_sender_sends_again_what_the_receiver_does_not_know() {
    // 3.4.6-02, 3.4.6-03, 3.4.6-12, 2.6.13-02, 2.7.5-32
    for ours in [None, Some(received(0, 200))] {
        let (mut scene, link, told) =
            sender_resumes(terminus([delivery(1, ours)]), map([]), SenderSettleMode::Unsettled);
        assert_eq!(told, [LinkEvent::Attached]);
        let sent = resolved(&mut scene, link, &Resumption::Resend);
        let [(transfer, payload)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((transfer.resume, &transfer.state, transfer.delivery_tag), (false, &None, Some(number(1))));
        assert_eq!(*payload, message());
        scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
        assert_eq!(outcome(&mut scene, link), Some((Some(ACCEPTED), true)));
        assert!(scene.peer.engine.sender(link).unwrap().unsettled().is_empty());
    }
}

#[test]
fn what_is_on_its_way_out_again_is_settled_once_it_has_left() {
    for (theirs, resumption) in [(map([]), Resumption::Resend), (map([(1, Some(received(0, 200)))]), RESUME_AT_200)] {
        let (mut scene, link, _) = sender_resumes(terminus([delivery(1, None)]), theirs, SenderSettleMode::Unsettled);
        let mut sender = scene.peer.engine.sender(link).unwrap();
        let key = sender.in_doubt()[0].key;
        assert_eq!(sender.resolve(key, Some(Payload::from(Bytes::from(message())))), Ok(resumption));
        assert_eq!(sender.settle(key, None), Err(SettleError::NotSent));
        assert_eq!(sender.unsettled().len(), 1);
        assert_eq!(transfers(&mut scene.peer).len(), 1);
        scene.peer.engine.sender(link).unwrap().settle(key, None).unwrap();
        assert_eq!(scene.peer.told(), ["0 disposition sender 0 settled"]);
        let mut sender = scene.peer.engine.sender(link).unwrap();
        assert!(sender.unsettled().is_empty());
        let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
        assert_eq!(sender.settle(key, None), Err(SettleError::NotSent), "as what is new");
    }
}

/// Deliveries that are resumed: number, our state, the receiver's, and from where.
type Row = (u8, Option<DeliveryState<'static>>, Option<DeliveryState<'static>>, (u32, u64));

fn resumable() -> [Row; 5] {
    [
        (2, None, Some(received(3, 0)), (3, 0)),
        (4, None, None, (0, 0)),
        (6, Some(received(1, 150)), Some(received(2, 0)), (2, 0)),
        (6, Some(received(1, 150)), Some(received(1, 150)), (1, 150)),
        (6, Some(received(0, 0)), Some(received(4, 9)), (4, 9)),
    ]
}

#[test]
fn the_sender_resumes_where_the_receiver_stands() {
    // 3.4.6-04, 3.4.6-10, 3.4.6-15, 3.4.1-04, 2.6.13-06
    for (n, ours, theirs, (section, offset)) in resumable() {
        let ours = terminus([delivery(n, ours)]);
        let (mut scene, link, told) = sender_resumes(ours, map([(n, theirs)]), SenderSettleMode::Mixed);
        assert_eq!(told, [LinkEvent::Attached]);
        let point = Received { section_number: section, section_offset: offset };
        let sent = resolved(&mut scene, link, &Resumption::Resume(point));
        let [(transfer, payload)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(transfer.state, Some(received(section, offset)));
        assert_eq!(*payload, message()[octet(section as usize, offset as usize)..]);
        scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
        assert_eq!(outcome(&mut scene, link), Some((Some(ACCEPTED), true)));
        assert!(scene.peer.engine.sender(link).unwrap().unsettled().is_empty());
    }
}

#[test]
fn a_resumed_delivery_has_its_old_tag_and_a_new_id() {
    // 2.6.13-10, 2.6.13-12, 2.6.13-14, 2.7.5-33, 2.7.5-30
    for (n, ours, theirs, (section, offset)) in resumable() {
        let ours = terminus([delivery(n, ours)]);
        let (mut scene, link, _) = sender_resumes(ours, map([(n, theirs)]), SenderSettleMode::Mixed);
        let point = Received { section_number: section, section_offset: offset };
        let sent = resolved(&mut scene, link, &Resumption::Resume(point));
        let [(transfer, _)] = &sent[..] else { panic!("{sent:?}") };
        assert!(transfer.resume && !transfer.aborted && transfer.settled != Some(true));
        assert_eq!((transfer.delivery_id.unwrap().0, transfer.delivery_tag), (0, Some(number(n))));
        // What is new says so.
        let mut sender = scene.peer.engine.sender(link).unwrap();
        sender.deliver(DeliveryStart::default(), Bytes::from_static(b"new")).unwrap();
        let sent = transfers(&mut scene.peer);
        assert_eq!((sent[0].0.resume, sent[0].0.delivery_id.unwrap().0), (false, 1));
    }
}

/// A sender resumes and settles what the receiver has accepted; what it sends.
fn settles(n: u8, ours: Option<DeliveryState<'static>>, mode: SenderSettleMode) -> Vec<script::Told> {
    let ours = terminus([delivery(n, ours)]);
    let (mut scene, link, told) = sender_resumes(ours, map([(n, Some(ACCEPTED))]), mode);
    assert_eq!(told, [LinkEvent::Attached, LinkEvent::Outcomes]);
    let mut sender = scene.peer.engine.sender(link).unwrap();
    assert_eq!(sender.in_doubt()[0].resumption, Resumption::Settle(ACCEPTED));
    let outcome = sender.next_outcome().unwrap();
    assert_eq!((outcome.state, outcome.settled), (Some(ACCEPTED), false));
    sender.settle(outcome.key, Some(ACCEPTED)).unwrap();
    assert_eq!(sender.in_doubt(), []);
    let sent = scene.peer.frames();
    let mut sender = scene.peer.engine.sender(link).unwrap();
    assert!(sender.unsettled().is_empty() && sender.next_outcome().is_none());
    sent
}

#[test]
fn the_sender_settles_what_the_receiver_has_decided() {
    // 3.4.6-06, 3.4.6-07, 3.4.6-08, 3.4.6-18, 2.6.13-11
    for (n, ours) in [(3, None), (8, Some(received(3, 5)))] {
        let sent = settles(n, ours, SenderSettleMode::Mixed);
        let [(_, Performative::Transfer(transfer), payload)] = &sent[..] else { panic!("{sent:?}") };
        assert!(transfer.resume && payload.is_empty() && !transfer.more);
        assert_eq!((&transfer.state, transfer.delivery_tag), (&Some(ACCEPTED), Some(number(n))));
        assert_eq!(transfer.settled, Some(true));
    }
}

#[test]
fn a_sender_of_mode_unsettled_resumes_and_then_settles() {
    // 2.7.5-17
    for (n, ours) in [(3, None), (8, Some(received(3, 5)))] {
        let sent = settles(n, ours, SenderSettleMode::Unsettled);
        let [(_, Performative::Transfer(transfer), _), (_, Performative::Disposition(settled), _)] = &sent[..] else {
            panic!("{sent:?}")
        };
        assert_eq!((transfer.resume, &transfer.state), (true, &Some(ACCEPTED)));
        assert_eq!((transfer.settled, settled.settled, &settled.state), (None, true, &Some(ACCEPTED)));
        assert_eq!((settled.role, settled.first.0), (Role::Sender, 0));
    }
}

#[test]
fn the_sender_tells_the_outcome_that_came_to_pass_instead() {
    // 3.4.6-09, 3.4.6-20
    let ours = terminus([delivery(3, None)]);
    let (mut scene, link, _) = sender_resumes(ours, map([(3, Some(ACCEPTED))]), SenderSettleMode::Mixed);
    let mut sender = scene.peer.engine.sender(link).unwrap();
    let key = sender.next_outcome().unwrap().key;
    sender.settle(key, Some(RELEASED)).unwrap();
    let sent = transfers(&mut scene.peer);
    assert_eq!((&sent[0].0.state, sent[0].0.settled), (&Some(RELEASED), Some(true)));
}

#[test]
fn the_sender_aborts_what_it_cannot_complete() {
    // 3.4.6-14, 3.4.6-17, 3.4.6-19
    for (n, ours, theirs) in [(7, received(0, 500), Some(received(0, 100))), (9, received(2, 0), None)] {
        let ours = terminus([delivery(n, Some(ours))]);
        let (mut scene, link, told) = sender_resumes(ours, map([(n, theirs)]), SenderSettleMode::Unsettled);
        assert_eq!(told, [LinkEvent::Attached]);
        let sent = resolved(&mut scene, link, &Resumption::Abort);
        let [(transfer, payload)] = &sent[..] else { panic!("{sent:?}") };
        assert!(transfer.resume && transfer.aborted && !transfer.more && payload.is_empty());
        let mut sender = scene.peer.engine.sender(link).unwrap();
        assert!(sender.unsettled().is_empty());
        // The tag is free again.
        let start = DeliveryStart { tag: Some(number(n)), ..DeliveryStart::default() };
        let key = sender.begin_delivery(start).unwrap();
        sender.finish(key).unwrap();
        assert!(!transfers(&mut scene.peer)[0].0.resume);
    }
}

#[test]
fn the_sender_ends_by_itself_what_has_an_outcome() {
    // 3.4.6-22, 3.4.6-23, 3.4.6-24, 3.4.6-25, 3.4.6-27
    let rows: [(u8, Option<Option<DeliveryState<'static>>>, &str); 5] = [
        (10, None, "nothing"),
        (11, Some(Some(received(1, 2000))), "aborted"),
        (12, Some(Some(ACCEPTED)), "settled"),
        (13, Some(Some(RELEASED)), "restated"),
        (14, Some(None), "aborted"),
    ];
    for (n, theirs, expected) in rows {
        let ours = terminus([delivery(n, Some(ACCEPTED))]);
        let theirs = map(theirs.map(|theirs| (n, theirs)));
        let (mut scene, link, told) = sender_resumes(ours, theirs, SenderSettleMode::Mixed);
        assert_eq!(told.first(), Some(&LinkEvent::Attached));
        assert_eq!(scene.peer.engine.sender(link).unwrap().in_doubt(), []);
        let sent = transfers(&mut scene.peer);
        let of = |(transfer, payload): &(Transfer<'static>, Vec<u8>)| {
            assert!(transfer.resume && payload.is_empty() && transfer.delivery_tag == Some(number(n)));
            match (transfer.aborted, transfer.settled == Some(true), &transfer.state) {
                (true, false, None) => "aborted",
                (false, true, Some(ACCEPTED)) => "settled",
                (false, false, Some(ACCEPTED)) => "restated",
                _ => "something else",
            }
        };
        assert_eq!(sent.first().map_or("nothing", of), expected, "row {n}");
        assert!(sent.len() <= 1);
        if expected == "restated" {
            assert_eq!(outcome(&mut scene, link), None);
            scene.peer.send(10, &disposition(Role::Receiver, 0, 0, true));
        }
        assert_eq!(outcome(&mut scene, link), Some((Some(ACCEPTED), true)), "row {n}");
        assert_eq!(outcome(&mut scene, link), None);
        assert!(scene.peer.engine.sender(link).unwrap().unsettled().is_empty());
    }
}

#[test]
fn the_sender_does_nothing_about_what_only_the_receiver_has() {
    // 2.6.13-04
    let (mut scene, link, told) =
        sender_resumes(terminus([]), map([(1, None), (2, Some(ACCEPTED))]), SenderSettleMode::Mixed);
    assert_eq!(told, [LinkEvent::Attached]);
    assert_eq!(transfers(&mut scene.peer), []);
    assert_eq!(scene.peer.engine.sender(link).unwrap().in_doubt(), []);
}

/// A receiver `r` that resumes, with credit 10; the sender has these deliveries.
fn receiver_resumes(ours: Terminus, theirs: Map<'static>, mode: ReceiverSettleMode) -> (Scene, LinkId, Vec<LinkEvent>) {
    let mut scene = Scene::new(Wire::Octets);
    let mut config = receiving("r");
    (config.terminus, config.rcv_settle_mode) = (Some(ours), mode);
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    scene.peer.frames();
    scene.peer.send(10, &Attach { unsettled: Some(theirs), ..sender("r", 9) });
    let told = of_link(scene.peer.events(), link);
    scene.peer.frames();
    (scene, link, told)
}

fn resuming(n: u8, id: u32, state: Option<DeliveryState<'static>>) -> Transfer<'static> {
    Transfer { delivery_tag: Some(number(n)), resume: true, state, ..first(9, id) }
}

#[test]
fn the_receiver_considers_settled_what_the_sender_does_not_know() {
    // 2.6.13-05, 2.6.13-01
    let deliveries = || terminus([delivery(1, None), delivery(2, Some(ACCEPTED)), delivery(3, None)]);
    let (mut scene, link, told) = receiver_resumes(deliveries(), map([(3, None)]), ReceiverSettleMode::Second);
    let mut receiver = scene.peer.engine.receiver(link).unwrap();
    assert!(receiver.by_tag(&number(1)).is_none() && receiver.by_tag(&number(2)).is_none());
    assert_eq!(receiver.unsettled().len(), 1);
    let settled =
        |event: &LinkEvent| matches!(event, LinkEvent::Disposition(Outcome { state: None, settled: true, .. }));
    assert!(told[0] == LinkEvent::Attached && settled(&told[1]) && settled(&told[2]) && told.len() == 3, "{told:?}");
    // 2.6.13-13: until the sender has resumed it there is nothing by which it could be settled.
    let key = receiver.by_tag(&number(3)).unwrap();
    assert_eq!(receiver.settle(key, ACCEPTED, true), Err(SettleError::NotResumed));

    // A peer that has no terminus says nothing at all.
    let mut scene = Scene::new(Wire::Whole);
    let mut config = receiving("r");
    config.terminus = Some(deliveries());
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    let told = attach_of(&mut scene.peer).unsettled.unwrap();
    assert!(same(
        &told,
        &map([(1, Some(received(u32::MAX, 0))), (2, Some(ACCEPTED)), (3, Some(received(u32::MAX, 0)))])
    ));
    scene.peer.send(10, &sender("r", 9));
    assert_eq!(scene.peer.events().len(), 4);
    assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
}

#[test]
fn the_receiver_ignores_what_it_does_not_know() {
    // 2.6.13-03, 2.7.5-31, 2.7.5-34, 2.6.13-14
    for settled in [None, Some(true)] {
        let (mut scene, link, _) = receiver_resumes(terminus([]), map([(1, None)]), ReceiverSettleMode::First);
        scene.peer.transfer(10, &Transfer { more: true, settled, ..resuming(1, 0, None) }, b"one");
        scene.peer.transfer(10, &Transfer { more: true, ..next(9) }, b"two");
        scene.peer.transfer(10, &Transfer { resume: true, ..next(9) }, b"three");
        scene.peer.transfer(10, &Transfer { aborted: true, ..resuming(2, 1, None) }, b"");
        assert_eq!(scene.peer.events(), []);
        let mut receiver = scene.peer.engine.receiver(link).unwrap();
        assert!(receiver.next_delivery().is_none() && receiver.partial().is_none() && receiver.unsettled().is_empty());
        assert_eq!(receiver.credit(), 8);
        scene.peer.deliver(10, 9, 2, b"new");
        assert_eq!(of_link(scene.peer.events(), link), [LinkEvent::DeliveryComplete]);
        let delivery = scene.peer.engine.receiver(link).unwrap().next_delivery().unwrap();
        assert_eq!(&delivery.payload.into_bytes()[..], b"new");
        scene.session_one_works();
    }
}

#[test]
fn the_receiver_joins_what_comes_to_what_it_has() {
    // 3.4.6-05, 3.4.6-16, 3.4.6-04, 3.4.1-02, 3.4.1-06
    let has = [(0, 100), (1, 0), (1, 150), (2, 0), (3, 0), (4, 9)];
    let starts = [(0, 0), (0, 7), (0, 600), (1, 0), (1, 150), (1, 3000), (2, 0), (2, 99), (3, 0), (4, 9)];
    for (section, offset) in has {
        let upto = octet(section, offset);
        let mut scene = Scene::new(Wire::Whole);
        // All of it comes on one link, which is cut in the middle; the application has taken none, part or all of that.
        for taken in [0, 1, 2] {
            scene.peer.transfer(10, &Transfer { more: true, ..first(5, 0) }, &message()[..upto / 2]);
            let mut early = Vec::new();
            let mut take = |scene: &mut Scene| {
                let payload = scene.peer.engine.receiver(scene.a).unwrap().partial().unwrap().take();
                early.extend_from_slice(&payload.into_bytes());
            };
            if taken > 0 {
                take(&mut scene);
            }
            scene.peer.transfer(10, &Transfer { more: true, ..next(5) }, &message()[upto / 2..upto]);
            if taken > 1 {
                take(&mut scene);
            }
            scene.peer.send(10, &detach(5, false));
            scene.peer.quiet();
            let left = scene.peer.engine.take_terminus(scene.a).unwrap();
            assert_eq!(left.unsettled.len(), 1);
            let point = left.unsettled[0].arrived.as_ref().unwrap().point().unwrap();
            assert_eq!((point.section_number as usize, point.section_offset as usize), (section, offset));
            for (start_section, start_offset) in starts {
                let from = octet(start_section, start_offset);
                if from > upto {
                    continue;
                }
                for step in [1000, 90, 5000] {
                    let mut other = Scene::new(Wire::Whole);
                    let mut config = receiving("r");
                    config.terminus = Some(left.clone());
                    let link = other.peer.engine.attach(other.one, config).unwrap();
                    assert!(same(
                        &attach_of(&mut other.peer).unsettled.unwrap(),
                        &Map::new().with(tag(0), received(section as u32, offset as u64))
                    ));
                    let theirs = Map::new().with(tag(0), ());
                    other.peer.send(10, &Attach { unsettled: Some(theirs), ..sender("r", 9) });
                    other.peer.frames();
                    let state = (from > 0).then(|| received(start_section as u32, start_offset as u64));
                    let mut transfer = Transfer { delivery_tag: Some(tag(0)), ..resuming(0, 7, state) };
                    let rest = message()[from..].to_vec();
                    let parts: Vec<_> = rest.chunks(step).collect();
                    for (n, part) in parts.iter().enumerate() {
                        transfer.more = n + 1 < parts.len();
                        other.peer.transfer(10, &transfer, part);
                        transfer = next(9);
                    }
                    let told = of_link(other.peer.events(), link);
                    assert!(matches!(told[1], LinkEvent::Resumed { .. }), "{told:?}");
                    assert_eq!(told.last(), Some(&LinkEvent::DeliveryComplete));
                    let mut receiver = other.peer.engine.receiver(link).unwrap();
                    let delivery = receiver.next_delivery().unwrap();
                    let whole = [&early[..], &delivery.payload.into_bytes()].concat();
                    assert!(whole == message(), "has {section} {offset}, from {start_section} {start_offset}");
                    receiver.settle(delivery.key, ACCEPTED, true).unwrap();
                    assert!(other.peer.told().contains(&"0 disposition receiver 7 settled".to_owned()));
                }
            }
            scene = Scene::new(Wire::Whole);
        }
    }
}

#[test]
fn the_receiver_joins_to_what_the_application_has_kept() {
    // The application has stored what it had and the point; only beginnings of sections and its own section can be joined.
    for (start, ok) in
        [((0, 0), true), ((1, 0), true), ((2, 0), true), ((2, 5), true), ((2, 6), false), ((1, 5), false)]
    {
        let mut kept = delivery(1, None);
        let point = Received { section_number: 2, section_offset: 5 };
        kept.arrived = Some(Box::new(Arrived::up_to(&point, MessageFormat(0))));
        let (mut scene, link, _) = receiver_resumes(terminus([kept]), map([(1, None)]), ReceiverSettleMode::First);
        let from = octet(start.0, start.1);
        scene.peer.transfer(10, &resuming(1, 0, Some(received(start.0 as u32, start.1 as u64))), &message()[from..]);
        let told = of_link(scene.peer.events(), link);
        if ok {
            let delivery = scene.peer.engine.receiver(link).unwrap().next_delivery().unwrap();
            assert!(delivery.payload.into_bytes() == message()[octet(2, 5)..], "{start:?}");
        } else {
            let end = Ended::Violation(Violation::ResumedElsewhere);
            assert_eq!(told.last(), Some(&LinkEvent::Detached { closed: true, end }));
        }
    }
}

#[test]
fn the_receiver_settles_what_the_sender_has_settled_or_aborted() {
    // 3.4.6-06, 3.4.6-24, 2.7.5-35, 2.7.5-38
    for (ours, aborted) in [(None, false), (Some(ACCEPTED), false), (None, true), (Some(ACCEPTED), true)] {
        let (mut scene, link, _) =
            receiver_resumes(terminus([delivery(1, ours)]), map([(1, Some(ACCEPTED))]), ReceiverSettleMode::Second);
        let key = scene.peer.engine.receiver(link).unwrap().by_tag(&number(1)).unwrap();
        let transfer = Transfer { settled: (!aborted).then_some(true), aborted, ..resuming(1, 0, Some(ACCEPTED)) };
        scene.peer.transfer(10, &transfer, b"");
        let told = of_link(scene.peer.events(), link);
        assert_eq!(told[0], LinkEvent::Resumed { key, tag: number(1) });
        if aborted {
            assert_eq!(told[1..], [LinkEvent::DeliveryAborted(key)]);
        } else {
            let [LinkEvent::Disposition(outcome)] = &told[1..] else { panic!("{told:?}") };
            assert_eq!((outcome.key, &outcome.state, outcome.settled), (key, &Some(ACCEPTED), true));
        }
        let mut receiver = scene.peer.engine.receiver(link).unwrap();
        assert!(receiver.unsettled().is_empty() && receiver.next_delivery().is_none());
        assert!(!scene.peer.told().iter().any(|frame| frame.contains("disposition")), "no word of it");
    }
}

#[test]
fn the_receiver_echoes_the_outcome_that_came_to_pass() {
    // 3.4.6-26, 3.4.6-09
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        let ours = terminus([delivery(13, Some(RELEASED))]);
        let (mut scene, link, _) = receiver_resumes(ours, map([(13, Some(ACCEPTED))]), mode);
        scene.peer.frames();
        scene.peer.transfer(10, &resuming(13, 4, Some(ACCEPTED)), b"");
        let told = of_link(scene.peer.events(), link);
        let [LinkEvent::Resumed { key, .. }, LinkEvent::Disposition(outcome)] = &told[..] else { panic!("{told:?}") };
        let settles = mode == ReceiverSettleMode::First;
        assert_eq!((outcome.key, &outcome.state, outcome.settled), (*key, &Some(ACCEPTED), settles));
        let frames = scene.peer.frames();
        let [(_, Performative::Disposition(echo), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((echo.first.0, echo.settled, &echo.state, echo.role), (4, settles, &Some(ACCEPTED), Role::Receiver));
        if !settles {
            // 2.7.5-23: the sender settles first.
            assert_eq!(scene.peer.engine.receiver(link).unwrap().unsettled().len(), 1);
            scene.peer.send(10, &disposition(Role::Sender, 4, 4, true));
        }
        assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
    }
}

#[test]
fn the_receiver_repeats_an_outcome_that_the_sender_has_not_heard() {
    let ours = terminus([delivery(1, Some(RELEASED))]);
    let (mut scene, link, _) = receiver_resumes(ours, map([(1, None)]), ReceiverSettleMode::Second);
    scene.peer.frames();
    // It sends all of the message again, for which there is no use.
    scene.peer.transfer(10, &Transfer { more: true, ..resuming(1, 4, None) }, &message()[..1000]);
    scene.peer.transfer(10, &next(9), &message()[1000..]);
    assert_eq!(of_link(scene.peer.events(), link).len(), 1, "resumed");
    assert_eq!(scene.peer.told(), ["0 disposition receiver 4"]);
    scene.peer.send(10, &disposition(Role::Sender, 4, 4, true));
    assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
}

#[test]
fn the_receiver_settles_by_a_new_name_what_it_has_not_decided() {
    // 2.6.13-12, 2.6.12-04
    let (mut scene, link, _) =
        receiver_resumes(terminus([delivery(1, None)]), map([(1, None)]), ReceiverSettleMode::First);
    scene.peer.frames();
    scene.peer.transfer(10, &resuming(1, 4, None), &message());
    let told = of_link(scene.peer.events(), link);
    let [LinkEvent::Resumed { key, .. }] = told[..] else { panic!("{told:?}") };
    let mut receiver = scene.peer.engine.receiver(link).unwrap();
    assert!(receiver.next_delivery().is_none(), "the application has it");
    receiver.settle(key, RELEASED, true).unwrap();
    assert_eq!(scene.peer.told(), ["0 disposition receiver 4 settled"]);
    // A second resumption is none.
    scene.peer.transfer(10, &resuming(1, 5, None), &message());
    assert_eq!(scene.peer.events(), []);
}

#[test]
fn what_was_not_taken_is_handed_over_by_the_next_link() {
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.deliver(10, 5, 1, b"one");
    scene.peer.deliver(10, 5, 2, b"two");
    let taken = scene.peer.engine.receiver(scene.a).unwrap().next_delivery().unwrap();
    scene.peer.send(10, &detach(5, false));
    scene.peer.quiet();
    let left = scene.peer.engine.take_terminus(scene.a).unwrap();
    let mut config = receiving("a");
    config.terminus = Some(left);
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    scene.peer.quiet();
    let theirs = Map::new().with(tag(1), ()).with(tag(2), ());
    scene.peer.send(10, &Attach { unsettled: Some(theirs), ..sender("a", 9) });
    scene.peer.frames();
    for n in [1, 2] {
        scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(n)), resume: true, ..first(9, n + 10) }, b"");
    }
    let told = of_link(scene.peer.events(), link);
    let resumed = told.iter().filter(|event| matches!(event, LinkEvent::Resumed { .. })).count();
    assert_eq!((resumed, told.last()), (2, Some(&LinkEvent::DeliveryComplete)));
    let mut receiver = scene.peer.engine.receiver(link).unwrap();
    let delivery = receiver.next_delivery().unwrap();
    assert_eq!((delivery.tag, delivery.settled), (tag(2), false));
    assert_eq!(&delivery.payload.into_bytes()[..], b"two");
    assert!(receiver.next_delivery().is_none());
    let key = receiver.by_tag(&taken.tag).unwrap();
    receiver.settle(key, ACCEPTED, true).unwrap();
    receiver.settle(delivery.key, ACCEPTED, true).unwrap();
    assert_eq!(scene.peer.told().last().unwrap(), "0 disposition receiver 11 to 12 settled");
}

#[test]
fn a_delivery_of_which_nothing_arrived_is_left_out_of_the_map() {
    // 3.4.6-11
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.transfer(10, &Transfer { more: true, ..first(5, 1) }, b"");
    scene.peer.send(10, &detach(5, false));
    scene.peer.quiet();
    assert!(scene.peer.engine.take_terminus(scene.a).unwrap().unsettled.is_empty());
}

#[test]
fn an_unsettled_map_of_anything_else_ends_the_session() {
    // 2.7.3-15
    let wrong = [
        Map::new().with((), ()),
        Map::new().with("tag", ()),
        Map::new().with(number(1), true),
        Map::new().with(&[7_u8; 33][..], ()),
    ];
    for wrong in wrong {
        let wrong = &wrong;
        support::scene::refused_session("amqp:invalid-field", |scene| {
            let attach = Attach { unsettled: Some(wrong.clone()), ..sender("new", 9) };
            scene.peer.send(10, &attach);
        });
    }
}

/// An engine whose peer takes frames of 512 octets, with a session on channel 10.
fn small_frames() -> (Script, amqp10_link::SessionId) {
    let mut peer = Script::client(support::scene::config(), Open { max_frame_size: 512, ..open() });
    let session = peer.engine.begin(support::scene::session_config()).unwrap();
    peer.send(10, &answer(0));
    peer.quiet();
    (peer, session)
}

fn many(deliveries: u8) -> Terminus {
    terminus((0..deliveries).map(|n| delivery(n, None)))
}

#[test]
fn a_map_that_does_not_fit_into_a_frame_is_told_in_part() {
    // 2.7.3-13, 2.7.3-14, 2.7.3-18
    let (mut peer, session) = small_frames();
    let mut config = receiving("r");
    config.terminus = Some(many(200));
    let link = peer.engine.attach(session, config).unwrap();
    let attach = attach_of(&mut peer);
    let told = attach.unsettled.as_ref().unwrap().len();
    assert!(attach.incomplete_unsettled && (10..200).contains(&told), "{told}");
    peer.send(10, &Attach { unsettled: Some(Map::new()), ..sender("r", 9) });
    peer.quiet();
    let receiver = peer.engine.receiver(link).unwrap();
    assert!(receiver.is_unsettled_incomplete());
    assert!(receiver.unsettled().is_empty(), "the sender's map is whole, so what it lacks is settled");
    peer.transfer(10, &Transfer { delivery_tag: Some(number(200)), ..first(9, 0) }, b"new");
    assert_eq!(peer.told(), ["0 detach handle 0 closed amqp:not-allowed"]);
}

#[test]
fn nothing_new_is_sent_while_a_map_is_incomplete() {
    // 2.6.13-07, 2.6.13-09, 2.7.3-17
    for theirs in [false, true] {
        let (mut peer, session) = small_frames();
        let mut config = sending("s");
        config.terminus = Some(if theirs { terminus([delivery(1, None), delivery(2, None)]) } else { many(200) });
        let link = peer.engine.attach(session, config).unwrap();
        assert_eq!(attach_of(&mut peer).incomplete_unsettled, !theirs);
        let map = map([(1, None)]);
        peer.send(
            10,
            &Attach { unsettled: Some(map), incomplete_unsettled: theirs, ..support::script::receiver("s", 9) },
        );
        peer.send(10, &credit(9, 0, 50));
        peer.quiet();
        let mut sender = peer.engine.sender(link).unwrap();
        assert!(sender.is_unsettled_incomplete());
        assert_eq!(sender.begin_delivery(DeliveryStart::default()), Err(SendError::UnsettledIncomplete));
        let doubts = sender.in_doubt();
        let two = doubts.iter().find(|doubt| doubt.tag == number(2)).unwrap();
        assert_eq!(two.resumption, if theirs { Resumption::Untold } else { Resumption::Resend });
        assert!(sender.resend(two.key).is_err(), "nothing new");
        assert_eq!(sender.resolve(two.key, None), Ok(two.resumption.clone()));
        let one = doubts.iter().find(|doubt| doubt.tag == number(1)).unwrap();
        sender.resolve(one.key, Some(Payload::from(Bytes::from_static(b"one")))).unwrap();
        assert!(transfers(&mut peer)[0].0.resume, "what both ends know is resumed");
        // And then the link is resumed once more.
        peer.engine.detach(link, false, None);
        peer.send(10, &detach(9, false));
        peer.quiet();
        let left = peer.engine.take_terminus(link).unwrap();
        assert_eq!(left.unsettled.len(), if theirs { 2 } else { 200 });
    }
}
