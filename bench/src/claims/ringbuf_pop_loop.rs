//! The loop on the project's own ring: what an engine adds to the ring that it is built on.

use ringbuf::{Consumer, Producer, wake};

use super::pop_loop::Ring;
use crate::Failure;
use crate::workload::{Row, Rows};

pub(crate) struct RingbufPopLoop;

impl Ring for RingbufPopLoop {
    const NAME: &'static str = "ringbuf pop loop";
    type Producer = Producer<Row>;
    type Consumer = Consumer<Row>;

    fn new(items: usize) -> (Producer<Row>, Consumer<Row>) {
        ringbuf::ring(items)
    }

    #[inline]
    fn push(producer: &mut Producer<Row>, row: Row) -> Result<(), Failure> {
        Ok(producer.push(row, wake::BRIEF_SPIN).map_err(|_| "the ring was closed")?)
    }

    #[inline]
    fn push_run(
        producer: &mut Producer<Row>,
        rows: &mut Rows,
        most: usize,
    ) -> Result<usize, Failure> {
        let mut run = producer.fill(most);
        run.extend(rows);
        Ok(run.commit().map_err(|_| "the ring was closed")?)
    }

    #[inline]
    fn pop(consumer: &mut Consumer<Row>) -> Option<Row> {
        consumer.pop()
    }

    #[inline]
    fn is_closed(consumer: &Consumer<Row>) -> bool {
        consumer.is_closed()
    }
}
