//! Properties of the codec: values, damaged octets, streams.

use std::collections::HashSet;

use amqp10_codec::sasl::SaslBody;
use amqp10_codec::{
    Binary, Body, Channel, Close, Decimal32, Decimal64, Decimal128, Decode, DecodeError, DecodeErrorKind,
    DeliveryNumber, DeliveryState, DeliveryTag, Described, Encode, Error, ErrorCondition, Flow, FrameType, Handle,
    IntoOwned, List, Map, Message, MessageBody, MessageError, MessageFormat, MessageId, MessageView, Multiple,
    Performative, PropertiesRef, ProtocolHeader, Reader, ReceiverSettleMode, Section, Symbol, Timestamp, Transfer,
    TransferNumber, Uuid, Value, encode_frame, encode_to_vec, next_frame,
};
use proptest::collection::{hash_map, vec};
use proptest::prelude::*;

/// A value with the octets that §1.6 gives it, written down independently of the codec.
type Written = (Value<'static>, Vec<u8>);

fn fixed(constructor: u8, octets: &[u8]) -> Vec<u8> {
    [&[constructor], octets].concat()
}

/// The shorter of the two forms of a variable width.
fn variable(small: u8, octets: &[u8]) -> Vec<u8> {
    match u8::try_from(octets.len()) {
        Ok(size) => [&[small, size], octets].concat(),
        Err(_) => [&[small + 0x10][..], &(octets.len() as u32).to_be_bytes(), octets].concat(),
    }
}

/// The shorter of the two forms of a compound.
fn compound(small: u8, count: usize, octets: &[u8]) -> Vec<u8> {
    match (u8::try_from(octets.len() + 1), u8::try_from(count)) {
        (Ok(size), Ok(count)) => [&[small, size, count], octets].concat(),
        _ => {
            let (size, count) = ((octets.len() as u32 + 4).to_be_bytes(), (count as u32).to_be_bytes());
            [&[small + 0x10][..], &size, &count, octets].concat()
        }
    }
}

fn ulong(number: u64) -> Vec<u8> {
    match number {
        0 => vec![0x44],
        1..=255 => vec![0x53, number as u8],
        _ => fixed(0x80, &number.to_be_bytes()),
    }
}

fn scalar() -> impl Strategy<Value = Written> {
    let small = |number: i64| (-128..=127).contains(&number);
    prop_oneof![
        Just((Value::Null, vec![0x40])),
        any::<bool>().prop_map(|v| (v.into(), vec![if v { 0x41 } else { 0x42 }])),
        any::<u8>().prop_map(|v| (v.into(), fixed(0x50, &[v]))),
        any::<u16>().prop_map(|v| (v.into(), fixed(0x60, &v.to_be_bytes()))),
        prop_oneof![any::<u32>(), 0..300_u32].prop_map(|v| {
            let octets = match v {
                0 => vec![0x43],
                1..=255 => vec![0x52, v as u8],
                _ => fixed(0x70, &v.to_be_bytes()),
            };
            (v.into(), octets)
        }),
        prop_oneof![any::<u64>(), 0..300_u64].prop_map(|v| (v.into(), ulong(v))),
        any::<i8>().prop_map(|v| (v.into(), fixed(0x51, &v.to_be_bytes()))),
        any::<i16>().prop_map(|v| (v.into(), fixed(0x61, &v.to_be_bytes()))),
        prop_oneof![any::<i32>(), -200..200_i32].prop_map(move |v| {
            let octets = if small(v.into()) { vec![0x54, v as u8] } else { fixed(0x71, &v.to_be_bytes()) };
            (v.into(), octets)
        }),
        prop_oneof![any::<i64>(), -200..200_i64].prop_map(move |v| {
            let octets = if small(v) { vec![0x55, v as u8] } else { fixed(0x81, &v.to_be_bytes()) };
            (v.into(), octets)
        }),
        float32().prop_map(|v| (v.into(), fixed(0x72, &v.to_be_bytes()))),
        float64().prop_map(|v| (v.into(), fixed(0x82, &v.to_be_bytes()))),
        any::<[u8; 4]>().prop_map(|v| (Decimal32(v).into(), fixed(0x74, &v))),
        any::<[u8; 8]>().prop_map(|v| (Decimal64(v).into(), fixed(0x84, &v))),
        any::<[u8; 16]>().prop_map(|v| (Decimal128(v).into(), fixed(0x94, &v))),
        any::<char>().prop_map(|v| (v.into(), fixed(0x73, &u32::from(v).to_be_bytes()))),
        any::<i64>().prop_map(|v| (Timestamp(v).into(), fixed(0x83, &v.to_be_bytes()))),
        any::<[u8; 16]>().prop_map(|v| (Uuid(v).into(), fixed(0x98, &v))),
        vec(any::<u8>(), 0..300).prop_map(|v| (v.clone().into(), variable(0xa0, &v))),
        ".{0,100}".prop_map(|v| (v.clone().into(), variable(0xa1, v.as_bytes()))),
        symbol().prop_map(|v| (v.clone().into(), variable(0xa3, v.as_bytes()))),
    ]
}

fn float32() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_filter("NaN differs from itself", |float| !float.is_nan())
}

