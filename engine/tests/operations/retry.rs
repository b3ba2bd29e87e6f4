//! Retries: waits, order, identity, dead letters, bounds.

use std::collections::HashMap;
use std::time::Duration;

use engine::{DeadLetter, ItemId, Nanos, Order, Retry, Trigger, Verdict};

use crate::scene::{
    Book, Hand, LINGER, Op, acting, at_rest, handling, numbers, punctual, run_out, sizings, stepped,
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_retry_waits_on_the_clock_never_less_than_it_must_and_never_past_the_longest() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note(hand.attempt(0));
        hand.settle_each(|_| Verdict::Retry("again"))
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(6)).replies_max(1));
    let _ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    engine.settle();
    assert_eq!(book.take(), [1]);
    for (attempt, wait) in [(2, 20), (3, 40), (4, 80), (5, 100), (6, 100)] {
        let due = engine.now().saturating_add(Nanos::from(wait * MS));
        while engine.now().saturating_add(Nanos::from(MS)) < due {
            engine.advance(MS);
            engine.settle();
            assert_eq!(book.take(), [0_u32; 0], "attempt {attempt} at {} of {due}", engine.now());
        }
        // A tick of the wheel later at most.
        engine.advance(2 * MS);
        engine.settle();
        assert_eq!(book.take(), [attempt]);
    }
    let last = at_rest(engine);
    assert_eq!((last.dead, last.retries), (1, 5));
}

#[test]
fn chance_spreads_waits_by_the_seed_alone() {
    let waits = |seed| {
        let book = Book::new();
        let notes = book.clone();
        let act = handling(move |hand: Hand<'_, Op>| hand.settle_each(|_| Verdict::Retry("again")));
        let retry = Retry { jitter: 1.0, seed, ..punctual(5) };
        let hook = move |letter: DeadLetter<'_, Op, &'static str>| notes.note(letter.now);
        let (mut engine, mut producer) = stepped(acting(act).retry(retry).dead_letters(hook));
        for key in 0..8 {
            producer.push(Op::new(key, 1)).expect("room");
        }
        run_out(&mut engine);
        at_rest(engine);
        book.take()
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

#[test]
fn order_stands_across_retries_under_every_sizing() {
    for sizing in sizings() {
        let book = Book::new();
        let notes = book.clone();
        let act = handling(move |hand: Hand<'_, Op>| {
            let attempts: HashMap<i64, u32> =
                (0..hand.len()).map(|at| (hand.items()[at].n, hand.attempt(at))).collect();
            hand.settle_each(|op| {
                // Every third item needs as many attempts as its key says.
                if op.n % 3 == 0 && u64::from(attempts[&op.n]) <= op.key {
                    return Verdict::Retry("again");
                }
                notes.note((op.key, op.n));
                Verdict::Done(op.n)
            })
        });
        let (mut engine, mut producer) = stepped(acting(act).sizing(sizing).retry(punctual(5)));
        for n in 0..300 {
            producer.push(Op::new(n as u64 % 3, n)).expect("room");
            if n % 17 == 0 {
                engine.settle();
            }
        }
        run_out(&mut engine);
        let done = book.take();
        for key in 0..3 {
            let of_key: Vec<_> = done.iter().filter(|op| op.0 == key).map(|op| op.1).collect();
            let pushed: Vec<_> = (0..300).filter(|n| *n as u64 % 3 == key).collect();
            assert_eq!(of_key, pushed, "{sizing}");
        }
        let last = at_rest(engine);
        assert_eq!((last.done, last.out_of_order), (300, 0), "{sizing}");
    }
}

#[test]
fn a_retry_ends_the_round_and_those_behind_it_spend_no_attempt() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        let seen: Vec<_> =
            (0..hand.len()).map(|at| (hand.items()[at].n, hand.attempt(at))).collect();
        let first = seen.contains(&(2, 1));
        let mut asked = Vec::new();
        let settled = hand.settle_each(|op| {
            asked.push(op.n);
            if op.n == 2 && first { Verdict::Retry("again") } else { Verdict::Done(0) }
        });
        notes.note((seen, asked));
        settled
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(3)));
    for n in 1..=4 {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    assert_eq!(
        book.take(),
        [
            (vec![(1, 1), (2, 1), (3, 1), (4, 1)], vec![1, 2]),
            (vec![(2, 2), (3, 1), (4, 1)], vec![2, 3, 4]),
        ]
    );
    let last = at_rest(engine);
    assert_eq!(last.triggers[Trigger::Retry.index()], 1);
}

#[test]
fn what_a_bulk_call_does_behind_a_retry_is_counted_as_out_of_order() {
    let act = handling(|hand: Hand<'_, Op>| {
        let first = hand.attempt(0) == 1;
        hand.settle_bulk(|_, ops, verdicts| {
            for at in 0..ops.len() {
                let again = first && at == 0;
                let verdict = if again { Verdict::Retry("again") } else { Verdict::Done(0) };
                verdicts.set(at, verdict);
            }
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(2)));
    for n in 1..=4 {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.done, last.out_of_order, last.retries), (4, 3, 1));
}

