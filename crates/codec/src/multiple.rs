use alloc::vec;
use alloc::vec::Vec;
use core::ops::Deref;

use crate::constructor as code;
use crate::{Array, ArrayElement, Decode, DecodeError, DecodeErrorKind, Encode, IntoOwned, Reader};

/// A field that holds none, one or several values of one type. §1.4
///
/// On the wire null, a single value, or an array.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Multiple<T>(pub Vec<T>);

impl<T> Default for Multiple<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Multiple<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> FromIterator<T> for Multiple<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Multiple<T> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let wide = match constructor {
            code::NULL => return Ok(Self::default()),
            code::ARRAY8 => false,
            code::ARRAY32 => true,
            _ => {
                let single = T::decode_data(constructor, reader)?;
                return Ok(Self(vec![single]));
            }
        };
        let (count, mut inner) = reader.compound(wide)?;
        let element = inner.octet()?;
        if count as usize > inner.rest().len() {
            return Err(inner.error(DecodeErrorKind::CountTooLarge));
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::decode_data(element, &mut inner)?);
        }
        inner.finish()?;
        Ok(Self(items))
    }
}

impl<T: ArrayElement> Encode for Multiple<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self.0.as_slice() {
            [] => out.push(code::NULL),
            [single] => single.encode(out),
            several => Array::of(several).encode(out),
        }
    }
}

impl<T: IntoOwned> IntoOwned for Multiple<T> {
    type Owned = Multiple<T::Owned>;

    fn into_owned(self) -> Self::Owned {
        self.0.into_iter().map(T::into_owned).collect()
    }
}
