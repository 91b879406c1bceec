//! The side of a transaction that declares and discharges it. §4.1

use amqp10_codec::{
    Declare, DeliveryState, Discharge, Encode, Error, Fields, MessageFormat, Role, TransactionId, Value,
    begin_described,
};
use bytes::Bytes;

use crate::connection::Connection;
use crate::coordinator::{named, transaction_property};
use crate::event::{Event, LinkEvent};
use crate::slots::{Key, LinkId};
use crate::transaction::{Phase, Request, Side, TransactionEnd, Work, WorkKind};
use crate::violation::Violation;
use crate::{DeliveryKey, DeliveryStart, Outcome, SendError, TransactError, TransactionEvent};

/// A message whose body is one amqp-value section. §3.2.8
fn message(body: &impl Encode) -> Bytes {
    let mut octets = Vec::new();
    begin_described(0x77, &mut octets);
    body.encode(&mut octets);
    octets.into()
}

impl Connection {
    /// Asks the coordinator of a control link for a transaction; [`TransactionEvent::Declared`] tells its id. §4.2
    ///
    /// A control link is one attached with [`LinkConfig::controller`](crate::LinkConfig::controller).
    ///
    /// # Errors
    /// When the link is not attached, has no credit, or the coordinator cannot do what is asked.
    pub fn declare(
        &mut self,
        control: LinkId,
        global_id: Option<Value<'static>>,
    ) -> Result<DeliveryKey, TransactError> {
        let transactions = self.transactions.as_deref().ok_or(TransactError::NotControl)?;
        let known = transactions.controls.get(&control.0).filter(|control| control.side == Side::Controller);
        let known = known.ok_or(TransactError::NotControl)?;
        if global_id.is_some() && !known.distributed {
            return Err(TransactError::NotDistributed);
        }
        self.request(control, message(&Declare { global_id }), Request::Declare)
    }

    /// Ends a transaction: commits it, or rolls it back if `fail`. [`TransactionEvent::Ended`] tells what became of it. §4.3
    ///
    /// No more work may be added to it from now on. What was settled in it before leaves before.
    ///
    /// # Errors
    /// When there is no such transaction, work of it has not left completely or could still arrive, or there is no credit.
    pub fn discharge(&mut self, transaction: TransactionId, fail: bool) -> Result<DeliveryKey, TransactError> {
        let transactions = self.transactions.as_deref().ok_or(TransactError::UnknownTransaction)?;
        let number = transactions.number(Side::Controller, transaction).ok_or(TransactError::UnknownTransaction)?;
        let found = transactions.get(number).filter(|found| found.phase == Phase::Live);
        let found = found.ok_or(TransactError::UnknownTransaction)?;
        if transactions.members(number).any(|(_, member)| member.kind == WorkKind::Posted && member.partial) {
            return Err(TransactError::Unfinished);
        }
        let control = found.control;
        for key in found.acquirers.clone() {
            let mine = self.links.get_mut(key).filter(|link| link.acquisition.as_deref() == Some(&transaction));
            if mine
                .is_some_and(|link| link.state.is_attached() && link.receiver().is_some_and(|end| end.may_get_more()))
            {
                return Err(TransactError::CreditOutstanding);
            }
        }
        // The coordinator has to see all work before. Within a session that is so anyway.
        for session in self.sessions.keys() {
            self.flush_dispositions(session);
        }
        let body = message(&Discharge { txn_id: transaction, fail: Some(fail) });
        let request = self.request(LinkId(control), body, Request::Discharge(number))?;
        if let Some(transactions) = self.transactions.as_deref_mut()
            && let Some(found) = transactions.get_mut(number)
        {
            found.phase = Phase::Discharging { request, fail };
        }
        self.clear_acquisition(number);
        Ok(request)
    }

    fn request(&mut self, control: LinkId, body: Bytes, request: Request) -> Result<DeliveryKey, TransactError> {
        let mut sender = self.sender(control).ok_or(TransactError::NotControl)?;
        let start = DeliveryStart { message_format: MessageFormat(0), ..DeliveryStart::default() };
        let key = sender.begin(&start, Bytes::new(), false, None).map_err(|error| match error {
            SendError::NoCredit => TransactError::NoCredit,
            _ => TransactError::NotControl,
        })?;
        // Only a message larger than the coordinator takes can fail here, and none is smaller.
        if sender.write(key, body).and_then(|()| sender.finish(key)).is_err() {
            let _ = sender.abort(key);
            return Err(TransactError::NotControl);
        }
        if let Some(transactions) = self.transactions.as_deref_mut() {
            transactions.requests.insert(key, request);
        }
        Ok(key)
    }

