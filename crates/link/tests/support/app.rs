//! An application that does what it is told to, whatever that is, and answers what its engine tells.

use std::collections::HashMap;
use std::time::Instant;

use amqp10_codec::{
    DeliveryTag, Error, ErrorCondition, Fields, Outcome, ReceiverSettleMode, Role, SenderSettleMode, TransactionId,
};
use amqp10_link::{
    ConnectionEnd, CreditMode, DeliveryKey, DeliveryStart, Ended, Event, LinkConfig, LinkEvent, LinkId, Payload,
    Replenish, Resumption, SendError, SessionEvent, SessionId, Terminus, TransactError, TransactionError,
    TransactionEvent, Violation,
};
use bytes::Bytes;

use super::scene::{CREDIT, config, receiving, sending, session_config};
use super::work::{EVERYTHING, within};
use super::{Checked, drain, events};

pub(crate) const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const CONTROL_NAMES: [&str; 2] = ["control", "another control"];

/// What an application does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Take,
    TakePart,
    Settle {
        accepted: bool,
        settled: bool,
        transaction: bool,
    },
    Credit(u32),
    AddCredit(u8),
    Automatic {
        taken: bool,
    },
    Drain,
    /// In so many pieces; a delivery in three is not finished yet.
    Send {
        octets: u16,
        settled: bool,
        pieces: u8,
        transaction: bool,
    },
    Finish,
    Abort,
    Drained,
    Outcomes {
        settle: bool,
    },
    Begin,
    Attach {
        name: u8,
        is_sender: bool,
        snd: u8,
        second: bool,
        manual: bool,
    },
    /// Attaches a link that was detached and not closed.
    Reattach {
        resumes: bool,
    },
    /// Ends the doubt about a delivery of an earlier link.
    Resolve {
        from_beginning: bool,
    },
    Detach {
        closed: bool,
        error: bool,
    },
    AbandonLink,
    End {
        error: bool,
    },
    AbandonSession,
    RequestFlow,
    Properties,
    Available(u8),
    /// How incoming begins, attaches and requests are answered from now on.
    Answer(u8),
    Controller {
        another: bool,
    },
    Declare,
    Discharge {
        fail: bool,
    },
    Acquire {
        credit: u8,
    },
    /// Answers a request for a transaction, or for its end.
    Serve {
        accepts: bool,
    },
    FailTransaction,
    Close,
}

