//! Decodes octets for test suites written elsewhere: JSON lines in, JSON lines out.
//!
//! ```sh
//! echo '{"id":1,"hex":"a10268694056005000","mode":"values"}' | cargo run -q -p amqp10-codec --example vectors
//! {"id":1,"ok":true,"values":[["string","hi"],["null"],["boolean",false],["ubyte",0]],"error":null}
//! ```
//!
//! A request is `{"id":…,"hex":"…","mode":"…"}`, one a line; every line that is not blank gets one answer, in order:
//! `{"id":…,"ok":true,"values":[…],"error":null}`, or `{"id":…,"ok":false,"values":[],"error":"…"}` when the octets are not
//! what the mode says or the line is no request (`id` is null if it cannot be told). The modes:
//!
//! - `values`: whole values in a row; `values` are these. Only here a size may end before the elements do, which are then read by
//!   their count.
//! - `message`: a whole message by the strict reading of §3.2, every section decoded; `values` are its sections.
//! - `frame`: one whole frame of type AMQP or SASL; `values` holds its performative or SASL body as it stands on the wire, and
//!   nothing if the frame is empty. Four more members: `type` is `"amqp"` or `"sasl"`, `channel` a number, `payload`
//!   hexadecimal: what stands behind the performative. `fields` is null, or tells what is wrong with the fields of a body whose
//!   octets are right, such as one that is mandatory and missing.
//! - `stream`: what one side of a connection receives, to the end of a frame. `values` are the bodies of all frames one after
//!   the other. One more member, `frames`: for each frame the four members above and how many `values` it adds (0 or 1), for a
//!   protocol header `{"type":"header","hex":"…"}`.
//!
//! A value is a JSON array that begins with its type: `["null"]`, `["boolean",true]`, `["uint",1]` (so are `ubyte`, `ushort`,
//! `byte`, `short`, `int`), `["char",128512]` (the code point), `["string","x"]`, `["symbol","x"]`; `ulong`, `long` and
//! `timestamp` hold a decimal string; `float`, `double`, `decimal32`, `decimal64`, `decimal128`, `uuid` and `binary` hold
//! hexadecimal octets as on the wire; `["list",[…]]`, `["map",[[key,value],…]]` in wire order, `["described",descriptor,value]`
//! and `["array",{"of":type,"descriptor":value,"items":[…]}]`, where the descriptor is absent unless the elements are described,
//! and the items stand without it.
//!
//! At most 262,144 values are shown: an array of values that occupy no octets has many of them for few octets.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};

use amqp10_codec::sasl::{SaslBody, SaslChallenge, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse};
use amqp10_codec::{
    Array, Attach, Begin, Close, Composite, DecodeError, Descriptor, Detach, Disposition, End, Flow, Frame, FrameType,
    Limits, MessageView, Open, Performative, ProtocolHeader, Reader, Transfer, Value, encode_to_vec, next_frame,
};
use serde_json::Value as Json;

/// The most values that are shown in one answer.
const MAX_VALUES: u32 = 1 << 18;

