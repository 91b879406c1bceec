//! Messages, built, encoded, located and read.

use std::collections::HashSet;

use amqp10_codec::{Body, Described, Message, MessageBody, MessageError, MessageId, MessageView, Section, Value};

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
    let several = MessageBody::Data(vec![b"one".as_slice().into(), b"two".as_slice().into()]);
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
    assert_eq!(error, format!("the application-properties section: a string is not UTF-8 at offset {at}"));
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
