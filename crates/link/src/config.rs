use std::time::Duration;

use amqp10_codec::{
    Coordinator, Fields, Handle, Multiple, Outcome, ReceiverSettleMode, Role, SenderSettleMode, SequenceNo, Source,
    SourceArchetype, Str, Symbol, TargetArchetype, TransferNumber, TxnCapability,
};

use crate::Terminus;

/// How one end of a connection introduces itself, and what it puts up with. §2.4
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The id of this container.
    pub container_id: Str<'static>,
    /// The name of the host that is meant, told to the peer; not the address that is dialled.
    pub hostname: Option<Str<'static>>,
    /// The largest frame taken from the peer, in octets; at least 512. Default: 64 KiB.
    pub max_frame_size: u32,
    /// The highest channel number the peer may use. Default: 255.
    pub channel_max: u16,
    /// Half of the silence after which the peer is given up, as told to it; `None` or less than 1 ms for never. Default: 60 s.
    pub idle_time_out: Option<Duration>,
    /// The silence after which the peer is given up, if that is not twice [`idle_time_out`](Self::idle_time_out): for rules stricter
    /// than §2.4.5. Default: `None`.
    pub silence_limit: Option<Duration>,
    /// What own heartbeats are measured by.
    pub heartbeat_pace: HeartbeatPace,
    /// How long the peer may take for the protocol header and its open, and for its close. Default: 30 s.
    pub handshake_time_out: Duration,
    /// How long the peer's begin or attach may stay unanswered before it is refused. Default: 30 s.
    pub answer_time_out: Duration,
    /// How many links the connection may have, begun by either side. Those count too whose end was told and whose
    /// [terminus](crate::Connection::take_terminus) was not taken. A session in which the peer attaches more is ended. Default: 16,384.
    pub max_links: usize,
    /// Transactions that the peer may have at once, asked for included; more are refused. Default: 256.
    pub max_transactions: usize,
    /// Deliveries that may take part in the peer's transactions at once; with more a transaction can only be rolled back.
    /// Default: 65,536.
    pub max_transactional_deliveries: usize,
    /// Extensions offered to the peer.
    pub offered_capabilities: Multiple<Symbol<'static>>,
    /// Extensions asked of the peer.
    pub desired_capabilities: Multiple<Symbol<'static>>,
    /// Extensions without which the connection is of no use: it is closed if the peer's open does not offer them. They are not asked
    /// of it unless they stand among [`desired_capabilities`](Self::desired_capabilities) too. §2.7.1
    pub required_capabilities: Multiple<Symbol<'static>>,
    /// Properties of the connection.
    pub properties: Option<Fields<'static>>,
}

/// What own heartbeats are measured by. §2.4.5
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeartbeatPace {
    /// A frame leaves within half of the idle-time-out that the peer announced.
    #[default]
    Peer,
    /// A frame leaves within half of the smaller of the peer's and the own idle-time-out: for peers that measure our silence by
    /// the value we announced.
    Both,
}

impl Config {
    /// A configuration for this container with defaults for the rest.
    pub fn new(container_id: impl Into<Str<'static>>) -> Self {
        Self {
            container_id: container_id.into(),
            hostname: None,
            max_frame_size: 64 * 1024,
            channel_max: 255,
            idle_time_out: Some(Duration::from_secs(60)),
            silence_limit: None,
            heartbeat_pace: HeartbeatPace::Peer,
            handshake_time_out: Duration::from_secs(30),
            answer_time_out: Duration::from_secs(30),
            max_links: 16 * 1024,
            max_transactions: 256,
            max_transactional_deliveries: 65_536,
            offered_capabilities: Multiple::default(),
            desired_capabilities: Multiple::default(),
            required_capabilities: Multiple::default(),
            properties: None,
        }
    }

    /// The idle-time-out, unless it would be told as 0, which means none. §2.7.1
    pub(crate) fn bears_silence_for(&self) -> Option<Duration> {
        self.idle_time_out.filter(|time| time.as_millis() > 0)
    }
}

/// One end of a session. §2.5
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// How many transfers the peer may send before it has to wait for a renewed window. Default: 2,048.
    pub incoming_window: u32,
    /// How many transfers we say that we may send. Default: 2,048.
    pub outgoing_window: u32,
    /// The transfer-id of the first transfer sent, and the delivery-id of the first delivery. Default: 0.
    pub next_outgoing_id: TransferNumber,
    /// The highest handle the peer may use. Default: 255.
    pub handle_max: Handle,
    /// Octets held by the links of the session above which the window is renewed only as they are taken. Default: 8 MiB.
    ///
    /// What has come of a delivery that is not whole counts only on a link that is streamed, for elsewhere nobody could take it
    /// before the rest is here; [`partial_buffer`](Self::partial_buffer) bounds it. So a session never holds more than the two buffers
    /// and one window of the largest frames: `incoming_window` × [`max_frame_size`](Config::max_frame_size). A link is streamed
    /// from the first call of [`Receiver::partial`](crate::Receiver::partial) on.
    pub session_buffer: usize,
    /// Octets of deliveries that are not whole, on links that are not streamed, above which a link that brings more is detached.
    /// Default: 128 MiB.
    pub partial_buffer: usize,
    /// Extensions offered to the peer.
    pub offered_capabilities: Multiple<Symbol<'static>>,
    /// Extensions asked of the peer.
    pub desired_capabilities: Multiple<Symbol<'static>>,
    /// Properties of the session.
    pub properties: Option<Fields<'static>>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            incoming_window: 2048,
            outgoing_window: 2048,
            next_outgoing_id: TransferNumber(0),
            handle_max: Handle(255),
            session_buffer: 8 << 20,
            partial_buffer: 128 << 20,
            offered_capabilities: Multiple::default(),
            desired_capabilities: Multiple::default(),
            properties: None,
        }
    }
}

