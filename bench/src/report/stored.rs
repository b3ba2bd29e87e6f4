//! The results of an earlier run, to be shown beside those of this one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Failure;
use crate::contest::Outcome;
use crate::quartiles::Quartiles;

/// The ratios in a file that an earlier run wrote.
#[derive(Debug)]
pub(crate) struct Stored {
    ratios: HashMap<Place, Quartiles>,
    origin: String,
}

/// What makes a cell the same one.
#[derive(Debug, Deserialize, PartialEq, Eq, Hash)]
struct Place {
    workload: String,
    cell: String,
    subject: String,
    peer: String,
}

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    place: Place,
    ratio_median: Option<f64>,
    ratio_q1: Option<f64>,
    ratio_q3: Option<f64>,
}

impl Row {
    /// `None` for a cell that failed then.
    fn ratio(&self) -> Option<Quartiles> {
        let (lower, median, upper) = (self.ratio_q1?, self.ratio_median?, self.ratio_q3?);
        Some(Quartiles { lower, median, upper })
    }
}

impl Stored {
    /// # Errors
    ///
    /// If the file can't be read, or no run wrote it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| told(&error))?;
        Self::parse(&text).map_err(|error| told(&error).into())
    }

    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut values: Vec<Value> = serde_json::from_str(text)?;
        if values.first().is_none_or(|facts| facts.get("machine").is_none()) {
            return Err("does not begin with the facts of a machine".into());
        }
        let facts = values.remove(0);
        let fact = |fact: &Value| fact.as_str().unwrap_or("unknown").to_owned();
        let origin = format!(
            "commit {}, {}, on {}",
            fact(&facts["machine"]["commit"]),
            fact(&facts["date"]),
            fact(&facts["machine"]["cpu"])
        );
        let rows: Vec<Row> =
            values.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
        let ratios = rows
            .into_iter()
            .filter_map(|row| row.ratio().map(|ratio| (row.place, ratio)))
            .collect();
        Ok(Self { ratios, origin })
    }

    /// From which commit, when and where.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The stored ratio of the same cell and how it changed; `same` as long as the quartiles overlap.
    pub(crate) fn beside(&self, outcome: &Outcome) -> String {
        let place = Place {
            workload: outcome.workload.to_owned(),
            cell: outcome.cell.clone(),
            subject: outcome.subject.to_owned(),
            peer: outcome.peer.to_owned(),
        };
        let Some(then) = self.ratios.get(&place) else { return "not stored".to_owned() };
        let now = outcome.ratio;
        let word = if now.lower > then.upper {
            "better"
        } else if now.upper < then.lower {
            "WORSE"
        } else {
            "same"
        };
        let change = (now.median / then.median - 1.0) * 100.0;
        format!("stored {then}: {change:+.1} %, {word}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json;
    use crate::report::tests::{outcome, quartiles, results};

    fn stored() -> Stored {
        Stored::parse(&json(&results()).expect("it can be written")).expect("a run wrote it")
    }

    #[test]
    fn a_run_can_be_compared_with_what_another_wrote() {
        let stored = stored();
        assert!(stored.origin().starts_with("commit 0123456789ab-dirty, 2026-11-18T"));
        let beside = |lower, median, upper| {
            stored.beside(&outcome("crossbeam map", quartiles(lower, median, upper)))
        };
        assert_eq!(beside(12.4, 13.2, 14.0), "stored 12.00 [11.00, 12.50]: +10.0 %, same");
        assert_eq!(beside(12.6, 15.0, 16.0), "stored 12.00 [11.00, 12.50]: +25.0 %, better");
        assert_eq!(beside(5.0, 6.0, 10.9), "stored 12.00 [11.00, 12.50]: -50.0 %, WORSE");
    }

    #[test]
    fn a_cell_that_was_not_run_or_failed_then_is_said_to_be_missing() {
        let ratio = quartiles(1.0, 1.0, 1.0);
        assert_eq!(stored().beside(&outcome("another", ratio)), "not stored");
        let failed =
            Outcome { cell: "keys=8 dist=zipf".to_owned(), ..outcome("sloppy <map>", ratio) };
        assert_eq!(stored().beside(&failed), "not stored");
    }

    #[test]
    fn a_file_that_no_run_wrote_is_refused() {
        for text in ["", "{}", "[]", "[1]", "[{\"cell\": 1}]", "[{\"machine\": {}}, 7]"] {
            assert!(Stored::parse(text).is_err(), "{text}");
        }
        assert!(Stored::read(Path::new("/nowhere/at/all.json")).is_err());
    }
}
