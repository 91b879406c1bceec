//! An engine as the resource of transactions, against a controller that the test plays.

use amqp10_codec::{Performative, Source, Transfer, TxnCapability};
use amqp10_link::{
    CreditMode, Ended, Event, LinkConfig, LinkEvent, LinkId, SessionEvent, SessionId, TransactionEvent, Violation,
};

use super::Script;
use super::script::*;
use super::work::*;

pub(crate) const REJECTS: &[&str] = &["amqp:accepted:list", "amqp:rejected:list"];

/// One thing that happens.
pub(crate) type Step = fn(&mut Scene);

/// The peer's numbers differ from the engine's.
///
/// | session | ours | peer's | links: ours, peer's |
/// | --- | --- | --- | --- |
/// | `one` | 0 | 10 | control link 0, 5; `post`, which the peer sends on, 1, 6; `get`, which it receives on, 2, 7 |
/// | `two` | 1 | 11 | `other`, which the peer sends on, 0, 5 |
pub(crate) struct Scene {
    pub(crate) peer: Script,
    pub(crate) one: SessionId,
    pub(crate) control: LinkId,
    pub(crate) post: LinkId,
    pub(crate) get: LinkId,
    pub(crate) other: LinkId,
    /// Of the peer's next delivery on each session.
    pub(crate) next: u32,
}

impl Scene {
    pub(crate) fn new(capabilities: &[TxnCapability<'static>], outcomes: &[&'static str]) -> Self {
        Self::with(capabilities, outcomes, |_| {})
    }

