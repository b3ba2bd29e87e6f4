//! G7: panics of an item's own code: `key`, and the key's `Hash` and `Eq`.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::testing::Stepped;
use engine::{Engine, Item, Sizing, Trigger};

use crate::witness::{assert_at_rest, assert_conserved, panic_quietly};

/// Which of the item's code panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faulty {
    No,
    Key,
    Hash,
    Eq,
}

thread_local! {
    /// Faulty code works while this is set.
    static SPARED: Cell<bool> = const { Cell::new(false) };
    static ALIVE: Cell<i64> = const { Cell::new(0) };
}

fn fault() {
    if !SPARED.get() {
        panic_quietly();
    }
}

struct Part {
    id: u64,
    faulty: Faulty,
}

impl Part {
    fn new(id: u64, faulty: Faulty) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self { id, faulty }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

struct Key(u64, Faulty);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        if self.1 == Faulty::Eq || other.1 == Faulty::Eq {
            fault();
        }
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<S: Hasher>(&self, state: &mut S) {
        if self.1 == Faulty::Hash {
            fault();
        }
        self.0.hash(state);
    }
}

impl Item for Part {
    type Key<'a> = Key;

    fn key(&self) -> Key {
        if self.faulty == Faulty::Key {
            fault();
        }
        Key(self.id, self.faulty)
    }
}

/// G7: in a push, the panic goes to the caller, and nothing was accepted.
#[test]
fn a_panic_of_key_or_hash_in_a_push_unwinds_to_the_caller_with_nothing_accepted() {
    let builder = Engine::from_fn(|_, _: &[Part]| Ok::<(), ()>(()));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for faulty in [Faulty::Key, Faulty::Hash] {
        for way in 0..3 {
            let pushed = catch_unwind(AssertUnwindSafe(|| match way {
                0 => producer.push(Part::new(1, faulty)).is_ok(),
                1 => producer.try_push(Part::new(1, faulty)).is_ok(),
                _ => {
                    let mut run = [Faulty::No, Faulty::No, faulty, Faulty::No].into_iter();
                    producer.push_run(&mut run.by_ref().map(|it| Part::new(1, it))).is_ok()
                }
            }));
            assert!(pushed.is_err(), "{faulty:?}, way {way}");
            assert_eq!(ALIVE.get(), 0, "what was not accepted is dropped");
        }
    }
    producer.push(Part::new(1, Faulty::No)).expect("the producer still works");
    engine.settle();
    assert_at_rest(&engine.shutdown(), 1);
    assert_eq!(ALIVE.get(), 0);
}

/// G7: on the shard only the arriving item fails, wherever in a run it stands; its neighbours keep
/// their batch and their order.
#[test]
fn a_panic_of_key_or_eq_on_the_shard_fails_the_arriving_item_alone() {
    for faulty in [Faulty::Key, Faulty::Eq] {
        for at in 1..8 {
            let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            let sink = seen.clone();
            let builder = Engine::from_fn(move |_, parts: &[Part]| {
                sink.lock().expect("nobody panics here").push(parts.len());
                Ok::<(), ()>(())
            })
            .sizing(Sizing::Fixed(100));
            let mut engine = Stepped::new(builder).expect("allowed");
            let mut producer = engine.producer().expect("a lane is free");
            SPARED.set(true);
            for place in 0..8 {
                let faulty = if place == at { faulty } else { Faulty::No };
                producer.push(Part::new(1, faulty)).expect("there is room");
            }
            producer.flush().expect("open");
            SPARED.set(false);
            engine.turn();
            assert_conserved(&engine.snapshot());
            let last = engine.shutdown();
            assert_at_rest(&last, 8);
            assert_eq!((last.done, last.failed, last.key_panics), (7, 1, 1), "{faulty:?} at {at}");
            assert_eq!(last.triggers[Trigger::Flush.index()], 1, "the flush was not lost");
            assert_eq!(*seen.lock().expect("nobody panics here"), [7]);
            assert_eq!(ALIVE.get(), 0);
        }
    }
}

/// G7: an item that opened a batch and whose key panics when others are compared with it: those
/// fail one by one, and the next key is not touched.
#[test]
fn a_first_item_whose_key_panics_fails_those_that_are_compared_with_it_and_no_others() {
    let builder = Engine::builder(|_| Counting).sizing(Sizing::Fixed(100));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    SPARED.set(true);
    producer.push(Part::new(1, Faulty::Eq)).expect("there is room");
    for _ in 0..4 {
        producer.push(Part::new(1, Faulty::No)).expect("there is room");
        producer.push(Part::new(2, Faulty::No)).expect("there is room");
    }
    SPARED.set(false);
    engine.turn();
    let last = engine.shutdown();
    assert_at_rest(&last, 9);
    assert_eq!((last.done, last.failed, last.key_panics), (5, 4, 4));
    assert_eq!(ALIVE.get(), 0);
}

struct Counting;

impl engine::Handler for Counting {
    type Item = Part;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: engine::Batch<'b, Self>) -> engine::Settled<'b> {
        batch.settle_each(|_| engine::Verdict::Done(()))
    }
}

/// G7: a key that panics in the handler's hands is the handler's panic.
#[test]
fn a_key_that_panics_in_a_settling_call_fails_the_batch() {
    let builder = Engine::from_fn(|_, _: &[Part]| Ok::<(), ()>(())).sizing(Sizing::Fixed(1));
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    SPARED.set(true);
    producer.push(Part::new(1, Faulty::Key)).expect("there is room");
    SPARED.set(false);
    engine.turn();
    let last = engine.shutdown();
    assert_at_rest(&last, 1);
    assert_eq!((last.failed, last.handler_panics), (1, 1));
}
