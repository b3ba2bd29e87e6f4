//! Memory is taken at the start, as much as the plan says, and does not grow; and what a load of many
//! keys did with it does not harm the load that follows.
//!
//! The allocator counts the bytes that the whole process holds, so these tests take turns.
#![expect(clippy::print_stdout, reason = "`--nocapture` shows the figures")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::testing::{self, Stepped};
use engine::{
    Batch, Builder, Engine, EngineProducer, Grouping, Handler, Item, Patience, Plan, Settled,
    Shards, Sizing, Trigger, Verdict,
};

static HELD: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// How often this thread has taken memory.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(taken: usize, given: usize) {
    HELD.fetch_add(taken as isize - given as isize, Ordering::Relaxed);
    TAKEN.set(TAKEN.get() + u64::from(taken > 0));
}

// SAFETY: every call goes on to the system's allocator as it came; the counts are an atomic number and a
// constant-initialised thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's word.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's word.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's word.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Bytes that the process holds.
fn held() -> isize {
    HELD.load(Ordering::Relaxed)
}

/// Bytes that the test runner may take or give back meanwhile: it prints, and keeps results.
const RUNNER: isize = 16 * 1_024;

/// Bytes of the process that lie in memory; `None` where the system has no such file.
fn resident() -> Option<i64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages.split(' ').nth(1)?.parse::<i64>().ok().map(|pages| pages * 4_096)
}

/// One test at a time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 32 bytes.
struct Row {
    key: u64,
    _rest: [u64; 3],
}

impl Row {
    fn of(key: u64) -> Self {
        Self { key, _rest: [key; 3] }
    }
}

impl Item for Row {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }
}

fn all_done() -> Builder<impl Handler<Item = Row>> {
    Engine::from_fn(|_key, _rows: &[Row]| Ok::<(), ()>(()))
}

fn part(plan: &Plan, name: &str) -> isize {
    let part = plan.parts().iter().find(|part| part.name == name).expect("the plan has it");
    part.bytes() as isize
}

/// Starts an engine, claims every lane, and compares what that took with what the plan said.
fn start_takes_what_the_plan_says<H: Handler>(name: &str, builder: Builder<H>) {
    let before = held();
    let engine = builder.start().expect("the settings can work");
    let producers: Vec<_> = std::iter::from_fn(|| engine.producer().ok()).collect();
    let taken = held() - before;
    let plan = engine.plan();
    // The one in three that a snapshot swaps in, and gives back.
    let later = part(plan, "histograms") / 3;
    let planned = plan.bytes() as isize - later;
    println!("{name:<24} planned {planned:>12} bytes, taken {taken:>12}");
    assert!(
        (taken - planned).abs() <= planned / 100 + RUNNER,
        "{name}: planned {planned}, taken {taken}\n{plan}"
    );
    drop(producers);
    let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
    drop(last);
    let left = held() - before;
    assert!(left <= RUNNER, "{name}: {left} bytes were not given back");
}

#[test]
fn a_start_takes_the_bytes_that_the_plan_says_and_gives_them_back() {
    let _turn = turn();
    // The clock is calibrated, and the thread's own things are made, only once.
    drop(all_done().start().expect("the defaults can work"));
    start_takes_what_the_plan_says("defaults", all_done());
    start_takes_what_the_plan_says("single", all_done().sizing(Sizing::Single));
    start_takes_what_the_plan_says("the largest batches", all_done().sizing(Sizing::Fixed(32_768)));
    start_takes_what_the_plan_says(
        "as small as can be",
        all_done().lanes(1).handle_lanes(0).lane_items(2).open_keys(1).open_items(1),
    );
    start_takes_what_the_plan_says("many keys", all_done().open_keys(1 << 20));
    start_takes_what_the_plan_says("an odd number of keys", all_done().open_keys(100_000));
    for items in [1_024, 65_536, 100_000, 524_288] {
        let grouping = Grouping::Windowed { items };
        start_takes_what_the_plan_says(
            "windows",
            all_done().sizing(Sizing::Fixed(200)).grouping(grouping),
        );
    }
    start_takes_what_the_plan_says("many items", all_done().open_items(3_000_000));
    start_takes_what_the_plan_says(
        "many lanes and shards",
        all_done().shards(Shards::Count(5)).lanes(40).handle_lanes(3).lane_items(1_000),
    );
    start_takes_what_the_plan_says("many marks", all_done().lane_items(16).lane_marks(100_000));
    start_takes_what_the_plan_says("replies and errors", {
        Engine::from_fn(|_key, _rows: &[Row]| Ok::<[u64; 64], ()>([0; 64]))
            .sizing(Sizing::Fixed(10_000))
    });
}

