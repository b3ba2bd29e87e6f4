//! One lane for many threads and tasks: a short lock, permits, and a queue of waiters.
//!
//! The lock is held for one push or for one change of the queue, never while waiting, and never by a
//! shard. Nobody who waits is woken and no waker is dropped under it. Three pieces of foreign code do
//! run under it: the clock of a push, the shard's own bell (both only when the push finds the shard
//! asleep), and the `clone` of the waker of whoever comes first. None of them may use the same
//! [`SharedLane`], which would wait for itself for ever; when one panics, the lane stays in order.
//!
//! Of those who wait for room at a shard only
//! the first leaves its waker where the shard looks. When the shard has taken something it wakes
//! that one, who takes its *permit*: room that is reserved for it, and that no one else's push
//! will use. Then it hands on to the next: a permit if there is room, else the place where the
//! shard looks. Whoever leaves early, with or without a permit, hands on likewise, so a cancelled
//! future loses neither an item nor the turn of those behind it.

use crate::error::{Closed, PushError};
use crate::lane::Lane;
use crate::sync::{Mutex, MutexGuard};
use crate::waiters::{Answer, Place, Waiters};
use crate::wake_slot::Errand;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

/// A [`Lane`] that many threads and tasks push into, in the order in which they get the lock.
///
/// All functions panic if there is no shard of the number given.
///
/// ```
/// use ringbuf::{LanesConfig, SharedLane, wake::{block_on, thread_waker}};
///
/// let config = LanesConfig { shards: 1, lanes: 1, capacity: 2, marks: 1 };
/// let (lanes, mut shards) = ringbuf::lanes::<_, ()>(config, |_| thread_waker());
/// let shared = SharedLane::new(lanes.claim().unwrap());
/// block_on(
///     async {
///         let permit = shared.reserve(0).await.unwrap();
///         permit.push("hello", || 0).unwrap();
///     },
///     0,
/// );
/// assert_eq!(shards[0].run(0, 9).next(), Some("hello"));
/// ```
#[derive(Debug)]
pub struct SharedLane<T, M> {
    inner: Mutex<Inner<T, M>>,
}

#[derive(Debug)]
struct Inner<T, M> {
    lane: Lane<T, M>,
    waiters: Waiters,
    /// What is promised at each shard and not yet used.
    promised: Box<[Promised]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Promised {
    /// Permits. At most the ring's capacity.
    items: usize,
    /// Permits that have room for a mark too.
    marks: usize,
}

impl<T, M> Inner<T, M> {
    /// Room beyond what is promised: `(items, marks)`.
    fn spare(&mut self, shard: usize) -> (usize, usize) {
        let Promised { items, marks } = self.promised[shard];
        // Looks at the shard's head only if what is known of would not do for one more.
        let (room, mark_room) = self.lane.rooms(shard, items + 1, marks + 1);
        (room.saturating_sub(items), mark_room.saturating_sub(marks))
    }

    fn refusal(&self, shard: usize) -> PushError<()> {
        PushError::refused(self.lane.is_closed_for_good(shard), ())
    }

    /// Whether a push that holds no permit may go ahead.
    fn may_push(&mut self, shard: usize, marked: bool) -> Result<(), PushError<()>> {
        if !self.waiters.is_empty(shard) {
            return Err(self.refusal(shard));
        }
        let (items, marks) = self.spare(shard);
        if items == 0 || marked && marks == 0 { Err(self.refusal(shard)) } else { Ok(()) }
    }

    fn promise(&mut self, shard: usize, marked: bool) {
        self.promised[shard].items += 1;
        self.promised[shard].marks += usize::from(marked);
    }

    fn end_promise(&mut self, shard: usize, marked: bool) {
        self.promised[shard].items -= 1;
        self.promised[shard].marks -= usize::from(marked);
    }

