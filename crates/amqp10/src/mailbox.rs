//! Where the application and the driver meet: short locks, and never one held across work of the other side.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use amqp10_codec::{Attach, DeliveryState, Error, Open};
use amqp10_link::{Config, CreditMode, DeliveryKey, LinkConfig, LinkId, SessionConfig, SessionId};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::error::{ConnectionError, LinkError, SendError, SessionError};

/// Settlements that wake the driver at once instead of waiting for company.
const SETTLEMENTS_AT_ONCE: usize = 128;
/// Deliveries taken after which the driver is told even though the application's queue is not empty.
const TAKEN_AT_ONCE: u32 = 64;
/// Octets taken after which it is told too: what is held stops a whole session.
const OCTETS_AT_ONCE: usize = 64 * 1024;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is consistent after every statement, so a panic elsewhere has spoilt nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rare command to the driver.
pub(crate) enum Command {
    AcceptOpen {
        config: Box<Config>,
        reply: oneshot::Sender<Result<(), ConnectionError>>,
    },
    RefuseOpen(Error<'static>),
    Begin {
        config: SessionConfig,
        reply: oneshot::Sender<Result<SessionParts, SessionError>>,
    },
    AcceptBegin {
        id: SessionId,
        config: SessionConfig,
        reply: oneshot::Sender<Result<SessionParts, SessionError>>,
    },
    RefuseBegin {
        id: SessionId,
        error: Error<'static>,
    },
    End {
        id: SessionId,
        error: Option<Error<'static>>,
        reply: Option<oneshot::Sender<()>>,
    },
    Attach {
        session: SessionId,
        config: Box<LinkConfig>,
        /// What becomes of deliveries that the application drops undecided.
        release_dropped: bool,
        reply: oneshot::Sender<Result<LinkParts, LinkError>>,
    },
    AcceptAttach {
        id: LinkId,
        config: Box<LinkConfig>,
        reply: oneshot::Sender<Result<LinkParts, LinkError>>,
    },
    RefuseAttach {
        id: LinkId,
        error: Error<'static>,
    },
    Detach {
        id: LinkId,
        closed: bool,
        error: Option<Error<'static>>,
        reply: Option<oneshot::Sender<()>>,
    },
    /// The link's handle is gone: close it and forget it.
    AbandonLink(LinkId),
    Close(Option<Error<'static>>),
    /// Drop the stream.
    Abort,
}

/// Gives up what is on its way to a caller: if nobody takes it there, it is dropped, and has to be ended or detached.
pub(crate) struct Unclaimed {
    shared: Arc<Shared>,
    give_up: Option<Command>,
}

impl Unclaimed {
    pub(crate) fn session(id: SessionId, shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), give_up: Some(Command::End { id, error: None, reply: None }) }
    }

    pub(crate) fn link(id: LinkId, shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), give_up: Some(Command::AbandonLink(id)) }
    }

    /// The handle is there, and gives it up itself.
    pub(crate) fn claim(mut self) {
        self.give_up = None;
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(command) = self.give_up.take() {
            self.shared.submit(command);
        }
    }
}

/// What a session's handle is made of.
pub(crate) struct SessionParts {
    pub(crate) id: SessionId,
    pub(crate) links: mpsc::Receiver<(LinkId, Box<Attach<'static>>)>,
    pub(crate) end: watch::Receiver<Option<SessionError>>,
    pub(crate) unclaimed: Unclaimed,
}

/// What a link's handle is made of.
pub(crate) struct LinkParts {
    pub(crate) mailbox: Arc<LinkBox>,
    pub(crate) remote_attach: Box<Attach<'static>>,
    pub(crate) unclaimed: Unclaimed,
}

#[derive(Default)]
struct Pending {
    commands: VecDeque<Command>,
    links: Vec<Arc<LinkBox>>,
    /// What waits in the links is to be handled now.
    urgent: bool,
    waker: Option<Waker>,
    /// The driver is gone: nothing is taken any more.
    over: bool,
}

/// What the driver found in the mailboxes.
pub(crate) struct Collected {
    pub(crate) commands: VecDeque<Command>,
    pub(crate) links: Vec<Arc<LinkBox>>,
}

/// What wakes the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Nothing,
    /// Only things that can wait for company.
    Lazy,
    Urgent,
}

/// The connection's own mailbox.
pub(crate) struct Shared {
    pending: Mutex<Pending>,
    pub(crate) remote_open: OnceLock<Open<'static>>,
    pub(crate) end: watch::Sender<Option<ConnectionError>>,
    /// Sessions that the peer began.
    pub(crate) sessions: tokio::sync::Mutex<mpsc::Receiver<SessionId>>,
}

