//! The side of a transaction that does the work: it allocates transactions, and sees that work is within one. §4.1

use std::collections::BTreeSet;

use amqp10_codec::{
    Body, Declare, Declared, Decode, DeliveryState, Discharge, Error, ErrorCondition, Fields, IntoOwned, MessageView,
    Reader, Rejected, Str, TransactionId, Value, encode_to_vec,
};

use crate::connection::Connection;
use crate::slots::{Key, LinkId};
use crate::transaction::{Deferred, Phase, Request, Side, TransactionEnd, Work, WorkKind};
use crate::violation::Violation;
use crate::{Delivery, DeliveryKey, TransactError, TransactionError, TransactionEvent};

/// What a message on a control link asks for.
enum Asked {
    Declare(Option<Value<'static>>),
    Discharge(Discharge),
}

/// Reads the body of a message on a control link; other sections are ignored. §4.2
fn asked(octets: &[u8]) -> Option<Asked> {
    let Ok(Body::Value(Value::Described(body))) = MessageView::parse(octets).and_then(|view| view.body()) else {
        return None;
    };
    let body = encode_to_vec(&body);
    fn read<'a, T: Decode<'a>>(body: &'a [u8]) -> Option<T> {
        Reader::sized(body).read().ok()
    }
    let declare = read::<Declare<'_>>(&body).map(|declare| Asked::Declare(declare.global_id.into_owned()));
    declare.or_else(|| read::<Discharge>(&body).map(Asked::Discharge))
}

impl Connection {
    /// Answers a [`Declare`](TransactionEvent::Declare): there is a transaction, of this id or else one that the engine chooses.
    /// §4.5.5
    ///
    /// # Errors
    /// When the request is gone, or a live transaction has the id.
    pub fn declare_accepted(
        &mut self,
        request: DeliveryKey,
        id: Option<TransactionId>,
    ) -> Result<TransactionId, TransactError> {
        let transactions = self.transactions.as_deref_mut().ok_or(TransactError::UnknownRequest)?;
        let coordinator =
            transactions.controls.get(&request.link).is_some_and(|control| control.side == Side::Coordinator);
        if !coordinator || transactions.requests.get(&request) != Some(&Request::Declare) {
            return Err(TransactError::UnknownRequest);
        }
        let id = id.unwrap_or_else(|| {
            loop {
                let id = TransactionId::from(transactions.next_id);
                transactions.next_id = transactions.next_id.wrapping_add(1);
                if transactions.number(Side::Coordinator, id).is_none() {
                    return id;
                }
            }
        });
        if !transactions.declared(Side::Coordinator, request.link, id) {
            return Err(TransactError::DuplicateId);
        }
        transactions.requests.remove(&request);
        self.answer(request, DeliveryState::Declared(Box::new(Declared { txn_id: id })));
        Ok(id)
    }

    /// Answers a [`Discharge`](TransactionEvent::Discharge): what was asked for is done. Returns what belonged to the
    /// transaction. §4.3
    ///
    /// After a commit, deliveries that are unsettled here are told their outcome anew, outside of the transaction. On a rollback
    /// they have none any more, and what was acquired but has not left completely is aborted; the answer leaves after that.
    ///
    /// # Errors
    /// When the request is gone, or of a delivery that is to be committed no outcome was told.
    pub fn discharge_accepted(&mut self, request: DeliveryKey) -> Result<Vec<Work>, TransactError> {
        let (number, fail) = self.discharging(request)?;
        if let Some(transactions) = self.transactions.as_deref().filter(|_| !fail) {
            let posted = |kind| kind == WorkKind::Posted;
            let told = |settled, outcome: &Option<_>| settled || outcome.is_some();
            if transactions.members(number).any(|(_, work)| posted(work.kind) && !told(work.settled, &work.outcome)) {
                return Err(TransactError::Undecided);
            }
        }
        Ok(self.discharged(number, request, !fail, None))
    }

