//! All events in all states of connection, session and link endpoints: what the engine answers and tells is kept as a table in
//! `tests/snapshots`. `AMQP10_REWRITE_SNAPSHOTS=1 cargo test -p amqp10-link --test states` writes the tables anew.
//!
//! The peer's channel is 10 and its handle 5; the engine's are 0. A new session of the peer comes on channel 12, a new link with
//! handle 6.

mod support;

use std::fmt::Write;
use std::time::Duration;

use amqp10_codec::{Attach, Close, Detach, End, Fields, Flow, Handle, Role, SequenceNo, Transfer};
use amqp10_link::{
    ConnectionEnd, CreditMode, DeliveryKey, DeliveryStart, Ended, Event, LinkEvent, LinkId, Replenish, SessionEvent,
    SessionId,
};
use bytes::Bytes;
use support::scene::{config, receiving, sending, session_config};
use support::script::*;
use support::{Script, snapshot};

/// One engine in some state.
struct Stage {
    peer: Script,
    session: Option<SessionId>,
    link: Option<LinkId>,
    /// A delivery that was received or sent, and is unsettled.
    delivery: Option<DeliveryKey>,
    /// A delivery that was begun and not finished.
    half: Option<DeliveryKey>,
}

/// How a stage comes about, or what happens on it. A command says what it returned.
type Build = fn() -> Stage;
type Happens = fn(&mut Stage) -> Option<String>;

impl Stage {
    fn say(&mut self, channel: u16, body: &impl amqp10_codec::Encode) -> Option<String> {
        self.peer.send(channel, body);
        None
    }

    /// The events since the last call. What is not the session or link of this stage is called new.
    fn events(&mut self) -> Vec<String> {
        let told = self.peer.events();
        told.into_iter().map(|event| self.event(event)).collect()
    }

    fn event(&self, event: Event) -> String {
        match event {
            Event::Incoming => "connection incoming".into(),
            Event::Opened => "connection opened".into(),
            Event::Closed(end) => format!("connection closed by {}", connection_end(&end)),
            Event::Session(id, event) => {
                let new = if self.session == Some(id) { "" } else { "new " };
                match event {
                    SessionEvent::Incoming => format!("{new}session incoming"),
                    SessionEvent::Begun => format!("{new}session begun"),
                    SessionEvent::Ended(end) => format!("{new}session ended by {}", ended(&end)),
                    other => format!("{new}session {other:?}"),
                }
            }
            Event::Link(id, event) => {
                let new = if self.link == Some(id) { "" } else { "new " };
                match event {
                    LinkEvent::Incoming => format!("{new}link incoming"),
                    LinkEvent::Attached => format!("{new}link attached"),
                    LinkEvent::DeliveryStarted(_) => format!("{new}link: delivery started"),
                    LinkEvent::DataReady(_) => format!("{new}link: data ready"),
                    LinkEvent::DeliveryComplete => format!("{new}link: delivery complete"),
                    LinkEvent::DeliveryAborted(_) => format!("{new}link: delivery aborted"),
                    LinkEvent::Disposition(outcome) => {
                        let settled = if outcome.settled { ", settled" } else { "" };
                        format!("{new}link: state of the sender{settled}")
                    }
                    LinkEvent::Detached { closed, end } => {
                        let closed = if closed { "closed" } else { "detached" };
                        format!("{new}link {closed} by {}", ended(&end))
                    }
                    other => format!("{new}link: {}", format!("{other:?}").to_lowercase()),
                }
            }
            other => format!("{other:?}"),
        }
    }
}

fn connection_end(end: &ConnectionEnd) -> String {
    match end {
        ConnectionEnd::Local => "us".into(),
        ConnectionEnd::Remote(None) => "the peer".into(),
        ConnectionEnd::Remote(Some(error)) => format!("the peer, {}", error.condition),
        ConnectionEnd::Violation(violation) => format!("violation, {}", violation.condition()),
        other => format!("{other:?}"),
    }
}

fn ended(end: &Ended) -> String {
    match end {
        Ended::Local => "us".into(),
        Ended::Remote(None) => "the peer".into(),
        Ended::Remote(Some(error)) => format!("the peer, {}", error.condition),
        Ended::Violation(violation) => format!("violation, {}", violation.condition()),
        Ended::Below => "what it stands on".into(),
        other => format!("{other:?}"),
    }
}

