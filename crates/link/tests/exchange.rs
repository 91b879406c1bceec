//! What two engines make of each other.

mod support;

use amqp10_codec::{DeliveryState, Flow, Source, Target, TransferNumber};
use amqp10_link::{
    Config, CreditMode, DeliveryStart, Ended, Event, LinkConfig, LinkEvent, LinkId, Output, Replenish, SessionConfig,
    SessionEvent,
};
use bytes::Bytes;
use support::scene::{Scene, sending};
use support::script;
use support::{Pair, Wire, events};

fn receiving(window: u32) -> (LinkConfig, LinkConfig) {
    let mut receiver = LinkConfig::receiver("link", Source::at("queue"));
    receiver.credit = CreditMode::Automatic { window, replenish: Replenish::Taken };
    (receiver, LinkConfig::sender("", Target::default()))
}

#[test]
fn one_transfer_is_received_and_accepted() {
    // 2.6.3-01, 2.6.3-02, 2.6.12-10
    for wire in [Wire::Whole, Wire::Octets] {
        let mut pair = Pair::plain();
        pair.wire = wire;
        let (session, _) = pair.session(SessionConfig::default(), SessionConfig::default());
        let (receiver, sender) = receiving(10);
        let (ours, theirs) = pair.link(session, receiver, sender);
        assert_eq!(events(&mut pair.client), [Event::Link(ours, LinkEvent::Attached)]);
        let told = events(&mut pair.server);
        assert_eq!(told, [Event::Link(theirs, LinkEvent::Attached), Event::Link(theirs, LinkEvent::Sendable)]);

        let mut sender = pair.server.sender(theirs).unwrap();
        assert_eq!(sender.credit(), 10);
        let sent = sender.begin_delivery(DeliveryStart::default()).unwrap();
        sender.write(sent, Bytes::from_static(b"hello")).unwrap();
        sender.finish(sent).unwrap();
        pair.run();

        assert_eq!(events(&mut pair.client), [Event::Link(ours, LinkEvent::DeliveryComplete)]);
        let mut receiver = pair.client.receiver(ours).unwrap();
        let delivery = receiver.next_delivery().unwrap();
        assert_eq!(&delivery.payload.clone().into_bytes()[..], b"hello");
        assert!(receiver.next_delivery().is_none());
        receiver.settle(delivery.key, DeliveryState::Accepted, true).unwrap();
        pair.run();

        assert_eq!(events(&mut pair.server), [Event::Link(theirs, LinkEvent::Outcomes)]);
        let outcome = pair.server.sender(theirs).unwrap().next_outcome().unwrap();
        assert_eq!((outcome.key, outcome.state, outcome.settled), (sent, Some(DeliveryState::Accepted), true));

        pair.client.detach(ours, true, None);
        pair.run();
        let detached = |end| LinkEvent::Detached { closed: true, end };
        assert_eq!(events(&mut pair.client), [Event::Link(ours, detached(Ended::Local))]);
        assert_eq!(events(&mut pair.server), [Event::Link(theirs, detached(Ended::Remote(None)))]);
        assert!(pair.client.take_terminus(ours).unwrap().unsettled.is_empty());

        pair.client.end(session, None);
        pair.run();
        assert_eq!(events(&mut pair.client), [Event::Session(session, SessionEvent::Ended(Ended::Local))]);
        pair.client.close(None);
        pair.run();
        assert!(pair.client.is_closed() && pair.server.is_closed());
    }
}

#[test]
fn a_large_message_goes_in_many_frames_even_to_a_peer_without_a_limit() {
    let mut unlimited = Config::new("server");
    unlimited.max_frame_size = u32::MAX;
    let mut pair = Pair::opened(Config::new("client"), unlimited);
    let (session, _) = pair.session(SessionConfig::default(), SessionConfig::default());
    let receiver = LinkConfig::receiver("", Source::default());
    let (ours, _) = pair.link(session, LinkConfig::sender("link", Target::at("queue")), receiver);
    let mut sender = pair.client.sender(ours).unwrap();
    let delivery = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.write(delivery, Bytes::from(vec![7; 1 << 20])).unwrap();
    sender.finish(delivery).unwrap();
    let mut output = Output::new();
    let mut frames = 0;
    let mut before = 0;
    while pair.client.poll_output(&mut output, before + 1, pair.now) {
        assert!(output.len() - before <= 128 * 1024, "a frame of {} octets", output.len() - before);
        before = output.len();
        frames += 1;
    }
    assert!(frames >= 8 && before > 1 << 20, "{frames} frames, {before} octets");
}

/// Gives so many small deliveries to a link whose peer has granted credit for more.
fn deliver(scene: &mut Scene, link: LinkId, count: usize) {
    let mut sender = scene.peer.engine.sender(link).unwrap();
    for _ in 0..count {
        sender.deliver(DeliveryStart::default(), Bytes::from_static(b"x")).unwrap();
    }
}

/// The channels and handles of the transfers that are sent next.
fn turns(scene: &mut Scene) -> Vec<String> {
    let told = scene.peer.told();
    told.iter().map(|frame| frame.replace("transfer handle ", "").split(" id").next().unwrap().to_owned()).collect()
}

#[test]
fn links_and_sessions_take_turns_frame_by_frame() {
    let mut scene = Scene::new(Wire::Whole);
    let (one, two, c) = (scene.one, scene.two, scene.c);
    let e = scene.peer.engine.attach(one, sending("e")).unwrap();
    let f = scene.peer.engine.attach(two, sending("f")).unwrap();
    scene.peer.send(10, &script::receiver("e", 8));
    scene.peer.send(11, &script::receiver("f", 6));
    for (channel, handle) in [(10, 7), (10, 8), (11, 6)] {
        scene.peer.send(channel, &script::credit(handle, 0, 100));
    }
    scene.peer.quiet();
    for (link, count) in [(c, 5), (e, 3), (f, 4)] {
        deliver(&mut scene, link, count);
    }
    // Two links of a session share its turns; who is left alone goes on alone.
    let expected = ["0 2", "1 1", "0 3", "1 1", "0 2", "1 1", "0 3", "1 1", "0 2", "0 3", "0 2", "0 2"];
    assert_eq!(turns(&mut scene), expected);
}

#[test]
fn deliveries_in_a_row_stop_where_there_is_enough_and_where_the_window_and_the_credit_end() {
    let mut scene = Scene::new(Wire::Whole);
    let c = scene.c;
    scene.peer.send(10, &Flow { incoming_window: 5, ..script::credit(7, 0, 8) });
    scene.peer.quiet();
    deliver(&mut scene, c, 8);
    let mut output = Output::new();
    for frames in 1..=3 {
        let before = output.len();
        assert!(scene.peer.engine.poll_output(&mut output, before + 1, scene.peer.now));
        assert!(output.len() > before && output.len() < 40 * frames, "{} octets in {frames} frames", output.len());
    }
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 3 of 1", "0 transfer handle 2 id 4 of 1"]);
    scene.peer.send(10, &Flow { next_incoming_id: Some(TransferNumber(5)), ..script::credit(7, 5, 2) });
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 5 of 1", "0 transfer handle 2 id 6 of 1"]);
    scene.peer.send(10, &Flow { next_incoming_id: Some(TransferNumber(7)), ..script::credit(7, 7, 1) });
    assert_eq!(scene.peer.told(), ["0 transfer handle 2 id 7 of 1"]);
}
