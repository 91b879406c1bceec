//! Lists, maps and arrays, kept in their encoded form and walked element by element. §1.6.22 to §1.6.24

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::constructor::{self as code, Width};
use crate::text::MAX_OCTETS;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, IntoOwned, MAX_DEPTH, Reader, Symbol, Value};

/// The most elements that an array may claim when they occupy no octets at all.
const MAX_ZERO_WIDTH: u32 = 1 << 16;

/// The most octets that descriptors and constructor of an array's elements may have: each element is decoded behind a copy of them.
const MAX_ELEMENT_CONSTRUCTOR: usize = 256;

/// The octets that a compound has room for once something is put into it.
const FIRST_CAPACITY: usize = 128;

/// Counted values in their encoded form: the common part of lists and maps.
#[derive(Clone)]
struct Body<'a> {
    octets: Cow<'a, [u8]>,
    count: u32,
    offset: usize,
    depth_left: u8,
}

impl Default for Body<'_> {
    fn default() -> Self {
        Self { octets: Cow::Borrowed(&[]), count: 0, offset: 0, depth_left: MAX_DEPTH }
    }
}

impl<'a> Body<'a> {
    #[inline(always)]
    fn decode(reader: &mut Reader<'a>, wide: bool) -> Result<Self, DecodeError> {
        let (count, inner) = reader.compound(wide)?;
        // Every element has at least its constructor.
        if count as usize > inner.rest().len() {
            return Err(inner.error(DecodeErrorKind::CountTooLarge));
        }
        Ok(Self { octets: Cow::Borrowed(inner.rest()), count, offset: inner.offset(), depth_left: inner.depth_left() })
    }

    fn push(&mut self, element: &(impl Encode + ?Sized)) {
        let octets = self.octets.to_mut();
        if octets.capacity() == 0 {
            // Most compounds that are built have a few short entries: one allocation instead of several.
            octets.reserve(FIRST_CAPACITY);
        }
        element.encode(octets);
        assert!(octets.len() <= MAX_OCTETS, "a compound value may have at most 2^31 octets");
        self.count = self.count.saturating_add(1);
    }

    fn encode(&self, small: u8, wide: u8, out: &mut Vec<u8>) {
        let size = self.octets.len().saturating_add(1);
        match (u8::try_from(size), u8::try_from(self.count)) {
            (Ok(size), Ok(count)) => out.extend_from_slice(&[small, size, count]),
            _ => {
                out.push(wide);
                out.extend_from_slice(&(self.octets.len() as u32).saturating_add(4).to_be_bytes());
                out.extend_from_slice(&self.count.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.octets);
    }

    fn reader(&self) -> Reader<'_> {
        Reader::inner(&self.octets, self.offset, self.depth_left)
    }

    fn into_owned(self) -> Body<'static> {
        Body {
            octets: Cow::Owned(self.octets.into_owned()),
            count: self.count,
            offset: self.offset,
            depth_left: self.depth_left,
        }
    }
}

/// A list of values. §1.6.22
#[derive(Clone, Default)]
pub struct List<'a>(Body<'a>);

/// A map of values, in the order of the wire; keys may repeat in what a peer sent. §1.6.23
#[derive(Clone, Default)]
pub struct Map<'a>(Body<'a>);

/// A map with symbols as keys. §2.8.13
pub type Fields<'a> = Map<'a>;

/// Values of one type. §1.6.24
///
/// Elements that occupy no octets, such as null, may be 65,536 at most. If the elements are described, their descriptor holds no
/// further values and, with the constructor, has at most 256 octets. Arrays beyond that are refused when they are decoded.
#[derive(Clone)]
pub struct Array<'a> {
    /// Descriptor and constructor of all elements, then the elements, as on the wire.
    octets: Cow<'a, [u8]>,
    /// Where the elements begin.
    constructor_len: u16,
    count: u32,
    /// Where the elements stand in the whole input.
    offset: usize,
    depth_left: u8,
}

/// The elements of a [`List`]; ends after the first error.
#[derive(Clone, Debug)]
pub struct ListIter<'l> {
    reader: Reader<'l>,
    left: u32,
}

/// The entries of a [`Map`]; ends after the first error.
#[derive(Clone, Debug)]
pub struct MapIter<'m>(ListIter<'m>);

/// The elements of an [`Array`]; ends after the first error.
#[derive(Clone, Debug)]
pub struct ArrayIter<'r> {
    reader: Reader<'r>,
    /// Where the elements' common constructor is read again for each of them.
    constructor: &'r [u8],
    left: u32,
}

