use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Messages that wait for consumers, shared among all of them: each message is leased to one at a time, and comes back if that one
/// does not finish with it.
///
/// Kept in memory only, and bounded by octets.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// The most octets that may wait or be leased.
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// Messages that are not to be delivered before their time, the earliest first.
    delayed: VecDeque<(Instant, Entry)>,
    octets: usize,
    counts: Counts,
}

#[derive(Debug)]
struct Entry {
    octets: Bytes,
    /// How often it was sent.
    sent: u32,
}

/// What became of the messages of a queue, each number counted from its making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages put in.
    pub produced: u64,
    /// Deliveries that left for a consumer and have ended, by whatever outcome or without one.
    pub sent: u64,
    /// Those among them that were not the first of their message.
    pub redelivered: u64,
    /// Messages accepted: done with.
    pub accepted: u64,
    /// Deliveries released.
    pub released: u64,
    /// Deliveries rejected or modified.
    pub rejected: u64,
    /// Deliveries whose consumer did not decide in time.
    pub timed_out: u64,
    /// Messages that are waiting now.
    pub waiting: u64,
    /// Messages that are leased now.
    pub leased: u64,
}

impl Counts {
    /// The sums of two queues.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            produced: self.produced + other.produced,
            sent: self.sent + other.sent,
            redelivered: self.redelivered + other.redelivered,
            accepted: self.accepted + other.accepted,
            released: self.released + other.released,
            rejected: self.rejected + other.rejected,
            timed_out: self.timed_out + other.timed_out,
            waiting: self.waiting + other.waiting,
            leased: self.leased + other.leased,
        }
    }
}

/// There is no room for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full: {limit} octets wait or are being delivered")]
pub struct QueueFull {
    /// The most octets that the queue holds.
    pub limit: usize,
}

/// How the delivery of a leased message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Accepted: the message is done with.
    Accepted,
    /// Released.
    Released,
    /// Rejected or modified.
    Rejected,
    /// Not decided in time.
    TimedOut,
    /// The consumer is gone.
    Lost,
}

