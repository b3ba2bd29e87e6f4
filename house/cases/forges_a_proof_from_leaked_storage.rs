//! error: E0521, lifetime may not live long enough
//!
//! A leaked box lives for ever, so what it holds can be borrowed for any lifetime: were a batch to fit in,
//! its proof could be made to fit every other. It does not fit in.

use engine::{Group, Item, Settled, Verdict, testing};

pub struct Row(pub String);

impl Item for Row {
    type Key<'a> = &'a str;
    fn key(&self) -> &str {
        &self.0
    }
}

pub fn leaked() -> &'static mut Option<Group<'static, Row, (), ()>> {
    let storage = Box::leak(Box::new(None));
    let slot = &mut *storage;
    let _ = testing::with_batch(vec![Row(String::new())], |batch| {
        *slot = Some(batch);
        loop {}
    });
    storage
}

pub fn forged<'b>() -> Settled<'b> {
    leaked().take().unwrap().settle_each(|_| Verdict::Done(()))
}
