//! G10: hash flooding, and hashers of one's own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{Sizing, Trigger};

use crate::witness::{Dice, Style, Witness, assert_at_rest};

/// Says the same of every key.
#[derive(Clone, Copy, Debug)]
struct Flooded(u64);

impl BuildHasher for Flooded {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Flooded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {}
}

/// G10: with one hash for all keys the answers stay right: batches of one key, in order.
#[test]
fn keys_that_all_have_the_same_hash_are_still_told_apart() {
    for hash in [0, u64::MAX, 0x1234_5678_9ABC_DEF0] {
        for sizing in crate::witness::sizings() {
            let witness = Witness::new(Style::Each);
            let builder = witness.builder().sizing(sizing).hasher(Flooded(hash));
            let mut engine = Stepped::new(builder).expect("allowed");
            let mut producer = engine.producer().expect("a lane is free");
            let mut dice = Dice(hash);
            let mut pushed = 0;
            for seq in 0..2_000 {
                pushed += u64::from(producer.try_push(witness.op(0, dice.below(50), seq)).is_ok());
                if dice.below(20) == 0 {
                    engine.turn();
                    assert!(engine.snapshot().open_batches <= 1, "they share one place");
                }
                engine.advance(Duration::from_micros(dice.below(100)));
            }
            assert_at_rest(&engine.shutdown(), pushed);
            witness.assert_in_order();
        }
    }
}

/// G10: a run of one key is still a batch of its own, which says why it was cut short.
#[test]
fn a_collision_costs_batching_and_is_counted_as_a_conflict() {
    let witness = Witness::new(Style::Each);
    let builder = witness.builder().sizing(Sizing::Fixed(100)).hasher(Flooded(5));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for (seq, key) in [1, 1, 1, 2, 2, 1].into_iter().enumerate() {
        producer.try_push(witness.op(0, key, seq as u64)).expect("there is room");
    }
    producer.flush().expect("open");
    engine.turn();
    let book = witness.take();
    assert_eq!(book.sizes(), [(3, Trigger::Conflict), (2, Trigger::Conflict), (1, Trigger::Flush)]);
    assert_eq!(book.seqs(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(engine.snapshot().open, 0);
}

/// G10: the work for an item does not grow with the number of keys that collide: at most one key
/// comparison each, whatever is open.
#[test]
fn colliding_keys_cost_one_comparison_an_item() {
    use std::cell::Cell;

    thread_local! {
        static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    struct Id(u64);
    struct Key(u64);

    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    impl Eq for Key {}

    impl std::hash::Hash for Key {
        fn hash<S: Hasher>(&self, state: &mut S) {
            self.0.hash(state);
        }
    }

    impl engine::Item for Id {
        type Key<'a> = Key;

        fn key(&self) -> Key {
            Key(self.0)
        }
    }

    for keys in [2, 100, 10_000] {
        COMPARED.set(0);
        let builder = engine::Engine::from_fn(|_, _: &[Id]| Ok::<(), ()>(()))
            .sizing(Sizing::Fixed(100))
            .hasher(Flooded(7));
        let mut engine = Stepped::new(builder).expect("allowed");
        let mut producer = engine.producer().expect("a lane is free");
        for id in 0..20_000 {
            if let Err(full) = producer.try_push(Id(id % keys)) {
                engine.settle();
                producer.try_push(full.into_inner()).expect("there is room again");
            }
        }
        assert_at_rest(&engine.shutdown(), 20_000);
        assert!(COMPARED.get() <= 20_000, "{} comparisons for {keys} keys", COMPARED.get());
    }
}

/// G10: for keys that an attacker chooses: SipHash with a random seed.
#[test]
fn siphash_is_a_hasher_like_any_other() {
    let witness = Witness::new(Style::Each);
    let builder = witness.builder().sizing(Sizing::Fixed(10)).hasher(RandomState::new());
    let engine = builder.start().expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for seq in 0..1_000 {
        producer.push(witness.op(0, seq % 10, seq)).expect("open");
    }
    let last = engine.shutdown(crate::witness::LONG).expect("it drains");
    assert_at_rest(&last, 1_000);
    assert_eq!(last.triggers[Trigger::Conflict.index()], 0, "ten keys have ten hashes");
    witness.assert_in_order();
}

/// G10: each engine has a seed of its own, so that what collides in one does not in the next.
#[test]
fn two_engines_hash_differently() {
    let order = || {
        let witness = Witness::new(Style::Each);
        let mut engine = witness
            .stepped(|builder| builder.sizing(Sizing::Single).shards(engine::Shards::Count(16)));
        let mut producer = engine.producer().expect("a lane is free");
        for seq in 0..64 {
            producer.try_push(witness.op(0, seq, seq)).expect("there is room");
        }
        engine.settle();
        let shares: Vec<u64> = engine.snapshot().shards.iter().map(|shard| shard.done).collect();
        shares
    };
    let first = order();
    assert!((0..8).any(|_| order() != first), "64 keys over 16 shards, the same eight times");
}
