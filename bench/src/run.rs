//! One run of one contender, and what it came to.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::checksum::Digest;

/// One run of one contender.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// What is compared, in nanoseconds unless the cell has [another unit](crate::cell::Cell::in_unit),
    /// less being better: wall time per item, unless the run is about a
    /// [latency](Self::of_latencies) or says [otherwise](Self::at).
    pub(crate) ns: f64,
    pub(crate) handled: Handled,
    /// The distribution behind `ns`, in nanoseconds, where there is one.
    pub(crate) latencies: Option<Histogram<u64>>,
    /// What else is worth knowing.
    pub(crate) details: Vec<Detail>,
}

/// Something about a run that no other field says, such as percentiles over time. A contest keeps those
/// of its last runs: they are printed below the row, and stand in the JSON file as `details`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Detail {
    /// In the JSON file: a unit last, as in `p99_ns_by_slice`.
    pub(crate) name: &'static str,
    /// For people; may have several lines.
    pub(crate) text: String,
    pub(crate) value: Value,
}

impl Run {
    /// Everything was handled within `elapsed`.
    pub(crate) fn of_throughput(elapsed: Duration, handled: Handled) -> Self {
        let ns = elapsed.as_nanos() as f64 / handled.digest.items().max(1) as f64;
        Self { ns, handled, latencies: None, details: Vec::new() }
    }

    /// What counts is the median of a distribution of nanoseconds.
    pub(crate) fn of_latencies(latencies: Histogram<u64>, handled: Handled) -> Self {
        let ns = latencies.value_at_quantile(0.5) as f64;
        Self { ns, handled, latencies: Some(latencies), details: Vec::new() }
    }

    /// The same run, but `ns` is what is compared.
    pub(crate) fn at(self, ns: f64) -> Self {
        Self { ns, ..self }
    }

    /// The same run, with something else worth knowing.
    pub(crate) fn with_detail(
        mut self,
        name: &'static str,
        text: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        self.details.push(Detail { name, text: text.into(), value: value.into() });
        self
    }
}

/// What a handler saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handled {
    pub(crate) digest: Digest,
    pub(crate) batches: u64,
}

impl Handled {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { digest: self.digest.and(other.digest), batches: self.batches + other.batches }
    }

    pub(crate) fn mean_batch(&self) -> f64 {
        self.digest.items() as f64 / self.batches.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throughput_is_time_per_item_and_a_latency_its_median() {
        let none = Handled::default();
        let nothing = Run::of_throughput(Duration::from_nanos(500), none);
        assert_eq!(nothing.ns, 500.0);
        let mut latencies = Histogram::new(3).expect("three digits are allowed");
        [10, 20, 30].into_iter().for_each(|ns| latencies.record(ns).expect("it grows"));
        assert_eq!(Run::of_latencies(latencies.clone(), none).ns, 20.0);
        assert_eq!(Run::of_latencies(latencies, none).at(30.0).ns, 30.0);
    }
}