impl Shared {
    pub(crate) fn new() -> (Arc<Self>, mpsc::Sender<SessionId>) {
        let (sender, sessions) = mpsc::channel(crate::driver::INCOMING);
        let shared = Self {
            pending: Mutex::default(),
            remote_open: OnceLock::new(),
            end: watch::Sender::new(None),
            sessions: tokio::sync::Mutex::new(sessions),
        };
        (Arc::new(shared), sender)
    }

    /// Leaves a command. After the driver's end it is answered by dropping it.
    pub(crate) fn submit(&self, command: Command) {
        let mut pending = lock(&self.pending);
        if pending.over {
            return;
        }
        pending.commands.push_back(command);
        pending.urgent = true;
        let waker = pending.waker.take();
        drop(pending);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn schedule(&self, link: Option<Arc<LinkBox>>, urgent: bool) {
        let mut pending = lock(&self.pending);
        if pending.over {
            return;
        }
        let idle = pending.links.is_empty();
        pending.links.extend(link);
        let waker = if (urgent && !pending.urgent) || idle { pending.waker.take() } else { None };
        pending.urgent |= urgent;
        drop(pending);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Tells what waits, and has the driver woken when more comes.
    pub(crate) fn poll_waiting(&self, cx: &Context<'_>) -> Waiting {
        let mut pending = lock(&self.pending);
        if pending.urgent {
            return Waiting::Urgent;
        }
        if !pending.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            pending.waker = Some(cx.waker().clone());
        }
        if pending.links.is_empty() { Waiting::Nothing } else { Waiting::Lazy }
    }

    /// Takes everything; the buffers of `reuse` are left for the next.
    pub(crate) fn collect(&self, reuse: &mut Collected) {
        let mut pending = lock(&self.pending);
        std::mem::swap(&mut pending.commands, &mut reuse.commands);
        std::mem::swap(&mut pending.links, &mut reuse.links);
        pending.urgent = false;
    }

    /// The driver is gone: whatever waits, or comes later, is answered by dropping it.
    pub(crate) fn close(&self, end: ConnectionError) {
        self.end.send_replace(Some(end));
        let left = std::mem::replace(&mut *lock(&self.pending), Pending { over: true, ..Pending::default() });
        drop(left);
    }

    /// How the connection ended, if it has.
    pub(crate) fn ended(&self) -> Option<ConnectionError> {
        self.end.borrow().clone()
    }
}

/// A delivery on its way to the application.
pub(crate) struct Arrived {
    pub(crate) delivery: amqp10_link::Delivery,
    pub(crate) at: Instant,
}

#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) deliveries: VecDeque<Arrived>,
    pub(crate) end: Option<LinkError>,
}

/// A message on its way to the peer.
pub(crate) struct SendRequest {
    pub(crate) slices: Vec<Bytes>,
    pub(crate) settled: bool,
    pub(crate) reply: oneshot::Sender<Result<Option<DeliveryState<'static>>, SendError>>,
}

/// A change of a receiver's credit.
pub(crate) enum CreditChange {
    Set(u32),
    Add(u32),
    Mode(CreditMode),
    Drain,
}

/// What the application left for the driver.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) credit: Vec<CreditChange>,
    pub(crate) settlements: Vec<(DeliveryKey, DeliveryState<'static>)>,
    pub(crate) sends: VecDeque<SendRequest>,
}

#[derive(Default)]
struct Out {
    left: Outbox,
    /// Whether the driver knows that something is here.
    scheduled: bool,
    /// The link is over: nothing is taken any more.
    closed: bool,
}

/// The mailbox of a link.
pub(crate) struct LinkBox {
    pub(crate) id: LinkId,
    shared: Arc<Shared>,
    inbox: Mutex<Inbox>,
    outbox: Mutex<Out>,
    /// Deliveries that the application took and the driver does not know of.
    taken: AtomicU32,
    taken_octets: AtomicUsize,
    /// Those of them that had come settled.
    taken_settled: AtomicU32,
    /// Deliveries that were dropped undecided.
    pub(crate) dropped: AtomicUsize,
    /// Whether deliveries that are dropped undecided are released.
    pub(crate) release_dropped: bool,
    /// Sends that were asked for so far.
    requested: AtomicU64,
    /// How many of them could have left with the credit granted so far.
    send_limit: AtomicU64,
    /// Something arrived, or the link ended.
    pub(crate) arrived: Notify,
    /// Credit to send came, or the link ended; wakes everybody.
    pub(crate) sendable: Notify,
    /// The peer has given back the credit that it had, or the link ended.
    pub(crate) drained: Notify,
}

impl LinkBox {
    pub(crate) fn new(id: LinkId, shared: Arc<Shared>, release_dropped: bool) -> Arc<Self> {
        Arc::new(Self {
            id,
            shared,
            inbox: Mutex::default(),
            outbox: Mutex::default(),
            taken: AtomicU32::new(0),
            taken_octets: AtomicUsize::new(0),
            taken_settled: AtomicU32::new(0),
            dropped: AtomicUsize::new(0),
            release_dropped,
            requested: AtomicU64::new(0),
            send_limit: AtomicU64::new(0),
            arrived: Notify::new(),
            sendable: Notify::new(),
            drained: Notify::new(),
        })
    }

