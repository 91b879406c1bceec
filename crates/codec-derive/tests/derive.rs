//! Derived types on the wire: octets written by hand, both ways.

use amqp10_codec::{
    Binary, Composite, Decode, DecodeErrorKind, Encode, IntoOwned, List, Map, Multiple, Reader, Str, Symbol, Value,
    encode_to_vec,
};

#[derive(Clone, Composite, Debug, Decode, Encode, IntoOwned, PartialEq)]
#[amqp(name = "example:thing:list", code = 0x0000_1234_0000_0001)]
struct Thing<'a> {
    name: Str<'a>,
    size: Option<u32>,
    #[amqp(default = 4)]
    priority: u8,
    #[amqp(default)]
    durable: bool,
    tags: Multiple<Symbol<'a>>,
    place: Option<Place>,
    colour: Option<Colour>,
    r#type: Option<Value<'a>>,
}

#[derive(Clone, Debug, Decode, Encode, IntoOwned, PartialEq)]
#[amqp(name = "example:place:list", code = 2)]
struct Place {
    room: String,
}

#[derive(Clone, Copy, Debug, Decode, Encode, IntoOwned, PartialEq)]
#[amqp(source = "symbol")]
enum Colour {
    #[amqp(value = "red")]
    Red,
    #[amqp(value = "green")]
    Green,
}

#[derive(Clone, Debug, Decode, Encode, IntoOwned, PartialEq)]
#[amqp(map)]
struct Settings<'a> {
    level: i32,
    #[amqp(rename = "display-name")]
    name: Option<Str<'a>>,
    #[amqp(default = 7)]
    days: u16,
    tags: Multiple<Symbol<'a>>,
    place: Option<Place>,
}

#[derive(Debug, Decode, Encode, PartialEq)]
#[amqp(map, keys = "symbol", name = "example:options:map", code = 3)]
struct Options<'a> {
    text: &'a str,
    octets: Option<&'a [u8]>,
}

#[derive(Debug, Decode, Encode, IntoOwned, PartialEq)]
#[amqp(name = "example:selector:string", code = 4)]
struct Selector<'a>(Str<'a>);

#[derive(Clone, Copy, Debug, Decode, Encode, IntoOwned, PartialEq)]
struct Level(i32);

#[derive(Clone, Copy, Debug, Decode, Encode, PartialEq)]
#[amqp(source = "short", name = "example:direction:short", code = 5)]
enum Direction {
    #[amqp(value = -1)]
    Back,
    #[amqp(value = 1)]
    Forth,
}

#[derive(Clone, Copy, Debug, Decode, Encode, PartialEq)]
#[amqp(source = "boolean")]
enum Role {
    #[amqp(value = false)]
    Sender,
    #[amqp(value = true)]
    Receiver,
}

#[derive(Clone, Copy, Debug, Decode, Encode, PartialEq)]
#[amqp(source = "string")]
enum Word {
    #[amqp(value = "ja")]
    Yes,
}

#[derive(Debug, Decode, Encode, PartialEq)]
#[amqp(name = "example:nothing:list", code = 6)]
struct Nothing {}

#[derive(Debug, Decode, Encode, PartialEq)]
#[amqp(name = "example:last:list", code = 0xffff_ffff_ffff_ffff)]
struct Last {}

#[derive(Debug, Decode, Encode, PartialEq)]
#[amqp(name = "example:first:list", code = 0)]
struct First {}

mod elsewhere {
    pub(crate) use amqp10_codec as codec;
}

#[derive(Debug, Decode, Encode, IntoOwned, PartialEq)]
#[amqp(crate = "crate::elsewhere::codec", map)]
struct Renamed {
    octets: Vec<u8>,
}

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, DecodeErrorKind> {
    let mut reader = Reader::sized(octets);
    let value = reader.read().map_err(|error| error.kind())?;
    reader.finish().map_err(|error| error.kind())?;
    Ok(value)
}

/// Checks that `value` has these octets, and the octets this value.
fn same<'a, T: Decode<'a> + Encode + PartialEq + std::fmt::Debug>(value: T, octets: &'a [u8]) {
    assert_eq!(encode_to_vec(&value), octets, "{value:?}");
    assert_eq!(read::<T>(octets), Ok(value));
    for cut in 0..octets.len() {
        assert!(read::<T>(&octets[..cut]).is_err(), "cut at {cut}");
    }
}

fn thing() -> Thing<'static> {
    Thing {
        name: "n".into(),
        size: None,
        priority: 4,
        durable: false,
        tags: Multiple::default(),
        place: None,
        colour: None,
        r#type: None,
    }
}

/// A list with this descriptor, of the one-octet form.
fn list(descriptor: &[u8], count: u8, fields: &[u8]) -> Vec<u8> {
    [&[0], descriptor, &[0xc0, fields.len() as u8 + 1, count], fields].concat()
}

