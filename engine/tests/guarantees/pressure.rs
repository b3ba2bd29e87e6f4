//! G6: memory is fixed, and partial batches never sit on all of it.

use engine::{Patience, Sizing, Trigger};

use crate::witness::{Dice, MILLISECOND, Style, Witness, assert_at_rest, assert_conserved};

/// G6: one key more than may be open sends the oldest batch on its way.
#[test]
fn with_too_many_open_keys_the_oldest_batch_goes_early() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.open_keys(4).sizing(Sizing::Fixed(100)));
    let mut producer = engine.producer().expect("a lane is free");
    for key in 0..4 {
        producer.try_push(witness.op(0, key, key)).expect("there is room");
        engine.turn();
        engine.advance(std::time::Duration::from_micros(500));
    }
    assert!(witness.take().calls.is_empty());
    producer.try_push(witness.op(0, 4, 4)).expect("there is room");
    engine.turn();
    let book = witness.take();
    assert_eq!(book.sizes(), [(1, Trigger::Pressure)]);
    assert_eq!(book.seqs(), [0]);
    assert_eq!(engine.snapshot().open, 4);
}

/// G6: keys without end through few places: every batch that goes early goes in the order of its
/// opening, and no more keys are ever open than may be.
#[test]
fn ever_new_keys_pass_through_few_places() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.open_keys(8).sizing(Sizing::Fixed(100)));
    let mut producer = engine.producer().expect("a lane is free");
    for key in 0..2_000 {
        producer.try_push(witness.op(0, key, key)).expect("there is room");
        if key % 5 == 0 {
            engine.turn();
            assert!(engine.snapshot().open_batches <= 8 && engine.snapshot().known_keys <= 8);
        }
    }
    let last = engine.shutdown();
    assert_at_rest(&last, 2_000);
    assert_eq!(last.triggers[Trigger::Deadline.index()], 0, "the clock stood still");
    assert!(last.triggers[Trigger::Pressure.index()] >= 1_990);
    assert_eq!(witness.take().seqs(), (0..2_000).collect::<Vec<_>>());
}

/// G6: items beyond the memory for open batches send the oldest on their way at once: with a clock
/// that stands still, no more than that memory stays behind.
#[test]
fn partial_batches_make_room_before_their_deadlines() {
    for open_items in [1, 2, 16, 100, 500] {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| {
            builder.open_items(open_items).open_keys(64).sizing(Sizing::Fixed(100))
        });
        let mut producer = engine.producer().expect("a lane is free");
        let mut dice = Dice(open_items as u64);
        let mut most_open = 0;
        let mut seq = 0;
        while seq < 20_000 {
            if producer.try_push(witness.op(0, dice.below(60), seq)).is_ok() {
                seq += 1;
            } else {
                engine.turn();
                assert_conserved(&engine.snapshot());
                most_open = most_open.max(engine.snapshot().open);
            }
        }
        engine.settle();
        let snapshot = engine.snapshot();
        assert_eq!(snapshot.in_lanes + snapshot.ready, 0, "turns never get stuck");
        assert!(snapshot.memory_stops > 0 || open_items >= 500, "{open_items}: {snapshot}");
        assert_eq!(snapshot.triggers[Trigger::Deadline.index()], 0);
        // Blocks come in classes, and a few of the largest are kept in reserve.
        assert!(most_open <= 4 * open_items as u64 + 1_000, "{open_items}: {most_open} open");
        assert_at_rest(&engine.shutdown(), seq);
        witness.assert_in_order();
        assert_eq!(witness.take().seen.len() as u64, seq);
    }
}

/// G6: a full memory does not cost a busy key its batches for good: when the load shifts to it, they
/// fill again.
#[test]
fn after_pressure_by_many_keys_few_keys_fill_their_batches_again() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        builder.open_items(600).open_keys(1_000).lane_items(1_024).sizing(Sizing::Fixed(50))
    });
    let mut producer = engine.producer().expect("a lane is free");
    let mut seq = 0;
    for key in 0..5_000 {
        producer.try_push(witness.op(0, key, seq)).expect("there is room");
        seq += 1;
        if seq % 500 == 0 {
            engine.settle();
        }
    }
    engine.settle();
    engine.advance(std::time::Duration::from_secs(1));
    engine.settle();
    witness.take();
    for round in 0..40_u64 {
        for _ in 0..500 {
            producer.try_push(witness.op(0, seq % 4, seq)).expect("there is room");
            seq += 1;
        }
        engine.settle();
        let book = witness.take();
        let full = book.calls.iter().filter(|call| call.items == 50).count();
        assert!(round < 2 || full >= 8, "round {round}: {full} full batches of {:?}", book.sizes());
    }
    assert_at_rest(&engine.shutdown(), seq);
}

/// G1, G6: a burst of hurried items through next to no memory, in one turn: deadlines brought forward
/// and batches sent early work on the same few records, and each of those goes back once.
#[test]
fn bursts_of_hurried_items_through_little_memory_settle_each_item_once() {
    const BURST: u64 = 400;
    const KEYS: u64 = 10;
    for seed in 0..300 {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| {
            let builder = builder.lane_items(512).open_items(8).open_keys(16);
            builder.sizing(Sizing::Fixed(2))
        });
        let mut producer = engine.producer().expect("a lane is free");
        let mut dice = Dice(seed);
        for burst in 1..=3 {
            for seq in (burst - 1) * BURST..burst * BURST {
                let hurried = Patience::AtMost(MILLISECOND);
                let patience = if seq % 4 == 3 { hurried } else { Patience::Engine };
                let op = witness.op(0, dice.below(KEYS), seq).patience(patience);
                producer.try_push(op).expect("there is room");
            }
            // The first turn takes as much as the memory lets it.
            while engine.turn() {
                let snapshot = engine.snapshot();
                assert_conserved(&snapshot);
                let (open, known) = (snapshot.open_batches, snapshot.known_keys);
                assert!(open <= known && known <= KEYS, "seed {seed}: {open} of {known}");
            }
            let snapshot = engine.snapshot();
            assert_eq!(snapshot.accepted, burst * BURST, "seed {seed}");
            assert_eq!(snapshot.in_lanes + snapshot.ready, 0, "seed {seed}");
            engine.advance(MILLISECOND);
        }
        let last = engine.shutdown();
        assert_at_rest(&last, 3 * BURST);
        assert_eq!(last.done, 3 * BURST, "seed {seed}");
        assert!(last.known_keys <= KEYS && last.open_batches == 0, "seed {seed}: {last}");
        assert_eq!(witness.book(|book| book.seen.len()) as u64, 3 * BURST, "seed {seed}");
        witness.assert_in_order();
        drop(producer);
        witness.assert_nobody_lives();
    }
}
