//! Part 2 of the specification, what belongs to sessions: requirements that no other test asserts.

mod support;

use amqp10_codec::{Begin, Disposition, Flow, Open, Performative, Role, SequenceNo, Transfer, TransferNumber};
use amqp10_link::{DeliveryKey, DeliveryStart, Ended, Event, LinkEvent, LinkId, SendError, SessionEvent};
use bytes::Bytes;
use support::scene::{Scene, config, receiving, sending, session_config};
use support::script::*;
use support::{Script, Wire};

const NOTHING: [&str; 0] = [];

fn send(peer: &mut Script, link: LinkId, octets: usize) -> DeliveryKey {
    let mut sender = peer.engine.sender(link).unwrap();
    let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.write(key, Bytes::from(vec![1; octets])).unwrap();
    sender.finish(key).unwrap();
    key
}

/// The session's part of the next flow.
fn told_flow(peer: &mut Script, channel: u16) -> Flow<'static> {
    peer.send(channel, &Flow { echo: true, ..flow() });
    let frames = peer.frames();
    let [.., (_, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    flow.clone()
}

#[test]
fn deliveries_of_all_links_of_a_session_share_their_ids() {
    // 2.5-02, 2.6.12-04, 2.7.5-08
    let mut peer = Script::client(config(), open());
    let mut start = session_config();
    start.next_outgoing_id = TransferNumber(u32::MAX - 1);
    let session = peer.engine.begin(start).unwrap();
    peer.send(10, &answer(0));
    let links = ["one", "two"].map(|name| peer.engine.attach(session, sending(name)).unwrap());
    for (name, handle) in [("one", 5), ("two", 6)] {
        peer.send(10, &receiver(name, handle));
        let granted = Flow { next_incoming_id: Some(TransferNumber(u32::MAX - 1)), ..credit(handle, 0, 10) };
        peer.send(10, &granted);
    }
    peer.quiet();
    let mut keys = Vec::new();
    let mut ids = Vec::new();
    for n in 0..6 {
        keys.push(send(&mut peer, links[n % 2], 1));
        let frames = peer.frames();
        let [(0, Performative::Transfer(transfer), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(transfer.handle.0, n as u32 % 2);
        ids.push(transfer.delivery_id.unwrap().0);
    }
    assert_eq!(ids, [u32::MAX - 1, u32::MAX, 0, 1, 2, 3]);
    // By its id a delivery is meant, whatever its link and tag.
    peer.send(10, &disposition(Role::Receiver, 1, 1, true));
    assert_eq!(peer.events(), [Event::Link(links[1], LinkEvent::Outcomes)]);
    assert_eq!(peer.engine.sender(links[1]).unwrap().next_outcome().unwrap().key, keys[3]);
}

#[test]
fn the_lowest_free_channel_is_taken() {
    // 2.5.1-07
    let mut peer = Script::client(config(), open());
    let sessions = [(); 3].map(|()| peer.engine.begin(session_config()).unwrap());
    for at in 0..3 {
        peer.send(10 + at, &answer(at));
    }
    assert_eq!(peer.told(), ["0 begin", "1 begin", "2 begin"]);
    peer.engine.end(sessions[1], None);
    peer.send(11, &end());
    peer.quiet();
    for expected in ["1 begin", "3 begin"] {
        peer.engine.begin(session_config()).unwrap();
        assert_eq!(peer.told(), [expected]);
    }
}

#[test]
fn an_end_tells_its_error_and_nothing_follows_it() {
    // 2.5.2-02, 2.5.2-04
    for error in [None, Some(problem())] {
        let Scene { mut peer, one, a, c, .. } = Scene::new(Wire::Octets);
        peer.send(10, &Flow { incoming_window: 1, ..credit(7, 0, 10) });
        peer.deliver(10, 5, 0, b"x");
        let delivery = peer.engine.receiver(a).unwrap().next_delivery().unwrap();
        for _ in 0..3 {
            send(&mut peer, c, 1);
        }
        peer.engine.end(one, error.clone());
        let frames = peer.frames();
        let [.., (0, Performative::End(end), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(end.error, error);
        // Two transfers still wait for the window, and more could be said.
        peer.send(10, &Flow { echo: true, incoming_window: 100, ..credit(7, 0, 10) });
        peer.engine.request_flow(one);
        let settled =
            peer.engine.receiver(a).unwrap().settle(delivery.key, amqp10_codec::DeliveryState::Accepted, true);
        assert!(settled.is_err());
        let refused = peer.engine.sender(c).unwrap().begin_delivery(DeliveryStart::default());
        assert_eq!(refused, Err(SendError::Detached));
        assert_eq!(peer.told(), NOTHING);
    }
}

#[test]
fn a_session_may_be_used_before_it_is_answered() {
    // 2.5.5-02, 2.7.4-03
    let mut peer = Script::client(config(), open());
    let session = peer.engine.begin(session_config()).unwrap();
    let link = peer.engine.attach(session, receiving("link")).unwrap();
    peer.engine.request_flow(session);
    let frames = peer.frames();
    let [(0, Performative::Begin(_), _), (0, Performative::Attach(_), _), (0, Performative::Flow(flow), _)] =
        &frames[..]
    else {
        panic!("{frames:?}")
    };
    assert_eq!(flow.next_incoming_id, None);
    peer.send(10, &Begin { next_outgoing_id: TransferNumber(7), ..answer(0) });
    peer.send(10, &sender("link", 5));
    let begun = Event::Session(session, SessionEvent::Begun);
    assert_eq!(peer.events(), [begun, Event::Link(link, LinkEvent::Attached)]);
    let frames = peer.frames();
    let [(0, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(flow.next_incoming_id, Some(TransferNumber(7)));
}

#[test]
fn the_states_of_a_session() {
    // 2.5.5-04, 2.5.5-08
    // UNMAPPED, BEGIN_SENT, MAPPED, END_SENT, UNMAPPED.
    let mut peer = Script::client(config(), open());
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &answer(0));
    let works = |peer: &mut Script| {
        peer.quiet();
        peer.send(10, &Flow { echo: true, ..flow() });
        assert_eq!(peer.told(), ["0 flow"]);
    };
    works(&mut peer);
    peer.engine.end(session, None);
    assert_eq!(peer.told(), ["0 end"]);
    peer.send(10, &Flow { echo: true, ..flow() });
    assert_eq!(peer.told(), NOTHING);
    peer.send(10, &end());
    assert_eq!(peer.events(), [Event::Session(session, SessionEvent::Ended(Ended::Local))]);
    // UNMAPPED, BEGIN_RCVD, MAPPED, END_RCVD, UNMAPPED.
    peer.send(10, &begin());
    let [Event::Session(session, SessionEvent::Incoming)] = peer.events()[..] else { panic!() };
    peer.send(10, &Flow { echo: true, ..flow() });
    assert_eq!(peer.told(), NOTHING, "before our begin nothing can be said");
    peer.engine.accept_begin(session, session_config()).unwrap();
    assert_eq!(peer.told(), ["0 begin for 10", "0 flow"]);
    works(&mut peer);
    peer.send(10, &end());
    assert_eq!(peer.told(), ["0 end"]);
    assert_eq!(peer.events(), [Event::Session(session, SessionEvent::Ended(Ended::Remote(None)))]);
    // MAPPED, DISCARDING, UNMAPPED.
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &answer(0));
    works(&mut peer);
    peer.send(10, &detach(5, true));
    assert_eq!(peer.told(), ["0 end amqp:session:unattached-handle"]);
    assert!(matches!(peer.events()[..], [Event::Session(id, SessionEvent::Ended(_))] if id == session));
    peer.send(10, &detach(5, true));
    peer.send(10, &end());
    assert_eq!((peer.told(), peer.events()), (vec![], vec![]));
    // Nothing is mapped any more.
    peer.send(10, &flow());
    assert_eq!(peer.told(), ["0 close amqp:not-allowed"]);
}

#[test]
fn transfer_ids_count_frames() {
    // 2.5.6-01, 2.5.6-03, 2.5.6-10
    let mut peer = Script::client(config(), Open { max_frame_size: 512, ..open() });
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &Begin { next_outgoing_id: TransferNumber(7), ..answer(0) });
    let (out, back) = (sending("out"), receiving("in"));
    let (out, back) = (peer.engine.attach(session, out).unwrap(), peer.engine.attach(session, back).unwrap());
    peer.send(10, &receiver("out", 5));
    peer.send(10, &sender("in", 6));
    peer.send(10, &Flow { next_outgoing_id: TransferNumber(7), ..credit(5, 0, 10) });
    peer.quiet();
    send(&mut peer, out, 1_000);
    assert_eq!(peer.told().len(), 3);
    peer.engine.request_flow(session);
    let frames = peer.frames();
    let [(0, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(flow.next_outgoing_id, TransferNumber(3), "three frames of one delivery");
    assert_eq!(flow.next_incoming_id, Some(TransferNumber(7)));
    peer.transfer(10, &Transfer { more: true, ..first(6, 0) }, b"x");
    peer.transfer(10, &next(6), b"x");
    peer.engine.request_flow(session);
    let frames = peer.frames();
    let [.., (0, Performative::Flow(flow), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(flow.next_incoming_id, Some(TransferNumber(9)));
    assert_eq!(peer.events().last(), Some(&Event::Link(back, LinkEvent::DeliveryComplete)));
}

#[test]
fn windows_are_told() {
    // 2.5.6-04, 2.5.6-05
    let mut peer = Script::client(config(), open());
    let mut windows = session_config();
    (windows.incoming_window, windows.outgoing_window) = (2, 33);
    let session = peer.engine.begin(windows).unwrap();
    let frames = peer.frames();
    let [(0, Performative::Begin(begin), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((begin.incoming_window, begin.outgoing_window), (2, 33));
    peer.send(10, &answer(0));
    peer.quiet();
    let flow = told_flow(&mut peer, 10);
    assert_eq!((flow.incoming_window, flow.outgoing_window), (2, 33));
    // Two are admitted, as long as nothing else was told.
    let link = peer.engine.attach(session, receiving("in")).unwrap();
    peer.send(10, &sender("in", 6));
    peer.quiet();
    peer.deliver(10, 6, 0, b"x");
    peer.deliver(10, 6, 1, b"x");
    assert_eq!(peer.events(), [Event::Link(link, LinkEvent::DeliveryComplete)]);
    peer.deliver(10, 6, 2, b"x");
    assert_eq!(peer.told().last().unwrap(), "0 end amqp:session:window-violation");
}

#[test]
fn a_flow_of_a_peer_that_has_not_seen_our_begin() {
    // 2.5.6-12
    let mut peer = Script::server(config(), open());
    peer.send(10, &Begin { incoming_window: 2, ..begin() });
    let [Event::Session(session, SessionEvent::Incoming)] = peer.events()[..] else { panic!() };
    let mut start = session_config();
    start.next_outgoing_id = TransferNumber(u32::MAX);
    peer.engine.accept_begin(session, start).unwrap();
    peer.send(10, &receiver("link", 5));
    let [Event::Session(..), Event::Link(link, LinkEvent::Incoming)] = peer.events()[..] else { panic!() };
    peer.engine.accept_attach(link, sending("link")).unwrap();
    peer.quiet();
    peer.send(10, &Flow { next_incoming_id: None, incoming_window: 2, ..credit(5, 0, 100) });
    for _ in 0..20 {
        send(&mut peer, link, 1);
    }
    assert_eq!(peer.told().len(), 2);
    let unseen = Flow { next_incoming_id: None, incoming_window: 10, ..credit(5, 0, 100) };
    peer.send(10, &Flow { delivery_count: Some(SequenceNo(0)), ..unseen });
    assert_eq!(peer.told().len(), 8, "counted from our first, ten may be out");
}

#[test]
fn a_flow_without_handle_changes_no_link() {
    // 2.7.4-05
    let Scene { mut peer, a, c, .. } = Scene::new(Wire::Whole);
    peer.send(10, &credit(7, 0, 5));
    peer.quiet();
    peer.send(10, &Flow { incoming_window: 1_000, available: Some(9), ..flow() });
    assert_eq!(peer.engine.sender(c).unwrap().credit(), 5);
    assert_eq!(peer.engine.receiver(a).unwrap().credit(), support::scene::CREDIT);
    assert_eq!(peer.engine.receiver(a).unwrap().available(), None);
    assert_eq!((peer.told(), peer.events()), (vec![], vec![]));
}

#[test]
fn a_disposition_without_last_is_about_one_delivery() {
    // 2.7.6-03
    let Scene { mut peer, c, .. } = Scene::new(Wire::Octets);
    peer.send(10, &credit(7, 0, 10));
    let keys: Vec<_> = (0..3).map(|_| send(&mut peer, c, 1)).collect();
    peer.quiet();
    peer.send(10, &Disposition { last: None, ..disposition(Role::Receiver, 1, 1, true) });
    let mut sender = peer.engine.sender(c).unwrap();
    assert_eq!(sender.next_outcome().unwrap().key, keys[1]);
    assert!(sender.next_outcome().is_none());
    assert_eq!(sender.unsettled().len(), 2);
}

#[test]
fn hints_to_settle_in_batches_change_nothing() {
    // 2.7.5-40, 2.7.6-15
    let told = [true, false].map(|batchable| {
        let Scene { mut peer, a, c, .. } = Scene::new(Wire::Whole);
        for id in 0..3 {
            peer.transfer(10, &Transfer { batchable, ..first(5, id) }, b"x");
            let key = peer.engine.receiver(a).unwrap().next_delivery().unwrap().key;
            let state = amqp10_codec::DeliveryState::Accepted;
            peer.engine.receiver(a).unwrap().settle(key, state, true).unwrap();
        }
        peer.send(10, &credit(7, 0, 10));
        send(&mut peer, c, 1);
        let mut told = peer.told();
        peer.send(10, &Disposition { batchable, ..disposition(Role::Receiver, 0, 0, true) });
        told.extend(peer.told());
        let outcome = peer.engine.sender(c).unwrap().next_outcome().unwrap();
        (told, outcome.state, outcome.settled)
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].0, ["0 disposition receiver 0 to 2 settled", "0 transfer handle 2 id 0 of 1"]);
}