const THING: &[u8] = &[0x80, 0, 0, 0x12, 0x34, 0, 0, 0, 1];

#[test]
fn lists_in_the_order_of_their_fields() {
    same(thing(), &list(THING, 1, &[0xa1, 1, b'n']));
    let full = Thing {
        size: Some(300),
        priority: 9,
        durable: true,
        tags: Multiple::from(vec![Symbol::from_static("a"), Symbol::from_static("b")]),
        place: Some(Place { room: "r".into() }),
        colour: Some(Colour::Green),
        r#type: Some(Value::Uint(0)),
        ..thing()
    };
    let fields = [
        &[0xa1, 1, b'n', 0x70, 0, 0, 1, 44, 0x50, 9, 0x41][..],
        &[0xe0, 6, 2, 0xa3, 1, b'a', 1, b'b'],
        &list(&[0x53, 2], 1, &[0xa1, 1, b'r']),
        &[0xa3, 5, b'g', b'r', b'e', b'e', b'n', 0x43],
    ]
    .concat();
    let octets = list(THING, 8, &fields);
    same(full.clone(), &octets);
    assert_eq!(read::<Thing<'_>>(&octets).unwrap().into_owned(), full);
    same(Nothing {}, &[0, 0x53, 6, 0x45]);
    assert_eq!((Thing::NAME, Thing::CODE), ("example:thing:list", 0x0000_1234_0000_0001));
    assert_eq!(Thing::FIELDS, ["name", "size", "priority", "durable", "tags", "place", "colour", "type"]);
}

#[test]
fn absent_and_null_fields_are_defaults() {
    let nulls = [0xa1, 1, b'n', 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40];
    assert_eq!(read(&list(THING, 8, &nulls)), Ok(thing()));
    let written = [0xa1, 1, b'n', 0x40, 0x50, 4, 0x42, 0xe0, 2, 0, 0xa3];
    assert_eq!(read(&list(THING, 5, &written)), Ok(thing()));
    // A null stands for a default that other fields follow.
    let sized = Thing { durable: true, ..thing() };
    same(sized, &list(THING, 4, &[0xa1, 1, b'n', 0x40, 0x40, 0x41]));
}

#[test]
fn unknown_trailing_fields_are_skipped() {
    let fields = [&[0xa1, 1, b'n'][..], &[0x40; 7], &[0x52, 1, 0, 0x53, 1, 0xc1, 1, 0]].concat();
    assert_eq!(read(&list(THING, 10, &fields)), Ok(thing()));
    let broken = [&[0xa1, 1, b'n'][..], &[0x40; 7], &[0x3f]].concat();
    assert_eq!(read::<Thing<'_>>(&list(THING, 9, &broken)), Err(DecodeErrorKind::UnknownConstructor(0x3f)));
}

#[test]
fn missing_mandatory_fields_are_named() {
    let missing = Err(DecodeErrorKind::MissingField("name"));
    assert_eq!(read::<Thing<'_>>(&[&[0], THING, &[0x45]].concat()), missing);
    assert_eq!(read::<Thing<'_>>(&list(THING, 2, &[0x40, 0x43])), missing);
    let level = Err(DecodeErrorKind::MissingField("level"));
    assert_eq!(read::<Settings<'_>>(&encode_to_vec(&Map::new())), level);
    assert_eq!(read::<Settings<'_>>(&encode_to_vec(&Map::from_iter([("level", ())]))), level);
}

#[test]
fn descriptors_are_numbers_or_symbols() {
    let symbol = [&[0xa3, 18][..], b"example:thing:list"].concat();
    let wide = [&[0xb3, 0, 0, 0, 18][..], b"example:thing:list"].concat();
    for descriptor in [&symbol, &wide] {
        assert_eq!(read(&list(descriptor, 1, &[0xa1, 1, b'n'])), Ok(thing()));
    }
    let others: [(&[u8], u32); 4] = [(&[0x53, 1], 1), (&[0xa3, 1, b'e'], 0), (&[0xa1, 1, b'e'], 0), (&[0x44], 0)];
    for (descriptor, found) in others {
        let found = std::num::NonZeroU32::new(found);
        let other = DecodeErrorKind::UnexpectedDescriptor { expected: "example:thing:list", found };
        assert_eq!(read::<Thing<'_>>(&list(descriptor, 1, &[0xa1, 1, b'n'])), Err(other));
    }
    same(First {}, &[0, 0x44, 0x45]);
    same(Last {}, &[0, 0x80, 255, 255, 255, 255, 255, 255, 255, 255, 0x45]);
    for descriptor in [&[0xa3, 1, b'e'][..], &[0xa1, 1, b'e']] {
        let other = DecodeErrorKind::UnexpectedDescriptor { expected: "example:last:list", found: None };
        assert_eq!(read::<Last>(&list(descriptor, 0, &[])), Err(other));
    }
    let plain = read::<Thing<'_>>(&[0x45]);
    assert_eq!(plain, Err(DecodeErrorKind::UnexpectedType { expected: "example:thing:list", found: 0x45 }));
    let map = [&[0, 0x53, 4][..], &encode_to_vec(&Map::new())].concat();
    assert_eq!(read::<Selector<'_>>(&map), Err(DecodeErrorKind::UnexpectedType { expected: "string", found: 0xc1 }));
}

#[test]
fn maps_by_the_names_of_their_fields() {
    let least = Settings { level: 1, name: None, days: 7, tags: Multiple::default(), place: None };
    same(least.clone(), &[0xc1, 10, 2, 0xa1, 5, b'l', b'e', b'v', b'e', b'l', 0x54, 1]);
    let full = Settings {
        name: Some("n".into()),
        days: 8,
        tags: Multiple::one(Symbol::from_static("t")),
        place: Some(Place { room: "r".into() }),
        ..least
    };
    let octets = encode_to_vec(&full);
    let map: Map<'_> = read(&octets).unwrap();
    let keys: Vec<_> = map.iter().map(|entry| entry.unwrap().0).collect();
    assert_eq!(keys, ["level", "display-name", "days", "tags", "place"].map(Value::from));
    same(full.clone(), &octets);
    assert_eq!(read::<Settings<'_>>(&octets).unwrap().into_owned(), full);
    same(Renamed { octets: vec![1, 2] }, &encode_to_vec(&Map::from_iter([("octets", Binary::from(&[1, 2]))])));
}

#[test]
fn maps_with_symbols_and_descriptor() {
    let options = Options { text: "x", octets: Some(&[5]) };
    let octets = [&[0, 0x53, 3, 0xc1, 21, 4][..], b"\xa3\x04text\xa1\x01x\xa3\x06octets\xa0\x01\x05"].concat();
    same(options, &octets);
}

#[test]
fn unknown_entries_are_skipped_and_keys_twice_refused() {
    let mut map = Map::new();
    map.push(&5_u8, &List::new());
    map.push("other", &Map::new());
    map.push(&Symbol::from_static("level"), &-1);
    map.push("days", &());
    let mut twice = map.clone();
    let settings = Settings { level: -1, name: None, days: 7, tags: Multiple::default(), place: None };
    assert_eq!(read(&encode_to_vec(&map)), Ok(settings));
    twice.push("level", &1);
    assert_eq!(read::<Settings<'_>>(&encode_to_vec(&twice)), Err(DecodeErrorKind::DuplicateKey));
    map.push("days", &9_u16);
    assert_eq!(read::<Settings<'_>>(&encode_to_vec(&map)), Err(DecodeErrorKind::DuplicateKey));
    map = Map::from_iter([("level", "high")]);
    let wrong = DecodeErrorKind::UnexpectedType { expected: "int", found: 0xa1 };
    assert_eq!(read::<Settings<'_>>(&encode_to_vec(&map)), Err(wrong));
    assert!(matches!(read::<Settings<'_>>(&[0xc1, 2, 1, 0x40]), Err(DecodeErrorKind::OddMapCount)));
    assert!(matches!(read::<Settings<'_>>(&[0xc1, 1, 200]), Err(DecodeErrorKind::CountTooLarge)));
}

#[test]
fn restricted_types() {
    same(Selector("a = 1".into()), b"\0\x53\x04\xa1\x05a = 1");
    same(Level(-2), &[0x54, 0xfe]);
    same(Direction::Back, &[0, 0x53, 5, 0x61, 0xff, 0xff]);
    same(Direction::Forth, &[0, 0x53, 5, 0x61, 0, 1]);
    same(Role::Sender, &[0x42]);
    same(Role::Receiver, &[0x41]);
    same(Colour::Red, b"\xa3\x03red");
    same(Word::Yes, b"\xa1\x02ja");
    assert_eq!(read::<Colour>(b"\xa3\x03blu"), Err(DecodeErrorKind::InvalidValue("Colour")));
    assert_eq!(
        read::<Colour>(b"\xa1\x03red"),
        Err(DecodeErrorKind::UnexpectedType { expected: "symbol", found: 0xa1 })
    );
    assert_eq!(read::<Direction>(&[0, 0x53, 5, 0x61, 0, 2]), Err(DecodeErrorKind::InvalidValue("Direction")));
    let error = Reader::sized(&[0, 0x53, 5, 0x61, 0, 2]).read::<Direction>().unwrap_err();
    assert_eq!(error.offset(), 4);
}

#[test]
fn what_is_borrowed_points_into_the_input() {
    let octets = encode_to_vec(&Options { text: "here", octets: None });
    let text = {
        let mut reader = Reader::sized(&octets);
        reader.read::<Options<'_>>().unwrap().text
    };
    assert!(octets.as_ptr_range().contains(&text.as_ptr()));
}
