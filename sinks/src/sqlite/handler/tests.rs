use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::{Failure, Item, ItemId, testing};
use rusqlite::limits::Limit;

use super::*;
use crate::error::ConstraintKind;
use crate::sqlite::{Durability, Found, WriteError, look};

const OURS: i32 = 0x7465_7374;

/// A row of the test table: an amount, and a note that must not be in any error.
#[derive(Clone)]
struct Entry {
    id: i64,
    note: String,
}

impl Item for Entry {
    type Key<'a> = ();
    fn key(&self) {}
}

fn entry(id: i64) -> Entry {
    Entry { id, note: "hunter2".into() }
}

fn entries(ids: impl IntoIterator<Item = i64>) -> Vec<Entry> {
    ids.into_iter().map(entry).collect()
}

type Step = fn(&Connection, &Entry) -> Result<(), WriteError>;

/// A writer whose steps a test chooses. It writes `entries`, sums into `total` once per batch, and so
/// shows whether a batch's sums hold what its rows say.
struct Book<const ONE: bool> {
    schema: &'static str,
    step: Step,
    sum: i64,
    commits: usize,
    not_stored: Vec<i64>,
    /// As the engine names them.
    ids: Vec<Option<ItemId>>,
    attempts: Vec<u32>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entries(id INTEGER PRIMARY KEY, note TEXT);
    CREATE TABLE IF NOT EXISTS total(one INTEGER PRIMARY KEY, ids INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS traces(id INTEGER);
    INSERT OR IGNORE INTO total VALUES (1, 0);";

fn insert(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
    db.prepare_cached("INSERT INTO entries VALUES (?1, ?2)")?.execute((entry.id, &entry.note))?;
    Ok(())
}

fn trace_then_insert(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
    db.prepare_cached("INSERT INTO traces VALUES (?1)")?.execute([entry.id])?;
    insert(db, entry)
}

fn one(schema: &'static str, step: Step) -> Book<true> {
    Book {
        schema,
        step,
        sum: 0,
        commits: 0,
        not_stored: Vec::new(),
        ids: Vec::new(),
        attempts: Vec::new(),
    }
}

fn many(schema: &'static str, step: Step) -> Book<false> {
    Book {
        schema,
        step,
        sum: 0,
        commits: 0,
        not_stored: Vec::new(),
        ids: Vec::new(),
        attempts: Vec::new(),
    }
}

impl<const ONE: bool> Writer for Book<ONE> {
    type Item = Entry;
    type Reply = i64;
    const ONE_STATEMENT: bool = ONE;

    fn prepare(&mut self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(SCHEMA)?;
        db.execute_batch(self.schema)
    }

    fn begin(&mut self) {
        self.sum = 0;
    }

    fn write(&mut self, db: &Connection, entry: &Entry) -> Result<i64, WriteError> {
        (self.step)(db, entry)?;
        self.sum += entry.id;
        Ok(entry.id)
    }

    fn finish(&mut self, db: &Connection) -> Result<(), WriteError> {
        db.prepare_cached("UPDATE total SET ids = ids + ?1")?.execute([self.sum])?;
        Ok(())
    }

    fn committed(&mut self) {
        self.commits += 1;
    }

    fn not_stored(&mut self, row: NotStored<'_, Entry>) {
        self.not_stored.push(row.item.id);
        self.ids.push(row.id);
        self.attempts.push(row.attempt);
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("entries.db")
    }

    fn options(&self) -> Options {
        Options::new(self.path()).application_id(OURS).busy_timeout(Duration::from_millis(20))
    }

    fn other(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// What another connection sees: ids, and their sum as the batches kept it.
    fn stored(&self) -> (Vec<i64>, i64) {
        stored(&self.other())
    }
}

fn stored(db: &Connection) -> (Vec<i64>, i64) {
    let ids = db
        .prepare("SELECT id FROM entries ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    (ids, db.query_row("SELECT ids FROM total", [], |row| row.get(0)).unwrap())
}

type Outcome = Result<i64, Failure<SinkError>>;

fn batch<W>(sink: &mut Sqlite<W>, rows: Vec<Entry>) -> Vec<Outcome>
where
    W: Writer<Item = Entry, Reply = i64>,
{
    testing::with_batch(rows, |batch| sink.handle(batch))
}

fn retry(cause: Cause) -> Outcome {
    Err(Failure::Dead(SinkError::Retryable(cause)))
}

fn failed(cause: Cause) -> Outcome {
    Err(Failure::Handler(SinkError::Final(cause)))
}

fn primary_key() -> Outcome {
    failed(Cause::Constraint { kind: ConstraintKind::PrimaryKey, name: Some("entries.id".into()) })
}

fn pragma(db: &Connection, name: &str) -> String {
    db.pragma_query_value(None, name, |row| row.get_ref(0).map(|value| format!("{value:?}")))
        .unwrap()
}

#[test]
fn unless_told_otherwise_a_commit_waits_for_the_disk() {
    let place = Place::new();
    let sink = Sqlite::open(&Options::new(place.path()), one("", insert)).unwrap();
    let db = sink.db.as_ref().unwrap();
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(pragma(db, "synchronous"), "Integer(2)");
    assert_eq!(pragma(db, "fullfsync"), "Integer(1)");
    assert_eq!(pragma(db, "checkpoint_fullfsync"), "Integer(1)");
    assert_eq!(pragma(db, "wal_autocheckpoint"), "Integer(1000)");
    assert_eq!(pragma(db, "busy_timeout"), "Integer(10000)");
}

#[test]
fn each_durability_is_what_sqlite_answers() {
    for (durability, level) in
        [(Durability::Full, 2), (Durability::Normal, 1), (Durability::Off, 0)]
    {
        let place = Place::new();
        let options = place.options().durability(durability).checkpoint_pages(77);
        let sink = Sqlite::open(&options, one("", insert)).unwrap();
        let db = sink.db.as_ref().unwrap();
        assert_eq!(pragma(db, "synchronous"), format!("Integer({level})"));
        assert_eq!(pragma(db, "wal_autocheckpoint"), "Integer(77)");
    }
}

#[test]
fn what_is_done_is_there_for_everybody() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    assert_eq!(batch(&mut sink, entries(1..=3)), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(place.stored(), (vec![1, 2, 3], 6));
    assert_eq!(batch(&mut sink, entries(4..=4)), [Ok(4)]);
    assert_eq!(place.stored(), (vec![1, 2, 3, 4], 10));
    assert_eq!(sink.writer().commits, 2);
}

#[test]
fn a_row_that_breaks_a_constraint_fails_alone() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    let outcomes = batch(&mut sink, entries([5, 5, 6, 5, 7]));
    assert_eq!(outcomes, [Ok(5), primary_key(), Ok(6), primary_key(), Ok(7)]);
    assert_eq!(place.stored(), (vec![5, 6, 7], 18));
    assert_eq!(sink.writer().not_stored, [5, 5]);
    let ids = &sink.writer().ids;
    assert_eq!(ids.iter().map(|id| id.unwrap().sequence()).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(sink.writer().attempts, [1, 1]);
}

#[test]
fn what_a_failing_row_had_written_before_is_undone() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), many("", trace_then_insert)).unwrap();
    assert_eq!(batch(&mut sink, entries([5, 5, 6])), [Ok(5), primary_key(), Ok(6)]);
    let traces: i64 =
        place.other().query_row("SELECT count(*) FROM traces", [], |row| row.get(0)).unwrap();
    assert_eq!(traces, 2);
    assert_eq!(place.stored(), (vec![5, 6], 11));
}

#[test]
fn a_batch_of_bad_rows_alone_commits_nothing() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    let _ = batch(&mut sink, entries([1]));
    assert_eq!(batch(&mut sink, entries([1, 1])), [primary_key(), primary_key()]);
    assert_eq!(sink.writer().commits, 1);
    assert!(sink.db.as_ref().unwrap().is_autocommit());
}

