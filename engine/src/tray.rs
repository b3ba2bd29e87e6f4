//! What lies beside a batch in an engine that keeps queues: who its items are, what they emit, and the way
//! to take the batch along.

use std::fmt;
use std::rc::Rc;

use crate::arena::Block;
use crate::entrance::Refusal;
use crate::error::EmitError;
use crate::flight::{Boarding, Detached};
use crate::hashes::Hashes;
use crate::identity::{ItemId, Origin, Standing};
use crate::item::{Item, ShardBy, expires_after, weight};
use crate::key_queue::KeyQueue;
use crate::nanos::Nanos;
use crate::operations::FollowUpLimits;
use crate::panics::drop_panics;
use crate::spot::{Locate, Spot};
use crate::table::{At, Table};
use crate::verdict::{Trigger, Verdict};
use crate::verdicts::Verdicts;

pub(crate) struct Tray<T, R, E> {
    pub(crate) run: u64,
    pub(crate) marks: Vec<Standing>,
    /// The item that user code has in its hands: if it panics, that one goes with it.
    pub(crate) at_hand: Option<usize>,
    /// Items that have left the block.
    pub(crate) given_away: usize,
    /// All were failed in one go.
    pub(crate) failed_as_one: bool,
    /// The domains whose items must wait since one of theirs is to be tried again.
    stopped: Hashes,
    pub(crate) emitting: Emitting<T>,
    /// The way to take the batch along; none without a credit.
    pub(crate) boarding: Option<Boarding<T, R, E>>,
}

/// A follow-up.
pub(crate) struct Emitted<T> {
    /// The place in the batch of the item that emitted it.
    pub(crate) by: usize,
    pub(crate) item: T,
    pub(crate) spot: Spot,
    pub(crate) weight: u32,
    pub(crate) expires_after: Option<Nanos>,
    /// No item of its key was here before it.
    opens: bool,
}

/// Which follow-ups are taken.
pub(crate) struct EmitRules<T> {
    pub(crate) limits: FollowUpLimits,
    pub(crate) key_items_max: u32,
    pub(crate) weight_max: u64,
    pub(crate) locate: Locate<T>,
    pub(crate) shard: usize,
}

/// Follow-ups while a handler emits them.
pub(crate) struct Emitting<T> {
    pub(crate) rules: EmitRules<T>,
    /// How many there is memory for.
    pub(crate) room: usize,
    /// Lent for the time of the call.
    pub(crate) keys: Table<KeyQueue>,
    by: usize,
    depth: u16,
    domain: u64,
    /// The hash of the batch's key, and how many of its items are settled by their verdicts.
    hash: u64,
    settled: u32,
    /// Panics of dropped ones, not yet counted.
    pub(crate) drop_panics: u64,
    /// Of the item at hand, not yet committed.
    pending: Vec<Emitted<T>>,
    /// Committed.
    pub(crate) emitted: Vec<Emitted<T>>,
}

