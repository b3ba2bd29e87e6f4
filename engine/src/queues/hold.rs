//! Domains that must wait, and until when.

use super::Queues;
use crate::item::Item;
use crate::nanos::Nanos;
use crate::table::At;
use crate::verdict::Trigger;

impl<T: Item, R, E> Queues<T, R, E> {
    /// The domain of a node waits until that node's backoff is over.
    pub(super) fn hold_for_backoff(&mut self, at: At, until: Nanos) {
        let domain = self.nodes[at].domain;
        let was_held = self.domains[domain].is_held();
        self.domains[domain].backing_off += 1;
        self.backoffs.arm_not_before(at, until);
        if !was_held {
            self.held(domain);
        }
    }

    /// Something holds a domain now.
    pub(super) fn held(&mut self, domain: At) {
        if T::ENTITIES {
            self.pull_back(domain);
        } else {
            self.recount_domain(domain);
        }
    }

    /// Hands over what a domain held up, if nothing holds it any more.
    pub(super) fn release(&mut self, domain: At, trigger: Trigger) {
        if self.domains[domain].is_held() {
            return;
        }
        if T::ENTITIES {
            let returns = self.returns_first(domain);
            self.recount_domain(domain);
            self.promote(domain, returns.then_some(trigger));
        } else if let Some(key) = self.keys.find(self.domains[domain].hash) {
            self.recount_key(key);
            self.queue(key);
        }
    }

    /// Backoffs that are over by now.
    pub(super) fn end_backoffs(&mut self) {
        while let Some(at) = self.backoffs.expire(self.now) {
            self.end_backoff(at);
        }
    }

    pub(super) fn end_backoff(&mut self, at: At) {
        let Some(node) = self.nodes.get(at) else { unreachable!("its timer goes with the node") };
        let (domain, key) = (node.domain, node.key);
        if self.operations.ordered {
            self.domains[domain].backing_off -= 1;
            self.release(domain, Trigger::Retry);
        } else {
            // By itself.
            self.enqueue(at);
            self.seal(key, Trigger::Retry);
        }
    }

    /// The engine drains: nothing waits any longer than it must.
    pub(super) fn cut_backoffs(&mut self) {
        while let Some(at) = self.backoffs.earliest() {
            self.backoffs.cancel(at);
            self.end_backoff(at);
        }
    }
}
