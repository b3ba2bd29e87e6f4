//! G7: panics in windows.

use std::cell::Cell;
use std::hash::{Hash, Hasher};

use engine::testing::Stepped;
use engine::{
    AfterPanic, Batch, Engine, EngineProducer, Grouping, Handler, Item, Settled, Sizing, Snapshot,
    Trigger, Verdict,
};

use crate::closing::TEN_MILLISECONDS;
use crate::windowed;
use crate::witness::{Deed, Style, Witness, assert_at_rest, panic_quietly};

#[test]
fn what_a_panic_leaves_undecided_comes_next() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(windowed);
    let mut producer = engine.producer().expect("a lane");
    for seq in 0..10 {
        let deed = if seq == 4 { Deed::Panic } else { Deed::Done };
        producer.try_push(witness.op(0, 1, seq).deed(deed)).expect("room");
        producer.try_push(witness.op(0, 2, seq)).expect("room");
    }
    producer.flush().expect("open");
    engine.settle();
    let last = engine.snapshot();
    assert_at_rest(&last, 20);
    assert_eq!((last.failed, last.handler_panics), (1, 1));
    witness.assert_in_order();
    let mut calls = witness.take().calls;
    calls.retain(|call| call.key == 1);
    assert_eq!(calls.iter().map(|call| call.items).collect::<Vec<_>>(), [10, 5]);
}

#[test]
fn a_stop_fails_what_is_grouped_what_closes_and_what_fills() {
    let witness = Witness::new(Style::Each);
    let stops = |builder| windowed(builder).after_panic(AfterPanic::Stop);
    let mut engine = witness.stepped(stops);
    let mut producer = engine.producer().expect("a lane");
    for seq in 0..1_500 {
        let deed = if seq == 0 { Deed::Panic } else { Deed::Done };
        producer.try_push(witness.op(0, seq, seq).deed(deed)).expect("room");
    }
    engine.settle();
    let last = engine.snapshot();
    assert_at_rest(&last, 1_500);
    assert_eq!(last.stopped_shards, 1);
    assert!(last.failed > 1 && last.done < 1_024, "{last}");
    drop((producer, engine));
    witness.assert_nobody_lives();
}

#[test]
fn a_stop_fails_what_fills_behind_a_window_that_closes() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| {
        windowed(builder)
            .grouping(Grouping::Windowed { items: 8_192 })
            .lane_items(8_192)
            .drain_items(8_192)
            .after_panic(AfterPanic::Stop)
    });
    let mut producer = engine.producer().expect("a lane");
    let deed = |seq| if seq == 6_000 { Deed::Panic } else { Deed::Done };
    let mut seqs = 0..;
    let mut push = |items| {
        let ops: Vec<_> =
            seqs.by_ref().take(items).map(|seq| witness.op(0, 1, seq).deed(deed(seq))).collect();
        producer.push_run(&mut ops.into_iter()).expect("room")
    };
    push(8_192);
    assert!(engine.turn());
    push(100);
    engine.settle();
    let last = engine.snapshot();
    assert_at_rest(&last, 8_292);
    assert_eq!((last.done, last.failed), (6_000, 2_292), "{last}");
    drop((producer, engine));
    witness.assert_nobody_lives();
}

/// Code of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Key,
    Hash,
    Eq,
    Drop,
    Handler,
}

thread_local! {
    static SPARED: Cell<bool> = const { Cell::new(false) };
    static DROPPED: Cell<usize> = const { Cell::new(0) };
}

/// Some of its code panics, unless it is spared.
struct Part {
    id: u64,
    faulty: Option<Code>,
}

impl Part {
    fn runs(&self, code: Code) {
        if self.faulty == Some(code) && !SPARED.get() {
            panic_quietly();
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
        self.runs(Code::Drop);
    }
}

struct Name<'a>(&'a Part);

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.runs(Code::Eq);
        self.0.id == other.0.id
    }
}

impl Eq for Name<'_> {}

impl Hash for Name<'_> {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.0.runs(Code::Hash);
        self.0.id.hash(state);
    }
}

impl Item for Part {
    type Key<'a> = Name<'a>;

    fn key(&self) -> Name<'_> {
        self.runs(Code::Key);
        Name(self)
    }
}

struct Workshop;

impl Handler for Workshop {
    type Item = Part;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_each(|part| {
            part.runs(Code::Handler);
            Verdict::Done(())
        })
    }
}

const PARTS: u64 = 90;
/// None of them is the first of its key.
const FAULTY: u64 = PARTS / 7 + 1;