impl List<'_> {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a value.
    ///
    /// # Panics
    /// If the list grows beyond 2^31 octets.
    pub fn push(&mut self, value: &(impl Encode + ?Sized)) {
        self.0.push(value);
    }

    /// The number of elements that the list claims to have.
    pub fn len(&self) -> usize {
        self.0.count as usize
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    /// The elements, decoded one by one.
    pub fn iter(&self) -> ListIter<'_> {
        ListIter { reader: self.0.reader(), left: self.0.count }
    }

    pub(crate) fn validate(&self) -> Result<(), DecodeError> {
        self.iter().try_for_each(|element| element?.validate())
    }
}

impl Map<'_> {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry; an entry with the same key stays.
    ///
    /// # Panics
    /// If the map grows beyond 2^31 octets.
    pub fn push(&mut self, key: &(impl Encode + ?Sized), value: &(impl Encode + ?Sized)) {
        self.0.push(key);
        self.0.push(value);
    }

    /// The number of entries that the map claims to have.
    pub fn len(&self) -> usize {
        (self.0.count / 2) as usize
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    /// The entries in wire order, decoded one by one.
    #[inline]
    pub fn iter(&self) -> MapIter<'_> {
        MapIter(ListIter { reader: self.0.reader(), left: self.0.count })
    }

    /// The value of the first entry whose key is this string or symbol.
    ///
    /// # Errors
    /// When the entries before it, or its value, are malformed.
    pub fn get(&self, key: &str) -> Result<Option<Value<'_>>, DecodeError> {
        for entry in self.iter() {
            let (found, value) = entry?;
            let matches = match &found {
                Value::String(text) => text.as_str() == key,
                Value::Symbol(text) => text.as_str() == key,
                _ => false,
            };
            if matches {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    pub(crate) fn validate(&self) -> Result<(), DecodeError> {
        self.iter().try_for_each(|entry| {
            let (key, value) = entry?;
            key.validate()?;
            value.validate()
        })
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Result<Value<'a>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let Some(left) = self.left.checked_sub(1) else {
            let end = self.reader.finish();
            self.reader = Reader::sized(&[]);
            return end.err().map(Err);
        };
        self.left = left;
        let value = Value::decode(&mut self.reader);
        if value.is_err() {
            *self = Self { reader: Reader::sized(&[]), left: 0 };
        }
        Some(value)
    }
}

impl<'a> Iterator for MapIter<'a> {
    type Item = Result<(Value<'a>, Value<'a>), DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let key = match self.0.next()? {
            Ok(key) => key,
            Err(error) => return Some(Err(error)),
        };
        match self.0.next() {
            Some(Ok(value)) => Some(Ok((key, value))),
            Some(Err(error)) => Some(Err(error)),
            None => Some(Err(self.0.reader.error(DecodeErrorKind::OddMapCount))),
        }
    }
}

impl Array<'_> {
    /// An array of symbols.
    ///
    /// # Panics
    /// If the elements have more than 2^31 octets together.
    pub fn of_symbols<'s>(items: impl IntoIterator<Item = &'s Symbol<'s>>) -> Array<'static> {
        let items: Vec<_> = items.into_iter().collect();
        let small = items.iter().all(|item| u8::try_from(item.len()).is_ok());
        let mut octets = vec![if small { code::SYM8 } else { code::SYM32 }];
        for item in &items {
            match u8::try_from(item.len()) {
                Ok(len) if small => octets.push(len),
                _ => octets.extend_from_slice(&(item.len() as u32).to_be_bytes()),
            }
            octets.extend_from_slice(item.as_bytes());
            assert!(octets.len() <= MAX_OCTETS, "an array may have at most 2^31 octets");
        }
        Array {
            octets: Cow::Owned(octets),
            constructor_len: 1,
            count: items.len() as u32,
            offset: 0,
            depth_left: MAX_DEPTH,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Descriptor and constructor of all elements, and the elements.
    fn parts(&self) -> (&[u8], &[u8]) {
        self.octets.split_at_checked(self.constructor_len.into()).unwrap_or((&self.octets, &[]))
    }

    /// The elements, decoded one by one.
    pub fn iter(&self) -> ArrayIter<'_> {
        let (constructor, elements) = self.parts();
        ArrayIter { reader: Reader::inner(elements, self.offset, self.depth_left), constructor, left: self.count }
    }

    pub(crate) fn validate(&self) -> Result<(), DecodeError> {
        // Elements of no octets are all alike.
        let different = if self.parts().1.is_empty() { 1 } else { usize::MAX };
        self.iter().take(different).try_for_each(|element| element?.validate())
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

impl<'a> Decode<'a> for List<'a> {
    #[inline]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match constructor {
            code::LIST0 => Ok(Self::default()),
            code::LIST8 => Body::decode(reader, false).map(Self),
            code::LIST32 => Body::decode(reader, true).map(Self),
            _ => Err(reader.unexpected("list", constructor)),
        }
    }
}

