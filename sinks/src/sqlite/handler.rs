//! The handler: one transaction per batch.

use std::fmt;

use engine::{Batch, Handler, ItemId, Settled, Verdict, Verdicts};
use rusqlite::Connection;

use super::classify;
use super::connect::{Transaction, connect};
use super::options::{OpenError, Options};
use super::writer::{NotStored, Writer};
use crate::error::{Cause, SinkError};

/// Stores each batch in one transaction; see the [module](super) for what it promises.
///
/// A batch costs a `BEGIN IMMEDIATE`, what its writer does, and a `COMMIT`, which waits for the disk at
/// [`Durability::Full`](super::Durability::Full). It does not allocate, but for what the writer and
/// SQLite do.
pub struct Sqlite<W> {
    options: Options,
    /// `None` after a rollback failed, until it is opened anew.
    db: Option<Connection>,
    writer: W,
    /// Rows of the batch at hand that failed alone.
    failed_rows: usize,
    /// Of each row of the batch at hand; empty where the engine knows no names.
    standings: Vec<Standing>,
}

/// What the engine says of a row.
#[derive(Clone, Copy)]
struct Standing {
    id: ItemId,
    attempt: u32,
}

impl<W> fmt::Debug for Sqlite<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<W: Writer> Sqlite<W> {
    /// Opens the database, switches it to a write-ahead log, sets and reads back its durability, and has
    /// `writer` prepare it. Call it in the factory given to
    /// [`Engine::try_builder`](engine::Engine::try_builder), so that each shard has its own.
    ///
    /// # Errors
    ///
    /// [`OpenError::OutOfRange`] for an option that can't work, [`OpenError::Database`] for what the
    /// file, the file system or the writer's schema did. A file that is not a database, or not ours, is
    /// left as it was.
    pub fn open(options: &Options, mut writer: W) -> Result<Self, OpenError> {
        options.check()?;
        let db = connect(options, options.create, &mut writer)?;
        Ok(Self {
            options: options.clone(),
            db: Some(db),
            writer,
            failed_rows: 0,
            standings: Vec::new(),
        })
    }

    /// The writer.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    fn store(&mut self, items: &[W::Item], verdicts: &mut Verdicts<W::Reply, SinkError>) {
        self.failed_rows = 0;
        let whole = loop {
            match self.attempt(items, verdicts) {
                Ok(()) => break None,
                Err(Broken::ByOneRow) => {}
                Err(Broken::Wholly(error)) => break Some(error),
            }
        };
        if let Some(error) = whole {
            tracing::warn!(rows = items.len(), %error, "sqlite batch not stored");
            for at in 0..items.len() {
                if !failed_alone(verdicts, at) {
                    verdicts.set(at, error.clone().into_verdict());
                }
            }
        } else if self.failed_rows == 0 {
            return;
        }
        for (at, item) in items.iter().enumerate() {
            if let Some(Verdict::Failed(error) | Verdict::Retry(error)) = verdicts.get(at) {
                let standing = self.standings.get(at);
                let id = standing.map(|standing| standing.id);
                let attempt = standing.map_or(1, |standing| standing.attempt);
                self.writer.not_stored(NotStored { item, error, id, attempt });
            }
        }
    }

    /// Writes and commits every row that has not failed alone yet. The verdicts it leaves are true if
    /// it returns `Ok`; otherwise only those of rows that failed alone are.
    fn attempt(
        &mut self,
        items: &[W::Item],
        verdicts: &mut Verdicts<W::Reply, SinkError>,
    ) -> Result<(), Broken> {
        let Self { options, db, writer, failed_rows, .. } = self;
        let db = usable(db, options, writer)?;
        let transaction = Transaction::begin(db).map_err(|error| wholly(&error))?;
        writer.begin();
        let mut written = 0_usize;
        for (at, item) in items.iter().enumerate() {
            if failed_alone(verdicts, at) {
                continue;
            }
            match write_row(db, writer, item)? {
                Row::Written(reply) => {
                    verdicts.set(at, Verdict::Done(reply));
                    written += 1;
                }
                Row::Failed(cause) => {
                    let lost = db.is_autocommit();
                    *failed_rows += 1;
                    verdicts.set(at, Verdict::Failed(SinkError::Final(cause)));
                    if lost {
                        return Err(Broken::ByOneRow);
                    }
                }
            }
        }
        if written == 0 {
            // Nothing to commit: the transaction is dropped, and no sync is waited for.
            return Ok(());
        }
        writer
            .finish(db)
            .map_err(|error| Broken::Wholly(classify::of_write(&error).nothing_stored()))?;
        if db.is_autocommit() {
            return Err(Broken::Wholly(SinkError::OutcomeUnknown(Cause::TransactionEnded)));
        }
        transaction
            .commit()
            .map_err(|error| Broken::Wholly(commit_failed(classify::of(&error))))?;
        writer.committed();
        Ok(())
    }
}

