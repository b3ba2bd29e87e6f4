//! Pause, resume, flush, step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{
    AfterPanic, ControlError, Detached, EngineProducer, Failure, FlushError, Item, Order, ShardBy,
    Shards, Sizing, Snapshot, Trigger, Verdict,
};

use crate::scene::{
    Actor, Book, ENTITIES, Hand, Op, acting, at_rest, conserved, handling, numbers, panic_quietly,
    punctual, run_out, stepped,
};

const MINUTE: Duration = Duration::from_secs(60);

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

/// An item of the shard that it names.
struct On(u64);

impl Item for On {
    type Key<'a> = u64;
    const SHARD_BY: ShardBy = ShardBy::Function;

    fn key(&self) -> u64 {
        self.0
    }

    /// Numbers go round: 2 is on the first of two.
    fn shard(key: &u64, _shards: usize) -> usize {
        *key as usize
    }
}

#[test]
fn a_step_pauses_every_shard_also_those_behind_the_one_that_steps() {
    let calls = Book::new();
    let notes = calls.clone();
    let act = handling(move |hand: Hand<'_, On>| {
        notes.note(hand.key());
        hand.settle_each(|_| Verdict::Done(0))
    });
    let engine = acting(act).shards(Shards::Count(2)).sizing(Sizing::Single).start();
    let engine = engine.expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    for key in 0..4 {
        engine.pause(&key).expect("there are queues");
        producer.push(On(key)).expect("room");
    }
    let minute = Duration::from_secs(60);
    for stepped in 1..=4 {
        assert_eq!(engine.step(), Ok(true));
        for key in 0..4 {
            // It would go now.
            engine.resume(&key).expect("there are queues");
            assert_eq!(engine.flush(&key, minute), Err(FlushError::Paused), "key {key}");
        }
        assert_eq!(calls.len(), stepped);
    }
    assert_eq!(engine.step(), Ok(false));
    assert_eq!(calls.take(), [0, 2, 1, 3], "one shard after the other");
    conserved(&engine.shutdown(minute).expect("it drains"));
}

#[test]
fn a_step_hands_nothing_over_while_another_shard_is_inside_its_handler() {
    let calls = Book::new();
    let notes = calls.clone();
    let (entered, enters) = std::sync::mpsc::channel();
    let (opens, gate) = crossbeam_channel::bounded::<()>(0);
    let act = handling(move |hand: Hand<'_, On>| {
        if hand.key() == 1 {
            let _ = entered.send(());
            // Until the other end is dropped.
            let _ = gate.recv();
        }
        notes.note(hand.key());
        hand.settle_each(|_| Verdict::Done(0))
    });
    let engine = acting(act).shards(Shards::Count(2)).sizing(Sizing::Single).start();
    let engine = engine.expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    engine.pause(&0).expect("there are queues");
    producer.push(On(0)).expect("room");
    producer.push(On(1)).expect("room");
    enters.recv().expect("the second shard is at work");
    let minute = Duration::from_secs(60);
    std::thread::scope(|threads| {
        let step = threads.spawn(|| engine.step());
        while engine.flush(&2, minute) != Err(FlushError::Paused) {
            std::thread::yield_now();
        }
        // The first shard has heard of it.
        drop(opens);
        assert_eq!(step.join().expect("it returns"), Ok(true));
    });
    assert_eq!(calls.take(), [1, 0]);
    conserved(&engine.shutdown(minute).expect("it drains"));
}

/// An item of any shard.
struct Anywhere(u64);

impl Item for Anywhere {
    type Key<'a> = u64;
    const SHARD_BY: ShardBy = ShardBy::Spread;

    fn key(&self) -> u64 {
        self.0
    }
}

