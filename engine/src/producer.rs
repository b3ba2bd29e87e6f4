//! The way in, for a thread of its own.

use std::cell::Cell;
use std::fmt;
use std::hash::BuildHasher;
use std::marker::PhantomData;

use ringbuf::wake;

use crate::error::{PushError, RunError};
use crate::home::Home;
use crate::idle::{IdleTimes, Idling, Step};
use crate::item::{Item, Patience};
use crate::lane::{Hashed, Lane, Mark};
use crate::nanos::Clock;
use crate::router::{KeyHasher, Router};

/// What every way into an engine shares.
#[derive(Clone, Debug)]
pub(crate) struct Entrance<S> {
    pub(crate) router: Router<S>,
    pub(crate) clock: Clock,
    pub(crate) idle: IdleTimes,
    pub(crate) home: Home,
}

/// Pushes items into an engine, from one thread at a time.
///
/// A producer has a lane of its own to every shard, so it shares nothing with other producers: a
/// push writes the item into the lane and publishes it, with no lock, no read of the clock and
/// (on Linux) no fence. It is neither `Clone` nor `Sync`: ask the engine for another. Dropping it
/// gives its lane to the next producer; what it pushed stays pushed.
///
/// Items of one key from one producer are handled in the order of their pushes.
///
/// ```
/// # use engine::{Engine, Item};
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// # let engine = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).start()?;
/// let mut producer = engine.producer()?;
/// producer.push(Row(1))?;                        // waits for room
/// if let Err(full) = producer.try_push(Row(2)) { // gives the item back instead
///     let Row(_id) = full.into_inner();
/// }
/// producer.push_run(&mut (3..100).map(Row))?;    // many at once
/// producer.flush()?;                             // what was pushed so far need not linger
/// # let last = engine.shutdown(std::time::Duration::from_secs(5))?;
/// # assert_eq!(last.done, 99);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Producer<T: Item, S = KeyHasher> {
    lane: Lane<T>,
    entrance: Entrance<S>,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Item, S> fmt::Debug for Producer<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("lane", &self.lane.index()).finish_non_exhaustive()
    }
}

/// Items that one publication of [`Producer::push_run`] brings at most: enough to make its cost
/// small, few enough that a shard has something to do meanwhile.
const RUN: usize = 256;

impl<T: Item, S: BuildHasher> Producer<T, S> {
    pub(crate) fn new(lane: Lane<T>, entrance: Entrance<S>) -> Self {
        Self { lane, entrance, not_sync: PhantomData }
    }

    /// Pushes an item, if there is room for it.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] and [`PushError::Closed`] give the item back.
    ///
    /// # Panics
    ///
    /// If the item's `key` or `patience`, or the key's `Hash`, panics; the item is dropped, and was
    /// not accepted.
    #[inline]
    pub fn try_push(&mut self, item: T) -> Result<(), PushError<T>> {
        let hash = self.entrance.router.hash(&item);
        self.try_push_hashed(Hashed { hash, item }).map_err(|error| error.map(|it| it.item))
    }

