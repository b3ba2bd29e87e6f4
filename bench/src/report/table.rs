//! The results as text: a line for each cell, as it finishes.

use hdrhistogram::Histogram;

use super::scale::{in_unit, time};
use super::{Counts, Failed, Results, Stored, Verdict, pairs};
use crate::cell::Cell;
use crate::contest::Outcome;
use crate::machine::Machine;
use crate::run::Detail;

/// How wide the columns are, and what the cells of a workload have in common.
pub(crate) struct Table {
    cell: usize,
    contenders: usize,
    workloads: Vec<(&'static str, Vec<String>)>,
}

/// Of what belongs to the line above.
const INDENT: &str = "  ";
/// Of a figure with its unit.
const FIGURE_WIDTH: usize = 9;
/// Of a median with its quartiles.
const RATIO_WIDTH: usize = 20;

impl Table {
    /// For all of `cells`.
    pub(crate) fn for_cells(cells: &[Cell]) -> Self {
        let mut table = Self { cell: 0, contenders: "subject / peer".len(), workloads: Vec::new() };
        for cell in cells {
            if table.workloads.iter().all(|(workload, _)| *workload != cell.workload) {
                let others = cells.iter().filter(|other| other.workload == cell.workload);
                let shared = pairs::shared(others.map(|other| other.cell.as_str()));
                let shared = shared.into_iter().map(str::to_owned).collect();
                table.workloads.push((cell.workload, shared));
            }
            let contenders = contenders(cell.subject, cell.peer);
            table.contenders = table.contenders.max(contenders.chars().count());
            let head = table.title(cell.workload).chars().count();
            let rest = table.rest(cell.workload, &cell.cell).chars().count();
            table.cell = table.cell.max(head).max(rest + INDENT.len());
        }
        table
    }

