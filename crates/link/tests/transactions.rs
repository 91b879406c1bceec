//! A controller and a resource, both engines, with a store behind the resource that does what a broker would.

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use amqp10_codec::{DeliveryState, Outcome, Source, Target, TransactionId};
use amqp10_link::{
    CreditMode, DeliveryKey, DeliveryStart, Event, LinkConfig, LinkEvent, LinkId, SendError, SessionEvent, SessionId,
    TransactError, TransactionEnd, TransactionError, TransactionEvent, Work, WorkKind,
};
use bytes::Bytes;
use proptest::prelude::*;
use support::scene::session_config;
use support::work::{EVERYTHING, id, within};
use support::{Pair, Wire, drain, events};

/// What the resource keeps: the messages of one queue, each a number.
#[derive(Default)]
struct Store {
    available: BTreeSet<u32>,
    /// Messages that are out at the controller, by delivery.
    out: BTreeMap<DeliveryKey, u32>,
    /// Messages that came in within a transaction and wait for its end.
    posted: BTreeMap<DeliveryKey, u32>,
    /// Messages that are gone for good.
    consumed: BTreeSet<u32>,
    /// How every transaction ended; a second end is a fault.
    ended: HashMap<TransactionId, bool>,
    declared: u32,
}

impl Store {
    fn end(&mut self, transaction: TransactionId, committed: bool, work: Vec<Work>) {
        assert_eq!(self.ended.insert(transaction, committed), None, "{transaction} ended twice");
        for work in work {
            match work.kind {
                WorkKind::Posted => {
                    // What was rolled back may not even have been taken.
                    let message = self.posted.remove(&work.delivery);
                    if committed {
                        assert!(self.available.insert(message.expect("it was taken")), "posted twice");
                    }
                }
                WorkKind::Retired | WorkKind::Acquired => {
                    // What was sent settled has no outcome but this one.
                    let sent_settled = work.settled && work.outcome.is_none() && work.kind == WorkKind::Acquired;
                    let accepted = committed && (work.outcome == Some(Outcome::Accepted) || sent_settled);
                    // What was acquired in it goes back with a rollback, what is settled gets its default outcome.
                    let over = work.settled || work.kind == WorkKind::Acquired && !committed;
                    if (accepted || over)
                        && let Some(message) = self.out.remove(&work.delivery)
                    {
                        self.apply(message, accepted);
                    }
                }
            }
        }
    }

    fn apply(&mut self, message: u32, accepted: bool) {
        if accepted {
            assert!(self.consumed.insert(message), "consumed twice");
        } else {
            assert!(self.available.insert(message), "released twice");
        }
    }
}

/// One thing that happens to two engines and the lines between them.
#[derive(Clone, Debug)]
enum Move {
    Declare,
    Post {
        transaction: usize,
        settled: bool,
        pieces: usize,
    },
    /// Gives an outcome to a message that the controller holds.
    Retire {
        transaction: usize,
        message: usize,
        settled: bool,
        accepted: bool,
    },
    Plain {
        message: usize,
        accepted: bool,
    },
    /// Asks for messages, within a transaction or outside of any.
    Acquire {
        transaction: Option<usize>,
        credit: u32,
    },
    Drain,
    Discharge {
        transaction: usize,
        fail: bool,
    },
    /// The controller ends its control link, or the resource does.
    CloseControl {
        controller: bool,
    },
    OpenControl,
    /// The resource does its work.
    Serve {
        commits: bool,
        settles: bool,
    },
    /// The resource sends what is asked for.
    Deliver {
        most: usize,
        settled: bool,
        pieces: usize,
    },
    Line {
        to_server: bool,
        octets: usize,
    },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let transaction = 0_usize..4;
    let one = prop_oneof![
        6 => Just(Move::Declare),
        8 => (transaction.clone(), any::<bool>(), 1_usize..4)
            .prop_map(|(transaction, settled, pieces)| Move::Post { transaction, settled, pieces }),
        8 => (transaction.clone(), 0_usize..4, any::<bool>(), any::<bool>())
            .prop_map(|(transaction, message, settled, accepted)| Move::Retire { transaction, message, settled, accepted }),
        3 => (0_usize..4, any::<bool>()).prop_map(|(message, accepted)| Move::Plain { message, accepted }),
        5 => (prop::option::of(transaction.clone()), 0_u32..4)
            .prop_map(|(transaction, credit)| Move::Acquire { transaction, credit }),
        3 => Just(Move::Drain),
        6 => (transaction, any::<bool>()).prop_map(|(transaction, fail)| Move::Discharge { transaction, fail }),
        1 => any::<bool>().prop_map(|controller| Move::CloseControl { controller }),
        1 => Just(Move::OpenControl),
        10 => (prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(commits, settles)| Move::Serve { commits, settles }),
        6 => (0_usize..4, prop::bool::weighted(0.2), 1_usize..3)
            .prop_map(|(most, settled, pieces)| Move::Deliver { most, settled, pieces }),
        20 => (any::<bool>(), 0_usize..500).prop_map(|(to_server, octets)| Move::Line { to_server, octets }),
    ];
    prop::collection::vec(one, 1..150)
}

