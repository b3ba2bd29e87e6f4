//! Which item is it? The same through all its attempts.

use std::fmt;

/// Where an item entered the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) shard: u32,
    pub(crate) lane: u32,
    pub(crate) seq: u64,
}

/// Names an item for as long as the process lives, through all its attempts: for idempotency keys.
///
/// It consists of a random number of the engine's run, the shard, the lane in which the item came (past
/// the lanes of producers: the shard's own, of follow-ups), and its number in that lane. Two items of one
/// engine never have the same, nor do, but for a chance of 1 in 2^64, items of two engines. A push that is
/// repeated makes a new item with a name of its own: to tell repetitions apart is the business of whoever
/// pushes, with a number in the item.
///
/// Printed as `run-shard-lane-number`, the first in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId {
    pub(crate) run: u64,
    pub(crate) origin: Origin,
}

impl ItemId {
    /// The random number of the engine's run.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.run
    }

    /// The shard that handles it.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.origin.shard as usize
    }

    /// The lane in which it came to the shard.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.origin.lane as usize
    }

    /// Its number in that lane, from 0.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.origin.seq
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { shard, lane, seq } = self.origin;
        write!(f, "{:016x}-{shard}-{lane}-{seq}", self.run)
    }
}

/// What a handler may ask about an item, besides the item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) origin: Origin,
    /// Counted from 1.
    pub(crate) attempt: u32,
    /// A `Retry` holds up its domain.
    pub(crate) holds: bool,
    /// It is not tried again.
    pub(crate) is_last: bool,
    pub(crate) depth: u16,
    pub(crate) domain: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_printed_with_all_its_parts() {
        let id = ItemId { run: 0xab, origin: Origin { shard: 3, lane: 1, seq: 77 } };
        assert_eq!(id.to_string(), "00000000000000ab-3-1-77");
        assert_eq!((id.run(), id.shard(), id.lane(), id.sequence()), (0xab, 3, 1, 77));
    }
}
