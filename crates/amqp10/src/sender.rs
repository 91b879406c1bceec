use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amqp10_codec::{Attach, DeliveryState, Error, Message, ReceiverSettleMode, SenderSettleMode, Target};
use amqp10_link::LinkConfig;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::mailbox::{Command, LinkBox, LinkParts, SendRequest};
use crate::session::Session;
use crate::{LinkError, SendError};

/// How long a send may take by default.
const SEND_TIME_OUT: Duration = Duration::from_secs(60);

/// Settings of a sender. §2.7.3
#[derive(Debug)]
#[must_use = "nothing is attached before `attach` is awaited"]
pub struct SenderBuilder<'s> {
    session: &'s Session,
    config: LinkConfig,
    send_time_out: Option<Duration>,
}

impl<'s> SenderBuilder<'s> {
    pub(crate) fn new(session: &'s Session, target: Target<'static>) -> Self {
        let config = LinkConfig::sender(crate::session::link_name(), target);
        Self { session, config, send_time_out: Some(SEND_TIME_OUT) }
    }

    /// The name of the link; a random one if none is set. §2.6.1
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into().into();
        self
    }

    /// How this end settles. §2.8.2
    pub fn snd_settle_mode(mut self, mode: SenderSettleMode) -> Self {
        self.config.snd_settle_mode = mode;
        self
    }

    /// How the receiver is asked to settle. §2.8.3
    pub fn rcv_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
        self.config.rcv_settle_mode = mode;
        self
    }

    /// How long a send may take, from the call to the outcome, waiting for credit included; `None` for ever. Default: 60 s.
    ///
    /// [`SendError::TimedOut`] tells that it took longer.
    pub fn send_time_out(mut self, time: Option<Duration>) -> Self {
        self.send_time_out = time;
        self
    }

    /// Attaches the link.
    ///
    /// Dropping the future before it is ready abandons the link: if the peer attaches it after all, it is closed.
    ///
    /// # Errors
    /// When the peer refuses, does not answer within the connection's time limit, or the session is over.
    pub async fn attach(self) -> Result<Sender, LinkError> {
        let parts = self.session.attach(self.config, false).await?;
        Ok(Sender::new(self.session.clone(), parts, self.send_time_out))
    }
}

/// The sending end of a link. Clones send on the same link.
#[derive(Clone)]
pub struct Sender {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    mailbox: Arc<LinkBox>,
    remote_attach: Box<Attach<'static>>,
    send_time_out: Option<Duration>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.session.submit(Command::AbandonLink(self.mailbox.id));
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("name", &self.inner.remote_attach.name).finish_non_exhaustive()
    }
}

impl Sender {
    pub(crate) fn new(session: Session, parts: LinkParts, send_time_out: Option<Duration>) -> Self {
        let LinkParts { mailbox, remote_attach, unclaimed } = parts;
        unclaimed.claim();
        Self { inner: Arc::new(Inner { session, mailbox, remote_attach, send_time_out }) }
    }

    /// What the peer said when it attached. §2.6.3
    pub fn remote_attach(&self) -> &Attach<'static> {
        &self.inner.remote_attach
    }

    /// Sends a message and waits until the peer has accepted it. Many may be in flight.
    ///
    /// A future dropped before the message was started withdraws it; later the message is sent and its outcome discarded.
    ///
    /// # Errors
    /// When the peer decides otherwise, does not decide in time, or the link ends first; see [`SendError`].
    pub async fn send(&self, message: &Message) -> Result<(), SendError> {
        match self.send_slices(message.to_slices(), false).await? {
            Some(DeliveryState::Accepted) | None => Ok(()),
            Some(other) => Err(SendError::NotAccepted(Box::new(other))),
        }
    }

    /// Sends encoded octets and waits for the outcome at the peer: `None` if it settled without telling one.
    ///
    /// A future dropped before the message was started withdraws it; later the message is sent and its outcome discarded.
    ///
    /// # Errors
    /// When the link or the time ends before the outcome is known, or the message is too large.
    pub async fn send_slices(
        &self,
        slices: Vec<Bytes>,
        settled: bool,
    ) -> Result<Option<DeliveryState<'static>>, SendError> {
        let (reply, outcome) = oneshot::channel();
        self.inner.mailbox.send(SendRequest { slices, settled, reply });
        let outcome = match self.inner.send_time_out {
            Some(limit) => timeout(limit, outcome).await,
            None => Ok(outcome.await),
        };
        match outcome {
            Ok(Ok(result)) => result,
            Err(_) => Err(SendError::TimedOut),
            Ok(Err(_)) => {
                let ended = self.inner.mailbox.ended().unwrap_or(LinkError::Detached);
                Err(SendError::NotSent(ended))
            }
        }
    }

    /// Sends a message settled: there is no outcome, and nothing tells whether it arrived. Resolves once it has left.
    ///
    /// # Errors
    /// When the link or the time ends before the message has left, or it is too large.
    pub async fn send_settled(&self, message: &Message) -> Result<(), SendError> {
        self.send_slices(message.to_slices(), true).await.map(drop)
    }

    /// Resolves when a message sent next would leave without waiting for credit. §2.6.7
    ///
    /// Credit that messages asked to be sent are waiting for does not count. Credit may be taken back before it is used.
    ///
    /// # Errors
    /// When the link is over.
    pub async fn ready(&self) -> Result<(), LinkError> {
        let mailbox = &self.inner.mailbox;
        loop {
            let changed = mailbox.sendable.notified();
            if let Some(error) = mailbox.ended() {
                return Err(error);
            }
            if mailbox.is_sendable() {
                return Ok(());
            }
            changed.await;
        }
    }

    /// Resolves when the link is over, and tells why.
    pub async fn ended(&self) -> LinkError {
        loop {
            let changed = self.inner.mailbox.sendable.notified();
            if let Some(error) = self.inner.mailbox.ended() {
                return error;
            }
            changed.await;
        }
    }

    /// Detaches the link and keeps its terminus at the peer. §2.6.4
    ///
    /// # Errors
    /// When the peer does not answer in time. A link that is over already is no error.
    pub async fn detach(&self) -> Result<(), LinkError> {
        self.inner.session.detach(self.inner.mailbox.id, false, None).await
    }

    /// Closes the link and its terminus, with an error if there is one to tell. §2.6.6
    ///
    /// # Errors
    /// When the peer does not answer in time. A link that is over already is no error.
    pub async fn close(&self, error: Option<Error<'static>>) -> Result<(), LinkError> {
        self.inner.session.detach(self.inner.mailbox.id, true, error).await
    }
}