struct World {
    pair: Pair,
    session: SessionId,
    control: Option<LinkId>,
    /// The end of the control link at the resource.
    coordinator: Option<LinkId>,
    post: LinkId,
    inbox: LinkId,
    get: LinkId,
    outbox: LinkId,
    store: Store,
    next: u32,
    // What the controller knows.
    asked: HashSet<DeliveryKey>,
    live: Vec<TransactionId>,
    ended: HashMap<TransactionId, TransactionEnd>,
    posted: BTreeMap<u32, TransactionId>,
    held: Vec<(DeliveryKey, u32, Option<TransactionId>)>,
    open: HashSet<DeliveryKey>,
}

impl World {
    fn new(wire: Wire) -> Self {
        let mut pair = Pair::plain();
        pair.wire = wire;
        let (session, _) = pair.session(session_config(), session_config());
        let (post, inbox) = pair.link(
            session,
            LinkConfig::sender("post", Target::at("queue")),
            LinkConfig::receiver("", Source::default()),
        );
        events(&mut pair.client);
        events(&mut pair.server);
        let mut getting = LinkConfig::receiver("get", Source::at("queue"));
        getting.credit = CreditMode::Manual;
        let mut giving = LinkConfig::sender("", Target::default());
        giving.transactional_acquisition = true;
        let (get, outbox) = pair.link(session, getting, giving);
        events(&mut pair.client);
        events(&mut pair.server);
        let mut world = Self {
            pair,
            session,
            control: None,
            coordinator: None,
            post,
            inbox,
            get,
            outbox,
            store: Store { available: (1_000..1_010).collect(), ..Store::default() },
            next: 0,
            asked: HashSet::new(),
            live: Vec::new(),
            ended: HashMap::new(),
            posted: BTreeMap::new(),
            held: Vec::new(),
            open: HashSet::new(),
        };
        world.make(Move::OpenControl);
        world.everything();
        world
    }

    /// Everything on the way arrives, and the resource does its work.
    fn everything(&mut self) {
        loop {
            self.pair.line(true, usize::MAX);
            self.make(Move::Serve { commits: true, settles: true });
            self.pair.line(false, usize::MAX);
            self.controller();
            let Pair { client, server, now, .. } = &mut self.pair;
            let waiting = [drain(server, *now), drain(client, *now)];
            for (line, waiting) in self.pair.on_the_way.iter_mut().zip(waiting) {
                line.extend_from_slice(&waiting);
            }
            if self.pair.on_the_way.iter().all(|octets| octets.is_empty()) {
                break;
            }
        }
    }

    /// What the controller hears.
    fn controller(&mut self) {
        for event in events(&mut self.pair.client) {
            match event {
                Event::Transaction(_, event) => self.hear(*event),
                Event::Link(link, LinkEvent::Detached { .. }) => {
                    assert_eq!(Some(link), self.control, "only a control link ends");
                    assert!(self.live.is_empty() && self.asked.is_empty(), "its transactions end before");
                    self.control = None;
                    self.pair.client.take_terminus(link);
                }
                Event::Session(_, SessionEvent::Ended(_)) | Event::Closed(_) => panic!("{event:?}"),
                _ => {}
            }
        }
        let mut receiver = self.pair.client.receiver(self.get).unwrap();
        while let Some(delivery) = receiver.next_delivery() {
            let transaction = receiver.transaction(delivery.key);
            let message = u32::from_be_bytes(delivery.payload.into_bytes()[..4].try_into().unwrap());
            if !delivery.settled {
                self.held.push((delivery.key, message, transaction));
            }
        }
        let mut sender = self.pair.client.sender(self.post).unwrap();
        while let Some(outcome) = sender.next_outcome() {
            if outcome.settled {
                assert!(self.open.remove(&outcome.key), "settled twice");
            }
        }
    }

