//! What the engine's user asks of keys: to pause, to go on, to be done with what is here.

use crossbeam_channel::Sender;

use super::Queues;
use super::node::{Node, Slip};
use crate::error::{ControlError, FlushError};
use crate::item::Item;
use crate::nanos::Nanos;
use crate::table::{At, NOWHERE};
use crate::verdict::{Failure, Trigger};

/// Somebody who waits until everything that was accepted before is settled.
pub(super) struct Flush {
    /// Of one key alone, by its hash.
    hash: Option<u64>,
    /// How far each lane reached.
    tails: Vec<u64>,
    /// Once the lanes are drained that far: the items that are left, of those that came before `until`.
    left: Option<u64>,
    until: u64,
    /// Nobody waits for it any more from this time on.
    deadline: Nanos,
    done: Sender<Result<(), FlushError>>,
}

impl Flush {
    /// Whether items of this key's hash are among those that are to be settled.
    fn concerns(&self, hash: u64) -> bool {
        self.hash.is_none_or(|of| of == hash)
    }

    /// Whether an item that is not settled is one of those that are left.
    fn waits_for<R, E>(&self, slip: &Slip<R, E>) -> bool {
        self.left.is_some() && slip.arrival <= self.until && self.concerns(slip.hash)
    }
}

/// Somebody asks for a flush.
pub(crate) struct FlushAsked {
    /// Of one key alone, by its hash.
    pub(crate) hash: Option<u64>,
    /// They wait until then.
    pub(crate) deadline: Nanos,
    /// Who hears what came of it.
    pub(crate) done: Sender<Result<(), FlushError>>,
}

/// Pausing.
impl<T: Item, R, E> Queues<T, R, E> {
    /// Nothing of this key is handed over from now on. Says whether that is new.
    pub(crate) fn pause(&mut self, hash: u64) -> Result<bool, ControlError> {
        if self.draining {
            return Err(ControlError::Closed);
        }
        let key = self.key_of(hash).ok_or(ControlError::NoRoom)?;
        let was_paused = std::mem::replace(&mut self.keys[key].paused, true);
        self.recount_key(key);
        self.recount_behind();
        self.give_up_flushes(|flush| flush.concerns(hash));
        self.give_up_all_behind();
        Ok(!was_paused)
    }

    /// A key goes on, if it is paused.
    pub(crate) fn resume(&mut self, hash: u64) {
        if let Some(key) = self.keys.find(hash)
            && self.keys[key].paused
        {
            self.hurry_all(Trigger::Resume, |of| of.hash == hash);
            self.resume_key(key);
            self.recount_behind();
        }
    }

    /// What came of a key meanwhile goes at once. What waits behind others of its entities is to be counted
    /// anew after this.
    fn resume_key(&mut self, key: At) {
        self.keys[key].paused = false;
        self.recount_key(key);
        self.seal(key, Trigger::Resume);
        self.queue(key);
        self.keys.forget_if_idle(key);
    }

    /// Nothing is handed over from now on.
    pub(crate) fn pause_all(&mut self) -> Result<(), ControlError> {
        if self.draining {
            return Err(ControlError::Closed);
        }
        self.paused = true;
        self.keys.places().for_each(|key| self.recount_key(key));
        self.recount_unlisted();
        self.give_up_flushes(|_| true);
        Ok(())
    }

    /// Everything goes on, keys that were paused by themselves too.
    pub(crate) fn resume_all(&mut self) {
        let was_paused = std::mem::replace(&mut self.paused, false);
        self.hurry_all(Trigger::Resume, |of| was_paused || of.paused);
        for key in self.keys.places() {
            if was_paused || self.keys[key].paused {
                self.resume_key(key);
            }
        }
        if was_paused {
            self.recount_unlisted();
        } else {
            self.recount_behind();
        }
    }

    /// With entities, what waits behind others is paused with its key, and goes on with it.
    fn recount_behind(&mut self) {
        if T::ENTITIES {
            self.recount_unlisted();
        }
    }

    pub(super) fn next_arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }
}

/// Flushing.
impl<T: Item, R, E> Queues<T, R, E> {
    /// Everything accepted so far, of one key or of all, goes without lingering; who asked hears when it
    /// is settled. `tails` is how far the lanes reach.
    pub(crate) fn begin_flush(&mut self, asked: FlushAsked, tails: Vec<u64>) {
        let FlushAsked { hash, deadline, done } = asked;
        let is_paused = |key| self.keys[key].paused;
        let paused = match hash {
            Some(hash) => self.keys.find(hash).is_some_and(is_paused),
            None => self.keys.places().any(is_paused),
        };
        if self.paused || paused {
            // Nobody listens any more: they gave up waiting.
            let _ = done.send(Err(FlushError::Paused));
            return;
        }
        self.flushes.push(Flush { hash, tails, left: None, until: 0, deadline, done });
    }

