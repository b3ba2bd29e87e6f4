//! The crate multistream-batch (1.2), through its `MultiBufBatchChannel`: batches by key with a maximum
//! size and duration, behind a bounded crossbeam channel.
//!
//! It has one consumer, receives items one by one, and hands the batch over as a `Drain`, which is read
//! as the slice it is. It promises neither what the engine does of panics and of memory, nor numbers.

use ::multistream_batch::channel::multi_buf_batch::{Command, MultiBufBatchChannel};

use super::EngineCase;
use super::item::Record;
use super::race::race;
use crate::Failure;
use crate::fault::Fault;
use crate::limits::{BATCH_ITEMS, FLUSH_AFTER, QUEUE_ITEMS};
use crate::peer::Peer;
use crate::run::Run;
use crate::trivial::Trivial;

pub(crate) struct MultistreamBatch;

impl<T: Record> Peer<EngineCase<T>> for MultistreamBatch {
    fn name(&self) -> &'static str {
        "multistream-batch"
    }

    fn run(&self, case: EngineCase<T>) -> Result<Run, Failure> {
        if case.shards != 1 {
            return Err("multistream-batch: one consumer only".into());
        }
        let (sender, mut batches) =
            MultiBufBatchChannel::new(BATCH_ITEMS, FLUSH_AFTER, QUEUE_ITEMS);
        let producers = case.streams().into_iter().map(|stream| {
            let sender = sender.clone();
            move || {
                for item in stream {
                    let append = Command::Append(item.owned(), item);
                    sender.send(append).map_err(|_| "the consumer is gone")?;
                }
                Ok(())
            }
        });
        let producers = producers.collect();
        drop(sender);
        let consumer = move || {
            let mut trivial = Trivial::new(case.keys);
            move || {
                while let Ok((_key, batch)) = batches.next() {
                    let items: &[T] = batch.as_slice();
                    trivial.handle(items[0].number(), items);
                }
                Ok::<_, Fault>(trivial.done())
            }
        };
        race(producers, vec![consumer])
    }
}
