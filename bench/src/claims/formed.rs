//! How long the shard itself takes from the start of a turn to the hand-over of a batch, as the engine's own
//! snapshot has it.

use super::paced::paced;
use super::passage::{Nobody, Setup};
use super::situation::{Mode, Situation};
use crate::Failure;
use crate::peer::Peer;
use crate::run::Run;

/// A percentile of fewer batches than one in so many says nothing: under load a shard times but a sample.
const SAMPLED_PART: u64 = 100;

/// What is compared is what 99 of 100 batches take at most.
pub(crate) struct Formed(pub(crate) Mode);

impl Peer<Situation> for Formed {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let setup = Setup::new(self.0, case.workload.keys);
        let passed = paced(&case, &setup, |_, _| || Nobody)?;
        let formation = passed.snapshot.formation;
        let (timed, batches) = (formation.len(), passed.handled.batches);
        if timed < batches.div_ceil(SAMPLED_PART) {
            return Err(format!("the shard timed {timed} batches of {batches}").into());
        }
        let tail_ns = formation.value_at_quantile(0.99);
        Ok(Run::of_latencies(formation, passed.handled).at(tail_ns as f64))
    }
}
