//! Calls: exactly one answer, of every kind.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use engine::{Failure, PushError, Sizing, Ticket, Trigger, Verdict};

use crate::scene::{
    Actor, Book, EXPIRES, Hand, LINGER, Op, PLAIN, acting, at_rest, conserved, handling, numbers,
    panic_quietly, punctual, run_out, stepped,
};

type Outcome = Result<i64, Failure<&'static str>>;

/// The answer of a ticket that has one.
fn answer(ticket: Ticket<i64, &'static str>) -> Outcome {
    ticket.wait_for(Duration::ZERO).expect("it is answered")
}

/// Doubles what is positive; 0 dies, negative numbers fail, -9 panics.
fn judge(op: &Op) -> Verdict<i64, &'static str> {
    match op.n {
        -9 => panic_quietly(),
        0 => Verdict::Retry("again"),
        n if n < 0 => Verdict::Failed("negative"),
        n => Verdict::Done(2 * n),
    }
}

#[test]
fn a_call_hears_what_the_handler_says_of_it() {
    let (mut engine, mut producer) =
        stepped(acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(8));
    let tickets = [4, -1, 0, -9].map(|n| producer.call(Op::new(1, n)).expect("a slot is free"));
    engine.settle();
    let said = tickets.map(answer);
    let expected = [
        Ok(8),
        Err(Failure::Handler("negative")),
        Err(Failure::Dead("again")),
        Err(Failure::Panicked),
    ];
    assert_eq!(said, expected);
    let last = at_rest(engine);
    assert_eq!((last.done, last.failed, last.dead), (1, 2, 1));
}

#[test]
fn a_call_that_gets_no_verdict_hears_that_it_was_undecided() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_bulk(|_, _, _| {})).replies_max(1);
    let (mut engine, mut producer) = stepped(builder);
    let ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    engine.settle();
    assert_eq!(answer(ticket), Err(Failure::Undecided));
    assert_eq!(at_rest(engine).failed, 1);
}

#[test]
fn a_call_over_its_keys_limit_hears_that_it_is_full() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(2);
    let (mut engine, mut producer) = stepped(builder.key_items_max(1));
    let first = producer.call(Op::new(1, 1)).expect("a slot is free");
    let second = producer.call(Op::new(1, 2)).expect("a slot is free");
    engine.settle();
    assert_eq!((answer(first), answer(second)), (Ok(2), Err(Failure::KeyFull)));
    assert_eq!(at_rest(engine).key_full, 1);
}

#[test]
fn a_call_that_expires_while_its_key_is_paused_hears_so_at_once() {
    let act = handling(|hand: Hand<'_, Op<EXPIRES>>| hand.settle_each(|op| Verdict::Done(op.n)));
    let (mut engine, mut producer) = stepped(acting(act).replies_max(2));
    engine.pause(&1).expect("there are queues");
    engine.settle();
    let lives = Duration::from_millis(30);
    let ticket = producer.call(Op::new(1, 1).living(lives)).expect("a slot is free");
    engine.settle();
    let ticket = ticket.wait_for(Duration::ZERO).expect_err("it waits");
    engine.advance(lives + Duration::from_millis(1));
    engine.settle();
    assert_eq!(answer(ticket), Err(Failure::Expired));
    assert_eq!(at_rest(engine).expired, 1);
}

#[test]
fn an_engine_that_ends_answers_every_call() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(2);
    let (mut engine, mut producer) = stepped(builder);
    engine.pause(&1).expect("there are queues");
    engine.settle();
    let ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    engine.settle();
    let late = producer.call(Op::new(2, 1)).expect("a slot is free");
    drop(engine);
    assert_eq!(answer(ticket), Err(Failure::Stopped));
    assert_eq!(answer(late), Err(Failure::Stopped));
}

#[test]
fn a_ticket_waits_for_nobody_on_the_thread_that_would_have_to_answer() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(2);
    let (engine, mut producer) = stepped(builder);
    let ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    assert_eq!(ticket.wait(), Err(Failure::WouldDeadlock));
    assert_eq!(at_rest(engine).done, 1);
}

