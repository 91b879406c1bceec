//! What the fuzz targets of the engine check: it never panics, everything it says is legal, everything ends once, and two engines
//! never find fault with each other. The first three are watched by the helpers of its own tests.

#[allow(unreachable_pub, unused, reason = "helpers of other tests")]
#[path = "../../crates/link/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use amqp10_codec::{
    DeliveryState, Error, ErrorCondition, Fields, FrameType, ReceiverSettleMode, SenderSettleMode, begin_frame,
    finish_frame,
};
use amqp10_link::{
    ConnectionEnd, CreditMode, DeliveryKey, DeliveryStart, Ended, Event, LinkEvent, LinkId, Replenish, SessionEvent,
    SessionId, Violation,
};
use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::{Bytes, BytesMut};
use support::scene::{CREDIT, Scene, config, receiving, sending, session_config};
use support::{Checked, Pair, Script, Wire, drain, events, push};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What an application does.
#[derive(Debug)]
enum Action {
    Take,
    TakePart,
    Settle {
        accepted: bool,
        settled: bool,
    },
    Credit(u32),
    AddCredit(u8),
    Automatic {
        taken: bool,
    },
    Drain,
    Send {
        octets: u16,
        settled: bool,
        pieces: u8,
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
    /// How incoming begins and attaches are answered from now on.
    Answer(u8),
    Close,
}

impl<'a> Arbitrary<'a> for Action {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary::<u8>()? % 32 {
            0 | 1 => Self::Take,
            2 => Self::TakePart,
            3 | 4 => Self::Settle { accepted: u.arbitrary()?, settled: u.arbitrary()? },
            5 => Self::Credit(u.arbitrary()?),
            6 => Self::Credit(u.arbitrary::<u8>()?.into()),
            7 => Self::AddCredit(u.arbitrary()?),
            8 => Self::Automatic { taken: u.arbitrary()? },
            9 => Self::Drain,
            10..=13 => {
                Self::Send { octets: u.arbitrary::<u16>()? % 20_000, settled: u.arbitrary()?, pieces: u.arbitrary()? }
            }
            14 => Self::Finish,
            15 => Self::Abort,
            16 => Self::Drained,
            17 | 18 => Self::Outcomes { settle: u.arbitrary()? },
            19 => Self::Begin,
            20 | 21 => Self::Attach {
                name: u.arbitrary()?,
                is_sender: u.arbitrary()?,
                snd: u.arbitrary()?,
                second: u.arbitrary()?,
                manual: u.arbitrary()?,
            },
            22 | 23 => Self::Detach { closed: u.arbitrary()?, error: u.arbitrary()? },
            24 => Self::AbandonLink,
            25 => Self::End { error: u.arbitrary()? },
            26 => Self::AbandonSession,
            27 => Self::RequestFlow,
            28 => Self::Properties,
            29 => Self::Available(u.arbitrary()?),
            30 => Self::Answer(u.arbitrary()?),
            // Rarely: nothing happens afterwards.
            _ if u.arbitrary::<u8>()? < 16 => Self::Close,
            _ => Self::Take,
        })
    }
}

/// An application, and what it knows of its engine.
#[derive(Debug, Default)]
struct App {
    sessions: Vec<SessionId>,
    links: Vec<LinkId>,
    deliveries: Vec<DeliveryKey>,
    unfinished: Vec<DeliveryKey>,
    answers: u8,
    closed: bool,
    /// What it has been given and has done, as a measure for what may come out.
    input: usize,
    output: usize,
    violations: Vec<Violation>,
}

/// One of many, if there are any.
fn pick<T: Copy>(from: &[T], choice: u8) -> Option<T> {
    from.get(usize::from(choice).checked_rem(from.len())?).copied()
}

