//! What no change may make worse: how many instructions an item costs, and how many fences.
//!
//! Both are counted, not timed: a benchmark (`benches/instructions`) runs each gate under callgrind, and the
//! counts are the same on every run of the same build. `scripts/gates` has them held against what is recorded
//! in `gates/records.txt`; they differ from compiler to compiler, so each record belongs to one.
//!
//! - [`Profile`] reads what callgrind counted for one gate, instruction by instruction.
//! - [`Listing`] knows from the disassembly which instructions are fences.
//! - [`Records`] is the file of recorded figures.
//! - [`judge()`] compares.

mod judge;
mod listing;
mod profile;
mod records;
mod summary;
mod toolchain;

pub use judge::{Basis, Finding, Verdict, judge};
pub use listing::Listing;
pub use profile::{Profile, ProfileError};
pub use records::{Figure, Figures, Records, RecordsError};
pub use summary::{Counted, SummaryError, counted};
pub use toolchain::{Toolchain, ToolchainError};

/// How many items each gate counts; what callgrind found is divided by it. A power of two, so that rounds of
/// any usual size come to it.
pub const ITEMS: usize = 65_536;
