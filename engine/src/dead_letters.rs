//! Where items go whose attempts are used up.

use std::fmt;

use crate::identity::ItemId;
use crate::nanos::Nanos;

/// An item that was tried as often as it may be, and never done.
pub struct DeadLetter<'e, T, E> {
    /// The item.
    pub item: T,
    /// Its name, the same in all attempts.
    pub id: ItemId,
    /// How often it was tried: at least once.
    pub attempts: u32,
    /// What the handler said the last time.
    pub error: &'e E,
    /// When it was pushed, in the time since the engine started: not later than that, and earlier by a
    /// turn at most.
    pub first_seen: Nanos,
    /// Now, in the same time.
    pub now: Nanos,
}

impl<T, E: fmt::Debug> fmt::Debug for DeadLetter<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("attempts", &self.attempts)
            .field("error", &self.error)
            .field("first_seen", &self.first_seen)
            .finish_non_exhaustive()
    }
}

/// Takes the items that are dead: see [`Builder::dead_letters`](crate::Builder::dead_letters). Closures do.
///
/// It is called on the shards' threads, in the middle of a turn: keep it short, or pass the letter on.
///
/// ```
/// use engine::{DeadLetter, DeadLetters};
/// use std::sync::mpsc;
///
/// let (send, letters) = mpsc::channel();
/// let hook = move |letter: DeadLetter<'_, u64, String>| {
///     let _ = send.send((letter.item, letter.attempts, letter.error.clone()));
/// };
/// # fn takes(_: &impl DeadLetters<u64, String>) {}
/// # takes(&hook);
/// # drop((hook, letters));
/// ```
///
/// # Panics
///
/// A panic in it is caught and counted ([`hook_panics`](crate::Snapshot::hook_panics)); the item is dead
/// all the same.
pub trait DeadLetters<T, E>: Send + Sync {
    /// Takes one.
    fn take(&self, letter: DeadLetter<'_, T, E>);
}

impl<T, E, F> DeadLetters<T, E> for F
where
    F: Fn(DeadLetter<'_, T, E>) + Send + Sync,
{
    fn take(&self, letter: DeadLetter<'_, T, E>) {
        self(letter);
    }
}
