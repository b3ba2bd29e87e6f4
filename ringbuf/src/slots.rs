//! Raw storage of a ring: a power of two of slots, reached by sequence number.
//!
//! The slots know nothing of who may touch which; that is the ring's business. Every function
//! here that reads or writes one is therefore `unsafe`, with its obligations as a list. Under a
//! model each access is checked against the happens-before order.

use crate::prefetch;
use crate::sync::{Tracks, TracksView};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, align_of, needs_drop, size_of};
use std::ptr::{self, NonNull};
use std::slice;

/// Slots start on a boundary that is one for cache lines and for pairs of them, so that an item
/// of 64 bytes lies in one line, and no two rings share one.
const ALIGN: usize = 128;

/// Bytes of a cache line.
const LINE: usize = 64;

/// How far ahead lines are asked for, in bytes.
const AHEAD_BYTES: usize = 8 * LINE;

/// Items are owned, and are both put in and taken out, so `T` may not be exchanged for a subtype or
/// a supertype: a producer of `&'static str` that passed for one of `&'a str` would put in what its
/// consumer keeps for longer than it lives. A cell is what has both properties.
type Owns<T> = PhantomData<Cell<T>>;

/// The slots of one ring. Does not know which are filled: whoever owns it drops the items first.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    first: NonNull<T>,
    capacity: usize,
    tracks: Tracks,
    owns: Owns<T>,
}

// SAFETY: the slots are plain memory that owns its items; moving them to another thread moves
// the items there, which `T: Send` allows.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: through a shared reference the slots can only be viewed and counted; what a view does
// with them is `unsafe` and argued where it is done. Items move between threads, so `T: Send`;
// no two threads get at one item at a time, so `T: Sync` is not asked for.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    /// Room for `capacity` items, rounded up to a power of two.
    ///
    /// # Panics
    /// If `capacity` is 0, or if the slots would take more bytes than an allocation may.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = rounded(capacity);
        let layout = Self::layout(capacity);
        let first = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            // SAFETY: the layout's size is not 0.
            let place = unsafe { alloc(layout) };
            NonNull::new(place.cast::<T>()).unwrap_or_else(|| handle_alloc_error(layout))
        };
        Self { first, capacity, tracks: Tracks::new(capacity), owns: PhantomData }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::array::<T>(capacity)
            .and_then(|array| array.align_to(ALIGN.max(align_of::<T>())))
            .unwrap_or_else(|_| {
                panic!("a ring of {capacity} slots of {} bytes is too large", size_of::<T>())
            })
    }

    /// What `capacity` slots take on the heap, in bytes, before rounding by the allocator.
    pub(crate) fn heap_bytes(capacity: usize) -> usize {
        Self::layout(rounded(capacity)).size()
    }

    /// A way to the slots that is valid while `self` lives.
    pub(crate) fn view(&self) -> View<T> {
        View {
            first: self.first,
            mask: self.capacity - 1,
            tracks: self.tracks.view(),
            reaches: PhantomData,
        }
    }
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.capacity);
        if layout.size() != 0 {
            // SAFETY: allocated in `new` with the same layout, and this is the only owner.
            unsafe { dealloc(self.first.as_ptr().cast(), layout) };
        }
    }
}

/// The next power of two at or above `capacity`.
///
/// # Panics
/// If `capacity` is 0 or above the largest power of two.
pub(crate) fn rounded(capacity: usize) -> usize {
    assert!(capacity > 0, "a ring needs a capacity of at least 1, not 0");
    capacity
        .checked_next_power_of_two()
        .unwrap_or_else(|| panic!("a ring of {capacity} slots is too large"))
}

/// A way to the slots, without the pointer to the ring between.
///
/// Whoever keeps one must keep the [`Slots`] alive as long. All functions are `unsafe`, and all
/// have these obligations besides their own:
/// - the [`Slots`] it was made from are alive;
/// - a range has at most `capacity` slots.
#[derive(Debug)]
pub(crate) struct View<T> {
    first: NonNull<T>,
    mask: usize,
    tracks: TracksView,
    reaches: Owns<T>,
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<T> {}

// SAFETY: a view is an address; what is done with it is `unsafe` and argued there, always by one
// thread an item, which `T: Send` allows.
unsafe impl<T: Send> Send for View<T> {}

impl<T> View<T> {
    #[inline(always)]
    fn slot(self, seq: u64) -> *mut T {
        let index = seq as usize & self.mask;
        // SAFETY: the mask keeps the index below the capacity.
        unsafe { self.first.as_ptr().add(index) }
    }

    fn index(self, seq: u64) -> usize {
        seq as usize & self.mask
    }

    /// How many items there is room for: a power of two.
    #[inline(always)]
    pub(crate) fn capacity(self) -> usize {
        self.mask + 1
    }

