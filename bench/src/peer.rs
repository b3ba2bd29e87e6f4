//! Who takes part in a workload: one file and one implementation of [`Peer`] each.

use crate::Failure;
use crate::checksum::Digest;
use crate::run::Run;

/// One measured situation of a workload: how many keys, how large an item, …
pub(crate) trait Case: Copy + Send + Sync + 'static {
    /// The workload's name: `ring`, `group`, …
    const WORKLOAD: &'static str;

    /// `name=value` pairs separated by spaces, integers written out.
    fn cell(&self) -> String;

    /// What the checksum of every contender must come to.
    fn expected(&self) -> Digest;
}

/// A contender: the project's own code, or what people would use instead.
pub(crate) trait Peer<C: Case>: Sync {
    /// As it stands in the results, such as `rtrb chunks`.
    fn name(&self) -> &'static str;

    /// Does the case's work once. Set-up and warm-up are not timed; the same items, in the same
    /// order, go to the same trivial consumer, which reads every byte.
    ///
    /// # Errors
    ///
    /// When it can't: that fails the whole benchmark.
    fn run(&self, case: C) -> Result<Run, Failure>;
}
