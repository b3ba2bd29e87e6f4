//! Shards on cores of their own.

use core_affinity::CoreId;

use crate::snapshot::Pin;

/// Which cores the shards run on.
///
/// A core that this process may not use is refused by [`start`](crate::Builder::start), with the
/// cores that it may use.
///
/// ```
/// # use engine::{Engine, Item, Shards, StartError};
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// # let builder = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(()));
/// let refused = builder.shards(Shards::Cores(vec![100_000])).start().unwrap_err();
/// assert!(matches!(refused, StartError::NoSuchCore { core: 100_000, .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shards {
    /// So many shards (1 to 1,024), pinned to cores from the machine's last one down while there are
    /// enough cores for all, and not pinned at all otherwise.
    Count(usize),
    /// One shard on each of these cores.
    Cores(Vec<usize>),
    /// One shard on each core that this process may use.
    PerCore,
}

impl Default for Shards {
    fn default() -> Self {
        Self::Count(1)
    }
}

/// Binds the calling thread to a core, as far as the system lets it.
pub(crate) fn pin(core: Option<usize>) -> Pin {
    match core {
        None => Pin::None,
        Some(id) if core_affinity::set_for_current(CoreId { id }) => Pin::Core(id),
        Some(id) => Pin::Refused(id),
    }
}
