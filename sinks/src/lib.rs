//! Ready handlers for real I/O: a *sink* turns one batch into the one call that its target does best,
//! gives a verdict per item, and knows of each error whether trying again can help.
//!
//! | sink | one batch becomes | an item is done when | a bad item |
//! |---|---|---|---|
//! | [`sqlite`] | one transaction, prepared statements | the commit returned | fails alone |
//!
//! Every sink is an [`engine::Handler`] built on the engine's public API, and each reports what went
//! wrong as the one [`SinkError`]. Statements, rows and credentials are never part of an error or of a
//! log line.
//!
//! # Features
//!
//! - `sqlite` (default): [`sqlite`], with SQLite itself compiled in.

mod error;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use error::{Cause, ConstraintKind, SinkError};
