//! What takes part: timers that are known by their numbers.

use super::Armed;

/// Timers for tokens from 0 on. Times are in nanoseconds.
pub(super) trait Alarms: Sized {
    /// Takes what memory it can take beforehand.
    fn new(case: Armed) -> Self;

    /// Arms a token that is not armed.
    fn arm(&mut self, token: u32, at: u64);

    /// Takes an armed token's timer back, and arms it for another time.
    fn rearm(&mut self, token: u32, at: u64);

    /// Adds the tokens whose time has come to `expired`; they are not armed any more.
    fn expire(&mut self, now: u64, expired: &mut Vec<u32>);
}
