//! What travels in a lane, from a producer to a shard.

use ringbuf::LanesConfig;

use crate::item::{Item, Patience};

/// What few items have, in the side ring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// The item with the mark's sequence number has its own patience.
    Patience(Patience),
    /// Everything before the mark need not linger.
    Flush,
}

/// All lanes of an engine.
pub(crate) type Lanes<T> = ringbuf::Lanes<T, Mark>;
/// A producer's end of one lane, to every shard.
pub(crate) type Lane<T> = ringbuf::Lane<T, Mark>;
/// A run that a producer stages.
pub(crate) type LaneRun<'a, T> = ringbuf::LaneRun<'a, T, Mark>;
/// A shard's end of every lane.
pub(crate) type ShardLanes<T> = ringbuf::ShardLanes<T, Mark>;

/// The heap bytes of one lane to one shard, with its share of what serves all of them. For one alone,
/// since those of all may be more than a number holds.
pub(crate) fn bytes<T: Item>(config: LanesConfig) -> usize {
    Lanes::<T>::heap_bytes(LanesConfig { shards: 1, lanes: 1, ..config })
}
