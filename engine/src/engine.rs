//! Builder, start, snapshot, shutdown.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use crossbeam_utils::sync::{Parker, Unparker};
use foldhash::fast::RandomState;
use ringbuf::{SeqlockReader, SeqlockWriter, seqlock};

use crate::error::{Left, ProducerError, ShutdownError, StartError};
use crate::handle::Handle;
use crate::handler::{FromFn, Handler};
use crate::home::Home;
use crate::idle::Idle;
use crate::item::Item;
use crate::lane::{Lanes, ShardLanes};
use crate::machine::Machine;
use crate::nanos::{Clock, Nanos};
use crate::pin::{Shards, pin};
use crate::plan::{AfterPanic, Plan, Settings};
use crate::producer::{Entrance, Producer};
use crate::router::Router;
use crate::shard::{Control, Factory, FactoryError, Shard, ShardId};
use crate::sizing::Sizing;
use crate::snapshot::{Pin, Snapshot};
use crate::tally::{Counters, Histograms};

/// What an engine is to be. Nothing is checked before [`start`](Builder::start), which parses the
/// settings into a [`Plan`] once, and refuses what can't work.
pub struct Builder<H: Handler, S = RandomState> {
    factory: Factory<H>,
    settings: Settings,
    hasher: S,
}

impl<H: Handler, S> fmt::Debug for Builder<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<H: Handler, S> Builder<H, S> {
    /// Which cores the shards run on. Default: one shard, on the last core.
    #[must_use]
    pub fn shards(mut self, shards: Shards) -> Self {
        self.settings.shards = shards;
        self
    }

    /// Whether shards are pinned to their cores. Default: yes. A pin that the system refuses is
    /// reported in the snapshot and by a warning, and does not stop the engine.
    #[must_use]
    pub fn pin(mut self, pin: bool) -> Self {
        self.settings.pin = pin;
        self
    }

    /// Producers that may exist at once: 1 to 1,024. Default: 4.
    #[must_use]
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.settings.lanes = lanes;
        self
    }

    /// Lanes of the shared [`Handle`], over which its keys are spread: 0 to 64. Default: 1.
    #[must_use]
    pub fn handle_lanes(mut self, lanes: usize) -> Self {
        self.settings.handle_lanes = lanes;
        self
    }

    /// Items that fit into one lane to one shard: 2 to 16,777,216, rounded up to a power of two.
    /// Default: 8,192.
    #[must_use]
    pub fn lane_items(mut self, items: usize) -> Self {
        self.settings.lane_items = items;
        self
    }

    /// Marks (items with a [`Patience`](crate::Patience) of their own, flushes) that fit into one
    /// lane to one shard: 2 to 16,777,216, rounded up to a power of two. Default: a quarter of
    /// `lane_items`, at least 64.
    #[must_use]
    pub fn lane_marks(mut self, marks: usize) -> Self {
        self.settings.lane_marks = Some(marks);
        self
    }

    /// Items that a turn takes from one lane before it looks at the next: 1 to 65,536. Smaller is
    /// fairer, larger is faster. Default: 1,024.
    #[must_use]
    pub fn drain_items(mut self, items: usize) -> Self {
        self.settings.drain_items = items;
        self
    }

    /// How long an item may linger for company, counted from its push: 1 µs to 1 h. Default: 10 ms.
    #[must_use]
    pub fn flush_after(mut self, flush_after: Duration) -> Self {
        self.settings.flush_after = flush_after;
        self
    }

    /// How batches are sized. Default: [`Sizing::Tiers`] with the default table.
    #[must_use]
    pub fn sizing(mut self, sizing: Sizing) -> Self {
        self.settings.sizing = sizing;
        self
    }

    /// Keys of one shard that may have a batch open: 1 to 67,108,864. With more, the oldest batch
    /// goes early ([`Trigger::Pressure`](crate::Trigger::Pressure)). Default: 65,536.
    #[must_use]
    pub fn open_keys(mut self, keys: usize) -> Self {
        self.settings.open_keys = keys;
        self
    }

    /// Items of one shard that may wait in open batches, if these are well filled: 1 to
    /// 1,073,741,824. With more, the oldest batches go early. Default: 131,072.
    #[must_use]
    pub fn open_items(mut self, items: usize) -> Self {
        self.settings.open_items = items;
        self
    }

    /// What shards do while nothing is there, and pushes while there is no room. Default:
    /// [`Idle::Auto`].
    #[must_use]
    pub fn idle(mut self, idle: Idle) -> Self {
        self.settings.idle = idle;
        self
    }

    /// What to do after a handler has panicked. Default: [`AfterPanic::Rebuild`].
    #[must_use]
    pub fn after_panic(mut self, after_panic: AfterPanic) -> Self {
        self.settings.after_panic = after_panic;
        self
    }

    /// How long dropping the engine, without a shutdown, may take to settle what is left: 0 to 1 h.
    /// Default: 5 s.
    #[must_use]
    pub fn drop_within(mut self, drop_within: Duration) -> Self {
        self.settings.drop_within = drop_within;
        self
    }

    /// The hasher of keys. The default, foldhash with a seed of its own for each engine, is fast and
    /// resists accidents; for keys that an attacker chooses take
    /// [`std::hash::RandomState`], which is SipHash.
    #[must_use]
    pub fn hasher<Other: BuildHasher + Clone>(self, hasher: Other) -> Builder<H, Other> {
        Builder { factory: self.factory, settings: self.settings, hasher }
    }

    /// What [`start`](Self::start) would make of it, without starting anything.
    ///
    /// # Errors
    ///
    /// [`StartError`], naming the setting, its value and what is allowed.
    pub fn plan(&self) -> Result<Plan, StartError> {
        Plan::parse::<H::Item, H::Reply, H::Error>(&self.settings, &Machine::here())
    }
}

