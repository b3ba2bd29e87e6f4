//! A producer's side of the lanes: one ring to every shard.

use crate::barrier::light;
use crate::doorbell::Doorbell;
use crate::ends::Tail;
use crate::error::{Closed, PushError};
use crate::matrix::{LanesConfig, Matrix, fixed_heap_bytes, lane_heap_bytes};
use crate::panics::FirstPanic;
use crate::side::{Mark, SideTail};
use crate::sync::Arc;
use crate::wake;
use crate::wake_slot::Errand;
use std::task::{Poll, Waker};

/// A set of lanes, from which producers claim theirs. Clone it for as many as need it.
///
/// Made by [`lanes`](crate::lanes()).
#[derive(Debug)]
pub struct Lanes<T, M> {
    pub(crate) matrix: Arc<Matrix<T, M>>,
}

impl<T, M> Clone for Lanes<T, M> {
    fn clone(&self) -> Self {
        Self { matrix: Arc::clone(&self.matrix) }
    }
}

impl<T, M> Lanes<T, M> {
    /// Claims a lane: the free one with the lowest index, or none if all are claimed.
    ///
    /// The lane continues where its last holder left it: its items come behind that one's, in
    /// order. Allocates a few hundred bytes a shard.
    pub fn claim(&self) -> Option<Lane<T, M>> {
        let index = self.matrix.claim()?;
        let shards = self.matrix.config().shards;
        let cells = (0..shards)
            .map(|shard| {
                let cell = self.matrix.cell(index, shard);
                LaneCell {
                    items: Tail::new(&cell.items),
                    marks: SideTail::new(&cell.marks),
                    bell: Arc::clone(self.matrix.bell(shard)),
                }
            })
            .collect();
        let touched = vec![0; shards.div_ceil(64)].into_boxed_slice();
        Some(Lane { matrix: Arc::clone(&self.matrix), index, cells, touched })
    }

    /// The bell of a shard, for the control plane's knocks.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn doorbell(&self, shard: usize) -> &Doorbell {
        self.matrix.bell(shard)
    }

    /// The size of the set, with capacities rounded up as they are.
    pub fn config(&self) -> LanesConfig {
        *self.matrix.config()
    }

    /// How many lanes are claimed now.
    pub fn claimed(&self) -> usize {
        self.matrix.in_use()
    }

    /// What one lane takes on the heap, its rings to all shards and both ends of them while it
    /// is claimed, in bytes as asked of the allocator.
    ///
    /// # Panics
    /// If a number of `config` is out of its range.
    pub fn bytes_per_lane(config: LanesConfig) -> usize {
        lane_heap_bytes::<T, M>(config)
            + config.shards * size_of::<LaneCell<T, M>>()
            + config.shards.div_ceil(64) * size_of::<u64>()
            + config.shards * crate::shard_lanes::bytes_per_cell::<T, M>()
    }

    /// What the whole set takes on the heap when all lanes are claimed, in bytes as asked of the
    /// allocator, without the vector that [`lanes`](crate::lanes()) returns.
    ///
    /// # Panics
    /// If a number of `config` is out of its range.
    pub fn heap_bytes(config: LanesConfig) -> usize {
        fixed_heap_bytes::<T, M>(config) + config.lanes * Self::bytes_per_lane(config)
    }
}

/// The producer's ends between a lane and one shard.
#[derive(Debug)]
pub(crate) struct LaneCell<T, M> {
    pub(crate) items: Tail<T>,
    marks: SideTail<M>,
    pub(crate) bell: Arc<Doorbell>,
}

/// One producer's lane: a ring to every shard.
///
/// Made by [`Lanes::claim`]; dropping it gives the lane back. It may move between threads but has
/// one holder at a time. All functions panic if there is no shard of the number given.
#[derive(Debug)]
pub struct Lane<T, M> {
    pub(crate) matrix: Arc<Matrix<T, M>>,
    index: usize,
    pub(crate) cells: Box<[LaneCell<T, M>]>,
    /// A bit for each shard that the run at hand has staged something for.
    pub(crate) touched: Box<[u64]>,
}

