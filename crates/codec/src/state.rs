//! Delivery states, §3.4 and §4.5.

use alloc::vec::Vec;

use crate::composite::composite;
use crate::constructor as code;
use crate::{Composite, Decode, DecodeError, Described, Descriptor, Encode, Error, Fields, IntoOwned, Reader};

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

/// The state of a delivery at one end of a link. §3.4
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DeliveryState<'a> {
    /// §3.4.1; not terminal
    Received(Received),
    /// §3.4.2
    Accepted,
    /// §3.4.3
    Rejected(Rejected<'a>),
    /// §3.4.4
    Released,
    /// §3.4.5
    Modified(Modified<'a>),
    /// A state that is not known here, kept as it came.
    Other(Described<'a>),
}

impl DeliveryState<'_> {
    /// Whether this is an outcome: a state that does not change any more. §3.4
    ///
    /// A state that is not known here counts as none.
    pub const fn is_outcome(&self) -> bool {
        !matches!(self, Self::Received(_) | Self::Other(_))
    }
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

impl<'a> DeliveryState<'a> {
    /// Decodes any state; returns it and what stands behind it.
    #[inline(never)]
    fn decode_other(constructor: u8, mut reader: Reader<'a>) -> Result<(Self, Reader<'a>), DecodeError> {
        let mut ahead = reader.clone();
        let described = Described::decode_data(constructor, &mut ahead)?;
        let descriptor = described.descriptor()?;
        fn is<T: Composite>(descriptor: &Descriptor<'_>) -> bool {
            descriptor.is(T::NAME, T::CODE)
        }
        let state = if is::<Accepted>(&descriptor) {
            Accepted::decode_data(constructor, &mut reader)?;
            Self::Accepted
        } else if is::<Released>(&descriptor) {
            Released::decode_data(constructor, &mut reader)?;
            Self::Released
        } else if is::<Rejected<'_>>(&descriptor) {
            Self::Rejected(Rejected::decode_data(constructor, &mut reader)?)
        } else if is::<Modified<'_>>(&descriptor) {
            Self::Modified(Modified::decode_data(constructor, &mut reader)?)
        } else if is::<Received>(&descriptor) {
            Self::Received(Received::decode_data(constructor, &mut reader)?)
        } else {
            drop(descriptor);
            return Ok((Self::Other(described), ahead));
        };
        Ok((state, reader))
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
            Self::Rejected(state) => DeliveryState::Rejected(state.into_owned()),
            Self::Released => DeliveryState::Released,
            Self::Modified(state) => DeliveryState::Modified(state.into_owned()),
            Self::Other(state) => DeliveryState::Other(state.into_owned()),
        }
    }
}
