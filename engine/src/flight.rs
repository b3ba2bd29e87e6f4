//! Batches that a handler takes along, to settle them later from anywhere.

use std::fmt;
use std::sync::Arc;

use ringbuf::Return;

use crate::arena::Block;
use crate::identity::{ItemId, Standing};
use crate::item::Item;
use crate::verdict::{Trigger, Verdict};
use crate::verdicts::Verdicts;

/// Wakes the shard that waits for a batch to come back.
pub(crate) type Knock = Arc<dyn Fn() + Send + Sync>;

/// What a batch needs to leave: a credit.
pub(crate) struct Boarding<T, R, E> {
    /// Takes the batch's block's place.
    pub(crate) spare: Block<T>,
    /// Room for the verdicts, and for the marks.
    pub(crate) verdicts: Verdicts<R, E>,
    pub(crate) marks: Vec<Standing>,
    pub(crate) way_back: Return<Cargo<T, R, E>>,
    pub(crate) knock: Knock,
}

impl<T, R, E> Boarding<T, R, E> {
    /// The number of the credit.
    pub(crate) fn seat(&self) -> u32 {
        self.way_back.slot()
    }
}

/// A batch away from its shard.
pub(crate) struct Cargo<T, R, E> {
    pub(crate) block: Block<T>,
    pub(crate) verdicts: Verdicts<R, E>,
    pub(crate) marks: Vec<Standing>,
    pub(crate) ending: Ending,
}

/// How a detached batch came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With verdicts.
    Settled {
        /// All were failed in one go.
        failed_as_one: bool,
    },
    /// Dropped before it was settled.
    Abandoned,
    /// The code that decided panicked; with this item at hand, or with all of them.
    Panicked(Option<usize>),
}

/// A batch that its handler took along, by [`Group::detach`](crate::Group::detach): to be settled later,
/// from any thread or task.
///
/// Its key is held until then (with entities: its items' entities), so that order stands; the engine goes
/// on with other keys. It must come back within
/// [`in_flight_for`](crate::Builder::in_flight_for): after that its items fail as
/// [`TimedOut`](crate::Failure::TimedOut), the key's next batch goes, and settling it changes nothing any
/// more (it is counted as late). Dropping it unsettled fails its items as
/// [`Abandoned`](crate::Failure::Abandoned). Leaking it ([`std::mem::forget`]) leaks its memory and its
/// credit: one batch fewer can be in flight for as long as the engine runs.
#[must_use = "dropping it fails its items as abandoned"]
pub struct Detached<T: Item, R, E> {
    /// Here until it is settled or dropped.
    cargo: Option<Cargo<T, R, E>>,
    way_back: Option<Return<Cargo<T, R, E>>>,
    knock: Knock,
    run: u64,
    trigger: Trigger,
}

impl<T: Item, R, E> fmt::Debug for Detached<T, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached")
            .field("items", &self.len())
            .field("trigger", &self.trigger)
            .finish_non_exhaustive()
    }
}

impl<T: Item, R, E> Detached<T, R, E> {
    /// Takes the items out of `block`, which is another then, and empty.
    pub(crate) fn take(
        block: &mut Block<T>,
        boarding: Boarding<T, R, E>,
        run: u64,
        trigger: Trigger,
    ) -> Self {
        let Boarding { spare, verdicts, marks, way_back, knock } = boarding;
        let block = std::mem::replace(block, spare);
        let cargo = Cargo { block, verdicts, marks, ending: Ending::Abandoned };
        Self { cargo: Some(cargo), way_back: Some(way_back), knock, run, trigger }
    }

    fn cargo(&self) -> &Cargo<T, R, E> {
        self.cargo.as_ref().expect("it is here until it is settled or dropped")
    }

