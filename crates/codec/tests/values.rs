//! Hostile and unusual values: lengths, counts, depths, and every encoding of every type.

use std::time::{Duration, Instant};

use allocation_counter::measure;
use amqp10_codec::sasl::SaslBody;
use amqp10_codec::{
    Array, Binary, Decimal32, Decimal64, Decimal128, Decode, DecodeError, DecodeErrorKind, DeliveryState, DeliveryTag,
    Described, Descriptor, Encode, IntoOwned, Limits, List, MAX_DEPTH, Map, MessageView, Multiple, Performative,
    Reader, Source, Str, Symbol, Target, Timestamp, Uuid, Value, encode_to_vec,
};

/// Decodes a whole value of a sized input, what is inside included.
fn decode(octets: &[u8]) -> Result<Value<'_>, DecodeError> {
    let mut reader = Reader::sized(octets);
    let value: Value<'_> = reader.read()?;
    reader.finish()?;
    value.validate()?;
    assert_eq!(walk(&value), Ok(()), "validation and walking differ for {octets:02x?}");
    Ok(value)
}

fn refusal(octets: &[u8]) -> DecodeErrorKind {
    let error = decode(octets).expect_err("it is malformed");
    assert!(error.offset() as usize <= octets.len());
    error.kind()
}

/// Visits everything inside a value, as an application would.
fn walk(value: &Value<'_>) -> Result<(), DecodeError> {
    match value {
        Value::List(list) => list.iter().try_for_each(|element| walk(&element?)),
        Value::Map(map) => map.iter().try_for_each(|entry| {
            let (key, value) = entry?;
            walk(&key)?;
            walk(&value)
        }),
        Value::Array(array) => array.iter().try_for_each(|element| walk(&element?)),
        Value::Described(described) => {
            if let Descriptor::Other(value) = described.descriptor()? {
                walk(&value)?;
            }
            walk(&described.value()?)
        }
        _ => Ok(()),
    }
}

/// A compound or array of the wide form: constructor, size, count, body.
fn wide(constructor: u8, count: u32, body: &[u8]) -> Vec<u8> {
    let size = (body.len() + 4) as u32;
    [&[constructor][..], &size.to_be_bytes(), &count.to_be_bytes(), body].concat()
}

/// The same in the form of one-octet size and count.
fn narrow(constructor: u8, count: u8, body: &[u8]) -> Vec<u8> {
    [&[constructor, body.len() as u8 + 1, count][..], body].concat()
}

fn described(descriptor: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0], descriptor, value].concat()
}

