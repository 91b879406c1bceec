//! Whole frames, and how they are read.

use std::hint::black_box;

use amqp10_codec::{
    Attach, Channel, DecodeError, DeliveryNumber, DeliveryState, DeliveryTag, Disposition, Encode, Flow, FrameType,
    Handle, MessageFormat, Outcome, Performative, Reader, ReceiverSettleMode, Role, SenderSettleMode, SequenceNo,
    Source, Symbol, Target, TerminusDurability, Transfer, TransferNumber, Value, begin_frame, finish_frame, next_frame,
};

const OUTCOMES: [Symbol<'static>; 4] = [
    Symbol::from_static("amqp:accepted:list"),
    Symbol::from_static("amqp:rejected:list"),
    Symbol::from_static("amqp:released:list"),
    Symbol::from_static("amqp:modified:list"),
];

/// Writes a whole frame: its header, its performative, and its payload.
#[inline]
pub fn write_frame(body: &impl Encode, payload: &[u8], out: &mut Vec<u8>) {
    let start = begin_frame(FrameType::Amqp, Channel(0), out);
    body.encode(out);
    out.extend_from_slice(payload);
    finish_frame(start, 0, out);
}

pub(crate) fn frame(body: &impl Encode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(body, payload, &mut out);
    out
}

/// The only transfer of an unsettled delivery: its number in four octets, its tag in eight.
pub fn transfer(delivery: u32) -> Transfer<'static> {
    Transfer {
        delivery_id: Some(DeliveryNumber(delivery)),
        delivery_tag: Some(DeliveryTag::from(u64::from(delivery))),
        message_format: Some(MessageFormat(0)),
        settled: Some(false),
        ..Transfer::new(Handle(0))
    }
}

/// A frame of [`transfer`].
pub fn transfer_frame(delivery: u32, payload: &[u8]) -> Vec<u8> {
    frame(&transfer(delivery), payload)
}

/// A flow of a link that states every field but the properties.
pub fn flow(transferred: u32, credit: u32) -> Flow<'static> {
    Flow {
        next_incoming_id: Some(TransferNumber(transferred)),
        incoming_window: 2048,
        next_outgoing_id: TransferNumber(70_000),
        outgoing_window: 2048,
        handle: Some(Handle(0)),
        delivery_count: Some(SequenceNo(transferred)),
        link_credit: Some(credit),
        available: Some(0),
        drain: false,
        echo: true,
        properties: None,
    }
}

/// A frame of [`flow`].
pub fn flow_frame(transferred: u32, credit: u32) -> Vec<u8> {
    frame(&flow(transferred, credit), &[])
}

/// A disposition that accepts and settles a range of deliveries.
pub fn disposition(first: u32, last: u32) -> Disposition<'static> {
    Disposition {
        role: Role::Receiver,
        first: DeliveryNumber(first),
        last: Some(DeliveryNumber(last)),
        settled: true,
        state: Some(DeliveryState::Accepted),
        batchable: true,
    }
}

/// A frame of [`disposition`].
pub fn disposition_frame(first: u32, last: u32) -> Vec<u8> {
    frame(&disposition(first, last), &[])
}

/// A sender's attach with source and target, four outcomes and a capability.
pub fn attach() -> Attach<'static> {
    let source = Source {
        address: Some(Value::from("queue/a1x/consumer-group-1")),
        durable: TerminusDurability::UnsettledState,
        default_outcome: Some(Outcome::Released),
        outcomes: OUTCOMES.into_iter().collect(),
        capabilities: [Symbol::from_static("queue")].into_iter().collect(),
        ..Source::default()
    };
    let target = Target { address: Some(Value::from("consumer-1")), ..Target::default() };
    Attach {
        snd_settle_mode: SenderSettleMode::Unsettled,
        rcv_settle_mode: ReceiverSettleMode::First,
        source: Some(source.into()),
        target: Some(target.into()),
        initial_delivery_count: Some(SequenceNo(0)),
        max_message_size: Some(1 << 20),
        ..Attach::new("receiver-1234567890123456789", Handle(0), Role::Sender)
    }
}

/// A frame of [`attach`].
pub fn attach_frame() -> Vec<u8> {
    frame(&attach(), &[])
}

/// Reads a whole frame: its header, its performative with every field in a struct, and its payload as a slice.
///
/// # Errors
/// When the performative is malformed.
///
/// # Panics
/// If there is no whole frame.
#[inline]
pub fn read_frame(octets: &[u8]) -> Result<(), DecodeError> {
    let Ok(Some(frame)) = next_frame(octets, 1 << 20) else { panic!("no whole frame") };
    black_box(frame.header);
    let mut reader = Reader::sized(frame.body);
    let performative: Performative<'_> = reader.read()?;
    black_box(&performative);
    black_box(reader.rest());
    Ok(())
}
