//! SASL over streams: who falls silent is cut off, and who floods is stopped.

use std::io;
use std::time::Duration;

use amqp10_codec::sasl::{Mechanisms, SaslCode, SaslInit, SaslMechanisms, SaslOutcome};
use amqp10_codec::{Binary, Channel, Encode, FrameType, Symbol, encode_frame};
use amqp10_transport::sasl::{Attempt, SaslError, Verdict};
use amqp10_transport::{
    AcceptError, AcceptOptions, Accepted, ConnectError, ConnectOptions, Established, SaslProfile, Step, TlsClient,
    TlsServer, accept, connect, connect_over,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

const SASL: [u8; 8] = *b"AMQP\x03\x01\x00\x00";
const AMQP: [u8; 8] = *b"AMQP\x00\x01\x00\x00";
/// A limit for streams that are real.
const SHORT: Duration = Duration::from_millis(200);

fn frame(body: &impl Encode) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(FrameType::Sasl, Channel(0), body, &mut out);
    out
}

fn mechanisms() -> Vec<u8> {
    let offer = ["PLAIN", "ANONYMOUS"].map(Symbol::from_static);
    frame(&SaslMechanisms { sasl_server_mechanisms: Mechanisms(offer.into_iter().collect()) })
}

fn outcome(code: SaslCode) -> Vec<u8> {
    frame(&SaslOutcome { code, additional_data: None })
}

fn init() -> Vec<u8> {
    let (mechanism, response) = (Symbol::from_static("PLAIN"), Binary::from(&b"\0user\0hunter2"[..]));
    frame(&SaslInit { mechanism, initial_response: Some(response), hostname: None })
}

fn plain() -> ConnectOptions {
    let mut options = ConnectOptions::new("host.example", 0);
    options.sasl = SaslProfile::Plain { user: "user".into(), password: "hunter2".into() };
    options
}

/// What becomes of a client whose server says this after each other, a second apart, and falls silent then.
async fn served(parts: &[&[u8]], options: &ConnectOptions) -> Result<Established, ConnectError> {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let speaking = async {
        for part in parts {
            theirs.write_all(part).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = connect_over(ours, true, options) => result,
        () = speaking => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn h31_a_server_that_falls_silent_is_given_up() {
    let (mechanisms, outcome) = (mechanisms(), outcome(SaslCode::Ok));
    let steps: [&[&[u8]]; 7] = [
        &[],
        &[&SASL[..5]],
        &[&SASL],
        &[&SASL, &mechanisms[..3]],
        &[&SASL, &mechanisms[..20]],
        &[&SASL, &mechanisms],
        &[&SASL, &mechanisms, &outcome[..outcome.len() - 1]],
    ];
    for parts in steps {
        let began = Instant::now();
        let error = served(parts, &plain()).await.unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut(Step::Sasl)), "{parts:?}: {error:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(10), "{parts:?}");
    }
    // All of it together has the limit, so that dripping does not help.
    let all = [&SASL[..], &mechanisms, &outcome].concat();
    let drops: Vec<&[u8]> = all.chunks(1).collect();
    let began = Instant::now();
    let error = served(&drops, &plain()).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut(Step::Sasl)), "{error:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

/// What becomes of a server whose client says this and falls silent then.
async fn connected(octets: &[u8], options: AcceptOptions, verdict: Option<Verdict>) -> Result<Accepted, AcceptError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    let judge = |_: Attempt| async move {
        match verdict {
            Some(verdict) => verdict,
            None => std::future::pending().await,
        }
    };
    client.write_all(octets).await.unwrap();
    let result = accept(tcp, &options, judge).await;
    drop(client);
    result
}

fn short() -> AcceptOptions {
    let mut options = AcceptOptions::default();
    options.time_limit = SHORT;
    options
}

#[tokio::test]
async fn h31_a_client_that_falls_silent_is_given_up() {
    let init = init();
    let bypass = {
        let mut options = short();
        options.without_sasl = true;
        options
    };
    let steps = [
        (vec![], short()),
        (SASL[..5].to_vec(), short()),
        (SASL.to_vec(), short()),
        ([&SASL[..], &init[..3]].concat(), short()),
        ([&SASL[..], &init[..init.len() - 1]].concat(), short()),
        // Half an AMQP header, where it is permitted.
        (AMQP[..7].to_vec(), bypass),
    ];
    for (octets, options) in steps {
        let error = connected(&octets, options, Some(Verdict::Accept)).await.unwrap_err();
        assert!(matches!(error, AcceptError::TimedOut(Step::Sasl)), "{octets:?}: {error:?}");
    }
    // Nor does a judge take for ever.
    let error = connected(&[&SASL[..], &init].concat(), short(), None).await.unwrap_err();
    assert!(matches!(error, AcceptError::TimedOut(Step::Sasl)), "{error:?}");
}

#[tokio::test]
async fn h31_whoever_falls_silent_before_sasl_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // The listener takes the connection in, and nobody answers.
    let mut options = ConnectOptions::new("127.0.0.1", port);
    options.tls = Some(TlsClient::new().unwrap());
    options.timeouts.tls = SHORT;
    let error = connect(&options).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut(Step::Tls)), "{error:?}");

    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = TlsServer::new(None, key.cert.pem().as_bytes(), key.signing_key.serialize_pem().as_bytes()).unwrap();
    let mut options = short();
    options.tls = Some(tls);
    let error = connected(b"\x16\x03\x01", options, Some(Verdict::Accept)).await.unwrap_err();
    assert!(matches!(error, AcceptError::TimedOut(Step::Tls)), "{error:?}");
}