#[test]
fn a_row_that_rolls_everything_back_still_fails_alone() {
    const HARSH: &str = "CREATE TABLE IF NOT EXISTS harsh(id INTEGER UNIQUE ON CONFLICT ROLLBACK);";
    fn step(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
        db.prepare_cached("INSERT INTO harsh VALUES (?1)")?.execute([entry.id % 10])?;
        insert(db, entry)
    }
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), many(HARSH, step)).unwrap();
    let outcomes = batch(&mut sink, entries([1, 2, 11, 3, 12, 4]));
    let unique = || {
        failed(Cause::Constraint { kind: ConstraintKind::Unique, name: Some("harsh.id".into()) })
    };
    assert_eq!(outcomes, [Ok(1), Ok(2), unique(), Ok(3), unique(), Ok(4)]);
    assert_eq!(place.stored(), (vec![1, 2, 3, 4], 10));
}

#[test]
fn each_sort_of_bad_row_is_told_apart() {
    const TABLES: &str = "
        CREATE TABLE IF NOT EXISTS strict(v INTEGER) STRICT;
        CREATE TABLE IF NOT EXISTS checked(v INTEGER CONSTRAINT small CHECK (v < 100),
                                           w INTEGER CHECK (w <> 'hunter2'));
        CREATE TABLE IF NOT EXISTS needed(v INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS watched(v TEXT);
        CREATE TRIGGER IF NOT EXISTS watch BEFORE INSERT ON watched
            BEGIN SELECT RAISE(ABORT, 'hunter2 is refused'); END;";
    fn step(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
        match entry.id {
            1 => db.execute("INSERT INTO strict VALUES (?1)", [&entry.note])?,
            2 => db.execute("INSERT INTO checked(v) VALUES (100)", [])?,
            3 => db.execute("INSERT INTO checked(w) VALUES (?1)", [&entry.note])?,
            4 => db.execute("INSERT INTO needed VALUES (NULL)", [])?,
            5 => db.execute("INSERT INTO watched VALUES (?1)", [&entry.note])?,
            6 => db.execute("INSERT INTO traces VALUES (?1)", ["hunter2".repeat(100)])?,
            7 => {
                let wide = u64::try_from(entry.id).unwrap() + (1 << 63);
                let narrow = i64::try_from(wide)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                db.execute("INSERT INTO entries VALUES (?1, 'hunter2')", [narrow])?
            }
            8 => db.execute("INSERT INTO hunter2 VALUES (1)", [])?,
            9 => return Err(WriteError::Refused("too old")),
            10 => db.execute("INSERT INTO entries VALUES ('hunter2', 1)", [])?,
            _ => {
                insert(db, entry)?;
                1
            }
        };
        Ok(())
    }
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one(TABLES, step)).unwrap();
    sink.db.as_ref().unwrap().set_limit(Limit::SQLITE_LIMIT_LENGTH, 500).unwrap();
    let constraint = |kind, name: Option<&str>| {
        failed(Cause::Constraint { kind, name: name.map(std::sync::Arc::from) })
    };
    let outcomes = batch(&mut sink, entries(1..=11));
    assert_eq!(
        outcomes,
        [
            constraint(ConstraintKind::DataType, Some("strict.v")),
            constraint(ConstraintKind::Check, Some("small")),
            constraint(ConstraintKind::Check, None),
            constraint(ConstraintKind::NotNull, Some("needed.v")),
            constraint(ConstraintKind::Trigger, None),
            failed(Cause::TooLarge),
            failed(Cause::WrongType),
            failed(Cause::Statement { code: 1 }),
            failed(Cause::Refused("too old")),
            failed(Cause::WrongType),
            Ok(11),
        ]
    );
    assert_eq!(place.stored(), (vec![11], 11));
    for outcome in outcomes {
        let Err(failure) = outcome else { continue };
        for shown in [failure.to_string(), format!("{failure:?}")] {
            assert!(!shown.contains("hunter2") && !shown.contains("INSERT"), "{shown}");
        }
    }
}

