//! What a shard counts: plain numbers with a single writer, and histograms.

use hdrhistogram::Histogram;

use crate::limits::{MEASURE_EVERY, MEASURED_BATCHES, SAMPLE_EVERY, SHALLOW, SLOW_HANDLER};
use crate::nanos::Nanos;
use crate::verdict::Trigger;

/// Invokes a macro with every counter's documentation and name, so that the shard's counters, the
/// published words and the public snapshot are one list.
macro_rules! with_counters {
    ($macro:ident) => {
        $macro! {
            /// Items taken from pushes that returned `Ok`.
            accepted,
            /// Items in lanes, not yet drained.
            in_lanes,
            /// Items in open batches.
            open,
            /// Items in batches that are to be handed over.
            ready,
            /// Items that a handler has in its hands.
            in_handler,
            /// Items that ended as done.
            done,
            /// Items that ended as failed.
            failed,
            /// Items that ended as dead: the handler would have tried again, but no attempt was left.
            dead,
            /// Batches that are open now.
            open_batches,
            /// Keys that are remembered: they have a batch open, or had one and no other key has needed their
            /// place since.
            known_keys,
            /// Handler calls.
            batches,
            /// Turns that found something to do.
            turns,
            /// Times that a shard parked.
            parks,
            /// Times that a producer's push woke a parked shard.
            wake_ups,
            /// Panics that came out of a handler.
            handler_panics,
            /// Panics of an item's `key`, or of its key's `Hash` or `Eq`, on the shard.
            key_panics,
            /// Panics of an item's, a reply's or an error's `Drop`.
            drop_panics,
            /// Times that memory for open batches or keys ran out, so that the oldest went early.
            memory_stops,
            /// Shards that stopped because their handler could not be rebuilt after a panic.
            stopped_shards,
        }
    };
}
pub(crate) use with_counters;

macro_rules! define_counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one shard.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Counters {
            $(pub(crate) $name: u64,)*
            pub(crate) triggers: [u64; Trigger::ALL.len()],
        }

        impl Counters {
            /// Words that [`write`](Self::write) fills.
            pub(crate) const WORDS: usize = [$(stringify!($name)),*].len() + Trigger::ALL.len();

            /// Writes the counters out as words.
            #[inline]
            pub(crate) fn write(&self) -> [u64; Self::WORDS] {
                let mut words = [0; Self::WORDS];
                let (plain, triggers) = words.split_at_mut(Self::WORDS - Trigger::ALL.len());
                plain.copy_from_slice(&[$(self.$name),*]);
                triggers.copy_from_slice(&self.triggers);
                words
            }

            /// Reads counters from words.
            pub(crate) fn read(words: &[u64; Self::WORDS]) -> Self {
                let mut rest = words.iter().copied();
                let mut next = || rest.next().unwrap_or_default();
                Self {
                    $($name: next(),)*
                    triggers: std::array::from_fn(|_| next()),
                }
            }
        }
    };
}
with_counters!(define_counters);

/// Bits of one number in the progress since the last publication; four of them make a word.
const PROGRESS_BITS: u32 = 16;
const _: () = assert!(
    *crate::limits::BATCH_ITEMS.end() < 1 << PROGRESS_BITS,
    "the items of one handler call fit"
);

impl Counters {
    /// What has changed since `published`, while batches are handed over one after the other: the
    /// items in the handler's hands, and those settled, in one word. `None` if it does not fit.
    #[inline]
    pub(crate) fn progress(&self, published: &Published) -> Option<u64> {
        let parts = [
            self.in_handler,
            self.done - published.done,
            self.failed - published.failed,
            self.dead - published.dead,
        ];
        if parts.iter().fold(0, |all, part| all | part) >> PROGRESS_BITS != 0 {
            return None;
        }
        Some(parts.iter().fold(0, |word, part| word << PROGRESS_BITS | part))
    }

    /// Brings published counters up to a progress; 0 is none, since a handler call has items.
    pub(crate) fn advance(&mut self, progress: u64) {
        if progress == 0 {
            return;
        }
        let part = |nth: u32| progress >> (nth * PROGRESS_BITS) & ((1 << PROGRESS_BITS) - 1);
        let [dead, failed, done, in_handler] = [0, 1, 2, 3].map(part);
        self.ready = self.ready + self.in_handler - in_handler - done - failed - dead;
        self.in_handler = in_handler;
        self.done += done;
        self.failed += failed;
        self.dead += dead;
    }

