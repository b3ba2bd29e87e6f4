//! The way in, for a thread of its own.

mod route;

use std::cell::Cell;
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;

use ringbuf::{Answer, wake};

use crate::entrance::Entrance;
use crate::error::{CallsError, PushError, RunError, unmarked};
use crate::idle::{Idling, Step};
use crate::item::{Item, Patience, ShardBy};
use crate::lane::{Lane, LaneRun, Mark};
use crate::router::{KeyHasher, Router};
use crate::ticket::{Ticket, Tickets};
use crate::verdict::Outcome;

/// Pushes items into an engine, from one thread at a time.
///
/// A producer has a lane of its own to every shard, so it shares nothing with other producers: a
/// push writes the item into the lane and publishes it, with no lock, no read of the clock and
/// (on Linux) no fence. It is neither `Clone` nor `Sync`: ask the engine for another. Dropping it
/// gives its lane to the next producer; what it pushed stays pushed.
///
/// Items of one key from one producer are handled in the order of their pushes.
///
/// ```
/// # use engine::{Engine, Item};
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// # let engine = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).start()?;
/// let mut producer = engine.producer()?;
/// producer.push(Row(1))?;                        // waits for room
/// if let Err(full) = producer.try_push(Row(2)) { // gives the item back instead
///     let Row(_id) = full.into_inner();
/// }
/// producer.push_run(&mut (3..100).map(Row))?;    // many at once
/// producer.flush()?;                             // what was pushed so far need not linger
/// # let last = engine.shutdown(std::time::Duration::from_secs(5))?;
/// # assert_eq!(last.done, 99);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Producer<T: Item, R = (), E = (), S = KeyHasher> {
    lane: Lane<T, R, E>,
    entrance: Entrance<T, R, E, S>,
    /// The shard of the last item that was spread.
    spread: usize,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Item, R, E, S> fmt::Debug for Producer<T, R, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("lane", &self.lane.index()).finish_non_exhaustive()
    }
}

/// Items that one publication of [`Producer::push_run`] brings at most: enough to make its cost
/// small, few enough that a shard has something to do meanwhile.
const RUN: usize = 256;

/// Rounds of spinning between two looks for room: about half a microsecond, in which a shard takes tens of
/// items.
const LOOKS_APART: u32 = 32;

impl<T: Item, R, E, S: BuildHasher> Producer<T, R, E, S> {
    pub(crate) fn new(lane: Lane<T, R, E>, entrance: Entrance<T, R, E, S>) -> Self {
        let spread = lane.index();
        Self { lane, entrance, spread, not_sync: PhantomData }
    }

    /// The shard that an item goes to.
    #[inline(always)]
    fn shard_of(&mut self, item: &T) -> usize {
        if T::SHARD_BY == ShardBy::Spread {
            self.spread = (self.spread + 1) % self.lane.shards();
            return self.spread;
        }
        self.entrance.router.place(item)
    }

    /// Pushes an item, if there is room for it.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] and [`PushError::Closed`] give the item back, and so do
    /// [`PushError::TooHeavy`] and [`PushError::Undeclared`].
    ///
    /// # Panics
    ///
    /// If the item's `key` or `patience`, or the key's `Hash`, panics; the item is dropped, and was
    /// not accepted.
    #[inline(always)]
    pub fn try_push(&mut self, item: T) -> Result<(), PushError<T>> {
        if let Some(refusal) = self.entrance.refusal(&item) {
            return Err(refusal.of(item));
        }
        let shard = self.shard_of(&item);
        let patience = item.patience();
        self.try_push_to(shard, item, patience)
    }

