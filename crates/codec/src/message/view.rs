use core::fmt;

use bytes::Bytes;

use crate::constructor as code;
use crate::keys::MapRule;
use crate::limits::Budget;
use crate::message::body::{Body, BodyIter, DataIter, SequenceIter, binary};
use crate::message::compound::{Compound, Inside};
use crate::{
    DecodeError, DecodeErrorKind, Header, IntoOwned, Limits, List, MAX_DEPTH, Map, Message, MessageBody, MessageId,
    Properties, PropertiesRef, Reader, Section, Value,
};

/// Why octets are not a message, or one of its sections cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// A section is malformed; `None` if it is not even clear which one.
    Malformed {
        /// The section.
        section: Option<Section>,
        /// What is wrong, and where in the message.
        error: DecodeError,
    },
    /// A value that is no section of a message, at this offset.
    UnknownSection(u32),
    /// A section out of order, or repeated, at this offset. §3.2
    OutOfOrder(Section, u32),
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { section: Some(section), error } => write!(f, "the {} section: {error}", section.name()),
            Self::Malformed { section: None, error } => write!(f, "the message: {error}"),
            Self::UnknownSection(at) => write!(f, "a value at offset {at} is no section of a message (§3.2)"),
            Self::OutOfOrder(section, at) => {
                write!(f, "the {} section at offset {at} stands out of order (§3.2)", section.name())
            }
        }
    }
}

impl core::error::Error for MessageError {}

/// A message whose sections have been located but not decoded: each is decoded, borrowed, when it is asked for.
///
/// Sections are located in one pass that neither allocates nor looks inside. Sections out of order, repeated or unknown are
/// errors; a message without a body, which §3.2 does not permit but peers send, has the body [`Body::Empty`].
#[derive(Clone, Debug)]
pub struct MessageView<'a> {
    octets: &'a [u8],
    /// The sections that are lists or maps; of the body there is none.
    compounds: [Option<Compound<'a>>; Section::ALL.len()],
    /// The kind of the body's sections.
    body: Option<Section>,
    body_count: u32,
    /// The value of the body's first section and everything behind it.
    body_rest: &'a [u8],
}

/// The octets of a message whose sections are all in their usual form: the descriptor is a number of one octet, the value the list,
/// map or binary that it ought to be.
struct Usual<'a> {
    rest: &'a [u8],
    /// The descriptor at the start of `rest`; 0 if there is none of the usual form.
    next: u8,
}

impl<'a> Usual<'a> {
    #[inline(always)]
    fn new(rest: &'a [u8]) -> Self {
        let next = if let [code::DESCRIBED, code::SMALLULONG, number, ..] = *rest { number } else { 0 };
        Self { rest, next }
    }

    /// The value of the section, if it comes next.
    #[inline(always)]
    fn value(&self, section: Section) -> Option<&'a [u8]> {
        if self.next == section.code() as u8 { self.rest.get(3..) } else { None }
    }

    /// Takes the section if it comes next; `None` if it has another form.
    #[inline(always)]
    fn compound(&mut self, section: Section) -> Option<Option<Compound<'a>>> {
        let Some(value) = self.value(section) else { return Some(None) };
        let (compound, rest) = Compound::usual(section, value)?;
        *self = Self::new(rest);
        Some(Some(compound))
    }

    /// Takes the value of a data section if it comes next; `None` if it has another form.
    #[inline(always)]
    fn data(&mut self) -> Option<Option<&'a [u8]>> {
        let Some(value) = self.value(Section::Data) else { return Some(None) };
        let (_, rest) = binary(value)?;
        *self = Self::new(rest);
        Some(Some(value))
    }
}

impl<'a> MessageView<'a> {
    /// Locates the sections of a message.
    ///
    /// # Errors
    /// When the octets are not a sequence of sections in the order of §3.2.
    #[inline(always)]
    pub fn parse(octets: &'a [u8]) -> Result<Self, MessageError> {
        // Section after section in their order, without a loop, so that the parts of the view can stay in registers.
        match Self::parse_usual(octets) {
            Some(view) => Ok(view),
            None => Self::parse_any(octets),
        }
    }

