//! Two engines whose connection is cut anywhere, again and again: every delivery ends settled at both ends.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use amqp10_codec::{DeliveryState, DeliveryTag, ReceiverSettleMode, Source, Target};
use amqp10_link::{
    Config, Connection, CreditMode, DeliveryStart, Event, LinkConfig, LinkEvent, LinkId, Payload, Replenish,
    Resumption, SendError, SessionConfig, SessionEvent, SettleError, Terminus,
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use support::{Checked, Wire, drain, events, push};

const ACCEPTED: DeliveryState<'static> = DeliveryState::Accepted;

fn tag(n: usize) -> DeliveryTag {
    DeliveryTag::new(&[7, n as u8]).unwrap()
}

fn number(tag: &DeliveryTag) -> usize {
    usize::from(tag.as_slice()[1])
}

/// Three sections, the second of which has so many octets.
fn message(n: usize, octets: usize) -> Bytes {
    let mut message = vec![0, 0x53, 0x70, 0xc0, 1, 0, 0, 0x53, 0x75, 0xb0];
    message.extend_from_slice(&(octets as u32).to_be_bytes());
    message.extend((0..octets).map(|octet| (octet * 7 + n) as u8));
    message.extend_from_slice(&[0, 0x53, 0x78, 0xc1, 1, 0]);
    message.into()
}

/// What a sending application knows of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Not,
    Begun,
    Settled,
}

/// Two applications, and the connection between them.
struct World {
    mode: ReceiverSettleMode,
    messages: Vec<Bytes>,
    sent: Vec<Sent>,
    sender_left: Option<Terminus>,
    receiver_left: Option<Terminus>,
    /// How often the receiving application got a message.
    got: BTreeMap<usize, usize>,
    /// What it holds of the one that it streams.
    streams: bool,
    streamed: BTreeMap<usize, Vec<u8>>,
    /// What it has got and not settled.
    decided: BTreeSet<usize>,
    /// Deliveries are resumed from their beginning.
    again: bool,
    max_frame_size: u32,
    rounds: usize,
}

struct Ends {
    client: Checked,
    server: Checked,
    now: Instant,
    to_server: BytesMut,
    to_client: BytesMut,
    out: Option<LinkId>,
    r#in: Option<LinkId>,
    /// How many octets may pass yet.
    left: usize,
}

impl Ends {
    /// Carries octets until nothing moves, or no more may pass. Returns whether anything did.
    fn carry(&mut self) -> bool {
        let mut moved = false;
        loop {
            let there = drain(&mut self.client, self.now);
            let back = drain(&mut self.server, self.now);
            if there.is_empty() && back.is_empty() {
                return moved;
            }
            for (octets, end, buffer) in
                [(there, &mut self.server, &mut self.to_server), (back, &mut self.client, &mut self.to_client)]
            {
                let passed = octets.len().min(self.left);
                self.left -= passed;
                push(Wire::Whole, end, buffer, &octets[..passed], self.now);
            }
            moved = true;
            if self.left == 0 {
                return false;
            }
        }
    }
}