    /// Pushes an item; waits while there is no room for it.
    ///
    /// It waits as the engine's [`Idle`](crate::Idle) says: spins, yields, then parks until the
    /// shard makes room.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`]; [`PushError::WouldDeadlock`] if it would have to wait on a shard's own
    /// thread; [`PushError::TooHeavy`], [`PushError::Undeclared`]. Each gives the item back.
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    // Always inline: a call would have the item stored by its caller word by word, and loaded in wide words at
    // once to be copied into its slot. A processor does not forward such stores to such loads, and so the load
    // waits until they, and all stores before them, have left the core: with the last item's slot on its way
    // from the other core, that was half of a push.
    #[inline(always)]
    pub fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        if let Some(refusal) = self.entrance.refusal(&item) {
            return Err(refusal.of(item));
        }
        let shard = self.shard_of(&item);
        let patience = item.patience();
        let marked = patience != Patience::Engine;
        // Room first: were the item handed to whoever waits for it, it could not stay in registers.
        if !self.has_room(shard, marked) && self.wait_or_deadlock(shard, marked) {
            return Err(PushError::WouldDeadlock(item));
        }
        self.try_push_to(shard, item, patience)
    }

    #[inline(always)]
    fn try_push_to(
        &mut self,
        shard: usize,
        item: T,
        patience: Patience,
    ) -> Result<(), PushError<T>> {
        let Self { lane, entrance, .. } = self;
        let now = || entrance.clock.now().as_nanos();
        match patience {
            Patience::Engine => lane.try_push(shard, item, now).map_err(PushError::from),
            own => unmarked(lane.try_push_marked(shard, item, Mark::Patience(own), now)),
        }
    }

    #[inline(always)]
    fn has_room(&mut self, shard: usize, marked: bool) -> bool {
        self.lane.has_room(shard) && (!marked || self.lane.mark_room(shard) > 0)
    }

    /// Waits until there is room, or the shard has closed; `true` if that would be waiting for
    /// oneself.
    #[cold]
    fn wait_or_deadlock(&mut self, shard: usize, marked: bool) -> bool {
        if self.lane.is_closed(shard) {
            return false;
        }
        if self.entrance.home.is_here() {
            return true;
        }
        self.wait_for_room(shard, 1, usize::from(marked));
        false
    }

    /// Waits until there is room for so many items and marks, or the shard has closed.
    ///
    /// While each look finds more room than the last, it waits on, for as much as a run takes. Whoever pushes
    /// into the first free slot has none again, and looks at the shard's cache line for every item that the
    /// shard takes out: both wait for that line. (Batches of one, a handler that does nothing: 35 and 36 ns an
    /// item one by one and in runs, where it was 50 and 44; medians of three runs in turns.) All this is done
    /// before it would park, and so within the idle times.
    fn wait_for_room(&mut self, shard: usize, items: usize, marks: usize) {
        let Self { lane, entrance, .. } = self;
        let plenty = RUN.min(lane.capacity() / 8).max(items);
        let mut idling = Idling::default();
        let mut before = 0;
        while idling.step(entrance.clock.now(), &entrance.idle) != Step::Park {
            for _ in 0..LOOKS_APART {
                std::hint::spin_loop();
            }
            if lane.is_closed(shard) {
                return;
            }
            let room = lane.room(shard);
            let enough = room >= items && lane.mark_room(shard) >= marks;
            if enough && (room >= plenty || room <= before) {
                return;
            }
            before = room;
        }
        // Closed is found by the push that follows.
        let _ = wake::block_on_fn(0, |waker| lane.poll_rooms(shard, items, marks, waker));
    }

    /// Pushes an item and returns a ticket on what becomes of it; waits while there is no room for it in
    /// its lane. Its batch goes at the end of the turn that finds it, with whatever is in it.
    ///
    /// Allocates nothing: the answer comes through one of
    /// [`replies_max`](crate::Builder::replies_max) slots, which is free again when the ticket has the
    /// answer, or is dropped.
    ///
    /// # Errors
    ///
    /// [`PushError::NoReplySlot`] when no slot is free: it does not wait for one, since whoever holds the
    /// tickets may be who calls. Others as [`push`](Self::push). Each gives the item back.
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    pub fn call(&mut self, item: T) -> Result<Ticket<R, E>, PushError<T>> {
        self.call_or(item, true)
    }

    /// As [`call`](Self::call), if there is room.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), and [`PushError::Full`].
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    pub fn try_call(&mut self, item: T) -> Result<Ticket<R, E>, PushError<T>> {
        self.call_or(item, false)
    }

    /// As [`try_call`](Self::try_call), for somebody who can wait: the item lingers for company.
    pub(crate) fn try_ask(&mut self, item: T) -> Result<Ticket<R, E>, PushError<T>> {
        let shard = self.shard_of(&item);
        self.ask(shard, item, Mark::Asked)
    }

    fn call_or(&mut self, item: T, waits: bool) -> Result<Ticket<R, E>, PushError<T>> {
        if let Some(refusal) = self.entrance.refusal(&item) {
            return Err(refusal.of(item));
        }
        let shard = self.shard_of(&item);
        if waits && !self.has_room(shard, true) && self.wait_or_deadlock(shard, true) {
            return Err(PushError::WouldDeadlock(item));
        }
        self.ask(shard, item, Mark::Call)
    }

    fn ask(
        &mut self,
        shard: usize,
        item: T,
        mark: impl FnOnce(Answer<Outcome<R, E>>) -> Mark<R, E>,
    ) -> Result<Ticket<R, E>, PushError<T>> {
        let Self { lane, entrance, .. } = self;
        let Some((answer, ticket)) = entrance.ask(shard) else {
            return Err(PushError::NoReplySlot(item));
        };
        let now = || entrance.clock.now().as_nanos();
        unmarked(lane.try_push_marked(shard, item, mark(answer), now)).map(|()| ticket)
    }

    /// [Calls](Self::call) with everything that `items` gives, and returns one ticket on all answers.
    ///
    /// Each item takes a reply slot, a mark in its lane and a publication of its own, as a call does by itself.
    /// The ticket on more than four allocates once, if the lower bound of `items`'s
    /// [`size_hint`](Iterator::size_hint) is right, and its answers once more.
    ///
    /// # Errors
    ///
    /// [`CallsError`] has the ticket on those that were accepted, and the item that was not; what follows
    /// it is still in `items`.
    ///
    /// # Panics
    ///
    /// If `items` does, and as [`try_push`](Self::try_push).
    pub fn call_all(
        &mut self,
        items: &mut impl Iterator<Item = T>,
    ) -> Result<Tickets<R, E>, CallsError<T, R, E>> {
        // No more than there are reply slots are accepted, whatever `items` says.
        let most = self.entrance.calls.as_ref().map_or(0, |calls| calls.pool.capacity());
        let mut tickets = Tickets::with_room(items.size_hint().0.min(most));
        for item in items {
            match self.call(item) {
                Ok(ticket) => tickets.push(ticket),
                Err(cause) => return Err(CallsError { tickets, cause }),
            }
        }
        Ok(tickets)
    }

    /// Pushes everything that `items` gives, in runs that are published at once: the cheapest way
    /// to push many. Waits for room. Returns how many items were accepted: all.
    ///
    /// # Errors
    ///
    /// [`RunError`] says how many were accepted and gives back those that were taken from `items`
    /// and not accepted; the rest is still in `items`. Unless a shard has closed meanwhile, the
    /// accepted ones are a prefix.
    ///
    /// # Panics
    ///
    /// If `items`, an item's `key` or the key's `Hash` panics. What was not yet published is dropped
    /// and was not accepted.
    pub fn push_run(&mut self, items: &mut impl Iterator<Item = T>) -> Result<usize, RunError<T>> {
        self.push_all(items, true)
    }

    /// As [`push_run`](Self::push_run), as far as there is room.
    ///
    /// # Errors
    ///
    /// [`RunError`] with [`PushError::Full`] gives back the one item for which there was no room.
    ///
    /// # Panics
    ///
    /// As [`push_run`](Self::push_run).
    pub fn try_push_run(
        &mut self,
        items: &mut impl Iterator<Item = T>,
    ) -> Result<usize, RunError<T>> {
        self.push_all(items, false)
    }

    fn push_all(
        &mut self,
        items: &mut impl Iterator<Item = T>,
        waits: bool,
    ) -> Result<usize, RunError<T>> {
        let mut accepted = 0;
        loop {
            let Staged { items: staged, then } = self.publish_run(items, accepted)?;
            accepted += staged;
            let item = match then {
                Then::More => continue,
                Then::Nothing => return Ok(accepted),
                Then::Refused(item) => item,
            };
            let pushed = if waits { self.push(item) } else { self.try_push(item) };
            pushed.map_err(|error| RunError { accepted, cause: error.map(|item| vec![item]) })?;
            accepted += 1;
        }
    }

    /// Publishes one run.
    fn publish_run(
        &mut self,
        items: &mut impl Iterator<Item = T>,
        accepted: usize,
    ) -> Result<Staged<T>, RunError<T>> {
        let Self { lane, entrance, .. } = self;
        let mut run = lane.run();
        let mut plain = Plain { items, entrance, refused: None };
        let staged = plain.stage(&mut run);
        match run.commit(|| entrance.clock.now().as_nanos()) {
            Ok(()) => Ok(staged),
            Err(back) => {
                let accepted = accepted + staged.items - back.len();
                let refused = match staged.then {
                    Then::Refused(item) => Some(item),
                    Then::More | Then::Nothing => None,
                };
                let back = back.into_iter().chain(refused).collect();
                Err(RunError { accepted, cause: PushError::Closed(back) })
            }
        }
    }

    /// What this producer pushed so far need not linger: every shard hands over what is open, once
    /// it has found those items. Returns when the wish is in the lanes, not when it is fulfilled.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`] if the engine has closed: then everything is on its way anyway.
    /// [`PushError::WouldDeadlock`] if it would have to wait for room on a shard's own thread.
    pub fn flush(&mut self) -> Result<(), PushError<()>> {
        for shard in 0..self.lane.shards() {
            loop {
                let Self { lane, entrance, .. } = self;
                let now = || entrance.clock.now().as_nanos();
                match lane.try_mark(shard, Mark::Flush, now) {
                    Ok(()) => break,
                    Err(ringbuf::PushError::Closed(_)) => return Err(PushError::Closed(())),
                    Err(ringbuf::PushError::Full(_)) if entrance.home.is_here() => {
                        return Err(PushError::WouldDeadlock(()));
                    }
                    Err(ringbuf::PushError::Full(_)) => self.wait_for_room(shard, 0, 1),
                }
            }
        }
        Ok(())
    }

    /// The number of this producer's lane: the lowest that was free.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.lane.index()
    }
}

