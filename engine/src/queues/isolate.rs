//! Telling a poisoned item apart from its neighbours, by halves.
//!
//! When a call fails as one, its items go back as *suspects* and the first half of them comes again alone; the
//! half that fails is halved again, until one item is left, which takes the error of the smallest failing call
//! that held it. What stood behind it runs as one. Items before the poisoned one are done by then, so order
//! stands. For one bad item among n that takes ⌈log2 n⌉ + 1 more calls at most. (Bisection, as in group
//! testing: R. Dorfman, "The Detection of Defective Members of Large Populations", 1943.)
//!
//! Each suspect carries the name of its suspicion, a new one for each failing call: who is suspected does not
//! follow from where an item stands. So suspects may be away, back off, or be gone for another reason, and
//! with entities several batches of a key may be under way.

use super::Queues;
use super::settle::Decided;
use crate::item::Item;
use crate::table::At;
use crate::verdict::{Failure, Verdict};
use crate::verdicts::Verdicts;

/// Whether a handler has seen an item, and in which failing call last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u32);

impl Seen {
    pub(crate) const NEVER: Self = Self(0);
    /// In none that failed as one.
    pub(crate) const UNSUSPECTED: Self = Self(1);

    pub(crate) fn ever(self) -> bool {
        self != Self::NEVER
    }

    /// In a call that failed as one, which may not be told apart yet.
    pub(crate) fn is_suspected(self) -> bool {
        self != Self::NEVER && self != Self::UNSUSPECTED
    }

    /// Another name of a suspicion. After four billion they come again, and nobody knows the first any more.
    fn next(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(Self::UNSUSPECTED.0 + 1))
    }
}

/// Items of a call that failed as one.
pub(super) struct Suspicion<E> {
    name: Seen,
    /// How many they are; at least one.
    suspects: u32,
    /// Items of larger failing calls behind them.
    rest: u32,
    /// One that is gone may have been the bad one.
    doubtful: bool,
    /// Of the smallest failing call that held them all.
    failure: Failure<E>,
}

/// With whom an item may be handed over.
pub(super) enum Company {
    Any,
    /// With those that are suspected as it is, this many at most.
    Suspects(u32),
    /// Not with those that are in the batch already.
    Others,
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// Learns from a call with so many items, which were `seen` before. Says whether they are to go back,
    /// undecided, and as what.
    pub(super) fn tells_apart(
        &mut self,
        seen: Seen,
        items: usize,
        verdicts: &mut Verdicts<R, E>,
        how: Decided,
    ) -> Option<Seen> {
        let items = items as u32;
        let failed = matches!(how, Decided::By { as_one: true, .. } | Decided::ByPanic);
        let ends = matches!(how, Decided::By { .. }) && verdicts.all_end();
        let known = self.suspicion_of(seen);
        self.tally.counters.operations.isolation_calls += u64::from(known.is_some());
        match known {
            None if !failed || items == 1 => None,
            None => {
                let (name, failure) = (self.next_name(), first_failure(verdicts, how));
                let suspicion =
                    Suspicion { name, suspects: items, rest: 0, doubtful: false, failure };
                self.suspicions.push(suspicion);
                Some(name)
            }
            Some(at) if failed && items == 1 => {
                let Suspicion { suspects, rest, .. } = self.suspicions.swap_remove(at);
                self.count_last_call(rest + suspects - 1);
                None
            }
            Some(at) if failed => {
                let (name, failure) = (self.next_name(), first_failure(verdicts, how));
                let Suspicion { suspects, rest, .. } = self.suspicions[at];
                let rest = rest + suspects - items;
                self.suspicions[at] =
                    Suspicion { name, suspects: items, rest, doubtful: false, failure };
                Some(name)
            }
            Some(at) if ends => {
                // One that has failed by itself may have been the bad one.
                self.suspicions[at].doubtful |= !verdicts.all_done();
                self.suspicions[at].suspects -= items;
                self.end_if_empty(at);
                None
            }
            Some(_) if how == Decided::ByLeaving => {
                (0..items).for_each(|_| self.lose_suspect(seen));
                None
            }
            // Something else happened to them: what is behind is as good as any.
            Some(at) => {
                self.suspicions.swap_remove(at);
                None
            }
        }
    }

    /// With whom a waiting item may be handed over. A single suspect is the one: it fails without a call of its
    /// own.
    pub(super) fn company(&mut self, at: At) -> Result<Company, Failure<E>> {
        if self.suspicions.is_empty() {
            return Ok(Company::Any);
        }
        let of = self.suspicion_of(self.nodes[at].slip.seen);
        if let Some(first) = self.slips.first() {
            let alike = self.suspicion_of(first.seen) == of;
            return Ok(if alike { Company::Any } else { Company::Others });
        }
        let Some(of) = of else { return Ok(Company::Any) };
        let Suspicion { suspects, doubtful, .. } = self.suspicions[of];
        if suspects > 1 || doubtful {
            return Ok(Company::Suspects((suspects / 2).max(1)));
        }
        let Suspicion { rest, failure, .. } = self.suspicions.swap_remove(of);
        self.count_last_call(rest);
        self.end_suspect(at);
        Err(failure)
    }

    /// An item is gone that no handler has decided about: if it was suspected, it may have been the bad one.
    pub(super) fn lose_suspect(&mut self, seen: Seen) {
        if let Some(at) = self.suspicion_of(seen) {
            self.suspicions[at].suspects -= 1;
            self.suspicions[at].doubtful = true;
            self.end_if_empty(at);
        }
    }

    fn suspicion_of(&self, seen: Seen) -> Option<usize> {
        self.suspicions.iter().position(|suspicion| suspicion.name == seen)
    }

    fn next_name(&mut self) -> Seen {
        self.last_name = self.last_name.next();
        self.last_name
    }

    /// With the last of its suspects a suspicion ends.
    fn end_if_empty(&mut self, at: usize) {
        if self.suspicions[at].suspects == 0 {
            let Suspicion { rest, .. } = self.suspicions.swap_remove(at);
            self.count_last_call(rest);
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
