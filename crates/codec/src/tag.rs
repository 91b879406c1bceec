use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use crate::codec::owned_already;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, Reader};

/// Identifies a delivery among the unsettled ones of a link: up to 32 octets, held inline. §2.8.7
// In words, so that a tag is made, moved and compared without a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeliveryTag {
    /// Zeros behind `len`.
    words: [[u8; 8]; Self::MAX / 8],
    len: u8,
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
        let len = u8::try_from(octets.len()).map_err(|_| InvalidDeliveryTag)?;
        let mut words = [[0; 8]; Self::MAX / 8];
        let place = words.as_flattened_mut().get_mut(..octets.len()).ok_or(InvalidDeliveryTag)?;
        place.copy_from_slice(octets);
        Ok(Self { words, len })
    }

    /// The octets.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.words.as_flattened().get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// How many octets there are.
    #[inline]
    pub(crate) const fn len(&self) -> u8 {
        self.len
    }

    /// The octets, and zeros behind them.
    #[inline]
    pub(crate) fn padded(&self) -> [u8; Self::MAX] {
        self.words.as_flattened().first_chunk().copied().unwrap_or_default()
    }
}

impl From<u64> for DeliveryTag {
    /// The number in network order.
    #[inline]
    fn from(number: u64) -> Self {
        Self { words: [number.to_be_bytes(), [0; 8], [0; 8], [0; 8]], len: 8 }
    }
}

/// Shorter ones first, then by their octets: counters are in the order of their numbers.
impl Ord for DeliveryTag {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |tag: &Self| u64::from_be_bytes(tag.words[0]);
        if self.len == other.len && self.len <= 8 {
            return first(self).cmp(&first(other));
        }
        self.cmp_long(other)
    }
}

impl DeliveryTag {
    #[inline(never)]
    fn cmp_long(&self, other: &Self) -> Ordering {
        let mut order = self.len.cmp(&other.len);
        for (ours, theirs) in self.words.iter().zip(&other.words) {
            order = order.then_with(|| u64::from_be_bytes(*ours).cmp(&u64::from_be_bytes(*theirs)));
        }
        order
    }
}

impl PartialOrd for DeliveryTag {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl core::hash::Hash for DeliveryTag {
    #[inline]
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        state.write_u8(self.len);
        let words = self.words.iter().take(usize::from(self.len).div_ceil(8));
        words.for_each(|word| state.write_u64(u64::from_ne_bytes(*word)));
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
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let octets = <&[u8]>::decode_data(constructor, reader)?;
        Self::new(octets).map_err(|_| Self::too_long(octets, reader.offset()))
    }
}

impl DeliveryTag {
    /// An error about octets that are no tag and end at `end`.
    #[cold]
    pub(crate) fn too_long(octets: &[u8], end: usize) -> DecodeError {
        let at = end.saturating_sub(octets.len());
        DecodeError::new(DecodeErrorKind::InvalidValue("the length of a delivery-tag"), at)
    }
}

impl Encode for DeliveryTag {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

owned_already!(DeliveryTag);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode_to_vec;

    #[test]
    fn tags_of_every_length() {
        let octets: Vec<u8> = (1..=33).collect();
        for len in 0..=32 {
            let tag = DeliveryTag::new(&octets[..len]).unwrap();
            assert_eq!(tag.as_slice(), &octets[..len]);
            let mut wire = encode_to_vec(&tag);
            wire.extend_from_slice(&octets);
            assert_eq!(Reader::new(&wire).read(), Ok(tag));
            assert_ne!(DeliveryTag::new(&octets[1..=len]).unwrap() == tag, len > 0);
        }
        assert_eq!(DeliveryTag::new(&octets), Err(InvalidDeliveryTag));
        let error = Reader::new(&encode_to_vec(octets.as_slice())).read::<DeliveryTag>().unwrap_err();
        assert_eq!(error.offset(), 2);
        assert_eq!(DeliveryTag::from(7).as_slice(), &[0, 0, 0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn counters_are_in_the_order_of_their_numbers() {
        let tag = |octets: &[u8]| DeliveryTag::new(octets).unwrap();
        let ascending =
            [tag(b""), tag(b"\0"), tag(b"9"), tag(b"10"), tag(b"a0"), tag(&[7; 9]), tag(&[8; 9]), tag(&[0; 32])];
        assert!(ascending.is_sorted_by(|one, other| one < other));
        assert!((0..1000).map(DeliveryTag::from).is_sorted_by(|one, other| one < other));
    }
}
