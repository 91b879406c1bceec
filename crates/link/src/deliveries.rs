//! Deliveries as the application sees them, and the session's book of unsettled ones.

use amqp10_codec::{DeliveryNumber, DeliveryTag, MessageFormat};
use bytes::{Bytes, BytesMut};

use crate::LinkId;
use crate::queue::Queue;
use crate::resume::Resumed;
use crate::sections::Progress;
use crate::session::Session;
use crate::slots::Key;

/// Names a delivery of a link. The name of a delivery that is settled, or whose link is gone, finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    pub(crate) link: Key,
    pub(crate) delivery: Key,
}

impl DeliveryKey {
    /// The link of this delivery.
    pub const fn link(&self) -> LinkId {
        LinkId(self.link)
    }
}

/// A whole delivery, handed over by the engine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Its name, by which it is settled.
    pub key: DeliveryKey,
    /// Its tag, chosen by the sender. §2.6.12
    pub tag: DeliveryTag,
    /// How the payload is laid out. §2.8.11
    pub message_format: MessageFormat,
    /// Whether the sender has settled it already; then there is nothing to settle here.
    pub settled: bool,
    /// Whether it was sent within a transaction: the peer posted it, or we acquired it. In which one is told by
    /// [`Receiver::transaction`](crate::Receiver::transaction), until that is over. §4.4
    pub transactional: bool,
    /// The octets.
    pub payload: Payload,
}

/// The octets of a delivery, in the slices in which they came.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    #[expect(clippy::box_collection, reason = "nearly every delivery comes in one slice, and is moved about")]
    more: Option<Box<Vec<Bytes>>>,
}

impl From<Bytes> for Payload {
    fn from(octets: Bytes) -> Self {
        Self::new(octets)
    }
}

impl Payload {
    pub(crate) fn new(first: Bytes) -> Self {
        Self { first, more: None }
    }

    pub(crate) fn push(&mut self, octets: Bytes) {
        if self.first.is_empty() {
            self.first = octets;
        } else if !octets.is_empty() {
            self.more.get_or_insert_default().push(octets);
        }
    }

    /// How many octets there are.
    pub fn len(&self) -> usize {
        match &self.more {
            None => self.first.len(),
            Some(more) => more.iter().fold(self.first.len(), |sum, part| sum.saturating_add(part.len())),
        }
    }

    /// Whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slices, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(self.more.iter().flat_map(|more| more.iter()))
    }

    /// The octets in one slice; copies them if they came in several.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        match self.more {
            None => self.first,
            Some(_) => self.join(),
        }
    }

    fn join(self) -> Bytes {
        let mut joined = BytesMut::with_capacity(self.len());
        for part in self.parts() {
            joined.extend_from_slice(part);
        }
        joined.freeze()
    }
}

/// The delivery that is still arriving on a link.
#[derive(Debug)]
pub struct Partial<'a> {
    pub(crate) incoming: &'a mut Incoming,
    /// What the link holds.
    pub(crate) held: &'a mut usize,
    pub(crate) session: Option<&'a mut Session>,
}

impl Partial<'_> {
    /// Its name.
    pub fn key(&self) -> DeliveryKey {
        self.incoming.head.key
    }

    /// Its tag. §2.6.12
    pub fn tag(&self) -> DeliveryTag {
        self.incoming.head.tag
    }

    /// Takes what has arrived since the last call; it will not be part of the whole delivery any more.
    pub fn take(&mut self) -> Payload {
        self.incoming.told = false;
        let payload = std::mem::take(&mut self.incoming.payload);
        let format = self.incoming.head.message_format;
        let progress = self.incoming.progress.get_or_insert_with(|| Box::new(Progress::new(format)));
        payload.parts().for_each(|part| progress.advance(part));
        *self.held = self.held.saturating_sub(payload.len());
        if let Some(session) = self.session.as_deref_mut() {
            session.release_octets(payload.len());
        }
        payload
    }
}

/// What the first transfer of a delivery says.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) key: DeliveryKey,
    pub(crate) id: DeliveryNumber,
    pub(crate) tag: DeliveryTag,
    pub(crate) message_format: MessageFormat,
    pub(crate) settled: bool,
    pub(crate) transactional: bool,
}

