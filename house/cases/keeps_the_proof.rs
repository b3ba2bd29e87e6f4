//! error: lifetime may not live long enough
//!
//! A proof kept from an earlier call would settle a later batch.

use engine::{Batch, Handler, Item, Settled, Verdict};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub struct Broken {
    kept: Option<Settled<'static>>,
}

impl Handler for Broken {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let proof = batch.settle_each(|_| Verdict::Done(()));
        match self.kept.replace(proof) {
            Some(kept) => kept,
            None => loop {},
        }
    }
}
