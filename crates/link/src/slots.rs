//! Things named by a slot and a generation, so that a name that outlived its thing finds nothing.

/// A place in a [`Slots`] and the generation of what it held when this name was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Names a session of a [`Connection`](crate::Connection). The name of a session that is gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) Key);

/// Names a link of a [`Connection`](crate::Connection). The name of a link that is gone finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) Key);

#[derive(Debug)]
enum Slot<T> {
    Full(u32, T),
    /// The generation of the next occupant and the next free slot.
    Free(u32, Option<u32>),
}

/// A slab whose keys carry a generation.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: None, len: 0 }
    }
}

impl<T> Slots<T> {
    /// What a thing takes here.
    #[cfg(test)]
    pub(crate) const SLOT: usize = size_of::<Slot<T>>();

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.insert_with(|| value)
    }

    /// Adds what `make` makes where it is to stay.
    #[inline(always)]
    pub(crate) fn insert_with(&mut self, make: impl FnOnce() -> T) -> Key {
        self.len = self.len.saturating_add(1);
        if let Some(slot) = self.free
            && let Some(place) = self.slots.get_mut(slot as usize)
            && let Slot::Free(generation, next) = *place
        {
            self.free = next;
            // Nothing is to be dropped of what was free.
            std::mem::forget(std::mem::replace(place, Slot::Full(generation, make())));
            return Key { slot, generation };
        }
        let slot = self.slots.len() as u32;
        if self.slots.is_empty() {
            // Nearly always there is only one session, and often only one link.
            self.slots.reserve_exact(1);
        }
        self.slots.push(Slot::Full(0, make()));
        Key { slot, generation: 0 }
    }

    #[inline(always)]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.slots.get_mut(key.slot as usize)?;
        if !matches!(place, Slot::Full(generation, _) if *generation == key.generation) {
            return None;
        }
        let freed = Slot::Free(key.generation.wrapping_add(1), self.free);
        self.free = Some(key.slot);
        self.len = self.len.saturating_sub(1);
        match std::mem::replace(place, freed) {
            Slot::Full(_, value) => Some(value),
            Slot::Free(..) => None,
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.slots.get(key.slot as usize) {
            Some(Slot::Full(generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.slot as usize) {
            Some(Slot::Full(generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Drops what a key names where it is.
    #[inline(always)]
    pub(crate) fn forget(&mut self, key: Key) {
        if let Some(place) = self.slots.get_mut(key.slot as usize)
            && matches!(place, Slot::Full(generation, _) if *generation == key.generation)
        {
            *place = Slot::Free(key.generation.wrapping_add(1), self.free);
            self.free = Some(key.slot);
            self.len = self.len.saturating_sub(1);
        }
    }

    /// How many slots there are, free ones included.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// What a slot holds.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        match self.slots.get(slot as usize) {
            Some(Slot::Full(_, value)) => Some(value),
            _ => None,
        }
    }

    /// The key of what a slot holds.
    pub(crate) fn key_at(&self, slot: u32) -> Option<Key> {
        match self.slots.get(slot as usize) {
            Some(Slot::Full(generation, _)) => Some(Key { slot, generation: *generation }),
            _ => None,
        }
    }

    /// How many things are held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Everything held, in the order of slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, place)| match place {
            Slot::Full(generation, value) => Some((Key { slot: slot as u32, generation: *generation }, value)),
            Slot::Free(..) => None,
        })
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.iter().map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_outlived_its_thing_finds_nothing() {
        let mut slots = Slots::default();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(second.slot, first.slot);
        assert_eq!((slots.get(first), slots.get(second)), (None, Some(&"second")));
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.len(), 1);
    }
}
