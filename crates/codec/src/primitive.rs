//! The primitive types of §1.6 that have a fixed width.

use alloc::vec::Vec;
use core::fmt;

use crate::codec::owned_already;
use crate::constructor as code;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, Reader};

/// Milliseconds since 1970-01-01T00:00:00Z, before it if negative. §1.6.17
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Timestamp(pub i64);

// The types of octets are aligned like numbers of their size: a value is moved by words then.

/// A universally unique id, octets in network order. §1.6.18
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(align(8))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Uuid(pub [u8; 16]);

/// An IEEE 754-2008 decimal32, carried bit for bit in network order. §1.6.13
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(align(4))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Decimal32(pub [u8; 4]);

/// An IEEE 754-2008 decimal64, carried bit for bit in network order. §1.6.14
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(align(8))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Decimal64(pub [u8; 8]);

/// An IEEE 754-2008 decimal128, carried bit for bit in network order. §1.6.15
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(align(8))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Decimal128(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

#[cfg(feature = "uuid")]
impl From<uuid::Uuid> for Uuid {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.into_bytes())
    }
}

#[cfg(feature = "uuid")]
impl From<Uuid> for uuid::Uuid {
    fn from(id: Uuid) -> Self {
        Self::from_bytes(id.0)
    }
}

#[cfg(feature = "uuid")]
impl From<uuid::Uuid> for crate::Value<'_> {
    fn from(id: uuid::Uuid) -> Self {
        Self::Uuid(id.into())
    }
}

#[cfg(feature = "uuid")]
impl From<uuid::Uuid> for crate::MessageId<'_> {
    fn from(id: uuid::Uuid) -> Self {
        Self::Uuid(id.into())
    }
}

owned_already!(
    (),
    bool,
    u8,
    u16,
    u32,
    u64,
    i8,
    i16,
    i32,
    i64,
    f32,
    f64,
    char,
    Timestamp,
    Uuid,
    Decimal32,
    Decimal64,
    Decimal128
);

impl<'a> Decode<'a> for () {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if constructor == code::NULL { Ok(()) } else { Err(reader.unexpected("null", constructor)) }
    }
}

impl Encode for () {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(code::NULL);
    }
}

impl<'a> Decode<'a> for bool {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match constructor {
            code::TRUE => Ok(true),
            code::FALSE => Ok(false),
            code::BOOLEAN => {
                let at = reader.offset();
                match reader.octet()? {
                    0 => Ok(false),
                    1 => Ok(true),
                    _ => Err(DecodeError::new(DecodeErrorKind::InvalidValue("the octet of a boolean"), at)),
                }
            }
            _ => Err(reader.unexpected("boolean", constructor)),
        }
    }
}

impl Encode for bool {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(if *self { code::TRUE } else { code::FALSE });
    }
}

/// A type with one encoding: its constructor and its octets in network order.
macro_rules! fixed {
    ($($type:ty, $name:literal, $code:ident, $from:expr, $to:expr;)*) => { $(
        impl<'a> Decode<'a> for $type {
            #[inline(always)]
            fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                if constructor != code::$code {
                    return Err(reader.unexpected($name, constructor));
                }
                Ok($from(reader.octets()?))
            }
        }

        impl Encode for $type {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.push(code::$code);
                out.extend_from_slice(&$to(*self));
            }
        }
    )* };
}

fixed! {
    u8, "ubyte", UBYTE, u8::from_be_bytes, u8::to_be_bytes;
    i8, "byte", BYTE, i8::from_be_bytes, i8::to_be_bytes;
    u16, "ushort", USHORT, u16::from_be_bytes, u16::to_be_bytes;
    i16, "short", SHORT, i16::from_be_bytes, i16::to_be_bytes;
    f32, "float", FLOAT, f32::from_be_bytes, f32::to_be_bytes;
    f64, "double", DOUBLE, f64::from_be_bytes, f64::to_be_bytes;
    Timestamp, "timestamp", TIMESTAMP, |octets| Timestamp(i64::from_be_bytes(octets)), |t: Timestamp| t.0.to_be_bytes();
    Uuid, "uuid", UUID, Uuid, |u: Uuid| u.0;
    Decimal32, "decimal32", DECIMAL32, Decimal32, |d: Decimal32| d.0;
    Decimal64, "decimal64", DECIMAL64, Decimal64, |d: Decimal64| d.0;
    Decimal128, "decimal128", DECIMAL128, Decimal128, |d: Decimal128| d.0;
}

