//! Ready batches to the handler, and what it decided.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Batcher;
use crate::arena::Block;
use crate::batch::{Concluded, Desk, Group};
use crate::handed_over::HandedOver;
use crate::handler::Handler;
use crate::item::Item;
use crate::nanos::Nanos;
use crate::panics::{drop_panics, message};
use crate::ready::ReadyBatch;
use crate::tally::Tally;
use crate::verdict::Trigger;
use crate::verdicts::Verdicts;

impl<T: Item, R, E> Batcher<T, R, E> {
    /// Whether a batch is ready.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether no item is here at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.groups.open_batches() == 0
    }

    /// Hands the batch that has been ready longest to `handler`, and settles what it decided. What
    /// it did not decide, and is not to fail, comes next. `before` sees the tally as it is while the
    /// handler works, and how many items that has.
    #[inline(always)]
    pub(crate) fn hand_over<H>(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver>
    where
        H: Handler<Item = T, Reply = R, Error = E>,
    {
        let ReadyBatch { mut block, trigger, since, deadline } = self.ready.pop()?;
        let most = block.len();
        let items = of_one_key(&mut block, most, &mut self.tally);
        let cut = if items == block.len() { trigger } else { Trigger::Conflict };
        self.ready.prefetch();
        self.tally.handed_over(items, cut);
        let panic =
            call(handler, &mut block, items, cut, &mut self.verdicts, &mut self.tally, before);
        if block.is_empty() {
            self.arena.release(block);
        } else {
            self.ready.put_back(ReadyBatch { block, trigger, since, deadline });
        }
        Some(HandedOver { items, since, deadline, panic, seen: None })
    }

    /// Whether items need not become batches now: each is one by itself, and none is here that it could
    /// overtake.
    #[inline]
    pub(crate) fn passes(&self) -> bool {
        self.is_single() && !self.has_ready()
    }

    /// A block for items that [pass](Self::pass), one after the other; `None` when there is no memory.
    pub(crate) fn passage(&mut self) -> Option<Block<T>> {
        let block = self.arena.block(1);
        if block.is_none() {
            self.starve();
        }
        block
    }

    /// Hands an item over by itself, which counts as ready, through a block that is empty before and
    /// after. To be counted by [`Tally::passed`].
    #[inline(always)]
    pub(crate) fn pass<H>(
        &mut self,
        handler: &mut H,
        passage: &mut Block<T>,
        item: T,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<Box<dyn Any + Send>>
    where
        H: Handler<Item = T, Reply = R, Error = E>,
    {
        let taken = passage.push(item);
        debug_assert!(taken.is_ok(), "the passage is empty");
        let Self { verdicts, tally, .. } = self;
        let panic = call(handler, passage, 1, Trigger::Size, verdicts, tally, before);
        debug_assert!(passage.is_empty(), "one item is always decided, and if only by a panic");
        panic
    }

    /// When an item, pushed not before `since`, must be handed over at the latest.
    pub(crate) fn deadline(&self, since: Nanos) -> Nanos {
        since.saturating_add(self.flush_after)
    }

    /// Nothing more passes for now.
    pub(crate) fn close_passage(&mut self, passage: Block<T>) {
        self.tally.counters.drop_panics += self.arena.release(passage) as u64;
    }

    /// Fails everything that is here; says how many items that were.
    pub(crate) fn fail_all(&mut self) -> u64 {
        let mut failed = 0;
        loop {
            self.sweep(Trigger::Drain);
            self.decide();
            // Not just nothing ready: one round looks at a bounded number of records.
            if self.is_empty() {
                return failed;
            }
            while let Some(ReadyBatch { mut block, .. }) = self.ready.pop() {
                let items = block.len();
                self.tally.counters.drop_panics += block.settle_front(items) as u64;
                self.tally.counters.ready -= items as u64;
                self.tally.counters.failed += items as u64;
                failed += items as u64;
                self.arena.release(block);
            }
        }
    }
}

/// Hands the first `items` of a block over, which count as ready, and settles what was decided; the
/// others stay in it. Gives back the handler's panic.
#[inline(always)]
pub(crate) fn call<H: Handler>(
    handler: &mut H,
    block: &mut Block<H::Item>,
    items: usize,
    trigger: Trigger,
    verdicts: &mut Verdicts<H::Reply, H::Error>,
    tally: &mut Tally,
    before: impl FnOnce(&mut Tally, usize),
) -> Option<Box<dyn Any + Send>> {
    let were = block.len();
    before(tally, items);
    let mut desk = Desk::new(block, items, trigger, verdicts);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _settled = handler.handle(Group::new(&mut desk));
    }))
    .err();
    let Concluded { done, failed, dead, drop_panics } = desk.conclude();
    tally.settled(done, failed, dead);
    tally.counters.drop_panics += drop_panics as u64;
    debug_assert_eq!(
        done + failed + dead + block.len(),
        were,
        "every item is settled or still here"
    );
    panic
}

/// How many items of a block, from the first on and among the first `most`, have the same key: all,
/// unless two keys have the same hash. What is behind comes next. Items whose key panics at it fail.
#[inline]
pub(crate) fn of_one_key<T: Item>(
    block: &mut Block<T>,
    mut most: usize,
    tally: &mut Tally,
) -> usize {
    let mut same = 1;
    while same < most {
        let (first, rest) = (&block.items()[0], &block.items()[same..most]);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let key = first.key();
            for item in rest {
                if item.key() != key {
                    break;
                }
                same += 1;
            }
        }));
        let Err(panic) = ended else { break };
        fail_key(block, same, panic, tally);
        most -= 1;
    }
    same
}

/// The code of the key of the item at this place panicked.
#[cold]
fn fail_key<T>(block: &mut Block<T>, at: usize, panic: Box<dyn Any + Send>, tally: &mut Tally) {
    tracing::error!(panic = message(&*panic), "an item's key panicked");
    drop_panics(panic);
    block.items_mut()[..=at].rotate_right(1);
    let counters = &mut tally.counters;
    counters.drop_panics += block.settle_front(1) as u64;
    counters.key_panics += 1;
    counters.ready -= 1;
    counters.failed += 1;
}
