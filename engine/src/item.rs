//! What an engine can carry.

use std::time::Duration;

/// One operation that is pushed into an engine.
///
/// The one decision that is yours is the **key**: what may be handled together. A table, a
/// destination, an action with its normalised parameters make good keys; a row's id leaves nothing
/// to batch. Items of one key from one producer are handled in the order of their pushes.
///
/// A key usually borrows from its item, so nothing is cloned and nothing is allocated whatever its
/// type:
///
/// ```
/// use engine::Item;
///
/// struct Line { stream: String, text: String }
///
/// impl Item for Line {
///     type Key<'a> = &'a str;
///     fn key(&self) -> &str { &self.stream }
/// }
///
/// struct Transfer { account: u64, cents: i64 }
///
/// impl Item for Transfer {
///     type Key<'a> = u64;
///     fn key(&self) -> u64 { self.account }
/// }
/// ```
///
/// An item's key must not change while it waits, nor say another hash at another time: the producer
/// chooses the shard by the hash, and the shard finds the batch by it. If it changes all the same, the
/// order of items that had the same key is lost, and batches go early; nothing worse happens: the items
/// of a batch had equal keys when it was handed over.
///
/// # Panics
///
/// If `key` or `patience`, or the key's `Hash`, panics inside a push, the panic goes on to the caller
/// and nothing was accepted. If `key`, or the key's `Hash` or `Eq`, panics on the shard, the item at hand
/// fails as [`Panicked`](crate::Failure::Panicked) and is counted; others are not touched. Two keys are at
/// hand when they are compared: then it is the later item that fails.
pub trait Item: Send + Sized + 'static {
    /// What may be handled together.
    type Key<'a>: Eq + std::hash::Hash
    where
        Self: 'a;

    /// This item's key. Called by the producer and by the shard, to hash it, and once more when its batch
    /// is handed over, to compare it with the key of the batch's first item; and whenever a handler asks
    /// for it. Keep it cheap.
    fn key(&self) -> Self::Key<'_>;

    /// How long this item may linger for company. The default is what the engine says
    /// (`flush_after`), and costs nothing. Any other answer takes a place among the lane's marks.
    #[inline]
    fn patience(&self) -> Patience {
        Patience::Engine
    }
}

/// How long an item may linger in an open batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// As long as the engine's `flush_after`.
    #[default]
    Engine,
    /// At most so long, counted from its push; `flush_after` remains the ceiling.
    AtMost(Duration),
    /// Not at all: its batch is handed over at the end of the turn that finds the item, with
    /// whatever is in it.
    None,
}
