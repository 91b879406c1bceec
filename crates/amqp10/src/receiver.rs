use std::collections::VecDeque;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use amqp10_codec::{Attach, Error, ReceiverSettleMode, SenderSettleMode, Source};
use amqp10_link::{CreditMode, LinkConfig};
use futures_core::Stream;

use crate::mailbox::{Arrived, Command, CreditChange, LinkBox, LinkParts, lock};
use crate::session::Session;
use crate::{Delivery, LinkError};

/// Settings of a receiver. §2.7.3
#[derive(Debug)]
#[must_use = "nothing is attached before `attach` is awaited"]
pub struct ReceiverBuilder<'s> {
    session: &'s Session,
    config: LinkConfig,
    release_dropped: bool,
}

impl<'s> ReceiverBuilder<'s> {
    pub(crate) fn new(session: &'s Session, source: Source<'static>) -> Self {
        let name = crate::session::link_name();
        Self { session, config: LinkConfig::receiver(name, source), release_dropped: true }
    }

    /// The name of the link; a random one if none is set. §2.6.1
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into().into();
        self
    }

    /// How credit is granted. Default: 100 deliveries, topped up as they are taken. §2.6.7
    pub fn credit(mut self, mode: CreditMode) -> Self {
        self.config.credit = mode;
        self
    }

    /// Octets held undelivered above which no more credit is granted. Default: 1 MiB.
    pub fn link_buffer(mut self, octets: usize) -> Self {
        self.config.link_buffer = octets;
        self
    }

    /// The largest message taken, in octets. Default: no limit.
    pub fn max_message_size(mut self, octets: u64) -> Self {
        self.config.max_message_size = Some(octets);
        self
    }

    /// How the sender is asked to settle. §2.8.2
    pub fn snd_settle_mode(mut self, mode: SenderSettleMode) -> Self {
        self.config.snd_settle_mode = mode;
        self
    }

    /// How this end settles. §2.8.3
    pub fn rcv_settle_mode(mut self, mode: ReceiverSettleMode) -> Self {
        self.config.rcv_settle_mode = mode;
        self
    }

    /// Whether a delivery that is dropped undecided is released, so that the peer delivers it again at once. Default: yes.
    ///
    /// If not, it stays unsettled: the peer keeps it for this link until the link is closed, and with [`Replenish::Settled`] its
    /// credit does not come back before. §3.4.4
    ///
    /// [`Replenish::Settled`]: crate::Replenish::Settled
    pub fn release_dropped(mut self, release: bool) -> Self {
        self.release_dropped = release;
        self
    }

    /// Attaches the link.
    ///
    /// Dropping the future before it is ready abandons the link: if the peer attaches it after all, it is closed.
    ///
    /// # Errors
    /// When the peer refuses, does not answer within the connection's time limit, or the session is over.
    pub async fn attach(self) -> Result<Receiver, LinkError> {
        let parts = self.session.attach(self.config, self.release_dropped).await?;
        Ok(Receiver::new(self.session.clone(), parts))
    }
}

/// The receiving end of a link. Clones receive from the same link, each delivery once.
#[derive(Clone)]
pub struct Receiver {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    mailbox: Arc<LinkBox>,
    remote_attach: Box<Attach<'static>>,
    /// What was swapped out of the mailbox and not taken yet.
    queue: Mutex<VecDeque<Arrived>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.session.submit(Command::AbandonLink(self.mailbox.id));
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("name", &self.inner.remote_attach.name).finish_non_exhaustive()
    }
}

impl Receiver {
    pub(crate) fn new(session: Session, parts: LinkParts) -> Self {
        let LinkParts { mailbox, remote_attach, unclaimed } = parts;
        unclaimed.claim();
        Self { inner: Arc::new(Inner { session, mailbox, remote_attach, queue: Mutex::default() }) }
    }

