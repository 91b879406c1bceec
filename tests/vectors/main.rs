//! The codec and octets that other projects test themselves with; `README.md` beside this file tells what they are.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, iter};

use amqp10_codec::sasl::SaslBody;
use amqp10_codec::{
    DecodeErrorKind, FrameErrorKind, FrameType, IntoOwned, Limits, MIN_MAX_FRAME_SIZE, MessageView, Performative,
    ProtocolHeader, Reader, Value, encode_to_vec, next_frame,
};
use serde_json::Value as Json;

#[allow(dead_code, unreachable_pub, reason = "a program there, a module here")]
#[path = "../../crates/codec/examples/vectors.rs"]
mod program;

/// The most memory that decoding an input may take at once, in octets.
const MAX_MEMORY: u64 = 64 << 20;

/// The longest that decoding an input may take, also where the compiler optimises nothing.
const MAX_TIME: Duration = Duration::from_secs(1);

/// The most places at which one long input is cut.
const MAX_CUTS: usize = 64;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The lines of a file, each with its number for whoever has to find it.
fn rows(name: &str) -> Vec<(String, Json)> {
    let rows: Vec<_> = text(name)
        .lines()
        .enumerate()
        .map(|(at, line)| (format!("{name}:{}", at + 1), serde_json::from_str(line).unwrap()))
        .collect();
    assert!(!rows.is_empty());
    rows
}

fn octets(hex: &Json) -> Vec<u8> {
    program::from_hex(hex.as_str().unwrap()).unwrap()
}

/// What the program answers, as one object.
fn answer(result: Result<String, Box<dyn std::error::Error>>) -> Result<Json, String> {
    let members = result.map_err(|error| error.to_string())?;
    Ok(serde_json::from_str(&format!("{{{members}}}")).unwrap())
}

fn values(octets: &[u8]) -> Result<Json, String> {
    answer(program::values(octets)).map(|mut answer| answer["values"].take())
}

/// The values in a row at the start of `octets`, encoded again, and what ends the row; by the strict reading.
fn encoded_again(octets: &[u8]) -> (Vec<u8>, Result<(), amqp10_codec::DecodeError>) {
    let mut reader = Reader::new(octets);
    let mut out = Vec::new();
    while !reader.is_empty() {
        match reader.read::<Value<'_>>() {
            Ok(value) => out.extend(encode_to_vec(&value)),
            Err(error) => return (out, Err(error)),
        }
    }
    (out, Ok(()))
}

/// Vectors called right whose array or list has a size that ends before its elements do: decoders that pass over the size
/// take them. By §1.6.22 and §1.6.24 the size covers the elements, so these are refused unless one asks for reading by the count.
const SIZE_TOO_SMALL: [&str; 7] = [
    "c0010140",
    "e01102817fffffffffffffff7fffffffffffffff",
    "e002015001",
    "f0000000050000000352017fff",
    "f0000000050000000354017fff",
    "f0000000050000000355017fff",
    "f0000000050000000353017fff",
];

