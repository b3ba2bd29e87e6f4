//! A bare wake-up: a thread that is parked, and woken from another core.
//!
//! It is crossbeam's parker, which is the engine's own too. Nothing is handed over: the thread knows by
//! itself which row comes next.

use crossbeam_utils::sync::Parker;

use super::baton::Baton;
use super::deadline::Deadline;
use super::os_thread::OsThread;
use super::rest::{Manner, Rest};
use super::witness::{Testimony, Witness};
use crate::Failure;
use crate::cores::on_first;
use crate::peer::{Case, Peer};
use crate::pinning::to_last_core;
use crate::run::{Handled, Run};

fn measure(case: Rest) -> Result<Testimony, Failure> {
    let baton = Baton::new();
    let parker = Parker::new();
    let unparker = parker.unparker().clone();
    let (here, sleepers) = std::sync::mpsc::channel();
    let (baton, workload) = (&baton, case.workload());
    let woken = move || {
        to_last_core();
        // Nobody listens when the run has failed.
        let _ = here.send(OsThread::current());
        let mut witness = Witness::new(1);
        for row in workload.rows() {
            parker.park();
            witness.note_ns(baton.since_sent_ns());
            witness.handle(row.key, &[row]);
            baton.handled(1);
        }
        witness.testimony()
    };
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(woken);
        let thread = sleepers.recv()??;
        on_first(|| {
            for row in workload.rows() {
                case.rest(&thread, baton)?;
                baton.send();
                unparker.unpark();
                baton.await_handled(row.seq + 1);
            }
            Ok(())
        })?;
        sleeper.join().map_err(|_| "the sleeper panicked".into())
    })
}

/// From just before the unpark until the thread runs.
pub(super) struct Unpark;

impl Peer<Rest> for Unpark {
    fn name(&self) -> &'static str {
        "bare unpark"
    }

    fn run(&self, case: Rest) -> Result<Run, Failure> {
        Ok(measure(case)?.at_percentile(50))
    }
}

/// The 99th percentile of a bare unpark, and 100 µs: the bound on late deadlines.
pub(super) struct UnparkBound;

const ALLOWANCE_NS: f64 = 100_000.0;

impl Peer<Deadline> for UnparkBound {
    fn name(&self) -> &'static str {
        "bare unpark's p99 + 100 µs"
    }

    fn run(&self, case: Deadline) -> Result<Run, Failure> {
        let wakes = measure(Rest { manner: Manner::Parked })?.times;
        let bound = wakes.value_at_quantile(0.99) as f64 + ALLOWANCE_NS;
        let handled = Handled { digest: case.expected(), batches: 0 };
        Ok(Run::of_latencies(wakes, handled).at(bound))
    }
}
