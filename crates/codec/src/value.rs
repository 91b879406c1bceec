use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::constructor as code;
use crate::keys::MapRule;
use crate::limits::Budget;
use crate::text::MAX_OCTETS;
use crate::{
    Array, Binary, Composite, Decimal32, Decimal64, Decimal128, Decode, DecodeError, Descriptor, Encode, IntoOwned,
    Limits, List, Map, Reader, Str, Symbol, Timestamp, Uuid,
};

/// A value of any type of §1.6.
///
/// Compounds and described values stay in their encoded form and are decoded as they are walked, so decoding a value neither
/// allocates nor recurses, and what is not understood survives unchanged. [`validate`](Self::validate) looks at all of it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
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
    Binary(Binary<'a>),
    /// §1.6.20
    String(Str<'a>),
    /// §1.6.21
    Symbol(Symbol<'a>),
    /// §1.6.22
    List(List<'a>),
    /// §1.6.23
    Map(Map<'a>),
    /// §1.6.24
    Array(Array<'a>),
    /// A value with a descriptor, §1.1.2.
    Described(Described<'a>),
}

/// A value with a descriptor, kept in its encoded form. §1.1.2
#[derive(Clone, Debug)]
pub struct Described<'a> {
    /// Descriptor and value, each with its constructor.
    encoded: Cow<'a, [u8]>,
    offset: usize,
    depth_left: u8,
}

impl Described<'_> {
    /// Describes `value` by `descriptor`.
    ///
    /// # Panics
    /// If both together have more than 2^31 octets.
    pub fn new(descriptor: &(impl Encode + ?Sized), value: &(impl Encode + ?Sized)) -> Described<'static> {
        let mut encoded = Vec::new();
        descriptor.encode(&mut encoded);
        value.encode(&mut encoded);
        assert!(encoded.len() <= MAX_OCTETS, "a described value may have at most 2^31 octets");
        Described { encoded: Cow::Owned(encoded), offset: 0, depth_left: crate::MAX_DEPTH }
    }

    /// A reader standing before the descriptor, with the value behind it.
    pub fn reader(&self) -> Reader<'_> {
        Reader::inner(&self.encoded, self.offset, self.depth_left)
    }

    /// The descriptor.
    ///
    /// # Errors
    /// When its octets are malformed.
    pub fn descriptor(&self) -> Result<Descriptor<'_>, DecodeError> {
        Value::decode(&mut self.reader()).map(Descriptor::from)
    }

    pub(crate) fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        budget.inside(2, self.offset, |budget| {
            let mut reader = self.reader();
            Value::decode(&mut reader)?.check(budget)?;
            Value::decode(&mut reader)?.check(budget)?;
            reader.finish()
        })
    }

    /// The whole of it, descriptor included, as a type with a descriptor: a body of a transaction, a filter, a lifetime-policy.
    ///
    /// # Errors
    /// When the descriptor is another, or the value malformed.
    pub fn read<'s, T: Decode<'s>>(&'s self) -> Result<T, DecodeError> {
        let mut reader = self.reader();
        // The level that the description takes is among those of the type.
        reader.ascend();
        let value = T::decode_data(code::DESCRIBED, &mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// The value underneath.
    ///
    /// # Errors
    /// When its octets are malformed.
    pub fn value(&self) -> Result<Value<'_>, DecodeError> {
        let mut reader = self.reader();
        reader.skip()?;
        Value::decode(&mut reader)
    }
}

/// # Panics
/// If it has more than 2^31 octets.
impl<T: Composite + Encode> From<&T> for Described<'static> {
    fn from(composite: &T) -> Self {
        let mut encoded = Vec::new();
        composite.encode(&mut encoded);
        assert!(encoded.len() <= MAX_OCTETS, "a described value may have at most 2^31 octets");
        // Without the octet that says that it is described.
        encoded.remove(0);
        Described { encoded: Cow::Owned(encoded), offset: 0, depth_left: crate::MAX_DEPTH }
    }
}

impl PartialEq for Described<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.descriptor() == other.descriptor() && self.value() == other.value()
    }
}

impl<'a> Decode<'a> for Described<'a> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if constructor != code::DESCRIBED {
            return Err(reader.unexpected("a described value", constructor));
        }
        reader.descend()?;
        let (offset, depth_left, start) = (reader.offset(), reader.depth_left(), reader.rest());
        reader.skip()?;
        reader.skip()?;
        reader.ascend();
        let length = reader.offset().saturating_sub(offset);
        let encoded = start.get(..length).unwrap_or(start);
        Ok(Self { encoded: Cow::Borrowed(encoded), offset, depth_left })
    }
}