#[test]
fn values_that_are_right() {
    let (mut count, mut too_small) = (0, 0);
    for (row, vector) in rows("values.jsonl").iter().filter(|(_, vector)| vector["verdict"] == "ok") {
        let octets = octets(&vector["hex"]);
        if SIZE_TOO_SMALL.iter().any(|hex| vector["hex"] == *hex) {
            let error = encoded_again(&octets).1.unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::CountTooLarge, "{row}");
            assert_eq!(values(&octets).as_ref(), Ok(&vector["values"]), "{row}: by the count");
            let once = encode_to_vec(&Reader::sized(&octets).read_by_count(&Limits::default()).unwrap());
            assert_eq!(values(&once).as_ref(), Ok(&vector["values"]), "{row}: encoded again");
            assert_eq!(encoded_again(&once), (once, Ok(())), "{row}: strict when encoded again");
            for cut in 0..octets.len() {
                assert!(cut == 0 || values(&octets[..cut]).is_err(), "{row}: cut at {cut}");
            }
            too_small += 1;
            continue;
        }
        assert_eq!(values(&octets).as_ref(), Ok(&vector["values"]), "{row}");

        let (once, end) = encoded_again(&octets);
        assert_eq!(end, Ok(()), "{row}");
        assert_eq!(values(&once).as_ref(), Ok(&vector["values"]), "{row}: encoded again");
        assert_eq!(encoded_again(&once).0, once, "{row}: encoded otherwise the second time");
        assert!(once.len() <= octets.len(), "{row}: encoded longer than somebody else does");

        // Cut where a value ends, the row is shorter; cut anywhere else, its last value is incomplete.
        let mut reader = Reader::new(&octets);
        let mut ends = vec![0];
        while !reader.is_empty() {
            reader.read::<Value<'_>>().unwrap();
            ends.push(reader.offset());
        }
        for cut in 0..octets.len() {
            let (_, end) = encoded_again(&octets[..cut]);
            match end {
                Ok(()) => assert!(ends.contains(&cut), "{row}: cut at {cut}"),
                Err(error) => assert!(!ends.contains(&cut) && error.is_incomplete(), "{row}: cut at {cut}: {error}"),
            }
            let mut sized = Reader::sized(&octets[ends.iter().rfind(|end| **end <= cut).copied().unwrap()..cut]);
            if !sized.is_empty() {
                let error = sized.read::<Value<'_>>().expect_err("it is cut");
                assert!(!error.is_incomplete(), "{row}: cut at {cut}, no more to come: {error}");
            }
        }
        count += 1;
    }
    assert_eq!((count, too_small), (172, 7));
}

#[test]
fn values_that_are_wrong() {
    let mut count = 0;
    for (row, vector) in rows("values.jsonl").iter().filter(|(_, vector)| vector["verdict"] == "reject") {
        let octets = octets(&vector["hex"]);
        assert!(values(&octets).is_err(), "{row}");
        for cut in 0..octets.len() {
            // Whole values may stand before what is wrong.
            let (whole, end) = encoded_again(&octets[..cut]);
            assert!(end.is_err() || whole.is_empty() == (cut == 0), "{row}: cut at {cut}");
        }
        let too_short = ["not_enough_bytes", "only_one_byte", "insufficient_bytes"];
        let sources = vector["sources"].to_string();
        if too_short.iter().any(|words| sources.contains(words)) {
            let error = encoded_again(&octets).1.unwrap_err();
            // These have a size too small for their count, whatever may come behind.
            let malformed = matches!(*octets, [0xc0, 0] | [0xd0, 0, 0, 0, 1, ..]);
            assert_eq!(error.is_incomplete(), !malformed, "{row}: {error}");
        }
        count += 1;
    }
    assert_eq!(count, 73);
}

/// What implementations differ about, and what the specification says.
#[test]
fn values_that_are_disputed() {
    const NO_COUNT: &str =
        "§1.6.22 to §1.6.24: the size of a compound covers its count, and that of an array its constructor";
    let decisions = [
        ("e0010140", false, NO_COUNT),
        ("e001fe40", false, NO_COUNT),
        ("c00000", false, NO_COUNT),
        ("d00000000000000000", false, NO_COUNT),
        ("e00000", false, NO_COUNT),
        ("f00000000000000000", false, NO_COUNT),
        ("f0000000010000000140", false, NO_COUNT),
        ("f0000000020000010040", false, NO_COUNT),
        ("5602", false, "§1.6.2: the octet 0x00 is false, the octet 0x01 is true, and there is no other"),
        ("e00902a302989903333435", false, "§1.6.21: symbols are ASCII"),
        ("f000000005ffffffff40", false, "a limit of ours: 65,536 elements that occupy no octets"),
        (
            "4000a30355524ca11e687474703a2f2f6578616d706c652e6f72672f68656c6c6f2d776f726c6400a30355524ca01468747470733a2f\
             2f7261626269746d712e636f6d0000a311696e6e657220636f6e7374727563746f72a00b696e6e65722076616c7565a00b6f75746572\
             2076616c7565e004025001ffe0050356010001f0000000050000000340f000000005000000004041c02b02a102686900a30355524ca1\
             1e687474703a2f2f6578616d706c652e6f72672f68656c6c6f2d776f726c64c01302547be00e0371000000010000000200000003c117\
             04a1046b657931a10676616c756531a1046b6579325421e0080000a10355524cb142",
            true,
            "§1.1.2: any value may be a descriptor, only what it means is reserved",
        ),
    ];
    let rows = rows("values.jsonl");
    let disputed: Vec<_> = rows.iter().filter(|(_, vector)| vector["verdict"] == "disputed").collect();
    assert_eq!(disputed.len(), decisions.len());
    for (row, vector) in disputed {
        let (_, accepted, reason) =
            decisions.iter().find(|(hex, ..)| vector["hex"] == *hex).unwrap_or_else(|| panic!("{row} is undecided"));
        let octets = octets(&vector["hex"]);
        let answer = values(&octets);
        assert_eq!(answer.is_ok(), *accepted, "{row}: {reason}: {answer:?}");
        if *accepted {
            assert_eq!(values(&encoded_again(&octets).0), answer, "{row}");
        }
    }
}

