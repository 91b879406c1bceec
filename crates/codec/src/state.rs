//! Delivery states, §3.4 and §4.5.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::composite::{DecodeList, composite};
use crate::constructor as code;
use crate::performative::take_code;
use crate::{
    Composite, Declared, Decode, DecodeError, DecodeErrorKind, Described, Encode, Error, Fields, IntoOwned, Reader,
    Symbol, TransactionalState,
};

composite! {
    /// How much of a message has arrived. §3.4.1
    pub struct Received: "amqp:received:list" = 0x23 {
        /// The section up to which everything arrived, counted from 0.
        section_number: u32,
        /// How many octets of that section arrived.
        section_offset: u64,
    }

    /// The message was processed. §3.4.2
    #[derive(Copy, Default)]
    pub struct Accepted: "amqp:accepted:list" = 0x24 {}

    /// The message is invalid and cannot be processed. §3.4.3
    #[derive(Default)]
    pub struct Rejected<'a>: "amqp:rejected:list" = 0x25 {
        /// Why.
        error: Option<Error<'a>>,
    }

    /// The message was not and will not be processed here. §3.4.4
    #[derive(Copy, Default)]
    pub struct Released: "amqp:released:list" = 0x26 {}

    /// The message was not processed, and is changed. §3.4.5
    #[derive(Default)]
    pub struct Modified<'a>: "amqp:modified:list" = 0x27 {
        /// Whether this counts as a failed attempt.
        delivery_failed: Option<bool>,
        /// Whether the message must not be delivered to this link again.
        undeliverable_here: Option<bool>,
        /// Annotations to merge into those of the message.
        message_annotations: Option<Fields<'a>>,
    }
}

/// The state of a delivery at one end of a link. §3.4 The rare and large ones are boxed, so that a transfer is small.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum DeliveryState<'a> {
    /// §3.4.1; not terminal
    Received(Received),
    /// §3.4.2
    Accepted,
    /// §3.4.3
    Rejected(Box<Rejected<'a>>),
    /// §3.4.4
    Released,
    /// §3.4.5
    Modified(Box<Modified<'a>>),
    /// §4.5.5
    Declared(Box<Declared>),
    /// §4.5.6; not terminal before the transaction is
    Transactional(Box<TransactionalState<'a>>),
    /// A state that is not known here, kept as it came.
    Other(Box<Described<'a>>),
}

/// A state of a delivery that does not change any more: what `provides="outcome"`. §3.4
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Outcome<'a> {
    /// §3.4.2
    Accepted,
    /// §3.4.3
    Rejected(Box<Rejected<'a>>),
    /// §3.4.4
    Released,
    /// §3.4.5
    Modified(Box<Modified<'a>>),
    /// §4.5.5
    Declared(Box<Declared>),
    /// An outcome that is not known here, kept as it came.
    Other(Box<Described<'a>>),
}

impl DeliveryState<'_> {
    /// Whether this is an outcome: a state that does not change any more. §3.4
    ///
    /// A state that is not known here counts as none, nor does the outcome inside a transaction.
    pub const fn is_outcome(&self) -> bool {
        !matches!(self, Self::Received(_) | Self::Transactional(_) | Self::Other(_))
    }
}

impl Outcome<'_> {
    /// The symbols by which the outcomes of §3.4 are named in the outcomes of a source.
    pub const STANDARD: [Symbol<'static>; 4] = [
        Symbol::from_static(Accepted::NAME),
        Symbol::from_static(Rejected::NAME),
        Symbol::from_static(Released::NAME),
        Symbol::from_static(Modified::NAME),
    ];
}

impl<'a> Decode<'a> for DeliveryState<'a> {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        // Nearly every state on a wire is accepted, with its one-octet descriptor and an empty list.
        if constructor == code::DESCRIBED
            && let [code::SMALLULONG, 0x24, code::LIST0, ..] = reader.rest()
        {
            reader.take(3)?;
            return Ok(Self::Accepted);
        }
        // By value, so that the caller's reader can stay in registers.
        let (state, rest) = Self::decode_other(constructor, reader.clone())?;
        *reader = rest;
        Ok(state)
    }
}

const NAMES: [(&str, u64); 7] = [
    (Received::NAME, Received::CODE),
    (Accepted::NAME, Accepted::CODE),
    (Rejected::NAME, Rejected::CODE),
    (Released::NAME, Released::CODE),
    (Modified::NAME, Modified::CODE),
    (Declared::NAME, Declared::CODE),
    (TransactionalState::NAME, TransactionalState::CODE),
];

impl<'a> DeliveryState<'a> {
    /// Decodes any state; returns it and what stands behind it.
    #[inline(never)]
    fn decode_other(constructor: u8, mut reader: Reader<'a>) -> Result<(Self, Reader<'a>), DecodeError> {
        let mut ahead = reader.clone();
        let (code, list) = take_code(constructor, &mut ahead, "a delivery-state", &NAMES)?;
        let state = match code {
            Received::CODE => Self::Received(Received::decode_list(list, &mut ahead)?),
            TransactionalState::CODE => {
                Self::Transactional(Box::new(TransactionalState::decode_list(list, &mut ahead)?))
            }
            _ => match Outcome::decode_known(code, list, &mut ahead)? {
                Some(outcome) => outcome.into(),
                None => {
                    let other = Described::decode_data(constructor, &mut reader)?;
                    return Ok((Self::Other(Box::new(other)), reader));
                }
            },
        };
        Ok((state, ahead))
    }
}

impl<'a> Outcome<'a> {
    /// Decodes the list of an outcome with this descriptor, if it is a known one.
    fn decode_known(code: u64, list: u8, reader: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match code {
            Accepted::CODE => Accepted::decode_list(list, reader).map(|_| Self::Accepted)?,
            Released::CODE => Released::decode_list(list, reader).map(|_| Self::Released)?,
            Rejected::CODE => Self::Rejected(Box::new(Rejected::decode_list(list, reader)?)),
            Modified::CODE => Self::Modified(Box::new(Modified::decode_list(list, reader)?)),
            Declared::CODE => Self::Declared(Box::new(Declared::decode_list(list, reader)?)),
            _ => return Ok(None),
        }))
    }
}

