//! The strict reading: identical keys, the rules of the specification's maps, and limits.

use amqp10_codec::{
    Attach, Decode, DecodeError, DecodeErrorKind, Encode, FrameErrorKind, Limits, List, MAX_DEPTH, Map, MessageError,
    MessageView, Performative, Reader, Section, Symbol, Value, encode_to_vec,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}

/// A list or map of these values in its wide form.
fn wide(constructor: u8, values: &[&[u8]]) -> Vec<u8> {
    let body = values.concat();
    let (size, count) = ((body.len() as u32 + 4).to_be_bytes(), (values.len() as u32).to_be_bytes());
    [&[constructor][..], &size, &count, &body].concat()
}

fn kind(result: Result<(), DecodeError>) -> Option<DecodeErrorKind> {
    result.err().map(|error| error.kind())
}

/// The ways to write some keys; those in a row are identical.
const KEYS: [&[&[u8]]; 17] = [
    &[b"\x40"],
    &[b"\x41", b"\x56\x01"],
    &[b"\x42", b"\x56\x00"],
    &[b"\x43", b"\x52\x00", b"\x70\0\0\0\0"],
    &[b"\x44", b"\x53\x00", b"\x80\0\0\0\0\0\0\0\0"],
    &[b"\x54\xff", b"\x71\xff\xff\xff\xff"],
    &[b"\x55\xff", b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"],
    &[b"\x50\x00"],
    &[b"\x51\xff"],
    &[b"\xa0\x01k", b"\xb0\0\0\0\x01k"],
    &[b"\xa1\x01k", b"\xb1\0\0\0\x01k"],
    &[b"\xa3\x01k", b"\xb3\0\0\0\x01k"],
    &[b"\xa1\x00"],
    &[b"\x45", b"\xc0\x01\x00", b"\xd0\0\0\0\x04\0\0\0\0"],
    &[b"\xc1\x01\x00", b"\xd1\0\0\0\x04\0\0\0\0"],
    &[b"\xe0\x02\x03\x40"],
    &[b"\0\x53\x01\x40"],
];

#[test]
fn identical_keys_in_every_encoding() {
    // 1.6.23-04, 1.6.21-04
    let different: Vec<&[u8]> = KEYS.iter().map(|row| row[0]).collect();
    for (one, row) in KEYS.iter().enumerate() {
        for (other, others) in KEYS.iter().enumerate() {
            for (first, second) in row.iter().flat_map(|first| others.iter().map(move |second| (first, second))) {
                let octets = wide(0xd1, &[first, b"\x40", second, b"\x41"]);
                let map: Map<'_> = read(&octets).unwrap();
                let expected = (one == other).then_some(DecodeErrorKind::DuplicateKey);
                assert_eq!(kind(map.validate()), expected, "{octets:02x?}");
                if one == other {
                    assert_eq!(map.validate().unwrap_err().offset() as usize, 10 + first.len());
                }
            }
        }
        // Among more keys than are compared each with each.
        for second in *row {
            let mut entries: Vec<&[u8]> = different.iter().flat_map(|key| [*key, b"\x40"]).collect();
            let octets = wide(0xd1, &entries);
            assert_eq!(read::<Map<'_>>(&octets).unwrap().validate(), Ok(()));
            entries.extend([*second, b"\x41"]);
            let octets = wide(0xd1, &entries);
            let map: Map<'_> = read(&octets).unwrap();
            let error = map.validate().unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::DuplicateKey);
            assert_eq!(error.offset() as usize, octets.len() - second.len() - 1);
        }
    }
}

#[test]
fn identical_keys_come_in_wire_order_and_the_first_is_found() {
    let octets =
        wide(0xc1 + 0x10, &[b"\xa1\x01k", b"\x50\x01", b"\xa1\x01x", b"\x40", b"\xb1\0\0\0\x01k", b"\x50\x02"]);
    let map: Map<'_> = read(&octets).unwrap();
    let entries: Vec<_> = map.iter().map(|entry| encode_to_vec(&entry.unwrap().1)).collect();
    assert_eq!(entries, [&b"\x50\x01"[..], b"\x40", b"\x50\x02"]);
    assert_eq!(map.get("k"), Ok(Some(Value::Ubyte(1))));
    // Owned, they are refused: in every map of a message, and in a body that is a map.
    let data = b"\0\x53\x75\xa0\0";
    let sections = [
        (0x71, Section::DeliveryAnnotations),
        (0x72, Section::MessageAnnotations),
        (0x74, Section::ApplicationProperties),
        (0x77, Section::AmqpValue),
        (0x78, Section::Footer),
    ];
    for (code, section) in sections {
        let map = [&[0, 0x53, code][..], &octets].concat();
        let message = match section {
            Section::AmqpValue => map,
            Section::Footer => [data, &map[..]].concat(),
            _ => [&map[..], data].concat(),
        };
        let view = MessageView::parse(&message).unwrap();
        for result in [view.to_message().map(drop), view.validate()] {
            let Err(MessageError::Malformed { section: found, error }) = result else { panic!("{result:?}") };
            // The keys of annotations are of another type, which is told first.
            let annotations = !matches!(section, Section::ApplicationProperties | Section::AmqpValue);
            assert!(error.kind() == DecodeErrorKind::DuplicateKey || annotations, "{error}");
            assert_eq!(found, Some(section));
        }
        assert!(view.to_message().unwrap_err().to_string().contains("identical"));
    }
}

proptest! {
    #[test]
    fn identical_keys_are_found_among_any(keys in vec((0..KEYS.len(), any::<prop::sample::Index>()), 0..40)) {
        let octets: Vec<&[u8]> =
            keys.iter().flat_map(|(row, way)| [*way.get(KEYS[*row]), &b"\x43"[..]]).collect();
        let map = wide(0xd1, &octets);
        let first = (0..keys.len()).find(|at| keys[..*at].iter().any(|(row, _)| *row == keys[*at].0));
        let result = read::<Map<'_>>(&map).unwrap().validate();
        prop_assert_eq!(kind(result), first.map(|_| DecodeErrorKind::DuplicateKey));
    }
}

#[test]
fn many_keys_are_compared_in_time() {
    // 100,000 keys that all differ, then one again.
    let mut map = Map::new();
    for key in 0..100_000_u32 {
        map.push(&key, &());
    }
    assert_eq!(map.validate(), Ok(()));
    map.push(&7_u32, &());
    assert_eq!(kind(map.validate()), Some(DecodeErrorKind::DuplicateKey));
}

/// A whole message with this map in this section, behind an empty body or before it.
fn with_map(section: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    let map = [&[0, 0x53, section][..], &wide(0xd1, &[key, value])].concat();
    let body = b"\0\x53\x75\xa0\0";
    if section == 0x78 { [body, &map[..]].concat() } else { [&map[..], body].concat() }
}

fn refusal(message: &[u8]) -> Option<(Section, DecodeErrorKind)> {
    match MessageView::parse(message).unwrap().validate() {
        Ok(()) => None,
        Err(MessageError::Malformed { section: Some(section), error }) => Some((section, error.kind())),
        Err(other) => panic!("{other}"),
    }
}

const SYMBOL: &[u8] = b"\xa3\x01k";
const STRING: &[u8] = b"\xa1\x01k";

#[test]
fn keys_of_annotations() {
    // 3.2.2-01, 3.2.3-01, 3.2.9-01, 3.2.10-01
    let annotations =
        [(0x71, Section::DeliveryAnnotations), (0x72, Section::MessageAnnotations), (0x78, Section::Footer)];
    for (code, section) in annotations {
        for key in [SYMBOL, b"\xb3\0\0\0\x01k", b"\x44", b"\x53\x07", b"\x80\0\0\0\0\0\0\0\x07"] {
            for value in [&b"\x40"[..], b"\xc0\x01\0", b"\0\x53\x01\x40"] {
                assert_eq!(refusal(&with_map(code, key, value)), None);
            }
        }
        for key in [STRING, b"\x40", b"\x52\x07", b"\xa0\x01k", b"\x45"] {
            let expected = DecodeErrorKind::UnexpectedType { expected: "a symbol or ulong as key", found: key[0] };
            assert_eq!(refusal(&with_map(code, key, b"\x40")), Some((section, expected)));
        }
    }
}

#[test]
fn keys_and_values_of_application_properties() {
    // 3.2.5-01
    for key in [SYMBOL, b"\x40", b"\x44", b"\xa0\x01k"] {
        let expected = DecodeErrorKind::UnexpectedType { expected: "a string as key", found: key[0] };
        assert_eq!(refusal(&with_map(0x74, key, b"\x40")), Some((Section::ApplicationProperties, expected)));
    }
    // 3.2.5-02, 3.2.5-03
    for value in [&b"\x40"[..], b"\x41", b"\x53\x01", b"\xa0\x01x", STRING, SYMBOL, b"\x83\0\0\0\0\0\0\0\0"] {
        assert_eq!(refusal(&with_map(0x74, STRING, value)), None);
        assert_eq!(refusal(&with_map(0x74, b"\xb1\0\0\0\x01k", value)), None);
    }
    for value in [&b"\x45"[..], b"\xc0\x01\0", b"\xc1\x01\0", b"\xe0\x02\0\x40", b"\0\x53\x01\x40"] {
        let expected = DecodeErrorKind::UnexpectedType { expected: "a simple value", found: value[0] };
        assert_eq!(refusal(&with_map(0x74, STRING, value)), Some((Section::ApplicationProperties, expected)));
    }
}

/// A performative of these fields, checked as a whole.
fn performative(code: u8, fields: &[&[u8]]) -> Option<DecodeErrorKind> {
    let octets = [&[0, 0x53, code][..], &wide(0xd0, fields)].concat();
    let performative: Performative<'_> = read(&octets).unwrap();
    let result = performative.validate();
    assert_eq!(amqp10_codec::IntoOwned::into_owned(performative.clone()).validate().is_ok(), result.is_ok());
    kind(result)
}

const NULL: &[u8] = b"\x40";

#[test]
fn keys_of_fields() {
    // 2.8.13-01, 1.6.21-04, 3.5.9-01
    let places = |map: &[u8]| {
        let error = [&b"\0\x53\x1d"[..], &wide(0xd0, &[SYMBOL, NULL, map])].concat();
        let rejected = [&b"\0\x53\x25"[..], &wide(0xd0, &[&error])].concat();
        let modified = [&b"\0\x53\x27"[..], &wide(0xd0, &[NULL, NULL, map])].concat();
        let inside = |outcome: &[u8]| [&b"\0\x53\x34"[..], &wide(0xd0, &[b"\xa0\0", outcome])].concat();
        let source = [&b"\0\x53\x28"[..], &wide(0xd0, &[NULL, NULL, NULL, NULL, NULL, map])].concat();
        let target = [&b"\0\x53\x29"[..], &wide(0xd0, &[NULL, NULL, NULL, NULL, NULL, map])].concat();
        let default = [&b"\0\x53\x28"[..], &wide(0xd0, &[&[NULL; 8][..], &[&modified]].concat())].concat();
        let attach =
            |source: &[u8], target: &[u8]| performative(0x12, &[STRING, b"\x43", b"\x41", NULL, NULL, source, target]);
        let fields = [b"\x43"; 14];
        let count = |n: usize| fields[..n].iter().map(|field| &field[..]).collect::<Vec<_>>();
        let state = |state: &[u8]| performative(0x15, &[b"\x41", b"\x43", NULL, b"\x41", state]);
        [
            performative(0x10, &[&[STRING][..], &[NULL; 8], &[map]].concat()),
            performative(0x11, &[&[NULL][..], &count(3), &[NULL; 3], &[map]].concat()),
            performative(0x12, &[&[STRING, b"\x43", b"\x41"][..], &[NULL; 10], &[map]].concat()),
            performative(0x13, &[&[NULL][..], &count(3), &[NULL; 6], &[map]].concat()),
            performative(0x16, &[b"\x43", NULL, &error]),
            performative(0x17, &[&error]),
            performative(0x18, &[&error]),
            performative(0x14, &[&[&b"\x43"[..]][..], &[NULL; 6], &[&rejected]].concat()),
            state(&rejected),
            state(&modified),
            state(&inside(&rejected)),
            state(&inside(&modified)),
            attach(&source, NULL),
            attach(&default, NULL),
            attach(NULL, &target),
        ]
    };
    for key in [SYMBOL, b"\xb3\0\0\0\x01k"] {
        assert_eq!(places(&wide(0xd1, &[key, b"\xa1\x01v"])), [None; 15]);
    }
    for key in [STRING, NULL, b"\x44"] {
        let expected = DecodeErrorKind::UnexpectedType { expected: "a symbol as key", found: key[0] };
        assert_eq!(places(&wide(0xd1, &[key, NULL])), [Some(expected); 15]);
    }
    assert_eq!(places(&wide(0xd1, &[SYMBOL, NULL, SYMBOL, NULL])), [Some(DecodeErrorKind::DuplicateKey); 15]);
    assert_eq!(places(&wide(0xd1, &[SYMBOL, b"\xc0\x02\x01\x01"])), [Some(DecodeErrorKind::UnknownConstructor(1)); 15]);
}

#[test]
fn filters_and_unsettled_deliveries() {
    // 3.5.8-01
    let filter = |key: &[u8], value: &[u8]| {
        let map = wide(0xd1, &[key, value]);
        let source = [&b"\0\x53\x28"[..], &wide(0xd0, &[&[NULL; 7][..], &[&map]].concat())].concat();
        performative(0x12, &[STRING, b"\x43", b"\x41", NULL, NULL, &source])
    };
    let unexpected = |expected, found| Some(DecodeErrorKind::UnexpectedType { expected, found });
    assert_eq!(filter(SYMBOL, NULL), None);
    assert_eq!(filter(SYMBOL, b"\0\xa3\x01f\xa1\x01x"), None);
    assert_eq!(filter(STRING, NULL), unexpected("a symbol as key", 0xa1));
    assert_eq!(filter(SYMBOL, STRING), unexpected("null or a described filter", 0xa1));
    let unsettled = |key: &[u8], value: &[u8]| {
        let map = wide(0xd1, &[key, value]);
        performative(0x12, &[STRING, b"\x43", b"\x41", NULL, NULL, NULL, NULL, &map])
    };
    assert_eq!(unsettled(b"\xa0\x01t", NULL), None);
    assert_eq!(unsettled(b"\xa0\x01t", b"\0\x53\x24\x45"), None);
    assert_eq!(unsettled(STRING, NULL), unexpected("a delivery-tag as key", 0xa1));
    assert_eq!(unsettled(b"\xa0\x01t", b"\x45"), unexpected("null or a delivery-state", 0x45));
}

#[test]
fn limits_of_depth() {
    let nested = |levels: usize| (0..levels).fold(vec![0x43], |inside, _| wide(0xd0, &[&inside]));
    for depth in [0, 1, 3, MAX_DEPTH - 1, MAX_DEPTH, u8::MAX] {
        let mut limits = Limits::default();
        limits.depth = depth;
        for levels in [0, 1, 2, 3, 4, 62, 63, 64] {
            let octets = nested(levels);
            let fits = levels <= usize::from(depth);
            let value: Value<'_> = read(&octets).unwrap();
            let expected = (!fits).then_some(DecodeErrorKind::TooDeep);
            assert_eq!(kind(value.validate_within(&limits)), expected);
            let limited = Reader::with_limits(&octets, &limits).read::<Value<'_>>();
            assert_eq!(kind(limited.and_then(|value| value.validate())), expected, "{depth} {levels}");
        }
        let octets = nested(65);
        let value = Reader::with_limits(&octets, &limits).read::<Value<'_>>();
        assert_eq!(kind(value.and_then(|value| value.validate())), Some(DecodeErrorKind::TooDeep));
    }
}

#[test]
fn limits_of_elements_and_values() {
    let mut limits = Limits::default();
    limits.elements = 4;
    limits.nodes = 10;
    let numbers = |n: usize| vec![&b"\x43"[..]; n];
    let check = |octets: &[u8]| kind(read::<Value<'_>>(octets).unwrap().validate_within(&limits));
    for constructor in [0xd0, 0xf0] {
        let of = |n: u32| {
            if constructor == 0xd0 {
                wide(0xd0, &numbers(n as usize))
            } else {
                encode_to_vec(&amqp10_codec::Array::of(0..n))
            }
        };
        assert_eq!(check(&of(4)), None);
        assert_eq!(check(&of(5)), Some(DecodeErrorKind::TooManyElements));
    }
    assert_eq!(check(&wide(0xd1, &[b"\x43", b"\x40", b"\x44", b"\x40"])), None);
    let six = wide(0xd1, &[b"\x43", b"\x40", b"\x44", b"\x40", b"\x41", b"\x40"]);
    assert_eq!(check(&six), Some(DecodeErrorKind::TooManyElements));
    // Elements without octets count too.
    assert_eq!(check(b"\xe0\x02\x05\x40"), Some(DecodeErrorKind::TooManyElements));
    let four = wide(0xd0, &numbers(4));
    let two = wide(0xd0, &numbers(2));
    assert_eq!(check(&wide(0xd0, &[&four, &four])), None);
    assert_eq!(check(&wide(0xd0, &[&four, &two, NULL])), None, "3 in one, 6 inside");
    assert_eq!(check(&wide(0xd0, &[&four, &four, NULL])), Some(DecodeErrorKind::TooManyValues));
    assert_eq!(check(&wide(0xd0, &[&four, &four, &b"\0\x53\x01\x40"[..]])), Some(DecodeErrorKind::TooManyValues));

    // The same in messages and performatives.
    let message = [&b"\0\x53\x77"[..], &six].concat();
    let view = MessageView::parse(&message).unwrap();
    assert_eq!(view.validate(), Ok(()));
    let MessageError::Malformed { error, .. } = view.validate_within(&limits).unwrap_err() else { panic!() };
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::TooManyElements, 12));
    let attach = Attach {
        properties: Some([(Symbol::from_static("k"), List::from_iter(0..5_u32))].into_iter().collect()),
        ..Attach::new("link", amqp10_codec::Handle(0), amqp10_codec::Role::Sender)
    };
    let attach = Performative::Attach(Box::new(attach));
    assert_eq!(attach.validate(), Ok(()));
    assert_eq!(kind(attach.validate_within(&limits)), Some(DecodeErrorKind::TooManyElements));
}