#[test]
fn messages() {
    let mut valid = 0;
    for (row, vector) in &rows("messages.jsonl") {
        let octets = octets(&vector["hex"]);
        let answer = answer(program::message(&octets)).map(|mut answer| answer["values"].take());
        if vector["message"] == "valid" {
            valid += 1;
            let values = answer.unwrap_or_else(|error| panic!("{row}: {error}"));
            assert!(vector["values"].is_null() || values == vector["values"], "{row}: {values}");
            let mut again = Vec::new();
            MessageView::parse(&octets).unwrap().to_message().unwrap().encode(&mut again);
            let view = MessageView::parse(&again).unwrap();
            view.validate().unwrap_or_else(|error| panic!("{row}: encoded again: {error}"));
            let mut twice = Vec::new();
            view.to_message().unwrap().encode(&mut twice);
            assert_eq!(twice, again, "{row}: encoded otherwise the second time");
        } else {
            assert!(answer.is_err(), "{row}: {} expected, got {answer:?}", vector["reason"]);
        }
        for cut in 0..octets.len() {
            let valid = MessageView::parse(&octets[..cut]).is_ok_and(|view| view.validate().is_ok());
            // A message cut between two sections may still be one.
            let sections = values(&octets[..cut]);
            assert!(!valid || sections.is_ok(), "{row}: cut at {cut}");
        }
    }
    assert_eq!(valid, 14);
}

/// Decodes a frame body, encodes it, decodes that again and compares; cuts it at every length.
macro_rules! body_again {
    ($row:expr, $body:expr, $type:ty) => {
        let (row, body) = ($row, $body);
        let mut reader = Reader::new(body);
        let decoded: $type = reader.read().unwrap_or_else(|error| panic!("{row}: {error}"));
        reader.finish().unwrap();
        let once = encode_to_vec(&decoded);
        let mut reader = Reader::sized(&once);
        let again: $type = reader.read().unwrap_or_else(|error| panic!("{row}: encoded again: {error}"));
        reader.finish().unwrap();
        assert_eq!(again, decoded, "{row}");
        assert!(once.len() <= body.len(), "{row}: encoded longer than somebody else does");
        for cut in 0..body.len() {
            let error = Reader::new(&body[..cut]).read::<$type>().expect_err("it is cut");
            assert!(error.is_incomplete(), "{row}: cut at {cut}: {error}");
            let error = Reader::sized(&body[..cut]).read::<$type>().expect_err("it is cut");
            assert!(!error.is_incomplete(), "{row}: cut at {cut}, no more to come: {error}");
        }
    };
}

/// Frames whose octets are right and whose fields are not: what is wrong with them.
const WRONG_FIELDS: [(&str, &str); 5] = [
    ("0000000c0200000000531045", "container-id"),
    ("0000000c0200000000531145", "next-outgoing-id"),
    ("0000000c0200000000531345", "incoming-window"),
    ("0000000c0200000000531445", "handle"),
    // A symbol where an error belongs.
    ("0000002d02000000005318c02001a31d616d71703a636f6e6e656374696f6e3a6672616d696e672d6572726f72", "amqp:error:list"),
];

