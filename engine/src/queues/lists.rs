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
    fn count_out(&mut self, at: At, units: u64) {
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
        let alone = !self.operations.ordered && node.slip.tried;
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
    fn due_behind(&mut self, domain: At, deadline: Nanos) {
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
        let Node { key, domain, listed, .. } = self.nodes[at];
        if listed {
            return self.hurry(key, trigger);
        }
        let record = &mut self.domains[domain];
        record.urgent.get_or_insert(trigger);
        if let Some(first) = self.nodes.get(record.head).filter(|first| first.listed) {
            self.hurry(first.key, trigger);
        }
    }

    /// As [`hurry_item`](Self::hurry_item), for everything of a key that is behind others.
    pub(super) fn hurry_behind(&mut self, key: At) {
        if T::ENTITIES {
            for at in 0..self.nodes.places() {
                if self.nodes.get(at).is_some_and(|node| node.key == key && !node.listed) {
                    self.hurry_item(at, Trigger::Flush);
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
        let record = &mut self.domains[domain];
        let (due, urgent) = (record.due, record.urgent);
        if record.behind == 0 {
            (record.due, record.urgent) = (Nanos::MAX, None);
        }
        match trigger.or(flushed.then_some(Trigger::Flush)).or(urgent) {
            Some(trigger) => self.seal(key, trigger),
            None => self.lingers_until(key, due),
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
        let Node { key, ref slip, .. } = self.nodes[at];
        let (weight, deadline, units) = (u64::from(slip.weight), slip.deadline, slip.units());
        let most = self.operations.batch_weight_max;
        if self.keys[key].open > 0 && self.keys[key].open_weight.saturating_add(weight) > most {
            self.seal(key, Trigger::Weight);
        }
        self.count_out(at, units);
        self.list_back(at);
        let record = &mut self.keys[key];
        if record.open == 0 {
            record.target = self.aim.target.get();
            record.open_weight = 0;
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
        record.open_weight = record.open_weight.saturating_add(weight);
        let (full, heavy) = (record.open >= record.target, record.open_weight >= most);
        self.count_in(at, units);
        if full || heavy {
            self.seal(key, if full { Trigger::Size } else { Trigger::Weight });
            return;
        }
        self.lingers_until(key, deadline);
    }

    /// The open batch of a key, if there is one, goes by then, if not before.
    pub(super) fn lingers_until(&mut self, key: At, deadline: Nanos) {
        let record = &mut self.keys[key];
        if record.open > 0 && deadline < record.deadline {
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
        (node.listed, node.held, node.epoch, node.cut) = (true, false, epoch, None);
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
        (node.listed, node.held, node.epoch, node.cut) = (true, false, epoch, cut);
        self.count_in(at, units);
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
        let units = std::mem::take(&mut record.open_units);
        record.sealed_units += units;
        if !record.held {
            self.tally.counters.open -= units;
            self.tally.counters.ready += units;
        }
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
