//! What an engine can carry.

use std::time::Duration;

use crate::nanos::Nanos;

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

    /// Whether items have weights. With `false`, the default, each counts as 1, and is not asked.
    const WEIGHS: bool = false;

    /// How much this item takes of a batch, in the unit of
    /// [`batch_weight_max`](crate::Builder::batch_weight_max): bytes, rows, what costs. Asked by the push,
    /// by the shard when it takes the item, and again when it has absorbed another.
    #[inline]
    fn weight(&self) -> u32 {
        1
    }

    /// Whether items of this type may expire. With `false`, the default, none does, and an item whose
    /// [`expires_after`](Self::expires_after) says otherwise is not accepted.
    const EXPIRES: bool = false;

    /// The time from its push after which it is of no use any more: if it waits then, if only to
    /// be tried again, it fails as [`Expired`](crate::Failure::Expired). Counted from the turn that first sees it in its lane: so
    /// late by up to a turn, with the handler calls of that, and never early. Where a lane stays behind for many
    /// turns the shard does not keep when it first saw which item: then it counts from a later turn, up to the
    /// one that takes the item in, so the item may be handed over after its time. Takes effect up to the
    /// moment of hand-over, also while its key is held or paused. Asked once, when the shard takes the item.
    #[inline]
    fn expires_after(&self) -> Option<Duration> {
        None
    }

    /// Whether items of this type name entities. With `false`, the default, order is kept by key, and an
    /// item whose [`entity`](Self::entity) names one is not accepted.
    const ENTITIES: bool = false;

    /// A hash of what must stay in order across keys: an account, an aircraft. Items that name the same
    /// entity never overtake one another, even where their keys differ; those that name none keep the order
    /// of their key. An item's shard is chosen by its entity then, so *a key lives on several shards*: a
    /// handler's state by key is that shard's part of it. Must not change while the item waits.
    #[inline]
    fn entity(&self) -> Option<u64> {
        None
    }

    /// Whether a newer item may be folded into one that waits: see [`absorb`](Self::absorb).
    const ABSORBS: bool = false;

    /// Folds a newer item of the same key into this one, the last that waits for it, so that one handler
    /// call does for both: state updates, feeds where only the latest value counts. The survivor keeps the
    /// older one's age and the longer-lived one's expiry, and both are settled together. Key and entity must
    /// stay as they are. Where a state in between could fail, don't absorb.
    ///
    /// It is only asked of an item that no handler has seen and that nobody waits for.
    ///
    /// # Errors
    ///
    /// Gives the newer one back: it waits by itself.
    ///
    /// # Panics
    ///
    /// A panic fails both as [`Panicked`](crate::Failure::Panicked).
    fn absorb(&mut self, newer: Self) -> Result<(), Self> {
        Err(newer)
    }

    /// Which shard an item is handled by.
    const SHARD_BY: ShardBy = ShardBy::Hash;

    /// With [`ShardBy::Function`], which of so many shards handles the items of this key: from 0 to
    /// `shards - 1`; larger numbers wrap around. Must say the same for the same key, always.
    #[inline]
    fn shard(_key: &Self::Key<'_>, _shards: usize) -> usize {
        0
    }
}

/// How items are placed on shards. Items of one key (with entities: of one entity) meet the same shard,
/// but for [`Spread`](Self::Spread).
///
/// Different shards handle items at the same time, and nothing orders what they do. So what must not happen
/// at the same time belongs on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardBy {
    /// By the hash of the key, or of the entity. The default.
    #[default]
    Hash,
    /// By [`Item::shard`], a function of the key: to keep what belongs together on one core, or apart. Not
    /// with entities.
    Function,
    /// Everything on the first shard; the others idle.
    One,
    /// Over all shards, whatever the key, in turns: for a hot key whose items need no order. Refused unless
    /// order is [waived](crate::Order::Waived). A [`Handle`](crate::Handle) places by the hash all the same,
    /// and per-key limits hold on each shard for itself.
    Spread,
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

/// What an item weighs; 1 if its type says that none weighs anything.
pub(crate) fn weight<T: Item>(item: &T) -> u32 {
    if T::WEIGHS { item.weight() } else { 1 }
}

/// When an item expires, if its type says that any does.
pub(crate) fn expires_after<T: Item>(item: &T) -> Option<Nanos> {
    if T::EXPIRES { item.expires_after().map(Nanos::from) } else { None }
}
