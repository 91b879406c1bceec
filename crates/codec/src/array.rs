mod build;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::constructor::{self as code, Width};
use crate::limits::Budget;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, IntoOwned, Limits, Reader, Value};

pub(crate) use build::encode_array;
pub use build::{ArrayElement, InvalidArray};

/// The most elements that an array may claim when they occupy no octets at all.
pub(crate) const MAX_ZERO_WIDTH: u32 = 1 << 16;

/// The most octets that descriptors and constructor of an array's elements may have: each element is decoded behind a copy of them.
const MAX_ELEMENT_CONSTRUCTOR: usize = 256;

/// Values of one type. §1.6.24
///
/// Elements that occupy no octets, such as null, may be 65,536 at most. If the elements are described, their descriptor holds no
/// further values and, with the constructor, has at most 256 octets. Arrays beyond that are refused when they are decoded.
#[derive(Clone)]
pub struct Array<'a> {
    /// Descriptor and constructor of all elements, as on the wire.
    constructor: Cow<'a, [u8]>,
    octets: Cow<'a, [u8]>,
    count: u32,
    offset: usize,
    depth_left: u8,
}

/// The elements of an [`Array`]; ends after the first error.
#[derive(Clone, Debug)]
pub struct ArrayIter<'r> {
    reader: Reader<'r>,
    /// Where the elements' common constructor is read again for each of them.
    constructor: &'r [u8],
    left: u32,
}

impl Array<'_> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements, decoded one by one.
    pub fn iter(&self) -> ArrayIter<'_> {
        ArrayIter {
            reader: Reader::inner(&self.octets, self.offset, self.depth_left),
            constructor: &self.constructor,
            left: self.count,
        }
    }

    /// The descriptors and the constructor of the elements, as on the wire.
    #[cfg(feature = "json")]
    pub(crate) fn constructor(&self) -> &[u8] {
        &self.constructor
    }

    /// Whether the elements occupy no octets, so that all are alike.
    #[cfg(feature = "json")]
    pub(crate) fn is_zero_width(&self) -> bool {
        self.octets.is_empty()
    }

    /// Decodes everything inside and throws it away.
    ///
    /// # Errors
    /// When anything in it is malformed, or beyond the [default limits](crate::Limits).
    pub fn validate(&self) -> Result<(), DecodeError> {
        self.check(&mut Budget::new(&Limits::default()))
    }

    pub(crate) fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        // Elements of no octets are all alike.
        let different = if self.octets.is_empty() { 1 } else { usize::MAX };
        budget.inside(self.count, self.offset, |budget| {
            self.iter().take(different).try_for_each(|element| element?.check(budget))
        })
    }
}

impl<'a> ArrayIter<'a> {
    /// The next element of an array of described values: the only ones that have to be put together from two places.
    fn described(&mut self) -> Result<Value<'a>, DecodeError> {
        let start = self.reader.rest();
        // The constructor stands right before the first element, and what is wrong in it is wrong there.
        let offset = self.reader.offset().saturating_sub(self.constructor.len());
        let Some((element, _)) = self.constructor.split_last() else {
            return Err(self.reader.error(DecodeErrorKind::Overrun));
        };
        self.reader.skip_data(*element)?;
        let taken = start.len().saturating_sub(self.reader.rest().len());
        let mut encoded = self.constructor.to_vec();
        encoded.extend_from_slice(start.get(..taken).unwrap_or(start));
        let mut reader = Reader::inner(&encoded, offset, self.reader.depth_left());
        Value::decode(&mut reader).map(Value::into_owned)
    }
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = Result<Value<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(left) = self.left.checked_sub(1) else {
            let end = self.reader.finish();
            self.reader = Reader::sized(&[]);
            return end.err().map(Err);
        };
        self.left = left;
        let value = match self.constructor {
            [constructor] => Value::decode_data(*constructor, &mut self.reader),
            _ => self.described(),
        };
        if value.is_err() {
            self.reader = Reader::sized(&[]);
            self.left = 0;
        }
        Some(value)
    }
}

