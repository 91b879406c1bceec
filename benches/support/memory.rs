//! What engines hold in memory.

use std::time::Instant;

use amqp10_codec::{Begin, Channel, Open, ProtocolHeader, SequenceNo, Source, Target, TransferNumber};
use amqp10_link::{Config, Connection, LinkConfig, Output, SessionConfig};
use bytes::BytesMut;

use crate::engine::drain;
use crate::frames::frame;

/// An engine with one session and one link on which it receives, quiet.
fn idle() -> Connection {
    let now = Instant::now();
    let mut engine = Connection::client(Config::new("client"), now).expect("the open fits");
    let session = engine.begin(SessionConfig::default()).expect("a session");
    engine.attach(session, LinkConfig::receiver("link", Source::at("queue"))).expect("a link");
    let mut input = BytesMut::from(&ProtocolHeader::AMQP.to_octets()[..]);
    input.extend_from_slice(&frame(&Open::new("server"), &[]));
    let begin = Begin::new(TransferNumber(0), 2048, 2048);
    input.extend_from_slice(&frame(&Begin { remote_channel: Some(Channel(0)), ..begin }, &[]));
    let attach = amqp10_codec::Attach {
        source: Some(Source::at("queue").into()),
        target: Some(Target::default().into()),
        initial_delivery_count: Some(SequenceNo(0)),
        ..amqp10_codec::Attach::new("link", amqp10_codec::Handle(0), amqp10_codec::Role::Sender)
    };
    input.extend_from_slice(&frame(&attach, &[]));
    engine.handle_input(&mut input, now);
    quiet(&mut engine, now);
    engine
}

/// Takes what there is to send and what was told.
fn quiet(engine: &mut Connection, now: Instant) {
    while engine.poll_event().is_some() {}
    drain(engine, &mut Output::new(), now, |_| {});
}

/// Octets of an idle engine with one session and one link.
fn idle_connection() -> usize {
    let mut engine = None;
    let held = allocation_counter::measure(|| engine = Some(idle())).bytes_current;
    drop(engine);
    size_of::<Connection>() + usize::try_from(held).expect("it holds something")
}

#[test]
fn an_idle_connection_is_small() {
    let held = idle_connection();
    assert!(held <= 4096, "{held} octets");
}
