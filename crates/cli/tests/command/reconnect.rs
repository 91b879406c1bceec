//! Events, and connections that are lost and made again.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::support::{GRACE, Place, Program, amqp10, receive, run};
use amqp10_broker::Emulator;

/// Takes `2026-01-31T23:59:59.999Z LEVEL rest` apart.
#[track_caller]
fn event(line: &str) -> (&str, &str) {
    let (time, rest) = line.split_once(' ').unwrap();
    let shape: String =
        time.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{line}");
    rest.split_once(' ').unwrap()
}

/// Fails unless `text` ends with `; next attempt in N s`, the pause before an attempt after so many others.
#[track_caller]
fn ends_with_a_pause(text: &str, earlier: i32) {
    let (_, pause) = text.split_once("; next attempt in ").unwrap_or_else(|| panic!("{text}"));
    let pause: f64 = pause.strip_suffix(" s").unwrap().parse().unwrap();
    let longest = 0.5 * 2_f64.powi(earlier.max(1));
    assert!((0.5..=longest).contains(&pause), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_is_cut_in_mid_stream_and_every_message_arrives() {
    const MESSAGES: u64 = 2_000;
    let place = Place::of(Emulator::builder().devices(5, 2_000.0, Some(MESSAGES))).await;
    let mut program = Program::start(receive(&place, &format!("--client-id c1 --count {MESSAGES}")));
    let mut lines = Vec::new();
    for cuts in 0..2 {
        lines.extend((0..200).map(|_| program.line()));
        place.emulator.cut();
        let line = program.event("transport error: ");
        let (level, text) = event(&line);
        assert_eq!(level, "WARN", "{line}");
        assert!(text.starts_with("transport error: the stream "), "{line}");
        assert!(!text.contains("close_notify"), "nobody has to know TLS to understand it: {line}");
        // An attempt that succeeds counts as well: the link has to be up for a while before the pauses begin anew.
        ends_with_a_pause(text, 2 * cuts);
        place.emulator.resume();
        let line = program.event("connection opened");
        let group = &place.identity().consumer_group;
        let expected = format!("connection opened: 127.0.0.1 as c1, group {group}, heartbeat 60 s");
        assert_eq!(event(&line), ("INFO", &*expected));
    }
    let ended = program.end().expect(0);
    // What was read before the end is among these.
    let ids: HashSet<_> = ended.stdout.iter().map(|line| line.split(',').next().unwrap().to_owned()).collect();
    let counts = place.settled();
    // A message whose acceptance was lost in the cut comes again, and counts towards --count.
    let missing = counts.waiting;
    assert_eq!(ids.len() as u64 + missing, MESSAGES, "{counts:?}");
    assert_eq!((counts.produced, counts.accepted), (MESSAGES, MESSAGES - missing), "{counts:?}");
    assert!(missing <= counts.redelivered, "{counts:?}");
    assert!(lines.len() as u64 <= MESSAGES);
    let sign_ins = place.emulator.sign_ins();
    assert!(
        sign_ins.len() >= 3 && sign_ins.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp),
        "{sign_ins:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_shuts_down_and_comes_back() {
    let place = Place::new().await;
    let mut program = Program::start(receive(&place, ""));
    program.event("connection opened");
    let place = place.restart(|rules| rules.connections = 0).await;
    let line = program.event("connection error: amqp:connection:forced");
    let (level, text) = event(&line);
    assert!(text.starts_with("connection error: amqp:connection:forced: the emulator shuts down; next"), "{line}");
    assert_eq!(level, "WARN");
    ends_with_a_pause(text, 0);
    // Being refused ends nothing once there was a connection.
    let line = program.event("connection error: amqp:resource-limit-exceeded");
    assert!(line.contains("too many connections of this consumer group; next attempt in "), "{line}");
    let place = place.restart(|_| {}).await;
    program.event("connection opened");
    place.publish(1);
    program.line();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keep_trying_the_first_connection_is_tried_once() {
    let place = Place::new().await;
    place.emulator.cut();
    let ended = run(receive(&place, "")).expect(3);
    let [line] = &ended.stderr[..] else { panic!("{ended:#?}") };
    let (level, text) = event(line);
    assert_eq!(level, "ERROR");
    assert!(text.starts_with("transport error: ") && !text.contains("next attempt"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_keep_trying_the_service_may_come_later() {
    let place = Place::new().await;
    let (address, identity) = (place.emulator.address(), place.identity().clone());
    let command = receive(&place, "--keep-trying --count 1");
    place.emulator.shutdown(GRACE).await;
    // The directory with the certificate is still needed.
    let (_dir, port) = (place.dir, address.port());
    let mut program = Program::start(command);
    let line = program.event("transport error: ");
    let (level, text) = event(&line);
    assert_eq!(level, "WARN");
    assert!(text.starts_with(&format!("transport error: cannot connect to 127.0.0.1 port {port}: ")), "{line}");
    ends_with_a_pause(text, 0);
    let emulator = Emulator::builder().listen(address).identity(identity).start().await.unwrap();
    emulator.publish("/topic", "late").unwrap();
    assert!(program.line().ends_with("content=late"));
    program.end().expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_as_json() {
    let place = Place::new().await;
    place.publish(1);
    let ended = run(receive(&place, "--log-format json --count 1 -vvv")).expect(0);
    let mut messages = Vec::new();
    for line in &ended.stderr {
        let event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert!(event["timestamp"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{line}");
        let level = event["level"].as_str().unwrap();
        assert!(["INFO", "DEBUG", "TRACE"].contains(&level), "{line}");
        messages.push(format!("{level} {}", event["message"].as_str().unwrap()));
    }
    assert!(
        messages.iter().any(|message| message.starts_with("INFO connection opened: 127.0.0.1 as ")),
        "{messages:?}"
    );
    assert!(messages.iter().any(|message| message == "INFO connection closed: by us"), "{messages:?}");
    let mut command = receive(&place, "--log-format json");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "wrong");
    let ended = run(command).expect(4);
    let event: serde_json::Value = serde_json::from_str(&ended.stderr[0]).unwrap();
    assert_eq!(event["level"], "ERROR");
    assert!(event["message"].as_str().unwrap().starts_with("authentication refused for access key "), "{event}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_much_is_told() {
    const MARKER: &str = "payload-4711";
    let place = Place::new().await;
    let said = |arguments: &str| {
        place.emulator.publish("/topic", MARKER).unwrap();
        let ended = run(receive(&place, &format!("--count 1 {arguments}"))).expect(0);
        assert!(ended.stdout[0].contains(MARKER));
        ended
    };
    assert!(said("-q").stderr.is_empty());
    let usual = said("");
    assert_eq!(usual.stderr.len(), 2, "{usual:#?}");
    let more = said("-v");
    assert!(more.stderr.len() >= usual.stderr.len());
    for ended in [&usual, &more, &said("-vv")] {
        assert!(!ended.said().contains(MARKER) && !ended.said().contains("TRACE"), "{ended:#?}");
    }
    assert!(said("-vvv").said().contains("TRACE"));
    // Why it ends is told even if nothing else is.
    let ended = run(receive(&place, "-q --timeout 200ms")).expect(6);
    assert_eq!(ended.stderr.len(), 1, "{ended:#?}");
    // An emulator in the same process keeps quiet about payloads too.
    for arguments in ["", "-v", "-vv"] {
        let ended = run(amqp10(&format!("iot receive --emulator --count 3 {arguments}"))).expect(0);
        assert!(!ended.said().contains("productKey"), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_cannot_be_read_is_not_told_either() {
    let place = Place::new().await;
    // A message with application properties where the service puts text.
    let message = amqp10::Message::data("payload-4711").application_property("topic", 4711_u32);
    place.emulator.publish_message(&message).unwrap();
    let ended = run(receive(&place, "--count 1 -v")).expect(0);
    assert_eq!(ended.stdout, ["receive message: message_id=, topic=, content=payload-4711"]);
    assert!(!ended.said().contains("4711"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_never_closer_than_half_a_second() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut command = amqp10(&format!(
        "iot receive --host 127.0.0.1 --port {port} --consumer-group g --keep-trying --duration 2500ms"
    ));
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id").env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    let program = Program::start(command);
    let attempts = std::thread::spawn(move || {
        let mut attempts = Vec::new();
        listener.set_nonblocking(true).unwrap();
        let over = Instant::now() + Duration::from_secs(3);
        while Instant::now() < over {
            match listener.accept() {
                Ok(_) => attempts.push(Instant::now()),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        attempts
    });
    program.end().expect(0).says(&["transport error: the server closed the stream during the TLS handshake"]);
    let attempts = attempts.join().unwrap();
    assert!((2..=6).contains(&attempts.len()), "{}", attempts.len());
}
