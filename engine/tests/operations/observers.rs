//! What an observer hears of batches, handed over and away.

use std::time::{Duration, Instant};

use engine::{
    AfterPanic, BatchEvent, BatchStage, Builder, Detached, Handler, Nanos, Sizing, Snapshot,
    Trigger, Verdict,
};

use crate::scene::{
    ABSORBS, Book, Hand, LINGER, Op, acting, at_rest, handling, numbers, panic_quietly, punctual,
    run_out, stepped,
};

type Away = Detached<Op, i64, &'static str>;

const MILLISECOND: Duration = Duration::from_millis(1);

/// With an observer that writes everything down.
fn observed<H: Handler>(builder: Builder<H>) -> (Builder<H>, Book<BatchEvent>) {
    let book = Book::new();
    let notes = book.clone();
    (builder.observer(move |event: &BatchEvent| notes.note(*event)), book)
}

fn sum(events: &[BatchEvent], part: fn(&BatchEvent) -> usize) -> u64 {
    events.iter().map(part).sum::<usize>() as u64
}

/// Everything that ended did so in a handler's hands.
fn add_up(events: &[BatchEvent], last: &Snapshot) {
    let hand_overs = events.iter().filter(|event| event.stage.is_hand_over()).count();
    assert_eq!(hand_overs as u64, last.batches, "{events:?}");
    assert_eq!(sum(events, |event| event.done), last.done, "{events:?}");
    assert_eq!(sum(events, |event| event.failed), last.failed + last.dead, "{events:?}");
    assert_eq!(sum(events, |event| event.retried), last.retries, "{events:?}");
}

fn stages(events: &[BatchEvent]) -> Vec<BatchStage> {
    events.iter().map(|event| event.stage).collect()
}

#[test]
fn what_an_observer_hears_adds_up_to_the_snapshot() {
    let act = handling(|hand: Hand<'_, Op>| {
        hand.settle_each(|op| match op.n % 5 {
            0 => Verdict::Retry("again"),
            1 => Verdict::Failed("bad"),
            _ => Verdict::Done(0),
        })
    });
    let (builder, heard) = observed(acting(act).retry(punctual(2)));
    let (mut engine, mut producer) = stepped(builder);
    for n in 0..100 {
        producer.push(Op::new(n as u64 % 7, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    let events = heard.take();
    assert!(events.iter().all(|event| event.stage == BatchStage::Handled), "{events:?}");
    add_up(&events, &last);
}

#[test]
fn items_that_were_folded_into_others_are_heard_of_with_those() {
    let act = handling(|hand: Hand<'_, Op<ABSORBS>>| hand.settle_each(|op| Verdict::Done(op.n)));
    let (builder, heard) = observed(acting(act));
    let (mut engine, mut producer) = stepped(builder);
    for n in 0..30 {
        producer.push(Op::new(n as u64 % 3, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    let events = heard.take();
    assert_eq!((last.done, last.absorbed, events.len()), (30, 27, 3));
    assert!(events.iter().all(|event| (event.items, event.absorbed, event.done) == (1, 9, 10)));
}

#[test]
fn an_item_that_is_told_from_its_neighbours_is_heard_of() {
    let act = handling(|hand: Hand<'_, Op>| {
        let bad = hand.items().iter().any(|op| op.n == 3);
        hand.settle_all(|_, _| if bad { Err("one is bad") } else { Ok(0) })
    });
    let (builder, heard) = observed(acting(act).isolate_poisoned(true));
    let (mut engine, mut producer) = stepped(builder);
    for n in 0..4 {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed), (3, 1));
    let events = heard.take();
    add_up(&events, &last);
    let bad = events.iter().find(|event| event.failed > 0).expect("one has failed");
    assert_eq!(
        bad.stage,
        BatchStage::Isolated,
        "its neighbours were done, so it is not called again"
    );
    assert_eq!((bad.items, bad.done, bad.failed, bad.retried), (1, 0, 1, 0));
}

#[test]
fn an_event_says_how_old_its_oldest_item_was_and_how_late_it_went() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
    let (builder, heard) = observed(acting(act));
    let (mut engine, mut producer) = stepped(builder);
    engine.advance(3 * MILLISECOND);
    engine.turn();
    producer.push(Op::new(1, 1)).expect("room");
    engine.settle();
    engine.advance(4 * MILLISECOND);
    engine.turn();
    producer.push(Op::new(1, 2)).expect("room");
    engine.settle();
    // As if the shard had been elsewhere.
    engine.advance(21 * MILLISECOND);
    engine.settle();
    let events = heard.take();
    let [event] = &events[..] else { panic!("one batch: {events:?}") };
    assert_eq!((event.items, event.trigger), (2, Trigger::Deadline));
    let ms = |ms: u32| Nanos::from(ms * MILLISECOND);
    assert_eq!((event.oldest_age, event.lateness), (ms(25), ms(15)));
    assert_eq!((event.formation, event.execution), (Nanos::ZERO, Nanos::ZERO), "time stood still");
    at_rest(engine);
}

#[test]
fn execution_is_the_time_in_the_handler_and_formation_goes_on_through_the_calls_before() {
    let took = Book::new();
    let notes = took.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(20) {
            std::hint::spin_loop();
        }
        notes.note(Nanos::from(begun.elapsed()));
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (builder, heard) = observed(acting(act));
    let engine = builder.start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    engine.pause_all().expect("there are queues");
    for key in 0..3 {
        producer.push(Op::new(key, 1)).expect("room");
    }
    while engine.snapshot().held < 3 {
        std::thread::yield_now();
    }
    // All of them in one turn.
    engine.resume_all().expect("there are queues");
    engine.shutdown(Duration::from_secs(60)).expect("it drains");
    let (took, events) = (took.take(), heard.take());
    assert_eq!((took.len(), events.len()), (3, 3));
    let mut before = Nanos::ZERO;
    for (own, event) in took.into_iter().zip(&events) {
        assert!(event.execution >= own, "{own}: {event:?}");
        assert!(event.formation >= before, "{before}: {event:?}");
        before = before.saturating_add(own);
    }
}

#[test]
fn a_panic_of_an_observer_is_counted_and_the_engine_goes_on() {
    let act = handling(|hand: Hand<'_, Op>| {
        let (settled, away) = hand.detach().expect("there is a credit");
        away.settle_each(|op| Verdict::Done(op.n));
        settled
    });
    let builder = acting(act).sizing(Sizing::Single).in_flight_max(1);
    let (mut engine, mut producer) = stepped(builder.observer(|_: &BatchEvent| panic_quietly()));
    for n in 0..10 {
        producer.push(Op::new(1, n)).expect("room");
    }
    run_out(&mut engine);
    let last = at_rest(engine);
    assert_eq!((last.done, last.handler_panics), (10, 0));
    assert_eq!(last.hook_panics, 20, "at each hand-over and each return");
}

/// Takes everything along but what is to panic.
fn leaving(book: &Book<Away>) -> Builder<impl Handler<Item = Op, Reply = i64> + use<>> {
    let gone = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        if numbers(&hand) == [-1] {
            panic_quietly();
        }
        let (settled, away) = hand.detach().expect("there are credits");
        gone.note(away);
        settled
    });
    let builder = acting(act).in_flight_max(4).in_flight_for(100 * MILLISECOND);
    builder.retry(punctual(2)).after_panic(AfterPanic::Stop)
}

