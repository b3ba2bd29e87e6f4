//! Tools to test handlers, and whole engines, without threads and without waiting.

use std::fmt;
use std::hash::BuildHasher;
use std::task::Waker;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, unbounded};

use ringbuf::seqlock;

use crate::arena::Arena;
use crate::batch::{Desk, Group, Settled, outcome};
use crate::builder::{Builder, Opened};
use crate::engine::{EngineHandle, EngineProducer};
use crate::entrance::Entrance;
use crate::error::{ControlError, FlushError, ProducerError, StartError, TuneError};
use crate::handle::Handle;
use crate::handler::Handler;
use crate::home::Home;
use crate::item::Item;
use crate::lane::Lanes;
use crate::nanos::{Clock, MadeUp, Nanos};
use crate::plan::Plan;
use crate::producer::Producer;
use crate::queues::FlushAsked;
use crate::router::KeyHasher;
use crate::shard::{
    Close, Ends, Operation, Plain, Post, Queued, Request, Shard, Stepping, Windowed, mailbox,
};
use crate::shard_id::ShardId;
use crate::snapshot::{Pin, Snapshot};
use crate::tally::Counters;
use crate::tray::Tray;
use crate::tunables::Tunables;
use crate::verdict::{Failure, Trigger};
use crate::verdicts::Verdicts;

/// Requests that may wait for one shard until its next turn.
const REQUESTS: usize = 1_024;

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
    let mut verdicts = Verdicts::with_capacity(count);
    let mut tray = Tray::of_test(count);
    let mut desk = Desk::with_tray(&mut block, Trigger::Size, &mut verdicts, &mut tray);
    let _settled = handle(Group::new(&mut desk));
    let outcomes = (0..count).map(|at| verdicts.take(at).map_or(Err(Failure::Undecided), outcome));
    let outcomes = outcomes.collect();
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
    tunables: Tunables,
    lanes: Lanes<H::Item, H::Reply, H::Error>,
    entrance: Entrance<H::Item, H::Reply, H::Error, S>,
    handle: Option<EngineHandle<H, S>>,
    hand: MadeUp,
    shards: Vec<Box<dyn Stepping>>,
    posts: Vec<Post>,
}

