//! Opening a database: looking first, claiming what is new, and reading back what was set.

use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::classify;
use super::options::{Durability, Options};
use super::writer::Writer;
use crate::error::{Cause, SinkError};

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 128;
/// Bytes of one page of the smallest size.
const SMALLEST_DATABASE: u64 = 512;
/// Between two attempts at what SQLite doesn't wait for by itself.
const BUSY_STEP: Duration = Duration::from_millis(2);

/// What is at a path; see [`look`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file.
    Nothing,
    /// A file of no bytes.
    Empty,
    /// A SQLite database.
    Database {
        /// Its `PRAGMA application_id`; 0 where none was ever set.
        application_id: i32,
    },
}

/// Looks what is at `path`, and changes nothing: no byte of the file, no file beside it, no lock.
///
/// It reads the database file alone and not its log, where an application id that was set in
/// write-ahead mode would still be. [`Options::application_id`] sets it before the log begins.
///
/// ```
/// use sinks::sqlite::{Found, look};
///
/// assert_eq!(look("/nowhere/at/all.db".as_ref()), Ok(Found::Nothing));
/// ```
///
/// # Errors
///
/// [`Cause::NotADatabase`] for another sort of file, a folder among them; [`Cause::CannotOpen`] or
/// [`Cause::Io`] if the file can't be read.
pub fn look(path: &Path) -> Result<Found, SinkError> {
    // Not by opening the file here: closing it again would drop the locks that other connections of this
    // process hold on it, as POSIX has it. SQLite's own file handles know of one another.
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(_) => return Err(Cause::CannotOpen { code: 0 }.nothing_stored()),
    };
    if !metadata.is_file() {
        return Err(Cause::NotADatabase.nothing_stored());
    }
    if metadata.len() == 0 {
        return Ok(Found::Empty);
    }
    // SQLite takes what is shorter than a page for an empty database, and would write over it.
    if metadata.len() < SMALLEST_DATABASE {
        return Err(Cause::NotADatabase.nothing_stored());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let id = Connection::open_with_flags(immutable_uri(path), flags)
        .and_then(|db| db.pragma_query_value(None, "application_id", |row| row.get(0)));
    match id {
        Ok(application_id) => Ok(Found::Database { application_id }),
        Err(error) => Err(classify::of(&error).nothing_stored()),
    }
}

/// A name by which SQLite opens the file without locks, and without its log.
fn immutable_uri(path: &Path) -> OsString {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut uri = String::from("file://");
    if !path.as_os_str().as_encoded_bytes().starts_with(b"/") {
        uri.push('/');
    }
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b':' => {
                uri.push(char::from(byte));
            }
            b'\\' if cfg!(windows) => uri.push('/'),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

/// Opens the database as `options` say, and prepares it by `writer`.
pub(super) fn connect<W: Writer>(
    options: &Options,
    create: bool,
    writer: &mut W,
) -> Result<Connection, SinkError> {
    let found = look(&options.path)?;
    if found == Found::Nothing && !create {
        return Err(Cause::Missing.nothing_stored());
    }
    if let (Some(expected), Found::Database { application_id }) = (options.application_id, found) {
        ours(expected, application_id)?;
    }
    let db = open(options, create).map_err(failed)?;
    claim(&db, options, writer)?;
    log_ahead(&db, options)?;
    let synchronous: i64 = settle_durability(&db, options).map_err(failed)?;
    if synchronous != options.durability.level() {
        return Err(Cause::Statement { code: 0 }.nothing_stored());
    }
    tracing::debug!(durability = options.durability.name(), "sqlite database opened");
    Ok(db)
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn failed(error: rusqlite::Error) -> SinkError {
    classify::of(&error).nothing_stored()
}

fn ours(expected: i32, found: i32) -> Result<(), SinkError> {
    if found == expected {
        return Ok(());
    }
    Err(Cause::NotOurs { expected, found }.nothing_stored())
}

fn open(options: &Options, create: bool) -> rusqlite::Result<Connection> {
    // An absolute path is never taken for one of SQLite's special names.
    let path = std::path::absolute(&options.path)
        .map_err(|_| rusqlite::Error::InvalidPath(options.path.clone()))?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(options.busy_timeout)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

/// Marks a new database as ours and has the schema made, in one transaction.
///
/// This comes before write-ahead mode, so that the mark stands in the file itself, where [`look`] finds
/// it, and not in the log. Under the write lock the file is looked at once more: somebody may have made
/// it meanwhile.
fn claim<W: Writer>(db: &Connection, options: &Options, writer: &mut W) -> Result<(), SinkError> {
    let transaction = Transaction::begin(db).map_err(failed)?;
    if let Some(expected) = options.application_id {
        let found: i32 =
            db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
        if found == 0 && is_blank(db).map_err(failed)? {
            db.pragma_update(None, "application_id", expected).map_err(failed)?;
        } else {
            ours(expected, found)?;
        }
    }
    writer.prepare(db).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn is_blank(db: &Connection) -> rusqlite::Result<bool> {
    let user_version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let entries: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(user_version == 0 && entries == 0)
}

/// Switches to write-ahead mode. SQLite doesn't wait for all the locks that this takes, so this does: other
/// shards may be opening the file just now.
fn log_ahead(db: &Connection, options: &Options) -> Result<(), SinkError> {
    let give_up = Instant::now() + options.busy_timeout;
    loop {
        let mode =
            db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match mode.map_err(failed) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Cause::NoLog.nothing_stored()),
            Err(error) if *error.cause() == Cause::Busy && Instant::now() < give_up => {
                thread::park_timeout(BUSY_STEP);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sets what a commit waits for, and answers what SQLite made of it.
fn settle_durability(db: &Connection, options: &Options) -> rusqlite::Result<i64> {
    db.pragma_update(None, "synchronous", options.durability.name())?;
    // Where a plain fsync leaves data in the disk's own cache, as on macOS, ask for more.
    let flush_disk = options.durability == Durability::Full;
    db.pragma_update(None, "fullfsync", flush_disk)?;
    db.pragma_update(None, "checkpoint_fullfsync", flush_disk)?;
    db.pragma_update(None, "wal_autocheckpoint", options.checkpoint_pages)?;
    db.pragma_query_value(None, "synchronous", |row| row.get(0))
}

/// A transaction that is rolled back unless it is committed, also by a panic.
pub(super) struct Transaction<'c> {
    db: &'c Connection,
}

impl<'c> Transaction<'c> {
    /// Begins, with the write lock: a transaction that first reads and then finds the lock taken could
    /// only fail. Waits for the busy timeout at most.
    pub(super) fn begin(db: &'c Connection) -> rusqlite::Result<Self> {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self { db })
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // After a commit, or where SQLite has rolled back by itself, there is none. If the rollback
        // fails, the handler sees that the connection is still inside one, and gives it up.
        if !self.db.is_autocommit() {
            let _ = self.db.execute_batch("ROLLBACK");
        }
    }
}
