//! Random values encoded by us, decoded and encoded again by codecs that are not ours, and decoded by us.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::iter;
use std::time::Duration;

use amqp10_codec::{Reader, Value, encode_to_vec};
use amqp10_tests::peer::{program, variable};
use fastrand::Rng;
use serde_json::{Value as Json, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::ONE_AT_A_TIME;

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

/// Something that a peer loses, and which is therefore not sent to it.
struct Loss {
    reason: &'static str,
    /// A value that it loses, to prove it. Who does not lose it any more has no need of the entry.
    example: &'static str,
    /// Whether a value, itself and not what is inside it, is lost.
    lost: fn(&Json) -> bool,
}

/// A value in the notation of `vectors`, and octets that stand for it, its constructor by itself.
struct Sample {
    json: Json,
    constructor: u8,
    data: Vec<u8>,
}

impl Sample {
    fn octets(&self) -> Vec<u8> {
        [&[self.constructor], &*self.data].concat()
    }
}

/// Makes random values that a peer does not lose.
struct Generator<'l> {
    rng: Rng,
    losses: &'l [Loss],
}

const SCALARS: [u8; 28] = [
    0x40, 0x41, 0x42, 0x43, 0x44, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x60, 0x61, 0x70, 0x71, 0x72, 0x73, 0x74,
    0x80, 0x81, 0x82, 0x83, 0x84, 0x94, 0x98, 0xa0, 0xa1,
];

const WIDE: [u8; 4] = [0xa3, 0xb0, 0xb1, 0xb3];

const COMPOUNDS: [u8; 7] = [0x45, 0xc0, 0xd0, 0xc1, 0xd1, 0xe0, 0xf0];