    // The driver's side.

    /// Appends what has arrived, and wakes the application once.
    pub(crate) fn deliver(&self, deliveries: impl Iterator<Item = Arrived>) {
        lock(&self.inbox).deliveries.extend(deliveries);
        self.arrived.notify_one();
    }

    /// The link is over. What the application left, or leaves later, is answered by dropping it.
    pub(crate) fn end(&self, error: LinkError) {
        lock(&self.inbox).end.get_or_insert(error);
        let left = std::mem::replace(&mut *lock(&self.outbox), Out { closed: true, ..Out::default() });
        drop(left);
        self.arrived.notify_one();
        self.sendable.notify_waiters();
        self.drained.notify_waiters();
    }

    /// So many sends in all could have left by now.
    pub(crate) fn set_send_limit(&self, limit: u64) {
        if self.send_limit.swap(limit, Ordering::AcqRel) < limit {
            self.sendable.notify_waiters();
        }
    }

    /// Takes what the application left; the buffers of `reuse` are left for the next.
    pub(crate) fn take_out(&self, reuse: &mut Outbox) {
        let mut out = lock(&self.outbox);
        std::mem::swap(&mut out.left, reuse);
        out.scheduled = false;
    }

    /// Deliveries, octets and pre-settled deliveries that the application took since the last call.
    pub(crate) fn take_taken(&self) -> (u32, usize, u32) {
        // Read in the reverse of the order in which they are written, so that none is counted before its octets.
        let settled = self.taken_settled.swap(0, Ordering::AcqRel);
        let taken = self.taken.swap(0, Ordering::AcqRel);
        (taken, self.taken_octets.swap(0, Ordering::AcqRel), settled)
    }

    // The application's side.

    /// Swaps the deliveries that have arrived for an empty queue.
    pub(crate) fn swap(&self, queue: &mut VecDeque<Arrived>) {
        std::mem::swap(&mut lock(&self.inbox).deliveries, queue);
    }

    /// How the link ended, if it has.
    pub(crate) fn over(&self) -> Option<LinkError> {
        lock(&self.inbox).end.clone()
    }

    /// How the link ended, if it has and everything that arrived before was taken.
    pub(crate) fn ended(&self) -> Option<LinkError> {
        let inbox = lock(&self.inbox);
        if inbox.deliveries.is_empty() { inbox.end.clone() } else { None }
    }

    /// Asks for a message to be sent.
    pub(crate) fn send(self: &Arc<Self>, request: SendRequest) {
        self.leave(true, |outbox| {
            self.requested.fetch_add(1, Ordering::AcqRel);
            outbox.sends.push_back(request);
        });
    }

    /// Whether one more send would leave without waiting for credit.
    pub(crate) fn is_sendable(&self) -> bool {
        self.requested.load(Ordering::Acquire) < self.send_limit.load(Ordering::Acquire)
    }

    /// The application took a delivery.
    pub(crate) fn took(self: &Arc<Self>, octets: usize, settled: bool) {
        let before = self.taken_octets.fetch_add(octets, Ordering::AcqRel);
        if settled {
            self.taken_settled.fetch_add(1, Ordering::AcqRel);
        }
        let many = self.taken.fetch_add(1, Ordering::AcqRel).saturating_add(1).is_multiple_of(TAKEN_AT_ONCE);
        if many || before / OCTETS_AT_ONCE != before.saturating_add(octets) / OCTETS_AT_ONCE {
            self.leave(true, |_| {});
        }
    }

    /// The application waits for more: whatever it left has to be handled now.
    pub(crate) fn flush(self: &Arc<Self>) {
        let waiting = !lock(&self.outbox).left.settlements.is_empty();
        if waiting || self.taken.load(Ordering::Acquire) > 0 {
            self.leave(true, |_| {});
        }
    }

    /// Settles a delivery; never blocks.
    pub(crate) fn settle(self: &Arc<Self>, key: DeliveryKey, state: DeliveryState<'static>) {
        self.leave(false, |outbox| outbox.settlements.push((key, state)));
    }

    /// Leaves something for the driver.
    pub(crate) fn leave(self: &Arc<Self>, urgent: bool, leave: impl FnOnce(&mut Outbox)) {
        let mut out = lock(&self.outbox);
        if out.closed {
            return;
        }
        leave(&mut out.left);
        let urgent = urgent || out.left.settlements.len() == SETTLEMENTS_AT_ONCE;
        let known = std::mem::replace(&mut out.scheduled, true);
        drop(out);
        if !known || urgent {
            self.shared.schedule((!known).then(|| Arc::clone(self)), urgent);
        }
    }
}