    /// Locates the sections of a message that has them all in their usual form, and as its body no more than one of data.
    #[inline(always)]
    fn parse_usual(octets: &'a [u8]) -> Option<Self> {
        let mut usual = Usual::new(octets);
        let header = usual.compound(Section::Header)?;
        let delivery_annotations = usual.compound(Section::DeliveryAnnotations)?;
        let message_annotations = usual.compound(Section::MessageAnnotations)?;
        let properties = usual.compound(Section::Properties)?;
        let application_properties = usual.compound(Section::ApplicationProperties)?;
        let data = usual.data()?;
        let footer = usual.compound(Section::Footer)?;
        let compounds = [
            header,
            delivery_annotations,
            message_annotations,
            properties,
            application_properties,
            None,
            None,
            None,
            footer,
        ];
        let view = Self {
            octets,
            compounds,
            body: data.map(|_| Section::Data),
            body_count: u32::from(data.is_some()),
            body_rest: data.unwrap_or_default(),
        };
        usual.rest.is_empty().then_some(view)
    }

    /// Locates the sections of any message.
    #[inline(never)]
    fn parse_any(octets: &'a [u8]) -> Result<Self, MessageError> {
        let compounds = [None; Section::ALL.len()];
        let mut view = Self { octets, compounds, body: None, body_count: 0, body_rest: &[] };
        let mut rest = octets;
        // The first section that may stand next, unless it repeats one.
        let mut least = 0;
        while !rest.is_empty() {
            (rest, least) = view.locate(rest, least)?;
        }
        Ok(view)
    }

    /// Notes where the section at the start of `rest` stands, whatever it is like; returns what stands behind it.
    fn locate(&mut self, rest: &'a [u8], least: u8) -> Result<(&'a [u8], u8), MessageError> {
        let at = self.octets.len().wrapping_sub(rest.len());
        let mut reader = Reader::inner(rest, at, MAX_DEPTH);
        let malformed = |section, error| MessageError::Malformed { section, error };
        let section = Section::read(&mut reader).map_err(|error| malformed(None, error))?;
        let Some(section) = section else { return Err(MessageError::UnknownSection(at as u32)) };
        // Only data and sequences repeat. §3.2
        let repeats = self.body == Some(section) && section != Section::AmqpValue && least == Section::Footer as u8;
        if (section as u8) < least && !repeats {
            return Err(MessageError::OutOfOrder(section, at as u32));
        }
        let mut least = (section as u8).saturating_add(1);
        if section.is_body() {
            if !repeats {
                self.body_rest = reader.rest();
            }
            self.body = Some(section);
            self.body_count = self.body_count.saturating_add(1);
            least = Section::Footer as u8;
        } else if let Some(compound) = self.compounds.get_mut(section as usize) {
            *compound = Some(Compound::any(section, reader.rest()));
        }
        reader.skip().map_err(|error| malformed(Some(section), error))?;
        Ok((reader.rest(), least))
    }

