//! Counts that follow from the structure alone, and so are exact: handler calls for a given stream, turns,
//! wake-ups, and how often a push reads the clock.
//!
//! `scripts/gates` counts what lies below them: instructions and fences.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{Batch, Engine, Handler, Idle, Item, Settled, Sizing, Snapshot, Tiers, Trigger};

struct Row(u64);

impl Item for Row {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.0
    }
}

/// Reports how many items each call had.
struct Calls(Sender<usize>);

impl Handler for Calls {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // An error: the test no longer listens.
        let _ = self.0.send(batch.len());
        batch.settle_all(|_, _| Ok(()))
    }
}

fn stepped(sizing: Sizing) -> (Stepped<Calls>, Receiver<usize>) {
    let (send, calls) = channel();
    let builder = Engine::builder(move |_| Calls(send.clone())).sizing(sizing).lanes(1);
    (Stepped::new(builder).expect("the settings can work"), calls)
}

/// A stream of a thousand items in bursts of 250, keys in turn, with a turn for each burst; then the
/// deadline. The calls before it, and all, with the last state.
fn calls(sizing: Sizing, keys: u64) -> (usize, usize, Snapshot) {
    let (mut engine, calls) = stepped(sizing);
    let mut producer = engine.producer().expect("a lane");
    for burst in 0..4 {
        let keys = (burst * 250..(burst + 1) * 250).map(|nth| Row(nth % keys));
        producer.push_run(&mut { keys }).expect("there is room");
        engine.turn();
    }
    let before = calls.try_iter().count();
    engine.advance(Duration::from_millis(11));
    engine.turn();
    let all = before + calls.try_iter().count();
    (before, all, engine.snapshot())
}

#[test]
fn single_calls_the_handler_once_an_item() {
    for keys in [1, 8, 250] {
        let (before, all, last) = calls(Sizing::Single, keys);
        assert_eq!((before, all, last.done), (1_000, 1_000, 1_000), "{keys} keys");
    }
}

#[test]
fn fixed_calls_it_once_for_each_full_batch_and_at_the_deadline_once_for_each_key_that_is_left() {
    for (keys, full, left) in [
        (1, 10, 0),  // 1,000 of one key
        (8, 8, 8),   // 125 of each: one full batch, 25 left
        (10, 10, 0), // 100 of each
        (250, 0, 250),
    ] {
        let (before, all, last) = calls(Sizing::Fixed(100), keys);
        assert_eq!((before, all, last.done), (full, full + left, 1_000), "{keys} keys");
        assert_eq!(last.triggers[Trigger::Size.index()], full as u64, "{keys} keys");
        assert_eq!(last.triggers[Trigger::Deadline.index()], left as u64, "{keys} keys");
    }
}

#[test]
fn tiers_call_it_once_for_each_batch_of_the_depths_size() {
    // 250 items wait at each turn: batches of 50 that linger for the rest. At the deadline the lanes are
    // empty, and what is there goes whatever it is.
    for (keys, full, left) in [
        (1, 20, 0), // 250 are five full batches, in every turn
        (8, 16, 8), // 125 of each: two full batches, 25 left
        (250, 0, 250),
    ] {
        let (before, all, last) = calls(Sizing::default(), keys);
        assert_eq!((before, all, last.done), (full, full + left, 1_000), "{keys} keys");
    }
}

#[test]
fn tiers_call_it_once_a_key_and_turn_while_little_waits() {
    let tiers = Tiers::new(&[(250, 250)]).expect("tiers");
    for keys in [1, 8, 250] {
        let (before, all, last) = calls(Sizing::Tiers(tiers), keys);
        let expected = 4 * keys as usize;
        let why = "a turn with 250 items hands over one batch a key";
        assert_eq!((before, all, last.done), (expected, expected, 1_000), "{why}: {keys} keys");
    }
}

