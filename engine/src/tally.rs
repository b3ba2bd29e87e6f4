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
            /// Only of shards that keep queues; the others publish none of it.
            pub(crate) operations: OperationCounters,
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
                    operations: OperationCounters::default(),
                }
            }
        }
    };
}
with_counters!(define_counters);

/// As [`with_counters`], of what only shards with queues do: in brackets, behind what else is given.
macro_rules! with_operation_counters {
    ($macro:ident $($before:tt)*) => {
        $macro! { $($before)* [
            /// Items that wait behind what holds them up: their key, or their entity, backs off, is paused, or
            /// is away in a batch that a handler took along.
            held,
            /// Items in batches that handlers took along.
            in_flight,
            /// Items that were to be tried again, each time counted.
            retries,
            /// Items that were folded into others.
            absorbed,
            /// Follow-ups that handlers emitted. They count as accepted.
            follow_ups,
            /// Handler calls that were made to tell a bad item from its neighbours.
            isolation_calls,
            /// Items that failed because their time was up.
            expired,
            /// Items that failed because whoever waited cancelled them.
            cancelled,
            /// Items that failed because their key had as many as it may.
            key_full,
            /// Items that failed because the batch they were in was not settled in time.
            timed_out,
            /// Batches that were settled after their time was up, to no effect.
            late_returns,
            /// Batches whose time is up, or whose engine has stopped, and which have not come back: each keeps
            /// its credit and its memory until it does.
            overdue_batches,
            /// Items done while an earlier one of their key, or entity, was still to be tried again.
            out_of_order,
            /// Turns in which a lane waited because its next item's key, or entity, was held and had as many
            /// items waiting as may.
            lane_stops,
            /// Panics of hooks: dead letters, observers.
            hook_panics,
        ] }
    };
}
pub(crate) use with_operation_counters;

