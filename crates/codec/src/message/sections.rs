use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use crate::composite::{DecodeList, composite};
use crate::constructor as code;
use crate::{
    Binary, CompoundRef, Decode, DecodeError, Described, Encode, IntoOwned, ListReader, Milliseconds, Reader,
    SequenceNo, Str, Symbol, Timestamp, Uuid,
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

/// A [`MessageId`] that is looked at and not kept: borrowed and `Copy`. §3.2.11 to §3.2.14
// What it holds begins at the second word, as in a `ValueRef`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u64)]
pub enum MessageIdRef<'a> {
    /// A number.
    Ulong(u64),
    /// A universally unique id.
    Uuid(Uuid),
    /// Octets.
    Binary(&'a [u8]),
    /// A text.
    String(&'a str),
    /// An id of a described type that is not known here.
    Other(CompoundRef<'a>),
}

impl<'a> Decode<'a> for MessageIdRef<'a> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match constructor {
            code::STR8 | code::STR32 => Self::String(<&str>::decode_data(constructor, reader)?),
            code::ULONG0 | code::SMALLULONG | code::ULONG => Self::Ulong(u64::decode_data(constructor, reader)?),
            code::UUID => Self::Uuid(Uuid::decode_data(constructor, reader)?),
            code::VBIN8 | code::VBIN32 => Self::Binary(<&[u8]>::decode_data(constructor, reader)?),
            code::DESCRIBED => Self::Other(CompoundRef::take(constructor, reader)?),
            _ => return Err(reader.unexpected("a message-id", constructor)),
        })
    }
}

impl<'a> MessageIdRef<'a> {
    /// The same id in the form that can be kept.
    ///
    /// # Errors
    /// When an id of a described type is malformed, which it is not if it was come by reading properties.
    pub fn to_id(self) -> Result<MessageId<'a>, DecodeError> {
        Ok(match self {
            Self::Ulong(id) => MessageId::Ulong(id),
            Self::Uuid(id) => MessageId::Uuid(id),
            Self::Binary(id) => MessageId::Binary(id.into()),
            Self::String(id) => MessageId::String(id.into()),
            Self::Other(id) => MessageId::Other(Box::new(id.read()?)),
        })
    }
}

/// The text of a symbol.
struct Ascii<'a>(&'a str);

impl<'a> Decode<'a> for Ascii<'a> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Symbol::decode_text(constructor, reader).map(Self)
    }
}

/// [`Properties`] that are looked at and not kept: borrowed and `Copy`, so that reading them costs the least. §3.2.4
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PropertiesRef<'a> {
    /// The id of the message.
    pub message_id: Option<MessageIdRef<'a>>,
    /// The user who made it.
    pub user_id: Option<&'a [u8]>,
    /// The address of the node it is destined for.
    pub to: Option<&'a str>,
    /// What it is about.
    pub subject: Option<&'a str>,
    /// The address of the node that replies go to.
    pub reply_to: Option<&'a str>,
    /// The id of the message that this one belongs to.
    pub correlation_id: Option<MessageIdRef<'a>>,
    /// The MIME type of the body.
    pub content_type: Option<&'a str>,
    /// The MIME content encoding of the body.
    pub content_encoding: Option<&'a str>,
    /// When it expires.
    pub absolute_expiry_time: Option<Timestamp>,
    /// When it was made.
    pub creation_time: Option<Timestamp>,
    /// The group it belongs to.
    pub group_id: Option<&'a str>,
    /// Its place in the group.
    pub group_sequence: Option<SequenceNo>,
    /// The group that replies belong to.
    pub reply_to_group_id: Option<&'a str>,
}

impl<'a> PropertiesRef<'a> {
    /// The same properties in the form that can be kept and changed.
    ///
    /// # Errors
    /// As [`MessageIdRef::to_id`].
    pub fn to_properties(self) -> Result<Properties<'a>, DecodeError> {
        Ok(Properties {
            message_id: self.message_id.map(MessageIdRef::to_id).transpose()?,
            user_id: self.user_id.map(Binary::from),
            to: self.to.map(Str::from),
            subject: self.subject.map(Str::from),
            reply_to: self.reply_to.map(Str::from),
            correlation_id: self.correlation_id.map(MessageIdRef::to_id).transpose()?,
            content_type: self.content_type.map(Symbol::from_const),
            content_encoding: self.content_encoding.map(Symbol::from_const),
            absolute_expiry_time: self.absolute_expiry_time,
            creation_time: self.creation_time,
            group_id: self.group_id.map(Str::from),
            group_sequence: self.group_sequence,
            reply_to_group_id: self.reply_to_group_id.map(Str::from),
        })
    }
}

impl<'a> DecodeList<'a> for PropertiesRef<'a> {
    #[inline(always)]
    fn decode_fields(mut list: ListReader<'a>) -> Result<Self, DecodeError> {
        let message_id = list.optional_id()?;
        let user_id = list.optional_apart()?;
        let to = list.optional_text()?;
        let subject = list.optional_text()?;
        let reply_to = list.optional_text()?;
        let correlation_id = list.optional_id()?;
        let content_type = list.optional_apart()?.map(|Ascii(text)| text);
        let content_encoding = list.optional_apart()?.map(|Ascii(text)| text);
        let absolute_expiry_time = list.optional_apart()?;
        let creation_time = list.optional_apart()?;
        let group_id = list.optional_text()?;
        let group_sequence = list.optional_apart()?;
        let reply_to_group_id = list.optional_text()?;
        list.close()?;
        Ok(Self {
            message_id,
            user_id,
            to,
            subject,
            reply_to,
            correlation_id,
            content_type,
            content_encoding,
            absolute_expiry_time,
            creation_time,
            group_id,
            group_sequence,
            reply_to_group_id,
        })
    }
}

impl<'a> ListReader<'a> {
    /// The next field, if it is a text.
    #[inline(always)]
    fn optional_text(&mut self) -> Result<Option<&'a str>, DecodeError> {
        match self.short_string() {
            Some(text) => Ok(Some(text)),
            None => self.optional_apart(),
        }
    }

    /// The next field, if it is a message-id.
    #[inline(always)]
    fn optional_id(&mut self) -> Result<Option<MessageIdRef<'a>>, DecodeError> {
        match self.short_string() {
            Some(text) => Ok(Some(MessageIdRef::String(text))),
            None => self.optional_apart(),
        }
    }
}

impl Default for Header {
    fn default() -> Self {
        Self { durable: false, priority: 4, ttl: None, first_acquirer: false, delivery_count: 0 }
    }
}
