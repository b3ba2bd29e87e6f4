//! A run of one lane, on its way into batches.

use std::any::Any;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::batcher::{Arrival, Arrivals, Batcher};
use crate::item::{Item, Patience};
use crate::lane::Mark;
use crate::nanos::Nanos;
use crate::notes::Notes;
use crate::panics::{drop_panics, message};
use crate::router::Router;
use crate::verdict::Trigger;

/// A run of one lane on its way into batches.
pub(crate) struct Drain<'a, T: Item, R, E, S> {
    pub(crate) run: ringbuf::LaneDrain<'a, T, Mark<R, E>>,
    pub(crate) batcher: &'a mut Batcher<T, R, E>,
    pub(crate) notes: &'a mut Notes,
    pub(crate) router: &'a Router<S>,
}

impl<T: Item, R, E, S: BuildHasher> Drain<'_, T, R, E, S> {
    /// Takes all of the run, or as much as there is memory for; says how much that was.
    pub(crate) fn all(&mut self) -> usize {
        let from = self.run.seq();
        self.batcher.looks_ahead_again();
        loop {
            let seq = self.run.seq();
            // User code (`key`, `Hash`) runs in here; one guard serves a whole run.
            let ended = catch_unwind(AssertUnwindSafe(|| self.batches()));
            self.batcher.accepted((self.run.seq() - seq) as usize);
            let Err(panic) = ended else { break };
            // Ahead of the item at hand; one by one, it comes again at the item whose code it is.
            if !self.batcher.ceases_to_look_ahead() {
                self.skip(&*panic);
            }
            drop_panics(panic);
        }
        (self.run.seq() - from) as usize
    }

    /// Stretch by stretch: items that share a lower bound of their push and have no mark.
    fn batches(&mut self) {
        while !self.run.is_empty() {
            let seq = self.run.seq();
            let (since, until) = self.notes.since(seq);
            let marked = self.run.next_mark_seq();
            let placed = if marked <= seq {
                self.marked(since)
            } else {
                let stretch = self.run.len().min((until.min(marked) - seq) as usize);
                self.batcher.stretch(self.run.first(stretch), since, self.router)
            };
            if !placed {
                return;
            }
        }
    }

    /// The next item, with what the lane's marks say of it.
    #[cold]
    fn marked(&mut self, since: Nanos) -> bool {
        let Some(item) = self.run.peek() else { return true };
        let Some(place) = self.batcher.place(self.router.hash(item), since) else {
            return false;
        };
        let mut patience = Patience::Engine;
        while let Some(mark) = self.run.take_mark() {
            match mark {
                Mark::Flush => self.batcher.sweep(Trigger::Flush),
                Mark::Patience(own) => patience = own,
                // Whoever calls an engine without queues has no slot to call with.
                Mark::Call(_) | Mark::Asked(_) => {}
            }
        }
        let Some(item) = self.run.next() else { return true };
        self.batcher.put(place, item, since);
        self.batcher.hurry(place, patience, since);
        true
    }

    /// The item at hand fails: its own code panicked on it.
    #[cold]
    fn skip(&mut self, panic: &(dyn Any + Send)) {
        tracing::error!(panic = message(panic), "an item's key panicked");
        while self.run.take_mark().is_some_and(|mark| {
            if matches!(mark, Mark::Flush) {
                self.batcher.sweep(Trigger::Flush);
            }
            true
        }) {}
        let counters = &mut self.batcher.tally.counters;
        counters.key_panics += 1;
        counters.failed += 1;
        if let Some(item) = self.run.next() {
            counters.drop_panics += u64::from(drop_panics(item));
        }
    }
}

impl<T: Item> Arrivals<T> for ringbuf::Stretch<'_, T> {
    type Here<'h>
        = ringbuf::Here<'h, T>
    where
        Self: 'h;

    #[inline(always)]
    fn ahead(&self) -> &[T] {
        self.as_slices().0
    }

    #[inline(always)]
    fn here(&mut self) -> Option<Self::Here<'_>> {
        ringbuf::Stretch::here(self)
    }
}

impl<T> Arrival<T> for ringbuf::Here<'_, T> {
    #[inline(always)]
    fn item(&self) -> &T {
        ringbuf::Here::item(self)
    }

    #[inline(always)]
    fn take(self) -> T {
        ringbuf::Here::take(self)
    }
}
