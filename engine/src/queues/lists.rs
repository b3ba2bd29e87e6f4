//! Nodes come and go, and stand in the lists of their keys.

use super::Queues;
use super::node::{Links, Node, Slip};
use crate::item::Item;
use crate::nanos::Nanos;
use crate::table::{At, NOWHERE};
use crate::verdict::Trigger;

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
            // Whoever waits for it may have said so while it was away, and nobody heard.
            self.cancels_unheard |= self.is_cancelled(at);
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
        let ordered = self.operations.ordered && self.operations.retry.attempts > 1;
        let held = ordered && self.backoffs.is_armed(at);
        let node = self.take(at);
        self.domains[node.domain].backing_off -= u32::from(held);
        if held || self.is_stuck(node.domain) {
            self.release(node.domain, Trigger::Retry);
        }
        node
    }

    /// Whether nothing of an entity is listed, though something waits.
    fn is_stuck(&self, domain: At) -> bool {
        let head = self.domains[domain].head;
        T::ENTITIES && self.nodes.get(head).is_some_and(|first| !first.listed)
    }

    /// What was found or made for an item that is settled now.
    pub(super) fn forget(&mut self, key: At, domain: At) {
        self.domains.forget_if_idle(domain);
        self.keys.forget_if_idle(key);
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
            record.lingers = self.operations.flush_after;
            record.open_weight = 0;
            record.deadline = Nanos::MAX;
            self.tally.counters.open_batches += 1;
            self.opened.push_back(&mut self.keys, key);
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
        self.ready_batches += usize::from(cut.is_some() && record.queued);
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
                self.lose_batch(key);
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
        self.opened.remove(&mut self.keys, key);
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
        self.ready_batches += usize::from(record.queued);
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

    /// A key stands in line with its sealed batches, if it has any, unless it must wait. After the first of
    /// them it does so again, behind the others.
    pub(super) fn queue(&mut self, key: At) {
        if !self.keys[key].queued && self.may_go(key) {
            self.ready.push_back(&mut self.keys, key);
            self.enter_line(key);
        }
    }

    /// As [`queue`](Self::queue), in front: for what comes back.
    pub(super) fn queue_first(&mut self, key: At) {
        if self.may_go(key) {
            self.leave_line(key);
            self.ready.push_front(&mut self.keys, key);
            self.enter_line(key);
        }
    }

    fn enter_line(&mut self, key: At) {
        self.keys[key].queued = true;
        self.ready_batches += self.keys[key].batches as usize;
    }

    pub(super) fn leave_line(&mut self, key: At) {
        if std::mem::replace(&mut self.keys[key].queued, false) {
            self.ready_batches -= self.keys[key].batches as usize;
            self.ready.remove(&mut self.keys, key);
        }
    }

    /// A sealed batch has gone, or all of its items have. Without one a key is not in line, or it would
    /// keep its place here until there is a credit.
    fn lose_batch(&mut self, key: At) {
        if self.keys[key].batches == 1 {
            self.leave_line(key);
        }
        let record = &mut self.keys[key];
        record.batches -= 1;
        self.ready_batches -= usize::from(record.queued);
    }

    /// Whether a key has a sealed batch that may be handed over.
    pub(super) fn may_go(&self, key: At) -> bool {
        let record = &self.keys[key];
        let waits = record.paused || self.paused || (!T::ENTITIES && self.is_key_held(key));
        record.batches > 0 && !waits
    }

    /// Whether what waits for a key must wait for something else: where keys are domains.
    pub(super) fn is_key_held(&self, key: At) -> bool {
        let hash = self.keys[key].hash;
        self.domains.find(hash).is_some_and(|domain| self.domains[domain].is_held())
    }
}
