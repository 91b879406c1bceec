//! What a client and a server in one process make of each other.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amqp10::{
    Connection, ConnectionError, CreditMode, DeliveryState, Error, ErrorCondition, LinkError, Message, Replenish,
    SendError, ServerBuilder, SessionConfig, SessionError,
};
use bytes::Bytes;
use futures_util::StreamExt;
use support::{pair, pair_with, sender, sessions};
use tokio::task::JoinSet;

#[tokio::test]
async fn messages_are_sent_received_and_accepted() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    let sending = async {
        for number in 0..500_u32 {
            sender.send(&Message::data(vec![7; number as usize * 10]).application_property("n", number)).await.unwrap();
        }
    };
    let receiving = async {
        for number in 0..500_u32 {
            let delivery = receiver.recv().await.unwrap();
            let properties = delivery.message().unwrap().application_properties().unwrap();
            assert_eq!(properties.get("n").unwrap(), Some(number.into()));
            drop(properties);
            delivery.accept();
        }
    };
    tokio::join!(sending, receiving);
    client.close().await;
    assert!(matches!(server.closed().await, ConnectionError::ClosedByPeer(None)));
    assert!(matches!(receiver.recv().await, Err(error) if error.connection_error().is_some()));
}

#[tokio::test]
async fn annotations_that_nobody_knows_are_ignored() {
    // 3.2.10-03
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    let unknown = || amqp10::codec::Symbol::from_static("x-opt-unknown");
    let message = Message::data("x").delivery_annotation(unknown(), 1_u8).message_annotation(unknown(), 2_u8);
    let receiving = async {
        let delivery = receiver.recv().await.unwrap();
        assert!(delivery.message().unwrap().body().is_ok());
        delivery.accept();
    };
    let (sent, ()) = tokio::join!(sender.send(&message), receiving);
    sent.unwrap();
}

#[tokio::test]
async fn credit_that_comes_back_on_settlement_bounds_what_is_in_hand() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let mode = CreditMode::Automatic { window: 10, replenish: Replenish::Settled };
    let (receiver, sender) = tokio::join!(ours.receiver("queue").credit(mode).attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    for number in 0..30_u32 {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(&Message::value(number)).await });
    }
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(receiver.recv().await.unwrap());
    }
    let eleventh = tokio::time::timeout(Duration::from_millis(50), receiver.recv()).await;
    assert!(eleventh.is_err(), "the peer had no more credit");
    for delivery in held {
        delivery.accept();
    }
    for _ in 0..20 {
        receiver.recv().await.unwrap().accept();
    }
}

#[tokio::test]
async fn a_delivery_dropped_undecided_is_released_and_counted() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    let message = Message::data("x");
    let (sent, ()) = tokio::join!(sender.send(&message), async { drop(receiver.recv().await.unwrap()) });
    assert!(matches!(sent, Err(SendError::NotAccepted(state)) if *state == DeliveryState::Released));
    assert_eq!(receiver.dropped(), 1);
}

#[tokio::test]
async fn h25_a_refused_link_is_one_error_with_the_condition_of_the_peer() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let refusing = async {
        let link = theirs.next_link().await.unwrap();
        link.refuse(Error::new(ErrorCondition::NOT_FOUND, "no such queue"));
    };
    let (attached, ()) = tokio::join!(ours.receiver("nowhere").attach(), refusing);
    let error = attached.unwrap_err();
    assert_eq!(error.remote_error().unwrap().condition, ErrorCondition::NOT_FOUND);
    // The session goes on.
    let (attached, _sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    attached.unwrap();
}

#[tokio::test]
async fn a_session_that_the_peer_ends_tells_its_links_why() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    theirs.end(Some(Error::new(ErrorCondition::RESOURCE_DELETED, "gone"))).await.unwrap();
    let error = receiver.unwrap().recv().await.unwrap_err();
    assert_eq!(error.remote_error().unwrap().condition, ErrorCondition::RESOURCE_DELETED);
    let error = sender.send(&Message::data("x")).await.unwrap_err();
    assert!(matches!(error, SendError::NotSent(_)));
}

#[tokio::test]
async fn a_receiver_is_a_stream() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    let control = receiver.clone();
    let mut deliveries = receiver.into_stream();
    for _ in 0..3 {
        let message = Message::data("x");
        let (sent, next) = tokio::join!(sender.send_settled(&message), deliveries.next());
        sent.unwrap();
        assert!(next.unwrap().unwrap().is_settled());
    }
    control.close(None).await.unwrap();
    assert!(deliveries.next().await.is_none());
    assert!(matches!(control.recv().await, Err(LinkError::Detached)));
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_silence_from_the_application_does_not_end_the_connection() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let message = Message::data("still here");
    let (sent, received) = tokio::join!(sender.send(&message), async {
        let delivery = receiver.unwrap().recv().await.unwrap();
        delivery.accept();
    });
    sent.unwrap();
    received
}

