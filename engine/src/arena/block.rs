//! Room for the items of one batch.

use std::{
    fmt,
    marker::PhantomData,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
    slice,
};

use ringbuf::prefetch;

const _: () = assert!(size_of::<Option<Block<u64>>>() == 24, "a block is moved about by value");

/// Room for a fixed number of items in a row, filled at the end and settled from the front.
///
/// It owns its items and its part of the arena, so it may travel to another thread. Give it back with
/// [`release`](super::Arena::release): dropped, it drops its items (a panic of theirs is caught), and its memory is lost
/// to the arena.
pub(crate) struct Block<T> {
    pub(super) items: NonNull<T>,
    /// `start..end` are its items; `start <= end <= capacity`.
    pub(super) start: u32,
    pub(super) end: u32,
    /// 1 to [`BLOCK_ITEMS_MAX`](super::shape::BLOCK_ITEMS_MAX).
    pub(super) capacity: u32,
    pub(super) page: u32,
    pub(super) owned: PhantomData<T>,
}

// SAFETY: a block owns its items, and its part of the region alone until the arena, which needs the block
// itself for that, takes it back; so sending it sends the items and nothing else.
unsafe impl<T: Send> Send for Block<T> {}

impl<T> Block<T> {
    /// Puts an item behind the others. Where the front was settled and the end is reached, the rest is
    /// moved to the front first.
    ///
    /// # Errors
    ///
    /// The item, if the block is full.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if self.end == self.capacity {
            if self.start == 0 {
                return Err(item);
            }
            self.close_gap();
        }
        // SAFETY: `end < capacity` (`close_gap` moved it below), so the place is ours and holds no item.
        unsafe { self.items.add(self.end as usize).write(item) };
        self.end += 1;
        Ok(())
    }

    /// Puts the item that `take` gives behind the others; `false`, and nothing is taken, if the end
    /// is reached. For hot loops: the item moves from its old place to the new one directly.
    ///
    /// Asks for the place of the item after it. With a thousand keys there is time for it until that item
    /// comes, and none for a store that misses the caches once the item is here: those go one by one
    /// (measured at 1,000 keys on a loaded machine: 69 ns an item instead of 103; at 8 keys no difference).
    #[inline(always)]
    pub(crate) fn push_with(&mut self, take: impl FnOnce() -> T) -> bool {
        if self.end == self.capacity {
            return false;
        }
        // SAFETY: `end < capacity`, so the place is ours and holds no item; if `take` panics, it
        // still does not.
        unsafe { self.items.add(self.end as usize).write(take()) };
        self.end += 1;
        self.prefetch_end();
        true
    }

    /// Whether its items end below this place, counted from the block's start: so do at least as many
    /// as it holds.
    #[inline(always)]
    pub(crate) fn ends_below(&self, place: u16) -> bool {
        self.end < u32::from(place)
    }

    /// Asks for the place where the next item goes to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch_end(&self) {
        prefetch::to_write(self.items.as_ptr().wrapping_add(self.end as usize));
    }

    /// Asks for the first items to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch_start(&self) {
        prefetch::to_read(self.items.as_ptr().wrapping_add(self.start as usize));
    }

    /// Items in it.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// The most items it can hold: those of its class.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether no further item fits.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == self.capacity
    }

    /// Whether it holds no item.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The items, oldest first.
    #[inline]
    pub(crate) fn items(&self) -> &[T] {
        // SAFETY: `start..end` are initialised items in memory that is ours, borrowed as `self` is.
        unsafe { slice::from_raw_parts(self.items.add(self.start as usize).as_ptr(), self.len()) }
    }

    /// The items, oldest first.
    #[inline]
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        let items = self.len();
        // SAFETY: as in `items`, and `&mut self` makes the slice the only way to them.
        unsafe { slice::from_raw_parts_mut(self.items.add(self.start as usize).as_ptr(), items) }
    }

    /// The oldest item.
    #[inline]
    #[cfg(test)]
    pub(crate) fn first(&self) -> Option<&T> {
        self.items().first()
    }

    /// Moves the oldest item out.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: `start` is an item, and no longer one of ours after the next line, so it is moved out
        // once.
        let item = unsafe { self.items.add(self.start as usize).read() };
        self.start += 1;
        self.rewind_if_empty();
        Some(item)
    }

    /// Drops the `n` oldest items where they are, each exactly once, and returns how many of them panicked
    /// in their `Drop`: a panic is caught, and the next item's turn comes. A destructor that panics while
    /// it unwinds aborts the process, as always.
    ///
    /// Costs nothing per item for items without `Drop`.
    ///
    /// # Panics
    ///
    /// If there are fewer than `n` items.
    #[inline]
    pub(crate) fn settle_front(&mut self, n: usize) -> usize {
        assert!(n <= self.len(), "{n} items are settled where there are {}", self.len());
        let until = self.start + n as u32;
        let panics = if mem::needs_drop::<T>() { self.drop_until(until) } else { 0 };
        self.start = until;
        self.rewind_if_empty();
        panics
    }

    /// Drops all items, as [`Block::settle_front`].
    #[inline]
    pub(super) fn clear(&mut self) -> usize {
        self.settle_front(self.len())
    }

    fn drop_until(&mut self, until: u32) -> usize {
        let mut panics = 0;
        // One guard for a whole stretch without panics, not one for each item.
        while self.start < until {
            let stretch = catch_unwind(AssertUnwindSafe(|| {
                while self.start < until {
                    let at = self.start as usize;
                    self.start += 1;
                    // SAFETY: `at` was an item (`start < until <= end`) and, by the line before, is none
                    // of ours any more, so it is dropped once, whether or not that panics.
                    unsafe { self.items.add(at).drop_in_place() };
                }
            }));
            if let Err(payload) = stretch {
                panics += 1;
                // What was thrown may have a Drop that throws again.
                if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    mem::forget(again);
                }
            }
        }
        panics
    }

    #[inline]
    fn rewind_if_empty(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    #[cold]
    fn close_gap(&mut self) {
        let items = self.len();
        // SAFETY: moves our items to the start of the block, where there is room for all of its capacity.
        // The two may overlap; what the old places still hold is no item of ours after the next lines.
        unsafe { self.items.copy_from(self.items.add(self.start as usize), items) };
        self.start = 0;
        self.end = items as u32;
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> fmt::Debug for Block<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
