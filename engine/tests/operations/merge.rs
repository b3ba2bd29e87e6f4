//! Items that are folded into the one that waits last for their key.

use std::time::Duration;

use engine::{Patience, Verdict};

use crate::scene::{
    ABSORBS, ALONE, Book, ENTITIES, EXPIRES, EXPLODES, Hand, LINGER, Op, WEIGHS, acting, at_rest,
    handling, numbers, punctual, run_out, stepped,
};

const FOLDS: u8 = ABSORBS | WEIGHS | EXPIRES;
type Fold = Op<FOLDS>;
type Entity = Op<{ ABSORBS | ENTITIES }>;

/// Notes the numbers of each call, and is done with them.
macro_rules! noting {
    ($book:expr, $op:ty) => {{
        let notes = $book.clone();
        acting(handling(move |hand: Hand<'_, $op>| {
            notes.note(numbers(&hand));
            hand.settle_each(|op| Verdict::Done(op.n))
        }))
    }};
}

#[test]
fn all_that_was_folded_into_an_item_settles_with_it() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(noting!(book, Fold));
    for n in 0..30 {
        producer.push(Op::new(n as u64 % 3, n)).expect("room");
    }
    run_out(&mut engine);
    let mut calls = book.take();
    calls.sort();
    assert_eq!(calls, [[27], [28], [29]]);
    let last = at_rest(engine);
    assert_eq!((last.accepted, last.done, last.absorbed), (30, 30, 27));
}

#[test]
fn an_item_that_will_not_be_absorbed_waits_behind() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(noting!(book, Fold));
    for n in [1, 2, ALONE, 3] {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    assert_eq!(book.take(), [[2, 3]]);
    assert_eq!(at_rest(engine).absorbed, 2);
}

#[test]
fn calls_neither_absorb_nor_are_absorbed() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(noting!(book, Fold).replies_max(4));
    producer.push(Op::new(1, 1)).expect("room");
    let first = producer.call(Op::new(1, 2)).expect("a slot is free");
    let second = producer.call(Op::new(1, 3)).expect("a slot is free");
    producer.push(Op::new(1, 4)).expect("room");
    run_out(&mut engine);
    assert_eq!(book.take().concat(), [1, 2, 3, 4]);
    let said = [first, second].map(|ticket| ticket.wait_for(Duration::ZERO).expect("answered"));
    assert_eq!(said, [Ok(2), Ok(3)]);
    assert_eq!(at_rest(engine).absorbed, 0);
}

#[test]
fn nothing_is_folded_into_what_a_handler_has_seen() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Fold>| {
        let first = hand.attempt(0) == 1;
        notes.note(numbers(&hand));
        hand.settle_each(|op| match op.n {
            1 if first => Verdict::Retry("again"),
            n => Verdict::Done(n),
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(2)));
    producer.push(Op::new(1, 1)).expect("room");
    producer.flush().expect("room");
    engine.settle();
    for n in [2, 3] {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    assert_eq!(book.take().concat(), [1, 1, 3]);
    assert_eq!(at_rest(engine).absorbed, 1);
}

#[test]
fn a_survivor_keeps_the_oldest_age_and_the_latest_expiry() {
    let ms = Duration::from_millis;
    let book = Book::new();
    let (mut engine, mut producer) = stepped(noting!(book, Fold));
    producer.push(Op::new(1, 1).living(ms(2))).expect("room");
    engine.settle();
    engine.advance(ms(1));
    producer.push(Op::new(1, 2).living(ms(900))).expect("room");
    engine.settle();
    engine.advance(LINGER - ms(1));
    engine.settle();
    assert_eq!(book.take(), [[2]], "by the deadline of the older one, alive by the newer one's");
    let last = at_rest(engine);
    assert_eq!((last.done, last.expired), (2, 0));
}

#[test]
fn a_weight_is_read_again_after_an_item_was_folded_in() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(noting!(book, Fold).batch_weight_max(10));
    for (n, weight) in [(1, 3), (2, 4), (ALONE, 4)] {
        producer.push(Op::new(1, n).weighing(weight)).expect("room");
    }
    run_out(&mut engine);
    assert_eq!(book.take(), [vec![2], vec![ALONE]], "7 and 4 are more than 10");
    at_rest(engine);
}

#[test]
fn a_panic_in_absorb_fails_both_and_leaves_no_key_behind() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(noting!(book, Fold).open_keys(4));
    for key in 0..16 {
        producer.push(Op::new(key, 1)).expect("room");
        producer.push(Op::new(key, EXPLODES)).expect("room");
        engine.settle();
    }
    assert_eq!(engine.snapshot().failed, 32, "{}", engine.snapshot());
    producer.push(Op::new(99, 7)).expect("room");
    run_out(&mut engine);
    assert_eq!(book.take(), [[7]]);
    assert_eq!(at_rest(engine).done, 1);
}

#[test]
fn an_impatient_item_hurries_the_one_that_it_was_folded_into() {
    for patience in [Patience::None, Patience::AtMost(Duration::from_millis(2))] {
        let book = Book::new();
        let (mut engine, mut producer) = stepped(noting!(book, Fold));
        producer.push(Op::new(1, 1)).expect("room");
        engine.settle();
        producer.push(Op { patience, ..Op::new(1, 2) }).expect("room");
        engine.settle();
        engine.advance(Duration::from_millis(2));
        engine.settle();
        assert_eq!(book.take(), [[2]], "{patience:?}");
        at_rest(engine);
    }
}

#[test]
fn with_entities_an_item_is_folded_only_into_the_last_of_its_entity() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(noting!(book, Entity));
    for (key, n, entity) in [(1, 1, 7), (2, 2, 7), (1, 3, 7), (1, 4, 7), (1, 5, 8), (1, 6, 8)] {
        producer.push(Op::new(key, n).of(entity)).expect("room");
    }
    run_out(&mut engine);
    let mut done = book.take().concat();
    let of_seven: Vec<_> = done.iter().copied().filter(|n| *n < 5).collect();
    assert_eq!(of_seven, [1, 2, 4]);
    done.sort_unstable();
    assert_eq!(done, [1, 2, 4, 6]);
    assert_eq!(at_rest(engine).absorbed, 2);
}

#[test]
fn an_item_whose_time_was_up_is_not_brought_back_by_one_that_is_pushed_later() {
    type Act = Op<{ EXPIRES | ABSORBS }>;
    let act = handling(|hand: Hand<'_, Act>| hand.settle_each(|op| Verdict::Done(op.n)));
    let (mut engine, mut producer) = stepped(acting(act).flush_after(Duration::from_secs(1)));
    let brief = Duration::from_millis(10);
    producer.push(Act::new(1, 1).living(brief)).expect("room");
    engine.turn();
    engine.advance(Duration::from_millis(500));
    producer.push(Act::new(1, 2)).expect("room");
    run_out(&mut engine);
    let last = engine.snapshot();
    assert_eq!((last.expired, last.done), (1, 1), "{last}");
}
