//! A shard's turns, one by one on the calling thread: nothing but the shard's own work lies between the
//! start of a turn and its hand-overs.
//!
//! The producer's half of the ring was filled by the same core, and the clock that the turn reads is a
//! made-up one, which costs a load from memory; the shard's own histogram, with another core's lines and
//! the real clock, is measured beside it.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{Batch, Engine, Handler, Settled};

use super::burst::Burst;
use super::stopwatch::Stopwatch;
use super::witness::{Testimony, Witness};
use crate::Failure;
use crate::cores::on_last;
use crate::peer::Peer;
use crate::run::Run;
use crate::times::times;
use crate::workload::Row;

struct Watched {
    watch: Arc<Stopwatch>,
    witness: Witness,
    report: Sender<Testimony>,
}

impl Handler for Watched {
    type Item = Row;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let entry = self.watch.enter(batch.len());
        let settled = batch.settle_all(|key, rows| {
            self.witness.handle(key, rows);
            Ok(())
        });
        self.watch.leave(&entry);
        settled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Nobody listens when the run has failed.
        let _ = self.report.send(self.witness.testimony());
    }
}

/// From one burst to the next on the made-up clock, so that timers run out now and then, as they would.
const BETWEEN: Duration = Duration::from_micros(100);

/// The engine as it is by default, stepped by hand.
pub(super) struct Tidegate;

impl Peer<Burst> for Tidegate {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn run(&self, case: Burst) -> Result<Run, Failure> {
        let testimony = on_last(|| {
            let (report, reports) = channel();
            let watch = Arc::new(Stopwatch::on(quanta::Clock::new()));
            let watched = Arc::clone(&watch);
            let builder = Engine::builder(move |_| Watched {
                watch: Arc::clone(&watched),
                witness: Witness::new(case.keys),
                report: report.clone(),
            });
            let mut engine = Stepped::new(builder.lanes(1).handle_lanes(0))?;
            let mut producer = engine.producer()?;
            let mut rows = case.workload().rows();
            let mut times = times();
            for _ in 0..case.bursts() {
                engine.advance(BETWEEN);
                producer.push_run(&mut rows.by_ref().take(case.items as usize))?;
                if case.keys > 1 {
                    // A key's few items would linger for more.
                    producer.flush()?;
                }
                watch.start();
                engine.turn();
                let formed = watch.read(u64::from(case.items));
                times.saturating_record(formed.ok_or("a burst was not handed over in its turn")?);
            }
            drop(producer);
            let _ = engine.shutdown();
            let Testimony { handled, .. } = reports.recv()?;
            Ok(Testimony { handled, times })
        })?;
        Ok(testimony.at_percentile(case.quantile))
    }
}
