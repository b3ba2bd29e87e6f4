//! kanal's bounded channel (0.1, without its asynchronous half), for many producers and consumers.
//!
//! It sends item by item; for bursts it is received from by its `drain_into`, which takes all there is.
//! Both ends wait in its own way, by a short spin and then asleep.

use ::kanal::{Receiver, bounded};

use super::RingCase;
use super::threads::{Taken, hand_over};
use super::words::items;
use crate::Failure;
use crate::fault::Fault;
use crate::limits::QUEUE_ITEMS;
use crate::peer::Peer;
use crate::run::Run;

pub(super) struct Kanal;

impl<const N: usize> Peer<RingCase<N>> for Kanal {
    fn name(&self) -> &'static str {
        "kanal"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let (sender, receiver) = bounded(QUEUE_ITEMS);
        let produce = move || Ok(items::<N>(case.items).try_for_each(|item| sender.send(item))?);
        hand_over(produce, move || match case.burst {
            1 => Ok(receive(receiver)),
            _ => drain(&receiver),
        })
    }
}

fn receive<const N: usize>(receiver: Receiver<[u64; N]>) -> Taken {
    let mut taken = Taken::default();
    for item in receiver {
        taken.sum.add(&item);
        taken.bursts += 1;
    }
    taken
}

fn drain<const N: usize>(receiver: &Receiver<[u64; N]>) -> Result<Taken, Fault> {
    let mut taken = Taken::default();
    let mut burst = Vec::with_capacity(QUEUE_ITEMS);
    loop {
        burst.clear();
        if receiver.drain_into(&mut burst)? == 0 {
            match receiver.recv() {
                Ok(item) => burst.push(item),
                Err(_) => return Ok(taken),
            }
        }
        taken.sum.add_all(&burst);
        taken.bursts += 1;
    }
}
