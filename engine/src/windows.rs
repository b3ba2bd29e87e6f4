//! Items that gather in a window and are grouped when it closes.
//!
//! An item goes from its lane into one of 256 partitions, by the top bits of its key's hash. When the
//! window closes, one partition after the other is moved into a block, ordered so that the items of one
//! hash lie side by side, and handed over from its front, group by group. Meanwhile the next window
//! fills: a turn hands over a bounded number of items.

mod partitions;
mod ranks;

use partitions::Partitions;
use ranks::Ranks;

use crate::arena::{Arena, Block};
use crate::batcher::hand_over::{call, of_one_key};
use crate::handed_over::HandedOver;
use crate::handler::Handler;
use crate::item::{Item, Patience};
use crate::limits::WINDOW_TURN_ITEMS;
use crate::nanos::Nanos;
use crate::tally::Tally;
use crate::tunables::Tunables;
use crate::verdict::Trigger;
use crate::verdicts::Verdicts;

/// What windows are made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowSizes {
    /// Items of a window, and of a batch.
    pub(crate) items: usize,
    pub(crate) batch_items: u32,
    /// The most items of a batch that there is memory for.
    pub(crate) largest: u32,
    pub(crate) flush_after: Nanos,
}

/// What holds for a window from its first item to its last batch.
#[derive(Clone, Copy)]
struct Terms {
    /// Items of a batch.
    target: usize,
    flush_after: Nanos,
}

/// The bytes of the parts.
pub(crate) struct WindowBytes {
    pub(crate) partitions: usize,
    pub(crate) grouping: usize,
    pub(crate) batches: usize,
}

/// The window that closes, or closed last.
struct Closing {
    since: Nanos,
    due: Nanos,
    trigger: Trigger,
    /// Items of a batch.
    target: usize,
    /// When it began to, and with how many items; none once that is counted.
    begun: Nanos,
    items: usize,
    /// The group at hand, and how many of its items are left at the block's front.
    group: usize,
    left: usize,
}

pub(crate) struct Windows<T: Item, R, E> {
    /// Of the window that fills, and of those after it.
    fills: Terms,
    later: Terms,
    now: Nanos,
    partitions: Partitions<T>,
    ranks: Ranks,
    arena: Arena<T>,
    /// A partition that is handed over. Some but while it is dropped.
    block: Option<Block<T>>,
    verdicts: Verdicts<R, E>,
    /// Of the window that fills: not after the push of its oldest item, and when it must close, but for
    /// the time that takes.
    since: Nanos,
    due: Nanos,
    closing: Closing,
    /// Why what fills is to go, once the other window is through.
    sweep: Option<Trigger>,
    /// Items that this turn may still hand over.
    budget: usize,
    cost: Cost,
    pub(crate) tally: Tally,
}

impl<T: Item, R, E> Windows<T, R, E> {
    /// All memory is taken here.
    pub(crate) fn new(sizes: &WindowSizes, now: Nanos) -> Self {
        let mut arena = Arena::new(sizes.items, sizes.items);
        let block = arena.block(sizes.items);
        debug_assert!(block.is_some(), "the arena was made for it");
        let closing = Closing {
            since: now,
            due: now,
            trigger: Trigger::Deadline,
            target: sizes.batch_items as usize,
            begun: now,
            items: 0,
            group: 0,
            left: 0,
        };
        let terms = Terms { target: sizes.batch_items as usize, flush_after: sizes.flush_after };
        Self {
            fills: terms,
            later: terms,
            now,
            partitions: Partitions::new(sizes.items),
            ranks: Ranks::new(sizes.items),
            arena,
            block,
            verdicts: Verdicts::with_capacity(sizes.largest as usize),
            since: Nanos::MAX,
            due: Nanos::MAX,
            closing,
            sweep: None,
            budget: 0,
            cost: Cost::default(),
            tally: Tally::new(sizes.largest),
        }
    }

    /// The heap bytes of [`new`](Self::new), part by part.
    pub(crate) fn bytes(sizes: &WindowSizes) -> WindowBytes {
        WindowBytes {
            partitions: Partitions::<T>::bytes(sizes.items),
            grouping: Ranks::bytes(sizes.items),
            batches: Arena::<T>::bytes(sizes.items, sizes.items)
                .saturating_add(Verdicts::<R, E>::bytes(sizes.largest as usize)),
        }
    }

