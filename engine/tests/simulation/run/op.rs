//! What is pushed, and who handles it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use engine::{Batch, Handler, Item, Patience, Settled, Verdict};

use crate::oracle::{Call, Deed};

#[derive(Debug)]
pub(super) struct Op {
    pub(super) id: u64,
    pub(super) key: u64,
    pub(super) deed: Deed,
    pub(super) patience: Patience,
    pub(super) alive: Arc<AtomicI64>,
}

impl Drop for Op {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Relaxed);
    }
}

impl Item for Op {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}

thread_local! {
    /// The calls of the turn at hand. A stepped engine's handlers are on the test's own thread.
    pub(super) static CALLS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Watched;

impl Handler for Watched {
    type Item = Op;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let ids = batch.items().iter().map(|op| op.id).collect();
        let call = Call { trigger: batch.trigger(), batch: ids, taken_up: 0 };
        CALLS.with_borrow_mut(|calls| calls.push(call));
        batch.settle_each(|op| {
            CALLS.with_borrow_mut(|calls| calls.last_mut().expect("pushed above").taken_up += 1);
            match op.deed {
                Deed::Done => Verdict::Done(()),
                Deed::Fail => Verdict::Failed(()),
                Deed::Retry => Verdict::Retry(()),
                Deed::Panic => std::panic::resume_unwind(Box::new("planted")),
            }
        })
    }
}
