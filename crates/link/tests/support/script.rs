//! One engine, and a peer that the test plays frame by frame.

use std::time::{Duration, Instant};

use amqp10_codec::{
    Attach, Begin, Channel, Close, DeliveryNumber, DeliveryState, DeliveryTag, Detach, Encode, End, Error, Flow,
    FrameType, Handle, IntoOwned, MessageFormat, Open, Performative, ProtocolHeader, Reader, Role, SequenceNo, Source,
    Target, Transfer, TransferNumber, begin_frame, encode_frame, finish_frame, next_frame,
};
use amqp10_link::{Config, Connection, Event, LinkEvent, LinkId};
use bytes::BytesMut;

use super::{Checked, Wire, drain, events, push};

/// A frame that the engine sent, with the payload behind its performative.
pub(crate) type Told = (u16, Performative<'static>, Vec<u8>);

pub(crate) struct Script {
    pub(crate) engine: Checked,
    pub(crate) now: Instant,
    pub(crate) wire: Wire,
    /// What the engine was told to bear: nothing it sends may be larger.
    pub(crate) max_frame_size: u32,
    input: BytesMut,
    output: Vec<u8>,
}

impl Script {
    fn new(engine: Connection, now: Instant) -> Self {
        Self {
            engine: engine.into(),
            now,
            wire: Wire::Whole,
            max_frame_size: u32::MAX,
            input: BytesMut::new(),
            output: Vec::new(),
        }
    }

    /// The engine speaks first; nothing is answered yet.
    pub(crate) fn silent_client(config: Config) -> Self {
        let now = Instant::now();
        Self::new(Connection::client(config, now).unwrap(), now)
    }

    /// The engine waits for us; nothing is sent yet.
    pub(crate) fn silent_server(config: Config) -> Self {
        let now = Instant::now();
        Self::new(Connection::server(config, now), now)
    }

    /// The engine is the client, and both opens have been exchanged.
    pub(crate) fn client(config: Config, open: Open<'_>) -> Self {
        let mut peer = Self::silent_client(config);
        peer.max_frame_size = open.max_frame_size;
        peer.header();
        peer.send(0, &open);
        assert_eq!(peer.told(), ["header", "0 open"]);
        assert_eq!(peer.events(), [Event::Opened]);
        peer
    }

    /// The engine is the server, and both opens have been exchanged.
    pub(crate) fn server(config: Config, open: Open<'_>) -> Self {
        let mut peer = Self::silent_server(config.clone());
        peer.max_frame_size = open.max_frame_size;
        peer.header();
        peer.send(0, &open);
        assert_eq!(peer.events(), [Event::Incoming]);
        peer.engine.accept(config).unwrap();
        assert_eq!(peer.told(), ["header", "0 open"]);
        assert_eq!(peer.events(), [Event::Opened]);
        peer
    }

    /// Sends octets as they are.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        push(self.wire, &mut self.engine, &mut self.input, octets, self.now);
    }

    pub(crate) fn header(&mut self) {
        self.octets(&ProtocolHeader::AMQP.to_octets());
    }

    /// Sends a performative.
    pub(crate) fn send(&mut self, channel: u16, body: &impl Encode) {
        self.octets(&frame(channel, body));
    }

    /// Sends a transfer with its payload.
    pub(crate) fn transfer(&mut self, channel: u16, transfer: &Transfer<'_>, payload: &[u8]) {
        self.octets(&transfer_frame(channel, transfer, payload));
    }

    /// Sends a whole unsettled delivery whose tag is its id.
    pub(crate) fn deliver(&mut self, channel: u16, handle: u32, id: u32, payload: &[u8]) {
        self.transfer(channel, &first(handle, id), payload);
    }

    /// What the engine has sent since the last call.
    #[track_caller]
    pub(crate) fn frames(&mut self) -> Vec<Told> {
        self.poll();
        let octets = std::mem::take(&mut self.output);
        let mut octets = octets.strip_prefix(&ProtocolHeader::AMQP.to_octets()).unwrap_or(&octets);
        let mut told = Vec::new();
        while let Some(frame) = next_frame(octets, self.max_frame_size).expect("a legal frame") {
            octets = &octets[frame.header.size as usize..];
            assert_eq!(frame.header.frame_type, FrameType::Amqp);
            if frame.body.is_empty() {
                continue;
            }
            let mut reader = Reader::sized(frame.body);
            let performative = owned(reader.read().expect("a legal performative"));
            told.push((frame.header.channel.0, performative, reader.rest().to_vec()));
        }
        assert!(octets.is_empty(), "half a frame");
        told
    }

    /// What the engine has sent since the last call, as text: channel, performative, and what matters of it.
    pub(crate) fn told(&mut self) -> Vec<String> {
        self.poll();
        let mut told = Vec::new();
        if self.output.starts_with(&ProtocolHeader::AMQP.to_octets()) {
            told.push("header".to_owned());
        }
        told.extend(self.frames().iter().map(|(channel, body, payload)| format!("{channel} {}", text(body, payload))));
        told
    }

    /// How many empty frames the engine has sent since the last call; it may have sent nothing else.
    pub(crate) fn heartbeats(&mut self) -> usize {
        self.poll();
        let octets = std::mem::take(&mut self.output);
        let (beats, rest) = octets.as_chunks::<8>();
        assert!(rest.is_empty() && beats.iter().all(|beat| *beat == [0, 0, 0, 8, 2, 0, 0, 0]), "{octets:?}");
        beats.len()
    }

    fn poll(&mut self) {
        self.output.extend(drain(&mut self.engine, self.now));
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        events(&mut self.engine)
    }

    /// Forgets what the engine has sent and told.
    pub(crate) fn quiet(&mut self) {
        self.frames();
        self.events();
    }

    /// Lets time pass, from deadline to deadline, and sends what falls due when it does.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.engine.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            self.poll();
        }
        self.now = end;
    }
}

