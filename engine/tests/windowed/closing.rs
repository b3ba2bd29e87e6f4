//! G4: when a window closes, and how what is in it is handed over.

use std::time::Duration;

use engine::{Grouping, Nanos, Patience, Trigger};

use crate::witness::{MILLISECOND, Style, Witness, assert_at_rest};
use crate::{ITEMS, windowed};

pub(crate) const TEN_MILLISECONDS: Duration = Duration::from_millis(10);

#[test]
fn a_window_closes_when_it_is_full_and_its_keys_come_together_in_the_order_of_their_pushes() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(windowed);
    let mut producer = engine.producer().expect("a lane");
    for seq in 0..ITEMS as u64 {
        producer.try_push(witness.op(0, seq % 8, seq)).expect("room");
        if seq == 500 {
            engine.settle();
            let open = engine.snapshot();
            assert_eq!((open.open, open.open_batches, open.ready), (501, 1, 0), "{open}");
        }
    }
    engine.settle();
    assert_at_rest(&engine.snapshot(), ITEMS as u64);
    witness.assert_in_order();
    let sizes = witness.take().sizes();
    assert_eq!(sizes.len(), 8 * 2, "128 of each key: {sizes:?}");
    assert!(sizes.iter().all(|size| [(100, Trigger::Size), (28, Trigger::Size)].contains(size)));
}

#[test]
fn a_window_closes_at_the_deadline_of_its_oldest_item_and_not_more_than_half_of_it_early() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(windowed);
    let mut producer = engine.producer().expect("a lane");
    engine.settle();
    producer.try_push(witness.op(0, 1, 0)).expect("room");
    engine.settle();
    engine.advance(TEN_MILLISECONDS / 2 - Duration::from_nanos(1));
    producer.try_push(witness.op(0, 2, 0)).expect("room");
    engine.settle();
    assert_eq!(engine.snapshot().open, 2);
    let deadline = engine.next_deadline().expect("two wait");
    assert!(deadline <= Nanos::from(TEN_MILLISECONDS), "{deadline}");
    engine.advance(TEN_MILLISECONDS / 2 + Duration::from_nanos(1));
    engine.settle();
    assert_at_rest(&engine.snapshot(), 2);
    assert_eq!(witness.take().sizes(), [(1, Trigger::Deadline); 2]);
    assert_eq!(engine.next_deadline(), None);
}

#[test]
fn a_flush_and_an_item_with_little_patience_close_the_window() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(windowed);
    let mut producer = engine.producer().expect("a lane");
    producer.try_push(witness.op(0, 1, 0)).expect("room");
    producer.flush().expect("open");
    engine.settle();
    assert_eq!(witness.take().sizes(), [(1, Trigger::Flush)]);
    producer.try_push(witness.op(0, 1, 1)).expect("room");
    engine.settle();
    producer.try_push(witness.op(0, 1, 2).patience(Patience::None)).expect("room");
    engine.settle();
    assert_eq!(witness.take().sizes(), [(2, Trigger::Patience)]);
    let hurried = witness.op(0, 1, 3).patience(Patience::AtMost(MILLISECOND));
    producer.try_push(hurried).expect("room");
    engine.settle();
    assert_eq!(engine.snapshot().open, 1);
    engine.advance(MILLISECOND);
    engine.settle();
    assert_eq!(witness.take().sizes(), [(1, Trigger::Deadline)]);
    assert_at_rest(&engine.shutdown(), 4);
    witness.assert_nobody_lives();
}

