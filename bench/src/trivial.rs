//! The handler of them all.

use std::time::Instant;

use crate::checksum::{Checksum, Content};
use crate::run::Handled;

/// Reads every byte, and does nothing else.
pub(crate) struct Trivial {
    sum: Checksum,
    batches: u64,
}

impl Trivial {
    /// For keys from 0 to `keys` less one.
    pub(crate) fn new(keys: u32) -> Self {
        Self { sum: Checksum::new(keys), batches: 0 }
    }

    /// Handles one batch.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    #[inline]
    pub(crate) fn handle<T: Content>(&mut self, key: u64, items: &[T]) {
        self.sum.add(key, items);
        self.batches += 1;
    }

    /// What was handled so far; costs a look at every key.
    pub(crate) fn handled(&self) -> Handled {
        Handled { digest: self.sum.digest(), batches: self.batches }
    }

    /// The last batch was handled just now.
    pub(crate) fn done(self) -> Done {
        Done { trivial: self, ended: Instant::now() }
    }
}

/// A handler that has done all it will do. What comes after, such as adding up its checksum or giving
/// memory back, is in nobody's time.
pub(crate) struct Done {
    pub(crate) trivial: Trivial,
    pub(crate) ended: Instant,
}
