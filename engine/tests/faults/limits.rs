//! Memory and weight, and what goes when there is no more of it.

use engine::Trigger;
use engine::testing::Stepped;

use crate::parcels::{Parcel, Scale};
use crate::rows::{Log, row};

/// OpenTelemetry collector: partial batches of many keys held all the memory until their timeout,
/// and new items were refused meanwhile.
#[test]
fn partial_batches_do_not_hold_all_the_memory_until_their_deadlines() {
    let log = Log::default();
    let builder = log.builder().open_keys(32).open_items(64).lane_items(64);
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..10_000 {
        if let Err(full) = producer.try_push(row(seq, seq)) {
            engine.turn();
            let item = full.into_inner();
            producer.try_push(item).expect("a turn makes room, without the clock");
        }
    }
    engine.settle();
    let snapshot = engine.snapshot();
    assert!(snapshot.triggers[Trigger::Pressure.index()] >= 10_000 - 32 - 64);
    assert_eq!(snapshot.triggers[Trigger::Deadline.index()], 0);
    let mut seqs: Vec<u64> = log.take().into_iter().flat_map(|seen| seen.seqs).collect();
    assert!(seqs.is_sorted(), "the oldest go first");
    seqs.dedup();
    assert_eq!(seqs.len() as u64, snapshot.done, "each once");
}

/// Broadway: the item with which a batch was over its limit of bytes went with it all the same.
#[test]
fn the_item_that_would_be_too_much_is_in_the_next_batch() {
    let scale = Scale::default();
    let engine = Stepped::new(scale.builder().batch_weight_max(10)).expect("it starts");
    let mut producer = engine.producer().expect("a lane");
    for weight in [4, 4, 4, 1, 6, 25, 3] {
        producer.try_push(Parcel { weight, retries: 0 }).expect("there is room");
    }
    let last = engine.shutdown();
    let batches: Vec<Vec<u32>> = scale.take().into_iter().map(|(_, weights)| weights).collect();
    // What is too heavy by itself goes alone.
    assert_eq!(batches, [vec![4, 4], vec![4, 1], vec![6], vec![25], vec![3]], "{last}");
}
