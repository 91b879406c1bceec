//! An engine as the resource of transactions, against a controller that the test plays.

mod support;

use amqp10_codec::{
    Declare, Disposition, Encode, Error, ErrorCondition, Header, Map, Outcome, Performative, Properties, Role, Source,
    Symbol, Transfer, TxnCapability, Value,
};
use amqp10_link::{
    CommandError, CreditMode, Ended, Event, LinkConfig, LinkEvent, LinkId, SessionEvent, SessionId, SettleError,
    TransactError, TransactionError, TransactionEvent, Violation,
};
use support::Script;
use support::script::*;
use support::work::*;

const NOTHING: [&str; 0] = [];
const REJECTS: &[&str] = &["amqp:accepted:list", "amqp:rejected:list"];

/// One thing that happens.
type Step = fn(&mut Scene);

/// The peer's numbers differ from the engine's.
///
/// | session | ours | peer's | links: ours, peer's |
/// | --- | --- | --- | --- |
/// | `one` | 0 | 10 | control link 0, 5; `post`, which the peer sends on, 1, 6; `get`, which it receives on, 2, 7 |
/// | `two` | 1 | 11 | `other`, which the peer sends on, 0, 5 |
struct Scene {
    peer: Script,
    one: SessionId,
    control: LinkId,
    post: LinkId,
    get: LinkId,
    other: LinkId,
    /// Of the peer's next delivery on each session.
    next: u32,
}

impl Scene {
    fn new(capabilities: &[TxnCapability<'static>], outcomes: &[&'static str]) -> Self {
        Self::with(capabilities, outcomes, |_| {})
    }