impl Encode for Described<'_> {
    fn encoded_len(&self) -> usize {
        self.encoded.len().saturating_add(1)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(code::DESCRIBED);
        out.extend_from_slice(&self.encoded);
    }
}

impl IntoOwned for Described<'_> {
    type Owned = Described<'static>;

    fn into_owned(self) -> Described<'static> {
        Described { encoded: Cow::Owned(self.encoded.into_owned()), offset: self.offset, depth_left: self.depth_left }
    }
}

impl Value<'_> {
    /// Decodes everything inside this value and throws it away.
    ///
    /// # Errors
    /// When anything in it is malformed or beyond the [default limits](Limits), or two keys of a map are identical.
    pub fn validate(&self) -> Result<(), DecodeError> {
        self.validate_within(&Limits::default())
    }

    /// The same within limits of the caller's own.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn validate_within(&self, limits: &Limits) -> Result<(), DecodeError> {
        self.check(&mut Budget::new(limits))
    }

    pub(crate) fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        match self {
            Self::List(list) => list.check(budget),
            Self::Map(map) => map.check(MapRule::Any, budget),
            Self::Array(array) => array.check(budget),
            Self::Described(described) => described.check(budget),
            _ => Ok(()),
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The text of a symbol.
    pub fn as_symbol(&self) -> Option<&str> {
        if let Self::Symbol(text) = self { Some(text) } else { None }
    }

    /// The octets of a binary.
    pub fn as_binary(&self) -> Option<&[u8]> {
        if let Self::Binary(octets) = self { Some(octets) } else { None }
    }

    /// A boolean.
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Boolean(value) = self { Some(*value) } else { None }
    }

    /// An integer of any type and width that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Byte(value) => Some((*value).into()),
            Self::Short(value) => Some((*value).into()),
            Self::Int(value) => Some((*value).into()),
            Self::Long(value) => Some(*value),
            _ => self.as_unsigned().and_then(|value| value.try_into().ok()),
        }
    }

    /// An integer of any type and width that fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_unsigned().or_else(|| self.as_i64().and_then(|value| value.try_into().ok()))
    }

    fn as_unsigned(&self) -> Option<u64> {
        match self {
            Self::Ubyte(value) => Some((*value).into()),
            Self::Ushort(value) => Some((*value).into()),
            Self::Uint(value) => Some((*value).into()),
            Self::Ulong(value) => Some(*value),
            _ => None,
        }
    }

    /// A float or a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some((*value).into()),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }
}

impl<'a> Value<'a> {
    /// Decodes a value of any type; returns it and what stands behind it.
    #[inline(never)]
    fn decode_other(mut reader: Reader<'a>) -> Result<(Self, Reader<'a>), DecodeError> {
        let constructor = reader.octet()?;
        let value = Self::decode_any(constructor, &mut reader)?;
        Ok((value, reader))
    }
}

impl<'a> Decode<'a> for Value<'a> {
    #[inline(always)]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        // Most keys and values are short strings.
        if let [code::STR8, ..] = reader.rest() {
            let constructor = reader.octet()?;
            return Str::decode_data(constructor, reader).map(Self::String);
        }
        // By value, so that the caller's reader can stay in registers.
        let (value, rest) = Self::decode_other(reader.clone())?;
        *reader = rest;
        Ok(value)
    }

    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        // So are most addresses, which are fields.
        if constructor == code::STR8 {
            return Str::decode_data(constructor, reader).map(Self::String);
        }
        Self::decode_any(constructor, reader)
    }
}

impl<'a> Value<'a> {
    /// Decodes the data of a value of any type.
    #[inline(never)]
    fn decode_any(constructor: u8, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        fn of<'a, T: Decode<'a>>(c: u8, r: &mut Reader<'a>) -> Result<T, DecodeError> {
            T::decode_data(c, r)
        }
        let c = constructor;
        Ok(match c {
            code::DESCRIBED => Self::Described(of(c, r)?),
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
            code::SYM8 | code::SYM32 => Self::Symbol(of(c, r)?),
            code::LIST0 | code::LIST8 | code::LIST32 => Self::List(of(c, r)?),
            code::MAP8 | code::MAP32 => Self::Map(of(c, r)?),
            code::ARRAY8 | code::ARRAY32 => Self::Array(of(c, r)?),
            _ => return Err(r.unexpected("a value", c)),
        })
    }
}

