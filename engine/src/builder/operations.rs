//! What an engine is to do besides batches. Each of these makes it keep a queue for each key.

use std::sync::Arc;
use std::time::Duration;

use super::Builder;
use crate::dead_letters::DeadLetters;
use crate::handler::Handler;
use crate::observer::Observer;
use crate::operations::{Order, Oversize};
use crate::retry::Retry;

/// Operations. An engine that uses any of them, or whose [`Item`](crate::Item) expires, absorbs or names
/// entities, keeps a *queue for each key*: items wait one by one, each with what goes with it, and a batch
/// is formed when it is handed over. That costs more for each item than the plain engine, and nothing where
/// none is used.
impl<H: Handler, S> Builder<H, S> {
    /// Keeps a queue for each key though no other setting asks for it: for names of items
    /// ([`Group::id`](crate::Group::id)), and to pause, resume, flush and step. Default: no.
    #[must_use]
    pub fn queues(mut self, queues: bool) -> Self {
        self.settings.queues = queues;
        self
    }

    /// Reply slots: calls that may wait for their answers at once, over all shards: 0 to 1,048,576.
    /// Default: 0, and no [`call`](crate::Producer::call) is accepted.
    #[must_use]
    pub fn replies_max(mut self, replies: usize) -> Self {
        self.settings.replies_max = replies;
        self
    }

    /// How often an item is tried, and how long to wait between. Default: once.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.settings.retry = retry;
        self
    }

    /// Whether later items wait for an earlier one that is tried again. Default: [`Order::Kept`].
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.settings.order = order;
        self
    }

    /// Takes the items whose attempts are used up. Default: they are dropped.
    #[must_use]
    pub fn dead_letters(mut self, hook: impl DeadLetters<H::Item, H::Error> + 'static) -> Self {
        self.hooks.dead_letters = Some(Arc::new(hook));
        self
    }

    /// Items of one held key (with entities: of one entity) that may wait on a shard, while one of it is
    /// tried again, is away in a batch that its handler took along, or it is paused: 1 to
    /// 1,073,741,824. With more, the lanes whose next item is of that key wait too. Default: 1,024.
    #[must_use]
    pub fn held_items_max(mut self, items: u32) -> Self {
        self.settings.tunables.held_items_max = items;
        self
    }

    /// Items of one key that may be on a shard, wherever they wait, and in flight: 1 to 1,073,741,824. Over
    /// it an item fails as [`KeyFull`](crate::Failure::KeyFull). Default: no limit.
    #[must_use]
    pub fn key_items_max(mut self, items: u32) -> Self {
        self.settings.tunables.key_items_max = Some(items);
        self
    }

    /// What a batch may weigh, in the unit of [`Item::weight`](crate::Item::weight): 1 to 2^48. An item
    /// that would make it heavier goes into the next one. Default: no limit.
    #[must_use]
    pub fn batch_weight_max(mut self, weight: u64) -> Self {
        self.settings.tunables.batch_weight_max = Some(weight);
        self
    }

    /// What to do with an item that weighs more than a batch may. Default: [`Oversize::Alone`].
    #[must_use]
    pub fn oversize(mut self, oversize: Oversize) -> Self {
        self.settings.oversize = oversize;
        self
    }

    /// Tells a poisoned item from its neighbours: when a call fails as one
    /// ([`settle_all`](crate::Group::settle_all), or a panic outside of any item), its items are handed over
    /// again by halves until the bad one is alone. **Only for handlers for which it does no harm to see an
    /// item again**: whose effects are idempotent, or undone when they fail. All calls are one attempt.
    /// For one bad item among n there are ⌈log2 n⌉ + 1 more calls at most, counted in
    /// [`isolation_calls`](crate::Snapshot::isolation_calls). Default: no.
    #[must_use]
    pub fn isolate_poisoned(mut self, isolate: bool) -> Self {
        self.settings.isolates = isolate;
        self
    }

    /// Lets handlers emit follow-ups ([`Group::settle_each_with`](crate::Group::settle_each_with)): so many
    /// for one item (0 to 1,024), and so many one after the other (1 to 1,024). Default: none.
    #[must_use]
    pub fn follow_ups(mut self, per_item: u32, depth: u16) -> Self {
        (self.settings.follow_ups.per_item, self.settings.follow_ups.depth) = (per_item, depth);
        self
    }

    /// Batches of one shard that its handler may have taken along
    /// ([`Group::detach`](crate::Group::detach)) at once: 0 to 65,536. While as many are away, batches
    /// keep filling and none is handed over. Default: 0, and none may be taken along.
    #[must_use]
    pub fn in_flight_max(mut self, batches: u32) -> Self {
        self.settings.tunables.in_flight_max = batches;
        self
    }

    /// How long a batch may be away: 1 ms to a day. After that its items fail as
    /// [`TimedOut`](crate::Failure::TimedOut). Default: 30 s.
    #[must_use]
    pub fn in_flight_for(mut self, time: Duration) -> Self {
        self.settings.tunables.in_flight_for = time;
        self
    }

    /// Says whether the destination of an item is known: asked for each leg of a
    /// [`route`](crate::Producer::route). Default: all are.
    #[must_use]
    pub fn destinations(
        mut self,
        knows: impl Fn(&H::Item) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hooks.knows = Some(Arc::new(knows));
        self
    }

    /// Watches batch by batch. Default: nobody does.
    ///
    /// It makes the engine keep a queue for each key, as the other settings here do: some 1,370 instructions
    /// an item at eight keys, where the plain engine takes 70. Every handler call is timed then, and the
    /// observer runs on the shard's thread. Where sums and percentiles are enough, a
    /// [`Snapshot`](crate::Snapshot) costs nothing of this.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.hooks.observer = Some(Arc::new(observer));
        self
    }
}
