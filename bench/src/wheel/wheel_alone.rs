//! The engine's timing wheel without the queue before it: for deadlines in any order.

use engine::Nanos;
use engine::internals::Wheel;

use super::Armed;
use super::alarms::Alarms;
use super::plan::{HORIZON, START};

pub(super) struct WheelAlone(Wheel);

impl Alarms for WheelAlone {
    fn new(case: Armed) -> Self {
        let (horizon, now) = (Nanos::from_nanos(HORIZON), Nanos::from_nanos(START));
        Self(Wheel::new(case.armed as usize, horizon, now))
    }

    #[inline]
    fn arm(&mut self, token: u32, at: u64) {
        self.0.arm(token, Nanos::from_nanos(at));
    }

    #[inline]
    fn rearm(&mut self, token: u32, at: u64) {
        self.0.cancel(token);
        self.0.arm(token, Nanos::from_nanos(at));
    }

    #[inline]
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        while let Some(token) = self.0.expire(Nanos::from_nanos(now)) {
            expired.push(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheel::plan::TICK;

    #[test]
    fn the_others_tick_is_the_wheels() {
        let wheel = Wheel::new(1, Nanos::from_nanos(HORIZON), Nanos::ZERO);
        let begin = |ns| wheel.begin_of_tick(Nanos::from_nanos(ns)).as_nanos();
        assert_eq!((begin(TICK - 1), begin(TICK), begin(2 * TICK - 1)), (0, TICK, TICK));
    }
}
