//! What is written first: a bounded crossbeam channel for each consumer (crossbeam-channel 0.5), and a
//! standard hash map of vectors.
//!
//! It promises neither what the engine does of panics, of shutdown and of memory, nor numbers.

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use std::time::Instant;

use super::EngineCase;
use super::item::Record;
use super::map_batches::{MapBatches, Take};
use super::race::race;
use super::route::Route;
use crate::Failure;
use crate::fault::Fault;
use crate::limits::QUEUE_ITEMS;
use crate::peer::Peer;
use crate::run::Run;
use crate::trivial::Trivial;

/// Items that are taken between two looks at the clock: with fewer, such as 256, it is up to three times as
/// slow at few keys.
const TAKEN_ITEMS: usize = 2_048;

pub(crate) struct CrossbeamMap;

impl<T: Record> Peer<EngineCase<T>> for CrossbeamMap {
    fn name(&self) -> &'static str {
        "crossbeam + HashMap"
    }

    fn run(&self, case: EngineCase<T>) -> Result<Run, Failure> {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..case.shards).map(|_| bounded(QUEUE_ITEMS)).unzip();
        let route = Route::among(senders.len());
        let producers = case.streams().into_iter().map(|stream| {
            let senders = senders.clone();
            let route = route.clone();
            move || {
                for item in stream {
                    senders[route.shard(item.owned())].send(item)?;
                }
                Ok(())
            }
        });
        let producers = producers.collect();
        // Only the producers' own remain, so that the channels close behind them.
        drop(senders);
        let consumers = receivers.into_iter().map(|receiver| {
            move || {
                let batches = MapBatches::new(case.keys, Trivial::new(case.keys));
                move || Ok::<_, Fault>(consume(&receiver, batches).done())
            }
        });
        race(producers, consumers.collect())
    }
}

/// Takes everything until nothing will come any more: what has come in, without waiting for each item and
/// with one look at the clock for all of it.
pub(crate) fn consume<T: Record, H: Take<T>>(
    receiver: &Receiver<T>,
    mut batches: MapBatches<T, H>,
) -> H {
    let mut now = Instant::now();
    loop {
        match receiver.recv_deadline(batches.due(now)) {
            Ok(item) => {
                // The clock is not read for every item.
                now = Instant::now();
                batches.put(item, now);
                receiver.try_iter().take(TAKEN_ITEMS).for_each(|item| batches.put(item, now));
            }
            Err(RecvTimeoutError::Timeout) => now = Instant::now(),
            Err(RecvTimeoutError::Disconnected) => return batches.finish(),
        }
        batches.expire(now);
    }
}
