//! `engine`: end to end, from producers' pushes to a trivial handler that reads every byte, against what
//! people write today.
//!
//! Everybody batches by key up to the same size with the same deadline, has room for as many items
//! between a producer and a consumer, and consumes on the cores on which the engine's shards run. The
//! time is from the first push until the last batch was handled; threads, maps and rings are made before
//! and given back after.

use std::marker::PhantomData;

use crate::cell::Cell;
use crate::checksum::{Checksum, Digest};
use crate::peer::{Case, Peer};
use crate::workload::Row;

mod batch_aint_one;
pub(crate) mod crossbeam_map;
mod h2;
pub(crate) mod item;
pub(crate) mod map_batches;
mod multistream_batch;
mod race;
mod route;
pub(crate) mod stream;
pub(crate) mod tidegate;
mod tokio_map;

use batch_aint_one::BatchAintOne;
use crossbeam_map::CrossbeamMap;
use h2::H2;
use item::{NamedRow, Record};
use multistream_batch::MultistreamBatch;
use tidegate::{RELAYED, TIDEGATE, Tidegate, WINDOWED};
use tokio_map::TokioMap;

/// How often which key is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dist {
    /// All alike.
    Uniform,
    /// By Zipf's law with exponent 1.
    Zipf,
}

impl Dist {
    fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        }
    }
}

/// Who pushes what to how many shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineCase<T> {
    keys: u32,
    dist: Dist,
    producers: u32,
    shards: u32,
    items: u32,
    item: PhantomData<fn() -> T>,
}

impl<T: Record> EngineCase<T> {
    /// A million items from one producer to one shard.
    pub(crate) fn new(keys: u32, dist: Dist) -> Self {
        Self { keys, dist, producers: 1, shards: 1, items: 1_000_000, item: PhantomData }
    }

    /// Producers share the keys and the items evenly.
    pub(crate) fn producers(self, producers: u32) -> Self {
        Self { producers, ..self }
    }

    pub(crate) fn shards(self, shards: u32) -> Self {
        Self { shards, ..self }
    }

    /// Of all producers together; rounded down to a multiple of their number.
    pub(crate) fn items(self, items: u32) -> Self {
        Self { items, ..self }
    }
}

impl<T: Record> Case for EngineCase<T> {
    const WORKLOAD: &'static str = "engine";

    fn cell(&self) -> String {
        let Self { keys, dist, producers, shards, items, .. } = self;
        let dist = dist.name();
        let item = size_of::<T>();
        let key = match T::KEY {
            "u64" => String::new(),
            other => format!(" key={other}"),
        };
        let unusual = match *items {
            SLOW..=FAST => String::new(),
            items => format!(" items={items}"),
        };
        format!(
            "keys={keys} dist={dist} item={item} producers={producers} shards={shards}{key}{unusual}"
        )
    }

    fn expected(&self) -> Digest {
        let mut sum = Checksum::new(self.keys);
        for item in self.streams().into_iter().flatten() {
            sum.add(item.number(), &[item]);
        }
        sum.digest()
    }
}

/// What the engine competes with, and over how many items: fewer for the slow, so that no run takes
/// much longer than the others.
struct Contender<T: 'static> {
    peer: &'static dyn Peer<EngineCase<T>>,
    items: Items,
}

/// Items of a run.
#[derive(Clone, Copy)]
enum Items {
    /// So many.
    Always(u32),
    /// Fewer the more keys there are, since each key that waits costs.
    ByKeys,
}

impl Items {
    fn over(self, keys: u32) -> u32 {
        match self {
            Self::Always(items) => items,
            Self::ByKeys if keys < 100 => 50_000,
            Self::ByKeys if keys <= 1_000 => 4_000,
            Self::ByKeys => 1_000,
        }
    }
}

const FAST: u32 = 2_000_000;
const MIDDLING: u32 = 1_000_000;
/// Cells of fewer items than this, and of more than the fast, say how many.
const SLOW: u32 = 500_000;
/// Of a million keys, each comes four times.
const LONG: u32 = 4_000_000;

