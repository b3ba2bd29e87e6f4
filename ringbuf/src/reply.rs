//! Answers to single questions, through slots that are allocated once.
//!
//! A [`ReplyPool`] has so many slots. [`open`](ReplyPool::open) takes a free one and hands out its two
//! ends: the [`Answer`] goes with the question to whoever answers, the [`Reply`] stays with the asker,
//! who looks, polls or blocks. When both ends are done with the slot it is free again.
//!
//! ```
//! use ringbuf::{ReplyPool, wake::{BRIEF_SPIN, block_on}};
//!
//! let pool = ReplyPool::new(64);
//! let (answer, reply) = pool.open().expect("a slot is free");
//! let answerer = std::thread::spawn(move || answer.answer(6 * 7));
//! assert_eq!(block_on(reply, BRIEF_SPIN), Some(42));
//! answerer.join().unwrap();
//! assert_eq!(pool.free(), 64);
//! ```
//!
//! # A slot
//! One word says how far it has come, and who may touch the two cells beside it:
//! - the *value* is the answerer's until SETTLED, then the asker's; but it stays the answerer's if the
//!   asker had LEFT before;
//! - the *waker* is the asker's while WAITING is off. The answerer that sets SETTLED and finds WAITING on
//!   has it until it takes WAITING off again.
//!
//! Whoever finds that the other is done with both cells frees the slot: the answerer if the asker had
//! LEFT before it was done, else the asker. Every step is one change of that one word, so no store-load
//! barrier is needed: of leaving a waker and settling, one comes second and sees the other.
//!
//! # The free slots
//! A stack after R. K. Treiber ("Systems programming: coping with parallelism", IBM RJ 5118, 1986): a
//! word with the topmost free slot, each free slot with the one beneath it. A thread that takes the
//! topmost must not succeed when that slot was taken and put back meanwhile, since what lies beneath it
//! may then be another (the ABA problem). So the word also counts how many slots were ever taken, in the
//! 38 bits that are left: a thread would have to stand still between two instructions while others take
//! exactly a multiple of 2^38 slots, which at a hundred million a second is three quarters of an hour.
//!
//! # Who frees the memory
//! The two ends of a slot count no owners: four changes of one word that all threads share would cost
//! more than all else here. Instead each free slot knows how many are free from it on down, and the
//! topmost thus how many there are at all. The last [`ReplyPool`] that is dropped closes the word of the
//! free slots; whoever finds it closed and puts back the last slot, or closes it with none out, frees all.

use crate::sync::{Arc, AtomicU64, Dropped, Ordering, UnsafeCell, value_of};
use crossbeam_utils::CachePadded;
use std::alloc::Layout;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

/// How many slots a [`ReplyPool`] may have.
pub const REPLIES_MAX: usize = 1 << 24;

/// The answerer will write no value any more; perhaps it has.
const SETTLED: u64 = 1;
/// The asker touches the slot no more.
const LEFT: u64 = 2;
/// The asker's waker is in its cell, for the answerer to take.
const WAITING: u64 = 4;
/// The asker no longer wants an answer.
const CANCELLED: u64 = 8;

/// The bits that name a slot: 0 for none, or its number and one.
const NAME_BITS: u32 = 25;
const NAME: u64 = (1 << NAME_BITS) - 1;
/// A bit: nobody can take slots any more.
const CLOSED: u64 = 1 << NAME_BITS;
/// One slot taken, or one slot deep.
const ONE: u64 = 1 << (NAME_BITS + 1);

const _: () = assert!(REPLIES_MAX <= NAME as usize, "every slot has a name beside 0");

/// Of a cache line of its own: an asker that polls does not disturb its neighbours.
#[repr(align(64))]
struct Slot<V> {
    /// The bits above; 0 while it is free.
    state: AtomicU64,
    /// While it is free: the name of the free slot beneath it, and above [`CLOSED`] how many are
    /// free from here on down.
    beneath: AtomicU64,
    value: UnsafeCell<Option<V>>,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: each cell is touched by one end at a time, as the module's documentation lays out: the two
// ends of a slot are made together by whoever took it from the free slots, and each change of hands is
// a change of `state` or of the free slots' word, ordered by [settled], [waiting], [woken], [left] and
// [freed]. Values move between threads, so `V: Send`; no two threads see one value, so `V: Sync` is
// not asked for. A `Waker` may be used and dropped by any thread.
unsafe impl<V: Send> Sync for Slot<V> {}

impl<V> Slot<V> {
    fn new(beneath: u64) -> Self {
        Self {
            state: AtomicU64::new(0),
            beneath: AtomicU64::new(beneath),
            value: UnsafeCell::new(None),
            waker: UnsafeCell::new(None),
        }
    }

