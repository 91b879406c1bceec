use amqp10_codec::sasl::{Mechanisms, SaslChallenge, SaslCode, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse};
use amqp10_codec::{Binary, Channel, Encode, FrameErrorKind, FrameType, Symbol, encode_frame};

use super::*;

const SASL: [u8; 8] = *b"AMQP\x03\x01\x00\x00";
const AMQP: [u8; 8] = *b"AMQP\x00\x01\x00\x00";

fn frame(body: &impl Encode) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(FrameType::Sasl, Channel(0), body, &mut out);
    out
}

fn client() -> SaslClient {
    SaslClient::new(vec![Box::new(Plain::new("user", "password"))], Some("host".into()))
}

/// A client that has sent its init.
fn waiting_client() -> SaslClient {
    let (mut client, mut server) = (client(), SaslServer::new(true, true));
    let mut input = BytesMut::from(&client.take_output()[..]);
    server.handle_input(&mut input).unwrap();
    let mut input = BytesMut::from(&server.take_output()[..]);
    assert_eq!(client.handle_input(&mut input), Ok(Progress::Wait));
    client.take_output();
    client
}

fn outcome(code: SaslCode) -> Vec<u8> {
    frame(&SaslOutcome { code, additional_data: None })
}

fn init(mechanism: &'static str, response: &'static [u8]) -> Vec<u8> {
    let mechanism = Symbol::from_static(mechanism);
    frame(&SaslInit { mechanism, initial_response: Some(Binary::from(response)), hostname: None })
}

fn serve(octets: &[u8]) -> (Result<ServerStep, SaslError>, Vec<u8>) {
    let mut server = SaslServer::new(true, false);
    let result = server.handle_input(&mut BytesMut::from(octets));
    (result, server.take_output())
}

#[test]
fn h31_success_with_outcome_header_and_open_in_one_segment_and_split_at_every_octet() {
    // 5.3-04
    let next_layer = [&AMQP[..], b"open"].concat();
    let all = [outcome(SaslCode::Ok), next_layer.clone()].concat();
    for cut in 0..=all.len() {
        let mut client = waiting_client();
        let mut input = BytesMut::from(&all[..cut]);
        let mut progress = client.handle_input(&mut input).unwrap();
        input.extend_from_slice(&all[cut..]);
        if progress == Progress::Wait {
            progress = client.handle_input(&mut input).unwrap();
        }
        assert_eq!(progress, Progress::Done, "cut at {cut}");
        assert_eq!(input, next_layer, "cut at {cut}");
    }
}

#[test]
fn h31_what_a_client_pipelines_behind_its_init_belongs_to_the_next_layer() {
    // 5.3-05, 5.3.3.2-05
    let all = [&SASL[..], &init("PLAIN", b"\0user\0password"), &AMQP, b"open"].concat();
    for cut in 0..=all.len() {
        let mut server = SaslServer::new(true, false);
        let mut input = BytesMut::from(&all[..cut]);
        let mut step = server.handle_input(&mut input).unwrap();
        input.extend_from_slice(&all[cut..]);
        if step == ServerStep::Wait {
            step = server.handle_input(&mut input).unwrap();
        }
        let ServerStep::Judge(Attempt::Plain { user, password, .. }) = step else { panic!("cut at {cut}: {step:?}") };
        assert_eq!((user.as_str(), password.expose()), ("user", "password"));
        assert!(server.decide(Verdict::Accept));
        assert_eq!(server.handle_input(&mut input), Ok(ServerStep::Done));
        assert_eq!(input, [&AMQP[..], b"open"].concat());
    }
}

#[test]
fn h31_failure_codes_1_to_4() {
    // 5.3.3.6-02
    for code in [SaslCode::Auth, SaslCode::Sys, SaslCode::SysPerm, SaslCode::SysTemp] {
        let result = waiting_client().handle_input(&mut BytesMut::from(&outcome(code)[..]));
        assert_eq!(result, Err(SaslError::Refused(code)));
    }
}

