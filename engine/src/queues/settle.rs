//! What becomes of the items of a batch that its handler has decided about.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringbuf::Answer;

use super::Queues;
use super::isolate::Seen;
use super::node::{Node, Slip, Waits};
use crate::arena::Block;
use crate::dead_letters::DeadLetter;
use crate::handed_over::Came;
use crate::identity::{ItemId, Origin};
use crate::item::Item;
use crate::nanos::Nanos;
use crate::panics::{drop_panics, message_of};
use crate::table::At;
use crate::tray::Emitted;
use crate::verdict::{Failure, Outcome, Trigger, Verdict};
use crate::verdicts::Verdicts;

/// How a batch was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    /// By the verdicts; the item `at_hand` went with a panic.
    By { at_hand: Option<usize>, as_one: bool },
    /// By a panic outside of any item.
    ByPanic,
    /// It was taken along and dropped.
    ByLeaving,
}

/// A batch whose handler has returned.
pub(super) struct Ended<'a, T, R, E> {
    pub(super) key: At,
    pub(super) trigger: Trigger,
    /// What is left of it, after the first `given_away`.
    pub(super) block: &'a mut Block<T>,
    pub(super) verdicts: &'a mut Verdicts<R, E>,
    pub(super) slips: &'a mut Vec<Slip<R, E>>,
    pub(super) emitted: &'a mut Vec<Emitted<T>>,
    pub(super) given_away: usize,
    /// It was all of what was sealed together.
    pub(super) complete: bool,
    pub(super) how: Decided,
}

/// Why an item has no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undecided {
    /// The handler panicked with it in hand.
    AtHand,
    /// Nothing of its batch was decided.
    Nothing,
    /// The handler did not come to it.
    Rest,
}

/// What becomes of an item.
enum Fate<R, E> {
    Done(R),
    Fails(Failure<E>),
    Dies(E),
    /// It comes again: after a backoff, if it spent an attempt.
    Again(Option<Nanos>),
}

/// An item on its way back to the head of its queue.
pub(super) struct Returning<T, R, E> {
    item: T,
    slip: Slip<R, E>,
    /// It must not come before.
    until: Option<Nanos>,
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// Settles what was decided, and queues the rest before everything that waits. Leaves the block, the
    /// slips and the verdicts empty.
    pub(super) fn settle(&mut self, ended: Ended<'_, T, R, E>) -> Came {
        let Ended { key, mut trigger, block, verdicts, slips, emitted, given_away, complete, how } =
            ended;
        let items = slips.len();
        if T::ENTITIES {
            self.touched.extend(slips.iter().map(|slip| slip.domain));
        }
        if how == Decided::ByPanic {
            self.tally.counters.drop_panics += verdicts.clear() as u64;
        }
        let decided = verdicts.decided();
        let at_hand = match how {
            Decided::By { at_hand, .. } => at_hand,
            _ => None,
        };
        let nothing = decided == 0 && at_hand.is_none();
        if self.operations.isolates
            && let Some(suspects) = self.tells_apart(slips[0].seen, items, verdicts, how)
        {
            self.tally.counters.drop_panics += verdicts.clear() as u64;
            self.bring_back(block, slips, suspects);
            self.send_back(key, complete, trigger);
            return Came::default();
        }
        let (mut came, mut settled) = (Came::default(), 0);
        let mut follow_ups = emitted.drain(..).peekable();
        for (at, mut slip) in slips.drain(..).enumerate() {
            slip.seen = Seen::UNSUSPECTED;
            let (depth, units) = (slip.depth, slip.units() as usize);
            let item = if at < given_away { None } else { block.pop_front() };
            let undecided = match (at_hand, nothing) {
                (Some(of), _) if of == at => Undecided::AtHand,
                (_, true) => Undecided::Nothing,
                _ => Undecided::Rest,
            };
            let fate = match how {
                Decided::ByPanic => Fate::Fails(Failure::Panicked),
                Decided::ByLeaving => Fate::Fails(Failure::Abandoned),
                Decided::By { .. } => {
                    self.fate(verdicts.take(at), undecided, item.is_some(), &mut slip)
                }
            };
            settled += u32::from(!matches!(fate, Fate::Again(_)));
            match (fate, item) {
                (Fate::Done(reply), item) => {
                    came.done += units;
                    self.note_overtaking(slip.domain);
                    self.settle_done(item, slip, reply);
                }
                (Fate::Again(until), Some(item)) => {
                    if until.is_some() {
                        came.retried += units;
                        trigger = Trigger::Retry;
                        self.marked.insert(slip.domain);
                    }
                    self.returning.push(Returning { item, slip, until });
                }
                (Fate::Dies(error), item) => {
                    came.failed += units;
                    self.settle_dead(item, slip, error);
                }
                (Fate::Fails(failure), item) => {
                    came.failed += units;
                    self.settle_failed(item, slip, failure);
                }
                (Fate::Again(_), None) => unreachable!("only an item that is here comes again"),
            }
            while let Some(emitted) = follow_ups.next_if(|emitted| emitted.by == at) {
                trigger = Trigger::FollowUp;
                self.follow_up(emitted, depth.saturating_add(1));
            }
        }
        drop(follow_ups);
        verdicts.clear();
        self.marked.clear();
        self.keys[key].items -= settled;
        self.send_back(key, complete, trigger);
        came
    }

