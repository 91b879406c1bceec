use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amqp10_codec::{Error, Open};
use amqp10_link::SessionConfig;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::mailbox::{Command, Shared};
use crate::{ConnectError, ConnectionBuilder, ConnectionError, IncomingSession, Session, SessionError};

/// A connection to another container. Cheap to clone; closed when the last handle of it, its sessions and links is gone. §2.4
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    time_limit: Duration,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.submit(Command::Close(None));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.inner.shared.remote_open.get().map(|open| open.container_id.as_str());
        f.debug_struct("Connection").field("peer", &peer).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, time_limit: Duration) -> Self {
        Self { inner: Arc::new(Inner { shared, time_limit }) }
    }

    /// Connects to `amqp[s]://[user[:password]@]host[:port]` with defaults for everything else.
    ///
    /// # Errors
    /// Which step failed, and why.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder().connect(url).await
    }

    /// Settings to change first.
    pub fn builder() -> ConnectionBuilder {
        ConnectionBuilder::default()
    }

    pub(crate) fn submit(&self, command: Command) {
        self.inner.shared.submit(command);
    }

    pub(crate) fn time_limit(&self) -> Duration {
        self.inner.time_limit
    }

    /// Why nothing answers any more.
    pub(crate) fn over(&self) -> ConnectionError {
        self.inner.shared.ended().unwrap_or(ConnectionError::Closed)
    }

    /// What the peer said when it opened the connection.
    pub fn remote_open(&self) -> Option<&Open<'static>> {
        self.inner.shared.remote_open.get()
    }

    /// Begins a session with defaults. §2.5.1
    ///
    /// # Errors
    /// As [`begin_with`](Self::begin_with).
    pub async fn begin(&self) -> Result<Session, SessionError> {
        self.begin_with(SessionConfig::default()).await
    }

    /// Begins a session. §2.5.1
    ///
    /// Dropping the future before it is ready abandons the session: if the peer begins it after all, it is ended.
    ///
    /// # Errors
    /// When the peer refuses, does not answer within the time limit, or the connection is over.
    pub async fn begin_with(&self, config: SessionConfig) -> Result<Session, SessionError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Command::Begin { config, reply });
        match timeout(self.inner.time_limit, answer).await {
            Ok(Ok(parts)) => Ok(Session::new(self.clone(), parts?)),
            Ok(Err(_)) => Err(self.over().into()),
            Err(_) => Err(SessionError::TimedOut),
        }
    }

    /// The next session that the peer begins; `None` once the connection is over. Dropping the future loses none.
    ///
    /// At most 256 wait here; sessions beyond are refused.
    pub async fn next_session(&self) -> Option<IncomingSession> {
        let id = self.inner.shared.sessions.lock().await.recv().await?;
        Some(IncomingSession { connection: self.clone(), id, answered: false })
    }

    /// Closes the connection, its sessions and links, and waits until the peer has agreed or the time limit is over. §2.4.3
    pub async fn close(&self) {
        self.close_with(None).await;
    }

    /// Closes the connection with an error, as [`close`](Self::close).
    pub async fn close_with(&self, error: Option<Error<'static>>) {
        self.submit(Command::Close(error));
        if timeout(self.inner.time_limit, self.closed()).await.is_err() {
            tracing::debug!("the peer did not answer the close in time");
        }
    }

    /// Drops the stream at once, without a close: what a broken network would do.
    pub fn abort(&self) {
        self.submit(Command::Abort);
    }

    /// Resolves when the connection is over, and tells how it ended.
    pub async fn closed(&self) -> ConnectionError {
        let mut end = self.inner.shared.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(ConnectionError::Closed),
            Err(_) => ConnectionError::Closed,
        }
    }
}