impl<T: Record> Contender<T> {
    const CROSSBEAM: Self = Self { peer: &CrossbeamMap, items: Items::Always(MIDDLING) };
    const TOKIO: Self = Self { peer: &TokioMap, items: Items::Always(MIDDLING) };
    const MULTISTREAM: Self = Self { peer: &MultistreamBatch, items: Items::Always(SLOW) };
    const BATCH_AINT_ONE: Self = Self { peer: &BatchAintOne, items: Items::ByKeys };
    const H2: Self = Self { peer: &H2, items: Items::Always(FAST) };
    /// As [`H2`](Self::H2), which asks for memory when it meets a key for the first time: long enough for
    /// that to be a small part of the time.
    const H2_LONG: Self = Self { peer: &H2, items: Items::Always(LONG) };
    /// What windows are measured against besides.
    const PLAIN: Self = Self { peer: &TIDEGATE, items: Items::Always(FAST) };
    const ALL: [Self; 5] =
        [Self::CROSSBEAM, Self::TOKIO, Self::MULTISTREAM, Self::BATCH_AINT_ONE, Self::H2];
    /// Those that take several producers and shards as they are.
    const SCALING: [Self; 2] = [Self::CROSSBEAM, Self::H2];

    fn cell(&self, case: EngineCase<T>, subject: &'static Tidegate) -> Cell {
        Cell::new(case.items(self.items.over(case.keys)), subject, self.peer)
    }
}

/// Windows are for keys that are rare: from so many on they are measured.
const WINDOWED_KEYS: u32 = 10_000;

/// The engine against each of them; and, where keys are many, with windows against itself without and
/// each of them.
fn contests<T: Record>(case: EngineCase<T>, contenders: &[Contender<T>]) -> Vec<Cell> {
    let mut cells: Vec<_> = contenders.iter().map(|peer| peer.cell(case, &TIDEGATE)).collect();
    if case.keys >= WINDOWED_KEYS {
        let plain = std::iter::once(&Contender::PLAIN);
        cells.extend(plain.chain(contenders).map(|peer| peer.cell(case, &WINDOWED)));
    }
    cells
}

/// How many times faster the engine should be than this peer at so many evenly drawn keys.
fn target(peer: &str, keys: u32) -> Option<f64> {
    Some(match (peer, keys) {
        ("crossbeam + HashMap", 8 | 1_000) => 10.0,
        ("crossbeam + HashMap", 100_000) => 4.0,
        ("tokio + HashMap", 8 | 1_000) => 8.0,
        ("tokio + HashMap", 100_000) => 3.0,
        ("multistream-batch", 8 | 1_000) => 15.0,
        ("multistream-batch", 100_000) => 5.0,
        ("H2", 8 | 1_000) => 1.0,
        ("H2", 10_000) => 1.3,
        ("H2", 100_000 | 1_000_000) => 2.0,
        _ => return None,
    })
}

