//! An engine as the controller of transactions, against a resource that the test plays.

mod support;

use amqp10_codec::{
    Attach, Coordinator, Declared, DeliveryState, Error, ErrorCondition, Outcome, Performative, Rejected, Role,
    SenderSettleMode, TransactionId, TxnCapability, Value,
};
use amqp10_link::{
    CreditMode, DeliveryKey, DeliveryStart, Ended, Event, LinkConfig, LinkEvent, LinkId, SendError, SettleError,
    TransactError, TransactionEnd, TransactionEvent, Violation,
};
use support::Script;
use support::script::*;
use support::work::*;

const NOTHING: [&str; 0] = [];

/// The peer's numbers differ from the engine's.
///
/// | session | ours | peer's | links: ours, peer's |
/// | --- | --- | --- | --- |
/// | `one` | 0 | 10 | control link 0, 5; sender `post` 1, 6; receiver `get` 2, 7 |
/// | `two` | 1 | 11 | sender `other` 0, 5 |
struct Scene {
    peer: Script,
    control: LinkId,
    post: LinkId,
    get: LinkId,
    other: LinkId,
}

/// The answer of a peer with a coordinator.
fn coordinator(handle: u32, capabilities: &[TxnCapability<'static>]) -> Attach<'static> {
    let target = Coordinator { capabilities: capabilities.iter().cloned().collect() };
    Attach { target: Some(target.into()), ..receiver("control", handle) }
}

impl Scene {
    fn new(capabilities: &[TxnCapability<'static>]) -> Self {
        let mut peer = Script::client(support::scene::config(), open());
        let one = peer.engine.begin(support::scene::session_config()).unwrap();
        let two = peer.engine.begin(support::scene::session_config()).unwrap();
        peer.send(10, &answer(0));
        peer.send(11, &answer(1));
        let control = peer.engine.attach(one, LinkConfig::controller("control", EVERYTHING)).unwrap();
        let post = peer.engine.attach(one, support::scene::sending("post")).unwrap();
        let mut getting = support::scene::receiving("get");
        getting.credit = CreditMode::Manual;
        let get = peer.engine.attach(one, getting).unwrap();
        let other = peer.engine.attach(two, support::scene::sending("other")).unwrap();
        peer.send(10, &coordinator(5, capabilities));
        peer.send(10, &receiver("post", 6));
        peer.send(10, &sender("get", 7));
        peer.send(11, &receiver("other", 5));
        peer.send(10, &credit(5, 0, 100));
        peer.send(10, &credit(6, 0, 100));
        peer.send(11, &credit(5, 0, 100));
        peer.quiet();
        Self { peer, control, post, get, other }
    }

    fn all() -> Self {
        Self::new(&EVERYTHING)
    }

    /// The number of the one transfer that the engine has sent.
    fn number(&mut self) -> u32 {
        let frames = self.peer.frames();
        let [.., (0, Performative::Transfer(transfer), _)] = &frames[..] else { panic!("{frames:?}") };
        transfer.delivery_id.unwrap().0
    }

    fn transaction(&mut self, name: &[u8]) -> TransactionId {
        let request = self.peer.engine.declare(self.control, None).unwrap();
        let number = self.number();
        self.peer.send(10, &state(Role::Receiver, number, true, Some(declared(name))));
        let event = TransactionEvent::Declared { request, transaction: id(name) };
        assert_eq!(transactions(self.peer.events()), [event]);
        id(name)
    }

    fn start(&mut self, id: TransactionId, settled: bool) -> Result<DeliveryKey, SendError> {
        let start = DeliveryStart { transaction: Some(id), settled, ..DeliveryStart::default() };
        self.peer.engine.sender(self.post).unwrap().begin_delivery(start)
    }

    /// Posts a message and returns the number of its delivery.
    fn post(&mut self, id: TransactionId, settled: bool) -> (DeliveryKey, u32) {
        let key = self.start(id, settled).unwrap();
        let mut sender = self.peer.engine.sender(self.post).unwrap();
        sender.write(key, vec![7; 3].into()).unwrap();
        sender.finish(key).unwrap();
        (key, self.number())
    }

    /// The peer sends a message.
    fn get(&mut self, number: u32) -> DeliveryKey {
        self.peer.deliver(10, 7, number, b"x");
        self.take()
    }

    fn take(&mut self) -> DeliveryKey {
        self.peer.engine.receiver(self.get).unwrap().next_delivery().unwrap().key
    }

    fn settle(&mut self, key: DeliveryKey, state: DeliveryState<'static>, settled: bool) -> Result<(), SettleError> {
        self.peer.engine.receiver(self.get).unwrap().settle(key, state, settled)
    }

    fn grant(&mut self, credit: u32) {
        self.peer.engine.receiver(self.get).unwrap().set_credit(credit);
        self.peer.quiet();
    }

    /// Another receiver, `early`, whose attach the peer has not answered yet.
    fn attach_early(&mut self) -> LinkId {
        let mut getting = support::scene::receiving("early");
        getting.credit = CreditMode::Manual;
        let session = self.peer.engine.session_of(self.get).unwrap();
        self.peer.engine.attach(session, getting).unwrap()
    }

    /// Asks for a discharge and lets the peer answer it.
    fn discharge(&mut self, id: TransactionId, fail: bool, answer: DeliveryState<'static>) -> Vec<String> {
        self.peer.engine.discharge(id, fail).unwrap();
        let number = self.number();
        self.peer.send(10, &state(Role::Receiver, number, true, Some(answer)));
        texts(self.peer.events())
    }

    fn outcomes(&mut self) -> Vec<String> {
        let mut sender = self.peer.engine.sender(self.post).unwrap();
        let told = std::iter::from_fn(|| sender.next_outcome()).map(|outcome| {
            let state = outcome.state.as_ref().map_or("nothing".to_owned(), text_of_state);
            assert_eq!(outcome.transaction().is_some(), state.starts_with("in"));
            format!("{state}{}", if outcome.settled { " settled" } else { "" })
        });
        told.collect()
    }
}

fn declared(name: &[u8]) -> DeliveryState<'static> {
    DeliveryState::Declared(Box::new(Declared { txn_id: id(name) }))
}

fn rejected() -> DeliveryState<'static> {
    let error = Error::new(ErrorCondition::TRANSACTION_ROLLBACK, "it broke");
    DeliveryState::Rejected(Box::new(Rejected { error: Some(error) }))
}

#[test]
fn an_outcome_that_crosses_our_detach_is_within_a_transaction_that_is_over() {
    let mut scene = Scene::all();
    let transaction = scene.transaction(b"one");
    let (_, number) = scene.post(transaction, false);
    scene.peer.engine.detach(scene.post, false, None);
    scene.peer.engine.detach(scene.control, false, None);
    assert_eq!(scene.peer.told(), ["0 detach handle 1", "0 detach handle 0"]);
    scene.peer.quiet();
    // The peer has seen neither.
    let accepted = within(transaction, Some(Outcome::Accepted));
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(accepted)));
    assert_eq!(scene.peer.told(), NOTHING, "our detach is out already");
    scene.peer.send(10, &detach(6, false));
    scene.peer.send(10, &detach(5, false));
    assert_eq!(scene.peer.told(), NOTHING);
    let ended = |event: &Event| matches!(event, Event::Link(_, LinkEvent::Detached { end: Ended::Local, .. }));
    assert_eq!(scene.peer.events().iter().filter(|event| ended(event)).count(), 2);
}

