//! Values that are looked at and not kept.

use crate::constructor as code;
use crate::text::short_string;
use crate::{Decimal32, Decimal64, Decimal128, Decode, DecodeError, Reader, Symbol, Timestamp, Uuid, Value};

/// A value of any type of §1.6 that borrows from the input and is `Copy`: what walking a map hands out at the least cost.
///
/// A [`Value`] may own what it holds; this one never does, so making, moving and forgetting it takes next to nothing.
// What it holds begins at the second word whatever it is, so that it is moved by words and not taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
#[repr(u64)]
pub enum ValueRef<'a> {
    /// §1.6.1
    #[default]
    Null,
    /// §1.6.2
    Boolean(bool),
    /// §1.6.3
    Ubyte(u8),
    /// §1.6.4
    Ushort(u16),
    /// §1.6.5
    Uint(u32),
    /// §1.6.6
    Ulong(u64),
    /// §1.6.7
    Byte(i8),
    /// §1.6.8
    Short(i16),
    /// §1.6.9
    Int(i32),
    /// §1.6.10
    Long(i64),
    /// §1.6.11
    Float(f32),
    /// §1.6.12
    Double(f64),
    /// §1.6.13
    Decimal32(Decimal32),
    /// §1.6.14
    Decimal64(Decimal64),
    /// §1.6.15
    Decimal128(Decimal128),
    /// §1.6.16
    Char(char),
    /// §1.6.17
    Timestamp(Timestamp),
    /// §1.6.18
    Uuid(Uuid),
    /// §1.6.19
    Binary(&'a [u8]),
    /// §1.6.20
    String(&'a str),
    /// §1.6.21
    Symbol(&'a str),
    /// A list, a map, an array or a described value, §1.6.22 to §1.6.24 and §1.1.2.
    Compound(CompoundRef<'a>),
}

/// A list, a map, an array or a described value whose size and count have been checked and whose inside has not been looked at.
#[derive(Clone, Copy, Debug)]
pub struct CompoundRef<'a> {
    /// What stands behind the constructor.
    data: &'a [u8],
    /// Where that is, counted from the start of the whole input.
    offset: u32,
    constructor: u8,
    depth_left: u8,
}

impl<'a> CompoundRef<'a> {
    /// Takes the value behind `constructor`, if it is one of these and whole.
    #[inline(never)]
    pub(crate) fn take(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (data, start, depth_left) = (reader.rest(), reader.offset(), reader.depth_left());
        // Whatever is wrong with a size or a count is found here, as by a `Value`.
        Value::decode_data(constructor, reader)?;
        let length = reader.offset().saturating_sub(start);
        let offset = u32::try_from(start).unwrap_or(u32::MAX);
        Ok(Self { data: data.get(..length).unwrap_or(data), offset, constructor, depth_left })
    }

    /// Decodes it as a [`List`](crate::List), a [`Map`](crate::Map), an [`Array`](crate::Array), a type with a descriptor or any
    /// other that it may be.
    ///
    /// # Errors
    /// When it is of another type, or malformed.
    pub fn read<T: Decode<'a>>(&self) -> Result<T, DecodeError> {
        let mut reader = Reader::inner(self.data, self.offset as usize, self.depth_left);
        let value = T::decode_data(self.constructor, &mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

impl PartialEq for CompoundRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.read::<Value<'_>>() == other.read()
    }
}

impl<'a> ValueRef<'a> {
    /// The same value in the form that can be kept and changed.
    ///
    /// # Errors
    /// When a compound is malformed, which it is not if it was come by walking a map.
    pub fn to_value(self) -> Result<Value<'a>, DecodeError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Boolean(v) => v.into(),
            Self::Ubyte(v) => v.into(),
            Self::Ushort(v) => v.into(),
            Self::Uint(v) => v.into(),
            Self::Ulong(v) => v.into(),
            Self::Byte(v) => v.into(),
            Self::Short(v) => v.into(),
            Self::Int(v) => v.into(),
            Self::Long(v) => v.into(),
            Self::Float(v) => v.into(),
            Self::Double(v) => v.into(),
            Self::Decimal32(v) => v.into(),
            Self::Decimal64(v) => v.into(),
            Self::Decimal128(v) => v.into(),
            Self::Char(v) => v.into(),
            Self::Timestamp(v) => v.into(),
            Self::Uuid(v) => v.into(),
            Self::Binary(v) => v.into(),
            Self::String(v) => v.into(),
            Self::Symbol(v) => Symbol::from_const(v).into(),
            Self::Compound(v) => v.read()?,
        })
    }

    /// The text of a string.
    pub const fn as_str(self) -> Option<&'a str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// Takes the value at the start of `rest`, which ends at `end` of the whole input; returns it and what stands behind it, or
    /// `None` if it is malformed.
    ///
    /// No more than `rest` changes from value to value, and no error is on its way, so that whoever walks many values keeps
    /// little in its registers; nor is the value handed over in memory to be taken apart again.
    #[inline(always)]
    pub(crate) fn take(rest: &'a [u8], end: usize, depth_left: u8) -> Option<(Self, &'a [u8])> {
        if let Some((text, rest)) = short_string(rest) {
            return Some((Self::String(text), rest));
        }
        // Most values are short strings, ints and longs. Each has a way of its own to whoever looks at it; those of all the others
        // meet first, where the value is put together only to be taken apart again.
        match rest {
            [code::SMALLINT, v, rest @ ..] => Some((Self::Int(i32::from(v.cast_signed())), rest)),
            [code::INT, a, b, c, d, rest @ ..] => Some((Self::Int(i32::from_be_bytes([*a, *b, *c, *d])), rest)),
            [code::LONG, a, b, c, d, e, f, g, h, rest @ ..] => {
                Some((Self::Long(i64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])), rest))
            }
            _ => Self::take_any(rest, end, depth_left),
        }
    }

    /// The same for a key, of which few are no short strings.
    #[inline(always)]
    pub(crate) fn take_key(rest: &'a [u8], end: usize, depth_left: u8) -> Option<(Self, &'a [u8])> {
        match short_string(rest) {
            Some((text, rest)) => Some((Self::String(text), rest)),
            None => Self::take_apart(rest, end, depth_left),
        }
    }

    /// The same for any value, by a call.
    #[inline(never)]
    fn take_apart(rest: &'a [u8], end: usize, depth_left: u8) -> Option<(Self, &'a [u8])> {
        Self::take_any(rest, end, depth_left)
    }

    /// The same for any value.
    #[inline(always)]
    fn take_any(rest: &'a [u8], end: usize, depth_left: u8) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader::inner(rest, end.wrapping_sub(rest.len()), depth_left);
        let constructor = reader.octet().ok()?;
        let value = Self::decode_data(constructor, &mut reader).ok()?;
        Some((value, reader.rest()))
    }
}

