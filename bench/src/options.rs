//! What the program is asked to do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Benchmarks of Tidegate against what people would use instead.
///
/// Times are wall time, of one process on this machine, now. Subject and peer run in turns, and what
/// counts is the ratio within a pair: above 1, the subject is faster.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A quick look at ring and engine, with every checksum checked.
    Smoke(Smoke),
    /// One producer hands items to one consumer: sizes of items, lengths of bursts, round trips.
    Ring(Contests),
    /// Grouping by key alone, on one thread.
    Group(Contests),
    /// Timers: to arm, to cancel, to expire.
    Wheel(Contests),
    /// End to end: producers, shards, a trivial handler that reads every byte.
    Engine(Contests),
    /// How many handler calls order by entity takes, against a flush at every change.
    Entities(Contests),
    /// How long bursts, wake-ups and deadlines take, as distributions.
    Formation(Contests),
    /// Each of the promised gains, with handlers that have a price.
    Claims(Contests),
    /// Open-loop load, timed from when each item should have been pushed.
    Load(Contests),
    /// Every cell of every workload.
    All(Contests),
    /// Every cell again, beside what a JSON file of an earlier run holds.
    Compare(Compare),
}

#[derive(Args, Debug)]
pub(crate) struct Smoke {
    /// Items in each run.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) items: u64,
}

/// Which cells to run, how often, and where the results go.
#[derive(Args, Debug, Default)]
pub(crate) struct Contests {
    /// Pairs of runs of each cell, after one that does not count: 11, or 5 with --quick.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) pairs: Option<u32>,
    /// Only the cells that have a target.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only the cells whose `WORKLOAD CELL SUBJECT PEER` matches.
    ///
    /// With `*` (any text, spaces too) or `?` (any one character) the whole line must match; without
    /// them it must contain the text. Upper and lower case are the same. May be given several times:
    /// then one match is enough. It is an error if nothing matches. `--list` shows the lines.
    #[arg(long, value_name = "GLOB")]
    pub(crate) only: Vec<String>,
    /// Writes machine and results to a JSON file, anew after each cell.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes machine, table and plots to one HTML file without outside links.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Prints the cells, and runs nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// A file that an earlier run wrote with --json: each row gets its ratio, and the change.
    #[arg(long, value_name = "FILE")]
    pub(crate) with: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) contests: Contests,
}

const PAIRS: u32 = 11;
const QUICK_PAIRS: u32 = 5;

impl Contests {
    /// How many pairs of each cell count.
    pub(crate) fn pairs(&self) -> u32 {
        self.pairs.unwrap_or(if self.quick { QUICK_PAIRS } else { PAIRS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn contests(arguments: &[&str]) -> Contests {
        let arguments = ["bench", "all"].iter().chain(arguments);
        match Options::try_parse_from(arguments).expect("allowed").command {
            Command::All(contests) => contests,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_options_hold_together() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_cell_has_eleven_pairs_and_a_quick_one_five_unless_a_number_is_given() {
        assert_eq!(contests(&[]).pairs(), 11);
        assert_eq!(contests(&["--quick"]).pairs(), 5);
        assert_eq!(contests(&["--quick", "--pairs", "3"]).pairs(), 3);
        assert_eq!(contests(&["--pairs", "101"]).pairs(), 101);
    }

    #[test]
    fn no_items_and_no_pairs_are_refused() {
        assert!(Options::try_parse_from(["bench", "smoke", "--items", "0"]).is_err());
        assert!(Options::try_parse_from(["bench", "all", "--pairs", "0"]).is_err());
    }

    #[test]
    fn only_may_be_given_several_times() {
        assert_eq!(contests(&["--only", "ring*", "--only", "h2"]).only, ["ring*", "h2"]);
    }

    #[test]
    fn every_workload_and_compare_take_the_same_options() {
        for workload in [
            "ring",
            "group",
            "wheel",
            "engine",
            "entities",
            "formation",
            "claims",
            "load",
            "compare",
        ] {
            let arguments = ["bench", workload, "--quick", "--only", "x", "--json", "a", "--list"];
            assert!(Options::try_parse_from(arguments).is_ok(), "{workload}");
        }
        assert!(Options::try_parse_from(["bench", "compare", "--with", "a.json"]).is_ok());
        assert!(Options::try_parse_from(["bench", "all", "--with", "a.json"]).is_err());
    }
}
