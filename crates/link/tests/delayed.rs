//! Two engines, whatever is delayed between them and however credit goes.

mod support;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use amqp10_codec::{DeliveryState, ReceiverSettleMode, SequenceNo, TransferNumber};
use amqp10_link::{CreditMode, DeliveryKey, DeliveryStart, Event, LinkEvent, LinkId, Replenish, SessionEvent};
use bytes::Bytes;
use proptest::prelude::*;
use support::scene::{CREDIT, receiving, sending, session_config};
use support::{Pair, Wire, drain, events};

/// One thing that happens to two engines and the lines between them.
#[derive(Clone, Debug)]
enum Move {
    Send {
        octets: usize,
        settled: bool,
        pieces: usize,
        abort: bool,
    },
    Receive {
        most: usize,
    },
    Settle {
        count: usize,
        accepted: bool,
        reverse: bool,
    },
    Confirm,
    Credit(u32),
    Automatic(bool),
    Drain,
    Drained,
    /// Lets so many octets through, in one direction.
    Line {
        to_server: bool,
        octets: usize,
    },
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let octets = prop_oneof![3 => 0_usize..10, 2 => 0_usize..3_000, 1 => 0_usize..20_000];
    let one = prop_oneof![
        10 => (octets, any::<bool>(), 1_usize..4, prop::bool::weighted(0.1))
            .prop_map(|(octets, settled, pieces, abort)| Move::Send { octets, settled, pieces, abort }),
        8 => (1_usize..10).prop_map(|most| Move::Receive { most }),
        8 => (1_usize..10, any::<bool>(), any::<bool>())
            .prop_map(|(count, accepted, reverse)| Move::Settle { count, accepted, reverse }),
        5 => Just(Move::Confirm),
        2 => (0_u32..20).prop_map(Move::Credit),
        2 => any::<bool>().prop_map(Move::Automatic),
        1 => Just(Move::Drain),
        3 => Just(Move::Drained),
        15 => (any::<bool>(), 0_usize..4_000).prop_map(|(to_server, octets)| Move::Line { to_server, octets }),
        1 => (0_u64..50).prop_map(Move::Wait),
    ];
    prop::collection::vec(one, 1..150)
}

/// Two engines, and octets that are on their way between them.
struct Lines {
    pair: Pair,
    receiver: LinkId,
    sender: LinkId,
    next: u32,
    /// What was sent completely, in order, and not received yet.
    sent: VecDeque<(DeliveryKey, u32, usize)>,
    received: Vec<DeliveryKey>,
    settled_by_receiver: HashSet<DeliveryKey>,
    /// Deliveries that are sent unsettled and have no final outcome.
    open: HashSet<DeliveryKey>,
}

impl Lines {
    fn new(wire: Wire, second: bool) -> Self {
        let mut config = support::scene::config();
        config.max_frame_size = 1_024;
        let mut pair = Pair::opened(config.clone(), config);
        pair.wire = wire;
        let mut start = session_config();
        start.next_outgoing_id = TransferNumber(u32::MAX - 2);
        start.incoming_window = 16;
        let (session, _) = pair.session(start.clone(), start);
        let (mut receiver, mut sender) = (receiving("link"), sending(""));
        receiver.max_message_size = None;
        receiver.rcv_settle_mode = if second { ReceiverSettleMode::Second } else { ReceiverSettleMode::First };
        sender.initial_delivery_count = SequenceNo(u32::MAX - 2);
        let (receiver, sender) = pair.link(session, receiver, sender);
        Self {
            pair,
            receiver,
            sender,
            next: 0,
            sent: Default::default(),
            received: Vec::new(),
            settled_by_receiver: HashSet::new(),
            open: HashSet::new(),
        }
    }

    /// Nothing goes wrong, whatever is delayed.
    fn events(&mut self) {
        for event in events(&mut self.pair.client).into_iter().chain(events(&mut self.pair.server)) {
            let ends = matches!(
                event,
                Event::Closed(_)
                    | Event::Session(_, SessionEvent::Ended(_))
                    | Event::Link(_, LinkEvent::Detached { .. })
            );
            assert!(!ends, "{event:?}");
        }
    }

