//! A folder for the time of a run.

use tempfile::TempDir;

/// An empty folder beside the running program: on the disk that it was built on, where a sync is one, and
/// not in a temporary folder, which may lie in memory.
///
/// # Errors
///
/// When no folder can be made there.
pub(crate) fn on_disk() -> std::io::Result<TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or_else(|| ".".as_ref());
    tempfile::Builder::new().prefix("bench-").tempdir_in(beside)
}