impl<H: Handler, S> fmt::Debug for Stepped<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepped").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<H: Handler, S: BuildHasher + Clone + 'static> Stepped<H, S> {
    /// Makes the engine that `builder` describes, at time zero.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn new(builder: Builder<H, S>) -> Result<Self, StartError> {
        let (clock, hand) = Clock::made_up();
        let opened = builder.open(clock, Home::Stepped, |_| Waker::noop().clone())?;
        let Opened { plan, factory, lanes, shards: ends, entrance, watch, cancels } = opened;
        let mut cancels = cancels.into_iter();
        let claimed: Vec<_> = (0..plan.handle_lanes).map_while(|_| lanes.claim()).collect();
        let handle = (!claimed.is_empty()).then(|| Handle::new(claimed, entrance.clone()));
        let mut shards = Vec::new();
        let mut posts = Vec::new();
        for (index, lanes) in ends.into_iter().enumerate() {
            let (post, mailbox) = mailbox(REQUESTS);
            let queues = plan.operations.is_some();
            let words = if queues { Counters::ALL_WORDS } else { Counters::WORDS };
            let (counters, _) = seqlock(words);
            let shard = ShardId(index);
            let (factory, observer) = (factory.clone(), watch.observer.clone());
            let ends = Ends { lanes, factory, mailbox, counters, observer };
            let fail = |source| StartError::Factory { shard: index, source };
            let made: Box<dyn Stepping> = match (plan.operations.clone(), plan.windows) {
                (None, Some(windows)) => {
                    let made =
                        Shard::<H, S, Windowed<H>>::new(shard, &plan, &entrance, ends, windows);
                    Box::new(made.map_err(fail)?)
                }
                (None, None) => {
                    let made =
                        Shard::<H, S, Plain<H>>::new(shard, &plan, &entrance, ends, plan.batcher);
                    Box::new(made.map_err(fail)?)
                }
                (Some(operations), _) => {
                    let router = &entrance.router;
                    let around = watch.surroundings(shard, &plan, router, cancels.next());
                    let parts = (operations, around);
                    let made = Shard::<H, S, Queued<H>>::new(shard, &plan, &entrance, ends, parts);
                    Box::new(made.map_err(fail)?)
                }
            };
            shards.push(made);
            posts.push(post);
        }
        let tunables = plan.tunables;
        Ok(Self { plan, tunables, lanes, entrance, handle, hand, shards, posts })
    }

    /// A producer, as [`Engine::producer`](crate::Engine::producer).
    ///
    /// # Errors
    ///
    /// [`ProducerError::NoLane`] if all lanes are claimed.
    pub fn producer(&self) -> Result<EngineProducer<H, S>, ProducerError> {
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
    pub fn handle(&self) -> Result<EngineHandle<H, S>, ProducerError> {
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
        running.filter_map(|shard| shard.next_deadline()).min()
    }

    /// The state as of the last turn.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let parts = self.shards.iter().map(|shard| {
            let tally = shard.tally();
            (tally.as_of_now(), (*tally.histograms).clone(), Pin::None)
        });
        Snapshot::of_engine(parts.collect())
    }

    /// Pauses everything, on all shards, and hands exactly one item over: of the first shard that has one
    /// that may go, the one that came first there. See [`Engine::step`](crate::Engine::step). Says whether
    /// there was one.
    pub fn step(&mut self) -> bool {
        let now = self.now();
        self.shards.iter_mut().for_each(|shard| shard.pause_all());
        self.shards.iter_mut().any(|shard| shard.step(now))
    }

    /// Pauses a key: see [`Engine::pause`](crate::Engine::pause). Effective from the next turn on.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoQueues`] if the engine keeps none.
    pub fn pause(&mut self, key: &<H::Item as Item>::Key<'_>) -> Result<(), ControlError> {
        let hash = self.entrance.router.hash_key::<H::Item>(key);
        // Whether there is room for the key is found out in the turn.
        self.operate(key, || Operation::Pause(hash, bounded(1).0))
    }

    /// Lets a paused key go on: see [`Engine::resume`](crate::Engine::resume). Effective from the next
    /// turn on.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoQueues`] if the engine keeps none.
    pub fn resume(&mut self, key: &<H::Item as Item>::Key<'_>) -> Result<(), ControlError> {
        let hash = self.entrance.router.hash_key::<H::Item>(key);
        self.operate(key, || Operation::Resume(hash))
    }

    /// Lets everything go on that was paused. Effective from the next turn on.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoQueues`] if the engine keeps none.
    pub fn resume_all(&mut self) -> Result<(), ControlError> {
        (0..self.shards.len()).try_for_each(|shard| self.ask(shard, Operation::ResumeAll))
    }

    /// Begins to flush a key: see [`Engine::flush`](crate::Engine::flush). Ask in later turns whether it is
    /// complete.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoQueues`] if the engine keeps none.
    pub fn flush(&mut self, key: &<H::Item as Item>::Key<'_>) -> Result<Flushing, ControlError> {
        let hash = self.entrance.router.hash_key::<H::Item>(key);
        let (done, flushing) = unbounded();
        self.operate(key, || {
            let done = done.clone();
            Operation::Flush(FlushAsked { hash: Some(hash), deadline: Nanos::MAX, done })
        })?;
        Ok(Flushing { done: flushing })
    }

    /// How the engine is sized and limited: see [`Engine::tunables`](crate::Engine::tunables).
    #[must_use]
    pub fn tunables(&self) -> Tunables {
        self.tunables
    }

    /// Changes the sizing and limits: see [`Engine::tune`](crate::Engine::tune). Effective from the next turn
    /// on.
    ///
    /// # Errors
    ///
    /// [`TuneError`] if this can't be, or every shard has stopped.
    pub fn tune(&mut self, change: impl FnOnce(&mut Tunables)) -> Result<(), TuneError> {
        let mut wanted = self.tunables;
        change(&mut wanted);
        self.plan.check_tuning(&self.tunables, &wanted)?;
        let running = |index: &usize| !self.shards[*index].has_ended();
        let running: Vec<_> = (0..self.shards.len()).filter(running).collect();
        if running.is_empty() {
            return Err(TuneError::Closed);
        }
        for shard in running {
            let asked = self.posts[shard].try_ask(Request::Tune(wanted, bounded(1).0));
            asked.map_err(|_| TuneError::Closed)?;
            self.lanes.doorbell(shard).knock();
        }
        self.tunables = wanted;
        Ok(())
    }

    /// To each shard that may have items of a key.
    fn operate(
        &mut self,
        key: &<H::Item as Item>::Key<'_>,
        operation: impl Fn() -> Operation,
    ) -> Result<(), ControlError> {
        let hash = self.entrance.router.hash_key::<H::Item>(key);
        match self.entrance.router.shard_of_key::<H::Item>(key, hash) {
            Some(shard) => self.ask(shard, operation()),
            None => (0..self.shards.len()).try_for_each(|shard| self.ask(shard, operation())),
        }
    }

    fn ask(&mut self, shard: usize, operation: Operation) -> Result<(), ControlError> {
        if self.plan.operations.is_none() {
            return Err(ControlError::NoQueues);
        }
        let asked = self.posts[shard].try_ask(Request::Operate(operation));
        asked.map_err(|_| ControlError::Closed)?;
        self.lanes.doorbell(shard).knock();
        Ok(())
    }

    /// The engine's plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Closes the engine: pushes give their items back from the next turn on.
    pub fn close(&mut self) {
        for (shard, post) in self.posts.iter().enumerate() {
            post.close(Close::Drain);
            self.lanes.doorbell(shard).knock();
        }
    }

    /// Closes the engine, settles what was accepted, and returns the last state.
    #[must_use]
    pub fn shutdown(mut self) -> Snapshot {
        self.close();
        while !self.shards.iter().all(|shard| shard.has_ended()) {
            self.turn();
        }
        self.snapshot()
    }
}