#[test]
fn a_lock_held_by_somebody_else_means_try_again() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(batch(&mut sink, entries(1..=2)), [retry(Cause::Busy), retry(Cause::Busy)]);
    assert_eq!(sink.writer().not_stored, [1, 2]);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(batch(&mut sink, entries(1..=2)), [Ok(1), Ok(2)]);
    assert_eq!(place.stored(), (vec![1, 2], 3));
}

#[test]
fn a_database_that_is_locked_while_it_is_opened_is_busy() {
    let place = Place::new();
    drop(Sqlite::open(&place.options(), one("", insert)).unwrap());
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = Sqlite::open(&place.options(), one("", insert)).unwrap_err();
    assert_eq!(error, OpenError::Database(SinkError::Retryable(Cause::Busy)));
}

#[test]
fn the_switch_to_a_log_waits_for_readers_as_long_as_the_options_say() {
    let place = Place::new();
    drop(Sqlite::open(&place.options(), one("", insert)).unwrap());
    let reader = place.other();
    let _: String =
        reader.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get(0)).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM total").unwrap();
    let begun = std::time::Instant::now();
    let error = Sqlite::open(&place.options(), one("", insert)).unwrap_err();
    assert_eq!(error, OpenError::Database(SinkError::Retryable(Cause::Busy)));
    assert!(begun.elapsed() >= Duration::from_millis(20));
    reader.execute_batch("COMMIT").unwrap();
    drop(Sqlite::open(&place.options(), one("", insert)).unwrap());
}

