//! Part 1 of the specification, requirement by requirement. Each is named by its section and a number.

use amqp10_codec::{
    Accepted, Array, Attach, Begin, Close, Decimal32, Decimal64, Decimal128, Decode, DecodeError, DecodeErrorKind,
    DeliveryTag, Described, Descriptor, Flow, Handle, IntoOwned, List, Map, Multiple, Open, Performative, Reader,
    ReceiverSettleMode, Role, SenderSettleMode, Source, Symbol, Timestamp, Transfer, TransferNumber, Uuid, Value,
    encode_to_vec,
};

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}

fn value(octets: &[u8]) -> Result<Value<'static>, DecodeError> {
    let value: Value<'_> = read(octets)?;
    value.validate()?;
    Ok(value.into_owned())
}

/// These octets are this value, and it is written as the first of them.
fn is(expected: impl Into<Value<'static>>, ways: &[&[u8]]) {
    let expected = expected.into();
    for octets in ways {
        assert_eq!(value(octets).as_ref(), Ok(&expected), "{octets:02x?}");
    }
    assert_eq!(encode_to_vec(&expected), ways[0]);
}

fn refused(octets: &[u8]) {
    assert!(value(octets).is_err(), "{octets:02x?}");
}

fn sized(constructor: u8, octets: &[u8]) -> Vec<u8> {
    [&[constructor][..], &(octets.len() as u32).to_be_bytes(), octets].concat()
}

/// One value of each type, in each of its encodings.
fn one_of_each() -> Vec<Vec<u8>> {
    let octets: [&[u8]; 42] = [
        b"\x40",
        b"\x41",
        b"\x42",
        b"\x56\x01",
        b"\x50\x01",
        b"\x60\0\x01",
        b"\x43",
        b"\x52\x01",
        b"\x70\0\0\0\x01",
        b"\x44",
        b"\x53\x01",
        b"\x80\0\0\0\0\0\0\0\x01",
        b"\x51\x01",
        b"\x61\0\x01",
        b"\x54\x01",
        b"\x71\0\0\0\x01",
        b"\x55\x01",
        b"\x81\0\0\0\0\0\0\0\x01",
        b"\x72\x3f\x80\0\0",
        b"\x82\x3f\xf0\0\0\0\0\0\0",
        b"\x74\0\0\0\x01",
        b"\x84\0\0\0\0\0\0\0\x01",
        b"\x94\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
        b"\x73\0\0\0\x01",
        b"\x83\0\0\0\0\0\0\0\x01",
        b"\x98\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
        b"\xa0\x01\x01",
        b"\xb0\0\0\0\x01\x01",
        b"\xa1\x01\x31",
        b"\xb1\0\0\0\x01\x31",
        b"\xa3\x01\x31",
        b"\xb3\0\0\0\x01\x31",
        b"\x45",
        b"\xc0\x02\x01\x43",
        b"\xd0\0\0\0\x05\0\0\0\x01\x43",
        b"\xc1\x03\x02\x43\x44",
        b"\xd1\0\0\0\x06\0\0\0\x02\x43\x44",
        b"\xe0\x03\x01\x50\x01",
        b"\xf0\0\0\0\x06\0\0\0\x01\x50\x01",
        b"\0\x53\x01\x43",
        b"\0\xa3\x01a\x43",
        b"\0\x53\x01\0\x53\x02\x43",
    ];
    octets.iter().map(|octets| octets.to_vec()).collect()
}

