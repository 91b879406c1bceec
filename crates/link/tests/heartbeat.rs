//! Signs of life in both directions, on a driven clock. §2.4.5

mod support;

use std::time::Duration;

use amqp10_codec::{Flow, Milliseconds, Open};
use amqp10_link::{Config, ConnectionEnd, DeliveryStart, Event, HeartbeatPace, LinkEvent, Output, SessionConfig};
use bytes::Bytes;
use support::scene::{Scene, config, receiving, sending, session_config};
use support::script::*;
use support::{Pair, Script, Wire, events};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const NOTHING: [&str; 0] = [];

fn idle(idle_time_out: Option<Duration>) -> Config {
    let mut config = config();
    config.idle_time_out = idle_time_out;
    config
}

/// An open of a peer that wants to hear from us.
fn wants(time: Duration) -> Open<'static> {
    Open { idle_time_out: Some(Milliseconds(time.as_millis() as u32)), ..open() }
}

#[test]
fn h19_an_hour_of_silence_of_both_applications() {
    // 2.4.5-04
    let times = [None, Some(15 * SECOND), Some(60 * SECOND)];
    for wire in [Wire::Whole, Wire::Octets] {
        for pace in [HeartbeatPace::Peer, HeartbeatPace::Both] {
            for client in times {
                for server in times {
                    let (mut client, mut server) = (idle(client), idle(server));
                    (client.heartbeat_pace, server.heartbeat_pace) = (pace, pace);
                    let mut pair = Pair::opened(client, server);
                    pair.wire = wire;
                    pair.advance(HOUR);
                    assert_eq!((events(&mut pair.client), events(&mut pair.server)), (vec![], vec![]));
                    pair.session(SessionConfig::default(), SessionConfig::default());
                }
            }
        }
    }
}

#[test]
fn h19_a_heartbeat_leaves_within_half_of_what_the_peer_bears() {
    // 2.4.5-06, 2.4.5-11
    for (pace, own, expected) in [
        (HeartbeatPace::Peer, Some(4 * SECOND), 10 * SECOND),
        (HeartbeatPace::Peer, None, 10 * SECOND),
        (HeartbeatPace::Both, Some(4 * SECOND), 4 * SECOND),
        (HeartbeatPace::Both, Some(60 * SECOND), 10 * SECOND),
        (HeartbeatPace::Both, None, 10 * SECOND),
    ] {
        let mut config = idle(own);
        config.heartbeat_pace = pace;
        let mut peer = Script::client(config, wants(10 * SECOND));
        for _ in 0..100 {
            peer.advance(expected / 2 - MILLI);
            assert_eq!(peer.heartbeats(), 0);
            peer.advance(MILLI);
            assert_eq!(peer.heartbeats(), 1, "{pace:?}, own {own:?}");
            peer.octets(&[0, 0, 0, 8, 2, 0, 0, 0]);
        }
        assert_eq!(peer.events(), []);
    }
}

#[test]
fn h19_whatever_leaves_is_a_sign_of_life() {
    let mut peer = Script::client(idle(None), wants(10 * SECOND));
    peer.advance(4 * SECOND);
    peer.engine.begin(session_config()).unwrap();
    assert_eq!(peer.told(), ["0 begin"]);
    peer.advance(5 * SECOND - MILLI);
    assert_eq!(peer.heartbeats(), 0);
    peer.advance(MILLI);
    assert_eq!(peer.heartbeats(), 1);
}

#[test]
fn h19_a_peer_without_idle_time_out_gets_no_heartbeats() {
    // 2.4.5-07, 2.7.1-14
    for open in [open(), wants(Duration::ZERO)] {
        let mut peer = Script::client(idle(None), open);
        peer.advance(HOUR);
        assert_eq!(peer.heartbeats(), 0);
        assert_eq!(peer.engine.poll_timeout(), None);
    }
}

#[test]
fn h19_a_mute_peer_is_given_up_at_twice_our_idle_time_out() {
    // 2.4.5-01, 2.4.5-02, 2.4.5-05
    for pace in [HeartbeatPace::Peer, HeartbeatPace::Both] {
        let mut config = idle(Some(10 * SECOND));
        config.heartbeat_pace = pace;
        let mut peer = Script::client(config, open());
        peer.advance(20 * SECOND - MILLI);
        peer.heartbeats();
        assert_eq!(peer.events(), []);
        peer.advance(MILLI);
        assert_eq!(peer.told(), ["0 close amqp:resource-limit-exceeded"]);
        assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::IdleTimeOut)]);
        assert!(peer.engine.is_closed(), "whoever says nothing will not answer the close either");
        peer.advance(HOUR);
        assert_eq!(peer.events(), []);
        assert_eq!(peer.told(), NOTHING);
    }
}