    pub(crate) fn with(
        capabilities: &[TxnCapability<'static>],
        outcomes: &[&'static str],
        change: impl Fn(&mut amqp10_link::Config),
    ) -> Self {
        let mut config = super::scene::config();
        change(&mut config);
        let mut peer = Script::server(config, open());
        let mut sessions = Vec::new();
        for channel in [10, 11] {
            peer.send(channel, &begin());
            let [Event::Session(session, SessionEvent::Incoming)] = peer.events()[..] else { panic!() };
            peer.engine.accept_begin(session, super::scene::session_config()).unwrap();
            peer.events();
            sessions.push(session);
        }
        let control = attach(&mut peer, 10, &controller("control", 5, outcomes), coordinating(capabilities));
        let post = attach(&mut peer, 10, &sender("post", 6), LinkConfig::receiver("", Source::default()));
        let get = attach(&mut peer, 10, &receiver("get", 7), getting());
        let other = attach(&mut peer, 11, &sender("other", 5), LinkConfig::receiver("", Source::default()));
        peer.quiet();
        Self { peer, one: sessions[0], control, post, get, other, next: 0 }
    }

    pub(crate) fn all() -> Self {
        Self::new(&EVERYTHING, REJECTS)
    }

    /// Sends a message on the control link.
    pub(crate) fn ask(&mut self, body: &[u8]) {
        let next = self.take_number();
        self.peer.deliver(10, 5, next, body);
    }

    pub(crate) fn take_number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// A transaction that both know.
    pub(crate) fn transaction(&mut self, name: &[u8]) -> amqp10_codec::TransactionId {
        self.ask(&declare());
        let [TransactionEvent::Declare { request, .. }] = transactions(self.peer.events())[..] else { panic!() };
        self.peer.engine.declare_accepted(request, Some(id(name))).unwrap();
        self.peer.quiet();
        id(name)
    }

    pub(crate) fn discharge(&mut self, id: amqp10_codec::TransactionId, fail: bool) -> amqp10_link::DeliveryKey {
        self.ask(&discharge(id, Some(fail)));
        let told = transactions(self.peer.events());
        let [TransactionEvent::Discharge { request, transaction, fail: told }] = told[..] else { panic!("{told:?}") };
        assert_eq!((transaction, told), (id, fail));
        request
    }

    /// The peer posts a message in a transaction.
    pub(crate) fn post(&mut self, id: amqp10_codec::TransactionId, settled: bool) -> amqp10_link::Delivery {
        let number = self.take_number();
        let transfer = Transfer { settled: settled.then_some(true), ..post(6, number, id) };
        self.peer.transfer(10, &transfer, b"message");
        self.peer.engine.receiver(self.post).unwrap().next_delivery().unwrap()
    }

    /// The engine sends a message; the number is the delivery-id that the peer sees.
    pub(crate) fn get(&mut self) -> (amqp10_link::DeliveryKey, u32) {
        let mut sender = self.peer.engine.sender(self.get).unwrap();
        let key = sender.begin_delivery(Default::default()).unwrap();
        sender.write(key, vec![7; 10].into()).unwrap();
        sender.finish(key).unwrap();
        let frames = self.peer.frames();
        let [(0, Performative::Transfer(transfer), _)] = &frames[..] else { panic!("{frames:?}") };
        (key, transfer.delivery_id.unwrap().0)
    }

    pub(crate) fn outcomes(&mut self) -> Vec<String> {
        let mut sender = self.peer.engine.sender(self.get).unwrap();
        let told = std::iter::from_fn(|| sender.next_outcome());
        let told = told.map(|outcome| {
            assert_eq!(
                outcome.transaction().is_some(),
                text_of_state(outcome.state.as_ref().unwrap()).starts_with("in")
            );
            let settled = if outcome.settled { " settled" } else { "" };
            format!("{}{settled}", text_of_state(&outcome.state.unwrap()))
        });
        told.collect()
    }

    pub(crate) fn credit(&mut self, credit: u32) {
        self.peer.send(10, &super::script::credit(7, 0, credit));
        self.peer.quiet();
    }

    pub(crate) fn work(&self, id: amqp10_codec::TransactionId) -> Vec<String> {
        self.peer.engine.work(id).iter().map(text_of_work).collect()
    }

    /// The control link is closed with this condition because the peer broke a rule, and its transactions are rolled back.
    pub(crate) fn control_is_closed(&mut self, condition: &str, ended: &[&str]) {
        assert_eq!(told(&mut self.peer), [format!("0 detach handle 0 closed {condition}")]);
        let events = self.peer.events();
        let of_control = of_link(events.clone(), self.control);
        let [LinkEvent::Detached { closed: true, end: Ended::Violation(violation) }] = &of_control[..] else {
            panic!("{of_control:?}");
        };
        assert_eq!(violation.condition().as_str(), condition);
        assert_eq!(texts(events), ended);
    }

    /// A link of session one is closed because the peer named a transaction that is none.
    pub(crate) fn link_is_closed(&mut self, channel: u16, handle: u32, link: LinkId) {
        let expected = format!("{channel} detach handle {handle} closed amqp:transaction:unknown-id");
        assert_eq!(told(&mut self.peer), [expected]);
        let end = Ended::Violation(Violation::UnknownTransaction);
        assert_eq!(of_link(self.peer.events(), link), [LinkEvent::Detached { closed: true, end }]);
    }
}

pub(crate) fn coordinating(capabilities: &[TxnCapability<'static>]) -> LinkConfig {
    let mut config = LinkConfig::coordinator(capabilities.iter().cloned());
    config.credit = CreditMode::Automatic { window: 10, replenish: Default::default() };
    config
}

pub(crate) fn getting() -> LinkConfig {
    let mut config = LinkConfig::sender("", amqp10_codec::Target::default());
    config.transactional_acquisition = true;
    config
}

pub(crate) fn attach(peer: &mut Script, channel: u16, attach: &amqp10_codec::Attach<'_>, config: LinkConfig) -> LinkId {
    peer.send(channel, attach);
    let [Event::Link(link, LinkEvent::Incoming)] = peer.events()[..] else { panic!() };
    peer.engine.accept_attach(link, config).unwrap();
    peer.events();
    link
}

pub(crate) fn more(transfer: Transfer<'_>) -> Transfer<'_> {
    Transfer { more: true, ..transfer }
}

pub(crate) fn accepted() -> amqp10_codec::DeliveryState<'static> {
    amqp10_codec::DeliveryState::Accepted
}