#[test]
fn h31_unsupported_mechanism() {
    // 5.3.2-02, 5.3.3.2-02
    let (result, output) = serve(&[&SASL[..], &init("SCRAM-SHA-1", b"n,,")].concat());
    assert_eq!(result, Err(SaslError::Refused(SaslCode::Auth)));
    assert!(output.ends_with(&outcome(SaslCode::Auth)), "the client is told");

    let mut client = SaslClient::new(vec![Box::new(Plain::new("u", "p"))], None);
    let mut server = SaslServer::new(false, true);
    server.handle_input(&mut BytesMut::from(&SASL[..])).unwrap();
    let mut offer = BytesMut::from(&server.take_output()[..]);
    assert!(matches!(client.handle_input(&mut offer), Err(SaslError::NoCommonMechanism { .. })));
}

#[test]
fn h31_bypass_by_an_amqp_header() {
    // 5.3-01
    let (result, output) = serve(&AMQP);
    assert!(matches!(result, Err(SaslError::Header(_))));
    assert_eq!(output, SASL, "the server tells what it speaks, and nothing else");
    let mut client = client();
    assert!(matches!(client.handle_input(&mut BytesMut::from(&AMQP[..])), Err(SaslError::Header(_))));
}

#[test]
fn h11_tls_header_and_garbage_instead_of_the_sasl_header() {
    for octets in
        [&b"AMQP\x02\x01\x00\x00"[..], b"GET / HTTP/1.1\r\n", b"AMQP\x03\x01\x00\x01", b"AMQP\x03\x00\x09\x01"]
    {
        let (result, output) = serve(octets);
        assert!(matches!(result, Err(SaslError::Header(_))), "{octets:?}");
        assert_eq!(output, SASL);
    }
}

#[test]
fn h31_client_that_sends_server_frames() {
    // 5.3.2-05
    for body in [outcome(SaslCode::Ok), frame(&SaslChallenge { challenge: Binary::from(b"x") })] {
        let (result, _) = serve(&[&SASL[..], &body].concat());
        assert!(matches!(result, Err(SaslError::Unexpected(_))));
    }
}

#[test]
fn h31_server_that_sends_client_frames() {
    // 5.3.2-03
    let body = frame(&SaslResponse { response: Binary::from(b"x") });
    let result = waiting_client().handle_input(&mut BytesMut::from(&body[..]));
    assert_eq!(result, Err(SaslError::Unexpected("sasl-response")));
}

#[test]
fn h31_frames_after_a_refusal_change_nothing() {
    let mut server = SaslServer::new(true, false);
    let mut input = BytesMut::from(&[&SASL[..], &init("PLAIN", b"\0u\0p")].concat()[..]);
    assert!(matches!(server.handle_input(&mut input), Ok(ServerStep::Judge(_))));
    assert!(!server.decide(Verdict::Refuse));
    assert!(!server.decide(Verdict::Accept), "a verdict is final");
    let mut again = BytesMut::from(&init("PLAIN", b"\0u\0p")[..]);
    assert_eq!(server.handle_input(&mut again), Err(SaslError::Refused(SaslCode::Auth)));
}

#[test]
fn h31_frames_after_the_outcome_change_nothing_for_a_client() {
    let mut client = waiting_client();
    let mut input = BytesMut::from(&[outcome(SaslCode::Auth), outcome(SaslCode::Ok)].concat()[..]);
    for _ in 0..3 {
        assert_eq!(client.handle_input(&mut input), Err(SaslError::Refused(SaslCode::Auth)));
    }
    // After success they belong to the next layer, whatever they are.
    let mut client = waiting_client();
    let after = [outcome(SaslCode::Auth), frame(&SaslChallenge { challenge: Binary::from(b"x") })].concat();
    let mut input = BytesMut::from(&[outcome(SaslCode::Ok), after.clone()].concat()[..]);
    for _ in 0..3 {
        assert_eq!(client.handle_input(&mut input), Ok(Progress::Done));
        assert_eq!(input, after);
    }
}

