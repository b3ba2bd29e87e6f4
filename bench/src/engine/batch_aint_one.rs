//! The crate batch-aint-one (0.16): a task groups items by key and processes each batch in a task of its
//! own, and every item's push is a future that waits for its answer.
//!
//! It is made for requests that want their answers, so an item without one costs it a channel all the
//! same, and dropping the future takes the item back. To be as kind to it as can be, the producer is a
//! plain thread that looks at each future once, which sends the item, and keeps a window of them, taking
//! the oldest off when the window is full; the window is far larger than the other peers' queues. The
//! worker and the batches have a current-thread runtime on the consumer's thread to themselves. One batch
//! of a key is processed at a time, since the order within a key would be lost otherwise.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use ::batch_aint_one::{Batcher, BatchingPolicy, Limits, OnFull, Processor};
use ringbuf::wake::{BRIEF_SPIN, block_on};
use tokio::runtime::Builder;

use super::EngineCase;
use super::item::Record;
use super::race::race;
use super::stream::Stream;
use crate::Failure;
use crate::fault::Fault;
use crate::limits::{BATCH_ITEMS, FLUSH_AFTER};
use crate::peer::Peer;
use crate::run::Run;
use crate::trivial::Trivial;

pub(crate) struct BatchAintOne;

/// Items that were pushed and are not answered.
const WINDOW: usize = 1 << 17;

impl<T: Record> Peer<EngineCase<T>> for BatchAintOne {
    fn name(&self) -> &'static str {
        "batch-aint-one"
    }

    fn run(&self, case: EngineCase<T>) -> Result<Run, Failure> {
        let [stream] =
            <[_; 1]>::try_from(case.streams()).map_err(|_| "batch-aint-one: one producer only")?;
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let trivial = Arc::new(Mutex::new(Some(Trivial::new(case.keys))));
        let batcher = {
            let _inside = runtime.enter();
            let limits = Limits::builder()
                .max_batch_size(BATCH_ITEMS)
                .max_key_concurrency(1)
                // Nothing is refused, and no push waits for the worker.
                .max_key_queued_items(WINDOW + 1)
                .max_items_awaiting_worker(WINDOW + 1)
                .build();
            Batcher::builder()
                .name("bench")
                .processor(Summing { trivial: Arc::clone(&trivial), item: PhantomData })
                .limits(limits)
                .batching_policy(BatchingPolicy::Duration(FLUSH_AFTER, OnFull::Process))
                .build()
        };
        let worker = batcher.worker_handle();
        let producer = move || push(&batcher, stream);
        let consumer = move || {
            move || {
                runtime.block_on(worker.wait_for_shutdown());
                let trivial = trivial.lock().unwrap_or_else(PoisonError::into_inner).take();
                Ok::<_, Fault>(trivial.ok_or("nobody else takes it")?.done())
            }
        };
        race(vec![producer], vec![consumer])
    }
}

/// Pushes everything, tells the worker that nothing will follow, and waits for every answer.
fn push<T: Record>(batcher: &Batcher<Summing<T>>, stream: Stream<T>) -> Result<(), Fault> {
    let mut waiting = VecDeque::with_capacity(WINDOW);
    for item in stream {
        if waiting.len() == WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            block_on(oldest, BRIEF_SPIN)?;
        }
        let mut added = Box::pin(batcher.add(item.owned(), item));
        match added.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer?,
            Poll::Pending => waiting.push_back(added),
        }
    }
    block_on(batcher.worker_handle().shut_down(), BRIEF_SPIN);
    waiting.into_iter().try_for_each(|added| Ok(block_on(added, BRIEF_SPIN)?))
}

/// The handler, of which each batch has a clone.
struct Summing<T> {
    /// Some until the run has ended.
    trivial: Arc<Mutex<Option<Trivial>>>,
    item: PhantomData<fn(T)>,
}

impl<T> Clone for Summing<T> {
    fn clone(&self) -> Self {
        Self { trivial: Arc::clone(&self.trivial), item: PhantomData }
    }
}

impl<T: Record> Processor for Summing<T> {
    type Key = T::Owned;
    type Input = T;
    type Output = ();
    type Error = Infallible;
    type Resources = ();

    async fn acquire_resources(&self, _key: T::Owned) -> Result<(), Infallible> {
        Ok(())
    }

    async fn process(
        &self,
        _key: T::Owned,
        inputs: impl Iterator<Item = T> + Send,
        (): (),
    ) -> Result<Vec<()>, Infallible> {
        let items: Vec<T> = inputs.collect();
        let mut trivial = self.trivial.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(trivial), [first, ..]) = (trivial.as_mut(), &*items) {
            trivial.handle(first.number(), &items);
        }
        Ok(vec![(); items.len()])
    }
}
