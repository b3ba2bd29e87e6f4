//! What a handler's call costs, and the handlers that cost it.

use std::fmt;
use std::time::Duration;

use super::echo::Echo;
use super::file::File;
use super::passage::{Passed, Setup, Watch, Way, pass};
use super::spinning::{Busy, Free};
use super::sqlite::Database;
use crate::Failure;

/// What a call of the handler costs, however many items it has, besides reading their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Price {
    /// Nothing.
    Free,
    /// So many microseconds, spent spinning.
    Busy(u32),
    /// A transaction of SQLite, synced.
    Sqlite,
    /// An append to a file, synced.
    File,
    /// A request over TCP to this machine, and the wait for its answer.
    Echo,
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Busy(micros) => write!(f, "busy price_us={micros}"),
            Self::Sqlite => f.write_str("sqlite"),
            Self::File => f.write_str("file"),
            Self::Echo => f.write_str("echo"),
        }
    }
}

impl Price {
    /// For people.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Free => "calls that cost nothing".into(),
            Self::Busy(micros) => format!("calls of {micros} µs"),
            Self::Sqlite => "SQLite".into(),
            Self::File => "a synced file".into(),
            Self::Echo => "a socket".into(),
        }
    }

    /// Passes what `push` pushes through an engine whose handler's calls cost this much.
    ///
    /// # Errors
    ///
    /// When the engine or what the handler needs can't be had, or an item fails.
    pub(crate) fn pass<W: Watch>(
        self,
        setup: &Setup,
        watch: impl Fn() -> W + Send + Sync + 'static,
        push: impl FnOnce(&mut dyn Way) -> Result<(), Failure>,
    ) -> Result<Passed<W>, Failure> {
        let keys = setup.keys;
        match self {
            Self::Free => pass(Free::new(keys), setup, watch, push),
            Self::Busy(micros) => {
                let price = Duration::from_micros(u64::from(micros));
                pass(Busy::new(keys, price), setup, watch, push)
            }
            Self::Sqlite => pass(Database::new(keys)?, setup, watch, push),
            Self::File => pass(File::new(keys)?, setup, watch, push),
            Self::Echo => pass(Echo::new(keys)?, setup, watch, push),
        }
    }
}
