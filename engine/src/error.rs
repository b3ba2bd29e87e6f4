//! One small enum per operation. Errors give the item back and ask nothing of it.

use std::fmt;

use ringbuf::{Closed, PushError as RingError};

use crate::misfit::Misfit;
use crate::nanos::Nanos;
use crate::ticket::Tickets;

/// A push that was not accepted. The item comes back in it.
///
/// `Debug` and `Display` leave the item out, so this works for every item.
///
/// ```
/// # use engine::{Engine, Item, PushError};
/// # struct Row(u64);
/// # impl Item for Row { type Key<'a> = u64; fn key(&self) -> u64 { self.0 } }
/// # let engine = Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(())).start()?;
/// # let mut producer = engine.producer()?;
/// match producer.try_push(Row(1)) {
///     Ok(()) => {}
///     Err(PushError::Full(row)) => drop(row),            // or keep it for later
///     Err(other) => return Err(other.into()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub enum PushError<T> {
    /// No room in the item's lane. Push again later, slow down, or use `push`, which waits.
    Full(T),
    /// The engine, or the shard of this key, has closed. Nothing will be accepted any more.
    Closed(T),
    /// A push that would wait, on a shard's own thread: it would wait for itself. Use `try_push`
    /// there.
    WouldDeadlock(T),
    /// Room was reserved for another key, whose items take another way. Reserve room for this one.
    WrongKey(T),
    /// All reply slots are taken by calls that were not answered, or whose answer nobody has taken. Wait for
    /// some of those, or start the engine with more [`replies_max`](crate::Builder::replies_max) (none is
    /// the default).
    NoReplySlot(T),
    /// It weighs more than a batch may, and the engine [refuses](crate::Oversize::Refused) such items.
    TooHeavy(T),
    /// The item expires, or names an entity, and its type says that none does: set
    /// [`Item::EXPIRES`](crate::Item::EXPIRES) or [`Item::ENTITIES`](crate::Item::ENTITIES).
    Undeclared(T),
    /// More legs of one [route](crate::Producer::route) have the same shard than its lane will ever have room
    /// for. Route fewer at a time, or start the engine with longer lanes
    /// ([`lane_items`](crate::Builder::lane_items), [`lane_marks`](crate::Builder::lane_marks)).
    NeverFits(T),
}

impl<T> PushError<T> {
    /// The item.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item)
            | Self::Closed(item)
            | Self::WouldDeadlock(item)
            | Self::WrongKey(item)
            | Self::NoReplySlot(item)
            | Self::TooHeavy(item)
            | Self::Undeclared(item)
            | Self::NeverFits(item) => item,
        }
    }

    /// Whether a later push may succeed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_) | Self::NoReplySlot(_))
    }

    /// The same error about something else.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> PushError<U> {
        match self {
            Self::Full(item) => PushError::Full(change(item)),
            Self::Closed(item) => PushError::Closed(change(item)),
            Self::WouldDeadlock(item) => PushError::WouldDeadlock(change(item)),
            Self::WrongKey(item) => PushError::WrongKey(change(item)),
            Self::NoReplySlot(item) => PushError::NoReplySlot(change(item)),
            Self::TooHeavy(item) => PushError::TooHeavy(change(item)),
            Self::Undeclared(item) => PushError::Undeclared(change(item)),
            Self::NeverFits(item) => PushError::NeverFits(change(item)),
        }
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
            Self::WouldDeadlock(_) => "WouldDeadlock(..)",
            Self::WrongKey(_) => "WrongKey(..)",
            Self::NoReplySlot(_) => "NoReplySlot(..)",
            Self::TooHeavy(_) => "TooHeavy(..)",
            Self::Undeclared(_) => "Undeclared(..)",
            Self::NeverFits(_) => "NeverFits(..)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "no room in the lane",
            Self::Closed(_) => "the engine has closed",
            Self::WouldDeadlock(_) => "a push that waits, on the thread that it would wait for",
            Self::WrongKey(_) => "the room was reserved for another key",
            Self::NoReplySlot(_) => "all reply slots are taken (`replies_max`)",
            Self::TooHeavy(_) => TOO_HEAVY,
            Self::Undeclared(_) => UNDECLARED,
            Self::NeverFits(_) => {
                "more legs for one shard than a lane has room for (`lane_items`, `lane_marks`)"
            }
        })
    }
}

const TOO_HEAVY: &str = "it weighs more than a batch may (`batch_weight_max`)";
const UNDECLARED: &str =
    "it expires or names an entity, and its type does not say so (`EXPIRES`, `ENTITIES`)";

impl<T> std::error::Error for PushError<T> {}

impl<T> From<RingError<T>> for PushError<T> {
    fn from(error: RingError<T>) -> Self {
        match error {
            RingError::Full(item) => Self::Full(item),
            RingError::Closed(item) => Self::Closed(item),
        }
    }
}

/// What became of a push of an item with a mark, for whoever knows only of the item.
#[inline(always)]
pub(crate) fn unmarked<T, M>(pushed: Result<(), RingError<(T, M)>>) -> Result<(), PushError<T>> {
    pushed.map_err(|error| PushError::from(error).map(|(item, _)| item))
}

