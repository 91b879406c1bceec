//! The command as a process of its own, and an emulator for it to talk to.
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use amqp10_broker::emulator::{Emulator, EmulatorBuilder, Identity};
use amqp10_broker::{Counts, emulator};
use tempfile::TempDir;

/// How long anything may take before a test fails; what is tested takes a fraction of it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const GRACE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(5);

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let over = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < over, "in vain: {what}");
        sleep(TICK);
    }
}

/// The command with these arguments, separated by spaces, and nothing in its environment that it reads.
pub(crate) fn amqp10(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp10"));
    command.args(arguments.split_whitespace()).env_clear().stdin(Stdio::null());
    // What systems need to resolve names, to find directories and to measure coverage.
    for name in ["SystemRoot", "TMPDIR", "TMP", "TEMP", "PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// `iot receive` with everything that `place` demands and these arguments.
pub(crate) fn receive(place: &Place, arguments: &str) -> Command {
    let mut command = amqp10("iot receive --host 127.0.0.1");
    let identity = place.identity();
    command
        .args(["--port", &place.emulator.address().port().to_string()])
        .args([OsStr::new("--ca"), place.ca.as_os_str()])
        .args(["--consumer-group", &identity.consumer_group])
        .args(["--instance-id", identity.instance_id.as_deref().unwrap_or_default()])
        .args(arguments.split_whitespace())
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", &identity.access_key_id)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", identity.access_key_secret.expose());
    command
}

/// An emulator, and a directory with its CA certificate and room for other files.
pub(crate) struct Place {
    pub(crate) emulator: Emulator,
    pub(crate) ca: PathBuf,
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::of(Emulator::builder()).await
    }

    pub(crate) async fn of(builder: EmulatorBuilder) -> Self {
        let emulator = builder.start().await.unwrap();
        let dir = TempDir::new().unwrap();
        let ca = dir.path().join("ca.pem");
        fs::write(&ca, emulator.identity().authority.ca_pem()).unwrap();
        Self { emulator, ca, dir }
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.emulator.identity()
    }

    /// A file in the directory.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        write_whole(&self.dir.path().join(name), contents)
    }

    /// A credentials file for the emulator, with this secret instead of the right one.
    pub(crate) fn credentials(&self, secret: &str) -> PathBuf {
        self.file("credentials.json", credentials(&self.identity().access_key_id, secret))
    }

    pub(crate) fn secret(&self) -> &str {
        self.identity().access_key_secret.expose()
    }

    /// Makes devices say so many short things.
    pub(crate) fn publish(&self, messages: usize) -> Vec<String> {
        (0..messages).map(|n| self.emulator.publish("/a/topic", format!("message {n}")).unwrap()).collect()
    }

    /// What became of the messages once no client has any in hand or is connected.
    pub(crate) fn settled(&self) -> Counts {
        until("the clients have left", || self.emulator.connections() == 0 && self.emulator.counts().leased == 0);
        self.emulator.counts()
    }

    /// The emulator ends, and another with the same keys and certificate authority begins on the same port.
    pub(crate) async fn restart(self, change: impl FnOnce(&mut emulator::Rules)) -> Self {
        let Self { emulator, ca, dir } = self;
        let (address, identity) = (emulator.address(), emulator.identity().clone());
        emulator.shutdown(GRACE).await;
        let emulator = Emulator::builder().listen(address).identity(identity).rules(change).start().await.unwrap();
        Self { emulator, ca, dir }
    }
}

/// Replaces a file in one step, so that no reader finds half of it.
pub(crate) fn write_whole(path: &Path, contents: impl AsRef<[u8]>) -> PathBuf {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    fs::rename(new, path).unwrap();
    path.to_owned()
}

pub(crate) fn credentials(id: &str, secret: &str) -> String {
    serde_json::json!({ "access_key_id": id, "access_key_secret": secret }).to_string()
}

/// Lines that come from a process while it runs.
struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                if sender.send(line.expect("UTF-8")).is_err() {
                    break;
                }
            }
        });
        Self { receiver, seen: Vec::new() }
    }

    /// The next line; `None` at the end.
    fn next(&mut self) -> Option<String> {
        match self.receiver.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line for {DEADLINE:?} after {:#?}", self.seen),
        }
    }

    fn rest(mut self) -> Vec<String> {
        while self.next().is_some() {}
        self.seen
    }
}

/// A running command; killed when dropped.
pub(crate) struct Program {
    child: Child,
    stdout: Option<Lines>,
    stderr: Lines,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The lines of stdout, unless somebody else read them.
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails unless the command ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        self
    }

    /// All of stderr.
    pub(crate) fn said(&self) -> String {
        self.stderr.join("\n")
    }

    /// Fails unless one line of stderr holds all of these.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) {
        let found = self.stderr.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with all of {parts:?} in {self:#?}");
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Ended {
    Program::start(command).end()
}

/// Runs a command that reads `input`.
pub(crate) fn run_with(mut command: Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped());
    let mut program = Program::start(command);
    program.child.stdin.take().unwrap().write_all(input).unwrap();
    program.end()
}

impl Program {
    /// Starts a command whose output and events are collected.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::spawn(command)
    }

    /// Starts a command whose output is collected; its events go where they are told to go.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut program = Self::new(command);
        program.stdout = program.child.stdout.take().map(Lines::of);
        program
    }

    /// Starts a command whose output goes where it is told to go; its events are collected.
    pub(crate) fn start_with(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::new(command)
    }

    fn new(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().map_or_else(|| Lines::of(std::io::empty()), Lines::of);
        Self { child, stdout: None, stderr }
    }

    /// The reading end of a stdout that is a pipe.
    pub(crate) fn take_stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().unwrap()
    }

    pub(crate) fn take_stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// The next line of stdout.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let line = self.stdout.as_mut().unwrap().next();
        line.unwrap_or_else(|| panic!("stdout has ended; stderr: {:#?}", self.stderr.seen))
    }

    /// The next line of stderr that holds `part`.
    #[track_caller]
    pub(crate) fn event(&mut self, part: &str) -> String {
        loop {
            match self.stderr.next() {
                Some(line) if line.contains(part) => return line,
                Some(_) => {}
                None => panic!("stderr has ended without {part:?}: {:#?}", self.stderr.seen),
            }
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal, such as `TERM`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it the hard way.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let over = Instant::now() + DEADLINE;
        let mut in_time = true;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() >= over {
                in_time = false;
                self.child.kill().unwrap();
            }
            sleep(TICK);
        };
        let stderr = std::mem::replace(&mut self.stderr, Lines::of(std::io::empty())).rest();
        let stdout = self.stdout.take().map(Lines::rest).unwrap_or_default();
        let ended = Ended { status, stdout, stderr };
        assert!(in_time, "it did not end by itself: {ended:#?}");
        ended
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