    fn with(
        capabilities: &[TxnCapability<'static>],
        outcomes: &[&'static str],
        change: impl Fn(&mut amqp10_link::Config),
    ) -> Self {
        let mut config = support::scene::config();
        change(&mut config);
        let mut peer = Script::server(config, open());
        let mut sessions = Vec::new();
        for channel in [10, 11] {
            peer.send(channel, &begin());
            let [Event::Session(session, SessionEvent::Incoming)] = peer.events()[..] else { panic!() };
            peer.engine.accept_begin(session, support::scene::session_config()).unwrap();
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

    fn all() -> Self {
        Self::new(&EVERYTHING, REJECTS)
    }

    /// Sends a message on the control link.
    fn ask(&mut self, body: &[u8]) {
        let next = self.take_number();
        self.peer.deliver(10, 5, next, body);
    }

    fn take_number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// A transaction that both know.
    fn transaction(&mut self, name: &[u8]) -> amqp10_codec::TransactionId {
        self.ask(&declare());
        let [TransactionEvent::Declare { request, .. }] = transactions(self.peer.events())[..] else { panic!() };
        self.peer.engine.declare_accepted(request, Some(id(name))).unwrap();
        self.peer.quiet();
        id(name)
    }

    fn discharge(&mut self, id: amqp10_codec::TransactionId, fail: bool) -> amqp10_link::DeliveryKey {
        self.ask(&discharge(id, Some(fail)));
        let told = transactions(self.peer.events());
        let [TransactionEvent::Discharge { request, transaction, fail: told }] = told[..] else { panic!("{told:?}") };
        assert_eq!((transaction, told), (id, fail));
        request
    }

    /// The peer posts a message in a transaction.
    fn post(&mut self, id: amqp10_codec::TransactionId, settled: bool) -> amqp10_link::Delivery {
        let number = self.take_number();
        let transfer = Transfer { settled: settled.then_some(true), ..post(6, number, id) };
        self.peer.transfer(10, &transfer, b"message");
        self.peer.engine.receiver(self.post).unwrap().next_delivery().unwrap()
    }

    /// The engine sends a message; the number is the delivery-id that the peer sees.
    fn get(&mut self) -> (amqp10_link::DeliveryKey, u32) {
        let mut sender = self.peer.engine.sender(self.get).unwrap();
        let key = sender.begin_delivery(Default::default()).unwrap();
        sender.write(key, vec![7; 10].into()).unwrap();
        sender.finish(key).unwrap();
        let frames = self.peer.frames();
        let [(0, Performative::Transfer(transfer), _)] = &frames[..] else { panic!("{frames:?}") };
        (key, transfer.delivery_id.unwrap().0)
    }

    fn outcomes(&mut self) -> Vec<String> {
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

    fn credit(&mut self, credit: u32) {
        self.peer.send(10, &support::script::credit(7, 0, credit));
        self.peer.quiet();
    }

    fn work(&self, id: amqp10_codec::TransactionId) -> Vec<String> {
        self.peer.engine.work(id).iter().map(text_of_work).collect()
    }

    /// The control link is closed with this condition because the peer broke a rule, and its transactions are rolled back.
    fn control_is_closed(&mut self, condition: &str, ended: &[&str]) {
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
    fn link_is_closed(&mut self, channel: u16, handle: u32, link: LinkId) {
        let expected = format!("{channel} detach handle {handle} closed amqp:transaction:unknown-id");
        assert_eq!(told(&mut self.peer), [expected]);
        let end = Ended::Violation(Violation::UnknownTransaction);
        assert_eq!(of_link(self.peer.events(), link), [LinkEvent::Detached { closed: true, end }]);
    }
}

fn coordinating(capabilities: &[TxnCapability<'static>]) -> LinkConfig {
    let mut config = LinkConfig::coordinator(capabilities.iter().cloned());
    config.credit = CreditMode::Automatic { window: 10, replenish: Default::default() };
    config
}

fn getting() -> LinkConfig {
    let mut config = LinkConfig::sender("", amqp10_codec::Target::default());
    config.transactional_acquisition = true;
    config
}

fn attach(peer: &mut Script, channel: u16, attach: &amqp10_codec::Attach<'_>, config: LinkConfig) -> LinkId {
    peer.send(channel, attach);
    let [Event::Link(link, LinkEvent::Incoming)] = peer.events()[..] else { panic!() };
    peer.engine.accept_attach(link, config).unwrap();
    peer.events();
    link
}

fn more(transfer: Transfer<'_>) -> Transfer<'_> {
    Transfer { more: true, ..transfer }
}

#[test]
fn a_declare_is_answered_with_an_id() {
    // 4.2-03, 4.2-06, 4.2-11, 4.5.2-04
    let mut scene = Scene::all();
    assert_eq!(scene.peer.engine.receiver(scene.control).unwrap().credit(), 10, "the controller may begin");
    let bare = [0x00, 0x53, 0x77, 0x00, 0x53, 0x31, 0x45].to_vec();
    let mut dressed = Vec::new();
    Header { priority: 9, ..Header::default() }.encode(&mut dressed);
    Properties { subject: Some("a transaction".into()), ..Properties::default() }.encode(&mut dressed);
    dressed.extend_from_slice(&bare);
    for (number, body) in [bare, dressed].into_iter().enumerate() {
        scene.ask(&body);
        let [TransactionEvent::Declare { request, global_id: None }] = transactions(scene.peer.events())[..] else {
            panic!()
        };
        assert_eq!(told(&mut scene.peer), NOTHING);
        let id = scene.peer.engine.declare_accepted(request, None).unwrap();
        assert_eq!(told(&mut scene.peer), [format!("0 disposition receiver {number} settled declared {id}")]);
        assert_eq!(id, (number as u64).into());
        assert_eq!(scene.peer.engine.declare_accepted(request, None), Err(TransactError::UnknownRequest));
    }
}

#[test]
fn a_request_in_several_transfers_is_one_request() {
    let mut scene = Scene::all();
    let body = declare();
    scene.peer.transfer(10, &more(first(5, 0)), &body[..3]);
    assert_eq!(scene.peer.events(), []);
    scene.peer.transfer(10, &next(5), &body[3..]);
    assert_eq!(texts(scene.peer.events()), ["declare"]);
    // One that is given up is none.
    scene.peer.transfer(10, &more(first(5, 1)), &body[..3]);
    scene.peer.transfer(10, &Transfer { aborted: true, ..next(5) }, b"");
    assert_eq!(scene.peer.events(), []);
}

#[test]
fn requests_keep_their_place_in_the_window_until_they_are_answered() {
    let mut scene = Scene::all();
    for _ in 0..10 {
        scene.ask(&declare());
    }
    let asked = transactions(scene.peer.events());
    assert_eq!(asked.len(), 10);
    assert_eq!(scene.peer.engine.receiver(scene.control).unwrap().credit(), 0);
    for event in asked {
        let TransactionEvent::Declare { request, .. } = event else { panic!() };
        scene.peer.engine.declare_accepted(request, None).unwrap();
    }
    scene.peer.quiet();
    assert_eq!(scene.peer.engine.receiver(scene.control).unwrap().credit(), 10);
}

#[test]
fn a_settled_request_closes_the_control_link() {
    // 4.2-05, 4.3-02
    for discharges in [false, true] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let body = if discharges { discharge(one, None) } else { declare() };
        let number = scene.take_number();
        scene.peer.transfer(10, &Transfer { settled: Some(true), ..first(5, number) }, &body);
        scene.control_is_closed("amqp:illegal-state", &[&format!("{one} rolled back []")]);
    }
}

/// A request that is refused where the source of the control link supports rejection, and where it does not.
fn refused(condition: &str, refuse: impl Fn(&mut Scene, bool)) {
    for (outcomes, rejects) in [(REJECTS, true), (&["amqp:accepted:list"][..], false), (&[][..], false)] {
        let mut scene = Scene::new(&[], outcomes);
        refuse(&mut scene, rejects);
        let last = scene.next - 1;
        let expected = if rejects {
            format!("0 disposition receiver {last} settled rejected {condition}")
        } else {
            format!("0 detach handle 0 closed {condition}")
        };
        assert_eq!(told(&mut scene.peer), [expected]);
        if rejects {
            // Everything else goes on.
            assert_eq!(of_link(scene.peer.events(), scene.control), []);
        } else {
            scene.peer.send(10, &detach(5, true));
            let end = LinkEvent::Detached { closed: true, end: Ended::Local };
            assert_eq!(of_link(scene.peer.events(), scene.control), [end]);
        }
    }
}

#[test]
fn a_declare_that_cannot_be_done_is_rejected_or_the_link_is_closed() {
    // 4.2-07, 4.2-08, 4.2-09, 4.5.2-03, 4.5.8-03
    let rollback = "amqp:transaction:rollback";
    refused(rollback, |scene, _| {
        scene.ask(&message(&Declare { global_id: Some(Value::Ulong(7)) }));
        assert_eq!(texts(scene.peer.events()), NOTHING, "the application is not asked");
    });
    refused("amqp:transaction:timeout", |scene, _| {
        scene.ask(&declare());
        let [TransactionEvent::Declare { request, .. }] = transactions(scene.peer.events())[..] else { panic!() };
        scene.peer.engine.reject_request(request, TransactionError::Timeout, "not now").unwrap();
        let again = scene.peer.engine.reject_request(request, TransactionError::Timeout, "not now");
        assert_eq!(again, Err(TransactError::UnknownRequest));
    });
}

#[test]
fn only_one_transaction_at_a_time_without_the_capability() {
    // 4.5.7-02
    for pending in [false, true] {
        refused("amqp:transaction:rollback", |scene, rejects| {
            if pending {
                scene.ask(&declare());
                scene.peer.quiet();
            } else {
                scene.transaction(b"one");
            }
            scene.ask(&declare());
            let ended = ["6f6e65 rolled back []"];
            assert_eq!(texts(scene.peer.events()), if rejects || pending { &[][..] } else { &ended });
        });
    }
    // One after the other is permitted.
    let mut scene = Scene::new(&[], REJECTS);
    for name in [b"one", b"two"] {
        let one = scene.transaction(name);
        let request = scene.discharge(one, false);
        scene.peer.engine.discharge_accepted(request).unwrap();
    }
}

#[test]
fn the_number_of_transactions_is_bounded() {
    // 4.2-07
    let mut scene = Scene::with(&EVERYTHING, REJECTS, |config| config.max_transactions = 3);
    let first = scene.transaction(b"1");
    scene.transaction(b"2");
    scene.ask(&declare());
    assert_eq!(texts(scene.peer.events()), ["declare"]);
    scene.ask(&declare());
    assert_eq!(texts(scene.peer.events()), NOTHING);
    assert_eq!(told(&mut scene.peer), ["0 disposition receiver 3 settled rejected amqp:transaction:rollback"]);
    let request = scene.discharge(first, true);
    scene.peer.engine.discharge_accepted(request).unwrap();
    scene.ask(&declare());
    assert_eq!(texts(scene.peer.events()), ["declare"]);
}

#[test]
fn a_global_id_is_handed_on_by_a_coordinator_of_distributed_transactions() {
    // 4.5.2-02, 4.5.2-03
    let mut scene = Scene::all();
    scene.ask(&message(&Declare { global_id: Some(Value::Ulong(7)) }));
    assert_eq!(texts(scene.peer.events()), ["declare for Ulong(7)"]);
}

#[test]
fn ids_of_the_applications_own() {
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.ask(&declare());
    let [TransactionEvent::Declare { request, .. }] = transactions(scene.peer.events())[..] else { panic!() };
    assert_eq!(scene.peer.engine.declare_accepted(request, Some(one)), Err(TransactError::DuplicateId));
    scene.peer.engine.declare_accepted(request, Some(id(&[0; 8]))).unwrap();
    // The engine does not choose one that is in use.
    scene.ask(&declare());
    let [.., TransactionEvent::Declare { request, .. }] = transactions(scene.peer.events())[..] else { panic!() };
    assert_eq!(scene.peer.engine.declare_accepted(request, None), Ok(1.into()));
}

#[test]
fn a_discharge_is_accepted() {
    // 4.3-03, 4.3-07, 4.5.3-02
    for (fail, event) in [(None, "commit 6f6e65"), (Some(false), "commit 6f6e65"), (Some(true), "roll back 6f6e65")] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        scene.ask(&discharge(one, fail));
        let events = scene.peer.events();
        assert_eq!(texts(events.clone()), [event]);
        let [TransactionEvent::Discharge { request, .. }] = transactions(events)[..] else { panic!() };
        if fail == Some(true) {
            let rejected = scene.peer.engine.reject_request(request, TransactionError::Rollback, "");
            assert_eq!(rejected, Err(TransactError::MustSucceed));
        }
        assert_eq!(scene.peer.engine.discharge_accepted(request), Ok(vec![]));
        assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled accepted"]);
        assert_eq!(scene.peer.engine.discharge_accepted(request), Err(TransactError::UnknownRequest));
        assert_eq!(texts(scene.peer.events()), NOTHING, "the application knows");
    }
}

#[test]
fn a_commit_that_fails_is_rejected_or_the_link_is_closed() {
    // 4.3-04, 4.3-05, 4.3-06, 4.4.2-07, 4.5.8-02
    for (error, condition) in [
        (TransactionError::Rollback, "amqp:transaction:rollback"),
        (TransactionError::Timeout, "amqp:transaction:timeout"),
        (TransactionError::UnknownId, "amqp:transaction:unknown-id"),
    ] {
        refused(condition, |scene, _| {
            let one = scene.transaction(b"one");
            scene.post(one, true);
            let request = scene.discharge(one, false);
            let work = scene.peer.engine.reject_request(request, error, "it broke").unwrap();
            assert_eq!(work.iter().map(text_of_work).collect::<Vec<_>>(), ["posted settled"]);
            assert_eq!(texts(scene.peer.events()), NOTHING, "it ended with the command");
        });
    }
}

#[test]
fn a_transaction_that_cannot_be_committed_any_more() {
    // 4.4.4.1-02, 4.4.4.1-05, 4.5.8-03
    for (error, condition) in [
        (TransactionError::Rollback, "amqp:transaction:rollback"),
        (TransactionError::Timeout, "amqp:transaction:timeout"),
    ] {
        refused(condition, |scene, rejects| {
            let one = scene.transaction(b"one");
            scene.post(one, true);
            scene.peer.engine.fail_transaction(one, error).unwrap();
            scene.ask(&discharge(one, None));
            let ended = format!("{one} rolled back: {condition} [posted settled]");
            assert_eq!(texts(scene.peer.events()), [ended], "without asking, {rejects}");
        });
        // A rollback is done all the same.
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        scene.peer.engine.fail_transaction(one, error).unwrap();
        let request = scene.discharge(one, true);
        assert_eq!(scene.peer.engine.fail_transaction(one, error), Err(TransactError::UnknownTransaction));
        scene.peer.engine.discharge_accepted(request).unwrap();
        assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled accepted"]);
    }
}

#[test]
fn a_transaction_of_more_than_the_book_holds_is_rolled_back() {
    // 4.4.4.1-02
    let mut scene = Scene::with(&EVERYTHING, REJECTS, |config| config.max_transactional_deliveries = 3);
    let one = scene.transaction(b"one");
    for _ in 0..5 {
        scene.post(one, true);
    }
    assert_eq!(scene.work(one).len(), 3);
    scene.peer.quiet();
    scene.ask(&discharge(one, None));
    let work = "posted settled, posted settled, posted settled";
    assert_eq!(texts(scene.peer.events()), [format!("{one} rolled back: amqp:transaction:rollback [{work}]")]);
    assert_eq!(told(&mut scene.peer), ["0 disposition receiver 6 settled rejected amqp:transaction:rollback"]);
}

#[test]
fn a_discharge_of_what_is_not_live_is_refused() {
    // 4.3-08, 4.5.8-01
    refused("amqp:transaction:unknown-id", |scene, _| scene.ask(&discharge(id(b"never"), None)));
    refused("amqp:transaction:unknown-id", |scene, _| {
        let one = scene.transaction(b"one");
        let request = scene.discharge(one, false);
        scene.peer.engine.discharge_accepted(request).unwrap();
        scene.peer.quiet();
        scene.ask(&discharge(one, Some(true)));
        assert_eq!(texts(scene.peer.events()), NOTHING);
    });
    // Also while the first discharge waits for an answer.
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let request = scene.discharge(one, false);
    scene.ask(&discharge(one, Some(true)));
    assert_eq!(told(&mut scene.peer), ["0 disposition receiver 2 settled rejected amqp:transaction:unknown-id"]);
    scene.peer.engine.discharge_accepted(request).unwrap();
    assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled accepted"]);
}

#[test]
fn another_control_link_knows_nothing_of_a_transaction() {
    // 4.3-08
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    attach(&mut scene.peer, 10, &controller("second", 8, REJECTS), coordinating(&EVERYTHING));
    scene.peer.quiet();
    let number = scene.take_number();
    scene.peer.deliver(10, 8, number, &discharge(one, None));
    assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled rejected amqp:transaction:unknown-id"]);
    // The end of the one leaves the transactions of the other alone.
    scene.peer.send(10, &detach(8, true));
    assert_eq!(texts(scene.peer.events()), NOTHING);
    scene.discharge(one, false);
}

#[test]
fn work_in_a_transaction_that_is_none_is_refused() {
    // 4.4-05, 4.1-05, 4.5.8-01
    let ends: [Step; 4] = [
        |_| {},
        |scene| {
            let one = scene.transaction(b"old");
            let request = scene.discharge(one, false);
            scene.peer.engine.discharge_accepted(request).unwrap();
        },
        |scene| {
            let one = scene.transaction(b"old");
            // A discharge ends the work, even before it is answered.
            scene.discharge(one, false);
        },
        |scene| {
            scene.transaction(b"old");
            scene.peer.send(10, &detach(5, true));
        },
    ];
    for end in ends {
        let works: [(Step, u32); 5] = [
            (|scene| scene.peer.transfer(10, &post(6, 20, id(b"old")), b"x"), 1),
            (|scene| scene.peer.transfer(10, &more(post(6, 20, id(b"old"))), b"x"), 1),
            (|scene| scene.peer.transfer(10, &Transfer { settled: Some(true), ..post(6, 20, id(b"old")) }, b"x"), 1),
            (
                |scene| {
                    let within = within(id(b"old"), Some(Outcome::Accepted));
                    scene.peer.send(10, &state(Role::Receiver, 0, true, Some(within)));
                },
                2,
            ),
            (|scene| scene.peer.send(10, &acquire(7, 1, 10, binary(id(b"old")))), 2),
        ];
        for (work, handle) in works {
            let mut scene = Scene::all();
            scene.credit(1);
            scene.get();
            end(&mut scene);
            scene.peer.quiet();
            work(&mut scene);
            let link = if handle == 1 { scene.post } else { scene.get };
            scene.link_is_closed(0, handle, link);
        }
    }
}

#[test]
fn work_in_a_transaction_where_there_never_was_a_control_link() {
    // 4.4-05
    let mut scene = support::scene::Scene::new(support::Wire::Whole);
    scene.peer.transfer(10, &post(5, 0, id(b"x")), b"x");
    assert_eq!(scene.peer.told(), ["0 detach handle 0 closed amqp:transaction:unknown-id"]);
    let mut receiver = scene.peer.engine.receiver(scene.b).unwrap();
    let unknown = receiver.acquire(id(b"x"));
    assert_eq!(unknown, Err(TransactError::UnknownTransaction));
    scene.peer.deliver(10, 6, 1, b"x");
    let mut receiver = scene.peer.engine.receiver(scene.b).unwrap();
    let delivery = receiver.next_delivery().unwrap();
    let settled = receiver.settle(delivery.key, within(id(b"x"), Some(Outcome::Accepted)), true);
    assert_eq!(settled, Err(SettleError::UnknownTransaction));
}

#[test]
fn a_disposition_of_several_links_in_a_transaction_that_is_none_applies_to_none_of_them() {
    // 4.4-05
    let mut scene = Scene::all();
    scene.credit(2);
    scene.get();
    scene.get();
    let state = Some(within(id(b"old"), Some(Outcome::Accepted)));
    scene.peer.send(10, &Disposition { state, ..disposition(Role::Receiver, 0, 1, true) });
    scene.link_is_closed(0, 2, scene.get);
    assert_eq!(scene.outcomes(), NOTHING);
}

#[test]
fn only_declare_and_discharge_have_a_place_on_the_control_link() {
    // 4.1-02
    let one = id(b"one");
    let bodies: [&[u8]; 5] = [b"", b"garbage", &[0x00, 0x53, 0x75, 0xa0, 1, 7], &message(&7_u32), &[0x00, 0x53, 0x77]];
    for body in bodies {
        refused("amqp:not-allowed", |scene, rejects| {
            scene.transaction(b"one");
            scene.ask(body);
            let ended = format!("{one} rolled back []");
            assert_eq!(texts(scene.peer.events()), if rejects { vec![] } else { vec![ended] });
        });
    }
    // Nor has work of a transaction, whatever the message says.
    let mut scene = Scene::all();
    scene.transaction(b"one");
    let number = scene.take_number();
    scene.peer.transfer(10, &post(5, number, one), &declare());
    scene.control_is_closed("amqp:not-allowed", &[&format!("{one} rolled back []")]);
}

#[test]
fn work_on_another_session() {
    // 4.1-03, 4.5.7-03
    let other: Step = |scene| scene.peer.transfer(11, &post(5, 0, id(b"one")), b"x");
    let mut scene = Scene::new(&[TxnCapability::MULTI_TXNS_PER_SSN], REJECTS);
    scene.transaction(b"one");
    other(&mut scene);
    let link = scene.other;
    scene.link_is_closed(1, 0, link);

    let mut scene = Scene::new(&[TxnCapability::MULTI_SSNS_PER_TXN], REJECTS);
    let one = scene.transaction(b"one");
    other(&mut scene);
    assert_eq!(of_link(scene.peer.events(), scene.other), [LinkEvent::DeliveryComplete]);
    assert_eq!(scene.work(one), ["posted"]);
}

#[test]
fn the_end_of_the_control_link_rolls_everything_back() {
    // 4.1-04, 4.4.2-07
    let ends: [Step; 6] = [
        |scene| scene.peer.send(10, &detach(5, true)),
        |scene| scene.peer.send(10, &detach(5, false)),
        |scene| scene.peer.send(10, &end()),
        |scene| scene.peer.send(0, &close()),
        |scene| scene.peer.engine.handle_eof(scene.peer.now),
        |scene| scene.peer.engine.detach(scene.control, true, Some(problem())),
    ];
    for end in ends {
        let mut scene = Scene::all();
        scene.credit(1);
        let (_, number) = scene.get();
        let [one, two, three] = [b"1", b"2", b"3"].map(|name| scene.transaction(name));
        scene.post(one, true);
        let delivery = scene.post(two, false);
        scene.peer.engine.receiver(scene.post).unwrap().settle(delivery.key, accepted(), true).unwrap();
        let within = within(two, Some(Outcome::Accepted));
        scene.peer.send(10, &state(Role::Receiver, number, true, Some(within)));
        let request = scene.discharge(three, false);
        scene.peer.quiet();
        end(&mut scene);
        let events = scene.peer.events();
        let expected = [
            "31 rolled back [posted settled]",
            "32 rolled back [posted accepted settled, retired accepted settled]",
            "33 rolled back []",
        ];
        assert_eq!(texts(events.clone()), expected);
        let detached =
            |event: &Event| matches!(event, Event::Link(link, LinkEvent::Detached { .. }) if *link == scene.control);
        let last = |event: &Event| matches!(event, Event::Transaction(..));
        let detached = events.iter().position(detached).unwrap_or(usize::MAX);
        assert!(events.iter().rposition(last).unwrap() < detached, "the end of the link is told last");
        assert_eq!(scene.peer.engine.discharge_accepted(request), Err(TransactError::UnknownRequest));
    }
}

fn accepted() -> amqp10_codec::DeliveryState<'static> {
    amqp10_codec::DeliveryState::Accepted
}

#[test]
fn a_control_link_is_not_resumed() {
    // 4.2-01
    let mut scene = Scene::all();
    let unsettled = Map::new().with(tag(7), ());
    let again = amqp10_codec::Attach { unsettled: Some(unsettled), ..controller("again", 8, REJECTS) };
    scene.peer.send(10, &again);
    let [Event::Link(link, LinkEvent::Incoming)] = scene.peer.events()[..] else { panic!() };
    let mut config = coordinating(&EVERYTHING);
    config.terminus = Some(amqp10_link::Terminus { unsettled: vec![amqp10_link::UnsettledDelivery::new(tag(7))] });
    scene.peer.engine.accept_attach(link, config).unwrap();
    let frames = scene.peer.frames();
    let Performative::Attach(answer) = &frames[0].1 else { panic!("{frames:?}") };
    assert_eq!(answer.unsettled, None);
    assert!(scene.peer.engine.receiver(link).unwrap().unsettled().is_empty());
}

#[test]
fn a_container_without_a_coordinator_refuses() {
    // 4.5.1-03
    let mut scene = Scene::all();
    scene.peer.send(10, &controller("again", 8, REJECTS));
    let [Event::Link(link, LinkEvent::Incoming)] = scene.peer.events()[..] else { panic!() };
    let error = Error::new(ErrorCondition::NOT_IMPLEMENTED, "no transactions here");
    scene.peer.engine.refuse_attach(link, error).unwrap();
    let expected = ["0 attach again handle 3 null", "0 detach handle 3 closed amqp:not-implemented"];
    assert_eq!(told(&mut scene.peer), expected);
    assert_eq!(scene.peer.engine.refuse_attach(link, problem()), Err(CommandError::NotWaiting));
}

#[test]
fn the_coordinator_tells_what_it_can_do() {
    // 4.5.1-02
    let mut scene = Scene::all();
    scene.peer.send(10, &controller("again", 8, REJECTS));
    let [Event::Link(link, LinkEvent::Incoming)] = scene.peer.events()[..] else { panic!() };
    scene.peer.engine.accept_attach(link, coordinating(&[TxnCapability::LOCAL_TRANSACTIONS])).unwrap();
    let frames = scene.peer.frames();
    let Performative::Attach(answer) = &frames[0].1 else { panic!("{frames:?}") };
    let coordinator = answer.target.as_ref().unwrap().as_coordinator().unwrap();
    assert_eq!(coordinator.capabilities[..], [TxnCapability::LOCAL_TRANSACTIONS]);
    let outcomes = &answer.source.as_ref().unwrap().as_source().unwrap().outcomes;
    assert_eq!(outcomes[..], REJECTS.iter().map(|name| Symbol::from_static(name)).collect::<Vec<_>>());
    assert_eq!(answer.max_message_size, Some(65_536));
}

#[test]
fn a_discharge_while_a_delivery_is_on_its_way_closes_the_control_link() {
    // 4.4.1-04
    for fail in [None, Some(true)] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let two = scene.transaction(b"two");
        let number = scene.take_number();
        scene.peer.transfer(10, &more(post(6, number, one)), b"half");
        scene.peer.quiet();
        scene.ask(&discharge(one, fail));
        let ended = [format!("{one} rolled back [posted]"), format!("{two} rolled back []")];
        scene.control_is_closed("amqp:transaction:rollback", &ended.each_ref().map(String::as_str));
    }
}

#[test]
fn a_delivery_that_was_given_up_is_no_work() {
    // 4.4.1-04
    let ends: [Step; 2] = [
        |scene| scene.peer.transfer(10, &Transfer { aborted: true, ..next(6) }, b""),
        |scene| scene.peer.send(10, &detach(6, false)),
    ];
    for end in ends {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let number = scene.take_number();
        scene.peer.transfer(10, &more(post(6, number, one)), b"half");
        assert_eq!(scene.work(one), ["posted"]);
        end(&mut scene);
        assert_eq!(scene.work(one), NOTHING);
        scene.peer.quiet();
        let request = scene.discharge(one, false);
        assert_eq!(scene.peer.engine.discharge_accepted(request), Ok(vec![]));
    }
}

#[test]
fn all_transfers_of_a_delivery_are_in_one_transaction() {
    // 4.4.1-02
    for (first, second) in [(Some(b"one"), Some(b"two")), (None, Some(b"one"))] {
        let mut scene = Scene::all();
        scene.transaction(b"one");
        scene.transaction(b"two");
        let state = |name: Option<&[u8; 3]>| name.map(|name| within(id(name), None));
        let number = scene.take_number();
        scene.peer.transfer(10, &more(Transfer { state: state(first), ..support::script::first(6, number) }), b"a");
        scene.peer.quiet();
        scene.peer.transfer(10, &Transfer { state: state(second), ..next(6) }, b"b");
        assert_eq!(told(&mut scene.peer), ["0 detach handle 1 closed amqp:invalid-field"]);
        assert_eq!(scene.work(id(b"one")), NOTHING);
    }
    // Saying so again is right, and not saying so changes nothing.
    for repeated in [true, false] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let number = scene.take_number();
        scene.peer.transfer(10, &more(post(6, number, one)), b"a");
        let mut receiver = scene.peer.engine.receiver(scene.post).unwrap();
        let key = receiver.partial().unwrap().key();
        assert_eq!(receiver.transaction(key), Some(one));
        let state = repeated.then(|| within(one, None));
        scene.peer.transfer(10, &Transfer { state, ..next(6) }, b"b");
        let mut receiver = scene.peer.engine.receiver(scene.post).unwrap();
        assert!(receiver.next_delivery().unwrap().transactional);
        assert_eq!(receiver.transaction(key), Some(one));
        assert_eq!(scene.work(one), ["posted"]);
    }
}

#[test]
fn a_posted_delivery_has_its_outcome_before_the_commit() {
    // 4.4-01, 4.4.1-06, 4.4.4.1-03, 4.4.4.1-04, 4.5.6-03
    for settles in [true, false] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let delivery = scene.post(one, false);
        assert!(delivery.transactional);
        assert_eq!(scene.peer.engine.receiver(scene.post).unwrap().transaction(delivery.key), Some(one));
        let request = scene.discharge(one, false);
        assert_eq!(scene.peer.engine.discharge_accepted(request), Err(TransactError::Undecided));
        assert_eq!(told(&mut scene.peer), NOTHING);
        let mut receiver = scene.peer.engine.receiver(scene.post).unwrap();
        let other = within(id(b"two"), Some(Outcome::Accepted));
        assert_eq!(receiver.settle(delivery.key, other, settles), Err(SettleError::WrongTransaction));
        receiver.settle(delivery.key, accepted(), settles).unwrap();
        let work = scene.peer.engine.discharge_accepted(request).unwrap();
        let settled = if settles { " settled" } else { "" };
        assert_eq!(work.iter().map(text_of_work).collect::<Vec<_>>(), [format!("posted accepted{settled}")]);
        let mut expected = vec![
            format!("0 disposition receiver 1{settled} in {one} accepted"),
            "0 disposition receiver 2 settled accepted".to_owned(),
        ];
        if !settles {
            expected.push("0 disposition receiver 1 accepted".to_owned());
        }
        assert_eq!(told(&mut scene.peer), expected);
        let unsettled = scene.peer.engine.receiver(scene.post).unwrap().unsettled();
        let states: Vec<_> = unsettled.into_iter().map(|delivery| delivery.state).collect();
        assert_eq!(states, if settles { vec![] } else { vec![Some(accepted())] });
    }
}

#[test]
fn outcomes_on_another_session_leave_before_the_answer() {
    // 4.4.1-06, 4.4.4.1-03, 4.4.4.1-06
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.transfer(11, &post(5, 0, one), b"x");
    let mut receiver = scene.peer.engine.receiver(scene.other).unwrap();
    let delivery = receiver.next_delivery().unwrap();
    receiver.settle(delivery.key, accepted(), false).unwrap();
    scene.peer.events();
    let request = scene.discharge(one, false);
    scene.peer.engine.discharge_accepted(request).unwrap();
    let expected = [
        format!("1 disposition receiver 0 in {one} accepted"),
        "0 disposition receiver 1 settled accepted".to_owned(),
        "1 disposition receiver 0 accepted".to_owned(),
    ];
    assert_eq!(told(&mut scene.peer), expected);
}

#[test]
fn a_posted_delivery_has_no_outcome_after_a_rollback() {
    // 4.4.4.1-07, 4.4.1-07
    let ends: [Step; 3] = [
        |scene| {
            let request = scene.discharge(id(b"one"), true);
            scene.peer.engine.discharge_accepted(request).unwrap();
        },
        |scene| {
            let request = scene.discharge(id(b"one"), false);
            scene.peer.engine.reject_request(request, TransactionError::Rollback, "").unwrap();
        },
        |scene| scene.peer.send(10, &detach(5, true)),
    ];
    for end in ends {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let delivery = scene.post(one, false);
        scene.peer.engine.receiver(scene.post).unwrap().settle(delivery.key, accepted(), false).unwrap();
        let unsettled = scene.peer.engine.receiver(scene.post).unwrap().unsettled();
        assert_eq!(unsettled[0].state, Some(within(one, Some(Outcome::Accepted))));
        scene.peer.quiet();
        end(&mut scene);
        assert_eq!(scene.peer.engine.receiver(scene.post).unwrap().unsettled()[0].state, None);
        scene.peer.quiet();
        // From now on it is an ordinary delivery.
        let mut receiver = scene.peer.engine.receiver(scene.post).unwrap();
        receiver.settle(delivery.key, amqp10_codec::DeliveryState::Released, true).unwrap();
        assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled released"]);
    }
}

#[test]
fn a_settled_post_is_work_of_which_nothing_can_be_said() {
    // 4.4.4-01, 4.4.4.1-01
    for fail in [false, true] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let delivery = scene.post(one, true);
        let request = scene.discharge(one, fail);
        let work = scene.peer.engine.discharge_accepted(request).unwrap();
        assert_eq!(work.iter().map(|work| work.delivery).collect::<Vec<_>>(), [delivery.key]);
        assert_eq!(work.iter().map(text_of_work).collect::<Vec<_>>(), ["posted settled"]);
        assert_eq!(told(&mut scene.peer), ["0 disposition receiver 2 settled accepted"]);
        let mut receiver = scene.peer.engine.receiver(scene.post).unwrap();
        assert_eq!(receiver.settle(delivery.key, accepted(), true), Err(SettleError::Unknown));
    }
    // The controller may also settle before it has heard an outcome.
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.post(one, false);
    scene.peer.send(10, &state(Role::Sender, 1, true, None));
    assert_eq!(scene.work(one), ["posted settled"]);
    let request = scene.discharge(one, false);
    scene.peer.engine.discharge_accepted(request).unwrap();
}

#[test]
fn a_delivery_is_retired_in_a_transaction() {
    // 4.4.2-02, 4.4.2-05, 4.4.4.2-01, 4.4.4.2-02, 4.4.4.2-03
    for (settles, fail) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        scene.credit(1);
        let (key, number) = scene.get();
        let in_one = within(one, Some(Outcome::Accepted));
        scene.peer.send(10, &state(Role::Receiver, number, settles, Some(in_one)));
        let settled = if settles { " settled" } else { "" };
        assert_eq!(scene.outcomes(), [format!("in {one} accepted{settled}")]);
        assert_eq!(scene.work(one), [format!("retired accepted{settled}")]);
        let request = scene.discharge(one, fail);
        let work = scene.peer.engine.discharge_accepted(request).unwrap();
        assert_eq!((work.len(), work[0].delivery), (1, key));
        assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled accepted"]);
        let mut sender = scene.peer.engine.sender(scene.get).unwrap();
        if settles {
            // All that is left is to apply the default outcome.
            assert_eq!(sender.settle(key, Some(accepted())), Err(SettleError::Unknown));
        } else if fail {
            scene.peer.send(10, &state(Role::Receiver, number, true, Some(accepted())));
            assert_eq!(scene.outcomes(), ["accepted settled"]);
        } else {
            sender.settle(key, Some(accepted())).unwrap();
            assert_eq!(told(&mut scene.peer), [format!("0 disposition sender {number} settled accepted")]);
        }
    }
}

