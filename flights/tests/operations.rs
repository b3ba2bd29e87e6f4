//! The built program where rows are refused, and in the order of aircraft.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use rusqlite::Connection;
use serde_json::Value;

const HEADER: &str =
    "month,day,sched_dep_time,dep_delay,arr_delay,carrier,flight,tailnum,origin,dest,distance";

/// A folder with an input, and places for a database and dead letters.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// With `count` rows of which those whose numbers are in `refused` fly to where they are.
    fn new(count: usize, refused: &[usize]) -> Self {
        let mut text = format!("{HEADER}\n");
        for row in 1..=count {
            let carrier = ["UA", "AA", "B6"][row * 7 % 3];
            let tail = if row % 13 == 0 { String::new() } else { format!("N{}", row * 5 % 40) };
            let dest = if refused.contains(&row) { "JFK" } else { "BOS" };
            writeln!(text, "1,2,{},1,{},{carrier},7,{tail},JFK,{dest},100", row % 60, row % 50)
                .unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("in.csv"), text).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_flights"))
            .args(["--quiet", "--json", "--check", "--no-compare", "--durability", "off"])
            .arg("--input")
            .arg(self.path("in.csv"))
            .arg("--db")
            .arg(self.path("flights.db"))
            .args(arguments)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        output
    }

    /// The same with a place for dead letters.
    #[track_caller]
    fn run_with_letters(&self, arguments: &[&str], code: i32) -> Value {
        let letters = self.path("dead.jsonl");
        let mut all = vec!["--dead-letters", letters.to_str().unwrap()];
        all.extend(arguments);
        serde_json::from_slice(&self.run(&all, code).stdout).unwrap()
    }

    fn letters(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("dead.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_refused_row_is_a_dead_letter_and_all_others_are_stored() {
    for sizing in ["single", "fixed:50", "tiers"] {
        let place = Place::new(300, &[5, 17]);
        let result = place.run_with_letters(&["--sizing", sizing, "--attempts", "3"], 1);
        assert_eq!((&result["rows_stored"], &result["rows_failed"]), (&298.into(), &2.into()));
        assert_eq!((&result["dead_letters"], &result["retries"]), (&2.into(), &0.into()));
        assert_eq!(result["check_differences"], 0);
        let mut letters = place.letters();
        letters.sort_by_key(|letter| letter["row"]["seq"].as_i64());
        let seqs: Vec<_> = letters.iter().map(|letter| letter["row"]["seq"].clone()).collect();
        assert_eq!(seqs, [5, 17]);
        assert_ne!(letters[0]["id"], letters[1]["id"]);
        for letter in &letters {
            assert_eq!(letter["error"], "check constraint failed: goes_elsewhere");
            assert_eq!((&letter["attempts"], &letter["table"]), (&1.into(), &"flights".into()));
            assert_eq!(letter["id"].as_str().unwrap().split('-').count(), 4, "{letter}");
            assert_eq!(letter["row"]["dest"], "JFK");
            assert_eq!(letter["row"]["distance"], 100);
        }
    }
}

#[test]
fn a_refused_row_is_refused_without_a_place_for_it_too() {
    let place = Place::new(300, &[5]);
    let result: Value = serde_json::from_slice(&place.run(&[], 1).stdout).unwrap();
    assert_eq!((&result["rows_stored"], &result["rows_failed"]), (&299.into(), &1.into()));
    assert_eq!((&result["check_differences"], &result["dead_letters"]), (&0.into(), &Value::Null));
}

#[test]
fn in_the_order_of_aircraft_the_update_of_a_refused_row_is_refused_with_it() {
    // Row 13 has no aircraft, and so no update.
    let place = Place::new(300, &[5, 13]);
    let result = place.run_with_letters(&["--order", "aircraft"], 1);
    assert_eq!((&result["rows_failed"], &result["updates_failed"]), (&2.into(), &1.into()));
    assert_eq!((&result["dead_letters"], &result["check_differences"]), (&3.into(), &0.into()));
    let letters = place.letters();
    let of_row_5: Vec<_> = letters
        .iter()
        .filter(|letter| letter["row"]["seq"] == 5)
        .map(|letter| (letter["table"].as_str().unwrap(), letter["error"].as_str().unwrap()))
        .collect();
    let refused = "refused: its flight is not stored";
    let expected = [("flights", "check constraint failed: goes_elsewhere"), ("aircraft", refused)];
    assert_eq!(of_row_5, expected);
}

#[test]
fn every_aircraft_stays_in_order_whatever_the_sizing_and_the_threads() {
    for arguments in [
        &["--sizing", "single"][..],
        &["--sizing", "fixed:7"],
        &["--sizing", "tiers", "--producers", "1"],
        &["--sizing", "tiers", "--producers", "3", "--shards", "2"],
    ] {
        let place = Place::new(2_000, &[]);
        let mut all = vec!["--order", "aircraft"];
        all.extend(arguments);
        let result: Value = serde_json::from_slice(&place.run(&all, 0).stdout).unwrap();
        assert_eq!(result["check_differences"], 0, "{arguments:?}");
        assert_eq!((&result["out_of_order"], &result["order"]), (&0.into(), &"aircraft".into()));
        assert_eq!(result["rows_accepted"], 2_000);
        let saved = result["calls_flushing_at_conflicts"].as_i64().unwrap()
            - result["batches"].as_i64().unwrap();
        assert_eq!(result["calls_saved"], saved);
        // Two rows of an aircraft may not share a call with an update between them.
        let db = Connection::open(place.path("flights.db")).unwrap();
        let wrong: i64 = db
            .query_row(
                "SELECT count(*) FROM (SELECT leg, row_number() OVER
                     (PARTITION BY tailnum ORDER BY seq) AS place FROM flights
                     WHERE tailnum IS NOT NULL) WHERE leg <> place",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(wrong, 0);
    }
}

#[test]
fn dead_letters_replace_those_of_an_earlier_run_only_when_told_and_nothing_else_ever() {
    let place = Place::new(50, &[5]);
    place.run_with_letters(&[], 1);
    let letters = place.path("dead.jsonl");
    let before = fs::read(&letters).unwrap();
    let database = fs::read(place.path("flights.db")).unwrap();
    let arguments = ["--dead-letters", letters.to_str().unwrap()];
    let stderr = place.run(&arguments, 2).stderr;
    assert!(String::from_utf8_lossy(&stderr).contains("--overwrite"));
    assert_eq!(fs::read(&letters).unwrap(), before);
    place.run_with_letters(&["--overwrite"], 1);
    assert_eq!(place.letters().len(), 1);
    fs::write(&letters, "Dear diary\n").unwrap();
    place.run(&[&arguments[..], &["--overwrite"]].concat(), 2);
    assert_eq!(fs::read(&letters).unwrap(), b"Dear diary\n");
    assert_eq!(fs::read(place.path("flights.db")).unwrap().len(), database.len());
    let db = place.path("flights.db");
    place.run(&["--overwrite", "--dead-letters", db.to_str().unwrap()], 2);
    // Nor does the database go where they can't be written.
    let nowhere = place.path("no/such/folder/dead.jsonl");
    place.run(&["--overwrite", "--dead-letters", nowhere.to_str().unwrap()], 3);
    assert_eq!(fs::read(&db).unwrap().len(), database.len());
    // Nor is a file made for letters where the database must stay.
    let fresh = place.path("fresh.jsonl");
    place.run(&["--dead-letters", fresh.to_str().unwrap()], 2);
    assert!(!fresh.exists());
}

#[test]
fn the_new_options_are_checked_and_explained() {
    for (arguments, named) in [
        (&["--order", "tailnum"][..], "carrier or aircraft"),
        (&["--attempts", "0"], "--attempts"),
        (&["--help"], "--dead-letters"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_flights")).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(String::from_utf8_lossy(&said).contains(named), "{arguments:?}");
    }
}
