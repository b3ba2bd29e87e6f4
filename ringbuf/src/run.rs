//! Many items at once: fill a run in place and publish it in one step, drain one in place and
//! free it in one step.

use crate::claim::{Claim, Stretch};
use crate::error::{Closed, Full};
use crate::ring::{Consumer, Producer};
use crate::slots::View;
use std::iter::FusedIterator;
use std::mem::{ManuallyDrop, MaybeUninit};

/// A run of items that is being filled in place and that the consumer sees all at once.
///
/// Made by [`Producer::fill`]. [`commit`](Self::commit) publishes it; dropping it drops what was
/// put in, which was never accepted. (Leaking it leaks them.)
///
/// ```
/// let (mut producer, mut consumer) = ringbuf::ring(8);
/// let mut fill = producer.fill(5);
/// assert_eq!(fill.extend(1..), 5);
/// assert_eq!(fill.commit(), Ok(5));
/// assert_eq!(consumer.run(usize::MAX).sum::<i32>(), 15);
/// ```
#[derive(Debug)]
#[must_use = "a run that is not committed is dropped and was never accepted"]
pub struct Fill<'a, T> {
    view: View<T>,
    /// `[first, next)` is filled and not published, `[next, end)` is empty, and both are the
    /// producer's by `[freed]`. The count is here and not in the ring's end, so that in a loop that
    /// fills it stays in registers.
    first: u64,
    next: u64,
    end: u64,
    /// The consumer has taken all before this.
    freed: u64,
    producer: &'a mut Producer<T>,
}

impl<T> Producer<T> {
    /// Begins a run of up to `max` items, or of as many as there is room for now
    /// ([`Fill::room`] says how many).
    #[inline(always)]
    pub fn fill(&mut self, max: usize) -> Fill<'_, T> {
        let wanted = max.min(self.tail.capacity());
        let room = self.tail.room_to_fill(wanted).min(max);
        let first = self.tail.seq();
        let (view, end) = (self.tail.view(), first + room as u64);
        let freed = self.tail.head_seen();
        Fill { view, first, next: first, end, freed, producer: self }
    }
}

impl<T> Fill<'_, T> {
    /// How many items were put in so far.
    #[inline(always)]
    pub fn len(&self) -> usize {
        (self.next - self.first) as usize
    }

    /// Whether nothing was put in yet.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more items may be put in.
    #[inline(always)]
    pub fn room(&self) -> usize {
        (self.end - self.next) as usize
    }

    /// Puts one item in.
    ///
    /// # Errors
    /// The item, when the run has as many as it may.
    #[inline(always)]
    pub fn push(&mut self, item: T) -> Result<(), Full<T>> {
        if self.next == self.end {
            return Err(Full(item));
        }
        self.view.prefetch_to_write(self.next, self.freed);
        // SAFETY: the slot is empty and the producer's by [freed], which is borrowed by this run
        // alone. It lives as long as the producer's end.
        unsafe { self.view.write(self.next, item) };
        self.next += 1;
        Ok(())
    }

    /// Puts in as many of `items` as may be, and returns how many. What does not fit is not asked
    /// for. When the iterator panics, what it gave before stays put in.
    #[inline(always)]
    pub fn extend(&mut self, items: impl IntoIterator<Item = T>) -> usize {
        let (before, room) = (self.next, self.room());
        // SAFETY: as in `push`, for all that there is room for.
        unsafe { self.view.fill_from(&mut self.next, room, self.freed, items.into_iter()) };
        (self.next - before) as usize
    }

    /// The empty slots that may still be filled, in order, as the one or two slices they lie in.
    /// Tell with [`assume_filled`](Self::assume_filled) how many were.
    ///
    /// ```
    /// let (mut producer, mut consumer) = ringbuf::ring(4);
    /// let mut fill = producer.fill(3);
    /// let (first, second) = fill.as_uninit_slices();
    /// for (slot, n) in first.iter_mut().chain(second).zip(0_u8..) {
    ///     slot.write(n);
    /// }
    /// // SAFETY: all three slots were written just now.
    /// unsafe { fill.assume_filled(3) };
    /// assert_eq!(fill.commit(), Ok(3));
    /// assert_eq!(consumer.run(9).collect::<Vec<_>>(), [0, 1, 2]);
    /// ```
    pub fn as_uninit_slices(&mut self) -> (&mut [MaybeUninit<T>], &mut [MaybeUninit<T>]) {
        // SAFETY: as in `push`; the slices borrow the run mutably, so nobody else reaches the slots
        // meanwhile.
        unsafe { self.view.empty_slices(self.next, self.room()) }
    }

    /// Counts the next `count` slots as put in.
    ///
    /// # Safety
    /// - `count` is at most [`room`](Self::room);
    /// - the first `count` slots of [`as_uninit_slices`](Self::as_uninit_slices), counted through
    ///   both slices, hold valid items.
    pub unsafe fn assume_filled(&mut self, count: usize) {
        debug_assert!(count <= self.room());
        self.next += count as u64;
    }

    /// Publishes the run in one step; how many items were accepted, which is all of them.
    ///
    /// # Errors
    /// The consumer has closed: the items it has not accepted, in order. Those before them were
    /// accepted. Only this allocates.
    #[inline(always)]
    pub fn commit(self) -> Result<usize, Closed<Vec<T>>> {
        let mut this = ManuallyDrop::new(self);
        let count = this.len();
        if count == 0 {
            return Ok(0);
        }
        let end = this.next;
        let tail = &mut this.producer.tail;
        // SAFETY: the run's slots up to `next` are filled, and there was room for them.
        unsafe { tail.publish_to(end) };
        // Between publishing and looking whether the consumer has closed.
        if tail.core().has_closed() && tail.settle() > 0 {
            let mut back = Vec::new();
            tail.unstage_all(&mut back);
            return Err(Closed(back));
        }
        Ok(count)
    }
}

