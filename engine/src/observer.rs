//! Who watches batch by batch.

use crate::nanos::Nanos;
use crate::shard_id::ShardId;
use crate::verdict::Trigger;

/// What an event says of its batch: that it was handed over, that it came to its end, or both.
///
/// Most batches have one event, [`Handled`](Self::Handled). One that its handler takes along has two:
/// [`Detached`](Self::Detached) at the hand-over, in which nothing is decided yet, and when that is over one
/// of [`Returned`](Self::Returned), [`Abandoned`](Self::Abandoned), [`TimedOut`](Self::TimedOut) and
/// [`Stopped`](Self::Stopped). So who counts handler calls counts hand-overs
/// ([`is_hand_over`](Self::is_hand_over)), who counts batches with what became of them counts ends
/// ([`is_end`](Self::is_end)), and who adds up outcomes adds up all events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BatchStage {
    /// Handed over, and its handler has decided about it.
    Handled,
    /// Handed over, and its handler has taken it along.
    Detached,
    /// It was taken along, and has been given back: settled, or by a panic of the code that settled it.
    Returned,
    /// It was taken along and dropped unsettled: its items have failed.
    Abandoned,
    /// It was taken along and away for too long: its items have failed. What it says later changes nothing,
    /// and makes no event.
    TimedOut,
    /// Its shard has stopped while it was away: its items have failed.
    Stopped,
    /// A single item that was told from its neighbours
    /// ([`isolate_poisoned`](crate::Builder::isolate_poisoned)): it has failed with the error of a call that
    /// was told before, without one of its own.
    Isolated,
}

impl BatchStage {
    /// Whether there was a handler call.
    #[must_use]
    pub const fn is_hand_over(self) -> bool {
        matches!(self, Self::Handled | Self::Detached)
    }

    /// Whether it says what became of the batch.
    #[must_use]
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Detached)
    }
}

/// A batch that was handed over, or came to its end, for who watches: which of it, says its
/// [`stage`](Self::stage).
///
/// Over all events, `done` adds up to [`Snapshot::done`](crate::Snapshot), `failed` to failed and dead ones,
/// and `retried` to the retries, but for items that end while no handler has them: those that expire, are
/// cancelled, or are one too many of their key ([`KeyFull`](crate::Failure::KeyFull)), those whose own code
/// panics while they are grouped, and those that wait when their shard stops. These are in the snapshot only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchEvent {
    /// Where it was handled.
    pub shard: ShardId,
    /// The hash of the batch's key.
    pub key_hash: u64,
    /// Whether it was handed over, or came to its end, and how.
    pub stage: BatchStage,
    /// Why it was handed over.
    pub trigger: Trigger,
    /// Items that it had.
    pub items: usize,
    /// Items that were [folded](crate::Item::absorb) into those. Below, each counts like the one that it
    /// went into.
    pub absorbed: usize,
    /// Of all these: done,
    pub done: usize,
    /// failed, dead ones among them,
    pub failed: usize,
    /// and to be tried again. The others were not decided: they come again, or are away.
    pub retried: usize,
    /// From the push of its oldest item (a lower bound of it) to the hand-over. At the end of a batch that
    /// was away, this, `formation` and `lateness` are those of its hand-over.
    pub oldest_age: Nanos,
    /// From the start of the turn to the hand-over, other handler calls included.
    pub formation: Nanos,
    /// The time in the handler; at the end of a batch that was away, from its hand-over to the turn that
    /// took note of its end.
    pub execution: Nanos,
    /// How long after its deadline it was handed over.
    pub lateness: Nanos,
}

/// Watches batch by batch: see [`Builder::observer`](crate::Builder::observer). Closures do.
///
/// It is called on the shards' threads after each handler call, and when a batch that a handler took along
/// comes to its end: keep it short.
///
/// # Panics
///
/// A panic in it is caught and counted ([`hook_panics`](crate::Snapshot::hook_panics)).
pub trait Observer: Send + Sync + 'static {
    /// A batch was handed over, or came to its end.
    fn batch(&self, event: &BatchEvent);
}

impl<F: Fn(&BatchEvent) + Send + Sync + 'static> Observer for F {
    fn batch(&self, event: &BatchEvent) {
        self(event);
    }
}