    /// Items that begin in one line, or of which each begins in one of its own.
    const LINE_ITEMS: usize = match size_of::<T>() {
        0 => usize::MAX,
        bytes if bytes < LINE => LINE / bytes,
        _ => 1,
    };

    /// How many items ahead the lines are asked for.
    const AHEAD: usize = match size_of::<T>() {
        0 => usize::MAX / 2,
        bytes if AHEAD_BYTES / bytes > Self::LINE_ITEMS => AHEAD_BYTES / bytes,
        _ => Self::LINE_ITEMS,
    };

    /// Lines of an item that are asked for; of a large one the processor sees itself what comes next.
    const LINES: usize = match size_of::<T>().div_ceil(LINE) {
        0 => 1,
        lines if lines > 4 => 4,
        lines => lines,
    };

    /// Asks for what will be written in a while, at the first item of a line: not for what the consumer
    /// may still have to read, which begins a round after `freed`.
    #[inline(always)]
    pub(crate) fn prefetch_to_write(self, seq: u64, freed: u64) {
        let ahead = seq + Self::AHEAD as u64;
        if (seq as usize).is_multiple_of(Self::LINE_ITEMS)
            && ((ahead - freed) as usize) < self.capacity()
        {
            Self::ask_to_write(self.slot(ahead));
        }
    }

    #[inline(always)]
    fn ask_to_write(slot: *const T) {
        for line in 0..Self::LINES {
            prefetch::to_write(slot.cast::<u8>().wrapping_add(line * LINE));
        }
    }

    /// Fills a slot.
    ///
    /// # Safety
    /// - no other thread touches the slot of `seq`;
    /// - what it may hold is lost without being dropped.
    #[inline(always)]
    pub(crate) unsafe fn write(self, seq: u64, item: T) {
        self.tracks.writes(self.index(seq));
        // SAFETY: the slot is in bounds, aligned, and by contract ours alone.
        unsafe { self.slot(seq).write(item) };
    }

    /// Moves the item out of a slot.
    ///
    /// # Safety
    /// - the slot of `seq` is filled, and its filling happened before this;
    /// - no other thread touches it;
    /// - it counts as empty from now on.
    #[inline(always)]
    pub(crate) unsafe fn take(self, seq: u64) -> T {
        self.tracks.writes(self.index(seq));
        // SAFETY: in bounds, and by contract filled, ours alone, and never read again.
        unsafe { self.slot(seq).read() }
    }

    /// Lends the item in a slot.
    ///
    /// # Safety
    /// - the slot of `seq` is filled, and its filling happened before this;
    /// - nobody writes or empties it while the reference lives, and its end comes before `Slots`'.
    #[inline(always)]
    pub(crate) unsafe fn peek<'a>(self, seq: u64) -> &'a T {
        self.tracks.reads(self.index(seq));
        // SAFETY: in bounds, and by contract filled and unchanged meanwhile.
        unsafe { &*self.slot(seq) }
    }

    /// Where the `len` slots from `seq` on lie: up to the end of the storage, then from its start.
    #[inline(always)]
    fn parts(self, seq: u64, len: usize) -> (usize, usize) {
        let before_end = self.capacity() - self.index(seq);
        let first = len.min(before_end);
        (first, len - first)
    }

    /// Lends the items of `len` slots from `seq` on, as the one or two slices they lie in.
    ///
    /// # Safety
    /// As for [`peek`](Self::peek), for each of the slots.
    #[inline(always)]
    pub(crate) unsafe fn slices<'a>(self, seq: u64, len: usize) -> (&'a [T], &'a [T]) {
        (0..len as u64).for_each(|i| self.tracks.reads(self.index(seq + i)));
        let (first, second) = self.parts(seq, len);
        // SAFETY: both parts are in bounds and by contract filled and unchanged meanwhile.
        unsafe {
            (
                slice::from_raw_parts(self.slot(seq), first),
                slice::from_raw_parts(self.first.as_ptr(), second),
            )
        }
    }

