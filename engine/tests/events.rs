//! What the engine tells `tracing`, and that it is quiet otherwise.
//!
//! The subscriber is the whole process's, so these tests take turns.

use std::error::Error;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use engine::testing::Stepped;
use engine::{
    Batch, Builder, Engine, Handler, Item, Patience, Settled, ShardId, Shards, ShutdownError,
    Sizing, Verdict,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Long enough for anything a test waits for; a test that needs it all has failed.
const LONG: Duration = Duration::from_secs(60);

/// An event: its level, and its message and fields as text.
#[derive(Clone, Debug)]
struct Told {
    level: Level,
    text: String,
}

/// Collects the engine's events, of every level.
struct Ear;

static TOLD: Mutex<Vec<Told>> = Mutex::new(Vec::new());
static MORE: Condvar = Condvar::new();

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.text, "{field}={value:?} ").expect("a string takes all");
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().split("::").next() == Some("engine")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        panic!("the engine has no spans")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // The fields' own code may panic: not while anything is locked.
        let mut told = Told { level: *event.metadata().level(), text: String::new() };
        event.record(&mut told);
        TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        MORE.notify_all();
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Listens from here on, one test at a time.
fn listen() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    static SUBSCRIBED: Once = Once::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    SUBSCRIBED.call_once(|| {
        tracing::subscriber::set_global_default(Ear).expect("nobody else in this process does");
    });
    take();
    turn
}

/// What was told since the last time.
fn take() -> Vec<Told> {
    std::mem::take(&mut *TOLD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Waits until something of this level was told whose text has this in it.
fn await_told(level: Level, part: &str) {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |told: &Told| told.level == level && told.text.contains(part);
    let waited =
        MORE.wait_timeout_while(told, LONG, |told| !told.iter().any(is_it)).expect("no poison");
    assert!(!waited.1.timed_out(), "not told, {level} of {part}: {:?}", waited.0);
}

fn levels(told: &[Told]) -> Vec<Level> {
    told.iter().map(|told| told.level).collect()
}

/// Panics with a text, and without a word on the test's output.
fn fault() -> ! {
    resume_unwind(Box::new("a planted fault"))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Faulty {
    #[default]
    No,
    /// Its key, when it is compared: on the shard alone.
    Key,
    /// Its handler.
    Handler,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    key: u64,
    faulty: Faulty,
    patience: Patience,
}

struct Key(Row);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        if [self.0.faulty, other.0.faulty].contains(&Faulty::Key) {
            fault();
        }
        self.0.key == other.0.key
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.0.key.hash(state);
    }
}

impl Item for Row {
    type Key<'a> = Key;

    fn key(&self) -> Key {
        Key(*self)
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}

struct Worker;

impl Handler for Worker {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_each(|row| match row.faulty {
            Faulty::Handler => fault(),
            _ => Verdict::Done(()),
        })
    }
}

fn small<H: Handler<Item = Row>>(builder: Builder<H>) -> Builder<H> {
    builder.pin(false).open_keys(64).open_items(1_024).lane_items(64)
}

#[test]
fn a_start_tells_its_plan_and_a_shutdown_that_each_shard_drains() {
    let _turn = listen();
    let engine = small(Engine::builder(|_| Worker)).shards(Shards::Count(3)).start();
    let engine = engine.expect("allowed");
    let told = take();
    assert_eq!(levels(&told), [Level::INFO], "{told:?}");
    assert!(told[0].text.contains(&engine.plan().to_string()), "{told:?}");
    engine.shutdown(LONG).expect("nothing is left");
    let told = take();
    assert_eq!(levels(&told), [Level::DEBUG; 3], "{told:?}");
    assert!(told.iter().all(|told| told.text.contains("drain")), "{told:?}");
    for shard in 0..3 {
        let of = format!("shard={shard} ");
        assert!(told.iter().any(|told| told.text.contains(&of)), "{of}of {told:?}");
    }
}

#[test]
fn ordinary_work_tells_nothing() {
    const ITEMS: u64 = 10_000;
    let _turn = listen();
    // Every way to work: full lanes, pressure, deadlines, flushes, patience, snapshots.
    let settings = small(Engine::builder(|_| Worker)).sizing(Sizing::Fixed(10)).open_items(16);
    let settings = settings.flush_after(Duration::from_millis(1)).shards(Shards::Count(2));
    let engine = settings.start().expect("allowed");
    take();
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..ITEMS {
        let patience = if seq % 50 == 0 { Patience::None } else { Patience::Engine };
        producer.push(Row { key: seq % 100, patience, ..Row::default() }).expect("open");
        if seq % 100 == 0 {
            producer.flush().expect("open");
        }
        if seq % 1_000 == 0 {
            assert!(engine.snapshot().accepted <= ITEMS);
        }
    }
    let begun = Instant::now();
    while engine.snapshot().done < ITEMS {
        assert!(begun.elapsed() < LONG, "{}", engine.snapshot());
        std::thread::yield_now();
    }
    drop(producer);
    let told = take();
    assert!(told.is_empty(), "{told:?}");
    engine.shutdown(LONG).expect("nothing is left");
}

#[test]
fn each_panic_of_a_handler_is_an_error_with_what_it_said() {
    let _turn = listen();
    let mut engine = Stepped::new(small(Engine::builder(|_| Worker))).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..12 {
        let faulty = if seq % 4 == 1 { Faulty::Handler } else { Faulty::No };
        producer.push(Row { faulty, ..Row::default() }).expect("there is room");
    }
    engine.settle();
    assert_eq!(engine.snapshot().handler_panics, 3);
    let told = take();
    assert_eq!(levels(&told), [Level::ERROR; 3], "{told:?}");
    assert!(told.iter().all(|told| told.text.contains("a planted fault")), "{told:?}");
    assert!(told.iter().all(|told| told.text.contains("handler")), "{told:?}");
}

#[test]
fn each_panic_of_an_items_key_on_the_shard_is_an_error_with_what_it_said() {
    let _turn = listen();
    let mut engine = Stepped::new(small(Engine::builder(|_| Worker))).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..12 {
        let faulty = if seq % 4 == 1 { Faulty::Key } else { Faulty::No };
        producer.push(Row { faulty, ..Row::default() }).expect("there is room");
    }
    engine.settle();
    assert_eq!(engine.snapshot().key_panics, 3);
    let told = take();
    assert_eq!(levels(&told), [Level::ERROR; 3], "{told:?}");
    assert!(told.iter().all(|told| told.text.contains("a planted fault")), "{told:?}");
    assert!(told.iter().all(|told| told.text.contains("key")), "{told:?}");
}

#[test]
fn a_shutdown_past_its_limit_warns_of_what_was_left_and_of_the_stop() {
    let _turn = listen();
    let (begun, has_begun) = channel();
    let (may_go_on, go_on) = channel::<()>();
    let parts = Mutex::new(Some((begun, go_on)));
    let engine = small(Engine::builder(move |_| {
        let made = parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (begun, go_on) = made.expect("the handler does not panic");
        Stuck { begun, go_on }
    }));
    let engine = engine.sizing(Sizing::Fixed(2)).start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut [Row::default(); 5].into_iter()).expect("open");
    has_begun.recv().expect("the handler has the first two");
    take();
    let Err(ShutdownError::TimedOut { left, .. }) = engine.shutdown(Duration::ZERO) else {
        panic!("the handler still waits");
    };
    let told = take();
    assert_eq!(levels(&told), [Level::WARN], "{told:?}");
    assert!(told[0].text.contains(&left.to_string()), "{told:?}");
    drop(may_go_on);
    await_told(Level::WARN, "stop");
    let told = take();
    let warnings = told.iter().filter(|told| told.level == Level::WARN).count();
    let errors = told.iter().filter(|told| told.level == Level::ERROR).count();
    assert_eq!((warnings, errors), (1, 0), "{told:?}");
}

