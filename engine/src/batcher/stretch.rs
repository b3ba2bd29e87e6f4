//! A stretch of arriving items into batches: one by one, or looking ahead of the cache.

use std::hash::BuildHasher;

use super::{Ahead, Arrival, Batcher};
use crate::item::Item;
use crate::limits::LOOK_AHEAD;
use crate::nanos::Nanos;
use crate::router::Router;

/// Items that arrive, oldest first, where they lie: a stretch of a lane.
pub(crate) trait Arrivals<T: Item> {
    /// The next item, where it lies.
    type Here<'h>: Arrival<T>
    where
        Self: 'h;

    /// The next items, as far as they lie side by side; not empty while there is one.
    fn ahead(&self) -> &[T];

    /// The next item; it stays unless it is taken. `None` at the end.
    fn here(&mut self) -> Option<Self::Here<'_>>;
}

/// How a drain looks at what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Ahead, where that pays.
    Ahead,
    /// As before, and just calls the code of items that lie ahead.
    HashesAhead,
    /// At one item after the other, since the code of one ahead panicked.
    OneByOne,
}

impl<T: Item, R, E> Batcher<T, R, E> {
    /// A drain begins.
    pub(crate) fn looks_ahead_again(&mut self) {
        self.view = View::Ahead;
    }

    /// After a panic of an item's code: if that was of an item ahead, the drain goes on one by one.
    pub(crate) fn ceases_to_look_ahead(&mut self) -> bool {
        let ahead = self.view == View::HashesAhead;
        if ahead {
            self.view = View::OneByOne;
        }
        ahead
    }

    /// Takes items, all pushed not before `since`, into batches, as far as there is memory for them.
    /// The others stay; `false` if there are any.
    #[inline]
    pub(crate) fn stretch<S: BuildHasher>(
        &mut self,
        mut arrivals: impl Arrivals<T>,
        since: Nanos,
        router: &Router<S>,
    ) -> bool {
        let arrivals = &mut arrivals;
        if self.is_single() {
            self.stretch_alone(arrivals, since)
        } else if self.view != View::Ahead {
            self.stretch_one_by_one(arrivals, since, router)
        } else if self.is_wide() {
            self.stretch_ahead::<true, false, S>(arrivals, since, router)
        } else if since >= self.newest {
            self.stretch_ahead::<false, true, S>(arrivals, since, router)
        } else {
            self.stretch_ahead::<false, false, S>(arrivals, since, router)
        }
    }

    #[inline(always)]
    fn stretch_alone(&mut self, arrivals: &mut impl Arrivals<T>, since: Nanos) -> bool {
        while let Some(here) = arrivals.here() {
            if !self.put_alone(here, since) {
                return false;
            }
        }
        true
    }

    /// So that a panic of an item's code comes while that item is at hand.
    #[cold]
    fn stretch_one_by_one<S: BuildHasher>(
        &mut self,
        arrivals: &mut impl Arrivals<T>,
        since: Nanos,
        router: &Router<S>,
    ) -> bool {
        while let Some(here) = arrivals.here() {
            let hash = router.hash(here.item());
            if !self.accept::<false, _>(here, self.guess(hash), since) {
                return false;
            }
        }
        true
    }

    /// In two rounds over some items at a time. The first only reads, so that nothing in it waits for
    /// anything else: in one round with the stores of the second, the processor takes it that each
    /// item's record may be the one that was just written (measured: a tenth of a turn at 8 keys).
    /// `WIDE`: the first round fetches what the second will touch, so that the cache misses overlap.
    /// `IN_ORDER`: see [`accept`](Self::accept).
    #[inline(always)]
    fn stretch_ahead<const WIDE: bool, const IN_ORDER: bool, S: BuildHasher>(
        &mut self,
        arrivals: &mut impl Arrivals<T>,
        since: Nanos,
        router: &Router<S>,
    ) -> bool {
        let mut ahead = [Ahead::default(); LOOK_AHEAD];
        loop {
            let next = arrivals.ahead();
            let ahead = &mut ahead[..next.len().min(LOOK_AHEAD)];
            if ahead.is_empty() {
                return true;
            }
            self.view = View::HashesAhead;
            for (ahead, item) in ahead.iter_mut().zip(next) {
                let hash = router.hash(item);
                *ahead = if WIDE { self.guess_far(hash) } else { self.guess(hash) };
            }
            self.view = View::Ahead;
            if WIDE {
                ahead.iter().for_each(|&ahead| self.fetch(ahead));
            }
            for &mut ahead in ahead {
                let Some(here) = arrivals.here() else { return true };
                if !self.accept::<IN_ORDER, _>(here, ahead, since) {
                    return false;
                }
            }
        }
    }
}
