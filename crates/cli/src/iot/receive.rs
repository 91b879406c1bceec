//! `amqp10 iot receive`.

use std::future::{pending, ready};
use std::io::{self, Write};
use std::time::Duration;

use amqp10::transport::TlsClient;
use amqp10_broker::Emulator;
use amqp10_iot::{AkSign, Consumer, ConsumerBuilder, DeviceMessage};
use clap::ArgMatches;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{keys, line};
use crate::args::{ReceiveArgs, is_flag};
use crate::exit::Failure;
use crate::log::EVENTS;
use crate::signals::Stop;

/// How much is collected before it is written even though more is waiting.
const BATCH: usize = 64 * 1024;

/// Options that make no sense together with `--emulator`.
const NOT_FOR_THE_EMULATOR: [&str; 10] = [
    "host",
    "port",
    "access_key_id",
    "access_key_secret",
    "security_token",
    "credentials_file",
    "consumer_group",
    "instance_id",
    "ca",
    "tls_server_name",
];

pub(crate) async fn run(args: ReceiveArgs, matches: &ArgMatches) -> Result<(), Failure> {
    let mut stop = Stop::listen().map_err(|error| Failure::unforeseen(format!("no signals: {error}")))?;
    let (builder, emulator) = if args.emulator {
        let emulator = emulator(matches).await?;
        (emulator.consumer(), Some(emulator))
    } else {
        // The credentials may have to come from a stdin that says nothing.
        let service = tokio::select! {
            biased;
            _ = stop.asked() => return Ok(()),
            service = service(&args, matches) => service?,
        };
        (service, None)
    };
    let connecting = configured(builder, &args).connect();
    let began = Instant::now();
    let result = tokio::select! {
        biased;
        _ = stop.asked() => Ok(()),
        () = sleep_until(began + args.duration.unwrap_or_default()), if args.duration.is_some() => Ok(()),
        () = sleep_until(began + args.timeout.unwrap_or_default()), if args.timeout.is_some() => Err(no_message(&args)),
        connected = connecting => match connected {
            Ok(consumer) => receive(consumer, &args, began, stop.clone()).await,
            Err(error) => Err(error.into()),
        },
    };
    if let Some(emulator) = emulator {
        emulator.shutdown(args.grace).await;
    }
    result
}

/// A few devices that talk at a readable pace.
async fn emulator(matches: &ArgMatches) -> Result<Emulator, Failure> {
    if let Some(flag) = NOT_FOR_THE_EMULATOR.into_iter().find(|id| is_flag(matches, id)) {
        let flag = flag.replace('_', "-");
        return Err(Failure::usage(format!(
            "--{flag} cannot be used with --emulator, which has its own host and keys"
        )));
    }
    let started = Emulator::builder().devices(3, 2.0, None).start().await;
    let emulator = started.map_err(|error| Failure::unforeseen(format!("the emulator cannot start: {error}")))?;
    tracing::info!(target: EVENTS, "emulator started: {}, 3 devices", emulator.url());
    Ok(emulator)
}

/// The service that the options name.
async fn service(args: &ReceiveArgs, matches: &ArgMatches) -> Result<ConsumerBuilder, Failure> {
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let source = keys::source(&args.keys, matches).await?;
    let host = given(&args.host).ok_or_else(|| {
        Failure::usage(
            "the host is missing: give --host or set AMQP10_IOT_HOST (--emulator needs neither host nor keys)",
        )
    })?;
    let group = given(&args.keys.consumer_group).ok_or_else(|| {
        Failure::usage("the consumer group is missing: give --consumer-group or set AMQP10_IOT_CONSUMER_GROUP")
    })?;
    let source = source.ok_or_else(|| {
        Failure::usage(
            "the access key is missing: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or give \
             --credentials-file",
        )
    })?;
    let keys = AkSign::from_source(source).sign_method(args.sign_method);
    let mut builder = Consumer::builder(host, group, keys).port(args.port);
    if let Some(instance) = given(&args.keys.instance_id) {
        builder = builder.instance_id(instance);
    }
    Ok(builder.tls(tls(args)?))
}

