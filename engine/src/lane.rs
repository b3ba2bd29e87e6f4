//! What travels in a lane, from a producer to a shard.

use std::fmt;

use ringbuf::{Answer, LanesConfig};

use crate::item::{Item, Patience};
use crate::verdict::Outcome;

/// What few items have, in the side ring.
pub(crate) enum Mark<R, E> {
    /// The item with the mark's sequence number has its own patience.
    Patience(Patience),
    /// Somebody waits for what becomes of the item with the mark's sequence number.
    Call(Answer<Outcome<R, E>>),
    /// As `Call`, by somebody who can wait: its batch may linger.
    Asked(Answer<Outcome<R, E>>),
    /// Everything before the mark need not linger.
    Flush,
}

impl<R, E> fmt::Debug for Mark<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patience(patience) => f.debug_tuple("Patience").field(patience).finish(),
            Self::Call(_) => f.write_str("Call(..)"),
            Self::Asked(_) => f.write_str("Asked(..)"),
            Self::Flush => f.write_str("Flush"),
        }
    }
}

/// All lanes of an engine.
pub(crate) type Lanes<T, R, E> = ringbuf::Lanes<T, Mark<R, E>>;
/// A producer's end of one lane, to every shard.
pub(crate) type Lane<T, R, E> = ringbuf::Lane<T, Mark<R, E>>;
/// A run that a producer stages.
pub(crate) type LaneRun<'a, T, R, E> = ringbuf::LaneRun<'a, T, Mark<R, E>>;
/// A shard's end of every lane.
pub(crate) type ShardLanes<T, R, E> = ringbuf::ShardLanes<T, Mark<R, E>>;

/// The heap bytes of one lane to one shard, with its share of what serves all of them. For one alone,
/// since those of all may be more than a number holds.
pub(crate) fn bytes<T: Item, R, E>(config: LanesConfig) -> usize {
    Lanes::<T, R, E>::heap_bytes(LanesConfig { shards: 1, lanes: 1, ..config })
}
