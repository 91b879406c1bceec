//! `serde_amqp` and `fe2o3-amqp-types`. Messages are decoded by `from_slice`, the quicker of their two readers.

use std::hint::black_box;

use amqp10_benches::{Aligned, Work, map_keys};
use fe2o3_amqp_types::messaging::message::__private::{Deserializable, Serializable};
use fe2o3_amqp_types::messaging::{
    AmqpValue, ApplicationProperties, Data, Header, Message, MessageId, Properties, SerializableBody,
};
use fe2o3_amqp_types::performatives::Performative;
use fe2o3_amqp_types::primitives::SimpleValue;
use serde::Serialize;
use serde_amqp::primitives::{OrderedMap, Symbol, Timestamp, Uuid};
use serde_amqp::{Value, from_slice};

use crate::content::{GENERATED, MESSAGE_ID, TO, TOPIC};
use crate::{Reads, Repeated, check_frame, check_message, places};

type Mapped = Message<AmqpValue<Value>>;

pub(crate) fn work(input: &str, action: &str, octets: &[u8]) -> Option<Box<dyn Work>> {
    let map = input.starts_with("map");
    Some(match action {
        "read" if map => reads(octets, |octets| read_map(&decode::<Mapped>(octets))),
        "read" => reads(octets, |octets| read_message(&decode::<Message<Data>>(octets))),
        "into owned" => reads(octets, |octets| {
            black_box(decode::<Message<Data>>(octets));
        }),
        "encoded" if map => encodes(octets, decode::<Mapped>(octets)),
        "encoded" if input.ends_with("frame") => {
            let performative = performative(octets);
            let payload = payload(octets);
            let write = move |out: &mut Vec<u8>| write_frame(black_box(&performative), black_box(&payload), out);
            let mut out = Vec::new();
            write(&mut out);
            check_frame(octets, &out);
            Box::new(Repeated(move || {
                out.clear();
                write(&mut out);
                black_box(out.as_slice());
            }))
        }
        "encoded" => encodes(octets, decode::<Message<Data>>(octets)),
        "built and encoded" if map => {
            let keys = map_keys();
            builds(octets, move || built_map(&keys))
        }
        "built and encoded" => {
            let body = decode::<Message<Data>>(octets).body.0;
            builds(octets, move || built(&body))
        }
        "decoded" => reads(octets, |octets| {
            black_box(&octets[..8]);
            black_box(performative(octets));
        }),
        _ => return None,
    })
}

fn reads(octets: &[u8], read: impl Fn(&[u8]) + 'static) -> Box<dyn Work> {
    Box::new(Reads { places: places(octets), read: move |place: &Aligned| read(place.octets()) })
}

fn decode<M>(octets: &[u8]) -> M
where
    for<'de> Deserializable<M>: serde::Deserialize<'de>,
{
    from_slice::<Deserializable<M>>(octets).expect("it is a message").0
}

fn performative(octets: &[u8]) -> Performative {
    from_slice(&octets[8..]).expect("it is a frame")
}

/// What stands behind the performative, found by ours.
fn payload(octets: &[u8]) -> Vec<u8> {
    let mut reader = amqp10_codec::Reader::sized(&octets[8..]);
    let _: amqp10_codec::Performative<'_> = reader.read().expect("it is a performative");
    reader.rest().to_vec()
}

fn write<B: SerializableBody>(message: &Message<B>, out: &mut Vec<u8>) {
    out.clear();
    Serializable(black_box(message))
        .serialize(&mut serde_amqp::ser::Serializer::new(&mut *out))
        .expect("it can be encoded");
    black_box(out.as_slice());
}

fn write_frame(performative: &Performative, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 0, 2, 0, 0, 0]);
    performative.serialize(&mut serde_amqp::ser::Serializer::new(&mut *out)).expect("it can be encoded");
    out.extend_from_slice(payload);
    let size = (out.len() as u32).to_be_bytes();
    out[..4].copy_from_slice(&size);
}

fn encodes<B: SerializableBody + 'static>(octets: &[u8], message: Message<B>) -> Box<dyn Work> {
    let mut out = Vec::new();
    write(&message, &mut out);
    check_message(octets, &out);
    Box::new(Repeated(move || write(&message, &mut out)))
}

