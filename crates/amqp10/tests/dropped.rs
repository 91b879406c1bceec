//! Every public future dropped at every poll: nothing is lost or leaked, and the session goes on.

mod support;

use std::sync::Arc;
use std::time::Duration;

use amqp10::codec::ReceiverSettleMode;
use amqp10::{
    Connection, ConnectionError, CreditMode, LinkError, Message, Replenish, ServerBuilder, ServerStream, SessionConfig,
    SessionError,
};
use support::{Accepted, Dropped, accept_links, accept_sessions, at_every_poll, exchange, pair, polled, sessions};

/// Long enough for everything that is not lost, and shorter than every time limit.
const SOON: Duration = Duration::from_secs(1);

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not happen"),
    }
}

#[tokio::test(start_paused = true)]
async fn h26_begin() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let accepted = accept_sessions(&server);
        let result = polled(polls, dropped, client.begin()).await;
        let ready = result.is_some();
        drop(result);
        let ours = client.begin().await.unwrap();
        let mut theirs = std::mem::take(&mut *accepted.lock().unwrap());
        let last = theirs.pop().unwrap();
        exchange(&ours, &last).await;
        for session in &theirs {
            let end = soon("the end of the session that nobody has", session.ended()).await;
            assert!(matches!(end, SessionError::EndedByPeer(None)), "{polls} {dropped:?}: {end:?}");
        }
        let begun = polls > 1 || (polls == 1 && dropped == Dropped::WhenWoken);
        assert!(!begun || theirs.len() == 1, "{polls} {dropped:?}: it had begun");
        ready
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_attach() {
    for receives in [true, false] {
        at_every_poll(|polls, dropped| async move {
            let (client, server) = pair().await;
            let (ours, theirs) = sessions(&client, &server).await;
            let accepted = accept_links(&theirs);
            let ready = if receives {
                polled(polls, dropped, ours.receiver("queue").attach()).await.is_some()
            } else {
                polled(polls, dropped, ours.sender("queue").attach()).await.is_some()
            };
            // Everything before has been answered when this has.
            let receiver = ours.receiver("another").attach().await.unwrap();
            let mut links = std::mem::take(&mut *accepted.lock().unwrap());
            let Some(Accepted::Sender(sender)) = links.pop() else { panic!("the last one sends") };
            let message = Message::data("x");
            let (sent, ()) = tokio::join!(sender.send(&message), async { receiver.recv().await.unwrap().accept() });
            sent.unwrap();
            for link in &links {
                let end = soon("the end of the link that nobody has", link.ended()).await;
                assert!(matches!(end, LinkError::DetachedByPeer(None)), "{polls} {dropped:?}: {end:?}");
            }
            let begun = polls > 1 || (polls == 1 && dropped == Dropped::WhenWoken);
            assert!(!begun || links.len() == 1, "{polls} {dropped:?}: it had begun");
            ready
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn h26_accepting_a_session() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let beginning = client.clone();
        let begun = tokio::spawn(async move { beginning.begin().await });
        let incoming = server.next_session().await.unwrap();
        let accepted = polled(polls, dropped, incoming.accept(SessionConfig::default())).await;
        match accepted {
            Some(accepted) => {
                exchange(&begun.await.unwrap().unwrap(), &accepted.unwrap()).await;
                true
            }
            None => {
                match soon("the answer", begun).await.unwrap() {
                    Ok(session) => drop(soon("the end of the session that nobody accepted", session.ended()).await),
                    Err(error) => assert!(matches!(error, SessionError::EndedByPeer(_)), "{error:?}"),
                }
                let (ours, theirs) = sessions(&client, &server).await;
                exchange(&ours, &theirs).await;
                false
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_accepting_a_link() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let (ours, theirs) = sessions(&client, &server).await;
        let session = ours.clone();
        let attached = tokio::spawn(async move { session.sender("queue").attach().await });
        let incoming = theirs.next_link().await.unwrap();
        let accepted = polled(polls, dropped, incoming.accept_receiver()).await;
        if accepted.is_none() {
            match soon("the answer", attached).await.unwrap() {
                Ok(sender) => drop(soon("the end of the link that nobody accepted", sender.ended()).await),
                Err(error) => assert!(matches!(error, LinkError::DetachedByPeer(_)), "{error:?}"),
            }
        }
        exchange(&ours, &theirs).await;
        accepted.is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_receive() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let (ours, theirs) = sessions(&client, &server).await;
        // One lost credit or settlement, and nothing comes any more.
        let mode = CreditMode::Automatic { window: 1, replenish: Replenish::Settled };
        let attaching = ours.receiver("queue").credit(mode).attach();
        let (receiver, sender) = tokio::join!(attaching, support::sender(&theirs));
        let receiver = receiver.unwrap();
        let mut ready = false;
        for number in 0..5_u32 {
            let sender = sender.clone();
            let sent = tokio::spawn(async move { sender.send(&Message::value(number)).await });
            let delivery = match polled(polls, dropped, receiver.recv()).await {
                Some(delivery) => {
                    ready = true;
                    delivery
                }
                None => soon("the delivery", receiver.recv()).await,
            };
            let delivery = delivery.unwrap();
            assert_eq!(delivery.octets(), &Message::value(number).to_slices().concat());
            delivery.accept();
            soon("the settlement", sent).await.unwrap().unwrap();
        }
        assert!(receiver.try_recv().is_none(), "nothing came twice");
        assert_eq!(receiver.dropped(), 0);
        ready
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_next_session_and_next_link() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let beginning = client.clone();
        let begun = tokio::spawn(async move { beginning.begin().await });
        let next = polled(polls, dropped, server.next_session()).await;
        let mut ready = next.is_some();
        let incoming = match next {
            Some(incoming) => incoming,
            None => soon("the session", server.next_session()).await,
        };
        let theirs = incoming.unwrap().accept(SessionConfig::default()).await.unwrap();
        let ours = begun.await.unwrap().unwrap();
        let session = ours.clone();
        let attached = tokio::spawn(async move { session.receiver("queue").attach().await });
        let next = polled(polls, dropped, theirs.next_link()).await;
        ready &= next.is_some();
        let incoming = match next {
            Some(incoming) => incoming,
            None => soon("the link", theirs.next_link()).await,
        };
        let _sender = incoming.unwrap().accept_sender().await.unwrap();
        attached.await.unwrap().unwrap();
        ready
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_a_send_that_has_not_started_is_withdrawn() {
    for dropped in [Dropped::AtOnce, Dropped::WhenWoken] {
        for polls in 0..3 {
            let (client, server) = pair().await;
            let (ours, theirs) = sessions(&client, &server).await;
            let attaching = ours.receiver("queue").credit(CreditMode::Manual).attach();
            let (receiver, sender) = tokio::join!(attaching, support::sender(&theirs));
            let receiver = receiver.unwrap();
            // Without credit nothing wakes the future but the clock.
            let withdrawn = Message::data("withdrawn");
            let sending = tokio::time::timeout(SOON, sender.send(&withdrawn));
            assert!(!matches!(polled(polls, dropped, sending).await, Some(Ok(_))));
            receiver.set_credit(2);
            let message = Message::data("sent");
            let (sent, delivery) = tokio::join!(sender.send(&message), async {
                let delivery = receiver.recv().await.unwrap();
                let octets = delivery.octets().clone();
                delivery.accept();
                octets
            });
            sent.unwrap();
            assert_eq!(delivery, message.to_slices().concat());
            assert!(soon_nothing(&receiver).await, "the withdrawn one came after all");
            // It used no credit up either.
            let (sent, ()) = tokio::join!(sender.send(&message), async { receiver.recv().await.unwrap().accept() });
            sent.unwrap();
        }
    }
}

async fn soon_nothing(receiver: &amqp10::Receiver) -> bool {
    tokio::time::timeout(SOON, receiver.recv()).await.is_err()
}

/// Messages of one frame and of many, settled at once and in the second mode.
#[tokio::test(start_paused = true)]
async fn h26_a_send_that_has_started_completes() {
    for (size, second) in [(10, false), (300_000, false), (10, true)] {
        at_every_poll(|polls, dropped| async move {
            let (client, server) = pair().await;
            let (ours, theirs) = sessions(&client, &server).await;
            let mode = CreditMode::Automatic { window: 1, replenish: Replenish::Settled };
            let settling = if second { ReceiverSettleMode::Second } else { ReceiverSettleMode::First };
            let attaching = ours.receiver("queue").credit(mode).rcv_settle_mode(settling).attach();
            let (receiver, sender) = tokio::join!(attaching, support::sender(&theirs));
            let receiver = receiver.unwrap();
            let received = support::Shelf::default();
            let shelf = Arc::clone(&received);
            let receiving = tokio::spawn(async move {
                for _ in 0..4 {
                    let Ok(delivery) = receiver.recv().await else { return };
                    shelf.lock().unwrap().push(delivery.octets().clone());
                    delivery.accept();
                }
            });
            let first = Message::data(vec![1; size]);
            let ready = polled(polls, dropped, sender.send(&first)).await.is_some();
            // What follows on the same link uses the same window of one: no credit and no settlement may be lost.
            let rest: Vec<Message> = (2..5).map(|number| Message::data(vec![number; size])).collect();
            for message in &rest {
                soon("the outcome", sender.send(message)).await.unwrap();
            }
            receiving.abort();
            let mut expected: Vec<_> = rest.iter().map(|message| message.to_slices().concat()).collect();
            let received = std::mem::take(&mut *received.lock().unwrap());
            let started = polls > 1 || (polls == 1 && dropped == Dropped::WhenWoken);
            if started {
                expected.insert(0, first.to_slices().concat());
            }
            assert!(received == expected, "{polls} {dropped:?}: {} of {}", received.len(), expected.len());
            ready
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn h26_a_send_of_settled_messages() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let (ours, theirs) = sessions(&client, &server).await;
        let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), support::sender(&theirs));
        let receiver = receiver.unwrap();
        let first = Message::data("first");
        let ready = polled(polls, dropped, sender.send_settled(&first)).await.is_some();
        let second = Message::data("second");
        sender.send_settled(&second).await.unwrap();
        let started = polls > 1 || (polls == 1 && dropped == Dropped::WhenWoken);
        for message in [started.then_some(&first), Some(&second)].into_iter().flatten() {
            let delivery = soon("the message", receiver.recv()).await.unwrap();
            assert_eq!(delivery.octets(), &message.to_slices().concat());
            assert!(delivery.is_settled());
        }
        ready
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_close_of_a_link() {
    for closed in [true, false] {
        at_every_poll(|polls, dropped| async move {
            let (client, server) = pair().await;
            let (ours, theirs) = sessions(&client, &server).await;
            let (receiver, sender) = tokio::join!(ours.receiver("queue").attach(), support::sender(&theirs));
            let receiver = receiver.unwrap();
            let sending = sender.clone();
            let sent = tokio::spawn(async move { sending.send(&Message::data("x")).await });
            // What was settled before is told before the link closes.
            receiver.recv().await.unwrap().accept();
            let ready = if closed {
                polled(polls, dropped, receiver.close(None)).await.is_some()
            } else {
                polled(polls, dropped, receiver.detach()).await.is_some()
            };
            soon("the settlement", sent).await.unwrap().unwrap();
            if polls > 0 {
                assert!(matches!(soon("the detach", sender.ended()).await, LinkError::DetachedByPeer(None)));
                assert!(matches!(soon("the end", receiver.recv()).await, Err(LinkError::Detached)));
            }
            soon("the close", receiver.close(None)).await.unwrap();
            exchange(&ours, &theirs).await;
            ready
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn h26_end_of_a_session() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let (ours, theirs) = sessions(&client, &server).await;
        let ready = polled(polls, dropped, ours.end(None)).await.is_some();
        if polls > 0 {
            assert!(matches!(soon("the end", theirs.ended()).await, SessionError::EndedByPeer(None)));
            assert!(matches!(soon("the end", ours.ended()).await, SessionError::Ended));
        } else {
            exchange(&ours, &theirs).await;
        }
        soon("the end", ours.end(None)).await.unwrap();
        let (ours, theirs) = sessions(&client, &server).await;
        exchange(&ours, &theirs).await;
        ready
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_close_of_a_connection() {
    at_every_poll(|polls, dropped| async move {
        let (client, server) = pair().await;
        let (ours, theirs) = sessions(&client, &server).await;
        let ready = polled(polls, dropped, client.close()).await.is_some();
        if polls > 0 {
            assert!(matches!(soon("the close", server.closed()).await, ConnectionError::ClosedByPeer(None)));
            assert!(matches!(soon("the close", client.closed()).await, ConnectionError::Closed));
        } else {
            exchange(&ours, &theirs).await;
        }
        soon("the close", client.close()).await;
        ready
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_connect() {
    at_every_poll(|polls, dropped| async move {
        let (ours, theirs) = tokio::io::duplex(4096);
        let serving = tokio::spawn(async move {
            let pending = ServerStream::new(theirs).open(ServerBuilder::new()).await?;
            let settings = pending.settings();
            pending.accept(settings).await
        });
        let connected = polled(polls, dropped, Connection::builder().connect_over(ours, true)).await;
        let served = soon("the end of the peer's wait", serving).await.unwrap();
        match connected {
            Some(client) => {
                let (client, server) = (client.unwrap(), served.unwrap());
                let (ours, theirs) = sessions(&client, &server).await;
                exchange(&ours, &theirs).await;
                true
            }
            None => {
                if let Ok(server) = served {
                    soon("the end of the connection that nobody has", server.closed()).await;
                }
                false
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn h26_opening_as_a_server() {
    at_every_poll(|polls, dropped| async move {
        let (ours, theirs) = tokio::io::duplex(4096);
        let connecting = tokio::spawn(Connection::builder().connect_over(ours, true));
        let serving = async {
            let pending = ServerStream::new(theirs).open(ServerBuilder::new()).await.unwrap();
            let settings = pending.settings();
            pending.accept(settings).await.unwrap()
        };
        let served = polled(polls, dropped, serving).await;
        let connected = soon("the end of the client's wait", connecting).await.unwrap();
        match served {
            Some(server) => {
                let client = connected.unwrap();
                let (ours, theirs) = sessions(&client, &server).await;
                exchange(&ours, &theirs).await;
                true
            }
            None => {
                if let Ok(client) = connected {
                    soon("the end of the connection that nobody accepted", client.closed()).await;
                }
                false
            }
        }
    })
    .await;
}

#[tokio::test]
async fn h26_connect_over_tcp_with_sasl() {
    use amqp10::transport::AcceptOptions;
    use amqp10::transport::sasl::Verdict;
    let listener = amqp10::Listener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://user:password@127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (told, mut served) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(incoming) = listener.accept().await {
            let options = AcceptOptions::default();
            let stream = incoming.authenticate(&options, |_| async { Verdict::Accept }).await;
            let Ok(stream) = stream else {
                told.send(None).unwrap();
                continue;
            };
            let server = async {
                let pending = stream.open(ServerBuilder::new()).await.ok()?;
                let settings = pending.settings();
                pending.accept(settings).await.ok()
            };
            told.send(server.await).unwrap();
        }
    });
    let (url, served) = (&url, &tokio::sync::Mutex::new(&mut served));
    at_every_poll(|polls, dropped| async move {
        let connecting = Connection::builder().allow_clear_text_password(true).connect(url);
        let connected = polled(polls, dropped, connecting).await;
        let ready = connected.is_some();
        drop(connected);
        // Whatever had come into being on the other side is over, and the next one is served.
        let probe = Connection::builder().container_id("probe").allow_clear_text_password(true);
        let client = probe.connect(url).await.unwrap();
        let mut servers = Vec::new();
        let mut served = served.lock().await;
        let server = loop {
            let Some(server) = served.recv().await.unwrap() else { continue };
            if server.remote_open().unwrap().container_id.as_str() == "probe" {
                break server;
            }
            servers.push(server);
        };
        for server in servers {
            server.closed().await;
        }
        let (ours, theirs) = sessions(&client, &server).await;
        exchange(&ours, &theirs).await;
        ready
    })
    .await;
}
