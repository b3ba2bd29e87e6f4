//! What a user says an engine is to be.

mod operations;

use std::fmt;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use ringbuf::{FlagReader, ReplyPool, flags};

use crate::dead_letters::DeadLetters;
use crate::engine::Engine;
use crate::entrance::{Entrance, Knows};
use crate::error::StartError;
use crate::flight::Knock;
use crate::grouping::Grouping;
use crate::handler::{FromFn, Handler};
use crate::home::Home;
use crate::idle::Idle;
use crate::item::Item;
use crate::lane::{Lanes, ShardLanes};
use crate::machine::Machine;
use crate::nanos::Clock;
use crate::observer::Observer;
use crate::pin::Shards;
use crate::plan::{AfterPanic, Plan, Settings};
use crate::queues::Surroundings;
use crate::router::{self, KeyHasher, Router};
use crate::shard::{Ends, Factory, FactoryError, Plain, Queued, Shard, Windowed};
use crate::shard_id::ShardId;
use crate::sizing::Sizing;
use crate::ticket::Calls;
use crate::worker::{self, Worker};

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
            hooks: Hooks::default(),
            hasher: router::key_hasher(),
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

/// What an engine is to be. Nothing is checked before [`start`](Builder::start), which parses the
/// settings into a [`Plan`] once, and refuses what can't work.
///
/// ```
/// # use engine::{Engine, Item, Shards, Sizing, StartError};
/// # use std::time::Duration;
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// let builder = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(()))
///     .shards(Shards::Count(2))
///     .lanes(8)
///     .sizing(Sizing::Fixed(500))
///     .flush_after(Duration::from_millis(2));
/// println!("{}", builder.plan()?);                     // what it would be, as a table
///
/// let refused = builder.flush_after(Duration::ZERO).start().unwrap_err();
/// assert_eq!(refused.to_string(), "flush_after is 0ns; allowed: 1µs to 3600s");
/// # Ok::<(), StartError>(())
/// ```
pub struct Builder<H: Handler, S = KeyHasher> {
    factory: Factory<H>,
    settings: Settings,
    hooks: Hooks<H>,
    hasher: S,
}

/// What a user wants to be told, or asked.
pub(crate) struct Hooks<H: Handler> {
    dead_letters: Option<Arc<dyn DeadLetters<H::Item, H::Error>>>,
    observer: Option<Arc<dyn Observer>>,
    knows: Option<Knows<H::Item>>,
}

impl<H: Handler> Default for Hooks<H> {
    fn default() -> Self {
        Self { dead_letters: None, observer: None, knows: None }
    }
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

    /// Lanes of the shared [`Handle`](crate::Handle), over which its keys are spread: 0 to 64. Default: 1.
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

    /// Marks that fit into one lane to one shard: items with a [`Patience`](crate::Patience) of their own,
    /// flushes of a producer, calls, and legs of a route take one each. With no room for its mark an item
    /// finds the lane full: 2 to 16,777,216, rounded up to a power of two. Default: a quarter of
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
        self.settings.tunables.flush_after = flush_after;
        self
    }

    /// How batches are sized. Default: [`Sizing::Tiers`] with the default table.
    #[must_use]
    pub fn sizing(mut self, sizing: Sizing) -> Self {
        self.settings.tunables.sizing = sizing;
        self
    }

    /// Items of the largest batch that a later [change](Engine::tune) of the sizing may ask for: 1 to
    /// 32,768, and not less than the sizing at the start has. Memory is taken for it. Default: what the
    /// sizing at the start has.
    #[must_use]
    pub fn batch_items_max(mut self, items: u32) -> Self {
        self.settings.batch_items_max = Some(items);
        self
    }

    /// How the items of one key are brought together. Default: [`Grouping::Hashed`]. With
    /// [windows](Grouping::Windowed), [`open_keys`](Self::open_keys) and
    /// [`open_items`](Self::open_items) mean nothing, and no memory is taken for them.
    #[must_use]
    pub fn grouping(mut self, grouping: Grouping) -> Self {
        self.settings.grouping = grouping;
        self
    }

    /// Keys that one shard remembers, and so that may have a batch open: 1 to 67,108,864. With more,
    /// keys without an open batch are forgotten, and where there are none, the oldest batch goes early
    /// ([`Trigger::Pressure`](crate::Trigger::Pressure)). Default: 65,536.
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
    /// [`std::hash::RandomState`], which is SipHash. Producers and shards have a clone each, and each
    /// item is hashed on both sides: clones must agree.
    #[must_use]
    pub fn hasher<Other: BuildHasher + Clone>(self, hasher: Other) -> Builder<H, Other> {
        let Self { factory, settings, hooks, .. } = self;
        Builder { factory, settings, hooks, hasher }
    }

    /// What [`start`](Self::start) would make of it, without starting anything.
    ///
    /// # Errors
    ///
    /// [`StartError`], naming the setting, its value and what is allowed.
    pub fn plan(&self) -> Result<Plan, StartError> {
        let Hooks { dead_letters, observer, .. } = &self.hooks;
        let mut settings = self.settings.clone();
        settings.queues |= dead_letters.is_some();
        settings.observed = observer.is_some();
        Plan::parse::<H::Item, H::Reply, H::Error>(&settings, &Machine::here())
    }
}

/// What a start makes, before anything runs.
pub(crate) struct Opened<H: Handler, S> {
    pub(crate) plan: Plan,
    pub(crate) factory: Factory<H>,
    pub(crate) lanes: Lanes<H::Item, H::Reply, H::Error>,
    pub(crate) shards: Vec<ShardLanes<H::Item, H::Reply, H::Error>>,
    pub(crate) entrance: Entrance<H::Item, H::Reply, H::Error, S>,
    pub(crate) watch: Watch<H>,
    /// Of each shard, where calls may be made: those that are to be cancelled.
    pub(crate) cancels: Vec<FlagReader>,
}

