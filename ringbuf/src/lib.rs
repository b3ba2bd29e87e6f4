//! Hand-off between threads without locks: rings, lanes, doorbells, seqlocks.
//!
//! - [`ring()`]: one producer, one consumer; one item or runs of items in place; closing both ways
//!   without losing an item or having one twice.
//! - [`lanes()`]: many producers and many shards, a ring for each pair; a shard sleeps at its
//!   [`Doorbell`] and never misses a push; few items carry *marks* in a side ring.
//! - [`SharedLane`]: one lane for many threads and tasks, with permits.
//! - [`seqlock()`]: a block of counters that readers copy without stopping the writer.
//! - [`ReplyPool`]: one-shot slots for answers, from one pool; an asker polls, blocks, or leaves.
//! - [`flags()`] that many raise and one takes; [`returns()`]: values that many hand back to one.
//! - [`prefetch`]: cache lines asked for ahead; [`Distance`]: a consumer that keeps behind its producer.
//! - [`wake`]: waiting for any of these from a plain thread, also for a limited time.
//!
//! ```
//! let (mut producer, mut consumer) = ringbuf::ring(1024);
//! let pusher = std::thread::spawn(move || {
//!     for n in 0..10_000_u64 {
//!         producer.push(n, ringbuf::wake::BRIEF_SPIN).unwrap();
//!     }
//! });
//! let mut sum = 0;
//! loop {
//!     let last_look = consumer.is_closed();
//!     sum += consumer.run(256).sum::<u64>();
//!     if last_look && consumer.is_empty() {
//!         break;
//!     }
//! }
//! pusher.join().unwrap();
//! assert_eq!(sum, 10_000 * 9_999 / 2);
//! ```
//!
//! # How it is built
//! A file imports only from strictly lower floors:
//!
//! | floor | files |
//! |---|---|
//! | 0 | `error`, `distance` (how far a consumer keeps behind), `panics` (going on after a panic of foreign code), `prefetch` (cache lines asked for ahead), `sync` (the only door to atomics, cells, fences, locks) |
//! | 1 | `barrier` (a store-load fence that only the rare side pays for), `slots` (raw storage), `seqlock`, `wake`, `waiters`, `reply`, `flags` |
//! | 2 | `wake_slot` (where one waiter leaves its waker), `doorbell`, `returns` |
//! | 3 | `ends` (the two ends of a ring, and the close race) |
//! | 4 | `claim` (what is moved out, in place), `ring`, `side` |
//! | 5 | `run`, `matrix` |
//! | 6 | `shard_lanes` |
//! | 7 | `lane` |
//! | 8 | `lanes`, `shared` |
//!
//! Numbers of items are 64-bit atomics, so a target needs those (`target_has_atomic = "64"`): every
//! 64-bit target has them and most 32-bit ones do; where they are missing this crate does not compile.
//!
//! Every ordering that is not `Relaxed` belongs to a pair with a name in brackets, like
//! `[filled]`, and every protocol has a model that fails when the ordering is taken away.

mod barrier;
mod claim;
mod distance;
mod doorbell;
mod ends;
mod error;
mod flags;
mod lane;
mod lane_run;
mod lanes;
mod matrix;
mod panics;
pub mod prefetch;
mod reply;
mod returns;
mod ring;
mod run;
mod seqlock;
mod shard_lanes;
mod shared;
mod side;
mod slots;
mod sync;
mod waiters;
pub mod wake;
mod wake_slot;

pub use barrier::pushes_without_fence;
pub use claim::{Here, Stretch};
pub use distance::Distance;
pub use doorbell::{Doorbell, LATEST_RING};
pub use error::{Closed, Full, PushError};
pub use flags::{FLAGS_MAX, FlagReader, Flags, flags};
pub use lane::{Lane, Lanes};
pub use lane_run::{LaneRun, Place};
pub use lanes::lanes;
pub use matrix::{LANES_MAX, LanesConfig, SHARDS_MAX};
pub use reply::{Answer, REPLIES_MAX, Reply, ReplyPool};
pub use returns::{Return, Returns, returns};
pub use ring::{Consumer, Producer, ring};
pub use run::{Fill, Run};
pub use seqlock::{SeqlockReader, SeqlockWriter, seqlock};
pub use shard_lanes::{LaneDrain, ShardLanes};
pub use shared::{Permit, Reserve, SharedLane};
#[cfg(tidegate_loom)]
pub use sync::canary;
