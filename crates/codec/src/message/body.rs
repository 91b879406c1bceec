//! The sections of a message's body.

use crate::constructor as code;
use crate::message::{MessageError, Section};
use crate::{Decode, List, MAX_DEPTH, Reader, Value};

/// The body of a message. §3.2
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// There is none.
    Empty,
    /// Octets, in one or more sections.
    Data(DataIter<'a>),
    /// Lists of values, in one or more sections.
    Sequence(SequenceIter<'a>),
    /// One value.
    Value(Value<'a>),
}

/// The data sections of a message.
#[derive(Clone, Debug)]
pub struct DataIter<'a>(pub(super) BodyIter<'a>);

/// The sequence sections of a message.
#[derive(Clone, Debug)]
pub struct SequenceIter<'a>(pub(super) BodyIter<'a>);

/// The sections of a body, whatever it consists of.
#[derive(Clone, Debug)]
pub(super) struct BodyIter<'a> {
    pub(super) section: Section,
    /// The sections that are still to come.
    pub(super) left: u32,
    /// The value of the next one, and everything behind it.
    pub(super) rest: &'a [u8],
    /// The offset of the end of `rest` in the message.
    pub(super) end: usize,
}

impl<'a> BodyIter<'a> {
    pub(super) const fn empty() -> Self {
        Self { section: Section::Data, left: 0, rest: &[], end: 0 }
    }

    pub(super) fn next<T: Decode<'a>>(&mut self) -> Option<Result<T, MessageError>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::inner(self.rest, self.end.wrapping_sub(self.rest.len()), MAX_DEPTH);
        let mut read = || {
            let value = reader.read()?;
            if self.left > 0 {
                Section::read(&mut reader)?;
            }
            Ok(value)
        };
        let result = read().map_err(|error| MessageError::Malformed { section: Some(self.section), error });
        if result.is_err() {
            self.left = 0;
        }
        self.rest = reader.rest();
        Some(result)
    }
}

impl<'a> Iterator for DataIter<'a> {
    type Item = Result<&'a [u8], MessageError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        // Nearly every body has one section.
        if self.0.left == 1
            && let Some((octets, _)) = binary(self.0.rest)
        {
            self.0.left = 0;
            return Some(Ok(octets));
        }
        if self.0.left == 0 {
            return None;
        }
        // By value, so that the iterator can stay in registers.
        let (section, after) = self.clone().any();
        *self = after;
        section
    }
}

impl<'a> DataIter<'a> {
    /// The next section, whatever it is like, and what is to come after it.
    #[inline(never)]
    fn any(mut self) -> (Option<Result<&'a [u8], MessageError>>, Self) {
        (self.0.next(), self)
    }
}

impl<'a> Iterator for SequenceIter<'a> {
    type Item = Result<List<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// The binary at the start of `rest`, and what stands behind it.
#[inline(always)]
pub(super) fn binary(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    match rest {
        [code::VBIN8, size, data @ ..] => data.split_at_checked(usize::from(*size)),
        [code::VBIN32, s0, s1, s2, s3, data @ ..] => {
            data.split_at_checked(u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize)
        }
        _ => None,
    }
}