/// A frame that came from somebody whole: every part of it decodes, cut it does not.
fn check_frame(row: &str, octets: &[u8]) {
    let answer = answer(program::frame(octets)).unwrap_or_else(|error| panic!("{row}: {error}"));
    let hex = program::to_hex(octets);
    if let Some((_, wrong)) = WRONG_FIELDS.iter().find(|(known, _)| *known == hex) {
        assert!(answer["fields"].as_str().is_some_and(|told| told.contains(wrong)), "{row}: {answer}");
        return;
    }
    assert_eq!(answer["fields"], Json::Null, "{row}");
    let size = octets.len() as u32;
    for cut in 0..octets.len() {
        assert_eq!(next_frame(&octets[..cut], size), Ok(None), "{row}: cut at {cut}");
        let refused = next_frame(&octets[..cut], size - 1).map_err(|error| error.kind());
        let expected = if cut < 4 { Ok(None) } else { Err(FrameErrorKind::TooLarge) };
        assert_eq!(refused, expected, "{row}: cut at {cut}, larger than allowed by an octet");
    }
    let frame = next_frame(octets, size).unwrap().unwrap();
    let payload = answer["payload"].as_str().unwrap().len() / 2;
    let body = &frame.body[..frame.body.len() - payload];
    match frame.header.frame_type {
        FrameType::Amqp if body.is_empty() => {}
        FrameType::Amqp => {
            body_again!(row, body, Performative<'_>);
        }
        FrameType::Sasl => {
            body_again!(row, body, SaslBody<'_>);
        }
    }
}

#[test]
fn frames() {
    let (mut right, mut wrong) = (0, 0);
    for (row, vector) in &rows("frames.jsonl") {
        let octets = octets(&vector["hex"]);
        if vector["note"].is_null() {
            right += 1;
            check_frame(row, &octets);
            let answer = answer(program::frame(&octets)).unwrap();
            for member in ["type", "channel", "payload"] {
                assert_eq!(answer[member], vector[member], "{row}");
            }
            assert_eq!(answer["values"], Json::from(vec![vector["performative"].clone()]), "{row}");
        } else {
            // Broken on purpose.
            wrong += 1;
            let answer = within_bounds(row, || program::frame(&octets).map_err(|error| error.to_string()));
            assert!(answer.is_err(), "{row}: {answer:?}");
        }
    }
    assert_eq!((right, wrong), (887, 5));
}

/// What becomes of octets at the frame layer, where 512 octets are allowed.
#[derive(Debug, PartialEq)]
enum Framed {
    /// The bodies of whole frames, then perhaps a part of one more.
    Bodies(&'static [&'static [u8]]),
    Refused(FrameErrorKind),
}

#[test]
fn frame_headers() {
    let expected = [
        ("00000201", Framed::Refused(FrameErrorKind::TooLarge)),
        ("000002000200", Framed::Bodies(&[])),
        ("00000008020000", Framed::Bodies(&[])),
        ("000000090200000000", Framed::Bodies(&[&[0]])),
        ("0000000802000102", Framed::Bodies(&[&[]])),
        ("0000000802000304", Framed::Bodies(&[&[]])),
        ("0000000702000102", Framed::Refused(FrameErrorKind::TooSmall)),
        ("000000090200010242", Framed::Bodies(&[&[0x42]])),
        ("00000008020001020000000802000304", Framed::Bodies(&[&[], &[]])),
        ("000000090200010242000000090200030443", Framed::Bodies(&[&[0x42], &[0x43]])),
        ("0000000802010000", Framed::Bodies(&[&[]])),
    ];
    let rows = rows("frame-headers.jsonl");
    assert_eq!(rows.len(), 19);
    for (row, vector) in &rows {
        let octets = octets(&vector["hex"]);
        let (_, expected) = expected
            .iter()
            .find(|(hex, _)| vector["hex"] == *hex)
            .unwrap_or_else(|| panic!("nothing expected of {row}"));
        for cut in 0..=octets.len() {
            let mut bodies = Vec::new();
            let mut rest = &octets[..cut];
            let end = loop {
                match next_frame(rest, MIN_MAX_FRAME_SIZE) {
                    Ok(Some(frame)) => {
                        bodies.push(frame.body);
                        rest = &rest[frame.header.size as usize..];
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error.kind()),
                }
            };
            match expected {
                Framed::Bodies(all) => {
                    assert_eq!(end, Ok(()), "{row}: cut at {cut}");
                    assert!(all.starts_with(&bodies), "{row}: cut at {cut}: {bodies:?}");
                    assert!(cut < octets.len() || bodies == *all, "{row}: {bodies:?}");
                }
                Framed::Refused(kind) => {
                    let due = if cut < 4 { Ok(()) } else { Err(*kind) };
                    assert_eq!((end, bodies.len()), (due, 0), "{row}: cut at {cut}");
                }
            }
        }
    }
}

#[test]
fn conversations() {
    let mut count = 0;
    for (row, vector) in &rows("conversations.jsonl") {
        if vector["malformed_script"] == true {
            continue;
        }
        for step in vector["steps"].as_array().unwrap() {
            let Some(frames) = step["frames"].as_array() else { continue };
            let all: Vec<u8> = frames.iter().flat_map(octets).collect();
            let fields: Vec<u8> =
                step["fields"].as_array().unwrap().iter().flat_map(|field| octets(&field[0])).collect();
            assert_eq!(fields, all, "{row}: the fields are not the frames");
            for frame in frames {
                let octets = octets(frame);
                if octets.starts_with(b"AMQP") {
                    let header = ProtocolHeader::parse(&octets).unwrap().unwrap();
                    assert_eq!(header.to_octets()[..], octets, "{row}");
                } else {
                    check_frame(row, &octets);
                }
                count += 1;
            }
            assert_eq!(check_stream(row, &all), None, "{row}");
        }
    }
    assert!(count > 500, "only {count} frames");
}

#[test]
fn recorded_streams() {
    // Streams in which somebody tested what the other side does with octets that are wrong.
    let wrong = [
        ("recorded-streams-qpid-proton-python.jsonl:36", "a map"),
        ("recorded-streams-qpid-proton-python.jsonl:77", "neither an AMQP nor a SASL frame"),
        ("recorded-streams-rhea.jsonl:164", "the data offset"),
    ];
    let mut count = 0;
    for name in ["recorded-streams-qpid-proton-python.jsonl", "recorded-streams-rhea.jsonl"] {
        for (row, vector) in &rows(name) {
            let octets = octets(&vector["hex"]);
            let error = check_stream(row, &octets);
            let expected = wrong.iter().find(|(known, _)| known == row).map(|(_, words)| *words);
            match (&error, expected) {
                (None, None) => {}
                (Some(error), Some(words)) => assert!(error.contains(words), "{row}: {error}"),
                _ => panic!("{row}: {error:?}"),
            }
            count += 1;
        }
    }
    assert_eq!(count, 278);
}

/// The octets of each frame and protocol header, in order, when they arrive in these pieces; why no more can be taken; and how
/// many octets are left.
type Received = (Vec<Vec<u8>>, Option<FrameErrorKind>, usize);

fn received<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Received {
    let mut buffer = Vec::new();
    let mut items = Vec::new();
    let mut end = None;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while end.is_none() {
            let size = if buffer.starts_with(b"AMQP") {
                ProtocolHeader::parse(&buffer).map(|header| header.map(|_| ProtocolHeader::SIZE))
            } else {
                next_frame(&buffer, u32::MAX).map(|frame| frame.map(|frame| frame.header.size as usize))
            };
            match size {
                Ok(Some(size)) => items.push(buffer.drain(..size).collect()),
                Ok(None) => break,
                Err(error) => end = Some(error.kind()),
            }
        }
    }
    (items, end, buffer.len())
}

