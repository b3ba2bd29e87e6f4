//! Open-loop load: items are pushed when the schedule says so, whether or not the last ones are done.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::flooded;
use super::passage::{Nobody, Passed, Setup, Watch, Way};
use super::price::Price;
use super::schedule::Schedule;
use super::situation::{Load, Mode, Situation};
use crate::Failure;
use crate::cores::on_first;
use crate::quartiles::Quartiles;

/// When the schedule began; set by the pusher before its first push.
pub(crate) type Start = Arc<OnceLock<quanta::Instant>>;

/// Passes the situation's items through an engine by its schedule. `watch` makes what makes a watch,
/// from schedule and start.
pub(crate) fn paced<W: Watch, M: Fn() -> W + Send + Sync + 'static>(
    case: &Situation,
    setup: &Setup,
    watch: impl FnOnce(Schedule, Start) -> M,
) -> Result<Passed<W>, Failure> {
    let Load::Paced { arrivals, percent, of } = case.load else {
        return Err(format!("{:?} has no schedule", case.load).into());
    };
    let fastest_ns = fastest(case.price, of)?;
    let distance_ns = fastest_ns * 100.0 / f64::from(percent);
    let schedule = Schedule::new(arrivals, distance_ns, case.workload.items);
    let start = Start::default();
    let watch = watch(schedule.clone(), Arc::clone(&start));
    case.price.pass(setup, watch, |producer| push(producer, case, &schedule, &start))
}

/// On a core of its own: a pusher that the shard keeps from its core would be late.
fn push(
    producer: &mut dyn Way,
    case: &Situation,
    schedule: &Schedule,
    start: &Start,
) -> Result<(), Failure> {
    on_first(|| {
        let mut rows = case.rows();
        let start = *start.get_or_init(quanta::Instant::now);
        let mut pushed = 0;
        while pushed < case.workload.items {
            let now_ns = start.elapsed().as_nanos() as u64;
            let due = schedule.due(now_ns, pushed).min(case.workload.items);
            if due == pushed {
                std::hint::spin_loop();
                continue;
            }
            let mut run = rows.by_ref().take((due - pushed) as usize);
            producer.push_run(&mut run)?;
            pushed = due;
        }
        Ok(())
    })
}

/// What was found so far: a contest's two sides must have the same load.
static FASTEST: Mutex<Vec<(Price, Mode, f64)>> = Mutex::new(Vec::new());

/// Runs of which the median counts.
const RUNS: usize = 3;

/// Nanoseconds per item at the highest load that an engine takes with such a handler, measured when it is
/// first asked for.
pub(crate) fn fastest(price: Price, mode: Mode) -> Result<f64, Failure> {
    let mut all = FASTEST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., ns)) = all.iter().find(|known| (known.0, known.1) == (price, mode)) {
        return Ok(*ns);
    }
    let case = flooded::situation(price, mode);
    let setup = Setup::new(mode, case.workload.keys);
    // Pushed from where the load is pushed from, and in the same way.
    let flood = || {
        let passed = price.pass(
            &setup,
            || Nobody,
            |producer| on_first(|| Ok(producer.push_run(&mut case.rows())?)),
        )?;
        Ok(passed.run().ns)
    };
    let runs: Vec<f64> = (0..RUNS).map(|_| flood()).collect::<Result<_, Failure>>()?;
    let ns = Quartiles::of(runs).median;
    all.push((price, mode, ns));
    Ok(ns)
}
