//! How long the shard itself takes from the start of a turn to the hand-over of a batch, as the engine's own
//! snapshot has it.

use super::paced::paced;
use super::passage::{Nobody, Setup};
use super::situation::{Mode, Situation};
use crate::Failure;
use crate::peer::Peer;
use crate::run::Run;
use crate::times::check_sample;

/// One batch in so many must have been timed.
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
        check_sample(&formation, passed.handled.batches, SAMPLED_PART)?;
        let tail_ns = formation.value_at_quantile(0.99);
        Ok(Run::of_latencies(formation, passed.handled).at(tail_ns as f64))
    }
}
