//! A lock-free, thread-per-core batching engine.
//!
//! Producers push single keyed operations; pinned shard threads pull them out of single-producer
//! rings, group them by key, and hand them to your [`Handler`] as batches: `&[Item]`, all of one key,
//! oldest first. The handler says what became of each. Nothing waits longer than its deadline (10 ms
//! unless you say otherwise), nothing is allocated per item or per batch, nothing is dropped
//! silently.
//!
//! Use it where doing N things at once is cheaper than N times one thing: rows into a database,
//! records into a log with one `fsync`, requests to one destination, updates to one state.
//!
//! # Choosing a key
//!
//! This is the one design decision that is yours. The *key* is what may be handled together: a table,
//! a destination, an action with its normalised parameters. A key as fine as a row's id leaves nothing
//! to batch; one key for everything leaves nothing to do in parallel.
//!
//! # A handler of ten lines
//!
//! ```
//! use engine::{Batch, Engine, Handler, Item, Settled, Shards, Verdict};
//! use std::collections::HashMap;
//! use std::time::Duration;
//!
//! struct Transfer { account: u64, cents: i64 }
//!
//! impl Item for Transfer {
//!     type Key<'a> = u64; // or &'a str, (Action, &'a str), …: nothing is cloned
//!     fn key(&self) -> u64 { self.account }
//! }
//!
//! #[derive(Default)]
//! struct Ledger { balances: HashMap<u64, i64> } // lives on its shard's thread; need not be Send
//!
//! impl Handler for Ledger {
//!     type Item = Transfer;
//!     type Reply = i64; // () where nobody waits for one
//!     type Error = &'static str;
//!
//!     fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
//!         let balance = self.balances.entry(batch.key()).or_default();
//!         batch.settle_each(|transfer| match balance.checked_add(transfer.cents) {
//!             Some(sum) if sum >= 0 => { *balance = sum; Verdict::Done(sum) }
//!             _ => Verdict::Failed("overdrawn"),
//!         })
//!     }
//! }
//!
//! let engine = Engine::builder(|_shard| Ledger::default())
//!     .shards(Shards::Count(2))
//!     .lanes(3) // producers that may exist at once
//!     .flush_after(Duration::from_millis(10))
//!     .start()?;
//! let mut producer = engine.producer()?;
//! producer.push(Transfer { account: 7, cents: 100 })?; // waits for room; try_push gives it back
//! producer.push(Transfer { account: 7, cents: -300 })?;
//! println!("{}", engine.snapshot());
//! let last = engine.shutdown(Duration::from_secs(5))?; // settles everything first
//! assert_eq!((last.accepted, last.done, last.failed), (2, 1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it promises
//!
//! - **Settled once.** Every item from a push that returned `Ok` ends as exactly one of done, failed
//!   or dead.
//! - **Order.** Items of one key from one producer are handled in the order of their pushes, also
//!   when a handler panics in between.
//! - **Deadline.** An item reaches its handler within `flush_after` of its push, unless its shard is
//!   busy in a handler. Later items don't put it off.
//! - **No linger when shallow.** With the default [`Sizing`], while 10 items or fewer wait, what is
//!   there is handed over at once.
//! - **Bounded and lossless.** All memory is taken at the start, and the [`Plan`] says how much. When
//!   a lane is full, [`Producer::try_push`] gives the item back and [`Producer::push`] waits.
//! - **Panics stay inside**, and lose only the item at hand: see [`Group::settle_each`].
//! - **Shutdown drains.** A push that races it is either handled or gives its item back.
//! - **Fair.** Neither a hot key nor a fast producer starves the rest.
//! - **No allocation** per item or per batch after warm-up.
//! - **Numbers that are true**: see [`Snapshot`].
//!
//! # More than batches
//!
//! Calls that are answered, retries, limits, merges, entities, follow-ups, batches that are settled later:
//! the [`guide`] has a chapter for each. An engine that uses none of them pays for none.
//!
//! # Sizing
//!
//! A batch's target size is fixed when it opens, by the number of items that wait in the shard's
//! lanes: the more is waiting, the larger. [`Tiers`] is the default; [`Sizing::Fixed`] lingers for a
//! full batch at any depth; [`Sizing::Single`] makes batches of one, to compare with. Whatever the
//! sizing, a batch that is not full goes when its oldest item's deadline comes.
//!
//! # Events
//!
//! The engine tells [`tracing`] of its start and plan (info), refused pins and forced stops (warn),
//! panics (error) and drains (debug), and is quiet otherwise.
//!
//! # Testing
//!
//! [`testing::with_batch`] tries a handler on one batch. [`testing::Stepped`] is a whole engine on the
//! test's own thread, with a clock that the test moves.

#![deny(unsafe_code)]

mod arena;
mod batch;
mod batcher;
mod builder;
mod dead_letters;
mod drain;
mod engine;
mod entrance;
mod error;
mod flight;
mod grouping;
mod groups;
pub mod guide;
mod handed_over;
mod handle;
mod handler;
mod hashes;
mod home;
mod identity;
mod idle;
#[cfg(feature = "internals")]
pub mod internals;
mod item;
mod key_queue;
mod lane;
mod limits;
mod machine;
mod misfit;
mod nanos;
mod notes;
mod observer;
mod operations;
mod panics;
mod pin;
mod plan;
mod process;
mod producer;
mod queue_drain;
mod queues;
mod ready;
mod retry;
mod router;
mod shard;
mod shard_id;
mod sizing;
mod snapshot;
mod spot;
mod table;
mod tally;
pub mod testing;
mod ticket;
mod timers;
mod tray;
mod tunables;
mod verdict;
mod verdicts;
mod wheel;
mod windows;
mod worker;

pub use batch::{Group, Settled};
pub use builder::Builder;
pub use dead_letters::{DeadLetter, DeadLetters};
pub use engine::{Engine, EngineHandle, EngineProducer};
pub use error::{
    CallsError, ControlError, EmitError, FlushError, Left, ProducerError, PushError, RouteError,
    RunError, ShutdownError, StartError, TuneError,
};
pub use flight::Detached;
pub use grouping::Grouping;
pub use handle::{Handle, Permit, Reserve};
pub use handler::{Batch, FromFn, Handler};
pub use identity::ItemId;
pub use idle::Idle;
pub use item::{Item, Patience, ShardBy};
pub use nanos::Nanos;
pub use observer::{BatchEvent, BatchStage, Observer};
pub use operations::{Order, Oversize};
pub use pin::Shards;
pub use plan::{AfterPanic, Part, Plan};
pub use process::{ProcessError, Processed, process};
pub use producer::Producer;
pub use retry::Retry;
pub use router::KeyHasher;
pub use shard_id::ShardId;
pub use sizing::{Sizing, Tiers, TiersError};
pub use snapshot::{Cost, Pin, Snapshot};
pub use ticket::{Outcomes, Ticket, Tickets};
pub use tray::FollowUps;
pub use tunables::Tunables;
pub use verdict::{Failure, Trigger, Verdict};
pub use verdicts::Verdicts;

/// The README's code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
