//! The two ends of one ring, on which everything else that queues is built.
//!
//! A ring has a [`Core`] that both ends share: two sequence numbers, the slots, the place where
//! the producer waits for room, and the final head. [`Tail`] is the producer's end and [`Head`]
//! the consumer's. Each keeps its own number in a plain field and a copy of the other's as it was
//! last seen, so that it looks at the other's cache line only when it seems to have run out. The
//! numbers run freely and never wrap (2^64 items take centuries); slot = number modulo capacity.
//!
//! The end that has filled slots but not published them has *staged* them. A push stages and
//! publishes one; a run stages many and publishes them in one step.
//!
//! **Who owns a slot.** `[head, tail)` is filled and the consumer's; `[tail, tail + staged)` is
//! filled and the producer's; the rest is empty and the producer's. Two pairs move the borders:
//! - `[filled]`: the producer's Release store of `tail`, the consumer's Acquire load: the consumer
//!   sees what was written into the slots;
//! - `[freed]`: the consumer's Release store of `head`, the producer's Acquire load: the producer
//!   writes into a slot only after the item was moved out.
//!
//! **Closing.** How the consumer says that it has closed is up to the user of this module (a
//! flag, or a word that is shared by many rings). It then passes a heavy barrier, looks at `tail`
//! for the last time ([`Head::finish`]) and publishes that as the *final head*. The producer,
//! after publishing items, passes a light barrier and looks whether the consumer has closed. If
//! it sees nothing, the consumer's last look comes later and finds the items: they are accepted.
//! If it sees the close, it waits for the final head ([`Tail::settle`]), and what lies past it is
//! staged again, to be given back: the consumer never looks there. Without either barrier both
//! may miss the other, and the items are lost.

use crate::barrier::{self, MAY_BE_ASYMMETRIC, light, pass};
use crate::distance::Distance;
use crate::error::Closed;
use crate::slots::{Slots, View};
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering, pause, value_of};
use crate::wake_slot::{Errand, WakeSlot};
use crossbeam_utils::CachePadded;
use std::alloc::Layout;
use std::task::{Poll, Waker};

/// The final head while there is none.
const OPEN: u64 = u64::MAX;

/// A bit: the consumer has closed.
const CLOSED: u64 = 1;
/// A bit, for life: publishing and looking needs a fence between.
const FENCED: u64 = 2;

/// What the two ends share.
#[derive(Debug)]
pub(crate) struct Core<T> {
    /// The next number to be published. Written by the producer.
    tail: CachePadded<AtomicU64>,
    /// The next number to be taken. Written by the consumer.
    head: CachePadded<AtomicU64>,
    rare: CachePadded<Rare>,
    slots: Slots<T>,
}

/// What is read often and written hardly ever, so that it stays in both ends' caches.
#[derive(Debug)]
struct Rare {
    /// Where the producer waits for room.
    room: WakeSlot,
    /// Once the consumer has closed: the number at which it stops.
    final_head: AtomicU64,
    /// Whether the consumer has closed (used by a ring that stands alone), and whether a fence must
    /// come before looking: a push asks for both with one load and one branch.
    closed: AtomicU64,
    /// The producer is gone (used by a ring that stands alone).
    gone: AtomicBool,
}

impl<T> Core<T> {
    /// # Panics
    /// As [`Slots::new`].
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        barrier::prepare();
        let fenced = if barrier::pushes_without_fence() { 0 } else { FENCED };
        Arc::new(Self {
            tail: CachePadded::new(AtomicU64::new(0)),
            head: CachePadded::new(AtomicU64::new(0)),
            rare: CachePadded::new(Rare {
                room: WakeSlot::new(),
                final_head: AtomicU64::new(OPEN),
                closed: AtomicU64::new(fenced),
                gone: AtomicBool::new(false),
            }),
            slots: Slots::new(capacity),
        })
    }

    /// What one core takes on the heap, in bytes, before rounding by the allocator.
    pub(crate) fn heap_bytes(capacity: usize) -> usize {
        let counts = Layout::new::<[usize; 2]>();
        let (shared, _) =
            counts.extend(Layout::new::<Self>()).expect("a core is some hundred bytes");
        shared.pad_to_align().size() + Slots::<T>::heap_bytes(capacity)
    }

    /// The consumer's word that it has closed; a heavy barrier and [`Head::finish`] must follow.
    pub(crate) fn set_closed(&self) {
        // Relaxed: the barriers order it against the producer's publishing. The consumer is the
        // only one to write it.
        let word = self.rare.closed.load(Ordering::Relaxed);
        self.rare.closed.store(word | CLOSED, Ordering::Relaxed);
    }

    /// Whether the consumer has closed. What the caller has published is not ordered before this.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.rare.closed.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// For the producer, after publishing: whether the consumer has closed, past a light barrier.
    #[inline(always)]
    pub(crate) fn has_closed(&self) -> bool {
        if !MAY_BE_ASYMMETRIC {
            return self.has_closed_past_barrier();
        }
        // Relaxed: as in `is_closed`; where the word says nothing, passing was the barrier.
        pass(self).rare.closed.load(Ordering::Relaxed) != 0 && self.closed_or_fenced()
    }

    /// Where the consumer has closed, or where a fence has to come before looking.
    #[cold]
    fn closed_or_fenced(&self) -> bool {
        self.has_closed_past_barrier()
    }

    #[inline(always)]
    fn has_closed_past_barrier(&self) -> bool {
        light(self).is_closed()
    }

    /// The producer's word that nothing will follow.
    pub(crate) fn set_gone(&self) {
        // Release [gone]: whoever sees it then sees the last tail.
        self.rare.gone.store(true, Ordering::Release);
    }

    /// Whether the producer is gone. If so, the tail read after this is the last.
    pub(crate) fn is_gone(&self) -> bool {
        // Acquire [gone].
        self.rare.gone.load(Ordering::Acquire)
    }
}

