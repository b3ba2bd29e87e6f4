//! How often an item is tried, and how long to wait between.

use std::time::Duration;

use crate::nanos::Nanos;

/// What happens to an item whose handler says [`Verdict::Retry`](crate::Verdict::Retry): it waits and is
/// tried again, until its attempts are used up; then it is *dead*.
///
/// The wait is capped exponential backoff with jitter: before the attempt after the `n`-th, up to
/// `first` times 2 to the power of `n - 1`, and never more than `longest`; of that a random part, up to
/// `jitter`, is left out, so that what failed together is not tried together again (M. Brooker,
/// "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: "equal jitter" is a `jitter` of 0.5). A
/// shard never sleeps for it: the item waits on the timer wheel, up to a tick of it longer (for a
/// `longest` of up to a quarter of a second 2^20 ns at most, a little more than a millisecond).
///
/// ```
/// use engine::Retry;
/// use std::time::Duration;
///
/// let retry = Retry { attempts: 4, first: Duration::from_millis(20), ..Retry::default() };
/// assert_eq!(retry.ceiling(1), Duration::from_millis(20));
/// assert_eq!(retry.ceiling(3), Duration::from_millis(80));
/// assert_eq!(retry.ceiling(60), retry.longest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Attempts of an item, the first one included: 1 to 1,000. With 1, a `Retry` is the end.
    pub attempts: u32,
    /// The wait after the first attempt: up to an hour.
    pub first: Duration,
    /// The longest wait: from `first` to an hour.
    pub longest: Duration,
    /// The part of each wait that is left to chance: 0 to 1.
    pub jitter: f64,
    /// Where the random numbers start: the same seed gives the same waits, on each shard its own.
    pub seed: u64,
}

impl Default for Retry {
    /// One attempt; if there were more, waits from 10 ms to 10 s, a half of each left to chance.
    fn default() -> Self {
        Self {
            attempts: 1,
            first: Duration::from_millis(10),
            longest: Duration::from_secs(10),
            jitter: 0.5,
            seed: 0,
        }
    }
}

impl Retry {
    /// So many attempts, with the default's waits.
    #[must_use]
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// The longest wait after so many attempts, before chance shortens it; 0 for none.
    #[must_use]
    pub fn ceiling(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(63);
        let first = u64::try_from(self.first.as_nanos()).unwrap_or(u64::MAX);
        let wait = Duration::from_nanos(first.saturating_mul(1 << doublings));
        if attempts == 0 { Duration::ZERO } else { wait.min(self.longest) }
    }
}

/// One shard's backoffs.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    retry: Retry,
    chance: u64,
}

impl Backoff {
    pub(crate) fn new(retry: Retry, shard: usize) -> Self {
        Self { retry, chance: retry.seed ^ (shard as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// Attempts that an item has in all.
    pub(crate) fn attempts(&self) -> u32 {
        self.retry.attempts
    }

    /// How long to wait after so many attempts.
    pub(crate) fn after(&mut self, attempts: u32) -> Nanos {
        let ceiling = Nanos::from(self.retry.ceiling(attempts)).as_nanos() as f64;
        let part = self.retry.jitter * self.next_unit();
        Nanos::from_nanos((ceiling * (1.0 - part)) as u64)
    }

    /// The next number in 0..1: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
    /// generators", 2014).
    fn next_unit(&mut self) -> f64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_chance_only_shortens_it() {
        let retry = Retry {
            attempts: 9,
            first: Duration::from_millis(3),
            longest: Duration::from_millis(50),
            jitter: 0.25,
            seed: 7,
        };
        let mut backoff = Backoff::new(retry, 0);
        for attempts in 1..70 {
            let ceiling = Nanos::from(retry.ceiling(attempts));
            let wait = backoff.after(attempts);
            assert!(wait <= ceiling, "{attempts}: {wait} of {ceiling}");
            assert!(wait.as_nanos() as f64 >= ceiling.as_nanos() as f64 * 0.75 - 1.0, "{wait}");
        }
        assert_eq!(retry.ceiling(5), Duration::from_millis(48));
        assert_eq!(retry.ceiling(6), Duration::from_millis(50));
    }

    #[test]
    fn waits_repeat_with_the_seed_and_differ_between_shards() {
        let waits = |seed, shard| {
            let mut backoff = Backoff::new(Retry { seed, ..Retry::attempts(3) }, shard);
            (0..8).map(|_| backoff.after(1)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1, 0), waits(1, 0));
        assert_ne!(waits(1, 0), waits(2, 0));
        assert_ne!(waits(1, 0), waits(1, 1));
    }
}