impl Encode for Value<'_> {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Binary(v) => v.encoded_len(),
            Self::String(v) => v.encoded_len(),
            Self::Symbol(v) => v.encoded_len(),
            Self::List(v) => v.encoded_len(),
            Self::Map(v) => v.encoded_len(),
            Self::Array(v) => v.encoded_len(),
            Self::Described(v) => v.encoded_len(),
            _ => crate::encode_to_vec(self).len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => ().encode(out),
            Self::Boolean(v) => v.encode(out),
            Self::Ubyte(v) => v.encode(out),
            Self::Ushort(v) => v.encode(out),
            Self::Uint(v) => v.encode(out),
            Self::Ulong(v) => v.encode(out),
            Self::Byte(v) => v.encode(out),
            Self::Short(v) => v.encode(out),
            Self::Int(v) => v.encode(out),
            Self::Long(v) => v.encode(out),
            Self::Float(v) => v.encode(out),
            Self::Double(v) => v.encode(out),
            Self::Decimal32(v) => v.encode(out),
            Self::Decimal64(v) => v.encode(out),
            Self::Decimal128(v) => v.encode(out),
            Self::Char(v) => v.encode(out),
            Self::Timestamp(v) => v.encode(out),
            Self::Uuid(v) => v.encode(out),
            Self::Binary(v) => v.encode(out),
            Self::String(v) => v.encode(out),
            Self::Symbol(v) => v.encode(out),
            Self::List(v) => v.encode(out),
            Self::Map(v) => v.encode(out),
            Self::Array(v) => v.encode(out),
            Self::Described(v) => v.encode(out),
        }
    }
}

impl IntoOwned for Value<'_> {
    type Owned = Value<'static>;

    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(v) => Value::Boolean(v),
            Self::Ubyte(v) => Value::Ubyte(v),
            Self::Ushort(v) => Value::Ushort(v),
            Self::Uint(v) => Value::Uint(v),
            Self::Ulong(v) => Value::Ulong(v),
            Self::Byte(v) => Value::Byte(v),
            Self::Short(v) => Value::Short(v),
            Self::Int(v) => Value::Int(v),
            Self::Long(v) => Value::Long(v),
            Self::Float(v) => Value::Float(v),
            Self::Double(v) => Value::Double(v),
            Self::Decimal32(v) => Value::Decimal32(v),
            Self::Decimal64(v) => Value::Decimal64(v),
            Self::Decimal128(v) => Value::Decimal128(v),
            Self::Char(v) => Value::Char(v),
            Self::Timestamp(v) => Value::Timestamp(v),
            Self::Uuid(v) => Value::Uuid(v),
            Self::Binary(v) => Value::Binary(v.into_owned()),
            Self::String(v) => Value::String(v.into_owned()),
            Self::Symbol(v) => Value::Symbol(v.into_owned()),
            Self::List(v) => Value::List(v.into_owned()),
            Self::Map(v) => Value::Map(v.into_owned()),
            Self::Array(v) => Value::Array(v.into_owned()),
            Self::Described(v) => Value::Described(v.into_owned()),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident;)*) => { $(
        impl<'a> From<$from> for Value<'a> {
            fn from(value: $from) -> Self {
                Value::$variant(value.into())
            }
        }
    )* };
}

impl From<()> for Value<'_> {
    fn from((): ()) -> Self {
        Value::Null
    }
}

value_from! {
    bool => Boolean;
    u8 => Ubyte;
    u16 => Ushort;
    u32 => Uint;
    u64 => Ulong;
    i8 => Byte;
    i16 => Short;
    i32 => Int;
    i64 => Long;
    f32 => Float;
    f64 => Double;
    Decimal32 => Decimal32;
    Decimal64 => Decimal64;
    Decimal128 => Decimal128;
    char => Char;
    Timestamp => Timestamp;
    Uuid => Uuid;
    &'a str => String;
    String => String;
    &'a [u8] => Binary;
    Vec<u8> => Binary;
    Binary<'a> => Binary;
    Symbol<'a> => Symbol;
    List<'a> => List;
    Map<'a> => Map;
    Array<'a> => Array;
    Described<'a> => Described;
}
