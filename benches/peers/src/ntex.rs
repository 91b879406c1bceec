//! `ntex-amqp-codec`. What is decoded shares the octets, as it would those of a receive buffer; pages are reused for encoding.

use std::collections::HashSet;
use std::hint::black_box;

use amqp10_benches::{Work, map_keys};
use ntex_amqp_codec::protocol::{Header, MessageId, Properties};
use ntex_amqp_codec::types::{Str, Symbol, Variant, VariantMap};
use ntex_amqp_codec::{AmqpFrame, Decode, Encode, Message};
use ntex_bytes::{Buf, BytePages, ByteString, Bytes};

use crate::content::{GENERATED, MESSAGE_ID, TO, TOPIC};
use crate::{Reads, Repeated, check_frame, check_message};

pub(crate) fn work(input: &str, action: &str, octets: &[u8]) -> Option<Box<dyn Work>> {
    let map = input.starts_with("map");
    let whole = Bytes::from(octets.to_vec());
    Some(match action {
        "read" if map => reads(octets, |octets| read_map(&decode(octets))),
        "read" => reads(octets, |octets| read_message(&decode(octets))),
        "into owned" => reads(octets, |octets| {
            black_box(decode(octets));
        }),
        "encoded" if input.ends_with("frame") => encodes(octets, frame(&whole), check_frame),
        "encoded" => encodes(octets, decode(&whole), check_message),
        "built and encoded" if map => {
            let keys = map_keys();
            builds(octets, move || built_map(&keys))
        }
        "built and encoded" => {
            let body = decode(&whole).body().data().expect("there is a body").clone();
            builds(octets, move || built(&body))
        }
        "decoded" => reads(octets, |octets| {
            black_box(frame(octets));
        }),
        _ => return None,
    })
}

/// The same octets at each distance from a multiple of eight.
fn reads(octets: &[u8], read: impl Fn(&Bytes) + 'static) -> Box<dyn Work> {
    let place = |offset: usize| Bytes::from([&[0; 8][..offset], octets].concat()).slice(offset..);
    let places: Vec<Bytes> = (0..8).map(place).collect();
    let distances: HashSet<usize> = places.iter().map(|place| place.as_ptr() as usize % 8).collect();
    assert_eq!(distances.len(), 8);
    Box::new(Reads { places, read })
}

fn decode(octets: &Bytes) -> Message {
    Message::decode(&mut octets.clone()).expect("it is a message")
}

fn frame(octets: &Bytes) -> AmqpFrame {
    let mut octets = octets.clone();
    black_box(octets.get_u32());
    AmqpFrame::decode(&mut octets).expect("it is a frame")
}

fn write(value: &impl Encode, out: &mut BytePages) {
    out.clear();
    black_box(value).encode(out);
    black_box(&*out);
}

fn encodes<T: Encode + 'static>(octets: &[u8], value: T, check: fn(&[u8], &[u8])) -> Box<dyn Work> {
    let mut out = BytePages::default();
    write(&value, &mut out);
    check(octets, &out.freeze());
    Box::new(Repeated(move || write(&value, &mut out)))
}

fn builds(octets: &[u8], build: impl Fn() -> Message + 'static) -> Box<dyn Work> {
    let mut out = BytePages::default();
    write(&build(), &mut out);
    check_message(octets, &out.freeze());
    Box::new(Repeated(move || write(&build(), &mut out)))
}

fn built(body: &Bytes) -> Message {
    let mut message = Message::with_body(body.clone());
    message.set_header(Header { durable: true, priority: 4, ttl: None, first_acquirer: false, delivery_count: 0 });
    message.set_properties(|properties| {
        properties.message_id = Some(MessageId::String(ByteString::from(black_box(MESSAGE_ID))));
        properties.to = Some(ByteString::from(black_box(TO)));
    });
    message.set_app_property("topic", Str::from_str(black_box(TOPIC)));
    message.set_app_property("messageId", Str::from_str(black_box(MESSAGE_ID)));
    message.set_app_property("generateTime", black_box(GENERATED));
    message.set_app_property("qos", black_box(0_i32));
    message
}

fn built_map(keys: &[String]) -> Message {
    let mut map = VariantMap::new(Default::default());
    for (n, key) in (0_u32..).zip(keys) {
        let value = match n % 10 {
            0 => Variant::String(Str::from_str("a value of ordinary length")),
            1 => Variant::Long(-GENERATED),
            2 => Variant::Uint(n),
            3 => Variant::Boolean(n % 20 == 3),
            4 => Variant::Double((f64::from(n) / 3.0).into()),
            5 => Variant::Timestamp(chrono::DateTime::from_timestamp_millis(GENERATED).expect("it is a time")),
            6 => Variant::Ulong(u64::from(n) << 32),
            7 => Variant::Uuid(uuid::Uuid::from_bytes([7; 16])),
            8 => Variant::Symbol(Symbol::from_static("a-symbol")),
            _ => Variant::Binary(Bytes::copy_from_slice(&[9; 20])),
        };
        map.map.insert(Variant::String(Str::from_str(key)), value);
    }
    let mut message = Message::default();
    message.set_value(Variant::Map(map));
    message
}

fn read_message(message: &Message) {
    black_box(message.header().is_some_and(|header| header.durable));
    if let Some(properties) = message.properties() {
        hand_out_properties(properties);
    }
    for (key, value) in message.app_properties().iter().flat_map(|properties| properties.iter()) {
        black_box(key.as_str());
        hand_out(value);
    }
    if let Some(body) = message.body().data() {
        black_box((body.first(), body.last()));
    }
}

fn hand_out_properties(properties: &Properties) {
    hand_out_id(properties.message_id.as_ref());
    black_box(properties.user_id.as_ref());
    black_box(properties.to.as_deref());
    black_box(properties.subject.as_deref());
    black_box(properties.reply_to.as_deref());
    hand_out_id(properties.correlation_id.as_ref());
    black_box(properties.content_type.as_ref().map(Symbol::as_str));
    black_box(properties.content_encoding.as_ref().map(Symbol::as_str));
    black_box(properties.absolute_expiry_time);
    black_box(properties.creation_time);
    black_box(properties.group_id.as_deref());
    black_box(properties.group_sequence);
    black_box(properties.reply_to_group_id.as_deref());
}

fn hand_out_id(id: Option<&MessageId>) {
    match id {
        Some(MessageId::String(id)) => {
            black_box(id.as_bytes());
        }
        other => {
            black_box(other);
        }
    }
}

fn read_map(message: &Message) {
    let Some(Variant::Map(map)) = message.value() else { panic!("no map") };
    for (key, value) in &map.map {
        hand_out(key);
        hand_out(value);
    }
}

fn hand_out(value: &Variant) {
    match value {
        Variant::String(text) => {
            black_box(text.as_str());
        }
        Variant::Symbol(text) => {
            black_box(text.as_str());
        }
        Variant::Binary(octets) => {
            black_box(&octets[..]);
        }
        Variant::Boolean(value) => {
            black_box(*value);
        }
        Variant::Int(value) => {
            black_box(*value);
        }
        Variant::Uint(value) => {
            black_box(*value);
        }
        Variant::Long(value) => {
            black_box(*value);
        }
        Variant::Ulong(value) => {
            black_box(*value);
        }
        Variant::Double(value) => {
            black_box(*value);
        }
        Variant::Timestamp(value) => {
            black_box(*value);
        }
        Variant::Uuid(value) => {
            black_box(*value);
        }
        other => {
            black_box(other);
        }
    }
}