#[test]
fn a_control_link_is_attached() {
    // 4.1-01, 4.2-01, 4.2-10, 4.5.1-02
    let mut peer = Script::client(support::scene::config(), open());
    let session = peer.engine.begin(support::scene::session_config()).unwrap();
    peer.send(10, &answer(0));
    peer.quiet();
    let wanted = [TxnCapability::DISTRIBUTED_TRANSACTIONS];
    let mut config = LinkConfig::controller("control", wanted.clone());
    // A control link has nothing to resume.
    config.terminus = Some(amqp10_link::Terminus { unsettled: vec![amqp10_link::UnsettledDelivery::new(tag(7))] });
    let control = peer.engine.attach(session, config).unwrap();
    let frames = peer.frames();
    let [(0, Performative::Attach(attach), _)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(attach.role, Role::Sender);
    assert_eq!(attach.target.as_ref().unwrap().as_coordinator().unwrap().capabilities[..], wanted);
    let outcomes = &attach.source.as_ref().unwrap().as_source().unwrap().outcomes;
    assert!(outcomes.iter().any(|outcome| outcome.as_str() == "amqp:rejected:list"));
    assert_eq!(attach.unsettled, None);
    assert_eq!(peer.engine.declare(control, None), Err(TransactError::NotControl), "it is not attached yet");
    // The application sees what the coordinator can do, and leaves.
    peer.send(10, &coordinator(5, &[TxnCapability::LOCAL_TRANSACTIONS]));
    let remote = peer.engine.remote_attach(control).unwrap();
    let capabilities = &remote.target.as_ref().unwrap().as_coordinator().unwrap().capabilities;
    assert!(!capabilities.contains(&TxnCapability::DISTRIBUTED_TRANSACTIONS));
    peer.engine.detach(control, true, None);
    assert_eq!(peer.told(), ["0 detach handle 0 closed"]);
}

#[test]
fn requests_are_messages_of_one_value_and_unsettled() {
    // 4.2-02, 4.2-04, 4.3-01, 4.3-02, 4.4.1-01
    let mut scene = Scene::all();
    let seen = |scene: &mut Scene| {
        let frames = scene.peer.frames();
        let [(0, Performative::Transfer(transfer), payload)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((transfer.handle.0, transfer.settled, transfer.state.as_ref()), (0, None, None));
        (transfer.delivery_id.unwrap().0, payload.clone())
    };
    scene.peer.engine.declare(scene.control, None).unwrap();
    let (number, payload) = seen(&mut scene);
    assert_eq!(payload, [0x00, 0x53, 0x77, 0x00, 0x53, 0x31, 0x45]);
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(declared(b"1"))));
    for fail in [false, true] {
        scene.peer.engine.discharge(id(b"1"), fail).unwrap();
        let (number, payload) = seen(&mut scene);
        let octet = if fail { 0x41 } else { 0x42 };
        assert_eq!(payload, [0x00, 0x53, 0x77, 0x00, 0x53, 0x32, 0xc0, 5, 2, 0xa0, 1, b'1', octet]);
        scene.peer.send(10, &state(Role::Receiver, number, true, Some(DeliveryState::Accepted)));
        scene.peer.events();
        if !fail {
            scene.transaction(b"1");
        }
    }
}

