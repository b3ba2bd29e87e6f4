//! Batches that handlers take along.

use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    Builder, Detached, Engine, EngineProducer, Failure, Handler, PushError, ShutdownError, Sizing,
    Verdict,
};

use crate::scene::{
    Book, EXPIRES, Hand, LINGER, Op, acting, at_rest, conserved, handling, panic_quietly, punctual,
    stepped,
};

type Away = Detached<Op, i64, &'static str>;

/// How long a batch may be away here.
const AWAY: Duration = Duration::from_millis(500);

/// Takes everything along.
fn leaving(
    book: &Book<Away>,
) -> Builder<impl Handler<Item = Op, Reply = i64, Error = &'static str> + use<>> {
    let gone = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        let (settled, away) = hand.detach().expect("there are credits");
        gone.note(away);
        settled
    });
    acting(act).in_flight_max(2).in_flight_for(AWAY).replies_max(8)
}

fn push<H>(engine: &mut Stepped<H>, producer: &mut EngineProducer<H>, key: u64, n: i64)
where
    H: Handler<Item = Op, Reply = i64, Error = &'static str>,
{
    producer.push(Op::new(key, n)).expect("room");
    producer.flush().expect("room");
    engine.settle();
}

/// Everything of a batch is done, and written down.
fn give_back(batch: Away, done: &Book<(u64, i64)>) {
    batch.settle_each(|op| {
        done.note((op.key, op.n));
        Verdict::Done(op.n)
    });
}

/// Comes back when a batch is away.
fn wait_until_away<H: Handler>(engine: &Engine<H>) {
    while engine.snapshot().in_flight == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_batch_away_holds_its_key_and_no_other_and_credits_bound_how_many_are_away() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(leaving(&book));
    for (key, n) in [(1, 1), (1, 2), (2, 3), (3, 4)] {
        push(&mut engine, &mut producer, key, n);
    }
    let mut away = book.take();
    let keys: Vec<_> = away.iter().map(|batch| batch.key()).collect();
    assert_eq!((keys, engine.snapshot().in_flight), (vec![1, 2], 2));
    away.remove(0).settle_each(|op| Verdict::Done(op.n));
    engine.settle();
    let next = book.take();
    assert_eq!(next.len(), 1, "one credit came back");
    assert_eq!(engine.snapshot().in_flight, 2);
    let mut open: Vec<_> = away.into_iter().chain(next).collect();
    while let Some(batch) = open.pop() {
        // From another thread.
        let settling = std::thread::spawn(move || batch.settle_all(|_, _| Ok(0)));
        settling.join().expect("it settles");
        engine.settle();
        open.extend(book.take());
    }
    assert_eq!(at_rest(engine).done, 4);
}

#[test]
fn order_stands_while_items_are_away() {
    let (book, done) = (Book::new(), Book::new());
    let (mut engine, mut producer) = stepped(leaving(&book));
    for n in 0..40 {
        push(&mut engine, &mut producer, n as u64 % 3, n);
        for batch in if n % 4 == 0 { book.take() } else { Vec::new() } {
            give_back(batch, &done);
            engine.settle();
        }
    }
    loop {
        engine.advance(LINGER);
        engine.settle();
        let away = book.take();
        if away.is_empty() {
            break;
        }
        for batch in away {
            give_back(batch, &done);
        }
    }
    let done = done.take();
    assert_eq!(done.len(), 40);
    for key in 0..3 {
        assert!(done.iter().filter(|op| op.0 == key).map(|op| op.1).is_sorted(), "{done:?}");
    }
    at_rest(engine);
}

#[test]
fn a_batch_that_is_away_too_long_times_out_and_settling_it_late_changes_nothing() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(leaving(&book));
    let ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    engine.settle();
    engine.advance(AWAY + Duration::from_millis(10));
    engine.settle();
    assert_eq!(ticket.wait_for(Duration::ZERO).expect("answered"), Err(Failure::TimedOut));
    book.take().remove(0).settle_each(|_| Verdict::Done(1));
    engine.settle();
    let now = engine.snapshot();
    assert_eq!((now.late_returns, now.timed_out, now.done), (1, 1, 0));
    // The credits are back.
    for key in [1, 2] {
        push(&mut engine, &mut producer, key, 2);
    }
    let away = book.take();
    assert_eq!(away.len(), 2);
    away.into_iter().for_each(|batch| batch.settle_all(|_, _| Ok(0)));
    assert_eq!(at_rest(engine).done, 2);
}

#[test]
fn a_batch_that_is_dropped_is_abandoned_and_one_that_panics_has_panicked() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(leaving(&book));
    let ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    engine.settle();
    drop(book.take());
    engine.settle();
    assert_eq!(ticket.wait_for(Duration::ZERO).expect("answered"), Err(Failure::Abandoned));

    let ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    engine.settle();
    let batch = book.take().remove(0);
    let settle = move || batch.settle_each(|_| panic_quietly());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(settle)).is_err());
    engine.settle();
    assert_eq!(ticket.wait_for(Duration::ZERO).expect("answered"), Err(Failure::Panicked));
    assert_eq!(at_rest(engine).failed, 2);
}

#[test]
fn without_credits_a_batch_stays() {
    let act = handling(|hand: Hand<'_, Op>| match hand.detach() {
        Ok(_) => unreachable!("no credits were set up"),
        Err(here) => here.settle_each(|op| Verdict::Done(op.n)),
    });
    let (mut engine, mut producer) = stepped(acting(act));
    push(&mut engine, &mut producer, 1, 1);
    assert_eq!(at_rest(engine).done, 1);
}

