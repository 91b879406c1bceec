//! Random values and messages encoded by us, decoded and encoded again by codecs that are not ours, and decoded by us.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::iter;
use std::time::Duration;

use amqp10_codec::{Message, Reader, SequenceNo, Value, encode_to_vec};
use amqp10_tests::peer::{program, variable};
use fastrand::Rng;
use serde_json::{Value as Json, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::ONE_AT_A_TIME;

mod random;

use random::{Generator, Loss, Sample, message};

#[allow(dead_code, unreachable_pub, reason = "a program there, a module here")]
#[path = "../../crates/codec/examples/vectors.rs"]
mod notation;

/// Random values of each seed.
const VALUES: usize = 2_000;

const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// The deepest that random values are nested.
const MAX_DEPTH: u32 = 4;

/// The longest that a peer may take for all values.
const LIMIT: Duration = Duration::from_secs(120);

/// The one value that octets stand for.
fn decoded(octets: &[u8]) -> Result<Json, String> {
    let members = notation::values(octets).map_err(|error| error.to_string())?;
    let mut answer: Json = serde_json::from_str(&format!("{{{members}}}")).unwrap();
    match answer["values"].as_array_mut().unwrap().as_mut_slice() {
        [one] => Ok(one.take()),
        other => Err(format!("{} values", other.len())),
    }
}

/// What a peer makes of each of these values, or of what else the mode says.
async fn ask(mut command: Command, mode: &str, values: &[Vec<u8>]) -> Vec<String> {
    let mut input = tempfile::tempfile().unwrap();
    for octets in values {
        writeln!(input, "{mode}{}", notation::to_hex(octets)).unwrap();
    }
    std::io::Seek::rewind(&mut input).unwrap();
    let output =
        timeout(LIMIT, command.stdin(input).kill_on_drop(true).output()).await.expect("it takes too long").unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect();
    assert_eq!(lines.len(), values.len(), "one answer for each value");
    lines
}

/// What an answer stands for.
fn understood(answer: &str) -> Result<Json, String> {
    decoded(&notation::from_hex(answer).ok_or(answer)?)
}

async fn compare(command: impl Fn() -> Command, losses: &[Loss]) {
    let _one = ONE_AT_A_TIME.lock().await;
    let examples: Vec<_> = losses.iter().map(|loss| notation::from_hex(loss.example).unwrap()).collect();
    for ((loss, example), answer) in losses.iter().zip(&examples).zip(ask(command(), "", &examples).await) {
        let sent = decoded(example).unwrap();
        assert_ne!(understood(&answer).as_ref(), Ok(&sent), "not lost any more: {}", loss.reason);
    }
    for seed in SEEDS {
        let samples = samples(seed, losses);
        let encoded: Vec<_> = samples.iter().map(encode).collect();
        let answers = ask(command(), "", &encoded).await;
        let mut wrong: Vec<_> = samples
            .iter()
            .zip(iter::zip(&encoded, &answers))
            .filter(|(sample, (_, answer))| understood(answer).as_ref() != Ok(&sample.json))
            .map(|(sample, (ours, answer))| format!("{}\nsent {}\nback {answer}", sample.json, notation::to_hex(ours)))
            .collect();
        wrong.sort_by_key(String::len);
        assert!(wrong.is_empty(), "{} values come back as others, the shortest:\n{}", wrong.len(), wrong[0]);
    }
}

/// The value of a sample as we encode it, once we have found that we decode it as what it was made to be.
fn encode(sample: &Sample) -> Vec<u8> {
    let octets = sample.octets();
    assert_eq!(decoded(&octets).as_ref(), Ok(&sample.json), "{}", notation::to_hex(&octets));
    let encoded = encode_to_vec(&Reader::new(&octets).read::<Value<'_>>().unwrap());
    assert_eq!(decoded(&encoded).as_ref(), Ok(&sample.json), "{}", notation::to_hex(&octets));
    assert!(encoded.len() <= octets.len(), "{}", notation::to_hex(&octets));
    encoded
}

/// Random values, of every type some.
fn samples(seed: u64, losses: &[Loss]) -> Vec<Sample> {
    println!("seed {seed}");
    let mut generator = Generator { rng: Rng::with_seed(seed), losses };
    let samples: Vec<_> = (0..VALUES).map(|_| generator.value(MAX_DEPTH)).collect();
    let types: BTreeSet<_> = samples.iter().map(|sample| sample.json[0].as_str()).collect();
    assert_eq!(types.len(), 25, "not all types: {types:?}");
    samples
}

/// What the peers are asked about, without them.
#[test]
fn random_values_survive() {
    for seed in SEEDS {
        samples(seed, &[]).iter().map(encode).for_each(drop);
    }
}

/// Whether a value is of this type.
fn is(json: &Json, name: &str) -> bool {
    json[0] == name
}

const PROTON: [Loss; 1] = [Loss {
    reason: "what stands behind a described value that is described itself is not counted in the list around both",
    example: "d00000000d00000002005302005303530440",
    lost: |json| is(json, "described") && is(&json[2], "described"),
}];

fn proton() -> Command {
    let mut command = Command::new(variable("AMQP10_PEER_VENDOR_PYTHON"));
    command.arg(program("proton_codec.py"));
    command
}

#[tokio::test]
#[ignore = "needs Qpid Proton: run tests/run"]
async fn proton_understands_our_values() {
    compare(proton, &PROTON).await;
}

/// What Proton's Python loses of the values in a message. Besides, it has no footer, no difference between what is absent and 0
/// or empty, and the texts of properties end at a NUL.
const PROTON_MESSAGE: [Loss; 2] = [
    Loss {
        reason: "keys of a map that are equal in Python are one",
        example: "005377d100000009000000044141520142",
        lost: |json| is(json, "map") && json[1].as_array().unwrap().iter().any(|entry| !is(&entry[0], "string")),
    },
    Loss {
        reason: "what stands behind a described value that is described itself is not counted in the list around both",
        example: "005377d00000000d00000002005302005303530440",
        lost: |json| is(json, "described") && is(&json[2], "described"),
    },
];

#[tokio::test]
#[ignore = "needs Qpid Proton: run tests/run"]
async fn proton_understands_our_messages() {
    let _one = ONE_AT_A_TIME.lock().await;
    let examples: Vec<_> = PROTON_MESSAGE.iter().map(|loss| notation::from_hex(loss.example).unwrap()).collect();
    for ((loss, example), answer) in
        PROTON_MESSAGE.iter().zip(&examples).zip(ask(proton(), "message ", &examples).await)
    {
        let back = notation::from_hex(&answer).and_then(|octets| Some(comparable(Message::decode(&octets).ok()?)));
        assert_ne!(back, Some(comparable(Message::decode(example).unwrap())), "not lost any more: {}", loss.reason);
    }
    for seed in SEEDS {
        println!("seed {seed}");
        let mut generator = Generator { rng: Rng::with_seed(seed), losses: &PROTON_MESSAGE };
        let messages: Vec<_> = (0..VALUES).map(|_| message(&mut generator)).collect();
        let encoded: Vec<_> = messages.iter().map(encoded_message).collect();
        for ((message, ours), answer) in messages.iter().zip(&encoded).zip(ask(proton(), "message ", &encoded).await) {
            let back = notation::from_hex(&answer).ok_or(&answer).map(|octets| Message::decode(&octets).unwrap());
            let back = back.unwrap_or_else(|error| panic!("sent {}: {error}", notation::to_hex(ours)));
            for (back, sent) in iter::zip(comparable(back), comparable(message.clone())) {
                assert_eq!(back, sent, "sent {}, back {answer}", notation::to_hex(ours));
            }
        }
    }
}

fn encoded_message(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    let mut again = Vec::new();
    Message::decode(&out).unwrap().encode(&mut again);
    assert_eq!(again, out);
    out
}

/// The sections of a message in which what is absent is written as what it stands for.
fn comparable(mut message: Message) -> Vec<Json> {
    message.header.get_or_insert_default();
    message.properties.get_or_insert_default().group_sequence.get_or_insert(SequenceNo(0));
    for map in
        [&mut message.delivery_annotations, &mut message.message_annotations, &mut message.application_properties]
    {
        map.get_or_insert_default();
    }
    let members = notation::message(&encoded_message(&message)).unwrap();
    let mut answer: Json = serde_json::from_str(&format!("{{{members}}}")).unwrap();
    let sections = std::mem::take(answer["values"].as_array_mut().unwrap());
    assert_eq!(sections.len(), 6, "five sections and the body");
    sections
}

/// The number in a value that holds one as text.
fn number(json: &Json) -> i128 {
    json[1].as_str().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The type of an array's elements, if there are any.
fn elements(json: &Json) -> Option<&str> {
    let array = json.get(1).filter(|array| is(json, "array") && array["items"] != json!([]))?;
    array["of"].as_str()
}

const RHEA: [Loss; 6] = [
    Loss {
        reason: "a timestamp beyond what a JavaScript Date can hold becomes 0",
        example: "833eef7e7254b2519d",
        lost: |json| is(json, "timestamp") && number(json).abs() > 8_640_000_000_000_000,
    },
    Loss {
        reason: "a number right above 2^53 is held as a double",
        example: "800020000000000001",
        lost: |json| (is(json, "ulong") || is(json, "long")) && (number(json).abs() >> 32) == 1 << 21,
    },
    Loss {
        reason: "a float that is no number loses its lower bits",
        example: "727f800001",
        lost: |json| is(json, "float") && f32::from_bits(bits(json) as u32).is_nan(),
    },
    Loss {
        reason: "of several descriptors only the first is kept",
        example: "0053020053035304",
        lost: |json| is(json, "described") && is(&json[2], "described"),
    },
    Loss {
        reason: "elements of an array that are not numbers of up to four octets or texts are not written",
        example: "e012019800000000000000000000000000000007",
        lost: |json| {
            matches!(
                elements(json),
                Some("ulong" | "long" | "timestamp" | "uuid" | "decimal32" | "decimal64" | "decimal128")
            )
        },
    },
    Loss {
        reason: "elements of an array that are lists, maps or arrays are written as empty ones",
        example: "e00601c003015301",
        lost: |json| matches!(elements(json), Some("list" | "map" | "array")),
    },
];

/// The octets of a value that holds them as hexadecimal digits, as a number.
fn bits(json: &Json) -> u64 {
    json[1].as_str().and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs rhea: run tests/run"]
async fn rhea_understands_our_values() {
    let command = || {
        let mut command = Command::new(variable("AMQP10_PEER_NODE"));
        command.arg(program("rhea_codec.js"));
        command
    };
    compare(command, &RHEA).await;
}
