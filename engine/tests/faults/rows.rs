//! Items of numbered keys, and a handler that writes down what it is given.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::testing::Stepped;
use engine::{Batch, Builder, Engine, Handler, Item, Producer, Settled, Sizing, Trigger, Verdict};

pub(crate) const FLUSH_AFTER: Duration = Duration::from_millis(10);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: u64,
    pub(crate) seq: u64,
    pub(crate) panics: bool,
}

impl Item for Row {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }
}

pub(crate) fn row(key: u64, seq: u64) -> Row {
    Row { key, seq, panics: false }
}

/// A batch as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: u64,
    pub(crate) seqs: Vec<u64>,
    pub(crate) trigger: Trigger,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }

    /// The sizes of the batches handed over since the last time.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.take().iter().map(|seen| seen.seqs.len()).collect()
    }

    pub(crate) fn builder(&self) -> Builder<Logging> {
        let log = self.clone();
        Engine::builder(move |_| Logging(log.clone()))
            .pin(false)
            .open_keys(256)
            .open_items(4_096)
            .flush_after(FLUSH_AFTER)
            .sizing(Sizing::Fixed(100))
    }

    pub(crate) fn stepped(&self) -> (Stepped<Logging>, Producer<Row>) {
        let mut engine = Stepped::new(self.builder()).expect("allowed");
        let producer = engine.producer().expect("a lane is free");
        engine.turn();
        (engine, producer)
    }
}

pub(crate) struct Logging(Log);

impl Handler for Logging {
    type Item = Row;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let seqs = batch.items().iter().map(|row| row.seq).collect();
        let seen = Seen { key: batch.key(), seqs, trigger: batch.trigger() };
        self.0.0.lock().expect("nobody panics with it").push(seen);
        batch.settle_each(|row| {
            if row.panics {
                std::panic::resume_unwind(Box::new("planted"));
            }
            Verdict::Done(())
        })
    }
}
