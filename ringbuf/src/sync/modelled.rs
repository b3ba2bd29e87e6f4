//! Loom's types, wrapped so that each call site's ordering can be weakened at run time.
//!
//! Every function here is `#[track_caller]`: the place in the source that names the ordering is
//! the place that [`canary`](super::canary) knows and weakens.

use super::canary::{self, Half};
use loom::sync::atomic as model;
use std::panic::Location;

pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
pub(crate) use loom::thread::{Thread, current};
pub(crate) use std::sync::atomic::Ordering;
use std::time::Duration;

#[track_caller]
fn load_order(order: Ordering) -> Ordering {
    canary::weaken(Location::caller(), Half::Load, order)
}

#[track_caller]
fn store_order(order: Ordering) -> Ordering {
    canary::weaken(Location::caller(), Half::Store, order)
}

/// The ordering of a read-modify-write: either half can be weakened by itself.
#[track_caller]
fn both_order(order: Ordering) -> Ordering {
    let order = canary::weaken(Location::caller(), Half::Load, order);
    canary::weaken(Location::caller(), Half::Store, order)
}

#[track_caller]
fn failure_order(order: Ordering) -> Ordering {
    canary::weaken(Location::caller(), Half::Failure, order)
}

/// What the load of a read-modify-write in two steps still orders.
fn load_part(order: Ordering) -> Ordering {
    match order {
        Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst => Ordering::Acquire,
        _ => Ordering::Relaxed,
    }
}

/// What the store of a read-modify-write in two steps still orders.
fn store_part(order: Ordering) -> Ordering {
    match order {
        Ordering::Release | Ordering::AcqRel | Ordering::SeqCst => Ordering::Release,
        _ => Ordering::Relaxed,
    }
}

/// A fence, or what is left of the one that is weakened.
#[track_caller]
pub(crate) fn fence(order: Ordering) {
    if let Some(order) = canary::weaken_fence(Location::caller(), order) {
        model::fence(order);
    }
}

/// Finds what is never dropped: a model in which one of these outlives it does not hold.
pub(crate) struct Dropped(#[allow(dead_code)] loom::alloc::Track<()>);

impl Dropped {
    pub(crate) fn once() -> Self {
        Self(loom::alloc::Track::new(()))
    }
}

/// The value of an atomic that nobody else can reach any more.
pub(crate) fn value_of(atomic: &mut AtomicU64) -> u64 {
    atomic.0.with_mut(|value| *value)
}

/// Where one thread parks and others wake it. A wake that comes first is not lost.
///
/// Made of a lock and a condition, since loom's own `unpark` also ends other waits of its thread.
#[derive(Debug)]
pub(crate) struct Parking {
    woken: Mutex<bool>,
    changed: loom::sync::Condvar,
}

impl Parking {
    pub(crate) fn here() -> Self {
        Self { woken: Mutex::new(false), changed: loom::sync::Condvar::new() }
    }

    pub(crate) fn park(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.changed.wait(woken).unwrap();
        }
        *woken = false;
    }

    /// Returns at once: a model has no clock, and whoever waits for a limited time counts how often.
    pub(crate) fn park_timeout(&self, _limit: Duration) {
        *self.woken.lock().unwrap() = false;
        loom::thread::yield_now();
    }

    pub(crate) fn unpark(&self) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

/// One step of waiting for a thread that is about to finish.
pub(crate) fn pause(_round: u32) {
    loom::thread::yield_now();
}

macro_rules! atomic {
    ($name:ident, $of:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name(model::$name);

        #[allow(dead_code)]
        impl $name {
            #[track_caller]
            pub(crate) fn new(value: $of) -> Self {
                Self(model::$name::new(value))
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $of {
                self.0.load(load_order(order))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $of, order: Ordering) {
                self.0.store(value, store_order(order));
            }

            /// A read-modify-write: `whole` in one step, unless it is to be taken apart.
            #[track_caller]
            fn change(
                &self,
                order: Ordering,
                whole: impl FnOnce(&model::$name, Ordering) -> $of,
                new: impl FnOnce($of) -> $of,
            ) -> $of {
                let at_once = both_order(order);
                if canary::keeps_whole(Location::caller()) {
                    return whole(&self.0, at_once);
                }
                let was = self.0.load(load_part(order));
                self.0.store(new(was), store_part(order));
                was
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $of, order: Ordering) -> $of {
                self.change(order, |atomic, order| atomic.swap(value, order), |_| value)
            }

            #[track_caller]
            pub(crate) fn fetch_or(&self, value: $of, order: Ordering) -> $of {
                self.change(order, |atomic, order| atomic.fetch_or(value, order), |was| was | value)
            }

            #[track_caller]
            pub(crate) fn fetch_and(&self, value: $of, order: Ordering) -> $of {
                self.change(
                    order,
                    |atomic, order| atomic.fetch_and(value, order),
                    |was| was & value,
                )
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                current: $of,
                new: $of,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$of, $of> {
                let orders = (both_order(success), failure_order(failure));
                if canary::keeps_whole(Location::caller()) {
                    return self.0.compare_exchange(current, new, orders.0, orders.1);
                }
                let was = self.0.load(load_part(success));
                if was != current {
                    return Err(was);
                }
                self.0.store(new, store_part(success));
                Ok(was)
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);

impl AtomicUsize {
    #[track_caller]
    pub(crate) fn fetch_max(&self, value: usize, order: Ordering) -> usize {
        self.change(order, |atomic, order| atomic.fetch_max(value, order), |was| was.max(value))
    }
}

/// A cell whose accesses the model checks.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    #[track_caller]
    pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(access)
    }
}

/// Checks who touches which slot when: an empty cell for each, touched as the slot is.
#[derive(Debug)]
pub(crate) struct Tracks(Box<[loom::cell::UnsafeCell<()>]>);

/// A copy of the way to [`Tracks`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct TracksView(*const [loom::cell::UnsafeCell<()>]);

impl Tracks {
    pub(crate) fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| loom::cell::UnsafeCell::new(())).collect())
    }

    pub(crate) fn view(&self) -> TracksView {
        TracksView(&raw const *self.0)
    }
}

impl TracksView {
    #[track_caller]
    pub(crate) fn reads(self, slot: usize) {
        // SAFETY: a view of slots is used only while the slots live, and these with them.
        let cells = unsafe { &*self.0 };
        cells[slot].with(|_| ());
    }

    #[track_caller]
    pub(crate) fn writes(self, slot: usize) {
        // SAFETY: a view of slots is used only while the slots live, and these with them.
        let cells = unsafe { &*self.0 };
        cells[slot].with_mut(|_| ());
    }
}
