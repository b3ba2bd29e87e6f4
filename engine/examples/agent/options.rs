//! What the program is asked to do.

use std::ffi::OsString;
use std::path::PathBuf;

use engine::Sizing;

pub(crate) const USAGE: &str = "usage: agent [--sizing single|fixed:N|tiers] [--step] [FILE]";

pub(crate) const HELP: &str = "\
An agent: signals in, state out, and the batches in between to be seen.

  FILE           signals, one a line [default: standard input]
  --sizing HOW   how batches are sized: single, fixed:N, or tiers [default: tiers]
  --step         handle signals one by one, and show the state after each
  -h, --help     say this

A line is a signal's type, whom it is for, and what goes where; or the same as JSON:

  agent.set 7 lamp.on=1 lamp.colour=\"warm white\"
  agent.update 7 lamp.on=0                 merges
  agent.add 7 visits=1
  agent.delete 7 lamp.colour
  agent.reset 7 lamp
  {\"type\": \"agent.update\", \"id\": 7, \"values\": {\"lamp\": {\"on\": 0}}}

Exit codes: 0 when every line was understood and every signal done, 1 if not, 2 for wrong options.";

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    Help,
    Run(Options),
}

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) sizing: Sizing,
    /// Signal by signal.
    pub(crate) step: bool,
    /// Standard input, if there is none.
    pub(crate) file: Option<PathBuf>,
}

impl Options {
    /// # Errors
    ///
    /// What can't be understood.
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Asked, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--help" | "-h") => return Ok(Asked::Help),
                Some("--step") => options.step = true,
                Some("--sizing") => {
                    let value = words.next().ok_or("--sizing needs a value")?;
                    options.sizing = sizing(&value.to_string_lossy())?;
                }
                Some(other) if other.starts_with('-') => {
                    return Err(format!("unknown option {other}"));
                }
                _ if options.file.is_some() => return Err("one file at most".to_owned()),
                _ => options.file = Some(PathBuf::from(word)),
            }
        }
        Ok(Asked::Run(options))
    }
}

fn sizing(value: &str) -> Result<Sizing, String> {
    match value.split_once(':') {
        None if value == "single" => Ok(Sizing::Single),
        None if value == "tiers" => Ok(Sizing::default()),
        Some(("fixed", items)) => {
            items.parse().map(Sizing::Fixed).map_err(|error| format!("--sizing {value}: {error}"))
        }
        _ => Err(format!("--sizing {value}: expected single, fixed:N or tiers")),
    }
}
