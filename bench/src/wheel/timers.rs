//! The engine's timers: a queue for deadlines that come in order, and the wheel for the others, with what
//! a shard's records remember of them.

use engine::{Nanos, internals};

use super::Armed;
use super::alarms::Alarms;
use super::plan::{HORIZON, START};

pub(super) struct Timers(internals::Timers);

impl Alarms for Timers {
    fn new(case: Armed) -> Self {
        let (horizon, now) = (Nanos::from_nanos(HORIZON), Nanos::from_nanos(START));
        Self(internals::Timers::new(case.armed as usize, horizon, now))
    }

    #[inline]
    fn arm(&mut self, token: u32, at: u64) {
        self.0.set(token, Nanos::from_nanos(at));
    }

    #[inline]
    fn rearm(&mut self, token: u32, at: u64) {
        self.0.set(token, Nanos::from_nanos(at));
    }

    #[inline]
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        while let Some(token) = self.0.ring(Nanos::from_nanos(now)) {
            expired.push(token);
        }
    }
}
