//! When a sender is ready, what comes before its answer, and how connections end that say no good-bye.

mod support;

use std::time::Duration;

use amqp10::codec::{
    Attach, Begin, Channel, Close, FrameType, Handle, Open, ProtocolHeader, Role, TransferNumber, encode_frame,
};
use amqp10::{
    Connection, ConnectionError, CreditMode, Error, ErrorCondition, LinkError, Message, Replenish, ServerBuilder,
    ServerStream, SessionConfig, SessionError, Source,
};
use futures_util::FutureExt;
use support::{pair, sender, sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The header and the open that a peer begins with.
fn opening(container_id: &'static str) -> Vec<u8> {
    let mut wire = ProtocolHeader::AMQP.to_octets().to_vec();
    encode_frame(FrameType::Amqp, Channel(0), &Open::new(container_id), &mut wire);
    wire
}

/// An open connection, and the stream on which the test is its peer.
async fn client_of_a_script() -> (Connection, DuplexStream) {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    theirs.write_all(&opening("peer")).await.unwrap();
    (Connection::builder().connect_over(ours, true).await.unwrap(), theirs)
}

#[tokio::test]
async fn a_sender_is_ready_while_there_is_credit_that_nothing_waits_for() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").credit(CreditMode::Manual).attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), sender.ready()).await.is_err());
    receiver.set_credit(2);
    for _ in 0..2 {
        sender.ready().await.unwrap();
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(&Message::data("x")).await });
        receiver.recv().await.unwrap().accept();
    }
    let (ready, ended) = (sender.ready(), sender.ended());
    let (mut ready, mut ended) = (std::pin::pin!(ready), std::pin::pin!(ended));
    assert!((&mut ready).now_or_never().is_none() && (&mut ended).now_or_never().is_none());
    receiver.set_credit(1);
    ready.await.unwrap();
    receiver.close(None).await.unwrap();
    assert!(matches!(ended.await, LinkError::DetachedByPeer(None)));
    assert!(sender.ready().await.is_err());
}

#[tokio::test]
async fn an_aborted_connection_says_no_good_bye() {
    let (client, server) = pair().await;
    let (_ours, _theirs) = sessions(&client, &server).await;
    server.abort();
    assert!(matches!(client.closed().await, ConnectionError::Eof));
    assert!(matches!(server.closed().await, ConnectionError::Closed));
}