    fn hear(&mut self, event: TransactionEvent) {
        match event {
            TransactionEvent::Declared { request, transaction } => {
                assert!(self.asked.remove(&request));
                self.live.push(transaction);
            }
            TransactionEvent::NotDeclared { request, .. } => assert!(self.asked.remove(&request)),
            TransactionEvent::Ended { transaction, end, work } => {
                self.live.retain(|live| *live != transaction);
                for work in work {
                    if work.kind == WorkKind::Posted && !work.settled && end == TransactionEnd::InDoubt {
                        // The resource may have settled it meanwhile.
                        if self.pair.client.sender(self.post).unwrap().settle(work.delivery, None).is_ok() {
                            self.open.remove(&work.delivery);
                        }
                    }
                }
                if !matches!(end, TransactionEnd::Committed) {
                    // What was acquired in it is not ours any more.
                    self.held.retain(|(.., acquired)| *acquired != Some(transaction));
                }
                assert_eq!(self.ended.insert(transaction, end), None, "{transaction} ended twice");
            }
            other => panic!("{other:?}"),
        }
    }

    fn pick(&self, transaction: usize) -> Option<TransactionId> {
        self.live.get(transaction % self.live.len().max(1)).copied()
    }

    fn make(&mut self, one: Move) {
        match one {
            Move::Declare => {
                let Some(control) = self.control else { return };
                match self.pair.client.declare(control, None) {
                    Ok(request) => drop(self.asked.insert(request)),
                    Err(error) => assert!(matches!(error, TransactError::NoCredit | TransactError::NotControl)),
                }
            }
            Move::Post { transaction, settled, pieces } => {
                let Some(transaction) = self.pick(transaction) else { return };
                let mut sender = self.pair.client.sender(self.post).unwrap();
                let start = DeliveryStart { transaction: Some(transaction), settled, ..DeliveryStart::default() };
                let key = match sender.begin_delivery(start) {
                    Ok(key) => key,
                    Err(error) => {
                        assert!(matches!(error, SendError::NoCredit | SendError::UnknownTransaction));
                        return;
                    }
                };
                let payload = [&self.next.to_be_bytes()[..], &[7; 20]].concat();
                for piece in payload.chunks(payload.len().div_ceil(pieces)) {
                    sender.write(key, Bytes::copy_from_slice(piece)).unwrap();
                }
                sender.finish(key).unwrap();
                self.posted.insert(self.next, transaction);
                self.open.insert(key);
                self.next += 1;
            }
            Move::Retire { transaction, message, settled, accepted } => {
                let (Some(transaction), false) = (self.pick(transaction), self.held.is_empty()) else { return };
                let at = message % self.held.len();
                let outcome = if accepted { Outcome::Accepted } else { Outcome::Released };
                let mut receiver = self.pair.client.receiver(self.get).unwrap();
                // It may be part of another transaction, or be settled meanwhile.
                let settles = receiver.settle(self.held[at].0, within(transaction, Some(outcome)), settled);
                if settles.is_ok() && settled {
                    self.held.remove(at);
                }
            }
            Move::Plain { message, accepted } => {
                if self.held.is_empty() {
                    return;
                }
                let at = message % self.held.len();
                let outcome = if accepted { DeliveryState::Accepted } else { DeliveryState::Released };
                let mut receiver = self.pair.client.receiver(self.get).unwrap();
                if receiver.settle(self.held[at].0, outcome, true).is_ok() {
                    self.held.remove(at);
                }
            }
            Move::Acquire { transaction, credit } => {
                let transaction = transaction.map(|transaction| self.pick(transaction));
                let mut receiver = self.pair.client.receiver(self.get).unwrap();
                match transaction {
                    Some(Some(transaction)) if receiver.acquire(transaction).is_err() => return,
                    Some(None) => return,
                    _ => {}
                }
                receiver.set_credit(credit);
            }
            Move::Drain => self.pair.client.receiver(self.get).unwrap().drain(),
            Move::Discharge { transaction, fail } => {
                let Some(transaction) = self.pick(transaction) else { return };
                if let Err(error) = self.pair.client.discharge(transaction, fail) {
                    let expected = [
                        TransactError::Unfinished,
                        TransactError::CreditOutstanding,
                        TransactError::NoCredit,
                        TransactError::UnknownTransaction,
                        TransactError::NotControl,
                    ];
                    assert!(expected.contains(&error), "{error:?}");
                }
            }
            Move::CloseControl { controller: true } => {
                if let Some(control) = self.control {
                    self.pair.client.detach(control, true, None);
                }
            }
            Move::CloseControl { controller: false } => {
                // Work that crosses this is refused, for the controller's transaction is no more: that is tested elsewhere.
                if let Some(control) = self.coordinator {
                    self.everything_but_work();
                    self.pair.server.detach(control, true, None);
                    self.everything_but_work();
                }
            }
            Move::OpenControl => {
                if self.control.is_none() {
                    let config = LinkConfig::controller(format!("control {}", self.next), EVERYTHING);
                    self.next += 1;
                    self.control = Some(self.pair.client.attach(self.session, config).unwrap());
                }
            }
            Move::Serve { commits, settles } => self.serve(commits, settles),
            Move::Deliver { most, settled, pieces } => {
                let mut sender = self.pair.server.sender(self.outbox).unwrap();
                for _ in 0..most.min(self.store.available.len()) {
                    let start = DeliveryStart { settled, ..DeliveryStart::default() };
                    let within = sender.acquisition();
                    if settled && within.is_none() {
                        break;
                    }
                    let Ok(key) = sender.begin_delivery(start) else { break };
                    let message = self.store.available.pop_first().unwrap();
                    let payload = [&message.to_be_bytes()[..], &[7; 20]].concat();
                    for piece in payload.chunks(payload.len().div_ceil(pieces)) {
                        sender.write(key, Bytes::copy_from_slice(piece)).unwrap();
                    }
                    sender.finish(key).unwrap();
                    self.store.out.insert(key, message);
                }
            }
            Move::Line { to_server, octets } => self.pair.line(to_server, octets),
        }
        self.controller();
    }

