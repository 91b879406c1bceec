//! Handles that outlive what they stand for, and handles dropped in every order.

mod support;

use std::time::Duration;

use amqp10::codec::{DeliveryNumber, Disposition, Handle, Performative, Role, Transfer};
use amqp10::{
    Connection, ConnectionError, Delivery, DeliveryState, Error, ErrorCondition, LinkError, Message, Receiver,
    SendError, Sender, ServerBuilder, ServerStream, Session, SessionConfig, SessionError,
};
use support::peer::{Peer, Seen, served};
use support::{exchange, pair, sender, sessions};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A client that has received a message, and a server that waits for its outcome.
struct Received {
    client: Connection,
    server: Connection,
    ours: Session,
    theirs: Session,
    receiver: Receiver,
    sender: Sender,
    delivery: Delivery,
    sent: JoinHandle<Result<(), SendError>>,
}

async fn received() -> Received {
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    let sending = sender.clone();
    let sent = tokio::spawn(async move { sending.send(&Message::data("x")).await });
    let delivery = receiver.recv().await.unwrap();
    Received { client, server, ours, theirs, receiver, sender, delivery, sent }
}

/// The settlement is not held back until something arrives, and what is pending goes on.
#[tokio::test(start_paused = true)]
async fn h27_settling_from_another_task_while_a_receive_is_pending() {
    let Received { receiver, sender, delivery, sent, .. } = received().await;
    let waiting = receiver.clone();
    let pending = tokio::spawn(async move { waiting.recv().await });
    sleep(Duration::from_secs(1)).await;
    let settling = tokio::spawn(async move { delivery.accept() });
    let accepted = timeout(Duration::from_millis(10), sent).await.expect("the settlement is told at once");
    accepted.unwrap().unwrap();
    settling.await.unwrap();
    assert!(!pending.is_finished());
    sender.send_settled(&Message::data("y")).await.unwrap();
    pending.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn h27_settling_from_other_threads_while_receives_are_pending() {
    const MESSAGES: usize = 2000;
    let (client, server) = pair().await;
    let (ours, theirs) = sessions(&client, &server).await;
    let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), sender(&theirs));
    let receiver = receiver.unwrap();
    for _ in 0..3 {
        let receiver = receiver.clone();
        tokio::spawn(async move {
            while let Ok(delivery) = receiver.recv().await {
                std::thread::spawn(move || delivery.accept());
            }
        });
    }
    let mut sent = tokio::task::JoinSet::new();
    for _ in 0..MESSAGES {
        let sender = sender.clone();
        sent.spawn(async move { sender.send(&Message::data("x")).await });
    }
    let sent = timeout(Duration::from_secs(60), sent.join_all()).await.expect("every settlement arrives");
    assert_eq!(sent.into_iter().filter(Result::is_ok).count(), MESSAGES);
}