impl<'a> Decode<'a> for Map<'a> {
    #[inline(always)]
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let body = match constructor {
            code::MAP8 => Body::decode(reader, false)?,
            code::MAP32 => Body::decode(reader, true)?,
            _ => return Err(reader.unexpected("map", constructor)),
        };
        if body.count % 2 == 1 {
            return Err(DecodeError::new(DecodeErrorKind::OddMapCount, at));
        }
        Ok(Self(body))
    }
}

impl<'a> Decode<'a> for Array<'a> {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let wide = match constructor {
            code::ARRAY8 => false,
            code::ARRAY32 => true,
            _ => return Err(reader.unexpected("array", constructor)),
        };
        let (count, mut inner) = reader.compound(wide)?;
        let (start, depth_left) = (inner.rest(), inner.depth_left());
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
        let least = match code::width(element) {
            Some(Width::Fixed(width)) => width,
            Some(Width::Sized8) => 1,
            Some(Width::Sized32) => 4,
            None => return Err(inner.unexpected("a constructor", element)),
        };
        let room = inner.rest().len();
        let taken = start.len().saturating_sub(room);
        if taken > MAX_ELEMENT_CONSTRUCTOR {
            return Err(inner.error(DecodeErrorKind::InvalidValue("the length of an array's constructor")));
        }
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
            octets: Cow::Borrowed(start),
            // At most MAX_ELEMENT_CONSTRUCTOR.
            constructor_len: taken as u16,
            count,
            offset: inner.offset(),
            depth_left,
        })
    }
}

impl Encode for List<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        if self.0.count == 0 {
            out.push(code::LIST0);
        } else {
            self.0.encode(code::LIST8, code::LIST32, out);
        }
    }
}

impl Encode for Map<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(code::MAP8, code::MAP32, out);
    }
}

impl Encode for Array<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let size = self.octets.len();
        match (u8::try_from(size.saturating_add(1)), u8::try_from(self.count)) {
            (Ok(size), Ok(count)) => out.extend_from_slice(&[code::ARRAY8, size, count]),
            _ => {
                out.push(code::ARRAY32);
                out.extend_from_slice(&(size as u32).saturating_add(4).to_be_bytes());
                out.extend_from_slice(&self.count.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.octets);
    }
}

macro_rules! collection {
    ($($type:ident),*) => { $(
        impl PartialEq for $type<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.len() == other.len() && self.iter().eq(other.iter())
            }
        }
    )* };
}

collection!(List, Map, Array);

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Map<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.iter().next() {
            // Elements of no octets are all alike, and there may be many.
            Some(element) if self.parts().1.is_empty() => write!(f, "[{element:?}; {}]", self.count),
            _ => f.debug_list().entries(self.iter()).finish(),
        }
    }
}

impl IntoOwned for List<'_> {
    type Owned = List<'static>;

    fn into_owned(self) -> List<'static> {
        List(self.0.into_owned())
    }
}

impl IntoOwned for Map<'_> {
    type Owned = Map<'static>;

    fn into_owned(self) -> Map<'static> {
        Map(self.0.into_owned())
    }
}

impl IntoOwned for Array<'_> {
    type Owned = Array<'static>;

    fn into_owned(self) -> Array<'static> {
        Array {
            octets: Cow::Owned(self.octets.into_owned()),
            constructor_len: self.constructor_len,
            count: self.count,
            offset: self.offset,
            depth_left: self.depth_left,
        }
    }
}

impl<V: Encode> FromIterator<V> for List<'static> {
    fn from_iter<I: IntoIterator<Item = V>>(items: I) -> Self {
        let mut list = List::new();
        for item in items {
            list.push(&item);
        }
        list
    }
}

impl<K: Encode, V: Encode> FromIterator<(K, V)> for Map<'static> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Map::new();
        for (key, value) in entries {
            map.push(&key, &value);
        }
        map
    }
}

/// A field that holds none, one or several values of one type. §1.4
///
/// On the wire null, a single value, or an array.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl<'a> Encode for Multiple<Symbol<'a>> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self.0.as_slice() {
            [] => out.push(code::NULL),
            [single] => single.encode(out),
            several => Array::of_symbols(several).encode(out),
        }
    }
}

impl<T: IntoOwned> IntoOwned for Multiple<T> {
    type Owned = Multiple<T::Owned>;

    fn into_owned(self) -> Self::Owned {
        self.0.into_iter().map(T::into_owned).collect()
    }
}