    /// Pushes an item; waits while there is no room for it.
    ///
    /// It waits as the engine's [`Idle`](crate::Idle) says: spins, yields, then parks until the
    /// shard makes room.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`]; [`PushError::WouldDeadlock`] if it would have to wait on a shard's own
    /// thread. Both give the item back.
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        let hash = self.entrance.router.hash(&item);
        match self.try_push_hashed(Hashed { hash, item }) {
            Ok(()) => Ok(()),
            Err(PushError::Full(hashed)) => self.push_waiting(hashed),
            Err(error) => Err(error.map(|it| it.item)),
        }
    }

    #[inline]
    fn try_push_hashed(&mut self, hashed: Hashed<T>) -> Result<(), PushError<Hashed<T>>> {
        let Self { lane, entrance, .. } = self;
        let shard = entrance.router.shard(hashed.hash);
        let now = || entrance.clock.now().as_nanos();
        match hashed.item.patience() {
            Patience::Engine => lane.try_push(shard, hashed, now).map_err(PushError::from),
            own => lane
                .try_push_marked(shard, hashed, Mark::Patience(own), now)
                .map_err(|error| PushError::from(error).map(|(hashed, _)| hashed)),
        }
    }

    #[cold]
    fn push_waiting(&mut self, mut hashed: Hashed<T>) -> Result<(), PushError<T>> {
        let shard = self.entrance.router.shard(hashed.hash);
        loop {
            if self.entrance.home.is_here() {
                return Err(PushError::WouldDeadlock(hashed.item));
            }
            let marked = hashed.item.patience() != Patience::Engine;
            self.wait_for_room(shard, 1, usize::from(marked));
            match self.try_push_hashed(hashed) {
                Ok(()) => return Ok(()),
                Err(PushError::Full(back)) => hashed = back,
                Err(error) => return Err(error.map(|it| it.item)),
            }
        }
    }

    /// Waits until there is room for so many items and marks, or the shard has closed.
    fn wait_for_room(&mut self, shard: usize, items: usize, marks: usize) {
        let Self { lane, entrance, .. } = self;
        let mut idling = Idling::default();
        while idling.step(entrance.clock.now(), &entrance.idle) != Step::Park {
            let room = lane.room(shard) >= items && lane.mark_room(shard) >= marks;
            if room || lane.is_closed(shard) {
                return;
            }
        }
        // Closed is found by the push that follows.
        let _ = wake::block_on_fn(0, |waker| match marks {
            0 => lane.poll_room(shard, items, waker),
            _ => lane.poll_marked_room(shard, waker),
        });
    }

    /// Pushes everything that `items` gives, in runs that are published at once: the cheapest way
    /// to push many. Waits for room. Returns how many items were accepted: all.
    ///
    /// # Errors
    ///
    /// [`RunError`] says how many were accepted and gives back those that were taken from `items`
    /// and not accepted; the rest is still in `items`. Unless a shard has closed meanwhile, the
    /// accepted ones are a prefix.
    ///
    /// # Panics
    ///
    /// If `items`, an item's `key` or the key's `Hash` panics. What was not yet published is dropped
    /// and was not accepted.
    pub fn push_run(&mut self, items: &mut impl Iterator<Item = T>) -> Result<usize, RunError<T>> {
        self.push_all(items, true)
    }

    /// As [`push_run`](Self::push_run), as far as there is room.
    ///
    /// # Errors
    ///
    /// [`RunError`] with [`PushError::Full`] gives back the one item for which there was no room.
    ///
    /// # Panics
    ///
    /// As [`push_run`](Self::push_run).
    pub fn try_push_run(
        &mut self,
        items: &mut impl Iterator<Item = T>,
    ) -> Result<usize, RunError<T>> {
        self.push_all(items, false)
    }

    fn push_all(
        &mut self,
        items: &mut impl Iterator<Item = T>,
        waits: bool,
    ) -> Result<usize, RunError<T>> {
        let mut accepted = 0;
        loop {
            let (staged, refused) = self.publish_run(items, accepted)?;
            accepted += staged;
            let Some(item) = refused else {
                if staged < RUN {
                    return Ok(accepted);
                }
                continue;
            };
            let pushed = if waits { self.push(item) } else { self.try_push(item) };
            pushed.map_err(|error| RunError { accepted, cause: error.map(|item| vec![item]) })?;
            accepted += 1;
        }
    }

    /// Publishes one run; says how long it was, and which item stopped it, if one did.
    fn publish_run(
        &mut self,
        items: &mut impl Iterator<Item = T>,
        accepted: usize,
    ) -> Result<(usize, Option<T>), RunError<T>> {
        let Self { lane, entrance, .. } = self;
        let mut run = lane.run();
        let mut staged = 0;
        let mut refused = None;
        for item in items.take(RUN) {
            if item.patience() != Patience::Engine {
                refused = Some(item);
                break;
            }
            let hash = entrance.router.hash(&item);
            if let Err(error) = run.stage(entrance.router.shard(hash), Hashed { hash, item }) {
                refused = Some(error.into_inner().item);
                break;
            }
            staged += 1;
        }
        match run.commit(|| entrance.clock.now().as_nanos()) {
            Ok(()) => Ok((staged, refused)),
            Err(back) => {
                let accepted = accepted + staged - back.len();
                let back = back.into_iter().map(|hashed| hashed.item).chain(refused).collect();
                Err(RunError { accepted, cause: PushError::Closed(back) })
            }
        }
    }

    /// What this producer pushed so far need not linger: every shard hands over what is open, once
    /// it has found those items. Returns when the wish is in the lanes, not when it is fulfilled.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`] if the engine has closed: then everything is on its way anyway.
    /// [`PushError::WouldDeadlock`] if it would have to wait for room on a shard's own thread.
    pub fn flush(&mut self) -> Result<(), PushError<()>> {
        for shard in 0..self.lane.shards() {
            loop {
                let Self { lane, entrance, .. } = self;
                let now = || entrance.clock.now().as_nanos();
                match lane.try_mark(shard, Mark::Flush, now) {
                    Ok(()) => break,
                    Err(ringbuf::PushError::Closed(_)) => return Err(PushError::Closed(())),
                    Err(ringbuf::PushError::Full(_)) if entrance.home.is_here() => {
                        return Err(PushError::WouldDeadlock(()));
                    }
                    Err(ringbuf::PushError::Full(_)) => self.wait_for_room(shard, 0, 1),
                }
            }
        }
        Ok(())
    }

    /// The number of this producer's lane: the lowest that was free.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.lane.index()
    }
}