fn builds<B: SerializableBody + 'static>(octets: &[u8], build: impl Fn() -> Message<B> + 'static) -> Box<dyn Work> {
    let mut out = Vec::new();
    write(&build(), &mut out);
    check_message(octets, &out);
    Box::new(Repeated(move || write(&build(), &mut out)))
}

/// The body is copied: it has to be a `Vec`.
fn built(body: &[u8]) -> Message<Data> {
    Message::builder()
        .header(Header { durable: true, ..Header::default() })
        .properties(Properties::builder().message_id(MessageId::String(MESSAGE_ID.into())).to(TO).build())
        .application_properties(
            ApplicationProperties::builder()
                .insert("topic", black_box(TOPIC))
                .insert("messageId", black_box(MESSAGE_ID))
                .insert("generateTime", black_box(GENERATED))
                .insert("qos", black_box(0_i32))
                .build(),
        )
        .data(body.to_vec())
        .build()
}

fn built_map(keys: &[String]) -> Mapped {
    let mut map = OrderedMap::new();
    for (n, key) in (0_u32..).zip(keys) {
        let value = match n % 10 {
            0 => Value::String("a value of ordinary length".into()),
            1 => Value::Long(-GENERATED),
            2 => Value::Uint(n),
            3 => Value::Bool(n % 20 == 3),
            4 => Value::Double((f64::from(n) / 3.0).into()),
            5 => Value::Timestamp(Timestamp::from_milliseconds(GENERATED)),
            6 => Value::Ulong(u64::from(n) << 32),
            7 => Value::Uuid(Uuid::from([7; 16])),
            8 => Value::Symbol(Symbol::from("a-symbol")),
            _ => Value::Binary(vec![9; 20].into()),
        };
        map.insert(Value::String(key.clone()), value);
    }
    Message::builder().value(Value::Map(map)).build()
}

fn read_message(message: &Message<Data>) {
    black_box(message.header.as_ref().is_some_and(|header| header.durable));
    if let Some(properties) = &message.properties {
        hand_out_id(properties.message_id.as_ref());
        black_box(properties.user_id.as_deref());
        black_box(properties.to.as_deref());
        black_box(properties.subject.as_deref());
        black_box(properties.reply_to.as_deref());
        hand_out_id(properties.correlation_id.as_ref());
        black_box(properties.content_type.as_ref().map(Symbol::as_str));
        black_box(properties.content_encoding.as_ref().map(Symbol::as_str));
        black_box(&properties.absolute_expiry_time);
        black_box(&properties.creation_time);
        black_box(properties.group_id.as_deref());
        black_box(properties.group_sequence);
        black_box(properties.reply_to_group_id.as_deref());
    }
    for (key, value) in message.application_properties.iter().flat_map(|properties| properties.iter()) {
        black_box(key.as_str());
        match value {
            SimpleValue::String(text) => {
                black_box(text.as_str());
            }
            SimpleValue::Int(value) => {
                black_box(*value);
            }
            SimpleValue::Long(value) => {
                black_box(*value);
            }
            other => {
                black_box(other);
            }
        }
    }
    black_box((message.body.0.first(), message.body.0.last()));
}

fn hand_out_id(id: Option<&MessageId>) {
    match id {
        Some(MessageId::String(id)) => {
            black_box(id.as_str());
        }
        other => {
            black_box(other);
        }
    }
}

fn read_map(message: &Mapped) {
    let Value::Map(map) = &message.body.0 else { panic!("no map") };
    for (key, value) in map.iter() {
        hand_out(key);
        hand_out(value);
    }
}

fn hand_out(value: &Value) {
    match value {
        Value::String(text) => {
            black_box(text.as_str());
        }
        Value::Symbol(text) => {
            black_box(text.as_str());
        }
        Value::Binary(octets) => {
            black_box(octets.as_slice());
        }
        Value::Bool(value) => {
            black_box(*value);
        }
        Value::Uint(value) => {
            black_box(*value);
        }
        Value::Long(value) => {
            black_box(*value);
        }
        Value::Ulong(value) => {
            black_box(*value);
        }
        Value::Double(value) => {
            black_box(*value);
        }
        Value::Timestamp(value) => {
            black_box(value.milliseconds());
        }
        Value::Uuid(value) => {
            black_box(value.as_inner());
        }
        other => {
            black_box(other);
        }
    }
}
