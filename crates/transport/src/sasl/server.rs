use std::fmt;

use amqp10_codec::sasl::{Mechanisms, SaslBody, SaslCode, SaslInit, SaslMechanisms, SaslOutcome};
use amqp10_codec::{Channel, Encode, FrameType, ProtocolHeader, Symbol, encode_frame};
use bytes::BytesMut;

use super::{DEFAULT_MAX_FRAME_SIZE, SaslError, describe_header, name, take_frame};
use crate::Secret;

/// What a client presents to be let in.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// PLAIN, RFC 4616.
    Plain {
        /// Whom the client wants to act as; usually empty.
        authorization: String,
        /// Who the client is.
        user: String,
        /// Its password.
        password: Secret,
        /// The host that the client means.
        hostname: Option<String>,
    },
    /// ANONYMOUS, RFC 4505.
    Anonymous {
        /// The host that the client means.
        hostname: Option<String>,
    },
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A user name may carry a token, so it is not shown either.
        f.write_str(match self {
            Self::Plain { .. } => "Plain { .. }",
            Self::Anonymous { .. } => "Anonymous { .. }",
        })
    }
}

/// What a server makes of an attempt. §5.3.3.6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Accept,
    /// The credentials are refused: code 1.
    Refuse,
    /// The server could not judge now: code 4.
    Unavailable,
}

/// What a server has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerStep {
    /// Wait for more octets.
    Wait,
    /// Judge this attempt and tell by [`SaslServer::decide`].
    Judge(Attempt),
    /// The exchange ended well. What is left of the input belongs to the next layer.
    Done,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Header,
    Init,
    Judging,
    Accepted,
    Refused(SaslCode),
    Failed(SaslError),
}

/// The server's side of a SASL exchange. §5.3.2
#[derive(Debug)]
pub struct SaslServer {
    state: State,
    plain: bool,
    anonymous: bool,
    max_frame_size: u32,
    output: Vec<u8>,
}

impl SaslServer {
    /// A server that offers PLAIN, ANONYMOUS, or both. One that offers neither refuses everybody.
    pub fn new(plain: bool, anonymous: bool) -> Self {
        Self { state: State::Header, plain, anonymous, max_frame_size: DEFAULT_MAX_FRAME_SIZE, output: Vec::new() }
    }

    /// The most octets that a frame of the client may have; default 8 KiB, by the letter of §5.3.1 it is 512.
    #[must_use]
    pub fn max_frame_size(mut self, octets: u32) -> Self {
        self.max_frame_size = octets;
        self
    }

    /// What is to be sent now; also after an error, before the stream is closed.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes what belongs to the exchange off the front of `input`. A client may have sent the next layer's octets already; they stay.
    ///
    /// # Errors
    /// When the client breaks the rules or was refused; what [`take_output`](Self::take_output) gives then is still to be sent. The
    /// exchange is over then, and every further call fails alike.
    pub fn handle_input(&mut self, input: &mut BytesMut) -> Result<ServerStep, SaslError> {
        let result = self.advance(input);
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn advance(&mut self, input: &mut BytesMut) -> Result<ServerStep, SaslError> {
        if self.state == State::Header {
            match ProtocolHeader::parse(input) {
                Ok(None) => return Ok(ServerStep::Wait),
                Ok(Some(ProtocolHeader::SASL)) => {
                    drop(input.split_to(ProtocolHeader::SIZE));
                    self.output.extend_from_slice(&ProtocolHeader::SASL.to_octets());
                    self.offer();
                    self.state = State::Init;
                }
                Ok(Some(_)) | Err(_) => {
                    // Whoever tries to get around SASL is told what is spoken here, and nothing else. §2.2
                    self.output.extend_from_slice(&ProtocolHeader::SASL.to_octets());
                    return Err(SaslError::Header(describe_header(input)));
                }
            }
        }
        match &self.state {
            State::Init => {
                let limit = self.max_frame_size;
                match take_frame(input, limit, |body| self.init(body))? {
                    Some(step) => Ok(step),
                    None => Ok(ServerStep::Wait),
                }
            }
            State::Refused(code) => Err(SaslError::Refused(*code)),
            State::Failed(error) => Err(error.clone()),
            State::Accepted => Ok(ServerStep::Done),
            State::Header | State::Judging => Ok(ServerStep::Wait),
        }
    }

    /// Tells the client what was made of its attempt. Returns whether it is let in.
    pub fn decide(&mut self, verdict: Verdict) -> bool {
        let code = match verdict {
            Verdict::Accept => SaslCode::Ok,
            Verdict::Refuse => SaslCode::Auth,
            Verdict::Unavailable => SaslCode::SysTemp,
        };
        if self.state == State::Judging {
            self.outcome(code);
        }
        self.state == State::Accepted
    }

    fn offer(&mut self) {
        let mut offer = Vec::new();
        if self.plain {
            offer.push(Symbol::from_static("PLAIN"));
        }
        if self.anonymous || offer.is_empty() {
            offer.push(Symbol::from_static("ANONYMOUS"));
        }
        self.send(&SaslMechanisms { sasl_server_mechanisms: Mechanisms(offer.into_iter().collect()) });
    }

    fn init(&mut self, body: SaslBody<'_>) -> Result<ServerStep, SaslError> {
        let SaslBody::Init(init) = body else { return Err(SaslError::Unexpected(name(&body))) };
        match self.attempt(&init) {
            Some(attempt) => {
                self.state = State::Judging;
                Ok(ServerStep::Judge(attempt))
            }
            None => {
                // An unsupported mechanism, or a response that is none. §5.3.3.2
                self.outcome(SaslCode::Auth);
                Err(SaslError::Refused(SaslCode::Auth))
            }
        }
    }

    fn attempt(&self, init: &SaslInit<'_>) -> Option<Attempt> {
        let hostname = init.hostname.as_ref().map(|hostname| hostname.as_str().to_owned());
        match init.mechanism.as_str() {
            "PLAIN" if self.plain => {
                let response = std::str::from_utf8(init.initial_response.as_deref()?).ok()?;
                let mut parts = response.split('\0');
                let (authorization, user, password) = (parts.next()?, parts.next()?, parts.next()?);
                if parts.next().is_some() || user.is_empty() {
                    return None;
                }
                Some(Attempt::Plain {
                    authorization: authorization.to_owned(),
                    user: user.to_owned(),
                    password: Secret::new(password),
                    hostname,
                })
            }
            "ANONYMOUS" if self.anonymous => Some(Attempt::Anonymous { hostname }),
            _ => None,
        }
    }

    fn outcome(&mut self, code: SaslCode) {
        self.send(&SaslOutcome { code, additional_data: None });
        self.state = if code == SaslCode::Ok { State::Accepted } else { State::Refused(code) };
    }

    fn send(&mut self, body: &impl Encode) {
        encode_frame(FrameType::Sasl, Channel(0), body, &mut self.output);
    }
}
