//! The engine's own grouping: what a shard does in a turn, without lanes.

use std::marker::PhantomData;

use engine::internals::{self, Sizes};
use engine::{Batch, Handler, KeyHasher, Nanos, Settled, Sizing};
use foldhash::SharedSeed;

use super::rows::Pushed;
use super::{Grouper, Grouping, POLL_ITEMS};
use crate::limits::BATCH_ITEMS;
use crate::run::Handled;
use crate::trivial::Trivial;

/// The time from one poll to the next, at 20 million items a second.
const POLL_NS: u64 = 50 * POLL_ITEMS as u64;

/// Long past the end of a run: batches go because they are full, or flushed, as with the peers. Each has
/// its deadline all the same.
const FLUSH_AFTER: Nanos = Nanos::from_nanos(60_000_000_000);

/// What a window leaves open at most, and room to spare.
const OPEN_ITEMS: usize = 1 << 20;

pub(super) struct Engine<T: Pushed> {
    grouping: internals::Turns<Summing<T>, KeyHasher>,
    now: u64,
}

impl<T: Pushed> Grouper<T> for Engine<T> {
    fn new(case: Grouping) -> Self {
        let sizes = Sizes {
            sizing: Sizing::Fixed(BATCH_ITEMS as u32),
            flush_after: FLUSH_AFTER,
            // The engine's default, or more: the peers forget no key.
            open_keys: (case.keys as usize).max(65_536),
            open_items: OPEN_ITEMS,
        };
        let hasher = KeyHasher::with_seed(0x9E37_79B9_7F4A_7C15, SharedSeed::global_random());
        let handler = Summing { trivial: Trivial::new(case.keys), rows: PhantomData };
        Self { grouping: internals::Turns::new(&sizes, hasher, handler), now: 0 }
    }

    #[inline]
    fn poll(&mut self, rows: &[T]) {
        rows.iter().for_each(|row| self.grouping.push(*row));
        self.now += POLL_NS;
        self.grouping.turn(Nanos::from_nanos(self.now));
    }

    fn flush(&mut self) {
        self.grouping.flush();
    }

    fn handled(&self) -> Handled {
        self.grouping.handler().trivial.handled()
    }
}

struct Summing<T> {
    trivial: Trivial,
    rows: PhantomData<fn(T)>,
}

impl<T: Pushed> Handler for Summing<T> {
    type Item = T;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|_, rows| {
            self.trivial.handle(rows[0].number(), rows);
            Ok(())
        })
    }
}
