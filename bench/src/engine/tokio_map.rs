//! The same behind an asynchronous channel: a bounded tokio channel (tokio 1, features rt, sync and
//! time), from which a task takes up to 1,024 items at once, and a standard hash map of vectors.
//!
//! The task has a current-thread runtime on the consumer's thread to itself. So has each producer, which
//! reserves room for 64 items at a time and sends them one by one: that takes about half as long as
//! `blocking_send`. It promises neither what the engine does of panics, of shutdown and of memory, nor
//! numbers.

use std::time::Instant;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout_at;

use super::EngineCase;
use super::item::Record;
use super::map_batches::MapBatches;
use super::race::race;
use super::stream::Stream;
use crate::Failure;
use crate::fault::Fault;
use crate::limits::QUEUE_ITEMS;
use crate::peer::Peer;
use crate::run::Run;
use crate::trivial::{Done, Trivial};

/// Items that are taken at once, at most.
const TAKEN_ITEMS: usize = 1_024;
/// Items that room is reserved for at once.
const RESERVED_ITEMS: usize = 64;

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
            let runtime = Builder::new_current_thread().build()?;
            Ok(move || runtime.block_on(produce(sender, stream)))
        });
        let producers = producers.collect::<Result<_, Failure>>()?;
        drop(sender);
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let consumer = move || {
            let batches = MapBatches::new(case.keys, Trivial::new(case.keys));
            move || Ok::<_, Fault>(runtime.block_on(consume(receiver, batches)))
        };
        race(producers, vec![consumer])
    }
}

async fn produce<T: Record>(sender: Sender<T>, stream: Stream<T>) -> Result<(), Fault> {
    let mut items = stream.peekable();
    while items.peek().is_some() {
        let room = sender.reserve_many(RESERVED_ITEMS).await?;
        room.zip(items.by_ref()).for_each(|(permit, item)| permit.send(item));
    }
    Ok(())
}

async fn consume<T: Record>(
    mut receiver: Receiver<T>,
    mut batches: MapBatches<T, Trivial>,
) -> Done {
    let mut received = Vec::with_capacity(TAKEN_ITEMS);
    let mut now = Instant::now();
    loop {
        let due = batches.due(now).into();
        let items = timeout_at(due, receiver.recv_many(&mut received, TAKEN_ITEMS)).await;
        now = Instant::now();
        if items == Ok(0) {
            return batches.finish().done();
        }
        received.drain(..).for_each(|item| batches.put(item, now));
        batches.expire(now);
    }
}
