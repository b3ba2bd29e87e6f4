//! The standard library's types; what models need beyond them costs nothing here.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
pub(crate) use std::thread::{Thread, current};
use std::time::Duration;

/// A cell whose accesses a model can check.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Lends the place for writing; the caller answers for what it does with it.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}

/// Checks who touches which slot when; here there is nothing to check with.
#[derive(Debug)]
pub(crate) struct Tracks;

/// A copy of the way to [`Tracks`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct TracksView;

impl Tracks {
    pub(crate) fn new(_slots: usize) -> Self {
        Self
    }

    pub(crate) fn view(&self) -> TracksView {
        TracksView
    }
}

impl TracksView {
    #[inline(always)]
    pub(crate) fn reads(self, _slot: usize) {}

    #[inline(always)]
    pub(crate) fn writes(self, _slot: usize) {}
}

/// Finds what is never dropped; here there is nothing to find it with.
#[derive(Debug)]
pub(crate) struct Dropped;

impl Dropped {
    pub(crate) fn once() -> Self {
        Self
    }
}

/// The value of an atomic that nobody else can reach any more.
pub(crate) fn value_of(atomic: &mut AtomicU64) -> u64 {
    *atomic.get_mut()
}

/// Where one thread parks and others wake it. A wake that comes first is not lost.
#[derive(Debug)]
pub(crate) struct Parking(Thread);

impl Parking {
    /// For the calling thread, the only one that may park here.
    pub(crate) fn here() -> Self {
        Self(current())
    }

    /// Returns after a wake, or for nothing.
    pub(crate) fn park(&self) {
        std::thread::park();
    }

    /// As [`park`](Self::park), for no longer than `limit`.
    pub(crate) fn park_timeout(&self, limit: Duration) {
        std::thread::park_timeout(limit);
    }

    pub(crate) fn unpark(&self) {
        self.0.unpark();
    }
}

/// One step of waiting for a thread that is about to finish: spins first, then yields the core.
pub(crate) fn pause(round: u32) {
    if round < 7 {
        for _ in 0..1 << round {
            std::hint::spin_loop();
        }
    } else {
        std::thread::yield_now();
    }
}