    /// What becomes of an item that a handler has returned from.
    fn fate(
        &mut self,
        verdict: Option<Verdict<R, E>>,
        undecided: Undecided,
        is_here: bool,
        slip: &mut Slip<R, E>,
    ) -> Fate<R, E> {
        let decides_nothing = verdict.is_none() && undecided == Undecided::Nothing;
        slip.attempts += u16::from(decides_nothing || matches!(verdict, Some(Verdict::Retry(_))));
        let attempts = u32::from(slip.attempts);
        let spent = attempts >= self.backoff.attempts() || self.draining;
        match verdict {
            Some(Verdict::Done(reply)) => Fate::Done(reply),
            Some(Verdict::Failed(error)) => Fate::Fails(Failure::Handler(error)),
            Some(Verdict::Retry(error)) if spent || !is_here => Fate::Dies(error),
            Some(Verdict::Retry(error)) => {
                self.tally.counters.operations.retries += slip.units();
                self.tally.counters.drop_panics += u64::from(drop_panics(error));
                let wait = self.backoff.after(attempts);
                Fate::Again(Some(self.now.saturating_add(wait)))
            }
            None if decides_nothing && spent => Fate::Fails(Failure::Undecided),
            None if undecided == Undecided::AtHand || !is_here => Fate::Fails(Failure::Panicked),
            None => Fate::Again(None),
        }
    }

    /// An item is done; was an earlier one of its domain not, which is to be tried again?
    fn note_overtaking(&mut self, domain: u64) {
        if self.operations.ordered && self.marked.contains(domain) {
            self.tally.counters.operations.out_of_order += 1;
        }
    }

    /// Everything of a batch into [`returning`](Self::send_back), undecided and suspected.
    fn bring_back(&mut self, block: &mut Block<T>, slips: &mut Vec<Slip<R, E>>, suspects: Seen) {
        for mut slip in slips.drain(..) {
            slip.seen = suspects;
            if let Some(item) = block.pop_front() {
                self.returning.push(Returning { item, slip, until: None });
            }
        }
    }
}

/// Items that are settled.
impl<T: Item, R, E> Queues<T, R, E> {
    fn settle_done(&mut self, item: Option<T>, slip: Slip<R, E>, reply: R) {
        self.tally.counters.done += slip.units();
        self.leave(item, slip, Ok(reply));
    }

    fn settle_failed(&mut self, item: Option<T>, slip: Slip<R, E>, failure: Failure<E>) {
        self.tally.counters.failed += slip.units();
        self.leave(item, slip, Err(failure));
    }

    fn settle_dead(&mut self, item: Option<T>, slip: Slip<R, E>, error: E) {
        self.tally.counters.dead += slip.units();
        let item = match (&self.surroundings.dead_letters, item) {
            (Some(hook), Some(item)) => {
                let letter = DeadLetter {
                    item,
                    id: ItemId { run: self.surroundings.run, origin: slip.origin },
                    attempts: slip.attempts.into(),
                    error: &error,
                    first_seen: slip.since,
                    now: self.now,
                };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook.take(letter))) {
                    tracing::error!(panic = message_of(panic), "the dead letters' hook panicked");
                    self.tally.counters.operations.hook_panics += 1;
                }
                None
            }
            (_, item) => item,
        };
        self.leave(item, slip, Err(Failure::Dead(error)));
    }

    /// An item that a handler has seen is settled.
    fn leave(&mut self, item: Option<T>, slip: Slip<R, E>, outcome: Outcome<R, E>) {
        self.conclude(slip, outcome);
        self.tally.counters.drop_panics += u64::from(drop_panics(item));
    }

    /// Tells whoever asked what became of an item.
    pub(super) fn conclude(&mut self, slip: Slip<R, E>, outcome: Outcome<R, E>) {
        self.note_settled(&slip);
        self.tell(slip.answer, outcome);
    }

    /// Its waker is foreign code, and so is the end of what nobody waits for any more.
    pub(crate) fn tell(&mut self, answer: Option<Answer<Outcome<R, E>>>, outcome: Outcome<R, E>) {
        if answer.is_none() && !std::mem::needs_drop::<Outcome<R, E>>() {
            return;
        }
        let told = catch_unwind(AssertUnwindSafe(|| match answer {
            Some(answer) => answer.answer(outcome),
            None => drop(outcome),
        }));
        if let Err(panic) = told {
            self.tally.counters.drop_panics += 1;
            drop_panics(panic);
        }
    }
}

