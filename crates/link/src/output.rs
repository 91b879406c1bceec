use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Payloads of at least this many octets are passed on by reference instead of being copied.
const BY_REFERENCE: usize = 1024;

#[derive(Debug)]
enum Segment {
    /// So many octets of `small`.
    Small(usize),
    Payload(Bytes),
}

/// Octets to be sent, as a queue of segments: small ones share a buffer, large payloads stand alone and are never copied.
///
/// The buffers are kept and reused, so passing frames through allocates nothing once they have grown.
#[derive(Debug, Default)]
pub struct Output {
    small: Vec<u8>,
    /// How many octets at the front of `small` are gone.
    gone: usize,
    segments: VecDeque<Segment>,
    len: usize,
}

impl Output {
    /// An empty output.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many octets wait to be sent.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `slices` with what waits, in order, and returns how many were filled: for a vectored write.
    pub fn chunks<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0_usize;
        for (slice, octets) in slices.iter_mut().zip(self.pieces_from(0)) {
            *slice = IoSlice::new(octets);
            filled = filled.saturating_add(1);
        }
        filled
    }

    /// What stands behind the first `skip` octets, in pieces that are not split where one piece was appended.
    pub(crate) fn pieces_from(&self, mut skip: usize) -> impl Iterator<Item = &[u8]> {
        let mut small = self.small.get(self.gone..).unwrap_or(&[]);
        self.segments.iter().filter_map(move |segment| {
            let octets = match segment {
                Segment::Small(len) => {
                    let (octets, rest) = small.split_at_checked(*len).unwrap_or((small, &[]));
                    small = rest;
                    octets
                }
                Segment::Payload(payload) => payload,
            };
            let skipped = skip.min(octets.len());
            skip = skip.saturating_sub(skipped);
            octets.get(skipped..)
        })
    }

    /// Forgets the first `n` octets: they have been sent.
    pub fn advance(&mut self, mut n: usize) {
        n = n.min(self.len);
        self.len = self.len.saturating_sub(n);
        while let Some(segment) = self.segments.front_mut() {
            match segment {
                Segment::Small(len) => {
                    let taken = n.min(*len);
                    *len = len.saturating_sub(taken);
                    n = n.saturating_sub(taken);
                    self.gone = self.gone.saturating_add(taken);
                    if *len > 0 {
                        break;
                    }
                }
                Segment::Payload(payload) => {
                    let taken = n.min(payload.len());
                    payload.advance(taken);
                    n = n.saturating_sub(taken);
                    if !payload.is_empty() {
                        break;
                    }
                }
            }
            self.segments.pop_front();
        }
        if self.segments.is_empty() {
            self.small.clear();
            self.gone = 0;
        } else if self.gone >= 64 * 1024 {
            self.small.drain(..self.gone);
            self.gone = 0;
        }
    }

    /// Appends what `write` appends to the shared buffer.
    #[inline]
    pub(crate) fn small<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let before = self.small.len();
        let result = write(&mut self.small);
        let added = self.small.len().saturating_sub(before);
        self.len = self.len.saturating_add(added);
        match self.segments.back_mut() {
            Some(Segment::Small(len)) => *len = len.saturating_add(added),
            _ if added > 0 => self.segments.push_back(Segment::Small(added)),
            _ => {}
        }
        result
    }

    /// Appends a payload, by reference if it is large.
    #[inline]
    pub(crate) fn payload(&mut self, payload: Bytes) {
        if payload.len() < BY_REFERENCE {
            self.small(|out| out.extend_from_slice(&payload));
        } else {
            self.len = self.len.saturating_add(payload.len());
            self.segments.push_back(Segment::Payload(payload));
        }
    }

    /// Appends what `write` appends to the shared buffer, and a payload behind it.
    #[inline]
    pub(crate) fn small_and_payload(&mut self, payload: Bytes, write: impl FnOnce(&mut Vec<u8>)) {
        let copied = payload.len() < BY_REFERENCE;
        self.small(|out| {
            write(out);
            if copied {
                out.extend_from_slice(&payload);
            }
        });
        if !copied {
            self.payload(payload);
        }
    }

    /// Moves everything from `other` to the end of this one.
    pub(crate) fn append(&mut self, other: &mut Output) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        let mut small = other.small.get(other.gone..).unwrap_or(&[]);
        for segment in other.segments.drain(..) {
            match segment {
                Segment::Small(len) => {
                    let (octets, rest) = small.split_at_checked(len).unwrap_or((small, &[]));
                    small = rest;
                    self.small(|out| out.extend_from_slice(octets));
                }
                Segment::Payload(payload) => self.payload(payload),
            }
        }
        other.small.clear();
        (other.gone, other.len) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = output.chunks(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn octets_come_out_in_order_however_they_are_taken() {
        let large = Bytes::from(vec![7; 3000]);
        for step in [1, 5, 999, 4096] {
            let mut output = Output::new();
            output.small(|out| out.extend_from_slice(b"head"));
            output.payload(large.clone());
            output.payload(Bytes::from_static(b"tail"));
            let expected = [b"head".as_slice(), &large, b"tail"].concat();
            let mut taken = Vec::new();
            while !output.is_empty() {
                let front = all(&output);
                let n = step.min(front.len());
                taken.extend_from_slice(&front[..n]);
                output.advance(n);
            }
            assert_eq!(taken, expected);
            assert_eq!(output.chunks(&mut [IoSlice::new(&[])]), 0);
        }
    }

    #[test]
    fn appending_keeps_the_order() {
        let mut first = Output::new();
        first.small(|out| out.push(1));
        let mut second = Output::new();
        second.small(|out| out.push(2));
        second.payload(Bytes::from(vec![3; 2000]));
        first.append(&mut second);
        assert_eq!(all(&first), [vec![1, 2], vec![3; 2000]].concat());
        assert!(second.is_empty());
    }
}