#[test]
fn h31_frames_after_a_broken_rule_change_nothing() {
    let broken =
        [outcome(SaslCode::Ok), vec![0, 0, 0, 8, 2, 1, 0, 0], vec![0, 0, 0, 7], b"\0\0\0\x0a\x02\x01\0\0xx".to_vec()];
    for broken in broken {
        let mut server = SaslServer::new(true, true);
        let mut input = BytesMut::from(&[&SASL[..], &broken].concat()[..]);
        let error = server.handle_input(&mut input).unwrap_err();
        server.take_output();
        let mut again = BytesMut::from(&init("PLAIN", b"\0u\0p")[..]);
        assert_eq!(server.handle_input(&mut again), Err(error));
        assert!(!server.decide(Verdict::Accept));
        assert!(server.take_output().is_empty());
    }
    let mut server = SaslServer::new(true, true);
    server.handle_input(&mut BytesMut::from(&AMQP[..])).unwrap_err();
    assert!(server.handle_input(&mut BytesMut::from(&SASL[..])).is_err(), "a second header does not help");

    for broken in [frame(&SaslResponse { response: Binary::from(b"x") }), vec![0, 0, 0, 8, 2, 1, 0, 0]] {
        let mut client = waiting_client();
        let error = client.handle_input(&mut BytesMut::from(&broken[..])).unwrap_err();
        assert_eq!(client.handle_input(&mut BytesMut::from(&outcome(SaslCode::Ok)[..])), Err(error));
    }
}

#[test]
fn what_a_server_offers() {
    // 5.3.2-01, 5.3.3.1-03, 5.3.3.1-04
    for (plain, anonymous, names) in
        [(true, true, &["PLAIN", "ANONYMOUS"][..]), (true, false, &["PLAIN"]), (false, true, &["ANONYMOUS"])]
    {
        let mut server = SaslServer::new(plain, anonymous);
        server.handle_input(&mut BytesMut::from(&SASL[..])).unwrap();
        let offer = names.iter().map(|name| Symbol::from_static(name)).collect();
        let offer = frame(&SaslMechanisms { sasl_server_mechanisms: Mechanisms(offer) });
        assert_eq!(server.take_output(), [&SASL[..], &offer].concat());
    }
}

#[test]
fn an_offer_of_nothing_is_refused() {
    // 5.3.3.1-02
    for none in [&b"\xc0\x02\x01\x40"[..], b"\xc0\x05\x01\xe0\x02\x00\xa3", b"\x45"] {
        let body = [b"\0\x53\x40", none].concat();
        let octets = [&SASL[..], &[0, 0, 0, 8 + body.len() as u8, 2, 1, 0, 0], &body].concat();
        let result = client().handle_input(&mut BytesMut::from(&octets[..]));
        assert!(matches!(result, Err(SaslError::Decode(_))), "{result:?}");
    }
}

/// A mechanism that answers nothing at first, and wants a proof in the end.
struct Mutual;

impl Mechanism for Mutual {
    fn name(&self) -> &str {
        "PLAIN"
    }
    fn initial_response(&mut self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        None
    }
    fn respond(&mut self, _: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
        Ok(Vec::new().into())
    }
    fn verify(&mut self, additional: Option<&[u8]>) -> Result<(), String> {
        if additional == Some(b"proof") { Ok(()) } else { Err("no proof".into()) }
    }
}

/// A client of this mechanism, and what it said to begin with.
fn begun(mechanism: Box<dyn Mechanism>, server: SaslServer) -> (SaslClient, Vec<u8>) {
    let (mut client, mut server) = (SaslClient::new(vec![mechanism], None), server);
    client.take_output();
    server.handle_input(&mut BytesMut::from(&SASL[..])).unwrap();
    client.handle_input(&mut BytesMut::from(&server.take_output()[..])).unwrap();
    let init = client.take_output().to_vec();
    (client, init)
}

#[test]
fn no_response_and_an_empty_one_differ() {
    // 5.3.3.2-04
    let (_, none) = begun(Box::new(Mutual), SaslServer::new(true, false));
    assert_eq!(
        none,
        frame(&SaslInit { mechanism: Symbol::from_static("PLAIN"), initial_response: None, hostname: None })
    );
    let (_, empty) = begun(Box::new(Anonymous), SaslServer::new(false, true));
    assert_eq!(empty, init("ANONYMOUS", b""));
    assert!(none.ends_with(b"PLAIN") && empty.ends_with(b"ANONYMOUS\xa0\0"));
}

