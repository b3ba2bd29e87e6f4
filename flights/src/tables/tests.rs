use std::path::Path;
use std::time::{Duration, Instant};

use engine::{Failure, Handler, testing};
use rusqlite::types::Value;
use sinks::SinkError;
use sinks::sqlite::{Options, Sqlite};

use super::*;

/// A table of flights in the making, and the database they go to.
struct Bench {
    folder: tempfile::TempDir,
    names: Arc<Names>,
    ledger: Arc<Ledger>,
}

impl Bench {
    fn new(names: Names) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, names: Arc::new(names), ledger: Arc::new(Ledger::new()) }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("flights.db")
    }

    fn sink(&self) -> Sqlite<FlightWriter> {
        sink(&self.path(), &self.names, &self.ledger)
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        let db = Connection::open(self.path()).unwrap();
        let mut statement = db.prepare(sql).unwrap();
        let columns = statement.column_count();
        statement
            .query_map([], |row| (0..columns).map(|at| row.get(at)).collect())
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }
}

fn sink(path: &Path, names: &Arc<Names>, ledger: &Arc<Ledger>) -> Sqlite<FlightWriter> {
    let writer = FlightWriter::new(Arc::clone(names), Arc::clone(ledger));
    Sqlite::open(&Options::new(path).application_id(APPLICATION_ID), writer).unwrap()
}

fn store(
    sink: &mut Sqlite<FlightWriter>,
    rows: Vec<Flight>,
) -> Vec<Result<(), Failure<SinkError>>> {
    testing::with_batch(rows, |batch| sink.handle(batch))
}

fn flight(names: &mut Names, seq: i64, carrier: &str, delay: Option<i32>, to: &str) -> Flight {
    Flight {
        seq,
        month: 1,
        day: 2,
        sched_dep_time: 515,
        dep_delay: Some(-3),
        arr_delay: delay,
        carrier: names.intern(carrier),
        flight: 7,
        tailnum: (seq % 3 != 0).then(|| names.intern(if seq % 3 == 1 { "N1" } else { "N2" })),
        origin: names.intern("JFK"),
        dest: names.intern(to),
        distance: 100,
    }
}

fn numbers(values: &[i64]) -> Vec<Value> {
    values.iter().map(|&value| Value::Integer(value)).collect()
}

#[test]
fn sums_of_several_batches_are_those_of_all_rows() {
    let mut names = Names::default();
    let mut row = |seq, delay, to| flight(&mut names, seq, "UA", delay, to);
    let first = vec![row(1, Some(-5), "BOS"), row(2, None, "LAX"), row(3, Some(-7), "ORD")];
    let second = vec![row(4, Some(30), "SFO"), row(6, None, "IAH")];
    let bench = Bench::new(names);
    let mut sink = bench.sink();
    assert!(store(&mut sink, first).iter().all(Result::is_ok));
    assert_eq!(
        bench.rows("SELECT flights, arr_delay_sum, arr_delay_max, miles, last_seq FROM carriers"),
        [numbers(&[3, -12, -5, 300, 3])]
    );
    assert!(store(&mut sink, second).iter().all(Result::is_ok));
    assert_eq!(
        bench.rows("SELECT flights, arr_delay_sum, arr_delay_max, miles, last_seq FROM carriers"),
        [numbers(&[5, 18, 30, 500, 6])]
    );
    assert_eq!(
        bench.rows("SELECT last_origin, last_dest FROM carriers"),
        [[Value::Text("JFK".into()), Value::Text("IAH".into())]]
    );
    // Rows 3 and 6 have no tail number.
    assert_eq!(
        bench.rows("SELECT flights, arr_delay_sum, miles FROM aircraft ORDER BY tailnum"),
        [numbers(&[2, 25, 200]), numbers(&[1, 0, 100])]
    );
    assert_eq!(bench.ledger.out_of_order(), 0);
}

