//! What belongs to the connection: headers, opens, channels, frame sizes, closes.

mod support;

use amqp10_codec::{
    Begin, Channel, Flow, Handle, Milliseconds, Open, Performative, ProtocolHeader, ProtocolId, Role, Source,
};
use amqp10_link::{
    CommandError, ConnectionEnd, DeliveryStart, Ended, Event, LinkConfig, LinkEvent, SessionEvent, Violation,
};
use bytes::Bytes;
use support::scene::{CHANNEL_MAX, Scene, config, refused_connection, session_config};
use support::script::*;
use support::{Script, Wire};

const NOTHING: [&str; 0] = [];

/// Octets instead of our protocol header. A server tells what it speaks, a client has told already; both hang up.
#[track_caller]
fn refused_header(octets: &[u8]) {
    for wire in [Wire::Whole, Wire::Octets] {
        for is_server in [true, false] {
            let mut peer = if is_server { Script::silent_server(config()) } else { Script::silent_client(config()) };
            peer.wire = wire;
            if !is_server {
                assert_eq!(peer.told(), ["header", "0 open"]);
            }
            peer.octets(octets);
            let answer: &[&str] = if is_server { &["header"] } else { &[] };
            assert_eq!(peer.told(), answer);
            assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::Violation(Violation::ProtocolHeader))]);
            assert!(peer.engine.is_closed());
            assert_eq!(peer.engine.poll_timeout(), None, "nothing is waited for");

            peer.header();
            peer.send(0, &open());
            peer.engine.handle_eof(peer.now);
            assert_eq!(peer.told(), NOTHING);
            assert_eq!(peer.events(), []);
        }
    }
}

fn header(id: ProtocolId, version: [u8; 3]) -> [u8; 8] {
    ProtocolHeader { id, version }.to_octets()
}

#[test]
fn h11_a_header_in_pieces_or_with_frames_behind_it() {
    // 2.2-16
    for wire in [Wire::Whole, Wire::Octets] {
        let mut peer = Script::silent_server(config());
        peer.wire = wire;
        peer.octets(&[&ProtocolHeader::AMQP.to_octets()[..], &frame(0, &open())].concat());
        assert_eq!(peer.events(), [Event::Incoming]);
        assert_eq!(peer.told(), ["header"]);
    }
}

/// Before both opens have been exchanged there is nothing but the connection to refuse.
#[track_caller]
fn refused_opening(condition: &str, fault: impl Fn(&mut Script)) {
    for wire in [Wire::Whole, Wire::Octets] {
        for is_server in [true, false] {
            let mut peer = if is_server { Script::silent_server(config()) } else { Script::silent_client(config()) };
            peer.wire = wire;
            peer.header();
            fault(&mut peer);
            assert_eq!(peer.told(), ["header", "0 open", &format!("0 close {condition}")]);
            let told = peer.events();
            let [Event::Closed(ConnectionEnd::Violation(violation))] = told[..] else { panic!("{told:?}") };
            assert_eq!(violation.condition().as_str(), condition);
            assert_eq!(peer.engine.begin(session_config()), Err(CommandError::Closed));

            peer.send(0, &open());
            peer.send(0, &begin());
            peer.send(0, &close());
            assert_eq!(peer.told(), NOTHING);
            assert_eq!(peer.events(), []);
        }
    }
}

#[test]
fn h12_open_on_another_channel_than_0() {
    // 2.4.1-04
    refused_opening("amqp:not-allowed", |peer| peer.send(1, &open()));
}

#[test]
fn h12_frames_before_open() {
    // 2.4.1-03, 2.7.1-03, 2.4.6-04, 2.4.6-08
    refused_opening("amqp:illegal-state", |peer| peer.send(0, &begin()));
    refused_opening("amqp:illegal-state", |peer| peer.send(0, &sender("link", 0)));
    refused_opening("amqp:illegal-state", |peer| peer.send(0, &flow()));
    refused_opening("amqp:illegal-state", |peer| peer.transfer(0, &first(0, 0), b"payload"));
    refused_opening("amqp:illegal-state", |peer| peer.send(0, &detach(0, true)));
    refused_opening("amqp:illegal-state", |peer| peer.send(0, &end()));
    refused_opening("amqp:illegal-state", |peer| peer.send(0, &close()));
    refused_opening("amqp:illegal-state", |peer| peer.octets(&[0, 0, 0, 8, 2, 0, 0, 0]));
    refused_opening("amqp:decode-error", |peer| peer.octets(&[0, 0, 0, 9, 2, 0, 0, 0, 0x40]));
    refused_opening("amqp:connection:framing-error", |peer| peer.octets(&[0, 0, 0, 8, 2, 1, 0, 0]));
}

