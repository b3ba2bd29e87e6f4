//! What `scripts/gates` counts: each function is one gate, and each comes to [`gates::ITEMS`] items inside of
//! [`in_the_count`](count::in_the_count), whatever it does outside of it.
//!
//! Everything here is the same from run to run: keys, hashes (fixed seeds), the clock (made up). So the
//! counts are the same too, to the instruction, and a difference is a difference in the code.

#![allow(unused_qualifications, reason = "what the macros make of their arguments has some")]

mod count;
mod grouping;
mod producer;
mod ring;
mod rows;
mod timers;
mod turn;

use grouping::groupings;
use gungraun::prelude::*;
use gungraun::{Callgrind, EntryPoint};
use producer::producers;
use ring::rings;
use timers::alarms;
use turn::turns;

fn config() -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.entry_point(EntryPoint::Custom(count::PATTERN.to_owned()));
    // No caches: what is gated are instructions. By address, so that fences can be told from the rest.
    callgrind.args(["--cache-sim=no", "--dump-instr=yes"]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

main!(config = config(), library_benchmark_groups = [rings, producers, groupings, turns, alarms]);
