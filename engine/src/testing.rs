//! Tools to test handlers, and whole engines, without threads and without waiting.

use std::fmt;
use std::hash::BuildHasher;
use std::task::Waker;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use ringbuf::seqlock;

use crate::arena::Arena;
use crate::batch::{Desk, Group, Settled};
use crate::builder::{Builder, Opened};
use crate::error::{ProducerError, StartError};
use crate::handle::Handle;
use crate::handler::Handler;
use crate::home::Home;
use crate::item::Item;
use crate::lane::Lanes;
use crate::nanos::{Clock, MadeUp, Nanos};
use crate::plan::Plan;
use crate::producer::{Entrance, Producer};
use crate::router::KeyHasher;
use crate::shard::{Control, Shard, ShardId};
use crate::snapshot::{Pin, Snapshot};
use crate::tally::Counters;
use crate::verdict::{Failure, Trigger};

/// Lays `items` out as one batch, lets `handle` settle it, and returns the outcome of each item by
/// its place. The batch's trigger is [`Trigger::Size`].
///
/// The closure must work for every lifetime, so neither the batch nor its proof can leave it.
///
/// ```
/// use engine::{testing, Failure, Item, Verdict};
///
/// struct Order(i64);
/// impl Item for Order {
///     type Key<'a> = ();
///     fn key(&self) {}
/// }
///
/// let outcomes = testing::with_batch(vec![Order(3), Order(-1)], |batch| {
///     batch.settle_each(|order| match order.0 {
///         n if n < 0 => Verdict::Failed("negative"),
///         n => Verdict::Done(n * 2),
///     })
/// });
/// assert_eq!(outcomes, [Ok(6), Err(Failure::Handler("negative"))]);
/// ```
///
/// # Panics
///
/// If `items` is empty, since no batch ever is, and if `handle` panics.
pub fn with_batch<T: Item, R, E>(
    items: Vec<T>,
    handle: impl for<'x> FnOnce(Group<'x, T, R, E>) -> Settled<'x>,
) -> Vec<Result<R, Failure<E>>> {
    assert!(!items.is_empty(), "a batch is never empty");
    let count = items.len();
    let mut arena = Arena::new(count, count);
    let mut block = arena.block(count).expect("the arena was made for this batch");
    for item in items {
        assert!(block.push(item).is_ok(), "the block was made for this batch");
    }
    let mut desk = Desk::with_outcomes(block, Trigger::Size);
    let _settled = handle(Group::new(&mut desk));
    desk.conclude();
    let (block, outcomes) = desk.into_outcomes(count);
    arena.release(block);
    outcomes
}

/// A whole engine without threads, stepped by hand on a made-up clock that stands still until it is
/// moved: for tests that must not wait, and must come out the same every time.
///
/// Everything but the threads is what [`Builder::start`] makes: the same lanes, turns and batches. A
/// push that would have to wait for room answers [`WouldDeadlock`](crate::PushError::WouldDeadlock).
///
/// ```
/// use engine::testing::Stepped;
/// use engine::{Engine, Item, Sizing, Trigger};
/// use std::time::Duration;
///
/// struct Row(u64);
/// impl Item for Row {
///     type Key<'a> = u64;
///     fn key(&self) -> u64 { self.0 }
/// }
///
/// let builder = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).sizing(Sizing::Fixed(100));
/// let mut engine = Stepped::new(builder)?;
/// let mut producer = engine.producer()?;
/// producer.push(Row(7))?;
/// engine.settle();
/// assert_eq!(engine.snapshot().open, 1);           // it lingers for company
/// engine.advance(Duration::from_millis(10));
/// engine.settle();
/// assert_eq!(engine.snapshot().done, 1);           // its deadline came
/// assert_eq!(engine.snapshot().triggers[Trigger::Deadline.index()], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stepped<H: Handler, S = KeyHasher> {
    plan: Plan,
    lanes: Lanes<H::Item>,
    entrance: Entrance<S>,
    handle: Option<Handle<H::Item, S>>,
    hand: MadeUp,
    shards: Vec<Shard<H, S>>,
    control: Vec<Sender<Control>>,
}