impl<W: Writer> Handler for Sqlite<W> {
    type Item = W::Item;
    type Reply = W::Reply;
    type Error = SinkError;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        self.standings.clear();
        self.standings.extend((0..batch.len()).map_while(|at| {
            let attempt = batch.attempt(at);
            batch.id(at).map(|id| Standing { id, attempt })
        }));
        batch.settle_bulk(|_key, items, verdicts| self.store(items, verdicts))
    }
}

/// Why an attempt stored nothing.
enum Broken {
    /// A row took the transaction with it; it has its verdict, and the others can be written without it.
    ByOneRow,
    /// What went wrong lies in no row.
    Wholly(SinkError),
}

enum Row<R> {
    Written(R),
    Failed(Cause),
}

fn wholly(error: &rusqlite::Error) -> Broken {
    Broken::Wholly(classify::of(error).nothing_stored())
}

/// What a failed commit means. If it was a call of the system that failed, the commit's bytes may have
/// been handed over before: whether they are on the disk nobody can say.
fn commit_failed(cause: Cause) -> SinkError {
    match cause {
        Cause::Io { .. } => SinkError::OutcomeUnknown(cause),
        _ => cause.nothing_stored(),
    }
}

/// Verdicts of this sink are `Failed` before the end of a batch only for rows that failed alone.
fn failed_alone<R>(verdicts: &Verdicts<R, SinkError>, at: usize) -> bool {
    matches!(verdicts.get(at), Some(Verdict::Failed(_)))
}

/// The connection, opened anew if the last one was stuck in a transaction.
fn usable<'c, W: Writer>(
    db: &'c mut Option<Connection>,
    options: &Options,
    writer: &mut W,
) -> Result<&'c Connection, Broken> {
    if db.take_if(|db| !db.is_autocommit()).is_some() {
        tracing::warn!("sqlite connection given up: its transaction could not be rolled back");
    }
    if db.is_none() {
        // The file was there: if it is gone, that is an error, and not a new file.
        *db = Some(connect(options, false, writer).map_err(Broken::Wholly)?);
    }
    Ok(db.as_ref().expect("it was opened just now"))
}

fn write_row<W: Writer>(
    db: &Connection,
    writer: &mut W,
    item: &W::Item,
) -> Result<Row<W::Reply>, Broken> {
    let run = |sql: &str| -> Result<(), Broken> {
        db.prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map_err(|error| wholly(&error))?;
        Ok(())
    };
    if !W::ONE_STATEMENT {
        run("SAVEPOINT tidegate_row")?;
    }
    let cause = match writer.write(db, item) {
        Ok(reply) if db.is_autocommit() => {
            drop(reply);
            return Err(Broken::Wholly(SinkError::OutcomeUnknown(Cause::TransactionEnded)));
        }
        Ok(reply) => {
            if !W::ONE_STATEMENT {
                run("RELEASE tidegate_row")?;
            }
            return Ok(Row::Written(reply));
        }
        Err(error) => classify::of_write(&error),
    };
    if !cause.is_row_local() {
        return Err(Broken::Wholly(cause.nothing_stored()));
    }
    if !W::ONE_STATEMENT && !db.is_autocommit() {
        run("ROLLBACK TO tidegate_row")?;
        run("RELEASE tidegate_row")?;
    }
    Ok(Row::Failed(cause))
}

#[cfg(test)]
mod tests;