#[test]
fn a_delivery_whose_retirement_was_rolled_back_is_retired_in_the_next_transaction() {
    // 4.4.2-06, 4.4.4.2-03
    let mut scene = Scene::all();
    scene.credit(1);
    let (_, number) = scene.get();
    for (name, fail) in [(b"one", true), (b"two", true), (b"six", false)] {
        let one = scene.transaction(name);
        let in_one = within(one, Some(Outcome::Accepted));
        scene.peer.send(10, &state(Role::Receiver, number, false, Some(in_one)));
        assert_eq!(scene.work(one), ["retired accepted"]);
        scene.peer.events();
        let request = scene.discharge(one, fail);
        scene.peer.engine.discharge_accepted(request).unwrap();
        scene.peer.quiet();
    }
}

#[test]
fn the_resource_settles_a_retired_delivery_before_the_discharge() {
    // 4.4.4.2-04, 4.4-03
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.credit(1);
    let (key, number) = scene.get();
    let in_one = within(one, Some(Outcome::Accepted));
    scene.peer.send(10, &state(Role::Receiver, number, false, Some(in_one)));
    let mut sender = scene.peer.engine.sender(scene.get).unwrap();
    let other = within(id(b"two"), Some(Outcome::Accepted));
    assert_eq!(sender.settle(key, Some(other)), Err(SettleError::WrongTransaction));
    sender.settle(key, Some(accepted())).unwrap();
    assert_eq!(told(&mut scene.peer), [format!("0 disposition sender {number} settled in {one} accepted")]);
    assert_eq!(scene.work(one), ["retired accepted settled"]);
}

