//! Item -> hash -> shard and lane.

use std::hash::BuildHasher;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use crate::item::{Item, ShardBy};
use crate::spot::Spot;

/// The hasher of keys unless another is given: foldhash, with a seed of its own for each engine.
pub type KeyHasher = SeedableRandomState;

/// A hasher with a fresh seed. The seed comes from the standard library's random state: foldhash's own
/// is made from the one before, and was seen to come out the same several times in a row.
pub(crate) fn key_hasher() -> KeyHasher {
    SeedableRandomState::with_seed(random(), SharedSeed::global_random())
}

/// A random number, from the standard library's random state.
pub(crate) fn random() -> u64 {
    std::hash::RandomState::new().hash_one(0_u64)
}

/// Hashes keys and spreads them over shards; one for a whole engine.
#[derive(Clone, Debug)]
pub(crate) struct Router<S> {
    hasher: S,
    shards: u32,
}

impl<S: BuildHasher> Router<S> {
    pub(crate) fn new(hasher: S, shards: usize) -> Self {
        Self { hasher, shards: u32::try_from(shards).expect("shards are at most 1,024") }
    }

    /// The hash of an item's key.
    #[inline]
    pub(crate) fn hash<T: Item>(&self, item: &T) -> u64 {
        self.hasher.hash_one(item.key())
    }

    /// The hash of a key.
    #[inline]
    pub(crate) fn hash_key<T: Item>(&self, key: &T::Key<'_>) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Where an item belongs. `turn` counts up where items are spread.
    pub(crate) fn locate<T: Item>(&self, item: &T) -> Spot {
        let hash = self.hash(item);
        let domain = self.domain(item, hash);
        Spot { hash, domain, shard: self.place(item) }
    }

    /// What must stay in order with an item: its entity's hash, or its key's.
    #[inline]
    pub(crate) fn domain<T: Item>(&self, item: &T, hash: u64) -> u64 {
        match item.entity() {
            // It may be no good hash: a number, say.
            Some(entity) if T::ENTITIES => self.hasher.hash_one(entity),
            _ => hash,
        }
    }

    /// The shard of an item, but for those that are spread.
    #[inline]
    pub(crate) fn place<T: Item>(&self, item: &T) -> usize {
        match T::SHARD_BY {
            ShardBy::Hash | ShardBy::Spread => self.shard(self.domain(item, self.hash(item))),
            ShardBy::Function => T::shard(&item.key(), self.shards as usize) % self.shards as usize,
            ShardBy::One => 0,
        }
    }

    /// The shard of a key with this hash, where that follows from the key.
    pub(crate) fn place_key<T: Item>(&self, key: &T::Key<'_>, hash: u64) -> usize {
        match T::SHARD_BY {
            ShardBy::Hash | ShardBy::Spread => self.shard(hash),
            ShardBy::Function => T::shard(key, self.shards as usize) % self.shards as usize,
            ShardBy::One => 0,
        }
    }

    /// The one shard that has the items of a key; `None` where all may have some.
    pub(crate) fn shard_of_key<T: Item>(&self, key: &T::Key<'_>, hash: u64) -> Option<usize> {
        let everywhere = T::ENTITIES || T::SHARD_BY == ShardBy::Spread;
        (!everywhere).then(|| self.place_key::<T>(key, hash))
    }

    /// How many shards there are; at least 1.
    #[inline]
    pub(crate) fn shards(&self) -> u32 {
        self.shards
    }

    /// The shard of a hash, which is mixed once more: the hash table of a shard uses the lowest and the top
    /// seven bits, and would otherwise see keys that all look alike.
    #[inline]
    pub(crate) fn shard(&self, hash: u64) -> usize {
        spread((mixed(hash) >> 32) as u32, self.shards)
    }

    /// One of so many lanes: by the low half, whose upper bits decide.
    #[inline]
    pub(crate) fn lane(hash: u64, lanes: usize) -> usize {
        spread(hash as u32, lanes as u32)
    }
}

/// A hash of which the top bits depend on all. Of numbers in a row a fast hash with one multiplication (as
/// foldhash has) goes up by the same step each time, and with one in fifty seeds that is so small that a
/// dozen of them have the same top bits; another multiplication alone would keep the steps, the halves laid
/// over one another break them. (A round of MurmurHash3's finalizer: A. Appleby.)
#[inline]
fn mixed(hash: u64) -> u64 {
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Maps 32 well-mixed bits to `0..n` without a division (Lemire, "Fast random integer generation in
/// an interval", 2019).
#[inline]
fn spread(bits: u32, n: u32) -> usize {
    ((u64::from(bits) * u64::from(n)) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use foldhash::fast::FoldHasher;

    use super::*;

    struct Id(u64);
    impl Item for Id {
        type Key<'a> = u64;
        fn key(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn no_two_hashers_have_the_same_seed() {
        let hashes: std::collections::HashSet<_> =
            (0..10_000).map(|_| key_hasher().hash_one(7_u64)).collect();
        assert_eq!(hashes.len(), 10_000);
    }

    #[test]
    fn keys_spread_evenly_over_shards_and_a_key_always_meets_the_same() {
        let router = Router::new(foldhash::fast::FixedState::with_seed(7), 5);
        let mut items = [0_u32; 5];
        for id in 0..50_000 {
            let hash = router.hash(&Id(id));
            assert_eq!(hash, router.hash_key::<Id>(&id));
            items[router.shard(hash)] += 1;
        }
        assert!(items.iter().all(|n| (9_000..11_000).contains(n)), "{items:?}");
    }

    /// With the hash's own bits 201 of these had all keys on one shard.
    #[test]
    fn a_few_numbers_in_a_row_are_not_all_on_one_shard_whatever_the_seed() {
        let router = Router::new(foldhash::fast::FixedState::default(), 4);
        let on_one = |seed: &u64| {
            // What a process draws at its start decides.
            let shared = SharedSeed::from_u64(*seed);
            let shard = |id| {
                let mut hasher = FoldHasher::with_seed(*seed, &shared);
                hasher.write_u64(id);
                router.shard(hasher.finish())
            };
            (1..13).all(|id| shard(id) == shard(0))
        };
        assert_eq!((0..10_000).filter(on_one).count(), 0);
    }

    #[test]
    fn the_shard_tells_nothing_about_the_bits_that_the_hash_table_uses() {
        let router = Router::new(foldhash::fast::FixedState::with_seed(7), 2);
        let mut low = [0_u32; 16];
        let mut top = [0_u32; 128];
        for id in 0..100_000 {
            let hash = router.hash(&Id(id));
            if router.shard(hash) == 0 {
                low[(hash & 15) as usize] += 1;
                top[(hash >> 57) as usize] += 1;
            }
        }
        assert!(low.iter().all(|n| (2_600..3_700).contains(n)), "{low:?}");
        assert!(top.iter().all(|n| (250..550).contains(n)), "{top:?}");
    }
}
