//! A batch as its handler sees it, and the proof that it was decided.
//!
//! The shard owns the items and the verdicts; a handler borrows both through a [`Group`]. So a
//! handler that panics, or that leaks what it was given, loses nothing. A [`Settled`] can only be
//! made by a `settle_…` method, each of which takes the group by value and decides about every
//! item: a handler that forgets one, settles twice, or returns another batch's proof does not
//! compile. The lifetime `'b` brands the two; it is invariant, and every call of a handler has its
//! own.
//!
//! ```compile_fail,E0308
//! use engine::{Batch, Handler, Item, Settled};
//!
//! struct Row(u64);
//! impl Item for Row {
//!     type Key<'a> = ();
//!     fn key(&self) {}
//! }
//!
//! struct Forgetful;
//! impl Handler for Forgetful {
//!     type Item = Row;
//!     type Reply = ();
//!     type Error = ();
//!     fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
//!         println!("{}", batch.items().len());
//!     } // error[E0308]: no `Settled` to return
//! }
//! ```

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crate::arena::Block;
use crate::flight::Detached;
use crate::identity::ItemId;
use crate::item::Item;
use crate::panics::drop_panics;
use crate::tray::{FollowUps, Tray};
use crate::verdict::{Failure, Trigger, Verdict};
use crate::verdicts::Verdicts;

/// One batch: items of one key, contiguous, oldest first. Never empty.
///
/// There is no way to make one but to be a [`Handler`](crate::Handler), or to ask
/// [`testing::with_batch`](crate::testing::with_batch).
#[must_use = "a batch is settled by one of its `settle_…` methods"]
pub struct Group<'b, T: Item, R, E> {
    block: &'b mut Block<T>,
    /// How many of the block's items, from the first on, are the batch.
    items: usize,
    trigger: Trigger,
    progress: &'b mut Progress,
    verdicts: &'b mut Verdicts<R, E>,
    tray: Option<&'b mut Tray<T, R, E>>,
    brand: Brand<'b>,
}

/// Invariant in `'b`: neither a longer nor a shorter lifetime will do.
type Brand<'b> = PhantomData<Cell<&'b ()>>;

/// The proof that a batch was decided, item by item.
#[must_use = "return it from `handle`"]
pub struct Settled<'b>(Brand<'b>);

impl fmt::Debug for Settled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settled")
    }
}

impl<T: Item, R, E> fmt::Debug for Group<'_, T, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("items", &self.items)
            .field("trigger", &self.trigger)
            .finish_non_exhaustive()
    }
}

impl<'b, T: Item, R, E> Group<'b, T, R, E> {
    #[inline(always)]
    pub(crate) fn new(desk: &'b mut Desk<'_, T, R, E>) -> Self {
        let Desk { block, items, trigger, progress, verdicts, tray } = desk;
        let (items, trigger, tray) = (*items, *trigger, tray.as_deref_mut());
        Self { block, items, trigger, progress, verdicts, tray, brand: PhantomData }
    }

