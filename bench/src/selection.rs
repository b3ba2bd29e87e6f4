//! Which cells of which workloads are run.

use wildmatch::{WildMatch, WildMatchPattern};

use crate::Failure;
use crate::cell::Cell;
use crate::options::Contests;

/// What `--only` asks for.
enum Pattern {
    /// The whole line.
    Glob(WildMatch),
    /// Somewhere in the line, which is compared in lower case.
    Text(String),
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        if pattern.contains(['*', '?']) {
            return Self::Glob(WildMatchPattern::new_case_insensitive(pattern));
        }
        Self::Text(pattern.to_lowercase())
    }

    fn matches(&self, line: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(line),
            Self::Text(text) => line.to_lowercase().contains(text),
        }
    }
}

/// Those of `cells` that are asked for, in their order.
///
/// # Errors
///
/// If there are none.
pub(crate) fn select(cells: Vec<Cell>, options: &Contests) -> Result<Vec<Cell>, Failure> {
    if cells.is_empty() {
        return Err("this workload has no cells".into());
    }
    let mut selected = cells;
    if options.quick {
        selected.retain(|cell| cell.target.is_some());
        if selected.is_empty() {
            return Err("--quick runs the cells with a target, and none has one here".into());
        }
    }
    if !options.only.is_empty() {
        let patterns: Vec<Pattern> =
            options.only.iter().map(|pattern| Pattern::new(pattern)).collect();
        selected.retain(|cell| patterns.iter().any(|pattern| pattern.matches(&cell.line())));
        if selected.is_empty() {
            return Err(format!(
                "--only {} matches no cell; --list shows what there is",
                options.only.join(" --only ")
            )
            .into());
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Digest;

    fn cell(workload: &'static str, cell: &str, peer: &'static str) -> Cell {
        Cell {
            workload,
            cell: cell.to_owned(),
            subject: "tidegate",
            peer,
            target: None,
            claim: None,
            unit: "ns",
            expected: Box::new(Digest::default),
            run_subject: Box::new(|| Err("not run".into())),
            run_peer: Box::new(|| Err("not run".into())),
        }
    }

    fn cells() -> Vec<Cell> {
        vec![
            cell("ring", "item=8 burst=1", "rtrb push/pop"),
            cell("ring", "item=64 burst=256", "rtrb chunks").with_target(1.0),
            cell("engine", "keys=1000 dist=uniform item=32", "H2").not_slower(),
            cell("engine", "keys=1000 dist=zipf item=32", "crossbeam + HashMap"),
        ]
    }

    /// The places of the cells that these patterns select.
    fn selected(only: &[&str]) -> Vec<usize> {
        let options =
            Contests { only: only.iter().map(|&p| p.to_owned()).collect(), ..Contests::default() };
        let lines: Vec<String> = cells().iter().map(Cell::line).collect();
        let Ok(selected) = select(cells(), &options) else { return Vec::new() };
        selected
            .iter()
            .map(|cell| lines.iter().position(|line| *line == cell.line()).expect("one of them"))
            .collect()
    }

    #[test]
    fn a_star_crosses_everything_and_the_whole_line_must_match() {
        assert_eq!(selected(&["ring*"]), [0, 1]);
        assert_eq!(selected(&["*burst=256*"]), [1]);
        assert_eq!(selected(&["engine*h2"]), [2]);
        assert_eq!(selected(&["ring item=?*rtrb*"]), [0, 1]);
        assert_eq!(selected(&["ring item=? burst*"]), [0]);
        assert_eq!(selected(&["*"]), [0, 1, 2, 3]);
        assert!(selected(&["burst*"]).is_empty());
    }

    #[test]
    fn text_without_a_star_may_stand_anywhere_in_any_case() {
        assert_eq!(selected(&["keys=1000"]), [2, 3]);
        assert_eq!(selected(&["h2"]), [2]);
        assert_eq!(selected(&["HASHMAP"]), [3]);
        assert_eq!(selected(&["crossbeam + hashmap", "chunks"]), [1, 3]);
    }

    #[test]
    fn quick_cells_are_those_with_a_target() {
        let quick = |only: &[&str]| Contests {
            quick: true,
            only: only.iter().map(|&p| p.to_owned()).collect(),
            ..Contests::default()
        };
        assert_eq!(select(cells(), &quick(&[])).expect("two").len(), 2);
        assert_eq!(select(cells(), &quick(&["engine"])).expect("one").len(), 1);
        assert!(select(cells(), &quick(&["zipf"])).is_err());
    }

    #[test]
    fn matching_nothing_is_an_error_that_names_the_pattern() {
        let options = Contests { only: vec!["rign*".to_owned()], ..Contests::default() };
        let error = select(cells(), &options).err().expect("nothing matches");
        assert!(error.to_string().contains("rign*"), "{error}");
        assert!(select(Vec::new(), &Contests::default()).is_err());
    }
}
