//! An annotated hex dump, for people.

use core::fmt::{self, Write as _};

use crate::constructor::{self as code, Width};
use crate::error::FieldName;
use crate::sasl::{SaslChallenge, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse};
use crate::{
    Accepted, Attach, Begin, Close, Composite, Coordinator, Declare, Declared, DecodeError, Detach, Discharge,
    Disposition, End, Error, FRAME_HEADER_SIZE, Flow, FrameError, FrameHeader, FrameType, Header, Limits, MAX_DEPTH,
    MessageView, Modified, Open, Properties, ProtocolHeader, ProtocolId, Reader, Received, Rejected, Released, Source,
    Target, TransactionalState, Transfer, Value,
};

/// The most lines that are printed.
const MAX_LINES: usize = 2_000;

/// The octets of a line.
const OCTETS: usize = 8;

/// The lines that the octets of one value get; the others are only counted.
const VALUE_LINES: usize = 4;

/// The most characters of a text that are printed.
const MAX_TEXT: usize = 60;

/// Says octet by octet what these octets mean: frames and protocol headers, or sections of a message, or other values.
///
/// Every line has an offset, up to eight octets, and their meaning: type, name of the field, value. What is malformed is told where
/// it is found, and the octets from there on follow without meaning. The output is bounded by 2,000 lines, however many octets there
/// are and whatever they claim; large values are cut short. Secrets of a SASL exchange are shown like all else.
///
/// ```
/// let frame = [0, 0, 0, 0x10, 2, 0, 0, 7, 0x00, 0x53, 0x18, 0xc0, 0x03, 0x01, 0x40, 0x40];
/// let text = amqp10_codec::dissect(&frame).to_string();
/// assert_eq!(text.lines().next(), Some("00000000  00 00 00 10 02 00 00 07  frame: AMQP, 16 octets, channel 7"));
/// assert_eq!(text.lines().nth(1), Some("00000008  00 53 18                   close (amqp:close:list)"));
/// ```
pub fn dissect(octets: &[u8]) -> Dissection<'_> {
    let kind = if octets.starts_with(b"AMQP") || starts_with_frame(octets) { Kind::Stream } else { Kind::Values };
    Dissection { octets, kind }
}

/// What [`dissect`] returns: to be printed.
#[derive(Clone, Copy)]
pub struct Dissection<'a> {
    octets: &'a [u8],
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Protocol headers and frames.
    Stream,
    /// Values in a row, as in a message.
    Values,
}

impl<'a> Dissection<'a> {
    /// A dissection of octets that are known to be protocol headers and frames.
    pub const fn stream(octets: &'a [u8]) -> Self {
        Self { octets, kind: Kind::Stream }
    }

    /// A dissection of octets that are known to be values in a row, such as a message or the body of a frame.
    pub const fn values(octets: &'a [u8]) -> Self {
        Self { octets, kind: Kind::Values }
    }
}

impl fmt::Debug for Dissection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dissection").field("kind", &self.kind).field("octets", &self.octets.len()).finish()
    }
}

impl fmt::Display for Dissection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut dump = Dump { out: f, lines: MAX_LINES };
        let end = match self.kind {
            Kind::Stream => dump.stream(self.octets),
            Kind::Values => dump.values(self.octets, 0, 0),
        };
        match end {
            Ok(()) => Ok(()),
            Err(Stop::Full) => f.write_str("(the rest is left out)\n"),
            Err(Stop::Fmt) => Err(fmt::Error),
        }
    }
}

/// Whether there is a frame that is whole, or at least one that could become one.
fn starts_with_frame(octets: &[u8]) -> bool {
    let Some(head) = octets.first_chunk::<FRAME_HEADER_SIZE>() else { return false };
    // A message starts with 0x00 0x53 as a rule, which would be a frame of over five million octets.
    FrameHeader::parse(*head, Limits::default().frame_size).is_ok()
}

/// Why nothing more is printed.
enum Stop {
    /// There are enough lines.
    Full,
    /// The formatter fails.
    Fmt,
}

impl From<fmt::Error> for Stop {
    fn from(_: fmt::Error) -> Self {
        Self::Fmt
    }
}