#[test]
fn a_turn_counts_as_one_whatever_it_takes_and_an_idle_one_as_none() {
    let (mut engine, _calls) = stepped(Sizing::Fixed(100));
    let mut producer = engine.producer().expect("a lane");
    for items in [1, 250, 1_000] {
        let before = engine.snapshot().turns;
        producer.push_run(&mut (0..items).map(Row)).expect("there is room");
        engine.turn();
        assert_eq!(engine.snapshot().turns, before + 1, "{items} items");
        assert!(!engine.turn() && !engine.turn(), "nothing is left");
        assert_eq!(engine.snapshot().turns, before + 1);
    }
}

/// Says when a call begins, and holds its shard there until it may go on.
struct Held {
    entered: Sender<()>,
    leave: Receiver<()>,
}

impl Handler for Held {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // Errors: the test lets everything go.
        let _ = self.entered.send(());
        let _ = self.leave.recv();
        batch.settle_all(|_, _| Ok(()))
    }
}

#[test]
fn however_many_pushes_follow_the_first_a_parked_shard_is_woken_once() {
    const ROUNDS: u64 = 20;
    let (entered, calls) = channel();
    let (go_on, leave) = channel();
    let parts = Mutex::new(Some(Held { entered, leave }));
    let factory = move |_| parts.lock().expect("nobody panics").take().expect("one shard");
    // It parks as soon as it finds nothing.
    let idle = Idle::Times { spin: Duration::ZERO, yielding: Duration::ZERO };
    let builder = Engine::builder(factory).idle(idle).pin(false).lanes(1);
    let engine = builder.sizing(Sizing::Fixed(1_000)).start().expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    for _ in 0..ROUNDS {
        // Time to park. Where that is not enough, the shard is awake and the round has no wake-up.
        assert!(calls.recv_timeout(Duration::from_millis(2)).is_err(), "nothing was pushed");
        producer.push(Row(0)).expect("open");
        producer.flush().expect("open");
        calls.recv().expect("the handler is called");
        // Awake, in its handler.
        (1..1_000).for_each(|_| producer.push(Row(0)).expect("open"));
        producer.flush().expect("open");
        go_on.send(()).expect("the handler waits");
        calls.recv().expect("the handler is called for the rest");
        go_on.send(()).expect("the handler waits");
    }
    let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
    assert_eq!((last.done, last.batches), (1_000 * ROUNDS, 2 * ROUNDS));
    // Twice where it went to sleep between the first item of a round and the wish to hand it over.
    assert!((1..=2 * ROUNDS).contains(&last.wake_ups), "{} wake-ups", last.wake_ups);
}

/// How often it was woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn only_the_push_that_wakes_a_sleeping_shard_wakes_it_and_reads_the_clock() {
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let config = ringbuf::LanesConfig { shards: 1, lanes: 3, capacity: 1_024, marks: 64 };
    let (lanes, mut shards) = ringbuf::lanes::<u64, ()>(config, |_| waker.clone());
    let reads = AtomicU64::new(0);
    let clock = || reads.fetch_add(1, Ordering::Relaxed);
    let mut claimed: Vec<_> = (0..3).map(|_| lanes.claim().expect("a lane")).collect();
    let mut push_all = || {
        for nth in 0..100 {
            for lane in &mut claimed {
                lane.try_push(0, nth, clock).expect("there is room");
                let mut run = lane.run();
                run.place(0).expect("there is room").fill(nth);
                run.commit(clock).expect("open");
            }
        }
        let counted = (woken.0.load(Ordering::Relaxed), reads.load(Ordering::Relaxed));
        woken.0.store(0, Ordering::Relaxed);
        reads.store(0, Ordering::Relaxed);
        counted
    };
    let empty = |shard: &mut ringbuf::ShardLanes<u64, ()>| {
        (0..3).for_each(|lane| {
            shard.look(lane);
            assert_eq!(shard.run(lane, 1_024).count(), 200);
        });
    };
    let shard = &mut shards[0];
    assert_eq!(push_all(), (0, 0), "it is awake");
    empty(shard);
    for _ in 0..3 {
        assert!(shard.lie_down(), "nothing waits");
        assert_eq!(push_all(), (1, 1), "600 pushes through three lanes, to a shard that sleeps");
        shard.get_up();
        empty(shard);
        assert_eq!(push_all(), (0, 0), "it is awake again");
        empty(shard);
    }
}