#[test]
fn requests_are_unsettled_whatever_the_link_is_configured_for() {
    // 4.2-04, 4.3-02
    for mode in [SenderSettleMode::Mixed, SenderSettleMode::Settled, SenderSettleMode::Unsettled] {
        let mut scene = Scene::all();
        let mut config = LinkConfig::controller("another", EVERYTHING);
        config.snd_settle_mode = mode;
        let session = scene.peer.engine.session_of(scene.get).unwrap();
        scene.control = scene.peer.engine.attach(session, config).unwrap();
        let frames = scene.peer.frames();
        let [(0, Performative::Attach(attach), _)] = &frames[..] else { panic!("{frames:?}") };
        assert_ne!(attach.snd_settle_mode, SenderSettleMode::Settled);
        scene.peer.send(10, &Attach { name: "another".into(), ..coordinator(9, &EVERYTHING) });
        scene.peer.send(10, &credit(9, 0, 100));
        scene.peer.quiet();
        let request = scene.peer.engine.declare(scene.control, None).unwrap();
        assert_eq!(told(&mut scene.peer), ["0 transfer handle 3 id 0 of 7"], "{mode:?}");
        scene.peer.send(10, &state(Role::Receiver, 0, true, Some(declared(b"1"))));
        let transaction = id(b"1");
        assert_eq!(transactions(scene.peer.events()), [TransactionEvent::Declared { request, transaction }]);
        scene.peer.engine.discharge(transaction, false).unwrap();
        assert_eq!(told(&mut scene.peer), ["0 transfer handle 3 id 1 of 13"], "{mode:?}");
    }
}

#[test]
fn requests_need_credit() {
    // 4.2-11
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.send(10, &credit(5, 1, 1));
    scene.peer.engine.declare(scene.control, None).unwrap();
    assert_eq!(scene.peer.engine.declare(scene.control, None), Err(TransactError::NoCredit));
    assert_eq!(scene.peer.engine.discharge(one, false), Err(TransactError::NoCredit));
    // Nothing has happened to it.
    scene.start(one, false).unwrap();
}

#[test]
fn nothing_else_is_sent_on_a_control_link() {
    // 4.1-02
    let mut scene = Scene::all();
    let mut sender = scene.peer.engine.sender(scene.control).unwrap();
    assert_eq!(sender.begin_delivery(DeliveryStart::default()), Err(SendError::ControlLink));
    assert_eq!(scene.peer.engine.declare(scene.post, None), Err(TransactError::NotControl));
    assert_eq!(scene.peer.engine.declare(scene.get, None), Err(TransactError::NotControl));
}

#[test]
fn no_work_before_the_transaction_is_declared_or_after_it_is_discharged() {
    // 4.2-12
    let mut scene = Scene::all();
    scene.peer.engine.declare(scene.control, None).unwrap();
    let number = scene.number();
    scene.grant(10);
    let key = scene.get(0);
    let one = id(b"one");
    let refused = |scene: &mut Scene| {
        assert_eq!(scene.start(one, false), Err(SendError::UnknownTransaction));
        let settled = scene.settle(key, within(one, Some(Outcome::Accepted)), true);
        assert_eq!(settled, Err(SettleError::UnknownTransaction));
        let acquired = scene.peer.engine.receiver(scene.get).unwrap().acquire(one);
        assert_eq!(acquired, Err(TransactError::UnknownTransaction));
        assert_eq!(scene.peer.engine.discharge(one, false), Err(TransactError::UnknownTransaction));
        assert_eq!(told(&mut scene.peer), NOTHING);
    };
    refused(&mut scene);
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(declared(b"one"))));
    scene.peer.engine.discharge(one, false).unwrap();
    let number = scene.number();
    refused(&mut scene);
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(DeliveryState::Accepted)));
    refused(&mut scene);
}