#[test]
fn the_time_runs_from_the_first_push_to_the_last_commit() {
    let ledger = Ledger::new();
    let made = Instant::now();
    while made.elapsed() < Duration::from_millis(20) {
        std::hint::spin_loop();
    }
    assert_eq!(ledger.elapsed(), Duration::ZERO, "nothing was committed");
    ledger.begin();
    ledger.committed(0);
    let first = ledger.elapsed();
    assert!(
        first < made.elapsed() - Duration::from_millis(20),
        "what came before counts: {first:?}"
    );
    ledger.begin();
    ledger.committed(0);
    assert!(ledger.elapsed() > first, "it began once");
}

#[test]
fn a_carrier_without_any_delay_has_no_greatest_one() {
    let mut names = Names::default();
    let rows = vec![flight(&mut names, 1, "UA", None, "BOS")];
    let more = vec![flight(&mut names, 2, "UA", None, "BOS")];
    let late = vec![flight(&mut names, 3, "UA", Some(-40), "BOS")];
    let bench = Bench::new(names);
    let mut sink = bench.sink();
    let max = || bench.rows("SELECT arr_delay_max FROM carriers");
    assert!(store(&mut sink, rows).iter().all(Result::is_ok));
    assert!(store(&mut sink, more).iter().all(Result::is_ok));
    assert_eq!(max(), [[Value::Null]]);
    assert!(store(&mut sink, late).iter().all(Result::is_ok));
    assert_eq!(max(), [[Value::Integer(-40)]]);
}

#[test]
fn disorder_within_a_batch_is_counted() {
    let mut names = Names::default();
    let rows = [1, 4, 2, 3, 5].map(|seq| flight(&mut names, seq, "UA", Some(1), "BOS")).to_vec();
    let bench = Bench::new(names);
    assert!(store(&mut bench.sink(), rows).iter().all(Result::is_ok));
    assert_eq!(bench.ledger.out_of_order(), 2);
    assert_eq!(bench.rows("SELECT last_seq FROM carriers"), [numbers(&[5])]);
}

#[test]
fn disorder_between_batches_of_two_shards_is_counted() {
    let mut names = Names::default();
    let later = [8, 9].map(|seq| flight(&mut names, seq, "UA", Some(1), "LAX")).to_vec();
    let earlier = [6, 7].map(|seq| flight(&mut names, seq, "UA", Some(1), "BOS")).to_vec();
    let other = vec![flight(&mut names, 1, "AA", Some(1), "BOS")];
    let bench = Bench::new(names);
    let (mut one, mut two) = (bench.sink(), bench.sink());
    assert!(store(&mut one, later).iter().all(Result::is_ok));
    assert!(store(&mut two, earlier).iter().all(Result::is_ok));
    assert!(store(&mut two, other).iter().all(Result::is_ok));
    assert_eq!(bench.ledger.out_of_order(), 2);
    let last = bench.rows("SELECT last_seq, last_dest FROM carriers WHERE carrier = 'UA'");
    assert_eq!(last, [[Value::Integer(9), Value::Text("LAX".into())]]);
}

#[test]
fn a_row_that_is_there_already_fails_alone_and_is_not_in_the_sums() {
    let mut names = Names::default();
    let rows = [1, 2, 2, 3].map(|seq| flight(&mut names, seq, "UA", Some(1), "BOS")).to_vec();
    let bench = Bench::new(names);
    let outcomes = store(&mut bench.sink(), rows);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert_eq!(bench.rows("SELECT flights, miles FROM carriers"), [numbers(&[3, 300])]);
    let failures = bench.ledger.failures();
    assert_eq!((failures.count, failures.trouble, failures.first[0].0), (1, false, 2));
    assert!(!bench.ledger.in_trouble());
}

#[test]
fn a_failure_that_lies_in_no_row_is_trouble() {
    let mut names = Names::default();
    let rows = [1, 2].map(|seq| flight(&mut names, seq, "UA", Some(1), "BOS")).to_vec();
    let bench = Bench::new(names);
    let mut sink = bench.sink();
    let other = Connection::open(bench.path()).unwrap();
    other.execute_batch("DROP TABLE aircraft").unwrap();
    assert!(store(&mut sink, rows).iter().all(Result::is_err));
    assert!(bench.ledger.in_trouble());
    assert_eq!(bench.ledger.failures().count, 2);
    assert_eq!(Counts::read(&other).ok(), None);
}