/// A delivery whose transfers are still coming in.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) head: Head,
    pub(crate) payload: Payload,
    /// All octets that came, taken ones included.
    pub(crate) octets: u64,
    /// Transfers that brought nothing.
    pub(crate) empty_transfers: u32,
    /// Whether `DeliveryStarted` was told.
    pub(crate) started: bool,
    /// Whether `DataReady` was told and nothing taken since.
    pub(crate) told: bool,
    /// How far the message had come before what is in `payload`; none if nothing had.
    pub(crate) progress: Option<Box<Progress>>,
    /// What is left to do about a delivery of an earlier link that is resumed.
    pub(crate) resumed: Option<Box<Resumed>>,
}

/// An unsettled delivery in the book of its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) id: DeliveryNumber,
    pub(crate) link: Key,
    /// Of no delivery, if it is settled.
    pub(crate) delivery: Key,
}

impl Entry {
    const SETTLED: Key = Key { slot: u32::MAX, generation: 0 };

    fn is_live(&self) -> bool {
        self.delivery != Self::SETTLED
    }
}

/// The unsettled deliveries of one direction of a session, by delivery-id, in the order in which the ids were given.
///
/// Ids only grow, so finding one is a binary search, and what a peer says about a range costs no more than what lives in it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Queue<Entry>,
    dead: usize,
}

impl Ledger {
    /// What a delivery takes here.
    #[cfg(test)]
    pub(crate) const ENTRY: usize = size_of::<Entry>();

    #[inline(always)]
    pub(crate) fn push(&mut self, id: DeliveryNumber, link: Key, delivery: Key) {
        self.entries.push(Entry { id, link, delivery });
    }

    /// Whether `id` comes behind all that is here, the oldest included; a peer that leaps could break the order.
    #[inline(always)]
    pub(crate) fn admits(&self, id: DeliveryNumber) -> bool {
        self.entries.as_slice().first().is_none_or(|oldest| oldest.id.precedes(id))
    }

    /// The first entry at or behind `id`.
    fn position(&self, id: DeliveryNumber) -> usize {
        self.entries.as_slice().partition_point(|entry| entry.id.precedes(id))
    }

    /// Forgets a delivery that was settled.
    #[inline(always)]
    pub(crate) fn remove(&mut self, id: DeliveryNumber) {
        // Nearly always the oldest one.
        if self.dead == 0 && self.entries.as_slice().first().is_some_and(|entry| entry.id == id) {
            self.entries.advance(1);
        } else {
            self.remove_within(id);
        }
    }

