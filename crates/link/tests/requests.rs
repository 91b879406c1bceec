//! What a controller asks of an engine that is the resource of transactions, and the control link on which it does.

mod support;

use amqp10_codec::{
    Declare, Encode, Error, ErrorCondition, Header, Map, Outcome, Performative, Properties, Role, Symbol, Transfer,
    TxnCapability, Value,
};
use amqp10_link::{CommandError, Ended, Event, LinkEvent, TransactError, TransactionError, TransactionEvent};
use support::resource::*;
use support::script::*;
use support::work::*;

const NOTHING: [&str; 0] = [];

#[test]
fn a_declare_is_answered_with_an_id() {
    // 4.2-03, 4.2-06, 4.2-11, 4.5.2-04, 0.2-06
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
    // 4.5.1-03, 0.2-06
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
