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

use crate::arena::{Block, prefetch};
use crate::nanos::Nanos;
use crate::verdict::Trigger;

/// A record's place; also its token on the wheel.
pub(crate) type Index = u32;

/// What a shard knows of a lately active key.
#[repr(align(64))]
pub(crate) struct Record<T> {
    pub(crate) hash: u64,
    /// The open batch; never an empty one.
    pub(crate) block: Option<Block<T>>,
    /// When the open batch must go, at the latest.
    pub(crate) deadline: Nanos,
    /// Not after the push of the open batch's oldest item.
    pub(crate) since: Nanos,
    /// When its timer rings; [`Nanos::MAX`] while none is set.
    pub(crate) timer: Nanos,
    /// Items that the open batch may hold; 32,768 at most.
    pub(crate) target: u16,
    /// While the open batch is shorter, an item just goes in: neither does it fill the block, nor
    /// reach the target. 0 without an open batch.
    pub(crate) plain_below: u16,
    /// Items that the key's last batch held: the next one's block is chosen by it.
    pub(crate) last_len: u16,
    /// It stands in the list of opened records.
    listed: bool,
    /// Its batch goes at the end of this turn's drain, and why.
    pub(crate) urgent: Option<Trigger>,
}

impl<T> Record<T> {
    /// The open batch lies in this block now.
    pub(crate) fn hold(&mut self, block: Block<T>) {
        self.plain_below = usize::from(self.target).min(block.capacity()) as u16 - 1;
        self.block = Some(block);
    }
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
    /// Where hashes were found lately, by some of their bits: a look at it is a quarter of a look-up.
    front: Box<[Entry; FRONT]>,
    free: Vec<Index>,
    /// Records that may have an open batch; each stands here at most once.
    opened: VecDeque<Index>,
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
            front: Box::new([Entry { tag: 0, index: NOWHERE }; FRONT]),
            free: Vec::with_capacity(keys),
            opened: VecDeque::with_capacity(keys),
            open_batches: 0,
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(keys: usize) -> usize {
        // A table with room for n has a power of two of at least 8/7 n buckets, each with a control
        // byte, and a trailing group of them.
        let buckets = (2 * keys * 8).div_ceil(7).next_power_of_two();
        FRONT * size_of::<Entry>()
            + buckets * (size_of::<Entry>() + 1)
            + 16
            + keys * (size_of::<Record<T>>() + 2 * size_of::<Index>())
    }

    /// The record of this hash, if there is one.
    #[inline]
    pub(crate) fn find(&self, hash: u64) -> Option<Index> {
        let records = &self.records;
        let is_it =
            |entry: &Entry| entry.tag == tag(hash) && records[entry.index as usize].hash == hash;
        Some(self.table.find(hash, is_it)?.index)
    }

    /// Where the record of this hash probably is, found without looking at a record; an index out of
    /// range if there is none.
    #[inline(always)]
    pub(crate) fn guess(&mut self, hash: u64) -> Index {
        let seen = &mut self.front[(hash >> 7) as usize % FRONT];
        if seen.tag == tag(hash) {
            return seen.index;
        }
        if let Some(entry) = self.table.find(hash, |entry| entry.tag == tag(hash)) {
            *seen = *entry;
            return entry.index;
        }
        NOWHERE
    }

    /// As [`guess`](Self::guess), for so many keys that hardly any was found lately.
    #[inline(always)]
    pub(crate) fn guess_far(&self, hash: u64) -> Index {
        self.table.find(hash, |entry| entry.tag == tag(hash)).map_or(NOWHERE, |entry| entry.index)
    }

    /// Asks for a record to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: Index) {
        prefetch(self.records.as_ptr().wrapping_add(index as usize));
    }

    /// Asks for the end of a record's open batch to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch_block(&self, index: Index) {
        if let Some(block) =
            self.records.get(index as usize).and_then(|record| record.block.as_ref())
        {
            block.prefetch_start();
            block.prefetch_end();
        }
    }

    /// The record at `index`, if there is one, and it is of this hash. It may be of one that was
    /// forgotten: then it has no open batch.
    #[inline(always)]
    pub(crate) fn record_of(&mut self, index: Index, hash: u64) -> Option<&mut Record<T>> {
        self.records.get_mut(index as usize).filter(|record| record.hash == hash)
    }

    /// A record for a hash that has none; `None` when every place is taken.
    pub(crate) fn admit(&mut self, hash: u64) -> Option<Index> {
        let fresh = Record {
            hash,
            block: None,
            deadline: Nanos::MAX,
            since: Nanos::MAX,
            timer: Nanos::MAX,
            target: 0,
            plain_below: 0,
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
        Some(index)
    }

    /// Forgets a record that has no open batch.
    pub(crate) fn forget(&mut self, index: Index) {
        let record = &mut self.records[index as usize];
        debug_assert!(record.block.is_none(), "a record with an open batch is kept");
        // What stands in the queue of timers for it is stale from here on, also for the next key that
        // gets the place.
        record.timer = Nanos::MAX;
        let hash = record.hash;
        match self.table.find_entry(hash, |entry| entry.index == index) {
            Ok(entry) => {
                entry.remove();
            }
            Err(_) => unreachable!("a record is forgotten once"),
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
        target: u16,
        since: Nanos,
        deadline: Nanos,
    ) {
        let record = &mut self.records[index as usize];
        debug_assert!(record.block.is_none(), "one batch a key is open");
        record.target = target;
        record.hold(block);
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
        record.last_len = block.len() as u16;
        record.plain_below = 0;
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

/// No record's index.
const NOWHERE: Index = Index::MAX;

const _: () = assert!(size_of::<Record<u8>>() == 64, "a record is a cache line");

/// Entries of the front table: 16 KiB, half of a first-level cache.
const FRONT: usize = 2_048;
