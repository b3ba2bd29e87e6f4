//! error: lifetime may not live long enough
//!
//! Two batches at hand, and each one's proof returned for the other.

use engine::{Group, Item, Settled, Verdict};

pub struct Row(pub u64);

impl Item for Row {
    type Key<'a> = u64;
    fn key(&self) -> u64 {
        self.0
    }
}

impl Row {
    pub fn swapped<'a, 'b>(
        one: Group<'a, Row, (), ()>,
        two: Group<'b, Row, (), ()>,
    ) -> (Settled<'b>, Settled<'a>) {
        (one.settle_each(|_| Verdict::Done(())), two.settle_each(|_| Verdict::Done(())))
    }
}