fn float64() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("NaN differs from itself", |float| !float.is_nan())
}

fn symbol() -> impl Strategy<Value = Symbol<'static>> {
    prop_oneof!["[ -~]{0,30}", "[a-z:]{250,260}"].prop_map(|text| Symbol::new(text).unwrap())
}

fn written(value: impl Into<Value<'static>>, octets: Vec<u8>) -> Written {
    (value.into(), octets)
}

fn value() -> impl Strategy<Value = Written> {
    scalar().prop_recursive(4, 64, 8, |inner| {
        let list = vec(inner.clone(), 0..8).prop_map(|items| {
            let list: List<'_> = items.iter().map(|(value, _)| value).collect();
            let octets: Vec<u8> = items.iter().flat_map(|(_, octets)| octets.clone()).collect();
            written(list, if items.is_empty() { vec![0x45] } else { compound(0xc0, items.len(), &octets) })
        });
        let map = vec((scalar(), inner.clone()), 0..8).prop_map(|mut entries| {
            let mut seen = HashSet::new();
            entries.retain(|(key, _)| seen.insert(key.1.clone()));
            let map: Map<'_> = entries.iter().map(|(key, value)| (&key.0, &value.0)).collect();
            let octets: Vec<u8> =
                entries.iter().flat_map(|(key, value)| [key.1.clone(), value.1.clone()].concat()).collect();
            written(map, compound(0xc1, entries.len() * 2, &octets))
        });
        let described = (prop_oneof![scalar(), inner.clone()], inner.clone()).prop_map(|(descriptor, value)| {
            let octets = [vec![0], descriptor.1, value.1].concat();
            written(Described::new(&descriptor.0, &value.0), octets)
        });
        prop_oneof![list, map, described, array(inner)]
    })
}

/// Arrays of any elements that share one constructor: they can only be read, not built.
fn array(inner: impl Strategy<Value = Written>) -> impl Strategy<Value = Written> {
    (inner, 0..20_usize, proptest::option::of(any::<u64>())).prop_map(|((value, octets), count, descriptor)| {
        // A descriptor of a shared constructor is one of these two, by §1.1.2.
        let (constructor, data) = match octets.split_first() {
            Some((0, _)) | None => (vec![0x40], &[][..]),
            Some((constructor, data)) => (vec![*constructor], data),
        };
        let descriptor = descriptor.map_or(vec![], |code| [vec![0], ulong(code)].concat());
        let body = [descriptor, constructor, data.repeat(count)].concat();
        let octets = compound(0xe0, count, &body);
        let array: Value<'_> = Reader::sized(&octets).read().unwrap();
        let Value::Array(items) = &array else { panic!("{array:?}") };
        for item in items.iter().map(Result::unwrap) {
            let undescribed = match &item {
                Value::Described(item) if body[0] == 0 => item.value().unwrap(),
                item => item.clone(),
            };
            assert!(data.is_empty() || undescribed == value, "{item:?} for {value:?}");
        }
        (array.into_owned(), octets)
    })
}

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> T {
    let mut reader = Reader::new(octets);
    let value = reader.read().unwrap();
    reader.finish().unwrap();
    value
}

