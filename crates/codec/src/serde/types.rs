//! The types of this crate in types of serde.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Special;
use crate::{
    Array, Binary, Decimal32, Decimal64, Decimal128, Decode, Described, IntoOwned, List, Map, Reader, Str, Symbol,
    Timestamp, Uuid, Value, encode_to_vec,
};

/// What is asked for as a newtype struct, so that the deserializer of this crate knows the type.
macro_rules! visit_newtype {
    ($life:lifetime) => {
        fn visit_newtype_struct<D: Deserializer<$life>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }
    };
}

struct Octets<'b>(&'b [u8]);

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for Str<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl Serialize for Binary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl Serialize for Symbol<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(Special::Symbol.name(), self.as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(Special::Timestamp.name(), &self.0)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<String, E> {
        Ok(text)
    }

    visit_newtype!('de);
}

impl<'de> Deserialize<'de> for Str<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(TextVisitor).map(Str::from)
    }
}

impl<'de> Deserialize<'de> for Symbol<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_newtype_struct(Special::Symbol.name(), TextVisitor)?;
        Symbol::new(text).map_err(D::Error::custom)
    }
}

struct OctetsVisitor;

impl<'de> Visitor<'de> for OctetsVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("octets")
    }

    fn visit_bytes<E>(self, octets: &[u8]) -> Result<Vec<u8>, E> {
        Ok(octets.into())
    }

    fn visit_byte_buf<E>(self, octets: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(octets)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<u8>, A::Error> {
        let mut octets = Vec::new();
        while let Some(octet) = elements.next_element()? {
            octets.push(octet);
        }
        Ok(octets)
    }

    visit_newtype!('de);
}

impl<'de> Deserialize<'de> for Binary<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(OctetsVisitor).map(Binary::from)
    }
}

struct TimestampVisitor;

impl<'de> Visitor<'de> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timestamp")
    }

    fn visit_i64<E>(self, time: i64) -> Result<Timestamp, E> {
        Ok(Timestamp(time))
    }

    fn visit_u64<E: serde::de::Error>(self, time: u64) -> Result<Timestamp, E> {
        i64::try_from(time).map(Timestamp).map_err(E::custom)
    }

    visit_newtype!('de);
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(Special::Timestamp.name(), TimestampVisitor)
    }
}

macro_rules! fixed {
    ($($type:ident),*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct(Special::$type.name(), &Octets(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let octets = deserializer.deserialize_newtype_struct(Special::$type.name(), OctetsVisitor)?;
                let length = octets.len();
                let wrong = || D::Error::invalid_length(length, &"the octets of this type");
                octets.try_into().map(Self).map_err(|_| wrong())
            }
        }
    )* };
}

fixed!(Uuid, Decimal32, Decimal64, Decimal128);

macro_rules! encoded {
    ($($type:ident),*) => { $(
        impl Serialize for $type<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct(Special::Encoded.name(), &Octets(&encode_to_vec(self)))
            }
        }

        impl<'de> Deserialize<'de> for $type<'_> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let octets = deserializer.deserialize_newtype_struct(Special::Encoded.name(), OctetsVisitor)?;
                whole::<$type<'_>>(&octets).map(IntoOwned::into_owned).map_err(D::Error::custom)
            }
        }
    )* };
}

encoded!(Value, List, Map, Array, Described);

fn whole<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, crate::DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}