    /// Answers the first who waits at a shard, or leaves its waker where the shard looks. Returns
    /// the waker of whoever got an answer.
    fn answer_first(&mut self, shard: usize) -> (Option<Waker>, Errand) {
        let Some((waker, marked)) = self.waiters.first(shard) else {
            return (None, self.lane.stop_waiting(shard));
        };
        let promised = self.promised[shard];
        let marks = if marked { promised.marks + 1 } else { 0 };
        let (room, errand) = self.lane.poll_room_for(shard, promised.items + 1, marks, waker);
        let answer = match room {
            Poll::Pending => return (None, errand),
            Poll::Ready(Ok(())) => {
                self.promise(shard, marked);
                Answer::Room
            }
            Poll::Ready(Err(Closed(()))) => Answer::Closed,
        };
        (self.waiters.answer_first(shard, answer), errand)
    }
}

impl<T, M> SharedLane<T, M> {
    /// Shares a lane. Allocates a few bytes a shard, and later as waiters come, for good.
    pub fn new(lane: Lane<T, M>) -> Self {
        let shards = lane.shards();
        let promised = vec![Promised::default(); shards].into_boxed_slice();
        Self { inner: Mutex::new(Inner { lane, waiters: Waiters::new(shards), promised }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T, M>> {
        // A clock that panicked in the middle of a push left everything in order: the item was
        // published and the promise ended before it was called.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pushes one item if there is room that is not promised to anyone and nobody waits.
    ///
    /// # Errors
    /// As [`Lane::try_push`].
    pub fn try_push(
        &self,
        shard: usize,
        item: T,
        now: impl FnOnce() -> u64,
    ) -> Result<(), PushError<T>> {
        let mut inner = self.lock();
        match inner.may_push(shard, false) {
            Ok(()) => inner.lane.try_push(shard, item, now),
            Err(refusal) => Err(refusal.map(|()| item)),
        }
    }

    /// As [`try_push`](Self::try_push), with a mark that belongs to the item.
    ///
    /// # Errors
    /// As [`Lane::try_push_marked`].
    pub fn try_push_marked(
        &self,
        shard: usize,
        item: T,
        mark: M,
        now: impl FnOnce() -> u64,
    ) -> Result<(), PushError<(T, M)>> {
        let mut inner = self.lock();
        match inner.may_push(shard, true) {
            Ok(()) => inner.lane.try_push_marked(shard, item, mark, now),
            Err(refusal) => Err(refusal.map(|()| (item, mark))),
        }
    }

    /// Sends a mark that stands alone, if there is room for one that is not promised to anyone.
    ///
    /// # Errors
    /// As [`Lane::try_mark`].
    pub fn try_mark(
        &self,
        shard: usize,
        mark: M,
        now: impl FnOnce() -> u64,
    ) -> Result<(), PushError<M>> {
        let mut inner = self.lock();
        if inner.spare(shard).1 == 0 {
            return Err(inner.refusal(shard).map(|()| mark));
        }
        inner.lane.try_mark(shard, mark, now)
    }

    /// A permit to push one item, if one can be had without waiting.
    ///
    /// # Errors
    /// [`PushError::Full`]: no room, or others wait. [`PushError::Closed`]: the shard has closed.
    pub fn try_reserve(&self, shard: usize) -> Result<Permit<'_, T, M>, PushError<()>> {
        self.try_permit(shard, false)
    }

    /// A permit to push one item with a mark, if one can be had without waiting.
    ///
    /// # Errors
    /// As [`try_reserve`](Self::try_reserve).
    pub fn try_reserve_marked(&self, shard: usize) -> Result<Permit<'_, T, M>, PushError<()>> {
        self.try_permit(shard, true)
    }

    fn try_permit(&self, shard: usize, marked: bool) -> Result<Permit<'_, T, M>, PushError<()>> {
        let mut inner = self.lock();
        if inner.lane.is_closed_for_good(shard) {
            return Err(PushError::Closed(()));
        }
        inner.may_push(shard, marked)?;
        inner.promise(shard, marked);
        Ok(Permit { shared: self, shard, marked })
    }

    /// Waits for room for one item at a shard: a future that yields a [`Permit`], or [`Closed`]
    /// when the shard has closed. First come, first served. Dropping it at any time loses nothing.
    ///
    /// Once polled, it has a place in the queue: poll it when it is woken, or drop it. One that is
    /// kept and neither polled nor dropped holds up everyone behind it, and every push without a
    /// permit, at this lane and shard; other lanes and shards go on.
    pub fn reserve(&self, shard: usize) -> Reserve<'_, T, M> {
        Reserve { shared: self, shard, marked: false, place: None }
    }

    /// As [`reserve`](Self::reserve), for one item and one mark.
    pub fn reserve_marked(&self, shard: usize) -> Reserve<'_, T, M> {
        Reserve { shared: self, shard, marked: true, place: None }
    }

    /// The lane's number.
    pub fn index(&self) -> usize {
        self.lock().lane.index()
    }

    /// Whether the shard has closed. `false` may be out of date at once; a push tells for sure.
    pub fn is_closed(&self, shard: usize) -> bool {
        self.lock().lane.is_closed(shard)
    }

    /// How many items were pushed to the shard: the number that the next one gets.
    pub fn pushed(&self, shard: usize) -> u64 {
        self.lock().lane.pushed(shard)
    }

    /// Gives the lane back. What is in it stays.
    pub fn into_inner(self) -> Lane<T, M> {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).lane
    }

    /// Answers those who wait at a shard, one after the other, for as long as there are answers.
    fn hand_on(&self, shard: usize) {
        loop {
            let (woken, errand) = self.lock().answer_first(shard);
            errand.run();
            match woken {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
    }
}

/// Waits for room at a shard of a [`SharedLane`]. See [`SharedLane::reserve`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct Reserve<'a, T, M> {
    shared: &'a SharedLane<T, M>,
    shard: usize,
    marked: bool,
    place: Option<Place>,
}

