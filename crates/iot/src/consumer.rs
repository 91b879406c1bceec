use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amqp10::codec::{DeliveryState, Error, ErrorCondition};
use amqp10::transport::{Timeouts, TlsClient, Url};
use amqp10::{
    Connection, ConnectionError, CreditMode, Delivery, HeartbeatPace, LinkError, Receiver, Replenish, Session,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::hooks::Hooks;
use crate::{
    Closed, ConnectionFailed, ConsumerBuilder, ConsumerError, CredentialProvider, DeviceMessage, Opened, SignIn,
    TransportFailed,
};

/// How long the service may take to tell that nothing more comes, at the end.
const LAST_ARRIVALS: Duration = Duration::from_secs(1);

/// Whom to connect to, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) client_id: String,
    pub(crate) consumer_group: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) address: String,
    pub(crate) heartbeat: Duration,
}

pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) provider: Arc<dyn CredentialProvider>,
    pub(crate) clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    pub(crate) credit: u32,
    pub(crate) limit: Option<u64>,
    pub(crate) keep_trying: bool,
    pub(crate) tls: Option<TlsClient>,
    pub(crate) timeouts: Timeouts,
    pub(crate) answer_time_out: Duration,
    pub(crate) max_frame_size: u32,
}

/// What messages and handles share with their consumer.
pub(crate) struct Shared {
    credit: u32,
    limit: Option<u64>,
    accepted: AtomicU64,
    released: AtomicU64,
    in_hand: AtomicUsize,
    decided: Notify,
    closing: AtomicBool,
    closed: watch::Sender<bool>,
    /// The link that credit is granted on now.
    receiver: Mutex<Option<Receiver>>,
}

impl Shared {
    pub(crate) fn taken(&self) {
        self.in_hand.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// How much may be granted now.
    fn window(&self) -> u32 {
        let wanted = self.limit.map(|limit| limit.saturating_sub(self.accepted.load(Ordering::Acquire)));
        wanted.map_or(self.credit, |wanted| self.credit.min(u32::try_from(wanted).unwrap_or(u32::MAX)))
    }

    fn mode(&self) -> CreditMode {
        CreditMode::Automatic { window: self.window(), replenish: Replenish::Settled }
    }

    fn is_done(&self) -> bool {
        self.limit.is_some_and(|limit| self.accepted.load(Ordering::Acquire) >= limit)
    }

    /// A message was decided.
    pub(crate) fn decided(&self, delivery: Delivery, state: DeliveryState<'static>) {
        let accepted = state == DeliveryState::Accepted;
        let counter = if accepted { &self.accepted } else { &self.released };
        if self.limit.is_some() && !self.is_closing() {
            // The window shrinks before the settlement makes room in it, and decisions do so one after the other.
            let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
            counter.fetch_add(1, Ordering::AcqRel);
            if let Some(receiver) = &*receiver {
                receiver.set_credit_mode(self.mode());
            }
            delivery.settle(state);
        } else {
            counter.fetch_add(1, Ordering::AcqRel);
            delivery.settle(state);
        }
        self.in_hand.fetch_sub(1, Ordering::AcqRel);
        self.decided.notify_waiters();
    }
}

/// A connection with its one receiver.
struct Live {
    connection: Connection,
    session: Session,
    receiver: Receiver,
}

/// Receives the messages of a consumer group, and reconnects by itself.
pub struct Consumer {
    settings: Settings,
    hooks: Hooks,
    shared: Arc<Shared>,
    backoff: Backoff,
    live: Option<Live>,
    next_attempt: Instant,
    /// The keys that were refused last.
    refused: Option<[u8; 32]>,
    attempts: u64,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("target", &self.settings.target).finish_non_exhaustive()
    }
}

/// Ends a consumer from elsewhere.
#[derive(Clone)]
pub struct ConsumerHandle {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConsumerHandle")
    }
}