/// What became of one run.
struct Staged<T> {
    items: usize,
    then: Then<T>,
}

/// What comes after a run.
enum Then<T> {
    /// Another run.
    More,
    /// The items have come to their end.
    Nothing,
    /// This item, by itself.
    Refused(T),
}

/// Items up to the first that can't be in a run: it has a patience of its own, is refused, or takes its
/// turn over all shards.
struct Plain<'a, I: Iterator, R, E, S>
where
    I::Item: Item,
{
    items: &'a mut I,
    entrance: &'a Entrance<I::Item, R, E, S>,
    refused: Option<I::Item>,
}

impl<T: Item, R, E, S: BuildHasher, I: Iterator<Item = T>> Plain<'_, I, R, E, S> {
    /// Stages up to [`RUN`] items, each at the shard it belongs to, until there is no room for one.
    #[inline]
    fn stage(&mut self, run: &mut LaneRun<'_, T, R, E>) -> Staged<T> {
        let items = if self.entrance.router.shards() == 1 {
            self.stage_at_the_only_shard(run)
        } else {
            self.stage_at_many(run)
        };
        let then = match self.refused.take() {
            Some(item) => Then::Refused(item),
            None if items == RUN => Then::More,
            None => Then::Nothing,
        };
        Staged { items, then }
    }

    fn stage_at_many(&mut self, run: &mut LaneRun<'_, T, R, E>) -> usize {
        for staged in 0..RUN {
            let Some(item) = self.next() else { return staged };
            let Some(place) = run.place(self.entrance.router.place(&item)) else {
                self.refused = Some(item);
                return staged;
            };
            place.fill(item);
        }
        RUN
    }

    /// The same, with the end of the one ring kept in registers: a third of the instructions.
    fn stage_at_the_only_shard(&mut self, run: &mut LaneRun<'_, T, R, E>) -> usize {
        let room = run.room(0).min(RUN);
        let router: &Router<S> = &self.entrance.router;
        let staged = run.extend(
            0,
            self.by_ref().take(room).inspect(|item| {
                // Where there is a choice of shards, a key that panics does so here; then it shall
                // here too. For keys that can't, the compiler leaves the line out.
                router.hash(item);
            }),
        );
        if staged == room && room < RUN {
            self.refused = self.next().or(self.refused.take());
        }
        staged
    }
}

impl<T: Item, R, E, S: BuildHasher, I: Iterator<Item = T>> Iterator for Plain<'_, I, R, E, S> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        let item = self.items.next()?;
        let alone = T::SHARD_BY == ShardBy::Spread
            || item.patience() != Patience::Engine
            || self.entrance.refusal(&item).is_some();
        if alone {
            self.refused = Some(item);
            return None;
        }
        Some(item)
    }
}