impl<T> Drop for Core<T> {
    fn drop(&mut self) {
        let head = value_of(&mut self.head);
        let tail = value_of(&mut self.tail);
        // SAFETY: `[head, tail)` is filled and owned by the ring; both ends are gone, and the
        // count of owners that ended here has ordered all they did before this.
        unsafe { self.slots.view().drop_range(head, (tail - head) as usize) };
    }
}

/// The producer's end.
#[derive(Debug)]
pub(crate) struct Tail<T> {
    view: View<T>,
    /// Same as the core's, which only this end writes.
    tail: u64,
    /// `[tail, end)` is staged: filled and not published. Only between [`begin`](Self::begin) or
    /// [`settle`](Self::settle) and the next push, so that a push need not keep it up to date.
    end: u64,
    /// The consumer's head as it was last seen: at most the real one.
    head_seen: u64,
    core: Arc<Core<T>>,
}

impl<T> Tail<T> {
    /// The end of a ring that nobody else holds this end of; what an earlier holder did must have
    /// happened before.
    pub(crate) fn new(core: &Arc<Core<T>>) -> Self {
        // Relaxed: only holders of this end write it, and they come one after the other.
        let tail = core.tail.load(Ordering::Relaxed);
        // Acquire [freed].
        let head_seen = core.head.load(Ordering::Acquire);
        Self { view: core.slots.view(), tail, end: tail, head_seen, core: Arc::clone(core) }
    }

    pub(crate) fn core(&self) -> &Core<T> {
        &self.core
    }

    pub(crate) fn capacity(&self) -> usize {
        self.view.capacity()
    }

    /// The number the next published item gets: how many were published so far.
    #[inline]
    pub(crate) fn seq(&self) -> u64 {
        self.tail
    }

    /// How many items are staged.
    #[inline]
    pub(crate) fn staged(&self) -> usize {
        (self.end - self.tail) as usize
    }

    #[inline(always)]
    fn room_seen(&self) -> usize {
        self.view.capacity() - (self.end - self.head_seen) as usize
    }

    /// For how many more items there is room, with nothing staged. Looks at the consumer's head
    /// only if less than `wanted` are known of.
    pub(crate) fn room(&mut self, wanted: usize) -> usize {
        self.begin();
        self.room_to_stage(wanted)
    }

    /// For how many more items there is room beside what is staged.
    pub(crate) fn room_to_stage(&mut self, wanted: usize) -> usize {
        if self.room_seen() < wanted {
            self.refresh();
        }
        self.room_seen()
    }

    fn refresh(&mut self) {
        // Acquire [freed]: the items before this head were moved out of their slots.
        self.head_seen = self.core.head.load(Ordering::Acquire);
    }

    /// Whether one more item can be published now.
    #[inline(always)]
    pub(crate) fn has_room(&mut self) -> bool {
        // Compared rather than passed on with the item in an error, so that a large item is
        // copied once, into its slot.
        if (self.tail - self.head_seen) as usize == self.view.capacity() {
            self.refresh();
            return (self.tail - self.head_seen) as usize != self.view.capacity();
        }
        true
    }

