//! Items into queues.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringbuf::Answer;

use super::Queues;
use super::domain::Domain;
use super::node::{Node, Slip, Waits};
use crate::identity::Origin;
use crate::item::{Item, Patience, weight};
use crate::nanos::Nanos;
use crate::panics::{drop_panics, message_of};
use crate::spot::Spot;
use crate::table::At;
use crate::verdict::{Failure, Outcome, Trigger};

/// Whether an item can be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes(Known),
    /// No memory; batches must go first.
    NoRoom,
    /// As many wait as may: its key is paused, or something holds up what it would stand behind.
    Held,
}

/// What is known here of an item's key and of its domain, before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    key: Option<At>,
    domain: Option<At>,
}

/// What is known of an item besides itself, found out while it still lies in its lane.
pub(crate) struct Arrived<R, E> {
    pub(crate) spot: Spot,
    pub(crate) origin: Origin,
    /// Not after its push.
    pub(crate) since: Nanos,
    pub(crate) patience: Patience,
    /// When it is of no use any more.
    pub(crate) expires: Nanos,
    pub(crate) weight: u32,
    pub(crate) answer: Option<Answer<Outcome<R, E>>>,
    /// Who asks waits.
    pub(crate) hurries: bool,
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// Whether an item that belongs there can be taken: [`accept`](Self::accept) must follow a yes.
    pub(crate) fn takes(&mut self, spot: Spot) -> Taken {
        let (key, domain) = (self.keys.find(spot.hash), self.domains.find(spot.domain));
        let known = Known { key, domain };
        if key.is_some_and(|key| self.is_full(key)) {
            return Taken::Yes(known);
        }
        let most = self.operations.held_items_max;
        let paused = key.is_some_and(|key| self.keys[key].paused && self.keys[key].items >= most);
        let full = |&domain: &At| self.domains[domain].waiting >= most;
        if paused || domain.filter(full).is_some_and(|domain| self.must_wait(domain)) {
            return Taken::Held;
        }
        let no_key = key.is_none() && self.keys.room() == 0;
        if no_key || self.nodes.len() >= self.operations.open_items {
            (self.starved, self.stalled) = (true, true);
            self.tally.counters.memory_stops += 1;
            return Taken::NoRoom;
        }
        Taken::Yes(known)
    }

    /// Whether nothing of a domain may go: it is held, or what comes first of it, and so holds up all of it,
    /// is of a paused key.
    fn must_wait(&self, domain: At) -> bool {
        let Domain { head, .. } = self.domains[domain];
        let is_paused = |first: &Node<T, R, E>| self.keys[first.key].paused;
        self.domains[domain].is_held() || self.nodes.get(head).is_some_and(is_paused)
    }

    /// A lane waits, since its next item's domain is held and has as many waiting as may.
    pub(crate) fn note_stop(&mut self) {
        self.stalled = true;
        self.tally.counters.operations.lane_stops += 1;
    }

    /// Whether a key has as many items as it may.
    fn is_full(&self, key: At) -> bool {
        self.keys[key].items >= self.operations.key_items_max
    }

    /// Takes an item, of which so much was known just before.
    pub(crate) fn accept(&mut self, item: T, known: Known, arrived: Arrived<R, E>) {
        let Arrived { spot, origin, since, patience, expires, weight, answer, hurries } = arrived;
        let lingers = match patience {
            Patience::Engine => self.lingers(known.key),
            Patience::AtMost(most) => Nanos::from(most).min(self.lingers(known.key)),
            Patience::None => Nanos::ZERO,
        };
        let hurry = match (hurries, patience) {
            (true, _) => Some(Trigger::Call),
            (false, Patience::None) => Some(Trigger::Patience),
            _ => None,
        };
        let waits = Waits { since, lingers, expires };
        let slip = Slip { answer, ..Slip::new(spot, origin, self.next_arrival(), waits, weight) };
        if slip.expires <= self.now {
            return self.refuse(item, slip, Failure::Expired);
        }
        let Some(key) = known.key.or_else(|| self.key_of(spot.hash)) else {
            unreachable!("there was room")
        };
        let (item, slip) = match T::ABSORBS && slip.answer.is_none() {
            true => match self.absorb(key, item, slip, hurry) {
                Ok(()) => return,
                Err(back) => back,
            },
            false => (item, slip),
        };
        if self.is_full(key) {
            return self.refuse(item, slip, Failure::KeyFull);
        }
        let domain = known.domain.or_else(|| self.domains.find_or_make(spot.domain));
        let Some(domain) = domain else {
            unreachable!("there are as many domains as items, or keys")
        };
        self.keys[key].items += 1;
        let at = self.admit(item, slip, key, domain);
        self.append(at);
        if let Some(answer) = &self.nodes[at].slip.answer
            && answer.is_cancelled()
        {
            self.cancel(at);
        } else if let Some(trigger) = hurry {
            self.hurry_item(at, trigger);
        }
    }

