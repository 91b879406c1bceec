use core::fmt;
use core::num::NonZeroU32;

use crate::constructor as code;

/// Why octets could not be decoded, and where.
///
/// Small and `Copy`: keeping one costs no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: u32,
}

/// What is wrong with the octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends before the value does; more octets may complete it.
    Incomplete,
    /// A value is longer than the sized value it stands in.
    Overrun,
    /// Octets are left over at the end of a sized value.
    LeftOver,
    /// The octet is not a constructor of §1.6.
    UnknownConstructor(u8),
    /// A value of another type was expected.
    UnexpectedType {
        /// The type that belongs here, in the words of the specification.
        expected: &'static str,
        /// The constructor found instead.
        found: u8,
    },
    /// A described value has another descriptor than the one expected.
    UnexpectedDescriptor {
        /// The composite that belongs here.
        expected: &'static str,
        /// The descriptor found instead, if it is a number of 32 bits.
        found: Option<NonZeroU32>,
    },
    /// A field that the specification makes mandatory is absent or null.
    MissingField(&'static str),
    /// A value lies outside what its type or field allows.
    InvalidValue(&'static str),
    /// A string is not UTF-8, §1.6.20.
    InvalidUtf8,
    /// A symbol is not ASCII, §1.6.21.
    InvalidSymbol,
    /// A char is no Unicode scalar value, §1.6.16.
    InvalidChar,
    /// A count claims more elements than the octets can hold.
    CountTooLarge,
    /// A map has a key without a value, §1.6.23.
    OddMapCount,
    /// Two keys of a map are identical, §1.6.23.
    DuplicateKey,
    /// Values are nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH), or than [`Limits::depth`](crate::Limits::depth).
    TooDeep,
    /// A list, map or array has more elements than [`Limits::elements`](crate::Limits::elements).
    TooManyElements,
    /// There are more values in all than [`Limits::nodes`](crate::Limits::nodes).
    TooManyValues,
}

impl DecodeErrorKind {
    #[cold]
    pub(crate) fn unexpected_descriptor(expected: &'static str, found: u64) -> Self {
        Self::UnexpectedDescriptor { expected, found: u32::try_from(found).ok().and_then(NonZeroU32::new) }
    }
}

/// The name of a field as the specification spells it.
pub(crate) struct FieldName(pub(crate) &'static str);

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.split('_').enumerate().try_for_each(|(at, word)| {
            f.write_str(if at > 0 { "-" } else { "" })?;
            f.write_str(word)
        })
    }
}

impl DecodeError {
    /// An error about the octet at `offset` from the start of the input.
    pub const fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        // Offsets beyond 4 GiB cannot occur in a frame; they saturate rather than wrap.
        let offset = if offset > u32::MAX as usize { u32::MAX } else { offset as u32 };
        Self { kind, offset }
    }

    /// What is wrong.
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// The offset of the offending octet from the start of the input, in octets.
    pub const fn offset(&self) -> u32 {
        self.offset
    }

    /// Whether more octets may turn this failure into a success.
    pub const fn is_incomplete(&self) -> bool {
        matches!(self.kind, DecodeErrorKind::Incomplete)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DecodeErrorKind as Kind;
        match self.kind {
            Kind::Incomplete => f.write_str("expected the rest of a value, found the end of the input"),
            Kind::Overrun => f.write_str("expected more octets, found the end of the sized value around"),
            Kind::LeftOver => f.write_str("expected the end of a sized value, found more octets"),
            Kind::UnknownConstructor(code) => write!(f, "expected a constructor of §1.6, found 0x{code:02x}"),
            Kind::UnexpectedType { expected, found } => {
                write!(f, "expected {expected}, found {} (0x{found:02x})", code::type_name(found))
            }
            Kind::UnexpectedDescriptor { expected, found: Some(found) } => {
                write!(f, "expected {expected}, found the descriptor 0x{found:02x}")
            }
            Kind::UnexpectedDescriptor { expected, found: None } => {
                write!(f, "expected {expected}, found another descriptor")
            }
            Kind::MissingField(name) => {
                write!(f, "expected the mandatory field {}, found null or nothing", FieldName(name))
            }
            Kind::InvalidValue(what) => write!(f, "expected {what} within its range, found another value"),
            Kind::InvalidUtf8 => f.write_str("expected UTF-8, found an octet that is none"),
            Kind::InvalidSymbol => f.write_str("expected ASCII, found an octet above 0x7f in a symbol"),
            Kind::InvalidChar => f.write_str("expected a Unicode scalar value, found a char that is none"),
            Kind::CountTooLarge => f.write_str("expected a count that the octets can hold, found a larger one"),
            Kind::OddMapCount => f.write_str("expected keys and values in pairs, found a map with an odd count"),
            Kind::DuplicateKey => f.write_str("expected keys that differ, found one identical to one before"),
            Kind::TooDeep => f.write_str("expected fewer levels, found values nested too deeply"),
            Kind::TooManyElements => f.write_str("expected fewer elements, found too many in one list, map or array"),
            Kind::TooManyValues => f.write_str("expected fewer values, found too many in all"),
        }?;
        write!(f, " at offset {}", self.offset)
    }
}

impl core::error::Error for DecodeError {}
