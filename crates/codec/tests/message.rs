//! Messages, built, encoded, located and read.

use std::collections::HashSet;

use amqp10_codec::{
    Binary, Body, Described, Descriptor, Header, List, Map, Message, MessageBody, MessageError, MessageId, MessageView,
    Milliseconds, Properties, Reader, Section, SequenceNo, Symbol, Timestamp, Uuid, Value, encode_to_vec,
};
use bytes::Bytes;

/// The device message of `benches/README.md`: 439 octets.
fn device_message() -> Message {
    Message::data(vec![b'x'; 256])
        .durable(true)
        .message_id(MessageId::String("1234567890123456789".into()))
        .to("queue/a1x/consumer-group-1")
        .application_property("topic", "/a1x/dev1/thing/event/property/post")
        .application_property("messageId", "1234567890123456789")
        .application_property("generateTime", 1_700_000_000_000_i64)
        .application_property("qos", 0_i32)
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

#[test]
fn a_message_survives_the_way_there_and_back() {
    let message = device_message();
    let wire = encoded(&message);
    assert_eq!(wire.len(), 439);
    let view = MessageView::parse(&wire).unwrap();
    view.validate().unwrap();
    assert!(view.header().unwrap().unwrap().durable);
    let properties = view.application_properties().unwrap();
    assert_eq!(properties.get("topic").unwrap().unwrap().as_str(), Some("/a1x/dev1/thing/event/property/post"));
    assert_eq!(properties.get("generateTime").unwrap(), Some(Value::Long(1_700_000_000_000)));
    assert_eq!(properties.get("nothing").unwrap(), None);
    let Body::Data(mut data) = view.body().unwrap() else { panic!() };
    assert_eq!(data.next().unwrap().unwrap().len(), 256);
    assert!(data.next().is_none());
    assert_eq!(view.to_message().unwrap(), message);
    let slices = message.to_slices();
    assert_eq!(slices.concat(), wire);
}

#[test]
fn every_kind_of_body() {
    let several = MessageBody::Data([&b"one"[..], b"two"].map(Into::into).into_iter().collect());
    let list = [1_u32, 300].into_iter().collect();
    let bodies = [
        several,
        MessageBody::Sequence(vec![list, Default::default()]),
        MessageBody::Value(Value::from("text")),
        MessageBody::Value(Value::Null),
    ];
    for body in bodies {
        let message = Message { body, ..Message::default() };
        let wire = encoded(&message);
        assert_eq!(MessageView::parse(&wire).unwrap().to_message().unwrap(), message);
        assert_eq!(message.to_slices().concat(), wire);
    }
}

#[test]
fn sections_out_of_order_repeated_or_unknown_are_errors() {
    let (data, value, header) = (&b"\0\x53\x75\xa0\x01x"[..], &b"\0\x53\x77\x40"[..], &b"\0\x53\x70\x45"[..]);
    let parse = |parts: &[&[u8]]| MessageView::parse(&parts.concat()).map(drop);
    assert_eq!(parse(&[header, data, data]), Ok(()));
    assert_eq!(parse(&[data, header]), Err(MessageError::OutOfOrder(Section::Header, 6)));
    assert_eq!(parse(&[header, header]), Err(MessageError::OutOfOrder(Section::Header, 4)));
    assert_eq!(parse(&[value, value]), Err(MessageError::OutOfOrder(Section::AmqpValue, 4)));
    assert_eq!(parse(&[data, value]), Err(MessageError::OutOfOrder(Section::AmqpValue, 6)));
    assert_eq!(parse(&[b"\0\x53\x79\x45"]), Err(MessageError::UnknownSection(0)));
}

#[test]
fn a_message_cut_anywhere_is_an_error_or_lacks_its_body() {
    let wire = encoded(&device_message());
    for cut in 0..wire.len() {
        let view = MessageView::parse(&wire[..cut]);
        assert!(view.and_then(|view| view.validate()).is_err(), "cut at {cut}");
    }
}

#[test]
fn an_error_names_section_and_offset() {
    let mut wire = encoded(&device_message());
    let at = wire.windows(5).position(|window| window == b"topic").unwrap();
    wire[at] = 0xff;
    let error = MessageView::parse(&wire).unwrap().validate().unwrap_err().to_string();
    assert_eq!(
        error,
        format!("the application-properties section: expected UTF-8, found an octet that is none at offset {at}")
    );
}

#[test]
fn slices_around_bodies_of_every_width() {
    let sections: Vec<bytes::Bytes> = [0, 255, 256, 70_000].map(|len| vec![7; len].into()).into();
    let body = MessageBody::Data(sections.clone().into());
    for message in [
        Message { body: body.clone(), ..Message::default() },
        Message { body, ..Message::default() }.to("to").footer_entry(Symbol::from_static("x-opt-f"), 1_u8),
    ] {
        let slices = message.to_slices();
        assert_eq!(slices.concat(), encoded(&message));
        let shared: Vec<_> = slices.iter().skip(1).step_by(2).take(4).collect();
        assert_eq!(shared, sections.iter().collect::<Vec<_>>());
    }
}

#[test]
fn application_properties_one_by_one_and_all_at_once() {
    let one_by_one = Message::value(1_u8).application_property("a", 1_u8).application_property("b", "two");
    let at_once = Message::value(1_u8).application_properties(Map::new().with("a", 1_u8).with("b", "two"));
    assert_eq!(at_once, one_by_one);
    assert_eq!(encoded(&at_once), encoded(&one_by_one));
    // Whatever was there is replaced.
    let replaced = one_by_one.application_properties(Map::new().with("c", 3_u8));
    assert_eq!(replaced, Message::value(1_u8).application_property("c", 3_u8));
}

#[test]
fn every_field_can_be_set() {
    let symbol = Symbol::from_static;
    let message = Message::value("body")
        .durable(true)
        .priority(9)
        .ttl(Milliseconds(5))
        .first_acquirer(true)
        .delivery_count(2)
        .delivery_annotation(symbol("x-opt-d"), 1_u8)
        .message_annotation(symbol("x-opt-m"), List::from_iter([1_u8]))
        .message_id(7)
        .user_id(&b"me"[..])
        .to("to")
        .subject("subject")
        .reply_to("reply-to")
        .correlation_id(Uuid([7; 16]))
        .content_type(symbol("text/plain"))
        .content_encoding(symbol("gzip"))
        .absolute_expiry_time(Timestamp(1))
        .creation_time(Timestamp(-1))
        .group_id("group")
        .group_sequence(SequenceNo(3))
        .reply_to_group_id("other")
        .application_property("key", "value")
        .footer_entry(symbol("x-opt-f"), Value::Null);
    message.validate().unwrap();
    let wire = encoded(&message);
    // 3.2-01: the order of the sections, by descriptor.
    let mut reader = Reader::sized(&wire);
    let mut codes = Vec::new();
    while !reader.is_empty() {
        let section: Described<'_> = reader.read().unwrap();
        let Descriptor::Code(code) = section.descriptor().unwrap() else { panic!() };
        codes.push(code);
    }
    assert_eq!(codes, [0x70, 0x71, 0x72, 0x73, 0x74, 0x77, 0x78]);
    let view = MessageView::parse(&wire).unwrap();
    view.validate().unwrap();
    let header =
        Header { durable: true, priority: 9, ttl: Some(Milliseconds(5)), first_acquirer: true, delivery_count: 2 };
    assert_eq!(view.header().unwrap(), Some(header));
    let properties = Properties {
        message_id: Some(MessageId::Ulong(7)),
        user_id: Some(Binary::from(b"me")),
        to: Some("to".into()),
        subject: Some("subject".into()),
        reply_to: Some("reply-to".into()),
        correlation_id: Some(MessageId::Uuid(Uuid([7; 16]))),
        content_type: Some(symbol("text/plain")),
        content_encoding: Some(symbol("gzip")),
        absolute_expiry_time: Some(Timestamp(1)),
        creation_time: Some(Timestamp(-1)),
        group_id: Some("group".into()),
        group_sequence: Some(SequenceNo(3)),
        reply_to_group_id: Some("other".into()),
    };
    assert_eq!(view.properties().unwrap(), Some(properties));
    assert_eq!(view.delivery_annotations().unwrap().unwrap().get("x-opt-d").unwrap().unwrap().as_u64(), Some(1));
    assert_eq!(view.footer().unwrap().unwrap().get("x-opt-f"), Ok(Some(Value::Null)));
    let Body::Value(body) = view.body().unwrap() else { panic!() };
    assert_eq!(body.as_str(), Some("body"));
    assert_eq!(Message::decode(&wire).unwrap(), message);
    assert_eq!(Message::try_from(&view).unwrap(), message);
    for id in [MessageId::from("text"), Binary::from(b"octets").into(), Uuid([1; 16]).into(), 1.into()] {
        let wire = encoded(&Message::value(()).message_id(id.clone()).correlation_id(id.clone()));
        let view = MessageView::parse(&wire).unwrap();
        let properties = view.properties().unwrap().unwrap();
        assert_eq!((properties.message_id, properties.correlation_id), (Some(id.clone()), Some(id)));
    }
    let list = List::new().with(1_u8).with("two");
    let wire = encoded(&Message::sequence(list.clone()));
    let view = MessageView::parse(&wire).unwrap();
    let Body::Sequence(mut lists) = view.body().unwrap() else { panic!() };
    assert_eq!(lists.next().unwrap().unwrap(), list);
    assert!(lists.next().is_none());
}

#[test]
fn what_a_strict_peer_would_refuse() {
    // 3.2.5-02
    let message = Message::value(1_u8).application_property("list", List::from_iter([1_u8]));
    assert!(message.validate().unwrap_err().to_string().contains("a simple value"));
    let message = Message::value(1_u8).application_property("key", 1_u8).application_property("key", 2_u8);
    assert!(message.validate().unwrap_err().to_string().contains("identical"));
    let message = Message { footer: Some(Map::new().with("text", 1_u8)), ..Message::value(1_u8) };
    assert!(message.validate().unwrap_err().to_string().contains("a symbol or ulong as key"));
    device_message().validate().unwrap();
}

#[test]
fn a_message_says_nothing_of_its_content_that_was_not_asked_for() {
    // 3.2.4-08, 3.2.4-09, 3.2.4-11, 3.2.4-12, 3.2.4-13
    assert_eq!(encoded(&Message::data(vec![7])), b"\0\x53\x75\xa0\x01\x07");
    assert_eq!(encoded(&Message::value(7_u8)), b"\0\x53\x77\x50\x07");
    let sequence = Message { body: MessageBody::Sequence(vec![List::new()]), ..Message::default() };
    assert_eq!(encoded(&sequence), b"\0\x53\x76\x45");
    // Nor do other properties bring it along.
    for message in [Message::data(vec![7]), Message::value(7_u8), sequence] {
        let wire = encoded(&message.message_id(1).subject("s").creation_time(Timestamp(1)));
        let properties = MessageView::parse(&wire).unwrap().properties().unwrap().unwrap();
        assert_eq!((properties.content_type, properties.content_encoding), (None, None));
    }
}

#[test]
fn big_bodies_are_not_copied() {
    let body = Bytes::from(vec![7; 1 << 20]);
    let message = Message::data(body.clone()).footer_entry(Symbol::from_static("x-opt-f"), 1_u8);
    let slices = message.to_slices();
    assert!(slices.iter().any(|slice| slice.as_ptr() == body.as_ptr() && slice.len() == body.len()));
    let wire = Bytes::from(slices.concat());
    assert_eq!(message.encoded_len(), wire.len());
    let again = Message::decode_shared(&wire).unwrap();
    assert_eq!(again, message);
    let MessageBody::Data(sections) = &again.body else { panic!() };
    assert!(wire.as_ptr_range().contains(&sections[0].as_ptr()));
    let copied = Message::decode(&wire).unwrap();
    let MessageBody::Data(sections) = &copied.body else { panic!() };
    assert!(!wire.as_ptr_range().contains(&sections[0].as_ptr()));
}

#[test]
fn values_are_taken_out_by_type() {
    let map =
        Map::new().with("text", "v").with(Symbol::from_static("symbol"), -1_i8).with(3_u64, 1.5_f32).with("b", true);
    let get = |key: &str| map.get(key).unwrap().unwrap();
    assert_eq!((get("text").as_str(), get("text").as_symbol(), get("text").as_i64()), (Some("v"), None, None));
    assert_eq!((get("symbol").as_i64(), get("symbol").as_u64()), (Some(-1), None));
    assert_eq!(map.get_value(&Value::Ulong(3)).unwrap().unwrap().as_f64(), Some(1.5));
    assert_eq!(map.get_value(&Value::Uint(3)), Ok(None), "types are not coerced");
    assert_eq!(get("b").as_bool(), Some(true));
    let numbers = [
        Value::Ubyte(7),
        Value::Ushort(7),
        Value::Uint(7),
        Value::Ulong(7),
        Value::Byte(7),
        Value::Short(7),
        Value::Int(7),
        Value::Long(7),
    ];
    assert!(numbers.iter().all(|number| (number.as_u64(), number.as_i64()) == (Some(7), Some(7))));
    assert_eq!((Value::Ulong(u64::MAX).as_u64(), Value::Ulong(u64::MAX).as_i64()), (Some(u64::MAX), None));
    assert_eq!(Value::from(&b"x"[..]).as_binary(), Some(&b"x"[..]));
    assert_eq!(Value::from(Symbol::from_static("s")).as_symbol(), Some("s"));
    let order: Vec<_> = map.iter().map(|entry| encode_to_vec(&entry.unwrap().0)).collect();
    assert_eq!(order, [&b"\xa1\x04text"[..], b"\xa3\x06symbol", b"\x53\x03", b"\xa1\x01b"]);
}

#[test]
fn a_message_id_of_an_unknown_type_is_kept() {
    let id = |text: &str| MessageId::Other(Box::new(Described::new(&7_u64, text)));
    let message = Message::data(vec![1]).message_id(id("seven"));
    let wire = encoded(&message);
    let view = MessageView::parse(&wire).unwrap();
    view.validate().unwrap();
    let found = view.properties().unwrap().unwrap().message_id.unwrap();
    assert_eq!(found, id("seven"));
    assert_eq!(found.to_string(), "5307a105736576656e");
    let ids = HashSet::from([found, id("seven"), id("eight"), MessageId::String("seven".into())]);
    assert_eq!(ids.len(), 3);
    assert_eq!(encoded(&view.to_message().unwrap()), wire);

    // A described list that is too short for its count, and an id that is a uint.
    for id in [&[0x00, 0x53, 0x07, 0xc0, 0x01, 0x01][..], &[0x52, 0x01]] {
        let mut wire = vec![0x00, 0x53, 0x73, 0xc0, id.len() as u8 + 1, 1];
        wire.extend(id);
        wire.extend([0x00, 0x53, 0x75, 0xa0, 0]);
        let error = MessageView::parse(&wire).unwrap().validate();
        assert!(matches!(error, Err(MessageError::Malformed { section: Some(Section::Properties), .. })), "{error:?}");
    }
}
