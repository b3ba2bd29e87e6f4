//! What a shard takes of its core while nothing comes.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use engine::Engine;

use super::attended::{Attended, nothing};
use super::baton::Baton;
use super::os_thread::OsThread;
use crate::Failure;
use crate::checksum::Digest;
use crate::cores::Stopped;
use crate::limits::DRAIN_WITHIN;
use crate::peer::{Case, Peer};
use crate::run::Run;
use crate::workload::Workload;

/// An engine with nothing to do, after one item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle;

/// How long nothing comes.
const SPAN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 1_000 });

const WORKLOAD: Workload = Workload { items: 1, keys: 1 };

impl Case for Idle {
    const WORKLOAD: &'static str = "formation";

    fn cell(&self) -> String {
        format!("of=cpu-at-rest span_ms={} shards=1", SPAN.as_millis())
    }

    fn expected(&self) -> Digest {
        WORKLOAD.digest()
    }
}

/// The engine as it is by default.
pub(super) struct Tidegate;

impl Peer<Idle> for Tidegate {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    /// What is compared is the shard's share of a core, in percent.
    fn run(&self, _case: Idle) -> Result<Run, Failure> {
        let (report, reports) = channel();
        let (here, shards) = channel();
        let baton = Arc::new(Baton::new());
        let once = Arc::clone(&baton);
        let engine = Engine::try_builder(move |_| {
            here.send(OsThread::current()?).map_err(|_| "nobody waits for the shard")?;
            Ok::<_, Stopped>(Attended::new(&once, WORKLOAD.keys, nothing, &report))
        })
        .start()?;
        let shard = shards.recv()?;
        let mut producer = engine.producer()?;
        producer.push_run(&mut WORKLOAD.rows())?;
        baton.await_handled(WORKLOAD.items);
        shard.await_sleep()?;
        let (ran, begun) = (shard.ran()?, Instant::now());
        let (_nobody, nothing) = channel::<()>();
        // Nobody sends: this is how to wait.
        let _ = nothing.recv_timeout(SPAN);
        let (ran, elapsed) = (shard.ran()? - ran, begun.elapsed());
        engine.shutdown(DRAIN_WITHIN)?;
        let percent = 100.0 * ran.as_secs_f64() / elapsed.as_secs_f64();
        let handled = reports.recv()?.handled;
        // None at all can't be compared; the clock tells no less than this.
        let least = 100.0 * 1e-9 / elapsed.as_secs_f64();
        Ok(Run::of_throughput(elapsed, handled).at(percent.max(least)))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_engine_at_rest_sleeps() {
        let run = Tidegate.run(Idle).expect("it rests");
        run.handled.digest.check(Idle.expected(), "tidegate").expect("its one item came");
        assert!(run.ns > 0.0 && run.ns < 50.0, "{} %", run.ns);
    }
}
