//! Transfers that come in: ids, tags, pieces, aborts, sizes, credit.

mod support;

use amqp10_codec::{DeliveryNumber, DeliveryState, DeliveryTag, MessageFormat, Role, Transfer};
use amqp10_link::{CreditMode, Delivery, Ended, Event, LinkEvent, Replenish, SettleError, Violation};
use support::Wire;
use support::scene::{CREDIT, MAX_MESSAGE_SIZE, Scene, receiving, refused_connection, refused_link};
use support::script::*;

const NOTHING: [&str; 0] = [];
const WIRES: [Wire; 2] = [Wire::Whole, Wire::Octets];

fn more(transfer: Transfer<'_>) -> Transfer<'_> {
    Transfer { more: true, ..transfer }
}

/// Takes every whole delivery of link `a`.
fn take(scene: &mut Scene) -> Vec<Delivery> {
    let mut receiver = scene.peer.engine.receiver(scene.a).unwrap();
    std::iter::from_fn(|| receiver.next_delivery()).collect()
}

fn payloads(scene: &mut Scene) -> Vec<Vec<u8>> {
    take(scene).into_iter().map(|delivery| delivery.payload.into_bytes().to_vec()).collect()
}

#[test]
fn h20_transfers_without_credit() {
    // 2.6.7-12, 2.6.5-01, 2.6.5-02, 2.6.5-03, 2.8.18-02
    let limit = "amqp:link:transfer-limit-exceeded";
    refused_link(limit, |scene| {
        for id in 0..CREDIT {
            scene.peer.deliver(10, 5, id, b"x");
        }
        scene.peer.quiet();
        scene.peer.deliver(10, 5, CREDIT, b"x");
    });
    // Also if it begins a delivery of several transfers, or is settled, or aborted.
    for last in [more(first(5, CREDIT)), Transfer { settled: Some(true), ..first(5, CREDIT) }] {
        refused_link(limit, |scene| {
            for id in 0..CREDIT {
                scene.peer.deliver(10, 5, id, b"x");
            }
            scene.peer.quiet();
            scene.peer.transfer(10, &last, b"x");
        });
    }
}

#[test]
fn h20_a_transfer_without_any_credit_ever() {
    let mut scene = Scene::new(Wire::Whole);
    let mut manual = receiving("manual");
    manual.credit = CreditMode::Manual;
    let link = scene.peer.engine.attach(scene.one, manual).unwrap();
    scene.peer.send(10, &sender("manual", 8));
    scene.peer.quiet();
    scene.peer.deliver(10, 8, 0, b"x");
    assert_eq!(scene.peer.told(), ["0 detach handle 3 closed amqp:link:transfer-limit-exceeded"]);
    let end = Ended::Violation(Violation::TransferLimitExceeded);
    assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Detached { closed: true, end })]);
    scene.session_one_works();
}

#[test]
fn h20_credit_larger_than_any_queue() {
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.engine.receiver(scene.a).unwrap().set_credit(u32::MAX);
    assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 4294967295"]);
    for id in 0..5_000 {
        scene.peer.deliver(10, 5, id, b"x");
        // The session's window is renewed as it is used up.
        scene.peer.frames();
    }
    assert_eq!(scene.peer.events(), [Event::Link(scene.a, LinkEvent::DeliveryComplete)]);
    assert_eq!(take(&mut scene).len(), 5_000);
    assert_eq!(scene.peer.engine.receiver(scene.a).unwrap().credit(), u32::MAX - 5_000);
}

#[test]
fn h21_delivery_id_missing_on_the_first_transfer() {
    // 2.7.5-05
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.transfer(10, &Transfer { delivery_id: None, ..first(5, 0) }, b"x");
    });
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.deliver(10, 5, 0, b"x");
        scene.peer.quiet();
        // Nothing is in progress that this could continue.
        scene.peer.transfer(10, &next(5), b"x");
    });
}

#[test]
fn h21_delivery_id_changed_in_the_middle() {
    // 2.7.5-07
    for id in [0, 2, u32::MAX] {
        refused_link("amqp:invalid-field", |scene| {
            scene.peer.transfer(10, &more(first(5, 1)), b"x");
            scene.peer.quiet();
            scene.peer.transfer(10, &Transfer { delivery_id: Some(DeliveryNumber(id)), ..next(5) }, b"x");
        });
    }
}

