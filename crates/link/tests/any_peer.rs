//! Whatever a peer sends and an application does, the engine keeps its promises. That everything it says is legal, and that
//! everything ends once, is checked by [`support::Checked`].

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use amqp10_codec::{
    Attach, Channel, DeliveryNumber, Detach, End, Flow, Handle, Performative, ReceiverSettleMode, Role, SequenceNo,
    Transfer, TransferNumber,
};
use proptest::prelude::*;
use support::app::{Action, App, NAMES};
use support::scene::{CREDIT, HANDLE_MAX, Scene, WINDOW};
use support::script::*;
use support::{Script, Wire};

/// What the peer sends, or the application does, in one step.
#[derive(Clone, Debug)]
enum Step {
    Transfer { channel: u16, handle: u32, id: Id, settled: Option<bool>, more: bool, aborted: bool, payload: usize },
    Flow { channel: u16, flow: FlowParts },
    Disposition { channel: u16, role: bool, first: u32, length: u32, settled: bool },
    Attach { channel: u16, handle: u32, name: usize, is_sender: bool, refuses: bool, second: bool },
    Detach { channel: u16, handle: u32, closed: bool, error: bool },
    Begin { channel: u16, remote: Option<u16> },
    End { channel: u16, error: bool },
    Close,
    Octets(Vec<u8>),
    Application(Action),
    Wait(u64),
    Poll,
}

#[derive(Clone, Copy, Debug)]
enum Id {
    Next,
    None,
    Any(u32),
}

#[derive(Clone, Debug)]
struct FlowParts {
    handle: Option<u32>,
    next_incoming_id: Option<u32>,
    window: u32,
    count: Option<u32>,
    credit: Option<u32>,
    drain: bool,
    echo: bool,
}

/// Octets that an engine may hold after its end: buffers, whatever went through them.
const MOST_LEFT: i64 = 1 << 16;

fn begin_of_peer() -> amqp10_codec::Begin<'static> {
    begin()
}

fn channels() -> impl Strategy<Value = u16> {
    prop_oneof![20 => Just(10), 10 => Just(11), 3 => 12_u16..15, 1 => 0_u16..30]
}

fn handles() -> impl Strategy<Value = u32> {
    prop_oneof![30 => 5_u32..10, 1 => 0..HANDLE_MAX + 2]
}

fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![5 => 0_u32..20, 1 => any::<u32>(), 1 => u32::MAX - 3..=u32::MAX]
}

