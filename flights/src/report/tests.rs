use std::sync::Arc;
use std::time::Duration;

use engine::Tiers;
use serde_json::Value;
use sinks::{Cause, SinkError};

use super::*;
use crate::change::Order;
use crate::flight::Names;
use crate::job::{self, Stop};

/// A run of no rows, whose figures the tests then set.
struct Run {
    settings: Settings,
    outcome: Outcome,
}

impl Run {
    fn new(durability: Durability) -> Self {
        let settings = Settings {
            sizing: Sizing::Tiers(Tiers::default()),
            shards: 1,
            producers: 2,
            flush_after: Duration::from_millis(10),
            durability,
            order: Order::Carrier,
            attempts: 1,
            dead_letters: false,
        };
        let folder = tempfile::tempdir().unwrap();
        let names = Arc::new(Names::default());
        let db = folder.path().join("x.db");
        let stop = Stop::default();
        let outcome = job::run(&[], &names, &db, &settings, None, &stop, &mut |_| {}).unwrap();
        assert_eq!(outcome.elapsed, Duration::ZERO, "nothing was committed");
        Self { settings, outcome }
    }

    fn report(&self, comparison: Option<Comparison>) -> Report<'_> {
        Report {
            input: "in.csv",
            db: "x.db".into(),
            skipped: 0,
            settings: &self.settings,
            outcome: &self.outcome,
            interrupted: false,
            counts: Counts { flights: 3_000, carriers: 1, aircraft: 2 },
            calls_flushing: None,
            letters: None,
            check: None,
            check_left_out: false,
            comparison,
            comparison_failed: None,
        }
    }
}

/// Batches were `speedup` times as fast, and were predicted to be 9.5 times.
fn found(speedup: f64) -> Comparison {
    Comparison {
        rows: 100,
        ratios: vec![speedup - 0.5, speedup, speedup + 0.5],
        single_rows_per_s: 1_000.0,
        batched_rows_per_s: 1_000.0 * speedup,
        mean_batch: 42.0,
        predicted: Some(9.5),
    }
}

fn json(report: &Report<'_>) -> Value {
    serde_json::from_str(&report.json()).unwrap()
}

#[test]
fn the_promise_is_broken_below_it_and_at_full_durability_alone() {
    let full = Run::new(Durability::Full);
    for (speedup, broken) in [(4.9, true), (PROMISED_SPEEDUP, false), (50.0, false)] {
        let report = full.report(Some(found(speedup)));
        assert_eq!(report.broke_promise(), broken, "{speedup}");
        assert_eq!(report.to_string().contains("LESS THAN PROMISED"), broken, "{speedup}");
    }
    assert!(!full.report(None).broke_promise(), "nothing was measured");
    assert!(!Run::new(Durability::Off).report(Some(found(1.0))).broke_promise());
}

#[test]
fn rows_a_second_follow_from_the_time_to_the_last_commit() {
    let mut run = Run::new(Durability::Off);
    assert_eq!(json(&run.report(None))["rows_per_s"], 0.0);
    run.outcome.elapsed = Duration::from_millis(1_500);
    let report = run.report(None);
    assert_eq!(json(&report)["rows_per_s"], 2_000.0);
    assert_eq!(json(&report)["elapsed_s"], 1.5);
    assert!(report.to_string().starts_with("3,000 flights stored in 1.50 s: 2,000 rows/s"));
}

#[test]
fn what_is_predicted_stands_beside_what_was_measured_of_the_same_rows() {
    let run = Run::new(Durability::Full);
    let report = run.report(Some(found(10.0)));
    let object = json(&report);
    assert_eq!(object["speedup_over_single"], 10.0);
    assert_eq!(object["predicted_speedup"], 9.5);
    assert_eq!(object["predicted_speedup_of_run"], Value::Null, "it had no batches");
    assert_eq!(object["speedup_lower_quartile"], 9.75);
    assert!(
        report.to_string().contains("Predicted from the batched side's costs alone: 9.5 times")
    );
}

#[test]
fn the_distribution_counts_every_batch_once_in_its_range() {
    let mut run = Run::new(Durability::Off);
    let sizes = &mut run.outcome.snapshot.batch_items;
    for (size, batches) in [(2, 3), (9, 1), (10, 4), (11, 5), (200, 7), (201, 1), (999, 1)] {
        sizes.record_n(size, batches).unwrap();
    }
    let ranges: Vec<_> = distribution(&run.outcome.snapshot)
        .into_iter()
        .map(|size| (size.name, size.batches))
        .collect();
    let ranges: Vec<_> = ranges.iter().map(|(name, batches)| (name.as_str(), *batches)).collect();
    assert_eq!(
        ranges,
        [
            ("2 – 9", 4),
            ("10", 4),
            ("11 – 49", 5),
            ("50", 0),
            ("51 – 99", 0),
            ("100 – 199", 0),
            ("200", 7),
            ("201 – 999", 2)
        ]
    );
}

#[test]
fn one_is_written_in_the_singular() {
    let mut run = Run::new(Durability::Off);
    run.outcome.snapshot.batches = 1;
    let mut report = run.report(None);
    report.counts.flights = 1;
    let text = report.to_string();
    assert!(text.starts_with("1 flight stored"), "{text}");
    assert!(text.contains("Batches: 1 transaction of"), "{text}");
    assert!(text.contains("  1 carrier, 2 aircraft, 0 rows out of order"), "{text}");
}

#[test]
fn troubles_are_told_apart_from_the_rest() {
    let mut run = Run::new(Durability::Off);
    assert!(run.report(None).troubles().is_none());
    run.outcome.failures.count = 2;
    run.outcome.failures.first = vec![(7, SinkError::Final(Cause::TooLarge))];
    let report = run.report(None);
    let text = report.troubles().unwrap().to_string();
    assert_eq!(text.trim(), "NOT STORED: 2 rows, the first:\n  row 7: the row is too large");
    assert_eq!(json(&report)["first_failure"], "row 7: the row is too large");

    run.outcome.failures = Default::default();
    let mut report = run.report(None);
    assert_eq!(json(&report)["first_failure"], Value::Null);
    report.check = Some(Differences { count: 1, first: vec!["here".into()], compared: 9 });
    assert!(report.troubles().unwrap().to_string().contains("CHECK FAILED: 1 of 9 rows differ"));
    report.check = Some(Differences { count: 0, first: Vec::new(), compared: 9 });
    assert!(report.troubles().is_none());
    report.check = None;
    report.check_left_out = true;
    assert_eq!(report.troubles().unwrap().to_string().trim(), "check left out: interrupted");
}

#[test]
fn a_comparison_that_failed_says_why_in_both_forms() {
    let run = Run::new(Durability::Full);
    let mut report = run.report(None);
    report.comparison_failed = Some("no room".into());
    assert!(report.to_string().contains("comparison failed: no room"));
    assert_eq!(json(&report)["comparison_failed"], "no room");
    assert_eq!(json(&report)["speedup_over_single"], Value::Null);
}
