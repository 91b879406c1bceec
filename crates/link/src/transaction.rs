//! The book of the transactions of a connection, of which it may be controller, coordinator or both. Part 4

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use amqp10_codec::{
    Attach, Composite, Coordinator, DeliveryState, Error, ErrorCondition, IntoOwned, Outcome, Rejected, Str,
    TransactionId, TransactionalState, Transfer, TxnCapability, Value,
};

use crate::link::{End, Link};
use crate::slots::{Key, LinkId};
use crate::violation::Violation;
use crate::{DeliveryKey, SendError, SettleError};

/// What happened to a transaction, told of the control link on which it was, or is to be, declared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TransactionEvent {
    /// To the coordinator: the peer asks for a transaction. [`declare_accepted`](crate::Connection::declare_accepted) or
    /// [`reject_request`](crate::Connection::reject_request) answers. §4.2
    Declare {
        /// The name of the request, by which it is answered.
        request: DeliveryKey,
        /// The global transaction that the new one is to be part of. Only if the coordinator offers distributed transactions.
        global_id: Option<Value<'static>>,
    },
    /// To the coordinator: the peer is done with a transaction. [`discharge_accepted`](crate::Connection::discharge_accepted) or
    /// [`reject_request`](crate::Connection::reject_request) answers. §4.3
    Discharge {
        /// The name of the request, by which it is answered.
        request: DeliveryKey,
        /// The transaction.
        transaction: TransactionId,
        /// Whether it is to be rolled back.
        fail: bool,
    },
    /// To the controller: the transaction is there. §4.5.5
    Declared {
        /// What [`declare`](crate::Connection::declare) returned.
        request: DeliveryKey,
        /// The transaction.
        transaction: TransactionId,
    },
    /// To the controller: there will be no transaction. §4.2
    NotDeclared {
        /// What [`declare`](crate::Connection::declare) returned.
        request: DeliveryKey,
        /// Why, if the peer said so.
        error: Option<Error<'static>>,
    },
    /// The transaction is over. Exactly one for every transaction; but the coordinator is not told what it answered itself.
    Ended {
        /// The transaction.
        transaction: TransactionId,
        /// How it ended.
        end: TransactionEnd,
        /// What belonged to it.
        work: Vec<Work>,
    },
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TransactionEnd {
    /// All of it took effect.
    Committed,
    /// None of it took effect; with the error if the resource gave one. §4.3
    RolledBack(Option<Error<'static>>),
    /// To the controller: the control link ended, or was answered without sense, while a commit was under way.
    InDoubt,
}

/// A delivery that takes part in a transaction. §4.4
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Work {
    /// The delivery.
    pub delivery: DeliveryKey,
    /// How it takes part.
    pub kind: WorkKind,
    /// The outcome that takes effect if the transaction is committed, as far as one was told.
    pub outcome: Option<Outcome<'static>>,
    /// Whether the delivery is settled: nothing more can be said about it. §4.4.4
    pub settled: bool,
}

/// How a delivery takes part in a transaction. §4.4
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// The controller sent it: it becomes available with the commit. §4.4.1
    Posted,
    /// The resource sent it outside of the transaction; its outcome takes effect with the commit. §4.4.2
    Retired,
    /// The resource sent it within the transaction: a rollback takes that back. §4.4.3
    Acquired,
}

/// Why a coordinator could not do what it was asked for. §4.5.8
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionError {
    /// There is no such transaction.
    UnknownId,
    /// The transaction was rolled back, or could not be declared.
    Rollback,
    /// It took too long.
    Timeout,
}

impl TransactionError {
    /// The condition that the peer is told.
    pub const fn condition(self) -> ErrorCondition<'static> {
        match self {
            Self::UnknownId => ErrorCondition::TRANSACTION_UNKNOWN_ID,
            Self::Rollback => ErrorCondition::TRANSACTION_ROLLBACK,
            Self::Timeout => ErrorCondition::TRANSACTION_TIMEOUT,
        }
    }
}