#[test]
fn a_window_after_a_slow_one_closes_earlier_by_half_of_the_deadline_at_most() {
    for (slow, earliest) in [(8 * MILLISECOND, 5_000_000), (MILLISECOND, 8_900_000)] {
        let witness = Witness::new(Style::Each);
        let mut engine = witness.stepped(|builder| {
            windowed(builder)
                .grouping(Grouping::Windowed { items: 8_192 })
                .lane_items(8_192)
                .drain_items(8_192)
        });
        let mut producer = engine.producer().expect("a lane");
        let mut seqs = 0..;
        let mut push = |items| {
            let ops = seqs.by_ref().take(items).map(|seq| witness.op(0, seq % 4_000, seq));
            producer.push_run(&mut ops.collect::<Vec<_>>().into_iter()).expect("room")
        };
        push(8_192);
        assert!(engine.turn(), "it begins to close");
        engine.advance(slow);
        engine.settle();
        assert_eq!(engine.snapshot().done, 8_192);
        let pushed = engine.now();
        // As many take as long again, and a tenth more.
        push(8_191);
        engine.settle();
        let closes = engine.next_deadline().expect("a window fills").saturating_sub(pushed);
        assert!(closes >= Nanos::from_nanos(earliest), "{closes} after {slow:?}");
        assert!(
            closes <= Nanos::from(TEN_MILLISECONDS - slow.min(5 * MILLISECOND)),
            "{closes} after {slow:?}"
        );
        engine.advance(closes.into());
        engine.settle();
        assert_at_rest(&engine.snapshot(), 8_192 + 8_191);
        witness.assert_in_order();
    }
}

#[test]
fn a_turn_hands_over_a_bounded_part_of_a_window_and_goes_on_draining() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        windowed(builder)
            .grouping(Grouping::Windowed { items: 16_384 })
            .lane_items(16_384)
            .drain_items(16_384)
    });
    let mut producer = engine.producer().expect("a lane");
    let mut seqs = 0..;
    // Of one key, so that all lie in one partition.
    let mut push = |items| {
        let ops: Vec<_> = seqs.by_ref().take(items).map(|seq| witness.op(0, 1, seq)).collect();
        producer.push_run(&mut ops.into_iter()).expect("room")
    };
    push(16_384);
    for turn in 1..=3 {
        assert!(engine.turn());
        let here = engine.snapshot();
        let done = here.done as usize;
        assert!((turn * 4_096..turn * 4_196).contains(&done), "{done} after {turn} turns");
        assert_eq!(here.open as usize, 100 * (turn - 1), "what came meanwhile: {here}");
        push(100);
    }
    assert_eq!(engine.next_deadline(), Some(engine.now()), "there is work");
    engine.settle();
    let here = engine.snapshot();
    assert_eq!((here.done, here.open, here.ready), (16_384, 300, 0), "{here}");
    assert_at_rest(&engine.shutdown(), 16_684);
    witness.assert_in_order();
}

#[test]
fn a_flush_while_a_window_closes_closes_the_next_one_behind_it() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        windowed(builder)
            .grouping(Grouping::Windowed { items: 8_192 })
            .lane_items(8_192)
            .drain_items(8_192)
    });
    let mut producer = engine.producer().expect("a lane");
    let ops: Vec<_> = (0..8_192).map(|seq| witness.op(0, seq % 50, seq)).collect();
    producer.push_run(&mut ops.into_iter()).expect("room");
    assert!(engine.turn());
    assert!(engine.snapshot().ready > 0, "some are left");
    producer.push(witness.op(0, 7, 8_192)).expect("room");
    producer.flush().expect("open");
    engine.settle();
    assert_at_rest(&engine.snapshot(), 8_193);
    let sizes = witness.book(|book| book.sizes());
    assert_eq!(sizes.last(), Some(&(1, Trigger::Flush)));
    witness.assert_in_order();
}

#[test]
fn lateness_and_age_are_those_of_the_windows_oldest_item_and_its_own_patience_counts() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(windowed);
    let mut producer = engine.producer().expect("a lane");
    engine.settle();
    producer.try_push(witness.op(0, 1, 0).patience(Patience::AtMost(MILLISECOND))).expect("room");
    engine.advance(3 * MILLISECOND);
    engine.settle();
    let last = engine.shutdown();
    // The histograms round.
    let (age, late) = (last.age.max(), last.lateness.max());
    assert!((3_000_000..3_100_000).contains(&age), "{age}");
    assert!((2_000_000..2_100_000).contains(&late), "{late}");
}

#[test]
fn a_flush_before_other_items_of_its_lane_is_heard_too() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(windowed);
    let mut producer = engine.producer().expect("a lane");
    producer.push(witness.op(0, 1, 0)).expect("room");
    producer.flush().expect("open");
    producer.push(witness.op(0, 1, 1)).expect("room");
    engine.settle();
    assert_eq!(witness.take().sizes(), [(2, Trigger::Flush)]);
}