    fn remove_within(&mut self, id: DeliveryNumber) {
        let at = self.position(id);
        if let Some(entry) = self.entries.as_mut_slice().get_mut(at)
            && entry.id == id
            && entry.is_live()
        {
            entry.delivery = Entry::SETTLED;
            self.dead = self.dead.saturating_add(1);
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        let settled = self.entries.as_slice().iter().take_while(|entry| !entry.is_live()).count();
        self.entries.advance(settled);
        self.dead = self.dead.saturating_sub(settled);
        if self.dead > 64 && self.dead > self.entries.as_slice().len() / 2 {
            self.entries.retain(|entry| entry.is_live());
            self.dead = 0;
        }
    }

    /// The live entries from `first` to `last`, both included.
    pub(crate) fn range(&self, first: DeliveryNumber, last: DeliveryNumber) -> Vec<Entry> {
        let from = self.position(first);
        let entries =
            self.entries.as_slice().get(from..).unwrap_or(&[]).iter().take_while(|entry| !last.precedes(entry.id));
        let mut live = Vec::with_capacity(entries.clone().count());
        live.extend(entries.filter(|entry| entry.is_live()));
        live
    }

    /// Forgets the live entries from `first` to `last`, both included, and returns them: they were settled.
    #[inline]
    pub(crate) fn take_range(&mut self, first: DeliveryNumber, last: DeliveryNumber) -> impl Iterator<Item = Entry> {
        // Nearly always these are the oldest ones, and none that is dead is among them.
        let entries = self.entries.as_slice();
        let oldest = self.dead == 0 && entries.first().is_some_and(|entry| !entry.id.precedes(first));
        let (count, within) = if oldest {
            (entries.partition_point(|entry| !last.precedes(entry.id)), Vec::new())
        } else {
            let within = self.range(first, last);
            within.iter().for_each(|entry| self.remove(entry.id));
            (0, within)
        };
        self.entries.take(count).iter().copied().chain(within)
    }

    /// The deliveries of a link belong to another one from now on.
    pub(crate) fn move_link(&mut self, from: Key, to: Key) {
        self.entries.as_mut_slice().iter_mut().filter(|entry| entry.link == from).for_each(|entry| entry.link = to);
    }

    /// Forgets the deliveries of a link that is gone.
    pub(crate) fn remove_link(&mut self, link: Key) {
        self.entries.retain(|entry| entry.is_live() && entry.link != link);
        self.dead = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Key = Key { slot: 0, generation: 0 };

    fn ids(entries: Vec<Entry>) -> Vec<u32> {
        entries.into_iter().map(|entry| entry.id.0).collect()
    }

    #[test]
    fn h16_a_ledger_across_the_wrap() {
        let mut ledger = Ledger::default();
        for n in 0..6 {
            ledger.push(DeliveryNumber(u32::MAX - 2).plus(n), LINK, LINK);
        }
        let range = ledger.range(DeliveryNumber(u32::MAX), DeliveryNumber(1));
        assert_eq!(ids(range), [u32::MAX, 0, 1]);
        ledger.remove(DeliveryNumber(0));
        ledger.remove(DeliveryNumber(0));
        assert_eq!(ids(ledger.range(DeliveryNumber(u32::MAX), DeliveryNumber(2))), [u32::MAX, 1, 2]);
        ledger.remove(DeliveryNumber(u32::MAX - 2));
        ledger.remove(DeliveryNumber(u32::MAX - 1));
        ledger.remove(DeliveryNumber(u32::MAX));
        assert_eq!(ledger.entries.as_slice().len(), 2, "settled entries at the front are gone, dead ones with them");
    }

    #[test]
    fn a_range_that_is_taken_is_gone_and_nothing_else() {
        let full = || {
            let mut ledger = Ledger::default();
            (0..6).for_each(|n| ledger.push(DeliveryNumber(u32::MAX - 2).plus(n), LINK, LINK));
            ledger
        };
        let all = [u32::MAX - 2, u32::MAX - 1, u32::MAX, 0, 1, 2];
        for (from, to) in (0..6).flat_map(|from| (from..6).map(move |to| (from, to))) {
            for dead in [None, Some(0_usize), Some(1), Some(4)] {
                let mut ledger = full();
                dead.iter().for_each(|dead| ledger.remove(DeliveryNumber(all[*dead])));
                let expected = |within| {
                    let live = (0..6).filter(|at| Some(*at) != dead && (from..=to).contains(at) == within);
                    live.map(|at| all[at]).collect::<Vec<_>>()
                };
                let taken = ledger.take_range(DeliveryNumber(all[from]), DeliveryNumber(all[to])).collect();
                assert_eq!(ids(taken), expected(true), "from {from} to {to}, {dead:?} is dead");
                let left = ledger.range(DeliveryNumber(all[0]), DeliveryNumber(all[5]));
                assert_eq!(ids(left), expected(false), "from {from} to {to}, {dead:?} is dead");
            }
        }
        let mut ledger = full();
        assert_eq!(ledger.take_range(DeliveryNumber(3), DeliveryNumber(9)).count(), 0);
        assert_eq!(ledger.take_range(DeliveryNumber(u32::MAX - 9), DeliveryNumber(9)).count(), 6);
        assert_eq!(ledger.take_range(DeliveryNumber(0), DeliveryNumber(9)).count(), 0);
    }

    #[test]
    fn h23_a_ledger_does_not_grow_behind_a_delivery_that_is_never_settled() {
        let mut ledger = Ledger::default();
        ledger.push(DeliveryNumber(u32::MAX - 2), LINK, LINK);
        for n in 1..100_000 {
            let id = DeliveryNumber(u32::MAX - 2).plus(n);
            ledger.push(id, LINK, LINK);
            ledger.remove(id);
            let entries = ledger.entries.as_slice().len();
            assert!(entries < 200, "{entries} entries for one delivery");
        }
        assert_eq!(ids(ledger.range(DeliveryNumber(u32::MAX - 2), DeliveryNumber(100_000))), [u32::MAX - 2]);
    }

    #[test]
    fn a_payload_is_joined_once() {
        let mut payload = Payload::new(Bytes::new());
        payload.push(Bytes::from_static(b"one"));
        payload.push(Bytes::new());
        payload.push(Bytes::from_static(b"two"));
        assert_eq!(payload.len(), 6);
        assert_eq!(payload.parts().count(), 2);
        assert_eq!(&payload.into_bytes()[..], b"onetwo");
    }
}