#[test]
fn every_transfer_of_a_post_names_its_transaction() {
    // 4.4.1-01, 4.4.1-02, 4.4-02, 4.5.6-03
    for settled in [false, true] {
        let mut scene = Scene::all();
        let one = scene.transaction(b"one");
        let key = scene.start(one, settled).unwrap();
        let mut sender = scene.peer.engine.sender(scene.post).unwrap();
        let flag = if settled { " settled" } else { "" };
        for (at, more) in [(0, true), (1, true), (2, false)] {
            sender.write(key, vec![7; 3].into()).unwrap();
            if !more {
                sender.finish(key).unwrap();
            }
            let number = if at == 0 { " id 1" } else { "" };
            let more = if more { " more" } else { "" };
            let expected = format!("0 transfer handle 1{number}{flag}{more} of 3 in {one}");
            assert_eq!(told(&mut scene.peer), [expected]);
            sender = scene.peer.engine.sender(scene.post).unwrap();
        }
        // What is sent otherwise names none.
        let plain = sender.begin_delivery(DeliveryStart::default()).unwrap();
        sender.finish(plain).unwrap();
        assert_eq!(told(&mut scene.peer), ["0 transfer handle 1 id 2 of 0"]);
    }
}

#[test]
fn a_post_in_the_smallest_frames() {
    // 4.4.1-02
    let mut peer = Script::client(support::scene::config(), amqp10_codec::Open { max_frame_size: 512, ..open() });
    let session = peer.engine.begin(support::scene::session_config()).unwrap();
    peer.send(10, &answer(0));
    let control = peer.engine.attach(session, LinkConfig::controller("control", EVERYTHING)).unwrap();
    let post = peer.engine.attach(session, support::scene::sending("post")).unwrap();
    peer.send(10, &coordinator(5, &EVERYTHING));
    peer.send(10, &receiver("post", 6));
    peer.send(10, &credit(5, 0, 1));
    peer.send(10, &credit(6, 0, 1));
    peer.engine.declare(control, None).unwrap();
    let widest = [7; 32];
    peer.frames();
    peer.send(10, &state(Role::Receiver, 0, true, Some(declared(&widest))));
    let mut sender = peer.engine.sender(post).unwrap();
    let tag = amqp10_codec::DeliveryTag::new(&widest).unwrap();
    let start = DeliveryStart { tag: Some(tag), transaction: Some(id(&widest)), settled: true, ..Default::default() };
    let key = sender.begin_delivery(start).unwrap();
    sender.write(key, vec![7; 2_000].into()).unwrap();
    sender.finish(key).unwrap();
    // The script bears no frame of more than 512 octets.
    let frames = peer.frames();
    assert!(frames.len() > 4);
    for (_, performative, _) in frames {
        let Performative::Transfer(transfer) = performative else { panic!() };
        assert_eq!(transfer.state, Some(within(id(&widest), None)));
    }
}

#[test]
fn a_transaction_is_not_discharged_while_work_of_it_has_not_left() {
    // 4.4.1-03
    let finishes: [fn(&mut Scene, DeliveryKey); 2] = [
        |scene, key| scene.peer.engine.sender(scene.post).unwrap().finish(key).unwrap(),
        |scene, key| scene.peer.engine.sender(scene.post).unwrap().abort(key).unwrap(),
    ];
    for begun in [true, false] {
        for finish in finishes {
            for fail in [true, false] {
                let mut scene = Scene::all();
                let one = scene.transaction(b"one");
                let key = scene.start(one, false).unwrap();
                if begun {
                    scene.peer.engine.sender(scene.post).unwrap().write(key, vec![7; 3].into()).unwrap();
                    scene.peer.quiet();
                }
                assert_eq!(scene.peer.engine.discharge(one, fail), Err(TransactError::Unfinished));
                finish(&mut scene, key);
                scene.peer.quiet();
                scene.peer.engine.discharge(one, fail).unwrap();
            }
        }
    }
}

