use std::time::{Duration, Instant};

use amqp10_codec::{Fields, Str};
use amqp10_link::{Config, HeartbeatPace};
use amqp10_transport::{
    ByteStream, ConnectOptions, SaslProfile, Scheme, Secret, Stream, Timeouts, TlsClient, Url, connect, connect_over,
};
use bytes::BytesMut;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::driver::spawn;
use crate::{ConnectError, ConnectionError};

/// The settings that both ends of a connection have.
macro_rules! common_settings {
    () => {
        /// The id of this container; a random one if none is set. §2.7.1
        #[must_use]
        pub fn container_id(mut self, id: impl Into<String>) -> Self {
            self.config.container_id = id.into().into();
            self
        }

        /// Half of the silence after which the peer is given up, as told to it; `None` for never. Default: 60 s. §2.4.5
        #[must_use]
        pub fn idle_time_out(mut self, time: Option<Duration>) -> Self {
            self.config.idle_time_out = time;
            self
        }

        /// The silence after which the peer is given up, instead of twice the idle-time-out. §2.4.5
        #[must_use]
        pub fn silence_limit(mut self, time: Duration) -> Self {
            self.config.silence_limit = Some(time);
            self
        }

        /// What own heartbeats are measured by. §2.4.5
        #[must_use]
        pub fn heartbeat_pace(mut self, pace: HeartbeatPace) -> Self {
            self.config.heartbeat_pace = pace;
            self
        }

        /// The largest frame taken, in octets; at least 512. Default: 64 KiB. §2.7.1
        #[must_use]
        pub fn max_frame_size(mut self, octets: u32) -> Self {
            self.config.max_frame_size = octets;
            self
        }

        /// Properties told to the peer. §2.7.1
        #[must_use]
        pub fn properties(mut self, properties: Fields<'static>) -> Self {
            self.config.properties = Some(properties);
            self
        }

        /// How long the peer may take to answer: open, begin, attach, detach, end and close each. Default: 30 s.
        #[must_use]
        pub fn answer_time_out(mut self, time: Duration) -> Self {
            self.config.handshake_time_out = time;
            self.config.answer_time_out = time;
            self
        }
    };
}

fn config() -> Config {
    Config::new(crate::session::link_name())
}

/// Settings of a connection that this program makes.
#[derive(Clone, Debug)]
pub struct ConnectionBuilder {
    config: Config,
    tls: Option<TlsClient>,
    sasl: Option<SaslProfile>,
    dial: Option<(String, u16)>,
    allow_clear_text_password: bool,
    timeouts: Timeouts,
}

impl Default for ConnectionBuilder {
    fn default() -> Self {
        Self {
            config: config(),
            tls: None,
            sasl: None,
            dial: None,
            allow_clear_text_password: false,
            timeouts: Timeouts::default(),
        }
    }
}

impl ConnectionBuilder {
    common_settings!();