/// Pushes as far as there is room, and a turn whenever there is none.
fn push_all<H: Handler<Item = Row>>(
    engine: &mut Stepped<H>,
    producer: &mut EngineProducer<H>,
    keys: impl Iterator<Item = u64>,
) {
    for key in keys {
        let mut row = Row::of(key);
        while let Err(full) = producer.try_push(row) {
            row = full.into_inner();
            engine.turn();
        }
    }
    while engine.snapshot().in_lanes > 0 {
        engine.turn();
    }
}

const MILLION: u64 = 1_000_000;

#[test]
fn a_million_keys_with_one_item_each_stay_within_the_plan() {
    let _turn = turn();
    let resident_before = resident();
    let settings = all_done().sizing(Sizing::Fixed(100)).open_keys(1 << 20).open_items(1 << 22);
    let mut engine = Stepped::new(settings).expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    let before = held();
    push_all(&mut engine, &mut producer, 0..MILLION);
    assert!(held() - before <= RUNNER, "{} bytes more", held() - before);
    let waiting = engine.snapshot();
    assert_eq!((waiting.open, waiting.memory_stops), (MILLION, 0), "{waiting}");
    assert_eq!(waiting.open_batches, MILLION);
    if let (Some(before), Some(now)) = (resident_before, resident()) {
        let (more, planned) = (now - before, engine.plan().bytes() as i64);
        println!("a million open keys: {more} bytes more in memory, planned {planned}");
        assert!(more <= planned + planned / 50, "{more} bytes more, planned {planned}");
    }
    engine.advance(Duration::from_millis(10));
    engine.settle();
    assert_eq!(engine.snapshot().done, MILLION);
}

/// In as little a hurry as its engine, but for each 700th.
struct Hurried(u64);

impl Item for Hurried {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.0
    }

    fn patience(&self) -> Patience {
        if self.0 % 700 == 7 { Patience::None } else { Patience::Engine }
    }
}

/// After a first round, neither the shard nor the producer, which are on one thread here.
#[test]
fn windows_that_fill_close_and_fill_again_allocate_nothing() {
    let _turn = turn();
    let builder = Engine::from_fn(|_key, _rows: &[Hurried]| Ok::<(), ()>(()))
        .sizing(Sizing::Fixed(100))
        .grouping(Grouping::Windowed { items: 1_024 })
        .lane_items(4_096);
    let mut engine = Stepped::new(builder).expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    let mut round = |round: u64| {
        // Full windows of few keys and of many, some that go early, and what is left at the end.
        for (items, keys) in [(3_000, 5), (3_000, 600), (3_000, 2_500)] {
            let mut run = (0..items).map(|n| Hurried(round + n % keys));
            assert_eq!(producer.push_run(&mut run).expect("room") as u64, items);
            engine.settle();
            engine.advance(Duration::from_millis(11));
            engine.settle();
        }
        producer.push(Hurried(round)).expect("room");
        producer.flush().expect("open");
        engine.settle();
    };
    round(0);
    let before = TAKEN.get();
    (1..40).for_each(&mut round);
    assert_eq!(TAKEN.get() - before, 0);
    let last = engine.shutdown();
    assert_eq!(last.done, 40 * 9_001);
    for trigger in [Trigger::Size, Trigger::Deadline, Trigger::Flush, Trigger::Patience] {
        assert!(last.triggers[trigger.index()] > 0, "{trigger:?}: {last}");
    }
}

