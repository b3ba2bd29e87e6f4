//! Grouping alone, on one thread: items are there already, in polls of 256; they go into batches of up to
//! 100 of one key, which go to the trivial handler when they are full, and all of them after each 782
//! polls (200,192 items, or 10 ms of 20 million items a second).
//!
//! Every contender hashes every key itself, within the time that is measured. As many windows as it takes
//! until each key has been there warm up what is used again: they are not measured, but they are checked.

mod engine;
mod keys;
mod rows;
mod std_map;
mod vecs_reused;

use std::time::Instant;

use self::engine::Engine;
use crate::Failure;
use crate::cell::Cell;
use crate::checksum::Digest;
use crate::peer::{Case, Peer};
use crate::pinning::on_last_core;
use crate::run::{Handled, Run};
use crate::trivial::Trivial;
use crate::workload::Row;
use keys::Dist;
use rows::{Named, Pushed};
use std_map::StdMap;
use vecs_reused::VecsReused;

/// Items that arrive at a time.
const POLL_ITEMS: usize = 256;
/// Polls after which everything open goes.
const WINDOW_POLLS: usize = 782;

/// What an item's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyType {
    U64,
    Str,
}

/// A number of keys, how often each comes, and what they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grouping {
    keys: u32,
    dist: Dist,
    key_type: KeyType,
    /// Windows that are measured.
    windows: usize,
}

impl Case for Grouping {
    const WORKLOAD: &'static str = "group";

    fn cell(&self) -> String {
        let Self { keys, dist, .. } = self;
        let key_type = match self.key_type {
            KeyType::U64 => "u64",
            KeyType::Str => "str",
        };
        format!("keys={keys} dist={dist} key={key_type} item=32")
    }

    fn expected(&self) -> Digest {
        match self.key_type {
            KeyType::U64 => self.digest::<Row>(),
            KeyType::Str => self.digest::<Named>(),
        }
    }
}

impl Grouping {
    fn digest<T: Pushed>(&self) -> Digest {
        let mut trivial = Trivial::new(self.keys);
        let rows = self.rows::<T>();
        let windows = Self::warm_up_windows(&rows) + self.windows;
        for row in polls(&rows).take(windows * WINDOW_POLLS).flatten() {
            trivial.handle(row.number(), std::slice::from_ref(row));
        }
        trivial.handled().digest
    }

    /// A table of rows, which is gone through as often as need be: small enough for the second-level
    /// cache while the keys are few, so that what is measured is not the reading of the rows, and
    /// large enough for most of very many keys.
    fn rows<T: Pushed>(&self) -> Vec<T> {
        let rows = (4 * self.keys).next_power_of_two().clamp(1 << 14, 1 << 20);
        let keys = self.dist.draws(self.keys, rows);
        (0..).zip(keys.iter()).map(|(seq, key)| T::new(*key, seq)).collect()
    }

    /// Windows before the clock starts: at least two, and the whole table.
    fn warm_up_windows<T>(rows: &[T]) -> usize {
        rows.len().div_ceil(WINDOW_POLLS * POLL_ITEMS).max(2)
    }
}

/// What arrives, poll by poll, without end.
fn polls<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    rows.chunks_exact(POLL_ITEMS).cycle()
}

/// A way of grouping.
trait Grouper<T: Pushed> {
    /// Takes what memory it can take beforehand.
    fn new(case: Grouping) -> Self;

    /// So many items have arrived.
    fn poll(&mut self, rows: &[T]);

    /// Everything open goes.
    fn flush(&mut self);

    /// What the handler saw.
    fn handled(&self) -> Handled;
}

/// Runs a case with a contender.
fn drive<T: Pushed, G: Grouper<T>>(case: Grouping) -> Run {
    let rows = case.rows::<T>();
    let mut polls = polls(&rows);
    let mut grouper = G::new(case);
    let mut run_windows = |windows| {
        for _ in 0..windows {
            polls.by_ref().take(WINDOW_POLLS).for_each(|rows| grouper.poll(rows));
            grouper.flush();
        }
    };
    run_windows(Grouping::warm_up_windows(&rows));
    let begun = Instant::now();
    run_windows(case.windows);
    let elapsed = begun.elapsed();
    let items = case.windows * WINDOW_POLLS * POLL_ITEMS;
    Run::of_throughput(elapsed, grouper.handled()).at(elapsed.as_nanos() as f64 / items as f64)
}

