//! What fails, and what fails with it.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{Batch, Engine, Failure, Handler, Oversize, PushError, Settled, Sizing, Verdict};

use crate::parcels::Parcel;
use crate::rows::{Log, Row, row};

/// tower-batch: one flush that failed killed the worker, and every later item with it.
#[test]
fn one_failed_batch_does_not_kill_the_worker() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    for round in 0..100 {
        producer.push(Row { panics: true, ..row(1, round) }).expect("there is room");
        producer.flush().expect("open");
        engine.turn();
        producer.push(row(1, round)).expect("the worker is alive");
        producer.flush().expect("open");
        engine.turn();
    }
    let last = engine.shutdown();
    assert_eq!((last.done, last.failed, last.handler_panics), (100, 100, 100));
}

/// librdkafka: one oversized item failed its neighbours in the batch. Here it goes alone, or its push gives
/// it back.
#[test]
fn an_oversized_item_leaves_its_neighbours_alone() {
    /// Refuses batches that are too large, as a whole.
    struct Courier;

    impl Handler for Courier {
        type Item = Parcel;
        type Reply = usize;
        type Error = &'static str;

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_all(|_, parcels| {
                let weight: u32 = parcels.iter().map(|parcel| parcel.weight).sum();
                if weight > 10 { Err("too large") } else { Ok(parcels.len()) }
            })
        }
    }

    for oversize in [Oversize::Alone, Oversize::Refused] {
        let builder = Engine::builder(|_| Courier)
            .sizing(Sizing::Fixed(100))
            .batch_weight_max(10)
            .oversize(oversize)
            .replies_max(8);
        let mut engine = Stepped::new(builder).expect("it starts");
        let mut producer = engine.producer().expect("a lane");
        let pushed: Vec<_> = [4, 4, 25, 4, 4]
            .into_iter()
            .map(|weight| producer.try_call(Parcel { weight, retries: 0 }))
            .collect();
        engine.settle();
        let outcomes: Vec<_> = pushed
            .into_iter()
            .map(|pushed| match pushed {
                Ok(ticket) => Ok(ticket.wait_for(Duration::ZERO).expect("it is here")),
                Err(PushError::TooHeavy(parcel)) => Err(parcel.weight),
                Err(other) => panic!("{other}"),
            })
            .collect();
        let heavy = match oversize {
            Oversize::Alone => Ok(Err(Failure::Handler("too large"))),
            Oversize::Refused => Err(25),
        };
        // They go two by two: three of them are too much.
        let done = Ok(Ok(2));
        assert_eq!(outcomes, [done, done, heavy, done, done], "{oversize:?}");
    }
}

/// The same, where the target says for each item what became of it.
#[test]
fn one_item_that_fails_leaves_its_neighbours_alone() {
    struct Picky;

    impl Handler for Picky {
        type Item = Row;
        type Reply = ();
        type Error = &'static str;

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_bulk(|_, rows, verdicts| {
                verdicts.set_rest(|at| match rows[at].seq {
                    13 => Verdict::Failed("too large"),
                    _ => Verdict::Done(()),
                });
            })
        }
    }

    let builder = Engine::builder(|_| Picky).sizing(Sizing::Fixed(20));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut (0..20).map(|seq| row(1, seq))).expect("there is room");
    engine.turn();
    let last = engine.shutdown();
    assert_eq!((last.done, last.failed, last.batches), (19, 1, 1));
}
