//! A run of one lane, on its way into queues.

use std::any::Any;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::identity::Origin;
use crate::item::{Item, Patience, expires_after, weight};
use crate::lane::Mark;
use crate::nanos::Nanos;
use crate::notes::Notes;
use crate::panics::{drop_panics, message};
use crate::queues::{Arrived, Queues, Taken};
use crate::router::Router;
use crate::verdict::{Failure, Trigger};

/// A run of one lane on its way into queues.
pub(crate) struct QueueDrain<'a, T: Item, R, E, S> {
    pub(crate) run: ringbuf::LaneDrain<'a, T, Mark<R, E>>,
    pub(crate) queues: &'a mut Queues<T, R, E>,
    pub(crate) notes: &'a mut Notes,
    pub(crate) router: &'a Router<S>,
    pub(crate) shard: u32,
    pub(crate) lane: u32,
}

impl<T: Item, R, E, S: BuildHasher> QueueDrain<'_, T, R, E, S> {
    /// Takes all of the run, or as much as may be taken; says how much that was.
    pub(crate) fn all(&mut self) -> usize {
        let from = self.run.seq();
        // User code (`key`, `Hash`, `entity`, …) runs in here; one guard serves a whole run.
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.items())) {
            self.skip(&*panic);
            drop_panics(panic);
        }
        (self.run.seq() - from) as usize
    }

    fn items(&mut self) {
        while let Some(item) = self.run.peek() {
            let spot = self.router.locate(item);
            let (weight, lives) = (weight(item), expires_after(item));
            let known = match self.queues.takes(spot) {
                Taken::Yes(known) => known,
                Taken::NoRoom => return,
                Taken::Held => return self.queues.note_stop(),
            };
            let seq = self.run.seq();
            let (since, _) = self.notes.since(seq);
            let expires = lives.map_or(Nanos::MAX, |lives| {
                let pushed = self.notes.seen().unwrap_or(self.queues.now());
                pushed.saturating_add(lives)
            });
            let (mut patience, mut answer, mut hurries) = (Patience::Engine, None, false);
            while let Some(mark) = self.run.take_mark() {
                match mark {
                    Mark::Flush => self.queues.sweep(Trigger::Flush),
                    Mark::Patience(own) => patience = own,
                    Mark::Call(who) => (answer, hurries) = (Some(who), true),
                    Mark::Asked(who) => answer = Some(who),
                }
            }
            let Some(item) = self.run.next() else { return };
            let origin = Origin { shard: self.shard, lane: self.lane, seq };
            let arrived =
                Arrived { spot, origin, since, patience, expires, weight, answer, hurries };
            self.queues.accept(item, known, arrived);
        }
    }

    /// The item at hand fails: its own code panicked on it.
    #[cold]
    fn skip(&mut self, panic: &(dyn Any + Send)) {
        tracing::error!(panic = message(panic), "an item's code panicked");
        let mut answer = None;
        while let Some(mark) = self.run.take_mark() {
            match mark {
                Mark::Flush => self.queues.sweep(Trigger::Flush),
                Mark::Patience(_) => {}
                Mark::Call(who) | Mark::Asked(who) => answer = Some(who),
            }
        }
        let counters = &mut self.queues.tally.counters;
        counters.key_panics += 1;
        counters.failed += 1;
        if let Some(item) = self.run.next() {
            counters.drop_panics += u64::from(drop_panics(item));
        }
        self.queues.tell(answer, Err(Failure::Panicked));
    }
}
