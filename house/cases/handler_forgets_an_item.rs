//! error: E0317
//!
//! A decision that leaves one item out is no verdict about it.

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
        batch.settle_each(|row| {
            if row.0 > 0 {
                return Verdict::Done(());
            }
        })
    }
}
