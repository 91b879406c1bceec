//! Frames that a hostile peer sends by the thousand. One of them must cost no more in a flood than alone, whatever it claims.

use std::time::Instant;

use amqp10_codec::{
    Begin, Channel, DeliveryNumber, Detach, Disposition, Encode, End, FrameType, Handle, Transfer, TransferNumber,
    encode_frame,
};
use amqp10_link::{Connection, DeliveryStart, Event, LinkEvent, LinkId, Output};
use bytes::{Bytes, BytesMut};

use crate::engine::{Pair, drain};
use crate::{Work, attach, disposition, flow_frame, transfer};

/// The transfers of one delivery that bring nothing; an engine bears 64 of them.
const EMPTY: u32 = 50;

/// Something that is asked again and again of an engine whose application only looks at what it is told.
#[derive(Debug)]
pub struct Flood {
    engine: Connection,
    link: LinkId,
    now: Instant,
    /// Appends what is asked the `n`th time, and returns how many frames that are.
    ask: fn(u32, &mut Vec<u8>) -> u32,
    /// How often it is asked in a step.
    times: u32,
    asked: u32,
    octets: Vec<u8>,
    input: BytesMut,
    output: Output,
}

impl Flood {
    fn new(engine: Connection, link: LinkId, times: u32, ask: fn(u32, &mut Vec<u8>) -> u32) -> Self {
        Self {
            engine,
            link,
            now: Instant::now(),
            ask,
            times,
            asked: 0,
            octets: Vec::new(),
            input: BytesMut::new(),
            output: Output::new(),
        }
    }

    fn receiving(times: u32, ask: fn(u32, &mut Vec<u8>) -> u32) -> Self {
        let pair = Pair::attached();
        Self::new(pair.client, pair.receiver, times, ask)
    }

    /// Flows that ask for one in return.
    pub fn echoes(times: u32) -> Self {
        Self::receiving(times, |_, out| {
            out.extend_from_slice(&flow_frame(0, 1000));
            1
        })
    }

    /// Deliveries of transfers that bring nothing, given up in the end.
    pub fn empty_transfers(times: u32) -> Self {
        Self::receiving(times, |n, out| {
            for at in 0..EMPTY {
                let first = if at == 0 { transfer(n) } else { Transfer::new(Handle(0)) };
                let last = at + 1 == EMPTY;
                frame(0, &Transfer { more: !last, aborted: last, ..first }, out);
            }
            EMPTY
        })
    }

    /// Attaches, each taken back at once.
    pub fn attaches(times: u32) -> Self {
        Self::receiving(times, |_, out| {
            frame(0, &amqp10_codec::Attach { handle: Handle(255), ..attach() }, out);
            frame(0, &Detach { handle: Handle(255), closed: true, error: None }, out);
            2
        })
    }

    /// The same beside as many links as a session may have.
    pub fn attaches_beside_many(times: u32) -> Self {
        let mut flood = Self::attaches(times);
        for handle in 1..255 {
            let name = format!("receiver-{handle}");
            let attach = amqp10_codec::Attach { handle: Handle(handle), name: name.into(), ..attach() };
            frame(0, &attach, &mut flood.octets);
        }
        flood.input.extend_from_slice(&flood.octets);
        flood.step();
        flood
    }

    /// Begins, each ended at once.
    pub fn begins(times: u32) -> Self {
        Self::receiving(times, |_, out| {
            frame(1, &Begin::new(TransferNumber(0), 2048, 2048), out);
            frame(1, &End { error: None }, out);
            2
        })
    }

    fn sending(times: u32, ask: fn(u32, &mut Vec<u8>) -> u32) -> Self {
        let pair = Pair::attached();
        let mut flood = Self::new(pair.server, pair.sender, times, ask);
        let mut sender = flood.engine.sender(flood.link).expect("the link is attached");
        let key = sender.begin_delivery(DeliveryStart::default()).expect("credit");
        sender.write(key, Bytes::from_static(b"one")).expect("it was begun");
        sender.finish(key).expect("it was begun");
        flood.step();
        flood
    }

    /// States of the only unsettled delivery.
    pub fn dispositions(times: u32) -> Self {
        Self::sending(times, |_, out| state_of(0, out))
    }

    /// States of that and of two thousand million deliveries more, which is as far as a range can reach.
    pub fn dispositions_of_everything(times: u32) -> Self {
        Self::sending(times, |_, out| state_of(i32::MAX as u32, out))
    }
}

fn state_of(last: u32, out: &mut Vec<u8>) -> u32 {
    frame(0, &Disposition { settled: false, last: Some(DeliveryNumber(last)), ..disposition(0, 0) }, out);
    1
}

fn frame(channel: u16, body: &impl Encode, out: &mut Vec<u8>) {
    encode_frame(FrameType::Amqp, Channel(channel), body, out);
}

impl Work for Flood {
    fn units(&self) -> u32 {
        (self.ask)(0, &mut Vec::new()) * self.times
    }

    fn prepare(&mut self) {
        self.octets.clear();
        for _ in 0..self.times {
            (self.ask)(self.asked, &mut self.octets);
            self.asked += 1;
        }
        self.input.extend_from_slice(&self.octets);
    }

    fn step(&mut self) {
        self.engine.handle_input(&mut self.input, self.now);
        assert!(self.input.is_empty());
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Link(link, LinkEvent::Detached { .. }) => drop(self.engine.take_terminus(link)),
                Event::Link(link, LinkEvent::Outcomes) => {
                    let mut sender = self.engine.sender(link).expect("the link is attached");
                    assert!(std::iter::from_fn(|| sender.next_outcome()).count() == 1);
                }
                Event::Closed(end) => panic!("{end:?}"),
                _ => {}
            }
        }
        drain(&mut self.engine, &mut self.output, self.now, |_| {});
    }
}

#[cfg(test)]
mod tests {
    use amqp10_codec::SequenceNo;

    use super::*;

    /// Octets that the engine holds after a step more than before it.
    fn grown(flood: &mut Flood) -> i64 {
        flood.prepare();
        allocation_counter::measure(|| flood.step()).bytes_current
    }

    #[test]
    fn a_flood_leaves_nothing_behind() {
        let floods = [
            ("echo flows", Flood::echoes(500)),
            ("empty transfers", Flood::empty_transfers(20)),
            ("attaches", Flood::attaches(500)),
            ("attaches beside many", Flood::attaches_beside_many(500)),
            ("begins", Flood::begins(500)),
            ("dispositions", Flood::dispositions(500)),
            ("dispositions of everything", Flood::dispositions_of_everything(500)),
        ];
        for (name, mut flood) in floods {
            let steps: Vec<i64> = (0..20).map(|_| grown(&mut flood)).collect();
            let late: i64 = steps[10..].iter().sum();
            assert!(late.abs() < 4096, "{name}: {late} octets more after five thousand and more: {steps:?}");
            assert!(flood.engine.wants_input() && !flood.engine.is_closed(), "{name}");
        }
    }

    #[test]
    fn the_engine_still_counts_after_it_was_asked() {
        let mut flood = Flood::empty_transfers(20);
        for _ in 0..5 {
            flood.prepare();
            flood.step();
        }
        let link = flood.link;
        flood.input.extend_from_slice(&crate::transfer_frame(100, b"whole"));
        flood.engine.handle_input(&mut flood.input, flood.now);
        let mut receiver = flood.engine.receiver(link).expect("the link is attached");
        assert_eq!(receiver.next_delivery().expect("a delivery").payload.len(), 5);
        assert_eq!(receiver.remote_attach().and_then(|attach| attach.initial_delivery_count), Some(SequenceNo(0)));
    }
}
