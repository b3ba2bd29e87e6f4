//! compiles
//!
//! The positive control: what the other cases use exists, and is used here as it is meant.

use engine::{Batch, Handler, Item, Settled, Verdict};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub struct Sum(u64);

impl Handler for Sum {
    type Item = Row;
    type Reply = u64;
    type Error = String;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        self.0 += batch.key();
        batch.settle_each(|row| match self.0.checked_add(row.0) {
            Some(sum) => Verdict::Done(sum),
            None => Verdict::Failed("overflow".to_owned()),
        })
    }
}

pub fn in_a_test() {
    let _ = engine::testing::with_batch(vec![Row(1)], |batch| {
        batch.settle_each(|row| Verdict::<u64, ()>::Done(row.0))
    });
}

pub fn a_whole_life() {
    let engine = engine::Engine::builder(|_shard| Sum(0)).start().unwrap();
    let mut producer = engine.producer().unwrap();
    producer.push(Row(1)).unwrap();
    drop(producer);
    let _last = engine.shutdown(std::time::Duration::from_secs(1));
}

pub fn producers_move_to_threads(mut producer: engine::Producer<Row>) {
    std::thread::spawn(move || producer.try_push(Row(1)).is_ok());
}
