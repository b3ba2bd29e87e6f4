//! Items through an engine to a place, with the shard's own times.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use engine::{Batch, Engine, Handler, Idle, Producer, Settled, Snapshot};

use super::situation::Mode;
use crate::Failure;
use crate::checksum::Digest;
use crate::limits::{DRAIN_WITHIN, QUEUE_ITEMS};
use crate::run::{Handled, Run};
use crate::workload::{Row, Rows};

/// The way into an engine, whatever its handler answers.
pub(crate) trait Way: Send {
    /// Pushes all rows, one by one.
    fn push_each(&mut self, rows: Rows) -> Result<(), String>;

    /// Pushes all rows, in runs.
    fn push_run(&mut self, rows: &mut dyn Iterator<Item = Row>) -> Result<(), String>;

    /// As [`push_run`](Self::push_run), for rows that are made on the way.
    fn push_rows(&mut self, rows: Rows) -> Result<(), String>;
}

impl<R: Send, E: Send> Way for Producer<Row, R, E> {
    fn push_each(&mut self, rows: Rows) -> Result<(), String> {
        for row in rows {
            self.push(row).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn push_run(&mut self, mut rows: &mut dyn Iterator<Item = Row>) -> Result<(), String> {
        Producer::push_run(self, &mut rows).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn push_rows(&mut self, mut rows: Rows) -> Result<(), String> {
        Producer::push_run(self, &mut rows).map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// Why a place has no handler, in words that a shard can send.
pub(crate) type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Where items go, and where they can be read again.
pub(crate) trait Place: Send + Sync + 'static {
    type Handler: Handler<Item = Row>;

    /// The handler that brings them there, made on its shard's thread.
    fn handler(&self) -> Result<Self::Handler, Refusal>;

    /// What is there, when the handler is gone.
    fn read_back(&self) -> Result<Digest, Failure>;
}

/// Looks on while batches are handled, on the shard's thread.
pub(crate) trait Watch: Send + 'static {
    /// A call is about to begin.
    fn before(&mut self, rows: &[Row]);
    /// It has ended.
    fn after(&mut self);
}

/// Nobody looks on.
pub(crate) struct Nobody;

impl Watch for Nobody {
    #[inline]
    fn before(&mut self, _rows: &[Row]) {}
    #[inline]
    fn after(&mut self) {}
}

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) mode: Mode,
    pub(crate) keys: u32,
    pub(crate) idle: Idle,
    pub(crate) lane_items: usize,
}

impl Setup {
    /// As the other workloads have it.
    pub(crate) fn new(mode: Mode, keys: u32) -> Self {
        Self { mode, keys, idle: Idle::Auto, lane_items: QUEUE_ITEMS }
    }
}

/// What a passage came to.
pub(crate) struct Passed<W> {
    /// From before the first push until the last call of the handler has ended.
    pub(crate) elapsed: Duration,
    /// The processor time of the shard's thread.
    pub(crate) processor: Duration,
    pub(crate) handled: Handled,
    pub(crate) snapshot: Snapshot,
    pub(crate) watch: W,
}

impl<W> Passed<W> {
    /// As a run that is about wall time.
    pub(crate) fn run(&self) -> Run {
        Run::of_throughput(self.elapsed, self.handled)
    }
}

/// A handler that is watched.
struct Watched<H, W> {
    // Taken when it reports.
    watch: Option<W>,
    report: Sender<End<W>>,
    begun: ThreadTime,
    handler: H,
}

struct End<W> {
    at: Instant,
    processor: Duration,
    watch: W,
}

impl<H: Handler<Item = Row>, W: Watch> Handler for Watched<H, W> {
    type Item = Row;
    type Reply = H::Reply;
    type Error = H::Error;

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let watch = self.watch.as_mut().expect("taken at the end only");
        watch.before(batch.items());
        let settled = self.handler.handle(batch);
        watch.after();
        settled
    }
}

/// The end is noted before the handler goes: closing a database takes its time.
impl<H, W> Drop for Watched<H, W> {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            let processor = self.begun.elapsed();
            // Nobody listens when the run has failed.
            let _ = self.report.send(End { at: Instant::now(), processor, watch });
        }
    }
}

/// Passes what `push` pushes through an engine to `place`.
pub(crate) fn pass<P: Place, W: Watch>(
    place: P,
    setup: &Setup,
    watch: impl Fn() -> W + Send + Sync + 'static,
    push: impl FnOnce(&mut dyn Way) -> Result<(), Failure>,
) -> Result<Passed<W>, Failure> {
    let place = Arc::new(place);
    let (report, reports) = channel();
    let there = Arc::clone(&place);
    let engine = Engine::try_builder(move |_| {
        Ok::<_, Refusal>(Watched {
            watch: Some(watch()),
            report: report.clone(),
            begun: ThreadTime::now(),
            handler: there.handler()?,
        })
    })
    .sizing(setup.mode.sizing())
    .idle(setup.idle)
    .lanes(1)
    .handle_lanes(0)
    .lane_items(setup.lane_items)
    .open_keys((setup.keys as usize).max(65_536))
    .start()?;
    let mut producer = engine.producer()?;
    let begun = Instant::now();
    push(&mut producer)?;
    let snapshot = engine.shutdown(DRAIN_WITHIN)?;
    drop(producer);
    let lost = snapshot.accepted - snapshot.done;
    if lost > 0 {
        return Err(format!("{lost} items of {} failed", snapshot.accepted).into());
    }
    let End { at, processor, watch } = reports.recv()?;
    let handled = Handled { digest: place.read_back()?, batches: snapshot.batches };
    let elapsed = at.saturating_duration_since(begun);
    Ok(Passed { elapsed, processor, handled, snapshot, watch })
}
