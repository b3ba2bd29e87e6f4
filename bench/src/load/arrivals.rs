//! The items of a load, each as soon as its time has come.

use super::draws::Draws;
use super::schedule::Schedule;
use crate::checksum::{Checksum, Digest};
use crate::workload::Row;

/// Rows that carry their intended time; always the same for the same schedule and draws.
#[derive(Debug)]
pub(crate) struct Arrivals<'d> {
    schedule: Schedule,
    draws: &'d Draws,
    nth: u64,
    /// When item `nth` is due.
    due_ns: u64,
}

/// When a row of a load was meant to be pushed, in nanoseconds from the load's start.
#[inline]
pub(crate) fn intended_ns(row: &Row) -> u64 {
    row.rest[0]
}

impl<'d> Arrivals<'d> {
    pub(crate) fn new(schedule: Schedule, draws: &'d Draws) -> Self {
        Self { schedule, draws, nth: 0, due_ns: schedule.at(0) }
    }

    /// When the next item is due; `None` when all have come.
    #[inline]
    pub(crate) fn next_ns(&self) -> Option<u64> {
        (self.nth < self.schedule.items()).then_some(self.due_ns)
    }

    /// The next item, if its time has come.
    #[inline]
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Option<Row> {
        if self.nth == self.schedule.items() || self.due_ns > now_ns {
            return None;
        }
        let seq = self.nth;
        let row = Row { key: self.draws.key(seq), seq, rest: [self.due_ns, !seq] };
        self.nth += 1;
        self.due_ns = self.schedule.at(self.nth);
        Some(row)
    }

    /// Items that were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.nth
    }

    /// What a checksum over the first `items` of them, with `keys` keys, must come to.
    pub(crate) fn digest(schedule: Schedule, draws: &'d Draws, keys: u32, items: u64) -> Digest {
        let mut sum = Checksum::new(keys);
        let mut arrivals = Self::new(schedule, draws);
        let rows = std::iter::from_fn(|| arrivals.take_due(u64::MAX));
        rows.take(items as usize).for_each(|row| sum.add(row.key, &[row]));
        sum.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::draws::Spread;
    use crate::load::schedule::Shape;

    #[test]
    fn items_come_when_their_time_has_come_and_not_before() {
        let draws = Draws::of(8, Spread::Uniform);
        let schedule = Schedule::of_items(Shape::Constant, 5, 1e6);
        let mut arrivals = Arrivals::new(schedule, &draws);
        let mut due = |now_ns| {
            let rows = std::iter::from_fn(|| arrivals.take_due(now_ns));
            rows.map(|row| intended_ns(&row)).collect::<Vec<_>>()
        };
        assert_eq!(due(0), [0]);
        assert_eq!(due(999), [0; 0]);
        // Late: each still says when it was meant to come.
        assert_eq!(due(3_500), [1_000, 2_000, 3_000]);
        assert_eq!(due(u64::MAX), [4_000]);
        assert_eq!(arrivals.next_ns(), None);
        assert_eq!(arrivals.taken(), 5);
    }

    #[test]
    fn the_next_time_is_known_before_it_comes() {
        let draws = Draws::of(8, Spread::Uniform);
        let mut arrivals = Arrivals::new(Schedule::of_items(Shape::Bursts, 2_000, 1e6), &draws);
        assert_eq!(arrivals.next_ns(), Some(0));
        assert_eq!(std::iter::from_fn(|| arrivals.take_due(0)).count(), 1_000);
        assert_eq!(arrivals.next_ns(), Some(1_000_000));
    }

    #[test]
    fn the_digest_is_of_what_comes() {
        let draws = Draws::of(8, Spread::Zipf);
        let schedule = Schedule::of_items(Shape::Ramp, 1_000, 1e6);
        let mut sum = Checksum::new(8);
        let mut arrivals = Arrivals::new(schedule, &draws);
        while let Some(row) = arrivals.take_due(u64::MAX) {
            sum.add(row.key, &[row]);
        }
        assert_eq!(sum.digest(), Arrivals::digest(schedule, &draws, 8, 1_000));
        assert_ne!(sum.digest(), Arrivals::digest(schedule, &draws, 8, 999));
    }
}
