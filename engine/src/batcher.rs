//! The heart of a shard, without a thread and without a clock: items go in, batches come out.
//!
//! A turn calls, in this order: [`begin`](Batcher::begin) with the time and the depth; for each item
//! [`place`](Batcher::place), while it still lies in its lane, then [`put`](Batcher::put); then
//! [`decide`](Batcher::decide), and [`hand_over`](Batcher::hand_over) until nothing is ready.
//!
//! `place` is the only step that calls the item's own code (`key` and the key's `Eq`), and it does
//! so before anything of the item is moved: if that code panics, nothing here has changed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::arena::Arena;
use crate::batch::{Desk, Group, Verdicts};
use crate::groups::{Groups, Index};
use crate::handler::Handler;
use crate::item::{Item, Patience, same_key};
use crate::limits::READY_BATCHES;
use crate::nanos::Nanos;
use crate::ready::{Ready, ReadyBatch};
use crate::sizing::{Aim, Sizing};
use crate::tally::Tally;
use crate::timers::{ANY, Rung, Timers};
use crate::verdict::Trigger;

/// What a batcher is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatcherSizes {
    pub(crate) sizing: Sizing,
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
    pub(crate) tally: Tally,
}

/// An item where it lies, before it moves into a batch.
pub(crate) trait Arrival<T> {
    /// Its key's hash.
    fn hash(&self) -> u64;
    /// The item.
    fn item(&self) -> &T;
    /// Moves it out.
    fn take(self) -> T;
}

/// One handler call.
pub(crate) struct HandedOver {
    pub(crate) items: usize,
    pub(crate) since: Nanos,
    pub(crate) deadline: Nanos,
    /// The handler panicked with this.
    pub(crate) panic: Option<Box<dyn Any + Send>>,
}

