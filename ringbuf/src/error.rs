//! What an operation answers when it did not happen.
//!
//! Each error gives the item back and asks nothing of it: `Debug`, `Display` and `Error` are there
//! for every `T`, so `.unwrap()` and `?` work for items that cannot be printed.

use std::error::Error;
use std::fmt;

/// There is no room now; the item comes back.
///
/// Try again later, wait for room, or drop the item: nothing else has happened to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

/// Nobody will ever take this item; it comes back.
///
/// The other end has closed or is gone. Trying again gives the same answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

/// Why a push was refused. Either way the item comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// There is no room now: try again later, or wait for room.
    Full(T),
    /// The other end has closed: no later try will be accepted.
    Closed(T),
}

impl<T> Full<T> {
    /// The item that was refused.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Closed<T> {
    /// The item that was refused.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> PushError<T> {
    /// For whom there is no room.
    ///
    /// Always inlined: were the item handed to a function that might stay one, it would have to lie
    /// in memory for that, and to get from there into its slot on the way that is taken otherwise.
    #[inline(always)]
    pub(crate) fn refused(closed: bool, item: T) -> Self {
        if closed { Self::Closed(item) } else { Self::Full(item) }
    }

    /// The item that was refused.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }

    /// Whether a later try may succeed.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether no later try will succeed.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// The same refusal with another item in it.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> PushError<U> {
        match self {
            Self::Full(item) => PushError::Full(change(item)),
            Self::Closed(item) => PushError::Closed(change(item)),
        }
    }
}

impl<T> From<Full<T>> for PushError<T> {
    fn from(Full(item): Full<T>) -> Self {
        Self::Full(item)
    }
}

impl<T> From<Closed<T>> for PushError<T> {
    fn from(Closed(item): Closed<T>) -> Self {
        Self::Closed(item)
    }
}

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room: the other end has not taken enough yet")
    }
}

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed: the other end takes nothing any more")
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => Full(()).fmt(f),
            Self::Closed(_) => Closed(()).fmt(f),
        }
    }
}

impl<T> Error for Full<T> {}
impl<T> Error for Closed<T> {}
impl<T> Error for PushError<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Unprintable;

    #[test]
    fn every_error_prints_whatever_the_item_is() {
        assert_eq!(format!("{:?}", PushError::Full(Unprintable)), "Full(..)");
        assert_eq!(format!("{:?}", PushError::Closed(Unprintable)), "Closed(..)");
        assert!(PushError::Full(Unprintable).to_string().contains("no room"));
        assert!(Closed(Unprintable).to_string().contains("closed"));
        let boxed: Box<dyn Error> = Box::new(Full(7));
        assert_eq!(format!("{boxed:?}"), "Full(..)");
    }

    #[test]
    fn every_error_gives_the_item_back() {
        assert_eq!(Full(1).into_inner(), 1);
        assert_eq!(Closed(2).into_inner(), 2);
        assert_eq!(PushError::from(Full(3)).into_inner(), 3);
        assert_eq!(PushError::from(Closed(4)).map(|n| n + 1).into_inner(), 5);
        assert!(PushError::Full(()).is_full() && PushError::Closed(()).is_closed());
    }
}