fn list(of: &[String]) -> String {
    if of.is_empty() { "-".into() } else { of.join("; ") }
}

/// Everything that can happen in every state: what is returned, what is sent, what is told.
fn table(states: &[(&str, Build)], happenings: &[(&str, Happens)]) -> String {
    let mut text = String::new();
    for (state, build) in states {
        let _ = writeln!(text, "# {state}");
        for (happening, happens) in happenings {
            let mut stage = build();
            let result = happens(&mut stage);
            let events = stage.events();
            let mut line = format!("{happening:<28}");
            if let Some(result) = result {
                let _ = write!(line, " {result} |");
            }
            let _ = writeln!(text, "{line} sent: {} | told: {}", list(&stage.peer.told()), list(&events));
            // Whatever happens, the engine can still be closed, and says so once.
            stage.peer.engine.close(None);
            stage.peer.frames();
            let now = stage.peer.now;
            stage.peer.engine.handle_eof(now);
            let later = stage.events();
            let closed = |told: &[String]| told.iter().filter(|line| line.starts_with("connection closed")).count();
            assert_eq!(closed(&events) + closed(&later), 1, "{state}, {happening}: {later:?}");
            assert!(stage.peer.engine.is_closed() && stage.peer.engine.poll_timeout().is_none());
        }
        text.push('\n');
    }
    text
}

fn result<T>(result: Result<T, impl std::fmt::Debug>) -> Option<String> {
    Some(match result {
        Ok(_) => "ok".into(),
        Err(error) => format!("{error:?}"),
    })
}

// Connection.

fn alone(peer: Script) -> Stage {
    Stage { peer, session: None, link: None, delivery: None, half: None }
}

fn client_with_header() -> Stage {
    let mut peer = Script::silent_client(config());
    peer.header();
    peer.quiet();
    alone(peer)
}

fn server_with(what: &[&dyn Fn(&mut Script)]) -> Stage {
    let mut peer = Script::silent_server(config());
    what.iter().for_each(|happens| happens(&mut peer));
    peer.quiet();
    alone(peer)
}

fn opened() -> Stage {
    alone(Script::client(config(), open()))
}

fn closing(mut stage: Stage, with_error: bool) -> Stage {
    stage.peer.engine.close(with_error.then(problem));
    stage.peer.quiet();
    stage
}

fn client_at_once() -> Stage {
    let mut stage = alone(Script::silent_client(config()));
    stage.peer.quiet();
    stage
}

const CONNECTION_STATES: &[(&str, Build)] = &[
    ("START (server)", || alone(Script::silent_server(config()))),
    ("HDR_EXCH (server)", || server_with(&[&|peer| peer.header()])),
    ("OPEN_RCVD (server)", || server_with(&[&|peer| peer.header(), &|peer| peer.send(0, &open())])),
    ("OPEN_PIPE (client)", client_at_once),
    ("OC_PIPE (client)", || closing(client_at_once(), false)),
    ("OPEN_SENT (client)", client_with_header),
    ("CLOSE_PIPE (client)", || closing(client_with_header(), false)),
    ("OPENED", opened),
    ("CLOSE_SENT", || closing(opened(), false)),
    ("DISCARDING", || closing(opened(), true)),
    ("END", || {
        let mut stage = opened();
        stage.peer.engine.close(None);
        stage.peer.send(0, &close());
        stage.peer.frames();
        stage
    }),
];

