//! error: E0521, lifetime may not live long enough
//!
//! A batch made in a test inside a handler: its proof is good for nothing but itself.

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
        let mut proof = None;
        let _ = engine::testing::with_batch(vec![Row(0)], |inner| {
            proof = Some(inner.settle_each(|_| Verdict::<(), ()>::Done(())));
            loop {}
        });
        drop(batch);
        proof.unwrap()
    }
}
