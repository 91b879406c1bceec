use core::fmt;

use bytes::Bytes;

use crate::composite::DecodeList;
use crate::constructor as code;
use crate::keys::MapRule;
use crate::limits::Budget;
use crate::{
    Decode, DecodeError, DecodeErrorKind, Header, IntoOwned, Limits, List, MAX_DEPTH, Map, Message, MessageBody,
    MessageId, Properties, PropertiesRef, Reader, Value,
};

/// A section of a message. §3.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// §3.2.1
    Header,
    /// §3.2.2
    DeliveryAnnotations,
    /// §3.2.3
    MessageAnnotations,
    /// §3.2.4
    Properties,
    /// §3.2.5
    ApplicationProperties,
    /// §3.2.6
    Data,
    /// §3.2.7
    AmqpSequence,
    /// §3.2.8
    AmqpValue,
    /// §3.2.9
    Footer,
}

impl Section {
    /// The sections by their descriptors, which are consecutive.
    const ALL: [(Self, &'static str); 9] = [
        (Self::Header, "amqp:header:list"),
        (Self::DeliveryAnnotations, "amqp:delivery-annotations:map"),
        (Self::MessageAnnotations, "amqp:message-annotations:map"),
        (Self::Properties, "amqp:properties:list"),
        (Self::ApplicationProperties, "amqp:application-properties:map"),
        (Self::Data, "amqp:data:binary"),
        (Self::AmqpSequence, "amqp:amqp-sequence:list"),
        (Self::AmqpValue, "amqp:amqp-value:*"),
        (Self::Footer, "amqp:footer:map"),
    ];

    /// The numeric descriptor of the header; the others follow.
    const FIRST: u64 = 0x70;

    pub(crate) const fn code(self) -> u64 {
        (self as u64).saturating_add(Self::FIRST)
    }

    /// Whether the body consists of such sections.
    #[inline]
    const fn is_body(self) -> bool {
        matches!(self, Self::Data | Self::AmqpSequence | Self::AmqpValue)
    }

    #[inline]
    fn from_code(found: u64) -> Option<Self> {
        let at = usize::try_from(found.checked_sub(Self::FIRST)?).ok()?;
        Self::ALL.get(at).map(|(section, _)| *section)
    }

    /// The name of the section in the specification.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::DeliveryAnnotations => "delivery-annotations",
            Self::MessageAnnotations => "message-annotations",
            Self::Properties => "properties",
            Self::ApplicationProperties => "application-properties",
            Self::Data => "data",
            Self::AmqpSequence => "amqp-sequence",
            Self::AmqpValue => "amqp-value",
            Self::Footer => "footer",
        }
    }

    /// Takes the descriptor of a section.
    #[inline(always)]
    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        // Nearly every descriptor on a wire is a number of one octet.
        if let [code::DESCRIBED, code::SMALLULONG, number, ..] = *reader.rest() {
            reader.take(3)?;
            return Ok(Self::from_code(u64::from(number)));
        }
        // By value, so that the caller's reader can stay in registers.
        let (section, rest) = Self::read_other(reader.clone())?;
        *reader = rest;
        Ok(section)
    }

    /// Takes any descriptor; returns the section and what stands behind it.
    #[inline(never)]
    fn read_other(mut reader: Reader<'_>) -> Result<(Option<Self>, Reader<'_>), DecodeError> {
        let constructor = reader.octet()?;
        if constructor != code::DESCRIBED {
            return Err(reader.unexpected("a section of a message", constructor));
        }
        let section = match reader.peek()? {
            code::SMALLULONG | code::ULONG | code::ULONG0 => Self::from_code(reader.read()?),
            code::SYM8 | code::SYM32 => {
                let name: crate::Symbol<'_> = reader.read()?;
                Self::ALL.iter().find(|(_, known)| name == **known).map(|(section, _)| *section)
            }
            _ => None,
        };
        Ok((section, reader))
    }
}

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
    /// The value of each section, of several ones the first, and everything behind it; empty if there is none.
    values: [&'a [u8]; Section::ALL.len()],
    /// The kind of the body's sections.
    body: Option<Section>,
    body_count: u32,
}

/// The body of a message. §3.2
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// There is none.
    Empty,
    /// Octets, in one or more sections.
    Data(DataIter<'a>),
    /// Lists of values, in one or more sections.
    Sequence(SequenceIter<'a>),
    /// One value.
    Value(Value<'a>),
}

/// The data sections of a message.
#[derive(Clone, Debug)]
pub struct DataIter<'a>(BodyIter<'a>);

/// The sequence sections of a message.
#[derive(Clone, Debug)]
pub struct SequenceIter<'a>(BodyIter<'a>);