    fn make(&mut self, one: Move) {
        let (receiver, sender) = (self.receiver, self.sender);
        match one {
            Move::Send { octets, settled, pieces, abort } => {
                let mut end = self.pair.server.sender(sender).unwrap();
                let Ok(key) = end.begin_delivery(DeliveryStart { settled, ..DeliveryStart::default() }) else { return };
                let payload = Bytes::from([&self.next.to_be_bytes()[..], &vec![7; octets]].concat());
                for piece in payload.chunks(payload.len().div_ceil(pieces)) {
                    end.write(key, Bytes::copy_from_slice(piece)).unwrap();
                }
                if abort {
                    end.abort(key).unwrap();
                } else {
                    end.finish(key).unwrap();
                    self.sent.push_back((key, self.next, payload.len()));
                    self.open.insert(key);
                }
                self.next += 1;
            }
            Move::Receive { most } => {
                let mut end = self.pair.client.receiver(receiver).unwrap();
                for delivery in std::iter::from_fn(|| end.next_delivery()).take(most) {
                    let (_, number, octets) = self.sent.pop_front().expect("nothing is received that was not sent");
                    let payload = delivery.payload.into_bytes();
                    assert_eq!((&payload[..4], payload.len()), (&number.to_be_bytes()[..], octets));
                    if !delivery.settled {
                        self.received.push(delivery.key);
                    }
                }
            }
            Move::Settle { count, accepted, reverse } => {
                let count = count.min(self.received.len());
                let mut keys: Vec<_> = self.received.drain(..count).collect();
                if reverse {
                    keys.reverse();
                }
                let state = if accepted { DeliveryState::Accepted } else { DeliveryState::Released };
                let mut end = self.pair.client.receiver(receiver).unwrap();
                for key in keys {
                    end.settle(key, state.clone(), true).unwrap();
                    assert!(self.settled_by_receiver.insert(key), "received twice");
                }
            }
            Move::Confirm => {
                let mut end = self.pair.server.sender(sender).unwrap();
                while let Some(outcome) = end.next_outcome() {
                    if !outcome.settled {
                        end.settle(outcome.key, outcome.state).unwrap();
                    }
                    assert!(self.open.remove(&outcome.key), "settled twice, or never sent");
                }
            }
            Move::Credit(credit) => self.pair.client.receiver(receiver).unwrap().set_credit(credit),
            Move::Automatic(taken) => {
                let replenish = if taken { Replenish::Taken } else { Replenish::Settled };
                let mode = CreditMode::Automatic { window: CREDIT, replenish };
                self.pair.client.receiver(receiver).unwrap().set_credit_mode(mode);
            }
            Move::Drain => self.pair.client.receiver(receiver).unwrap().drain(),
            Move::Drained => self.pair.server.sender(sender).unwrap().drained(),
            Move::Line { to_server, octets } => self.pair.line(to_server, octets),
            Move::Wait(seconds) => {
                self.pair.now += Duration::from_secs(seconds);
                // Nothing may stay on the way for longer than the peer waits.
                self.everything();
                self.pair.client.handle_timeout(self.pair.now);
                self.pair.server.handle_timeout(self.pair.now);
            }
        }
        self.events();
    }

    fn everything(&mut self) {
        loop {
            self.pair.line(true, usize::MAX);
            self.pair.line(false, usize::MAX);
            let idle = drain(&mut self.pair.client, self.pair.now);
            self.pair.on_the_way[1].extend_from_slice(&idle);
            if self.pair.on_the_way.iter().all(|octets| octets.is_empty()) {
                break;
            }
        }
    }
}

proptest! {
    /// Whatever is delayed and however credit goes, everything sent is received once, in order, and settled once.
    #[test]
    fn everything_sent_is_received_and_settled_once(moves in moves(), octets in any::<bool>(), second in any::<bool>()) {
        let mut lines = Lines::new(if octets { Wire::Octets } else { Wire::Whole }, second);
        for one in moves {
            lines.make(one);
        }
        // Now everybody does what is left to do.
        for _ in 0..10 {
            for one in [
                // A drain that is under way is finished before there is new credit.
                Move::Wait(0),
                Move::Drained,
                Move::Wait(0),
                Move::Credit(100),
                Move::Wait(0),
                Move::Receive { most: usize::MAX },
                Move::Settle { count: usize::MAX, accepted: true, reverse: false },
                Move::Wait(0),
                Move::Confirm,
                Move::Wait(0),
            ] {
                lines.make(one);
            }
        }
        prop_assert!(lines.sent.is_empty(), "{} never came", lines.sent.len());
        prop_assert!(lines.open.is_empty(), "{} were never settled", lines.open.len());
        prop_assert!(lines.pair.client.receiver(lines.receiver).unwrap().unsettled().is_empty());
        prop_assert!(lines.pair.server.sender(lines.sender).unwrap().unsettled().is_empty());
        prop_assert!(lines.pair.server.sender(lines.sender).unwrap().credit() >= 90, "credit flows again");
    }
}
