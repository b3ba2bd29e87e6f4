//! The engine itself.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use engine::{Batch, Engine, Handler, Settled, Shards, Sizing};

use super::{FLUSH_AFTER, Handled, QUEUE_ITEMS, Run, Trivial};
use crate::Failure;
use crate::workload::{Row, Workload};

/// How the engine is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) sizing: Sizing,
    pub(crate) shards: usize,
    /// Whether items are pushed in runs, or one by one.
    pub(crate) runs: bool,
}

struct Summing {
    trivial: Trivial,
    report: Sender<Handled>,
}

impl Handler for Summing {
    type Item = Row;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|key, rows| {
            self.trivial.handle(key, rows);
            Ok(())
        })
    }
}

impl Drop for Summing {
    fn drop(&mut self) {
        // Nobody listens when the run has failed.
        let _ = self.report.send(self.trivial.handled());
    }
}

/// How long an engine may take to drain: only a broken one takes as long.
const DRAIN_WITHIN: Duration = Duration::from_secs(60);

/// Pushes the workload through an engine.
pub(crate) fn run(workload: Workload, setup: Setup) -> Result<Run, Failure> {
    let (report, reports) = channel();
    let keys = workload.keys;
    let engine =
        Engine::builder(move |_| Summing { trivial: Trivial::new(keys), report: report.clone() })
            .shards(Shards::Count(setup.shards))
            .sizing(setup.sizing)
            .lanes(1)
            .handle_lanes(0)
            .lane_items(QUEUE_ITEMS)
            .flush_after(FLUSH_AFTER)
            // The default, or more: the peers forget no key and bound no memory.
            .open_keys((keys as usize).max(65_536))
            .open_items(1 << 20)
            .start()?;
    let mut producer = engine.producer()?;
    let begun = Instant::now();
    if setup.runs {
        producer.push_run(&mut workload.rows())?;
    } else {
        for row in workload.rows() {
            producer.push(row)?;
        }
    }
    engine.shutdown(DRAIN_WITHIN)?;
    let elapsed = begun.elapsed();
    // The factory, and its sender, went with the engine.
    drop(producer);
    let handled = reports.iter().fold(Handled::default(), Handled::and);
    Ok(Run { elapsed, handled })
}