    /// Answers a [`Declare`](TransactionEvent::Declare) or a [`Discharge`](TransactionEvent::Discharge) that cannot be done, which
    /// rolls the transaction back. Returns what belonged to it. §4.2, §4.3
    ///
    /// Where the controller's source does not support rejection, the control link is closed with the error, and with it go all
    /// transactions declared on it.
    ///
    /// # Errors
    /// When the request is gone, or asks for a rollback, which cannot be rejected.
    pub fn reject_request(
        &mut self,
        request: DeliveryKey,
        error: TransactionError,
        text: impl Into<Str<'static>>,
    ) -> Result<Vec<Work>, TransactError> {
        let error = Self::transaction_error(error, text);
        let transactions = self.transactions.as_deref_mut().ok_or(TransactError::UnknownRequest)?;
        let coordinator =
            transactions.controls.get(&request.link).is_some_and(|control| control.side == Side::Coordinator);
        if coordinator && transactions.requests.get(&request) == Some(&Request::Declare) {
            transactions.requests.remove(&request);
            self.refuse_request(request, error);
            return Ok(Vec::new());
        }
        let (number, fail) = self.discharging(request)?;
        if fail {
            return Err(TransactError::MustSucceed);
        }
        Ok(self.discharged(number, request, false, Some(error)))
    }

    /// A live transaction cannot be committed any more: when the controller asks for that, it is rejected with this error, which
    /// is told by [`TransactionEvent::Ended`]. §4.4.4.1
    ///
    /// # Errors
    /// When there is no such transaction, or it is being discharged.
    pub fn fail_transaction(
        &mut self,
        transaction: TransactionId,
        error: TransactionError,
    ) -> Result<(), TransactError> {
        let transactions = self.transactions.as_deref_mut().ok_or(TransactError::UnknownTransaction)?;
        let number = transactions.number(Side::Coordinator, transaction);
        let found = number.and_then(|number| transactions.get_mut(number));
        let found = found.filter(|found| found.phase == Phase::Live).ok_or(TransactError::UnknownTransaction)?;
        found.failed = Some(error);
        Ok(())
    }

    /// The transaction whose discharge waits for an answer, and whether it is to be rolled back.
    fn discharging(&self, request: DeliveryKey) -> Result<(u64, bool), TransactError> {
        let transactions = self.transactions.as_deref().ok_or(TransactError::UnknownRequest)?;
        let Some(Request::Discharge(number)) = transactions.requests.get(&request) else {
            return Err(TransactError::UnknownRequest);
        };
        let found = transactions.get(*number).filter(|found| found.side == Side::Coordinator);
        match found.map(|found| found.phase) {
            Some(Phase::Discharging { fail, .. }) => Ok((*number, fail)),
            _ => Err(TransactError::UnknownRequest),
        }
    }

    /// A message may have arrived on a control link.
    #[cold]
    pub(crate) fn handle_requests(&mut self, session: Key, link: Key) {
        while let Some(delivery) = self.receiver(LinkId(link)).and_then(|mut receiver| receiver.hand_over()) {
            self.handle_request(session, delivery);
        }
        if let Some(end) = self.links.get_mut(link).and_then(|link| link.receiver()) {
            // So that none is told of the next either.
            end.ready_told = true;
        }
    }

    fn handle_request(&mut self, session: Key, delivery: Delivery) {
        let request = delivery.key;
        if let Some(mut receiver) = self.receiver(LinkId(request.link)) {
            // It keeps its place in the window until it is answered.
            receiver.taken(0, delivery.payload.len());
        }
        if delivery.settled {
            return self.violation(Violation::SettledRequest, Some(session), Some(request.link));
        }
        match asked(&delivery.payload.into_bytes()) {
            Some(Asked::Declare(global_id)) => self.handle_declare(session, request, global_id),
            Some(Asked::Discharge(discharge)) => self.handle_discharge(session, request, discharge),
            None => {
                let text = "only declare and discharge have a place on this link (§4.1)";
                self.refuse_request(request, Error::new(ErrorCondition::NOT_ALLOWED, text));
            }
        }
    }

