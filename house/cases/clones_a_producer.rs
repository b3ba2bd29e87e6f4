//! error: E0599
//!
//! A lane has one producer; whoever needs a second one claims a second lane.

use engine::{Item, Producer};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

pub fn doubled(producer: Producer<Row>) -> (Producer<Row>, Producer<Row>) {
    (producer.clone(), producer)
}
