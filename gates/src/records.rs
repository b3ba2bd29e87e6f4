//! The recorded figures, in a text file: `[toolchain]`, then a line for each gate.
//!
//! ```text
//! # Comments and empty lines come first and stay.
//!
//! [rustc 1.95.0, LLVM 22.1.2, x86_64-unknown-linux-gnu, valgrind 3.19.0]
//! rings push_ring by_1           37.041   0.000
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::toolchain::{Toolchain, ToolchainError};

/// What one item costs at one gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Instructions; finite and positive.
    pub instructions: f64,
    /// Fences; `None` where they can't be told from other instructions.
    pub fences: Option<f64>,
}

/// Each gate's figure, by its name.
pub type Figures = BTreeMap<String, Figure>;

/// All that is recorded.
///
/// ```
/// let text = "# Why.\n\n[rustc 1.95.0, LLVM 22.1.2, x86_64-unknown-linux-gnu, valgrind 3.19.0]\n\
///             rings push_ring by_1     37.041    0.000\n";
/// let records: gates::Records = text.parse()?;
/// assert_eq!(records.to_string(), text);
/// # Ok::<(), gates::RecordsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    head: String,
    sections: Vec<(Toolchain, Figures)>,
}

/// A file of records that can't be read. The remedy: put the line right, or record anew.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The head of a section names no toolchain.
    #[error("line {line}: {source}")]
    Toolchain {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: ToolchainError,
    },
    /// A line is neither the head of a section nor a figure in one.
    #[error("line {0} is no figure: it should read `GROUP FUNCTION CASE INSTRUCTIONS FENCES`")]
    Line(usize),
    /// A toolchain or a gate is there twice.
    #[error("line {0} is there twice")]
    Twice(usize),
}

impl Records {
    /// The figures of exactly this toolchain.
    #[must_use]
    pub fn of(&self, toolchain: &Toolchain) -> Option<&Figures> {
        self.sections.iter().find(|(its, _)| its == toolchain).map(|(_, figures)| figures)
    }

    /// The figures of the toolchain nearest to this one, which compiles for the same target.
    #[must_use]
    pub fn nearest(&self, toolchain: &Toolchain) -> Option<(&Toolchain, &Figures)> {
        let near = self.sections.iter().filter_map(|(its, figures)| {
            toolchain.distance(its).map(|distance| (distance, its, figures))
        });
        near.min_by(|(one, ..), (other, ..)| one.cmp(other)).map(|(_, its, figures)| (its, figures))
    }

    /// Puts these figures in the place of what the toolchain had, or behind the others.
    pub fn set(&mut self, toolchain: &Toolchain, figures: Figures) {
        match self.sections.iter_mut().find(|(its, _)| its == toolchain) {
            Some((_, old)) => *old = figures,
            None => self.sections.push((toolchain.clone(), figures)),
        }
    }
}

impl FromStr for Records {
    type Err = RecordsError;

    fn from_str(text: &str) -> Result<Self, RecordsError> {
        let mut records = Self::default();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if line.is_empty() || line.starts_with('#') {
                if records.sections.is_empty() {
                    records.head.extend([line, "\n"]);
                }
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let toolchain: Toolchain = name
                    .parse()
                    .map_err(|source| RecordsError::Toolchain { line: number, source })?;
                if records.of(&toolchain).is_some() {
                    return Err(RecordsError::Twice(number));
                }
                records.sections.push((toolchain, Figures::new()));
                continue;
            }
            let wrong = RecordsError::Line(number);
            let Some((_, figures)) = records.sections.last_mut() else { return Err(wrong) };
            let Some((gate, figure)) = figure(line) else { return Err(wrong) };
            if figures.insert(gate, figure).is_some() {
                return Err(RecordsError::Twice(number));
            }
        }
        Ok(records)
    }
}

fn figure(line: &str) -> Option<(String, Figure)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [group, function, case, instructions, fences] = words[..] else { return None };
    let number = |text: &str| text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
    let instructions = number(instructions).filter(|n| *n > 0.0)?;
    let fences = if fences == "-" { None } else { Some(number(fences)?) };
    Some((format!("{group} {function} {case}"), Figure { instructions, fences }))
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        for (index, (toolchain, figures)) in self.sections.iter().enumerate() {
            writeln!(f, "{}[{toolchain}]", if index == 0 { "" } else { "\n" })?;
            let longest = figures.keys().map(String::len).max().unwrap_or(0);
            for (gate, Figure { instructions, fences }) in figures {
                let fences = fences.map_or_else(|| "-".to_owned(), |fences| format!("{fences:.3}"));
                writeln!(f, "{gate:longest$} {instructions:>10.3} {fences:>8}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "[rustc 1.95.0, LLVM 22.1.2, x86_64-unknown-linux-gnu, valgrind 3.19.0]";
    const NEWER: &str = "[rustc 1.99.0, LLVM 23.1.0, x86_64-unknown-linux-gnu, valgrind 3.19.0]";

    fn toolchain(head: &str) -> Toolchain {
        head.trim_matches(['[', ']']).parse().unwrap()
    }

    #[test]
    fn recording_replaces_the_figures_of_one_toolchain_and_leaves_the_others() {
        let text = format!("# Why.\n\n{HERE}\na b c 10.5 0\n\n{NEWER}\na b c 9 -\n");
        let mut records: Records = text.parse().unwrap();
        let figure = Figure { instructions: 11.0, fences: Some(1.0) };
        records.set(&toolchain(HERE), Figures::from([("a b d".to_owned(), figure)]));
        let again: Records = records.to_string().parse().unwrap();
        assert_eq!(again, records);
        assert_eq!(again.of(&toolchain(HERE)).unwrap()["a b d"], figure);
        assert_eq!(again.of(&toolchain(HERE)).unwrap().len(), 1);
        assert_eq!(again.of(&toolchain(NEWER)).unwrap()["a b c"].fences, None);
        assert!(records.to_string().starts_with("# Why.\n\n["));
    }

    #[test]
    fn without_figures_of_its_own_a_toolchain_finds_the_nearest() {
        let text = format!("{HERE}\na b c 10.5 0\n\n{NEWER}\na b c 9 -\n");
        let records: Records = text.parse().unwrap();
        let near = |rustc: &str| {
            let here = toolchain(HERE).to_string().replace("1.95.0", rustc);
            records.nearest(&here.parse().unwrap()).unwrap().0.clone()
        };
        assert_eq!(near("1.98.0"), toolchain(NEWER));
        assert_eq!(near("1.94.0"), toolchain(HERE));
    }

    #[test]
    fn what_is_no_record_is_refused_with_its_line() {
        for (text, error) in [
            ("a b c 1 0\n".to_owned(), RecordsError::Line(1)),
            (format!("{HERE}\na b c 1\n"), RecordsError::Line(2)),
            (format!("{HERE}\na b c 0 0\n"), RecordsError::Line(2)),
            (format!("{HERE}\na b c NaN 0\n"), RecordsError::Line(2)),
            (format!("{HERE}\na b c 1 0\na b c 1 0\n"), RecordsError::Twice(3)),
            (format!("{HERE}\n{HERE}\n"), RecordsError::Twice(2)),
        ] {
            assert_eq!(text.parse::<Records>(), Err(error), "{text}");
        }
        assert!(matches!("[x]\n".parse::<Records>(), Err(RecordsError::Toolchain { line: 1, .. })));
    }
}
