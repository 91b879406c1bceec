//! What the command ends with, and the sentence that goes with it.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, Program, amqp10, receive, run};
use amqp10::transport::{AcceptOptions, TlsServer, sasl::Verdict};
use amqp10::{Error, ErrorCondition, Listener, ServerBuilder, SessionConfig};
use amqp10_broker::Emulator;

/// `iot receive` from this host, with a group and keys that are as good as any.
fn receive_from(host: &str, arguments: &str) -> Command {
    let mut command = amqp10(&format!("iot receive {arguments}"));
    command
        .env("AMQP10_IOT_HOST", host)
        .env("AMQP10_IOT_CONSUMER_GROUP", "group")
        .env("AMQP10_IOT_INSTANCE_ID", "iot-x")
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "key-id")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_0_after_count_and_never_more_than_that() {
    for credit in [100, 3, 7, 1] {
        let place = Place::new().await;
        let ids = place.publish(50);
        let ended = run(receive(&place, &format!("--count 7 --credit {credit}"))).expect(0);
        assert_eq!(ended.stdout.len(), 7);
        for (line, id) in ended.stdout.iter().zip(&ids) {
            assert!(line.contains(&format!("message_id={id},")), "{line}");
        }
        let counts = place.settled();
        assert_eq!((counts.sent, counts.accepted, counts.released), (7, 7, 0), "credit {credit}");
        assert_eq!((counts.waiting, counts.leased), (43, 0), "credit {credit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_0_when_duration_is_over_before_count() {
    let place = Place::new().await;
    place.publish(2);
    let began = Instant::now();
    let ended = run(receive(&place, "--duration 700ms --count 10")).expect(0);
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert_eq!(ended.stdout.len(), 2);
    ended.says(&["connection closed: by us"]);
    assert_eq!(place.settled().accepted, 2);
}

#[test]
fn code_0_when_duration_is_over_before_the_first_connection() {
    let closed = closed_port();
    run(receive_from("127.0.0.1", &format!("--port {closed} --keep-trying --duration 300ms"))).expect(0);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_1_when_output_cannot_be_written() {
    let place = Place::of(Emulator::builder().rules(|rules| rules.retry_after = Duration::from_millis(10))).await;
    place.publish(20);
    for arguments in ["", "--json"] {
        let mut command = receive(&place, arguments);
        command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let ended = Program::start_with(command).end().expect(1);
        ended.says(&["ERROR stdout cannot be written: No space left on device"]);
    }
    let counts = place.settled();
    assert_eq!((counts.produced, counts.accepted, counts.waiting), (20, 0, 20));
    let mut command = amqp10("iot emulate --listen 127.0.0.1:0");
    command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    Program::start_with(command).end().expect(1).says(&["stdout cannot be written: No space left on device"]);
}

#[test]
fn code_2_names_what_is_missing() {
    let cases: [(&str, &[&str]); 4] = [
        ("AMQP10_IOT_HOST", &["ERROR", "host is missing", "--host", "AMQP10_IOT_HOST"]),
        ("AMQP10_IOT_CONSUMER_GROUP", &["consumer group is missing", "--consumer-group"]),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", &["access key id is missing", "ALIBABA_CLOUD_ACCESS_KEY_ID"]),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", &["access key secret is missing", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"]),
    ];
    for (name, expected) in cases {
        let mut without = receive_from("127.0.0.1", "");
        without.env_remove(name);
        run(without).expect(2).says(expected);
        let mut empty = receive_from("127.0.0.1", "");
        empty.env(name, "");
        run(empty).expect(2).says(expected);
    }
    run(amqp10("iot receive --host 127.0.0.1 --consumer-group group"))
        .expect(2)
        .says(&["access key is missing", "--credentials-file"]);
}

#[test]
fn code_2_for_values_that_are_not_acceptable() {
    let cases: [(&str, &[&str]); 22] = [
        ("--heartbeat 10s", &["heartbeat", "30 s to 300 s"]),
        ("--heartbeat 301s", &["heartbeat", "30 s to 300 s"]),
        ("--heartbeat 60", &["--heartbeat", "time unit needed"]),
        ("--heartbeat soon", &["--heartbeat", "soon"]),
        ("--credit 0", &["--credit", "'0'"]),
        ("--credit -1", &["-1"]),
        ("--credit many", &["--credit", "many"]),
        ("--credit 4294967296", &["--credit", "4294967296"]),
        ("--count 0", &["--count", "'0'"]),
        ("--count some", &["--count", "some"]),
        ("--duration 5x", &["--duration", "5x"]),
        ("--timeout never", &["--timeout", "never"]),
        ("--grace ''", &["--grace"]),
        ("--port 65536", &["--port", "65536"]),
        ("--sign-method sha512", &["--sign-method", "hmacmd5, hmacsha1 or hmacsha256"]),
        ("--log-format xml", &["--log-format", "text, json"]),
        ("--client-id a|b", &["client id", "'|'"]),
        ("--client-id a,b", &["client id", "','"]),
        ("--consumer-group a,b", &["consumer group", "','"]),
        ("--instance-id a|b", &["instance id", "'|'"]),
        ("--no-such-option", &["--no-such-option"]),
        ("an-argument", &["an-argument"]),
    ];
    for (arguments, expected) in cases {
        let ended = run(receive_from("127.0.0.1", arguments)).expect(2);
        for part in expected {
            assert!(ended.said().contains(part), "{arguments}: {part:?} is not in {ended:#?}");
        }
        assert!(ended.stdout.is_empty(), "{ended:#?}");
    }
}

#[test]
fn code_2_for_hosts_that_are_not_hosts() {
    for host in ["amqps://h", "h:5671", "h/path", "user@h", "two words"] {
        run(receive_from(host, "")).expect(2).says(&["is not a host name: give it without scheme, port and path"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_2_for_a_client_id_of_more_than_64_characters() {
    let place = Place::new().await;
    place.publish(1);
    run(receive(&place, &format!("--client-id {}", "ü".repeat(65)))).expect(2).says(&["65 characters", "at most 64"]);
    let longest = "ü".repeat(64);
    run(receive(&place, &format!("--client-id {longest} --count 1"))).expect(0);
    assert_eq!(place.emulator.sign_ins()[0].client_id, longest);
}

#[test]
fn code_2_for_the_emulator_with_a_host_or_keys() {
    let flags = [
        "--host h",
        "--port 1",
        "--access-key-id i",
        "--access-key-secret s",
        "--security-token t",
        "--credentials-file f",
        "--consumer-group g",
        "--instance-id i",
        "--ca f",
        "--tls-server-name n",
    ];
    for flag in flags {
        let name = flag.split_once(' ').unwrap().0;
        let ended = run(amqp10(&format!("iot receive --emulator {flag}"))).expect(2);
        ended.says(&["ERROR", &format!("{name} cannot be used with --emulator")]);
    }
}

#[test]
fn code_2_for_files_that_are_no_use() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken");
    std::fs::write(&broken, "hunter2").unwrap();
    let absent = dir.path().join("absent");
    for (option, path, expected) in [
        ("--credentials-file", &absent, "cannot be read"),
        ("--credentials-file", &broken, "is not a JSON object with access_key_id"),
        ("--ca", &absent, "cannot be read"),
        ("--ca", &broken, "no certificate found"),
    ] {
        let mut command = receive_from("127.0.0.1", "--port 1");
        command.arg(option).arg(path);
        let ended = run(command).expect(2);
        ended.says(&[expected, &path.display().to_string()]);
        assert!(!ended.said().contains("hunter2"), "{ended:#?}");
    }
    let ended = run(receive_from("127.0.0.1", "--port 1 --tls-server-name no/name")).expect(2);
    ended.says(&["--tls-server-name", "no/name"]);
}

#[test]
fn code_2_without_a_command() {
    for arguments in ["", "iot", "iot send", "mqtt"] {
        assert_eq!(run(amqp10(arguments)).code(), Some(2), "{arguments}");
    }
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_3_has_a_sentence_for_every_reason() {
    let place = Place::new().await;
    let other = Place::new().await;
    let port = place.emulator.address().port();
    let closed = closed_port();
    let no_tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let no_tls_port = no_tls.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in no_tls.incoming() {
            let _ = std::io::Write::write_all(&mut stream.unwrap(), b"220 mail.example ESMTP\r\n");
        }
    });
    let ca = |command: &mut Command, place: &Place| {
        command.arg("--ca").arg(&place.ca);
    };
    let mut untrusted = receive_from("127.0.0.1", &format!("--port {port}"));
    ca(&mut untrusted, &other);
    let web = receive_from("127.0.0.1", &format!("--port {port}"));
    let mut other_name = receive_from("127.0.0.1", &format!("--port {port} --tls-server-name iot.example"));
    ca(&mut other_name, &place);
    let cases = [
        (receive_from("nonexistent.invalid", ""), "the host name nonexistent.invalid cannot be resolved"),
        (receive_from("127.0.0.1", &format!("--port {closed}")), "cannot connect to 127.0.0.1 port"),
        (untrusted, "signed by nobody we trust"),
        (web, "signed by nobody we trust"),
        (other_name, "certificate is not for iot.example"),
        (receive_from("127.0.0.1", &format!("--port {no_tls_port}")), "does not speak TLS on this port"),
    ];
    for (command, expected) in cases {
        let ended = run(command).expect(3);
        ended.says(&["ERROR transport error: ", expected]);
        assert_eq!(ended.stderr.len(), 1, "{ended:#?}");
    }
    assert!(place.emulator.sign_ins().is_empty(), "whom we do not trust gets no password");
}

#[test]
fn code_3_when_a_server_is_mute() {
    // The system takes the connection, and nobody ever looks at it.
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = mute.local_addr().unwrap().port();
    let ended = run(receive_from("127.0.0.1", &format!("--port {port}"))).expect(3);
    ended.says(&["ERROR transport error: the TLS handshake took too long"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_4_says_what_to_check() {
    let place = Place::new().await;
    let id = place.identity().access_key_id.clone();
    let mut command = receive(&place, "");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "wrong");
    let ended = run(command).expect(4);
    let [line] = &ended.stderr[..] else { panic!("{ended:#?}") };
    let expected = format!(
        "authentication refused for access key {id} (SASL code 1): check the secret, the RAM permission iot:sub, instance \
         id, consumer group, and this machine's clock ("
    );
    let (_, rest) = line.split_once(" ERROR ").unwrap();
    let clock = rest.strip_prefix(&expected).unwrap_or_else(|| panic!("{line}"));
    let clock = clock.strip_suffix(")").unwrap();
    // 2026-01-31T23:59:59.999Z
    assert!(clock.len() == 24 && clock.as_bytes()[10] == b'T' && clock.ends_with('Z'), "{clock}");
    // Whatever is wrong, the service tells no more, and neither do we.
    for (option, value) in [("--consumer-group", "other"), ("--instance-id", "other")] {
        let mut command = amqp10("iot receive --host 127.0.0.1");
        let identity = place.identity();
        command
            .args(["--port", &place.emulator.address().port().to_string(), option, value])
            .arg("--ca")
            .arg(&place.ca)
            .env("AMQP10_IOT_CONSUMER_GROUP", &identity.consumer_group)
            .env("AMQP10_IOT_INSTANCE_ID", identity.instance_id.as_deref().unwrap())
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", &id)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", place.secret());
        run(command).expect(4).says(&["authentication refused", "this machine's clock"]);
    }
    // Trying again does not help as long as the keys are the same.
    let mut command = receive(&place, "--keep-trying");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "wrong");
    run(command).expect(4).says(&["authentication refused"]);
    assert!(place.emulator.sign_ins().iter().all(|sign_in| !sign_in.accepted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_5_when_the_service_refuses() {
    let place = Place::of(Emulator::builder().rules(|rules| rules.connections = 0)).await;
    let ended = run(receive(&place, "")).expect(5);
    let expected = "ERROR connection error: amqp:resource-limit-exceeded: too many connections of this consumer group";
    ended.says(&[expected]);
    assert_eq!(ended.stderr.len(), 1, "{ended:#?}");
}

/// What a server does with a client that has signed in.
#[derive(Clone, Copy, Debug)]
enum Then {
    RefuseLink,
    EndSession,
    Close,
    Drop,
}

/// A server that lets everybody in, and then does this.
async fn server(then: Then) -> (u16, tempfile::TempDir) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), &certificate).unwrap();
    let mut options = AcceptOptions::default();
    options.tls = Some(TlsServer::new(None, certificate.as_bytes(), key.serialize_pem().as_bytes()).unwrap());
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.unwrap();
            let stream = stream.authenticate(&options, async |_| Verdict::Accept).await.unwrap();
            let connection = stream.open(ServerBuilder::new()).await.unwrap();
            let settings = connection.settings();
            let connection = connection.accept(settings).await.unwrap();
            // A server may say anything, also what looks like a line of ours.
            let evil = "no\n2026-01-01T00:00:00.000Z INFO connection opened\x1b[2J";
            let error = Error::new(ErrorCondition::NOT_ALLOWED, evil);
            let session = connection.next_session().await.unwrap();
            match then {
                Then::RefuseLink => {
                    let session = session.accept(SessionConfig::default()).await.unwrap();
                    session.next_link().await.unwrap().refuse(error);
                    connection.closed().await;
                }
                Then::EndSession => {
                    let session = session.accept(SessionConfig::default()).await.unwrap();
                    let _ = session.end(Some(error)).await;
                    connection.closed().await;
                }
                Then::Close => connection.close_with(None).await,
                Then::Drop => connection.abort(),
            }
        }
    });
    (port, dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_5_when_link_session_or_connection_is_refused_but_not_when_the_stream_breaks() {
    let cases = [
        (
            Then::RefuseLink,
            5,
            "connection error: amqp:not-allowed: no\\n2026-01-01T00:00:00.000Z INFO connection opened\\x1b[2J",
        ),
        (
            Then::EndSession,
            5,
            "connection error: amqp:not-allowed: no\\n2026-01-01T00:00:00.000Z INFO connection opened\\x1b[2J",
        ),
        (Then::Close, 5, "connection error: the peer closed the connection without an error"),
        (Then::Drop, 3, "transport error: the stream"),
    ];
    for (then, code, expected) in cases {
        let (port, dir) = server(then).await;
        let mut command = receive_from("127.0.0.1", &format!("--port {port}"));
        command.arg("--ca").arg(dir.path().join("ca.pem"));
        let ended = run(command).expect(code);
        assert!(ended.stderr.iter().all(|line| !line.contains("next attempt")), "{then:?}: {ended:#?}");
        let [.., last] = &ended.stderr[..] else { panic!("{then:?}: {ended:#?}") };
        assert!(last.contains(&format!(" ERROR {expected}")), "{then:?}: {ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_6_when_no_message_comes_in_time() {
    let place = Place::new().await;
    let ended = run(receive(&place, "--timeout 300ms")).expect(6);
    ended.says(&["ERROR no message came within 300ms (--timeout)"]);
    ended.says(&["connection closed: by us"]);
    // Also after some.
    place.publish(3);
    let ended = run(receive(&place, "--timeout 600ms --count 4")).expect(6);
    assert_eq!(ended.stdout.len(), 3);
    assert_eq!(place.settled().accepted, 3);
    // And while there is no connection.
    let closed = closed_port();
    run(receive_from("127.0.0.1", &format!("--port {closed} --keep-trying --timeout 300ms"))).expect(6);
}

#[test]
fn times_may_be_longer_than_anybody_lives() {
    let long = "500000000000y";
    let arguments = format!("iot receive --emulator --count 1 --duration {long} --timeout {long} --grace {long}");
    let ended = run(amqp10(&arguments)).expect(0);
    assert_eq!(ended.stdout.len(), 1);
}
