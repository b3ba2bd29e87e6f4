//! Key hash -> open batch.
//!
//! A *record* is what a shard knows of a key that was lately active: the batch that is open for it,
//! if any, and when that must go. Records lie in a slab; a hash table of 8-byte entries (32 bits of
//! the hash, the record's index) finds them, so a look-up that misses the cache misses it three
//! times at most: control bytes, entry, record.
//!
//! A record outlives its batches: the next item of the key finds it still in the table, and maybe its
//! timer still armed, and neither has to be touched. It goes only when another key needs its place:
//! then the next idle one does, going round (the clock algorithm without its second chance: Corbató,
//! "A Paging Experiment with the Multics System", 1968).
//!
//! There is one record for a 64-bit hash, and keys are not compared here: that would load an item of
//! the open batch, a cache miss, for every item that joins. Two keys with the same hash share a batch,
//! which is cut where the key changes when it is handed over: then its items are read anyway. So a
//! collision costs batching, never correctness, and an attacker who makes many gets batches of one
//! instead of long chains.
//!
//! Traps: hashbrown takes a bucket from a hash's low bits and a tag from the top seven, so the
//! engine picks the shard from bits between. And removals leave tombstones, so the table has room
//! for twice the records: then it rehashes in place, and never allocates.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::arena::{Block, OnHugePages, vec_on_huge_pages};
use crate::nanos::Nanos;
use crate::verdict::Trigger;

/// A record's place; also its token on the wheel.
pub(crate) type Index = u32;

/// What a shard knows of a key.
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
    /// A new key's.
    fn of(hash: u64) -> Self {
        Self {
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
        }
    }

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
    table: HashTable<Entry, OnHugePages>,
    records: Vec<Record<T>>,
    /// Where hashes were found lately, by some of their bits: a look at it is a quarter of a look-up.
    /// Only the first records fit; with more of them, items are looked up ahead anyway.
    front: Box<[u16; FRONT]>,
    /// Where the search for an idle record goes on.
    hand: usize,
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
            table: HashTable::with_capacity_in(2 * keys, OnHugePages),
            records: vec_on_huge_pages(keys),
            front: Box::new([u16::MAX; FRONT]),
            hand: 0,
            opened: VecDeque::with_capacity(keys),
            open_batches: 0,
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(keys: usize) -> usize {
        // A table with room for n has a power of two of at least 8/7 n buckets, each with a control
        // byte, and a trailing group of them.
        let buckets = (2 * keys * 8).div_ceil(7).next_power_of_two();
        FRONT * size_of::<u16>()
            + buckets * (size_of::<Entry>() + 1)
            + 16
            + keys * (size_of::<Record<T>>() + size_of::<Index>())
    }

    /// The record of this hash, if there is one.
    #[inline]
    pub(crate) fn find(&self, hash: u64) -> Option<Index> {
        let records = &self.records;
        let is_it =
            |entry: &Entry| entry.tag == tag(hash) && records[entry.index as usize].hash == hash;
        Some(self.table.find(hash, is_it)?.index)
    }

    /// Where the record of this hash may be, if it was found lately; an index that may be out of
    /// range, or another hash's.
    #[inline(always)]
    pub(crate) fn guess(&self, hash: u64) -> Index {
        Index::from(self.front[front_place(hash)])
    }

    /// Where the record of this hash probably is, found without looking at a record; an index out of
    /// range if there is none.
    #[inline(always)]
    pub(crate) fn guess_far(&self, hash: u64) -> Index {
        self.table.find(hash, |entry| entry.tag == tag(hash)).map_or(NOWHERE, |entry| entry.index)
    }

    /// The next [`guess`](Self::guess) of this hash.
    #[inline]
    pub(crate) fn remember(&mut self, hash: u64, index: Index) {
        if let Ok(index) = u16::try_from(index) {
            self.front[front_place(hash)] = index;
        }
    }

    /// Asks for a record to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: Index) {
        ringbuf::prefetch::to_write(self.records.as_ptr().wrapping_add(index as usize));
    }

    /// Asks for the end of a record's open batch to be brought into the cache.
    #[inline(always)]
    pub(crate) fn prefetch_block(&self, index: Index) {
        if let Some(block) =
            self.records.get(index as usize).and_then(|record| record.block.as_ref())
        {
            block.prefetch_end();
        }
    }

    /// The record at `index`, if there is one, and it is of this hash.
    #[inline(always)]
    pub(crate) fn record_of(&mut self, index: Index, hash: u64) -> Option<&mut Record<T>> {
        self.records.get_mut(index as usize).filter(|record| record.hash == hash)
    }

    /// A record for a hash that has none; `None` when every place was used once: then an
    /// [idle](Self::next_idle) one must make room.
    pub(crate) fn admit(&mut self, hash: u64) -> Option<Index> {
        if self.records.len() == self.records.capacity() {
            return None;
        }
        let index = self.records.len() as Index;
        self.records.push(Record::of(hash));
        self.enter(hash, index);
        Some(index)
    }

    /// A record without an open batch, of the next few that were not looked at for longest. Its timer
    /// may be set.
    pub(crate) fn next_idle(&mut self) -> Option<Index> {
        for _ in 0..IDLE_LOOKS {
            let index = if self.hand < self.records.len() { self.hand } else { 0 };
            self.hand = index + 1;
            if self.records.get(index)?.block.is_none() {
                return Some(index as Index);
            }
        }
        None
    }

    /// An idle record, whose timer is not set, becomes another hash's, which has none.
    pub(crate) fn replace(&mut self, index: Index, hash: u64) {
        let record = &mut self.records[index as usize];
        debug_assert!(record.block.is_none(), "a record with an open batch is kept");
        debug_assert!(record.timer == Nanos::MAX, "a timer rings for one key");
        let old = record.hash;
        // It may still stand in the list of opened ones.
        *record = Record { listed: record.listed, ..Record::of(hash) };
        match self.table.find_entry(old, |entry| entry.index == index) {
            Ok(entry) => {
                entry.remove();
            }
            Err(_) => unreachable!("every record stands in the table once"),
        }
        self.enter(hash, index);
    }

    fn enter(&mut self, hash: u64, index: Index) {
        let records = &self.records;
        self.table.insert_unique(hash, Entry { tag: tag(hash), index }, |entry| {
            records[entry.index as usize].hash
        });
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

    /// Keys that have a record.
    pub(crate) fn known(&self) -> usize {
        self.records.len()
    }
}

/// No record's index.
const NOWHERE: Index = Index::MAX;

const _: () = assert!(size_of::<Record<u8>>() == 64, "a record is a cache line");

/// Entries of the front table: 16 KiB, half of a first-level cache.
const FRONT: usize = 8_192;

fn front_place(hash: u64) -> usize {
    (hash >> 7) as usize % FRONT
}

/// Records that are looked at for an idle one, before the oldest batch has to go.
const IDLE_LOOKS: usize = 64;
