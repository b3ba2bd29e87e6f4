//! The same loop on the project's own ring: what an engine adds to the ring that it is built on.

use std::sync::Barrier;
use std::time::Instant;

use ringbuf::{Consumer, wake};

use super::situation::{Load, Situation};
use crate::Failure;
use crate::pause::Pause;
use crate::peer::Peer;
use crate::pinning::to_last_core;
use crate::run::Run;
use crate::trivial::{Done, Trivial};
use crate::workload::Row;

/// Items that fit into the ring: as many as into a lane.
const RING_ITEMS: usize = 8_192;
/// Items that are pushed at once at most, where runs are: as many as the engine does.
const RUN_ITEMS: usize = 256;

/// Pushes as the situation says; pops one by one.
pub(crate) struct RingbufPopLoop;

impl Peer<Situation> for RingbufPopLoop {
    fn name(&self) -> &'static str {
        "ringbuf pop loop"
    }

    fn run(&self, case: Situation) -> Result<Run, Failure> {
        let (mut producer, consumer) = ringbuf::ring(RING_ITEMS);
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
            let mut rows = case.workload.rows();
            if case.load == Load::Each {
                for row in rows {
                    producer.push(row, wake::BRIEF_SPIN).map_err(|_| "the ring was closed")?;
                }
            } else {
                let mut pause = Pause::default();
                let mut pushed = 0;
                while pushed < case.workload.items {
                    let mut run = producer.fill(RUN_ITEMS);
                    if run.extend(rows.by_ref()) == 0 {
                        drop(run);
                        pause.wait();
                        continue;
                    }
                    pushed += run.commit().map_err(|_| "the ring was closed")? as u64;
                    pause.reset();
                }
            }
            drop(producer);
            let done = consumer.join().map_err(|_| "the consumer panicked")?;
            Ok(Run::of_throughput(done.ended - begun, done.trivial.handled()))
        })
    }
}

fn consume(mut ring: Consumer<Row>, mut trivial: Trivial) -> Done {
    let mut pause = Pause::default();
    let mut last_look = false;
    loop {
        match ring.pop() {
            Some(row) => {
                trivial.handle(row.key, std::slice::from_ref(&row));
                pause.reset();
            }
            None if last_look => return trivial.done(),
            None => {
                pause.wait();
                // What was pushed before the end is there now.
                last_look = ring.is_closed();
            }
        }
    }
}
