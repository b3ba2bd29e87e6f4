//! G1: settled once.

use std::collections::HashMap;

use crate::witness::{Deed, Dice, Style, Witness, assert_at_rest, assert_conserved, sizings};

/// G1, G12: at every step accepted items are somewhere, and in the end each is settled once, with
/// the verdict that was given about it.
#[test]
fn every_item_is_settled_once_and_the_counters_add_up_after_every_turn() {
    for sizing in sizings() {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| builder.sizing(sizing).drain_items(7));
        let mut dice = Dice(1);
        let mut producer = engine.producer().expect("a lane is free");
        let mut expected: HashMap<Deed, u64> = HashMap::new();
        let mut accepted = 0;
        for seq in 0..3_000 {
            let deed = dice.one_of(&[Deed::Done, Deed::Done, Deed::Fail, Deed::Retry, Deed::Panic]);
            let op = witness.op(0, dice.below(9), seq).deed(deed);
            if producer.try_push(op).is_ok() {
                *expected.entry(deed).or_default() += 1;
                accepted += 1;
            }
            if dice.below(4) == 0 {
                engine.advance(std::time::Duration::from_micros(dice.below(3_000)));
                engine.turn();
                assert_conserved(&engine.snapshot());
            }
        }
        let last = engine.shutdown();
        assert_at_rest(&last, accepted);
        let of = |deed| expected[&deed];
        assert_eq!(last.done, of(Deed::Done), "{sizing}");
        assert_eq!(last.failed, of(Deed::Fail) + of(Deed::Panic), "{sizing}");
        assert_eq!(last.dead, of(Deed::Retry), "{sizing}");
        assert_eq!(last.handler_panics, of(Deed::Panic), "{sizing}");
        let book = witness.take();
        assert_eq!(book.seen.len() as u64, accepted, "each was decided once");
        drop(producer);
        witness.assert_nobody_lives();
    }
}

/// G1: what a handler answers is dropped once, like the items, however it settles.
#[test]
fn items_replies_and_errors_are_dropped_once_under_every_way_to_settle() {
    for style in [Style::Each, Style::Owned, Style::All, Style::Bulk] {
        let witness = Witness::new(style);
        let mut engine = witness.stepped(|builder| builder.sizing(engine::Sizing::Fixed(5)));
        let mut producer = engine.producer().expect("a lane is free");
        let mut dice = Dice(2);
        let deeds =
            [Deed::Done, Deed::Fail, Deed::Retry, Deed::Panic, Deed::LeaveOnce, Deed::Leave];
        let mut accepted = 0;
        for seq in 0..2_000 {
            let op = witness.op(0, dice.below(3), seq).deed(dice.one_of(&deeds));
            accepted += u64::from(producer.try_push(op).is_ok());
            if dice.below(10) == 0 {
                engine.turn();
                assert_conserved(&engine.snapshot());
                let waiting = engine.snapshot().waiting() as isize;
                assert!(witness.items.alive() >= waiting, "who waits lives");
            }
        }
        let last = engine.shutdown();
        assert_at_rest(&last, accepted);
        assert_eq!(witness.items.made(), 2_000);
        assert!(witness.replies.made() > 100 && witness.errors.made() > 100, "{style:?}");
        drop(producer);
        witness.assert_nobody_lives();
    }
}

/// G1: an engine that goes without a word drops what lies in its lanes and batches.
#[test]
fn a_stepped_engine_dropped_with_items_everywhere_drops_each_once() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.sizing(engine::Sizing::Fixed(50)));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..40 {
        producer.try_push(witness.op(0, seq % 3, seq)).expect("there is room");
        if seq == 20 {
            engine.turn();
        }
    }
    assert_eq!(engine.snapshot().open, 21);
    assert_eq!(witness.items.alive(), 40);
    drop(engine);
    drop(producer);
    witness.assert_nobody_lives();
}
