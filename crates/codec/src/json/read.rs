//! From JSON to values.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use serde_json::Value as Json;

use super::write::{ELEMENTS, NAN32, NAN64};
use super::{JsonError, Object};
use crate::array::MAX_ZERO_WIDTH;
use crate::constructor as code;
use crate::{
    Array, Binary, Decimal32, Decimal64, Decimal128, Described, Encode, IntoOwned, InvalidArray, List, Map, Reader,
    Str, Symbol, Timestamp, Uuid, Value, encode_to_vec,
};

type Result<T> = core::result::Result<T, JsonError>;

/// The value of `json`, which may have `depth` levels.
pub(super) fn value(json: &Json, depth: u8) -> Result<Value<'static>> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(v) => (*v).into(),
        Json::String(v) => Str::from(v.clone()).into(),
        Json::Array(_) => content("list", json, depth)?,
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(long), _) => long.into(),
            (None, Some(double)) if number.is_f64() => double.into(),
            _ => {
                return Err(JsonError::new(format!(
                    "the integer {number} is no long: it needs a tag, as {{\"$ulong\":…}}"
                )));
            }
        },
        Json::Object(object) => match object.iter().find_map(|(key, value)| Some((key.strip_prefix('$')?, value))) {
            Some((tag, json)) if object.len() == 1 => {
                content(tag, json, depth).map_err(|error| error.under(format!("${tag}")))?
            }
            Some((tag, _)) => return Err(JsonError::new(format!("\"${tag}\" must be alone in its object"))),
            None => map(object, depth, |key| Ok(Str::from(key.to_string())))?.into(),
        },
    })
}

/// A map of an object whose keys `key` makes of texts.
fn map<K: Encode>(object: &Object, depth: u8, key: impl Fn(&str) -> Result<K>) -> Result<Map<'static>> {
    let depth = deeper(depth)?;
    let mut map = Map::new();
    for (name, json) in object {
        let entry = || Ok((key(name)?, value(json, depth)?));
        let (key, value) = entry().map_err(|error: JsonError| error.under(name))?;
        map.push(&key, &value);
    }
    Ok(map)
}

/// A map whose plain keys are symbols.
pub(super) fn symbol_map(json: &Json, depth: u8) -> Result<Map<'static>> {
    match json {
        Json::Object(object) if !object.keys().any(|key| key.starts_with('$')) => map(object, depth, symbol),
        _ => string_map(json, depth),
    }
}

pub(super) fn string_map(json: &Json, depth: u8) -> Result<Map<'static>> {
    match value(json, depth)? {
        Value::Map(map) => Ok(map),
        _ => Err(JsonError::expected("a map", json)),
    }
}

fn deeper(depth: u8) -> Result<u8> {
    depth.checked_sub(1).ok_or_else(|| JsonError::new("values are nested too deeply"))
}

/// The value whose tag has this name and this content.
fn content(tag: &str, json: &Json, depth: u8) -> Result<Value<'static>> {
    Ok(match tag {
        "null" if json.is_null() => Value::Null,
        "null" => return Err(JsonError::expected("null", json)),
        "boolean" => json.as_bool().ok_or_else(|| JsonError::expected("true or false", json))?.into(),
        "ubyte" => integer::<u8>(json, u8::MIN, u8::MAX)?.into(),
        "ushort" => integer::<u16>(json, u16::MIN, u16::MAX)?.into(),
        "uint" => integer::<u32>(json, u32::MIN, u32::MAX)?.into(),
        "ulong" => integer::<u64>(json, u64::MIN, u64::MAX)?.into(),
        "byte" => integer::<i8>(json, i8::MIN, i8::MAX)?.into(),
        "short" => integer::<i16>(json, i16::MIN, i16::MAX)?.into(),
        "int" => integer::<i32>(json, i32::MIN, i32::MAX)?.into(),
        "long" => integer::<i64>(json, i64::MIN, i64::MAX)?.into(),
        "float" => float(json)?.into(),
        "double" => double(json)?.into(),
        "decimal32" => Decimal32(octets(json)?).into(),
        "decimal64" => Decimal64(octets(json)?).into(),
        "decimal128" => Decimal128(octets(json)?).into(),
        "char" => character(json)?.into(),
        "timestamp" => timestamp(json)?.into(),
        "uuid" => uuid(json)?.into(),
        "binary" => Binary::from(hex(json)?).into(),
        "string" => Str::from(text(json)?.to_string()).into(),
        "symbol" => symbol(text(json)?)?.into(),
        "list" => list(json, depth)?.into(),
        "map" => pairs(json, depth)?.into(),
        "array" => array(json, depth)?.into(),
        "described" => described(json, depth)?.into(),
        _ => return Err(JsonError::new("this is the name of no type")),
    })
}

