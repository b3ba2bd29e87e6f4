//! The thread of a shard: turn after turn, and sleep where there is nothing to do.

use std::hash::BuildHasher;

use crossbeam_utils::sync::Parker;
use ringbuf::Distance;

use super::{Core, Shard};
use crate::handler::Handler;
use crate::idle::{IdleTimes, Idling, Step};
use crate::nanos::Nanos;
use crate::panics::drop_panics;
use crate::tally::Histograms;

impl<H: Handler, S: BuildHasher, C: Core<H>> Shard<H, S, C> {
    /// Goes round until the shard has ended; gives back the last histograms.
    pub(crate) fn run(mut self, idle: &IdleTimes, parker: &Parker) -> Box<Histograms> {
        let mut idling = Idling::default();
        // A shard at its producers' heels slows them down: see `ringbuf::Distance`.
        let mut distance = Distance::new(size_of::<H::Item>(), self.lanes.capacity());
        while !self.has_ended() {
            distance.wait();
            let now = self.clock.now();
            let worked = self.turn(now);
            distance.found(self.depth);
            if worked {
                idling.reset();
            } else if idling.step(now, idle) == Step::Park {
                self.park(now, parker);
            }
        }
        let none = Box::new(Histograms::new(0));
        let last = std::mem::replace(&mut self.core.tally_mut().histograms, none);
        drop_panics(self.handler);
        last
    }

    /// Sleeps until a push, a knock or the next deadline.
    pub(crate) fn park(&mut self, now: Nanos, parker: &Parker) {
        if self.has_ended() {
            return;
        }
        let sleeps = match self.core.is_stalled() {
            true => self.lanes.lie_down_beside(),
            false => self.lanes.lie_down(),
        };
        if !sleeps {
            return;
        }
        self.core.tally_mut().counters.parks += 1;
        match self.next_deadline() {
            None => parker.park(),
            Some(deadline) => parker.park_timeout(deadline.saturating_sub(now).into()),
        }
        self.wake();
    }

    /// After a sleep: what came meanwhile came after the push that rang; and if nobody rang, nothing
    /// had come before now.
    fn wake(&mut self) {
        let now = self.clock.now();
        let rung = self.lanes.get_up();
        self.core.tally_mut().counters.wake_ups += u64::from(rung.is_some());
        let since = rung.map_or(now, Nanos::from_nanos);
        for lane in 0..self.lanes.lanes_in_use() {
            // What is past it was pushed after the look at the lane that found nothing more.
            let tail = self.lanes.tail(lane);
            self.notes[lane].note(tail, since);
        }
    }
}
