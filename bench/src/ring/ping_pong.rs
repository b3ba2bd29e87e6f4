//! Round trips: an item goes there by one queue and comes back by another, one at a time, both ends
//! spinning on cores of their own.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::time::Instant;

use ::rtrb::RingBuffer;
use crossbeam_channel::bounded;
use hdrhistogram::Histogram;
use ringbuf::ring;

use super::words::{Sum, items};
use super::{CrossbeamChannel, Ringbuf, Rtrb};
use crate::Failure;
use crate::checksum::Digest;
use crate::fault::{Fault, join};
use crate::limits::QUEUE_ITEMS;
use crate::peer::{Case, Peer};
use crate::pinning::{to_core_of_producers, to_last_core};
use crate::run::{Handled, Run};

/// Items of one word; what counts is the median of the trips.
#[derive(Clone, Copy, Debug)]
pub(super) struct PingPong {
    pub(super) trips: u32,
}

impl Case for PingPong {
    const WORKLOAD: &'static str = "ring";

    fn cell(&self) -> String {
        "of=round-trip item=8".to_owned()
    }

    fn expected(&self) -> Digest {
        let mut sum = Sum::default();
        items::<1>(self.trips).for_each(|item| sum.add(&item));
        sum.digest()
    }
}

type Word = [u64; 1];

impl PingPong {
    /// Sends each item by `push` and awaits it from `pop`; the other side gives what it takes.
    fn run(
        self,
        mut push: impl FnMut(Word) -> bool + Send,
        mut pop: impl FnMut() -> Option<Word> + Send,
        mut take: impl FnMut() -> Option<Word> + Send,
        mut give: impl FnMut(Word) -> bool + Send,
    ) -> Result<Run, Failure> {
        let all_ready = Barrier::new(2);
        std::thread::scope(|scope| {
            let echo = scope.spawn(|| {
                to_last_core();
                all_ready.wait();
                for _ in 0..self.trips {
                    let item = await_item(&mut take);
                    if !give(item) {
                        return Err::<(), Fault>("a queue of one item was full".into());
                    }
                }
                Ok(())
            });
            let caller = scope.spawn(|| {
                to_core_of_producers(1);
                let mut sum = Sum::default();
                let mut trips = Histogram::new(3)?;
                all_ready.wait();
                let mut begun = Instant::now();
                for item in items::<1>(self.trips) {
                    if !push(item) {
                        return Err::<_, Fault>("a queue of one item was full".into());
                    }
                    sum.add(&await_item(&mut pop));
                    let ended = Instant::now();
                    trips.record((ended - begun).as_nanos() as u64)?;
                    begun = ended;
                }
                Ok((sum, trips))
            });
            let (sum, trips) = join(caller)?;
            join(echo)?;
            let handled = Handled { digest: sum.digest(), batches: u64::from(self.trips) };
            Ok(Run::of_latencies(trips, handled))
        })
    }
}

#[inline]
fn await_item(pop: &mut impl FnMut() -> Option<Word>) -> Word {
    loop {
        if let Some(item) = pop() {
            return item;
        }
        spin_loop();
    }
}

impl Peer<PingPong> for Ringbuf {
    fn name(&self) -> &'static str {
        "ringbuf push/pop"
    }

    fn run(&self, case: PingPong) -> Result<Run, Failure> {
        let (mut out, mut arriving) = ring::<Word>(QUEUE_ITEMS);
        let (mut back, mut returning) = ring::<Word>(QUEUE_ITEMS);
        case.run(
            |item| out.try_push(item).is_ok(),
            || returning.pop(),
            || arriving.pop(),
            |item| back.try_push(item).is_ok(),
        )
    }
}

impl Peer<PingPong> for Rtrb {
    fn name(&self) -> &'static str {
        "rtrb push/pop"
    }

    fn run(&self, case: PingPong) -> Result<Run, Failure> {
        let (mut out, mut arriving) = RingBuffer::<Word>::new(QUEUE_ITEMS);
        let (mut back, mut returning) = RingBuffer::<Word>::new(QUEUE_ITEMS);
        case.run(
            |item| out.push(item).is_ok(),
            || returning.pop().ok(),
            || arriving.pop().ok(),
            |item| back.push(item).is_ok(),
        )
    }
}

impl Peer<PingPong> for CrossbeamChannel {
    fn name(&self) -> &'static str {
        "crossbeam channel"
    }

    fn run(&self, case: PingPong) -> Result<Run, Failure> {
        let (out, arriving) = bounded::<Word>(QUEUE_ITEMS);
        let (back, returning) = bounded::<Word>(QUEUE_ITEMS);
        case.run(
            |item| out.try_send(item).is_ok(),
            || returning.try_recv().ok(),
            || arriving.try_recv().ok(),
            |item| back.try_send(item).is_ok(),
        )
    }
}