/// Performatives with their payloads, as bodies of frames.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let state = (any::<u32>(), any::<u32>(), proptest::option::of(any::<u32>()), any::<bool>());
    let flow = (state, vec((symbol(), value()), 0..3)).prop_map(|((window, id, credit, echo), properties)| {
        encode_to_vec(&Flow {
            next_incoming_id: None,
            incoming_window: window,
            next_outgoing_id: TransferNumber(id),
            outgoing_window: window,
            handle: credit.map(Handle),
            delivery_count: None,
            link_credit: credit,
            available: None,
            drain: false,
            echo,
            properties: Some(properties.iter().map(|(key, value)| (key, &value.0)).collect()),
        })
    });
    let transfer = (any::<u32>(), any::<bool>(), vec(any::<u8>(), 0..200)).prop_map(|(handle, more, payload)| {
        [encode_to_vec(&Transfer { more, ..Transfer::new(Handle(handle)) }), payload].concat()
    });
    let close = ".{0,40}"
        .prop_map(|text| encode_to_vec(&Close { error: Some(Error::new(ErrorCondition::FRAMING_ERROR, text)) }));
    prop_oneof![flow, transfer, close, Just(Vec::new())]
}

type Annotations = Vec<(Value<'static>, Written)>;

/// Keys that differ, with values.
fn annotations() -> impl Strategy<Value = Annotations> {
    let key = prop_oneof![symbol().prop_map(Value::from), any::<u64>().prop_map(Value::from)];
    vec((key, value()), 0..4).prop_map(|mut entries| {
        let mut seen = HashSet::new();
        entries.retain(|(key, _)| seen.insert(encode_to_vec(key)));
        entries
    })
}

fn message() -> impl Strategy<Value = Message> {
    let map = || proptest::option::of(annotations());
    let properties = proptest::option::of(hash_map(".{0,20}", scalar(), 0..4));
    let octets = || vec(any::<u8>(), 0..300).prop_map(bytes::Bytes::from);
    let body = prop_oneof![
        vec(octets(), 1..3).prop_map(|sections| MessageBody::Data(sections.into())),
        vec(vec(value(), 0..4), 1..3).prop_map(|lists| {
            let list = |items: Vec<Written>| items.iter().map(|(value, _)| value).collect();
            MessageBody::Sequence(lists.into_iter().map(list).collect())
        }),
        value().prop_map(|(value, _)| MessageBody::Value(value)),
    ];
    let ids = prop_oneof![
        any::<u64>().prop_map(MessageId::Ulong),
        any::<[u8; 16]>().prop_map(|id| MessageId::Uuid(Uuid(id))),
        vec(any::<u8>(), 0..9).prop_map(|id| MessageId::Binary(Binary::from(id))),
        ".{0,20}".prop_map(|id| MessageId::String(id.into())),
        any::<(u64, u32)>().prop_map(|(code, id)| MessageId::Other(Box::new(Described::new(&code, &id)))),
    ];
    (any::<bool>(), proptest::option::of(ids), map(), properties, map(), body).prop_map(
        |(durable, id, annotations, properties, footer, body)| {
            let map = |entries: Option<Annotations>| {
                entries.map(|entries| entries.iter().map(|(key, value)| (key, &value.0)).collect())
            };
            let mut message = Message { body, ..Message::default() };
            message.message_annotations = map(annotations);
            message.application_properties =
                properties.map(|entries| entries.iter().map(|(key, value)| (key.as_str(), &value.0)).collect());
            message.footer = map(footer);
            if durable {
                message = message.durable(true);
            }
            if let Some(id) = id {
                message = message.message_id(id);
            }
            message
        },
    )
}

type Entry = (Vec<u8>, Vec<u8>, Result<(), DecodeError>);

/// What walking a map hands out: as it is encoded, and whether the value is valid inside.
fn entry((key, value): (Value<'_>, Value<'_>)) -> Entry {
    (encode_to_vec(&key), encode_to_vec(&value), value.validate())
}

/// Both ways of walking a map hand out the same, or fail for the same reason at the same place.
fn assert_entries_as_iter(map: &Map<'_>) {
    let kept: Vec<Result<Entry, DecodeError>> = map.iter().map(|item| item.map(entry)).collect();
    let seen = map.entries().map(|item| item.and_then(|(key, value)| Ok(entry((key.to_value()?, value.to_value()?)))));
    assert_eq!(seen.collect::<Vec<_>>(), kept);
    // Named ones are the same up to the first whose key is no string; then they fail, as the key itself does.
    let mut named = map.named_entries();
    for item in map.iter() {
        match (named.next().unwrap(), item) {
            (Ok((key, value)), Ok((Value::String(name), expected))) => {
                assert_eq!((key, encode_to_vec(&value.to_value().unwrap())), (name.as_str(), encode_to_vec(&expected)));
            }
            (Err(found), Err(expected)) if found == expected => break,
            (Err(found), _) => {
                assert!(matches!(found.kind(), DecodeErrorKind::UnexpectedType { expected: "string", .. }), "{found}");
                break;
            }
            (Ok(found), item) => panic!("{found:?}, not {item:?}"),
        }
    }
    assert!(named.next().is_none());
}

/// Fields of properties, of which those at the end may be missing, or one be too many.
fn fields_of_properties() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let octets = |size: usize| vec(0x20..0x7f_u8, 0..size);
    let text = move |code| prop_oneof![3 => octets(30), 1 => octets(400)].prop_map(move |text| variable(code, &text));
    let id = move || {
        prop_oneof![
            text(0xa1),
            text(0xa0),
            any::<u64>().prop_map(ulong),
            any::<[u8; 16]>().prop_map(|octets| fixed(0x98, &octets)),
            any::<u64>().prop_map(|number| [&[0][..], &ulong(number), &ulong(number)].concat()),
        ]
    };
    let time = || any::<[u8; 8]>().prop_map(|octets| fixed(0x83, &octets)).boxed();
    let number = any::<[u8; 4]>().prop_map(|octets| fixed(0x70, &octets)).boxed();
    let string = move || text(0xa1).boxed();
    let first = [id().boxed(), text(0xa0).boxed(), string(), string(), string(), id().boxed()];
    let last = [text(0xa3).boxed(), text(0xa3).boxed(), time(), time(), string(), number, string(), string()];
    let fields: Vec<_> =
        first.into_iter().chain(last).map(|field| prop_oneof![2 => field, 1 => Just(vec![0x40])]).collect();
    (fields, 0..15_usize).prop_map(|(mut fields, count)| {
        fields.truncate(count);
        fields
    })
}

