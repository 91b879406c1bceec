//! Being asked to stop: politely the first time, at once the second.

use std::io;

use tokio::sync::watch;
use tokio::time::Instant;

/// Tells when somebody asked for the end.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<Option<Instant>>);

impl Stop {
    /// From now on the first signal is told here, and the second ends the process.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (asked, receiver) = watch::channel(None);
        tokio::spawn(async move {
            signals.next().await;
            asked.send_replace(Some(Instant::now()));
            let code = signals.next().await;
            std::process::exit(code);
        });
        Ok(Self(receiver))
    }

    /// Resolves once somebody asked, and tells when that was.
    pub(crate) async fn asked(&mut self) -> Instant {
        loop {
            if let Some(at) = *self.0.borrow_and_update() {
                return at;
            }
            if self.0.changed().await.is_err() {
                // The task lives as long as the process.
                std::future::pending::<()>().await;
            }
        }
    }

    /// When somebody asked, if anybody has.
    pub(crate) fn since(&self) -> Option<Instant> {
        *self.0.borrow()
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next signal, as the exit code of whom it ends.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    terminate: tokio::signal::windows::CtrlBreak,
}

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
    }

    /// The next signal, as the exit code of whom it ends.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