fn symbol(text: &'static str) -> Symbol<'static> {
    Symbol::from_static(text)
}

#[test]
fn h02_length_of_four_gibibytes() {
    fn refused<'a, T: Decode<'a>>(octets: &'a [u8]) {
        for octets in [&octets[..5], octets] {
            let info = measure(|| {
                let open = Reader::new(octets).read::<T>().map(drop).unwrap_err();
                assert_eq!((open.kind(), open.offset()), (DecodeErrorKind::Incomplete, 5));
                let sized = Reader::sized(octets).read::<T>().map(drop).unwrap_err();
                assert_eq!((sized.kind(), sized.offset()), (DecodeErrorKind::Overrun, 5));
                assert!(Reader::sized(octets).skip().is_err());
            });
            assert_eq!(info.count_total, 0, "nothing may be allocated");
        }
    }
    for length in [u32::MAX, u32::MAX - 4, 1 << 31, 9] {
        let octets = |constructor: u8| [&[constructor][..], &length.to_be_bytes(), b"few"].concat();
        let (string, symbol, binary) = (octets(0xb1), octets(0xb3), octets(0xb0));
        refused::<&str>(&string);
        refused::<Str<'_>>(&string);
        refused::<Symbol<'_>>(&symbol);
        refused::<Multiple<Symbol<'_>>>(&symbol);
        refused::<&[u8]>(&binary);
        refused::<Binary<'_>>(&binary);
        refused::<DeliveryTag>(&binary);
        for octets in [&string, &symbol, &binary] {
            refused::<Value<'_>>(octets);
        }
    }
}

#[test]
fn h02_length_of_four_gibibytes_inside() {
    for constructor in [0xb0, 0xb1, 0xb3] {
        let value = [&[constructor][..], &u32::MAX.to_be_bytes(), b"few"].concat();
        let element = &value[1..];
        let whole = [
            wide(0xd0, 1, &value),
            wide(0xd1, 2, &[&[0x40][..], &value].concat()),
            wide(0xf0, 1, &value),
            described(&[0x53, 1], &value),
            described(&value, &[0x40]),
            wide(0xf0, 2, &[&[constructor, 0, 0, 0, 0][..], element].concat()),
        ];
        let info = measure(|| {
            for octets in &whole {
                assert_eq!(refusal(octets), DecodeErrorKind::Overrun);
            }
        });
        assert_eq!(info.count_total, 0, "nothing may be allocated");
    }
    let field = |constructor: u8| [&[constructor][..], &u32::MAX.to_be_bytes(), b"few"].concat();
    let open = described(&[0x53, 0x10], &wide(0xd0, 1, &field(0xb1)));
    let tag = described(&[0x53, 0x14], &wide(0xd0, 3, &[&[0x43, 0x43][..], &field(0xb0)].concat()));
    let response = described(&[0x53, 0x43], &wide(0xd0, 1, &field(0xb0)));
    let data = described(&[0x53, 0x75], &field(0xb0));
    let info = measure(|| {
        for body in [&open, &tag] {
            let error = Reader::sized(body).read::<Performative<'_>>().unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::Overrun);
        }
        assert_eq!(SaslBody::decode_frame(&response).unwrap_err().kind(), DecodeErrorKind::Overrun);
        assert!(MessageView::parse(&data).is_err());
    });
    assert_eq!(info.count_total, 0, "nothing may be allocated");
}

#[test]
fn h03_size_smaller_than_the_count_field() {
    for constructor in [0xc0, 0xc1, 0xe0] {
        assert_eq!(refusal(&[constructor, 0]), DecodeErrorKind::Overrun);
        assert_eq!(refusal(&[constructor, 0, 0, 0x40]), DecodeErrorKind::Overrun);
    }
    for constructor in [0xd0, 0xd1, 0xf0] {
        for size in 0..4 {
            assert_eq!(refusal(&[constructor, 0, 0, 0, size, 0, 0, 0, 0, 0x40]), DecodeErrorKind::Overrun);
        }
    }
    // An array has a constructor even if it has no elements.
    assert_eq!(refusal(&[0xe0, 1, 0]), DecodeErrorKind::Overrun);
    assert_eq!(refusal(&[0xf0, 0, 0, 0, 4, 0, 0, 0, 0]), DecodeErrorKind::Overrun);
    let end = |list: &[u8]| Reader::sized(&described(&[0x53, 0x17], list)).read::<Performative<'_>>().map(drop);
    assert_eq!(end(&[0xc0, 0]).unwrap_err().kind(), DecodeErrorKind::Overrun);
    assert_eq!(end(&[0xd0, 0, 0, 0, 3, 0, 0, 0, 0]).unwrap_err().kind(), DecodeErrorKind::Overrun);
}

#[test]
fn h03_size_larger_than_the_rest() {
    for constructor in [0xc0, 0xc1, 0xe0] {
        for (size, body) in [(2, &[0][..]), (4, &[2, 0x40, 0x40]), (255, &[1, 0x40, 0x40])] {
            assert_eq!(refusal(&[&[constructor, size], body].concat()), DecodeErrorKind::Overrun);
            let nested = [&[0xc0, body.len() as u8 + 3, 1, constructor, size][..], body].concat();
            assert_eq!(refusal(&nested), DecodeErrorKind::Overrun);
            let open = Reader::new(&[&[constructor, size], body].concat()).read::<Value<'_>>().unwrap_err();
            assert!(open.is_incomplete());
        }
    }
    for constructor in [0xd0, 0xd1, 0xf0] {
        for size in [5_u32, 1 << 31, u32::MAX] {
            let octets = [&[constructor][..], &size.to_be_bytes(), &[0, 0, 0, 0]].concat();
            assert_eq!(refusal(&octets), DecodeErrorKind::Overrun);
            assert_eq!(Reader::sized(&octets).skip().unwrap_err().kind(), DecodeErrorKind::Overrun);
        }
    }
}

#[test]
fn h03_count_larger_than_the_bytes_can_hold() {
    let too_many: [Vec<u8>; 13] = [
        vec![0xc0, 3, 3, 0x40, 0x40],
        vec![0xc0, 1, 1],
        wide(0xd0, u32::MAX, &[0x40]),
        wide(0xd0, 2, &[0x40]),
        vec![0xc1, 3, 4, 0x40, 0x40],
        wide(0xd1, u32::MAX - 1, &[0x40, 0x40]),
        vec![0xe0, 4, 3, 0x50, 1, 2],
        wide(0xf0, 2, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        wide(0xf0, 2, &[0xa1, 0]),
        wide(0xf0, 2, &[0xb1, 0, 0, 0, 0, 0, 0, 0]),
        wide(0xf0, u32::MAX, &[0xd0, 0, 0, 0, 4, 0, 0, 0, 0]),
        wide(0xf0, u32::MAX, &[0x98, 0]),
        wide(0xf0, 2, &[0, 0x53, 1, 0x50, 7]),
    ];
    for octets in &too_many {
        let info = measure(|| assert_eq!(refusal(octets), DecodeErrorKind::CountTooLarge, "{octets:02x?}"));
        assert_eq!(info.count_total, 0, "nothing may be allocated");
    }
    // The octets suffice for as many elements of the least size, but not for these.
    assert_eq!(refusal(&[0xc0, 4, 3, 0xa1, 1, b'x']), DecodeErrorKind::Overrun);
    assert_eq!(refusal(&wide(0xf0, 2, &[0xa1, 1, b'x'])), DecodeErrorKind::Overrun);

    let typed = |list: &[u8]| {
        let error = Reader::sized(&described(&[0x53, 0x17], list)).read::<Performative<'_>>().unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::CountTooLarge);
    };
    typed(&[0xc0, 1, 1]);
    typed(&wide(0xd0, u32::MAX, &[0x40]));
    for octets in [wide(0xf0, u32::MAX, &[0xa3, 0]), wide(0xf0, u32::MAX, &[0x40]), vec![0xe0, 3, 2, 0xa3, 0]] {
        let error = Reader::sized(&octets).read::<Multiple<Symbol<'_>>>().unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::CountTooLarge);
    }
}

#[test]
fn h03_odd_map_count() {
    for octets in [&[0xc1, 2, 1, 0x40][..], &[0xc1, 4, 3, 0x40, 0x40, 0x40], &wide(0xd1, 1, &[0x40])] {
        assert_eq!(refusal(octets), DecodeErrorKind::OddMapCount);
        assert_eq!(Reader::sized(octets).read::<Map<'_>>().unwrap_err().offset(), 1);
    }
}

#[test]
fn h03_leftovers_inside_the_sized_body() {
    let leftovers: [Vec<u8>; 11] = [
        vec![0xc0, 2, 0, 0x40],
        vec![0xc0, 3, 1, 0x40, 0x40],
        wide(0xd0, 1, &[0x40, 0x40]),
        vec![0xc1, 4, 2, 0x40, 0x40, 0x40],
        vec![0xc1, 2, 0, 0x40],
        wide(0xd1, 2, &[0x40, 0x40, 0xff]),
        vec![0xe0, 4, 1, 0x50, 1, 2],
        vec![0xe0, 3, 0, 0x50, 1],
        wide(0xf0, 1, &[0xa1, 0, 0]),
        wide(0xf0, 5, &[0x40, 0x40]),
        wide(0xf0, 0, &[0x40, 0x40]),
    ];
    for octets in &leftovers {
        assert_eq!(refusal(octets), DecodeErrorKind::LeftOver, "{octets:02x?}");
        let nested = wide(0xd0, 1, octets);
        assert_eq!(refusal(&nested), DecodeErrorKind::LeftOver);
    }
    let typed = |list: &[u8]| {
        let error = Reader::sized(&described(&[0x53, 0x17], list)).read::<Performative<'_>>().unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::LeftOver);
    };
    typed(&[0xc0, 2, 0, 0x40]);
    typed(&wide(0xd0, 1, &[0x40, 0x40]));
    let error = Reader::sized(&[0xe0, 4, 1, 0xa3, 0, 0]).read::<Multiple<Symbol<'_>>>().unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::LeftOver);
}

/// The constructors whose values have no octets.
const ZERO_WIDTH: [(u8, Value<'static>); 5] = [
    (0x40, Value::Null),
    (0x41, Value::Boolean(true)),
    (0x42, Value::Boolean(false)),
    (0x43, Value::Uint(0)),
    (0x44, Value::Ulong(0)),
];

#[test]
fn h04_zero_width_elements_with_a_count_of_four_billion() {
    let zero_width = ZERO_WIDTH.iter().map(|(constructor, _)| *constructor).chain([0x45]);
    for constructor in zero_width {
        for count in [u32::MAX, u32::MAX - 1, 1 << 31, (1 << 16) + 1] {
            let array = wide(0xf0, count, &[constructor]);
            let of_described = wide(0xf0, count, &[0, 0x53, 1, constructor]);
            let info = measure(|| {
                for octets in [&array, &of_described] {
                    assert_eq!(refusal(octets), DecodeErrorKind::CountTooLarge);
                    assert!(Reader::sized(octets).read::<Array<'_>>().is_err());
                    assert!(Reader::sized(octets).read::<Multiple<Symbol<'_>>>().is_err());
                }
            });
            assert_eq!(info.count_total, 0, "nothing may be allocated");
        }
    }
    let open = described(
        &[0x53, 0x10],
        &wide(0xd0, 8, &[b"\xa1\x01c\x40\x40\x40\x40\x40\x40".as_slice(), &wide(0xf0, u32::MAX, &[0x40])].concat()),
    );
    let error = Reader::sized(&open).read::<Performative<'_>>().unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::CountTooLarge);
}

#[test]
fn h04_zero_width_elements_up_to_the_limit() {
    for (constructor, element) in ZERO_WIDTH.into_iter().chain([(0x45, Value::List(List::new()))]) {
        let octets = wide(0xf0, 1 << 16, &[constructor]);
        let info = measure(|| {
            let value: Value<'_> = Reader::sized(&octets).read().unwrap();
            value.validate().unwrap();
            let Value::Array(array) = value else { panic!() };
            assert_eq!(array.len(), 1 << 16);
            assert_eq!(array.iter().filter(|found| *found == Ok(element.clone())).count(), 1 << 16);
        });
        assert_eq!(info.count_total, 0, "nothing may be allocated");
    }
}

#[test]
fn h04_many_arrays_of_zero_width_elements_are_validated_at_once() {
    let array = wide(0xf0, 1 << 16, &[0x40]);
    let list = wide(0xd0, 100_000, &array.repeat(100_000));
    let value: Value<'_> = Reader::sized(&list).read().unwrap();
    let start = Instant::now();
    // Element by element there would be six billion steps.
    assert_eq!(value.validate().unwrap_err().kind(), DecodeErrorKind::TooManyValues);
    let mut limits = Limits::default();
    limits.nodes = u32::MAX;
    let fewer = wide(0xd0, 60_000, &array.repeat(60_000));
    Reader::sized(&fewer).read::<Value<'_>>().unwrap().validate_within(&limits).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    let text = format!("{:?}", Reader::sized(&array).read::<Value<'_>>().unwrap());
    assert!(text.len() < 100, "{text}");
}

#[test]
fn h04_descriptors_do_not_multiply_the_work() {
    // Each level has 200 elements of one octet, and each of them would have the level below as its descriptor.
    let mut octets = vec![0x50, 1];
    for _ in 0..8 {
        octets = wide(0xf0, 200, &[&[0][..], &octets, &[0x50], &[7; 200]].concat());
    }
    let expected = DecodeErrorKind::InvalidValue("the descriptor of an array's elements");
    assert_eq!(refusal(&octets), expected);
    for descriptor in
        [&b"\x00\x53\x01\x40"[..], b"\xc0\x01\x00", &wide(0xd0, 0, b""), b"\xc1\x01\x00", b"\xe0\x02\x00\x40"]
    {
        assert_eq!(refusal(&wide(0xf0, 1, &[&[0], descriptor, &[0x50, 1]].concat())), expected);
        // Before a single value it is only reserved.
        assert!(decode(&described(descriptor, &[0x50, 1])).is_ok());
    }
    let long = [&[0, 0xa3, 255][..], &[b'd'; 255], &[0x50, 1]].concat();
    let expected = DecodeErrorKind::InvalidValue("the length of an array's constructor");
    assert_eq!(refusal(&wide(0xf0, 1, &long)), expected);
}

#[test]
fn h05_more_than_65536_elements() {
    const COUNT: u32 = 70_000;
    let many = |octets: &[u8]| octets.repeat(COUNT as usize);
    let lists = [wide(0xd0, COUNT, &many(&[0x40])), wide(0xd0, COUNT, &many(b"\xa1\x01x"))];
    for octets in &lists {
        let Value::List(list) = decode(octets).unwrap() else { panic!() };
        assert_eq!((list.len(), list.iter().count()), (COUNT as usize, COUNT as usize));
        assert_eq!(encode_to_vec(&list), *octets);
    }
    let entries: Vec<u8> = (0..COUNT).flat_map(|key| [&[0x70][..], &key.to_be_bytes(), &[0x40]].concat()).collect();
    let octets = wide(0xd1, COUNT * 2, &entries);
    let Value::Map(map) = decode(&octets).unwrap() else { panic!() };
    assert_eq!((map.len(), map.iter().count()), (COUNT as usize, COUNT as usize));
    let arrays = [
        wide(0xf0, COUNT, &[&[0x50][..], &many(&[7])].concat()),
        wide(0xf0, COUNT, &[&[0x71][..], &many(&[0, 0, 0, 7])].concat()),
        wide(0xf0, COUNT, &[&[0xa3][..], &many(b"\x01x")].concat()),
        wide(0xf0, COUNT, &[&[0xc0][..], &many(b"\x02\x01\x40")].concat()),
        wide(0xf0, COUNT, &[&[0, 0x53, 9, 0x50][..], &many(&[7])].concat()),
    ];
    for octets in &arrays {
        let Value::Array(array) = decode(octets).unwrap() else { panic!() };
        assert_eq!((array.len(), array.iter().count()), (COUNT as usize, COUNT as usize));
        assert_eq!(encode_to_vec(&array), *octets);
    }
    let symbols: Multiple<Symbol<'_>> = Reader::sized(&arrays[2]).read().unwrap();
    assert_eq!(symbols.len(), COUNT as usize);
    let pushed: List<'_> = (0..COUNT).collect();
    let octets = encode_to_vec(&pushed);
    assert!(decode(&octets).unwrap() == Value::List(pushed));
}

/// `levels` values of one kind around a null.
fn nested(kind: &str, levels: usize) -> Vec<u8> {
    match kind {
        "described, as value" => return [b"\0\x53\x01".repeat(levels), vec![0x40]].concat(),
        "described, as descriptor" => return [vec![0; levels], vec![0x40], vec![0x43; levels]].concat(),
        _ => {}
    }
    (0..levels).fold(vec![0x40], |value, _| match kind {
        "list" => wide(0xd0, 1, &value),
        "map, as value" => wide(0xd1, 2, &[&[0x43][..], &value].concat()),
        "map, as key" => wide(0xd1, 2, &[&value[..], &[0x43]].concat()),
        "array" => wide(0xf0, 1, &value),
        _ => panic!("{kind}"),
    })
}

const KINDS: [&str; 6] =
    ["list", "map, as value", "map, as key", "array", "described, as value", "described, as descriptor"];

/// Whether `place` decodes and can be walked with `levels` of each kind nested in it, and cannot with one more.
fn assert_deepest(levels: usize, place: impl Fn(&[u8]) -> Result<(), DecodeError>) {
    for kind in KINDS {
        assert_eq!(place(&nested(kind, levels)), Ok(()), "{kind}");
        for more in [1, 2, 1_000] {
            let error = place(&nested(kind, levels + more)).expect_err(kind);
            assert_eq!(error.kind(), DecodeErrorKind::TooDeep, "{kind}");
        }
    }
}

const DEEPEST: usize = MAX_DEPTH as usize;

#[test]
fn h06_values_in_values() {
    assert_deepest(DEEPEST, |octets| decode(octets).map(drop));
    assert_deepest(DEEPEST, |octets| {
        let value: Value<'_> = Reader::sized(octets).read()?;
        walk(&value.into_owned())
    });
    // Of any kind in any other.
    for outer in KINDS {
        assert_deepest(DEEPEST - 30, |inner| {
            let mut octets = inner.to_vec();
            for _ in 0..30 {
                octets = match outer {
                    "list" => wide(0xd0, 1, &octets),
                    "array" if octets[0] != 0 => wide(0xf0, 1, &octets),
                    "map, as value" => wide(0xd1, 2, &[&[0x43][..], &octets].concat()),
                    "map, as key" => wide(0xd1, 2, &[&octets[..], &[0x43]].concat()),
                    "described, as value" => described(&[0x53, 1], &octets),
                    "described, as descriptor" => described(&octets, &[0x43]),
                    _ => wide(0xd0, 1, &octets),
                };
            }
            decode(&octets).map(drop)
        });
    }
}

#[test]
fn h06_described_elements_of_arrays() {
    // An array and its described element are two levels.
    let mut octets = vec![0x40];
    let mut levels = 0;
    while levels < DEEPEST {
        assert!(decode(&octets).is_ok(), "{levels}");
        octets = wide(0xf0, 1, &[&[0, 0x53, 1][..], &octets].concat());
        levels += 2;
    }
    assert!(decode(&octets).is_ok());
    assert_eq!(refusal(&wide(0xd0, 1, &octets)), DecodeErrorKind::TooDeep);
    let descriptors = |levels: usize| wide(0xf0, 1, &[b"\0\x53\x01".repeat(levels), vec![0x50, 7]].concat());
    assert!(decode(&descriptors(DEEPEST - 1)).is_ok());
    assert_eq!(refusal(&descriptors(DEEPEST)), DecodeErrorKind::TooDeep);
}

#[test]
fn h06_lazy_scans() {
    // A scan does not look into what has a size; described values have none, so it counts them.
    for kind in ["described, as value", "described, as descriptor"] {
        assert_eq!(Reader::sized(&nested(kind, DEEPEST)).skip(), Ok(()));
        for levels in [DEEPEST + 1, 100_000] {
            let error = Reader::sized(&nested(kind, levels)).skip().unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::TooDeep, "{kind}");
        }
    }
    for kind in ["list", "map, as value", "map, as key", "array"] {
        let octets = nested(kind, 1_000);
        assert_eq!(Reader::sized(&octets).skip(), Ok(()));
        let value: Value<'_> = Reader::sized(&octets).read().unwrap();
        assert_eq!(value.validate().unwrap_err().kind(), DecodeErrorKind::TooDeep, "{kind}");
        assert_eq!(walk(&value).unwrap_err().kind(), DecodeErrorKind::TooDeep, "{kind}");
        assert!(value == value.clone() && format!("{value:?}").len() < 4_000, "comparing and printing end");
    }
    // Described values beside each other are not nested, however many there are.
    let mut tree = vec![0x40];
    for _ in 0..8 {
        tree = described(&tree, &tree);
    }
    let mut reader = Reader::sized(&tree);
    assert_eq!((reader.skip(), reader.is_empty()), (Ok(()), true));
    assert!(decode(&tree).is_ok());
    // In a field beyond the declared ones, which is skipped.
    let end = |value: &[u8]| {
        let list = wide(0xd0, 2, &[&[0x40][..], value].concat());
        Reader::sized(&described(&[0x53, 0x17], &list)).read::<Performative<'_>>().map(drop)
    };
    assert!(end(&nested("described, as value", DEEPEST - 1)).is_ok());
    assert_eq!(end(&nested("described, as value", DEEPEST)).unwrap_err().kind(), DecodeErrorKind::TooDeep);
}

fn message_error(octets: &[u8]) -> Result<(), DecodeError> {
    let unwrap = |error| match error {
        amqp10_codec::MessageError::Malformed { error, .. } => error,
        other => panic!("{other}"),
    };
    let view = MessageView::parse(octets).map_err(unwrap)?;
    view.validate().map_err(unwrap)
}

#[test]
fn h06_body_of_a_message() {
    assert_deepest(DEEPEST, |value| message_error(&described(&[0x53, 0x77], value)));
    assert_deepest(DEEPEST - 1, |value| message_error(&described(&[0x53, 0x76], &wide(0xd0, 1, value))));
}

#[test]
fn h06_maps_of_a_message() {
    // Application-properties hold simple values only in the strict reading, but an application may walk what came.
    assert_deepest(DEEPEST - 1, |value| {
        let map = wide(0xd1, 2, &[b"\xa1\x01k", value].concat());
        let octets = [described(&[0x53, 0x74], &map), described(&[0x53, 0x77], &[0x40])].concat();
        let view = MessageView::parse(&octets).unwrap();
        assert!(view.validate().is_err());
        walk(&Value::Map(view.application_properties().unwrap()))
    });
    // Delivery-annotations and message-annotations; then the footer.
    for section in [0x71, 0x72] {
        assert_deepest(DEEPEST - 1, |value| {
            let map = wide(0xd1, 2, &[b"\xa3\x01k", value].concat());
            message_error(&[described(&[0x53, section], &map), described(&[0x53, 0x77], &[0x40])].concat())
        });
    }
    assert_deepest(DEEPEST - 1, |value| {
        let map = wide(0xd1, 2, &[b"\xa3\x01k", value].concat());
        message_error(&[described(&[0x53, 0x77], &[0x40]), described(&[0x53, 0x78], &map)].concat())
    });
}

/// A performative of these fields, and behind them a map with `value` in it.
fn with_properties(descriptor: u8, fields: &[u8], count: u32, value: &[u8]) -> Vec<u8> {
    let map = wide(0xd1, 2, &[b"\xa3\x01k", value].concat());
    described(&[0x53, descriptor], &wide(0xd0, count + 1, &[fields, &map].concat()))
}

#[test]
fn h06_properties_of_performatives() {
    let (null, zero) = ([0x40_u8], [0x43_u8]);
    let flow = [zero.repeat(4), null.repeat(6)].concat();
    let attach = [&b"\xa1\x01l\x43\x42"[..], &null.repeat(10)].concat();
    let open = [&b"\xa1\x01c"[..], &null.repeat(8)].concat();
    let begin = [&null[..], &zero.repeat(3), &null.repeat(3)].concat();
    for (descriptor, fields, count) in [(0x13, flow, 10), (0x12, attach, 13), (0x10, open, 9), (0x11, begin, 7)] {
        // The list of the fields and the map are two.
        assert_deepest(DEEPEST - 2, |value| {
            let octets = with_properties(descriptor, &fields, count, value);
            let properties = match Reader::sized(&octets).read::<Performative<'_>>()? {
                Performative::Flow(flow) => flow.properties,
                Performative::Attach(attach) => attach.properties,
                Performative::Open(open) => open.properties,
                Performative::Begin(begin) => begin.properties,
                other => panic!("{other:?}"),
            };
            walk(&Value::Map(properties.expect("it is there").into_owned()))
        });
    }
}

#[test]
fn h06_source_of_an_attach() {
    // The lists of attach and source and the map of the filter are three.
    assert_deepest(DEEPEST - 3, |value| {
        let filter = wide(0xd1, 2, &[b"\xa3\x01k", value].concat());
        let source = described(&[0x53, 0x28], &wide(0xd0, 8, &[&[0x40; 7][..], &filter].concat()));
        let fields = [&b"\xa1\x01l\x43\x42\x40\x40"[..], &source].concat();
        let octets = described(&[0x53, 0x12], &wide(0xd0, 6, &fields));
        let Performative::Attach(attach) = Reader::sized(&octets).read()? else { panic!() };
        walk(&Value::Map(attach.source.as_ref().unwrap().as_source().unwrap().filter.clone().unwrap()))
    });
}

fn elements(octets: &[u8]) -> Vec<Value<'static>> {
    let Value::Array(array) = decode(octets).unwrap() else { panic!() };
    let found = array.iter().map(|element| element.unwrap().into_owned()).collect::<Vec<_>>();
    assert_eq!(found.len(), array.len());
    assert_eq!(decode(&encode_to_vec(&array)), Ok(Value::Array(array)));
    found
}

#[test]
fn h07_arrays_of_arrays() {
    let inner = elements(&narrow(0xe0, 2, &[0xe0, 4, 2, 0x50, 1, 2, 3, 1, 0x50, 9]));
    let numbers = |value: &Value<'_>| {
        let Value::Array(array) = value else { panic!() };
        array.iter().map(Result::unwrap).map(IntoOwned::into_owned).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&inner[0]), [Value::Ubyte(1), Value::Ubyte(2)]);
    assert_eq!(numbers(&inner[1]), [Value::Ubyte(9)]);
    let wide_ones = [&wide(0xf0, 1, b"\xa3\x01a")[1..], &wide(0xf0, 0, &[0x40])[1..]].concat();
    let inner = elements(&wide(0xf0, 2, &[&[0xf0][..], &wide_ones].concat()));
    assert_eq!(numbers(&inner[0]), [Value::Symbol(symbol("a"))]);
    assert_eq!(numbers(&inner[1]), []);
}

