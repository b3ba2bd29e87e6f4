//! Time from a start to an entry, without what lies between entries and leaves.

use std::sync::atomic::{AtomicU64, Ordering};

/// Stands outside of handlers. All of it happens on one thread: the atomics are for the types, since a
/// handler is made by a factory that could go anywhere, and cost no more than plain loads and stores.
#[derive(Debug)]
pub(super) struct Stopwatch {
    clock: quanta::Clock,
    begun: AtomicU64,
    /// Nanoseconds from the start to the last entry, without what was left out.
    to_entry: AtomicU64,
    left_out: AtomicU64,
    items: AtomicU64,
}

/// When a handler was entered.
#[derive(Debug)]
pub(super) struct Entry(u64);

impl Stopwatch {
    pub(super) fn on(clock: quanta::Clock) -> Self {
        let zero = || AtomicU64::new(0);
        let (begun, to_entry, left_out, items) = (zero(), zero(), zero(), zero());
        Self { clock, begun, to_entry, left_out, items }
    }

    /// A turn starts.
    pub(super) fn start(&self) {
        self.left_out.store(0, Ordering::Relaxed);
        self.items.store(0, Ordering::Relaxed);
        self.begun.store(self.clock.raw(), Ordering::Relaxed);
    }

    /// A handler is entered with so many items.
    pub(super) fn enter(&self, items: usize) -> Entry {
        let now = self.clock.raw();
        let all = self.clock.delta_as_nanos(self.begun.load(Ordering::Relaxed), now);
        let own = all.saturating_sub(self.left_out.load(Ordering::Relaxed));
        self.to_entry.store(own, Ordering::Relaxed);
        self.items.store(self.items.load(Ordering::Relaxed) + items as u64, Ordering::Relaxed);
        Entry(now)
    }

    /// It is left again.
    pub(super) fn leave(&self, entry: &Entry) {
        let within = self.clock.delta_as_nanos(entry.0, self.clock.raw());
        let left_out = self.left_out.load(Ordering::Relaxed) + within;
        self.left_out.store(left_out, Ordering::Relaxed);
    }

    /// Nanoseconds until the last entry, if handlers were entered with `items` in all since the start.
    pub(super) fn read(&self, items: u64) -> Option<u64> {
        let all = self.items.load(Ordering::Relaxed) == items;
        all.then(|| self.to_entry.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_handlers_is_left_out() {
        let (clock, hand) = quanta::Clock::mock();
        let watch = Stopwatch::on(clock);
        for _ in 0..2 {
            hand.increment(1_000);
            watch.start();
            hand.increment(30);
            let entry = watch.enter(4);
            hand.increment(500);
            watch.leave(&entry);
            hand.increment(7);
            let entry = watch.enter(2);
            hand.increment(500);
            watch.leave(&entry);
            assert_eq!(watch.read(6), Some(37));
            assert_eq!(watch.read(7), None, "an item is missing");
        }
    }
}
