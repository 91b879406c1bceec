//! Part 4: types of transactions, and the archetypes that they provide.

use amqp10_codec::{
    Accepted, Attach, Composite, Coordinator, Declare, Declared, Decode, DecodeError, DecodeErrorKind, DeliveryState,
    Described, Descriptor, Discharge, Disposition, Encode, ErrorCondition, IntoOwned, LifetimePolicy, List, Message,
    MessageView, Multiple, Outcome, Performative, Reader, Received, Rejected, Released, Source, SourceArchetype,
    Symbol, Target, TargetArchetype, TransactionId, TransactionalState, TxnCapability, Value, encode_to_vec,
};

fn read<'a, T: Decode<'a>>(octets: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::sized(octets);
    let value = reader.read()?;
    reader.finish()?;
    Ok(value)
}

/// Decodes these octets to this value and encodes it to them again; the same with the symbolic descriptor.
fn both_ways<'a, T>(octets: &'a [u8], value: &T)
where
    T: Composite + Encode + Decode<'a> + PartialEq + std::fmt::Debug,
{
    assert_eq!(read::<T>(octets).as_ref(), Ok(value));
    assert_eq!(encode_to_vec(value), octets);
    assert_eq!(octets[..3], [0, 0x53, T::CODE as u8]);
    let mut by_name = vec![0];
    Symbol::from_static(T::NAME).encode(&mut by_name);
    by_name.extend_from_slice(&octets[3..]);
    assert_eq!(read::<T>(by_name.leak()).as_ref(), Ok(value));
}

fn id(octets: &[u8]) -> TransactionId {
    TransactionId::new(octets).unwrap()
}

#[test]
fn types_of_transactions() {
    // 4.5.1-01
    let capabilities: Multiple<_> =
        [TxnCapability::LOCAL_TRANSACTIONS, TxnCapability::MULTI_TXNS_PER_SSN].into_iter().collect();
    let octets = [&b"\0\x53\x30\xc0\x35\x01\xe0\x32\x02\xa3\x17amqp:local-transactions\x17amqp:multi-txns-per-ssn"[..]];
    both_ways(&octets.concat(), &Coordinator { capabilities });
    both_ways(b"\0\x53\x30\x45", &Coordinator::default());
    assert_eq!(read::<Coordinator<'_>>(b"\0\x53\x30\xc0\x04\x01\xa3\x01x").unwrap().capabilities[0].as_str(), "x");
    // 4.5.2-01
    both_ways(b"\0\x53\x31\x45", &Declare::default());
    both_ways(b"\0\x53\x31\xc0\x04\x01\xa1\x01g", &Declare { global_id: Some(Value::from("g")) });
    // 4.5.3-01
    both_ways(b"\0\x53\x32\xc0\x05\x01\xa0\x02\x01\x02", &Discharge { txn_id: id(&[1, 2]), fail: None });
    both_ways(b"\0\x53\x32\xc0\x05\x02\xa0\x01\x07\x41", &Discharge { txn_id: id(&[7]), fail: Some(true) });
    // 4.5.5-01
    both_ways(b"\0\x53\x33\xc0\x03\x01\xa0\0", &Declared { txn_id: id(&[]) });
    // 4.5.6-01
    both_ways(b"\0\x53\x34\xc0\x04\x01\xa0\x01\x09", &TransactionalState { txn_id: id(&[9]), outcome: None });
    let accepted = TransactionalState { txn_id: id(&[9]), outcome: Some(Outcome::Accepted) };
    both_ways(b"\0\x53\x34\xc0\x08\x02\xa0\x01\x09\0\x53\x24\x45", &accepted);
}

#[test]
fn transaction_ids() {
    // 4.5.4-01
    for length in 0..=32 {
        let octets = vec![7; length];
        assert_eq!(read(&encode_to_vec(&octets[..])), Ok(id(&octets)));
        assert_eq!(id(&octets).as_slice(), octets);
    }
    assert!(TransactionId::new(&[7; 33]).is_err());
    let long = [&b"\0\x53\x33\xc0\x24\x01\xa0\x21"[..], &[7; 33]].concat();
    let error = read::<Declared>(&long).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::InvalidValue("the length of a transaction-id"), 8));
    for octets in [&b"\0\x53\x32\xc0\x02\x01\x40"[..], b"\0\x53\x33\x45", b"\0\x53\x34\xc0\x05\x02\x40\0\x53\x24\x45"] {
        let error = match octets[2] {
            0x32 => read::<Discharge>(octets).unwrap_err(),
            0x33 => read::<Declared>(octets).unwrap_err(),
            _ => read::<TransactionalState<'_>>(octets).unwrap_err(),
        };
        assert_eq!(error.kind(), DecodeErrorKind::MissingField("txn_id"));
    }
    assert!(read::<Declared>(b"\0\x53\x33\xc0\x04\x01\xa1\x01x").is_err(), "a string is no transaction-id");
    assert_eq!(format!("{:?}", TransactionId::from(258)), "TransactionId(0000000000000102)");
}