    /// Flushes that would never be complete, since what they wait for is paused now.
    fn give_up_flushes(&mut self, concerns: impl Fn(&Flush) -> bool) {
        for flush in self.flushes.extract_if(.., |flush| concerns(flush)) {
            let _ = flush.done.send(Err(FlushError::Paused));
        }
    }

    /// As [`give_up_behind`](Self::give_up_behind), for all entities.
    fn give_up_all_behind(&mut self) {
        if !T::ENTITIES || self.flushes.is_empty() {
            return;
        }
        for at in 0..self.nodes.places() {
            if let Some(&Node { key, domain, chain_before: NOWHERE, .. }) = self.nodes.get(at)
                && self.keys[key].paused
            {
                self.give_up_behind(domain);
            }
        }
    }

    /// What comes first of an entity is of a paused key: flushes of what is behind that would not be complete
    /// before it goes on.
    pub(super) fn give_up_behind(&mut self, domain: At) {
        let mut at = self.domains[domain].head;
        while at != NOWHERE && !self.flushes.is_empty() {
            let Node { ref slip, chain_after, .. } = self.nodes[at];
            for flush in self.flushes.extract_if(.., |flush| flush.waits_for(slip)) {
                let _ = flush.done.send(Err(FlushError::Paused));
            }
            at = chain_after;
        }
    }

    /// Flushes whose time is up.
    pub(super) fn forget_flushes(&mut self) {
        for flush in self.flushes.extract_if(.., |flush| flush.deadline <= self.now) {
            let _ = flush.done.send(Err(FlushError::TimedOut));
        }
    }

    /// The lanes are drained so far.
    pub(crate) fn advance_flushes(&mut self, heads: impl Fn(usize) -> u64) {
        let mut counted = false;
        for at in (0..self.flushes.len()).rev() {
            if self.flushes[at].left.is_some() {
                continue;
            }
            let tails = &self.flushes[at].tails;
            if (0..tails.len()).all(|lane| heads(lane) >= tails[lane]) {
                self.count_what_is_left(at);
                counted = true;
            }
        }
        if counted {
            self.give_up_all_behind();
        }
    }

    fn count_what_is_left(&mut self, at: usize) {
        let hash = self.flushes[at].hash;
        let left = match hash {
            Some(hash) => self.keys.find(hash).map_or(0, |key| {
                self.seal(key, Trigger::Flush);
                self.hurry_all(Trigger::Flush, |of| of.hash == hash);
                u64::from(self.keys[key].items)
            }),
            None => {
                self.sweep(Trigger::Flush);
                self.keys.places().map(|key| u64::from(self.keys[key].items)).sum()
            }
        };
        let until = self.arrivals;
        let flush = &mut self.flushes[at];
        (flush.left, flush.until) = (Some(left), until);
        self.end_flush_if_done(at);
    }

    fn end_flush_if_done(&mut self, at: usize) {
        if self.flushes[at].left == Some(0) {
            let flush = self.flushes.swap_remove(at);
            let _ = flush.done.send(Ok(()));
        }
    }

    /// An item is settled.
    pub(super) fn note_settled(&mut self, slip: &Slip<R, E>) {
        for at in (0..self.flushes.len()).rev() {
            let flush = &mut self.flushes[at];
            if flush.waits_for(slip)
                && let Some(left) = &mut flush.left
            {
                *left -= 1;
                self.end_flush_if_done(at);
            }
        }
    }
}

/// The end.
impl<T: Item, R, E> Queues<T, R, E> {
    /// Nothing more comes: what is paused goes on, and what backs off gets its last attempt now.
    pub(crate) fn close(&mut self) {
        self.draining = true;
        self.resume_all();
        self.cut_backoffs();
    }

    /// Fails everything that is here or away; says how many items that were.
    pub(crate) fn fail_all(&mut self) -> u64 {
        let failed = self.tally.counters.failed;
        self.fail_flights();
        for at in 0..self.nodes.places() {
            if self.nodes.get(at).is_some() {
                self.drop_waiting(at, Failure::Stopped);
            }
        }
        debug_assert_eq!(self.domains.len(), 0, "a domain goes with the last of its items");
        self.tally.counters.failed - failed
    }
}