impl<'a> Decode<'a> for u32 {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match constructor {
            code::UINT0 => Ok(0),
            code::SMALLUINT => Ok(u32::from(reader.octet()?)),
            code::UINT => Ok(u32::from_be_bytes(reader.octets()?)),
            _ => Err(reader.unexpected("uint", constructor)),
        }
    }
}

impl Encode for u32 {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match (*self, u8::try_from(*self)) {
            (0, _) => out.push(code::UINT0),
            (_, Ok(small)) => out.extend_from_slice(&[code::SMALLUINT, small]),
            (wide, Err(_)) => {
                out.push(code::UINT);
                out.extend_from_slice(&wide.to_be_bytes());
            }
        }
    }
}

impl<'a> Decode<'a> for u64 {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match constructor {
            code::ULONG0 => Ok(0),
            code::SMALLULONG => Ok(u64::from(reader.octet()?)),
            code::ULONG => Ok(u64::from_be_bytes(reader.octets()?)),
            _ => Err(reader.unexpected("ulong", constructor)),
        }
    }
}

impl Encode for u64 {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match (*self, u8::try_from(*self)) {
            (0, _) => out.push(code::ULONG0),
            (_, Ok(small)) => out.extend_from_slice(&[code::SMALLULONG, small]),
            (wide, Err(_)) => {
                out.push(code::ULONG);
                out.extend_from_slice(&wide.to_be_bytes());
            }
        }
    }
}

/// A signed integer with a sign-extended short form of one octet.
macro_rules! signed {
    ($($type:ty, $name:literal, $small:ident, $wide:ident;)*) => { $(
        impl<'a> Decode<'a> for $type {
            #[inline]
            fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                match constructor {
                    code::$small => Ok(<$type>::from(i8::from_be_bytes(reader.octets()?))),
                    code::$wide => Ok(<$type>::from_be_bytes(reader.octets()?)),
                    _ => Err(reader.unexpected($name, constructor)),
                }
            }
        }

        impl Encode for $type {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                match i8::try_from(*self) {
                    Ok(small) => {
                        out.push(code::$small);
                        out.extend_from_slice(&small.to_be_bytes());
                    }
                    Err(_) => {
                        out.push(code::$wide);
                        out.extend_from_slice(&self.to_be_bytes());
                    }
                }
            }
        }
    )* };
}

signed! {
    i32, "int", SMALLINT, INT;
    i64, "long", SMALLLONG, LONG;
}

impl<'a> Decode<'a> for char {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if constructor != code::CHAR {
            return Err(reader.unexpected("char", constructor));
        }
        let at = reader.offset();
        let point = u32::from_be_bytes(reader.octets()?);
        char::from_u32(point).ok_or(DecodeError::new(DecodeErrorKind::InvalidChar, at))
    }
}

impl Encode for char {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(code::CHAR);
        out.extend_from_slice(&u32::from(*self).to_be_bytes());
    }
}

#[cfg(all(test, feature = "uuid"))]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn uuids_of_the_crate_uuid() {
        let octets = *b"\0\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        let id = uuid::Uuid::from(Uuid(octets));
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(id.to_string(), Uuid(octets).to_string());
        assert_eq!(Uuid::from(id), Uuid(octets));
        assert_eq!(crate::Value::from(id), crate::Value::Uuid(Uuid(octets)));
        assert_eq!(crate::MessageId::from(id), crate::MessageId::Uuid(Uuid(octets)));
    }
}
