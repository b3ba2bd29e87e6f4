//! Where an item belongs.

use std::rc::Rc;

/// Where an item belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The key's hash.
    pub(crate) hash: u64,
    /// The hash of what must stay in order: the entity's, or the key's.
    pub(crate) domain: u64,
    pub(crate) shard: usize,
}

/// Finds out where an item belongs, without its hasher's type.
pub(crate) type Locate<T> = Rc<dyn Fn(&T) -> Spot>;
