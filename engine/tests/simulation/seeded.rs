//! A hasher that a seed decides.

use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// Hashes keys as its seed says, so that a run, its placement of keys included, comes out the same when it
/// is replayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeded(pub(crate) u64);

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}
