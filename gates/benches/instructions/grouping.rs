//! Turns alone: a turn without lanes.

use engine::internals::{Sizes, Turns};
use engine::{Nanos, Sizing};
use foldhash::fast::FixedState;
use gungraun::prelude::*;

use crate::count::rounds;
use crate::rows::{Rows, Taking};

/// Items in a turn.
const ROUND: usize = 256;

/// Past the first deadlines: 10 ms are 200,000 items.
const WARM: usize = 1_600;

/// Nanoseconds from one turn to the next, at 20 million items a second.
const ROUND_NS: u64 = 50 * ROUND as u64;

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
#[bench::keys_100000(100_000)]
fn group(keys: u64) {
    let sizes = Sizes {
        sizing: Sizing::Fixed(100),
        flush_after: Nanos::from_nanos(10_000_000),
        open_keys: 1 << 17,
        open_items: 1 << 20,
    };
    let mut grouping = Turns::new(&sizes, FixedState::with_seed(7), Taking::default());
    let mut rows = Rows::of_keys(keys);
    let mut now = 0;
    rounds(ROUND, WARM, |counting| {
        rows.by_ref().take(ROUND).for_each(|row| grouping.push(row));
        now += ROUND_NS;
        counting.part(|| grouping.turn(Nanos::from_nanos(now)));
    });
    grouping.flush();
    assert_eq!(grouping.handler().items, (gates::ITEMS + WARM * ROUND) as u64);
}

library_benchmark_group!(name = groupings; benchmarks = group);
