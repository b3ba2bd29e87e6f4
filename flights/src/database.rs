//! The database file: that it is new, or ours and meant to be replaced.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use sinks::sqlite::{Found, look};
use sinks::{Cause, SinkError};

use crate::tables::APPLICATION_ID;

/// Why a path can't take the rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// A run was stored there.
    #[error(
        "{}: holds an earlier run; --overwrite replaces it, --db FILE stores elsewhere",
        .0.display()
    )]
    Earlier(PathBuf),
    /// It is something else. It was not touched.
    #[error("{}: {why}; it was not touched, choose another file with --db", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// Dead letters can't go there. It was not touched.
    #[error("{}: {why}; it was not touched, choose another file with --dead-letters", path.display())]
    Letters {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// Another process has it open.
    #[error("{}: another process is using it", .0.display())]
    InUse(PathBuf),
    /// The database refused.
    #[error("{}: {error}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        error: SinkError,
    },
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// SQLite keeps these beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Sees to it that nothing is at `path`, so that a new database can be made there. Removes the database
/// of an earlier run, with its log, if `overwrite`; nothing else ever.
pub(crate) fn make_room(path: &Path, overwrite: bool) -> Result<(), TargetError> {
    let foreign = |why: String| TargetError::Foreign { path: path.to_owned(), why };
    match look(path) {
        Ok(Found::Nothing) => refuse_orphans(path),
        Ok(Found::Empty) => Err(foreign("is an empty file, and not of an earlier run".into())),
        Ok(Found::Database { application_id: APPLICATION_ID }) if overwrite => {
            refuse_in_use(path)?;
            remove(path)
        }
        Ok(Found::Database { application_id: APPLICATION_ID }) => {
            Err(TargetError::Earlier(path.to_owned()))
        }
        Ok(Found::Database { .. }) => Err(foreign("is a database of another application".into())),
        Err(error) if *error.cause() == Cause::NotADatabase => Err(foreign(match path.is_dir() {
            true => "is a folder".into(),
            false => "is not a database".into(),
        })),
        Err(error) => Err(TargetError::Database { path: path.to_owned(), error }),
    }
}

/// The file that `path` leads to: SQLite follows links, and keeps its log beside what it finds there.
pub(crate) fn resolve(path: PathBuf) -> Result<PathBuf, TargetError> {
    if !path.is_symlink() {
        return Ok(path);
    }
    fs::canonicalize(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let why = "is a link that leads nowhere".into();
            TargetError::Foreign { path, why }
        }
        _ => TargetError::Io { path, error },
    })
}

/// A log without its database belongs to we don't know whom, and SQLite would remove it.
fn refuse_orphans(path: &Path) -> Result<(), TargetError> {
    match COMPANIONS.map(|suffix| companion(path, suffix)).into_iter().find(|path| path.exists()) {
        Some(path) => {
            let why = "is left of a database that is gone".into();
            Err(TargetError::Foreign { path, why })
        }
        None => Ok(()),
    }
}

/// To take a write-ahead database for oneself works only while nobody else has it open.
fn refuse_in_use(path: &Path) -> Result<(), TargetError> {
    let alone = || -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(std::time::Duration::ZERO)?;
        db.pragma_update_and_check(None, "locking_mode", "exclusive", |_| Ok(()))?;
        db.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")
    };
    let refused = alone().err().and_then(|error| error.sqlite_error().copied());
    refused.and_then(|error| refusal(path, error.code, error.extended_code)).map_or(Ok(()), Err)
}

/// What keeps a database from being replaced, of all that may go wrong in opening it.
fn refusal(path: &Path, code: ErrorCode, extended: i32) -> Option<TargetError> {
    let path = path.to_owned();
    let cause = match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            return Some(TargetError::InUse(path));
        }
        ErrorCode::ReadOnly => Cause::ReadOnly,
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Cause::CannotOpen { code: extended },
        // Damaged or not: it is of an earlier run, and about to be removed.
        _ => return None,
    };
    Some(TargetError::Database { path, error: SinkError::Final(cause) })
}

/// Removes a database with what SQLite keeps beside it, the log first: without its database it means
/// nothing, and a new database must not find it.
pub(crate) fn remove(path: &Path) -> Result<(), TargetError> {
    let files =
        COMPANIONS.map(|suffix| companion(path, suffix)).into_iter().chain([path.to_owned()]);
    for path in files {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(TargetError::Io { path, error });
            }
            _ => {}
        }
    }
    Ok(())
}

fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Those that are there now, for whoever ends the process without dropping them.
static TEMPORARIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes the files of all temporary databases. For the end of the process: whoever still writes to one
/// writes to a file without a name.
pub(crate) fn remove_temporaries() {
    for path in TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = remove(&path);
    }
}

/// A database beside another, on the same file system, that is gone when this is.
#[derive(Debug)]
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// The place for one; no file yet.
    pub(crate) fn beside(path: &Path, tag: &str) -> Result<Self, TargetError> {
        let own = companion(path, &format!(".{}-{tag}", std::process::id()));
        make_room(&own, true)?;
        TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner).push(own.clone());
        Ok(Self(own))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = remove(&self.0);
        let mut all = TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|path| *path != self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_used_or_cannot_be_written_is_not_replaced() {
        let of = |code| refusal(Path::new("x.db"), code, 0);
        for code in [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked] {
            assert!(matches!(of(code), Some(TargetError::InUse(_))), "{code:?}");
        }
        for code in [ErrorCode::ReadOnly, ErrorCode::CannotOpen, ErrorCode::PermissionDenied] {
            assert!(matches!(of(code), Some(TargetError::Database { .. })), "{code:?}");
        }
        for code in [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase] {
            assert!(of(code).is_none(), "{code:?}: a damaged one is meant to be replaced");
        }
    }

    #[test]
    fn temporary_files_go_with_their_owner_or_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("x.db");
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let first = Temporary::beside(&beside, "a").unwrap();
        fs::write(first.path(), "").unwrap();
        drop(first);
        assert_eq!(count(), 0);
        let second = Temporary::beside(&beside, "b").unwrap();
        fs::write(second.path(), "").unwrap();
        fs::write(companion(second.path(), "-wal"), "").unwrap();
        remove_temporaries();
        assert_eq!(count(), 0);
    }
}
