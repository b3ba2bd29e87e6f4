//! When items go that are not enough for a batch.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{Nanos, Sizing, Trigger};

use crate::rows::{Log, MILLISECOND, row};

/// Vector: a busy input starved the timers of quiet keys, since they were looked at only when the
/// input paused.
#[test]
fn a_busy_input_does_not_starve_the_timers_of_quiet_keys() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    producer.push(row(1, 0)).expect("there is room");
    for seq in 0..=100_u64 {
        for at in 0..100 {
            producer.push(row(2, seq * 100 + at)).expect("there is room");
        }
        engine.turn();
        engine.advance(Duration::from_micros(100));
    }
    let seen = log.take();
    let quiet = seen.iter().position(|seen| seen.key == 1).expect("its deadline has come");
    assert_eq!(seen[quiet].trigger, Trigger::Deadline);
    assert!(quiet >= 98, "and not long before: after {quiet} batches of the busy key");
}

/// ultra-batch: every new item of a key started the delay anew, so that a trickle was never handed
/// over.
#[test]
fn a_new_item_does_not_start_the_delay_anew() {
    let log = Log::default();
    let (mut engine, mut producer) = log.stepped();
    for seq in 0..10 {
        producer.push(row(1, seq)).expect("there is room");
        engine.turn();
        assert!(log.take().is_empty());
        engine.advance(MILLISECOND);
    }
    engine.turn();
    assert_eq!(log.sizes(), [10], "10 ms after the first");
}

/// async-graphql: the timer of a batch that had gone by its size flushed the next one early.
#[test]
fn the_timer_of_a_batch_that_has_gone_does_not_flush_the_next_one_early() {
    let log = Log::default();
    let builder = log.builder().sizing(Sizing::Fixed(2));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    engine.turn();
    producer.push(row(1, 0)).expect("there is room");
    producer.push(row(1, 1)).expect("there is room");
    engine.turn();
    assert_eq!(log.sizes(), [2]);
    engine.advance(6 * MILLISECOND);
    engine.turn();
    producer.push(row(1, 2)).expect("there is room");
    engine.turn();
    // The first batch's timer.
    engine.advance(4 * MILLISECOND);
    engine.settle();
    assert!(log.take().is_empty(), "it waits for its own deadline");
    engine.advance(5 * MILLISECOND);
    engine.settle();
    assert!(log.take().is_empty());
    engine.advance(MILLISECOND);
    engine.settle();
    assert_eq!(log.sizes(), [1], "10 ms after its own push");
}

/// Kafka 4: a linger of 5 ms, on by default, doubled the time of callers who wait for each answer. Here a
/// call does not linger under any sizing, nor does a lone item under the default one.
#[test]
fn a_synchronous_caller_does_not_wait_for_company() {
    for sizing in [Sizing::default(), Sizing::Single, Sizing::Fixed(2), Sizing::Fixed(100)] {
        let log = Log::default();
        let builder = log.builder().sizing(sizing).replies_max(1);
        let mut engine = Stepped::new(builder).expect("allowed");
        let mut producer = engine.producer().expect("a lane is free");
        for seq in 0..100 {
            let ticket = producer.call(row(1, seq)).expect("a slot is free");
            engine.turn();
            let answer = ticket.wait_for(Duration::ZERO);
            assert_eq!(answer.expect("it is here"), Ok(()), "call {seq} with {sizing:?}");
        }
        assert_eq!(engine.now(), Nanos::ZERO, "the clock stood still");
        if let Sizing::Tiers(_) = sizing {
            log.take();
            producer.push(row(1, 0)).expect("there is room");
            engine.turn();
            assert_eq!(log.sizes(), [1]);
        }
    }
}
