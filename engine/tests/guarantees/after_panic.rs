//! G7: what a shard does after its handler has panicked, and about factories that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use engine::testing::Stepped;
use engine::{
    AfterPanic, Batch, Builder, Engine, Handler, Item, PushError, Settled, ShardId, Shards, Sizing,
    StartError, Verdict,
};

use crate::witness::{LONG, assert_at_rest, panic_quietly};

struct Step {
    key: u64,
    panics: bool,
}

impl Item for Step {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }
}

/// Counts what this handler, and no other, has seen.
struct Worker {
    seen: usize,
    most: Arc<AtomicUsize>,
}

impl Handler for Worker {
    type Item = Step;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_each(|step| {
            if step.panics {
                panic_quietly();
            }
            self.seen += 1;
            self.most.fetch_max(self.seen, Relaxed);
            Verdict::Done(())
        })
    }
}

#[derive(Clone, Default)]
struct Workshop {
    made: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Workshop {
    /// Handlers as long as fewer than `limit` were made; then errors, or panics.
    fn builder(&self, limit: usize, panics: bool) -> Builder<Worker> {
        let Self { made, most } = self.clone();
        Engine::try_builder(move |_: ShardId| {
            if made.fetch_add(1, Relaxed) < limit {
                return Ok(Worker { seen: 0, most: most.clone() });
            }
            if panics {
                panic_quietly();
            }
            Err("the workshop is closed")
        })
        .pin(false)
        .sizing(Sizing::Fixed(3))
        .open_keys(64)
        .open_items(1_024)
        .lane_items(64)
    }
}

/// Pushes nine items of one key, the second of which panics, and turns once.
fn turn_with_a_panic(builder: Builder<Worker>) -> (Stepped<Worker>, engine::Producer<Step>) {
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for at in 0..9 {
        let step = Step { key: 1, panics: at == 1 };
        producer.push(step).expect("there is room");
    }
    engine.turn();
    (engine, producer)
}

/// G7: the default: a fresh handler, which has seen nothing yet.
#[test]
fn after_a_panic_the_shard_goes_on_with_a_fresh_handler() {
    let workshop = Workshop::default();
    let (engine, _) = turn_with_a_panic(workshop.builder(usize::MAX, false));
    let last = engine.shutdown();
    assert_at_rest(&last, 9);
    assert_eq!((last.done, last.failed, last.handler_panics), (8, 1, 1));
    assert_eq!(workshop.made.load(Relaxed), 2);
    assert_eq!(workshop.most.load(Relaxed), 7, "one before the panic, seven after");
}

/// G7: kept on request, with what it has seen.
#[test]
fn after_a_panic_the_handler_is_kept_where_that_is_wished() {
    let workshop = Workshop::default();
    let builder = workshop.builder(usize::MAX, false).after_panic(AfterPanic::Keep);
    let (engine, _) = turn_with_a_panic(builder);
    let last = engine.shutdown();
    assert_at_rest(&last, 9);
    assert_eq!((last.done, last.failed, last.handler_panics), (8, 1, 1));
    assert_eq!(workshop.made.load(Relaxed), 1);
    assert_eq!(workshop.most.load(Relaxed), 8);
}

fn assert_stopped(mut engine: Stepped<Worker>, mut producer: engine::Producer<Step>) {
    let refused = producer.try_push(Step { key: 1, panics: false });
    assert!(matches!(refused, Err(PushError::Closed(Step { key: 1, .. }))));
    assert!(!engine.turn(), "an ended shard does nothing");
    let last = engine.shutdown();
    assert_at_rest(&last, 9);
    assert_eq!((last.done, last.failed), (1, 8), "the one before the panic; all others fail");
    assert_eq!((last.handler_panics, last.stopped_shards), (1, 1));
}

/// G7: a shard that is to stop answers Closed, and what it holds fails.
#[test]
fn after_a_panic_the_shard_stops_where_that_is_wished() {
    let workshop = Workshop::default();
    let builder = workshop.builder(usize::MAX, false).after_panic(AfterPanic::Stop);
    let (engine, producer) = turn_with_a_panic(builder);
    assert_stopped(engine, producer);
    assert_eq!(workshop.made.load(Relaxed), 1);
}

/// G7: so does one whose handler can't be made again, for an error or a panic of the factory.
#[test]
fn a_shard_whose_handler_cannot_be_rebuilt_stops() {
    for panics in [false, true] {
        let workshop = Workshop::default();
        let (engine, producer) = turn_with_a_panic(workshop.builder(1, panics));
        assert_stopped(engine, producer);
        assert_eq!(workshop.made.load(Relaxed), 2);
    }
}

/// G7: one shard that stops leaves the others at work, on real threads too, and what was accepted
/// adds up.
#[test]
fn one_stopped_shard_leaves_the_others_at_work() {
    let workshop = Workshop::default();
    let builder = workshop.builder(usize::MAX, false).after_panic(AfterPanic::Stop);
    let engine = builder.shards(Shards::Count(2)).start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    let mut accepted = 0;
    producer.push(Step { key: 0, panics: true }).expect("open");
    accepted += 1;
    producer.flush().expect("open");
    // Until the shard of key 0 has stopped; each push that is accepted before fails with it.
    let closed = loop {
        match producer.push(Step { key: 0, panics: false }) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(closed, PushError::Closed(Step { key: 0, .. })));
    let open = |key: &u64| {
        let pushed = producer.try_push(Step { key: *key, panics: false });
        pushed.is_ok()
    };
    let others = (1..100).filter(open).count() as u64;
    assert!((1..99).contains(&others), "some keys live on the other shard: {others}");
    let last = engine.shutdown(LONG).expect("it drains");
    assert_at_rest(&last, accepted + others);
    assert_eq!((last.done, last.failed, last.stopped_shards), (others, accepted, 1));
}

/// `start` gives back what a factory says, and leaves nothing running.
#[test]
fn start_returns_the_error_of_a_factory_that_fails_or_panics() {
    for (panics, says) in [(false, "the workshop is closed"), (true, "the factory panicked")] {
        let workshop = Workshop::default();
        let refused = workshop.builder(1, panics).shards(Shards::Count(2)).start();
        let Err(StartError::Factory { shard: 0 | 1, source }) = refused else {
            panic!("{refused:?}");
        };
        assert!(source.to_string().contains(says), "{source}");
        let refused = Stepped::new(Workshop::default().builder(0, panics));
        assert!(matches!(refused, Err(StartError::Factory { shard: 0, .. })), "{refused:?}");
    }
}

/// G1, G7: a shard that stops fails what is open, also behind more remembered keys than it looks at in
/// one go.
#[test]
fn a_shard_that_stops_fails_what_is_open_however_many_keys_it_remembers() {
    const KEYS: u64 = 20_000;
    let builder = Workshop::default().builder(usize::MAX, false);
    let builder = builder.sizing(Sizing::Fixed(100)).after_panic(AfterPanic::Stop);
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    let mut push = |engine: &mut Stepped<Worker>, key, panics| {
        while producer.try_push(Step { key, panics }).is_err() {
            engine.turn();
        }
    };
    (0..KEYS).for_each(|key| push(&mut engine, key, false));
    engine.settle();
    engine.advance(std::time::Duration::from_millis(11));
    engine.settle();
    assert_eq!(engine.snapshot().done, KEYS);
    (KEYS..KEYS + 50).for_each(|key| push(&mut engine, key, false));
    (0..100).for_each(|_| push(&mut engine, 0, true));
    engine.settle();
    let last = engine.snapshot();
    assert_at_rest(&last, KEYS + 150);
    assert_eq!((last.failed, last.stopped_shards), (150, 1));
}
