//! G7: panics of handlers, and of what is dropped, stay inside.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::testing::{self, Stepped};
use engine::{Batch, Engine, Failure, Handler, Item, Settled, Sizing, Verdict};

use crate::witness::{Deed, Planted, Style, Witness, assert_at_rest, panic_quietly};

/// One batch of five; the third panics.
fn five_with_a_panic(style: Style) -> (Witness, engine::Snapshot) {
    let witness = Witness::new(style);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(5)));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..5 {
        let deed = if seq == 2 { Deed::Panic } else { Deed::Done };
        producer.try_push(witness.op(0, 1, seq).deed(deed)).expect("there is room");
    }
    engine.turn();
    let last = engine.shutdown();
    assert_at_rest(&last, 5);
    assert_eq!(last.handler_panics, 1);
    witness.assert_nobody_lives();
    (witness, last)
}

/// G7: item by item, only the one at hand fails; the rest comes in the next call.
#[test]
fn in_settle_each_and_settle_owned_only_the_item_at_hand_fails() {
    for style in [Style::Each, Style::Owned] {
        let (witness, last) = five_with_a_panic(style);
        assert_eq!((last.done, last.failed, last.batches), (4, 1, 2), "{style:?}");
        let book = witness.take();
        assert_eq!(book.seqs(), [0, 1, 2, 3, 4]);
        assert_eq!(book.calls.iter().map(|call| call.items).collect::<Vec<_>>(), [5, 2]);
    }
}

/// G7: in one call for all, nothing is known of any: all fail, whatever was said before the panic.
#[test]
fn in_settle_all_and_settle_bulk_a_panic_fails_the_whole_batch() {
    for style in [Style::All, Style::Bulk] {
        let (witness, last) = five_with_a_panic(style);
        assert_eq!((last.done, last.failed, last.batches), (0, 5, 1), "{style:?}");
        assert!(witness.replies.made() >= 1, "something was said before the panic");
    }
}

/// Panics before it settles, or after.
struct Outside {
    before: bool,
}

impl Handler for Outside {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        if self.before {
            panic_quietly();
        }
        let _settled = batch.settle_each(|_| Verdict::Done(()));
        panic_quietly()
    }
}

struct Row(u64);

impl Item for Row {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.0
    }
}

/// G7: a handler that panics before it settles fails all; after it, the verdicts stand.
#[test]
fn a_panic_outside_settling_fails_what_is_undecided_and_nothing_else() {
    for before in [true, false] {
        let builder = Engine::builder(move |_| Outside { before }).sizing(Sizing::Fixed(3));
        let mut engine = Stepped::new(builder).expect("allowed");
        let mut producer = engine.producer().expect("a lane is free");
        for _ in 0..6 {
            producer.try_push(Row(1)).expect("there is room");
        }
        engine.turn();
        let last = engine.shutdown();
        assert_at_rest(&last, 6);
        let expected = if before { (0, 6) } else { (6, 0) };
        assert_eq!((last.done, last.failed), expected);
        assert_eq!(last.handler_panics, 2);
    }
}

/// G7: a bulk call that answers for some: the rest comes first in the next call, before what waits.
#[test]
fn items_without_a_verdict_come_again_before_everything_that_waits() {
    let witness = Witness::new(Style::Bulk);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(6)));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..12 {
        let deed = if [1, 3, 4].contains(&seq) { Deed::LeaveOnce } else { Deed::Done };
        producer.try_push(witness.op(0, 1, seq).deed(deed)).expect("there is room");
    }
    engine.turn();
    let last = engine.shutdown();
    assert_at_rest(&last, 12);
    assert_eq!((last.done, last.handler_panics), (12, 0));
    let book = witness.take();
    assert_eq!(book.seqs(), [0, 2, 5, 1, 3, 4, 6, 7, 8, 9, 10, 11]);
    assert_eq!(book.calls.iter().map(|call| call.items).collect::<Vec<_>>(), [6, 3, 6]);
}

/// G7: a call that decides nothing fails its items, or they would go round for ever.
#[test]
fn a_bulk_call_that_decides_nothing_fails_its_items_as_undecided() {
    let witness = Witness::new(Style::Bulk);
    let mut engine = witness.stepped(|builder| builder.sizing(Sizing::Fixed(4)));
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..4 {
        let deed = if seq == 0 { Deed::Done } else { Deed::Leave };
        producer.try_push(witness.op(0, 1, seq).deed(deed)).expect("there is room");
    }
    engine.turn();
    let last = engine.shutdown();
    assert_at_rest(&last, 4);
    assert_eq!((last.done, last.failed, last.batches), (1, 3, 2));
    let outcomes = testing::with_batch::<_, (), ()>(vec![Row(1), Row(1)], |batch| {
        batch.settle_bulk(|_, _, _| ())
    });
    assert_eq!(outcomes, [Err(Failure::Undecided); 2]);
}

