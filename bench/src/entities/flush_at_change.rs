//! What is written by hand: a batch for each table, and one that an aircraft's last change waits in is
//! handed over before the aircraft's next change goes into the other.

use std::time::Instant;

use super::{BATCH_ITEMS, Change, Seen, Stream};
use crate::Failure;
use crate::peer::Peer;
use crate::run::Run;

/// The batch of one table.
#[derive(Default)]
struct Open {
    changes: Vec<Change>,
    /// Its number, from 0.
    batch: u64,
}

impl Open {
    fn hand_over(&mut self, seen: &mut Seen) {
        if !self.changes.is_empty() {
            seen.call(&self.changes);
            self.changes.clear();
            self.batch += 1;
        }
    }
}

/// Where an aircraft's last change went.
#[derive(Clone, Copy)]
struct Place {
    table: usize,
    batch: u64,
}

/// Flushes at every conflict.
pub(super) struct FlushAtChange;

impl Peer<Stream> for FlushAtChange {
    fn name(&self) -> &'static str {
        "flush at every change"
    }

    fn run(&self, stream: Stream) -> Result<Run, Failure> {
        let changes: Vec<_> = stream.changes().collect();
        let mut seen = Seen::new(stream);
        let mut open = [Open::default(), Open::default()];
        let mut last: Vec<Option<Place>> = vec![None; stream.aircraft() as usize];
        let begun = Instant::now();
        for change in &changes {
            let table = change.table as usize;
            let place = &mut last[change.aircraft as usize];
            if let Some(before) = place
                && before.table != table
                && open[before.table].batch == before.batch
            {
                open[before.table].hand_over(&mut seen);
            }
            *place = Some(Place { table, batch: open[table].batch });
            open[table].changes.push(*change);
            if open[table].changes.len() == BATCH_ITEMS {
                open[table].hand_over(&mut seen);
            }
        }
        open.iter_mut().for_each(|open| open.hand_over(&mut seen));
        let elapsed = begun.elapsed();
        let handled = seen.handled();
        let ns = elapsed.as_nanos() as f64 / changes.len() as f64;
        Ok(Run::of_throughput(elapsed, handled).at(handled.batches as f64).with_detail(
            "ns_per_change",
            format!("{ns:.0} ns a change"),
            ns,
        ))
    }
}