impl<T: Item, R, E> Batcher<T, R, E> {
    /// All memory is taken here.
    pub(crate) fn new(sizes: &BatcherSizes, now: Nanos) -> Self {
        let largest = sizes.sizing.largest();
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
            tally: Tally::new(largest),
        }
    }

    /// The heap bytes of [`new`](Self::new), part by part.
    pub(crate) fn bytes(sizes: &BatcherSizes) -> BatcherBytes {
        let largest = sizes.sizing.largest() as usize;
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

    /// How many items a drain may bring now: each can make two batches ready.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        if self.starved { 0 } else { self.ready.room() / 2 }
    }

    /// Whether items need no grouping now: each is a batch of its own, and nothing is open that one
    /// could overtake.
    #[inline]
    pub(crate) fn is_single(&self) -> bool {
        self.aim.target.get() == 1 && self.groups.open_batches() == 0
    }

    /// Where the record for this hash may be.
    #[inline(always)]
    pub(crate) fn guess(&mut self, hash: u64) -> Index {
        self.groups.guess(hash)
    }

    /// Whether there are so many keys that their records don't stay in the cache: then it pays to
    /// look ahead.
    #[inline]
    pub(crate) fn looks_ahead(&self) -> bool {
        self.groups.known() > LOOK_AHEAD_FROM
    }

    /// Guesses where the records of some hashes are, and brings them and the ends of their batches
    /// into the cache: the misses of a whole stretch overlap, instead of following one another.
    #[inline]
    pub(crate) fn look_ahead(&self, hashes: impl Iterator<Item = u64>, guesses: &mut [Index]) {
        for (guess, hash) in guesses.iter_mut().zip(hashes) {
            *guess = self.groups.guess_far(hash);
            self.groups.prefetch(*guess);
        }
        for guess in guesses {
            self.groups.prefetch_block(*guess);
        }
    }

    /// Puts an item, pushed not before `since`, into its key's batch; opens one if there is none.
    /// `guess` is where the key's record may be. Says which record it was; `None`, and the item stays
    /// where it is, when there is no memory for it now.
    #[inline(always)]
    pub(crate) fn accept<A: Arrival<T>>(
        &mut self,
        arrival: A,
        guess: Index,
        since: Nanos,
    ) -> Option<Index> {
        if let Some(record) = self.groups.record_of(guess, arrival.hash())
            && let Some(block) = &mut record.block
            && block.len() < usize::from(record.plain_below)
            && since >= record.since
            && same_key(&block.items()[0], arrival.item())
        {
            if block.push_with(|| arrival.take()) {
                return Some(guess);
            }
            unreachable!("a block has room below `plain_below`");
        }
        self.accept_slowly(arrival, since)
    }

    #[inline(never)]
    fn accept_slowly<A: Arrival<T>>(&mut self, arrival: A, since: Nanos) -> Option<Index> {
        let index = self.place(arrival.hash(), arrival.item(), since)?;
        self.put(index, arrival.take(), since);
        Some(index)
    }

    /// Puts an item into the batch that [`place`](Self::place) found for it.
    pub(crate) fn put(&mut self, index: Index, item: T, since: Nanos) {
        let record = self.groups.record(index);
        let Some(block) = &mut record.block else { unreachable!("`place` left a batch open") };
        let pushed = block.push(item);
        debug_assert!(pushed.is_ok(), "`place` left room");
        let full = block.len() >= usize::from(record.target);
        if since < record.since {
            self.predate(index, since);
        }
        if full {
            self.seal(index, Trigger::Size);
        }
    }

    /// Finds, or opens, the batch for an item: with room in it, so that [`put`](Self::put) must
    /// follow at once. `None` when there is no memory for it now.
    pub(crate) fn place(&mut self, hash: u64, item: &T, since: Nanos) -> Option<Index> {
        let index = match self.groups.find(hash) {
            Some(index) => index,
            None => self.admit(hash)?,
        };
        if let Some(block) = &self.groups.record(index).block {
            if !same_key(&block.items()[0], item) {
                self.seal(index, Trigger::Conflict);
            } else if !block.is_full() || self.grow(index) {
                return Some(index);
            } else {
                // A busy key must not be cut short for as long as idle ones linger: the oldest go.
                self.starve();
                self.seal(index, Trigger::Pressure);
            }
        }
        self.open(index, since)
    }

    /// So many items were put, since this was called last. Counted in one go, not one by one; until
    /// then the count of open items is too small, and may wrap below zero.
    #[inline]
    pub(crate) fn accepted(&mut self, items: usize) {
        let open = &mut self.tally.counters.open;
        *open = open.wrapping_add(items as u64);
    }

    /// Makes a batch of the one item that `take` gives, without grouping; only while
    /// [`is_single`](Self::is_single). `false`, and nothing is taken, when there is no memory for it
    /// now.
    #[inline]
    pub(crate) fn put_alone(&mut self, take: impl FnOnce() -> Option<T>, since: Nanos) -> bool {
        let Some(mut block) = self.arena.block(1) else {
            self.starve();
            return false;
        };
        let Some(item) = take() else {
            self.arena.release(block);
            return false;
        };
        let pushed = block.push(item);
        debug_assert!(pushed.is_ok(), "a fresh block has room");
        let deadline = since.saturating_add(self.flush_after);
        self.make_ready(ReadyBatch { block, trigger: Trigger::Size, since, deadline });
        true
    }

    /// The item just put at `index` has less patience than the engine.
    #[cold]
    pub(crate) fn hurry(&mut self, index: Index, patience: Patience, since: Nanos) {
        let record = self.groups.record(index);
        if record.block.is_none() {
            return;
        }
        match patience {
            Patience::Engine => {}
            Patience::AtMost(most) => {
                let deadline = since.saturating_add(Nanos::from(most));
                if deadline < record.deadline {
                    record.deadline = deadline;
                    self.ring_by(index, deadline);
                }
            }
            Patience::None => {
                if record.urgent.is_none() {
                    record.urgent = Some(Trigger::Patience);
                    self.urgent.push(index);
                }
            }
        }
    }

    /// Everything open now, and what opens until that is done, is to be handed over.
    pub(crate) fn sweep(&mut self, trigger: Trigger) {
        self.sweep = match (self.sweep, trigger) {
            (Some(Trigger::Drain), _) | (_, Trigger::Drain) => Some(Trigger::Drain),
            (_, trigger) => Some(trigger),
        };
    }

    /// After a drain: seals what must go now, as far as the queue of ready batches has room.
    #[inline]
    pub(crate) fn decide(&mut self) {
        if !self.urgent.is_empty() {
            self.seal_urgent();
        }
        if let Some(trigger) = self.sweep {
            self.seal_swept(trigger);
        }
        self.seal_overdue();
        if self.starved {
            self.seal_oldest();
        }
    }

    /// Whether the next [`decide`](Self::decide) has work left over from the last one, whatever
    /// arrives.
    pub(crate) fn is_behind(&self) -> bool {
        !self.urgent.is_empty()
            || (self.sweep.is_some() && self.groups.open_batches() > 0)
            || self.timers.next().is_some_and(|next| next <= self.now)
    }

    /// When [`decide`](Self::decide) has something to do, if nothing arrives before.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.timers.next()
    }

    /// Whether a batch is ready.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether no item is here at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.groups.open_batches() == 0
    }

    /// Hands the batch that has been ready longest to `handler`, and settles what it decided. What
    /// it did not decide, and is not to fail, comes next. `before` sees the tally as it is while the
    /// handler works.
    #[inline]
    pub(crate) fn hand_over<H>(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally),
    ) -> Option<HandedOver>
    where
        H: Handler<Item = T, Reply = R, Error = E>,
    {
        let ReadyBatch { block, trigger, since, deadline } = self.ready.pop()?;
        let items = block.len();
        self.tally.counters.ready -= items as u64;
        self.tally.counters.in_handler += items as u64;
        self.tally.handed_over(items, trigger);
        before(&mut self.tally);
        self.ready.prefetch();
        let mut desk = Desk::new(block, trigger, std::mem::take(&mut self.verdicts));
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _settled = handler.handle(Group::new(&mut desk));
        }))
        .err();
        let concluded = desk.conclude();
        let (block, verdicts) = desk.clear();
        self.verdicts = verdicts;

        let counters = &mut self.tally.counters;
        counters.in_handler -= items as u64;
        counters.ready += block.len() as u64;
        counters.done += concluded.done as u64;
        counters.failed += concluded.failed as u64;
        counters.dead += concluded.dead as u64;
        counters.drop_panics += concluded.drop_panics as u64;
        counters.handler_panics += u64::from(panic.is_some());
        debug_assert_eq!(
            concluded.done + concluded.failed + concluded.dead + block.len(),
            items,
            "every item is settled or still here"
        );
        if block.is_empty() {
            self.arena.release(block);
        } else {
            self.ready.put_back(ReadyBatch { block, trigger, since, deadline });
        }
        Some(HandedOver { items, since, deadline, panic })
    }

    /// Fails everything that is here; says how many items that were.
    pub(crate) fn fail_all(&mut self) -> u64 {
        let mut failed = 0;
        loop {
            self.sweep(Trigger::Drain);
            self.decide();
            if self.ready.is_empty() {
                return failed;
            }
            while let Some(ReadyBatch { mut block, .. }) = self.ready.pop() {
                let items = block.len();
                self.tally.counters.drop_panics += block.settle_front(items) as u64;
                self.tally.counters.ready -= items as u64;
                self.tally.counters.failed += items as u64;
                failed += items as u64;
                self.arena.release(block);
            }
        }
    }
}