    /// How long an item of a key lingers, if it has the patience: as the batch does that it finds open.
    fn lingers(&self, key: Option<At>) -> Nanos {
        match key.map(|key| &self.keys[key]) {
            Some(record) if record.open > 0 => record.lingers,
            _ => self.operations.flush_after,
        }
    }

    /// The open batch of a key goes at the end of this drain.
    pub(super) fn hurry(&mut self, key: At, trigger: Trigger) {
        let record = &mut self.keys[key];
        if record.open == 0 {
            return;
        }
        record.urgent.get_or_insert(trigger);
        if !record.hurried {
            record.hurried = true;
            self.urgent.push(key);
        }
    }

    /// An item that came is settled at once.
    fn refuse(&mut self, item: T, slip: Slip<R, E>, failure: Failure<E>) {
        let operations = &mut self.tally.counters.operations;
        match failure {
            Failure::Expired => operations.expired += 1,
            Failure::KeyFull => operations.key_full += 1,
            _ => {}
        }
        self.fail(item, slip, failure);
    }
}

/// Merging.
impl<T: Item, R, E> Queues<T, R, E> {
    /// Folds an item into the one that waits last for its key, if both will. Otherwise it comes back.
    fn absorb(
        &mut self,
        key: At,
        item: T,
        slip: Slip<R, E>,
        hurry: Option<Trigger>,
    ) -> Result<(), (T, Slip<R, E>)> {
        let asked =
            catch_unwind(AssertUnwindSafe(|| self.last_that_absorbs(key, &item, slip.domain)));
        let last = match asked {
            Ok(Some(last)) => last,
            Ok(None) => return Err((item, slip)),
            Err(panic) => {
                tracing::error!(panic = message_of(panic), "an item's key panicked");
                self.tally.counters.key_panics += 1;
                self.fail(item, slip, Failure::Panicked);
                return Ok(());
            }
        };
        let survivor = &mut self.nodes[last];
        let absorbed = catch_unwind(AssertUnwindSafe(|| {
            let absorbed = survivor.item.absorb(item);
            let weight = if absorbed.is_ok() { weight(&survivor.item) } else { 0 };
            (absorbed, weight)
        }));
        match absorbed {
            Ok((Ok(()), weight)) => {
                self.grow(last, &slip, weight, hurry);
                Ok(())
            }
            Ok((Err(item), _)) => Err((item, slip)),
            Err(panic) => {
                tracing::error!(panic = message_of(panic), "an item's `absorb` panicked");
                self.tally.counters.key_panics += 1;
                // The newer item is gone; of both together nobody knows what is left.
                self.nodes[last].slip.absorbed += 1;
                self.count_in(last, 1);
                self.drop_waiting(last, Failure::Panicked);
                Ok(())
            }
        }
    }

    /// The item that may absorb another of its key: the last that waits there, if no handler has seen it
    /// nobody waits for it, and its time is not up; with entities, only if it is the last of the same entity too.
    fn last_that_absorbs(&self, key: At, item: &T, domain: u64) -> Option<At> {
        let last = if T::ENTITIES {
            self.domains[self.domains.find(domain)?].tail
        } else {
            self.keys[key].tail
        };
        let node = self.nodes.get(last)?;
        let slip = &node.slip;
        let lives = slip.expires > self.now;
        let may = node.key == key && lives && !slip.seen.ever() && slip.answer.is_none();
        // Two keys may have one hash.
        (may && node.item.key() == item.key()).then_some(last)
    }

