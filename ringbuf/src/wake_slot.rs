//! The slot in which one waiter leaves its [`Waker`].
//!
//! The algorithm is that of `AtomicWaker` in the futures crate, with two changes. An empty slot has
//! a state of its own, so that whoever would wake somebody finds with one load that there is
//! nobody. And the store-load order between the event and the waiter is the asymmetric
//! [`barrier`](crate::barrier): free for the waking side, which runs often, and paid for by the
//! waiter.
//!
//! A waker is the waiter's code and runs on the waking side, which has no part in it: its panics end there.
//!
//! What it promises: when an event is published, then `wake` is called, and a waiter calls
//! `register` and then looks for the event, then the waiter either sees the event or is woken.

use crate::barrier::{MAY_BE_ASYMMETRIC, heavy, light, pass, pushes_without_fence};
use crate::panics::contain;
use crate::sync::{AtomicU64, Ordering, UnsafeCell, pause};
use std::task::Waker;

/// Nobody waits, and nobody touches the waker.
const EMPTY: u64 = 0;
/// The waiter is writing the waker.
const WRITING: u64 = 1;
/// The waker is there.
const SET: u64 = 2;
/// A bit: somebody is taking the waker, or wanted to while it was being written.
const WAKING: u64 = 4;
/// A bit, for life: the event and looking for a waiter need a fence between. Here, so that who finds
/// nobody has asked for both with one load and one branch: a tenth of what a ring's pop takes.
const FENCED: u64 = 8;

/// What a waiter has left to do where foreign code may run: not while it holds a lock.
#[derive(Debug, Default)]
#[must_use = "somebody may have to be woken"]
pub(crate) struct Errand {
    wake: Option<Waker>,
    displaced: [Option<Waker>; 2],
}

impl Errand {
    /// Wakes who is to be woken, and drops wakers that were displaced.
    pub(crate) fn run(self) {
        if let Some(waker) = self.wake {
            // Whoever is waking is about to be done with it, unless it lost its core: give it ours
            // rather than spin.
            pause(7);
            waker.wake();
        }
    }

    /// Both errands, of two places of the same waiter.
    pub(crate) fn and(self, other: Self) -> Self {
        let [a, b] = self.displaced;
        let [c, d] = other.displaced;
        // Each place has at most one displaced waker an errand; two errands of one place, the
        // second of which clears what the first left, still make no more than two.
        debug_assert!([&a, &b, &c, &d].iter().filter(|waker| waker.is_some()).count() <= 2);
        Self { wake: self.wake.or(other.wake), displaced: [a.or(b), c.or(d)] }
    }
}

/// A place for one waiter's waker.
///
/// One waiter at a time and one waker at a time: the two ends of a ring, each of which belongs to
/// one thread at a time and is handed over with an order. (With two threads that wake at once, one
/// that finds nobody any more could hide from the waiter, by its own EMPTY, that the other has moved
/// the waker out.)
#[derive(Debug)]
pub(crate) struct WakeSlot {
    /// One of the states above, with `fenced` in each.
    state: AtomicU64,
    /// FENCED or nothing.
    fenced: u64,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the cell is touched only by the waiter, from when it moved `state` from EMPTY or SET to
// WRITING until it leaves that state, and by the one waker, from when its WAKING met SET until it
// stores EMPTY; each such change is one atomic step, so only one of the two is there at a time,
// ordered by [left] and [taken]. That there is one waiter and one waker at a time, ordered among
// their kind, is what the ends of a ring guarantee: both functions are reached through a `Tail` or
// a `Head` alone. A `Waker` may be used and dropped by any thread.
unsafe impl Sync for WakeSlot {}
// SAFETY: a `Waker` may move between threads, and so may the atomic.
unsafe impl Send for WakeSlot {}

impl WakeSlot {
    /// Nobody waits. How the barrier works must have been decided before.
    pub(crate) fn new() -> Self {
        let fenced = if MAY_BE_ASYMMETRIC && !pushes_without_fence() { FENCED } else { 0 };
        Self::with(fenced)
    }

    fn with(fenced: u64) -> Self {
        Self { state: AtomicU64::new(EMPTY | fenced), fenced, waker: UnsafeCell::new(None) }
    }

