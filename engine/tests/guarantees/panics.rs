//! G7: panics of handlers, and of what is dropped, stay inside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use engine::testing::{self, Stepped};
use engine::{
    AfterPanic, Batch, Builder, Engine, Failure, Handler, Item, Settled, Sizing, Snapshot,
    StartError, Verdict,
};

use crate::witness::{Deed, LONG, Planted, Style, Witness, assert_at_rest, panic_quietly};

/// One batch of five; the third panics.
fn five_with_a_panic(style: Style) -> (Witness, Snapshot) {
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

/// Panics when it is dropped, with a payload that does the same, so many times over.
#[derive(Clone)]
struct Bomb(usize);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new(Self(self.0 - 1)));
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
    style: Style,
    _bomb: Bomb,
}

const FUSE: usize = 3;

impl Gunner {
    fn result(shell: &Shell) -> Result<Bomb, Bomb> {
        match shell.loaded {
            Loaded::Item => Ok(Bomb(0)),
            Loaded::Reply => Ok(Bomb(FUSE)),
            Loaded::Error => Err(Bomb(FUSE)),
            Loaded::Payload => std::panic::resume_unwind(Box::new(Bomb(FUSE))),
            Loaded::Handler => panic_quietly(),
        }
    }

    fn verdict(shell: &Shell) -> Verdict<Bomb, Bomb> {
        match Self::result(shell) {
            Ok(reply) => Verdict::Done(reply),
            Err(error) => Verdict::Failed(error),
        }
    }
}

impl Handler for Gunner {
    type Item = Shell;
    type Reply = Bomb;
    type Error = Bomb;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        match self.style {
            Style::Each => batch.settle_each(Self::verdict),
            Style::Owned => batch.settle_owned(|shell| {
                let result = Self::result(&shell);
                // It is the handler's now; a panic of its `Drop` in here would be the handler's.
                std::mem::forget(shell);
                result
            }),
            Style::All => batch.settle_all(|_, shells| Self::result(&shells[0])),
            Style::Bulk => batch.settle_bulk(|_, shells, verdicts| {
                verdicts.set_rest(|at| Self::verdict(&shells[at]));
            }),
        }
    }
}

/// Eight items in batches of four, in which something panics in its `Drop`: what came of it.
fn fire(loaded: Loaded, style: Style, after_panic: AfterPanic) -> Snapshot {
    let of_handler = if loaded == Loaded::Handler { FUSE } else { 0 };
    let builder = Engine::builder(move |_| Gunner { style, _bomb: Bomb(of_handler) });
    let builder = builder.sizing(Sizing::Fixed(4)).after_panic(after_panic);
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for _ in 0..8 {
        let fuse = if loaded == Loaded::Item { FUSE } else { 0 };
        let shell = Shell { _bomb: Bomb(fuse), loaded };
        producer.try_push(shell).unwrap_or_else(|_| panic!("there is room"));
    }
    let settled = catch_unwind(AssertUnwindSafe(|| engine.settle()));
    // The test's own runner must not meet such a payload.
    assert!(settled.map_err(std::mem::forget).is_ok(), "{loaded:?}, {style:?}: got out");
    let snapshot = engine.snapshot();
    assert_at_rest(&snapshot, 8);
    // The last handler goes with the engine, on this thread.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(engine))).map_err(std::mem::forget);
    snapshot
}

const STYLES: [Style; 4] = [Style::Each, Style::Owned, Style::All, Style::Bulk];

