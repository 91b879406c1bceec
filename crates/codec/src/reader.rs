use crate::constructor::{self as code, Width};
use crate::{Decode, DecodeError, DecodeErrorKind, Limits};

/// How deep values may be nested in each other: compounds, arrays and described values count one each.
///
/// The descriptor of a composite, section or frame body does not count where exactly that type is expected; its list does.
pub const MAX_DEPTH: u8 = 64;

/// A cursor over encoded values that trusts no length, no count and no depth.
///
/// Everything it hands out borrows from the input. A failed read leaves the reader at an unspecified place inside the input.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// The offset of the end of `rest` from the start of the whole input.
    end: usize,
    depth_left: u8,
    /// Whether the end of `rest` was told by a size, so that more input would not help.
    sized: bool,
}

impl<'a> Reader<'a> {
    /// A reader of an input that may go on: running out of octets is [`Incomplete`](DecodeErrorKind::Incomplete).
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, end: input.len(), depth_left: MAX_DEPTH, sized: false }
    }

    /// A reader of an input whose end is known, such as the body of a frame: running out of octets is an
    /// [`Overrun`](DecodeErrorKind::Overrun).
    pub const fn sized(input: &'a [u8]) -> Self {
        Self { rest: input, end: input.len(), depth_left: MAX_DEPTH, sized: true }
    }

    /// A sized reader that lets values be nested no deeper than these limits, and than [`MAX_DEPTH`].
    ///
    /// The other limits are for [`Value::validate_within`](crate::Value::validate_within).
    pub const fn with_limits(input: &'a [u8], limits: &Limits) -> Self {
        let depth_left = if limits.depth < MAX_DEPTH { limits.depth } else { MAX_DEPTH };
        Self { rest: input, end: input.len(), depth_left, sized: true }
    }

    /// A sized reader inside a larger input: `offset` is where `input` starts in it, `depth_left` what may still be nested.
    pub(crate) const fn inner(input: &'a [u8], offset: usize, depth_left: u8) -> Self {
        Self { rest: input, end: offset.wrapping_add(input.len()), depth_left, sized: true }
    }

    /// The octets not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many octets have been read, counted from the start of the whole input.
    pub const fn offset(&self) -> usize {
        // `end` is never below the length of `rest`; to saturate would cost more.
        self.end.wrapping_sub(self.rest.len())
    }

    /// How many more levels may be nested here.
    pub(crate) const fn depth_left(&self) -> u8 {
        self.depth_left
    }

    // The cold functions take numbers, not the reader: whoever lends the reader to a function keeps it out of registers.

    #[inline]
    pub(crate) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        error_at(kind, self.offset())
    }

    #[inline]
    fn exhausted(&self) -> DecodeError {
        exhausted_at(self.sized, self.offset())
    }

    /// An error about the constructor that was just read.
    #[inline]
    pub(crate) fn unexpected(&self, expected: &'static str, found: u8) -> DecodeError {
        unexpected_at(expected, found, self.offset())
    }

    /// An error about the null that was just read in the place of the mandatory field `name`.
    #[inline]
    pub(crate) fn unexpected_null(&self, name: &'static str) -> DecodeError {
        error_at(DecodeErrorKind::MissingField(name), self.offset().saturating_sub(1))
    }

    /// Takes `n` octets.
    #[inline(always)]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(self.exhausted());
        };
        self.rest = tail;
        Ok(head)
    }

    #[inline(always)]
    pub(crate) fn octets<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.exhausted());
        };
        self.rest = tail;
        Ok(*head)
    }

    #[inline(always)]
    pub(crate) fn octet(&mut self) -> Result<u8, DecodeError> {
        let Some((head, tail)) = self.rest.split_first() else {
            return Err(self.exhausted());
        };
        self.rest = tail;
        Ok(*head)
    }

    /// Goes on at `rest`, which is the end of what was not read yet.
    #[inline(always)]
    pub(crate) fn go_to(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// The next constructor, without taking it.
    #[inline]
    pub(crate) fn peek(&self) -> Result<u8, DecodeError> {
        match self.rest.first() {
            Some(code) => Ok(*code),
            None => Err(self.exhausted()),
        }
    }

    /// Takes a size of one or four octets and as many octets as it says.
    #[inline(always)]
    pub(crate) fn variable(&mut self, wide: bool) -> Result<&'a [u8], DecodeError> {
        let size = if wide { u32::from_be_bytes(self.octets()?) as usize } else { self.octet()? as usize };
        self.take(size)
    }

    /// Takes the size and count of a list, map or array and returns the count and a reader of its elements, one level deeper.
    #[inline(always)]
    pub(crate) fn compound(&mut self, wide: bool) -> Result<(u32, Reader<'a>), DecodeError> {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return Err(self.error(DecodeErrorKind::TooDeep));
        };
        let body = self.variable(wide)?;
        let mut inner = Reader { rest: body, end: self.offset(), depth_left, sized: true };
        let count = if wide { u32::from_be_bytes(inner.octets()?) } else { u32::from(inner.octet()?) };
        Ok((count, inner))
    }

    /// Takes one level of nesting for a described value.
    #[inline]
    pub(crate) fn descend(&mut self) -> Result<(), DecodeError> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => Err(self.error(DecodeErrorKind::TooDeep)),
        }
    }

    /// Gives back the level that [`descend`](Self::descend) took.
    pub(crate) fn ascend(&mut self) {
        self.depth_left = self.depth_left.saturating_add(1);
    }

    /// Decodes the next value.
    #[inline]
    pub fn read<T: Decode<'a>>(&mut self) -> Result<T, DecodeError> {
        T::decode(self)
    }

    /// Skips the next value without looking inside: sizes are trusted no further than the input reaches.
    #[inline]
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        let found = self.peek()?;
        if found == code::DESCRIBED {
            return self.skip_described();
        }
        self.octet()?;
        self.skip_data(found)
    }

    #[inline(never)]
    fn skip_described(&mut self) -> Result<(), DecodeError> {
        // A described value is two values in a row, so no recursion is needed: one bit for each described value that is
        // open tells whether the second one is still to come.
        let mut to_come = 0_u64;
        let mut depth = 0_u8;
        loop {
            let found = self.octet()?;
            if found == code::DESCRIBED {
                depth = depth.saturating_add(1);
                if depth > self.depth_left {
                    return Err(self.error(DecodeErrorKind::TooDeep));
                }
                to_come = (to_come << 1) | 1;
                continue;
            }
            self.skip_data(found)?;
            while to_come & 1 == 0 {
                let Some(outer) = depth.checked_sub(1) else { return Ok(()) };
                depth = outer;
                to_come >>= 1;
            }
            to_come &= !1;
        }
    }

    /// Skips the data of a value whose constructor, `found`, was read already.
    #[inline]
    pub(crate) fn skip_data(&mut self, found: u8) -> Result<(), DecodeError> {
        match code::width(found) {
            Some(Width::Fixed(n)) => self.take(n)?,
            Some(Width::Sized8) => self.variable(false)?,
            Some(Width::Sized32) => self.variable(true)?,
            None => return Err(self.unexpected("a value", found)),
        };
        Ok(())
    }

    /// Fails if anything is left over.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error(DecodeErrorKind::LeftOver)) }
    }
}

#[cold]
fn error_at(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError::new(kind, offset)
}

#[cold]
fn exhausted_at(sized: bool, offset: usize) -> DecodeError {
    DecodeError::new(if sized { DecodeErrorKind::Overrun } else { DecodeErrorKind::Incomplete }, offset)
}

/// `offset` is behind the constructor.
#[cold]
fn unexpected_at(expected: &'static str, found: u8, offset: usize) -> DecodeError {
    let kind = if found != code::DESCRIBED && code::width(found).is_none() {
        DecodeErrorKind::UnknownConstructor(found)
    } else {
        DecodeErrorKind::UnexpectedType { expected, found }
    };
    DecodeError::new(kind, offset.saturating_sub(1))
}