#[test]
fn limits_by_default() {
    let limits = Limits::default();
    assert_eq!((limits.depth, limits.elements, limits.nodes, limits.frame_size), (64, 1 << 20, 1 << 22, 1 << 20));
    let list = |count: u32| Value::from((0..count).map(|_| ()).collect::<List<'_>>());
    assert_eq!(list(1 << 20).validate(), Ok(()));
    assert_eq!(kind(list((1 << 20) + 1).validate()), Some(DecodeErrorKind::TooManyElements));
    // Hostile: six octets each, 65,536 elements each.
    let mut out = Vec::new();
    amqp10_codec::Array::of(vec![(); 65_536]).encode(&mut out);
    let many = wide(0xd0, &vec![&out[..]; 63]);
    assert_eq!(read::<Value<'_>>(&many).unwrap().validate(), Ok(()));
    let too_many = wide(0xd0, &vec![&out[..]; 64]);
    assert_eq!(kind(read::<Value<'_>>(&too_many).unwrap().validate()), Some(DecodeErrorKind::TooManyValues));
    let error = limits.next_frame(&[0, 0x10, 0, 1, 2, 0, 0, 0]).unwrap_err();
    assert_eq!(error.kind(), FrameErrorKind::TooLarge);
    assert_eq!(limits.next_frame(&[0, 0x10, 0, 0, 2, 0, 0, 0]), Ok(None));
}

proptest! {
    #[test]
    fn limits_only_take_away(
        octets in vec(prop_oneof![any::<u8>(), 0_u8..4, Just(0x40), Just(0x53), Just(0xc0), Just(0xc1), Just(0xe0), Just(0xf0)], 0..60),
        depth in 0..6_u8,
        elements in 0..6_u32,
        nodes in 0..12_u32,
    ) {
        let mut limits = Limits::default();
        (limits.depth, limits.elements, limits.nodes) = (depth, elements, nodes);
        let free = Reader::sized(&octets).read::<Value<'_>>();
        let limited = Reader::with_limits(&octets, &limits).read::<Value<'_>>();
        match (free, limited) {
            (Ok(free), Ok(limited)) => {
                prop_assert_eq!(free.validate(), free.validate_within(&Limits::default()));
                if limited.validate_within(&limits).is_ok() {
                    prop_assert_eq!(free.validate(), Ok(()));
                }
                if free.validate_within(&limits).is_ok() {
                    prop_assert_eq!(limited.validate(), Ok(()), "the reader takes away no more than the depth");
                }
            }
            (Err(free), Err(limited)) => {
                prop_assert!(free == limited || limited.kind() == DecodeErrorKind::TooDeep, "{} {}", free, limited);
            }
            (Ok(_), Err(limited)) => prop_assert_eq!(limited.kind(), DecodeErrorKind::TooDeep),
            (Err(free), Ok(limited)) => prop_assert!(false, "{free} {limited:?}"),
        }
    }
}