impl<T> From<Closed<T>> for PushError<T> {
    fn from(error: Closed<T>) -> Self {
        Self::Closed(error.0)
    }
}

/// A follow-up that was not taken. The item comes back in it.
#[non_exhaustive]
pub enum EmitError<T> {
    /// The item at hand has emitted as many as it may.
    TooMany(T),
    /// It would be one follow-up of a follow-up too many.
    TooDeep(T),
    /// Its key, or its entity, is another shard's, or it is of another entity: push it instead.
    NotHere(T),
    /// Its key has as many items as [`key_items_max`](crate::Builder::key_items_max) allows.
    KeyFull(T),
    /// There is no memory for another key, or for another item.
    NoRoom(T),
    /// As [`PushError::TooHeavy`].
    TooHeavy(T),
    /// As [`PushError::Undeclared`].
    Undeclared(T),
    /// The engine was started without [`follow_ups`](crate::Builder::follow_ups).
    NotSetUp(T),
}

impl<T> EmitError<T> {
    /// The item.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            Self::TooMany(item)
            | Self::TooDeep(item)
            | Self::NotHere(item)
            | Self::KeyFull(item)
            | Self::NoRoom(item)
            | Self::TooHeavy(item)
            | Self::Undeclared(item)
            | Self::NotSetUp(item) => item,
        }
    }
}

impl<T> fmt::Debug for EmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany(_) => "TooMany(..)",
            Self::TooDeep(_) => "TooDeep(..)",
            Self::NotHere(_) => "NotHere(..)",
            Self::KeyFull(_) => "KeyFull(..)",
            Self::NoRoom(_) => "NoRoom(..)",
            Self::TooHeavy(_) => "TooHeavy(..)",
            Self::Undeclared(_) => "Undeclared(..)",
            Self::NotSetUp(_) => "NotSetUp(..)",
        })
    }
}

impl<T> fmt::Display for EmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany(_) => "the item has emitted as many follow-ups as it may",
            Self::TooDeep(_) => "follow-ups follow one another as deep as they may",
            Self::NotHere(_) => "a follow-up stays on its shard and with its entity",
            Self::KeyFull(_) => "its key has as many items as it may",
            Self::NoRoom(_) => "no memory for another key, or for another item",
            Self::TooHeavy(_) => TOO_HEAVY,
            Self::Undeclared(_) => UNDECLARED,
            Self::NotSetUp(_) => "the engine was started without follow-ups (`follow_ups`)",
        })
    }
}

impl<T> std::error::Error for EmitError<T> {}

/// What an engine without queues can't do, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The engine keeps no queues: start it with [`Builder::queues`](crate::Builder::queues).
    #[error("the engine keeps no queues (`queues`)")]
    NoQueues,
    /// There is no memory for another key.
    #[error("no memory for another key (`open_keys`)")]
    NoRoom,
    /// The engine, or the shard of this key, has closed.
    #[error("the engine has closed")]
    Closed,
    /// It would have to wait for a shard on that shard's own thread.
    #[error("a wait on the thread that it would wait for")]
    WouldDeadlock,
}

/// Why nothing of an engine was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TuneError {
    /// This can't be, or not in this engine.
    #[error("{field} is {value}; allowed: {allowed}")]
    Setting {
        /// The field of [`Tunables`](crate::Tunables).
        field: &'static str,
        /// What it was to be.
        value: String,
        /// What it may be, and why no more.
        allowed: String,
    },
    /// No shard runs any more.
    #[error("the engine has closed")]
    Closed,
    /// It would have to wait for a shard on that shard's own thread.
    #[error("a wait on the thread that it would wait for")]
    WouldDeadlock,
}

impl From<Misfit> for TuneError {
    fn from(Misfit { field, value, allowed }: Misfit) -> Self {
        Self::Setting { field, value, allowed }
    }
}

/// Why a flush is not going to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The key, or for a flush of everything any key, is paused or was paused meanwhile, or a paused one comes
    /// before it in the order of an entity: what waits would never be settled.
    #[error("a paused key can't be flushed")]
    Paused,
    /// The engine keeps no queues: start it with [`Builder::queues`](crate::Builder::queues).
    #[error("the engine keeps no queues (`queues`)")]
    NoQueues,
    /// The engine stopped before everything was settled.
    #[error("the engine stopped")]
    Stopped,
    /// The time was up.
    #[error("not everything was settled in time")]
    TimedOut,
    /// It would have to wait for a shard on that shard's own thread.
    #[error("a wait on the thread that it would wait for")]
    WouldDeadlock,
}

/// Calls that were not all accepted.
pub struct CallsError<T, R, E> {
    /// On those that were.
    pub tickets: Tickets<R, E>,
    /// Why the next was not; with it, that item.
    pub cause: PushError<T>,
}

impl<T, R, E> fmt::Debug for CallsError<T, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallsError")
            .field("tickets", &self.tickets)
            .field("cause", &self.cause)
            .finish()
    }
}

