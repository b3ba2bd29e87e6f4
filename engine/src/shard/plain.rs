//! A shard that groups items as they come.

use std::hash::BuildHasher;

use ringbuf::SeqlockWriter;

use super::{Core, Operation, Shard, TakenIn};
use crate::batcher::{Batcher, BatcherSizes};
use crate::drain::Drain;
use crate::handed_over::HandedOver;
use crate::handler::Handler;
use crate::nanos::Nanos;
use crate::tally::{Counters, Tally};
use crate::tunables::Tunables;
use crate::verdict::Trigger;

/// The batcher of a handler's items.
pub(crate) type Plain<H> =
    Batcher<<H as Handler>::Item, <H as Handler>::Reply, <H as Handler>::Error>;

impl<H: Handler> Core<H> for Plain<H> {
    type Parts = BatcherSizes;
    const WORDS: usize = Counters::WORDS;

    fn new(sizes: BatcherSizes, now: Nanos) -> Self {
        Batcher::new(&sizes, now)
    }

    #[inline(always)]
    fn tally(&self) -> &Tally {
        &self.tally
    }

    #[inline(always)]
    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    #[inline(always)]
    fn begin(&mut self, now: Nanos, depth: usize) {
        self.begin(now, depth);
    }

    #[inline(always)]
    fn take_in<S: BuildHasher>(shard: &mut Shard<H, S, Self>) -> TakenIn {
        if shard.core.passes() {
            let (passed, drained) = shard.pass();
            TakenIn { passed, drained }
        } else {
            TakenIn { passed: 0, drained: shard.drain() }
        }
    }

    #[inline(always)]
    fn drain<S: BuildHasher>(shard: &mut Shard<H, S, Self>, lane: usize, waiting: usize) -> usize {
        let Shard { lanes, notes, core, router, .. } = shard;
        let most = waiting.min(core.room());
        if most == 0 {
            return 0;
        }
        let notes = &mut notes[lane];
        Drain { run: lanes.run(lane, most), batcher: core, notes, router }.all()
    }

    fn sweep(&mut self, trigger: Trigger) {
        self.sweep(trigger);
    }

    #[inline(always)]
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

    #[inline(always)]
    fn is_behind(&self) -> bool {
        self.is_behind()
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.next_deadline()
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn fail_all(&mut self) -> u64 {
        self.fail_all()
    }

    #[inline(always)]
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

    #[inline(always)]
    fn publish(counters: &Counters, to: &mut SeqlockWriter) {
        to.publish(&counters.write());
    }

    #[inline(always)]
    fn report(tally: &mut Tally, items: usize, to: &mut SeqlockWriter) {
        report_progress(tally, items, to);
    }
}

/// Whoever looks while the handler works, or hangs, sees that it has so many items in its hands.
#[inline(always)]
pub(super) fn report_progress(tally: &mut Tally, items: usize, to: &mut SeqlockWriter) {
    match tally.progress(items) {
        Some(progress) => to.progress(progress),
        None => report_anew(tally, items, to),
    }
}

#[cold]
fn report_anew(tally: &mut Tally, items: usize, to: &mut SeqlockWriter) {
    tally.catch_up();
    to.publish(&tally.counters.write());
    if let Some(progress) = tally.progress(items) {
        to.progress(progress);
    }
}
