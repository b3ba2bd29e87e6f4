//! Whoever waits leaves the cores to others, and is there when it is needed.
//!
//! What is measured is the processor time of single threads, as the kernel counts it. That needs real
//! time to pass, but no particular thing to happen in it: [`measure`] waits for as long on a channel that
//! nobody sends to. Other load on the machine makes no difference to what a waiting thread uses.
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::{Batch, Builder, Engine, Handler, Item, Settled, Sizing, Verdict};

/// A thread of this process, by its folder under `/proc`.
#[derive(Clone, Debug)]
struct Thread(PathBuf);

impl Thread {
    fn current() -> Self {
        let folder = std::fs::read_link("/proc/thread-self").expect("Linux has it");
        Self(PathBuf::from("/proc").join(folder))
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).expect("the thread lives")
    }

    /// Time that it ran on a core.
    fn ran(&self) -> Duration {
        let nanos = self.read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok());
        Duration::from_nanos(nanos.expect("its first number is the time on a core"))
    }

    /// Whether it waits in the kernel.
    fn sleeps(&self) -> bool {
        // The state follows the name, which is in parentheses.
        self.read("stat").rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
    }
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} took more than 30 s");
        std::thread::yield_now();
    }
}

/// Parts of the time that the threads ran, while nothing was done to them.
fn measure(threads: &[Thread], time: Duration) -> Vec<f64> {
    let (_nobody, nothing) = channel::<()>();
    let ran = || threads.iter().map(Thread::ran).collect::<Vec<_>>();
    let (before, begun) = (ran(), Instant::now());
    assert!(nothing.recv_timeout(time).is_err(), "nobody sends");
    let (after, elapsed) = (ran(), begun.elapsed());
    let parts = after.iter().zip(before).map(|(after, before)| (*after - before).as_secs_f64());
    parts.map(|ran| ran / elapsed.as_secs_f64()).collect()
}

struct Row(u64);

impl Item for Row {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.0
    }
}

/// Says which thread it lives on and what it handled; waits for leave where the test holds one.
struct Reporter {
    handled: Sender<usize>,
    leave: Option<Receiver<()>>,
}

impl Handler for Reporter {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // An error: the test no longer listens, or gives leave for everything.
        let _ = self.handled.send(batch.len());
        let _ = self.leave.as_ref().map(Receiver::recv);
        batch.settle_each(|_| Verdict::Done(()))
    }
}

struct Ends {
    shard: Receiver<Thread>,
    handled: Receiver<usize>,
}

/// One shard, with a handler that reports.
fn reporting(leave: Option<Receiver<()>>) -> (Builder<Reporter>, Ends) {
    let (here, shard) = channel();
    let (report, handled) = channel();
    let parts = Mutex::new(Some(Reporter { handled: report, leave }));
    let builder = Engine::builder(move |_| {
        here.send(Thread::current()).expect("the test listens");
        let made = parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        made.expect("the handler does not panic")
    });
    (builder, Ends { shard, handled })
}

/// Lanes with which, beside one shard, there are more threads than cores.
fn too_many_lanes() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).max(2)
}

#[test]
fn with_more_threads_than_cores_the_plan_says_which_idle_strategy_it_chose_and_why() {
    let lanes = too_many_lanes();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = reporting(None).0.lanes(lanes).plan().expect("the settings can work");
    let said = plan.to_string();
    let idle = said.lines().find(|line| line.starts_with("idle")).expect("the plan says");
    assert!(idle.contains("spin 1µs, yield 20µs, then park"), "{idle}");
    let why = format!("1 shard and {lanes} producers share {cores} cores");
    assert!(idle.contains(&why), "{idle}");
}

#[test]
fn a_parked_engine_at_rest_uses_next_to_nothing() {
    let (builder, ends) = reporting(None);
    let engine = builder.lanes(too_many_lanes()).start().expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    producer.push(Row(1)).expect("open");
    assert_eq!(ends.handled.recv(), Ok(1));
    let shard = ends.shard.recv().expect("the handler was made");
    until("parking", || shard.sleeps());
    let part = measure(&[shard], Duration::from_millis(800))[0];
    assert!(part <= 0.005, "{:.2} % of a core", part * 100.0);
}