impl<T, M> LaneCell<T, M> {
    /// Whether the shard has closed; if so, it accepts nothing more when this returns.
    #[cold]
    pub(crate) fn is_closed_for_good(&self) -> bool {
        let closed = self.bell.is_closed();
        if closed {
            // So that no later push is accepted where this one was told of the close.
            self.items.final_head();
            self.marks.final_head();
        }
        closed
    }

    /// Rings, also when the shard has closed, which does no harm. When `now` panics, what was
    /// published and not accepted is dropped, and the ends are in order for the next push.
    fn ring(&mut self, now: impl FnOnce() -> u64) {
        struct OnPanic<'a, T, M>(&'a mut LaneCell<T, M>);

        impl<T, M> Drop for OnPanic<'_, T, M> {
            fn drop(&mut self) {
                if self.0.bell.is_closed() {
                    self.0.items.settle();
                    self.0.marks.settle();
                    self.0.items.discard();
                    self.0.marks.discard();
                }
            }
        }

        let on_panic = OnPanic(self);
        on_panic.0.bell.ring(now);
        std::mem::forget(on_panic);
    }

    /// Sees to a shard that sleeps or has closed, after the light barrier: rings, and returns how
    /// many of the published items go back (they are staged again).
    #[cold]
    pub(crate) fn attend(&mut self, now: impl FnOnce() -> u64) -> usize {
        self.ring(now);
        if self.bell.is_closed() { self.items.settle() } else { 0 }
    }

    /// As [`attend`](Self::attend), for a mark that stands alone.
    #[cold]
    fn attend_mark(&mut self, now: impl FnOnce() -> u64) -> Option<M> {
        self.ring(now);
        if !self.bell.is_closed() {
            return None;
        }
        self.marks.settle();
        self.marks.unstage().map(Mark::into_inner)
    }
}

