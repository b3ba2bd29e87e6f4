//! Records that are found by a 64-bit hash, a fixed number of them.

use hashbrown::HashTable;

/// A place in a slab; [`NOWHERE`] is none.
pub(crate) type At = u32;
pub(crate) const NOWHERE: At = At::MAX;

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