impl<T> Drop for Fill<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let (from, count) = (self.first, self.len());
        // SAFETY: the range was filled by this run and never published: the producer's, and
        // nobody counts it.
        unsafe { self.view.drop_range(from, count) };
    }
}

/// A run of items that is being drained in place.
///
/// Made by [`Consumer::run`]. Iterating moves items out; when the run is dropped, the slots of
/// those are freed in one step, a producer that waits for room is woken, and what was not moved
/// out stays in the ring. An item counts as moved out before it is, so a panic in between loses
/// none twice. (Leaking the run leaks its items.)
///
/// ```
/// let (mut producer, mut consumer) = ringbuf::ring(8);
/// producer.fill(4).extend(0..4); // dropped, never accepted
/// let mut fill = producer.fill(4);
/// fill.extend(0..4);
/// fill.commit().unwrap();
///
/// let mut run = consumer.run(3);
/// assert_eq!(run.as_slices().0, [0, 1, 2]);
/// assert_eq!(run.next(), Some(0));
/// assert_eq!(run.peek(), Some(&1));
/// drop(run);
/// assert_eq!(consumer.len(), 3);
/// ```
#[derive(Debug)]
pub struct Run<'a, T> {
    claim: Claim<'a, T>,
}

impl<T> Consumer<T> {
    /// Begins to drain up to `max` of the items that are there now. Where none are known of it looks as
    /// [`pop`](Self::pop) does.
    #[inline]
    pub fn run(&mut self, max: usize) -> Run<'_, T> {
        match self.head.known() {
            0 => _ = self.head.look_anew(),
            known if known < max => _ = self.head.look(),
            _ => {}
        }
        Run { claim: Claim::of(&mut self.head, max) }
    }
}

impl<'a, T> Run<'a, T> {
    pub(crate) fn new(claim: Claim<'a, T>) -> Self {
        Self { claim }
    }

    /// How many items are left in this run.
    #[inline]
    pub fn len(&self) -> usize {
        self.claim.len()
    }

    /// Whether nothing is left in this run.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of the next item in its ring, counted from 0.
    #[inline]
    pub fn seq(&self) -> u64 {
        self.claim.seq()
    }

    /// The next item, where it lies.
    #[inline]
    pub fn peek(&self) -> Option<&T> {
        self.claim.peek()
    }

    /// All that is left, where it lies, as the one or two slices it lies in.
    #[inline]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        self.claim.as_slices()
    }

    /// The next items, up to `count`, in a loop of their own: with one end to look at instead of two.
    #[inline(always)]
    pub fn first(&mut self, count: usize) -> Stretch<'_, T> {
        self.claim.first(count)
    }

    /// Drops the next `count` items, or as many as are left, where they lie. For items that were
    /// used through [`as_slices`](Self::as_slices).
    ///
    /// When the drop of one panics, the rest of them are dropped all the same.
    pub fn skip_in_place(&mut self, count: usize) {
        self.claim.skip(count);
    }
}

impl<T> Iterator for Run<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.claim.take()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> ExactSizeIterator for Run<'_, T> {}
impl<T> FusedIterator for Run<'_, T> {}
