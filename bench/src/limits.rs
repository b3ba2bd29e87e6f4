//! What everybody has room and time for, the engine and those whom it is compared with.

use std::time::Duration;

/// Items that fit between a producer and a consumer.
pub(crate) const QUEUE_ITEMS: usize = 8_192;
/// Items of one run at most, where runs are pushed or taken, or between two looks at the clock.
pub(crate) const RUN_ITEMS: usize = 256;
/// Items that a batch holds at most.
pub(crate) const BATCH_ITEMS: usize = 100;
/// How long an item may wait for company.
pub(crate) const FLUSH_AFTER: Duration = Duration::from_millis(10);
/// How long an engine may take to drain: only a broken one takes as long.
pub(crate) const DRAIN_WITHIN: Duration = Duration::from_secs(60);

const _: () = assert!(RUN_ITEMS <= QUEUE_ITEMS, "a run fits");
