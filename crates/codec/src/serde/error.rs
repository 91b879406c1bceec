use alloc::string::{String, ToString};
use core::fmt;

use crate::DecodeError;

/// Why a value of serde cannot be encoded, or octets are not what it expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Malformed(DecodeError),
    /// What the type says, and about the value at which offset.
    Told(String, Option<usize>),
}

impl Error {
    pub(super) fn new(message: &str) -> Self {
        Self(Kind::Told(message.into(), None))
    }

    /// The same error about the value at `offset`, unless it is known to be about one inside of that.
    pub(super) fn at(self, offset: usize) -> Self {
        match self.0 {
            Kind::Told(message, None) => Self(Kind::Told(message, Some(offset))),
            known => Self(known),
        }
    }

    /// The offset from the start of the input of what is wrong; none if the error is not about an input.
    pub fn offset(&self) -> Option<usize> {
        match &self.0 {
            Kind::Malformed(error) => usize::try_from(error.offset()).ok(),
            Kind::Told(_, offset) => *offset,
        }
    }

    /// What is wrong with the octets, if they are malformed.
    pub fn decode_error(&self) -> Option<DecodeError> {
        match self.0 {
            Kind::Malformed(error) => Some(error),
            Kind::Told(..) => None,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self(Kind::Malformed(error))
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Kind::Told(message.to_string(), None))
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Kind::Told(message.to_string(), None))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Malformed(error) => error.fmt(f),
            Kind::Told(message, Some(offset)) => write!(f, "{message} at offset {offset}"),
            Kind::Told(message, None) => f.write_str(message),
        }
    }
}

impl core::error::Error for Error {}
