//! Batches that are to be handed over, in the order in which they became ready.

use std::collections::VecDeque;

use crate::arena::Block;
use crate::nanos::Nanos;
use crate::verdict::Trigger;

/// One sealed batch.
pub(crate) struct ReadyBatch<T> {
    pub(crate) block: Block<T>,
    pub(crate) trigger: Trigger,
    /// Not after the push of its oldest item.
    pub(crate) since: Nanos,
    /// When it must be handed over, at the latest.
    pub(crate) deadline: Nanos,
}

/// A bounded first-in first-out queue, but for what a panic left: that goes back to the head.
pub(crate) struct Ready<T> {
    queue: VecDeque<ReadyBatch<T>>,
    most: usize,
}

impl<T> Ready<T> {
    /// Room for `most` batches, and one that comes back to the head; nothing is allocated later.
    pub(crate) fn new(most: usize) -> Self {
        Self { queue: VecDeque::with_capacity(most + 1), most }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(most: usize) -> usize {
        (most + 1) * size_of::<ReadyBatch<T>>()
    }

    /// How many more batches may be sealed before some must be handed over.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.queue.len())
    }

    #[inline]
    pub(crate) fn push(&mut self, batch: ReadyBatch<T>) {
        debug_assert!(self.queue.len() < self.most, "whoever seals looks for room first");
        self.queue.push_back(batch);
    }

    /// Puts back what a handler call left undecided: it comes next.
    pub(crate) fn put_back(&mut self, batch: ReadyBatch<T>) {
        self.queue.push_front(batch);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<ReadyBatch<T>> {
        self.queue.pop_front()
    }

    /// Asks for the items of a batch soon to come to be brought into the cache.
    #[inline]
    pub(crate) fn prefetch(&self) {
        if let Some(batch) = self.queue.get(AHEAD) {
            batch.block.prefetch_start();
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Small batches are handled in a few tens of nanoseconds, a miss takes a hundred.
const AHEAD: usize = 6;