/// A flush of a [`Stepped`] engine, on its way.
#[derive(Debug)]
pub struct Flushing {
    /// Heard from each shard that has something to flush, and then from none.
    done: Receiver<Result<(), FlushError>>,
}

impl Flushing {
    /// Takes what came of it on the next shard that is through; `None` while none is.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), FlushError>> {
        self.done.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::TryRecvError;

    use super::*;
    use crate::batch::Settled;
    use crate::handler::Batch;
    use crate::nanos::READS;
    use crate::queues::LOOKS;
    use crate::retry::Retry;
    use crate::sizing::Sizing;
    use crate::verdict::Verdict;
    use crate::{Engine, Grouping, Shards};

    struct Row(u64);

    impl Item for Row {
        type Key<'a> = u64;

        fn key(&self) -> u64 {
            self.0 % 8
        }
    }

    struct Takes;

    impl Handler for Takes {
        type Item = Row;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_all(|_, _| Ok(()))
        }
    }

    fn reads_of(work: impl FnOnce()) -> u64 {
        let before = READS.get();
        work();
        READS.get() - before
    }

    #[test]
    fn a_turn_under_load_reads_the_clock_once_and_a_push_never() {
        let builder = || Engine::builder(|_| Takes).shards(Shards::Count(1)).pin(false);
        let fixed = || builder().sizing(Sizing::Fixed(100));
        for builder in [builder(), fixed().queues(true), fixed().grouping(Grouping::WINDOWED)] {
            let mut engine = Stepped::new(builder).expect("the settings can work");
            let mut producer = engine.producer().expect("a lane");
            // The first turns, and a deep one from time to time, measure some of their batches.
            for warm in [true, true, false] {
                let pushes = reads_of(|| {
                    for n in 0..2_000 {
                        producer.try_push(Row(n)).expect("there is room");
                    }
                });
                let turn = reads_of(|| {
                    engine.turn();
                });
                if !warm {
                    assert_eq!((pushes, turn), (0, 1));
                }
            }
            engine.advance(Duration::from_secs(1));
            engine.settle();
            assert_eq!(engine.snapshot().done, 6_000);
        }
    }

    /// Tries everything again.
    struct Again;

    impl Handler for Again {
        type Item = Row;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_each(|_| Verdict::Retry(()))
        }
    }

    #[test]
    fn a_flush_that_nobody_waits_for_any_more_is_forgotten() {
        let hour = Duration::from_secs(3_600);
        let retry = Retry { first: hour, longest: hour, ..Retry::attempts(2) };
        let builder = Engine::builder(|_| Again).shards(Shards::Count(1)).retry(retry);
        let mut engine = Stepped::new(builder).expect("the settings can work");
        let mut producer = engine.producer().expect("a lane");
        producer.try_push(Row(1)).expect("there is room");
        engine.settle();
        let millisecond = Duration::from_millis(1);
        let (done, flushed) = bounded(1);
        let deadline = engine.now().saturating_add(millisecond.into());
        let asked = FlushAsked { hash: None, deadline, done };
        engine.ask(0, Operation::Flush(asked)).expect("there are queues");
        engine.settle();
        assert_eq!(flushed.try_recv(), Err(TryRecvError::Empty), "a backoff is not cut short");
        engine.advance(millisecond);
        engine.settle();
        assert_eq!(flushed.try_recv(), Ok(Err(FlushError::TimedOut)));
        assert_eq!(flushed.try_recv(), Err(TryRecvError::Disconnected), "nobody holds its end");
    }

    /// Takes everything along, and gives it back at once.
    struct Leaves;

    impl Handler for Leaves {
        type Item = Row;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            match batch.detach() {
                Ok((settled, away)) => {
                    away.settle_each(|_| Verdict::Done(()));
                    settled
                }
                Err(batch) => batch.settle_all(|_, _| Ok(())),
            }
        }
    }

    /// Looks at nodes that so many items take, by their numbers, from their push until they are done; retries,
    /// if any, come within a second.
    fn looks<H: Handler>(builder: Builder<H>, items: u64, item: impl Fn(u64) -> H::Item) -> u64 {
        let builder = builder
            .shards(Shards::Count(1))
            .queues(true)
            .open_items(4_000)
            .held_items_max(4_000)
            .lane_items(4_096)
            .drain_items(4_096);
        let mut engine = Stepped::new(builder).expect("the settings can work");
        let mut producer = engine.producer().expect("a lane");
        for n in 0..items {
            producer.try_push(item(n)).expect("there is room");
        }
        let before = LOOKS.get();
        engine.settle();
        // What was held up behind a retry may be tried again too.
        for _ in 0..2 {
            engine.advance(Duration::from_secs(1));
            engine.settle();
        }
        assert_eq!(engine.snapshot().done, items);
        LOOKS.get() - before
    }

    /// With a walk through all that waits, eight times as many items cost sixty times as much.
    fn cost_no_walk(looks: impl Fn(u64) -> u64) {
        let (few, many) = (looks(400), looks(3_200));
        assert!(many <= few * 9, "{few} and {many} looks at nodes");
    }

    #[test]
    fn many_batches_of_one_key_taken_along_cost_no_walk_through_all_that_waits() {
        let sizing = Sizing::Fixed(4);
        let builder = || Engine::builder(|_| Leaves).sizing(sizing).in_flight_max(2);
        cost_no_walk(|items| looks(builder(), items, |_| Row(8)));
    }

    /// One of an entity's.
    struct Deed(u64);

    impl Item for Deed {
        type Key<'a> = u64;
        const ENTITIES: bool = true;

        fn key(&self) -> u64 {
            8
        }

        fn entity(&self) -> Option<u64> {
            Some(self.0)
        }
    }

    /// Is done with each at the attempt that its first field says.
    struct Does(u32);

    impl Handler for Does {
        type Item = Deed;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            let again = batch.attempt(0) < self.0;
            batch.settle_bulk(|_, deeds, verdicts| {
                for at in 0..deeds.len() {
                    verdicts.set(at, if again { Verdict::Retry(()) } else { Verdict::Done(()) });
                }
            })
        }
    }

    /// Looks at nodes that so many items of so many entities, in turns, take in batches of that size.
    fn looks_at_deeds(items: u64, entities: u64, batch: u64, attempts: u32) -> u64 {
        let sizing = Sizing::Fixed(batch as u32);
        let builder = Engine::builder(move |_| Does(attempts)).sizing(sizing);
        looks(builder.retry(Retry::attempts(attempts)), items, |n| Deed(n % entities))
    }

    #[test]
    fn what_waits_of_an_entity_is_not_walked_through_for_each_item_that_is_settled() {
        cost_no_walk(|items| looks_at_deeds(items, 1, 4, 1));
    }

    #[test]
    fn what_waits_of_an_entity_is_not_walked_through_for_each_item_that_is_to_be_tried_again() {
        cost_no_walk(|items| looks_at_deeds(items, 1, items, 2));
    }

    #[test]
    fn a_full_batch_is_not_walked_through_for_each_item_that_is_held_up_out_of_it() {
        cost_no_walk(|items| looks_at_deeds(items, 1, items / 2, 2));
    }

    #[test]
    fn a_full_batch_is_not_walked_through_for_each_entity_that_is_held_up_out_of_it() {
        cost_no_walk(|items| looks_at_deeds(items, items / 2, items / 2, 2));
    }
}
