//! The project's own ring: item by item, and in runs.

use ringbuf::{Consumer, Producer, PushError, ring};

use super::RingCase;
use super::threads::{Taken, hand_over};
use super::words::{Items, items};
use crate::Failure;
use crate::fault::Fault;
use crate::limits::QUEUE_ITEMS;
use crate::pause::Pause;
use crate::peer::Peer;
use crate::run::Run;

/// `try_push` and `pop`.
pub(super) struct Ringbuf;

/// `fill` and `commit`, and `run`, which reads items where they lie.
pub(super) struct RingbufRuns;

impl<const N: usize> Peer<RingCase<N>> for Ringbuf {
    fn name(&self) -> &'static str {
        "ringbuf push/pop"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let (producer, consumer) = ring(QUEUE_ITEMS);
        hand_over(move || push(producer, items::<N>(case.items)), move || Ok(pop(consumer)))
    }
}

fn push<const N: usize>(mut ring: Producer<[u64; N]>, items: Items<N>) -> Result<(), Fault> {
    let mut pause = Pause::default();
    for mut item in items {
        loop {
            match ring.try_push(item) {
                Ok(()) => break,
                Err(PushError::Closed(_)) => return Err("the consumer is gone".into()),
                Err(PushError::Full(back)) => item = back,
            }
            pause.wait();
        }
        pause.reset();
    }
    Ok(())
}

fn pop<const N: usize>(mut ring: Consumer<[u64; N]>) -> Taken {
    let mut taken = Taken::default();
    let mut pause = Pause::default();
    loop {
        let last_look = ring.is_closed();
        while let Some(item) = ring.pop() {
            taken.sum.add(&item);
            taken.bursts += 1;
            pause.reset();
        }
        if last_look {
            return taken;
        }
        pause.wait();
    }
}

impl<const N: usize> Peer<RingCase<N>> for RingbufRuns {
    fn name(&self) -> &'static str {
        "ringbuf runs"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let (producer, consumer) = ring(QUEUE_ITEMS);
        hand_over(
            move || push_runs(producer, items::<N>(case.items), case.burst),
            move || Ok(pop_runs(consumer, case.burst)),
        )
    }
}

fn push_runs<const N: usize>(
    mut ring: Producer<[u64; N]>,
    mut items: Items<N>,
    burst: usize,
) -> Result<(), Fault> {
    let mut pause = Pause::default();
    loop {
        let mut run = ring.fill(burst);
        let room = run.room();
        run.extend(&mut items);
        let pushed = run.commit().map_err(|_| "the consumer is gone")?;
        if pushed < room {
            return Ok(());
        }
        if pushed > 0 {
            pause.reset();
        } else {
            pause.wait();
        }
    }
}

fn pop_runs<const N: usize>(mut ring: Consumer<[u64; N]>, burst: usize) -> Taken {
    let mut taken = Taken::default();
    let mut pause = Pause::default();
    loop {
        let last_look = ring.is_closed();
        loop {
            let mut run = ring.run(burst);
            if run.is_empty() {
                break;
            }
            let (first, second) = run.as_slices();
            taken.sum.add_all(first);
            taken.sum.add_all(second);
            run.skip_in_place(burst);
            taken.bursts += 1;
            pause.reset();
        }
        if last_look {
            return taken;
        }
        pause.wait();
    }
}