/// The only thread that could look the name up is busy.
#[test]
fn h31_a_name_that_is_not_resolved_is_given_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (release, busy) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || busy.recv());
    let mut options = ConnectOptions::new("localhost", 1);
    options.timeouts.resolve = SHORT;
    let error = runtime.block_on(connect(&options)).unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut(Step::Resolve)), "{error:?}");
    drop(release);
}

/// A listener whose queue is full does not answer on Linux.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn h31_a_host_that_does_not_answer_is_given_up() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue is never full");
    }
    let mut options = ConnectOptions::new("127.0.0.1", address.port());
    options.timeouts.tcp = SHORT;
    let error = connect(&options).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut(Step::Tcp)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn h31_outcome_header_and_open_in_one_segment_and_split_at_every_octet() {
    let next_layer = [&AMQP[..], b"\0\0\0\x0aopen.."].concat();
    let all = [&outcome(SaslCode::Ok)[..], &next_layer].concat();
    let before = [&SASL[..], &mechanisms()].concat();
    for cut in 0..=all.len() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (first, second) = all.split_at(cut);
        let speaking = async {
            theirs.write_all(&before).await.unwrap();
            // The init of the client is here: an outcome is due.
            theirs.read_exact(&mut vec![0; SASL.len() + 1]).await.unwrap();
            theirs.write_all(first).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            theirs.write_all(second).await.unwrap();
            theirs
        };
        let options = plain();
        let (established, theirs) = tokio::join!(connect_over(ours, true, &options), speaking);
        let Established { mut stream, leftover, .. } = established.unwrap();
        drop(theirs);
        let mut found = leftover.to_vec();
        stream.read_to_end(&mut found).await.unwrap();
        assert_eq!(found, next_layer, "cut at {cut}");
    }
}

#[tokio::test]
async fn h31_what_a_client_sends_behind_its_init_is_handed_on_or_thrown_away() {
    let all = [&SASL[..], &init(), &AMQP, b"open"].concat();
    let accepted = connected(&all, AcceptOptions::default(), Some(Verdict::Accept)).await.unwrap();
    assert!(matches!(accepted.attempt, Some(Attempt::Plain { .. })));
    assert_eq!(accepted.leftover, [&AMQP[..], b"open"].concat());
    for (verdict, code) in [(Verdict::Refuse, SaslCode::Auth), (Verdict::Unavailable, SaslCode::SysTemp)] {
        let error = connected(&all, AcceptOptions::default(), Some(verdict)).await.unwrap_err();
        assert!(matches!(error, AcceptError::Sasl(SaslError::Refused(found)) if found == code), "{error:?}");
    }
}

