//! What the program is asked to do.

use std::path::PathBuf;

use engine::Sizing;

pub(crate) const USAGE: &str = "usage: agent [--sizing single|fixed:N|tiers] [--step] [FILE]";

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
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--step" => options.step = true,
                "--sizing" => {
                    let value = words.next().ok_or("--sizing needs a value")?;
                    options.sizing = sizing(&value)?;
                }
                other if other.starts_with('-') => return Err(format!("unknown option {other}")),
                _ if options.file.is_some() => return Err("one file at most".to_owned()),
                _ => options.file = Some(PathBuf::from(word)),
            }
        }
        Ok(options)
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