/// What a start makes, before anything runs.
pub(crate) struct Opened<H: Handler, S> {
    pub(crate) plan: Plan,
    pub(crate) factory: Factory<H>,
    pub(crate) lanes: Lanes<H::Item>,
    pub(crate) shards: Vec<ShardLanes<H::Item>>,
    pub(crate) entrance: Entrance<S>,
}

impl<H: Handler, S: BuildHasher + Clone> Builder<H, S> {
    pub(crate) fn open(
        self,
        clock: Clock,
        home: Home,
        wake: impl FnMut(usize) -> Waker,
    ) -> Result<Opened<H, S>, StartError> {
        let plan = self.plan()?;
        let (lanes, shards) = ringbuf::lanes(plan.lanes_config(), wake);
        let entrance = Entrance {
            router: Router::new(self.hasher, plan.shards()),
            clock,
            idle: plan.idle,
            home,
        };
        Ok(Opened { plan, factory: self.factory, lanes, shards, entrance })
    }

    /// Starts the engine: takes all its memory, starts a thread for each shard, and returns when each
    /// has its handler.
    ///
    /// # Errors
    ///
    /// [`StartError`] if a setting can't work, a factory fails, or the system refuses a thread.
    /// Nothing is left running.
    pub fn start(self) -> Result<Engine<H, S>, StartError> {
        // The shards' parkers, made by the way: a doorbell knows its target from the start.
        let mut parkers = Vec::new();
        let opened = self.open(Clock::system(), Home::new(), |_| {
            let parker = Parker::new();
            let waker = Waker::from(Arc::new(Unpark(parker.unparker().clone())));
            parkers.push(parker);
            waker
        })?;
        let Opened { plan, factory, lanes, shards, entrance } = opened;
        tracing::info!(shards = plan.shards(), bytes = plan.bytes(), "starting\n{plan}");
        let handle = match plan.handle_lanes {
            0 => None,
            count => {
                let claimed: Vec<_> = (0..count).map_while(|_| lanes.claim()).collect();
                Some(Handle::new(claimed, entrance.clone()))
            }
        };
        let mut engine = Engine { plan, lanes, entrance, handle, shards: Vec::new() };
        let (started, starts) = bounded(engine.plan.shards());
        for (index, (lanes, parker)) in shards.into_iter().zip(parkers).enumerate() {
            let task = Task::new(&engine, index, lanes, parker, Arc::clone(&factory));
            engine.spawn(task, started.clone())?;
        }
        drop(started);
        for (index, made) in starts {
            let shard = &mut engine.shards[index];
            shard.pin = made.map_err(|source| StartError::Factory { shard: index, source })?;
            if let Pin::Refused(core) = shard.pin {
                tracing::warn!(shard = index, core, "the system refused to pin the shard");
            }
        }
        Ok(engine)
    }
}

/// Unparks a shard's thread.
struct Unpark(Unparker);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// What a shard's thread begins with.
struct Task<H: Handler> {
    shard: ShardId,
    plan: Plan,
    clock: Clock,
    home: Home,
    lanes: ShardLanes<H::Item>,
    parker: Parker,
    factory: Factory<H>,
    control: Receiver<Control>,
    counters: SeqlockWriter,
    ends: EngineEnds,
}

/// The engine's ends of what a shard's thread was given.
struct EngineEnds {
    control: Sender<Control>,
    counters: SeqlockReader,
}

/// Requests that may wait for one shard: a snapshot's, a close, a stop, and some of each to spare.
const REQUESTS: usize = 64;

