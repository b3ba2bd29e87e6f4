//! Bursts that are visible at once.

use crate::checksum::Digest;
use crate::peer::Case;
use crate::workload::Workload;

/// Where a shard's turns take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// On the calling thread, one by one, on a made-up clock; the time is taken from outside, to the
    /// last hand-over of the burst.
    Stepped,
    /// On a thread of its own, which spins; the time is that of the shard's own histogram, to the
    /// hand-over of the burst as one batch.
    Shard,
}

/// Bursts of `items`, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    pub(super) items: u32,
    pub(super) keys: u32,
    pub(super) home: Home,
    /// What is compared, in percent.
    pub(super) quantile: u32,
}

impl Burst {
    /// Bursts of one run.
    pub(super) fn bursts(self) -> u32 {
        match self.home {
            _ if cfg!(debug_assertions) => 200,
            Home::Stepped => 10_000,
            Home::Shard => 2_000,
        }
    }

    /// Everything that comes in a run.
    pub(super) fn workload(self) -> Workload {
        Workload { items: u64::from(self.items) * u64::from(self.bursts()), keys: self.keys }
    }
}

impl Case for Burst {
    const WORKLOAD: &'static str = "formation";

    fn cell(&self) -> String {
        let Self { items, keys, home, quantile } = self;
        let home = match home {
            Home::Stepped => "stepped",
            Home::Shard => "thread",
        };
        format!("of=burst burst={items} keys={keys} item=32 shard={home} quantile={quantile}")
    }

    fn expected(&self) -> Digest {
        self.workload().digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formation::{gap_bound, grouping, shard_turn, stepped};
    use crate::peer::Peer;

    #[test]
    fn every_contender_hands_over_all_of_every_burst() {
        let contenders: [(Home, &dyn Peer<Burst>); 3] = [
            (Home::Stepped, &stepped::Tidegate),
            (Home::Stepped, &grouping::H2),
            (Home::Shard, &shard_turn::Tidegate),
        ];
        for (home, contender) in contenders {
            for (items, keys) in [(1, 1), (10, 8), (50, 1), (200, 8), (200, 1)] {
                // A shard measures but a sample of its deep turns, and waits for more of eight keys.
                if home == Home::Shard && (keys > 1 || items > 50) {
                    continue;
                }
                let burst = Burst { items, keys, home, quantile: 50 };
                let run = contender.run(burst).expect("it hands over");
                run.handled.digest.check(burst.expected(), contender.name()).expect("all of it");
                let times = run.latencies.expect("it is timed");
                let (timed, batches) = (times.len(), run.handled.batches);
                assert!(timed >= u64::from(burst.bursts()), "{burst:?}: {timed} of {batches}");
                assert_eq!(run.ns, times.value_at_quantile(0.5).max(1) as f64);
            }
        }
    }

    #[test]
    fn the_gap_meters_bound_is_above_its_own_percentile() {
        let burst = Burst { items: 10, keys: 1, home: Home::Stepped, quantile: 99 };
        let bound = gap_bound::GapBound.run(burst).expect("there is a thread");
        let gaps = bound.latencies.expect("they were measured");
        assert_eq!(bound.ns, gaps.value_at_quantile(0.99) as f64 + 5_000.0);
    }
}