/// An application, and what it knows of its engine.
#[derive(Debug, Default)]
pub(crate) struct App {
    /// Whether it keeps what is unsettled of its links, and takes part in transactions.
    keeps: bool,
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) links: Vec<LinkId>,
    deliveries: Vec<DeliveryKey>,
    unfinished: Vec<DeliveryKey>,
    names: HashMap<LinkId, (&'static str, Role)>,
    /// Links that were detached and not closed, and not taken.
    suspended: Vec<LinkId>,
    /// What is unsettled of links that were taken.
    termini: Vec<((&'static str, Role), Terminus)>,
    controllers: Vec<LinkId>,
    /// Live transactions of ours, as controller.
    transactions: Vec<TransactionId>,
    /// Those of the peer.
    served: Vec<TransactionId>,
    /// Requests that wait for an answer.
    requests: Vec<TransactionEvent>,
    /// As coordinator it has rolled back of its own accord, which the controller may not know yet.
    rolled_back: bool,
    tags: u16,
    /// How incoming begins, attaches and requests are answered.
    pub(crate) answers: u8,
    pub(crate) closed: bool,
    /// What it has been given and has done, as a measure for what may come out.
    pub(crate) input: usize,
    output: usize,
    violations: Vec<Violation>,
}

/// One of many, if there are any.
fn pick<T: Copy>(from: &[T], choice: u8) -> Option<T> {
    from.get(usize::from(choice).checked_rem(from.len())?).copied()
}

/// A message that its tag tells: two sections, the second of which has so many octets.
fn message(tag: &DeliveryTag) -> Option<Bytes> {
    let [number, _, high, low] = *tag.as_slice() else { return None };
    let octets = u16::from_be_bytes([high, low]);
    let mut message = vec![0, 0x53, 0x70, 0xc0, 1, 0, 0, 0x53, 0x75, 0xb0];
    message.extend_from_slice(&u32::from(octets).to_be_bytes());
    message.extend((0..octets).map(|octet| (octet as u8).wrapping_add(number)));
    Some(message.into())
}

impl App {
    fn problem(error: bool) -> Option<Error<'static>> {
        error.then(|| Error::new(ErrorCondition::INTERNAL_ERROR, "something went wrong"))
    }

    /// One of an engine with these sessions and links.
    pub(crate) fn with(sessions: &[SessionId], links: &[LinkId]) -> Self {
        Self { sessions: sessions.to_vec(), links: links.to_vec(), ..Self::default() }
    }

    /// One that keeps what is unsettled of its links and takes part in transactions, or does neither.
    pub(crate) fn new(keeps: bool) -> Self {
        Self { keeps, ..Self::default() }
    }

    /// Takes what the engine has told, and answers it.
    pub(crate) fn events(&mut self, engine: &mut Checked) {
        loop {
            let told = events(engine);
            if told.is_empty() {
                return;
            }
            for event in told {
                self.answer(engine, event);
            }
        }
    }

    fn ended(&mut self, end: &Ended) {
        if let Ended::Violation(violation) = end {
            self.violations.push(*violation);
        }
    }

    pub(crate) fn answer(&mut self, engine: &mut Checked, event: Event) {
        let refusal = || Error::new(ErrorCondition::NOT_ALLOWED, "not today");
        let refuses = self.answers % 4 == 1;
        let waits = self.answers % 4 == 2;
        match event {
            Event::Incoming => drop(engine.accept(config())),
            Event::Closed(end) => {
                self.closed = true;
                if let ConnectionEnd::Violation(violation) = end {
                    self.violations.push(violation);
                }
            }
            Event::Session(id, SessionEvent::Incoming) => {
                self.sessions.push(id);
                match () {
                    () if refuses => drop(engine.refuse_begin(id, refusal())),
                    () if waits => {}
                    () => drop(engine.accept_begin(id, session_config())),
                }
            }
            Event::Session(id, SessionEvent::Ended(end)) => {
                self.ended(&end);
                self.sessions.retain(|session| *session != id);
            }
            Event::Link(id, LinkEvent::Incoming) => {
                self.links.push(id);
                let config = self.incoming(engine, id);
                match () {
                    () if refuses => drop(engine.refuse_attach(id, refusal())),
                    () if waits => {}
                    () => drop(engine.accept_attach(id, config)),
                }
            }
            Event::Link(id, LinkEvent::Attached) if self.keeps && self.answers & 4 == 0 => {
                while self.resolve(engine, id, false).is_some() {}
            }
            Event::Link(_, LinkEvent::Resumed { key, .. }) => self.deliveries.push(key),
            Event::Link(id, LinkEvent::Detached { closed, end }) => {
                self.ended(&end);
                self.links.retain(|link| *link != id);
                self.controllers.retain(|link| *link != id);
                if self.keeps && !closed && self.answers & 8 == 8 {
                    self.suspended.push(id);
                } else {
                    self.take(engine, id, closed);
                    assert!(engine.take_terminus(id).is_none());
                }
            }
            Event::Transaction(control, event) => self.transact(engine, control, *event, waits),
            _ => {}
        }
    }

    /// How an incoming link is accepted.
    fn incoming(&mut self, engine: &mut Checked, id: LinkId) -> LinkConfig {
        let receives = engine.receiver(id).is_some();
        let mut config = if receives { receiving("x") } else { sending("x") };
        let Some(attach) = engine.remote_attach(id).filter(|_| self.keeps) else { return config };
        let resumes = attach.unsettled.is_some();
        if attach.target.as_ref().is_some_and(|target| target.as_coordinator().is_some()) {
            config = LinkConfig::coordinator(EVERYTHING);
            config.credit = CreditMode::Automatic { window: CREDIT, replenish: Replenish::Settled };
            return config;
        }
        config.transactional_acquisition = !receives;
        if let Some(name) = NAMES.into_iter().find(|name| *attach.name == **name) {
            let link = (name, if receives { Role::Receiver } else { Role::Sender });
            self.names.insert(id, link);
            if resumes {
                config.terminus = Some(self.terminus(engine, link).unwrap_or_default());
            }
        }
        config
    }

    /// Takes what a link has left, to be resumed if it was not closed.
    fn take(&mut self, engine: &mut Checked, id: LinkId, closed: bool) {
        let mut terminus = engine.take_terminus(id).expect("what is left of a link");
        let Some(link) = self.names.remove(&id).filter(|_| !closed && self.keeps) else { return };
        for delivery in terminus.unsettled.iter_mut().filter(|_| link.1 == Role::Sender) {
            delivery.message = message(&delivery.tag).map(Payload::from);
        }
        self.termini.retain(|(known, _)| *known != link);
        self.termini.push((link, terminus));
    }

    /// What earlier links of this name and role have left.
    fn terminus(&mut self, engine: &mut Checked, link: (&'static str, Role)) -> Option<Terminus> {
        let of_name = self.suspended.extract_if(.., |id| self.names.get(id) == Some(&link)).collect::<Vec<_>>();
        for id in of_name {
            if engine.session_of(id).is_some() {
                self.take(engine, id, false);
            }
        }
        let at = self.termini.iter().position(|(known, _)| *known == link)?;
        Some(self.termini.swap_remove(at).1)
    }

    /// The connection is over: forgets what belonged to it, but for what can be resumed.
    pub(crate) fn disconnected(&mut self, engine: &mut Checked) {
        self.is_over();
        for id in std::mem::take(&mut self.suspended) {
            if engine.session_of(id).is_some() {
                self.take(engine, id, false);
            }
        }
        self.deliveries.clear();
        self.unfinished.clear();
        self.names.clear();
        self.served.clear();
        self.requests.clear();
        self.closed = false;
        self.input += 1_000;
    }

    /// Ends the doubt about one delivery of an earlier link, if there is one.
    fn resolve(&mut self, engine: &mut Checked, id: LinkId, from_beginning: bool) -> Option<()> {
        let mut sender = engine.sender(id)?;
        let incomplete = sender.is_unsettled_incomplete();
        let mut doubts = sender.in_doubt().into_iter();
        let doubt = doubts.find(|doubt| !(incomplete && doubt.resumption == Resumption::Resend))?;
        let message = message(&doubt.tag);
        self.input += 20 * message.as_ref().map_or(0, Bytes::len);
        let begins_anew = from_beginning && matches!(doubt.resumption, Resumption::Resume(_));
        let done = match message {
            Some(message) if begins_anew => sender
                .resume(doubt.key, None)
                .and_then(|()| sender.write(doubt.key, message))
                .and_then(|()| sender.finish(doubt.key)),
            Some(message) => sender.resolve(doubt.key, Some(message.into())).map(drop),
            None => sender.settle(doubt.key, None).map_err(|_| SendError::Detached),
        };
        assert!(matches!(done, Ok(()) | Err(SendError::Detached)), "{done:?}");
        done.ok()
    }

    fn transact(&mut self, engine: &mut Checked, control: LinkId, event: TransactionEvent, waits: bool) {
        match event {
            TransactionEvent::Declare { .. } | TransactionEvent::Discharge { .. } if waits => self.requests.push(event),
            TransactionEvent::Declare { .. } | TransactionEvent::Discharge { .. } => self.serve(engine, event, true),
            TransactionEvent::Declared { transaction, .. } => {
                assert!(!self.transactions.contains(&transaction), "declared twice");
                self.transactions.push(transaction);
            }
            TransactionEvent::Ended { transaction, .. } if self.controls(engine, control) => {
                let before = self.transactions.len();
                self.transactions.retain(|known| *known != transaction);
                assert_eq!(self.transactions.len() + 1, before, "{transaction} ended once");
            }
            TransactionEvent::Ended { transaction, .. } => {
                self.rolled_back = true;
                self.served.retain(|known| *known != transaction);
            }
            _ => {}
        }
    }

    fn controls(&self, engine: &mut Checked, control: LinkId) -> bool {
        self.controllers.contains(&control) || engine.sender(control).is_some()
    }

    fn serve(&mut self, engine: &mut Checked, event: TransactionEvent, accepts: bool) {
        match event {
            TransactionEvent::Declare { request, .. } if accepts => {
                self.served.extend(engine.declare_accepted(request, None));
            }
            TransactionEvent::Discharge { request, transaction, fail } if accepts || fail => {
                self.served.retain(|known| *known != transaction);
                if engine.discharge_accepted(request) == Err(TransactError::Undecided) {
                    engine.reject_request(request, TransactionError::Rollback, "an outcome is missing").unwrap();
                }
            }
            TransactionEvent::Declare { request, .. } | TransactionEvent::Discharge { request, .. } => {
                drop(engine.reject_request(request, TransactionError::Rollback, "not today"));
            }
            _ => {}
        }
    }

    pub(crate) fn act(&mut self, engine: &mut Checked, action: &Action, choice: u8) {
        self.input += 200;
        let link = pick(&self.links, choice);
        let session = pick(&self.sessions, choice);
        let of_role = |engine: &mut Checked, receives: bool| {
            let fits =
                |id: &LinkId| if receives { engine.receiver(*id).is_some() } else { engine.sender(*id).is_some() };
            let fitting: Vec<LinkId> = self.links.iter().copied().filter(fits).collect();
            pick(&fitting, choice)
        };
        let (as_receiver, as_sender) = (of_role(engine, true), of_role(engine, false));
        match *action {
            Action::Take => {
                if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id)) {
                    self.deliveries.extend(receiver.next_delivery().map(|delivery| delivery.key));
                }
            }
            Action::TakePart => {
                if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id))
                    && let Some(mut partial) = receiver.partial()
                {
                    partial.take();
                }
            }
            Action::Settle { accepted, settled, transaction } => {
                if let Some(key) = pick(&self.deliveries, choice)
                    && let Some(mut receiver) = engine.receiver(key.link())
                {
                    let outcome = if accepted { Outcome::Accepted } else { Outcome::Released };
                    let state = match pick(&self.transactions, choice).filter(|_| transaction) {
                        Some(transaction) => within(transaction, Some(outcome)),
                        None => outcome.into(),
                    };
                    if receiver.settle(key, state, settled).is_err() {
                        self.deliveries.retain(|delivery| *delivery != key);
                    }
                }
            }
            Action::Credit(credit) => {
                if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id)) {
                    receiver.set_credit(credit);
                }
            }
            Action::AddCredit(credit) => {
                if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id)) {
                    receiver.add_credit(credit.into());
                }
            }
            Action::Automatic { taken } => {
                if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id)) {
                    let replenish = if taken { Replenish::Taken } else { Replenish::Settled };
                    receiver.set_credit_mode(CreditMode::Automatic { window: CREDIT, replenish });
                }
            }
            Action::Drain => {
                if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id)) {
                    receiver.drain();
                }
            }
            Action::Send { octets, settled, pieces, transaction } => {
                if let Some(mut sender) = as_sender.and_then(|id| engine.sender(id)) {
                    let before = sender.credit();
                    let mut start = DeliveryStart { settled, ..DeliveryStart::default() };
                    let mut octets = usize::from(octets);
                    let mut payload = None;
                    if self.keeps {
                        octets %= 3_000;
                        let [number, other] = self.tags.to_le_bytes();
                        let [high, low] = (octets as u16).to_be_bytes();
                        let tag = DeliveryTag::new(&[number, other, high, low]).unwrap();
                        payload = message(&tag);
                        self.tags = self.tags.wrapping_add(1);
                        start.tag = Some(tag);
                        start.transaction = pick(&self.transactions, choice).filter(|_| transaction);
                    }
                    let key = match sender.begin_delivery(start) {
                        Ok(key) => key,
                        Err(error) => {
                            assert!(before == 0 || error != SendError::NoCredit, "{before} left");
                            return;
                        }
                    };
                    assert_eq!(sender.credit(), before - 1);
                    let pieces = usize::from(pieces % 4);
                    self.input += 10 * octets;
                    for piece in 0..pieces {
                        let octets = match &payload {
                            Some(message) => {
                                let at = |piece| message.len() * piece / pieces;
                                message.slice(at(piece)..at(piece + 1))
                            }
                            None => Bytes::from(vec![7; octets / pieces]),
                        };
                        // The peer's max-message-size may be in the way.
                        let _ = sender.write(key, octets);
                    }
                    if pieces == 3 {
                        self.unfinished.push(key);
                    } else {
                        sender.finish(key).unwrap();
                    }
                }
            }
            Action::Finish | Action::Abort => {
                if let Some(key) = pick(&self.unfinished, choice) {
                    self.unfinished.retain(|delivery| *delivery != key);
                    if let Some(mut sender) = engine.sender(key.link()) {
                        let finishes = matches!(action, Action::Finish);
                        let _ = if finishes { sender.finish(key) } else { sender.abort(key) };
                    }
                }
            }
            Action::Drained => {
                if let Some(mut sender) = as_sender.and_then(|id| engine.sender(id)) {
                    sender.drained();
                }
            }
            Action::Outcomes { settle } => {
                if let Some(mut sender) = as_sender.and_then(|id| engine.sender(id)) {
                    while let Some(outcome) = sender.next_outcome() {
                        if settle && !outcome.settled {
                            let _ = sender.settle(outcome.key, outcome.state);
                        }
                    }
                }
            }
            Action::Begin => self.sessions.extend(engine.begin(session_config())),
            Action::Attach { name, is_sender, snd, second, manual } => {
                let name = NAMES[usize::from(name) % NAMES.len()];
                let mut config = if is_sender { sending(name) } else { receiving(name) };
                config.snd_settle_mode = match snd % 3 {
                    0 => SenderSettleMode::Unsettled,
                    1 => SenderSettleMode::Settled,
                    _ => SenderSettleMode::Mixed,
                };
                config.rcv_settle_mode = if second { ReceiverSettleMode::Second } else { ReceiverSettleMode::First };
                if manual {
                    config.credit = CreditMode::Manual;
                }
                self.attach(engine, session, name, config);
            }
            Action::Reattach { resumes } => {
                self.reattach(engine, session, resumes, choice);
            }
            Action::Resolve { from_beginning } => {
                if let Some(id) = as_sender {
                    self.resolve(engine, id, from_beginning);
                }
            }
            Action::Controller { another } => {
                let name = CONTROL_NAMES[usize::from(another)];
                let config = LinkConfig::controller(name, EVERYTHING);
                let link = session.and_then(|session| engine.attach(session, config).ok());
                self.links.extend(link);
                self.controllers.extend(link);
            }
            Action::Declare => {
                if let Some(control) = pick(&self.controllers, choice) {
                    let _ = engine.declare(control, None);
                }
            }
            Action::Discharge { fail } => {
                if let Some(transaction) = pick(&self.transactions, choice) {
                    let _ = engine.discharge(transaction, fail);
                }
            }
            Action::Acquire { credit } => {
                if let (Some(mut receiver), Some(transaction)) =
                    (as_receiver.and_then(|id| engine.receiver(id)), pick(&self.transactions, choice))
                    && receiver.acquire(transaction).is_ok()
                {
                    receiver.set_credit(credit.into());
                }
            }
            Action::Serve { accepts } => {
                if !self.requests.is_empty() {
                    let request = self.requests.swap_remove(usize::from(choice) % self.requests.len());
                    self.serve(engine, request, accepts);
                }
            }
            Action::FailTransaction => {
                if let Some(transaction) = pick(&self.served, choice) {
                    let _ = engine.fail_transaction(transaction, TransactionError::Timeout);
                }
            }
            Action::Detach { closed, error } => {
                if let Some(id) = link {
                    engine.detach(id, closed, Self::problem(error));
                }
            }
            Action::AbandonLink => {
                if let Some(id) = link {
                    engine.abandon_link(id);
                    self.links.retain(|link| *link != id);
                    self.names.remove(&id);
                }
            }
            Action::End { error } => {
                if let Some(id) = session {
                    engine.end(id, Self::problem(error));
                }
            }
            Action::AbandonSession => {
                if let Some(id) = session {
                    engine.abandon_session(id);
                    self.sessions.retain(|session| *session != id);
                }
            }
            Action::RequestFlow => {
                if let Some(id) = session {
                    engine.request_flow(id);
                }
            }
            Action::Properties => {
                if let Some(mut sender) = as_sender.and_then(|id| engine.sender(id)) {
                    sender.set_properties(Fields::new()).unwrap();
                } else if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id)) {
                    receiver.set_properties(Fields::new()).unwrap();
                }
            }
            Action::Available(available) => {
                if let Some(mut sender) = as_sender.and_then(|id| engine.sender(id)) {
                    sender.set_available(available.into());
                }
            }
            Action::Answer(answers) => self.answers = answers,
            Action::Close => engine.close(None),
        }
    }

    fn attach(
        &mut self,
        engine: &mut Checked,
        session: Option<SessionId>,
        name: &'static str,
        mut config: LinkConfig,
    ) -> Option<()> {
        let role = config.role;
        config.transactional_acquisition = self.keeps && role == Role::Sender;
        let link = engine.attach(session?, config).ok()?;
        self.links.push(link);
        self.names.insert(link, (name, role));
        Some(())
    }

    fn reattach(&mut self, engine: &mut Checked, session: Option<SessionId>, resumes: bool, choice: u8) -> Option<()> {
        let suspended = self.suspended.iter().filter_map(|id| self.names.get(id));
        let known: Vec<_> = suspended.copied().chain(self.termini.iter().map(|(link, _)| *link)).collect();
        let link = pick(&known, choice)?;
        let mut config = if link.1 == Role::Sender { sending(link.0) } else { receiving(link.0) };
        if resumes {
            config.terminus = self.terminus(engine, link);
        }
        self.attach(engine, session, link.0, config)
    }

    /// Resumes everything that earlier connections have left.
    pub(crate) fn resume_all(&mut self, engine: &mut Checked) {
        for _ in 0..self.termini.len() {
            self.reattach(engine, self.sessions.first().copied(), true, 0);
        }
    }

    /// What has come out is in proportion to what went in.
    pub(crate) fn drained(&mut self, octets: usize) {
        self.output += octets;
        assert!(self.output <= 20_000 + 20 * self.input, "{} octets out for {} in", self.output, self.input);
    }

    /// Whatever state the engine is in, it ends as it should.
    pub(crate) fn finish(&mut self, engine: &mut Checked, now: Instant) {
        engine.close(None);
        self.events(engine);
        self.drained(drain(engine, now).len());
        engine.handle_eof(now);
        self.events(engine);
        assert!(engine.is_closed());
        self.is_over();
        assert_eq!(engine.poll_timeout(), None);
        drain(engine, now);
        assert_eq!(events(engine), []);
    }

    fn is_over(&self) {
        assert!(self.closed);
        assert!(self.sessions.is_empty() && self.links.is_empty(), "not ended: {:?} {:?}", self.sessions, self.links);
        assert!(self.transactions.is_empty(), "not ended: {:?}", self.transactions);
    }

    /// No peer that keeps the rules is ever found to break one.
    pub(crate) fn finds_no_fault(&self) {
        for violation in &self.violations {
            match violation {
                // The one rule that an application can make its engine break: not to say too much before the peer answers.
                Violation::EarlyFrames => {}
                // It crossed the end of its transaction.
                Violation::UnknownTransaction if self.rolled_back => {}
                _ => panic!("an engine broke a rule: {violation:?}"),
            }
        }
    }
}
