//! What a handler call came to, for who counts and watches.

use std::any::Any;

use crate::nanos::Nanos;
use crate::verdict::Trigger;

/// One handler call.
pub(crate) struct HandedOver {
    pub(crate) items: usize,
    pub(crate) since: Nanos,
    pub(crate) deadline: Nanos,
    /// The handler panicked with this.
    pub(crate) panic: Option<Box<dyn Any + Send>>,
    /// More, for who watches: where queues are kept.
    pub(crate) seen: Option<Seen>,
}

/// What is told of a call to who watches.
pub(crate) struct Seen {
    pub(crate) trigger: Trigger,
    /// The key's.
    pub(crate) hash: u64,
    /// Items that were folded into the batch's.
    pub(crate) absorbed: usize,
    pub(crate) came: Came,
    /// The seat in which the handler has taken it along.
    pub(crate) away: Option<u32>,
}

/// What became of a batch's items and of those folded into them, as far as was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) retried: usize,
}
