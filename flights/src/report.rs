//! The result: as one JSON object, and as a page for people.

mod json;

use std::fmt;

use engine::{Cost, Sizing, Snapshot, Trigger};
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
    /// Calls that flushing at every conflict would have taken, in the order of aircraft.
    pub calls_flushing: Option<u64>,
    /// The file of dead letters.
    pub letters: Option<String>,
    /// What the check found, if there was one.
    pub check: Option<Differences>,
    /// There was to be a check, and Ctrl-C came before it.
    pub check_left_out: bool,
    /// What batching gained, if that was measured.
    pub comparison: Option<Comparison>,
    /// Why it could not be measured, if that failed.
    pub comparison_failed: Option<String>,
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

    /// Calls that order by aircraft cost less than with a flush at every conflict.
    fn calls_saved(&self) -> Option<i64> {
        self.calls_flushing.map(|calls| calls as i64 - self.snapshot().batches as i64)
    }

    /// `true` where batches gained less than is promised.
    pub(crate) fn broke_promise(&self) -> bool {
        self.settings.durability == Durability::Full
            && self.comparison.as_ref().is_some_and(|found| found.speedup() < PROMISED_SPEEDUP)
    }

    fn show_batches(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        if snapshot.batches == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "\nBatches: {} of {:.1} {}s on average; the largest had {}",
            counted(snapshot.batches, "transaction"),
            snapshot.mean_batch(),
            self.settings.order.noun(),
            grouped(snapshot.batch_items.max())
        )?;
        let sizes = distribution(snapshot);
        let most = sizes.iter().map(|size| size.batches).max().unwrap_or(1).max(1);
        writeln!(f, "  {:>12}   batches", format!("{}s", self.settings.order.noun()))?;
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
        writeln!(f)?;
        if let (Some(calls), Some(saved)) = (self.calls_flushing, self.calls_saved()) {
            writeln!(
                f,
                "  Flushing at every conflict of an aircraft would take {}: {} saved.",
                counted(calls, "call"),
                if saved < 0 {
                    format!("-{}", grouped(saved.unsigned_abs()))
                } else {
                    grouped(saved as u64)
                }
            )?;
        }
        Ok(())
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
                "  A transaction costs {} and {} a {}, fitted from this run's batch sizes.",
                time(cost.call_ns),
                time(cost.item_ns),
                self.settings.order.noun()
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
            writeln!(
                f,
                "\nNOT STORED: {}, the first:",
                counted(failures.count, self.settings.order.noun())
            )?;
            for (seq, error) in &failures.first {
                writeln!(f, "  row {seq}: {error}")?;
            }
        }
        if let (Some(path), true) = (&self.letters, failures.letters > 0) {
            writeln!(f, "  {} in {path}", counted(failures.letters, "dead letter"))?;
        }
        if let Some(why) = &failures.letters_failed {
            writeln!(f, "  DEAD LETTERS LOST: {why}")?;
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
        let Settings { sizing, shards, producers, flush_after, durability, order, .. } =
            self.settings;
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
            "  {}, {}, sizing {}, flushed after {}, order by {}",
            counted(*producers as u64, "producer"),
            counted(*shards as u64, "shard"),
            sizing_name(sizing),
            time(flush_after.as_nanos() as f64),
            order.name()
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