#[derive(Clone, Debug)]
struct BodyIter<'a> {
    section: Section,
    /// The sections that are still to come.
    left: u32,
    /// The value of the next one, and everything behind it.
    rest: &'a [u8],
    /// The offset of the end of `rest` in the message.
    end: usize,
}

impl<'a> BodyIter<'a> {
    const fn empty() -> Self {
        Self { section: Section::Data, left: 0, rest: &[], end: 0 }
    }

    fn next<T: Decode<'a>>(&mut self) -> Option<Result<T, MessageError>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::inner(self.rest, self.end.wrapping_sub(self.rest.len()), MAX_DEPTH);
        let mut read = || {
            let value = reader.read()?;
            if self.left > 0 {
                Section::read(&mut reader)?;
            }
            Ok(value)
        };
        let result = read().map_err(|error| MessageError::Malformed { section: Some(self.section), error });
        if result.is_err() {
            self.left = 0;
        }
        self.rest = reader.rest();
        Some(result)
    }
}

impl<'a> Iterator for DataIter<'a> {
    type Item = Result<&'a [u8], MessageError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        // Nearly every body has one section.
        if self.0.left == 1
            && let Some((octets, _)) = binary(self.0.rest)
        {
            self.0.left = 0;
            return Some(Ok(octets));
        }
        if self.0.left == 0 {
            return None;
        }
        // By value, so that the iterator can stay in registers.
        let (section, after) = self.clone().any();
        *self = after;
        section
    }
}

impl<'a> DataIter<'a> {
    /// The next section, whatever it is like, and what is to come after it.
    #[inline(never)]
    fn any(mut self) -> (Option<Result<&'a [u8], MessageError>>, Self) {
        (self.0.next(), self)
    }
}

impl<'a> Iterator for SequenceIter<'a> {
    type Item = Result<List<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// The binary at the start of `rest`, and what stands behind it.
#[inline(always)]
fn binary(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    match rest {
        [code::VBIN8, size, data @ ..] => data.split_at_checked(usize::from(*size)),
        [code::VBIN32, s0, s1, s2, s3, data @ ..] => {
            data.split_at_checked(u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize)
        }
        _ => None,
    }
}

#[inline(always)]
fn composite<'a, T: DecodeList<'a>>(reader: &mut Reader<'a>) -> Result<T, DecodeError> {
    let constructor = reader.octet()?;
    T::decode_list(constructor, reader)
}

/// The octets of a message whose sections are all in their usual form: the descriptor is a number of one octet, the value a list, a
/// map or a binary.
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

    /// Takes the section if it comes next. Returns its value and everything behind it, which is empty if another comes next, or
    /// `None` if it has another form.
    #[inline(always)]
    fn take(&mut self, section: Section) -> Option<&'a [u8]> {
        if self.next != section.code() as u8 {
            return Some(&[]);
        }
        let value = self.rest.get(3..)?;
        let [constructor, size, data @ ..] = value else { return None };
        let rest = match *constructor {
            code::LIST8 | code::MAP8 | code::VBIN8 => data.get(usize::from(*size)..)?,
            code::LIST32 | code::MAP32 | code::VBIN32 => {
                let [s1, s2, s3, data @ ..] = data else { return None };
                data.get(u32::from_be_bytes([*size, *s1, *s2, *s3]) as usize..)?
            }
            _ => return None,
        };
        *self = Self::new(rest);
        Some(value)
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

    /// Locates the sections of a message that are all in their usual form and of which none repeats, as in nearly every message.
    #[inline(always)]
    fn parse_usual(octets: &'a [u8]) -> Option<Self> {
        let mut usual = Usual::new(octets);
        let header = usual.take(Section::Header)?;
        let delivery_annotations = usual.take(Section::DeliveryAnnotations)?;
        let message_annotations = usual.take(Section::MessageAnnotations)?;
        let properties = usual.take(Section::Properties)?;
        let application_properties = usual.take(Section::ApplicationProperties)?;
        let body = Section::from_code(u64::from(usual.next)).filter(|section| section.is_body());
        let mut take_body = |section| if body == Some(section) { usual.take(section) } else { Some(&[][..]) };
        let data = take_body(Section::Data)?;
        let sequence = take_body(Section::AmqpSequence)?;
        let value = take_body(Section::AmqpValue)?;
        let footer = usual.take(Section::Footer)?;
        let values = [
            header,
            delivery_annotations,
            message_annotations,
            properties,
            application_properties,
            data,
            sequence,
            value,
            footer,
        ];
        usual.rest.is_empty().then_some(Self { octets, values, body, body_count: u32::from(body.is_some()) })
    }

