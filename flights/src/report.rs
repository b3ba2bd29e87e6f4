//! The result: as one JSON object, and as a page for people.

use std::collections::BTreeMap;
use std::fmt;

use engine::{Cost, Sizing, Snapshot, Trigger};
use serde::Serialize;
use sinks::sqlite::Durability;

use crate::check::Differences;
use crate::compare::Comparison;
use crate::figures::{bar, counted, grouped, time};
use crate::job::{Outcome, Settings};
use crate::options::sizing_name;
use crate::tables::Counts;

/// At full durability batches must be this many times faster.
pub(crate) const PROMISED_SPEEDUP: f64 = 5.0;

/// Everything there is to report.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// The input's name.
    pub input: &'a str,
    /// The database's path.
    pub db: String,
    /// Malformed rows that were skipped.
    pub skipped: u64,
    /// How it was run.
    pub settings: &'a Settings,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// Ctrl-C came, at whatever time.
    pub interrupted: bool,
    /// What the tables hold.
    pub counts: Counts,
    /// What the check found, if there was one.
    pub check: Option<Differences>,
    /// There was to be a check, and Ctrl-C came before it.
    pub check_left_out: bool,
    /// What batching gained, if that was measured.
    pub comparison: Option<Comparison>,
    /// Why it could not be measured, if that failed.
    pub comparison_failed: Option<String>,
}

/// The JSON object. Times end in their unit; what was not measured is null.
#[derive(Debug, Serialize)]
struct Json<'a> {
    rows_accepted: u64,
    rows_stored: u64,
    rows_failed: u64,
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
    fn snapshot(&self) -> &Snapshot {
        &self.outcome.snapshot
    }

    fn rows_per_s(&self) -> f64 {
        let seconds = self.outcome.elapsed.as_secs_f64();
        if seconds > 0.0 { self.counts.flights as f64 / seconds } else { 0.0 }
    }

    fn cost(&self) -> Option<Cost> {
        self.outcome.cost_alone(self.settings)
    }

    /// How many times faster the whole run's costs say that its own batches are; only beside a
    /// measurement. Those batches are other ones than the compared rows', so this is not to be held
    /// against what was measured.
    fn predicted_of_run(&self) -> Option<f64> {
        self.comparison.as_ref()?;
        Some(self.cost()?.speedup(self.snapshot().mean_batch()))
    }

    /// `true` where batches gained less than is promised.
    pub(crate) fn broke_promise(&self) -> bool {
        self.settings.durability == Durability::Full
            && self.comparison.as_ref().is_some_and(|found| found.speedup() < PROMISED_SPEEDUP)
    }

    /// One object, on one line.
    pub(crate) fn json(&self) -> String {
        let snapshot = self.snapshot();
        let comparison = self.comparison.as_ref();
        let json = Json {
            rows_accepted: snapshot.accepted,
            rows_stored: self.counts.flights,
            rows_failed: snapshot.failed + snapshot.dead,
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

    fn show_batches(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        if snapshot.batches == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "\nBatches: {} of {:.1} rows on average; the largest had {}",
            counted(snapshot.batches, "transaction"),
            snapshot.mean_batch(),
            grouped(snapshot.batch_items.max())
        )?;
        let sizes = distribution(snapshot);
        let most = sizes.iter().map(|size| size.batches).max().unwrap_or(1).max(1);
        writeln!(f, "          rows   batches")?;
        for Size { name, batches } in &sizes {
            let share = *batches as f64 / most as f64;
            writeln!(f, "  {name:>12} {:>9}  {}", grouped(*batches), bar(share, 32))?;
        }
        write!(f, "  handed over for:")?;
        let mut separator = " ";
        for trigger in Trigger::ALL {
            let times = snapshot.triggers[trigger.index()];
            if times > 0 {
                write!(f, "{separator}{} {}", trigger.name(), grouped(times))?;
                separator = ", ";
            }
        }
        writeln!(f)
    }

    fn show_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        if snapshot.batches == 0 {
            return Ok(());
        }
        writeln!(f, "\nTimes, per batch                     p50        p99        max")?;
        let deadline = time(self.settings.flush_after.as_nanos() as f64);
        let rows = [
            ("forming it (the engine's work)".to_owned(), &snapshot.formation),
            ("its transaction (SQLite, the disk)".to_owned(), &snapshot.execution),
            (format!("late, past {deadline} from a push"), &snapshot.lateness),
            ("age of its oldest row".to_owned(), &snapshot.age),
        ];
        for (name, times) in rows {
            let at = |quantile| time(times.value_at_quantile(quantile) as f64);
            let most = time(times.max() as f64);
            writeln!(f, "  {name:<34}{:>10} {:>10} {most:>10}", at(0.5), at(0.99))?;
        }
        if let Some(cost) = self.cost() {
            writeln!(
                f,
                "  A transaction costs {} and {} a row, fitted from this run's batch sizes.",
                time(cost.call_ns),
                time(cost.item_ns)
            )?;
        }
        Ok(())
    }

    fn show_comparison(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.comparison_failed {
            return writeln!(f, "\ncomparison failed: {why}");
        }
        let Some(found) = &self.comparison else { return Ok(()) };
        let (low, high) = found.quartiles();
        writeln!(
            f,
            "\nAgainst one transaction a row, on the first {} ({} in turns, fresh files):",
            counted(found.rows as u64, "row"),
            counted(found.ratios.len() as u64, "pair")
        )?;
        writeln!(f, "  single   {:>9} rows/s", grouped(found.single_rows_per_s as u64))?;
        writeln!(
            f,
            "  batched  {:>9} rows/s   {:.1} times as fast (quartiles {low:.1} to {high:.1})",
            grouped(found.batched_rows_per_s as u64),
            found.speedup()
        )?;
        if let Some(predicted) = found.predicted {
            writeln!(
                f,
                "  Predicted from the batched side's costs alone: {predicted:.1} times, for its batches of \
                 {:.1} rows.",
                found.mean_batch
            )?;
        }
        if let Some(predicted) = self.predicted_of_run() {
            writeln!(
                f,
                "  The whole run, with batches of {:.1} rows, is predicted {predicted:.1} times as fast.",
                self.snapshot().mean_batch()
            )?;
        }
        if self.broke_promise() {
            writeln!(
                f,
                "  LESS THAN PROMISED: at full durability batches should be {PROMISED_SPEEDUP} times as fast"
            )?;
        }
        Ok(())
    }

    fn show_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = &self.outcome.failures;
        if failures.count > 0 {
            writeln!(f, "\nNOT STORED: {}, the first:", counted(failures.count, "row"))?;
            for (seq, error) in &failures.first {
                writeln!(f, "  row {seq}: {error}")?;
            }
        }
        if let Some(differences) = &self.check {
            show_check(f, differences)?;
        }
        if self.check_left_out {
            writeln!(f, "\ncheck left out: interrupted")?;
        }
        Ok(())
    }

    /// What went wrong, as people read it, if something did.
    pub(crate) fn troubles(&self) -> Option<Troubles<'_>> {
        let differs = self.check.as_ref().is_some_and(|differences| differences.count > 0);
        let any = self.outcome.failures.count > 0 || differs || self.check_left_out;
        any.then_some(Troubles(self))
    }
}