    fn handle_declare(&mut self, session: Key, request: DeliveryKey, global_id: Option<Value<'static>>) {
        let Some(transactions) = self.transactions.as_deref_mut() else {
            return;
        };
        let Some(control) = transactions.controls.get(&request.link) else {
            return;
        };
        let (all, here) = transactions.count(session);
        let refused = if global_id.is_some() && !control.distributed {
            Some("distributed transactions are not supported (§4.5.2)")
        } else if here > 0 && !control.multi_txns {
            Some("only one transaction at a time is supported in a session (§4.5.7)")
        } else if all >= self.config.max_transactions {
            Some("there are too many transactions")
        } else {
            None
        };
        if let Some(text) = refused {
            return self.refuse_request(request, Self::transaction_error(TransactionError::Rollback, text));
        }
        transactions.requests.insert(request, Request::Declare);
        self.tell_transaction(request.link, TransactionEvent::Declare { request, global_id });
    }

    fn handle_discharge(&mut self, session: Key, request: DeliveryKey, discharge: Discharge) {
        let Some(transactions) = self.transactions.as_deref_mut() else {
            return;
        };
        let (id, fail) = (discharge.txn_id, discharge.fail.unwrap_or(false));
        let number = transactions.number(Side::Coordinator, id);
        let known = |number: &u64| {
            let found = transactions.get(*number);
            found.is_some_and(|found| found.control == request.link && found.phase == Phase::Live)
        };
        let Some(number) = number.filter(known) else {
            let text = "there is no such transaction (§4.5.8)";
            return self.refuse_request(request, Self::transaction_error(TransactionError::UnknownId, text));
        };
        if transactions.members(number).any(|(_, member)| member.kind == WorkKind::Posted && member.partial) {
            return self.violation(Violation::PartialDelivery, Some(session), Some(request.link));
        }
        transactions.requests.insert(request, Request::Discharge(number));
        let failed = transactions.get_mut(number).and_then(|found| {
            found.phase = Phase::Discharging { request, fail };
            found.failed
        });
        self.clear_acquisition(number);
        if let Some(error) = failed.filter(|_| !fail) {
            let error = Self::transaction_error(error, "the transaction cannot be committed");
            let work = self.discharged(number, request, false, Some(error.clone()));
            let end = TransactionEnd::RolledBack(Some(error));
            return self.tell_transaction(request.link, TransactionEvent::Ended { transaction: id, end, work });
        }
        self.tell_transaction(request.link, TransactionEvent::Discharge { request, transaction: id, fail });
    }

    /// Ends a transaction at its controller's wish, and answers now or as soon as what is aborted has left.
    fn discharged(
        &mut self,
        number: u64,
        request: DeliveryKey,
        commit: bool,
        refusal: Option<Error<'static>>,
    ) -> Vec<Work> {
        // The controller has to see the provisional outcomes before the answer, and the final ones behind it.
        for session in self.sessions.keys() {
            self.flush_dispositions(session);
        }
        let ended = self.end_coordinated(number, commit);
        if let Some(transactions) = self.transactions.as_deref_mut() {
            transactions.deferred.push(Deferred { request, refusal, waits_for: ended.waits_for });
        }
        self.answer_deferred();
        if let Some(session) = self.links.get(request.link).map(|link| link.session).filter(|_| commit) {
            self.flush_dispositions(session);
        }
        for (key, outcome) in ended.finals {
            if let Some(mut receiver) = self.receiver(LinkId(key.link)) {
                let _ = receiver.settle(key, outcome, false);
            }
        }
        ended.work
    }

