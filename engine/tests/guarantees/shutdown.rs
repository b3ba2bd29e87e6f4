//! G8: shutdown drains, ends, and says what was left.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use engine::{
    Builder, Engine, FromFn, Item, Left, Nanos, PushError, Shards, ShutdownError, Sizing, Trigger,
};

use crate::witness::{LONG, Style, Witness, assert_at_rest};

/// A door that a handler waits at.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<Doors>, Condvar)>);

#[derive(Default)]
struct Doors {
    entered: usize,
    open: bool,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.0.0.lock().expect("nobody panics here").open = true;
        self.0.1.notify_all();
    }

    /// Until a handler stands at the door.
    pub(crate) fn wait_until_entered(&self) {
        let doors = self.0.0.lock().expect("nobody panics here");
        drop(self.0.1.wait_while(doors, |doors| doors.entered == 0).expect("nobody panics here"));
    }

    fn pass(&self) {
        let mut doors = self.0.0.lock().expect("nobody panics here");
        doors.entered += 1;
        self.0.1.notify_all();
        drop(self.0.1.wait_while(doors, |doors| !doors.open).expect("nobody panics here"));
    }
}

pub(crate) struct Row(pub(crate) u64);

impl Item for Row {
    type Key<'a> = u64;

    /// All of one key, whatever their number.
    fn key(&self) -> u64 {
        0
    }
}

/// An engine whose handler waits at the gate in every call.
#[expect(clippy::type_complexity, reason = "a closure's handler has no shorter name")]
pub(crate) fn gated(
    gate: &Gate,
) -> Builder<
    FromFn<Row, (), (), impl FnMut(u64, &[Row]) -> Result<(), ()> + Clone + Send + Sync + use<>>,
> {
    let gate = gate.clone();
    Engine::from_fn(move |_key, _rows: &[Row]| {
        gate.pass();
        Ok::<(), ()>(())
    })
    .pin(false)
    .open_keys(64)
    .open_items(1_024)
}

/// G8: what was accepted is handled, open batches at once and for that reason.
#[test]
fn shutdown_hands_over_what_is_open_and_in_the_lanes() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(100)).drain_items(3));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..20 {
        producer.try_push(witness.op(0, seq % 3, seq)).expect("there is room");
        if seq == 10 {
            engine.turn();
        }
    }
    assert_eq!((engine.snapshot().open, engine.snapshot().in_lanes), (3, 8));
    let last = engine.shutdown();
    assert_at_rest(&last, 20);
    assert_eq!(last.triggers[Trigger::Drain.index()], last.batches);
    witness.assert_in_order();
    let refused = producer.try_push(witness.op(0, 0, 20));
    assert!(matches!(refused, Err(PushError::Closed(op)) if op.seq == 20));
    assert!(matches!(producer.flush(), Err(PushError::Closed(()))));
}

/// G8, on threads: with long deadlines, shutdown does not wait for them.
#[test]
fn shutdown_does_not_wait_for_deadlines() {
    let witness = Witness::new(Style::Each);
    let engine = witness.started(|builder| {
        let hour = Duration::from_secs(3_600);
        builder.sizing(Sizing::Fixed(100)).flush_after(hour).shards(Shards::Count(3))
    });
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..50 {
        producer.push(witness.op(0, seq, seq)).expect("open");
    }
    assert_at_rest(&engine.shutdown(LONG).expect("it drains"), 50);
    drop(producer);
    witness.assert_nobody_lives();
}

/// G8: past the time limit the error says how many items were left, and where; they fail when the
/// handler returns.
#[test]
fn a_shutdown_past_its_limit_says_what_was_left_by_place() {
    let gate = Gate::default();
    let engine = gated(&gate).sizing(Sizing::Fixed(2)).drain_items(3).start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    // One publication: the turn that finds it sees them all, and drains three.
    producer.push_run(&mut (0..10).map(Row)).expect("open");
    gate.wait_until_entered();
    let within = Duration::from_millis(1);
    let Err(ShutdownError::TimedOut { within: said, left }) = engine.shutdown(within) else {
        panic!("the handler is still at the gate");
    };
    assert_eq!(said, Nanos::from(within));
    assert_eq!(left, Left { in_lanes: 7, open: 1, in_handler: 2, ..Left::default() });
    assert_eq!(left.items(), 10);
    assert_eq!(left.to_string(), "10 items (7 in lanes, 1 open, 0 ready, 2 in a handler)");
    gate.open();
    // Now the shard stops: pushes learn of it.
    while producer.try_push(Row(10)).is_err_and(|error| error.is_full()) {
        thread::yield_now();
    }
}

