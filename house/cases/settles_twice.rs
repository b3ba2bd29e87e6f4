//! error: E0382
//!
//! Settling takes the batch by value: there is nothing left to settle again.

use engine::{Batch, Handler, Item, Settled, Verdict};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub struct Broken;

impl Handler for Broken {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let _first = batch.settle_each(|_| Verdict::Failed(()));
        batch.settle_each(|_| Verdict::Done(()))
    }
}
