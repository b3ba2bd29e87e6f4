//! What order by entity saves: the first 100,000 real flights, each a row and an update of its aircraft, so
//! that two tables are the keys and the aircraft are the entities: [A1 B1 A2 B2 …] for each of them.
//!
//! What counts is the handler's calls, of 200 changes at most; they are the same in every run, since the
//! engine is stepped by hand. Every contender must bring each aircraft's changes in their order, across both
//! tables: there is one rolling hash for each aircraft.

mod chains;
mod flush_at_change;

use std::io::{BufRead, BufReader};
use std::sync::LazyLock;

use flate2::bufread::MultiGzDecoder;
use hashbrown::HashMap;

use crate::cell::Cell;
use crate::checksum::{Checksum, Content, Digest, fold};
use crate::peer::Case;
use crate::run::Handled;
use chains::Chains;
use flush_at_change::FlushAtChange;

/// Changes that one call takes at most: the largest of the default tiers.
const BATCH_ITEMS: usize = 200;

static FLIGHTS: &[u8] = include_bytes!("../../flights/data/flights.csv.gz");

/// The column of the aircraft's registration.
const TAILNUM: usize = 7;

/// What a flight changes in one of two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    /// 0: rows, 1: aircraft.
    table: u32,
    /// From 0, in the order of their first flights.
    aircraft: u32,
    /// The flight's number, from 0.
    seq: u64,
}

impl Content for Change {
    fn hash(&self) -> u64 {
        fold(u64::from(self.table) << 32 | u64::from(self.aircraft), self.seq)
    }
}

/// The aircraft of all flights that name one.
static AIRCRAFT: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let lines = BufReader::new(MultiGzDecoder::new(FLIGHTS)).lines().skip(1);
    lines
        .filter_map(|line| {
            let line = line.expect("the project's own copy is whole");
            let tailnum = line.split(',').nth(TAILNUM).filter(|tailnum| !tailnum.is_empty())?;
            let next = numbers.len() as u32;
            Some(*numbers.entry_ref(tailnum).or_insert(next))
        })
        .collect()
});

/// So many flights.
#[derive(Clone, Copy, Debug)]
struct Stream {
    flights: usize,
}

impl Stream {
    /// Row, aircraft, row, aircraft, …
    fn changes(self) -> impl Iterator<Item = Change> {
        (0..)
            .zip(&AIRCRAFT[..self.flights])
            .flat_map(|(seq, &aircraft)| [0, 1].map(|table| Change { table, aircraft, seq }))
    }

    fn aircraft(self) -> u32 {
        AIRCRAFT[..self.flights].iter().max().map_or(0, |most| most + 1)
    }
}

impl Case for Stream {
    const WORKLOAD: &'static str = "entities";

    fn cell(&self) -> String {
        format!("flights={} tables=2 batch={BATCH_ITEMS}", self.flights)
    }

    fn expected(&self) -> Digest {
        let mut seen = Seen::new(*self);
        self.changes().for_each(|change| seen.call(&[change]));
        seen.handled().digest
    }
}

/// The handler: what came, by aircraft.
struct Seen {
    sum: Checksum,
    calls: u64,
}

impl Seen {
    fn new(stream: Stream) -> Self {
        Self { sum: Checksum::new(stream.aircraft()), calls: 0 }
    }

    fn call(&mut self, changes: &[Change]) {
        self.calls += 1;
        for change in changes {
            self.sum.add(u64::from(change.aircraft), std::slice::from_ref(change));
        }
    }

    fn handled(&self) -> Handled {
        Handled { digest: self.sum.digest(), batches: self.calls }
    }
}

/// All cells.
pub(crate) fn cells() -> Vec<Cell> {
    let cell = |flights| Cell::new(Stream { flights }, &Chains, &FlushAtChange).in_unit("calls");
    let claim = "order by entity saves calls, flights and their aircraft";
    vec![cell(10_000), cell(100_000).with_claim(claim).with_target(50.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;

    #[test]
    fn both_bring_every_change_in_its_aircrafts_order_and_chains_take_far_fewer_calls() {
        let stream = Stream { flights: 5_000 };
        let [chains, flushed] = [&Chains as &dyn Peer<Stream>, &FlushAtChange].map(|peer| {
            let run = peer.run(stream).expect("it runs");
            assert_eq!(run.handled.digest, stream.expected(), "{}", peer.name());
            run.handled.batches
        });
        assert!(flushed >= 5_000, "each row is pushed out by its update: {flushed}");
        assert!(chains * 20 < flushed, "{chains} of {flushed}");
    }

    #[test]
    fn an_update_that_overtakes_its_row_shows() {
        let stream = Stream { flights: 100 };
        let mut changes: Vec<_> = stream.changes().collect();
        changes.swap(6, 7);
        let mut seen = Seen::new(stream);
        seen.call(&changes);
        assert_ne!(seen.handled().digest, stream.expected());
    }
}
