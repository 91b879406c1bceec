//! When to try again: with full jitter, doubling, and never more often than the service permits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);
/// How long a link has to be up before the pauses begin anew.
const STEADY: Duration = Duration::from_secs(60);
/// Attempts that the service permits in a minute for a consumer group.
const PER_MINUTE: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    up_since: Option<Instant>,
    attempts: VecDeque<Instant>,
}

impl Backoff {
    /// An attempt is made.
    pub(crate) fn attempt(&mut self, now: Instant) {
        if self.attempts.len() == PER_MINUTE {
            self.attempts.pop_front();
        }
        self.attempts.push_back(now);
    }

    /// The link is up.
    pub(crate) fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// The pause before the next attempt; `random` lies between 0 and 1.
    pub(crate) fn pause(&mut self, now: Instant, random: f64) -> Duration {
        if self.up_since.take().is_some_and(|since| now.saturating_duration_since(since) >= STEADY) {
            self.failures = 0;
        }
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures.min(16))).min(CAP);
        // The first retry comes after 0.5 to 1 s; later ones anywhere up to the doubled pause, but never at once.
        let pause = if self.failures == 0 { FIRST + FIRST.mul_f64(random) } else { FIRST.max(doubled.mul_f64(random)) };
        self.failures = self.failures.saturating_add(1);
        let allowed = match self.attempts.front() {
            Some(oldest) if self.attempts.len() == PER_MINUTE => {
                Duration::from_secs(60).saturating_sub(now.saturating_duration_since(*oldest))
            }
            _ => Duration::ZERO,
        };
        pause.max(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_cap_and_begin_anew_after_a_steady_minute() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        assert_eq!(backoff.pause(now, 0.0), Duration::from_millis(500));
        let pauses: Vec<u128> = (0..7).map(|_| backoff.pause(now, 1.0).as_millis()).collect();
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(backoff.pause(now, 0.0), FIRST, "jitter is full, but never none");
        backoff.up(now);
        assert_eq!(backoff.pause(now + STEADY / 2, 1.0), CAP, "half a minute is not steady");
        backoff.up(now);
        assert_eq!(backoff.pause(now + STEADY, 1.0), Duration::from_secs(1));
    }

    #[test]
    fn a_hundred_attempts_a_minute_are_enough() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        for n in 0..100 {
            backoff.attempt(start + Duration::from_millis(n * 100));
        }
        let now = start + Duration::from_secs(10);
        assert_eq!(backoff.pause(now, 0.0), Duration::from_secs(50));
    }
}
