//! error: E0277
//!
//! A producer belongs to one thread at a time.

use engine::{Item, Producer};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub fn shared(producer: &Producer<Row>) {
    std::thread::scope(|scope| {
        scope.spawn(|| producer);
    });
}
