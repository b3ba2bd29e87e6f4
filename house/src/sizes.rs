//! Files stay small enough to be read in one go.

use crate::breach::Breach;
use crate::source::Source;

/// A file that may be longer than the others.
#[derive(Debug, Clone, Copy)]
pub struct Longer {
    /// The file.
    pub path: &'static str,
    /// How many lines of code it may have.
    pub lines: usize,
    /// Why it is not split.
    pub reason: &'static str,
}

/// Finds files of more than `lines` lines of code (comments, blanks and tests do not count), but for
/// those in the table; and rows of the table that are not needed any more.
#[must_use]
pub fn check(lines: usize, table: &[Longer], sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for source in sources {
        let found = source.code_lines();
        let row = table.iter().find(|row| row.path == source.path);
        let allowed = row.map_or(lines, |row| row.lines);
        if found > allowed {
            let what = format!(
                "{found} lines of code, and {allowed} are allowed: split it along a noun, or give the \
                 table of longer files a reason why not"
            );
            breaches.push(Breach::new(&source.path, 0, what));
        } else if row.is_some() && found <= lines {
            let what = format!("{found} lines of code: drop it from the table of longer files");
            breaches.push(Breach::new(&source.path, 0, what));
        }
    }
    for row in table.iter().filter(|row| !sources.iter().any(|source| source.path == row.path)) {
        breaches.push(Breach::new(
            row.path,
            0,
            "is in the table of longer files and does not exist",
        ));
    }
    breaches
}
