//! A bound as a contender: what the table of targets allows, in place of somebody to race.

use crate::Failure;
use crate::peer::{Case, Peer};
use crate::run::{Handled, Run};

/// Always comes to its bound, so that a ratio of 1 or more says that the subject keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// As it stands in the results, such as `2 µs`.
    pub(crate) name: &'static str,
    /// Nanoseconds; above 0.
    pub(crate) ns: f64,
}

impl<C: Case> Peer<C> for Bound {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, case: C) -> Result<Run, Failure> {
        let handled = Handled { digest: case.expected(), batches: 0 };
        Ok(Run::of_throughput(std::time::Duration::ZERO, handled).at(self.ns))
    }
}
