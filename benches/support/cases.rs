//! The cases that `benches/check` measures, by name.

use std::hint::black_box;

use amqp10_codec::{Message, MessageView};

use crate::{
    Aligned, Receiving, Sending, attach_frame, data_message, device_message, disposition_frame, encoded, flow_frame,
    map_message, read_frame, read_map, read_message, transfer_frame,
};

/// Something that is done over and over.
pub trait Work {
    /// How many messages or frames a step handles.
    fn units(&self) -> u32;

    /// Makes ready for a step; this is not measured.
    fn prepare(&mut self) {}

    /// Does it.
    fn step(&mut self);
}

/// Something to measure.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The most allocations per message or frame.
    pub allocations: f64,
    /// Makes it ready.
    pub work: fn() -> Box<dyn Work>,
}

/// Every case.
pub const CASES: [Case; 13] = [
    Case {
        name: "device message read",
        allocations: 0.0,
        work: || reads(encoded(&device_message()), |octets| read_message(octets).expect("it is a message")),
    },
    Case {
        name: "1 KiB message read",
        allocations: 0.0,
        work: || reads(encoded(&data_message(1 << 10)), |octets| read_message(octets).expect("it is a message")),
    },
    Case {
        name: "64 KiB message read",
        allocations: 0.0,
        work: || reads(encoded(&data_message(64 << 10)), |octets| read_message(octets).expect("it is a message")),
    },
    Case {
        name: "map of 50 entries read",
        allocations: 0.0,
        work: || reads(encoded(&map_message()), |octets| read_map(octets).expect("it is a message")),
    },
    Case {
        name: "device message into owned",
        allocations: 5.0,
        work: || {
            reads(encoded(&device_message()), |octets| {
                let view = MessageView::parse(octets).expect("it is a message");
                black_box(&view.to_message().expect("it is a message"));
            })
        },
    },
    Case {
        name: "device message encoded",
        allocations: 0.0,
        work: || {
            let message = device_message();
            let mut out = Vec::with_capacity(1024);
            Box::new(Repeated(move || encode(&message, &mut out)))
        },
    },
    Case {
        name: "device message built and encoded",
        allocations: 4.0,
        work: || {
            let body = bytes::Bytes::from(vec![b'x'; 256]);
            let mut out = Vec::with_capacity(1024);
            Box::new(Repeated(move || encode(&built(&body), &mut out)))
        },
    },
    Case { name: "transfer frame decoded", allocations: 0.0, work: || decodes(transfer_frame(70_000, &[b'x'; 439])) },
    Case { name: "flow frame decoded", allocations: 0.0, work: || decodes(flow_frame(70_000, 1000)) },
    Case { name: "disposition frame decoded", allocations: 0.0, work: || decodes(disposition_frame(70_000, 70_099)) },
    Case { name: "attach frame decoded", allocations: 3.0, work: || decodes(attach_frame()) },
    Case { name: "engine receive", allocations: 0.05, work: || Box::new(Receiving::new()) },
    Case { name: "engine send", allocations: 0.05, work: || Box::new(Sending::new()) },
];

/// A step, so that a profiler can tell it from everything around it.
#[inline(never)]
pub fn measured_step(work: &mut dyn Work) {
    work.step();
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

/// Reads the same octets at each distance from a multiple of eight.
struct Reads<F> {
    places: Vec<Aligned>,
    read: F,
}

impl<F: Fn(&[u8])> Work for Reads<F> {
    fn units(&self) -> u32 {
        self.places.len() as u32
    }

    fn step(&mut self) {
        for place in &self.places {
            (self.read)(black_box(place.octets()));
        }
    }
}

fn reads(octets: Vec<u8>, read: impl Fn(&[u8]) + 'static) -> Box<dyn Work> {
    Box::new(Reads { places: (0..8).map(|offset| Aligned::new(&octets, offset)).collect(), read })
}

fn decodes(frame: Vec<u8>) -> Box<dyn Work> {
    reads(frame, |octets| read_frame(octets).expect("it is a frame"))
}

fn encode(message: &Message, out: &mut Vec<u8>) {
    out.clear();
    black_box(message).encode(out);
    black_box(out.as_slice());
}

/// The device message, built from what an application has at hand.
fn built(body: &bytes::Bytes) -> Message {
    Message::data(body.clone())
        .durable(true)
        .message_id(amqp10_codec::MessageId::String("1234567890123456789".into()))
        .to("queue/a1x/consumer-group-1")
        .application_property("topic", black_box("/a1x/dev1/thing/event/property/post"))
        .application_property("messageId", black_box("1234567890123456789"))
        .application_property("generateTime", black_box(1_700_000_000_000_i64))
        .application_property("qos", black_box(0_i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_message_has_439_octets() {
        assert_eq!(encoded(&device_message()).len(), 439);
        assert_eq!(encoded(&built(&bytes::Bytes::from(vec![b'x'; 256]))).len(), 439);
    }
}