#[test]
fn outcomes_within_a_transaction() {
    // 4.4.2-01, 4.4.2-03, 4.4-02, 4.5.6-02
    let mut scene = Scene::all();
    let [one, two] = [b"one", b"two"].map(|name| scene.transaction(name));
    scene.grant(10);
    let keys = [0, 1, 2, 3].map(|number| scene.get(number));
    scene.peer.quiet();
    let in_one = || within(one, Some(Outcome::Accepted));
    for key in keys {
        scene.settle(key, in_one(), key == keys[3]).unwrap();
    }
    let expected = [
        format!("0 disposition receiver 0 to 2 in {one} accepted"),
        format!("0 disposition receiver 3 settled in {one} accepted"),
    ];
    assert_eq!(told(&mut scene.peer), expected);
    assert_eq!(scene.settle(keys[0], within(two, None), false), Err(SettleError::WrongTransaction));
    // An outcome of a delivery that is part of a transaction stays within that.
    scene.settle(keys[1], DeliveryState::Released, false).unwrap();
    assert_eq!(told(&mut scene.peer), [format!("0 disposition receiver 1 in {one} released")]);
    let work: Vec<_> = scene.peer.engine.work(one).iter().map(text_of_work).collect();
    assert_eq!(work, ["retired accepted", "retired released", "retired accepted", "retired accepted settled"]);
    // After a rollback they can be given another one: in another transaction, or in none.
    let ended = scene.discharge(one, true, DeliveryState::Accepted);
    assert_eq!(ended, [format!("{one} rolled back [{}]", work.join(", "))]);
    scene.settle(keys[0], within(two, Some(Outcome::Accepted)), true).unwrap();
    scene.settle(keys[1], DeliveryState::Accepted, true).unwrap();
    let expected = [
        format!("0 disposition receiver 0 settled in {two} accepted"),
        "0 disposition receiver 1 settled accepted".into(),
    ];
    assert_eq!(told(&mut scene.peer), expected);
}

#[test]
fn acquisition() {
    // 4.4.3-01, 4.4.3-05, 4.4.4.3-02
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let mut end = scene.peer.engine.receiver(scene.get).unwrap();
    end.acquire(one).unwrap();
    end.set_credit(3);
    assert_eq!(told(&mut scene.peer), [format!("0 flow handle 2 count 0 credit 3 acquires in {one}")]);
    assert_eq!(scene.peer.engine.discharge(one, false), Err(TransactError::CreditOutstanding));
    for number in [0, 1] {
        scene.peer.transfer(10, &post(7, number, one), b"x");
    }
    let mut end = scene.peer.engine.receiver(scene.get).unwrap();
    let first = end.next_delivery().unwrap();
    let second = end.next_delivery().unwrap();
    assert!(first.transactional);
    assert_eq!(end.transaction(first.key), Some(one));
    let other = within(id(b"two"), Some(Outcome::Accepted));
    assert_eq!(scene.settle(first.key, other, true), Err(SettleError::WrongTransaction));
    scene.settle(first.key, DeliveryState::Accepted, true).unwrap();
    assert_eq!(told(&mut scene.peer), [format!("0 disposition receiver 0 settled in {one} accepted")]);
    let mut end = scene.peer.engine.receiver(scene.get).unwrap();
    end.drain();
    assert_eq!(told(&mut scene.peer), ["0 flow handle 2 count 2 credit 1 drain"]);
    assert_eq!(scene.peer.engine.discharge(one, false), Err(TransactError::CreditOutstanding));
    scene.peer.send(10, &amqp10_codec::Flow { drain: true, ..credit(7, 3, 0) });
    scene.peer.events();
    let ended = scene.discharge(one, false, DeliveryState::Accepted);
    assert_eq!(ended, [format!("{one} committed [acquired accepted settled, acquired]")]);
    // What comes after it is in none, and what was acquired is settled as it is.
    scene.settle(second.key, DeliveryState::Accepted, true).unwrap();
    assert_eq!(told(&mut scene.peer), ["0 disposition receiver 1 settled accepted"]);
}

#[test]
fn acquisition_before_the_link_is_attached() {
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let early = scene.attach_early();
    let mut receiver = scene.peer.engine.receiver(early).unwrap();
    receiver.acquire(one).unwrap();
    receiver.set_credit(2);
    scene.peer.quiet();
    scene.peer.send(10, &sender("early", 9));
    assert_eq!(scene.peer.events(), [Event::Link(early, LinkEvent::Attached)]);
    assert_eq!(told(&mut scene.peer), ["0 flow handle 3 count 0 credit 2 acquires in 6f6e65"]);
    assert_eq!(scene.peer.engine.discharge(one, false), Err(TransactError::CreditOutstanding));
}

#[test]
fn acquisition_is_not_asked_for_once_its_transaction_is_discharged() {
    // 4.4.3-01
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let early = scene.attach_early();
    for link in [early, scene.get] {
        scene.peer.engine.receiver(link).unwrap().acquire(one).unwrap();
    }
    let ended = scene.discharge(one, false, DeliveryState::Accepted);
    assert_eq!(ended, [format!("{one} committed []")]);
    scene.peer.send(10, &sender("early", 9));
    for link in [early, scene.get] {
        scene.peer.engine.receiver(link).unwrap().set_credit(2);
    }
    assert_eq!(told(&mut scene.peer), NOTHING, "no flow that asks for it");
}

#[test]
fn nothing_is_acquired_on_a_control_link() {
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.send(10, &controller("theirs", 9, &[]));
    let [Event::Link(theirs, LinkEvent::Incoming)] = scene.peer.events()[..] else { panic!() };
    scene.peer.engine.accept_attach(theirs, LinkConfig::coordinator(EVERYTHING)).unwrap();
    scene.peer.quiet();
    let mut receiver = scene.peer.engine.receiver(theirs).unwrap();
    assert_eq!(receiver.acquire(one), Err(TransactError::UnknownTransaction));
    receiver.set_credit(3);
    assert_eq!(told(&mut scene.peer), NOTHING);
}

