use alloc::vec::Vec;
use core::fmt;

use crate::codec::owned_already;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, Reader};

/// Identifies a delivery among the unsettled ones of a link: up to 32 octets, held inline. §2.8.7
#[derive(Clone, Copy)]
pub struct DeliveryTag {
    len: u8,
    octets: [u8; Self::MAX],
}

/// A run of octets that is too long for a delivery-tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDeliveryTag;

impl fmt::Display for InvalidDeliveryTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a delivery-tag may have at most 32 octets (§2.8.7)")
    }
}

impl core::error::Error for InvalidDeliveryTag {}

impl DeliveryTag {
    /// The most octets a tag may have.
    pub const MAX: usize = 32;

    /// A tag of these octets.
    ///
    /// # Errors
    /// If there are more than 32 of them.
    #[inline]
    pub fn new(octets: &[u8]) -> Result<Self, InvalidDeliveryTag> {
        let mut tag = Self { len: 0, octets: [0; Self::MAX] };
        let (Some(held), Ok(len)) = (tag.octets.get_mut(..octets.len()), u8::try_from(octets.len())) else {
            return Err(InvalidDeliveryTag);
        };
        held.copy_from_slice(octets);
        tag.len = len;
        Ok(tag)
    }

    /// The octets.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl From<u64> for DeliveryTag {
    /// The number in network order.
    fn from(number: u64) -> Self {
        Self::new(&number.to_be_bytes()).unwrap_or(Self { len: 0, octets: [0; Self::MAX] })
    }
}

impl PartialEq for DeliveryTag {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for DeliveryTag {}

impl core::hash::Hash for DeliveryTag {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for DeliveryTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryTag(")?;
        for octet in self.as_slice() {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(")")
    }
}

impl<'a> Decode<'a> for DeliveryTag {
    #[inline]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let octets = <&[u8]>::decode_data(constructor, reader)?;
        Self::new(octets).map_err(|_| {
            let at = reader.offset().saturating_sub(octets.len());
            DecodeError::new(DecodeErrorKind::InvalidValue("the length of a delivery-tag"), at)
        })
    }
}

impl Encode for DeliveryTag {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

owned_already!(DeliveryTag);