macro_rules! define_operation_counters {
    ([$($(#[$doc:meta])* $name:ident,)*]) => {
        /// What only shards with queues count.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct OperationCounters {
            $(pub(crate) $name: u64,)*
        }

        impl OperationCounters {
            const WORDS: usize = [$(stringify!($name)),*].len();

            fn write(&self, words: &mut [u64]) {
                words.copy_from_slice(&[$(self.$name),*]);
            }

            fn read(words: &[u64]) -> Self {
                let mut rest = words.iter().copied();
                Self { $($name: rest.next().unwrap_or_default(),)* }
            }
        }

        impl std::ops::AddAssign for OperationCounters {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}
with_operation_counters!(define_operation_counters);

impl Counters {
    /// Words that [`write_all`](Self::write_all) fills.
    pub(crate) const ALL_WORDS: usize = Self::WORDS + OperationCounters::WORDS;

    /// Writes the counters out, those of operations behind the others.
    pub(crate) fn write_all(&self) -> [u64; Self::ALL_WORDS] {
        let mut words = [0; Self::ALL_WORDS];
        words[..Self::WORDS].copy_from_slice(&self.write());
        self.operations.write(&mut words[Self::WORDS..]);
        words
    }

    /// Reads counters from the words of either kind of shard.
    pub(crate) fn read_any(words: &[u64]) -> Self {
        let mut plain = [0; Self::WORDS];
        plain.copy_from_slice(&words[..Self::WORDS]);
        Self { operations: OperationCounters::read(&words[Self::WORDS..]), ..Self::read(&plain) }
    }
}

/// What handler calls have come to since the counters were last brought up to date: four numbers in one
/// word, so that a batch of a few items moves one word on, not six counters. From the lowest bits: items
/// done, failed and dead, and those that the handler has in its hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress(u64);

/// Bits of each number.
const PROGRESS_BITS: u32 = 16;
/// The highest bit of those that add up: while none is set, what one more call comes to does not overflow.
const PROGRESS_FULL: u64 = 0x8000_8000_8000;
const _: () = assert!(
    *crate::limits::BATCH_ITEMS.end() <= 1 << (PROGRESS_BITS - 1),
    "the items of one handler call fit, on top of any number without its highest bit"
);

impl Progress {
    #[inline]
    fn of(done: usize, failed: usize, dead: usize, in_handler: usize) -> Self {
        let parts = [in_handler, dead, failed, done];
        Self(parts.into_iter().fold(0, |word, part| word << PROGRESS_BITS | part as u64))
    }

    /// Done, failed, dead, and in the handler's hands.
    fn parts(self) -> [u64; 4] {
        [0, 1, 2, 3].map(|nth| self.0 >> (nth * PROGRESS_BITS) & ((1 << PROGRESS_BITS) - 1))
    }
}

impl Counters {
    /// Brings counters up to a [progress](Tally::progress) since.
    pub(crate) fn advance(&mut self, progress: u64) {
        let [done, failed, dead, in_handler] = Progress(progress).parts();
        self.ready = self.ready + self.in_handler - in_handler - done - failed - dead;
        self.in_handler = in_handler;
        self.done += done;
        self.failed += failed;
        self.dead += dead;
    }

    /// Items that are settled, whatever way.
    pub(crate) fn settled(&self) -> u64 {
        self.done + self.failed + self.dead
    }

    /// Items that are somewhere on their way, each place counted on its own.
    pub(crate) fn waiting(&self) -> u64 {
        self.in_lanes
            + self.open
            + self.ready
            + self.in_handler
            + self.operations.held
            + self.operations.in_flight
    }
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
    /// As of the last publication, as far as handler calls change them.
    pub(crate) counters: Counters,
    pub(crate) histograms: Box<Histograms>,
    /// What they have come to since.
    progress: Progress,
    turn: Nanos,
    /// The next batch of this turn, from 0, whose times are measured, and how many come before it.
    next_measured: u32,
    unmeasured: u32,
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
            progress: Progress::default(),
            turn: Nanos::ZERO,
            next_measured: 0,
            unmeasured: 0,
            measures: 0,
            measures_from: Nanos::ZERO,
            slow: false,
            handlers: None,
        }
    }

    /// When the turn started.
    pub(crate) fn turn(&self) -> Nanos {
        self.turn
    }

    /// A turn starts at `now` that finds `depth` items.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Nanos, depth: usize) {
        self.turn = now;
        self.measures = MEASURED_BATCHES;
        if depth > SHALLOW {
            if now >= self.measures_from {
                self.measures_from = now.saturating_add(MEASURE_EVERY);
            } else {
                self.measures = 0;
            }
        }
        self.measure_from(0);
        self.handlers = (self.unmeasured == 0).then_some(Nanos::ZERO);
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
        if self.unmeasured > 0 {
            self.unmeasured -= 1;
            return false;
        }
        self.measure_from(self.next_measured + 1);
        true
    }

    /// Looks for the next batch to measure, from the turn's `nth` on.
    fn measure_from(&mut self, nth: u32) {
        let measures = self.slow || nth < self.measures;
        self.unmeasured = if measures { 0 } else { !nth & (SAMPLE_EVERY - 1) };
        self.next_measured = nth + self.unmeasured;
    }

    /// The first `items` of a batch go to the handler because of `trigger`.
    #[inline]
    pub(crate) fn handed_over(&mut self, items: usize, trigger: Trigger) {
        self.counters.triggers[trigger.index()] += 1;
        if let Some(size) = self.histograms.sizes.get_mut(items) {
            size.calls += 1;
        }
    }

    /// So many batches of one item went to the handler because of their size.
    pub(crate) fn passed(&mut self, items: usize) {
        self.counters.triggers[Trigger::Size.index()] += items as u64;
        if let Some(size) = self.histograms.sizes.get_mut(1) {
            size.calls += items as u64;
        }
    }

    /// How things stand while the handler has so many items in its hands. `None`: the counters must be
    /// [brought up to date](Self::catch_up) and published first.
    #[inline]
    pub(crate) fn progress(&self, in_handler: usize) -> Option<u64> {
        let word = self.progress.0 | (in_handler as u64) << (3 * PROGRESS_BITS);
        (self.progress.0 & PROGRESS_FULL == 0).then_some(word)
    }

    /// A handler call came to that. Counted right as long as [`progress`](Self::progress) is asked before
    /// each call; where nothing is published, nobody reads it.
    #[inline]
    pub(crate) fn settled(&mut self, done: usize, failed: usize, dead: usize) {
        let call = Progress::of(done, failed, dead, 0);
        self.progress.0 = self.progress.0.wrapping_add(call.0);
    }

    /// Brings the counters up to date, for a publication: a progress counts from there.
    pub(crate) fn catch_up(&mut self) {
        self.counters.advance(self.progress.0);
        self.progress = Progress::default();
        self.count_batches();
    }

    /// Counts the handler calls so far.
    pub(crate) fn count_batches(&mut self) {
        self.counters.batches = self.counters.triggers.iter().sum();
    }

    /// The counters as they are now.
    pub(crate) fn as_of_now(&self) -> Counters {
        let mut counters = self.counters.clone();
        counters.advance(self.progress.0);
        counters.batches = counters.triggers.iter().sum();
        counters
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
        self.measure_from(self.next_measured - self.unmeasured);
        let histograms = &mut *self.histograms;
        histograms.age.saturating_record(begun.saturating_sub(since).as_nanos());
        histograms.execution.saturating_record(execution.as_nanos());
        histograms.lateness.saturating_record(begun.saturating_sub(deadline).as_nanos());
        if let Some(handlers) = &mut self.handlers {
            let formation = begun.saturating_sub(self.turn).saturating_sub(*handlers);
            histograms.formation.saturating_record(formation.as_nanos());
            *handlers = handlers.saturating_add(execution);
        }
        if self.unmeasured > 0 {
            self.handlers = None;
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
    fn counters_are_brought_up_to_what_handler_calls_came_to() {
        let mut tally = Tally::new(8);
        tally.counters = Counters { accepted: 50, ready: 40, done: 10, ..Default::default() };
        let block = tally.counters.clone();
        tally.handed_over(8, Trigger::Size);
        tally.settled(5, 2, 1);
        let mut read = block.clone();
        read.advance(tally.progress(7).expect("it fits"));
        let expected =
            Counters { ready: 25, in_handler: 7, done: 15, failed: 2, dead: 1, ..block.clone() };
        assert_eq!(read, expected);
        let now = tally.as_of_now();
        assert_eq!((now.ready, now.in_handler, now.batches), (32, 0, 1));
        let mut same = block.clone();
        same.advance(0);
        assert_eq!(same, block);
    }

    #[test]
    fn a_progress_that_may_overflow_asks_for_a_publication() {
        let most = *crate::limits::BATCH_ITEMS.end() as usize;
        let mut tally = Tally::new(1);
        tally.counters.ready = 2 * most as u64;
        tally.settled(0, most - 1, 0);
        assert!(tally.progress(most).is_some());
        tally.settled(0, most, 0);
        assert_eq!(tally.progress(most), None);
        assert_eq!(tally.as_of_now().failed, 2 * most as u64 - 1);
        tally.catch_up();
        assert_eq!((tally.counters.ready, tally.counters.failed), (1, 2 * most as u64 - 1));
        assert!(tally.progress(most).is_some_and(|word| Progress(word).parts()[3] == most as u64));
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