/// Blocks, records and table ask for huge pages. Where such a page is part of what they have and was touched
/// here and there, the system may put all of it into memory at any time. (A million
/// items and keys, if they stayed, would be more than thirty megabytes.)
const HUGE_PAGES: i64 = 3 * (2 << 20);

#[test]
fn more_keys_and_items_than_there_is_memory_for_go_early_and_take_no_more() {
    let _turn = turn();
    let settings = all_done().sizing(Sizing::Fixed(100)).open_keys(10_000).open_items(5_000);
    let mut engine = Stepped::new(settings).expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    push_all(&mut engine, &mut producer, 0..20_000);
    let (before, resident_before) = (held(), resident());
    push_all(&mut engine, &mut producer, 20_000..MILLION);
    assert!(held() - before <= RUNNER, "{} bytes more", held() - before);
    if let (Some(before), Some(now)) = (resident_before, resident()) {
        assert!(now - before <= (1 << 20) + HUGE_PAGES, "{} bytes more in memory", now - before);
    }
    let last = engine.shutdown();
    assert_eq!((last.accepted, last.done), (MILLION, MILLION));
    assert!(last.memory_stops > 0, "{last}");
}

/// Counts the calls and items of the keys from a million on.
struct Watch {
    calls: Rc<Cell<(u64, u64)>>,
}

impl Handler for Watch {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        if batch.key() >= MILLION {
            let (calls, items) = self.calls.get();
            self.calls.set((calls + 1, items + batch.len() as u64));
        }
        batch.settle_each(|_| Verdict::Done(()))
    }
}

thread_local! {
    /// What the handler of a test's stepped engine counts: it is made on the test's thread.
    static CALLS: Rc<Cell<(u64, u64)>> = Rc::default();
}

fn calls_and_items() -> (u64, u64) {
    CALLS.with(|calls| calls.get())
}

/// Pushes `items` items of eight keys in turn, twenty to a microsecond, and says how large the batches
/// were on average that were handed over meanwhile.
fn mean_of_eight_keys(
    engine: &mut Stepped<Watch>,
    producer: &mut EngineProducer<Watch>,
    items: u64,
) -> f64 {
    let (calls_before, items_before) = calls_and_items();
    for burst in 0..items / 2_000 {
        let rows = (0..2_000).map(|n| Row::of(MILLION + (burst * 2_000 + n) % 8));
        producer.push_run(&mut rows.into_iter()).expect("room for a burst");
        engine.settle();
        engine.advance(Duration::from_micros(100));
    }
    let (calls, items) = calls_and_items();
    (items - items_before) as f64 / (calls - calls_before) as f64
}

#[test]
fn a_shift_from_a_million_keys_to_eight_regains_its_mean_batch() {
    let _turn = turn();
    // Memory for all of the million's items; for a part of them; and for next to none of them.
    for open_items in [1 << 22, 500_000, 20_000] {
        let settings = Engine::builder(|_| Watch { calls: CALLS.with(Rc::clone) })
            .sizing(Sizing::Fixed(100))
            .open_keys(1 << 20)
            .open_items(open_items);
        let mut engine = Stepped::new(settings).expect("the settings can work");
        let mut producer = engine.producer().expect("a lane");
        push_all(&mut engine, &mut producer, 0..MILLION);
        assert!(engine.snapshot().open > 0);

        // 100 bursts 100 µs apart: until every item of the million was due.
        let meanwhile = mean_of_eight_keys(&mut engine, &mut producer, 200_000);
        let afterwards = mean_of_eight_keys(&mut engine, &mut producer, 400_000);
        println!(
            "room for {open_items}: mean batch {meanwhile:.1} meanwhile, {afterwards:.1} then"
        );
        assert!(afterwards >= 95.0, "room for {open_items}: {afterwards:.1}");
        assert!(meanwhile >= 90.0, "room for {open_items}: {meanwhile:.1}");
        let last = engine.shutdown();
        assert_eq!((last.accepted, last.done), (MILLION + 600_000, MILLION + 600_000), "{last}");
    }
}