/// Whom to trust, and under which name.
fn tls(args: &ReceiveArgs) -> Result<TlsClient, Failure> {
    let mut tls = TlsClient::builder();
    if let Some(path) = &args.ca {
        let name = path.display();
        let pem = std::fs::read(path)
            .map_err(|error| Failure::usage(format!("the CA file {name} cannot be read: {error}")))?;
        tls = tls.ca_pem(pem);
        // Checked by itself, so that the file is named.
        tls.clone().build().map_err(|error| Failure::usage(format!("the CA file {name} is no use: {error}")))?;
    }
    if let Some(name) = args.tls_server_name.as_ref().filter(|name| !name.is_empty()) {
        tls = tls.server_name(name);
    }
    tls.build().map_err(|error| Failure::usage(format!("--tls-server-name: {error}")))
}

/// This machine's name and six random characters, at most 64 in all.
fn client_id() -> String {
    let name = hostname::get().unwrap_or_default().to_string_lossy().into_owned();
    let name: String = name.chars().filter(|character| !matches!(character, '|' | ',')).take(57).collect();
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(6).collect();
    format!("{}-{random}", if name.is_empty() { "amqp10" } else { &name })
}

/// A time for people: `0.8 s`, `60 s`.
fn seconds(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
    format!("{tenths} s")
}

fn next_attempt(pause: Option<Duration>) -> String {
    pause.map(|pause| format!("; next attempt in {}", seconds(pause))).unwrap_or_default()
}

fn configured(builder: ConsumerBuilder, args: &ReceiveArgs) -> ConsumerBuilder {
    let id = args.client_id.clone().filter(|id| !id.is_empty()).unwrap_or_else(client_id);
    let builder = builder
        .client_id(id)
        .heartbeat(args.heartbeat)
        .credit(args.credit)
        .keep_trying(args.keep_trying)
        .on_opened(|event| {
            let (host, client, group) = (&event.host, &event.client_id, &event.consumer_group);
            let heartbeat = seconds(event.heartbeat);
            tracing::info!(target: EVENTS, "connection opened: {host} as {client}, group {group}, heartbeat {heartbeat}");
        })
        .on_closed(|event| {
            tracing::info!(target: EVENTS, "connection closed: {}{}", event.reason, next_attempt(event.next_attempt));
        })
        // An error after which there is no other attempt ends the program, which then tells it.
        .on_connection_error(|event| {
            if event.next_attempt.is_some() {
                tracing::warn!(target: EVENTS, "connection error: {}{}", event.error, next_attempt(event.next_attempt));
            }
        })
        .on_transport_error(|event| {
            if event.next_attempt.is_some() {
                tracing::warn!(target: EVENTS, "transport error: {}{}", event.reason, next_attempt(event.next_attempt));
            }
        });
    match args.count {
        Some(count) => builder.limit(count),
        None => builder,
    }
}

fn no_message(args: &ReceiveArgs) -> Failure {
    let time = humantime::format_duration(args.timeout.unwrap_or_default());
    Failure::no_message(format!("no message came within {time} (--timeout)"))
}

/// Why no more messages are wanted.
enum End {
    /// Everything that was wanted is here, the time is over, or somebody asked.
    Done,
    /// Whoever read our output has gone.
    ReaderGone,
    /// The output takes nothing any more, and the time for good-byes is over.
    Stuck,
    Failed(Failure),
}

async fn receive(mut consumer: Consumer, args: &ReceiveArgs, began: Instant, mut stop: Stop) -> Result<(), Failure> {
    let end = messages(&mut consumer, args, began, &mut stop).await;
    // The time for good-byes begins when somebody asked for the end.
    let until = stop.since().unwrap_or_else(Instant::now) + args.grace;
    match &end {
        End::Stuck => drop(consumer),
        _ => consumer.close(until.saturating_duration_since(Instant::now())).await,
    }
    match end {
        End::Failed(failure) => Err(failure),
        End::Done | End::ReaderGone | End::Stuck => Ok(()),
    }
}