/// A stream gives the same frames whole, octet by octet and cut in two anywhere; tells what else is wrong with it.
fn check_stream(row: &str, octets: &[u8]) -> Option<String> {
    let whole = received(iter::once(octets));
    assert!(!whole.0.is_empty(), "{row}");
    assert_eq!(received(octets.chunks(1)), whole, "{row}: octet by octet");
    assert_eq!(received(octets.chunks(7)), whole, "{row}: in sevens");
    let stream = answer(program::stream(octets));
    if let Ok(answer) = &stream {
        assert_eq!((answer["frames"].as_array().unwrap().len(), whole.1, whole.2), (whole.0.len(), None, 0), "{row}");
    }
    let ends: Vec<_> = iter::once(0)
        .chain(whole.0.iter().scan(0, |end, item| {
            *end += item.len();
            Some(*end)
        }))
        .collect();
    for cut in cuts(octets.len()).chain(ends.iter().copied()) {
        let (before, behind) = octets.split_at(cut);
        assert_eq!(received([before, behind].into_iter()), whole, "{row}: cut at {cut}");
        if stream.is_ok() {
            assert_eq!(program::stream(before).is_ok(), ends.contains(&cut), "{row}: cut at {cut}");
        }
    }
    stream.err()
}

/// Where an input of this length is cut: everywhere if it is short.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(MAX_CUTS).max(1))
}