    /// Leaves `waker` for whoever calls [`wake`](Self::wake) next; the waiter must look for its
    /// event after this and before it sleeps, and run the errand. Costs a heavy barrier.
    pub(crate) fn register(&self, waker: Waker) -> Errand {
        let mut seen = self.state.load(Ordering::Relaxed);
        let displaced = loop {
            if seen & WAKING != 0 {
                // Somebody is taking an older waker of ours: look again rather than wait for it.
                return Errand { wake: Some(waker), ..Errand::default() };
            }
            debug_assert_ne!(seen & !FENCED, WRITING, "two waiters at one slot");
            // Acquire [taken]: whoever emptied the slot has left the cell.
            let writing = WRITING | self.fenced;
            match self.state.compare_exchange(seen, writing, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break self.replace(Some(waker)),
                Err(now) => seen = now,
            }
        };
        // Release [left]: whoever takes the waker sees it written.
        let (writing, set) = (WRITING | self.fenced, SET | self.fenced);
        let left = self.state.compare_exchange(writing, set, Ordering::Release, Ordering::Relaxed);
        if left.is_err() {
            // A wake came meanwhile and found nothing to take: it is ours to deliver.
            return Errand { wake: self.empty(), displaced: [displaced, None] };
        }
        // Between leaving the waker and looking for the event.
        heavy();
        Errand { wake: None, displaced: [displaced, None] }
    }

    /// Takes back what [`register`](Self::register) left, if it is still there. For the waiter,
    /// when it no longer waits: a wake that comes meanwhile may be lost.
    pub(crate) fn clear(&self) -> Errand {
        let mut displaced = None;
        let (writing, set) = (WRITING | self.fenced, SET | self.fenced);
        if self.state.load(Ordering::Relaxed) == set {
            // Relaxed: what is in the cell, the waiter wrote itself.
            let ours =
                self.state.compare_exchange(set, writing, Ordering::Relaxed, Ordering::Relaxed);
            if ours.is_ok() {
                displaced = self.empty();
            }
        }
        Errand { wake: None, displaced: [displaced, None] }
    }

    /// Ends WRITING with an empty cell.
    fn empty(&self) -> Option<Waker> {
        let waker = self.replace(None);
        // Relaxed: the next to touch the cell is the waiter itself. A plain store, though the waker
        // may be adding WAKING at this moment: where that bit comes before, it is ours to lose, since
        // the waiter wakes itself or waits no more; where it comes after, it meets EMPTY.
        self.state.store(EMPTY | self.fenced, Ordering::Relaxed);
        waker
    }

    /// Wakes the waiter, if there is one. Not for two threads at once. Lock-free; without a waiter
    /// a light barrier and a load.
    #[inline(always)]
    pub(crate) fn wake(&self) {
        // Between the event and looking for a waiter.
        if !MAY_BE_ASYMMETRIC {
            self.wake_past_barrier();
        } else if pass(&self.state).load(Ordering::Relaxed) != EMPTY {
            self.wake_somebody();
        }
    }

    /// Where there is a waiter, or where a fence has to come before looking for one.
    #[cold]
    fn wake_somebody(&self) {
        self.wake_past_barrier();
    }

    #[inline(always)]
    fn wake_past_barrier(&self) {
        if light(&self.state).load(Ordering::Relaxed) & !FENCED != EMPTY {
            self.take_and_wake();
        }
    }

    #[cold]
    fn take_and_wake(&self) {
        // Acquire [left]: the waker is written.
        match self.state.fetch_or(WAKING, Ordering::Acquire) & !FENCED {
            SET => {
                let waker = self.replace(None);
                // Release [taken]: the next waiter writes after the waker was moved out.
                self.state.store(EMPTY | self.fenced, Ordering::Release);
                if let Some(waker) = waker {
                    contain(|| waker.wake());
                }
            }
            // Nobody any more. A waiter who comes now meets WAKING and looks again. Relaxed: the
            // waiter has emptied the cell itself.
            EMPTY => self.state.store(EMPTY | self.fenced, Ordering::Relaxed),
            // WRITING: the waiter finds WAKING when it is done, be it ours or one we left before.
            _ => {}
        }
    }

    fn replace(&self, waker: Option<Waker>) -> Option<Waker> {
        self.waker.with_mut(|place| {
            // SAFETY: callers have the cell to themselves, see `Sync`.
            unsafe { std::mem::replace(&mut *place, waker) }
        })
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waiter_is_woken_once_with_a_fence_and_without() {
        crate::barrier::prepare();
        for fenced in [0, FENCED] {
            let (slot, woken) = (WakeSlot::with(fenced), Arc::new(Woken::default()));
            let count = || woken.0.load(Ordering::Relaxed);
            let state = || slot.state.load(Ordering::Relaxed);
            // Looked at after each step: the next registration would mend what one has lost.
            slot.wake();
            assert_eq!((count(), state()), (0, EMPTY | fenced));
            slot.register(woken.clone().into()).run();
            assert_eq!((count(), state()), (0, SET | fenced));
            slot.wake();
            assert_eq!((count(), state()), (1, EMPTY | fenced));
            slot.take_and_wake();
            assert_eq!((count(), state()), (1, EMPTY | fenced), "nobody any more");
            slot.register(woken.clone().into()).run();
            slot.register(woken.clone().into()).run();
            slot.clear().run();
            assert_eq!((count(), state()), (1, EMPTY | fenced), "it no longer waits");
            slot.wake();
            assert_eq!(count(), 1);
        }
    }
}
