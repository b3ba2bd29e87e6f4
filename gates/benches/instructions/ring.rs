//! The ring: item by item, and in runs.

use std::hint::black_box;

use gungraun::prelude::*;
use ringbuf::{Consumer, Producer};

use crate::count::rounds;
use crate::rows::{Row, Rows};

/// Items in flight, and the ring's capacity: it wraps, and each side looks at the other once a round.
const ROUND: usize = 1_024;

/// A push as a call: what it costs where nothing around it is known.
#[inline(never)]
fn push(producer: &mut Producer<Row>, row: Row) {
    producer.try_push(row).expect("there is room");
}

/// A pop as a call.
#[inline(never)]
fn pop(consumer: &mut Consumer<Row>) -> Row {
    consumer.pop().expect("it was pushed")
}

fn push_runs(producer: &mut Producer<Row>, mut rows: &[Row], run: usize) {
    while let (Some(now), then) = (rows.get(..run), rows.get(run..)) {
        let mut fill = producer.fill(run);
        fill.extend(now.iter().copied());
        assert_eq!(fill.commit().map_err(drop), Ok(run));
        rows = then.unwrap_or_default();
    }
}

/// Looks at the items where they lie, as one does who pops in runs.
fn pop_runs(consumer: &mut Consumer<Row>, run: usize) -> u64 {
    let mut sum = 0_u64;
    loop {
        let mut items = consumer.run(run);
        if items.is_empty() {
            return sum;
        }
        let (first, second) = items.as_slices();
        sum += first.iter().chain(second).map(|row| row.key).sum::<u64>();
        items.skip_in_place(run);
    }
}

/// Whether a gate counts the pushes or the pops.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Push,
    Pop,
}

/// Full and empty by turns; `run` items at a time.
fn round_trips(run: usize, side: Side) {
    let (mut producer, mut consumer) = ringbuf::ring(ROUND);
    let rows: Vec<_> = Rows::of_keys(1_000).take(ROUND).collect();
    let keys = rows.iter().map(|row| row.key).sum::<u64>();
    rounds(ROUND, 2, |counting| {
        let mut pushes = || match run {
            1 => rows.iter().for_each(|row| push(&mut producer, *row)),
            _ => push_runs(&mut producer, black_box(&rows), black_box(run)),
        };
        let mut pops = || match run {
            1 => (0..ROUND).map(|_| pop(&mut consumer).key).sum::<u64>(),
            _ => pop_runs(&mut consumer, black_box(run)),
        };
        let sum = if side == Side::Push {
            counting.part(pushes);
            pops()
        } else {
            pushes();
            counting.part(pops)
        };
        assert_eq!(sum, keys, "what came out is what went in");
    });
}

#[library_benchmark]
#[bench::by_1(1)]
#[bench::by_64(64)]
#[bench::by_256(256)]
fn push_ring(run: usize) {
    round_trips(run, Side::Push);
}

#[library_benchmark]
#[bench::by_1(1)]
#[bench::by_64(64)]
#[bench::by_256(256)]
fn pop_ring(run: usize) {
    round_trips(run, Side::Pop);
}

library_benchmark_group!(name = rings; benchmarks = push_ring, pop_ring);