/// Why there are no values to show.
type Failure = Box<dyn std::error::Error>;

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if !line.trim_ascii().is_empty() {
            writeln!(output, "{}", answer(&line))?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

/// The answer to one line.
pub fn answer(line: &[u8]) -> String {
    let request: Result<Json, _> = serde_json::from_slice(line);
    let id = request.as_ref().ok().and_then(|request| request.get("id")).unwrap_or(&Json::Null);
    let members = match &request {
        Ok(request) => members(request),
        Err(error) => Err(format!("not a JSON value: {error}").into()),
    };
    match members {
        Ok(members) => format!(r#"{{"id":{id},"ok":true,{members},"error":null}}"#),
        Err(error) => format!(r#"{{"id":{id},"ok":false,"values":[],"error":{}}}"#, Json::from(error.to_string())),
    }
}

fn members(request: &Json) -> Result<String, Failure> {
    let text = |name| match request.get(name).and_then(Json::as_str) {
        Some(text) => Ok(text),
        None => Err(format!("a request has a string {name}")),
    };
    let octets = from_hex(text("hex")?).ok_or("hex is not a row of octets")?;
    match text("mode")? {
        "values" => values(&octets),
        "message" => message(&octets),
        "frame" => frame(&octets),
        "stream" => stream(&octets),
        other => Err(format!("unknown mode {other:?}").into()),
    }
}

/// Whole values in a row.
pub fn values(octets: &[u8]) -> Result<String, Failure> {
    let mut notation = Notation::default();
    let mut reader = Reader::new(octets);
    while !reader.is_empty() {
        let value = reader.read_by_count(&Limits::default())?;
        notation.value(&value)?;
    }
    Ok(format!(r#""values":[{}]"#, notation.text))
}

/// A message, by the strict reading.
pub fn message(octets: &[u8]) -> Result<String, Failure> {
    MessageView::parse(octets)?.validate()?;
    let mut notation = Notation::default();
    let mut rest = octets;
    while !rest.is_empty() {
        rest = notation.known(rest)?;
    }
    Ok(format!(r#""values":[{}]"#, notation.text))
}

/// One whole frame.
pub fn frame(octets: &[u8]) -> Result<String, Failure> {
    let frame = next_frame(octets, u32::MAX)?.ok_or("the frame is incomplete")?;
    if octets.len() > frame.header.size as usize {
        return Err("octets are left over behind the frame".into());
    }
    let mut notation = Notation::default();
    let members = notation.frame(&frame)?;
    Ok(format!(r#""values":[{}],{members}"#, notation.text))
}

/// Frames and protocol headers, one after the other.
pub fn stream(octets: &[u8]) -> Result<String, Failure> {
    let mut notation = Notation::default();
    let mut frames = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let at = octets.len() - rest.len();
        let cut = || format!("the stream ends inside what begins at offset {at}");
        let (item, size) = if rest.starts_with(b"AMQP") {
            let header = ProtocolHeader::parse(rest)?.ok_or_else(cut)?;
            (format!(r#"{{"type":"header","hex":"{}"}}"#, to_hex(&header.to_octets())), ProtocolHeader::SIZE)
        } else {
            let frame = next_frame(rest, u32::MAX)?.ok_or_else(cut)?;
            let before = notation.text.len();
            let members = notation.frame(&frame).map_err(|error| format!("the frame at offset {at}: {error}"))?;
            let values = u8::from(notation.text.len() > before);
            (format!(r#"{{{members},"values":{values}}}"#), frame.header.size as usize)
        };
        frames.push(item);
        rest = &rest[size..];
    }
    Ok(format!(r#""values":[{}],"frames":[{}]"#, notation.text, frames.join(",")))
}

/// Whether a body with this descriptor belongs in a frame of this type.
fn belongs(frame_type: FrameType, descriptor: &Descriptor<'_>) -> bool {
    fn is<T: Composite>(descriptor: &Descriptor<'_>) -> bool {
        descriptor.is(T::NAME, T::CODE)
    }
    let known: &[fn(&Descriptor<'_>) -> bool] = match frame_type {
        FrameType::Amqp => &[
            is::<Open<'_>>,
            is::<Begin<'_>>,
            is::<Attach<'_>>,
            is::<Flow<'_>>,
            is::<Transfer<'_>>,
            is::<Disposition<'_>>,
            is::<Detach<'_>>,
            is::<End<'_>>,
            is::<Close<'_>>,
        ],
        FrameType::Sasl => &[
            is::<SaslMechanisms<'_>>,
            is::<SaslInit<'_>>,
            is::<SaslChallenge<'_>>,
            is::<SaslResponse<'_>>,
            is::<SaslOutcome<'_>>,
        ],
    };
    known.iter().any(|is| is(descriptor))
}

/// What is wrong with the fields of a frame's body.
fn check_fields(frame: &Frame<'_>) -> Result<(), DecodeError> {
    match frame.header.frame_type {
        FrameType::Amqp => Reader::sized(frame.body).read::<Performative<'_>>().map(drop),
        FrameType::Sasl => SaslBody::decode_frame(frame.body).map(drop),
    }
}

/// Values written one behind the other.
///
/// Written at once and not built as a tree first, which would take many times the memory.
#[derive(Debug, Default)]
struct Notation {
    text: String,
    count: u32,
}

impl Notation {
    /// Adds a value, which takes no more of the stack than [`MAX_DEPTH`](amqp10_codec::MAX_DEPTH) allows.
    fn value(&mut self, value: &Value<'_>) -> Result<(), Failure> {
        self.count += 1;
        if self.count > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values").into());
        }
        self.separate();
        match value {
            Value::Null => self.text.push_str(r#"["null"]"#),
            Value::Boolean(v) => self.plain("boolean", v),
            Value::Ubyte(v) => self.plain("ubyte", v),
            Value::Ushort(v) => self.plain("ushort", v),
            Value::Uint(v) => self.plain("uint", v),
            Value::Ulong(v) => self.quoted("ulong", v),
            Value::Byte(v) => self.plain("byte", v),
            Value::Short(v) => self.plain("short", v),
            Value::Int(v) => self.plain("int", v),
            Value::Long(v) => self.quoted("long", v),
            Value::Float(v) => self.octets("float", &v.to_be_bytes()),
            Value::Double(v) => self.octets("double", &v.to_be_bytes()),
            Value::Decimal32(v) => self.octets("decimal32", &v.0),
            Value::Decimal64(v) => self.octets("decimal64", &v.0),
            Value::Decimal128(v) => self.octets("decimal128", &v.0),
            Value::Char(v) => self.plain("char", u32::from(*v)),
            Value::Timestamp(v) => self.quoted("timestamp", v.0),
            Value::Uuid(v) => self.octets("uuid", &v.0),
            Value::Binary(v) => self.octets("binary", v),
            Value::String(v) => self.plain("string", Json::from(v.as_str())),
            Value::Symbol(v) => self.plain("symbol", Json::from(v.as_str())),
            Value::List(list) => {
                self.text.push_str(r#"["list",["#);
                list.iter().try_for_each(|element| self.value(&element?))?;
                self.text.push_str("]]");
            }
            Value::Map(map) => {
                self.text.push_str(r#"["map",["#);
                for entry in map.iter() {
                    let (key, value) = entry?;
                    self.separate();
                    self.text.push('[');
                    self.value(&key)?;
                    self.value(&value)?;
                    self.text.push(']');
                }
                self.text.push_str("]]");
            }
            Value::Array(array) => self.array(array)?,
            Value::Described(described) => {
                self.text.push_str(r#"["described","#);
                self.descriptor(described.descriptor()?)?;
                self.value(&described.value()?)?;
                self.text.push(']');
            }
            other => return Err(format!("a value of an unknown type: {other:?}").into()),
        }
        Ok(())
    }

    fn array(&mut self, array: &Array<'_>) -> Result<(), Failure> {
        // The type of the elements, which an empty array has too, stands in the encoded form only.
        let encoded = encode_to_vec(array);
        let head = if encoded.first() == Some(&0xe0) { 3 } else { 9 };
        let mut constructor = encoded.get(head..).ok_or("an array has a constructor")?;
        let described = constructor.first() == Some(&0);
        let mut descriptor = Value::Null;
        if described {
            let mut reader = Reader::sized(&constructor[1..]);
            descriptor = reader.read()?;
            constructor = reader.rest();
        }
        let of = constructor.first().and_then(|code| type_name(*code)).ok_or("an array has elements of some type")?;
        write!(self.text, r#"["array",{{"of":"{of}""#)?;
        if described {
            self.text.push_str(r#","descriptor":"#);
            self.value(&descriptor)?;
        }
        self.text.push_str(r#","items":["#);
        for item in array.iter() {
            match item? {
                Value::Described(item) if described => self.value(&item.value()?)?,
                item => self.value(&item)?,
            }
        }
        self.text.push_str("]}]");
        Ok(())
    }

    fn descriptor(&mut self, descriptor: Descriptor<'_>) -> Result<(), Failure> {
        self.value(&match descriptor {
            Descriptor::Code(code) => Value::Ulong(code),
            Descriptor::Name(name) => Value::Symbol(name),
            Descriptor::Other(value) => value,
        })
    }

    /// Adds the described value that octets begin with and returns what stands behind it.
    ///
    /// Where the descriptor is known it does not count as a level of nesting, so this is not one value of any type.
    fn known<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], Failure> {
        let mut reader = Reader::sized(octets.get(1..).unwrap_or_default());
        self.separate();
        self.text.push_str(r#"["described","#);
        self.value(&reader.read()?)?;
        self.value(&reader.read()?)?;
        self.text.push(']');
        Ok(reader.rest())
    }

    /// Adds the body of a frame, if there is one, and returns the other members.
    fn frame(&mut self, frame: &Frame<'_>) -> Result<String, Failure> {
        let (name, may_be_empty) = match frame.header.frame_type {
            FrameType::Amqp => ("amqp", true),
            FrameType::Sasl => ("sasl", false),
        };
        let (mut payload, mut fields) = (frame.body, Json::Null);
        if !(may_be_empty && payload.is_empty()) {
            let [0x00, descriptor @ ..] = frame.body else { return Err("the body is no described value".into()) };
            if !belongs(frame.header.frame_type, &Reader::sized(descriptor).read::<Value<'_>>()?.into()) {
                return Err("the body does not belong in a frame of this type".into());
            }
            payload = self.known(frame.body)?;
            if name == "sasl" && !payload.is_empty() {
                return Err("octets are left over behind the SASL body".into());
            }
            if let Err(error) = check_fields(frame) {
                fields = error.to_string().into();
            }
        }
        let (channel, payload) = (frame.header.channel.0, to_hex(payload));
        Ok(format!(r#""type":"{name}","channel":{channel},"payload":"{payload}","fields":{fields}"#))
    }

    /// Writes the comma between two values.
    fn separate(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(['[', ',', ':']) {
            self.text.push(',');
        }
    }

    fn plain(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.text, r#"["{name}",{value}]"#);
    }

    fn quoted(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.text, r#"["{name}","{value}"]"#);
    }

    fn octets(&mut self, name: &str, octets: &[u8]) {
        self.quoted(name, to_hex(octets));
    }
}

/// The type of the values behind a constructor, §1.6.
fn type_name(constructor: u8) -> Option<&'static str> {
    Some(match constructor {
        0x00 => "described",
        0x40 => "null",
        0x41 | 0x42 | 0x56 => "boolean",
        0x43 | 0x52 | 0x70 => "uint",
        0x44 | 0x53 | 0x80 => "ulong",
        0x45 | 0xc0 | 0xd0 => "list",
        0x50 => "ubyte",
        0x51 => "byte",
        0x54 | 0x71 => "int",
        0x55 | 0x81 => "long",
        0x60 => "ushort",
        0x61 => "short",
        0x72 => "float",
        0x73 => "char",
        0x74 => "decimal32",
        0x82 => "double",
        0x83 => "timestamp",
        0x84 => "decimal64",
        0x94 => "decimal128",
        0x98 => "uuid",
        0xa0 | 0xb0 => "binary",
        0xa1 | 0xb1 => "string",
        0xa3 | 0xb3 => "symbol",
        0xc1 | 0xd1 => "map",
        0xe0 | 0xf0 => "array",
        _ => return None,
    })
}

/// Octets as hexadecimal digits.
pub fn to_hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// The octets that hexadecimal digits stand for.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