    /// What the next progress counts from.
    pub(crate) fn published(&self) -> Published {
        Published { done: self.done, failed: self.failed, dead: self.dead }
    }

    /// Items that are settled, whatever way.
    pub(crate) fn settled(&self) -> u64 {
        self.done + self.failed + self.dead
    }

    /// Items that are somewhere on their way, each place counted on its own.
    pub(crate) fn waiting(&self) -> u64 {
        self.in_lanes + self.open + self.ready + self.in_handler
    }
}

/// The counters of settled items as they were published last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Published {
    done: u64,
    failed: u64,
    dead: u64,
}

/// What is known of the batches of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SizeTally {
    /// Handler calls.
    pub(crate) calls: u64,
    /// Those whose execution was measured, and their time in all.
    pub(crate) measured: u64,
    pub(crate) execution_ns: u64,
}

/// Distributions of one shard. Too large to publish: swapped out on request.
#[derive(Clone, Debug)]
pub(crate) struct Histograms {
    pub(crate) age: Histogram<u64>,
    pub(crate) formation: Histogram<u64>,
    pub(crate) execution: Histogram<u64>,
    pub(crate) lateness: Histogram<u64>,
    pub(crate) depth: Histogram<u64>,
    /// By batch size in items, from 0 to the largest.
    pub(crate) sizes: Vec<SizeTally>,
}

/// Two significant digits: 1 % off at most, and 37 KB a histogram.
const DIGITS: u8 = 2;
/// An hour, the longest time told apart; longer ones count as that.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// A histogram of times in nanoseconds.
pub(crate) fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are constants")
}

/// A histogram of numbers of items.
pub(crate) fn items() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1 << 30, DIGITS).expect("the bounds are constants")
}

impl Histograms {
    pub(crate) fn new(largest: u32) -> Self {
        Self {
            age: times(),
            formation: times(),
            execution: times(),
            lateness: times(),
            depth: items(),
            sizes: vec![SizeTally::default(); largest as usize + 1],
        }
    }

    /// The heap bytes of [`new`](Self::new).
    pub(crate) fn bytes(largest: u32) -> usize {
        let counts = 4 * times().distinct_values() + items().distinct_values();
        counts * size_of::<u64>() + (largest as usize + 1) * size_of::<SizeTally>()
    }

    /// Adds what `other` saw.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.age, &other.age),
            (&mut self.formation, &other.formation),
            (&mut self.execution, &other.execution),
            (&mut self.lateness, &other.lateness),
            (&mut self.depth, &other.depth),
        ];
        for (mine, theirs) in pairs {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        if self.sizes.len() < other.sizes.len() {
            self.sizes.resize(other.sizes.len(), SizeTally::default());
        }
        for (mine, theirs) in self.sizes.iter_mut().zip(&other.sizes) {
            mine.calls += theirs.calls;
            mine.measured += theirs.measured;
            mine.execution_ns += theirs.execution_ns;
        }
    }
}

/// The counters and histograms of one shard.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) counters: Counters,
    pub(crate) histograms: Box<Histograms>,
    turn: Nanos,
    batches_in_turn: u32,
    /// Batches of this turn whose times are measured, from the first on.
    measures: u32,
    /// The next deep turn that starts at this time or later measures some.
    measures_from: Nanos,
    /// The last measured handler call was so slow that reading the clock costs nothing beside it.
    slow: bool,
    /// Time that this turn's handler calls took, while all of them were measured.
    handlers: Option<Nanos>,
}

impl Tally {
    pub(crate) fn new(largest: u32) -> Self {
        Self {
            counters: Counters::default(),
            histograms: Box::new(Histograms::new(largest)),
            turn: Nanos::ZERO,
            batches_in_turn: 0,
            measures: 0,
            measures_from: Nanos::ZERO,
            slow: false,
            handlers: None,
        }
    }