#[test]
fn h12_two_opens() {
    // 2.4.1-06, 2.8.15-12
    refused_connection("amqp:illegal-state", |scene| scene.peer.send(0, &open()));
}

#[test]
fn h12_max_frame_size_below_512() {
    // 2.7.1-10, 2.8.19-05
    for max_frame_size in [0, 1, 511] {
        refused_opening("amqp:invalid-field", |peer| peer.send(0, &Open { max_frame_size, ..open() }));
    }
    let peer = Script::client(config(), Open { max_frame_size: 512, ..open() });
    assert_eq!(peer.engine.remote_open().unwrap().max_frame_size, 512);
}

#[test]
fn h12_begin_with_an_unknown_remote_channel() {
    // 2.5.1-05
    // Never begun; begun and answered already.
    for remote_channel in [2, 99, u16::MAX, 0, 1] {
        refused_connection("amqp:not-found", |scene| scene.peer.send(12, &answer(remote_channel)));
    }
}

#[test]
fn h12_begin_on_a_channel_in_use() {
    // 2.5.1-06
    refused_connection("amqp:not-allowed", |scene| scene.peer.send(10, &begin()));
    refused_connection("amqp:not-allowed", |scene| scene.peer.send(10, &answer(2)));
}

#[test]
fn h12_frames_for_unmapped_channels() {
    // 2.4-03, 2.5.5-01
    // 0 and 1 are channels of ours, which mean nothing from the peer.
    for channel in [0, 1, 9, 12, CHANNEL_MAX] {
        refused_connection("amqp:not-allowed", |scene| scene.peer.send(channel, &sender("link", 0)));
        refused_connection("amqp:not-allowed", |scene| scene.peer.send(channel, &flow()));
        refused_connection("amqp:not-allowed", |scene| scene.peer.deliver(channel, 5, 0, b"payload"));
        refused_connection("amqp:not-allowed", |scene| {
            scene.peer.send(channel, &disposition(Role::Receiver, 0, 0, true));
        });
        refused_connection("amqp:not-allowed", |scene| scene.peer.send(channel, &detach(5, true)));
        refused_connection("amqp:not-allowed", |scene| scene.peer.send(channel, &end()));
    }
    // A channel whose session has been ended by both.
    refused_connection("amqp:not-allowed", |scene| {
        let begun = scene.peer.engine.begin(session_config()).unwrap();
        scene.peer.send(12, &answer(2));
        scene.peer.engine.end(begun, None);
        scene.peer.send(12, &end());
        scene.peer.quiet();
        scene.peer.send(12, &flow());
    });
}

#[test]
fn h12_sasl_frames_after_sasl() {
    // 2.2-02
    refused_connection("amqp:connection:framing-error", |scene| scene.peer.octets(&[0, 0, 0, 8, 2, 1, 0, 0]));
}

#[test]
fn h12_bodies_that_are_no_performatives() {
    // 2.8.15-04
    let bodies: [&[u8]; 5] = [
        &[0x40],
        &[0x00, 0x53, 0x19, 0x45],
        // The descriptor of a SASL outcome.
        &[0x00, 0x53, 0x44, 0xc0, 0x03, 0x01, 0x50, 0x00],
        // An end with something behind it.
        &[0x00, 0x53, 0x17, 0x45, 0x40],
        // A begin without its mandatory fields.
        &[0x00, 0x53, 0x11, 0x45],
    ];
    for body in bodies {
        refused_connection("amqp:decode-error", |scene| {
            let octets = [&[0, 0, 0, 8 + body.len() as u8, 2, 0, 0, 10][..], body].concat();
            scene.peer.octets(&octets);
        });
    }
}

