//! Whose turn it is: batches that had to wait are not smaller for it, and follow-ups leave others theirs.

use std::time::Duration;

use engine::{Detached, EmitError, Retry, Sizing, Verdict};

use crate::scene::{Book, Hand, LINGER, Op, acting, at_rest, handling, numbers, run_out, stepped};

/// Pushes eight items of a key, each later than the one before lingers.
fn trickle<H>(
    engine: &mut engine::testing::Stepped<H>,
    producer: &mut engine::EngineProducer<H>,
    key: u64,
) where
    H: engine::Handler<Item = Op>,
{
    for n in 1..=8 {
        producer.try_push(Op::new(key, n)).expect("there is room");
        engine.settle();
        engine.advance(LINGER + Duration::from_millis(1));
        engine.settle();
    }
}

#[test]
fn what_comes_behind_a_backoff_goes_in_one_batch_though_each_has_lingered() {
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        all.note(numbers(&hand));
        let attempt = hand.attempt(0);
        hand.settle_each(|op| match (op.n, attempt) {
            (0, 1) => Verdict::Retry("later"),
            (n, _) => Verdict::Done(n),
        })
    });
    let wait = Duration::from_millis(100);
    let retry = Retry { attempts: 2, first: wait, longest: wait, jitter: 0.0, seed: 0 };
    let (mut engine, mut producer) = stepped(acting(act).retry(retry));
    producer.try_push(Op::new(1, 0)).expect("there is room");
    producer.flush().expect("there is room");
    engine.settle();
    trickle(&mut engine, &mut producer, 1);
    run_out(&mut engine);
    assert_eq!(calls.take(), [vec![0], vec![0], (1..=8).collect()]);
    at_rest(engine);
}

#[test]
fn while_all_credits_are_out_batches_fill() {
    let away: Book<Detached<Op, i64, &'static str>> = Book::new();
    let all = away.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        let (settled, detached) = hand.detach().expect("there is a credit");
        all.note(detached);
        settled
    });
    let (mut engine, mut producer) = stepped(acting(act).in_flight_max(1));
    producer.try_push(Op::new(1, 0)).expect("there is room");
    producer.flush().expect("there is room");
    engine.settle();
    trickle(&mut engine, &mut producer, 2);
    let mut sizes = Vec::new();
    loop {
        let back = away.take();
        if back.is_empty() {
            break;
        }
        for detached in back {
            sizes.push(detached.len());
            detached.settle_each(|op| Verdict::Done(op.n));
        }
        engine.settle();
    }
    assert_eq!(sizes, [1, 8]);
    at_rest(engine);
}

#[test]
fn a_key_whose_follow_ups_go_on_and_on_does_not_keep_others_waiting() {
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        all.note(hand.key());
        hand.settle_each_with(|op, follow_ups| {
            for _ in 0..if op.key == 1 { 2 } else { 0 } {
                // Too deep at last.
                drop(follow_ups.emit(Op::new(1, op.n + 1)));
            }
            Verdict::Done(op.n)
        })
    });
    let builder = acting(act).sizing(Sizing::Single).follow_ups(2, 10);
    let (mut engine, mut producer) = stepped(builder);
    producer.try_push(Op::new(1, 0)).expect("there is room");
    producer.try_push(Op::new(2, 0)).expect("there is room");
    run_out(&mut engine);
    let keys = calls.take();
    assert_eq!((keys.len(), keys.iter().position(|key| *key == 2)), (2_048, Some(1)));
    at_rest(engine);
}

/// Settles all of a batch.
fn all_of(hand: Hand<'_, Op>) -> engine::Settled<'_> {
    hand.settle_each(|op| Verdict::Done(op.n))
}

/// Settles the first of a batch, and leaves the others for another call.
fn one_of(hand: Hand<'_, Op>) -> engine::Settled<'_> {
    hand.settle_bulk(|_, ops, verdicts| verdicts.set(0, Verdict::Done(ops[0].n)))
}

/// The keys of the calls, one after the other, for what was pushed of these keys, two a batch.
fn calls_for(keys: &[u64], handle: fn(Hand<'_, Op>) -> engine::Settled<'_>) -> Vec<u64> {
    let calls = Book::new();
    let all = calls.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        all.note(hand.key());
        handle(hand)
    });
    let builder = acting(act).queues(true).sizing(Sizing::Fixed(2));
    let (mut engine, mut producer) = stepped(builder);
    for (n, &key) in keys.iter().enumerate() {
        producer.try_push(Op::new(key, n as i64)).expect("there is room");
    }
    engine.settle();
    let calls = calls.take();
    at_rest(engine);
    calls
}

#[test]
fn a_key_with_many_batches_is_behind_the_other_ready_keys_after_each() {
    assert_eq!(calls_for(&[1, 2, 1, 1, 1, 2, 1, 1, 1, 1], all_of), [1, 2, 1, 1, 1]);
}

#[test]
fn a_key_whose_calls_leave_a_rest_does_not_keep_others_waiting() {
    let keys: Vec<_> = std::iter::repeat_n(1, 40).chain([2, 2]).collect();
    let calls = calls_for(&keys, one_of);
    assert_eq!(calls.len(), 42, "an item a call");
    assert_eq!(calls.iter().position(|key| *key == 2), Some(1), "{calls:?}");
}

#[test]
fn follow_ups_that_there_is_no_memory_for_come_back() {
    let refused = Book::new();
    let all = refused.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        hand.settle_each_with(|op, follow_ups| {
            for n in 0..8 {
                match follow_ups.emit(Op::new(1, n)) {
                    Ok(()) | Err(EmitError::TooDeep(_)) => {}
                    Err(EmitError::NoRoom(op)) => all.note(op.n),
                    Err(other) => panic!("{other}"),
                }
            }
            Verdict::Done(op.n)
        })
    });
    let builder = acting(act).sizing(Sizing::Single).open_items(64).follow_ups(8, 4);
    let (mut engine, mut producer) = stepped(builder);
    for n in 0..64 {
        producer.try_push(Op::new(1, n)).expect("there is room");
    }
    run_out(&mut engine);
    assert!(!refused.take().is_empty(), "there is memory for 73");
    at_rest(engine);
}
