//! Holds what was counted against what is recorded.

use std::fmt;

use crate::records::{Figure, Figures};

/// What figures are held against, which says how far they may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The record of this very toolchain: 3 % more.
    Own,
    /// The record of another toolchain: 25 % more. Compilers differ by some per cent, and mistakes of the
    /// kind that matters (a lost inlining, a copy too many) by more.
    Other,
}

impl Basis {
    /// How many times the recorded figure may be found.
    #[must_use]
    pub fn at_most(self) -> f64 {
        match self {
            Self::Own => 1.03,
            Self::Other => 1.25,
        }
    }
}

/// What is said of one gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// As recorded, within the margin.
    Passed,
    /// Less than recorded by more than 3 %, against a record of this toolchain: to be recorded, so that it
    /// stays. Passes.
    Better,
    /// More instructions than the margin allows. Fails.
    Slower,
    /// More fences than the margin allows, or any at all where there must be none. Fails.
    Fenced,
    /// There is no recorded figure. Fails.
    Unrecorded,
    /// There is a recorded figure, and nothing was counted. Fails.
    Uncounted,
}

impl Verdict {
    /// Whether the gate is shut.
    #[must_use]
    pub fn fails(self) -> bool {
        !matches!(self, Self::Passed | Self::Better)
    }
}

/// A gate with what was recorded, what was found, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The gate's name.
    pub gate: String,
    /// What is recorded.
    pub recorded: Option<Figure>,
    /// What was counted now.
    pub found: Option<Figure>,
    /// What follows.
    pub verdict: Verdict,
}

/// Compares gate by gate, by name. Where one side has no count of fences, only instructions count.
///
/// ```
/// use gates::{Basis, Figure, Figures, Verdict, judge};
///
/// let of = |instructions| {
///     Figures::from([("rings push_ring by_1".to_owned(), Figure { instructions, fences: None })])
/// };
/// assert_eq!(judge(&of(37.0), &of(38.0), Basis::Own)[0].verdict, Verdict::Passed);
/// assert_eq!(judge(&of(37.0), &of(38.5), Basis::Own)[0].verdict, Verdict::Slower);
/// assert_eq!(judge(&of(37.0), &of(38.5), Basis::Other)[0].verdict, Verdict::Passed);
/// ```
#[must_use]
pub fn judge(recorded: &Figures, found: &Figures, basis: Basis) -> Vec<Finding> {
    let gone = recorded.keys().filter(|gate| !found.contains_key(*gate));
    let finding = |gate: &String| {
        let (recorded, found) = (recorded.get(gate).copied(), found.get(gate).copied());
        let verdict = match (recorded, found) {
            (Some(recorded), Some(found)) => compare(recorded, found, basis),
            (None, _) => Verdict::Unrecorded,
            (_, None) => Verdict::Uncounted,
        };
        Finding { gate: gate.clone(), recorded, found, verdict }
    };
    found.keys().chain(gone).map(finding).collect()
}

fn compare(recorded: Figure, found: Figure, basis: Basis) -> Verdict {
    // As it is written in the file: a rounded figure is no worse than itself.
    let round = |figure: f64| (figure * 1e3).round() / 1e3;
    let above = |recorded: f64, found: f64| round(found) > round(recorded) * basis.at_most();
    if recorded.fences.zip(found.fences).is_some_and(|(recorded, found)| above(recorded, found)) {
        Verdict::Fenced
    } else if above(recorded.instructions, found.instructions) {
        Verdict::Slower
    } else if basis == Basis::Own && found.instructions < recorded.instructions * 0.97 {
        Verdict::Better
    } else {
        Verdict::Passed
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.3}"));
        let (was, is) = (self.recorded.map(|r| r.instructions), self.found.map(|r| r.instructions));
        let change = was.zip(is).map_or_else(String::new, |(was, is)| {
            // No sign where there is no change to be seen.
            let percent = ((is / was - 1.0) * 1e3).round() / 10.0;
            if percent == 0.0 { "0.0 %".to_owned() } else { format!("{percent:+.1} %") }
        });
        let fences = self.found.and_then(|found| found.fences);
        let said = match self.verdict {
            Verdict::Passed => String::new(),
            Verdict::Better => "better: record it".to_owned(),
            Verdict::Slower => "TOO MANY INSTRUCTIONS".to_owned(),
            Verdict::Fenced => {
                let recorded = self.recorded.and_then(|recorded| recorded.fences);
                format!("TOO MANY FENCES, {} recorded", number(recorded))
            }
            Verdict::Unrecorded => "NOT RECORDED".to_owned(),
            Verdict::Uncounted => "NOT COUNTED".to_owned(),
        };
        let Self { gate, .. } = self;
        let (was, is, fences) = (number(was), number(is), number(fences));
        let line = format!("{gate:<42} {was:>10} {is:>10} {change:>9} {fences:>8}  {said}");
        f.write_str(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(figures: &[(&str, f64, f64)]) -> Figures {
        let figure = |&(gate, instructions, fences): &(&str, f64, f64)| {
            (gate.to_owned(), Figure { instructions, fences: Some(fences) })
        };
        figures.iter().map(figure).collect()
    }

    fn verdict(recorded: (f64, f64), found: (f64, f64), basis: Basis) -> Verdict {
        let of = |(instructions, fences)| figures(&[("a", instructions, fences)]);
        judge(&of(recorded), &of(found), basis)[0].verdict
    }

    #[test]
    fn three_per_cent_more_pass_and_anything_above_fails() {
        let judge = |found| verdict((100.0, 0.0), (found, 0.0), Basis::Own);
        assert_eq!(judge(103.0), Verdict::Passed);
        assert_eq!(judge(103.1), Verdict::Slower);
        assert_eq!(judge(97.1), Verdict::Passed);
        assert_eq!(judge(96.9), Verdict::Better);
    }

    #[test]
    fn beside_another_toolchain_a_quarter_more_passes() {
        let judge = |found| verdict((100.0, 0.0), (found, 0.0), Basis::Other);
        assert_eq!(judge(125.0), Verdict::Passed);
        assert_eq!(judge(125.1), Verdict::Slower);
        assert_eq!(judge(50.0), Verdict::Passed);
    }

    #[test]
    fn where_there_was_no_fence_the_first_one_fails_whatever_the_basis() {
        for basis in [Basis::Own, Basis::Other] {
            assert_eq!(verdict((100.0, 0.0), (100.0, 1.0), basis), Verdict::Fenced);
        }
        assert_eq!(verdict((100.0, 1.0), (100.0, 1.02), Basis::Own), Verdict::Passed);
    }

    #[test]
    fn a_figure_is_no_worse_than_what_the_file_says_of_it() {
        assert_eq!(verdict((1.0, 0.0), (1.03, 0.000_4), Basis::Own), Verdict::Passed);
    }

    #[test]
    fn gates_that_come_or_go_fail_until_they_are_recorded() {
        let findings = judge(
            &figures(&[("gone", 1.0, 0.0), ("stays", 1.0, 0.0)]),
            &figures(&[("new", 1.0, 0.0), ("stays", 1.0, 0.0)]),
            Basis::Own,
        );
        let verdicts: Vec<_> = findings.iter().map(|f| (f.gate.as_str(), f.verdict)).collect();
        let expected = [
            ("new", Verdict::Unrecorded),
            ("stays", Verdict::Passed),
            ("gone", Verdict::Uncounted),
        ];
        assert_eq!(verdicts, expected);
        assert_eq!(findings.iter().filter(|finding| finding.verdict.fails()).count(), 2);
    }
}