#[test]
fn a_full_database_stores_nothing_of_the_batch_and_says_so() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    assert_eq!(batch(&mut sink, entries(1..=1)), [Ok(1)]);
    let db = sink.db.as_ref().unwrap();
    let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let _: i64 =
        db.pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0)).unwrap();
    let large = |id| Entry { id, note: "x".repeat(10_000) };
    let outcomes = batch(&mut sink, vec![entry(2), large(3), entry(4)]);
    assert_eq!(outcomes, vec![retry(Cause::DiskFull); 3]);
    assert_eq!(place.stored(), (vec![1], 1));

    let db = sink.db.as_ref().unwrap();
    let _: i64 =
        db.pragma_update_and_check(None, "max_page_count", 1_000, |row| row.get(0)).unwrap();
    assert_eq!(batch(&mut sink, vec![entry(2), large(3)]), [Ok(2), Ok(3)]);
    assert_eq!(place.stored(), (vec![1, 2, 3], 6));
}

/// A file system of a few hundred kilobytes, where the rights are there to mount one.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_keeps_what_was_done_and_loses_nothing_else() {
    let Some(disk) = SmallDisk::mount() else {
        // Not by `eprintln!`, which the test harness keeps from whoever reads of a test that passed.
        use std::io::Write as _;
        let reason = "a_full_disk_keeps_what_was_done…: NOT RUN: mounting needs more rights";
        let _ = writeln!(std::io::stderr(), "{reason}");
        return;
    };
    let options = Options::new(disk.0.path().join("entries.db"));
    let mut sink = Sqlite::open(&options, one("", insert)).unwrap();
    let mut done = Vec::new();
    for id in 0.. {
        let outcomes = batch(&mut sink, vec![Entry { id, note: "x".repeat(20_000) }]);
        match &outcomes[0] {
            Ok(id) => done.push(*id),
            failure => {
                assert_eq!(*failure, retry(Cause::DiskFull));
                break;
            }
        }
    }
    assert!(done.len() > 3);
    let sum = done.iter().sum();
    assert_eq!(stored(sink.db.as_ref().unwrap()), (done, sum));
}

#[test]
fn a_database_that_can_only_be_read_says_so() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    sink.db.as_ref().unwrap().pragma_update(None, "query_only", true).unwrap();
    assert_eq!(batch(&mut sink, entries(1..=2)), vec![failed(Cause::ReadOnly); 2]);
}

#[test]
fn a_damaged_database_says_so() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    assert!(batch(&mut sink, entries(0..2_000)).iter().all(Result::is_ok));
    drop(sink);
    let mut bytes = std::fs::read(place.path()).unwrap();
    bytes[4_096..].fill(0x55);
    std::fs::write(place.path(), bytes).unwrap();
    let error = Sqlite::open(&place.options(), one("", insert)).unwrap_err();
    assert!(
        matches!(error, OpenError::Database(SinkError::Final(Cause::Corrupt { .. }))),
        "{error:?}"
    );
}

