//! Pause, resume, flush, step, and what an observer hears.

use std::time::Duration;

use engine::{BatchEvent, FlushError, Shards, Verdict};

use crate::scene::{
    Book, ENTITIES, Hand, Op, acting, at_rest, conserved, handling, numbers, punctual, run_out,
    stepped,
};

#[test]
fn a_step_hands_over_exactly_one_item_in_the_order_of_arrival() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act));
    for n in 0..9 {
        producer.push(Op::new(n as u64 % 3, n)).expect("room");
    }
    for n in 0..9 {
        assert!(engine.step());
        assert_eq!(book.take(), [[n]]);
        engine.advance(crate::scene::LINGER);
        engine.settle();
        assert!(book.take().is_empty(), "everything else is paused");
    }
    assert!(!engine.step());
    at_rest(engine);
}

#[test]
fn a_paused_key_waits_while_others_go_and_its_flush_is_an_error() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act));
    engine.pause(&1).expect("there are queues");
    for n in 0..6 {
        producer.push(Op::new(n as u64 % 2, n)).expect("room");
    }
    run_out(&mut engine);
    assert_eq!(book.take(), [[0, 2, 4]]);
    assert_eq!(engine.snapshot().held, 3);
    let flushing = engine.flush(&1).expect("there are queues");
    engine.settle();
    assert_eq!(flushing.outcome(), Some(Err(FlushError::Paused)));
    engine.resume(&1).expect("there are queues");
    engine.settle();
    assert_eq!(book.take(), [[1, 3, 5]], "it goes at once");
    at_rest(engine);
}

#[test]
fn what_a_paused_key_holds_up_of_an_entity_stops_its_own_lane_alone() {
    type Act = Op<ENTITIES>;
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Act>| {
        notes.note(numbers(&hand));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act).held_items_max(8).open_items(64));
    let mut other = engine.producer().expect("a lane is free");
    engine.pause(&1).expect("there are queues");
    engine.settle();
    producer.push(Act::new(1, 0).of(7)).expect("room");
    for n in 1..=100 {
        producer.push(Act::new(2, n).of(7)).expect("room");
    }
    run_out(&mut engine);
    let now = engine.snapshot();
    assert_eq!(
        (now.held + now.open, now.in_lanes),
        (8, 93),
        "one is paused, seven behind it: {now}"
    );
    other.push(Act::new(3, 1_000).of(8)).expect("room");
    run_out(&mut engine);
    assert_eq!(book.take(), [[1_000]], "nothing holds it");
    engine.resume(&1).expect("there are queues");
    run_out(&mut engine);
    assert!(book.take().into_iter().flatten().eq(0..=100), "nothing is lost, and order stands");
    at_rest(engine);
}

#[test]
fn a_flush_is_complete_when_what_came_before_is_settled_and_cuts_no_backoff() {
    let act = handling(|hand: Hand<'_, Op>| {
        let first = hand.attempt(0) == 1;
        hand.settle_each(|op| {
            if op.n == 1 && first { Verdict::Retry("again") } else { Verdict::Done(0) }
        })
    });
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(2)));
    producer.push(Op::new(1, 1)).expect("room");
    let flushing = engine.flush(&1).expect("there are queues");
    engine.settle();
    assert_eq!((flushing.outcome(), engine.snapshot().retries), (None, 1));
    run_out(&mut engine);
    assert_eq!(flushing.outcome(), Some(Ok(())));
    at_rest(engine);
}

#[test]
fn what_an_observer_hears_adds_up_to_the_snapshot() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(|hand: Hand<'_, Op>| {
        hand.settle_each(|op| match op.n % 5 {
            0 => Verdict::Retry("again"),
            1 => Verdict::Failed("bad"),
            _ => Verdict::Done(0),
        })
    });
    let observer = move |event: &BatchEvent| notes.note(*event);
    let (mut engine, mut producer) = stepped(acting(act).retry(punctual(2)).observer(observer));
    for n in 0..100 {
        producer.push(Op::new(n as u64 % 7, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    let events = book.take();
    let sum = |part: fn(&BatchEvent) -> usize| events.iter().map(part).sum::<usize>() as u64;
    assert_eq!(events.len() as u64, last.batches);
    assert_eq!(sum(|event| event.done), last.done);
    assert_eq!(sum(|event| event.failed), last.failed + last.dead);
    assert_eq!(sum(|event| event.retried), last.retries);
}

#[test]
fn a_running_engine_is_paused_flushed_and_resumed_as_a_whole() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note(hand.len());
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let hour = Duration::from_secs(3_600);
    let builder = acting(act).shards(Shards::Count(2)).flush_after(hour).replies_max(4);
    let engine = builder.start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    engine.pause_all().expect("there are queues");
    for n in 0..40 {
        producer.push(Op::new(n as u64 % 4, n)).expect("room");
    }
    let minute = Duration::from_secs(60);
    assert_eq!(engine.flush_all(minute), Err(FlushError::Paused));
    assert!(book.take().is_empty(), "nothing is handed over");
    engine.resume_all().expect("there are queues");
    engine.flush(&3, minute).expect("nothing holds it");
    engine.flush_all(minute).expect("nothing holds them");
    assert_eq!(book.take().into_iter().sum::<usize>(), 40);
    let snapshot = engine.snapshot();
    assert_eq!((snapshot.done, snapshot.held), (40, 0), "{snapshot}");
    conserved(&engine.shutdown(minute).expect("it drains"));
}
