//! Engines with everything that keeps queues.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    Batch, BatchEvent, Builder, Detached, Engine, Handler, Item, Producer, Retry, Settled, Shards,
    Sizing, Ticket, Verdict,
};

use crate::allocations;

/// What shall become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Done,
    Fail,
    /// Its first two attempts end with a retry.
    Retry,
    /// It emits two more.
    Emit,
    /// Its batch is taken along.
    Leave,
    /// It expires before it can be handled.
    Expire,
}

const DEEDS: [Deed; 6] =
    [Deed::Done, Deed::Retry, Deed::Emit, Deed::Leave, Deed::Fail, Deed::Expire];

struct Job<const ENTITIES: bool> {
    key: u64,
    deed: Deed,
    tries: Cell<u32>,
}

impl<const ENTITIES: bool> Job<ENTITIES> {
    fn new(key: u64, deed: Deed) -> Self {
        Self { key, deed, tries: Cell::new(0) }
    }
}

impl<const ENTITIES: bool> Item for Job<ENTITIES> {
    type Key<'a> = u64;
    const WEIGHS: bool = true;
    const EXPIRES: bool = true;
    const ENTITIES: bool = ENTITIES;
    const ABSORBS: bool = true;

    fn key(&self) -> u64 {
        self.key
    }

    fn entity(&self) -> Option<u64> {
        ENTITIES.then_some(self.key % 3)
    }

    fn expires_after(&self) -> Option<Duration> {
        (self.deed == Deed::Expire).then_some(Duration::ZERO)
    }

    fn absorb(&mut self, newer: Self) -> Result<(), Self> {
        if self.deed == Deed::Done && newer.deed == Deed::Done { Ok(()) } else { Err(newer) }
    }
}

type Away<const ENTITIES: bool> = Arc<Mutex<Vec<Detached<Job<ENTITIES>, u64, &'static str>>>>;

struct Doer<const ENTITIES: bool> {
    away: Away<ENTITIES>,
}

fn verdict<const ENTITIES: bool>(job: &Job<ENTITIES>) -> Verdict<u64, &'static str> {
    job.tries.set(job.tries.get() + 1);
    match job.deed {
        Deed::Fail => Verdict::Failed("no"),
        Deed::Retry if job.tries.get() < 3 => Verdict::Retry("later"),
        _ => Verdict::Done(job.key),
    }
}

impl<const ENTITIES: bool> Handler for Doer<ENTITIES> {
    type Item = Job<ENTITIES>;
    type Reply = u64;
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let leaves = |job: &Job<ENTITIES>| job.deed == Deed::Leave && job.tries.get() == 0;
        let batch = match batch.items().iter().any(leaves) {
            false => batch,
            true => {
                batch.items().iter().for_each(|job| job.tries.set(1));
                let (settled, detached) = batch.detach().expect("there is a credit");
                self.away.lock().expect("one thread").push(detached);
                return settled;
            }
        };
        batch.settle_each_with(|job, follow_ups| {
            if job.deed == Deed::Emit {
                for _ in 0..2 {
                    follow_ups.emit(Job::new(job.key, Deed::Done)).expect("there is room");
                }
            }
            verdict(job)
        })
    }
}

type Jobs<const ENTITIES: bool> = Builder<Doer<ENTITIES>>;

fn builder<const ENTITIES: bool>(away: &Away<ENTITIES>, sizing: Sizing) -> Jobs<ENTITIES> {
    let away = Arc::clone(away);
    Engine::builder(move |_| Doer { away: Arc::clone(&away) })
        .shards(Shards::Count(1))
        .pin(false)
        .sizing(sizing)
        .replies_max(256)
        .retry(Retry { first: Duration::from_micros(50), ..Retry::attempts(4) })
        .follow_ups(2, 1)
        .batch_weight_max(1_000)
        .key_items_max(1_000)
        .in_flight_max(4)
        .dead_letters(|_letter: engine::DeadLetter<'_, Job<ENTITIES>, &'static str>| {})
}

struct Scene<const ENTITIES: bool> {
    engine: Stepped<Doer<ENTITIES>>,
    producer: Producer<Job<ENTITIES>, u64, &'static str>,
    away: Away<ENTITIES>,
    tickets: Vec<Ticket<u64, &'static str>>,
}

impl<const ENTITIES: bool> Scene<ENTITIES> {
    fn new(sizing: Sizing, change: impl FnOnce(Jobs<ENTITIES>) -> Jobs<ENTITIES>) -> Self {
        let away = Away::<ENTITIES>::default();
        away.lock().expect("one thread").reserve(16);
        let engine = Stepped::new(change(builder(&away, sizing))).expect("the settings can work");
        let producer = engine.producer().expect("a lane");
        Self { engine, producer, away, tickets: Vec::with_capacity(256) }
    }