pub(super) fn list(json: &Json, depth: u8) -> Result<List<'static>> {
    let depth = deeper(depth)?;
    let mut list = List::new();
    for (at, json) in elements(json)?.iter().enumerate() {
        list.push(&value(json, depth).map_err(|error| error.under(at))?);
    }
    Ok(list)
}

fn pairs(json: &Json, depth: u8) -> Result<Map<'static>> {
    let depth = deeper(depth)?;
    let mut map = Map::new();
    for (at, json) in elements(json)?.iter().enumerate() {
        let pair = || match elements(json)? {
            [key, of] => Ok((
                value(key, depth).map_err(|error| error.under(0))?,
                value(of, depth).map_err(|error| error.under(1))?,
            )),
            _ => Err(JsonError::expected("a key and a value, as [\"key\",1]", json)),
        };
        let (key, value) = pair().map_err(|error| error.under(at))?;
        map.push(&key, &value);
    }
    Ok(map)
}

fn described(json: &Json, depth: u8) -> Result<Described<'static>> {
    let depth = deeper(depth)?;
    let fields = Fields::new(json, &["descriptor", "value"])?;
    let descriptor = fields.mandatory("descriptor", |json| value(json, depth))?;
    let value = fields.mandatory("value", |json| value(json, depth))?;
    Ok(Described::new(&descriptor, &value))
}

fn array(json: &Json, depth: u8) -> Result<Array<'static>> {
    let mut depth = deeper(depth)?;
    let fields = Fields::new(json, &["of", "descriptors", "count", "items"])?;
    let (of, constructors) = fields.mandatory("of", |json| {
        let name = text(json)?;
        let element = ELEMENTS.iter().find(|(known, _)| *known == name);
        element.ok_or_else(|| JsonError::expected("the name of a type", json))
    })?;
    let mut descriptors = Vec::new();
    fields.optional("descriptors", |json| {
        for (at, json) in elements(json)?.iter().enumerate() {
            depth = deeper(depth)?;
            descriptors.push(value(json, depth).map_err(|error| error.under(at))?);
        }
        Ok(())
    })?;
    let items = fields.mandatory("items", |json| {
        let item = |(at, json)| content(of, json, depth).map_err(|error| error.under(at));
        elements(json)?.iter().enumerate().map(item).collect::<Result<Vec<_>>>()
    })?;
    let count = fields.optional::<u32>("count", |json| match items.as_slice() {
        [item] if encode_to_vec(item).len() == 1 => integer(json, 1, MAX_ZERO_WIDTH),
        _ => Err(JsonError::new("a count needs exactly one item, which occupies no octets in an array")),
    })?;
    let constructor = match (items.as_slice(), count) {
        ([], _) => constructors.first().copied().map(|constructor| (constructor, 0)),
        ([item], Some(count)) => encode_to_vec(item).first().map(|constructor| (*constructor, count)),
        _ => None,
    };
    if let Some((constructor, count)) = constructor {
        return without_octets(&descriptors, constructor, count);
    }
    let describe = |item: Value<'static>| {
        descriptors.iter().rev().fold(item, |item, descriptor| Described::new(descriptor, &item).into())
    };
    let items: Vec<_> = items.into_iter().map(describe).collect();
    Array::of_values(&items).map_err(|error| JsonError::new(error.to_string()))
}

/// An array whose elements occupy no octets, or that has none.
fn without_octets(descriptors: &[Value<'_>], constructor: u8, count: u32) -> Result<Array<'static>> {
    let mut elements = Vec::new();
    for descriptor in descriptors {
        elements.push(code::DESCRIBED);
        descriptor.encode(&mut elements);
    }
    elements.push(constructor);
    let size = u32::try_from(elements.len()).unwrap_or(u32::MAX).saturating_add(4);
    let octets = [&[code::ARRAY32][..], &size.to_be_bytes(), &count.to_be_bytes(), &elements].concat();
    match Reader::sized(&octets).read::<Array<'_>>() {
        Ok(array) => Ok(array.into_owned()),
        // Nothing else can be wrong with it.
        Err(_) => Err(JsonError::new(InvalidArray::Descriptor.to_string())),
    }
}

/// The fields of an object.
pub(super) struct Fields<'j>(&'j Object);