async fn messages(consumer: &mut Consumer, args: &ReceiveArgs, began: Instant, stop: &mut Stop) -> End {
    let over = args.duration.map(|duration| began + duration);
    let mut last = Instant::now();
    loop {
        let idle = args.timeout.map(|timeout| last + timeout);
        let first = tokio::select! {
            biased;
            _ = stop.asked() => return End::Done,
            () = sleep_until_some(over) => return End::Done,
            message = consumer.next() => message,
            () = sleep_until_some(idle) => return End::Failed(no_message(args)),
        };
        let first = match first {
            Ok(Some(message)) => message,
            Ok(None) => return End::Done,
            Err(error) => return End::Failed(error.into()),
        };
        let mut batch = Batch::default();
        let mut next = Some(first);
        let mut failed = None;
        while let Some(message) = next.take() {
            if let Err(error) = batch.add(message, args.json) {
                failed = Some(Failure::unforeseen(format!("a message cannot be written as JSON: {error}")));
                break;
            }
            if batch.text.len() < BATCH && stop.since().is_none() {
                // Whatever is here already, and nothing that would have to be waited for.
                next = tokio::select! {
                    biased;
                    message = consumer.next() => match message {
                        Ok(message) => message,
                        Err(error) => {
                            failed = Some(error.into());
                            None
                        }
                    },
                    () = ready(()) => None,
                };
            }
        }
        if let Some(end) = batch.write(stop, args.grace).await {
            return end;
        }
        if let Some(failure) = failed {
            return End::Failed(failure);
        }
        last = Instant::now();
    }
}

async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Messages whose lines are written together.
#[derive(Default)]
struct Batch {
    text: String,
    messages: Vec<DeviceMessage>,
}

impl Batch {
    fn add(&mut self, message: DeviceMessage, json: bool) -> serde_json::Result<()> {
        if json {
            line::json(&message, &mut self.text)?;
        } else {
            line::text(&message, &mut self.text);
        }
        self.messages.push(message);
        Ok(())
    }

    /// Writes the lines and accepts their messages; otherwise they are released, and the reason is told.
    async fn write(self, stop: &mut Stop, grace: Duration) -> Option<End> {
        let Self { text, messages } = self;
        // A thread of its own, since a full pipe blocks and signals must be heard all the same.
        let mut writing = tokio::task::spawn_blocking(move || {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        });
        let written = tokio::select! {
            written = &mut writing => written,
            asked = stop.asked() => match timeout_at(asked + grace, &mut writing).await {
                Ok(written) => written,
                Err(_) => {
                    messages.into_iter().for_each(DeviceMessage::release);
                    return Some(End::Stuck);
                }
            },
        };
        let failure = |error: String| End::Failed(Failure::unforeseen(format!("stdout cannot be written: {error}")));
        match written {
            Ok(Ok(())) => {
                messages.into_iter().for_each(DeviceMessage::accept);
                None
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                messages.into_iter().for_each(DeviceMessage::release);
                Some(End::ReaderGone)
            }
            Ok(Err(error)) => {
                messages.into_iter().for_each(DeviceMessage::release);
                Some(failure(error.to_string()))
            }
            Err(error) => Some(failure(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_client_id_is_short_enough_and_random() {
        let (one, other) = (client_id(), client_id());
        assert_ne!(one, other);
        assert!(one.chars().count() <= 64 && !one.contains(['|', ',']));
        assert_eq!(one.rsplit_once('-').unwrap().1.len(), 6);
    }

    #[test]
    fn times_for_people() {
        let times = [(60_000, "60 s"), (812, "0.8 s"), (30_000, "30 s"), (1_250, "1.3 s")];
        for (millis, expected) in times {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
