//! Deadlines by name, so that a new one cannot be forgotten.

use std::time::Instant;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Header and open, or the answer to our close.
    Handshake,
    /// Nothing came from the peer for too long.
    PeerSilent,
    /// Nothing left for as long as the peer bears.
    Heartbeat,
    /// The oldest begin or attach of the peer stayed unanswered.
    Answer,
    /// Somebody has waited long enough for a delivery.
    Pull,
}

impl Timer {
    const ALL: [Self; 5] = [Self::Handshake, Self::PeerSilent, Self::Heartbeat, Self::Answer, Self::Pull];
}

#[derive(Debug, Default)]
pub(crate) struct Timers([Option<Instant>; 5]);

impl Timers {
    #[inline]
    pub(crate) fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        if let Some(place) = self.0.get_mut(timer as usize) {
            *place = deadline;
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes one deadline that has passed.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Timer> {
        for timer in Timer::ALL {
            if let Some(place) = self.0.get_mut(timer as usize)
                && place.is_some_and(|deadline| deadline <= now)
            {
                *place = None;
                return Some(timer);
            }
        }
        None
    }
}
