//! The project's own SQLite sink: a transaction a batch, with a write-ahead log that every commit syncs.

use std::io;

use sinks::sqlite::rusqlite::{self, Connection};
use sinks::sqlite::{Durability, Options, Sqlite, WriteError, Writer};
use tempfile::TempDir;

use super::folder;
use super::passage::{Place, Refusal};
use crate::Failure;
use crate::checksum::{Checksum, Digest};
use crate::workload::Row;

/// A database that is gone after the run.
pub(crate) struct Database {
    keys: u32,
    folder: TempDir,
}

impl Database {
    pub(crate) fn new(keys: u32) -> io::Result<Self> {
        Ok(Self { keys, folder: folder::on_disk()? })
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("rows.db")
    }
}

impl Place for Database {
    type Handler = Sqlite<Rows>;

    fn handler(&self) -> Result<Sqlite<Rows>, Refusal> {
        Ok(Sqlite::open(&Options::new(self.path()).durability(Durability::Full), Rows)?)
    }

    fn read_back(&self) -> Result<Digest, Failure> {
        let db = Connection::open(self.path())?;
        let mut rows = db.prepare("SELECT key, seq, one, other FROM rows ORDER BY rowid")?;
        let mut found = rows.query(())?;
        let mut sum = Checksum::new(self.keys);
        while let Some(found) = found.next()? {
            let word = |nth| found.get(nth).map(i64::cast_unsigned);
            let row = Row { key: word(0)?, seq: word(1)?, rest: [word(2)?, word(3)?] };
            sum.add(row.key, &[row]);
        }
        Ok(sum.digest())
    }
}

/// A row of the table for each item, its words as SQLite's integers.
pub(crate) struct Rows;

impl Writer for Rows {
    type Item = Row;
    type Reply = ();
    const ONE_STATEMENT: bool = true;

    fn prepare(&mut self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS rows(key INTEGER NOT NULL, seq INTEGER NOT NULL, \
             one INTEGER NOT NULL, other INTEGER NOT NULL)",
        )
    }

    fn write(&mut self, db: &Connection, row: &Row) -> Result<(), WriteError> {
        let words = [row.key, row.seq, row.rest[0], row.rest[1]].map(u64::cast_signed);
        db.prepare_cached("INSERT INTO rows VALUES (?1, ?2, ?3, ?4)")?.execute(words)?;
        Ok(())
    }
}
