//! Compounds whose size ends before their elements do, read as some peers read them.

use alloc::vec::Vec;

use crate::array::take_constructor;
use crate::constructor as code;
use crate::{Decode, DecodeError, DecodeErrorKind, IntoOwned, Limits, Reader, Value};

/// What the constructor of a compound with four octets of size and count has above that with one, §1.6.
const WIDE: u8 = code::LIST32 ^ code::LIST8;

impl<'a> Reader<'a> {
    /// Decodes the next value and [validates](Value::validate_within) it. Where the elements of a list, map or array do not fit
    /// its size, they are read by their count out of the octets around it, and reading goes on behind the last of them.
    ///
    /// By §1.6.22 to §1.6.24 a size covers the elements, and everything else in this crate refuses a value where it does not. Qpid
    /// Proton and rhea write no such value but follow the count when they read one: this is for tools that show what others wrote
    /// or would read. It is not for what a peer sends, since whoever skips a value goes by its size: two who read the same octets,
    /// or one who reads them twice, may then see different values.
    ///
    /// Only a size that is too small is forgiven, on every level. It still has to cover the count and, in an array, the constructor of the
    /// elements, and elements of an array that are compounds themselves are taken by their sizes. A value that needs none of this is
    /// the one that [`read`](Self::read) returns; another is put together anew, with sizes that are right. The work is in proportion to
    /// the octets that are left, whatever a count claims.
    ///
    /// ```
    /// use amqp10_codec::{Limits, Reader, Value};
    ///
    /// let octets = [0xc0, 0x01, 0x01, 0x40]; // A list of one octet, which is its count, and then a null.
    /// assert!(Reader::sized(&octets).read::<Value<'_>>().is_err());
    /// let Value::List(list) = Reader::sized(&octets).read_by_count(&Limits::default())? else { unreachable!() };
    /// assert_eq!(list.iter().next(), Some(Ok(Value::Null)));
    /// # Ok::<(), amqp10_codec::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// When the value is malformed otherwise or beyond the limits, or two keys of a map are identical.
    pub fn read_by_count(&mut self, limits: &Limits) -> Result<Value<'a>, DecodeError> {
        let mut ahead = self.clone();
        let strict = ahead.read::<Value<'a>>().and_then(|value| value.validate_within(limits).map(|()| value));
        match strict {
            Err(error) if matches!(error.kind(), DecodeErrorKind::CountTooLarge | DecodeErrorKind::Overrun) => {}
            Err(error) => return Err(error),
            Ok(value) => {
                *self = ahead;
                return Ok(value);
            }
        }
        let (offset, depth_left) = (self.offset(), self.depth_left());
        let mut octets = Vec::new();
        copy(self, &mut octets)?;
        let value = Value::decode(&mut Reader::inner(&octets, offset, depth_left))?;
        value.validate_within(limits)?;
        Ok(value.into_owned())
    }
}

/// Appends the next value to `out`, with sizes that cover the elements.
fn copy(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = reader.rest();
    let constructor = reader.octet()?;
    match constructor {
        code::DESCRIBED => {
            out.push(constructor);
            reader.descend()?;
            copy(reader, out)?;
            copy(reader, out)?;
            reader.ascend();
        }
        code::LIST8 | code::MAP8 | code::LIST32 | code::MAP32 => copy_compound(reader, constructor, out)?,
        code::ARRAY8 | code::ARRAY32 => copy_array(reader, constructor, out)?,
        _ => {
            reader.skip_data(constructor)?;
            out.extend_from_slice(between(start, reader.rest()));
        }
    }
    Ok(())
}

fn copy_compound(reader: &mut Reader<'_>, constructor: u8, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let (count, inner) = open(reader, constructor)?;
    let end = reader.rest().len().saturating_sub(inner.rest().len());
    let mut elements = Vec::new();
    reader.descend()?;
    for _ in 0..count {
        copy(reader, &mut elements)?;
    }
    reader.ascend();
    close(reader, end)?;
    write(constructor, count, &elements, out);
    Ok(())
}

fn copy_array(reader: &mut Reader<'_>, constructor: u8, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let (count, mut inner) = open(reader, constructor)?;
    let start = reader.rest();
    let end = start.len().saturating_sub(inner.rest().len());
    let (elements, element) = take_constructor(&mut inner)?;
    reader.take(elements.len())?;
    for _ in 0..count {
        let before = reader.rest().len();
        reader.skip_data(element)?;
        if reader.rest().len() == before {
            // Elements of no octets: whether they are too many is for whoever decodes the array.
            break;
        }
    }
    close(reader, end)?;
    write(constructor, count, between(start, reader.rest()), out);
    Ok(())
}

/// Whether size and count have four octets each.
fn is_wide(constructor: u8) -> bool {
    constructor & WIDE != 0
}

/// Takes the size and count of a compound; returns the count and a reader of what the size covers behind it.
fn open<'a>(reader: &mut Reader<'a>, constructor: u8) -> Result<(u32, Reader<'a>), DecodeError> {
    let wide = is_wide(constructor);
    let opened = reader.clone().compound(wide)?;
    reader.take(if wide { 8 } else { 2 })?;
    Ok(opened)
}

/// Fails unless the elements reach the end that their size told, where `end` octets of the input were left.
fn close(reader: &Reader<'_>, end: usize) -> Result<(), DecodeError> {
    if reader.rest().len() > end { Err(reader.error(DecodeErrorKind::LeftOver)) } else { Ok(()) }
}

/// Appends a compound, of the width that it had if it can, so that an error inside is told where it was in the input.
fn write(constructor: u8, count: u32, octets: &[u8], out: &mut Vec<u8>) {
    match (u8::try_from(octets.len().saturating_add(1)), u8::try_from(count)) {
        (Ok(size), Ok(count)) if !is_wide(constructor) => out.extend_from_slice(&[constructor, size, count]),
        _ => {
            out.push(constructor | WIDE);
            out.extend_from_slice(&(octets.len() as u32).saturating_add(4).to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
        }
    }
    out.extend_from_slice(octets);
}

/// What was read of `start` when `rest` is left.
fn between<'a>(start: &'a [u8], rest: &[u8]) -> &'a [u8] {
    start.get(..start.len().saturating_sub(rest.len())).unwrap_or(start)
}
