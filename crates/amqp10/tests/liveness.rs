//! Heartbeats, silence and blocked streams, on a clock that is driven.

mod support;

use std::time::Duration;

use amqp10::codec::Performative;
use amqp10::{Connection, ConnectionError, ErrorCondition, Message, Receiver, SendError, Sender, Session};
use support::peer::{Peer, Seen, served};
use tokio::time::{Instant, sleep, timeout_at};

/// What the peer wants to hear from us at least.
const PEER_IDLE: u32 = 4000;
const WITHIN: Duration = Duration::from_millis(PEER_IDLE as u64);

/// A client whose peer is `peer`; what the client asks for, the peer answers.
async fn client_of(idle_time_out: Option<Duration>, buffer: usize) -> (Connection, Peer) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    let builder = Connection::builder().idle_time_out(idle_time_out);
    let (client, peer) = tokio::join!(builder.connect_over(ours, true), Peer::open(theirs, Some(PEER_IDLE)));
    (client.unwrap(), peer)
}

async fn sender_of(client: &Connection, peer: &mut Peer) -> (Session, Sender) {
    let session = served(peer, client.begin()).await.unwrap();
    let sender = served(peer, session.sender("queue").send_time_out(None).attach()).await.unwrap();
    (session, sender)
}

async fn receiver_of(client: &Connection, peer: &mut Peer) -> (Session, Receiver) {
    let session = served(peer, client.begin()).await.unwrap();
    let receiver = served(peer, session.receiver("queue").attach()).await.unwrap();
    (session, receiver)
}

/// Watches the wire for `time` and returns the longest pause between two frames.
async fn longest_pause(peer: &mut Peer, time: Duration, pace: Option<Duration>) -> Duration {
    let (until, mut last, mut longest) = (Instant::now() + time, Instant::now(), Duration::ZERO);
    let mut frames = 0;
    while let Ok(seen) = timeout_at(until, peer.serve()).await {
        assert!(!matches!(seen, Seen::Eof(_)), "the client has gone");
        longest = longest.max(seen.at() - last);
        last = seen.at();
        frames += 1;
        if let Some(pace) = pace {
            sleep(pace).await;
        }
    }
    assert!(frames > 0);
    longest.max(until - last)
}

/// A message of so many frames.
fn large(frames: usize) -> Message {
    Message::data(vec![7; frames * 64 * 1024])
}

#[tokio::test(start_paused = true)]
async fn h19_heartbeats_while_a_large_send_waits_for_the_session_window() {
    let (client, mut peer) = client_of(None, 64 * 1024).await;
    peer.window = 3;
    let (_session, sender) = sender_of(&client, &mut peer).await;
    let sending = tokio::spawn(async move { sender.send(&large(10)).await });
    let pause = longest_pause(&mut peer, Duration::from_secs(600), None).await;
    assert!(pause <= WITHIN / 2, "{pause:?}");
    assert!(!sending.is_finished());
}

/// The peer reads a frame of 64 KiB per second: something is always on its way, and no frame is late.
#[tokio::test(start_paused = true)]
async fn h19_heartbeats_while_a_large_send_leaves_to_a_peer_that_reads_slowly() {
    let (client, mut peer) = client_of(None, 16 * 1024).await;
    let (_session, sender) = sender_of(&client, &mut peer).await;
    let sending = tokio::spawn(async move { sender.send(&large(300)).await });
    let pause = longest_pause(&mut peer, Duration::from_secs(200), Some(WITHIN / 4)).await;
    assert!(pause <= WITHIN, "{pause:?}");
    assert!(!sending.is_finished());
    assert!(client.begin().await.is_err(), "the peer has stopped answering");
}