#[test]
fn a_dropped_ticket_disturbs_nothing_and_frees_its_slot() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(1);
    let (mut engine, mut producer) = stepped(builder);
    for n in 1..50 {
        let ticket = producer.call(Op::new(1, n)).expect("the slot is free again");
        if n % 2 == 0 {
            engine.settle();
        }
        drop(ticket);
        engine.settle();
    }
    assert_eq!(at_rest(engine).done, 49);
}

#[test]
fn a_call_without_a_free_slot_gets_its_item_back() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(1);
    let (mut engine, mut producer) = stepped(builder);
    let first = producer.call(Op::new(1, 1)).expect("a slot is free");
    match producer.call(Op::new(1, 2)) {
        Err(PushError::NoReplySlot(op)) => assert_eq!(op.n, 2),
        other => panic!("{other:?}"),
    }
    engine.settle();
    // The answer itself sits in the slot until it is taken.
    assert!(producer.call(Op::new(1, 2)).is_err());
    assert_eq!(answer(first), Ok(2));
    let second = producer.call(Op::new(1, 2)).expect("the slot is free again");
    engine.settle();
    assert_eq!(answer(second), Ok(4));
    assert_eq!(at_rest(engine).accepted, 2);
}

/// Where an item can be when its call is cancelled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Lane,
    Paused,
    Behind,
    BackingOff,
}

#[test]
fn a_cancelled_call_hears_so_wherever_its_item_waits() {
    for place in [Place::Lane, Place::Paused, Place::Behind, Place::BackingOff] {
        let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(4);
        let (mut engine, mut producer) = stepped(builder.retry(punctual(3)));
        if place == Place::Paused {
            engine.pause(&1).expect("there are queues");
            engine.settle();
        }
        if place == Place::Behind {
            producer.push(Op { patience: engine::Patience::None, ..Op::new(1, 0) }).expect("room");
            engine.settle();
        }
        let n = if place == Place::BackingOff { 0 } else { 5 };
        let ticket = producer.call(Op::new(1, n)).expect("a slot is free");
        if place != Place::Lane {
            engine.settle();
        }
        ticket.cancel();
        ticket.cancel();
        engine.settle();
        assert_eq!(answer(ticket), Err(Failure::Cancelled), "{place:?}");
        // The key goes on.
        let next = producer.call(Op::new(1, 6)).expect("a slot is free");
        if place == Place::Paused {
            engine.resume(&1).expect("there are queues");
        }
        run_out(&mut engine);
        assert_eq!(answer(next), Ok(12), "{place:?}");
        assert_eq!(at_rest(engine).cancelled, 1, "{place:?}");
    }
}

#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(1);
    let (mut engine, mut producer) = stepped(builder);
    let ticket = producer.call(Op::new(1, 3)).expect("a slot is free");
    engine.settle();
    ticket.cancel();
    engine.settle();
    assert_eq!(answer(ticket), Ok(6));
    // Nor does it touch the next call in the same slot.
    let next = producer.call(Op::new(1, 4)).expect("the slot is free again");
    engine.settle();
    assert_eq!(answer(next), Ok(8));
    assert_eq!(at_rest(engine).cancelled, 0);
}

#[test]
fn one_ticket_hears_of_many_calls_in_their_order() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(9);
    let (mut engine, mut producer) = stepped(builder);
    let mut ops = [3, -1, 0, 7, 1, -9, 2].into_iter().map(|n| Op::new(n as u64 % 2, n));
    let tickets = producer.call_all(&mut ops).expect("there are slots");
    let tickets = tickets.wait_for(Duration::ZERO).expect_err("nobody has answered");
    engine.settle();
    let answers = tickets.wait_for(Duration::ZERO).expect("all have answers");
    let expected: [Outcome; 7] = [
        Ok(6),
        Err(Failure::Handler("negative")),
        Err(Failure::Dead("again")),
        Ok(14),
        Ok(2),
        Err(Failure::Panicked),
        Ok(4),
    ];
    assert_eq!(answers.as_slice(), expected);
    conserved(&at_rest(engine));
}

