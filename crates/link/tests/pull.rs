//! One delivery asked for until a deadline: a delivery or none, never one that is lost. §2.6.8

mod support;

use std::time::Duration;

use amqp10_codec::{Flow, Transfer};
use amqp10_link::{CommandError, CreditMode, Event, LinkEvent, LinkId};
use support::Wire;
use support::scene::{Scene, receiving};
use support::script::*;

const SECOND: Duration = Duration::from_secs(1);

/// A receiver without credit.
fn scene() -> (Scene, LinkId) {
    let mut scene = Scene::new(Wire::Octets);
    let mut config = receiving("pulls");
    config.credit = CreditMode::Manual;
    let link = scene.peer.engine.attach(scene.one, config).unwrap();
    scene.peer.send(10, &sender("pulls", 9));
    scene.peer.quiet();
    (scene, link)
}

fn pull(scene: &mut Scene, link: LinkId) {
    let deadline = scene.peer.now + SECOND;
    scene.peer.engine.pull(link, deadline).unwrap();
}

fn pulled(delivered: bool) -> LinkEvent {
    LinkEvent::Pulled { delivered }
}

fn drained(count: u32) -> Flow<'static> {
    Flow { drain: true, ..credit(9, count, 0) }
}

#[test]
fn a_delivery_comes_in_time() {
    // 2.6.8-01
    let (mut scene, link) = scene();
    for n in 0..3 {
        pull(&mut scene, link);
        assert_eq!(scene.peer.told(), [format!("0 flow handle 3 count {n} credit 1")]);
        scene.peer.advance(SECOND / 2);
        scene.peer.deliver(10, 9, n, b"x");
        assert_eq!(of_link(scene.peer.events(), link), [LinkEvent::DeliveryComplete, pulled(true)]);
        let mut receiver = scene.peer.engine.receiver(link).unwrap();
        assert!(receiver.next_delivery().is_some() && receiver.next_delivery().is_none());
        scene.peer.advance(SECOND);
        assert!(!scene.peer.told().iter().any(|frame| frame.contains("drain")), "nothing is to be drained");
    }
}

#[test]
fn nothing_comes_in_time() {
    // 2.6.8-02
    let (mut scene, link) = scene();
    pull(&mut scene, link);
    scene.peer.quiet();
    assert!(scene.peer.engine.poll_timeout().unwrap() <= scene.peer.now + SECOND);
    scene.peer.advance(SECOND - Duration::from_millis(1));
    assert_eq!(scene.peer.told(), [] as [&str; 0]);
    scene.peer.advance(Duration::from_millis(1));
    assert_eq!(scene.peer.told(), ["0 flow handle 3 count 0 credit 1 drain"]);
    assert_eq!(scene.peer.events(), []);
    scene.peer.send(10, &drained(1));
    assert_eq!(of_link(scene.peer.events(), link), [pulled(false)]);
    // It can be asked for again.
    pull(&mut scene, link);
    assert_eq!(scene.peer.told(), ["0 flow handle 3 count 1 credit 1"]);
    scene.peer.deliver(10, 9, 0, b"x");
    assert_eq!(of_link(scene.peer.events(), link), [LinkEvent::DeliveryComplete, pulled(true)]);
}

#[test]
fn a_delivery_that_crosses_the_drain_is_not_lost() {
    // 2.6.8-02
    let (mut scene, link) = scene();
    pull(&mut scene, link);
    scene.peer.advance(SECOND);
    scene.peer.quiet();
    scene.peer.transfer(10, &Transfer { more: true, ..first(9, 0) }, b"half");
    scene.peer.events();
    scene.peer.transfer(10, &next(9), b"half");
    assert_eq!(of_link(scene.peer.events(), link), [LinkEvent::DeliveryComplete, pulled(true)]);
    // The sender may say that nothing is left, too.
    scene.peer.send(10, &drained(1));
    assert_eq!(scene.peer.events(), []);
}

#[test]
fn a_delivery_that_has_begun_is_waited_for() {
    let (mut scene, link) = scene();
    pull(&mut scene, link);
    scene.peer.quiet();
    scene.peer.transfer(10, &Transfer { more: true, ..first(9, 0) }, b"half");
    scene.peer.events();
    scene.peer.advance(SECOND * 2);
    assert!(!scene.peer.told().iter().any(|frame| frame.contains("drain")));
    scene.peer.transfer(10, &next(9), b"half");
    assert_eq!(of_link(scene.peer.events(), link), [LinkEvent::DeliveryComplete, pulled(true)]);
}

#[test]
fn an_aborted_delivery_is_none() {
    let (mut scene, link) = scene();
    pull(&mut scene, link);
    scene.peer.quiet();
    // There is time for another.
    scene.peer.transfer(10, &Transfer { aborted: true, ..first(9, 0) }, b"");
    assert!(!of_link(scene.peer.events(), link).contains(&pulled(false)));
    assert_eq!(scene.peer.told(), ["0 flow handle 3 count 1 credit 1"]);
    scene.peer.advance(SECOND);
    assert_eq!(scene.peer.told(), ["0 flow handle 3 count 1 credit 1 drain"]);
    scene.peer.transfer(10, &Transfer { aborted: true, ..first(9, 1) }, b"");
    assert_eq!(of_link(scene.peer.events(), link).last(), Some(&pulled(false)));
}

#[test]
fn a_pull_may_get_another_deadline_or_lose_its_link() {
    let (mut scene, link) = scene();
    pull(&mut scene, link);
    scene.peer.quiet();
    scene.peer.advance(SECOND / 2);
    pull(&mut scene, link);
    scene.peer.advance(SECOND / 2);
    assert_eq!(scene.peer.told(), [] as [&str; 0], "no second credit, and not yet");
    scene.peer.send(10, &detach(9, true));
    let told = of_link(scene.peer.events(), link);
    assert!(matches!(told[..], [LinkEvent::Detached { .. }]), "{told:?}");
    scene.peer.quiet();
    scene.peer.advance(SECOND);
    assert_eq!((scene.peer.events(), scene.peer.told()), (vec![], vec![]));
    let deadline = scene.peer.now;
    assert_eq!(scene.peer.engine.pull(link, deadline), Err(CommandError::Gone));
    assert_eq!(scene.peer.engine.pull(scene.c, deadline), Err(CommandError::Gone));
}

#[test]
fn pulls_of_several_links_have_their_own_deadlines() {
    let (mut scene, one) = scene();
    let mut config = receiving("too");
    config.credit = CreditMode::Manual;
    let two = scene.peer.engine.attach(scene.one, config).unwrap();
    scene.peer.send(10, &sender("too", 8));
    scene.peer.quiet();
    let now = scene.peer.now;
    scene.peer.engine.pull(one, now + SECOND * 2).unwrap();
    scene.peer.engine.pull(two, now + SECOND).unwrap();
    scene.peer.quiet();
    scene.peer.advance(SECOND);
    assert_eq!(scene.peer.told(), ["0 flow handle 4 count 0 credit 1 drain"]);
    scene.peer.send(10, &Flow { drain: true, ..credit(8, 1, 0) });
    assert_eq!(scene.peer.events(), [Event::Link(two, pulled(false))]);
    scene.peer.advance(SECOND);
    assert_eq!(scene.peer.told(), ["0 flow handle 3 count 0 credit 1 drain"]);
    scene.peer.send(10, &drained(1));
    assert_eq!(scene.peer.events(), [Event::Link(one, pulled(false))]);
}
