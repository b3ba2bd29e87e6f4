//! What ends, pauses and stops says so to whoever waits.

use std::time::Duration;

use engine::{AfterPanic, Failure, FlushError, Settled, Sizing, Verdict};

use crate::scene::{
    ABSORBS, ENTITIES, Hand, Op, acting, at_rest, handling, panic_quietly, run_out, stepped,
};

fn done<const CAN: u8>(hand: Hand<'_, Op<CAN>>) -> Settled<'_> {
    hand.settle_each(|op| Verdict::Done(op.n))
}

#[test]
fn calls_that_lie_in_a_lane_hear_that_their_shard_has_stopped() {
    let act = handling(|_: Hand<'_, Op>| -> Settled<'_> { panic_quietly() });
    let builder = acting(act).sizing(Sizing::Single).drain_items(1).replies_max(8);
    let (mut engine, mut producer) = stepped(builder.after_panic(AfterPanic::Stop));
    let tickets: Vec<_> =
        (0..4).map(|n| producer.call(Op::new(1, n)).expect("there is room")).collect();
    engine.settle();
    let said: Vec<_> = tickets
        .into_iter()
        .map(|ticket| ticket.wait_for(Duration::ZERO).expect("an answer"))
        .collect();
    assert_eq!(said[0], Err(Failure::Panicked));
    assert!(said[1..].iter().all(|outcome| *outcome == Err(Failure::Stopped)), "{said:?}");
}

#[test]
fn a_paused_key_makes_a_flush_of_everything_an_error() {
    let act = handling(done::<0>);
    let engine = acting(act).start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    engine.pause(&1).expect("there are queues");
    producer.push(Op::new(1, 1)).expect("there is room");
    assert_eq!(engine.flush_all(Duration::from_secs(30)), Err(FlushError::Paused));
    engine.shutdown(Duration::from_secs(5)).expect("it drains");
}

#[test]
fn a_pause_ends_the_flushes_that_would_wait_for_it() {
    let (mut engine, mut producer) = stepped(
        acting(handling(|hand: Hand<'_, Op>| {
            let attempt = hand.attempt(0);
            hand.settle_each(|op| {
                if attempt == 1 { Verdict::Retry("later") } else { Verdict::Done(op.n) }
            })
        }))
        .retry(crate::scene::punctual(2)),
    );
    producer.try_push(Op::new(1, 1)).expect("there is room");
    producer.flush().expect("there is room");
    engine.settle();
    let flushing = engine.flush(&1).expect("there are queues");
    engine.settle();
    assert_eq!(flushing.outcome(), None, "a backoff is not cut short");
    engine.pause(&1).expect("there are queues");
    engine.settle();
    assert_eq!(flushing.outcome(), Some(Err(FlushError::Paused)));
    engine.resume(&1).expect("there are queues");
    at_rest(engine);
}

#[test]
fn what_waits_behind_others_of_its_entity_counts_as_held_while_its_key_is_paused_and_no_longer() {
    let (mut engine, mut producer) = stepped(acting(handling(done::<ENTITIES>)));
    let held = |engine: &mut engine::testing::Stepped<_>| {
        engine.settle();
        engine.snapshot().held
    };
    // That which is before it must not go, or it would follow at once when its own key goes on.
    for key in [1, 2] {
        engine.pause(&key).expect("there are queues");
    }
    producer.try_push(Op::new(1, 1).of(7)).expect("there is room");
    assert_eq!(held(&mut engine), 1);
    producer.try_push(Op::new(2, 2).of(7)).expect("there is room");
    assert_eq!(held(&mut engine), 2);
    engine.resume(&2).expect("there are queues");
    assert_eq!(held(&mut engine), 1);
    engine.pause(&2).expect("there are queues");
    assert_eq!(held(&mut engine), 2);
    engine.resume_all().expect("there are queues");
    assert_eq!(held(&mut engine), 0);
    run_out(&mut engine);
    at_rest(engine);
}

#[test]
fn what_another_takes_in_is_not_refused_as_one_too_many_of_its_key() {
    let (mut engine, mut producer) = stepped(acting(handling(done::<ABSORBS>)).key_items_max(1));
    producer.try_push(Op::new(1, 1)).expect("there is room");
    producer.try_push(Op::new(1, 2)).expect("there is room");
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.done, last.absorbed, last.key_full), (2, 1, 0));
}

#[test]
fn a_word_to_stop_is_heard_however_many_requests_wait_before_it() {
    let (entered, enters) = std::sync::mpsc::channel();
    let (opens, gate) = crossbeam_channel::bounded::<()>(0);
    let act = handling(move |hand: Hand<'_, Op>| {
        let _ = entered.send(());
        // Until the other end is dropped.
        let _ = gate.recv();
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let engine = acting(act).sizing(Sizing::Single).replies_max(8).start().expect("it starts");
    let mut producer = engine.producer().expect("a lane is free");
    let at_work = producer.call(Op::new(1, 1)).expect("there is room");
    enters.recv().expect("the handler is called");
    let behind = producer.call(Op::new(2, 2)).expect("there is room");
    // As many as may wait: no more is taken in while the handler is at work.
    (0..8).for_each(|_| engine.resume(&1).expect("there is room for it"));
    assert_eq!(engine.flush(&1, Duration::from_millis(1)), Err(FlushError::TimedOut));
    assert!(engine.shutdown(Duration::ZERO).is_err(), "the handler is still at work");
    drop(opens);
    assert_eq!(at_work.wait(), Ok(1));
    assert_eq!(behind.wait(), Err(Failure::Stopped));
}