#[test]
fn calls_that_are_one_too_many_give_back_the_one_and_keep_the_others() {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge)).replies_max(2);
    let (mut engine, mut producer) = stepped(builder);
    let mut ops = (1..=4).map(|n| Op::new(1, n));
    let error = producer.call_all(&mut ops).expect_err("two slots");
    assert_eq!(error.cause.into_inner().n, 3);
    assert_eq!(ops.next().map(|op| op.n), Some(4));
    engine.settle();
    let answers = error.tickets.wait_for(Duration::ZERO).expect("both are answered");
    assert_eq!(answers.as_slice(), [Ok(2), Ok(4)]);
    assert_eq!(at_rest(engine).accepted, 2);
}

#[test]
fn a_call_takes_its_batch_along_at_any_depth() {
    for behind in [0_i64, 1, 5, 50, 98] {
        let book = Book::new();
        let notes = book.clone();
        let act = handling(move |hand: Hand<'_, Op>| {
            notes.note((hand.trigger(), numbers(&hand)));
            hand.settle_each(judge)
        });
        let (mut engine, mut producer) =
            stepped(acting(act).sizing(Sizing::Fixed(100)).replies_max(1));
        for n in 1..=behind {
            producer.push(Op::new(1, n)).expect("room");
        }
        engine.settle();
        assert!(book.take().is_empty(), "they linger");
        let ticket = producer.call(Op::new(1, 1_000)).expect("a slot is free");
        engine.settle();
        assert_eq!(answer(ticket), Ok(2_000));
        let all: Vec<_> = (1..=behind).chain([1_000]).collect();
        assert_eq!(book.take(), [(Trigger::Call, all)]);
        assert!(engine.now() < LINGER.into());
        at_rest(engine);
    }
}

/// Unparks the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The barest of executors.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A running engine of two shards.
fn running() -> engine::Engine<Actor<Op<PLAIN>>> {
    let builder = acting(|hand: Hand<'_, Op>| hand.settle_each(judge));
    builder.shards(engine::Shards::Count(2)).replies_max(64).start().expect("it starts")
}

#[test]
fn a_ticket_is_a_future_of_any_executor() {
    let engine = running();
    let mut producer = engine.producer().expect("a lane is free");
    for n in 1..200 {
        let ticket = producer.call(Op::new(n as u64 % 7, n)).expect("a slot is free");
        assert_eq!(block_on(ticket), Ok(2 * n));
    }
    let tickets = producer.call_all(&mut (1..=20).map(|n| Op::new(n as u64, n))).expect("slots");
    let answers = block_on(tickets);
    assert_eq!(
        answers.into_iter().collect::<Result<Vec<_>, _>>(),
        Ok((1..=20).map(|n| 2 * n).collect())
    );
    conserved(&engine.shutdown(Duration::from_secs(30)).expect("it ends"));
}

#[test]
fn a_plain_thread_waits_for_a_ticket_with_and_without_a_limit() {
    let engine = running();
    let mut producer = engine.producer().expect("a lane is free");
    for n in 1..200 {
        let ticket = producer.call(Op::new(n as u64 % 7, n)).expect("a slot is free");
        let said = match n % 2 {
            0 => ticket.wait(),
            _ => ticket.wait_for(Duration::from_secs(30)).expect("it is answered"),
        };
        assert_eq!(said, Ok(2 * n));
    }
    engine.pause(&1).expect("there are queues");
    let ticket = producer.call(Op::new(1, 1)).expect("a slot is free");
    let ticket = ticket.wait_for(Duration::from_millis(2)).expect_err("its key is paused");
    ticket.cancel();
    assert_eq!(ticket.wait(), Err(Failure::Cancelled));
    conserved(&engine.shutdown(Duration::from_secs(30)).expect("it ends"));
}

#[test]
fn calls_of_one_drain_are_handed_over_in_the_order_in_which_they_came() {
    let book = Book::new();
    let notes = book.clone();
    let act = handling(move |hand: Hand<'_, Op>| {
        notes.note(hand.items()[0].n);
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let (mut engine, mut producer) = stepped(acting(act).replies_max(8));
    let tickets: Vec<_> =
        (1..=4).map(|n| producer.call(Op::new(n as u64, n)).expect("a slot is free")).collect();
    engine.settle();
    drop(tickets);
    assert_eq!(book.take(), [1, 2, 3, 4]);
}