/// The composites, by descriptor, with their fields.
const COMPOSITES: [(u64, &str, &[&str]); 40] = {
    const fn of<T: Composite>() -> (u64, &'static str, &'static [&'static str]) {
        (T::CODE, T::NAME, T::FIELDS)
    }
    [
        of::<Open<'_>>(),
        of::<Begin<'_>>(),
        of::<Attach<'_>>(),
        of::<Flow<'_>>(),
        of::<Transfer<'_>>(),
        of::<Disposition<'_>>(),
        of::<Detach<'_>>(),
        of::<End<'_>>(),
        of::<Close<'_>>(),
        of::<Error<'_>>(),
        of::<Received>(),
        of::<Accepted>(),
        of::<Rejected<'_>>(),
        of::<Released>(),
        of::<Modified<'_>>(),
        of::<Source<'_>>(),
        of::<Target<'_>>(),
        (0x2b, "amqp:delete-on-close:list", &[]),
        (0x2c, "amqp:delete-on-no-links:list", &[]),
        (0x2d, "amqp:delete-on-no-messages:list", &[]),
        (0x2e, "amqp:delete-on-no-links-or-messages:list", &[]),
        of::<Coordinator<'_>>(),
        of::<Declare<'_>>(),
        of::<Discharge>(),
        of::<Declared>(),
        of::<TransactionalState<'_>>(),
        of::<SaslMechanisms<'_>>(),
        of::<SaslInit<'_>>(),
        of::<SaslChallenge<'_>>(),
        of::<SaslResponse<'_>>(),
        of::<SaslOutcome<'_>>(),
        of::<Header>(),
        of::<Properties<'_>>(),
        (0x71, "amqp:delivery-annotations:map", &[]),
        (0x72, "amqp:message-annotations:map", &[]),
        (0x74, "amqp:application-properties:map", &[]),
        (0x75, "amqp:data:binary", &[]),
        (0x76, "amqp:amqp-sequence:list", &[]),
        (0x77, "amqp:amqp-value:*", &[]),
        (0x78, "amqp:footer:map", &[]),
    ]
};

/// What a value is called by what stands around it.
#[derive(Clone, Copy)]
enum Label {
    None,
    Field(&'static str),
    /// A field beyond those that the declaration knows.
    Surplus,
    Key,
    Value,
    Item(u32),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Field(name) => write!(f, "{}: ", FieldName(name)),
            Self::Surplus => f.write_str("(unknown field): "),
            Self::Key => f.write_str("key "),
            Self::Value => f.write_str("value "),
            Self::Item(at) => write!(f, "{at}: "),
        }
    }
}

/// A text between quotes, short and without control characters.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        self.0.chars().take(MAX_TEXT).try_for_each(|character| write!(f, "{}", character.escape_debug()))?;
        f.write_str(if self.0.chars().nth(MAX_TEXT).is_some() { "\"…" } else { "\"" })
    }
}

struct Dump<'f, 'o> {
    out: &'f mut fmt::Formatter<'o>,
    lines: usize,
}

impl Dump<'_, '_> {
    /// One line: the offset, up to eight octets, what they mean.
    fn row(
        &mut self,
        at: usize,
        octets: &[u8],
        indent: usize,
        meaning: Option<fmt::Arguments<'_>>,
    ) -> Result<(), Stop> {
        self.lines = self.lines.checked_sub(1).ok_or(Stop::Full)?;
        write!(self.out, "{at:08x} ")?;
        for place in 0..OCTETS {
            match octets.get(place) {
                Some(octet) => write!(self.out, " {octet:02x}")?,
                None if meaning.is_none() => break,
                None => self.out.write_str("   ")?,
            }
        }
        if let Some(meaning) = meaning {
            write!(self.out, "  {:indent$}{meaning}", "", indent = indent.saturating_mul(2))?;
        }
        self.out.write_char('\n')?;
        Ok(())
    }

    fn line(&mut self, at: usize, octets: &[u8], indent: usize, meaning: fmt::Arguments<'_>) -> Result<(), Stop> {
        self.row(at, octets, indent, Some(meaning))
    }

    /// Octets with their meaning beside the first line; of many octets only the first lines.
    fn octets(&mut self, at: usize, octets: &[u8], indent: usize, meaning: fmt::Arguments<'_>) -> Result<(), Stop> {
        if octets.is_empty() {
            return self.line(at, octets, indent, meaning);
        }
        let mut at = at;
        for (row, chunk) in octets.chunks(OCTETS).enumerate() {
            if row >= VALUE_LINES {
                let left = octets.len().saturating_sub(VALUE_LINES.saturating_mul(OCTETS));
                self.lines = self.lines.checked_sub(1).ok_or(Stop::Full)?;
                writeln!(self.out, "{at:08x}  … {left} octets more")?;
                return Ok(());
            }
            match row {
                0 => self.row(at, chunk, indent, Some(meaning))?,
                _ => self.row(at, chunk, indent, None)?,
            }
            at = at.saturating_add(chunk.len());
        }
        Ok(())
    }

