//! What stops a thread, and how whoever waits for the thread learns of it.

use std::thread::ScopedJoinHandle;

use crate::Failure;

/// As [`Failure`], but it may go from thread to thread.
pub(crate) type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Waits for a thread.
///
/// # Errors
///
/// What the thread says, or that it panicked.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, Result<T, Fault>>) -> Result<T, Failure> {
    match thread.join() {
        Ok(ended) => ended.map_err(|fault| -> Failure { fault }),
        Err(_) => Err("a thread panicked".into()),
    }
}
