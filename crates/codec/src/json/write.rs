//! From values to JSON.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use serde_json::{Number, Value as Json};

use super::{Object, single};
use crate::constructor as code;
use crate::{Array, DecodeError, Descriptor, Map, Reader, Value};

/// The name of a value's type in the specification, which is that of its tag.
fn type_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "boolean",
        Value::Ubyte(_) => "ubyte",
        Value::Ushort(_) => "ushort",
        Value::Uint(_) => "uint",
        Value::Ulong(_) => "ulong",
        Value::Byte(_) => "byte",
        Value::Short(_) => "short",
        Value::Int(_) => "int",
        Value::Long(_) => "long",
        Value::Float(_) => "float",
        Value::Double(_) => "double",
        Value::Decimal32(_) => "decimal32",
        Value::Decimal64(_) => "decimal64",
        Value::Decimal128(_) => "decimal128",
        Value::Char(_) => "char",
        Value::Timestamp(_) => "timestamp",
        Value::Uuid(_) => "uuid",
        Value::Binary(_) => "binary",
        Value::String(_) => "string",
        Value::Symbol(_) => "symbol",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Array(_) => "array",
        Value::Described(_) => "described",
    }
}

pub(super) fn value(value: &Value<'_>) -> Result<Json, DecodeError> {
    match value {
        Value::Null | Value::Boolean(_) | Value::Long(_) | Value::String(_) | Value::List(_) => content(value),
        Value::Double(number) if number.is_finite() => content(value),
        Value::Map(map) => self::map(map, as_string),
        _ => Ok(single(format!("${}", type_name(value)), content(value)?)),
    }
}

/// What stands behind the tag of a value.
fn content(value: &Value<'_>) -> Result<Json, DecodeError> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Boolean(v) => (*v).into(),
        Value::Ubyte(v) => (*v).into(),
        Value::Ushort(v) => (*v).into(),
        Value::Uint(v) => (*v).into(),
        Value::Ulong(v) => (*v).into(),
        Value::Byte(v) => (*v).into(),
        Value::Short(v) => (*v).into(),
        Value::Int(v) => (*v).into(),
        Value::Long(v) => (*v).into(),
        Value::Float(v) => float(*v),
        Value::Double(v) => double(*v),
        Value::Decimal32(v) => hex(&v.0).into(),
        Value::Decimal64(v) => hex(&v.0).into(),
        Value::Decimal128(v) => hex(&v.0).into(),
        Value::Char(v) => v.to_string().into(),
        Value::Timestamp(v) => v.0.into(),
        Value::Uuid(v) => v.to_string().into(),
        Value::Binary(v) => hex(v).into(),
        Value::String(v) => v.as_str().into(),
        Value::Symbol(v) => v.as_str().into(),
        Value::List(list) => Json::Array(list.iter().map(|element| self::value(&element?)).collect::<Result<_, _>>()?),
        Value::Map(map) => Json::Array(entries(map)?),
        Value::Array(array) => self::array(array)?,
        Value::Described(described) => {
            let mut object = Object::new();
            object.insert("descriptor".into(), descriptor(described.descriptor()?)?);
            object.insert("value".into(), self::value(&described.value()?)?);
            Json::Object(object)
        }
    })
}

fn descriptor(descriptor: Descriptor<'_>) -> Result<Json, DecodeError> {
    value(&match descriptor {
        Descriptor::Code(code) => Value::Ulong(code),
        Descriptor::Name(name) => Value::Symbol(name),
        Descriptor::Other(other) => other,
    })
}

fn entries(map: &Map<'_>) -> Result<Vec<Json>, DecodeError> {
    map.iter()
        .map(|entry| {
            let (key, value) = entry?;
            Ok(Json::Array(alloc::vec![self::value(&key)?, self::value(&value)?]))
        })
        .collect()
}

/// A map as an object if all its keys are plain ones, by `plain`, and with a tag otherwise.
pub(super) fn map(map: &Map<'_>, plain: fn(Value<'_>) -> Option<String>) -> Result<Json, DecodeError> {
    let mut object = Object::new();
    for entry in map.iter() {
        let (key, value) = entry?;
        match plain(key) {
            Some(key) if !key.starts_with('$') && !object.contains_key(&key) => {
                object.insert(key, self::value(&value)?);
            }
            _ => return Ok(single("$map", Json::Array(entries(map)?))),
        }
    }
    Ok(Json::Object(object))
}

pub(super) fn as_string(key: Value<'_>) -> Option<String> {
    if let Value::String(text) = key { Some(text.into_cow().into_owned()) } else { None }
}

