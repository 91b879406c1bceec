//! Arrays made of values: one constructor for all elements, the narrowest that holds each of them.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Array, MAX_ELEMENT_CONSTRUCTOR, MAX_ZERO_WIDTH};
use crate::constructor as code;
use crate::text::MAX_OCTETS;
use crate::{
    Binary, Decimal32, Decimal64, Decimal128, Descriptor, Encode, List, MAX_DEPTH, Map, Reader, Str, Symbol, Timestamp,
    Uuid, Value,
};

/// A type whose values can be the elements of an array: every primitive type. §1.6.24
///
/// Described elements are built by [`Array::described`].
pub trait ArrayElement: Encode {
    /// The constructor of the elements of an array that has none.
    const CONSTRUCTOR: u8;
}

/// Why values cannot be the elements of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidArray {
    /// They are of several types, or described in several ways.
    Mixed,
    /// There are no values, so nothing tells their type.
    NoType,
    /// They are more nulls than an array may have.
    TooManyNulls,
    /// Their descriptor holds further values, or is too long.
    Descriptor,
}

impl fmt::Display for InvalidArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mixed => "the elements of an array must be of one type (§1.6.24)",
            Self::NoType => "an array without elements has no type to be told by them",
            Self::TooManyNulls => "an array may have at most 65,536 nulls",
            Self::Descriptor => "the descriptor of an array's elements must be a simple and short one",
        })
    }
}

impl core::error::Error for InvalidArray {}

impl Array<'_> {
    /// An array of these values, which are of one type.
    ///
    /// # Panics
    /// If the elements have more than 2^31 octets together, or are more than 65,536 nulls.
    pub fn of<T: ArrayElement>(items: impl IntoIterator<Item = T>) -> Array<'static> {
        let mut elements = Elements::default();
        for item in items {
            elements.add(&[], &item);
        }
        elements.build(&[T::CONSTRUCTOR])
    }

    /// An array of these values, all of them described by `descriptor`, which is written once.
    ///
    /// # Errors
    /// When the descriptor is neither a number nor a symbol, or has more than about 250 octets.
    ///
    /// # Panics
    /// If the elements have more than 2^31 octets together, or are more than 65,536 nulls.
    pub fn described<T: ArrayElement>(
        descriptor: &Descriptor<'_>,
        items: impl IntoIterator<Item = T>,
    ) -> Result<Array<'static>, InvalidArray> {
        let mut head = alloc::vec![code::DESCRIBED];
        match descriptor {
            Descriptor::Code(code) => code.encode(&mut head),
            Descriptor::Name(name) => name.encode(&mut head),
            Descriptor::Other(_) => return Err(InvalidArray::Descriptor),
        }
        let mut elements = Elements::default();
        for item in items {
            elements.add(&head, &item);
        }
        head.push(T::CONSTRUCTOR);
        if head.len() > MAX_ELEMENT_CONSTRUCTOR {
            return Err(InvalidArray::Descriptor);
        }
        Ok(elements.build(&head))
    }

    /// An array of these values, if they are of one type and, where they are described, described alike.
    ///
    /// # Errors
    /// When they are not, when there are none, or when their descriptor holds further values or is too long.
    ///
    /// # Panics
    /// If the elements have more than 2^31 octets together.
    pub fn of_values<'v, 'a: 'v>(
        values: impl IntoIterator<Item = &'v Value<'a>>,
    ) -> Result<Array<'static>, InvalidArray> {
        let mut elements = Elements::default();
        for value in values {
            elements.add(&[], value);
        }
        elements.check()?;
        Ok(elements.build(&[]))
    }
}

/// Appends an array of these values: straight away if its narrowest constructor holds them all and its size takes one octet.
///
/// # Panics
/// As [`Array::of`].
#[inline]
pub(crate) fn encode_array<T: ArrayElement>(items: &[T], out: &mut Vec<u8>) {
    let start = out.len();
    if encode_narrow(items, out).is_none() {
        out.truncate(start);
        Array::of(items).encode(out);
    }
}