/// One end of a link. §2.6
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The name of the link; with the two containers and the direction it identifies the link.
    pub name: Str<'static>,
    /// Which end this is.
    pub role: Role,
    /// Where messages come from.
    pub source: Option<SourceArchetype<'static>>,
    /// Where messages go to.
    pub target: Option<TargetArchetype<'static>>,
    /// How the link's sender settles. A sender of mode mixed that answers a receiver settles as that wishes. §2.7.3
    pub snd_settle_mode: SenderSettleMode,
    /// How the link's receiver settles.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// The delivery-count that a sender starts with. Default: 0.
    pub initial_delivery_count: SequenceNo,
    /// The largest message taken, in octets; `None` for no limit.
    pub max_message_size: Option<u64>,
    /// How a receiver grants credit.
    pub credit: CreditMode,
    /// Octets held undelivered above which a receiver grants no more credit. Default: 1 MiB.
    pub link_buffer: usize,
    /// Whether a sender takes messages for a transaction if the peer's flow names one. Default: no. §4.4.3
    pub transactional_acquisition: bool,
    /// The terminus of an earlier link of this name and direction, which this one resumes. §2.6.3
    ///
    /// None for a new link; but where the earlier one was detached on this session without an error, and its terminus has not been
    /// taken, it is reattached. §2.6.4
    pub terminus: Option<Terminus>,
    /// Extensions offered to the peer.
    pub offered_capabilities: Multiple<Symbol<'static>>,
    /// Extensions asked of the peer.
    pub desired_capabilities: Multiple<Symbol<'static>>,
    /// Properties of the link.
    pub properties: Option<Fields<'static>>,
}

impl LinkConfig {
    fn new(name: Str<'static>, role: Role) -> Self {
        Self {
            name,
            role,
            source: None,
            target: None,
            snd_settle_mode: SenderSettleMode::Mixed,
            rcv_settle_mode: ReceiverSettleMode::First,
            initial_delivery_count: SequenceNo(0),
            max_message_size: None,
            credit: CreditMode::default(),
            link_buffer: 1 << 20,
            transactional_acquisition: false,
            terminus: None,
            offered_capabilities: Multiple::default(),
            desired_capabilities: Multiple::default(),
            properties: None,
        }
    }

    /// A receiver of what `source` holds.
    pub fn receiver(name: impl Into<Str<'static>>, source: impl Into<SourceArchetype<'static>>) -> Self {
        Self {
            source: Some(source.into()),
            target: Some(TargetArchetype::default()),
            ..Self::new(name.into(), Role::Receiver)
        }
    }

    /// A sender to `target`.
    pub fn sender(name: impl Into<Str<'static>>, target: impl Into<TargetArchetype<'static>>) -> Self {
        Self {
            source: Some(SourceArchetype::default()),
            target: Some(target.into()),
            ..Self::new(name.into(), Role::Sender)
        }
    }

    /// A link to the peer's coordinator, by which transactions are declared and discharged; these capabilities are asked of it.
    /// Its source allows every outcome of §3.4, rejection among them. Requests are not sent settled: where `snd_settle_mode` is set to
    /// settled, the link is attached as unsettled. §4.2
    pub fn controller(
        name: impl Into<Str<'static>>,
        capabilities: impl IntoIterator<Item = TxnCapability<'static>>,
    ) -> Self {
        let source = Source { outcomes: Outcome::STANDARD.into_iter().collect(), ..Source::default() };
        let target = Coordinator { capabilities: capabilities.into_iter().collect() };
        Self {
            source: Some(source.into()),
            target: Some(target.into()),
            snd_settle_mode: SenderSettleMode::Unsettled,
            ..Self::new(name.into(), Role::Sender)
        }
    }

    /// The answer to a peer that attached to a coordinator: it has these capabilities. The source stays as the peer has it.
    /// §4.5.1
    pub fn coordinator(capabilities: impl IntoIterator<Item = TxnCapability<'static>>) -> Self {
        let target = Coordinator { capabilities: capabilities.into_iter().collect() };
        Self { target: Some(target.into()), ..Self::new(Str::default(), Role::Receiver) }
    }
}

/// How a receiver grants credit. §2.6.7
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreditMode {
    /// Only what [`Receiver::set_credit`](crate::Receiver::set_credit) grants.
    Manual,
    /// A window of deliveries that is topped up in steps. What is held and what is granted together never exceed it.
    Automatic {
        /// How many deliveries may be granted and held together.
        window: u32,
        /// When a delivery makes room for the next.
        replenish: Replenish,
    },
}

/// When a delivery makes room for the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replenish {
    /// When the application takes it.
    #[default]
    Taken,
    /// When it is settled; if it came settled, when it is taken.
    Settled,
}

impl Default for CreditMode {
    fn default() -> Self {
        Self::Automatic { window: 100, replenish: Replenish::Taken }
    }
}
