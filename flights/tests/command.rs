//! The built program, from outside: what it stores, says and answers, and what it never touches.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;

const HEADER: &str =
    "month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,distance";

/// A folder with an input and a place for a database.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn db(&self) -> PathBuf {
        self.path("flights.db")
    }

    /// Writes an input and names it.
    fn input(&self, text: &str) -> PathBuf {
        let path = self.path("in.csv");
        fs::write(&path, text).unwrap();
        path
    }

    /// The program on `in.csv`, into `flights.db`.
    fn flights(&self, arguments: &[&str]) -> Command {
        let mut command = flights();
        command.arg("--input").arg(self.path("in.csv")).arg("--db").arg(self.db()).args(arguments);
        command
    }

    fn open(&self) -> Connection {
        Connection::open(self.db()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn flights() -> Command {
    Command::new(env!("CARGO_BIN_EXE_flights"))
}

/// `count` rows over five carriers, some with empty fields.
fn sample(count: usize) -> String {
    let mut text = format!("{HEADER}\n");
    for row in 0..count {
        let carrier = ["UA", "AA", "B6", "DL", "Very Long Carrier Name".split(' ').next().unwrap()]
            [row * 7 % 5];
        let delay = if row % 11 == 0 { String::new() } else { (row as i64 % 90 - 30).to_string() };
        let tail = if row % 13 == 0 { String::new() } else { format!("N{}", row % 40) };
        writeln!(
            text,
            "{},{},{},{delay},{delay},{carrier},{},{tail},JFK,BOS,{}",
            row % 12 + 1,
            row % 28 + 1,
            row % 24 * 100 + row % 60,
            row % 9_000,
            row % 2_000 + 1
        )
        .unwrap();
    }
    text
}

#[track_caller]
fn run(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {}\nstderr: {}",
        shown(&output.stdout),
        shown(&output.stderr)
    );
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.ends_with('\n'));
    serde_json::from_str(stdout).unwrap()
}

