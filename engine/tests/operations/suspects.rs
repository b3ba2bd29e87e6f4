//! Isolation convicts nobody but the item that it suspects.

use std::time::Duration;

use engine::{Detached, Failure, Verdict};

use crate::scene::{
    Book, Hand, Op, acting, at_rest, handling, numbers, panic_quietly, punctual, run_out, stepped,
};

/// Panics with whatever batch has the item 2, and lets the others do what they do.
fn panics_at_two(hand: &Hand<'_, Op>) {
    if hand.items().iter().any(|op| op.n == 2) {
        panic_quietly();
    }
}

#[test]
fn a_follow_up_that_a_suspect_emitted_is_not_taken_for_the_poisoned_item() {
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        all.note(numbers(&hand));
        panics_at_two(&hand);
        hand.settle_each_with(|op, follow_ups| {
            if op.n == 1 {
                follow_ups.emit(Op::new(1, 101)).expect("there is room");
            }
            Verdict::Done(op.n)
        })
    });
    let builder = acting(act).isolate_poisoned(true).follow_ups(2, 2).replies_max(8);
    let (mut engine, mut producer) = stepped(builder);
    let good = producer.call(Op::new(1, 1)).expect("there is room");
    let bad = producer.call(Op::new(1, 2)).expect("there is room");
    run_out(&mut engine);
    assert_eq!((good.wait(), bad.wait()), (Ok(1), Err(Failure::Panicked)));
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed), (2, 1), "{:?}", calls.take());
}

#[test]
fn a_suspect_that_is_to_be_tried_again_is_tried_again() {
    let act = handling(|hand: Hand<'_, Op>| {
        panics_at_two(&hand);
        let attempt = hand.attempt(0);
        hand.settle_each(|op| match (op.n, attempt) {
            (1, 1) => Verdict::Retry("later"),
            (n, _) => Verdict::Done(n),
        })
    });
    let builder = acting(act).isolate_poisoned(true).retry(punctual(3)).replies_max(8);
    let (mut engine, mut producer) = stepped(builder);
    let late = producer.call(Op::new(1, 1)).expect("there is room");
    let bad = producer.call(Op::new(1, 2)).expect("there is room");
    run_out(&mut engine);
    assert_eq!((late.wait(), bad.wait()), (Ok(1), Err(Failure::Panicked)));
    at_rest(engine);
}

#[test]
fn a_suspicion_ends_with_the_flight_of_its_suspects_when_their_time_is_up() {
    let away: Book<Detached<Op, i64, &'static str>> = Book::new();
    let all = away.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        let (settled, detached) = hand.detach().expect("there is a credit");
        all.note(detached);
        settled
    });
    let time = Duration::from_millis(500);
    let builder = acting(act).isolate_poisoned(true).in_flight_max(2).in_flight_for(time);
    let (mut engine, mut producer) = stepped(builder);
    let mut push = |range: std::ops::RangeInclusive<i64>| {
        range.for_each(|n| producer.try_push(Op::new(1, n)).expect("there is room"));
        producer.flush().expect("there is room");
    };
    push(1..=4);
    engine.settle();
    for detached in away.take() {
        detached.settle_all(|_, _| Err("bad"));
    }
    engine.settle();
    let half = away.take();
    assert_eq!(half.iter().map(Detached::len).collect::<Vec<_>>(), [2]);
    engine.advance(time * 2);
    engine.settle();
    assert_eq!(engine.snapshot().timed_out, 2);
    drop(half);
    engine.settle();

    push(5..=12);
    engine.settle();
    loop {
        let back = away.take();
        if back.is_empty() {
            break;
        }
        back.into_iter().for_each(|detached| detached.settle_each(|op| Verdict::Done(op.n)));
        engine.settle();
    }
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed), (10, 2));
}
