//! crossbeam's bounded channel (crossbeam-channel 0.5), for many producers and consumers.
//!
//! It has no bursts. Both ends wait in its own way, by a short spin and then asleep.

use crossbeam_channel::bounded;

use super::RingCase;
use super::threads::{Taken, hand_over};
use super::words::items;
use crate::Failure;
use crate::limits::QUEUE_ITEMS;
use crate::peer::Peer;
use crate::run::Run;

pub(super) struct CrossbeamChannel;

impl<const N: usize> Peer<RingCase<N>> for CrossbeamChannel {
    fn name(&self) -> &'static str {
        "crossbeam channel"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let (sender, receiver) = bounded(QUEUE_ITEMS);
        let produce = move || Ok(items::<N>(case.items).try_for_each(|item| sender.send(item))?);
        let consume = move || {
            let mut taken = Taken::default();
            for item in receiver {
                taken.sum.add(&item);
                taken.bursts += 1;
            }
            Ok(taken)
        };
        hand_over(produce, consume)
    }
}
