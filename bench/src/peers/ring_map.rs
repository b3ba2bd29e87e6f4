//! The best that is written by hand: chunks of an rtrb ring, a hashbrown table with foldhash, and vectors
//! that are used again.
//!
//! It never forgets a key, bounds no memory, and ends with the process if its handler panics; it owes the
//! engine's promises nothing, and so is what they are measured against.

use std::collections::VecDeque;
use std::sync::Barrier;
use std::time::Instant;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rtrb::chunks::ChunkError;
use rtrb::{Consumer, RingBuffer};

use super::{BATCH_ITEMS, FLUSH_AFTER, Handled, Pause, QUEUE_ITEMS, RUN_ITEMS, Run, Trivial};
use crate::Failure;
use crate::pinning::to_last_core;
use crate::workload::{Row, Workload};

/// Pushes the workload through it.
pub(crate) fn run(workload: Workload) -> Result<Run, Failure> {
    let (mut producer, consumer) = RingBuffer::new(QUEUE_ITEMS);
    let ready = Barrier::new(2);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            to_last_core();
            let batches = Batches::new(workload.keys);
            ready.wait();
            consume(consumer, batches)
        });
        ready.wait();
        let begun = Instant::now();
        let mut rows = workload.rows();
        let mut pause = Pause::default();
        loop {
            let room = producer.slots().min(RUN_ITEMS);
            if room == 0 {
                pause.wait();
                continue;
            }
            pause.reset();
            if producer.write_chunk_uninit(room)?.fill_from_iter(&mut rows) < room {
                break;
            }
        }
        drop(producer);
        let handled = consumer.join().map_err(|_| "the consumer panicked")??;
        Ok(Run { elapsed: begun.elapsed(), handled })
    })
}

struct Batches {
    open: HashMap<u64, Open, RandomState>,
    /// When which key's batch was opened, and which of its batches that was.
    opened: VecDeque<(Instant, u64, u64)>,
    trivial: Trivial,
}

#[derive(Default)]
struct Open {
    rows: Vec<Row>,
    batch: u64,
}

impl Open {
    #[inline]
    fn hand_over(&mut self, key: u64, trivial: &mut Trivial) {
        trivial.handle(key, &self.rows);
        self.rows.clear();
        self.batch += 1;
    }
}

impl Batches {
    fn new(keys: u32) -> Self {
        Self {
            open: HashMap::with_capacity_and_hasher(keys as usize, RandomState::default()),
            opened: VecDeque::new(),
            trivial: Trivial::new(keys),
        }
    }

    #[inline]
    fn put(&mut self, row: &Row, now: Instant) {
        let open = self.open.entry(row.key).or_default();
        if open.rows.is_empty() {
            self.opened.push_back((now, row.key, open.batch));
        }
        open.rows.push(*row);
        if open.rows.len() == BATCH_ITEMS {
            open.hand_over(row.key, &mut self.trivial);
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
                open.hand_over(key, &mut self.trivial);
            }
        }
    }

    fn finish(mut self) -> Handled {
        for (key, open) in &mut self.open {
            if !open.rows.is_empty() {
                open.hand_over(*key, &mut self.trivial);
            }
        }
        self.trivial.handled()
    }
}

fn consume(mut ring: Consumer<Row>, mut batches: Batches) -> Result<Handled, ChunkError> {
    let mut pause = Pause::default();
    loop {
        let last_look = ring.is_abandoned();
        let now = Instant::now();
        let waiting = ring.slots().min(RUN_ITEMS);
        if waiting > 0 {
            let chunk = ring.read_chunk(waiting)?;
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(|row| batches.put(row, now));
            chunk.commit_all();
            pause.reset();
        } else if last_look {
            return Ok(batches.finish());
        } else {
            pause.wait();
        }
        batches.expire(now);
    }
}
