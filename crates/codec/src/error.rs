use core::fmt;

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

impl DecodeError {
    pub(crate) const fn new(kind: DecodeErrorKind, offset: usize) -> Self {
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
        match self.kind {
            DecodeErrorKind::Incomplete => f.write_str("the input ends inside a value"),
            DecodeErrorKind::Overrun => f.write_str("a value is longer than the sized value around it"),
            DecodeErrorKind::LeftOver => f.write_str("octets are left over at the end of a sized value"),
            DecodeErrorKind::UnknownConstructor(code) => {
                write!(f, "expected a constructor, found 0x{code:02x}")
            }
            DecodeErrorKind::UnexpectedType { expected, found } => {
                write!(f, "expected {expected}, found constructor 0x{found:02x}")
            }
            DecodeErrorKind::UnexpectedDescriptor { expected } => {
                write!(f, "expected {expected}, found another descriptor")
            }
            DecodeErrorKind::MissingField(name) => {
                write!(f, "the mandatory field {name} is missing")
            }
            DecodeErrorKind::InvalidValue(what) => write!(f, "{what} is out of range"),
            DecodeErrorKind::InvalidUtf8 => f.write_str("a string is not UTF-8"),
            DecodeErrorKind::InvalidSymbol => f.write_str("a symbol is not ASCII"),
            DecodeErrorKind::InvalidChar => f.write_str("a char is not a Unicode scalar value"),
            DecodeErrorKind::CountTooLarge => f.write_str("a count is larger than its octets can hold"),
            DecodeErrorKind::OddMapCount => f.write_str("a map has a key without a value"),
            DecodeErrorKind::DuplicateKey => f.write_str("a key of a map is identical to one before"),
            DecodeErrorKind::TooManyElements => f.write_str("a list, map or array has too many elements"),
            DecodeErrorKind::TooManyValues => f.write_str("there are too many values"),
            DecodeErrorKind::TooDeep => f.write_str("values are nested too deeply"),
        }?;
        write!(f, " at offset {}", self.offset)
    }
}

impl core::error::Error for DecodeError {}