/// G8: that is true too of a handler that was fast until it was not, with many batches before and
/// more behind it in the same turn.
#[test]
fn a_handler_that_was_fast_and_then_gets_stuck_is_told_apart_from_what_it_did_before() {
    const BATCHES: usize = 100;
    for stuck_at in [1, 2, 9, 17, 64, 99, 100] {
        let gate = Gate::default();
        let door = gate.clone();
        let mut calls = 0;
        let engine = Engine::from_fn(move |_key, _rows: &[Row]| {
            calls += 1;
            if calls == stuck_at {
                door.pass();
            }
            Ok::<(), ()>(())
        });
        let engine = engine.pin(false).open_keys(64).open_items(1_024).lane_items(1_024);
        let engine = engine.sizing(Sizing::Fixed(2)).start().expect("allowed");
        let mut producer = engine.producer().expect("a lane is free");
        // One publication, and one turn that takes it all.
        producer.push_run(&mut (0..2 * BATCHES as u64).map(Row)).expect("open");
        gate.wait_until_entered();
        let Err(ShutdownError::TimedOut { left, .. }) = engine.shutdown(Duration::ZERO) else {
            panic!("the handler is still at the gate");
        };
        let behind = 2 * (BATCHES - stuck_at) as u64;
        let expected = Left { ready: behind, in_handler: 2, ..Left::default() };
        assert_eq!(left, expected, "stuck at batch {stuck_at}");
        gate.open();
    }
}

/// G8: an engine that is dropped settles what it has, within its limit, and does not hang past it.
#[test]
fn an_engine_dropped_without_shutdown_settles_within_its_limit_and_no_longer() {
    let witness = Witness::new(Style::Each);
    let engine = witness.started(|builder| builder.sizing(Sizing::Fixed(100)));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..50 {
        producer.push(witness.op(0, seq, seq)).expect("open");
    }
    drop(engine);
    assert_eq!(witness.take().seen.len(), 50);
    assert!(matches!(producer.push(witness.op(0, 0, 50)), Err(PushError::Closed(_))));

    let gate = Gate::default();
    let engine = gated(&gate).drop_within(Duration::ZERO).start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push(Row(0)).expect("open");
    gate.wait_until_entered();
    drop(engine);
    gate.open();
}

/// G8: whoever waits for room when the engine closes is woken, with the item.
#[test]
fn pushers_that_wait_are_woken_by_close_and_get_their_items_back() {
    let gate = Gate::default();
    let engine = gated(&gate).lane_items(2).sizing(Sizing::Single).start().expect("allowed");
    let handle = engine.handle().expect("there is a handle lane");
    let mut producers: Vec<_> = (0..3).map(|_| engine.producer().expect("free")).collect();
    let mut accepted = 0;
    producers[0].push(Row(0)).expect("open");
    accepted += 1;
    gate.wait_until_entered();
    for producer in &mut producers {
        while producer.try_push(Row(1)).is_ok() {
            accepted += 1;
        }
    }
    while handle.try_push(Row(1)).is_ok() {
        accepted += 1;
    }
    let mut waiting: Vec<_> = producers
        .into_iter()
        .map(|mut producer| thread::spawn(move || producer.push(Row(7))))
        .collect();
    let shared = handle.clone();
    waiting.push(thread::spawn(move || shared.push(Row(7))));
    let reserving = handle.clone();
    let reserving = thread::spawn(move || {
        ringbuf::wake::block_on(reserving.reserve(&0), 0).map(drop).map_err(|error| error.is_full())
    });
    // The time is up at once: the engine asks its shard to stop, which it does after the gate.
    let Err(ShutdownError::TimedOut { left, .. }) = engine.shutdown(Duration::ZERO) else {
        panic!("the handler is still at the gate");
    };
    assert!(left.items() <= accepted, "no more than was accepted: {left}");
    gate.open();
    for pusher in waiting {
        let pushed = pusher.join().expect("no pusher panics");
        assert!(matches!(pushed, Err(PushError::Closed(Row(7)))), "{pushed:?}");
    }
    assert_eq!(reserving.join().expect("it does not panic"), Err(false), "Closed, not Full");
}

/// G8: shutdown of an engine that never had an item, and of many in a row.
#[test]
fn an_engine_that_saw_no_item_shuts_down() {
    for shards in [1, 2, 4] {
        let witness = Witness::new(Style::Each);
        let engine = witness.started(|builder| builder.shards(Shards::Count(shards)));
        assert_at_rest(&engine.shutdown(LONG).expect("nothing is left"), 0);
    }
}

/// G8: more batches may be open than can stand ready at once; the drain then takes more turns.
#[test]
fn shutdown_drains_more_open_batches_than_can_stand_ready_at_once() {
    const KEYS: u64 = 20_000;
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        let builder = builder.lane_items(32_768).drain_items(32_768).sizing(Sizing::Fixed(100));
        builder.open_keys(KEYS as usize).open_items(2 * KEYS as usize)
    });
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut (0..KEYS).map(|seq| witness.op(0, seq, seq))).expect("room");
    engine.settle();
    assert_eq!(engine.snapshot().open_batches, KEYS);
    assert_at_rest(&engine.shutdown(), KEYS);
    assert_eq!(witness.take().seen.len() as u64, KEYS);
}