/// Runs `decode` and panics if it takes too much memory or time.
fn within_bounds<T>(row: &str, decode: impl Fn() -> T) -> T {
    let mut result = None;
    let memory = allocation_counter::measure(|| result = Some(decode()));
    assert!(memory.bytes_max < MAX_MEMORY, "{row}: {} octets of memory", memory.bytes_max);
    // Measured more than once, since the machine may be busy with something else.
    let fast = iter::repeat_with(|| {
        let begin = Instant::now();
        decode();
        begin.elapsed()
    });
    assert!(fast.take(5).any(|time| time < MAX_TIME), "{row}: more than {MAX_TIME:?}");
    result.unwrap()
}

/// Inputs that fuzzers kept, or that once crashed somebody: they may decode or not, but nothing else may happen.
#[test]
fn fuzzed() {
    let files = [
        ("proton-fuzz-message-decode.csv", false, 182),
        ("go-amqp-fuzz-marshal.csv", false, 112),
        ("proton-fuzz-connection-driver.csv", true, 259),
        ("proton-fuzz-proactor-receive.csv", true, 458),
        ("go-amqp-fuzz-conn.csv", true, 173),
    ];
    for (name, from_socket, count) in files {
        let text = text(name);
        let mut rows = 0;
        for (at, line) in text.lines().enumerate().skip(1) {
            rows += 1;
            let row = format!("{name}:{}", at + 1);
            let octets = program::from_hex(line.rsplit(',').next().unwrap()).unwrap();
            for cut in cuts(octets.len()).chain(iter::once(octets.len())) {
                let input = &octets[..cut];
                if from_socket {
                    within_bounds(&row, || program::stream(input).is_ok());
                } else {
                    within_bounds(&row, || program::values(input).is_ok());
                    within_bounds(&row, || program::message(input).is_ok());
                    within_bounds(&row, || MessageView::parse(input).ok()?.to_message().ok());
                }
            }
            if !from_socket && let Ok(value) = Reader::new(&octets).read::<Value<'_>>() {
                assert_eq!(encode_to_vec(&value.clone().into_owned()), encode_to_vec(&value), "{row}");
            }
        }
        assert_eq!(rows, count, "{name}");
    }
}

