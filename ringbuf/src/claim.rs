//! What the consumer moves out of a ring, in place.
//!
//! `[filled]` and `[freed]` are those of [`ends`](crate::ends).

use crate::ends::Head;
use crate::slots::View;

/// Items that the consumer is moving out: `[next, end)` is filled and this claim's.
///
/// When it ends, what was not moved out stays in the ring, and the rest is freed in one step.
#[derive(Debug)]
pub(crate) struct Claim<'a, T> {
    view: View<T>,
    first: u64,
    next: u64,
    end: u64,
    head: &'a mut Head<T>,
}

impl<'a, T> Claim<'a, T> {
    /// Claims up to `max` of the items that are known to be there. Until the claim ends they all
    /// count as taken, so that a forgotten claim leaks them rather than have them taken twice.
    #[inline]
    pub(crate) fn of(head: &'a mut Head<T>, max: usize) -> Self {
        let (first, end) = head.begin_claim(max);
        Self { view: head.view(), first, next: first, end, head }
    }

    /// The number of the next item to move out.
    #[inline(always)]
    pub(crate) fn seq(&self) -> u64 {
        self.next
    }

    /// How many are left.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        (self.end - self.next) as usize
    }

    /// Moves the next item out.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        let seq = self.next;
        self.next = seq + 1;
        // SAFETY: the slot is filled and the consumer's by [filled], the head behind this claim
        // is borrowed by it alone, and the number is counted as moved out.
        Some(unsafe { self.view.take(seq) })
    }

    /// The next item, where it lies.
    pub(crate) fn peek(&self) -> Option<&T> {
        // SAFETY: as in `take`, and nobody moves it out while the claim is borrowed.
        (self.next < self.end).then(|| unsafe { self.view.peek(self.next) })
    }

    /// All that is left, where it lies.
    pub(crate) fn as_slices(&self) -> (&[T], &[T]) {
        // SAFETY: as in `take`, and nobody moves any out while the claim is borrowed.
        unsafe { self.view.slices(self.next, self.len()) }
    }

    /// Up to `count` of the next items.
    #[inline(always)]
    pub(crate) fn first(&mut self, count: usize) -> Stretch<'_, T> {
        let end = self.next + self.len().min(count) as u64;
        Stretch { view: self.view, next: &mut self.next, end }
    }

    /// Drops up to `count` of the next items.
    pub(crate) fn skip(&mut self, count: usize) {
        let (from, count) = (self.next, self.len().min(count));
        self.next += count as u64;
        // SAFETY: as in `take`, for each of them.
        unsafe { self.view.drop_range(from, count) };
    }
}

/// The first items of a drain, as many as were asked for or are left. What is not moved out stays.
#[derive(Debug)]
pub struct Stretch<'a, T> {
    view: View<T>,
    /// `[next, end)` are filled and the claim's, which is borrowed by this alone.
    next: &'a mut u64,
    end: u64,
}

impl<T> Stretch<'_, T> {
    /// How many items are left of it.
    #[inline(always)]
    pub fn len(&self) -> usize {
        (self.end - *self.next) as usize
    }

    /// Whether nothing is left of it.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is left, where it lies, as the one or two slices it lies in.
    #[inline]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        // SAFETY: the slots are filled and the consumer's by [filled], and nobody moves an item out
        // while this is borrowed.
        unsafe { self.view.slices(*self.next, self.len()) }
    }

    /// The next item, where it lies, to be looked at and then moved out. What a loop looks at and
    /// moves in this way goes from its slot to its new place directly.
    #[inline(always)]
    pub fn here(&mut self) -> Option<Here<'_, T>> {
        if *self.next == self.end {
            return None;
        }
        Some(Here { view: self.view, next: self.next })
    }
}

/// The next item of a drain, where it lies. Dropped, it leaves the item there.
#[derive(Debug)]
pub struct Here<'a, T> {
    view: View<T>,
    /// The number of the item: filled and the claim's, which is borrowed by this alone.
    next: &'a mut u64,
}

impl<T> Here<'_, T> {
    /// The item.
    #[inline(always)]
    pub fn item(&self) -> &T {
        // SAFETY: the slot of `next` is filled and the consumer's by [filled], and nobody moves it
        // out while the claim is borrowed.
        unsafe { self.view.peek(*self.next) }
    }

    /// Moves it out.
    #[inline(always)]
    pub fn take(self) -> T {
        let seq = *self.next;
        *self.next = seq + 1;
        // SAFETY: as in `item`, and the number is counted as moved out.
        unsafe { self.view.take(seq) }
    }
}

impl<T> Drop for Claim<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.head.end_claim(self.first, self.next);
    }
}