/// The steps behind.
impl<T: Item, R, E> Batcher<T, R, E> {
    /// A record for a hash that has none. When every place is taken, the record whose timer comes
    /// first makes room.
    #[cold]
    fn admit(&mut self, hash: u64) -> Option<Index> {
        loop {
            if let Some(index) = self.groups.admit(hash) {
                return Some(index);
            }
            if self.ready.room() < 2 {
                self.starve();
                return None;
            }
            let oldest = self.timers.take_earliest()?;
            if self.is_of_use(oldest) {
                self.seal(oldest.index, Trigger::Pressure);
                self.groups.forget(oldest.index);
            }
        }
    }

    /// Whether a timer is the one that its record goes by.
    fn is_of_use(&mut self, rung: Rung) -> bool {
        rung.at == ANY || self.groups.record(rung.index).timer == rung.at
    }

    fn open(&mut self, index: Index, since: Nanos) -> Option<Index> {
        let record = self.groups.record(index);
        let target = self.aim.target.get() as u16;
        // As large as the key's last batch was, so that a busy key's batches are never moved.
        let usual = usize::from(record.last_len.clamp(1, target));
        let Some(block) = self.arena.block(usual).or_else(|| self.arena.block(1)) else {
            if record.timer == Nanos::MAX {
                self.groups.forget(index);
            }
            self.starve();
            return None;
        };
        let deadline = since.saturating_add(self.flush_after);
        self.groups.open(index, block, target, since, deadline);
        self.ring_by(index, deadline);
        Some(index)
    }

