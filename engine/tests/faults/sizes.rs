//! How large batches are, and what changes that.

use std::sync::{Arc, Mutex};

use engine::testing::Stepped;
use engine::{Batch, Detached, Engine, Handler, Settled, Sizing};

use crate::rows::{FLUSH_AFTER, Log, MILLISECOND, Row, row};

/// async-graphql: the size was a threshold, and what had gathered when it was reached went in one
/// batch of any size.
#[test]
fn the_size_is_a_cap_and_not_a_threshold() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    producer.push_run(&mut (0..257).map(|seq| row(1, seq))).expect("there is room");
    engine.turn();
    engine.advance(FLUSH_AFTER);
    engine.turn();
    assert_eq!(log.sizes(), [100, 100, 57]);
}

/// ClickHouse: a size that was multiplied by what it had brought ended at one extreme or the other, and
/// stayed. Here each batch's target comes from what waits, whatever was before.
#[test]
fn after_any_load_the_sizes_are_those_of_the_load_that_is() {
    let log = Log::default();
    let builder = log.builder().sizing(Sizing::default()).lane_items(4_096);
    let mut engine = Stepped::new(builder).expect("it starts");
    let mut producer = engine.producer().expect("a lane");
    let mut first = Vec::new();
    for round in 0..50 {
        for seq in 0..2_000 {
            producer.try_push(row(1, seq)).expect("there is room");
        }
        engine.settle();
        let sizes = log.sizes();
        if round == 0 {
            assert_eq!(sizes[..5], [200; 5], "{sizes:?}");
            first = sizes;
        } else {
            assert_eq!(sizes, first, "round {round}");
        }
        for seq in 0..50 {
            producer.try_push(row(1, seq)).expect("there is room");
            engine.settle();
        }
        assert_eq!(log.sizes(), [1; 50], "round {round}");
    }
}

/// concurrency-limits: calls that timed out counted as samples, and raised the limit of what was under way.
/// Here a time-out changes no size and no limit.
#[test]
fn batches_that_time_out_change_no_size_and_no_limit() {
    type Away = Arc<Mutex<Vec<Detached<Row, (), ()>>>>;
    struct Leaving(Away);
    impl Handler for Leaving {
        type Item = Row;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            let (settled, away) = batch.detach().expect("there is a credit");
            self.0.lock().expect("nobody panics with it").push(away);
            settled
        }
    }
    let away = Away::default();
    let taken = Arc::clone(&away);
    let builder = Engine::builder(move |_| Leaving(Arc::clone(&taken)))
        .pin(false)
        .sizing(Sizing::Fixed(10))
        .in_flight_max(2)
        .in_flight_for(100 * MILLISECOND);
    let mut engine = Stepped::new(builder).expect("it starts");
    let mut producer = engine.producer().expect("a lane");
    for round in 1..=20 {
        for key in 0..4 {
            for seq in 0..10 {
                producer.try_push(row(key, seq)).expect("there is room");
            }
        }
        // Two times two batches, none of which is settled in time.
        for _ in 0..2 {
            engine.settle();
            let late = std::mem::take(&mut *away.lock().expect("nobody panics with it"));
            assert_eq!(late.iter().map(|batch| batch.len()).collect::<Vec<_>>(), [10, 10]);
            engine.advance(200 * MILLISECOND);
            engine.settle();
            drop(late);
        }
        engine.settle();
        assert_eq!(engine.snapshot().timed_out, 40 * round);
    }
}
