//! What a rule found, and where.

use std::fmt;

/// One place where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Path below the root of the tree, with `/`.
    pub path: String,
    /// Line in the file, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What was found, why it is not wanted, and what to write instead.
    pub what: String,
}

impl Breach {
    /// A breach at `line` of `path` (0: the whole file).
    #[must_use]
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.what)
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.what)
        }
    }
}

/// Fails the test with every breach on a line of its own; returns where there is none.
///
/// # Panics
/// When `breaches` is not empty.
#[track_caller]
pub fn report(rule: &str, breaches: &[Breach]) {
    let list: String = breaches.iter().map(|breach| format!("\n  {breach}")).collect();
    assert!(breaches.is_empty(), "{rule}: {} breaches{list}", breaches.len());
}
