use amqp10_codec::sasl::{SaslBody, SaslCode, SaslInit, SaslResponse};
use amqp10_codec::{Binary, Channel, Encode, FrameType, ProtocolHeader, Symbol, encode_frame};
use bytes::BytesMut;
use zeroize::Zeroizing;

use super::{
    DEFAULT_MAX_FRAME_SIZE, MAX_CHALLENGES, Mechanism, Progress, SaslError, describe_header, name, take_frame,
};

enum State {
    Header,
    Mechanisms,
    /// With the mechanism chosen and the number of challenges answered.
    Exchange(Box<dyn Mechanism>, u32),
    Over,
    Failed(SaslError),
}

/// The client's side of a SASL exchange. §5.3.2
///
/// Feed what arrives to [`handle_input`](Self::handle_input) and send what [`take_output`](Self::take_output) gives, first of all
/// once before anything has arrived.
pub struct SaslClient {
    state: State,
    mechanisms: Vec<Box<dyn Mechanism>>,
    hostname: Option<String>,
    clear_text: bool,
    max_frame_size: u32,
    output: Zeroizing<Vec<u8>>,
}

impl SaslClient {
    /// A client that can do these mechanisms, the first that the server offers is taken. `hostname` is told to the server.
    pub fn new(mechanisms: Vec<Box<dyn Mechanism>>, hostname: Option<String>) -> Self {
        Self {
            state: State::Header,
            mechanisms,
            hostname,
            clear_text: false,
            max_frame_size: DEFAULT_MAX_FRAME_SIZE,
            output: Zeroizing::new(ProtocolHeader::SASL.to_octets().to_vec()),
        }
    }

    /// Says that the stream is not encrypted: mechanisms that reveal their secret are refused.
    #[must_use]
    pub fn over_clear_text(mut self, clear_text: bool) -> Self {
        self.clear_text = clear_text;
        self
    }

    /// The most octets that a frame of the server may have; default 8 KiB, by the letter of §5.3.1 it is 512.
    #[must_use]
    pub fn max_frame_size(mut self, octets: u32) -> Self {
        self.max_frame_size = octets;
        self
    }

    /// What is to be sent now.
    pub fn take_output(&mut self) -> Zeroizing<Vec<u8>> {
        std::mem::take(&mut self.output)
    }

    /// Takes what belongs to the exchange off the front of `input`. After [`Progress::Done`] the rest belongs to the next layer.
    ///
    /// # Errors
    /// When the server refuses or breaks the rules; the exchange is over then, and every further call fails alike.
    pub fn handle_input(&mut self, input: &mut BytesMut) -> Result<Progress, SaslError> {
        let result = self.advance(input);
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn advance(&mut self, input: &mut BytesMut) -> Result<Progress, SaslError> {
        loop {
            let result = match std::mem::replace(&mut self.state, State::Over) {
                State::Header => match ProtocolHeader::parse(input) {
                    Ok(None) => {
                        self.state = State::Header;
                        return Ok(Progress::Wait);
                    }
                    Ok(Some(ProtocolHeader::SASL)) => {
                        drop(input.split_to(ProtocolHeader::SIZE));
                        self.state = State::Mechanisms;
                        Some(())
                    }
                    Ok(Some(_)) | Err(_) => return Err(SaslError::Header(describe_header(input))),
                },
                State::Mechanisms => {
                    self.state = State::Mechanisms;
                    let limit = self.max_frame_size;
                    take_frame(input, limit, |body| self.choose(body))?
                }
                State::Exchange(mechanism, challenges) => {
                    let limit = self.max_frame_size;
                    let mut kept = Some((mechanism, challenges));
                    match take_frame(input, limit, |body| self.exchange(body, &mut kept))? {
                        Some(Progress::Done) => return Ok(Progress::Done),
                        Some(Progress::Wait) => Some(()),
                        None => {
                            if let Some((mechanism, challenges)) = kept {
                                self.state = State::Exchange(mechanism, challenges);
                            }
                            None
                        }
                    }
                }
                State::Over => return Ok(Progress::Done),
                State::Failed(error) => return Err(error),
            };
            if result.is_none() {
                return Ok(Progress::Wait);
            }
        }
    }

    fn choose(&mut self, body: SaslBody<'_>) -> Result<(), SaslError> {
        let SaslBody::Mechanisms(offer) = body else { return Err(SaslError::Unexpected(name(&body))) };
        let offered: Vec<&str> = offer.sasl_server_mechanisms.0.iter().map(|mechanism| mechanism.as_str()).collect();
        let found = self.mechanisms.iter().position(|mechanism| offered.contains(&mechanism.name()));
        let Some(found) = found else {
            let wanted: Vec<&str> = self.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
            return Err(SaslError::NoCommonMechanism { offered: offered.join(", "), wanted: wanted.join(", ") });
        };
        let mut mechanism = self.mechanisms.swap_remove(found);
        if self.clear_text && mechanism.reveals_secret() {
            return Err(SaslError::ClearText);
        }
        let response = mechanism.initial_response();
        let init = SaslInit {
            mechanism: Symbol::new(mechanism.name().to_owned()).map_err(|error| SaslError::Mechanism {
                mechanism: mechanism.name().to_owned(),
                reason: error.to_string(),
            })?,
            initial_response: response.as_ref().map(|response| Binary::from(response.as_slice())),
            hostname: self.hostname.as_deref().map(Into::into),
        };
        // Growing would leave copies of the secret behind that nobody overwrites.
        let hostname = self.hostname.as_ref().map_or(0, String::len);
        let room = response.as_ref().map_or(0, |response| response.len()).saturating_add(hostname);
        self.output.reserve(room.saturating_add(mechanism.name().len()).saturating_add(64));
        encode_frame(FrameType::Sasl, Channel(0), &init, &mut self.output);
        self.state = State::Exchange(mechanism, 0);
        Ok(())
    }

    fn exchange(
        &mut self,
        body: SaslBody<'_>,
        kept: &mut Option<(Box<dyn Mechanism>, u32)>,
    ) -> Result<Progress, SaslError> {
        let Some((mut mechanism, challenges)) = kept.take() else { return Ok(Progress::Done) };
        let failed =
            |mechanism: &dyn Mechanism, reason| SaslError::Mechanism { mechanism: mechanism.name().to_owned(), reason };
        match body {
            SaslBody::Challenge(challenge) => {
                if challenges >= MAX_CHALLENGES {
                    return Err(SaslError::TooManyChallenges);
                }
                let response = mechanism.respond(&challenge.challenge).map_err(|reason| failed(&*mechanism, reason))?;
                self.send(&SaslResponse { response: Binary::from(response.as_slice()) });
                self.state = State::Exchange(mechanism, challenges.saturating_add(1));
                Ok(Progress::Wait)
            }
            SaslBody::Outcome(outcome) if outcome.code == SaslCode::Ok => {
                let additional = outcome.additional_data.as_deref();
                mechanism.verify(additional).map_err(|reason| failed(&*mechanism, reason))?;
                Ok(Progress::Done)
            }
            SaslBody::Outcome(outcome) => Err(SaslError::Refused(outcome.code)),
            other => Err(SaslError::Unexpected(name(&other))),
        }
    }

    fn send(&mut self, body: &impl Encode) {
        encode_frame(FrameType::Sasl, Channel(0), body, &mut self.output);
    }
}