#[test]
fn a_success_without_its_proof_is_none() {
    // 5.3.3.5-06
    for (proof, good) in [(None, false), (Some(&b"forged"[..]), false), (Some(b"proof"), true)] {
        let (mut client, _) = begun(Box::new(Mutual), SaslServer::new(true, false));
        let outcome = SaslOutcome { code: SaslCode::Ok, additional_data: proof.map(Binary::from) };
        let result = client.handle_input(&mut BytesMut::from(&frame(&outcome)[..]));
        assert_eq!(result.is_ok(), good, "{result:?}");
        assert_eq!(client.handle_input(&mut BytesMut::new()).is_ok(), good, "and stays none");
    }
    let (mut client, _) = begun(Box::new(Mutual), SaslServer::new(true, false));
    let failed = SaslOutcome { code: SaslCode::Auth, additional_data: Some(Binary::from(&b"proof"[..])) };
    let result = client.handle_input(&mut BytesMut::from(&frame(&failed)[..]));
    assert_eq!(result, Err(SaslError::Refused(SaslCode::Auth)));
}

#[test]
fn h31_empty_frame() {
    // 5.3.1-08
    let empty = [0, 0, 0, 8, 2, 1, 0, 0];
    let (result, _) = serve(&[&SASL[..], &empty].concat());
    assert_eq!(result, Err(SaslError::Unexpected("an empty frame")));
    let result = waiting_client().handle_input(&mut BytesMut::from(&empty[..]));
    assert_eq!(result, Err(SaslError::Unexpected("an empty frame")));
}

#[test]
fn h10_amqp_frames_in_the_sasl_layer() {
    let mut octets = Vec::new();
    encode_frame(FrameType::Amqp, Channel(0), &amqp10_codec::Close { error: None }, &mut octets);
    let (result, _) = serve(&[&SASL[..], &octets].concat());
    assert_eq!(result, Err(SaslError::Unexpected("an AMQP frame")));
    octets[5] = 1;
    let (result, _) = serve(&[&SASL[..], &octets].concat());
    assert!(matches!(result, Err(SaslError::Decode(_))), "a performative in a SASL frame");
}

#[test]
fn h31_very_long_response() {
    let long = frame(&SaslInit {
        mechanism: Symbol::from_static("PLAIN"),
        initial_response: Some(Binary::from(vec![b'x'; 9000])),
        hostname: None,
    });
    // Judged by its header, before its body is there.
    let (result, _) = serve(&[&SASL[..], &long[..8]].concat());
    assert!(matches!(result, Err(SaslError::Frame(error)) if error.kind() == FrameErrorKind::TooLarge));
    let mut strict = SaslServer::new(true, false).max_frame_size(512);
    let head = [&SASL[..], &[0, 0, 2, 1, 2, 1, 0, 0]].concat();
    assert!(matches!(strict.handle_input(&mut BytesMut::from(&head[..])), Err(SaslError::Frame(_))));
}

#[test]
fn h31_challenge_ping_pong() {
    struct Patient;
    impl Mechanism for Patient {
        fn name(&self) -> &str {
            "PLAIN"
        }
        fn initial_response(&mut self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
            None
        }
        fn respond(&mut self, _: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
            Ok(Vec::new().into())
        }
    }
    let mut client = SaslClient::new(vec![Box::new(Patient)], None);
    let mut server = SaslServer::new(true, false);
    server.handle_input(&mut BytesMut::from(&SASL[..])).unwrap();
    client.handle_input(&mut BytesMut::from(&server.take_output()[..])).unwrap();
    let challenge = frame(&SaslChallenge { challenge: Binary::from(b"again") });
    for _ in 0..MAX_CHALLENGES {
        assert_eq!(client.handle_input(&mut BytesMut::from(&challenge[..])), Ok(Progress::Wait));
    }
    assert_eq!(client.handle_input(&mut BytesMut::from(&challenge[..])), Err(SaslError::TooManyChallenges));
}

#[test]
fn plain_is_refused_over_clear_text_unless_allowed() {
    let mut client = client().over_clear_text(true);
    let mut server = SaslServer::new(true, false);
    server.handle_input(&mut BytesMut::from(&SASL[..])).unwrap();
    let mut offer = BytesMut::from(&server.take_output()[..]);
    assert_eq!(client.handle_input(&mut offer), Err(SaslError::ClearText));
}

#[test]
fn h32_nothing_secret_is_printed() {
    let attempt = Attempt::Plain {
        authorization: String::new(),
        user: "user|securityToken=t|".into(),
        password: "password".into(),
        hostname: None,
    };
    let printed = format!("{attempt:?} {:?}", Plain::new("user|securityToken=t|", "password"));
    assert!(!printed.contains("password") && !printed.contains("securityToken"), "{printed}");
}
