//! What becomes of an item, and why its batch was handed over.

use std::fmt;

/// What a handler decides about one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<R, E> {
    /// It is done; here is the reply for whoever waits for one.
    Done(R),
    /// It failed for good.
    Failed(E),
    /// It failed this time, and is tried again after a while: see [`Retry`](crate::Retry). With no attempt
    /// left (the default is one) the item is *dead*: counted as such, with this error as its last.
    Retry(E),
}

/// What became of an item, for whoever called.
pub(crate) type Outcome<R, E> = Result<R, Failure<E>>;

/// Why an item failed, from the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The handler said [`Verdict::Failed`].
    Handler(E),
    /// The handler said [`Verdict::Retry`] and no attempt was left.
    Dead(E),
    /// User code panicked while it had this item at hand: the handler, or the item's `key`, or its key's
    /// `Hash` or `Eq`.
    Panicked,
    /// A call of the handler decided nothing at all, and no attempt was left.
    Undecided,
    /// Its key had as many items as [`key_items_max`](crate::Builder::key_items_max) allows.
    KeyFull,
    /// It [expired](crate::Item::expires_after) while it waited, if only to be tried again.
    Expired,
    /// Whoever waited for it [cancelled](crate::Ticket::cancel) it while it waited, if only to be tried again.
    Cancelled,
    /// Its handler took it along and did not settle it [in time](crate::Builder::in_flight_for).
    TimedOut,
    /// Its handler took it along and dropped it unsettled.
    Abandoned,
    /// Nobody knows the destination it was [routed](crate::Producer::route) to.
    UnknownDestination,
    /// The engine stopped before it was settled.
    Stopped,
    /// The wait for the answer would have been on the thread of the shard that is to give it. The item
    /// itself goes on; poll the ticket there instead.
    WouldDeadlock,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(error) => write!(f, "the handler failed it: {error}"),
            Self::Dead(error) => write!(f, "no attempt was left; the last error: {error}"),
            Self::Panicked => f.write_str("user code panicked on it"),
            Self::Undecided => f.write_str("the handler decided nothing about it"),
            Self::KeyFull => f.write_str("its key had as many items as it may"),
            Self::Expired => f.write_str("it expired while it waited"),
            Self::Cancelled => f.write_str("it was cancelled while it waited"),
            Self::TimedOut => f.write_str("its batch was taken along and not settled in time"),
            Self::Abandoned => f.write_str("its batch was taken along and dropped unsettled"),
            Self::UnknownDestination => f.write_str("nobody knows its destination"),
            Self::Stopped => f.write_str("the engine stopped before it was handled"),
            Self::WouldDeadlock => f.write_str("a wait on the thread that it would wait for"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Failure<E> {}

/// Why a batch was handed over when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// It reached its target size.
    Size,
    /// Its deadline came.
    Deadline,
    /// Little was waiting, so nothing lingered.
    Shallow,
    /// A producer asked for everything so far to be handed over.
    Flush,
    /// An item in it, or one that became ready together with it, has less patience than the engine.
    Patience,
    /// An item of another key with the same 64-bit hash is next; the two can't share a batch.
    Conflict,
    /// Memory for open batches or keys ran out, and this batch was the oldest.
    Pressure,
    /// The engine is shutting down.
    Drain,
    /// With the next item it would weigh more than a batch may, or it weighs as much by itself.
    Weight,
    /// Somebody waits for the answer about an item in it.
    Call,
    /// It begins with an item that is tried again.
    Retry,
    /// It begins with items that the one before emitted.
    FollowUp,
    /// Its key was paused, or its items' order held up by a batch that was taken along.
    Resume,
    /// It was asked for by itself: see [`Engine::step`](crate::Engine::step).
    Step,
}

impl Trigger {
    /// Every trigger, in the order of [`Trigger::index`].
    pub const ALL: [Self; 14] = [
        Self::Size,
        Self::Deadline,
        Self::Shallow,
        Self::Flush,
        Self::Patience,
        Self::Conflict,
        Self::Pressure,
        Self::Drain,
        Self::Weight,
        Self::Call,
        Self::Retry,
        Self::FollowUp,
        Self::Resume,
        Self::Step,
    ];

    /// The trigger's place in [`Trigger::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The trigger's name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Deadline => "deadline",
            Self::Shallow => "shallow",
            Self::Flush => "flush",
            Self::Patience => "patience",
            Self::Conflict => "conflict",
            Self::Pressure => "pressure",
            Self::Drain => "drain",
            Self::Weight => "weight",
            Self::Call => "call",
            Self::Retry => "retry",
            Self::FollowUp => "follow-up",
            Self::Resume => "resume",
            Self::Step => "step",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triggers_index_is_its_place_in_all() {
        for (place, trigger) in Trigger::ALL.into_iter().enumerate() {
            assert_eq!(trigger.index(), place);
        }
    }
}