const CONNECTION_HAPPENINGS: &[(&str, Happens)] = &[
    ("header", |stage| {
        stage.peer.header();
        None
    }),
    ("open", |stage| stage.say(0, &open())),
    ("open on channel 1", |stage| stage.say(1, &open())),
    ("begin", |stage| stage.say(10, &begin())),
    ("begin for channel 0", |stage| stage.say(10, &answer(0))),
    ("attach", |stage| stage.say(10, &sender("new", 6))),
    ("flow", |stage| stage.say(10, &flow())),
    ("transfer", |stage| {
        stage.peer.deliver(10, 5, 0, b"x");
        None
    }),
    ("disposition", |stage| stage.say(10, &disposition(Role::Receiver, 0, 0, true))),
    ("detach", |stage| stage.say(10, &detach(5, true))),
    ("end", |stage| stage.say(10, &end())),
    ("close", |stage| stage.say(0, &close())),
    ("close with error", |stage| stage.say(0, &Close { error: Some(problem()) })),
    ("close on channel 10", |stage| stage.say(10, &close())),
    ("an empty frame", |stage| {
        stage.peer.octets(&[0, 0, 0, 8, 2, 0, 0, 0]);
        None
    }),
    ("a SASL frame", |stage| {
        stage.peer.octets(&[0, 0, 0, 8, 2, 1, 0, 0]);
        None
    }),
    ("a body of no performative", |stage| {
        stage.peer.octets(&[0, 0, 0, 9, 2, 0, 0, 0, 0x40]);
        None
    }),
    ("a frame of 7 octets", |stage| {
        stage.peer.octets(&[0, 0, 0, 7, 2, 0, 0, 0]);
        None
    }),
    ("the octets end", |stage| {
        let now = stage.peer.now;
        stage.peer.engine.handle_eof(now);
        None
    }),
    ("30 s pass", |stage| {
        stage.peer.advance(Duration::from_secs(30));
        None
    }),
    ("120 s pass", |stage| {
        stage.peer.advance(Duration::from_secs(120));
        None
    }),
    ("accept", |stage| result(stage.peer.engine.accept(config()))),
    ("refuse", |stage| result(stage.peer.engine.refuse(problem()))),
    ("do begin", |stage| result(stage.peer.engine.begin(session_config()))),
    ("do close", |stage| {
        stage.peer.engine.close(None);
        None
    }),
    ("do close with error", |stage| {
        stage.peer.engine.close(Some(problem()));
        None
    }),
];

#[test]
fn everything_in_every_state_of_a_connection() {
    // 2.4.6-01, 2.4.6-07, 2.4.6-12, 2.4.6-13, 2.4.7-05
    snapshot::compare("connection", &table(CONNECTION_STATES, CONNECTION_HAPPENINGS));
}

// Session.

fn begin_sent() -> Stage {
    let mut stage = opened();
    stage.session = Some(stage.peer.engine.begin(session_config()).unwrap());
    stage.peer.quiet();
    stage
}

fn begin_received() -> Stage {
    let mut stage = opened();
    stage.peer.send(10, &begin());
    let [Event::Session(id, SessionEvent::Incoming)] = stage.peer.events()[..] else { panic!() };
    stage.session = Some(id);
    stage
}

fn mapped() -> Stage {
    let mut stage = begin_sent();
    stage.peer.send(10, &answer(0));
    stage.peer.quiet();
    stage
}

fn ending(mut stage: Stage, with_error: bool) -> Stage {
    stage.peer.engine.end(stage.session.unwrap(), with_error.then(problem));
    stage.peer.quiet();
    stage
}

const SESSION_STATES: &[(&str, Build)] = &[
    ("UNMAPPED", || {
        let mut stage = ending(mapped(), false);
        stage.peer.send(10, &end());
        stage.peer.quiet();
        stage
    }),
    ("BEGIN_SENT", begin_sent),
    ("BEGIN_RCVD", begin_received),
    ("MAPPED", mapped),
    ("END_SENT", || ending(mapped(), false)),
    ("DISCARDING", || ending(mapped(), true)),
    ("END_SENT before the peer's begin", || ending(begin_sent(), false)),
];

