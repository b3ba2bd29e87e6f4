//! The gap meter: what this machine does to a thread that does nothing.
//!
//! A loop that only reads the clock should see it move by a few nanoseconds each time. Where it moves by
//! more, the thread was stopped: an interrupt, another process, the host of a virtual machine. No
//! latency measured beside it can be better than that, so the same percentiles stand beside every other
//! distribution. (The idea is that of Gil Tene's jHiccup.)

use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Failure;
use crate::pinning::to_last_core;

/// Reads the clock for `span` on the calling thread, and returns the steps it made, in nanoseconds.
pub(crate) fn measure(span: Duration) -> Histogram<u64> {
    // Up to a minute: what lasts longer counts as a minute.
    let mut gaps = Histogram::new_with_bounds(1, 60_000_000_000, 3)
        .expect("1 ns to 60 s in three digits are allowed");
    let clock = quanta::Clock::new();
    let span_ns = span.as_nanos() as u64;
    let first = clock.raw();
    let mut last = first;
    while clock.delta_as_nanos(first, last) < span_ns {
        let now = clock.raw();
        gaps.saturating_record(clock.delta_as_nanos(last, now));
        last = now;
    }
    gaps
}

/// As [`measure`], where the consumers run.
///
/// # Errors
///
/// When there can be no thread.
pub(crate) fn on_last_core(span: Duration) -> Result<Histogram<u64>, Failure> {
    let meter = thread::Builder::new().name("gap meter".to_owned()).spawn(move || {
        to_last_core();
        measure(span)
    })?;
    meter.join().map_err(|_| "the gap meter panicked".into())
}

/// The share of the time that was spent in gaps longer than `limit_ns`: 0 to 1.
pub(crate) fn share_above(gaps: &Histogram<u64>, limit_ns: u64) -> f64 {
    total_ns(gaps, limit_ns) / total_ns(gaps, 0).max(1.0)
}

/// The time that was spent in gaps longer than `limit_ns`.
pub(crate) fn total_ns(gaps: &Histogram<u64>, limit_ns: u64) -> f64 {
    gaps.iter_recorded()
        .filter(|step| step.value_iterated_to() > limit_ns)
        .map(|step| step.value_iterated_to() as f64 * step.count_at_value() as f64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gaps_add_up_to_the_time_measured() {
        let gaps = measure(Duration::from_millis(5));
        let total = total_ns(&gaps, 0);
        assert!(total >= 4.9e6, "{total}");
    }

    #[test]
    fn the_share_of_long_gaps_is_one_of_time_and_not_of_their_number() {
        let mut gaps = Histogram::new_with_bounds(1, 1_000_000, 3).expect("allowed");
        gaps.record_n(100, 900).expect("in range");
        gaps.record(10_000).expect("in range");
        let share = share_above(&gaps, 5_000);
        assert!((share - 0.1).abs() < 0.001, "{share}");
        assert_eq!(share_above(&gaps, 20_000), 0.0);
        assert_eq!(share_above(&Histogram::new(3).expect("allowed"), 0), 0.0);
    }
}
