//! Arrays built by an application: of every element kind, in the narrowest form that holds all elements.

use amqp10_codec::{
    Array, ArrayElement, Binary, Decimal32, Decimal64, Decimal128, Described, Descriptor, Encode, IntoOwned,
    InvalidArray, List, Map, Multiple, Reader, Str, Symbol, Timestamp, Uuid, Value, encode_to_vec,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Reads an encoded array and returns its elements.
fn elements(octets: &[u8]) -> Vec<Value<'_>> {
    let mut reader = Reader::sized(octets);
    let Value::Array(array) = reader.read().unwrap() else { panic!("{octets:02x?}") };
    reader.finish().unwrap();
    let items: Vec<_> = array.iter().map(|item| encode_to_vec(&item.unwrap())).collect();
    assert_eq!(items.len(), array.len());
    items
        .iter()
        .map(|item| amqp10_codec::IntoOwned::into_owned(Reader::sized(item).read::<Value<'_>>().unwrap()))
        .collect()
}

/// Builds an array in every way there is, and reads it back.
fn round_trip<T: ArrayElement + Clone + Into<Value<'static>>>(items: &[T]) {
    let values: Vec<Value<'_>> = items.iter().cloned().map(Into::into).collect();
    let octets = encode_to_vec(&Array::of(items));
    assert_eq!(elements(&octets), values);
    match Array::of_values(&values) {
        Ok(array) => assert_eq!(encode_to_vec(&array), octets),
        Err(error) => assert!(items.is_empty() && error == InvalidArray::NoType, "{error}"),
    }
    for descriptor in
        [Descriptor::Code(0), Descriptor::Code(0x1_0000_0007), Descriptor::Name(Symbol::from_static("a:b"))]
    {
        let octets = encode_to_vec(&Array::described(&descriptor, items).unwrap());
        let described: Vec<Value<'_>> = values
            .iter()
            .map(|value| match &descriptor {
                Descriptor::Code(code) => Described::new(code, value).into(),
                Descriptor::Name(name) => Described::new(name, value).into(),
                Descriptor::Other(_) => unreachable!(),
            })
            .collect();
        assert_eq!(elements(&octets), described);
        if !items.is_empty() {
            assert_eq!(encode_to_vec(&Array::of_values(&described).unwrap()), octets);
        }
    }
}

proptest! {
    // 1.2.4-06
    #[test]
    fn every_primitive(
        bools in vec(any::<bool>(), 0..5), bytes in vec(any::<(u8, i8)>(), 0..5), shorts in vec(any::<(u16, i16)>(), 0..5),
        ints in vec(prop_oneof![any::<i32>(), -300..300], 0..5), longs in vec(prop_oneof![any::<i64>(), -300..300_i64], 0..5),
        octets in vec(any::<[u8; 16]>(), 0..5), texts in vec(prop_oneof![".{0,9}", "[a-z]{250,260}"], 0..5),
        points in vec(any::<char>(), 0..5),
    ) {
        round_trip(&bools);
        round_trip(&bytes.iter().map(|(byte, _)| *byte).collect::<Vec<_>>());
        round_trip(&bytes.iter().map(|(_, byte)| *byte).collect::<Vec<_>>());
        round_trip(&shorts.iter().map(|(short, _)| *short).collect::<Vec<_>>());
        round_trip(&shorts.iter().map(|(_, short)| *short).collect::<Vec<_>>());
        round_trip(&ints);
        round_trip(&ints.iter().map(|int| int.unsigned_abs()).collect::<Vec<_>>());
        round_trip(&longs);
        round_trip(&longs.iter().map(|long| long.unsigned_abs()).collect::<Vec<_>>());
        round_trip(&longs.iter().map(|long| Timestamp(*long)).collect::<Vec<_>>());
        round_trip(&ints.iter().map(|int| *int as f32 / 7.0).collect::<Vec<_>>());
        round_trip(&longs.iter().map(|long| *long as f64 / 7.0).collect::<Vec<_>>());
        round_trip(&octets.iter().map(|octets| Uuid(*octets)).collect::<Vec<_>>());
        round_trip(&octets.iter().map(|octets| Decimal128(*octets)).collect::<Vec<_>>());
        round_trip(&octets.iter().map(|octets| Decimal64(*octets.first_chunk().unwrap())).collect::<Vec<_>>());
        round_trip(&octets.iter().map(|octets| Decimal32(*octets.first_chunk().unwrap())).collect::<Vec<_>>());
        round_trip(&points);
        round_trip(&texts.iter().map(|text| Binary::from(text.clone().into_bytes())).collect::<Vec<_>>());
        round_trip(&texts.iter().map(|text| Str::from(text.clone())).collect::<Vec<_>>());
        let ascii = texts.iter().map(|text| Symbol::new(text.escape_default().to_string()).unwrap());
        round_trip(&ascii.collect::<Vec<_>>());
    }

    // 1.2.4-06
    #[test]
    fn every_compound(numbers in vec(vec(any::<i32>(), 0..60), 0..5)) {
        round_trip(&numbers.iter().map(|items| items.iter().collect::<List<'_>>()).collect::<Vec<_>>());
        round_trip(&numbers.iter().map(|items| items.iter().zip(items).collect::<Map<'_>>()).collect::<Vec<_>>());
        round_trip(&numbers.iter().map(|items| Array::of(items)).collect::<Vec<_>>());
    }
}

/// What an array of these elements looks like.
fn written<T: ArrayElement>(items: impl IntoIterator<Item = T>) -> Vec<u8> {
    encode_to_vec(&Array::of(items))
}

#[test]
fn the_narrowest_form_that_holds_all() {
    // 1.2.4-01, 1.2.4-02, 1.6.24-01
    assert_eq!(written([1_u8, 2]), b"\xe0\x04\x02\x50\x01\x02");
    // 1.2.4-08: also where they are all alike, since these would have no octets.
    assert_eq!(written([true, false]), b"\xe0\x04\x02\x56\x01\x00");
    assert_eq!(written([true, true]), b"\xe0\x04\x02\x56\x01\x01");
    assert_eq!(written([0_u32, 0]), b"\xe0\x04\x02\x52\0\0");
    assert_eq!(written([0_u32, 256]), b"\xe0\x0a\x02\x70\0\0\0\0\0\0\x01\0");
    assert_eq!(written([1_u64, u64::MAX]), [&b"\xe0\x12\x02\x80\0\0\0\0\0\0\0\x01"[..], &[0xff; 8]].concat());
    assert_eq!(written([-1_i32, 127]), b"\xe0\x04\x02\x54\xff\x7f");
    assert_eq!(written([-1_i32, 128]), b"\xe0\x0a\x02\x71\xff\xff\xff\xff\0\0\0\x80");
    assert_eq!(written([-1_i64, 128]), [&b"\xe0\x12\x02\x81"[..], &[0xff; 8], &[0, 0, 0, 0, 0, 0, 0, 0x80]].concat());
    assert_eq!(written([List::new(), List::new()]), b"\xe0\x06\x02\xc0\x01\0\x01\0");
    assert_eq!(written([(), ()]), b"\xe0\x02\x02\x40");
}

#[test]
fn the_forms_of_long_many_and_described_elements() {
    // 1.2.4-05
    let long = "x".repeat(300);
    assert_eq!(&written(["abc", &long])[..21], b"\xf0\0\0\x01\x3c\0\0\0\x02\xb1\0\0\0\x03abc\0\0\x01\x2c");
    // 1.2.4-04: the descriptor appears once.
    let accepted = Array::described(&Descriptor::Code(0x24), [List::new(), List::new()]).unwrap();
    assert_eq!(encode_to_vec(&accepted), b"\xe0\x09\x02\0\x53\x24\xc0\x01\0\x01\0");
    // 1.6.24-02
    let many = written(0..70_000_u32);
    assert_eq!(many[..10], [0xf0, 0, 4, 0x45, 0xc5, 0, 1, 0x11, 0x70, 0x70]);
    assert_eq!(elements(&many).len(), 70_000);
}

#[test]
fn arrays_without_elements_have_a_constructor() {
    // 1.2.4-03
    assert_eq!(written::<Symbol<'_>>([]), b"\xe0\x02\0\xa3");
    assert_eq!(written::<bool>([]), b"\xe0\x02\0\x56");
    assert_eq!(written::<Array<'_>>([]), b"\xe0\x02\0\xe0");
    let described = Array::described::<u8>(&Descriptor::Code(1), []).unwrap();
    assert_eq!(encode_to_vec(&described), b"\xe0\x05\0\0\x53\x01\x50");
    assert!(elements(&encode_to_vec(&described)).is_empty());
}

#[test]
fn values_that_make_no_array() {
    let text = |text: &'static str| Value::from(text);
    let described = |code: u64, value: Value<'static>| Value::from(Described::new(&code, &value));
    let rows = [
        (vec![], InvalidArray::NoType),
        (vec![text("a"), Value::from(1_u8)], InvalidArray::Mixed),
        (vec![Value::from(1_u32), Value::from(1_u64)], InvalidArray::Mixed),
        (vec![text("a"), Value::Null], InvalidArray::Mixed),
        (vec![text("a"), Value::from(Symbol::from_static("a"))], InvalidArray::Mixed),
        (vec![described(1, text("a")), text("a")], InvalidArray::Mixed),
        (vec![described(1, text("a")), described(2, text("a"))], InvalidArray::Mixed),
        (vec![described(1, text("a")), described(1, Value::from(1_u8))], InvalidArray::Mixed),
        (vec![Described::new(&List::from_iter([1_u8]), "a").into()], InvalidArray::Descriptor),
        (vec![Described::new(&"d".repeat(260)[..], "a").into()], InvalidArray::Descriptor),
        (vec![Value::Null; 65_537], InvalidArray::TooManyNulls),
    ];
    for (values, expected) in rows {
        assert_eq!(Array::of_values(&values), Err(expected), "{:?}", values.first());
    }
    let other = Descriptor::Other(Value::from("text"));
    assert_eq!(Array::described(&other, [1_u8]), Err(InvalidArray::Descriptor));
    let long = Descriptor::Name(Symbol::new("d".repeat(260)).unwrap());
    assert_eq!(Array::described(&long, [1_u8]), Err(InvalidArray::Descriptor));
    // What can be built can be read.
    assert_eq!(elements(&encode_to_vec(&Array::of_values(&vec![Value::Null; 65_536]).unwrap())).len(), 65_536);
}

#[test]
fn several_values_of_a_field() {
    // 1.4-07
    let ids: Multiple<u32> = [1, 300].into_iter().collect();
    let octets = encode_to_vec(&ids);
    assert_eq!(octets, written([1_u32, 300]));
    assert_eq!(Reader::sized(&octets).read(), Ok(ids));
    let mut out = Vec::new();
    Multiple::one("one").encode(&mut out);
    assert_eq!(out, encode_to_vec("one"));
}

#[test]
fn several_values_of_a_field_are_an_array_of_them() {
    fn check<T: ArrayElement + Clone>(values: &[T]) {
        let mut octets = vec![7];
        values.iter().cloned().collect::<Multiple<T>>().encode(&mut octets);
        let expected = Array::of(values.to_vec());
        assert_eq!(octets, [&[7], &encode_to_vec(&expected)[..]].concat(), "{expected:?}");
    }
    check(&["a", "", "bc"].map(|text| Symbol::new(text).unwrap()));
    check(&["a", &"b".repeat(256)].map(|text| Symbol::new(text).unwrap()));
    check(&["a", &"b".repeat(200), &"c".repeat(200)]);
    check(&[&[][..], &[0xa0, 0, 1]].map(Binary::from));
    check(&["x"; 127]);
    check(&["x"; 300]);
    check(&[(), (), ()]);
    check(&[true, true]);
    check(&[true, false]);
    check(&[0_u32, 1, 255]);
    check(&[1_u32, 255]);
    check(&[1_u32, 256]);
    check(&[1_u64, 2]);
    check(&[0_u8, 255]);
    check(&[-1_i64, 127]);
    check(&[-1_i64, 128]);
    check(&[1.5_f64, -0.0]);
    check(&[Uuid([1; 16]), Uuid([0xff; 16])]);
    check(&[List::new(), List::from_iter([1_u8])]);
    check(&[List::from_iter([1_u8]), List::from_iter(["x"])]);
    check(&[Map::new(), Map::new().with("k", 1_u8)]);
    check(&[Array::of([1_u8]), Array::of(["x"; 300])]);
}

#[test]
fn none_one_and_several_values_of_a_field() {
    for values in [vec![], vec![1_u32], vec![1, 2], vec![1, 2, 3]] {
        let field = Multiple::from(values.clone());
        assert_eq!(*field, *values);
        assert_eq!(field, values.iter().copied().collect());
        assert_eq!(field.clone().into_owned(), field);
        assert_eq!((&field).into_iter().collect::<Vec<_>>(), values.iter().collect::<Vec<_>>());
        assert_eq!(format!("{field:?}"), format!("Multiple({values:?})"));
        assert_eq!(Reader::sized(&encode_to_vec(&Array::of(values.clone()))).read(), Ok(field.clone()));
        assert_eq!(Vec::from(field), values);
    }
    assert_ne!(Multiple::one(1), Multiple::from(vec![1, 1]));
    assert_ne!(Multiple::one(1), Multiple::default());
}