impl Generator<'_> {
    fn constructor(&mut self, depth: u32) -> u8 {
        match self.rng.u32(..10) {
            0..=3 if depth > 0 => self.rng.choice(COMPOUNDS).unwrap(),
            4 => self.rng.choice(WIDE).unwrap(),
            _ => self.rng.choice(SCALARS).unwrap(),
        }
    }

    /// A value of any type.
    fn value(&mut self, depth: u32) -> Sample {
        if depth > 0 && self.rng.u32(..10) == 0 {
            let (descriptor, value) = (self.descriptor(), self.value(depth - 1));
            let json = json!(["described", descriptor.json, value.json]);
            if self.fits(&json) {
                return Sample { json, constructor: 0, data: [descriptor.octets(), value.octets()].concat() };
            }
        }
        let constructor = self.constructor(depth);
        self.of(constructor, depth)
    }

    /// Mostly one with a meaning.
    fn descriptor(&mut self) -> Sample {
        let constructor = self.rng.choice([0x53, 0x80, 0xa3, 0xa1]).unwrap();
        self.of(constructor, 0)
    }

    fn fits(&self, json: &Json) -> bool {
        !self.losses.iter().any(|loss| (loss.lost)(json))
    }

    /// A value with this constructor, or with another one if the peer loses every such value.
    fn of(&mut self, constructor: u8, depth: u32) -> Sample {
        for _ in 0..100 {
            let (json, data) = self.data(constructor, depth);
            if self.fits(&json) {
                return Sample { json, constructor, data };
            }
        }
        let constructor = self.constructor(depth);
        self.of(constructor, depth)
    }

    /// Octets of this number, some of them remarkable.
    fn number(&mut self, width: usize) -> Vec<u8> {
        let any = self.rng.u128(..) >> self.rng.u32(..128);
        let edges = [0, 1, 0x7f, 0x80, 0xff, u128::MAX, u128::MAX - 127, u128::MAX << 7, any];
        let mut octets = self.rng.choice(edges).unwrap().to_be_bytes();
        if self.rng.bool() {
            octets = any.to_be_bytes();
        }
        let mut octets = octets[16 - width..].to_vec();
        if self.rng.u32(..8) == 0 {
            // The smallest and the greatest of what is signed.
            octets.fill(if self.rng.bool() { 0 } else { 0xff });
            octets[0] ^= 0x80;
        }
        octets
    }

    fn text(&mut self, ascii: bool, long: bool) -> String {
        let length = if long && self.rng.u32(..4) == 0 { 300 } else { self.rng.usize(..12) };
        let mut char = || match self.rng.u32(..4) {
            0 if !ascii => self.rng.char(..),
            1 => self.rng.char('\0'..='\x7f'),
            _ => self.rng.alphanumeric(),
        };
        (0..length).map(|_| char()).collect()
    }

    /// A value with this constructor: its notation and the octets behind the constructor.
    fn data(&mut self, constructor: u8, depth: u32) -> (Json, Vec<u8>) {
        let wide = constructor & 0x10 != 0;
        match constructor {
            0x40 => (json!(["null"]), vec![]),
            0x41 => (json!(["boolean", true]), vec![]),
            0x42 => (json!(["boolean", false]), vec![]),
            0x43 => (json!(["uint", 0]), vec![]),
            0x44 => (json!(["ulong", "0"]), vec![]),
            0x45 => (json!(["list", []]), vec![]),
            0x56 => {
                let value = self.rng.bool();
                (json!(["boolean", value]), vec![value.into()])
            }
            0x73 => {
                let code = u32::from(self.rng.char(..));
                (json!(["char", code]), code.to_be_bytes().to_vec())
            }
            0x50..=0x55 | 0x60 | 0x61 | 0x70 | 0x71 | 0x80 | 0x81 | 0x83 => {
                let octets = self.number(1 << ((constructor >> 4) - 5));
                let unsigned = octets.iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
                let unused = 64 - 8 * octets.len();
                let signed = (unsigned << unused).cast_signed() >> unused;
                let json = match constructor {
                    0x50 => json!(["ubyte", unsigned]),
                    0x60 => json!(["ushort", unsigned]),
                    0x52 | 0x70 => json!(["uint", unsigned]),
                    0x53 | 0x80 => json!(["ulong", unsigned.to_string()]),
                    0x51 => json!(["byte", signed]),
                    0x61 => json!(["short", signed]),
                    0x54 | 0x71 => json!(["int", signed]),
                    0x83 => json!(["timestamp", signed.to_string()]),
                    _ => json!(["long", signed.to_string()]),
                };
                (json, octets)
            }
            0x72 | 0x74 | 0x82 | 0x84 | 0x94 | 0x98 => {
                let name = match constructor {
                    0x72 => "float",
                    0x74 => "decimal32",
                    0x82 => "double",
                    0x84 => "decimal64",
                    0x94 => "decimal128",
                    _ => "uuid",
                };
                let octets = self.number(1 << ((constructor >> 4) - 5));
                (json!([name, notation::to_hex(&octets)]), octets)
            }
            0xa0 | 0xb0 => {
                let length = if wide && self.rng.u32(..4) == 0 { 300 } else { self.rng.usize(..12) };
                let octets: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
                (json!(["binary", notation::to_hex(&octets)]), sized(wide, &octets))
            }
            0xa1 | 0xb1 => {
                let text = self.text(false, wide);
                (json!(["string", text]), sized(wide, text.as_bytes()))
            }
            0xa3 | 0xb3 => {
                let text = self.text(true, wide);
                (json!(["symbol", text]), sized(wide, text.as_bytes()))
            }
            0xc0 | 0xd0 => {
                let items: Vec<_> = (0..self.rng.usize(..5)).map(|_| self.value(depth.saturating_sub(1))).collect();
                let octets: Vec<u8> = items.iter().flat_map(Sample::octets).collect();
                if !wide && octets.len() > 254 {
                    return (json!(["list", []]), vec![1, 0]);
                }
                let json: Vec<_> = items.iter().map(|item| &item.json).collect();
                (json!(["list", json]), counted(wide, items.len(), &octets))
            }
            0xc1 | 0xd1 => {
                let mut entries: Vec<(Sample, Sample)> = Vec::new();
                for _ in 0..self.rng.usize(..4) {
                    let (key, value) = (self.value(depth.saturating_sub(1)), self.value(depth.saturating_sub(1)));
                    if !entries.iter().any(|(known, _)| known.json == key.json) {
                        entries.push((key, value));
                    }
                }
                let octets: Vec<u8> =
                    entries.iter().flat_map(|(key, value)| [key.octets(), value.octets()].concat()).collect();
                if !wide && octets.len() > 254 {
                    return (json!(["map", []]), vec![1, 0]);
                }
                let json: Vec<_> = entries.iter().map(|(key, value)| [&key.json, &value.json]).collect();
                (json!(["map", json]), counted(wide, 2 * entries.len(), &octets))
            }
            _ => self.array(wide, depth),
        }
    }

    fn array(&mut self, wide: bool, depth: u32) -> (Json, Vec<u8>) {
        let element = self.constructor(depth.saturating_sub(1));
        let mut octets = Vec::new();
        let mut json = json!({});
        if self.rng.u32(..4) == 0 {
            let descriptor = self.descriptor();
            octets.push(0);
            octets.extend(descriptor.octets());
            json["descriptor"] = descriptor.json;
        }
        octets.push(element);
        let items: Vec<_> = (0..self.rng.usize(..5)).map(|_| self.data(element, depth.saturating_sub(1))).collect();
        octets.extend(items.iter().flat_map(|(_, data)| data));
        if !wide && octets.len() > 254 {
            return (json!(["array", {"of": "null", "items": []}]), vec![2, 0, 0x40]);
        }
        // True and false are values of one type, but each with a constructor of its own.
        json["of"] = self.data(element, 0).0[0].take();
        json["items"] = items.iter().map(|(item, _)| item.clone()).collect();
        let fits = items.iter().all(|(item, _)| self.fits(item));
        let json = json!(["array", json]);
        let data = counted(wide, items.len(), &octets);
        // Without what the peer loses inside it.
        if fits { (json, data) } else { self.array(wide, depth) }
    }
}