    fn put(&self, value: V) {
        self.value.with_mut(|place| {
            // SAFETY: the caller has the value's cell to itself, see `Sync`. Nothing is dropped: the
            // cell is empty, since one answer is given.
            unsafe { *place = Some(value) };
        });
    }

    fn take(&self) -> Option<V> {
        self.value.with_mut(|place| {
            // SAFETY: the caller has the value's cell to itself, see `Sync`.
            unsafe { (*place).take() }
        })
    }

    /// Leaves `waker` in its cell, unless one that does as well is there. Returns what it displaced.
    fn leave_waker(&self, waker: &Waker) -> Option<Waker> {
        self.waker.with_mut(|place| {
            // SAFETY: the caller has the waker's cell to itself, see `Sync`. What runs of the waker's
            // code, `clone`, has no way here.
            match unsafe { &mut *place } {
                Some(old) if old.will_wake(waker) => None,
                place => place.replace(waker.clone()),
            }
        })
    }

    fn take_waker(&self) -> Option<Waker> {
        self.waker.with_mut(|place| {
            // SAFETY: the caller has the waker's cell to itself, see `Sync`.
            unsafe { (*place).take() }
        })
    }
}

struct Shared<V> {
    /// The name of the topmost free slot; [`CLOSED`]; above that how many were taken so far.
    top: CachePadded<AtomicU64>,
    slots: Box<[Slot<V>]>,
    _dropped: Dropped,
}

impl<V> Drop for Shared<V> {
    fn drop(&mut self) {
        // A model checks here that all that was done with them comes before.
        let all_free = self.slots.iter_mut().all(|slot| value_of(&mut slot.state) == 0);
        let top = value_of(&mut self.top);
        debug_assert!(all_free && top & CLOSED != 0, "dropped while a slot is out");
    }
}

impl<V> Shared<V> {
    fn named(&self, word: u64) -> Option<&Slot<V>> {
        self.slots.get((word & NAME).wrapping_sub(1) as usize)
    }

    /// How many slots are free, where `top` is the word of the free slots.
    fn depth(&self, top: u64) -> u64 {
        // Relaxed: the caller's look at the top has ordered it, or it wants no more than a guess.
        self.named(top).map_or(0, |slot| slot.beneath.load(Ordering::Relaxed) / ONE)
    }

    /// Takes the topmost free slot.
    fn pop(&self) -> Option<u32> {
        loop {
            // Acquire [freed]: all that was done with the slots below this top came before, and what
            // is beneath it is written. (All changes of the word are read-modify-writes, so that it
            // hands on what each of them released.)
            let top = self.top.load(Ordering::Acquire);
            let slot = self.named(top)?;
            let beneath = slot.beneath.load(Ordering::Relaxed) & NAME;
            let next = (top & !NAME).wrapping_add(ONE) | beneath;
            // Relaxed: if the top is still that one, so is what the load above has acquired.
            if self.top.compare_exchange(top, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return Some((top & NAME) as u32 - 1);
            }
        }
    }
}

/// The way of one end to its slot, in which it may touch what the slot's word allows.
struct End<V> {
    /// Lives while a slot is out, and this one is until both ends are done with it.
    shared: NonNull<Shared<V>>,
    index: u32,
}

// SAFETY: through an end values are put in, taken out and dropped, on whatever thread has it: hence
// `V: Send`. All else that it reaches are atomics, and cells that `Slot` argues about.
unsafe impl<V: Send> Send for End<V> {}
// SAFETY: as for `Send`; through a shared reference only atomics are reached.
unsafe impl<V: Send> Sync for End<V> {}

impl<V> End<V> {
    /// Not for an end that is done with its slot.
    #[inline]
    fn slot(&self) -> &Slot<V> {
        // SAFETY: the slot is out as long as this end is not done with it, and what is shared lives as
        // long as a slot is out.
        let shared = unsafe { self.shared.as_ref() };
        &shared.slots[self.index as usize]
    }