    /// Locates the sections of any message.
    #[inline(never)]
    fn parse_any(octets: &'a [u8]) -> Result<Self, MessageError> {
        let mut view = Self { octets, values: [&[]; Section::ALL.len()], body: None, body_count: 0 };
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
        if let Some(value) = self.values.get_mut(section as usize)
            && !repeats
        {
            *value = reader.rest();
        }
        let mut least = (section as u8).saturating_add(1);
        if section.is_body() {
            self.body = Some(section);
            self.body_count = self.body_count.saturating_add(1);
            least = Section::Footer as u8;
        }
        reader.skip().map_err(|error| malformed(Some(section), error))?;
        Ok((reader.rest(), least))
    }

    /// A reader of a section whose descriptor was taken already, and of everything behind it.
    #[inline(always)]
    fn reader(&self, section: Section) -> Option<Reader<'a>> {
        let value = self.values.get(section as usize).copied().filter(|value| !value.is_empty())?;
        Some(Reader::inner(value, self.octets.len().wrapping_sub(value.len()), MAX_DEPTH))
    }

    /// Decodes a section.
    #[inline(always)]
    fn section<T>(
        &self,
        section: Section,
        decode: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, MessageError> {
        let Some(mut reader) = self.reader(section) else { return Ok(None) };
        match decode(&mut reader) {
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
        self.section(Section::Header, composite)
    }

    /// The delivery-annotations. §3.2.2
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn delivery_annotations(&self) -> Result<Option<Map<'a>>, MessageError> {
        self.section(Section::DeliveryAnnotations, Reader::read)
    }

    /// The message-annotations. §3.2.3
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn message_annotations(&self) -> Result<Option<Map<'a>>, MessageError> {
        self.section(Section::MessageAnnotations, Reader::read)
    }

    /// The properties. §3.2.4
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn properties(&self) -> Result<Option<Properties<'a>>, MessageError> {
        self.section(Section::Properties, composite)
    }

    /// The same to be looked at and not kept: at less than half the cost. §3.2.4
    ///
    /// # Errors
    /// When the section is malformed.
    #[inline(always)]
    pub fn properties_ref(&self) -> Result<Option<PropertiesRef<'a>>, MessageError> {
        self.section(Section::Properties, composite)
    }

    /// The application-properties; an empty map if the message has none. §3.2.5
    ///
    /// # Errors
    /// When the section is malformed.
    #[inline]
    pub fn application_properties(&self) -> Result<Map<'a>, MessageError> {
        let found = self.section(Section::ApplicationProperties, Reader::read)?;
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
            _ => match self.section(section, Reader::read)? {
                Some(value) => Body::Value(value),
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
        let Some(reader) = self.reader(section) else { return BodyIter::empty() };
        BodyIter { section, left: self.body_count, rest: reader.rest(), end: self.octets.len() }
    }

    /// The footer. §3.2.9
    ///
    /// # Errors
    /// When the section is malformed.
    pub fn footer(&self) -> Result<Option<Map<'a>>, MessageError> {
        self.section(Section::Footer, Reader::read)
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
            if let Some(map) = self.section(section, Reader::read::<Map<'_>>)? {
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
        let map = |section| {
            self.section(section, |reader| {
                let map: Map<'_> = reader.read()?;
                map.refuse_duplicates()?;
                Ok(map.into_owned())
            })
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
    use super::*;

    /// What is located without a loop is what the loop locates, whatever one octet is changed to and wherever the message ends.
    #[test]
    fn both_ways_to_locate_agree() {
        let whole = [
            &[0, 0x53, 0x70, 0xc0, 2, 1, 0x41, 0, 0x53, 0x72, 0xc1, 1, 0][..],
            &[0, 0x53, 0x73, 0xd0, 0, 0, 0, 5, 0, 0, 0, 1, 0x44, 0, 0x53, 0x74, 0xc1, 1, 0],
            &[0, 0x53, 0x75, 0xa0, 1, 9, 0, 0x53, 0x78, 0xc1, 1, 0],
        ]
        .concat();
        let agree = |octets: &[u8]| {
            let any = MessageView::parse_any(octets);
            let Some(view) = MessageView::parse_usual(octets) else { return false };
            let any = any.expect("the other way locates it");
            assert_eq!(
                (view.values, view.body, view.body_count),
                (any.values, any.body, any.body_count),
                "{octets:02x?}"
            );
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
