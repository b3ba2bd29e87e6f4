//! Waiting for what becomes of a pushed item.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ringbuf::{Answer, Flags, Reply, ReplyPool, wake};
use smallvec::SmallVec;

use crate::home::Home;
use crate::nanos::{Clock, Nanos};
use crate::verdict::{Failure, Outcome};

/// What all calls into one engine share.
pub(crate) struct Calls<R, E> {
    pub(crate) pool: ReplyPool<Outcome<R, E>>,
    /// Of each shard: the calls that are to be cancelled.
    pub(crate) cancels: Vec<Flags>,
    /// Wakes a shard.
    pub(crate) knock: Arc<dyn Fn(usize) + Send + Sync>,
    pub(crate) home: Home,
    pub(crate) clock: Clock,
}

impl<R, E> fmt::Debug for Calls<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("slots", &self.pool.capacity()).finish_non_exhaustive()
    }
}

/// The two ends of a call.
pub(crate) type Asked<R, E> = (Answer<Outcome<R, E>>, Ticket<R, E>);

impl<R, E> Calls<R, E> {
    /// A call to a shard, if a slot is free.
    pub(crate) fn open(self: &Arc<Self>, shard: usize) -> Option<Asked<R, E>> {
        let (answer, reply) = self.pool.open()?;
        Some((answer, Ticket { reply, calls: Arc::clone(self), shard: shard as u32 }))
    }
}

/// Waits for what becomes of one item: see [`Producer::call`](crate::Producer::call).
///
/// There is exactly one answer: the handler's reply, or why there is none, in each of the ways that
/// [`Failure`] has. It is a future that needs no runtime, and can be waited for by a plain thread. Dropping
/// it does not disturb the item.
///
/// ```
/// # use engine::{Batch, Engine, Handler, Item, Settled, Verdict};
/// # struct Add(u64);
/// # impl Item for Add { type Key<'a> = (); fn key(&self) {} }
/// # #[derive(Default)] struct Sum(u64);
/// # impl Handler for Sum {
/// #     type Item = Add; type Reply = u64; type Error = ();
/// #     fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
/// #         batch.settle_each(|add| { self.0 += add.0; Verdict::Done(self.0) })
/// #     }
/// # }
/// use std::time::Duration;
///
/// let engine = Engine::builder(|_| Sum::default()).replies_max(64).start()?;
/// let mut producer = engine.producer()?;
/// assert_eq!(producer.call(Add(2))?.wait(), Ok(2));
///
/// match producer.call(Add(3))?.wait_for(Duration::from_secs(5)) {
///     Ok(outcome) => assert_eq!(outcome, Ok(5)),
///     Err(ticket) => ticket.cancel(), // or wait on, later
/// }
/// # engine.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nobody hears the answer if it is dropped"]
pub struct Ticket<R, E> {
    reply: Reply<Outcome<R, E>>,
    calls: Arc<Calls<R, E>>,
    shard: u32,
}

impl<R, E> fmt::Debug for Ticket<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("slot", &self.reply.slot()).finish_non_exhaustive()
    }
}

impl<R, E> Ticket<R, E> {
    /// Waits for the answer; the thread spins for about a microsecond, then parks.
    ///
    /// # Errors
    ///
    /// Why there is no reply. [`Failure::WouldDeadlock`] on a shard's own thread (and beside a
    /// [`Stepped`](crate::testing::Stepped) engine, which nobody else would step), if the answer is not
    /// there yet.
    pub fn wait(mut self) -> Result<R, Failure<E>> {
        if self.calls.home.is_here() {
            return self.look().unwrap_or(Err(Failure::WouldDeadlock));
        }
        wake::block_on(self, wake::BRIEF_SPIN)
    }

    /// As [`wait`](Self::wait), but no longer than that.
    ///
    /// # Errors
    ///
    /// The ticket, if there is no answer yet.
    pub fn wait_for(mut self, time: Duration) -> Result<Result<R, Failure<E>>, Self> {
        if self.calls.home.is_here() {
            return self.look().ok_or(self);
        }
        let clock = self.calls.clock.clone();
        let deadline = clock.now().saturating_add(Nanos::from(time));
        let rest = || deadline.saturating_sub(clock.now()).into();
        let outcome = wake::block_on_for(Pin::new(&mut self), wake::BRIEF_SPIN, rest);
        outcome.ok_or(self)
    }

    /// The answer, if it is there. Asking again after that panics.
    pub(crate) fn look(&mut self) -> Option<Outcome<R, E>> {
        match self.reply.try_take() {
            Poll::Ready(outcome) => Some(outcome.unwrap_or(Err(Failure::Stopped))),
            Poll::Pending => None,
        }
    }

