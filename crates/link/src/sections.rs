//! Where in a message an octet stands: the section and the octet of it, by which deliveries are resumed. §3.4.1

use std::collections::VecDeque;

use amqp10_codec::{MessageFormat, Received};

/// How many beginnings of sections are remembered. A peer may resume in the middle of one of these.
const MOST_STARTS: usize = 1024;

/// How far a message has been walked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Progress {
    section: u32,
    /// Octets of `section` that were walked.
    offset: u64,
    /// Octets that were walked since the beginning of the oldest section in `starts`, and those before.
    octets: u64,
    /// Where the last sections begin, `section` itself last.
    starts: VecDeque<u64>,
    scan: Scan,
}

/// Where in the encoding of a section the walk stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scan {
    /// At the constructor of a value; so many values are left in this section.
    Constructor { values: u32 },
    /// In the size of a value: so many octets of it are left.
    Size { values: u32, left: u8, size: u32 },
    /// In a value that has so many octets left.
    Skip { values: u32, left: u64 },
    /// Not in sections, or not in ones that can be told apart: all that follows counts as part of this one.
    Opaque,
}

impl Progress {
    /// Nothing was walked yet. Only format 0 is laid out in sections. §2.8.11
    pub(crate) fn new(format: MessageFormat) -> Self {
        let scan = if format.0 >> 8 == 0 { Scan::Constructor { values: 1 } } else { Scan::Opaque };
        Self { section: 0, offset: 0, octets: 0, starts: VecDeque::from([0]), scan }
    }

    /// At a point of a message whose beginning was not seen.
    pub(crate) fn at(point: &Received, format: MessageFormat) -> Self {
        let new = Self::new(format);
        let scan = if point.section_offset == 0 { new.scan } else { Scan::Opaque };
        Self { section: point.section_number, offset: point.section_offset, octets: point.section_offset, scan, ..new }
    }

    /// How many octets were walked, as far as they were seen.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// The point that was reached.
    pub(crate) fn point(&self) -> Received {
        Received { section_number: self.section, section_offset: self.offset }
    }

    /// Whether `point` is not ahead. The end of a section and the beginning of the next are the same point.
    fn has_reached(&self, point: &Received) -> bool {
        (self.section, self.offset) >= (point.section_number, point.section_offset)
    }

    /// Walks over octets.
    pub(crate) fn advance(&mut self, octets: &[u8]) {
        self.advance_to(octets, &Received { section_number: u32::MAX, section_offset: u64::MAX });
    }

    /// Walks over octets until `point` is reached, and returns how many that took.
    pub(crate) fn advance_to(&mut self, octets: &[u8], point: &Received) -> usize {
        let mut walked = 0_usize;
        while !self.has_reached(point)
            && let Some(&octet) = octets.get(walked)
        {
            let most = octets.len().saturating_sub(walked) as u64;
            let (step, next) = match self.scan {
                Scan::Opaque => (most, Scan::Opaque),
                Scan::Skip { values, left } if left > most => {
                    (most, Scan::Skip { values, left: left.saturating_sub(most) })
                }
                Scan::Skip { values, left } => (left, self.value_ends(values)),
                Scan::Size { values, left, size } => {
                    let size = (size << 8) | u32::from(octet);
                    (1, self.sized(values, left.saturating_sub(1), size))
                }
                Scan::Constructor { values } => (1, self.constructor(octet, values)),
            };
            // The point may stand inside a long run.
            let step = match point.section_offset.checked_sub(self.offset) {
                Some(room) if point.section_number == self.section && room < step => room,
                _ => step,
            };
            self.step(step, next);
            walked = walked.saturating_add(usize::try_from(step).unwrap_or(usize::MAX));
        }
        walked
    }

    fn step(&mut self, octets: u64, next: Scan) {
        self.octets = self.octets.saturating_add(octets);
        self.offset = self.offset.saturating_add(octets);
        self.scan = match (self.scan, next) {
            // Stopped inside a run.
            (Scan::Skip { values, left }, _) if octets < left => {
                Scan::Skip { values, left: left.saturating_sub(octets) }
            }
            (_, Scan::Constructor { values: 0 }) => {
                self.section = self.section.saturating_add(1);
                self.offset = 0;
                self.starts.push_back(self.octets);
                if self.starts.len() > MOST_STARTS {
                    self.starts.pop_front();
                }
                Scan::Constructor { values: 1 }
            }
            (_, next) => next,
        };
    }

    fn value_ends(&self, values: u32) -> Scan {
        Scan::Constructor { values: values.saturating_sub(1) }
    }

    fn sized(&self, values: u32, left: u8, size: u32) -> Scan {
        match (left, size) {
            (0, 0) => self.value_ends(values),
            (0, _) => Scan::Skip { values, left: size.into() },
            _ => Scan::Size { values, left, size },
        }
    }

    /// What follows a constructor. §1.2
    fn constructor(&self, octet: u8, values: u32) -> Scan {
        if self.offset == 0 && octet != 0 {
            // A section is a described value.
            return Scan::Opaque;
        }
        let skip = |left| Scan::Skip { values, left };
        match octet >> 4 {
            // Its descriptor and the value under it.
            _ if octet == 0 => values.checked_add(1).map_or(Scan::Opaque, |values| Scan::Constructor { values }),
            0x4 => self.value_ends(values),
            0x5 => skip(1),
            0x6 => skip(2),
            0x7 => skip(4),
            0x8 => skip(8),
            0x9 => skip(16),
            0xa | 0xc | 0xe => Scan::Size { values, left: 1, size: 0 },
            0xb | 0xd | 0xf => Scan::Size { values, left: 4, size: 0 },
            _ => Scan::Opaque,
        }
    }