    /// Decodes a section that is a list or a map.
    #[inline(always)]
    fn section<T: Inside<'a>>(&self, section: Section) -> Result<Option<T>, MessageError> {
        let Some(compound) = self.compounds.get(section as usize).copied().flatten() else { return Ok(None) };
        match compound.decode(self.octets, section) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(MessageError::Malformed { section: Some(section), error }),
        }
    }

    /// The header. §3.2.1
    ///
    /// # Errors
    /// When the section is malformed.
    #[inline]
    pub fn header(&self) -> Result<Option<Header>, MessageError> {
        self.section(Section::Header)
    }

    /// The delivery-annotations. §3.2.2
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn delivery_annotations(&self) -> Result<Option<Map<'a>>, MessageError> {
        self.section(Section::DeliveryAnnotations)
    }

    /// The message-annotations. §3.2.3
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn message_annotations(&self) -> Result<Option<Map<'a>>, MessageError> {
        self.section(Section::MessageAnnotations)
    }

    /// The properties. §3.2.4
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn properties(&self) -> Result<Option<Properties<'a>>, MessageError> {
        self.section(Section::Properties)
    }

    /// The same to be looked at and not kept: at less than half the cost. §3.2.4
    ///
    /// # Errors
    /// When the section is malformed.
    #[inline(always)]
    pub fn properties_ref(&self) -> Result<Option<PropertiesRef<'a>>, MessageError> {
        self.section(Section::Properties)
    }

    /// The application-properties; an empty map if the message has none. §3.2.5
    ///
    /// # Errors
    /// When the section is malformed.
    #[inline]
    pub fn application_properties(&self) -> Result<Map<'a>, MessageError> {
        let found = self.section(Section::ApplicationProperties)?;
        Ok(found.unwrap_or_default())
    }

    /// The body. §3.2.6 to §3.2.8
    ///
    /// # Errors
    /// When an amqp-value section is malformed; data and sequences are decoded as they are walked.
    pub fn body(&self) -> Result<Body<'a>, MessageError> {
        let Some(section) = self.body else { return Ok(Body::Empty) };
        Ok(match section {
            Section::Data => Body::Data(DataIter(self.sections())),
            Section::AmqpSequence => Body::Sequence(SequenceIter(self.sections())),
            _ => match self.sections().next() {
                Some(value) => Body::Value(value?),
                None => Body::Empty,
            },
        })
    }

    /// The data sections, of which there are none if the body is of another kind. §3.2.6
    #[inline(always)]
    pub fn data(&self) -> DataIter<'a> {
        DataIter(if self.body == Some(Section::Data) { self.sections() } else { BodyIter::empty() })
    }

    /// The sections of the body.
    #[inline(always)]
    fn sections(&self) -> BodyIter<'a> {
        let Some(section) = self.body else { return BodyIter::empty() };
        BodyIter { section, left: self.body_count, rest: self.body_rest, end: self.octets.len() }
    }

    /// The footer. §3.2.9
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn footer(&self) -> Result<Option<Map<'a>>, MessageError> {
        self.section(Section::Footer)
    }

    /// Decodes every section fully and throws the result away: the strict reading of §3.2.
    ///
    /// Annotations and the footer must have symbols or ulongs as keys, §3.2.10; application-properties strings as keys and simple
    /// values, §3.2.5; no key may stand in a map twice, §1.6.23.
    ///
    /// # Errors
    /// When anything in the message is malformed, breaks one of these rules or is beyond the [default limits](Limits), or when the
    /// body, which §3.2 demands, is missing.
    pub fn validate(&self) -> Result<(), MessageError> {
        self.validate_within(&Limits::default())
    }

    /// The same within limits of the caller's own.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn validate_within(&self, limits: &Limits) -> Result<(), MessageError> {
        let budget = &mut Budget::new(limits);
        let malformed = |section| move |error| MessageError::Malformed { section: Some(section), error };
        self.header()?;
        let properties = self.properties()?.unwrap_or_default();
        for id in [properties.message_id, properties.correlation_id].into_iter().flatten() {
            if let MessageId::Other(id) = id {
                id.check(budget).map_err(malformed(Section::Properties))?;
            }
        }
        let maps = [
            (Section::DeliveryAnnotations, MapRule::Annotations),
            (Section::MessageAnnotations, MapRule::Annotations),
            (Section::ApplicationProperties, MapRule::ApplicationProperties),
            (Section::Footer, MapRule::Annotations),
        ];
        for (section, rule) in maps {
            if let Some(map) = self.section::<Map<'_>>(section)? {
                map.check(rule, budget).map_err(malformed(section))?;
            }
        }
        match self.body()? {
            Body::Empty => {
                let error = DecodeError::new(DecodeErrorKind::MissingField("body"), self.octets.len());
                Err(MessageError::Malformed { section: None, error })
            }
            Body::Data(mut data) => data.try_for_each(|section| section.map(drop)),
            Body::Sequence(mut lists) => {
                lists.try_for_each(|list| list?.check(budget).map_err(malformed(Section::AmqpSequence)))
            }
            Body::Value(value) => value.check(budget).map_err(malformed(Section::AmqpValue)),
        }
    }

    /// The message with everything copied out.
    ///
    /// # Errors
    /// When a section is malformed, or a key stands twice in one of its maps, §1.6.23. What is nested deeper is copied as it is:
    /// [`validate`](Self::validate) looks at all of it.
    pub fn to_message(&self) -> Result<Message, MessageError> {
        self.message_with(Bytes::copy_from_slice)
    }

    /// The same, with data sections made into `Bytes` by `share`.
    pub(super) fn message_with(&self, share: impl Fn(&'a [u8]) -> Bytes) -> Result<Message, MessageError> {
        let body = match self.body()? {
            Body::Empty => MessageBody::Empty,
            Body::Data(data) => MessageBody::Data(data.map(|section| section.map(&share)).collect::<Result<_, _>>()?),
            Body::Sequence(lists) => {
                MessageBody::Sequence(lists.map(|list| list.map(List::into_owned)).collect::<Result<_, _>>()?)
            }
            Body::Value(value) => {
                if let Value::Map(map) = &value {
                    map.refuse_duplicates()
                        .map_err(|error| MessageError::Malformed { section: Some(Section::AmqpValue), error })?;
                }
                MessageBody::Value(value.into_owned())
            }
        };
        let map = |section| match self.section::<Map<'_>>(section)? {
            Some(map) => match map.refuse_duplicates() {
                Ok(()) => Ok(Some(map.into_owned())),
                Err(error) => Err(MessageError::Malformed { section: Some(section), error }),
            },
            None => Ok(None),
        };
        Ok(Message {
            header: self.header()?,
            delivery_annotations: map(Section::DeliveryAnnotations)?,
            message_annotations: map(Section::MessageAnnotations)?,
            properties: self.properties()?.into_owned(),
            application_properties: map(Section::ApplicationProperties)?,
            body,
            footer: map(Section::Footer)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// All that a message holds, or why it cannot be decoded.
    fn contents<'a>(view: &MessageView<'a>) -> impl PartialEq + fmt::Debug + use<'a> {
        (
            (view.header(), view.properties(), view.properties_ref()),
            (view.delivery_annotations(), view.message_annotations(), view.application_properties(), view.footer()),
            view.data().collect::<Vec<_>>(),
        )
    }

    /// What is located without a loop is what the loop locates, whatever one octet is changed to and wherever the message ends.
    #[test]
    fn both_ways_to_locate_agree() {
        let whole = [
            &[0, 0x53, 0x70, 0xc0, 2, 1, 0x41, 0, 0x53, 0x72, 0xc1, 1, 0][..],
            &[0, 0x53, 0x73, 0xd0, 0, 0, 0, 5, 0, 0, 0, 1, 0x44, 0, 0x53, 0x74, 0xc1, 1, 0],
            &[0, 0x53, 0x75, 0xa0, 4, 9, 9, 9, 9, 0, 0x53, 0x78, 0xc1, 1, 0],
        ]
        .concat();
        let agree = |octets: &[u8]| {
            let any = MessageView::parse_any(octets);
            let Some(view) = MessageView::parse_usual(octets) else { return false };
            let any = any.expect("the other way locates it");
            assert_eq!(contents(&view), contents(&any), "{octets:02x?}");
            true
        };
        assert!(agree(&whole));
        let mut usual = 0;
        for at in 0..whole.len() {
            agree(&whole[..at]);
            for octet in 0..=u8::MAX {
                let mut changed = whole.clone();
                changed[at] = octet;
                usual += u32::from(agree(&changed));
            }
        }
        assert!(usual > 1000, "{usual}");
    }
}
