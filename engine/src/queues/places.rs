//! Where waiting items count: open, ready, or held.

use super::Queues;
use super::node::{Node, Place, Slip};
use crate::item::Item;
use crate::table::{At, NOWHERE};

impl<R, E> Slip<R, E> {
    /// Accepted items that it stands for.
    pub(crate) fn units(&self) -> u64 {
        1 + u64::from(self.absorbed)
    }
}

impl<T: Item, R, E> Queues<T, R, E> {
    pub(super) fn counter(&mut self, place: Place) -> &mut u64 {
        let counters = &mut self.tally.counters;
        match place {
            Place::Open => &mut counters.open,
            Place::Ready => &mut counters.ready,
            Place::Held => &mut counters.operations.held,
        }
    }

    /// Where a node counts.
    fn place(&self, at: At) -> Place {
        let node = &self.nodes[at];
        let held = if node.listed { self.keys[node.key].held } else { node.held };
        if held {
            Place::Held
        } else if node.listed && !self.is_in_open_batch(node) {
            Place::Ready
        } else {
            Place::Open
        }
    }

    /// Whether it stands in its key's list, in the batch there that may still grow.
    pub(super) fn is_in_open_batch(&self, node: &Node<T, R, E>) -> bool {
        node.listed && node.epoch == self.keys[node.key].epoch
    }

    /// So much of a node counts from now on, where it is.
    pub(super) fn count_in(&mut self, at: At, units: u64) {
        let place = self.place(at);
        *self.counter(place) += units;
        if let Some(sum) = self.sum_of(at) {
            *sum += units;
        }
    }

    /// So much of a node does not count any more, or elsewhere from now on.
    pub(super) fn count_out(&mut self, at: At, units: u64) {
        let place = self.place(at);
        *self.counter(place) -= units;
        if let Some(sum) = self.sum_of(at) {
            *sum -= units;
        }
    }

    /// The sum of its key's list that a node is part of, if it stands there.
    fn sum_of(&mut self, at: At) -> Option<&mut u64> {
        let node = &self.nodes[at];
        let is_open = self.is_in_open_batch(node);
        let (listed, key) = (node.listed, node.key);
        let record = &mut self.keys[key];
        listed.then_some(if is_open { &mut record.open_units } else { &mut record.sealed_units })
    }

    /// Counts what stands in a key's list anew, if it is held up now and was not, or the other way round.
    pub(super) fn recount_key(&mut self, key: At) {
        let held = self.paused || self.keys[key].paused || (!T::ENTITIES && self.is_key_held(key));
        let record = &mut self.keys[key];
        if std::mem::replace(&mut record.held, held) == held {
            return;
        }
        let (open, sealed) = (record.open_units, record.sealed_units);
        let counters = &mut self.tally.counters;
        if held {
            counters.open -= open;
            counters.ready -= sealed;
            counters.operations.held += open + sealed;
        } else {
            counters.operations.held -= open + sealed;
            counters.open += open;
            counters.ready += sealed;
        }
    }

    /// Counts a node anew that stands in no list.
    pub(super) fn recount(&mut self, at: At) {
        let node = &self.nodes[at];
        // One that backs off by itself, while others of its key pass.
        let alone = !self.operations.ordered && node.slip.seen.ever();
        let held = alone
            || self.paused
            || self.keys[node.key].paused
            || self.domains[node.domain].is_held();
        if !node.listed && held != node.held {
            let units = node.slip.units();
            self.count_out(at, units);
            self.nodes[at].held = held;
            self.count_in(at, units);
        }
    }

    /// Counts all that waits of a domain, after it was held or released.
    pub(super) fn recount_domain(&mut self, domain: At) {
        if T::ENTITIES {
            let mut at = self.domains[domain].head;
            while at != NOWHERE {
                self.recount(at);
                at = self.nodes[at].chain_after;
            }
        } else if let Some(key) = self.keys.find(self.domains[domain].hash) {
            self.recount_key(key);
        }
    }

    /// Counts all that waits in no list.
    pub(super) fn recount_unlisted(&mut self) {
        for at in 0..self.nodes.places() {
            if self.nodes.get(at).is_some_and(|node| !node.listed) {
                self.recount(at);
            }
        }
    }

    /// The queue of a key, made if there is none.
    pub(super) fn key_of(&mut self, hash: u64) -> Option<At> {
        if let Some(key) = self.keys.find(hash) {
            return Some(key);
        }
        let key = self.keys.find_or_make(hash)?;
        if self.paused {
            self.recount_key(key);
        }
        Some(key)
    }
}
