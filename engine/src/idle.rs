//! What a shard does while nothing is there, and a push while there is no room: spin, then yield,
//! then park.

use std::time::Duration;

use crate::nanos::Nanos;

/// How long to spin and to yield before parking.
///
/// Spinning finds the next item soonest and burns a core; yielding lets others run first; parking
/// costs nothing, and a wake-up later (about 10 to 100 µs).
///
/// ```
/// use engine::Idle;
/// use std::time::Duration;
///
/// // A core to burn: never later than a spin, until nothing has come for a millisecond.
/// let eager = Idle::Times { spin: Duration::from_millis(1), yielding: Duration::ZERO };
/// // Battery: park at once.
/// let lazy = Idle::Times { spin: Duration::ZERO, yielding: Duration::ZERO };
/// # let _ = (eager, lazy);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// By the machine: with a core for every shard and every producer, some 50 µs of each; with
    /// fewer cores than threads, hardly any, since whoever spins takes the time of whom it waits
    /// for. The [`Plan`](crate::Plan) says which it was, and why.
    #[default]
    Auto,
    /// These times, each at most a second.
    Times {
        /// Time to spin.
        spin: Duration,
        /// Time to yield after that.
        yielding: Duration,
    },
}

/// [`Idle`], decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdleTimes {
    pub(crate) spin: Nanos,
    pub(crate) yielding: Nanos,
}

impl IdleTimes {
    /// With a core for each thread: longer than a wake-up takes, so that traffic with gaps shorter
    /// than that never pays for one.
    pub(crate) const DEDICATED: Self =
        Self { spin: Nanos::from_nanos(50_000), yielding: Nanos::from_nanos(50_000) };
    /// With fewer cores than threads.
    pub(crate) const SHARED: Self =
        Self { spin: Nanos::from_nanos(1_000), yielding: Nanos::from_nanos(20_000) };

    /// What to do after waiting for so long.
    pub(crate) fn after(&self, waited: Nanos) -> Step {
        if waited < self.spin {
            Step::Spin
        } else if waited < self.spin.saturating_add(self.yielding) {
            Step::Yield
        } else {
            Step::Park
        }
    }
}

/// One step of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Spin,
    Yield,
    Park,
}

/// Since when there has been nothing to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Idling(Option<Nanos>);

impl Idling {
    /// There was something to do.
    pub(crate) fn reset(&mut self) {
        self.0 = None;
    }

    /// There is nothing to do at `now`: the next step, taken at once if it is not to park.
    pub(crate) fn step(&mut self, now: Nanos, times: &IdleTimes) -> Step {
        let since = *self.0.get_or_insert(now);
        let step = times.after(now.saturating_sub(since));
        match step {
            Step::Spin => std::hint::spin_loop(),
            Step::Yield => std::thread::yield_now(),
            Step::Park => {}
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idling_spins_then_yields_then_parks_and_starts_over_after_work() {
        let at = Nanos::from_nanos;
        let times = IdleTimes { spin: at(10), yielding: at(5) };
        let mut idling = Idling::default();
        let steps = [100, 109, 110, 114, 115].map(|now| idling.step(at(now), &times));
        assert_eq!(steps, [Step::Spin, Step::Spin, Step::Yield, Step::Yield, Step::Park]);
        idling.reset();
        assert_eq!(idling.step(at(200), &times), Step::Spin);
    }

    #[test]
    fn with_no_time_to_spin_a_shard_parks_at_once() {
        let times = IdleTimes { spin: Nanos::ZERO, yielding: Nanos::ZERO };
        assert_eq!(Idling::default().step(Nanos::ZERO, &times), Step::Park);
    }
}
