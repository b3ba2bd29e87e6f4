//! error: E0596
//!
//! Pushing needs the producer for itself alone, which two threads cannot have.

use engine::{Item, Producer};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub fn shared(producer: &Producer<Row>) {
    let _ = producer.try_push(Row(1));
}
