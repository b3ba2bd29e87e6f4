//! The way in that many threads and tasks share.

use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ringbuf::{SharedLane, wake};

use crate::error::PushError;
use crate::item::{Item, Patience};
use crate::lane::Mark;
use crate::producer::Entrance;
use crate::router::{KeyHasher, Router};

/// Pushes items into an engine from any thread and any task, for web servers and the like.
///
/// Clones share the engine's handle lanes, each behind a lock that is held for the length of a push.
/// A key has one lane, so a key's order is the order of its pushes. Where a thread can have a
/// [`Producer`](crate::Producer) to itself, that is faster.
///
/// A task that waits for room reserves it first, so that a cancelled future loses no item:
///
/// ```
/// # use engine::{Engine, Item};
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// # let engine = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).start()?;
/// # ringbuf::wake::block_on(async {
/// let handle = engine.handle()?;
/// let row = Row(7);
/// let room = handle.reserve(&row.key()).await?; // dropped while it waits: nothing happened
/// room.push(row)?;                              // does not wait
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }, 0)?;
/// # assert_eq!(engine.shutdown(std::time::Duration::from_secs(5))?.done, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Handle<T: Item, S = KeyHasher> {
    shared: Arc<Shared<T, S>>,
}

struct Shared<T: Item, S> {
    lanes: Vec<SharedLane<T, Mark>>,
    entrance: Entrance<S>,
}

impl<T: Item, S> Clone for Handle<T, S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Item, S> fmt::Debug for Handle<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("lanes", &self.shared.lanes.len()).finish_non_exhaustive()
    }
}

impl<T: Item, S: BuildHasher> Handle<T, S> {
    pub(crate) fn new(lanes: Vec<crate::lane::Lane<T>>, entrance: Entrance<S>) -> Self {
        let lanes = lanes.into_iter().map(SharedLane::new).collect();
        Self { shared: Arc::new(Shared { lanes, entrance }) }
    }

    /// Pushes an item, if there is room for it that nobody else waits for.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] and [`PushError::Closed`] give the item back.
    ///
    /// # Panics
    ///
    /// If the item's `key`, or the key's `Hash`, panics; the item is dropped, and was not accepted.
    pub fn try_push(&self, item: T) -> Result<(), PushError<T>> {
        let hash = self.shared.entrance.router.hash(&item);
        let (lane, shard) = self.place(hash);
        let now = || self.shared.entrance.clock.now().as_nanos();
        match item.patience() {
            Patience::Engine => lane.try_push(shard, item, now).map_err(PushError::from),
            own => lane
                .try_push_marked(shard, item, Mark::Patience(own), now)
                .map_err(|error| PushError::from(error).map(|(item, _)| item)),
        }
    }

    /// Pushes an item; the thread waits while there is no room for it, behind those that waited
    /// before.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`]; [`PushError::WouldDeadlock`] if it would have to wait on a shard's own
    /// thread. Both give the item back.
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    pub fn push(&self, item: T) -> Result<(), PushError<T>> {
        match self.try_push(item) {
            Err(PushError::Full(item)) if self.shared.entrance.home.is_here() => {
                Err(PushError::WouldDeadlock(item))
            }
            Err(PushError::Full(item)) => {
                let hash = self.shared.entrance.router.hash(&item);
                match wake::block_on(self.reserve_hash(hash), 0) {
                    Ok(permit) => permit.push_here(item),
                    Err(_) => Err(PushError::Closed(item)),
                }
            }
            other => other,
        }
    }

    /// Waits for room for one item of this key, and keeps it until the permit is used or dropped.
    /// Those who wait for the same lane and shard are served in the order in which they came.
    ///
    /// The key is only looked at in this call; the future does not keep it. Dropping the future, at
    /// any time, loses nothing. Keeping it without polling it, once it stands in the queue, holds up
    /// everybody behind it: in a `select!` that goes on without it, drop it.
    pub fn reserve(&self, key: &T::Key<'_>) -> Reserve<'_, T, S> {
        self.reserve_hash(self.shared.entrance.router.hash_key::<T>(key))
    }

    fn reserve_hash(&self, hash: u64) -> Reserve<'_, T, S> {
        let (lane, shard) = self.place(hash);
        Reserve { handle: self, hash, room: lane.reserve_marked(shard) }
    }

    fn place(&self, hash: u64) -> (&SharedLane<T, Mark>, usize) {
        let (lane, shard) = self.shared.way(hash);
        (&self.shared.lanes[lane], shard)
    }
}

impl<T: Item, S: BuildHasher> Shared<T, S> {
    /// The lane and the shard of a hash.
    fn way(&self, hash: u64) -> (usize, usize) {
        (Router::<S>::lane(hash, self.lanes.len()), self.entrance.router.shard(hash))
    }
}

/// Waits for room: see [`Handle::reserve`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Reserve<'h, T: Item, S = KeyHasher> {
    handle: &'h Handle<T, S>,
    hash: u64,
    room: ringbuf::Reserve<'h, T, Mark>,
}

impl<T: Item, S> fmt::Debug for Reserve<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserve(..)")
    }
}

impl<'h, T: Item, S: BuildHasher> Future for Reserve<'h, T, S> {
    /// Fails with [`PushError::Closed`] when the engine, or the key's shard, closes.
    type Output = Result<Permit<'h, T, S>, PushError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (handle, hash) = (self.handle, self.hash);
        Pin::new(&mut self.room).poll(cx).map(|room| match room {
            Ok(room) => Ok(Permit { handle, hash, room }),
            Err(_) => Err(PushError::Closed(())),
        })
    }
}

/// Room for one item: see [`Handle::reserve`]. Dropped unused, it goes to whoever waits.
#[must_use = "it keeps room from others until it is used or dropped"]
pub struct Permit<'h, T: Item, S = KeyHasher> {
    handle: &'h Handle<T, S>,
    hash: u64,
    room: ringbuf::Permit<'h, T, Mark>,
}

impl<T: Item, S> fmt::Debug for Permit<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit(..)")
    }
}

impl<T: Item, S: BuildHasher> Permit<'_, T, S> {
    /// Pushes an item into the room; does not wait for room.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`]; [`PushError::WrongKey`] if the item's key takes another way than the
    /// one that the room was reserved for. Both give the item back, and the room goes to whoever
    /// waits.
    ///
    /// # Panics
    ///
    /// As [`Handle::try_push`].
    pub fn push(self, item: T) -> Result<(), PushError<T>> {
        let shared = &self.handle.shared;
        let hash = shared.entrance.router.hash(&item);
        if shared.way(hash) != shared.way(self.hash) {
            return Err(PushError::WrongKey(item));
        }
        self.push_here(item)
    }

    fn push_here(self, item: T) -> Result<(), PushError<T>> {
        let clock = &self.handle.shared.entrance.clock;
        let now = || clock.now().as_nanos();
        let pushed = match item.patience() {
            Patience::Engine => self.room.push(item, now).map_err(|closed| closed.0),
            own => self
                .room
                .push_marked(item, Mark::Patience(own), now)
                .map_err(|refused| refused.into_inner().0),
        };
        pushed.map_err(PushError::Closed)
    }
}
