//! What errors say: what was expected, what was found, and where.

use amqp10_codec::{Decode, DecodeError, Header, Limits, MessageView, Outcome, Performative, Reader, Symbol, Value};

fn error<'a, T: Decode<'a> + std::fmt::Debug>(octets: &'a [u8]) -> DecodeError {
    let mut reader = Reader::sized(octets);
    reader.read::<T>().and_then(|_| reader.finish()).unwrap_err()
}

fn deep(octets: &[u8], limits: &Limits) -> DecodeError {
    Reader::sized(octets).read::<Value<'_>>().unwrap().validate_within(limits).unwrap_err()
}

#[test]
fn every_kind_of_error_says_what_was_expected_and_found_and_where() {
    let mut few = Limits::default();
    (few.elements, few.nodes) = (2, 3);
    let rows = [
        (
            Reader::new(b"\xa1\x05x").read::<&str>().unwrap_err(),
            "expected the rest of a value, found the end of the input at offset 2",
        ),
        (error::<&str>(b"\xa1\x05x"), "expected more octets, found the end of the sized value around at offset 2"),
        (error::<Value<'_>>(b"\x40\x40"), "expected the end of a sized value, found more octets at offset 1"),
        (error::<Value<'_>>(b"\x01"), "expected a constructor of §1.6, found 0x01 at offset 0"),
        (error::<Symbol<'_>>(b"\xa1\x01x"), "expected symbol, found string (0xa1) at offset 0"),
        (error::<u32>(b"\0\x53\x01\x40"), "expected uint, found a described value (0x00) at offset 0"),
        (
            error::<Performative<'_>>(b"\0\x53\x24\x45"),
            "expected a performative, found the descriptor 0x24 at offset 1",
        ),
        (
            error::<amqp10_codec::Open<'_>>(b"\0\x53\x18\x45"),
            "expected amqp:open:list, found the descriptor 0x18 at offset 1",
        ),
        (error::<Outcome<'_>>(b"\0\x53\x23\x45"), "expected an outcome, found the descriptor 0x23 at offset 1"),
        (
            error::<amqp10_codec::Open<'_>>(b"\0\xa3\x01x\x45"),
            "expected amqp:open:list, found another descriptor at offset 1",
        ),
        (
            error::<Performative<'_>>(b"\0\x53\x10\xc0\x02\x01\x40"),
            "expected the mandatory field container-id, found null or nothing at offset 6",
        ),
        (
            error::<bool>(b"\x56\x02"),
            "expected the octet of a boolean within its range, found another value at offset 1",
        ),
        (error::<&str>(b"\xa1\x02a\xff"), "expected UTF-8, found an octet that is none at offset 3"),
        (error::<Symbol<'_>>(b"\xa3\x01\xe9"), "expected ASCII, found an octet above 0x7f in a symbol at offset 2"),
        (error::<char>(b"\x73\0\0\xd8\0"), "expected a Unicode scalar value, found a char that is none at offset 1"),
        (
            error::<Value<'_>>(b"\xc0\x01\x05"),
            "expected a count that the octets can hold, found a larger one at offset 3",
        ),
        (
            error::<Value<'_>>(b"\xc1\x02\x01\x40"),
            "expected keys and values in pairs, found a map with an odd count at offset 1",
        ),
        (
            deep(b"\xc1\x05\x04\x40\x40\x40\x40", &Limits::default()),
            "expected keys that differ, found one identical to one before at offset 5",
        ),
        (error::<Value<'_>>(&[0; 66]), "expected fewer levels, found values nested too deeply at offset 65"),
        (
            deep(b"\xc0\x04\x03\x40\x40\x40", &few),
            "expected fewer elements, found too many in one list, map or array at offset 3",
        ),
        (
            deep(b"\xc0\x09\x02\xc0\x03\x02\x40\x40\xc0\x03\x02\x40\x40", &few),
            "expected fewer values, found too many in all at offset 6",
        ),
    ];
    for (error, text) in rows {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn errors_of_messages_name_the_section() {
    let text = |octets: &[u8]| {
        let view = MessageView::parse(octets);
        view.and_then(|view| view.validate()).unwrap_err().to_string()
    };
    assert_eq!(
        text(b"\0\x53\x74\xc1\x05\x02\xa3\x01k\x40\0\x53\x77\x40"),
        "the application-properties section: expected a string as key, found symbol (0xa3) at offset 6"
    );
    assert_eq!(text(b"\x40"), "the message: expected a section of a message, found null (0x40) at offset 0");
    assert_eq!(text(b""), "the message: expected the mandatory field body, found null or nothing at offset 0");
}

#[test]
fn errors_are_small() {
    assert_eq!(size_of::<DecodeError>(), 32);
}

#[test]
fn a_section_that_cannot_be_opened_says_so_when_it_is_asked_for() {
    // The section's value, and what is wrong with it where it stands behind four octets of another section and its own descriptor.
    let rows: [(&[u8], &str); 6] = [
        (b"\x40", "expected map, found null (0x40) at offset 10"),
        (b"\xc0\x01\x00", "expected map, found list (0xc0) at offset 10"),
        (b"\xc1\x00", "expected more octets, found the end of the sized value around at offset 12"),
        (b"\xc1\x03\x04\x40\x40", "expected a count that the octets can hold, found a larger one at offset 13"),
        (b"\xc1\x02\x01\x40", "expected keys and values in pairs, found a map with an odd count at offset 11"),
        (
            b"\xd1\0\0\0\x04\xff\xff\xff\xff",
            "expected a count that the octets can hold, found a larger one at offset 19",
        ),
    ];
    for (value, text) in rows {
        let octets = [b"\0\x53\x70\xc0\x02\x01\x41\0\x53\x74", value, b"\0\x53\x75\xa0\x01x"].concat();
        let view = MessageView::parse(&octets).expect("its sections can be told apart");
        assert!(view.header().unwrap().unwrap().durable, "the others are as good as ever");
        assert_eq!(view.data().next(), Some(Ok(&b"x"[..])));
        let error = view.application_properties().unwrap_err();
        assert_eq!(error.to_string(), format!("the application-properties section: {text}"), "{value:02x?}");
    }
    // The same for a list, of which an empty one may take one octet.
    let header = |value: &[u8]| {
        let octets = [b"\0\x53\x70", value, b"\0\x53\x75\xa0\x01x"].concat();
        MessageView::parse(&octets).expect("its sections can be told apart").header().map_err(|error| error.to_string())
    };
    assert_eq!(header(b"\x45"), Ok(Some(Header::default())));
    let rows: [(&[u8], &str); 3] = [
        (b"\xc1\x01\x00", "expected list, found map (0xc1) at offset 3"),
        (b"\xc0\x01\x01", "expected a count that the octets can hold, found a larger one at offset 6"),
        (b"\xc0\x03\x01\xa1\0", "expected boolean, found string (0xa1) at offset 6"),
    ];
    for (value, text) in rows {
        assert_eq!(header(value), Err(format!("the header section: {text}")), "{value:02x?}");
    }
}