#[test]
fn h21_delivery_ids_with_gaps() {
    // The ids come from a sequence of the session; that some of it is never seen harms nobody.
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        for id in [0, 1, 5, 1_000, 0x4000_0000] {
            scene.peer.deliver(10, 5, id, b"x");
        }
        let deliveries = take(&mut scene);
        scene.peer.quiet();
        let mut receiver = scene.peer.engine.receiver(scene.a).unwrap();
        for delivery in &deliveries {
            receiver.settle(delivery.key, DeliveryState::Accepted, true).unwrap();
        }
        let told = scene.peer.told();
        let expected = ["0 to 1", "5", "1000", "1073741824"].map(|ids| format!("0 disposition receiver {ids} settled"));
        assert_eq!(told, expected);
        assert!(scene.peer.engine.receiver(scene.a).unwrap().unsettled().is_empty());
    }
}

#[test]
fn h21_a_delivery_id_is_not_a_transfer_id() {
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        scene.peer.transfer(10, &more(first(5, 0)), b"a");
        scene.peer.transfer(10, &more(next(5)), b"b");
        scene.peer.transfer(10, &next(5), b"c");
        scene.peer.deliver(10, 5, 1, b"d");
        assert_eq!(payloads(&mut scene), [b"abc".to_vec(), b"d".to_vec()]);
    }
}

#[test]
fn h21_and_h22_fields_may_be_repeated_on_later_transfers() {
    // 2.7.5-06
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.transfer(10, &more(first(5, 0)), b"a");
    scene.peer.transfer(10, &first(5, 0), b"b");
    assert_eq!(payloads(&mut scene), [b"ab"]);
}

#[test]
fn h22_delivery_tag_over_32_octets() {
    // The frame is malformed, as any other with a value outside its type.
    refused_connection("amqp:decode-error", |scene| {
        let mut octets = transfer_frame(
            10,
            &Transfer { delivery_tag: Some(DeliveryTag::new(&[7; 32]).unwrap()), ..first(5, 0) },
            b"",
        );
        let at = octets.windows(2).position(|pair| pair == [0xa0, 32]).unwrap();
        octets[at + 1] = 33;
        octets.insert(at + 2, 7);
        // The sizes of list and frame.
        let list = octets.iter().position(|octet| *octet == 0xc0).unwrap();
        octets[list + 1] += 1;
        octets[3] += 1;
        scene.peer.octets(&octets);
    });
    let mut scene = Scene::new(Wire::Whole);
    let tag = DeliveryTag::new(&[7; 32]).unwrap();
    scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag), ..first(5, 0) }, b"x");
    assert_eq!(take(&mut scene)[0].tag, tag);
}

#[test]
fn h22_delivery_tag_missing() {
    // 2.7.5-09
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.transfer(10, &Transfer { delivery_tag: None, ..first(5, 0) }, b"x");
    });
}

#[test]
fn h22_delivery_tag_changed() {
    // 2.7.5-10
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.transfer(10, &more(first(5, 0)), b"x");
        scene.peer.quiet();
        scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(9)), ..next(5) }, b"x");
    });
}

#[test]
fn h22_delivery_tag_duplicate_among_unsettled_ones() {
    // 2.6.12-14
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.deliver(10, 5, 0, b"x");
        scene.peer.quiet();
        scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), ..first(5, 1) }, b"x");
    });
    // Tags belong to a link, and are free once settled.
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.deliver(10, 5, 0, b"x");
    scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), ..first(6, 1) }, b"x");
    let key = take(&mut scene)[0].key;
    scene.peer.engine.receiver(scene.a).unwrap().settle(key, DeliveryState::Released, true).unwrap();
    scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), settled: Some(true), ..first(5, 2) }, b"x");
    scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), aborted: true, ..first(5, 3) }, b"x");
    scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), ..first(5, 4) }, b"x");
    assert_eq!(take(&mut scene).len(), 2);
}

#[test]
fn h22_message_format_changed_in_mid_delivery() {
    // 2.7.5-12
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.transfer(10, &more(first(5, 0)), b"x");
        scene.peer.quiet();
        scene.peer.transfer(10, &Transfer { message_format: Some(MessageFormat(1)), ..next(5) }, b"x");
    });
}

