//! A run of one lane, on its way into batches.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::batcher::{Arrival, Batcher};
use crate::item::{Item, Patience};
use crate::lane::{Hashed, Mark};
use crate::limits::LOOK_AHEAD;
use crate::nanos::Nanos;
use crate::notes::Notes;
use crate::panics::{drop_panics, message};
use crate::verdict::Trigger;

/// A run of one lane on its way into batches.
pub(crate) struct Drain<'a, T: Item, R, E> {
    pub(crate) run: ringbuf::LaneDrain<'a, Hashed<T>, Mark>,
    pub(crate) batcher: &'a mut Batcher<T, R, E>,
    pub(crate) notes: &'a mut Notes,
}

impl<T: Item, R, E> Drain<'_, T, R, E> {
    /// Takes all of the run, or as much as there is memory for; says how much that was.
    pub(crate) fn all(&mut self) -> usize {
        let from = self.run.seq();
        loop {
            let seq = self.run.seq();
            // User code (`key`, `Eq`) runs in here; one guard serves a whole run.
            let ended = catch_unwind(AssertUnwindSafe(|| self.batches()));
            self.batcher.accepted((self.run.seq() - seq) as usize);
            let Err(panic) = ended else { break };
            self.skip(&*panic);
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
                self.stretch(stretch, since)
            };
            if !placed {
                return;
            }
        }
    }

    #[inline]
    fn stretch(&mut self, items: usize, since: Nanos) -> bool {
        if self.batcher.is_single() {
            let Self { run, batcher, .. } = self;
            return (0..items)
                .all(|_| batcher.put_alone(|| run.next().map(|hashed| hashed.item), since));
        }
        let accepted = if self.batcher.looks_ahead() {
            self.accept_ahead(items, since)
        } else {
            self.accept(items, since)
        };
        accepted == items
    }

    /// Accepts items one by one; says how many.
    #[inline(always)]
    fn accept(&mut self, items: usize, since: Nanos) -> usize {
        let Self { run, batcher, .. } = self;
        for nth in 0..items {
            let Some(here) = run.here() else { return nth };
            let guess = batcher.guess(here.item().hash);
            if batcher.accept(here, guess, since).is_none() {
                return nth;
            }
        }
        items
    }

    /// As [`accept`](Self::accept), looking ahead.
    fn accept_ahead(&mut self, items: usize, since: Nanos) -> usize {
        let Self { run, batcher, .. } = self;
        let mut accepted = 0;
        let mut guesses = [0; LOOK_AHEAD];
        while accepted < items {
            let (next, _) = run.as_slices();
            let stage = next.len().min(items - accepted).min(LOOK_AHEAD);
            let guesses = &mut guesses[..stage];
            batcher.look_ahead(next.iter().map(|hashed| hashed.hash), guesses);
            for &mut guess in guesses {
                let Some(here) = run.here() else { return accepted };
                if batcher.accept(here, guess, since).is_none() {
                    return accepted;
                }
                accepted += 1;
            }
        }
        accepted
    }

    /// The next item, with what the lane's marks say of it.
    #[cold]
    fn marked(&mut self, since: Nanos) -> bool {
        let Some(hashed) = self.run.peek() else { return true };
        let Some(place) = self.batcher.place(hashed.hash, &hashed.item, since) else {
            return false;
        };
        let mut patience = Patience::Engine;
        while let Some(mark) = self.run.take_mark() {
            match mark {
                Mark::Flush => self.batcher.sweep(Trigger::Flush),
                Mark::Patience(own) => patience = own,
            }
        }
        let Some(hashed) = self.run.next() else { return true };
        self.batcher.put(place, hashed.item, since);
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
        if let Some(hashed) = self.run.next() {
            counters.drop_panics += u64::from(drop_panics(hashed.item));
        }
    }
}

impl<T> Arrival<T> for ringbuf::Here<'_, Hashed<T>> {
    #[inline(always)]
    fn hash(&self) -> u64 {
        ringbuf::Here::item(self).hash
    }

    #[inline(always)]
    fn item(&self) -> &T {
        &ringbuf::Here::item(self).item
    }

    #[inline(always)]
    fn take(self) -> T {
        ringbuf::Here::take(self).item
    }
}
