//! Rows into one SQLite file: a batch becomes one transaction, with a verdict for every row.
//!
//! # Idea
//!
//! What is dear about a durable row is not the row but the commit: a sync of the disk, milliseconds,
//! whether one row waits for it or two hundred. You say how one row is written, by a [`Writer`];
//! [`Sqlite`] is the handler that does the rest: it opens the file, begins a transaction per batch, has
//! your writer store each row with prepared statements that are compiled once, and commits.
//!
//! # What it promises
//!
//! - **Done means committed.** A row's verdict is `Done` only after its batch's `COMMIT` returned. By
//!   default ([`Durability::Full`]) SQLite then has synced the write-ahead log, at every commit: the row
//!   survives a crash of the process, of the system and of the power, as far as the disk keeps what it
//!   acknowledged. [`Durability::Normal`] and [`Durability::Off`] give that up for speed, and say how.
//! - **A bad row fails alone.** A row that breaks a constraint, is too large, has a value of the wrong
//!   type or is refused by its writer fails with that reason; the rest of its batch is stored. What a
//!   failing row had written already is undone through a savepoint. A writer of one statement a row says
//!   so ([`Writer::ONE_STATEMENT`]) and saves the savepoints, since SQLite undoes a failing statement
//!   itself. If the schema makes a bad row roll the whole transaction back (`ON CONFLICT ROLLBACK`), the
//!   batch is written again without it.
//! - **What fails the batch fails every row of it**, with the same reason: busy, a full disk, a damaged
//!   file, a failed commit. Nothing of it is stored then. The one exception is a commit whose sync
//!   failed: its bytes may or may not be on the disk, and its rows fail as
//!   [`OutcomeUnknown`](crate::SinkError::OutcomeUnknown).
//! - **A panic of the writer stores nothing**: the transaction is rolled back while the panic unwinds,
//!   and all rows of the batch fail as panicked.
//! - **Waiting is bounded.** If another connection writes, a batch waits for
//!   [`Options::busy_timeout`] at most, then its rows get [`Verdict::Retry`](engine::Verdict::Retry) with
//!   [`Cause::Busy`](crate::Cause::Busy).
//! - **A file of somebody else is not touched.** With [`Options::application_id`], a file that is no
//!   database, or one of another application, is refused before a byte of it, or a file beside it, is
//!   written.
//!
//! # Several shards
//!
//! SQLite has one writer at a time, so one shard is the natural number. With more, each builds a sink of
//! its own on the same path, and they share the file by SQLite's own locks: correct, and hardly faster,
//! since whoever has to wait polls. Give them a long busy timeout.
//!
//! # The log and its checkpoints
//!
//! A commit appends to the write-ahead log (`…-wal`, with its index `…-shm` beside it). Once the log has
//! [`Options::checkpoint_pages`] pages, the commit that sees it also moves them into the database and
//! syncs that: this batch takes longer. A reader that keeps a transaction open keeps the log from being
//! used again from its start, so it grows. The last connection to close moves the rest and removes both
//! files; after a crash, the next one to open does. Copy a live database through SQLite's backup, never
//! without its log.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use engine::{Engine, Item};
//! use sinks::sqlite::{Options, Sqlite, WriteError, Writer, rusqlite};
//!
//! struct Visit { page: String, seconds: u32 }
//!
//! impl Item for Visit {
//!     type Key<'a> = ();                       // all rows go to one table
//!     fn key(&self) {}
//! }
//!
//! struct Visits;
//!
//! impl Writer for Visits {
//!     type Item = Visit;
//!     type Reply = ();
//!     const ONE_STATEMENT: bool = true;
//!
//!     fn prepare(&mut self, db: &rusqlite::Connection) -> rusqlite::Result<()> {
//!         db.execute_batch(
//!             "CREATE TABLE IF NOT EXISTS visits(page TEXT NOT NULL, seconds INTEGER NOT NULL)",
//!         )
//!     }
//!
//!     fn write(&mut self, db: &rusqlite::Connection, visit: &Visit) -> Result<(), WriteError> {
//!         db.prepare_cached("INSERT INTO visits VALUES (?1, ?2)")?
//!             .execute((&visit.page, visit.seconds))?;
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("visits.db");
//! let options = Options::new(&path);
//! let engine = Engine::try_builder(move |_shard| Sqlite::open(&options, Visits)).start()?;
//! let mut producer = engine.producer()?;
//! for seconds in 0..1_000 {
//!     producer.push(Visit { page: "/".into(), seconds })?;
//! }
//! drop(producer);
//! let last = engine.shutdown(Duration::from_secs(10))?;
//! assert_eq!(last.done, 1_000);
//! # Ok(())
//! # }
//! ```

mod classify;
mod connect;
mod handler;
mod options;
mod writer;

pub use connect::{Found, look};
pub use handler::Sqlite;
pub use options::{Durability, OpenError, Options};
pub use rusqlite;
pub use writer::{NotStored, WriteError, Writer};
