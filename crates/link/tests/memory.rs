//! What an unsettled delivery takes.

mod support;

use amqp10_codec::{DeliveryTag, Transfer};
use amqp10_link::CreditMode;
use support::Wire;
use support::scene::{Scene, receiving, session_config};
use support::script::*;

/// As many as fill the collections that hold them, which double as they grow.
const DELIVERIES: u32 = 8192;

/// Tags in this order, which are taken and not settled.
fn octets_for_each(tag: impl Fn(u32) -> u64) -> u64 {
    let mut scene = Scene::new(Wire::Whole);
    let mut wide = session_config();
    wide.incoming_window = 2 * DELIVERIES;
    let session = scene.peer.engine.begin(wide).unwrap();
    scene.peer.send(12, &answer(2));
    let mut config = receiving("many");
    config.credit = CreditMode::Manual;
    let link = scene.peer.engine.attach(session, config).unwrap();
    scene.peer.send(12, &sender("many", 0));
    scene.peer.engine.receiver(link).unwrap().set_credit(DELIVERIES);
    scene.peer.quiet();
    // The checker keeps a book of its own.
    scene.peer.engine.look_away();
    let mut fed = |id| {
        let transfer = Transfer { delivery_tag: Some(DeliveryTag::from(tag(id))), ..first(0, id) };
        scene.peer.transfer(12, &transfer, b"x");
        let delivery = scene.peer.engine.receiver(link).unwrap().next_delivery().unwrap();
        assert_eq!(delivery.tag, DeliveryTag::from(tag(id)));
        scene.peer.events();
    };
    let info = allocation_counter::measure(|| (0..DELIVERIES).for_each(&mut fed));
    assert_eq!(scene.peer.engine.receiver(link).unwrap().unsettled().len(), DELIVERIES as usize);
    u64::try_from(info.bytes_current).unwrap() / u64::from(DELIVERIES)
}

#[test]
fn an_unsettled_delivery_takes_at_most_96_octets_whatever_the_order_of_tags() {
    let counting = octets_for_each(u64::from);
    let shuffled = octets_for_each(|id| u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    assert!(counting < shuffled && shuffled <= 96, "{counting} where tags count up, else {shuffled}");
}