    fn stream(&mut self, octets: &[u8]) -> Result<(), Stop> {
        let mut at = 0_usize;
        while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
            let taken = if rest.starts_with(b"AMQP") { self.protocol_header(at, rest)? } else { self.frame(at, rest)? };
            let Some(taken) = taken else { return Ok(()) };
            at = at.saturating_add(taken);
        }
        Ok(())
    }

    /// Returns how many octets it took; none if nothing behind can be told.
    fn protocol_header(&mut self, at: usize, rest: &[u8]) -> Result<Option<usize>, Stop> {
        let (Ok(Some(header)), Some(octets)) = (ProtocolHeader::parse(rest), rest.get(..ProtocolHeader::SIZE)) else {
            self.octets(at, rest, 0, format_args!("a protocol header, cut short"))?;
            return Ok(None);
        };
        let [major, minor, revision] = header.version;
        let version = format_args!("{major}.{minor}.{revision}");
        match header.id {
            ProtocolId::Amqp => self.line(at, octets, 0, format_args!("protocol header: AMQP {version}"))?,
            ProtocolId::Tls => self.line(at, octets, 0, format_args!("protocol header: TLS, AMQP {version}"))?,
            ProtocolId::Sasl => self.line(at, octets, 0, format_args!("protocol header: SASL, AMQP {version}"))?,
            ProtocolId::Other(id) => {
                self.line(at, octets, 0, format_args!("protocol header: unknown id {id}, AMQP {version}"))?;
            }
        }
        Ok(Some(ProtocolHeader::SIZE))
    }

    /// As [`protocol_header`](Self::protocol_header).
    fn frame(&mut self, at: usize, rest: &[u8]) -> Result<Option<usize>, Stop> {
        let Some(head) = rest.first_chunk::<FRAME_HEADER_SIZE>() else {
            self.octets(at, rest, 0, format_args!("a frame header, cut short"))?;
            return Ok(None);
        };
        let header: Result<_, FrameError> = FrameHeader::parse(*head, u32::MAX);
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                self.octets(at, rest, 0, format_args!("error: {error}"))?;
                return Ok(None);
            }
        };
        let size = header.size;
        match header.frame_type {
            FrameType::Amqp => {
                let channel = header.channel.0;
                self.line(at, head, 0, format_args!("frame: AMQP, {size} octets, channel {channel}"))?;
            }
            FrameType::Sasl => self.line(at, head, 0, format_args!("frame: SASL, {size} octets"))?,
        }
        let frame = rest.get(..size as usize).unwrap_or(rest);
        let start = usize::from(header.body_offset);
        if let Some(extended) = frame.get(FRAME_HEADER_SIZE..start).filter(|extended| !extended.is_empty()) {
            self.octets(at.saturating_add(FRAME_HEADER_SIZE), extended, 1, format_args!("extended header"))?;
        }
        let body = frame.get(start..).unwrap_or_default();
        let body_at = at.saturating_add(start);
        if !body.is_empty() {
            self.body(body_at, body)?;
        } else if frame.len() == size as usize {
            self.line(body_at, &[], 1, format_args!("(no body)"))?;
        }
        if frame.len() < size as usize {
            let missing = (size as usize).saturating_sub(frame.len());
            let end = at.saturating_add(frame.len());
            self.line(end, &[], 0, format_args!("(the frame is cut short: {missing} octets are missing)"))?;
            return Ok(None);
        }
        Ok(Some(size as usize))
    }

    /// A performative or SASL body, and the payload behind it.
    fn body(&mut self, at: usize, body: &[u8]) -> Result<(), Stop> {
        let mut reader = Reader::inner(body, at, MAX_DEPTH);
        if !self.value(&mut reader, 1, Label::None)? || reader.is_empty() {
            return Ok(());
        }
        let (at, payload) = (reader.offset(), reader.rest());
        self.line(at, &[], 1, format_args!("payload of {} octets", payload.len()))?;
        // A payload may be a piece of a message, or something else altogether.
        if MessageView::parse(payload).is_ok() {
            self.values(payload, at, 2)
        } else {
            self.octets(at, payload, 2, format_args!("(no whole message)"))
        }
    }

    /// Values in a row.
    fn values(&mut self, octets: &[u8], at: usize, indent: usize) -> Result<(), Stop> {
        let mut reader = Reader::inner(octets, at, MAX_DEPTH);
        while !reader.is_empty() {
            if !self.value(&mut reader, indent, Label::None)? {
                break;
            }
        }
        Ok(())
    }

    /// One value; false if it is malformed, which ends everything around it too.
    fn value(&mut self, reader: &mut Reader<'_>, indent: usize, label: Label) -> Result<bool, Stop> {
        let (at, start) = (reader.offset(), reader.rest());
        match reader.octet() {
            Ok(found) => self.data(reader, at, start, found, indent, label, &[]),
            Err(error) => self.malformed(at, start, indent, error),
        }
    }

    fn malformed(&mut self, at: usize, rest: &[u8], indent: usize, error: DecodeError) -> Result<bool, Stop> {
        self.octets(at, rest, indent, format_args!("error: {error}"))?;
        Ok(false)
    }

    /// The data behind the constructor `found`. The line begins at `at` with `start`; `fields` names what is in a list.
    #[allow(clippy::too_many_arguments, reason = "all of them change with every value")]
    fn data(
        &mut self,
        reader: &mut Reader<'_>,
        at: usize,
        start: &[u8],
        found: u8,
        indent: usize,
        label: Label,
        fields: &'static [&'static str],
    ) -> Result<bool, Stop> {
        if found == code::DESCRIBED {
            return self.described(reader, at, start, indent, label);
        }
        let taken = |reader: &Reader<'_>| {
            let length = start.len().saturating_sub(reader.rest().len());
            start.get(..length).unwrap_or(start)
        };
        let wide = match code::width(found) {
            Some(Width::Sized8) if found >= code::LIST8 => Some(false),
            Some(Width::Sized32) if found >= code::LIST8 => Some(true),
            _ => None,
        };
        let Some(wide) = wide else {
            let mut ahead = reader.clone();
            return match crate::Decode::decode_data(found, &mut ahead) {
                Ok(value) => {
                    *reader = ahead;
                    self.simple(at, taken(reader), indent, label, code::type_name(found), &value)?;
                    Ok(true)
                }
                Err(error) => self.malformed(at, start, indent, error),
            };
        };
        let (count, mut inner) = match reader.compound(wide) {
            Ok(found) => found,
            Err(error) => return self.malformed(at, start, indent, error),
        };
        let head = start.len().saturating_sub(inner.rest().len()).saturating_sub(reader.rest().len());
        let head = start.get(..head).unwrap_or(start);
        let name = code::type_name(found);
        let inside = indent.saturating_add(1);
        match found {
            code::ARRAY8 | code::ARRAY32 => {
                self.octets(at, head, indent, format_args!("{label}{name} of {count}"))?;
                return self.array(&mut inner, count, inside);
            }
            code::MAP8 | code::MAP32 => {
                self.octets(at, head, indent, format_args!("{label}{name} of {} entries", count / 2))?;
            }
            _ => self.octets(at, head, indent, format_args!("{label}{name} of {count}"))?,
        }
        for place in 0..count {
            let label = match (found, fields.get(place as usize)) {
                (code::MAP8 | code::MAP32, _) if place % 2 == 0 => Label::Key,
                (code::MAP8 | code::MAP32, _) => Label::Value,
                (_, Some(name)) => Label::Field(name),
                (_, None) if !fields.is_empty() => Label::Surplus,
                _ => Label::Item(place),
            };
            let deeper = if matches!(label, Label::Value) { inside.saturating_add(1) } else { inside };
            if !self.value(&mut inner, deeper, label)? {
                return Ok(false);
            }
        }
        self.finish(&inner, inside)
    }

    /// Tells what is left over at the end of a sized value.
    fn finish(&mut self, inner: &Reader<'_>, indent: usize) -> Result<bool, Stop> {
        match inner.finish() {
            Ok(()) => Ok(true),
            Err(error) => self.malformed(inner.offset(), inner.rest(), indent, error),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "all of them change with every value")]
    fn simple(
        &mut self,
        at: usize,
        octets: &[u8],
        indent: usize,
        label: Label,
        name: &str,
        value: &Value<'_>,
    ) -> Result<(), Stop> {
        match value {
            Value::List(_) => self.octets(at, octets, indent, format_args!("{label}{name} of 0")),
            Value::Null => self.octets(at, octets, indent, format_args!("{label}null")),
            Value::String(text) => self.octets(at, octets, indent, format_args!("{label}{name} {}", Quoted(text))),
            Value::Symbol(text) => self.octets(at, octets, indent, format_args!("{label}{name} {}", Quoted(text))),
            Value::Binary(binary) => {
                self.octets(at, octets, indent, format_args!("{label}{name} of {} octets", binary.len()))
            }
            Value::Boolean(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Ubyte(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Ushort(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Uint(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Ulong(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Byte(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Short(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Int(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Long(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            Value::Float(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v:?}")),
            Value::Double(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v:?}")),
            Value::Char(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v:?}")),
            Value::Timestamp(v) => self.octets(at, octets, indent, format_args!("{label}{name} {} ms", v.0)),
            Value::Uuid(v) => self.octets(at, octets, indent, format_args!("{label}{name} {v}")),
            // The others have their octets beside them, or have none.
            _ => self.octets(at, octets, indent, format_args!("{label}{name}")),
        }
    }

    /// A descriptor and the value behind it.
    fn described(
        &mut self,
        reader: &mut Reader<'_>,
        at: usize,
        start: &[u8],
        indent: usize,
        label: Label,
    ) -> Result<bool, Stop> {
        if let Err(error) = reader.descend() {
            return self.malformed(at, start, indent, error);
        }
        let mut ahead = reader.clone();
        let descriptor = match ahead.read::<Value<'_>>() {
            Ok(descriptor) => descriptor,
            Err(error) => return self.malformed(at, start, indent, error),
        };
        let length = start.len().saturating_sub(ahead.rest().len());
        let octets = start.get(..length).unwrap_or(start);
        let known = COMPOSITES.iter().find(|(code, name, _)| match &descriptor {
            Value::Ulong(found) => found == code,
            Value::Symbol(found) => found == *name,
            _ => false,
        });
        let mut fields: &[&str] = &[];
        match (known, &descriptor) {
            (Some((_, name, names)), _) => {
                fields = names;
                let short = name.split(':').nth(1).unwrap_or(name);
                self.octets(at, octets, indent, format_args!("{label}{short} ({name})"))?;
            }
            (None, Value::Ulong(code)) => {
                self.octets(at, octets, indent, format_args!("{label}described by 0x{code:x}"))?;
            }
            (None, Value::Symbol(name)) => {
                self.octets(at, octets, indent, format_args!("{label}described by {}", Quoted(name)))?;
            }
            (None, _) => self.octets(at, octets, indent, format_args!("{label}described by a reserved descriptor"))?,
        }
        *reader = ahead;
        let inside = indent.saturating_add(1);
        let (at, start) = (reader.offset(), reader.rest());
        let whole = match reader.octet() {
            Ok(found) => self.data(reader, at, start, found, inside, Label::None, fields)?,
            Err(error) => self.malformed(at, start, inside, error)?,
        };
        reader.ascend();
        Ok(whole)
    }

    /// The constructor of an array and its elements.
    fn array(&mut self, inner: &mut Reader<'_>, count: u32, indent: usize) -> Result<bool, Stop> {
        let (at, start) = (inner.offset(), inner.rest());
        let mut element = inner.octet();
        while element == Ok(code::DESCRIBED) {
            element = inner.descend().and_then(|()| inner.skip()).and_then(|()| inner.octet());
        }
        let element = match element {
            Ok(element) => element,
            Err(error) => return self.malformed(at, start, indent, error),
        };
        let length = start.len().saturating_sub(inner.rest().len());
        let name = code::type_name(element);
        self.octets(at, start.get(..length).unwrap_or(start), indent, format_args!("each: {name}"))?;
        // There may be any number of elements that have no octets.
        let different = if matches!(code::width(element), Some(Width::Fixed(0))) { 0 } else { count };
        for place in 0..different {
            let (at, start) = (inner.offset(), inner.rest());
            if !self.data(inner, at, start, element, indent, Label::Item(place), &[])? {
                return Ok(false);
            }
        }
        self.finish(inner, indent)
    }
}