#[test]
fn h19_every_whole_frame_is_a_sign_of_life_and_half_a_frame_is_none() {
    // 2.4.5-03, 2.4.5-15
    let mut scene = Scene::new(Wire::Octets);
    let peer = &mut scene.peer;
    // The default of 60 s, that is 120 s of silence.
    for n in 0..5_u32 {
        for frame in [frame(10, &flow()), vec![0, 0, 0, 8, 2, 0, 0, 0], transfer_frame(10, &first(5, n), b"x")] {
            peer.advance(119 * SECOND);
            peer.octets(&frame);
        }
    }
    assert!(peer.events().iter().all(|event| matches!(event, Event::Link(_, LinkEvent::DeliveryComplete))));
    peer.advance(119 * SECOND);
    peer.octets(&[0, 0, 0, 8, 2]);
    peer.quiet();
    peer.advance(SECOND);
    assert_eq!(peer.told(), ["0 close amqp:resource-limit-exceeded"]);
    assert_eq!(peer.events().last(), Some(&Event::Closed(ConnectionEnd::IdleTimeOut)));
}

#[test]
fn h19_no_idle_time_out_of_our_own() {
    for own in [None, Some(Duration::ZERO), Some(Duration::from_micros(999))] {
        for pace in [HeartbeatPace::Peer, HeartbeatPace::Both] {
            let mut config = idle(own);
            config.heartbeat_pace = pace;
            let mut peer = Script::client(config, open());
            peer.advance(HOUR);
            assert_eq!(peer.events(), []);
            assert_eq!(peer.heartbeats(), 0);
        }
    }
}

#[test]
fn h19_an_idle_time_out_is_told_in_milliseconds() {
    let told = |own| {
        let mut peer = Script::silent_client(idle(own));
        let frames = peer.frames();
        let [(0, amqp10_codec::Performative::Open(open), _)] = &frames[..] else { panic!() };
        open.idle_time_out
    };
    assert_eq!(told(None), None);
    assert_eq!(told(Some(Duration::ZERO)), None);
    assert_eq!(told(Some(15 * SECOND)), Some(Milliseconds(15_000)));
    assert_eq!(told(Some(HOUR * 24 * 365)), Some(Milliseconds(u32::MAX)));
}

#[test]
fn h19_a_heartbeat_leaves_while_a_large_send_waits_for_window_or_credit() {
    for blocked_by in ["window", "credit"] {
        let mut peer = Script::client(idle(None), wants(4 * SECOND));
        let session = peer.engine.begin(session_config()).unwrap();
        peer.send(10, &answer(0));
        let link = peer.engine.attach(session, sending("link")).unwrap();
        peer.send(10, &receiver("link", 5));
        peer.send(10, &credit(5, 0, 10));
        peer.quiet();
        let mut sender = peer.engine.sender(link).unwrap();
        for _ in 0..10 {
            let sent = sender.begin_delivery(DeliveryStart::default()).unwrap();
            sender.write(sent, Bytes::from(vec![0; 100_000])).unwrap();
            sender.finish(sent).unwrap();
        }
        match blocked_by {
            "window" => peer.send(10, &Flow { incoming_window: 0, ..flow() }),
            _ => peer.send(10, &credit(5, 0, 0)),
        }
        assert_eq!(peer.told(), NOTHING);
        for _ in 0..100 {
            peer.advance(2 * SECOND);
            assert_eq!(peer.heartbeats(), 1, "blocked by {blocked_by}");
        }
    }
}

