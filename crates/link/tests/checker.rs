//! The model that engines are held against finds what is illegal.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use amqp10_codec::{Attach, Begin, Channel, DeliveryNumber, Flow, Handle, Open, ProtocolHeader, Role, SequenceNo};
use amqp10_codec::{Transfer, TransferNumber};
use support::checker::Checker;
use support::script::*;

/// An engine with a sender on handle 0, to which one delivery and two transfers are granted, and a receiver on handle 1, to which
/// one delivery has come.
fn checker() -> Checker {
    let mut checker = Checker::default();
    let header = ProtocolHeader::AMQP.to_octets().to_vec();
    checker.sent(&[header.clone(), frame(0, &open()), frame(0, &begin())].concat());
    let open = Open { max_frame_size: 512, channel_max: Channel(3), ..open() };
    let begin = Begin { handle_max: Handle(3), incoming_window: 2, ..answer(0) };
    checker.received(&[header, frame(0, &open), frame(10, &begin)].concat());
    checker.sent(&[frame(0, &sender("s", 0)), frame(0, &receiver("r", 1))].concat());
    let granted = Flow { incoming_window: 2, ..credit(5, 0, 1) };
    checker.received(&[frame(10, &receiver("s", 5)), frame(10, &granted), frame(10, &sender("r", 6))].concat());
    checker.sent(&frame(0, &credit(1, 0, 10)));
    checker.received(&transfer_frame(10, &first(6, 7), b"x"));
    checker.sent(&[]);
    checker
}

fn heard() -> Flow<'static> {
    Flow { next_incoming_id: Some(TransferNumber(1)), ..flow() }
}

/// What the engine is to say, frame by frame; only the last is wrong, if one is.
fn is_legal(frames: &[Vec<u8>]) -> bool {
    let mut checker = checker();
    let (last, before) = frames.split_last().unwrap();
    before.iter().for_each(|frame| checker.sent(frame));
    catch_unwind(AssertUnwindSafe(|| checker.sent(last))).is_ok()
}

#[test]
fn what_is_legal_passes() {
    let sent = |transfer: &Transfer<'_>| transfer_frame(0, transfer, b"x");
    assert!(is_legal(&[
        sent(&Transfer { more: true, ..first(0, 0) }),
        sent(&next(0)),
        frame(0, &disposition(Role::Receiver, 7, 7, false)),
        frame(0, &disposition(Role::Receiver, 7, 7, true)),
        frame(0, &disposition(Role::Sender, 0, 0, true)),
        frame(0, &Flow { next_outgoing_id: TransferNumber(2), ..heard() }),
        frame(0, &detach(0, true)),
        frame(1, &begin()),
        frame(0, &end()),
        frame(0, &close()),
    ]));
}

#[test]
fn what_is_illegal_does_not() {
    let sent = |transfer: &Transfer<'_>| transfer_frame(0, transfer, b"x");
    let empty = |channel: u8| vec![0, 0, 0, 8, 2, 0, 0, channel];
    let link = |handle, count, credit| Flow {
        handle: Some(Handle(handle)),
        delivery_count: Some(SequenceNo(count)),
        link_credit: Some(credit),
        ..heard()
    };
    let more = || Transfer { more: true, ..first(0, 0) };
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("a second open", vec![frame(0, &open())]),
        ("a frame after close", vec![frame(0, &close()), frame(0, &end())]),
        ("a close on another channel", vec![frame(1, &close())]),
        ("an empty frame on another channel", vec![empty(1)]),
        ("a SASL frame", vec![vec![0, 0, 0, 8, 2, 1, 0, 0]]),
        ("a frame of 513 octets", vec![transfer_frame(0, &first(0, 0), &[0; 513])]),
        ("no performative", vec![vec![0, 0, 0, 9, 2, 0, 0, 0, 0x40]]),
        ("half a frame", vec![vec![0, 0, 0, 9, 2, 0]]),
        ("a channel in use", vec![frame(0, &begin())]),
        ("a channel above channel-max", vec![frame(4, &begin())]),
        ("an answer to no begin", vec![frame(1, &answer(11))]),
        ("an end without a begin", vec![frame(1, &end())]),
        ("a second end", vec![frame(0, &end()), frame(0, &end())]),
        ("an attach after end", vec![frame(0, &end()), frame(0, &sender("new", 2))]),
        ("a handle in use", vec![frame(0, &sender("new", 1))]),
        ("a handle above handle-max", vec![frame(0, &sender("new", 4))]),
        ("a name in use", vec![frame(0, &sender("s", 2))]),
        ("no initial count", vec![frame(0, &Attach { initial_delivery_count: None, ..sender("new", 2) })]),
        ("a detach of nothing", vec![frame(0, &detach(2, true))]),
        ("a second detach", vec![frame(0, &detach(0, true)), frame(0, &detach(0, true))]),
        ("no next-incoming-id", vec![frame(0, &Flow { next_incoming_id: None, ..heard() })]),
        ("another next-incoming-id", vec![frame(0, &flow())]),
        ("another next-outgoing-id", vec![frame(0, &Flow { next_outgoing_id: TransferNumber(1), ..heard() })]),
        ("a window that was never offered", vec![frame(0, &Flow { incoming_window: 101, ..heard() })]),
        ("credit without handle", vec![frame(0, &Flow { link_credit: Some(1), ..heard() })]),
        ("a flow of nothing", vec![frame(0, &link(2, 0, 0))]),
        ("another count of a receiver", vec![frame(0, &link(1, 2, 5))]),
        ("another credit of a sender", vec![frame(0, &link(0, 0, 2))]),
        ("a count that nobody drained", vec![frame(0, &link(0, 1, 0))]),
        ("a flow after detach", vec![frame(0, &detach(1, false)), frame(0, &link(1, 1, 5))]),
        ("a transfer without credit", vec![sent(&first(0, 0)), sent(&first(0, 1))]),
        ("a transfer without window", vec![sent(&more()), sent(&Transfer { more: true, ..next(0) }), sent(&next(0))]),
        ("a transfer without id", vec![sent(&Transfer { delivery_id: None, ..first(0, 0) })]),
        ("a transfer without tag", vec![sent(&Transfer { delivery_tag: None, ..first(0, 0) })]),
        ("a transfer without format", vec![sent(&Transfer { message_format: None, ..first(0, 0) })]),
        ("another id", vec![sent(&more()), sent(&Transfer { delivery_id: Some(DeliveryNumber(1)), ..next(0) })]),
        ("another tag", vec![sent(&more()), sent(&Transfer { delivery_tag: Some(tag(1)), ..next(0) })]),
        ("payload of what is aborted", vec![sent(&Transfer { aborted: true, ..first(0, 0) })]),
        ("a transfer of a receiver", vec![sent(&first(1, 0))]),
        ("a transfer on nothing", vec![sent(&first(2, 0))]),
        ("a transfer after detach", vec![frame(0, &detach(0, false)), sent(&first(0, 0))]),
        ("a state of what never came", vec![frame(0, &disposition(Role::Receiver, 6, 7, false))]),
        ("a state of what never left", vec![frame(0, &disposition(Role::Sender, 0, 0, false))]),
        ("a range that stands on its head", vec![frame(0, &disposition(Role::Receiver, 7, 6, true))]),
        (
            "what is settled already",
            vec![
                frame(0, &disposition(Role::Receiver, 7, 7, true)),
                frame(0, &disposition(Role::Receiver, 7, 7, true)),
            ],
        ),
    ];
    for (name, frames) in cases {
        assert!(!is_legal(&frames), "{name} passes");
    }
}
