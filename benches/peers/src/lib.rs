//! The codecs that `amqp10-codec` is compared with, each doing the cases of `benches/support`, from the same octets.

use std::hint::black_box;

use amqp10_benches::{
    Aligned, CASES, Work, attach_frame, data_message, device_message, disposition_frame, encoded, flow_frame,
    map_message, transfer_frame,
};

mod fe2o3;
mod ntex;

/// What is compared here; Proton C is measured by `proton.c`.
pub const PEERS: [&str; 4] = ["ours", "floor", "fe2o3", "ntex"];

/// Every input, by the name that begins the names of its cases.
pub fn inputs() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("device message", encoded(&device_message())),
        ("1 KiB message", encoded(&data_message(1 << 10))),
        ("64 KiB message", encoded(&data_message(64 << 10))),
        ("map of 50 entries", encoded(&map_message())),
        ("transfer frame", transfer_frame(70_000, &[b'x'; 439])),
        ("flow frame", flow_frame(70_000, 1000)),
        ("disposition frame", disposition_frame(70_000, 70_099)),
        ("attach frame", attach_frame()),
    ]
}

/// A case of a peer made ready, or `None` if there is no such thing.
pub fn work(peer: &str, case: &str) -> Option<Box<dyn Work>> {
    let own = match peer {
        "ours" => Some(case.to_owned()),
        "floor" => Some(format!("{case}, floor")),
        _ => None,
    };
    if let Some(name) = own {
        return CASES.iter().find(|each| each.name == name).map(|each| (each.work)());
    }
    let (name, octets) = inputs().into_iter().find(|(name, _)| case.starts_with(name))?;
    let action = case.strip_prefix(name)?.trim_start();
    match peer {
        "fe2o3" => fe2o3::work(name, action, &octets),
        "ntex" => ntex::work(name, action, &octets),
        _ => None,
    }
}

/// Goes through the same octets at each distance from a multiple of eight.
struct Reads<I, F> {
    places: Vec<I>,
    read: F,
}

impl<I, F: FnMut(&I)> Work for Reads<I, F> {
    fn units(&self) -> u32 {
        self.places.len() as u32
    }

    fn step(&mut self) {
        for place in &self.places {
            (self.read)(black_box(place));
        }
    }
}

fn places(octets: &[u8]) -> Vec<Aligned> {
    (0..8).map(|offset| Aligned::new(octets, offset)).collect()
}

struct Repeated<F>(F);

impl<F: FnMut()> Work for Repeated<F> {
    fn units(&self) -> u32 {
        1
    }

    fn step(&mut self) {
        (self.0)();
    }
}

/// The keys of the map and what stands in the device message, for those that build them.
mod content {
    pub(crate) const MESSAGE_ID: &str = "1234567890123456789";
    pub(crate) const TO: &str = "queue/a1x/consumer-group-1";
    pub(crate) const TOPIC: &str = "/a1x/dev1/thing/event/property/post";
    pub(crate) const GENERATED: i64 = 1_700_000_000_000;
}

/// Panics unless these octets encode what the input of this name does.
///
/// # Panics
/// As it says.
pub fn check(name: &str, encoded: &[u8]) {
    let (_, octets) = inputs().into_iter().find(|input| input.0 == name).expect("the name of an input");
    let check = if name.ends_with("frame") { check_frame } else { check_message };
    check(&octets, encoded);
}

/// Fails unless a peer has encoded the message that it was to encode, as our strict reading sees it.
fn check_message(octets: &[u8], encoded: &[u8]) {
    let read = |octets| {
        let view = amqp10_codec::MessageView::parse(octets).expect("it is a message");
        view.to_message().expect("it is a message")
    };
    let (expected, found) = (read(octets), read(encoded));
    // A section that says nothing is as good as none.
    assert_eq!(found.header.is_some_and(|header| header.durable), expected.header.is_some_and(|header| header.durable));
    assert_eq!(found.properties.unwrap_or_default(), expected.properties.unwrap_or_default());
    let sorted = |map: &Option<amqp10_codec::Map<'static>>| {
        let mut entries: Vec<String> =
            map.iter().flat_map(|map| map.iter().map(|entry| format!("{entry:?}"))).collect();
        entries.sort();
        entries
    };
    assert_eq!(sorted(&found.application_properties), sorted(&expected.application_properties));
    match (found.body, expected.body) {
        (
            amqp10_codec::MessageBody::Value(amqp10_codec::Value::Map(found)),
            amqp10_codec::MessageBody::Value(amqp10_codec::Value::Map(expected)),
        ) => assert_eq!(sorted(&Some(found)), sorted(&Some(expected))),
        (found, expected) => assert_eq!(found, expected),
    }
}

/// Fails unless a peer has encoded the frame that it was to encode.
fn check_frame(octets: &[u8], encoded: &[u8]) {
    let read = |octets| {
        let frame = amqp10_codec::next_frame(octets, 1 << 20).expect("it is a frame").expect("it is whole");
        let mut reader = amqp10_codec::Reader::sized(frame.body);
        let performative: amqp10_codec::Performative<'_> = reader.read().expect("it is a performative");
        format!("{performative:?} {:?}", reader.rest())
    };
    assert_eq!(read(encoded), read(octets));
}
