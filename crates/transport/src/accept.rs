use std::time::Duration;

use amqp10_codec::{ProtocolHeader, ProtocolId};
use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::handshake::{buffer, read_more, write};
use crate::sasl::{Attempt, SaslServer, ServerStep, Verdict};
use crate::{AcceptError, ByteStream, Step, Stream, TlsServer};

/// How a server lets clients in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AcceptOptions {
    /// TLS, if streams are to be encrypted.
    pub tls: Option<TlsServer>,
    /// Whether PLAIN is offered.
    pub plain: bool,
    /// Whether ANONYMOUS is offered.
    pub anonymous: bool,
    /// Whether a client may leave the SASL layer out.
    pub without_sasl: bool,
    /// The most octets of a SASL frame that are taken. Default: 8 KiB.
    pub sasl_max_frame_size: u32,
    /// How long TLS and SASL together may take. Default: 15 s.
    pub time_limit: Duration,
}

impl Default for AcceptOptions {
    fn default() -> Self {
        Self {
            tls: None,
            plain: true,
            anonymous: false,
            without_sasl: false,
            sasl_max_frame_size: crate::sasl::DEFAULT_MAX_FRAME_SIZE,
            time_limit: Duration::from_secs(15),
        }
    }
}

/// A client that was let in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The stream.
    pub stream: Stream,
    /// What was read beyond the last SASL frame: the first octets of the AMQP layer.
    pub leftover: BytesMut,
    /// What the client presented; `None` if it left the SASL layer out.
    pub attempt: Option<Attempt>,
}

/// Encrypts a stream that was accepted, and lets its client in if `judge` says so.
///
/// # Errors
/// When the client fails or is refused, or all of it takes too long.
pub async fn accept<J, F>(tcp: TcpStream, options: &AcceptOptions, judge: J) -> Result<Accepted, AcceptError>
where
    J: FnOnce(Attempt) -> F,
    F: Future<Output = Verdict>,
{
    let mut step = Step::Tls;
    let steps = async {
        let stream = match &options.tls {
            Some(tls) => Stream::Tls(Box::new(tls.accept(tcp).await.map_err(AcceptError::Tls)?)),
            None => Stream::Tcp(tcp),
        };
        step = Step::Sasl;
        authenticate(stream, options, judge).await
    };
    let result = timeout(options.time_limit, steps).await;
    result.unwrap_or(Err(AcceptError::TimedOut(step)))
}

async fn authenticate<J, F>(mut stream: Stream, options: &AcceptOptions, judge: J) -> Result<Accepted, AcceptError>
where
    J: FnOnce(Attempt) -> F,
    F: Future<Output = Verdict>,
{
    let mut input = buffer();
    let mut sasl = SaslServer::new(options.plain, options.anonymous).max_frame_size(options.sasl_max_frame_size);
    let mut judge = Some(judge);
    let mut presented = None;
    let mut first = true;
    loop {
        read_more(&mut stream, &mut input).await.map_err(AcceptError::Stream)?;
        if first && options.without_sasl {
            match ProtocolHeader::parse(&input) {
                Ok(None) => continue,
                Ok(Some(header)) if header.id == ProtocolId::Amqp => {
                    return Ok(Accepted { stream, leftover: input, attempt: None });
                }
                _ => {}
            }
        }
        first = false;
        loop {
            let step = sasl.handle_input(&mut input);
            write(&mut stream, &sasl.take_output()).await.map_err(AcceptError::Stream)?;
            match step {
                Ok(ServerStep::Wait) => break,
                Ok(ServerStep::Done) => return Ok(Accepted { stream, leftover: input, attempt: presented }),
                Ok(ServerStep::Judge(attempt)) => {
                    let Some(judge) = judge.take() else { break };
                    presented = Some(attempt.clone());
                    let verdict = judge(attempt).await;
                    sasl.decide(verdict);
                }
                Err(error) => {
                    shut(&mut stream).await;
                    return Err(error.into());
                }
            }
        }
    }
}

/// Ends a stream so that the other side still reads what was sent last.
async fn shut(stream: &mut dyn ByteStream) {
    use tokio::io::AsyncWriteExt;
    if let Err(error) = stream.shutdown().await {
        tracing::debug!(%error, "the stream could not be shut down");
    }
}
