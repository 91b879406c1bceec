//! Keys of maps: which of them are identical, and what the specification's maps permit. §1.6.23

use alloc::vec::Vec;

use crate::constructor as code;
use crate::{Decode, DecodeError, DecodeErrorKind, Reader, Value};

/// What the keys and values of a map may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapRule {
    /// Anything, §1.6.23.
    Any,
    /// Symbols as keys, §2.8.13.
    Fields,
    /// Symbols or ulongs as keys, §3.2.10.
    Annotations,
    /// Strings as keys and simple values, §3.2.5.
    ApplicationProperties,
    /// Symbols as keys, null or described values, §3.5.8.
    FilterSet,
    /// Delivery-tags as keys, null or delivery-states as values, §2.7.3.
    Unsettled,
}

impl MapRule {
    /// Fails unless `key`, found at `at` behind the constructor `found`, may be a key.
    pub(crate) fn check_key(self, key: &Value<'_>, found: u8, at: usize) -> Result<(), DecodeError> {
        let (fits, expected) = match self {
            Self::Any => (true, ""),
            Self::Fields | Self::FilterSet => (matches!(key, Value::Symbol(_)), "a symbol as key"),
            Self::Annotations => (matches!(key, Value::Symbol(_) | Value::Ulong(_)), "a symbol or ulong as key"),
            Self::ApplicationProperties => (matches!(key, Value::String(_)), "a string as key"),
            Self::Unsettled => (matches!(key, Value::Binary(_)), "a delivery-tag as key"),
        };
        if fits { Ok(()) } else { Err(DecodeError::new(DecodeErrorKind::UnexpectedType { expected, found }, at)) }
    }

    /// The same for a value.
    pub(crate) fn check_value(self, value: &Value<'_>, found: u8, at: usize) -> Result<(), DecodeError> {
        let compound = matches!(value, Value::List(_) | Value::Map(_) | Value::Array(_) | Value::Described(_));
        let described = matches!(value, Value::Null | Value::Described(_));
        let (fits, expected) = match self {
            Self::Any | Self::Fields | Self::Annotations => (true, ""),
            Self::ApplicationProperties => (!compound, "a simple value"),
            Self::FilterSet => (described, "null or a described filter"),
            Self::Unsettled => (described, "null or a delivery-state"),
        };
        if fits { Ok(()) } else { Err(DecodeError::new(DecodeErrorKind::UnexpectedType { expected, found }, at)) }
    }
}

/// A key in a form that is the same for all encodings of one value.
///
/// What is inside of compounds and described values is taken as it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'k> {
    Number(u8, u64),
    Octets(u8, u32, &'k [u8]),
}

impl<'k> Key<'k> {
    /// Takes the next value.
    fn read(reader: &mut Reader<'k>) -> Result<Self, DecodeError> {
        let mut whole = reader.clone();
        let found = reader.octet()?;
        Ok(match found {
            code::STR8 | code::SYM8 | code::VBIN8 => Self::Octets(found, 0, reader.variable(false)?),
            code::STR32 => Self::Octets(code::STR8, 0, reader.variable(true)?),
            code::SYM32 => Self::Octets(code::SYM8, 0, reader.variable(true)?),
            code::VBIN32 => Self::Octets(code::VBIN8, 0, reader.variable(true)?),
            code::TRUE | code::FALSE | code::BOOLEAN => {
                Self::Number(code::BOOLEAN, u64::from(bool::decode_data(found, reader)?))
            }
            code::UINT0 | code::SMALLUINT | code::UINT => {
                Self::Number(code::UINT, u64::from(u32::decode_data(found, reader)?))
            }
            code::ULONG0 | code::SMALLULONG | code::ULONG => {
                Self::Number(code::ULONG, u64::decode_data(found, reader)?)
            }
            code::SMALLINT | code::INT => Self::Number(code::INT, i64::from(i32::decode_data(found, reader)?) as u64),
            code::SMALLLONG | code::LONG => Self::Number(code::LONG, i64::decode_data(found, reader)? as u64),
            code::LIST0 => Self::Octets(code::LIST8, 0, &[]),
            code::LIST8 | code::MAP8 | code::ARRAY8 => {
                let (count, inner) = reader.compound(false)?;
                Self::Octets(found, count, inner.rest())
            }
            code::LIST32 | code::MAP32 | code::ARRAY32 => {
                let (count, inner) = reader.compound(true)?;
                let narrow = match found {
                    code::LIST32 => code::LIST8,
                    code::MAP32 => code::MAP8,
                    _ => code::ARRAY8,
                };
                Self::Octets(narrow, count, inner.rest())
            }
            _ => {
                whole.skip()?;
                Self::Octets(found, 0, reader.take(whole.offset().saturating_sub(reader.offset()))?)
            }
        })
    }
}

/// So many keys are compared each with each, without memory of their own.
const FEW: usize = 16;

/// Fails if two of the keys of `count` values, key and value in turn, are identical.
pub(crate) fn refuse_duplicates(reader: Reader<'_>, count: u32) -> Result<(), DecodeError> {
    match short_strings_differ(reader.clone(), count)? {
        true => Ok(()),
        false => refuse_any_duplicates(reader, count),
    }
}

/// Whether all keys are short strings, few, and different, as nearly always in application-properties.
fn short_strings_differ(mut reader: Reader<'_>, count: u32) -> Result<bool, DecodeError> {
    let mut keys: [&[u8]; FEW / 2] = [&[]; FEW / 2];
    for seen in 0..count as usize / 2 {
        let [code::STR8, ..] = reader.rest() else { return Ok(false) };
        reader.octet()?;
        let key = reader.variable(false)?;
        let Some((place, before)) = keys.get_mut(..=seen).and_then(<[_]>::split_last_mut) else {
            return Ok(false);
        };
        if before.contains(&key) {
            return Ok(false);
        }
        *place = key;
        reader.skip()?;
    }
    Ok(true)
}

fn refuse_any_duplicates(mut reader: Reader<'_>, count: u32) -> Result<(), DecodeError> {
    let entries = count / 2;
    let duplicate = |at| Err(DecodeError::new(DecodeErrorKind::DuplicateKey, at));
    if entries as usize <= FEW {
        let mut keys = [Key::Number(0, 0); FEW];
        for seen in 0..entries as usize {
            let at = reader.offset();
            let key = Key::read(&mut reader)?;
            reader.skip()?;
            if keys.iter().take(seen).any(|known| *known == key) {
                return duplicate(at);
            }
            if let Some(place) = keys.get_mut(seen) {
                *place = key;
            }
        }
        return Ok(());
    }
    let mut keys = Vec::new();
    for _ in 0..entries {
        let at = reader.offset();
        let key = Key::read(&mut reader)?;
        reader.skip()?;
        keys.push((key, at as u32));
    }
    keys.sort_unstable();
    let repeated = keys.windows(2).filter(|pair| matches!(pair, [(one, _), (other, _)] if one == other));
    match repeated.filter_map(|pair| pair.last()).map(|(_, at)| *at).min() {
        Some(at) => duplicate(at as usize),
        None => Ok(()),
    }
}
