//! Batches out of queues: the first items of a list, side by side.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringbuf::Answer;

use super::Queues;
use super::isolate::Company;
use super::node::Slip;
use crate::arena::Block;
use crate::identity::Standing;
use crate::item::Item;
use crate::nanos::Nanos;
use crate::panics::message_of;
use crate::table::{At, NOWHERE};
use crate::verdict::{Failure, Trigger};

/// So many nodes ahead the list is brought into the cache: at a thousand keys that halves the time of a turn.
const FETCHED: usize = 8;

/// A batch that is to be handed over; its items' slips and marks lie ready.
pub(super) struct Formed<T> {
    pub(super) key: At,
    pub(super) block: Block<T>,
    pub(super) trigger: Trigger,
    pub(super) since: Nanos,
    pub(super) deadline: Nanos,
    /// It is all of what was sealed together.
    pub(super) complete: bool,
}

impl<T: Item, R, E> Queues<T, R, E> {
    /// Whether a batch is to be handed over, in this turn or the next.
    pub(super) fn has_ready(&self) -> bool {
        self.ready.first().is_some() && self.has_credit()
    }

    /// Whether a batch is to be handed over in this turn. What comes back, and what follows up, has to wait
    /// for the next one: lanes and timers would else have to wait for as long as that goes on.
    pub(crate) fn can_hand_over(&self) -> bool {
        self.hand_overs > 0 && self.has_ready()
    }

    /// The key that has been ready longest, and need not wait.
    pub(super) fn next_ready(&mut self) -> Option<At> {
        if !self.has_credit() {
            return None;
        }
        loop {
            let key = self.ready.first()?;
            self.leave_line(key);
            if self.may_go(key) {
                return Some(key);
            }
        }
    }

    /// Moves the first batch of a key out of its queue. `None` if all of it failed on the way.
    pub(super) fn form(&mut self, key: At, most: u32) -> Option<Formed<T>> {
        let Some(mut block) = self.spare.take() else { unreachable!("one batch at a time") };
        self.tray.begin(self.keys[key].hash);
        self.slips.clear();
        let mut most = most;
        let (mut trigger, mut weight, mut complete) = (None, 0_u64, false);
        let (mut since, mut deadline) = (Nanos::MAX, Nanos::MAX);
        let mut ahead = self.keys[key].head;
        for _ in 0..FETCHED {
            ahead = self.nodes.fetch(ahead);
        }
        while (block.len() as u32) < most {
            let at = self.keys[key].head;
            if at == NOWHERE {
                break;
            }
            if complete {
                match self.goes_on(key, trigger) {
                    true => most = most.min(self.keys[key].target),
                    false => break,
                }
                if block.len() as u32 >= most {
                    break;
                }
            }
            let company = self.is_still_wanted(at).and_then(|()| self.company(at));
            let of_key = match company {
                Ok(Company::Any) => self.is_of_key(&block, at),
                Ok(Company::Suspects(few)) => {
                    most = most.min(few);
                    Ok(true)
                }
                Ok(Company::Others) => break,
                Err(failure) => Err(failure),
            };
            match of_key {
                Ok(true) => {}
                Ok(false) => {
                    trigger = trigger.or(Some(Trigger::Conflict));
                    break;
                }
                Err(failure) => {
                    let cut = self.nodes[at].cut;
                    complete = cut.is_some();
                    trigger = trigger.or(cut);
                    self.fail_at_hand(at, failure);
                    continue;
                }
            }
            let heavier = weight.saturating_add(u64::from(self.nodes[at].slip.weight));
            if !block.is_empty() && heavier > self.operations.batch_weight_max {
                trigger = trigger.or(Some(Trigger::Weight));
                break;
            }
            ahead = self.nodes.fetch(ahead);
            weight = heavier;
            let cut = self.nodes[at].cut;
            complete = cut.is_some();
            trigger = trigger.or(cut);
            let node = self.take(at);
            self.domains.forget_if_idle(node.domain);
            since = since.min(node.slip.since);
            deadline = deadline.min(node.slip.deadline);
            let mark = self.mark(&node.slip);
            self.tray.marks.push(mark);
            self.slips.push(node.slip);
            let pushed = block.push(node.item);
            debug_assert!(pushed.is_ok(), "a block holds the largest batch");
        }
        if block.is_empty() {
            self.spare = Some(block);
            self.queue(key);
            self.keys.forget_if_idle(key);
            return None;
        }
        let trigger = trigger.unwrap_or(Trigger::Size);
        Some(Formed { key, block, trigger, since, deadline, complete })
    }

    /// Whether what was sealed next joins what was sealed before it because of `trigger`: where a key had
    /// to wait, its batches were sealed small, one deadline after the other. What is tried again, follows
    /// up, or is asked for goes by itself.
    fn goes_on(&self, key: At, trigger: Option<Trigger>) -> bool {
        let alone = matches!(trigger, Some(Trigger::Retry | Trigger::FollowUp | Trigger::Step));
        !alone && self.keys[key].batches > 0
    }

    fn mark(&self, slip: &Slip<R, E>) -> Standing {
        let attempt = u32::from(slip.attempts) + 1;
        let is_last = attempt >= self.backoff.attempts() || self.draining;
        Standing {
            origin: slip.origin,
            attempt,
            holds: self.operations.ordered && !is_last,
            is_last,
            depth: slip.depth,
            domain: slip.domain,
        }
    }

    /// The last moment at which an item may expire, or its call be cancelled.
    fn is_still_wanted(&mut self, at: At) -> Result<(), Failure<E>> {
        let slip = &self.nodes[at].slip;
        let operations = &mut self.tally.counters.operations;
        if T::EXPIRES && slip.expires <= self.now {
            operations.expired += slip.units();
            return Err(Failure::Expired);
        }
        if slip.answer.as_ref().is_some_and(Answer::is_cancelled) {
            operations.cancelled += 1;
            return Err(Failure::Cancelled);
        }
        Ok(())
    }

    /// Whether a node's key is that of the batch so far, not only its hash. An error if its code panics.
    fn is_of_key(&mut self, block: &Block<T>, at: At) -> Result<bool, Failure<E>> {
        let Some(first) = block.items().first() else { return Ok(true) };
        let item = &self.nodes[at].item;
        catch_unwind(AssertUnwindSafe(|| first.key() == item.key())).map_err(|panic| {
            tracing::error!(panic = message_of(panic), "an item's key panicked");
            self.tally.counters.key_panics += 1;
            Failure::Panicked
        })
    }

    /// The first item of a list that forms a batch fails.
    fn fail_at_hand(&mut self, at: At, failure: Failure<E>) {
        let node = self.withdraw(at);
        self.lose_suspect(node.slip.seen);
        self.keys[node.key].items -= 1;
        self.fail(node.item, node.slip, failure);
        self.domains.forget_if_idle(node.domain);
    }
}
