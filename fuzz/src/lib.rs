//! What the fuzz targets check. `tests/fuzz` includes this file to check the corpora without a fuzzer.

mod engine;

use std::collections::HashSet;

use amqp10_codec::sasl::{SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse};
use amqp10_codec::{
    Accepted, Array, Attach, Begin, Binary, Body, Channel, Close, Coordinator, Decimal32, Decimal64, Decimal128,
    Declare, Declared, Decode, DecodeErrorKind, DeliveryNumber, DeliveryState, DeliveryTag, Described, Descriptor,
    Detach, Discharge, Disposition, DistributionMode, Encode, End, Error, ErrorCondition, ExpiryPolicy, Flow,
    FrameError, FrameHeader, FrameType, Handle, Header, IntoOwned, LifetimePolicy, Limits, List, MAX_DEPTH,
    MIN_MAX_FRAME_SIZE, Map, Message, MessageFormat, MessageId, MessageView, Milliseconds, Modified, Multiple, Open,
    Outcome, Performative, Properties, ProtocolHeader, Reader, Received, ReceiverSettleMode, Rejected, Released, Role,
    Seconds, SenderSettleMode, SequenceNo, Source, SourceArchetype, Str, Symbol, Target, TargetArchetype,
    TerminusDurability, Timestamp, TransactionId, TransactionalState, Transfer, TransferNumber, TxnCapability, Uuid,
    Value, begin_frame, encode_to_vec, finish_frame, next_frame,
};

pub use engine::{engine_input, engine_ops};

/// The largest frame that is taken, unless an input says otherwise.
const MAX_FRAME_SIZE: u32 = 1 << 20;

/// The most lengths that an input of `chunking` may give.
const MAX_LENGTHS: usize = 16;

/// The most values that are looked at one by one in one input: an array of zero-width elements has many for few octets.
const MAX_STEPS: u32 = 1 << 18;

/// Octets from a socket: split into frames, the same whichever way they arrive; every body and the octets themselves as a body.
pub fn frame(octets: &[u8]) {
    let whole = Stream::of(octets, MAX_FRAME_SIZE);
    for lengths in [&[1][..], octets] {
        in_pieces(&whole, octets, lengths);
    }
    for item in &whole.items {
        match item {
            Item::Protocol(_) => {}
            Item::Frame(header, body) if header.frame_type == FrameType::Sasl => sasl_body(body),
            Item::Frame(_, body) => amqp_body(body),
        }
    }
    performative(octets);
}

/// Octets as the body of a frame, of either type; a payload may follow a performative.
pub fn performative(octets: &[u8]) {
    amqp_body(octets);
    sasl_body(octets);
}

