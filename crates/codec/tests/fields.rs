//! Fields of composites: several values in one, and fields that are absent, null or unknown.

use amqp10_codec::sasl::SaslBody;
use amqp10_codec::{
    Channel, Close, Decode, DecodeError, DecodeErrorKind, DeliveryNumber, Encode, Handle, Header, Milliseconds,
    Multiple, Open, Performative, Properties, Reader, ReceiverSettleMode, Source, Symbol, Transfer, encode_to_vec,
};

/// A composite of these fields behind a numeric descriptor.
fn composite(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&[0, 0x53, code, 0xc0, body.len() as u8 + 1, fields.len() as u8][..], &body].concat()
}

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}

fn symbols(names: &[&'static str]) -> Multiple<Symbol<'static>> {
    names.iter().map(|name| Symbol::from_static(name)).collect()
}

const NULL: &[u8] = b"\x40";

/// The ways to write no, one and two symbols.
fn multiples() -> Vec<(&'static [u8], Multiple<Symbol<'static>>)> {
    vec![
        (NULL, symbols(&[])),
        (b"\xe0\x02\x00\xa3", symbols(&[])),
        (b"\xf0\0\0\0\x05\0\0\0\x00\xb3", symbols(&[])),
        (b"\xa3\x02en", symbols(&["en"])),
        (b"\xb3\0\0\0\x02en", symbols(&["en"])),
        (b"\xe0\x05\x01\xa3\x02en", symbols(&["en"])),
        (b"\xf0\0\0\0\x0b\0\0\0\x01\xb3\0\0\0\x02en", symbols(&["en"])),
        (b"\xe0\x08\x02\xa3\x02en\x02de", symbols(&["en", "de"])),
        (b"\xf0\0\0\0\x0b\0\0\0\x02\xa3\x02en\x02de", symbols(&["en", "de"])),
    ]
}

#[test]
fn h09_multiple_as_null_single_value_and_array() {
    for (octets, expected) in multiples() {
        assert_eq!(read::<Multiple<Symbol<'_>>>(octets).as_ref(), Ok(&expected), "{octets:02x?}");
        let open = composite(0x10, &[b"\xa1\x01c", NULL, NULL, NULL, NULL, octets, NULL, NULL, octets]);
        let open: Open<'_> = read(&open).unwrap();
        assert_eq!((&open.outgoing_locales, &open.desired_capabilities), (&expected, &expected));
        assert!(open.incoming_locales.is_empty());
        let source = composite(0x28, &[&[NULL; 9][..], &[octets]].concat());
        assert_eq!(read::<Source<'_>>(&source).unwrap().outcomes, expected);
    }
}

#[test]
fn h09_multiple_is_written_in_its_shortest_form() {
    let long = Symbol::new("x".repeat(256)).unwrap();
    let several: Multiple<Symbol<'_>> = [Symbol::from_static("a"), long].into_iter().collect();
    for (value, head) in [
        (symbols(&[]), &b"\x40"[..]),
        (symbols(&["en"]), b"\xa3\x02en"),
        (symbols(&["en", "de"]), b"\xe0\x08\x02\xa3\x02en\x02de"),
        (several, b"\xf0\0\0\x01\x0e\0\0\0\x02\xb3\0\0\0\x01a\0\0\x01\0x"),
    ] {
        let octets = encode_to_vec(&value);
        assert!(octets.starts_with(head), "{octets:02x?}");
        assert_eq!(read(&octets), Ok(value));
    }
}

#[test]
fn h09_multiple_of_another_type() {
    let others: [&[u8]; 7] = [
        b"\xa1\x01x",                      // a string
        b"\xc0\x04\x01\xa3\x01x",          // a list
        b"\xe0\x04\x01\xa1\x01x",          // an array of strings
        b"\xe0\x02\x01\x40",               // an array of one null
        b"\xe0\x06\x01\0\x53\x01\xa3\x00", // an array of described symbols
        b"\x56\x01",
        b"\0\x53\x01\xa3\x01x",
    ];
    for octets in others {
        assert!(read::<Multiple<Symbol<'_>>>(octets).is_err(), "{octets:02x?}");
    }
}

#[test]
fn h09_mandatory_multiple() {
    for (octets, expected) in multiples() {
        let mechanisms = composite(0x40, &[octets]);
        match SaslBody::decode_frame(&mechanisms) {
            Ok(SaslBody::Mechanisms(found)) => assert_eq!(found.sasl_server_mechanisms.0, expected),
            Err(error) => {
                assert!(expected.is_empty());
                assert_eq!(error.kind(), DecodeErrorKind::MissingField("sasl_server_mechanisms"));
                assert_eq!(error.offset(), 6);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(SaslBody::decode_frame(&mechanisms).is_err(), expected.is_empty());
    }
    let absent = SaslBody::decode_frame(b"\0\x53\x40\x45").unwrap_err();
    assert_eq!(absent.kind(), DecodeErrorKind::MissingField("sasl_server_mechanisms"));
}

#[test]
fn h09_trailing_fields_absent_or_null() {
    let absent = composite(0x14, &[b"\x43"]);
    let absent: Transfer<'_> = read(&absent).unwrap();
    let null = composite(0x14, &[&[&b"\x43"[..]], &[NULL; 10][..]].concat());
    assert_eq!(absent, Transfer::new(Handle(0)));
    assert_eq!(read(&null), Ok(absent.clone()));
    // No default and its own meaning.
    assert_eq!((absent.settled, absent.rcv_settle_mode), (None, None));

    let absent = composite(0x10, &[b"\xa1\x01c"]);
    let absent: Open<'_> = read(&absent).unwrap();
    let null = composite(0x10, &[&[&b"\xa1\x01c"[..]], &[NULL; 9][..]].concat());
    assert_eq!(absent, Open::new("c"));
    assert_eq!(read(&null), Ok(absent.clone()));
    assert_eq!((absent.max_frame_size, absent.channel_max), (u32::MAX, Channel(u16::MAX)));

    for octets in [&b"\0\x53\x70\x45"[..], b"\0\x53\x70\xc0\x01\0", b"\0\x53\x70\xd0\0\0\0\x04\0\0\0\0"] {
        assert_eq!(read(octets), Ok(Header::default()));
    }
    assert_eq!(read(&composite(0x70, &[NULL; 5])), Ok(Header::default()));
    assert_eq!(read(&composite(0x73, &[NULL; 13])), Ok(Properties::default()));
    assert_eq!(read(&composite(0x28, &[NULL; 11])), Ok(Source::default()));
}

#[test]
fn h09_inner_fields_null() {
    let transfer = composite(0x14, &[b"\x43", b"\x52\x09", NULL, NULL, NULL, b"\x41", b"\x50\x01"]);
    let expected = Transfer {
        delivery_id: Some(DeliveryNumber(9)),
        more: true,
        rcv_settle_mode: Some(ReceiverSettleMode::Second),
        ..Transfer::new(Handle(0))
    };
    assert_eq!(read(&transfer), Ok(expected.clone()));
    assert_eq!(encode_to_vec(&expected), transfer, "nulls at the end are left out, others are not");
    let header = Header { ttl: Some(Milliseconds(5)), ..Header::default() };
    assert_eq!(read(&composite(0x70, &[NULL, NULL, b"\x52\x05"])), Ok(header));
}

#[test]
fn h09_unknown_fields_beyond_the_end() {
    let unknown: [&[u8]; 5] =
        [NULL, b"\x52\x01", b"\xc0\x03\x02\x40\x40", b"\0\xa3\x01n\xa1\x01v", b"\xe0\x02\x05\x41"];
    for more in unknown {
        for count in 1..4 {
            let fields = [&[&b"\x43"[..]], &[NULL; 10][..], &vec![more; count]].concat();
            assert_eq!(read(&composite(0x14, &fields)), Ok(Transfer::new(Handle(0))));
            let fields = [&[NULL][..], &vec![more; count]].concat();
            assert_eq!(read(&composite(0x18, &fields)), Ok(Close { error: None }));
        }
    }
    // They are skipped, but have to be values.
    let malformed: [(&[u8], DecodeErrorKind); 3] = [
        (b"\x01", DecodeErrorKind::UnknownConstructor(1)),
        (b"\xa1\x09x", DecodeErrorKind::Overrun),
        (b"\0\x53\x01", DecodeErrorKind::Overrun),
    ];
    for (more, expected) in malformed {
        assert_eq!(read::<Close<'_>>(&composite(0x18, &[NULL, more])).unwrap_err().kind(), expected);
    }
}

#[test]
fn h09_mandatory_fields() {
    type Row = (u8, &'static [(usize, &'static str)], &'static [&'static [u8]]);
    // Descriptor, then the mandatory fields by place and name, with a value for each field up to the last of them.
    let rows: [Row; 8] = [
        (0x10, &[(0, "container_id")], &[b"\xa1\x01c"]),
        (
            0x11,
            &[(1, "next_outgoing_id"), (2, "incoming_window"), (3, "outgoing_window")],
            &[NULL, b"\x43", b"\x43", b"\x43"],
        ),
        (0x12, &[(0, "name"), (1, "handle"), (2, "role")], &[b"\xa1\x01l", b"\x43", b"\x41"]),
        (
            0x13,
            &[(1, "incoming_window"), (2, "next_outgoing_id"), (3, "outgoing_window")],
            &[NULL, b"\x43", b"\x43", b"\x43"],
        ),
        (0x14, &[(0, "handle")], &[b"\x43"]),
        (0x15, &[(0, "role"), (1, "first")], &[b"\x41", b"\x43"]),
        (0x16, &[(0, "handle")], &[b"\x43"]),
        (0x18, &[], &[]),
    ];
    for (code, mandatory, fields) in rows {
        assert!(read::<Performative<'_>>(&composite(code, fields)).is_ok(), "{code:02x}");
        for (at, name) in mandatory {
            let mut null = fields.to_vec();
            null[*at] = NULL;
            for fields in [&null[..], &fields[..*at]] {
                let error = read::<Performative<'_>>(&composite(code, fields)).unwrap_err();
                assert_eq!(error.kind(), DecodeErrorKind::MissingField(name), "{code:02x}");
            }
        }
    }
    for (code, value, name) in [
        (0x41, &b"\xa3\x01m"[..], "mechanism"),
        (0x42, b"\xa0\x01c", "challenge"),
        (0x43, b"\xa0\x01r", "response"),
        (0x44, b"\x50\x00", "code"),
    ] {
        assert!(SaslBody::decode_frame(&composite(code, &[value])).is_ok());
        for octets in [composite(code, &[NULL]), composite(code, &[])] {
            let error = SaslBody::decode_frame(&octets).unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::MissingField(name));
        }
    }
}

#[test]
fn h09_choices_outside_their_range() {
    let rows: [(&[&[u8]], &str, u32); 4] = [
        (&[b"\xa1\x01l", b"\x43", b"\x41", b"\x50\x03"], "snd-settle-mode", 12),
        (&[b"\xa1\x01l", b"\x43", b"\x41", NULL, b"\x50\x02"], "rcv-settle-mode", 13),
        (
            &[b"\xa1\x01l", b"\x43", b"\x41", NULL, NULL, b"\0\x53\x28\xc0\x04\x02\x40\x52\x03"],
            "terminus-durability",
            21,
        ),
        (
            &[b"\xa1\x01l", b"\x43", b"\x41", NULL, NULL, b"\0\x53\x28\xc0\x06\x03\x40\x40\xa3\x01x"],
            "expiry-policy",
            22,
        ),
    ];
    for (fields, what, offset) in rows {
        let error = read::<Performative<'_>>(&composite(0x12, fields)).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::InvalidValue(what), offset));
    }
    // Types are not coerced: ubyte for the settle modes, uint for the durability.
    assert!(read::<ReceiverSettleMode>(b"\x52\x01").is_err());
    assert!(read::<amqp10_codec::TerminusDurability>(b"\x50\x01").is_err());
    assert!(read::<amqp10_codec::Role>(b"\x50\x01").is_err());
    assert!(read::<amqp10_codec::MessageId<'_>>(b"\x52\x01").is_err());
    assert!(read::<Symbol<'_>>(b"\xa1\x01x").is_err());
    let mut out = Vec::new();
    "x".encode(&mut out);
    assert!(read::<&str>(&out).is_ok() && read::<&str>(b"\xa3\x01x").is_err());
}
