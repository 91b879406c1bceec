//! Hostile frames: sizes, data offsets, cuts, and bodies of the wrong layer.

use amqp10_codec::sasl::{
    Mechanisms, SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse,
};
use amqp10_codec::{
    Attach, Begin, Channel, Close, DecodeErrorKind, DeliveryNumber, Detach, Disposition, Encode, End, Flow,
    FrameErrorKind, FrameHeader, FrameType, Handle, Open, Performative, Reader, Role, Symbol, Transfer, TransferNumber,
    encode_frame, encode_to_vec, next_frame,
};

const LIMIT: u32 = 512;

/// One of each performative, encoded.
fn performatives() -> Vec<(&'static str, Vec<u8>)> {
    let flow = Flow {
        next_incoming_id: Some(TransferNumber(3)),
        incoming_window: 100,
        next_outgoing_id: TransferNumber(7),
        outgoing_window: 200,
        handle: Some(Handle(1)),
        delivery_count: None,
        link_credit: Some(300),
        available: None,
        drain: false,
        echo: true,
        properties: None,
    };
    let disposition = Disposition {
        role: Role::Receiver,
        first: DeliveryNumber(1),
        last: None,
        settled: true,
        state: None,
        batchable: false,
    };
    vec![
        ("open", encode_to_vec(&Open::new("container"))),
        ("begin", encode_to_vec(&Begin::new(TransferNumber(1), 2048, 2048))),
        ("attach", encode_to_vec(&Attach::new("link", Handle(0), Role::Sender))),
        ("flow", encode_to_vec(&flow)),
        ("transfer", encode_to_vec(&Transfer::new(Handle(0)))),
        ("disposition", encode_to_vec(&disposition)),
        ("detach", encode_to_vec(&Detach { handle: Handle(0), closed: true, error: None })),
        ("end", encode_to_vec(&End { error: None })),
        ("close", encode_to_vec(&Close { error: None })),
    ]
}

/// One of each SASL body, encoded.
fn sasl_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let plain = Symbol::from_static("PLAIN");
    let mechanisms = Mechanisms([plain.clone()].into_iter().collect());
    let init = SaslInit { mechanism: plain, initial_response: Some(b"\0me\0secret".into()), hostname: None };
    vec![
        ("sasl-mechanisms", encode_to_vec(&SaslMechanisms { sasl_server_mechanisms: mechanisms })),
        ("sasl-init", encode_to_vec(&init)),
        ("sasl-challenge", encode_to_vec(&SaslChallenge { challenge: b"c".into() })),
        ("sasl-response", encode_to_vec(&SaslResponse { response: b"r".into() })),
        ("sasl-outcome", encode_to_vec(&SaslOutcome { code: SaslCode::Ok, additional_data: None })),
    ]
}

/// The same body behind the symbolic descriptor.
fn by_name(name: &str, encoded: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    Symbol::new(format!("amqp:{name}:list")).unwrap().encode(&mut out);
    out.extend_from_slice(encoded.strip_prefix(&[0, 0x53]).unwrap().split_first().unwrap().1);
    out
}

fn header(size: u32, doff: u8, kind: u8) -> [u8; 8] {
    let [s0, s1, s2, s3] = size.to_be_bytes();
    [s0, s1, s2, s3, doff, kind, 0, 5]
}

#[test]
fn h01_size_below_the_header() {
    for size in 0..8 {
        let octets = header(size, 2, 0);
        let error = FrameHeader::parse(octets, LIMIT).unwrap_err();
        assert_eq!((error.kind(), error.frame_size()), (FrameErrorKind::TooSmall, size));
        assert_eq!(next_frame(&octets, LIMIT), Err(error));
        assert_eq!(next_frame(&octets[..4], LIMIT), Err(error), "nothing more is awaited");
    }
    assert_eq!(next_frame(&header(8, 2, 0), LIMIT).unwrap().unwrap().body, b"");
}

#[test]
fn h01_data_offset_inside_the_header() {
    for doff in [0, 1] {
        let error = next_frame(&header(64, doff, 0), LIMIT).unwrap_err();
        assert_eq!((error.kind(), error.frame_size()), (FrameErrorKind::DataOffset, 64));
    }
}

#[test]
fn h01_data_offset_above_two_skips_the_extended_header() {
    for doff in 3..=255_u8 {
        let start = usize::from(doff) * 4;
        let mut frame = header(start as u32 + 3, doff, 0).to_vec();
        frame.resize(start, 0xee);
        frame.extend_from_slice(b"abc");
        frame.extend_from_slice(b"next");
        let found = next_frame(&frame, 2048).unwrap().unwrap();
        assert_eq!(found.body, b"abc");
        assert_eq!((found.header.channel, usize::from(found.header.body_offset)), (Channel(5), start));
        let empty = [&header(start as u32, doff, 0)[..], &frame[8..start]].concat();
        assert_eq!(next_frame(&empty, 2048).unwrap().unwrap().body, b"");
    }
}

#[test]
fn h01_data_offset_beyond_the_frame() {
    for (size, doff) in [(8, 3), (11, 3), (12, 4), (64, 17), (512, 129), (512, 255)] {
        let error = next_frame(&header(size, doff, 1), LIMIT).unwrap_err();
        assert_eq!((error.kind(), error.frame_size()), (FrameErrorKind::DataOffset, size));
    }
}