    /// Publishes one item, where [`has_room`](Self::has_room) has just said that there is room.
    /// What a leaked guard has left staged is forgotten.
    #[inline(always)]
    pub(crate) fn push(&mut self, item: T) {
        let seq = self.tail;
        assert!((seq - self.head_seen) as usize != self.view.capacity(), "pushed without room");
        self.view.prefetch_to_write(seq, self.head_seen);
        // SAFETY: tail - head < capacity, so the slot is the producer's by [freed], and
        // `&mut self` is the one producer. The slots live in the core that we hold.
        unsafe { self.view.write(seq, item) };
        // Release [filled]: whoever reads this tail sees the item.
        self.core.tail.store(seq + 1, Ordering::Release);
        self.tail = seq + 1;
    }

    /// Begins to stage, with nothing. What a leaked guard has left staged is leaked too.
    pub(crate) fn begin(&mut self) {
        self.end = self.tail;
    }

    /// Whether one more item can be staged now.
    #[inline(always)]
    pub(crate) fn has_room_to_stage(&mut self) -> bool {
        if self.room_seen() == 0 {
            self.refresh();
            return self.room_seen() != 0;
        }
        true
    }

    /// Stages one item, where [`has_room_to_stage`](Self::has_room_to_stage) has just said that
    /// there is room.
    #[inline(always)]
    pub(crate) fn stage(&mut self, item: T) {
        assert!(self.room_seen() != 0, "staged without room");
        self.view.prefetch_to_write(self.end, self.head_seen);
        // SAFETY: end - head < capacity, so the slot is the producer's by [freed], and
        // `&mut self` is the one producer. The slots live in the core that we hold.
        unsafe { self.view.write(self.end, item) };
        self.end += 1;
    }

    /// Stages what `items` gives, up to `max` items and no more than there is known room for.
    /// When it panics, what it gave before stays staged.
    #[inline(always)]
    pub(crate) fn stage_from(&mut self, items: impl Iterator<Item = T>, max: usize) {
        let room = self.room_seen().min(max);
        // SAFETY: `room` slots from the end on are empty and the producer's by [freed], and
        // `&mut self` is the one producer. The slots live in the core that we hold.
        unsafe { self.view.fill_from(&mut self.end, room, self.head_seen, items) };
    }

    /// For how many more items there is room, with nothing staged, as [`room`](Self::room), for
    /// somebody who keeps count of what is staged on his own, until
    /// [`publish_to`](Self::publish_to).
    #[inline(always)]
    pub(crate) fn room_to_fill(&mut self, wanted: usize) -> usize {
        let free = |tail: &Self| tail.view.capacity() - (tail.tail - tail.head_seen) as usize;
        if free(self) < wanted {
            self.refresh();
        }
        free(self)
    }

    /// The slots.
    #[inline(always)]
    pub(crate) fn view(&self) -> View<T> {
        self.view
    }

    /// The consumer has taken all before this.
    #[inline(always)]
    pub(crate) fn head_seen(&self) -> u64 {
        self.head_seen
    }

    /// Publishes all before `end`.
    ///
    /// # Safety
    /// - the slots from [`seq`](Self::seq) on up to `end` are filled, and no more than
    ///   [`room_to_fill`](Self::room_to_fill) has said.
    #[inline(always)]
    pub(crate) unsafe fn publish_to(&mut self, end: u64) {
        self.tail = end;
        // Release [filled]: whoever reads this tail sees the items.
        self.core.tail.store(end, Ordering::Release);
    }

