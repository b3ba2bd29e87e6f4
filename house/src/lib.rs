//! Tests over the source tree itself: the rules that a compiler does not know.
//!
//! The library reads files and finds breaches; the tests in `tests/` say what the rules are, run them
//! over the tree, and show on planted breaches that each rule can fail.
//!
//! - [`floors`]: a file imports only from lower floors, as ARCHITECTURE.md lays them out;
//! - [`bans`]: words that code must not use, each with its reason and replacement;
//! - [`unsafety`]: `unsafe` only where a table allows it;
//! - [`sizes`]: files stay small;
//! - [`papers`]: links and file names in the papers exist;
//! - [`scripts`]: scripts are strict and executable;
//! - [`cases`]: programs that must not compile, with the error that must stop them.
//!
//! Rust files are read as tokens, so a word in a string or in a comment is not taken for code, and
//! tests inside a file are told apart from what ships.

pub mod bans;
pub mod breach;
pub mod cases;
pub mod floors;
pub mod papers;
pub mod scripts;
pub mod sizes;
pub mod source;
pub mod tree;
pub mod unsafety;

pub use breach::{Breach, report};
pub use source::Source;
pub use tree::Tree;