    fn everything_but_work(&mut self) {
        for _ in 0..4 {
            self.pair.line(true, usize::MAX);
            self.pair.line(false, usize::MAX);
            self.controller();
        }
    }

    /// What the resource hears, and does.
    fn serve(&mut self, commits: bool, settles: bool) {
        for event in events(&mut self.pair.server) {
            match event {
                Event::Link(link, LinkEvent::Incoming) => {
                    let mut config = LinkConfig::coordinator(EVERYTHING);
                    config.credit = CreditMode::Automatic { window: 10, replenish: Default::default() };
                    // The controller may have taken it back.
                    if self.pair.server.accept_attach(link, config).is_ok() {
                        self.coordinator = Some(link);
                    }
                }
                Event::Link(link, LinkEvent::Detached { end, .. }) => {
                    assert!(link != self.inbox && link != self.outbox, "{end:?}");
                    if self.coordinator == Some(link) {
                        self.coordinator = None;
                    }
                    self.pair.server.take_terminus(link);
                }
                Event::Link(link, LinkEvent::DeliveryComplete) => assert_eq!(link, self.inbox),
                Event::Link(_, LinkEvent::Drain) => self.pair.server.sender(self.outbox).unwrap().drained(),
                Event::Transaction(_, event) => {
                    self.take_in(settles);
                    self.transact(*event, commits);
                }
                Event::Session(_, SessionEvent::Ended(_)) | Event::Closed(_) => panic!("{event:?}"),
                _ => {}
            }
        }
        self.take_in(settles);
    }

    fn take_in(&mut self, settles: bool) {
        let mut receiver = self.pair.server.receiver(self.inbox).unwrap();
        while let Some(delivery) = receiver.next_delivery() {
            assert!(delivery.transactional, "all work is in a transaction");
            let message = u32::from_be_bytes(delivery.payload.into_bytes()[..4].try_into().unwrap());
            // If it is over already, it was rolled back.
            if receiver.transaction(delivery.key).is_some() {
                self.store.posted.insert(delivery.key, message);
            }
            if !delivery.settled {
                // The other side may have settled it already.
                let _ = receiver.settle(delivery.key, DeliveryState::Accepted, settles);
            }
        }
        let mut sender = self.pair.server.sender(self.outbox).unwrap();
        while let Some(outcome) = sender.next_outcome() {
            if outcome.transaction().is_some() {
                continue;
            }
            let accepted = outcome.state == Some(DeliveryState::Accepted);
            // What was sent settled is gone; what a rollback took back already is not taken back again.
            if outcome.state.is_some()
                && let Some(message) = self.store.out.remove(&outcome.key)
            {
                self.store.apply(message, accepted);
            }
        }
    }