#[test]
fn h22_abort() {
    // 2.6.14-05, 2.6.14-07, 2.7.5-20, 2.7.5-37, 2.7.5-39
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let a = scene.a;
        scene.peer.transfer(10, &more(first(5, 0)), b"gone");
        let told = of_link(scene.peer.events(), a);
        let [LinkEvent::DeliveryStarted(key), LinkEvent::DataReady(again)] = told[..] else { panic!("{told:?}") };
        assert_eq!(key, again);
        // Aborted beats more; what comes with it is ignored.
        scene.peer.transfer(10, &Transfer { aborted: true, ..more(next(5)) }, b"ignored");
        assert_eq!(of_link(scene.peer.events(), a), [LinkEvent::DeliveryAborted(key)]);
        let mut receiver = scene.peer.engine.receiver(a).unwrap();
        assert!(receiver.next_delivery().is_none() && receiver.partial().is_none());
        assert!(receiver.unsettled().is_empty(), "settled on both sides without a disposition");
        assert_eq!(receiver.settle(key, DeliveryState::Accepted, true), Err(SettleError::Unknown));
        assert_eq!(receiver.credit(), CREDIT - 1, "the credit is spent");
        assert_eq!(scene.peer.told(), NOTHING);
        scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), ..first(5, 1) }, b"kept");
        assert_eq!(payloads(&mut scene), [b"kept"]);

        // With its first transfer; pre-settled; and in an endless row, for which credit comes back.
        for id in 2..200 {
            let settled = (id % 2 == 0).then_some(true);
            scene.peer.transfer(10, &Transfer { aborted: true, settled, ..first(5, id) }, b"ignored");
            scene.peer.frames();
        }
        assert_eq!(take(&mut scene).len(), 0);
        let told = scene.peer.events();
        assert!(!told.iter().any(|event| matches!(event, Event::Link(_, LinkEvent::Detached { .. }))));
    }
}

#[test]
fn h22_interleaved_deliveries_on_one_link() {
    // 2.6.14-02, 2.6.14-03
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.transfer(10, &more(first(5, 0)), b"x");
        scene.peer.quiet();
        scene.peer.deliver(10, 5, 1, b"x");
    });
    // On two links they may be.
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.transfer(10, &more(first(5, 0)), b"a");
    scene.peer.transfer(10, &more(first(6, 1)), b"b");
    scene.peer.transfer(10, &next(5), b"a");
    scene.peer.transfer(10, &next(6), b"b");
    assert_eq!(payloads(&mut scene), [b"aa"]);
    let delivery = scene.peer.engine.receiver(scene.b).unwrap().next_delivery().unwrap();
    assert_eq!(&delivery.payload.into_bytes()[..], b"bb");
}

#[test]
fn h22_payload_beyond_max_message_size() {
    // 2.8.18-03
    let most = vec![7; MAX_MESSAGE_SIZE as usize];
    let beyond = [&most[..], b"x"].concat();
    refused_link("amqp:link:message-size-exceeded", |scene| scene.peer.deliver(10, 5, 0, &beyond));
    refused_link("amqp:link:message-size-exceeded", |scene| {
        scene.peer.transfer(10, &more(first(5, 0)), &most);
        // What was taken of it counts too.
        scene.peer.engine.receiver(scene.a).unwrap().partial().unwrap().take();
        scene.peer.quiet();
        scene.peer.transfer(10, &next(5), b"x");
    });
    let mut scene = Scene::new(Wire::Whole);
    scene.peer.transfer(10, &more(first(5, 0)), &most);
    scene.peer.transfer(10, &next(5), b"");
    scene.peer.deliver(10, 5, 1, &most);
    assert_eq!(payloads(&mut scene), [most.clone(), most]);
}

