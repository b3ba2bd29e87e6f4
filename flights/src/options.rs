//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use engine::{Sizing, Tiers};
use sinks::sqlite::Durability;

use crate::change::Order;

const ENDS: &str = "\
Exit codes:
  0    everything was stored (and checked, and fast enough, where that was asked for)
  1    rows failed, the check found differences, or --min-speedup was not reached
  2    malformed input, or options that cannot work; nothing was written
  3    the database, the disk or the system failed
  130  interrupted; what had been taken is stored and reported, and before that nothing is touched";

/// Stores 336,776 real flights through the engine into one SQLite file, keyed by carrier, with sums per
/// carrier and per aircraft kept in the same transactions, and says what batching gained.
#[derive(Clone, Debug, Parser)]
#[command(name = "flights", version, after_help = ENDS, max_term_width = 100)]
pub(crate) struct Options {
    /// The flights, as CSV or gzipped CSV [default: the copy in the project]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// The database file [default: flights/flights.db under the build folder]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,

    /// Replace the database and the dead letters of an earlier run; any other file is never touched
    #[arg(long)]
    pub overwrite: bool,

    /// How many rows one transaction takes: single, fixed:N, or tiers
    #[arg(long, value_name = "HOW", default_value = "tiers", value_parser = sizing)]
    pub sizing: Sizing,

    /// Threads that write; SQLite lets one write at a time, so more only take turns
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shards: u16,

    /// Threads that push; each carrier belongs to one of them
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub producers: u16,

    /// How long a row may wait for company, such as 500us, 10ms, 2s
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = duration)]
    pub flush_after: Duration,

    /// What stands in order: carrier keeps the rows of a carrier in order, each batch with all its sums
    /// in one transaction; aircraft keeps each aircraft's rows and updates in order, in one transaction a
    /// table, so that between two of them a row is stored and not yet in its aircraft's sums
    #[arg(long, value_name = "WHAT", default_value = "carrier", value_parser = order)]
    pub order: Order,

    /// How often a row is tried that the locked or full database did not take, after waits that double
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub attempts: u32,

    /// A new file for the rows that are not stored: a line of JSON each, with id, attempts, error and row
    #[arg(long, value_name = "FILE")]
    pub dead_letters: Option<PathBuf>,

    /// What a commit waits for: full (the disk), normal, off
    #[arg(long, value_name = "LEVEL", default_value = "full", value_parser = durability)]
    pub durability: Durability,

    /// Recompute everything with a plain loop and compare row by row
    #[arg(long)]
    pub check: bool,

    /// Don't measure the same rows one transaction each
    #[arg(long)]
    pub no_compare: bool,

    /// How long that measuring may take, in seconds
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub compare_seconds: u32,

    /// Fail (exit 1) unless batching is this many times faster
    #[arg(long, value_name = "X", conflicts_with = "no_compare", value_parser = ratio)]
    pub min_speedup: Option<f64>,

    /// Skip malformed rows, and list them all; the others keep their numbers
    #[arg(long)]
    pub skip_bad: bool,

    /// Print the result as one JSON object on one line, and nothing else on stdout
    #[arg(long)]
    pub json: bool,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl Options {
    /// Where the rows go.
    pub(crate) fn database(&self) -> PathBuf {
        self.db.clone().unwrap_or_else(default_database)
    }
}

/// Under the build folder that this program stands in, else in the current folder.
fn default_database() -> PathBuf {
    const NAME: &str = "flights.db";
    let build_folder = std::env::current_exe().ok().and_then(|exe| {
        let folder = exe.parent()?.parent()?.to_path_buf();
        is_build_folder(&folder).then_some(folder)
    });
    match build_folder {
        Some(folder) => folder.join("flights").join(NAME),
        None => PathBuf::from(NAME),
    }
}

/// Cargo marks its build folder so.
fn is_build_folder(folder: &Path) -> bool {
    folder.join(".rustc_info.json").is_file() || folder.join("CACHEDIR.TAG").is_file()
}

fn sizing(text: &str) -> Result<Sizing, String> {
    match text {
        "single" => Ok(Sizing::Single),
        "tiers" => Ok(Sizing::Tiers(Tiers::default())),
        _ => text
            .strip_prefix("fixed:")
            .and_then(|items| items.parse().ok())
            .filter(|items| (1..=32_768).contains(items))
            .map(Sizing::Fixed)
            .ok_or_else(|| "expected single, tiers, or fixed:N with N from 1 to 32768".to_owned()),
    }
}

/// The name of a sizing, as the command line takes it.
pub(crate) fn sizing_name(sizing: &Sizing) -> String {
    match sizing {
        Sizing::Single => "single".into(),
        Sizing::Fixed(items) => format!("fixed:{items}"),
        Sizing::Tiers(_) => "tiers".into(),
    }
}

fn order(text: &str) -> Result<Order, String> {
    [Order::Carrier, Order::Aircraft]
        .into_iter()
        .find(|order| order.name() == text)
        .ok_or_else(|| "expected carrier or aircraft".to_owned())
}

fn durability(text: &str) -> Result<Durability, String> {
    [Durability::Full, Durability::Normal, Durability::Off]
        .into_iter()
        .find(|level| level.name() == text)
        .ok_or_else(|| "expected full, normal or off".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|ratio: &f64| ratio.is_finite() && *ratio > 0.0)
        .ok_or_else(|| "expected a number above 0".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let nanos = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000_u64,
        _ => return Err("expected a whole number and a unit: ns, us, ms or s".into()),
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(nanos))
        .filter(|nanos| (1_000..=3_600_000_000_000).contains(nanos))
        .map(Duration::from_nanos)
        .ok_or_else(|| "expected 1us to 3600s, such as 500us, 10ms, 2s".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_and_a_range() {
        assert_eq!(duration("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(duration("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(duration("3600s"), Ok(Duration::from_secs(3_600)));
        assert_eq!(duration("1us"), Ok(Duration::from_micros(1)));
        for wrong in
            ["", "10", "ms", "-1ms", "1.5s", "3601s", "0ms", "999ns", "99999999999999999999s", "5m"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizings_are_named_as_they_are_given() {
        for name in ["single", "tiers", "fixed:1", "fixed:32768"] {
            assert_eq!(sizing_name(&sizing(name).unwrap()), name);
        }
        for wrong in ["", "fixed", "fixed:", "fixed:0", "fixed:32769", "Single"] {
            assert!(sizing(wrong).is_err(), "{wrong}");
        }
    }
}
