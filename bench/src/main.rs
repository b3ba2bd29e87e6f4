//! Benchmarks of Tidegate against what people would use instead.
//!
//! Every run computes a checksum of what arrived, in its order, and a run whose checksum is not the
//! expected one fails the whole program: a queue that loses items is fast.
#![expect(clippy::print_stdout, reason = "its results are what this program is for")]

use std::process::ExitCode;

use clap::Parser;

mod baselines;
mod checksum;
mod options;
mod peers;
mod pinning;
mod quartiles;
mod smoke;
mod workload;

use options::{Command, Options};

/// What stops a benchmark: a setting, or a checksum.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let outcome = match Options::parse().command {
        Command::Smoke(smoke) => smoke::run(&smoke),
        Command::Baselines(baselines) => baselines::run(&baselines),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
