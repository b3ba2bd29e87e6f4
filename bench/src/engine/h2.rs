//! The best that a good engineer writes in an afternoon: chunks of rtrb rings (0.4), one for each pair of
//! producer and consumer, a hashbrown table with foldhash, and vectors that are used again.
//!
//! It never forgets a key, bounds no memory, spins instead of sleeping, and ends with the process if its
//! handler panics; it owes the engine's promises nothing, and so is what they are measured against.

use std::collections::VecDeque;
use std::time::Instant;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};

use super::EngineCase;
use super::item::Record;
use super::race::race;
use super::route::Route;
use super::stream::Stream;
use crate::Failure;
use crate::fault::Fault;
use crate::limits::{BATCH_ITEMS, FLUSH_AFTER, QUEUE_ITEMS, RUN_ITEMS};
use crate::pause::Pause;
use crate::peer::Peer;
use crate::run::Run;
use crate::trivial::{Done, Trivial};

pub(crate) struct H2;

impl<T: Record> Peer<EngineCase<T>> for H2 {
    fn name(&self) -> &'static str {
        "H2"
    }

    fn run(&self, case: EngineCase<T>) -> Result<Run, Failure> {
        let mut sinks: Vec<Vec<Consumer<T>>> = (0..case.shards).map(|_| Vec::new()).collect();
        let mut producers = Vec::new();
        for stream in case.streams() {
            let mut rings = Vec::new();
            for sink in &mut sinks {
                let (producer, consumer) = RingBuffer::new(QUEUE_ITEMS);
                rings.push(producer);
                sink.push(consumer);
            }
            producers.push(move || match <[_; 1]>::try_from(rings) {
                Ok([ring]) => push(ring, stream),
                Err(rings) => push_routed(rings, stream),
            });
        }
        let consumers = sinks.into_iter().map(|rings| {
            move || {
                let batches = Batches::new(case.keys);
                move || consume(rings, batches)
            }
        });
        race(producers, consumers.collect())
    }
}

/// Makes the items in the ring, a run at a time.
fn push<T: Record>(mut ring: Producer<T>, mut stream: Stream<T>) -> Result<(), Fault> {
    let mut pause = Pause::default();
    loop {
        let room = match ring.write_chunk_uninit(RUN_ITEMS) {
            Ok(chunk) => {
                if chunk.fill_from_iter(&mut stream) < RUN_ITEMS {
                    return Ok(());
                }
                pause.reset();
                continue;
            }
            Err(ChunkError::TooFewSlots(room)) => room,
        };
        if room > 0 {
            if ring.write_chunk_uninit(room)?.fill_from_iter(&mut stream) < room {
                return Ok(());
            }
            pause.reset();
        } else {
            wait_for_room(&ring, &mut pause)?;
        }
    }
}

/// Collects a run for each ring, and copies it in when it is full.
fn push_routed<T: Record>(mut rings: Vec<Producer<T>>, stream: Stream<T>) -> Result<(), Fault> {
    let route = Route::among(rings.len());
    let mut runs: Vec<Vec<T>> = rings.iter().map(|_| Vec::with_capacity(RUN_ITEMS)).collect();
    for item in stream {
        let shard = route.shard(item.owned());
        runs[shard].push(item);
        if runs[shard].len() == RUN_ITEMS {
            push_run(&mut rings[shard], &runs[shard])?;
            runs[shard].clear();
        }
    }
    rings.iter_mut().zip(&runs).try_for_each(|(ring, run)| push_run(ring, run))
}

fn push_run<T: Record>(ring: &mut Producer<T>, mut run: &[T]) -> Result<(), Fault> {
    let mut pause = Pause::default();
    loop {
        (_, run) = ring.push_partial_slice(run);
        if run.is_empty() {
            return Ok(());
        }
        wait_for_room(ring, &mut pause)?;
    }
}

fn wait_for_room<T>(ring: &Producer<T>, pause: &mut Pause) -> Result<(), Fault> {
    if ring.is_abandoned() {
        return Err("the consumer is gone".into());
    }
    pause.wait();
    Ok(())
}

struct Batches<T: Record> {
    open: HashMap<T::Owned, Open<T>, RandomState>,
    /// When which key's batch was opened, and which of its batches that was.
    opened: VecDeque<(Instant, T::Owned, u32)>,
    trivial: Trivial,
}

struct Open<T> {
    items: Vec<T>,
    batch: u32,
}

impl<T: Record> Open<T> {
    #[inline]
    fn hand_over(&mut self, trivial: &mut Trivial) {
        trivial.handle(self.items[0].number(), &self.items);
        self.items.clear();
        self.batch += 1;
    }
}

impl<T: Record> Batches<T> {
    fn new(keys: u32) -> Self {
        Self {
            open: HashMap::with_capacity_and_hasher(keys as usize, RandomState::default()),
            opened: VecDeque::with_capacity(keys as usize),
            trivial: Trivial::new(keys),
        }
    }

    #[inline]
    fn put(&mut self, item: &T, now: Instant) {
        let key = item.owned();
        let open = self.open.entry(key).or_insert_with(|| Open { items: Vec::new(), batch: 0 });
        if open.items.is_empty() {
            self.opened.push_back((now, key, open.batch));
        }
        open.items.push(*item);
        if open.items.len() == BATCH_ITEMS {
            open.hand_over(&mut self.trivial);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(opened, key, batch)) = self.opened.front() {
            if now - opened < FLUSH_AFTER {
                return;
            }
            self.opened.pop_front();
            if let Some(open) = self.open.get_mut(&key)
                && open.batch == batch
            {
                open.hand_over(&mut self.trivial);
            }
        }
    }

    fn finish(mut self) -> Done {
        for open in self.open.values_mut().filter(|open| !open.items.is_empty()) {
            open.hand_over(&mut self.trivial);
        }
        self.trivial.done()
    }
}

fn consume<T: Record>(mut rings: Vec<Consumer<T>>, mut batches: Batches<T>) -> Result<Done, Fault> {
    let mut pause = Pause::default();
    loop {
        let last_look = rings.iter().all(Consumer::is_abandoned);
        let now = Instant::now();
        let mut found = false;
        for ring in &mut rings {
            let chunk = match ring.read_chunk(RUN_ITEMS) {
                Err(ChunkError::TooFewSlots(0)) => continue,
                Err(ChunkError::TooFewSlots(waiting)) => ring.read_chunk(waiting)?,
                Ok(chunk) => chunk,
            };
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(|item| batches.put(item, now));
            chunk.commit_all();
            found = true;
        }
        if found {
            pause.reset();
        } else if last_look {
            return Ok(batches.finish());
        } else {
            pause.wait();
        }
        batches.expire(now);
    }
}