#[test]
fn h13_frames_up_to_our_own_limit_are_taken() {
    // 2.7.1-08, 2.8.16-02
    // The peer takes 512, we take 4,096, and that is what counts for what comes in.
    let mut config = config();
    config.max_frame_size = 4096;
    let mut peer = Script::client(config, Open { max_frame_size: 512, ..open() });
    peer.send(10, &begin());
    let [Event::Session(session, SessionEvent::Incoming)] = peer.events()[..] else { panic!() };
    peer.engine.accept_begin(session, session_config()).unwrap();
    let receiver = peer.engine.attach(session, support::scene::receiving("link")).unwrap();
    peer.send(10, &sender("link", 5));
    peer.quiet();
    let room = 4096 - transfer_frame(10, &first(5, 0), b"").len();
    peer.deliver(10, 5, 0, &vec![7; room]);
    assert_eq!(peer.events(), [Event::Link(receiver, LinkEvent::DeliveryComplete)]);
    peer.quiet();

    peer.deliver(10, 5, 1, &vec![7; room + 1]);
    assert_eq!(peer.told(), ["0 close amqp:connection:framing-error"]);
    assert!(matches!(peer.events()[..], [.., Event::Closed(ConnectionEnd::Violation(Violation::Framing(_)))]));
    assert!(peer.engine.is_closed(), "what follows cannot be told apart");
}

#[test]
fn h13_even_512_octets_are_taken_by_who_advertised_less() {
    // 2.7.1-09
    let mut config = config();
    config.max_frame_size = 100;
    let mut peer = Script::client(config, open());
    peer.octets(&[&[0, 0, 2, 0, 128, 0, 0, 0][..], &[0; 504]].concat());
    assert_eq!(peer.told(), NOTHING);
    assert!(!peer.engine.is_closed());
}

#[test]
fn h13_frames_we_send_obey_the_peer() {
    // 2.7.1-07, 2.6.14-01, 2.6.11-01, 2.8.15-14
    for limit in [512, 513, 4096, u32::MAX] {
        let mut peer = Script::client(config(), Open { max_frame_size: limit, ..open() });
        let session = peer.engine.begin(session_config()).unwrap();
        peer.send(10, &Begin { incoming_window: 10_000, ..answer(0) });
        let link = peer.engine.attach(session, support::scene::sending("link")).unwrap();
        peer.send(10, &receiver("link", 5));
        peer.send(10, &Flow { incoming_window: 10_000, ..credit(5, 0, 10) });
        peer.quiet();
        let octets = Bytes::from((0..100_000_u32).map(|n| n as u8).collect::<Vec<_>>());
        let mut sender = peer.engine.sender(link).unwrap();
        let tag = amqp10_codec::DeliveryTag::new(&[255; 32]).unwrap();
        let sent = sender.begin_delivery(DeliveryStart { tag: Some(tag), ..DeliveryStart::default() }).unwrap();
        sender.write(sent, octets.clone()).unwrap();
        sender.finish(sent).unwrap();
        // `frames` checks the size of each.
        let frames = peer.frames();
        let last = frames.len() - 1;
        let mut joined = Vec::new();
        for (at, (_, body, payload)) in frames.iter().enumerate() {
            let Performative::Transfer(transfer) = body else { panic!() };
            assert_eq!((transfer.more, transfer.delivery_id.is_some()), (at < last, at == 0));
            joined.extend_from_slice(payload);
        }
        assert_eq!(joined, octets);
        let most = limit.min(100_100) as usize;
        assert!(frames.len() <= 100_000 / (most - 112) + 1, "{} frames", frames.len());
    }
}

#[test]
fn h13_a_performative_above_the_peers_limit_is_an_error_at_the_call() {
    // 2.8.15-13
    let mut peer = Script::client(config(), Open { max_frame_size: 512, ..open() });
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &answer(0));
    peer.quiet();
    let long = "x".repeat(600);
    let refused = peer.engine.attach(session, LinkConfig::receiver(long.clone(), Source::at("queue")));
    assert!(matches!(refused, Err(CommandError::FrameTooLarge(size)) if size > 600), "{refused:?}");
    assert_eq!(peer.told(), NOTHING);
    assert_eq!(peer.events(), []);
    // An error's text is left out where it does not fit.
    peer.engine
        .end(session, Some(amqp10_codec::Error::new(amqp10_codec::ErrorCondition::INTERNAL_ERROR, long.clone())));
    assert_eq!(peer.told(), ["0 end amqp:internal-error"]);
    peer.engine.close(Some(amqp10_codec::Error::new(amqp10_codec::ErrorCondition::INTERNAL_ERROR, long)));
    assert_eq!(peer.told(), ["0 close amqp:internal-error"]);
}

