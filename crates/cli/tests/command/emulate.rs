//! `amqp10 iot emulate`, also together with `amqp10 iot receive`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Program, amqp10, run};
use amqp10_iot::{AkSign, Consumer, ConsumerError};
use serde_json::{Value as Json, json};

fn emulate(arguments: &str) -> Command {
    amqp10(&format!("iot emulate --listen 127.0.0.1:0 {arguments}"))
}

/// An emulator that has told in JSON what it is.
fn ready(command: Command) -> (Program, Json) {
    let mut program = Program::start(command);
    let ready = serde_json::from_str(&program.line()).unwrap();
    (program, ready)
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json[key].as_str().unwrap_or_else(|| panic!("{key} in {json}"))
}

/// `iot receive` from an emulator that has told this.
fn receive(ready: &Json, arguments: &str) -> Command {
    let mut command = amqp10("iot receive");
    command
        .args(["--host", text(ready, "host"), "--port", &ready["port"].to_string(), "--ca", text(ready, "ca")])
        .args(["--consumer-group", text(ready, "consumer_group"), "--instance-id", text(ready, "instance_id")])
        .args(arguments.split_whitespace())
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", text(ready, "access_key_id"))
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", text(ready, "access_key_secret"));
    command
}

/// Ends an emulator as somebody who asks for it, and returns the last line of its stdout.
#[cfg(unix)]
fn stop(program: Program) -> (Option<Json>, crate::support::Ended) {
    program.signal("TERM");
    let ended = program.end().expect(0);
    let last = ended.stdout.last().and_then(|line| serde_json::from_str(line).ok());
    (last, ended)
}

#[test]
fn it_tells_what_clients_need() {
    let mut program = Program::start(emulate("--count 2"));
    let lines: Vec<_> = (0..7).map(|_| program.line()).collect();
    let value = |name: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("{name} in {lines:#?}")).to_owned()
    };
    let port = lines[0].strip_prefix("listening on amqps://127.0.0.1:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    // What it says about receiving can be typed as it is.
    let command = value("receive with: amqp10 ").replace('\'', "");
    let mut command = amqp10(&format!("{command} --count 2"));
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", value("access key id: "))
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", value("access key secret: "));
    let ended = run(command).expect(0);
    assert_eq!(ended.stdout.len(), 2);
    ended.says(&[&format!("group {}", value("consumer group: "))]);
    assert!(Path::new(&value("CA certificate: ")).exists() && !value("instance id: ").is_empty());
}

#[cfg(unix)]
#[test]
fn as_json_it_is_one_object_at_the_start_and_one_at_the_end() {
    let (program, ready) = ready(emulate("--json --rate 1000 --count 10"));
    // Whether a parsed object keeps the order of its keys depends on what else is built with it.
    let mut keys: Vec<_> = ready.as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    let mut expected =
        ["url", "host", "port", "access_key_id", "access_key_secret", "consumer_group", "instance_id", "ca"];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(text(&ready, "url"), format!("amqps://127.0.0.1:{}", ready["port"]));
    assert_eq!(text(&ready, "host"), "127.0.0.1");
    let ca = text(&ready, "ca").to_owned();
    assert!(std::fs::read_to_string(&ca).unwrap().contains("BEGIN CERTIFICATE"));
    assert_eq!(run(receive(&ready, "--count 4")).expect(0).stdout.len(), 4);
    let (summary, ended) = stop(program);
    assert_eq!(summary.unwrap(), json!({"produced": 10, "sent": 4, "accepted": 4, "redelivered": 0}));
    assert_eq!(ended.stdout.len(), 2);
    ended.says(&["INFO emulator stopped: 10 messages produced, 4 sent, 4 accepted, 0 redelivered"]);
    assert!(!Path::new(&ca).exists(), "a certificate that nobody asked for is not left behind");
}

#[cfg(unix)]
#[test]
fn count_stops_producing_and_not_serving() {
    let (program, ready) = ready(emulate("--json --rate 10000 --count 25 --devices 2"));
    let first = run(receive(&ready, "--count 20")).expect(0);
    let second = run(receive(&ready, "--timeout 500ms")).expect(6);
    assert_eq!((first.stdout.len(), second.stdout.len()), (20, 5));
    let devices: Vec<_> = ["device-1", "device-2", "device-3"]
        .iter()
        .map(|device| first.stdout.iter().filter(|line| line.contains(&format!("{device}\""))).count())
        .collect();
    assert!(devices[0] > 0 && devices[1] > 0 && devices[2] == 0, "{devices:?}");
    let (summary, _) = stop(program);
    assert_eq!(summary.unwrap(), json!({"produced": 25, "sent": 25, "accepted": 25, "redelivered": 0}));
}

