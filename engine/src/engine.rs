//! A running engine: ways in, snapshot, shutdown.

use std::fmt;
use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::error::{Left, ProducerError, ShutdownError, StartError};
use crate::handle::Handle;
use crate::handler::Handler;
use crate::lane::Lanes;
use crate::nanos::Nanos;
use crate::plan::Plan;
use crate::producer::{Entrance, Producer};
use crate::shard::Control;
use crate::snapshot::{Pin, Snapshot};
use crate::worker::Worker;

/// A running engine. See the [crate](crate) for the way of an item.
///
/// Dropping it closes it as [`shutdown`](Engine::shutdown) does, within the configured
/// [`drop_within`](crate::Builder::drop_within).
pub struct Engine<H: Handler, S = RandomState> {
    plan: Plan,
    lanes: Lanes<H::Item>,
    entrance: Entrance<S>,
    handle: Option<Handle<H::Item, S>>,
    /// One a shard; none after a shutdown.
    workers: Vec<Worker>,
}

impl<H: Handler, S> fmt::Debug for Engine<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<H: Handler, S: BuildHasher + Clone> Engine<H, S> {
    /// An engine that nobody works for yet.
    pub(crate) fn new(plan: Plan, lanes: Lanes<H::Item>, entrance: Entrance<S>) -> Self {
        let claimed: Vec<_> = (0..plan.handle_lanes).map_while(|_| lanes.claim()).collect();
        let handle = (!claimed.is_empty()).then(|| Handle::new(claimed, entrance.clone()));
        Self { plan, lanes, entrance, handle, workers: Vec::new() }
    }

    /// A producer, on the lowest lane that is free.
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoLane`] if all lanes are claimed.
    pub fn producer(&self) -> Result<Producer<H::Item, S>, ProducerError> {
        let lane = self.lanes.claim().ok_or(ProducerError::NoLane { lanes: self.plan.lanes })?;
        Ok(Producer::new(lane, self.entrance.clone()))
    }

    /// The way in that many threads and tasks share.
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoHandleLane`] if the engine was started with
    /// [`handle_lanes(0)`](crate::Builder::handle_lanes).
    pub fn handle(&self) -> Result<Handle<H::Item, S>, ProducerError> {
        self.handle.clone().ok_or(ProducerError::NoHandleLane)
    }
}

impl<H: Handler, S> Engine<H, S> {
    /// The next shard's thread.
    pub(crate) fn add(&mut self, worker: Worker) {
        self.workers.push(worker);
    }

    /// Waits until every shard has its handler.
    pub(crate) fn await_handlers(&mut self) -> Result<(), StartError> {
        for (shard, worker) in self.workers.iter_mut().enumerate() {
            let pin =
                worker.await_handler().map_err(|source| StartError::Factory { shard, source })?;
            if let Pin::Refused(core) = pin {
                tracing::warn!(shard, core, "the system refused to pin the shard");
            }
        }
        Ok(())
    }

    pub(crate) fn entrance(&self) -> &Entrance<S> {
        &self.entrance
    }

    /// What the engine was made into.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Asks a shard for something; `false` if it has ended.
    fn ask(&self, shard: usize, control: Control) -> bool {
        let asked = self.workers[shard].ask(control);
        self.lanes.doorbell(shard).knock();
        asked
    }

    /// Takes a snapshot. Never stops a shard; waits some milliseconds at most for one that is inside
    /// its handler, and then shows its histograms as they were before.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let workers = self.workers.iter().enumerate();
        let state =
            |(shard, worker): (usize, &Worker)| worker.state(|asked| self.ask(shard, asked));
        Snapshot::of_engine(workers.map(state).collect())
    }

    /// Closes the engine and settles everything that was accepted: open batches are handed over at
    /// once. Pushes from now on give their items back as `Closed`. Returns the last snapshot.
    ///
    /// # Errors
    ///
    /// [`ShutdownError::TimedOut`] if that takes longer than `within`: it says how many items were
    /// left, and where. Those fail as [`Stopped`](crate::Failure::Stopped) when the handler that
    /// holds things up returns; until then its thread is left behind.
    pub fn shutdown(mut self, within: Duration) -> Result<Snapshot, ShutdownError> {
        let last = self.close(within.into()).map(|()| self.snapshot());
        self.workers.clear();
        last
    }

    fn close(&self, within: Nanos) -> Result<(), ShutdownError> {
        let clock = &self.entrance.clock;
        let deadline = clock.now().saturating_add(within);
        for shard in 0..self.workers.len() {
            self.ask(shard, Control::Close);
        }
        let is_late =
            |worker: &Worker| !worker.await_end(deadline.saturating_sub(clock.now()).into());
        // All of them are waited for, so that what is left is what is left at the deadline.
        if self.workers.iter().filter(|worker| is_late(worker)).count() == 0 {
            return Ok(());
        }
        let mut left = Left::default();
        for (shard, worker) in self.workers.iter().enumerate() {
            let counters = worker.counters();
            left.in_lanes += counters.in_lanes;
            left.open += counters.open;
            left.ready += counters.ready;
            left.in_handler += counters.in_handler;
            self.ask(shard, Control::Stop);
        }
        tracing::warn!(%left, "the time to shut down was up");
        Err(ShutdownError::TimedOut { within, left })
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
