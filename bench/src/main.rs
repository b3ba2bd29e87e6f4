//! Benchmarks of Tidegate against what people would use instead.
//!
//! Every run computes a checksum of what arrived, in its order, and a run whose checksum is not the
//! expected one fails the whole program: a queue that loses items is fast.
//!
//! A workload (`ring`, `engine`, …) is a module with cells; a cell is a situation, the project's own
//! contender and one peer; a contest is a cell's runs in turns; a tournament is all the cells that were
//! asked for, one after the other, printed as they finish and reported at the end.
#![expect(clippy::print_stdout, reason = "its results are what this program is for")]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

mod bound;
mod cell;
mod checksum;
mod claims;
mod contest;
mod cores;
mod engine;
mod entities;
mod fault;
mod formation;
mod gaps;
mod group;
mod interrupt;
mod limits;
mod load;
mod machine;
mod noise;
mod options;
mod pause;
mod peer;
mod pinning;
mod progress;
mod quartiles;
mod registry;
mod report;
mod ring;
mod run;
mod selection;
mod smoke;
mod times;
mod tournament;
mod trivial;
mod wheel;
mod workload;
mod zipf;

use options::{Command, Options};

/// What stops a benchmark: a setting, a peer, or a checksum.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let outcome = match Options::parse().command {
        Command::Smoke(smoke) => smoke::run(&smoke).map(|()| ExitCode::SUCCESS),
        Command::Ring(contests) => tournament::run(&["ring"], &contests, None),
        Command::Group(contests) => tournament::run(&["group"], &contests, None),
        Command::Wheel(contests) => tournament::run(&["wheel"], &contests, None),
        Command::Engine(contests) => tournament::run(&["engine"], &contests, None),
        Command::Entities(contests) => tournament::run(&["entities"], &contests, None),
        Command::Formation(contests) => tournament::run(&["formation"], &contests, None),
        Command::Claims(contests) => tournament::run(&["claims"], &contests, None),
        Command::Load(contests) => tournament::run(&["load"], &contests, None),
        Command::All(contests) => tournament::run(&registry::names(), &contests, None),
        Command::Compare(compare) => {
            tournament::run(&registry::names(), &compare.contests, compare.with.as_deref())
        }
    };
    outcome.unwrap_or_else(|failure| {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "bench: {failure}");
        ExitCode::FAILURE
    })
}