#[test]
fn a_pause_that_fails_leaves_a_key_paused_where_it_was() {
    let act = handling(|hand: Hand<'_, Anywhere>| {
        if hand.key() == 9 {
            panic_quietly();
        }
        hand.settle_each(|item| Verdict::Done(item.0 as i64))
    });
    let builder = acting(act).shards(Shards::Count(2)).order(Order::Waived).replies_max(64);
    let engine = builder.after_panic(AfterPanic::Stop).start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    engine.pause(&1).expect("there are queues");
    let stops = producer.call(Anywhere(9)).expect("a slot is free");
    assert_eq!(stops.wait(), Err(Failure::Panicked));
    // One of the two has stopped, and cannot pause any more.
    while engine.pause(&1) != Err(ControlError::Closed) {
        std::thread::yield_now();
    }
    let mut call = |key| loop {
        if let Ok(ticket) = producer.call(Anywhere(key)) {
            break ticket;
        }
    };
    let paused: Vec<_> = (0..4).map(|_| call(1)).collect();
    while call(3).wait() != Ok(3) {}
    // What came before that on the shard that is left would have been handled before it.
    let said = paused.into_iter().map(|ticket| ticket.wait_for(Duration::ZERO).ok());
    let said: Vec<_> = said.collect();
    assert!(said.iter().all(|said| matches!(said, None | Some(Err(Failure::Stopped)))), "{said:?}");
    assert!(said.contains(&None), "{said:?}");
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
fn what_goes_since_it_was_resumed_says_so() {
    let calls = Book::new();
    let notes = calls.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note((numbers(&hand), hand.trigger()));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act));
    engine.pause(&1).expect("there are queues");
    producer.push(Op::new(1, 1)).expect("room");
    producer.push(Op::new(2, 2)).expect("room");
    engine.settle();
    engine.resume(&1).expect("there are queues");
    engine.settle();
    assert_eq!(calls.take(), [(vec![1], Trigger::Resume)], "the other key was not paused");
    // In a step everything is paused.
    assert!(engine.step());
    assert_eq!(calls.take(), [(vec![2], Trigger::Step)]);
    producer.push(Op::new(3, 3)).expect("room");
    engine.settle();
    engine.resume_all().expect("there are queues");
    engine.settle();
    assert_eq!(calls.take(), [(vec![3], Trigger::Resume)]);
    assert_eq!(at_rest(engine).triggers[Trigger::Resume.index()], 2);
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

#[test]
fn a_flush_whose_time_is_up_does_not_say_that_the_engine_has_stopped() {
    let away: Book<Detached<Op, i64, &'static str>> = Book::new();
    let all = away.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        if hand.items()[0].key != 7 {
            return hand.settle_each(|op| Verdict::Done(op.n));
        }
        let (settled, detached) = hand.detach().expect("a credit is free");
        all.note(detached);
        settled
    });
    let builder = acting(act).in_flight_max(4).in_flight_for(MINUTE).sizing(Sizing::Single);
    let engine = builder.start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push(Op::new(7, 0)).expect("room");
    while away.len() == 0 {
        std::thread::yield_now();
    }
    let stop = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                producer.push(Op::new(1, 1)).expect("room");
            }
        });
        let said: Vec<_> = (0..500).map(|_| engine.flush(&7, Duration::from_micros(200))).collect();
        stop.store(true, Ordering::Relaxed);
        said
    });
    drop(away.take());
    let stopped = said.iter().filter(|said| **said == Err(FlushError::Stopped)).count();
    let timed_out = said.iter().filter(|said| **said == Err(FlushError::TimedOut)).count();
    assert_eq!((stopped, timed_out), (0, 500));
}

/// An item that keeps its shard at its lane until it may go on.
struct Gated {
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    reached: AtomicBool,
    open: AtomicBool,
}

impl Item for Gated {
    type Key<'a> = ();

    fn key(&self) {
        if std::thread::current().name().is_some_and(|name| name.starts_with("tidegate")) {
            self.gate.reached.store(true, Ordering::Release);
            while !self.gate.open.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn nothing_is_handed_over_after_pause_all_has_returned() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Gated>| {
        notes.note(hand.len());
        hand.settle_each(|_| Verdict::Done(0))
    });
    let engine = acting(act).sizing(Sizing::Single).start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    let gate = Arc::new(Gate::default());
    producer.push(Gated { gate: Arc::clone(&gate) }).unwrap_or_else(|_| panic!("room"));
    while !gate.reached.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    let has_returned = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Whoever waits for the shard needs the gate open; who does not has long returned.
            for _ in 0..100_000 {
                if has_returned.load(Ordering::Acquire) {
                    break;
                }
                std::thread::yield_now();
            }
            gate.open.store(true, Ordering::Release);
        });
        engine.pause_all().expect("there are queues");
        has_returned.store(true, Ordering::Release);
    });
    let handled = book.len();
    let has_come = |now: Snapshot| now.held + now.done > 0;
    while !has_come(engine.snapshot()) {
        std::thread::yield_now();
    }
    assert_eq!(book.len(), handled);
    engine.resume_all().expect("there are queues");
    conserved(&engine.shutdown(MINUTE).expect("it drains"));
}

