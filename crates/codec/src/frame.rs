//! Protocol headers and frames, §2.2 and §2.3.

use alloc::vec::Vec;
use core::fmt;

use crate::{Channel, Encode};

/// The octets of a frame header. §2.3.1
pub const FRAME_HEADER_SIZE: usize = 8;

/// The smallest max-frame-size that a peer may announce, and the limit before it has announced one. §2.4.1
pub const MIN_MAX_FRAME_SIZE: u32 = 512;

/// Which layer a protocol header stands for. §2.2, §5.2.1, §5.3.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolId {
    /// AMQP itself.
    Amqp,
    /// TLS, §5.2.1.
    Tls,
    /// SASL, §5.3.2.
    Sasl,
    /// A number that the specification does not define.
    Other(u8),
}

/// The eight octets that begin a layer. §2.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolHeader {
    /// The layer.
    pub id: ProtocolId,
    /// Major version, minor version and revision.
    pub version: [u8; 3],
}

impl ProtocolHeader {
    /// How many octets a header has.
    pub const SIZE: usize = 8;
    /// AMQP 1.0.0.
    pub const AMQP: Self = Self { id: ProtocolId::Amqp, version: [1, 0, 0] };
    /// TLS for AMQP 1.0.0.
    pub const TLS: Self = Self { id: ProtocolId::Tls, version: [1, 0, 0] };
    /// SASL for AMQP 1.0.0.
    pub const SASL: Self = Self { id: ProtocolId::Sasl, version: [1, 0, 0] };

    /// Reads the header at the start of `input`: `Ok(None)` while more octets are needed.
    ///
    /// # Errors
    /// As soon as the octets cannot become a header any more.
    pub fn parse(input: &[u8]) -> Result<Option<Self>, FrameError> {
        let known = input.len().min(4);
        if input.get(..known) != b"AMQP".get(..known) {
            return Err(FrameError { kind: FrameErrorKind::NoProtocolHeader, size: 0 });
        }
        let Some(&[_, _, _, _, id, major, minor, revision]) = input.first_chunk::<8>() else {
            return Ok(None);
        };
        let id = match id {
            0 => ProtocolId::Amqp,
            2 => ProtocolId::Tls,
            3 => ProtocolId::Sasl,
            other => ProtocolId::Other(other),
        };
        Ok(Some(Self { id, version: [major, minor, revision] }))
    }

    /// The octets of this header.
    pub const fn to_octets(self) -> [u8; Self::SIZE] {
        let id = match self.id {
            ProtocolId::Amqp => 0,
            ProtocolId::Tls => 2,
            ProtocolId::Sasl => 3,
            ProtocolId::Other(other) => other,
        };
        let [major, minor, revision] = self.version;
        [b'A', b'M', b'Q', b'P', id, major, minor, revision]
    }
}

/// Why octets are not a frame, or not a protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    kind: FrameErrorKind,
    size: u32,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// The octets are not a protocol header.
    NoProtocolHeader,
    /// The size is smaller than the header itself.
    TooSmall,
    /// The size is larger than the limit.
    TooLarge,
    /// The data offset points into the header or beyond the frame.
    DataOffset,
    /// The type is neither AMQP nor SASL.
    UnknownType,
}

impl FrameError {
    /// What is wrong.
    pub const fn kind(&self) -> FrameErrorKind {
        self.kind
    }

    /// The size that the frame claims to have, in octets.
    pub const fn frame_size(&self) -> u32 {
        self.size
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FrameErrorKind::NoProtocolHeader => f.write_str("the octets are not an AMQP protocol header (§2.2)"),
            FrameErrorKind::TooSmall => {
                write!(f, "a frame size of {} is below 8 (§2.3.1)", self.size)
            }
            FrameErrorKind::TooLarge => {
                write!(f, "a frame of {} octets exceeds the max-frame-size (§2.7.1)", self.size)
            }
            FrameErrorKind::DataOffset => {
                write!(f, "the data offset does not lie inside the frame of {} octets (§2.3.1)", self.size)
            }
            FrameErrorKind::UnknownType => f.write_str("the frame is neither an AMQP nor a SASL frame (§2.3.1)"),
        }
    }
}

