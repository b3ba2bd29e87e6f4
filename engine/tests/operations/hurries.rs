//! Who is in a hurry hurries those that must go before.

use std::time::Duration;

use engine::{Patience, Verdict};

use crate::scene::{
    Book, ENTITIES, EXPIRES, Hand, Op, acting, at_rest, handling, numbers, run_out, stepped,
};

type Named = Op<ENTITIES>;

fn noting(
    calls: &Book<Vec<i64>>,
) -> impl for<'b> FnMut(Hand<'b, Named>) -> engine::Settled<'b> + Clone + use<> {
    let calls = calls.clone();
    handling(move |hand: Hand<'_, Named>| {
        calls.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    })
}

#[test]
fn a_call_behind_another_key_of_its_entity_waits_for_no_linger() {
    let calls = Book::new();
    let (mut engine, mut producer) = stepped(acting(noting(&calls)).replies_max(8));
    producer.try_push(Op::new(1, 1).of(7)).expect("there is room");
    producer.try_push(Op::new(2, 2).of(7)).expect("there is room");
    let ticket = producer.call(Op::new(3, 3).of(7)).expect("there is room");
    engine.settle();
    assert_eq!(calls.take(), [vec![1], vec![2], vec![3]]);
    assert_eq!(ticket.wait(), Ok(3));
    at_rest(engine);
}

#[test]
fn patience_behind_another_key_of_its_entity_is_kept() {
    let calls = Book::new();
    let (mut engine, mut producer) = stepped(acting(noting(&calls)));
    let most = Duration::from_millis(2);
    producer.try_push(Op::new(1, 1).of(7)).expect("there is room");
    let hasty = Op { patience: Patience::AtMost(most), ..Op::new(2, 2).of(7) };
    producer.try_push(hasty).expect("there is room");
    engine.settle();
    assert!(calls.take().is_empty());
    engine.advance(most);
    engine.settle();
    assert_eq!(calls.take(), [vec![1], vec![2]]);
    at_rest(engine);
}

#[test]
fn a_flush_of_a_key_flushes_what_is_before_it() {
    let calls = Book::new();
    let (mut engine, mut producer) = stepped(acting(noting(&calls)));
    producer.try_push(Op::new(1, 1).of(7)).expect("there is room");
    producer.try_push(Op::new(2, 2).of(7)).expect("there is room");
    engine.settle();
    let flushing = engine.flush(&2).expect("there are queues");
    engine.settle();
    assert_eq!(calls.take(), [vec![1], vec![2]]);
    assert_eq!(flushing.outcome(), Some(Ok(())));
    at_rest(engine);
}

#[test]
fn a_time_to_live_begins_no_earlier_than_the_push_however_long_the_turn_before_took() {
    let act = handling(|hand: Hand<'_, Op<EXPIRES>>| hand.settle_each(|op| Verdict::Done(op.n)));
    let (mut engine, mut producer) = stepped(acting(act).replies_max(8));
    engine.turn();
    // A handler that works for so long; meanwhile somebody pushes.
    engine.advance(Duration::from_millis(350));
    let item = Op::new(1, 1).living(Duration::from_millis(200));
    let ticket = producer.call(item).expect("there is room");
    engine.advance(Duration::from_millis(50));
    run_out(&mut engine);
    assert_eq!(ticket.wait(), Ok(1));
    at_rest(engine);
}
