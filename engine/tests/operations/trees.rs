//! Merging is invisible: a tree that is set, updated and deleted from by merged items is the one that comes
//! of doing it one by one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{Batch, Engine, Handler, Item, Settled, Shards, Sizing, Verdict};
use proptest::prelude::*;

use crate::scene::{at_rest, run_out, sizings};

/// Names from the root on.
type Path = Vec<u8>;

/// Leaves by their paths; no leaf lies below another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tree(BTreeMap<Path, i64>);

/// One change of a tree.
#[derive(Clone, Debug)]
enum Change {
    /// What was there before goes, with all that was below.
    Set(Path, i64),
    /// Leaves below it; what else is there stays.
    Update(Path, Vec<(u8, i64)>),
    /// It goes, with all that is below.
    Delete(Path),
}

impl Tree {
    fn clear(&mut self, path: &[u8]) {
        self.0.retain(|leaf, _| !leaf.starts_with(path));
    }

    fn set(&mut self, path: &[u8], value: i64) {
        self.clear(path);
        // What is on the way becomes a branch, if it was a leaf.
        self.0.retain(|leaf, _| !path.starts_with(leaf));
        self.0.insert(path.to_vec(), value);
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Set(path, value) => self.set(path, *value),
            Change::Update(path, leaves) => {
                for (name, value) in leaves {
                    let mut leaf = path.clone();
                    leaf.push(*name);
                    self.set(&leaf, *value);
                }
            }
            Change::Delete(path) => self.clear(path),
        }
    }
}

/// Changes of one tree, in their order.
struct Changes {
    tree: u64,
    changes: Vec<Change>,
    /// Nothing is folded into it, nor it into another.
    alone: bool,
}

impl Item for Changes {
    type Key<'a> = u64;
    const ABSORBS: bool = true;

    fn key(&self) -> u64 {
        self.tree
    }

    fn absorb(&mut self, newer: Self) -> Result<(), Self> {
        if self.alone || newer.alone {
            return Err(newer);
        }
        for change in newer.changes {
            match (self.changes.last_mut(), change) {
                // Of two updates of one place, one is enough: the newer leaves come behind.
                (Some(Change::Update(at, leaves)), Change::Update(path, more)) if *at == path => {
                    leaves.extend(more);
                }
                // What is set anew need not be changed before.
                (Some(Change::Set(at, _) | Change::Update(at, _)), Change::Set(path, value))
                    if at.starts_with(&path) =>
                {
                    self.changes.pop();
                    self.changes.push(Change::Set(path, value));
                }
                (_, change) => self.changes.push(change),
            }
        }
        Ok(())
    }
}

type Trees = BTreeMap<u64, Tree>;

struct Keeper(Arc<Mutex<Trees>>);

impl Handler for Keeper {
    type Item = Changes;
    type Reply = usize;
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let mut trees = self.0.lock().expect("one thread");
        let tree = trees.entry(batch.key()).or_default();
        batch.settle_each(|item| {
            item.changes.iter().for_each(|change| tree.change(change));
            Verdict::Done(tree.0.len())
        })
    }
}

/// One item on its way in, and what happens after it.
#[derive(Clone, Debug)]
struct Sent {
    tree: u64,
    change: Change,
    calls: bool,
    alone: bool,
    turns: bool,
}

fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec(0_u8..3, 1..4)
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (path(), 0_i64..100).prop_map(|(path, value)| Change::Set(path, value)),
        (path(), prop::collection::vec((0_u8..3, 0_i64..100), 1..4))
            .prop_map(|(path, leaves)| Change::Update(path, leaves)),
        path().prop_map(Change::Delete),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let chances =
        (prop::bool::weighted(0.15), prop::bool::weighted(0.1), prop::bool::weighted(0.2));
    (0_u64..2, change(), chances).prop_map(|(tree, change, (calls, alone, turns))| Sent {
        tree,
        change,
        calls,
        alone,
        turns,
    })
}

/// The trees, what callers were told, and how many items were folded into others.
fn merged(stream: &[Sent], sizing: Sizing) -> (Trees, Vec<usize>, u64) {
    let trees = Arc::new(Mutex::new(Trees::new()));
    let kept = Arc::clone(&trees);
    let builder = Engine::builder(move |_| Keeper(Arc::clone(&kept)))
        .shards(Shards::Count(1))
        .pin(false)
        .sizing(sizing)
        .flush_after(Duration::from_millis(10))
        .replies_max(256);
    let mut engine = Stepped::new(builder).expect("the settings are right");
    let mut producer = engine.producer().expect("a lane is free");
    let mut tickets = Vec::new();
    for Sent { tree, change, calls, alone, turns } in stream {
        let item = Changes { tree: *tree, changes: vec![change.clone()], alone: *alone };
        match calls {
            true => tickets.push(producer.try_call(item).expect("there is room")),
            false => producer.try_push(item).expect("there is room"),
        }
        if *turns {
            engine.turn();
        }
    }
    run_out(&mut engine);
    let replies = tickets.into_iter().map(|ticket| ticket.wait().expect("nothing fails")).collect();
    let last = at_rest(engine);
    assert_eq!(last.done, stream.len() as u64);
    let trees = std::mem::take(&mut *trees.lock().expect("one thread"));
    (trees, replies, last.absorbed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn merged_changes_make_the_tree_that_they_make_one_by_one(stream in prop::collection::vec(sent(), 1..80)) {
        let (mut trees, mut replies) = (Trees::new(), Vec::new());
        for Sent { tree, change, calls, .. } in &stream {
            let tree = trees.entry(*tree).or_default();
            tree.change(change);
            if *calls {
                replies.push(tree.0.len());
            }
        }
        for sizing in sizings() {
            let (came, told, _) = merged(&stream, sizing);
            prop_assert_eq!(&came, &trees, "{}", sizing);
            prop_assert_eq!(&told, &replies, "{}", sizing);
        }
    }
}

#[test]
fn what_waits_is_merged() {
    let change = |value| Change::Set(vec![1], value);
    let quiet =
        |value| Sent { tree: 0, change: change(value), calls: false, alone: false, turns: false };
    let stream: Vec<Sent> = (0..50).map(quiet).collect();
    let (trees, _, absorbed) = merged(&stream, Sizing::Fixed(100));
    assert_eq!((absorbed, trees[&0].0[&vec![1]]), (49, 49));
}
