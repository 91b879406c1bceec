use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use amqp10_codec::{Error, Open};
use amqp10_transport::sasl::{Attempt, Verdict};
use amqp10_transport::{AcceptError, AcceptOptions, Accepted, ByteStream, Stream, accept};
use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::driver::spawn;
use crate::mailbox::{Command, Shared};
use crate::{Connection, ConnectionError, ServerBuilder};

/// Waits for peers that connect by TCP.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
}

impl Listener {
    /// Listens on an address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self { tcp: TcpListener::bind(address).await? })
    }

    /// The address listened on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next peer. Dropping the future loses none.
    ///
    /// # Errors
    /// When the system has no more sockets, or the peer is gone already; the listener stays usable.
    pub async fn accept(&self) -> io::Result<IncomingConnection> {
        let (tcp, peer) = self.tcp.accept().await?;
        tcp.set_nodelay(true)?;
        Ok(IncomingConnection { tcp, peer })
    }
}

/// A peer that has connected by TCP and said nothing yet.
#[derive(Debug)]
pub struct IncomingConnection {
    tcp: TcpStream,
    peer: SocketAddr,
}

impl IncomingConnection {
    /// The peer's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Encrypts the stream and lets the peer in if `judge` says so.
    ///
    /// # Errors
    /// When the peer fails or is refused, or all of it takes longer than the options allow.
    pub async fn authenticate<J, F>(self, options: &AcceptOptions, judge: J) -> Result<ServerStream, AcceptError>
    where
        J: FnOnce(Attempt) -> F,
        F: Future<Output = Verdict>,
    {
        let Accepted { stream, leftover, attempt, .. } = accept(self.tcp, options, judge).await?;
        Ok(ServerStream { stream, leftover, attempt })
    }
}

/// A stream whose peer was let in, and on which AMQP begins.
#[derive(Debug)]
pub struct ServerStream {
    stream: Stream,
    leftover: BytesMut,
    attempt: Option<Attempt>,
}

impl ServerStream {
    /// A stream that somebody else made, and let in.
    pub fn new(stream: impl ByteStream + 'static) -> Self {
        Self { stream: Stream::Other(Box::new(stream)), leftover: BytesMut::new(), attempt: None }
    }

    /// What the peer presented to be let in; `None` without SASL.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// Waits for the peer's open. §2.4.1
    ///
    /// # Errors
    /// When the peer does not open in time, or breaks the protocol.
    pub async fn open(self, settings: ServerBuilder) -> Result<PendingOpen, ConnectionError> {
        let limit = settings.config.answer_time_out;
        let (shared, incoming) = spawn(settings.engine(), self.stream, self.leftover);
        let connection = Connection::new(Arc::clone(&shared), limit);
        match timeout(limit, incoming).await {
            Ok(Ok(())) => Ok(PendingOpen { shared, connection, settings }),
            Ok(Err(_)) => Err(connection.closed().await),
            Err(_) => Err(ConnectionError::TimedOut),
        }
    }
}

/// A peer's open that waits for an answer. Dropped unanswered, the stream is closed.
pub struct PendingOpen {
    shared: Arc<Shared>,
    connection: Connection,
    settings: ServerBuilder,
}

impl std::fmt::Debug for PendingOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingOpen").field("remote_open", &self.remote_open()).finish_non_exhaustive()
    }
}

impl PendingOpen {
    /// What the peer said.
    pub fn remote_open(&self) -> Option<&Open<'static>> {
        self.connection.remote_open()
    }

    /// The settings that [`accept`](Self::accept) answers with, to be changed in the light of what the peer said.
    pub fn settings(&self) -> ServerBuilder {
        self.settings.clone()
    }

    /// Answers the open with these settings. §2.4.1
    ///
    /// # Errors
    /// When the connection is over by now.
    pub async fn accept(self, settings: ServerBuilder) -> Result<Connection, ConnectionError> {
        let (reply, answer) = oneshot::channel();
        self.shared.submit(Command::AcceptOpen { config: Box::new(settings.config), reply });
        match answer.await {
            Ok(result) => result.map(|()| self.connection),
            Err(_) => Err(self.connection.over()),
        }
    }

    /// Answers the open and closes the connection with this error; resolves when it is over. §2.4.3
    pub async fn refuse(self, error: Error<'static>) {
        self.shared.submit(Command::RefuseOpen(error));
        self.connection.closed().await;
    }
}