impl<'j> Fields<'j> {
    /// Refuses fields that are not `known`.
    pub(super) fn new(json: &'j Json, known: &[&str]) -> Result<Self> {
        let object = json.as_object().ok_or_else(|| JsonError::expected("an object", json))?;
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(JsonError::new(format!("{key:?} is not known here; known are {}", known.join(", ")))),
            None => Ok(Self(object)),
        }
    }

    /// What `read` makes of a field, `None` if it is null or absent.
    pub(super) fn optional<T>(&self, name: &str, read: impl FnOnce(&'j Json) -> Result<T>) -> Result<Option<T>> {
        match self.0.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(json) => read(json).map(Some).map_err(|error| error.under(name)),
        }
    }

    /// What `read` makes of a field that must be there, be it null.
    fn mandatory<T>(&self, name: &str, read: impl FnOnce(&'j Json) -> Result<T>) -> Result<T> {
        let json = self.0.get(name).ok_or_else(|| JsonError::new(format!("{name:?} is missing")))?;
        read(json).map_err(|error| error.under(name))
    }
}

pub(super) fn elements(json: &Json) -> Result<&[Json]> {
    json.as_array().map(Vec::as_slice).ok_or_else(|| JsonError::expected("an array", json))
}

pub(super) fn text(json: &Json) -> Result<&str> {
    json.as_str().ok_or_else(|| JsonError::expected("a text", json))
}

pub(super) fn symbol(text: &str) -> Result<Symbol<'static>> {
    Symbol::new(text.to_string()).map_err(|error| JsonError::new(error.to_string()))
}

pub(super) fn timestamp(json: &Json) -> Result<Timestamp> {
    integer(json, i64::MIN, i64::MAX).map(Timestamp)
}

/// An integer from `least` to `most`.
pub(super) fn integer<T>(json: &Json, least: T, most: T) -> Result<T>
where
    T: TryFrom<i64> + TryFrom<u64> + PartialOrd + core::fmt::Display,
{
    let signed = json.as_i64().and_then(|number| T::try_from(number).ok());
    let found = signed.or_else(|| json.as_u64().and_then(|number| T::try_from(number).ok()));
    let found = found.filter(|number| (&least..=&most).contains(&number));
    found.ok_or_else(|| JsonError::expected(&format!("an integer from {least} to {most}"), json))
}

/// The bits of a text such as `NaN(7fc00001)`.
fn nan_bits<const N: usize>(text: &str) -> Option<[u8; N]> {
    octets_of(text.strip_prefix("NaN(")?.strip_suffix(')')?)?.try_into().ok()
}

fn float(json: &Json) -> Result<f32> {
    let number = match json {
        Json::String(text) => match text.as_str() {
            "Infinity" => Some(f32::INFINITY),
            "-Infinity" => Some(f32::NEG_INFINITY),
            "NaN" => Some(f32::from_bits(NAN32)),
            text => nan_bits(text).map(f32::from_be_bytes).filter(|number| number.is_nan()),
        },
        // Too large is not infinite.
        _ => json.as_f64().map(|number| number as f32).filter(|number| number.is_finite()),
    };
    number.ok_or_else(|| JsonError::expected("a number in the range of a float, \"Infinity\" or \"NaN\"", json))
}

fn double(json: &Json) -> Result<f64> {
    let number = match json {
        Json::String(text) => match text.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::from_bits(NAN64)),
            text => nan_bits(text).map(f64::from_be_bytes).filter(|number| number.is_nan()),
        },
        _ => json.as_f64(),
    };
    number.ok_or_else(|| JsonError::expected("a number, \"Infinity\" or \"NaN\"", json))
}

fn character(json: &Json) -> Result<char> {
    let mut characters = text(json)?.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(JsonError::expected("a text of one character", json)),
    }
}

fn uuid(json: &Json) -> Result<Uuid> {
    let text = text(json)?;
    let hyphens = text.bytes().enumerate().filter_map(|(at, octet)| (octet == b'-').then_some(at));
    let octets = octets_of(&text.replace('-', "")).and_then(|octets| octets.try_into().ok());
    match octets {
        Some(octets) if !text.contains('-') || hyphens.eq([8, 13, 18, 23]) => Ok(Uuid(octets)),
        _ => Err(JsonError::expected("a uuid", json)),
    }
}

fn octets<const N: usize>(json: &Json) -> Result<[u8; N]> {
    let wrong = || JsonError::expected(&format!("{N} octets in hexadecimal"), json);
    octets_of(text(json)?).and_then(|octets| octets.try_into().ok()).ok_or_else(wrong)
}

fn hex(json: &Json) -> Result<Vec<u8>> {
    octets_of(text(json)?).ok_or_else(|| JsonError::expected("octets in hexadecimal", json))
}

fn octets_of(text: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let octet = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(octet).collect()
}

/// Octets as text, or as binary.
pub(super) fn text_or_binary(json: &Json) -> Result<Vec<u8>> {
    match value(json, 0)? {
        Value::String(text) => Ok(text.into_cow().into_owned().into_bytes()),
        Value::Binary(octets) => Ok(octets.into_cow().into_owned()),
        _ => Err(JsonError::expected("a text, or octets as {\"$binary\":\"00ff\"}", json)),
    }
}