#[test]
fn a_batch_that_nobody_gives_back_is_counted_to_the_end() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(leaving(&book));
    push(&mut engine, &mut producer, 1, 1);
    push(&mut engine, &mut producer, 2, 2);
    engine.advance(AWAY * 2);
    engine.settle();
    let snapshot = engine.snapshot();
    assert_eq!((snapshot.timed_out, snapshot.overdue_batches), (2, 2));
    let mut away = book.take();
    std::mem::forget(away.pop());
    drop(away);
    engine.settle();
    let last = at_rest(engine);
    assert_eq!((last.failed, last.late_returns, last.overdue_batches), (2, 1, 1));
}

#[test]
fn what_a_batch_away_asks_to_try_again_comes_back_before_what_waits_behind_it() {
    let (book, done) = (Book::new(), Book::new());
    let (mut engine, mut producer) = stepped(leaving(&book).retry(punctual(3)));
    for n in [1, 2] {
        push(&mut engine, &mut producer, 1, n);
    }
    for attempt in 1..=3 {
        let away = book.take();
        let [first] = &away[..] else { panic!("attempt {attempt}: {} batches", away.len()) };
        assert_eq!((first.items()[0].n, first.attempt(0)), (1, attempt));
        for batch in away {
            match attempt {
                3 => give_back(batch, &done),
                _ => batch.settle_each(|_| Verdict::Retry("again")),
            }
        }
        engine.settle();
        if attempt < 3 {
            assert!(book.take().is_empty(), "it backs off, and so does what is behind it");
            engine.advance(Duration::from_millis(50));
            engine.settle();
        }
    }
    book.take().into_iter().for_each(|batch| give_back(batch, &done));
    engine.settle();
    assert_eq!(done.take(), [(1, 1), (1, 2)]);
    let last = at_rest(engine);
    assert_eq!((last.done, last.retries), (2, 2));
}

#[test]
fn a_call_that_is_cancelled_while_its_batch_is_away_hears_so_when_it_is_back_to_be_tried_again() {
    let book = Book::new();
    let (mut engine, mut producer) = stepped(leaving(&book).retry(punctual(3)));
    let ticket = producer.call(Op::new(1, 7)).expect("a slot is free");
    engine.settle();
    ticket.cancel();
    engine.settle();
    for batch in book.take() {
        batch.settle_each(|_| Verdict::Retry("later"));
    }
    engine.settle();
    // And not when its backoff is over.
    let answer = ticket.wait_for(Duration::ZERO).expect("it is answered");
    assert_eq!(answer, Err(Failure::Cancelled));
    assert_eq!(at_rest(engine).cancelled, 1);
}

#[test]
fn a_shutdown_waits_for_batches_that_are_away() {
    let book = Book::new();
    let engine = leaving(&book).start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    let ticket = producer.call(Op::new(1, 7)).expect("a slot is free");
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let settling = std::thread::spawn(move || {
        // Pushes come back from when the engine closes: the batch is given back after that.
        while !matches!(producer.try_push(Op::new(2, 0)), Err(PushError::Closed(_))) {
            std::thread::yield_now();
        }
        // All that comes, to the end: a batch that nobody gives back keeps its credit.
        while is_over.try_recv() == Err(TryRecvError::Empty) {
            for batch in book.take() {
                batch.settle_each(|op| Verdict::Done(op.n));
            }
            std::thread::yield_now();
        }
    });
    wait_until_away(&engine);
    let last = engine.shutdown(Duration::from_secs(60)).expect("all comes back");
    drop(over);
    settling.join().expect("it settles");
    assert_eq!(ticket.wait(), Ok(7));
    conserved(&last);
}

#[test]
fn a_shutdown_waits_no_longer_than_it_may_for_a_batch_that_stays_away() {
    let book = Book::new();
    let hour = Duration::from_secs(3_600);
    let engine = leaving(&book).in_flight_for(hour).start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    let ticket = producer.call(Op::new(1, 7)).expect("a slot is free");
    wait_until_away(&engine);
    match engine.shutdown(Duration::from_millis(20)) {
        Err(ShutdownError::TimedOut { left, .. }) => assert_eq!(left.in_flight, 1, "{left}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ticket.wait(), Err(Failure::Stopped));
    // It has nowhere to go back to, which harms nobody.
    book.take().into_iter().for_each(|batch| batch.settle_each(|op| Verdict::Done(op.n)));
}

#[test]
fn keys_of_which_all_has_expired_give_their_places_back_while_all_credits_are_out() {
    type Act = Op<EXPIRES>;
    let away: Book<Detached<Act, i64, &'static str>> = Book::new();
    let all = away.clone();
    let act = handling(move |hand: Hand<'_, Act>| {
        let (settled, detached) = hand.detach().expect("a credit is free");
        all.note(detached);
        settled
    });
    let builder = acting(act).in_flight_max(1).in_flight_for(AWAY).open_keys(4);
    let (mut engine, mut producer) = stepped(builder.sizing(Sizing::Single));
    producer.push(Act::new(0, 0)).expect("room");
    engine.settle();
    for key in 1..=3 {
        let brief = Duration::from_millis(5);
        producer.push(Act::new(key, 1).living(brief)).expect("room");
    }
    engine.settle();
    engine.advance(Duration::from_millis(50));
    engine.settle();
    let then = engine.snapshot();
    assert_eq!((then.expired, then.waiting()), (3, 1), "one is away, nothing else is here");
    producer.push(Act::new(9, 9)).expect("room");
    engine.settle();
    let now = engine.snapshot();
    assert_eq!((now.in_lanes, now.memory_stops), (0, 0), "of four places one is used: {now}");
}
