//! The deliveries of a link by their tags.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use amqp10_codec::DeliveryTag;
use hashbrown::HashTable;

/// Where the unsettled deliveries of a link stand, by their tags, which the sender chooses.
///
/// The tags themselves are not here: `tag_at` says which tag the delivery in a slot has.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    hashing: TagHashing,
    slots: HashTable<u32>,
}

impl Tags {
    /// The slot of the delivery of this tag.
    pub(crate) fn find(&self, tag: &DeliveryTag, tag_at: impl Fn(u32) -> Option<DeliveryTag>) -> Option<u32> {
        self.slots.find(self.hashing.hash_one(tag), |slot| tag_at(*slot) == Some(*tag)).copied()
    }

    /// Adds a slot whose delivery has a tag that no other has.
    pub(crate) fn insert(&mut self, tag: &DeliveryTag, slot: u32, tag_at: impl Fn(u32) -> Option<DeliveryTag>) {
        let hash_at = |slot: &u32| tag_at(*slot).map_or(0, |tag| self.hashing.hash_one(tag));
        self.slots.insert_unique(self.hashing.hash_one(tag), slot, hash_at);
    }

    /// Forgets a slot whose delivery has, or had, this tag.
    pub(crate) fn remove(&mut self, tag: &DeliveryTag, slot: u32) {
        if let Ok(found) = self.slots.find_entry(self.hashing.hash_one(tag), |other| *other == slot) {
            found.remove();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// Hashes tags by folded multiplication: a fraction of the work of the standard library's hash.
///
/// The seeds are random, so that a peer cannot choose tags that fall together; and it can have no more tags than credit.
#[derive(Clone, Copy, Debug)]
struct TagHashing {
    start: u64,
    factor: u64,
}

#[derive(Clone, Copy, Debug)]
struct TagHasher {
    state: u64,
    factor: u64,
}

impl Default for TagHashing {
    fn default() -> Self {
        let random = RandomState::new();
        Self { start: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }
}

impl BuildHasher for TagHashing {
    type Hasher = TagHasher;

    #[inline]
    fn build_hasher(&self) -> TagHasher {
        TagHasher { state: self.start, factor: self.factor }
    }
}

impl Hasher for TagHasher {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.factor);
    }

    #[inline]
    fn write_u8(&mut self, octet: u8) {
        self.write_u64(octet.into());
    }

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.write_u8(*octet));
    }

    #[inline]
    fn finish(&self) -> u64 {
        // Once more, for tags that count up differ in few bits.
        fold(self.state, self.factor)
    }
}

#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one).wrapping_mul(u128::from(other));
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tags_that_count_up_spread_over_a_table() {
        for _ in 0..100 {
            let hashing = TagHashing::default();
            let hashes: Vec<u64> = (0..4096_u64).map(|n| hashing.hash_one(DeliveryTag::from(n))).collect();
            assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), 4096);
            // The lowest bits choose the place in a table; of 4,096 places a random choice leaves 1,507 empty.
            let places: HashSet<u64> = hashes.iter().map(|hash| hash % 4096).collect();
            assert!(places.len() > 2300, "{} places", places.len());
            // The highest seven bits tell apart what has the same place.
            assert_eq!(hashes.iter().map(|hash| hash >> 57).collect::<HashSet<_>>().len(), 128);
        }
    }
}