impl<'a> Decode<'a> for ValueRef<'a> {
    #[inline(always)]
    fn decode_data(constructor: u8, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        #[inline(always)]
        fn of<'a, T: Decode<'a>>(c: u8, r: &mut Reader<'a>) -> Result<T, DecodeError> {
            T::decode_data(c, r)
        }
        let c = constructor;
        Ok(match c {
            code::NULL => Self::Null,
            code::TRUE | code::FALSE | code::BOOLEAN => Self::Boolean(of(c, r)?),
            code::UBYTE => Self::Ubyte(of(c, r)?),
            code::USHORT => Self::Ushort(of(c, r)?),
            code::UINT0 | code::SMALLUINT | code::UINT => Self::Uint(of(c, r)?),
            code::ULONG0 | code::SMALLULONG | code::ULONG => Self::Ulong(of(c, r)?),
            code::BYTE => Self::Byte(of(c, r)?),
            code::SHORT => Self::Short(of(c, r)?),
            code::SMALLINT | code::INT => Self::Int(of(c, r)?),
            code::SMALLLONG | code::LONG => Self::Long(of(c, r)?),
            code::FLOAT => Self::Float(of(c, r)?),
            code::DOUBLE => Self::Double(of(c, r)?),
            code::DECIMAL32 => Self::Decimal32(of(c, r)?),
            code::DECIMAL64 => Self::Decimal64(of(c, r)?),
            code::DECIMAL128 => Self::Decimal128(of(c, r)?),
            code::CHAR => Self::Char(of(c, r)?),
            code::TIMESTAMP => Self::Timestamp(of(c, r)?),
            code::UUID => Self::Uuid(of(c, r)?),
            code::VBIN8 | code::VBIN32 => Self::Binary(of(c, r)?),
            code::STR8 | code::STR32 => Self::String(of(c, r)?),
            code::SYM8 | code::SYM32 => Self::Symbol(Symbol::decode_text(c, r)?),
            _ => Self::Compound(CompoundRef::take(c, r)?),
        })
    }
}
