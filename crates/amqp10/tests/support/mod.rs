//! A client and a server on one stream in memory.

#![allow(dead_code)]
// Every test file uses its own part of this.

pub(crate) mod peer;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use amqp10::{
    Connection, ConnectionBuilder, IncomingLink, LinkError, Message, Receiver, Sender, ServerBuilder, ServerStream,
    Session, SessionConfig,
};

/// Two connections that are each other's peer.
pub(crate) async fn pair_with(client: ConnectionBuilder, server: ServerBuilder) -> (Connection, Connection) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let serving = async {
        let pending = ServerStream::new(theirs).open(server).await.unwrap();
        let settings = pending.settings();
        pending.accept(settings).await.unwrap()
    };
    let connecting = client.connect_over(ours, true);
    let (client, server) = tokio::join!(connecting, serving);
    (client.unwrap(), server)
}

pub(crate) async fn pair() -> (Connection, Connection) {
    pair_with(Connection::builder(), ServerBuilder::new()).await
}

/// A session begun by the client.
pub(crate) async fn sessions(client: &Connection, server: &Connection) -> (Session, Session) {
    let accepting = async { server.next_session().await.unwrap().accept(SessionConfig::default()).await.unwrap() };
    let (ours, theirs) = tokio::join!(client.begin(), accepting);
    (ours.unwrap(), theirs)
}

/// The next link, which must be one that the peer receives on.
pub(crate) async fn sender(session: &Session) -> Sender {
    let link: IncomingLink = session.next_link().await.unwrap();
    assert!(link.wants_to_receive());
    link.accept_sender().await.unwrap()
}

/// When a future is dropped that is not ready after its last poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// At once: what was asked for has not begun.
    AtOnce,
    /// When it would be polled again: the answer is here, and nobody looks at it.
    WhenWoken,
}

/// Polls `future` so many times and drops it; its output if it was ready by then.
pub(crate) async fn polled<F: Future>(polls: usize, dropped: Dropped, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 && dropped == Dropped::AtOnce => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Calls `test` for every number of polls after which a future is dropped, until `test` says that it was ready by then.
pub(crate) async fn at_every_poll<F: Future<Output = bool>>(test: impl Fn(usize, Dropped) -> F) {
    for dropped in [Dropped::AtOnce, Dropped::WhenWoken] {
        let mut polls = 0;
        while !test(polls, dropped).await {
            polls += 1;
            assert!(polls < 1000, "it is never ready");
        }
        assert!(polls > 1, "it has to wait once, or this shows nothing");
    }
}

/// What is collected for a test to look at.
pub(crate) type Shelf<T> = Arc<Mutex<Vec<T>>>;

/// Accepts every session of the peer.
pub(crate) fn accept_sessions(server: &Connection) -> Shelf<Session> {
    let (server, shelf) = (server.clone(), Shelf::default());
    let accepted = Arc::clone(&shelf);
    tokio::spawn(async move {
        while let Some(session) = server.next_session().await {
            if let Ok(session) = session.accept(SessionConfig::default()).await {
                accepted.lock().unwrap().push(session);
            }
        }
    });
    shelf
}

/// The ends of the links that the peer attached.
pub(crate) enum Accepted {
    Sender(Sender),
    Receiver(Receiver),
}

impl Accepted {
    pub(crate) async fn ended(&self) -> LinkError {
        match self {
            Self::Sender(sender) => sender.ended().await,
            Self::Receiver(receiver) => loop {
                if let Err(error) = receiver.recv().await {
                    return error;
                }
            },
        }
    }
}

/// Accepts every link of the peer; what arrives on them stays.
pub(crate) fn accept_links(session: &Session) -> Shelf<Accepted> {
    let (session, shelf) = (session.clone(), Shelf::default());
    let accepted = Arc::clone(&shelf);
    tokio::spawn(async move {
        while let Some(link) = session.next_link().await {
            let link = if link.wants_to_receive() {
                link.accept_sender().await.map(Accepted::Sender)
            } else {
                link.accept_receiver().await.map(Accepted::Receiver)
            };
            if let Ok(link) = link {
                accepted.lock().unwrap().push(link);
            }
        }
    });
    shelf
}

/// Sends a message through a session of the client, so that the server accepts it: everything on the way is in order.
pub(crate) async fn exchange(ours: &Session, theirs: &Session) {
    let message = Message::data("probe");
    let receiving = async {
        let link = theirs.next_link().await.unwrap();
        let receiver = link.accept_receiver().await.unwrap();
        receiver.recv().await.unwrap().accept();
        receiver
    };
    let (attached, sent) = tokio::join!(
        async {
            let sender = ours.sender("probe").attach().await.unwrap();
            sender.send(&message).await.unwrap();
            sender
        },
        receiving
    );
    attached.close(None).await.unwrap();
    assert!(matches!(sent.recv().await, Err(LinkError::DetachedByPeer(None))));
}