fn encode_narrow<T: ArrayElement>(items: &[T], out: &mut Vec<u8>) -> Option<()> {
    // Those below have no octets, or are described.
    if T::CONSTRUCTOR < code::UBYTE {
        return None;
    }
    let count = u8::try_from(items.len()).ok()?;
    out.extend_from_slice(&[code::ARRAY8, 0]);
    let start = out.len();
    out.extend_from_slice(&[count, T::CONSTRUCTOR]);
    for item in items {
        // The constructor of each element comes to stand where the last octet before it does, which is put back.
        let before = out.pop()?;
        let place = out.len();
        item.encode(out);
        let constructor = out.get_mut(place)?;
        if core::mem::replace(constructor, before) != T::CONSTRUCTOR {
            return None;
        }
    }
    let size = u8::try_from(out.len().checked_sub(start)?).ok()?;
    *out.get_mut(start.checked_sub(1)?)? = size;
    Some(())
}

/// Values on their way into an array.
#[derive(Default)]
struct Elements {
    /// Each with a constructor of its own, one behind the other.
    encoded: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// Descriptors and the constructor that holds all so far.
    constructor: Vec<u8>,
    wrong: Option<InvalidArray>,
}

impl Elements {
    fn add(&mut self, head: &[u8], item: &(impl Encode + ?Sized)) {
        let start = self.encoded.len();
        self.encoded.extend_from_slice(head);
        item.encode(&mut self.encoded);
        assert!(self.encoded.len() <= MAX_OCTETS, "an array may have at most 2^31 octets");
        self.ends.push(self.encoded.len());
        let added = self.encoded.get(start..).unwrap_or_default();
        let Some((descriptors, found, _)) = split(added) else {
            self.wrong = Some(InvalidArray::Descriptor);
            return;
        };
        let wider = match self.constructor.split_last() {
            None => {
                self.constructor.extend_from_slice(descriptors);
                self.constructor.push(found);
                wider(found, found)
            }
            Some((so_far, same)) if same == descriptors => wider(*so_far, found),
            Some(_) => None,
        };
        match (wider, self.constructor.last_mut()) {
            (Some(wider), Some(place)) => *place = wider,
            _ => self.wrong = self.wrong.or(Some(InvalidArray::Mixed)),
        }
    }

    /// Whether the values can be the elements of one array.
    fn check(&self) -> Result<(), InvalidArray> {
        match (self.wrong, self.constructor.last()) {
            (Some(wrong), _) => Err(wrong),
            (None, None) => Err(InvalidArray::NoType),
            (None, Some(&code::NULL)) if self.ends.len() > MAX_ZERO_WIDTH as usize => Err(InvalidArray::TooManyNulls),
            _ if self.constructor.len() > MAX_ELEMENT_CONSTRUCTOR => Err(InvalidArray::Descriptor),
            _ => Ok(()),
        }
    }

    /// The array; without elements one of `constructor`.
    fn build(mut self, constructor: &[u8]) -> Array<'static> {
        if self.ends.is_empty() {
            self.constructor.extend_from_slice(constructor);
        }
        let target = self.constructor.last().copied().unwrap_or(code::NULL);
        let nulls = if target == code::NULL { self.ends.len() } else { 0 };
        assert!(nulls <= MAX_ZERO_WIDTH as usize, "an array may have at most 65,536 nulls");
        let mut octets = Vec::with_capacity(self.encoded.len());
        let mut start = 0;
        for end in &self.ends {
            let element = self.encoded.get(start..*end).unwrap_or_default();
            start = *end;
            if let Some((_, found, data)) = split(element) {
                widen(found, target, data, &mut octets);
            }
        }
        assert!(octets.len() <= MAX_OCTETS, "an array may have at most 2^31 octets");
        Array {
            constructor: Cow::Owned(self.constructor),
            octets: Cow::Owned(octets),
            count: self.ends.len() as u32,
            offset: 0,
            depth_left: MAX_DEPTH,
        }
    }
}

/// An encoded value as its descriptors, its constructor and its data; none if a descriptor is not for arrays.
fn split(encoded: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let mut reader = Reader::sized(encoded);
    let mut found = reader.octet().ok()?;
    while found == code::DESCRIBED {
        let descriptor = reader.peek().ok()?;
        if descriptor == code::DESCRIBED || descriptor >= code::LIST8 {
            return None;
        }
        reader.skip().ok()?;
        found = reader.octet().ok()?;
    }
    let data = reader.rest();
    let descriptors = encoded.len().checked_sub(data.len())?.checked_sub(1)?;
    Some((encoded.get(..descriptors)?, found, data))
}

