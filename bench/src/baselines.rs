//! The engine against what is written by hand today.
//!
//! Engine and baseline run in turns, so that a machine that slows down slows both; what counts is the
//! ratio within a pair. Both batch up to the same size with the same deadline, the consumer on the same
//! core, and both push in the cheapest way they have.

use engine::Sizing;

use crate::Failure;
use crate::checksum::Digest;
use crate::options::Baselines;
use crate::peers::engine::Setup;
use crate::peers::{self, BATCH_ITEMS, Run};
use crate::quartiles::Quartiles;
use crate::workload::Workload;

struct Baseline {
    name: &'static str,
    run: fn(Workload) -> Result<Run, Failure>,
}

const BASELINES: [Baseline; 2] = [
    Baseline { name: "crossbeam-channel + HashMap", run: peers::channel_map::run },
    Baseline { name: "rtrb + hashbrown + Vecs", run: peers::ring_map::run },
];

const ENGINE: Setup = Setup { sizing: Sizing::Fixed(BATCH_ITEMS as u32), shards: 1, runs: true };

struct Pair {
    engine: Run,
    baseline: Run,
}

impl Baseline {
    fn pair(&self, workload: Workload, expected: Digest) -> Result<Pair, Failure> {
        let engine = peers::engine::run(workload, ENGINE)?;
        engine.handled.digest.check(expected, "engine")?;
        let baseline = (self.run)(workload)?;
        baseline.handled.digest.check(expected, self.name)?;
        Ok(Pair { engine, baseline })
    }
}

/// Runs every baseline at every number of keys.
pub(crate) fn run(options: &Baselines) -> Result<(), Failure> {
    println!(
        "ns per item (mean batch), and how many times faster the engine is: median [quartiles]"
    );
    println!("{:<28} {:>8}  {:>16}  {:>16}  ratio", "baseline", "keys", "engine", "baseline");
    for baseline in &BASELINES {
        for &keys in &options.keys {
            let workload = Workload { items: options.items, keys };
            let expected = workload.digest();
            // The first pair warms caches, clock and allocator, and does not count.
            baseline.pair(workload, expected)?;
            let pairs: Vec<Pair> = (0..options.pairs)
                .map(|_| baseline.pair(workload, expected))
                .collect::<Result<_, _>>()?;
            let ratios =
                pairs.iter().map(|pair| pair.baseline.ns_per_item() / pair.engine.ns_per_item());
            println!(
                "{:<28} {keys:>8}  {:>16}  {:>16}  {}",
                baseline.name,
                describe(pairs.iter().map(|pair| &pair.engine)),
                describe(pairs.iter().map(|pair| &pair.baseline)),
                Quartiles::of(ratios)
            );
        }
    }
    Ok(())
}

/// `12.3 (99.8)`: the median of the times, and the mean batch over all.
fn describe<'r>(runs: impl Iterator<Item = &'r Run> + Clone) -> String {
    let time = Quartiles::of(runs.clone().map(Run::ns_per_item)).median;
    let batch = Quartiles::of(runs.map(|run| run.handled.mean_batch())).median;
    format!("{time:.1} ({batch:.1})")
}
