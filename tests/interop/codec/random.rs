//! Random values and messages, each without what a peer is known to lose.

use std::collections::BTreeSet;

use amqp10_codec::{
    Binary, Header, IntoOwned, Map, Message, MessageBody, MessageId, Milliseconds, Multiple, Properties, Reader,
    SequenceNo, Str, Symbol, Timestamp, Uuid, Value,
};
use fastrand::Rng;
use serde_json::{Value as Json, json};

use super::notation;

/// Something that a peer loses, and which is therefore not sent to it.
pub(super) struct Loss {
    pub(super) reason: &'static str,
    /// A value that it loses, to prove it. Who does not lose it any more has no need of the entry.
    pub(super) example: &'static str,
    /// Whether a value, itself and not what is inside it, is lost.
    pub(super) lost: fn(&Json) -> bool,
}

/// A value in the notation of `vectors`, and octets that stand for it, its constructor by itself.
pub(super) struct Sample {
    pub(super) json: Json,
    constructor: u8,
    data: Vec<u8>,
}

impl Sample {
    pub(super) fn octets(&self) -> Vec<u8> {
        [&[self.constructor], &*self.data].concat()
    }
}

/// Makes random values that a peer does not lose.
pub(super) struct Generator<'l> {
    pub(super) rng: Rng,
    pub(super) losses: &'l [Loss],
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
    pub(super) fn value(&mut self, depth: u32) -> Sample {
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

impl Generator<'_> {
    /// Something or nothing.
    fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.rng.bool() { Some(make(self)) } else { None }
    }

    /// A text with something in it.
    fn name(&mut self) -> Str<'static> {
        format!("{}x", self.text(false, true).replace('\0', "")).into()
    }

    fn symbol(&mut self) -> Symbol<'static> {
        Symbol::new(format!("{}x", self.text(true, true).replace('\0', ""))).unwrap()
    }

    fn id(&mut self) -> MessageId<'static> {
        match self.rng.u32(..4) {
            0 => MessageId::Ulong(self.rng.u64(..)),
            1 => MessageId::Uuid(Uuid(self.rng.u128(..).to_be_bytes())),
            2 => MessageId::Binary(self.binary()),
            _ => MessageId::String(self.name()),
        }
    }

    fn binary(&mut self) -> Binary<'static> {
        let length = self.rng.usize(1..300);
        Binary::from((0..length).map(|_| self.rng.u8(..)).collect::<Vec<_>>())
    }

    /// A value of our own, of this constructor or of any.
    fn our_value(&mut self, constructor: Option<u8>) -> Value<'static> {
        let sample = match constructor {
            Some(constructor) => self.of(constructor, 0),
            None => self.value(2),
        };
        let octets = sample.octets();
        Reader::new(&octets).read::<Value<'_>>().unwrap().into_owned()
    }

    fn annotations(&mut self) -> Map<'static> {
        let names: BTreeSet<_> = (0..self.rng.usize(1..4)).map(|_| self.symbol()).collect();
        names.into_iter().map(|name| (name, self.our_value(None))).collect()
    }

    fn application_properties(&mut self) -> Map<'static> {
        let names: BTreeSet<_> = (0..self.rng.usize(1..4)).map(|_| self.name()).collect();
        let scalars = SCALARS.iter().chain(&WIDE).copied().collect::<Vec<_>>();
        names
            .into_iter()
            .map(|name| {
                let constructor = self.rng.choice(&scalars).copied();
                (name, self.our_value(constructor))
            })
            .collect()
    }
}

pub(super) fn message(generator: &mut Generator<'_>) -> Message {
    let g = generator;
    Message {
        header: g.option(|g| Header {
            durable: g.rng.bool(),
            priority: g.rng.u8(..),
            ttl: g.option(|g| Milliseconds(g.rng.u32(1..))),
            first_acquirer: g.rng.bool(),
            delivery_count: g.rng.u32(..),
        }),
        delivery_annotations: g.option(Generator::annotations),
        message_annotations: g.option(Generator::annotations),
        properties: g.option(|g| Properties {
            message_id: g.option(Generator::id),
            user_id: g.option(Generator::binary),
            to: g.option(Generator::name),
            subject: g.option(Generator::name),
            reply_to: g.option(Generator::name),
            correlation_id: g.option(Generator::id),
            content_type: g.option(Generator::symbol),
            content_encoding: g.option(Generator::symbol),
            absolute_expiry_time: g.option(|g| Timestamp(g.rng.i64(1..))),
            creation_time: g.option(|g| Timestamp(g.rng.i64(1..))),
            group_id: g.option(Generator::name),
            group_sequence: g.option(|g| SequenceNo(g.rng.u32(1..))),
            reply_to_group_id: g.option(Generator::name),
        }),
        application_properties: g.option(Generator::application_properties),
        body: match g.rng.u32(..3) {
            0 => MessageBody::Data(Multiple::one(g.binary().to_vec().into())),
            1 => MessageBody::Sequence(vec![(0..g.rng.usize(..4)).map(|_| g.our_value(None)).collect()]),
            _ => match g.our_value(None) {
                Value::Null => MessageBody::Value(Value::Boolean(true)),
                value => MessageBody::Value(value),
            },
        },
        footer: None,
    }
}