#[test]
fn capabilities_and_conditions() {
    // 4.5.7-01
    let names = [
        (TxnCapability::LOCAL_TRANSACTIONS, "amqp:local-transactions"),
        (TxnCapability::DISTRIBUTED_TRANSACTIONS, "amqp:distributed-transactions"),
        (TxnCapability::PROMOTABLE_TRANSACTIONS, "amqp:promotable-transactions"),
        (TxnCapability::MULTI_TXNS_PER_SSN, "amqp:multi-txns-per-ssn"),
        (TxnCapability::MULTI_SSNS_PER_TXN, "amqp:multi-ssns-per-txn"),
    ];
    for (capability, name) in names {
        assert_eq!(encode_to_vec(&capability), encode_to_vec(&Symbol::from_static(name)));
        assert_eq!(read(&encode_to_vec(&capability)), Ok(capability));
    }
    let conditions = [
        (ErrorCondition::TRANSACTION_UNKNOWN_ID, "amqp:transaction:unknown-id"),
        (ErrorCondition::TRANSACTION_ROLLBACK, "amqp:transaction:rollback"),
        (ErrorCondition::TRANSACTION_TIMEOUT, "amqp:transaction:timeout"),
    ];
    for (condition, name) in conditions {
        assert_eq!(condition.as_str(), name);
    }
}

/// The state of a disposition.
fn state(octets: &[u8]) -> Result<DeliveryState<'static>, DecodeError> {
    let body = [&b"\x41\x43\x40\x41"[..], octets].concat();
    let frame = [&[0, 0x53, 0x15, 0xc0, body.len() as u8 + 1, 5][..], &body].concat();
    let Performative::Disposition(Disposition { state, .. }) = read::<Performative<'_>>(&frame)?.into_owned() else {
        panic!("no disposition")
    };
    Ok(state.expect("there is a state"))
}

