//! The network between the emulator and its clients, which can be cut.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amqp10::{Connection, Error, ErrorCondition};
use tokio::sync::watch;

/// What the network does with streams.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Whether there may be any.
    up: bool,
    /// How often it was cut; a stream does not survive a change of this, however soon the line is up again.
    cuts: u64,
}

#[derive(Debug)]
pub(super) struct Network {
    line: watch::Sender<Line>,
    /// Connections that are open.
    open: Mutex<Open>,
    /// How many tasks work for clients.
    tasks: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, (String, Connection)>,
    next: u64,
}

/// An open connection in the book of the network; struck out when dropped.
#[derive(Debug)]
pub(super) struct Registered {
    network: Arc<Network>,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.network.lock().connections.remove(&self.number);
    }
}

/// A task that works for a client; counted until dropped.
#[derive(Debug)]
pub(super) struct Working(Arc<Network>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|tasks| *tasks -= 1);
    }
}

impl Network {
    pub(super) fn new() -> Arc<Self> {
        let open = Mutex::default();
        Arc::new(Self { line: watch::Sender::new(Line { up: true, cuts: 0 }), open, tasks: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// How often the network was cut so far; `None` while it is.
    pub(super) fn cuts(&self) -> Option<u64> {
        let line = *self.line.borrow();
        line.up.then_some(line.cuts)
    }

    /// Resolves when the network is cut again after so many times.
    pub(super) async fn cut_off(&self, cuts: u64) {
        let mut line = self.line.subscribe();
        // The sender lives as long as this.
        let _ = line.wait_for(|line| line.cuts != cuts).await;
    }

    pub(super) fn working(self: &Arc<Self>) -> Working {
        self.tasks.send_modify(|tasks| *tasks += 1);
        Working(Arc::clone(self))
    }

    /// Books a connection of `group` whose stream came after so many cuts, unless the group has `limit` of them already.
    pub(super) fn register(
        self: &Arc<Self>,
        group: &str,
        connection: &Connection,
        cuts: u64,
        limit: usize,
    ) -> Option<Registered> {
        let mut open = self.lock();
        if self.line.borrow().cuts != cuts {
            connection.abort();
        }
        if open.connections.values().filter(|(other, _)| other == group).count() >= limit {
            return None;
        }
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, (group.to_owned(), connection.clone()));
        Some(Registered { network: Arc::clone(self), number })
    }

    pub(super) fn cut(&self) {
        // Locked first: whoever hears of the cut strikes its connection out of the book.
        let open = self.lock();
        self.line.send_modify(|line| *line = Line { up: false, cuts: line.cuts + 1 });
        for (_, connection) in open.connections.values() {
            connection.abort();
        }
    }

    pub(super) fn resume(&self) {
        self.line.send_modify(|line| line.up = true);
    }

    /// Closes every connection and waits until nobody works for a client any more.
    pub(super) async fn close(&self) {
        let connections: Vec<_> = self.lock().connections.values().map(|(_, connection)| connection.clone()).collect();
        let closing: Vec<_> = connections
            .into_iter()
            .map(|connection| {
                let error = Error::new(ErrorCondition::CONNECTION_FORCED, "the emulator shuts down");
                tokio::spawn(async move { connection.close_with(Some(error)).await })
            })
            .collect();
        for task in closing {
            let _ = task.await;
        }
        let _ = self.tasks.subscribe().wait_for(|tasks| *tasks == 0).await;
    }
}
