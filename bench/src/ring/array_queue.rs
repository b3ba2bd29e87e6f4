//! crossbeam's `ArrayQueue` (crossbeam-queue 0.3), a bounded queue for many producers and consumers.
//!
//! It has no bursts and no waiting; neither end learns that the other is gone, so the consumer counts.

use super::RingCase;
use super::threads::{Taken, hand_over};
use super::words::items;
use crate::Failure;
use crate::limits::QUEUE_ITEMS;
use crate::pause::Pause;
use crate::peer::Peer;
use crate::run::Run;

pub(super) struct ArrayQueue;

impl<const N: usize> Peer<RingCase<N>> for ArrayQueue {
    fn name(&self) -> &'static str {
        "crossbeam ArrayQueue"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let queue = crossbeam_queue::ArrayQueue::new(QUEUE_ITEMS);
        let produce = || {
            let mut pause = Pause::default();
            for mut item in items::<N>(case.items) {
                while let Err(back) = queue.push(item) {
                    pause.wait();
                    item = back;
                }
                pause.reset();
            }
            Ok(())
        };
        let consume = || {
            let mut taken = Taken::default();
            let mut pause = Pause::default();
            while taken.bursts < u64::from(case.items) {
                while let Some(item) = queue.pop() {
                    taken.sum.add(&item);
                    taken.bursts += 1;
                    pause.reset();
                }
                pause.wait();
            }
            Ok(taken)
        };
        hand_over(produce, consume)
    }
}
