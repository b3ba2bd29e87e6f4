//! When items are meant to be pushed, whether or not anybody keeps up.

use std::time::Duration;

/// How a load spreads over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Evenly.
    Constant,
    /// [`BURST_ITEMS`] at once, and those evenly.
    Bursts,
    /// From nothing up to the full rate, in a straight line.
    Ramp,
    /// Everything at the start: a closed loop, in which nothing but the room in the lanes holds the
    /// pushes up.
    Flood,
}

/// Items of one burst.
pub(crate) const BURST_ITEMS: u64 = 1_000;

/// The intended time of each item of a load, counted from the load's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    shape: Shape,
    items: u64,
    /// From one item to the next, at the full rate.
    gap_ns: f64,
}

impl Schedule {
    /// So many items at `per_second` (above 0), which a ramp reaches at its end.
    pub(crate) fn of_items(shape: Shape, items: u64, per_second: f64) -> Self {
        Self { shape, items, gap_ns: 1e9 / per_second }
    }

    /// As many items as are due within `span`; at least one.
    pub(crate) fn over(shape: Shape, span: Duration, per_second: f64) -> Self {
        let mean = match shape {
            Shape::Ramp => per_second / 2.0,
            Shape::Constant | Shape::Bursts | Shape::Flood => per_second,
        };
        let items = (span.as_secs_f64() * mean) as u64;
        Self::of_items(shape, items.max(1), per_second)
    }

    /// The number of items.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    /// Items a second, at the full rate.
    pub(crate) fn per_second(&self) -> f64 {
        1e9 / self.gap_ns
    }

    /// When item `nth`, from 0, is meant to be pushed, in nanoseconds.
    #[inline]
    pub(crate) fn at(&self, nth: u64) -> u64 {
        match self.shape {
            Shape::Constant => (nth as f64 * self.gap_ns) as u64,
            Shape::Bursts => ((nth - nth % BURST_ITEMS) as f64 * self.gap_ns) as u64,
            // The integral of a rate that grows from 0 at the start to 1 / gap after twice the time
            // that the items take at the full rate, solved for the time.
            Shape::Ramp => {
                let items = self.items as f64;
                (2.0 * self.gap_ns * (nth as f64 * items).sqrt()) as u64
            }
            Shape::Flood => 0,
        }
    }

    /// The end of the schedule, in nanoseconds; at least 1.
    pub(crate) fn span_ns(&self) -> u64 {
        self.at(self.items).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_load_is_even() {
        let schedule = Schedule::over(Shape::Constant, Duration::from_secs(2), 1e6);
        assert_eq!(schedule.items(), 2_000_000);
        assert_eq!(
            [0, 1, 2, 1_000_000].map(|nth| schedule.at(nth)),
            [0, 1_000, 2_000, 1_000_000_000]
        );
        assert_eq!(schedule.span_ns(), 2_000_000_000);
    }

    #[test]
    fn a_burst_is_due_at_once_and_the_next_when_its_items_would_be() {
        let schedule = Schedule::over(Shape::Bursts, Duration::from_secs(1), 1e6);
        assert_eq!([0, 1, 999].map(|nth| schedule.at(nth)), [0; 3]);
        assert_eq!([1_000, 1_999].map(|nth| schedule.at(nth)), [1_000_000; 2]);
        assert_eq!(schedule.span_ns(), 1_000_000_000);
    }

    #[test]
    fn a_ramp_ends_at_the_full_rate_with_half_of_the_items() {
        let schedule = Schedule::over(Shape::Ramp, Duration::from_secs(1), 1e6);
        assert_eq!(schedule.items(), 500_000);
        assert_eq!(schedule.span_ns(), 1_000_000_000);
        // A quarter of the items after half of the time.
        assert_eq!(schedule.at(125_000), 500_000_000);
        let last = schedule.at(499_999) - schedule.at(499_899);
        assert!((99_000..=101_000).contains(&last), "100 items in {last} ns");
    }

    #[test]
    fn every_shape_is_in_order_and_starts_at_once() {
        for shape in [Shape::Constant, Shape::Bursts, Shape::Ramp, Shape::Flood] {
            let schedule = Schedule::of_items(shape, 10_000, 3e6);
            assert_eq!(schedule.at(0), 0, "{shape:?}");
            assert!((1..10_000).all(|nth| schedule.at(nth - 1) <= schedule.at(nth)), "{shape:?}");
        }
    }
}