/// An engine in whose lane parts of two keys wait, some of which are faulty.
fn workshop(code: Code, after: AfterPanic) -> (Stepped<Workshop>, EngineProducer<Workshop>) {
    let builder = Engine::builder(|_| Workshop)
        .grouping(Grouping::WINDOWED)
        .sizing(Sizing::Fixed(100))
        .after_panic(after);
    let engine = Stepped::new(builder).expect("the settings are allowed");
    let mut producer = engine.producer().expect("a lane");
    DROPPED.set(0);
    SPARED.set(true);
    for n in 0..PARTS {
        producer.push(Part { id: n % 2, faulty: (n % 7 == 4).then_some(code) }).expect("room");
    }
    SPARED.set(false);
    (engine, producer)
}

fn flushed(mut engine: Stepped<Workshop>, mut producer: EngineProducer<Workshop>) -> Snapshot {
    producer.flush().expect("open");
    engine.settle();
    let last = engine.snapshot();
    assert_at_rest(&last, PARTS);
    assert_eq!(DROPPED.get() as u64, PARTS);
    last
}

#[test]
fn an_item_whose_key_or_hash_panics_on_its_way_into_a_window_fails_alone() {
    for code in [Code::Key, Code::Hash] {
        let (engine, producer) = workshop(code, AfterPanic::Rebuild);
        let last = flushed(engine, producer);
        assert_eq!((last.failed, last.key_panics), (FAULTY, FAULTY), "{code:?}");
        assert_eq!(last.triggers[Trigger::Flush.index()], 2, "{last}");
    }
}

#[test]
fn an_item_whose_key_or_comparison_panics_at_its_hand_over_fails_alone() {
    for code in [Code::Key, Code::Eq] {
        let (mut engine, producer) = workshop(code, AfterPanic::Rebuild);
        SPARED.set(true);
        engine.settle();
        SPARED.set(false);
        assert_eq!(engine.snapshot().open, PARTS);
        let last = flushed(engine, producer);
        assert_eq!((last.failed, last.key_panics), (FAULTY, FAULTY), "{code:?}");
        assert_eq!(last.triggers[Trigger::Flush.index()], 2, "{last}");
    }
}

#[test]
fn a_panic_of_a_drop_changes_no_verdict_and_is_counted() {
    let (engine, producer) = workshop(Code::Drop, AfterPanic::Rebuild);
    let last = flushed(engine, producer);
    assert_eq!((last.done, last.drop_panics), (PARTS, FAULTY), "{last}");
}

#[test]
fn handlers_that_panic_fail_one_item_each_and_lose_none() {
    let (engine, producer) = workshop(Code::Handler, AfterPanic::Rebuild);
    let last = flushed(engine, producer);
    assert_eq!((last.failed, last.handler_panics), (FAULTY, FAULTY), "{last}");
    let (engine, producer) = workshop(Code::Handler, AfterPanic::Stop);
    let last = flushed(engine, producer);
    assert_eq!((last.handler_panics, last.stopped_shards), (1, 1), "{last}");
}

#[test]
fn a_window_that_is_dropped_drops_its_items_whatever_their_drops_do() {
    let (mut engine, producer) = workshop(Code::Drop, AfterPanic::Rebuild);
    engine.settle();
    assert_eq!((engine.snapshot().open, DROPPED.get()), (PARTS, 0));
    drop((engine, producer));
    assert_eq!(DROPPED.get() as u64, PARTS);
}

#[test]
fn an_item_that_failed_on_its_way_makes_no_window_close_sooner() {
    let builder = Engine::builder(|_| Workshop)
        .grouping(Grouping::WINDOWED)
        .sizing(Sizing::Fixed(100))
        .flush_after(TEN_MILLISECONDS);
    let mut engine = Stepped::new(builder).expect("the settings are allowed");
    let mut producer = engine.producer().expect("a lane");
    SPARED.set(true);
    producer.push(Part { id: 1, faulty: Some(Code::Key) }).expect("room");
    SPARED.set(false);
    engine.settle();
    assert_eq!((engine.snapshot().failed, engine.next_deadline()), (1, None));
    engine.advance(TEN_MILLISECONDS / 2);
    engine.settle();
    producer.push(Part { id: 1, faulty: None }).expect("room");
    engine.settle();
    let deadline = engine.now().saturating_add(TEN_MILLISECONDS.into());
    assert_eq!(engine.next_deadline(), Some(deadline));
    assert_at_rest(&engine.shutdown(), 2);
}