/// Takes the descriptors and the constructor of an array's elements; returns all of it, and the constructor.
pub(crate) fn take_constructor<'a>(inner: &mut Reader<'a>) -> Result<(&'a [u8], u8), DecodeError> {
    let start = inner.rest();
    let mut element = inner.octet()?;
    while element == code::DESCRIBED {
        inner.descend()?;
        // Whoever walks the elements meets the descriptor at each of them: one with values inside, which §1.1.2 reserves,
        // could multiply a few octets into endless work.
        let descriptor = inner.peek()?;
        if descriptor == code::DESCRIBED || descriptor >= code::LIST8 {
            return Err(inner.error(DecodeErrorKind::InvalidValue("the descriptor of an array's elements")));
        }
        inner.skip()?;
        element = inner.octet()?;
    }
    let taken = start.len().saturating_sub(inner.rest().len());
    Ok((start.get(..taken).unwrap_or(start), element))
}

impl<'a> Decode<'a> for Array<'a> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let wide = match constructor {
            code::ARRAY8 => false,
            code::ARRAY32 => true,
            _ => return Err(reader.unexpected("array", constructor)),
        };
        let (count, mut inner) = reader.compound(wide)?;
        let depth_left = inner.depth_left();
        let (constructor, element) = take_constructor(&mut inner)?;
        let least = match code::width(element) {
            Some(Width::Fixed(width)) => width,
            Some(Width::Sized8) => 1,
            Some(Width::Sized32) => 4,
            None => return Err(inner.unexpected("a constructor", element)),
        };
        if constructor.len() > MAX_ELEMENT_CONSTRUCTOR {
            return Err(inner.error(DecodeErrorKind::InvalidValue("the length of an array's constructor")));
        }
        let room = inner.rest().len();
        if least == 0 && room > 0 {
            return Err(inner.error(DecodeErrorKind::LeftOver));
        }
        let fits = match room.checked_div(least) {
            Some(most) => count as usize <= most,
            None => count <= MAX_ZERO_WIDTH,
        };
        if !fits {
            return Err(inner.error(DecodeErrorKind::CountTooLarge));
        }
        Ok(Self {
            constructor: Cow::Borrowed(constructor),
            octets: Cow::Borrowed(inner.rest()),
            count,
            offset: inner.offset(),
            depth_left,
        })
    }
}

impl Encode for Array<'_> {
    fn encoded_len(&self) -> usize {
        let size = self.octets.len().saturating_add(self.constructor.len());
        size.saturating_add(if size < 255 && self.count <= 255 { 3 } else { 9 })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let size = self.octets.len().saturating_add(self.constructor.len());
        match (u8::try_from(size.saturating_add(1)), u8::try_from(self.count)) {
            (Ok(size), Ok(count)) => out.extend_from_slice(&[code::ARRAY8, size, count]),
            _ => {
                out.push(code::ARRAY32);
                out.extend_from_slice(&(size as u32).saturating_add(4).to_be_bytes());
                out.extend_from_slice(&self.count.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.constructor);
        out.extend_from_slice(&self.octets);
    }
}

impl PartialEq for Array<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.iter().next() {
            // Elements of no octets are all alike, and there may be many.
            Some(element) if self.octets.is_empty() => write!(f, "[{element:?}; {}]", self.count),
            _ => f.debug_list().entries(self.iter()).finish(),
        }
    }
}

impl IntoOwned for Array<'_> {
    type Owned = Array<'static>;

    fn into_owned(self) -> Array<'static> {
        Array {
            constructor: Cow::Owned(self.constructor.into_owned()),
            octets: Cow::Owned(self.octets.into_owned()),
            count: self.count,
            offset: self.offset,
            depth_left: self.depth_left,
        }
    }
}
