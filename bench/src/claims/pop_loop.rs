//! What is written first: a loop that pops an item from a ring and handles it.
//!
//! It has no keys, no deadlines and no verdicts; a panic of the handler ends it, and nothing is counted.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::price::Price;
use super::situation::{Load, Situation};
use super::spinning::spin_until_paid;
use crate::Failure;
use crate::limits::{QUEUE_ITEMS, RUN_ITEMS};
use crate::pause::Pause;
use crate::peer::Peer;
use crate::pinning::to_last_core;
use crate::run::Run;
use crate::trivial::{Done, Trivial};
use crate::workload::{Row, Rows};

/// A ring for one who pushes and one who pops.
pub(crate) trait Ring: Sync {
    const NAME: &'static str;
    type Producer;
    type Consumer: Send;

    /// With room for so many items.
    fn new(items: usize) -> (Self::Producer, Self::Consumer);

    /// Pushes an item, waiting for room.
    fn push(producer: &mut Self::Producer, row: Row) -> Result<(), Failure>;

    /// Pushes of `rows` what there is room for, `most` at most; says how many that were.
    fn push_run(
        producer: &mut Self::Producer,
        rows: &mut Rows,
        most: usize,
    ) -> Result<usize, Failure>;

    fn pop(consumer: &mut Self::Consumer) -> Option<Row>;

    /// Whether nothing will be pushed any more.
    fn is_closed(consumer: &Self::Consumer) -> bool;
}

/// Pushes as the situation says, into a ring as large as a lane; pops one by one.
impl<R: Ring> Peer<Situation> for R {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let (mut producer, consumer) = R::new(QUEUE_ITEMS);
        let ready = Barrier::new(2);
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                to_last_core();
                let trivial = Trivial::new(case.workload.keys);
                ready.wait();
                match case.price {
                    Price::Free => Ok(consume::<R>(consumer, trivial, Trivial::handle)),
                    Price::Busy(micros) => {
                        let price = Duration::from_micros(u64::from(micros));
                        Ok(consume::<R>(consumer, trivial, |trivial, key, rows| {
                            let begun = quanta::Instant::now();
                            trivial.handle(key, rows);
                            spin_until_paid(begun, price);
                        }))
                    }
                    other => Err(format!("a loop by hand has no handler for {}", other.words())),
                }
            });
            ready.wait();
            let begun = Instant::now();
            let rows = case.workload.rows();
            match case.load {
                Load::Each => push_each::<R>(&mut producer, rows)?,
                _ => push_runs::<R>(&mut producer, rows)?,
            }
            drop(producer);
            let done = consumer.join().map_err(|_| "the consumer panicked")??;
            Ok(Run::of_throughput(done.ended - begun, done.trivial.handled()))
        })
    }
}

fn push_each<R: Ring>(producer: &mut R::Producer, mut rows: Rows) -> Result<(), Failure> {
    rows.try_for_each(|row| R::push(producer, row))
}

/// As many at once as the engine pushes.
fn push_runs<R: Ring>(producer: &mut R::Producer, mut rows: Rows) -> Result<(), Failure> {
    let mut pause = Pause::default();
    while !rows.is_empty() {
        if R::push_run(producer, &mut rows, RUN_ITEMS)? == 0 {
            pause.wait();
        } else {
            pause.reset();
        }
    }
    Ok(())
}

fn consume<R: Ring>(
    mut ring: R::Consumer,
    mut trivial: Trivial,
    mut handle: impl FnMut(&mut Trivial, u64, &[Row]),
) -> Done {
    let mut pause = Pause::default();
    let mut last_look = false;
    loop {
        match R::pop(&mut ring) {
            Some(row) => {
                handle(&mut trivial, row.key, std::slice::from_ref(&row));
                pause.reset();
            }
            None if last_look => return trivial.done(),
            None => {
                pause.wait();
                // What was pushed before the end is there now.
                last_look = R::is_closed(&ring);
            }
        }
    }
}