    /// A turn starts at `now`. Time does not run backwards here.
    pub(crate) fn begin(&mut self, now: Nanos, depth: usize) {
        self.now = self.now.max(now);
        self.budget = WINDOW_TURN_ITEMS;
        if !self.is_closing() && self.closing.items > 0 {
            let took = self.now.saturating_sub(self.closing.begun);
            self.cost.note(took, std::mem::take(&mut self.closing.items));
        }
        self.tally.begin_turn(self.now, depth);
    }

    /// Windows that begin from now on are cut, and linger, by these. The one that fills keeps its own.
    pub(crate) fn tune(&mut self, tunables: &Tunables) {
        let target = tunables.sizing.largest() as usize;
        self.later = Terms { target, flush_after: Nanos::from(tunables.flush_after) };
        if self.partitions.filling() == 0 {
            self.fills = self.later;
        }
    }

    /// How many items a drain may bring now.
    pub(crate) fn room(&self) -> usize {
        self.partitions.room()
    }

    /// An item whose key has this hash joins, pushed not before `since`; there must be room.
    #[inline(always)]
    pub(crate) fn push(&mut self, hash: u64, take: impl FnOnce() -> T) {
        self.partitions.push(hash, take);
    }

    /// Items that join now were pushed not before `since`.
    #[inline]
    pub(crate) fn note(&mut self, since: Nanos) {
        if since < self.since {
            self.since = since;
            self.due = self.due.min(since.saturating_add(self.fills.flush_after));
        }
    }

    /// An item that joined, pushed not before `since`, has less patience than the engine.
    #[cold]
    pub(crate) fn hurry(&mut self, patience: Patience, since: Nanos) {
        match patience {
            Patience::Engine => {}
            Patience::AtMost(most) => {
                self.due = self.due.min(since.saturating_add(Nanos::from(most)));
            }
            Patience::None => self.sweep(Trigger::Patience),
        }
    }

    /// What fills is to go, as soon as the window before it has gone.
    pub(crate) fn sweep(&mut self, trigger: Trigger) {
        if self.sweep != Some(Trigger::Drain) {
            self.sweep = Some(trigger);
        }
    }

    /// After a drain: closes the window if it must go now, and can.
    pub(crate) fn decide(&mut self) {
        if self.partitions.filling() == 0 {
            // Not those of an item that has failed meanwhile either.
            (self.since, self.due) = (Nanos::MAX, Nanos::MAX);
            self.sweep = None;
            return;
        }
        if self.is_closing() {
            return;
        }
        let trigger = match self.sweep {
            Some(trigger) => trigger,
            None if self.partitions.room() == 0 => Trigger::Size,
            None if self.closes_at() <= self.now => Trigger::Deadline,
            None => return,
        };
        self.close(trigger);
    }

    fn close(&mut self, trigger: Trigger) {
        let items = self.partitions.filling();
        let Self { since, due, now: begun, fills: Terms { target, .. }, .. } = *self;
        self.closing = Closing { since, due, trigger, target, begun, items, group: 0, left: 0 };
        self.fills = self.later;
        self.ranks.clear();
        self.partitions.close();
        // Before the publication that comes next: while the handler works, only progress is told.
        self.tally.counters.open -= items as u64;
        self.tally.counters.ready += items as u64;
        self.since = Nanos::MAX;
        self.due = Nanos::MAX;
        self.sweep = None;
    }

    /// When the window that fills must close, so that its last item is handed over in time. Earlier by
    /// half at most: smaller batches make each item dearer, and so the next window's close earlier,
    /// without end.
    fn closes_at(&self) -> Nanos {
        let takes = self.cost.of(self.partitions.filling());
        let most = Nanos::from_nanos(self.fills.flush_after.as_nanos() / 2);
        self.due.saturating_sub(takes.min(most))
    }

    fn is_closing(&self) -> bool {
        self.partitions.closing() > 0 || self.block.as_ref().is_some_and(|block| !block.is_empty())
    }

    /// Whether a batch is to be handed over in this turn.
    pub(crate) fn has_ready(&self) -> bool {
        self.budget > 0 && self.is_closing()
    }

