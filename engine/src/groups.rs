//! Key hash -> open batch.
//!
//! A *record* is what a shard knows of a key that was lately active: the batch that is open for it,
//! if any, and when that must go. Records lie in a slab; a hash table of 8-byte entries (32 bits of
//! the hash, the record's index) finds them, so a look-up that misses the cache misses it three
//! times at most: control bytes, entry, record.
//!
//! A record outlives its batches: when one is handed over by size, the next item of the key finds
//! the record still in the table, and its timer still armed, and neither has to be touched. The
//! record goes when its timer finds it idle, or when another key needs the place.
//!
//! There is one record for a 64-bit hash. Two keys with the same hash take turns: the one that
//! arrives seals the other's batch. A collision costs batching, never correctness, and an attacker
//! who makes many gets batches of one instead of long chains.
//!
//! Traps: hashbrown takes a bucket from a hash's low bits and a tag from the top seven, so the
//! engine picks the shard from bits between. And removals leave tombstones, so the table has room
//! for twice the records: then it rehashes in place, and never allocates.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::arena::Block;
use crate::nanos::Nanos;
use crate::verdict::Trigger;

/// A record's place; also its token on the wheel.
pub(crate) type Index = u32;

/// What a shard knows of a lately active key.
pub(crate) struct Record<T> {
    pub(crate) hash: u64,
    /// The open batch; never an empty one.
    pub(crate) block: Option<Block<T>>,
    /// When the open batch must go, at the latest.
    pub(crate) deadline: Nanos,
    /// Not after the push of the open batch's oldest item.
    pub(crate) since: Nanos,
    /// Items that the open batch may hold.
    pub(crate) target: u32,
    /// Items that the key's last batch held: the next one's block is chosen by it.
    pub(crate) last_len: u32,
    /// It stands in the list of opened records.
    listed: bool,
    /// Its batch goes at the end of this turn's drain, and why.
    pub(crate) urgent: Option<Trigger>,
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    index: Index,
}

/// The records of one shard, and what finds them.
pub(crate) struct Groups<T> {
    table: HashTable<Entry>,
    records: Vec<Record<T>>,
    free: Vec<Index>,
    /// Records that may have an open batch; each stands here at most once.
    opened: VecDeque<Index>,
    /// The record found last: runs of one key skip the table.
    last: Index,
    open_batches: usize,
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl<T> Groups<T> {
    /// Room for `keys` records; nothing is allocated later.
    pub(crate) fn new(keys: usize) -> Self {
        Self {
            table: HashTable::with_capacity(2 * keys),
            records: Vec::with_capacity(keys),
            free: Vec::with_capacity(keys),
            opened: VecDeque::with_capacity(keys),
            last: 0,
            open_batches: 0,
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(keys: usize) -> usize {
        // A table with room for n has a power of two of at least 8/7 n buckets, each with a control
        // byte, and a trailing group of them.
        let buckets = (2 * keys * 8).div_ceil(7).next_power_of_two();
        buckets * (size_of::<Entry>() + 1)
            + 16
            + keys * (size_of::<Record<T>>() + 2 * size_of::<Index>())
    }

    /// The record of this hash, if there is one.
    #[inline]
    pub(crate) fn find(&mut self, hash: u64) -> Option<Index> {
        if let Some(record) = self.records.get(self.last as usize)
            && record.hash == hash
            && record.last_len != FREE
        {
            return Some(self.last);
        }
        let records = &self.records;
        let is_it =
            |entry: &Entry| entry.tag == tag(hash) && records[entry.index as usize].hash == hash;
        let index = self.table.find(hash, is_it)?.index;
        self.last = index;
        Some(index)
    }

    /// A record for a hash that has none; `None` when every place is taken.
    pub(crate) fn admit(&mut self, hash: u64) -> Option<Index> {
        let fresh = Record {
            hash,
            block: None,
            deadline: Nanos::MAX,
            since: Nanos::MAX,
            target: 0,
            last_len: 0,
            listed: false,
            urgent: None,
        };
        let index = if let Some(index) = self.free.pop() {
            let record = &mut self.records[index as usize];
            // A freed record may still stand in the list of opened ones.
            *record = Record { listed: record.listed, ..fresh };
            index
        } else if self.records.len() < self.records.capacity() {
            self.records.push(fresh);
            (self.records.len() - 1) as Index
        } else {
            return None;
        };
        let records = &self.records;
        self.table.insert_unique(hash, Entry { tag: tag(hash), index }, |entry| {
            records[entry.index as usize].hash
        });
        self.last = index;
        Some(index)
    }

    /// Forgets a record that has no open batch.
    pub(crate) fn forget(&mut self, index: Index) {
        let record = &mut self.records[index as usize];
        debug_assert!(record.block.is_none(), "a record with an open batch is kept");
        let hash = record.hash;
        record.last_len = FREE;
        if let Ok(entry) = self.table.find_entry(hash, |entry| entry.index == index) {
            entry.remove();
        }
        self.free.push(index);
    }

    /// The record at `index`.
    #[inline]
    pub(crate) fn record(&mut self, index: Index) -> &mut Record<T> {
        &mut self.records[index as usize]
    }

    /// Opens a batch in a record that has none.
    #[inline]
    pub(crate) fn open(
        &mut self,
        index: Index,
        block: Block<T>,
        target: u32,
        since: Nanos,
        deadline: Nanos,
    ) {
        let record = &mut self.records[index as usize];
        debug_assert!(record.block.is_none(), "one batch a key is open");
        record.block = Some(block);
        record.target = target;
        record.since = since;
        record.deadline = deadline;
        record.urgent = None;
        self.open_batches += 1;
        if !record.listed {
            record.listed = true;
            self.opened.push_back(index);
        }
    }

    /// Takes the open batch out of its record.
    #[inline]
    pub(crate) fn close(&mut self, index: Index) -> Option<(&mut Record<T>, Block<T>)> {
        let record = &mut self.records[index as usize];
        let block = record.block.take()?;
        record.last_len = block.len() as u32;
        self.open_batches -= 1;
        Some((record, block))
    }

    /// A record that may have an open batch, taken off the list: all of them come, in the order in
    /// which they got there.
    pub(crate) fn pop_opened(&mut self) -> Option<Index> {
        let index = self.opened.pop_front()?;
        self.records[index as usize].listed = false;
        Some(index)
    }

    /// Batches that are open.
    #[inline]
    pub(crate) fn open_batches(&self) -> usize {
        self.open_batches
    }

    /// Records that are in use.
    pub(crate) fn known(&self) -> usize {
        self.records.len() - self.free.len()
    }
}

/// The `last_len` of a record that is in no table.
const FREE: u32 = u32::MAX;