    /// The key that all items here have, borrowed from the first of them.
    #[must_use]
    pub fn key(&self) -> T::Key<'_> {
        self.items()[0].key()
    }

    /// The items, oldest first; at least one.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.block.items()[..self.items]
    }

    /// The number of items; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.items
    }

    /// Why the batch was handed over now.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.trigger
    }

    /// The name of the item at this place: the same in all its attempts, for idempotency keys. `None` in
    /// an engine that keeps no queues: see [`Builder::queues`](crate::Builder::queues).
    ///
    /// # Panics
    ///
    /// If `at` is not the place of an item of this batch.
    #[must_use]
    pub fn id(&self, at: usize) -> Option<ItemId> {
        assert!(at < self.len(), "item {at} of a batch of {}", self.len());
        self.tray.as_ref().map(|tray| tray.id(at))
    }

    /// Which attempt this is for the item at this place, counted from 1.
    ///
    /// # Panics
    ///
    /// As [`id`](Self::id).
    #[must_use]
    pub fn attempt(&self, at: usize) -> u32 {
        assert!(at < self.len(), "item {at} of a batch of {}", self.len());
        self.tray.as_ref().map_or(1, |tray| tray.marks[at].attempt)
    }

    /// Decides about each item in turn.
    ///
    /// When an item is to be [tried again](Verdict::Retry) and has attempts left, those behind it wait for
    /// it, so that order stands: they are not asked about, spend no attempt, and come again behind it.
    /// (With [entities](Item::ENTITIES) that is so for the items of the same entity; with order
    /// [waived](crate::Order::Waived), for none.)
    ///
    /// # Panics
    ///
    /// If `decide` panics, the item at hand fails as [`Panicked`](Failure::Panicked), those before
    /// it keep their verdicts, and those after it go back to the head of their key: the next
    /// handler call gets them.
    pub fn settle_each(self, mut decide: impl FnMut(&T) -> Verdict<R, E>) -> Settled<'b> {
        let Self { block, items, progress, verdicts, tray, .. } = self;
        let items = &block.items()[..items];
        progress.stage = Stage::Each;
        match tray {
            None => {
                let mut count = Count::of(progress);
                for item in items {
                    count.take_up();
                    let verdict = decide(item);
                    count.decided(&verdict);
                    count.let_go(verdict);
                }
            }
            Some(tray) => tray.each(items, verdicts, |item, _| decide(item)),
        }
        Settled(self.brand)
    }

    /// As [`settle_each`](Self::settle_each), with the means to emit follow-ups: items that are handled
    /// before everything that waits for their key already. [X, which emits Y, then Z] is handled as X, Y, Z
    /// whatever the sizes of batches.
    ///
    /// When an item is done that has emitted some, the items behind it wait for those: they are not asked
    /// about, and come again behind them. Needs [`Builder::follow_ups`](crate::Builder::follow_ups).
    ///
    /// # Panics
    ///
    /// As [`settle_each`](Self::settle_each). What the item at hand had emitted is dropped.
    pub fn settle_each_with(
        self,
        mut decide: impl FnMut(&T, &mut FollowUps<'_, T>) -> Verdict<R, E>,
    ) -> Settled<'b> {
        if self.tray.is_none() {
            return self.settle_each(|item| decide(item, &mut FollowUps { emitting: None }));
        }
        let Self { block, items, progress, verdicts, tray, .. } = self;
        progress.stage = Stage::Each;
        if let Some(tray) = tray {
            tray.each(&block.items()[..items], verdicts, decide);
        }
        Settled(self.brand)
    }

    /// Decides about each item in turn, and gives each away: for handlers that pass items on. There
    /// is no trying again, since the item is gone.
    ///
    /// # Panics
    ///
    /// As [`settle_each`](Self::settle_each); the item at hand is dropped by the panic.
    pub fn settle_owned(self, mut decide: impl FnMut(T) -> Result<R, E>) -> Settled<'b> {
        let Self { block, items, progress, verdicts, tray, .. } = self;
        progress.stage = Stage::Owned;
        let mut decide = |item| match decide(item) {
            Ok(reply) => Verdict::Done(reply),
            Err(error) => Verdict::Failed(error),
        };
        if let Some(tray) = tray {
            verdicts.lay_out(items);
            for at in 0..items {
                let Some(item) = block.pop_front() else { break };
                tray.given_away += 1;
                tray.take_up(at);
                let verdict = decide(item);
                tray.take_down(at, verdict, verdicts);
            }
            return Settled(self.brand);
        }
        let mut count = Count::of(progress);
        for _ in 0..items {
            let Some(item) = block.pop_front() else { break };
            count.take_up();
            let verdict = decide(item);
            count.decided(&verdict);
            count.let_go(verdict);
        }
        drop(count);
        Settled(self.brand)
    }

    /// Decides about all items at once: they are done together or fail together.
    ///
    /// # Panics
    ///
    /// If `decide` panics, all items fail as [`Panicked`](Failure::Panicked).
    pub fn settle_all(self, decide: impl FnOnce(T::Key<'_>, &[T]) -> Result<R, E>) -> Settled<'b>
    where
        R: Clone,
        E: Clone,
    {
        let Self { block, items, progress, verdicts, tray, .. } = self;
        let items = &block.items()[..items];
        let result = decide(items[0].key(), items);
        match tray {
            None => {
                progress.stage = Stage::Each;
                match &result {
                    Ok(_) => progress.done += items.len(),
                    Err(_) => progress.failed += items.len(),
                }
                progress.drop_panics += usize::from(drop_panics(result));
            }
            Some(tray) => {
                verdicts.set_all(items.len(), &result);
                tray.failed_as_one = result.is_err();
                // Only now: a reply's or an error's `Clone` that panics must find it at `Untouched`.
                progress.stage = Stage::Each;
            }
        }
        Settled(self.brand)
    }

    /// Decides about all items in one call, each with a verdict of its own: for targets that take
    /// many at once and answer for each.
    ///
    /// An item that gets no verdict is not settled: it goes back to the head of its key, before
    /// everything that waits there, and comes again. A call that decides nothing at all spends an attempt
    /// of every item, and those without another fail as [`Undecided`](Failure::Undecided), or they would
    /// go round for ever.
    ///
    /// An item that is done while an earlier one of its key is to be tried again has overtaken it: that
    /// stands, and is [counted](crate::Snapshot::out_of_order).
    ///
    /// # Panics
    ///
    /// If `decide` panics, all items fail as [`Panicked`](Failure::Panicked), whatever verdicts were
    /// put down before: a panic can't claim success.
    pub fn settle_bulk(
        self,
        decide: impl FnOnce(T::Key<'_>, &[T], &mut Verdicts<R, E>),
    ) -> Settled<'b> {
        let Self { block, items, progress, verdicts, .. } = self;
        let items = &block.items()[..items];
        verdicts.lay_out(items.len());
        decide(items[0].key(), items, verdicts);
        // Only now: a panic in `decide` must find the stage at `Untouched`.
        progress.stage = Stage::Bulk;
        Settled(self.brand)
    }

    /// Takes the batch along, to settle it later from any thread or task; the handler can return at once.
    /// See [`Detached`] for what holds meanwhile.
    ///
    /// # Errors
    ///
    /// The batch itself, if the engine was started without
    /// [`in_flight_max`](crate::Builder::in_flight_max): settle it here.
    pub fn detach(self) -> Result<(Settled<'b>, Detached<T, R, E>), Self> {
        match self {
            Self { block, trigger, progress, tray: Some(tray), brand, .. }
                if tray.boarding.is_some() =>
            {
                progress.stage = Stage::Away;
                Ok((Settled(brand), tray.leave_with(block, trigger)))
            }
            here => Err(here),
        }
    }
}

/// A verdict as whoever asked hears it, where no attempt is left.
pub(crate) fn outcome<R, E>(verdict: Verdict<R, E>) -> Result<R, Failure<E>> {
    match verdict {
        Verdict::Done(reply) => Ok(reply),
        Verdict::Failed(error) => Err(Failure::Handler(error)),
        Verdict::Retry(error) => Err(Failure::Dead(error)),
    }
}

/// How far a handler call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is decided. The initial state: a panic can't claim success.
    Untouched,
    /// The first `settled` items are decided; they still lie in the block.
    Each,
    /// As `Each`, but the decided items have left the block.
    Owned,
    /// Decided where a verdict was put down.
    Bulk,
    /// The handler has taken the batch along.
    Away,
}

