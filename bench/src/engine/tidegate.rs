//! The engine itself.

use std::sync::mpsc::{Sender, channel};

use engine::{Batch, Engine, Grouping, Handler, Settled, Shards, Sizing};

use super::EngineCase;
use super::item::Record;
use super::race::{push_all, timed};
use crate::Failure;
use crate::fault::Fault;
use crate::limits::{BATCH_ITEMS, DRAIN_WITHIN, FLUSH_AFTER, QUEUE_ITEMS};
use crate::peer::Peer;
use crate::run::Run;
use crate::trivial::{Done, Trivial};

/// The engine, set up in one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tidegate {
    pub(crate) name: &'static str,
    pub(crate) sizing: Sizing,
    pub(crate) grouping: Grouping,
    pub(crate) pushing: Pushing,
}

/// How items are pushed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pushing {
    One,
    Runs,
    /// In runs of so many, each by a producer of its own, which goes when it has pushed them.
    Stints(usize),
}

/// As the peers batch: up to the same size, for as long; pushed in the cheapest way there is.
pub(crate) const TIDEGATE: Tidegate = Tidegate {
    name: "tidegate",
    sizing: Sizing::Fixed(BATCH_ITEMS as u32),
    grouping: Grouping::Hashed,
    pushing: Pushing::Runs,
};

/// The same, but that producers come and go.
pub(crate) const RELAYED: Tidegate = Tidegate {
    name: "tidegate, a producer for each 1,000 items",
    pushing: Pushing::Stints(1_000),
    ..TIDEGATE
};

/// The same, but that items gather in windows of the default size.
pub(crate) const WINDOWED: Tidegate =
    Tidegate { name: "tidegate windowed", grouping: Grouping::WINDOWED, ..TIDEGATE };

struct Summing<T> {
    /// Some until it is dropped.
    trivial: Option<Trivial>,
    report: Sender<Done>,
    item: std::marker::PhantomData<fn(T)>,
}

impl<T: Record> Handler for Summing<T> {
    type Item = T;
    type Reply = ();
    type Error = ();

    #[inline]
    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|_key, items| {
            if let Some(trivial) = &mut self.trivial {
                trivial.handle(items[0].number(), items);
            }
            Ok(())
        })
    }
}

impl<T> Drop for Summing<T> {
    fn drop(&mut self) {
        if let Some(trivial) = self.trivial.take() {
            // Nobody listens when the run has failed.
            let _ = self.report.send(trivial.done());
        }
    }
}

impl<T: Record> Peer<EngineCase<T>> for Tidegate {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, case: EngineCase<T>) -> Result<Run, Failure> {
        let (report, reports) = channel();
        let keys = case.keys;
        let shards = case.shards as usize;
        let engine = Engine::builder(move |_| Summing {
            trivial: Some(Trivial::new(keys)),
            report: report.clone(),
            item: std::marker::PhantomData,
        })
        .shards(Shards::Count(shards))
        .sizing(self.sizing)
        .grouping(self.grouping)
        .lanes(case.producers as usize)
        .handle_lanes(0)
        .lane_items(QUEUE_ITEMS)
        .flush_after(FLUSH_AFTER)
        // The default, or more: the peers forget no key and bound no memory.
        .open_keys((keys as usize).max(65_536))
        .open_items(1 << 20)
        .start()?;
        let (pushing, way_in) = (self.pushing, &engine);
        let mut producers = Vec::new();
        for mut stream in case.streams() {
            let mut producer = way_in.producer()?;
            producers.push(move || {
                match pushing {
                    Pushing::Runs => {
                        producer.push_run(&mut stream).map_err(|error| error.to_string())?;
                    }
                    Pushing::One => {
                        for item in stream {
                            producer.push(item).map_err(|error| error.to_string())?;
                        }
                    }
                    Pushing::Stints(items) => loop {
                        let mut stint = stream.by_ref().take(items);
                        let pushed = producer.push_run(&mut stint);
                        if pushed.map_err(|error| error.to_string())? < items {
                            break;
                        }
                        drop(producer);
                        producer = way_in.producer().map_err(|error| error.to_string())?;
                    },
                }
                Ok::<_, Fault>(())
            });
        }
        let begun = push_all(producers, shards)?;
        engine.shutdown(DRAIN_WITHIN)?;
        // The factory, and its sender, went with the engine.
        Ok(timed(&begun, &reports.iter().collect::<Vec<_>>()))
    }
}