/// Why a command about a transaction was not carried out. Nothing has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactError {
    /// This is no attached link to a coordinator.
    NotControl,
    /// The peer has granted no credit on the control link; [`LinkEvent::Sendable`](crate::LinkEvent::Sendable) tells when it has.
    NoCredit,
    /// There is no such transaction, it is being discharged, or may not be used on this session. §4.5.7
    UnknownTransaction,
    /// There is no such request, or it is answered already.
    UnknownRequest,
    /// The coordinator does not do distributed transactions. §4.5.2
    NotDistributed,
    /// A delivery of the transaction has not left completely: finish or abort it, and send what waits. §4.4.1
    Unfinished,
    /// A link that acquires in the transaction has credit left: drain it, or take its credit back. §4.4.3
    CreditOutstanding,
    /// The outcome of a posted delivery has not been told. §4.4.1
    Undecided,
    /// A rollback that the controller asks for cannot be rejected. §4.3
    MustSucceed,
    /// A live transaction has this id.
    DuplicateId,
}

impl fmt::Display for TransactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotControl => "this is no attached link to a coordinator",
            Self::NoCredit => "the peer has granted no credit on the control link",
            Self::UnknownTransaction => "there is no such transaction here",
            Self::UnknownRequest => "there is no such request, or it is answered",
            Self::NotDistributed => "the coordinator does not do distributed transactions",
            Self::Unfinished => "a delivery of the transaction has not left completely",
            Self::CreditOutstanding => "a link that acquires in the transaction has credit left",
            Self::Undecided => "the outcome of a posted delivery has not been told",
            Self::MustSucceed => "a rollback that the controller asks for cannot be rejected",
            Self::DuplicateId => "a live transaction has this id",
        })
    }
}

impl std::error::Error for TransactError {}

/// On which side of a transaction we are. The ids of one side mean nothing to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Controller,
    Coordinator,
}

/// A link to a coordinator.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) side: Side,
    pub(crate) session: Key,
    pub(crate) distributed: bool,
    pub(crate) multi_txns: bool,
    pub(crate) multi_sessions: bool,
    /// Whether its source supports the rejected outcome.
    pub(crate) rejects: bool,
    /// Our detach is out: what is declared now is rolled back at once.
    pub(crate) ending: bool,
}

impl Control {
    pub(crate) fn new(side: Side, session: Key, coordinator: Option<&Coordinator<'_>>, attach: &Attach<'_>) -> Self {
        let can = |capability: TxnCapability<'_>| {
            coordinator.is_some_and(|coordinator| coordinator.capabilities.contains(&capability))
        };
        let source = attach.source.as_ref().and_then(|source| source.as_source());
        let rejects = source.is_some_and(|source| {
            // Without outcomes it is the default outcome that all messages get. §3.5.3
            source.outcomes.iter().any(|outcome| outcome.as_str() == Rejected::NAME)
                || matches!(source.default_outcome, Some(Outcome::Rejected(_)))
        });
        Self {
            side,
            session,
            distributed: can(TxnCapability::DISTRIBUTED_TRANSACTIONS),
            multi_txns: can(TxnCapability::MULTI_TXNS_PER_SSN),
            multi_sessions: can(TxnCapability::MULTI_SSNS_PER_TXN),
            rejects,
            ending: false,
        }
    }
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Live,
    /// The request to discharge it waits for an answer.
    Discharging {
        request: DeliveryKey,
        fail: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) side: Side,
    pub(crate) control: Key,
    pub(crate) phase: Phase,
    /// It cannot be committed any more.
    pub(crate) failed: Option<TransactionError>,
    pub(crate) members: BTreeSet<DeliveryKey>,
    /// Links that acquire in it.
    pub(crate) acquirers: Vec<Key>,
}

/// What is kept of a delivery that takes part in a transaction.
#[derive(Debug)]
pub(crate) struct Member {
    /// The number of its transaction.
    pub(crate) number: u64,
    pub(crate) kind: WorkKind,
    pub(crate) outcome: Option<Outcome<'static>>,
    pub(crate) settled: bool,
    /// Not all of it has arrived, or left.
    pub(crate) partial: bool,
}

/// A request on a control link that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Declare,
    /// Of the transaction of this number.
    Discharge(u64),
}

/// An answer that waits until deliveries of its transaction have left. §4.4.3
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) request: DeliveryKey,
    /// Why the commit is refused; none for a rollback that is accepted.
    pub(crate) refusal: Option<Error<'static>>,
    pub(crate) waits_for: BTreeSet<DeliveryKey>,
}

