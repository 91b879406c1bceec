use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::array::encode_array;
use crate::constructor as code;
use crate::{ArrayElement, Decode, DecodeError, DecodeErrorKind, Encode, IntoOwned, Reader};

/// An array is given room for so many values at first, whatever count it claims.
const FIRST_CAPACITY: usize = 16;

/// A field that holds none, one or several values of one type. §1.4
///
/// On the wire null, a single value, or an array. Only several values take memory of their own.
#[derive(Clone)]
pub struct Multiple<T>(Items<T>);

#[derive(Clone)]
enum Items<T> {
    One(T),
    /// None or several.
    Others(Box<[T]>),
}

impl<T> Multiple<T> {
    /// A single value.
    pub const fn one(value: T) -> Self {
        Self(Items::One(value))
    }
}

impl<T> Default for Multiple<T> {
    #[inline]
    fn default() -> Self {
        Self(Items::Others(Box::default()))
    }
}

impl<T> Deref for Multiple<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Items::One(value) => core::slice::from_ref(value),
            Items::Others(values) => values,
        }
    }
}

impl<T: PartialEq> PartialEq for Multiple<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Multiple<T> {}

impl<T: fmt::Debug> fmt::Debug for Multiple<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Multiple").field(&&**self).finish()
    }
}

impl<T> From<Vec<T>> for Multiple<T> {
    fn from(mut values: Vec<T>) -> Self {
        match values.pop() {
            Some(single) if values.is_empty() => Self::one(single),
            last => {
                values.extend(last);
                Self(Items::Others(values.into()))
            }
        }
    }
}

impl<T> From<Multiple<T>> for Vec<T> {
    fn from(values: Multiple<T>) -> Self {
        match values.0 {
            Items::One(single) => alloc::vec![single],
            Items::Others(values) => values.into(),
        }
    }
}

impl<T> FromIterator<T> for Multiple<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return Self::default() };
        let Some(second) = items.next() else { return Self::one(first) };
        Self(Items::Others([first, second].into_iter().chain(items).collect()))
    }
}

impl<'a, T> IntoIterator for &'a Multiple<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Multiple<T> {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match constructor {
            code::NULL => Ok(Self::default()),
            code::ARRAY8 | code::ARRAY32 => Self::decode_array(constructor == code::ARRAY32, reader),
            _ => Self::decode_one(constructor, reader),
        }
    }
}

impl<'a, T: Decode<'a>> Multiple<T> {
    // Both stay out of the way of fields that are absent, as most are.

    #[inline(never)]
    fn decode_one(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        T::decode_data(constructor, reader).map(Self::one)
    }

    #[inline(never)]
    fn decode_array(wide: bool, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (count, mut inner) = reader.compound(wide)?;
        let element = inner.octet()?;
        if count as usize > inner.rest().len() {
            return Err(inner.error(DecodeErrorKind::CountTooLarge));
        }
        if count == 1 {
            let single = T::decode_data(element, &mut inner)?;
            inner.finish()?;
            return Ok(Self::one(single));
        }
        let mut items = Vec::with_capacity(FIRST_CAPACITY.min(count as usize));
        for _ in 0..count {
            items.push(T::decode_data(element, &mut inner)?);
        }
        inner.finish()?;
        Ok(Self(Items::Others(items.into())))
    }
}

impl<T: ArrayElement> Encode for Multiple<T> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match &**self {
            [] => out.push(code::NULL),
            [single] => single.encode(out),
            several => encode_array(several, out),
        }
    }
}

impl<T: IntoOwned> IntoOwned for Multiple<T> {
    type Owned = Multiple<T::Owned>;

    fn into_owned(self) -> Self::Owned {
        match self.0 {
            Items::One(single) => Multiple::one(single.into_owned()),
            Items::Others(values) => Vec::from(values).into_iter().map(T::into_owned).collect(),
        }
    }
}

#[cfg(feature = "arbitrary")]
impl<'a, T: arbitrary::Arbitrary<'a>> arbitrary::Arbitrary<'a> for Multiple<T> {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        u.arbitrary::<Vec<T>>().map(Self::from)
    }
}
