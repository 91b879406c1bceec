//! What is made for fuzzing can be encoded and decoded.

use std::collections::HashSet;
use std::fmt::Debug;
use std::mem::{Discriminant, discriminant};

use amqp10_codec::sasl::SaslBody;
use amqp10_codec::{Decode, Message, MessageView, Performative, Reader, Value, encode_to_vec};
use arbitrary::{Arbitrary, Unstructured};
use proptest::collection::vec;
use proptest::prelude::*;

fn make<'a, T: Arbitrary<'a>>(octets: &'a [u8]) -> T {
    Unstructured::new(octets).arbitrary().unwrap()
}

fn decode<'a, T: Decode<'a> + Debug>(octets: &'a [u8]) -> T {
    let mut reader = Reader::sized(octets);
    let value = reader.read().unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
    reader.finish().unwrap();
    value
}

fn kind(octets: &[u8]) -> Discriminant<Value<'static>> {
    discriminant(&make::<Value<'static>>(octets))
}

#[test]
fn every_kind_of_value_comes_up() {
    let kinds: HashSet<_> = (0..=255).map(|octet| kind(&[octet; 16])).collect();
    assert_eq!(kinds.len(), 25);
}

proptest! {
    #[test]
    fn values_are_well_formed(octets in vec(any::<u8>(), 0..400)) {
        let value: Value<'_> = make(&octets);
        prop_assert_eq!(value.validate(), Ok(()));
        let wire = encode_to_vec(&value);
        let decoded: Value<'_> = decode(&wire);
        prop_assert_eq!(decoded.validate(), Ok(()));
        prop_assert_eq!(encode_to_vec(&decoded), wire);
    }

    #[test]
    fn frame_bodies_are_well_formed(octets in vec(any::<u8>(), 0..600)) {
        let body: Performative<'_> = make(&octets);
        let wire = encode_to_vec(&body);
        let decoded: Performative<'_> = decode(&wire);
        // A null that an optional value was is none from now on.
        let once = encode_to_vec(&decoded);
        prop_assert_eq!(encode_to_vec(&decode::<Performative<'_>>(&once)), once);
        let body: SaslBody<'_> = make(&octets);
        let encode = |body: &SaslBody<'_>| match body {
            SaslBody::Mechanisms(body) => encode_to_vec(body),
            SaslBody::Init(body) => encode_to_vec(body),
            SaslBody::Challenge(body) => encode_to_vec(body),
            SaslBody::Response(body) => encode_to_vec(body),
            SaslBody::Outcome(body) => encode_to_vec(body),
        };
        let wire = encode(&body);
        prop_assert_eq!(encode(&SaslBody::decode_frame(&wire).unwrap()), wire);
    }

    #[test]
    fn messages_are_valid(octets in vec(any::<u8>(), 0..600)) {
        let message: Message = make(&octets);
        let mut wire = Vec::new();
        message.encode(&mut wire);
        let view = MessageView::parse(&wire).unwrap();
        prop_assert_eq!(view.validate(), Ok(()));
        let mut twice = Vec::new();
        view.to_message().unwrap().encode(&mut twice);
        prop_assert_eq!(twice, wire);
    }
}