#[test]
fn h13_channels_we_use_obey_the_peer() {
    // 2.7.1-11, 2.7.1-13, 2.4.1-05
    let mut peer = Script::client(config(), Open { channel_max: Channel(1), ..open() });
    let first = peer.engine.begin(session_config()).unwrap();
    peer.engine.begin(session_config()).unwrap();
    assert_eq!(peer.engine.begin(session_config()), Err(CommandError::NoChannel));
    assert_eq!(peer.told(), ["0 begin", "1 begin"]);
    peer.send(10, &answer(0));
    peer.engine.end(first, None);
    assert_eq!(peer.engine.begin(session_config()), Err(CommandError::NoChannel), "not free before the peer agrees");
    peer.send(10, &end());
    peer.engine.begin(session_config()).unwrap();
    assert_eq!(peer.told(), ["0 end", "0 begin"]);
}

#[test]
fn h13_handles_we_use_obey_the_peer() {
    // 2.7.2-05
    let mut peer = Script::client(config(), open());
    let session = peer.engine.begin(session_config()).unwrap();
    peer.send(10, &Begin { handle_max: Handle(1), ..answer(0) });
    for name in ["a", "b"] {
        peer.engine.attach(session, support::scene::receiving(name)).unwrap();
    }
    peer.quiet();
    let refused = peer.engine.attach(session, support::scene::receiving("c"));
    assert_eq!(refused, Err(CommandError::NoHandle));
    assert_eq!(peer.told(), NOTHING);
}

#[test]
fn h18_closes_crossing_on_the_wire() {
    // 2.4.4-01, 2.4.6-12, 2.4.6-13, 2.4.3-02, 2.7.9-03
    for error in [None, Some(problem())] {
        let mut scene = Scene::new(Wire::Octets);
        scene.peer.engine.close(error.clone());
        assert_eq!(scene.peer.told().len(), 1);
        assert!(!scene.peer.engine.is_closed());
        scene.peer.quiet();
        // What was on its way before the peer's close is discarded, even what nobody could have sent.
        scene.peer.deliver(10, 5, 0, b"in flight");
        scene.peer.send(15, &flow());
        scene.peer.send(0, &open());
        scene.peer.octets(&[0, 0, 0, 9, 2, 0, 0, 0, 0x40]);
        assert_eq!(scene.peer.events(), []);
        scene.peer.send(0, &amqp10_codec::Close { error });
        assert_eq!(scene.peer.told(), NOTHING, "no second close");
        assert_eq!(scene.peer.events(), [Event::Closed(ConnectionEnd::Local)]);
        assert!(scene.peer.engine.is_closed());
        assert_eq!(scene.peer.engine.poll_timeout(), None);
    }
}

#[test]
fn h18_closes_of_two_engines_crossing() {
    let mut pair = support::Pair::plain();
    pair.client.close(None);
    pair.server.close(Some(problem()));
    pair.run();
    for engine in [&mut pair.client, &mut pair.server] {
        assert_eq!(support::events(engine), [Event::Closed(ConnectionEnd::Local)]);
        assert!(engine.is_closed());
    }
}

#[test]
fn h18_a_close_is_answered_at_once_on_any_channel() {
    // 2.4.3-05, 2.4.3-06, 2.4.3-08, 2.4.3-10, 2.4.6-11
    for (channel, error) in [(0, None), (CHANNEL_MAX, None), (10, Some(problem()))] {
        let mut scene = Scene::new(Wire::Octets);
        scene.peer.send(channel, &amqp10_codec::Close { error: error.clone() });
        assert_eq!(scene.peer.told(), ["0 close"]);
        let told = scene.peer.events();
        assert_eq!(told.last(), Some(&Event::Closed(ConnectionEnd::Remote(error))));
        let ended = |event: &Event| matches!(event, Event::Session(_, SessionEvent::Ended(Ended::Below)));
        assert_eq!(told.iter().filter(|event| ended(event)).count(), 2);
        assert!(scene.peer.engine.is_closed());
        // Octets after the close have no effect.
        scene.peer.octets(b"garbage");
        scene.peer.engine.handle_eof(scene.peer.now);
        scene.peer.engine.close(None);
        assert_eq!(scene.peer.told(), NOTHING);
        assert_eq!(scene.peer.events(), []);
    }
}

#[test]
fn h18_a_close_that_is_never_answered() {
    // 2.4.3-04
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.engine.close(None);
    scene.peer.quiet();
    scene.peer.advance(config().handshake_time_out);
    assert_eq!(scene.peer.events(), [Event::Closed(ConnectionEnd::HandshakeTimeOut)]);
    assert!(scene.peer.engine.is_closed());
    assert_eq!(scene.peer.told(), NOTHING);
}

