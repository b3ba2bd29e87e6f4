//! What there is to do besides batches, parsed.

use super::Settings;
use crate::error::StartError;
use crate::item::{Item, ShardBy};
use crate::limits;
use crate::misfit::{Misfit, check, check_time};
use crate::nanos::Nanos;
use crate::operations::{Operations, Order};
use crate::tunables::Tunables;

/// What there is to do besides batches; `None` where that is nothing.
pub(super) fn parse<T: Item>(
    settings: &Settings,
    largest: u32,
) -> Result<Option<Operations>, StartError> {
    let Settings { retry, follow_ups, tunables, .. } = settings;
    check("replies_max", settings.replies_max, &limits::REPLIES)?;
    check("retry.attempts", retry.attempts, &limits::ATTEMPTS)?;
    check_time("retry.first", retry.first, &limits::BACKOFF)?;
    let first = Nanos::from(retry.first);
    check_time("retry.longest", retry.longest, &(first..=*limits::BACKOFF.end()))?;
    check("retry.jitter", retry.jitter, &(0.0..=1.0))?;
    check("follow_ups.per_item", follow_ups.per_item, &limits::FOLLOW_UPS)?;
    check("follow_ups.depth", follow_ups.depth, &limits::FOLLOW_UP_DEPTH)?;
    if T::ENTITIES && settings.order == Order::Waived {
        return Err(Misfit::new("order", "Waived", "Kept, for items that name entities").into());
    }
    if T::SHARD_BY == ShardBy::Spread && settings.order == Order::Kept {
        return Err(
            Misfit::new("order", "Kept", "Waived, for items that are spread over shards").into()
        );
    }
    if T::SHARD_BY == ShardBy::Function && T::ENTITIES {
        let allowed = "Hash, One, for items that name entities";
        return Err(Misfit::new("Item::SHARD_BY", "Function", allowed).into());
    }
    Ok(settings.needs_queues::<T>().then(|| Operations {
        sizing: tunables.sizing,
        largest,
        flush_after: Nanos::from(tunables.flush_after),
        open_keys: settings.open_keys,
        open_items: settings.open_items,
        replies_max: settings.replies_max,
        retry: *retry,
        ordered: settings.order == Order::Kept,
        held_items_max: tunables.held_items_max,
        key_items_max: tunables.key_items(),
        batch_weight_max: tunables.batch_weight(),
        oversize: settings.oversize,
        isolates: settings.isolates,
        observed: settings.observed,
        follow_ups: *follow_ups,
        in_flight_max: tunables.in_flight_max,
        seats: tunables.in_flight_max,
        in_flight_for: Nanos::from(tunables.in_flight_for),
    }))
}

impl Settings {
    /// Whether items must wait in queues.
    fn needs_queues<T: Item>(&self) -> bool {
        let types = T::EXPIRES || T::ENTITIES || T::ABSORBS;
        let Tunables { key_items_max, batch_weight_max, in_flight_max, .. } = self.tunables;
        let limits = key_items_max.is_some() || batch_weight_max.is_some();
        self.queues
            || self.observed
            || types
            || limits
            || self.replies_max > 0
            || self.retry.attempts > 1
            || self.order == Order::Waived
            || self.isolates
            || self.follow_ups.per_item > 0
            || in_flight_max > 0
    }
}
