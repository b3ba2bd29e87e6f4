//! How a database is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::SinkError;

/// The longest busy timeout.
const BUSY_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// The most pages between checkpoints: 4 GiB of 4 KiB pages.
const CHECKPOINT_PAGES_MAX: u32 = 1_048_576;

/// What a commit waits for: SQLite's `synchronous`, with a write-ahead log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Every commit syncs the log before it returns: what is done survives a loss of power.
    #[default]
    Full,
    /// Commits don't sync, checkpoints do. A crash of the process loses nothing; a loss of power may
    /// lose the last commits, and leaves the database whole.
    Normal,
    /// Nothing syncs. A crash of the process loses nothing; a loss of power may lose commits and may
    /// damage the database. For data that can be made again.
    Off,
}

impl Durability {
    /// The word for it: `full`, `normal`, `off`, as `PRAGMA synchronous` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
            Self::Off => "off",
        }
    }

    /// What `PRAGMA synchronous` answers for it.
    pub(super) const fn level(self) -> i64 {
        match self {
            Self::Off => 0,
            Self::Normal => 1,
            Self::Full => 2,
        }
    }
}

/// How [`Sqlite::open`](super::Sqlite::open) opens its file. A plain value: the same one serves every
/// shard.
///
/// ```
/// use std::time::Duration;
/// use sinks::sqlite::{Durability, Options};
///
/// let options = Options::new("ledger.db")
///     .application_id(0x4C44_4752)
///     .durability(Durability::Full)            // the default
///     .busy_timeout(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) path: PathBuf,
    pub(super) durability: Durability,
    pub(super) busy_timeout: Duration,
    pub(super) checkpoint_pages: u32,
    pub(super) application_id: Option<i32>,
    pub(super) create: bool,
}

impl Options {
    /// The file at `path`, created if it is missing, fully durable. Any path is that of a file, also
    /// one like `:memory:`.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_path_buf(),
            durability: Durability::Full,
            busy_timeout: Duration::from_secs(10),
            checkpoint_pages: 1_000,
            application_id: None,
            create: true,
        }
    }

    /// What a commit waits for. Default: [`Durability::Full`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a batch, or the opening, waits for another connection's lock, in whole milliseconds.
    ///
    /// Range: 0 (don't wait) to 10 minutes. Default: 10 s. The shard waits with it, so keep it below
    /// what its other keys can bear.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// At how many pages of log a commit also does a checkpoint. More pages: fewer, longer pauses and a
    /// larger log.
    ///
    /// Range: 1 to 1,048,576. Default: 1,000, which is about 4 MB.
    #[must_use]
    pub fn checkpoint_pages(mut self, pages: u32) -> Self {
        self.checkpoint_pages = pages;
        self
    }

    /// The number that marks a database as yours (`PRAGMA application_id`). A new file gets it, in the
    /// transaction that creates the schema; a file with another one, or none, is refused and not
    /// touched. Only an empty file, which holds nothing to lose, is taken for new.
    ///
    /// Range: any but 0, which is what files without an id have. Default: nothing is checked.
    #[must_use]
    pub fn application_id(mut self, id: i32) -> Self {
        self.application_id = Some(id);
        self
    }

    /// Whether a missing file is created. Default: yes.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Checks every range.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        if self.busy_timeout > BUSY_TIMEOUT_MAX {
            return Err(OpenError::OutOfRange {
                field: "busy_timeout",
                value: format!("{:?}", self.busy_timeout),
                allowed: "0 to 10 minutes",
            });
        }
        if !(1..=CHECKPOINT_PAGES_MAX).contains(&self.checkpoint_pages) {
            return Err(OpenError::OutOfRange {
                field: "checkpoint_pages",
                value: self.checkpoint_pages.to_string(),
                allowed: "1 to 1,048,576",
            });
        }
        if self.application_id == Some(0) {
            return Err(OpenError::OutOfRange {
                field: "application_id",
                value: "0".into(),
                allowed: "any but 0",
            });
        }
        Ok(())
    }
}

/// Why [`Sqlite::open`](super::Sqlite::open) gave no sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// An option has a value that can't work. Choose one that is allowed.
    #[error("{field} is {value}; allowed is {allowed}")]
    OutOfRange {
        /// The option's name.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// The database could not be opened or prepared; its [`Cause`](crate::Cause) has the remedy.
    #[error(transparent)]
    Database(#[from] SinkError),
}
