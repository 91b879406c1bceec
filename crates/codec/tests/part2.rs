//! Part 2 of the specification, requirement by requirement. Each is named by its section and a number.

use amqp10_codec::sasl::SaslBody;
use amqp10_codec::{
    Attach, Begin, Channel, Close, Composite, Decode, DecodeError, DecodeErrorKind, DeliveryNumber, DeliveryState,
    DeliveryTag, Detach, Disposition, Encode, End, Error, ErrorCondition, Flow, FrameErrorKind, FrameHeader, FrameType,
    Handle, List, Map, MessageFormat, Milliseconds, Multiple, Open, Performative, ProtocolHeader, Reader,
    ReceiverSettleMode, Role, Seconds, SenderSettleMode, SequenceNo, Source, Symbol, Target, Transfer, TransferNumber,
    begin_frame, encode_frame, encode_to_vec, finish_frame, next_frame,
};

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}

/// A composite of these fields, in the short form.
fn composite(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&[0, 0x53, code, 0xc0, body.len() as u8 + 1, fields.len() as u8][..], &body].concat()
}

/// A vector made by hand is this value, behind either descriptor, and the value is written as the vector.
fn both_ways<'a, T>(value: &T, fields: &[&[u8]])
where
    T: Composite + Decode<'a> + Encode + PartialEq + std::fmt::Debug,
{
    let octets: &[u8] =
        if fields.is_empty() { &[0, 0x53, T::CODE as u8, 0x45] } else { composite(T::CODE as u8, fields).leak() };
    assert_eq!(encode_to_vec(value), octets);
    assert_eq!(read::<T>(octets).as_ref(), Ok(value));
    let mut by_name = vec![0];
    Symbol::from_static(T::NAME).encode(&mut by_name);
    by_name.extend_from_slice(&octets[3..]);
    assert_eq!(read::<T>(by_name.leak()).as_ref(), Ok(value));
}

const NULL: &[u8] = b"\x40";