const SESSION_HAPPENINGS: &[(&str, Happens)] = &[
    ("begin on its channel", |stage| stage.say(10, &begin())),
    ("begin on another channel", |stage| stage.say(12, &begin())),
    ("begin for channel 0", |stage| stage.say(10, &answer(0))),
    ("begin for it from another", |stage| stage.say(12, &answer(0))),
    ("begin for channel 3", |stage| stage.say(12, &answer(3))),
    ("attach of a sender", |stage| stage.say(10, &sender("new", 6))),
    ("attach of a receiver", |stage| stage.say(10, &receiver("new", 6))),
    ("attach without count", |stage| stage.say(10, &Attach { initial_delivery_count: None, ..sender("new", 6) })),
    ("attach above handle-max", |stage| stage.say(10, &sender("new", 21))),
    ("flow", |stage| stage.say(10, &flow())),
    ("flow with echo", |stage| stage.say(10, &Flow { echo: true, ..flow() })),
    ("flow without next-incoming", |stage| stage.say(10, &Flow { next_incoming_id: None, ..flow() })),
    ("flow of no link", |stage| stage.say(10, &credit(5, 0, 1))),
    ("flow of a link, no handle", |stage| stage.say(10, &Flow { link_credit: Some(1), ..flow() })),
    ("transfer of no link", |stage| {
        stage.peer.deliver(10, 5, 0, b"x");
        None
    }),
    ("disposition of a receiver", |stage| stage.say(10, &disposition(Role::Receiver, 0, 5, true))),
    ("disposition of a sender", |stage| stage.say(10, &disposition(Role::Sender, 0, 5, true))),
    ("disposition, last first", |stage| stage.say(10, &disposition(Role::Sender, 5, 3, true))),
    ("detach of no link", |stage| stage.say(10, &detach(5, true))),
    ("end", |stage| stage.say(10, &end())),
    ("end with error", |stage| stage.say(10, &End { error: Some(problem()) })),
    ("close", |stage| stage.say(0, &close())),
    ("30 s pass", |stage| {
        stage.peer.advance(Duration::from_secs(30));
        None
    }),
    ("accept_begin", |stage| result(stage.peer.engine.accept_begin(stage.session.unwrap(), session_config()))),
    ("refuse_begin", |stage| result(stage.peer.engine.refuse_begin(stage.session.unwrap(), problem()))),
    ("do attach", |stage| result(stage.peer.engine.attach(stage.session.unwrap(), receiving("link")))),
    ("do request_flow", |stage| {
        stage.peer.engine.request_flow(stage.session.unwrap());
        None
    }),
    ("do end", |stage| {
        stage.peer.engine.end(stage.session.unwrap(), None);
        None
    }),
    ("do end with error", |stage| {
        stage.peer.engine.end(stage.session.unwrap(), Some(problem()));
        None
    }),
    ("do abandon_session", |stage| {
        stage.peer.engine.abandon_session(stage.session.unwrap());
        None
    }),
    ("do close", |stage| {
        stage.peer.engine.close(None);
        None
    }),
];

#[test]
fn everything_in_every_state_of_a_session() {
    // 2.5.5-01, 2.5.5-02, 2.5.5-03, 2.5.5-07, 2.5.5-08
    snapshot::compare("session", &table(SESSION_STATES, SESSION_HAPPENINGS));
}

// Link.

/// The engine attaches; `receives` says as what.
fn attach_sent(receives: bool) -> Stage {
    let mut stage = mapped();
    let mut config = if receives { receiving("link") } else { sending("link") };
    config.credit = CreditMode::Manual;
    stage.link = Some(stage.peer.engine.attach(stage.session.unwrap(), config).unwrap());
    stage.peer.quiet();
    stage
}

fn attach_of_peer(receives: bool) -> Attach<'static> {
    if receives { sender("link", 5) } else { receiver("link", 5) }
}

fn attach_received(receives: bool) -> Stage {
    let mut stage = mapped();
    stage.peer.send(10, &attach_of_peer(receives));
    let [Event::Link(id, LinkEvent::Incoming)] = stage.peer.events()[..] else { panic!() };
    stage.link = Some(id);
    stage
}

/// A receiver has granted 2 and has one delivery unsettled; a sender has been granted 2 and has sent one.
fn attached(receives: bool) -> Stage {
    let mut stage = attach_sent(receives);
    stage.peer.send(10, &attach_of_peer(receives));
    let link = stage.link.unwrap();
    if receives {
        stage.peer.engine.receiver(link).unwrap().set_credit(3);
        stage.peer.quiet();
        stage.peer.deliver(10, 5, 0, b"x");
        let delivery = stage.peer.engine.receiver(link).unwrap().next_delivery();
        stage.delivery = delivery.map(|delivery| delivery.key);
    } else {
        stage.peer.send(10, &credit(5, 0, 3));
        stage.delivery = Some(send(&mut stage, true));
    }
    stage.peer.quiet();
    stage
}

