//! Distributions of nanoseconds.

use hdrhistogram::Histogram;

/// An empty one, with three significant digits, from a nanosecond to an hour; what is recorded by
/// [`saturating_record`](Histogram::saturating_record) and lasts longer counts as an hour.
pub(crate) fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are constants")
}