#[test]
fn h22_settled_on_later_transfers() {
    // 2.7.5-13, 2.7.5-14, 2.7.5-15
    let cases = [
        ([None, None, None], false),
        ([None, None, Some(true)], true),
        ([Some(true), None, None], true),
        ([None, Some(true), None], true),
        ([Some(true), Some(false), Some(false)], true),
        ([Some(false), Some(false), Some(false)], false),
    ];
    for (flags, expected) in cases {
        let mut scene = Scene::new(Wire::Octets);
        let [one, two, three] = flags;
        scene.peer.transfer(10, &Transfer { settled: one, ..more(first(5, 0)) }, b"a");
        scene.peer.transfer(10, &Transfer { settled: two, ..more(next(5)) }, b"b");
        scene.peer.transfer(10, &Transfer { settled: three, ..next(5) }, b"c");
        let delivery = take(&mut scene).pop().unwrap();
        assert_eq!(delivery.settled, expected, "{flags:?}");
        let mut receiver = scene.peer.engine.receiver(scene.a).unwrap();
        assert_eq!(receiver.unsettled().len(), usize::from(!expected));
        let settled = receiver.settle(delivery.key, DeliveryState::Accepted, true);
        assert_eq!(settled, if expected { Err(SettleError::Unknown) } else { Ok(()) });
        let told = scene.peer.told();
        let dispositions = told.iter().filter(|frame| frame.contains("disposition"));
        assert_eq!(dispositions.count(), usize::from(!expected), "{told:?}");
    }
}

#[test]
fn h22_settled_by_disposition_while_it_arrives() {
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.transfer(10, &more(first(5, 0)), b"a");
    scene.peer.send(10, &disposition(Role::Sender, 0, 0, true));
    scene.peer.transfer(10, &next(5), b"b");
    let delivery = take(&mut scene).pop().unwrap();
    assert!(delivery.settled);
    assert_eq!(&delivery.payload.into_bytes()[..], b"ab");
    assert!(scene.peer.engine.receiver(scene.a).unwrap().unsettled().is_empty());
}

#[test]
fn h22_state_on_later_transfers() {
    let mut scene = Scene::new(Wire::Octets);
    let state = || Some(DeliveryState::Received(amqp10_codec::Received { section_number: 0, section_offset: 1 }));
    scene.peer.transfer(10, &Transfer { state: state(), ..more(first(5, 0)) }, b"a");
    scene.peer.transfer(10, &Transfer { state: state(), ..more(next(5)) }, b"b");
    scene.peer.transfer(10, &Transfer { state: state(), ..next(5) }, b"c");
    assert_eq!(payloads(&mut scene), [b"abc"]);
    scene.session_one_works_after_take();
}

#[test]
fn h15_zero_payload_transfers_without_end() {
    // 2.6.14-08
    refused_link("amqp:resource-limit-exceeded", |scene| {
        scene.peer.transfer(10, &more(first(5, 0)), b"");
        for _ in 1..64 {
            scene.peer.transfer(10, &more(next(5)), b"");
        }
        scene.peer.quiet();
        scene.peer.transfer(10, &more(next(5)), b"");
    });
    // A few are legal.
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.transfer(10, &more(first(5, 0)), b"");
    scene.peer.transfer(10, &more(next(5)), b"a");
    scene.peer.transfer(10, &more(next(5)), b"");
    scene.peer.transfer(10, &next(5), b"b");
    assert_eq!(payloads(&mut scene), [b"ab"]);
}

#[test]
fn h23_deliveries_that_are_never_settled_replenish_credit_as_the_policy_says() {
    for replenish in [Replenish::Taken, Replenish::Settled] {
        let mut scene = Scene::new(Wire::Whole);
        let a = scene.a;
        let mode = CreditMode::Automatic { window: CREDIT, replenish };
        scene.peer.engine.receiver(a).unwrap().set_credit_mode(mode);
        let mut taken = Vec::new();
        for id in 0..100 {
            if scene.peer.engine.receiver(a).unwrap().credit() == 0 {
                break;
            }
            scene.peer.deliver(10, 5, id, b"x");
            taken.extend(take(&mut scene));
            scene.peer.frames();
        }
        let expected = if replenish == Replenish::Taken { 100 } else { CREDIT as usize };
        assert_eq!(taken.len(), expected, "{replenish:?}");
        // Settling one makes room for one.
        if replenish == Replenish::Settled {
            let mut receiver = scene.peer.engine.receiver(a).unwrap();
            receiver.settle(taken[0].key, DeliveryState::Accepted, true).unwrap();
            assert_eq!(scene.peer.told(), ["0 disposition receiver 0 settled", "0 flow handle 0 count 10 credit 1"]);
        }
    }
}