/// G7: an item, a reply or an error whose `Drop` panics, and if what it panics with does so too: the
/// verdict stands, the panic is counted once, the batch is not split, and it is no panic of the
/// handler, so that nothing is stopped or made anew for it.
#[test]
fn a_panic_in_the_drop_of_an_item_a_reply_or_an_error_changes_nothing_but_its_count() {
    for style in STYLES {
        for after_panic in [AfterPanic::Rebuild, AfterPanic::Keep, AfterPanic::Stop] {
            for loaded in [Loaded::Item, Loaded::Reply, Loaded::Error] {
                let snapshot = fire(loaded, style, after_panic);
                let what = format!("{loaded:?}, {style:?}, {after_panic:?}:\n{snapshot}");
                let failed = if loaded == Loaded::Error { 8 } else { 0 };
                assert_eq!((snapshot.done, snapshot.failed), (8 - failed, failed), "{what}");
                let drops = match (loaded, style) {
                    (Loaded::Item, Style::Owned) => 0,
                    // One for all four of a batch.
                    (Loaded::Reply | Loaded::Error, Style::All) => 2,
                    _ => 8,
                };
                assert_eq!(snapshot.drop_panics, drops, "{what}");
                assert_eq!((snapshot.handler_panics, snapshot.batches), (0, 2), "{what}");
                assert_eq!(snapshot.stopped_shards, 0, "{what}");
            }
        }
    }
}

/// G7: a panic's payload, or the handler that goes for it, whose `Drop` panics: that panic gets
/// nowhere, and is counted on its own.
#[test]
fn a_panic_in_the_drop_of_a_payload_or_of_a_handler_is_counted_beside_the_handlers_own() {
    for style in STYLES {
        // Item by item, or batch by batch.
        let panics = if matches!(style, Style::Each | Style::Owned) { 8 } else { 2 };
        for loaded in [Loaded::Payload, Loaded::Handler] {
            let snapshot = fire(loaded, style, AfterPanic::Rebuild);
            let what = format!("{loaded:?}, {style:?}:\n{snapshot}");
            assert_eq!((snapshot.done, snapshot.failed), (0, 8), "{what}");
            assert_eq!((snapshot.handler_panics, snapshot.batches), (panics, panics), "{what}");
            assert_eq!((snapshot.drop_panics, snapshot.stopped_shards), (panics, 0), "{what}");
        }
    }
}

/// Hands over a gunner whose items' handlers panic; the factory throws bombs once it has made
/// `made` of them.
fn bombing_factory(made: usize) -> Builder<Gunner> {
    let left = AtomicUsize::new(made);
    Engine::builder(move |_| {
        if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
            std::panic::resume_unwind(Box::new(Bomb(FUSE)));
        }
        Gunner { style: Style::Each, _bomb: Bomb(0) }
    })
    .pin(false)
    .sizing(Sizing::Fixed(4))
}

fn eight_shells() -> impl Iterator<Item = Shell> {
    (0..8).map(|_| Shell { _bomb: Bomb(0), loaded: Loaded::Handler })
}

/// G7: a factory may throw something whose `Drop` panics: the shard stops like for any other panic
/// of a factory, what it holds fails, and the shutdown is a good one.
#[test]
fn a_factory_that_throws_what_panics_when_dropped_stops_the_shard_in_order() {
    let mut engine = Stepped::new(bombing_factory(1)).expect("the first is made");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut eight_shells()).expect("there is room");
    let settled = catch_unwind(AssertUnwindSafe(|| engine.settle()));
    assert!(settled.map_err(std::mem::forget).is_ok(), "it got out of a stepped engine");
    let last = engine.shutdown();
    assert_at_rest(&last, 8);
    assert_eq!((last.failed, last.handler_panics, last.stopped_shards), (8, 1, 1), "{last}");

    let engine = bombing_factory(1).start().expect("the first is made");
    let mut producer = engine.producer().expect("a lane is free");
    producer.push_run(&mut eight_shells()).expect("open");
    let last = engine.shutdown(LONG).expect("the shard has stopped");
    assert_at_rest(&last, 8);
    assert_eq!((last.failed, last.handler_panics, last.stopped_shards), (8, 1, 1), "{last}");

    let refusals = [
        catch_unwind(|| bombing_factory(0).start().map(drop)),
        catch_unwind(|| Stepped::new(bombing_factory(0)).map(drop)),
    ];
    for refused in refusals {
        let Ok(refused) = refused.map_err(std::mem::forget) else { panic!("it got out") };
        assert!(matches!(refused, Err(StartError::Factory { shard: 0, .. })), "{refused:?}");
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