/// The transactions of a connection. Exists only where there has been a control link.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) controls: BTreeMap<Key, Control>,
    /// By number, hence in the order in which they were declared.
    live: BTreeMap<u64, Transaction>,
    by_id: HashMap<(Side, TransactionId), u64>,
    members: BTreeMap<DeliveryKey, Member>,
    pub(crate) requests: BTreeMap<DeliveryKey, Request>,
    pub(crate) deferred: Vec<Deferred>,
    next: u64,
    /// The next id to assign.
    pub(crate) next_id: u64,
    max_members: usize,
}

impl Transactions {
    pub(crate) fn new(max_members: usize) -> Self {
        Self {
            controls: BTreeMap::new(),
            live: BTreeMap::new(),
            by_id: HashMap::new(),
            members: BTreeMap::new(),
            requests: BTreeMap::new(),
            deferred: Vec::new(),
            next: 0,
            next_id: 0,
            max_members,
        }
    }

    /// Enters a new transaction. `false` if its id is in use.
    pub(crate) fn declared(&mut self, side: Side, control: Key, id: TransactionId) -> bool {
        if self.by_id.contains_key(&(side, id)) {
            return false;
        }
        let transaction = Transaction {
            id,
            side,
            control,
            phase: Phase::Live,
            failed: None,
            members: BTreeSet::new(),
            acquirers: Vec::new(),
        };
        self.by_id.insert((side, id), self.next);
        self.live.insert(self.next, transaction);
        self.next = self.next.saturating_add(1);
        true
    }