impl<T, R, E> fmt::Display for CallsError<T, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} accepted calls", self.cause, self.tickets.len())
    }
}

impl<T, R, E> std::error::Error for CallsError<T, R, E> {}

/// An item that was not routed, to none of its destinations.
pub struct RouteError<T> {
    /// Why not.
    pub cause: PushError<()>,
    /// All of its legs, in their order.
    pub legs: Vec<T>,
}

impl<T> fmt::Debug for RouteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteError")
            .field("cause", &self.cause)
            .field("legs", &self.legs.len())
            .finish()
    }
}

impl<T> fmt::Display for RouteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "none of {} legs was accepted: {}", self.legs.len(), self.cause)
    }
}

impl<T> std::error::Error for RouteError<T> {}

/// A run of pushes that was not accepted whole.
pub struct RunError<T> {
    /// How many items were accepted.
    pub accepted: usize,
    /// Why the run stopped; with it, the items that were taken from the caller's iterator and not
    /// accepted, in their order. What follows them is still in the iterator.
    pub cause: PushError<Vec<T>>,
}

impl<T> fmt::Debug for RunError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunError")
            .field("accepted", &self.accepted)
            .field("cause", &self.cause)
            .finish()
    }
}

impl<T> fmt::Display for RunError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} accepted items", self.cause, self.accepted)
    }
}

impl<T> std::error::Error for RunError<T> {}

/// No producer to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// Every lane is claimed. Drop a producer first, or start the engine with more lanes.
    #[error("all {lanes} lanes are claimed by other producers; start with more `lanes`")]
    NoLane {
        /// The lanes there are.
        lanes: usize,
    },
    /// The engine was started with `handle_lanes(0)`.
    #[error("the engine was started without lanes for a shared handle (`handle_lanes`)")]
    NoHandleLane,
}

/// Why an engine did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of its range.
    #[error("{field} is {value}; allowed: {allowed}")]
    Setting {
        /// The builder's method.
        field: &'static str,
        /// What it was given.
        value: String,
        /// What it takes.
        allowed: String,
    },
    /// A core was named that this process may not use.
    #[error("shards: core {core} is not one that this process may use; those are {allowed:?}")]
    NoSuchCore {
        /// The core that was named.
        core: usize,
        /// The cores there are.
        allowed: Vec<usize>,
    },
    /// A core was named twice.
    #[error("shards: core {core} is named twice; two shards on one core only take turns")]
    CoreTwice {
        /// The core.
        core: usize,
    },
    /// The engine would need more memory than the machine, or this process's limit, has.
    #[error(
        "the engine would take {bytes} bytes, of which the largest part is {part} with {part_bytes}; \
         this machine allows {memory}"
    )]
    Memory {
        /// Bytes in all.
        bytes: u128,
        /// The largest part.
        part: &'static str,
        /// The bytes of that.
        part_bytes: u128,
        /// What there is, in bytes.
        memory: u64,
    },
    /// A shard's factory could not make its handler.
    #[error("the handler of shard {shard} could not be made: {source}")]
    Factory {
        /// The shard.
        shard: usize,
        /// What the factory said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system refused a thread.
    #[error("no thread for shard {shard}: {source}")]
    Thread {
        /// The shard.
        shard: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<Misfit> for StartError {
    fn from(Misfit { field, value, allowed }: Misfit) -> Self {
        Self::Setting { field, value, allowed }
    }
}

/// The items that were left when a shutdown's time was up, by where they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// In lanes.
    pub in_lanes: u64,
    /// In open batches.
    pub open: u64,
    /// In batches that were to be handed over.
    pub ready: u64,
    /// In a handler's hands.
    pub in_handler: u64,
    /// Held up: backing off, paused, or behind such.
    pub held: u64,
    /// In batches that handlers took along.
    pub in_flight: u64,
}

impl Left {
    /// All of them.
    #[must_use]
    pub const fn items(&self) -> u64 {
        self.in_lanes + self.open + self.ready + self.in_handler + self.held + self.in_flight
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} items ({} in lanes, {} open, {} ready, {} in a handler",
            self.items(),
            self.in_lanes,
            self.open,
            self.ready,
            self.in_handler
        )?;
        if self.held + self.in_flight > 0 {
            write!(f, ", {} held, {} in flight", self.held, self.in_flight)?;
        }
        f.write_str(")")
    }
}

/// A shutdown that did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The time was up before everything was settled. What was left fails as
    /// [`Stopped`](crate::Failure::Stopped) as soon as its shard's handler returns. The remedy: more
    /// time, or a handler with timeouts of its own.
    #[error("after {within} a shard had not ended; left were {left}")]
    TimedOut {
        /// The time that was given.
        within: Nanos,
        /// What was left when it was up.
        left: Left,
    },
    /// A shard's thread ended by a panic, which is a fault of the engine: panics of user code are
    /// caught. Its items were dropped.
    #[error("the thread of shard {shard} panicked; lost were {left}")]
    ShardDied {
        /// The first such shard.
        shard: usize,
        /// What it had not settled.
        left: Left,
    },
}
