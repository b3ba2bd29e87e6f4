//! An engine whose items gather in windows keeps what the engine promises.

mod closing;
mod panics;
mod refused;
#[path = "../guarantees/witness.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod witness;

use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use engine::testing::Stepped;
use engine::{Builder, Engine, Grouping, Item, Patience, Shards, Sizing, Trigger};
use witness::{
    Deed, Dice, LONG, MILLISECOND, Recorder, Style, Witness, assert_at_rest, assert_conserved,
};

const ITEMS: usize = 1_024;

fn windowed(builder: Builder<Recorder>) -> Builder<Recorder> {
    builder
        .grouping(Grouping::Windowed { items: ITEMS })
        .sizing(Sizing::Fixed(100))
        .lane_items(2 * ITEMS)
        .drain_items(ITEMS)
}

/// Everything at once, at random: several lanes, every deed, flushes, patience, time.
#[test]
fn every_item_is_settled_once_and_in_order_whatever_happens() {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in seed.map_or(0..40, |seed: u64| seed..seed + 1) {
        eprintln!("TIDEGATE_SEED={seed}");
        let mut dice = Dice(seed);
        let styles = [Style::Each, Style::Owned, Style::All, Style::Bulk];
        let style = dice.one_of(&styles);
        let witness = Witness::new(style);
        let keys = dice.one_of(&[1, 3, 50, 5_000]);
        let target = dice.one_of(&[1, 2, 100, 3_000]);
        let shards = dice.one_of(&[1, 3]);
        let mut engine = witness.stepped(|builder| {
            windowed(builder).sizing(Sizing::Fixed(target)).shards(Shards::Count(shards))
        });
        let mut producers: Vec<_> = (0..3).map(|_| engine.producer().expect("a lane")).collect();
        let mut accepted = 0;
        for seq in 0..6_000 {
            let from = dice.below(3);
            let mut op = witness.op(from as u32, dice.below(keys), seq);
            op.deed = match dice.below(40) {
                0 => Deed::Fail,
                1 => Deed::Retry,
                2 => Deed::Panic,
                // What comes again comes out of the order of the numbers it is checked by.
                3 if style == Style::Bulk => Deed::Leave,
                _ => Deed::Done,
            };
            match dice.below(300) {
                0 => op.patience = Patience::None,
                1 => op.patience = Patience::AtMost(MILLISECOND),
                _ => {}
            }
            accepted += u64::from(producers[from as usize].try_push(op).is_ok());
            match dice.below(200) {
                0 => engine.settle(),
                1 | 2 => assert!(engine.turn() || accepted > 0),
                3 => engine.advance(MILLISECOND * 3),
                4 => producers[from as usize].flush().expect("open"),
                _ => {}
            }
            if seq % 64 == 0 {
                assert_conserved(&engine.snapshot());
            }
        }
        let last = engine.shutdown();
        assert_at_rest(&last, accepted);
        witness.assert_in_order();
        witness.assert_nobody_lives();
    }
}

/// All keys alike.
#[derive(Clone, Debug, Default)]
struct Same;

impl BuildHasher for Same {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self
    }
}

impl Hasher for Same {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _bytes: &[u8]) {}
}

#[test]
fn keys_of_one_hash_do_not_share_a_batch() {
    let witness = Witness::new(Style::Each);
    let engine =
        Stepped::new(windowed(witness.builder()).hasher(Same)).expect("the settings are allowed");
    let mut producer = engine.producer().expect("a lane");
    for (seq, key) in (0..).zip([1, 1, 2, 1, 2, 2]) {
        producer.try_push(witness.op(0, key, seq)).expect("room");
    }
    let last = engine.shutdown();
    assert_at_rest(&last, 6);
    assert_eq!(last.triggers[Trigger::Conflict.index()], 3);
    let sizes: Vec<_> = witness.take().calls.iter().map(|call| (call.key, call.items)).collect();
    assert_eq!(sizes, [(1, 2), (2, 1), (1, 1), (2, 2)]);
}

#[test]
fn threads_that_push_at_once_lose_nothing_and_keep_their_order() {
    let witness = Witness::new(Style::Each);
    let engine = witness.started(|builder| windowed(builder).shards(Shards::Count(2)));
    std::thread::scope(|scope| {
        for from in 0..3 {
            let mut producer = engine.producer().expect("a lane");
            let witness = &witness;
            scope.spawn(move || {
                let mut dice = Dice(u64::from(from));
                for seq in 0..5_000 {
                    producer.push(witness.op(from, dice.below(700), seq)).expect("open");
                }
            });
        }
    });
    let last = engine.shutdown(LONG).expect("it drains");
    assert_at_rest(&last, 15_000);
    assert_eq!(last.done, 15_000);
    witness.assert_in_order();
    witness.assert_nobody_lives();
}

#[test]
fn a_shared_handle_and_its_permits_lead_into_the_same_windows() {
    let witness = Witness::new(Style::Each);
    let mut engine = witness.stepped(|builder| windowed(builder).lane_items(2));
    let handle = engine.handle().expect("there is one");
    let reserve = || pin!(handle.reserve(&1)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(permit)) = reserve() else { panic!("a lane of two has room") };
    handle.push(witness.op(0, 2, 0)).expect("room");
    assert!(handle.try_push(witness.op(0, 2, 1)).is_err(), "the other place is reserved");
    permit.push(witness.op(0, 1, 0)).expect("reserved");
    assert!(reserve().is_pending(), "both are taken");
    engine.settle();
    assert_eq!(engine.snapshot().open, 2);
    let Poll::Ready(Ok(unused)) = reserve() else { panic!("the window took both") };
    drop(unused);
    assert_at_rest(&engine.shutdown(), 2);
    assert_eq!(witness.take().sizes(), [(1, Trigger::Drain); 2]);
    witness.assert_nobody_lives();
}

/// Nothing to see but that it is one.
struct Tick;

impl Item for Tick {
    type Key<'a> = ();

    fn key(&self) {}
}

#[test]
fn items_may_have_no_size_and_all_keys_be_one() {
    let builder = Engine::from_fn(|(), _: &[Tick]| Ok::<(), ()>(()))
        .grouping(Grouping::Windowed { items: ITEMS })
        .sizing(Sizing::Fixed(100));
    let engine = Stepped::new(builder).expect("the settings are allowed");
    let mut producer = engine.producer().expect("a lane");
    producer.push_run(&mut (0..3_000).map(|_| Tick)).expect("room");
    let last = engine.shutdown();
    assert_at_rest(&last, 3_000);
    assert_eq!((last.done, last.batches), (3_000, 2 * 11 + 10));
}