#[test]
fn what_is_acquired_in_a_transaction_that_has_just_ended_is_no_fault() {
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let mut end = scene.peer.engine.receiver(scene.get).unwrap();
    end.acquire(one).unwrap();
    end.set_credit(3);
    scene.peer.quiet();
    scene.peer.engine.detach(scene.control, true, None);
    scene.peer.quiet();
    scene.peer.transfer(10, &post(7, 0, one), b"crossed our detach");
    assert_eq!(told(&mut scene.peer), NOTHING);
    let mut receiver = scene.peer.engine.receiver(scene.get).unwrap();
    let delivery = receiver.next_delivery().unwrap();
    assert!(delivery.transactional);
    assert_eq!(receiver.transaction(delivery.key), None);
}

#[test]
fn answers() {
    // 4.2-06, 4.2-07, 4.3-04
    let cases: [(DeliveryState<'static>, &[&str]); 4] = [
        (declared(b"1"), &["declared 31"]),
        (rejected(), &["not declared: amqp:transaction:rollback"]),
        (DeliveryState::Rejected(Box::default()), &["not declared"]),
        (DeliveryState::Accepted, &["not declared"]),
    ];
    for settled in [true, false] {
        for (answer, expected) in &cases {
            let mut scene = Scene::all();
            scene.peer.engine.declare(scene.control, None).unwrap();
            let number = scene.number();
            // What is no outcome is no answer.
            let received = DeliveryState::Received(amqp10_codec::Received { section_number: 0, section_offset: 0 });
            scene.peer.send(10, &state(Role::Receiver, number, false, Some(received)));
            assert_eq!(scene.peer.events(), []);
            scene.peer.send(10, &state(Role::Receiver, number, settled, Some(answer.clone())));
            assert_eq!(texts(scene.peer.events()), *expected);
            let confirmed = format!("0 disposition sender {number} settled");
            assert_eq!(told(&mut scene.peer), if settled { vec![] } else { vec![confirmed] });
            // It is answered once.
            scene.peer.send(10, &state(Role::Receiver, number, true, Some(answer.clone())));
            assert_eq!(scene.peer.events(), []);
            assert!(scene.peer.engine.sender(scene.control).unwrap().unsettled().is_empty());
        }
        let cases: [(bool, DeliveryState<'static>, &str); 6] = [
            (false, DeliveryState::Accepted, "31 committed []"),
            (true, DeliveryState::Accepted, "31 rolled back []"),
            (false, rejected(), "31 rolled back: amqp:transaction:rollback []"),
            (true, rejected(), "31 rolled back: amqp:transaction:rollback []"),
            (false, DeliveryState::Released, "31 in doubt []"),
            (true, DeliveryState::Released, "31 rolled back []"),
        ];
        for (fail, answer, expected) in cases {
            let mut scene = Scene::all();
            let one = scene.transaction(b"1");
            assert_eq!(scene.discharge(one, fail, answer), [expected]);
        }
    }
}

#[test]
fn provisional_outcomes_and_final_ones() {
    // 4.4.4.1-08, 4.5.6-02, 4.4.1-06
    for resource_settles in [true, false] {
        for commits in [true, false] {
            let mut scene = Scene::all();
            let one = scene.transaction(b"one");
            let (_, number) = scene.post(one, false);
            let provisional = within(one, Some(Outcome::Accepted));
            scene.peer.send(10, &state(Role::Receiver, number, resource_settles, Some(provisional)));
            let settled = if resource_settles { " settled" } else { "" };
            assert_eq!(scene.outcomes(), [format!("in {one} accepted{settled}")]);
            let end = if commits { "committed" } else { "rolled back" };
            let ended = scene.discharge(one, !commits, DeliveryState::Accepted);
            assert_eq!(ended, [format!("{one} {end} [posted accepted{settled}]")]);
            if resource_settles {
                assert_eq!(told(&mut scene.peer), NOTHING);
                assert_eq!(scene.outcomes(), NOTHING);
            } else {
                assert_eq!(told(&mut scene.peer), [format!("0 disposition sender {number} settled")]);
                assert_eq!(scene.outcomes(), [if commits { "accepted settled" } else { "nothing settled" }]);
            }
            assert!(scene.peer.engine.sender(scene.post).unwrap().unsettled().is_empty());
            // The final outcome of the resource may have crossed that.
            scene.peer.send(10, &state(Role::Receiver, number, false, Some(DeliveryState::Accepted)));
            assert_eq!(scene.outcomes(), NOTHING);
        }
    }
}

#[test]
fn the_controller_settles_before_the_discharge() {
    // 4.4-02
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let (key, number) = scene.post(one, false);
    scene.peer.engine.sender(scene.post).unwrap().settle(key, None).unwrap();
    assert_eq!(told(&mut scene.peer), [format!("0 disposition sender {number} settled")]);
    assert_eq!(scene.discharge(one, false, DeliveryState::Accepted), [format!("{one} committed [posted settled]")]);
    assert_eq!(scene.outcomes(), NOTHING);
}

#[test]
fn the_end_of_the_control_link_ends_its_transactions() {
    // 4.1-04, 4.4.2-07
    type Step = fn(&mut Scene);
    let ends: [(Step, &str); 5] = [
        (|scene| scene.peer.send(10, &detach(5, true)), ""),
        (
            |scene| {
                let error = Some(Error::new(ErrorCondition::TRANSACTION_TIMEOUT, "too slow"));
                scene.peer.send(10, &amqp10_codec::Detach { error, ..detach(5, true) });
            },
            ": amqp:transaction:timeout",
        ),
        (|scene| scene.peer.send(10, &end()), ""),
        (|scene| scene.peer.send(0, &close()), ""),
        (|scene| scene.peer.engine.handle_eof(scene.peer.now), ""),
    ];
    for (end, text) in ends {
        let mut scene = Scene::all();
        let [one, two, three] = [b"1", b"2", b"3"].map(|name| scene.transaction(name));
        scene.post(one, false);
        scene.peer.engine.discharge(two, false).unwrap();
        scene.peer.engine.discharge(three, true).unwrap();
        scene.peer.quiet();
        let asked = scene.peer.engine.declare(scene.control, None).unwrap();
        scene.peer.quiet();
        end(&mut scene);
        let events = scene.peer.events();
        let expected = [
            format!("31 rolled back{text} [posted]"),
            "32 in doubt []".to_owned(),
            format!("33 rolled back{text} []"),
            format!("not declared{text}"),
        ];
        assert_eq!(texts(events.clone()), expected);
        let last = transactions(events).pop();
        assert!(matches!(last, Some(TransactionEvent::NotDeclared { request, .. }) if request == asked));
        assert_eq!(scene.peer.engine.declare(scene.control, None), Err(TransactError::NotControl));
        assert!(scene.start(one, false).is_err());
    }
}

#[test]
fn a_discharge_that_never_left_is_not_in_doubt() {
    // 4.1-04
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    // There is credit but no window.
    scene.peer.send(10, &amqp10_codec::Flow { incoming_window: 0, ..flow() });
    scene.peer.engine.discharge(one, false).unwrap();
    scene.peer.quiet();
    scene.peer.send(10, &detach(5, true));
    assert_eq!(texts(scene.peer.events()), [format!("{one} rolled back []")]);
}

#[test]
fn a_control_link_that_we_close_while_a_commit_is_under_way() {
    // 4.1-04
    for answered in [true, false] {
        let mut scene = Scene::all();
        let [one, two] = [b"1", b"2"].map(|name| scene.transaction(name));
        scene.peer.engine.discharge(one, false).unwrap();
        let number = scene.number();
        scene.peer.engine.detach(scene.control, true, None);
        assert_eq!(texts(scene.peer.events()), [format!("{two} rolled back []")], "at once");
        if answered {
            scene.peer.send(10, &state(Role::Receiver, number, true, Some(DeliveryState::Accepted)));
        }
        scene.peer.send(10, &detach(5, true));
        let end = if answered { "committed" } else { "in doubt" };
        assert_eq!(texts(scene.peer.events()), [format!("{one} {end} []")]);
    }
}

#[test]
fn a_declare_that_is_answered_when_we_have_closed_the_control_link() {
    // 4.1-05
    let mut scene = Scene::all();
    scene.peer.engine.declare(scene.control, None).unwrap();
    let number = scene.number();
    scene.peer.engine.detach(scene.control, true, None);
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(declared(b"one"))));
    assert_eq!(texts(scene.peer.events()), ["not declared"]);
    assert_eq!(scene.start(id(b"one"), false), Err(SendError::UnknownTransaction));
}