#[test]
fn a_full_lane_gives_items_back_and_takes_no_more_memory() {
    let _turn = turn();
    let settings = all_done().lane_items(4_096);
    let mut engine = Stepped::new(settings).expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    for key in 0..4_096 {
        producer.try_push(Row::of(key)).expect("room");
    }
    let before = held();
    for key in 0..100_000 {
        let refused = producer.try_push(Row::of(key)).expect_err("the lane is full");
        assert!(refused.is_full() && refused.into_inner().key == key);
    }
    assert!(held() - before <= RUNNER, "{} bytes more", held() - before);
    engine.settle();
    assert_eq!(engine.snapshot().accepted, 4_096);
}

/// Handles nothing until it is told to.
struct Stuck {
    begun: Sender<()>,
    go_on: Receiver<()>,
}

impl Handler for Stuck {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // Nobody listens, or nobody says anything any more: the test is over.
        let _ = self.begun.send(());
        let _ = self.go_on.recv();
        batch.settle_each(|_| Verdict::Done(()))
    }
}

#[test]
fn pushes_that_wait_for_a_stuck_handler_take_no_more_memory() {
    let _turn = turn();
    let (begun, has_begun) = channel();
    let (may_go_on, go_on) = channel::<()>();
    let parts = Mutex::new(Some(Stuck { begun, go_on }));
    let engine = Engine::builder(move |_| {
        let made = parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        made.expect("the handler does not panic")
    })
    .lanes(1)
    .lane_items(1_024)
    .start()
    .expect("the settings can work");
    let mut producer = engine.producer().expect("a lane");
    producer.push(Row::of(1)).expect("open");
    has_begun.recv().expect("the handler has the first item");
    while producer.try_push(Row::of(1)).is_ok() {}
    let before = held();
    let (pushed, accepted) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rows = (0..100_000).map(Row::of);
            let run = producer.push_run(&mut rows);
            pushed.send(run.expect("open")).expect("somebody waits for it");
        });
        // Time for a push that grew something instead of waiting to be found out.
        assert!(accepted.recv_timeout(Duration::from_millis(100)).is_err(), "the lane is full");
        let more = held() - before;
        assert!(more <= RUNNER, "{more} bytes more");
        drop(may_go_on);
        assert_eq!(accepted.recv(), Ok(100_000));
    });
    let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
    assert_eq!((last.accepted, last.done), (101_025, 101_025), "{last}");
}

#[test]
fn trying_a_handler_on_batches_gives_back_all_that_it_takes() {
    let _turn = turn();
    let try_one = |round: u64| {
        // Of every size up to a large one.
        let items = 1 + round * 37 % 5_000;
        let rows = (0..items).map(|_| Row::of(round)).collect();
        let outcomes = testing::with_batch(rows, |batch| match round % 4 {
            0 => batch.settle_each(|row| Verdict::<_, ()>::Done(row.key)),
            1 => batch.settle_owned(|row| Ok(row.key)),
            2 => batch.settle_all(|key, _| Ok(key)),
            // Half of them: the rest stays in the batch, and goes with it.
            _ => batch.settle_bulk(|key, rows, verdicts| {
                (0..rows.len()).step_by(2).for_each(|at| verdicts.set(at, Verdict::Done(key)));
            }),
        });
        assert_eq!(outcomes.len() as u64, items);
        assert_eq!(outcomes[0], Ok(round));
    };
    try_one(0);
    let (before, resident_before) = (held(), resident());
    (0..2_000).for_each(try_one);
    assert!(held() - before <= RUNNER, "{} bytes more", held() - before);
    if let (Some(before), Some(now)) = (resident_before, resident()) {
        // The allocator keeps some for later.
        assert!(now - before <= 16 << 20, "{} bytes more in memory", now - before);
    }
}