    /// Puts the slot back, whose cells are empty and which the other end touches no more. The last that
    /// either end does with it.
    fn free(&self) {
        // SAFETY: as in `slot`, until the exchange below succeeds: nothing of it is touched after that.
        let shared = unsafe { self.shared.as_ref() };
        let slot = &shared.slots[self.index as usize];
        slot.state.store(0, Ordering::Relaxed);
        loop {
            // Acquire [freed]: how deep the top lies is written (should it be taken meanwhile, the
            // exchange fails), and who frees all does so after all that was done with the others.
            let top = shared.top.load(Ordering::Acquire);
            let depth = shared.depth(top) + 1;
            let was_last = top & CLOSED != 0 && depth == shared.slots.len() as u64;
            slot.beneath.store((depth * ONE) | (top & NAME), Ordering::Relaxed);
            let next = (top & !NAME) | (u64::from(self.index) + 1);
            // Release [freed]: whoever takes the slot does so after all that was done with it.
            match shared.top.compare_exchange(top, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if was_last => {
                    // SAFETY: made by `Box` in `Owner::new`. No pool is left to take a slot, and all
                    // slots are back, so no end is left either that would touch it: this is the only
                    // way to it, once.
                    drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
                    return;
                }
                Ok(_) => return,
                Err(_) => {}
            }
        }
    }
}

/// What the pools of one set of slots own together.
struct Owner<V>(NonNull<Shared<V>>);

// SAFETY: an owner lends what is shared, which is `Sync` where `V: Send`, and may be the one to drop it,
// with all cells empty.
unsafe impl<V: Send> Send for Owner<V> {}
// SAFETY: as for `Send`.
unsafe impl<V: Send> Sync for Owner<V> {}

impl<V> Owner<V> {
    fn new(slots: usize) -> Self {
        let names = 1..=slots as u64;
        let slot = |name| {
            // The first on top, each on the next.
            let (deep, next) =
                (slots as u64 + 1 - name, if name < slots as u64 { name + 1 } else { 0 });
            Slot::new((deep * ONE) | next)
        };
        let top = CachePadded::new(AtomicU64::new(1));
        let slots = names.map(slot).collect();
        let shared = Box::new(Shared { top, slots, _dropped: Dropped::once() });
        Self(NonNull::from(Box::leak(shared)))
    }

    fn shared(&self) -> &Shared<V> {
        // SAFETY: it lives at least until the word of the free slots is closed, which dropping this does.
        unsafe { self.0.as_ref() }
    }
}

impl<V> Drop for Owner<V> {
    fn drop(&mut self) {
        // SAFETY: as in `shared`, until the exchange below succeeds: nothing of it is touched after that,
        // unless it is this owner's alone.
        let shared = unsafe { self.0.as_ref() };
        loop {
            // Acquire [freed]: who frees all does so after all that was done with the slots.
            let top = shared.top.load(Ordering::Acquire);
            let none_out = shared.depth(top) == shared.slots.len() as u64;
            // Release [freed]: whoever frees all does so after what was done here.
            let closed = top | CLOSED;
            match shared.top.compare_exchange(top, closed, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if none_out => {
                    // SAFETY: made by `Box` in `new`. No slot is out, and no pool is left to take one:
                    // this is the only way to it, once.
                    drop(unsafe { Box::from_raw(self.0.as_ptr()) });
                    return;
                }
                Ok(_) => return,
                Err(_) => {}
            }
        }
    }
}

/// A pool of slots for answers. Clones are the same pool.
pub struct ReplyPool<V> {
    owner: Arc<Owner<V>>,
}

impl<V> Clone for ReplyPool<V> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<V> fmt::Debug for ReplyPool<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (capacity, free) = (self.capacity(), self.free());
        f.debug_struct("ReplyPool").field("capacity", &capacity).field("free", &free).finish()
    }
}

impl<V> ReplyPool<V> {
    /// A pool of `slots` slots, all of them free. Nothing allocates after this.
    ///
    /// # Panics
    /// If `slots` is not in 1 ..= [`REPLIES_MAX`].
    pub fn new(slots: usize) -> Self {
        let range = 1..=REPLIES_MAX;
        assert!(range.contains(&slots), "a pool has 1 to {REPLIES_MAX} slots, not {slots}");
        Self { owner: Arc::new(Owner::new(slots)) }
    }

    /// What a pool of `slots` slots takes on the heap, in bytes, before rounding by the allocator.
    pub fn heap_bytes(slots: usize) -> usize {
        let counts = Layout::new::<[usize; 2]>();
        let (owner, _) = counts.extend(Layout::new::<Owner<V>>()).expect("an owner is a pointer");
        owner.pad_to_align().size() + size_of::<Shared<V>>() + slots * size_of::<Slot<V>>()
    }

