//! Load that comes when it comes: items have their times, whether or not anybody keeps up.
//!
//! A closed loop, in which the next item waits for the last, asks a slow consumer fewer questions while
//! it is slow, and so hides what users would have felt ("coordinated omission", Gil Tene). Here each item
//! has an intended time, from which its latency counts until its handler call has ended, also when the
//! push itself had to wait. The rates are parts of the engine's own maximum, which is found first, in the
//! same process, by pushing as fast as the engine takes.
//!
//! A ramp reaches its rate at its end. `hot` is a constant rate over keys of which few take most.

use std::sync::OnceLock;
use std::time::Duration;

use engine::{Idle, Sizing};

mod arrivals;
mod crossbeam_map;
mod draws;
mod epoch;
mod meter;
mod price;
mod schedule;
mod tidegate;

use arrivals::Arrivals;
use draws::Draws;
use meter::Seen;

pub(crate) use draws::Spread;
pub(crate) use price::Price;
pub(crate) use schedule::{Schedule, Shape};
pub(crate) use tidegate::{maximum, open_loop};

use crate::Failure;
use crate::bound::Bound;
use crate::cell::Cell;
use crate::checksum::Digest;
use crate::peer::{Case, Peer};
use crate::run::Run;

/// What is offered, and to what: one shard and one producer, each on a core of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) schedule: Schedule,
    /// At least 1.
    pub(crate) keys: u32,
    pub(crate) spread: Spread,
    pub(crate) price: Price,
    pub(crate) sizing: Sizing,
    pub(crate) idle: Idle,
}

impl Setup {
    /// What the checksum over all items must come to.
    pub(crate) fn expected(&self) -> Digest {
        let draws = Draws::of(self.keys, self.spread);
        Arrivals::digest(self.schedule, &draws, self.keys, self.schedule.items())
    }
}

/// What became of a load.
#[derive(Clone, Debug)]
pub(crate) struct LoadRun {
    pub(crate) seen: Seen,
    /// From the start of the schedule until everything was handled.
    pub(crate) elapsed: Duration,
}

impl LoadRun {
    /// Processor time of the consumer's thread, in nanoseconds per item, from before the first item
    /// until after the last.
    pub(crate) fn cpu_ns_item(&self) -> f64 {
        self.seen.cpu.as_nanos() as f64 / self.seen.handled.digest.items().max(1) as f64
    }

    /// The run with its 99th percentile as what is compared, and everything else as details.
    fn into_run(self, offered: Schedule) -> Run {
        let cpu = self.cpu_ns_item();
        let Self { seen: Seen { handled, latencies, oldest, slices, .. }, elapsed } = self;
        let quantiles = |q| slices.each_ref().map(|slice| slice.value_at_quantile(q));
        let (p50, p99) = (quantiles(0.5), quantiles(0.99));
        let tenths = |all: [u64; meter::SLICES]| all.map(micros).join(" ");
        let achieved = handled.digest.items() as f64 / elapsed.as_secs_f64();
        let compared = latencies.value_at_quantile(0.99).max(1) as f64;
        Run::of_latencies(latencies, handled)
            .at(compared)
            .with_detail(
                "rate",
                format!(
                    "offered {:.3} M/s, achieved {:.3} M/s on average",
                    offered.per_second() / 1e6,
                    achieved / 1e6
                ),
                serde_json::json!({ "offered_per_s": offered.per_second(), "achieved_per_s": achieved }),
            )
            .with_detail("consumer_cpu_ns_item", format!("consumer's CPU {cpu:.1} ns an item"), cpu)
            .with_detail(
                "oldest_p99_ns",
                format!("oldest of a batch: p99 {} µs", micros(oldest.value_at_quantile(0.99))),
                oldest.value_at_quantile(0.99),
            )
            .with_detail("p50_ns_by_tenth", format!("p50 by tenth, µs: {}", tenths(p50)), p50.to_vec())
            .with_detail("p99_ns_by_tenth", format!("p99 by tenth, µs: {}", tenths(p99)), p99.to_vec())
    }
}

fn micros(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e3)
}

/// Keys of each cell.
const KEYS: u32 = 1_000;
/// Parts of the engine's own maximum, in percent.
const PERCENTS: [u32; 5] = [10, 50, 70, 80, 95];
/// How long a load lasts.
const SPAN: Duration = Duration::from_millis(200);
/// Items of a load that a slower peer gets too, so that its backlog ends in good time.
const CONTESTED_ITEMS: u64 = 400_000;
/// How long the search for the engine's maximum takes.
const SEARCH: Duration = Duration::from_millis(500);

/// How a load spreads over time and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Constant,
    Bursts,
    Ramp,
    Hot,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Constant, Self::Bursts, Self::Ramp, Self::Hot];

    fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Bursts => "bursts",
            Self::Ramp => "ramp",
            Self::Hot => "hot",
        }
    }

    fn shape(self) -> Shape {
        match self {
            Self::Constant | Self::Hot => Shape::Constant,
            Self::Bursts => Shape::Bursts,
            Self::Ramp => Shape::Ramp,
        }
    }

    fn spread(self) -> Spread {
        match self {
            Self::Hot => Spread::Zipf,
            Self::Constant | Self::Bursts | Self::Ramp => Spread::Uniform,
        }
    }
}

