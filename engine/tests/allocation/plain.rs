//! Engines that only group and hand over.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    Batch, Builder, Engine, Handle, Handler, Item, Patience, Producer, Settled, Shards, Sizing,
    Trigger, Verdict,
};

use crate::{ALLOCATIONS, allocations};

/// An item that can be made ahead.
trait Made: Item {
    fn make(key: u64, patience: Patience) -> Self;
}

struct Row {
    key: u64,
    patience: Patience,
}

impl Item for Row {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}

impl Made for Row {
    fn make(key: u64, patience: Patience) -> Self {
        Self { key, patience }
    }
}

/// Its text is made before anything is counted; it moves through the engine.
struct Line {
    stream: Box<str>,
    patience: Patience,
}

impl Item for Line {
    type Key<'a> = &'a str;

    fn key(&self) -> &str {
        &self.stream
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}

impl Made for Line {
    fn make(key: u64, patience: Patience) -> Self {
        Self { stream: format!("stream-{key}").into(), patience }
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Each,
    Owned,
    All,
    Bulk,
}

const WAYS: [Way; 4] = [Way::Each, Way::Owned, Way::All, Way::Bulk];

fn sizings() -> [Sizing; 3] {
    [Sizing::Single, Sizing::Fixed(100), Sizing::default()]
}

/// What a running shard's handler tells the test, and what the test tells it.
#[derive(Default)]
struct Window {
    /// What the shard's thread had allocated when it last came to its handler.
    allocations: [AtomicU64; 2],
    handled: AtomicU64,
    /// The handler waits while this is set.
    held: AtomicBool,
}

impl Window {
    /// What the shards had allocated when `items` were handled.
    fn after(&self, items: u64) -> u64 {
        // Acquire [handled]: what the shards stored before they had handled so many.
        while self.handled.load(Ordering::Acquire) < items {
            std::thread::yield_now();
        }
        self.allocations.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

struct Settle<T> {
    way: Way,
    shard: usize,
    window: Arc<Window>,
    item: PhantomData<T>,
}

impl<T: Item> Handler for Settle<T> {
    type Item = T;
    type Reply = u64;
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        // Acquire [let go]: it only says when; nothing is read that was written before.
        while self.window.held.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let items = batch.len() as u64;
        let settled = match self.way {
            Way::Each => batch.settle_each(|_| Verdict::Done(1)),
            Way::Owned => batch.settle_owned(|_| Ok(1)),
            Way::All => batch.settle_all(|_, _| Err("all of them")),
            Way::Bulk => batch.settle_bulk(|_, items, verdicts| {
                verdicts.set(items.len() / 2, Verdict::Failed("this one"));
                verdicts.set_rest(|at| Verdict::Done(at as u64));
            }),
        };
        self.window.allocations[self.shard].store(ALLOCATIONS.get(), Ordering::Relaxed);
        // Release [handled].
        self.window.handled.fetch_add(items, Ordering::Release);
        settled
    }
}

fn builder<T: Item>(way: Way, sizing: Sizing, window: &Arc<Window>) -> Builder<Settle<T>> {
    let window = Arc::clone(window);
    Engine::builder(move |shard| Settle {
        way,
        shard: shard.index(),
        window: Arc::clone(&window),
        item: PhantomData,
    })
    .sizing(sizing)
    .lane_items(1_024)
}

fn stepped<T: Item>(way: Way, sizing: Sizing) -> Stepped<Settle<T>> {
    Stepped::new(builder(way, sizing, &Arc::default())).expect("the settings can work")
}

/// Bursts of one round: one depth for each of the default tiers.
const BURSTS: [usize; 4] = [5, 60, 700, 1_020];
const ROUND: usize = 5 + 60 + 700 + 1_020;
const KEYS: u64 = 64;

fn supply<T: Made>(items: usize) -> Vec<T> {
    (0..items).map(|n| T::make(n as u64 * 7 % KEYS, Patience::Engine)).collect()
}

#[derive(Clone, Copy, Debug)]
enum Pushing {
    Push,
    TryPush,
    PushRun,
    TryPushRun,
}

const PUSHINGS: [Pushing; 4] =
    [Pushing::Push, Pushing::TryPush, Pushing::PushRun, Pushing::TryPushRun];

/// One round of bursts, a turn after each and then a part of the time to the deadline.
fn round<T: Item>(
    engine: &mut Stepped<Settle<T>>,
    producer: &mut Producer<T, u64, &'static str>,
    pushing: Pushing,
    supply: &mut Vec<T>,
) {
    for burst in BURSTS {
        let mut items = supply.drain(supply.len() - burst..);
        match pushing {
            Pushing::Push => items.for_each(|item| producer.push(item).expect("room")),
            Pushing::TryPush => items.for_each(|item| producer.try_push(item).expect("room")),
            Pushing::PushRun => assert_eq!(producer.push_run(&mut items).expect("room"), burst),
            Pushing::TryPushRun => {
                assert_eq!(producer.try_push_run(&mut items).expect("room"), burst);
            }
        }
        engine.settle();
        engine.advance(Duration::from_millis(4));
    }
}

const ROUNDS: usize = 6;

fn every_way_in_and_out_allocates_nothing<T: Made>() {
    for sizing in sizings() {
        for way in WAYS {
            for pushing in PUSHINGS {
                let mut engine = stepped::<T>(way, sizing);
                let mut producer = engine.producer().expect("a lane");
                let mut items = supply((1 + ROUNDS) * ROUND);
                round(&mut engine, &mut producer, pushing, &mut items);
                let allocations = allocations(|| {
                    for _ in 0..ROUNDS {
                        round(&mut engine, &mut producer, pushing, &mut items);
                    }
                });
                assert_eq!(allocations, 0, "{sizing}, {way:?}, {pushing:?}");
                let last = engine.shutdown();
                assert_eq!(last.settled() as usize, (1 + ROUNDS) * ROUND);
            }
        }
    }
}

#[test]
fn items_with_plain_keys_pass_through_every_way_in_and_out_without_allocating() {
    every_way_in_and_out_allocates_nothing::<Row>();
}

#[test]
fn items_with_string_keys_pass_through_every_way_in_and_out_without_allocating() {
    every_way_in_and_out_allocates_nothing::<Line>();
}

#[test]
fn deadlines_that_expire_allocate_nothing() {
    let mut engine = stepped::<Line>(Way::Each, Sizing::Fixed(100));
    let mut producer = engine.producer().expect("a lane");
    let mut items: Vec<Line> = supply(50 * KEYS as usize);
    let mut expire = |rounds| {
        for _ in 0..rounds {
            for _ in 0..KEYS {
                producer.push(items.pop().expect("made ahead")).expect("room");
                engine.settle();
                engine.advance(Duration::from_micros(100));
            }
            engine.advance(Duration::from_millis(10));
            engine.settle();
        }
    };
    expire(1);
    assert_eq!(allocations(|| expire(49)), 0);
    let last = engine.snapshot();
    assert_eq!(last.triggers[Trigger::Deadline.index()], 50 * KEYS, "{last}");
}

#[test]
fn flushes_and_marks_of_patience_allocate_nothing() {
    for sizing in sizings() {
        let mut engine = stepped::<Line>(Way::Each, sizing);
        let mut producer = engine.producer().expect("a lane");
        let mut items: Vec<Line> = (0..50 * 200)
            .map(|n| match n % 10 {
                // The last ones come first, to warm up: marks are new to what is counted.
                _ if n >= 45 * 200 => Line::make(n % KEYS, Patience::Engine),
                0 => Line::make(n % KEYS, Patience::None),
                1 => Line::make(n % KEYS, Patience::AtMost(Duration::from_millis(n % 7))),
                _ => Line::make(n % KEYS, Patience::Engine),
            })
            .collect();
        let mut hurry = |rounds| {
            for _ in 0..rounds {
                for _ in 0..3 {
                    for item in items.drain(items.len() - 50..) {
                        producer.try_push(item).expect("room");
                    }
                    engine.settle();
                    engine.advance(Duration::from_millis(3));
                }
                producer.push_run(&mut items.drain(items.len() - 50..)).expect("room");
                producer.flush().expect("open");
                engine.settle();
            }
        };
        hurry(5);
        assert_eq!(allocations(|| hurry(45)), 0, "{sizing}");
        let last = engine.snapshot();
        assert_eq!(last.settled(), 50 * 200, "a flush comes last: {last}");
        if sizing != Sizing::Single {
            assert!(last.triggers[Trigger::Patience.index()] > 0, "{last}");
        }
        if sizing == Sizing::Fixed(100) {
            assert!(last.triggers[Trigger::Flush.index()] > 0, "{last}");
        }
    }
}

/// Rounds in which every key is a new one.
fn replace(
    engine: &mut Stepped<Settle<Row>>,
    producer: &mut Producer<Row, u64, &'static str>,
    keys: std::ops::Range<u64>,
) {
    for key in keys {
        if let Err(full) = producer.try_push(Row::make(key, Patience::Engine)) {
            engine.turn();
            producer.try_push(full.into_inner()).expect("a turn made room");
        }
    }
    engine.settle();
}

#[test]
fn replacing_all_open_keys_twenty_times_allocates_nothing() {
    const OPEN_KEYS: u64 = 5_000;
    for expires in [true, false] {
        let settings = builder(Way::Each, Sizing::Fixed(100), &Arc::default())
            .open_keys(OPEN_KEYS as usize)
            .open_items(50_000);
        let mut engine = Stepped::new(settings).expect("the settings can work");
        let mut producer = engine.producer().expect("a lane");
        replace(&mut engine, &mut producer, 0..OPEN_KEYS);
        let allocations = allocations(|| {
            for generation in 1..=20 {
                if expires {
                    engine.advance(Duration::from_millis(11));
                    engine.settle();
                }
                let keys = generation * OPEN_KEYS..(generation + 1) * OPEN_KEYS;
                replace(&mut engine, &mut producer, keys);
            }
        });
        assert_eq!(allocations, 0, "expires: {expires}");
        let last = engine.snapshot();
        let trigger = if expires { Trigger::Deadline } else { Trigger::Pressure };
        assert_eq!(last.triggers[trigger.index()], 20 * OPEN_KEYS, "{last}");
        assert_eq!((last.open, last.known_keys), (OPEN_KEYS, OPEN_KEYS), "{last}");
    }
}

/// Waits once, so that what a thread keeps for waiting is there.
fn wait_once() {
    let mut waited = false;
    ringbuf::wake::block_on_fn(0, |waker| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        waker.wake_by_ref();
        Poll::Pending
    });
}

/// Pushes through a producer in every way; says what this thread allocated.
fn pushing<T: Item>(producer: &mut Producer<T, u64, &'static str>, items: Vec<T>) -> u64 {
    let mut items = items.into_iter();
    allocations(|| {
        while items.len() > 0 {
            producer.push_run(&mut items.by_ref().take(300)).expect("open");
            items.by_ref().take(100).for_each(|item| producer.push(item).expect("open"));
            for mut item in items.by_ref().take(100) {
                while let Err(full) = producer.try_push(item) {
                    item = full.into_inner();
                    std::thread::yield_now();
                }
            }
            producer.flush().expect("open");
        }
    })
}

/// The same through the shared handle.
fn handing<T: Item>(handle: &Handle<T, u64, &'static str>, items: Vec<T>) -> u64 {
    let mut items = items.into_iter();
    allocations(|| items.by_ref().for_each(|item| handle.push(item).expect("open")))
}

/// Fills the handle's lanes while the shards are held, so that one who waits for room was there
/// before; says how many items that took.
fn fill<T: Made>(handle: &Handle<T, u64, &'static str>, window: &Window) -> u64 {
    window.held.store(true, Ordering::Relaxed);
    let mut pushed = 0;
    let mut waits = [false; KEYS as usize];
    while waits.contains(&false) {
        for key in 0..KEYS {
            let item = T::make(key, Patience::Engine);
            let waiting = pin!(handle.reserve(&item.key()));
            let poll = waiting.poll(&mut Context::from_waker(Waker::noop()));
            waits[key as usize] = poll.is_pending();
            if let Poll::Ready(permit) = poll {
                permit.expect("open").push(T::make(key, Patience::Engine)).expect("open");
                pushed += 1;
            }
        }
    }
    // Release [let go].
    window.held.store(false, Ordering::Release);
    pushed
}

const RUNNING: u64 = 20_000;

fn running_shards_and_producers_allocate_nothing<T: Made>() {
    for (sizing, way) in sizings().into_iter().flat_map(|s| WAYS.map(|w| (s, w))) {
        let window = Arc::<Window>::default();
        let engine = builder::<T>(way, sizing, &window)
            .shards(Shards::Count(2))
            .lanes(1)
            .lane_items(64)
            .flush_after(Duration::from_millis(1))
            .start()
            .expect("the settings can work");
        let mut producer = engine.producer().expect("a lane");
        let handle = engine.handle().expect("a handle lane");
        let mut expected = fill(&handle, &window);
        let mut both = || {
            let made = || supply::<T>(RUNNING as usize);
            let (for_producer, for_handle) = (made(), made());
            let allocated = std::thread::scope(|scope| {
                let pushes = scope.spawn(|| {
                    wait_once();
                    pushing(&mut producer, for_producer)
                });
                wait_once();
                let hands = handing(&handle, for_handle);
                hands + pushes.join().expect("it does not panic")
            });
            expected += 2 * RUNNING;
            (allocated, window.after(expected))
        };
        let (_, warm) = both();
        let (producers, shards) = both();
        assert_eq!(producers, 0, "{sizing}, {way:?}: the producers' side");
        assert_eq!(shards - warm, 0, "{sizing}, {way:?}: the shards' side");
        let last = engine.shutdown(Duration::from_secs(30)).expect("it drains");
        assert_eq!(last.settled(), expected);
    }
}

#[test]
fn running_shards_and_their_producers_do_not_allocate_for_items_with_plain_keys() {
    running_shards_and_producers_allocate_nothing::<Row>();
}

#[test]
fn running_shards_and_their_producers_do_not_allocate_for_items_with_string_keys() {
    running_shards_and_producers_allocate_nothing::<Line>();
}
