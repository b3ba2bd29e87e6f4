//! What is written first, under the same load: a bounded crossbeam channel, a standard hash map of
//! vectors, batches of up to 100 that wait for 10 ms at most.
//!
//! It bounds no memory but the channel's, forgets the vector of a key with each batch, and ends with
//! its thread if its handler panics. It takes what has come in without waiting for each item, and reads
//! the clock once for 256 items; it blocks as the channel does, by spinning, yielding and parking.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::arrivals::Arrivals;
use super::draws::Draws;
use super::epoch::Epoch;
use super::meter::{Meter, Seen};
use super::{LANE_ITEMS, LoadRun, Setup};
use crate::Failure;
use crate::cores::on_first;
use crate::pinning::to_last_core;
use crate::workload::Row;

/// Items that a batch holds at most.
const BATCH_ITEMS: usize = 100;
/// How long a batch waits for more.
const FLUSH_AFTER: Duration = Duration::from_millis(10);
/// Items taken between two looks at the clock.
const RUN_ITEMS: usize = 256;

/// Offers the load to it, the producer on the first core, the consumer on the last.
pub(crate) fn open_loop(setup: Setup) -> Result<LoadRun, Failure> {
    let draws = Draws::of(setup.keys, setup.spread);
    let epoch = Epoch::new();
    let (sender, receiver) = bounded(LANE_ITEMS);
    let other_epoch = epoch.clone();
    // Each end goes with its thread, so that neither waits for one that has panicked.
    let consumed = move || {
        to_last_core();
        consume(&receiver, Batches::new(setup, other_epoch))
    };
    let draws = &draws;
    let offered = move || {
        let mut arrivals = Arrivals::new(setup.schedule, draws);
        let begun = Instant::now();
        epoch.begin();
        while let Some(next) = arrivals.next_ns() {
            let now = epoch.now_ns();
            if next > now {
                std::hint::spin_loop();
            }
            while let Some(row) = arrivals.take_due(now) {
                sender.send(row)?;
            }
        }
        Ok(begun)
    };
    std::thread::scope(|scope| {
        let consumer = scope.spawn(consumed);
        let begun = on_first(offered)?;
        let seen = consumer.join().map_err(|_| "the consumer panicked")?;
        Ok(LoadRun { seen, elapsed: begun.elapsed() })
    })
}

struct Batches {
    open: HashMap<u64, Open>,
    /// Keys by the time at which a batch was opened for them.
    opened: VecDeque<(Instant, u64)>,
    meter: Meter,
}

struct Open {
    since: Instant,
    rows: Vec<Row>,
}

impl Batches {
    fn new(setup: Setup, epoch: Epoch) -> Self {
        let keys = setup.keys as usize;
        Self {
            open: HashMap::with_capacity(keys),
            opened: VecDeque::with_capacity(keys),
            meter: Meter::new(epoch, setup.price, setup.schedule, setup.keys),
        }
    }

    fn put(&mut self, row: Row, now: Instant) {
        let opened = &mut self.opened;
        let open = self.open.entry(row.key).or_insert_with(|| {
            opened.push_back((now, row.key));
            Open { since: now, rows: Vec::with_capacity(BATCH_ITEMS) }
        });
        open.rows.push(row);
        if open.rows.len() == BATCH_ITEMS {
            self.hand_over(row.key);
        }
    }

    fn hand_over(&mut self, key: u64) {
        if let Some(open) = self.open.remove(&key) {
            self.meter.handle(key, &open.rows);
        }
    }

    fn expire(&mut self, now: Instant) {
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
    fn due(&self, now: Instant) -> Instant {
        self.opened.front().map_or(now, |(since, _)| *since) + FLUSH_AFTER
    }

    fn finish(mut self) -> Seen {
        for (key, open) in std::mem::take(&mut self.open) {
            self.meter.handle(key, &open.rows);
        }
        self.meter.seen()
    }
}

fn consume(receiver: &Receiver<Row>, mut batches: Batches) -> Seen {
    let mut now = Instant::now();
    loop {
        let received = receiver.recv_deadline(batches.due(now));
        now = Instant::now();
        match received {
            Ok(row) => {
                batches.put(row, now);
                receiver.try_iter().take(RUN_ITEMS).for_each(|row| batches.put(row, now));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return batches.finish(),
        }
        batches.expire(now);
    }
}