    /// A transaction is over: takes it and what belongs to it out of the book.
    fn end_coordinated(&mut self, number: u64, commit: bool) -> EndedHere {
        let mut ended = EndedHere::default();
        self.clear_acquisition(number);
        let removed = self.transactions.as_deref_mut().and_then(|transactions| transactions.remove(number));
        for (key, member) in removed.into_iter().flat_map(|(_, members)| members) {
            match member.kind {
                WorkKind::Posted if commit => {
                    if let Some(outcome) = member.outcome.clone().filter(|_| !member.settled) {
                        ended.finals.push((key, outcome.into()));
                    }
                }
                WorkKind::Posted => {
                    // No outcome stays with it. §4.4.4.1
                    let end = self.links.get_mut(key.link).and_then(|link| link.receiver());
                    if let Some(delivery) = end.and_then(|end| end.unsettled.get_mut(key.delivery)) {
                        delivery.state = None;
                    }
                }
                WorkKind::Acquired if member.partial => {
                    match self.sender(LinkId(key.link)).map(|mut end| end.end_work(key, !commit)) {
                        // Nothing of it has left, so it was never seen within the transaction.
                        Some(Parted::Outside) => continue,
                        Some(Parted::Aborted) => {
                            ended.waits_for.insert(key);
                        }
                        Some(Parted::GoesOn) | None => {}
                    }
                }
                WorkKind::Acquired | WorkKind::Retired => {}
            }
            ended.work.push(Work::new((key, member)));
        }
        ended
    }

    /// Answers what waited for deliveries to leave that have left.
    pub(crate) fn answer_deferred(&mut self) {
        while let Some(transactions) = self.transactions.as_deref_mut()
            && let Some(at) = transactions.deferred.iter().position(|deferred| deferred.waits_for.is_empty())
        {
            let deferred = transactions.deferred.remove(at);
            match deferred.refusal {
                None => self.answer(deferred.request, DeliveryState::Accepted),
                Some(error) => self.refuse_request(deferred.request, error),
            }
        }
    }

    /// Rolls a transaction back whose control link is over.
    pub(crate) fn roll_back(&mut self, number: u64) {
        let found = self.transactions.as_deref().and_then(|transactions| transactions.get(number));
        let Some((control, transaction)) = found.map(|found| (found.control, found.id)) else {
            return;
        };
        let work = self.end_coordinated(number, false).work;
        let end = TransactionEnd::RolledBack(None);
        self.tell_transaction(control, TransactionEvent::Ended { transaction, end, work });
    }

    /// Settles a request with its outcome.
    fn answer(&mut self, request: DeliveryKey, outcome: DeliveryState<'static>) {
        if let Some(mut receiver) = self.receiver(LinkId(request.link)) {
            let _ = receiver.settle(request, outcome, true);
            receiver.taken(1, 0);
        }
    }

    /// Rejects a request, or closes the link where rejection is not understood. §4.2
    fn refuse_request(&mut self, request: DeliveryKey, error: Error<'static>) {
        let control = self.transactions.as_deref().and_then(|transactions| transactions.controls.get(&request.link));
        if control.is_some_and(|control| control.rejects) {
            self.answer(request, DeliveryState::Rejected(Box::new(Rejected { error: Some(error) })));
        } else {
            self.detach(LinkId(request.link), true, Some(error));
        }
    }

