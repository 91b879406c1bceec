//! The constructor octets of §1.6.

use crate::{Str, Symbol, Value};

pub(crate) const DESCRIBED: u8 = 0x00;
pub(crate) const NULL: u8 = 0x40;
pub(crate) const TRUE: u8 = 0x41;
pub(crate) const FALSE: u8 = 0x42;
pub(crate) const UINT0: u8 = 0x43;
pub(crate) const ULONG0: u8 = 0x44;
pub(crate) const LIST0: u8 = 0x45;
pub(crate) const UBYTE: u8 = 0x50;
pub(crate) const BYTE: u8 = 0x51;
pub(crate) const SMALLUINT: u8 = 0x52;
pub(crate) const SMALLULONG: u8 = 0x53;
pub(crate) const SMALLINT: u8 = 0x54;
pub(crate) const SMALLLONG: u8 = 0x55;
pub(crate) const BOOLEAN: u8 = 0x56;
pub(crate) const USHORT: u8 = 0x60;
pub(crate) const SHORT: u8 = 0x61;
pub(crate) const UINT: u8 = 0x70;
pub(crate) const INT: u8 = 0x71;
pub(crate) const FLOAT: u8 = 0x72;
pub(crate) const CHAR: u8 = 0x73;
pub(crate) const DECIMAL32: u8 = 0x74;
pub(crate) const ULONG: u8 = 0x80;
pub(crate) const LONG: u8 = 0x81;
pub(crate) const DOUBLE: u8 = 0x82;
pub(crate) const TIMESTAMP: u8 = 0x83;
pub(crate) const DECIMAL64: u8 = 0x84;
pub(crate) const DECIMAL128: u8 = 0x94;
pub(crate) const UUID: u8 = 0x98;
pub(crate) const VBIN8: u8 = 0xa0;
pub(crate) const STR8: u8 = 0xa1;
pub(crate) const SYM8: u8 = 0xa3;
pub(crate) const VBIN32: u8 = 0xb0;
pub(crate) const STR32: u8 = 0xb1;
pub(crate) const SYM32: u8 = 0xb3;
pub(crate) const LIST8: u8 = 0xc0;
pub(crate) const MAP8: u8 = 0xc1;
pub(crate) const LIST32: u8 = 0xd0;
pub(crate) const MAP32: u8 = 0xd1;
pub(crate) const ARRAY8: u8 = 0xe0;
pub(crate) const ARRAY32: u8 = 0xf0;

/// How the octets behind a constructor are measured.
pub(crate) enum Width {
    Fixed(usize),
    /// A size of one octet, then as many octets.
    Sized8,
    /// A size of four octets, then as many octets.
    Sized32,
}

/// The width of the data behind `code`; `None` for a code that §1.6 does not define, and for 0x00.
pub(crate) const fn width(code: u8) -> Option<Width> {
    Some(match code {
        NULL | TRUE | FALSE | UINT0 | ULONG0 | LIST0 => Width::Fixed(0),
        UBYTE | BYTE | SMALLUINT | SMALLULONG | SMALLINT | SMALLLONG | BOOLEAN => Width::Fixed(1),
        USHORT | SHORT => Width::Fixed(2),
        UINT | INT | FLOAT | CHAR | DECIMAL32 => Width::Fixed(4),
        ULONG | LONG | DOUBLE | TIMESTAMP | DECIMAL64 => Width::Fixed(8),
        DECIMAL128 | UUID => Width::Fixed(16),
        VBIN8 | STR8 | SYM8 | LIST8 | MAP8 | ARRAY8 => Width::Sized8,
        VBIN32 | STR32 | SYM32 | LIST32 | MAP32 | ARRAY32 => Width::Sized32,
        _ => return None,
    })
}

/// The name of the type that `code` constructs, for people.
pub(crate) const fn type_name(code: u8) -> &'static str {
    match code {
        DESCRIBED => "a described value",
        NULL => "null",
        TRUE | FALSE | BOOLEAN => "boolean",
        UBYTE => "ubyte",
        USHORT => "ushort",
        UINT0 | SMALLUINT | UINT => "uint",
        ULONG0 | SMALLULONG | ULONG => "ulong",
        BYTE => "byte",
        SHORT => "short",
        SMALLINT | INT => "int",
        SMALLLONG | LONG => "long",
        FLOAT => "float",
        DOUBLE => "double",
        DECIMAL32 => "decimal32",
        DECIMAL64 => "decimal64",
        DECIMAL128 => "decimal128",
        CHAR => "char",
        TIMESTAMP => "timestamp",
        UUID => "uuid",
        VBIN8 | VBIN32 => "binary",
        STR8 | STR32 => "string",
        SYM8 | SYM32 => "symbol",
        LIST0 | LIST8 | LIST32 => "list",
        MAP8 | MAP32 => "map",
        ARRAY8 | ARRAY32 => "array",
        _ => "no type",
    }
}

/// The descriptor of a described value, §1.1.2: a number or a symbolic name; anything else is kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Descriptor<'a> {
    /// A numeric descriptor: the domain in the upper, the id in the lower 32 bits.
    Code(u64),
    /// A symbolic descriptor such as `amqp:open:list`.
    Name(Symbol<'a>),
    /// A value that §1.1.2 reserves.
    Other(Value<'a>),
}

impl<'a> From<Value<'a>> for Descriptor<'a> {
    fn from(value: Value<'a>) -> Self {
        match value {
            Value::Ulong(code) => Self::Code(code),
            Value::Symbol(name) => Self::Name(name),
            other => Self::Other(other),
        }
    }
}

impl Descriptor<'_> {
    /// Whether this descriptor means the type with this `name` and `code`.
    pub fn is(&self, name: &str, code: u64) -> bool {
        match self {
            Self::Code(found) => *found == code,
            Self::Name(found) => found.as_str() == name,
            Self::Other(_) => false,
        }
    }
}

impl<'a> From<Str<'a>> for Value<'a> {
    fn from(text: Str<'a>) -> Self {
        Value::String(text)
    }
}
