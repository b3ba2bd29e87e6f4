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
    /// It failed this time. With no attempt left the item is *dead*: counted as such, with this
    /// error as its last.
    Retry(E),
}

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
    /// A call of the handler decided nothing at all.
    Undecided,
    /// The engine stopped before a handler saw the item.
    Stopped,
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(error) => write!(f, "the handler failed it: {error}"),
            Self::Dead(error) => write!(f, "no attempt was left; the last error: {error}"),
            Self::Panicked => f.write_str("user code panicked on it"),
            Self::Undecided => f.write_str("the handler decided nothing about it"),
            Self::Stopped => f.write_str("the engine stopped before it was handled"),
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
    /// An item in it has less patience than the engine.
    Patience,
    /// An item of another key with the same 64-bit hash is next; the two can't share a batch.
    Conflict,
    /// Memory for open batches or keys ran out, and this batch was the oldest.
    Pressure,
    /// The engine is shutting down.
    Drain,
}

impl Trigger {
    /// Every trigger, in the order of [`Trigger::index`].
    pub const ALL: [Self; 8] = [
        Self::Size,
        Self::Deadline,
        Self::Shallow,
        Self::Flush,
        Self::Patience,
        Self::Conflict,
        Self::Pressure,
        Self::Drain,
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
