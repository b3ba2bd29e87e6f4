//! G5: no linger when shallow; impatient items at any depth.

use engine::{Patience, Sizing, Trigger};

use crate::witness::{Style, Witness, sizings};

/// G5: a turn that starts with ten items hands over all of them, one key's together.
#[test]
fn a_turn_that_starts_with_ten_items_hands_over_everything_open() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder);
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..10 {
        producer.try_push(witness.op(0, [7, 8][seq as usize % 2], seq)).expect("there is room");
    }
    engine.turn();
    let book = witness.take();
    assert_eq!(book.sizes(), [(5, Trigger::Shallow), (5, Trigger::Shallow)]);
    assert_eq!(book.seqs(), [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]);
    assert_eq!(engine.snapshot().open, 0);
}

/// G5: with eleven, what fills no batch lingers, until a turn finds less.
#[test]
fn a_turn_that_starts_with_eleven_items_lets_them_linger() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder);
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..11 {
        producer.try_push(witness.op(0, seq % 2, seq)).expect("there is room");
    }
    engine.turn();
    assert!(witness.take().calls.is_empty());
    assert_eq!(engine.snapshot().open, 11);
    engine.turn();
    assert_eq!(witness.take().sizes(), [(6, Trigger::Shallow), (5, Trigger::Shallow)]);
}

/// G5: what lingers from a deep turn goes together with what a shallow one finds.
#[test]
fn a_shallow_turn_takes_along_what_lingered_with_the_keys_new_items() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder);
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..11 {
        producer.try_push(witness.op(0, 7, seq)).expect("there is room");
    }
    engine.turn();
    assert_eq!(witness.take().sizes(), [(10, Trigger::Size)]);
    for (key, seq) in [(7, 11), (8, 12), (7, 13)] {
        producer.try_push(witness.op(0, key, seq)).expect("there is room");
    }
    engine.turn();
    let book = witness.take();
    assert_eq!(book.sizes(), [(3, Trigger::Shallow), (1, Trigger::Shallow)]);
    assert_eq!(book.seqs(), [10, 11, 13, 12]);
}

/// G5: an item without patience takes its batch along, at the end of the turn that finds it, at any
/// depth and under every sizing; other keys linger on.
#[test]
fn an_item_without_patience_takes_its_batch_along_under_every_sizing() {
    for sizing in sizings() {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| builder.sizing(sizing));
        let mut producer = engine.producer().expect("a lane is free");
        for seq in 0..30 {
            let op = witness.op(0, seq % 5, seq);
            // The key 3, in the middle; others of it come before and after.
            let hasty = seq == 18;
            let op = if hasty { op.patience(Patience::None) } else { op };
            producer.try_push(op).expect("there is room");
        }
        engine.turn();
        let book = witness.take();
        let seen: Vec<_> = book.seen.iter().filter(|seen| seen.key == 3).map(|it| it.seq).collect();
        assert_eq!(seen, [3, 8, 13, 18, 23, 28], "{sizing}");
        let lingers = matches!(sizing, Sizing::Fixed(100) | Sizing::Tiers(_));
        if lingers {
            assert_eq!(book.sizes(), [(6, Trigger::Patience)], "{sizing}");
            assert_eq!(engine.snapshot().open, 24, "{sizing}");
        }
    }
}

/// G5: a flush hands over all that came before it, and says why.
#[test]
fn a_flush_hands_over_what_is_open_under_every_sizing() {
    for sizing in sizings() {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| builder.sizing(sizing));
        let mut producer = engine.producer().expect("a lane is free");
        for seq in 0..31 {
            producer.try_push(witness.op(0, seq % 5, seq)).expect("there is room");
        }
        producer.flush().expect("the engine is open");
        engine.turn();
        assert_eq!(witness.take().seen.len(), 31, "{sizing}");
        // With nothing behind it, and nothing before it in the lane, a flush still finds what is open.
        for seq in 31..50 {
            producer.try_push(witness.op(0, seq % 5, seq)).expect("there is room");
        }
        engine.turn();
        producer.flush().expect("the engine is open");
        engine.turn();
        assert_eq!(witness.take().seen.len(), 19, "{sizing}");
        let flushes = engine.snapshot().triggers[Trigger::Flush.index()];
        assert!(flushes > 0 || sizing == Sizing::Single, "{sizing}");
    }
}

/// G5: a flush is for what this producer pushed before it; what it pushes later may linger.
#[test]
fn what_comes_after_a_flush_in_a_later_turn_lingers_again() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(100)));
    let mut producer = engine.producer().expect("a lane is free");
    producer.try_push(witness.op(0, 1, 0)).expect("there is room");
    producer.flush().expect("the engine is open");
    engine.turn();
    producer.try_push(witness.op(0, 1, 1)).expect("there is room");
    engine.turn();
    assert_eq!(witness.take().seqs(), [0]);
    assert_eq!(engine.snapshot().open, 1);
}