/// Items that come again, and those that come first.
impl<T: Item, R, E> Queues<T, R, E> {
    fn follow_up(&mut self, emitted: Emitted<T>, depth: u16) {
        let Emitted { item, spot, weight, expires_after, .. } = emitted;
        let origin = Origin {
            shard: self.surroundings.shard as u32,
            lane: self.surroundings.lanes as u32,
            seq: self.emitted,
        };
        self.emitted += 1;
        self.tally.counters.accepted += 1;
        self.tally.counters.operations.follow_ups += 1;
        let expires = expires_after.map_or(Nanos::MAX, |after| self.now.saturating_add(after));
        let waits = Waits { since: self.now, lingers: self.operations.flush_after, expires };
        let slip = Slip { depth, ..Slip::new(spot, origin, self.next_arrival(), waits, weight) };
        let Some(key) = self.key_of(spot.hash) else {
            unreachable!("room for its key was looked for when it was emitted")
        };
        self.keys[key].items += 1;
        self.returning.push(Returning { item, slip, until: None });
    }

    /// Puts the items that return before everything that waits for their domains, in their order.
    fn send_back(&mut self, key: At, complete: bool, trigger: Trigger) {
        let suspected = self.returning.first().is_some_and(|first| first.slip.seen.is_suspected());
        let mut returning = std::mem::take(&mut self.returning);
        let mut cut = (!T::ENTITIES && self.needs_cut(key, complete)).then_some(trigger);
        // From the last on, since each goes to the front.
        for Returning { item, slip, until } in returning.drain(..).rev() {
            let (Some(of), Some(domain)) =
                (self.keys.find(slip.hash), self.domains.find_or_make(slip.domain))
            else {
                unreachable!(
                    "the key of what returns is known, and there is a domain for each item"
                )
            };
            let at = self.admit(item, slip, of, domain);
            match until {
                Some(until) if !self.operations.ordered => {
                    self.backoffs.arm_not_before(at, until);
                    self.recount(at);
                    continue;
                }
                _ if T::ENTITIES => {
                    self.chain_front(at);
                    self.fronts.push(at);
                }
                _ if of == key => self.list_front(at, cut.take()),
                // A follow-up onto another key: they make a batch there.
                _ => {
                    let cut = (!self.fronts.contains(&of)).then_some(trigger);
                    self.fronts.push(of);
                    self.list_front(at, cut);
                    self.queue(of);
                }
            }
            if let Some(until) = until {
                self.hold_for_backoff(at, until);
            }
        }
        self.returning = returning;
        if T::ENTITIES {
            // Only now: what backs off has taken others of its entity out of the list.
            let cut = self.needs_cut(key, complete).then_some(trigger);
            self.list_fronts(key, cut);
            self.promote_touched(trigger);
        }
        self.fronts.clear();
        if suspected {
            // They are few calls, and until those are made each item that waits is asked whether it is one.
            self.queue_first(key);
        } else {
            // Whatever came back has its turn after the other keys' batches that are ready.
            self.queue(key);
        }
    }

    /// Whether what returns is a batch by itself, and not the rest of one of which the end still waits.
    fn needs_cut(&self, key: At, complete: bool) -> bool {
        let record = &self.keys[key];
        match self.nodes.get(record.head) {
            Some(first) => complete || (record.open > 0 && first.epoch == record.epoch),
            None => true,
        }
    }

    /// What returned of the batch's own key comes next, as far as its entities are free and have nothing of
    /// another key before it.
    fn list_fronts(&mut self, key: At, mut cut: Option<Trigger>) {
        let mut fronts = std::mem::take(&mut self.fronts);
        // All that returned stands at the front of its entity's chain, here from the last to the first.
        fronts.reverse();
        fronts.retain(|&at| {
            let Node { key: of, domain, .. } = self.nodes[at];
            let domain = &self.domains[domain];
            if of != key {
                self.marked.insert(domain.hash);
            }
            !self.marked.contains(domain.hash) && !domain.is_held()
        });
        self.marked.clear();
        // From the last on, since each goes to the front.
        for at in fronts.drain(..).rev() {
            let domain = self.nodes[at].domain;
            self.domains[domain].behind -= 1;
            self.list_front(at, cut.take());
        }
        self.fronts = fronts;
    }

    /// The entities of the batch's items are free for what waits behind.
    fn promote_touched(&mut self, trigger: Trigger) {
        let mut touched = std::mem::take(&mut self.touched);
        for hash in touched.drain(..) {
            // Once for all of its items.
            if !self.marked.insert(hash) {
                continue;
            }
            let Some(domain) = self.domains.find(hash) else { continue };
            let returns = self.returns_first(domain);
            self.promote(domain, returns.then_some(trigger));
            self.domains.forget_if_idle(domain);
        }
        self.marked.clear();
        self.touched = touched;
    }

    /// Whether what comes next of an entity must not linger: a follow-up, or what a handler has seen.
    pub(super) fn returns_first(&self, domain: At) -> bool {
        let head = self.domains[domain].head;
        self.nodes.get(head).is_some_and(|node| node.slip.seen.ever() || node.slip.depth > 0)
    }
}