/// Fields of a transfer, of which those at the end may be missing, or one be too many.
fn fields_of_transfer() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let uint = || {
        prop_oneof![
            Just(vec![0x43]),
            any::<u8>().prop_map(|number| fixed(0x52, &[number])),
            any::<[u8; 4]>().prop_map(|octets| fixed(0x70, &octets)),
        ]
        .boxed()
    };
    let boolean = || prop_oneof![Just(vec![0x41]), Just(vec![0x42]), (0..3_u8).prop_map(|v| vec![0x56, v])].boxed();
    let tag = prop_oneof![Just(8), 0..40_usize].prop_flat_map(|size| vec(any::<u8>(), size));
    let state = prop_oneof![
        (0x23..0x28_u8).prop_map(|code| vec![0, 0x53, code, 0x45]),
        Just(vec![0, 0x53, 0x23, 0xc0, 3, 2, 0x43, 0x44]),
        Just(vec![0, 0x53, 0x70, 0x45]),
    ];
    let mode = (0..3_u8).prop_map(|mode| vec![0x50, mode]);
    let first = [uint(), uint(), tag.prop_map(|octets| variable(0xa0, &octets)).boxed(), uint(), boolean(), boolean()];
    let last = [mode.boxed(), state.boxed(), boolean(), boolean(), boolean(), boolean()];
    let fields: Vec<_> =
        first.into_iter().chain(last).map(|field| prop_oneof![5 => field, 1 => Just(vec![0x40])]).collect();
    (fields, 0..13_usize).prop_map(|(mut fields, count)| {
        fields.truncate(count);
        fields
    })
}

