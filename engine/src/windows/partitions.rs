//! Items with their hashes, spread over partitions by the top bits of those, in chunks.

use crate::arena::{Arena, Block};

const PARTITIONS: usize = 1 << PARTITION_BITS;
/// So many chunks' ends, a cache line or two each, stay in a first-level cache while items are spread.
const PARTITION_BITS: u32 = 8;
/// Items of a chunk: large enough that links cost nothing, small enough that the last chunk of each
/// partition, on average half empty, costs little.
const CHUNK: usize = 32;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Partition {
    /// The first and the last of its chunks.
    first: u32,
    last: u32,
    len: u32,
}

const EMPTY: Partition = Partition { first: NONE, last: NONE, len: 0 };

/// Two windows' partitions: one fills while the other is emptied.
pub(super) struct Partitions<T> {
    most: usize,
    arena: Arena<(u64, T)>,
    chunks: Vec<Block<(u64, T)>>,
    /// The chunk behind each in its partition.
    next: Vec<u32>,
    free: Vec<u32>,
    filling: Vec<Partition>,
    filling_len: usize,
    closing: Vec<Partition>,
    closing_len: usize,
    /// Of the closing ones, the first that may have items.
    at: usize,
}

/// Chunks that suffice for two windows of so many items, however they are spread.
fn chunks(most: usize) -> usize {
    2 * (most.div_ceil(CHUNK) + PARTITIONS)
}

impl<T> Partitions<T> {
    pub(super) fn new(most: usize) -> Self {
        let count = chunks(most);
        let mut arena = Arena::new(count * CHUNK, CHUNK);
        let chunks: Vec<_> = (0..count).map_while(|_| arena.block(CHUNK)).collect();
        assert_eq!(chunks.len(), count, "the arena was made for them");
        Self {
            most,
            arena,
            chunks,
            next: vec![NONE; count],
            free: (0..count as u32).rev().collect(),
            filling: vec![EMPTY; PARTITIONS],
            filling_len: 0,
            closing: vec![EMPTY; PARTITIONS],
            closing_len: 0,
            at: 0,
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(super) fn bytes(most: usize) -> usize {
        let count = chunks(most);
        let links = 2 * size_of::<u32>() + size_of::<Block<(u64, T)>>();
        Arena::<(u64, T)>::bytes(count * CHUNK, CHUNK)
            .saturating_add(count * links)
            .saturating_add(2 * PARTITIONS * size_of::<Partition>())
    }

    /// Items that still fit into the window that fills.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.most - self.filling_len
    }

    /// Items of the window that fills.
    #[inline]
    pub(super) fn filling(&self) -> usize {
        self.filling_len
    }

    /// Items left in the window that closes.
    #[inline]
    pub(super) fn closing(&self) -> usize {
        self.closing_len
    }

    /// Adds the item that `take` gives to the window that fills, in which there is room.
    #[inline(always)]
    pub(super) fn push(&mut self, hash: u64, take: impl FnOnce() -> T) {
        let partition = &mut self.filling[(hash >> (u64::BITS - PARTITION_BITS)) as usize];
        if partition.len.is_multiple_of(CHUNK as u32) {
            let Some(chunk) = self.free.pop() else { unreachable!("there is room") };
            self.next[chunk as usize] = NONE;
            match partition.last {
                NONE => partition.first = chunk,
                last => self.next[last as usize] = chunk,
            }
            partition.last = chunk;
        }
        if !self.chunks[partition.last as usize].push_with(|| (hash, take())) {
            unreachable!("a chunk has room until it has `CHUNK` items");
        }
        partition.len += 1;
        self.filling_len += 1;
    }

    /// The window that fills closes; the other one must be empty.
    pub(super) fn close(&mut self) {
        debug_assert_eq!(self.closing_len, 0, "one window closes at a time");
        std::mem::swap(&mut self.filling, &mut self.closing);
        self.closing_len = std::mem::take(&mut self.filling_len);
        self.at = 0;
    }

    /// Moves the items of the next partition of the closing window out, in the order in which they came;
    /// `put` is given each with its hash.
    pub(super) fn next(&mut self, mut put: impl FnMut(u64, T)) {
        while self.closing_len > 0 {
            let partition = std::mem::replace(&mut self.closing[self.at], EMPTY);
            self.at += 1;
            if partition.len == 0 {
                continue;
            }
            let mut chunk = partition.first;
            while chunk != NONE {
                let after = self.next[chunk as usize];
                if after != NONE {
                    self.chunks[after as usize].prefetch_start();
                }
                while let Some((hash, item)) = self.chunks[chunk as usize].pop_front() {
                    put(hash, item);
                }
                self.free.push(chunk);
                chunk = after;
            }
            self.closing_len -= partition.len as usize;
            return;
        }
    }
}

/// An arena whose blocks are all back gives its memory back.
impl<T> Drop for Partitions<T> {
    fn drop(&mut self) {
        for chunk in self.chunks.drain(..) {
            self.arena.release(chunk);
        }
    }
}
