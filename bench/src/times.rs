//! Distributions of nanoseconds.

use hdrhistogram::Histogram;

use crate::Failure;

/// Refuses a distribution of fewer than one batch for `part` of them: a percentile of so few says nothing. A
/// shard under load times but a sample.
pub(crate) fn check_sample(times: &Histogram<u64>, of: u64, part: u64) -> Result<(), Failure> {
    let timed = times.len();
    if timed < of.div_ceil(part) {
        return Err(format!("the shard timed {timed} batches of {of}").into());
    }
    Ok(())
}

/// An empty one, with three significant digits, from a nanosecond to an hour; what is recorded by
/// [`saturating_record`](Histogram::saturating_record) and lasts longer counts as an hour.
pub(crate) fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are constants")
}
