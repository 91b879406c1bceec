//! Being asked to end.

use std::collections::HashSet;
use std::io::Read;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Place, Program, amqp10, receive, until};
use amqp10_broker::Emulator;

const BIG: usize = 200 * 1024;

/// The id in a line of text.
fn id(line: &str) -> &str {
    let (_, rest) = line.split_once("message_id=").unwrap();
    rest.split_once(',').unwrap().0
}

/// A command that hangs in the middle of a message that nobody reads, and what is to be read.
fn stuck(place: &Place, arguments: &str) -> (Program, std::process::ChildStdout) {
    let mut command = receive(place, arguments);
    command.stdout(Stdio::piped());
    let mut program = Program::start_with(command);
    place.emulator.publish("/topic", "x".repeat(BIG)).unwrap();
    let mut stdout = program.take_stdout();
    // Where the line begins to come, it is being written; a pipe does not hold all of it.
    stdout.read_exact(&mut [0; 1]).unwrap();
    (program, stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_with_code_0() {
    for signal in ["INT", "TERM"] {
        let place = Place::new().await;
        let mut program = Program::start(receive(&place, ""));
        program.event("connection opened");
        program.signal(signal);
        let ended = program.end().expect(0);
        ended.says(&["INFO connection closed: by us"]);
        assert_eq!((ended.stderr.len(), ended.stdout.len()), (2, 0), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_it_while_it_is_not_connected() {
    let place = Place::new().await;
    place.emulator.cut();
    let mut program = Program::start(receive(&place, "--keep-trying"));
    program.event("transport error");
    program.signal("TERM");
    program.end().expect(0);
    place.emulator.resume();
    let mut program = Program::start(receive(&place, ""));
    program.event("connection opened");
    place.emulator.cut();
    program.event("transport error");
    program.signal("INT");
    program.end().expect(0);
    // And while it waits for its keys.
    for rest in ["receive --host 127.0.0.1 --consumer-group g", "emulate --listen 127.0.0.1:0"] {
        let mut command = amqp10(&format!("iot {rest} --credentials-file -"));
        command.stdin(Stdio::piped());
        let mut program = Program::start(command);
        let stdin = program.take_stdin();
        // Until it listens to signals, one ends it the hard way.
        sleep(Duration::from_millis(500));
        program.signal("INT");
        program.end().expect(0);
        drop(stdin);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_line_is_an_accepted_message_and_the_other_way_round() {
    for (signal, credit) in [("TERM", 100), ("INT", 100), ("TERM", 1)] {
        let place = Place::of(Emulator::builder().devices(10, 20_000.0, None)).await;
        let mut program = Program::start(receive(&place, &format!("--credit {credit}")));
        for _ in 0..500 {
            program.line();
        }
        program.signal(signal);
        let ended = program.end().expect(0);
        assert_eq!(ended.stderr.len(), 2, "{:#?}", ended.stderr);
        ended.says(&["INFO connection closed: by us"]);
        let counts = place.settled();
        let ids: HashSet<_> = ended.stdout.iter().map(|line| id(line)).collect();
        assert_eq!(ids.len(), ended.stdout.len(), "no message has two lines");
        assert_eq!(ids.len() as u64, counts.accepted, "{counts:?}");
        assert_eq!(counts.sent, counts.accepted + counts.released, "{counts:?}");
        assert_eq!((counts.rejected, counts.timed_out, counts.redelivered), (0, 0, 0), "{counts:?}");
        assert!(counts.released <= credit, "{counts:?}");
        until("everything is accounted for", || {
            let counts = place.emulator.counts();
            counts.produced == counts.accepted + counts.waiting
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_written_is_finished_and_accepted() {
    let place = Place::new().await;
    let (program, mut stdout) = stuck(&place, "--grace 60s");
    place.publish(3);
    program.signal("TERM");
    sleep(Duration::from_millis(300));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches('x').count(), BIG);
    let lines = rest.lines().count() as u64;
    program.end().expect(0).says(&["connection closed: by us"]);
    let counts = place.settled();
    assert_eq!((counts.accepted, counts.waiting), (lines, 4 - lines));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grace_bounds_the_end() {
    let place = Place::new().await;
    let (program, _stdout) = stuck(&place, "--grace 500ms");
    let began = Instant::now();
    program.signal("TERM");
    let ended = program.end().expect(0);
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(ended.stderr.iter().all(|line| !line.contains("WARN")), "{ended:#?}");
    let counts = place.settled();
    assert_eq!((counts.accepted, counts.waiting), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new().await;
        let (mut program, _stdout) = stuck(&place, "--grace 1h");
        program.signal(signal);
        sleep(Duration::from_millis(300));
        assert!(!program.has_ended(), "the first signal leaves it an hour");
        program.signal(signal);
        let ended = program.end().expect(code);
        assert_eq!(ended.stderr.len(), 1, "{ended:#?}");
        let counts = place.settled();
        assert_eq!((counts.accepted, counts.waiting), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_the_emulator_too() {
    for arguments in ["iot receive --emulator", "iot emulate --listen 127.0.0.1:0"] {
        let mut program = Program::start(amqp10(arguments));
        program.line();
        program.signal("TERM");
        program.end().expect(0);
    }
}
