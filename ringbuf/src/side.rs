//! The side ring: what few items have, kept out of every item's slot.
//!
//! A *mark* belongs to the item of a sequence number, or stands alone before it. Marks travel in
//! a ring of their own beside the items' ring, so that an item without one pays nothing. The
//! producer publishes a mark before the item it belongs to; so whoever has seen the item's number
//! in the tail finds the mark too. A mark that stands alone carries the number that the next item
//! will get, and is there to be found whether or not one follows.
//!
//! **Closing.** A mark that belongs to an item shares its fate. The consumer draws the items'
//! final head first; then the last mark it sees may belong to an item past it (no more than one
//! can: the producer publishes one mark and then its item). That one is the producer's again.

use crate::ends::{Head, Tail};

/// A mark on its way.
#[derive(Debug)]
pub(crate) struct Mark<M> {
    /// The number of the item it belongs to, or stands before.
    seq: u64,
    alone: bool,
    mark: M,
}

impl<M> Mark<M> {
    pub(crate) fn of_item(seq: u64, mark: M) -> Self {
        Self { seq, alone: false, mark }
    }

    pub(crate) fn alone(seq: u64, mark: M) -> Self {
        Self { seq, alone: true, mark }
    }

    pub(crate) fn into_inner(self) -> M {
        self.mark
    }
}

/// The producer's end of a side ring is a plain one.
pub(crate) type SideTail<M> = Tail<Mark<M>>;

/// The consumer's end of a side ring.
#[derive(Debug)]
pub(crate) struct SideHead<M> {
    head: Head<Mark<M>>,
}

impl<M> SideHead<M> {
    pub(crate) fn new(head: Head<Mark<M>>) -> Self {
        Self { head }
    }

    /// The number of the item that the next mark belongs to or stands before, after the items'
    /// tail was looked at. `u64::MAX` without a mark.
    ///
    /// Looks at the side ring only if no mark is known of.
    #[inline]
    pub(crate) fn next_seq(&mut self) -> u64 {
        if self.head.known() == 0 {
            self.head.look();
        }
        self.head.peek().map_or(u64::MAX, |mark| mark.seq)
    }

    /// The next mark, if it is due: it belongs to an item before `next`, or stands alone before
    /// or at it, or belongs to it and `is_there`: the item `next` can be taken.
    pub(crate) fn take_due(&mut self, next: u64, is_there: bool) -> Option<M> {
        if self.next_seq() > next {
            return None;
        }
        let mark = self.head.peek()?;
        if mark.seq == next && !mark.alone && !is_there {
            return None;
        }
        self.head.pop().map(Mark::into_inner)
    }

    /// How many marks are there that were not taken.
    pub(crate) fn look(&mut self) -> usize {
        self.head.look()
    }

    /// The number up to which marks are known to be there.
    pub(crate) fn tail_seen(&self) -> u64 {
        self.head.tail_seen()
    }

    /// After the items' final head was drawn: draws the line between the marks of accepted items
    /// and those that go back.
    pub(crate) fn finish(&mut self, final_head: u64) {
        self.head.finish(|head, tail| {
            let last = tail.wrapping_sub(1);
            match head.at(last) {
                Some(mark) if !mark.alone && mark.seq >= final_head => last,
                _ => tail,
            }
        });
    }

    pub(crate) fn wake_waiter(&self) {
        self.head.wake_waiter();
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.head.is_drained()
    }

    pub(crate) fn discard(&mut self) {
        self.head.discard();
    }
}
