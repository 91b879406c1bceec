//! Deliveries larger than anybody wants to hold, written and read piece by piece, and held back where the other end does not take them.

mod support;

use amqp10_link::{CreditMode, DeliveryStart, Event, LinkEvent, Replenish, SessionConfig};
use bytes::Bytes;
use support::scene::{receiving, sending};
use support::{Pair, events};

/// The most octets that the writer lets wait.
const MOST: usize = 64 * 1024;
const PIECE: usize = 16 * 1024;

fn session(window: u32) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.incoming_window = window;
    config.session_buffer = 256 * 1024;
    config
}

/// Every piece is filled with its number.
fn check(octets: &[u8], read: &mut usize) {
    assert!(octets.iter().zip(*read..).all(|(octet, at)| *octet == (at / PIECE) as u8));
    *read += octets.len();
}

#[test]
fn a_delivery_of_sixteen_mebioctets_passes_through_little_memory() {
    // 2.6.14-01, 2.6.14-06
    let mut pair = Pair::plain();
    let (ours, _) = pair.session(session(8), session(8));
    let mut config = receiving("");
    config.max_message_size = None;
    config.credit = CreditMode::Automatic { window: 1, replenish: Replenish::Taken };
    let (sender, receiver) = pair.link(ours, sending("stream"), config);
    events(&mut pair.client);
    events(&mut pair.server);
    // From now on the link is read as it arrives.
    assert!(pair.server.receiver(receiver).unwrap().partial().is_none());
    let key = pair.client.sender(sender).unwrap().begin_delivery(DeliveryStart::default()).unwrap();
    let (mut written, mut read, mut held_back, mut whole) = (0_usize, 0_usize, 0, false);
    let total = 16 << 20;
    let mut round = 0;
    while !whole {
        round += 1;
        assert!(round < 20_000, "written {written}, read {read}");
        let mut end = pair.client.sender(sender).unwrap();
        while written < total && end.queued_octets() < MOST {
            end.write(key, Bytes::from(vec![(written / PIECE) as u8; PIECE])).unwrap();
            written += PIECE;
            if written == total {
                end.finish(key).unwrap();
            }
        }
        assert!(end.queued_octets() <= MOST);
        if !end.notify_below(MOST / 2) {
            held_back += 1;
        }
        pair.run();
        let told = events(&mut pair.client);
        let writable = told.iter().filter(|event| matches!(event, Event::Link(_, LinkEvent::Writable))).count();
        assert!(writable <= 1, "{told:?}");
        events(&mut pair.server);
        // The reader takes its time.
        if round % 2 == 0 {
            continue;
        }
        let mut end = pair.server.receiver(receiver).unwrap();
        if let Some(mut partial) = end.partial() {
            let octets = partial.take().into_bytes();
            assert!(octets.len() <= 8 * (64 << 10), "no more than the window holds");
            check(&octets, &mut read);
        }
        if let Some(rest) = end.next_delivery() {
            check(&rest.payload.into_bytes(), &mut read);
            whole = true;
        }
    }
    assert_eq!(read, total);
    assert!(held_back > 50, "the writer was held back {held_back} times");
    assert_eq!(pair.client.sender(sender).unwrap().queued_octets(), 0);
}

#[test]
fn a_writer_is_told_once_when_there_is_room() {
    let mut pair = Pair::plain();
    let (ours, _) = pair.session(session(1000), session(1000));
    let mut config = receiving("");
    config.credit = CreditMode::Manual;
    let (sender, receiver) = pair.link(ours, sending("stream"), config);
    pair.server.receiver(receiver).unwrap().set_credit(1);
    pair.run();
    events(&mut pair.client);
    let mut end = pair.client.sender(sender).unwrap();
    assert!(end.notify_below(0), "nothing is queued");
    let key = end.begin_delivery(DeliveryStart::default()).unwrap();
    end.write(key, Bytes::from(vec![1; 5000])).unwrap();
    assert!(!end.notify_below(4999));
    assert!(end.notify_below(5000));
    assert!(!end.notify_below(100));
    assert_eq!(end.queued_octets(), 5000);
    pair.run();
    assert_eq!(events(&mut pair.client), [Event::Link(sender, LinkEvent::Writable)]);
    let mut end = pair.client.sender(sender).unwrap();
    end.write(key, Bytes::from(vec![1; 5000])).unwrap();
    pair.run();
    assert_eq!(events(&mut pair.client), [], "told once");
    // Given up, it takes nothing along.
    let mut end = pair.client.sender(sender).unwrap();
    end.abort(key).unwrap();
    pair.run();
    let told = events(&mut pair.server);
    assert!(
        matches!(told.last(), Some(Event::Link(link, LinkEvent::DeliveryAborted(_))) if *link == receiver),
        "{told:?}"
    );
    assert!(pair.server.receiver(receiver).unwrap().partial().is_none());
}