    fn shared(&self, workload: &str) -> Vec<&str> {
        let found = self.workloads.iter().find(|(name, _)| *name == workload);
        found.map(|(_, shared)| shared.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    fn rest(&self, workload: &str, cell: &str) -> String {
        pairs::rest(cell, &self.shared(workload))
    }

    fn title(&self, workload: &str) -> String {
        let shared = self.shared(workload);
        if shared.is_empty() {
            return workload.to_owned();
        }
        format!("{workload}: {}", shared.join(" "))
    }

    /// What stands above the lines of a workload.
    pub(crate) fn head(&self, workload: &str) -> String {
        let Self { cell, contenders, .. } = self;
        let figures = format!("{:>FIGURE_WIDTH$}  {:>FIGURE_WIDTH$}", "subject", "peer");
        let title = self.title(workload);
        format!("\n{title:<cell$}  {:<contenders$}  {figures}  ratio\n", "subject / peer")
    }

    fn what(&self, workload: &str, cell: &str, subject: &str, peer: &str) -> String {
        let Self { cell: first, contenders: second, .. } = self;
        let cell = format!("{INDENT}{}", self.rest(workload, cell));
        format!("{cell:<first$}  {:<second$}", contenders(subject, peer))
    }

    /// A cell's line; its distributions and details, where it has them, in lines below it.
    pub(crate) fn row(&self, outcome: &Outcome, stored: Option<&Stored>) -> String {
        let Outcome { workload, cell, subject, peer, unit, .. } = outcome;
        let what = self.what(workload, cell, subject, peer);
        let [subject_ns, peer_ns] =
            [outcome.subject_ns, outcome.peer_ns].map(|figure| in_unit(figure, unit));
        let figures = format!("{subject_ns:>FIGURE_WIDTH$}  {peer_ns:>FIGURE_WIDTH$}");
        let ratio = format!("{:<RATIO_WIDTH$}", outcome.ratio.to_string());
        let mut row =
            format!("{what}  {figures}  {ratio} {:<6}", Verdict::on(outcome.ratio).word());
        if let Some(target) = target(outcome) {
            row += &format!("  {target}");
        }
        if let Some(stored) = stored {
            row += &format!("  {}", stored.beside(outcome));
        }
        row.truncate(row.trim_end().len());
        row.push('\n');
        below(&mut row, subject, &outcome.subject_latencies, &outcome.subject_details);
        below(&mut row, peer, &outcome.peer_latencies, &outcome.peer_details);
        row
    }

    /// The line of a cell without figures.
    pub(crate) fn failed(&self, failed: &Failed) -> String {
        let Failed { workload, cell, subject, peer, why, .. } = failed;
        format!("{}  FAILED: {why}\n", self.what(workload, cell, subject, peer))
    }
}

/// A line for `--list`: what `--only` is matched with, and the target behind it.
pub(crate) fn listed(cell: &Cell) -> String {
    let target = cell.target.map(|target| format!("    (target {target})")).unwrap_or_default();
    format!("{}{target}\n", cell.line())
}

fn below(row: &mut String, name: &str, latencies: &Option<Histogram<u64>>, details: &[Detail]) {
    if let Some(latencies) = latencies {
        *row += &format!("{INDENT}{INDENT}{name}: {}\n", percentiles(latencies));
    }
    for line in details.iter().flat_map(|detail| detail.text.lines()) {
        *row += &format!("{INDENT}{INDENT}{name}: {line}\n");
    }
}

fn contenders(subject: &str, peer: &str) -> String {
    format!("{subject} / {peer}")
}

/// `target >= 1.30: met`, for a cell that has one.
pub(super) fn target(outcome: &Outcome) -> Option<String> {
    let target = outcome.target?;
    let met = if target.is_met(outcome.ratio) { "met" } else { "missed" };
    Some(format!("target {target}: {met}"))
}

/// `p50 1.20 µs, p99 …`.
pub(super) fn percentiles(latencies: &Histogram<u64>) -> String {
    let at = |quantile| time(latencies.value_at_quantile(quantile) as f64);
    format!(
        "p50 {}, p99 {}, p99.9 {}, max {}",
        at(0.5),
        at(0.99),
        at(0.999),
        time(latencies.max() as f64)
    )
}

/// Where and from what the figures come, in a few lines.
pub(crate) fn origin(machine: &Machine) -> String {
    let meter = &machine.gap_meter;
    let governor = machine.governor.as_deref().unwrap_or("unknown");
    format!(
        "{}, {} cores, {}, {}, governor {governor}\n{}, commit {}\n\
         gap meter over {:.1} s: {}, {:.2} % of the time in gaps above 5 µs\n",
        machine.cpu,
        machine.cores,
        machine.arch,
        machine.kernel,
        machine.rustc,
        machine.commit,
        meter.seconds,
        percentiles(&meter.gaps),
        meter.share_above_5us * 100.0,
    )
}

/// `3 faster, 1 on a par, 0 lost; …`.
pub(crate) fn counts(results: &Results) -> String {
    let Counts { faster, par, lost, failed, met, missed } = Counts::of(results);
    let mut line = format!("{faster} faster, {par} on a par, {lost} lost");
    if met + missed > 0 {
        line += &format!("; targets: {met} met, {missed} missed");
    }
    if failed > 0 {
        line += &format!("; {failed} FAILED");
    }
    line
}

/// The table of claims: what was promised, what was measured, whether that meets it. Empty without any.
pub(crate) fn claims(results: &Results) -> String {
    let claimed =
        results.finished().filter_map(|outcome| outcome.claim.map(|claim| (claim, outcome)));
    let width = claimed.clone().map(|(claim, _)| claim.chars().count()).max();
    let Some(width) = width else { return String::new() };
    let mut table = format!("\n{:<width$}  measured\n", "claim");
    for (claim, outcome) in claimed {
        table += &format!("{claim:<width$}  {}\n", measured(outcome));
    }
    table
}

/// `met: 12.3 ns against 45.6 ns, ratio 3.71 [3.60, 3.80] (target >= 3.00)`.
pub(super) fn measured(outcome: &Outcome) -> String {
    let met = match outcome.target {
        Some(target) if target.is_met(outcome.ratio) => "met: ",
        Some(_) => "not met: ",
        None => "",
    };
    let wanted = outcome.target.map(|target| format!(" (target {target})")).unwrap_or_default();
    format!(
        "{met}{} {}, {} {}, ratio {}{wanted}",
        outcome.subject,
        in_unit(outcome.subject_ns, outcome.unit),
        outcome.peer,
        in_unit(outcome.peer_ns, outcome.unit),
        outcome.ratio,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::results;

    #[test]
    fn claims_stand_in_a_table_of_their_own() {
        let claims = claims(&results());
        assert_eq!(claims.lines().count(), 3, "an empty line, the head, one claim");
        let line = claims.lines().last().expect("there is one");
        assert!(
            line.starts_with("a parked engine wakes as fast as a thread  met: tidegate 10.0 ns")
        );
        assert!(line.ends_with("ratio 0.90 [0.80, 0.95] (target >= 0.77)"), "{line}");
        let none = Results { entries: Vec::new(), ..results() };
        assert_eq!(super::claims(&none), "");
    }

    #[test]
    fn failures_and_targets_are_counted_beside_the_verdicts() {
        let line = "1 faster, 1 on a par, 1 lost; targets: 2 met, 0 missed; 1 FAILED";
        assert_eq!(counts(&results()), line);
    }
}