    fn transact(&mut self, event: TransactionEvent, commits: bool) {
        match event {
            TransactionEvent::Declare { request, .. } => {
                let name = id(&self.store.declared.to_be_bytes());
                if self.pair.server.declare_accepted(request, Some(name)).is_ok() {
                    self.store.declared += 1;
                }
            }
            TransactionEvent::Discharge { request, transaction, fail } => {
                let (committed, ended) = if fail || commits {
                    (!fail, self.pair.server.discharge_accepted(request))
                } else {
                    (false, self.pair.server.reject_request(request, TransactionError::Rollback, "not today"))
                };
                match ended {
                    Ok(work) => self.store.end(transaction, committed, work),
                    Err(error) => assert_eq!(error, TransactError::UnknownRequest, "the control link is gone"),
                }
            }
            TransactionEvent::Ended { transaction, end, work } => {
                assert!(matches!(end, TransactionEnd::RolledBack(_)), "{end:?}");
                self.store.end(transaction, false, work);
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    /// However declares, posts, retirements, discharges and ends of links are mixed: every transaction ends once, both sides agree
    /// on how, nothing is settled, posted or consumed twice, and no message is lost.
    #[test]
    fn every_transaction_ends_once(moves in moves(), octets in any::<bool>()) {
        // 4.1-04, 4.4.4.1-01, 4.4.4.2-02, 4.4.4.3-01, 4.4.4.3-03
        let mut world = World::new(if octets { Wire::Octets } else { Wire::Whole });
        for one in moves {
            world.make(one);
        }
        // Now everybody does what is left to do.
        world.everything();
        world.make(Move::Acquire { transaction: None, credit: 0 });
        world.make(Move::Drain);
        world.everything();
        for transaction in world.live.clone() {
            // One at a time, for there is credit for ten.
            world.pair.client.discharge(transaction, false).unwrap();
            world.everything();
        }
        prop_assert!(world.live.is_empty(), "{:?} still live", world.live);
        while !world.held.is_empty() {
            let before = world.held.len();
            world.make(Move::Plain { message: 0, accepted: false });
            if world.held.len() == before {
                // The other side has settled it.
                world.held.remove(0);
            }
        }
        world.everything();
        prop_assert!(world.asked.is_empty());
        for (transaction, end) in &world.ended {
            let committed = world.store.ended[transaction];
            match end {
                TransactionEnd::Committed => prop_assert!(committed),
                TransactionEnd::RolledBack(_) => prop_assert!(!committed),
                _ => {}
            }
        }
        // The controller may have closed its link before it heard of one.
        let unheard = world.store.ended.iter().filter(|(transaction, _)| !world.ended.contains_key(transaction));
        prop_assert!(unheard.into_iter().all(|(_, committed)| !committed));
        prop_assert_eq!(world.store.declared as usize, world.store.ended.len());
        // Messages that were posted are there if and only if their transaction was committed.
        let there = |message: &u32| {
            let Store { available, out, consumed, .. } = &world.store;
            let places = [available.contains(message), out.values().any(|out| out == message), consumed.contains(message)];
            places.into_iter().filter(|place| *place).count()
        };
        for (message, transaction) in &world.posted {
            let committed = world.store.ended.get(transaction).copied().unwrap_or(false);
            prop_assert_eq!(there(message), usize::from(committed), "message {} of {}", message, transaction);
        }
        for message in 1_000..1_010 {
            prop_assert_eq!(there(&message), 1, "message {}", message);
        }
        prop_assert!(world.store.posted.is_empty());
        prop_assert!(world.open.is_empty(), "{} posts never settled", world.open.len());
        prop_assert!(world.pair.client.sender(world.post).unwrap().unsettled().is_empty());
        prop_assert!(world.pair.server.receiver(world.inbox).unwrap().unsettled().is_empty());
    }
}
