//! Entities: order across keys, no more calls than it takes.

use std::time::Duration;

use engine::{Detached, Patience, Settled, Sizing, Trigger, Verdict};
use proptest::prelude::*;

use crate::scene::{
    ABSORBS, Book, ENTITIES, EXPIRES, Hand, LINGER, Op, acting, at_rest, handling, numbers,
    punctual, run_out, sizings, stepped,
};

type Act = Op<ENTITIES>;

#[test]
fn a_key_between_two_of_another_makes_three_calls_of_one_entity_while_others_share() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Act>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act));
    // Entity 7: A1, B2, A3; the others have something for A alone.
    for (key, n, entity) in [(1, 1, 7), (1, 10, 8), (2, 2, 7), (1, 3, 7), (1, 11, 9), (1, 12, 8)] {
        producer.push(Op::new(key, n).of(entity)).expect("room");
    }
    run_out(&mut engine);
    let calls = book.take();
    let at = |n: i64| calls.iter().position(|call| call.contains(&n)).expect("it was handled");
    assert!(at(1) < at(2) && at(2) < at(3), "{calls:?}");
    assert_eq!((at(10), at(11), at(12)), (at(1), at(1), at(1)), "{calls:?}");
    assert_eq!(calls.len(), 3, "{calls:?}");
    at_rest(engine);
}

#[test]
fn a_retry_holds_its_entity_alone() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Act>| {
        let first = hand.attempt(0) == 1;
        hand.settle_each(|op| {
            if op.n == 1 && first {
                return Verdict::Retry("again");
            }
            notes.note(op.n);
            Verdict::Done(0)
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(2)));
    for (key, n, entity) in [(1, 1, 7), (1, 2, 8), (1, 3, 7), (2, 4, 7), (2, 5, 8)] {
        producer.push(Op::new(key, n).of(entity)).expect("room");
    }
    producer.flush().expect("room");
    engine.settle();
    assert_eq!(book.take(), [2, 5]);
    run_out(&mut engine);
    assert_eq!(book.take(), [1, 3, 4]);
    let last = at_rest(engine);
    assert!(last.triggers[Trigger::Retry.index()] > 0);
}

/// Takes along what holds the item 1, and settles the rest.
fn takes_one_along<const CAN: u8>(
    away: &Book<Detached<Op<CAN>, i64, &'static str>>,
    done: &Book<i64>,
) -> impl for<'b> FnMut(Hand<'b, Op<CAN>>) -> Settled<'b> + Clone + Send + Sync + 'static {
    let (away, done) = (away.clone(), done.clone());
    handling(move |hand: Hand<'_, Op<CAN>>| {
        if hand.items().iter().any(|op| op.n == 1) {
            let (settled, detached) = hand.detach().expect("there is a credit");
            away.note(detached);
            return settled;
        }
        hand.settle_each(|op| {
            done.note(op.n);
            Verdict::Done(0)
        })
    })
}

#[test]
fn a_call_that_was_held_up_goes_as_soon_as_its_entity_is_free() {
    let (away, done) = (Book::new(), Book::new());
    let builder = acting(takes_one_along::<ENTITIES>(&away, &done)).in_flight_max(1);
    let builder = builder.sizing(Sizing::Fixed(2)).flush_after(Duration::from_secs(10));
    let (mut engine, mut producer) = stepped(builder.replies_max(8));
    let calls = (1..=3).map(|n| Act::new(1, n).of(7));
    let tickets = producer.call_all(&mut calls.into_iter()).expect("slots");
    engine.settle();
    for batch in away.take() {
        batch.settle_each(|_| Verdict::Done(0));
    }
    engine.settle();
    assert_eq!(done.take(), [3], "it does not linger");
    assert!(tickets.wait_for(Duration::ZERO).is_ok());
    at_rest(engine);
}

#[test]
fn a_flush_of_a_key_covers_what_its_entity_held_up() {
    let (away, done) = (Book::new(), Book::new());
    let builder = acting(takes_one_along::<ENTITIES>(&away, &done)).in_flight_max(1);
    let builder = builder.sizing(Sizing::Fixed(2)).flush_after(Duration::from_secs(10));
    let (mut engine, mut producer) = stepped(builder);
    for n in 1..=3 {
        producer.push(Act::new(1, n).of(7)).expect("room");
    }
    let flushing = engine.flush(&1).expect("there are queues");
    engine.settle();
    for batch in away.take() {
        batch.settle_each(|_| Verdict::Done(0));
    }
    engine.settle();
    assert_eq!((done.take(), flushing.outcome()), (vec![3], Some(Ok(()))));
    at_rest(engine);
}