#[test]
fn h07_arrays_of_lists() {
    let mut first = List::new();
    first.push(&true);
    first.push(&());
    let expected = [Value::List(first), Value::List(List::new())];
    assert_eq!(elements(&narrow(0xe0, 2, &[0xc0, 3, 2, 0x41, 0x40, 1, 0])), expected);
    let lists = [&wide(0xd0, 2, &[0x41, 0x40])[1..], &wide(0xd0, 0, &[])[1..]].concat();
    assert_eq!(elements(&wide(0xf0, 2, &[&[0xd0][..], &lists].concat())), expected);
    assert_eq!(elements(&narrow(0xe0, 3, &[0x45])), vec![Value::List(List::new()); 3]);
}

#[test]
fn h07_arrays_of_maps() {
    let first: Map<'_> = [(symbol("k"), 1_u32)].into_iter().collect();
    let expected = [Value::Map(first), Value::Map(Map::new())];
    assert_eq!(elements(&narrow(0xe0, 2, b"\xc1\x06\x02\xa3\x01k\x52\x01\x01\0")), expected);
    let maps = [&wide(0xd1, 2, b"\xa3\x01k\x52\x01")[1..], &wide(0xd1, 0, &[])[1..]].concat();
    assert_eq!(elements(&wide(0xf0, 2, &[&[0xd1][..], &maps].concat())), expected);
}

