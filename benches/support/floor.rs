//! The floor: what reading a message costs at the least in safe Rust. A borrowed reader that checks bounds, UTF-8 and ASCII,
//! visits everything once and keeps nothing. It shares no code with `amqp10-codec`.
//!
//! It is no codec: it does not look at the order of sections, knows descriptors as numbers only, skips fields of the header
//! behind `durable`, reads no compound value but the map of a section or body, has no limits, and does not say what is wrong.

use std::fmt::Debug;
use std::hint::black_box;

/// Who is handed the values.
trait Visitor {
    fn see<T: Copy + Debug>(&mut self, value: T);
}

/// Makes the compiler believe that each value is used.
struct BlackBox;

impl Visitor for BlackBox {
    #[inline(always)]
    fn see<T: Copy + Debug>(&mut self, value: T) {
        black_box(value);
    }
}

/// Reads a message with a body of data or of one value: hands out header.durable, every field of properties, every key and value
/// of the maps of sections, and the first and last octet of data. `None` if it is malformed.
#[inline]
pub fn floor(octets: &[u8]) -> Option<()> {
    message(octets, &mut BlackBox)
}

#[inline(always)]
fn message(octets: &[u8], visitor: &mut impl Visitor) -> Option<()> {
    let mut reader = Reader(octets);
    while !reader.0.is_empty() {
        match reader.descriptor()? {
            0x70 => {
                let mut fields = reader.list()?;
                visitor.see(fields.field(Reader::boolean)?.unwrap_or(false));
            }
            0x73 => properties(reader.list()?, visitor)?,
            0x74 => entries(reader.map()?, Reader::string, visitor)?,
            0x71 | 0x72 | 0x78 => entries(reader.map()?, Reader::symbol, visitor)?,
            0x75 => {
                let code = reader.octet()?;
                let data = reader.binary(code)?;
                visitor.see((data.first(), data.last()));
            }
            0x77 if matches!(reader.0.first()?, 0xc1 | 0xd1) => entries(reader.map()?, Reader::string, visitor)?,
            0x77 => value(&mut reader, visitor)?,
            _ => return None,
        }
    }
    Some(())
}

#[inline(always)]
fn properties(mut fields: Fields<'_>, visitor: &mut impl Visitor) -> Option<()> {
    id(&mut fields, visitor)?;
    visitor.see(fields.field(Reader::binary)?);
    for _ in 0..3 {
        visitor.see(fields.field(Reader::string)?);
    }
    id(&mut fields, visitor)?;
    for _ in 0..2 {
        visitor.see(fields.field(Reader::symbol)?);
    }
    for _ in 0..2 {
        visitor.see(fields.field(Reader::timestamp)?);
    }
    visitor.see(fields.field(Reader::string)?);
    visitor.see(fields.field(Reader::uint)?);
    visitor.see(fields.field(Reader::string)?);
    fields.end()
}

/// A message-id or correlation-id.
#[inline(always)]
fn id(fields: &mut Fields<'_>, visitor: &mut impl Visitor) -> Option<()> {
    match fields.code()? {
        None => visitor.see(None::<&str>),
        Some(code @ (0xa1 | 0xb1)) => visitor.see(Some(fields.reader.string(code)?)),
        Some(code @ (0xa0 | 0xb0)) => visitor.see(Some(fields.reader.binary(code)?)),
        Some(0x98) => visitor.see(Some(fields.reader.array::<16>()?)),
        Some(code) => visitor.see(Some(fields.reader.ulong(code)?)),
    }
    Some(())
}

#[inline(always)]
fn entries<'a>(
    mut fields: Fields<'a>,
    key: impl Fn(&mut Reader<'a>, u8) -> Option<&'a str>,
    visitor: &mut impl Visitor,
) -> Option<()> {
    if !fields.count.is_multiple_of(2) {
        return None;
    }
    for _ in 0..fields.count / 2 {
        let code = fields.reader.octet()?;
        visitor.see(key(&mut fields.reader, code)?);
        value(&mut fields.reader, visitor)?;
    }
    fields.count = 0;
    fields.end()
}