#[test]
fn h23_nothing_is_kept_after_settlement() {
    // 2.7.6-09
    let mut scene = Scene::new(Wire::Whole);
    let a = scene.a;
    for id in 0..1_000 {
        scene.peer.deliver(10, 5, id, b"x");
        let key = take(&mut scene)[0].key;
        let mut receiver = scene.peer.engine.receiver(a).unwrap();
        if id % 7 == 0 {
            // The sender may settle too, and both may at once.
            scene.peer.send(10, &disposition(Role::Sender, id, id, true));
            let mut receiver = scene.peer.engine.receiver(a).unwrap();
            assert_eq!(receiver.settle(key, DeliveryState::Accepted, true), Err(SettleError::Unknown));
        } else {
            receiver.settle(key, DeliveryState::Accepted, true).unwrap();
            assert_eq!(receiver.settle(key, DeliveryState::Accepted, true), Err(SettleError::Unknown));
            scene.peer.send(10, &disposition(Role::Sender, id, id, true));
        }
        scene.peer.frames();
        assert!(scene.peer.engine.receiver(a).unwrap().unsettled().is_empty());
    }
}

#[test]
fn h23_nothing_is_kept_after_a_second_mode_echo() {
    // 2.6.12-11, 2.7.5-23, 2.7.5-24
    use amqp10_codec::{Attach, ReceiverSettleMode::Second};
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let mut config = receiving("second");
        config.rcv_settle_mode = Second;
        config.credit = CreditMode::Automatic { window: 2, replenish: Replenish::Settled };
        let link = scene.peer.engine.attach(scene.one, config).unwrap();
        scene.peer.send(10, &Attach { rcv_settle_mode: Second, ..sender("second", 8) });
        scene.peer.quiet();
        for id in 0..100 {
            scene.peer.deliver(10, 8, id, b"x");
            let mut receiver = scene.peer.engine.receiver(link).unwrap();
            let key = receiver.next_delivery().unwrap().key;
            receiver.settle(key, DeliveryState::Accepted, true).unwrap();
            assert_eq!(receiver.unsettled().len(), 1, "not before the sender");
            let told = scene.peer.told();
            assert!(told.contains(&format!("0 disposition receiver {id}")), "{told:?}");
            scene.peer.send(10, &disposition(Role::Sender, id, id, true));
            let mut receiver = scene.peer.engine.receiver(link).unwrap();
            assert!(receiver.unsettled().is_empty());
            assert_eq!(receiver.settle(key, DeliveryState::Accepted, true), Err(SettleError::Unknown));
            let told = scene.peer.told();
            assert!(!told.iter().any(|frame| frame.contains("disposition")), "settled without a word: {told:?}");
        }
    }
}

#[test]
fn h23_nothing_is_kept_after_detach() {
    let mut scene = Scene::new(Wire::Whole);
    for id in 0..5 {
        scene.peer.deliver(10, 5, id, b"x");
    }
    let keys: Vec<_> = take(&mut scene).iter().map(|delivery| delivery.key).collect();
    scene.peer.send(10, &detach(5, true));
    scene.peer.quiet();
    let mut receiver = scene.peer.engine.receiver(scene.a).unwrap();
    assert_eq!(receiver.settle(keys[0], DeliveryState::Accepted, true), Err(SettleError::Detached));
    assert_eq!(scene.peer.engine.take_terminus(scene.a).unwrap().unsettled.len(), 5);
    assert!(scene.peer.engine.receiver(scene.a).is_none());
    assert!(scene.peer.engine.take_terminus(scene.a).is_none());
    // The next link with these numbers and tags knows nothing of it.
    let again = scene.peer.engine.attach(scene.one, receiving("a")).unwrap();
    scene.peer.send(10, &sender("a", 5));
    scene.peer.quiet();
    scene.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), ..first(5, 5) }, b"x");
    let mut receiver = scene.peer.engine.receiver(again).unwrap();
    assert_eq!(receiver.unsettled().len(), 1);
    assert_eq!(receiver.settle(keys[0], DeliveryState::Accepted, true), Err(SettleError::Unknown));
    scene.peer.send(10, &disposition(Role::Sender, 0, 4, true));
    assert_eq!(scene.peer.engine.receiver(again).unwrap().unsettled().len(), 1);
}

impl Scene {
    fn session_one_works_after_take(&mut self) {
        self.peer.quiet();
        self.session_one_works();
    }
}

