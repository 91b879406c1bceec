//! Lists and maps, kept in their encoded form and walked element by element. §1.6.22, §1.6.23

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::constructor as code;
use crate::keys::{MapRule, refuse_duplicates};
use crate::limits::Budget;
use crate::text::{MAX_OCTETS, any_string};
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, IntoOwned, Limits, MAX_DEPTH, Reader, Value, ValueRef};

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

    /// Appends so many elements, which `write` encodes.
    #[inline]
    fn append(&mut self, count: u32, write: impl FnOnce(&mut Vec<u8>)) {
        if let Cow::Borrowed(octets) = self.octets {
            self.octets = Cow::Owned(Self::own(octets));
        }
        let octets = self.octets.to_mut();
        write(octets);
        assert!(octets.len() <= MAX_OCTETS, "a compound value may have at most 2^31 octets");
        self.count = self.count.saturating_add(count);
    }

    /// Copies what is borrowed.
    #[inline(never)]
    fn own(octets: &[u8]) -> Vec<u8> {
        // Most compounds that are built have a few short entries: one allocation instead of several.
        let mut owned = Vec::with_capacity(octets.len().saturating_add(FIRST_CAPACITY));
        owned.extend_from_slice(octets);
        owned
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

    fn encoded_len(&self) -> usize {
        let small = self.octets.len() < 255 && self.count <= 255;
        self.octets.len().saturating_add(if small { 3 } else { 9 })
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

/// A map of values, in the order of the wire. §1.6.23
///
/// The specification forbids identical keys, but a peer may send them: entries come as they stand on the wire, and
/// [`get`](Self::get) answers the first. [`validate`](Self::validate) refuses identical keys, and so does
/// [`MessageView::to_message`](crate::MessageView::to_message); [`into_owned`](IntoOwned::into_owned) copies the octets as they are.
#[derive(Clone, Default)]
pub struct Map<'a>(Body<'a>);

/// A map with symbols as keys. §2.8.13
pub type Fields<'a> = Map<'a>;

/// The elements of a [`List`]; ends after the first error.
#[derive(Clone, Debug)]
pub struct ListIter<'l> {
    reader: Reader<'l>,
    left: u32,
}

/// The entries of a [`Map`]; ends after the first error.
#[derive(Clone, Debug)]
pub struct MapIter<'m>(ListIter<'m>);

/// The entries of a [`Map`] as values that are looked at and not kept; ends after the first error.
#[derive(Clone, Debug)]
pub struct Entries<'m> {
    rest: &'m [u8],
    /// The entries that are still to come.
    left: u32,
    depth_left: u8,
    /// The offset of the end of `rest` from the start of the whole input.
    end: usize,
}

/// The entries of a [`Map`] whose keys are strings, as values that are looked at and not kept; ends after the first error.
#[derive(Clone, Debug)]
pub struct NamedEntries<'m>(Entries<'m>);

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
        self.0.append(1, |octets| value.encode(octets));
    }

    /// The same list with this value at its end.
    ///
    /// # Panics
    /// If the list grows beyond 2^31 octets.
    #[must_use]
    pub fn with(mut self, value: impl Encode) -> Self {
        self.push(&value);
        self
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

    /// Decodes everything inside and throws it away.
    ///
    /// # Errors
    /// When anything in it is malformed, or beyond the [default limits](crate::Limits).
    pub fn validate(&self) -> Result<(), DecodeError> {
        self.check(&mut Budget::new(&Limits::default()))
    }

    pub(crate) fn check(&self, budget: &mut Budget) -> Result<(), DecodeError> {
        budget.inside(self.0.count, self.0.offset, |budget| self.iter().try_for_each(|element| element?.check(budget)))
    }
}

impl<'a> Map<'a> {
    /// A map of `count` keys and values, which are no more than there are octets.
    ///
    /// # Errors
    /// When the count is odd.
    #[inline(always)]
    pub(crate) fn inner(count: u32, octets: &'a [u8], offset: usize, depth_left: u8) -> Result<Self, DecodeError> {
        if count % 2 == 1 {
            return Err(DecodeError::new(DecodeErrorKind::OddMapCount, offset));
        }
        Ok(Self(Body { octets: Cow::Borrowed(octets), count, offset, depth_left }))
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
    #[inline]
    pub fn push(&mut self, key: &(impl Encode + ?Sized), value: &(impl Encode + ?Sized)) {
        self.0.append(2, |octets| {
            key.encode(octets);
            value.encode(octets);
        });
    }

    /// The same map with this entry at its end; an entry with the same key stays.
    ///
    /// # Panics
    /// If the map grows beyond 2^31 octets.
    #[must_use]
    #[inline]
    pub fn with(mut self, key: impl Encode, value: impl Encode) -> Self {
        self.push(&key, &value);
        self
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

    /// The same as values that are looked at and not kept: at about half the cost.
    #[inline]
    pub fn entries(&self) -> Entries<'_> {
        let end = self.0.offset.wrapping_add(self.0.octets.len());
        Entries { rest: &self.0.octets, left: self.0.count / 2, depth_left: self.0.depth_left, end }
    }

    /// The same for a map whose keys are strings, as those of application-properties are (§3.2.5): another key is an error.
    #[inline]
    pub fn named_entries(&self) -> NamedEntries<'_> {
        NamedEntries(self.entries())
    }

