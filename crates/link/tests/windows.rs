//! What a session and its links hold, and how the peer is held back.

mod support;

use std::time::Duration;

use amqp10_codec::{Begin, Flow, Performative, Transfer};
use amqp10_link::{
    Config, CreditMode, DeliveryStart, Event, LinkConfig, LinkEvent, LinkId, Replenish, SessionConfig, SessionId,
};
use bytes::{Bytes, BytesMut};
use support::scene::{self, refused_link, sending};
use support::script::*;
use support::{Pair, Script, Wire, drain, events, push};

/// Octets on the wire in a frame of the peer.
const FRAME: u32 = 512;

fn more(transfer: Transfer<'static>) -> Transfer<'static> {
    Transfer { more: true, ..transfer }
}

/// The flows that the engine has sent: incoming-window, and credit if it is of a link.
fn flows(peer: &mut Script) -> Vec<(u32, Option<u32>)> {
    let flow = |frame| match frame {
        (_, Performative::Flow(flow), _) => (flow.incoming_window, flow.link_credit),
        other => panic!("{other:?}"),
    };
    peer.frames().into_iter().map(flow).collect()
}

/// A session with this configuration and one link on which the engine receives as told; the peer's numbers are 10 and 5.
fn receiving_session(session: SessionConfig, link: LinkConfig) -> (Script, SessionId, LinkId) {
    let mut peer = Script::client(scene::config(), open());
    let id = peer.engine.begin(session).unwrap();
    peer.send(10, &answer(0));
    let link = peer.engine.attach(id, link).unwrap();
    peer.send(10, &sender("link", 5));
    peer.quiet();
    (peer, id, link)
}

fn session_config(window: u32, session_buffer: usize) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.incoming_window = window;
    config.session_buffer = session_buffer;
    config
}

fn receiving(window: u32, link_buffer: usize) -> LinkConfig {
    let mut config = scene::receiving("link");
    config.credit = CreditMode::Automatic { window, replenish: Replenish::Taken };
    config.link_buffer = link_buffer;
    config.max_message_size = None;
    config
}

#[test]
fn h30_a_link_gets_no_credit_while_it_holds_link_buffer() {
    let (mut peer, _, link) = receiving_session(session_config(1000, 1 << 20), receiving(10, 1000));
    for id in 0..10 {
        peer.deliver(10, 5, id, &[1; 250]);
    }
    assert_eq!(flows(&mut peer), [], "2,500 octets are held");
    let take = |peer: &mut Script| {
        peer.engine.receiver(link).unwrap().next_delivery().unwrap();
        flows(peer)
    };
    for _ in 0..6 {
        assert_eq!(take(&mut peer), [], "1,000 octets or more are held");
    }
    assert_eq!(take(&mut peer).last().unwrap().1, Some(7), "750 octets are held");
}

#[test]
fn h30_the_window_is_renewed_before_it_runs_dry() {
    // 2.5.6-04, 2.5.6-18
    for window in [1, 2, 3, 100] {
        let (mut peer, _, link) = receiving_session(session_config(window, 1000), receiving(1000, 1 << 20));
        let (mut left, mut dry) = (window, 0);
        for id in 0..1_000 {
            peer.deliver(10, 5, id, &[1; 10]);
            left -= 1;
            dry += u32::from(left == 0);
            peer.engine.receiver(link).unwrap().next_delivery().unwrap();
            for (renewed, _) in flows(&mut peer) {
                left = renewed;
            }
            assert!(left > 0, "window {window}: nothing more may be sent after {id}");
        }
        assert_eq!(dry, if window == 1 { 1_000 } else { 0 });
    }
}

#[test]
fn h30_the_session_window_follows_what_is_taken() {
    // 2.5.6-04, 2.5.6-18
    let (mut peer, _, link) = receiving_session(session_config(20, 1000), receiving(1000, 1 << 20));
    for id in 0..20 {
        peer.deliver(10, 5, id, &[1; 100]);
    }
    // Once half of the window was used up, 1,000 octets were held.
    assert_eq!(flows(&mut peer), []);
    for held in (0..20).rev() {
        peer.engine.receiver(link).unwrap().next_delivery().unwrap();
        let renewed = flows(&mut peer);
        assert_eq!(renewed.first().map(|(window, _)| *window), (held == 9).then_some(20), "{held} are held");
    }
}

/// Carries octets to and fro until nothing moves, and returns how many the client got.
fn carry(pair: &mut Pair) -> usize {
    let mut octets = 0;
    loop {
        let there = drain(&mut pair.client, pair.now);
        push(Wire::Whole, &mut pair.server, &mut BytesMut::new(), &there, pair.now);
        let back = drain(&mut pair.server, pair.now);
        push(Wire::Whole, &mut pair.client, &mut BytesMut::new(), &back, pair.now);
        octets += back.len();
        if back.is_empty() && there.is_empty() {
            return octets;
        }
    }
}