/// Sends a delivery, or its beginning.
fn send(stage: &mut Stage, finish: bool) -> DeliveryKey {
    let mut sender = stage.peer.engine.sender(stage.link.unwrap()).unwrap();
    let key = sender.begin_delivery(DeliveryStart::default()).unwrap();
    sender.write(key, Bytes::from_static(b"x")).unwrap();
    if finish {
        sender.finish(key).unwrap();
    }
    key
}

/// As [`attached`], and another delivery is half way.
fn in_delivery(receives: bool) -> Stage {
    let mut stage = attached(receives);
    if receives {
        stage.peer.transfer(10, &Transfer { more: true, ..first(5, 1) }, b"x");
    } else {
        stage.half = Some(send(&mut stage, false));
    }
    stage.peer.quiet();
    stage
}

fn refused(receives: bool) -> Stage {
    let mut stage = attach_sent(receives);
    stage.peer.send(10, &Attach { source: None, target: None, ..attach_of_peer(receives) });
    stage.peer.quiet();
    stage
}

fn detaching(mut stage: Stage, closed: bool, error: bool) -> Stage {
    stage.peer.engine.detach(stage.link.unwrap(), closed, error.then(problem));
    stage.peer.quiet();
    stage
}

fn detached(receives: bool) -> Stage {
    let mut stage = detaching(attached(receives), false, false);
    stage.peer.send(10, &detach(5, false));
    stage.peer.quiet();
    stage
}

fn stolen(receives: bool) -> Stage {
    let mut stage = attached(receives);
    stage.peer.send(10, &Attach { handle: Handle(6), ..attach_of_peer(receives) });
    stage.peer.quiet();
    stage
}

const RECEIVER_STATES: &[(&str, Build)] = &[
    ("ATTACH_SENT", || attach_sent(true)),
    ("ATTACH_RCVD", || attach_received(true)),
    ("ATTACHED", || attached(true)),
    ("ATTACHED, in a delivery", || in_delivery(true)),
    ("refused by the peer", || refused(true)),
    ("DETACH_SENT", || detaching(attached(true), false, false)),
    ("DETACH_SENT, closed with error", || detaching(in_delivery(true), true, true)),
    ("DETACH_SENT before the peer's attach", || detaching(attach_sent(true), false, false)),
    ("stolen", || stolen(true)),
    ("DETACHED", || detached(true)),
];

const SENDER_STATES: &[(&str, Build)] = &[
    ("ATTACH_SENT", || attach_sent(false)),
    ("ATTACH_RCVD", || attach_received(false)),
    ("ATTACHED", || attached(false)),
    ("ATTACHED, in a delivery", || in_delivery(false)),
    ("refused by the peer", || refused(false)),
    ("DETACH_SENT", || detaching(attached(false), false, false)),
    ("DETACH_SENT, closed with error", || detaching(in_delivery(false), true, true)),
    ("DETACH_SENT before the peer's attach", || detaching(attach_sent(false), false, false)),
    ("stolen", || stolen(false)),
    ("DETACHED", || detached(false)),
];