    /// How many slots there are.
    pub fn capacity(&self) -> usize {
        self.owner.shared().slots.len()
    }

    /// How many slots are free. For numbers: it may be out of date at once.
    pub fn free(&self) -> usize {
        // Relaxed, both looks: of a slot that is taken between them it gives what it once was.
        let shared = self.owner.shared();
        shared.depth(shared.top.load(Ordering::Relaxed)) as usize
    }

    /// Takes a free slot, from any thread; `None` when none is free. Lock-free, and allocates nothing.
    ///
    /// An end that is leaked (`mem::forget`) keeps its slot, and the pool's memory, for good.
    ///
    /// ```
    /// use ringbuf::ReplyPool;
    /// use std::task::Poll;
    ///
    /// let pool = ReplyPool::<&str>::new(1);
    /// let (answer, mut reply) = pool.open().unwrap();
    /// assert!(pool.open().is_none(), "there is one slot");
    /// assert_eq!(reply.try_take(), Poll::Pending);
    /// drop(answer);
    /// assert_eq!(reply.try_take(), Poll::Ready(None), "nobody answered");
    /// assert!(pool.open().is_some(), "and the slot is free");
    /// ```
    pub fn open(&self) -> Option<(Answer<V>, Reply<V>)> {
        let index = self.owner.shared().pop()?;
        let end = || End { shared: self.owner.0, index };
        Some((Answer { end: end() }, Reply { end: end(), done: false }))
    }
}

/// The end that answers, once. Dropped without an answer it leaves the asker with "nobody answered".
///
/// Either way the asker is woken on this thread if it waits: its waker should neither take long nor
/// panic. A value that the asker is not there to take any more is dropped on this thread too; if that
/// panics, the slot is free all the same and the panic goes on.
#[must_use = "dropped, it tells the asker that nobody answers"]
pub struct Answer<V> {
    end: End<V>,
}

impl<V> Answer<V> {
    /// Gives the answer, and wakes the asker if it waits.
    pub fn answer(self, value: V) {
        self.end.slot().put(value);
        // The rest is what dropping does.
    }

    /// Whether the asker has said that it wants no answer any more. It may still be answered. One plain
    /// load; orders nothing.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.end.slot().state.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Whether the asker's end still exists. `true` may be out of date at once. One plain load; orders
    /// nothing.
    #[inline]
    pub fn has_asker(&self) -> bool {
        self.end.slot().state.load(Ordering::Relaxed) & LEFT == 0
    }

    /// The slot's number, below the pool's capacity; the asker's end has the same.
    #[inline]
    pub fn slot(&self) -> u32 {
        self.end.index
    }
}