#[tokio::test]
async fn h28_the_last_handle_dropped_without_close_still_ends_cleanly() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    drop((client, ours));
    let message = Message::data("x");
    let receiver = receiver.unwrap();
    let (sent, ()) = tokio::join!(sender.send(&message), async { receiver.recv().await.unwrap().accept() });
    sent.unwrap();
    drop(receiver);
    assert!(matches!(server.closed().await, ConnectionError::ClosedByPeer(None)));
}

#[tokio::test]
async fn h27_settling_after_the_connection_is_gone_does_nothing() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let sending = tokio::spawn(async move { sender.send(&Message::data("x")).await });
    let delivery = receiver.unwrap().recv().await.unwrap();
    server.close_with(Some(Error::new(ErrorCondition::CONNECTION_FORCED, "bye"))).await;
    assert!(matches!(sending.await.unwrap(), Err(SendError::InDoubt(_))));
    let end = client.closed().await;
    assert_eq!(end.remote_error().unwrap().condition, ErrorCondition::CONNECTION_FORCED);
    delivery.accept();
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_connection_that_is_over_fails_at_once_with_its_end() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    server.close_with(Some(Error::new(ErrorCondition::CONNECTION_FORCED, "bye"))).await;
    client.closed().await;
    let began = tokio::time::Instant::now();
    let forced = |error: &ConnectionError| {
        error.remote_error().is_some_and(|error| error.condition == ErrorCondition::CONNECTION_FORCED)
    };
    assert!(matches!(client.begin().await, Err(SessionError::Connection(error)) if forced(&error)));
    let attached = ours.receiver("another").attach().await;
    assert!(matches!(attached, Err(error) if error.connection_error().is_some_and(forced)));
    assert!(matches!(receiver.recv().await, Err(error) if error.connection_error().is_some_and(forced)));
    let sent = sender.send(&Message::data("x")).await;
    assert!(matches!(sent, Err(SendError::NotSent(error)) if error.connection_error().is_some()));
    receiver.close(None).await.unwrap();
    ours.end(None).await.unwrap();
    assert!(client.next_session().await.is_none());
    assert!(ours.next_link().await.is_none());
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing waited for a time limit");
}

#[test]
fn a_connection_whose_runtime_is_gone_is_over() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (client, session, sender, _server) = first.block_on(async {
        let (client, server) = pair().await;
        let (ours, theirs) = sessions(&client, &server).await;
        let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
        (client, ours, sender, (server, receiver.unwrap()))
    });
    let sending = sender.clone();
    first.spawn(async move { sending.send(&Message::data("x")).await });
    drop(first);
    runtime().block_on(async {
        assert!(matches!(client.closed().await, ConnectionError::Stopped));
        assert!(matches!(session.ended().await, SessionError::Connection(ConnectionError::Stopped)));
        assert!(matches!(sender.send(&Message::data("x")).await, Err(SendError::NotSent(_))));
        assert!(matches!(client.begin().await, Err(SessionError::Connection(ConnectionError::Stopped))));
    });
}

#[tokio::test(start_paused = true)]
async fn what_was_settled_before_the_session_ends_is_told() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    let sending = tokio::spawn(async move { sender.send(&Message::data("x")).await });
    receiver.recv().await.unwrap().accept();
    ours.end(None).await.unwrap();
    sending.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_after_a_long_silence_waits_for_its_answer() {
    let builder = Connection::builder().idle_time_out(None);
    let (client, server) = pair_with(builder, ServerBuilder::new().idle_time_out(None)).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    client.close().await;
    assert!(matches!(client.closed().await, ConnectionError::Closed));
    assert!(matches!(server.closed().await, ConnectionError::ClosedByPeer(None)));
}

#[tokio::test(start_paused = true)]
async fn credit_comes_back_to_who_only_looks_whether_something_is_here() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let mode = CreditMode::Automatic { window: 2, replenish: Replenish::Taken };
    let (receiver, sender) = tokio::join!(ours.receiver("queue").credit(mode).attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    tokio::spawn(async move { while sender.send_settled(&Message::data("x")).await.is_ok() {} });
    let mut received = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        received += std::iter::from_fn(|| receiver.try_recv()).count();
    }
    assert!(received > 50, "received {received}");
}

#[tokio::test(start_paused = true)]
async fn sessions_and_links_that_the_application_never_looks_at_are_bounded() {
    let patient = Connection::builder().answer_time_out(Duration::from_secs(60));
    let (client, server) = pair_with(patient, ServerBuilder::new()).await;
    let (ours, _theirs) = sessions(&client, &server).await;
    let limited = |error: Option<&Error<'static>>| {
        assert_eq!(error.unwrap().condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    };
    // Each of these is refused when nobody has answered in time, but it has been told to the application.
    let mut attaching = JoinSet::new();
    for _ in 0..256 {
        let session = ours.clone();
        attaching.spawn(async move { session.receiver("queue").attach().await });
    }
    for attached in attaching.join_all().await {
        limited(attached.unwrap_err().remote_error());
    }
    let began = tokio::time::Instant::now();
    limited(ours.receiver("queue").attach().await.unwrap_err().remote_error());
    assert_eq!(began.elapsed(), Duration::ZERO, "refused at once");

    for _ in 0..2 {
        let mut beginning = JoinSet::new();
        for _ in 0..128 {
            let client = client.clone();
            beginning.spawn(async move { client.begin().await });
        }
        for begun in beginning.join_all().await {
            // The refusal of a begin comes behind its answer.
            assert!(matches!(begun.unwrap().ended().await, SessionError::EndedByPeer(Some(_))));
        }
    }
    let began = tokio::time::Instant::now();
    let session = client.begin().await.unwrap();
    assert!(matches!(session.ended().await, SessionError::EndedByPeer(Some(_))));
    assert_eq!(began.elapsed(), Duration::ZERO, "refused at once");
}

