//! Work in transactions of which an engine is the resource: posted, retired, acquired.

mod support;

use amqp10_codec::{Disposition, Outcome, Role, Transfer, TxnCapability, Value};
use amqp10_link::{Ended, Event, LinkEvent, SettleError, TransactError, TransactionError};
use support::resource::*;
use support::script::*;
use support::work::*;

const NOTHING: [&str; 0] = [];

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
