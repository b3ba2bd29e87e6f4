//! Items, and what they must come to at the other end.

use crate::checksum::Digest;

/// An odd number whose bits look like chance (2^64 over the golden ratio).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// What is added to each word, so that no two words of an item weigh the same.
const fn salts<const N: usize>() -> [u64; N] {
    let mut salts = [0; N];
    let mut word = 0;
    while word < N {
        salts[word] = (word as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03);
        word += 1;
    }
    salts
}

/// So many items of `N` words, all of which differ from item to item; always the same.
pub(super) fn items<const N: usize>(items: u32) -> Items<N> {
    Items { left: items, state: 0 }
}

/// See [`items`].
#[derive(Clone, Debug)]
pub(super) struct Items<const N: usize> {
    left: u32,
    state: u64,
}

impl<const N: usize> Iterator for Items<N> {
    type Item = [u64; N];

    #[inline]
    fn next(&mut self) -> Option<[u64; N]> {
        self.left = self.left.checked_sub(1)?;
        self.state = self.state.wrapping_add(STEP);
        let mut words = const { salts::<N>() };
        words.iter_mut().for_each(|word| *word ^= self.state);
        Some(words)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl<const N: usize> ExactSizeIterator for Items<N> {}

/// A checksum over items in their order, cheap enough for a ring that takes a nanosecond an item.
///
/// Each item's words are multiplied in pairs, each with a number of its own added (NH of Black et al.,
/// "UMAC: fast and secure message authentication", 1999, with words twice as wide and without the upper
/// halves); an item counts as often as an odd number that grows from item to item says, so that two that
/// change places are seen. No item waits for the one before, but for an addition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    sum: u64,
    weight: u64,
    items: u64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { sum: 0, weight: 1, items: 0 }
    }
}

impl Sum {
    #[inline]
    pub(super) fn add<const N: usize>(&mut self, item: &[u64; N]) {
        let salts = const { salts::<N>() };
        let mut of_item = 0_u64;
        let (pairs, odd) = item.as_chunks::<2>();
        for (pair, salts) in pairs.iter().zip(salts.as_chunks::<2>().0) {
            let product =
                pair[0].wrapping_add(salts[0]).wrapping_mul(pair[1].wrapping_add(salts[1]));
            of_item = of_item.wrapping_add(product);
        }
        if let [word] = odd {
            of_item = of_item.wrapping_add(*word);
        }
        self.sum = self.sum.wrapping_add(of_item.wrapping_mul(self.weight));
        self.weight = self.weight.wrapping_add(STEP << 1);
        self.items += 1;
    }

    pub(super) fn add_all<const N: usize>(&mut self, items: &[[u64; N]]) {
        // In registers, whatever the optimizer thinks of `self`.
        let mut sum = *self;
        items.iter().for_each(|item| sum.add(item));
        *self = sum;
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.items, self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest<const N: usize>(items: &[[u64; N]]) -> Digest {
        let mut sum = Sum::default();
        sum.add_all(items);
        sum.digest()
    }

    fn every_change_is_seen<const N: usize>() {
        let right: Vec<_> = items::<N>(1_000).collect();
        let expected = digest(&right);
        let differs = |change: &dyn Fn(&mut Vec<[u64; N]>)| {
            let mut wrong = right.clone();
            change(&mut wrong);
            digest(&wrong) != expected
        };
        assert!(differs(&|items| _ = items.remove(500)), "lost");
        assert!(differs(&|items| _ = items.pop()), "lost at the end");
        assert!(differs(&|items| items.insert(500, items[500])), "repeated");
        for far in [1, 2, 8, 64, 256, 499] {
            assert!(differs(&|items| items.swap(500, 500 + far)), "changed places, {far} apart");
        }
        for word in 0..N {
            for bit in 0..64 {
                assert!(differs(&|items| items[500][word] ^= 1 << bit), "bit {bit} of word {word}");
            }
        }
        if N > 1 {
            assert!(differs(&|items| items[500].reverse()), "words changed places");
        }
    }

    #[test]
    fn a_lost_repeated_changed_or_moved_item_changes_the_sum() {
        every_change_is_seen::<1>();
        every_change_is_seen::<2>();
        every_change_is_seen::<8>();
        every_change_is_seen::<16>();
    }
}
