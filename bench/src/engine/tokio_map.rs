//! The same behind an asynchronous channel: a bounded tokio channel (tokio 1, features rt, sync and
//! time), from which a task takes up to 256 items at once, and a standard hash map of vectors.
//!
//! The task has a current-thread runtime on the consumer's thread to itself; the producer is a plain
//! thread, which sends as long as there is room and blocks where there is none. It promises neither what
//! the engine does of panics, of shutdown and of memory, nor numbers.

use std::time::Instant;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout_at;

use super::item::Record;
use super::map_batches::MapBatches;
use super::race::race;
use super::{EngineCase, QUEUE_ITEMS, RUN_ITEMS};
use crate::Failure;
use crate::fault::Fault;
use crate::peer::Peer;
use crate::run::Run;
use crate::trivial::Done;

pub(crate) struct TokioMap;

impl<T: Record> Peer<EngineCase<T>> for TokioMap {
    fn name(&self) -> &'static str {
        "tokio + HashMap"
    }

    fn run(&self, case: EngineCase<T>) -> Result<Run, Failure> {
        if case.shards != 1 {
            return Err("tokio + HashMap: one consumer only".into());
        }
        let (sender, receiver) = channel(QUEUE_ITEMS);
        let producers = case.streams().into_iter().map(|stream| {
            let sender = sender.clone();
            move || {
                for item in stream {
                    sender.blocking_send(item)?;
                }
                Ok(())
            }
        });
        let producers = producers.collect();
        drop(sender);
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let consumer = move || {
            let batches = MapBatches::new(case.keys);
            move || Ok::<_, Fault>(runtime.block_on(consume(receiver, batches)))
        };
        race(producers, vec![consumer])
    }
}

async fn consume<T: Record>(mut receiver: Receiver<T>, mut batches: MapBatches<T>) -> Done {
    let mut received = Vec::with_capacity(RUN_ITEMS);
    let mut now = Instant::now();
    loop {
        let due = batches.due(now).into();
        let items = timeout_at(due, receiver.recv_many(&mut received, RUN_ITEMS)).await;
        now = Instant::now();
        if items == Ok(0) {
            return batches.finish();
        }
        received.drain(..).for_each(|item| batches.put(item, now));
        batches.expire(now);
    }
}
