//! What is handled in these cells: the same few rows for everybody, of one key or of eight.

use hdrhistogram::Histogram;

use crate::checksum::Checksum;
use crate::run::{Handled, Run};
use crate::times::times;
use crate::workload::Row;

/// Reads every byte, and keeps times.
pub(super) struct Witness {
    sum: Checksum,
    batches: u64,
    times: Histogram<u64>,
}

/// What a witness saw.
#[derive(Debug)]
pub(super) struct Testimony {
    pub(super) handled: Handled,
    pub(super) times: Histogram<u64>,
}

impl Witness {
    pub(super) fn new(keys: u32) -> Self {
        Self { sum: Checksum::new(keys), batches: 0, times: times() }
    }

    #[inline]
    pub(super) fn handle(&mut self, key: u64, rows: &[Row]) {
        self.sum.add(key, rows);
        self.batches += 1;
    }

    #[inline]
    pub(super) fn note_ns(&mut self, ns: u64) {
        self.times.saturating_record(ns);
    }

    pub(super) fn testimony(&self) -> Testimony {
        let handled = Handled { digest: self.sum.digest(), batches: self.batches };
        Testimony { handled, times: self.times.clone() }
    }
}

impl Testimony {
    /// The run whose percentile is compared, at least a nanosecond.
    pub(super) fn at_percentile(self, percent: u32) -> Run {
        let at = self.times.value_at_quantile(f64::from(percent) / 100.0).max(1);
        Run::of_latencies(self.times, self.handled).at(at as f64)
    }
}
