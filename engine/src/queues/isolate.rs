//! Telling a poisoned item apart from its neighbours, by halves.
//!
//! When a call fails as one, its items go back and the first half of them comes again alone; the half that
//! fails is halved again, until one item is left, which takes the error of the smallest failing call that
//! held it. What stood behind it runs as one. Items before the poisoned one are done by then, so order
//! stands. For one bad item among n that takes ⌈log2 n⌉ + 1 more calls at most. (Bisection, as in group
//! testing: R. Dorfman, "The Detection of Defective Members of Large Populations", 1943.)

use super::Queues;
use super::settle::Decided;
use crate::item::Item;
use crate::table::At;
use crate::verdict::{Failure, Verdict};
use crate::verdicts::Verdicts;

/// The first items of a key, one of which is bad.
pub(super) struct Suspicion<E> {
    key: At,
    /// How many they are; at least one.
    suspects: u32,
    /// Items of the same batch behind them.
    rest: u32,
    /// Of the smallest failing call that held them all.
    failure: Failure<E>,
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// Learns from a call with the first `items` of a key, after which, if it `ends` them, nothing of them
    /// is left. Says whether they are to go back, undecided, so
    /// that a part of them comes again.
    pub(super) fn tells_apart(
        &mut self,
        key: At,
        items: usize,
        verdicts: &mut Verdicts<R, E>,
        how: Decided,
        ends: bool,
    ) -> bool {
        let items = items as u32;
        let failed = matches!(how, Decided::By { as_one: true, .. } | Decided::ByPanic);
        let known = self.suspicions.iter().position(|suspicion| suspicion.key == key);
        self.tally.counters.operations.isolation_calls += u64::from(known.is_some());
        match known {
            None if !failed || items == 1 => false,
            None => {
                let failure = first_failure(verdicts, how);
                self.suspicions.push(Suspicion { key, suspects: items, rest: 0, failure });
                self.keys[key].limit = Some(items / 2);
                true
            }
            Some(at) if failed && items == 1 => {
                let Suspicion { suspects, rest, .. } = self.suspicions.swap_remove(at);
                self.count_last_call(rest + suspects - 1);
                false
            }
            Some(at) if failed => {
                let suspicion = &mut self.suspicions[at];
                suspicion.rest += suspicion.suspects - items;
                suspicion.suspects = items;
                suspicion.failure = first_failure(verdicts, how);
                self.keys[key].limit = Some(items / 2);
                true
            }
            Some(at) if ends => {
                let suspicion = &mut self.suspicions[at];
                suspicion.suspects -= items;
                self.keys[key].limit = Some((suspicion.suspects / 2).max(1));
                false
            }
            // Something else happened to them: what is behind is as good as any.
            Some(at) => {
                self.suspicions.swap_remove(at);
                false
            }
        }
    }

    /// A single suspect is the one: it fails without a call of its own.
    pub(super) fn convict(&mut self, key: At) {
        let lone = |suspicion: &Suspicion<E>| suspicion.key == key && suspicion.suspects == 1;
        let Some(at) = self.suspicions.iter().position(lone) else { return };
        let Suspicion { rest, failure, .. } = self.suspicions.swap_remove(at);
        let head = self.keys[key].head;
        self.keys[key].limit = None;
        if self.nodes.get(head).is_some_and(|node| node.slip.tried) {
            self.drop_waiting(head, failure);
        }
        self.count_last_call(rest);
    }

    /// Nothing is known of a key's first items any more, since they are not what they were.
    pub(super) fn clear_suspicion(&mut self, key: At) {
        if let Some(at) = self.suspicions.iter().position(|suspicion| suspicion.key == key) {
            self.suspicions.swap_remove(at);
            self.keys[key].limit = None;
        }
    }

    /// What stood behind the bad item needs one call more.
    fn count_last_call(&mut self, rest: u32) {
        self.tally.counters.operations.isolation_calls += u64::from(rest > 0);
    }
}

fn first_failure<R, E>(verdicts: &mut Verdicts<R, E>, how: Decided) -> Failure<E> {
    match verdicts.take(0) {
        Some(Verdict::Failed(error)) if how != Decided::ByPanic => Failure::Handler(error),
        _ => Failure::Panicked,
    }
}