impl ConsumerHandle {
    /// Makes the consumer's [`next`](Consumer::next) return `None`; [`Consumer::close`] then says good-bye.
    pub fn close(&self) {
        self.shared.closed.send_replace(true);
    }

    /// How many messages were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Acquire)
    }

    /// How many messages were released so far: on purpose, dropped undecided, or left over at the end.
    pub fn released(&self) -> u64 {
        self.shared.released.load(Ordering::Acquire)
    }
}

/// What a handler may fail with.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

impl Consumer {
    /// A consumer of `consumer_group` at `host`, which signs in with what `provider` makes for every attempt.
    pub fn builder(
        host: impl Into<String>,
        consumer_group: impl Into<String>,
        provider: impl CredentialProvider,
    ) -> ConsumerBuilder {
        ConsumerBuilder::new(host.into(), consumer_group.into(), provider)
    }

    pub(crate) async fn connect(settings: Settings, hooks: Hooks) -> Result<Self, ConsumerError> {
        let shared = Arc::new(Shared {
            credit: settings.credit,
            limit: settings.limit,
            accepted: AtomicU64::new(0),
            released: AtomicU64::new(0),
            in_hand: AtomicUsize::new(0),
            decided: Notify::new(),
            closing: AtomicBool::new(false),
            closed: watch::Sender::new(false),
            receiver: Mutex::new(None),
        });
        let mut consumer = Self {
            settings,
            hooks,
            shared,
            backoff: Backoff::default(),
            live: None,
            next_attempt: Instant::now(),
            refused: None,
            attempts: 0,
        };
        if consumer.settings.keep_trying {
            while consumer.live.is_none() {
                consumer.reconnect().await?;
            }
        } else {
            match consumer.attempt().await {
                Ok(live) => consumer.opened(live),
                Err(error) => {
                    consumer.tell(&error, None);
                    return Err(error);
                }
            }
        }
        Ok(consumer)
    }

    /// A handle that ends this consumer from elsewhere.
    pub fn handle(&self) -> ConsumerHandle {
        ConsumerHandle { shared: Arc::clone(&self.shared) }
    }

