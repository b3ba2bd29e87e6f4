//! The heart of a shard, without a thread and without a clock: items go in, batches come out.
//!
//! A turn calls, in this order: [`begin`](Batcher::begin) with the time and the depth;
//! [`stretch`](Batcher::stretch) for each stretch of items; [`decide`](Batcher::decide); and
//! [`hand_over`](Batcher::hand_over) until nothing is ready.
//!
//! The item's own code may panic. It is called in two places: before accepting, to hash the key (`key`
//! and the key's `Hash`), while the item still lies in its lane and nothing has changed here; and at
//! hand-over, to tell apart keys of one hash (`key` and the key's `Eq`), where the batch stays as it is
//! but for the item that fails.

mod accept;
mod decide;
pub(crate) mod hand_over;
mod stretch;

use accept::Ahead;
pub(crate) use accept::Arrival;
pub(crate) use stretch::Arrivals;
use stretch::View;

use crate::arena::Arena;
use crate::groups::{Groups, Index};
use crate::item::Item;
use crate::limits::READY_BATCHES;
use crate::nanos::Nanos;
use crate::ready::{Ready, ReadyBatch};
use crate::sizing::{Aim, Sizing};
use crate::tally::Tally;
use crate::timers::{ANY, Rung, Timers};
use crate::tunables::Tunables;
use crate::verdict::Trigger;
use crate::verdicts::Verdicts;

/// What a batcher is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatcherSizes {
    pub(crate) sizing: Sizing,
    /// Items of the largest batch that there is memory for.
    pub(crate) largest: u32,
    pub(crate) flush_after: Nanos,
    pub(crate) open_keys: usize,
    pub(crate) open_items: usize,
}

/// The bytes of a batcher's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatcherBytes {
    pub(crate) blocks: usize,
    pub(crate) groups: usize,
    pub(crate) timers: usize,
    pub(crate) ready: usize,
}

pub(crate) struct Batcher<T: Item, R, E> {
    sizing: Sizing,
    flush_after: Nanos,
    now: Nanos,
    aim: Aim,
    groups: Groups<T>,
    timers: Timers,
    ready: Ready<T>,
    arena: Arena<T>,
    verdicts: Verdicts<R, E>,
    /// Batches that go at the end of this drain.
    urgent: Vec<Index>,
    /// Everything open is to go, and why; it may take several turns.
    sweep: Option<Trigger>,
    /// Memory ran out in this drain.
    starved: bool,
    view: View,
    /// No open batch is younger.
    newest: Nanos,
    pub(crate) tally: Tally,
}

impl<T: Item, R, E> Batcher<T, R, E> {
    /// All memory is taken here.
    pub(crate) fn new(sizes: &BatcherSizes, now: Nanos) -> Self {
        let largest = sizes.largest;
        Self {
            sizing: sizes.sizing,
            flush_after: sizes.flush_after,
            now,
            aim: sizes.sizing.aim(0),
            groups: Groups::new(sizes.open_keys),
            timers: Timers::new(sizes.open_keys, sizes.flush_after, now),
            ready: Ready::new(READY_BATCHES),
            arena: Arena::new(sizes.open_items, largest as usize),
            verdicts: Verdicts::with_capacity(largest as usize),
            // Each item of a drain adds one at most, and none is drained while that many wait.
            urgent: Vec::with_capacity(READY_BATCHES),
            sweep: None,
            starved: false,
            view: View::Ahead,
            newest: Nanos::ZERO,
            tally: Tally::new(largest),
        }
    }

    /// The heap bytes of [`new`](Self::new), part by part.
    pub(crate) fn bytes(sizes: &BatcherSizes) -> BatcherBytes {
        let largest = sizes.largest as usize;
        let urgent = READY_BATCHES * size_of::<Index>();
        let verdicts = Verdicts::<R, E>::bytes(largest);
        BatcherBytes {
            blocks: Arena::<T>::bytes(sizes.open_items, largest),
            groups: Groups::<T>::bytes(sizes.open_keys),
            timers: Timers::bytes(sizes.open_keys),
            ready: Ready::<T>::bytes(READY_BATCHES) + urgent + verdicts,
        }
    }

    /// A turn starts at `now`, with `depth` items in the lanes. Time does not run backwards here.
    #[inline]
    pub(crate) fn begin(&mut self, now: Nanos, depth: usize) {
        self.now = self.now.max(now);
        self.aim = self.sizing.aim(depth);
        self.starved = false;
        if !self.aim.linger {
            self.sweep = self.sweep.or(Some(Trigger::Shallow));
        }
        self.tally.begin_turn(self.now, depth);
    }

    /// What is opened from the next turn on is sized, and lingers, by these. What is open keeps its target
    /// and its deadline.
    #[cold]
    pub(crate) fn tune(&mut self, tunables: &Tunables) {
        self.sizing = tunables.sizing;
        let flush_after = Nanos::from(tunables.flush_after);
        if flush_after < self.flush_after {
            self.timers.refine(flush_after);
            // Timers that ring sooner than those would be out of order for as long as one of them stands.
            while let Some(rung) = self.timers.unqueue() {
                if self.is_of_use(rung) {
                    self.groups.record(rung.index).timer = self.timers.arm(rung.index, rung.at);
                }
            }
        }
        self.flush_after = flush_after;
    }

    /// Publishes the gauges that are not counted along the way.
    pub(crate) fn gauge(&mut self) {
        self.tally.counters.open_batches = self.groups.open_batches() as u64;
        self.tally.counters.known_keys = self.groups.known() as u64;
    }
}

/// An arena whose blocks are all back gives its memory back; items that are left are dropped.
impl<T: Item, R, E> Drop for Batcher<T, R, E> {
    fn drop(&mut self) {
        self.fail_all();
    }
}

/// What several steps share.
impl<T: Item, R, E> Batcher<T, R, E> {
    /// Whether a timer is the one that its record goes by.
    fn is_of_use(&mut self, rung: Rung) -> bool {
        rung.at == ANY || self.groups.record(rung.index).timer == rung.at
    }

    /// Sets the record's timer, if it does not ring before anyway: then it finds that there is still
    /// time, and waits on.
    #[inline]
    fn ring_by(&mut self, index: Index, deadline: Nanos) {
        let record = self.groups.record(index);
        if record.timer > deadline {
            if record.timer != Nanos::MAX {
                self.timers.clear(index);
            }
            record.timer = self.timers.set(index, deadline);
        }
    }

    /// The record's timer is not set any more.
    fn disarm(&mut self, index: Index) {
        let record = self.groups.record(index);
        if record.timer != Nanos::MAX {
            self.timers.clear(index);
            record.timer = Nanos::MAX;
        }
    }

    /// Makes the open batch at `index` ready, if there is one.
    fn seal(&mut self, index: Index, trigger: Trigger) {
        let Some((record, block)) = self.groups.close(index) else { return };
        let (since, deadline) = (record.since, record.deadline);
        self.make_ready(ReadyBatch { block, trigger, since, deadline });
    }

    #[inline]
    fn make_ready(&mut self, batch: ReadyBatch<T>) {
        let items = batch.block.len() as u64;
        let counters = &mut self.tally.counters;
        counters.open = counters.open.wrapping_sub(items);
        counters.ready += items;
        self.ready.push(batch);
    }

    #[cold]
    fn starve(&mut self) {
        self.starved = true;
        self.tally.counters.memory_stops += 1;
    }
}