    /// The key that all items here have.
    #[must_use]
    pub fn key(&self) -> T::Key<'_> {
        self.items()[0].key()
    }

    /// The items, oldest first; at least one.
    #[must_use]
    pub fn items(&self) -> &[T] {
        self.cargo().block.items()
    }

    /// The number of items; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.items().len()
    }

    /// Why the batch was handed over.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.trigger
    }

    /// The name of the item at this place: see [`Group::id`](crate::Group::id).
    ///
    /// # Panics
    ///
    /// If `at` is not the place of an item of this batch.
    #[must_use]
    pub fn id(&self, at: usize) -> ItemId {
        ItemId { run: self.run, origin: self.cargo().marks[at].origin }
    }

    /// Which attempt this is for the item at this place: see
    /// [`Group::attempt`](crate::Group::attempt).
    ///
    /// # Panics
    ///
    /// As [`id`](Self::id).
    #[must_use]
    pub fn attempt(&self, at: usize) -> u32 {
        self.cargo().marks[at].attempt
    }

    /// Decides about each item in turn. An item of a key (with entities: of an entity) that is to be
    /// tried again holds up the rest of it, as in [`Group::settle_each`](crate::Group::settle_each):
    /// those are not asked about, and come again behind it.
    ///
    /// # Panics
    ///
    /// If `decide` panics, the panic goes on to the caller; the item at hand fails as
    /// [`Panicked`](crate::Failure::Panicked), those before it keep their verdicts, those after it come
    /// again.
    pub fn settle_each(self, mut decide: impl FnMut(&T) -> Verdict<R, E>) {
        let mut back = self;
        let Some(cargo) = &mut back.cargo else { return };
        let items = cargo.block.items();
        cargo.verdicts.lay_out(items.len());
        let mut stopped: Option<u64> = None;
        for (at, item) in items.iter().enumerate() {
            let mark = cargo.marks[at];
            if stopped == Some(mark.domain) {
                continue;
            }
            cargo.ending = Ending::Panicked(Some(at));
            let verdict = decide(item);
            let waits = matches!(verdict, Verdict::Retry(_)) && mark.holds;
            cargo.verdicts.set(at, verdict);
            if waits {
                if !T::ENTITIES || stopped.is_some() {
                    break;
                }
                stopped = Some(mark.domain);
            }
        }
        cargo.ending = Ending::Settled { failed_as_one: false };
    }

    /// Decides about all items at once: they are done together or fail together.
    ///
    /// # Panics
    ///
    /// If `decide` panics, the panic goes on to the caller, and all items fail as
    /// [`Panicked`](crate::Failure::Panicked).
    pub fn settle_all(self, decide: impl FnOnce(T::Key<'_>, &[T]) -> Result<R, E>)
    where
        R: Clone,
        E: Clone,
    {
        let mut back = self;
        let Some(cargo) = &mut back.cargo else { return };
        cargo.ending = Ending::Panicked(None);
        let items = cargo.block.items();
        let result = decide(items[0].key(), items);
        let failed_as_one = result.is_err();
        cargo.verdicts.set_all(items.len(), &result);
        cargo.ending = Ending::Settled { failed_as_one };
    }

    /// Decides about all items in one call, each with a verdict of its own: see
    /// [`Group::settle_bulk`](crate::Group::settle_bulk).
    ///
    /// # Panics
    ///
    /// As [`settle_all`](Self::settle_all).
    pub fn settle_bulk(self, decide: impl FnOnce(T::Key<'_>, &[T], &mut Verdicts<R, E>)) {
        let mut back = self;
        let Some(cargo) = &mut back.cargo else { return };
        cargo.ending = Ending::Panicked(None);
        let Cargo { block, verdicts, .. } = cargo;
        let items = block.items();
        verdicts.lay_out(items.len());
        decide(items[0].key(), items, verdicts);
        cargo.ending = Ending::Settled { failed_as_one: false };
    }
}

/// However the code that settles it is left, the batch goes back.
impl<T: Item, R, E> Drop for Detached<T, R, E> {
    fn drop(&mut self) {
        if let (Some(cargo), Some(way_back)) = (self.cargo.take(), self.way_back.take()) {
            way_back.give(cargo);
            (self.knock)();
        }
    }
}
