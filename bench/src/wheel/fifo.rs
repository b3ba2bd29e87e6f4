//! A plain `VecDeque`, for equal deadlines alone: they come in order. An entry is stale unless its token's
//! deadline is still the one it was queued with; cancelling leaves it where it is.
//!
//! It has no bound: what is armed anew again and again piles up until its time has come.

use std::collections::VecDeque;

use super::Armed;
use super::alarms::Alarms;

pub(super) struct Fifo {
    queue: VecDeque<(u64, u32)>,
    /// `u64::MAX` while a token is not armed.
    deadlines: Vec<u64>,
}

impl Alarms for Fifo {
    fn new(case: Armed) -> Self {
        let armed = case.armed as usize;
        Self { queue: VecDeque::with_capacity(armed), deadlines: vec![u64::MAX; armed] }
    }

    #[inline]
    fn arm(&mut self, token: u32, at: u64) {
        self.deadlines[token as usize] = at;
        self.queue.push_back((at, token));
    }

    #[inline]
    fn rearm(&mut self, token: u32, at: u64) {
        self.arm(token, at);
    }

    #[inline]
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        while let Some(&(at, token)) = self.queue.front()
            && at <= now
        {
            self.queue.pop_front();
            let deadline = &mut self.deadlines[token as usize];
            if *deadline == at {
                *deadline = u64::MAX;
                expired.push(token);
            }
        }
    }
}
