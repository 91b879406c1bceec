//! The cases that `benches/check` measures, by name.

use std::hint::black_box;

use amqp10_codec::{Encode, Message, MessageView};

use crate::{
    Aligned, Flood, Receiving, Sending, attach, attach_frame, built_device_message, built_map_message, data_message,
    device_message, disposition, disposition_frame, encode, encoded, floor, flow, flow_frame, map_keys, map_message,
    read_frame, read_map, read_message, transfer, transfer_frame, write_frame,
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
pub const CASES: [Case; 39] = [
    Case {
        name: "device message read",
        allocations: 0.0,
        work: || reads(encoded(&device_message()), |octets| read_message(octets).expect("it is a message")),
    },
    Case {
        name: "device message read, floor",
        allocations: 0.0,
        work: || reads(encoded(&device_message()), |octets| floor(octets).expect("it is a message")),
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
        name: "map of 50 entries read, floor",
        allocations: 0.0,
        work: || reads(encoded(&map_message()), |octets| floor(octets).expect("it is a message")),
    },
    Case {
        name: "device message into owned",
        allocations: 4.0,
        work: || {
            reads(encoded(&device_message()), |octets| {
                let view = MessageView::parse(octets).expect("it is a message");
                black_box(&view.to_message().expect("it is a message"));
            })
        },
    },
    Case { name: "device message encoded", allocations: 0.0, work: || encodes(device_message()) },
    Case {
        name: "device message built and encoded",
        allocations: 1.0,
        work: || {
            let body = bytes::Bytes::from(vec![b'x'; 256]);
            let mut out = Vec::with_capacity(1024);
            Box::new(Repeated(move || encode(&built_device_message(&body), &mut out)))
        },
    },
    Case { name: "1 KiB message encoded", allocations: 0.0, work: || encodes(data_message(1 << 10)) },
    Case { name: "1 KiB message as slices", allocations: 3.0, work: || slices(data_message(1 << 10)) },
    Case { name: "64 KiB message encoded", allocations: 0.0, work: || encodes(data_message(64 << 10)) },
    Case { name: "64 KiB message as slices", allocations: 3.0, work: || slices(data_message(64 << 10)) },
    Case { name: "map of 50 entries encoded", allocations: 0.0, work: || encodes(map_message()) },
    Case {
        name: "map of 50 entries built and encoded",
        allocations: 5.0,
        work: || {
            let keys = map_keys();
            let mut out = Vec::new();
            Box::new(Repeated(move || encode(&built_map_message(&keys), &mut out)))
        },
    },
    Case { name: "transfer frame decoded", allocations: 0.0, work: || decodes(transfer_frame(70_000, &[b'x'; 439])) },
    Case { name: "flow frame decoded", allocations: 0.0, work: || decodes(flow_frame(70_000, 1000)) },
    Case { name: "disposition frame decoded", allocations: 0.0, work: || decodes(disposition_frame(70_000, 70_099)) },
    Case { name: "attach frame decoded", allocations: 2.0, work: || decodes(attach_frame()) },
    Case { name: "transfer frame encoded", allocations: 0.0, work: || writes(transfer(70_000), &[b'x'; 439]) },
    Case { name: "flow frame encoded", allocations: 0.0, work: || writes(flow(70_000, 1000), &[]) },
    Case { name: "disposition frame encoded", allocations: 0.0, work: || writes(disposition(70_000, 70_099), &[]) },
    Case { name: "attach frame encoded", allocations: 0.0, work: || writes(attach(), &[]) },
    Case { name: "engine receive", allocations: 0.05, work: || Box::new(Receiving::new()) },
    Case { name: "engine send", allocations: 0.05, work: || Box::new(Sending::new()) },
    Case { name: "echo flow", allocations: 3.0, work: || Box::new(Flood::echoes(1)) },
    Case { name: "echo flow, in a flood", allocations: 1.0, work: || Box::new(Flood::echoes(1000)) },
    Case { name: "empty transfer", allocations: 0.1, work: || Box::new(Flood::empty_transfers(1)) },
    Case { name: "empty transfer, in a flood", allocations: 0.1, work: || Box::new(Flood::empty_transfers(20)) },
    Case { name: "attach or detach", allocations: 30.0, work: || Box::new(Flood::attaches(1)) },
    Case { name: "attach or detach, in a flood", allocations: 30.0, work: || Box::new(Flood::attaches(500)) },
    Case {
        name: "attach or detach beside 254 links",
        allocations: 30.0,
        work: || Box::new(Flood::attaches_beside_many(1)),
    },
    Case {
        name: "attach or detach beside 254 links, in a flood",
        allocations: 30.0,
        work: || Box::new(Flood::attaches_beside_many(500)),
    },
    Case { name: "begin or end", allocations: 3.0, work: || Box::new(Flood::begins(1)) },
    Case { name: "begin or end, in a flood", allocations: 3.0, work: || Box::new(Flood::begins(500)) },
    Case { name: "disposition of one delivery", allocations: 3.0, work: || Box::new(Flood::dispositions(1)) },
    Case {
        name: "disposition of one delivery, in a flood",
        allocations: 3.0,
        work: || Box::new(Flood::dispositions(1000)),
    },
    Case {
        name: "disposition of every delivery",
        allocations: 3.0,
        work: || Box::new(Flood::dispositions_of_everything(1)),
    },
    Case {
        name: "disposition of every delivery, in a flood",
        allocations: 3.0,
        work: || Box::new(Flood::dispositions_of_everything(1000)),
    },
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

fn encodes(message: Message) -> Box<dyn Work> {
    let mut out = Vec::new();
    Box::new(Repeated(move || encode(&message, &mut out)))
}

fn slices(message: Message) -> Box<dyn Work> {
    Box::new(Repeated(move || {
        black_box(black_box(&message).to_slices());
    }))
}

fn writes(body: impl Encode + 'static, payload: &'static [u8]) -> Box<dyn Work> {
    let mut out = Vec::new();
    Box::new(Repeated(move || {
        out.clear();
        write_frame(black_box(&body), black_box(payload), &mut out);
        black_box(out.as_slice());
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_message_has_439_octets() {
        assert_eq!(encoded(&device_message()).len(), 439);
        assert_eq!(encoded(&built_device_message(&bytes::Bytes::from(vec![b'x'; 256]))).len(), 439);
    }
}