    /// Publishes all that is staged in one step.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.tail = self.end;
        // Release [filled]: whoever reads this tail sees the items.
        self.core.tail.store(self.tail, Ordering::Release);
    }

    /// Drops all that is staged.
    pub(crate) fn discard(&mut self) {
        let staged = self.staged();
        self.end = self.tail;
        if staged > 0 {
            // SAFETY: the range was staged: filled, the producer's, and no longer counted.
            unsafe { self.view.drop_range(self.tail, staged) };
        }
    }

    /// Moves what was staged last back out.
    pub(crate) fn unstage(&mut self) -> Option<T> {
        if self.end == self.tail {
            return None;
        }
        self.end -= 1;
        // SAFETY: the slot was staged: filled, the producer's, and no longer counted.
        Some(unsafe { self.view.take(self.end) })
    }

    /// Moves all that is staged back out, behind what is in `back`, in order.
    pub(crate) fn unstage_all(&mut self, back: &mut Vec<T>) {
        back.reserve(self.staged());
        let (from, to) = (self.tail, self.end);
        self.end = self.tail;
        // SAFETY: the range was staged: filled, the producer's, and no longer counted; the room
        // is reserved, so nothing between can panic and lose the rest.
        back.extend((from..to).map(|seq| unsafe { self.view.take(seq) }));
    }

    /// After the consumer was seen to have closed: waits for the final head.
    ///
    /// The wait is for the consumer to get from its word to its final head: a barrier and a few
    /// stores. From then on nothing more is accepted; until then a push may still be.
    #[cold]
    pub(crate) fn final_head(&self) -> u64 {
        let mut round = 0;
        loop {
            // Acquire [final]: whatever the consumer looked at past that number to find where to
            // draw the line, it looks at no more.
            let final_head = self.core.rare.final_head.load(Ordering::Acquire);
            if final_head != OPEN {
                return final_head;
            }
            pause(round);
            round = round.saturating_add(1);
        }
    }

    /// After the consumer was seen to have closed, and after publishing: waits for the final head
    /// and stages again what lies past it. Returns how many that are.
    #[cold]
    pub(crate) fn settle(&mut self) -> usize {
        let final_head = self.final_head();
        self.end = self.tail;
        if final_head < self.tail {
            self.tail = final_head;
            // Relaxed: nobody reads it but the next holder of this end and the last owner.
            self.core.tail.store(self.tail, Ordering::Relaxed);
        }
        self.staged()
    }

    /// Ready when there is room for `wanted` items, or when `closed` says that there never will
    /// be; else the consumer will wake `waker` when it has taken something or closes. More than
    /// the capacity there never is room for, only the close.
    ///
    /// Foreign code (waking, dropping a waker) is left to the caller, who may hold a lock.
    pub(crate) fn poll_room(
        &mut self,
        closed: impl Fn(&Core<T>) -> bool,
        wanted: usize,
        waker: &Waker,
    ) -> (Poll<Result<(), Closed<()>>>, Errand) {
        if let Some(answer) = self.room_or_closed(&closed, wanted) {
            return (Poll::Ready(answer), self.stop_waiting());
        }
        // Registering passes a heavy barrier, so that the second look sees whatever the consumer
        // did before it found nobody waiting.
        let errand = self.core.rare.room.register(waker.clone());
        match self.room_or_closed(&closed, wanted) {
            Some(answer) => (Poll::Ready(answer), errand.and(self.stop_waiting())),
            None => (Poll::Pending, errand),
        }
    }

    fn room_or_closed(
        &mut self,
        closed: impl Fn(&Core<T>) -> bool,
        wanted: usize,
    ) -> Option<Result<(), Closed<()>>> {
        if closed(&self.core) {
            return Some(Err(Closed(())));
        }
        (self.room(wanted) >= wanted).then_some(Ok(()))
    }

    /// Takes back the waker that [`poll_room`](Self::poll_room) left, if any.
    pub(crate) fn stop_waiting(&mut self) -> Errand {
        self.core.rare.room.clear()
    }
}

/// The consumer's end.
#[derive(Debug)]
pub(crate) struct Head<T> {
    view: View<T>,
    /// The next number to take.
    head: u64,
    /// The producer's tail as it was last seen: at most the real one; at last the final head.
    tail_seen: u64,
    /// The final head is published.
    finished: bool,
    /// How far to keep behind the producer.
    distance: Distance,
    core: Arc<Core<T>>,
}

impl<T> Head<T> {
    /// The end of a new ring.
    pub(crate) fn new(core: &Arc<Core<T>>) -> Self {
        Self {
            view: core.slots.view(),
            head: 0,
            tail_seen: 0,
            finished: false,
            distance: Distance::new(size_of::<T>(), core.slots.view().capacity()),
            core: Arc::clone(core),
        }
    }

    pub(crate) fn core(&self) -> &Core<T> {
        &self.core
    }

    pub(crate) fn capacity(&self) -> usize {
        self.view.capacity()
    }

    /// The number of the next item to take: how many were taken so far.
    #[inline]
    pub(crate) fn seq(&self) -> u64 {
        self.head
    }

    /// The number up to which items are known to be there.
    #[inline]
    pub(crate) fn tail_seen(&self) -> u64 {
        self.tail_seen
    }

    /// How many items are known to be there, without looking.
    #[inline]
    pub(crate) fn known(&self) -> usize {
        (self.tail_seen - self.head) as usize
    }

    /// Looks at the producer's tail; how many items are there. After the final head it looks no
    /// more.
    #[inline]
    pub(crate) fn look(&mut self) -> usize {
        if !self.finished {
            // Acquire [filled]: the items before this tail are written.
            self.tail_seen = self.core.tail.load(Ordering::Acquire);
        }
        self.known()
    }

