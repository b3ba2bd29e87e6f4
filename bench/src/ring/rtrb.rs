//! rtrb (0.4), a ring for one producer and one consumer: item by item, and in chunks.
//!
//! Nobody can wait for it but by spinning, and a push that races the consumer's end is accepted and lost.

use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::RingCase;
use super::threads::{Taken, hand_over};
use super::words::{Items, items};
use crate::Failure;
use crate::fault::Fault;
use crate::limits::QUEUE_ITEMS;
use crate::pause::Pause;
use crate::peer::Peer;
use crate::run::Run;

/// `push` and `pop`.
pub(super) struct Rtrb;

/// `write_chunk_uninit`, which is filled in place, and `read_chunk`, which is read in place. Both look at
/// the other end's index only if their own copy of it doesn't suffice.
pub(super) struct RtrbChunks;

impl<const N: usize> Peer<RingCase<N>> for Rtrb {
    fn name(&self) -> &'static str {
        "rtrb push/pop"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let (producer, consumer) = RingBuffer::new(QUEUE_ITEMS);
        hand_over(move || push(producer, items::<N>(case.items)), move || Ok(pop(consumer)))
    }
}

fn push<const N: usize>(mut ring: Producer<[u64; N]>, items: Items<N>) -> Result<(), Fault> {
    let mut pause = Pause::default();
    for mut item in items {
        while let Err(PushError::Full(back)) = ring.push(item) {
            wait_for_room(&ring, &mut pause)?;
            item = back;
        }
        pause.reset();
    }
    Ok(())
}

fn wait_for_room<T>(ring: &Producer<T>, pause: &mut Pause) -> Result<(), Fault> {
    if ring.is_abandoned() {
        return Err("the consumer is gone".into());
    }
    pause.wait();
    Ok(())
}

fn pop<const N: usize>(mut ring: Consumer<[u64; N]>) -> Taken {
    let mut taken = Taken::default();
    let mut pause = Pause::default();
    loop {
        let last_look = ring.is_abandoned();
        while let Ok(item) = ring.pop() {
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

impl<const N: usize> Peer<RingCase<N>> for RtrbChunks {
    fn name(&self) -> &'static str {
        "rtrb chunks"
    }

    fn run(&self, case: RingCase<N>) -> Result<Run, Failure> {
        let (producer, consumer) = RingBuffer::new(QUEUE_ITEMS);
        hand_over(
            move || push_chunks(producer, items::<N>(case.items), case.burst),
            move || pop_chunks(consumer, case.burst),
        )
    }
}

fn push_chunks<const N: usize>(
    mut ring: Producer<[u64; N]>,
    mut items: Items<N>,
    burst: usize,
) -> Result<(), Fault> {
    let mut pause = Pause::default();
    let mut room = burst;
    loop {
        match ring.write_chunk_uninit(room) {
            Ok(chunk) => {
                if chunk.fill_from_iter(&mut items) < room {
                    return Ok(());
                }
                pause.reset();
                room = burst;
            }
            Err(ChunkError::TooFewSlots(0)) => {
                wait_for_room(&ring, &mut pause)?;
                room = burst;
            }
            Err(ChunkError::TooFewSlots(less)) => room = less,
        }
    }
}

fn pop_chunks<const N: usize>(mut ring: Consumer<[u64; N]>, burst: usize) -> Result<Taken, Fault> {
    let mut taken = Taken::default();
    let mut pause = Pause::default();
    loop {
        let last_look = ring.is_abandoned();
        loop {
            let chunk = match ring.read_chunk(burst) {
                Err(ChunkError::TooFewSlots(0)) => break,
                Err(ChunkError::TooFewSlots(less)) => ring.read_chunk(less)?,
                Ok(chunk) => chunk,
            };
            let (first, second) = chunk.as_slices();
            taken.sum.add_all(first);
            taken.sum.add_all(second);
            chunk.commit_all();
            taken.bursts += 1;
            pause.reset();
        }
        if last_look {
            return Ok(taken);
        }
        pause.wait();
    }
}
