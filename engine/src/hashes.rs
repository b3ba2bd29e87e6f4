//! Some hashes of a batch's keys or entities.

use hashbrown::HashTable;

/// A set of 64-bit hashes, which are spread evenly already; emptied after each batch.
pub(crate) struct Hashes(HashTable<u64>);

impl Hashes {
    /// Room for `most`; nothing is allocated later.
    pub(crate) fn new(most: usize) -> Self {
        Self(HashTable::with_capacity(most))
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(most: usize) -> usize {
        if most == 0 {
            return 0;
        }
        let buckets = (most * 8).div_ceil(7).next_power_of_two().max(4);
        // A byte of control for each, and for a group more, from an aligned start.
        buckets * (size_of::<u64>() + 1) + 32
    }

    /// Puts one in; says whether it is new.
    pub(crate) fn insert(&mut self, hash: u64) -> bool {
        let is_new = !self.contains(hash);
        if is_new {
            self.0.insert_unique(hash, hash, |&other| other);
        }
        is_new
    }

    #[inline]
    pub(crate) fn contains(&self, hash: u64) -> bool {
        !self.0.is_empty() && self.0.find(hash, |&other| other == hash).is_some()
    }

    pub(crate) fn clear(&mut self) {
        if !self.0.is_empty() {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_put_in_once_and_nothing_after_a_clear() {
        let mut hashes = Hashes::new(100);
        for hash in (0..100_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            assert!(!hashes.contains(hash));
            assert!(hashes.insert(hash));
            assert!(!hashes.insert(hash));
            assert!(hashes.contains(hash));
        }
        assert_eq!(hashes.0.len(), 100);
        hashes.clear();
        assert!(!hashes.contains(0));
    }

    #[test]
    fn its_room_is_what_it_says() {
        for most in [0, 1, 3, 4, 7, 8, 100, 448, 449, 65_535] {
            let (set, said) = (Hashes::new(most), Hashes::bytes(most));
            assert!(set.0.capacity() >= most);
            let takes = set.0.allocation_size();
            assert!(takes <= said && said <= takes + 64, "{most}: {takes} of {said}");
        }
    }
}
