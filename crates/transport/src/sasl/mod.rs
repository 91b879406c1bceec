//! The SASL exchange of §5.3 as machines without I/O: octets in, octets out.

mod client;
mod mechanism;
mod server;

pub use client::SaslClient;
pub use mechanism::{Anonymous, Mechanism, Plain};
pub use server::{Attempt, SaslServer, ServerStep, Verdict};

use amqp10_codec::sasl::{SaslBody, SaslCode};
use amqp10_codec::{DecodeError, FrameError, FrameType, next_frame};
use bytes::BytesMut;
use zeroize::Zeroize;

/// The most octets of a SASL frame that are taken by default. §5.3.1 allows 512; tokens need more.
pub const DEFAULT_MAX_FRAME_SIZE: u32 = 8 * 1024;

/// How often a server may challenge.
const MAX_CHALLENGES: u32 = 16;

/// Whether an exchange goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More octets of the peer are needed.
    Wait,
    /// It ended well. What is left of the input belongs to the next layer.
    Done,
}

/// Why a SASL exchange failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaslError {
    /// The server refused: code 1 blames the credentials, 2 to 4 blame the server. §5.3.3.6
    #[error("{}", refusal(*.0))]
    Refused(SaslCode),
    /// No mechanism is common to both.
    #[error("no common SASL mechanism: the server offers {offered}, we can do {wanted}")]
    NoCommonMechanism {
        /// What the server offers.
        offered: String,
        /// What was configured here.
        wanted: String,
    },
    /// PLAIN would send the password in clear text.
    #[error("SASL PLAIN would send the password in clear text: use amqps, or allow it explicitly")]
    ClearText,
    /// The peer does not begin with the SASL protocol header.
    #[error("the peer does not speak SASL: it sent {0}")]
    Header(String),
    /// The octets are not frames.
    #[error("the SASL exchange broke: {0}")]
    Frame(#[from] FrameError),
    /// A frame body cannot be decoded.
    #[error("the SASL exchange broke: {0}")]
    Decode(#[from] DecodeError),
    /// A frame that has no place here.
    #[error("the peer sent {0} where the SASL exchange does not permit it (§5.3.2)")]
    Unexpected(&'static str),
    /// The server goes on challenging.
    #[error("the server challenged more than {MAX_CHALLENGES} times")]
    TooManyChallenges,
    /// The mechanism does not accept what the peer said.
    #[error("the mechanism {mechanism} failed: {reason}")]
    Mechanism {
        /// Its name.
        mechanism: String,
        /// What is wrong.
        reason: String,
    },
}

fn refusal(code: SaslCode) -> &'static str {
    match code {
        SaslCode::Auth => "authentication refused (SASL code 1)",
        SaslCode::Sys => "the server could not authenticate: system error (SASL code 2)",
        SaslCode::SysPerm => "the server could not authenticate: permanent system error (SASL code 3)",
        SaslCode::SysTemp => "the server could not authenticate: temporary system error (SASL code 4)",
        SaslCode::Ok => "authentication succeeded",
    }
}

/// Takes the SASL frame at the front of `input` and hands its body on; `None` while it is not whole.
fn take_frame<R>(
    input: &mut BytesMut,
    max_frame_size: u32,
    handle: impl FnOnce(SaslBody<'_>) -> Result<R, SaslError>,
) -> Result<Option<R>, SaslError> {
    let Some(frame) = next_frame(input, max_frame_size)? else { return Ok(None) };
    let size = frame.header.size as usize;
    let result = if frame.header.frame_type != FrameType::Sasl {
        Err(SaslError::Unexpected("an AMQP frame"))
    } else if frame.body.is_empty() {
        Err(SaslError::Unexpected("an empty frame"))
    } else {
        SaslBody::decode_frame(frame.body).map_err(SaslError::from).and_then(handle)
    };
    // It may have held a secret.
    input.split_to(size).zeroize();
    result.map(Some)
}

fn name(body: &SaslBody<'_>) -> &'static str {
    match body {
        SaslBody::Mechanisms(_) => "sasl-mechanisms",
        SaslBody::Init(_) => "sasl-init",
        SaslBody::Challenge(_) => "sasl-challenge",
        SaslBody::Response(_) => "sasl-response",
        SaslBody::Outcome(_) => "sasl-outcome",
    }
}

/// The octets of a header, for people.
fn describe_header(octets: &[u8]) -> String {
    match octets {
        [b'A', b'M', b'Q', b'P', id, major, minor, revision, ..] => {
            format!("AMQP header {id} {major} {minor} {revision}")
        }
        other => format!("octets {:02x?}", other.get(..other.len().min(8)).unwrap_or(&[])),
    }
}

#[cfg(test)]
mod tests;
