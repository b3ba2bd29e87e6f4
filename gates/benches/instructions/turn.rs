//! The whole turn of a shard: drain, group, decide, hand over, settle.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{Builder, Grouping, Producer, Shards, Sizing};
use foldhash::fast::FixedState;
use gungraun::prelude::*;

use crate::count::rounds;
use crate::rows::{Row, Rows, Taking};

/// What an engine is started with.
type Settings = Builder<Taking, FixedState>;

/// An engine that is stepped.
type Engine = Stepped<Taking, FixedState>;

/// Its producers.
pub(crate) type To = Producer<Row, (), (), FixedState>;

/// Items in a turn.
pub(crate) const ROUND: usize = 1_024;

/// From one turn to the next: 20 million items a second. A deadline comes with every 196th.
pub(crate) const ROUND_TIME: Duration = Duration::from_nanos(50 * ROUND as u64);

/// Past the first deadlines, and batches of all keys full some times.
const WARM: usize = 400;

/// Open items for full batches of 200 of all keys.
const OPEN_ITEMS: usize = 1 << 19;

/// The settings of every engine here.
pub(crate) fn settings(sizing: Sizing, shards: usize, lanes: usize) -> Settings {
    engine::Engine::builder(|_| Taking::default())
        .shards(Shards::Count(shards))
        .pin(false)
        .sizing(sizing)
        .lanes(lanes)
        .handle_lanes(0)
        .open_items(OPEN_ITEMS)
        .hasher(FixedState::with_seed(7))
}

pub(crate) fn stepped(settings: Settings) -> Engine {
    Stepped::new(settings).expect("the settings can work")
}

/// Rounds of pushes and turns: one turn for what was pushed, or turns until nothing is left to do.
fn take_turns(sizing: Sizing, keys: u64, lanes: usize, turn: fn(&mut Engine) -> bool) {
    take_turns_of(settings(sizing, 1, lanes), keys, lanes, push, turn);
}

fn take_turns_of(
    settings: Settings,
    keys: u64,
    lanes: usize,
    push: impl Fn(&mut To, &mut dyn Iterator<Item = Row>),
    turn: fn(&mut Engine) -> bool,
) {
    let mut engine = stepped(settings);
    let mut producers: Vec<_> = (0..lanes).map(|_| engine.producer().expect("a lane")).collect();
    let mut rows = Rows::of_keys(keys);
    rounds(ROUND, WARM, |counting| {
        for producer in &mut producers {
            push(producer, &mut rows.by_ref().take(ROUND / lanes));
        }
        engine.advance(ROUND_TIME);
        counting.part(|| turn(&mut engine));
    });
    engine.advance(Duration::from_secs(1));
    engine.settle();
    assert_eq!(engine.snapshot().done, (gates::ITEMS + WARM * ROUND) as u64);
}

fn push(producer: &mut To, mut rows: &mut dyn Iterator<Item = Row>) {
    producer.push_run(&mut rows).expect("there is room");
}

fn call(producer: &mut To, rows: &mut dyn Iterator<Item = Row>) {
    for row in rows {
        // Nobody waits for the answer, which is given all the same.
        drop(producer.call(row).expect("there is room"));
    }
}

fn one_turn(engine: &mut Engine) -> bool {
    engine.turn()
}

fn all_turns(engine: &mut Engine) -> bool {
    engine.settle();
    true
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn fixed_100(keys: u64) {
    take_turns(Sizing::Fixed(100), keys, 1, one_turn);
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn fixed_100_of_4_lanes(keys: u64) {
    take_turns(Sizing::Fixed(100), keys, 4, one_turn);
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn tiers(keys: u64) {
    take_turns(Sizing::default(), keys, 1, one_turn);
}

// The turn after each round's first finds empty lanes, and hands over what is open: at a thousand keys,
// batches of one or two.
#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn tiers_in_bursts(keys: u64) {
    take_turns(Sizing::default(), keys, 1, all_turns);
}

#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn single(keys: u64) {
    take_turns(Sizing::Single, keys, 1, all_turns);
}

// What a queue for each key costs more than `fixed_100`.
#[library_benchmark]
#[bench::keys_8(8)]
#[bench::keys_1000(1_000)]
fn queues(keys: u64) {
    let settings = settings(Sizing::Fixed(100), 1, 1).queues(true);
    take_turns_of(settings, keys, 1, push, one_turn);
}

// What somebody who waits for the answer costs more than `queues`.
#[library_benchmark]
#[bench::keys_8(8)]
fn calls(keys: u64) {
    let settings = settings(Sizing::Fixed(100), 1, 1).replies_max(ROUND);
    take_turns_of(settings, keys, 1, call, one_turn);
}

#[library_benchmark]
#[bench::keys_1000(1_000)]
#[bench::keys_100000(100_000)]
fn windows(keys: u64) {
    let settings = settings(Sizing::Fixed(100), 1, 1).grouping(Grouping::WINDOWED);
    take_turns_of(settings, keys, 1, push, one_turn);
}

library_benchmark_group!(
    name = turns;
    benchmarks =
        fixed_100, fixed_100_of_4_lanes, tiers, tiers_in_bursts, single, queues, calls, windows
);
