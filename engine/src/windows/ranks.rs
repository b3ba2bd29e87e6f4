//! Where the items of a partition belong, so that those of one hash lie side by side.

use crate::arena::vec_on_huge_pages;

#[derive(Clone, Copy)]
struct Slot {
    hash: u64,
    group: u32,
    /// Of the partition that wrote it: what others wrote counts as empty.
    round: u32,
}

const EMPTY: Slot = Slot { hash: 0, group: 0, round: 0 };
/// Spreads hashes that differ in few bits, of a hasher that is no good, over the table: 2^64 divided by
/// the golden ratio (Knuth, "The Art of Computer Programming", volume 3, section 6.4).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Counts a partition's items by hash, in a table that is as large as that partition needs.
pub(super) struct Ranks {
    slots: Vec<Slot>,
    round: u32,
    /// By item: its hash, then its group, then its place.
    hashes: Vec<u64>,
    places: Vec<u32>,
    /// By group, in order of its first item: how many items, then where they end.
    ends: Vec<u32>,
}

impl Ranks {
    /// For partitions of at most so many items.
    pub(super) fn new(most: usize) -> Self {
        Self {
            slots: vec![EMPTY; slots(most)],
            round: 0,
            hashes: vec_on_huge_pages(most),
            places: vec_on_huge_pages(most),
            ends: vec_on_huge_pages(most),
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(super) fn bytes(most: usize) -> usize {
        slots(most) * size_of::<Slot>() + most * (size_of::<u64>() + 2 * size_of::<u32>())
    }

    /// A new partition begins.
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.places.clear();
        self.ends.clear();
    }

    /// Its next item has this hash.
    #[inline(always)]
    pub(super) fn add(&mut self, hash: u64) {
        debug_assert!(self.hashes.len() < self.hashes.capacity(), "no more than was said");
        self.hashes.push(hash);
    }

    /// Orders the partition's items: equal hashes side by side, each in the order of arrival.
    pub(super) fn order<T>(&mut self, items: &mut [T]) {
        debug_assert_eq!(items.len(), self.hashes.len(), "a hash for each item");
        self.count();
        let mut from = 0;
        for end in &mut self.ends {
            let len = std::mem::replace(end, from);
            from += len;
        }
        for place in &mut self.places {
            let end = &mut self.ends[*place as usize];
            *place = *end;
            *end += 1;
        }
        // Each swap brings one item to its place.
        let places = &mut self.places[..items.len()];
        for at in 0..items.len() {
            while places[at] as usize != at {
                let to = places[at] as usize;
                items.swap(at, to);
                places.swap(at, to);
            }
        }
    }

    /// The number of groups, once ordered.
    pub(super) fn groups(&self) -> usize {
        self.ends.len()
    }

    /// Where this group ends: it begins where the one before does.
    pub(super) fn end(&self, group: usize) -> usize {
        self.ends[group] as usize
    }

    fn count(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.slots.fill(EMPTY);
            self.round = 1;
        }
        let bits = slots(self.hashes.len()).trailing_zeros();
        let table = &mut self.slots[..1 << bits];
        let mask = table.len() - 1;
        for &hash in &self.hashes {
            let mut at = (hash.wrapping_mul(SPREAD) >> (u64::BITS - bits)) as usize;
            let group = loop {
                let slot = &mut table[at & mask];
                if slot.round != self.round {
                    let group = self.ends.len() as u32;
                    *slot = Slot { hash, group, round: self.round };
                    self.ends.push(0);
                    break group;
                }
                if slot.hash == hash {
                    break slot.group;
                }
                at += 1;
            };
            self.ends[group as usize] += 1;
            self.places.push(group);
        }
    }
}

/// Slots for so many hashes: at most half of them are taken.
fn slots(items: usize) -> usize {
    (2 * items).next_power_of_two().max(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a stable sort by the first place of each hash.
        #[test]
        fn items_of_one_hash_lie_side_by_side_in_the_order_of_arrival(
            partitions in prop::collection::vec(prop::collection::vec(0_u64..9, 0..60), 1..20)
        ) {
            let mut ranks = Ranks::new(60);
            for hashes in partitions {
                ranks.clear();
                hashes.iter().for_each(|&hash| ranks.add(hash));
                let mut items: Vec<_> = hashes.iter().copied().enumerate().collect();
                let mut expected = items.clone();
                let first = |hash| hashes.iter().position(|&other| other == hash);
                expected.sort_by_key(|&(_, hash)| first(hash));
                ranks.order(&mut items);
                prop_assert_eq!(&items, &expected);
                let ends: Vec<_> = (0..ranks.groups()).map(|group| ranks.end(group)).collect();
                let cuts = (1..=items.len())
                    .filter(|&at| at == items.len() || items[at].1 != items[at - 1].1);
                prop_assert_eq!(ends, cuts.collect::<Vec<_>>());
            }
        }
    }
}
