//! A bare hand-off: an rtrb ring, and a consumer that does nothing but look into it.
//!
//! It groups nothing, keeps no deadline and never sleeps.

use rtrb::RingBuffer;

use super::baton::Baton;
use super::os_thread::OsThread;
use super::rest::Rest;
use super::witness::Witness;
use crate::Failure;
use crate::cores::on_first;
use crate::limits::QUEUE_ITEMS;
use crate::peer::Peer;
use crate::pinning::to_last_core;
use crate::run::Run;
use crate::workload::Row;

pub(super) struct Rtrb;

impl Peer<Rest> for Rtrb {
    fn name(&self) -> &'static str {
        "rtrb, spinning"
    }

    fn run(&self, case: Rest) -> Result<Run, Failure> {
        let baton = Baton::new();
        let (mut producer, mut consumer) = RingBuffer::<Row>::new(QUEUE_ITEMS);
        let (here, consumers) = std::sync::mpsc::channel();
        let (baton, items) = (&baton, case.workload().items);
        let spinning = move || {
            to_last_core();
            // Nobody listens when the run has failed.
            let _ = here.send(OsThread::current());
            let mut witness = Witness::new(1);
            let mut come = 0;
            while come < items {
                let Ok(row) = consumer.pop() else {
                    if consumer.is_abandoned() {
                        break;
                    }
                    std::hint::spin_loop();
                    continue;
                };
                come += 1;
                witness.note_ns(baton.since_sent_ns());
                witness.handle(row.key, &[row]);
                baton.handled(1);
            }
            witness.testimony()
        };
        std::thread::scope(|scope| {
            let consumer = scope.spawn(spinning);
            let thread = consumers.recv()??;
            on_first(move || {
                for row in case.workload().rows() {
                    case.rest(&thread, baton)?;
                    baton.send();
                    producer.push(row).map_err(|_| "the ring is full")?;
                    baton.await_handled(row.seq + 1);
                }
                Ok(())
            })?;
            let testimony = consumer.join().map_err(|_| "the consumer panicked")?;
            Ok(testimony.at_percentile(50))
        })
    }
}
