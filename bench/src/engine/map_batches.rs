//! Batches in a standard hash map of vectors, as they are written first: shared by the peers that differ
//! only in how items reach them.
//!
//! The map owns its keys and forgets a key with its batch; nothing bounds its memory.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::item::Record;
use crate::limits::{BATCH_ITEMS, FLUSH_AFTER};
use crate::trivial::Trivial;

/// What becomes of a batch.
pub(crate) trait Take<T> {
    /// A batch of the key with this number; never empty.
    fn take(&mut self, key: u64, items: &[T]);
}

impl<T: Record> Take<T> for Trivial {
    #[inline]
    fn take(&mut self, key: u64, items: &[T]) {
        self.handle(key, items);
    }
}

pub(crate) struct MapBatches<T: Record, H> {
    open: HashMap<T::Owned, Open<T>>,
    /// Keys by the time at which a batch was opened for them.
    opened: VecDeque<(Instant, T::Owned)>,
    handler: H,
}

struct Open<T> {
    since: Instant,
    items: Vec<T>,
}

impl<T: Record, H: Take<T>> MapBatches<T, H> {
    /// For about so many keys.
    pub(crate) fn new(keys: u32, handler: H) -> Self {
        Self {
            open: HashMap::with_capacity(keys as usize),
            opened: VecDeque::with_capacity(keys as usize),
            handler,
        }
    }

    /// Adds an item that came at `now`, or a little later.
    #[inline]
    pub(crate) fn put(&mut self, item: T, now: Instant) {
        let key = item.owned();
        let opened = &mut self.opened;
        let open = self.open.entry(key).or_insert_with(|| {
            opened.push_back((now, key));
            Open { since: now, items: Vec::new() }
        });
        open.items.push(item);
        if open.items.len() == BATCH_ITEMS {
            self.hand_over(key);
        }
    }

    fn hand_over(&mut self, key: T::Owned) {
        if let Some(open) = self.open.remove(&key) {
            self.handler.take(open.items[0].number(), &open.items);
        }
    }

    /// Hands over what has waited for long enough at `now`.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(&(since, key)) = self.opened.front() {
            if now.saturating_duration_since(since) < FLUSH_AFTER {
                return;
            }
            self.opened.pop_front();
            // The batch may have gone by size, and a later one be open: that has a time of its own.
            if self.open.get(&key).is_some_and(|open| open.since == since) {
                self.hand_over(key);
            }
        }
    }

    /// When the oldest batch is due; `now` and the deadline if there is none.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        self.opened.front().map_or(now, |(since, _)| *since) + FLUSH_AFTER
    }

    /// Hands over everything: nothing will come any more.
    pub(crate) fn finish(mut self) -> H {
        for open in self.open.values() {
            self.handler.take(open.items[0].number(), &open.items);
        }
        self.handler
    }
}
