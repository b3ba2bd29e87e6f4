//! Time as a number, and the only place that reads a clock.
//!
//! Everything below the thread that runs a shard takes [`Nanos`] as an argument, so a whole engine
//! can be stepped in a test with a made-up clock. The clock itself is the CPU's time-stamp counter
//! where it is invariant, read through `quanta`, and the operating system's monotonic clock
//! elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A moment, or a length of time, in nanoseconds. Moments count from the start of their engine.
///
/// Range: 0 to `u64::MAX` (584 years); arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(u64);

impl Nanos {
    /// The start of the engine's time, or no time at all.
    pub const ZERO: Self = Self(0);
    /// The end of time: a deadline that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// So many nanoseconds.
    #[inline]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The number of nanoseconds.
    #[inline]
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// `self + other`, at most [`Nanos::MAX`].
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self - other`, at least [`Nanos::ZERO`].
    #[inline]
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl From<Duration> for Nanos {
    /// Durations past 584 years become [`Nanos::MAX`].
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(nanos.0)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Duration::from(*self), f)
    }
}

/// A clock that starts at [`Nanos::ZERO`]; clones share the start.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    source: quanta::Clock,
    origin: u64,
}

impl Clock {
    /// The machine's clock. The first one in a process is calibrated, which takes up to 200 ms.
    pub(crate) fn system() -> Self {
        Self::from_source(quanta::Clock::new())
    }

    /// A clock that stands still until its [`MadeUp`] end moves it.
    pub(crate) fn made_up() -> (Self, MadeUp) {
        let (source, mock) = quanta::Clock::mock();
        (Self::from_source(source), MadeUp(mock))
    }

    fn from_source(source: quanta::Clock) -> Self {
        let origin = source.raw();
        Self { source, origin }
    }

    /// The time since the clock's start. Costs one read of the time-stamp counter, 8 – 20 ns.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        #[cfg(test)]
        READS.set(READS.get() + 1);
        Nanos(self.source.delta_as_nanos(self.origin, self.source.raw()))
    }
}

#[cfg(test)]
thread_local! {
    /// How often this thread has read a clock.
    pub(crate) static READS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Moves a clock made by [`Clock::made_up`].
#[derive(Debug)]
pub(crate) struct MadeUp(Arc<quanta::Mock>);

impl MadeUp {
    /// Moves the clock on by `by`.
    pub(crate) fn advance(&self, by: Nanos) {
        self.0.increment(by.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_clock_stands_still_until_it_is_moved() {
        let (clock, hand) = Clock::made_up();
        assert_eq!(clock.now(), Nanos::ZERO);
        let other = clock.clone();
        hand.advance(Nanos::from_nanos(1_234));
        assert_eq!(clock.now(), Nanos::from_nanos(1_234));
        assert_eq!(other.now(), Nanos::from_nanos(1_234));
    }

    #[test]
    fn the_system_clock_does_not_run_backwards() {
        let clock = Clock::system();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn durations_out_of_range_become_the_end_of_time() {
        assert_eq!(Nanos::from(Duration::MAX), Nanos::MAX);
        assert_eq!(Nanos::MAX.saturating_add(Nanos::from_nanos(1)), Nanos::MAX);
        assert_eq!(Nanos::ZERO.saturating_sub(Nanos::from_nanos(1)), Nanos::ZERO);
    }
}
