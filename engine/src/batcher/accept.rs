//! Items into open batches.

use super::Batcher;
use crate::groups::Index;
use crate::item::{Item, Patience, same_key};
use crate::limits::LOOK_AHEAD_KEYS;
use crate::nanos::Nanos;
use crate::ready::ReadyBatch;
use crate::verdict::Trigger;

/// An item where it lies, before it moves into a batch.
pub(crate) trait Arrival<T> {
    /// Its key's hash.
    fn hash(&self) -> u64;
    /// The item.
    fn item(&self) -> &T;
    /// Moves it out.
    fn take(self) -> T;
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

    /// Where the record for this hash may be.
    #[inline(always)]
    pub(crate) fn guess(&mut self, hash: u64) -> Index {
        self.groups.guess(hash)
    }

    /// Whether there are so many keys that their records don't stay in the cache: then it pays to
    /// look ahead.
    #[inline]
    pub(crate) fn looks_ahead(&self) -> bool {
        self.groups.known() > LOOK_AHEAD_KEYS
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
}
