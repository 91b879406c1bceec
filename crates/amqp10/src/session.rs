use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amqp10_codec::{Attach, Error, Role, Source, Target};
use amqp10_link::{LinkConfig, LinkId, SessionConfig, SessionId};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::mailbox::{Command, LinkParts, SessionParts};
use crate::{LinkError, Receiver, ReceiverBuilder, Sender, SenderBuilder, SessionError};

/// A session: a conversation inside a connection, with its own windows. §2.5
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    id: SessionId,
    links: Mutex<mpsc::Receiver<(LinkId, Box<Attach<'static>>)>>,
    end: watch::Receiver<Option<SessionError>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.connection.submit(Command::End { id: self.id, error: None, reply: None });
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.inner.id).finish_non_exhaustive()
    }
}

/// A name that no other link has.
pub(crate) fn link_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("amqp10-{:x}-{:x}-{:x}", std::process::id(), now, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Session {
    pub(crate) fn new(connection: Connection, parts: SessionParts) -> Self {
        let SessionParts { id, links, end, unclaimed } = parts;
        unclaimed.claim();
        Self { inner: Arc::new(Inner { connection, id, links: Mutex::new(links), end }) }
    }

    pub(crate) fn submit(&self, command: Command) {
        self.inner.connection.submit(command);
    }

    fn time_limit(&self) -> Duration {
        self.inner.connection.time_limit()
    }

    /// The connection of this session.
    pub fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// A receiver of what the node at `address` holds, to be configured and attached.
    pub fn receiver(&self, address: impl Into<String>) -> ReceiverBuilder<'_> {
        self.receiver_of(Source::at(address.into()))
    }

    /// A receiver of `source`, to be configured and attached.
    pub fn receiver_of(&self, source: Source<'static>) -> ReceiverBuilder<'_> {
        ReceiverBuilder::new(self, source)
    }

    /// A sender to the node at `address`, to be configured and attached.
    pub fn sender(&self, address: impl Into<String>) -> SenderBuilder<'_> {
        self.sender_to(Target::at(address.into()))
    }

    /// A sender to `target`, to be configured and attached.
    pub fn sender_to(&self, target: Target<'static>) -> SenderBuilder<'_> {
        SenderBuilder::new(self, target)
    }

    /// The next link that the peer attaches; `None` once the session is over. Dropping the future loses none.
    ///
    /// At most 256 wait here; links beyond are refused.
    pub async fn next_link(&self) -> Option<IncomingLink> {
        let (id, attach) = self.inner.links.lock().await.recv().await?;
        Some(IncomingLink { session: self.clone(), id, attach, answered: false })
    }

    /// Ends the session and its links. §2.5.3
    ///
    /// # Errors
    /// When the peer does not answer in time. A session that is over already is no error.
    pub async fn end(&self, error: Option<Error<'static>>) -> Result<(), SessionError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Command::End { id: self.inner.id, error, reply: Some(reply) });
        match timeout(self.time_limit(), answer).await {
            Ok(_) => Ok(()),
            Err(_) => Err(SessionError::TimedOut),
        }
    }

    /// Resolves when the session is over, and tells why.
    pub async fn ended(&self) -> SessionError {
        let mut end = self.inner.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(SessionError::Ended),
            Err(_) => SessionError::Ended,
        }
    }

    pub(crate) async fn attach(&self, config: LinkConfig, release_dropped: bool) -> Result<LinkParts, LinkError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Command::Attach { session: self.inner.id, config: Box::new(config), release_dropped, reply });
        self.await_link(answer).await
    }

    async fn await_link(
        &self,
        answer: oneshot::Receiver<Result<LinkParts, LinkError>>,
    ) -> Result<LinkParts, LinkError> {
        match timeout(self.time_limit(), answer).await {
            Ok(Ok(Err(LinkError::Session(SessionError::Ended)))) => Err(LinkError::Session(self.over())),
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(LinkError::Session(self.inner.connection.over().into())),
            Err(_) => Err(LinkError::TimedOut),
        }
    }

    /// Why nothing can be attached any more.
    fn over(&self) -> SessionError {
        self.inner.end.borrow().clone().unwrap_or(SessionError::Ended)
    }

    pub(crate) async fn detach(
        &self,
        id: LinkId,
        closed: bool,
        error: Option<Error<'static>>,
    ) -> Result<(), LinkError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Command::Detach { id, closed, error, reply: Some(reply) });
        match timeout(self.time_limit(), answer).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LinkError::TimedOut),
        }
    }
}