#[test]
fn what_has_not_left_when_the_control_link_ends_is_taken_back() {
    // 4.1-05
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let begun = scene.start(one, false).unwrap();
    scene.peer.engine.sender(scene.post).unwrap().write(begun, vec![7; 3].into()).unwrap();
    scene.peer.quiet();
    let waiting = scene.start(one, false).unwrap();
    scene.peer.engine.sender(scene.post).unwrap().finish(waiting).unwrap();
    scene.peer.send(10, &detach(5, true));
    assert_eq!(texts(scene.peer.events()), [format!("{one} rolled back [posted, posted]")]);
    assert_eq!(told(&mut scene.peer), ["0 detach handle 0 closed", "0 transfer handle 1 aborted of 0"]);
    let mut sender = scene.peer.engine.sender(scene.post).unwrap();
    assert_eq!(sender.write(begun, vec![7; 3].into()), Err(SendError::Unknown));
    assert!(sender.unsettled().is_empty());
    assert_eq!(scene.outcomes(), ["nothing settled", "nothing settled"]);
    let mut sender = scene.peer.engine.sender(scene.post).unwrap();
    let plain = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.finish(plain).unwrap();
    assert_eq!(told(&mut scene.peer).len(), 1, "others go on");
}

#[test]
fn work_on_another_session_needs_the_capability() {
    // 4.1-03
    for permitted in [true, false] {
        let capabilities = if permitted { &EVERYTHING[..] } else { &EVERYTHING[..3] };
        let mut scene = Scene::new(capabilities);
        let one = scene.transaction(b"one");
        let start = DeliveryStart { transaction: Some(one), ..DeliveryStart::default() };
        let begun = scene.peer.engine.sender(scene.other).unwrap().begin_delivery(start);
        assert_eq!(begun.is_ok(), permitted);
        if !permitted {
            assert_eq!(begun, Err(SendError::UnknownTransaction));
        }
    }
}