    /// Whether the next turn has work left over from this one, whatever arrives.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_closing() || (self.sweep.is_some() && self.partitions.filling() > 0)
    }

    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        if self.is_behind() {
            return Some(self.now);
        }
        (self.partitions.filling() > 0).then(|| self.closes_at())
    }

    /// Whether no item is here at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.partitions.filling() == 0 && !self.is_closing()
    }

    /// Groups the next partition, if the last one has gone.
    fn group(&mut self) {
        let Some(block) = &mut self.block else { return };
        if !block.is_empty() {
            return;
        }
        self.ranks.clear();
        let ranks = &mut self.ranks;
        self.partitions.next(|hash, item| {
            ranks.add(hash);
            if !block.push_with(|| item) {
                unreachable!("a block has room for a whole window");
            }
        });
        ranks.order(block.items_mut());
        self.closing.group = 0;
        self.closing.left = if ranks.groups() > 0 { ranks.end(0) } else { 0 };
    }

    /// Hands the next batch over, and settles what was decided; the others come next. `before` sees the
    /// tally as it is while the handler works, and how many items that has.
    #[inline]
    pub(crate) fn hand_over<H>(
        &mut self,
        handler: &mut H,
        before: impl FnOnce(&mut Tally, usize),
    ) -> Option<HandedOver>
    where
        H: Handler<Item = T, Reply = R, Error = E>,
    {
        self.group();
        let Self { block, ranks, closing, tally, verdicts, budget, .. } = self;
        let block = block.as_mut()?;
        let were = block.len();
        if were == 0 {
            return None;
        }
        let most = closing.left.min(closing.target);
        let items = of_one_key(block, most, tally);
        // Those whose key panicked have failed.
        let gone = were - block.len();
        let cut = if items + gone < most {
            Trigger::Conflict
        } else if items == closing.target {
            Trigger::Size
        } else {
            closing.trigger
        };
        tally.handed_over(items, cut);
        let panic = call(handler, block, items, cut, verdicts, tally, before);
        let went = were - block.len();
        closing.left -= went;
        *budget = budget.saturating_sub(went);
        if closing.left == 0 && !block.is_empty() {
            let end = ranks.end(closing.group);
            closing.group += 1;
            closing.left = ranks.end(closing.group) - end;
        }
        Some(HandedOver { items, since: closing.since, deadline: closing.due, panic, seen: None })
    }

    /// Fails everything that is here; says how many items that were.
    pub(crate) fn fail_all(&mut self) -> u64 {
        let mut failed = 0;
        loop {
            let Some(block) = &mut self.block else { return failed };
            let items = block.len();
            let counters = &mut self.tally.counters;
            counters.drop_panics += block.settle_front(items) as u64;
            counters.ready -= items as u64;
            counters.failed += items as u64;
            failed += items as u64;
            if self.partitions.closing() > 0 {
                self.group();
            } else if self.partitions.filling() > 0 {
                self.close(Trigger::Drain);
            } else {
                return failed;
            }
        }
    }

    /// Publishes the gauges that are not counted along the way.
    pub(crate) fn gauge(&mut self) {
        self.tally.counters.open_batches = u64::from(self.partitions.filling() > 0);
    }
}

/// What an item takes from its window's close to the last hand-over, lately.
#[derive(Default)]
struct Cost {
    /// Nanoseconds and items of the last windows; of each, a quarter less than of the one after it.
    took: f64,
    items: f64,
}

impl Cost {
    fn note(&mut self, took: Nanos, items: usize) {
        self.took += took.as_nanos() as f64 - self.took / 4.0;
        self.items += items as f64 - self.items / 4.0;
    }

    /// What so many items will take.
    fn of(&self, items: usize) -> Nanos {
        if self.items == 0.0 {
            return Nanos::ZERO;
        }
        Nanos::from_nanos((items as f64 * self.took / self.items * MARGIN) as u64)
    }
}

/// A window takes a tenth more time than the last ones did before it is late.
const MARGIN: f64 = 1.1;

/// An arena whose blocks are all back gives its memory back; items that are left are dropped.
impl<T: Item, R, E> Drop for Windows<T, R, E> {
    fn drop(&mut self) {
        self.fail_all();
        if let Some(block) = self.block.take() {
            self.arena.release(block);
        }
    }
}
