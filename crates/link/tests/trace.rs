//! The frames that somebody watches.

mod support;

use std::sync::{Arc, Mutex};

use amqp10_codec::Transfer;
use amqp10_link::{Connection, DeliveryStart, Direction, TracedFrame};
use bytes::Bytes;
use support::scene::Scene;
use support::script::*;
use support::{Script, Wire};

type Seen = Arc<Mutex<Vec<TracedFrame>>>;

fn watch(engine: &mut Connection) -> Seen {
    let seen = Seen::default();
    let writes = Arc::clone(&seen);
    engine.set_trace(move |frame| writes.lock().unwrap().push(*frame));
    seen
}

/// What was seen since the last call: direction, channel, performative, payload.
fn told(seen: &Seen) -> Vec<String> {
    let frames = std::mem::take(&mut *seen.lock().unwrap());
    let text = |frame: TracedFrame| {
        let arrow = if frame.direction == Direction::Sent { '>' } else { '<' };
        format!("{arrow} {} {} {}", frame.channel.0, frame.performative.unwrap_or("-"), frame.payload)
    };
    frames.into_iter().map(text).collect()
}

#[test]
fn every_frame_is_seen_in_both_directions() {
    for wire in [Wire::Whole, Wire::Octets] {
        let mut scene = Scene::new(wire);
        let seen = watch(&mut scene.peer.engine);
        let peer = &mut scene.peer;
        peer.octets(&[0, 0, 0, 8, 2, 0, 0, 17]);
        peer.transfer(10, &Transfer { more: true, ..first(5, 0) }, &[7; 3000]);
        peer.transfer(10, &next(5), b"rest");
        peer.send(10, &credit(7, 0, 10));
        assert_eq!(told(&seen), ["< 17 - 0", "< 10 transfer 3000", "< 10 transfer 4", "< 10 flow 0"]);
        peer.events();
        for octets in [10, 5_000, 0] {
            let mut sender = peer.engine.sender(scene.c).unwrap();
            let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
            sender.write(key, Bytes::from(vec![1; octets])).unwrap();
            sender.finish(key).unwrap();
        }
        peer.engine.end(scene.two, Some(problem()));
        assert_eq!(told(&seen), [] as [&str; 0], "nothing has left");
        peer.frames();
        let sent = ["> 1 end 0", "> 0 transfer 10", "> 0 transfer 5000", "> 0 transfer 0"];
        assert_eq!(told(&seen), sent);
        peer.octets(&[0, 0, 0, 12, 2, 0, 0, 3, 1, 2, 3, 4]);
        peer.frames();
        assert_eq!(told(&seen), ["< 3 - 0", "> 0 close 0"]);
    }
}

#[test]
fn the_protocol_header_is_no_frame_and_a_watch_can_end() {
    let mut peer = Script::silent_client(support::scene::config());
    let seen = watch(&mut peer.engine);
    peer.header();
    peer.send(0, &open());
    peer.frames();
    assert_eq!(told(&seen), ["< 0 open 0", "> 0 open 0"]);
    peer.engine.clear_trace();
    peer.send(3, &begin());
    assert_eq!(told(&seen), [] as [&str; 0]);
    assert_eq!(Arc::strong_count(&seen), 1);
}