#[test]
fn h20_a_transfer_before_our_attach() {
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        scene.peer.send(10, &sender("new", 8));
        let [Event::Link(link, LinkEvent::Incoming)] = scene.peer.events()[..] else { panic!() };
        scene.peer.deliver(10, 8, 0, b"x");
        assert_eq!(
            scene.peer.told(),
            ["0 attach new handle 3 null", "0 detach handle 3 closed amqp:link:transfer-limit-exceeded"]
        );
        let end = Ended::Violation(Violation::TransferLimitExceeded);
        assert_eq!(scene.peer.events(), [Event::Link(link, LinkEvent::Detached { closed: true, end })]);
        assert!(scene.peer.engine.accept_attach(link, receiving("new")).is_err());
        scene.peer.deliver(10, 8, 1, b"x");
        scene.session_one_works();
        scene.peer.send(10, &detach(8, true));
        assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
    }
}

#[test]
fn h20_credit_lowered_below_what_is_in_flight() {
    // 2.6.7-11, 2.6.10-01
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        let a = scene.a;
        scene.peer.engine.receiver(a).unwrap().set_credit(0);
        assert_eq!(scene.peer.told(), ["0 flow handle 0 count 0 credit 0"]);
        // All that was granted before may have left before the flow arrived.
        for id in 0..CREDIT {
            scene.peer.deliver(10, 5, id, b"x");
        }
        assert_eq!(scene.peer.events(), [Event::Link(a, LinkEvent::DeliveryComplete)]);
        assert_eq!(scene.peer.told(), NOTHING);
        assert_eq!(take(&mut scene).len(), CREDIT as usize);
        let mut receiver = scene.peer.engine.receiver(a).unwrap();
        assert_eq!(receiver.credit(), 0);
        receiver.set_credit(2);
        assert_eq!(scene.peer.told(), ["0 flow handle 0 count 10 credit 2"]);
        scene.peer.deliver(10, 5, 10, b"x");
        scene.peer.deliver(10, 5, 11, b"x");
        assert_eq!(scene.peer.engine.receiver(a).unwrap().credit(), 0);
        scene.peer.events();
        scene.peer.deliver(10, 5, 12, b"x");
        assert_eq!(scene.peer.told(), ["0 detach handle 0 closed amqp:link:transfer-limit-exceeded"]);
    }
}

#[test]
fn h21_delivery_ids_used_again_or_too_far_ahead() {
    for id in [5, 4, 0, u32::MAX, 0x8000_0006] {
        refused_link("amqp:invalid-field", |scene| {
            scene.peer.deliver(10, 6, 5, b"another link of the session");
            let mut receiver = scene.peer.engine.receiver(scene.b).unwrap();
            assert!(receiver.next_delivery().is_some() && receiver.next_delivery().is_none());
            scene.peer.quiet();
            scene.peer.deliver(10, 5, id, b"x");
        });
    }
    // In two leaps, so that what is unsettled could not be ordered any more.
    refused_link("amqp:invalid-field", |scene| {
        let oldest = 1000_u32.wrapping_sub(0x7000_0000);
        scene.peer.deliver(10, 5, oldest, b"x");
        scene.peer.deliver(10, 5, 1000, b"x");
        scene.peer.quiet();
        scene.peer.deliver(10, 5, oldest.wrapping_add(0x9000_0000), b"x");
    });
}

#[test]
fn h23_pre_settled_deliveries_replenish_credit() {
    for replenish in [Replenish::Taken, Replenish::Settled] {
        let mut scene = Scene::new(Wire::Whole);
        let a = scene.a;
        let mode = CreditMode::Automatic { window: CREDIT, replenish };
        scene.peer.engine.receiver(a).unwrap().set_credit_mode(mode);
        for id in 0..500 {
            scene.peer.transfer(10, &Transfer { settled: Some(true), ..first(5, id) }, b"x");
            assert_eq!(take(&mut scene).len(), 1, "{replenish:?}");
            scene.peer.frames();
        }
        assert!(scene.peer.engine.receiver(a).unwrap().unsettled().is_empty());
    }
}

#[test]
fn the_start_of_a_delivery_is_told_once() {
    // 2.7.5-19
    let mut scene = Scene::new(Wire::Whole);
    let a = scene.a;
    let mut started = 0;
    for (at, payload) in [&b""[..], b"a", b"b"].into_iter().enumerate() {
        let transfer = if at == 0 { first(5, 0) } else { next(5) };
        scene.peer.transfer(10, &more(transfer), payload);
        let told = of_link(scene.peer.events(), a);
        assert!(matches!(told.last(), Some(LinkEvent::DataReady(_))), "{told:?}");
        started += told.iter().filter(|event| matches!(event, LinkEvent::DeliveryStarted(_))).count();
        let taken = scene.peer.engine.receiver(a).unwrap().partial().unwrap().take();
        assert_eq!(taken.into_bytes(), payload);
    }
    assert_eq!(started, 1);
}