    /// The item need not be handled any more: if it waits when the shard hears of this, it fails as
    /// [`Failure::Cancelled`] (one that is to be tried again has been tried before, all the same); if its batch
    /// is away, it does so when it comes back to be tried again. Otherwise nothing changes. The answer comes
    /// in any case, and says which it was.
    pub fn cancel(&self) {
        self.reply.cancel();
        if let Some(cancels) = self.calls.cancels.get(self.shard as usize) {
            cancels.raise(self.reply.slot());
            (self.calls.knock)(self.shard as usize);
        }
    }
}

impl<R, E> Future for Ticket<R, E> {
    type Output = Result<R, Failure<E>>;

    /// # Panics
    ///
    /// If it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.reply.poll(cx.waker()).map(|outcome| outcome.unwrap_or(Err(Failure::Stopped)))
    }
}

/// Waits for what becomes of many items: see [`Producer::call_all`](crate::Producer::call_all) and
/// [`Producer::route`](crate::Producer::route). The answers come in the order of the items.
///
/// Up to four take no allocation. More take one when they are called, or four when they are routed, if it is
/// known then how many they are, and one for their answers.
#[must_use = "nobody hears the answers if it is dropped"]
pub struct Tickets<R, E> {
    legs: SmallVec<[Leg<R, E>; FEW]>,
}

/// Answers that are kept without an allocation.
const FEW: usize = 4;

/// The answers to many items, in their order.
pub type Outcomes<R, E> = SmallVec<[Result<R, Failure<E>>; FEW]>;

enum Leg<R, E> {
    Waiting(Ticket<R, E>),
    Answered(Outcome<R, E>),
}

impl<R, E> fmt::Debug for Tickets<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("items", &self.legs.len()).finish()
    }
}

impl<R, E> Tickets<R, E> {
    /// With room for so many.
    pub(crate) fn with_room(items: usize) -> Self {
        Self { legs: SmallVec::with_capacity(items) }
    }

    pub(crate) fn push(&mut self, ticket: Ticket<R, E>) {
        self.legs.push(Leg::Waiting(ticket));
    }

    pub(crate) fn push_answered(&mut self, outcome: Outcome<R, E>) {
        self.legs.push(Leg::Answered(outcome));
    }

    /// The number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.legs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// Waits for all answers, in the order of the items: as [`Ticket::wait`].
    #[must_use]
    pub fn wait(self) -> Outcomes<R, E> {
        let wait = |leg| match leg {
            Leg::Waiting(ticket) => ticket.wait(),
            Leg::Answered(outcome) => outcome,
        };
        self.legs.into_iter().map(wait).collect()
    }

    /// As [`wait`](Self::wait), but no longer than that.
    ///
    /// # Errors
    ///
    /// Itself, if there are not all answers yet.
    pub fn wait_for(mut self, time: Duration) -> Result<Outcomes<R, E>, Self> {
        let Some(calls) = self.legs.iter().find_map(|leg| match leg {
            Leg::Waiting(ticket) => Some(Arc::clone(&ticket.calls)),
            Leg::Answered(_) => None,
        }) else {
            return Ok(self.wait());
        };
        if calls.home.is_here() {
            return if self.look() { Ok(self.wait()) } else { Err(self) };
        }
        let deadline = calls.clock.now().saturating_add(Nanos::from(time));
        let rest = || deadline.saturating_sub(calls.clock.now()).into();
        let outcomes = wake::block_on_for(Pin::new(&mut self), wake::BRIEF_SPIN, rest);
        outcomes.ok_or(self)
    }

    /// Takes what answers there are; says whether that is all of them.
    fn look(&mut self) -> bool {
        for leg in &mut self.legs {
            if let Leg::Waiting(ticket) = leg
                && let Some(outcome) = ticket.look()
            {
                *leg = Leg::Answered(outcome);
            }
        }
        self.legs.iter().all(|leg| matches!(leg, Leg::Answered(_)))
    }

    /// Cancels all that are not answered: see [`Ticket::cancel`].
    pub fn cancel(&self) {
        for leg in &self.legs {
            if let Leg::Waiting(ticket) = leg {
                ticket.cancel();
            }
        }
    }
}

impl<R, E> Future for Tickets<R, E> {
    type Output = Outcomes<R, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut waits = false;
        for leg in &mut self.legs {
            let Leg::Waiting(ticket) = leg else { continue };
            match Pin::new(ticket).poll(cx) {
                Poll::Ready(outcome) => *leg = Leg::Answered(outcome),
                Poll::Pending => waits = true,
            }
        }
        if waits {
            return Poll::Pending;
        }
        let legs = std::mem::take(&mut self.legs);
        let answer = |leg| match leg {
            Leg::Answered(outcome) => outcome,
            Leg::Waiting(_) => unreachable!("all are answered"),
        };
        Poll::Ready(legs.into_iter().map(answer).collect())
    }
}

// Nothing in them is pinned: a reply may move while it is waited for.
impl<R, E> Unpin for Ticket<R, E> {}
impl<R, E> Unpin for Tickets<R, E> {}