#[test]
fn h07_arrays_of_described_values() {
    let expected = [1_u16, 2].map(|number| Value::Described(Described::new(&symbol("d"), &number)));
    assert_eq!(elements(&narrow(0xe0, 2, b"\0\xa3\x01d\x60\0\x01\0\x02")), expected);
    // Composites: accepted and accepted.
    for element in elements(&narrow(0xe0, 2, b"\0\x53\x24\x45")) {
        let encoded = encode_to_vec(&element);
        assert_eq!(Reader::sized(&encoded).read(), Ok(DeliveryState::Accepted));
    }
    // Described twice, and lists.
    let octets = narrow(0xe0, 1, b"\0\x53\x01\0\x53\x02\x50\x07");
    let inner = Described::new(&2_u64, &7_u8);
    assert_eq!(elements(&octets), [Value::Described(Described::new(&1_u64, &inner))]);
    let list: List<'_> = [true].into_iter().collect();
    let expected = [&list, &List::new()].map(|list| Value::Described(Described::new(&1_u64, list)));
    assert_eq!(elements(&wide(0xf0, 2, b"\0\x53\x01\xc0\x02\x01\x41\x01\0")), expected);
    // What is wrong in an element is found where it stands.
    let octets = wide(0xf0, 2, b"\0\x53\x01\xa1\x01a\x01\xff");
    let error = decode(&octets).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::InvalidUtf8, 16));
    assert_eq!(octets[16], 0xff);
}