#[test]
fn the_last_word_of_the_controller_counts() {
    // 4.4.2-02
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.credit(1);
    let (_, number) = scene.get();
    for outcome in [Outcome::Accepted, Outcome::Released] {
        scene.peer.send(10, &state(Role::Receiver, number, false, Some(within(one, Some(outcome)))));
    }
    assert_eq!(scene.work(one), ["retired released"]);
    // Settling without a word leaves the outcome where it is, a plain outcome takes it out of the transaction.
    scene.peer.send(10, &state(Role::Receiver, number, false, None));
    assert_eq!(scene.work(one), ["retired released"]);
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(accepted())));
    assert_eq!(scene.work(one), NOTHING);
    assert_eq!(scene.outcomes(), ["accepted settled"]);
}

#[test]
fn an_outcome_in_another_transaction_closes_the_control_link() {
    // 4.4.2-04, 4.4.4.3-02
    for acquired in [false, true] {
        let mut scene = Scene::all();
        let [one, two] = [b"one", b"two"].map(|name| scene.transaction(name));
        let number = if acquired {
            scene.peer.send(10, &acquire(7, 0, 1, binary(one)));
            scene.get().1
        } else {
            scene.credit(1);
            let number = scene.get().1;
            let in_one = within(one, Some(Outcome::Accepted));
            scene.peer.send(10, &state(Role::Receiver, number, false, Some(in_one)));
            number
        };
        scene.outcomes();
        scene.peer.quiet();
        let in_two = within(two, Some(Outcome::Accepted));
        scene.peer.send(10, &state(Role::Receiver, number, false, Some(in_two)));
        let work = if acquired { "acquired" } else { "retired accepted" };
        let ended = [format!("{one} rolled back [{work}]"), format!("{two} rolled back []")];
        scene.control_is_closed("amqp:transaction:rollback", &ended.each_ref().map(String::as_str));
        assert_eq!(scene.outcomes(), NOTHING, "it does not count");
    }
    // What was acquired in a transaction is not retired outside of it either.
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.send(10, &acquire(7, 0, 1, binary(one)));
    let (_, number) = scene.get();
    scene.peer.quiet();
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(accepted())));
    scene.control_is_closed("amqp:transaction:rollback", &[&format!("{one} rolled back [acquired]")]);
}

