//! A running engine: ways in, snapshot, shutdown.

mod control;
mod tuning;

use std::fmt;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::entrance::Entrance;
use crate::error::{Left, ProducerError, ShutdownError, StartError};
use crate::handle::Handle;
use crate::handler::Handler;
use crate::lane::Lanes;
use crate::nanos::Nanos;
use crate::plan::Plan;
use crate::producer::Producer;
use crate::router::KeyHasher;
use crate::shard::Close;
use crate::snapshot::{Pin, Snapshot};
use crate::worker::Worker;
use tuning::Tuning;

/// How long a snapshot waits for shards that are inside their handlers.
const SNAPSHOT_PATIENCE: Nanos = Nanos::from_nanos(20_000_000);

/// A running engine. See the [crate](crate) for the way of an item.
///
/// Dropping it closes it as [`shutdown`](Engine::shutdown) does, within the configured
/// [`drop_within`](crate::Builder::drop_within).
pub struct Engine<H: Handler, S = KeyHasher> {
    plan: Plan,
    tuning: Tuning,
    lanes: Lanes<H::Item, H::Reply, H::Error>,
    entrance: Entrance<H::Item, H::Reply, H::Error, S>,
    handle: Option<EngineHandle<H, S>>,
    /// One a shard; none after a shutdown.
    workers: Vec<Worker>,
}

/// The producer of an engine with this handler: see [`Producer`].
pub type EngineProducer<H, S = KeyHasher> =
    Producer<<H as Handler>::Item, <H as Handler>::Reply, <H as Handler>::Error, S>;
/// The handle of an engine with this handler: see [`Handle`].
pub type EngineHandle<H, S = KeyHasher> =
    Handle<<H as Handler>::Item, <H as Handler>::Reply, <H as Handler>::Error, S>;

impl<H: Handler, S> fmt::Debug for Engine<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<H: Handler, S: BuildHasher + Clone> Engine<H, S> {
    /// An engine that nobody works for yet.
    pub(crate) fn new(
        plan: Plan,
        lanes: Lanes<H::Item, H::Reply, H::Error>,
        entrance: Entrance<H::Item, H::Reply, H::Error, S>,
    ) -> Self {
        let claimed: Vec<_> = (0..plan.handle_lanes).map_while(|_| lanes.claim()).collect();
        let handle = (!claimed.is_empty()).then(|| Handle::new(claimed, entrance.clone()));
        let tuning = Tuning::new(plan.tunables);
        Self { plan, tuning, lanes, entrance, handle, workers: Vec::new() }
    }

    /// A producer, on the lowest lane that is free.
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoLane`] if all lanes are claimed.
    pub fn producer(&self) -> Result<EngineProducer<H, S>, ProducerError> {
        let lane = self.lanes.claim().ok_or(ProducerError::NoLane { lanes: self.plan.lanes })?;
        Ok(Producer::new(lane, self.entrance.clone()))
    }

    /// The way in that many threads and tasks share.
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoHandleLane`] if the engine was started with
    /// [`handle_lanes(0)`](crate::Builder::handle_lanes).
    pub fn handle(&self) -> Result<EngineHandle<H, S>, ProducerError> {
        self.handle.clone().ok_or(ProducerError::NoHandleLane)
    }
}

impl<H: Handler, S> Engine<H, S> {
    /// The next shard's thread.
    pub(crate) fn add(&mut self, worker: Worker) {
        self.workers.push(worker);
    }