/// What the shards of one engine share, where they keep queues.
pub(crate) struct Watch<H: Handler> {
    pub(crate) observer: Option<Arc<dyn Observer>>,
    dead_letters: Option<Arc<dyn DeadLetters<H::Item, H::Error>>>,
    /// A random number of this run.
    run: u64,
    knock: Arc<dyn Fn(usize) + Send + Sync>,
}

impl<H: Handler> Clone for Watch<H> {
    fn clone(&self) -> Self {
        Self {
            observer: self.observer.clone(),
            dead_letters: self.dead_letters.clone(),
            run: self.run,
            knock: Arc::clone(&self.knock),
        }
    }
}

impl<H: Handler> Watch<H> {
    /// What one shard's queues are told.
    pub(crate) fn surroundings<S: BuildHasher + Clone + 'static>(
        &self,
        shard: ShardId,
        plan: &Plan,
        router: &Router<S>,
        cancels: Option<FlagReader>,
    ) -> Surroundings<H::Item, H::Error> {
        let (router, knock) = (router.clone(), Arc::clone(&self.knock));
        let index = shard.index();
        let knock: Knock = Arc::new(move || knock(index));
        Surroundings {
            run: self.run,
            shard: index,
            lanes: plan.all_lanes(),
            locate: Rc::new(move |item| router.locate(item)),
            dead_letters: self.dead_letters.clone(),
            cancels,
            knock,
        }
    }
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
        let router = Router::new(self.hasher, plan.shards());
        let bells = lanes.clone();
        let knock: Arc<dyn Fn(usize) + Send + Sync> =
            Arc::new(move |shard| bells.doorbell(shard).knock());
        let replies = plan.operations.as_ref().map_or(0, |operations| operations.replies_max);
        let (mut raise, mut cancels) = (Vec::new(), Vec::new());
        for _ in 0..if replies > 0 { plan.shards() } else { 0 } {
            let (flags, reader) = flags(replies);
            raise.push(flags);
            cancels.push(reader);
        }
        let calls = (replies > 0).then(|| {
            Arc::new(Calls {
                pool: ReplyPool::new(replies),
                cancels: raise,
                knock: Arc::clone(&knock),
                home: home.clone(),
                clock: clock.clone(),
            })
        });
        let Hooks { dead_letters, observer, knows } = self.hooks;
        let weight_max = plan.weight_max();
        let idle = plan.idle;
        let entrance = Entrance { router, clock, idle, home, calls, knows, weight_max };
        let run = router::random();
        let watch = Watch { observer, dead_letters, run, knock };
        Ok(Opened { plan, factory: self.factory, lanes, shards, entrance, watch, cancels })
    }
}

impl<H: Handler, S: BuildHasher + Clone + Send + 'static> Builder<H, S> {
    /// Starts the engine: takes all its memory, starts a thread for each shard, and returns when each
    /// has its handler.
    ///
    /// # Errors
    ///
    /// [`StartError`] if a setting can't work, a factory fails, or the system refuses a thread.
    /// Nothing is left running.
    pub fn start(self) -> Result<Engine<H, S>, StartError> {
        // Made on the way, since a doorbell knows whom to wake from the start.
        let mut parkers = Vec::new();
        let opened = self.open(Clock::system(), Home::new(), |_| {
            let (parker, waker) = worker::parker();
            parkers.push(parker);
            waker
        })?;
        let Opened { plan, factory, lanes, shards, entrance, watch, cancels } = opened;
        tracing::info!(shards = plan.shards(), bytes = plan.bytes(), "starting\n{plan}");
        let mut engine = Engine::new(plan, lanes, entrance);
        let mut cancels = cancels.into_iter();
        for (lanes, parker) in shards.into_iter().zip(parkers) {
            let shard = ShardId(lanes.shard());
            let entrance = engine.entrance().clone();
            let plan = engine.plan().clone();
            let factory = Arc::clone(&factory);
            let (watch, cancels) = (watch.clone(), cancels.next());
            let observer = watch.observer.clone();
            let ends =
                move |mailbox, counters| Ends { lanes, factory, mailbox, counters, observer };
            let worker = match (plan.operations.clone(), plan.windows) {
                (None, Some(windows)) => {
                    Worker::spawn(shard, engine.plan(), parker, move |mailbox, counters| {
                        entrance.home.enter();
                        let ends = ends(mailbox, counters);
                        Shard::<H, S, Windowed<H>>::new(shard, &plan, &entrance, ends, windows)
                    })
                }
                (None, None) => {
                    Worker::spawn(shard, engine.plan(), parker, move |mailbox, counters| {
                        entrance.home.enter();
                        let ends = ends(mailbox, counters);
                        Shard::<H, S, Plain<H>>::new(shard, &plan, &entrance, ends, plan.batcher)
                    })
                }
                (Some(operations), _) => {
                    Worker::spawn(shard, engine.plan(), parker, move |mailbox, counters| {
                        entrance.home.enter();
                        let ends = ends(mailbox, counters);
                        let around = watch.surroundings(shard, &plan, &entrance.router, cancels);
                        let parts = (operations, around);
                        Shard::<H, S, Queued<H>>::new(shard, &plan, &entrance, ends, parts)
                    })
                }
            };
            engine.add(worker?);
        }
        engine.await_handlers()?;
        Ok(engine)
    }
}
