//! What tests of transactions say and read.

use amqp10_codec::{
    Attach, Declare, DeliveryState, Discharge, Encode, Fields, Flow, Outcome, Performative, Role, Source, Symbol,
    TransactionId, TransactionalState, Transfer, TxnCapability, Value,
};
use amqp10_link::{Event, TransactionEnd, TransactionEvent, Work};

use super::Script;
use super::script::*;

pub(crate) const EVERYTHING: [TxnCapability<'static>; 4] = [
    TxnCapability::LOCAL_TRANSACTIONS,
    TxnCapability::DISTRIBUTED_TRANSACTIONS,
    TxnCapability::MULTI_TXNS_PER_SSN,
    TxnCapability::MULTI_SSNS_PER_TXN,
];

pub(crate) fn id(octets: &[u8]) -> TransactionId {
    TransactionId::new(octets).unwrap()
}

/// A state within a transaction.
pub(crate) fn within(id: TransactionId, outcome: Option<Outcome<'static>>) -> DeliveryState<'static> {
    DeliveryState::Transactional(Box::new(TransactionalState { txn_id: id, outcome }))
}

/// A message of one amqp-value section.
pub(crate) fn message(body: &impl Encode) -> Vec<u8> {
    let mut octets = vec![0x00, 0x53, 0x77];
    body.encode(&mut octets);
    octets
}

pub(crate) fn declare() -> Vec<u8> {
    message(&Declare { global_id: None })
}

pub(crate) fn discharge(id: TransactionId, fail: Option<bool>) -> Vec<u8> {
    message(&Discharge { txn_id: id, fail })
}

/// The attach of a peer that controls transactions.
pub(crate) fn controller(name: &'static str, handle: u32, outcomes: &[&'static str]) -> Attach<'static> {
    let outcomes = outcomes.iter().map(|outcome| Symbol::from_static(outcome)).collect();
    let source = Source { outcomes, ..Source::default() };
    Attach {
        source: Some(source.into()),
        target: Some(amqp10_codec::Coordinator::default().into()),
        ..sender(name, handle)
    }
}

/// The only transfer of a delivery in a transaction, or its first.
pub(crate) fn post(handle: u32, number: u32, id: TransactionId) -> Transfer<'static> {
    Transfer { state: Some(within(id, None)), ..first(handle, number) }
}

/// A flow with credit and a transaction to acquire in.
pub(crate) fn acquire(handle: u32, count: u32, more: u32, id: impl Into<Value<'static>>) -> Flow<'static> {
    let properties = Fields::new().with(Symbol::from_static("txn-id"), id.into());
    Flow { properties: Some(properties), ..credit(handle, count, more) }
}

pub(crate) fn binary(id: TransactionId) -> Value<'static> {
    Value::Binary(id.as_slice().to_vec().into())
}

/// What the peer, as a receiver or sender, says of one delivery.
pub(crate) fn state(
    role: Role,
    number: u32,
    settled: bool,
    state: Option<DeliveryState<'static>>,
) -> amqp10_codec::Disposition<'static> {
    amqp10_codec::Disposition { state, ..disposition(role, number, number, settled) }
}

fn text_of_outcome(outcome: &Outcome<'_>) -> String {
    text_of_state(&outcome.clone().into())
}

pub(crate) fn text_of_state(state: &DeliveryState<'_>) -> String {
    match state {
        DeliveryState::Accepted => "accepted".to_owned(),
        DeliveryState::Released => "released".to_owned(),
        DeliveryState::Rejected(rejected) => match &rejected.error {
            Some(error) => format!("rejected {}", error.condition),
            None => "rejected".to_owned(),
        },
        DeliveryState::Declared(declared) => format!("declared {}", declared.txn_id),
        DeliveryState::Transactional(state) => match &state.outcome {
            Some(outcome) => format!("in {} {}", state.txn_id, text_of_outcome(outcome)),
            None => format!("in {}", state.txn_id),
        },
        other => format!("{other:?}"),
    }
}

/// What the engine has sent since the last call, with the states, without flows that only grant credit.
pub(crate) fn told(peer: &mut Script) -> Vec<String> {
    let mut told = Vec::new();
    for (channel, performative, payload) in peer.frames() {
        let mut text = format!("{channel} {}", text(&performative, &payload));
        match &performative {
            Performative::Transfer(transfer) => {
                if let Some(state) = &transfer.state {
                    text += &format!(" {}", text_of_state(state));
                }
            }
            Performative::Disposition(disposition) => {
                if let Some(state) = &disposition.state {
                    text += &format!(" {}", text_of_state(state));
                }
            }
            Performative::Flow(flow) => {
                let property = flow.properties.as_ref().and_then(|properties| properties.get("txn-id").unwrap());
                match property {
                    Some(Value::Binary(octets)) => text += &format!(" acquires in {}", id(&octets)),
                    Some(other) => text += &format!(" acquires in {other:?}"),
                    None if flow.drain => {}
                    None => continue,
                }
            }
            _ => {}
        }
        told.push(text);
    }
    told
}

/// What the engine has told about transactions since the last call.
pub(crate) fn transactions(events: Vec<Event>) -> Vec<TransactionEvent> {
    let one = |event| if let Event::Transaction(_, event) = event { Some(*event) } else { None };
    events.into_iter().filter_map(one).collect()
}

/// The same as text.
pub(crate) fn texts(events: Vec<Event>) -> Vec<String> {
    transactions(events).iter().map(text_of_event).collect()
}

pub(crate) fn text_of_event(event: &TransactionEvent) -> String {
    match event {
        TransactionEvent::Declare { global_id, .. } => match global_id {
            Some(global_id) => format!("declare for {global_id:?}"),
            None => "declare".to_owned(),
        },
        TransactionEvent::Discharge { transaction, fail: false, .. } => format!("commit {transaction}"),
        TransactionEvent::Discharge { transaction, fail: true, .. } => format!("roll back {transaction}"),
        TransactionEvent::Declared { transaction, .. } => format!("declared {transaction}"),
        TransactionEvent::NotDeclared { error, .. } => match error {
            Some(error) => format!("not declared: {}", error.condition),
            None => "not declared".to_owned(),
        },
        TransactionEvent::Ended { transaction, end, work } => {
            let end = match end {
                TransactionEnd::Committed => "committed".to_owned(),
                TransactionEnd::RolledBack(None) => "rolled back".to_owned(),
                TransactionEnd::RolledBack(Some(error)) => format!("rolled back: {}", error.condition),
                TransactionEnd::InDoubt => "in doubt".to_owned(),
                other => format!("{other:?}"),
            };
            let work: Vec<String> = work.iter().map(text_of_work).collect();
            format!("{transaction} {end} [{}]", work.join(", "))
        }
        other => format!("{other:?}"),
    }
}

pub(crate) fn text_of_work(work: &Work) -> String {
    let mut text = format!("{:?}", work.kind).to_lowercase();
    if let Some(outcome) = &work.outcome {
        text += &format!(" {}", text_of_outcome(outcome));
    }
    if work.settled {
        text += " settled";
    }
    text
}
