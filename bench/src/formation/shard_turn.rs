//! Real turns on a shard's own thread, which spins for the next burst: formation as the shard measures
//! it itself, in the histogram of the snapshot. A burst is a batch, so that each value is a whole burst's.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use engine::{Engine, Idle, Sizing};

use super::attended::{Attended, nothing};
use super::baton::Baton;
use super::burst::Burst;
use super::witness::Testimony;
use crate::Failure;
use crate::cores::on_first;
use crate::limits::DRAIN_WITHIN;
use crate::peer::Peer;
use crate::run::Run;
use crate::times::check_sample;

/// From one burst to the next: a shard under load measures but a sample of its deep turns, and each of
/// those that come as rarely as this.
const BETWEEN: Duration = Duration::from_micros(60);

/// One of so many bursts must have been timed.
const SAMPLED_PART: u64 = 20;

/// The engine as it is by default, except that its batches are as large as the bursts, and that its shard
/// never stops spinning.
pub(super) struct Tidegate;

impl Peer<Burst> for Tidegate {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn run(&self, case: Burst) -> Result<Run, Failure> {
        let (report, reports) = channel();
        let baton = Arc::new(Baton::new());
        let counted = Arc::clone(&baton);
        let keys = case.keys;
        let engine = Engine::builder(move |_| Attended::new(&counted, keys, nothing, &report))
            .sizing(Sizing::Fixed(case.items))
            .idle(Idle::Times { spin: Duration::from_secs(1), yielding: Duration::ZERO })
            .lanes(1)
            .handle_lanes(0)
            .start()?;
        let mut producer = engine.producer()?;
        on_first(|| {
            let mut rows = case.workload().rows();
            let mut handled = 0;
            for _ in 0..case.bursts() {
                baton.rest(BETWEEN);
                producer.push_run(&mut rows.by_ref().take(case.items as usize))?;
                handled += u64::from(case.items);
                baton.await_handled(handled);
            }
            Ok(())
        })?;
        let last = engine.shutdown(DRAIN_WITHIN)?;
        let Testimony { handled, .. } = reports.recv()?;
        check_sample(&last.formation, case.bursts().into(), SAMPLED_PART)?;
        Ok(Testimony { handled, times: last.formation }.at_percentile(case.quantile))
    }
}
