//! error: lifetime may not live long enough
//!
//! A batch ends with its call; a handler cannot put it aside.

use engine::{Batch, Handler, Item, Settled};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub struct Broken {
    kept: Option<Batch<'static, Self>>,
}

impl Handler for Broken {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        self.kept = Some(batch);
        loop {}
    }
}