#[test]
fn a_key_that_could_not_be_paused_is_paused_nowhere() {
    type Act = Op<ENTITIES>;
    let act = handling(|hand: Hand<'_, Act>| hand.settle_each(|op| Verdict::Done(op.n)));
    let hour = Duration::from_secs(3_600);
    let builder = acting(act).shards(Shards::Count(2)).open_keys(1).flush_after(hour);
    let engine = builder.start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push(Act::new(1, 1).of(7)).expect("room");
    while engine.snapshot().open == 0 {
        std::thread::yield_now();
    }
    assert_eq!(engine.pause(&99), Err(ControlError::NoRoom));
    assert_eq!(engine.flush(&99, MINUTE), Ok(()), "it is not paused");
}

/// Settles all but what is of key 9, which is taken along.
fn taking_nines_along(
    away: &Book<Detached<Op<ENTITIES>, i64, &'static str>>,
) -> impl for<'b> FnMut(Hand<'b, Op<ENTITIES>>) -> engine::Settled<'b> + Clone + use<> {
    let away = away.clone();
    handling(move |hand: Hand<'_, Op<ENTITIES>>| {
        if hand.key() == 9 {
            let (settled, detached) = hand.detach().expect("there is a credit");
            away.note(detached);
            return settled;
        }
        hand.settle_each(|op| Verdict::Done(op.n))
    })
}

#[test]
fn a_flush_of_what_stands_behind_a_paused_key_of_its_entity_is_an_error_however_it_came_to_that() {
    let away = Book::new();
    let push = |producer: &mut EngineProducer<Actor<Op<ENTITIES>>>, pairs: &[(u64, u64)]| {
        for &(key, entity) in pairs {
            producer.try_push(Op::new(key, 0).of(entity)).expect("there is room");
        }
    };
    let builder = acting(taking_nines_along(&away)).in_flight_max(1).in_flight_for(MINUTE);
    let (mut engine, mut producer) = stepped(builder);
    let paused = Some(Err(FlushError::Paused));

    // It was paused before.
    engine.pause(&1).expect("there are queues");
    push(&mut producer, &[(1, 7), (2, 7), (2, 8)]);
    let (behind, other) = (engine.flush(&2).expect("queues"), engine.flush(&3).expect("queues"));
    engine.settle();
    assert_eq!((behind.outcome(), other.outcome()), (paused, Some(Ok(()))));
    engine.resume(&1).expect("there are queues");
    engine.settle();
    assert_eq!(engine.snapshot().done, 3);

    // It is paused meanwhile.
    push(&mut producer, &[(9, 7), (1, 7), (2, 7), (3, 7), (9, 8), (4, 8)]);
    producer.flush().expect("there is room");
    engine.settle();
    let before = engine.flush(&1).expect("there are queues");
    let behind = [2, 3].map(|key| engine.flush(&key).expect("there are queues"));
    let other = engine.flush(&4).expect("there are queues");
    engine.settle();
    assert!(behind.iter().all(|flush| flush.outcome().is_none()), "they wait for what is away");
    engine.pause(&1).expect("there are queues");
    engine.settle();
    assert_eq!(before.outcome(), paused);
    assert_eq!(behind.map(|flush| flush.outcome()), [paused, paused]);
    assert_eq!(other.outcome(), None);
    away.take().into_iter().for_each(|batch| batch.settle_each(|op| Verdict::Done(op.n)));
    engine.resume(&1).expect("there are queues");
    engine.settle();
    assert_eq!((other.outcome(), engine.snapshot().done), (Some(Ok(())), 9));

    // What it stands behind comes to be the first of its entity.
    engine.pause(&1).expect("there are queues");
    push(&mut producer, &[(9, 7), (3, 7), (1, 7), (2, 7)]);
    producer.flush().expect("there is room");
    engine.settle();
    let behind = engine.flush(&2).expect("there are queues");
    engine.settle();
    assert_eq!(behind.outcome(), None, "it waits for what is away");
    away.take().into_iter().for_each(|batch| batch.settle_each(|op| Verdict::Done(op.n)));
    engine.settle();
    assert_eq!(behind.outcome(), paused);
    engine.resume(&1).expect("there are queues");
    engine.settle();
    assert_eq!(at_rest(engine).done, 13);
}