#[test]
fn a_link_acquires_in_a_transaction_until_that_is_discharged() {
    // 4.4-01, 4.4.3-02, 4.4.3-03, 4.4.3-06, 4.4-04
    for fail in [false, true] {
        let mut scene = Scene::all();
        let [one, two] = [b"one", b"two"].map(|name| scene.transaction(name));
        scene.peer.send(10, &acquire(7, 0, 10, binary(one)));
        assert_eq!(scene.peer.engine.sender(scene.get).unwrap().acquisition(), Some(one));
        let send = |scene: &mut Scene| {
            let mut sender = scene.peer.engine.sender(scene.get).unwrap();
            let key = sender.begin_delivery(Default::default()).unwrap();
            sender.write(key, vec![7; 3].into()).unwrap();
            sender.finish(key).unwrap();
            told(&mut scene.peer)
        };
        assert_eq!(send(&mut scene), [format!("0 transfer handle 2 id 0 of 3 in {one}")]);
        // A flow that does not speak of it does not change it.
        scene.credit(10);
        assert_eq!(send(&mut scene), [format!("0 transfer handle 2 id 1 of 3 in {one}")]);
        // The engine says so too, when it is asked.
        scene.peer.send(10, &amqp10_codec::Flow { echo: true, ..support::script::credit(7, 0, 10) });
        assert_eq!(told(&mut scene.peer), [format!("0 flow handle 2 count 2 credit 8 acquires in {one}")]);
        // The next transaction takes over.
        scene.peer.send(10, &acquire(7, 0, 10, binary(two)));
        assert_eq!(send(&mut scene), [format!("0 transfer handle 2 id 2 of 3 in {two}")]);
        scene.peer.events();
        let request = scene.discharge(one, fail);
        scene.peer.engine.discharge_accepted(request).unwrap();
        scene.peer.quiet();
        assert_eq!(send(&mut scene), [format!("0 transfer handle 2 id 3 of 3 in {two}")]);
        let request = scene.discharge(two, fail);
        let work = scene.peer.engine.discharge_accepted(request).unwrap();
        assert_eq!(work.iter().map(text_of_work).collect::<Vec<_>>(), ["acquired", "acquired"]);
        scene.peer.quiet();
        assert_eq!(send(&mut scene), ["0 transfer handle 2 id 4 of 3"], "the credit stays");
    }
}