    /// A turn starts at `now` that finds `depth` items.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Nanos, depth: usize) {
        self.turn = now;
        self.batches_in_turn = 0;
        self.handlers = Some(Nanos::ZERO);
        self.measures = MEASURED_BATCHES;
        if depth > SHALLOW {
            if now >= self.measures_from {
                self.measures_from = now.saturating_add(MEASURE_EVERY);
            } else {
                self.measures = 0;
            }
        }
        if depth > 0 {
            self.histograms.depth.saturating_record(depth as u64);
        }
    }

    /// Whether the next batch's times are to be measured. Two reads of the clock and four records
    /// cost more than a small batch, so under load it is a sample: the first batches of a turn now and
    /// then, and one of many among the rest. All are measured in a turn of few items, and while the
    /// handler is slow.
    #[inline]
    pub(crate) fn measures_next(&mut self) -> bool {
        let nth = self.batches_in_turn;
        self.batches_in_turn = nth.wrapping_add(1);
        let measures =
            self.slow || nth < self.measures || nth & (SAMPLE_EVERY - 1) == SAMPLE_EVERY - 1;
        if !measures {
            self.handlers = None;
        }
        measures
    }

    /// A batch of `items` was handed over because of `trigger`.
    #[inline]
    pub(crate) fn handed_over(&mut self, items: usize, trigger: Trigger) {
        self.counters.batches += 1;
        self.counters.triggers[trigger.index()] += 1;
        if let Some(size) = self.histograms.sizes.get_mut(items) {
            size.calls += 1;
        }
    }

    /// Records the times of a batch of `items`, the oldest pushed at `since`, to be handed over by
    /// `deadline`; its handler call began and ended then.
    pub(crate) fn measured(
        &mut self,
        items: usize,
        since: Nanos,
        deadline: Nanos,
        begun: Nanos,
        ended: Nanos,
    ) {
        let execution = ended.saturating_sub(begun);
        self.slow = execution > SLOW_HANDLER;
        let histograms = &mut *self.histograms;
        histograms.age.saturating_record(begun.saturating_sub(since).as_nanos());
        histograms.execution.saturating_record(execution.as_nanos());
        histograms.lateness.saturating_record(begun.saturating_sub(deadline).as_nanos());
        if let Some(handlers) = &mut self.handlers {
            let formation = begun.saturating_sub(self.turn).saturating_sub(*handlers);
            histograms.formation.saturating_record(formation.as_nanos());
            *handlers = handlers.saturating_add(execution);
        }
        if let Some(size) = histograms.sizes.get_mut(items) {
            size.measured += 1;
            size.execution_ns += execution.as_nanos();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_back_from_their_words() {
        let mut counters =
            Counters { accepted: 1, in_lanes: 2, stopped_shards: 3, ..Default::default() };
        counters.triggers[Trigger::Drain.index()] = 4;
        assert_eq!(Counters::read(&counters.write()), counters);
    }

    #[test]
    fn counters_are_brought_up_to_what_has_changed_since_they_were_published() {
        let block = Counters { accepted: 50, ready: 40, done: 10, ..Default::default() };
        let published = block.published();
        let mut now = block.clone();
        (now.ready, now.in_handler) = (21, 7);
        (now.done, now.failed, now.dead) = (19, 2, 1);
        let mut read = block.clone();
        read.advance(now.progress(&published).expect("it fits"));
        assert_eq!(read, now);
        now.done += 1 << 16;
        assert_eq!(now.progress(&published), None);
        let mut read = block.clone();
        read.advance(0);
        assert_eq!(read, block);
    }

    #[test]
    fn a_turn_of_many_batches_measures_a_sample() {
        let mut tally = Tally::new(1);
        tally.begin_turn(Nanos::ZERO, 1_000);
        let measured = (0..1_000).filter(|_| tally.measures_next()).count();
        assert_eq!(measured as u32, MEASURED_BATCHES + (1_000 - 1) / SAMPLE_EVERY);
    }

    #[test]
    fn histograms_add_up() {
        let mut one = Tally::new(4);
        let at = Nanos::from_nanos;
        one.begin_turn(at(4), 3);
        one.handed_over(3, Trigger::Size);
        one.measured(3, Nanos::ZERO, at(5), at(10), at(30));
        one.measured(3, Nanos::ZERO, at(50), at(33), at(40));
        assert_eq!(one.histograms.formation.max(), 9, "33 - 4, less the 20 in a handler");
        let mut sum = Histograms::new(2);
        sum.add(&one.histograms);
        sum.add(&one.histograms);
        assert_eq!(sum.execution.len(), 4);
        assert_eq!(sum.lateness.max(), 5);
        assert_eq!(sum.sizes[3], SizeTally { calls: 2, measured: 4, execution_ns: 54 });
    }
}
