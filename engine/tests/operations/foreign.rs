//! Foreign code in the midst of the engine: wakers, and replies and errors that are copied.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use engine::testing::Stepped;
use engine::{Batch, Engine, Failure, Grouping, Handler, Item, Settled, Shards, Sizing, Verdict};

use crate::scene::{Hand, Op, acting, at_rest, conserved, handling, panic_quietly, stepped};

/// Panics when it wakes.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic_quietly();
    }
}

#[test]
fn a_waker_that_panics_stops_no_shard_and_costs_no_item() {
    let act = handling(|hand: Hand<'_, Op>| hand.settle_each(|op| Verdict::Done(op.n)));
    let builder = || acting(act).handle_lanes(1).lanes(1).lane_items(2).lane_marks(2);
    let plain = || builder().queues(false);
    let windowed = plain().grouping(Grouping::WINDOWED);
    for builder in [builder(), plain(), windowed, plain().sizing(Sizing::Single)] {
        let mut engine = Stepped::new(builder).expect("the settings are right");
        let handle = engine.handle().expect("there is a lane for handles");
        for _ in 0..2 {
            handle.try_push(Op::new(1, 1)).expect("there is room");
        }
        let waker = Waker::from(Arc::new(Bomb));
        let mut context = Context::from_waker(&waker);
        {
            let mut waits = pin!(handle.reserve(&1));
            assert!(waits.as_mut().poll(&mut context).is_pending());
            // The drain makes room.
            engine.settle();
            let Poll::Ready(Ok(permit)) = waits.as_mut().poll(&mut context) else {
                panic!("there is room now")
            };
            permit.push(Op::new(1, 2)).expect("it was kept for us");
        }
        {
            handle.try_push(Op::new(1, 3)).expect("there is room");
            let mut waits = pin!(handle.reserve(&1));
            assert!(waits.as_mut().poll(&mut context).is_pending());
            engine.close();
            engine.settle();
            let closed = waits.as_mut().poll(&mut context);
            assert!(matches!(closed, Poll::Ready(Err(_))), "nothing more is accepted");
        }
        let last = engine.shutdown();
        conserved(&last);
        assert_eq!((last.done, last.key_panics), (4, 0));
    }
}

struct Row;

impl Item for Row {
    type Key<'a> = ();
    fn key(&self) {}
}

/// The second copy that is made of them panics.
struct Brittle;

static COPIES: AtomicUsize = AtomicUsize::new(0);

impl Clone for Brittle {
    fn clone(&self) -> Self {
        if COPIES.fetch_add(1, Ordering::Relaxed) == 1 {
            panic_quietly();
        }
        Self
    }
}

struct FailsAll;

impl Handler for FailsAll {
    type Item = Row;
    type Reply = ();
    type Error = Brittle;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|(), _| Err(Brittle))
    }
}

#[test]
fn an_error_whose_copy_panics_fails_its_batch_once_and_as_a_whole() {
    let builder = Engine::builder(|_| FailsAll).shards(Shards::Count(1)).pin(false).queues(true);
    let builder = builder.handle_lanes(0).replies_max(8).sizing(Sizing::Fixed(3));
    let (mut engine, mut producer) = stepped(builder);
    let tickets = producer.call_all(&mut (0..3).map(|_| Row)).expect("slots");
    engine.settle();
    let answers = tickets.wait_for(std::time::Duration::ZERO).map_err(drop).expect("answers");
    assert!(answers.iter().all(|answer| matches!(answer, Err(Failure::Panicked))));
    let last = at_rest(engine);
    assert_eq!((last.batches, last.failed), (1, 3));
}