    /// How many octets stand between a point that was passed and the one that was reached; `None` if the point was not passed,
    /// or too long ago.
    pub(crate) fn octets_since(&self, point: &Received) -> Option<u64> {
        let back = self.section.checked_sub(point.section_number)?;
        let at = self.starts.len().checked_sub(usize::try_from(back).ok()?)?.checked_sub(1)?;
        let octet = self.starts.get(at)?.saturating_add(point.section_offset);
        let end = at.checked_add(1).and_then(|next| self.starts.get(next)).unwrap_or(&self.octets);
        (octet <= *end).then(|| self.octets.saturating_sub(octet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(section_number: u32, section_offset: u64) -> Received {
        Received { section_number, section_offset }
    }

    /// A header of 6 octets, a data section of 8, an amqp-value that is a described list of 12, a footer of 4.
    const MESSAGE: &[&[u8]] = &[
        &[0, 0x53, 0x70, 0xc0, 1, 0],
        &[0, 0x53, 0x75, 0xa0, 3, 1, 2, 3],
        &[0, 0x53, 0x77, 0, 0xa3, 1, b'x', 0xc0, 3, 2, 0x40, 0x41],
        &[0, 0x53, 0x78, 0x45],
    ];

    #[test]
    fn sections_are_told_apart_however_they_are_cut() {
        let octets = MESSAGE.concat();
        let lengths: Vec<usize> = MESSAGE.iter().map(|section| section.len()).collect();
        for step in 1..=octets.len() {
            let mut progress = Progress::new(MessageFormat(0));
            let mut walked = 0;
            for part in octets.chunks(step) {
                progress.advance(part);
                walked += part.len();
                let (mut section, mut left) = (0, walked);
                while section < lengths.len() && left >= lengths[section] {
                    left -= lengths[section];
                    section += 1;
                }
                assert_eq!(progress.point(), point(section as u32, left as u64), "{walked} octets in steps of {step}");
            }
        }
    }

    #[test]
    fn points_are_found_again() {
        let octets = MESSAGE.concat();
        let mut all = Progress::new(MessageFormat(0));
        for n in 0..=octets.len() {
            let mut part = Progress::new(MessageFormat(0));
            part.advance(&octets[..n]);
            let mut walk = Progress::new(MessageFormat(0));
            assert_eq!(walk.advance_to(&octets, &part.point()), n);
            assert_eq!(walk.point(), part.point());
            walk.advance(&octets[n..]);
            assert_eq!(walk.point(), point(4, 0), "stopping at {n} has not lost the way");
            all.advance(&octets[all.octets as usize..n]);
            assert_eq!(part.octets_since(&point(0, 0)), Some(n as u64));
        }
        // The end of a section is the beginning of the next. 3.4.1-06
        assert_eq!(all.octets_since(&point(1, 8)), all.octets_since(&point(2, 0)));
        assert_eq!(all.octets_since(&point(1, 3)), Some(8 - 3 + 12 + 4));
        assert_eq!(all.octets_since(&point(1, 9)), None, "there is no such octet");
        assert_eq!(all.octets_since(&point(4, 1)), None, "ahead");
        let mut walk = Progress::new(MessageFormat(0));
        assert_eq!(walk.advance_to(&octets, &point(u32::MAX, 0)), octets.len());
    }

    #[test]
    fn what_has_no_sections_is_one() {
        for (format, octets) in [(1 << 8, MESSAGE.concat()), (0, vec![0x53; 30]), (0, vec![0, 0x10, 0, 0])] {
            let mut progress = Progress::new(MessageFormat(format));
            progress.advance(&octets[..2]);
            progress.advance(&octets[2..]);
            assert_eq!(progress.point(), point(0, octets.len() as u64));
            assert_eq!(Progress::new(MessageFormat(format)).advance_to(&octets, &point(0, 3)), 3);
        }
        let mut endless = Progress::new(MessageFormat(0));
        endless.advance(&vec![0; 1 << 16]);
        assert_eq!(endless.point(), point(0, 1 << 16));
    }

    #[test]
    fn only_the_last_beginnings_are_remembered() {
        let mut progress = Progress::new(MessageFormat(0));
        for _ in 0..10_000 {
            progress.advance(MESSAGE[3]);
        }
        assert!(progress.starts.len() <= MOST_STARTS);
        assert_eq!(progress.octets_since(&point(9_990, 1)), Some(39));
        assert_eq!(progress.octets_since(&point(10, 1)), None);
        let unseen = Progress::at(&point(3, 0), MessageFormat(0));
        assert_eq!((unseen.octets_since(&point(3, 0)), unseen.octets_since(&point(0, 0))), (Some(0), None));
        let unseen = Progress::at(&point(3, 7), MessageFormat(0));
        assert_eq!((unseen.octets_since(&point(3, 2)), unseen.octets_since(&point(2, 0))), (Some(5), None));
    }
}
