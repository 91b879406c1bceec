//! The types of variable width: string, symbol and binary, §1.6.19 to §1.6.21.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::codec::owned_already;
use crate::constructor as code;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, IntoOwned, Reader};

/// The most octets that an owned string, binary or compound may have.
pub(crate) const MAX_OCTETS: usize = 1 << 31;

/// A UTF-8 string, borrowed or owned. §1.6.20
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str<'a>(Cow<'a, str>);

/// An ASCII string of a symbolic domain, borrowed or owned. §1.6.21
///
/// It is checked when it is made, and kept as octets: whoever only compares symbols need not have them as text.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol<'a>(Cow<'a, [u8]>);

/// A run of octets, borrowed or owned. §1.6.19
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binary<'a>(Cow<'a, [u8]>);

/// A text that cannot be a symbol because it is not ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSymbol;

impl fmt::Display for InvalidSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a symbol may hold ASCII characters only (§1.6.21)")
    }
}

impl core::error::Error for InvalidSymbol {}

impl<'a> Str<'a> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as it is held, borrowed or owned.
    pub fn into_cow(self) -> Cow<'a, str> {
        self.0
    }
}

impl<'a> Symbol<'a> {
    /// A symbol known when the program is written.
    ///
    /// # Panics
    /// If `text` is not ASCII; in a constant that is a compile error.
    pub const fn from_static(text: &'static str) -> Symbol<'static> {
        assert!(text.is_ascii(), "a symbol may hold ASCII characters only");
        Symbol::from_const(text)
    }

    /// A symbol made of `text`.
    ///
    /// # Errors
    /// If `text` is not ASCII.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, InvalidSymbol> {
        let text = text.into();
        if !text.is_ascii() || text.len() > MAX_OCTETS {
            return Err(InvalidSymbol);
        }
        Ok(Self(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Never anything but ASCII; this is how octets become a text without unsafe code.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) const fn from_const(text: &'a str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> Binary<'a> {
    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The octets as they are held, borrowed or owned.
    pub fn into_cow(self) -> Cow<'a, [u8]> {
        self.0
    }
}

/// # Panics
/// If the text has more than 2^31 octets.
impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        assert!(text.len() <= MAX_OCTETS, "a string may have at most 2^31 octets");
        Self(Cow::Borrowed(text))
    }
}

/// # Panics
/// If the text has more than 2^31 octets.
impl From<String> for Str<'static> {
    fn from(text: String) -> Self {
        assert!(text.len() <= MAX_OCTETS, "a string may have at most 2^31 octets");
        Self(Cow::Owned(text))
    }
}

/// # Panics
/// If there are more than 2^31 octets.
impl<'a> From<&'a [u8]> for Binary<'a> {
    fn from(octets: &'a [u8]) -> Self {
        assert!(octets.len() <= MAX_OCTETS, "a binary may have at most 2^31 octets");
        Self(Cow::Borrowed(octets))
    }
}

/// # Panics
/// If there are more than 2^31 octets.
impl From<Vec<u8>> for Binary<'static> {
    fn from(octets: Vec<u8>) -> Self {
        assert!(octets.len() <= MAX_OCTETS, "a binary may have at most 2^31 octets");
        Self(Cow::Owned(octets))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Binary<'a> {
    fn from(octets: &'a [u8; N]) -> Self {
        Self::from(octets.as_slice())
    }
}

macro_rules! text {
    ($type:ident, $target:ty, $get:ident) => {
        impl Deref for $type<'_> {
            type Target = $target;
            fn deref(&self) -> &$target {
                self.$get()
            }
        }

        impl AsRef<$target> for $type<'_> {
            fn as_ref(&self) -> &$target {
                self.$get()
            }
        }

        impl fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.$get(), f)
            }
        }

        impl PartialEq<$target> for $type<'_> {
            fn eq(&self, other: &$target) -> bool {
                <_ as AsRef<[u8]>>::as_ref(&*self.0) == <_ as AsRef<[u8]>>::as_ref(other)
            }
        }

        impl PartialEq<&$target> for $type<'_> {
            fn eq(&self, other: &&$target) -> bool {
                *self == **other
            }
        }

        impl IntoOwned for $type<'_> {
            type Owned = $type<'static>;
            fn into_owned(self) -> $type<'static> {
                $type(Cow::Owned(self.0.into_owned()))
            }
        }
    };
}

text!(Str, str, as_str);
text!(Symbol, str, as_str);
text!(Binary, [u8], as_slice);

impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<'a> Decode<'a> for &'a [u8] {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match constructor {
            code::VBIN8 => reader.variable(false),
            code::VBIN32 => reader.variable(true),
            _ => Err(reader.unexpected("binary", constructor)),
        }
    }
}

impl<'a> Decode<'a> for &'a str {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let octets = match constructor {
            code::STR8 => reader.variable(false)?,
            code::STR32 => reader.variable(true)?,
            _ => return Err(reader.unexpected("string", constructor)),
        };
        match core::str::from_utf8(octets) {
            Ok(text) => Ok(text),
            Err(_) => Err(invalid_utf8(octets, reader.offset())),
        }
    }
}

