//! W6: what was promised of batches, each promise put to the test against one item at a time in the same
//! build.
//!
//! First of all, that batches of one are a fair opponent: hardly slower than a loop that pops and handles.
//! Then throughput, the engine's own overhead, processor time, tails, what batches add to them, formation,
//! a floor, and memory; each with handlers whose calls cost nothing, a fixed time, a transaction, a sync or
//! a round trip. What the handlers brought to their places is read back and must be what was pushed.

mod backlog;
mod bytes;
mod delays;
mod echo;
mod file;
mod flooded;
mod folder;
mod formed;
mod memory;
mod paced;
mod passage;
mod pop_loop;
mod prediction;
mod price;
mod processor;
mod ringbuf_pop_loop;
mod rtrb_pop_loop;
mod schedule;
mod situation;
mod spinning;
mod sqlite;

use backlog::Backlogged;
use delays::{Added, Delayed};
use flooded::{Flooded, KEYS};
use formed::Formed;
use memory::{GroupedByMap, Planned};
use price::Price;
use processor::Processor;
use ringbuf_pop_loop::RingbufPopLoop;
use rtrb_pop_loop::RtrbPopLoop;
use schedule::Arrivals;
use situation::{Claim, Load, Mode, Situation};

use crate::bound::Bound;
use crate::cell::Cell;
use crate::peer::Peer;
use crate::workload::Workload;

/// All cells, in the order to run.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = fair();
    cells.extend(throughput());
    cells.extend(overhead());
    cells.extend(processor());
    cells.extend(tail());
    cells.extend(added());
    cells.push(formation());
    cells.extend(floor());
    cells.extend(memory());
    cells
}

fn situation(claim: Claim, price: Price, load: Load, items: u64) -> Situation {
    Situation { claim, price, load, workload: Workload { items, keys: KEYS } }
}

/// A claim's words last as long as the program, as its cells do.
fn words(claim: String) -> &'static str {
    claim.leak()
}

/// `Single` is within 1.2 of a loop written by hand: with a handler that does nothing, and with one whose
/// calls cost as little and as much as in the other claims.
fn fair() -> Vec<Cell> {
    let mut cells = Vec::new();
    let situations = [
        (Price::Free, Load::Each, 1_000_000),
        (Price::Free, Load::Runs, 1_000_000),
        (Price::Busy(1), Load::Runs, 50_000),
        (Price::Busy(5), Load::Runs, 10_000),
    ];
    for (price, load, items) in situations {
        let case = situation(Claim::Fair, price, load, items);
        let price = price.words();
        let claim = words(format!("one at a time is a fair opponent, {price}, {load}"));
        let rtrb = Cell::new(case, &Flooded(Mode::Single), &RtrbPopLoop);
        let ringbuf = Cell::new(case, &Flooded(Mode::Single), &RingbufPopLoop);
        cells.extend([rtrb, ringbuf].map(|cell| cell.with_target(0.83).with_claim(claim)));
    }
    cells
}

/// 3 to 5 times as fast where a call costs something, and as fast where it doesn't.
fn throughput() -> Vec<Cell> {
    let prices = [
        (Price::Free, None),
        (Price::Busy(1), None),
        (Price::Busy(5), Some(3.0)),
        (Price::Busy(20), Some(3.0)),
        (Price::Sqlite, Some(3.0)),
        (Price::File, Some(3.0)),
        (Price::Echo, Some(3.0)),
    ];
    let cell = |(price, target): (Price, Option<f64>)| {
        let case = situation(Claim::Throughput, price, Load::Runs, flooded::items(price));
        let cell = Cell::new(case, &Flooded(Mode::Tiers), &Flooded(Mode::Single))
            .with_claim(words(format!("3-5x throughput at high load, {}", price.words())));
        target.into_iter().fold(cell, Cell::with_target)
    };
    prices.into_iter().map(cell).collect()
}

/// 60 % less of the engine's own time per item: asked where batches fill, reported where there are many keys.
fn overhead() -> Vec<Cell> {
    let cell = |keys| {
        let workload = Workload { items: 1 << 18, keys };
        let case =
            Situation { workload, ..situation(Claim::Overhead, Price::Free, Load::Backlog, 0) };
        Cell::new(case, &Backlogged(Mode::Tiers), &Backlogged(Mode::Single))
            .with_claim(words(format!("60 % less overhead outside the handler, {keys} keys")))
    };
    vec![cell(KEYS).with_target(2.5), cell(1_000)]
}