#[test]
fn an_end_of_octets_without_a_close_is_told_once() {
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.engine.handle_eof(scene.peer.now);
    scene.peer.engine.handle_eof(scene.peer.now);
    assert_eq!(scene.peer.events().last(), Some(&Event::Closed(ConnectionEnd::Eof)));
    assert_eq!(scene.peer.told(), NOTHING);
    assert_eq!(scene.peer.engine.poll_timeout(), None);
}

#[test]
fn h11_wrong_protocol_header() {
    // 2.2-12, 2.2-13, 2.2-14, 2.4.7-06, 5.3-02
    refused_header(&header(ProtocolId::Sasl, [1, 0, 0]));
    refused_header(&header(ProtocolId::Other(1), [1, 0, 0]));
    refused_header(&header(ProtocolId::Other(4), [1, 0, 0]));
}

#[test]
fn h11_wrong_version() {
    // 2.2-03, 2.2-09, 2.2-10
    for version in [[1, 1, 0], [0, 9, 1], [9, 9, 9], [1, 0, 1]] {
        refused_header(&header(ProtocolId::Amqp, version));
    }
    refused_header(b"AMQP\x01\x01\x00\x09");
}

#[test]
fn h11_tls_header_where_none_is_due() {
    // 5.2-02
    refused_header(&header(ProtocolId::Tls, [1, 0, 0]));
}

#[test]
fn h11_garbage_instead_of_a_header() {
    // 2.2-11, 2.4.6-01, 2.4.6-03
    refused_header(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    refused_header(b"\x16\x03\x01\x02\x00\x01\x00\x01");
    refused_header(&[0; 8]);
    refused_header(b"X");
    refused_header(b"AMQX");
    // A frame before the header.
    refused_header(&frame(0, &open()));
}

#[test]
fn h13_a_frame_above_our_limit_is_refused_before_its_body_arrives() {
    // 2.7.1-08
    for octets in [&[0, 1, 0, 1][..], &[0, 1, 0, 1, 2, 0, 0, 0], &[0xff; 4]] {
        refused_connection("amqp:connection:framing-error", |scene| scene.peer.octets(octets));
    }
    for octets in [[0, 0, 0, 7], [0, 0, 0, 0]] {
        refused_connection("amqp:connection:framing-error", |scene| scene.peer.octets(&octets));
    }
}

#[test]
fn h12_idle_time_out_tiny() {
    // 2.4.5-08, 2.7.1-15
    for millis in [1, 9] {
        let idle_time_out = Some(Milliseconds(millis));
        refused_opening("amqp:not-allowed", |peer| peer.send(0, &Open { idle_time_out, ..open() }));
    }
}

#[test]
fn h12_begin_beyond_channel_max() {
    // 2.7.1-12
    for channel in [CHANNEL_MAX + 1, u16::MAX] {
        refused_connection("amqp:connection:framing-error", |scene| scene.peer.send(channel, &begin()));
        refused_connection("amqp:connection:framing-error", |scene| scene.peer.send(channel, &answer(0)));
        refused_connection("amqp:connection:framing-error", |scene| scene.peer.send(channel, &flow()));
        refused_connection("amqp:connection:framing-error", |scene| scene.peer.send(channel, &end()));
    }
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.send(CHANNEL_MAX, &begin());
    assert!(matches!(scene.peer.events()[..], [Event::Session(_, SessionEvent::Incoming)]));
}

#[test]
fn h12_empty_frames_on_any_channel() {
    // 2.4.5-10
    let empty = |channel: u16| [&[0, 0, 0, 8, 2, 0][..], &channel.to_be_bytes()].concat();
    let mut scene = Scene::new(Wire::Octets);
    for channel in 0..=CHANNEL_MAX {
        scene.peer.octets(&empty(channel));
    }
    // An extended header is skipped.
    scene.peer.octets(&[0, 0, 0, 12, 3, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(scene.peer.told(), NOTHING);
    scene.session_one_works();
    refused_connection("amqp:connection:framing-error", |scene| scene.peer.octets(&empty(CHANNEL_MAX + 1)));
}

#[test]
fn h13_before_the_peers_open_the_least_is_assumed() {
    // 2.4.1-01, 2.4.2-02, 2.4.6-05
    let mut config = config();
    config.hostname = Some("x".repeat(600).into());
    let refused = amqp10_link::Connection::client(config, std::time::Instant::now());
    assert!(matches!(refused, Err(CommandError::FrameTooLarge(_))), "{refused:?}");

    let mut peer = Script::silent_client(support::scene::config());
    peer.engine.begin(session_config()).unwrap();
    assert_eq!(peer.engine.begin(session_config()), Err(CommandError::NoChannel), "channel 0 is all there is");
    assert_eq!(peer.told(), ["header", "0 open", "0 begin"]);
}

#[test]
fn h12_frames_before_our_open_wait_for_it() {
    // 2.4.2-01, 2.4.6-02, 2.4.6-07
    for wire in [Wire::Whole, Wire::Octets] {
        let mut peer = Script::silent_server(config());
        peer.wire = wire;
        peer.header();
        let attach = sender("link", 5);
        peer.octets(&[frame(0, &open()), frame(10, &begin()), frame(10, &attach), frame(10, &end())].concat());
        assert_eq!(peer.events(), [Event::Incoming]);
        assert_eq!(peer.told(), ["header"]);
        peer.engine.accept(config()).unwrap();
        let told = peer.events();
        let [
            Event::Opened,
            Event::Session(session, SessionEvent::Incoming),
            Event::Session(ended, SessionEvent::Ended(Ended::Remote(None))),
        ] = told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(session, ended);
        assert_eq!(peer.told(), ["0 open", "0 begin for 10", "0 end"]);
    }
}

#[test]
fn h12_frames_before_our_open_are_bounded() {
    let mut peer = Script::silent_server(config());
    peer.header();
    peer.send(0, &open());
    for _ in 0..10_000 {
        peer.send(10, &begin());
    }
    assert_eq!(peer.told(), ["header", "0 open", "0 close amqp:resource-limit-exceeded"]);
    let told = peer.events();
    assert_eq!(told, [Event::Incoming, Event::Closed(ConnectionEnd::Violation(Violation::EarlyFrames))]);
    assert!(peer.engine.accept(config()).is_err());
}

#[test]
fn h18_a_close_before_our_open_is_answered_with_open_and_close() {
    let mut peer = Script::silent_server(config());
    peer.header();
    peer.send(0, &open());
    peer.send(0, &amqp10_codec::Close { error: Some(problem()) });
    peer.events();
    let _ = peer.engine.accept(config());
    assert_eq!(peer.told(), ["header", "0 open", "0 close"]);
    assert_eq!(peer.events().last(), Some(&Event::Closed(ConnectionEnd::Remote(Some(problem())))));
    assert!(peer.engine.is_closed());
}

#[test]
fn h18_a_close_after_a_long_silence_waits_for_its_answer() {
    // 2.4.3-03
    let mut config = config();
    config.idle_time_out = None;
    let mut peer = Script::client(config.clone(), open());
    // The engine is not told that an hour passes.
    peer.now += std::time::Duration::from_secs(3600);
    peer.engine.close(None);
    assert_eq!(peer.told(), ["0 close"]);
    assert_eq!(peer.engine.poll_timeout(), Some(peer.now + config.handshake_time_out));
    peer.engine.handle_timeout(peer.now);
    assert_eq!(peer.events(), []);
    peer.send(0, &close());
    assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::Local)]);
}

