//! Items that linger alone, and how long after their deadline the handler has them.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use engine::{Engine, Sizing};

use super::attended::Attended;
use super::baton::Baton;
use crate::Failure;
use crate::checksum::Digest;
use crate::cores::on_first;
use crate::limits::DRAIN_WITHIN;
use crate::peer::{Case, Peer};
use crate::run::Run;
use crate::workload::Workload;

/// Items, one after the other, each waiting for company that does not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline;

/// How long each of them waits: long enough for the shard to park.
pub(super) const FLUSH_AFTER: Duration = Duration::from_micros(500);
/// What is compared, in percent.
pub(super) const PERCENT: u32 = 99;
/// Items of one run.
const ITEMS: u64 = if cfg!(debug_assertions) { 50 } else { 400 };

impl Deadline {
    pub(super) fn workload(self) -> Workload {
        Workload { items: ITEMS, keys: 8 }
    }
}

impl Case for Deadline {
    const WORKLOAD: &'static str = "formation";

    fn cell(&self) -> String {
        let micros = FLUSH_AFTER.as_micros();
        format!(
            "of=deadline flush_after_us={micros} keys=8 item=32 sizing=fixed:100 quantile={PERCENT}"
        )
    }

    fn expected(&self) -> Digest {
        self.workload().digest()
    }
}

/// How long ago the item that was just sent should have come.
fn late_ns(baton: &Baton) -> Option<u64> {
    Some(baton.since_sent_ns().saturating_sub(FLUSH_AFTER.as_nanos() as u64))
}

/// The engine, which lingers for batches of 100, and otherwise is as it is by default.
pub(super) struct Tidegate;

impl Peer<Deadline> for Tidegate {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn run(&self, case: Deadline) -> Result<Run, Failure> {
        let (report, reports) = channel();
        let baton = Arc::new(Baton::new());
        let due = Arc::clone(&baton);
        let keys = case.workload().keys;
        let engine = Engine::builder(move |_| Attended::new(&due, keys, late_ns, &report))
            .sizing(Sizing::Fixed(100))
            .flush_after(FLUSH_AFTER)
            .lanes(1)
            .handle_lanes(0)
            .start()?;
        let mut producer = engine.producer()?;
        on_first(|| {
            for row in case.workload().rows() {
                baton.send();
                producer.push(row)?;
                baton.await_handled(row.seq + 1);
            }
            Ok(())
        })?;
        engine.shutdown(DRAIN_WITHIN)?;
        Ok(reports.recv()?.at_percentile(PERCENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formation::park_timeout::ParkTimeout;

    #[test]
    fn every_contender_handles_each_item_once_its_time_is_up() {
        for contender in [&Tidegate as &dyn Peer<Deadline>, &ParkTimeout] {
            let run = contender.run(Deadline).expect("it handles them");
            run.handled.digest.check(Deadline.expected(), contender.name()).expect("all of them");
            assert_eq!(run.handled.batches, ITEMS, "each alone");
            assert_eq!(run.latencies.expect("it is timed").len(), ITEMS);
        }
    }
}
