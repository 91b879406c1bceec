//! The bodies of SASL frames, §5.3.3.

use alloc::vec::Vec;

use crate::codec::owned_already;
use crate::composite::{Field, composite};
use crate::transport::choice;
use crate::{
    Binary, Composite, Decode, DecodeError, DecodeErrorKind, Encode, IntoOwned, ListReader, ListWriter, Multiple,
    Reader, Str, Symbol,
};

choice! {
    /// How a SASL exchange ended. §5.3.3.6
    pub enum SaslCode(u8) "the code of a sasl-outcome" {
        /// Authentication succeeded.
        Ok = 0 => 0_u8,
        /// The credentials were refused.
        Auth = 1 => 1_u8,
        /// A system error.
        Sys = 2 => 2_u8,
        /// A system error that lasts until somebody intervenes.
        SysPerm = 3 => 3_u8,
        /// A system error that may pass by itself.
        SysTemp = 4 => 4_u8,
    }
}

/// The mechanisms of a server: at least one, §5.3.3.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanisms<'a>(pub Multiple<Symbol<'a>>);

impl<'a> Field<'a> for Mechanisms<'a> {
    fn blank() -> Self {
        Self(Multiple::default())
    }

    fn read(&mut self, list: &mut ListReader<'a>, name: &'static str) -> Result<(), DecodeError> {
        let at = list.offset();
        let mechanisms: Multiple<_> = list.mandatory(name)?;
        // An empty array is as good as null, §1.4.
        if mechanisms.is_empty() {
            return Err(DecodeError::new(DecodeErrorKind::MissingField(name), at));
        }
        self.0 = mechanisms;
        Ok(())
    }

    fn write(&self, list: &mut ListWriter<'_>) {
        list.field(&self.0);
    }
}

impl IntoOwned for Mechanisms<'_> {
    type Owned = Mechanisms<'static>;

    fn into_owned(self) -> Mechanisms<'static> {
        Mechanisms(self.0.into_owned())
    }
}

composite! {
    /// Tells the mechanisms that the server offers. §5.3.3.1
    pub struct SaslMechanisms<'a>: "amqp:sasl-mechanisms:list" = 0x40 {
        /// The mechanisms.
        sasl_server_mechanisms: Mechanisms<'a>,
    }

    /// Chooses a mechanism and may carry its first response. §5.3.3.2
    pub struct SaslInit<'a>: "amqp:sasl-init:list" = 0x41 {
        /// The mechanism chosen.
        mechanism: Symbol<'a>,
        /// The first response of the mechanism.
        initial_response: Option<Binary<'a>>,
        /// The name of the host that is meant, as in DNS.
        hostname: Option<Str<'a>>,
    }

    /// Asks for a response. §5.3.3.3
    pub struct SaslChallenge<'a>: "amqp:sasl-challenge:list" = 0x42 {
        /// The challenge.
        challenge: Binary<'a>,
    }

    /// Answers a challenge. §5.3.3.4
    pub struct SaslResponse<'a>: "amqp:sasl-response:list" = 0x43 {
        /// The response.
        response: Binary<'a>,
    }

    /// Ends the exchange. §5.3.3.5
    pub struct SaslOutcome<'a>: "amqp:sasl-outcome:list" = 0x44 {
        /// How it ended.
        code: SaslCode,
        /// Data of the mechanism that goes with success.
        additional_data: Option<Binary<'a>>,
    }
}

/// The body of a SASL frame.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum SaslBody<'a> {
    /// §5.3.3.1
    Mechanisms(SaslMechanisms<'a>),
    /// §5.3.3.2
    Init(SaslInit<'a>),
    /// §5.3.3.3
    Challenge(SaslChallenge<'a>),
    /// §5.3.3.4
    Response(SaslResponse<'a>),
    /// §5.3.3.5
    Outcome(SaslOutcome<'a>),
}

impl<'a> SaslBody<'a> {
    /// Decodes the whole body of a SASL frame.
    ///
    /// # Errors
    /// When it is empty, malformed, of another type, or followed by more.
    pub fn decode_frame(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::sized(body);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

impl<'a> Decode<'a> for SaslBody<'a> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let code = crate::performative::peek_code(constructor, reader, "a SASL frame body", &NAMES)?;
        Ok(match code {
            SaslMechanisms::CODE => Self::Mechanisms(SaslMechanisms::decode_data(constructor, reader)?),
            SaslInit::CODE => Self::Init(SaslInit::decode_data(constructor, reader)?),
            SaslChallenge::CODE => Self::Challenge(SaslChallenge::decode_data(constructor, reader)?),
            SaslResponse::CODE => Self::Response(SaslResponse::decode_data(constructor, reader)?),
            SaslOutcome::CODE => Self::Outcome(SaslOutcome::decode_data(constructor, reader)?),
            _ => {
                let kind = DecodeErrorKind::unexpected_descriptor("a SASL frame body", code);
                return Err(DecodeError::new(kind, at));
            }
        })
    }
}

const NAMES: [(&str, u64); 5] = [
    (SaslMechanisms::NAME, SaslMechanisms::CODE),
    (SaslInit::NAME, SaslInit::CODE),
    (SaslChallenge::NAME, SaslChallenge::CODE),
    (SaslResponse::NAME, SaslResponse::CODE),
    (SaslOutcome::NAME, SaslOutcome::CODE),
];

impl Encode for SaslBody<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mechanisms(body) => body.encode(out),
            Self::Init(body) => body.encode(out),
            Self::Challenge(body) => body.encode(out),
            Self::Response(body) => body.encode(out),
            Self::Outcome(body) => body.encode(out),
        }
    }
}

impl IntoOwned for SaslBody<'_> {
    type Owned = SaslBody<'static>;

    fn into_owned(self) -> SaslBody<'static> {
        match self {
            Self::Mechanisms(body) => SaslBody::Mechanisms(body.into_owned()),
            Self::Init(body) => SaslBody::Init(body.into_owned()),
            Self::Challenge(body) => SaslBody::Challenge(body.into_owned()),
            Self::Response(body) => SaslBody::Response(body.into_owned()),
            Self::Outcome(body) => SaslBody::Outcome(body.into_owned()),
        }
    }
}