/// Every situation, in the order to run.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for dist in [Dist::Uniform, Dist::Zipf] {
        for keys in [8, 1_000, 10_000, 100_000, 1_000_000] {
            let contests = contests(EngineCase::new(keys, dist), &Contender::<Row>::ALL);
            cells.extend(contests.into_iter().map(|cell| {
                let aimed_at = dist == Dist::Uniform && cell.subject == TIDEGATE.name;
                match target(cell.peer, keys).filter(|_| aimed_at) {
                    Some(target) => cell.with_target(target),
                    None => cell,
                }
            }));
        }
    }
    for keys in [100_000, 1_000_000] {
        let case = EngineCase::new(keys, Dist::Uniform);
        cells.extend([&TIDEGATE, &WINDOWED].map(|way| Contender::<Row>::H2_LONG.cell(case, way)));
    }
    for keys in [8, 1_000] {
        let case = EngineCase::new(keys, Dist::Uniform);
        cells.push(Contender::<Row>::PLAIN.cell(case, &RELAYED));
    }
    for keys in [1_000, 100_000] {
        let case = EngineCase::new(keys, Dist::Uniform);
        let several = [(2, 1), (4, 1), (1, 2), (2, 2)];
        for (producers, shards) in several {
            let case = case.producers(producers).shards(shards);
            cells.extend(contests(case, &Contender::<Row>::SCALING));
        }
    }
    for keys in [1_000, 100_000] {
        let case = EngineCase::new(keys, Dist::Uniform);
        cells.extend(contests(case, &Contender::<NamedRow>::ALL));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BATCH_ITEMS;

    fn check<T: Record>(case: EngineCase<T>, peers: &[&dyn Peer<EngineCase<T>>]) {
        let expected = case.expected();
        assert_eq!(expected.items(), 20_000);
        for peer in peers {
            let cell = format!("{} {}", peer.name(), case.cell());
            let run = peer.run(case).unwrap_or_else(|failure| panic!("{cell}: {failure}"));
            run.handled.digest.check(expected, &cell).unwrap_or_else(|found| panic!("{found}"));
            let mean = run.handled.mean_batch();
            assert!((1.0..=BATCH_ITEMS as f64).contains(&mean), "{cell}: {mean} items a batch");
            assert!(run.ns > 0.0, "{cell}");
        }
    }

    fn all<T: Record>() -> Vec<&'static dyn Peer<EngineCase<T>>> {
        let peers = Contender::<T>::ALL.map(|contender| contender.peer);
        peers.into_iter().chain([&TIDEGATE as _, &WINDOWED as _, &RELAYED as _]).collect()
    }

    #[test]
    fn everybody_handles_everything_once_and_in_order() {
        for keys in [1, 8, 1_000] {
            for dist in [Dist::Uniform, Dist::Zipf] {
                check(EngineCase::<Row>::new(keys, dist).items(20_000), &all());
            }
        }
    }

    #[test]
    fn keys_may_be_names() {
        check(EngineCase::<NamedRow>::new(100, Dist::Uniform).items(20_000), &all());
    }

    // Without producers that come and go: of several, one may go on in another's lane, and order is by lane.
    #[test]
    fn several_producers_and_shards_lose_nothing() {
        let peers = Contender::<Row>::SCALING.map(|contender| contender.peer);
        let peers: Vec<_> = peers.into_iter().chain([&TIDEGATE as _, &WINDOWED as _]).collect();
        for (producers, shards) in [(2, 1), (4, 1), (1, 2), (4, 2)] {
            let case = EngineCase::new(100, Dist::Uniform).producers(producers).shards(shards);
            check(case.items(20_000), &peers);
        }
    }

    #[test]
    fn windows_stand_against_the_plain_engine_and_everybody_else_wherever_keys_are_many() {
        let cells = cells();
        let of = |subject| move |cell: &&Cell| cell.subject == subject;
        let plain: Vec<_> = cells.iter().filter(of("tidegate")).collect();
        let windowed: Vec<_> = cells.iter().filter(of("tidegate windowed")).collect();
        let few = ["keys=8 ", "keys=1000 "];
        for cell in plain {
            let rivals = windowed.iter().filter(|other| {
                (other.peer, &other.cell) == (cell.peer, &cell.cell) && other.target.is_none()
            });
            let many = !few.iter().any(|few| cell.cell.starts_with(few));
            assert_eq!(rivals.count(), usize::from(many), "{}", cell.line());
        }
        let against_itself = windowed.iter().filter(|cell| cell.peer == "tidegate").count();
        assert_eq!(against_itself, 2 * 3 + 4 + 1);
    }

    #[test]
    fn every_target_of_the_plan_has_its_cell() {
        let cells = cells();
        let quick: Vec<_> = cells.iter().filter(|cell| cell.target.is_some()).collect();
        assert_eq!(quick.len(), 3 * 3 + 5);
        assert!(
            quick.iter().all(|cell| cell.cell.contains("dist=uniform")
                && cell.cell.contains("producers=1 shards=1"))
        );
    }
}
