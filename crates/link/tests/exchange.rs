//! What two engines make of each other.

mod support;

use amqp10_codec::{DeliveryState, Source, Target};
use amqp10_link::{
    Config, CreditMode, DeliveryStart, Ended, Event, LinkConfig, LinkEvent, Output, Replenish, SessionConfig,
    SessionEvent,
};
use bytes::Bytes;
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
