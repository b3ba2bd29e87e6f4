//! Items whose type says what they can do, a handler made of a closure, and what holds at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    Batch, Builder, Engine, EngineProducer, Group, Handler, Item, Patience, Retry, Settled,
    ShardBy, Sizing, Snapshot, Tiers,
};

/// What an [`Op`] type can do: its flags.
pub(crate) const PLAIN: u8 = 0;
pub(crate) const EXPIRES: u8 = 1;
pub(crate) const ENTITIES: u8 = 2;
pub(crate) const WEIGHS: u8 = 4;
pub(crate) const ABSORBS: u8 = 8;
/// The key says which shard: odd keys go to the odd ones.
pub(crate) const PLACED: u8 = 16;

/// An [`Op`] of this number refuses to be absorbed.
pub(crate) const ALONE: i64 = -50;
/// An [`Op`] of this number panics when it is absorbed.
pub(crate) const EXPLODES: i64 = -51;

/// An operation with a key and a number. Negative numbers are for what goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op<const CAN: u8 = PLAIN> {
    pub(crate) key: u64,
    pub(crate) n: i64,
    pub(crate) entity: Option<u64>,
    pub(crate) weight: u32,
    pub(crate) lives: Option<Duration>,
    pub(crate) patience: Patience,
}

impl<const CAN: u8> Op<CAN> {
    pub(crate) fn new(key: u64, n: i64) -> Self {
        Self { key, n, entity: None, weight: 1, lives: None, patience: Patience::Engine }
    }

    pub(crate) fn of(self, entity: u64) -> Self {
        Self { entity: Some(entity), ..self }
    }

    pub(crate) fn weighing(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    pub(crate) fn living(self, lives: Duration) -> Self {
        Self { lives: Some(lives), ..self }
    }
}

impl<const CAN: u8> Item for Op<CAN> {
    type Key<'a> = u64;
    const EXPIRES: bool = CAN & EXPIRES != 0;
    const ENTITIES: bool = CAN & ENTITIES != 0;
    const WEIGHS: bool = CAN & WEIGHS != 0;
    const ABSORBS: bool = CAN & ABSORBS != 0;
    const SHARD_BY: ShardBy = if CAN & PLACED != 0 { ShardBy::Function } else { ShardBy::Hash };

    fn key(&self) -> u64 {
        self.key
    }

    fn shard(key: &u64, _shards: usize) -> usize {
        *key as usize
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn expires_after(&self) -> Option<Duration> {
        self.lives
    }

    fn entity(&self) -> Option<u64> {
        self.entity
    }

    /// The latest number stays, and weights add up.
    fn absorb(&mut self, newer: Self) -> Result<(), Self> {
        match newer.n {
            ALONE => return Err(newer),
            EXPLODES => panic_quietly(),
            _ => {}
        }
        self.n = newer.n;
        self.weight += newer.weight;
        Ok(())
    }
}

/// What handlers here are given.
pub(crate) type Hand<'b, T> = Group<'b, T, i64, &'static str>;

/// What a handler here does with a batch.
type Act<T> = Box<dyn for<'b> FnMut(Hand<'b, T>) -> Settled<'b>>;

/// A handler that does what its closure does. One type for all closures, or each would have an engine of its
/// own to be compiled.
pub(crate) struct Actor<T: Item>(Act<T>);

impl<T: Item> Handler for Actor<T> {
    type Item = T;
    type Reply = i64;
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        (self.0)(batch)
    }
}

/// Says what a closure is, for those that stand by themselves.
pub(crate) fn handling<T, F>(act: F) -> F
where
    T: Item,
    F: for<'b> FnMut(Hand<'b, T>) -> Settled<'b>,
{
    act
}

/// A builder of one shard with queues, on which `act` handles.
pub(crate) fn acting<T, F>(act: F) -> Builder<Actor<T>>
where
    T: Item,
    F: for<'b> FnMut(Hand<'b, T>) -> Settled<'b> + Clone + Send + Sync + 'static,
{
    Engine::builder(move |_| Actor(Box::new(act.clone())))
        .shards(engine::Shards::Count(1))
        .pin(false)
        .lanes(4)
        .handle_lanes(0)
        .lane_items(1_024)
        .open_keys(64)
        .open_items(4_096)
        .queues(true)
        .sizing(Sizing::Fixed(100))
        .flush_after(LINGER)
}

/// How long items linger here.
pub(crate) const LINGER: Duration = Duration::from_millis(10);

/// Every sizing that promises are checked under.
pub(crate) fn sizings() -> [Sizing; 4] {
    let tiers = Sizing::Tiers(Tiers::default());
    [Sizing::Single, Sizing::Fixed(2), Sizing::Fixed(100), tiers]
}

/// So many attempts, after waits of 20, 40, 80 … ms, up to 100, of which none is left to chance.
pub(crate) fn punctual(attempts: u32) -> Retry {
    let (first, longest) = (Duration::from_millis(20), Duration::from_millis(100));
    Retry { attempts, first, longest, jitter: 0.0, seed: 0 }
}

/// What several hands write down, in order.
#[derive(Debug)]
pub(crate) struct Book<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Book<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Book<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn note(&self, entry: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// How much was written since it was taken the last time.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What was written since this was asked the last time.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A stepped engine and one producer.
pub(crate) fn stepped<H: Handler>(builder: Builder<H>) -> (Stepped<H>, EngineProducer<H>) {
    let engine = Stepped::new(builder).expect("the settings are right");
    let producer = engine.producer().expect("a lane is free");
    (engine, producer)
}

/// The numbers of a batch's items, in their order.
pub(crate) fn numbers<const CAN: u8>(hand: &Hand<'_, Op<CAN>>) -> Vec<i64> {
    hand.items().iter().map(|op| op.n).collect()
}

/// Lets everything that lingers or backs off have its time.
pub(crate) fn run_out<H: Handler>(engine: &mut Stepped<H>) {
    engine.settle();
    for _ in 0..100_000 {
        let Some(next) = engine.next_deadline() else { return };
        let wait = next.saturating_sub(engine.now());
        engine.advance(Duration::from(wait).max(Duration::from_micros(100)));
        engine.settle();
    }
    panic!("something is due for ever: {}", engine.snapshot());
}

/// Shuts the engine down, and asserts that all that was accepted was settled once and nothing is left
/// anywhere.
pub(crate) fn at_rest<H: Handler>(mut engine: Stepped<H>) -> Snapshot {
    run_out(&mut engine);
    let waits = engine.snapshot();
    assert_eq!(waits.waiting(), 0, "something waits for nothing: {waits}");
    let last = engine.shutdown();
    conserved(&last);
    last
}

/// What holds of every engine that has ended.
pub(crate) fn conserved(last: &Snapshot) {
    assert_eq!(last.accepted, last.done + last.failed + last.dead, "{last}");
    assert_eq!(last.waiting(), 0, "{last}");
    assert_eq!((last.held, last.in_flight, last.open_batches), (0, 0, 0), "{last}");
}

/// Panics without a word on the test's output.
pub(crate) fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("planted"))
}
