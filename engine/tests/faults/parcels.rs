//! Items that weigh something, and a handler that writes down what they weigh and when.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use engine::{Batch, Builder, Engine, Handler, Item, Settled, Sizing, Verdict};

use crate::rows::FLUSH_AFTER;

/// Something that weighs so much, and is to be tried again so many times before it is done.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) weight: u32,
    pub(crate) retries: u32,
}

impl Item for Parcel {
    type Key<'a> = ();
    const WEIGHS: bool = true;

    fn key(&self) {}

    fn weight(&self) -> u32 {
        self.weight
    }
}

/// When a batch was looked at, and what its items weigh.
pub(crate) type Look = (u64, Vec<u32>);

/// Looks at parcels.
#[derive(Clone, Default)]
pub(crate) struct Scale {
    pub(crate) now: Arc<AtomicU64>,
    looked: Arc<Mutex<Vec<Look>>>,
}

impl Scale {
    pub(crate) fn take(&self) -> Vec<Look> {
        std::mem::take(&mut self.looked.lock().expect("nobody panics with it"))
    }

    pub(crate) fn builder(&self) -> Builder<Self> {
        let scale = self.clone();
        Engine::builder(move |_| scale.clone())
            .pin(false)
            .sizing(Sizing::Fixed(100))
            .flush_after(FLUSH_AFTER)
            .queues(true)
    }
}

impl Handler for Scale {
    type Item = Parcel;
    type Reply = ();
    type Error = &'static str;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let weights = batch.items().iter().map(|parcel| parcel.weight).collect();
        let looked = (self.now.load(Relaxed), weights);
        self.looked.lock().expect("nobody panics with it").push(looked);
        let attempt = batch.attempt(0);
        batch.settle_each(|parcel| match attempt <= parcel.retries {
            true => Verdict::Retry("not yet"),
            false => Verdict::Done(()),
        })
    }
}