impl<H: Handler> Task<H> {
    fn new<S>(
        engine: &Engine<H, S>,
        index: usize,
        lanes: ShardLanes<H::Item>,
        parker: Parker,
        factory: Factory<H>,
    ) -> Self {
        let (send, control) = bounded(REQUESTS);
        let (counters, read) = seqlock(Counters::WORDS);
        Self {
            shard: ShardId(index),
            plan: engine.plan.clone(),
            clock: engine.entrance.clock.clone(),
            home: engine.entrance.home.clone(),
            lanes,
            parker,
            factory,
            control,
            counters,
            ends: EngineEnds { control: send, counters: read },
        }
    }
}

/// How a shard's thread says whether it has its handler.
type Started = Sender<(usize, Result<Pin, FactoryError>)>;

/// A running shard, as the engine knows it.
struct Running {
    control: Sender<Control>,
    counters: SeqlockReader,
    pin: Pin,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    /// Only snapshots and the shutdown take this lock; the shard never does.
    seen: Mutex<Seen>,
}

/// The histograms that snapshots have collected from a shard so far.
struct Seen {
    sum: Histograms,
    /// A request that was not answered in time.
    pending: Option<Receiver<Box<Histograms>>>,
    thread: Option<JoinHandle<Box<Histograms>>>,
}

/// How long a snapshot waits for a shard that is inside its handler. Its histograms then come with
/// the next one.
const SNAPSHOT_PATIENCE: Duration = Duration::from_millis(20);

impl Seen {
    /// Collects what the shard has seen since the last time, if it answers.
    fn collect(&mut self, ask: impl FnOnce(Control) -> bool, largest: u32) {
        if self.pending.is_none() {
            let (reply, answer) = bounded(1);
            let asked = ask(Control::Swap(Box::new(Histograms::new(largest)), reply));
            self.pending = asked.then_some(answer);
        }
        if let Some(answer) = self.pending.take() {
            match answer.recv_timeout(SNAPSHOT_PATIENCE) {
                Ok(seen) => self.sum.add(&seen),
                Err(RecvTimeoutError::Timeout) => self.pending = Some(answer),
                Err(RecvTimeoutError::Disconnected) => {}
            }
        }
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished())
            && let Ok(seen) = thread.join()
        {
            self.sum.add(&seen);
        }
    }
}

impl Running {
    fn counters(&self) -> Counters {
        let mut words = [0; Counters::WORDS];
        self.counters.read(&mut words);
        Counters::read(&words)
    }
}

/// A running engine. See the [crate](crate) for the way of an item.
///
/// Dropping it closes it as [`shutdown`](Engine::shutdown) does, within the configured
/// [`drop_within`](Builder::drop_within).
pub struct Engine<H: Handler, S = RandomState> {
    plan: Plan,
    lanes: Lanes<H::Item>,
    entrance: Entrance<S>,
    handle: Option<Handle<H::Item, S>>,
    /// Empty after a shutdown.
    shards: Vec<Running>,
}

impl<H: Handler, S> fmt::Debug for Engine<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<H: Handler> Engine<H> {
    /// An engine with a handler for each shard, which `factory` makes on the shard's own thread. It
    /// is called again after a panic of the handler.
    pub fn builder(factory: impl Fn(ShardId) -> H + Send + Sync + 'static) -> Builder<H> {
        Self::try_builder(move |shard| Ok::<_, FactoryError>(factory(shard)))
    }

    /// As [`builder`](Self::builder), with a factory that may fail: `start()` returns its error;
    /// after a panic of the handler, it stops the shard.
    pub fn try_builder<X>(
        factory: impl Fn(ShardId) -> Result<H, X> + Send + Sync + 'static,
    ) -> Builder<H>
    where
        X: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Builder {
            factory: Arc::new(move |shard| factory(shard).map_err(Into::into)),
            settings: Settings::default(),
            hasher: RandomState::default(),
        }
    }
}

impl<T, R, E, F> Engine<FromFn<T, R, E, F>>
where
    T: Item,
    R: Clone + Send + 'static,
    E: Clone + Send + 'static,
    F: FnMut(T::Key<'_>, &[T]) -> Result<R, E> + Clone + Send + Sync + 'static,
{
    /// An engine whose handler is a closure: given a key and its items, it says whether all of them
    /// are done or all of them failed. Each shard gets a clone.
    ///
    /// ```
    /// use engine::{Engine, Item};
    /// use std::time::Duration;
    ///
    /// struct Row { table: &'static str, id: u64 }
    /// impl Item for Row {
    ///     type Key<'a> = &'a str;
    ///     fn key(&self) -> &str { self.table }
    /// }
    ///
    /// let engine = Engine::from_fn(|table, rows: &[Row]| {
    ///     assert!(rows.iter().all(|row| row.table == table && row.id < 100));
    ///     Ok::<(), ()>(())
    /// })
    /// .start()?;
    /// let mut producer = engine.producer()?;
    /// for id in 0..100 {
    ///     producer.push(Row { table: if id % 2 == 0 { "even" } else { "odd" }, id })?;
    /// }
    /// let last = engine.shutdown(Duration::from_secs(5))?;
    /// assert_eq!(last.done, 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_fn(call: F) -> Builder<FromFn<T, R, E, F>> {
        Self::builder(move |_| FromFn::new(call.clone()))
    }
}

