//! A push that would wait for the thread it is on says so.

use std::sync::{Arc, Mutex, mpsc};

use engine::{Batch, Engine, Handle, Handler, Item, Producer, PushError, Settled, Sizing, Verdict};

use crate::witness::{LONG, Style, Witness, assert_at_rest};

struct Task;

impl Item for Task {
    type Key<'a> = ();

    fn key(&self) {}
}

/// The ways into the engine that its own handler has.
#[derive(Default)]
struct Ways {
    handle: Option<Handle<Task>>,
    producer: Option<Producer<Task>>,
}

/// Pushes into its own engine, until that says why not; once.
struct Own {
    ways: Arc<Mutex<Ways>>,
    said: mpsc::Sender<(u64, u64)>,
}

/// Pushes until one is refused, which must be for the right reason; how many went before.
fn push_until_refused(mut push: impl FnMut(Task) -> Result<(), PushError<Task>>) -> u64 {
    let mut accepted = 0;
    loop {
        match push(Task) {
            Ok(()) => accepted += 1,
            Err(PushError::WouldDeadlock(Task)) => return accepted,
            Err(error) => panic!("{error:?}"),
        }
    }
}

impl Handler for Own {
    type Item = Task;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let Ways { handle, producer } = std::mem::take(&mut *self.ways.lock().expect("unpoisoned"));
        if let (Some(handle), Some(mut producer)) = (handle, producer) {
            let shared = push_until_refused(|task| handle.push(task));
            let own = push_until_refused(|task| producer.push(task));
            let full = producer.try_push(Task).expect_err("the lane is full");
            assert!(full.is_full(), "a push that does not wait is told the usual");
            let run = producer.push_run(&mut (0..3).map(|_| Task)).expect_err("the lane is full");
            assert!(matches!(run.cause, PushError::WouldDeadlock(back) if back.len() == 1));
            self.said.send((shared, own)).expect("the test listens");
        }
        batch.settle_each(|_| Verdict::Done(()))
    }
}

/// A handler that pushes into its own engine gets its item back where it would wait for itself; what
/// was accepted is handled.
#[test]
fn a_handler_that_pushes_into_its_own_full_engine_is_told_that_it_would_wait_for_itself() {
    let ways = Arc::new(Mutex::new(Ways::default()));
    let (said, hear) = mpsc::channel();
    let of_handler = ways.clone();
    let engine = Engine::builder(move |_| Own { ways: of_handler.clone(), said: said.clone() })
        .pin(false)
        .lane_items(4)
        .sizing(Sizing::Single)
        .open_keys(64)
        .open_items(1_024)
        .start()
        .expect("allowed");
    let handle = engine.handle().expect("there is a handle lane");
    let producer = engine.producer().expect("a lane is free");
    *ways.lock().expect("unpoisoned") = Ways { handle: Some(handle), producer: Some(producer) };
    engine.producer().expect("a second lane").push(Task).expect("there is room");
    let (shared, own) = hear.recv_timeout(LONG).expect("it does not wait for itself");
    assert_eq!((shared, own), (4, 4));
    assert_at_rest(&engine.shutdown(LONG).expect("it drains"), 9);
}

/// On a stepped engine whoever pushes is who would have to make room.
#[test]
fn a_push_that_would_wait_on_a_stepped_engine_is_told_so() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.lane_items(4));
    let mut producer = engine.producer().expect("a lane is free");
    let accepted = (0..10).take_while(|seq| producer.push(witness.op(0, 0, *seq)).is_ok()).count();
    assert_eq!(accepted, 4);
    let refused = producer.push(witness.op(0, 0, 11));
    assert!(matches!(refused, Err(PushError::WouldDeadlock(op)) if op.seq == 11));
    while producer.flush().is_ok() {}
    assert!(matches!(producer.flush(), Err(PushError::WouldDeadlock(()))));
    engine.settle();
    producer.flush().expect("there is room again");
    assert_at_rest(&engine.shutdown(), 4);
}

/// Another engine's shard may wait: its thread is not who makes room here.
#[test]
fn a_handler_may_wait_for_room_in_another_engine() {
    struct Relay(Producer<Task>);

    impl Handler for Relay {
        type Item = Task;
        type Reply = ();
        type Error = ();

        fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
            batch.settle_owned(|task| self.0.push(task).map_err(drop))
        }
    }

    let small = |builder: engine::Builder<_>| builder.open_keys(64).open_items(1_024);
    let target = Engine::from_fn(|(), _: &[Task]| Ok::<(), ()>(()))
        .pin(false)
        .lane_items(2)
        .open_keys(64)
        .open_items(1_024)
        .start()
        .expect("allowed");
    let relayed = Arc::new(Mutex::new(Some(target.producer().expect("a lane is free"))));
    let builder = Engine::builder(move |_| {
        Relay(relayed.lock().expect("unpoisoned").take().expect("one shard, no panic"))
    });
    let relay = small(builder).pin(false).start().expect("allowed");
    let mut producer = relay.producer().expect("a lane is free");
    for _ in 0..5_000 {
        producer.push(Task).expect("open");
    }
    let last = relay.shutdown(LONG).expect("it drains");
    assert_at_rest(&last, 5_000);
    assert_eq!(last.done, 5_000);
    assert_at_rest(&target.shutdown(LONG).expect("it drains"), 5_000);
}
