//! What the user of the sink writes.

use engine::{Item, ItemId};
use rusqlite::Connection;

use crate::error::SinkError;

/// Says how one row is written, and what is written once for all rows of a batch.
///
/// The sink calls, for each batch: [`begin`](Self::begin), [`write`](Self::write) for every row in
/// order, [`finish`](Self::finish), then it commits and calls [`committed`](Self::committed). All of it
/// happens in one transaction, on one thread. A writer must not begin, commit or roll back itself.
///
/// Use [`Connection::prepare_cached`] for every statement, so that it is compiled once.
///
/// # Panics
///
/// If a writer panics, nothing of the batch is stored, and its rows fail as
/// [`Panicked`](engine::Failure::Panicked).
pub trait Writer: 'static {
    /// What it writes.
    type Item: Item;
    /// What a stored row is answered with; `()` where nobody waits for an answer.
    type Reply: Send + 'static;

    /// `true` if [`write`](Self::write) changes the database by one statement at most, so that a
    /// failing row has nothing to undo but what SQLite undoes itself, and the sink can save a savepoint
    /// around each row. (A statement with `OR FAIL` leaves what it had changed: such a writer must not
    /// say so.)
    const ONE_STATEMENT: bool = false;

    /// Called once when the database was opened, inside a transaction: create what is missing. Must do
    /// no harm to a database that it has prepared before.
    ///
    /// # Errors
    ///
    /// The opening fails with the error, and nothing of the transaction is stored.
    fn prepare(&mut self, db: &Connection) -> rusqlite::Result<()>;

    /// A batch begins. Forget sums of the batch before: it may have failed. If a row made SQLite roll
    /// the transaction back, the batch begins anew, without that row.
    fn begin(&mut self) {}

    /// Writes one row.
    ///
    /// # Errors
    ///
    /// An error that lies in the row fails it alone: what this call wrote is undone, so count a row
    /// into sums for [`finish`](Self::finish) only after its statements succeeded. One that does not
    /// (busy, a full disk, …) fails the batch.
    fn write(&mut self, db: &Connection, item: &Self::Item) -> Result<Self::Reply, WriteError>;

    /// Writes what stands for the whole batch, just before the commit: sums, counters, a cursor. Called
    /// if at least one row was written.
    ///
    /// # Errors
    ///
    /// An error fails all rows of the batch, whatever it is, and nothing is stored.
    fn finish(&mut self, db: &Connection) -> Result<(), WriteError> {
        let _ = db;
        Ok(())
    }

    /// The commit returned: what was written is stored.
    fn committed(&mut self) {}

    /// A row of the batch was not stored; called once for each such row after the batch ended, whether
    /// it was committed or not. Keep the row for later here, or count it. Where the engine tries again
    /// (a [retryable](SinkError::is_retryable) error), it is called after every attempt; the last of
    /// them is what the engine's [dead letters](engine::Builder::dead_letters) are told.
    fn not_stored(&mut self, row: NotStored<'_, Self::Item>) {
        let _ = row;
    }
}

/// A row that was not stored, and why: what [`Writer::not_stored`] is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NotStored<'a, T> {
    /// The row.
    pub item: &'a T,
    /// What kept it from being stored.
    pub error: &'a SinkError,
    /// Its name, the same in all its attempts; `None` where the engine
    /// [keeps no queues](engine::Builder::queues).
    pub id: Option<ItemId>,
    /// Which attempt this was, from 1.
    pub attempt: u32,
}

/// Why a row can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// SQLite, or the binding of a value, failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The writer itself will not write it. The reason becomes part of errors and logs: it must not
    /// hold the row's values.
    #[error("refused: {0}")]
    Refused(&'static str),
}