    /// A node stands for one item more. With `hurry` its batch goes at the end of this drain.
    fn grow(&mut self, at: At, newer: &Slip<R, E>, weight: u32, hurry: Option<Trigger>) {
        self.tally.counters.operations.absorbed += 1;
        let node = &mut self.nodes[at];
        let (key, was) = (node.key, node.slip.weight);
        let slip = &mut node.slip;
        slip.absorbed += 1;
        slip.weight = weight;
        slip.deadline = slip.deadline.min(newer.deadline);
        let deadline = slip.deadline;
        let expires = slip.expires.max(newer.expires);
        let moved = expires != slip.expires;
        slip.expires = expires;
        self.nodes[at].asked = self.nodes[at].asked.or(hurry);
        self.count_in(at, 1);
        if moved && T::EXPIRES {
            self.expiries.cancel(at);
            if expires != Nanos::MAX {
                self.expiries.arm_not_before(at, expires);
            }
        }
        if !self.is_in_open_batch(&self.nodes[at]) {
            let Node { listed, domain, .. } = self.nodes[at];
            if !listed {
                self.due_behind(domain, deadline);
            }
            if let Some(trigger) = hurry {
                self.hurry_item(at, trigger);
            }
            return;
        }
        let record = &mut self.keys[key];
        record.open_weight =
            (record.open_weight + u64::from(weight)).saturating_sub(u64::from(was));
        if record.open_weight >= self.operations.batch_weight_max {
            self.seal(key, Trigger::Weight);
            return;
        }
        self.lingers_until(key, deadline);
        if let Some(trigger) = hurry {
            self.hurry(key, trigger);
        }
    }
}

/// Items that must not be handed over any more.
impl<T: Item, R, E> Queues<T, R, E> {
    /// Items whose time is up.
    pub(super) fn expire(&mut self) {
        if !T::EXPIRES {
            return;
        }
        while let Some(at) = self.expiries.expire(self.now) {
            self.tally.counters.operations.expired += self.nodes[at].slip.units();
            self.drop_waiting(at, Failure::Expired);
        }
    }

    /// Calls that were cancelled.
    pub(super) fn obey_cancels(&mut self) {
        while let Some(slot) = self.surroundings.cancels.as_mut().and_then(|flags| flags.take()) {
            self.obey_cancel(slot);
        }
        if std::mem::take(&mut self.cancels_unheard) {
            (0..self.calls.len() as u32).for_each(|slot| self.obey_cancel(slot));
        }
    }

    /// Of the call in this slot, if that was cancelled and its item waits.
    fn obey_cancel(&mut self, slot: u32) {
        let at = self.calls[slot as usize];
        let asks = |node: &Node<T, R, E>| {
            node.slip.answer.as_ref().is_some_and(|answer| answer.slot() == slot)
        };
        if self.nodes.get(at).is_some_and(asks) && self.is_cancelled(at) {
            self.cancel(at);
        }
    }

    /// Whether whoever waits for the item of a node has said that it need not be handled.
    pub(super) fn is_cancelled(&self, at: At) -> bool {
        self.nodes[at].slip.answer.as_ref().is_some_and(Answer::is_cancelled)
    }

    fn cancel(&mut self, at: At) {
        self.tally.counters.operations.cancelled += 1;
        self.drop_waiting(at, Failure::Cancelled);
    }

    /// A waiting item fails.
    pub(super) fn drop_waiting(&mut self, at: At, failure: Failure<E>) {
        let node = self.withdraw(at);
        let (key, domain) = (node.key, node.domain);
        self.lose_suspect(node.slip.seen);
        self.keys[key].items -= 1;
        self.fail(node.item, node.slip, failure);
        self.forget(key, domain);
    }

    /// An item fails, and whoever asked hears of it.
    pub(super) fn fail(&mut self, item: T, slip: Slip<R, E>, failure: Failure<E>) {
        self.tally.counters.failed += slip.units();
        self.conclude(slip, Err(failure));
        self.tally.counters.drop_panics += u64::from(drop_panics(item));
    }
}
