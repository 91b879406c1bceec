//! What a connection holds.

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use amqp10::{Connection, Message};
use futures_util::{FutureExt, StreamExt};
use support::peer::{Peer, served};
use support::{pair, sender, sessions};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::sleep;

/// A stream that remembers the room that it was last offered to read into.
struct Watched(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.1.store(buf.remaining(), Ordering::Relaxed);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_holds_a_small_buffer() {
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    let room = Arc::new(AtomicUsize::new(0));
    let room_now = || room.load(Ordering::Relaxed);
    let stream = Watched(ours, Arc::clone(&room));
    let connecting = Connection::builder().connect_over(stream, true);
    let (client, mut peer) = tokio::join!(connecting, Peer::open(theirs, None));
    let client = client.unwrap();
    let session = served(&mut peer, client.begin()).await.unwrap();
    let receiver = served(&mut peer, session.receiver("queue").attach()).await.unwrap();
    for held in [false, true] {
        sleep(Duration::from_secs(5)).await;
        assert!(room_now() <= 2048, "before: {}", room_now());
        let mut deliveries = Vec::new();
        let mut most = 0;
        for id in 0..40 {
            peer.deliver(id + if held { 40 } else { 0 }, &[7; 5000]).await;
            let delivery = receiver.recv().await.unwrap();
            if held {
                deliveries.push(delivery);
            }
            most = most.max(room_now());
        }
        assert!(most > 32 * 1024, "it took no chunk: {most}");
        sleep(Duration::from_secs(5)).await;
        assert!(room_now() <= 2048, "after, deliveries held {held}: {}", room_now());
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_are_here_cost_a_stream_no_allocation() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let mut deliveries = receiver.unwrap().into_stream();
    for _ in 0..100 {
        sender.send_settled(&Message::data("x")).await.unwrap();
    }
    // The first one wakes the stream when all have been read.
    sleep(Duration::from_millis(50)).await;
    deliveries.next().await.unwrap().unwrap();
    let mut received = 1;
    let counted = allocation_counter::measure(|| {
        while received < 64 && matches!(deliveries.next().now_or_never(), Some(Some(Ok(_)))) {
            received += 1;
        }
    });
    assert_eq!(received, 64);
    // Telling the driver that so many were taken may grow its list of links.
    assert!(counted.count_total <= 2, "{} allocations", counted.count_total);
}