impl<T: Item, R, E> Tray<T, R, E> {
    /// For batches of up to `largest` items.
    pub(crate) fn new(run: u64, largest: usize, rules: EmitRules<T>) -> Self {
        let follow_ups = rules.limits.per_item as usize;
        Self {
            run,
            marks: Vec::with_capacity(largest),
            at_hand: None,
            given_away: 0,
            failed_as_one: false,
            stopped: Hashes::new(if T::ENTITIES { largest } else { 0 }),
            emitting: Emitting {
                rules,
                room: 0,
                keys: Table::new(0),
                by: 0,
                depth: 0,
                domain: 0,
                hash: 0,
                settled: 0,
                drop_panics: 0,
                pending: Vec::with_capacity(follow_ups),
                emitted: Vec::with_capacity(follow_ups),
            },
            boarding: None,
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(largest: usize, limits: FollowUpLimits) -> usize {
        let follow_ups = limits.per_item as usize;
        largest * size_of::<Standing>()
            + Hashes::bytes(if T::ENTITIES { largest } else { 0 })
            + 2 * follow_ups * size_of::<Emitted<T>>()
    }

    /// For one batch of so many items, without an engine: nothing can be emitted, nor taken along.
    pub(crate) fn of_test(items: usize) -> Self {
        let rules = EmitRules {
            limits: FollowUpLimits::default(),
            key_items_max: u32::MAX,
            weight_max: u64::MAX,
            locate: Rc::new(|_| Spot { hash: 0, domain: 0, shard: 0 }),
            shard: 0,
        };
        let mut tray = Self::new(0, items, rules);
        let mark = |seq| Standing {
            origin: Origin { shard: 0, lane: 0, seq },
            attempt: 1,
            holds: false,
            is_last: true,
            depth: 0,
            domain: 0,
        };
        tray.marks.extend((0..items as u64).map(mark));
        tray
    }

    /// Lays out a new batch of a key, whose marks follow.
    pub(crate) fn begin(&mut self, hash: u64) {
        (self.emitting.hash, self.emitting.settled) = (hash, 0);
        self.marks.clear();
        self.stopped.clear();
        self.at_hand = None;
        self.given_away = 0;
        self.failed_as_one = false;
    }

    pub(crate) fn id(&self, at: usize) -> ItemId {
        ItemId { run: self.run, origin: self.marks[at].origin }
    }

    /// Decides about each item in turn, as far as order allows.
    pub(crate) fn each(
        &mut self,
        items: &[T],
        verdicts: &mut Verdicts<R, E>,
        mut decide: impl FnMut(&T, &mut FollowUps<'_, T>) -> Verdict<R, E>,
    ) {
        verdicts.lay_out(items.len());
        for (at, item) in items.iter().enumerate() {
            if self.stopped.contains(self.marks[at].domain) {
                continue;
            }
            self.take_up(at);
            let verdict = decide(item, &mut FollowUps { emitting: Some(&mut self.emitting) });
            if !self.take_down(at, verdict, verdicts) {
                break;
            }
        }
    }

    /// The batch in `block` leaves, with the credit that is there.
    pub(crate) fn leave_with(
        &mut self,
        block: &mut Block<T>,
        trigger: Trigger,
    ) -> Detached<T, R, E> {
        let Some(mut boarding) = self.boarding.take() else { unreachable!("it was looked for") };
        boarding.marks.extend_from_slice(&self.marks);
        Detached::take(block, boarding, self.run, trigger)
    }

    /// User code gets the item at this place into its hands.
    pub(crate) fn take_up(&mut self, at: usize) {
        self.at_hand = Some(at);
        let Standing { depth, domain, .. } = self.marks[at];
        self.emitting.by = at;
        self.emitting.depth = depth;
        self.emitting.domain = domain;
    }

    /// Takes the verdict about the item at hand down. Says whether to go on.
    pub(crate) fn take_down(
        &mut self,
        at: usize,
        verdict: Verdict<R, E>,
        verdicts: &mut Verdicts<R, E>,
    ) -> bool {
        self.at_hand = None;
        let mark = self.marks[at];
        let emits = matches!(verdict, Verdict::Done(_)) && !self.emitting.pending.is_empty();
        let again = matches!(verdict, Verdict::Retry(_));
        let waits = again && mark.holds;
        self.emitting.settled += u32::from(!again || mark.is_last);
        verdicts.set(at, verdict);
        if emits {
            self.emitting.commit();
            return false;
        }
        self.emitting.discard();
        // Without entities, all items here are of one domain.
        if waits && T::ENTITIES {
            self.stopped.insert(mark.domain);
        }
        !waits || T::ENTITIES
    }
}

impl<T> Emitting<T> {
    fn commit(&mut self) {
        self.emitted.append(&mut self.pending);
    }

    /// Drops what the item at hand emitted.
    pub(crate) fn discard(&mut self) {
        for emitted in self.pending.drain(..) {
            self.drop_panics += u64::from(drop_panics(emitted.item));
        }
    }

    /// Items of a key that are here: those of the batch that are settled are not, at any size of batches.
    fn items_of(&self, key: At) -> usize {
        let KeyQueue { hash, items, .. } = self.keys[key];
        (items - if hash == self.hash { self.settled } else { 0 }) as usize
    }
}

/// Takes follow-ups of the item at hand: items that run before everything that waits for that item's key,
/// in the order in which they were emitted. See
/// [`Group::settle_each_with`](crate::Group::settle_each_with).
pub struct FollowUps<'a, T> {
    pub(crate) emitting: Option<&'a mut Emitting<T>>,
}

impl<T> fmt::Debug for FollowUps<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowUps").field("room", &self.room()).finish()
    }
}