#[tokio::test(start_paused = true)]
async fn h19_heartbeats_while_the_application_takes_nothing_for_an_hour() {
    let (client, mut peer) = client_of(Some(Duration::from_secs(60)), 64 * 1024).await;
    let (_session, receiver) = receiver_of(&client, &mut peer).await;
    for id in 0..100 {
        peer.deliver(id, b"never taken").await;
    }
    let (until, mut last, mut longest) = (Instant::now() + Duration::from_secs(3600), Instant::now(), Duration::ZERO);
    loop {
        // The peer does not fall silent itself.
        peer.heartbeat().await;
        match timeout_at(until.min(Instant::now() + Duration::from_secs(30)), peer.serve()).await {
            Ok(seen) => {
                assert!(matches!(seen, Seen::Heartbeat(_) | Seen::Frame(_, Performative::Flow(_))), "{seen:?}");
                longest = longest.max(seen.at() - last);
                last = seen.at();
            }
            Err(_) if Instant::now() >= until => break,
            Err(_) => panic!("no heartbeat"),
        }
    }
    assert!(longest <= WITHIN / 2, "{longest:?}");
    for _ in 0..100 {
        receiver.recv().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn h19_a_blocked_stream_is_read_and_given_up_after_the_idle_time_out_of_the_peer() {
    // 2.4.5-16
    let (client, mut peer) = client_of(None, 16 * 1024).await;
    let (session, sender) = sender_of(&client, &mut peer).await;
    let receiver = served(&mut peer, session.receiver("queue").attach()).await.unwrap();
    let attached_as = receiver.remote_attach().handle;
    let sending = tokio::spawn(async move { sender.send(&large(10)).await });
    // From now on the peer reads nothing, but goes on sending.
    let began = Instant::now();
    sleep(WITHIN - Duration::from_millis(10)).await;
    let transfer = amqp10::codec::Transfer {
        delivery_id: Some(amqp10::codec::DeliveryNumber(0)),
        delivery_tag: Some(0.into()),
        ..amqp10::codec::Transfer::new(attached_as)
    };
    peer.send_with(&transfer, b"read").await;
    assert_eq!(&receiver.recv().await.unwrap().octets()[..], b"read");
    assert!(began.elapsed() < WITHIN);
    assert!(matches!(client.closed().await, ConnectionError::WriteStalled));
    let waited = began.elapsed();
    assert!(waited >= WITHIN && waited < WITHIN + Duration::from_millis(100), "{waited:?}");
    assert!(matches!(sending.await.unwrap(), Err(SendError::InDoubt(_))));
}

#[tokio::test(start_paused = true)]
async fn h19_a_blocked_stream_with_any_progress_is_not_given_up() {
    let (client, mut peer) = client_of(None, 16 * 1024).await;
    let (_session, sender) = sender_of(&client, &mut peer).await;
    let _sending = tokio::spawn(async move { sender.send(&large(10)).await });
    for _ in 0..100 {
        sleep(WITHIN - Duration::from_millis(10)).await;
        peer.read_octet().await;
    }
    let over = tokio::time::timeout(Duration::from_millis(1), client.closed()).await;
    assert!(over.is_err(), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn h19_the_silence_of_the_peer_counts_while_the_stream_is_blocked() {
    let (client, mut peer) = client_of(Some(Duration::from_secs(1)), 16 * 1024).await;
    let (session, sender) = sender_of(&client, &mut peer).await;
    let began = Instant::now();
    let sending = tokio::spawn(async move { sender.send(&large(10)).await });
    let ended = session.ended().await;
    assert_eq!(began.elapsed(), Duration::from_secs(2), "twice our own");
    let silent = |error: &ConnectionError| matches!(error, ConnectionError::IdleTimeOut);
    assert!(matches!(&ended, amqp10::SessionError::Connection(error) if silent(error)), "{ended:?}");
    assert!(matches!(sending.await.unwrap(), Err(SendError::InDoubt(_))));
    // The stream is given up in the end, and the first reason stays.
    let end = client.closed().await;
    assert!(silent(&end), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn h19_the_silence_of_the_peer_ends_in_a_close_with_an_error() {
    let (client, mut peer) = client_of(Some(Duration::from_secs(10)), 64 * 1024).await;
    let (_session, receiver) = receiver_of(&client, &mut peer).await;
    let began = Instant::now();
    let closing = async {
        loop {
            match peer.next().await {
                Seen::Frame(at, Performative::Close(close)) => return (at, close.error),
                Seen::Eof(_) => panic!("a bare hang-up"),
                _ => {}
            }
        }
    };
    let ((at, error), received) = tokio::join!(closing, receiver.recv());
    assert!(at - began >= Duration::from_secs(20) && at - began < Duration::from_millis(20_100), "{:?}", at - began);
    assert_eq!(error.unwrap().condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    assert!(matches!(received.unwrap_err().connection_error(), Some(ConnectionError::IdleTimeOut)));
    assert!(matches!(client.closed().await, ConnectionError::IdleTimeOut));
}