    /// The peer told the state of deliveries that we sent. Returns whether that is to be handled any further.
    pub(crate) fn told_of_sent(
        &mut self,
        session: Key,
        keys: Vec<DeliveryKey>,
        state: Option<&DeliveryState<'_>>,
        settled: bool,
    ) -> bool {
        let transactions = self.transactions.as_deref();
        let named = if let Some(DeliveryState::Transactional(named)) = state { Some(named.txn_id) } else { None };
        let usable = named.and_then(|id| transactions?.usable(Side::Coordinator, id, session));
        let mut retired = Vec::new();
        let mut broken = None;
        for key in keys {
            let Some(link) = self.links.get(key.link).filter(|link| !link.is_control()) else {
                continue;
            };
            match (transactions.and_then(|transactions| transactions.member(key)), named, usable) {
                (Some((_, found)), named, _) if found.side == Side::Controller => {
                    if named.is_some_and(|id| id != found.id) {
                        broken = Some((Violation::ForeignTransaction, link.session, key.link));
                        break;
                    }
                    retired.push((key, None));
                }
                // It may have crossed our detach, and the transaction have ended since.
                (_, Some(_), None) if !link.state.is_attached() => {}
                (_, Some(_), None) => {
                    broken = Some((Violation::UnknownTransaction, link.session, key.link));
                    break;
                }
                (Some((member, found)), _, Some(number)) if member.number != number => {
                    let control = transactions.and_then(|transactions| transactions.get(number)).map(|x| x.control);
                    let control = control.unwrap_or(found.control);
                    broken = Some((Violation::MixedTransactions, session, control));
                    break;
                }
                (_, Some(_), Some(number)) => retired.push((key, Some(number))),
                (Some((member, found)), None, _) if state.is_some_and(DeliveryState::is_outcome) => {
                    if member.kind == WorkKind::Acquired {
                        broken = Some((Violation::MixedTransactions, session, found.control));
                        break;
                    }
                    // The last word counts, and it is outside of the transaction.
                    retired.push((key, None));
                }
                (Some(_), ..) => retired.push((key, None)),
                (None, None, _) => {}
            }
        }
        if let Some((violation, session, link)) = broken {
            let session = self.links.get(link).map_or(session, |link| link.session);
            self.violation(violation, Some(session), Some(link));
            return false;
        }
        if let Some(transactions) = self.transactions.as_deref_mut() {
            for (key, number) in retired {
                if let Some(number) = number {
                    transactions.join(number, key, WorkKind::Retired);
                } else if state.is_some_and(DeliveryState::is_outcome)
                    && transactions.member(key).is_some_and(|(_, found)| found.side == Side::Coordinator)
                {
                    transactions.leave(key);
                }
                transactions.note(key, state, settled);
            }
        }
        true
    }

    /// The peer named, in the properties of a flow, the transaction in which one of our links is to acquire. §4.4.3
    pub(crate) fn acquire(&mut self, session: Key, key: Key, wanted: &Value<'_>) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(key) else {
            return Ok(());
        };
        let id = match wanted {
            Value::Null => {
                link.acquisition = None;
                return Ok(());
            }
            wanted => named(wanted).ok_or(Violation::TransactionProperty)?,
        };
        if !link.acquires {
            return Err(Violation::TransactionalAcquisition);
        }
        let transactions = self.transactions.as_deref_mut().ok_or(Violation::UnknownTransaction)?;
        let number = transactions.usable(Side::Coordinator, id, session).ok_or(Violation::UnknownTransaction)?;
        if let Some(found) = transactions.get_mut(number)
            && !found.acquirers.contains(&key)
        {
            found.acquirers.push(key);
        }
        link.acquisition = Some(Box::new(id));
        Ok(())
    }
}

/// The transaction that the link-state properties of a flow name, null included. §4.4.3
pub(crate) fn transaction_property<'f>(properties: &'f Fields<'_>) -> Option<Value<'f>> {
    properties.get(PROPERTY).ok().flatten()
}

/// The transaction, if it is a name of one at all.
pub(crate) fn named(property: &Value<'_>) -> Option<TransactionId> {
    if let Value::Binary(octets) = property { TransactionId::new(octets).ok() } else { None }
}

/// The key of the transaction in the properties of a flow.
pub(crate) const PROPERTY: &str = "txn-id";

/// What became of a delivery that had not left completely when its transaction ended.
pub(crate) enum Parted {
    /// Nothing of it has left: it leaves as an ordinary one.
    Outside,
    /// The rest of it leaves.
    GoesOn,
    /// It is given up.
    Aborted,
}

/// What is left of a transaction.
#[derive(Default)]
struct EndedHere {
    work: Vec<Work>,
    /// Deliveries that are aborted, and have to leave before the answer does.
    waits_for: BTreeSet<DeliveryKey>,
    /// Outcomes to be told behind the answer.
    finals: Vec<(DeliveryKey, DeliveryState<'static>)>,
}