/// The part of a report that says what went wrong.
#[derive(Debug)]
pub(crate) struct Troubles<'r>(&'r Report<'r>);

impl fmt::Display for Troubles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show_failures(f)
    }
}

fn show_check(f: &mut fmt::Formatter<'_>, differences: &Differences) -> fmt::Result {
    let compared = grouped(differences.compared);
    match differences.count {
        0 => writeln!(f, "\nCheck: {compared} rows of three tables equal those of a plain loop"),
        count => {
            writeln!(f, "\nCHECK FAILED: {} of {compared} rows differ", grouped(count))?;
            for difference in &differences.first {
                writeln!(f, "  {difference}")?;
            }
            match count - differences.first.len() as u64 {
                0 => Ok(()),
                more => writeln!(f, "  … and {} more", grouped(more)),
            }
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { sizing, shards, producers, flush_after, durability } = self.settings;
        if self.outcome.interrupted {
            writeln!(f, "Interrupted: what had been taken was stored.")?;
        } else if self.interrupted {
            writeln!(f, "Interrupted when all was stored: the comparison was left out.")?;
        }
        writeln!(
            f,
            "{} stored in {}: {} rows/s",
            counted(self.counts.flights, "flight"),
            time(self.outcome.elapsed.as_nanos() as f64),
            grouped(self.rows_per_s() as u64)
        )?;
        writeln!(
            f,
            "  {}, {} aircraft, {} out of order",
            counted(self.counts.carriers, "carrier"),
            grouped(self.counts.aircraft),
            counted(self.outcome.out_of_order, "row")
        )?;
        writeln!(f, "  from {}{}", self.input, skipped(self.skipped))?;
        writeln!(f, "  into {}", self.db)?;
        writeln!(f, "  durability {}: {}", durability.name(), waits_for(*durability))?;
        writeln!(
            f,
            "  {}, {}, sizing {}, flushed after {}",
            counted(*producers as u64, "producer"),
            counted(*shards as u64, "shard"),
            sizing_name(sizing),
            time(flush_after.as_nanos() as f64)
        )?;
        self.show_batches(f)?;
        self.show_times(f)?;
        self.show_comparison(f)?;
        self.show_failures(f)
    }
}

fn skipped(rows: u64) -> String {
    if rows == 0 { String::new() } else { format!(", {} skipped", counted(rows, "malformed row")) }
}

fn waits_for(durability: Durability) -> &'static str {
    match durability {
        Durability::Full => "every commit waited for the disk",
        Durability::Normal => "commits did not wait for the disk, checkpoints did",
        Durability::Off => "nothing waited for the disk",
    }
}

/// A range of batch sizes.
struct Size {
    name: String,
    batches: u64,
}

/// Batches by their size, in ranges that the default targets (10, 50, 200) end; those without a batch
/// at either end are left out.
fn distribution(snapshot: &Snapshot) -> Vec<Size> {
    const STARTS: [u64; 10] = [1, 2, 10, 11, 50, 51, 100, 200, 201, 1_000];
    let mut sizes: Vec<_> = STARTS
        .iter()
        .enumerate()
        .map(|(at, &start)| {
            let name = match STARTS.get(at + 1) {
                Some(&next) if next == start + 1 => start.to_string(),
                Some(next) => format!("{start} – {}", next - 1),
                None => format!("{} or more", grouped(start)),
            };
            Size { name, batches: 0 }
        })
        .collect();
    for value in snapshot.batch_items.iter_recorded() {
        let size = value.value_iterated_to();
        let range = STARTS.partition_point(|&start| start <= size).max(1) - 1;
        sizes[range].batches += value.count_at_value();
    }
    let used = |size: &Size| size.batches > 0;
    let first = sizes.iter().position(used).unwrap_or(0);
    let last = sizes.iter().rposition(used).unwrap_or(0);
    sizes.drain(first..=last).collect()
}

/// A sizing that has nothing to be compared with.
pub(crate) fn is_single(sizing: &Sizing) -> bool {
    matches!(sizing, Sizing::Single | Sizing::Fixed(1))
}

#[cfg(test)]
mod tests;