#[test]
fn a_batch_that_is_taken_along_is_heard_of_when_it_leaves_and_when_it_ends() {
    let give_back = |away: Away| {
        away.settle_each(|op| match op.n {
            0 => Verdict::Done(0),
            1 => Verdict::Failed("bad"),
            _ => Verdict::Retry("again"),
        });
    };
    type End = (BatchStage, fn(Away), [usize; 3]);
    let ends: [End; 3] = [
        (BatchStage::Returned, give_back, [1, 1, 1]),
        (BatchStage::Abandoned, |away| drop(away), [0, 3, 0]),
        (BatchStage::TimedOut, |away| std::mem::forget(away), [0, 3, 0]),
    ];
    for (stage, end, [done, failed, retried]) in ends {
        let book = Book::new();
        let (builder, heard) = observed(leaving(&book));
        let (mut engine, mut producer) = stepped(builder);
        for n in 0..3 {
            producer.push(Op::new(1, n)).expect("room");
        }
        engine.settle();
        engine.advance(LINGER + 5 * MILLISECOND);
        engine.settle();
        let left = heard.take();
        assert_eq!(stages(&left), [BatchStage::Detached]);
        assert_eq!((left[0].items, left[0].execution), (3, Nanos::ZERO));
        assert_eq!((left[0].done, left[0].failed, left[0].retried), (0, 0, 0));
        engine.advance(95 * MILLISECOND);
        engine.settle();
        assert_eq!(heard.len(), 0, "{stage:?}: it is away");
        end(book.take().remove(0));
        engine.advance(7 * MILLISECOND);
        engine.settle();
        let ended = heard.take();
        assert_eq!(stages(&ended), [stage]);
        // Of the batch it says the same again.
        let mut same = left[0];
        same.stage = stage;
        (same.done, same.failed, same.retried) = (done, failed, retried);
        same.execution = Nanos::from(102 * MILLISECOND);
        assert_eq!(ended[0], same);
        assert_eq!(left[0].lateness, Nanos::from(5 * MILLISECOND));
    }
}

#[test]
fn a_batch_that_comes_back_late_is_not_heard_of_again() {
    let book = Book::new();
    let (builder, heard) = observed(leaving(&book));
    let (mut engine, mut producer) = stepped(builder);
    producer.push(Op::new(1, 1)).expect("room");
    run_out(&mut engine);
    assert_eq!(stages(&heard.take()), [BatchStage::Detached, BatchStage::TimedOut]);
    book.take().remove(0).settle_each(|_| Verdict::Done(0));
    run_out(&mut engine);
    assert_eq!((heard.len(), engine.snapshot().late_returns), (0, 1));
    // The next one in its place has events of its own.
    producer.push(Op::new(1, 2)).expect("room");
    engine.advance(LINGER);
    engine.settle();
    engine.advance(LINGER);
    engine.settle();
    book.take().remove(0).settle_each(|_| Verdict::Done(0));
    engine.settle();
    let events = heard.take();
    assert_eq!(stages(&events), [BatchStage::Detached, BatchStage::Returned]);
    assert_eq!((events[1].done, events[1].failed), (1, 0));
    at_rest(engine);
}

#[test]
fn a_batch_that_is_away_when_its_shard_stops_is_heard_of() {
    let book = Book::new();
    let (builder, heard) = observed(leaving(&book));
    let (mut engine, mut producer) = stepped(builder);
    producer.push(Op::new(1, 1)).expect("room");
    producer.push(Op::new(1, 2)).expect("room");
    engine.settle();
    engine.advance(LINGER);
    engine.settle();
    engine.advance(MILLISECOND);
    producer.push(Op::new(2, -1)).expect("room");
    producer.flush().expect("room");
    engine.settle();
    let events = heard.take();
    let went = [BatchStage::Detached, BatchStage::Handled, BatchStage::Stopped];
    assert_eq!(stages(&events), went);
    assert_eq!((events[2].failed, events[2].execution), (2, Nanos::from(MILLISECOND)));
    let last = engine.shutdown();
    assert_eq!((last.stopped_shards, last.failed), (1, 3));
    add_up(&events, &last);
}
