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
/// An item's key must not change while it waits: a group compares an arriving item's key with the
/// key of its first item. If it changes all the same, items land in the wrong batch; nothing worse
/// happens.
///
/// # Panics
///
/// If `key` or `patience`, or the key's `Hash`, panics inside a push, the panic goes on to the caller
/// and nothing was accepted. If `key`, or the key's `Eq`, panics on the shard, the arriving item fails as
/// [`Panicked`](crate::Failure::Panicked) and is counted; others are not touched.
pub trait Item: Send + Sized + 'static {
    /// What may be handled together.
    type Key<'a>: Eq + std::hash::Hash
    where
        Self: 'a;

    /// This item's key. Called by the producer, to hash it, and by the shard, each time that it is
    /// compared with the key of a batch's first item or a handler asks for it: keep it cheap.
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