#[cfg(unix)]
#[test]
fn what_is_redelivered_is_told() {
    let (program, ready) = ready(emulate("--json --rate 10000 --count 3"));
    // It writes to nobody, and is killed with messages in hand.
    let mut command = receive(&ready, "");
    command.stdout(std::process::Stdio::piped());
    let mut taker = Program::start_with(command);
    taker.event("connection opened");
    use std::io::Read;
    let mut one = [0; 1];
    taker.take_stdout().read_exact(&mut one).unwrap();
    drop(taker);
    let rest = run(receive(&ready, "--timeout 700ms")).expect(6).stdout.len() as u64;
    let (summary, _) = stop(program);
    let summary = summary.unwrap();
    assert_eq!((&summary["produced"], &summary["accepted"]), (&json!(3), &json!(3)));
    let (sent, redelivered) = (summary["sent"].as_u64().unwrap(), summary["redelivered"].as_u64().unwrap());
    assert_eq!(sent, 3 + redelivered, "{summary}");
    assert!(redelivered <= rest, "{summary}");
}

#[cfg(unix)]
#[test]
fn an_identity_keeps_keys_and_authority_over_restarts() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (identity, ca) = (dir.path().join("identity.json"), dir.path().join("ca.pem"));
    let start = |arguments: &str| {
        let mut command = emulate(&format!("--json --count 1 {arguments}"));
        command.arg("--identity").arg(&identity);
        command
    };
    let mut command = start("");
    command.arg("--ca-out").arg(&ca);
    let (program, first) = ready(command);
    stop(program);
    assert!(ca.exists(), "what was asked for stays");
    assert_eq!(std::fs::metadata(&identity).unwrap().permissions().mode() & 0o777, 0o600);
    let (program, second) = ready(start(""));
    for key in ["access_key_id", "access_key_secret", "consumer_group", "instance_id"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    // Who trusts the first certificate trusts the second emulator.
    let mut old = first.clone();
    old["port"] = second["port"].clone();
    assert_eq!(text(&old, "ca"), ca.to_str().unwrap());
    run(receive(&old, "--count 1")).expect(0);
    stop(program);
    // Options win over what was kept.
    let (program, third) = ready(start("--consumer-group other --instance-id iot-other"));
    assert_eq!((text(&third, "consumer_group"), text(&third, "instance_id")), ("other", "iot-other"));
    stop(program);
    // Another emulator is nobody to trust.
    let (program, stranger) = ready(emulate("--json"));
    assert_ne!(first["access_key_secret"], stranger["access_key_secret"]);
    old["port"] = stranger["port"].clone();
    run(receive(&old, "--count 1")).expect(3).says(&["signed by nobody we trust"]);
    drop(program);
    std::fs::write(&identity, "hunter2").unwrap();
    let ended = run(start("")).expect(2);
    ended.says(&["the identity file", "identity.json is not one of this program"]);
    assert!(!ended.said().contains("hunter2"), "{ended:#?}");
}

#[test]
fn keys_are_taken_as_given_and_not_shown() {
    let mut command = emulate("--count 1 --consumer-group g1 --instance-id i1");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-1").env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hunter2");
    let mut program = Program::start(command);
    let lines: Vec<_> = (0..7).map(|_| program.line()).collect();
    for expected in ["access key id: id-1", "consumer group: g1", "instance id: i1"] {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
    }
    assert!(!lines.join("\n").contains("hunter2"), "{lines:#?}");
    let port = lines[0].rsplit_once(':').unwrap().1;
    let ca = lines.iter().find_map(|line| line.strip_prefix("CA certificate: ")).unwrap();
    let arguments = "iot receive --host localhost --consumer-group g1 --instance-id i1 --count 1 --port";
    for (secret, code) in [("hunter2", 0), ("hunter3", 4)] {
        let mut command = amqp10(&format!("{arguments} {port}"));
        command.arg("--ca").arg(ca);
        command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id-1").env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret);
        run(command).expect(code);
    }
}

#[test]
fn names_of_the_certificate() {
    let (_program, ready) = ready(emulate("--json --count 4 --tls-name iot-x.example --tls-name iot-y.example"));
    for name in ["localhost", "127.0.0.1", "iot-x.example", "iot-y.example"] {
        run(receive(&ready, &format!("--count 1 --tls-server-name {name}"))).expect(0);
    }
    let ended = run(receive(&ready, "--count 1 --tls-server-name iot-z.example")).expect(3);
    ended.says(&["certificate is not for iot-z.example"]);
}