/// Handles nothing until it is told to.
struct Stuck {
    begun: std::sync::mpsc::Sender<()>,
    go_on: std::sync::mpsc::Receiver<()>,
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

/// An error that can't be shown.
#[derive(Debug)]
struct Unspeakable(Arc<AtomicBool>);

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.store(true, Relaxed);
        fault()
    }
}

impl Error for Unspeakable {}

/// Ten items, two a batch; the first batch's handler panics, and no other can be made. The flag says
/// whether somebody tried to show why.
fn not_rebuilt() -> (Builder<Worker>, [Row; 10], Arc<AtomicBool>) {
    let shown = Arc::new(AtomicBool::new(false));
    let (made, flag) = (AtomicUsize::new(0), Arc::clone(&shown));
    let builder = Engine::try_builder(move |_: ShardId| match made.fetch_add(1, Relaxed) {
        0 => Ok(Worker),
        _ => Err(Unspeakable(Arc::clone(&flag))),
    });
    let mut rows = [Row::default(); 10];
    rows[0].faulty = Faulty::Handler;
    (small(builder).sizing(Sizing::Fixed(2)), rows, shown)
}

#[test]
fn a_factorys_error_that_panics_when_it_is_shown_stops_the_shard_like_any_other() {
    let _turn = listen();
    let (builder, rows, shown) = not_rebuilt();
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut rows.into_iter()).expect("there is room");
    let settled = catch_unwind(AssertUnwindSafe(|| engine.settle()));
    assert!(settled.is_ok(), "it got out of a stepped engine");
    let last = engine.shutdown();
    assert_eq!((last.accepted, last.failed, last.waiting()), (10, 10, 0), "{last}");
    assert_eq!((last.handler_panics, last.stopped_shards), (1, 1), "{last}");
    assert!(shown.load(Relaxed), "it was to be told");
    let told = take();
    let told_of = |part: &str| told.iter().any(|told| told.text.contains(part));
    assert!(told_of("a planted fault") && told_of("stop"), "{told:?}");

    let (builder, rows, _) = not_rebuilt();
    let engine = builder.start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut rows.into_iter()).expect("open");
    while producer.try_push(Row::default()).is_err_and(|error| error.is_full()) {
        std::thread::yield_now();
    }
    let last = engine.shutdown(LONG).expect("the shard has stopped");
    assert_eq!((last.done, last.dead, last.waiting()), (0, 0, 0), "{last}");
    assert!(last.failed == last.accepted && (10..=11).contains(&last.accepted), "{last}");
    assert_eq!((last.handler_panics, last.stopped_shards), (1, 1), "{last}");
}
