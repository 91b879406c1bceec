use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amqp10::transport::{Timeouts, TlsClient};

use crate::consumer::{Consumer, Settings, Target};
use crate::hooks::Hooks;
use crate::{Closed, ConfigError, ConnectionFailed, ConsumerError, CredentialProvider, Opened, TransportFailed};

/// The heartbeats that the service accepts, in milliseconds, both ends included.
const HEARTBEAT: std::ops::RangeInclusive<u128> = 30_000..=300_000;

/// Settings of a [`Consumer`].
#[must_use = "nothing happens before `connect` is awaited"]
pub struct ConsumerBuilder {
    settings: Settings,
    hooks: Hooks,
    ca_pem: Vec<Vec<u8>>,
    server_name: Option<String>,
}

impl std::fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsumerBuilder").field("target", &self.settings.target).finish_non_exhaustive()
    }
}

impl ConsumerBuilder {
    pub(crate) fn new(host: String, consumer_group: String, provider: impl CredentialProvider) -> Self {
        let target = Target {
            host,
            port: 5671,
            client_id: format!("amqp10-{:08x}", fastrand::u32(..)),
            consumer_group,
            instance_id: None,
            address: "default".to_owned(),
            heartbeat: Duration::from_secs(60),
        };
        let settings = Settings {
            target,
            provider: Arc::new(provider),
            clock: Arc::new(SystemTime::now),
            credit: 100,
            limit: None,
            keep_trying: false,
            tls: None,
            timeouts: Timeouts::default(),
            answer_time_out: Duration::from_secs(30),
            max_frame_size: 64 * 1024,
        };
        Self { settings, hooks: Hooks::default(), ca_pem: Vec::new(), server_name: None }
    }

    /// The port. Default: 5671.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.target.port = port;
        self
    }

    /// The id of this client, at most 64 characters, shown in the console of the service. Default: random. Connections of one process
    /// each need their own.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.settings.target.client_id = id.into();
        self
    }

    /// The instance; leave it out, or empty, for a legacy public instance.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.settings.target.instance_id = Some(id.into()).filter(|id| !id.is_empty());
        self
    }

    /// The address of the source, which the service ignores. Default: `default`.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.settings.target.address = address.into();
        self
    }

    /// The silence that the service puts up with, from 30 s to 300 s. Default: 60 s.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.settings.target.heartbeat = heartbeat;
        self
    }

    /// How many messages may be in hand, received and not decided. Default: 100. Keep it times the processing time under 30 s.
    pub fn credit(mut self, credit: u32) -> Self {
        self.settings.credit = credit;
        self
    }

    /// Ends after so many messages were accepted, and never asks for more than are still wanted.
    pub fn limit(mut self, messages: u64) -> Self {
        self.settings.limit = Some(messages);
        self
    }

    /// Whether the first connection is tried like later ones, until it succeeds. Default: it is tried once.
    pub fn keep_trying(mut self, keep_trying: bool) -> Self {
        self.settings.keep_trying = keep_trying;
        self
    }

    /// Where the timestamps of sign-ins come from. Default: the system's clock.
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Trusts this certificate authority, in PEM, instead of those of the web.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem.push(pem.into());
        self
    }

    /// Expects this name in the server's certificate instead of the host.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// How TLS is done; replaces [`ca_pem`](Self::ca_pem) and [`tls_server_name`](Self::tls_server_name).
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.settings.tls = Some(tls);
        self
    }

    /// How long name resolution, TCP, TLS and SASL may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// How long the service may take to answer open, begin, attach, detach and close each. Default: 30 s.
    pub fn answer_time_out(mut self, time: Duration) -> Self {
        self.settings.answer_time_out = time;
        self
    }

    /// The largest frame taken, in octets; at least 512. Default: 64 KiB.
    pub fn max_frame_size(mut self, octets: u32) -> Self {
        self.settings.max_frame_size = octets;
        self
    }

    /// Called when the connection is open and the receiver attached.
    pub fn on_opened(mut self, hook: impl Fn(&Opened) + Send + Sync + 'static) -> Self {
        self.hooks.opened = Some(Box::new(hook));
        self
    }

    /// Called when the connection was closed without an error.
    pub fn on_closed(mut self, hook: impl Fn(&Closed) + Send + Sync + 'static) -> Self {
        self.hooks.closed = Some(Box::new(hook));
        self
    }

    /// Called when the service ended the connection, session or link with an error.
    pub fn on_connection_error(mut self, hook: impl Fn(&ConnectionFailed) + Send + Sync + 'static) -> Self {
        self.hooks.connection_error = Some(Box::new(hook));
        self
    }

    /// Called when name resolution, TCP, TLS, SASL or the stream failed.
    pub fn on_transport_error(mut self, hook: impl Fn(&TransportFailed) + Send + Sync + 'static) -> Self {
        self.hooks.transport_error = Some(Box::new(hook));
        self
    }

    fn validated(&mut self) -> Result<(), ConfigError> {
        let target = &self.settings.target;
        let millis = target.heartbeat.as_millis();
        if !HEARTBEAT.contains(&millis) {
            return Err(ConfigError::Heartbeat(millis));
        }
        let characters = target.client_id.chars().count();
        if characters > 64 {
            return Err(ConfigError::ClientIdTooLong(characters));
        }
        let named = [("client id", &target.client_id), ("consumer group", &target.consumer_group)];
        let named = named.into_iter().chain(target.instance_id.as_ref().map(|id| ("instance id", id)));
        for (what, value) in named {
            if value.is_empty() {
                return Err(ConfigError::Empty(what));
            }
            if value.contains(['|', ',']) {
                return Err(ConfigError::Separator(what));
            }
        }
        let is_ipv6 = target.host.parse::<std::net::Ipv6Addr>().is_ok();
        if target.host.is_empty() || target.host.contains(['/', '@', ' ']) || (target.host.contains(':') && !is_ipv6) {
            return Err(ConfigError::Host(target.host.clone()));
        }
        if self.settings.credit == 0 {
            return Err(ConfigError::NoCredit);
        }
        if self.settings.tls.is_none() {
            let mut tls = TlsClient::builder();
            for pem in self.ca_pem.drain(..) {
                tls = tls.ca_pem(pem);
            }
            if let Some(name) = self.server_name.take() {
                tls = tls.server_name(name);
            }
            self.settings.tls = Some(tls.build()?);
        }
        Ok(())
    }

    /// Checks the settings, connects and attaches.
    ///
    /// # Errors
    /// When a setting is not acceptable, or the first attempt fails; with [`keep_trying`](Self::keep_trying) only when the service
    /// refuses the credentials and the provider has no others.
    pub async fn connect(mut self) -> Result<Consumer, ConsumerError> {
        self.validated()?;
        Consumer::connect(self.settings, self.hooks).await
    }
}