fn send(pair: &mut Pair, link: LinkId, octets: Bytes) {
    let mut sender = pair.server.sender(link).unwrap();
    let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.write(key, octets).unwrap();
    sender.finish(key).unwrap();
}

#[test]
fn h30_a_thousand_credits_of_large_messages_are_bounded() {
    const MESSAGE: usize = 256 * 1024;
    let (buffer, window, frame) = (1 << 20, 64, 16 * 1024);
    let mut config = Config::new("client");
    config.max_frame_size = frame;
    let mut pair = Pair::opened(config, Config::new("server"));
    let (slow, theirs) = pair.session(session_config(window, buffer), SessionConfig::default());
    let (other, _) = pair.session(session_config(window, buffer), SessionConfig::default());
    let mut receiving = receiving(0, usize::MAX);
    receiving.credit = CreditMode::Manual;
    let (ours, sender) = pair.link(slow, receiving, sending(""));
    events(&mut pair.server);
    let (lively, lively_sender) = pair.link(other, scene::receiving("lively"), sending(""));
    pair.client.receiver(ours).unwrap().set_credit(1_000);
    pair.run();
    let message = Bytes::from(vec![7; MESSAGE]);
    for _ in 0..1_000 {
        send(&mut pair, sender, message.clone());
    }
    let came = carry(&mut pair);
    let bound = buffer + (window * frame) as usize + MESSAGE;
    assert!(came <= bound, "{came} octets came, more than {bound}");
    assert!(came >= buffer);

    // The other session goes on, and both ends live through an hour of this.
    events(&mut pair.client);
    for _ in 0..60 {
        send(&mut pair, lively_sender, Bytes::from_static(b"lively"));
        assert!(carry(&mut pair) < 1_000, "nothing more of what is not taken");
        assert!(pair.client.receiver(lively).unwrap().next_delivery().is_some());
        pair.advance(Duration::from_secs(60));
    }
    assert!(events(&mut pair.client).iter().all(|event| matches!(event, Event::Link(link, _) if *link == lively)));

    // And when they are taken, all of them come.
    let mut taken = 0;
    while let Some(delivery) = pair.client.receiver(ours).unwrap().next_delivery() {
        assert_eq!(delivery.payload.len(), MESSAGE);
        taken += 1;
        assert!(carry(&mut pair) <= bound);
    }
    assert_eq!(taken, 1_000);
    assert!(pair.server.session_of(sender) == Some(theirs));
}

#[test]
fn h30_a_message_larger_than_session_buffer_comes_through_if_it_is_taken_whole() {
    // 2.5.6-18, 2.5.6-19
    for octets in [100_000, 1_000_000] {
        let mut config = Config::new("client");
        config.max_frame_size = FRAME;
        let mut pair = Pair::opened(config, Config::new("server"));
        let (session, _) = pair.session(session_config(4, 10_000), SessionConfig::default());
        let (ours, sender) = pair.link(session, receiving(10, 1 << 20), sending(""));
        let message = Bytes::from((0..octets).map(|n: u32| (n % 251) as u8).collect::<Vec<_>>());
        send(&mut pair, sender, message.clone());
        send(&mut pair, sender, message.clone());
        let came = carry(&mut pair);
        // The first has come; it is taken before the second may fill the session as well.
        assert!(came < octets as usize * 4 / 3, "{came}");
        for _ in 0..2 {
            let delivery = pair.client.receiver(ours).unwrap().next_delivery().expect("a whole message");
            assert!(delivery.payload.into_bytes() == message);
            carry(&mut pair);
        }
    }
}