thread_local! {
    static BOMBS: Cell<usize> = const { Cell::new(0) };
}

/// Panics when it is dropped, with a payload that does the same, so many times over.
struct Bomb(usize);

impl Bomb {
    fn new(fuse: usize) -> Self {
        BOMBS.set(BOMBS.get() + 1);
        Self(fuse)
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        BOMBS.set(BOMBS.get() - 1);
        if self.0 > 0 && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new(Self::new(self.0 - 1)));
        }
    }
}

/// What of it panics in its `Drop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loaded {
    Item,
    Reply,
    Error,
    Payload,
    Handler,
}

struct Shell {
    _bomb: Bomb,
    loaded: Loaded,
}

impl Item for Shell {
    type Key<'a> = ();

    fn key(&self) {}
}

struct Gunner {
    bulk: bool,
    _bomb: Bomb,
}

impl Gunner {
    fn verdict(shell: &Shell, fuse: usize) -> Verdict<Bomb, Bomb> {
        match shell.loaded {
            Loaded::Item => Verdict::Done(Bomb::new(0)),
            Loaded::Reply => Verdict::Done(Bomb::new(fuse)),
            Loaded::Error => Verdict::Failed(Bomb::new(fuse)),
            Loaded::Payload => std::panic::resume_unwind(Box::new(Bomb::new(fuse))),
            Loaded::Handler => panic_quietly(),
        }
    }
}

const FUSE: usize = 3;

impl Handler for Gunner {
    type Item = Shell;
    type Reply = Bomb;
    type Error = Bomb;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        if self.bulk {
            return batch.settle_bulk(|_, shells, verdicts| {
                verdicts.set_rest(|at| Self::verdict(&shells[at], FUSE));
            });
        }
        batch.settle_each(|shell| Self::verdict(shell, FUSE))
    }
}

/// G7: whatever panics in its `Drop`, and if what it panics with does so too: the verdict stands, the
/// panic is counted, and the shard goes on.
#[test]
fn a_panic_in_drop_changes_no_verdict_and_gets_nowhere() {
    let all = [Loaded::Item, Loaded::Reply, Loaded::Error, Loaded::Payload, Loaded::Handler];
    for (loaded, bulk) in all.into_iter().flat_map(|loaded| [(loaded, false), (loaded, true)]) {
        let of_handler = if loaded == Loaded::Handler { FUSE } else { 0 };
        let builder = Engine::builder(move |_| Gunner { bulk, _bomb: Bomb::new(of_handler) });
        let mut engine = Stepped::new(builder.sizing(Sizing::Fixed(4))).expect("allowed");
        let mut producer = engine.producer().expect("a lane is free");
        for _ in 0..8 {
            let fuse = if loaded == Loaded::Item { FUSE } else { 0 };
            let shell = Shell { _bomb: Bomb::new(fuse), loaded };
            producer.try_push(shell).unwrap_or_else(|_| panic!("there is room"));
        }
        let settled = catch_unwind(AssertUnwindSafe(|| engine.settle()));
        // The test's own runner must not meet such a payload.
        assert!(settled.map_err(std::mem::forget).is_ok(), "{loaded:?}, bulk: {bulk}: got out");
        let snapshot = engine.snapshot();
        assert_at_rest(&snapshot, 8);
        let failed = if matches!(loaded, Loaded::Item | Loaded::Reply) { 0 } else { 8 };
        assert_eq!(snapshot.failed, failed, "{loaded:?}, bulk: {bulk}");
        let panics = snapshot.handler_panics + snapshot.drop_panics;
        assert!(panics >= if bulk { 2 } else { 8 }, "{loaded:?}, bulk: {bulk}: {snapshot}");
        // The last handler goes with the engine, on this thread.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(engine))).map_err(std::mem::forget);
    }
}

/// G7: a panic's payload may be anything.
#[test]
fn a_payload_that_is_no_text_is_caught_like_any_other() {
    let witness = Witness::new(Style::Each);
    let caught = catch_unwind(|| panic_quietly());
    assert!(caught.expect_err("it panics").is::<Planted>());
    let mut engine = witness.stepped(|builder| builder);
    let mut producer = engine.producer().expect("a lane is free");
    producer.try_push(witness.op(0, 0, 0).deed(Deed::Panic)).expect("there is room");
    assert!(engine.turn());
    assert_at_rest(&engine.shutdown(), 1);
}
