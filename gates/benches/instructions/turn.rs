//! The whole turn of a shard: drain, group, decide, hand over, settle.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{Engine, Shards, Sizing};
use foldhash::fast::FixedState;
use gungraun::prelude::*;

use crate::count::rounds;
use crate::rows::{Rows, Taking};

/// Items in a turn.
pub(crate) const ROUND: usize = 1_024;

/// From one turn to the next: 20 million items a second. A deadline comes with every 196th.
pub(crate) const ROUND_TIME: Duration = Duration::from_nanos(50 * ROUND as u64);

/// Past the first deadlines, and batches of all keys full some times.
const WARM: usize = 400;

pub(crate) fn stepped(sizing: Sizing, shards: usize, lanes: usize) -> Stepped<Taking, FixedState> {
    let builder = Engine::builder(|_| Taking::default())
        .shards(Shards::Count(shards))
        .pin(false)
        .sizing(sizing)
        .lanes(lanes)
        .handle_lanes(0)
        .hasher(FixedState::with_seed(7));
    Stepped::new(builder).expect("the settings can work")
}

fn take_turns(sizing: Sizing, keys: u64, lanes: usize) {
    let mut engine = stepped(sizing, 1, lanes);
    let mut producers: Vec<_> = (0..lanes).map(|_| engine.producer().expect("a lane")).collect();
    let mut rows = Rows::of_keys(keys);
    rounds(ROUND, WARM, |counting| {
        for producer in &mut producers {
            producer.push_run(&mut rows.by_ref().take(ROUND / lanes)).expect("there is room");
        }
        engine.advance(ROUND_TIME);
        counting.part(|| engine.turn());
    });
    engine.advance(Duration::from_secs(1));
    engine.settle();
    assert_eq!(engine.snapshot().done, (gates::ITEMS + WARM * ROUND) as u64);
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn fixed_100(keys: u64) {
    take_turns(Sizing::Fixed(100), keys, 1);
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn tiers(keys: u64) {
    take_turns(Sizing::default(), keys, 1);
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn single(keys: u64) {
    take_turns(Sizing::Single, keys, 1);
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn fixed_100_of_4_lanes(keys: u64) {
    take_turns(Sizing::Fixed(100), keys, 4);
}

library_benchmark_group!(name = turns; benchmarks = fixed_100, tiers, single, fixed_100_of_4_lanes);
