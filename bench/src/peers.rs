//! Everybody who takes part: a producer, a hand-off, batches by key, and the same trivial handler.

use std::time::Duration;

use crate::checksum::{Checksum, Digest};
use crate::workload::Row;

pub(crate) mod channel_map;
pub(crate) mod engine;
pub(crate) mod ring_map;

/// Items that a batch holds at most.
pub(crate) const BATCH_ITEMS: usize = 100;
/// How long an item may wait for company.
pub(crate) const FLUSH_AFTER: Duration = Duration::from_millis(10);
/// Items that fit between the producer and a consumer.
pub(crate) const QUEUE_ITEMS: usize = 8_192;
/// Items of one run, where runs are pushed or taken.
pub(crate) const RUN_ITEMS: usize = 256;

/// One run of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// From before the first push until the last batch was handled.
    pub(crate) elapsed: Duration,
    pub(crate) handled: Handled,
}

impl Run {
    pub(crate) fn ns_per_item(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.handled.digest.items().max(1) as f64
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

/// The handler of them all: it reads every byte, and does nothing else.
pub(crate) struct Trivial {
    sum: Checksum,
    batches: u64,
}

impl Trivial {
    pub(crate) fn new(keys: u32) -> Self {
        Self { sum: Checksum::new(keys), batches: 0 }
    }

    #[inline]
    pub(crate) fn handle(&mut self, key: u64, rows: &[Row]) {
        self.sum.add(key, rows);
        self.batches += 1;
    }

    pub(crate) fn handled(&self) -> Handled {
        Handled { digest: self.sum.digest(), batches: self.batches }
    }
}

/// Waiting by hand: a short spin, then the core is left to others.
#[derive(Default)]
pub(crate) struct Pause(u32);

impl Pause {
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    pub(crate) fn wait(&mut self) {
        if self.0 < 64 {
            self.0 += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}