    /// Waits until every shard has its handler, or could not get one; then none is at its factory any
    /// more.
    pub(crate) fn await_handlers(&mut self) -> Result<(), StartError> {
        let mut failed = None;
        for (shard, worker) in self.workers.iter_mut().enumerate() {
            match worker.await_handler() {
                Ok(Pin::Refused(core)) => {
                    tracing::warn!(shard, core, "the system refused to pin the shard");
                }
                Ok(_) => {}
                Err(source) => {
                    failed.get_or_insert(StartError::Factory { shard, source });
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    pub(crate) fn entrance(&self) -> &Entrance<H::Item, H::Reply, H::Error, S> {
        &self.entrance
    }

    /// What the engine was made into. What was tuned since is among its [tunables](Self::tunables).
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Says to all shards how to end.
    fn end(&self, how: Close) {
        for (shard, worker) in self.workers.iter().enumerate() {
            worker.post().close(how);
            self.lanes.doorbell(shard).knock();
        }
    }

    /// Takes a snapshot. Never stops a shard. Waits 20 ms at most for shards that are inside their
    /// handlers; histograms are then shown as they were before. Allocates some hundred KiB a shard.
    ///
    /// ```
    /// # use engine::{Engine, Item};
    /// # struct Row(u64);
    /// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
    /// # let engine = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).start()?;
    /// let now = engine.snapshot();
    /// assert_eq!(now.accepted, now.settled() + now.waiting());
    /// println!("{now}");                                   // a few lines for people
    /// println!("{} ns", now.formation.value_at_quantile(0.99));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        // All are asked before the first is waited for, so that they answer at the same time.
        for (shard, worker) in self.workers.iter().enumerate() {
            worker.ask_for_histograms();
            self.lanes.doorbell(shard).knock();
        }
        let clock = &self.entrance.clock;
        let deadline = clock.now().saturating_add(SNAPSHOT_PATIENCE);
        let rest = || deadline.saturating_sub(clock.now()).into();
        Snapshot::of_engine(self.workers.iter().map(|worker| worker.state(rest())).collect())
    }

    /// Closes the engine and settles everything that was accepted: open batches are handed over at
    /// once. Pushes from now on give their items back as `Closed`. Returns the last snapshot.
    ///
    /// # Errors
    ///
    /// [`ShutdownError::TimedOut`] if that takes longer than `within`: it says how many items were
    /// left, and where. Those fail as [`Stopped`](crate::Failure::Stopped) when the handler that
    /// holds things up returns; until then its thread is left behind.
    /// [`ShutdownError::ShardDied`] if a shard's thread ended by a panic: a fault of the engine.
    ///
    /// ```
    /// # use engine::{Engine, Item, ShutdownError};
    /// # use std::time::Duration;
    /// # struct Row(u64);
    /// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
    /// # let engine = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).start()?;
    /// match engine.shutdown(Duration::from_secs(5)) {
    ///     Ok(last) => assert_eq!(last.waiting(), 0),
    ///     Err(ShutdownError::TimedOut { left, .. }) => eprintln!("left behind: {left}"),
    ///     Err(other) => return Err(other.into()),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown(mut self, within: Duration) -> Result<Snapshot, ShutdownError> {
        let last = self.close(within.into()).map(|()| self.snapshot());
        self.workers.clear();
        last
    }

    fn close(&self, within: Nanos) -> Result<(), ShutdownError> {
        let clock = &self.entrance.clock;
        let deadline = clock.now().saturating_add(within);
        self.end(Close::Drain);
        let is_late =
            |worker: &&Worker| !worker.await_end(deadline.saturating_sub(clock.now()).into());
        // All of them are waited for, so that what is left is what is left at the deadline.
        if self.workers.iter().filter(is_late).count() > 0 {
            let left = self.left();
            self.end(Close::Stop);
            tracing::warn!(%left, "the time to shut down was up");
            return Err(ShutdownError::TimedOut { within, left });
        }
        match self.workers.iter().position(Worker::has_died) {
            Some(shard) => Err(ShutdownError::ShardDied { shard, left: self.left() }),
            None => Ok(()),
        }
    }

    fn left(&self) -> Left {
        self.workers.iter().fold(Left::default(), |left, worker| {
            let counters = worker.counters();
            Left {
                in_lanes: left.in_lanes + counters.in_lanes,
                open: left.open + counters.open,
                ready: left.ready + counters.ready,
                in_handler: left.in_handler + counters.in_handler,
                held: left.held + counters.operations.held,
                in_flight: left.in_flight + counters.operations.in_flight,
            }
        })
    }
}

impl<H: Handler, S> Drop for Engine<H, S> {
    fn drop(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        // A shard that drops its own engine can't wait for itself.
        let within = if self.entrance.home.is_here() { Nanos::ZERO } else { self.plan.drop_within };
        if let Err(error) = self.close(within) {
            tracing::error!(%error, "an engine was dropped before everything was settled");
        }
    }
}
