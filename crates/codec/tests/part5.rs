//! Part 5 of the specification, requirement by requirement. Each is named by its section and a number.

use amqp10_codec::sasl::{
    Mechanisms, SaslBody, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse,
};
use amqp10_codec::{
    Channel, DecodeErrorKind, Encode, FrameErrorKind, FrameType, MIN_MAX_FRAME_SIZE, ProtocolHeader, Symbol,
    encode_frame, encode_to_vec, next_frame,
};

fn frame(octets: &[u8]) -> Vec<u8> {
    let size = octets.len() as u32 + 4;
    [&size.to_be_bytes()[..], octets].concat()
}

#[test]
fn headers() {
    // 5.2.2-01, 5.3.4-01
    assert_eq!(ProtocolHeader::TLS.to_octets(), *b"AMQP\x02\x01\0\0");
    assert_eq!(ProtocolHeader::SASL.to_octets(), *b"AMQP\x03\x01\0\0");
    for header in [ProtocolHeader::TLS, ProtocolHeader::SASL] {
        assert_eq!(ProtocolHeader::parse(&header.to_octets()), Ok(Some(header)));
    }
}

fn init() -> SaslInit<'static> {
    SaslInit { mechanism: Symbol::from_static("PLAIN"), initial_response: None, hostname: None }
}

#[test]
fn frames() {
    let init = init();
    let body = encode_to_vec(&init);
    let mut octets = Vec::new();
    encode_frame(FrameType::Sasl, Channel(0), &init, &mut octets);
    // 5.3.1-01, 5.3.1-03, 5.3.1-05
    assert_eq!(octets, frame(&[&[2, 1, 0, 0][..], &body].concat()));
    // 5.3.1-02, 5.3.1-04
    for head in [&[2, 1, 0x12, 0x34][..], &[3, 1, 0, 0, 0xee, 0xee, 0xee, 0xee]] {
        let octets = frame(&[head, &body].concat());
        let found = next_frame(&octets, MIN_MAX_FRAME_SIZE).unwrap().unwrap();
        assert_eq!(found.header.frame_type, FrameType::Sasl);
        assert_eq!(SaslBody::decode_frame(found.body), Ok(SaslBody::Init(init.clone())));
    }
}

#[test]
fn sizes_and_bodies_of_frames() {
    // 5.3.1-06
    let error = next_frame(&[0, 0, 2, 1, 2, 1, 0, 0], MIN_MAX_FRAME_SIZE).unwrap_err();
    assert_eq!(error.kind(), FrameErrorKind::TooLarge);
    assert_eq!(next_frame(&[0, 0, 2, 0, 2, 1, 0, 0], MIN_MAX_FRAME_SIZE), Ok(None));
    // 5.3.1-07
    let body = encode_to_vec(&init());
    for body in
        [&b"\0\x53\x10\xc0\x04\x01\xa1\x01c"[..], &[&body[..], &body].concat(), &[&body[..], b"\x40"].concat(), b""]
    {
        assert!(SaslBody::decode_frame(body).is_err());
    }
}

/// A body in either form of its descriptor.
fn both_ways(body: &SaslBody<'_>, name: &str, code: u8, fields: &[&[u8]]) {
    let list = fields.concat();
    let list = [&[0xc0, list.len() as u8 + 1, fields.len() as u8][..], &list].concat();
    let octets = [&[0, 0x53, code][..], &list].concat();
    assert_eq!(SaslBody::decode_frame(&octets).as_ref(), Ok(body));
    assert_eq!(encode_to_vec(body), octets);
    let mut by_name = vec![0];
    Symbol::new(format!("amqp:{name}:list")).unwrap().encode(&mut by_name);
    by_name.extend_from_slice(&list);
    assert_eq!(SaslBody::decode_frame(&by_name).as_ref(), Ok(body));
}

#[test]
fn bodies() {
    let symbol = Symbol::from_static;
    // 5.3.3.1-01
    let mechanisms = |names: &[&'static str]| {
        let mechanisms = Mechanisms(names.iter().map(|name| symbol(name)).collect());
        SaslBody::Mechanisms(SaslMechanisms { sasl_server_mechanisms: mechanisms })
    };
    both_ways(&mechanisms(&["PLAIN"]), "sasl-mechanisms", 0x40, &[b"\xa3\x05PLAIN"]);
    let several = b"\xe0\x12\x02\xa3\x05PLAIN\x09ANONYMOUS";
    both_ways(&mechanisms(&["PLAIN", "ANONYMOUS"]), "sasl-mechanisms", 0x40, &[several]);
    // 5.3.3.2-01
    let init = SaslInit { mechanism: symbol("PLAIN"), initial_response: Some(b"r".into()), hostname: Some("h".into()) };
    both_ways(&SaslBody::Init(init), "sasl-init", 0x41, &[b"\xa3\x05PLAIN", b"\xa0\x01r", b"\xa1\x01h"]);
    // 5.3.3.3-01
    let challenge = SaslBody::Challenge(SaslChallenge { challenge: b"c".into() });
    both_ways(&challenge, "sasl-challenge", 0x42, &[b"\xa0\x01c"]);
    // 5.3.3.4-01
    both_ways(&SaslBody::Response(SaslResponse { response: b"r".into() }), "sasl-response", 0x43, &[b"\xa0\x01r"]);
    both_ways(&SaslBody::Response(SaslResponse { response: b"".into() }), "sasl-response", 0x43, &[b"\xa0\0"]);
}

#[test]
fn outcomes() {
    // 5.3.3.5-01, 5.3.3.6-01
    let codes = [SaslCode::Ok, SaslCode::Auth, SaslCode::Sys, SaslCode::SysPerm, SaslCode::SysTemp];
    for (number, code) in codes.into_iter().enumerate() {
        let outcome = SaslBody::Outcome(SaslOutcome { code, additional_data: Some(b"d".into()) });
        both_ways(&outcome, "sasl-outcome", 0x44, &[&[0x50, number as u8], b"\xa0\x01d"]);
    }
    // 5.3.3.6-03
    for code in [5, 255] {
        let error = SaslBody::decode_frame(&[0, 0x53, 0x44, 0xc0, 3, 1, 0x50, code]).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::InvalidValue("the code of a sasl-outcome"));
    }
}