/// Octets behind their size.
fn sized(wide: bool, octets: &[u8]) -> Vec<u8> {
    let size = octets.len() as u32;
    if wide { [&size.to_be_bytes(), octets].concat() } else { [&[size as u8], octets].concat() }
}

/// Octets behind size and count.
fn counted(wide: bool, count: usize, octets: &[u8]) -> Vec<u8> {
    let (size, count) = (octets.len() as u32, count as u32);
    if wide {
        [&(size + 4).to_be_bytes(), &count.to_be_bytes(), octets].concat()
    } else {
        [&[size as u8 + 1, count as u8], octets].concat()
    }
}

/// The one value that octets stand for.
fn decoded(octets: &[u8]) -> Result<Json, String> {
    let members = notation::values(octets).map_err(|error| error.to_string())?;
    let mut answer: Json = serde_json::from_str(&format!("{{{members}}}")).unwrap();
    match answer["values"].as_array_mut().unwrap().as_mut_slice() {
        [one] => Ok(one.take()),
        other => Err(format!("{} values", other.len())),
    }
}

/// What a peer makes of each of these values.
async fn ask(mut command: Command, values: &[Vec<u8>]) -> Vec<String> {
    let mut input = tempfile::tempfile().unwrap();
    for octets in values {
        writeln!(input, "{}", notation::to_hex(octets)).unwrap();
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
    for ((loss, example), answer) in losses.iter().zip(&examples).zip(ask(command(), &examples).await) {
        let sent = decoded(example).unwrap();
        assert_ne!(understood(&answer).as_ref(), Ok(&sent), "not lost any more: {}", loss.reason);
    }
    for seed in SEEDS {
        let samples = samples(seed, losses);
        let encoded: Vec<_> = samples.iter().map(encode).collect();
        let answers = ask(command(), &encoded).await;
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

#[tokio::test]
#[ignore = "needs Qpid Proton: run tests/run"]
async fn proton_understands_what_we_encode() {
    let command = || {
        let mut command = Command::new(variable("AMQP10_PEER_VENDOR_PYTHON"));
        command.arg(program("proton_codec.py"));
        command
    };
    compare(command, &PROTON).await;
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
async fn rhea_understands_what_we_encode() {
    let command = || {
        let mut command = Command::new(variable("AMQP10_PEER_NODE"));
        command.arg(program("rhea_codec.js"));
        command
    };
    compare(command, &RHEA).await;
}
