//! What the writers of all shards saw, for the report, and the rows that were lost, for their file.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sinks::sqlite::NotStored;
use sinks::{Cause, SinkError};

use crate::change::{Brings, Table};
use crate::flight::Names;
use crate::letters::{Letters, Reason};

/// What the writers of all shards saw, for the report.
#[derive(Debug)]
pub(crate) struct Ledger {
    start: OnceLock<Instant>,
    last_commit_ns: AtomicU64,
    out_of_order: AtomicU64,
    trouble: AtomicBool,
    failures: Mutex<Failures>,
    names: Arc<Names>,
    letters: Option<Mutex<Letters>>,
    /// The engine's dead letters come here too: what is to be tried again is none yet.
    hears_of_the_dead: bool,
}

/// Rows that were not stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    /// How many: rows, and updates of aircraft where these are items of their own.
    pub count: u64,
    /// Of these, the updates of aircraft.
    pub updates: u64,
    /// Lines in the file of dead letters.
    pub letters: u64,
    /// Why a line could not be written there.
    pub letters_failed: Option<String>,
    /// `true` if the reason lay not in a row: busy, a full disk, …. Then nothing more is pushed.
    pub trouble: bool,
    /// The first few, each with its reason.
    pub first: Vec<(i64, SinkError)>,
}

impl Ledger {
    const FAILURES_KEPT: usize = 5;

    /// An empty one, whose time has not begun, of a plain engine: nothing is tried again.
    pub(crate) fn new() -> Self {
        Self {
            names: Arc::default(),
            letters: None,
            hears_of_the_dead: false,
            start: OnceLock::new(),
            last_commit_ns: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            trouble: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }

    /// One that the engine's dead letters are [told to](Self::lost) as well. Everything that is not
    /// stored is written to `letters`, where there are any, with words from `names`.
    pub(crate) fn of_queues(letters: Option<Letters>, names: &Arc<Names>) -> Self {
        Self {
            names: Arc::clone(names),
            letters: letters.map(Mutex::new),
            hears_of_the_dead: true,
            ..Self::new()
        }
    }

    /// The first push comes now: the time begins, unless it has begun.
    pub(crate) fn begin(&self) {
        self.start.get_or_init(Instant::now);
    }

    /// From [`begin`](Self::begin) to the last commit; zero before the first.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.last_commit_ns.load(Ordering::Relaxed))
    }

    /// Rows that came after a later one of their carrier.
    pub(crate) fn out_of_order(&self) -> u64 {
        self.out_of_order.load(Ordering::Relaxed)
    }

    /// Rows that were not stored.
    pub(crate) fn failures(&self) -> Failures {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `true` once rows failed for a reason that does not lie in them: the next would fail too.
    pub(crate) fn in_trouble(&self) -> bool {
        self.trouble.load(Ordering::Relaxed)
    }

    // Relaxed: these are counts, read after the shards' threads have ended.
    pub(crate) fn committed(&self, out_of_order: u64) {
        self.out_of_order.fetch_add(out_of_order, Ordering::Relaxed);
        let start = self.start.get_or_init(Instant::now);
        let now = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_commit_ns.fetch_max(now, Ordering::Relaxed);
    }

    /// A transaction left this item out. If it is tried again, its end is still to come.
    pub(crate) fn not_stored<T: Brings>(&self, row: NotStored<'_, T>) {
        if self.hears_of_the_dead && row.error.is_retryable() {
            return;
        }
        self.lost(row.item, Reason { id: row.id, attempts: row.attempt, error: row.error });
    }

    /// This item will not be stored.
    pub(crate) fn lost<T: Brings>(&self, item: &T, reason: Reason<'_>) {
        let (table, flight) = (item.table(), item.flight());
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.count += 1;
        failures.updates += u64::from(table == Table::Aircraft);
        if !lies_in_the_row(reason.error.cause()) {
            failures.trouble = true;
        }
        if failures.first.len() < Self::FAILURES_KEPT {
            failures.first.push((flight.seq, reason.error.clone()));
        }
        if let Some(letters) = &self.letters {
            let mut letters = letters.lock().unwrap_or_else(PoisonError::into_inner);
            match letters.write(&self.names, table, flight, reason) {
                Ok(()) => failures.letters += 1,
                Err(error) => {
                    failures.trouble = true;
                    failures.letters_failed.get_or_insert(error.to_string());
                }
            }
        }
        if failures.trouble {
            self.trouble.store(true, Ordering::Relaxed);
        }
    }
}

fn lies_in_the_row(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Constraint { .. } | Cause::TooLarge | Cause::WrongType | Cause::Refused(_)
    )
}
