//! How long items take, from the moment at which each was to be pushed until its handler call has ended.

use hdrhistogram::Histogram;
use serde_json::json;

use super::paced::{Start, paced};
use super::passage::{Passed, Setup, Watch};
use super::schedule::Schedule;
use super::situation::{Mode, Situation};
use crate::Failure;
use crate::peer::{Case, Peer};
use crate::run::Run;
use crate::times::times;
use crate::workload::Row;

/// The part of items that a tail leaves out.
const TAIL: f64 = 0.99;
/// Least difference that is told from none.
const LEAST_ADDED_NS: u64 = 1_000;

/// Times each batch by its oldest item: no other item took longer, and all of them count as that.
struct Stopwatch {
    schedule: Schedule,
    start: Start,
    oldest: u64,
    items: u64,
    delays: Histogram<u64>,
}

impl Stopwatch {
    fn new(schedule: Schedule, start: Start) -> Self {
        Self { schedule, start, oldest: 0, items: 0, delays: times() }
    }
}

impl Watch for Stopwatch {
    #[inline]
    fn before(&mut self, rows: &[Row]) {
        self.oldest = rows[0].seq;
        self.items = rows.len() as u64;
    }

    #[inline]
    fn after(&mut self) {
        let start = self.start.get().expect("nothing is pushed before the start");
        let now_ns = start.elapsed().as_nanos() as u64;
        let delay_ns = now_ns.saturating_sub(self.schedule.intended_ns(self.oldest));
        self.delays.saturating_record_n(delay_ns, self.items);
    }
}

fn delays(case: &Situation, mode: Mode) -> Result<Passed<Stopwatch>, Failure> {
    let setup = Setup::new(mode, case.workload.keys);
    let passed = paced(case, &setup, |schedule, start| {
        move || Stopwatch::new(schedule.clone(), start.clone())
    })?;
    if passed.watch.delays.len() != case.workload.items {
        return Err(format!("{} items were timed", passed.watch.delays.len()).into());
    }
    Ok(passed)
}

/// What is compared is what 99 of 100 items take at most.
pub(crate) struct Delayed(pub(crate) Mode);

impl Peer<Situation> for Delayed {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let passed = delays(&case, self.0)?;
        let Passed { elapsed, handled, snapshot, watch, .. } = passed;
        let tail_ns = watch.delays.value_at_quantile(TAIL);
        // What explains a tail: whether the load was kept up with, and what a round of calls takes.
        let items = case.workload.items as f64;
        let intended_ns = watch.schedule.intended_ns(case.workload.items - 1).max(1);
        let [offered, achieved] =
            [intended_ns as f64, elapsed.as_nanos() as f64].map(|ns| items / ns * 1e9);
        let (call_us, mean) = (snapshot.execution.mean() / 1e3, snapshot.mean_batch());
        let text = format!(
            "offered {offered:.0}/s, achieved {achieved:.0}/s; a call has {mean:.1} items and takes {call_us:.1} µs"
        );
        let value = json!({
            "offered_per_s": offered,
            "achieved_per_s": achieved,
            "call_us": call_us,
            "items_per_call": mean,
        });
        let run = Run::of_latencies(watch.delays, handled).at(tail_ns as f64);
        Ok(run.with_detail("load", text, value))
    }
}

/// What is compared is how much longer 99 of 100 items take at most in batches than one at a time, at the
/// same load; a microsecond if they don't.
pub(crate) struct Added(pub(crate) Mode);

impl Peer<Situation> for Added {
    fn name(&self) -> &'static str {
        match self.0 {
            Mode::Single => "single less single",
            Mode::Tiers => "tiers less single",
            Mode::Hundred => "fixed:100 less single",
        }
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let single = delays(&case, Mode::Single)?;
        single.handled.digest.check(case.expected(), "single")?;
        let batches = delays(&case, self.0)?;
        let [one, many] = [&single, &batches].map(|it| it.watch.delays.value_at_quantile(TAIL));
        let added_ns = many.saturating_sub(one).max(LEAST_ADDED_NS);
        let [one_us, many_us] = [one, many].map(|ns| ns / 1_000);
        let text = format!("p99 one at a time: {one_us} µs; in batches: {many_us} µs");
        let run = Run::of_latencies(batches.watch.delays, batches.handled).at(added_ns as f64);
        Ok(run.with_detail("p99_ns_single_and_batches", text, vec![one, many]))
    }
}
