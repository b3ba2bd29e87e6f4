//! Isolation convicts nobody but the item that it suspects.

use std::time::Duration;

use engine::{Detached, Failure, Sizing, Verdict};

use crate::scene::{
    Book, ENTITIES, EXPIRES, Hand, Op, acting, at_rest, handling, numbers, panic_quietly, punctual,
    run_out, stepped,
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

/// Batches that were taken along; all of them are settled as one, and those with a bad item fail.
fn settle_all_but(
    bad: i64,
    away: &Book<Detached<Op, i64, &'static str>>,
    done: &Book<i64>,
) -> bool {
    settle_as_one(bad, away.take(), done)
}

fn settle_as_one<const CAN: u8>(
    bad: i64,
    away: Vec<Detached<Op<CAN>, i64, &'static str>>,
    done: &Book<i64>,
) -> bool {
    let some = !away.is_empty();
    for detached in away {
        detached.settle_all(|_, ops| {
            if ops.iter().any(|op| op.n == bad) {
                return Err("bad");
            }
            ops.iter().for_each(|op| done.note(op.n));
            Ok(0)
        });
    }
    some
}

#[test]
fn a_suspicion_is_of_the_items_of_its_call_whatever_else_of_their_key_is_away() {
    type Act = Op<ENTITIES>;
    for (size, bad) in [(3, 3), (2, 2), (2, 1), (3, 5), (2, 4), (1, 2)] {
        let away: Book<Detached<Act, i64, &'static str>> = Book::new();
        let (all, done) = (away.clone(), Book::new());
        let act = handling(move |hand: Hand<'_, Act>| {
            let (settled, detached) = hand.detach().expect("there is a credit");
            all.note(detached);
            settled
        });
        let builder = acting(act).isolate_poisoned(true).in_flight_max(2);
        let (mut engine, mut producer) =
            stepped(builder.sizing(Sizing::Fixed(size)).replies_max(8));
        let ops = (1..=5).map(|n| Act::new(1, n).of(n as u64));
        let tickets = producer.call_all(&mut ops.into_iter()).expect("slots");
        producer.flush().expect("room");
        engine.settle();
        // One after the other, so that the second is away while the first is told apart.
        let mut waiting = away.take();
        while !waiting.is_empty() {
            settle_as_one(bad, vec![waiting.remove(0)], &done);
            engine.settle();
            waiting.extend(away.take());
        }
        let answers = tickets.wait_for(Duration::ZERO).expect("all are answered");
        for (n, answer) in (1..).zip(answers) {
            let right = if n == bad { Err(Failure::Handler("bad")) } else { Ok(0) };
            assert_eq!(answer, right, "#{n} where {bad} is bad, by {size}");
        }
        at_rest(engine);
    }
}

#[test]
fn a_half_that_nobody_gives_back_clears_nobody_and_convicts_nobody() {
    let away: Book<Detached<Op, i64, &'static str>> = Book::new();
    let (all, done) = (away.clone(), Book::new());
    let act = handling(move |hand: Hand<'_, Op>| {
        let (settled, detached) = hand.detach().expect("there is a credit");
        all.note(detached);
        settled
    });
    let builder = acting(act).isolate_poisoned(true).in_flight_max(1).sizing(Sizing::Fixed(2));
    let (mut engine, mut producer) = stepped(builder);
    (1..=2).for_each(|n| producer.push(Op::new(1, n)).expect("there is room"));
    engine.settle();
    assert!(settle_all_but(2, &away, &done));
    engine.settle();
    let half = away.take();
    assert_eq!(half[0].items()[0].n, 1);
    drop(half);
    engine.settle();
    assert!(settle_all_but(0, &away, &done), "the other half is handed over");
    engine.settle();
    assert_eq!(done.take(), [2]);
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed), (1, 1));
}

#[test]
fn what_expires_behind_the_suspects_does_not_begin_their_trial_anew() {
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Op<EXPIRES>>| {
        all.note(numbers(&hand));
        hand.settle_all(|_, ops| if ops.iter().any(|op| op.n == 15) { Err("bad") } else { Ok(0) })
    });
    let builder = acting(act).isolate_poisoned(true).sizing(Sizing::Fixed(16));
    let (mut engine, mut producer) = stepped(builder);
    (0..16).for_each(|n| producer.push(Op::new(1, n)).expect("there is room"));
    let lives = Duration::from_millis(1);
    for n in 100..120 {
        producer.push(Op::new(1, n).living(lives)).expect("there is room");
        engine.turn();
        engine.advance(lives * 2);
        engine.turn();
    }
    let last = at_rest(engine);
    let calls = calls.take();
    assert_eq!((last.done, last.failed, last.expired), (15, 21, 20), "{calls:?}");
    // The first, and ⌈log2 16⌉ + 1 more at most.
    assert!(calls.len() <= 6, "{calls:?}");
}

#[test]
fn what_is_left_of_suspects_that_expired_is_handed_over_and_not_convicted() {
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Op<EXPIRES>>| {
        all.note(numbers(&hand));
        hand.settle_all(|_, ops| if ops.iter().any(|op| op.n == 1) { Err("bad") } else { Ok(0) })
    });
    let builder = acting(act).isolate_poisoned(true).sizing(Sizing::Fixed(2));
    let (mut engine, mut producer) = stepped(builder);
    let lives = Duration::from_millis(5);
    producer.push(Op::new(1, 1).living(lives)).expect("there is room");
    producer.push(Op::new(1, 2)).expect("there is room");
    engine.turn();
    engine.advance(lives * 2);
    engine.settle();
    assert_eq!(calls.take(), [vec![1, 2], vec![2]]);
    let last = at_rest(engine);
    assert_eq!((last.done, last.expired), (1, 1));
}

#[test]
fn what_a_bulk_call_leaves_undecided_behind_a_retry_of_its_entity_comes_again() {
    type Act = Op<ENTITIES>;
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Act>| {
        all.note(numbers(&hand));
        let nth = all.len();
        if nth == 1 {
            panic_quietly();
        }
        hand.settle_bulk(|_, ops, verdicts| {
            if nth == 2 {
                return verdicts.set(0, Verdict::Retry("later"));
            }
            (0..ops.len()).for_each(|at| verdicts.set(at, Verdict::Done(0)));
        })
    });
    let builder = acting(act).isolate_poisoned(true).retry(punctual(3)).sizing(Sizing::Fixed(4));
    let (mut engine, mut producer) = stepped(builder);
    for (n, entity) in [(1, 1), (2, 2), (3, 1), (4, 1)] {
        producer.push(Act::new(1, n).of(entity)).expect("there is room");
    }
    engine.settle();
    // The one of another entity goes at once, and waits for no backoff.
    assert_eq!(calls.take(), [vec![1, 2, 3, 4], vec![1, 2], vec![2]]);
    assert_eq!(at_rest(engine).done, 4);
}

#[test]
fn a_suspect_that_failed_by_itself_may_have_been_the_bad_one() {
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        all.note(numbers(&hand));
        if hand.len() > 1 {
            return hand.settle_all(|_, _| Err("one of these"));
        }
        hand.settle_each(|op| if op.n == 1 { Verdict::Failed("bad") } else { Verdict::Done(0) })
    });
    let builder = acting(act).isolate_poisoned(true).sizing(Sizing::Fixed(2));
    let (mut engine, mut producer) = stepped(builder);
    (1..=2).for_each(|n| producer.push(Op::new(1, n)).expect("there is room"));
    engine.settle();
    assert_eq!(calls.take(), [vec![1, 2], vec![1], vec![2]]);
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed), (1, 1));
}
