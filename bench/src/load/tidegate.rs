//! The engine under load.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use engine::{Batch, Builder, Engine, Handler, Settled};

use super::arrivals::Arrivals;
use super::draws::Draws;
use super::epoch::Epoch;
use super::meter::{Meter, Seen};
use super::schedule::{Schedule, Shape};
use super::{LoadRun, Setup};
use crate::Failure;
use crate::cores::on_first;
use crate::limits::{DRAIN_WITHIN, QUEUE_ITEMS};
use crate::workload::Row;

struct Metered {
    meter: Meter,
    report: Sender<Seen>,
}

impl Handler for Metered {
    type Item = Row;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|key, rows| {
            self.meter.handle(key, rows);
            Ok(())
        })
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        // Nobody listens when the run has failed.
        let _ = self.report.send(self.meter.seen());
    }
}

fn builder(setup: Setup, epoch: Epoch, report: Sender<Seen>) -> Builder<Metered> {
    let Setup { schedule, keys, price, sizing, idle, .. } = setup;
    Engine::builder(move |_| Metered {
        meter: Meter::new(epoch.clone(), price, schedule, keys),
        report: report.clone(),
    })
    .sizing(sizing)
    .idle(idle)
    .lanes(1)
    .handle_lanes(0)
    .lane_items(QUEUE_ITEMS)
}

/// Offers the load to an engine with one shard, the producer on the first core, the shard on the last.
///
/// # Errors
///
/// When the engine does not start, does not take the load, or does not settle it within a minute.
pub(crate) fn open_loop(setup: Setup) -> Result<LoadRun, Failure> {
    let draws = Draws::of(setup.keys, setup.spread);
    let (report, reports) = channel();
    let epoch = Epoch::new();
    let engine = builder(setup, epoch.clone(), report).start()?;
    let mut producer = engine.producer()?;
    let begun = on_first(|| {
        let mut arrivals = Arrivals::new(setup.schedule, &draws);
        let begun = Instant::now();
        epoch.begin();
        while let Some(next) = arrivals.next_ns() {
            let now = epoch.now_ns();
            if next > now {
                std::hint::spin_loop();
            } else {
                producer.push_run(&mut std::iter::from_fn(|| arrivals.take_due(now)))?;
            }
        }
        Ok(begun)
    })?;
    engine.shutdown(DRAIN_WITHIN)?;
    let elapsed = begun.elapsed();
    let seen = reports.recv()?;
    Ok(LoadRun { seen, elapsed })
}

/// Items a second that the engine handles when they are pushed as fast as it takes them, for `span`:
/// what [`open_loop`] may offer at most. The setup's schedule is not used.
///
/// # Errors
///
/// As [`open_loop`]; and when what was handled is not what was pushed.
pub(crate) fn maximum(setup: Setup, span: Duration) -> Result<f64, Failure> {
    /// Looked at the clock this often.
    const ROUND: usize = 16_384;
    let schedule = Schedule::of_items(Shape::Flood, u64::MAX, 1.0);
    let draws = Draws::of(setup.keys, setup.spread);
    let (report, reports) = channel();
    let engine = builder(Setup { schedule, ..setup }, Epoch::new(), report).start()?;
    let mut producer = engine.producer()?;
    let (begun, items) = on_first(|| {
        let mut arrivals = Arrivals::new(schedule, &draws);
        let begun = Instant::now();
        while begun.elapsed() < span {
            let round = std::iter::from_fn(|| arrivals.take_due(0));
            producer.push_run(&mut round.take(ROUND))?;
        }
        Ok((begun, arrivals.taken()))
    })?;
    engine.shutdown(DRAIN_WITHIN)?;
    let elapsed = begun.elapsed();
    let expected = Arrivals::digest(schedule, &draws, setup.keys, items);
    reports.recv()?.handled.digest.check(expected, "the engine's own maximum")?;
    Ok(items as f64 / elapsed.as_secs_f64())
}