impl<H: Handler, S> fmt::Debug for Stepped<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepped").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<H: Handler, S: BuildHasher + Clone> Stepped<H, S> {
    /// Makes the engine that `builder` describes, at time zero.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn new(builder: Builder<H, S>) -> Result<Self, StartError> {
        let (clock, hand) = Clock::made_up();
        let opened = builder.open(clock, Home::Stepped, |_| Waker::noop().clone())?;
        let Opened { plan, factory, lanes, shards: ends, entrance } = opened;
        let claimed: Vec<_> = (0..plan.handle_lanes).map_while(|_| lanes.claim()).collect();
        let handle = (!claimed.is_empty()).then(|| Handle::new(claimed, entrance.clone()));
        let mut shards = Vec::new();
        let mut control = Vec::new();
        for (index, lanes) in ends.into_iter().enumerate() {
            let (send, requests) = bounded(1);
            let (counters, _) = seqlock(Counters::WORDS);
            let shard = ShardId(index);
            let factory = factory.clone();
            let made = Shard::new(shard, &plan, &entrance, lanes, factory, requests, counters);
            shards.push(made.map_err(|source| StartError::Factory { shard: index, source })?);
            control.push(send);
        }
        Ok(Self { plan, lanes, entrance, handle, hand, shards, control })
    }

    /// A producer, as [`Engine::producer`](crate::Engine::producer).
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoLane`] if all lanes are claimed.
    pub fn producer(&self) -> Result<Producer<H::Item, S>, ProducerError> {
        let lane = self.lanes.claim().ok_or(ProducerError::NoLane { lanes: self.plan.lanes })?;
        Ok(Producer::new(lane, self.entrance.clone()))
    }

    /// The shared way in, as [`Engine::handle`](crate::Engine::handle). Room that is reserved is
    /// waited for in vain until a turn makes it: poll, do not block.
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoHandleLane`] if the builder said
    /// [`handle_lanes(0)`](Builder::handle_lanes).
    pub fn handle(&self) -> Result<Handle<H::Item, S>, ProducerError> {
        self.handle.clone().ok_or(ProducerError::NoHandleLane)
    }
}

impl<H: Handler, S: BuildHasher> Stepped<H, S> {
    /// The time since the engine was made.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.entrance.clock.now()
    }

    /// Moves the clock on. Nothing happens until the next turn.
    pub fn advance(&mut self, by: Duration) {
        self.hand.advance(by.into());
    }

    /// One turn of each shard: drain, group, decide, hand over. Says whether there was anything to
    /// do.
    pub fn turn(&mut self) -> bool {
        let now = self.now();
        let mut worked = false;
        for shard in &mut self.shards {
            worked |= shard.turn(now);
        }
        worked
    }

    /// Turns until nothing is left to do at this time.
    pub fn settle(&mut self) {
        while self.turn() {}
    }

    /// When a turn has something to do, if nothing is pushed before: the next deadline, up to a tick
    /// of the timer wheel early.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        let running = self.shards.iter().filter(|shard| !shard.has_ended());
        running.filter_map(Shard::next_deadline).min()
    }

    /// The state as of the last turn.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let parts = self.shards.iter().map(|shard| {
            let tally = shard.tally();
            (tally.counters.clone(), (*tally.histograms).clone(), Pin::None)
        });
        Snapshot::of_engine(parts.collect())
    }

    /// The engine's plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Closes the engine: pushes give their items back from the next turn on.
    pub fn close(&mut self) {
        for (shard, control) in self.control.iter().enumerate() {
            // Full: it was asked before.
            let _ = control.try_send(Control::Close);
            self.lanes.doorbell(shard).knock();
        }
    }

    /// Closes the engine, settles what was accepted, and returns the last state.
    #[must_use]
    pub fn shutdown(mut self) -> Snapshot {
        self.close();
        while !self.shards.iter().all(Shard::has_ended) {
            self.turn();
        }
        self.snapshot()
    }
}
