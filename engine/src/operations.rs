//! What an engine is asked to do besides batches, parsed.

use crate::nanos::Nanos;
use crate::retry::Retry;
use crate::sizing::Sizing;

/// What to do with an item that weighs more than a batch may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Oversize {
    /// It goes in a batch of its own. The default.
    #[default]
    Alone,
    /// Its push gives it back as [`PushError::TooHeavy`](crate::PushError::TooHeavy).
    Refused,
}

/// Whether later items of a key, or an entity, wait for an earlier one that is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// They wait: items of one key (with entities: of one entity) from one producer are handled in the
    /// order of their pushes, across retries too. The default.
    #[default]
    Kept,
    /// They pass: an item that is tried again waits by itself. Not with entities.
    Waived,
}

/// How many follow-ups there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FollowUpLimits {
    /// Of one item; 0 for an engine without.
    pub(crate) per_item: u32,
    /// One after the other, from what was pushed on.
    pub(crate) depth: u16,
}

/// Sizes and limits of a shard that keeps queues.
#[derive(Clone, Debug)]
pub(crate) struct Operations {
    pub(crate) sizing: Sizing,
    /// Items of the largest batch that there is memory for.
    pub(crate) largest: u32,
    pub(crate) flush_after: Nanos,
    pub(crate) open_keys: usize,
    pub(crate) open_items: usize,
    pub(crate) replies_max: usize,
    pub(crate) retry: Retry,
    /// Later items of a domain wait for an earlier one that is tried again.
    pub(crate) ordered: bool,
    /// Items of a held domain that may wait.
    pub(crate) held_items_max: u32,
    /// Items of a key; `u32::MAX` for no limit.
    pub(crate) key_items_max: u32,
    /// Of a batch; `u64::MAX` for no limit.
    pub(crate) batch_weight_max: u64,
    pub(crate) oversize: Oversize,
    pub(crate) isolates: bool,
    /// Somebody watches.
    pub(crate) observed: bool,
    pub(crate) follow_ups: FollowUpLimits,
    pub(crate) in_flight_max: u32,
    /// As many may be in flight as there is memory for.
    pub(crate) seats: u32,
    pub(crate) in_flight_for: Nanos,
}

impl Operations {
    /// Items that weigh more are refused.
    pub(crate) fn weight_max(&self) -> u64 {
        match self.oversize {
            Oversize::Alone => u64::MAX,
            Oversize::Refused => self.batch_weight_max,
        }
    }
}
