//! The way in that many threads and tasks share.

use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ringbuf::{SharedLane, wake};

use crate::entrance::Entrance;
use crate::error::{PushError, unmarked};
use crate::item::{Item, Patience};
use crate::lane::Mark;
use crate::router::{KeyHasher, Router};
use crate::ticket::Ticket;

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
pub struct Handle<T: Item, R = (), E = (), S = KeyHasher> {
    shared: Arc<Shared<T, R, E, S>>,
}

struct Shared<T: Item, R, E, S> {
    lanes: Vec<SharedLane<T, Mark<R, E>>>,
    entrance: Entrance<T, R, E, S>,
}

impl<T: Item, R, E, S> Clone for Handle<T, R, E, S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Item, R, E, S> fmt::Debug for Handle<T, R, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("lanes", &self.shared.lanes.len()).finish_non_exhaustive()
    }
}

impl<T: Item, R, E, S: BuildHasher> Handle<T, R, E, S> {
    pub(crate) fn new(
        lanes: Vec<crate::lane::Lane<T, R, E>>,
        entrance: Entrance<T, R, E, S>,
    ) -> Self {
        let lanes = lanes.into_iter().map(SharedLane::new).collect();
        Self { shared: Arc::new(Shared { lanes, entrance }) }
    }

    /// Pushes an item, if there is room for it that nobody else waits for.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] and [`PushError::Closed`] give the item back, and so do
    /// [`PushError::TooHeavy`] and [`PushError::Undeclared`].
    ///
    /// # Panics
    ///
    /// If the item's `key`, or the key's `Hash`, panics; the item is dropped, and was not accepted.
    pub fn try_push(&self, item: T) -> Result<(), PushError<T>> {
        let entrance = &self.shared.entrance;
        if let Some(refusal) = entrance.refusal(&item) {
            return Err(refusal.of(item));
        }
        let (lane, shard) = self.place(self.shared.way(&item));
        let now = || entrance.clock.now().as_nanos();
        match item.patience() {
            Patience::Engine => lane.try_push(shard, item, now).map_err(PushError::from),
            own => unmarked(lane.try_push_marked(shard, item, Mark::Patience(own), now)),
        }
    }

    /// Pushes an item; the thread waits while there is no room for it, behind those that waited
    /// before.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`]; [`PushError::WouldDeadlock`] if it would have to wait on a shard's own
    /// thread; [`PushError::TooHeavy`], [`PushError::Undeclared`]. Each gives the item back.
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    pub fn push(&self, item: T) -> Result<(), PushError<T>> {
        self.or_in_turn(self.try_push(item), Permit::push_here)
    }

    /// Pushes an item and returns a ticket on what becomes of it, if there is room: as
    /// [`Producer::try_call`](crate::Producer::try_call).
    ///
    /// # Errors
    ///
    /// [`PushError::NoReplySlot`] when no slot is free; others as [`try_push`](Self::try_push). Each
    /// gives the item back.
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    pub fn try_call(&self, item: T) -> Result<Ticket<R, E>, PushError<T>> {
        let entrance = &self.shared.entrance;
        if let Some(refusal) = entrance.refusal(&item) {
            return Err(refusal.of(item));
        }
        let (lane, shard) = self.place(self.shared.way(&item));
        let Some((answer, ticket)) = entrance.ask(shard) else {
            return Err(PushError::NoReplySlot(item));
        };
        let now = || entrance.clock.now().as_nanos();
        unmarked(lane.try_push_marked(shard, item, Mark::Call(answer), now)).map(|()| ticket)
    }

    /// As [`try_call`](Self::try_call); the thread waits while there is no room.
    ///
    /// # Errors
    ///
    /// [`PushError::NoReplySlot`] when no slot is free: it does not wait for one. Others as
    /// [`push`](Self::push). Each gives the item back.
    ///
    /// # Panics
    ///
    /// As [`try_push`](Self::try_push).
    pub fn call(&self, item: T) -> Result<Ticket<R, E>, PushError<T>> {
        self.or_in_turn(self.try_call(item), Permit::call_here)
    }

    /// Where there was no room, waits for it behind those that waited before.
    fn or_in_turn<'h, A>(
        &'h self,
        tried: Result<A, PushError<T>>,
        push: impl FnOnce(Permit<'h, T, R, E, S>, T) -> Result<A, PushError<T>>,
    ) -> Result<A, PushError<T>> {
        match tried {
            Err(PushError::Full(item)) if self.shared.entrance.home.is_here() => {
                Err(PushError::WouldDeadlock(item))
            }
            Err(PushError::Full(item)) => match wake::block_on(self.reserve_for(&item), 0) {
                Ok(permit) => push(permit, item),
                Err(_) => Err(PushError::Closed(item)),
            },
            other => other,
        }
    }

