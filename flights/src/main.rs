//! Stores 336,776 real flights through the engine into one SQLite file, and says what batching gained.
//!
//! ```text
//! options  the command line
//! csv      lines and fields          input    checked flights, before anything is written
//! flight   the item                  change  the items of the order by aircraft
//! ledger   what writers saw          letters  the file of rows that were lost
//! conflicts what the order by aircraft would take without entities
//!                                    tables   the writer: rows, and sums in the same transaction
//! database the file: new or ours     job      producers → engine → tables
//! compare  the same, row by row      check    the same with a plain loop
//! progress, report, figures          what is shown
//! ```

mod change;
mod check;
mod compare;
mod conflicts;
mod csv;
mod database;
mod figures;
mod flight;
mod input;
mod job;
mod ledger;
mod letters;
mod options;
mod progress;
mod report;
mod tables;

use std::fmt::Display;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use engine::StartError;
use rusqlite::{Connection, OpenFlags};

use change::Order;
use check::{Differences, check};
use compare::{Bench, Comparison, compare};
use conflicts::calls_flushing_at_conflicts;
use database::{TargetError, make_room, remove_temporaries, resolve};
use input::{Input, InputError, Skipped};
use job::{JobError, Outcome, Settings, Stop};
use letters::Letters;
use options::Options;
use progress::Progress;
use report::{Report, is_single};
use tables::Counts;

/// How it ends; `--help` explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good = 0,
    Failed = 1,
    Refused = 2,
    Trouble = 3,
    Interrupted = 130,
}

/// What ends it early.
struct Failure {
    end: End,
    message: String,
}

impl Failure {
    fn new(end: End, error: &impl Display) -> Self {
        Self { end, message: error.to_string() }
    }

