//! A shard without its thread.

use std::hash::BuildHasher;

use super::{Core, Shard};
use crate::handler::Handler;
use crate::nanos::Nanos;
use crate::tally::Tally;

/// A shard of either kind, stepped by hand.
pub(crate) trait Stepping {
    fn turn(&mut self, now: Nanos) -> bool;
    fn pause_all(&mut self);
    fn step(&mut self, now: Nanos) -> bool;
    fn has_ended(&self) -> bool;
    fn next_deadline(&self) -> Option<Nanos>;
    fn tally(&self) -> &Tally;
}

impl<H: Handler, S: BuildHasher, C: Core<H>> Stepping for Shard<H, S, C> {
    fn turn(&mut self, now: Nanos) -> bool {
        self.turn(now)
    }

    fn pause_all(&mut self) {
        self.pause_all();
    }

    fn step(&mut self, now: Nanos) -> bool {
        self.step(now)
    }

    fn has_ended(&self) -> bool {
        self.has_ended()
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.next_deadline()
    }

    fn tally(&self) -> &Tally {
        self.tally()
    }
}
