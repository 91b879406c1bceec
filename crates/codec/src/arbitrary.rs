//! Values for fuzzing: all of them well-formed, so that what is encoded from them can be decoded.
//!
//! The types that are not here derive it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ::arbitrary::{Arbitrary, Result, Unstructured};

use crate::sasl::Mechanisms;
use crate::{
    Array, Binary, DeliveryTag, Described, IntoOwned, List, Map, Message, MessageBody, Properties, Str, Symbol, Value,
    encode_to_vec,
};

/// How deep values are nested.
const DEPTH: u8 = 4;

/// Elements of a list, an array or a body.
fn several<'a, T>(
    u: &mut Unstructured<'a>,
    mut item: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    while !u.is_empty() && u.arbitrary()? {
        items.push(item(u)?);
    }
    Ok(items)
}

/// A map in which no key is there twice, §1.6.23.
fn entries<'a>(
    u: &mut Unstructured<'a>,
    key: impl Fn(&mut Unstructured<'a>) -> Result<Value<'static>>,
    value: impl Fn(&mut Unstructured<'a>) -> Result<Value<'static>>,
) -> Result<Map<'static>> {
    let mut seen = BTreeSet::new();
    let mut map = Map::new();
    for (key, value) in several(u, |u| Ok((key(u)?, value(u)?)))? {
        if seen.insert(encode_to_vec(&key)) {
            map.push(&key, &value);
        }
    }
    Ok(map)
}

/// How many kinds of values there are that neither hold others nor are described.
const SCALARS: u8 = 21;

/// A value of one kind; those from `SCALARS` on hold values of fewer than `depth` levels.
fn of_kind(u: &mut Unstructured<'_>, kind: u8, depth: u8) -> Result<Value<'static>> {
    let depth = depth.saturating_sub(1);
    Ok(match kind {
        0 => Value::Null,
        1 => Value::Boolean(u.arbitrary()?),
        2 => Value::Ubyte(u.arbitrary()?),
        3 => Value::Ushort(u.arbitrary()?),
        4 => Value::Uint(u.arbitrary()?),
        5 => Value::Ulong(u.arbitrary()?),
        6 => Value::Byte(u.arbitrary()?),
        7 => Value::Short(u.arbitrary()?),
        8 => Value::Int(u.arbitrary()?),
        9 => Value::Long(u.arbitrary()?),
        10 => Value::Float(u.arbitrary()?),
        11 => Value::Double(u.arbitrary()?),
        12 => Value::Decimal32(u.arbitrary()?),
        13 => Value::Decimal64(u.arbitrary()?),
        14 => Value::Decimal128(u.arbitrary()?),
        15 => Value::Char(u.arbitrary()?),
        16 => Value::Timestamp(u.arbitrary()?),
        17 => Value::Uuid(u.arbitrary()?),
        18 => Value::Binary(u.arbitrary()?),
        19 => Value::String(u.arbitrary()?),
        20 => Value::Symbol(u.arbitrary()?),
        21 => list(u, depth)?.into(),
        22 => map(u, depth)?.into(),
        23 => array(u, depth)?.into(),
        _ => described(u, depth)?.into(),
    })
}

fn value(u: &mut Unstructured<'_>, depth: u8) -> Result<Value<'static>> {
    let last = if depth == 0 { SCALARS.saturating_sub(1) } else { 24 };
    let kind = u.int_in_range(0..=last)?;
    of_kind(u, kind, depth)
}

fn list(u: &mut Unstructured<'_>, depth: u8) -> Result<List<'static>> {
    several(u, |u| value(u, depth)).map(List::from_iter)
}

fn map(u: &mut Unstructured<'_>, depth: u8) -> Result<Map<'static>> {
    entries(u, |u| value(u, 0), |u| value(u, depth))
}

fn array(u: &mut Unstructured<'_>, depth: u8) -> Result<Array<'static>> {
    let last = if depth == 0 { SCALARS.saturating_sub(1) } else { 23 };
    let kind = u.int_in_range(0..=last)?;
    let descriptor: Option<u64> = u.arbitrary()?;
    let items = several(u, |u| {
        let item = of_kind(u, kind, depth)?;
        Ok(match descriptor {
            Some(code) => Described::new(&code, &item).into(),
            None => item,
        })
    })?;
    Ok(Array::of_values(&items).unwrap_or_else(|_| Array::of::<u32>([])))
}

/// A value of a descriptor that no specification has, so that a peer that does not know it keeps it.
fn described(u: &mut Unstructured<'_>, depth: u8) -> Result<Described<'static>> {
    let value = value(u, depth)?;
    Ok(if u.arbitrary()? {
        Described::new(&(u.arbitrary::<u64>()? | 1 << 63), &value)
    } else {
        let name = format!("x-{}", u.arbitrary::<Symbol<'_>>()?);
        Described::new(&Symbol::new(name).unwrap_or_default(), &value)
    })
}

macro_rules! nested {
    ($($type:ident by $make:ident;)*) => { $(
        impl<'a> Arbitrary<'a> for $type<'_> {
            fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
                $make(u, DEPTH)
            }
        }
    )* };
}

nested! {
    Value by value;
    List by list;
    Map by map;
    Array by array;
    Described by described;
}

impl<'a> Arbitrary<'a> for Str<'_> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary::<String>().map(Str::from)
    }
}

impl<'a> Arbitrary<'a> for Symbol<'_> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let text: String = u.arbitrary::<&[u8]>()?.iter().map(|octet| char::from(octet & 0x7f)).collect();
        Ok(Symbol::new(text).unwrap_or_default())
    }
}

impl<'a> Arbitrary<'a> for Binary<'_> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary::<Vec<u8>>().map(Binary::from)
    }
}

impl<'a> Arbitrary<'a> for DeliveryTag {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let octets: [u8; Self::MAX] = u.arbitrary()?;
        let len = u.int_in_range(0..=Self::MAX)?;
        Ok(octets.get(..len).and_then(|octets| Self::new(octets).ok()).unwrap_or(Self::from(0)))
    }
}

/// At least one, as the field is mandatory.
impl<'a> Arbitrary<'a> for Mechanisms<'_> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut names = several(u, Symbol::arbitrary)?;
        names.push(u.arbitrary()?);
        Ok(Self(names.into()))
    }
}

impl<'a> Arbitrary<'a> for MessageBody {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=3)? {
            0 => Self::Empty,
            1 => Self::Data(several(u, |u| u.arbitrary::<Vec<u8>>().map(Into::into))?.into()),
            2 => Self::Sequence(several(u, Unstructured::arbitrary)?),
            _ => Self::Value(u.arbitrary()?),
        })
    }
}

/// Sections with the keys that §3.2 permits.
impl<'a> Arbitrary<'a> for Message {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let annotations = |u: &mut Unstructured<'a>| {
            let present: bool = u.arbitrary()?;
            present.then(|| entries(u, |u| u.arbitrary().map(Value::Symbol), |u| value(u, DEPTH))).transpose()
        };
        let properties = |u: &mut Unstructured<'a>| {
            let present: bool = u.arbitrary()?;
            present.then(|| entries(u, |u| u.arbitrary().map(Value::String), |u| value(u, 0))).transpose()
        };
        Ok(Self {
            header: u.arbitrary()?,
            delivery_annotations: annotations(u)?,
            message_annotations: annotations(u)?,
            properties: u.arbitrary::<Option<Properties<'_>>>()?.into_owned(),
            application_properties: properties(u)?,
            body: u.arbitrary()?,
            footer: annotations(u)?,
        })
    }
}
