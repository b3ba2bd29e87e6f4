//! The chains of entities.

use super::Queues;
use super::domain::Domain;
use super::node::Node;
use crate::item::Item;
use crate::key_queue::KeyQueue;
use crate::nanos::Nanos;
use crate::table::{At, NOWHERE};
use crate::verdict::Trigger;

impl<T: Item, R, E> Queues<T, R, E> {
    /// The youngest of its domain.
    pub(super) fn append(&mut self, at: At) {
        if T::ENTITIES && self.chain_back(at) {
            let Node { domain, ref slip, .. } = self.nodes[at];
            let deadline = slip.deadline;
            self.domains[domain].behind += 1;
            self.recount(at);
            self.due_behind(domain, deadline);
        } else {
            self.enqueue(at);
        }
    }

    /// What is behind in a chain must be handed over by then, and so must what is before it.
    pub(super) fn due_behind(&mut self, domain: At, deadline: Nanos) {
        let record = &mut self.domains[domain];
        let due = record.due.min(deadline);
        record.due = due;
        if let Some(first) = self.nodes.get(record.head).filter(|first| first.listed) {
            self.lingers_until(first.key, due);
        }
    }

    /// The batch of an item goes at the end of this drain; if it is behind others in the chain of its
    /// entity, theirs does, and its own as soon as those are settled.
    pub(super) fn hurry_item(&mut self, at: At, trigger: Trigger) {
        let node = &mut self.nodes[at];
        node.asked.get_or_insert(trigger);
        let Node { key, domain, listed, .. } = *node;
        if listed {
            return self.hurry(key, trigger);
        }
        let record = &mut self.domains[domain];
        record.urgent.get_or_insert(trigger);
        if let Some(first) = self.nodes.get(record.head).filter(|first| first.listed) {
            self.hurry(first.key, trigger);
        }
    }

    /// As [`hurry_item`](Self::hurry_item), for everything of some keys. (Where keys are domains nothing is
    /// behind others, nor taken out of its batch again: it is enough to seal that.)
    pub(super) fn hurry_all(&mut self, trigger: Trigger, of: impl Fn(&KeyQueue) -> bool) {
        if T::ENTITIES {
            for at in 0..self.nodes.places() {
                if self.nodes.get(at).is_some_and(|node| of(&self.keys[node.key])) {
                    self.hurry_item(at, trigger);
                }
            }
        }
    }

    /// Chains a node behind all others of its entity; says whether it must wait for one of them.
    fn chain_back(&mut self, at: At) -> bool {
        let (domain, key) = (self.nodes[at].domain, self.nodes[at].key);
        let record = &mut self.domains[domain];
        let last = std::mem::replace(&mut record.tail, at);
        let waits = record.is_held()
            || record.behind > 0
            || (last != NOWHERE && self.nodes[last].key != key);
        if last == NOWHERE {
            self.domains[domain].head = at;
        } else {
            self.nodes[last].chain_after = at;
        }
        self.nodes[at].chain_before = last;
        waits
    }

    /// In front of everything that waits for its entity. If that is of another key, it leaves its key's
    /// list.
    pub(super) fn chain_front(&mut self, at: At) {
        let Node { domain, key, .. } = self.nodes[at];
        let first = self.domains[domain].head;
        if first != NOWHERE && self.nodes[first].key != key {
            self.pull_back(domain);
        }
        let record = &mut self.domains[domain];
        let first = std::mem::replace(&mut record.head, at);
        if first == NOWHERE {
            record.tail = at;
        } else {
            self.nodes[first].chain_before = at;
        }
        self.nodes[at].chain_after = first;
        self.domains[domain].behind += 1;
        self.recount(at);
    }

    pub(super) fn unchain(&mut self, at: At, listed: bool) {
        let Node { domain, chain_before, chain_after, .. } = self.nodes[at];
        if chain_before == NOWHERE {
            self.domains[domain].head = chain_after;
        } else {
            self.nodes[chain_before].chain_after = chain_after;
        }
        if chain_after == NOWHERE {
            self.domains[domain].tail = chain_before;
        } else {
            self.nodes[chain_after].chain_before = chain_before;
        }
        self.domains[domain].behind -= u32::from(!listed);
    }

    /// The first items of a free entity, as far as they have one key, into that key's list. With a
    /// `trigger` they go at once.
    pub(super) fn promote(&mut self, domain: At, trigger: Option<Trigger>) {
        let first = self.domains[domain].head;
        if self.domains[domain].is_held() || first == NOWHERE {
            return;
        }
        let Domain { behind, waiting, .. } = self.domains[domain];
        if !self.nodes[first].listed && behind < waiting {
            // A follow-up came in front of what was listed already, of the same key.
            self.pull_back(domain);
        }
        let key = self.nodes[first].key;
        let mut flushed = false;
        // With nothing behind, all of them are there already.
        let mut at = if self.domains[domain].behind > 0 { first } else { NOWHERE };
        while at != NOWHERE && self.nodes[at].key == key {
            if !self.nodes[at].listed {
                self.domains[domain].behind -= 1;
                flushed |= self.nodes[at].slip.arrival <= self.flushed;
                self.enqueue(at);
            }
            at = self.nodes[at].chain_after;
        }
        let record = &mut self.domains[domain];
        let (due, urgent) = (record.due, record.urgent);
        if record.behind == 0 {
            (record.due, record.urgent) = (Nanos::MAX, None);
        }
        match trigger.or(flushed.then_some(Trigger::Flush)).or(urgent) {
            Some(trigger) => self.seal(key, trigger),
            None => self.lingers_until(key, due),
        }
        if self.keys[key].paused {
            self.give_up_behind(domain);
        }
    }

    /// All items of an entity out of their keys' lists.
    pub(super) fn pull_back(&mut self, domain: At) {
        let mut at = self.domains[domain].head;
        while at != NOWHERE {
            if self.nodes[at].listed {
                let asked = self.nodes[at].asked;
                self.unlist(at);
                let record = &mut self.domains[domain];
                record.behind += 1;
                record.urgent = record.urgent.or(asked);
            }
            self.recount(at);
            at = self.nodes[at].chain_after;
        }
    }
}
