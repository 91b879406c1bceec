//! A queue in one piece.

/// What was put in first comes out first. Everything in it stands in one slice, and putting something in writes it where it stays.
///
/// The buffer is kept. The places of what was taken are used again once the queue is empty, or before the buffer would grow.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Vec<T>,
    /// How many at the front of `items` have been taken.
    taken: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: Vec::new(), taken: 0 }
    }
}

impl<T> Queue<T> {
    #[inline(always)]
    pub(crate) fn push(&mut self, item: T) {
        self.make_room();
        self.items.push(item);
    }

    /// What is in it, the oldest first.
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        self.items.get(self.taken..).unwrap_or(&[])
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(self.taken..).unwrap_or(&mut [])
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.len() == self.taken
    }

    /// Forgets the `n` oldest.
    #[inline(always)]
    pub(crate) fn advance(&mut self, n: usize) {
        self.taken = self.taken.saturating_add(n).min(self.items.len());
    }

    /// Forgets the `n` oldest and shows what they were.
    #[inline(always)]
    pub(crate) fn take(&mut self, n: usize) -> &[T] {
        let from = self.taken;
        self.advance(n);
        self.items.get(from..self.taken).unwrap_or(&[])
    }

    #[inline(always)]
    fn make_room(&mut self) {
        let full = self.items.len() == self.items.capacity();
        // Moving less than what was taken costs no more than taking it did.
        if self.taken > 0 && (self.taken == self.items.len() || (full && self.taken > self.items.len() / 2)) {
            self.tidy();
        }
    }

    #[inline(never)]
    fn tidy(&mut self) {
        self.items.drain(..self.taken);
        self.taken = 0;
    }

    /// Keeps what `keep` says.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.tidy();
        self.items.retain(keep);
    }
}

impl<T> Queue<Option<T>> {
    /// Takes the oldest.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let place = self.items.get_mut(self.taken)?;
        self.taken = self.taken.saturating_add(1);
        place.take()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    proptest::proptest! {
        #[test]
        fn what_was_put_in_first_comes_out_first(steps in proptest::collection::vec(proptest::option::of(0..5_usize), 0..300)) {
            let (mut queue, mut model) = (Queue::default(), VecDeque::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    None => {
                        queue.push(Some(number));
                        model.push_back(number);
                    }
                    Some(0) => proptest::prop_assert_eq!(queue.pop(), model.pop_front()),
                    Some(1) => {
                        queue.retain(|item| item.is_some_and(|item| item % 3 > 0));
                        model.retain(|item| item % 3 > 0);
                    }
                    Some(n) => {
                        queue.advance(n);
                        model.drain(..n.min(model.len()));
                    }
                }
                proptest::prop_assert!(queue.as_slice().iter().flatten().eq(&model));
                proptest::prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_queue_that_never_runs_empty_does_not_grow() {
        let mut queue = Queue::default();
        for number in 0..10 {
            queue.push(Some(number));
        }
        for number in 10..10_000 {
            queue.push(Some(number));
            assert_eq!(queue.pop(), Some(number - 10));
        }
        assert!(queue.items.capacity() <= 64, "{} places for 10", queue.items.capacity());
    }
}
