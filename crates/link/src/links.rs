//! The links of a connection, found by key or by name.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

use amqp10_codec::Role;

use crate::link::Link;
use crate::slots::{Key, Slots};

/// All links of a connection, those that are detached and were not taken included.
#[derive(Debug, Default)]
pub(crate) struct Links {
    slots: Slots<Link>,
    /// Links by a hash of name and role, so that an attach costs the same among many links as among few. The hash is seeded at random:
    /// the names are the peer's.
    names: HashMap<u64, Vec<Key>>,
    hashing: RandomState,
}

impl Links {
    fn hash(&self, name: &str, role: Role) -> u64 {
        self.hashing.hash_one((name, role == Role::Sender))
    }

    /// A link keeps its name and role as long as it is here.
    pub(crate) fn insert(&mut self, link: Link) -> Key {
        let hash = self.hash(&link.name, link.role());
        let key = self.slots.insert(link);
        self.names.entry(hash).or_insert_with(|| Vec::with_capacity(1)).push(key);
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Link> {
        self.forget_name(key);
        self.slots.remove(key)
    }

    /// A link is detached on both sides for good: it is found by its key only.
    pub(crate) fn forget_name(&mut self, key: Key) {
        let Some(link) = self.slots.get(key) else {
            return;
        };
        if let Entry::Occupied(mut same) = self.names.entry(self.hash(&link.name, link.role())) {
            same.get_mut().retain(|other| *other != key);
            if same.get().is_empty() {
                same.remove();
            }
        }
    }

    /// The links of this name and role that are not detached on both sides, or only suspended.
    pub(crate) fn named<'l>(&'l self, name: &'l str, role: Role) -> impl Iterator<Item = (Key, &'l Link)> {
        let same = self.names.get(&self.hash(name, role)).map(Vec::as_slice).unwrap_or_default();
        let found = same.iter().filter_map(|key| Some((*key, self.slots.get(*key)?)));
        found.filter(move |(_, link)| link.name == *name && link.role() == role)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&Link> {
        self.slots.get(key)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Link> {
        self.slots.get_mut(key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}
