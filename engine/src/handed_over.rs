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
    pub(crate) came: Came,
}

/// What became of a batch's items, as far as the call decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) done: usize,
    pub(crate) failed: usize,
    pub(crate) retried: usize,
}