#[test]
fn h08_char() {
    let char = |point: u32| [&[0x73][..], &point.to_be_bytes()].concat();
    for point in [0x11_0000, 0x20_0000, 0x7fff_ffff, u32::MAX, 0xd800, 0xdbff, 0xdc00, 0xdfff] {
        let octets = char(point);
        assert_eq!(refusal(&octets), DecodeErrorKind::InvalidChar, "{point:x}");
        assert_eq!(Reader::new(&octets).read::<char>().unwrap_err().offset(), 1);
    }
    for point in [0, 0x41, 0xd7ff, 0xe000, 0xffff, 0x1_f600, 0x10_ffff] {
        let expected = char::from_u32(point).unwrap();
        assert_eq!(decode(&char(point)), Ok(Value::Char(expected)));
        assert_eq!(encode_to_vec(&expected), char(point));
    }
}

#[test]
fn h08_invalid_utf8() {
    let invalid: [(&[u8], usize); 8] = [
        (b"\xff", 0),
        (b"ab\x80", 2),
        (b"a\xc3", 1),
        (b"\xc0\x80", 0),          // overlong
        (b"\xed\xa0\x80", 0),      // a surrogate
        (b"x\xf4\x90\x80\x80", 1), // beyond U+10FFFF
        (b"xyz\xe2\x82", 3),
        (b"\xf8\x88\x80\x80\x80", 0),
    ];
    for (text, at) in invalid {
        let small = [&[0xa1, text.len() as u8], text].concat();
        let long = [&[0xb1, 0, 0, 0, text.len() as u8], text].concat();
        for (octets, start) in [(&small, 2), (&long, 5)] {
            let error = decode(octets).unwrap_err();
            assert_eq!((error.kind(), error.offset() as usize), (DecodeErrorKind::InvalidUtf8, start + at));
            assert!(Reader::new(octets).read::<Str<'_>>().is_err());
        }
        let open = described(&[0x53, 0x10], &narrow(0xc0, 1, &small));
        let error = Reader::sized(&open).read::<Performative<'_>>().unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::InvalidUtf8);
    }
    let text = "Grüße, 世界 \u{10ffff}\0";
    for octets in [
        [&[0xa1, text.len() as u8], text.as_bytes()].concat(),
        [&[0xb1, 0, 0, 0, text.len() as u8], text.as_bytes()].concat(),
    ] {
        assert_eq!(decode(&octets), Ok(Value::from(text)));
    }
}

#[test]
fn h08_symbols_that_are_not_ascii() {
    for (text, at) in [(&b"\xff"[..], 0), ("größe".as_bytes(), 2), (b"ab\x80", 2), ("世".as_bytes(), 0)] {
        let small = [&[0xa3, text.len() as u8], text].concat();
        let long = [&[0xb3, 0, 0, 0, text.len() as u8], text].concat();
        for (octets, start) in [(&small, 2), (&long, 5)] {
            let error = decode(octets).unwrap_err();
            assert_eq!((error.kind(), error.offset() as usize), (DecodeErrorKind::InvalidSymbol, start + at));
        }
        let array = wide(0xf0, 1, &small);
        assert_eq!(refusal(&array), DecodeErrorKind::InvalidSymbol);
        let error = Reader::sized(&array).read::<Multiple<Symbol<'_>>>().unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::InvalidSymbol);
    }
    let all: String = (0..=127_u8).map(char::from).collect();
    let octets = [&[0xa3, 128], all.as_bytes()].concat();
    assert_eq!(decode(&octets), Ok(Value::Symbol(Symbol::new(all).unwrap())));
    assert!(Symbol::new("größe").is_err());
}

#[test]
fn h08_negative_timestamps() {
    for millis in [-1, -62_135_596_800_000, i64::MIN, i64::MAX, 0] {
        let octets = [&[0x83][..], &millis.to_be_bytes()].concat();
        assert_eq!(decode(&octets), Ok(Value::Timestamp(Timestamp(millis))));
        assert_eq!(encode_to_vec(&Timestamp(millis)), octets);
    }
    let fields = [&[0x40; 9][..], &encode_to_vec(&Timestamp(-2))].concat();
    let properties = described(&[0x53, 0x73], &narrow(0xc0, 10, &fields));
    let view = MessageView::parse(&properties).unwrap();
    assert_eq!(view.properties().unwrap().unwrap().creation_time, Some(Timestamp(-2)));
}

#[test]
fn h08_all_widths_of_integers() {
    let rows: [(&[u8], Value<'_>); 38] = [
        (b"\x50\x00", Value::Ubyte(0)),
        (b"\x50\xff", Value::Ubyte(255)),
        (b"\x51\x80", Value::Byte(-128)),
        (b"\x51\x7f", Value::Byte(127)),
        (b"\x60\x00\x00", Value::Ushort(0)),
        (b"\x60\xff\xfe", Value::Ushort(0xfffe)),
        (b"\x61\x80\x00", Value::Short(-32768)),
        (b"\x61\x7f\xff", Value::Short(32767)),
        (b"\x43", Value::Uint(0)),
        (b"\x52\x00", Value::Uint(0)),
        (b"\x52\x80", Value::Uint(128)),
        (b"\x52\xff", Value::Uint(255)),
        (b"\x70\x00\x00\x00\x00", Value::Uint(0)),
        (b"\x70\x00\x00\x01\x00", Value::Uint(256)),
        (b"\x70\x80\x00\x00\x00", Value::Uint(1 << 31)),
        (b"\x70\xff\xff\xff\xff", Value::Uint(u32::MAX)),
        (b"\x44", Value::Ulong(0)),
        (b"\x53\x00", Value::Ulong(0)),
        (b"\x53\x80", Value::Ulong(128)),
        (b"\x53\xff", Value::Ulong(255)),
        (b"\x80\x00\x00\x00\x00\x00\x00\x00\x07", Value::Ulong(7)),
        (b"\x80\x00\x00\x00\x00\x00\x00\x01\x00", Value::Ulong(256)),
        (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff", Value::Ulong(u64::MAX)),
        (b"\x54\x00", Value::Int(0)),
        (b"\x54\x7f", Value::Int(127)),
        (b"\x54\x80", Value::Int(-128)),
        (b"\x54\xff", Value::Int(-1)),
        (b"\x71\x00\x00\x00\x80", Value::Int(128)),
        (b"\x71\xff\xff\xff\xff", Value::Int(-1)),
        (b"\x71\x80\x00\x00\x00", Value::Int(i32::MIN)),
        (b"\x71\x7f\xff\xff\xff", Value::Int(i32::MAX)),
        (b"\x55\x7f", Value::Long(127)),
        (b"\x55\x80", Value::Long(-128)),
        (b"\x55\xff", Value::Long(-1)),
        (b"\x81\x00\x00\x00\x00\x00\x00\x00\x80", Value::Long(128)),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", Value::Long(-1)),
        (b"\x81\x80\x00\x00\x00\x00\x00\x00\x00", Value::Long(i64::MIN)),
        (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff", Value::Long(i64::MAX)),
    ];
    for (octets, expected) in rows {
        assert_eq!(decode(octets), Ok(expected.clone()), "{octets:02x?}");
        // What is written is the shortest form, and means the same.
        let shortest = encode_to_vec(&expected);
        assert!(shortest.len() <= octets.len());
        assert_eq!(decode(&shortest), Ok(expected));
        for cut in 0..octets.len() {
            assert!(Reader::new(&octets[..cut]).read::<Value<'_>>().unwrap_err().is_incomplete());
        }
    }
    // Types are not coerced.
    assert!(Reader::new(b"\x52\x01").read::<u64>().is_err());
    assert!(Reader::new(b"\x53\x01").read::<u32>().is_err());
    assert!(Reader::new(b"\x54\x01").read::<u32>().is_err());
    assert!(Reader::new(b"\x50\x01").read::<u16>().is_err());
    assert!(Reader::new(b"\x55\x01").read::<i32>().is_err());
}

#[test]
fn h08_both_boolean_forms() {
    for (octets, expected) in [(&b"\x41"[..], true), (b"\x42", false), (b"\x56\x01", true), (b"\x56\x00", false)] {
        assert_eq!(decode(octets), Ok(Value::Boolean(expected)));
        assert_eq!(Reader::new(octets).read(), Ok(expected));
        // In any field: the role of a disposition, and whether it is settled.
        let fields = [octets, &[0x43, 0x43], octets].concat();
        let body = described(&[0x53, 0x15], &wide(0xd0, 4, &fields));
        let Performative::Disposition(disposition) = Reader::sized(&body).read().unwrap() else { panic!() };
        assert_eq!((disposition.role == amqp10_codec::Role::Receiver, disposition.settled), (expected, expected));
    }
    for octet in 2..=255 {
        let error = Reader::new(&[0x56, octet]).read::<Value<'_>>().unwrap_err();
        assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::InvalidValue("the octet of a boolean"), 1));
    }
    assert_eq!(elements(&[0xe0, 4, 2, 0x56, 1, 0]), [Value::Boolean(true), Value::Boolean(false)]);
    assert_eq!(elements(&[0xe0, 2, 2, 0x41]), vec![Value::Boolean(true); 2]);
}

/// The descriptors of everything that has one, with a list or map that may stand behind it.
const DESCRIBED: [(u8, &str, &[u8]); 24] = [
    (0x10, "amqp:open:list", b"\xc0\x04\x01\xa1\x01c"),
    (0x11, "amqp:begin:list", b"\xc0\x05\x04\x40\x43\x43\x43"),
    (0x12, "amqp:attach:list", b"\xc0\x06\x03\xa1\x01l\x43\x42"),
    (0x13, "amqp:flow:list", b"\xc0\x05\x04\x40\x43\x43\x43"),
    (0x14, "amqp:transfer:list", b"\xc0\x02\x01\x43"),
    (0x15, "amqp:disposition:list", b"\xc0\x03\x02\x41\x43"),
    (0x16, "amqp:detach:list", b"\xc0\x02\x01\x43"),
    (0x17, "amqp:end:list", b"\x45"),
    (0x18, "amqp:close:list", b"\x45"),
    (0x1d, "amqp:error:list", b"\xc0\x04\x01\xa3\x01x"),
    (0x23, "amqp:received:list", b"\xc0\x03\x02\x43\x44"),
    (0x24, "amqp:accepted:list", b"\x45"),
    (0x25, "amqp:rejected:list", b"\x45"),
    (0x26, "amqp:released:list", b"\x45"),
    (0x27, "amqp:modified:list", b"\x45"),
    (0x28, "amqp:source:list", b"\x45"),
    (0x29, "amqp:target:list", b"\x45"),
    (0x40, "amqp:sasl-mechanisms:list", b"\xc0\x04\x01\xa3\x01x"),
    (0x41, "amqp:sasl-init:list", b"\xc0\x04\x01\xa3\x01x"),
    (0x42, "amqp:sasl-challenge:list", b"\xc0\x04\x01\xa0\x01x"),
    (0x43, "amqp:sasl-response:list", b"\xc0\x04\x01\xa0\x01x"),
    (0x44, "amqp:sasl-outcome:list", b"\xc0\x03\x01\x50\x00"),
    (0x70, "amqp:header:list", b"\x45"),
    (0x73, "amqp:properties:list", b"\x45"),
];

/// Decodes a composite as the type that its descriptor names, and encodes it again.
fn typed(code: u8, octets: &[u8]) -> Result<Vec<u8>, DecodeError> {
    fn again<'a, T: Decode<'a> + Encode>(octets: &'a [u8]) -> Result<Vec<u8>, DecodeError> {
        Reader::sized(octets).read::<T>().map(|value| encode_to_vec(&value))
    }
    match code {
        0x10..=0x18 => again::<Performative<'_>>(octets),
        0x1d => again::<amqp10_codec::Error<'_>>(octets),
        0x23..=0x27 => match again::<DeliveryState<'_>>(octets) {
            Ok(_) if matches!(Reader::sized(octets).read(), Ok(DeliveryState::Other(_))) => panic!("not known"),
            result => result,
        },
        0x28 => again::<Source<'_>>(octets),
        0x29 => again::<Target<'_>>(octets),
        0x40..=0x44 => SaslBody::decode_frame(octets).map(|body| match body {
            SaslBody::Mechanisms(body) => encode_to_vec(&body),
            SaslBody::Init(body) => encode_to_vec(&body),
            SaslBody::Challenge(body) => encode_to_vec(&body),
            SaslBody::Response(body) => encode_to_vec(&body),
            SaslBody::Outcome(body) => encode_to_vec(&body),
        }),
        0x70 => again::<amqp10_codec::Header>(octets),
        0x73 => again::<amqp10_codec::Properties<'_>>(octets),
        _ => panic!("{code}"),
    }
}

#[test]
fn h08_descriptors_of_composites() {
    for (code, name, list) in DESCRIBED {
        let small = described(&[0x53, code], list);
        let long = described(&[0x80, 0, 0, 0, 0, 0, 0, 0, code], list);
        let symbolic = described(&encode_to_vec(&symbol(name)), list);
        let long_name = described(&[&[0xb3, 0, 0, 0, name.len() as u8], name.as_bytes()].concat(), list);
        for octets in [&small, &long, &symbolic, &long_name] {
            assert_eq!(typed(code, octets).as_ref(), Ok(&small), "{name}: {octets:02x?}");
        }
        let string = described(&encode_to_vec(name), list);
        for octets in [described(&[0x44], list), described(&[0x52, code], list), string, described(&[0x40], list)] {
            if (0x23..=0x27).contains(&code) {
                // A state that is not known is kept.
                let state: DeliveryState<'_> = Reader::sized(&octets).read().unwrap();
                assert!(matches!(state, DeliveryState::Other(_)));
                assert_eq!(encode_to_vec(&state), octets);
                continue;
            }
            let error = typed(code, &octets).unwrap_err();
            assert!(matches!(error.kind(), DecodeErrorKind::UnexpectedDescriptor { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn h08_descriptors_of_sections() {
    let sections: [(u8, &'static str, &[u8]); 9] = [
        (0x70, "amqp:header:list", b"\x45"),
        (0x71, "amqp:delivery-annotations:map", b"\xc1\x01\0"),
        (0x72, "amqp:message-annotations:map", b"\xc1\x01\0"),
        (0x73, "amqp:properties:list", b"\x45"),
        (0x74, "amqp:application-properties:map", b"\xc1\x01\0"),
        (0x75, "amqp:data:binary", b"\xa0\0"),
        (0x76, "amqp:amqp-sequence:list", b"\x45"),
        (0x77, "amqp:amqp-value:*", b"\x40"),
        (0x78, "amqp:footer:map", b"\xc1\x01\0"),
    ];
    for (code, name, value) in sections {
        let body = described(&[0x53, 0x77], &[0x40]);
        let forms = [
            vec![0x53, code],
            vec![0x80, 0, 0, 0, 0, 0, 0, 0, code],
            encode_to_vec(&symbol(name)),
            [&[0xb3, 0, 0, 0, name.len() as u8], name.as_bytes()].concat(),
        ];
        for descriptor in &forms {
            let section = described(descriptor, value);
            let octets = match code {
                ..=0x74 => [section, body.clone()].concat(),
                0x78 => [body.clone(), section].concat(),
                _ => section,
            };
            MessageView::parse(&octets).unwrap().validate().unwrap();
        }
        for descriptor in [&[0x44][..], &[0x52, code], &encode_to_vec(name)] {
            let error = MessageView::parse(&described(descriptor, value)).unwrap_err();
            assert_eq!(error, amqp10_codec::MessageError::UnknownSection(0), "{name}");
        }
    }
}

#[test]
fn h08_descriptors_of_values() {
    let rows: [(&[u8], Descriptor<'_>); 6] = [
        (b"\x44", Descriptor::Code(0)),
        (b"\x53\0", Descriptor::Code(0)),
        (b"\x53\xff", Descriptor::Code(255)),
        (b"\x80\0\0\x46\x8c\0\0\0\x04", Descriptor::Code(0x468c_0000_0004)),
        (b"\xa3\x03a:b", Descriptor::Name(symbol("a:b"))),
        (b"\x52\x01", Descriptor::Other(Value::Uint(1))),
    ];
    for (octets, expected) in rows {
        let octets = described(octets, b"\x52\x07");
        let Value::Described(found) = decode(&octets).unwrap() else { panic!() };
        assert_eq!(found.descriptor(), Ok(expected));
        assert_eq!(found.value(), Ok(Value::Uint(7)));
        assert_eq!(encode_to_vec(&found), octets, "kept as it came");
    }
}

#[test]
fn h08_decimals_bit_for_bit() {
    // Quiet and signalling NaN with payload, infinities, negative zero, and digits that are not canonical.
    for lead in [0x7c, 0x7e, 0xfe, 0x78, 0xf8, 0xa2, 0x00, 0x77, 0xff] {
        let octets: [u8; 17] = core::array::from_fn(|at| if at == 1 { lead } else { (at * 37) as u8 });
        let with = |constructor: u8, width: usize| [&[constructor][..], &octets[1..=width]].concat();
        let (d32, d64, d128) = (with(0x74, 4), with(0x84, 8), with(0x94, 16));
        assert_eq!(decode(&d32), Ok(Value::Decimal32(Decimal32(d32[1..].try_into().unwrap()))));
        assert_eq!(decode(&d64), Ok(Value::Decimal64(Decimal64(d64[1..].try_into().unwrap()))));
        assert_eq!(decode(&d128), Ok(Value::Decimal128(Decimal128(d128[1..].try_into().unwrap()))));
        for octets in [d32, d64, d128] {
            assert_eq!(encode_to_vec(&decode(&octets).unwrap()), octets);
        }
    }
}

#[test]
fn h08_other_fixed_widths_bit_for_bit() {
    for octets in [
        &b"\x72\x7f\xa0\x00\x01"[..], // a signalling NaN
        b"\x72\x80\x00\x00\x00",
        b"\x82\x7f\xf4\x00\x00\x00\x00\x00\x01",
        b"\x82\x80\x00\x00\x00\x00\x00\x00\x00",
        b"\x98\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f",
    ] {
        assert_eq!(encode_to_vec(&decode(octets).unwrap()), octets);
    }
    let uuid = Uuid(core::array::from_fn(|at| at as u8));
    assert_eq!(uuid.to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
}