/// A line that is no request gets an error, and the program goes on.
#[test]
fn requests() {
    let cases = [
        (
            r#"{"id":"a","hex":"A102c3a9","mode":"values"}"#,
            r#"{"id":"a","ok":true,"values":[["string","é"]],"error":null}"#,
        ),
        (r#"{"id":1,"hex":"","mode":"values"}"#, r#"{"id":1,"ok":true,"values":[],"error":null}"#),
        ("", r#"{"id":null,"ok":false,"#),
        ("{", r#"{"id":null,"ok":false,"#),
        ("[]", r#"{"id":null,"ok":false,"#),
        ("\u{0}", r#"{"id":null,"ok":false,"#),
        (r#"{"id":2}"#, r#"{"id":2,"ok":false,"values":[],"error":"a request has a string hex"}"#),
        (r#"{"id":3,"hex":5,"mode":"values"}"#, r#"{"id":3,"ok":false,"#),
        (
            r#"{"id":4,"hex":"a","mode":"values"}"#,
            r#"{"id":4,"ok":false,"values":[],"error":"hex is not a row of octets"}"#,
        ),
        (r#"{"id":5,"hex":"é0","mode":"values"}"#, r#"{"id":5,"ok":false,"#),
        (
            r#"{"id":6,"hex":"40","mode":"value"}"#,
            r#"{"id":6,"ok":false,"values":[],"error":"unknown mode \"value\""}"#,
        ),
        (r#"{"id":7,"hex":"a102","mode":"values"}"#, r#"{"id":7,"ok":false,"#),
        (r#"{"id":8,"hex":"000000080200000000","mode":"frame"}"#, r#"{"id":8,"ok":false,"#),
        (r#"{"id":9,"hex":"00000008020000","mode":"stream"}"#, r#"{"id":9,"ok":false,"#),
        (
            r#"{"id":10,"hex":"0000001102000001005314c00201434142","mode":"frame"}"#,
            r#"{"id":10,"ok":true,"values":[["described",["ulong","20"],["list",[["uint",0]]]]],"type":"amqp","channel":1,"payload":"4142","fields":null,"error":null}"#,
        ),
        (
            r#"{"id":11,"hex":"000000100201000000534445c0010040","mode":"frame"}"#,
            r#"{"id":11,"ok":false,"values":[],"error":"octets are left over behind the SASL body"}"#,
        ),
        (
            r#"{"id":13,"hex":"0000000c0200000700531745","mode":"frame"}"#,
            r#"{"id":13,"ok":true,"values":[["described",["ulong","23"],["list",[]]]],"type":"amqp","channel":7,"payload":"","fields":null,"error":null}"#,
        ),
        (
            r#"{"id":14,"hex":"0000000c0200000700534445","mode":"frame"}"#,
            r#"{"id":14,"ok":false,"values":[],"error":"the body does not belong in a frame of this type"}"#,
        ),
    ];
    for (line, expected) in cases {
        let answer = program::answer(line.as_bytes());
        assert!(answer.starts_with(expected), "{line}: {answer}");
        serde_json::from_str::<Json>(&answer).unwrap_or_else(|error| panic!("{line}: {answer}: {error}"));
    }
    assert!(program::answer(b"{\"id\":1,\"hex\":\"\xff\"}").starts_with(r#"{"id":null,"ok":false,"#));
    // Nested deeper than the JSON parser goes.
    let deep = "[".repeat(100_000);
    assert!(program::answer(deep.as_bytes()).starts_with(r#"{"id":null,"ok":false,"#));
}

/// Few octets can stand for many values; the program shows so many and no more.
#[test]
fn many_values_for_few_octets() {
    let nulls = [0xf0, 0, 0, 0, 5, 0, 0, 0xff, 0xff, 0x40];
    let three = answer(
        within_bounds("three", || program::values(&nulls.repeat(3)).map_err(|e| e.to_string())).map_err(Into::into),
    );
    assert_eq!(three.unwrap()["values"][2][1]["items"].as_array().unwrap().len(), 65_535);
    let error = within_bounds("thousand", || program::values(&nulls.repeat(1000)).map_err(|error| error.to_string()));
    assert_eq!(error.unwrap_err(), "more than 262144 values");
}

/// Lists in lists down to the greatest depth allowed are shown, one more is refused.
#[test]
fn deep_values() {
    let mut encoded = vec![0x45];
    for depth in 2..=100 {
        let mut outer = vec![0xd0];
        outer.extend((encoded.len() as u32 + 4).to_be_bytes());
        outer.extend([0, 0, 0, 1]);
        outer.extend(&encoded);
        encoded = outer;
        let expected =
            format!(r#""values":[{}["list",[]]{}]"#, r#"["list",["#.repeat(depth - 1), "]]".repeat(depth - 1));
        match program::values(&encoded) {
            // The empty list holds nothing, so it counts as no level.
            Ok(shown) => {
                assert!(shown == expected && depth <= usize::from(amqp10_codec::MAX_DEPTH) + 1, "{depth}: {shown}")
            }
            Err(error) => assert!(depth > usize::from(amqp10_codec::MAX_DEPTH), "{depth}: {error}"),
        }
    }
}