    /// Looks at the producer's tail, where nothing is known to be there; keeps some distance if that
    /// pays.
    #[cold]
    pub(crate) fn look_anew(&mut self) -> usize {
        self.distance.wait();
        let found = self.look();
        self.distance.found(found);
        found
    }

    /// Takes the next item.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.head == self.tail_seen && self.look_anew() == 0 {
            return None;
        }
        let seq = self.head;
        self.head = seq + 1;
        // SAFETY: seq < tail, so the slot is filled and the consumer's by [filled], `&mut self`
        // is the one consumer, and the number is counted as taken. The core is held.
        let item = Some(unsafe { self.view.take(seq) });
        self.release();
        item
    }

    /// The next item that is known to be there.
    #[inline]
    pub(crate) fn peek(&self) -> Option<&T> {
        // SAFETY: head < tail, so the slot is filled and the consumer's by [filled]; nobody can
        // take it while the one consumer is borrowed.
        (self.head < self.tail_seen).then(|| unsafe { self.view.peek(self.head) })
    }

    /// Counts up to `max` of the items that are known to be there as taken; their numbers, from the
    /// first to one past the last. [`end_claim`](Self::end_claim) says which of them really were.
    #[inline]
    pub(crate) fn begin_claim(&mut self, max: usize) -> (u64, u64) {
        let first = self.head;
        self.head = first + self.known().min(max) as u64;
        (first, self.head)
    }

    /// Ends a claim that began at `first`: what comes before `next` was taken and is freed, the rest
    /// stays.
    #[inline]
    pub(crate) fn end_claim(&mut self, first: u64, next: u64) {
        self.head = next;
        if next != first {
            self.release();
        }
    }

    /// The slots.
    #[inline]
    pub(crate) fn view(&self) -> View<T> {
        self.view
    }

    /// Frees all before `head`, and wakes the producer if it waits for room.
    #[inline]
    fn release(&self) {
        // Release [freed]: the producer sees that the items were moved out.
        self.core.head.store(self.head, Ordering::Release);
        self.wake_waiter();
    }

    /// Looks at the tail for the last time, after the consumer's word that it has closed and a
    /// heavy barrier. `reach` may draw the line earlier: it is given this end and that tail.
    /// Publishes the final head. Does nothing the second time.
    ///
    /// Whoever waits for room is still to be woken ([`wake_waiter`](Self::wake_waiter)), once all
    /// rings that close together have their final heads: waking runs foreign code, and a producer
    /// that has seen the close spins until its final head is there.
    pub(crate) fn finish(&mut self, reach: impl FnOnce(&Self, u64) -> u64) {
        if self.finished {
            return;
        }
        self.look();
        self.finished = true;
        let tail = self.tail_seen;
        self.tail_seen = reach(self, tail).clamp(self.head, tail);
        // Release [final]: `reach` may have looked at what goes back to the producer now.
        self.core.rare.final_head.store(self.tail_seen, Ordering::Release);
    }

    /// Wakes the producer if it waits for room; of the calls that follow one event, the first does.
    pub(crate) fn wake_waiter(&self) {
        self.core.rare.room.wake();
    }

    /// Whether the final head is published and everything before it taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.finished && self.head == self.tail_seen
    }

    /// An item that is known to be there, by its number.
    pub(crate) fn at(&self, seq: u64) -> Option<&T> {
        // SAFETY: head <= seq < tail, so the slot is filled and the consumer's by [filled];
        // nobody can take it while the one consumer is borrowed.
        (self.head <= seq && seq < self.tail_seen).then(|| unsafe { self.view.peek(seq) })
    }

    /// Drops all that is known to be there, and frees it.
    pub(crate) fn discard(&mut self) {
        let (from, known) = (self.head, self.known());
        self.head = self.tail_seen;
        // Freed at last, also when a drop panics.
        let freed = AtLast(&*self);
        // SAFETY: the range is filled and the consumer's by [filled], and counted as taken.
        unsafe { freed.0.view.drop_range(from, known) };
    }
}

/// Frees what was taken at the end of a scope, also when the scope unwinds.
struct AtLast<'a, T>(&'a Head<T>);

impl<T> Drop for AtLast<'_, T> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_producer_that_needs_a_fence_is_told_of_the_close_and_of_nothing_else() {
        for fenced in [0, FENCED] {
            let core = Core::<u8>::new(4);
            core.rare.closed.store(fenced, Ordering::Relaxed);
            assert!(!core.has_closed() && !core.is_closed());
            core.set_closed();
            assert!(core.has_closed() && core.is_closed());
            assert_eq!(core.rare.closed.load(Ordering::Relaxed), fenced | CLOSED);
        }
    }
}