/// Properties and data are the same however they are asked for.
fn assert_sections_in_both_forms(view: &MessageView<'_>) {
    let section = Some(Section::Properties);
    let kept = view.properties_ref().and_then(|found| {
        found.map(PropertiesRef::to_properties).transpose().map_err(|error| MessageError::Malformed { section, error })
    });
    assert_eq!(kept, view.properties());
    let data = view.data().collect::<Vec<_>>();
    match view.body() {
        Ok(Body::Data(sections)) => assert_eq!(data, sections.collect::<Vec<_>>()),
        _ => assert_eq!(data, []),
    }
}

/// Every decoder on the same octets; whatever comes out can be encoded and decoded again.
fn decode_as_everything(octets: &[u8]) {
    if let Ok(value) = Reader::sized(octets).read::<Value<'_>>() {
        let _ = (value.validate(), format!("{value:?}"));
        read::<Value<'_>>(&encode_to_vec(&value));
        if let Value::Map(map) = &value {
            assert_entries_as_iter(map);
        }
    }
    if let Ok(performative) = Reader::sized(octets).read::<Performative<'_>>() {
        let _ = performative.validate();
        read::<Performative<'_>>(&encode_to_vec(&performative));
    }
    let _ = (SaslBody::decode_frame(octets), Reader::new(octets).skip(), ProtocolHeader::parse(octets));
    let _ = Reader::new(octets).read::<Multiple<Symbol<'_>>>();
    let mut rest = octets;
    while let Ok(Some(frame)) = next_frame(rest, 1 << 20) {
        rest = &rest[frame.header.size as usize..];
    }
    if let Ok(view) = MessageView::parse(octets) {
        assert_sections_in_both_forms(&view);
        let valid = view.validate().is_ok();
        match view.to_message() {
            Ok(message) => {
                let mut out = Vec::new();
                message.encode(&mut out);
                MessageView::parse(&out).and_then(|view| view.to_message()).unwrap();
            }
            Err(_) => assert!(!valid),
        }
    }
}

