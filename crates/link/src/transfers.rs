//! Transfers that come in a row, so that what they share is looked up once.

use amqp10_codec::{Channel, Composite, Frame, FrameType, Handle, Reader, Transfer, next_frame};
use bytes::Bytes;

/// The transfers of one session that stand behind each other in what came in.
#[derive(Debug)]
pub(crate) struct Transfers<'f> {
    octets: &'f Bytes,
    channel: Channel,
    /// Where the frame of `transfer` begins.
    begin: usize,
    payload: usize,
    end: usize,
    pub(crate) transfer: Transfer<'f>,
    /// Nobody has handled `transfer` yet.
    pub(crate) waits: bool,
}

impl<'f> Transfers<'f> {
    /// Whether a frame looks like a transfer. Nearly every descriptor on a wire is a number of one octet; whatever else stands there is
    /// no concern of this.
    #[inline(always)]
    pub(crate) fn begin_with(frame: &Frame<'_>) -> bool {
        let number = frame.body.get(2).map(|octet| u64::from(*octet));
        frame.header.frame_type == FrameType::Amqp && number == Some(Transfer::CODE)
    }

    /// Those from `at` on, where a whole frame stands; none if that is no transfer, or none that can be decoded.
    #[inline(always)]
    pub(crate) fn from(octets: &'f Bytes, at: usize, frame: &Frame<'f>) -> Option<Self> {
        let transfer = Transfer::new(Handle(0));
        let mut transfers =
            Self { octets, channel: frame.header.channel, begin: at, payload: at, end: at, transfer, waits: false };
        transfers.enter(frame).then_some(transfers)
    }

    /// One that is all that stands in `octets`, so many of which are its payload.
    pub(crate) fn alone(octets: &'f Bytes, channel: Channel, transfer: Transfer<'f>, payload: usize) -> Self {
        let end = octets.len();
        Self { octets, channel, begin: 0, payload: end.saturating_sub(payload), end, transfer, waits: true }
    }

    /// Goes on to the next frame, if that is a transfer of the same session.
    #[inline(always)]
    pub(crate) fn advance(&mut self) -> bool {
        let octets: &'f Bytes = self.octets;
        match next_frame(octets.get(self.end..).unwrap_or(&[]), u32::MAX) {
            Ok(Some(frame)) if frame.header.channel == self.channel && Self::begin_with(&frame) => self.enter(&frame),
            _ => false,
        }
    }

    #[inline(always)]
    fn enter(&mut self, frame: &Frame<'f>) -> bool {
        let mut reader = Reader::sized(frame.body);
        if self.transfer.read_from(&mut reader).is_err() {
            return false;
        }
        let (channel, size) = (self.channel.0, frame.header.size);
        tracing::trace!(channel, performative = "transfer", size, "received");
        self.begin = self.end;
        self.end = self.end.saturating_add(size as usize);
        self.payload = self.end.saturating_sub(reader.rest().len());
        self.waits = true;
        true
    }

    /// How many octets the payload of the transfer has.
    #[inline(always)]
    pub(crate) fn octets(&self) -> usize {
        self.end.saturating_sub(self.payload)
    }

    /// The payload of the transfer, not copied.
    #[inline]
    pub(crate) fn payload(&self) -> Bytes {
        self.octets.slice(self.payload..self.end)
    }

    /// Where the first frame stands that is not handled.
    pub(crate) fn next(&self) -> usize {
        if self.waits { self.begin } else { self.end }
    }
}
