use alloc::vec::Vec;

use crate::{DecodeError, Reader};

/// A type that can be decoded from octets, borrowing from them where it can.
pub trait Decode<'a>: Sized {
    /// Decodes one value, constructor included.
    ///
    /// # Errors
    /// When the octets are incomplete, malformed, or a value of another type.
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let constructor = reader.octet()?;
        Self::decode_data(constructor, reader)
    }

    /// Decodes the data behind `constructor`, which has been read: the form in which the elements of an array stand (§1.6.24).
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// The same into the place where the value is to stay, which spares moving a large one.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); what stands in `place` then means nothing.
    #[inline(always)]
    fn decode_into(place: &mut Option<Self>, constructor: u8, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        *place = Some(Self::decode_data(constructor, reader)?);
        Ok(())
    }
}

/// A type that can be encoded.
///
/// Encoding takes the shortest form and cannot fail.
pub trait Encode {
    /// Appends the encoded value, constructor included, to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// How many octets [`encode`](Self::encode) appends.
    ///
    /// Values of variable width tell without encoding; for the others, which are small, this encodes into a buffer of its own.
    fn encoded_len(&self) -> usize {
        encode_to_vec(self).len()
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }

    fn encoded_len(&self) -> usize {
        (**self).encoded_len()
    }
}

/// A type that may borrow and can be turned into one that owns everything.
pub trait IntoOwned {
    /// The same type, borrowing nothing.
    type Owned: 'static;

    /// Copies whatever is borrowed.
    fn into_owned(self) -> Self::Owned;
}

/// The encoded form of `value` in a vector of its own.
pub fn encode_to_vec(value: &(impl Encode + ?Sized)) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

impl<T: IntoOwned> IntoOwned for Option<T> {
    type Owned = Option<T::Owned>;

    fn into_owned(self) -> Self::Owned {
        self.map(T::into_owned)
    }
}

/// Implements [`IntoOwned`] for types that never borrow.
macro_rules! owned_already {
    ($($type:ty),* $(,)?) => { $(
        impl $crate::IntoOwned for $type {
            type Owned = $type;
            #[inline]
            fn into_owned(self) -> $type { self }
        }
    )* };
}
pub(crate) use owned_already;
