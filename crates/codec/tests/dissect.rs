//! The annotated hex dump: right for what is right, and bounded and without a panic for anything.

use amqp10_codec::sasl::{SaslBody, SaslInit};
use amqp10_codec::{
    Channel, DeliveryNumber, DeliveryState, Dissection, Encode, FrameType, Handle, Message, MessageFormat, Open,
    ProtocolHeader, Symbol, Transfer, begin_frame, dissect, encode_frame, finish_frame,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What stands beside the octets, line by line.
fn meanings(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.get(35..).unwrap_or("")).collect()
}

/// Every octet, in order, as the dump shows them.
fn octets(text: &str) -> Vec<u8> {
    let column = |line: &str| line.get(10..34.min(line.len())).unwrap_or("").to_owned();
    text.lines()
        .flat_map(|line| {
            column(line).split_whitespace().map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_stream_of_frames() {
    let mut stream = ProtocolHeader::SASL.to_octets().to_vec();
    let init = SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(b"\0me\0pw".into()),
        hostname: None,
    };
    encode_frame(FrameType::Sasl, Channel(0), &init, &mut stream);
    stream.extend_from_slice(&ProtocolHeader::AMQP.to_octets());
    encode_frame(
        FrameType::Amqp,
        Channel(0),
        &Open { hostname: Some("example.org".into()), ..Open::new("me") },
        &mut stream,
    );
    let start = begin_frame(FrameType::Amqp, Channel(7), &mut stream);
    let transfer = Transfer {
        delivery_id: Some(DeliveryNumber(300)),
        delivery_tag: Some(9.into()),
        message_format: Some(MessageFormat(0)),
        state: Some(DeliveryState::Rejected(Box::default())),
        ..Transfer::new(Handle(1))
    };
    transfer.encode(&mut stream);
    Message::data(&b"octets"[..]).application_property("topic", "a\nb").encode(&mut stream);
    finish_frame(start, 0, &mut stream);
    stream.extend_from_slice(&[0, 0, 0, 8, 2, 0, 0, 0]);

    let text = dissect(&stream).to_string();
    assert_eq!(octets(&text), stream);
    let expected = [
        "protocol header: SASL, AMQP 1.0.0",
        "frame: SASL, 29 octets",
        "  sasl-init (amqp:sasl-init:list)",
        "    list of 2",
        "      mechanism: symbol \"PLAIN\"",
        "      initial-response: binary of 6 octets",
        "protocol header: AMQP 1.0.0",
        "frame: AMQP, 31 octets, channel 0",
        "  open (amqp:open:list)",
        "    list of 2",
        "      container-id: string \"me\"",
        "      hostname: string \"example.org\"",
        "",
        "frame: AMQP, 68 octets, channel 7",
        "  transfer (amqp:transfer:list)",
        "    list of 8",
        "      handle: uint 1",
        "      delivery-id: uint 300",
        "      delivery-tag: binary of 8 octets",
        "",
        "      message-format: uint 0",
        "      settled: null",
        "      more: null",
        "      rcv-settle-mode: null",
        "      state: rejected (amqp:rejected:list)",
        "        list of 0",
        "  payload of 29 octets",
        "    application-properties (amqp:application-properties:map)",
        "      map of 1 entries",
        "        key string \"topic\"",
        "          value string \"a\\nb\"",
        "    data (amqp:data:binary)",
        "      binary of 6 octets",
        "frame: AMQP, 8 octets, channel 0",
        "  (no body)",
    ];
    assert_eq!(meanings(&text), expected, "{text}");
    // Offsets are those of the whole input.
    let offset = |line: &str| usize::from_str_radix(&line[..8], 16).unwrap();
    let mut at = 0;
    for line in text.lines() {
        assert_eq!(offset(line), at, "{line}");
        at += octets(line).len();
    }
    assert_eq!(Dissection::stream(&stream).to_string(), text);
    assert!(SaslBody::decode_frame(&stream[16..37]).is_ok());
}

#[test]
fn values_of_every_kind() {
    let rows: [(&[u8], &[&str]); 14] = [
        (b"\x56\x01", &["boolean true"]),
        (b"\x54\xff", &["int -1"]),
        (b"\x83\xff\xff\xff\xff\xff\xff\xff\xff", &["timestamp -1 ms", ""]),
        (b"\x73\0\x01\xf6\0", &["char '😀'"]),
        (b"\x72\x3f\x80\0\0", &["float 1.0"]),
        (b"\x74\x01\x02\x03\x04", &["decimal32"]),
        (b"\xc0\x04\x02\x43\x54\x05", &["list of 2", "  0: uint 0", "  1: int 5"]),
        (b"\xe0\x04\x02\x50\x01\x02", &["array of 2", "  each: ubyte", "  0: ubyte 1", "  1: ubyte 2"]),
        (b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40", &["array of 4294967295", "", "  each: null"]),
        (
            b"\xe0\x0a\x02\0\x53\x24\xc0\x02\x01\x43\x01\0",
            &["array of 2", "  each: list", "  0: list of 1", "    0: uint 0", "  1: list of 0"],
        ),
        (b"\0\xa3\x03x:y\xa1\x01v", &["described by \"x:y\"", "  string \"v\""]),
        (b"\0\x80\0\0\x46\x8c\0\0\0\x04\x40", &["described by 0x468c00000004", "", "  null"]),
        (
            b"\0\x53\x77\0\x53\x31\x45",
            &["amqp-value (amqp:amqp-value:*)", "  declare (amqp:declare:list)", "    list of 0"],
        ),
        (
            b"\0\x53\x18\xc0\x03\x02\x40\x43",
            &["close (amqp:close:list)", "  list of 2", "    error: null", "    (unknown field): uint 0"],
        ),
    ];
    for (given, expected) in rows {
        let text = dissect(given).to_string();
        assert_eq!(meanings(&text), expected, "{text}");
        assert_eq!(octets(&text), given);
    }
}

#[test]
fn what_is_malformed_is_told_where_it_is() {
    let rows: [(&[u8], &str); 7] = [
        (
            b"\0\x53\x10\xc0\x05\x01\xa1\x05me",
            "    error: expected more octets, found the end of the sized value around",
        ),
        (b"\xc0\x03\x01\x40\x40", "  error: expected the end of a sized value, found more octets at offset 4"),
        (b"\x43\x01\x02", "error: expected a constructor of §1.6, found 0x01 at offset 1"),
        (b"AMQP\0\x01", "a protocol header, cut short"),
        (b"\0\0\0\x20\x02\0\0\0\0\x53\x18\x45", "(the frame is cut short: 20 octets are missing)"),
        (b"\0\0\0\x08\x02\0\0\0\0\0\0\x09\x07\x00\0\0", "error: the data offset does not lie inside the frame"),
        (b"\0\0\0\x0c\x03\0\0\0\xee\xee\xee\xee", "  extended header"),
    ];
    for (given, expected) in rows {
        let text = dissect(given).to_string();
        assert!(meanings(&text).iter().any(|line| line.starts_with(expected)), "{text}");
    }
    // A malformed frame does not spoil the next one.
    let two = dissect(b"\0\0\0\x09\x02\0\0\0\x01\0\0\0\x08\x02\0\0\x05").to_string();
    assert!(two.contains("channel 5"), "{two}");
}

#[test]
fn the_output_is_bounded() {
    let most = |text: String| assert!(text.lines().count() <= 2_001 && text.len() < 1 << 20, "{}", text.len());
    let big = vec![0x40; 1 << 20];
    most(dissect(&big).to_string());
    assert!(dissect(&big).to_string().ends_with("(the rest is left out)\n"));
    most(dissect(&vec![0; 1 << 20]).to_string());
    most(Dissection::stream(&[0, 0, 0, 8, 2, 0, 0, 0].repeat(1 << 16)).to_string());
    let mut out = Vec::new();
    Message::data(vec![7; 1 << 20]).encode(&mut out);
    let text = dissect(&out).to_string();
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.ends_with("… 1048549 octets more\n"), "{text}");
    out.clear();
    "x\u{7}".repeat(1_000).as_str().encode(&mut out);
    assert!(dissect(&out).to_string().lines().all(|line| line.len() < 500));
    assert!(!dissect(&out).to_string().contains('\u{7}'));
    let deep = (0..200).fold(vec![0x43], |inside: Vec<u8>, _| {
        [&[0xd0][..], &(inside.len() as u32 + 4).to_be_bytes(), &[0, 0, 0, 1], &inside].concat()
    });
    most(dissect(&deep).to_string());
    assert!(dissect(&deep).to_string().contains("nested too deeply"));
    assert_eq!(dissect(&[]).to_string(), "");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(octets in vec(prop_oneof![any::<u8>(), Just(0), Just(0x53), Just(0xc0), Just(0xe0), Just(0xf0)], 0..300)) {
        for dissection in [dissect(&octets), Dissection::stream(&octets), Dissection::values(&octets)] {
            let text = dissection.to_string();
            prop_assert!(text.lines().count() <= 2_001);
        }
        let framed = [&(octets.len() as u32 + 8).to_be_bytes()[..], &[2, 0, 0, 0], &octets].concat();
        let text = dissect(&framed).to_string();
        prop_assert!(text.contains("frame: AMQP"));
        let _ = format!("{:?}", dissect(&octets));
    }
}