/// The constructors of the types that have several, from narrow to wide, and the first one that elements take.
///
/// The ones before it have no octets: an array of them could claim any number of elements.
const WIDTHS: [(usize, &[u8]); 11] = [
    (2, &[code::TRUE, code::FALSE, code::BOOLEAN]),
    (1, &[code::UINT0, code::SMALLUINT, code::UINT]),
    (1, &[code::ULONG0, code::SMALLULONG, code::ULONG]),
    (0, &[code::SMALLINT, code::INT]),
    (0, &[code::SMALLLONG, code::LONG]),
    (0, &[code::VBIN8, code::VBIN32]),
    (0, &[code::STR8, code::STR32]),
    (0, &[code::SYM8, code::SYM32]),
    (1, &[code::LIST0, code::LIST8, code::LIST32]),
    (0, &[code::MAP8, code::MAP32]),
    (0, &[code::ARRAY8, code::ARRAY32]),
];

/// The narrowest constructor for elements that holds what these two hold; none if they are of different types.
fn wider(one: u8, other: u8) -> Option<u8> {
    let Some((least, widths)) = WIDTHS.iter().find(|(_, widths)| widths.contains(&one)) else {
        return (one == other).then_some(one);
    };
    let place = |code| widths.iter().position(|width| *width == code);
    widths.get(place(one)?.max(place(other)?).max(*least)).copied()
}

/// Appends the data of an element, found behind the constructor `found`, in the form that `target` asks for.
fn widen(found: u8, target: u8, data: &[u8], out: &mut Vec<u8>) {
    match (found, target) {
        (code::TRUE, code::BOOLEAN) => out.push(1),
        (code::FALSE, code::BOOLEAN) => out.push(0),
        (code::UINT0, code::SMALLUINT) | (code::ULONG0, code::SMALLULONG) => out.push(0),
        (code::UINT0 | code::SMALLUINT, code::UINT) => extend(data, 4, 0, out),
        (code::ULONG0 | code::SMALLULONG, code::ULONG) => extend(data, 8, 0, out),
        (code::SMALLINT, code::INT) => extend(data, 4, sign(data), out),
        (code::SMALLLONG, code::LONG) => extend(data, 8, sign(data), out),
        (code::VBIN8, code::VBIN32) | (code::STR8, code::STR32) | (code::SYM8, code::SYM32) => {
            out.extend_from_slice(&[0, 0, 0]);
            out.extend_from_slice(data);
        }
        (code::LIST0, code::LIST8) => out.extend_from_slice(&[1, 0]),
        (code::LIST0, code::LIST32) => out.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0]),
        (code::LIST8, code::LIST32) | (code::MAP8, code::MAP32) | (code::ARRAY8, code::ARRAY32) => {
            if let [size, count, body @ ..] = data {
                out.extend_from_slice(&u32::from(*size).saturating_add(3).to_be_bytes());
                out.extend_from_slice(&u32::from(*count).to_be_bytes());
                out.extend_from_slice(body);
            }
        }
        _ => out.extend_from_slice(data),
    }
}

/// Appends `data` filled up from the left to `width` octets.
fn extend(data: &[u8], width: usize, filling: u8, out: &mut Vec<u8>) {
    out.extend(core::iter::repeat_n(filling, width.saturating_sub(data.len())));
    out.extend_from_slice(data);
}

/// What extends a signed number to the left.
fn sign(data: &[u8]) -> u8 {
    if data.first().is_some_and(|octet| octet & 0x80 != 0) { 0xff } else { 0 }
}

macro_rules! element {
    ($($type:ty => $code:ident;)*) => { $(
        impl ArrayElement for $type {
            const CONSTRUCTOR: u8 = code::$code;
        }
    )* };
}

element! {
    () => NULL;
    bool => BOOLEAN;
    u8 => UBYTE;
    u16 => USHORT;
    u32 => SMALLUINT;
    u64 => SMALLULONG;
    i8 => BYTE;
    i16 => SHORT;
    i32 => SMALLINT;
    i64 => SMALLLONG;
    f32 => FLOAT;
    f64 => DOUBLE;
    Decimal32 => DECIMAL32;
    Decimal64 => DECIMAL64;
    Decimal128 => DECIMAL128;
    char => CHAR;
    Timestamp => TIMESTAMP;
    Uuid => UUID;
    [u8] => VBIN8;
    Binary<'_> => VBIN8;
    Vec<u8> => VBIN8;
    str => STR8;
    String => STR8;
    Str<'_> => STR8;
    Symbol<'_> => SYM8;
    List<'_> => LIST8;
    Map<'_> => MAP8;
    Array<'_> => ARRAY8;
}

impl<T: ArrayElement + ?Sized> ArrayElement for &T {
    const CONSTRUCTOR: u8 = T::CONSTRUCTOR;
}