#[test]
fn a_dead_letter_has_the_item_its_name_and_its_story() {
    let (book, letters) = (Book::new(), Book::new());
    let (notes, hook) = (book.clone(), letters.clone());
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note((hand.id(0).expect("there are queues"), hand.attempt(0)));
        hand.settle_each(|_| Verdict::Retry("the disk is full"))
    });
    let take = move |letter: DeadLetter<'_, Op, &'static str>| {
        let story = (letter.id, letter.attempts, *letter.error, letter.first_seen);
        hook.note((letter.item.n, story, letter.now));
    };
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(3)).dead_letters(take));
    engine.advance(7 * MS);
    let pushed = engine.now();
    producer.push(Op::new(1, 42)).expect("room");
    run_out(&mut engine);
    let calls: Vec<(ItemId, u32)> = book.take();
    let id = calls[0].0;
    assert_eq!(calls, [(id, 1), (id, 2), (id, 3)]);
    let [(n, (letter_id, attempts, error, first_seen), now)] = letters.take()[..] else {
        panic!("one letter")
    };
    assert_eq!((n, letter_id, attempts, error), (42, id, 3, "the disk is full"));
    assert!(first_seen <= pushed, "{first_seen} {pushed}");
    assert!(now >= pushed.saturating_add(Nanos::from(60 * MS)), "{now}");
    assert_eq!(at_rest(engine).dead, 1);
}

#[test]
fn a_panic_of_the_dead_letters_hook_is_counted_and_loses_nothing() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|_| Verdict::Retry("no")));
    let hook = |_: DeadLetter<'_, Op, &'static str>| crate::scene::panic_quietly();
    let (mut engine, mut producer) = stepped(acting(act).dead_letters(hook));
    for n in 0..3 {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.dead, last.hook_panics), (3, 3));
}

#[test]
fn with_order_waived_later_items_pass_one_that_backs_off() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        let first = hand.attempt(0) == 1;
        hand.settle_each(|op| {
            if op.n == 1 && first {
                return Verdict::Retry("again");
            }
            notes.note(op.n);
            Verdict::Done(0)
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(2)).order(Order::Waived));
    for n in 1..=4 {
        producer.push(Op::new(1, n)).expect("room");
    }
    engine.settle();
    engine.advance(LINGER);
    engine.settle();
    assert_eq!(book.take(), [2, 3, 4]);
    run_out(&mut engine);
    assert_eq!(book.take(), [1]);
    assert_eq!(at_rest(engine).out_of_order, 0);
}

#[test]
fn a_held_key_stops_only_the_lanes_whose_next_item_is_of_it() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        let first = hand.attempt(0) == 1;
        hand.settle_each(|op| {
            if op.n == -1 && first {
                return Verdict::Retry("again");
            }
            notes.note(op.n);
            Verdict::Done(0)
        })
    });
    let builder = acting(act).retry(punctual(2)).held_items_max(4).lane_items(16);
    let (mut engine, mut producer) = stepped(builder);
    let mut other = engine.producer().expect("a lane is free");
    producer.push(Op::new(1, -1)).expect("room");
    producer.flush().expect("room");
    engine.settle();
    for n in 1..=8 {
        producer.push(Op::new(1, n)).expect("room");
    }
    for n in 100..=104 {
        other.push(Op::new(2, n)).expect("room");
    }
    engine.settle();
    let waits = engine.snapshot();
    assert!(waits.held <= 4 && waits.in_lanes >= 4, "{waits}");
    assert!(waits.lane_stops > 0);
    engine.advance(LINGER);
    engine.settle();
    assert_eq!(book.take(), [100, 101, 102, 103, 104], "the other lane goes on");
    run_out(&mut engine);
    assert_eq!(book.take(), [-1, 1, 2, 3, 4, 5, 6, 7, 8]);
    at_rest(engine);
}

#[test]
fn a_key_limit_below_the_held_bound_keeps_lanes_moving() {
    let act = handling(|hand: Hand<'_, Op>| {
        let first = hand.attempt(0) == 1;
        hand.settle_each(|op| {
            if op.n == -1 && first { Verdict::Retry("again") } else { Verdict::Done(0) }
        })
    });
    let builder = acting(act).retry(punctual(2)).held_items_max(4).key_items_max(4);
    let (mut engine, mut producer) = stepped(builder.lane_items(16));
    producer.push(Op::new(1, -1)).expect("room");
    producer.flush().expect("room");
    engine.settle();
    for n in 1..=8 {
        producer.push(Op::new(1, n)).expect("room");
    }
    engine.settle();
    let now = engine.snapshot();
    assert_eq!((now.in_lanes, now.key_full, now.lane_stops), (0, 5, 0), "{now}");
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed), (4, 5));
}

#[test]
fn shutdown_cuts_backoffs_to_one_last_attempt() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| if op.n < 0 { Verdict::Retry("no") } else { Verdict::Done(0) })
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(100)).replies_max(1));
    for n in [-1, 2, 3] {
        producer.push(Op::new(1, n)).expect("room");
    }
    producer.flush().expect("room");
    engine.settle();
    assert_eq!(book.take(), [vec![-1, 2, 3]]);
    let started = engine.now();
    let now = engine.now();
    let last = engine.shutdown();
    assert_eq!(started, now);
    crate::scene::conserved(&last);
    assert_eq!((last.done, last.dead), (2, 1));
    assert_eq!(book.take()[0][0], -1, "the last attempt comes first");
}

#[test]
fn the_end_of_one_backoff_does_not_cut_its_neighbours_short() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note(numbers(&hand));
        hand.settle_bulk(|_, items, verdicts| {
            for at in 0..items.len() {
                verdicts.set(at, Verdict::Retry("later"));
            }
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(3)).replies_max(4));
    let first = producer.call(Op::new(1, 1)).expect("a slot is free");
    producer.push(Op::new(1, 2)).expect("room");
    engine.settle();
    assert_eq!(book.take(), [[1, 2]]);
    first.cancel();
    engine.settle();
    assert!(book.take().is_empty(), "item 2 backs off for 20 ms, and no time has gone by");
    engine.advance(21 * MS);
    engine.settle();
    assert_eq!(book.take(), [[2]], "and no longer");
    at_rest(engine);
}