fn step() -> impl Strategy<Value = Step> {
    let id = prop_oneof![12 => Just(Id::Next), 6 => Just(Id::None), 1 => numbers().prop_map(Id::Any)];
    let flags = (prop::option::of(any::<bool>()), any::<bool>(), prop::bool::weighted(0.1));
    let payload = prop_oneof![3 => 0_usize..3, 1 => 0_usize..11_000];
    let transfer = (channels(), handles(), id, flags, payload).prop_map(
        |(channel, handle, id, (settled, more, aborted), payload)| Step::Transfer {
            channel,
            handle,
            id,
            settled,
            more,
            aborted,
            payload,
        },
    );
    let parts = (
        prop::option::weighted(0.8, handles()),
        prop::option::weighted(0.95, numbers()),
        prop_oneof![4 => Just(100), 1 => numbers()],
        prop::option::of(numbers()),
        prop::option::of(numbers()),
        prop::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(|(handle, next_incoming_id, window, count, credit, drain, echo)| FlowParts {
            handle,
            next_incoming_id,
            window,
            count,
            credit,
            drain,
            echo,
        });
    let length = prop_oneof![8 => 0_u32..10, 1 => any::<u32>()];
    prop_oneof![
        20 => transfer,
        10 => (channels(), parts).prop_map(|(channel, flow)| Step::Flow { channel, flow }),
        6 => (channels(), any::<bool>(), numbers(), length, any::<bool>()).prop_map(
            |(channel, role, first, length, settled)| Step::Disposition { channel, role, first, length, settled },
        ),
        4 => (channels(), handles(), 0..NAMES.len(), any::<bool>(), prop::bool::weighted(0.2), any::<bool>()).prop_map(
            |(channel, handle, name, is_sender, refuses, second)| Step::Attach {
                channel,
                handle,
                name,
                is_sender,
                refuses,
                second,
            },
        ),
        5 => (channels(), handles(), any::<bool>(), any::<bool>())
            .prop_map(|(channel, handle, closed, error)| Step::Detach { channel, handle, closed, error }),
        3 => (10_u16..15, prop::option::of(0_u16..4)).prop_map(|(channel, remote)| Step::Begin { channel, remote }),
        1 => (channels(), any::<bool>()).prop_map(|(channel, error)| Step::End { channel, error }),
        30 => action().prop_map(Step::Application),
        2 => (0_u64..40).prop_map(Step::Wait),
        8 => Just(Step::Poll),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let transaction = false;
    prop_oneof![
        6 => Just(Action::Take),
        1 => Just(Action::TakePart),
        6 => (any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(move |(accepted, settled)| Action::Settle { accepted, settled, transaction }),
        2 => numbers().prop_map(Action::Credit),
        1 => any::<u8>().prop_map(Action::AddCredit),
        1 => any::<bool>().prop_map(|taken| Action::Automatic { taken }),
        1 => Just(Action::Drain),
        8 => (0_u16..3_000, any::<bool>(), 0_u8..4)
            .prop_map(move |(octets, settled, pieces)| Action::Send { octets, settled, pieces, transaction }),
        2 => Just(Action::Finish),
        2 => Just(Action::Abort),
        2 => Just(Action::Drained),
        4 => any::<bool>().prop_map(|settle| Action::Outcomes { settle }),
        1 => Just(Action::Begin),
        2 => (any::<u8>(), any::<bool>(), any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
            |(name, is_sender, snd, second, manual)| Action::Attach { name, is_sender, snd, second, manual },
        ),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(closed, error)| Action::Detach { closed, error }),
        1 => Just(Action::AbandonLink),
        1 => any::<bool>().prop_map(|error| Action::End { error }),
        1 => Just(Action::AbandonSession),
        1 => Just(Action::RequestFlow),
        1 => Just(Action::Properties),
        1 => any::<u8>().prop_map(Action::Available),
    ]
}

/// Now and then something that ends the connection.
fn steps() -> impl Strategy<Value = Vec<(Step, bool, prop::sample::Index)>> {
    let deadly = prop_oneof![
        Just(Step::Close),
        Just(Step::Application(Action::Close)),
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Step::Octets),
    ];
    let step = prop_oneof![300 => step(), 1 => deadly];
    prop::collection::vec((step, prop::bool::weighted(0.98), any::<prop::sample::Index>()), 1..250)
}

/// What a peer knows that keeps the rules.
#[derive(Default)]
struct PeerSession {
    /// The engine's channel, once its begin was seen.
    theirs: Option<u16>,
    ended: bool,
    /// Transfers seen, and transfers that may still be sent.
    seen: u32,
    window: u32,
    links: BTreeMap<u32, PeerLink>,
}

struct PeerLink {
    name: String,
    role: Role,
    /// The engine's handle, once its attach was seen.
    theirs: Option<u32>,
    detached: bool,
    in_delivery: bool,
    /// Deliveries sent or seen, and how many may be sent at most.
    count: u32,
    limit: u32,
}

impl PeerLink {
    fn new(name: &str, role: Role, theirs: Option<u32>) -> Self {
        Self { name: name.to_owned(), role, theirs, detached: false, in_delivery: false, count: 0, limit: 0 }
    }
}

impl PeerSession {
    fn by_their_handle(&mut self, handle: u32) -> Option<(u32, &mut PeerLink)> {
        let mut links = self.links.iter_mut().filter(|(_, link)| link.theirs == Some(handle));
        links.next().map(|(handle, link)| (*handle, link))
    }

    /// A link that is attached on both sides.
    fn pick(&mut self, role: Option<Role>, choice: prop::sample::Index) -> Option<(u32, &mut PeerLink)> {
        let fits =
            |link: &PeerLink| !link.detached && link.theirs.is_some() && role.is_none_or(|role| link.role == role);
        let mut fitting: Vec<_> = self.links.iter_mut().filter(|(_, link)| fits(link)).collect();
        let (handle, link) = (!fitting.is_empty()).then(|| fitting.swap_remove(choice.index(fitting.len())))?;
        Some((*handle, link))
    }

    fn free_handle(&self) -> u32 {
        (5..).find(|handle| !self.links.contains_key(handle)).unwrap()
    }
}

/// An engine, its application, and what a peer knows that keeps the rules.
struct Driver {
    peer: Script,
    app: App,
    next_id: u32,
    model: BTreeMap<u16, PeerSession>,
}

impl Driver {
    fn new(scene: Scene) -> Self {
        let link = |name, role, theirs| PeerLink::new(name, role, Some(theirs));
        let one = [(5, link("a", Role::Sender, 0)), (6, link("b", Role::Sender, 1)), (7, link("c", Role::Receiver, 2))];
        let two = [(5, link("d", Role::Sender, 0))];
        let session =
            |theirs, links| PeerSession { theirs: Some(theirs), window: WINDOW, links, ..PeerSession::default() };
        let mut model = BTreeMap::from([(10, session(0, one.into())), (11, session(1, two.into()))]);
        for link in model.values_mut().flat_map(|session| session.links.values_mut()) {
            link.limit = if link.role == Role::Sender { CREDIT } else { 0 };
        }
        Self {
            model,
            app: App::with(&[scene.one, scene.two], &[scene.a, scene.b, scene.c, scene.d]),
            next_id: 0,
            peer: scene.peer,
        }
    }

    fn send(&mut self, octets: Vec<u8>) {
        self.app.input += octets.len();
        self.peer.octets(&octets);
    }

    fn step(&mut self, step: Step, legal: bool, choice: prop::sample::Index) {
        match if legal { self.as_the_rules_demand(step, choice) } else { Some(step) } {
            None => {}
            Some(Step::Transfer { channel, handle, id, settled, more, aborted, payload }) => {
                let transfer = match id {
                    Id::None => next(handle),
                    Id::Next => {
                        self.next_id += 1;
                        first(handle, self.next_id)
                    }
                    Id::Any(id) => Transfer { delivery_id: Some(DeliveryNumber(id)), ..first(handle, id) },
                };
                let transfer = Transfer { settled, more, aborted, ..transfer };
                self.send(transfer_frame(channel, &transfer, &vec![0; payload]));
            }
            Some(Step::Flow { channel, flow: parts }) => {
                let flow = Flow {
                    next_incoming_id: parts.next_incoming_id.map(TransferNumber),
                    incoming_window: parts.window,
                    handle: parts.handle.map(Handle),
                    delivery_count: parts.count.map(SequenceNo),
                    link_credit: parts.credit,
                    drain: parts.drain,
                    echo: parts.echo,
                    ..flow()
                };
                self.send(frame(channel, &flow));
            }
            Some(Step::Disposition { channel, role, first, length, settled }) => {
                let role = if role { Role::Receiver } else { Role::Sender };
                self.send(frame(channel, &disposition(role, first, first.wrapping_add(length), settled)));
            }
            Some(Step::Attach { channel, handle, name, is_sender, refuses, second }) => {
                let attach = if is_sender { sender(NAMES[name], handle) } else { receiver(NAMES[name], handle) };
                let rcv_settle_mode = if second { ReceiverSettleMode::Second } else { ReceiverSettleMode::First };
                let attach = match refuses {
                    false => attach,
                    true if is_sender => Attach { source: None, ..attach },
                    true => Attach { target: None, ..attach },
                };
                self.send(frame(channel, &Attach { rcv_settle_mode, ..attach }));
            }
            Some(Step::Detach { channel, handle, closed, error }) => {
                self.send(frame(channel, &Detach { error: error.then(problem), ..detach(handle, closed) }));
            }
            Some(Step::Begin { channel, remote }) => {
                let begin = amqp10_codec::Begin { remote_channel: remote.map(Channel), ..begin() };
                self.send(frame(channel, &begin));
            }
            Some(Step::End { channel, error }) => self.send(frame(channel, &End { error: error.then(problem) })),
            Some(Step::Close) => self.send(frame(0, &close())),
            Some(Step::Octets(octets)) => self.send(octets),
            Some(Step::Application(action)) => {
                self.app.act(&mut self.peer.engine, &action, choice.index(256) as u8);
            }
            Some(Step::Wait(seconds)) => {
                self.app.input += 1_000 * seconds as usize;
                self.peer.advance(Duration::from_secs(seconds));
            }
            Some(Step::Poll) => {
                let frames = self.peer.frames();
                let size = |(_, _, payload): &Told| payload.len() + 100;
                self.read(&frames, choice);
                self.app.drained(frames.iter().map(size).sum());
            }
        }
        let told = self.peer.events();
        let most = 10 + 2 * (self.app.links.len() + self.app.sessions.len());
        assert!(told.len() <= most, "{} events at once", told.len());
        self.app.answers = choice.index(4) as u8;
        for event in told {
            self.app.answer(&mut self.peer.engine, event);
        }
        self.app.events(&mut self.peer.engine);
    }

    /// The same step, or one like it, of a peer that keeps the rules; none if there is none.
    fn as_the_rules_demand(&mut self, step: Step, choice: prop::sample::Index) -> Option<Step> {
        let alive: Vec<u16> = self
            .model
            .iter()
            .filter(|(_, session)| !session.ended && session.theirs.is_some())
            .map(|(channel, _)| *channel)
            .collect();
        let channel = (!alive.is_empty()).then(|| alive[choice.index(alive.len())]);
        let session = channel.and_then(|channel| self.model.get_mut(&channel));
        Some(match step {
            Step::Transfer { settled, more, aborted, payload, .. } => {
                let session = session.filter(|session| session.window > 0)?;
                let (handle, link) = session.pick(Some(Role::Sender), choice)?;
                if !link.in_delivery {
                    if link.count == link.limit {
                        return None;
                    }
                    link.count += 1;
                }
                let id = if link.in_delivery { Id::None } else { Id::Next };
                link.in_delivery = more && !aborted;
                session.window -= 1;
                Step::Transfer { channel: channel?, handle, id, settled, more, aborted, payload: payload % 2_000 }
            }
            Step::Flow { flow, .. } => {
                let session = session?;
                let (handle, link) = session.pick(None, choice)?;
                let count = Some(link.count);
                let credit = if link.role == Role::Receiver { flow.credit } else { None };
                let seen = session.seen;
                let flow = FlowParts { handle: Some(handle), next_incoming_id: Some(seen), count, credit, ..flow };
                Step::Flow { channel: channel?, flow }
            }
            Step::Disposition { role, first, length, settled, .. } => {
                Step::Disposition { channel: channel?, role, first, length: length % 0x7fff_0000, settled }
            }
            Step::Attach { name, is_sender, second, .. } => {
                let session = session?;
                let handle = session.free_handle();
                let role = if is_sender { Role::Sender } else { Role::Receiver };
                let twice = |link: &PeerLink| link.name == NAMES[name] && link.role == role;
                if handle > HANDLE_MAX || session.links.values().any(twice) {
                    return None;
                }
                session.links.insert(handle, PeerLink::new(NAMES[name], role, None));
                Step::Attach { channel: channel?, handle, name, is_sender, refuses: false, second }
            }
            Step::Detach { closed, error, .. } => {
                let (handle, link) = session?.pick(None, choice)?;
                link.detached = true;
                Step::Detach { channel: channel?, handle, closed, error }
            }
            Step::Begin { .. } => {
                let channel = (10..15).find(|channel| !self.model.contains_key(channel))?;
                self.model.insert(channel, PeerSession { window: 0, ..PeerSession::default() });
                Step::Begin { channel, remote: None }
            }
            Step::End { error, .. } => {
                session?.ended = true;
                Step::End { channel: channel?, error }
            }
            step => step,
        })
    }

    /// What a peer that keeps the rules makes of what the engine has sent; now and then it does not answer.
    fn read(&mut self, frames: &[Told], choice: prop::sample::Index) {
        let answers = choice.index(12) > 0;
        for (theirs, performative, _) in frames {
            let found = self.model.iter_mut().find(|(_, session)| session.theirs == Some(*theirs));
            let mut session = found.map(|(channel, session)| (*channel, session));
            let mut answer = None;
            match performative {
                Performative::Begin(begin) => match begin.remote_channel {
                    Some(channel) => {
                        if let Some(session) = self.model.get_mut(&channel.0) {
                            (session.theirs, session.window) = (Some(*theirs), begin.incoming_window);
                        }
                    }
                    None if answers => {
                        let Some(channel) = (10..15).find(|channel| !self.model.contains_key(channel)) else {
                            continue;
                        };
                        let window = begin.incoming_window;
                        self.model
                            .insert(channel, PeerSession { theirs: Some(*theirs), window, ..PeerSession::default() });
                        let begin = amqp10_codec::Begin { remote_channel: Some(Channel(*theirs)), ..begin_of_peer() };
                        answer = Some(frame(channel, &begin));
                    }
                    None => {}
                },
                Performative::End(_) => {
                    if let Some((channel, session)) = session
                        && (session.ended || answers)
                    {
                        answer = (!session.ended).then(|| frame(channel, &end()));
                        self.model.remove(&channel);
                    }
                }
                Performative::Attach(attach) => {
                    let Some((channel, session)) = &mut session else { continue };
                    let ours = if attach.role == Role::Sender { Role::Receiver } else { Role::Sender };
                    let waits =
                        |link: &&mut PeerLink| link.theirs.is_none() && link.role == ours && *link.name == *attach.name;
                    if let Some(link) = session.links.values_mut().find(waits) {
                        link.theirs = Some(attach.handle.0);
                    } else if answers && !session.ended {
                        let handle = session.free_handle();
                        if handle > HANDLE_MAX {
                            continue;
                        }
                        session.links.insert(handle, PeerLink::new(&attach.name, ours, Some(attach.handle.0)));
                        let attach = Attach {
                            initial_delivery_count: Some(SequenceNo(0)),
                            source: attach.source.clone(),
                            target: attach.target.clone(),
                            ..Attach::new(attach.name.clone(), Handle(handle), ours)
                        };
                        answer = Some(frame(*channel, &attach));
                    }
                }
                Performative::Detach(detach) => {
                    let Some((channel, session)) = &mut session else { continue };
                    let Some((handle, link)) = session.by_their_handle(detach.handle.0) else { continue };
                    if link.detached || answers {
                        let detached = link.detached;
                        session.links.remove(&handle);
                        answer = (!detached && !session.ended)
                            .then(|| frame(*channel, &support::script::detach(handle, detach.closed)));
                    }
                }
                Performative::Flow(flow) => {
                    let Some((_, session)) = &mut session else { continue };
                    session.window = flow.incoming_window;
                    if let Some((_, link)) = flow.handle.and_then(|handle| session.by_their_handle(handle.0))
                        && let (Role::Sender, Some(count), Some(credit)) =
                            (link.role, flow.delivery_count, flow.link_credit)
                    {
                        link.limit = count.0.saturating_add(credit);
                    }
                }
                Performative::Transfer(transfer) => {
                    let Some((_, session)) = &mut session else { continue };
                    session.seen += 1;
                    if let Some((_, link)) = session.by_their_handle(transfer.handle.0) {
                        link.count += u32::from(transfer.delivery_id.is_some());
                    }
                }
                _ => {}
            }
            if let Some(octets) = answer {
                self.send(octets);
            }
        }
    }
}

proptest! {
    /// Random frames, legal and illegal, against an engine whose application does random things.
    #[test]
    fn one_engine_against_any_peer(steps in steps(), octets in any::<bool>(), last in any::<prop::sample::Index>()) {
        // 2.7.4-07, 2.7.4-08, 2.7.4-09, 2.7.4-10, 2.7.4-11
        let mut driver = Driver::new(Scene::new(if octets { Wire::Octets } else { Wire::Whole }));
        for (step, legal, choice) in steps {
            driver.step(step, legal, choice);
        }
        driver.step(Step::Poll, true, last);
        // Whatever state it is in, it ends as it should.
        driver.step(Step::Application(Action::Close), true, last);
        driver.step(Step::Poll, true, last);
        driver.step(Step::Close, true, last);
        prop_assert!(driver.peer.engine.is_closed());
        prop_assert!(driver.app.closed);
        prop_assert_eq!(driver.peer.engine.poll_timeout(), None);
        prop_assert!(driver.app.sessions.is_empty() && driver.app.links.is_empty(), "every session and link has ended");
        // Nothing is left of all that but buffers.
        let engine = driver.peer.engine.into_engine();
        let freed = -allocation_counter::measure(|| drop(engine)).bytes_current;
        prop_assert!(freed < MOST_LEFT, "{freed} octets are held for nothing");
    }
}
