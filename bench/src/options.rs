//! What the program is asked to do.

use clap::{Args, Parser, Subcommand};

/// Benchmarks of Tidegate. Times are wall time, of one process on this machine, now.
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
    /// The engine against what is written by hand today, run in turns; ratios above 1 mean that the
    /// engine is faster.
    Baselines(Baselines),
}

#[derive(Args, Debug)]
pub(crate) struct Smoke {
    /// Items in each run.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) items: u64,
}

#[derive(Args, Debug)]
pub(crate) struct Baselines {
    /// Items in each run.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) items: u64,
    /// Pairs of runs, engine and baseline, for each number of keys.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pairs: u32,
    /// Numbers of keys, over which the items are spread evenly.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 1_000, 10_000, 100_000],
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) keys: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_options_hold_together() {
        Options::command().debug_assert();
    }

    #[test]
    fn keys_are_a_list() {
        let options = Options::try_parse_from(["bench", "baselines", "--keys", "8,1000"]);
        match options.expect("allowed").command {
            Command::Baselines(baselines) => assert_eq!(baselines.keys, [8, 1_000]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_items_and_no_pairs_are_refused() {
        assert!(Options::try_parse_from(["bench", "smoke", "--items", "0"]).is_err());
        assert!(Options::try_parse_from(["bench", "baselines", "--pairs", "0"]).is_err());
    }
}