impl<H: Handler, S> Engine<H, S> {
    fn spawn(&mut self, task: Task<H>, started: Started) -> Result<(), StartError> {
        let Task { shard, plan, clock, home, lanes, parker, factory, control, counters, ends } =
            task;
        let (alive, ended) = bounded(0);
        let largest = plan.batcher.sizing.largest();
        let thread = std::thread::Builder::new().name(format!("tidegate-{shard}"));
        let spawned = thread.spawn(move || {
            // Dropped last, however the thread ends.
            let _alive: Sender<()> = alive;
            home.enter();
            let pin = pin(plan.core(shard.0));
            match Shard::new(shard, &plan, clock, lanes, factory, control, counters) {
                Ok(made) => {
                    let _ = started.send((shard.0, Ok(pin)));
                    drop(started);
                    made.run(&plan.idle, &parker)
                }
                Err(error) => {
                    let _ = started.send((shard.0, Err(error)));
                    Box::new(Histograms::new(0))
                }
            }
        });
        let thread =
            spawned.map_err(|source| StartError::Thread { shard: shard.0, source })?;
        let sum = Histograms::new(largest);
        self.shards.push(Running {
            control: ends.control,
            counters: ends.counters,
            pin: Pin::None,
            ended,
            seen: Mutex::new(Seen { sum, pending: None, thread: Some(thread) }),
        });
        Ok(())
    }

    /// Asks a shard for something; `false` if it has ended.
    fn ask(&self, shard: usize, control: Control) -> bool {
        let asked = self.shards[shard].control.send(control).is_ok();
        self.lanes.doorbell(shard).knock();
        asked
    }

    /// What the engine was made into.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Takes a snapshot. Never stops a shard; waits some milliseconds at most for one that is inside
    /// its handler, and then shows its histograms as they were before.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let largest = self.plan.batcher.sizing.largest();
        let parts = self.shards.iter().enumerate().map(|(index, shard)| {
            let mut seen = shard.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.collect(|control| self.ask(index, control), largest);
            (shard.counters(), seen.sum.clone(), shard.pin)
        });
        Snapshot::of_engine(parts.collect())
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
        let result = self.close(within.into());
        let last = self.snapshot();
        self.shards.clear();
        result.map(|()| last)
    }

    fn close(&self, within: Nanos) -> Result<(), ShutdownError> {
        let clock = &self.entrance.clock;
        let deadline = clock.now().saturating_add(within);
        for shard in 0..self.shards.len() {
            self.ask(shard, Control::Close);
        }
        let mut late = false;
        for shard in &self.shards {
            let rest = deadline.saturating_sub(clock.now());
            late |= shard.ended.recv_timeout(rest.into()) == Err(RecvTimeoutError::Timeout);
        }
        if !late {
            return Ok(());
        }
        let mut left = Left::default();
        for (index, shard) in self.shards.iter().enumerate() {
            let counters = shard.counters();
            left.in_lanes += counters.in_lanes;
            left.open += counters.open;
            left.ready += counters.ready;
            left.in_handler += counters.in_handler;
            self.ask(index, Control::Stop);
        }
        tracing::warn!(%left, "the time to shut down was up");
        Err(ShutdownError::TimedOut { within, left })
    }
}

impl<H: Handler, S: BuildHasher + Clone> Engine<H, S> {
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
    /// [`handle_lanes(0)`](Builder::handle_lanes).
    pub fn handle(&self) -> Result<Handle<H::Item, S>, ProducerError> {
        self.handle.clone().ok_or(ProducerError::NoHandleLane)
    }
}

impl<H: Handler, S> Drop for Engine<H, S> {
    fn drop(&mut self) {
        if self.shards.is_empty() {
            return;
        }
        // A shard that drops its own engine can't wait for itself.
        let within = if self.entrance.home.is_here() { Nanos::ZERO } else { self.plan.drop_within };
        if let Err(error) = self.close(within) {
            tracing::error!(%error, "an engine was dropped before everything was settled");
        }
    }
}
