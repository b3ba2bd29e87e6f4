//! Which of several consumers a key belongs to, for peers that have no such thing.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

/// One of so many consumers, evenly: by the upper half of a hash, which is not what hash tables index
/// by.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    shards: usize,
    hasher: FixedState,
}

impl Route {
    pub(crate) fn among(shards: usize) -> Self {
        Self { shards, hasher: FixedState::with_seed(7) }
    }

    #[inline]
    pub(crate) fn shard(&self, key: impl Hash) -> usize {
        if self.shards == 1 {
            return 0;
        }
        let upper = self.hasher.hash_one(key) >> 32;
        ((upper * self.shards as u64) >> 32) as usize
    }
}
