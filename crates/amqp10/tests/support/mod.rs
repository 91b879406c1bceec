//! A client and a server on one stream in memory.

#![allow(dead_code)]
// Every test file uses its own part of this.

use amqp10::{
    Connection, ConnectionBuilder, IncomingLink, Sender, ServerBuilder, ServerStream, Session, SessionConfig,
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
