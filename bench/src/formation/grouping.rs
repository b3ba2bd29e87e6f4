//! The same bursts, grouped by hand: an rtrb ring that is read as one chunk, a hashbrown table with
//! foldhash, vectors that are used again, and everything handed over when the burst has been read.
//!
//! Nothing waits, so there is no deadline to keep: it arms no timer, counts nothing, bounds no memory,
//! forgets no key, and ends with its thread if its handler panics.

use std::mem::take;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rtrb::RingBuffer;

use super::burst::Burst;
use super::stopwatch::Stopwatch;
use super::witness::{Testimony, Witness};
use crate::Failure;
use crate::cores::on_last;
use crate::limits::{BATCH_ITEMS, QUEUE_ITEMS};
use crate::peer::Peer;
use crate::run::Run;
use crate::workload::Row;

pub(super) struct H2;

impl Peer<Burst> for H2 {
    fn name(&self) -> &'static str {
        "rtrb chunk + hashbrown + Vecs"
    }

    fn run(&self, case: Burst) -> Result<Run, Failure> {
        let testimony = on_last(|| {
            let (mut producer, mut consumer) = RingBuffer::new(QUEUE_ITEMS);
            let watch = Stopwatch::on(quanta::Clock::new());
            let mut groups = Groups::new(case.keys);
            let mut witness = Witness::new(case.keys);
            let mut rows = case.workload().rows();
            let items = case.items as usize;
            for _ in 0..case.bursts() {
                producer.write_chunk_uninit(items)?.fill_from_iter(rows.by_ref());
                watch.start();
                let chunk = consumer.read_chunk(consumer.slots())?;
                let (first, second) = chunk.as_slices();
                let mut hand_over = |key, rows: &[Row]| {
                    let entry = watch.enter(rows.len());
                    witness.handle(key, rows);
                    watch.leave(&entry);
                };
                first.iter().chain(second).for_each(|row| groups.put(row, &mut hand_over));
                chunk.commit_all();
                groups.hand_over_all(&mut hand_over);
                let formed = watch.read(u64::from(case.items));
                witness.note_ns(formed.ok_or("a burst was not handed over")?);
            }
            Ok(witness.testimony())
        })?;
        Ok(Testimony::at_percentile(testimony, case.quantile))
    }
}

struct Groups {
    rows: HashMap<u64, Vec<Row>, RandomState>,
    /// Keys that have rows.
    open: Vec<u64>,
}

impl Groups {
    fn new(keys: u32) -> Self {
        let keys = keys as usize;
        let rows = HashMap::with_capacity_and_hasher(keys, RandomState::default());
        Self { rows, open: Vec::with_capacity(keys) }
    }

    #[inline]
    fn put(&mut self, row: &Row, mut hand_over: impl FnMut(u64, &[Row])) {
        let rows = self.rows.entry(row.key).or_default();
        if rows.is_empty() {
            self.open.push(row.key);
        }
        rows.push(*row);
        if rows.len() == BATCH_ITEMS {
            hand_over(row.key, rows);
            rows.clear();
        }
    }

    fn hand_over_all(&mut self, mut hand_over: impl FnMut(u64, &[Row])) {
        let mut open = take(&mut self.open);
        for key in open.drain(..) {
            let Some(rows) = self.rows.get_mut(&key) else { continue };
            if !rows.is_empty() {
                hand_over(key, rows);
                rows.clear();
            }
        }
        self.open = open;
    }
}
