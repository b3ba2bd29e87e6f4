//! Processor time of the shard, at a load that does not depend on it, with a shard that parks whenever it
//! has nothing to do.

use std::time::Duration;

use engine::Idle;

use super::paced::paced;
use super::passage::{Nobody, Setup};
use super::situation::{Mode, Situation};
use crate::Failure;
use crate::peer::Peer;
use crate::run::Run;

/// What is compared is the processor time of the shard's thread per item, its handler's included; not that
/// of the thread that pushes, which spins on the clock at this load.
pub(crate) struct Processor(pub(crate) Mode);

impl Peer<Situation> for Processor {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let at_once = Idle::Times { spin: Duration::ZERO, yielding: Duration::ZERO };
        let setup = Setup { idle: at_once, ..Setup::new(self.0, case.workload.keys) };
        let passed = paced(&case, &setup, |_, _| || Nobody)?;
        let items = case.workload.items as f64;
        let ns = passed.processor.as_nanos() as f64 / items;
        let (calls, parks) = (passed.snapshot.batches, passed.snapshot.parks);
        let (calls, parks) = (calls as f64 / items, parks as f64 / items);
        let text = format!("{calls:.3} calls and {parks:.3} parks an item");
        let run = passed.run().at(ns);
        Ok(run.with_detail("calls_and_parks_per_item", text, vec![calls, parks]))
    }
}
