//! The verdicts about the items of a batch, while they are put down.

use std::fmt;

use crate::panics::drop_panics;
use crate::verdict::Verdict;

/// A verdict per item of one [`settle_bulk`](crate::Group::settle_bulk) call.
pub struct Verdicts<R, E> {
    pub(crate) slots: Vec<Option<Verdict<R, E>>>,
}

impl<R, E> fmt::Debug for Verdicts<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdicts")
            .field("items", &self.slots.len())
            .field("decided", &self.decided())
            .finish()
    }
}

impl<R, E> Verdicts<R, E> {
    pub(crate) fn with_capacity(largest: usize) -> Self {
        Self { slots: Vec::with_capacity(largest) }
    }

    /// The heap bytes of [`with_capacity`](Self::with_capacity).
    pub(crate) fn bytes(largest: usize) -> usize {
        largest * size_of::<Option<Verdict<R, E>>>()
    }

    /// Drops what was put down; says how many of those drops panicked.
    pub(crate) fn clear(&mut self) -> usize {
        let panics = self.slots.iter_mut().map(|slot| usize::from(drop_panics(slot.take()))).sum();
        self.slots.clear();
        panics
    }

    /// Whether each item has a verdict, and none of them is to come again.
    pub(crate) fn all_end(&self) -> bool {
        let ends = |slot: &Option<Verdict<R, E>>| {
            matches!(slot, Some(Verdict::Done(_) | Verdict::Failed(_)))
        };
        self.slots.iter().all(ends)
    }

    /// Whether each item is done.
    pub(crate) fn all_done(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Some(Verdict::Done(_))))
    }

    pub(crate) fn lay_out(&mut self, items: usize) {
        debug_assert!(self.slots.is_empty(), "the last call's verdicts are settled");
        self.slots.resize_with(items, || None);
    }

    /// The same for all of so many items.
    pub(crate) fn set_all(&mut self, items: usize, result: &Result<R, E>)
    where
        R: Clone,
        E: Clone,
    {
        self.lay_out(items);
        self.set_rest(|_| match result {
            Ok(reply) => Verdict::Done(reply.clone()),
            Err(error) => Verdict::Failed(error.clone()),
        });
    }

    /// How many items have a verdict.
    pub(crate) fn decided(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Takes the verdict about item `at`, if there is one.
    pub(crate) fn take(&mut self, at: usize) -> Option<Verdict<R, E>> {
        self.slots.get_mut(at)?.take()
    }

    /// Puts down the verdict about item `at`; a second one replaces the first.
    ///
    /// # Panics
    ///
    /// If `at` is not the place of an item of this batch.
    pub fn set(&mut self, at: usize, verdict: Verdict<R, E>) {
        let items = self.slots.len();
        match self.slots.get_mut(at) {
            Some(slot) => *slot = Some(verdict),
            None => panic!("verdict about item {at} of a batch of {items}"),
        }
    }

    /// Puts down one verdict for every item that has none yet.
    pub fn set_rest(&mut self, mut verdict: impl FnMut(usize) -> Verdict<R, E>) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if slot.is_none() {
                *slot = Some(verdict(at));
            }
        }
    }

    /// The verdict put down about item `at` so far.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Verdict<R, E>> {
        self.slots.get(at)?.as_ref()
    }
}

impl<R, E> Default for Verdicts<R, E> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}
