use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::composite::composite;
use crate::constructor as code;
use crate::{
    Binary, Decode, DecodeError, Described, Encode, IntoOwned, Milliseconds, Reader, SequenceNo, Str, Symbol,
    Timestamp, Uuid,
};

/// The id of a message, or that of the message it answers. §3.2.11 to §3.2.14
#[derive(Clone, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum MessageId<'a> {
    /// A number.
    Ulong(u64),
    /// A universally unique id.
    Uuid(Uuid),
    /// Octets.
    Binary(Binary<'a>),
    /// A text.
    String(Str<'a>),
    /// An id of a described type that is not known here, kept as it came: the specification lets others provide types of ids.
    Other(Box<Described<'a>>),
}

/// Ids of types that are not known here are equal when their octets are.
impl PartialEq for MessageId<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ulong(a), Self::Ulong(b)) => a == b,
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Other(a), Self::Other(b)) => a.reader().rest() == b.reader().rest(),
            _ => false,
        }
    }
}

impl Eq for MessageId<'_> {}

impl Hash for MessageId<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        core::mem::discriminant(self).hash(state);
        match self {
            Self::Ulong(id) => id.hash(state),
            Self::Uuid(id) => id.hash(state),
            Self::Binary(id) => id.hash(state),
            Self::String(id) => id.hash(state),
            Self::Other(id) => id.reader().rest().hash(state),
        }
    }
}

impl<'a> Decode<'a> for MessageId<'a> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match constructor {
            code::STR8 | code::STR32 => Self::String(Str::decode_data(constructor, reader)?),
            code::ULONG0 | code::SMALLULONG | code::ULONG => Self::Ulong(u64::decode_data(constructor, reader)?),
            code::UUID => Self::Uuid(Uuid::decode_data(constructor, reader)?),
            code::VBIN8 | code::VBIN32 => Self::Binary(Binary::decode_data(constructor, reader)?),
            code::DESCRIBED => Self::Other(Box::new(Described::decode_data(constructor, reader)?)),
            _ => return Err(reader.unexpected("a message-id", constructor)),
        })
    }
}

impl Encode for MessageId<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ulong(id) => id.encode(out),
            Self::Uuid(id) => id.encode(out),
            Self::Binary(id) => id.encode(out),
            Self::String(id) => id.encode(out),
            Self::Other(id) => id.encode(out),
        }
    }
}

impl IntoOwned for MessageId<'_> {
    type Owned = MessageId<'static>;

    fn into_owned(self) -> MessageId<'static> {
        match self {
            Self::Ulong(id) => MessageId::Ulong(id),
            Self::Uuid(id) => MessageId::Uuid(id),
            Self::Binary(id) => MessageId::Binary(id.into_owned()),
            Self::String(id) => MessageId::String(id.into_owned()),
            Self::Other(id) => MessageId::Other(Box::new(id.into_owned())),
        }
    }
}

impl core::fmt::Display for MessageId<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Ulong(id) => write!(f, "{id}"),
            Self::Uuid(id) => write!(f, "{id}"),
            Self::Binary(id) => id.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Self::String(id) => f.write_str(id),
            Self::Other(id) => id.reader().rest().iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

composite! {
    /// How a message is to be carried. §3.2.1
    #[derive(Copy)]
    pub struct Header: "amqp:header:list" = 0x70 {
        /// Whether the message survives the end of what holds it.
        durable: bool = false,
        /// Its priority; higher is more urgent.
        priority: u8 = 4,
        /// How long it is worth keeping.
        ttl: Option<Milliseconds>,
        /// Whether nobody has acquired it before.
        first_acquirer: bool = false,
        /// How often delivering it has failed.
        delivery_count: u32 = 0,
    }

    /// What a message is. §3.2.4
    #[derive(Default)]
    pub struct Properties<'a>: "amqp:properties:list" = 0x73 {
        /// The id of the message.
        message_id: Option<MessageId<'a>>,
        /// The user who made it.
        user_id: Option<Binary<'a>>,
        /// The address of the node it is destined for.
        to: Option<Str<'a>>,
        /// What it is about.
        subject: Option<Str<'a>>,
        /// The address of the node that replies go to.
        reply_to: Option<Str<'a>>,
        /// The id of the message that this one belongs to.
        correlation_id: Option<MessageId<'a>>,
        /// The MIME type of the body.
        content_type: Option<Symbol<'a>>,
        /// The MIME content encoding of the body.
        content_encoding: Option<Symbol<'a>>,
        /// When it expires.
        absolute_expiry_time: Option<Timestamp>,
        /// When it was made.
        creation_time: Option<Timestamp>,
        /// The group it belongs to.
        group_id: Option<Str<'a>>,
        /// Its place in the group.
        group_sequence: Option<SequenceNo>,
        /// The group that replies belong to.
        reply_to_group_id: Option<Str<'a>>,
    }
}

impl Default for Header {
    fn default() -> Self {
        Self { durable: false, priority: 4, ttl: None, first_acquirer: false, delivery_count: 0 }
    }
}