impl Stage {
    /// Whether the handler has taken the batch along.
    pub(crate) fn is_away(self) -> bool {
        self == Self::Away
    }

    /// Whether the verdicts count.
    pub(crate) fn is_decided(self) -> bool {
        self != Self::Untouched
    }
}

#[derive(Debug)]
struct Progress {
    stage: Stage,
    done: usize,
    failed: usize,
    dead: usize,
    /// User code has an item in its hands: if it panics, that item goes with it.
    at_hand: bool,
    /// Panics of `Drop` of replies and errors.
    drop_panics: usize,
}

impl Progress {
    const UNTOUCHED: Self = Self {
        stage: Stage::Untouched,
        done: 0,
        failed: 0,
        dead: 0,
        at_hand: false,
        drop_panics: 0,
    };
}

/// Counts in locals, which stay in registers, and writes them back however the loop is left.
struct Count<'p> {
    progress: &'p mut Progress,
    done: usize,
    failed: usize,
    dead: usize,
    at_hand: bool,
    drop_panics: usize,
}

impl<'p> Count<'p> {
    fn of(progress: &'p mut Progress) -> Self {
        Self { progress, done: 0, failed: 0, dead: 0, at_hand: false, drop_panics: 0 }
    }

    #[inline]
    fn take_up(&mut self) {
        self.at_hand = true;
    }

    /// Drops what nobody waits for. If that panics, the verdict stands, and the panic is counted.
    #[inline]
    fn let_go<R, E>(&mut self, verdict: Verdict<R, E>) {
        self.drop_panics += usize::from(drop_panics(verdict));
    }

    /// Before the verdict's own content is dropped: if that panics, the verdict stands.
    #[inline]
    fn decided<R, E>(&mut self, verdict: &Verdict<R, E>) {
        match verdict {
            Verdict::Done(_) => self.done += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Retry(_) => self.dead += 1,
        }
        self.at_hand = false;
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.progress.done = self.done;
        self.progress.failed = self.failed;
        self.progress.dead = self.dead;
        self.progress.at_hand = self.at_hand;
        self.progress.drop_panics = self.drop_panics;
    }
}