#[test]
fn h30_what_is_streamed_is_held_back_and_goes_on_as_it_is_taken() {
    let mut config = Config::new("client");
    config.max_frame_size = FRAME;
    let mut pair = Pair::opened(config, Config::new("server"));
    let (buffer, window) = (10_000, 4);
    let (session, _) = pair.session(session_config(window, buffer), SessionConfig::default());
    let (ours, sender) = pair.link(session, receiving(10, 1 << 20), sending(""));
    assert!(pair.client.receiver(ours).unwrap().partial().is_none(), "from here on it is streamed");
    let message = Bytes::from((0..1_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    send(&mut pair, sender, message.clone());
    let mut taken = Vec::new();
    loop {
        assert!(carry(&mut pair) <= buffer * 5 / 4 + (window * FRAME) as usize);
        let mut receiver = pair.client.receiver(ours).unwrap();
        let Some(mut partial) = receiver.partial() else { break };
        taken.extend_from_slice(&partial.take().into_bytes());
    }
    let rest = pair.client.receiver(ours).unwrap().next_delivery().unwrap();
    taken.extend_from_slice(&rest.payload.into_bytes());
    assert!(taken == message);
}

#[test]
fn h30_deliveries_that_do_not_become_whole_are_bounded() {
    refused_link("amqp:resource-limit-exceeded", |scene| {
        let mut config = session_config(100, 1_000);
        config.partial_buffer = 3_000;
        // Its own session, with the names that belong to the scene's first.
        scene.peer.engine.end(scene.one, None);
        scene.peer.send(10, &end());
        scene.one = scene.peer.engine.begin(config).unwrap();
        scene.peer.send(10, &answer(0));
        let peer = &mut scene.peer;
        peer.quiet();
        scene.a = peer.engine.attach(scene.one, scene::receiving("a")).unwrap();
        scene.b = peer.engine.attach(scene.one, scene::receiving("b")).unwrap();
        peer.send(10, &sender("a", 5));
        peer.send(10, &sender("b", 6));
        peer.quiet();
        // What came and went leaves nothing behind.
        for id in 0..10 {
            peer.transfer(10, &more(first(5, id)), &[1; 900]);
            peer.transfer(10, &more(next(5)), &[1; 900]);
            let last = if id % 2 == 0 { next(5) } else { Transfer { aborted: true, ..next(5) } };
            peer.transfer(10, &last, &[1; 900]);
            while peer.engine.receiver(scene.a).unwrap().next_delivery().is_some() {}
            peer.quiet();
        }
        peer.transfer(10, &more(first(5, 10)), &[1; 3_000]);
        peer.quiet();
        peer.transfer(10, &more(next(5)), &[1; 1]);
    });
}

#[test]
fn h30_pieces_of_a_delivery_come_out_in_order_whatever_their_size() {
    for streamed in [false, true] {
        let (mut peer, _, link) = receiving_session(session_config(1000, 1 << 20), receiving(10, 1 << 20));
        let sizes = [1, 20_000, 3, 4, 16_384, 16_383, 0, 30_000, 5, 1];
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        for (at, size) in sizes.into_iter().enumerate() {
            let piece = vec![at as u8; size];
            let transfer = if at == 0 { first(5, 0) } else { next(5) };
            peer.transfer(10, &Transfer { more: at + 1 < sizes.len(), ..transfer }, &piece);
            expected.extend(piece);
            let mut receiver = peer.engine.receiver(link).unwrap();
            if streamed
                && at % 3 == 0
                && let Some(mut partial) = receiver.partial()
            {
                found.extend_from_slice(&partial.take().into_bytes());
            }
        }
        let delivery = peer.engine.receiver(link).unwrap().next_delivery().unwrap();
        found.extend_from_slice(&delivery.payload.into_bytes());
        assert!(found == expected, "streamed: {streamed}");
        // Nothing of it is held any more: the next fills the buffer by itself.
        assert_eq!(of_link(peer.events(), link).last(), Some(&LinkEvent::DeliveryComplete));
    }
}

#[test]
fn windows_are_told_and_computed_as_the_specification_says() {
    // 2.5.6-03, 2.5.6-10, 2.5.6-13, 2.5.6-17
    let mut peer = Script::client(scene::config(), open());
    let session = peer.engine.begin(session_config(10, 1 << 20)).unwrap();
    let begin = Begin { next_outgoing_id: amqp10_codec::TransferNumber(7), incoming_window: 0, ..answer(0) };
    peer.send(10, &begin);
    let link = peer.engine.attach(session, receiving(100, 1 << 20)).unwrap();
    peer.send(10, &sender("link", 5));
    peer.quiet();
    peer.deliver(10, 5, 7, b"x");
    peer.deliver(10, 5, 8, b"x");
    // Neither dispositions nor flows nor attaches count.
    peer.send(10, &disposition(amqp10_codec::Role::Sender, 0, 1, false));
    peer.send(10, &sender("another", 6));
    let echo = |next_outgoing_id| Flow {
        next_outgoing_id: amqp10_codec::TransferNumber(next_outgoing_id),
        outgoing_window: 3,
        echo: true,
        ..flow()
    };
    peer.send(10, &echo(9));
    let next_incoming = |peer: &mut Script| {
        peer.frames().into_iter().find_map(|(_, frame, _)| match frame {
            Performative::Flow(flow) => flow.next_incoming_id.map(|id| id.0),
            _ => None,
        })
    };
    assert_eq!(next_incoming(&mut peer), Some(9));
    peer.send(10, &echo(50));
    assert_eq!(next_incoming(&mut peer), Some(50));
    assert!(peer.engine.receiver(link).unwrap().next_delivery().is_some());
}
