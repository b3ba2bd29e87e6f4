//! Batches in a standard hash map of vectors, as they are written first: shared by the peers that differ
//! only in how items reach them.
//!
//! The map owns its keys and forgets a key with its batch; nothing bounds its memory.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::item::Record;
use super::{BATCH_ITEMS, FLUSH_AFTER};
use crate::trivial::{Done, Trivial};

pub(crate) struct MapBatches<T: Record> {
    open: HashMap<T::Owned, Open<T>>,
    /// Keys by the time at which a batch was opened for them.
    opened: VecDeque<(Instant, T::Owned)>,
    trivial: Trivial,
}

struct Open<T> {
    since: Instant,
    items: Vec<T>,
}

impl<T: Record> MapBatches<T> {
    pub(crate) fn new(keys: u32) -> Self {
        Self {
            open: HashMap::with_capacity(keys as usize),
            opened: VecDeque::with_capacity(keys as usize),
            trivial: Trivial::new(keys),
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
            self.trivial.handle(open.items[0].number(), &open.items);
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
    pub(crate) fn finish(mut self) -> Done {
        for open in self.open.values() {
            self.trivial.handle(open.items[0].number(), &open.items);
        }
        self.trivial.done()
    }
}
