//! Items that count themselves, and a handler that writes down what it is given.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{
    Batch, Builder, Engine, Handler, Item, Nanos, Patience, Settled, Sizing, Snapshot, Trigger,
    Verdict,
};

/// Counts the living of one kind.
#[derive(Debug, Default)]
pub(crate) struct Census {
    made: AtomicUsize,
    alive: AtomicIsize,
}

impl Census {
    pub(crate) fn made(&self) -> usize {
        self.made.load(Relaxed)
    }

    pub(crate) fn alive(&self) -> isize {
        self.alive.load(Relaxed)
    }
}

/// One that lives, and is counted.
#[derive(Debug)]
pub(crate) struct Life(Arc<Census>);

impl Life {
    pub(crate) fn new(census: &Arc<Census>) -> Self {
        census.made.fetch_add(1, Relaxed);
        census.alive.fetch_add(1, Relaxed);
        Self(Arc::clone(census))
    }
}

impl Clone for Life {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Relaxed);
    }
}

/// What the handler is to do with an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    #[default]
    Done,
    Fail,
    Retry,
    Panic,
    /// No verdict the first time, in a bulk call.
    LeaveOnce,
    /// No verdict ever, in a bulk call.
    Leave,
}

/// The panic that tests plant.
pub(crate) struct Planted;

/// Panics without a word on the test's output.
pub(crate) fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new(Planted))
}

#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// The producer.
    pub(crate) from: u32,
    pub(crate) key: u64,
    /// Counts up for each producer.
    pub(crate) seq: u64,
    pub(crate) deed: Deed,
    pub(crate) patience: Patience,
    _life: Life,
}

impl Op {
    pub(crate) fn deed(self, deed: Deed) -> Self {
        Self { deed, ..self }
    }

    pub(crate) fn patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    pub(crate) fn name(&self) -> (u32, u64, u64) {
        (self.from, self.key, self.seq)
    }
}

impl Item for Op {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}

/// One item in one handler call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) from: u32,
    pub(crate) key: u64,
    pub(crate) seq: u64,
    /// The handler call that decided it, counted from 0 over all shards.
    pub(crate) call: usize,
}

/// One handler call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) key: u64,
    pub(crate) items: usize,
    pub(crate) trigger: Trigger,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) seen: Vec<Seen>,
    pub(crate) calls: Vec<Call>,
    /// Items that a bulk call has left without a verdict.
    left: HashSet<(u32, u64, u64)>,
}

impl Book {
    /// The numbers of the items that were decided, in the order of that.
    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.seen.iter().map(|seen| seen.seq).collect()
    }

    /// The sizes and triggers of the calls, in their order.
    pub(crate) fn sizes(&self) -> Vec<(usize, Trigger)> {
        self.calls.iter().map(|call| (call.items, call.trigger)).collect()
    }
}

/// How the handler settles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Each,
    Owned,
    All,
    Bulk,
}

/// Shared by a test, its items and its handlers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness {
    pub(crate) items: Arc<Census>,
    pub(crate) replies: Arc<Census>,
    pub(crate) errors: Arc<Census>,
    book: Arc<Mutex<Book>>,
    style: Style,
}

impl Witness {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, ..Self::default() }
    }

    pub(crate) fn op(&self, from: u32, key: u64, seq: u64) -> Op {
        let _life = Life::new(&self.items);
        Op { from, key, seq, deed: Deed::Done, patience: Patience::Engine, _life }
    }

    /// An engine whose handlers write down what they are given. Not pinned, since tests share the
    /// cores, and small.
    pub(crate) fn builder(&self) -> Builder<Recorder> {
        let witness = self.clone();
        Engine::builder(move |_| Recorder { witness: witness.clone() })
            .pin(false)
            .open_keys(64)
            .open_items(1_024)
            .lane_items(64)
    }

    pub(crate) fn stepped(
        &self,
        change: impl FnOnce(Builder<Recorder>) -> Builder<Recorder>,
    ) -> Stepped<Recorder> {
        Stepped::new(change(self.builder())).expect("the settings are allowed")
    }

    pub(crate) fn started(
        &self,
        change: impl FnOnce(Builder<Recorder>) -> Builder<Recorder>,
    ) -> Engine<Recorder> {
        change(self.builder()).start().expect("the settings are allowed")
    }

    pub(crate) fn book<R>(&self, look: impl FnOnce(&mut Book) -> R) -> R {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was seen since the last time.
    pub(crate) fn take(&self) -> Book {
        self.book(std::mem::take)
    }

    /// Everything made was dropped, each once.
    pub(crate) fn assert_nobody_lives(&self) {
        let alive = [&self.items, &self.replies, &self.errors].map(|census| census.alive());
        assert_eq!(alive, [0; 3], "items, replies and errors that live");
    }

    /// The items that were decided, per producer and key, come in the order of their numbers, each
    /// once.
    pub(crate) fn assert_in_order(&self) {
        self.book(|book| {
            let mut last = HashMap::new();
            for seen in &book.seen {
                let before = last.insert((seen.from, seen.key), seen.seq);
                assert!(before.is_none_or(|before| before < seen.seq), "{before:?}, then {seen:?}");
            }
        });
    }
}

