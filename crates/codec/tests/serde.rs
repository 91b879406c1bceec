//! Types of serde as AMQP values, both ways.

use std::collections::BTreeMap;
use std::fmt::Debug;

use amqp10_codec::{
    Array, Binary, Decimal32, Decimal64, Decimal128, DecodeErrorKind, Described, List, MAX_DEPTH, Map, Reader, Str,
    Symbol, Timestamp, Uuid, Value, encode_to_vec, serde as amqp,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// Checks that `value` is encoded as `octets`, and decoded from them.
fn same<'de, T: Serialize + Deserialize<'de> + PartialEq + Debug>(value: T, octets: &'de [u8]) {
    assert_eq!(amqp::to_vec(&value).unwrap(), octets, "{value:?}");
    assert_eq!(amqp::from_slice::<T>(octets).unwrap(), value);
    assert_eq!(amqp::from_slice::<IgnoredAny>(octets), Ok(IgnoredAny));
    for cut in 0..octets.len() {
        assert!(amqp::from_slice::<T>(&octets[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [octets, &[0x40]].concat();
    assert!(amqp::from_slice::<IgnoredAny>(&longer).is_err());
}

/// Checks that `value` is encoded as this AMQP value, and made of it.
fn equal<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, amqp: impl Into<Value<'static>>) {
    let amqp = amqp.into();
    assert_eq!(amqp::to_value(&value).unwrap(), amqp);
    assert_eq!(amqp::to_vec(&value).unwrap(), encode_to_vec(&amqp));
    assert_eq!(amqp::from_value::<T>(&amqp).unwrap(), value);
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Unit;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Newtype(u16);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Pair(u8, String);

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Choice {
    Plain,
    One(Option<i32>),
    Two(u8, bool),
    Named { a: u8, b: Option<Box<Choice>> },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Everything {
    flag: bool,
    numbers: (u8, u16, u32, u64, i8, i16, i32, i64),
    single: f32,
    double: f64,
    letter: char,
    text: String,
    none: Option<u8>,
    some: Option<u8>,
    unit: (),
    list: Vec<Newtype>,
    map: BTreeMap<i32, Pair>,
    choices: Vec<Choice>,
    #[serde(default)]
    more: Option<Unit>,
}

#[test]
fn every_kind_has_its_type() {
    same(true, &[0x41]);
    same(200_u8, &[0x50, 200]);
    same(513_u16, &[0x60, 2, 1]);
    same(0_u32, &[0x43]);
    same(300_u64, &[0x80, 0, 0, 0, 0, 0, 0, 1, 44]);
    same(-1_i8, &[0x51, 0xff]);
    same(-1_i16, &[0x61, 0xff, 0xff]);
    same(-1_i32, &[0x54, 0xff]);
    same(i64::MIN, &[0x81, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    same(1.0_f32, &[0x72, 0x3f, 0x80, 0, 0]);
    same(1.0_f64, &[0x82, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    same('é', &[0x73, 0, 0, 0, 0xe9]);
    same("é".to_string(), &[0xa1, 2, 0xc3, 0xa9]);
    same(Binary::from(&[1, 2]), &[0xa0, 2, 1, 2]);
    same((), &[0x40]);
    same(None::<u8>, &[0x40]);
    same(Some(7_u8), &[0x50, 7]);
    same(Unit, &[0x40]);
    same(Newtype(1), &[0x60, 0, 1]);
    same(Vec::<u8>::new(), &[0x45]);
    same(vec![1_u8, 2], &[0xc0, 5, 2, 0x50, 1, 0x50, 2]);
    same((1_u8, false), &[0xc0, 4, 2, 0x50, 1, 0x42]);
    same(Pair(1, "x".into()), &[0xc0, 6, 2, 0x50, 1, 0xa1, 1, b'x']);
    same(BTreeMap::from([(1_u8, true)]), &[0xc1, 4, 2, 0x50, 1, 0x41]);
    same(BTreeMap::<u8, u8>::new(), &[0xc1, 1, 0]);
    same(Symbol::from_static("s"), &[0xa3, 1, b's']);
    same(Str::from("s"), &[0xa1, 1, b's']);
    same(Timestamp(-1), &[0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    same(Uuid([7; 16]), &[&[0x98][..], &[7; 16]].concat());
    same(Decimal32([1; 4]), &[0x74, 1, 1, 1, 1]);
    same(Decimal64([1; 8]), &[0x84, 1, 1, 1, 1, 1, 1, 1, 1]);
    same(Decimal128([1; 16]), &[&[0x94][..], &[1; 16]].concat());
}

#[test]
fn enums_are_tagged_outside() {
    same(Choice::Plain, b"\xa1\x05Plain");
    same(Choice::One(None), b"\xc1\x07\x02\xa1\x03One\x40");
    same(Choice::Two(5, true), b"\xc1\x0c\x02\xa1\x03Two\xc0\x04\x02\x50\x05\x41");
    let named = Choice::Named { a: 1, b: None };
    same(named.clone(), b"\xc1\x14\x02\xa1\x05Named\xc1\x0a\x04\xa1\x01a\x50\x01\xa1\x01b\x40");
    let inner = Map::from_iter([("a", Value::from(2_u8)), ("b", amqp::to_value(&named).unwrap())]);
    equal(Choice::Named { a: 2, b: Some(Box::new(named)) }, Map::from_iter([("Named", inner)]));
    assert_eq!(amqp::from_slice(b"\xa3\x05Plain"), Ok(Choice::Plain));
    assert_eq!(amqp::from_slice(b"\xc1\x09\x02\xa3\x05Plain\x40"), Ok(Choice::Plain));
}

#[test]
fn structs_are_maps_by_name() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Reading<'a> {
        name: &'a str,
        #[serde(rename = "raw-octets")]
        raw: Binary<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u32>,
    }
    let reading = Reading { name: "n", raw: Binary::from(&[5]), size: None };
    let octets =
        encode_to_vec(&Map::from_iter([("name", Value::from("n")), ("raw-octets", Binary::from(&[5]).into())]));
    same(reading, &octets);
    // Other entries are ignored, symbols are names too, and a list of all fields will do.
    let mut map = Map::new();
    map.push("other", &Described::new(&7_u64, &List::from_iter([1])));
    map.push(&Symbol::from_static("name"), "n");
    map.push("raw-octets", &Binary::from(&[5]));
    map.push("size", &7_u8);
    let reading = Reading { name: "n", raw: Binary::from(&[5]), size: Some(7) };
    assert_eq!(amqp::from_slice::<Reading<'_>>(&encode_to_vec(&map)).unwrap(), reading);
    let list = List::from_iter([Value::from("n"), Binary::from(&[5]).into(), 7_u32.into()]);
    assert_eq!(amqp::from_slice::<Reading<'_>>(&encode_to_vec(&list)).unwrap(), reading);
    let twice = encode_to_vec(&Map::from_iter([("name", "a"), ("name", "b")]));
    let error = amqp::from_slice::<Reading<'_>>(&twice).unwrap_err();
    assert_eq!(error.to_string(), "duplicate field `name` at offset 0");
}

#[test]
fn what_is_borrowed_points_into_the_input() {
    let octets = amqp::to_vec(&("text", Binary::from(b"octets"), Symbol::from_static("symbol"))).unwrap();
    let (text, binary, symbol): (&str, &[u8], &str) = amqp::from_slice(&octets).unwrap();
    assert_eq!((text, binary, symbol), ("text", &b"octets"[..], "symbol"));
    for place in [text.as_ptr(), binary.as_ptr(), symbol.as_ptr()] {
        assert!(octets.as_ptr_range().contains(&place));
    }
    let owned: (Str<'static>, Binary<'static>, Symbol<'static>) = amqp::from_slice(&octets).unwrap();
    assert_eq!(owned, ("text".into(), Binary::from(b"octets"), Symbol::from_static("symbol")));
}

#[test]
fn integers_may_have_any_width() {
    let seven = [
        encode_to_vec(&7_u8),
        encode_to_vec(&7_u16),
        encode_to_vec(&7_u32),
        encode_to_vec(&7_u64),
        encode_to_vec(&7_i8),
        encode_to_vec(&7_i16),
        encode_to_vec(&7_i32),
        encode_to_vec(&7_i64),
        encode_to_vec(&Timestamp(7)),
        vec![0x70, 0, 0, 0, 7],
    ];
    for octets in &seven {
        assert_eq!(amqp::from_slice::<u8>(octets), Ok(7));
        assert_eq!(amqp::from_slice::<i64>(octets), Ok(7));
        assert_eq!(amqp::from_slice::<u128>(octets), Ok(7));
    }
    let error = amqp::from_slice::<(u8, u8)>(&encode_to_vec(&List::from_iter([7_u16, 256]))).unwrap_err();
    assert_eq!(error.to_string(), "invalid value: integer `256`, expected u8 at offset 6");
    assert!(amqp::to_vec(&1_u128).is_err());
}

#[test]
fn types_of_this_crate_are_insisted_on() {
    let error = amqp::from_slice::<Timestamp>(&encode_to_vec(&7_i64)).unwrap_err();
    let kind = DecodeErrorKind::UnexpectedType { expected: "timestamp", found: 0x55 };
    assert_eq!(error.decode_error().map(|error| error.kind()), Some(kind));
    assert!(amqp::from_slice::<Symbol<'_>>(&encode_to_vec("s")).is_err());
    assert!(amqp::from_slice::<Uuid>(&encode_to_vec(&Binary::from(&[0; 16]))).is_err());
    assert!(amqp::from_slice::<Decimal32>(&encode_to_vec(&0_f32)).is_err());
    assert!(amqp::from_slice::<Map<'_>>(&encode_to_vec(&List::new())).is_err());
    assert_eq!(amqp::from_slice::<&[u8]>(&encode_to_vec(&Uuid([1; 16]))), Ok(&[1; 16][..]));
}

#[test]
fn values_inside_of_other_types() {
    let inner: Value<'_> = Described::new(&7_u64, &Map::from_iter([(Symbol::from_static("k"), 1_u32)])).into();
    equal(vec![inner.clone()], List::from_iter([inner.clone()]));
    equal(BTreeMap::from([("k".to_string(), Value::Null)]), Map::from_iter([("k", ())]));
    equal((List::from_iter([1]), Map::new()), List::from_iter([Value::from(List::from_iter([1])), Map::new().into()]));
    let array = Array::of([1_u32, 500]);
    equal(vec![array.clone()], List::from_iter([array.clone()]));
    // Elements of an array stand behind a constructor that they share.
    assert_eq!(amqp::from_value(&array.into()), Ok(vec![Value::Uint(1), Value::Uint(500)]));
    let described = Array::of_values(&[inner.clone(), inner.clone()]).unwrap();
    assert_eq!(amqp::from_value(&described.clone().into()), Ok(vec![inner.clone(), inner]));
    let maps: Vec<BTreeMap<String, u8>> = amqp::from_value(&described.into()).unwrap();
    assert_eq!(maps, vec![BTreeMap::from([("k".to_string(), 1)]); 2]);
}

#[test]
fn arrays_are_sequences_and_descriptors_ignored() {
    assert_eq!(amqp::from_value(&Array::of([1_i64, 2]).into()), Ok(vec![1_u8, 2]));
    assert_eq!(amqp::from_value(&Array::of(["a", "b"]).into()), Ok(vec!["a".to_string(), "b".to_string()]));
    assert_eq!(amqp::from_value(&Array::of([true, false]).into()), Ok((true, false)));
    assert_eq!(amqp::from_slice::<Vec<Option<bool>>>(&[0xe0, 2, 2, 0x40]), Ok(vec![None, None]));
    assert_eq!(amqp::from_slice::<Vec<bool>>(&[0xe0, 2, 2, 0x41]), Ok(vec![true, true]));
    assert_eq!(amqp::from_slice::<Vec<Choice>>(b"\xe0\x08\x01\xa1\x05Plain"), Ok(vec![Choice::Plain]));
    assert_eq!(amqp::from_slice::<IgnoredAny>(&[0xe0, 5, 2, 0, 0x53, 1, 0x43]), Ok(IgnoredAny));
    let nested = Described::new(&1_u64, &Described::new(&List::from_iter([2]), &7_u8));
    assert_eq!(amqp::from_value(&nested.clone().into()), Ok(7_u8));
    assert_eq!(amqp::from_value(&List::from_iter([&nested, &nested]).into()), Ok(vec![Some(7_u8); 2]));
}

#[test]
fn errors_tell_the_offset() {
    let told = |octets: &[u8], expected: &str| {
        let error = amqp::from_slice::<Vec<(u8, String)>>(octets).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.offset().is_some());
    };
    told(&[0xc0, 8, 1, 0xc0, 5, 2, 0x50, 1, 0x50, 2], "invalid type: integer `2`, expected a string at offset 8");
    told(&[0xc0, 6, 1, 0xc0, 3, 1, 0x50, 1], "invalid length 1, expected a tuple of size 2 at offset 3");
    told(&[0xc0, 9, 1, 0xc0, 6, 3, 0x50, 1, 0xa1, 0, 0x40], "there are more elements than expected at offset 10");
    told(&[0x40], "invalid type: unit value, expected a sequence at offset 0");
    let malformed = |octets: &[u8], kind: DecodeErrorKind, offset: usize| {
        let error = amqp::from_slice::<Vec<(u8, String)>>(octets).unwrap_err();
        assert_eq!(error.decode_error().map(|error| error.kind()), Some(kind));
        assert_eq!(error.offset(), Some(offset));
        assert_eq!(error.to_string(), error.decode_error().unwrap().to_string());
    };
    malformed(&[0xc0, 4, 1, 0xa1, 1, 0xff], DecodeErrorKind::InvalidUtf8, 5);
    malformed(&[0xc0, 9, 1], DecodeErrorKind::Overrun, 2);
    malformed(&[0x3f], DecodeErrorKind::UnknownConstructor(0x3f), 0);
    malformed(&[0xc0, 1, 9], DecodeErrorKind::CountTooLarge, 3);
    let unknown = amqp::from_slice::<Choice>(b"\xa1\x04None").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "unknown variant `None`, expected one of `Plain`, `One`, `Two`, `Named` at offset 0"
    );
    for octets in [&[0xc1, 1, 0][..], b"\xc1\x09\x04\xa1\x03One\x40\x40\x40", b"\xa1\x03One", &[0x45]] {
        assert!(amqp::from_slice::<Choice>(octets).is_err(), "{octets:02x?}");
    }
}

#[test]
fn nesting_is_limited() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Nested(Vec<Nested>);
    let nested = |levels: u8| (1..levels).fold(Nested(vec![]), |inner, _| Nested(vec![inner]));
    let octets = amqp::to_vec(&nested(MAX_DEPTH)).unwrap();
    assert_eq!(amqp::from_slice::<Nested>(&octets), Ok(nested(MAX_DEPTH)));
    assert_eq!(amqp::to_vec(&nested(MAX_DEPTH + 1)).unwrap_err().to_string(), "values are nested too deeply");
    let deeper = encode_to_vec(&List::from_iter([Reader::sized(&octets).read::<Value<'_>>().unwrap()]));
    // The innermost list is one of no octets, which is not entered.
    let deepest = encode_to_vec(&List::from_iter([Reader::sized(&deeper).read::<Value<'_>>().unwrap()]));
    let too_deep = |error: amqp::Error| error.decode_error().unwrap().kind() == DecodeErrorKind::TooDeep;
    assert!(too_deep(amqp::from_slice::<Nested>(&deepest).unwrap_err()));
    let variants = (0..40).fold(Choice::Plain, |inner, _| Choice::Named { a: 1, b: Some(Box::new(inner)) });
    assert_eq!(amqp::to_vec(&variants).unwrap_err().to_string(), "values are nested too deeply");
    let value = Reader::sized(&octets).read::<Value<'_>>().unwrap();
    assert!(amqp::to_vec(&[[[&value]]]).is_err(), "a value inside of a list is nested one level more");
}

fn choice() -> impl Strategy<Value = Choice> {
    let leaf = prop_oneof![
        Just(Choice::Plain),
        any::<Option<i32>>().prop_map(Choice::One),
        any::<(u8, bool)>().prop_map(|(a, b)| Choice::Two(a, b)),
    ];
    leaf.prop_recursive(6, 12, 2, |inner| {
        (any::<u8>(), option::of(inner)).prop_map(|(a, b)| Choice::Named { a, b: b.map(Box::new) })
    })
}

fn everything() -> impl Strategy<Value = Everything> {
    let finite = (any::<f32>(), any::<f64>(), any::<bool>(), any::<char>());
    let pairs = btree_map(any::<i32>(), (any::<u8>(), ".{0,90}").prop_map(|(a, b)| Pair(a, b)), 0..9);
    let lists = (vec(any::<u16>().prop_map(Newtype), 0..300), pairs, vec(choice(), 0..5));
    let some = (any::<Option<u8>>(), any::<bool>(), ".{0,300}");
    (finite, any::<(u8, u16, u32, u64, i8, i16, i32, i64)>(), lists, some).prop_map(
        |((single, double, flag, letter), numbers, (list, map, choices), (some, unit, text))| Everything {
            flag,
            numbers,
            single,
            double,
            letter,
            text,
            none: None,
            some,
            unit: (),
            list,
            map,
            choices,
            // A unit is null, as if there were none.
            more: None.filter(|_: &Unit| unit),
        },
    )
}

proptest! {
    #[test]
    fn everything_survives(value in everything()) {
        let octets = amqp::to_vec(&value).unwrap();
        prop_assert_eq!(amqp::from_slice::<Everything>(&octets).unwrap(), value.clone());
        let amqp = amqp::to_value(&value).unwrap();
        prop_assert_eq!(amqp.validate(), Ok(()));
        // The octets are in their shortest form already.
        prop_assert_eq!(encode_to_vec(&amqp), octets);
        prop_assert_eq!(amqp::from_value::<Everything>(&amqp).unwrap(), value);
    }

    #[test]
    fn no_octets_make_it_panic(octets in vec(any::<u8>(), 0..100), damage in (any::<prop::sample::Index>(), any::<u8>()), value in everything()) {
        let mut damaged = amqp::to_vec(&value).unwrap();
        let at = damage.0.index(damaged.len());
        damaged[at] = damage.1;
        for octets in [&octets, &damaged] {
            let _ = amqp::from_slice::<Everything>(octets);
            let _ = amqp::from_slice::<Vec<Choice>>(octets);
            let _ = amqp::from_slice::<BTreeMap<String, Vec<Option<Symbol<'_>>>>>(octets);
            if amqp::from_slice::<Value<'_>>(octets).is_ok() {
                prop_assert_eq!(amqp::from_slice::<IgnoredAny>(octets), Ok(IgnoredAny));
            }
        }
    }
}
