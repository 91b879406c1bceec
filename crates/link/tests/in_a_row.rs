//! Frames that come in together are handled as if each came alone.

mod support;

use amqp10_codec::{Flow, ReceiverSettleMode, Role, Transfer};
use amqp10_link::{Delivery, Event, LinkId};
use proptest::prelude::*;
use support::Wire;
use support::scene::{CREDIT, MAX_MESSAGE_SIZE, Scene};
use support::script::*;

/// A transfer, or what may come between two of them.
#[derive(Clone, Copy, Debug)]
enum Step {
    Whole,
    Settled,
    Begins,
    Ends,
    Aborted,
    Empty,
    SettlesSecond,
    EarlierId,
    SameTag,
    NoTag,
    TooLarge,
    Flow,
    Disposition,
    Heartbeat,
    Detach,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop_oneof![
        60 => Just(Whole),
        8 => prop::sample::select(vec![Settled, Begins, Ends, Aborted, Empty]),
        3 => prop::sample::select(vec![Flow, Disposition, Heartbeat]),
        1 => prop::sample::select(vec![SettlesSecond, EarlierId, SameTag, NoTag, TooLarge, Detach]),
    ]
}

/// Channels and handles of links: two of the first session and one of the second that receive, one that sends, and one that is none.
fn link() -> impl Strategy<Value = (u16, u32)> {
    prop_oneof![30 => Just((10, 5)), 10 => Just((10, 6)), 10 => Just((11, 5)), 1 => Just((10, 7)), 1 => Just((10, 9))]
}

/// The frames, each link going on for a while.
fn frames(steps: &[((u16, u32), Vec<Step>)]) -> Vec<Vec<u8>> {
    let mut ids = [0; 2];
    let mut frames = Vec::new();
    for ((channel, handle), steps) in steps {
        let (channel, handle) = (*channel, *handle);
        for step in steps {
            let id = &mut ids[usize::from(channel) - 10];
            let plain = first(handle, *id);
            let (transfer, payload): (Transfer<'_>, &[u8]) = match step {
                Step::Whole => (plain, b"whole"),
                Step::Settled => (Transfer { settled: Some(true), ..plain }, b"settled"),
                Step::Begins => (Transfer { more: true, ..plain }, b"begins"),
                Step::Ends => (next(handle), b"ends"),
                Step::Aborted => (Transfer { aborted: true, ..next(handle) }, b""),
                Step::Empty => (Transfer { more: true, ..next(handle) }, b""),
                Step::SettlesSecond => (Transfer { rcv_settle_mode: Some(ReceiverSettleMode::Second), ..plain }, b"x"),
                Step::EarlierId => {
                    (Transfer { delivery_tag: Some(tag(9_999)), ..first(handle, id.wrapping_sub(1)) }, b"x")
                }
                Step::SameTag => (Transfer { delivery_tag: Some(tag(0)), ..plain }, b"x"),
                Step::NoTag => (Transfer { delivery_tag: None, ..plain }, b"x"),
                Step::TooLarge => (plain, &[0; MAX_MESSAGE_SIZE as usize + 1]),
                Step::Flow => {
                    frames.push(frame(channel, &Flow { echo: true, ..credit(handle, *id, 0) }));
                    continue;
                }
                Step::Disposition => {
                    frames.push(frame(channel, &disposition(Role::Sender, 0, *id, true)));
                    continue;
                }
                Step::Heartbeat => {
                    frames.push(vec![0, 0, 0, 8, 2, 0, 0, 0]);
                    continue;
                }
                Step::Detach => {
                    frames.push(frame(channel, &detach(handle, false)));
                    continue;
                }
            };
            *id += u32::from(transfer.delivery_id.is_some() && !matches!(step, Step::EarlierId));
            frames.push(transfer_frame(channel, &transfer, payload));
        }
    }
    frames
}

/// What the engine tells and sends when the frames come in pieces of so many octets, or else one by one.
fn seen(frames: &[Vec<u8>], pieces: Option<usize>) -> (Vec<String>, Vec<Event>, Vec<Vec<String>>) {
    let mut scene = Scene::new(Wire::Whole);
    match pieces {
        None => frames.iter().for_each(|frame| scene.peer.octets(frame)),
        Some(octets) => frames.concat().chunks(octets).for_each(|piece| scene.peer.octets(piece)),
    }
    let (told, events) = (scene.peer.told(), scene.peer.events());
    let mut taken = |link: LinkId| {
        let Some(mut receiver) = scene.peer.engine.receiver(link) else { return Vec::new() };
        let deliveries: Vec<Delivery> = std::iter::from_fn(|| receiver.next_delivery()).collect();
        deliveries.iter().map(|delivery| format!("{delivery:?}")).collect()
    };
    let taken = [scene.a, scene.b, scene.d].map(&mut taken).to_vec();
    (told, events, taken)
}

proptest! {
    #[test]
    fn frames_together_are_as_good_as_one_by_one(
        steps in prop::collection::vec((link(), prop::collection::vec(step(), 1..=CREDIT as usize)), 1..8),
        octets in 1_usize..400,
    ) {
        let frames = frames(&steps);
        let alone = seen(&frames, None);
        prop_assert_eq!(&seen(&frames, Some(usize::MAX)), &alone, "all at once");
        prop_assert_eq!(&seen(&frames, Some(octets)), &alone, "in pieces");
    }
}

#[test]
fn credit_that_runs_out_among_transfers_in_a_row() {
    let steps = [((10, 5), vec![Step::Whole; CREDIT as usize + 1])];
    let (told, _, taken) = seen(&frames(&steps), Some(usize::MAX));
    assert_eq!(told, ["0 detach handle 0 closed amqp:link:transfer-limit-exceeded"]);
    assert_eq!(taken[0].len(), CREDIT as usize, "what came within the credit is not lost");
}

#[test]
fn a_handle_that_changes_among_transfers_in_a_row() {
    let steps = [((10, 5), vec![Step::Whole; 3]), ((10, 6), vec![Step::Whole; 2]), ((11, 5), vec![Step::Whole])];
    let (_, _, taken) = seen(&frames(&steps), Some(usize::MAX));
    assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 1]);
}