impl Queue {
    /// An empty queue for at most `limit` octets.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Notify::new(), limit })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is behind this lock is consistent after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an encoded message.
    ///
    /// # Errors
    /// When it does not fit any more.
    pub fn push(&self, octets: Bytes) -> Result<(), QueueFull> {
        let mut state = self.lock();
        let after = state.octets.saturating_add(octets.len());
        if after > self.limit {
            return Err(QueueFull { limit: self.limit });
        }
        state.octets = after;
        state.counts.produced += 1;
        state.waiting.push_back(Entry { octets, sent: 0 });
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the next message; waits until there is one. Dropping the future loses none.
    pub async fn lease(self: &Arc<Self>) -> Lease {
        loop {
            let changed = self.changed.notified();
            let next = {
                let mut state = self.lock();
                let now = Instant::now();
                while state.delayed.front().is_some_and(|(due, _)| *due <= now) {
                    let due = state.delayed.pop_front();
                    state.waiting.extend(due.map(|(_, entry)| entry));
                }
                if let Some(entry) = state.waiting.pop_front() {
                    state.counts.leased += 1;
                    if !state.waiting.is_empty() {
                        // Another consumer may be waiting too.
                        self.changed.notify_one();
                    }
                    return Lease { queue: Arc::clone(self), entry: Some(entry) };
                }
                state.delayed.front().map(|(due, _)| *due)
            };
            match next {
                Some(due) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(due) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// What became of the messages so far.
    pub fn counts(&self) -> Counts {
        let state = self.lock();
        Counts { waiting: (state.waiting.len() + state.delayed.len()) as u64, ..state.counts }
    }

    fn give_back(&self, entry: Entry, pause: Duration) {
        let mut state = self.lock();
        state.counts.leased -= 1;
        if pause.is_zero() {
            state.waiting.push_front(entry);
        } else {
            let due = Instant::now() + pause;
            let at = state.delayed.partition_point(|(other, _)| *other <= due);
            state.delayed.insert(at, (due, entry));
        }
        drop(state);
        self.changed.notify_one();
    }
}

/// A message on its way to a consumer. Dropped before its delivery has ended, it waits again as if it had not been sent.
pub struct Lease {
    queue: Arc<Queue>,
    /// None once it is done with.
    entry: Option<Entry>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Lease {
    /// The encoded message.
    pub fn octets(&self) -> Bytes {
        self.entry.as_ref().map(|entry| entry.octets.clone()).unwrap_or_default()
    }

    /// It could not be sent; it waits again after `pause`.
    pub fn postpone(mut self, pause: Duration) {
        if let Some(entry) = self.entry.take() {
            self.queue.give_back(entry, pause);
        }
    }

    /// The message was sent and its delivery ended so. Unless it was accepted it is delivered again after `pause`.
    pub fn end(mut self, end: End, pause: Duration) {
        let Some(mut entry) = self.entry.take() else { return };
        let mut state = self.queue.lock();
        let counts = &mut state.counts;
        counts.sent += 1;
        counts.redelivered += u64::from(entry.sent > 0);
        entry.sent = entry.sent.saturating_add(1);
        match end {
            End::Accepted => counts.accepted += 1,
            End::Released => counts.released += 1,
            End::Rejected => counts.rejected += 1,
            End::TimedOut => counts.timed_out += 1,
            End::Lost => {}
        }
        if end == End::Accepted {
            counts.leased -= 1;
            state.octets -= entry.octets.len();
            return;
        }
        drop(state);
        self.queue.give_back(entry, pause);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.queue.give_back(entry, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(messages: &[&'static str]) -> Arc<Queue> {
        let queue = Queue::new(100);
        for message in messages {
            queue.push(Bytes::from_static(message.as_bytes())).unwrap();
        }
        queue
    }

    #[tokio::test]
    async fn messages_are_shared_and_come_back_unless_accepted() {
        let queue = filled(&["a", "b"]);
        let (first, second) = (queue.lease().await, queue.lease().await);
        assert_eq!((&first.octets()[..], &second.octets()[..]), (&b"a"[..], &b"b"[..]));
        first.end(End::Accepted, Duration::ZERO);
        second.end(End::Released, Duration::ZERO);
        let again = queue.lease().await;
        assert_eq!(&again.octets()[..], b"b");
        again.end(End::Lost, Duration::ZERO);
        queue.lease().await.end(End::Accepted, Duration::ZERO);
        let counts = queue.counts();
        assert_eq!((counts.produced, counts.sent, counts.accepted), (2, 4, 2));
        assert_eq!((counts.redelivered, counts.released, counts.waiting, counts.leased), (2, 1, 0, 0));
    }

    #[tokio::test]
    async fn a_lease_that_is_dropped_was_never_sent() {
        let queue = filled(&["a"]);
        drop(queue.lease().await);
        queue.lease().await.end(End::Accepted, Duration::ZERO);
        assert_eq!((queue.counts().sent, queue.counts().redelivered), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_was_not_accepted_comes_back_after_its_pause() {
        let queue = filled(&["a"]);
        let pause = Duration::from_secs(60);
        queue.lease().await.end(End::Rejected, pause);
        let began = Instant::now();
        assert_eq!(queue.counts().waiting, 1);
        queue.lease().await.end(End::Accepted, pause);
        assert!(began.elapsed() >= pause, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn every_consumer_that_waits_gets_a_message() {
        let queue = filled(&[]);
        let consumers: Vec<_> = (0..5)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.lease().await.end(End::Accepted, Duration::ZERO) })
            })
            .collect();
        tokio::task::yield_now().await;
        for _ in 0..5 {
            queue.push(Bytes::from_static(b"x")).unwrap();
        }
        for consumer in consumers {
            consumer.await.unwrap();
        }
        assert_eq!(queue.counts().accepted, 5);
    }

    #[test]
    fn a_queue_is_bounded_by_octets() {
        let queue = Queue::new(3);
        queue.push(Bytes::from_static(b"abc")).unwrap();
        assert_eq!(queue.push(Bytes::from_static(b"d")), Err(QueueFull { limit: 3 }));
        assert_eq!(queue.counts().produced, 1);
    }
}
