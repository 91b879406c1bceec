//! Foreign peers as processes; `tests/peers/README.md` tells what each does and how it is found.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The longest that a peer may take to say its next line.
const LIMIT: Duration = Duration::from_secs(120);

/// A foreign peer. It ends by itself when its standard input is closed, and is killed when this is dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    _input: ChildStdin,
}

/// The value of a variable that `tests/run` sets.
///
/// # Panics
/// If it does not.
pub fn variable(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run tests/run, or see tests/peers/README.md"))
}

/// The path of a program in `tests/peers`.
pub fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

impl Peer {
    /// Starts a peer.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, lines: BufReader::new(output).lines(), _input: input }
    }

    /// The next line; `None` at the end.
    ///
    /// # Panics
    /// If it takes too long.
    pub async fn line(&mut self) -> Option<String> {
        let line = timeout(LIMIT, self.lines.next_line()).await.expect("the peer says nothing");
        line.unwrap()
    }

    /// The port that a server tells in its first line.
    ///
    /// # Panics
    /// If it tells something else.
    pub async fn port(&mut self) -> u16 {
        let line = self.line().await.expect("the peer ended before it listened");
        let port = line.strip_prefix("listening ").and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("not a port: {line}"))
    }

    /// What the peer says until its end, and whether that was a good one.
    ///
    /// # Panics
    /// If it takes too long.
    pub async fn end(mut self) -> (Vec<String>, bool) {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        let status = timeout(LIMIT, self.child.wait()).await.expect("the peer does not end").unwrap();
        (lines, status.success())
    }
}
