//! What the fuzz targets of the engine check: it never panics, everything it says is legal, everything ends once, and two engines
//! never find fault with each other. The first three are watched by the helpers of its own tests.

#[allow(unreachable_pub, unused, reason = "helpers of other tests")]
#[path = "../../crates/link/tests/support/mod.rs"]
mod support;

use std::time::Duration;

use amqp10_codec::{FrameType, begin_frame, finish_frame};
use arbitrary::{Result, Unstructured};
use bytes::BytesMut;
use support::app::{Action, App};
use support::scene::{Scene, config};
use support::{Pair, Script, Wire, drain, push};

/// Something that an application does, as the octets have it.
fn action(u: &mut Unstructured<'_>) -> Result<Action> {
    Ok(match u.arbitrary::<u8>()? % 32 {
        0 | 1 => Action::Take,
        2 => Action::TakePart,
        3 | 4 => Action::Settle { accepted: u.arbitrary()?, settled: u.arbitrary()?, transaction: false },
        5 => Action::Credit(u.arbitrary()?),
        6 => Action::Credit(u.arbitrary::<u8>()?.into()),
        7 => Action::AddCredit(u.arbitrary()?),
        8 => Action::Automatic { taken: u.arbitrary()? },
        9 => Action::Drain,
        10..=13 => Action::Send {
            octets: u.arbitrary::<u16>()? % 20_000,
            settled: u.arbitrary()?,
            pieces: u.arbitrary()?,
            transaction: false,
        },
        14 => Action::Finish,
        15 => Action::Abort,
        16 => Action::Drained,
        17 | 18 => Action::Outcomes { settle: u.arbitrary()? },
        19 => Action::Begin,
        20 | 21 => Action::Attach {
            name: u.arbitrary()?,
            is_sender: u.arbitrary()?,
            snd: u.arbitrary()?,
            second: u.arbitrary()?,
            manual: u.arbitrary()?,
        },
        22 | 23 => Action::Detach { closed: u.arbitrary()?, error: u.arbitrary()? },
        24 => Action::AbandonLink,
        25 => Action::End { error: u.arbitrary()? },
        26 => Action::AbandonSession,
        27 => Action::RequestFlow,
        28 => Action::Properties,
        29 => Action::Available(u.arbitrary()?),
        30 => Action::Answer(u.arbitrary()?),
        // Rarely: nothing happens afterwards.
        _ if u.arbitrary::<u8>()? < 16 => Action::Close,
        _ => Action::Take,
    })
}

/// The same, or something about links that are resumed and about transactions.
fn action_of_all(u: &mut Unstructured<'_>) -> Result<Action> {
    let kind = u.arbitrary::<u8>()?;
    Ok(match kind % 32 {
        0..12 => return action(u),
        12 | 13 => Action::Reattach { resumes: kind < 192 },
        14 => Action::Resolve { from_beginning: kind < 64 },
        15 | 16 => Action::Controller { another: kind < 64 },
        17..20 => Action::Declare,
        20 | 21 => Action::Discharge { fail: kind < 64 },
        22..25 => {
            Action::Send { octets: u.arbitrary()?, settled: kind < 64, pieces: u.arbitrary()?, transaction: true }
        }
        25 | 26 => Action::Settle { accepted: kind < 128, settled: u.arbitrary()?, transaction: true },
        27 | 28 => Action::Acquire { credit: u.arbitrary::<u8>()? % 8 },
        29 => Action::Serve { accepts: kind < 192 },
        30 => Action::FailTransaction,
        _ => Action::Answer(u.arbitrary()?),
    })
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
            app = App::with(&[scene.one, scene.two], &[scene.a, scene.b, scene.c, scene.d]);
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
            let action = action(input)?;
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
    /// The connection is lost and there is another one, where the client resumes its links or waits for the server to do so.
    Reconnect {
        resumes: bool,
    },
}

/// Something that happens, as the octets have it; with `all`, links are resumed and there are transactions.
fn operation(u: &mut Unstructured<'_>, all: bool) -> Result<Operation> {
    let kind = u.arbitrary::<u8>()?;
    let side = kind & 1 == 1;
    Ok(match kind >> 1 {
        0..64 => Operation::Act {
            server: side,
            choice: kind >> 1 & 0x0f,
            action: if all { action_of_all(u)? } else { action(u)? },
        },
        64..90 => Operation::Carry { to_server: side, octets: u.arbitrary::<u8>()?.into() },
        90..100 => Operation::Carry { to_server: side, octets: u.arbitrary()? },
        123 if all => Operation::Reconnect { resumes: side },
        100..124 => Operation::Run,
        124..127 => Operation::Wait(u.arbitrary::<u8>()? % 64),
        _ if u.arbitrary::<u8>()? < 64 => Operation::Cut { to_server: side },
        _ => Operation::Run,
    })
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

    fn reconnect(&mut self, resumes: bool) {
        let now = self.pair.now;
        self.pair.client.handle_eof(now);
        self.pair.server.handle_eof(now);
        self.events();
        let [client, server] = &mut self.apps;
        client.disconnected(&mut self.pair.client);
        server.disconnected(&mut self.pair.server);
        let wire = self.pair.wire;
        self.pair = pair(wire);
        (self.on_the_way, self.buffers, self.cut) = Default::default();
        client.act(&mut self.pair.client, &Action::Begin, 0);
        self.run();
        if resumes {
            self.apps[0].resume_all(&mut self.pair.client);
        }
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
            Operation::Reconnect { resumes } => self.reconnect(resumes),
        }
        self.events();
    }
}

fn pair(wire: Wire) -> Pair {
    let mut config = config();
    config.max_frame_size = 1_024;
    let mut pair = Pair::opened(config.clone(), config);
    pair.wire = wire;
    pair
}

/// Operations on two engines, of which neither may ever find that the other broke a rule. The first octet says in its lowest bit
/// whether octets travel whole or one by one, in the next whether links are resumed and there are transactions.
pub fn engine_ops(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let Ok(mode) = input.arbitrary::<u8>() else { return };
    let all = mode & 2 == 2;
    let mut lines = Lines {
        pair: pair(if mode & 1 == 0 { Wire::Whole } else { Wire::Octets }),
        apps: [App::new(all), App::new(all)],
        on_the_way: Default::default(),
        buffers: Default::default(),
        cut: Default::default(),
    };
    while !input.is_empty()
        && let Ok(operation) = operation(&mut input, all)
    {
        lines.make(operation);
    }
    lines.run();
    let Lines { pair, apps: [client, server], .. } = &mut lines;
    client.finish(&mut pair.client, pair.now);
    server.finish(&mut pair.server, pair.now);
    client.finds_no_fault();
    server.finds_no_fault();
}
