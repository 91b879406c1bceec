//! The unsettled deliveries of one end of a link, by key and by tag.

use amqp10_codec::DeliveryTag;

use crate::slots::{Key, Slots};
use crate::tags::Tags;

/// What has a delivery-tag.
pub(crate) trait Tagged {
    fn tag(&self) -> &DeliveryTag;
}

/// Deliveries of which no two have the same tag. §2.6.12
///
/// Nearly every sender counts its tags up, so that a tag beyond all others needs no table to be told apart from them. The table is
/// made when a tag comes that is not, and is left when nothing is unsettled any more.
#[derive(Debug)]
pub(crate) struct Unsettled<T> {
    deliveries: Slots<T>,
    /// No tag here is beyond this one.
    last: DeliveryTag,
    /// Whether `tags` is kept.
    indexed: bool,
    tags: Option<Box<Tags>>,
}

impl<T> Default for Unsettled<T> {
    fn default() -> Self {
        Self { deliveries: Slots::default(), last: 0.into(), indexed: false, tags: None }
    }
}

impl<T: Tagged> Unsettled<T> {
    /// Adds a delivery, unless its tag is here already.
    pub(crate) fn insert(&mut self, delivery: T) -> Option<Key> {
        let tag = *delivery.tag();
        self.insert_with(&tag, || delivery)
    }

    /// Adds the delivery of this tag that `make` makes where it is to stay, unless the tag is here already.
    #[inline(always)]
    pub(crate) fn insert_with(&mut self, tag: &DeliveryTag, make: impl FnOnce() -> T) -> Option<Key> {
        if !self.indexed && (*tag > self.last || self.deliveries.len() == 0) {
            self.last = *tag;
            return Some(self.deliveries.insert_with(make));
        }
        self.insert_indexed(make())
    }

    #[cold]
    fn index(&mut self) {
        let tags = self.tags.get_or_insert_default();
        let tag_at = tag_at(&self.deliveries);
        self.deliveries.iter().for_each(|(key, delivery)| tags.insert(delivery.tag(), key.slot, &tag_at));
        self.indexed = true;
    }

    #[inline(never)]
    fn insert_indexed(&mut self, delivery: T) -> Option<Key> {
        if !self.indexed {
            self.index();
        }
        let tag = *delivery.tag();
        let tags = self.tags.get_or_insert_default();
        if tags.find(&tag, tag_at(&self.deliveries)).is_some() {
            return None;
        }
        let key = self.deliveries.insert(delivery);
        tags.insert(&tag, key.slot, tag_at(&self.deliveries));
        self.last = self.last.max(tag);
        Some(key)
    }

    /// Forgets a delivery.
    #[inline(always)]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let delivery = self.deliveries.remove(key)?;
        if self.indexed {
            self.unindex(delivery.tag(), key.slot);
        }
        Some(delivery)
    }

    /// Forgets a delivery, and hands out nothing of it.
    #[inline(always)]
    pub(crate) fn forget(&mut self, key: Key) {
        if self.indexed {
            self.remove(key);
        } else {
            self.deliveries.forget(key);
        }
    }

    fn unindex(&mut self, tag: &DeliveryTag, slot: u32) {
        if let Some(tags) = &mut self.tags {
            tags.remove(tag, slot);
            self.indexed = !tags.is_empty();
        }
    }

    /// The delivery of this tag.
    pub(crate) fn by_tag(&mut self, tag: &DeliveryTag) -> Option<Key> {
        if self.deliveries.len() == 0 || *tag > self.last {
            return None;
        }
        if !self.indexed {
            self.index();
        }
        let slot = self.tags.as_ref()?.find(tag, tag_at(&self.deliveries))?;
        self.deliveries.key_at(slot)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.deliveries.get(key)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.deliveries.get_mut(key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.deliveries.iter()
    }
}

/// Which tag the delivery in a slot has.
fn tag_at<T: Tagged>(deliveries: &Slots<T>) -> impl Fn(u32) -> Option<DeliveryTag> {
    |slot| deliveries.at(slot).map(|delivery| *delivery.tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tagged for DeliveryTag {
        fn tag(&self) -> &DeliveryTag {
            self
        }
    }

    fn tag(number: u64) -> DeliveryTag {
        DeliveryTag::from(number)
    }

    #[test]
    fn tags_that_count_up_need_no_table() {
        let mut unsettled = Unsettled::default();
        let keys: Vec<Key> = (0..100).map(|number| unsettled.insert(tag(number)).unwrap()).collect();
        for key in &keys[..99] {
            assert!(unsettled.remove(*key).is_some());
        }
        assert!(unsettled.tags.is_none());
        assert_eq!(unsettled.insert(tag(99)), None);
        assert!(unsettled.tags.is_some(), "99 is not beyond 99");
        unsettled.remove(keys[99]);
        assert!(!unsettled.indexed);
        assert!(unsettled.insert(tag(0)).is_some(), "nothing is unsettled, so any tag is new");
    }

    proptest::proptest! {
        #[test]
        fn no_two_deliveries_have_the_same_tag(
            steps in proptest::collection::vec((proptest::bool::weighted(0.6), 0_u64..40), 0..200),
        ) {
            let mut unsettled = Unsettled::default();
            let mut model: Vec<(DeliveryTag, Key)> = Vec::new();
            for (insert, number) in steps {
                if insert {
                    let known = model.iter().any(|(known, _)| *known == tag(number));
                    let key = unsettled.insert(tag(number));
                    proptest::prop_assert_eq!(key.is_none(), known);
                    model.extend(key.map(|key| (tag(number), key)));
                } else if !model.is_empty() {
                    let (removed, key) = model.swap_remove(number as usize % model.len());
                    proptest::prop_assert_eq!(unsettled.remove(key), Some(removed));
                }
                let found = model.iter().find(|(known, _)| *known == tag(number)).map(|(_, key)| *key);
                // Asking makes the table, so ask only sometimes.
                if number % 8 == 0 {
                    proptest::prop_assert_eq!(unsettled.by_tag(&tag(number)), found);
                }
            }
        }
    }
}
