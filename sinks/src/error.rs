//! What a sink says of an item that it could not store.

use std::fmt;
use std::sync::Arc;

use engine::Verdict;

/// Why an item was not stored, and whether trying again can help.
///
/// The variant is the kind, which is all that a retry policy needs; [`cause`](Self::cause) says what
/// happened and what a person can do about it. Neither holds statements, values of rows, paths or
/// credentials, so an error may be logged as it is. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkError {
    /// Nothing was stored, and the same item may well be stored later.
    Retryable(Cause),
    /// Nothing was stored, and the same item will fail again until somebody changes something.
    Final(Cause),
    /// It may have been stored, or not: the target gave no answer that can be trusted. Try again only
    /// where storing an item twice does no harm.
    OutcomeUnknown(Cause),
}

impl SinkError {
    /// What happened.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        match self {
            Self::Retryable(cause) | Self::Final(cause) | Self::OutcomeUnknown(cause) => cause,
        }
    }

    /// `true` if nothing was stored and the same item may well be stored later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable(_))
    }

    /// The verdict about an item that failed so: [`Verdict::Retry`] if that can help,
    /// [`Verdict::Failed`] otherwise.
    ///
    /// ```
    /// use engine::Verdict;
    /// use sinks::{Cause, SinkError};
    ///
    /// let busy = SinkError::Retryable(Cause::Busy);
    /// assert!(matches!(busy.into_verdict::<()>(), Verdict::Retry(_)));
    /// let full = SinkError::OutcomeUnknown(Cause::Io { code: 1034 });
    /// assert!(matches!(full.into_verdict::<()>(), Verdict::Failed(_)));
    /// ```
    pub fn into_verdict<R>(self) -> Verdict<R, Self> {
        if self.is_retryable() { Verdict::Retry(self) } else { Verdict::Failed(self) }
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable(cause) | Self::Final(cause) => cause.fmt(f),
            Self::OutcomeUnknown(cause) => {
                write!(f, "{cause}; whether the item was stored is not known")
            }
        }
    }
}

impl std::error::Error for SinkError {}

/// What kept an item from being stored, with the remedy.
///
/// `code` is the target's own number, to look up in its manual; for SQLite the extended result code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Somebody else held the lock for all of the busy timeout. Look for the other writer; raise the
    /// timeout if it is meant to write for so long.
    #[error("another connection held the lock for all of the busy timeout")]
    Busy,
    /// The disk, the quota or the database's own limit of pages is used up. Make room; nothing of the
    /// batch was stored.
    #[error("the disk or the database is full")]
    DiskFull,
    /// The system would not give the memory that the call needed.
    #[error("out of memory")]
    OutOfMemory,
    /// The operating system failed a read, a write or a sync. Look into its log: disks that fail
    /// syncs are dying.
    #[error("the operating system failed a read, a write or a sync (code {code})")]
    Io {
        /// The target's code, which says which call it was.
        code: i32,
    },
    /// The call was interrupted from outside.
    #[error("the call was interrupted")]
    Interrupted,
    /// The file, its folder or its file system can't be written, or the file was moved away while it
    /// was open. Mend the permissions, or start again.
    #[error("the database can only be read")]
    ReadOnly,
    /// The file can't be opened: its folder is missing, is no folder, or permissions forbid it.
    #[error("the database file can't be opened (code {code})")]
    CannotOpen {
        /// The target's code.
        code: i32,
    },
    /// There is no such file, and the options say that none is to be created.
    #[error("there is no such database file")]
    Missing,
    /// The file exists and is something else. It was not touched: give another path.
    #[error("the file is not a database")]
    NotADatabase,
    /// The file is a database of another application. It was not touched: give another path.
    #[error(
        "the database belongs to another application (its id is {found:#010x}, not {expected:#010x})"
    )]
    NotOurs {
        /// The application id that the options name.
        expected: i32,
        /// The one found in the file; 0 where none was ever set.
        found: i32,
    },
    /// The database is damaged. Restore it, or try SQLite's `.recover`.
    #[error("the database is damaged (code {code})")]
    Corrupt {
        /// The target's code.
        code: i32,
    },
    /// The file system can't hold a write-ahead log: it has no shared memory, as network file systems
    /// haven't. Put the file on a local disk.
    #[error("the database can't keep a write-ahead log here")]
    NoLog,
    /// The row breaks a constraint.
    #[error("{kind} constraint failed{}", named(.name.as_deref()))]
    Constraint {
        /// Which sort of constraint.
        kind: ConstraintKind,
        /// Its name, or the columns it stands on (`table.column, …`), where the database tells.
        name: Option<Arc<str>>,
    },
    /// A value, or the row, is larger than the database takes.
    #[error("the row is too large")]
    TooLarge,
    /// A value does not fit its column's or its parameter's type.
    #[error("a value has the wrong type")]
    WrongType,
    /// The writer itself refused the row, for this reason.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The database refused a statement. It is a mistake in the writer, or a schema that is not the
    /// one it was written for.
    #[error("a statement failed (code {code})")]
    Statement {
        /// The target's code; 0 where the statement never reached it.
        code: i32,
    },
    /// The writer ended the batch's transaction, which it must not.
    #[error("the writer ended its batch's transaction")]
    TransactionEnded,
}

fn named(name: Option<&str>) -> String {
    name.map(|name| format!(": {name}")).unwrap_or_default()
}

/// Which sort of constraint a row broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConstraintKind {
    /// The primary key is there already.
    PrimaryKey,
    /// A unique column or index has that value already.
    Unique,
    /// A value is missing.
    NotNull,
    /// A `CHECK` said no.
    Check,
    /// A row that it refers to is missing, or a row still refers to it.
    ForeignKey,
    /// A strict table refused the type of a value.
    DataType,
    /// A trigger said no.
    Trigger,
    /// Another one.
    Other,
}

impl fmt::Display for ConstraintKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrimaryKey => "primary key",
            Self::Unique => "unique",
            Self::NotNull => "not null",
            Self::Check => "check",
            Self::ForeignKey => "foreign key",
            Self::DataType => "data type",
            Self::Trigger => "trigger",
            Self::Other => "a",
        })
    }
}

impl Cause {
    /// The error of this cause where nothing was stored for certain.
    #[cfg(feature = "sqlite")]
    pub(crate) fn nothing_stored(self) -> SinkError {
        match self {
            Self::Busy
            | Self::DiskFull
            | Self::OutOfMemory
            | Self::Io { .. }
            | Self::Interrupted => SinkError::Retryable(self),
            _ => SinkError::Final(self),
        }
    }

    /// `true` if it lies in the one row that was being written, and the next may do better.
    #[cfg(feature = "sqlite")]
    pub(crate) fn is_row_local(&self) -> bool {
        matches!(
            self,
            Self::Constraint { .. }
                | Self::TooLarge
                | Self::WrongType
                | Self::Refused(_)
                | Self::Statement { .. }
        )
    }
}
