//! The only door to atomics, cells, fences, locks and threads.
//!
//! An ordinary build gets the standard library's types as they are. A build with
//! `--cfg tidegate_loom` gets loom's, each wrapped so that the call site of every ordering and
//! fence is known by file, line and column, and one of them can be weakened while the program
//! runs: a canary that some model must catch (see `canary.rs`). Nothing else in this crate names
//! `std::sync::atomic` or `loom`.

#[cfg(tidegate_loom)]
pub mod canary;
#[cfg(tidegate_loom)]
mod modelled;
#[cfg(not(tidegate_loom))]
mod real;

#[cfg(tidegate_loom)]
pub(crate) use modelled::*;
#[cfg(not(tidegate_loom))]
pub(crate) use real::*;
