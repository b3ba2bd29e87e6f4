//! The engine with entities, stepped by hand: an aircraft's changes stand in a chain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use engine::testing::Stepped;
use engine::{Batch, Engine, Handler, Item, Settled, Sizing};

use super::{BATCH_ITEMS, Change, Seen, Stream};
use crate::Failure;
use crate::checksum::fold;
use crate::peer::Peer;
use crate::run::Run;

/// Changes that lie in the lane when a turn starts.
const PUSHED_AT_A_TIME: usize = 4_096;

impl Item for Change {
    type Key<'a> = u32;

    fn key(&self) -> u32 {
        self.table
    }

    const ENTITIES: bool = true;

    fn entity(&self) -> Option<u64> {
        Some(fold(u64::from(self.aircraft), 1))
    }
}

struct Tables(Arc<Mutex<Seen>>);

impl Handler for Tables {
    type Item = Change;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|_, changes| {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).call(changes);
            Ok(())
        })
    }
}

/// The engine.
pub(super) struct Chains;

impl Peer<Stream> for Chains {
    fn name(&self) -> &'static str {
        "entities"
    }

    fn run(&self, stream: Stream) -> Result<Run, Failure> {
        let seen = Arc::new(Mutex::new(Seen::new(stream)));
        let own = Arc::clone(&seen);
        let builder = Engine::builder(move |_| Tables(Arc::clone(&own)))
            .lane_items(PUSHED_AT_A_TIME)
            .drain_items(PUSHED_AT_A_TIME)
            .sizing(Sizing::Fixed(BATCH_ITEMS as u32));
        let mut engine = Stepped::new(builder)?;
        let mut producer = engine.producer()?;
        let changes: Vec<_> = stream.changes().collect();
        let begun = Instant::now();
        for changes in changes.chunks(PUSHED_AT_A_TIME) {
            for change in changes {
                producer.push(*change).map_err(|_| "the lane was full")?;
            }
            engine.settle();
        }
        // The last ones linger until their deadline, and so does what comes behind them.
        while engine.snapshot().settled() < changes.len() as u64 {
            engine.advance(std::time::Duration::from_millis(10));
            engine.settle();
        }
        let elapsed = begun.elapsed();
        let handled = seen.lock().unwrap_or_else(PoisonError::into_inner).handled();
        let ns = elapsed.as_nanos() as f64 / changes.len() as f64;
        Ok(Run::of_throughput(elapsed, handled).at(handled.batches as f64).with_detail(
            "ns_per_change",
            format!("{ns:.0} ns a change"),
            ns,
        ))
    }
}
