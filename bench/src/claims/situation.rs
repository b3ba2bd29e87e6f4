//! Which claim is put to the test, and in which situation.

use std::fmt;

use engine::Sizing;

use super::price::Price;
use super::schedule::Arrivals;
use crate::checksum::{Checksum, Digest};
use crate::peer::Case;
use crate::workload::{Row, Workload};

/// A line of the table of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Batches of one are as fast as a loop written by hand: what the rest is compared with is fair.
    Fair,
    /// 3 to 5 times the throughput at high load.
    Throughput,
    /// 60 % less overhead.
    Overhead,
    /// 40 % less processor time.
    Processor,
    /// 99 of 100 items are done within 50 ms.
    Tail,
    /// Less than 10 ms are added to what batches of one take.
    Added,
    /// A batch is formed in less than a millisecond.
    Formation,
    /// 10,000 operations a second.
    Floor,
    /// What an item costs in memory while it waits.
    Memory,
}

impl Claim {
    /// As it stands in a cell.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fair => "fair",
            Self::Throughput => "throughput",
            Self::Overhead => "overhead",
            Self::Processor => "cpu",
            Self::Tail => "p99",
            Self::Added => "added",
            Self::Formation => "formation",
            Self::Floor => "floor",
            Self::Memory => "memory",
        }
    }
}

/// How the engine's batches are sized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One at a time: what the claims are compared with.
    Single,
    /// By depth: the default.
    Tiers,
    /// 100 at a time, lingering at any depth.
    Hundred,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Tiers => "tiers",
            Self::Hundred => "fixed:100",
        }
    }

    pub(crate) fn sizing(self) -> Sizing {
        match self {
            Self::Single => Sizing::Single,
            Self::Tiers => Sizing::default(),
            Self::Hundred => Sizing::Fixed(100),
        }
    }
}

/// How the items come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// As fast as they are taken, in runs.
    Runs,
    /// As fast as they are taken, one by one.
    Each,
    /// All are there before the first is handled.
    Backlog,
    /// All wait, in batches that don't become full.
    Waiting,
    /// By the clock, whether or not they are taken: `percent` of what `of` manages at most.
    Paced { arrivals: Arrivals, percent: u32, of: Mode },
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("push=runs"),
            Self::Each => f.write_str("push=each"),
            Self::Backlog => f.write_str("push=before"),
            Self::Waiting => f.write_str("push=waiting"),
            Self::Paced { arrivals, percent, of } => {
                write!(f, "arrivals={arrivals} load={percent} of={}", of.name())
            }
        }
    }
}

/// A claim in a situation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) claim: Claim,
    pub(crate) price: Price,
    pub(crate) load: Load,
    pub(crate) workload: Workload,
}

impl Situation {
    /// What is pushed, in this order.
    pub(crate) fn rows(&self) -> Box<dyn Iterator<Item = Row>> {
        match self.load {
            Load::Waiting => Box::new(even(self.workload)),
            _ => Box::new(self.workload.rows()),
        }
    }
}

/// Rows whose keys take turns, so that all have the same number.
fn even(workload: Workload) -> impl Iterator<Item = Row> {
    let row = move |seq| Row { key: seq % u64::from(workload.keys), seq, rest: [seq << 32, !seq] };
    (0..workload.items).map(row)
}

impl Case for Situation {
    const WORKLOAD: &'static str = "claims";

    fn cell(&self) -> String {
        let Self { claim, price, load, workload: Workload { keys, items } } = self;
        let claim = claim.name();
        format!(
            "claim={claim} handler={price} {load} keys={keys} items={items} item=32 producers=1 shards=1"
        )
    }

    fn expected(&self) -> Digest {
        match self.load {
            Load::Waiting => {
                let mut sum = Checksum::new(self.workload.keys);
                even(self.workload).for_each(|row| sum.add(row.key, &[row]));
                sum.digest()
            }
            _ => self.workload.digest(),
        }
    }
}
