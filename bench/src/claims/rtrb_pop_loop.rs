//! What is written first: a loop that pops an item from a ring of rtrb 0.4 and handles it.
//!
//! It has no keys, no deadlines and no verdicts; a panic of the handler ends it, and nothing is counted.

use std::sync::Barrier;
use std::time::Instant;

use rtrb::{Consumer, PopError, Producer, RingBuffer};

use super::situation::{Load, Situation};
use crate::Failure;
use crate::pause::Pause;
use crate::peer::Peer;
use crate::pinning::to_last_core;
use crate::run::Run;
use crate::trivial::{Done, Trivial};
use crate::workload::{Row, Workload};

/// Items that fit into the ring: as many as into a lane.
const RING_ITEMS: usize = 8_192;
/// Items that are pushed at once at most, where runs are: as many as the engine does.
const RUN_ITEMS: usize = 256;

/// Pushes as the situation says; pops one by one.
pub(crate) struct RtrbPopLoop;

impl Peer<Situation> for RtrbPopLoop {
    fn name(&self) -> &'static str {
        "rtrb pop loop"
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let (mut producer, consumer) = RingBuffer::new(RING_ITEMS);
        let ready = Barrier::new(2);
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                to_last_core();
                let trivial = Trivial::new(case.workload.keys);
                ready.wait();
                consume(consumer, trivial)
            });
            ready.wait();
            let begun = Instant::now();
            match case.load {
                Load::Each => push_each(&mut producer, case.workload),
                _ => push_runs(&mut producer, case.workload)?,
            }
            drop(producer);
            let done = consumer.join().map_err(|_| "the consumer panicked")?;
            Ok(Run::of_throughput(done.ended - begun, done.trivial.handled()))
        })
    }
}

fn push_each(producer: &mut Producer<Row>, workload: Workload) {
    let mut pause = Pause::default();
    for row in workload.rows() {
        let mut full = producer.push(row);
        while let Err(rtrb::PushError::Full(row)) = full {
            pause.wait();
            full = producer.push(row);
        }
        pause.reset();
    }
}

fn push_runs(producer: &mut Producer<Row>, workload: Workload) -> Result<(), Failure> {
    let mut pause = Pause::default();
    let mut rows = workload.rows();
    loop {
        let room = producer.slots().min(RUN_ITEMS);
        if room == 0 {
            pause.wait();
            continue;
        }
        pause.reset();
        if producer.write_chunk_uninit(room)?.fill_from_iter(&mut rows) < room {
            return Ok(());
        }
    }
}

fn consume(mut ring: Consumer<Row>, mut trivial: Trivial) -> Done {
    let mut pause = Pause::default();
    let mut last_look = false;
    loop {
        match ring.pop() {
            Ok(row) => {
                trivial.handle(row.key, std::slice::from_ref(&row));
                pause.reset();
            }
            Err(PopError::Empty) if last_look => return trivial.done(),
            Err(PopError::Empty) => {
                pause.wait();
                // What was pushed before the end is there now.
                last_look = ring.is_abandoned();
            }
        }
    }
}