/// A contender, by its way of grouping either type of rows.
struct Contender {
    name: &'static str,
    by_number: fn(Grouping) -> Run,
    by_name: fn(Grouping) -> Run,
}

impl Peer<Grouping> for Contender {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, case: Grouping) -> Result<Run, Failure> {
        let drive = match case.key_type {
            KeyType::U64 => self.by_number,
            KeyType::Str => self.by_name,
        };
        on_last_core(|| drive(case)).map_err(|_| format!("{} panicked", self.name).into())
    }
}

static ENGINE: Contender = Contender {
    name: "grouping",
    by_number: drive::<Row, Engine<Row>>,
    by_name: drive::<Named, Engine<Named>>,
};

static PEERS: [Contender; 2] = [
    Contender {
        name: "std HashMap of Vecs per poll",
        by_number: drive::<Row, StdMap<Row>>,
        by_name: drive::<Named, StdMap<Named>>,
    },
    Contender {
        name: "hashbrown + foldhash, Vecs reused",
        by_number: drive::<Row, VecsReused<Row>>,
        by_name: drive::<Named, VecsReused<Named>>,
    },
];

/// Numbers of keys, and the windows that make a run long enough to be measured.
const KEYS: [(u32, usize); 5] = [(8, 8), (1_000, 8), (10_000, 5), (100_000, 4), (1_000_000, 3)];

/// All cells.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for peer in &PEERS {
        for key_type in [KeyType::U64, KeyType::Str] {
            for dist in [Dist::Uniform, Dist::Zipf] {
                let case = |(keys, windows)| Grouping { keys, dist, key_type, windows };
                cells.extend(KEYS.map(|keys| Cell::new(case(keys), &ENGINE, peer)));
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> impl Iterator<Item = Grouping> {
        [KeyType::U64, KeyType::Str].into_iter().flat_map(|key_type| {
            [(1, Dist::Uniform), (3_000, Dist::Zipf), (50_000, Dist::Uniform)]
                .map(move |(keys, dist)| Grouping { keys, dist, key_type, windows: 1 })
        })
    }

    #[test]
    fn everybody_hands_over_every_row_once_and_in_the_order_of_its_key() {
        for case in cases() {
            let expected = case.expected();
            assert!(expected.items() >= 3 * 782 * 256);
            for contender in PEERS.iter().chain([&ENGINE]) {
                let run = contender.run(case).expect("it groups");
                assert_eq!(run.handled.digest, expected, "{}: {}", contender.name, case.cell());
                assert!(run.handled.mean_batch() <= 100.0);
                assert!(run.ns > 0.0);
            }
        }
    }

    /// A way of grouping that hands one row over once too often.
    struct Twice(StdMap<Row>);

    impl Grouper<Row> for Twice {
        fn new(case: Grouping) -> Self {
            Self(StdMap::new(case))
        }

        fn poll(&mut self, rows: &[Row]) {
            self.0.poll(rows);
        }

        fn flush(&mut self) {
            self.0.poll(&[Row::new(0, 0)]);
        }

        fn handled(&self) -> Handled {
            self.0.handled()
        }
    }

    #[test]
    fn a_row_that_comes_twice_is_found() {
        let case = Grouping { keys: 8, dist: Dist::Uniform, key_type: KeyType::U64, windows: 1 };
        let run = drive::<Row, Twice>(case);
        let mismatch = run.handled.digest.check(case.expected(), "twice");
        assert!(mismatch.unwrap_err().to_string().contains("more than once"));
    }

    #[test]
    fn no_two_cells_are_the_same() {
        let lines: std::collections::HashSet<_> = cells().iter().map(Cell::line).collect();
        assert_eq!(lines.len(), cells().len());
    }
}