#[test]
fn h19_a_heartbeat_goes_before_queued_transfers() {
    // 2.4.5-09
    let mut peer = Script::client(idle(None), Open { max_frame_size: 512, ..wants(4 * SECOND) });
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &answer(0));
    let link = peer.engine.attach(session, sending("link")).unwrap();
    peer.send(10, &receiver("link", 5));
    peer.send(10, &Flow { incoming_window: u32::MAX, ..credit(5, 0, 10) });
    peer.quiet();
    let mut sender = peer.engine.sender(link).unwrap();
    let sent = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.write(sent, Bytes::from(vec![0; 1_000_000])).unwrap();
    sender.finish(sent).unwrap();
    // A peer that reads slowly: what is asked for is little, and asked for late.
    let mut gap = Duration::ZERO;
    for _ in 0..100 {
        peer.now += SECOND;
        gap += SECOND;
        peer.engine.handle_timeout(peer.now);
        let mut output = Output::new();
        if gap >= 2 * SECOND {
            assert!(peer.engine.poll_output(&mut output, 1, peer.now));
            let mut slices = [std::io::IoSlice::new(&[])];
            output.chunks(&mut slices);
            assert_eq!(slices[0][..8], [0, 0, 0, 8, 2, 0, 0, 0]);
            gap = Duration::ZERO;
        }
    }
}

#[test]
fn h19_an_application_that_takes_nothing_for_an_hour() {
    let mut pair = Pair::opened(idle(Some(10 * SECOND)), idle(Some(10 * SECOND)));
    let (ours, _) = pair.session(session_config(), session_config());
    let (receiver, sender) = pair.link(ours, receiving("link"), sending("link"));
    pair.run();
    events(&mut pair.client);
    events(&mut pair.server);
    let mut end = pair.server.sender(sender).unwrap();
    while let Ok(sent) = end.begin_delivery(DeliveryStart::default()) {
        end.write(sent, Bytes::from(vec![0; 9_000])).unwrap();
        end.finish(sent).unwrap();
    }
    pair.advance(HOUR);
    assert_eq!(events(&mut pair.client), [Event::Link(receiver, LinkEvent::DeliveryComplete)]);
    assert_eq!(events(&mut pair.server), []);
    let mut end = pair.client.receiver(receiver).unwrap();
    assert_eq!(std::iter::from_fn(|| end.next_delivery()).count(), 10);
}

#[test]
fn h19_no_heartbeat_before_open_or_after_close() {
    // 2.4.5-12, 2.4.5-13, 2.4.5-14
    let mut config = idle(Some(4 * SECOND));
    config.heartbeat_pace = HeartbeatPace::Both;
    let mut peer = Script::silent_server(config.clone());
    peer.advance(10 * SECOND);
    assert_eq!(peer.told(), NOTHING);
    peer.header();
    peer.send(0, &wants(4 * SECOND));
    assert_eq!(peer.told(), ["header"]);
    peer.advance(10 * SECOND);
    assert_eq!(peer.told(), NOTHING);
    peer.engine.accept(config.clone()).unwrap();
    assert_eq!(peer.told(), ["0 open"]);
    peer.advance(2 * SECOND);
    assert_eq!(peer.heartbeats(), 1);

    peer.engine.close(None);
    assert_eq!(peer.told(), ["0 close"]);
    peer.advance(HOUR);
    assert_eq!(peer.told(), NOTHING);

    // A heartbeat that is due when the close is.
    let mut peer = Script::client(config, wants(4 * SECOND));
    peer.now += 3 * SECOND;
    peer.engine.handle_timeout(peer.now);
    peer.engine.close(None);
    assert_eq!(peer.told(), ["0 close"]);
    assert_eq!(peer.heartbeats(), 0);
}

#[test]
fn h19_silence_before_the_opens_ends_in_time() {
    // A client has sent its open, so it can say why it goes.
    let mut peer = Script::silent_client(config());
    assert_eq!(peer.told(), ["header", "0 open"]);
    peer.advance(config().handshake_time_out);
    assert_eq!(peer.told(), ["0 close amqp:resource-limit-exceeded"]);
    assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::HandshakeTimeOut)]);
    assert!(peer.engine.is_closed());

    // So can a server whose application did not answer the open.
    let mut peer = Script::silent_server(config());
    peer.header();
    peer.send(0, &open());
    peer.advance(config().handshake_time_out);
    assert_eq!(peer.told(), ["header", "0 open", "0 close amqp:resource-limit-exceeded"]);
    assert_eq!(peer.events(), [Event::Incoming, Event::Closed(ConnectionEnd::HandshakeTimeOut)]);
    assert!(peer.engine.is_closed());

    // One that heard nothing has nobody to tell.
    let mut peer = Script::silent_server(config());
    peer.octets(b"AMQP");
    peer.advance(config().handshake_time_out);
    assert_eq!(peer.told(), NOTHING);
    assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::HandshakeTimeOut)]);
    assert!(peer.engine.is_closed());
}