    /// What the peer said when it attached: the source, target and modes that are in force. §2.6.3
    pub fn remote_attach(&self) -> &Attach<'static> {
        &self.inner.remote_attach
    }

    /// The next delivery, if one is here.
    pub fn try_recv(&self) -> Option<Delivery> {
        let mut queue = lock(&self.inner.queue);
        if queue.is_empty() {
            self.inner.mailbox.swap(&mut queue);
        }
        let arrived = queue.pop_front();
        let more = !queue.is_empty();
        drop(queue);
        let Some(arrived) = arrived else {
            // Nothing comes before the driver knows what was taken, if that was all the credit.
            self.inner.mailbox.flush();
            return None;
        };
        if more {
            // Another clone may be waiting.
            self.inner.mailbox.arrived.notify_one();
        }
        let mailbox = &self.inner.mailbox;
        mailbox.took(arrived.delivery.payload.len(), arrived.delivery.settled);
        Some(Delivery::new(arrived, mailbox))
    }

    /// The next delivery. Dropping the future loses none.
    ///
    /// # Errors
    /// When the link is over, for whatever reason, and everything that arrived before was taken.
    pub async fn recv(&self) -> Result<Delivery, LinkError> {
        loop {
            let arrived = self.inner.mailbox.arrived.notified();
            if let Some(delivery) = self.try_recv() {
                return Ok(delivery);
            }
            if let Some(error) = self.inner.mailbox.ended() {
                self.inner.mailbox.arrived.notify_one();
                return Err(error);
            }
            arrived.await;
        }
    }

    /// Grants exactly `credit` more deliveries; automatic credit stops. 0 pauses the link. §2.6.7
    pub fn set_credit(&self, credit: u32) {
        self.inner.mailbox.leave(true, |outbox| outbox.credit.push(CreditChange::Set(credit)));
    }

    /// Grants `credit` deliveries more than before; automatic credit stops. §2.6.7
    pub fn add_credit(&self, credit: u32) {
        self.inner.mailbox.leave(true, |outbox| outbox.credit.push(CreditChange::Add(credit)));
    }

    /// Changes how credit is granted from now on. A smaller window does not take back what was granted.
    pub fn set_credit_mode(&self, mode: CreditMode) {
        self.inner.mailbox.leave(false, |outbox| outbox.credit.push(CreditChange::Mode(mode)));
    }

    /// Asks the peer to use up the credit it has; what it sends still arrives. §2.6.7
    pub fn drain(&self) {
        self.inner.mailbox.leave(true, |outbox| outbox.credit.push(CreditChange::Drain));
    }

    /// Takes back the credit that the peer has not used, and resolves when it has answered: everything that it sent before that is
    /// here then. Not every peer answers. §2.6.7
    ///
    /// # Errors
    /// When the link is over.
    pub async fn revoke_credit(&self) -> Result<(), LinkError> {
        let mailbox = &self.inner.mailbox;
        let mut drained = pin!(mailbox.drained.notified());
        drained.as_mut().enable();
        mailbox.leave(true, |outbox| outbox.credit.extend([CreditChange::Set(0), CreditChange::Drain]));
        if mailbox.over().is_none() {
            drained.await;
        }
        mailbox.over().map_or(Ok(()), Err)
    }

    /// How many deliveries were dropped undecided so far.
    pub fn dropped(&self) -> usize {
        self.inner.mailbox.dropped.load(Ordering::Relaxed)
    }

    /// Sends what was settled so far without waiting for company.
    pub fn flush(&self) {
        self.inner.mailbox.flush();
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

    /// The deliveries as a stream; it ends with the link, after one error unless we ended it ourselves.
    pub fn into_stream(self) -> impl Stream<Item = Result<Delivery, LinkError>> + Send {
        Deliveries { receiver: self, waiting: None, over: false }
    }
}

type Waiting = Pin<Box<dyn Future<Output = Result<Delivery, LinkError>> + Send>>;

async fn next(receiver: Receiver) -> Result<Delivery, LinkError> {
    receiver.recv().await
}

struct Deliveries {
    receiver: Receiver,
    /// Only while nothing is here: a delivery that is costs no allocation.
    waiting: Option<Waiting>,
    over: bool,
}

impl Stream for Deliveries {
    type Item = Result<Delivery, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if this.waiting.is_none()
            && let Some(delivery) = this.receiver.try_recv()
        {
            return Poll::Ready(Some(Ok(delivery)));
        }
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(next(this.receiver.clone())));
        let result = std::task::ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        this.over = result.is_err();
        match result {
            Err(LinkError::Detached) => Poll::Ready(None),
            other => Poll::Ready(Some(other)),
        }
    }
}