#[test]
fn delivery_states_of_transactions() {
    let declared = Declared { txn_id: id(&[1]) };
    assert_eq!(state(b"\0\x53\x33\xc0\x04\x01\xa0\x01\x01"), Ok(DeliveryState::Declared(declared.into())));
    let outcomes = [
        (&b"\0\x53\x24\x45"[..], Outcome::Accepted),
        (b"\0\x53\x25\x45", Outcome::Rejected(Box::default())),
        (b"\0\x53\x26\x45", Outcome::Released),
        (b"\0\x53\x27\x45", Outcome::Modified(Default::default())),
        (b"\0\x53\x33\xc0\x04\x01\xa0\x01\x01", Outcome::Declared(Box::new(declared))),
        (b"\0\xa3\x03x:y\x45", Outcome::Other(Box::new(Described::new(&Symbol::from_static("x:y"), &List::new())))),
    ];
    for (octets, outcome) in outcomes {
        assert_eq!(read(octets).as_ref(), Ok(&outcome));
        assert_eq!(encode_to_vec(&outcome), octets);
        assert_eq!(encode_to_vec(&DeliveryState::from(outcome.clone())), octets);
        assert_eq!(state(octets), Ok(DeliveryState::from(outcome.clone())));
        let inside = TransactionalState { txn_id: id(&[9]), outcome: Some(outcome) };
        let inside = DeliveryState::Transactional(Box::new(inside));
        assert_eq!(state(&encode_to_vec(&inside)).as_ref(), Ok(&inside));
        assert!(!inside.is_outcome());
    }
    assert!(DeliveryState::Declared(declared.into()).is_outcome());
    // 1.3-03: what does not provide an outcome is none.
    for octets in [&b"\0\x53\x23\xc0\x03\x02\x43\x44"[..], b"\0\x53\x34\xc0\x04\x01\xa0\x01\x01"] {
        assert!(state(octets).is_ok());
        let error = read::<Outcome<'_>>(octets).unwrap_err();
        let found = std::num::NonZeroU32::new(u32::from(octets[2]));
        let expected = DecodeErrorKind::UnexpectedDescriptor { expected: "an outcome", found };
        assert_eq!((error.kind(), error.offset()), (expected, 1));
        let source = [&[0, 0x53, 0x28, 0xc0, octets.len() as u8 + 9, 9][..], &[0x40; 8], octets].concat();
        assert!(read::<Source<'_>>(&source).is_err());
    }
    let nested = TransactionalState { txn_id: id(&[9]), outcome: None };
    let octets = [&b"\0\x53\x34\xc0\x0b\x02\xa0\x01\x09"[..], &encode_to_vec(&nested)].concat();
    assert!(state(&octets).is_err(), "a transactional-state is no outcome of another");
    assert!(state(&encode_to_vec(&Received { section_number: 1, section_offset: 2 })).is_ok());
    let named = [Accepted::NAME, Rejected::NAME, Released::NAME, "amqp:modified:list"];
    assert_eq!(Outcome::STANDARD.map(|symbol| symbol.as_str().to_owned()), named);
}

#[test]
fn termini_of_an_attach() {
    // 1.3-03, 4.5.1-01
    let attach = |source: &[u8], target: &[u8]| {
        let fields = [&b"\xa1\x01l\x43\x41\x40\x40"[..], source, target].concat();
        let octets = [&[0, 0x53, 0x12, 0xc0, fields.len() as u8 + 1, 7][..], &fields].concat();
        let attach = read::<Attach<'_>>(&octets)?;
        assert_eq!(encode_to_vec(&attach), octets);
        Ok::<_, DecodeError>(attach.into_owned())
    };
    let unknown = |code: u64| Described::new(&code, &List::new());
    let found = attach(b"\0\x53\x28\x45", b"\0\x53\x30\x45").unwrap();
    assert_eq!(found.source, Some(Source::default().into()));
    assert_eq!(found.source.unwrap().as_source(), Some(&Source::default()));
    let target = found.target.unwrap();
    assert_eq!((target.as_target(), target.as_coordinator()), (None, Some(&Coordinator::default())));
    let found = attach(b"\0\x53\x24\x45", b"\0\x53\x28\x45").unwrap();
    assert_eq!(found.source, Some(SourceArchetype::Other(unknown(0x24))));
    assert_eq!(found.target, Some(TargetArchetype::Other(unknown(0x28))));
    let found = attach(b"\x40", b"\0\x53\x29\x45").unwrap();
    assert_eq!((found.source, found.target), (None, Some(Target::default().into())));
    // What is not described at all is no terminus, and a known one has to be right.
    for (source, target) in [(&b"\x43"[..], &b"\x40"[..]), (b"\x40", b"\xa1\x01x"), (b"\0\x53\x28\x43", b"\x40")] {
        assert!(attach(source, target).is_err());
    }
}

#[test]
fn termini_replace_what_stood_in_their_place() {
    let before = Target { dynamic: true, ..Target::at("before") };
    for octets in [&b"\0\x53\x29\x45"[..], b"\0\x53\x29\xc0\x04\x01\xa1\x01a", b"\0\x53\x30\x45", b"\0\x53\x28\x45"] {
        let mut place = Some(TargetArchetype::from(before.clone()));
        let mut reader = Reader::sized(&octets[1..]);
        TargetArchetype::decode_into(&mut place, octets[0], &mut reader).unwrap();
        assert!(reader.is_empty());
        let target = read::<TargetArchetype<'_>>(octets).unwrap();
        assert_eq!(encode_to_vec(&target), octets);
        assert_eq!(place, Some(target));
    }
}

#[test]
fn bodies_of_messages_to_a_coordinator() {
    let declare = Message::value(Described::from(&Declare::default()));
    let mut octets = Vec::new();
    declare.encode(&mut octets);
    assert_eq!(octets, b"\0\x53\x77\0\x53\x31\x45");
    let view = MessageView::parse(&octets).unwrap();
    let amqp10_codec::Body::Value(Value::Described(body)) = view.body().unwrap() else { panic!() };
    assert_eq!(body.descriptor(), Ok(Descriptor::Code(Declare::CODE)));
    assert_eq!(body.read::<Declare<'_>>(), Ok(Declare::default()));
    assert!(body.read::<Discharge>().is_err());
}

#[test]
fn lifetime_policies() {
    // 3.5.9-02
    let policies = [
        (LifetimePolicy::DeleteOnClose, 0x2b, "amqp:delete-on-close:list"),
        (LifetimePolicy::DeleteOnNoLinks, 0x2c, "amqp:delete-on-no-links:list"),
        (LifetimePolicy::DeleteOnNoMessages, 0x2d, "amqp:delete-on-no-messages:list"),
        (LifetimePolicy::DeleteOnNoLinksOrMessages, 0x2e, "amqp:delete-on-no-links-or-messages:list"),
    ];
    for (policy, code, name) in policies {
        let octets = [0, 0x53, code, 0x45];
        assert_eq!(encode_to_vec(&policy), octets);
        assert_eq!(read(&octets), Ok(policy));
        let mut by_name = encode_to_vec(&Described::new(&Symbol::from_static(name), &List::new()));
        assert_eq!(read(&by_name), Ok(policy));
        by_name.pop();
        by_name.push(0x43);
        assert!(read::<LifetimePolicy>(&by_name).is_err());
    }
    assert!(read::<LifetimePolicy>(b"\0\x53\x2a\x45").is_err());
}
