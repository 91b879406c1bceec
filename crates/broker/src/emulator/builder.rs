use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amqp10::Listener;
use amqp10::transport::TlsConfigError;

use super::access::{Access, Clock};
use super::network::Network;
use super::{Emulator, Identity, Service, client, devices};
use crate::Queue;

/// What an emulator enforces. The defaults are the rules that the service documents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rules {
    /// The idle-time-out that a client's open has to announce, both ends included. Default: 30 s to 300 s.
    pub heartbeat: RangeInclusive<Duration>,
    /// The most that the emulator's own open announces; less if the client announces less. Default: 30 s.
    pub own_idle_time_out: Duration,
    /// How long a client may take to sign in. Default: 15 s.
    pub authenticate_within: Duration,
    /// How long a client may take from signing in to its open, and from there to its receiver. Default: 15 s each.
    pub attach_within: Duration,
    /// How long a client may take to decide a message. Default: 30 s.
    pub acknowledge_within: Duration,
    /// After what time a message comes back that was released, rejected, modified or not decided in time. Default: 60 s. What a lost
    /// connection leaves undecided comes back at once.
    pub retry_after: Duration,
    /// How many connections a consumer group may have. Default: 128.
    pub connections: usize,
    /// How far a client's timestamp may be off; `None` does not look. Default: `None`.
    pub max_clock_skew: Option<Duration>,
    /// How many octets of messages each group keeps. Default: 256 MiB.
    pub queue_octets: usize,
    /// The largest frame taken, in octets. Default: 64 KiB.
    pub max_frame_size: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(30)..=Duration::from_secs(300),
            own_idle_time_out: Duration::from_secs(30),
            authenticate_within: Duration::from_secs(15),
            attach_within: Duration::from_secs(15),
            acknowledge_within: Duration::from_secs(30),
            retry_after: Duration::from_secs(60),
            connections: 128,
            max_clock_skew: None,
            queue_octets: 256 << 20,
            max_frame_size: 64 * 1024,
        }
    }
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("no certificate can be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// A rate that is not one.
    #[error("a rate of {0} messages a second is not possible: it must be above 0")]
    Rate(f64),
}

/// Settings of an [`Emulator`].
#[must_use = "nothing happens before `start` is awaited"]
pub struct EmulatorBuilder {
    listen: SocketAddr,
    identity: Option<Identity>,
    tls_names: Vec<String>,
    rules: Rules,
    more_groups: Vec<String>,
    devices: Option<devices::Fleet>,
    clock: Clock,
}

impl Default for EmulatorBuilder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            identity: None,
            tls_names: Vec::new(),
            rules: Rules::default(),
            more_groups: Vec::new(),
            devices: None,
            clock: Clock(Arc::new(SystemTime::now)),
        }
    }
}

impl std::fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmulatorBuilder").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl EmulatorBuilder {
    /// The address to listen on. Default: a free port of 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Keys and certificate authority. Default: new ones.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Another name that the server's certificate is for, besides localhost, 127.0.0.1 and ::1.
    pub fn tls_name(mut self, name: impl Into<String>) -> Self {
        self.tls_names.push(name.into());
        self
    }

    /// Another consumer group, which gets every message too.
    pub fn consumer_group(mut self, name: impl Into<String>) -> Self {
        self.more_groups.push(name.into());
        self
    }

    /// Changes the rules.
    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    /// Simulates so many devices that say `rate` messages a second together, and fall silent after `count` if it is given.
    pub fn devices(mut self, devices: u32, rate: f64, count: Option<u64>) -> Self {
        self.devices = Some(devices::Fleet { devices: devices.max(1), rate, count });
        self
    }

    /// Where the time comes from that sign-ins are judged by and messages are stamped with. Default: the system's clock.
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Clock(Arc::new(clock));
        self
    }

    /// Starts the emulator.
    ///
    /// # Errors
    /// When it cannot listen, TLS cannot be set up, or the rate is not above 0.
    pub async fn start(self) -> Result<Emulator, StartError> {
        if let Some(fleet) = &self.devices
            && !(fleet.rate > 0.0 && fleet.rate.is_finite())
        {
            return Err(StartError::Rate(fleet.rate));
        }
        let identity = self.identity.map_or_else(Identity::generate, Ok)?;
        let tls = identity.authority.server(&self.tls_names)?;
        let names = std::iter::once(identity.consumer_group.clone()).chain(self.more_groups);
        let groups: HashMap<_, _> = names.map(|name| (name, Queue::new(self.rules.queue_octets))).collect();
        let listener = Listener::bind(self.listen).await;
        let listener = listener.map_err(|source| StartError::Listen { address: self.listen, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address: self.listen, source })?;
        let access = Access::new(identity, groups.keys().cloned().collect(), self.rules.max_clock_skew, self.clock);
        let first_id = access.millis() * 1_000_000;
        let service = Arc::new(Service { access, rules: self.rules, groups, first_id });
        let network = Network::new();
        let mut tasks = vec![tokio::spawn(client::accept(listener, tls, Arc::clone(&service), Arc::clone(&network)))];
        tasks.extend(self.devices.map(|fleet| tokio::spawn(devices::run(fleet, Arc::clone(&service)))));
        Ok(Emulator { service, network, address, tasks })
    }
}
