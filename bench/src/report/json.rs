//! The results as JSON: an array of the machine's facts and then the cells in the order run.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use super::{Entry, Failed, Results};
use crate::Failure;
use crate::contest::Outcome;
use crate::machine::Machine;
use crate::run::Detail;

#[derive(Serialize)]
struct Facts<'r> {
    machine: &'r Machine,
    /// The arguments.
    command: &'r [String],
    /// RFC 3339, in UTC.
    date: String,
    version: &'static str,
}

/// A cell. What it has no figure for is left out, but for the fields that all have: those are null in a
/// cell that failed.
#[derive(Default, Serialize)]
struct Row<'r> {
    workload: &'r str,
    cell: &'r str,
    subject: &'r str,
    peer: &'r str,
    ratio_median: Option<f64>,
    ratio_q1: Option<f64>,
    ratio_q3: Option<f64>,
    pairs: u32,
    subject_ns_item: Option<f64>,
    peer_ns_item: Option<f64>,
    mean_batch: Option<f64>,
    checksum_ok: bool,
    #[serde(flatten)]
    latencies: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<f64>,
    /// Of the figures that end in `_ns_item`, if they are not nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<&'r str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    subject_details: BTreeMap<&'r str, &'r Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    peer_details: BTreeMap<&'r str, &'r Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'r str>,
}

/// All of it, with a line for each cell.
///
/// # Errors
///
/// If a value can't be written as JSON.
pub(crate) fn json(results: &Results) -> Result<String, Failure> {
    let facts = Facts {
        machine: &results.machine,
        command: &results.command,
        date: humantime::format_rfc3339_seconds(results.date).to_string(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let mut lines = vec![serde_json::to_string(&facts)?];
    for entry in &results.entries {
        lines.push(serde_json::to_string(&match entry {
            Entry::Finished(outcome) => finished(outcome),
            Entry::Failed(cell) => failed(cell),
        })?);
    }
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

fn finished(outcome: &Outcome) -> Row<'_> {
    let mut figures = BTreeMap::new();
    percentiles(&mut figures, "subject", outcome.subject_latencies.as_ref());
    percentiles(&mut figures, "peer", outcome.peer_latencies.as_ref());
    Row {
        workload: outcome.workload,
        cell: &outcome.cell,
        subject: outcome.subject,
        peer: outcome.peer,
        ratio_median: Some(outcome.ratio.median),
        ratio_q1: Some(outcome.ratio.lower),
        ratio_q3: Some(outcome.ratio.upper),
        pairs: outcome.pairs,
        subject_ns_item: Some(outcome.subject_ns),
        peer_ns_item: Some(outcome.peer_ns),
        mean_batch: Some(outcome.mean_batch),
        // Without the right checksum there is no outcome.
        checksum_ok: true,
        latencies: figures,
        target: outcome.target.map(|target| target.ratio()),
        unit: (outcome.unit != "ns").then_some(outcome.unit),
        claim: outcome.claim,
        subject_details: details(&outcome.subject_details),
        peer_details: details(&outcome.peer_details),
        error: None,
    }
}

fn failed(cell: &Failed) -> Row<'_> {
    Row {
        workload: cell.workload,
        cell: &cell.cell,
        subject: cell.subject,
        peer: cell.peer,
        pairs: cell.pairs,
        error: Some(&cell.why),
        ..Row::default()
    }
}

fn percentiles(
    figures: &mut BTreeMap<String, u64>,
    whose: &str,
    latencies: Option<&Histogram<u64>>,
) {
    let Some(latencies) = latencies else { return };
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        figures.insert(format!("{whose}_{name}_ns"), latencies.value_at_quantile(quantile));
    }
    figures.insert(format!("{whose}_max_ns"), latencies.max());
}

fn details(details: &[Detail]) -> BTreeMap<&str, &Value> {
    details.iter().map(|detail| (detail.name, &detail.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::results;

    fn parsed() -> Vec<Value> {
        let text = json(&results()).expect("it can be written");
        serde_json::from_str(&text).expect("it can be read")
    }

    fn fields(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    fn sorted<'f>(fields: &[&[&'f str]]) -> Vec<&'f str> {
        let mut all = fields.concat();
        all.sort_unstable();
        all
    }

    const ALWAYS: &[&str] = &[
        "workload",
        "cell",
        "subject",
        "peer",
        "ratio_median",
        "ratio_q1",
        "ratio_q3",
        "pairs",
        "subject_ns_item",
        "peer_ns_item",
        "mean_batch",
        "checksum_ok",
    ];
    const LATENCIES: &[&str] = &[
        "subject_p50_ns",
        "subject_p99_ns",
        "subject_p999_ns",
        "subject_max_ns",
        "peer_p50_ns",
        "peer_p99_ns",
        "peer_p999_ns",
        "peer_max_ns",
    ];

    #[test]
    fn the_machine_comes_first_with_its_gap_meter() {
        let first = &parsed()[0];
        assert_eq!(fields(first), sorted(&[&["machine", "command", "date", "version"]]));
        let facts = ["cpu", "cores", "kernel", "governor", "rustc", "commit", "arch", "gap_meter"];
        assert_eq!(fields(&first["machine"]), sorted(&[&facts]));
        let meter = ["seconds", "p50_ns", "p99_ns", "p999_ns", "max_ns", "share_above_5us"];
        assert_eq!(fields(&first["machine"]["gap_meter"]), sorted(&[&meter]));
        assert_eq!(first["machine"]["governor"], Value::Null);
        assert_eq!(first["date"], "2026-11-18T11:06:40Z");
        assert_eq!(first["command"][0], "all");
    }

    #[test]
    fn the_cells_follow_in_order_with_exactly_their_fields() {
        let cells = &parsed()[1..];
        assert_eq!(cells.len(), 4);
        assert_eq!(fields(&cells[0]), sorted(&[ALWAYS, &["target"]]));
        assert_eq!(fields(&cells[1]), sorted(&[ALWAYS]));
        assert_eq!(fields(&cells[2]), sorted(&[ALWAYS, &["error"]]));
        assert_eq!(fields(&cells[3]), sorted(&[ALWAYS, LATENCIES, &["target", "claim"]]));
        assert_eq!(cells[1]["cell"], "keys=1000 dist=uniform");
        assert_eq!(cells[1]["ratio_q1"], 0.95);
        assert_eq!(cells[1]["subject_ns_item"], 10.0);
        assert_eq!(cells[3]["peer"], "bare unpark");
        let peer_p50 = cells[3]["peer_p50_ns"].as_f64().expect("a number");
        assert!((15_900.0..16_100.0).contains(&peer_p50), "{peer_p50}");
        let [p50, p99] = ["subject_p50_ns", "subject_p99_ns"].map(|name| cells[3][name].as_u64());
        assert!(p50.expect("a number") < p99.expect("a number"));
    }

    #[test]
    fn a_cell_that_failed_has_no_figures_and_a_wrong_checksum() {
        let failed = &parsed()[3];
        assert_eq!(failed["checksum_ok"], false);
        assert_eq!(failed["ratio_median"], Value::Null);
        assert_eq!(failed["error"], "sloppy <map>: items were lost");
        assert_eq!(parsed()[1]["checksum_ok"], true);
    }
}