    /// The coordinator answered a request. §4.2, §4.3
    pub(crate) fn handle_answer(&mut self, answer: Outcome) {
        let Outcome { key, state, settled } = answer;
        if !settled && !state.as_ref().is_some_and(DeliveryState::is_outcome) {
            return;
        }
        if !settled && let Some(mut sender) = self.sender(LinkId(key.link)) {
            let _ = sender.settle(key, None);
        }
        let Some(transactions) = self.transactions.as_deref_mut() else {
            return;
        };
        match (transactions.requests.remove(&key), state) {
            (Some(Request::Declare), Some(DeliveryState::Declared(declared)))
                if transactions.controls.get(&key.link).is_some_and(|control| !control.ending) =>
            {
                if !transactions.declared(Side::Controller, key.link, declared.txn_id) {
                    let session = transactions.controls.get(&key.link).map(|control| control.session);
                    let error = None;
                    self.tell_transaction(key.link, TransactionEvent::NotDeclared { request: key, error });
                    return self.violation(Violation::TransactionInUse, session, Some(key.link));
                }
                let transaction = declared.txn_id;
                self.tell_transaction(key.link, TransactionEvent::Declared { request: key, transaction });
            }
            (Some(Request::Declare), state) => {
                let error = reason(state);
                self.tell_transaction(key.link, TransactionEvent::NotDeclared { request: key, error });
            }
            (Some(Request::Discharge(number)), state) => {
                let fail = transactions
                    .get(number)
                    .is_some_and(|found| matches!(found.phase, Phase::Discharging { fail: true, .. }));
                let end = match state {
                    Some(DeliveryState::Accepted) if !fail => TransactionEnd::Committed,
                    Some(DeliveryState::Rejected(_)) => TransactionEnd::RolledBack(reason(state)),
                    _ if fail => TransactionEnd::RolledBack(None),
                    _ => TransactionEnd::InDoubt,
                };
                self.end_controlled(number, end);
            }
            (None, _) => {}
        }
    }

    /// The control link of a transaction is over, or about to be.
    pub(crate) fn control_lost(&mut self, number: u64, finally: bool, error: Option<&Error<'static>>) {
        let found = self.transactions.as_deref().and_then(|transactions| transactions.get(number));
        let Some(phase) = found.map(|found| found.phase) else {
            return;
        };
        let end = match phase {
            // The answer may be on its way.
            Phase::Discharging { .. } if !finally => return,
            Phase::Discharging { request, fail: false } if self.has_left(request) => TransactionEnd::InDoubt,
            _ => TransactionEnd::RolledBack(error.cloned()),
        };
        self.end_controlled(number, end);
    }

    /// Whether anything of a delivery has left.
    fn has_left(&mut self, delivery: DeliveryKey) -> bool {
        let end = self.links.get_mut(delivery.link).and_then(|link| link.sender());
        end.and_then(|end| end.unsettled.get(delivery.delivery)).is_some_and(|delivery| delivery.id.is_some())
    }

    /// A transaction of ours as controller is over.
    fn end_controlled(&mut self, number: u64, end: TransactionEnd) {
        self.clear_acquisition(number);
        let removed = self.transactions.as_deref_mut().and_then(|transactions| transactions.remove(number));
        let Some((transaction, members)) = removed else {
            return;
        };
        for (key, member) in &members {
            if member.kind != WorkKind::Posted || end == TransactionEnd::InDoubt {
                continue;
            }
            // Nothing more is to be said of it: what has not left never does, the rest is settled soon after the discharge.
            // §4.4.4.1
            let outcome = member.outcome.clone().filter(|_| end == TransactionEnd::Committed);
            if let Some(mut sender) = self.sender(LinkId(key.link))
                && (sender.withdraw(*key) || sender.settle(*key, None).is_ok())
                && let Some(end) = self.links.get_mut(key.link).and_then(|link| link.sender())
                && end.tell(Outcome { key: *key, state: outcome.map(DeliveryState::from), settled: true })
            {
                self.events.push_back(Event::Link(LinkId(key.link), LinkEvent::Outcomes));
            }
        }
        let work = members.into_iter().map(Work::new).collect();
        let event = TransactionEvent::Ended { transaction: transaction.id, end, work };
        self.tell_transaction(transaction.control, event);
    }

    /// The links that acquire in a transaction do so no longer. §4.4.3
    pub(crate) fn clear_acquisition(&mut self, number: u64) {
        let transactions = self.transactions.as_deref_mut();
        let Some(transaction) = transactions.and_then(|transactions| transactions.get_mut(number)) else {
            return;
        };
        for key in std::mem::take(&mut transaction.acquirers) {
            if let Some(link) = self.links.get_mut(key)
                && link.acquisition.as_deref() == Some(&transaction.id)
            {
                link.acquisition = None;
                // What was not told yet would name a transaction that is over.
                let names = |properties: &mut Fields<'_>| {
                    transaction_property(properties).is_some_and(|property| named(&property) == Some(transaction.id))
                };
                link.properties.take_if(names);
            }
        }
    }

    /// A disposition of the peer may concern transactions. Returns whether it is to be handled any further.
    #[cold]
    pub(crate) fn disposition_in_transactions(
        &mut self,
        session: Key,
        disposition: &amqp10_codec::Disposition<'_>,
    ) -> bool {
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        let Some(here) = self.sessions.get(session) else {
            return false;
        };
        match disposition.role {
            Role::Receiver => {
                let entries = here.outgoing.range(first, last);
                let keys = entries.into_iter().map(|entry| DeliveryKey { link: entry.link, delivery: entry.delivery });
                self.told_of_sent(session, keys.collect(), disposition.state.as_ref(), disposition.settled)
            }
            Role::Sender => {
                let entries = here.incoming.range(first, last);
                if let Some(transactions) = self.transactions.as_deref_mut() {
                    for entry in entries.into_iter().filter(|_| disposition.settled) {
                        transactions.note(DeliveryKey { link: entry.link, delivery: entry.delivery }, None, true);
                    }
                }
                true
            }
        }
    }
}

/// The error of a rejection.
fn reason(state: Option<DeliveryState<'static>>) -> Option<Error<'static>> {
    if let Some(DeliveryState::Rejected(rejected)) = state { rejected.error } else { None }
}
