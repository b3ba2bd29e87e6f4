//! The first item after a rest, from just before its push until the handler has it.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use engine::{Engine, Idle};

use super::attended::Attended;
use super::baton::Baton;
use super::os_thread::OsThread;
use crate::Failure;
use crate::checksum::Digest;
use crate::cores::{Stopped, on_first};
use crate::limits::DRAIN_WITHIN;
use crate::peer::{Case, Peer};
use crate::run::Run;
use crate::workload::Workload;

/// What the consumer does while it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Spinning,
    Parked,
}

/// Items, each after a rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) manner: Manner,
}

impl Rest {
    pub(super) fn workload(self) -> Workload {
        let items = match self.manner {
            _ if cfg!(debug_assertions) => 50,
            Manner::Spinning => 5_000,
            Manner::Parked => 500,
        };
        Workload { items, keys: 1 }
    }

    /// Lets the consumer rest: while it spins for a time in which its turns have come to nothing many
    /// times over; otherwise until it sleeps, and then for as long as its core takes to notice.
    pub(super) fn rest(self, consumer: &OsThread, baton: &Baton) -> Result<(), Stopped> {
        if self.manner == Manner::Parked {
            consumer.await_sleep()?;
        }
        baton.rest(Duration::from_micros(20));
        Ok(())
    }

    /// How the engine idles.
    fn idle(self) -> Idle {
        let spin = match self.manner {
            Manner::Spinning => Duration::from_secs(1),
            Manner::Parked => Duration::ZERO,
        };
        Idle::Times { spin, yielding: Duration::ZERO }
    }
}

impl Case for Rest {
    const WORKLOAD: &'static str = "formation";

    fn cell(&self) -> String {
        let manner = match self.manner {
            Manner::Spinning => "spinning",
            Manner::Parked => "parked",
        };
        format!("of=first-after-rest idle={manner} item=32 quantile=50")
    }

    fn expected(&self) -> Digest {
        self.workload().digest()
    }
}

/// The engine, its shard on the last core, pushed to from the first.
pub(super) struct Tidegate;

impl Peer<Rest> for Tidegate {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn run(&self, case: Rest) -> Result<Run, Failure> {
        let (report, reports) = channel();
        let (here, shards) = channel();
        let baton = Arc::new(Baton::new());
        let woken = Arc::clone(&baton);
        let engine = Engine::try_builder(move |_| {
            here.send(OsThread::current()?).map_err(|_| "nobody waits for the shard")?;
            let since_sent = |baton: &Baton| Some(baton.since_sent_ns());
            Ok::<_, Stopped>(Attended::new(&woken, 1, since_sent, &report))
        })
        .idle(case.idle())
        .lanes(1)
        .handle_lanes(0)
        .start()?;
        let shard = shards.recv()?;
        let mut producer = engine.producer()?;
        on_first(|| {
            for row in case.workload().rows() {
                case.rest(&shard, &baton)?;
                baton.send();
                producer.push(row)?;
                baton.await_handled(row.seq + 1);
            }
            Ok(())
        })?;
        engine.shutdown(DRAIN_WITHIN)?;
        Ok(reports.recv()?.at_percentile(50))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::formation::{ring_spin, unpark};

    #[test]
    fn every_contender_handles_each_item_after_its_rest() {
        let contenders: [(Manner, &dyn Peer<Rest>); 4] = [
            (Manner::Spinning, &Tidegate),
            (Manner::Spinning, &ring_spin::Rtrb),
            (Manner::Parked, &Tidegate),
            (Manner::Parked, &unpark::Unpark),
        ];
        for (manner, contender) in contenders {
            let case = Rest { manner };
            let run = contender.run(case).expect("it handles them");
            run.handled.digest.check(case.expected(), contender.name()).expect("all of them");
            let times = run.latencies.expect("it is timed");
            assert_eq!(times.len(), case.workload().items, "{}", contender.name());
        }
    }
}
