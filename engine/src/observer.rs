//! Who watches batch by batch.

use crate::nanos::Nanos;
use crate::shard_id::ShardId;
use crate::verdict::Trigger;

/// One handler call, for who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchEvent {
    /// Where it was handled.
    pub shard: ShardId,
    /// The hash of the batch's key.
    pub key_hash: u64,
    /// Why it was handed over.
    pub trigger: Trigger,
    /// Items that it had.
    pub items: usize,
    /// Of those: done,
    pub done: usize,
    /// failed, dead ones among them,
    pub failed: usize,
    /// and to be tried again. The others were not decided, and come again; none was of a batch that the
    /// handler took along.
    pub retried: usize,
    /// From the push of its oldest item (a lower bound of it) to the hand-over.
    pub oldest_age: Nanos,
    /// From the start of the turn to the hand-over, other handler calls included.
    pub formation: Nanos,
    /// The time in the handler.
    pub execution: Nanos,
    /// How long after its deadline it was handed over.
    pub lateness: Nanos,
}

/// Watches batch by batch: see [`Builder::observer`](crate::Builder::observer). Closures do.
///
/// It is called on the shards' threads after each handler call: keep it short.
///
/// # Panics
///
/// A panic in it is caught and counted ([`hook_panics`](crate::Snapshot::hook_panics)).
pub trait Observer: Send + Sync + 'static {
    /// A batch was handled.
    fn batch(&self, event: &BatchEvent);
}

impl<F: Fn(&BatchEvent) + Send + Sync + 'static> Observer for F {
    fn batch(&self, event: &BatchEvent) {
        self(event);
    }
}
