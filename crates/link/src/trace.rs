//! Frames as they pass, for somebody who watches.

use std::fmt;

use amqp10_codec::{Channel, FRAME_HEADER_SIZE, FrameHeader, FrameType, Performative, Reader};

use crate::connection::Connection;

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Received,
    /// To the peer.
    Sent,
}

/// A frame that passed: what it is, but never what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TracedFrame {
    /// Which way it went.
    pub direction: Direction,
    /// The channel.
    pub channel: Channel,
    /// The name of its performative; `None` for an empty frame, and for a body that is no performative.
    pub performative: Option<&'static str>,
    /// How many octets of payload stand behind the performative. §2.3.2
    pub payload: u32,
    /// How many octets the frame has in all.
    pub size: u32,
}

/// Who is told of frames.
pub(crate) struct Trace(Box<dyn FnMut(&TracedFrame) + Send>);

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// Tells of the frame that begins at the front of `octets`, and returns how many octets it has. All of the frame but its payload
    /// stands there.
    fn tell(&mut self, direction: Direction, octets: &[u8]) -> Option<usize> {
        let header = FrameHeader::parse(*octets.first_chunk::<FRAME_HEADER_SIZE>()?, u32::MAX).ok()?;
        let size = header.size as usize;
        let body = octets.get(usize::from(header.body_offset)..octets.len().min(size)).unwrap_or_default();
        let mut reader = Reader::sized(body);
        let performative = match header.frame_type {
            FrameType::Amqp => reader.read::<Performative<'_>>().ok(),
            _ => None,
        };
        let head = usize::from(header.body_offset).saturating_add(reader.offset());
        let payload = if performative.is_some() { size.saturating_sub(head) as u32 } else { 0 };
        (self.0)(&TracedFrame {
            direction,
            channel: header.channel,
            performative: performative.map(|performative| performative.name()),
            payload,
            size: header.size,
        });
        Some(size)
    }

    /// Tells of whole frames.
    pub(crate) fn received(&mut self, mut frames: &[u8]) {
        while let Some(rest) = self.tell(Direction::Received, frames).and_then(|size| frames.get(size..)) {
            frames = rest;
        }
    }

    /// Tells of the frames in pieces of octets that are to leave. All of a frame but its payload stands in one of the pieces.
    pub(crate) fn sent<'o>(&mut self, pieces: impl Iterator<Item = &'o [u8]>) {
        // So many octets of the next piece belong to a frame that was told.
        let mut told = 0_usize;
        for mut piece in pieces {
            while let Some(front) = piece.get(told..).filter(|front| !front.is_empty()) {
                piece = front;
                // The protocol header stands before the first frame.
                told = if piece.starts_with(b"AMQP") {
                    FRAME_HEADER_SIZE
                } else {
                    self.tell(Direction::Sent, piece).unwrap_or(piece.len())
                };
            }
            told = told.saturating_sub(piece.len());
        }
    }
}

impl Connection {
    /// Tells `trace` of every frame from now on: of one that comes in when it is whole and before it is handled, of one that goes out
    /// when it is [polled](Self::poll_output). SASL is not seen here, and payloads are only measured. While nobody is told it costs
    /// nothing.
    pub fn set_trace(&mut self, trace: impl FnMut(&TracedFrame) + Send + 'static) {
        self.trace = Some(Trace(Box::new(trace)));
    }

    /// Tells nobody of frames any more.
    pub fn clear_trace(&mut self) {
        self.trace = None;
    }
}