impl<'a, T, M> Future for Reserve<'a, T, M> {
    type Output = Result<Permit<'a, T, M>, Closed<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, shard, marked, place } = *self;
        if place.is_none() {
            match shared.try_permit(shard, marked) {
                Ok(permit) => return Poll::Ready(Ok(permit)),
                Err(PushError::Closed(())) => return Poll::Ready(Err(Closed(()))),
                Err(PushError::Full(())) => {}
            }
        }
        let waker = context.waker().clone();
        let mut inner = shared.lock();
        let (place, displaced) = match place {
            None => (inner.waiters.push(shard, marked, waker), None),
            Some(place) if inner.waiters.answer(place).is_none() => {
                (place, inner.waiters.set_waker(place, waker))
            }
            Some(place) => (place, Some(waker)),
        };
        self.place = Some(place);
        let mut errand = Errand::default();
        let mut own = None;
        if inner.waiters.answer(place).is_none() && inner.waiters.is_first(place) {
            (own, errand) = inner.answer_first(shard);
        }
        let answer = inner.waiters.answer(place);
        if answer.is_some() {
            self.place = None;
            inner.waiters.remove(place);
        }
        drop(inner);
        errand.run();
        drop((own, displaced));
        let Some(answer) = answer else {
            return Poll::Pending;
        };
        // Before handing on, so that the permit is not lost should a waker panic.
        let permit = match answer {
            Answer::Room => Ok(Permit { shared, shard, marked }),
            Answer::Closed => Err(Closed(())),
        };
        shared.hand_on(shard);
        Poll::Ready(permit)
    }
}

impl<T, M> Drop for Reserve<'_, T, M> {
    fn drop(&mut self) {
        let Some(place) = self.place else {
            return;
        };
        let mut inner = self.shared.lock();
        let (answer, waker) = inner.waiters.remove(place);
        if answer == Some(Answer::Room) {
            inner.end_promise(self.shard, self.marked);
        }
        drop(inner);
        drop(waker);
        self.shared.hand_on(self.shard);
    }
}

/// Room for one item at a shard of a [`SharedLane`], reserved until it is used or dropped.
/// (Leaking it leaks the room.)
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its room to the next"]
pub struct Permit<'a, T, M> {
    shared: &'a SharedLane<T, M>,
    shard: usize,
    marked: bool,
}

impl<T, M> Permit<'_, T, M> {
    /// The shard it is for.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Pushes one item into the reserved room.
    ///
    /// # Errors
    /// The item, when the shard has closed and has not accepted it.
    pub fn push(self, item: T, now: impl FnOnce() -> u64) -> Result<(), Closed<T>> {
        let shard = self.shard;
        self.use_up(|inner| inner.lane.try_push(shard, item, now))
            // Full it cannot be: what is promised is kept free.
            .map_err(|refused| {
                debug_assert!(refused.is_closed(), "a permit is room that nobody else takes");
                Closed(refused.into_inner())
            })
    }

    /// Pushes one item with a mark that belongs to it.
    ///
    /// # Errors
    /// Both give item and mark back. [`PushError::Closed`]: the shard has closed, and has accepted
    /// neither. [`PushError::Full`]: no room for the mark; never with a permit of
    /// [`SharedLane::reserve_marked`].
    pub fn push_marked(
        self,
        item: T,
        mark: M,
        now: impl FnOnce() -> u64,
    ) -> Result<(), PushError<(T, M)>> {
        let (shard, marked) = (self.shard, self.marked);
        self.use_up(|inner| {
            // Without room of its own, the mark may not take what is promised to others.
            if !marked && inner.spare(shard).1 == 0 {
                return Err(inner.refusal(shard).map(|()| (item, mark)));
            }
            inner.lane.try_push_marked(shard, item, mark, now)
        })
    }

    /// Ends the promise and pushes under one lock, so that nobody else can take the room between.
    fn use_up<E>(self, push: impl FnOnce(&mut Inner<T, M>) -> Result<(), E>) -> Result<(), E> {
        let permit = ManuallyDrop::new(self);
        // Room for a mark that was not used, or all of it, goes to the next; also when the clock
        // panics.
        let hand_on = HandOn { shared: permit.shared, shard: permit.shard };
        let mut inner = permit.shared.lock();
        inner.end_promise(permit.shard, permit.marked);
        let pushed = push(&mut inner);
        drop(inner);
        if pushed.is_ok() && !permit.marked {
            // The room is used: nobody else gains by this.
            std::mem::forget(hand_on);
        }
        pushed
    }
}

impl<T, M> Drop for Permit<'_, T, M> {
    fn drop(&mut self) {
        self.shared.lock().end_promise(self.shard, self.marked);
        self.shared.hand_on(self.shard);
    }
}

/// Hands on at the end of a scope, also when the scope unwinds.
struct HandOn<'a, T, M> {
    shared: &'a SharedLane<T, M>,
    shard: usize,
}

impl<T, M> Drop for HandOn<'_, T, M> {
    fn drop(&mut self) {
        self.shared.hand_on(self.shard);
    }
}
