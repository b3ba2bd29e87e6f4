//! What is known at the end of a tournament, and its three forms: text, JSON, HTML.

use std::time::SystemTime;

use crate::contest::Outcome;
use crate::machine::Machine;
use crate::quartiles::Quartiles;

mod axis;
mod bars;
mod canvas;
mod curves;
mod destination;
mod html;
mod json;
mod pairs;
mod scale;
mod stored;
mod table;

pub(crate) use destination::Destination;
pub(crate) use html::html;
pub(crate) use json::json;
pub(crate) use stored::Stored;
pub(crate) use table::{Table, claims, counts, listed, origin};

/// All that a report says.
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// The program's arguments.
    pub(crate) command: Vec<String>,
    pub(crate) date: SystemTime,
    /// In the order run; a cell that was interrupted is not among them.
    pub(crate) entries: Vec<Entry>,
}

/// What became of a cell.
#[expect(
    clippy::large_enum_variant,
    reason = "there are some hundred, and nearly all are finished"
)]
pub(crate) enum Entry {
    Finished(Outcome),
    Failed(Failed),
}

/// A cell without figures.
pub(crate) struct Failed {
    pub(crate) workload: &'static str,
    pub(crate) cell: String,
    pub(crate) subject: &'static str,
    pub(crate) peer: &'static str,
    /// The pairs that were to be run.
    pub(crate) pairs: u32,
    pub(crate) why: String,
}

impl Results {
    pub(crate) fn finished(&self) -> impl Iterator<Item = &Outcome> + Clone {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Finished(outcome) => Some(outcome),
            Entry::Failed(_) => None,
        })
    }

    pub(crate) fn failed(&self) -> impl Iterator<Item = &Failed> + Clone {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Finished(_) => None,
            Entry::Failed(failed) => Some(failed),
        })
    }

    /// The workloads that have finished cells, in order.
    pub(crate) fn workloads(&self) -> Vec<&'static str> {
        let mut workloads: Vec<&'static str> = Vec::new();
        for outcome in self.finished() {
            if !workloads.contains(&outcome.workload) {
                workloads.push(outcome.workload);
            }
        }
        workloads
    }
}

/// How the subject did against its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Even the lower quartile of the ratio is above 1.
    Faster,
    /// The quartiles reach 1.
    Par,
    /// Even the upper quartile is below 1.
    Loss,
}

impl Verdict {
    pub(crate) fn on(ratio: Quartiles) -> Self {
        if ratio.lower > 1.0 {
            Self::Faster
        } else if ratio.upper < 1.0 {
            Self::Loss
        } else {
            Self::Par
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Par => "par",
            Self::Loss => "LOSS",
        }
    }
}

/// How many cells came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) faster: usize,
    pub(crate) par: usize,
    pub(crate) lost: usize,
    pub(crate) failed: usize,
    pub(crate) met: usize,
    pub(crate) missed: usize,
}

impl Counts {
    pub(crate) fn of(results: &Results) -> Self {
        let mut counts = Self { failed: results.failed().count(), ..Self::default() };
        for outcome in results.finished() {
            match Verdict::on(outcome.ratio) {
                Verdict::Faster => counts.faster += 1,
                Verdict::Par => counts.par += 1,
                Verdict::Loss => counts.lost += 1,
            }
            match outcome.target.map(|target| target.is_met(outcome.ratio)) {
                Some(true) => counts.met += 1,
                Some(false) => counts.missed += 1,
                None => {}
            }
        }
        counts
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cell::Target;
    use crate::machine;
    use hdrhistogram::Histogram;
    use std::time::Duration;

    pub(crate) fn quartiles(lower: f64, median: f64, upper: f64) -> Quartiles {
        Quartiles { lower, median, upper }
    }

    pub(crate) fn outcome(peer: &'static str, ratio: Quartiles) -> Outcome {
        Outcome {
            workload: "engine",
            cell: "keys=1000 dist=uniform".to_owned(),
            subject: "tidegate",
            peer,
            target: None,
            claim: None,
            unit: "ns",
            ratio,
            pairs: 11,
            subject_ns: 10.0,
            peer_ns: 10.0 * ratio.median,
            mean_batch: 99.5,
            subject_latencies: None,
            peer_latencies: None,
            subject_details: Vec::new(),
            peer_details: Vec::new(),
        }
    }

    pub(crate) fn latencies(ns: u64) -> Histogram<u64> {
        let mut latencies = Histogram::new(3).expect("three digits are allowed");
        for i in 1..=2_000 {
            latencies.record(ns * 2_000 / (2_001 - i)).expect("it grows");
        }
        latencies
    }

    /// A finished cell of each kind, and one that failed.
    pub(crate) fn results() -> Results {
        let wake = Outcome {
            workload: "formation",
            cell: "first-after-rest idle=parked".to_owned(),
            subject_latencies: Some(latencies(9_000)),
            peer_latencies: Some(latencies(8_000)),
            target: Some(Target::AtLeast(0.77)),
            claim: Some("a parked engine wakes as fast as a thread"),
            ..outcome("bare unpark", quartiles(0.8, 0.9, 0.95))
        };
        let failed = Failed {
            workload: "engine",
            cell: "keys=8 dist=zipf".to_owned(),
            subject: "tidegate",
            peer: "sloppy <map>",
            pairs: 11,
            why: "sloppy <map>: items were lost".to_owned(),
        };
        let target = Some(Target::AtLeast(10.0));
        Results {
            machine: machine::tests::made_up(),
            command: vec!["all".to_owned(), "--only".to_owned(), "<*".to_owned()],
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
            entries: vec![
                Entry::Finished(Outcome {
                    target,
                    ..outcome("crossbeam map", quartiles(11.0, 12.0, 12.5))
                }),
                Entry::Finished(outcome("h2", quartiles(0.95, 1.01, 1.2))),
                Entry::Failed(failed),
                Entry::Finished(wake),
            ],
        }
    }

    #[test]
    fn a_lower_quartile_above_one_is_faster_and_an_upper_one_below_it_a_loss() {
        assert_eq!(Verdict::on(quartiles(1.01, 1.2, 1.3)).word(), "faster");
        assert_eq!(Verdict::on(quartiles(1.0, 1.2, 1.3)).word(), "par");
        assert_eq!(Verdict::on(quartiles(0.7, 0.8, 1.0)).word(), "par");
        assert_eq!(Verdict::on(quartiles(0.7, 0.8, 0.99)).word(), "LOSS");
    }

    #[test]
    fn a_target_is_met_by_the_median_and_not_slower_by_the_quartiles() {
        let ratio = quartiles(0.9, 0.97, 1.02);
        assert!(Target::NotSlower.is_met(ratio));
        assert!(!Target::AtLeast(1.0).is_met(ratio));
        assert!(Target::AtLeast(0.97).is_met(ratio));
        assert!(!Target::NotSlower.is_met(quartiles(0.8, 0.9, 0.99)));
    }

    #[test]
    fn every_cell_is_counted_once() {
        let counts = Counts { faster: 1, par: 1, lost: 1, failed: 1, met: 2, missed: 0 };
        assert_eq!(Counts::of(&results()), counts);
    }
}
