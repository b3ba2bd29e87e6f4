//! A producer's pushes, into lanes that a stepped engine empties between the rounds.

use std::time::Duration;

use gungraun::prelude::*;

use crate::count::rounds;
use crate::rows::{Row, Rows};
use crate::turn::{ROUND, ROUND_TIME, To, settings, stepped};
use engine::Sizing;

/// A push as a call: what it costs where nothing around it is known.
#[inline(never)]
fn push(producer: &mut To, row: Row) {
    producer.push(row).expect("there is room");
}

fn one_by_one(producer: &mut To, rows: &[Row]) {
    rows.iter().for_each(|row| push(producer, *row));
}

fn in_a_run(producer: &mut To, rows: &[Row]) {
    producer.push_run(&mut rows.iter().copied()).expect("there is room");
}

fn pushes(shards: usize, work: impl Fn(&mut To, &[Row])) {
    let mut engine = stepped(settings(Sizing::default(), shards, 1));
    let mut producer = engine.producer().expect("a lane");
    let rows: Vec<_> = Rows::of_keys(1_000).take(ROUND).collect();
    rounds(ROUND, 2, |counting| {
        counting.part(|| work(&mut producer, &rows));
        engine.advance(ROUND_TIME);
        engine.turn();
    });
    engine.advance(Duration::from_secs(1));
    engine.settle();
    assert_eq!(engine.snapshot().done, (gates::ITEMS + 2 * ROUND) as u64);
}

#[library_benchmark]
#[bench::shards_1(1)]
#[bench::shards_4(4)]
fn push_one(shards: usize) {
    pushes(shards, one_by_one);
}

#[library_benchmark]
#[bench::shards_1(1)]
#[bench::shards_4(4)]
fn push_run(shards: usize) {
    pushes(shards, in_a_run);
}

library_benchmark_group!(name = producers; benchmarks = push_one, push_run);