proptest! {
    #[test]
    fn values_survive_in_their_shortest_form((value, octets) in value()) {
        prop_assert_eq!(&encode_to_vec(&value), &octets);
        prop_assert_eq!(value.encoded_len(), octets.len());
        let again: Value<'_> = read(&octets);
        prop_assert_eq!(again.validate(), Ok(()));
        prop_assert_eq!(&encode_to_vec(&again), &octets);
        prop_assert_eq!(&again, &value);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!((reader.skip(), reader.is_empty()), (Ok(()), true));
        for cut in 0..octets.len() {
            let error = Reader::new(&octets[..cut]).read::<Value<'_>>().unwrap_err();
            prop_assert!(error.is_incomplete());
        }
    }

    #[test]
    fn entries_are_what_iter_hands_out(
        entries in vec((value(), value()), 1..6),
        damage in (any::<prop::sample::Index>(), any::<u8>()),
    ) {
        let values = || entries.iter().flat_map(|(key, value)| [key, value]);
        let mut octets: Vec<u8> = values().flat_map(|(_, octets)| octets.clone()).collect();
        let whole = compound(0xc1, values().count(), &octets);
        let map: Map<'_> = read(&whole);
        assert_entries_as_iter(&map);
        prop_assert_eq!(map.entries().count(), entries.len());
        let at = damage.0.index(octets.len());
        octets[at] = damage.1;
        let damaged = compound(0xc1, values().count(), &octets);
        assert_entries_as_iter(&read(&damaged));
    }

    #[test]
    fn properties_are_the_same_in_both_forms(
        fields in fields_of_properties(),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let list = compound(0xc0, fields.len(), &fields.concat());
        let mut octets = [&[0, 0x53, 0x73][..], &list, &[0, 0x53, 0x75, 0xa0, 1, 7]].concat();
        if let Some((at, value)) = damage {
            let at = at.index(octets.len());
            octets[at] = value;
        }
        if let Ok(view) = MessageView::parse(&octets) {
            assert_sections_in_both_forms(&view);
        }
    }

    #[test]
    fn a_transfer_is_the_same_alone_and_as_a_performative(
        fields in fields_of_transfer(),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut octets = [&[0, 0x53, 0x14][..], &compound(0xc0, fields.len(), &fields.concat()), b"payload"].concat();
        if let Some((at, value)) = damage {
            // Behind the descriptor: whatever is wrong there is told of a performative in other words.
            let at = 3 + at.index(octets.len() - 3);
            octets[at] = value;
        }
        let (mut alone, mut body) = (Reader::sized(&octets), Reader::sized(&octets));
        let found = alone.read::<Transfer<'_>>();
        prop_assert_eq!(body.read::<Performative<'_>>(), found.clone().map(Performative::Transfer));
        let mut again = Reader::sized(&octets);
        // Nothing may be left of what was there before.
        let mut into = Transfer {
            delivery_id: Some(DeliveryNumber(7)),
            delivery_tag: Some(DeliveryTag::from(7)),
            message_format: Some(MessageFormat(7)),
            settled: Some(true),
            more: true,
            rcv_settle_mode: Some(ReceiverSettleMode::Second),
            state: Some(DeliveryState::Accepted),
            resume: true,
            aborted: true,
            batchable: true,
            ..Transfer::new(Handle(7))
        };
        prop_assert_eq!(into.read_from(&mut again).map(|()| into), found.clone());
        if found.is_ok() {
            prop_assert_eq!(alone.rest(), body.rest());
            prop_assert_eq!(alone.rest(), again.rest());
        }
    }

    #[test]
    fn messages_survive(message in message()) {
        let mut octets = Vec::new();
        message.encode(&mut octets);
        prop_assert_eq!(&message.to_slices().concat(), &octets);
        prop_assert_eq!(message.encoded_len(), octets.len());
        prop_assert_eq!(message.validate(), Ok(()));
        prop_assert_eq!(&Message::decode_shared(&octets.clone().into()).unwrap(), &message);
        let view = MessageView::parse(&octets).unwrap();
        prop_assert_eq!(view.validate(), Ok(()));
        let again = view.to_message().unwrap();
        let mut twice = Vec::new();
        again.encode(&mut twice);
        prop_assert_eq!(&twice, &octets);
        prop_assert_eq!(again, message);
    }

    #[test]
    fn no_octets_make_a_decoder_panic(octets in vec(any::<u8>(), 0..400)) {
        decode_as_everything(&octets);
        for code in [0x10, 0x12, 0x13, 0x14, 0x15, 0x40, 0x41, 0x70, 0x73, 0x74, 0x75, 0x76, 0x77] {
            decode_as_everything(&[&[0, 0x53, code][..], &octets].concat());
        }
    }

    #[test]
    fn no_damage_makes_a_decoder_panic(
        (value, body, message) in (value(), body(), message()),
        damages in vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0x40), Just(0xf0)]), 1..4),
    ) {
        let mut whole = Vec::new();
        message.encode(&mut whole);
        for mut octets in [value.1, body, whole] {
            if octets.is_empty() {
                continue;
            }
            for (at, octet) in &damages {
                let at = at.index(octets.len());
                octets[at] = *octet;
            }
            decode_as_everything(&octets);
        }
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(
        bodies in vec((any::<bool>(), any::<u16>(), body()), 1..8),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        struct Body(Vec<u8>);
        impl Encode for Body {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for (sasl, channel, body) in bodies {
            let kind = if sasl { FrameType::Sasl } else { FrameType::Amqp };
            let size = encode_frame(kind, Channel(channel), &Body(body.clone()), &mut stream);
            prop_assert_eq!(size as usize, body.len() + 8);
            sent.push((kind, Channel(channel), body));
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let (mut buffer, mut received) = (Vec::new(), Vec::new());
        for piece in cuts.windows(2) {
            buffer.extend_from_slice(&stream[piece[0]..piece[1]]);
            while let Some(frame) = next_frame(&buffer, u32::MAX).unwrap() {
                received.push((frame.header.frame_type, frame.header.channel, frame.body.to_vec()));
                let size = frame.header.size as usize;
                buffer.drain(..size);
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert!(buffer.is_empty());
    }
}
