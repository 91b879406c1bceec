//! Transactions, Part 4.

use alloc::vec::Vec;
use core::fmt;

use crate::codec::owned_already;
use crate::composite::composite;
use crate::symbol::open_symbols;
use crate::{Decode, DecodeError, DecodeErrorKind, DeliveryTag, Encode, Multiple, Outcome, Reader, Value};

/// Identifies a transaction at its coordinator: up to 32 octets, held inline. §4.5.4
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct TransactionId(DeliveryTag);

/// A run of octets that is too long for a transaction-id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTransactionId;

impl fmt::Display for InvalidTransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a transaction-id may have at most 32 octets (§4.5.4)")
    }
}

impl core::error::Error for InvalidTransactionId {}

impl TransactionId {
    /// The most octets a transaction-id may have.
    pub const MAX: usize = DeliveryTag::MAX;

    /// An id of these octets.
    ///
    /// # Errors
    /// If there are more than 32 of them.
    pub fn new(octets: &[u8]) -> Result<Self, InvalidTransactionId> {
        DeliveryTag::new(octets).map(Self).map_err(|_| InvalidTransactionId)
    }

    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl From<u64> for TransactionId {
    /// The number in network order.
    fn from(number: u64) -> Self {
        Self(DeliveryTag::from(number))
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransactionId({self})")
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl<'a> Decode<'a> for TransactionId {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let octets = <&[u8]>::decode_data(constructor, reader)?;
        Self::new(octets).map_err(|_| {
            let at = reader.offset().saturating_sub(octets.len());
            DecodeError::new(DecodeErrorKind::InvalidValue("the length of a transaction-id"), at)
        })
    }
}

impl Encode for TransactionId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

owned_already!(TransactionId);

open_symbols! {
    /// What a coordinator can do, or is asked for. §4.5.7
    pub struct TxnCapability {
        /// Transactions of the coordinator's own.
        LOCAL_TRANSACTIONS = "amqp:local-transactions";
        /// Transactions that span several resources.
        DISTRIBUTED_TRANSACTIONS = "amqp:distributed-transactions";
        /// Local transactions that can become distributed ones.
        PROMOTABLE_TRANSACTIONS = "amqp:promotable-transactions";
        /// Several transactions at once in a session.
        MULTI_TXNS_PER_SSN = "amqp:multi-txns-per-ssn";
        /// Transactions whose work spans the sessions of a connection.
        MULTI_SSNS_PER_TXN = "amqp:multi-ssns-per-txn";
    }
}

composite! {
    /// The target of a link to a transaction coordinator. §4.5.1
    #[derive(Default)]
    pub struct Coordinator<'a>: "amqp:coordinator:list" = 0x30 {
        /// What the coordinator is asked for, or can do.
        capabilities: Multiple<TxnCapability<'a>>,
    }

    /// The body of a message that declares a transaction. §4.5.2
    #[derive(Default)]
    pub struct Declare<'a>: "amqp:declare:list" = 0x31 {
        /// The global transaction that the new one is to be part of.
        global_id: Option<Value<'a>>,
    }

    /// The body of a message that ends a transaction. §4.5.3
    #[derive(Copy)]
    pub struct Discharge: "amqp:discharge:list" = 0x32 {
        /// The transaction.
        txn_id: TransactionId,
        /// Whether it is to be rolled back; absent means that it is not.
        fail: Option<bool>,
    }

    /// The outcome of a declare: the transaction has been made. §4.5.5
    #[derive(Copy)]
    pub struct Declared: "amqp:declared:list" = 0x33 {
        /// The transaction.
        txn_id: TransactionId,
    }

    /// The state of a delivery that takes part in a transaction. §4.5.6
    pub struct TransactionalState<'a>: "amqp:transactional-state:list" = 0x34 {
        /// The transaction.
        txn_id: TransactionId,
        /// The outcome that takes effect when the transaction succeeds.
        outcome: Option<Outcome<'a>>,
    }
}
