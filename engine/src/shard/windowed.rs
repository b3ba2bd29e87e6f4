//! A shard whose items gather in windows.

use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ringbuf::SeqlockWriter;

use super::plain::report_progress;
use super::{Core, Operation, Shard, TakenIn};
use crate::handed_over::HandedOver;
use crate::handler::Handler;
use crate::item::{Item, Patience};
use crate::lane::Mark;
use crate::nanos::Nanos;
use crate::notes::Notes;
use crate::panics::{drop_panics, message};
use crate::router::Router;
use crate::tally::{Counters, Tally};
use crate::tunables::Tunables;
use crate::verdict::Trigger;
use crate::windows::{WindowSizes, Windows};

/// The windows of a handler's items.
pub(crate) type Windowed<H> =
    Windows<<H as Handler>::Item, <H as Handler>::Reply, <H as Handler>::Error>;

impl<H: Handler> Core<H> for Windowed<H> {
    type Parts = WindowSizes;
    const WORDS: usize = Counters::WORDS;

    fn new(sizes: WindowSizes, now: Nanos) -> Self {
        Windows::new(&sizes, now)
    }

    #[inline(always)]
    fn tally(&self) -> &Tally {
        &self.tally
    }

    #[inline(always)]
    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn begin(&mut self, now: Nanos, depth: usize) {
        self.begin(now, depth);
    }

    fn take_in<S: BuildHasher>(shard: &mut Shard<H, S, Self>) -> TakenIn {
        TakenIn { passed: 0, drained: shard.drain() }
    }

    fn drain<S: BuildHasher>(shard: &mut Shard<H, S, Self>, lane: usize, waiting: usize) -> usize {
        let Shard { lanes, notes, core, router, .. } = shard;
        let most = waiting.min(core.room());
        if most == 0 {
            return 0;
        }
        let notes = &mut notes[lane];
        Inflow { run: lanes.run(lane, most), windows: core, notes, router }.all()
    }

    fn sweep(&mut self, trigger: Trigger) {
        self.sweep(trigger);
    }

    fn decide(&mut self) {
        self.decide();
    }

    #[inline(always)]
    fn has_ready(&self) -> bool {
        self.has_ready()
    }

    #[inline(always)]
    fn hand_over(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver> {
        self.hand_over(handler, before)
    }

    fn is_behind(&self) -> bool {
        self.is_behind()
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.next_deadline()
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn fail_all(&mut self) -> u64 {
        self.fail_all()
    }

    fn gauge(&mut self) {
        self.gauge();
    }

    fn tune(&mut self, tunables: &Tunables) {
        self.tune(tunables);
    }

    fn operate(&mut self, operation: Operation, _tails: impl FnOnce() -> Vec<u64>) {
        operation.refuse();
    }

    fn step(
        &mut self,
        _handler: &mut H,
        _before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver> {
        None
    }

    fn publish(counters: &Counters, to: &mut SeqlockWriter) {
        to.publish(&counters.write());
    }

    #[inline(always)]
    fn report(tally: &mut Tally, items: usize, to: &mut SeqlockWriter) {
        report_progress(tally, items, to);
    }
}

/// A run of one lane on its way into a window that has room for it.
struct Inflow<'a, T: Item, R, E, S> {
    run: ringbuf::LaneDrain<'a, T, Mark<R, E>>,
    windows: &'a mut Windows<T, R, E>,
    notes: &'a mut Notes,
    router: &'a Router<S>,
}

impl<T: Item, R, E, S: BuildHasher> Inflow<'_, T, R, E, S> {
    /// Takes all of the run; says how much that was.
    fn all(&mut self) -> usize {
        let from = self.run.seq();
        loop {
            let seq = self.run.seq();
            // User code (`key`, `Hash`) runs in here, before an item leaves its lane; one guard serves a
            // whole run.
            let ended = catch_unwind(AssertUnwindSafe(|| self.stretches()));
            self.windows.tally.counters.open += self.run.seq() - seq;
            let Err(panic) = ended else { break };
            tracing::error!(panic = message(&*panic), "an item's key panicked");
            drop_panics(panic);
            self.skip();
        }
        (self.run.seq() - from) as usize
    }

    /// Stretch by stretch: items that share a lower bound of their push and have no mark.
    fn stretches(&mut self) {
        while !self.run.is_empty() {
            let seq = self.run.seq();
            let (since, until) = self.notes.since(seq);
            let marked = self.run.next_mark_seq();
            if marked <= seq {
                self.marked(since);
                continue;
            }
            let items = self.run.len().min((until.min(marked) - seq) as usize);
            self.windows.note(since);
            let mut stretch = self.run.first(items);
            while let Some(here) = stretch.here() {
                let hash = self.router.hash(here.item());
                self.windows.push(hash, || here.take());
            }
        }
    }

    /// The next item, with what the lane's marks say of it.
    #[cold]
    fn marked(&mut self, since: Nanos) {
        let Some(item) = self.run.peek() else { return };
        let hash = self.router.hash(item);
        let patience = self.take_marks();
        let Some(item) = self.run.next() else { return };
        self.windows.note(since);
        self.windows.push(hash, || item);
        self.windows.hurry(patience, since);
    }

    /// The item at hand fails: its own code panicked on it.
    #[cold]
    fn skip(&mut self) {
        self.take_marks();
        let counters = &mut self.windows.tally.counters;
        counters.key_panics += 1;
        counters.failed += 1;
        if let Some(item) = self.run.next() {
            counters.drop_panics += u64::from(drop_panics(item));
        }
    }

    /// The marks of the item at hand: a flush is seen to, a patience told.
    fn take_marks(&mut self) -> Patience {
        let mut patience = Patience::Engine;
        while let Some(mark) = self.run.take_mark() {
            match mark {
                Mark::Flush => self.windows.sweep(Trigger::Flush),
                Mark::Patience(own) => patience = own,
                // Whoever calls an engine without queues has no slot to call with.
                Mark::Call(_) | Mark::Asked(_) => {}
            }
        }
        patience
    }
}
