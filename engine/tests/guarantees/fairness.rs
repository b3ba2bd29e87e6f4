//! G9: fair.

use engine::{Sizing, Trigger};

use crate::witness::{Style, Witness};

/// G9: a turn takes a bounded run from each lane, so a producer that keeps its lane full holds
/// nobody up: the other's item is in the very next turn.
#[test]
fn a_fast_producer_cannot_starve_a_slow_one() {
    for sizing in [Sizing::Single, Sizing::Fixed(1), Sizing::default()] {
        let witness = Witness::new(Style::Each);
        let mut engine =
            witness.stepped(|builder| builder.drain_items(4).lane_items(64).sizing(sizing));
        let mut fast = engine.producer().expect("a lane is free");
        let mut slow = engine.producer().expect("a lane is free");
        let mut seq = 0;
        for round in 0..100 {
            while fast.try_push(witness.op(0, 1, seq)).is_ok() {
                seq += 1;
            }
            slow.try_push(witness.op(1, 2, round)).expect("there is room");
            engine.turn();
            let book = witness.take();
            let of_fast = book.seen.iter().filter(|seen| seen.from == 0).count();
            assert!(of_fast <= 4 + 10, "a bounded run, not {of_fast}");
            if !matches!(sizing, Sizing::Tiers(_)) {
                assert!(book.seen.iter().any(|seen| seen.from == 1), "in the next turn");
            }
        }
        engine.settle();
        assert!(engine.snapshot().in_lanes == 0);
    }
}

/// G9: whichever lane is the first in one turn is not the first in the next.
#[test]
fn the_first_place_of_a_turn_goes_round_the_lanes() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.drain_items(1).sizing(Sizing::Single));
    let mut producers: Vec<_> = (0..3).map(|_| engine.producer().expect("free")).collect();
    let mut firsts = [0; 3];
    for seq in 0..40 {
        for (from, producer) in producers.iter_mut().enumerate() {
            producer.try_push(witness.op(from as u32, from as u64, seq)).expect("there is room");
        }
        engine.turn();
        let book = witness.take();
        assert_eq!(book.seen.len(), 3, "one from each lane");
        firsts[book.seen[0].from as usize] += 1;
    }
    assert!(firsts.iter().all(|times| *times >= 10), "{firsts:?}");
}

/// G9: batches are handed over in the order in which they became ready, so a hot key's many do not
/// come before another's one.
#[test]
fn batches_are_handed_over_in_the_order_in_which_they_became_ready() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(2)));
    let mut producer = engine.producer().expect("a lane is free");
    // Hot key 1, and a pair of key 2 that is complete after four of the hot ones.
    let keys = [1, 2, 1, 1, 1, 2, 1, 1, 1, 1];
    for (seq, key) in keys.into_iter().enumerate() {
        producer.try_push(witness.op(0, key, seq as u64)).expect("there is room");
    }
    engine.turn();
    let book = witness.take();
    let order: Vec<_> = book.calls.iter().map(|call| call.key).collect();
    assert_eq!(order, [1, 1, 2, 1, 1]);
    assert!(book.calls.iter().all(|call| call.trigger == Trigger::Size));
}

/// G9: one hot key in every lane leaves another key's item at most one turn behind its deadline's.
#[test]
fn a_hot_key_cannot_starve_another() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.drain_items(8).sizing(Sizing::Fixed(3)));
    let mut producer = engine.producer().expect("a lane is free");
    let mut seq = 0;
    let mut refill = |with: Option<u64>| {
        if let Some(key) = with {
            producer.try_push(witness.op(0, key, seq)).expect("there is room for one");
            seq += 1;
        }
        // Leaves room for one.
        for _ in 0..8 {
            let _ = producer.try_push(witness.op(0, 1, seq)).map(|()| seq += 1);
        }
    };
    refill(None);
    engine.turn();
    refill(Some(2));
    engine.turn();
    engine.turn();
    engine.advance(std::time::Duration::from_millis(10));
    refill(None);
    engine.turn();
    let book = witness.take();
    assert!(book.seen.iter().any(|seen| seen.key == 2), "{:?}", book.sizes());
}
