//! What the models watch with: state that loom does not see, so that looking orders nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// A count that all threads of a model share without being ordered by it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A waker that counts its wakes and orders nothing.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::new(Counts(self.clone())))
    }
}

struct Counts(Count);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.add(1);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.add(1);
    }
}

/// An item that knows how many of it are alive, to find what is dropped twice or never.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) number: usize,
    alive: Count,
}

impl Item {
    pub(crate) fn new(number: usize, made: &Count, alive: &Count) -> Self {
        made.add(1);
        Self { number, alive: alive.clone() }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.alive.add(1);
    }
}