#[tokio::test]
async fn clocks_may_be_off_by_so_much() {
    let (_program, ready) = ready(emulate("--json --max-clock-skew 5m"));
    let connect = async |minutes: u64, slow: bool| {
        let off = Duration::from_secs(minutes * 60);
        let keys = AkSign::new(text(&ready, "access_key_id"), text(&ready, "access_key_secret").to_owned());
        let consumer = Consumer::builder("127.0.0.1", text(&ready, "consumer_group"), keys)
            .port(ready["port"].as_u64().unwrap() as u16)
            .instance_id(text(&ready, "instance_id"))
            .ca_pem(std::fs::read(text(&ready, "ca")).unwrap())
            .clock(move || if slow { SystemTime::now() - off } else { SystemTime::now() + off });
        consumer.connect().await.map(drop)
    };
    for slow in [true, false] {
        connect(4, slow).await.unwrap();
        let refused = connect(6, slow).await;
        assert!(matches!(refused, Err(ConsumerError::AuthenticationRefused { .. })), "{refused:?}");
    }
}

#[test]
fn code_2_for_what_cannot_be() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent").join("file");
    let absent = absent.to_str().unwrap();
    let cases = [
        (format!("--listen {address}"), format!("cannot listen on {address}: ")),
        ("--listen localhost".to_owned(), "--listen".to_owned()),
        ("--listen 127.0.0.1:0 --rate 0".to_owned(), "a rate of 0 messages a second is not possible".to_owned()),
        ("--listen 127.0.0.1:0 --rate=-1".to_owned(), "a rate of -1 messages a second is not possible".to_owned()),
        ("--listen 127.0.0.1:0 --rate NaN".to_owned(), "a rate of NaN messages a second is not possible".to_owned()),
        ("--listen 127.0.0.1:0 --rate inf".to_owned(), "a rate of inf messages a second is not possible".to_owned()),
        ("--listen 127.0.0.1:0 --rate fast".to_owned(), "--rate".to_owned()),
        ("--listen 127.0.0.1:0 --devices 0".to_owned(), "--devices".to_owned()),
        ("--listen 127.0.0.1:0 --max-clock-skew 5".to_owned(), "--max-clock-skew".to_owned()),
        (
            format!("--listen 127.0.0.1:0 --ca-out {absent}"),
            format!("the CA certificate cannot be written to {absent}"),
        ),
        (format!("--listen 127.0.0.1:0 --identity {absent}"), format!("the identity file {absent} cannot be")),
        (
            format!("--listen 127.0.0.1:0 --credentials-file {absent}"),
            format!("the credentials file {absent} cannot be"),
        ),
        ("--listen 127.0.0.1:0 --access-key-id id".to_owned(), "the access key secret is missing".to_owned()),
        ("--listen 127.0.0.1:0 --host h".to_owned(), "--host".to_owned()),
    ];
    for (arguments, expected) in cases {
        let ended = run(amqp10(&format!("iot emulate {arguments}"))).expect(2);
        assert!(ended.said().contains(&expected), "{arguments}: {ended:#?}");
        assert!(ended.stdout.is_empty(), "{ended:#?}");
    }
}

#[cfg(unix)]
#[test]
fn a_rate_may_be_as_low_as_it_likes() {
    let (program, ready) = ready(emulate("--json --rate 1e-300"));
    assert_eq!(run(receive(&ready, "--timeout 500ms")).expect(6).stdout.len(), 1);
    let (summary, ended) = stop(program);
    assert_eq!(summary.unwrap()["produced"], 1);
    assert!(!ended.said().contains("panicked"), "{ended:#?}");
}

#[cfg(unix)]
#[test]
fn clients_are_told_of_the_end_and_a_reader_that_has_gone_is_no_reason_to_fail() {
    use std::io::{BufRead, BufReader};
    let mut command = emulate("--json");
    command.stdout(std::process::Stdio::piped());
    let mut program = Program::start_with(command);
    let mut line = String::new();
    BufReader::new(program.take_stdout()).read_line(&mut line).unwrap();
    let ready: Json = serde_json::from_str(&line).unwrap();
    let mut client = Program::start(receive(&ready, ""));
    client.event("connection opened");
    program.signal("INT");
    program.end().expect(0).says(&["emulator stopped: "]);
    client.event("connection error: amqp:connection:forced: the emulator shuts down; next attempt in ");
}

#[test]
fn two_commands_end_to_end() {
    let (_program, ready) = ready(emulate("--json --rate 5000 --count 1000"));
    let clients: Vec<_> = (0..3).map(|_| Program::start(receive(&ready, "--json --timeout 1500ms"))).collect();
    let mut ids = std::collections::HashSet::new();
    let mut lines = 0;
    for client in clients {
        for line in client.end().expect(6).stdout {
            let message: Json = serde_json::from_str(&line).unwrap();
            ids.insert(text(&message, "message_id").to_owned());
            lines += 1;
        }
    }
    assert_eq!((ids.len(), lines), (1000, 1000));
}
