//! What is written first: a bounded crossbeam channel, and a standard hash map of vectors.

use std::collections::{HashMap, VecDeque};
use std::sync::Barrier;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::{BATCH_ITEMS, FLUSH_AFTER, Handled, QUEUE_ITEMS, RUN_ITEMS, Run, Trivial};
use crate::Failure;
use crate::pinning::to_last_core;
use crate::workload::{Row, Workload};

/// Pushes the workload through it.
pub(crate) fn run(workload: Workload) -> Result<Run, Failure> {
    let (sender, receiver) = bounded(QUEUE_ITEMS);
    let ready = Barrier::new(2);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            to_last_core();
            let batches = Batches::new(workload.keys);
            ready.wait();
            consume(&receiver, batches)
        });
        ready.wait();
        let begun = Instant::now();
        for row in workload.rows() {
            sender.send(row)?;
        }
        drop(sender);
        let handled = consumer.join().map_err(|_| "the consumer panicked")?;
        Ok(Run { elapsed: begun.elapsed(), handled })
    })
}

struct Batches {
    open: HashMap<u64, Open>,
    /// Keys by the time at which a batch was opened for them.
    opened: VecDeque<(Instant, u64)>,
    trivial: Trivial,
}

struct Open {
    since: Instant,
    rows: Vec<Row>,
}

impl Batches {
    fn new(keys: u32) -> Self {
        Self { open: HashMap::new(), opened: VecDeque::new(), trivial: Trivial::new(keys) }
    }

    fn put(&mut self, row: Row) {
        let opened = &mut self.opened;
        let open = self.open.entry(row.key).or_insert_with(|| {
            let since = Instant::now();
            opened.push_back((since, row.key));
            Open { since, rows: Vec::new() }
        });
        open.rows.push(row);
        if open.rows.len() == BATCH_ITEMS {
            self.hand_over(row.key);
        }
    }

    fn hand_over(&mut self, key: u64) {
        if let Some(open) = self.open.remove(&key) {
            self.trivial.handle(key, &open.rows);
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(&(since, key)) = self.opened.front() {
            if now - since < FLUSH_AFTER {
                return;
            }
            self.opened.pop_front();
            // The batch may have gone by size, and a later one be open: that has a time of its own.
            if self.open.get(&key).is_some_and(|open| open.since == since) {
                self.hand_over(key);
            }
        }
    }

    /// When the oldest batch is due.
    fn due(&self) -> Instant {
        self.opened.front().map_or_else(Instant::now, |(since, _)| *since) + FLUSH_AFTER
    }

    fn finish(mut self) -> Handled {
        for (key, open) in std::mem::take(&mut self.open) {
            self.trivial.handle(key, &open.rows);
        }
        self.trivial.handled()
    }
}

fn consume(receiver: &Receiver<Row>, mut batches: Batches) -> Handled {
    loop {
        match receiver.recv_deadline(batches.due()) {
            Ok(row) => {
                batches.put(row);
                // The clock is not read for every item.
                receiver.try_iter().take(RUN_ITEMS).for_each(|row| batches.put(row));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return batches.finish(),
        }
        batches.expire();
    }
}
