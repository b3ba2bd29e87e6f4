//! The start of a load, and the time since.

use std::sync::{Arc, OnceLock};

/// A clock that both ends of a run share, and that starts with its first item.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    clock: quanta::Clock,
    begun: Arc<OnceLock<u64>>,
}

impl Epoch {
    /// On the machine's clock. The first one in a process is calibrated, which takes up to 200 ms.
    pub(crate) fn new() -> Self {
        Self::on(quanta::Clock::new())
    }

    pub(crate) fn on(clock: quanta::Clock) -> Self {
        Self { clock, begun: Arc::default() }
    }

    /// Time starts now, unless it has started before.
    pub(crate) fn begin(&self) {
        self.begun.get_or_init(|| self.clock.raw());
    }

    /// Nanoseconds since the beginning; 0 before it.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        let now = self.clock.raw();
        self.begun.get().map_or(0, |&begun| self.clock.delta_as_nanos(begun, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_starts_once_and_for_all_clones() {
        let (clock, hand) = quanta::Clock::mock();
        let epoch = Epoch::on(clock);
        let other = epoch.clone();
        hand.increment(10);
        assert_eq!(other.now_ns(), 0);
        epoch.begin();
        hand.increment(7);
        other.begin();
        assert_eq!((epoch.now_ns(), other.now_ns()), (7, 7));
    }
}