impl<'a> Decode<'a> for Outcome<'a> {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        // The usual ones, with a one-octet descriptor and an empty list.
        if constructor == code::DESCRIBED
            && let [code::SMALLULONG, number @ (0x24 | 0x26), code::LIST0, ..] = *reader.rest()
        {
            reader.take(3)?;
            return Ok(if number == 0x24 { Self::Accepted } else { Self::Released });
        }
        Self::decode_other(constructor, reader)
    }
}

impl<'a> Outcome<'a> {
    /// Decodes any outcome.
    #[inline(never)]
    fn decode_other(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let mut ahead = reader.clone();
        let (code, list) = take_code(constructor, &mut ahead, "an outcome", &NAMES)?;
        if matches!(code, Received::CODE | TransactionalState::CODE) {
            return Err(DecodeError::new(DecodeErrorKind::unexpected_descriptor("an outcome", code), at));
        }
        match Self::decode_known(code, list, &mut ahead)? {
            Some(outcome) => {
                *reader = ahead;
                Ok(outcome)
            }
            None => Ok(Self::Other(Box::new(Described::decode_data(constructor, reader)?))),
        }
    }
}

impl<'a> From<Outcome<'a>> for DeliveryState<'a> {
    fn from(outcome: Outcome<'a>) -> Self {
        match outcome {
            Outcome::Accepted => Self::Accepted,
            Outcome::Rejected(state) => Self::Rejected(state),
            Outcome::Released => Self::Released,
            Outcome::Modified(state) => Self::Modified(state),
            Outcome::Declared(state) => Self::Declared(state),
            Outcome::Other(state) => Self::Other(state),
        }
    }
}

impl Encode for DeliveryState<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Received(state) => state.encode(out),
            Self::Accepted => Accepted {}.encode(out),
            Self::Rejected(state) => state.encode(out),
            Self::Released => Released {}.encode(out),
            Self::Modified(state) => state.encode(out),
            Self::Declared(state) => state.encode(out),
            Self::Transactional(state) => state.encode(out),
            Self::Other(state) => state.encode(out),
        }
    }
}

impl Encode for Outcome<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Accepted => Accepted {}.encode(out),
            Self::Rejected(state) => state.encode(out),
            Self::Released => Released {}.encode(out),
            Self::Modified(state) => state.encode(out),
            Self::Declared(state) => state.encode(out),
            Self::Other(state) => state.encode(out),
        }
    }
}

impl IntoOwned for DeliveryState<'_> {
    type Owned = DeliveryState<'static>;

    fn into_owned(self) -> DeliveryState<'static> {
        match self {
            Self::Received(state) => DeliveryState::Received(state),
            Self::Accepted => DeliveryState::Accepted,
            Self::Rejected(state) => DeliveryState::Rejected(Box::new(state.into_owned())),
            Self::Released => DeliveryState::Released,
            Self::Modified(state) => DeliveryState::Modified(Box::new(state.into_owned())),
            Self::Declared(state) => DeliveryState::Declared(state),
            Self::Transactional(state) => DeliveryState::Transactional(Box::new(state.into_owned())),
            Self::Other(state) => DeliveryState::Other(Box::new(state.into_owned())),
        }
    }
}

impl IntoOwned for Outcome<'_> {
    type Owned = Outcome<'static>;

    fn into_owned(self) -> Outcome<'static> {
        match self {
            Self::Accepted => Outcome::Accepted,
            Self::Rejected(state) => Outcome::Rejected(Box::new(state.into_owned())),
            Self::Released => Outcome::Released,
            Self::Modified(state) => Outcome::Modified(Box::new(state.into_owned())),
            Self::Declared(state) => Outcome::Declared(state),
            Self::Other(state) => Outcome::Other(Box::new(state.into_owned())),
        }
    }
}