    fn grow(&mut self, index: Index) -> bool {
        let record = self.groups.record(index);
        let Some(block) = record.block.take() else { return false };
        let (block, grown) = match self.arena.grow(block) {
            Ok(block) => (block, true),
            Err(block) => (block, false),
        };
        record.hold(block);
        grown
    }

    /// An item joined that was pushed before the batch's oldest, in another lane.
    #[cold]
    fn predate(&mut self, index: Index, since: Nanos) {
        let deadline = since.saturating_add(self.flush_after);
        let record = self.groups.record(index);
        record.since = since;
        if deadline < record.deadline {
            record.deadline = deadline;
            self.ring_by(index, deadline);
        }
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

    fn seal_urgent(&mut self) {
        // In the order of arrival; the list is as short as the drain was.
        let mut urgent = std::mem::take(&mut self.urgent);
        let now = urgent.len().min(self.ready.room());
        for index in urgent.drain(..now) {
            if let Some(trigger) = self.groups.record(index).urgent.take() {
                self.seal(index, trigger);
            }
        }
        self.urgent = urgent;
    }

    fn seal_swept(&mut self, trigger: Trigger) {
        while self.ready.room() > 0 {
            match self.groups.pop_opened() {
                Some(index) => self.seal(index, trigger),
                None => {
                    self.sweep = None;
                    return;
                }
            }
        }
    }

    fn seal_overdue(&mut self) {
        while self.ready.room() > 0 {
            let Some(rung) = self.timers.ring(self.now) else { return };
            if let Some(soon) = self.timers.ahead(STAGE) {
                self.groups.prefetch(soon);
            }
            if self.is_of_use(rung) {
                self.ring(rung.index);
            }
        }
    }

    /// The timer of a record rang.
    fn ring(&mut self, index: Index) {
        let record = self.groups.record(index);
        record.timer = Nanos::MAX;
        let Some(block) = &record.block else {
            self.groups.forget(index);
            return;
        };
        let deadline = record.deadline;
        if !self.timers.is_due(deadline, self.now) {
            self.ring_by(index, deadline);
            return;
        }
        // A key that had company lately will come back: its record stays for as long again. One that
        // had none is not worth the memory.
        let comes_back = block.len() > 1 || record.last_len > 0;
        self.seal(index, Trigger::Deadline);
        if comes_back {
            self.ring_by(index, self.now.saturating_add(self.flush_after));
        } else {
            self.groups.forget(index);
        }
    }

    /// Flushes an eighth of the open batches, the oldest first, and forgets idle keys on the way.
    #[cold]
    fn seal_oldest(&mut self) {
        let mut most = (self.groups.open_batches() / 8).max(1);
        while most > 0 && self.ready.room() > 0 {
            let Some(oldest) = self.timers.take_earliest() else { return };
            if self.is_of_use(oldest) {
                most -= usize::from(self.groups.record(oldest.index).block.is_some());
                self.seal(oldest.index, Trigger::Pressure);
                self.groups.forget(oldest.index);
            }
        }
    }

    #[cold]
    fn starve(&mut self) {
        self.starved = true;
        self.tally.counters.memory_stops += 1;
    }
}

impl<T: Item, R, E> Batcher<T, R, E> {
    /// Publishes the gauges that are not counted along the way.
    pub(crate) fn gauge(&mut self) {
        self.tally.counters.open_batches = self.groups.open_batches() as u64;
        self.tally.counters.known_keys = self.groups.known() as u64;
    }
}

/// Items that are looked ahead at a time: their cache misses overlap.
pub(crate) const STAGE: usize = 32;
/// Keys from which on it pays to look ahead.
const LOOK_AHEAD_FROM: usize = 4_096;