#[test]
fn a_close_before_our_open_is_told_to_the_peer() {
    // 2.4.3-01, 2.4.1-03
    for is_open in [false, true] {
        for error in [None, Some(problem())] {
            let mut peer = Script::silent_server(config());
            peer.header();
            if is_open {
                peer.send(0, &open());
            }
            peer.quiet();
            peer.engine.close(error.clone());
            let told = if error.is_some() { "0 close amqp:internal-error" } else { "0 close" };
            assert_eq!(peer.told(), ["0 open", told]);
            assert_eq!((peer.events(), peer.engine.is_closed()), (vec![], false), "the peer's close is waited for");
            if !is_open {
                peer.send(0, &open());
            }
            peer.send(0, &close());
            assert_eq!((peer.events(), peer.told()), (vec![Event::Closed(ConnectionEnd::Local)], vec![]));
            assert!(peer.engine.is_closed());
        }
    }
    // The peer's own close may have come already; and who has sent no header cannot be told anything.
    let mut peer = Script::silent_server(config());
    peer.header();
    peer.octets(&[frame(0, &open()), frame(0, &close())].concat());
    peer.quiet();
    peer.engine.close(None);
    assert_eq!((peer.told(), peer.engine.is_closed()), (vec!["0 open".into(), "0 close".into()], true));
    assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::Local)]);
    let mut peer = Script::silent_server(config());
    peer.engine.close(None);
    assert_eq!((peer.told(), peer.engine.is_closed()), (vec![], true));
    assert_eq!(peer.events(), [Event::Closed(ConnectionEnd::Local)]);
}
