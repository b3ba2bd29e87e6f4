//! The result as one JSON object.

use std::collections::BTreeMap;

use engine::Trigger;
use serde::Serialize;

use super::Report;
use crate::compare::Comparison;
use crate::options::sizing_name;

/// The JSON object. Times end in their unit; what was not measured is null.
#[derive(Debug, Serialize)]
struct Json<'a> {
    rows_accepted: u64,
    rows_stored: u64,
    rows_failed: u64,
    updates_failed: u64,
    retries: u64,
    dead_letters: Option<u64>,
    dead_letters_file: Option<&'a str>,
    first_failure: Option<String>,
    rows_skipped: u64,
    carriers: u64,
    aircraft: u64,
    out_of_order: u64,
    elapsed_s: f64,
    rows_per_s: f64,
    speedup_over_single: Option<f64>,
    speedup_lower_quartile: Option<f64>,
    speedup_upper_quartile: Option<f64>,
    predicted_speedup: Option<f64>,
    compared_rows: Option<usize>,
    compared_pairs: Option<usize>,
    compared_mean_batch: Option<f64>,
    predicted_speedup_of_run: Option<f64>,
    comparison_failed: Option<&'a str>,
    formation_p50_ns: u64,
    formation_p99_ns: u64,
    lateness_p50_ns: u64,
    lateness_p99_ns: u64,
    lateness_max_ns: u64,
    age_p50_ns: u64,
    age_p99_ns: u64,
    order: &'static str,
    calls_flushing_at_conflicts: Option<u64>,
    calls_saved: Option<i64>,
    batches: u64,
    mean_batch: f64,
    largest_batch: u64,
    triggers: BTreeMap<&'static str, u64>,
    call_ns: Option<f64>,
    item_ns: Option<f64>,
    sizing: String,
    shards: usize,
    producers: usize,
    flush_after_ns: u64,
    durability: &'static str,
    input: &'a str,
    db: &'a str,
    check_differences: Option<u64>,
    interrupted: bool,
}

impl Report<'_> {
    /// One object, on one line.
    pub(crate) fn json(&self) -> String {
        let snapshot = self.snapshot();
        let comparison = self.comparison.as_ref();
        let json = Json {
            rows_accepted: self.outcome.pushed,
            rows_stored: self.counts.flights,
            rows_failed: (snapshot.failed + snapshot.dead)
                .saturating_sub(self.outcome.failures.updates),
            updates_failed: self.outcome.failures.updates,
            retries: snapshot.retries,
            dead_letters: self.letters.as_ref().map(|_| self.outcome.failures.letters),
            dead_letters_file: self.letters.as_deref(),
            first_failure: self
                .outcome
                .failures
                .first
                .first()
                .map(|(seq, error)| format!("row {seq}: {error}")),
            rows_skipped: self.skipped,
            carriers: self.counts.carriers,
            aircraft: self.counts.aircraft,
            out_of_order: self.outcome.out_of_order,
            elapsed_s: self.outcome.elapsed.as_secs_f64(),
            rows_per_s: self.rows_per_s(),
            speedup_over_single: comparison.map(Comparison::speedup),
            speedup_lower_quartile: comparison.map(|found| found.quartiles().0),
            speedup_upper_quartile: comparison.map(|found| found.quartiles().1),
            predicted_speedup: comparison.and_then(|found| found.predicted),
            compared_rows: comparison.map(|found| found.rows),
            compared_pairs: comparison.map(|found| found.ratios.len()),
            compared_mean_batch: comparison.map(|found| found.mean_batch),
            predicted_speedup_of_run: self.predicted_of_run(),
            comparison_failed: self.comparison_failed.as_deref(),
            formation_p50_ns: snapshot.formation.value_at_quantile(0.5),
            formation_p99_ns: snapshot.formation.value_at_quantile(0.99),
            lateness_p50_ns: snapshot.lateness.value_at_quantile(0.5),
            lateness_p99_ns: snapshot.lateness.value_at_quantile(0.99),
            lateness_max_ns: snapshot.lateness.max(),
            age_p50_ns: snapshot.age.value_at_quantile(0.5),
            age_p99_ns: snapshot.age.value_at_quantile(0.99),
            order: self.settings.order.name(),
            calls_flushing_at_conflicts: self.calls_flushing,
            calls_saved: self.calls_saved(),
            batches: snapshot.batches,
            mean_batch: snapshot.mean_batch(),
            largest_batch: snapshot.batch_items.max(),
            triggers: Trigger::ALL
                .into_iter()
                .map(|trigger| (trigger.name(), snapshot.triggers[trigger.index()]))
                .collect(),
            call_ns: self.cost().map(|cost| cost.call_ns),
            item_ns: self.cost().map(|cost| cost.item_ns),
            sizing: sizing_name(&self.settings.sizing),
            shards: self.settings.shards,
            producers: self.settings.producers,
            flush_after_ns: u64::try_from(self.settings.flush_after.as_nanos()).unwrap_or(u64::MAX),
            durability: self.settings.durability.name(),
            input: self.input,
            db: &self.db,
            check_differences: self.check.as_ref().map(|differences| differences.count),
            interrupted: self.interrupted,
        };
        serde_json::to_string(&json).expect("its keys are strings and its numbers finite")
    }
}