pub(crate) fn frame(channel: u16, body: &impl Encode) -> Vec<u8> {
    let mut octets = Vec::new();
    encode_frame(FrameType::Amqp, Channel(channel), body, &mut octets);
    octets
}

pub(crate) fn transfer_frame(channel: u16, transfer: &Transfer<'_>, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    let start = begin_frame(FrameType::Amqp, Channel(channel), &mut octets);
    transfer.encode(&mut octets);
    octets.extend_from_slice(payload);
    finish_frame(start, 0, &mut octets);
    octets
}

fn owned(performative: Performative<'_>) -> Performative<'static> {
    match performative {
        Performative::Open(body) => Performative::Open(Box::new(body.into_owned())),
        Performative::Begin(body) => Performative::Begin(Box::new(body.into_owned())),
        Performative::Attach(body) => Performative::Attach(Box::new(body.into_owned())),
        Performative::Flow(body) => Performative::Flow(body.into_owned()),
        Performative::Transfer(body) => Performative::Transfer(body.into_owned()),
        Performative::Disposition(body) => Performative::Disposition(body.into_owned()),
        Performative::Detach(body) => Performative::Detach(body.into_owned()),
        Performative::End(body) => Performative::End(body.into_owned()),
        Performative::Close(body) => Performative::Close(body.into_owned()),
    }
}

pub(crate) fn text(performative: &Performative<'_>, payload: &[u8]) -> String {
    let mut text = performative.name().to_owned();
    let mut say = |more: &dyn std::fmt::Display| text.push_str(&format!(" {more}"));
    let mut error = None;
    match performative {
        Performative::Open(_) => {}
        Performative::Begin(begin) => {
            if let Some(channel) = begin.remote_channel {
                say(&format_args!("for {}", channel.0));
            }
        }
        Performative::Attach(attach) => {
            say(&attach.name);
            say(&format_args!("handle {}", attach.handle.0));
            let terminus = match attach.role {
                Role::Sender => attach.source.is_some(),
                Role::Receiver => attach.target.is_some(),
            };
            if !terminus {
                say(&"null");
            }
        }
        Performative::Flow(flow) => {
            if let (Some(handle), Some(count), Some(credit)) = (flow.handle, flow.delivery_count, flow.link_credit) {
                say(&format_args!("handle {} count {} credit {credit}", handle.0, count.0));
            }
            for (name, set) in [("drain", flow.drain), ("echo", flow.echo)] {
                if set {
                    say(&name);
                }
            }
        }
        Performative::Transfer(transfer) => {
            say(&format_args!("handle {}", transfer.handle.0));
            if let Some(id) = transfer.delivery_id {
                say(&format_args!("id {}", id.0));
            }
            let flags =
                [("settled", transfer.settled == Some(true)), ("more", transfer.more), ("aborted", transfer.aborted)];
            for (name, set) in flags {
                if set {
                    say(&name);
                }
            }
            say(&format_args!("of {}", payload.len()));
        }
        Performative::Disposition(disposition) => {
            say(&if disposition.role == Role::Receiver { "receiver" } else { "sender" });
            say(&disposition.first.0);
            if let Some(last) = disposition.last {
                say(&format_args!("to {}", last.0));
            }
            if disposition.settled {
                say(&"settled");
            }
        }
        Performative::Detach(detach) => {
            say(&format_args!("handle {}", detach.handle.0));
            if detach.closed {
                say(&"closed");
            }
            error = detach.error.as_ref();
        }
        Performative::End(end) => error = end.error.as_ref(),
        Performative::Close(close) => error = close.error.as_ref(),
    }
    if let Some(error) = error {
        say(&error.condition);
    }
    text
}

// What a peer says.

pub(crate) fn open() -> Open<'static> {
    Open::new("peer")
}

