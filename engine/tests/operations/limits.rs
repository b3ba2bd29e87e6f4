//! Limits by key, by time and by weight.

use std::time::Duration;

use engine::{Failure, Oversize, PushError, Trigger, Verdict};

use crate::scene::{
    Book, EXPIRES, Hand, Op, WEIGHS, acting, at_rest, handling, numbers, punctual, run_out, stepped,
};

#[test]
fn a_key_takes_exactly_as_many_items_as_it_may() {
    for most in [1, 2, 7, 50] {
        let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
        let (mut engine, mut producer) = stepped(acting(act).key_items_max(most));
        for n in 0..60 {
            producer.push(Op::new(1, n)).expect("room");
            producer.push(Op::new(2 + n as u64 % 30, n)).expect("room");
        }
        run_out(&mut engine);
        let last = at_rest(engine);
        let others = 60 - 30 * u64::from(2_u32.saturating_sub(most));
        assert_eq!(last.done, u64::from(most) + others, "{most}");
        assert_eq!(last.key_full, last.failed);
    }
}

#[test]
fn an_item_expires_wherever_it_waits_and_never_reaches_its_handler() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op<EXPIRES>>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act));
    let ms = Duration::from_millis;
    for (n, lives) in [(1, ms(2)), (2, ms(900)), (3, ms(4))] {
        producer.push(Op::new(1, n).living(lives)).expect("room");
    }
    engine.settle();
    engine.advance(ms(6));
    engine.settle();
    assert_eq!(engine.snapshot().expired, 2, "at once, not at the hand-over");
    run_out(&mut engine);
    assert_eq!(book.take(), [[2]]);
    // In its lane already.
    producer.push(Op::new(1, 4).living(ms(1))).expect("room");
    engine.advance(ms(5));
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.expired, last.failed), (3, 3));
}

#[test]
fn a_weight_is_looked_at_before_an_item_joins_and_one_too_heavy_goes_alone() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op<WEIGHS>>| {
        notes.note((hand.items().iter().map(|op| op.weight).collect::<Vec<_>>(), hand.trigger()));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act.clone()).batch_weight_max(10));
    for weight in [4, 6, 1, 25, 3, 8] {
        producer.push(Op::new(1, 0).weighing(weight)).expect("room");
    }
    run_out(&mut engine);
    let calls = book.take();
    let weights: Vec<_> = calls.iter().map(|(weights, _)| weights.clone()).collect();
    assert_eq!(weights, [vec![4, 6], vec![1], vec![25], vec![3], vec![8]], "{calls:?}");
    assert!(calls[..4].iter().all(|(_, trigger)| *trigger == Trigger::Weight), "{calls:?}");
    at_rest(engine);

    let builder = acting(act).batch_weight_max(10).oversize(Oversize::Refused);
    let (engine, mut producer) = stepped(builder);
    match producer.push(Op::new(1, 5).weighing(11)) {
        Err(PushError::TooHeavy(op)) => assert_eq!(op.n, 5),
        other => panic!("{other:?}"),
    }
    assert_eq!(at_rest(engine).accepted, 0);
}

#[test]
fn what_waits_behind_a_backoff_expires_in_its_time() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op<EXPIRES>>| {
        let first = hand.attempt(0) == 1;
        hand.settle_each(|op| {
            notes.note(op.n);
            if op.n == 1 && first { Verdict::Retry("again") } else { Verdict::Done(op.n) }
        })
    });
    let builder = acting(act).retry(punctual(2)).replies_max(4);
    let (mut engine, mut producer) = stepped(builder);
    let ms = Duration::from_millis;
    let _first = producer.call(Op::new(1, 1)).expect("a slot is free");
    engine.settle();
    let short = producer.call(Op::new(1, 2).living(ms(5))).expect("a slot is free");
    let long = producer.call(Op::new(1, 3).living(ms(500))).expect("a slot is free");
    engine.settle();
    engine.advance(ms(7));
    engine.settle();
    assert_eq!(book.take(), [1], "the backoff is 20 ms");
    let said = short.wait_for(ms(0)).expect("it has expired before the backoff is over");
    assert_eq!(said, Err(Failure::Expired));
    run_out(&mut engine);
    assert_eq!(book.take(), [1, 3]);
    assert_eq!(long.wait_for(ms(0)).expect("answered"), Ok(3));
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed, last.expired), (2, 1, 1));
}

#[test]
fn what_is_away_or_backs_off_counts_for_its_keys_limit() {
    let (away, gone) = (Book::new(), Book::new());
    let (taken, left) = (away.clone(), gone.clone());
    let act = handling(move |hand: Hand<'_, Op>| {
        left.note(numbers(&hand));
        if hand.items()[0].n < 10 {
            let (settled, detached) = hand.detach().expect("there is a credit");
            taken.note(detached);
            return settled;
        }
        let first = hand.attempt(0) == 1;
        hand.settle_each(|op| {
            if op.n == 20 && first { Verdict::Retry("again") } else { Verdict::Done(op.n) }
        })
    });
    let builder = acting(act).key_items_max(3).in_flight_max(1).replies_max(16).retry(punctual(2));
    let (mut engine, mut producer) = stepped(builder);
    let said = |ticket: engine::Ticket<i64, &'static str>| ticket.wait_for(Duration::ZERO).ok();
    let mut call = |n| producer.call(Op::new(1, n)).expect("there is room");

    let out = [call(1), call(2)];
    engine.settle();
    assert_eq!((gone.take(), engine.snapshot().in_flight), (vec![vec![1, 2]], 2));
    let (fits, over) = (call(11), [call(12), call(13)]);
    engine.settle();
    for ticket in over {
        assert_eq!(said(ticket), Some(Err(Failure::KeyFull)), "two are away, and one waits");
    }
    for detached in away.take() {
        detached.settle_each(|op| Verdict::Done(op.n));
    }
    run_out(&mut engine);
    assert_eq!(out.map(said), [Some(Ok(1)), Some(Ok(2))]);
    assert_eq!(said(fits), Some(Ok(11)));

    let backs_off = [call(20), call(21)];
    engine.settle();
    let (fits, over) = (call(22), call(23));
    engine.settle();
    assert_eq!(said(over), Some(Err(Failure::KeyFull)), "one backs off, two wait behind it");
    run_out(&mut engine);
    assert_eq!(backs_off.map(said), [Some(Ok(20)), Some(Ok(21))]);
    assert_eq!(said(fits), Some(Ok(22)));

    // All of that has made room again.
    let three = [call(31), call(32), call(33)];
    run_out(&mut engine);
    assert_eq!(three.map(said), [Some(Ok(31)), Some(Ok(32)), Some(Ok(33))]);
    let last = at_rest(engine);
    assert_eq!((last.key_full, last.failed, last.done), (3, 3, 9));
}