impl<V> Drop for Answer<V> {
    fn drop(&mut self) {
        let slot = self.end.slot();
        // Release [settled]: the asker sees the value. Acquire [waiting]: the waker is written. Acquire
        // [left]: an asker that has left is done with the cells.
        let seen = slot.state.fetch_or(SETTLED, Ordering::AcqRel);
        if seen & LEFT != 0 {
            let unwanted = slot.take();
            self.end.free();
            drop(unwanted);
        } else if seen & WAITING != 0 {
            let waker = slot.take_waker();
            // Release [woken]: the asker frees the slot after the waker was moved out. Acquire [left]:
            // this end frees it after the asker has taken the value.
            if slot.state.fetch_and(!WAITING, Ordering::AcqRel) & LEFT != 0 {
                self.end.free();
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<V> fmt::Debug for Answer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("slot", &self.end.index).finish_non_exhaustive()
    }
}

/// The asker's end: a future that yields the answer, or `None` when nobody answers any more.
///
/// It can also be [polled](Self::poll) with any waker, [looked at](Self::try_take) without one, and
/// waited for by a plain thread with [`wake::block_on`](crate::wake::block_on) or, for a limited time,
/// [`wake::block_on_for`](crate::wake::block_on_for). Dropping it disturbs nothing: who answers later
/// answers to nobody.
#[must_use = "a reply that nobody looks at was not worth a slot"]
pub struct Reply<V> {
    end: End<V>,
    /// The answer was taken, and the slot may be another's.
    done: bool,
}

impl<V> Reply<V> {
    /// The answer (`None`: nobody answers any more), or else `waker` is woken when it is there.
    ///
    /// Only the waker of the last poll counts. While the answer is not there, one read-modify-write of
    /// a word that the answerer writes once, and one more for each further poll; a plain load when it
    /// is there.
    ///
    /// # Panics
    /// If it was ready before.
    pub fn poll(&mut self, waker: &Waker) -> Poll<Option<V>> {
        let slot = self.not_done();
        let mut seen = slot.state.load(Ordering::Relaxed);
        if seen & WAITING != 0 && seen & SETTLED == 0 {
            // Relaxed: the waker in the cell is this end's own.
            let back = seen & !WAITING;
            match slot.state.compare_exchange(seen, back, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => seen = back,
                Err(now) => seen = now,
            }
        }
        if seen & SETTLED != 0 {
            return Poll::Ready(self.finish());
        }
        let displaced = slot.leave_waker(waker);
        // Release [waiting]: the answerer takes the waker after it was written.
        let waits = seen | WAITING;
        let waits = slot.state.compare_exchange(seen, waits, Ordering::Release, Ordering::Relaxed);
        if waits.is_ok() {
            drop(displaced);
            return Poll::Pending;
        }
        // Settled meanwhile (nothing else changes the word while this end is borrowed for itself), by
        // an answerer that found nobody waiting: the waker is still this end's.
        let own = slot.take_waker();
        let answer = self.finish();
        drop((displaced, own));
        Poll::Ready(answer)
    }

    /// The answer if it is there, as [`poll`](Self::poll) gives it, without leaving a waker; one that was
    /// left stays. One plain load while it is not there.
    ///
    /// # Panics
    /// If it was ready before.
    pub fn try_take(&mut self) -> Poll<Option<V>> {
        if self.not_done().state.load(Ordering::Relaxed) & SETTLED == 0 {
            return Poll::Pending;
        }
        Poll::Ready(self.finish())
    }

    /// Whether the answer was taken: asking again would panic.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Tells the answerer that its answer is not wanted any more, in case it asks
    /// ([`Answer::is_cancelled`]). It may answer all the same, and until then the slot stays taken.
    pub fn cancel(&self) {
        if !self.done {
            // Relaxed: it is a hint, and orders nothing.
            self.end.slot().state.fetch_or(CANCELLED, Ordering::Relaxed);
        }
    }

    /// The slot's number, below the pool's capacity; the answerer's end has the same. Once this end is
    /// [done](Self::is_done) it may be another question's.
    #[inline]
    pub fn slot(&self) -> u32 {
        self.end.index
    }

    fn not_done(&self) -> &Slot<V> {
        assert!(!self.done, "the answer was taken already");
        self.end.slot()
    }

    /// Once it is settled: takes the value and leaves the slot.
    fn finish(&mut self) -> Option<V> {
        self.done = true;
        let slot = self.end.slot();
        // Acquire [settled]: the value is written. Acquire [woken]: where WAITING is off again, the
        // answerer is done with the waker.
        let seen = slot.state.load(Ordering::Acquire);
        debug_assert!(seen & SETTLED != 0, "finished before it was settled");
        let value = slot.take();
        // Release [left]: the answerer frees the slot after the value was moved out. Acquire [woken].
        let answerer_frees =
            seen & WAITING != 0 && slot.state.fetch_or(LEFT, Ordering::AcqRel) & WAITING != 0;
        if !answerer_frees {
            self.end.free();
        }
        value
    }
}

impl<V> Future for Reply<V> {
    type Output = Option<V>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Self::poll(&mut self, context.waker())
    }
}

impl<V> Drop for Reply<V> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let slot = self.end.slot();
        let mut waker = None;
        let mut seen = slot.state.load(Ordering::Relaxed);
        while seen & SETTLED == 0 {
            let leaves = if seen & WAITING == 0 { seen | LEFT } else { seen & !WAITING };
            // Release [left]: the answerer frees the slot after this end is done with the waker.
            match slot.state.compare_exchange(seen, leaves, Ordering::Release, Ordering::Relaxed) {
                Ok(_) if leaves & LEFT != 0 => return,
                Ok(_) => {
                    waker = slot.take_waker();
                    seen = leaves;
                }
                Err(now) => seen = now,
            }
        }
        // The waker is dropped last, after the value, so that the slot is free by then.
        drop(self.finish());
        drop(waker);
    }
}

impl<V> fmt::Debug for Reply<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, done) = (self.end.index, self.done);
        f.debug_struct("Reply").field("slot", &slot).field("done", &done).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests;