    /// The value of the first entry with this key, whatever its type.
    ///
    /// # Errors
    /// When the entries before it, or its value, are malformed.
    pub fn get_value(&self, key: &Value<'_>) -> Result<Option<Value<'_>>, DecodeError> {
        for entry in self.iter() {
            let (found, value) = entry?;
            if found == *key {
                return Ok(Some(value));
            }
        }
        Ok(None)
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

    /// Decodes everything inside and throws it away.
    ///
    /// # Errors
    /// When anything in it is malformed or beyond the [default limits](crate::Limits), or two keys are identical, §1.6.23.
    pub fn validate(&self) -> Result<(), DecodeError> {
        self.check(MapRule::Any, &mut Budget::new(&Limits::default()))
    }

    pub(crate) fn check(&self, rule: MapRule, budget: &mut Budget) -> Result<(), DecodeError> {
        budget.inside(self.0.count, self.0.offset, |budget| {
            let mut reader = self.0.reader();
            for _ in 0..self.0.count / 2 {
                let (at, found) = (reader.offset(), reader.peek()?);
                let key = Value::decode(&mut reader)?;
                rule.check_key(&key, found, at)?;
                key.check(budget)?;
                let (at, found) = (reader.offset(), reader.peek()?);
                let value = Value::decode(&mut reader)?;
                rule.check_value(&value, found, at)?;
                value.check(budget)?;
            }
            reader.finish()
        })?;
        self.refuse_duplicates()
    }

    /// Fails if two keys are identical, or keys and values cannot be told apart.
    pub(crate) fn refuse_duplicates(&self) -> Result<(), DecodeError> {
        refuse_duplicates(self.0.reader(), self.0.count)
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

/// Why no entry could be taken from `rest`: what is wrong with its key or its value.
#[cold]
#[inline(never)]
fn malformed_entry<'a, K: Decode<'a>>(rest: &'a [u8], end: usize, depth_left: u8) -> DecodeError {
    let mut reader = Reader::inner(rest, end.wrapping_sub(rest.len()), depth_left);
    let entry = K::decode(&mut reader).and_then(|_| ValueRef::decode(&mut reader));
    entry.err().unwrap_or(reader.error(DecodeErrorKind::LeftOver))
}

/// What is behind the last entry but ought not to be.
#[cold]
#[inline(never)]
fn left_over(rest: &[u8], end: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::LeftOver, end.wrapping_sub(rest.len()))
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(ValueRef<'a>, ValueRef<'a>), DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let Self { rest, end, depth_left, .. } = *self;
        let Some(left) = self.left.checked_sub(1) else {
            self.rest = &[];
            return if rest.is_empty() { None } else { Some(Err(left_over(rest, end))) };
        };
        if let Some((key, rest)) = ValueRef::take_key(rest, end, depth_left)
            && let Some((value, rest)) = ValueRef::take(rest, end, depth_left)
        {
            (self.rest, self.left) = (rest, left);
            return Some(Ok((key, value)));
        }
        (self.rest, self.left) = (&[], 0);
        Some(Err(malformed_entry::<ValueRef<'_>>(rest, end, depth_left)))
    }
}

impl<'a> Iterator for NamedEntries<'a> {
    type Item = Result<(&'a str, ValueRef<'a>), DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let Entries { rest, end, depth_left, left } = self.0;
        let Some(left) = left.checked_sub(1) else {
            self.0.rest = &[];
            return if rest.is_empty() { None } else { Some(Err(left_over(rest, end))) };
        };
        if let Some((key, rest)) = any_string(rest)
            && let Some((value, rest)) = ValueRef::take(rest, end, depth_left)
        {
            (self.0.rest, self.0.left) = (rest, left);
            return Some(Ok((key, value)));
        }
        (self.0.rest, self.0.left) = (&[], 0);
        Some(Err(malformed_entry::<&str>(rest, end, depth_left)))
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

impl Encode for List<'_> {
    fn encoded_len(&self) -> usize {
        if self.0.count == 0 { 1 } else { self.0.encoded_len() }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if self.0.count == 0 {
            out.push(code::LIST0);
        } else {
            self.0.encode(code::LIST8, code::LIST32, out);
        }
    }
}

impl Encode for Map<'_> {
    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(code::MAP8, code::MAP32, out);
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

collection!(List, Map);

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
