//! Items into open batches.

use super::Batcher;
use crate::groups::Index;
use crate::item::{Item, Patience};
use crate::limits::WIDE_BATCHES;
use crate::nanos::Nanos;
use crate::ready::ReadyBatch;
use crate::verdict::Trigger;

/// An item where it lies, before it moves into a batch.
pub(crate) trait Arrival<T> {
    /// The item.
    fn item(&self) -> &T;
    /// Moves it out.
    fn take(self) -> T;
}

/// An item that will be accepted soon.
#[derive(Clone, Copy, Default)]
pub(super) struct Ahead {
    /// Its key's hash.
    hash: u64,
    /// Where the key's record may be.
    guess: Index,
}

impl<T: Item, R, E> Batcher<T, R, E> {
    /// How many items a drain may bring now: each can make two batches ready, and so can what is
    /// urgent already.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        if self.starved { 0 } else { self.ready.room().saturating_sub(self.urgent.len()) / 2 }
    }

    /// Whether items need no grouping now: each is a batch of its own, and nothing is open that one
    /// could overtake.
    #[inline]
    pub(crate) fn is_single(&self) -> bool {
        self.aim.target.get() == 1 && self.groups.open_batches() == 0
    }

    /// Whether so many batches are open that their records don't stay in the cache.
    #[inline]
    pub(super) fn is_wide(&self) -> bool {
        self.groups.open_batches() > WIDE_BATCHES
    }

    /// Where the record of this hash may be, if it was found lately.
    #[inline(always)]
    pub(super) fn guess(&self, hash: u64) -> Ahead {
        Ahead { hash, guess: self.groups.guess(hash) }
    }

    /// Where the record of this hash probably is, which is brought into the cache.
    #[inline(always)]
    pub(super) fn guess_far(&self, hash: u64) -> Ahead {
        let guess = self.groups.guess_far(hash);
        self.groups.prefetch(guess);
        Ahead { hash, guess }
    }

    /// Brings the end of the batch into the cache that an item will probably join.
    #[inline(always)]
    pub(super) fn fetch(&self, ahead: Ahead) {
        self.groups.prefetch_block(ahead.guess);
    }

    /// Puts an item, pushed not before `since`, into its key's batch; opens one if there is none.
    /// `false`, and the item stays where it is, when there is no memory for it now. `IN_ORDER`: no open
    /// batch is younger than `since`.
    #[inline(always)]
    pub(super) fn accept<const IN_ORDER: bool, A: Arrival<T>>(
        &mut self,
        arrival: A,
        ahead: Ahead,
        since: Nanos,
    ) -> bool {
        match self.join::<IN_ORDER, A>(arrival, ahead, since) {
            Ok(()) => true,
            Err(arrival) => self.accept_slowly(arrival, ahead, since),
        }
    }

    /// Puts an item into the open batch at the guess, if that is its key's and there is nothing else
    /// to do about it.
    #[inline(always)]
    fn join<const IN_ORDER: bool, A: Arrival<T>>(
        &mut self,
        arrival: A,
        ahead: Ahead,
        since: Nanos,
    ) -> Result<(), A> {
        if let Some(record) = self.groups.record_of(ahead.guess, ahead.hash)
            && let Some(block) = &mut record.block
            && block.ends_below(record.plain_below)
            && (IN_ORDER || since >= record.since)
        {
            if block.push_with(|| arrival.take()) {
                return Ok(());
            }
            unreachable!("a block has room below `plain_below`");
        }
        Err(arrival)
    }

    /// The guess was wrong, or something else is to be done about the item.
    #[inline(never)]
    fn accept_slowly<A: Arrival<T>>(&mut self, arrival: A, ahead: Ahead, since: Nanos) -> bool {
        let Ahead { hash, guess } = ahead;
        let index = if self.groups.record_of(guess, hash).is_some() {
            guess
        } else {
            let Some(index) = self.find_or_admit(hash) else { return false };
            self.groups.remember(hash, index);
            index
        };
        let placed = self.place_at(index, since);
        if placed {
            self.put_with(index, since, || arrival.take());
        }
        placed
    }

    /// Puts an item into the batch that [`place`](Self::place) found for it.
    pub(crate) fn put(&mut self, index: Index, item: T, since: Nanos) {
        self.put_with(index, since, || item);
    }

    /// As [`put`](Self::put), and the item moves from its old place to the new one directly.
    #[inline(always)]
    fn put_with(&mut self, index: Index, since: Nanos, take: impl FnOnce() -> T) {
        let record = self.groups.record(index);
        let Some(block) = &mut record.block else { unreachable!("`place` left a batch open") };
        if !block.push_with(take) {
            unreachable!("`place` left room");
        }
        let full = block.len() >= usize::from(record.target);
        if since < record.since {
            self.predate(index, since);
        }
        if full {
            self.seal(index, Trigger::Size);
        }
    }

    /// Finds, or opens, the batch for an item of this hash: with room in it, so that [`put`](Self::put) must
    /// follow at once. `None` when there is no memory for it now.
    pub(crate) fn place(&mut self, hash: u64, since: Nanos) -> Option<Index> {
        let index = self.find_or_admit(hash)?;
        self.place_at(index, since).then_some(index)
    }

    /// The record of this hash.
    fn find_or_admit(&mut self, hash: u64) -> Option<Index> {
        match self.groups.find(hash) {
            Some(index) => Some(index),
            None => self.admit(hash),
        }
    }

    /// As [`place`](Self::place), where the record is known.
    #[inline(always)]
    fn place_at(&mut self, index: Index, since: Nanos) -> bool {
        if let Some(block) = &self.groups.record(index).block {
            if !block.is_full() || self.grow(index) {
                return true;
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

    /// Makes a batch of one item, without grouping; only while [`is_single`](Self::is_single). `false`,
    /// and the item stays where it is, when there is no memory for it now.
    #[inline]
    pub(crate) fn put_alone<A: Arrival<T>>(&mut self, arrival: A, since: Nanos) -> bool {
        let Some(mut block) = self.arena.block(1) else {
            self.starve();
            return false;
        };
        let pushed = block.push_with(|| arrival.take());
        debug_assert!(pushed, "a fresh block has room");
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
}

/// The steps behind.
impl<T: Item, R, E> Batcher<T, R, E> {
    /// A record for a hash that has none. When every place is taken, one of an idle key makes room; or
    /// else the one whose timer comes first.
    fn admit(&mut self, hash: u64) -> Option<Index> {
        if let Some(index) = self.groups.admit(hash) {
            return Some(index);
        }
        let index = match self.groups.next_idle() {
            Some(index) => index,
            None => self.make_idle()?,
        };
        self.disarm(index);
        self.groups.replace(index, hash);
        Some(index)
    }

    /// The record whose timer comes first, without its batch.
    #[cold]
    fn make_idle(&mut self) -> Option<Index> {
        if self.ready.room() < 2 {
            self.starve();
            return None;
        }
        loop {
            let oldest = self.timers.take_earliest()?;
            if self.is_of_use(oldest) {
                self.groups.record(oldest.index).timer = Nanos::MAX;
                self.seal(oldest.index, Trigger::Pressure);
                return Some(oldest.index);
            }
        }
    }

    #[inline]
    fn open(&mut self, index: Index, since: Nanos) -> bool {
        let record = self.groups.record(index);
        let target = self.aim.target.get() as u16;
        // As large as the key's last batch was, so that a busy key's batches are never moved.
        let usual = usize::from(record.last_len.clamp(1, target));
        let Some(block) = self.arena.block(usual).or_else(|| self.arena.block(1)) else {
            self.starve();
            return false;
        };
        let deadline = since.saturating_add(self.flush_after);
        self.newest = self.newest.max(since);
        self.groups.open(index, block, target, since, deadline);
        self.ring_by(index, deadline);
        true
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
}