#[test]
fn a_run_stores_every_row_and_its_check_agrees() {
    let place = Place::new();
    place.input(&sample(3_000));
    let output = run(&mut place.flights(&["--check", "--no-compare"]), 0);
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("3,000 flights stored in "), "{stdout}");
    assert!(stdout.contains("0 rows out of order"), "{stdout}");
    assert!(stdout.contains("rows of three tables equal those of a plain loop"), "{stdout}");
    assert!(stdout.contains(place.db().to_str().unwrap()), "{stdout}");
    assert!(text(&output.stderr).contains("storing 3,000 rows into "));
    let db = place.open();
    let last: (i64, i64) = db
        .query_row(
            "SELECT (SELECT max(seq) FROM flights WHERE carrier = 'B6'), last_seq
             FROM carriers WHERE carrier = 'B6'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(last.0, last.1);
    let empty: i64 = db
        .query_row("SELECT count(*) FROM flights WHERE arr_delay IS NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(empty, 3_000 / 11 + 1);
    drop(db);
    assert_eq!(place.names(), ["flights.db", "in.csv"]);
}

#[test]
fn the_json_object_has_every_field_and_stands_alone() {
    let place = Place::new();
    place.input(&sample(1_000));
    let arguments = ["--json", "--check", "--compare-seconds", "1", "--durability", "off"];
    let result = json(&run(&mut place.flights(&arguments), 0));
    assert_eq!(result["rows_accepted"], 1_000);
    assert_eq!(result["rows_stored"], 1_000);
    assert_eq!(result["rows_failed"], 0);
    assert_eq!(result["carriers"], 5);
    assert_eq!(result["aircraft"], 40);
    assert_eq!(result["out_of_order"], 0);
    assert_eq!(result["check_differences"], 0);
    assert_eq!(result["interrupted"], false);
    assert_eq!(result["sizing"], "tiers");
    assert_eq!(result["durability"], "off");
    for field in ["rows_per_s", "elapsed_s", "mean_batch", "speedup_over_single", "compared_rows"] {
        assert!(result[field].as_f64().unwrap() > 0.0, "{field}: {result}");
    }
    for field in ["formation_p50_ns", "formation_p99_ns", "lateness_p99_ns", "age_p99_ns"] {
        assert!(result[field].is_u64(), "{field}: {result}");
    }
    assert!(result.as_object().unwrap().contains_key("predicted_speedup"));
    let triggers: u64 =
        result["triggers"].as_object().unwrap().values().map(|times| times.as_u64().unwrap()).sum();
    assert_eq!(result["batches"], triggers);
    assert_eq!(place.names(), ["flights.db", "in.csv"]);
}

#[test]
fn without_a_comparison_both_speedups_are_null() {
    let place = Place::new();
    place.input(&sample(500));
    let result = json(&run(&mut place.flights(&["--json", "--no-compare"]), 0));
    assert_eq!(result["speedup_over_single"], Value::Null);
    assert_eq!(result["predicted_speedup"], Value::Null);
    assert_eq!(result["check_differences"], Value::Null);
}

#[test]
fn quiet_says_nothing_on_stderr() {
    let place = Place::new();
    place.input(&sample(200));
    let output = run(&mut place.flights(&["--quiet", "--no-compare"]), 0);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn every_sizing_and_durability_and_number_of_threads_stores_the_same() {
    for arguments in [
        &["--sizing", "single", "--durability", "normal"][..],
        &["--sizing", "fixed:1"],
        &["--sizing", "fixed:77", "--flush-after", "1ms"],
        &["--sizing", "tiers", "--durability", "off", "--producers", "1"],
        &["--shards", "3", "--producers", "3", "--durability", "normal"],
        &["--producers", "8", "--flush-after", "2s"],
    ] {
        let place = Place::new();
        place.input(&sample(400));
        let mut command = place.flights(&["--json", "--check", "--no-compare", "--quiet"]);
        let result = json(&run(command.args(arguments), 0));
        assert_eq!(result["rows_stored"], 400, "{arguments:?}");
        assert_eq!(result["check_differences"], 0, "{arguments:?}");
        assert_eq!(result["out_of_order"], 0, "{arguments:?}");
    }
}

#[test]
fn an_input_of_no_rows_is_stored_as_such() {
    let place = Place::new();
    place.input(HEADER);
    let result = json(&run(&mut place.flights(&["--json", "--check", "--quiet"]), 0));
    assert_eq!(result["rows_stored"], 0);
    assert_eq!(result["speedup_over_single"], Value::Null);
    run(&mut place.flights(&["--overwrite", "--quiet"]), 0);
}

#[test]
fn malformed_input_is_named_before_anything_is_written() {
    let place = Place::new();
    let good = sample(10);
    for (input, place_and_expected) in [
        (
            good.replacen("\n2,", "\n13,", 1),
            ":3:month (column 1): expected a month, 1 to 12, found \"13\"",
        ),
        (good.replacen("JFK", "", 1), ":2:origin (column 9): expected an airport, found \"\""),
        (
            format!("{good}1,2,3\n"),
            ":12:dep_delay (column 4): expected 11 fields, found the end of the line",
        ),
        (
            good.replacen("day", "Day", 1),
            ":1:day (column 2): expected the header \"day\", found \"Day\"",
        ),
        (String::new(), ":1:month (column 1): expected the header"),
    ] {
        let path = place.input(&input);
        let output = run(&mut place.flights(&["--json"]), 2);
        let stderr = text(&output.stderr);
        let expected = format!("{}{place_and_expected}", path.display());
        assert!(stderr.contains(&expected), "expected {expected} in {stderr}");
        assert_eq!(text(&output.stdout), "");
        assert_eq!(place.names(), ["in.csv"]);
    }
}

#[test]
fn bad_rows_are_skipped_listed_and_leave_the_numbers_of_others_alone() {
    let place = Place::new();
    let mut lines: Vec<_> = sample(100).lines().map(str::to_owned).collect();
    for line in &mut lines[3..=30] {
        line.insert(0, 'x');
    }
    place.input(&lines.join("\n"));
    let output = run(&mut place.flights(&["--skip-bad", "--json", "--check", "--no-compare"]), 0);
    let stderr = text(&output.stderr);
    assert!(stderr.contains(":4:month (column 1): expected a month"), "{stderr}");
    assert_eq!(stderr.matches("skipped: ").count(), 28, "{stderr}");
    let result = json(&output);
    assert_eq!((&result["rows_stored"], &result["rows_skipped"]), (&72.into(), &28.into()));
    assert_eq!(result["check_differences"], 0);
    let seqs: (i64, i64) = place
        .open()
        .query_row(
            "SELECT max(seq), sum(seq = 31) FROM flights WHERE seq < 3 OR seq > 30",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(seqs, (100, 1));
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_read_under_any_name_and_refused_when_it_breaks_off() {
    let place = Place::new();
    let bytes = packed(&sample(2_000));
    fs::write(place.path("in.csv"), &bytes).unwrap();
    run(&mut place.flights(&["--quiet", "--check", "--no-compare"]), 0);
    fs::write(place.path("in.csv"), &bytes[..bytes.len() / 2]).unwrap();
    for arguments in [&["--overwrite"][..], &["--overwrite", "--skip-bad"]] {
        let output = run(&mut place.flights(arguments), 2);
        assert!(text(&output.stderr).contains("the input breaks off there"));
    }
    let stored: i64 =
        place.open().query_row("SELECT count(*) FROM flights", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 2_000, "an input that is refused replaces nothing");
}

#[test]
fn an_input_that_is_not_there_is_refused() {
    let place = Place::new();
    let output = run(&mut place.flights(&[]), 2);
    assert!(text(&output.stderr).contains("in.csv"));
    assert_eq!(place.names().len(), 0);
}

#[test]
fn a_second_run_replaces_the_first_only_when_told() {
    let place = Place::new();
    place.input(&sample(300));
    run(&mut place.flights(&["--quiet", "--no-compare"]), 0);
    let before = fs::read(place.db()).unwrap();
    let output = run(&mut place.flights(&["--quiet", "--no-compare"]), 2);
    assert!(text(&output.stderr).contains("--overwrite"));
    assert_eq!(fs::read(place.db()).unwrap(), before);
    place.input(&sample(200));
    let result = json(&run(
        &mut place.flights(&["--overwrite", "--quiet", "--no-compare", "--json", "--check"]),
        0,
    ));
    assert_eq!((&result["rows_stored"], &result["check_differences"]), (&200.into(), &0.into()));
}

#[test]
fn a_log_that_was_left_behind_by_a_crash_goes_with_its_database() {
    let place = Place::new();
    place.input(&sample(100));
    run(&mut place.flights(&["--quiet", "--no-compare"]), 0);
    // A connection that is not closed leaves its log, as a crash would.
    let db = place.open();
    db.execute_batch("PRAGMA wal_autocheckpoint = 0; DELETE FROM flights").unwrap();
    let [database, log] =
        ["flights.db", "flights.db-wal"].map(|name| fs::read(place.path(name)).unwrap());
    drop(db);
    fs::write(place.path("flights.db"), database).unwrap();
    fs::write(place.path("flights.db-wal"), log).unwrap();
    let arguments = ["--overwrite", "--quiet", "--no-compare", "--json", "--check"];
    let result = json(&run(&mut place.flights(&arguments), 0));
    assert_eq!((&result["rows_stored"], &result["check_differences"]), (&100.into(), &0.into()));
    assert_eq!(place.names(), ["flights.db", "in.csv"]);
}

#[test]
fn a_database_that_somebody_uses_is_not_replaced() {
    let place = Place::new();
    place.input(&sample(100));
    run(&mut place.flights(&["--quiet", "--no-compare"]), 0);
    let other = place.open();
    let count = || -> i64 {
        other.query_row("SELECT count(*) FROM flights", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(), 100);
    let output = run(&mut place.flights(&["--overwrite", "--quiet"]), 3);
    assert!(text(&output.stderr).contains("another process is using it"));
    assert_eq!(count(), 100);
}

#[track_caller]
fn refused_untouched(place: &Place) {
    let before = fs::read(place.db()).unwrap();
    let names = place.names();
    for arguments in [&[][..], &["--overwrite"]] {
        let output = run(&mut place.flights(arguments), 2);
        assert!(text(&output.stderr).contains("it was not touched"), "{}", text(&output.stderr));
        assert_eq!(fs::read(place.db()).unwrap(), before);
        assert_eq!(place.names(), names);
    }
}

#[test]
fn a_file_that_is_not_ours_is_never_touched() {
    for content in ["", "x", &"Dear diary\n".repeat(1_000)] {
        let place = Place::new();
        place.input(&sample(5));
        fs::write(place.db(), content).unwrap();
        refused_untouched(&place);
    }
    for setup in ["", "PRAGMA application_id = 7;", "PRAGMA journal_mode = wal;"] {
        let place = Place::new();
        place.input(&sample(5));
        let db = place.open();
        db.execute_batch(&format!("{setup} CREATE TABLE flights(precious)")).unwrap();
        drop(db);
        refused_untouched(&place);
    }
}

#[test]
fn a_log_without_its_database_is_never_touched() {
    let place = Place::new();
    place.input(&sample(5));
    let log = place.path("flights.db-wal");
    fs::write(&log, "precious").unwrap();
    let output = run(&mut place.flights(&["--overwrite"]), 2);
    assert!(text(&output.stderr).contains("flights.db-wal"));
    assert_eq!(fs::read(log).unwrap(), b"precious");
    assert_eq!(place.names(), ["flights.db-wal", "in.csv"]);
}

#[test]
fn a_place_that_cannot_be_written_is_trouble() {
    let place = Place::new();
    place.input(&sample(5));
    let input = place.path("in.csv");
    let run_into = |db: &Path, code| {
        let output = run(flights().arg("--input").arg(&input).arg("--db").arg(db), code);
        text(&output.stderr).to_owned()
    };
    assert!(run_into(&place.path("no/such/folder.db"), 3).contains("can't be opened"));
    assert!(run_into(place.folder.path(), 2).contains("is a folder"));
}

#[test]
fn options_that_cannot_work_are_named() {
    for (arguments, named) in [
        (&["--sizing", "fixed:0"][..], "fixed:N"),
        (&["--shards", "0"], "--shards"),
        (&["--producers", "65"], "--producers"),
        (&["--flush-after", "10"], "--flush-after"),
        (&["--flush-after", "1ns"], "--flush-after"),
        (&["--durability", "some"], "--durability"),
        (&["--no-compare", "--min-speedup", "5"], "--min-speedup"),
        (&["--colour"], "--colour"),
    ] {
        let output = run(flights().args(arguments), 2);
        assert!(text(&output.stderr).contains(named), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn help_explains_every_option_and_exit_code() {
    let output = run(flights().arg("--help"), 0);
    let help = text(&output.stdout);
    for word in [
        "--input",
        "--db",
        "--sizing",
        "--shards",
        "--producers",
        "--flush-after",
        "--durability",
        "--check",
        "--no-compare",
        "--compare-seconds",
        "--min-speedup",
        "--json",
        "--quiet",
        "--overwrite",
        "--skip-bad",
        "--order",
        "--attempts",
        "--dead-letters",
        "Exit codes",
        "130",
    ] {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[test]
fn a_speedup_below_the_demanded_one_fails() {
    let place = Place::new();
    place.input(&sample(300));
    let arguments = ["--quiet", "--compare-seconds", "1", "--durability", "off", "--min-speedup"];
    let mut command = place.flights(&arguments);
    let output = run(command.arg("1000000"), 1);
    assert!(text(&output.stdout).contains("times as fast"));
}

#[test]
fn a_run_that_cannot_start_leaves_the_last_one_alone() {
    let place = Place::new();
    place.input(&sample(300));
    run(&mut place.flights(&["--quiet", "--no-compare"]), 0);
    let before = fs::read(place.db()).unwrap();
    run(&mut place.flights(&["--overwrite", "--flush-after", "1ns"]), 2);
    assert_eq!(fs::read(place.db()).unwrap(), before);
}

#[test]
#[cfg(unix)]
fn a_link_is_followed_to_its_database_and_stays() {
    let place = Place::new();
    place.input(&sample(100));
    fs::create_dir(place.path("far")).unwrap();
    let target = place.path("far").join("real.db");
    std::os::unix::fs::symlink(&target, place.db()).unwrap();
    let output = run(&mut place.flights(&["--quiet", "--no-compare"]), 2);
    assert!(text(&output.stderr).contains("a link that leads nowhere"));
    run(
        flights()
            .args(["--quiet", "--no-compare", "--input"])
            .arg(place.path("in.csv"))
            .arg("--db")
            .arg(&target),
        0,
    );
    // A log beside the target goes with it, and none is looked for beside the link.
    fs::write(place.path("flights.db-wal"), "precious").unwrap();
    let arguments = ["--overwrite", "--quiet", "--no-compare", "--json", "--check"];
    let result = json(&run(&mut place.flights(&arguments), 0));
    assert_eq!(result["check_differences"], 0);
    assert!(place.db().is_symlink());
    assert_eq!(fs::read_dir(place.path("far")).unwrap().count(), 1);
    assert_eq!(fs::read(place.path("flights.db-wal")).unwrap(), b"precious");
}

/// A connection to the database once the program has made its tables; nothing is created here.
fn once_made(path: &Path) -> Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    loop {
        let db = Connection::open_with_flags(path, flags).and_then(|db| {
            db.busy_timeout(std::time::Duration::from_secs(60))?;
            db.query_row("SELECT 1 FROM aircraft", [], |_| Ok(()))?;
            Ok(db)
        });
        match db {
            Ok(db) => return db,
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// The same with the write lock. It is asked for again and again, since a busy timeout would pause for
/// longer and longer while the program commits row after row.
fn held(path: &Path) -> Connection {
    let db = once_made(path);
    db.busy_timeout(std::time::Duration::ZERO).unwrap();
    while db.execute_batch("BEGIN IMMEDIATE").is_err() {
        std::hint::spin_loop();
    }
    db
}

#[test]
fn reasons_of_failed_rows_are_said_also_in_quiet_json() {
    let place = Place::new();
    place.input(&sample(60_000));
    let arguments = ["--json", "--quiet", "--sizing", "single", "--durability", "off", "--check"];
    let child =
        place.flights(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let db = held(&place.db());
    db.execute_batch(
        "CREATE TRIGGER refuse BEFORE INSERT ON flights WHEN NEW.seq = 60000
         BEGIN SELECT RAISE(ABORT, 'no'); END; COMMIT",
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("NOT STORED: 1 row, the first:\n  row 60000: trigger"), "{stderr}");
    assert!(stderr.contains("CHECK FAILED: "), "{stderr}");
    let result = json(&output);
    assert_eq!(result["rows_failed"], 1);
    assert!(result["first_failure"].as_str().unwrap().starts_with("row 60000: trigger"));
    assert_eq!(result["speedup_over_single"], Value::Null);
}

/// The lines of a child's stderr, as they come; the channel ends with them.
fn lines_of(stderr: std::process::ChildStderr) -> std::sync::mpsc::Receiver<String> {
    let (said, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            if said.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    lines
}

#[test]
fn a_writer_that_holds_the_file_for_a_while_is_waited_for() {
    let place = Place::new();
    place.input(&sample(60_000));
    let arguments =
        ["--json", "--check", "--no-compare", "--sizing", "single", "--durability", "off"];
    let mut child =
        place.flights(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = lines_of(child.stderr.take().unwrap());
    let db = held(&place.db());
    let stored = || -> i64 {
        place.open().query_row("SELECT count(*) FROM flights", [], |row| row.get(0)).unwrap()
    };
    let before = stored();
    // As long as the file is held, the program ends neither well nor badly: no end of its lines.
    let within = std::time::Duration::from_millis(300);
    while let Ok(line) = lines.recv_timeout(within) {
        assert!(!line.contains("NOT STORED"), "{line}");
    }
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    assert_eq!(stored(), before);
    assert!(before < 60_000);
    db.execute_batch("ROLLBACK").unwrap();
    drop(db);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let result = json(&output);
    assert_eq!((&result["rows_stored"], &result["rows_failed"]), (&60_000.into(), &0.into()));
    assert_eq!(result["check_differences"], 0);
}

#[cfg(unix)]
fn press(child: &std::process::Child) {
    let pressed = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(pressed.success());
}

/// Makes `in.csv` a pipe, which the program reads until the test has written it.
#[cfg(unix)]
fn pipe(place: &Place) {
    let _ = fs::remove_file(place.path("in.csv"));
    assert!(Command::new("mkfifo").arg(place.path("in.csv")).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn an_interrupt_while_the_input_is_read_touches_nothing() {
    let place = Place::new();
    place.input(&sample(300));
    run(&mut place.flights(&["--quiet", "--no-compare"]), 0);
    let before = fs::read(place.db()).unwrap();
    pipe(&place);
    let mut child = place
        .flights(&["--overwrite", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(child.stderr.take().unwrap());
    let mut input = fs::OpenOptions::new().write(true).open(place.path("in.csv")).unwrap();
    input.write_all(sample(100).as_bytes()).unwrap();
    press(&child);
    assert!(lines.iter().any(|line| line.starts_with("interrupted: ")));
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(text(&output.stdout), "");
    assert!(lines.iter().any(|line| line.contains("nothing was touched")));
    assert_eq!(fs::read(place.db()).unwrap(), before);
}

#[test]
#[cfg(unix)]
fn a_comparison_that_fails_leaves_the_run_and_its_report() {
    let place = Place::new();
    pipe(&place);
    let child = place
        .flights(&["--json", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Somebody's file is where the comparison wants its own.
    let own = place.path(&format!("flights.db.{}-compare", child.id()));
    fs::write(&own, "precious").unwrap();
    fs::write(place.path("in.csv"), sample(500)).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("comparison failed: "));
    let result = json(&output);
    assert_eq!(result["rows_stored"], 500);
    assert_eq!(result["speedup_over_single"], Value::Null);
    assert!(result["comparison_failed"].as_str().unwrap().contains("it was not touched"));
    assert_eq!(fs::read(own).unwrap(), b"precious");
}

#[test]
#[cfg(unix)]
fn a_second_interrupt_takes_the_files_of_the_comparison_along() {
    let place = Place::new();
    place.input(&sample(20_000));
    let mut child = place
        .flights(&["--json", "--compare-seconds", "120"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(child.stderr.take().unwrap());
    assert!(lines.iter().any(|line| line.contains("pair 1 of")));
    // With the file held, the replay can't end by the first press.
    let own = place.path(&format!("flights.db.{}-compare", child.id()));
    let db = held(&own);
    press(&child);
    assert!(lines.iter().any(|line| line.starts_with("interrupted: ")));
    press(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(place.names(), ["flights.db", "in.csv"]);
    drop(db);
}

/// Runs single rows until `line` was said, then presses Ctrl-C.
#[cfg(unix)]
fn interrupted_after(place: &Place, line: &str, arguments: &[&str]) -> (Output, String) {
    let mut child =
        place.flights(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(line) {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended too soon: {said}");
    }
    let pressed = Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap();
    assert!(pressed.success());
    let rest = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap());
    let output = child.wait_with_output().unwrap();
    said.push_str(&rest.join().unwrap());
    (output, said)
}

#[test]
#[cfg(unix)]
fn an_interrupt_stores_what_was_taken_and_reports_it() {
    let place = Place::new();
    place.input(&sample(120_000));
    let arguments = ["--json", "--check", "--sizing", "single"];
    let (output, said) = interrupted_after(&place, "storing 120,000 rows", &arguments);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted: storing what was taken"), "{said}");
    assert!(said.contains("check left out: interrupted"), "{said}");
    let result = json(&output);
    assert_eq!(result["interrupted"], true);
    assert_eq!(result["speedup_over_single"], Value::Null);
    let accepted = result["rows_accepted"].as_u64().unwrap();
    assert!(accepted < 120_000);
    assert_eq!(result["rows_stored"], accepted);
    let db = place.open();
    let wrong: i64 = db
        .query_row(
            "SELECT count(*) FROM carriers c WHERE c.flights <>
                 (SELECT count(*) FROM flights f WHERE f.carrier = c.carrier)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(wrong, 0);
}

#[test]
#[cfg(unix)]
fn an_interrupt_during_the_comparison_leaves_nothing_behind() {
    let place = Place::new();
    place.input(&sample(3_000));
    let arguments = ["--json", "--compare-seconds", "60"];
    let (output, said) = interrupted_after(&place, "comparing with", &arguments);
    assert_eq!(output.status.code(), Some(130), "{said}");
    let result = json(&output);
    assert_eq!(result["rows_stored"], 3_000);
    assert_eq!(result["interrupted"], true);
    assert_eq!(result["speedup_over_single"], Value::Null);
    assert_eq!(place.names(), ["flights.db", "in.csv"]);
}
