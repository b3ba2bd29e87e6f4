//! One item at a time between two threads: when it was sent, and that it came.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

/// Shared by a sender and a handler that take turns.
#[derive(Debug)]
pub(super) struct Baton {
    clock: quanta::Clock,
    /// The clock's raw count just before the last item was sent.
    sent: CachePadded<AtomicU64>,
    /// Items that were handled.
    handled: CachePadded<AtomicU64>,
}

impl Baton {
    /// The first clock in a process is calibrated, which takes up to 200 ms.
    pub(super) fn new() -> Self {
        let zero = || CachePadded::new(AtomicU64::new(0));
        Self { clock: quanta::Clock::new(), sent: zero(), handled: zero() }
    }

    /// An item is about to be sent.
    #[inline]
    pub(super) fn send(&self) {
        // Release [sent]: the sender need not rely on what the way of the item orders.
        self.sent.store(self.clock.raw(), Ordering::Release);
    }

    /// Nanoseconds since the item was sent.
    #[inline]
    pub(super) fn since_sent_ns(&self) -> u64 {
        let now = self.clock.raw();
        // Acquire [sent]: pairs with the Release in `send`.
        self.clock.delta_as_nanos(self.sent.load(Ordering::Acquire), now)
    }

    /// So many items more were handled.
    #[inline]
    pub(super) fn handled(&self, items: usize) {
        // Release [handled]: what the handler did is seen by whoever sees the count.
        self.handled.fetch_add(items as u64, Ordering::Release);
    }

    /// Waits until `items` were handled in all.
    pub(super) fn await_handled(&self, items: u64) {
        // Acquire [handled]: pairs with the Release in `handled`.
        while self.handled.load(Ordering::Acquire) < items {
            std::thread::yield_now();
        }
    }

    /// Keeps the calling thread busy for so long.
    pub(super) fn rest(&self, time: Duration) {
        let begun = self.clock.raw();
        while u128::from(self.clock.delta_as_nanos(begun, self.clock.raw())) < time.as_nanos() {
            std::hint::spin_loop();
        }
    }
}