#[test]
fn a_controller_takes_the_transaction_of_a_link_back() {
    // 4.4.3-02
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.send(10, &acquire(7, 0, 10, binary(one)));
    scene.peer.send(10, &acquire(7, 0, 10, Value::Null));
    assert_eq!(scene.peer.engine.sender(scene.get).unwrap().acquisition(), None);
}

#[test]
fn acquisition_right_behind_the_attach() {
    // 4.4.3-02, 4.4.3-04
    for supported in [true, false] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        scene.peer.send(10, &receiver("early", 8));
        let [Event::Link(link, LinkEvent::Incoming)] = scene.peer.events()[..] else { panic!() };
        scene.peer.send(10, &acquire(8, 0, 10, binary(one)));
        let mut config = getting();
        config.transactional_acquisition = supported;
        scene.peer.engine.accept_attach(link, config).unwrap();
        let told = told(&mut scene.peer);
        if supported {
            assert_eq!(scene.peer.engine.sender(link).unwrap().acquisition(), Some(one));
        } else {
            assert_eq!(told.last().unwrap(), "0 detach handle 3 closed amqp:not-implemented");
        }
    }
}

#[test]
fn acquisition_that_cannot_be() {
    // 4.4.3-04, 4.5.4-01
    type Make = fn() -> Value<'static>;
    let cases: [(bool, Make, &str); 4] = [
        (false, || binary(id(b"one")), "amqp:not-implemented"),
        (true, || Value::Ulong(1), "amqp:invalid-field"),
        (true, || Value::Binary(vec![7; 33].into()), "amqp:invalid-field"),
        (true, || binary(id(b"two")), "amqp:transaction:unknown-id"),
    ];
    for (supported, value, condition) in cases {
        let mut scene = Scene::all();
        scene.transaction(b"one");
        let mut config = getting();
        config.transactional_acquisition = supported;
        let link = attach(&mut scene.peer, 10, &receiver("plain", 8), config);
        scene.peer.quiet();
        scene.peer.send(10, &acquire(8, 0, 10, value()));
        assert_eq!(told(&mut scene.peer), [format!("0 detach handle 3 closed {condition}")]);
        let events = of_link(scene.peer.events(), link);
        let [.., LinkEvent::Detached { closed: true, end: Ended::Violation(violation) }] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(violation.condition().as_str(), condition);
    }
}