#[tokio::test(start_paused = true)]
async fn sends_that_were_withdrawn_for_want_of_credit_are_forgotten() {
    struct Counted(Arc<AtomicUsize>);
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            b"octets"
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let attaching = ours.receiver("queue").credit(CreditMode::Manual).attach();
    let (_receiver, sender) = tokio::join!(attaching, sender(&theirs));
    let patient = sender.clone();
    tokio::spawn(async move { patient.send(&Message::data("the first in the queue")).await });
    let alive = Arc::new(AtomicUsize::new(0));
    for _ in 0..5000 {
        alive.fetch_add(1, Ordering::Relaxed);
        let message = Bytes::from_owner(Counted(Arc::clone(&alive)));
        let sent = tokio::time::timeout(Duration::from_millis(1), sender.send_slices(vec![message], false)).await;
        assert!(sent.is_err(), "there was no credit");
    }
    let alive = alive.load(Ordering::Relaxed);
    assert!(alive < 200, "{alive} are still held");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_dropped_undecided_is_left_unsettled_if_the_receiver_says_so() {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let attaching = ours.receiver("queue").release_dropped(false).attach();
    let (receiver, sender) = tokio::join!(attaching, sender(&theirs));
    let receiver = receiver.unwrap();
    let sending = tokio::spawn(async move { sender.send(&Message::data("x")).await });
    drop(receiver.recv().await.unwrap());
    assert_eq!(receiver.dropped(), 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!sending.is_finished(), "the peer was told something");
    receiver.close(None).await.unwrap();
    assert!(matches!(sending.await.unwrap(), Err(SendError::InDoubt(_))));
}

#[tokio::test(start_paused = true)]
async fn a_send_has_a_time_limit_with_and_without_credit() {
    for credit in [0, 10] {
        let (client, server) = pair().await;
        let (ours, theirs) = sessions(&client, &server).await;
        let accepting = async { theirs.next_link().await.unwrap().accept_receiver().await.unwrap() };
        let attaching = ours.sender("queue").send_time_out(Some(Duration::from_secs(5))).attach();
        let (sender, receiver) = tokio::join!(attaching, accepting);
        receiver.set_credit(credit);
        let sender = sender.unwrap();
        let began = tokio::time::Instant::now();
        let sent = sender.send(&Message::data("first")).await;
        assert!(matches!(sent, Err(SendError::TimedOut)), "{sent:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        // Without credit it was withdrawn.
        receiver.set_credit(10);
        let second = Message::data("second");
        let arrived = async {
            let mut arrived = 0;
            loop {
                let delivery = receiver.recv().await.unwrap();
                arrived += 1;
                let is_second = *delivery.octets() == second.to_slices().concat();
                delivery.accept();
                if is_second {
                    return arrived;
                }
            }
        };
        let (sent, arrived) = tokio::join!(sender.send(&second), arrived);
        sent.unwrap();
        assert_eq!(arrived, if credit == 0 { 1 } else { 2 });
    }
}

/// Large messages of one link have used up the session; as they are taken, another link goes on.
#[tokio::test(start_paused = true)]
async fn a_session_goes_on_as_the_octets_that_stopped_it_are_taken() {
    let (client, server) = pair().await;
    let accepting = async { server.next_session().await.unwrap().accept(SessionConfig::default()).await.unwrap() };
    let mut config = SessionConfig::default();
    (config.incoming_window, config.session_buffer) = (20, 256 * 1024);
    let (ours, theirs) = tokio::join!(client.begin_with(config), accepting);
    let ours = ours.unwrap();
    let (large, large_sender) = tokio::join!(ours.receiver("large").attach(), sender(&theirs));
    let (small, small_sender) = tokio::join!(ours.receiver("small").attach(), sender(&theirs));
    let (large, small) = (large.unwrap(), small.unwrap());
    for _ in 0..60 {
        let sender = large_sender.clone();
        tokio::spawn(async move { sender.send_settled(&Message::data(vec![7; 20_000])).await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::spawn(async move { small_sender.send_settled(&Message::data("small")).await });
    let stopped = tokio::time::timeout(Duration::from_secs(1), small.recv()).await;
    assert!(stopped.is_err(), "the session was not stopped");
    let going_on = tokio::spawn(async move { small.recv().await });
    // More than enough of them, and fewer than are here.
    for _ in 0..25 {
        large.recv().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        if going_on.is_finished() {
            return;
        }
    }
    panic!("the session did not go on");
}
