//! What there is to do besides batches, parsed.

use super::{Settings, check, check_time, setting};
use crate::error::StartError;
use crate::item::{Item, ShardBy};
use crate::limits;
use crate::nanos::Nanos;
use crate::operations::{Operations, Order};

/// What there is to do besides batches; `None` where that is nothing.
pub(super) fn parse<T: Item>(
    settings: &Settings,
    flush_after: Nanos,
) -> Result<Option<Operations>, StartError> {
    let Settings { retry, follow_ups, .. } = settings;
    check("replies_max", settings.replies_max, &limits::REPLIES)?;
    check("retry.attempts", retry.attempts, &limits::ATTEMPTS)?;
    check_time("retry.first", retry.first, &limits::BACKOFF)?;
    let first = Nanos::from(retry.first);
    check_time("retry.longest", retry.longest, &(first..=*limits::BACKOFF.end()))?;
    check("retry.jitter", retry.jitter, &(0.0..=1.0))?;
    check("held_items_max", settings.held_items_max, &limits::HELD_ITEMS)?;
    if let Some(items) = settings.key_items_max {
        check("key_items_max", items, &limits::KEY_ITEMS)?;
    }
    if let Some(weight) = settings.batch_weight_max {
        check("batch_weight_max", weight, &limits::BATCH_WEIGHT)?;
    }
    check("follow_ups.per_item", follow_ups.per_item, &limits::FOLLOW_UPS)?;
    check("follow_ups.depth", follow_ups.depth, &limits::FOLLOW_UP_DEPTH)?;
    check("in_flight_max", settings.in_flight_max, &limits::IN_FLIGHT)?;
    let in_flight_for =
        check_time("in_flight_for", settings.in_flight_for, &limits::IN_FLIGHT_FOR)?;
    if T::ENTITIES && settings.order == Order::Waived {
        return Err(setting("order", "Waived", "Kept, for items that name entities"));
    }
    if T::SHARD_BY == ShardBy::Spread && settings.order == Order::Kept {
        return Err(setting("order", "Kept", "Waived, for items that are spread over shards"));
    }
    if T::SHARD_BY == ShardBy::Function && T::ENTITIES {
        let allowed = "Hash, One, for items that name entities";
        return Err(setting("Item::SHARD_BY", "Function", allowed));
    }
    Ok(settings.needs_queues::<T>().then(|| Operations {
        sizing: settings.sizing,
        flush_after,
        open_keys: settings.open_keys,
        open_items: settings.open_items,
        replies_max: settings.replies_max,
        retry: *retry,
        ordered: settings.order == Order::Kept,
        held_items_max: settings.held_items_max,
        key_items_max: settings.key_items_max.unwrap_or(u32::MAX),
        batch_weight_max: settings.batch_weight_max.unwrap_or(u64::MAX),
        oversize: settings.oversize,
        isolates: settings.isolates,
        observed: settings.observed,
        follow_ups: *follow_ups,
        in_flight_max: settings.in_flight_max,
        in_flight_for,
    }))
}

impl Settings {
    /// Whether items must wait in queues.
    fn needs_queues<T: Item>(&self) -> bool {
        let types = T::EXPIRES || T::ENTITIES || T::ABSORBS;
        let limits = self.key_items_max.is_some() || self.batch_weight_max.is_some();
        self.queues
            || self.observed
            || types
            || limits
            || self.replies_max > 0
            || self.retry.attempts > 1
            || self.order == Order::Waived
            || self.isolates
            || self.follow_ups.per_item > 0
            || self.in_flight_max > 0
    }
}
