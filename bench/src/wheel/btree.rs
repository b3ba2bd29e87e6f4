//! What the standard library has for it: a `BTreeSet` of deadlines and tokens. Cancelling one needs its
//! deadline, which stands in an array.

use std::collections::BTreeSet;

use super::Armed;
use super::alarms::Alarms;

pub(super) struct BTree {
    armed: BTreeSet<(u64, u32)>,
    deadlines: Vec<u64>,
}

impl Alarms for BTree {
    fn new(case: Armed) -> Self {
        Self { armed: BTreeSet::new(), deadlines: vec![0; case.armed as usize] }
    }

    #[inline]
    fn arm(&mut self, token: u32, at: u64) {
        self.deadlines[token as usize] = at;
        self.armed.insert((at, token));
    }

    #[inline]
    fn rearm(&mut self, token: u32, at: u64) {
        self.armed.remove(&(self.deadlines[token as usize], token));
        self.arm(token, at);
    }

    #[inline]
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>) {
        while self.armed.first().is_some_and(|(at, _)| *at <= now) {
            expired.extend(self.armed.pop_first().map(|(_, token)| token));
        }
    }
}