    pub(crate) fn number(&self, side: Side, id: TransactionId) -> Option<u64> {
        self.by_id.get(&(side, id)).copied()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Transaction> {
        self.live.get(&number)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Transaction> {
        self.live.get_mut(&number)
    }

    /// The numbers of the transactions that were declared on a control link, oldest first.
    pub(crate) fn of_control(&self, control: Key) -> Vec<u64> {
        let mine = self.live.iter().filter(|(_, transaction)| transaction.control == control);
        mine.map(|(number, _)| *number).collect()
    }

    /// How many transactions the peer has here, or has asked for; and how many of those on control links of `session`.
    pub(crate) fn count(&self, session: Key) -> (usize, usize) {
        let ours = |control: &Key| self.controls.get(control).filter(|control| control.side == Side::Coordinator);
        let live = self.live.values().filter_map(|transaction| ours(&transaction.control));
        let asked = self.requests.iter().filter(|(_, request)| **request == Request::Declare);
        let asked = asked.filter_map(|(key, _)| ours(&key.link));
        live.chain(asked).fold((0, 0), |(all, here), control| {
            (all.saturating_add(1), here.saturating_add(usize::from(control.session == session)))
        })
    }

    /// The transaction of this id, if work may be added to it on this session.
    pub(crate) fn usable(&self, side: Side, id: TransactionId, session: Key) -> Option<u64> {
        let number = self.number(side, id)?;
        let transaction = self.live.get(&number).filter(|transaction| transaction.phase == Phase::Live)?;
        let control = self.controls.get(&transaction.control)?;
        (!control.ending && (control.session == session || control.multi_sessions)).then_some(number)
    }

    pub(crate) fn member(&self, delivery: DeliveryKey) -> Option<(&Member, &Transaction)> {
        let member = self.members.get(&delivery)?;
        Some((member, self.live.get(&member.number)?))
    }

    /// The deliveries of a link that take part in transactions.
    pub(crate) fn members_of_link(&self, link: Key) -> Vec<DeliveryKey> {
        const FIRST: Key = Key { slot: 0, generation: 0 };
        const LAST: Key = Key { slot: u32::MAX, generation: u32::MAX };
        let range = DeliveryKey { link, delivery: FIRST }..=DeliveryKey { link, delivery: LAST };
        self.members.range(range).map(|(key, _)| *key).collect()
    }

    /// Enters a delivery, unless it is there. A transaction of more than the book can hold can only be rolled back.
    pub(crate) fn join(&mut self, number: u64, delivery: DeliveryKey, kind: WorkKind) -> Option<&mut Member> {
        let full = self.members.len() >= self.max_members && !self.members.contains_key(&delivery);
        let transaction = self.live.get_mut(&number)?;
        if full && transaction.side == Side::Coordinator {
            transaction.failed = transaction.failed.or(Some(TransactionError::Rollback));
            return None;
        }
        transaction.members.insert(delivery);
        let member = Member { number, kind, outcome: None, settled: false, partial: false };
        Some(self.members.entry(delivery).or_insert(member))
    }

    /// A delivery takes no part in a transaction any more.
    pub(crate) fn leave(&mut self, delivery: DeliveryKey) {
        if let Some(member) = self.members.remove(&delivery)
            && let Some(transaction) = self.live.get_mut(&member.number)
        {
            transaction.members.remove(&delivery);
        }
    }

    /// The deliveries of a transaction.
    pub(crate) fn members(&self, number: u64) -> impl Iterator<Item = (DeliveryKey, &Member)> {
        let keys = self.live.get(&number).into_iter().flat_map(|transaction| &transaction.members);
        keys.filter_map(|key| Some((*key, self.members.get(key)?)))
    }

    /// Takes a transaction out of the book, with everything that belongs to it.
    pub(crate) fn remove(&mut self, number: u64) -> Option<(Transaction, Vec<(DeliveryKey, Member)>)> {
        let transaction = self.live.remove(&number)?;
        self.by_id.remove(&(transaction.side, transaction.id));
        if let Phase::Discharging { request, .. } = transaction.phase {
            self.requests.remove(&request);
        }
        let keys = transaction.members.iter();
        let members = keys.filter_map(|key| Some((*key, self.members.remove(key)?))).collect();
        Some((transaction, members))
    }

    /// All or part of a delivery has come in that may be part of a transaction, on a link that was `asked` to acquire or not.
    /// Returns whether it names one.
    #[cold]
    pub(crate) fn received(
        &mut self,
        delivery: DeliveryKey,
        transfer: &Transfer<'_>,
        settled: bool,
        asked: bool,
    ) -> bool {
        if transfer.aborted {
            self.leave(delivery);
            return false;
        }
        if let Some(DeliveryState::Transactional(named)) = &transfer.state {
            let acquired = self.number(Side::Controller, named.txn_id).filter(|_| asked);
            let posted = || Some((self.number(Side::Coordinator, named.txn_id)?, WorkKind::Posted));
            if let Some((number, kind)) = acquired.map(|number| (number, WorkKind::Acquired)).or_else(posted) {
                self.join(number, delivery, kind);
            }
        }
        if let Some(member) = self.members.get_mut(&delivery) {
            member.settled |= settled;
            member.partial = transfer.more;
        }
        matches!(transfer.state, Some(DeliveryState::Transactional(_)))
    }

    /// The state to tell of a delivery that came in: within its transaction, if it has one.
    pub(crate) fn state_of_received(
        &mut self,
        delivery: DeliveryKey,
        session: Key,
        state: DeliveryState<'static>,
        settled: bool,
    ) -> Result<DeliveryState<'static>, SettleError> {
        let state = match self.member(delivery) {
            Some((_, transaction)) => {
                let ending = transaction.side == Side::Controller && transaction.phase != Phase::Live;
                let state = within(transaction.id, state).ok_or(SettleError::WrongTransaction)?;
                if ending && matches!(state, DeliveryState::Transactional(_)) {
                    return Err(SettleError::UnknownTransaction);
                }
                state
            }
            None => {
                if let DeliveryState::Transactional(named) = &state {
                    let number = self.usable(Side::Controller, named.txn_id, session);
                    let number = number.ok_or(SettleError::UnknownTransaction)?;
                    self.join(number, delivery, WorkKind::Retired);
                }
                state
            }
        };
        self.note(delivery, Some(&state), settled);
        Ok(state)
    }

    /// The state to tell of a delivery that went out: within its transaction, if it has one.
    pub(crate) fn state_of_sent(
        &mut self,
        delivery: DeliveryKey,
        state: Option<DeliveryState<'static>>,
    ) -> Result<Option<DeliveryState<'static>>, SettleError> {
        let state = match (self.member(delivery), state) {
            (Some((_, transaction)), Some(state)) => {
                Some(within(transaction.id, state).ok_or(SettleError::WrongTransaction)?)
            }
            (None, Some(DeliveryState::Transactional(_))) => return Err(SettleError::UnknownTransaction),
            (_, state) => state,
        };
        self.note(delivery, state.as_ref(), true);
        Ok(state)
    }

