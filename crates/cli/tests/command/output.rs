//! What is printed for a message, and when it is accepted.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Place, Program, receive, run, until};
use amqp10::Message;
use amqp10::codec::{List, Map, Timestamp, Uuid, Value};
use amqp10_broker::Emulator;
use serde_json::{Value as Json, json};

/// A message as the service makes it, besides its body.
fn message(body: &[u8], id: &'static str, topic: &'static str) -> Message {
    Message::data(body.to_vec()).application_property("topic", topic).application_property("messageId", id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_text_for_every_message_whatever_it_holds() {
    let place = Place::new().await;
    let cases: [(&[u8], &'static str, &'static str, &str); 7] = [
        (b"{\"a\": 1}", "1", "/a/b", "message_id=1, topic=/a/b, content={\"a\": 1}"),
        (b"one\ntwo\r\n\tthree", "1\n2", "/a\nb", "message_id=1\\n2, topic=/a\\nb, content=one\\ntwo\\r\\n\\tthree"),
        (
            b"\x1b[2J\x07\0\x7f",
            "\x1b]0;t\x07",
            "/\x1bc",
            "message_id=\\x1b]0;t\\x07, topic=/\\x1bc, content=\\x1b[2J\\x07\\x00\\x7f",
        ),
        (b"\xff\xfe ok \xc3", "2", "/", "message_id=2, topic=/, content=\\xff\\xfe ok \\xc3"),
        ("grüß 你好 🌡".as_bytes(), "3", "/ü", "message_id=3, topic=/ü, content=grüß 你好 🌡"),
        (
            "\u{9b}2J\u{85}\u{2028}".as_bytes(),
            "4",
            "/\u{2029}",
            "message_id=4, topic=/\\u{2029}, content=\\u{9b}2J\\u{85}\\u{2028}",
        ),
        (b"", "", "", "message_id=, topic=, content="),
    ];
    for (body, id, topic, _) in cases {
        place.emulator.publish_message(&message(body, id, topic)).unwrap();
    }
    let ended = run(receive(&place, &format!("--count {}", cases.len()))).expect(0);
    let expected: Vec<_> = cases.iter().map(|(.., line)| format!("receive message: {line}")).collect();
    assert_eq!(ended.stdout, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_json_for_every_message_whatever_it_holds() {
    let place = Place::new().await;
    let list: List<'_> = [1_u32, 2].into_iter().collect();
    let map: Map<'_> = [("k", true)].into_iter().collect();
    let properties: Vec<(&str, Value<'static>, Json)> = vec![
        ("null", Value::Null, json!(null)),
        ("boolean", true.into(), json!(true)),
        ("ubyte", 255_u8.into(), json!(255)),
        ("ulong", u64::MAX.into(), json!(u64::MAX)),
        ("long", i64::MIN.into(), json!(i64::MIN)),
        ("double", 0.25_f64.into(), json!(0.25)),
        ("nan", f64::NAN.into(), json!(null)),
        ("char", 'ü'.into(), json!("ü")),
        ("timestamp", Timestamp(1_573_489_088_171).into(), json!(1_573_489_088_171_i64)),
        ("uuid", Uuid([0x11; 16]).into(), json!("11111111-1111-1111-1111-111111111111")),
        ("string", "a\n\"b\"\u{1b}".into(), json!("a\n\"b\"\u{1b}")),
        ("list", list.into(), json!([1, 2])),
        ("map", map.into(), json!({"k": true})),
    ];
    let mut rich = message(b"one\ntwo\0", "1\n", "/t\x1b").application_property("generateTime", 1_573_489_088_171_i64);
    for &(name, ref value, _) in &properties {
        rich = rich.application_property(name, value.clone());
    }
    place.emulator.publish_message(&rich).unwrap();
    place.emulator.publish_message(&message(b"\xff\x00bin", "2", "/b")).unwrap();
    place.emulator.publish_message(&Message::data(Vec::new())).unwrap();
    let ended = run(receive(&place, "--json --count 3")).expect(0);
    let [rich, binary, bare] = &ended.stdout[..] else { panic!("{ended:#?}") };
    let expected: serde_json::Map<_, _> =
        properties.into_iter().map(|(name, _, json)| (name.to_owned(), json)).collect();
    assert_eq!(
        serde_json::from_str::<Json>(rich).unwrap(),
        json!({
            "message_id": "1\n", "topic": "/t\u{1b}", "generate_time": 1_573_489_088_171_i64,
            "properties": expected, "content": "one\ntwo\0",
        })
    );
    // The keys stand in this order, and nothing is said that is not so.
    let expected =
        r#"{"message_id":"2","topic":"/b","generate_time":null,"properties":{},"content_base64":"/wBiaW4="}"#;
    assert_eq!(binary, expected);
    assert_eq!(bare, r#"{"message_id":"","topic":"","generate_time":null,"properties":{},"content":""}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_devices_say_is_told_as_it_is() {
    let place = Place::new().await;
    let ids = [
        place.emulator.publish("/pk/dn/user/update", r#"{"on":true}"#).unwrap(),
        place.emulator.publish("/pk/dn/user/update", "x".repeat(300 * 1024)).unwrap(),
    ];
    let ended = run(receive(&place, "--json --count 2")).expect(0);
    for (line, id) in ended.stdout.iter().zip(&ids) {
        let json: Json = serde_json::from_str(line).unwrap();
        assert_eq!((&json["message_id"], &json["topic"]), (&json!(id), &json!("/pk/dn/user/update")));
        assert!(json["generate_time"].as_i64().unwrap() > 1_573_489_088_171);
        assert_eq!(json["properties"], json!({"qos": 0}));
    }
    assert!(ended.stdout[0].ends_with(r#""content":"{\"on\":true}"}"#), "{}", ended.stdout[0]);
    assert_eq!(ended.stdout[1].matches('x').count(), 300 * 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_there_at_once_and_its_message_accepted_only_then() {
    let place = Place::new().await;
    let mut program = Program::start(receive(&place, ""));
    program.event("connection opened");
    for n in 0..3 {
        let id = place.emulator.publish("/topic", format!("{n}")).unwrap();
        assert!(program.line().contains(&id));
        until("the message is accepted", || place.emulator.counts().accepted == n + 1);
    }
    drop(program);
    // Nobody reads: what does not fit into the pipe is written to nobody, and so it is not accepted.
    let mut command = receive(&place, "");
    command.stdout(Stdio::piped());
    let mut program = Program::start_with(command);
    program.event("connection opened");
    place.emulator.publish("/topic", "x".repeat(200 * 1024)).unwrap();
    let mut stdout = program.take_stdout();
    stdout.read_exact(&mut [0; 16]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let counts = place.emulator.counts();
    assert_eq!((counts.accepted, counts.leased), (3, 1));
    BufReader::new(stdout).read_line(&mut String::new()).unwrap();
    until("the message is accepted", || place.emulator.counts().accepted == 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_whose_reader_has_gone_are_released() {
    let place = Place::new().await;
    let mut command = receive(&place, "");
    command.stdout(Stdio::piped());
    let mut program = Program::start_with(command);
    program.event("connection opened");
    place.publish(3);
    let mut lines = BufReader::new(program.take_stdout()).lines();
    for _ in 0..3 {
        lines.next().unwrap().unwrap();
    }
    drop(lines);
    until("three are accepted", || place.emulator.counts().accepted == 3);
    place.publish(50);
    let ended = program.end().expect(0);
    assert_eq!(ended.stderr.len(), 2, "{ended:#?}");
    ended.says(&["INFO connection closed: by us"]);
    let counts = place.settled();
    assert_eq!((counts.produced, counts.accepted, counts.waiting), (53, 3, 50));
    assert_eq!(counts.sent, counts.accepted + counts.released, "{counts:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_takes_three_lines_and_nothing_is_lost() {
    for arguments in ["", "--json", "--credit 1"] {
        let place = Place::of(Emulator::builder().devices(5, 2_000.0, None)).await;
        let mut command = receive(&place, arguments);
        command.stdout(Stdio::piped());
        let mut program = Program::start_with(command);
        let head = Command::new("head").arg("-3").stdin(program.take_stdout()).output().unwrap();
        assert_eq!(String::from_utf8(head.stdout).unwrap().lines().count(), 3);
        let ended = program.end().expect(0);
        let [opened, closed] = &ended.stderr[..] else { panic!("not quiet: {ended:#?}") };
        assert!(opened.contains("connection opened: ") && closed.contains("connection closed: by us"), "{ended:#?}");
        let counts = place.settled();
        assert!(counts.accepted >= 3, "{counts:?}");
        until("everything is accounted for", || {
            let counts = place.emulator.counts();
            counts.produced == counts.accepted + counts.waiting + counts.leased
        });
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stderr_that_nobody_reads_any_more_disturbs_nothing() {
    let place = Place::new().await;
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = receive(&place, "-vvv --count 3");
    command.stderr(writer);
    drop(reader);
    place.publish(3);
    let ended = Program::spawn(command).end().expect(0);
    assert_eq!(ended.stdout.len(), 3);
    assert_eq!(place.settled().accepted, 3);
}
