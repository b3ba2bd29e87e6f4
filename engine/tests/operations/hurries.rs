//! Who is in a hurry hurries those that must go before.

use std::time::Duration;

use engine::testing::Stepped;
use engine::{Detached, EngineProducer, Patience, Sizing, Trigger, Verdict};

use crate::scene::{
    Actor, Book, ENTITIES, EXPIRES, Hand, Op, acting, at_rest, handling, numbers, run_out, stepped,
};

type Named = Op<ENTITIES>;
type Acting = Actor<Named>;

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

/// A batch of two items of entity 7 is taken along while a full one waits, in which 3 is of that entity too
/// and 4 of another: so 3 is held up, and 4 goes without it. Then the first batch comes back, and that 3 must
/// go at once, because of this.
fn goes_at_once_though_its_full_batch_went_without_it(
    pushed: impl FnOnce(&mut Stepped<Acting>, &mut EngineProducer<Acting>),
    because: Trigger,
) {
    let (away, calls) = (Book::<Detached<Named, i64, &'static str>>::new(), Book::new());
    let (taken, notes) = (away.clone(), calls.clone());
    let act = handling(move |hand: Hand<'_, Named>| {
        if hand.items()[0].n == 1 {
            let (settled, detached) = hand.detach().expect("there is a credit");
            taken.note(detached);
            return settled;
        }
        notes.note((numbers(&hand), hand.trigger()));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let hour = Duration::from_secs(3_600);
    let builder = acting(act).sizing(Sizing::Fixed(2)).flush_after(hour);
    let (mut engine, mut producer) =
        stepped(builder.in_flight_max(2).in_flight_for(hour).replies_max(8));
    pushed(&mut engine, &mut producer);
    engine.settle();
    assert_eq!((engine.snapshot().in_flight, engine.snapshot().waiting()), (2, 3), "{because}");
    for batch in away.take() {
        batch.settle_each(|op| Verdict::Done(op.n));
    }
    engine.settle();
    let calls = calls.take();
    assert_eq!(calls.last(), Some(&(vec![3], because)), "{calls:?}");
    assert_eq!((calls.len(), calls[0].0.as_slice()), (2, [4].as_slice()), "{calls:?}");
    at_rest(engine);
}

/// The items 1 to 4, of which the third is as it is said.
fn four(third: Named) -> [Named; 4] {
    [Op::new(1, 1).of(7), Op::new(1, 2).of(7), third.of(7), Op::new(1, 4).of(8)]
}

fn push_four(producer: &mut EngineProducer<Acting>) {
    for op in four(Op::new(1, 3)) {
        producer.try_push(op).expect("there is room");
    }
}

#[test]
fn a_call_that_is_held_up_out_of_a_full_batch_does_not_linger_afterwards() {
    let calls = |_: &mut Stepped<Acting>, producer: &mut EngineProducer<Acting>| {
        drop(producer.call_all(&mut four(Op::new(1, 3)).into_iter()).expect("there is room"));
    };
    goes_at_once_though_its_full_batch_went_without_it(calls, Trigger::Call);
}

#[test]
fn an_item_without_patience_that_is_held_up_out_of_a_full_batch_does_not_linger_afterwards() {
    let hasty = |_: &mut Stepped<Acting>, producer: &mut EngineProducer<Acting>| {
        for op in four(Op { patience: Patience::None, ..Op::new(1, 3) }) {
            producer.try_push(op).expect("there is room");
        }
    };
    goes_at_once_though_its_full_batch_went_without_it(hasty, Trigger::Patience);
}

#[test]
fn what_was_flushed_and_is_held_up_out_of_a_full_batch_does_not_linger_afterwards() {
    let by_producer = |_: &mut Stepped<Acting>, producer: &mut EngineProducer<Acting>| {
        push_four(producer);
        producer.flush().expect("there is room");
    };
    goes_at_once_though_its_full_batch_went_without_it(by_producer, Trigger::Flush);
    let by_key = |engine: &mut Stepped<Acting>, producer: &mut EngineProducer<Acting>| {
        push_four(producer);
        drop(engine.flush(&1).expect("there are queues"));
    };
    goes_at_once_though_its_full_batch_went_without_it(by_key, Trigger::Flush);
}

#[test]
fn what_goes_on_and_is_held_up_out_of_a_full_batch_does_not_linger_afterwards() {
    let by_key = |engine: &mut Stepped<Acting>, producer: &mut EngineProducer<Acting>| {
        engine.pause(&1).expect("there are queues");
        push_four(producer);
        engine.settle();
        engine.resume(&1).expect("there are queues");
    };
    goes_at_once_though_its_full_batch_went_without_it(by_key, Trigger::Resume);
    let with_all = |engine: &mut Stepped<Acting>, producer: &mut EngineProducer<Acting>| {
        engine.pause(&1).expect("there are queues");
        push_four(producer);
        engine.settle();
        engine.resume_all().expect("there are queues");
    };
    goes_at_once_though_its_full_batch_went_without_it(with_all, Trigger::Resume);
}

#[test]
fn what_goes_on_hurries_what_is_before_it() {
    let calls = Book::new();
    let (mut engine, mut producer) = stepped(acting(noting(&calls)));
    producer.try_push(Op::new(1, 1).of(7)).expect("there is room");
    engine.pause(&2).expect("there are queues");
    producer.try_push(Op::new(2, 2).of(7)).expect("there is room");
    engine.settle();
    assert!(calls.take().is_empty());
    engine.resume(&2).expect("there are queues");
    engine.settle();
    assert_eq!(calls.take(), [vec![1], vec![2]]);
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
