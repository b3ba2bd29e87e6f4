//! G12: what a snapshot says is true.

use std::thread;
use std::time::Duration;

use engine::{Shards, Sizing, Trigger};

use crate::witness::{
    Deed, Dice, LONG, MILLISECOND, Style, Witness, assert_at_rest, assert_conserved, sizings,
};

/// G12: batches, their sizes, their triggers and the turns are those that there were.
#[test]
fn histograms_and_triggers_count_the_batches_that_there_were() {
    for sizing in sizings() {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| builder.sizing(sizing).shards(Shards::Count(2)));
        let mut producer = engine.producer().expect("a lane is free");
        let mut dice = Dice(4);
        let mut calls = Vec::new();
        let (mut turns, mut deep_turns) = (0, 0);
        for seq in 0..3_000 {
            let deed = dice.one_of(&[Deed::Done, Deed::Done, Deed::Done, Deed::Panic]);
            let _ = producer.try_push(witness.op(0, dice.below(6), seq).deed(deed));
            if dice.below(30) == 0 {
                engine.advance(Duration::from_micros(dice.below(4_000)));
                let before = engine.snapshot();
                engine.turn();
                let after = engine.snapshot();
                let worked = |at: usize| after.shards[at].turns - before.shards[at].turns;
                turns += worked(0) + worked(1);
                deep_turns += (0..2)
                    .filter(|at| after.shards[*at].depth.len() > before.shards[*at].depth.len())
                    .count() as u64;
                calls.extend(witness.take().calls);
                assert_conserved(&after);
                assert_eq!(after.batches, calls.len() as u64);
            }
        }
        let last = engine.snapshot();
        assert_eq!((last.turns, last.depth.len()), (turns, deep_turns));
        for trigger in Trigger::ALL {
            let counted = calls.iter().filter(|call| call.trigger == trigger).count() as u64;
            assert_eq!(last.triggers[trigger.index()], counted, "{sizing}, {trigger}");
        }
        let sizes: Vec<usize> = calls.iter().map(|call| call.items).collect();
        for items in 1..=200_u64 {
            // Two digits: sizes up to 255 are told apart exactly.
            let counted = sizes.iter().filter(|size| **size as u64 == items).count() as u64;
            assert_eq!(last.batch_items.count_at(items), counted, "{sizing}: batches of {items}");
        }
        let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
        assert!((last.mean_batch() - mean).abs() < 1e-9);
        // Of each turn's batches the first eight are measured.
        for times in [&last.age, &last.execution, &last.lateness] {
            assert!(times.len() <= last.batches && times.len() * 16 >= last.batches);
            assert_eq!(times.len(), last.execution.len());
        }
    }
}

/// G12: ages, lateness and percentiles are those of the made-up clock.
#[test]
fn ages_and_lateness_are_measured_on_the_clock() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(100)));
    let mut producer = engine.producer().expect("a lane is free");
    for (seq, late_ms) in [0, 0, 0, 3].into_iter().enumerate() {
        engine.turn();
        producer.try_push(witness.op(0, 1, seq as u64)).expect("there is room");
        engine.turn();
        engine.advance((10 + late_ms) * MILLISECOND);
        engine.turn();
    }
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.triggers[Trigger::Deadline.index()], 4);
    let near = |measured: u64, ms: u64| {
        // A histogram of two digits is 1 % off at most.
        assert!(measured.abs_diff(ms * 1_000_000) <= ms * 10_000, "{measured} ns for {ms} ms");
    };
    near(snapshot.age.value_at_quantile(0.5), 10);
    near(snapshot.age.max(), 13);
    assert_eq!(snapshot.lateness.value_at_quantile(0.75), 0);
    near(snapshot.lateness.max(), 3);
    assert_eq!(snapshot.execution.max(), 0, "the clock stood still in the handler");
}

/// G12: a snapshot that is taken at any time adds up, with threads at work.
#[test]
fn snapshots_of_a_running_engine_add_up_and_never_go_back() {
    const ITEMS: u64 = 30_000;
    let witness = Witness::new(Style::Each);
    let engine =
        witness.started(|builder| builder.sizing(Sizing::Fixed(8)).shards(Shards::Count(2)));
    thread::scope(|scope| {
        let mut producer = engine.producer().expect("a lane is free");
        let witness = &witness;
        let pusher = scope.spawn(move || {
            for seq in 0..ITEMS {
                let deed = if seq % 100 == 7 { Deed::Panic } else { Deed::Done };
                producer.push(witness.op(0, seq % 9, seq).deed(deed)).expect("open");
            }
        });
        let mut last = engine.snapshot();
        while !pusher.is_finished() {
            let now = engine.snapshot();
            assert_eq!(now.accepted, now.settled() + now.waiting(), "{now}");
            assert!(now.accepted >= last.accepted && now.settled() >= last.settled());
            assert!(now.batch_items.len() >= last.batch_items.len());
            let of_shards: u64 = now.shards.iter().map(|shard| shard.accepted).sum();
            assert_eq!(now.accepted, of_shards);
            last = now;
        }
    });
    let last = engine.shutdown(LONG).expect("it drains");
    assert_at_rest(&last, ITEMS);
    assert_eq!((last.failed, last.handler_panics), (ITEMS / 100, ITEMS / 100));
}

/// G12: what people read has the numbers in it.
#[test]
fn a_snapshot_and_a_plan_read_as_tables_with_their_numbers() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(4)));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..10 {
        let deed = if seq == 1 { Deed::Panic } else { Deed::Done };
        producer.try_push(witness.op(0, 1, seq).deed(deed)).expect("there is room");
    }
    engine.turn();
    let said = engine.snapshot().to_string();
    for line in [
        "items      accepted 10, done 7, failed 1, dead 0",
        "waiting    0 in lanes, 2 open in 1 batches, 0 ready, 0 in handlers",
        "batches    3, of 3.3 items on average; p50 4, p99 4, largest 4",
        "triggers   size 3",
        "panics     handler 1, key 0, drop 0",
        "shard 0    not pinned, 3 batches, 8 settled",
    ] {
        assert!(said.contains(line), "no line `{line}` in\n{said}");
    }
    let plan = engine.plan().to_string();
    for part in ["sizing       fixed:4", "flush after  10ms", "64 keys and 1,024 items", "lanes  "]
    {
        assert!(plan.contains(part), "no `{part}` in\n{plan}");
    }
}