impl core::error::Error for FrameError {}

/// The type of a frame. §2.3.1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// Carries performatives, §2.3.2.
    Amqp,
    /// Carries the SASL exchange, §5.3.1.
    Sasl,
}

impl FrameType {
    const fn octet(self) -> u8 {
        match self {
            Self::Amqp => 0,
            Self::Sasl => 1,
        }
    }
}

/// The fixed part of a frame's header. §2.3.1
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The size of the whole frame, in octets, header included.
    pub size: u32,
    /// Where the body begins, in octets from the start of the frame.
    pub body_offset: u16,
    /// The type.
    pub frame_type: FrameType,
    /// The channel of an AMQP frame; means nothing in a SASL frame.
    pub channel: Channel,
}

impl FrameHeader {
    /// Judges a header, before any of the body has arrived.
    ///
    /// # Errors
    /// When size, data offset or type are outside the rules, or the size is above `max_frame_size`.
    #[inline]
    pub fn parse(octets: [u8; FRAME_HEADER_SIZE], max_frame_size: u32) -> Result<Self, FrameError> {
        let [s0, s1, s2, s3, doff, kind, c0, c1] = octets;
        let size = u32::from_be_bytes([s0, s1, s2, s3]);
        let error = |kind| Err(FrameError { kind, size });
        if size < FRAME_HEADER_SIZE as u32 {
            return error(FrameErrorKind::TooSmall);
        }
        if size > max_frame_size {
            return error(FrameErrorKind::TooLarge);
        }
        let body_offset = u16::from(doff).saturating_mul(4);
        if doff < 2 || u32::from(body_offset) > size {
            return error(FrameErrorKind::DataOffset);
        }
        let frame_type = match kind {
            0 => FrameType::Amqp,
            1 => FrameType::Sasl,
            _ => return error(FrameErrorKind::UnknownType),
        };
        Ok(Self { size, body_offset, frame_type, channel: Channel(u16::from_be_bytes([c0, c1])) })
    }
}

/// A whole frame, borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// What stands behind the header and the extended header.
    pub body: &'a [u8],
}

/// The frame at the start of `input`: `Ok(None)` while more octets are needed.
///
/// The size is judged as soon as the header is there, so nothing needs to be buffered of a frame that is refused.
///
/// # Errors
/// When the header is outside the rules, or the size above `max_frame_size`.
#[inline(always)]
pub fn next_frame(input: &[u8], max_frame_size: u32) -> Result<Option<Frame<'_>>, FrameError> {
    let Some(head) = input.first_chunk::<FRAME_HEADER_SIZE>() else {
        // A size can be refused as soon as it is known.
        if let Some(size) = input.first_chunk::<4>() {
            let [s0, s1, s2, s3] = *size;
            FrameHeader::parse([s0, s1, s2, s3, 2, 0, 0, 0], max_frame_size)?;
        }
        return Ok(None);
    };
    let header = FrameHeader::parse(*head, max_frame_size)?;
    Ok(input.get(usize::from(header.body_offset)..header.size as usize).map(|body| Frame { header, body }))
}

/// Begins a frame in `out` and returns where it stands, for [`finish_frame`].
#[inline]
pub fn begin_frame(frame_type: FrameType, channel: Channel, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let [c0, c1] = channel.0.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 0, 2, frame_type.octet(), c0, c1]);
    start
}

/// Ends the frame that stands at `start` of `out` and returns its size; `payload` octets that follow elsewhere belong to it.
///
/// The size saturates at 4 GiB; frames are kept below a max-frame-size long before.
#[inline]
pub fn finish_frame(start: usize, payload: usize, out: &mut [u8]) -> u32 {
    let size = out.len().saturating_sub(start).saturating_add(payload);
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..).and_then(|frame| frame.first_chunk_mut::<4>()) {
        *head = size.to_be_bytes();
    }
    size
}

/// Appends a frame with this body and returns its size in octets.
#[inline]
pub fn encode_frame(frame_type: FrameType, channel: Channel, body: &(impl Encode + ?Sized), out: &mut Vec<u8>) -> u32 {
    let start = begin_frame(frame_type, channel, out);
    body.encode(out);
    finish_frame(start, 0, out)
}
