//! A lock-free, thread-per-core batching engine.
#![deny(unsafe_code)]

mod arena;
mod batch;
mod batcher;
mod engine;
mod error;
mod groups;
mod handle;
mod handler;
mod home;
mod idle;
mod item;
mod lane;
mod limits;
mod machine;
mod nanos;
mod notes;
mod pin;
mod plan;
mod producer;
mod ready;
mod router;
mod shard;
mod sizing;
mod snapshot;
mod tally;
pub mod testing;
mod verdict;
mod wheel;

pub use batch::{Group, Settled, Verdicts};
pub use engine::{Builder, Engine};
pub use error::{Left, ProducerError, PushError, RunError, ShutdownError, StartError};
pub use handle::{Handle, Permit, Reserve};
pub use handler::{Batch, FromFn, Handler};
pub use idle::Idle;
pub use item::{Item, Patience};
pub use nanos::Nanos;
pub use pin::Shards;
pub use plan::{AfterPanic, Part, Plan};
pub use producer::Producer;
pub use shard::ShardId;
pub use sizing::{Sizing, Tiers, TiersError};
pub use snapshot::{Cost, Pin, Snapshot};
pub use verdict::{Failure, Trigger, Verdict};
