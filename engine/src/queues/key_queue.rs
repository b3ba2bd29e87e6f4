//! What a shard knows of a key while items of it are here, and how it is found.

use hashbrown::HashTable;

use super::node::{At, NOWHERE};
use crate::nanos::Nanos;
use crate::verdict::Trigger;

/// The waiting items of one key hash: sealed batches in front, the open one behind.
#[derive(Clone, Debug)]
pub(crate) struct KeyQueue {
    pub(crate) hash: u64,
    /// The list of nodes that may be handed over, oldest first.
    pub(crate) head: At,
    pub(crate) tail: At,
    /// Items of this key on the shard, wherever: in the list, behind others of their entity, backing off,
    /// in flight.
    pub(crate) items: u32,
    /// Sealed batches in the list.
    pub(crate) batches: u32,
    /// Nodes of the open batch, at the end of the list, their weight, and how many it may hold.
    pub(crate) open: u32,
    pub(crate) open_weight: u64,
    pub(crate) target: u32,
    /// Counts the batches that were opened.
    pub(crate) epoch: u32,
    /// When the open batch must go; [`Nanos::MAX`] without one.
    pub(crate) deadline: Nanos,
    /// The open batch goes at the end of this drain, and why.
    pub(crate) urgent: Option<Trigger>,
    /// The next batch holds at most so many: the items of a failed one are told apart.
    pub(crate) limit: Option<u32>,
    pub(crate) paused: bool,
    /// It stands in the queue of ready keys; in the list of those with an open batch; among the urgent.
    pub(crate) queued: bool,
    pub(crate) opened: bool,
    pub(crate) hurried: bool,
}

impl KeyQueue {
    fn new(hash: u64) -> Self {
        Self {
            hash,
            head: NOWHERE,
            tail: NOWHERE,
            items: 0,
            batches: 0,
            open: 0,
            open_weight: 0,
            target: 1,
            epoch: 0,
            deadline: Nanos::MAX,
            urgent: None,
            limit: None,
            paused: false,
            queued: false,
            opened: false,
            hurried: false,
        }
    }

    /// Nothing speaks of it any more.
    fn is_idle(&self) -> bool {
        self.items == 0 && !(self.paused || self.queued || self.opened || self.hurried)
    }
}

/// Records in a slab, found by their hashes; a fixed number of them.
pub(crate) struct Table<V> {
    slots: Vec<Option<V>>,
    free: Vec<At>,
    by_hash: HashTable<At>,
}

/// What a [`Table`] finds by its hash.
pub(crate) trait Hashed {
    fn hash(&self) -> u64;
}

impl Hashed for KeyQueue {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl<V: Hashed> Table<V> {
    /// Room for `most`; nothing is allocated later.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            slots: Vec::with_capacity(most),
            free: Vec::with_capacity(most),
            // Removals leave tombstones: with twice the room it rehashes in place.
            by_hash: HashTable::with_capacity(2 * most),
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(most: usize) -> usize {
        let buckets = if most == 0 { 0 } else { (2 * most * 8).div_ceil(7).next_power_of_two() };
        most * (size_of::<Option<V>>() + size_of::<At>()) + buckets * (size_of::<At>() + 1) + 16
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn room(&self) -> usize {
        self.slots.capacity() - self.slots.len() + self.free.len()
    }

    pub(crate) fn is_there(&self, at: At) -> bool {
        self.slots.get(at as usize).is_some_and(Option::is_some)
    }

    pub(crate) fn find(&self, hash: u64) -> Option<At> {
        self.by_hash.find(hash, |&at| self[at].hash() == hash).copied()
    }

    /// Puts one in whose hash is not there yet; `None` when there is no room.
    pub(crate) fn insert(&mut self, value: V) -> Option<At> {
        let hash = value.hash();
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(value);
                at
            }
            None if self.slots.len() == self.slots.capacity() => return None,
            None => {
                self.slots.push(Some(value));
                (self.slots.len() - 1) as At
            }
        };
        let slots = &self.slots;
        self.by_hash.insert_unique(hash, at, |&at| match &slots[at as usize] {
            Some(value) => value.hash(),
            None => unreachable!("only what is there is found"),
        });
        Some(at)
    }

    pub(crate) fn remove(&mut self, at: At) -> V {
        let Some(value) = self.slots[at as usize].take() else { unreachable!("it is there") };
        if let Ok(entry) = self.by_hash.find_entry(value.hash(), |&other| other == at) {
            entry.remove();
        }
        self.free.push(at);
        value
    }

    /// The places that are taken.
    pub(crate) fn places(&self) -> impl Iterator<Item = At> + use<V> {
        let taken: Vec<At> = (0..self.slots.len())
            .filter(|&at| self.slots[at].is_some())
            .map(|at| at as At)
            .collect();
        taken.into_iter()
    }
}

impl<V> std::ops::Index<At> for Table<V> {
    type Output = V;

    fn index(&self, at: At) -> &V {
        let Some(value) = &self.slots[at as usize] else { unreachable!("it is there") };
        value
    }
}

impl<V> std::ops::IndexMut<At> for Table<V> {
    fn index_mut(&mut self, at: At) -> &mut V {
        let Some(value) = &mut self.slots[at as usize] else { unreachable!("it is there") };
        value
    }
}

impl Table<KeyQueue> {
    /// The queue of this hash, made if there is none; `None` when there is no room.
    pub(crate) fn find_or_make(&mut self, hash: u64) -> Option<At> {
        match self.find(hash) {
            Some(at) => Some(at),
            None => self.insert(KeyQueue::new(hash)),
        }
    }

    /// Forgets a key that nothing speaks of any more.
    pub(crate) fn forget_if_idle(&mut self, at: At) {
        if self[at].is_idle() {
            self.remove(at);
        }
    }
}
