//! error: E0505
//!
//! A key is borrowed from its batch, and settling gives the batch back.

use engine::{Item, Settled, Verdict, testing};

pub struct Row(pub String);

impl Item for Row {
    type Key<'a> = &'a str;
    fn key(&self) -> &str {
        &self.0
    }
}

pub fn late() {
    let _ = testing::with_batch(vec![Row("a".to_owned())], |batch| {
        let key = batch.key();
        let proof: Settled<'_> = batch.settle_each(|_| Verdict::<(), ()>::Done(()));
        assert_eq!(key, "a");
        proof
    });
}
