//! Tickets under a runtime, of which the engine knows nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use engine::{Failure, Verdict};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::scene::{Hand, Op, acting, at_rest, handling, run_out, stepped};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("it starts")
}

#[test]
fn tasks_are_woken_by_the_shard_that_answers() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n * 2)));
    let engine = acting(act).replies_max(64).start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    let mut answers = runtime().block_on(async {
        let mut tasks = JoinSet::new();
        for n in 0..50 {
            let ticket = producer.call(Op::new(n as u64 % 5, n)).expect("there is room");
            tasks.spawn(async move { (n, ticket.await) });
        }
        tasks.join_all().await
    });
    answers.sort_unstable_by_key(|(n, _)| *n);
    assert!(answers.into_iter().eq((0..50).map(|n| (n, Ok(n * 2)))));

    let all = producer.call_all(&mut (0..30).map(|n| Op::new(1, n))).expect("there is room");
    let outcomes = runtime().block_on(all);
    assert!(outcomes.into_iter().eq((0..30).map(|n| Ok(n * 2))));
    engine.shutdown(Duration::from_secs(5)).expect("it drains");
}

#[test]
fn a_ticket_outlives_a_timeout_and_is_answered_after_it() {
    let (go_on, leave) = channel::<()>();
    let leave = Arc::new(Mutex::new(leave));
    let act = handling(move |hand: Hand<'_, Op>| {
        leave.lock().expect("one shard").recv().expect("the test gives leave");
        hand.settle_each(|op| Verdict::Done(op.n))
    });
    let engine = acting(act).replies_max(4).start().expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    let mut ticket = producer.call(Op::new(1, 7)).expect("there is room");
    runtime().block_on(async {
        let in_time = tokio::time::timeout(Duration::from_millis(1), &mut ticket).await;
        assert!(in_time.is_err(), "the handler waits for leave");
        go_on.send(()).expect("the handler waits");
        assert_eq!(ticket.await, Ok(7));
    });
    engine.shutdown(Duration::from_secs(5)).expect("it drains");
}

#[test]
fn a_ticket_that_is_dropped_while_it_is_awaited_does_not_disturb_its_item() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
    // One slot: the next call finds it free again.
    let (mut engine, mut producer) = stepped(acting(act).replies_max(1));
    for n in 0..3 {
        {
            let mut ticket = pin!(producer.call(Op::new(1, n)).expect("the slot is free"));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(ticket.as_mut().poll(&mut cx).is_pending());
        }
        run_out(&mut engine);
    }
    assert_eq!(at_rest(engine).done, 3);
}

#[test]
fn a_call_that_is_cancelled_from_a_task_says_so_there() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
    let (mut engine, mut producer) = stepped(acting(act).replies_max(4));
    engine.pause(&1).expect("there are queues");
    engine.settle();
    let ticket = producer.call(Op::new(1, 1)).expect("there is room");
    let outcome = runtime().block_on(async {
        let mut tasks = JoinSet::new();
        ticket.cancel();
        tasks.spawn(ticket);
        tokio::task::yield_now().await;
        engine.settle();
        tasks.join_next().await.expect("one task").expect("it does not panic")
    });
    assert_eq!(outcome, Err(Failure::Cancelled));
    engine.resume_all().expect("there are queues");
    at_rest(engine);
}