fn given(flow: Flow<'static>) -> Flow<'static> {
    Flow { handle: Some(Handle(5)), ..flow }
}

/// What happens to links of either role.
const LINK_HAPPENINGS: &[(&str, Happens)] = &[
    ("its attach, as a sender", |stage| stage.say(10, &sender("link", 5))),
    ("its attach, as a receiver", |stage| stage.say(10, &receiver("link", 5))),
    ("its attach, null terminus", |stage| {
        let receives = stage.peer.engine.receiver(stage.link.unwrap()).is_some();
        stage.say(10, &Attach { source: None, target: None, ..attach_of_peer(receives) })
    }),
    ("its attach on handle 6", |stage| {
        let receives = stage.peer.engine.receiver(stage.link.unwrap()).is_some();
        stage.say(10, &Attach { handle: Handle(6), ..attach_of_peer(receives) })
    }),
    ("the other direction", |stage| {
        let receives = stage.peer.engine.receiver(stage.link.unwrap()).is_some();
        stage.say(10, &Attach { handle: Handle(6), ..attach_of_peer(!receives) })
    }),
    ("another attach on handle 5", |stage| stage.say(10, &sender("other", 5))),
    ("flow", |stage| stage.say(10, &given(flow()))),
    ("flow with credit", |stage| stage.say(10, &credit(5, 1, 4))),
    ("flow with less credit", |stage| stage.say(10, &credit(5, 0, 1))),
    ("flow with drain", |stage| stage.say(10, &Flow { drain: true, ..credit(5, 1, 4) })),
    ("flow with a later count", |stage| {
        stage.say(10, &Flow { delivery_count: Some(SequenceNo(3)), ..credit(5, 0, 0) })
    }),
    ("flow with echo", |stage| stage.say(10, &given(Flow { echo: true, ..flow() }))),
    ("transfer", |stage| {
        stage.peer.deliver(10, 5, 2, b"x");
        None
    }),
    ("transfer, settled", |stage| {
        stage.peer.transfer(10, &Transfer { settled: Some(true), ..first(5, 2) }, b"x");
        None
    }),
    ("transfer, more to come", |stage| {
        stage.peer.transfer(10, &Transfer { more: true, ..first(5, 2) }, b"x");
        None
    }),
    ("transfer that goes on", |stage| {
        stage.peer.transfer(10, &next(5), b"x");
        None
    }),
    ("transfer that aborts", |stage| {
        stage.peer.transfer(10, &Transfer { aborted: true, ..next(5) }, b"");
        None
    }),
    ("transfer without id", |stage| {
        stage.peer.transfer(10, &Transfer { delivery_id: None, ..first(5, 2) }, b"x");
        None
    }),
    ("transfer without tag", |stage| {
        stage.peer.transfer(10, &Transfer { delivery_tag: None, ..first(5, 2) }, b"x");
        None
    }),
    ("transfer with a used tag", |stage| {
        stage.peer.transfer(10, &Transfer { delivery_tag: Some(tag(0)), ..first(5, 2) }, b"x");
        None
    }),
    ("disposition of a receiver", |stage| stage.say(10, &disposition(Role::Receiver, 0, 5, false))),
    ("settled by a receiver", |stage| stage.say(10, &disposition(Role::Receiver, 0, 5, true))),
    ("settled by a sender", |stage| stage.say(10, &disposition(Role::Sender, 0, 5, true))),
    ("detach", |stage| stage.say(10, &detach(5, false))),
    ("detach, closed", |stage| stage.say(10, &detach(5, true))),
    ("detach, closed with error", |stage| stage.say(10, &Detach { error: Some(problem()), ..detach(5, true) })),
    ("end", |stage| stage.say(10, &end())),
    ("close", |stage| stage.say(0, &close())),
    ("30 s pass", |stage| {
        stage.peer.advance(Duration::from_secs(30));
        None
    }),
    ("accept_attach", |stage| {
        let receives = stage.peer.engine.receiver(stage.link.unwrap()).is_some();
        let config = if receives { receiving("link") } else { sending("link") };
        result(stage.peer.engine.accept_attach(stage.link.unwrap(), config))
    }),
    ("refuse_attach", |stage| result(stage.peer.engine.refuse_attach(stage.link.unwrap(), problem()))),
    ("attach by this name", |stage| {
        let receives = stage.peer.engine.receiver(stage.link.unwrap()).is_some();
        let config = if receives { receiving("link") } else { sending("link") };
        result(stage.peer.engine.attach(stage.session.unwrap(), config))
    }),
    ("do detach", |stage| {
        stage.peer.engine.detach(stage.link.unwrap(), false, None);
        None
    }),
    ("do detach, closed", |stage| {
        stage.peer.engine.detach(stage.link.unwrap(), true, Some(problem()));
        None
    }),
    ("do abandon_link", |stage| {
        stage.peer.engine.abandon_link(stage.link.unwrap());
        None
    }),
    ("take_terminus", |stage| {
        let terminus = stage.peer.engine.take_terminus(stage.link.unwrap());
        Some(terminus.map_or("nothing".into(), |terminus| format!("{} unsettled", terminus.unsettled.len())))
    }),
    ("do end", |stage| {
        stage.peer.engine.end(stage.session.unwrap(), None);
        None
    }),
    ("do close", |stage| {
        stage.peer.engine.close(None);
        None
    }),
];

const RECEIVER_COMMANDS: &[(&str, Happens)] = &[
    ("set_credit 7", |stage| {
        stage.peer.engine.receiver(stage.link.unwrap())?.set_credit(7);
        None
    }),
    ("set_credit 0", |stage| {
        stage.peer.engine.receiver(stage.link.unwrap())?.set_credit(0);
        None
    }),
    ("add_credit 2", |stage| {
        stage.peer.engine.receiver(stage.link.unwrap())?.add_credit(2);
        None
    }),
    ("set_credit_mode", |stage| {
        let mode = CreditMode::Automatic { window: 20, replenish: Replenish::Taken };
        stage.peer.engine.receiver(stage.link.unwrap())?.set_credit_mode(mode);
        None
    }),
    ("set_properties", |stage| {
        stage.peer.engine.receiver(stage.link.unwrap())?.set_properties(Fields::new()).unwrap();
        None
    }),
    ("drain", |stage| {
        stage.peer.engine.receiver(stage.link.unwrap())?.drain();
        None
    }),
    ("next_delivery", |stage| {
        let delivery = stage.peer.engine.receiver(stage.link.unwrap())?.next_delivery();
        Some(delivery.map_or("nothing".into(), |delivery| format!("{} octets", delivery.payload.len())))
    }),
    ("partial", |stage| {
        let mut receiver = stage.peer.engine.receiver(stage.link.unwrap())?;
        Some(receiver.partial().map_or("nothing".into(), |mut part| format!("{} octets", part.take().len())))
    }),
    ("settle", |stage| {
        let key = stage.delivery?;
        result(stage.peer.engine.receiver(key.link())?.settle(key, amqp10_codec::DeliveryState::Accepted, true))
    }),
    ("tell a state", |stage| {
        let key = stage.delivery?;
        result(stage.peer.engine.receiver(key.link())?.settle(key, amqp10_codec::DeliveryState::Released, false))
    }),
];

const SENDER_COMMANDS: &[(&str, Happens)] = &[
    ("send", |stage| {
        let mut sender = stage.peer.engine.sender(stage.link.unwrap())?;
        let begun = sender.begin_delivery(DeliveryStart::default());
        if let Ok(key) = begun {
            sender.write(key, Bytes::from_static(b"x")).unwrap();
            sender.finish(key).unwrap();
        }
        result(begun)
    }),
    ("write more", |stage| {
        let key = stage.half?;
        result(stage.peer.engine.sender(key.link())?.write(key, Bytes::from_static(b"xyz")))
    }),
    ("finish", |stage| {
        let key = stage.half?;
        result(stage.peer.engine.sender(key.link())?.finish(key))
    }),
    ("abort", |stage| {
        let key = stage.half?;
        result(stage.peer.engine.sender(key.link())?.abort(key))
    }),
    ("set_available", |stage| {
        stage.peer.engine.sender(stage.link.unwrap())?.set_available(5);
        None
    }),
    ("set_properties", |stage| {
        stage.peer.engine.sender(stage.link.unwrap())?.set_properties(Fields::new()).unwrap();
        None
    }),
    ("drained", |stage| {
        stage.peer.engine.sender(stage.link.unwrap())?.drained();
        None
    }),
    ("next_outcome", |stage| {
        let outcome = stage.peer.engine.sender(stage.link.unwrap())?.next_outcome();
        Some(outcome.map_or("nothing".into(), |outcome| format!("{:?}", outcome.state)))
    }),
    ("settle", |stage| {
        let key = stage.delivery?;
        result(stage.peer.engine.sender(key.link())?.settle(key, None))
    }),
];

#[test]
fn everything_in_every_state_of_a_receiver() {
    // 2.6.5-01
    snapshot::compare("receiver", &table(RECEIVER_STATES, &[LINK_HAPPENINGS, RECEIVER_COMMANDS].concat()));
}

#[test]
fn everything_in_every_state_of_a_sender() {
    snapshot::compare("sender", &table(SENDER_STATES, &[LINK_HAPPENINGS, SENDER_COMMANDS].concat()));
}
