//! Engines that receive and send.

use std::hint::black_box;
use std::io::IoSlice;
use std::time::Instant;

use amqp10_codec::{DeliveryState, Source, Target};
use amqp10_link::{
    Config, Connection, CreditMode, DeliveryStart, Event, LinkConfig, LinkEvent, LinkId, Output, Replenish,
    SessionConfig, SessionEvent,
};
use bytes::{Bytes, BytesMut};

use crate::{Work, device_message, disposition_frame, encoded, flow_frame, transfer_frame};

/// How many messages travel together: about as many as a read of 64 KiB brings.
const BATCH: u32 = 128;

/// A client that receives and a server that sends, with one link attached between them.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
    pub(crate) receiver: LinkId,
    pub(crate) sender: LinkId,
    now: Instant,
}

fn carry(from: &mut Connection, to: &mut Connection, now: Instant) {
    let mut output = Output::new();
    let mut octets = BytesMut::new();
    drain(from, &mut output, now, |part| octets.extend_from_slice(part));
    to.handle_input(&mut octets, now);
    assert!(octets.is_empty());
}

fn event(engine: &mut Connection) -> Event {
    engine.poll_event().expect("an event")
}

impl Pair {
    pub(crate) fn attached() -> Self {
        let now = Instant::now();
        let mut client = Connection::client(Config::new("client"), now).expect("the open fits");
        let mut server = Connection::server(Config::new("server"), now);
        carry(&mut client, &mut server, now);
        assert_eq!(event(&mut server), Event::Incoming);
        server.accept(Config::new("server")).expect("the open waits");
        carry(&mut server, &mut client, now);
        assert_eq!(event(&mut client), Event::Opened);
        let session = client.begin(SessionConfig::default()).expect("a session");
        carry(&mut client, &mut server, now);
        assert_eq!(event(&mut server), Event::Opened);
        let Event::Session(begun, SessionEvent::Incoming) = event(&mut server) else { panic!("no begin") };
        server.accept_begin(begun, SessionConfig::default()).expect("the begin waits");
        carry(&mut server, &mut client, now);
        let mut config = LinkConfig::receiver("link", Source::at("queue"));
        config.credit = CreditMode::Automatic { window: 1000, replenish: Replenish::Settled };
        let receiver = client.attach(session, config).expect("a link");
        carry(&mut client, &mut server, now);
        let found = std::iter::from_fn(|| server.poll_event()).find_map(|event| match event {
            Event::Link(link, LinkEvent::Incoming) => Some(link),
            _ => None,
        });
        let sender = found.expect("an attach");
        server.accept_attach(sender, LinkConfig::sender("", Target::default())).expect("the attach waits");
        carry(&mut server, &mut client, now);
        carry(&mut client, &mut server, now);
        while client.poll_event().is_some() || server.poll_event().is_some() {}
        Self { client, server, receiver, sender, now }
    }
}

/// Takes everything that an engine has to send, as a driver with a vectored write would.
pub(crate) fn drain(engine: &mut Connection, output: &mut Output, now: Instant, mut write: impl FnMut(&[u8])) {
    while engine.poll_output(output, 256 << 10, now) {
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = output.chunks(&mut slices);
            let mut written = 0;
            for slice in &slices[..filled] {
                write(slice);
                written += slice.len();
            }
            output.advance(written);
        }
    }
}

/// An engine that is fed transfers of the device message, encoded beforehand. In a step every one of a batch is taken and accepted
/// and what there is to send is taken.
#[derive(Debug)]
pub struct Receiving {
    engine: Connection,
    link: LinkId,
    now: Instant,
    message: Vec<u8>,
    next: u32,
    input: BytesMut,
    output: Output,
}

impl Receiving {
    /// With the link attached.
    #[expect(clippy::new_without_default, reason = "nobody needs a default engine")]
    pub fn new() -> Self {
        let pair = Pair::attached();
        Self {
            engine: pair.client,
            link: pair.receiver,
            now: pair.now,
            message: encoded(&device_message()),
            next: 0,
            input: BytesMut::new(),
            output: Output::new(),
        }
    }
}

impl Work for Receiving {
    fn units(&self) -> u32 {
        BATCH
    }

    fn prepare(&mut self) {
        for _ in 0..BATCH {
            self.input.extend_from_slice(&transfer_frame(self.next, &self.message));
            self.next += 1;
        }
    }

    fn step(&mut self) {
        self.engine.handle_input(&mut self.input, self.now);
        while let Some(event) = self.engine.poll_event() {
            assert_eq!(event, Event::Link(self.link, LinkEvent::DeliveryComplete));
        }
        let mut receiver = self.engine.receiver(self.link).expect("the link is attached");
        let mut taken = 0;
        while let Some(delivery) = receiver.next_delivery() {
            let payload = delivery.payload.into_bytes();
            assert_eq!(black_box(&payload).len(), self.message.len());
            receiver.settle(delivery.key, DeliveryState::Accepted, true).expect("it is unsettled");
            taken += 1;
        }
        assert_eq!(taken, BATCH);
        drain(&mut self.engine, &mut self.output, self.now, |part| {
            black_box(part);
        });
    }
}

/// An engine that sends the device message, encoded beforehand. In a step a batch is sent, what there is to send is taken, and the
/// outcomes of the batch before are taken.
#[derive(Debug)]
pub struct Sending {
    engine: Connection,
    link: LinkId,
    now: Instant,
    message: Bytes,
    sent: u32,
    input: BytesMut,
    output: Output,
}

impl Sending {
    /// With the link attached and nothing sent.
    #[expect(clippy::new_without_default, reason = "nobody needs a default engine")]
    pub fn new() -> Self {
        let pair = Pair::attached();
        Self {
            engine: pair.server,
            link: pair.sender,
            now: pair.now,
            message: encoded(&device_message()).into(),
            sent: 0,
            input: BytesMut::new(),
            output: Output::new(),
        }
    }
}

impl Work for Sending {
    fn units(&self) -> u32 {
        BATCH
    }

    fn prepare(&mut self) {
        self.input.extend_from_slice(&flow_frame(self.sent, 1000));
        if self.sent > 0 {
            self.input.extend_from_slice(&disposition_frame(self.sent - BATCH, self.sent - 1));
        }
    }

    fn step(&mut self) {
        self.engine.handle_input(&mut self.input, self.now);
        while let Some(event) = self.engine.poll_event() {
            assert!(matches!(event, Event::Link(_, LinkEvent::Sendable | LinkEvent::Outcomes)));
        }
        let mut sender = self.engine.sender(self.link).expect("the link is attached");
        let mut accepted = 0;
        while let Some(outcome) = sender.next_outcome() {
            assert_eq!((outcome.state, outcome.settled), (Some(DeliveryState::Accepted), true));
            accepted += 1;
        }
        assert_eq!(accepted, if self.sent > 0 { BATCH } else { 0 });
        for _ in 0..BATCH {
            sender.deliver(DeliveryStart::default(), self.message.clone()).expect("credit");
        }
        self.sent += BATCH;
        let mut octets = 0;
        drain(&mut self.engine, &mut self.output, self.now, |part| octets += black_box(part).len());
        assert!(octets > BATCH as usize * self.message.len());
    }
}
