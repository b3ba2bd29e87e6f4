//! Subject and peer in turns, so that a machine that slows down slows both.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hdrhistogram::Histogram;

use crate::Failure;
use crate::cell::{Cell, Target};
use crate::interrupt::Interrupt;
use crate::quartiles::Quartiles;
use crate::run::{Detail, Run};

/// What a cell's pairs came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) workload: &'static str,
    pub(crate) cell: String,
    pub(crate) subject: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) target: Option<Target>,
    pub(crate) claim: Option<&'static str>,
    pub(crate) unit: &'static str,
    /// How many times faster the subject is than the peer, of each pair.
    pub(crate) ratio: Quartiles,
    pub(crate) pairs: u32,
    pub(crate) subject_ns: f64,
    pub(crate) peer_ns: f64,
    /// Items per handler call of the subject.
    pub(crate) mean_batch: f64,
    pub(crate) subject_latencies: Option<Histogram<u64>>,
    pub(crate) peer_latencies: Option<Histogram<u64>>,
    /// Of the last runs.
    pub(crate) subject_details: Vec<Detail>,
    pub(crate) peer_details: Vec<Detail>,
}

/// Why a cell has no outcome.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// Somebody wants the program to end.
    Interrupted,
    /// A run could not do its work, or did it wrong.
    Failed(Failure),
}

impl From<Failure> for Unfinished {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Runs of a cell: `pairs` that count, and one to warm up.
pub(crate) fn runs(pairs: u32) -> u64 {
    2 * (u64::from(pairs) + 1)
}

impl Cell {
    /// A pair to warm up, which does not count, and then `pairs` that do; `step` is called after each
    /// run.
    ///
    /// # Errors
    ///
    /// [`Unfinished`]: an interrupt is noticed before each run, and a failure ends the contest.
    ///
    /// # Panics
    ///
    /// If `pairs` is 0.
    pub(crate) fn contest(
        &self,
        pairs: u32,
        interrupt: &Interrupt,
        step: &dyn Fn(),
    ) -> Result<Outcome, Unfinished> {
        let expected = (self.expected)();
        let turn = |run: &dyn Fn() -> Result<Run, Failure>, name| {
            if interrupt.is_raised() {
                return Err(Unfinished::Interrupted);
            }
            let run = careful(run, name)?;
            run.handled.digest.check(expected, name).map_err(Failure::from)?;
            step();
            Ok(run)
        };
        let pair =
            |_| Ok((turn(&self.run_subject, self.subject)?, turn(&self.run_peer, self.peer)?));
        pair(0)?;
        let runs: Vec<(Run, Run)> = (0..pairs).map(pair).collect::<Result<_, Unfinished>>()?;
        Ok(self.outcome(&runs))
    }

    fn outcome(&self, runs: &[(Run, Run)]) -> Outcome {
        let median = |of: fn(&(Run, Run)) -> f64| Quartiles::of(runs.iter().map(of)).median;
        let (last_subject, last_peer) = runs.last().expect("there is at least one pair");
        Outcome {
            workload: self.workload,
            cell: self.cell.clone(),
            subject: self.subject,
            peer: self.peer,
            target: self.target,
            claim: self.claim,
            unit: self.unit,
            ratio: Quartiles::of(runs.iter().map(|(subject, peer)| ratio(subject.ns, peer.ns))),
            pairs: runs.len() as u32,
            subject_ns: median(|(subject, _)| subject.ns),
            peer_ns: median(|(_, peer)| peer.ns),
            mean_batch: median(|(subject, _)| subject.handled.mean_batch()),
            subject_latencies: sum(runs.iter().map(|(subject, _)| subject)),
            peer_latencies: sum(runs.iter().map(|(_, peer)| peer)),
            subject_details: last_subject.details.clone(),
            peer_details: last_peer.details.clone(),
        }
    }
}

/// How many times less the subject's figure is. Figures below a thousandth count as a thousandth: a rest
/// that costs nothing measurable is not infinitely better.
fn ratio(subject: f64, peer: f64) -> f64 {
    peer.max(0.001) / subject.max(0.001)
}

/// The run, or its panic as an error: the cells that are finished outlive it.
fn careful(run: &dyn Fn() -> Result<Run, Failure>, name: &str) -> Result<Run, Failure> {
    // A contender keeps nothing between its runs, so there is nothing to be found half done.
    let run = catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Err(format!("it panicked: {}", words(&*panic)).into()))
        .map_err(|failure| format!("{name}: {failure}"))?;
    if !(run.ns.is_finite() && run.ns >= 0.0) {
        return Err(format!("{name}: its figure is {}", run.ns).into());
    }
    Ok(run)
}

fn words(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(words) => words,
        None => panic.downcast_ref::<&str>().copied().unwrap_or("without a word"),
    }
}

/// All runs' distributions in one; `None` if there are none.
fn sum<'r>(runs: impl Iterator<Item = &'r Run>) -> Option<Histogram<u64>> {
    let mut all = runs.filter_map(|run| run.latencies.as_ref());
    let mut sum = all.next()?.clone();
    // Each may have been made for a range of its own.
    sum.auto(true);
    all.for_each(|more| sum.add(more).expect("a histogram that grows takes all values"));
    Some(sum)
}