#[tokio::test(start_paused = true)]
async fn h27_settling_after_the_link_is_gone() {
    for by_peer in [false, true] {
        let Received { client, ours, theirs, receiver, sender, delivery, sent, .. } = received().await;
        if by_peer {
            sender.close(None).await.unwrap();
            assert!(matches!(receiver.recv().await, Err(LinkError::DetachedByPeer(None))));
        } else {
            receiver.close(None).await.unwrap();
        }
        assert!(matches!(sent.await.unwrap(), Err(SendError::InDoubt(_))));
        // The next link has the handle of the one that is gone, and its delivery has the id.
        let (again, sender) = tokio::join!(ours.receiver("queue").attach(), support::sender(&theirs));
        let again = again.unwrap();
        assert_eq!(again.remote_attach().handle, receiver.remote_attach().handle);
        let sending = tokio::spawn(async move { sender.send(&Message::data("y")).await });
        let second = again.recv().await.unwrap();
        delivery.reject(None);
        sleep(Duration::from_secs(1)).await;
        assert!(!sending.is_finished(), "the old delivery settled the new one");
        second.accept();
        sending.await.unwrap().unwrap();
        client.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn h27_settling_after_the_session_is_gone() {
    for by_peer in [false, true] {
        let Received { client, server, ours, theirs, delivery, sent, .. } = received().await;
        let (ending, other) = if by_peer { (&theirs, &ours) } else { (&ours, &theirs) };
        ending.end(None).await.unwrap();
        assert!(matches!(other.ended().await, SessionError::EndedByPeer(None)));
        assert!(matches!(sent.await.unwrap(), Err(SendError::InDoubt(_))));
        delivery.accept();
        let (ours, theirs) = sessions(&client, &server).await;
        exchange(&ours, &theirs).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h27_settling_after_the_connection_is_gone() {
    for by_peer in [false, true] {
        let Received { client, server, delivery, sent, receiver, .. } = received().await;
        if by_peer {
            server.close_with(Some(Error::new(ErrorCondition::CONNECTION_FORCED, "bye"))).await;
            let end = client.closed().await;
            assert_eq!(end.remote_error().unwrap().condition, ErrorCondition::CONNECTION_FORCED);
        } else {
            client.close().await;
        }
        assert!(matches!(sent.await.unwrap(), Err(SendError::InDoubt(_))));
        delivery.accept();
        receiver.flush();
        assert!(matches!(receiver.recv().await, Err(error) if error.connection_error().is_some()));
    }
}

/// `accept(self)` takes the delivery, so we cannot settle twice (see `Delivery`); but the peer may have settled first.
#[tokio::test(start_paused = true)]
async fn h27_settling_what_the_peer_has_settled_in_the_meantime() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (client, mut peer) = tokio::join!(Connection::builder().connect_over(ours, true), Peer::open(theirs, None));
    let client = client.unwrap();
    let session = served(&mut peer, client.begin()).await.unwrap();
    let receiver = served(&mut peer, session.receiver("queue").attach()).await.unwrap();
    for id in 0..2 {
        let transfer = Transfer {
            delivery_id: Some(DeliveryNumber(id)),
            delivery_tag: Some(u64::from(id).into()),
            ..Transfer::new(Handle(0))
        };
        peer.send_with(&transfer, b"x").await;
    }
    let (first, second) = (receiver.recv().await.unwrap(), receiver.recv().await.unwrap());
    let settled = Disposition {
        role: Role::Sender,
        first: DeliveryNumber(0),
        last: None,
        settled: true,
        state: None,
        batchable: false,
    };
    peer.send(&settled).await;
    sleep(Duration::from_secs(1)).await;
    first.accept();
    receiver.flush();
    sleep(Duration::from_secs(1)).await;
    second.accept();
    receiver.flush();
    // Nothing is told of the first one.
    loop {
        if let Seen::Frame(_, Performative::Disposition(disposition)) = peer.serve().await {
            assert_eq!((disposition.first, disposition.last), (DeliveryNumber(1), None));
            break;
        }
    }
    served(&mut peer, receiver.close(None)).await.unwrap();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connection,
    Session,
    Receiver,
    Sender,
    Delivery,
}

fn permutations(kinds: &[Kind]) -> Vec<Vec<Kind>> {
    if kinds.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |at: usize| {
        let rest: Vec<Kind> = kinds.iter().copied().filter(|kind| *kind != kinds[at]).collect();
        permutations(&rest).into_iter().map(move |rest| [vec![kinds[at]], rest].concat()).collect::<Vec<_>>()
    };
    (0..kinds.len()).flat_map(with_first).collect()
}

#[tokio::test(start_paused = true)]
async fn h28_handles_dropped_in_every_order() {
    let kinds = [Kind::Connection, Kind::Session, Kind::Receiver, Kind::Sender, Kind::Delivery];
    let orders = permutations(&kinds);
    assert_eq!(orders.len(), 120);
    for order in orders {
        let Received { client, server, ours, theirs, receiver, sender: _sender, delivery, sent } = received().await;
        let accepting = async { theirs.next_link().await.unwrap().accept_receiver().await.unwrap() };
        let (sender, their_receiver) = tokio::join!(ours.sender("queue").attach(), accepting);
        let (mut client, mut ours, mut receiver) = (Some(client), Some(ours), Some(receiver));
        let (mut sender, mut delivery) = (Some(sender.unwrap()), Some(delivery));
        for kind in &order {
            match kind {
                Kind::Connection => client = None,
                Kind::Session => ours = None,
                Kind::Receiver => receiver = None,
                Kind::Sender => sender = None,
                Kind::Delivery => delivery = None,
            }
            let handles = client.is_some() || ours.is_some() || receiver.is_some() || sender.is_some();
            let over = timeout(Duration::from_millis(10), server.closed()).await.ok();
            match over {
                None => assert!(handles, "{order:?}: not closed after {kind:?}"),
                Some(end) => {
                    assert!(!handles, "{order:?}: closed after {kind:?}");
                    assert!(matches!(end, ConnectionError::ClosedByPeer(None)), "{order:?}: {end:?}");
                }
            }
            // A link ends with its own handle, and a session when neither it nor a link of it is left.
            let link_is_over = timeout(Duration::from_millis(1), their_receiver.recv()).await.is_ok();
            assert_eq!(link_is_over, sender.is_none(), "{order:?}: the link after {kind:?}");
            let session_is_over = timeout(Duration::from_millis(1), theirs.ended()).await.is_ok();
            let used = ours.is_some() || receiver.is_some() || sender.is_some();
            assert_eq!(session_is_over, !used, "{order:?}: the session after {kind:?}");
        }
        assert!(delivery.is_none());
        let position = |kind| order.iter().position(|other| *other == kind).unwrap();
        let released_in_time = position(Kind::Delivery) < position(Kind::Receiver);
        match sent.await.unwrap() {
            Err(SendError::NotAccepted(state)) => assert!(released_in_time && *state == DeliveryState::Released),
            Err(SendError::InDoubt(_)) => assert!(!released_in_time, "{order:?}"),
            other => panic!("{order:?}: {other:?}"),
        }
        drop((server, theirs, their_receiver, _sender));
        sleep(Duration::from_millis(10)).await;
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        assert_eq!(tasks, 0, "{order:?}: a task goes on for nobody");
    }
}

#[tokio::test(start_paused = true)]
async fn h28_an_open_that_is_dropped_unanswered_closes_the_stream() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let connecting = tokio::spawn(Connection::builder().connect_over(ours, true));
    drop(ServerStream::new(theirs).open(ServerBuilder::new()).await.unwrap());
    // It is opened and closed at once, which is how a connection is refused.
    let connected = timeout(Duration::from_millis(10), connecting).await.expect("it need not wait");
    let end = connected.unwrap().unwrap().closed().await;
    assert!(matches!(end, ConnectionError::ClosedByPeer(None)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn h28_a_session_and_a_link_that_are_dropped_unanswered_are_refused() {
    // 0.2-04
    let (client, server) = pair().await;
    let refusing = async { drop(server.next_session().await.unwrap()) };
    let (begun, ()) = tokio::join!(client.begin(), refusing);
    let end = match begun {
        Ok(session) => session.ended().await,
        Err(error) => error,
    };
    let not_allowed = |error: &Error<'_>| error.condition == ErrorCondition::NOT_ALLOWED;
    assert!(matches!(&end, SessionError::EndedByPeer(Some(error)) if not_allowed(error)), "{end:?}");
    let (ours, theirs) = sessions(&client, &server).await;
    let refusing = async { drop(theirs.next_link().await.unwrap()) };
    let (attached, ()) = tokio::join!(ours.sender("queue").attach(), refusing);
    assert!(not_allowed(attached.unwrap_err().remote_error().unwrap()));
    // And when the handles of a connection are gone that has sessions nobody has looked at.
    let session = tokio::spawn(async move { client.begin_with(SessionConfig::default()).await.map(|_| ()) });
    sleep(Duration::from_millis(10)).await;
    drop((server, theirs));
    let begun = timeout(Duration::from_secs(1), session).await.expect("it need not wait");
    assert!(begun.unwrap().is_err());
}