#[test]
fn an_acquired_delivery_sent_settled_or_not() {
    // 4.4.4.3-01, 4.4.4.3-03, 4.4-03
    for settled in [true, false] {
        for fail in [true, false] {
            let mut scene = Scene::all();
            let one = scene.transaction(b"one");
            scene.peer.send(10, &acquire(7, 0, 10, binary(one)));
            let mut sender = scene.peer.engine.sender(scene.get).unwrap();
            let key = sender.begin_delivery(amqp10_link::DeliveryStart { settled, ..Default::default() }).unwrap();
            sender.finish(key).unwrap();
            let flag = if settled { " settled" } else { "" };
            assert_eq!(told(&mut scene.peer), [format!("0 transfer handle 2 id 0{flag} of 0 in {one}")]);
            if !settled {
                let in_one = within(one, Some(Outcome::Accepted));
                scene.peer.send(10, &state(Role::Receiver, 0, true, Some(in_one)));
            }
            scene.peer.events();
            let request = scene.discharge(one, fail);
            let work = scene.peer.engine.discharge_accepted(request).unwrap();
            let expected = if settled { "acquired settled" } else { "acquired accepted settled" };
            assert_eq!(work.iter().map(text_of_work).collect::<Vec<_>>(), [expected]);
            assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled accepted"]);
        }
    }
}

