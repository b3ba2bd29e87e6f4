//! As fast as the engine takes it: throughput, and what the cost model makes of it.

use engine::Snapshot;
use serde_json::json;

use super::passage::{Nobody, Passed, Setup};
use super::price::Price;
use super::situation::{Claim, Load, Mode, Situation};
use crate::Failure;
use crate::peer::Peer;
use crate::run::Run;
use crate::workload::Workload;

/// Keys of the throughput claims: few, so that batches fill.
pub(crate) const KEYS: u32 = 8;

/// As many items as one at a time take some 200 ms, and batches take long enough to be timed.
pub(crate) fn items(price: Price) -> u64 {
    match price {
        Price::Free => 2_000_000,
        Price::Busy(micros) => 200_000 / u64::from(micros.max(1)),
        Price::Sqlite | Price::File => 120,
        Price::Echo => 5_000,
    }
}

/// What shows how much an engine takes at most.
pub(crate) fn situation(price: Price, mode: Mode) -> Situation {
    let items = match (mode, price) {
        (Mode::Single, _) | (_, Price::Free) => items(price),
        // In batches, each item costs less.
        (_, Price::Sqlite | Price::File) => 4_000,
        (_, Price::Busy(_)) => 500_000,
        (_, Price::Echo) => 50_000,
    };
    let workload = Workload { items, keys: KEYS };
    Situation { claim: Claim::Throughput, price, load: Load::Runs, workload }
}

/// Pushes the situation's items as fast as they are taken.
pub(crate) fn flood(case: &Situation, mode: Mode) -> Result<Passed<Nobody>, Failure> {
    let setup = Setup::new(mode, case.workload.keys);
    case.price.pass(
        &setup,
        || Nobody,
        |producer| {
            let mut rows = case.workload.rows();
            if case.load == Load::Each {
                for row in rows {
                    producer.push(row)?;
                }
            } else {
                producer.push_run(&mut rows)?;
            }
            Ok(())
        },
    )
}

/// What is compared is wall time. With it comes what the cost model says: the engine's own snapshot has a
/// call's and an item's cost, fitted from the spread of batch sizes, and so the speed-up that batches of
/// the mean size reached should bring.
pub(crate) struct Flooded(pub(crate) Mode);

impl Peer<Situation> for Flooded {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let passed = flood(&case, self.0)?;
        Ok(with_prediction(passed.run(), &passed.snapshot))
    }
}

/// Adds the cost model's prediction, and how effective the batches were: the calls that were avoided,
/// times a call's cost, are the overhead that was saved, here in parts of the time that the handler was
/// busy.
fn with_prediction(run: Run, snapshot: &Snapshot) -> Run {
    // Batches of one all have one size: nothing can be fitted, and nothing was saved.
    let Some(cost) = snapshot.cost() else { return run };
    let mean = snapshot.mean_batch();
    let (calls, items) = (snapshot.batches as f64, snapshot.done as f64);
    let busy = calls * cost.call_ns + items * cost.item_ns;
    let saved = (items - calls) * cost.call_ns / busy;
    let faster = cost.speedup(mean);
    let text = format!(
        "cost model: {:.0} ns a call and {:.1} ns an item; {mean:.1} items a call make the handler {faster:.1}x as fast, \
         and save {saved:.1} times its time",
        cost.call_ns, cost.item_ns
    );
    let value = json!({
        "call_ns": cost.call_ns,
        "item_ns": cost.item_ns,
        "items_per_call": mean,
        "speedup": faster,
        "overhead_saved": saved,
    });
    run.with_detail("cost_model", text, value)
}