/// A begin of the peer's own.
pub(crate) fn begin() -> Begin<'static> {
    Begin::new(TransferNumber(0), 100, 100)
}

/// The answer to a begin.
pub(crate) fn answer(remote_channel: u16) -> Begin<'static> {
    Begin { remote_channel: Some(Channel(remote_channel)), ..begin() }
}

/// An attach of a peer that sends.
pub(crate) fn sender(name: &'static str, handle: u32) -> Attach<'static> {
    Attach {
        source: Some(Source::at("queue").into()),
        target: Some(Target::default().into()),
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::new(name, Handle(handle), Role::Sender)
    }
}

/// An attach of a peer that receives.
pub(crate) fn receiver(name: &'static str, handle: u32) -> Attach<'static> {
    Attach {
        source: Some(Source::default().into()),
        target: Some(Target::at("queue").into()),
        ..Attach::new(name, Handle(handle), Role::Receiver)
    }
}

/// The only transfer of a delivery, or its first.
pub(crate) fn first(handle: u32, id: u32) -> Transfer<'static> {
    Transfer {
        delivery_id: Some(DeliveryNumber(id)),
        delivery_tag: Some(tag(id)),
        message_format: Some(MessageFormat(0)),
        ..Transfer::new(Handle(handle))
    }
}

pub(crate) fn tag(id: u32) -> DeliveryTag {
    DeliveryTag::new(&id.to_be_bytes()).unwrap()
}

/// A later transfer of a delivery.
pub(crate) fn next(handle: u32) -> Transfer<'static> {
    Transfer::new(Handle(handle))
}

/// A flow of a session in which nothing has been transferred.
pub(crate) fn flow() -> Flow<'static> {
    Flow {
        next_incoming_id: Some(TransferNumber(0)),
        incoming_window: 100,
        next_outgoing_id: TransferNumber(0),
        outgoing_window: 100,
        handle: None,
        delivery_count: None,
        link_credit: None,
        available: None,
        drain: false,
        echo: false,
        properties: None,
    }
}

/// A flow of a link's receiver.
pub(crate) fn credit(handle: u32, count: u32, credit: u32) -> Flow<'static> {
    Flow { handle: Some(Handle(handle)), delivery_count: Some(SequenceNo(count)), link_credit: Some(credit), ..flow() }
}

pub(crate) fn detach(handle: u32, closed: bool) -> Detach<'static> {
    Detach { handle: Handle(handle), closed, error: None }
}

pub(crate) fn end() -> End<'static> {
    End { error: None }
}

pub(crate) fn close() -> Close<'static> {
    Close { error: None }
}

pub(crate) fn problem() -> Error<'static> {
    Error::new(amqp10_codec::ErrorCondition::INTERNAL_ERROR, "something went wrong")
}

pub(crate) fn disposition(role: Role, first: u32, last: u32, settled: bool) -> amqp10_codec::Disposition<'static> {
    amqp10_codec::Disposition {
        role,
        first: DeliveryNumber(first),
        last: Some(DeliveryNumber(last)),
        settled,
        state: Some(DeliveryState::Accepted),
        batchable: false,
    }
}

/// The events of one link.
pub(crate) fn of_link(events: Vec<Event>, id: LinkId) -> Vec<LinkEvent> {
    let mine = |event| if let Event::Link(link, event) = event { (link == id).then_some(event) } else { None };
    events.into_iter().filter_map(mine).collect()
}
