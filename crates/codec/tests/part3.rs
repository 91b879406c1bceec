//! Part 3 of the specification, requirement by requirement. Each is named by its section and a number.
//!
//! Keys and values of its maps are tested in `validate.rs`.

use amqp10_codec::{
    Accepted, Binary, Body, Composite, Decode, DecodeError, DecodeErrorKind, Described, DistributionMode, Encode,
    Error, ErrorCondition, ExpiryPolicy, Header, LifetimePolicy, List, Map, Message, MessageError, MessageId,
    MessageView, Milliseconds, Modified, Multiple, Outcome, Properties, Reader, Received, Rejected, Released, Seconds,
    Section, SequenceNo, Source, Symbol, Target, TerminusDurability, Timestamp, Transfer, Uuid, Value, encode_to_vec,
};

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}

fn composite(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&[0, 0x53, code, 0xc0, body.len() as u8 + 1, fields.len() as u8][..], &body].concat()
}

/// A vector made by hand is this value, behind either descriptor, and the value is written as the vector.
fn both_ways<'a, T>(value: &T, name: &str, fields: &[&[u8]])
where
    T: Composite + Decode<'a> + Encode + PartialEq + std::fmt::Debug,
{
    assert_eq!(T::NAME, name);
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
const HEADER: &[u8] = b"\0\x53\x70\x45";
const PROPERTIES: &[u8] = b"\0\x53\x73\x45";
const DATA: &[u8] = b"\0\x53\x75\xa0\x01x";
const SEQUENCE: &[u8] = b"\0\x53\x76\x45";
const VALUE: &[u8] = b"\0\x53\x77\x40";
const FOOTER: &[u8] = b"\0\x53\x78\xc1\x01\0";

fn message(sections: &[&[u8]]) -> Result<(), MessageError> {
    MessageView::parse(&sections.concat()).and_then(|view| view.validate())
}

/// One section of each kind that there is in a message with data.
fn all() -> [&'static [u8]; 7] {
    let annotations: [&[u8]; 3] = [b"\0\x53\x71\xc1\x01\0", b"\0\x53\x72\xc1\x01\0", b"\0\x53\x74\xc1\x01\0"];
    let [delivery, annotation, application] = annotations;
    [HEADER, delivery, annotation, PROPERTIES, application, DATA, FOOTER]
}

#[test]
fn sections_of_a_message() {
    let all = all();
    // 3.2-01
    assert_eq!(message(&all), Ok(()));
    let whole = MessageView::parse(&all.concat()).unwrap().to_message().unwrap();
    let mut out = Vec::new();
    whole.encode(&mut out);
    assert_eq!(out, all.concat());
    // 3.2-02
    for (at, section) in all.iter().enumerate().filter(|(_, section)| **section != DATA) {
        let mut twice = all.to_vec();
        twice.insert(at, section);
        assert!(matches!(message(&twice), Err(MessageError::OutOfOrder(..))), "{section:02x?}");
        twice.remove(at);
        twice.push(section);
        assert!(matches!(message(&twice), Err(MessageError::OutOfOrder(..))), "{section:02x?}");
    }
    // 3.2-03
    for good in [&[DATA][..], &[DATA, DATA, DATA], &[SEQUENCE], &[SEQUENCE, SEQUENCE], &[VALUE]] {
        assert_eq!(message(good), Ok(()));
    }
    for mixed in [[DATA, VALUE], [VALUE, DATA], [VALUE, VALUE], [DATA, SEQUENCE], [SEQUENCE, DATA], [SEQUENCE, VALUE]] {
        assert!(message(&mixed).is_err());
    }
}

#[test]
fn sections_that_are_missing_or_out_of_order() {
    // 3.2-04: no body is an empty one to whom does not ask for more, and an error in the strict reading.
    let none = [PROPERTIES].concat();
    let view = MessageView::parse(&none).unwrap();
    assert!(matches!(view.body(), Ok(Body::Empty)));
    let MessageError::Malformed { section: None, error } = view.validate().unwrap_err() else { panic!() };
    assert_eq!(error.kind(), DecodeErrorKind::MissingField("body"));
    // 3.2-05
    let all = all();
    for at in 0..all.len() - 1 {
        let mut swapped = all.to_vec();
        swapped.swap(at, at + 1);
        assert!(matches!(message(&swapped), Err(MessageError::OutOfOrder(..))));
    }
}

#[test]
fn sections_by_name_and_by_code() {
    // 3.2-06
    let names = [
        (Section::Header, "amqp:header:list", &b"\x45"[..]),
        (Section::DeliveryAnnotations, "amqp:delivery-annotations:map", b"\xc1\x01\0"),
        (Section::MessageAnnotations, "amqp:message-annotations:map", b"\xc1\x01\0"),
        (Section::Properties, "amqp:properties:list", b"\x45"),
        (Section::ApplicationProperties, "amqp:application-properties:map", b"\xc1\x01\0"),
        (Section::Data, "amqp:data:binary", b"\xa0\x01x"),
        (Section::AmqpSequence, "amqp:amqp-sequence:list", b"\x45"),
        (Section::AmqpValue, "amqp:amqp-value:*", b"\x40"),
        (Section::Footer, "amqp:footer:map", b"\xc1\x01\0"),
    ];
    for (at, (section, name, value)) in names.into_iter().enumerate() {
        let mut by_name = vec![0];
        Symbol::from_static(name).encode(&mut by_name);
        by_name.extend_from_slice(value);
        let by_code = [&[0, 0x53, 0x70 + at as u8][..], value].concat();
        let body = if section < Section::Data { DATA } else { b"" };
        let before = if section == Section::Footer { DATA } else { b"" };
        let decode = |section: &[u8]| Message::decode(&[before, section, body].concat()).unwrap();
        assert_eq!(decode(&by_name), decode(&by_code), "{name}");
    }
}

#[test]
fn header_and_properties() {
    // 3.2.1-01
    let header =
        Header { durable: true, priority: 5, ttl: Some(Milliseconds(6)), first_acquirer: true, delivery_count: 7 };
    both_ways(&header, "amqp:header:list", &[b"\x41", b"\x50\x05", b"\x52\x06", b"\x41", b"\x52\x07"]);
    assert_eq!(Header::CODE, 0x70);
    // 3.2.1-03
    let default: Header = read(HEADER).unwrap();
    assert_eq!((default.durable, default.priority, default.ttl), (false, 4, None));
    assert_eq!((default.first_acquirer, default.delivery_count), (false, 0));
    // 3.2.4-01, 3.2.4-06, 3.2.4-07
    let properties = Properties {
        message_id: Some(MessageId::Ulong(1)),
        user_id: Some(Binary::from(b"u")),
        to: Some("t".into()),
        subject: Some("s".into()),
        reply_to: Some("r".into()),
        correlation_id: Some(MessageId::String("c".into())),
        content_type: Some(Symbol::from_static("ct")),
        content_encoding: Some(Symbol::from_static("ce")),
        absolute_expiry_time: Some(Timestamp(1)),
        creation_time: Some(Timestamp(2)),
        group_id: Some("g".into()),
        group_sequence: Some(SequenceNo(3)),
        reply_to_group_id: Some("rg".into()),
    };
    let fields: [&[u8]; 13] = [
        b"\x53\x01",
        b"\xa0\x01u",
        b"\xa1\x01t",
        b"\xa1\x01s",
        b"\xa1\x01r",
        b"\xa1\x01c",
        b"\xa3\x02ct",
        b"\xa3\x02ce",
        b"\x83\0\0\0\0\0\0\0\x01",
        b"\x83\0\0\0\0\0\0\0\x02",
        b"\xa1\x01g",
        b"\x52\x03",
        b"\xa1\x02rg",
    ];
    both_ways(&properties, "amqp:properties:list", &fields);
    assert_eq!(Properties::CODE, 0x73);
    for at in [2, 4] {
        let mut fields = fields.map(<[u8]>::to_vec);
        fields[at] = b"\xa3\x01t".to_vec();
        let fields: Vec<&[u8]> = fields.iter().map(|field| &field[..]).collect();
        assert!(read::<Properties<'_>>(&composite(0x73, &fields)).is_err(), "an address is a string");
    }
}

#[test]
fn ids_of_messages() {
    // 3.2.4-03, 3.2.11-01, 3.2.12-01, 3.2.13-01, 3.2.14-01
    let uuid = [&[0x98][..], &[7; 16]].concat();
    let rows: [(&[u8], MessageId<'_>); 8] = [
        (b"\x44", MessageId::Ulong(0)),
        (b"\x53\x01", MessageId::Ulong(1)),
        (b"\x80\x01\0\0\0\0\0\0\0", MessageId::Ulong(1 << 56)),
        (&uuid, MessageId::Uuid(Uuid([7; 16]))),
        (b"\xa0\x011", MessageId::Binary(Binary::from(b"1"))),
        (b"\xb0\0\0\0\x011", MessageId::Binary(Binary::from(b"1"))),
        (b"\xa1\x011", MessageId::String("1".into())),
        (b"\xb1\0\0\0\x011", MessageId::String("1".into())),
    ];
    for (octets, id) in &rows {
        let properties = composite(0x73, &[octets, NULL, NULL, NULL, NULL, octets]);
        let properties: Properties<'_> = read(&properties).unwrap();
        assert_eq!((properties.message_id.as_ref(), properties.correlation_id.as_ref()), (Some(id), Some(id)));
        assert_eq!(read(&encode_to_vec(id)).as_ref(), Ok(id));
    }
    assert_ne!(rows[1].1, rows[6].1, "a number and a text differ");
    for other in [&b"\x52\x01"[..], b"\x43", b"\xa3\x011", b"\x55\x01", b"\x45"] {
        assert!(read::<Properties<'_>>(&composite(0x73, &[other])).is_err());
    }
}

#[test]
fn bodies() {
    let body = |octets: &'static [u8]| MessageView::parse(octets).unwrap().body().unwrap();
    // 3.2.6-01, 3.2.6-02
    let Body::Data(mut data) = body(b"\0\x53\x75\xa0\x03abc\0\x53\x75\xb0\0\0\0\x01d") else { panic!() };
    assert_eq!([data.next(), data.next(), data.next()], [Some(Ok(&b"abc"[..])), Some(Ok(&b"d"[..])), None]);
    assert!(message(&[b"\0\x53\x75\xa1\x01x"]).is_err());
    // 3.2.7-01
    let Body::Sequence(mut lists) = body(b"\0\x53\x76\xc0\x04\x02\x43\xa1\0\0\x53\x76\x45") else { panic!() };
    assert_eq!(lists.next(), Some(Ok(List::new().with(0_u32).with(""))));
    assert_eq!((lists.next(), lists.next()), (Some(Ok(List::new())), None));
    assert!(message(&[b"\0\x53\x76\xc1\x01\0"]).is_err());
    // 3.2.8-01
    let Body::Value(Value::Null) = body(VALUE) else { panic!() };
    let Body::Value(Value::Described(declare)) = body(b"\0\x53\x77\0\x53\x31\x45") else { panic!() };
    assert!(declare.read::<amqp10_codec::Declare<'_>>().is_ok());
    let Body::Value(Value::Map(map)) = body(b"\0\x53\x77\xc1\x03\x02\x43\x44") else { panic!() };
    assert_eq!(map.len(), 1);
}

#[test]
fn delivery_states() {
    // 3.4.1-01
    let received = Received { section_number: 1, section_offset: 2 };
    both_ways(&received, "amqp:received:list", &[b"\x52\x01", b"\x53\x02"]);
    assert_eq!(Received::CODE, 0x23);
    for missing in [&[NULL, b"\x53\x02"][..], &[b"\x52\x01", NULL], &[b"\x52\x01"], &[]] {
        let error = read::<Received>(&composite(0x23, missing)).unwrap_err();
        assert!(matches!(error.kind(), DecodeErrorKind::MissingField("section_number" | "section_offset")));
    }
    // 3.4.2-01, 3.4.4-01
    both_ways(&Accepted {}, "amqp:accepted:list", &[]);
    both_ways(&Released {}, "amqp:released:list", &[]);
    assert_eq!((Accepted::CODE, Released::CODE), (0x24, 0x26));
    // 3.4.3-01
    both_ways(&Rejected { error: None }, "amqp:rejected:list", &[]);
    let error = composite(0x1d, &[b"\xa3\x11amqp:decode-error"]);
    let rejected =
        Rejected { error: Some(Error { condition: ErrorCondition::DECODE_ERROR, description: None, info: None }) };
    both_ways(&rejected, "amqp:rejected:list", &[&error]);
    assert_eq!(Rejected::CODE, 0x25);
    // 3.4.5-01
    let modified = Modified {
        delivery_failed: Some(true),
        undeliverable_here: Some(false),
        message_annotations: Some(Map::new().with(Symbol::from_static("k"), ())),
    };
    both_ways(&modified, "amqp:modified:list", &[b"\x41", b"\x42", b"\xc1\x05\x02\xa3\x01k\x40"]);
    both_ways(&Modified::default(), "amqp:modified:list", &[]);
    assert_eq!(Modified::CODE, 0x27);
}

/// Properties of a node to be created, and the same as octets.
fn node_properties() -> (Map<'static>, Vec<u8>) {
    let policy = Described::new(&0x2b_u64, &List::new());
    let map = Map::new()
        .with(Symbol::from_static("lifetime-policy"), policy)
        .with(Symbol::from_static("supported-dist-modes"), DistributionMode::COPY)
        .with(Symbol::from_static("other"), 1_u8);
    let entries: [&[u8]; 6] = [
        b"\xa3\x0flifetime-policy",
        b"\0\x53\x2b\x45",
        b"\xa3\x14supported-dist-modes",
        b"\xa3\x04copy",
        b"\xa3\x05other",
        b"\x50\x01",
    ];
    let entries = entries.concat();
    let octets = [&[0xc1, entries.len() as u8 + 1, 6][..], &entries].concat();
    (map, octets)
}

#[test]
fn termini() {
    let (node, octets) = node_properties();
    // 3.5.3-01
    let source = Source {
        address: Some("a".into()),
        durable: TerminusDurability::UnsettledState,
        expiry_policy: ExpiryPolicy::Never,
        timeout: Seconds(1),
        dynamic: true,
        dynamic_node_properties: Some(node.clone()),
        distribution_mode: Some(DistributionMode::MOVE),
        filter: Some(Map::new().with(Symbol::from_static("f"), Described::new(&1_u64, "x"))),
        default_outcome: Some(Outcome::Released),
        outcomes: [Outcome::STANDARD[0].clone(), Outcome::STANDARD[2].clone()].into_iter().collect(),
        capabilities: [Symbol::from_static("c")].into_iter().collect(),
    };
    let fields: [&[u8]; 11] = [
        b"\xa1\x01a",
        b"\x52\x02",
        b"\xa3\x05never",
        b"\x52\x01",
        b"\x41",
        &octets,
        b"\xa3\x04move",
        b"\xc1\x0a\x02\xa3\x01f\0\x53\x01\xa1\x01x",
        b"\0\x53\x26\x45",
        b"\xe0\x28\x02\xa3\x12amqp:accepted:list\x12amqp:released:list",
        b"\xa3\x01c",
    ];
    both_ways(&source, "amqp:source:list", &fields);
    assert_eq!(Source::CODE, 0x28);
    // 3.5.4-01
    let target = Target {
        address: Some("a".into()),
        durable: TerminusDurability::Configuration,
        expiry_policy: ExpiryPolicy::LinkDetach,
        timeout: Seconds(1),
        dynamic: true,
        dynamic_node_properties: Some(node),
        capabilities: [Symbol::from_static("c")].into_iter().collect(),
    };
    let fields: [&[u8]; 7] =
        [b"\xa1\x01a", b"\x52\x01", b"\xa3\x0blink-detach", b"\x52\x01", b"\x41", &octets, b"\xa3\x01c"];
    both_ways(&target, "amqp:target:list", &fields);
    assert_eq!(Target::CODE, 0x29);
    // 3.5.3-02, 3.5.4-02
    both_ways(&Source::default(), "amqp:source:list", &[]);
    both_ways(&Target::default(), "amqp:target:list", &[]);
    let (source, target) = (Source::default(), Target::default());
    for (durable, policy, timeout, dynamic) in [
        (source.durable, source.expiry_policy, source.timeout, source.dynamic),
        (target.durable, target.expiry_policy, target.timeout, target.dynamic),
    ] {
        assert_eq!((durable, policy), (TerminusDurability::None, ExpiryPolicy::SessionEnd));
        assert_eq!((timeout, dynamic), (Seconds(0), false));
    }
    // 3.2.15-01
    let address: Source<'_> = read(b"\0\x53\x28\xc0\x04\x01\xa1\x01a").unwrap();
    assert_eq!(address.address.unwrap().as_str(), Some("a"));
}

#[test]
fn choices_of_termini() {
    // 3.5.5-01
    for (octets, durable) in [
        (&b"\x43"[..], TerminusDurability::None),
        (b"\x52\x01", TerminusDurability::Configuration),
        (b"\x52\x02", TerminusDurability::UnsettledState),
    ] {
        assert_eq!(read(octets), Ok(durable));
        assert_eq!(encode_to_vec(&durable), octets);
    }
    assert!(read::<TerminusDurability>(b"\x52\x03").is_err() && read::<TerminusDurability>(b"\x50\x01").is_err());
    // 3.5.6-01
    for (name, policy) in [
        ("link-detach", ExpiryPolicy::LinkDetach),
        ("session-end", ExpiryPolicy::SessionEnd),
        ("connection-close", ExpiryPolicy::ConnectionClose),
        ("never", ExpiryPolicy::Never),
    ] {
        let octets = encode_to_vec(&Symbol::from_static(name));
        assert_eq!(read(&octets), Ok(policy));
        assert_eq!(encode_to_vec(&policy), octets);
    }
    assert!(read::<ExpiryPolicy>(b"\xa3\x06always").is_err() && read::<ExpiryPolicy>(b"\xa1\x05never").is_err());
    // 3.5.7-01
    assert_eq!(read(b"\xa3\x04move"), Ok(DistributionMode::MOVE));
    assert_eq!(read(b"\xa3\x04copy"), Ok(DistributionMode::COPY));
    let extension: DistributionMode<'_> = read(b"\xa3\x03any").unwrap();
    assert_eq!((extension.as_str(), encode_to_vec(&extension)), ("any", b"\xa3\x03any".to_vec()));
    assert!(read::<DistributionMode<'_>>(b"\xa1\x04move").is_err());
}

#[test]
fn properties_of_nodes() {
    // 3.5.9-01, 3.5.9-03
    let (map, octets) = node_properties();
    assert_eq!(encode_to_vec(&map), octets);
    let Ok(Some(Value::Described(policy))) = map.get("lifetime-policy") else { panic!() };
    assert_eq!(policy.read::<LifetimePolicy>(), Ok(LifetimePolicy::DeleteOnClose));
    assert_eq!(map.get("supported-dist-modes").unwrap().unwrap().as_symbol(), Some("copy"));
    assert_eq!(map.get("other"), Ok(Some(Value::Ubyte(1))));
    let modes: Multiple<DistributionMode<'_>> = [DistributionMode::MOVE, DistributionMode::COPY].into_iter().collect();
    assert_eq!(encode_to_vec(&modes), b"\xe0\x0c\x02\xa3\x04move\x04copy");
    assert_eq!(read(&encode_to_vec(&modes)), Ok(modes));
}

#[test]
fn a_state_in_a_transfer() {
    // 1.3-03
    let transfer = composite(0x14, &[b"\x43", NULL, NULL, NULL, NULL, NULL, NULL, b"\x43"]);
    assert!(read::<Transfer<'_>>(&transfer).is_err(), "a state is described");
}
