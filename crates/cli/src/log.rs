//! What the program says about itself: one line an event, on stderr.

use std::fmt::Write as _;
use std::io;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{LogArgs, LogFormat};
use crate::text::OneLine;

/// The events that are this program's own and shown unless it is told to be quiet.
pub(crate) const EVENTS: &str = "amqp10::events";

const RFC3339_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// This instant, as in RFC 3339, UTC, with milliseconds.
pub(crate) fn now() -> String {
    OffsetDateTime::now_utc().format(RFC3339_MILLIS).unwrap_or_default()
}

/// Sends events to stderr from now on.
pub(crate) fn start(args: &LogArgs) {
    let (own, others) = match (args.quiet, args.verbose) {
        (true, _) => (LevelFilter::ERROR, LevelFilter::OFF),
        (false, 0) => (LevelFilter::INFO, LevelFilter::WARN),
        (false, 1) => (LevelFilter::INFO, LevelFilter::INFO),
        (false, 2) => (LevelFilter::DEBUG, LevelFilter::DEBUG),
        (false, _) => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    let filter = Targets::new()
        .with_target(EVENTS, own)
        .with_target("amqp10", others)
        // The program tells these itself.
        .with_target("amqp10_iot::hooks", LevelFilter::OFF)
        .with_target("amqp10_broker", others)
        .with_target("amqp10_iot", others)
        .with_target("amqp10_link", others)
        .with_target("amqp10_transport", others);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).event_format(Lines(args.log_format));
    tracing_subscriber::registry().with(filter).with(lines).init();
}

struct Lines(LogFormat);

/// The message of an event, and its other fields.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.others.insert(field.name().to_owned(), value.into());
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level();
        match self.0 {
            LogFormat::Text => {
                let mut line = fields.message;
                for (name, value) in &fields.others {
                    match value {
                        Value::String(text) => write!(line, " {name}={text}")?,
                        other => write!(line, " {name}={other}")?,
                    }
                }
                writeln!(writer, "{} {level} {}", now(), OneLine(line.as_bytes()))
            }
            LogFormat::Json => {
                let mut object = Map::new();
                object.insert("timestamp".to_owned(), now().into());
                object.insert("level".to_owned(), level.as_str().into());
                object.insert("message".to_owned(), fields.message.into());
                object.extend(fields.others);
                writeln!(writer, "{}", Value::Object(object))
            }
        }
    }
}