    /// How TLS is done; by default the certificate authorities of the web are trusted.
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The hostname told to the peer in sasl-init and open; by default the host of the URL.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.config.hostname = Some(Str::from(hostname.into()));
        self
    }

    /// The host and port to dial instead of those of the URL. TLS still expects the host of the URL, unless
    /// [`tls`](Self::tls) names a server.
    #[must_use]
    pub fn dial(mut self, host: impl Into<String>, port: u16) -> Self {
        self.dial = Some((host.into(), port));
        self
    }

    /// Signs in with this user name and password by SASL PLAIN, whatever the URL says.
    #[must_use]
    pub fn plain(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.sasl = Some(SaslProfile::Plain { user: user.into(), password: password.into() });
        self
    }

    /// How to sign in, whatever the URL says.
    #[must_use]
    pub fn sasl(mut self, profile: SaslProfile) -> Self {
        self.sasl = Some(profile);
        self
    }

    /// Whether PLAIN may be used without TLS. Default: no.
    #[must_use]
    pub fn allow_clear_text_password(mut self, allow: bool) -> Self {
        self.allow_clear_text_password = allow;
        self
    }

    /// How long name resolution, TCP, TLS and SASL may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Connects to `amqp[s]://[user[:password]@]host[:port]`.
    ///
    /// Dropping the future at any time closes whatever was opened.
    ///
    /// # Errors
    /// Which step failed, and why.
    pub async fn connect(self, url: &str) -> Result<Connection, ConnectError> {
        self.connect_url(&url.parse()?).await
    }

    /// Connects to a URL.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_url(mut self, url: &Url) -> Result<Connection, ConnectError> {
        let tls = match (url.scheme, self.tls.take()) {
            (Scheme::Amqp, _) => None,
            (Scheme::Amqps, Some(tls)) => Some(tls),
            (Scheme::Amqps, None) => Some(TlsClient::new()?),
        };
        let mut options = ConnectOptions::new(url.host.clone(), url.port);
        options.sasl = match (self.sasl.take(), &url.user) {
            (Some(profile), _) => profile,
            (None, Some(user)) => {
                SaslProfile::Plain { user: user.clone(), password: url.password.clone().unwrap_or_default() }
            }
            (None, None) => SaslProfile::Anonymous,
        };
        options.tls = tls;
        self.config.hostname.get_or_insert_with(|| url.host.clone().into());
        options.hostname = self.config.hostname.as_ref().map(|name| name.as_str().to_owned());
        options.allow_clear_text_password = self.allow_clear_text_password;
        options.timeouts = self.timeouts;
        if let Some((host, port)) = self.dial.take() {
            options.tls_server_name = Some(options.host);
            (options.host, options.port) = (host, port);
        }
        let established = connect(&options).await?;
        self.open(established.stream, established.leftover).await
    }

    /// Signs in and opens a connection on a stream that somebody else made. `encrypted` says whether nobody can read along.
    ///
    /// # Errors
    /// When SASL fails or the peer does not open.
    pub async fn connect_over(
        mut self,
        stream: impl ByteStream + 'static,
        encrypted: bool,
    ) -> Result<Connection, ConnectError> {
        let hostname = self.config.hostname.as_ref().map(|name| name.as_str().to_owned());
        let mut options = ConnectOptions::new(hostname.clone().unwrap_or_default(), 0);
        options.hostname = hostname;
        options.sasl = self.sasl.take().unwrap_or(SaslProfile::None);
        options.allow_clear_text_password = self.allow_clear_text_password;
        options.timeouts = self.timeouts;
        let established = connect_over(stream, encrypted, &options).await?;
        self.open(established.stream, established.leftover).await
    }

    async fn open(self, stream: Stream, leftover: BytesMut) -> Result<Connection, ConnectError> {
        let limit = self.config.answer_time_out;
        let now = tokio::time::Instant::now().into_std();
        let engine = amqp10_link::Connection::client(self.config, now)?;
        open(stream, leftover, engine, limit).await
    }
}

/// Runs an engine and waits until both ends have opened.
async fn open(
    stream: Stream,
    leftover: BytesMut,
    engine: amqp10_link::Connection,
    limit: Duration,
) -> Result<Connection, ConnectError> {
    let (shared, opened) = spawn(engine, stream, leftover);
    let connection = Connection::new(shared, limit);
    match timeout(limit, opened).await {
        Ok(Ok(())) => Ok(connection),
        Ok(Err(_)) => Err(connection.closed().await.into()),
        Err(_) => Err(ConnectionError::TimedOut.into()),
    }
}

/// Settings of a connection that a peer makes to this program.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    pub(crate) config: Config,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self { config: config() }
    }
}

impl ServerBuilder {
    common_settings!();

    /// Defaults for everything.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn engine(&self) -> amqp10_link::Connection {
        let now: Instant = tokio::time::Instant::now().into_std();
        amqp10_link::Connection::server(self.config.clone(), now)
    }
}