/// Any value but a described one or one of other values.
#[inline(always)]
fn value(reader: &mut Reader<'_>, visitor: &mut impl Visitor) -> Option<()> {
    match reader.octet()? {
        0x40 => visitor.see(()),
        code @ (0x41 | 0x42 | 0x56) => visitor.see(reader.boolean(code)?),
        0x50 => visitor.see(reader.octet()?),
        0x60 => visitor.see(u16::from_be_bytes(reader.array()?)),
        code @ (0x43 | 0x52 | 0x70) => visitor.see(reader.uint(code)?),
        code @ (0x44 | 0x53 | 0x80) => visitor.see(reader.ulong(code)?),
        0x51 => visitor.see(reader.octet()?.cast_signed()),
        0x61 => visitor.see(i16::from_be_bytes(reader.array()?)),
        0x54 => visitor.see(i32::from(reader.octet()?.cast_signed())),
        0x71 => visitor.see(i32::from_be_bytes(reader.array()?)),
        0x55 => visitor.see(i64::from(reader.octet()?.cast_signed())),
        0x81 => visitor.see(i64::from_be_bytes(reader.array()?)),
        0x72 => visitor.see(f32::from_be_bytes(reader.array()?)),
        0x82 => visitor.see(f64::from_be_bytes(reader.array()?)),
        0x73 => visitor.see(char::from_u32(u32::from_be_bytes(reader.array()?))?),
        0x83 => visitor.see(i64::from_be_bytes(reader.array()?)),
        0x74 => visitor.see(reader.array::<4>()?),
        0x84 => visitor.see(reader.array::<8>()?),
        0x94 | 0x98 => visitor.see(reader.array::<16>()?),
        code @ (0xa0 | 0xb0) => visitor.see(reader.binary(code)?),
        code @ (0xa1 | 0xb1) => visitor.see(reader.string(code)?),
        code @ (0xa3 | 0xb3) => visitor.see(reader.symbol(code)?),
        _ => return None,
    }
    Some(())
}

/// What has not been read. A value is read behind its constructor, which the caller has taken.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline(always)]
    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*octet)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    #[inline(always)]
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(taken)
    }

    /// A size or count of four octets.
    #[inline(always)]
    fn size(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.array()?) as usize)
    }

    /// The descriptor of a section.
    #[inline(always)]
    fn descriptor(&mut self) -> Option<u64> {
        if self.octet()? != 0 {
            return None;
        }
        let code = self.octet()?;
        self.ulong(code)
    }

    #[inline(always)]
    fn list(&mut self) -> Option<Fields<'a>> {
        match self.octet()? {
            0x45 => Some(Fields { count: 0, reader: Reader(&[]) }),
            code => self.fields(code, 0xc0, 0xd0),
        }
    }

    #[inline(always)]
    fn map(&mut self) -> Option<Fields<'a>> {
        let code = self.octet()?;
        self.fields(code, 0xc1, 0xd1)
    }

    #[inline(always)]
    fn fields(&mut self, code: u8, short: u8, long: u8) -> Option<Fields<'a>> {
        if code == short {
            let size = self.octet()?;
            let mut reader = Reader(self.take(size.into())?);
            Some(Fields { count: reader.octet()?.into(), reader })
        } else if code == long {
            let size = self.size()?;
            let mut reader = Reader(self.take(size)?);
            Some(Fields { count: reader.size()?, reader })
        } else {
            None
        }
    }

    /// The octets of a value of variable width.
    #[inline(always)]
    fn variable(&mut self, code: u8, short: u8, long: u8) -> Option<&'a [u8]> {
        let size = if code == short {
            self.octet()?.into()
        } else if code == long {
            self.size()?
        } else {
            return None;
        };
        self.take(size)
    }

    #[inline(always)]
    fn binary(&mut self, code: u8) -> Option<&'a [u8]> {
        self.variable(code, 0xa0, 0xb0)
    }

    #[inline(always)]
    fn string(&mut self, code: u8) -> Option<&'a str> {
        std::str::from_utf8(self.variable(code, 0xa1, 0xb1)?).ok()
    }

    #[inline(always)]
    fn symbol(&mut self, code: u8) -> Option<&'a str> {
        let octets = self.variable(code, 0xa3, 0xb3)?;
        if octets.is_ascii() { std::str::from_utf8(octets).ok() } else { None }
    }

    #[inline(always)]
    fn boolean(&mut self, code: u8) -> Option<bool> {
        match code {
            0x41 => Some(true),
            0x42 => Some(false),
            0x56 => match self.octet()? {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
            _ => None,
        }
    }

    #[inline(always)]
    fn uint(&mut self, code: u8) -> Option<u32> {
        match code {
            0x43 => Some(0),
            0x52 => self.octet().map(u32::from),
            0x70 => self.array().map(u32::from_be_bytes),
            _ => None,
        }
    }

    #[inline(always)]
    fn ulong(&mut self, code: u8) -> Option<u64> {
        match code {
            0x44 => Some(0),
            0x53 => self.octet().map(u64::from),
            0x80 => self.array().map(u64::from_be_bytes),
            _ => None,
        }
    }

    #[inline(always)]
    fn timestamp(&mut self, code: u8) -> Option<i64> {
        if code == 0x83 { self.array().map(i64::from_be_bytes) } else { None }
    }
}

