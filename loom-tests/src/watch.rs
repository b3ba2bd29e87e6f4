//! What the models watch with: state that loom does not see, so that looking orders nothing.

use loom::sync::{Condvar, Mutex};
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

/// A place where the one sleeper of a model sleeps, for good if nobody wakes it.
///
/// Not `park`: loom's `unpark` also ends other waits of its thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nap(Arc<(Mutex<bool>, Condvar)>);

impl Nap {
    /// A waker that ends the sleep, or the next one.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::new(Ends(self.clone())))
    }

    pub(crate) fn sleep(&self) {
        let (woken, changed) = &*self.0;
        let mut woken = woken.lock().unwrap();
        while !*woken {
            woken = changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

struct Ends(Nap);

impl Wake for Ends {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let (woken, changed) = &*self.0.0;
        *woken.lock().unwrap() = true;
        changed.notify_one();
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