impl<T, M> Lane<T, M> {
    /// The lane's number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.cells.len()
    }

    /// For how many items there is room in each ring when it is empty: a power of two.
    pub fn capacity(&self) -> usize {
        self.cells[0].items.capacity()
    }

    /// Pushes one item to a shard if there is room, and wakes the shard if it sleeps.
    ///
    /// `now` is called only by the push that wakes it. `Ok` means accepted. Costs a write, a
    /// store and a load of the shard's bell.
    ///
    /// # Errors
    /// Both give the item back. [`PushError::Full`]: no room now. [`PushError::Closed`]: the shard
    /// has closed, and has not accepted this item.
    #[inline(always)]
    pub fn try_push(
        &mut self,
        shard: usize,
        item: T,
        now: impl FnOnce() -> u64,
    ) -> Result<(), PushError<T>> {
        let cell = &mut self.cells[shard];
        if !cell.items.has_room() {
            return Err(PushError::refused(cell.is_closed_for_good(), item));
        }
        cell.items.push(item);
        // Between publishing and looking whether the shard sleeps or has closed.
        if light(&*cell.bell).calls() && cell.attend(now) > 0 {
            return cell.items.unstage().map_or(Ok(()), |item| Err(PushError::Closed(item)));
        }
        Ok(())
    }

    /// Pushes one item, waiting for room: `spin` rounds on the core, then parked.
    ///
    /// # Errors
    /// The item, when the shard has closed and has not accepted it.
    pub fn push(
        &mut self,
        shard: usize,
        item: T,
        now: impl Fn() -> u64,
        spin: u32,
    ) -> Result<(), Closed<T>> {
        let mut item = item;
        loop {
            match self.try_push(shard, item, &now) {
                Ok(()) => return Ok(()),
                Err(PushError::Closed(back)) => return Err(Closed(back)),
                Err(PushError::Full(back)) => item = back,
            }
            // An error here comes up again above, with the item.
            let _ = self.wait_for_room(shard, 1, spin);
        }
    }

    /// Pushes one item with a mark that belongs to it.
    ///
    /// # Errors
    /// Both give item and mark back. [`PushError::Full`]: no room now for the item or for the
    /// mark. [`PushError::Closed`]: the shard has closed, and has accepted neither.
    pub fn try_push_marked(
        &mut self,
        shard: usize,
        item: T,
        mark: M,
        now: impl FnOnce() -> u64,
    ) -> Result<(), PushError<(T, M)>> {
        let cell = &mut self.cells[shard];
        if !cell.items.has_room() || !cell.marks.has_room() {
            return Err(PushError::refused(cell.is_closed_for_good(), (item, mark)));
        }
        // The mark first: whoever sees the item must find it.
        cell.marks.push(Mark::of_item(cell.items.seq(), mark));
        cell.items.push(item);
        // Between publishing and looking whether the shard sleeps or has closed.
        if light(&*cell.bell).calls() && cell.attend(now) > 0 {
            cell.marks.settle();
            // The shard draws both lines so that item and mark share their fate.
            let item = cell.items.unstage();
            let mark = cell.marks.unstage().map(Mark::into_inner);
            return match (item, mark) {
                (Some(item), Some(mark)) => Err(PushError::Closed((item, mark))),
                _ => Ok(()),
            };
        }
        Ok(())
    }

    /// Sends a mark that stands alone, between what was pushed before and what comes after.
    ///
    /// # Errors
    /// Both give the mark back. [`PushError::Full`]: no room for marks now.
    /// [`PushError::Closed`]: the shard has closed, and has not accepted this mark.
    pub fn try_mark(
        &mut self,
        shard: usize,
        mark: M,
        now: impl FnOnce() -> u64,
    ) -> Result<(), PushError<M>> {
        let cell = &mut self.cells[shard];
        if !cell.marks.has_room() {
            return Err(PushError::refused(cell.is_closed_for_good(), mark));
        }
        cell.marks.push(Mark::alone(cell.items.seq(), mark));
        // Between publishing and looking whether the shard sleeps or has closed.
        if light(&*cell.bell).calls()
            && let Some(mark) = cell.attend_mark(now)
        {
            return Err(PushError::Closed(mark));
        }
        Ok(())
    }

    /// Whether there is room for one item more. Looks at the shard's end only if none is known of.
    #[inline(always)]
    pub fn has_room(&mut self, shard: usize) -> bool {
        self.cells[shard].items.has_room()
    }

    /// For how many marks there is room when there are none: a power of two.
    pub fn mark_capacity(&self) -> usize {
        self.cells[0].marks.capacity()
    }

    /// For how many items there is room, at least: the shard only makes it more.
    pub fn room(&mut self, shard: usize) -> usize {
        let items = &mut self.cells[shard].items;
        items.room(items.capacity())
    }

    /// For how many marks there is room, at least.
    pub fn mark_room(&mut self, shard: usize) -> usize {
        let marks = &mut self.cells[shard].marks;
        marks.room(marks.capacity())
    }

    /// Room for items and for marks; looks at the shard's ends only if less than these many are
    /// known of.
    pub(crate) fn rooms(&mut self, shard: usize, items: usize, marks: usize) -> (usize, usize) {
        let cell = &mut self.cells[shard];
        (cell.items.room(items), cell.marks.room(marks))
    }

    /// Whether the shard has closed. `false` may be out of date at once; a push tells for sure.
    #[inline]
    pub fn is_closed(&self, shard: usize) -> bool {
        self.cells[shard].bell.is_closed()
    }

    /// As [`is_closed`](Self::is_closed), and if so, nothing more is accepted when this returns.
    pub(crate) fn is_closed_for_good(&self, shard: usize) -> bool {
        self.cells[shard].is_closed_for_good()
    }

    /// How many items this lane has pushed to the shard, through all its holders: the number that
    /// the next item gets.
    #[inline]
    pub fn pushed(&self, shard: usize) -> u64 {
        self.cells[shard].items.seq()
    }

    /// Ready when there is room for `wanted` items or the shard has closed; else `waker` is woken
    /// when the shard has taken something or closes, and this is to be asked again.
    ///
    /// A lane and shard have one waker, and the last counts. Costs a heavy barrier when it answers
    /// `Pending`.
    ///
    /// # Panics
    /// If `wanted` is more than the capacity: that much room there never is.
    pub fn poll_room(
        &mut self,
        shard: usize,
        wanted: usize,
        waker: &Waker,
    ) -> Poll<Result<(), Closed<()>>> {
        let capacity = self.capacity();
        assert!(wanted <= capacity, "room for {wanted} never comes in a ring of {capacity}");
        let (room, errand) = self.poll_room_for(shard, wanted, 0, waker);
        errand.run();
        room
    }

    /// As [`poll_room`](Self::poll_room), for a push with a mark: ready when there is room for one
    /// item and for one mark.
    pub fn poll_marked_room(
        &mut self,
        shard: usize,
        waker: &Waker,
    ) -> Poll<Result<(), Closed<()>>> {
        let (room, errand) = self.poll_room_for(shard, 1, 1, waker);
        errand.run();
        room
    }

    /// As [`poll_room`](Self::poll_room), for so many items and so many marks.
    ///
    /// # Panics
    /// If either number is more than the capacity of its ring: that much room there never is.
    pub fn poll_rooms(
        &mut self,
        shard: usize,
        items: usize,
        marks: usize,
        waker: &Waker,
    ) -> Poll<Result<(), Closed<()>>> {
        let cell = &self.cells[shard];
        assert!(items <= cell.items.capacity(), "room for {items} items never comes");
        assert!(marks <= cell.marks.capacity(), "room for {marks} marks never comes");
        let (room, errand) = self.poll_room_for(shard, items, marks, waker);
        errand.run();
        room
    }

    /// Both of the above, for any number of items, with what is left to do where foreign code may
    /// run. Waits for room for the items first, then for the marks.
    pub(crate) fn poll_room_for(
        &mut self,
        shard: usize,
        items: usize,
        marks: usize,
        waker: &Waker,
    ) -> (Poll<Result<(), Closed<()>>>, Errand) {
        let LaneCell { items: tail, marks: side, bell } = &mut self.cells[shard];
        let (room, errand) = tail.poll_room(|_| bell.is_closed(), items, waker);
        if room != Poll::Ready(Ok(())) || marks == 0 {
            return (room, errand);
        }
        let (room, second) = side.poll_room(|_| bell.is_closed(), marks, waker);
        (room, errand.and(second))
    }

    /// Takes back the wakers that waiting for room at a shard has left, if any.
    pub(crate) fn stop_waiting(&mut self, shard: usize) -> Errand {
        let cell = &mut self.cells[shard];
        cell.items.stop_waiting().and(cell.marks.stop_waiting())
    }

    /// Waits until there is room for `wanted` items: `spin` rounds on the core, then parked.
    ///
    /// # Errors
    /// If the shard has closed.
    ///
    /// # Panics
    /// If `wanted` is more than the capacity.
    pub fn wait_for_room(
        &mut self,
        shard: usize,
        wanted: usize,
        spin: u32,
    ) -> Result<(), Closed<()>> {
        let cell = &mut self.cells[shard];
        for _ in 0..spin {
            if cell.items.room(wanted) >= wanted || cell.bell.is_closed() {
                break;
            }
            std::hint::spin_loop();
        }
        wake::block_on_fn(0, |waker| self.poll_room(shard, wanted, waker))
    }
}

impl<T, M> Drop for Lane<T, M> {
    fn drop(&mut self) {
        let mut panics = FirstPanic::default();
        for shard in 0..self.cells.len() {
            // A waker left behind would wake somebody for nothing.
            let errand = self.stop_waiting(shard);
            panics.run(|| errand.run());
        }
        self.matrix.hand_back(self.index);
        panics.resume();
    }
}
