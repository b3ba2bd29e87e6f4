//! Nodes into lists and out of them: the one place where places are counted.

use super::Queues;
use super::node::{Links, Node, Place, Slip};
use crate::item::Item;
use crate::nanos::Nanos;
use crate::table::{At, NOWHERE};
use crate::verdict::Trigger;

impl<R, E> Slip<R, E> {
    /// Accepted items that it stands for.
    pub(crate) fn units(&self) -> u64 {
        1 + u64::from(self.absorbed)
    }
}

/// Counting.
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
    pub(super) fn place(&self, at: At) -> Place {
        let node = &self.nodes[at];
        if node.held {
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

    /// Whether it must wait for something else than its turn.
    fn is_held_up(&self, node: &Node<T, R, E>) -> bool {
        self.paused
            || self.keys[node.key].paused
            || self.domains[node.domain].is_held()
            || self.is_alone(node)
    }

    /// Whether it backs off by itself, in no list, while others of its key pass.
    fn is_alone(&self, node: &Node<T, R, E>) -> bool {
        !self.operations.ordered && !node.listed && node.slip.tried
    }

    /// Counts a node anew, if it is held up now and was not, or the other way round.
    pub(super) fn recount(&mut self, at: At) {
        let held = self.is_held_up(&self.nodes[at]);
        if held != self.nodes[at].held {
            let units = self.nodes[at].slip.units();
            self.count_out(at, units);
            self.nodes[at].held = held;
            self.count_in(at, units);
        }
    }

    /// So much of a node counts from now on, where it is.
    pub(super) fn count_in(&mut self, at: At, units: u64) {
        let place = self.place(at);
        *self.counter(place) += units;
        if place == Place::Open && self.nodes[at].listed {
            let key = self.nodes[at].key;
            self.keys[key].open_units += units;
        }
    }

    /// So much of a node does not count any more, or elsewhere from now on.
    fn count_out(&mut self, at: At, units: u64) {
        let place = self.place(at);
        *self.counter(place) -= units;
        if place == Place::Open && self.nodes[at].listed {
            let key = self.nodes[at].key;
            self.keys[key].open_units -= units;
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

    /// Counts all that stands in a key's list.
    pub(super) fn recount_key(&mut self, key: At) {
        let mut at = self.keys[key].head;
        while at != NOWHERE {
            self.recount(at);
            at = self.nodes.links(at).after;
        }
    }
}

/// A node comes and goes.
impl<T: Item, R, E> Queues<T, R, E> {
    /// A node that is in no list yet.
    pub(super) fn admit(&mut self, item: T, slip: Slip<R, E>, key: At, domain: At) -> At {
        let expires = slip.expires;
        let slot = slip.answer.as_ref().map(ringbuf::Answer::slot);
        self.tally.counters.open += slip.units();
        let at = self.nodes.insert(Node::new(item, slip, key, domain));
        self.domains[domain].waiting += 1;
        if expires != Nanos::MAX {
            self.expiries.arm_not_before(at, expires);
        }
        if let Some(slot) = slot {
            self.calls[slot as usize] = at;
        }
        at
    }

    /// Takes a node out of wherever it is. Its key and its domain stay, though they may be idle now.
    pub(super) fn take(&mut self, at: At) -> Node<T, R, E> {
        let listed = self.nodes[at].listed;
        let units = self.nodes[at].slip.units();
        self.count_out(at, units);
        if listed {
            self.leave_list(at);
        }
        if T::ENTITIES {
            self.unchain(at, listed);
        }
        if T::EXPIRES {
            self.expiries.cancel(at);
        }
        if self.operations.retry.attempts > 1 {
            self.backoffs.cancel(at);
        }
        let node = self.nodes.remove(at);
        self.domains[node.domain].waiting -= 1;
        node
    }

    /// A waiting node goes for good, and whoever it held up need not wait for it any more.
    pub(super) fn withdraw(&mut self, at: At) -> Node<T, R, E> {
        let node = self.take(at);
        let domain = &mut self.domains[node.domain];
        let held = domain.backs_off == at;
        if held {
            domain.backs_off = NOWHERE;
        }
        if held || T::ENTITIES {
            self.release(node.domain, Trigger::Retry);
        }
        node
    }

    /// What was found or made for an item that is settled now.
    pub(super) fn forget(&mut self, key: At, domain: At) {
        self.domains.forget_if_idle(domain);
        self.keys.forget_if_idle(key);
    }
}

/// The chain of an entity.
impl<T: Item, R, E> Queues<T, R, E> {
    /// The youngest of its domain.
    pub(super) fn append(&mut self, at: At) {
        if T::ENTITIES && self.chain_back(at) {
            self.domains[self.nodes[at].domain].behind += 1;
            self.recount(at);
        } else {
            self.enqueue(at);
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

    /// Whether all items of the same entity before this one have the same key.
    pub(super) fn is_in_first_run(&self, at: At) -> bool {
        let Node { domain, key, .. } = self.nodes[at];
        let mut before = self.domains[domain].head;
        while before != at {
            if before == NOWHERE || self.nodes[before].key != key {
                return false;
            }
            before = self.nodes[before].chain_after;
        }
        true
    }

    fn unchain(&mut self, at: At, listed: bool) {
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
        let key = self.nodes[first].key;
        let mut at = first;
        let mut flushed = false;
        while at != NOWHERE && self.nodes[at].key == key {
            if !self.nodes[at].listed {
                self.domains[domain].behind -= 1;
                flushed |= self.nodes[at].slip.arrival <= self.flushed;
                self.enqueue(at);
            }
            at = self.nodes[at].chain_after;
        }
        if let Some(trigger) = trigger.or(flushed.then_some(Trigger::Flush)) {
            self.seal(key, trigger);
        }
    }

    /// All items of an entity out of their keys' lists.
    pub(super) fn pull_back(&mut self, domain: At) {
        let mut at = self.domains[domain].head;
        while at != NOWHERE {
            if self.nodes[at].listed {
                self.unlist(at);
                self.domains[domain].behind += 1;
            }
            self.recount(at);
            at = self.nodes[at].chain_after;
        }
    }
}

/// The list of a key.
impl<T: Item, R, E> Queues<T, R, E> {
    /// Into the open batch of its key.
    pub(super) fn enqueue(&mut self, at: At) {
        let Node { key, held, ref slip, .. } = self.nodes[at];
        let (weight, deadline) = (u64::from(slip.weight), slip.deadline);
        let units = if held { 0 } else { slip.units() };
        let most = self.operations.batch_weight_max;
        if self.keys[key].open > 0 && self.keys[key].open_weight.saturating_add(weight) > most {
            self.seal(key, Trigger::Weight);
        }
        self.list_back(at);
        let record = &mut self.keys[key];
        if record.open == 0 {
            record.target = self.aim.target.get();
            record.open_weight = 0;
            record.open_units = 0;
            record.deadline = Nanos::MAX;
            self.tally.counters.open_batches += 1;
            record.opened_before = self.last_opened;
            match std::mem::replace(&mut self.last_opened, key) {
                NOWHERE => self.first_opened = key,
                last => self.keys[last].opened_after = key,
            }
        }
        let record = &mut self.keys[key];
        record.open += 1;
        record.open_units += units;
        record.open_weight = record.open_weight.saturating_add(weight);
        let (full, heavy) = (record.open >= record.target, record.open_weight >= most);
        if full || heavy {
            self.recount(at);
            self.seal(key, if full { Trigger::Size } else { Trigger::Weight });
            return;
        }
        self.lingers_until(key, deadline);
        self.recount(at);
    }

    /// The open batch of a key goes by then, if not before.
    pub(super) fn lingers_until(&mut self, key: At, deadline: Nanos) {
        let record = &mut self.keys[key];
        if deadline < record.deadline {
            record.deadline = deadline;
            self.lingers.cancel(key);
            self.lingers.arm(key, deadline);
        }
    }

    fn list_back(&mut self, at: At) {
        let key = self.nodes[at].key;
        let record = &mut self.keys[key];
        let (last, epoch) = (std::mem::replace(&mut record.tail, at), record.epoch);
        if last == NOWHERE {
            record.head = at;
        } else {
            self.nodes.links_mut(last).after = at;
        }
        *self.nodes.links_mut(at) = Links { before: last, after: NOWHERE };
        let node = &mut self.nodes[at];
        (node.listed, node.epoch, node.cut) = (true, epoch, None);
    }

    /// In front of everything that waits for its key, in a sealed batch; `cut` if it is the last of that.
    pub(super) fn list_front(&mut self, at: At, cut: Option<Trigger>) {
        let key = self.nodes[at].key;
        let record = &mut self.keys[key];
        let first = std::mem::replace(&mut record.head, at);
        let epoch = record.epoch.wrapping_sub(1);
        record.batches += u32::from(cut.is_some());
        if first == NOWHERE {
            record.tail = at;
        } else {
            self.nodes.links_mut(first).before = at;
        }
        *self.nodes.links_mut(at) = Links { before: NOWHERE, after: first };
        let units = self.nodes[at].slip.units();
        self.count_out(at, units);
        let node = &mut self.nodes[at];
        (node.listed, node.epoch, node.cut) = (true, epoch, cut);
        self.count_in(at, units);
        self.recount(at);
    }

    /// Out of its key's list.
    pub(super) fn unlist(&mut self, at: At) {
        let units = self.nodes[at].slip.units();
        self.count_out(at, units);
        self.leave_list(at);
        self.count_in(at, units);
    }

    /// Out of its key's list. If it was the last of a sealed batch, the one before it is that now. It does
    /// not count meanwhile.
    fn leave_list(&mut self, at: At) {
        let Node { key, epoch, cut, ref slip, .. } = self.nodes[at];
        let weight = u64::from(slip.weight);
        let Links { before, after } = self.nodes.links(at);
        if before == NOWHERE {
            self.keys[key].head = after;
        } else {
            self.nodes.links_mut(before).after = after;
        }
        if after == NOWHERE {
            self.keys[key].tail = before;
        } else {
            self.nodes.links_mut(after).before = before;
        }
        self.nodes[at].listed = false;
        if let Some(trigger) = cut {
            if before != NOWHERE && self.nodes[before].cut.is_none() {
                self.nodes[before].cut = Some(trigger);
            } else {
                self.keys[key].batches -= 1;
            }
        } else if epoch == self.keys[key].epoch {
            let record = &mut self.keys[key];
            record.open -= 1;
            record.open_weight = record.open_weight.saturating_sub(weight);
            if record.open == 0 {
                self.close_batch(key);
            }
        }
    }

    /// The open batch of a key is none any more.
    fn close_batch(&mut self, key: At) {
        let record = &mut self.keys[key];
        record.epoch = record.epoch.wrapping_add(1);
        record.deadline = Nanos::MAX;
        record.urgent = None;
        let before = std::mem::replace(&mut record.opened_before, NOWHERE);
        let after = std::mem::replace(&mut record.opened_after, NOWHERE);
        match before {
            NOWHERE => self.first_opened = after,
            before => self.keys[before].opened_after = after,
        }
        match after {
            NOWHERE => self.last_opened = before,
            after => self.keys[after].opened_before = before,
        }
        self.lingers.cancel(key);
        self.tally.counters.open_batches -= 1;
    }

    /// The open batch of a key, if there is one, is to be handed over.
    pub(super) fn seal(&mut self, key: At, trigger: Trigger) {
        if self.keys[key].open == 0 {
            return;
        }
        let record = &mut self.keys[key];
        let last = record.tail;
        record.open = 0;
        record.batches += 1;
        // Those of its nodes that are not held were open until now, and are ready from now on.
        self.tally.counters.open -= record.open_units;
        self.tally.counters.ready += record.open_units;
        record.open_units = 0;
        self.close_batch(key);
        self.nodes[last].cut = Some(trigger);
        self.queue(key);
    }

    /// A key stands in line once for each of its sealed batches, unless it must wait.
    pub(super) fn queue(&mut self, key: At) {
        while self.must_queue(key) {
            self.keys[key].queued += 1;
            self.ready.push_back(key);
        }
    }

    /// As [`queue`](Self::queue), in front: for what comes back.
    pub(super) fn queue_first(&mut self, key: At) {
        if self.must_queue(key) {
            self.keys[key].queued += 1;
            self.ready.push_front(key);
        }
    }

    fn must_queue(&self, key: At) -> bool {
        let record = &self.keys[key];
        let waits = record.paused || self.paused || (!T::ENTITIES && self.is_key_held(key));
        record.queued < record.batches && !waits
    }

    /// Whether what waits for a key must wait for something else: where keys are domains.
    pub(super) fn is_key_held(&self, key: At) -> bool {
        let hash = self.keys[key].hash;
        self.domains.find(hash).is_some_and(|domain| self.domains[domain].is_held())
    }
}
