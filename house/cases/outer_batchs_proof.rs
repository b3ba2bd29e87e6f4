//! error: lifetime may not live long enough
//!
//! The handler's batch settled in place of another one: its proof is good for nothing but itself.

use engine::{Batch, Group, Handler, Item, Settled, Verdict};

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
        let _ = engine::testing::with_batch(vec![Row(0)], |_inner: Group<'_, Row, (), ()>| {
            batch.settle_each(|_| Verdict::Done(()))
        });
        loop {}
    }
}