    /// Some of everything, and all of it to its end.
    fn round(&mut self) {
        for nth in 0..96 {
            let job = Job::new(nth % 7, DEEDS[nth as usize % DEEDS.len()]);
            match nth % 3 {
                0 => self.tickets.push(self.producer.try_call(job).expect("there is room")),
                _ => self.producer.try_push(job).expect("there is room"),
            }
        }
        if let Some(ticket) = self.tickets.last() {
            ticket.cancel();
        }
        for _ in 0..200 {
            self.engine.settle();
            // One at a time: the guard must go before the batch is settled.
            while let Some(detached) = self.take_back() {
                detached.settle_each(verdict);
            }
            self.engine.advance(Duration::from_millis(1));
        }
        for ticket in self.tickets.drain(..) {
            assert!(ticket.wait_for(Duration::ZERO).is_ok(), "all is settled");
        }
    }

    fn take_back(&self) -> Option<Detached<Job<ENTITIES>, u64, &'static str>> {
        self.away.lock().expect("one thread").pop()
    }
}

fn everything_together_allocates_nothing<const ENTITIES: bool>(
    change: impl Fn(Jobs<ENTITIES>) -> Jobs<ENTITIES>,
) {
    for sizing in [Sizing::Single, Sizing::Fixed(2), Sizing::Fixed(100), Sizing::default()] {
        let mut scene = Scene::<ENTITIES>::new(sizing, &change);
        for _ in 0..8 {
            scene.round();
        }
        let before = scene.engine.snapshot();
        let allocated = allocations(|| {
            for _ in 0..8 {
                scene.round();
            }
        });
        let after = scene.engine.snapshot();
        // A promise about nothing would be kept easily.
        let did = [
            after.retries - before.retries,
            after.follow_ups - before.follow_ups,
            after.expired - before.expired,
            after.done - before.done,
        ];
        assert!(did.iter().all(|did| *did > 0), "{sizing}: {did:?}");
        assert_eq!(allocated, 0, "{sizing}");
        assert_eq!(after.waiting(), 0, "{after}");
    }
}

#[test]
fn calls_retries_merges_follow_ups_and_batches_taken_along_allocate_nothing_after_warm_up() {
    everything_together_allocates_nothing::<false>(|builder| builder);
}

#[test]
fn with_entities_they_allocate_nothing_either() {
    everything_together_allocates_nothing::<true>(|builder| builder);
}

#[test]
fn somebody_who_watches_all_that_makes_it_allocate_nothing_either() {
    let seen = Arc::new(AtomicU64::new(0));
    let sees = || {
        let seen = Arc::clone(&seen);
        move |_: &BatchEvent| {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    };
    everything_together_allocates_nothing::<false>(|builder| builder.observer(sees()));
    everything_together_allocates_nothing::<true>(|builder| builder.observer(sees()));
    assert!(seen.load(Ordering::Relaxed) > 0, "there was something to see");
}

/// An item that may expire.
struct Brief(u64, Option<Duration>);

impl Item for Brief {
    type Key<'a> = u64;
    const EXPIRES: bool = true;

    fn key(&self) -> u64 {
        self.0
    }

    fn expires_after(&self) -> Option<Duration> {
        self.1
    }
}

type BriefsAway = Arc<Mutex<Vec<Detached<Brief, (), ()>>>>;

/// Takes every batch along.
struct Leaves(BriefsAway);

impl Handler for Leaves {
    type Item = Brief;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let (settled, detached) = batch.detach().unwrap_or_else(|_| panic!("a credit is free"));
        self.0.lock().expect("nobody panics").push(detached);
        settled
    }
}

#[test]
fn what_expires_while_all_credits_are_out_takes_no_memory() {
    let away = BriefsAway::default();
    let all = Arc::clone(&away);
    let builder = Engine::builder(move |_| Leaves(Arc::clone(&all)))
        .shards(Shards::Count(1))
        .pin(false)
        .lanes(1)
        .handle_lanes(0)
        .lane_items(256)
        .open_keys(64)
        .open_items(256)
        .sizing(Sizing::Single)
        .in_flight_max(1)
        .in_flight_for(Duration::from_secs(3_600));
    let mut engine = Stepped::new(builder).expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    producer.try_push(Brief(0, None)).unwrap_or_else(|_| panic!("room"));
    engine.settle();
    let mut round = |key| {
        for _ in 0..200 {
            let item = Brief(key, Some(Duration::from_millis(5)));
            producer.try_push(item).unwrap_or_else(|_| panic!("room"));
        }
        engine.settle();
        engine.advance(Duration::from_millis(50));
        engine.settle();
    };
    round(1);
    let taken = allocations(|| (2..20).for_each(&mut round));
    away.lock().expect("nobody panics").clear();
    assert_eq!(taken, 0, "all memory was taken at the start");
}