    fn database(path: &Path, error: &rusqlite::Error) -> Self {
        Self { end: End::Trouble, message: format!("{}: {error}", path.display()) }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        let end = match &error {
            InputError::Open { .. } | InputError::Malformed { .. } | InputError::Fatal { .. } => {
                End::Refused
            }
        };
        let hint = match &error {
            InputError::Malformed { .. } => "\n--skip-bad stores the other rows",
            _ => "",
        };
        Self { end, message: format!("{error}{hint}") }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        let end = match &error {
            TargetError::Earlier(_) | TargetError::Foreign { .. } | TargetError::Letters { .. } => {
                End::Refused
            }
            TargetError::InUse(_) | TargetError::Database { .. } | TargetError::Io { .. } => {
                End::Trouble
            }
        };
        Self::new(end, &error)
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let end = match &error {
            JobError::Start(StartError::Factory { .. } | StartError::Thread { .. })
            | JobError::Producer(_)
            | JobError::Shutdown(_) => End::Trouble,
            JobError::Start(_) => End::Refused,
        };
        Self::new(end, &error)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut progress = Progress::new(options.quiet);
    let ended = run(&options, &mut progress);
    progress.end();
    let end = ended.unwrap_or_else(|Failure { end, message }| {
        let _ = writeln!(stderr().lock(), "flights: {message}");
        end
    });
    ExitCode::from(end as u8)
}

fn run(options: &Options, progress: &mut Progress) -> Result<End, Failure> {
    let stop = stop_on_interrupt()?;
    progress.say("reading and checking the input");
    let mut tell = |line: &str| progress.note(&format!("skipped: {line}"));
    let skipped: Option<Skipped<'_>> = if options.skip_bad { Some(&mut tell) } else { None };
    let mut input = Input::read(options.input.as_deref(), skipped)?;
    let names = Arc::new(std::mem::take(&mut input.names));
    let settings = Settings {
        sizing: options.sizing,
        shards: options.shards.into(),
        producers: options.producers.into(),
        flush_after: options.flush_after,
        durability: options.durability,
        order: options.order,
        attempts: options.attempts,
        dead_letters: options.dead_letters.is_some(),
    };

    // Before the last run's database goes, whatever can be known to keep this one from being stored.
    job::plan(&settings).map_err(JobError::from)?;
    if stop.is_set() {
        let message = "interrupted before anything was stored; nothing was touched".to_owned();
        return Err(Failure { end: End::Interrupted, message });
    }
    let (db, letters) = prepare_place(options)?;

    progress.begin(&input.flights, settings.order, &db);
    let outcome =
        job::run(&input.flights, &names, &db, &settings, letters, &stop, &mut |snapshot| {
            progress.look(snapshot);
        })?;
    progress.stored();

    let whole = !outcome.interrupted && outcome.failures.count == 0;
    if options.check && whole {
        progress.say("checking every row with a plain loop");
    }
    let (counts, differences) = read_back(&db, |reader| {
        let differences = (options.check && !outcome.interrupted)
            .then(|| check(reader, &input.flights, &names, settings.order))
            .transpose()?;
        Ok((Counts::read(reader)?, differences))
    })?;

    let compared = !options.no_compare && whole && !is_single(&settings.sizing);
    let (mut comparison, mut comparison_failed) = (None, None);
    if compared && !input.flights.is_empty() {
        let bench = Bench {
            flights: &input.flights,
            names: &names,
            beside: &db,
            settings: &settings,
            stop: &stop,
        };
        let within = Duration::from_secs(options.compare_seconds.into());
        // The run is over and stored: whatever happens here, it is reported.
        match compare(&bench, &outcome, within, &mut |what| progress.say(what)) {
            Ok(found) => comparison = found,
            Err(error) => comparison_failed = Some(error.to_string()),
        }
    }
    progress.end();

    let report = Report {
        input: &input.name,
        db: db.display().to_string(),
        skipped: input.bad.count,
        settings: &settings,
        outcome: &outcome,
        interrupted: stop.is_set(),
        counts,
        calls_flushing: (settings.order == Order::Aircraft && !outcome.interrupted)
            .then(|| calls_flushing_at_conflicts(&input.flights, &settings.sizing)),
        letters: options.dead_letters.as_ref().map(|path| path.display().to_string()),
        check: differences,
        check_left_out: options.check && outcome.interrupted,
        comparison,
        comparison_failed,
    };
    show(&report, options.json)?;
    Ok(how_it_ended(options, &report))
}

/// The first Ctrl-C stops the pushing; the second ends the process, which loses what is not committed,
/// and the comparison's own files.
fn stop_on_interrupt() -> Result<Stop, Failure> {
    let stop = Stop::default();
    let pressed = stop.clone();
    ctrlc::set_handler(move || {
        if pressed.set() {
            remove_temporaries();
            std::process::exit(End::Interrupted as i32);
        }
        let _ =
            writeln!(stderr().lock(), "interrupted: storing what was taken (again: leave at once)");
    })
    .map_err(|error| Failure::new(End::Trouble, &error))?;
    Ok(stop)
}

/// The database's path, where there is no file now, and the empty file of dead letters.
fn prepare_place(options: &Options) -> Result<(PathBuf, Option<Letters>), Failure> {
    let db = resolve(options.database())?;
    if let (None, Some(folder)) = (&options.db, db.parent()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| TargetError::Io { path: folder.to_owned(), error })?;
    }
    let make_room = || make_room(&db, options.overwrite);
    let letters = match options.dead_letters.as_deref() {
        None => {
            make_room()?;
            None
        }
        // The last run's database goes when they can be written.
        Some(path) => {
            letters::look(path, &db, options.overwrite)?;
            Some(Letters::create(path, make_room)?)
        }
    };
    Ok((db, letters))
}

/// Opens the stored database to read it.
fn read_back<T>(
    path: &Path,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, Failure> {
    // Not read-only: the last connection to close removes the log, and only one that may write can.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|db| read(&db))
        .map_err(|error| Failure::database(path, &error))
}

fn show(report: &Report<'_>, json: bool) -> Result<(), Failure> {
    if let (true, Some(troubles)) = (json, report.troubles()) {
        let _ = writeln!(stderr().lock(), "{}", troubles.to_string().trim());
    }
    if let (true, Some(why)) = (json, &report.comparison_failed) {
        let _ = writeln!(stderr().lock(), "comparison failed: {why}");
    }
    let mut out = stdout().lock();
    let shown = match json {
        true => writeln!(out, "{}", report.json()),
        false => write!(out, "{report}"),
    };
    match shown.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(End::Trouble, &error))
        }
        _ => Ok(()),
    }
}

fn how_it_ended(options: &Options, report: &Report<'_>) -> End {
    let Outcome { failures, .. } = report.outcome;
    let too_slow = options
        .min_speedup
        .zip(report.comparison.as_ref().map(Comparison::speedup))
        .is_some_and(|(least, found)| found < least);
    let differs = report.check.as_ref().is_some_and(|Differences { count, .. }| *count > 0);
    if failures.trouble || report.comparison_failed.is_some() {
        End::Trouble
    } else if report.interrupted {
        End::Interrupted
    } else if failures.count > 0 || differs || too_slow || report.outcome.out_of_order > 0 {
        End::Failed
    } else {
        End::Good
    }
}