/// Octets as every type there is: decoded, encoded, decoded and encoded again, both encodings equal octet for octet and no
/// longer than what they were made from.
pub fn roundtrip(octets: &[u8]) {
    macro_rules! round {
        ($($type:ty),* $(,)?) => { $(
            if let Some((once, taken)) = encoded_again::<$type>(octets) {
                let name = stringify!($type);
                assert!(once.len() <= taken, "{name}: {taken} octets became {}", once.len());
                let (twice, all) = encoded_again::<$type>(&once).expect("what was encoded can be decoded");
                assert_eq!(all, once.len(), "{name}: not all of what was encoded is decoded");
                assert_eq!(twice, once, "{name}: encoded otherwise the second time");
            }
        )* };
    }
    round!(bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, char);
    round!(Decimal32, Decimal64, Decimal128, Timestamp, Uuid, Binary<'_>, Str<'_>, Symbol<'_>);
    round!(List<'_>, Map<'_>, Array<'_>, Described<'_>, Value<'_>, Multiple<Symbol<'_>>);
    round!(Channel, Handle, DeliveryNumber, TransferNumber, SequenceNo, MessageFormat, Milliseconds, Seconds);
    round!(Role, SenderSettleMode, ReceiverSettleMode, TerminusDurability, ExpiryPolicy, DeliveryTag);
    round!(Open<'_>, Begin<'_>, Attach<'_>, Flow<'_>, Transfer<'_>, Disposition<'_>, Detach<'_>, End<'_>, Close<'_>);
    round!(Source<'_>, Target<'_>, Error<'_>, ErrorCondition<'_>, Header, Properties<'_>, MessageId<'_>);
    round!(DeliveryState<'_>, Outcome<'_>, Received, Accepted, Rejected<'_>, Released, Modified<'_>);
    round!(Coordinator<'_>, Declare<'_>, Discharge, Declared, TransactionalState<'_>, TransactionId, TxnCapability);
    round!(SourceArchetype<'_>, TargetArchetype<'_>, LifetimePolicy, DistributionMode);
    round!(
        Performative<'_>,
        SaslBody<'_>,
        SaslMechanisms<'_>,
        SaslInit<'_>,
        SaslChallenge<'_>,
        SaslResponse<'_>,
        SaslOutcome<'_>,
        SaslCode
    );
    message(octets);
    for item in Stream::of(octets, MAX_FRAME_SIZE).items {
        match item {
            Item::Protocol(header) => assert_eq!(ProtocolHeader::parse(&header.to_octets()), Ok(Some(header))),
            Item::Frame(header, body) => {
                let mut out = Vec::new();
                let start = begin_frame(header.frame_type, header.channel, &mut out);
                out.extend_from_slice(&body);
                let size = finish_frame(start, 0, &mut out);
                let frame = next_frame(&out, size).expect("it is a frame").expect("it is whole");
                assert_eq!((frame.body, frame.header.size as usize), (&*body, out.len()));
                assert_eq!((frame.header.frame_type, frame.header.channel), (header.frame_type, header.channel));
            }
        }
    }
}

/// A split and the octets to be split: any split gives the same frames, each as soon as its last octet has come.
///
/// The first octet gives in its lower half how many lengths follow, which are used in turn; the upper half is the
/// max-frame-size in units of 512 octets, 0 for 1 MiB.
pub fn chunking(input: &[u8]) {
    let Some((head, rest)) = input.split_first() else { return };
    let (lengths, octets) = rest.split_at((usize::from(*head) % MAX_LENGTHS).min(rest.len()));
    let limit = match u32::from(*head) / MAX_LENGTHS as u32 {
        0 => MAX_FRAME_SIZE,
        units => units * MIN_MAX_FRAME_SIZE,
    };
    let whole = Stream::of(octets, limit);
    in_pieces(&whole, octets, lengths);
    in_pieces(&whole, octets, &[1]);
}

/// Receives octets in pieces of these lengths, used in turn, and compares with what came of the whole.
fn in_pieces(whole: &Stream, octets: &[u8], lengths: &[u8]) {
    let mut pieces = Stream { limit: whole.limit, ..Stream::default() };
    let mut rest = octets;
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let length = lengths.next().map_or(1, |length| usize::from(*length));
        let (piece, behind) = rest.split_at(length.clamp(1, rest.len()));
        pieces.receive(piece);
        rest = behind;
        let received = octets.len() - rest.len();
        let due = whole.ends.partition_point(|end| *end <= received);
        assert_eq!(pieces.items.len(), due, "after {received} octets");
    }
    assert_eq!((&whole.items, whole.end), (&pieces.items, pieces.end), "pieces make other frames than the whole");
}

/// What a value of this type is encoded to, when the octets begin with one, and how many of them it has.
fn encoded_again<'a, T: Decode<'a> + Encode + IntoOwned<Owned: Encode>>(octets: &'a [u8]) -> Option<(Vec<u8>, usize)> {
    let mut reader = Reader::new(octets);
    let value = reader.read::<T>().ok()?;
    let once = encode_to_vec(&value);
    assert_eq!(encode_to_vec(&value.into_owned()), once, "encoded otherwise when owned");
    Some((once, reader.offset()))
}

/// Octets as values in a row: decoded, encoded, decoded and encoded again, and walked through.
pub fn value(octets: &[u8]) {
    by_count(octets);
    let mut reader = Reader::sized(octets);
    let steps = &mut 0;
    while !reader.is_empty() {
        let (mut ahead, mut open) = (reader.clone(), Reader::new(reader.rest()));
        let start = reader.offset();
        let value = match (reader.read::<Value<'_>>(), open.read::<Value<'_>>()) {
            (Ok(value), Ok(_)) => value,
            (Err(sized), Err(open)) => {
                if open.is_incomplete() {
                    assert_eq!(sized.kind(), DecodeErrorKind::Overrun);
                } else {
                    assert_eq!(sized.kind(), open.kind());
                }
                return;
            }
            (sized, open) => panic!("sized {sized:?}, open {open:?}"),
        };
        ahead.skip().expect("what can be decoded can be skipped");
        assert_eq!(ahead.offset(), reader.offset());
        assert_eq!(open.offset(), reader.offset() - start);

        let valid = value.validate();
        agree(&valid, walk(&value, 0, steps));
        let once = encode_to_vec(&value);
        let again: Value<'_> = whole(&once);
        assert_eq!(encode_to_vec(&again), once, "encoded otherwise the second time");
        if valid.is_ok() {
            assert_eq!(again.validate(), Ok(()));
        }
        assert_eq!(encode_to_vec(&value.into_owned()), once, "encoded otherwise when owned");
    }
}

/// Octets as values in a row whose sizes may be too small: what the strict reading takes is the same, what it does not is put right.
fn by_count(octets: &[u8]) {
    let limits = Limits::default();
    let mut reader = Reader::sized(octets);
    while !reader.is_empty() {
        let mut strict = reader.clone();
        let expected = strict.read::<Value<'_>>().and_then(|value| value.validate().map(|()| value));
        match (expected, reader.read_by_count(&limits)) {
            (Ok(expected), value) => {
                assert_eq!(value.map(|value| encode_to_vec(&value)), Ok(encode_to_vec(&expected)));
                assert_eq!(reader.offset(), strict.offset());
            }
            (Err(_), Ok(value)) => {
                let once = encode_to_vec(&value);
                let again: Value<'_> = whole(&once);
                assert_eq!(again.validate(), Ok(()));
                assert_eq!(encode_to_vec(&again), once, "encoded otherwise the second time");
            }
            (Err(_), Err(_)) => return,
        }
    }
}

/// Octets as a message: located, validated, copied out, encoded and read again.
pub fn message(octets: &[u8]) {
    let Ok(view) = MessageView::parse(octets) else { return };
    let valid = view.validate();
    agree(&valid, walk_message(&view));
    let Ok(message) = view.to_message() else {
        assert!(valid.is_err(), "valid, but cannot be copied out");
        return;
    };
    let once = encoded(&message);
    let view = MessageView::parse(&once).expect("what was encoded can be located");
    if valid.is_ok() {
        assert_eq!(view.validate(), Ok(()));
    }
    let again = view.to_message().expect("what was encoded can be copied out");
    assert_eq!(encoded(&again), once, "encoded otherwise the second time");
}

/// What one side of a connection receives.
#[derive(Default)]
struct Stream {
    /// The max-frame-size.
    limit: u32,
    buffer: Vec<u8>,
    items: Vec<Item>,
    /// Where each item ends, counted from the first octet received.
    ends: Vec<usize>,
    /// Why nothing behind can be read any more.
    end: Option<FrameError>,
}

#[derive(Debug, PartialEq)]
enum Item {
    Protocol(ProtocolHeader),
    Frame(FrameHeader, Vec<u8>),
}

impl Stream {
    fn of(octets: &[u8], limit: u32) -> Self {
        let mut stream = Self { limit, ..Self::default() };
        stream.receive(octets);
        stream
    }

    fn receive(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
        while self.end.is_none() {
            match self.next() {
                Ok(Some((item, size))) => {
                    self.items.push(item);
                    self.ends.push(self.ends.last().unwrap_or(&0) + size);
                    self.buffer.drain(..size);
                }
                Ok(None) => break,
                Err(error) => self.end = Some(error),
            }
        }
    }

    fn next(&self) -> Result<Option<(Item, usize)>, FrameError> {
        // As a frame size this would be beyond the limit.
        if self.buffer.starts_with(b"AMQP") {
            let header = ProtocolHeader::parse(&self.buffer)?;
            return Ok(header.map(|header| (Item::Protocol(header), ProtocolHeader::SIZE)));
        }
        let frame = next_frame(&self.buffer, self.limit)?;
        Ok(frame.map(|frame| (Item::Frame(frame.header, frame.body.to_vec()), frame.header.size as usize)))
    }
}

/// The body of an AMQP frame; a payload may follow the performative.
fn amqp_body(body: &[u8]) {
    let mut reader = Reader::sized(body);
    let Ok(performative) = reader.read::<Performative<'_>>() else { return };
    let taken = &body[..reader.offset()];
    let (value, length) = decoded::<Value<'_>>(body);
    assert_eq!(length, taken.len(), "a performative is one value");
    assert!(matches!(value, Value::Described(_)));
    let (open, length) = decoded::<Performative<'_>>(taken);
    assert_eq!((open.name(), length), (performative.name(), taken.len()));
    for cut in 0..taken.len().min(128) {
        let error = Reader::new(&taken[..cut]).read::<Performative<'_>>().expect_err("it is cut");
        assert!(error.is_incomplete(), "cut at {cut}: {error}");
    }
    let once = encode_to_vec(&performative);
    let again: Performative<'_> = whole(&once);
    assert_eq!(encode_to_vec(&again), once, "encoded otherwise the second time");
}

/// The body of a SASL frame.
fn sasl_body(body: &[u8]) {
    let Ok(decoded) = SaslBody::decode_frame(body) else { return };
    for cut in 0..body.len().min(128) {
        let error = Reader::new(&body[..cut]).read::<SaslBody<'_>>().expect_err("it is cut");
        assert!(error.is_incomplete(), "cut at {cut}: {error}");
    }
    assert!(Performative::decode(&mut Reader::new(body)).is_err(), "a SASL body in an AMQP frame");
    let once = encode_to_vec(&decoded);
    let again = SaslBody::decode_frame(&once).expect("what was encoded can be decoded");
    assert_eq!(encode_to_vec(&again), once, "encoded otherwise the second time");
}

/// Decodes the value that octets begin with; tells its length.
fn decoded<'a, T: Decode<'a>>(octets: &'a [u8]) -> (T, usize) {
    let mut reader = Reader::new(octets);
    let value = reader.read().expect("what can be decoded as one type or from a sized input can be decoded so, too");
    (value, reader.offset())
}

/// Decodes octets that were just encoded.
fn whole<'a, T: Decode<'a>>(octets: &'a [u8]) -> T {
    let mut reader = Reader::new(octets);
    let value = reader.read().expect("what was encoded can be decoded");
    reader.finish().expect("nothing is encoded behind it");
    value
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    assert_eq!(message.to_slices().concat(), out, "the slices are another message");
    out
}

/// Why a walk ended early.
enum Stop {
    Malformed(String),
    Steps,
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Panics unless a walk ended as the validation did.
fn agree<E: std::error::Error>(valid: &Result<(), E>, walked: Result<(), Stop>) {
    match walked {
        Ok(()) => assert!(valid.is_ok(), "it can be walked, but is not valid: {valid:?}"),
        Err(Stop::Malformed(error)) => assert!(valid.is_err(), "it is valid, but a walk ends with: {error}"),
        Err(Stop::Steps) => {}
    }
}

/// Visits everything inside a value.
fn walk(value: &Value<'_>, depth: u8, steps: &mut u32) -> Result<(), Stop> {
    assert!(depth <= MAX_DEPTH, "nested deeper than allowed");
    *steps += 1;
    if *steps > MAX_STEPS {
        return Err(Stop::Steps);
    }
    let inside = depth + 1;
    match value {
        Value::List(list) => list.iter().try_for_each(|element| walk(&element?, inside, steps)),
        Value::Map(map) => walk_map(map, inside, steps),
        Value::Array(array) => {
            let mut elements = array.iter();
            elements.try_for_each(|element| walk(&element?, inside, steps))
        }
        Value::Described(described) => {
            match described.descriptor()? {
                Descriptor::Other(value) => walk(&value, inside, steps)?,
                Descriptor::Code(_) | Descriptor::Name(_) => {}
            }
            walk(&described.value()?, inside, steps)
        }
        _ => Ok(()),
    }
}

/// Visits every entry; identical keys end it.
fn walk_map(map: &Map<'_>, depth: u8, steps: &mut u32) -> Result<(), Stop> {
    let mut keys = HashSet::new();
    for entry in map.iter() {
        let (key, value) = entry?;
        walk(&key, depth, steps)?;
        walk(&value, depth, steps)?;
        if !keys.insert(encode_to_vec(&key)) {
            return Err(Stop::Malformed("a key stands there twice".into()));
        }
    }
    Ok(())
}

/// Visits a map of a message, whose keys and values must be of certain types.
fn walk_section(map: &Map<'_>, steps: &mut u32, fits: impl Fn(&Value<'_>, &Value<'_>) -> bool) -> Result<(), Stop> {
    walk_map(map, 1, steps)?;
    for entry in map.iter() {
        let (key, value) = entry?;
        if !fits(&key, &value) {
            return Err(Stop::Malformed("a key or value is of another type".into()));
        }
    }
    Ok(())
}

/// Visits everything inside a message.
fn walk_message(view: &MessageView<'_>) -> Result<(), Stop> {
    let steps = &mut 0;
    view.header()?;
    let properties = view.properties()?.unwrap_or_default();
    for id in [properties.message_id, properties.correlation_id].into_iter().flatten() {
        if let MessageId::Other(id) = id {
            walk(&Value::Described(*id), 0, steps)?;
        }
    }
    for map in [view.delivery_annotations()?, view.message_annotations()?, view.footer()?].into_iter().flatten() {
        walk_section(&map, steps, |key, _| matches!(key, Value::Symbol(_) | Value::Ulong(_)))?;
    }
    walk_section(&view.application_properties()?, steps, |key, value| {
        let compound = matches!(value, Value::List(_) | Value::Map(_) | Value::Array(_) | Value::Described(_));
        matches!(key, Value::String(_)) && !compound
    })?;
    match view.body()? {
        Body::Empty => Err(Stop::Malformed("there is no body".into())),
        Body::Data(mut data) => data.try_for_each(|section| Ok(section.map(drop)?)),
        Body::Sequence(mut lists) => lists.try_for_each(|list| walk(&Value::List(list?), 0, steps)),
        Body::Value(value) => walk(&value, 0, steps),
    }
}
