//! The consumer of a load: reads every byte, pays its price, and notes how late items are.

use std::time::Duration;

use cpu_time::ThreadTime;
use hdrhistogram::Histogram;

use super::arrivals::intended_ns;
use super::epoch::Epoch;
use super::price::{Price, Purse};
use super::schedule::Schedule;
use crate::checksum::Checksum;
use crate::run::Handled;
use crate::times::times;
use crate::workload::Row;

/// Parts that a load's time is cut into.
pub(crate) const SLICES: usize = 10;
/// One item of so many is timed, so that the clock is not read for each. Odd, so that no rhythm of the
/// load hides from it.
const TIMED_ITEMS: usize = 61;

/// What the consumer of a load saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) handled: Handled,
    /// From the intended time of an item to the end of its handler call, in nanoseconds; of a sample
    /// of all items, each as likely as the other.
    pub(crate) latencies: Histogram<u64>,
    /// The same of the oldest item of each batch that has an item in the sample.
    pub(crate) oldest: Histogram<u64>,
    /// `latencies` by the tenth of the load's time in which the items were meant to come.
    pub(crate) slices: [Histogram<u64>; SLICES],
    /// What the consumer's thread used of its core.
    pub(crate) cpu: Duration,
}

/// Stands where a handler stands.
pub(crate) struct Meter {
    epoch: Epoch,
    purse: Purse,
    slice_ns: u64,
    sum: Checksum,
    /// Items to pass over before the next one is timed.
    pass: usize,
    seen: Seen,
    cpu: ThreadTime,
}

impl Meter {
    /// On the thread that will call [`handle`](Self::handle), whose processor time counts from now.
    pub(crate) fn new(epoch: Epoch, price: Price, schedule: Schedule, keys: u32) -> Self {
        let seen = Seen {
            handled: Handled::default(),
            latencies: times(),
            oldest: times(),
            slices: std::array::from_fn(|_| times()),
            cpu: Duration::ZERO,
        };
        Self {
            epoch,
            purse: Purse::new(price),
            slice_ns: schedule.span_ns().div_ceil(SLICES as u64),
            sum: Checksum::new(keys),
            pass: 0,
            seen,
            cpu: ThreadTime::now(),
        }
    }

    /// A batch of one key; never empty.
    #[inline]
    pub(crate) fn handle(&mut self, key: u64, rows: &[Row]) {
        self.purse.pay();
        self.sum.add(key, rows);
        self.seen.handled.batches += 1;
        if self.pass < rows.len() {
            self.time(rows);
        }
        self.pass -= rows.len();
    }

    /// Leaves `pass` where it is counted from the start of these rows.
    fn time(&mut self, rows: &[Row]) {
        let now = self.epoch.now_ns();
        let late = |row: &Row| now.saturating_sub(intended_ns(row));
        self.seen.oldest.saturating_record(late(&rows[0]));
        while let Some(row) = rows.get(self.pass) {
            self.seen.latencies.saturating_record(late(row));
            let slice = (intended_ns(row) / self.slice_ns) as usize;
            self.seen.slices[slice.min(SLICES - 1)].saturating_record(late(row));
            self.pass += TIMED_ITEMS;
        }
    }

    /// What was seen so far. On the meter's own thread.
    pub(crate) fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        seen.handled.digest = self.sum.digest();
        seen.cpu = self.cpu.elapsed();
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::arrivals::Arrivals;
    use crate::load::draws::{Draws, Spread};
    use crate::load::schedule::Shape;

    /// A load of 1,000 items, 1 µs apart, handled in batches of `size`, each `late` after its last.
    fn handled(size: usize, late_ns: u64) -> Seen {
        let (clock, hand) = quanta::Clock::mock();
        let epoch = Epoch::on(clock);
        epoch.begin();
        let schedule = Schedule::of_items(Shape::Constant, 1_000, 1e6);
        let draws = Draws::of(1, Spread::Uniform);
        let mut arrivals = Arrivals::new(schedule, &draws);
        let mut meter = Meter::new(epoch.clone(), Price::Free, schedule, 1);
        let rows: Vec<_> = std::iter::from_fn(|| arrivals.take_due(u64::MAX)).collect();
        for rows in rows.chunks(size) {
            let last = rows.last().map(intended_ns).expect("a chunk is not empty");
            hand.increment(last + late_ns - epoch.now_ns());
            meter.handle(0, rows);
        }
        let seen = meter.seen();
        assert_eq!(seen.handled.digest, Arrivals::digest(schedule, &draws, 1, 1_000));
        seen
    }

    #[test]
    fn one_item_in_so_many_is_timed_however_batches_are_cut() {
        for size in [1, 7, 61, 62, 100, 1_000] {
            let seen = handled(size, 0);
            let timed = 1_000_u64.div_ceil(TIMED_ITEMS as u64);
            assert_eq!(seen.latencies.len(), timed, "batches of {size}");
            assert_eq!(seen.slices.iter().map(Histogram::len).sum::<u64>(), timed);
            assert_eq!(seen.handled.batches, 1_000_u64.div_ceil(size as u64));
        }
    }

    #[test]
    fn lateness_counts_from_the_intended_time() {
        let alone = handled(1, 5_000);
        let least = alone.latencies.min();
        assert!(least <= 5_000 && alone.latencies.equivalent(least, alone.latencies.max()));
        assert!(alone.latencies.equivalent(least, 5_000));
        // The first of ten waits for nine more.
        let together = handled(10, 5_000);
        assert!(together.oldest.equivalent(together.oldest.min(), 14_000));
        assert!(together.latencies.max() <= 14_007 && together.latencies.min() >= 5_000);
    }

    #[test]
    fn each_tenth_of_the_time_has_its_own_percentiles() {
        let seen = handled(1, 5_000);
        assert!(seen.slices.iter().all(|slice| (1..=2).contains(&slice.len())));
    }
}
