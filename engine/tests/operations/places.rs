//! On which shard an item is handled, and that nobody can tell from what becomes of it.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use engine::testing::Stepped;
use engine::{
    Batch, Engine, Handler, Item, Order, Settled, ShardBy, ShardId, Shards, Sizing, StartError,
    Verdict,
};

use crate::scene::Book;

/// How items of a type are placed.
trait Places: 'static {
    const BY: ShardBy;
}

struct ByHash;
struct ByFunction;
struct OnOne;
struct Anywhere;

impl Places for ByHash {
    const BY: ShardBy = ShardBy::Hash;
}

impl Places for ByFunction {
    const BY: ShardBy = ShardBy::Function;
}

impl Places for OnOne {
    const BY: ShardBy = ShardBy::One;
}

impl Places for Anywhere {
    const BY: ShardBy = ShardBy::Spread;
}

struct Placed<P> {
    key: u64,
    n: u64,
    by: PhantomData<fn(P)>,
}

impl<P: Places> Item for Placed<P> {
    type Key<'a> = u64;
    const SHARD_BY: ShardBy = P::BY;

    fn key(&self) -> u64 {
        self.key
    }

    /// Odd keys on odd shards; larger numbers than there are shards wrap around.
    fn shard(key: &u64, shards: usize) -> usize {
        *key as usize + shards * 10
    }
}

struct Noting<P> {
    shard: ShardId,
    notes: Book<(usize, u64, u64)>,
    by: PhantomData<fn(P)>,
}

impl<P: Places> Handler for Noting<P> {
    type Item = Placed<P>;
    type Reply = u64;
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_each(|item| {
            self.notes.note((self.shard.index(), item.key, item.n));
            Verdict::Done(item.n)
        })
    }
}

const SHARDS: usize = 4;
const KEYS: u64 = 13;
const ITEMS: u64 = 1_300;

/// What each shard was given, as shard, key and number, in order.
fn place<P: Places>(order: Order) -> Result<Vec<(usize, u64, u64)>, StartError> {
    let notes = Book::new();
    let all = notes.clone();
    let builder =
        Engine::builder(move |shard| Noting { shard, notes: all.clone(), by: PhantomData })
            .shards(Shards::Count(SHARDS))
            .pin(false)
            .sizing(Sizing::Fixed(10))
            .queues(true)
            .order(order);
    let engine = Stepped::<Noting<P>>::new(builder)?;
    let mut producer = engine.producer().expect("a lane is free");
    for n in 0..ITEMS {
        producer.try_push(Placed { key: n % KEYS, n, by: PhantomData }).expect("there is room");
    }
    let last = engine.shutdown();
    assert_eq!(last.done, ITEMS);
    Ok(notes.take())
}

/// Each key on one shard, its items in order.
fn in_order_on_one_shard(notes: &[(usize, u64, u64)]) -> BTreeMap<u64, usize> {
    let mut shards = BTreeMap::new();
    let mut last = BTreeMap::new();
    for &(shard, key, n) in notes {
        assert_eq!(*shards.entry(key).or_insert(shard), shard, "key {key}");
        assert!(last.insert(key, n).is_none_or(|before| before < n), "order of key {key}");
    }
    shards
}

#[test]
fn by_hash_each_key_has_a_shard_and_each_shard_has_keys() {
    let shards = in_order_on_one_shard(&place::<ByHash>(Order::Kept).expect("it starts"));
    assert_eq!(shards.len() as u64, KEYS);
    assert!(shards.values().any(|shard| *shard != shards[&0]), "more than one shard has keys");
}

#[test]
fn by_a_function_each_key_is_where_that_says() {
    let shards = in_order_on_one_shard(&place::<ByFunction>(Order::Kept).expect("it starts"));
    assert!(shards.iter().all(|(key, shard)| *key as usize % SHARDS == *shard), "{shards:?}");
}

#[test]
fn everything_on_one_is_on_the_first() {
    let shards = in_order_on_one_shard(&place::<OnOne>(Order::Kept).expect("it starts"));
    assert!(shards.values().all(|shard| *shard == 0), "{shards:?}");
}

#[test]
fn spread_items_of_one_key_are_everywhere() {
    let notes = place::<Anywhere>(Order::Waived).expect("it starts");
    for shard in 0..SHARDS {
        let items = notes.iter().filter(|(of, ..)| *of == shard).count() as u64;
        assert_eq!(items, ITEMS / SHARDS as u64);
        assert!(notes.iter().any(|(of, key, _)| *of == shard && *key == 0), "shard {shard}");
    }
}

#[test]
fn spreading_is_refused_where_order_is_kept() {
    let refused = place::<Anywhere>(Order::Kept).expect_err("order can't be kept");
    assert!(refused.to_string().contains("order"), "{refused}");
}