#[test]
fn h21_after_a_message_of_many_frames_our_next_delivery_id_is_one_higher() {
    // 2.5-02, 2.7.5-05, 2.7.5-08
    use amqp10_codec::{Begin, Open, Performative};
    use amqp10_link::DeliveryStart;
    use bytes::Bytes;
    let mut peer = support::Script::client(support::scene::config(), Open { max_frame_size: 512, ..open() });
    let session = peer.engine.begin(support::scene::session_config()).unwrap();
    peer.send(10, &Begin { incoming_window: 1_000, ..answer(0) });
    let links = ["a", "b"].map(|name| peer.engine.attach(session, support::scene::sending(name)).unwrap());
    for (name, handle) in [("a", 5), ("b", 6)] {
        peer.send(10, &receiver(name, handle));
        peer.send(10, &amqp10_codec::Flow { incoming_window: 1_000, ..credit(handle, 0, 10) });
    }
    peer.quiet();
    for octets in [5_000, 1, 3_000, 0] {
        for link in links {
            let mut sender = peer.engine.sender(link).unwrap();
            let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
            sender.write(key, Bytes::from(vec![7; octets])).unwrap();
            sender.finish(key).unwrap();
        }
    }
    let frames = peer.frames();
    let ids: Vec<u32> = frames
        .iter()
        .filter_map(
            |(_, body, _)| if let Performative::Transfer(transfer) = body { transfer.delivery_id } else { None },
        )
        .map(|id| id.0)
        .collect();
    assert_eq!(ids, (0..8).collect::<Vec<_>>());
    assert!(frames.len() > 40, "{} frames", frames.len());
}

#[test]
fn a_message_whose_body_does_not_decode_ends_nothing() {
    use amqp10_codec::MessageView;
    let bodies: [&[u8]; 5] = [
        // No section, a section without its value, a string beyond the end, an unknown section, garbage.
        &[0x40],
        &[0x00, 0x53, 0x77],
        &[0x00, 0x53, 0x77, 0xa1, 200, b'x'],
        &[0x00, 0x53, 0x99, 0x45],
        &[0xff; 100],
    ];
    for wire in WIRES {
        let mut scene = Scene::new(wire);
        for (id, body) in bodies.into_iter().enumerate() {
            assert!(MessageView::parse(body).is_err(), "{body:?}");
            scene.peer.deliver(10, 5, id as u32, body);
            assert_eq!(scene.peer.events(), [Event::Link(scene.a, LinkEvent::DeliveryComplete)]);
            let delivery = take(&mut scene).pop().unwrap();
            assert_eq!(delivery.payload.into_bytes(), body, "the octets stay at hand");
            let mut receiver = scene.peer.engine.receiver(scene.a).unwrap();
            receiver.settle(delivery.key, DeliveryState::Rejected(Default::default()), true).unwrap();
            assert!(scene.peer.told().contains(&format!("0 disposition receiver {id} settled")));
        }
        scene.session_one_works();
    }
}

#[test]
fn a_delivery_to_be_settled_second_on_a_link_whose_receiver_settles_first() {
    // 2.7.5-25, 2.7.5-26
    use amqp10_codec::ReceiverSettleMode::{First, Second};
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.transfer(10, &Transfer { rcv_settle_mode: Some(Second), ..first(5, 0) }, b"x");
    });
    refused_link("amqp:invalid-field", |scene| {
        scene.peer.transfer(10, &more(first(5, 0)), b"x");
        scene.peer.quiet();
        scene.peer.transfer(10, &Transfer { rcv_settle_mode: Some(Second), ..next(5) }, b"x");
    });
    // It may say what holds anyway, and of what is settled it says nothing.
    let mut scene = Scene::new(Wire::Octets);
    scene.peer.transfer(10, &Transfer { rcv_settle_mode: Some(First), ..first(5, 0) }, b"a");
    scene.peer.transfer(10, &Transfer { rcv_settle_mode: Some(Second), settled: Some(true), ..first(5, 1) }, b"b");
    assert_eq!(payloads(&mut scene), [b"a", b"b"]);
}
