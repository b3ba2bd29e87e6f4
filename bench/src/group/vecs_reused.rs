//! The best that is written by hand: one `hashbrown` map with `foldhash` for all the time, whose `Vec`s are
//! cleared and used again.
//!
//! It has no deadlines, forgets no key, bounds no memory, and a handler that panics ends it.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::rows::Pushed;
use super::{Grouper, Grouping};
use crate::limits::BATCH_ITEMS;
use crate::run::Handled;
use crate::trivial::Trivial;

pub(super) struct VecsReused<T: Pushed> {
    groups: HashMap<T::Name, Vec<T>, RandomState>,
    trivial: Trivial,
}

impl<T: Pushed> Grouper<T> for VecsReused<T> {
    fn new(case: Grouping) -> Self {
        Self {
            groups: HashMap::with_capacity_and_hasher(case.keys as usize, RandomState::default()),
            trivial: Trivial::new(case.keys),
        }
    }

    #[inline]
    fn poll(&mut self, rows: &[T]) {
        for row in rows {
            let group = self.groups.entry(row.name()).or_default();
            group.push(*row);
            if group.len() == BATCH_ITEMS {
                self.trivial.handle(group[0].number(), group);
                group.clear();
            }
        }
    }

    fn flush(&mut self) {
        for group in self.groups.values_mut().filter(|group| !group.is_empty()) {
            self.trivial.handle(group[0].number(), group);
            group.clear();
        }
    }

    fn handled(&self) -> Handled {
        self.trivial.handled()
    }
}
