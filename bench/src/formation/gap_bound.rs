//! What the machine itself may do to a turn, and 5 µs: the bound on slow formations.

use std::time::Duration;

use super::burst::Burst;
use crate::Failure;
use crate::gaps;
use crate::peer::{Case, Peer};
use crate::run::{Handled, Run};

/// How long gaps are measured, right beside the bursts.
const SPAN: Duration = Duration::from_millis(50);
const ALLOWANCE_NS: f64 = 5_000.0;

/// The gap meter's 99th percentile and 5 µs, with the meter's own distribution beside it.
pub(super) struct GapBound;

impl Peer<Burst> for GapBound {
    fn name(&self) -> &'static str {
        "gap meter's p99 + 5 µs"
    }

    fn run(&self, case: Burst) -> Result<Run, Failure> {
        let gaps = gaps::on_last_core(SPAN)?;
        let bound = gaps.value_at_quantile(0.99) as f64 + ALLOWANCE_NS;
        let handled = Handled { digest: case.expected(), batches: 0 };
        Ok(Run::of_latencies(gaps, handled).at(bound))
    }
}
