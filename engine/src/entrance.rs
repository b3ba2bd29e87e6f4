//! What every way into an engine shares.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::error::PushError;
use crate::home::Home;
use crate::idle::IdleTimes;
use crate::item::Item;
use crate::nanos::Clock;
use crate::router::Router;
use crate::ticket::{Asked, Calls};

/// Says whether the destination of an item is known.
pub(crate) type Knows<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// What every way into an engine shares.
pub(crate) struct Entrance<T, R, E, S> {
    pub(crate) router: Router<S>,
    pub(crate) clock: Clock,
    pub(crate) idle: IdleTimes,
    pub(crate) home: Home,
    /// Present where calls may be made.
    pub(crate) calls: Option<Arc<Calls<R, E>>>,
    /// Present where destinations are told from others.
    pub(crate) knows: Option<Knows<T>>,
    /// Items that weigh more are refused.
    pub(crate) weight_max: u64,
}

impl<T, R, E, S: Clone> Clone for Entrance<T, R, E, S> {
    fn clone(&self) -> Self {
        Self {
            router: self.router.clone(),
            clock: self.clock.clone(),
            idle: self.idle,
            home: self.home.clone(),
            calls: self.calls.clone(),
            knows: self.knows.clone(),
            weight_max: self.weight_max,
        }
    }
}

impl<T, R, E, S> fmt::Debug for Entrance<T, R, E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance").field("home", &self.home).finish_non_exhaustive()
    }
}

/// Why an item is not accepted, whatever room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooHeavy,
    Undeclared,
}

impl Refusal {
    /// Whether an item can't be accepted. For types that neither weigh, nor expire, nor name entities, the
    /// compiler leaves it out.
    #[inline(always)]
    pub(crate) fn find<T: Item>(item: &T, weight_max: u64) -> Option<Self> {
        if T::WEIGHS && u64::from(item.weight()) > weight_max {
            return Some(Self::TooHeavy);
        }
        let undeclared = (!T::EXPIRES && item.expires_after().is_some())
            || (!T::ENTITIES && item.entity().is_some());
        undeclared.then_some(Self::Undeclared)
    }

    pub(crate) fn of<T>(self, item: T) -> PushError<T> {
        match self {
            Self::TooHeavy => PushError::TooHeavy(item),
            Self::Undeclared => PushError::Undeclared(item),
        }
    }
}

impl<T: Item, R, E, S: BuildHasher> Entrance<T, R, E, S> {
    /// Whether an item can't be accepted.
    #[inline(always)]
    pub(crate) fn refusal(&self, item: &T) -> Option<Refusal> {
        Refusal::find(item, self.weight_max)
    }

    /// The two ends of a call to a shard, if a slot is free.
    pub(crate) fn ask(&self, shard: usize) -> Option<Asked<R, E>> {
        self.calls.as_ref()?.open(shard)
    }
}
