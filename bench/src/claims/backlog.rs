//! The engine's own time per item: what a backlog takes from the first call to the last, less what the
//! calls themselves take.
//!
//! All items are in the lane before the first call may go on, so that the shard never waits for a pusher.
//! The handler costs nothing but the reading of the items; to time it from inside would cost more than it
//! does, so its calls are noted and made again, the same ones in the same order, without the engine. Both
//! are processor times of their threads, so that nobody who gets in between counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cpu_time::ThreadTime;

use super::passage::{Setup, Watch};
use super::situation::{Mode, Situation};
use crate::Failure;
use crate::checksum::{Checksum, Digest};
use crate::cores::on_last;
use crate::peer::Peer;
use crate::run::Run;
use crate::workload::{Row, Workload};

/// Least time that is told from nothing, in nanoseconds per item.
const LEAST_NS: f64 = 0.1;
/// Times that the calls are made again; the fastest counts, since nothing makes them faster.
const REPLAYS: usize = 3;

/// What is compared is the engine's time per item, outside the handler.
pub(crate) struct Backlogged(pub(crate) Mode);

impl Peer<Situation> for Backlogged {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let Workload { items, keys } = case.workload;
        let lane_items = items as usize;
        let setup = Setup { lane_items, ..Setup::new(self.0, keys) };
        let open = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&open);
        let watch = move || Gate::new(Arc::clone(&gate), lane_items);
        let passed = case.price.pass(&setup, watch, |producer| {
            let pushed = producer.push_run(&mut case.rows());
            // Release [opened]: not that the shard sees the items by it, but that it begins after them.
            open.store(true, Ordering::Release);
            pushed?;
            Ok(())
        })?;
        let before = passed.watch.before.ok_or("no batch came")?;
        let elapsed = passed.processor.saturating_sub(before);
        let (calls, digest) = again(&passed.watch.calls, case.workload)?;
        digest.check(passed.handled.digest, "the same calls again")?;
        let ns = elapsed.saturating_sub(calls).as_nanos() as f64 / items as f64;
        let handler_ns = calls.as_nanos() as f64 / items as f64;
        let text = format!("the calls themselves: {handler_ns:.1} ns an item");
        Ok(passed.run().at(ns.max(LEAST_NS)).with_detail("handler_ns_item", text, handler_ns))
    }
}

/// One call of the handler.
#[derive(Clone, Copy)]
struct Call {
    key: u32,
    items: u32,
}

/// Holds the first call up until the gate is opened, and notes all calls.
struct Gate {
    open: Arc<AtomicBool>,
    /// Since when the shard's processor time counts, and how much of it was over when the gate opened.
    made: Duration,
    before: Option<Duration>,
    calls: Vec<Call>,
}

impl Gate {
    fn new(open: Arc<AtomicBool>, items: usize) -> Self {
        Self {
            open,
            made: ThreadTime::now().as_duration(),
            before: None,
            calls: Vec::with_capacity(items),
        }
    }
}

impl Watch for Gate {
    #[inline]
    fn before(&mut self, rows: &[Row]) {
        if self.before.is_none() {
            // Acquire [opened]: pairs with the store after the last push.
            while !self.open.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            self.before = Some(ThreadTime::now().as_duration() - self.made);
        }
        self.calls.push(Call { key: rows[0].key as u32, items: rows.len() as u32 });
    }

    #[inline]
    fn after(&mut self) {}
}

/// What the calls take without an engine, where the shard was, and what they come to. Their items lie in the
/// order of the calls, so that reading them costs no more than in the engine.
fn again(calls: &[Call], workload: Workload) -> Result<(Duration, Digest), Failure> {
    let rows = in_order(calls, workload);
    let replay = || {
        let mut sum = Checksum::new(workload.keys);
        let mut noted = Vec::with_capacity(calls.len());
        let mut left = &rows[..];
        let begun = ThreadTime::now();
        for call in calls {
            let (batch, rest) = left.split_at((call.items as usize).min(left.len()));
            left = rest;
            noted.push(*call);
            sum.add(u64::from(call.key), batch);
        }
        let elapsed = begun.elapsed();
        std::hint::black_box(&noted);
        (elapsed, sum.digest())
    };
    on_last(|| {
        let replays = (0..REPLAYS).map(|_| replay());
        replays.min_by_key(|(elapsed, _)| *elapsed).ok_or_else(|| "no replay".into())
    })
}

/// The rows of the calls, one call's after the other's.
fn in_order(calls: &[Call], workload: Workload) -> Vec<Row> {
    let mut by_key = vec![Vec::new(); workload.keys as usize];
    workload.rows().for_each(|row| by_key[row.key as usize].push(row));
    let mut of_key: Vec<_> = by_key.into_iter().map(Vec::into_iter).collect();
    let rows_of = |call: &Call| (call.key as usize, call.items as usize);
    let mut rows = Vec::with_capacity(workload.items as usize);
    for (key, items) in calls.iter().map(rows_of) {
        rows.extend(of_key[key].by_ref().take(items));
    }
    rows
}
