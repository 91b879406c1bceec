use crate::constructor as code;
use crate::{DecodeError, Reader};

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
    pub(super) const ALL: [(Self, &'static str); 9] = [
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
    pub(super) const fn is_body(self) -> bool {
        matches!(self, Self::Data | Self::AmqpSequence | Self::AmqpValue)
    }

    /// Whether its value is a list, and not a map.
    #[inline(always)]
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Header | Self::Properties)
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
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
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
