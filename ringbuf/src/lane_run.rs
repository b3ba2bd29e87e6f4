//! Many items to any shards, published at once.

use crate::barrier::light;
use crate::ends::Tail;
use crate::error::PushError;
use crate::lane::Lane;

impl<T, M> Lane<T, M> {
    /// Begins a run of items to any shards, which each shard sees at once when it is committed.
    pub fn run(&mut self) -> LaneRun<'_, T, M> {
        self.touched.fill(0);
        LaneRun { lane: self, committed: false }
    }
}

/// A run of items to any shards, staged in their rings and not yet published.
///
/// Made by [`Lane::run`]. [`commit`](Self::commit) publishes each shard's part in one step;
/// dropping it drops what was staged, which was never accepted. (Leaking it leaks them.)
#[derive(Debug)]
#[must_use = "a run that is not committed is dropped and was never accepted"]
pub struct LaneRun<'a, T, M> {
    lane: &'a mut Lane<T, M>,
    /// The parts are published; what is left to do is to ring.
    committed: bool,
}

impl<T, M> LaneRun<'_, T, M> {
    /// Writes an item into its slot at a shard. No atomics, unless the ring seems full.
    ///
    /// # Errors
    /// Both give the item back, and what was staged stays staged. [`PushError::Full`]: no room
    /// now. [`PushError::Closed`]: no room, and the shard has closed.
    #[inline(always)]
    pub fn stage(&mut self, shard: usize, item: T) -> Result<(), PushError<T>> {
        match self.place(shard) {
            Some(place) => {
                place.fill(item);
                Ok(())
            }
            None => {
                let closed = self.lane.cells[shard].is_closed_for_good();
                Err(PushError::refused(closed, item))
            }
        }
    }

    /// The slot at a shard for the next item, if there is one. For loops whose items are made on
    /// the way: with the slot at hand before the item is handed on, no way out of the loop needs
    /// the item in memory, and it goes from registers into its slot.
    #[inline(always)]
    pub fn place(&mut self, shard: usize) -> Option<Place<'_, T>> {
        let items = &mut self.lane.cells[shard].items;
        let word = &mut self.lane.touched[shard / 64];
        let bit = 1 << (shard % 64);
        if *word & bit == 0 {
            items.begin();
            *word |= bit;
        }
        items.has_room_to_stage().then_some(Place { items })
    }

    /// Writes as many of `items` into their slots at one shard as there is room for, and returns
    /// how many. Faster than one after the other. What does not fit is not asked for; when the
    /// iterator panics, what it gave before stays staged.
    pub fn extend(&mut self, shard: usize, items: impl IntoIterator<Item = T>) -> usize {
        let room = self.room(shard);
        self.lane.touched[shard / 64] |= 1 << (shard % 64);
        let tail = &mut self.lane.cells[shard].items;
        let before = tail.staged();
        tail.stage_from(items.into_iter(), room);
        tail.staged() - before
    }

    /// How many items are staged for a shard.
    pub fn staged(&self, shard: usize) -> usize {
        let touched = self.lane.touched[shard / 64] >> (shard % 64) & 1 == 1;
        if touched { self.lane.cells[shard].items.staged() } else { 0 }
    }

    /// For how many more items there is room at a shard.
    pub fn room(&mut self, shard: usize) -> usize {
        let staged = self.staged(shard);
        let items = &mut self.lane.cells[shard].items;
        if staged == 0 {
            items.begin();
        }
        items.room_to_stage(items.capacity())
    }

    /// Publishes each shard's part in one step, and then wakes the shards that sleep. `now` is
    /// called by the pushes that wake one.
    ///
    /// # Errors
    /// The items that shards which have closed have not accepted: shard by shard, each shard's in
    /// order. All others were accepted. Only this allocates.
    pub fn commit(mut self, now: impl Fn() -> u64) -> Result<(), Vec<T>> {
        self.committed = true;
        for_each_touched(&mut self.lane.touched, false, |shard| {
            self.lane.cells[shard].items.publish();
        });
        // Between publishing and looking whether the shards sleep or have closed; one for all.
        // The bells are looked at through what it returns.
        let matrix = light(&*self.lane.matrix);
        let mut back = Vec::new();
        let cells = &mut self.lane.cells;
        for_each_touched(&mut self.lane.touched, true, |shard| {
            let cell = &mut cells[shard];
            if matrix.bell(shard).calls() && cell.attend(&now) > 0 {
                cell.items.unstage_all(&mut back);
            }
        });
        if back.is_empty() { Ok(()) } else { Err(back) }
    }
}

/// An empty slot of a run: see [`LaneRun::place`].
#[derive(Debug)]
#[must_use = "it stays empty until it is filled"]
pub struct Place<'a, T> {
    items: &'a mut Tail<T>,
}

impl<T> Place<'_, T> {
    /// Stages the item there.
    #[inline(always)]
    pub fn fill(self, item: T) {
        self.items.stage(item);
    }
}

impl<T, M> Drop for LaneRun<'_, T, M> {
    fn drop(&mut self) {
        let committed = self.committed;
        let cells = &mut self.lane.cells;
        for_each_touched(&mut self.lane.touched, true, |shard| {
            let cell = &mut cells[shard];
            if committed {
                // Only when `now` has panicked at another shard: the items are published, so
                // these shards must be woken all the same, and what closed ones have not
                // accepted is dropped.
                if cell.attend(|| 0) > 0 {
                    cell.items.discard();
                }
            } else {
                cell.items.discard();
            }
        });
    }
}

/// Calls `visit` with the number of each bit that is set, from the lowest; before that it clears
/// the bit if told to.
#[inline]
fn for_each_touched(touched: &mut [u64], clear: bool, mut visit: impl FnMut(usize)) {
    for (i, word) in touched.iter_mut().enumerate() {
        let mut left = *word;
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            left &= left - 1;
            if clear {
                *word = left;
            }
            visit(i * 64 + bit);
        }
    }
}