/// What a handler call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Trivial,
    FiveMicros,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Trivial => "trivial",
            Self::FiveMicros => "busy-5us",
        }
    }

    fn price(self) -> Price {
        match self {
            Self::Trivial => Price::Free,
            Self::FiveMicros => Price::Busy(Duration::from_micros(5)),
        }
    }

    /// The engine's own maximum, in items a second; found once a process.
    fn maximum(self) -> Result<f64, Failure> {
        static TRIVIAL: OnceLock<Result<f64, String>> = OnceLock::new();
        static FIVE_MICROS: OnceLock<Result<f64, String>> = OnceLock::new();
        let found = match self {
            Self::Trivial => &TRIVIAL,
            Self::FiveMicros => &FIVE_MICROS,
        };
        let find = || {
            let schedule = Schedule::of_items(Shape::Flood, 1, 1.0);
            let setup = setup(schedule, Spread::Uniform, self.price());
            // The first search warms the machine up.
            maximum(setup, SEARCH / 5)?;
            maximum(setup, SEARCH)
        };
        Ok(found.get_or_init(|| find().map_err(|failure: Failure| failure.to_string())).clone()?)
    }
}

fn setup(schedule: Schedule, spread: Spread, price: Price) -> Setup {
    let (sizing, idle) = (Sizing::default(), Idle::Auto);
    Setup { schedule, keys: KEYS, spread, price, sizing, idle }
}

/// A load on an engine as it is by default.
#[derive(Clone, Copy, Debug)]
struct Load {
    kind: Kind,
    work: Work,
    percent: u32,
    most_items: u64,
}

impl Load {
    fn setup(&self) -> Result<Setup, Failure> {
        let per_second = self.work.maximum()? * f64::from(self.percent) / 100.0;
        let shape = self.kind.shape();
        let whole = Schedule::over(shape, SPAN, per_second);
        let items = whole.items().min(self.most_items);
        let schedule = Schedule::of_items(shape, items, per_second);
        Ok(setup(schedule, self.kind.spread(), self.work.price()))
    }
}

impl Case for Load {
    const WORKLOAD: &'static str = "load";

    fn cell(&self) -> String {
        let Self { kind, work, percent, most_items } = self;
        let items = match *most_items {
            u64::MAX => String::new(),
            most => format!(" items_max={most}"),
        };
        let (kind, work) = (kind.name(), work.name());
        format!(
            "shape={kind} load={percent} handler={work} keys={KEYS} item=32 producers=1 shards=1 \
             sizing=tiers quantile=99{items}"
        )
    }

    fn expected(&self) -> Digest {
        // Without a maximum there is no load: the run that follows says why.
        self.setup().map(|setup| setup.expected()).unwrap_or_default()
    }
}

struct Tidegate;

impl Peer<Load> for Tidegate {
    fn name(&self) -> &'static str {
        "tidegate"
    }

    fn run(&self, case: Load) -> Result<Run, Failure> {
        let setup = case.setup()?;
        Ok(open_loop(setup)?.into_run(setup.schedule))
    }
}

struct CrossbeamMap;

impl Peer<Load> for CrossbeamMap {
    fn name(&self) -> &'static str {
        "crossbeam channel + HashMap"
    }

    fn run(&self, case: Load) -> Result<Run, Failure> {
        let setup = case.setup()?;
        Ok(crossbeam_map::open_loop(setup)?.into_run(setup.schedule))
    }
}

/// The bound that a load's 99th percentile is held against.
const BOUND: Bound = Bound { name: "50 ms", ns: 50e6 };

/// All loads against the bound, and constant ones against what is written first.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for work in [Work::Trivial, Work::FiveMicros] {
        for percent in PERCENTS {
            for kind in Kind::ALL {
                let load = Load { kind, work, percent, most_items: u64::MAX };
                cells.push(Cell::new(load, &Tidegate, &BOUND));
            }
            let load = Load { kind: Kind::Constant, work, percent, most_items: CONTESTED_ITEMS };
            cells.push(Cell::new(load, &Tidegate, &CrossbeamMap));
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(shape: Shape, spread: Spread, price: Price) -> Setup {
        setup(Schedule::of_items(shape, 3_000, 1e6), spread, price)
    }

    #[test]
    fn a_small_load_of_each_kind_passes_its_checksum_and_times_its_items() {
        let busy = Price::Busy(Duration::from_micros(5));
        for kind in Kind::ALL {
            for price in [Price::Free, busy] {
                let setup = small(kind.shape(), kind.spread(), price);
                for open_loop in [open_loop, crossbeam_map::open_loop] {
                    let run = open_loop(setup).expect("it takes the load");
                    let digest = run.seen.handled.digest;
                    digest.check(setup.expected(), kind.name()).expect("nothing is lost");
                    assert_eq!(digest.items(), 3_000);
                    assert!(run.seen.latencies.len() >= 3_000 / 61, "{:?}", kind);
                    assert!(run.cpu_ns_item() > 0.0);
                }
            }
        }
    }

    #[test]
    fn a_maximum_is_found_with_its_checksum_right() {
        let setup = small(Shape::Flood, Spread::Zipf, Price::Free);
        let most = maximum(setup, Duration::from_millis(5)).expect("it takes what there is");
        assert!(most > 0.0 && most.is_finite(), "{most} items a second");
    }

    #[test]
    fn a_handler_with_a_price_pays_it_for_each_batch() {
        let price = Duration::from_micros(20);
        let setup = small(Shape::Flood, Spread::Uniform, Price::Busy(price));
        let run = open_loop(setup).expect("it takes the load");
        let paid = price * run.seen.handled.batches as u32;
        // Paid by one clock and timed by another; unpaid, it would take a small part of this.
        assert!(run.elapsed > paid / 2, "{:?} for {paid:?}", run.elapsed);
    }

    #[test]
    fn each_cell_has_a_name_of_its_own() {
        let mut lines: Vec<_> = cells().iter().map(Cell::line).collect();
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!((all, lines.len()), (50, 50));
    }
}
