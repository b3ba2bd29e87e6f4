//! One row of the results: a case, the project's own contender, and one of its peers.

use std::fmt;

use crate::Failure;
use crate::checksum::Digest;
use crate::peer::{Case, Peer};
use crate::quartiles::Quartiles;
use crate::run::Run;

/// A subject and a peer that do the same work.
pub(crate) struct Cell {
    pub(crate) workload: &'static str,
    /// `name=value` pairs separated by spaces.
    pub(crate) cell: String,
    pub(crate) subject: &'static str,
    pub(crate) peer: &'static str,
    /// Cells with a target are the quick ones.
    pub(crate) target: Option<Target>,
    /// What this cell shows, in a few words, if it is a promise to be shown.
    pub(crate) claim: Option<&'static str>,
    /// What the runs' figure is in.
    pub(crate) unit: &'static str,
    pub(crate) expected: Box<dyn Fn() -> Digest>,
    pub(crate) run_subject: Box<dyn Fn() -> Result<Run, Failure>>,
    pub(crate) run_peer: Box<dyn Fn() -> Result<Run, Failure>>,
}

/// What a cell's ratio should come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// The median is no lower.
    AtLeast(f64),
    /// The quartiles reach 1.
    NotSlower,
}

impl Target {
    pub(crate) fn is_met(self, ratio: Quartiles) -> bool {
        match self {
            Self::AtLeast(least) => ratio.median >= least,
            Self::NotSlower => ratio.upper >= 1.0,
        }
    }

    /// The ratio that is asked for.
    pub(crate) fn ratio(self) -> f64 {
        match self {
            Self::AtLeast(least) => least,
            Self::NotSlower => 1.0,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least:.2}"),
            Self::NotSlower => f.write_str("not slower"),
        }
    }
}

impl Cell {
    pub(crate) fn new<C: Case>(
        case: C,
        subject: &'static dyn Peer<C>,
        peer: &'static dyn Peer<C>,
    ) -> Self {
        Self {
            workload: C::WORKLOAD,
            cell: case.cell(),
            subject: subject.name(),
            peer: peer.name(),
            target: None,
            claim: None,
            unit: "ns",
            expected: Box::new(move || case.expected()),
            run_subject: Box::new(move || subject.run(case)),
            run_peer: Box::new(move || peer.run(case)),
        }
    }

    /// The subject should be so many times faster at least, in the median.
    pub(crate) fn with_target(self, target: f64) -> Self {
        Self { target: Some(Target::AtLeast(target)), ..self }
    }

    /// The subject should not be slower: the quartiles of the ratio should reach 1.
    pub(crate) fn not_slower(self) -> Self {
        Self { target: Some(Target::NotSlower), ..self }
    }

    /// This cell shows something that was promised: it gets a line in the table of claims.
    pub(crate) fn with_claim(self, claim: &'static str) -> Self {
        Self { claim: Some(claim), ..self }
    }

    /// The runs' figure is not nanoseconds, but still less is better: `B` per item, `%`, …
    pub(crate) fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// What `--only` is matched with.
    pub(crate) fn line(&self) -> String {
        format!("{} {} {} {}", self.workload, self.cell, self.subject, self.peer)
    }
}
