use crate::{DecodeError, DecodeErrorKind, Frame, FrameError, MAX_DEPTH, next_frame};

/// What input from elsewhere may cost at most, whatever it claims.
///
/// Decoding is lazy, so most of this is checked when a value is looked at as a whole: [`Value::validate_within`] and its kin keep
/// all of it, and their forms without limits keep the defaults. [`Reader::with_limits`] keeps the depth from the start. Apart from
/// these, nothing is ever reserved for a size or a count before there are as many octets, and arrays whose elements have no octets
/// may have 65,536 of them.
///
/// No limit makes decoding lenient. There is one leniency, for tools and never for what a peer sends: [`Reader::read_by_count`].
///
/// ```
/// use amqp10_codec::{Limits, Reader, Value};
///
/// let mut limits = Limits::default();
/// limits.depth = 2;
/// let octets = [0xc0, 0x07, 0x01, 0xc0, 0x04, 0x01, 0xc0, 0x01, 0x00]; // [[[]]]
/// let value: Value<'_> = Reader::sized(&octets).read()?;
/// assert!(value.validate().is_ok());
/// assert!(value.validate_within(&limits).is_err());
/// # Ok::<(), amqp10_codec::DecodeError>(())
/// ```
///
/// [`Value::validate_within`]: crate::Value::validate_within
/// [`Reader::read_by_count`]: crate::Reader::read_by_count
/// [`Reader::with_limits`]: crate::Reader::with_limits
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How deep values may be nested, counted as for [`MAX_DEPTH`], which is the default and the most there can be.
    pub depth: u8,
    /// How many elements a list or an array, or keys and values a map, may have. 1,048,576 by default.
    pub elements: u32,
    /// How many values there may be in all inside one value, performative or message, on all levels together. 4,194,304 by default.
    pub nodes: u32,
    /// How many octets a frame may have, header included. 1,048,576 by default.
    pub frame_size: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: MAX_DEPTH, elements: 1 << 20, nodes: 1 << 22, frame_size: 1 << 20 }
    }
}

impl Limits {
    /// As [`next_frame`], for frames of the size that these limits permit.
    ///
    /// # Errors
    /// As [`next_frame`].
    pub fn next_frame<'a>(&self, input: &'a [u8]) -> Result<Option<Frame<'a>>, FrameError> {
        next_frame(input, self.frame_size)
    }
}

/// What is left of the limits on the way through a value.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: u8,
    elements: u32,
    nodes: u32,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { depth: limits.depth.min(MAX_DEPTH), elements: limits.elements, nodes: limits.nodes }
    }

    /// Goes into a value of `count` others at `offset`, looks at them with `visit`, and comes back.
    pub(crate) fn inside(
        &mut self,
        count: u32,
        offset: usize,
        visit: impl FnOnce(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let error = |kind| Err(DecodeError::new(kind, offset));
        if count > self.elements {
            return error(DecodeErrorKind::TooManyElements);
        }
        let Some(nodes) = self.nodes.checked_sub(count) else { return error(DecodeErrorKind::TooManyValues) };
        let Some(depth) = self.depth.checked_sub(1) else { return error(DecodeErrorKind::TooDeep) };
        self.nodes = nodes;
        self.depth = depth;
        visit(self)?;
        self.depth = depth.saturating_add(1);
        Ok(())
    }
}