/// `a\0b` would sign `a` in, with `b` and what follows as the password.
#[tokio::test(start_paused = true)]
async fn a_user_name_or_password_with_nul_is_not_sent() {
    for (user, password) in [("a\0b", "c"), ("a", "b\0c")] {
        let mut options = plain();
        options.sasl = SaslProfile::Plain { user: user.into(), password: password.into() };
        let error = served(&[&SASL, &mechanisms()], &options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Sasl(SaslError::Mechanism { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn h31_bypass_over_a_stream() {
    for header in [AMQP, *b"AMQP\x02\x01\x00\x00", *b"AMQP\x00\x00\x09\x01"] {
        let octets = [&header[..], b"\0\0\0\x0aopen.."].concat();
        let error = connected(&octets, AcceptOptions::default(), Some(Verdict::Accept)).await.unwrap_err();
        assert!(matches!(error, AcceptError::Sasl(SaslError::Header(_))), "{error:?}");
    }
    // Where it is permitted, AMQP is let through, and nothing else.
    let permitted = || {
        let mut options = AcceptOptions::default();
        options.without_sasl = true;
        options
    };
    let accepted = connected(&[&AMQP[..], b"open"].concat(), permitted(), None).await.unwrap();
    assert_eq!((accepted.attempt, &accepted.leftover[..]), (None, &[&AMQP[..], b"open"].concat()[..]));
    let error = connected(b"AMQP\x02\x01\x00\x00", permitted(), None).await.unwrap_err();
    assert!(matches!(error, AcceptError::Sasl(SaslError::Header(_))), "{error:?}");
    let accepted = connected(&[&SASL[..], &init()].concat(), permitted(), Some(Verdict::Accept)).await.unwrap();
    assert!(accepted.attempt.is_some());
}

fn too_many(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// However large a frame may be, no more than 64 KiB of it are taken from a peer that nobody knows.
#[tokio::test(start_paused = true)]
async fn h32_memory_before_authentication_is_capped() {
    let flood = [&[0x10, 0, 0, 0, 2, 1, 0, 0][..], &vec![0; 1 << 20]].concat();
    let mut options = plain();
    options.sasl_max_frame_size = u32::MAX;
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let mut taken = 0;
    let flooding = async {
        theirs.write_all(&SASL).await.unwrap();
        for chunk in flood.chunks(256) {
            if theirs.write_all(chunk).await.is_err() {
                break;
            }
            taken += chunk.len();
        }
    };
    let (result, ()) = tokio::join!(connect_over(ours, true, &options), flooding);
    let error = result.unwrap_err();
    assert!(matches!(&error, ConnectError::SaslStream(error) if too_many(error)), "{error:?}");
    assert!(taken <= 64 * 1024 + 2 * 4096, "{taken} octets were taken");

    // By default the frame is refused by its header.
    let error = served(&[&SASL, &flood], &plain()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Sasl(SaslError::Frame(_))), "{error:?}");
}

#[tokio::test]
async fn h32_memory_before_authentication_is_capped_for_clients() {
    let flood = [&SASL[..], &[0x10, 0, 0, 0, 2, 1, 0, 0], &vec![0; 100_000]].concat();
    let mut options = AcceptOptions::default();
    options.sasl_max_frame_size = u32::MAX;
    let error = connected(&flood, options, Some(Verdict::Accept)).await.unwrap_err();
    assert!(matches!(&error, AcceptError::Stream(error) if too_many(error)), "{error:?}");
    let error = connected(&flood, AcceptOptions::default(), Some(Verdict::Accept)).await.unwrap_err();
    assert!(matches!(error, AcceptError::Sasl(SaslError::Frame(_))), "{error:?}");
}

#[tokio::test]
async fn who_is_refused_is_told_so_and_hung_up_on() {
    // 5.1-02, 5.3.3.5-04, 5.3.3.5-05
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    client.write_all(&[&SASL[..], &init()].concat()).await.unwrap();
    let options = AcceptOptions::default();
    let mut told = Vec::new();
    let (result, read) =
        tokio::join!(accept(tcp, &options, |_| async { Verdict::Refuse }), client.read_to_end(&mut told));
    assert!(matches!(result, Err(AcceptError::Sasl(SaslError::Refused(SaslCode::Auth)))), "{result:?}");
    read.expect("an end, not a reset");
    // The outcome has its code and no data.
    assert!(told.ends_with(&outcome(SaslCode::Auth)), "{told:?}");
    assert!(told.ends_with(b"\xc0\x03\x01\x50\x01"), "{told:?}");
}