impl World {
    fn connect(&mut self, left: usize) -> Ends {
        let now = Instant::now();
        let config = |name: &'static str| {
            let mut config = Config::new(name);
            config.max_frame_size = self.max_frame_size;
            config
        };
        let mut ends = Ends {
            client: Connection::client(config("client"), now).unwrap().into(),
            server: Connection::server(config("server"), now).into(),
            now,
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            out: None,
            r#in: None,
            left,
        };
        while ends.carry() || self.work(&mut ends) {}
        ends
    }

    /// Both applications do what they can. Returns whether there was anything to do.
    fn work(&mut self, ends: &mut Ends) -> bool {
        let mut did = false;
        for event in events(&mut ends.server) {
            did = true;
            match event {
                Event::Incoming => {
                    let mut config = Config::new("server");
                    config.max_frame_size = self.max_frame_size;
                    ends.server.accept(config).unwrap();
                }
                Event::Session(id, SessionEvent::Incoming) => {
                    ends.server.accept_begin(id, SessionConfig::default()).unwrap();
                }
                Event::Link(id, LinkEvent::Incoming) => {
                    let mut config = LinkConfig::receiver("", Source::default());
                    config.rcv_settle_mode = self.mode;
                    config.credit = CreditMode::Automatic { window: 4, replenish: Replenish::Taken };
                    config.terminus = self.receiver_left.clone();
                    ends.r#in = Some(id);
                    ends.server.accept_attach(id, config).unwrap();
                }
                // Got before the cut, but not settled.
                Event::Link(_, LinkEvent::Resumed { tag, key }) if self.decided.contains(&number(&tag)) => {
                    let settled = ends.server.receiver(key.link()).unwrap().settle(key, ACCEPTED, true);
                    // Unknown if the sender settled it with the transfer that resumed it.
                    assert!(matches!(settled, Ok(()) | Err(SettleError::Unknown)));
                    if self.mode == ReceiverSettleMode::First {
                        self.decided.remove(&number(&tag));
                    }
                }
                Event::Link(_, LinkEvent::Disposition(_)) => {}
                Event::Link(_, LinkEvent::DeliveryStarted(_) | LinkEvent::DataReady(_)) if self.streams => {
                    let mut receiver = ends.server.receiver(ends.r#in.unwrap()).unwrap();
                    if let Some(mut partial) = receiver.partial() {
                        let octets = partial.take().into_bytes();
                        self.streamed.entry(number(&partial.tag())).or_default().extend_from_slice(&octets);
                    }
                }
                _ => {}
            }
        }
        if let Some(mut receiver) = ends.r#in.and_then(|link| ends.server.receiver(link)) {
            while let Some(delivery) = receiver.next_delivery() {
                did = true;
                let n = number(&delivery.tag);
                let mut whole = self.streamed.remove(&n).unwrap_or_default();
                whole.extend_from_slice(&delivery.payload.into_bytes());
                assert!(whole == self.messages[n], "{n} is whole");
                *self.got.entry(n).or_default() += 1;
                self.decided.insert(n);
                // Some are settled only once they are resumed.
                if !n.is_multiple_of(3) || self.rounds > 3 {
                    receiver.settle(delivery.key, ACCEPTED, true).unwrap();
                    if self.mode == ReceiverSettleMode::First {
                        self.decided.remove(&n);
                    }
                }
            }
        }
        for event in events(&mut ends.client) {
            did = true;
            match event {
                Event::Opened => {
                    let session = ends.client.begin(SessionConfig::default()).unwrap();
                    let mut config = LinkConfig::sender("link", Target::at("queue"));
                    config.rcv_settle_mode = self.mode;
                    config.terminus = self.sender_left.clone();
                    match ends.client.attach(session, config) {
                        Ok(link) => ends.out = Some(link),
                        Err(error) => panic!("{error}"),
                    }
                }
                Event::Link(link, LinkEvent::Attached) => {
                    let mut sender = ends.client.sender(link).unwrap();
                    for doubt in sender.in_doubt() {
                        let message = self.messages[number(&doubt.tag)].clone();
                        if matches!(doubt.resumption, Resumption::Settle(_)) {
                            continue;
                        }
                        if sender.is_unsettled_incomplete() && doubt.resumption == Resumption::Resend {
                            continue;
                        }
                        if self.again && matches!(doubt.resumption, Resumption::Resume(_)) {
                            // All of it once more, of which the receiver has some.
                            sender.resume(doubt.key, None).unwrap();
                            sender.write(doubt.key, message).unwrap();
                            sender.finish(doubt.key).unwrap();
                        } else {
                            sender.resolve(doubt.key, Some(Payload::from(message))).unwrap();
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some(mut sender) = ends.out.and_then(|link| ends.client.sender(link)) {
            let tags: BTreeMap<_, _> = (0..self.messages.len()).map(|n| (sender.by_tag(&tag(n)), n)).collect();
            while let Some(outcome) = sender.next_outcome() {
                did = true;
                if !outcome.settled {
                    let n = tags[&Some(outcome.key)];
                    assert_eq!(outcome.state, Some(ACCEPTED));
                    assert_eq!(self.sent[n], Sent::Begun, "settled once");
                    sender.settle(outcome.key, outcome.state).unwrap();
                    self.sent[n] = Sent::Settled;
                }
            }
            // What is settled by the peer is gone.
            for n in 0..self.messages.len() {
                if self.sent[n] == Sent::Begun && sender.by_tag(&tag(n)).is_none() {
                    self.sent[n] = Sent::Settled;
                }
                if self.sent[n] == Sent::Not {
                    let start = DeliveryStart { tag: Some(tag(n)), ..DeliveryStart::default() };
                    match sender.begin_delivery(start) {
                        Ok(key) => {
                            did = true;
                            let (one, two) = self.messages[n].split_at(self.messages[n].len() / 2);
                            sender.write(key, Bytes::copy_from_slice(one)).unwrap();
                            sender.write(key, Bytes::copy_from_slice(two)).unwrap();
                            sender.finish(key).unwrap();
                            self.sent[n] = Sent::Begun;
                        }
                        Err(SendError::NoCredit | SendError::Detached | SendError::UnsettledIncomplete) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
        did
    }

    fn cut(&mut self, mut ends: Ends) {
        self.rounds += 1;
        ends.client.handle_eof(ends.now);
        ends.server.handle_eof(ends.now);
        self.work(&mut ends);
        if let Some(link) = ends.out {
            let left = ends.client.take_terminus(link).unwrap();
            let known: BTreeSet<_> = left.unsettled.iter().map(|delivery| number(&delivery.tag)).collect();
            for (n, sent) in self.sent.iter_mut().enumerate() {
                // What was never begun on the wire is begun anew.
                // What was to be settled by a transfer that did not leave is not settled.
                *sent = match *sent {
                    Sent::Begun if !known.contains(&n) => Sent::Not,
                    Sent::Settled if known.contains(&n) => Sent::Begun,
                    same => same,
                };
            }
            self.sender_left = Some(left);
        }
        if let Some(link) = ends.r#in {
            let left = ends.server.take_terminus(link).unwrap();
            let known: BTreeSet<_> = left.unsettled.iter().map(|delivery| number(&delivery.tag)).collect();
            self.streamed.retain(|n, _| known.contains(n));
            self.receiver_left = Some(left);
        }
    }
}

fn world(mode: ReceiverSettleMode, sizes: &[usize], streams: bool, again: bool, max_frame_size: u32) -> World {
    World {
        mode,
        messages: sizes.iter().enumerate().map(|(n, octets)| message(n, *octets)).collect(),
        sent: vec![Sent::Not; sizes.len()],
        sender_left: None,
        receiver_left: None,
        got: BTreeMap::new(),
        streams,
        streamed: BTreeMap::new(),
        decided: BTreeSet::new(),
        again,
        max_frame_size,
        rounds: 0,
    }
}

fn check(mode: ReceiverSettleMode, sizes: &[usize], cuts: &[usize], streams: bool, again: bool, max_frame_size: u32) {
    let mut world = world(mode, sizes, streams, again, max_frame_size);
    for cut in cuts {
        let ends = world.connect(*cut);
        world.cut(ends);
    }
    // At last nothing is in the way; where maps are too large for a frame it takes some rounds.
    world.rounds = 10;
    for _ in 0..20 {
        let mut ends = world.connect(usize::MAX);
        let (out, r#in) = (ends.out.unwrap(), ends.r#in.unwrap());
        let sender = ends.client.sender(out).unwrap().unsettled().len();
        let receiver = ends.server.receiver(r#in).unwrap().unsettled().len();
        if sender == 0 && receiver == 0 && world.sent.iter().all(|sent| *sent == Sent::Settled) {
            for n in 0..sizes.len() {
                let got = world.got.get(&n).copied().unwrap_or(0);
                let enough = if mode == ReceiverSettleMode::Second { got == 1 } else { got >= 1 };
                assert!(enough, "{n} was got {got} times");
            }
            return;
        }
        world.cut(ends);
    }
    panic!("{:?} {:?} {:?}", world.sent, world.sender_left, world.receiver_left);
}

fn mode() -> impl Strategy<Value = ReceiverSettleMode> {
    prop_oneof![Just(ReceiverSettleMode::First), Just(ReceiverSettleMode::Second)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_cut_ends_settled_at_both_ends(
        mode in mode(),
        sizes in proptest::collection::vec(0_usize..2000, 1..12),
        cuts in proptest::collection::vec(300_usize..6000, 0..8),
        streams in any::<bool>(),
        again in any::<bool>(),
        small in any::<bool>(),
    ) {
        // 2.6.13-01, 2.6.13-06, 2.6.12-11, 2.7.3-11, 2.7.3-12
        check(mode, &sizes, &cuts, streams, again, if small { 512 } else { 4096 });
    }
}

#[test]
fn a_delivery_cut_at_every_octet_ends_settled_at_both_ends() {
    for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
        for (streams, again) in [(false, false), (true, false), (false, true), (true, true)] {
            for cut in (250..2600).step_by(11) {
                check(mode, &[1500, 10], &[cut], streams, again, 512);
            }
        }
    }
}