#[test]
fn types_are_told_apart() {
    // 1.1.1-01
    let values: [Value<'static>; 24] = [
        Value::Null,
        true.into(),
        1_u8.into(),
        1_u16.into(),
        1_u32.into(),
        1_u64.into(),
        1_i8.into(),
        1_i16.into(),
        1_i32.into(),
        1_i64.into(),
        1_f32.into(),
        1_f64.into(),
        Decimal32([1; 4]).into(),
        Decimal64([1; 8]).into(),
        Decimal128([1; 16]).into(),
        '1'.into(),
        Timestamp(1).into(),
        Uuid([1; 16]).into(),
        (&b"1"[..]).into(),
        "1".into(),
        Symbol::from_static("1").into(),
        List::from_iter([1_u8]).into(),
        Map::from_iter([(1_u8, 1_u8)]).into(),
        Array::of([1_u8]).into(),
    ];
    for (at, one) in values.iter().enumerate() {
        assert_eq!(value(&encode_to_vec(one)).as_ref(), Ok(one));
        assert_eq!(values.iter().position(|other| other == one), Some(at), "{one:?} is like none of the others");
    }
}

#[test]
fn described_values() {
    // 1.1.2-01
    let url: Described<'_> = read(b"\0\xa3\x05a:url\xa1\x03x/y").unwrap();
    assert_eq!(url.descriptor(), Ok(Descriptor::Name(Symbol::from_static("a:url"))));
    assert_eq!(url.value(), Ok(Value::from("x/y")));
    // 1.1.2-02
    let Ok(Value::List(list)) = value(b"\xc0\x10\x02\0\x80\xff\0\0\0\0\0\0\x09\xc1\x01\0\x52\x07") else { panic!() };
    let items: Vec<_> = list.iter().map(|item| item.unwrap().into_owned()).collect();
    let [Value::Described(unknown), Value::Uint(7)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(unknown.descriptor(), Ok(Descriptor::Code(0xff00_0000_0000_0009)));
    assert_eq!(unknown.value(), Ok(Value::Map(Map::new())));
}

#[test]
fn unknown_described_values_survive() {
    // 1.1.2-03, 1.5-02
    let octets = b"\0\x80\0\0\x46\x8c\0\0\0\x04\xc0\x04\x02\x52\x01\x40";
    let found = value(octets).unwrap();
    assert_eq!(encode_to_vec(&found), octets);
    let Value::Described(found) = found else { panic!() };
    assert_eq!(found.descriptor(), Ok(Descriptor::Code(0x0000_468c_0000_0004)));
    // 1.2-02
    let stacked = value(b"\0\x53\x01\0\x53\x02\x43").unwrap();
    let Value::Described(outer) = &stacked else { panic!() };
    let Ok(Value::Described(inner)) = outer.value() else { panic!() };
    assert_eq!((inner.descriptor(), inner.value()), (Ok(Descriptor::Code(2)), Ok(Value::Uint(0))));
    // 1.2-03
    for octets in [&b"\0\0\x53\x05\xa1\x01x\x40"[..], b"\0\xc0\x02\x01\x43\x40", b"\0\xc1\x01\0\x40", b"\0\x40\x40"] {
        let Ok(Value::Described(found)) = value(octets) else { panic!("{octets:02x?}") };
        assert!(matches!(found.descriptor(), Ok(Descriptor::Other(_))));
        assert_eq!(encode_to_vec(&found), octets);
    }
}

#[test]
fn restricted_types_are_written_as_their_source() {
    // 1.1.4-01
    assert_eq!(encode_to_vec(&Role::Receiver), b"\x41");
    assert_eq!(encode_to_vec(&Handle(7)), b"\x52\x07");
    assert_eq!(encode_to_vec(&DeliveryTag::new(b"t").unwrap()), b"\xa0\x01t");
    assert_eq!(encode_to_vec(&Map::new().with(Symbol::from_static("k"), 1_u8)), b"\xc1\x06\x02\xa3\x01k\x50\x01");
    // 1.1.4-02
    let attach = |field: &[u8]| [&b"\0\x53\x12\xc0\x08\x04\xa1\x01l\x43\x41"[..], field].concat();
    for octets in [&b"\x50\x03"[..], b"\x50\xff"] {
        let error = read::<Attach<'_>>(&attach(octets)).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::InvalidValue("snd-settle-mode"));
    }
    assert_eq!(read::<Attach<'_>>(&attach(b"\x50\x02")).unwrap().snd_settle_mode, SenderSettleMode::Mixed);
    assert!(read::<ReceiverSettleMode>(b"\x50\x02").is_err());
}

#[test]
fn descriptors_of_composites() {
    // 1.1.4-03, 1.5-01, 1.5-03, 1.5-04
    let open = |descriptor: &[u8]| [b"\0", descriptor, b"\xc0\x04\x01\xa1\x01c"].concat();
    let known: [&[u8]; 4] =
        [b"\x53\x10", b"\x80\0\0\0\0\0\0\0\x10", b"\xa3\x0eamqp:open:list", b"\xb3\0\0\0\x0eamqp:open:list"];
    for descriptor in known {
        assert_eq!(read::<Open<'_>>(&open(descriptor)), Ok(Open::new("c")));
        let Ok(Performative::Open(_)) = read::<Performative<'_>>(&open(descriptor)) else { panic!() };
    }
    let reserved: [&[u8]; 4] = [b"\xa1\x0eamqp:open:list", b"\x52\x10", b"\x50\x10", b"\x80\0\0\0\x01\0\0\0\x10"];
    for descriptor in reserved {
        assert!(read::<Performative<'_>>(&open(descriptor)).is_err() && read::<Open<'_>>(&open(descriptor)).is_err());
        assert!(value(&open(descriptor)).is_ok(), "it is a value all the same");
    }
}

#[test]
fn values_follow_each_other_without_separators() {
    // 1.2-01, 1.2.1-01, 1.2.2-01, 1.2.3-01, 1.2.3-05
    let all = one_of_each();
    let octets = all.concat();
    let (mut reader, mut skipping) = (Reader::sized(&octets), Reader::sized(&octets));
    let mut offset = 0;
    for one in &all {
        let found: Value<'_> = reader.read().unwrap();
        assert_eq!(Ok(found), read(one));
        skipping.skip().unwrap();
        offset += one.len();
        assert_eq!((reader.offset(), skipping.offset()), (offset, offset), "{one:02x?}");
    }
    assert!(reader.is_empty());
}

#[test]
fn values_that_are_cut_short() {
    let all = one_of_each();
    // 1.2-09
    for one in &all {
        for cut in 0..one.len() {
            let error = Reader::new(&one[..cut]).read::<Value<'_>>().unwrap_err();
            assert!(error.is_incomplete() && error.offset() as usize <= cut, "{one:02x?} cut at {cut}");
            refused(&one[..cut]);
        }
    }
}

#[test]
fn every_format_code() {
    // 1.2-04, 1.2-05, 1.2-06, 1.2-07
    let all = one_of_each();
    let defined = |code: u8| all.iter().any(|one| one[0] == code);
    for code in 0..=255_u8 {
        let zeros = [&[code][..], &[0; 40]].concat();
        let result = Reader::sized(&zeros).read::<Value<'_>>();
        if !defined(code) {
            assert_eq!(result.unwrap_err().kind(), DecodeErrorKind::UnknownConstructor(code));
            assert!(Reader::sized(&zeros).skip().is_err());
            continue;
        }
        let width = match code >> 4 {
            4 => 0,
            5 => 1,
            6 => 2,
            7 => 4,
            8 => 8,
            9 => 16,
            _ => continue,
        };
        let mut reader = Reader::sized(&zeros);
        reader.read::<Value<'_>>().unwrap();
        assert_eq!(reader.offset(), width + 1, "{code:02x}");
    }
    assert_eq!((0..=255).filter(|code| defined(*code)).count(), 40, "39 constructors and 0x00");
}

#[test]
fn numbers_sizes_and_counts_are_big_endian() {
    // 1.2-08, 1.6.5-01
    is(0x0102_0304_u32, &[b"\x70\x01\x02\x03\x04"]);
    // 1.2-11, 1.2-12: any encoding is read, the shortest is written.
    is(0_u32, &[b"\x43", b"\x52\0", b"\x70\0\0\0\0"]);
    is(List::new(), &[b"\x45", b"\xc0\x01\0", b"\xd0\0\0\0\x04\0\0\0\0"]);
}

#[test]
fn hostile_sizes_and_depths() {
    // 1.2-10, 1.2.4-07
    let hostile: [&[u8]; 5] = [
        b"\xb0\xff\xff\xff\xff",
        b"\xd0\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xd1\0\0\0\x04\xff\xff\xff\xfe",
        b"\xf0\0\0\0\x06\xff\xff\xff\xff\x50\x01",
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40",
    ];
    for octets in hostile {
        let info = allocation_counter::measure(|| refused(octets));
        assert_eq!(info.count_total, 0);
    }
    assert_eq!(value(b"\xe0\x02\x03\x41"), Ok(value(b"\xe0\x05\x03\x56\x01\x01\x01").unwrap()));
    // 1.2-13
    refused(&vec![0; 100_000]);
    let mut nested = vec![0x45];
    for _ in 0..100_000 {
        // A list32 of one element; too deep long before sizes matter.
        nested.splice(0..0, [0xd0, 0, 0x0f, 0xff, 0xff, 0, 0, 0, 1]);
        if nested.len() > 20_000 {
            break;
        }
    }
    let size = nested.len();
    for at in (0..size - 9).step_by(9) {
        let inner = (size - at - 5) as u32;
        nested[at + 1..at + 5].copy_from_slice(&inner.to_be_bytes());
    }
    assert_eq!(value(&nested).unwrap_err().kind(), DecodeErrorKind::TooDeep);
}

#[test]
fn variable_widths() {
    // 1.2.2-01, 1.2.2-02, 1.6.19-01, 1.6.19-02
    let octets = vec![7; 65_536];
    is(Vec::new(), &[b"\xa0\0", b"\xb0\0\0\0\0"]);
    for length in [1, 255] {
        let narrow = [&[0xa0, length as u8][..], &octets[..length]].concat();
        is(octets[..length].to_vec(), &[&narrow, &sized(0xb0, &octets[..length])]);
    }
    for length in [256, 65_536] {
        is(octets[..length].to_vec(), &[&sized(0xb0, &octets[..length])]);
    }
}

#[test]
fn strings() {
    // 1.6.20-01, 1.6.20-02
    is("é", &[b"\xa1\x02\xc3\xa9", b"\xb1\0\0\0\x02\xc3\xa9"]);
    is("x".repeat(256), &[&sized(0xb1, &[b'x'; 256])]);
    // 1.6.20-03
    for octets in [&b"\xa1\x01\xff"[..], b"\xa1\x03\xed\xa0\x80", b"\xa1\x02\xc0\x80", b"\xb1\0\0\0\x01\x80"] {
        refused(octets);
    }
    // 1.6.20-04
    assert_eq!(encode_to_vec("a"), b"\xa1\x01a");
    is("\u{feff}a", &[b"\xa1\x04\xef\xbb\xbfa"]);
}

#[test]
fn symbols() {
    // 1.6.21-01, 1.6.21-02
    is(Symbol::from_static("move"), &[b"\xa3\x04move", b"\xb3\0\0\0\x04move"]);
    // 1.6.21-03
    refused(b"\xa3\x01\xe9");
    refused(b"\xb3\0\0\0\x01\x80");
    assert!(Symbol::new("é").is_err());
    // 1.6.21-04
    assert_ne!(value(b"\xa3\x01a"), value(b"\xa1\x01a"));
    assert_eq!(value(b"\xc1\x09\x04\xa3\x01a\x43\xa1\x01a\x44").map(drop), Ok(()), "two keys");
}

#[test]
fn compounds() {
    // 1.2.3-01, 1.6.22-02, 1.6.22-03
    let list = List::new().with(0_u32).with(5_i32);
    is(list, &[b"\xc0\x04\x02\x43\x54\x05", b"\xd0\0\0\0\x07\0\0\0\x02\x43\x54\x05"]);
    is(List::new().with(0_u32).with(true), &[b"\xc0\x03\x02\x43\x41", b"\xd0\0\0\0\x06\0\0\0\x02\x43\x41"]);
    // 1.2.3-02, 1.6.22-01
    is(List::new(), &[b"\x45", b"\xc0\x01\0", b"\xd0\0\0\0\x04\0\0\0\0"]);
}

#[test]
fn sizes_of_compounds() {
    // 1.2.3-03
    refused(b"\xc0\x04\x01\x43\0\0");
    refused(b"\xc0\x02\x02\x43\x43");
    // 1.2.3-04
    let nulls = |count: usize| encode_to_vec(&List::from_iter(vec![(); count]));
    assert_eq!(nulls(254)[..4], [0xc0, 0xff, 0xfe, 0x40]);
    assert_eq!(nulls(255)[..10], [0xd0, 0, 0, 1, 3, 0, 0, 0, 255, 0x40]);
    for count in [254, 255, 256] {
        let Ok(Value::List(list)) = value(&nulls(count)) else { panic!() };
        assert_eq!(list.iter().count(), count);
    }
    // 1.2.3-05
    let unknown = b"\xd1\0\0\0\x0a\0\0\0\x02\0\x53\xff\x40\0\x01\x52\x07";
    let mut reader = Reader::sized(unknown);
    reader.skip().unwrap();
    assert_eq!(reader.rest(), b"\x52\x07");
}

#[test]
fn arrays() {
    // 1.2.4-01, 1.2.4-02, 1.6.24-01, 1.6.24-02
    is(Array::of([1_u8, 2]), &[b"\xe0\x04\x02\x50\x01\x02", b"\xf0\0\0\0\x07\0\0\0\x02\x50\x01\x02"]);
    // 1.2.4-03
    is(Array::of::<Symbol<'_>>([]), &[b"\xe0\x02\0\xa3", b"\xf0\0\0\0\x05\0\0\0\0\xa3"]);
    refused(b"\xe0\x01\0");
}

#[test]
fn elements_of_arrays() {
    // 1.2.4-04
    let Ok(Value::Array(accepted)) = value(b"\xe0\x05\x02\0\x53\x24\x45") else { panic!() };
    assert_eq!(accepted.len(), 2);
    for item in accepted.iter() {
        let Value::Described(item) = item.unwrap() else { panic!() };
        assert_eq!(item.read::<Accepted>(), Ok(Accepted {}));
    }
    // 1.2.4-05
    let long = "x".repeat(300);
    assert_eq!(encode_to_vec(&Array::of(["abc", &long]))[9], 0xb1);
    // 1.2.4-06
    is(Array::of([List::new().with(0_u32), List::new()]), &[b"\xe0\x07\x02\xc0\x02\x01\x43\x01\0"]);
    is(
        Array::of([Array::of([1_i32]), Array::of([2_i32, 3])]),
        &[b"\xe0\x0b\x02\xe0\x03\x01\x54\x01\x04\x02\x54\x02\x03"],
    );
    // 1.2.4-08
    is(Array::of([true, false]), &[b"\xe0\x04\x02\x56\x01\0"]);
}

#[test]
fn what_is_no_array_of_these_elements() {
    // 1.2.4-09
    refused(b"\xe0\x05\x02\x50\x01\x02\xff");
    refused(b"\xe0\x03\x02\x50\x01");
    // 1.6.24-03
    assert_ne!(value(b"\xe0\x04\x02\x50\x01\x02"), value(b"\xc0\x05\x02\x50\x01\x50\x02"));
}

#[test]
fn null_and_booleans() {
    // 1.6.1-01
    is(Value::Null, &[b"\x40"]);
    // 1.6.2-01, 1.6.2-02, 1.6.2-03
    is(true, &[b"\x41", b"\x56\x01"]);
    is(false, &[b"\x42", b"\x56\0"]);
    refused(b"\x56\x02");
}

#[test]
fn ubytes_ushorts_and_uints() {
    // 1.6.3-01, 1.6.4-01
    is(0_u8, &[b"\x50\0"]);
    is(255_u8, &[b"\x50\xff"]);
    is(65_535_u16, &[b"\x60\xff\xff"]);
    // 1.6.5-01, 1.6.5-02, 1.6.5-03
    is(u32::MAX, &[b"\x70\xff\xff\xff\xff"]);
    is(255_u32, &[b"\x52\xff", b"\x70\0\0\0\xff"]);
    is(0_u32, &[b"\x43", b"\x52\0"]);
}

#[test]
fn ulongs() {
    // 1.6.6-01, 1.6.6-02, 1.6.6-03
    is(u64::MAX, &[b"\x80\xff\xff\xff\xff\xff\xff\xff\xff"]);
    is(255_u64, &[b"\x53\xff", b"\x80\0\0\0\0\0\0\0\xff"]);
    is(0_u64, &[b"\x44", b"\x53\0"]);
}

#[test]
fn bytes_shorts_and_ints() {
    // 1.6.7-01, 1.6.8-01
    is(-128_i8, &[b"\x51\x80"]);
    is(127_i8, &[b"\x51\x7f"]);
    is(-32_768_i16, &[b"\x61\x80\0"]);
    // 1.6.9-01, 1.6.9-02
    is(i32::MIN, &[b"\x71\x80\0\0\0"]);
    is(-1_i32, &[b"\x54\xff", b"\x71\xff\xff\xff\xff"]);
    is(128_i32, &[b"\x71\0\0\0\x80"]);
}

#[test]
fn longs() {
    // 1.6.10-01, 1.6.10-02
    is(i64::MIN, &[b"\x81\x80\0\0\0\0\0\0\0"]);
    is(-128_i64, &[b"\x55\x80", b"\x81\xff\xff\xff\xff\xff\xff\xff\x80"]);
}

#[test]
fn floats_and_doubles() {
    // 1.6.11-01, 1.6.12-01: every bit is kept.
    is(1_f32, &[b"\x72\x3f\x80\0\0"]);
    is(1_f64, &[b"\x82\x3f\xf0\0\0\0\0\0\0"]);
    for bits in [0x7fc0_0001_u32, 0x7f80_0000, 0xff80_0000, 0x8000_0000, 0x7f80_0001] {
        let octets = [&[0x72][..], &bits.to_be_bytes()].concat();
        assert_eq!(encode_to_vec(&value(&octets).unwrap()), octets);
    }
    for bits in [0x7ff8_0000_0000_0001_u64, 0xfff0_0000_0000_0000, 1 << 63, 0x7ff0_0000_0000_0001] {
        let octets = [&[0x82][..], &bits.to_be_bytes()].concat();
        assert_eq!(encode_to_vec(&value(&octets).unwrap()), octets);
    }
}

#[test]
fn decimals() {
    // 1.6.13-01, 1.6.14-01, 1.6.15-01
    is(Decimal32([0xf8, 1, 2, 0xff]), &[b"\x74\xf8\x01\x02\xff"]);
    is(Decimal64([0xf8, 1, 2, 3, 4, 5, 6, 0xff]), &[b"\x84\xf8\x01\x02\x03\x04\x05\x06\xff"]);
    is(Decimal128([0xab; 16]), &[&[&[0x94][..], &[0xab; 16]].concat()]);
}

#[test]
fn characters_moments_and_uuids() {
    // 1.6.16-01, 1.6.16-02
    is('😀', &[b"\x73\0\x01\xf6\0"]);
    refused(b"\x73\0\0\xd8\0");
    refused(b"\x73\0\x11\0\0");
    // 1.6.17-01
    is(Timestamp(-1), &[b"\x83\xff\xff\xff\xff\xff\xff\xff\xff"]);
    is(Timestamp(1_311_704_463_521), &[b"\x83\x00\x00\x01\x31\x67\xad\xb8\xa1"]);
    is(Timestamp(i64::MIN), &[b"\x83\x80\0\0\0\0\0\0\0"]);
    is(Timestamp(i64::MAX), &[b"\x83\x7f\xff\xff\xff\xff\xff\xff\xff"]);
    // 1.6.18-01
    let uuid = Uuid([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
    is(uuid, &[b"\x98\0\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"]);
    assert_eq!(uuid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
}

#[test]
fn maps() {
    // 1.6.23-01, 1.6.23-02
    let map = Map::new().with(Symbol::from_static("k"), 0_u32);
    is(map.clone(), &[b"\xc1\x05\x02\xa3\x01k\x43", b"\xd1\0\0\0\x08\0\0\0\x02\xa3\x01k\x43"]);
    assert_eq!(map.len(), 1);
    // 1.6.23-03
    assert_eq!(value(b"\xc1\x02\x01\x43").unwrap_err().kind(), DecodeErrorKind::OddMapCount);
    // 1.6.23-04
    let twice = b"\xc1\x09\x04\xa3\x01k\x43\xa3\x01k\x43";
    assert_eq!(value(twice).unwrap_err().kind(), DecodeErrorKind::DuplicateKey);
    // 1.6.23-05
    let octets = b"\xc1\x09\x04\xa1\x01b\x41\xa1\x01a\x42";
    let Ok(Value::Map(ba)) = value(octets) else { panic!() };
    assert_eq!(encode_to_vec(&ba), octets);
    assert_ne!(ba, Map::new().with("a", false).with("b", true));
}

#[test]
fn keys_of_maps_and_the_empty_map() {
    // 1.6.23-06
    let keys = Map::new().with(1_u32, ()).with((), 1_u32).with(List::new().with(1_u8), Map::new());
    let Ok(Value::Map(again)) = value(&encode_to_vec(&keys)) else { panic!() };
    assert_eq!(again, keys);
    is(Map::new().with(Described::new(&1_u64, &()), ()), &[b"\xc1\x06\x02\0\x53\x01\x40\x40"]);
    // 1.6.23-07
    is(Map::new(), &[b"\xc1\x01\0", b"\xd1\0\0\0\x04\0\0\0\0"]);
    assert!(read::<Map<'_>>(b"\x45").is_err());
}

/// A composite of these fields.
fn composite(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&[0, 0x53, code, 0xc0, body.len() as u8 + 1, fields.len() as u8][..], &body].concat()
}

const NULL: &[u8] = b"\x40";

#[test]
fn fields_and_their_defaults() {
    // 1.3-01, 1.4-02
    let open = Open::new("c");
    assert_eq!((open.max_frame_size, open.channel_max.0, open.idle_time_out), (u32::MAX, u16::MAX, None));
    let short = composite(0x10, &[b"\xa1\x01c"]);
    let long = composite(0x10, &[&[&b"\xa1\x01c"[..]], &[NULL; 9][..]].concat());
    assert_eq!(read::<Open<'_>>(&short).as_ref(), Ok(&open));
    assert_eq!(read::<Open<'_>>(&long).as_ref(), Ok(&open));
    // 1.3-02
    let missing = read::<Begin<'_>>(&composite(0x11, &[NULL, NULL, b"\x43", b"\x43"])).unwrap_err();
    assert_eq!(missing.kind(), DecodeErrorKind::MissingField("next_outgoing_id"));
    assert!(read::<Begin<'_>>(&composite(0x11, &[NULL])).is_err());
    // 1.3-04
    assert!(read::<Begin<'_>>(&composite(0x11, &[NULL, b"\x43", b"\x43", b"\x43"])).is_ok());
    for id in [&b"\x44"[..], b"\x53\x01", b"\x54\x01", b"\x50\x01", b"\x60\0\x01"] {
        assert!(read::<Begin<'_>>(&composite(0x11, &[NULL, id, b"\x43", b"\x43"])).is_err(), "{id:02x?}");
    }
}

#[test]
fn fields_by_position() {
    // 1.4-01
    let attach = composite(0x12, &[b"\xa1\x01l", b"\x52\x07", b"\x41", b"\x50\x01", b"\x50\x01"]);
    let attach: Attach<'_> = read(&attach).unwrap();
    assert_eq!((attach.name.as_str(), attach.handle, attach.role), ("l", Handle(7), Role::Receiver));
    assert_eq!(
        (attach.snd_settle_mode, attach.rcv_settle_mode),
        (SenderSettleMode::Settled, ReceiverSettleMode::Second)
    );
    // 1.4-03
    let flow = Flow {
        next_incoming_id: None,
        incoming_window: 1,
        next_outgoing_id: TransferNumber(1),
        outgoing_window: 1,
        handle: Some(Handle(1)),
        delivery_count: None,
        link_credit: None,
        available: None,
        drain: false,
        echo: false,
        properties: None,
    };
    assert_eq!(encode_to_vec(&flow), composite(0x13, &[NULL, b"\x52\x01", b"\x52\x01", b"\x52\x01", b"\x52\x01"]));
    // 1.4-04
    for octets in [&b"\0\x53\x24\x45"[..], b"\0\x53\x24\xc0\x01\0", b"\0\x53\x24\xd0\0\0\0\x04\0\0\0\0"] {
        assert_eq!(read(octets), Ok(Accepted {}));
    }
    // Fields beyond the end are skipped, so that later revisions can be borne.
    assert_eq!(read(&composite(0x18, &[NULL, NULL])), Ok(Close { error: None }));
    assert_eq!(read(&composite(0x18, &[NULL, b"\x43"])), Ok(Close { error: None }));
    assert!(read::<Transfer<'_>>(&composite(0x14, &[&[&b"\x43"[..]], &[NULL; 10][..], &[b"\x01"]].concat())).is_err());
}

#[test]
fn several_values_in_a_field() {
    let outcomes = |octets: &[u8]| {
        let source = composite(0x28, &[&[NULL; 9][..], &[octets]].concat());
        read::<Source<'_>>(&source).map(|source| source.into_owned().outcomes)
    };
    let symbols = |names: &[&'static str]| names.iter().map(|name| Symbol::from_static(name)).collect::<Multiple<_>>();
    // 1.4-06
    assert_eq!(outcomes(b"\xa3\x01a"), Ok(symbols(&["a"])));
    assert_eq!(outcomes(b"\xe0\x04\x01\xa3\x01a"), Ok(symbols(&["a"])));
    // 1.4-07
    assert!(outcomes(b"\xc0\x04\x01\xa3\x01a").is_err());
    assert!([0xe0, 0xf0].contains(&encode_to_vec(&symbols(&["a", "b"]))[0]));
    // 1.4-08
    for none in [NULL, b"\xe0\x02\0\xa3", b"\xf0\0\0\0\x05\0\0\0\0\xb3"] {
        assert_eq!(outcomes(none), Ok(symbols(&[])));
    }
    assert_eq!(read::<Source<'_>>(b"\0\x53\x28\x45").unwrap().outcomes, symbols(&[]));
    // 1.4-09
    for none in [NULL, b"\xe0\x02\0\xa3"] {
        let error = amqp10_codec::sasl::SaslBody::decode_frame(&composite(0x40, &[none])).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::MissingField("sasl_server_mechanisms"));
    }
}
