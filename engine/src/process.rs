//! A finite collection, handled on the calling thread.

use std::collections::VecDeque;
use std::fmt;
use std::hash::BuildHasher;

use crossbeam_utils::sync::Parker;
use ringbuf::seqlock;

use crate::builder::{Builder, Opened};
use crate::engine::{Engine, EngineProducer};
use crate::error::{PushError, StartError};
use crate::handler::Handler;
use crate::home::Home;
use crate::nanos::Clock;
use crate::pin::Shards;
use crate::producer::Producer;
use crate::shard::{Close, Ends, Post, Queued, Shard, mailbox};
use crate::shard_id::ShardId;
use crate::sizing::Sizing;
use crate::tally::Counters;
use crate::ticket::Ticket;
use crate::verdict::{Failure, Outcome};
use crate::worker;

/// Items that are on their way at once.
const WINDOW: usize = 65_536;

/// What became of each item, in their order; or why nothing was handled.
pub type Processed<H> = Result<
    Vec<Result<<H as Handler>::Reply, Failure<<H as Handler>::Error>>>,
    ProcessError<<H as Handler>::Item>,
>;

/// Handles all `items` in batches on the calling thread, and returns what became of each, in their order:
/// the same batching as an [`Engine`], without its threads. The handler comes from a factory, since after a
/// panic a fresh one is needed.
///
/// For retries and the like use [`Builder::process`].
///
/// ```
/// use engine::{Batch, Handler, Item, Settled, Sizing, Verdict};
///
/// struct Word(&'static str);
/// impl Item for Word {
///     type Key<'a> = usize;
///     fn key(&self) -> usize { self.0.len() }
/// }
///
/// struct Upper;
/// impl Handler for Upper {
///     type Item = Word;
///     type Reply = String;
///     type Error = ();
///
///     fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
///         batch.settle_each(|word| Verdict::Done(word.0.to_uppercase()))
///     }
/// }
///
/// let words = ["a", "bc", "d"].map(Word);
/// let upper = engine::process(words, |_| Upper, Sizing::Fixed(100))?;
/// assert_eq!(upper, [Ok("A".to_owned()), Ok("BC".to_owned()), Ok("D".to_owned())]);
/// # Ok::<(), engine::ProcessError<Word>>(())
/// ```
///
/// # Errors
///
/// [`ProcessError`]; nothing was handled then.
pub fn process<H: Handler>(
    items: impl IntoIterator<Item = H::Item>,
    factory: impl Fn(ShardId) -> H + Send + Sync + 'static,
    sizing: Sizing,
) -> Processed<H> {
    Engine::builder(factory).sizing(sizing).process(items)
}

/// Why a collection was not processed. Nothing of it was handled.
#[non_exhaustive]
pub enum ProcessError<T> {
    /// A setting can't work, or the handler could not be made. With it, all items.
    Start(StartError, Vec<T>),
    /// The item at this place is refused, by [`PushError::TooHeavy`] or [`PushError::Undeclared`].
    Refused {
        /// Its place.
        at: usize,
        /// Why.
        cause: PushError<()>,
        /// All items.
        items: Vec<T>,
    },
}

impl<T> fmt::Debug for ProcessError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error, _) => f.debug_tuple("Start").field(error).finish_non_exhaustive(),
            Self::Refused { at, cause, .. } => f
                .debug_struct("Refused")
                .field("at", at)
                .field("cause", cause)
                .finish_non_exhaustive(),
        }
    }
}

impl<T> fmt::Display for ProcessError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error, _) => error.fmt(f),
            Self::Refused { at, cause, .. } => write!(f, "item {at}: {cause}"),
        }
    }
}

impl<T> std::error::Error for ProcessError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start(error, _) => Some(error),
            Self::Refused { cause, .. } => Some(cause),
        }
    }
}

impl<H: Handler, S: BuildHasher + Clone + 'static> Builder<H, S> {
    /// Handles all `items` on the calling thread, in batches as an engine with these settings would, and
    /// returns what became of each, in their order. Where an item backs off, or its batch was taken along,
    /// and nothing else is to do, the thread parks until then. One shard, whatever the settings say of
    /// shards, lanes, idling and replies.
    ///
    /// # Errors
    ///
    /// [`ProcessError`]; nothing was handled then.
    pub fn process(self, items: impl IntoIterator<Item = H::Item>) -> Processed<H> {
        let items: Vec<_> = items.into_iter().collect();
        let window = items.len().clamp(2, WINDOW).next_power_of_two();
        let builder = self
            .shards(Shards::Count(1))
            .pin(false)
            .lanes(1)
            .handle_lanes(0)
            .lane_items(window)
            .lane_marks(window)
            .replies_max(window);
        let (parker, waker) = worker::parker();
        let mut wakers = Some(waker);
        let wake = |_| wakers.take().unwrap_or_else(|| std::task::Waker::noop().clone());
        match builder.open(Clock::system(), Home::Stepped, wake) {
            Ok(opened) => Process::new(opened, items)?.run(&parker),
            Err(error) => Err(ProcessError::Start(error, items)),
        }
    }
}