    /// Waits for room for one item of this key, and keeps it until the permit is used or dropped.
    /// Those who wait for the same lane and shard are served in the order in which they came.
    ///
    /// The key is only looked at in this call; the future does not keep it. Dropping the future, at
    /// any time, loses nothing. Keeping it without polling it, once it stands in the queue, holds up
    /// everybody behind it: in a `select!` that goes on without it, drop it.
    ///
    /// Where the way does not follow from the key ([entities](Item::ENTITIES)), use
    /// [`reserve_for`](Self::reserve_for): what is pushed into this room would come back as
    /// [`PushError::WrongKey`].
    pub fn reserve(&self, key: &T::Key<'_>) -> Reserve<'_, T, R, E, S> {
        self.reserve_way(self.shared.way_of_key(key))
    }

    /// As [`reserve`](Self::reserve), for one item like this.
    pub fn reserve_for(&self, item: &T) -> Reserve<'_, T, R, E, S> {
        self.reserve_way(self.shared.way(item))
    }

    fn reserve_way(&self, way: Way) -> Reserve<'_, T, R, E, S> {
        let (lane, shard) = self.place(way);
        Reserve { handle: self, way, room: lane.reserve_marked(shard) }
    }

    fn place(&self, way: Way) -> (&SharedLane<T, Mark<R, E>>, usize) {
        (&self.shared.lanes[way.lane], way.shard)
    }
}

/// The lane and the shard that an item takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    lane: usize,
    shard: usize,
}

impl<T: Item, R, E, S: BuildHasher> Shared<T, R, E, S> {
    /// By what must stay in order.
    fn way(&self, item: &T) -> Way {
        let router = &self.entrance.router;
        let domain = router.domain(item, router.hash(item));
        Way { lane: Router::<S>::lane(domain, self.lanes.len()), shard: router.place(item) }
    }

    fn way_of_key(&self, key: &T::Key<'_>) -> Way {
        let router = &self.entrance.router;
        let hash = router.hash_key::<T>(key);
        let lane = Router::<S>::lane(hash, self.lanes.len());
        Way { lane, shard: router.place_key::<T>(key, hash) }
    }
}

/// Waits for room: see [`Handle::reserve`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Reserve<'h, T: Item, R = (), E = (), S = KeyHasher> {
    handle: &'h Handle<T, R, E, S>,
    way: Way,
    room: ringbuf::Reserve<'h, T, Mark<R, E>>,
}

impl<T: Item, R, E, S> fmt::Debug for Reserve<'_, T, R, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserve(..)")
    }
}

impl<'h, T: Item, R, E, S: BuildHasher> Future for Reserve<'h, T, R, E, S> {
    /// Fails with [`PushError::Closed`] when the engine, or the key's shard, closes.
    type Output = Result<Permit<'h, T, R, E, S>, PushError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (handle, way) = (self.handle, self.way);
        Pin::new(&mut self.room).poll(cx).map(|room| match room {
            Ok(room) => Ok(Permit { handle, way, room }),
            Err(_) => Err(PushError::Closed(())),
        })
    }
}

/// Room for one item: see [`Handle::reserve`]. Dropped unused, it goes to whoever waits.
#[must_use = "it keeps room from others until it is used or dropped"]
pub struct Permit<'h, T: Item, R = (), E = (), S = KeyHasher> {
    handle: &'h Handle<T, R, E, S>,
    way: Way,
    room: ringbuf::Permit<'h, T, Mark<R, E>>,
}

impl<T: Item, R, E, S> fmt::Debug for Permit<'_, T, R, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit(..)")
    }
}

impl<T: Item, R, E, S: BuildHasher> Permit<'_, T, R, E, S> {
    /// Pushes an item into the room; does not wait for room.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`]; [`PushError::WrongKey`] if the item takes another way than the one that the
    /// room was reserved for; [`PushError::TooHeavy`], [`PushError::Undeclared`]. Each gives the item
    /// back, and the room goes to whoever waits.
    ///
    /// # Panics
    ///
    /// As [`Handle::try_push`].
    pub fn push(self, item: T) -> Result<(), PushError<T>> {
        let item = self.admit(item)?;
        self.push_here(item)
    }

    /// Pushes an item into the room and returns a ticket on what becomes of it.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push), and [`PushError::NoReplySlot`] when no slot is free.
    ///
    /// # Panics
    ///
    /// As [`Handle::try_push`].
    pub fn call(self, item: T) -> Result<Ticket<R, E>, PushError<T>> {
        let item = self.admit(item)?;
        self.call_here(item)
    }

    fn admit(&self, item: T) -> Result<T, PushError<T>> {
        let shared = &self.handle.shared;
        match shared.entrance.refusal(&item) {
            Some(refusal) => Err(refusal.of(item)),
            None if shared.way(&item) != self.way => Err(PushError::WrongKey(item)),
            None => Ok(item),
        }
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

    fn call_here(self, item: T) -> Result<Ticket<R, E>, PushError<T>> {
        let entrance = &self.handle.shared.entrance;
        let Some((answer, ticket)) = entrance.ask(self.way.shard) else {
            return Err(PushError::NoReplySlot(item));
        };
        let now = || entrance.clock.now().as_nanos();
        match self.room.push_marked(item, Mark::Call(answer), now) {
            Ok(()) => Ok(ticket),
            Err(refused) => Err(PushError::Closed(refused.into_inner().0)),
        }
    }
}