    /// A delivery that waited to leave has left.
    pub(crate) fn left(&mut self, delivery: DeliveryKey, aborted: bool) {
        if aborted {
            self.leave(delivery);
        } else if let Some(member) = self.members.get_mut(&delivery) {
            member.partial = false;
        }
        for deferred in &mut self.deferred {
            deferred.waits_for.remove(&delivery);
        }
    }

    /// Whether an answer waits for nothing any more.
    pub(crate) fn owes_answers(&self) -> bool {
        self.deferred.iter().any(|deferred| deferred.waits_for.is_empty())
    }

    /// Keeps what was told of a delivery.
    pub(crate) fn note(&mut self, delivery: DeliveryKey, state: Option<&DeliveryState<'_>>, settled: bool) {
        if let Some(member) = self.members.get_mut(&delivery) {
            if let Some(DeliveryState::Transactional(state)) = state
                && let Some(outcome) = &state.outcome
            {
                member.outcome = Some(outcome.clone().into_owned());
            }
            member.settled |= settled;
        }
    }
}

/// A state within a transaction; `None` if it is within another one already. What is no outcome has no place in one.
fn within(id: TransactionId, state: DeliveryState<'static>) -> Option<DeliveryState<'static>> {
    let outcome = match state {
        DeliveryState::Transactional(named) if named.txn_id != id => return None,
        DeliveryState::Accepted => Outcome::Accepted,
        DeliveryState::Released => Outcome::Released,
        DeliveryState::Rejected(state) => Outcome::Rejected(state),
        DeliveryState::Modified(state) => Outcome::Modified(state),
        state => return Some(state),
    };
    Some(DeliveryState::Transactional(Box::new(TransactionalState { txn_id: id, outcome: Some(outcome) })))
}

/// Whether the state on a transfer may name the transaction that it names, if it does. §4.4.1
#[cold]
pub(crate) fn check_transfer(
    transactions: Option<&Transactions>,
    session: Key,
    key: Key,
    link: &Link,
    state: &DeliveryState<'_>,
) -> Result<(), Violation> {
    let (DeliveryState::Transactional(state), End::Receiver(end)) = (state, &link.end) else {
        return Ok(());
    };
    if end.control {
        return Err(Violation::WorkOnControlLink);
    }
    // A link that acquires may have been told before its transaction ended.
    let usable = transactions.and_then(|transactions| transactions.usable(Side::Coordinator, state.txn_id, session));
    if !end.asked && usable.is_none() {
        return Err(Violation::UnknownTransaction);
    }
    let (Some(incoming), Some(transactions)) = (&end.incoming, transactions) else {
        return Ok(());
    };
    // The first transfer of the delivery has named one, or none.
    let same = match transactions.member(DeliveryKey { link: key, delivery: incoming.head.key.delivery }) {
        Some((_, transaction)) => transaction.id == state.txn_id,
        // Of a transaction that is over nothing is known any more.
        None => incoming.head.transactional && usable.is_none(),
    };
    if same { Ok(()) } else { Err(Violation::ChangedInDelivery("the transaction")) }
}

/// What the state of a delivery that is begun on a link says, and the number of its transaction. §4.4.1, §4.4.3
pub(crate) fn of_start(
    transactions: Option<&Transactions>,
    session: Key,
    link: &Link,
    wanted: Option<TransactionId>,
) -> Result<(DeliveryState<'static>, u64, WorkKind), SendError> {
    let transactions = transactions.ok_or(SendError::UnknownTransaction)?;
    let acquisition = link.acquisition.as_deref().copied();
    let (id, side, kind) = match (wanted, acquisition) {
        (Some(id), Some(acquisition)) if id == acquisition => (id, Side::Coordinator, WorkKind::Acquired),
        (None, Some(id)) => (id, Side::Coordinator, WorkKind::Acquired),
        (Some(id), _) => (id, Side::Controller, WorkKind::Posted),
        (None, None) => return Err(SendError::UnknownTransaction),
    };
    let number = transactions.usable(side, id, session).ok_or(SendError::UnknownTransaction)?;
    let state = TransactionalState { txn_id: id, outcome: None };
    Ok((DeliveryState::Transactional(Box::new(state)), number, kind))
}

impl Work {
    pub(crate) fn new((delivery, member): (DeliveryKey, Member)) -> Self {
        Self { delivery, kind: member.kind, outcome: member.outcome, settled: member.settled }
    }
}

impl crate::Connection {
    /// What belongs to a live transaction: one of ours as coordinator, or else one that we declared.
    pub fn work(&self, transaction: TransactionId) -> Vec<Work> {
        let Some(transactions) = &self.transactions else {
            return Vec::new();
        };
        let number = transactions.number(Side::Coordinator, transaction);
        let number = number.or_else(|| transactions.number(Side::Controller, transaction));
        let members = number.into_iter().flat_map(|number| transactions.members(number));
        let work = members.map(|(delivery, member)| Work {
            delivery,
            kind: member.kind,
            outcome: member.outcome.clone(),
            settled: member.settled,
        });
        work.collect()
    }

    /// A link to a coordinator is attached: from now on its transactions are kept.
    pub(crate) fn control_attached(&mut self, key: Key) {
        let Some(link) = self.links.get(key) else {
            return;
        };
        let Some(remote) = link.remote_attach.as_deref() else {
            return;
        };
        let control = match link.role() {
            amqp10_codec::Role::Sender => {
                let coordinator = remote.target.as_ref().and_then(|target| target.as_coordinator());
                Control::new(Side::Controller, link.session, coordinator, remote)
            }
            amqp10_codec::Role::Receiver => {
                Control::new(Side::Coordinator, link.session, link.coordinator.as_deref(), remote)
            }
        };
        let most = self.config.max_transactional_deliveries;
        let transactions = self.transactions.get_or_insert_with(|| Box::new(Transactions::new(most)));
        transactions.controls.insert(key, control);
    }

    pub(crate) fn tell_transaction(&mut self, control: Key, event: TransactionEvent) {
        self.events.push_back(crate::Event::Transaction(LinkId(control), Box::new(event)));
    }

    /// A link is over, or if not `finally`, about to be: so are the transactions declared on it. §4.1
    #[cold]
    pub(crate) fn link_over(&mut self, key: Key, finally: bool, error: Option<Error<'static>>) {
        let Some(transactions) = self.transactions.as_deref_mut() else {
            return;
        };
        let Some(control) = transactions.controls.get_mut(&key) else {
            if finally {
                self.forget_parts(key);
            }
            return;
        };
        let side = control.side;
        control.ending = true;
        for number in transactions.of_control(key) {
            match side {
                Side::Coordinator => self.roll_back(number),
                Side::Controller => self.control_lost(number, finally, error.as_ref()),
            }
        }
        if !finally && side == Side::Controller {
            return;
        }
        if let Some(transactions) = self.transactions.as_deref_mut() {
            transactions.controls.remove(&key);
            transactions.deferred.retain(|deferred| deferred.request.link != key);
            let mine = transactions.requests.keys().filter(|request| request.link == key).copied();
            for request in mine.collect::<Vec<_>>() {
                if let Some(transactions) = self.transactions.as_deref_mut() {
                    transactions.requests.remove(&request);
                }
                if side == Side::Controller {
                    let error = error.clone();
                    self.tell_transaction(key, TransactionEvent::NotDeclared { request, error });
                }
            }
        }
    }

    /// What has not arrived or left completely on a link that is over never will.
    fn forget_parts(&mut self, link: Key) {
        let Some(transactions) = self.transactions.as_deref_mut() else {
            return;
        };
        for key in transactions.members_of_link(link) {
            if transactions.member(key).is_some_and(|(member, _)| member.partial) {
                transactions.leave(key);
            }
        }
        for deferred in &mut transactions.deferred {
            deferred.waits_for.retain(|key| key.link != link);
        }
        for transaction in transactions.live.values_mut() {
            transaction.acquirers.retain(|key| *key != link);
        }
    }

    /// An error in the words of §4.5.8.
    pub(crate) fn transaction_error(error: TransactionError, text: impl Into<Str<'static>>) -> Error<'static> {
        Error::new(error.condition(), text)
    }
}
