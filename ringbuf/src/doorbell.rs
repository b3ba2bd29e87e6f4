//! The handshake between one thread that sleeps and any number that make it needed.
//!
//! The sleeper says that it lies down, then looks once more at everything it waits for, then
//! parks by whatever means it has. A ringer publishes what it has, then looks whether the sleeper
//! lies. Between its two steps the sleeper passes a heavy barrier and the ringer a light one (see
//! [`barrier`](crate::barrier)), so that one of them sees the other: no wake-up is lost, and while
//! the sleeper is awake a ringer pays for one load of a word that nobody writes.
//!
//! That word holds all there is to say: whether the sleeper lies, whether it has closed, and when
//! it was rung. So the first ringer stamps its time in the same atomic step in which it stops the
//! others from ringing.

use crate::barrier::{heavy, light};
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::task::Waker;

/// The sleeper lies, or is about to; whoever publishes something rings.
const ASLEEP: u64 = 1;
/// The sleeper takes nothing any more.
const CLOSED: u64 = 2;
/// Somebody rang; the time is in the bits above.
const RUNG: u64 = 4;
const TIME_SHIFT: u32 = 3;

/// The greatest time a ringer can stamp: later ones count as this. 73 years in nanoseconds.
pub const LATEST_RING: u64 = u64::MAX >> TIME_SHIFT;

/// A bell at which one sleeper is woken by any number of ringers.
///
/// The sleeper [lies down](Self::lie_down), then looks once more at everything it waits for, then
/// parks by whatever means it has. A ringer publishes what it has and then
/// [rings if it must](Self::ring_if_asleep). No wake-up is lost, and while the sleeper is awake a
/// ringer pays for one load of a word that nobody writes.
///
/// ```
/// use ringbuf::Doorbell;
///
/// let bell = Doorbell::new(ringbuf::wake::thread_waker());
/// assert!(!bell.ring_if_asleep(|| 5), "awake: nothing to do");
/// bell.lie_down();
/// // … the sleeper looks at its sources here …
/// assert!(bell.ring_if_asleep(|| 7), "the first ringer wakes it");
/// assert!(!bell.ring_if_asleep(|| 8), "one is enough");
/// std::thread::park(); // returns at once: it was woken
/// assert_eq!(bell.get_up(), Some(7));
/// ```
#[derive(Debug)]
pub struct Doorbell {
    word: CachePadded<AtomicU64>,
    knocked: AtomicBool,
    target: Waker,
}

impl Doorbell {
    /// A bell that wakes `target`, for life. The sleeper is awake.
    ///
    /// Waking must neither panic nor call back into what rings: it happens in the middle of a push.
    pub fn new(target: Waker) -> Self {
        crate::barrier::prepare();
        Self { word: CachePadded::new(AtomicU64::new(0)), knocked: AtomicBool::new(false), target }
    }

    /// For the sleeper: from now on the first to publish something rings.
    ///
    /// The sleeper must look at all its sources after this and before it parks, and call
    /// [`get_up`](Self::get_up) when it is awake, whatever woke it. Costs a heavy barrier.
    pub fn lie_down(&self) {
        self.word.fetch_or(ASLEEP, Ordering::Relaxed);
        // Between lying down and looking at the sources.
        heavy();
    }

    /// For the sleeper: ends what [`lie_down`](Self::lie_down) began. `Some(time)` when somebody
    /// rang since: the time that the first ringer read. What it had published is visible then.
    pub fn get_up(&self) -> Option<u64> {
        // Acquire [rung]: what the ringer published before is visible from here on, also when
        // something else woke the sleeper.
        let was = self.word.fetch_and(CLOSED, Ordering::Acquire);
        (was & RUNG != 0).then_some(was >> TIME_SHIFT)
    }

    /// For a ringer, after it published something: wakes the sleeper if it lies and nobody has
    /// yet; `true` when this call did.
    ///
    /// `now` is called only then; should it panic, the sleeper is woken all the same, with the
    /// time 0. Costs a light barrier and one load while the sleeper is awake.
    #[inline]
    pub fn ring_if_asleep(&self, now: impl FnOnce() -> u64) -> bool {
        // Between publishing and looking at the sleeper.
        light(self).calls() && self.ring(now)
    }

    /// Whether there is something to see to: the sleeper lies, or has closed. One load, after
    /// the caller's light barrier.
    #[inline(always)]
    pub(crate) fn calls(&self) -> bool {
        // Relaxed: what matters is the order of the caller's store and this load, which the
        // barriers see to.
        self.word.load(Ordering::Relaxed) & (ASLEEP | CLOSED) != 0
    }

    /// Rings if the sleeper lies, after the caller's light barrier.
    #[cold]
    pub(crate) fn ring(&self, now: impl FnOnce() -> u64) -> bool {
        /// Rings without a time when reading it panics: the item is published, so its wake-up
        /// must not be lost.
        struct OnPanic<'a>(&'a Doorbell);

        impl Drop for OnPanic<'_> {
            fn drop(&mut self) {
                self.0.ring_at(0);
            }
        }

        if self.word.load(Ordering::Relaxed) & ASLEEP == 0 {
            return false;
        }
        let on_panic = OnPanic(self);
        let time = now();
        std::mem::forget(on_panic);
        self.ring_at(time)
    }

    fn ring_at(&self, time: u64) -> bool {
        let stamp = RUNG | time.min(LATEST_RING) << TIME_SHIFT;
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & ASLEEP != 0 {
            // Release [rung]: whoever sees the ring sees what was published before it.
            match self.word.compare_exchange(
                seen,
                seen & CLOSED | stamp,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.target.wake_by_ref();
                    return true;
                }
                Err(now) => seen = now,
            }
        }
        false
    }

    /// For the control plane: leaves a knock and wakes the sleeper in every case, asleep or awake.
    ///
    /// What was done before is visible to the sleeper once it has taken the knock.
    pub fn knock(&self) {
        // Release [knock], and a read-modify-write, so that a second knock before the first is
        // taken hands on what the first one had published too.
        self.knocked.swap(true, Ordering::Release);
        self.target.wake_by_ref();
    }

    /// Whether there is a knock to be [taken](Self::take_knock).
    #[inline]
    pub fn is_knocked(&self) -> bool {
        // Relaxed: taking it makes what the knocker did visible.
        self.knocked.load(Ordering::Relaxed)
    }

    /// For the sleeper: whether somebody knocked since it last asked. One plain load when not.
    #[inline]
    pub fn take_knock(&self) -> bool {
        // Acquire [knock]: what the knockers did before is visible.
        self.knocked.load(Ordering::Relaxed) && self.knocked.swap(false, Ordering::Acquire)
    }

    /// Says, for good, that the sleeper takes nothing any more. Ringers see it at their next push.
    ///
    /// A barrier and a last look at the sources are up to the caller.
    pub fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::Relaxed);
    }

    /// Whether [`close`](Self::close) was called, as far as this thread can tell.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & CLOSED != 0
    }
}
