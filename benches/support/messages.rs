//! Messages, and how they are read.

use std::hint::black_box;

use amqp10_codec::{
    Binary, Body, DecodeError, Map, Message, MessageError, MessageId, MessageIdRef, MessageView, PropertiesRef, Symbol,
    Timestamp, Uuid, Value, ValueRef,
};
use bytes::Bytes;

/// The message of a device with a body of 256 octets: 439 octets in all.
pub fn device_message() -> Message {
    data_message(256)
}

/// The message of a device with a body of so many octets.
pub fn data_message(octets: usize) -> Message {
    let record = br#"{"temperature":21.5,"humidity":48,"state":"running"},"#;
    let body: Vec<u8> = record.iter().copied().cycle().take(octets).collect();
    Message::data(body)
        .durable(true)
        .message_id(MessageId::String("1234567890123456789".into()))
        .to("queue/a1x/consumer-group-1")
        .application_property("topic", "/a1x/dev1/thing/event/property/post")
        .application_property("messageId", "1234567890123456789")
        .application_property("generateTime", 1_700_000_000_000_i64)
        .application_property("qos", 0_i32)
}

/// The device message, built from what an application has at hand.
pub fn built_device_message(body: &Bytes) -> Message {
    Message::data(body.clone())
        .durable(true)
        .message_id(MessageId::String("1234567890123456789".into()))
        .to("queue/a1x/consumer-group-1")
        .application_properties(
            Map::new()
                .with("topic", black_box("/a1x/dev1/thing/event/property/post"))
                .with("messageId", black_box("1234567890123456789"))
                .with("generateTime", black_box(1_700_000_000_000_i64))
                .with("qos", black_box(0_i32)),
        )
}

/// A message whose body is a map of 50 entries of ten types in turn.
pub fn map_message() -> Message {
    built_map_message(&map_keys())
}

/// The keys of [`map_message`].
pub fn map_keys() -> Vec<String> {
    (0..50).map(|n| format!("property-{n:02}")).collect()
}

/// The message with a map, built from its keys.
pub fn built_map_message(keys: &[String]) -> Message {
    let mut map = Map::new();
    for (n, key) in (0_u32..).zip(keys) {
        let value = match n % 10 {
            0 => Value::from("a value of ordinary length"),
            1 => Value::from(-1_700_000_000_000_i64),
            2 => Value::from(n),
            3 => Value::from(n % 20 == 3),
            4 => Value::from(f64::from(n) / 3.0),
            5 => Value::from(Timestamp(1_700_000_000_000)),
            6 => Value::from(u64::from(n) << 32),
            7 => Value::from(Uuid([7; 16])),
            8 => Value::from(Symbol::from_static("a-symbol")),
            _ => Value::from(Binary::from(&[9; 20])),
        };
        map.push(key.as_str(), &value);
    }
    Message::value(map)
}

/// The encoded form of a message.
pub fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

/// Encodes a message into a buffer that is reused.
#[inline]
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    out.clear();
    black_box(message).encode(out);
    black_box(out.as_slice());
}

/// Octets that begin at a chosen distance from a multiple of 64, which alone moves what reading them costs.
#[derive(Debug)]
pub struct Aligned {
    buffer: Vec<u8>,
    start: usize,
}

impl Aligned {
    /// A copy of `octets`, `offset` octets behind a multiple of 64.
    pub fn new(octets: &[u8], offset: usize) -> Self {
        let mut buffer: Vec<u8> = Vec::with_capacity(octets.len() + 64 + offset);
        let start = buffer.as_ptr().align_offset(64) + offset;
        buffer.resize(start, 0);
        buffer.extend_from_slice(octets);
        assert_eq!(buffer[start..].as_ptr().align_offset(64), (64 - offset % 64) % 64);
        Self { buffer, start }
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// Reads a message with a body of data: locates its sections and takes header.durable, every field of properties, every key and
/// value of application-properties, and the body with its first and last octet, each as a typed and validated value.
///
/// # Errors
/// When the message is malformed.
#[inline]
pub fn read_message(octets: &[u8]) -> Result<(), MessageError> {
    let view = MessageView::parse(octets)?;
    black_box(view.header()?.is_some_and(|header| header.durable));
    if let Some(properties) = view.properties_ref()? {
        hand_out_properties(&properties);
    }
    let properties = view.application_properties()?;
    for entry in properties.named_entries() {
        let (key, value) = entry.map_err(malformed)?;
        black_box(key);
        hand_out(value);
    }
    for section in view.data() {
        let section = section?;
        black_box((section.first(), section.last()));
    }
    Ok(())
}

/// Reads a message whose body is a map and visits every entry.
///
/// # Errors
/// When the message is malformed.
#[inline]
pub fn read_map(octets: &[u8]) -> Result<(), MessageError> {
    let view = MessageView::parse(octets)?;
    if let Body::Value(Value::Map(map)) = view.body()? {
        for entry in map.named_entries() {
            let (key, value) = entry.map_err(malformed)?;
            black_box(key);
            hand_out(value);
        }
    }
    Ok(())
}

#[cold]
fn malformed(error: DecodeError) -> MessageError {
    MessageError::Malformed { section: None, error }
}

#[inline(always)]
fn hand_out_properties(properties: &PropertiesRef<'_>) {
    hand_out_id(properties.message_id);
    black_box(properties.user_id);
    black_box(properties.to);
    black_box(properties.subject);
    black_box(properties.reply_to);
    hand_out_id(properties.correlation_id);
    black_box(properties.content_type);
    black_box(properties.content_encoding);
    black_box(properties.absolute_expiry_time);
    black_box(properties.creation_time);
    black_box(properties.group_id);
    black_box(properties.group_sequence);
    black_box(properties.reply_to_group_id);
}

#[inline(always)]
fn hand_out_id(id: Option<MessageIdRef<'_>>) {
    match id {
        Some(MessageIdRef::String(id)) => {
            black_box(id);
        }
        other => {
            black_box(other);
        }
    }
}

#[inline(always)]
fn hand_out(value: ValueRef<'_>) {
    match value {
        ValueRef::String(text) | ValueRef::Symbol(text) => {
            black_box(text);
        }
        ValueRef::Binary(octets) => {
            black_box(octets);
        }
        ValueRef::Boolean(value) => {
            black_box(value);
        }
        ValueRef::Int(value) => {
            black_box(value);
        }
        ValueRef::Uint(value) => {
            black_box(value);
        }
        ValueRef::Long(value) => {
            black_box(value);
        }
        ValueRef::Ulong(value) => {
            black_box(value);
        }
        ValueRef::Double(value) => {
            black_box(value);
        }
        ValueRef::Timestamp(value) => {
            black_box(value);
        }
        ValueRef::Uuid(value) => {
            black_box(value);
        }
        other => {
            black_box(other);
        }
    }
}
