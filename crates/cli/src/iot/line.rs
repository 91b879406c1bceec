//! A message as a line.

use std::fmt::Write as _;

use amqp10::codec::Value as Amqp;
use amqp10_iot::DeviceMessage;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::text::OneLine;

/// Appends the message for people.
pub(crate) fn text(message: &DeviceMessage, out: &mut String) {
    let (id, topic) = (OneLine(message.id().as_bytes()), OneLine(message.topic().as_bytes()));
    // A String takes everything.
    let _ = writeln!(out, "receive message: message_id={id}, topic={topic}, content={}", OneLine(message.body()));
}

#[derive(Serialize)]
struct Json<'m> {
    message_id: &'m str,
    topic: &'m str,
    generate_time: Option<i64>,
    properties: serde_json::Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
}

/// Appends the message for programs.
pub(crate) fn json(message: &DeviceMessage, out: &mut String) -> serde_json::Result<()> {
    let content = std::str::from_utf8(message.body()).ok();
    let line = Json {
        message_id: message.id(),
        topic: message.topic(),
        generate_time: message.generate_time(),
        properties: message.properties().into_iter().map(|(key, value)| (key, plain(&value))).collect(),
        content,
        content_base64: content.is_none().then(|| STANDARD.encode(message.body())),
    };
    out.push_str(&serde_json::to_string(&line)?);
    out.push('\n');
    Ok(())
}

/// An AMQP value as plain JSON: its type is lost, its content is not.
fn plain(value: &Amqp<'_>) -> Value {
    match value {
        Amqp::Boolean(value) => (*value).into(),
        Amqp::Ubyte(value) => (*value).into(),
        Amqp::Ushort(value) => (*value).into(),
        Amqp::Uint(value) => (*value).into(),
        Amqp::Ulong(value) => (*value).into(),
        Amqp::Byte(value) => (*value).into(),
        Amqp::Short(value) => (*value).into(),
        Amqp::Int(value) => (*value).into(),
        Amqp::Long(value) => (*value).into(),
        // A float that JSON has no number for becomes null.
        Amqp::Float(value) => (*value).into(),
        Amqp::Double(value) => (*value).into(),
        Amqp::Char(value) => value.to_string().into(),
        Amqp::Timestamp(value) => value.0.into(),
        Amqp::Uuid(value) => value.to_string().into(),
        Amqp::Binary(value) => STANDARD.encode(value).into(),
        Amqp::String(value) => value.as_str().into(),
        Amqp::Symbol(value) => value.as_str().into(),
        Amqp::Decimal32(value) => hex(&value.0),
        Amqp::Decimal64(value) => hex(&value.0),
        Amqp::Decimal128(value) => hex(&value.0),
        Amqp::List(list) => list.iter().flatten().map(|item| plain(&item)).collect(),
        Amqp::Array(array) => array.iter().flatten().map(|item| plain(&item)).collect(),
        Amqp::Map(map) => {
            let entries = map.iter().flatten().map(|(key, value)| (name(&key), plain(&value)));
            Value::Object(entries.collect())
        }
        Amqp::Described(described) => described.value().map_or(Value::Null, |value| plain(&value)),
        _ => Value::Null,
    }
}

/// A key of a map, which in JSON is a string.
fn name(key: &Amqp<'_>) -> String {
    match plain(key) {
        Value::String(name) => name,
        other => other.to_string(),
    }
}

fn hex(octets: &[u8]) -> Value {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use amqp10::codec::{List, Map, Timestamp, Uuid};
    use serde_json::json;

    use super::*;

    #[test]
    fn amqp_values_as_plain_json() {
        let list: List<'_> = [1_u32, 2].into_iter().collect();
        let map: Map<'_> = [("k", true)].into_iter().collect();
        let cases = [
            (Amqp::Null, json!(null)),
            (Amqp::from(true), json!(true)),
            (Amqp::from(u64::MAX), json!(u64::MAX)),
            (Amqp::from(-5_i8), json!(-5)),
            (Amqp::from(1.5_f64), json!(1.5)),
            (Amqp::from(f64::NAN), json!(null)),
            (Amqp::from('ü'), json!("ü")),
            (Amqp::from(Timestamp(7)), json!(7)),
            (Amqp::from(Uuid([0; 16])), json!("00000000-0000-0000-0000-000000000000")),
            (Amqp::from(&b"\xff"[..]), json!("/w==")),
            (Amqp::from("text"), json!("text")),
            (Amqp::from(list), json!([1, 2])),
            (Amqp::from(map), json!({"k": true})),
        ];
        for (value, expected) in cases {
            assert_eq!(plain(&value), expected);
        }
    }
}