/// The handler.
#[derive(Debug)]
pub(crate) struct Recorder {
    witness: Witness,
}

impl Recorder {
    fn verdict(witness: &Witness, op: &Op, call: usize) -> Verdict<Life, Life> {
        let seen = Seen { from: op.from, key: op.key, seq: op.seq, call };
        witness.book(|book| book.seen.push(seen));
        match op.deed {
            Deed::Fail => Verdict::Failed(Life::new(&witness.errors)),
            Deed::Retry => Verdict::Retry(Life::new(&witness.errors)),
            Deed::Panic => panic_quietly(),
            _ => Verdict::Done(Life::new(&witness.replies)),
        }
    }

    fn one_for_all(witness: &Witness, ops: &[Op], call: usize) -> Result<Life, Life> {
        let mut all = Ok(Life::new(&witness.replies));
        for op in ops {
            if let Verdict::Failed(error) | Verdict::Retry(error) = Self::verdict(witness, op, call)
            {
                all = Err(error);
            }
        }
        all
    }

    fn is_left(witness: &Witness, op: &Op) -> bool {
        match op.deed {
            Deed::Leave => true,
            Deed::LeaveOnce => witness.book(|book| book.left.insert(op.name())),
            _ => false,
        }
    }
}

impl Handler for Recorder {
    type Item = Op;
    type Reply = Life;
    type Error = Life;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let witness = &self.witness;
        let key = batch.key();
        assert!(batch.items().iter().all(|op| op.key == key), "a batch has one key");
        let this = Call { key, items: batch.len(), trigger: batch.trigger() };
        let call = witness.book(|book| {
            book.calls.push(this);
            book.calls.len() - 1
        });
        match witness.style {
            Style::Each => batch.settle_each(|op| Self::verdict(witness, op, call)),
            Style::Owned => batch.settle_owned(|op| match Self::verdict(witness, &op, call) {
                Verdict::Done(reply) => Ok(reply),
                Verdict::Failed(error) | Verdict::Retry(error) => Err(error),
            }),
            Style::All => batch.settle_all(|_, ops| Self::one_for_all(witness, ops, call)),
            Style::Bulk => batch.settle_bulk(|_, ops, verdicts| {
                for (at, op) in ops.iter().enumerate() {
                    if !Self::is_left(witness, op) {
                        verdicts.set(at, Self::verdict(witness, op, call));
                    }
                }
            }),
        }
    }
}

/// Numbers that come out the same every time (splitmix64, Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Every kind of sizing.
pub(crate) fn sizings() -> [Sizing; 4] {
    [Sizing::Single, Sizing::Fixed(2), Sizing::Fixed(100), Sizing::default()]
}

/// What a snapshot says about where items are adds up.
pub(crate) fn assert_conserved(snapshot: &Snapshot) {
    assert_eq!(snapshot.accepted, snapshot.settled() + snapshot.waiting(), "{snapshot}");
    assert_eq!(snapshot.triggers.iter().sum::<u64>(), snapshot.batches, "{snapshot}");
    assert_eq!(snapshot.batch_items.len(), snapshot.batches, "{snapshot}");
}

/// A snapshot at rest: everything accepted is settled.
pub(crate) fn assert_at_rest(snapshot: &Snapshot, accepted: u64) {
    assert_conserved(snapshot);
    assert_eq!((snapshot.accepted, snapshot.waiting()), (accepted, 0), "{snapshot}");
}

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// Long enough for anything a test waits for; a test that needs it all has failed.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A timer of the wheel comes at most so early, for this `flush_after`: the smallest power of two
/// from 1,024 ns on that leaves 254 ticks for it.
pub(crate) fn tick(flush_after: Duration) -> Nanos {
    let ticks = Nanos::from(flush_after).as_nanos().div_ceil(254);
    Nanos::from_nanos(ticks.next_power_of_two().max(1_024))
}