/// 40 % less processor time: a ratio of 1.67. Asked of bursts, and of batches that linger; where items come
/// evenly and none lingers, what there is to save depends on the load, and is reported.
fn processor() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (price, items) in [(Price::Busy(5), 25_000), (Price::Free, 1_000_000), (Price::Sqlite, 200)]
    {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson, Arrivals::Bursts(200)] {
            let load = Load::Paced { arrivals, percent: 70, of: Mode::Single };
            let case = situation(Claim::Processor, price, load, items);
            let cell = |subject: &'static dyn Peer<Situation>| {
                Cell::new(case, subject, &Processor(Mode::Single))
                    .with_claim(words(format!("40 % less CPU, {}, {arrivals}", price.words())))
            };
            let (tiers, hundred) = (cell(&Processor(Mode::Tiers)), cell(&Processor(Mode::Hundred)));
            cells.extend(match (price, arrivals) {
                (Price::Busy(_), Arrivals::Bursts(_)) => {
                    [tiers, hundred].map(|it| it.with_target(1.67))
                }
                (Price::Busy(_), _) => [tiers, hundred.with_target(1.67)],
                _ => [tiers, hundred],
            });
        }
    }
    cells
}

/// 99 of 100 items within 50 ms, of what the engine itself takes at most.
fn tail() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (price, items) in
        [(Price::Free, 3_000_000), (Price::Busy(5), 3_000_000), (Price::Sqlite, 4_000)]
    {
        for percent in [50, 80, 95] {
            let load = Load::Paced { arrivals: Arrivals::Constant, percent, of: Mode::Tiers };
            let case = situation(Claim::Tail, price, load, items);
            let bound = &const { Bound { name: "50 ms", ns: 50e6 } };
            let cell = Cell::new(case, &Delayed(Mode::Tiers), bound).with_claim(words(format!(
                "p99 < 50 ms at {percent} % of the own maximum, {}",
                price.words()
            )));
            cells.push(if percent < 95 { cell.with_target(1.0) } else { cell });
        }
    }
    cells
}

/// Less than 10 ms more than one at a time, up to 70 % of what that takes.
fn added() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (price, items) in [(Price::Busy(5), [2_500, 12_500, 17_500]), (Price::Free, [300_000; 3])] {
        for (percent, items) in [10, 50, 70].into_iter().zip(items) {
            let load = Load::Paced { arrivals: Arrivals::Poisson, percent, of: Mode::Single };
            let case = situation(Claim::Added, price, load, items);
            let bound = &const { Bound { name: "10 ms", ns: 10e6 } };
            let cell = Cell::new(case, &Added(Mode::Tiers), bound)
                .with_claim(words(format!(
                    "< 10 ms added at {percent} % of one at a time, {}",
                    price.words()
                )))
                .with_target(1.0);
            cells.push(cell);
        }
    }
    cells
}

/// Less than a millisecond from a turn's start to hand-over, for bursts of 200 that are there at once: of one
/// key, so that the turn that sees them fills their batches and hands them over.
fn formation() -> Cell {
    let load = Load::Paced { arrivals: Arrivals::Bursts(200), percent: 5, of: Mode::Single };
    let workload = Workload { items: 200_000, keys: 1 };
    let case = Situation { workload, ..situation(Claim::Formation, Price::Free, load, 0) };
    Cell::new(case, &Formed(Mode::Tiers), &const { Bound { name: "1 ms", ns: 1e6 } })
        .with_claim("formation of a burst of 200 < 1 ms, p99")
        .with_target(1.0)
}

/// 10,000 items a second.
fn floor() -> Vec<Cell> {
    let prices = [Price::Free, Price::Busy(20), Price::Sqlite, Price::File, Price::Echo];
    let cell = |price| {
        let case = flooded::situation(price, Mode::Tiers);
        let case = Situation { claim: Claim::Floor, ..case };
        Cell::new(case, &Flooded(Mode::Tiers), &const { Bound { name: "10,000/s", ns: 100e3 } })
            .with_claim(words(format!("10,000 operations/s, {}", price.words())))
            .with_target(1.0)
    };
    prices.into_iter().map(cell).collect()
}

/// At most 64 bytes for each waiting item of 32; and against grouping by a map.
fn memory() -> Vec<Cell> {
    let case = |each: u64| {
        let workload = Workload { items: each * 1_000, keys: 1_000 };
        Situation { workload, ..situation(Claim::Memory, Price::Free, Load::Waiting, 0) }
    };
    let cell = |each, peer: &'static dyn Peer<Situation>| {
        Cell::new(case(each), &Planned, peer)
            .with_claim(words(format!("memory of a waiting item of 32 bytes, {each} a key")))
            .in_unit("B")
    };
    let bound = &const { Bound { name: "64 bytes", ns: 64.0 } };
    let bounds = [199, 50].map(|each| cell(each, bound).with_target(1.0));
    bounds.into_iter().chain([199, 50].map(|each| cell(each, &GroupedByMap))).collect()
}

#[cfg(test)]
mod tests;