/// What was acquired is sent in part only when its transaction is discharged: the window is closed.
fn partly_sent(scene: &mut Scene) -> (amqp10_codec::TransactionId, amqp10_link::DeliveryKey) {
    let one = scene.transaction(b"one");
    let window = amqp10_codec::Flow { incoming_window: 1, ..acquire(7, 0, 10, binary(one)) };
    scene.peer.send(10, &window);
    let mut sender = scene.peer.engine.sender(scene.get).unwrap();
    let key = sender.begin_delivery(Default::default()).unwrap();
    sender.write(key, vec![7; 3].into()).unwrap();
    assert_eq!(told(&mut scene.peer), [format!("0 transfer handle 2 id 0 more of 3 in {one}")]);
    scene.peer.events();
    (one, key)
}

/// The peer has room for more.
fn window(scene: &mut Scene) {
    let flow = amqp10_codec::Flow { next_incoming_id: Some(amqp10_codec::TransferNumber(1)), ..flow() };
    scene.peer.send(10, &flow);
}

#[test]
fn a_rollback_waits_until_what_was_acquired_in_part_is_aborted() {
    // 4.4.3-07, 4.4.3-08
    for reject in [false, true] {
        let mut scene = Scene::all();
        let (one, key) = partly_sent(&mut scene);
        let request = scene.discharge(one, !reject);
        let work = if reject {
            scene.peer.engine.reject_request(request, TransactionError::Rollback, "").unwrap()
        } else {
            scene.peer.engine.discharge_accepted(request).unwrap()
        };
        assert_eq!((work.len(), work[0].delivery), (1, key));
        assert_eq!(told(&mut scene.peer), NOTHING, "there is no window for the abort");
        window(&mut scene);
        let answer = if reject { "rejected amqp:transaction:rollback" } else { "accepted" };
        let expected =
            ["0 transfer handle 2 aborted of 0".to_owned(), format!("0 disposition receiver 1 settled {answer}")];
        assert_eq!(told(&mut scene.peer), expected);
        let mut sender = scene.peer.engine.sender(scene.get).unwrap();
        assert!(sender.write(key, vec![7; 3].into()).is_err());
    }
    // The link may end instead.
    let mut scene = Scene::all();
    let (one, _) = partly_sent(&mut scene);
    let request = scene.discharge(one, true);
    scene.peer.engine.discharge_accepted(request).unwrap();
    assert_eq!(told(&mut scene.peer), NOTHING);
    scene.peer.send(10, &detach(7, true));
    assert_eq!(told(&mut scene.peer), ["0 detach handle 2 closed", "0 disposition receiver 1 settled accepted"]);
}

#[test]
fn after_a_commit_the_rest_of_what_was_acquired_in_part_is_sent() {
    // 4.4.3-07
    let mut scene = Scene::all();
    let (one, key) = partly_sent(&mut scene);
    let request = scene.discharge(one, false);
    scene.peer.engine.discharge_accepted(request).unwrap();
    assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled accepted"]);
    let mut sender = scene.peer.engine.sender(scene.get).unwrap();
    sender.write(key, vec![7; 3].into()).unwrap();
    sender.finish(key).unwrap();
    window(&mut scene);
    assert_eq!(told(&mut scene.peer), ["0 transfer handle 2 of 3"]);
}

#[test]
fn what_has_not_begun_to_leave_at_the_discharge_leaves_outside_of_the_transaction() {
    // 4.4.3-06, 4.4-03
    for fail in [false, true] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        scene.peer.send(10, &acquire(7, 0, 10, binary(one)));
        let mut sender = scene.peer.engine.sender(scene.get).unwrap();
        let key = sender.begin_delivery(Default::default()).unwrap();
        sender.write(key, vec![7; 3].into()).unwrap();
        sender.finish(key).unwrap();
        scene.peer.events();
        let request = scene.discharge(one, fail);
        assert_eq!(scene.peer.engine.discharge_accepted(request), Ok(vec![]));
        let expected = ["0 disposition receiver 1 settled accepted", "0 transfer handle 2 id 0 of 3"];
        assert_eq!(told(&mut scene.peer), expected);
    }
}

#[test]
fn work_after_the_end_of_a_session_that_is_not_the_controlling_one() {
    // 4.1-04
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.transfer(11, &post(5, 0, one), b"x");
    scene.peer.send(11, &end());
    assert_eq!(texts(scene.peer.events()), NOTHING, "only the control link counts");
    let request = scene.discharge(one, false);
    assert_eq!(scene.peer.engine.discharge_accepted(request), Err(TransactError::Undecided));
    scene.peer.engine.reject_request(request, TransactionError::Rollback, "").unwrap();
    let _ = scene.one;
}
