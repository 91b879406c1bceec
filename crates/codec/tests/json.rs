//! The text form: every type both ways, and what is no text form.

use amqp10_codec::{
    Array, Binary, Decimal32, Decimal64, Decimal128, DecodeErrorKind, Described, Header, IntoOwned, List, MAX_DEPTH,
    Map, Message, MessageBody, MessageError, MessageId, MessageView, Milliseconds, Multiple, Properties, Reader,
    SequenceNo, Symbol, Timestamp, Uuid, Value, encode_to_vec, json,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn symbol(text: &'static str) -> Symbol<'static> {
    Symbol::from_static(text)
}

fn octets(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

/// By way of a text, as a file or terminal has it.
fn through_text(json: &Json) -> Json {
    serde_json::from_str(&json.to_string()).unwrap()
}

/// Checks that `value` is written as `text`, and that this is read as the value.
fn written(value: impl Into<Value<'static>>, text: Json) {
    let value = value.into();
    assert_eq!(json::value_to_json(&value).unwrap(), text);
    read(&value, text);
}

/// Checks that `text` is read as `value`, bit for bit.
fn read(value: &Value<'_>, text: Json) {
    let again = json::value_from_json(&through_text(&text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(encode_to_vec(&again), encode_to_vec(value), "{text}");
}

#[test]
fn every_type_has_its_form() {
    written(Value::Null, json!(null));
    written(true, json!(true));
    written(255_u8, json!({"$ubyte": 255}));
    written(65_535_u16, json!({"$ushort": 65_535}));
    written(u32::MAX, json!({"$uint": u32::MAX}));
    written(u64::MAX, json!({"$ulong": u64::MAX}));
    written(-128_i8, json!({"$byte": -128}));
    written(i16::MIN, json!({"$short": i16::MIN}));
    written(i32::MIN, json!({"$int": i32::MIN}));
    written(i64::MIN, json!(i64::MIN));
    written(i64::MAX, json!(i64::MAX));
    written(0.1_f32, json!({"$float": 0.1}));
    written(0.1_f64, json!(0.1));
    written(1.0_f64, json!(1.0));
    written(Decimal32([0x22, 0x50, 0, 10]), json!({"$decimal32": "2250000a"}));
    written(Decimal64([1, 2, 3, 4, 5, 6, 7, 8]), json!({"$decimal64": "0102030405060708"}));
    written(Decimal128([0xab; 16]), json!({"$decimal128": "ab".repeat(16)}));
    written('😀', json!({"$char": "😀"}));
    written(Timestamp(-1), json!({"$timestamp": -1}));
    let uuid = *b"\0\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
    written(Uuid(uuid), json!({"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}));
    written(Binary::from(&[0, 0xff]), json!({"$binary": "00ff"}));
    written("x", json!("x"));
    written(symbol("x"), json!({"$symbol": "x"}));
    written(List::from_iter([1_i64]), json!([1]));
    written(Map::from_iter([("b", 1_i64), ("a", 2)]), json!({"b": 1, "a": 2}));
    written(Array::of([1_u32, 2]), json!({"$array": {"of": "uint", "items": [1, 2]}}));
    written(Described::new(&36_u64, &List::new()), json!({"$described": {"descriptor": {"$ulong": 36}, "value": []}}));
}

#[test]
fn every_tag_may_be_written_out() {
    read(&Value::Null, json!({"$null": null}));
    read(&false.into(), json!({"$boolean": false}));
    read(&7_i64.into(), json!({"$long": 7}));
    read(&7.0_f64.into(), json!({"$double": 7}));
    read(&7.0_f32.into(), json!({"$float": 7}));
    read(&"x".into(), json!({"$string": "x"}));
    read(&List::from_iter([1_i64]).into(), json!({"$list": [1]}));
    read(&Map::from_iter([("a", 1_i64)]).into(), json!({"$map": [["a", 1]]}));
    read(&Uuid([0xaa; 16]).into(), json!({"$uuid": "AA".repeat(16)}));
}

#[test]
fn floats_keep_their_bits() {
    written(f32::INFINITY, json!({"$float": "Infinity"}));
    written(f32::NEG_INFINITY, json!({"$float": "-Infinity"}));
    written(f32::from_bits(0x7fc0_0000), json!({"$float": "NaN"}));
    written(f32::from_bits(0xffc0_0000), json!({"$float": "NaN(ffc00000)"}));
    written(f32::from_bits(0x7f80_0001), json!({"$float": "NaN(7f800001)"}));
    written(-0.0_f32, json!({"$float": -0.0}));
    written(f64::INFINITY, json!({"$double": "Infinity"}));
    written(f64::NEG_INFINITY, json!({"$double": "-Infinity"}));
    written(f64::from_bits(0x7ff8_0000_0000_0000), json!({"$double": "NaN"}));
    written(f64::from_bits(0x7ff0_0000_0000_0001), json!({"$double": "NaN(7ff0000000000001)"}));
    written(-0.0_f64, json!(-0.0));
    written(f64::MIN_POSITIVE / 2.0, json!(f64::MIN_POSITIVE / 2.0));
    // By way of the nearest double, its shortest digits would be rounded to the float beside it.
    for bits in [0x0000_0001, 0x7f7f_ffff, 0x0080_0000, 0x15ae_43fd] {
        let float = Value::from(f32::from_bits(bits));
        read(&float, json::value_to_json(&float).unwrap());
    }
}

#[test]
fn maps_that_no_object_can_be() {
    written(Map::new(), json!({}));
    written(Map::from_iter([("a", 1_i64), ("a", 2)]), json!({"$map": [["a", 1], ["a", 2]]}));
    written(Map::from_iter([("$uint", 1_i64)]), json!({"$map": [["$uint", 1]]}));
    written(Map::from_iter([(symbol("a"), 1_i64)]), json!({"$map": [[{"$symbol": "a"}, 1]]}));
    let mut mixed = Map::new();
    mixed.push("a", &1_i64);
    mixed.push(&7_u32, &Map::from_iter([(&mixed.clone(), ())]));
    written(mixed, json!({"$map": [["a", 1], [{"$uint": 7}, {"$map": [[{"a": 1}, null]]}]]}));
}

#[test]
fn arrays_of_every_kind() {
    let array = |items: &[Value<'_>], text: Json| written(Array::of_values(items).unwrap(), json!({"$array": text}));
    array(&["a".into(), "b".into()], json!({"of": "string", "items": ["a", "b"]}));
    array(&[true.into(), false.into()], json!({"of": "boolean", "items": [true, false]}));
    array(&[true.into(), true.into()], json!({"of": "boolean", "items": [true, true]}));
    array(&[f32::INFINITY.into()], json!({"of": "float", "items": ["Infinity"]}));
    array(&vec![Value::Null; 65_536], json!({"of": "null", "count": 65_536, "items": [null]}));
    array(&[List::new().into(), List::from_iter([1_i64]).into()], json!({"of": "list", "items": [[], [1]]}));
    array(&[Map::from_iter([("a", 1_i64)]).into()], json!({"of": "map", "items": [[["a", 1]]]}));
    let inner = Array::of([1_u8]);
    array(&[inner.into()], json!({"of": "array", "items": [{"of": "ubyte", "items": [1]}]}));
    let twice = |number: i64| Value::from(Described::new(&1_u64, &Described::new(&symbol("a:b"), &number)));
    array(
        &[twice(1), twice(2)],
        json!({"of": "long", "descriptors": [{"$ulong": 1}, {"$symbol": "a:b"}], "items": [1, 2]}),
    );
    // Elements of no octets, as they came.
    let arrays: [(&[u8], _); 7] = [
        (&[0xe0, 2, 1, 0x41], json!({"of": "boolean", "count": 1, "items": [true]})),
        (&[0xe0, 2, 3, 0x42], json!({"of": "boolean", "count": 3, "items": [false]})),
        (
            &[0xe0, 5, 2, 0, 0x53, 7, 0x45],
            json!({"of": "list", "descriptors": [{"$ulong": 7}], "count": 2, "items": [[]]}),
        ),
        (&[0xe0, 2, 0, 0x40], json!({"of": "null", "items": []})),
        (&[0xe0, 2, 0, 0xa3], json!({"of": "symbol", "items": []})),
        (&[0xe0, 2, 0, 0x70], json!({"of": "uint", "items": []})),
        (&[0xe0, 5, 0, 0, 0x53, 1, 0xc1], json!({"of": "map", "descriptors": [{"$ulong": 1}], "items": []})),
    ];
    for (octets, text) in arrays {
        let value: Value<'_> = Reader::sized(octets).read().unwrap();
        written(value.into_owned(), json!({"$array": text}));
    }
}

#[test]
fn every_error_names_its_place() {
    let refused = |text: Json, path: &str, message: &str| {
        let error = json::value_from_json(&text).unwrap_err();
        assert_eq!((error.path(), error.message()), (path, message), "{text}");
        assert!(error.to_string().starts_with(if path.is_empty() { message } else { "at /" }));
    };
    refused(
        json!([0, {"a/b~c": {"$uint": -1}}]),
        "/1/a~1b~0c/$uint",
        "expected an integer from 0 to 4294967295, found -1",
    );
    refused(json!({"$byte": 128}), "/$byte", "expected an integer from -128 to 127, found 128");
    refused(json!({"$int": 0.5}), "/$int", "expected an integer from -2147483648 to 2147483647, found 0.5");
    refused(json!(u64::MAX), "", "the integer 18446744073709551615 is no long: it needs a tag, as {\"$ulong\":…}");
    refused(
        json!({"$float": 1e39}),
        "/$float",
        "expected a number in the range of a float, \"Infinity\" or \"NaN\", found 1e+39",
    );
    refused(
        json!({"$float": "NaN(7f800000)"}),
        "/$float",
        "expected a number in the range of a float, \"Infinity\" or \"NaN\", found \"NaN(7f800000)\"",
    );
    refused(json!({"$double": "nan"}), "/$double", "expected a number, \"Infinity\" or \"NaN\", found \"nan\"");
    refused(json!({"$decimal32": "22"}), "/$decimal32", "expected 4 octets in hexadecimal, found \"22\"");
    refused(json!({"$char": "ab"}), "/$char", "expected a text of one character, found \"ab\"");
    refused(json!({"$char": ""}), "/$char", "expected a text of one character, found \"\"");
    refused(
        json!({"$timestamp": "now"}),
        "/$timestamp",
        "expected an integer from -9223372036854775808 to 9223372036854775807, found \"now\"",
    );
    refused(json!({"$uuid": "0-1"}), "/$uuid", "expected a uuid, found \"0-1\"");
    refused(json!({"$binary": "abc"}), "/$binary", "expected octets in hexadecimal, found \"abc\"");
    refused(json!({"$binary": "+1"}), "/$binary", "expected octets in hexadecimal, found \"+1\"");
    refused(json!({"$binary": "é"}), "/$binary", "expected octets in hexadecimal, found \"é\"");
    refused(json!({"$symbol": "é"}), "/$symbol", "a symbol may hold ASCII characters only (§1.6.21)");
    refused(json!({"$string": 1}), "/$string", "expected a text, found 1");
    refused(json!({"$boolean": null}), "/$boolean", "expected true or false, found null");
    refused(json!({"$null": false}), "/$null", "expected null, found false");
    refused(json!({"$list": {}}), "/$list", "expected an array, found an object");
    refused(
        json!({"$map": [["a", 1], ["b"]]}),
        "/$map/1",
        "expected a key and a value, as [\"key\",1], found an array",
    );
    refused(json!({"$map": [["a", {"$x": 1}]]}), "/$map/0/1/$x", "this is the name of no type");
    refused(json!({"$": 1}), "/$", "this is the name of no type");
    refused(json!({"a": 1, "$uint": 1}), "", "\"$uint\" must be alone in its object");
    refused(json!({"$described": {"value": 1}}), "/$described", "\"descriptor\" is missing");
    refused(
        json!({"$described": {"descriptor": 1, "value": 1, "x": 2}}),
        "/$described",
        "\"x\" is not known here; known are descriptor, value",
    );
    let array = |fields: Json| json!({"$array": fields});
    refused(array(json!({"of": "uint"})), "/$array", "\"items\" is missing");
    refused(array(json!({"of": "u32", "items": []})), "/$array/of", "expected the name of a type, found \"u32\"");
    refused(
        array(json!({"of": "uint", "items": [1, "x"]})),
        "/$array/items/1",
        "expected an integer from 0 to 4294967295, found \"x\"",
    );
    let count = "a count needs exactly one item, which occupies no octets in an array";
    refused(array(json!({"of": "uint", "count": 2, "items": [1]})), "/$array/count", count);
    refused(array(json!({"of": "null", "count": 2, "items": [null, null]})), "/$array/count", count);
    refused(
        array(json!({"of": "null", "count": 65_537, "items": [null]})),
        "/$array/count",
        "expected an integer from 1 to 65536, found 65537",
    );
    let descriptor = "the descriptor of an array's elements must be a simple and short one";
    refused(array(json!({"of": "null", "descriptors": [[1]], "items": []})), "/$array", descriptor);
    refused(array(json!({"of": "null", "descriptors": [[1]], "items": [null]})), "/$array", descriptor);
    let long = "x".repeat(50);
    refused(
        json!({"$uint": long}),
        "/$uint",
        &format!("expected an integer from 0 to 4294967295, found {:?}…", "x".repeat(40)),
    );
}

#[test]
fn nesting_is_limited_as_on_the_wire() {
    let nested = |levels: u8, wrap: fn(Json) -> Json| (0..levels).fold(json!(null), |json, _| wrap(json));
    let wraps: [fn(Json) -> Json; 5] = [
        |json| json!([json]),
        |json| json!({"a": json}),
        |json| json!({"$map": [[json, 1]]}),
        |json| json!({"$described": {"descriptor": json, "value": null}}),
        |json| json!({"$array": {"of": "list", "items": [[json]]}}),
    ];
    for (at, wrap) in wraps.into_iter().enumerate() {
        let most = if at == 4 { MAX_DEPTH / 2 } else { MAX_DEPTH };
        let value = json::value_from_json(&nested(most, wrap)).unwrap();
        assert_eq!(value.validate(), Ok(()));
        assert_eq!(json::value_to_json(&value).unwrap(), nested(most, wrap));
        let error = json::value_from_json(&nested(most + 1, wrap)).unwrap_err();
        assert_eq!(error.message(), "values are nested too deeply");
        assert!(json::value_from_json(&nested(200, wrap)).is_err());
    }
}

#[test]
fn malformed_values_have_no_text() {
    // A list of a string that is no UTF-8.
    let value: Value<'_> = Reader::sized(&[0xc0, 4, 1, 0xa1, 1, 0xff]).read().unwrap();
    assert_eq!(json::value_to_json(&value).unwrap_err().offset(), 5);
}

#[test]
fn a_message_with_everything() {
    let message = Message {
        header: Some(Header {
            durable: true,
            priority: 9,
            ttl: Some(Milliseconds(1000)),
            first_acquirer: true,
            delivery_count: 3,
        }),
        delivery_annotations: Some(Map::from_iter([(symbol("x-opt-a"), 1_i64)])),
        message_annotations: Some(Map::from_iter([(7_u64, Timestamp(0))])),
        properties: Some(Properties {
            message_id: Some(MessageId::String("m-1".into())),
            user_id: Some(Binary::from(b"me")),
            to: Some("q".into()),
            subject: Some("s".into()),
            reply_to: Some("r".into()),
            correlation_id: Some(MessageId::Ulong(7)),
            content_type: Some(symbol("text/plain")),
            content_encoding: Some(symbol("gzip")),
            absolute_expiry_time: Some(Timestamp(5)),
            creation_time: Some(Timestamp(-4)),
            group_id: Some("g".into()),
            group_sequence: Some(SequenceNo(u32::MAX)),
            reply_to_group_id: Some("h".into()),
        }),
        application_properties: Some(Map::from_iter([("topic", "/a/b")])),
        body: MessageBody::Data([&b"text"[..], b"\xff"].map(Into::into).into_iter().collect()),
        footer: Some(Map::from_iter([(symbol("x-opt-c"), Binary::from(&[0, 0xff]))])),
    };
    let text = json!({
        "header": {"durable": true, "priority": 9, "ttl": 1000, "first_acquirer": true, "delivery_count": 3},
        "delivery_annotations": {"x-opt-a": 1},
        "message_annotations": {"$map": [[{"$ulong": 7}, {"$timestamp": 0}]]},
        "properties": {
            "message_id": "m-1", "user_id": "me", "to": "q", "subject": "s", "reply_to": "r",
            "correlation_id": {"$ulong": 7}, "content_type": "text/plain", "content_encoding": "gzip",
            "absolute_expiry_time": 5, "creation_time": -4, "group_id": "g", "group_sequence": u32::MAX,
            "reply_to_group_id": "h"
        },
        "application_properties": {"topic": "/a/b"},
        "body": {"data": ["text", {"$binary": "ff"}]},
        "footer": {"x-opt-c": {"$binary": "00ff"}}
    });
    assert_eq!(json::message_to_json(&message).unwrap(), text);
    assert_eq!(json::message_from_json(&through_text(&text)).unwrap(), message);
    let bodies = [
        (json!({}), MessageBody::Empty),
        (json!({"body": null, "header": null}), MessageBody::Empty),
        (json!({"body": {"data": "x"}}), MessageBody::Data(Multiple::one(b"x"[..].into()))),
        (json!({"body": {"data": []}}), MessageBody::Data(Multiple::default())),
        (json!({"body": {"value": null}}), MessageBody::Value(Value::Null)),
        (json!({"body": {"sequence": [[1], []]}}), MessageBody::Sequence(vec![List::from_iter([1_i64]), List::new()])),
    ];
    for (text, body) in bodies {
        assert_eq!(json::message_from_json(&text).unwrap(), Message { body, ..Message::default() }, "{text}");
    }
}

#[test]
fn errors_in_messages_name_their_place() {
    let refused = |text: Json, path: &str| {
        let error = json::message_from_json(&text).unwrap_err();
        assert_eq!(error.path(), path, "{error}");
    };
    refused(json!([]), "");
    refused(json!({"head": {}}), "");
    refused(json!({"header": {"durable": 1}}), "/header/durable");
    refused(json!({"header": {"priority": 256}}), "/header/priority");
    refused(json!({"header": {"x": 1}}), "/header");
    refused(json!({"message_annotations": {"é": 1}}), "/message_annotations/é");
    refused(json!({"message_annotations": [1]}), "/message_annotations");
    refused(json!({"properties": {"message_id": 1}}), "/properties/message_id");
    refused(json!({"properties": {"user_id": [1]}}), "/properties/user_id");
    refused(json!({"properties": {"content_type": "é"}}), "/properties/content_type");
    refused(json!({"application_properties": {"a": {"$uint": "x"}}}), "/application_properties/a/$uint");
    refused(json!({"footer": {"a": [1, {"$x": 1}]}}), "/footer/a/1/$x");
    refused(json!({"body": {}}), "/body");
    refused(json!({"body": {"data": "x", "value": 1}}), "/body");
    refused(json!({"body": {"data": ["x", 1]}}), "/body/data/1");
    refused(json!({"body": {"sequence": [[], 1]}}), "/body/sequence/1");
    refused(json!({"body": {"value": {"$uint": 0.5}}}), "/body/value/$uint");
}

fn scalar() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u32>().prop_map(|bits| f32::from_bits(bits).into()),
        any::<u32>().prop_map(|bits| f32::from_bits(bits | 0x7f80_0000).into()),
        any::<u64>().prop_map(|bits| f64::from_bits(bits).into()),
        any::<u64>().prop_map(|bits| f64::from_bits(bits | 0x7ff0_0000_0000_0000).into()),
        any::<[u8; 4]>().prop_map(|octets| Decimal32(octets).into()),
        any::<[u8; 8]>().prop_map(|octets| Decimal64(octets).into()),
        any::<[u8; 16]>().prop_map(|octets| Decimal128(octets).into()),
        any::<char>().prop_map(Value::from),
        any::<i64>().prop_map(|time| Timestamp(time).into()),
        any::<[u8; 16]>().prop_map(|octets| Uuid(octets).into()),
        vec(any::<u8>(), 0..20).prop_map(Value::from),
        "\\PC{0,20}|\\$uint".prop_map(Value::from),
        "[ -~]{0,20}".prop_map(|text| Symbol::new(text).unwrap().into()),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    scalar().prop_recursive(4, 48, 6, |inner| {
        let key = prop_oneof![scalar(), "[a-z$]{0,2}".prop_map(Value::from)];
        let descriptor = prop_oneof![any::<u64>().prop_map(Value::from), scalar(), inner.clone()];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| List::from_iter(items).into()),
            vec((key, inner.clone()), 0..6).prop_map(|entries| Map::from_iter(entries).into()),
            vec(("[a-z]{1,3}", inner.clone()), 0..6)
                .prop_map(|entries| Map::from_iter(entries.iter().map(|(key, value)| (key.as_str(), value))).into()),
            (descriptor, inner.clone()).prop_map(|(descriptor, value)| Described::new(&descriptor, &value).into()),
            (inner, 1..5_usize).prop_filter_map("a descriptor that holds values", |(item, count)| {
                Array::of_values(&vec![item; count]).ok().map(Value::from)
            }),
            vec(any::<i64>(), 1..5).prop_map(|items| Array::of(items).into()),
            vec(any::<bool>(), 1..5).prop_map(|items| Array::of(items).into()),
            vec("\\PC{0,9}", 1..5).prop_map(|items| Array::of(items).into()),
        ]
    })
}

fn message() -> impl Strategy<Value = Message> {
    let annotations = || {
        let key = prop_oneof![
            "x-opt-[a-z$]{1,3}".prop_map(|key| Symbol::new(key).unwrap().into()),
            any::<u64>().prop_map(Value::from),
            scalar(),
        ];
        option::of(vec((key, value()), 0..4).prop_map(Map::from_iter))
    };
    let text = || option::of("\\PC{0,9}");
    let symbol = || option::of("[!-~]{0,9}".prop_map(|text| Symbol::new(text).unwrap()));
    let id = || {
        option::of(prop_oneof![
            any::<u64>().prop_map(MessageId::Ulong),
            any::<[u8; 16]>().prop_map(|id| MessageId::Uuid(Uuid(id))),
            vec(any::<u8>(), 0..9).prop_map(|id| MessageId::Binary(id.into())),
            "\\PC{0,9}".prop_map(|id| MessageId::String(id.into())),
            any::<(u64, u32)>().prop_map(|(code, id)| MessageId::Other(Box::new(Described::new(&code, &id)))),
        ])
    };
    let octets = || prop_oneof![vec(any::<u8>(), 0..20), "\\PC{0,20}".prop_map(String::into_bytes)];
    let properties = (
        (id(), option::of(octets()), text(), text(), text(), id(), symbol(), symbol()),
        (option::of(any::<i64>()), option::of(any::<i64>()), text(), option::of(any::<u32>()), text()),
    )
        .prop_map(
            |(
                (message_id, user_id, to, subject, reply_to, correlation_id, content_type, content_encoding),
                (expiry, creation, group_id, group_sequence, reply_to_group_id),
            )| Properties {
                message_id,
                user_id: user_id.map(Into::into),
                to: to.map(Into::into),
                subject: subject.map(Into::into),
                reply_to: reply_to.map(Into::into),
                correlation_id,
                content_type,
                content_encoding,
                absolute_expiry_time: expiry.map(Timestamp),
                creation_time: creation.map(Timestamp),
                group_id: group_id.map(Into::into),
                group_sequence: group_sequence.map(SequenceNo),
                reply_to_group_id: reply_to_group_id.map(Into::into),
            },
        );
    let header = (any::<bool>(), any::<u8>(), option::of(any::<u32>()), any::<bool>(), any::<u32>()).prop_map(
        |(durable, priority, ttl, first_acquirer, delivery_count)| Header {
            durable,
            priority,
            ttl: ttl.map(Milliseconds),
            first_acquirer,
            delivery_count,
        },
    );
    let body = prop_oneof![
        Just(MessageBody::Empty),
        vec(octets().prop_map(bytes::Bytes::from), 0..3).prop_map(|sections| MessageBody::Data(sections.into())),
        vec(vec(value(), 0..3).prop_map(List::from_iter), 0..3).prop_map(MessageBody::Sequence),
        value().prop_map(MessageBody::Value),
    ];
    let keys = vec(("\\PC{0,4}", scalar()), 0..4);
    let application_properties = option::of(keys.prop_map(|entries| entries.into_iter().collect()));
    let annotated = (annotations(), annotations(), annotations());
    (option::of(header), annotated, option::of(properties), application_properties, body).prop_map(
        |(header, (delivery_annotations, message_annotations, footer), properties, application_properties, body)| {
            Message {
                header,
                delivery_annotations,
                message_annotations,
                properties,
                application_properties,
                body,
                footer,
            }
        },
    )
}

/// The text form keeps keys that are there twice, which an owned message may not have.
fn is_duplicate_key(error: &MessageError) -> bool {
    matches!(error, MessageError::Malformed { error, .. } if error.kind() == DecodeErrorKind::DuplicateKey)
}

/// Any JSON, rich in what looks like tags.
fn any_json() -> impl Strategy<Value = Json> {
    let names = ["null", "uint", "float", "char", "uuid", "binary", "symbol", "list", "map", "array", "described", "x"];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        prop::sample::select(vec!["NaN", "NaN(7fc00001)", "00ff", "uint", "null", "a", ""]).prop_map(Json::from),
        "\\PC{0,9}".prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let field =
            prop::sample::select(vec!["of", "items", "count", "descriptors", "descriptor", "value", "body", "data"]);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            (prop::sample::select(names.to_vec()), inner.clone())
                .prop_map(|(name, json)| json!({format!("${name}"): json})),
            vec((field, inner), 0..4).prop_map(|fields| {
                fields.into_iter().map(|(name, json)| (name.to_string(), json)).collect::<Json>()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn values_survive_as_text(value in value()) {
        let octets = encode_to_vec(&value);
        let text = json::value_to_json(&value).unwrap();
        let again = json::value_from_json(&through_text(&text)).unwrap();
        prop_assert_eq!(encode_to_vec(&again), octets, "{}", text);
        prop_assert_eq!(json::value_to_json(&again).unwrap(), text);
    }

    #[test]
    fn messages_survive_as_text(message in message()) {
        let octets = octets(&message);
        let text = json::message_to_json(&message).unwrap();
        let again = json::message_from_json(&through_text(&text)).unwrap();
        prop_assert_eq!(self::octets(&again), octets.clone(), "{}", text);
        prop_assert_eq!(json::message_to_json(&again).unwrap(), text);
        // What was decoded has the same text, but that an empty body is one of no octets on the wire.
        match MessageView::parse(&octets).unwrap().to_message() {
            Ok(decoded) => {
                let decoded = json::message_from_json(&json::message_to_json(&decoded).unwrap()).unwrap();
                prop_assert_eq!(self::octets(&decoded), octets);
            }
            Err(error) => prop_assert!(is_duplicate_key(&error), "{}", error),
        }
    }

    #[test]
    fn any_text_is_a_value_or_an_error(text in any_json()) {
        if let Ok(value) = json::value_from_json(&text) {
            let valid = value.validate();
            prop_assert!(valid.is_ok() || valid.is_err_and(|error| error.kind() == DecodeErrorKind::DuplicateKey));
            let written = json::value_to_json(&value).unwrap();
            let again = json::value_from_json(&written).unwrap();
            prop_assert_eq!(encode_to_vec(&again), encode_to_vec(&value));
        }
        if let Ok(message) = json::message_from_json(&text) {
            let valid = MessageView::parse(&octets(&message)).unwrap().validate();
            prop_assert!(valid.is_ok() || valid.is_err_and(|error| is_duplicate_key(&error)));
        }
    }
}
