//! A thread that parks until a time, and how long after it runs again: what the system's own timers cost.
//!
//! It is crossbeam's parker, which is the engine's own too. Nobody wakes the thread, and there is nothing
//! that it could be late for but its one deadline.

use std::time::Duration;

use crossbeam_utils::sync::Parker;

use super::baton::Baton;
use super::deadline::{Deadline, FLUSH_AFTER, PERCENT};
use super::witness::Witness;
use crate::Failure;
use crate::cores::on_last;
use crate::peer::Peer;
use crate::run::Run;

pub(super) struct ParkTimeout;

impl Peer<Deadline> for ParkTimeout {
    fn name(&self) -> &'static str {
        "bare park_timeout"
    }

    fn run(&self, case: Deadline) -> Result<Run, Failure> {
        let testimony = on_last(|| {
            let workload = case.workload();
            let baton = Baton::new();
            let parker = Parker::new();
            let mut witness = Witness::new(workload.keys);
            for row in workload.rows() {
                baton.send();
                let since = || Duration::from_nanos(baton.since_sent_ns());
                // It may wake for no reason.
                while since() < FLUSH_AFTER {
                    parker.park_timeout(FLUSH_AFTER.saturating_sub(since()));
                }
                witness.note_ns((since() - FLUSH_AFTER).as_nanos() as u64);
                witness.handle(row.key, &[row]);
            }
            Ok(witness.testimony())
        })?;
        Ok(testimony.at_percentile(PERCENT))
    }
}