#[test]
fn a_shard_that_waits_for_a_deadline_or_for_a_trickle_leaves_its_core_to_others() {
    let (builder, ends) = reporting(None);
    let builder = builder.sizing(Sizing::Fixed(100)).lanes(too_many_lanes());
    let engine =
        builder.flush_after(Duration::from_secs(60)).start().expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    let shard = ends.shard.recv().expect("the handler was made");
    producer.push(Row(1)).expect("open");
    until("opening a batch", || engine.snapshot().open == 1);
    until("parking", || shard.sleeps());
    let shard = [shard];
    let lingering = measure(&shard, Duration::from_millis(200))[0];
    assert!(lingering <= 0.01, "{:.2} % of a core", lingering * 100.0);

    // One item each 2 ms: a wake-up, a turn and the way back to sleep each time.
    let before = shard[0].ran();
    let begun = Instant::now();
    for _ in 0..100 {
        producer.push(Row(1)).expect("open");
        measure(&[], Duration::from_millis(2));
    }
    let part = (shard[0].ran() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(part <= 0.10, "{:.2} % of a core", part * 100.0);
    engine.shutdown(Duration::from_secs(30)).expect("it drains");
}

#[test]
fn a_shard_whose_lane_must_wait_for_a_paused_key_leaves_its_core_to_others() {
    let (builder, ends) = reporting(None);
    let builder = builder.queues(true).held_items_max(1).lanes(too_many_lanes());
    let engine = builder.start().expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    let shard = ends.shard.recv().expect("the handler was made");
    engine.pause(&1).expect("there are queues");
    for _ in 0..8 {
        producer.push(Row(1)).expect("open");
    }
    until("holding one", || engine.snapshot().held == 1);
    until("parking", || shard.sleeps());
    let part = measure(&[shard], Duration::from_millis(300))[0];
    assert!(part <= 0.01, "{:.2} % of a core", part * 100.0);

    engine.resume(&1).expect("there are queues");
    let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
    assert_eq!(last.done, 8);
}

#[test]
fn pushes_that_wait_for_room_leave_the_core_to_the_shard() {
    let (may_go_on, leave) = channel();
    let (builder, ends) = reporting(Some(leave));
    let lanes = too_many_lanes();
    let engine = builder.lanes(lanes).lane_items(64).start().expect("the settings can work");
    let mut producers: Vec<_> = (0..2).map(|_| engine.producer().expect("a lane")).collect();
    let (here, threads) = channel();
    std::thread::scope(|scope| {
        for producer in &mut producers {
            let here = here.clone();
            scope.spawn(move || {
                here.send(Thread::current()).expect("the test listens");
                // More than the lane and the batch in the handler take together.
                producer.push_run(&mut (0..1_000).map(Row)).expect("open");
            });
        }
        let threads: Vec<_> = threads.iter().take(2).collect();
        until("waiting for room", || threads.iter().all(Thread::sleeps));
        let parts = measure(&threads, Duration::from_millis(300));
        assert!(parts.iter().all(|part| *part <= 0.01), "parts of a core: {parts:?}");
        drop(may_go_on);
    });
    drop(ends.handled);
    let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
    assert_eq!(last.done, 2_000);
}

/// Works 100 µs for each batch.
struct Busy;

impl Handler for Busy {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(100) {}
        batch.settle_each(|_| Verdict::Done(()))
    }
}

#[test]
fn two_producers_that_outrun_a_shard_leave_it_nearly_all_of_their_time() {
    let (here, shard) = channel();
    let engine = Engine::builder(move |_| {
        here.send(Thread::current()).expect("the test listens");
        Busy
    });
    let builder = engine.lanes(too_many_lanes()).lane_items(1_024).sizing(Sizing::Fixed(100));
    let engine = builder.start().expect("the settings can work");
    let mut producers: Vec<_> = (0..2).map(|_| engine.producer().expect("a lane")).collect();
    let shard = shard.recv().expect("the handler was made");
    let before = shard.ran();
    let used: Duration = std::thread::scope(|scope| {
        let push_all = |producer: &mut engine::Producer<Row>| {
            let before = Thread::current().ran();
            producer.push_run(&mut (0..100_000).map(|n| Row(n % 8))).expect("open");
            Thread::current().ran() - before
        };
        let pushes = producers.iter_mut().map(|producer| scope.spawn(move || push_all(producer)));
        let pushes: Vec<_> = pushes.collect();
        pushes.into_iter().map(|push| push.join().expect("it does not panic")).sum()
    });
    let worked = shard.ran() - before;
    let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
    assert_eq!(last.done, 200_000);
    let part = used.as_secs_f64() / worked.as_secs_f64();
    assert!(part <= 0.25, "two producers used {used:?} while the shard worked for {worked:?}");
}

#[test]
fn a_push_wakes_a_parked_shard_every_time() {
    let (builder, ends) = reporting(None);
    // Nothing but the push can wake it: nothing lingers, so there are no deadlines.
    let engine = builder.lanes(too_many_lanes()).start().expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    let handle = engine.handle().expect("a handle lane");
    let shard = ends.shard.recv().expect("the handler was made");
    let handled = || ends.handled.recv_timeout(Duration::from_secs(30));
    for rest in 0..50 {
        until("parking", || shard.sleeps());
        match rest % 3 {
            0 => producer.push(Row(rest)).expect("open"),
            1 => handle.push(Row(rest)).expect("open"),
            _ => assert_eq!(producer.push_run(&mut [Row(rest)].into_iter()).expect("open"), 1),
        }
        assert_eq!(handled(), Ok(1), "the first item after rest {rest}");
    }
    let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
    assert_eq!(last.done, 50);
    assert!(last.wake_ups >= 1 && last.parks >= last.wake_ups, "{last}");
}

#[test]
fn a_snapshot_wakes_a_parked_shard() {
    let (builder, ends) = reporting(None);
    let engine = builder.lanes(too_many_lanes()).start().expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    let shard = ends.shard.recv().expect("the handler was made");
    for batch in 1..=5 {
        producer.push(Row(1)).expect("open");
        assert_eq!(ends.handled.recv(), Ok(1));
        until("parking", || shard.sleeps());
        // Histograms come from the shard itself, and a snapshot waits some milliseconds for them: on a
        // busy machine they may be those of the next.
        until("an answer", || engine.snapshot().batch_items.len() == batch);
    }
}

#[test]
fn a_shutdown_wakes_a_parked_shard_and_loses_none_of_its_histograms() {
    for _ in 0..50 {
        let (builder, ends) = reporting(None);
        let builder = builder.lanes(too_many_lanes()).sizing(Sizing::Fixed(10));
        let engine =
            builder.flush_after(Duration::from_secs(60)).start().expect("the settings can work");
        let mut producer = engine.producer().expect("a lane");
        producer.push_run(&mut (0..5).map(Row)).expect("open");
        let shard = ends.shard.recv().expect("the handler was made");
        until("parking", || shard.sleeps());
        let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
        assert_eq!((last.done, last.batches, last.batch_items.len()), (5, 5, 5), "{last}");
    }
}
