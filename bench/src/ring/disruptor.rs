//! disruptor (4.4), after LMAX's: a single-producer ring whose slots are never moved out of, but read
//! and written in place, and an `EventPoller` on the consumer's thread.
//!
//! Its producer waits for room by spinning without end, whatever the core has to do. A consumer can't
//! close it.

use ::disruptor::{BusySpin, Polling, Producer, build_single_producer};

use super::RingCase;
use super::threads::{Taken, hand_over};
use super::words::{Items, items};
use crate::Failure;
use crate::limits::QUEUE_ITEMS;
use crate::pause::Pause;
use crate::peer::Peer;
use crate::run::Run;

pub(super) struct Disruptor;

impl<const N: usize> Peer<RingCase<N>> for Disruptor {
    fn name(&self) -> &'static str {
        "disruptor"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let builder = build_single_producer(QUEUE_ITEMS, || [0_u64; N], BusySpin);
        let (mut poller, builder) = builder.new_event_poller();
        let producer = builder.build();
        let produce = move || {
            match case.burst {
                1 => publish(producer, items::<N>(case.items)),
                burst => publish_bursts(producer, items::<N>(case.items), burst),
            }
            Ok(())
        };
        let consume = move || {
            let mut taken = Taken::default();
            let mut pause = Pause::default();
            loop {
                match poller.take(case.burst as u64) {
                    Ok(mut events) => {
                        let mut sum = taken.sum;
                        (&mut events).for_each(|item| sum.add(item));
                        taken.sum = sum;
                        taken.bursts += 1;
                        pause.reset();
                    }
                    Err(Polling::NoEvents) => pause.wait(),
                    Err(Polling::Shutdown) => return Ok(taken),
                }
            }
        };
        hand_over(produce, consume)
    }
}

fn publish<const N: usize>(mut ring: impl Producer<[u64; N]>, items: Items<N>) {
    for item in items {
        ring.publish(|slot| *slot = item);
    }
}

fn publish_bursts<const N: usize>(
    mut ring: impl Producer<[u64; N]>,
    mut items: Items<N>,
    burst: usize,
) {
    while items.len() > 0 {
        ring.batch_publish(burst.min(items.len()), |slots| {
            slots.zip(&mut items).for_each(|(slot, item)| *slot = item);
        });
    }
}
