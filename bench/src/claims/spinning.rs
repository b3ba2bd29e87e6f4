//! Handlers that go nowhere: one whose calls cost nothing, and one whose calls cost a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::{Batch, Handler, Settled};

use super::passage::{Place, Refusal};
use crate::Failure;
use crate::checksum::{Checksum, Digest};
use crate::workload::Row;

/// What a handler has seen, left behind for whoever asks when it is gone.
type Seen = Arc<Mutex<Digest>>;

fn read(seen: &Seen) -> Digest {
    *seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads every byte of every item.
pub(crate) struct Summing {
    sum: Checksum,
    seen: Seen,
}

impl Drop for Summing {
    fn drop(&mut self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = self.sum.digest();
    }
}

impl Handler for Summing {
    type Item = Row;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|key, rows| {
            self.sum.add(key, rows);
            Ok(())
        })
    }
}

/// Keeps its core busy until a call that has `begun` then has taken the time that it costs.
#[inline]
pub(crate) fn spin_until_paid(begun: quanta::Instant, price: Duration) {
    while begun.elapsed() < price {
        std::hint::spin_loop();
    }
}

/// Calls cost nothing.
pub(crate) struct Free {
    keys: u32,
    seen: Seen,
}

impl Free {
    pub(crate) fn new(keys: u32) -> Self {
        Self { keys, seen: Seen::default() }
    }
}

impl Place for Free {
    type Handler = Summing;

    fn handler(&self) -> Result<Summing, Refusal> {
        Ok(Summing { sum: Checksum::new(self.keys), seen: Arc::clone(&self.seen) })
    }

    fn read_back(&self) -> Result<Digest, Failure> {
        Ok(read(&self.seen))
    }
}

/// Reads every byte, and spins until the price is paid.
pub(crate) struct Spinning {
    summing: Summing,
    price: Duration,
}

impl Handler for Spinning {
    type Item = Row;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let begun = quanta::Instant::now();
        batch.settle_all(|key, rows| {
            self.summing.sum.add(key, rows);
            spin_until_paid(begun, self.price);
            Ok(())
        })
    }
}

/// Each call costs a time, which keeps its core busy. Reading the bytes is part of it, as far as they fit.
pub(crate) struct Busy {
    free: Free,
    price: Duration,
}

impl Busy {
    pub(crate) fn new(keys: u32, price: Duration) -> Self {
        Self { free: Free::new(keys), price }
    }
}

impl Place for Busy {
    type Handler = Spinning;

    fn handler(&self) -> Result<Spinning, Refusal> {
        Ok(Spinning { summing: self.free.handler()?, price: self.price })
    }

    fn read_back(&self) -> Result<Digest, Failure> {
        self.free.read_back()
    }
}
