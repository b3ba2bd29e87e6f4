//! What is written first, under the same load: a bounded crossbeam channel, a standard hash map of
//! vectors, batches of up to 100 that wait for 10 ms at most.
//!
//! It bounds no memory but the channel's, forgets the vector of a key with each batch, and ends with
//! its thread if its handler panics. It takes what has come in without waiting for each item, and reads
//! the clock once for all that it takes at once; it blocks as the channel does, by spinning, yielding and parking.

use std::time::Instant;

use crossbeam_channel::bounded;

use super::arrivals::Arrivals;
use super::draws::Draws;
use super::epoch::Epoch;
use super::meter::Meter;
use super::{LoadRun, Setup};
use crate::Failure;
use crate::cores::on_first;
use crate::engine::crossbeam_map::consume;
use crate::engine::map_batches::{MapBatches, Take};
use crate::limits::QUEUE_ITEMS;
use crate::pinning::to_last_core;
use crate::workload::Row;

/// Offers the load to it, the producer on the first core, the consumer on the last.
pub(crate) fn open_loop(setup: Setup) -> Result<LoadRun, Failure> {
    let draws = Draws::of(setup.keys, setup.spread);
    let epoch = Epoch::new();
    let (sender, receiver) = bounded(QUEUE_ITEMS);
    let other_epoch = epoch.clone();
    // Each end goes with its thread, so that neither waits for one that has panicked.
    let consumed = move || {
        to_last_core();
        let meter = Meter::new(other_epoch, setup.price, setup.schedule, setup.keys);
        consume(&receiver, MapBatches::new(setup.keys, meter)).seen()
    };
    let draws = &draws;
    let offered = move || {
        let mut arrivals = Arrivals::new(setup.schedule, draws);
        let begun = Instant::now();
        epoch.begin();
        while let Some(next) = arrivals.next_ns() {
            let now = epoch.now_ns();
            if next > now {
                std::hint::spin_loop();
            }
            while let Some(row) = arrivals.take_due(now) {
                sender.send(row)?;
            }
        }
        Ok(begun)
    };
    std::thread::scope(|scope| {
        let consumer = scope.spawn(consumed);
        let begun = on_first(offered)?;
        let seen = consumer.join().map_err(|_| "the consumer panicked")?;
        Ok(LoadRun { seen, elapsed: begun.elapsed() })
    })
}

impl Take<Row> for Meter {
    #[inline]
    fn take(&mut self, key: u64, rows: &[Row]) {
        self.handle(key, rows);
    }
}
