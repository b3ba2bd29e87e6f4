//! From the lane to the handler with nothing between, while each item is a batch of its own.

use std::hash::BuildHasher;

use super::plain::Plain;
use super::{Core, Phase, Shard};
use crate::handler::Handler;
use crate::nanos::Nanos;
use crate::tally::Tally;

impl<H: Handler, S: BuildHasher> Shard<H, S, Plain<H>> {
    /// As [`drain`](Self::drain) and [`hand_over_ready`](Self::hand_over_ready) in one, while each item
    /// is a batch of its own: it goes from its lane to the handler, with no place between. What can't,
    /// because of its mark, is drained. Says how many items passed, and how many were drained.
    pub(super) fn pass(&mut self) -> (usize, usize) {
        let lanes = self.lanes.lanes_in_use();
        let (mut passed, mut drained) = (0, 0);
        for nth in 0..lanes {
            let lane = (self.first_lane + nth) % lanes;
            let mut left = self.drain_items;
            while left > 0 && self.core.passes() {
                let items = self.pass_run(lane, left);
                left -= items;
                passed += items;
                // What that does may bring items that this turn has not counted.
                if self.lanes.doorbell().take_knock() {
                    self.obey();
                    self.turn_lanes(lanes);
                    return (passed, drained);
                }
                if self.phase == Phase::Ended {
                    return (passed, drained);
                }
                if items == 0 {
                    break;
                }
            }
            if left > 0 {
                drained += self.drain_lane(lane);
            }
        }
        self.turn_lanes(lanes);
        (passed, drained)
    }

    /// Passes some items on, up to the first that has a mark: that is left to a drain. Stops at a knock.
    ///
    /// Each slot is free before the handler has its item, so that a handler that pushes into its own
    /// engine finds the same room as where items are drained first.
    fn pass_run(&mut self, lane: usize, most: usize) -> usize {
        let waiting = (self.lanes.tail(lane) - self.lanes.head(lane)) as usize;
        let items = self.lanes.unmarked(lane, waiting.min(most));
        if items == 0 {
            return 0;
        }
        let Some(mut passage) = self.core.passage() else { return 0 };
        self.core.tally.counters.in_lanes -= items as u64;
        self.core.tally.counters.ready += items as u64;
        self.publish();

        let Self { lanes, notes, core: batcher, handler, counters, clock, .. } = self;
        let mut left = items;
        let mut panicked = None;
        while left > 0 && panicked.is_none() && !lanes.doorbell().is_knocked() {
            let Some(item) = lanes.pop(lane) else { break };
            left -= 1;
            let measures = batcher.tally.measures_next();
            let begun = if measures { clock.now() } else { Nanos::ZERO };
            let before =
                |tally: &mut Tally, items| <Plain<H> as Core<H>>::report(tally, items, counters);
            panicked = batcher.pass(handler, &mut passage, item, before);
            if measures {
                let ended = clock.now();
                let (since, _) = notes[lane].since(lanes.head(lane) - 1);
                let deadline = batcher.deadline(since);
                batcher.tally.measured(1, since, deadline, begun, ended);
            }
        }
        batcher.close_passage(passage);
        batcher.tally.passed(items - left);
        batcher.tally.counters.in_lanes += left as u64;
        batcher.tally.counters.ready -= left as u64;
        if let Some(panic) = panicked {
            self.recover(panic);
        }
        items - left
    }
}