#[test]
fn a_global_id_needs_the_capability() {
    // 4.5.2-03
    for permitted in [true, false] {
        let capabilities = if permitted { &EVERYTHING[..] } else { &EVERYTHING[..1] };
        let mut scene = Scene::new(capabilities);
        let asked = scene.peer.engine.declare(scene.control, Some(Value::Ulong(7)));
        if permitted {
            asked.unwrap();
            let frames = scene.peer.frames();
            assert_eq!(frames[0].2, [0x00, 0x53, 0x77, 0x00, 0x53, 0x31, 0xc0, 3, 1, 0x53, 7]);
        } else {
            assert_eq!(asked, Err(TransactError::NotDistributed));
            assert_eq!(told(&mut scene.peer), NOTHING);
        }
    }
}

#[test]
fn a_coordinator_that_declares_a_live_transaction_anew() {
    // 4.5.2-04
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.engine.declare(scene.control, None).unwrap();
    let number = scene.number();
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(declared(b"one"))));
    assert_eq!(told(&mut scene.peer), ["0 detach handle 0 closed amqp:invalid-field"]);
    let events = scene.peer.events();
    assert_eq!(texts(events.clone()), ["not declared".to_owned(), format!("{one} rolled back []")]);
    let end = Ended::Violation(Violation::TransactionInUse);
    assert_eq!(of_link(events, scene.control), [LinkEvent::Detached { closed: true, end }]);
}

#[test]
fn an_outcome_in_another_transaction_than_the_post() {
    // 4.4-03
    let mut scene = Scene::all();
    let [one, two] = [b"one", b"two"].map(|name| scene.transaction(name));
    let (_, number) = scene.post(one, false);
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(within(two, Some(Outcome::Accepted)))));
    assert_eq!(told(&mut scene.peer), ["0 detach handle 1 closed amqp:invalid-field"]);
    let end = Ended::Violation(Violation::ForeignTransaction);
    assert_eq!(of_link(scene.peer.events(), scene.post), [LinkEvent::Detached { closed: true, end }]);
}

#[test]
fn retirement_on_another_session_leaves_before_the_discharge() {
    // 4.4-02
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    let two = scene.peer.engine.session_of(scene.other).unwrap();
    let link = scene.peer.engine.attach(two, support::scene::receiving("far")).unwrap();
    scene.peer.send(11, &sender("far", 6));
    scene.peer.quiet();
    scene.peer.deliver(11, 6, 0, b"x");
    let mut receiver = scene.peer.engine.receiver(link).unwrap();
    let key = receiver.next_delivery().unwrap().key;
    receiver.settle(key, within(one, Some(Outcome::Accepted)), true).unwrap();
    scene.peer.engine.discharge(one, false).unwrap();
    // Even if the session of the control link is flushed first.
    scene.peer.engine.detach(scene.control, true, None);
    let told = told(&mut scene.peer);
    assert_eq!(told[0], format!("1 disposition receiver 0 settled in {one} accepted"));
    assert!(told[1].starts_with("0 transfer handle 0") && told[2].starts_with("0 detach handle 0"), "{told:?}");
}

#[test]
fn ends_are_told_as_types() {
    // 4.3-03
    let mut scene = Scene::all();
    let one = scene.transaction(b"one");
    scene.peer.engine.discharge(one, false).unwrap();
    let number = scene.number();
    scene.peer.send(10, &state(Role::Receiver, number, true, Some(DeliveryState::Accepted)));
    let event = TransactionEvent::Ended { transaction: one, end: TransactionEnd::Committed, work: vec![] };
    assert_eq!(scene.peer.events(), [Event::Transaction(scene.control, Box::new(event))]);
}
