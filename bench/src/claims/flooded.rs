//! As fast as the engine takes it: throughput, and what the cost model makes of it.

use super::passage::{Nobody, Passed, Setup};
use super::prediction::{Calls, with_prediction};
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
            let rows = case.workload.rows();
            let each = case.load == Load::Each;
            let pushed = if each { producer.push_each(rows) } else { producer.push_rows(rows) };
            Ok(pushed?)
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
        Ok(with_prediction(passed.run(), Calls::from(&passed.snapshot)))
    }
}