impl<T> FollowUps<'_, T> {
    /// How many more the item at hand may emit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.emitting.as_ref().map_or(0, |emitting| {
            let limits = emitting.rules.limits;
            if emitting.depth >= limits.depth {
                return 0;
            }
            (limits.per_item as usize).saturating_sub(emitting.pending.len())
        })
    }
}

impl<T: Item> FollowUps<'_, T> {
    /// Emits an item, to be handled next. It is accepted when the verdict about the item at hand is
    /// `Done`; with any other it is dropped.
    ///
    /// # Errors
    ///
    /// Each gives the item back: [`EmitError::TooMany`], [`EmitError::TooDeep`] past the limits of
    /// [`Builder::follow_ups`](crate::Builder::follow_ups); [`EmitError::NotHere`] if its key belongs to
    /// another shard, or to another entity; [`EmitError::KeyFull`] if its key has as many items as it may;
    /// [`EmitError::NoRoom`] if it would be one key, or one item, too many; [`EmitError::TooHeavy`] and
    /// [`EmitError::Undeclared`] where a push would be refused so; [`EmitError::NotSetUp`] in an engine
    /// without follow-ups.
    ///
    /// # Panics
    ///
    /// If the item's `key` or `entity`, or their `Hash`, panics.
    pub fn emit(&mut self, item: T) -> Result<(), EmitError<T>> {
        let Some(emitting) = &mut self.emitting else { return Err(EmitError::NotSetUp(item)) };
        let EmitRules { limits, key_items_max, weight_max, ref locate, shard } = emitting.rules;
        if limits.per_item == 0 {
            return Err(EmitError::NotSetUp(item));
        }
        if emitting.depth >= limits.depth {
            return Err(EmitError::TooDeep(item));
        }
        if emitting.pending.len() >= limits.per_item as usize {
            return Err(EmitError::TooMany(item));
        }
        if emitting.pending.len() >= emitting.room {
            return Err(EmitError::NoRoom(item));
        }
        match Refusal::find(&item, weight_max) {
            Some(Refusal::TooHeavy) => return Err(EmitError::TooHeavy(item)),
            Some(Refusal::Undeclared) => return Err(EmitError::Undeclared(item)),
            None => {}
        }
        let spot = locate(&item);
        let is_here = T::SHARD_BY == ShardBy::Spread || spot.shard == shard;
        if !is_here || (T::ENTITIES && spot.domain != emitting.domain) {
            return Err(EmitError::NotHere(item));
        }
        let same_key = |other: &&Emitted<T>| other.spot.hash == spot.hash;
        let more = emitting.pending.iter().filter(same_key).count();
        let key = emitting.keys.find(spot.hash);
        let opens = key.is_none() && more == 0;
        let opened = emitting.pending.iter().filter(|other| other.opens).count();
        match key {
            Some(key) if emitting.items_of(key) + more >= key_items_max as usize => {
                return Err(EmitError::KeyFull(item));
            }
            None if opens && emitting.keys.room() <= opened => return Err(EmitError::NoRoom(item)),
            _ => {}
        }
        let by = emitting.by;
        let (weight, expires_after) = (weight(&item), expires_after(&item));
        emitting.pending.push(Emitted { by, item, spot, weight, expires_after, opens });
        Ok(())
    }
}
