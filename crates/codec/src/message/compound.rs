//! The sections that are lists or maps.

use crate::composite::DecodeList;
use crate::constructor as code;
use crate::message::Section;
use crate::{DecodeError, DecodeErrorKind, ListReader, MAX_DEPTH, Map, Reader};

/// The list or map of a section, opened: its outside has been checked, its inside has not been looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Compound<'a> {
    /// How many fields, or keys and values, it has; `MALFORMED` if it cannot be opened.
    count: u32,
    /// What they stand in; if it cannot be opened, nothing, where its value begins.
    inside: &'a [u8],
}

/// More than there is room for, and odd as no map's may be: whoever decodes it fails, and only then asks why.
const MALFORMED: u32 = u32::MAX;

/// What may be nested in a section's list or map.
const DEPTH_INSIDE: u8 = MAX_DEPTH - 1;

impl<'a> Compound<'a> {
    /// Opens the list or map at the start of `value` if it has its usual form, which an empty list of one octet is not; returns it
    /// and what stands behind it.
    #[inline(always)]
    pub(super) fn usual(section: Section, value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (short, long) = if section.is_list() { (code::LIST8, code::LIST32) } else { (code::MAP8, code::MAP32) };
        let [constructor, value @ ..] = value else { return None };
        let (count, inside, rest) = if *constructor == short {
            let [size, value @ ..] = value else { return None };
            let (body, rest) = value.split_at_checked(usize::from(*size))?;
            let [count, inside @ ..] = body else { return None };
            (u32::from(*count), inside, rest)
        } else if *constructor == long {
            let (size, value) = value.split_first_chunk()?;
            let (body, rest) = value.split_at_checked(u32::from_be_bytes(*size) as usize)?;
            let (count, inside) = body.split_first_chunk()?;
            (u32::from_be_bytes(*count), inside, rest)
        } else {
            return None;
        };
        // Every element has at least its constructor, and every key its value.
        let possible = count as usize <= inside.len() && (section.is_list() || count.is_multiple_of(2));
        possible.then_some((Self { count, inside }, rest))
    }

    /// Opens what stands at the start of `value`, whatever it is: if that cannot be done, decoding it will tell.
    pub(super) fn any(section: Section, value: &'a [u8]) -> Self {
        let nothing = value.get(..0).unwrap_or_default();
        match (Self::usual(section, value), value) {
            (Some((compound, _)), _) => compound,
            (None, [code::LIST0, ..]) if section.is_list() => Self { count: 0, inside: nothing },
            (None, _) => Self { count: MALFORMED, inside: nothing },
        }
    }

    /// Decodes what is inside.
    #[inline(always)]
    pub(super) fn decode<T: Inside<'a>>(self, message: &'a [u8], section: Section) -> Result<T, DecodeError> {
        match T::decode_inside(self.count, self.inside, offset_in(message, self.inside)) {
            Ok(value) => Ok(value),
            // Not by the error at hand: to keep it until here would cost those that decode.
            Err(_) => Err(why::<T>(self.count, self.inside, message, section)),
        }
    }
}

/// Where a part of the message begins in it.
#[inline(always)]
fn offset_in(message: &[u8], part: &[u8]) -> usize {
    // By the addresses, so that nobody has to keep it until there is an error.
    part.as_ptr().addr().wrapping_sub(message.as_ptr().addr())
}

/// Why a section does not decode.
#[cold]
#[inline(never)]
fn why<'a, T: Inside<'a>>(count: u32, inside: &'a [u8], message: &'a [u8], section: Section) -> DecodeError {
    let offset = offset_in(message, inside);
    let mut reader = Reader::inner(message.get(offset..).unwrap_or_default(), offset, MAX_DEPTH);
    let result = if count != MALFORMED {
        T::decode_inside(count, inside, offset).map(drop)
    } else if section.is_list() {
        reader.octet().and_then(|constructor| ListReader::open(constructor, &mut reader)).map(drop)
    } else {
        reader.read::<Map<'_>>().map(drop)
    };
    result.err().unwrap_or(reader.error(DecodeErrorKind::LeftOver))
}

/// What the inside of a section is decoded as.
pub(super) trait Inside<'a>: Sized {
    /// Decodes so many fields, or keys and values.
    fn decode_inside(count: u32, inside: &'a [u8], offset: usize) -> Result<Self, DecodeError>;
}

impl<'a, T: DecodeList<'a>> Inside<'a> for T {
    #[inline(always)]
    fn decode_inside(count: u32, inside: &'a [u8], offset: usize) -> Result<Self, DecodeError> {
        T::decode_fields(ListReader::inner(count, Reader::inner(inside, offset, DEPTH_INSIDE)))
    }
}

impl<'a> Inside<'a> for Map<'a> {
    #[inline(always)]
    fn decode_inside(count: u32, inside: &'a [u8], offset: usize) -> Result<Self, DecodeError> {
        Map::inner(count, inside, offset, DEPTH_INSIDE)
    }
}