/// The fields of a list, or the keys and values of a map, that have not been read.
struct Fields<'a> {
    count: usize,
    reader: Reader<'a>,
}

impl<'a> Fields<'a> {
    /// The constructor of the next field; `None` inside if it is null or left out.
    #[inline(always)]
    fn code(&mut self) -> Option<Option<u8>> {
        let Some(count) = self.count.checked_sub(1) else { return Some(None) };
        self.count = count;
        let code = self.reader.octet()?;
        Some((code != 0x40).then_some(code))
    }

    /// The next field; `None` inside if it is null or left out.
    #[inline(always)]
    fn field<T>(&mut self, read: impl Fn(&mut Reader<'a>, u8) -> Option<T>) -> Option<Option<T>> {
        match self.code()? {
            Some(code) => read(&mut self.reader, code).map(Some),
            None => Some(None),
        }
    }

    /// Fails unless all were read and nothing stands behind them.
    #[inline(always)]
    fn end(self) -> Option<()> {
        (self.count == 0 && self.reader.0.is_empty()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use amqp10_codec::{Body, MessageIdRef, MessageView, Value, ValueRef};

    use super::*;
    use crate::{device_message, encoded, map_message, read_map, read_message};

    /// Writes down what it sees.
    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Visitor for Seen {
        fn see<T: Copy + Debug>(&mut self, value: T) {
            self.0.push(format!("{value:?}"));
        }
    }

    fn seen(octets: &[u8]) -> Option<Vec<String>> {
        let mut seen = Seen::default();
        message(octets, &mut seen)?;
        Some(seen.0)
    }

    fn see_id(seen: &mut Seen, id: Option<MessageIdRef<'_>>) {
        match id {
            None => seen.see(None::<&str>),
            Some(MessageIdRef::Ulong(id)) => seen.see(Some(id)),
            Some(MessageIdRef::Uuid(id)) => seen.see(Some(id.0)),
            Some(MessageIdRef::Binary(id)) => seen.see(Some(id)),
            Some(MessageIdRef::String(id)) => seen.see(Some(id)),
            Some(other) => panic!("no message of the benchmarks has {other:?}"),
        }
    }

    fn see_value(seen: &mut Seen, value: ValueRef<'_>) {
        match value {
            ValueRef::String(value) | ValueRef::Symbol(value) => seen.see(value),
            ValueRef::Binary(value) => seen.see(value),
            ValueRef::Boolean(value) => seen.see(value),
            ValueRef::Int(value) => seen.see(value),
            ValueRef::Uint(value) => seen.see(value),
            ValueRef::Long(value) => seen.see(value),
            ValueRef::Ulong(value) => seen.see(value),
            ValueRef::Double(value) => seen.see(value),
            ValueRef::Timestamp(value) => seen.see(value.0),
            ValueRef::Uuid(value) => seen.see(value.0),
            other => panic!("no message of the benchmarks has {other:?}"),
        }
    }

    /// What the codec hands out of the same message, in the same order.
    fn seen_by_codec(octets: &[u8]) -> Vec<String> {
        let view = MessageView::parse(octets).expect("it is a message");
        let mut seen = Seen::default();
        if let Some(header) = view.header().expect("a header") {
            seen.see(header.durable);
        }
        if let Some(properties) = view.properties_ref().expect("properties") {
            see_id(&mut seen, properties.message_id);
            seen.see(properties.user_id);
            seen.see(properties.to);
            seen.see(properties.subject);
            seen.see(properties.reply_to);
            see_id(&mut seen, properties.correlation_id);
            seen.see(properties.content_type);
            seen.see(properties.content_encoding);
            seen.see(properties.absolute_expiry_time.map(|time| time.0));
            seen.see(properties.creation_time.map(|time| time.0));
            seen.see(properties.group_id);
            seen.see(properties.group_sequence.map(|sequence| sequence.0));
            seen.see(properties.reply_to_group_id);
        }
        let map = match view.body().expect("a body") {
            Body::Value(Value::Map(map)) => map,
            _ => view.application_properties().expect("application-properties"),
        };
        for entry in map.named_entries() {
            let (key, value) = entry.expect("an entry");
            seen.see(key);
            see_value(&mut seen, value);
        }
        for data in view.data() {
            let data = data.expect("data");
            seen.see((data.first(), data.last()));
        }
        seen.0
    }

    fn messages() -> Vec<amqp10_codec::Message> {
        use amqp10_codec::{Binary, Message, MessageId, Properties, SequenceNo, Symbol, Timestamp, Uuid};
        let properties = Properties {
            message_id: Some(MessageId::Uuid(Uuid([5; 16]))),
            user_id: Some(Binary::from(b"user")),
            to: Some("to".into()),
            subject: Some("subject".into()),
            reply_to: Some("reply-to".into()),
            correlation_id: Some(MessageId::Ulong(70_000)),
            content_type: Some(Symbol::from_static("text/plain")),
            content_encoding: Some(Symbol::from_static("identity")),
            absolute_expiry_time: Some(Timestamp(1_700_000_000_000)),
            creation_time: Some(Timestamp(-1)),
            group_id: Some("gruppe-ü".into()),
            group_sequence: Some(SequenceNo(300)),
            reply_to_group_id: Some("x".repeat(300).into()),
        };
        let full = Message { properties: Some(properties), ..device_message() };
        vec![device_message(), map_message(), full]
    }

    #[test]
    fn it_sees_what_the_codec_hands_out() {
        let lengths = [1 + 13 + 8 + 1, 100, 1 + 13 + 8 + 1];
        for (message, length) in messages().iter().zip(lengths) {
            let octets = encoded(message);
            let expected = seen_by_codec(&octets);
            assert_eq!(expected.len(), length);
            assert_eq!(seen(&octets), Some(expected));
            assert_eq!(floor(&octets), Some(()));
        }
    }

    #[test]
    fn it_refuses_a_cut_message_as_the_codec_does() {
        let (device, map) = (encoded(&device_message()), encoded(&map_message()));
        for length in 0..device.len() {
            assert_eq!(floor(&device[..length]).is_some(), read_message(&device[..length]).is_ok(), "{length}");
        }
        for length in 1..map.len() {
            assert!(floor(&map[..length]).is_none() && read_map(&map[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn it_refuses_text_that_is_not_utf8_or_ascii_as_the_codec_does() {
        let texts = ["1234567890123456789", "consumer-group", "topic", "thing/event", "generateTime"];
        let device = encoded(&device_message());
        for text in texts {
            let mut octets = device.clone();
            octets[place(&device, text)] = 0xff;
            assert!(floor(&octets).is_none() && read_message(&octets).is_err(), "{text}");
        }
        let map = encoded(&map_message());
        for text in ["a-symbol", "ordinary length", "property-49"] {
            let mut octets = map.clone();
            octets[place(&map, text)] = 0xff;
            assert!(floor(&octets).is_none() && read_map(&octets).is_err(), "{text}");
        }
    }

    fn place(octets: &[u8], text: &str) -> usize {
        octets.windows(text.len()).position(|window| window == text.as_bytes()).expect("it stands there")
    }
}