/// A session that the peer began and that waits for an answer. Dropped unanswered it is refused.
#[derive(Debug)]
pub struct IncomingSession {
    pub(crate) connection: Connection,
    pub(crate) id: SessionId,
    pub(crate) answered: bool,
}

impl IncomingSession {
    /// Answers the begin. §2.5.1
    ///
    /// # Errors
    /// When the session or the connection is over by now.
    pub async fn accept(mut self, config: SessionConfig) -> Result<Session, SessionError> {
        self.answered = true;
        let (reply, answer) = oneshot::channel();
        self.connection.submit(Command::AcceptBegin { id: self.id, config, reply });
        match answer.await {
            Ok(parts) => Ok(Session::new(self.connection.clone(), parts?)),
            Err(_) => Err(self.connection.over().into()),
        }
    }

    /// Answers the begin and ends the session. §2.5.1
    pub fn refuse(mut self, error: Error<'static>) {
        self.answered = true;
        self.connection.submit(Command::RefuseBegin { id: self.id, error });
    }
}

impl Drop for IncomingSession {
    fn drop(&mut self) {
        if !self.answered {
            let error = Error::new(amqp10_codec::ErrorCondition::NOT_ALLOWED, "the session was not accepted");
            self.connection.submit(Command::RefuseBegin { id: self.id, error });
        }
    }
}

/// A link that the peer attached and that waits for an answer. Dropped unanswered it is refused.
#[derive(Debug)]
pub struct IncomingLink {
    session: Session,
    id: LinkId,
    attach: Box<Attach<'static>>,
    answered: bool,
}

impl IncomingLink {
    /// What the peer asks for. A peer whose role is receiver is accepted by [`accept_sender`](Self::accept_sender), and the other
    /// way round.
    pub fn attach(&self) -> &Attach<'static> {
        &self.attach
    }

    /// Whether the peer wants to receive.
    pub fn wants_to_receive(&self) -> bool {
        self.attach.role == Role::Receiver
    }

    async fn accept(mut self, config: LinkConfig) -> Result<LinkParts, LinkError> {
        self.answered = true;
        let (reply, answer) = oneshot::channel();
        self.session.submit(Command::AcceptAttach { id: self.id, config: Box::new(config), reply });
        self.session.await_link(answer).await
    }

    /// Attaches this end as the sender to a peer that receives; source and target are the peer's. §2.6.3
    ///
    /// The peer may take its time to grant credit and to settle: sends on it have no time limit.
    ///
    /// # Errors
    /// When the peer does not receive, or the link is over by now.
    pub async fn accept_sender(self) -> Result<Sender, LinkError> {
        let mut config = LinkConfig::sender("", self.attach.target.clone().unwrap_or_default());
        config.source = Some(self.attach.source.clone().unwrap_or_default());
        config.snd_settle_mode = self.attach.snd_settle_mode;
        let session = self.session.clone();
        Ok(Sender::new(session, self.accept(config).await?, None))
    }

    /// Attaches this end as the receiver of a peer that sends; source and target are the peer's. §2.6.3
    ///
    /// # Errors
    /// When the peer does not send, or the link is over by now.
    pub async fn accept_receiver(self) -> Result<Receiver, LinkError> {
        let mut config = LinkConfig::receiver("", self.attach.source.clone().unwrap_or_default());
        config.target = Some(self.attach.target.clone().unwrap_or_default());
        config.rcv_settle_mode = self.attach.rcv_settle_mode;
        let session = self.session.clone();
        Ok(Receiver::new(session, self.accept(config).await?))
    }

    /// Refuses: answers the attach with a null terminus and detaches with the error. §2.6.3
    pub fn refuse(mut self, error: Error<'static>) {
        self.answered = true;
        self.session.submit(Command::RefuseAttach { id: self.id, error });
    }
}

impl Drop for IncomingLink {
    fn drop(&mut self) {
        if !self.answered {
            let error = Error::new(amqp10_codec::ErrorCondition::NOT_ALLOWED, "the link was not accepted");
            self.session.submit(Command::RefuseAttach { id: self.id, error });
        }
    }
}
