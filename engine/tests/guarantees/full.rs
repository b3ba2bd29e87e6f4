//! G6: bounded and lossless.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use engine::testing::Stepped;
use engine::{Engine, PushError, Shards, Sizing};

use crate::shutdown::{Gate, gated};
use crate::witness::{LONG, Style, Witness, assert_at_rest};

/// G6: the item that finds no room comes back, the same one, and finds room after a turn.
#[test]
fn a_full_lane_gives_the_item_back_and_takes_it_after_a_turn() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.lane_items(8));
    let bytes = engine.plan().bytes();
    assert_eq!(engine.plan().lane_items(), 8);
    let mut producer = engine.producer().expect("a lane is free");
    let mut seq = 0;
    for _ in 0..100 {
        for _ in 0..8 {
            producer.try_push(witness.op(0, 1, seq)).expect("there is room");
            seq += 1;
        }
        let refused = producer.try_push(witness.op(0, 1, seq)).expect_err("there is none");
        assert!(refused.is_full());
        assert_eq!(refused.into_inner().name(), (0, 1, seq));
        assert_eq!(witness.items.alive(), 8);
        engine.settle();
        assert_eq!(witness.items.alive(), 0);
    }
    assert_eq!(engine.plan().bytes(), bytes);
    assert_at_rest(&engine.shutdown(), seq);
    witness.assert_in_order();
}

/// G6: of a run, what fits is accepted, the one that did not comes back, and the rest was not
/// touched.
#[test]
fn a_run_that_finds_a_full_lane_is_accepted_as_far_as_it_fits() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.lane_items(8));
    let mut producer = engine.producer().expect("a lane is free");
    let mut run = (0..20).map(|seq| witness.op(0, 1, seq));
    let error = producer.try_push_run(&mut run).expect_err("20 do not fit");
    assert_eq!(error.accepted, 8);
    let PushError::Full(back) = error.cause else { panic!("{:?}", error.cause) };
    assert_eq!(back.iter().map(|op| op.seq).collect::<Vec<_>>(), [8]);
    assert_eq!(run.next().map(|op| op.seq), Some(9), "what follows is still in the iterator");
    engine.settle();
    assert_eq!(witness.take().seqs(), (0..8).collect::<Vec<_>>());
}

/// G6: a push that waits is woken by the shard that makes room, and nothing is lost.
#[test]
fn a_push_waits_for_room_and_is_woken() {
    let gate = Gate::default();
    let engine = gated(&gate).lane_items(2).sizing(Sizing::Single).start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push(crate::shutdown::Row(0)).expect("open");
    gate.wait_until_entered();
    let mut id = 1;
    while producer.try_push(crate::shutdown::Row(id)).is_ok() {
        id += 1;
    }
    let (began, begin) = mpsc::channel();
    let pusher = thread::spawn(move || {
        began.send(()).expect("the test listens");
        for id in id..id + 100 {
            producer.push(crate::shutdown::Row(id)).expect("open");
        }
    });
    begin.recv().expect("the pusher begins");
    gate.open();
    pusher.join().expect("it was woken");
    assert_at_rest(&engine.shutdown(LONG).expect("it drains"), id + 100);
}

/// G6: so is a task that reserves room, and one whose future is dropped while it waits loses
/// nothing.
#[test]
fn a_reservation_waits_for_room_and_dropping_it_loses_nothing() {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    let gate = Gate::default();
    let engine = gated(&gate).lane_items(2).sizing(Sizing::Single).start().expect("allowed");
    let handle = engine.handle().expect("there is a handle lane");
    handle.push(crate::shutdown::Row(0)).expect("open");
    gate.wait_until_entered();
    let mut id = 1;
    while handle.try_push(crate::shutdown::Row(id)).is_ok() {
        id += 1;
    }
    let mut waits = Box::pin(handle.reserve(&0));
    let mut cancelled = Box::pin(handle.reserve(&0));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    assert!(cancelled.as_mut().poll(&mut context).is_pending());
    drop(cancelled);
    gate.open();
    let permit = ringbuf::wake::block_on(waits, 0).expect("the engine is open");
    permit.push(crate::shutdown::Row(id)).expect("it has room");
    // A permit dropped unused goes to whoever comes next.
    drop(ringbuf::wake::block_on(handle.reserve(&0), 0).expect("open"));
    handle.push(crate::shutdown::Row(id + 1)).expect("open");
    assert_at_rest(&engine.shutdown(LONG).expect("it drains"), id + 2);
    let mut late = Box::pin(handle.reserve(&0));
    let Poll::Ready(Err(PushError::Closed(()))) = late.as_mut().poll(&mut context) else {
        panic!("a closed engine has no room");
    };
}

/// G6: pushing for long into little memory, on threads, loses nothing and keeps order.
#[test]
fn small_lanes_and_little_memory_lose_nothing_on_real_threads() {
    const EACH: u64 = 5_000;
    let witness = Witness::new(Style::Each);
    let engine = witness.started(|builder| {
        builder
            .lane_items(4)
            .open_items(8)
            .open_keys(3)
            .sizing(Sizing::Fixed(16))
            .shards(Shards::Count(2))
    });
    let bytes = engine.plan().bytes();
    thread::scope(|scope| {
        for from in 0..2 {
            let mut producer = engine.producer().expect("a lane is free");
            let witness = &witness;
            scope.spawn(move || {
                for seq in 0..EACH {
                    producer.push(witness.op(from, seq % 7, seq)).expect("the engine is open");
                }
            });
        }
    });
    assert_eq!(engine.plan().bytes(), bytes);
    let last = engine.shutdown(LONG).expect("it drains");
    assert_at_rest(&last, 2 * EACH);
    witness.assert_in_order();
    witness.assert_nobody_lives();
}

/// An item that makes others, which go back into the engine that it came from.
struct Echo {
    engine: Arc<Mutex<Option<engine::Handle<Copied>>>>,
    refused: Arc<Mutex<u32>>,
}

struct Copied {
    first: bool,
}

impl engine::Item for Copied {
    type Key<'a> = ();
    fn key(&self) {}
}

impl engine::Handler for Echo {
    type Item = Copied;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: engine::Batch<'b, Self>) -> engine::Settled<'b> {
        batch.settle_each(|item| {
            let engine = self.engine.lock().expect("nobody panics");
            if item.first
                && let Some(engine) = &*engine
                && engine.try_push(Copied { first: false }).is_err()
            {
                *self.refused.lock().expect("nobody panics") += 1;
            }
            engine::Verdict::Done(())
        })
    }
}

/// G6: the slot of an item in a handler's hands is free, under every sizing.
#[test]
fn a_handler_that_pushes_into_its_own_full_lane_finds_the_room_of_what_it_has() {
    for sizing in crate::witness::sizings() {
        let (shared, refused) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(0)));
        let (way, count) = (Arc::clone(&shared), Arc::clone(&refused));
        let make = move |_| Echo { engine: Arc::clone(&way), refused: Arc::clone(&count) };
        let builder = Engine::builder(make).sizing(sizing).lane_items(64);
        let mut engine = Stepped::new(builder).expect("allowed");
        let handle = engine.handle().expect("there is one by default");
        *shared.lock().expect("nobody panics") = Some(handle.clone());
        for _ in 0..64 {
            handle.try_push(Copied { first: true }).expect("there is room");
        }
        engine.settle();
        engine.advance(std::time::Duration::from_millis(11));
        engine.settle();
        *shared.lock().expect("nobody panics") = None;
        assert_at_rest(&engine.shutdown(), 128);
        assert_eq!(*refused.lock().expect("nobody panics"), 0, "{sizing:?}");
    }
}
