//! Peers that ask without end, on a clock that is driven.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amqp10::Connection;
use amqp10::codec::{
    Attach, Channel, Detach, Encode, FrameType, Handle, Role, SequenceNo, Source, Target, encode_frame, next_frame,
};
use bytes::BytesMut;
use support::peer::{Peer, served};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

/// How often the peer attaches and detaches.
const PAIRS: usize = 30_000;

fn frame(body: &impl Encode) -> Vec<u8> {
    let mut octets = Vec::new();
    encode_frame(FrameType::Amqp, Channel(0), body, &mut octets);
    octets
}

#[tokio::test(start_paused = true)]
async fn h15_a_peer_that_asks_without_end_is_held_back_until_it_reads() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let builder = Connection::builder().idle_time_out(None);
    let (client, peer) = tokio::join!(builder.connect_over(ours, true), Peer::open(theirs, None));
    let (client, mut peer) = (client.unwrap(), peer);
    let session = served(&mut peer, client.begin()).await.unwrap();
    let (mut reads, mut writes) = tokio::io::split(peer.into_stream());
    let attach = Attach {
        source: Some(Source::at("queue").into()),
        target: Some(Target::default().into()),
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::new("flood", Handle(0), Role::Sender)
    };
    let pair = [frame(&attach), frame(&Detach { handle: Handle(0), closed: true, error: None })].concat();
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = tokio::spawn({
        let asked = Arc::clone(&asked);
        async move {
            for _ in 0..PAIRS {
                writes.write_all(&pair).await.unwrap();
                asked.fetch_add(1, Ordering::Relaxed);
            }
            writes
        }
    });
    // Less than a peer may refuse to read.
    sleep(Duration::from_secs(30)).await;
    let held_back = asked.load(Ordering::Relaxed);
    assert!((1_000..PAIRS / 2).contains(&held_back), "{held_back} were taken");
    let (mut answers, mut input) = (0, BytesMut::new());
    while answers < 2 * PAIRS {
        assert!(reads.read_buf(&mut input).await.unwrap() > 0, "the end after {answers} answers");
        while let Some(frame) = next_frame(&input, u32::MAX).unwrap() {
            answers += usize::from(!frame.body.is_empty());
            let size = frame.header.size as usize;
            let _ = input.split_to(size);
        }
    }
    asking.await.unwrap();
    drop((session, client));
}
