//! Your own serde types as bodies of messages: to the encoding of AMQP and back.
//!
//! | serde | AMQP |
//! | --- | --- |
//! | `bool`; `u8` to `u64`; `i8` to `i64`; `f32`, `f64`; `char` | boolean; ubyte to ulong; byte to long; float, double; char |
//! | `str`, `String` | string |
//! | bytes (as [`Binary`](crate::Binary), or by the crate `serde_bytes`) | binary |
//! | `Option`, `()`, unit structs | null, or the value itself |
//! | sequences, `Vec<u8>` among them, tuples, tuple structs | list |
//! | newtype structs | what they hold |
//! | maps | map |
//! | structs | map with the names of the fields, as strings, for keys |
//! | enums: unit variants | string, the name of the variant |
//! | enums: other variants | map with one entry, the name of the variant and what it holds |
//! | [`Symbol`], [`Timestamp`], [`Uuid`], the decimals | these types |
//! | [`Value`], [`List`], [`Map`], [`Array`], [`Described`] | what they are |
//!
//! When reading, an integer may have any width and sign that holds it, a symbol may stand for a string, an array for a list and a list
//! of all its fields for a struct; a timestamp is read as an integer, a uuid and a decimal as bytes; a descriptor is ignored.
//! The types of this crate insist on their AMQP type. In other formats of serde they are what stands first in this sentence: a string,
//! an integer, bytes for uuid and decimals, and bytes of the encoded value for those of the last row.
//!
//! `&str` and `&[u8]` are borrowed from the input; types of this crate own what they hold, as `Cow` does. Nesting is limited to [`MAX_DEPTH`](crate::MAX_DEPTH) levels both ways.
//!
//! ```
//! use amqp10_codec::{Message, MessageBody, Timestamp, serde};
//! # use ::serde as serde_crate;
//!
//! #[derive(serde_crate::Deserialize, serde_crate::Serialize, Debug, PartialEq)]
//! # #[serde(crate = "serde_crate")]
//! struct Reading<'a> {
//!     sensor: &'a str,
//!     celsius: Option<f64>,
//!     at: Timestamp,
//! }
//!
//! let reading = Reading { sensor: "s-1", celsius: Some(20.5), at: Timestamp(0) };
//! let octets = serde::to_vec(&reading)?;
//! assert_eq!(serde::from_slice::<Reading<'_>>(&octets)?, reading);
//!
//! let message = Message::value(serde::to_value(&reading)?);
//! # let MessageBody::Value(value) = &message.body else { unreachable!() };
//! # let celsius: std::collections::BTreeMap<String, amqp10_codec::Value<'_>> = serde::from_slice(&octets)?;
//! # assert_eq!(celsius["celsius"], 20.5.into());
//! # Ok::<(), serde::Error>(())
//! ```

mod de;
mod error;
mod ser;
mod types;

use alloc::vec::Vec;

use ::serde::Serialize;
use ::serde::de::{Deserialize, DeserializeOwned};

pub use error::Error;

#[allow(unused_imports)] // named in the documentation
use crate::{Array, Described, List, Map, Symbol, Timestamp, Uuid};
use crate::{IntoOwned, MAX_DEPTH, Reader, Value};

/// Encodes `value` as one AMQP value.
///
/// # Errors
/// When it is nested too deeply or says so itself.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    value.serialize(ser::Serializer::new(&mut out, MAX_DEPTH))?;
    Ok(out)
}

/// Makes an AMQP value of `value`, as for the body of a message.
///
/// # Errors
/// As [`to_vec`].
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value<'static>, Error> {
    let octets = to_vec(value)?;
    Ok(Reader::sized(&octets).read::<Value<'_>>()?.into_owned())
}

/// Decodes the one AMQP value that `octets` are.
///
/// # Errors
/// When the octets are malformed or not what `T` expects, with the offset of what is wrong.
pub fn from_slice<'de, T: Deserialize<'de>>(octets: &'de [u8]) -> Result<T, Error> {
    let mut reader = Reader::sized(octets);
    let value = T::deserialize(de::Deserializer::new(&mut reader))?;
    reader.finish()?;
    Ok(value)
}

/// Makes a `T`, which borrows nothing, of an AMQP value, as of the body of a message.
///
/// # Errors
/// As [`from_slice`].
pub fn from_value<T: DeserializeOwned>(value: &Value<'_>) -> Result<T, Error> {
    from_slice(&crate::encode_to_vec(value))
}

/// The names of newtype structs by which types of this crate make themselves known to its serializer and deserializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Symbol,
    Timestamp,
    Uuid,
    Decimal32,
    Decimal64,
    Decimal128,
    /// Any value, encoded.
    Encoded,
}

impl Special {
    const ALL: [Self; 7] =
        [Self::Symbol, Self::Timestamp, Self::Uuid, Self::Decimal32, Self::Decimal64, Self::Decimal128, Self::Encoded];

    const fn name(self) -> &'static str {
        match self {
            Self::Symbol => "amqp10_codec::Symbol",
            Self::Timestamp => "amqp10_codec::Timestamp",
            Self::Uuid => "amqp10_codec::Uuid",
            Self::Decimal32 => "amqp10_codec::Decimal32",
            Self::Decimal64 => "amqp10_codec::Decimal64",
            Self::Decimal128 => "amqp10_codec::Decimal128",
            Self::Encoded => "amqp10_codec::Value",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|special| special.name() == name)
    }
}