/// The string of at most 255 octets at the start of `rest`, and what stands behind it; `None` if there is no such string.
#[inline(always)]
pub(crate) fn short_string(rest: &[u8]) -> Option<(&str, &[u8])> {
    let [code::STR8, size, rest @ ..] = rest else { return None };
    let (octets, rest) = rest.split_at_checked(usize::from(*size))?;
    match core::str::from_utf8(octets) {
        Ok(text) => Some((text, rest)),
        Err(_) => None,
    }
}

/// The same for a string of any length.
#[inline(always)]
pub(crate) fn any_string(rest: &[u8]) -> Option<(&str, &[u8])> {
    match short_string(rest) {
        Some(found) => Some(found),
        None => {
            let text = long_string(rest)?;
            Some((text, rest.get(text.len().wrapping_add(LONG_STRING_HEAD)..)?))
        }
    }
}

/// What stands before the octets of a string in its long form: the constructor and the size.
const LONG_STRING_HEAD: usize = 5;

/// The string in its long form at the start of `rest`. It alone, so that it is returned in registers.
#[inline(never)]
fn long_string(rest: &[u8]) -> Option<&str> {
    let [code::STR32, s0, s1, s2, s3, rest @ ..] = rest else { return None };
    let octets = rest.get(..u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize)?;
    core::str::from_utf8(octets).ok()
}

/// An error about octets that are not UTF-8 and end at `end`.
#[cold]
fn invalid_utf8(octets: &[u8], end: usize) -> DecodeError {
    let valid = core::str::from_utf8(octets).map_or_else(|error| error.valid_up_to(), str::len);
    let start = end.saturating_sub(octets.len());
    DecodeError::new(DecodeErrorKind::InvalidUtf8, start.saturating_add(valid))
}

impl<'a> Decode<'a> for String {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        <&str>::decode_data(constructor, reader).map(Self::from)
    }
}

impl<'a> Decode<'a> for Vec<u8> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        <&[u8]>::decode_data(constructor, reader).map(Self::from)
    }
}

owned_already!(String, Vec<u8>);

impl<'a> Decode<'a> for Str<'a> {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self(Cow::Borrowed(<&str>::decode_data(constructor, reader)?)))
    }
}

impl<'a> Decode<'a> for Binary<'a> {
    #[inline]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self(Cow::Borrowed(<&[u8]>::decode_data(constructor, reader)?)))
    }
}

impl<'a> Symbol<'a> {
    /// Decodes the text of a symbol.
    #[inline]
    pub(crate) fn decode_text(constructor: u8, reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
        let octets = match constructor {
            code::SYM8 => reader.variable(false)?,
            code::SYM32 => reader.variable(true)?,
            _ => return Err(reader.unexpected("symbol", constructor)),
        };
        match core::str::from_utf8(octets) {
            Ok(text) if text.is_ascii() => Ok(text),
            _ => Err(invalid_symbol(octets, reader.offset())),
        }
    }
}

/// An error about octets that are not ASCII and end at `end`.
#[cold]
fn invalid_symbol(octets: &[u8], end: usize) -> DecodeError {
    let start = end.saturating_sub(octets.len());
    let at = octets.iter().position(|octet| !octet.is_ascii()).unwrap_or(0);
    DecodeError::new(DecodeErrorKind::InvalidSymbol, start.saturating_add(at))
}

/// Appends constructor, size and octets in the shorter of two forms.
#[inline]
fn encode_variable(small: u8, wide: u8, octets: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(octets.len()) {
        Ok(size) => out.extend_from_slice(&[small, size]),
        Err(_) => {
            // Limited to 2^31 octets at construction, or borrowed from an input with a 32-bit size.
            let [s0, s1, s2, s3] = (octets.len() as u32).to_be_bytes();
            out.extend_from_slice(&[wide, s0, s1, s2, s3]);
        }
    }
    out.extend_from_slice(octets);
}

/// The length of constructor, size and octets.
fn variable_len(octets: &[u8]) -> usize {
    octets.len().saturating_add(if octets.len() <= 255 { 2 } else { 5 })
}

impl<'a> Decode<'a> for Symbol<'a> {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let octets = match constructor {
            code::SYM8 => reader.variable(false)?,
            code::SYM32 => reader.variable(true)?,
            _ => return Err(reader.unexpected("symbol", constructor)),
        };
        if octets.is_ascii() { Ok(Self(Cow::Borrowed(octets))) } else { Err(invalid_symbol(octets, reader.offset())) }
    }
}

impl Encode for str {
    fn encoded_len(&self) -> usize {
        variable_len(self.as_bytes())
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        encode_variable(code::STR8, code::STR32, self.as_bytes(), out);
    }
}

impl Encode for String {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }

    fn encoded_len(&self) -> usize {
        self.as_str().encoded_len()
    }
}

impl Encode for Vec<u8> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }

    fn encoded_len(&self) -> usize {
        self.as_slice().encoded_len()
    }
}

impl Encode for Str<'_> {
    fn encoded_len(&self) -> usize {
        variable_len(self.0.as_bytes())
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Encode for Symbol<'_> {
    fn encoded_len(&self) -> usize {
        variable_len(&self.0)
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        encode_variable(code::SYM8, code::SYM32, &self.0, out);
    }
}

impl Encode for [u8] {
    fn encoded_len(&self) -> usize {
        variable_len(self)
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        encode_variable(code::VBIN8, code::VBIN32, self, out);
    }
}

impl Encode for Binary<'_> {
    fn encoded_len(&self) -> usize {
        variable_len(&self.0)
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