    /// Lends `len` empty slots from `seq` on, to be filled in place.
    ///
    /// # Safety
    /// - no other thread touches them, and nobody else does while the slices live;
    /// - what they may hold is lost without being dropped.
    #[inline(always)]
    pub(crate) unsafe fn empty_slices<'a>(
        self,
        seq: u64,
        len: usize,
    ) -> (&'a mut [MaybeUninit<T>], &'a mut [MaybeUninit<T>]) {
        (0..len as u64).for_each(|i| self.tracks.writes(self.index(seq + i)));
        let (first, second) = self.parts(seq, len);
        // SAFETY: both parts are in bounds, disjoint, and by contract ours alone; any bytes are
        // a valid `MaybeUninit`.
        unsafe {
            (
                slice::from_raw_parts_mut(self.slot(seq).cast(), first),
                slice::from_raw_parts_mut(self.first.as_ptr().cast(), second),
            )
        }
    }

    /// Fills the slots from `next` on with what `items` gives, `max` of them at most, and counts them
    /// in `next`, also when the iterator panics.
    ///
    /// # Safety
    /// As for [`write`](Self::write), for `max` slots from `next` on.
    #[inline(always)]
    pub(crate) unsafe fn fill_from(
        self,
        next: &mut u64,
        max: usize,
        freed: u64,
        mut items: impl Iterator<Item = T>,
    ) {
        /// Keeps the count in a local, and writes it back at the end of a scope.
        struct Count<'a> {
            place: &'a mut u64,
            next: u64,
        }

        impl Drop for Count<'_> {
            #[inline(always)]
            fn drop(&mut self) {
                *self.place = self.next;
            }
        }

        // SAFETY: the caller's word; the slices end here.
        let (first, second) = unsafe { self.empty_slices(*next, max) };
        let mut count = Count { next: *next, place: next };
        // Before this number, what lies `AHEAD` is nothing that the consumer may still have to read.
        let ask_until = (freed + self.capacity() as u64).saturating_sub(Self::AHEAD as u64);
        for part in [first, second] {
            // Nor is anything asked for past the end of the storage, or for more items than may come.
            let before_end = (self.capacity() - self.index(count.next)).saturating_sub(Self::AHEAD);
            let coming = items.size_hint().1.unwrap_or(usize::MAX);
            let asking = ask_until.saturating_sub(count.next) as usize;
            let mut asking = asking.min(before_end).min(coming).min(part.len());
            // Lines are asked for some at a time, and not one beside each item: so the loop over the items is
            // as plain as can be, and small ones are made and stored several at once (measured: items of 8
            // bytes in runs of 64 and 256 take half the time where the cores are near).
            for stretch in part.chunks_mut(Self::AHEAD) {
                for slot in (0..asking.min(stretch.len())).step_by(Self::LINE_ITEMS) {
                    Self::ask_to_write(stretch.as_ptr().wrapping_add(slot + Self::AHEAD).cast());
                }
                asking = asking.saturating_sub(stretch.len());
                for slot in stretch {
                    let Some(item) = items.next() else { return };
                    slot.write(item);
                    count.next += 1;
                }
            }
        }
    }

    /// Drops the items of `len` slots from `seq` on, each once. When one panics the rest are
    /// dropped all the same and the panic goes on; a second panic aborts, as everywhere.
    ///
    /// # Safety
    /// As for [`take`](Self::take), for each of the slots.
    pub(crate) unsafe fn drop_range(self, seq: u64, len: usize) {
        /// Drops a slice at the end of a scope, also when the scope unwinds.
        struct AtLast<T>(*mut [T]);

        impl<T> Drop for AtLast<T> {
            fn drop(&mut self) {
                // SAFETY: by the contract of `drop_range`, handed over by it exactly once.
                unsafe { ptr::drop_in_place(self.0) };
            }
        }

        (0..len as u64).for_each(|i| self.tracks.writes(self.index(seq + i)));
        if !needs_drop::<T>() {
            return;
        }
        let (first, second) = self.parts(seq, len);
        let _second = AtLast(ptr::slice_from_raw_parts_mut(self.first.as_ptr(), second));
        // SAFETY: in bounds, by contract filled and ours alone; the two parts are disjoint.
        // Dropping a slice goes on with its other items when one panics.
        unsafe { ptr::drop_in_place(ptr::slice_from_raw_parts_mut(self.slot(seq), first)) };
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn any_capacity_is_rounded_up_to_a_power_of_two() {
        for (asked, given) in [(1, 1), (2, 2), (3, 4), (5, 8), (1000, 1024), (1024, 1024)] {
            assert_eq!(Slots::<u32>::new(asked).view().capacity(), given);
        }
    }

    #[test]
    fn slots_start_on_their_own_cache_lines() {
        for capacity in [1, 3, 100] {
            let slots = Slots::<[u8; 3]>::new(capacity);
            assert_eq!(slots.first.as_ptr() as usize % ALIGN, 0);
        }
    }

    #[test]
    #[should_panic(expected = "at least 1, not 0")]
    fn no_slots_are_refused() {
        let _ = Slots::<u8>::new(0);
    }

    #[test]
    #[should_panic(expected = "too large")]
    fn more_slots_than_fit_are_refused() {
        let _ = Slots::<u64>::new(usize::MAX / 8);
    }

    #[test]
    #[should_panic(expected = "too large")]
    fn more_slots_than_can_be_counted_are_refused() {
        let _ = Slots::<()>::new(usize::MAX);
    }

    #[test]
    fn items_without_a_size_need_no_memory() {
        assert_eq!(Slots::<()>::heap_bytes(1 << 20), 0);
        let slots = Slots::<()>::new(4);
        // SAFETY: one thread, and the slot was filled before it is emptied.
        unsafe {
            slots.view().write(9, ());
            slots.view().take(9);
        }
    }
}