    /// How many attempts to connect were made so far.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// The next message; connects again if the connection was lost. `None` after the end was asked for, or all messages that were
    /// wanted have been accepted. Dropping the future loses no message.
    ///
    /// # Errors
    /// When it has given up: the service refuses the credentials, and the provider has no others.
    pub async fn next(&mut self) -> Result<Option<DeviceMessage>, ConsumerError> {
        let shared = Arc::clone(&self.shared);
        let mut closed = shared.closed.subscribe();
        loop {
            let decided = shared.decided.notified();
            if *closed.borrow() || shared.is_done() {
                return Ok(None);
            }
            let Some(live) = &self.live else {
                tokio::select! {
                    biased;
                    _ = closed.wait_for(|closed| *closed) => return Ok(None),
                    result = self.reconnect() => result?,
                }
                continue;
            };
            let received = tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => return Ok(None),
                received = live.receiver.recv() => received,
                // The last message that was wanted may be accepted by another task.
                () = async { if self.settings.limit.is_some() { decided.await } else { pending().await } } => continue,
            };
            match received {
                Ok(delivery) => return Ok(Some(DeviceMessage::new(delivery, Arc::clone(&self.shared)))),
                Err(error) => self.lost(error),
            }
        }
    }

    /// Hands every message to `handler`, one after the other, until the end is asked for. A message is accepted when the handler
    /// returns `Ok`; on an error or a panic it is released, and the next one follows.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn run<H>(&mut self, mut handler: H) -> Result<(), ConsumerError>
    where
        H: AsyncFnMut(&DeviceMessage) -> Result<(), HandlerError>,
    {
        while let Some(message) = self.next().await? {
            match catch(handler(&message)).await {
                Some(Ok(())) => message.accept(),
                Some(Err(error)) => {
                    tracing::warn!(id = %message.id(), %error, "the handler failed; the message is released");
                    message.release();
                }
                None => {
                    tracing::warn!(id = %message.id(), "the handler panicked; the message is released");
                    message.release();
                }
            }
        }
        Ok(())
    }

    /// Ends: asks for nothing more, waits until what is in hand is decided, releases what nobody has seen, detaches and closes; all
    /// within `grace`, after which the stream is dropped.
    pub async fn close(mut self, grace: Duration) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.closed.send_replace(true);
        let Some(live) = self.live.take() else { return };
        let shared = Arc::clone(&self.shared);
        let polite = async {
            let release = || {
                while let Some(delivery) = live.receiver.try_recv() {
                    shared.released.fetch_add(1, Ordering::AcqRel);
                    delivery.release();
                }
            };
            live.receiver.set_credit(0);
            release();
            loop {
                let decided = shared.decided.notified();
                if shared.in_hand.load(Ordering::Acquire) == 0 {
                    break;
                }
                decided.await;
            }
            if !shared.is_done() {
                // What was on its way is released too. Not every service answers, and then it finds out by the detach.
                let _ = timeout(LAST_ARRIVALS, live.receiver.revoke_credit()).await;
            }
            release();
            live.receiver.flush();
            let steps = async {
                live.receiver.close(None).await?;
                live.session.end(None).await?;
                Ok::<_, LinkError>(())
            };
            if let Err(error) = steps.await {
                tracing::debug!(%error, "the link could not be closed");
            }
            live.connection.close().await;
        };
        let reason = match timeout(grace, polite).await {
            Ok(()) => "by us",
            Err(_) => {
                live.connection.abort();
                "by us, without the answer of the service"
            }
        };
        self.hooks.closed(&Closed { reason: reason.to_owned(), next_attempt: None });
    }

    /// Waits for its time and makes an attempt. Only what ends the consumer is an error.
    async fn reconnect(&mut self) -> Result<(), ConsumerError> {
        sleep_until(self.next_attempt).await;
        // Should this future be dropped in the middle, the next attempt comes no sooner.
        let pause = self.pause();
        self.next_attempt = Instant::now() + pause;
        match self.attempt().await {
            Ok(live) => {
                self.opened(live);
                Ok(())
            }
            Err(error @ (ConsumerError::Config(_) | ConsumerError::AuthenticationRefused { .. })) => {
                if self.has_other_keys().await {
                    self.tell(&error, Some(pause));
                    return Ok(());
                }
                self.tell(&error, None);
                Err(error)
            }
            Err(error) => {
                self.tell(&error, Some(pause));
                Ok(())
            }
        }
    }

    fn pause(&mut self) -> Duration {
        self.backoff.pause(Instant::now().into_std(), fastrand::f64())
    }

    /// Whether the provider has other keys now than those that were refused.
    async fn has_other_keys(&mut self) -> bool {
        let timestamp = self.timestamp();
        let now = self.settings.provider.credentials(sign_in(&self.settings.target, timestamp)).await;
        match (now, self.refused) {
            (Ok(credentials), Some(refused)) => credentials.fingerprint != refused,
            // A provider that has none now may have some later.
            (Err(_), _) => true,
            (Ok(_), None) => false,
        }
    }

    fn timestamp(&self) -> u64 {
        let now = (self.settings.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    async fn attempt(&mut self) -> Result<Live, ConsumerError> {
        self.attempts += 1;
        self.backoff.attempt(Instant::now().into_std());
        let timestamp = self.timestamp();
        let settings = &self.settings;
        let target = &settings.target;
        let credentials = settings.provider.credentials(sign_in(target, timestamp)).await?;
        let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
        let url: Url = format!("amqps://{host}:{}", target.port)
            .parse()
            .map_err(|_| crate::ConfigError::Host(target.host.clone()))?;
        let mut builder = Connection::builder()
            .container_id(target.client_id.clone())
            .idle_time_out(Some(target.heartbeat))
            // The service measures our silence against the value that we announce.
            .heartbeat_pace(HeartbeatPace::Both)
            .max_frame_size(settings.max_frame_size)
            .timeouts(settings.timeouts)
            .answer_time_out(settings.answer_time_out)
            .plain(credentials.user_name.expose(), credentials.password.clone());
        if let Some(tls) = &settings.tls {
            builder = builder.tls(tls.clone());
        }
        let connection = match builder.connect_url(&url).await {
            Ok(connection) => connection,
            Err(error) => {
                let error = ConsumerError::from_connect(error, &credentials.key_id);
                if matches!(error, ConsumerError::AuthenticationRefused { .. }) {
                    self.refused = Some(credentials.fingerprint);
                }
                return Err(error);
            }
        };
        let session = connection.begin().await.map_err(|error| ConsumerError::Refused(LinkError::Session(error)))?;
        let receiver = session.receiver(target.address.clone()).name(target.client_id.clone());
        let receiver = receiver.credit(self.shared.mode()).attach().await.map_err(ConsumerError::Refused)?;
        Ok(Live { connection, session, receiver })
    }

    fn opened(&mut self, live: Live) {
        self.backoff.up(Instant::now().into_std());
        *self.shared.receiver.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.receiver.clone());
        // Messages that were accepted meanwhile are not wanted again.
        live.receiver.set_credit_mode(self.shared.mode());
        let target = &self.settings.target;
        self.live = Some(live);
        self.hooks.opened(&Opened {
            host: target.host.clone(),
            client_id: target.client_id.clone(),
            consumer_group: target.consumer_group.clone(),
            heartbeat: target.heartbeat,
        });
    }

    /// The connection or its link is over.
    fn lost(&mut self, error: LinkError) {
        self.live = None;
        *self.shared.receiver.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let pause = self.pause();
        self.next_attempt = Instant::now() + pause;
        self.tell_link(&error, Some(pause));
    }

    /// Calls the hook that fits a failed attempt.
    fn tell(&self, error: &ConsumerError, next_attempt: Option<Duration>) {
        use amqp10::ConnectError;
        match error {
            ConsumerError::Refused(error) => self.tell_link(error, next_attempt),
            ConsumerError::Connect(ConnectError::Refused(error)) => self.tell_connection(error, next_attempt),
            ConsumerError::AuthenticationRefused { .. } => {
                let error = Error::new(ErrorCondition::UNAUTHORIZED_ACCESS, error.to_string());
                self.hooks.connection_error(&ConnectionFailed { error, next_attempt });
            }
            other => {
                let reason = other.to_string();
                self.hooks.transport_error(&TransportFailed { reason, next_attempt });
            }
        }
    }

    fn tell_link(&self, error: &LinkError, next_attempt: Option<Duration>) {
        match (error.remote_error(), error.connection_error()) {
            (Some(error), _) => {
                self.hooks.connection_error(&ConnectionFailed { error: error.clone(), next_attempt });
            }
            (None, Some(error)) => self.tell_connection(error, next_attempt),
            (None, None) => self.hooks.closed(&Closed { reason: error.to_string(), next_attempt }),
        }
    }

    fn tell_connection(&self, error: &ConnectionError, next_attempt: Option<Duration>) {
        match error {
            ConnectionError::ClosedByPeer(Some(error)) => {
                self.hooks.connection_error(&ConnectionFailed { error: error.clone(), next_attempt });
            }
            ConnectionError::ClosedByPeer(None) | ConnectionError::Closed => {
                self.hooks.closed(&Closed { reason: error.to_string(), next_attempt });
            }
            other => {
                let reason = other.to_string();
                self.hooks.transport_error(&TransportFailed { reason, next_attempt });
            }
        }
    }
}

fn sign_in(target: &Target, timestamp: u64) -> SignIn<'_> {
    SignIn {
        client_id: &target.client_id,
        consumer_group: &target.consumer_group,
        instance_id: target.instance_id.as_deref(),
        timestamp,
    }
}

/// Runs a future to its end; `None` if it panics.
async fn catch<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}