fn names_beside(path: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

fn refused_untouched(place: &Place, expected: Cause) {
    let path = place.path();
    let bytes = std::fs::read(&path).unwrap();
    let names = names_beside(&path);
    let error = Sqlite::open(&place.options(), one("", insert)).unwrap_err();
    assert_eq!(error, OpenError::Database(SinkError::Final(expected)));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(names_beside(&path), names);
}

#[test]
fn a_file_that_is_no_database_is_not_touched() {
    for content in ["x", "Dear diary, ", "SQLite format 3"] {
        let place = Place::new();
        std::fs::write(place.path(), content.repeat(500)).unwrap();
        refused_untouched(&place, Cause::NotADatabase);
        std::fs::write(place.path(), content).unwrap();
        refused_untouched(&place, Cause::NotADatabase);
    }
}

#[test]
fn a_database_of_somebody_else_is_not_touched() {
    for (mode, id) in [("delete", 0), ("delete", 77), ("wal", 0), ("wal", 77)] {
        let place = Place::new();
        let db = place.other();
        db.execute_batch(&format!(
            "PRAGMA application_id = {id}; PRAGMA journal_mode = {mode};
             CREATE TABLE precious(v); INSERT INTO precious VALUES (1);"
        ))
        .unwrap();
        drop(db);
        refused_untouched(&place, Cause::NotOurs { expected: OURS, found: id });
    }
}

#[test]
fn a_database_in_use_by_somebody_else_is_not_touched() {
    let place = Place::new();
    let db = place.other();
    db.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE precious(v);").unwrap();
    refused_untouched(&place, Cause::NotOurs { expected: OURS, found: 0 });
    db.execute_batch("INSERT INTO precious VALUES (1)").unwrap();
}

#[test]
fn a_folder_or_a_missing_file_is_told_apart() {
    let place = Place::new();
    let open = |options: Options| Sqlite::open(&options, one("", insert)).unwrap_err();
    let of = |cause| OpenError::Database(SinkError::Final(cause));
    assert_eq!(open(place.options().create(false)), of(Cause::Missing));
    assert_eq!(open(Options::new(place.folder.path())), of(Cause::NotADatabase));
    let error = open(Options::new(place.folder.path().join("no/such/folder.db")));
    assert!(matches!(error, OpenError::Database(SinkError::Final(Cause::CannotOpen { .. }))));
    assert_eq!(names_beside(&place.path()).len(), 0);
}

#[test]
fn a_new_database_is_marked_before_its_log_begins() {
    let place = Place::new();
    assert_eq!(look(&place.path()), Ok(Found::Nothing));
    std::fs::write(place.path(), "").unwrap();
    assert_eq!(look(&place.path()), Ok(Found::Empty));
    let sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    assert_eq!(look(&place.path()), Ok(Found::Database { application_id: OURS }));
    drop(sink);
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    assert_eq!(batch(&mut sink, entries(1..=1)), [Ok(1)]);
}

#[test]
fn odd_names_are_names_of_files() {
    let place = Place::new();
    for name in [":memory:", "file:x?mode=memory", "a b%41#c?d.db", "ä.db"] {
        let path = place.folder.path().join(name);
        let options = Options::new(&path).application_id(OURS);
        drop(Sqlite::open(&options, one("", insert)).unwrap());
        assert_eq!(look(&path), Ok(Found::Database { application_id: OURS }), "{name}");
    }
}

#[test]
fn many_sinks_may_open_one_new_file_at_once() {
    let place = Place::new();
    let options = place.options().busy_timeout(Duration::from_secs(60));
    std::thread::scope(|scope| {
        for shard in 0..6_i64 {
            let options = &options;
            scope.spawn(move || {
                let mut sink = Sqlite::open(options, one("", insert)).unwrap();
                for id in 0..5 {
                    let id = shard * 100 + id;
                    assert_eq!(batch(&mut sink, entries([id])), [Ok(id)]);
                }
            });
        }
    });
    assert_eq!(place.stored().0.len(), 30);
}

#[test]
fn a_writer_that_panics_stores_nothing_and_leaves_no_lock() {
    fn step(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
        insert(db, entry)?;
        assert!(entry.id != 3, "planted");
        Ok(())
    }
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), many("", step)).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| batch(&mut sink, entries(1..=4))));
    assert!(panicked.is_err());
    assert_eq!(place.stored(), (vec![], 0));
    place.other().execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
    assert_eq!(batch(&mut sink, entries(4..=5)), [Ok(4), Ok(5)]);
    assert_eq!(place.stored(), (vec![4, 5], 9));
}

