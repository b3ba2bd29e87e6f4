//! G2, G10: keys with one hash share a batch, which is cut where the key changes; what a handler leaves
//! undecided of one part stays before the next.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex};

use engine::testing::Stepped;
use engine::{Batch, Engine, Handler, Item, Settled, Sizing, Verdict};

use crate::witness::assert_at_rest;

#[derive(Clone)]
struct OneHash;

impl BuildHasher for OneHash {
    type Hasher = Same;
    fn build_hasher(&self) -> Same {
        Same
    }
}

struct Same;

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {}
    fn finish(&self) -> u64 {
        7
    }
}

struct Row {
    key: u64,
    seq: u64,
}

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.key
    }
}

/// Decides about the last item of each batch alone, until there is only one.
struct LastFirst(Arc<Mutex<Vec<Vec<u64>>>>);

impl Handler for LastFirst {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let seqs = batch.items().iter().map(|row| row.seq).collect();
        self.0.lock().expect("nobody panics").push(seqs);
        batch.settle_bulk(|_, rows, verdicts| verdicts.set(rows.len() - 1, Verdict::Done(())))
    }
}

#[test]
fn what_is_left_undecided_of_a_cut_batch_comes_before_what_was_cut_off() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let builder = Engine::builder(move |_| LastFirst(Arc::clone(&log)));
    let builder = builder.sizing(Sizing::Fixed(100)).hasher(OneHash);
    let mut engine = Stepped::new(builder).expect("allowed");
    let mut producer = engine.producer().expect("a lane is free");
    for (seq, key) in [1, 1, 1, 2, 2, 1].into_iter().enumerate() {
        producer.push(Row { key, seq: seq as u64 }).expect("there is room");
    }
    producer.flush().expect("open");
    engine.settle();
    assert_at_rest(&engine.shutdown(), 6);
    let calls = calls.lock().expect("nobody panics");
    let parts: [&[u64]; 6] = [&[0, 1, 2], &[0, 1], &[0], &[3, 4], &[3], &[5]];
    assert_eq!(*calls, parts);
}