impl App {
    fn problem(error: bool) -> Option<Error<'static>> {
        error.then(|| Error::new(ErrorCondition::INTERNAL_ERROR, "something went wrong"))
    }

    /// Takes what the engine has told, and answers it.
    fn events(&mut self, engine: &mut Checked) {
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

    fn answer(&mut self, engine: &mut Checked, event: Event) {
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
                match () {
                    () if refuses => drop(engine.refuse_attach(id, refusal())),
                    () if waits => {}
                    () if engine.receiver(id).is_some() => drop(engine.accept_attach(id, receiving("x"))),
                    () => drop(engine.accept_attach(id, sending("x"))),
                }
            }
            Event::Link(id, LinkEvent::Detached { end, .. }) => {
                self.ended(&end);
                assert!(engine.take_terminus(id).is_some());
                assert!(engine.take_terminus(id).is_none());
                self.links.retain(|link| *link != id);
            }
            _ => {}
        }
    }

    fn act(&mut self, engine: &mut Checked, action: &Action, choice: u8) {
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
            Action::Settle { accepted, settled } => {
                if let Some(key) = pick(&self.deliveries, choice)
                    && let Some(mut receiver) = engine.receiver(key.link())
                {
                    let state = if accepted { DeliveryState::Accepted } else { DeliveryState::Released };
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
            Action::Send { octets, settled, pieces } => {
                if let Some(mut sender) = as_sender.and_then(|id| engine.sender(id)) {
                    let before = sender.credit();
                    let Ok(key) = sender.begin_delivery(DeliveryStart { settled, ..DeliveryStart::default() }) else {
                        return;
                    };
                    assert_eq!(sender.credit(), before - 1);
                    let pieces = usize::from(pieces % 4);
                    self.input += 10 * usize::from(octets);
                    for _ in 0..pieces {
                        // The peer's max-message-size may be in the way.
                        let _ = sender.write(key, Bytes::from(vec![7; usize::from(octets) / pieces]));
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
                self.links.extend(session.and_then(|session| engine.attach(session, config).ok()));
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
                    sender.set_properties(Fields::new());
                } else if let Some(mut receiver) = as_receiver.and_then(|id| engine.receiver(id)) {
                    receiver.set_properties(Fields::new());
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

    /// What has come out is in proportion to what went in.
    fn drained(&mut self, octets: usize) {
        self.output += octets;
        assert!(self.output <= 20_000 + 20 * self.input, "{} octets out for {} in", self.output, self.input);
    }

    /// Whatever state the engine is in, it ends as it should.
    fn finish(&mut self, engine: &mut Checked, now: std::time::Instant) {
        engine.close(None);
        self.events(engine);
        self.drained(drain(engine, now).len());
        engine.handle_eof(now);
        self.events(engine);
        assert!(engine.is_closed() && self.closed);
        assert!(self.sessions.is_empty() && self.links.is_empty(), "not ended: {:?} {:?}", self.sessions, self.links);
        assert_eq!(engine.poll_timeout(), None);
        drain(engine, now);
        assert_eq!(events(engine), []);
    }
}

/// Octets from a peer. The first chooses: in its lowest bit whether they come whole or one by one, in the next two a client or a
/// server that reads the rest as it is, or an engine with sessions and links. To that the rest is told piece by piece: an octet for
/// the channel and one for the length, then the body of a frame; or an octet from 0xc0 upwards, then something that the application
/// does.
pub fn engine_input(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let Ok(mode) = input.arbitrary::<u8>() else { return };
    let wire = if mode & 1 == 0 { Wire::Whole } else { Wire::Octets };
    let mut app = App::default();
    let mut peer = match mode >> 1 & 3 {
        0 => Script::silent_client(config()),
        1 => Script::silent_server(config()),
        _ => {
            let scene = Scene::new(wire);
            app.sessions = vec![scene.one, scene.two];
            app.links = vec![scene.a, scene.b, scene.c, scene.d];
            scene.peer
        }
    };
    peer.wire = wire;
    if mode >> 1 & 3 < 2 {
        // What the engine has announced counts as input.
        app.input += octets.len();
        peer.octets(input.take_rest());
        app.events(&mut peer.engine);
    } else {
        while told(&mut peer, &mut app, &mut input).is_ok() {
            app.events(&mut peer.engine);
            app.drained(drain(&mut peer.engine, peer.now).len());
        }
    }
    app.finish(&mut peer.engine, peer.now);
}

fn told(peer: &mut Script, app: &mut App, input: &mut Unstructured<'_>) -> Result<()> {
    if input.is_empty() {
        return Err(arbitrary::Error::NotEnoughData);
    }
    let kind = input.arbitrary::<u8>()?;
    match kind {
        0..0xc0 => {
            let length = usize::from(input.arbitrary::<u8>()?).min(input.len());
            let body = input.bytes(length)?;
            let mut frame = Vec::new();
            let start = begin_frame(FrameType::Amqp, amqp10_codec::Channel((kind & 0x1f).into()), &mut frame);
            frame.extend_from_slice(body);
            finish_frame(start, 0, &mut frame);
            app.input += frame.len();
            peer.octets(&frame);
        }
        0xc0..0xf0 => {
            let action = Action::arbitrary(input)?;
            app.act(&mut peer.engine, &action, kind & 0x0f);
        }
        _ => {
            app.input += 1_000;
            peer.now += Duration::from_secs((kind & 0x0f).into());
            peer.engine.handle_timeout(peer.now);
        }
    }
    Ok(())
}

/// What happens to two engines and the line between them.
#[derive(Debug)]
enum Operation {
    Act {
        server: bool,
        action: Action,
        choice: u8,
    },
    /// Lets so many octets through, in one direction.
    Carry {
        to_server: bool,
        octets: u16,
    },
    /// Everything arrives.
    Run,
    Wait(u8),
    /// From here on nothing arrives in this direction.
    Cut {
        to_server: bool,
    },
}

impl<'a> Arbitrary<'a> for Operation {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind = u.arbitrary::<u8>()?;
        let side = kind & 1 == 1;
        Ok(match kind >> 1 {
            0..64 => Self::Act { server: side, choice: kind >> 1 & 0x0f, action: u.arbitrary()? },
            64..90 => Self::Carry { to_server: side, octets: u.arbitrary::<u8>()?.into() },
            90..100 => Self::Carry { to_server: side, octets: u.arbitrary()? },
            100..124 => Self::Run,
            124..127 => Self::Wait(u.arbitrary::<u8>()? % 64),
            _ if u.arbitrary::<u8>()? < 64 => Self::Cut { to_server: side },
            _ => Self::Run,
        })
    }
}

struct Lines {
    pair: Pair,
    apps: [App; 2],
    on_the_way: [BytesMut; 2],
    buffers: [BytesMut; 2],
    cut: [bool; 2],
}

impl Lines {
    fn carry(&mut self, to_server: bool, octets: usize) -> bool {
        let Pair { client, server, now, wire, .. } = &mut self.pair;
        let at = usize::from(to_server);
        let (from, to) = if to_server { (client, server) } else { (server, client) };
        let leaves = drain(from, *now);
        if self.cut[at] {
            return false;
        }
        self.on_the_way[at].extend_from_slice(&leaves);
        let octets = octets.min(self.on_the_way[at].len());
        let arrives = self.on_the_way[at].split_to(octets);
        push(*wire, to, &mut self.buffers[at], &arrives, *now);
        self.events();
        !arrives.is_empty()
    }

    fn run(&mut self) {
        while self.carry(true, usize::MAX) | self.carry(false, usize::MAX) {}
    }

    fn events(&mut self) {
        self.apps[0].events(&mut self.pair.client);
        self.apps[1].events(&mut self.pair.server);
    }

    fn make(&mut self, operation: Operation) {
        match operation {
            Operation::Act { server, action, choice } => {
                let engine = if server { &mut self.pair.server } else { &mut self.pair.client };
                self.apps[usize::from(server)].act(engine, &action, choice);
            }
            Operation::Carry { to_server, octets } => drop(self.carry(to_server, octets.into())),
            Operation::Run => self.run(),
            Operation::Wait(seconds) => {
                self.pair.now += Duration::from_secs(seconds.into());
                self.pair.client.handle_timeout(self.pair.now);
                self.pair.server.handle_timeout(self.pair.now);
            }
            Operation::Cut { to_server } => {
                self.cut[usize::from(to_server)] = true;
                let now = self.pair.now;
                if to_server { self.pair.server.handle_eof(now) } else { self.pair.client.handle_eof(now) }
            }
        }
        self.events();
    }
}

/// Operations on two engines, of which neither may ever find that the other broke a rule. The first octet says in its lowest bit
/// whether octets travel whole or one by one.
pub fn engine_ops(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let Ok(mode) = input.arbitrary::<u8>() else { return };
    let mut config = config();
    config.max_frame_size = 1_024;
    let mut pair = Pair::opened(config.clone(), config);
    pair.wire = if mode & 1 == 0 { Wire::Whole } else { Wire::Octets };
    let mut lines = Lines {
        pair,
        apps: Default::default(),
        on_the_way: Default::default(),
        buffers: Default::default(),
        cut: Default::default(),
    };
    while !input.is_empty()
        && let Ok(operation) = Operation::arbitrary(&mut input)
    {
        lines.make(operation);
    }
    lines.run();
    let Lines { pair, apps: [client, server], .. } = &mut lines;
    client.finish(&mut pair.client, pair.now);
    server.finish(&mut pair.server, pair.now);
    for violation in client.violations.iter().chain(&server.violations) {
        // The one rule that an application can make its engine break: not to say too much before the peer answers.
        assert_eq!(*violation, Violation::EarlyFrames, "an engine broke a rule");
    }
}