#[test]
fn a_commit_that_fails_fails_every_row() {
    const TABLES: &str = "
        PRAGMA foreign_keys = ON;
        CREATE TABLE IF NOT EXISTS children(
            parent INTEGER REFERENCES entries(id) DEFERRABLE INITIALLY DEFERRED);";
    fn step(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
        insert(db, entry)?;
        let parent = if entry.id == 2 { 77 } else { entry.id };
        db.execute("INSERT INTO children VALUES (?1)", [parent])?;
        Ok(())
    }
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), many(TABLES, step)).unwrap();
    sink.db.as_ref().unwrap().pragma_update(None, "foreign_keys", true).unwrap();
    let broken = Cause::Constraint { kind: ConstraintKind::ForeignKey, name: None };
    assert_eq!(batch(&mut sink, entries(1..=3)), vec![failed(broken); 3]);
    assert_eq!(place.stored(), (vec![], 0));
    assert_eq!(sink.writer().commits, 0);
    assert_eq!(batch(&mut sink, entries([1, 3])), [Ok(1), Ok(3)]);
}

#[test]
fn a_commit_whose_sync_failed_has_an_unknown_outcome_and_is_not_tried_again() {
    let sync_failed = rusqlite::ffi::SQLITE_IOERR_FSYNC;
    let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(sync_failed), None);
    let io = Cause::Io { code: sync_failed };
    assert_eq!(classify::of(&error), io);
    assert_eq!(commit_failed(io.clone()), SinkError::OutcomeUnknown(io.clone()));
    assert!(matches!(commit_failed(io.clone()).into_verdict::<()>(), Verdict::Failed(_)));
    // Before the commit the same error leaves nothing behind.
    assert_eq!(io.clone().nothing_stored(), SinkError::Retryable(io));
    assert_eq!(commit_failed(Cause::DiskFull), SinkError::Retryable(Cause::DiskFull));
}

#[test]
fn sums_that_cannot_be_written_fail_every_row() {
    const TABLES: &str = "CREATE TRIGGER IF NOT EXISTS no BEFORE UPDATE ON total
        WHEN new.ids > 100 BEGIN SELECT RAISE(ABORT, 'hunter2'); END;";
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one(TABLES, insert)).unwrap();
    let broken = Cause::Constraint { kind: ConstraintKind::Trigger, name: None };
    // The row that failed alone keeps its own reason.
    assert_eq!(
        batch(&mut sink, entries([60, 60, 61])),
        [failed(broken.clone()), primary_key(), failed(broken)]
    );
    assert_eq!(place.stored(), (vec![], 0));
}

#[test]
fn a_writer_that_ends_the_transaction_is_found_out() {
    for sql in ["COMMIT", "ROLLBACK"] {
        fn commit(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
            insert(db, entry)?;
            if entry.id == 2 {
                db.execute_batch("COMMIT")?;
            }
            Ok(())
        }
        fn rollback(db: &Connection, entry: &Entry) -> Result<(), WriteError> {
            insert(db, entry)?;
            if entry.id == 2 {
                db.execute_batch("ROLLBACK")?;
            }
            Ok(())
        }
        let step: Step = if sql == "COMMIT" { commit } else { rollback };
        let place = Place::new();
        let mut sink = Sqlite::open(&place.options(), one("", step)).unwrap();
        let unknown = Err(Failure::Handler(SinkError::OutcomeUnknown(Cause::TransactionEnded)));
        assert_eq!(batch(&mut sink, entries(1..=3)), vec![unknown; 3], "{sql}");
        assert_eq!(batch(&mut sink, entries([9])), [Ok(9)]);
    }
}

#[test]
fn a_connection_stuck_in_a_transaction_is_opened_anew() {
    let place = Place::new();
    let mut sink = Sqlite::open(&place.options(), one("", insert)).unwrap();
    sink.db.as_ref().unwrap().execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(batch(&mut sink, entries([1])), [Ok(1)]);
    assert_eq!(place.stored(), (vec![1], 1));
}

#[test]
fn options_out_of_range_are_named_with_what_is_allowed() {
    let place = Place::new();
    for (options, message) in [
        (
            place.options().busy_timeout(Duration::from_secs(601)),
            "busy_timeout is 601s; allowed is 0 to 10 minutes",
        ),
        (place.options().checkpoint_pages(0), "checkpoint_pages is 0; allowed is 1 to 1,048,576"),
        (place.options().application_id(0), "application_id is 0; allowed is any but 0"),
    ] {
        let error = Sqlite::open(&options, one("", insert)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(look(&place.path()), Ok(Found::Nothing));
}