pub(super) fn as_symbol(key: Value<'_>) -> Option<String> {
    if let Value::Symbol(text) = key { Some(text.as_str().into()) } else { None }
}

fn array(array: &Array<'_>) -> Result<Json, DecodeError> {
    let mut object = Object::new();
    let (mut reader, mut descriptors) = (Reader::sized(array.constructor()), Vec::new());
    let element = loop {
        match reader.octet()? {
            code::DESCRIBED => descriptors.push(value(&reader.read()?)?),
            element => break element,
        }
    };
    object.insert("of".into(), element_name(element).into());
    let depth = descriptors.len();
    if depth > 0 {
        object.insert("descriptors".into(), Json::Array(descriptors));
    }
    let repeated = array.is_zero_width() && !array.is_empty();
    if repeated {
        object.insert("count".into(), array.len().into());
    }
    // All alike, and there may be many.
    let different = if repeated { 1 } else { usize::MAX };
    let items = array.iter().take(different).map(|item| undescribed(&item?, depth)).collect::<Result<_, _>>()?;
    object.insert("items".into(), Json::Array(items));
    Ok(Json::Object(object))
}

/// The content of a value under `depth` descriptors.
fn undescribed(value: &Value<'_>, depth: usize) -> Result<Json, DecodeError> {
    match (depth.checked_sub(1), value) {
        (Some(depth), Value::Described(described)) => undescribed(&described.value()?, depth),
        _ => content(value),
    }
}

fn element_name(constructor: u8) -> &'static str {
    ELEMENTS.iter().find(|(_, codes)| codes.contains(&constructor)).map_or("null", |(name, _)| name)
}

/// The types that elements of an array can have, each with its constructors, of which an empty array takes the first.
pub(super) const ELEMENTS: [(&str, &[u8]); 24] = [
    ("null", &[code::NULL]),
    ("boolean", &[code::BOOLEAN, code::TRUE, code::FALSE]),
    ("ubyte", &[code::UBYTE]),
    ("ushort", &[code::USHORT]),
    ("uint", &[code::UINT, code::SMALLUINT, code::UINT0]),
    ("ulong", &[code::ULONG, code::SMALLULONG, code::ULONG0]),
    ("byte", &[code::BYTE]),
    ("short", &[code::SHORT]),
    ("int", &[code::INT, code::SMALLINT]),
    ("long", &[code::LONG, code::SMALLLONG]),
    ("float", &[code::FLOAT]),
    ("double", &[code::DOUBLE]),
    ("decimal32", &[code::DECIMAL32]),
    ("decimal64", &[code::DECIMAL64]),
    ("decimal128", &[code::DECIMAL128]),
    ("char", &[code::CHAR]),
    ("timestamp", &[code::TIMESTAMP]),
    ("uuid", &[code::UUID]),
    ("binary", &[code::VBIN8, code::VBIN32]),
    ("string", &[code::STR8, code::STR32]),
    ("symbol", &[code::SYM8, code::SYM32]),
    ("list", &[code::LIST8, code::LIST32, code::LIST0]),
    ("map", &[code::MAP8, code::MAP32]),
    ("array", &[code::ARRAY8, code::ARRAY32]),
];

/// The shortest number that gives the float again when it is rounded to one.
fn float(number: f32) -> Json {
    match number.to_bits() {
        NAN32 => "NaN".into(),
        bits if number.is_nan() => format!("NaN({bits:08x})").into(),
        _ => {
            // The shortest digits are found for a float; by way of a double they could be rounded twice.
            let short = number.to_string().parse::<f64>().ok().filter(|short| *short as f32 == number);
            finite_or_infinity(short.unwrap_or(f64::from(number)))
        }
    }
}

fn double(number: f64) -> Json {
    match number.to_bits() {
        NAN64 => "NaN".into(),
        bits if number.is_nan() => format!("NaN({bits:016x})").into(),
        _ => finite_or_infinity(number),
    }
}

fn finite_or_infinity(number: f64) -> Json {
    let infinity = if number > 0.0 { "Infinity" } else { "-Infinity" };
    Number::from_f64(number).map_or(infinity.into(), Json::Number)
}

/// The quiet NaN without sign and payload.
pub(super) const NAN32: u32 = 0x7fc0_0000;

/// The quiet NaN without sign and payload.
pub(super) const NAN64: u64 = 0x7ff8_0000_0000_0000;

fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().saturating_mul(2));
    for octet in octets {
        // Writing to a string cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// Octets as text, if they are that.
pub(super) fn octets(octets: &[u8]) -> Json {
    match core::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => single("$binary", hex(octets).into()),
    }
}
