//! The loop on a ring of rtrb 0.4.

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::pop_loop::Ring;
use crate::Failure;
use crate::pause::Pause;
use crate::workload::{Row, Rows};

pub(crate) struct RtrbPopLoop;

impl Ring for RtrbPopLoop {
    const NAME: &'static str = "rtrb pop loop";
    type Producer = Producer<Row>;
    type Consumer = Consumer<Row>;

    fn new(items: usize) -> (Producer<Row>, Consumer<Row>) {
        RingBuffer::new(items)
    }

    #[inline]
    fn push(producer: &mut Producer<Row>, row: Row) -> Result<(), Failure> {
        let mut pause = Pause::default();
        // A row is copied: the one that comes back is no better.
        while let Err(PushError::Full(_)) = producer.push(row) {
            if producer.is_abandoned() {
                return Err("the consumer is gone".into());
            }
            pause.wait();
        }
        Ok(())
    }

    #[inline]
    fn push_run(
        producer: &mut Producer<Row>,
        rows: &mut Rows,
        most: usize,
    ) -> Result<usize, Failure> {
        let room = producer.slots().min(most);
        if room == 0 && producer.is_abandoned() {
            return Err("the consumer is gone".into());
        }
        Ok(producer.write_chunk_uninit(room)?.fill_from_iter(rows))
    }

    #[inline]
    fn pop(consumer: &mut Consumer<Row>) -> Option<Row> {
        consumer.pop().ok()
    }

    #[inline]
    fn is_closed(consumer: &Consumer<Row>) -> bool {
        consumer.is_abandoned()
    }
}