#[test]
fn h01_size_over_the_limit_is_judged_before_a_body() {
    for size in [LIMIT + 1, 1 << 20, u32::MAX] {
        for known in 4..=8 {
            let error = next_frame(&header(size, 2, 0)[..known], LIMIT).unwrap_err();
            assert_eq!((error.kind(), error.frame_size()), (FrameErrorKind::TooLarge, size));
        }
        let info = allocation_counter::measure(|| {
            next_frame(&header(size, 2, 0), LIMIT).unwrap_err();
        });
        assert_eq!(info.count_total, 0);
    }
    assert_eq!(next_frame(&header(LIMIT, 2, 0), LIMIT), Ok(None), "as large as the limit");
    assert_eq!(next_frame(&header(u32::MAX, 2, 0), u32::MAX), Ok(None), "no limit");
}

#[test]
fn h01_frame_cut_at_every_byte() {
    for (name, body) in performatives() {
        let mut frame = header(body.len() as u32 + 12, 3, 0).to_vec();
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&body);
        for cut in 0..frame.len() {
            assert_eq!(next_frame(&frame[..cut], LIMIT), Ok(None), "{name} cut at {cut}");
        }
        assert_eq!(next_frame(&frame, LIMIT).unwrap().unwrap().body, body, "{name}");
    }
}

#[test]
fn h01_body_cut_at_every_byte() {
    for (name, body) in performatives() {
        for cut in 0..body.len() {
            let open = Reader::new(&body[..cut]).read::<Performative<'_>>().unwrap_err();
            assert_eq!(open.kind(), DecodeErrorKind::Incomplete, "{name} cut at {cut}");
            let sized = Reader::sized(&body[..cut]).read::<Performative<'_>>().unwrap_err();
            assert_eq!(sized.kind(), DecodeErrorKind::Overrun, "{name} cut at {cut}");
            assert_eq!(sized.offset(), open.offset());
        }
    }
    for (name, body) in sasl_bodies() {
        for cut in 0..body.len() {
            let error = SaslBody::decode_frame(&body[..cut]).unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::Overrun, "{name} cut at {cut}");
        }
    }
}

#[test]
fn h10_neither_amqp_nor_sasl_frame() {
    for kind in 2..=255 {
        let error = next_frame(&header(8, 2, kind), LIMIT).unwrap_err();
        assert_eq!(error.kind(), FrameErrorKind::UnknownType);
    }
    for kind in [FrameType::Amqp, FrameType::Sasl] {
        let mut out = Vec::new();
        encode_frame(kind, Channel(0), &End { error: None }, &mut out);
        assert_eq!(next_frame(&out, LIMIT).unwrap().unwrap().header.frame_type, kind);
    }
}

#[test]
fn h10_only_performatives_in_amqp_frames() {
    for (name, body) in performatives() {
        for body in [by_name(name, &body), body] {
            assert_eq!(Reader::sized(&body).read::<Performative<'_>>().unwrap().name(), name);
        }
    }
    let foreign: [&[u8]; 9] = [
        b"\0\x53\x24\x45",                       // accepted
        b"\0\x53\x1d\xc0\x04\x01\xa3\x01x",      // error
        b"\0\x53\x28\x45",                       // source
        b"\0\x53\x70\x45",                       // header
        b"\0\x53\x77\x40",                       // amqp-value
        b"\0\x44\x45",                           // ulong 0
        b"\0\x80\0\0\0\x01\0\0\0\x10\xc0\x01\0", // open, but of another domain
        b"\0\xa3\x0camqp:OPEN:ls\x45",
        b"\0\x40\x45",
    ];
    let sasl = sasl_bodies().into_iter().flat_map(|(name, body)| [by_name(name, &body), body]);
    for body in sasl.chain(foreign.map(<[u8]>::to_vec)) {
        let error = Reader::sized(&body).read::<Performative<'_>>().unwrap_err();
        let DecodeErrorKind::UnexpectedDescriptor { expected, .. } = error.kind() else {
            panic!("{body:02x?}: {error}")
        };
        assert_eq!(expected, "a performative");
    }
    for body in [&b"\x45"[..], b"\x40", b"\xc0\x01\0", b"\x53\x10"] {
        let error = Reader::sized(body).read::<Performative<'_>>().unwrap_err();
        let expected = DecodeErrorKind::UnexpectedType { expected: "a performative", found: body[0] };
        assert_eq!(error.kind(), expected);
    }
}

#[test]
fn h10_only_sasl_bodies_in_sasl_frames() {
    for (name, body) in sasl_bodies() {
        for body in [by_name(name, &body), body.clone()] {
            assert!(SaslBody::decode_frame(&body).is_ok(), "{name}");
        }
        let more = [&body[..], &[0x40]].concat();
        assert_eq!(SaslBody::decode_frame(&more).unwrap_err().kind(), DecodeErrorKind::LeftOver, "{name}");
    }
    let foreign: [&[u8]; 3] = [b"\0\x53\x24\x45", b"\0\x53\x70\x45", b"\0\x44\x45"];
    let amqp = performatives().into_iter().flat_map(|(name, body)| [by_name(name, &body), body]);
    for body in amqp.chain(foreign.map(<[u8]>::to_vec)) {
        let error = SaslBody::decode_frame(&body).unwrap_err();
        let DecodeErrorKind::UnexpectedDescriptor { expected, .. } = error.kind() else {
            panic!("{body:02x?}: {error}")
        };
        assert_eq!(expected, "a SASL frame body");
    }
    let empty = SaslBody::decode_frame(&[]).unwrap_err();
    assert_eq!(empty.kind(), DecodeErrorKind::Overrun, "an empty frame is none of them");
    let plain = SaslBody::decode_frame(b"\x45").unwrap_err();
    assert!(matches!(plain.kind(), DecodeErrorKind::UnexpectedType { .. }));
}