/// Where the batch at hand lies while its handler works on it. What is borrowed stays where it is: for
/// a batch of a few items, moving it here and back was a fifth of all that the call cost.
pub(crate) struct Desk<'d, T: Item, R, E> {
    block: &'d mut Block<T>,
    /// How many of the block's items, from the first on, are the batch.
    items: usize,
    trigger: Trigger,
    progress: Progress,
    /// Empty between calls.
    verdicts: &'d mut Verdicts<R, E>,
    /// Present where each item's verdict is kept.
    tray: Option<&'d mut Tray<T, R, E>>,
}

/// What a handler call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Concluded {
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) dead: usize,
    /// Panics of `Drop` while the settled items, replies and errors went.
    pub(crate) drop_panics: usize,
}

impl<'d, T: Item, R, E> Desk<'d, T, R, E> {
    /// Lays a batch out for its handler: the first `items` of the block, at least one; the others stay
    /// there. `verdicts` is scratch memory.
    #[inline(always)]
    pub(crate) fn new(
        block: &'d mut Block<T>,
        items: usize,
        trigger: Trigger,
        verdicts: &'d mut Verdicts<R, E>,
    ) -> Self {
        Self { block, items, trigger, progress: Progress::UNTOUCHED, verdicts, tray: None }
    }

    /// As [`new`](Self::new), for all of a block, and keeps each item's verdict.
    pub(crate) fn with_tray(
        block: &'d mut Block<T>,
        trigger: Trigger,
        verdicts: &'d mut Verdicts<R, E>,
        tray: &'d mut Tray<T, R, E>,
    ) -> Self {
        let items = block.len();
        Self { tray: Some(tray), ..Self::new(block, items, trigger, verdicts) }
    }

    /// Settles what was decided; what was not, and is not to fail, stays in the block.
    #[inline(always)]
    pub(crate) fn conclude(&mut self) -> Concluded {
        let Progress { stage, done, failed, dead, at_hand, drop_panics } = self.progress;
        let mut concluded = Concluded { done, failed, dead, drop_panics };
        let lost = usize::from(at_hand);
        concluded.failed += lost;
        if stage == Stage::Each {
            concluded.drop_panics += self.block.settle_front(done + failed + dead + lost);
        } else {
            self.conclude_otherwise(&mut concluded);
        }
        concluded
    }

    /// The stages that are rarer.
    #[inline(never)]
    fn conclude_otherwise(&mut self, concluded: &mut Concluded) {
        match self.progress.stage {
            // `conclude` has seen to the one; the others' items have left the block.
            Stage::Each | Stage::Owned | Stage::Away => {}
            Stage::Untouched => {
                concluded.drop_panics += self.verdicts.clear();
                self.fail_all(concluded);
            }
            Stage::Bulk => self.conclude_bulk(concluded),
        }
    }

    fn fail_all(&mut self, concluded: &mut Concluded) {
        let items = self.items;
        concluded.failed += items;
        concluded.drop_panics += self.block.settle_front(items);
    }

    fn conclude_bulk(&mut self, concluded: &mut Concluded) {
        let slots = &mut self.verdicts.slots;
        if slots.iter().all(Option::is_none) {
            slots.clear();
            return self.fail_all(concluded);
        }
        for verdict in slots.iter().flatten() {
            match verdict {
                Verdict::Done(_) => concluded.done += 1,
                Verdict::Failed(_) => concluded.failed += 1,
                Verdict::Retry(_) => concluded.dead += 1,
            }
        }
        let decided = slots.iter().take_while(|slot| slot.is_some()).count();
        if slots[decided..].iter().all(Option::is_none) {
            concluded.drop_panics += self.block.settle_front(decided);
        } else {
            concluded.drop_panics += take_out_decided(self.block, slots);
        }
        for verdict in slots.drain(..).flatten() {
            concluded.drop_panics += usize::from(drop_panics(verdict));
        }
    }

    /// How far the handler has come with what [`with_tray`](Self::with_tray) laid out.
    pub(crate) fn stage(&self) -> Stage {
        self.progress.stage
    }
}

/// Drops the items that have a verdict, wherever they lie; says how many of those drops panicked.
/// What has none stays in its order, before what lies behind the batch.
#[cold]
fn take_out_decided<T, V>(block: &mut Block<T>, slots: &[Option<V>]) -> usize {
    let items = block.items_mut();
    let mut decided = slots.len();
    for at in (0..slots.len()).rev() {
        if slots[at].is_none() {
            decided -= 1;
            items.swap(at, decided);
        }
    }
    block.settle_front(decided)
}
