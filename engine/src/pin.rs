//! Shards on cores of their own.

use core_affinity::CoreId;

use crate::snapshot::Pin;

/// Which cores the shards run on.
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
