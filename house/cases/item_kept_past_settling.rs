//! error: E0521
//!
//! The items belong to the shard: a handler may look, and not keep a reference.

use engine::{Batch, Handler, Item, Settled, Verdict};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub struct Broken {
    first: Option<&'static Row>,
}

impl Handler for Broken {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_each(|row| {
            self.first = Some(row);
            Verdict::Done(())
        })
    }
}