fn symbols<const N: usize>(names: [&'static str; N]) -> Multiple<Symbol<'static>> {
    names.into_iter().map(Symbol::from_static).collect()
}

fn properties() -> Map<'static> {
    Map::new().with(Symbol::from_static("k"), "v")
}

/// The same as octets.
const PROPERTIES: &[u8] = b"\xc1\x07\x02\xa3\x01k\xa1\x01v";

#[test]
fn frames() {
    // 2.3-01, 2.3.1-01, 2.3.1-05, 2.3.2-01, 2.3.2-06
    let mut octets = Vec::new();
    let begin = Begin::new(TransferNumber(0), 1, 1);
    let size = encode_frame(FrameType::Amqp, Channel(258), &begin, &mut octets);
    assert_eq!(octets[..8], [0, 0, 0, octets.len() as u8, 2, 0, 1, 2]);
    assert_eq!(size as usize, octets.len());
    let frame = next_frame(&octets, 512).unwrap().unwrap();
    assert_eq!((frame.header.channel, frame.header.frame_type), (Channel(258), FrameType::Amqp));
    assert_eq!(read(frame.body), Ok(begin));
}

#[test]
fn frames_that_are_refused() {
    // 2.3.1-02, 2.3.1-03, 2.3.1-04, 2.3.1-06
    let rows = [
        (&b"\0\0\0\x07\x02\0\0\0"[..], FrameErrorKind::TooSmall),
        (b"\0\0\0\x08\0\0\0\0", FrameErrorKind::DataOffset),
        (b"\0\0\0\x08\x01\0\0\0", FrameErrorKind::DataOffset),
        (b"\0\0\0\x08\x03\0\0\0", FrameErrorKind::DataOffset),
        (b"\0\0\0\x08\x02\x02\0\0", FrameErrorKind::UnknownType),
    ];
    for (octets, kind) in rows {
        assert_eq!(next_frame(octets, 512).unwrap_err().kind(), kind);
    }
    // 2.3.1-07: the type is told, and neither body passes for the other.
    let mut sasl = Vec::new();
    encode_frame(FrameType::Sasl, Channel(0), &Close { error: None }, &mut sasl);
    let frame = next_frame(&sasl, 512).unwrap().unwrap();
    assert_eq!(frame.header.frame_type, FrameType::Sasl);
    assert!(SaslBody::decode_frame(frame.body).is_err());
    assert!(read::<Performative<'_>>(b"\0\x53\x44\xc0\x03\x01\x50\0").is_err());
}

#[test]
fn extended_headers_and_frames_without_a_body() {
    // 2.3-01, 2.3.2-05: an extended header is skipped.
    for doff in [2_u8, 3, 4, 255] {
        let extended = vec![0xee; usize::from(doff) * 4 - 8];
        let octets = [&[0, 0, 0x10, 0, doff, 0, 0, 0][..], &extended, b"\0\x53\x18\x45"].concat();
        let mut octets = octets;
        let size = octets.len() as u32;
        octets[..4].copy_from_slice(&size.to_be_bytes());
        let frame = next_frame(&octets, 2048).unwrap().unwrap();
        assert_eq!(read(frame.body), Ok(Performative::Close(Close { error: None })));
    }
    // 2.3.2-07
    let empty = next_frame(b"\0\0\0\x08\x02\0\0\0", 512).unwrap().unwrap();
    assert!(empty.body.is_empty());
}

#[test]
fn boundaries_of_frames() {
    // 2.3.1-08
    let mut stream = Vec::new();
    for channel in 0..5 {
        encode_frame(FrameType::Amqp, Channel(channel), &End { error: None }, &mut stream);
    }
    let mut buffer = Vec::new();
    let mut channels = Vec::new();
    for octet in &stream {
        buffer.push(*octet);
        while let Some(frame) = next_frame(&buffer, 512).unwrap() {
            channels.push(frame.header.channel.0);
            let size = frame.header.size as usize;
            buffer.drain(..size);
        }
    }
    assert_eq!(channels, [0, 1, 2, 3, 4]);
    let mut whole = &stream[..];
    for channel in channels {
        let frame = next_frame(whole, 512).unwrap().unwrap();
        assert_eq!(frame.header.channel, Channel(channel));
        whole = &whole[frame.header.size as usize..];
    }
    assert!(whole.is_empty());
}

#[test]
fn bodies_of_frames() {
    // 2.3.2-02
    for body in [&b"\0\x53\x24\x45"[..], b"\x43", b"\x45", b"\0\x53\x1d\xc0\x04\x01\xa3\x01x"] {
        assert!(Reader::sized(body).read::<Performative<'_>>().is_err());
    }
    // 2.3.2-03, 2.3.2-04: what follows is left where it is, and the next frame stands where the size says.
    let flow = composite(0x13, &[NULL, b"\x43", b"\x43", b"\x43"]);
    let transfer = composite(0x14, &[b"\x43"]);
    for performative in [flow, transfer] {
        let mut stream = Vec::new();
        let start = begin_frame(FrameType::Amqp, Channel(0), &mut stream);
        stream.extend_from_slice(&performative);
        stream.extend_from_slice(b"abcde");
        finish_frame(start, 0, &mut stream);
        let size = stream.len();
        encode_frame(FrameType::Amqp, Channel(7), &End { error: None }, &mut stream);
        let frame = next_frame(&stream, 512).unwrap().unwrap();
        let mut reader = Reader::sized(frame.body);
        reader.read::<Performative<'_>>().unwrap();
        assert_eq!(reader.rest(), b"abcde");
        let next = next_frame(&stream[size..], 512).unwrap().unwrap();
        assert_eq!(read(next.body), Ok(Performative::End(End { error: None })));
    }
}

#[test]
fn descriptors_of_performatives() {
    // 2.7-01
    let rows = [
        (Open::NAME, Open::CODE, "open", 0x10),
        (Begin::NAME, Begin::CODE, "begin", 0x11),
        (Attach::NAME, Attach::CODE, "attach", 0x12),
        (Flow::NAME, Flow::CODE, "flow", 0x13),
        (Transfer::NAME, Transfer::CODE, "transfer", 0x14),
        (Disposition::NAME, Disposition::CODE, "disposition", 0x15),
        (Detach::NAME, Detach::CODE, "detach", 0x16),
        (End::NAME, End::CODE, "end", 0x17),
        (Close::NAME, Close::CODE, "close", 0x18),
    ];
    for (symbol, found, name, code) in rows {
        assert_eq!((symbol, found), (format!("amqp:{name}:list").as_str(), code));
    }
}

#[test]
fn fields_of_openings() {
    // 2.7.1-01
    let open = Open {
        hostname: Some("h".into()),
        max_frame_size: 512,
        channel_max: Channel(1),
        idle_time_out: Some(Milliseconds(2)),
        outgoing_locales: symbols(["en-US"]),
        incoming_locales: symbols(["a", "b"]),
        offered_capabilities: symbols(["c"]),
        desired_capabilities: symbols(["d"]),
        properties: Some(properties()),
        ..Open::new("c")
    };
    let fields: [&[u8]; 10] = [
        b"\xa1\x01c",
        b"\xa1\x01h",
        b"\x70\0\0\x02\0",
        b"\x60\0\x01",
        b"\x52\x02",
        b"\xa3\x05en-US",
        b"\xe0\x06\x02\xa3\x01a\x01b",
        b"\xa3\x01c",
        b"\xa3\x01d",
        PROPERTIES,
    ];
    both_ways(&open, &fields);
    // 2.7.2-01
    let begin = Begin {
        remote_channel: Some(Channel(1)),
        handle_max: Handle(4),
        offered_capabilities: symbols(["c"]),
        desired_capabilities: symbols(["d"]),
        properties: Some(properties()),
        ..Begin::new(TransferNumber(1), 2, 3)
    };
    let fields: [&[u8]; 8] =
        [b"\x60\0\x01", b"\x52\x01", b"\x52\x02", b"\x52\x03", b"\x52\x04", b"\xa3\x01c", b"\xa3\x01d", PROPERTIES];
    both_ways(&begin, &fields);
    // 2.7.3-01
    let attach = Attach {
        snd_settle_mode: SenderSettleMode::Unsettled,
        rcv_settle_mode: ReceiverSettleMode::Second,
        source: Some(Source::default().into()),
        target: Some(Target::default().into()),
        unsettled: Some(Map::new().with(DeliveryTag::new(b"t").unwrap(), ())),
        incomplete_unsettled: true,
        initial_delivery_count: Some(SequenceNo(5)),
        max_message_size: Some(6),
        offered_capabilities: symbols(["c"]),
        desired_capabilities: symbols(["d"]),
        properties: Some(properties()),
        ..Attach::new("l", Handle(1), Role::Sender)
    };
    let fields: [&[u8]; 14] = [
        b"\xa1\x01l",
        b"\x52\x01",
        b"\x42",
        b"\x50\0",
        b"\x50\x01",
        b"\0\x53\x28\x45",
        b"\0\x53\x29\x45",
        b"\xc1\x05\x02\xa0\x01t\x40",
        b"\x41",
        b"\x52\x05",
        b"\x53\x06",
        b"\xa3\x01c",
        b"\xa3\x01d",
        PROPERTIES,
    ];
    both_ways(&attach, &fields);
}

#[test]
fn fields_of_flows_transfers_and_dispositions() {
    // 2.7.4-01
    let flow = Flow {
        next_incoming_id: Some(TransferNumber(1)),
        incoming_window: 2,
        next_outgoing_id: TransferNumber(3),
        outgoing_window: 4,
        handle: Some(Handle(5)),
        delivery_count: Some(SequenceNo(6)),
        link_credit: Some(7),
        available: Some(8),
        drain: true,
        echo: true,
        properties: Some(properties()),
    };
    let fields: [&[u8]; 11] = [
        b"\x52\x01",
        b"\x52\x02",
        b"\x52\x03",
        b"\x52\x04",
        b"\x52\x05",
        b"\x52\x06",
        b"\x52\x07",
        b"\x52\x08",
        b"\x41",
        b"\x41",
        PROPERTIES,
    ];
    both_ways(&flow, &fields);
    // 2.7.5-01
    let transfer = Transfer {
        delivery_id: Some(DeliveryNumber(2)),
        delivery_tag: Some(DeliveryTag::new(b"t").unwrap()),
        message_format: Some(MessageFormat(0)),
        settled: Some(false),
        more: true,
        rcv_settle_mode: Some(ReceiverSettleMode::First),
        state: Some(DeliveryState::Accepted),
        resume: true,
        aborted: true,
        batchable: true,
        ..Transfer::new(Handle(1))
    };
    let fields: [&[u8]; 11] = [
        b"\x52\x01",
        b"\x52\x02",
        b"\xa0\x01t",
        b"\x43",
        b"\x42",
        b"\x41",
        b"\x50\0",
        b"\0\x53\x24\x45",
        b"\x41",
        b"\x41",
        b"\x41",
    ];
    both_ways(&transfer, &fields);
    // 2.7.5-03
    let least = Transfer::new(Handle(0));
    both_ways(&least, &[b"\x43"]);
    assert!(!(least.more || least.resume || least.aborted || least.batchable));
    assert_eq!((least.settled, least.rcv_settle_mode, least.state), (None, None, None));
    // 2.7.6-01
    let disposition = Disposition {
        role: Role::Receiver,
        first: DeliveryNumber(1),
        last: Some(DeliveryNumber(2)),
        settled: true,
        state: Some(DeliveryState::Released),
        batchable: true,
    };
    let fields: [&[u8]; 6] = [b"\x41", b"\x52\x01", b"\x52\x02", b"\x41", b"\0\x53\x26\x45", b"\x41"];
    both_ways(&disposition, &fields);
}

#[test]
fn fields_of_endings_and_errors() {
    // 2.7.7-01, 2.7.8-01, 2.7.9-01, 2.8.14-01
    let error = || Some(Error { info: Some(properties()), ..Error::new(ErrorCondition::NOT_FOUND, "d") });
    let octets = composite(0x1d, &[b"\xa3\x0eamqp:not-found", b"\xa1\x01d", PROPERTIES]);
    both_ways(&error().unwrap(), &[b"\xa3\x0eamqp:not-found", b"\xa1\x01d", PROPERTIES]);
    both_ways(&Detach { handle: Handle(1), closed: true, error: error() }, &[b"\x52\x01", b"\x41", &octets]);
    both_ways(&End { error: error() }, &[&octets]);
    both_ways(&End { error: None }, &[]);
    both_ways(&Close { error: error() }, &[&octets]);
    both_ways(&Close { error: None }, &[]);
    // 2.8.14-02
    let missing = read::<Error<'_>>(&composite(0x1d, &[NULL, b"\xa1\x01d"])).unwrap_err();
    assert_eq!(missing.kind(), DecodeErrorKind::MissingField("condition"));
    assert!(read::<Error<'_>>(b"\0\x53\x1d\x45").is_err());
}

#[test]
fn roles_and_settle_modes() {
    // 2.8.1-01
    assert_eq!((encode_to_vec(&Role::Sender), encode_to_vec(&Role::Receiver)), (vec![0x42], vec![0x41]));
    assert_eq!((read(b"\x56\0"), read(b"\x56\x01")), (Ok(Role::Sender), Ok(Role::Receiver)));
    // 2.8.2-01
    let modes = [SenderSettleMode::Unsettled, SenderSettleMode::Settled, SenderSettleMode::Mixed];
    for (number, mode) in modes.into_iter().enumerate() {
        assert_eq!(encode_to_vec(&mode), [0x50, number as u8]);
        assert_eq!(read(&[0x50, number as u8]), Ok(mode));
    }
    // 2.8.3-01
    for (number, mode) in [ReceiverSettleMode::First, ReceiverSettleMode::Second].into_iter().enumerate() {
        assert_eq!(encode_to_vec(&mode), [0x50, number as u8]);
        assert_eq!(read(&[0x50, number as u8]), Ok(mode));
    }
}

#[test]
fn numbers_by_name() {
    // 2.8.4-01, 2.8.5-01, 2.8.6-01, 2.8.11-01
    for (octets, number) in [(&b"\x43"[..], 0), (b"\x52\x07", 7), (b"\x70\0\0\x01\x01", 257)] {
        assert_eq!(read(octets), Ok(Handle(number)));
        assert_eq!(read(octets), Ok(Seconds(number)));
        assert_eq!(read(octets), Ok(Milliseconds(number)));
        assert_eq!(read(octets), Ok(DeliveryNumber(number)));
        assert_eq!(read(octets), Ok(TransferNumber(number)));
        assert_eq!(read(octets), Ok(SequenceNo(number)));
        assert_eq!(read(octets), Ok(MessageFormat(number)));
        assert_eq!(encode_to_vec(&SequenceNo(number)), octets);
    }
}

#[test]
fn tags_locales_and_the_version() {
    // 2.8.7-01
    let tag = |length: usize| encode_to_vec(&vec![7_u8; length][..]);
    assert!(read::<DeliveryTag>(&tag(0)).is_ok() && read::<DeliveryTag>(&tag(32)).is_ok());
    assert!(read::<DeliveryTag>(&tag(33)).is_err());
    // 2.8.12-01
    let open = composite(0x10, &[b"\xa1\x01c", NULL, NULL, NULL, NULL, b"\xa3\x05en-US"]);
    assert_eq!(read::<Open<'_>>(&open).unwrap().outgoing_locales, symbols(["en-US"]));
    let string = composite(0x10, &[b"\xa1\x01c", NULL, NULL, NULL, NULL, b"\xa1\x05en-US"]);
    assert!(read::<Open<'_>>(&string).is_err());
    // 2.8.19-04
    assert_eq!(ProtocolHeader::AMQP.to_octets(), *b"AMQP\0\x01\0\0");
}

#[test]
fn serial_numbers() {
    // 2.8.8-01, 2.8.9-01, 2.8.10-01
    macro_rules! wraps {
        ($($type:ident),*) => { $(
            let last = $type(u32::MAX);
            assert_eq!((last.next(), last.plus(3)), ($type(0), $type(2)));
            assert!(last.precedes($type(0)) && !$type(0).precedes(last));
            assert!($type(0).precedes($type(0x7fff_ffff)) && !$type(0x7fff_ffff).precedes($type(0)));
            assert!(!last.precedes(last));
            assert_eq!(($type(1).ahead_of(last), last.ahead_of($type(1))), (2, -2));
        )* };
    }
    wraps!(SequenceNo, DeliveryNumber, TransferNumber);
}

#[test]
fn lists_of_any_size_are_fields() {
    // Fields that do not fit into the short form.
    let long = "x".repeat(300);
    let open = Open::new(long);
    let octets = encode_to_vec(&open);
    assert_eq!(octets[3], 0xd0);
    assert_eq!(read(&octets), Ok(open));
    assert_eq!(FrameHeader::parse([0, 0, 0, 8, 2, 1, 0x12, 0x34], 512).unwrap().frame_type, FrameType::Sasl);
    assert_eq!(encode_to_vec(&List::new()), b"\x45");
}