/// A collection on its way.
struct Process<H: Handler, S> {
    shard: Shard<H, S, Queued<H>>,
    clock: Clock,
    producer: EngineProducer<H, S>,
    post: Post,
    knock: Box<dyn Fn()>,
    /// Not yet pushed; in a row, since they go one after the other.
    rest: std::vec::IntoIter<H::Item>,
    /// Was not accepted, since there was no room.
    next: Option<H::Item>,
    tickets: VecDeque<Ticket<H::Reply, H::Error>>,
    outcomes: Vec<Outcome<H::Reply, H::Error>>,
}

impl<H: Handler, S: BuildHasher + Clone + 'static> Process<H, S> {
    fn new(opened: Opened<H, S>, items: Vec<H::Item>) -> Result<Self, ProcessError<H::Item>> {
        let Opened { plan, factory, lanes, mut shards, entrance, watch, cancels } = opened;
        let refused = items.iter().enumerate();
        let mut refused = refused.filter_map(|(at, item)| Some((at, entrance.refusal(item)?)));
        if let Some((at, refusal)) = refused.next() {
            return Err(ProcessError::Refused { at, cause: refusal.of(()), items });
        }
        let (post, mailbox) = mailbox(1);
        let (counters, _) = seqlock(Counters::ALL_WORDS);
        let id = ShardId(0);
        let (Some(ends), Some(lane), Some(operations)) =
            (shards.pop(), lanes.claim(), plan.operations.clone())
        else {
            unreachable!("there is a shard and a lane, and replies take queues")
        };
        let observer = watch.observer.clone();
        let ends = Ends { lanes: ends, factory, mailbox, counters, observer };
        let cancels = cancels.into_iter().next();
        let around = watch.surroundings(id, &plan, &entrance.router, cancels);
        let shard = match Shard::new(id, &plan, &entrance, ends, (operations, around)) {
            Ok(shard) => shard,
            Err(source) => {
                return Err(ProcessError::Start(StartError::Factory { shard: 0, source }, items));
            }
        };
        let clock = entrance.clock.clone();
        let (outcomes, next) = (Vec::with_capacity(items.len()), None);
        let producer = Producer::new(lane, entrance);
        let knock = Box::new(move || lanes.doorbell(0).knock());
        let (rest, tickets) = (items.into_iter(), VecDeque::new());
        Ok(Self { shard, clock, producer, post, knock, rest, next, tickets, outcomes })
    }

    fn run(mut self, parker: &Parker) -> Processed<H> {
        let all = self.rest.len();
        let (mut flushed, mut had) = (false, 0);
        while self.outcomes.len() < all {
            let all_pushed = self.push();
            let stands = self.outcomes.len() == had;
            had = self.outcomes.len();
            // Nothing need linger any more: nothing comes, or not before something has gone. Without room
            // for the mark: the next time round.
            if all_pushed && !flushed || !all_pushed && stands {
                flushed = self.producer.flush().is_ok() && all_pushed;
            }
            self.go(parker);
            self.collect();
            if self.shard.has_ended() && all_pushed {
                self.fail_rest();
            }
        }
        self.post.close(Close::Drain);
        (self.knock)();
        while !self.shard.has_ended() {
            self.go(parker);
        }
        Ok(self.outcomes)
    }

    /// A turn; sleeps where there is nothing to do.
    fn go(&mut self, parker: &Parker) {
        let now = self.clock.now();
        if !self.shard.turn(now) {
            self.shard.park(now, parker);
        }
    }

    /// Pushes as much as there is room for; says whether that was all.
    fn push(&mut self) -> bool {
        while let Some(item) = self.next.take().or_else(|| self.rest.next()) {
            match self.producer.try_ask(item) {
                Ok(ticket) => self.tickets.push_back(ticket),
                Err(PushError::Closed(item)) => {
                    // The shard stopped after a panic.
                    self.next = Some(item);
                    self.collect();
                    self.fail_rest();
                    return true;
                }
                Err(full) => {
                    self.next = Some(full.into_inner());
                    return false;
                }
            }
        }
        true
    }

    /// The shard has stopped: nothing more is handled.
    fn fail_rest(&mut self) {
        let left = usize::from(self.next.take().is_some()) + self.rest.len();
        self.rest.by_ref().for_each(drop);
        while let Some(mut ticket) = self.tickets.pop_front() {
            self.outcomes.push(ticket.look().unwrap_or(Err(Failure::Stopped)));
        }
        self.outcomes.extend((0..left).map(|_| Err(Failure::Stopped)));
    }

    /// Takes the answers that are there, in the items' order.
    fn collect(&mut self) {
        while let Some(ticket) = self.tickets.front_mut() {
            let Some(outcome) = ticket.look() else { return };
            self.outcomes.push(outcome);
            self.tickets.pop_front();
        }
    }
}
