//! What timers must do, as plainly as possible: what the others are checked with.

use std::collections::BTreeMap;

use super::Armed;
use super::alarms::Alarms;
use super::plan::STEP;

pub(super) struct Plain {
    /// Tokens by the number of the poll with which they expire, unless they were armed anew since.
    by_poll: BTreeMap<u64, Vec<u32>>,
    armed: Vec<Option<u64>>,
}

impl Alarms for Plain {
    fn new(case: Armed) -> Self {
        Self { by_poll: BTreeMap::new(), armed: vec![None; case.armed as usize] }
    }

    fn arm(&mut self, token: u32, at: u64) {
        let poll = at.div_ceil(STEP);
        self.by_poll.entry(poll).or_default().push(token);
        self.armed[token as usize] = Some(poll);
    }

    fn rearm(&mut self, token: u32, at: u64) {
        self.arm(token, at);
    }

    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        let poll = now / STEP;
        for token in self.by_poll.remove(&poll).unwrap_or_default() {
            if self.armed[token as usize] == Some(poll) {
                self.armed[token as usize] = None;
                expired.push(token);
            }
        }
    }
}