#[tokio::test]
async fn a_stream_ends_with_its_connection() {
    // 2.4.3-09
    let (client, mut theirs) = client_of_a_script().await;
    let mut close = Vec::new();
    encode_frame(FrameType::Amqp, Channel(0), &Close { error: None }, &mut close);
    let answering = async {
        let mut told = Vec::new();
        while !told.ends_with(&close) {
            told.push(theirs.read_u8().await.unwrap());
        }
        theirs.write_all(&close).await.unwrap();
        let mut behind = Vec::new();
        theirs.read_to_end(&mut behind).await.unwrap();
        assert_eq!(behind, b"", "no new beginning");
    };
    tokio::join!(client.close(), answering);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_for_longer_than_the_limit_is_given_up() {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let limit = Duration::from_secs(10);
    let serving = ServerStream::new(ours).open(ServerBuilder::new().silence_limit(limit));
    let open = async {
        theirs.write_all(&opening("mute")).await.unwrap();
    };
    let (pending, ()) = tokio::join!(serving, open);
    let pending = pending.unwrap();
    let settings = pending.settings();
    let connection = pending.accept(settings).await.unwrap();
    let began = tokio::time::Instant::now();
    assert!(matches!(connection.closed().await, ConnectionError::IdleTimeOut));
    assert!((limit..limit + Duration::from_millis(10)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_the_peer_said_before_the_stream_broke_is_heard() {
    // 2.4.6-15
    let (client, mut theirs) = client_of_a_script().await;
    // More than one read, so that the connection meets the broken stream before it has read the reason.
    let mut wire = [0, 0, 0, 8, 2, 0, 0, 0].repeat(4096);
    let error = Some(Error::new(ErrorCondition::CONNECTION_FORCED, "maintenance"));
    encode_frame(FrameType::Amqp, Channel(0), &Close { error }, &mut wire);
    theirs.write_all(&wire).await.unwrap();
    drop(theirs);
    let begun = client.begin().await;
    let end = client.closed().await;
    assert_eq!(end.remote_error().map(|error| &error.condition), Some(&ErrorCondition::CONNECTION_FORCED), "{end}");
    assert!(begun.is_err());
}

#[tokio::test]
async fn what_is_asked_for_too_late_fails_for_the_reason_that_the_peer_told() {
    let (client, mut theirs) = client_of_a_script().await;
    // The close and the request get to the driver at the same time.
    let mut wire = Vec::new();
    let error = Error::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too many connections");
    encode_frame(FrameType::Amqp, Channel(0), &Close { error: Some(error.clone()) }, &mut wire);
    theirs.write_all(&wire).await.unwrap();
    let Err(SessionError::Connection(refused)) = client.begin().await else { panic!("it was begun") };
    assert_eq!(refused.remote_error(), Some(&error), "{refused}");

    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    theirs.end(Some(error.clone())).await.unwrap();
    ours.ended().await;
    let refused = ours.receiver("node").attach().await.unwrap_err();
    assert_eq!(refused.remote_error(), Some(&error), "{refused}");
}

#[tokio::test]
async fn a_link_may_come_right_behind_the_begin_that_nobody_has_answered_yet() {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let mut wire = opening("hasty");
    let attach = Attach { source: Some(Source::at("queue").into()), ..Attach::new("link", Handle(0), Role::Receiver) };
    encode_frame(FrameType::Amqp, Channel(0), &Begin::new(TransferNumber(0), 10, 10), &mut wire);
    encode_frame(FrameType::Amqp, Channel(0), &attach, &mut wire);
    theirs.write_all(&wire).await.unwrap();
    let pending = ServerStream::new(ours).open(ServerBuilder::new()).await.unwrap();
    let settings = pending.settings();
    let server = pending.accept(settings).await.unwrap();
    let session = server.next_session().await.unwrap().accept(SessionConfig::default()).await.unwrap();
    let link = tokio::time::timeout(Duration::from_secs(5), session.next_link()).await.unwrap().unwrap();
    assert_eq!(link.attach().name.as_str(), "link");
    link.accept_sender().await.unwrap();
}

#[tokio::test]
async fn what_the_peer_sent_before_its_credit_was_taken_back_is_here() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let credit = CreditMode::Automatic { window: 10, replenish: Replenish::Settled };
    let (receiver, sender) = tokio::join!(ours.receiver("node").credit(credit).attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    let message = Message::data("on its way");
    sender.ready().await.unwrap();
    // Nobody looks at an outcome: the messages are on their way when the credit is taken back.
    let mut sending: Vec<_> = (0..4).map(|_| Box::pin(sender.send(&message))).collect();
    for send in &mut sending {
        assert!(send.now_or_never().is_none());
    }
    receiver.revoke_credit().await.unwrap();
    let arrived: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
    assert_eq!(arrived.len(), 4);
    let mut late = Box::pin(sender.send(&message));
    assert!((&mut late).now_or_never().is_none());
    receiver.revoke_credit().await.unwrap();
    assert!(receiver.try_recv().is_none(), "there was no credit any more");
    arrived.into_iter().for_each(|delivery| delivery.accept());
    for send in sending {
        send.await.unwrap();
    }
    // Nor does it wait for an answer that cannot come.
    sender.close(None).await.unwrap();
    assert!(matches!(receiver.recv().await, Err(LinkError::DetachedByPeer(None))));
    assert!(matches!(receiver.revoke_credit().await, Err(LinkError::DetachedByPeer(None))));
}
