use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::handshake::{buffer, read_more, write};
use crate::sasl::{Anonymous, Mechanism, Plain, Progress, SaslClient, SaslError};
use crate::tcp::{TcpError, dial, resolve};
use crate::{ByteStream, ConnectError, Secret, Step, Stream, TlsClient, Url};

/// How a client signs in.
#[derive(Clone)]
#[non_exhaustive]
pub enum SaslProfile {
    /// Not at all: the AMQP header comes first. §2.2
    None,
    /// ANONYMOUS.
    Anonymous,
    /// PLAIN.
    Plain {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
}

impl fmt::Debug for SaslProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Anonymous => "Anonymous",
            // A user name may carry a token.
            Self::Plain { .. } => "Plain { .. }",
        })
    }
}

impl SaslProfile {
    fn mechanisms(&self) -> Vec<Box<dyn Mechanism>> {
        match self {
            Self::None => Vec::new(),
            Self::Anonymous => vec![Box::new(Anonymous)],
            Self::Plain { user, password } => vec![Box::new(Plain::new(user.clone(), password.clone()))],
        }
    }
}

/// How long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Name resolution. Default: 10 s.
    pub resolve: Duration,
    /// The TCP connection, all addresses together. Default: 10 s.
    pub tcp: Duration,
    /// The TLS handshake. Default: 10 s.
    pub tls: Duration,
    /// The SASL exchange. Default: 10 s.
    pub sasl: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { resolve: ten, tcp: ten, tls: ten, sasl: ten }
    }
}

/// Where and how to connect. Dial address, TLS server name and the hostname told to the peer are three separate settings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The host to dial: a DNS name or an IP address.
    pub host: String,
    /// The port to dial.
    pub port: u16,
    /// TLS, if the stream is to be encrypted.
    pub tls: Option<TlsClient>,
    /// The name asked for and expected in the server's certificate, unless `tls` names one; `None` is `host`.
    pub tls_server_name: Option<String>,
    /// How to sign in.
    pub sasl: SaslProfile,
    /// The hostname told in sasl-init; `None` tells `host`.
    pub hostname: Option<String>,
    /// Whether PLAIN may be used without TLS. Default: no.
    pub allow_clear_text_password: bool,
    /// The most octets of a SASL frame that are taken. Default: 8 KiB.
    pub sasl_max_frame_size: u32,
    /// Time limits.
    pub timeouts: Timeouts,
}

impl ConnectOptions {
    /// Settings for a host and port: clear text, not signed in.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            tls_server_name: None,
            sasl: SaslProfile::None,
            hostname: None,
            allow_clear_text_password: false,
            sasl_max_frame_size: crate::sasl::DEFAULT_MAX_FRAME_SIZE,
            timeouts: Timeouts::default(),
        }
    }

    /// Settings for a URL: `tls` is used if the scheme asks for it; a user signs in by PLAIN, nobody by ANONYMOUS.
    pub fn from_url(url: &Url, tls: TlsClient) -> Self {
        let sasl = match &url.user {
            Some(user) => SaslProfile::Plain { user: user.clone(), password: url.password.clone().unwrap_or_default() },
            None => SaslProfile::Anonymous,
        };
        let tls = (url.scheme == crate::Scheme::Amqps).then_some(tls);
        Self { tls, sasl, ..Self::new(url.host.clone(), url.port) }
    }
}

/// A stream on which AMQP begins.
#[derive(Debug)]
#[non_exhaustive]
pub struct Established {
    /// The stream.
    pub stream: Stream,
    /// What was read beyond the last SASL frame: the first octets of the AMQP layer.
    pub leftover: BytesMut,
}

/// Connects, encrypts and signs in.
///
/// Dropping the future at any time closes whatever was opened.
///
/// # Errors
/// Which step failed, and why; a step that takes too long fails too.
pub async fn connect(options: &ConnectOptions) -> Result<Established, ConnectError> {
    let limits = options.timeouts;
    let tcp_error = |error| match error {
        TcpError::Resolve(source) => ConnectError::Resolve { host: options.host.clone(), source },
        TcpError::Connect(source) => ConnectError::Tcp { host: options.host.clone(), port: options.port, source },
    };
    let late = |step| move |_| ConnectError::TimedOut(step);
    let resolving = timeout(limits.resolve, resolve(&options.host, options.port));
    let addresses = resolving.await.map_err(late(Step::Resolve))?.map_err(tcp_error)?;
    let tcp = timeout(limits.tcp, dial(&addresses)).await.map_err(late(Step::Tcp))?.map_err(tcp_error)?;
    let stream = match &options.tls {
        Some(tls) => {
            let name = options.tls_server_name.as_ref().unwrap_or(&options.host);
            let handshake = timeout(limits.tls, tls.connect(name, tcp));
            Stream::Tls(Box::new(handshake.await.map_err(late(Step::Tls))??))
        }
        None => Stream::Tcp(tcp),
    };
    sign_in(stream, options, options.tls.is_none()).await
}

/// Signs in on a stream that somebody else made. `encrypted` says whether others can read along.
///
/// # Errors
/// As [`connect`], the SASL part.
pub async fn connect_over(
    stream: impl ByteStream + 'static,
    encrypted: bool,
    options: &ConnectOptions,
) -> Result<Established, ConnectError> {
    sign_in(Stream::Other(Box::new(stream)), options, !encrypted).await
}

async fn sign_in(mut stream: Stream, options: &ConnectOptions, clear_text: bool) -> Result<Established, ConnectError> {
    let mut input = BytesMut::new();
    if !matches!(options.sasl, SaslProfile::None) {
        input = buffer();
        if let SaslProfile::Plain { user, password } = &options.sasl
            && (user.contains('\0') || password.expose().contains('\0'))
        {
            // The server would take what follows for another part of the message, RFC 4616.
            let reason = "user name and password must not hold NUL".to_owned();
            return Err(SaslError::Mechanism { mechanism: "PLAIN".to_owned(), reason }.into());
        }
        let hostname = options.hostname.clone().unwrap_or_else(|| options.host.clone());
        let sasl = SaslClient::new(options.sasl.mechanisms(), Some(hostname))
            .over_clear_text(clear_text && !options.allow_clear_text_password)
            .max_frame_size(options.sasl_max_frame_size);
        let exchange = timeout(options.timeouts.sasl, exchange(&mut stream, sasl, &mut input));
        exchange.await.map_err(|_| ConnectError::TimedOut(Step::Sasl))??;
    }
    Ok(Established { stream, leftover: input })
}

async fn exchange(stream: &mut Stream, mut sasl: SaslClient, input: &mut BytesMut) -> Result<(), ConnectError> {
    loop {
        write(stream, &sasl.take_output()).await.map_err(ConnectError::SaslStream)?;
        read_more(stream, input).await.map_err(ConnectError::SaslStream)?;
        if sasl.handle_input(input)? == Progress::Done {
            return Ok(());
        }
    }
}
