//! error: E0308
//!
//! A handler that returns without a decision has no proof to return.

use engine::{Batch, Handler, Item, Settled};

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
        let _seen = batch.items().len();
    }
}