#[test]
fn what_waits_behind_others_of_its_entity_is_held_for_as_long_as_that_is() {
    let (away, done) = (Book::new(), Book::new());
    let builder = acting(takes_one_along::<ENTITIES>(&away, &done)).in_flight_max(1);
    let (mut engine, mut producer) = stepped(builder);
    producer.push(Act::new(1, 1).of(7)).expect("room");
    producer.flush().expect("room");
    engine.settle();
    producer.push(Act::new(2, 2).of(7)).expect("room");
    producer.push(Act::new(1, 3).of(7)).expect("room");
    engine.settle();
    assert_eq!((engine.snapshot().held, engine.snapshot().open), (2, 0));
    for batch in away.take() {
        batch.settle_each(|_| Verdict::Done(0));
    }
    engine.settle();
    assert_eq!((engine.snapshot().held, engine.snapshot().open), (0, 2), "both linger now");
    at_rest(engine);
    assert_eq!(done.take(), [2, 3]);
}

#[test]
fn an_absorbed_item_in_a_hurry_hurries_what_is_before_it() {
    type Sum = Op<{ ENTITIES | ABSORBS }>;
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Sum>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let builder = acting(act).flush_after(Duration::from_secs(10));
    let (mut engine, mut producer) = stepped(builder);
    let soon = Duration::from_millis(5);
    producer.push(Sum::new(1, 1).of(7)).expect("room");
    producer.push(Sum::new(2, 2).of(7)).expect("room");
    let hasty = Sum { patience: Patience::AtMost(soon), ..Sum::new(2, 3).of(7) };
    producer.push(hasty).expect("room");
    engine.settle();
    engine.advance(soon + Duration::from_millis(1));
    engine.settle();
    assert_eq!(book.take(), [vec![1], vec![3]]);
    at_rest(engine);
}

#[test]
fn a_follow_up_onto_the_key_of_what_waits_behind_comes_before_that() {
    type Mortal = Op<{ ENTITIES | EXPIRES }>;
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Mortal>| {
        notes.note(numbers(&hand));
        hand.settle_each_with(|op, follow_ups| {
            if op.n == 1 {
                follow_ups.emit(Mortal::new(2, 101).of(7)).expect("there is room");
            }
            Verdict::Done(op.n)
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).follow_ups(2, 2));
    producer.push(Mortal::new(1, 1).of(7)).expect("room");
    let almost = LINGER - Duration::from_micros(100);
    producer.push(Mortal::new(1, 2).of(7).living(almost)).expect("room");
    producer.push(Mortal::new(2, 3).of(7)).expect("room");
    engine.settle();
    engine.advance(LINGER);
    engine.settle();
    run_out(&mut engine);
    assert_eq!(book.take().concat(), [1, 101, 3]);
    assert_eq!(at_rest(engine).expired, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn effects_on_an_entity_come_in_the_order_of_the_pushes_of_each_producer(
        ops in prop::collection::vec((0..3_usize, 0..4_u64, 0..5_u64, 0..8_u8, 0..6_u8), 1..120),
    ) {
        for sizing in sizings() {
            let book = Book::new();
            let notes = book.clone();
            let act = handling(move |hand: Hand<'_, Act>| {
                let attempts: Vec<_> =
                    (0..hand.len()).map(|at| (hand.items()[at].n, hand.attempt(at))).collect();
                hand.settle_each(|op| {
                    let (_, attempt) =
                        attempts.iter().find(|(n, _)| *n == op.n).expect("it is of the batch");
                    // The weight says how often it is to be tried, and whether it fails then.
                    if op.weight < 3 && *attempt <= op.weight {
                        return Verdict::Retry("again");
                    }
                    notes.note((op.entity, op.n));
                    if op.weight == 5 { Verdict::Failed("bad") } else { Verdict::Done(0) }
                })
            });
            let (mut engine, first) = stepped(acting(act).sizing(sizing).retry(punctual(4)));
            let mut producers = vec![first];
            producers.extend((1..3).map(|_| engine.producer().expect("a lane is free")));
            for (n, &(by, key, entity, verdict, turn)) in ops.iter().enumerate() {
                // The number says whose it is.
                let op = Op::new(key, (3 * n + by) as i64).of(entity).weighing(verdict.into());
                producers[by].push(op).expect("room");
                match turn {
                    0 => engine.settle(),
                    1 => engine.advance(Duration::from_millis(7)),
                    _ => {}
                }
            }
            run_out(&mut engine);
            let effects = book.take();
            prop_assert_eq!(effects.len(), ops.len());
            for (entity, by) in (0..5).flat_map(|entity| (0..3).map(move |by| (entity, by))) {
                let of_it: Vec<_> = effects
                    .iter()
                    .filter(|(of, n)| *of == Some(entity) && n % 3 == by)
                    .map(|(_, n)| *n)
                    .collect();
                prop_assert!(of_it.is_sorted(), "{}: {:?}", sizing, of_it);
            }
            prop_assert_eq!(at_rest(engine).accepted, ops.len() as u64);
        }
    }
}
