//! Work on a core of its own: producers on the first, consumers on the last, where the engine's first
//! shard is.

use core_affinity::CoreId;

use crate::Failure;

/// What a thread's work may end with.
pub(crate) type Stopped = Box<dyn std::error::Error + Send + Sync>;

/// Does `work` on a thread that is bound to the first core that this process may use, if the system
/// lets it, and waits for its end.
///
/// # Errors
///
/// Those of `work`; and if it panicked.
pub(crate) fn on_first<T: Send>(
    work: impl FnOnce() -> Result<T, Stopped> + Send,
) -> Result<T, Failure> {
    on(|| core_affinity::get_core_ids()?.into_iter().min_by_key(|core| core.id), work)
}

/// As [`on_first`], on the last core.
pub(crate) fn on_last<T: Send>(
    work: impl FnOnce() -> Result<T, Stopped> + Send,
) -> Result<T, Failure> {
    on(|| core_affinity::get_core_ids()?.into_iter().max_by_key(|core| core.id), work)
}

fn on<T: Send>(
    core: impl FnOnce() -> Option<CoreId> + Send,
    work: impl FnOnce() -> Result<T, Stopped> + Send,
) -> Result<T, Failure> {
    let bound = || {
        // Where the system refuses, it runs where it is put.
        let _ = core().is_some_and(core_affinity::set_for_current);
        work()
    };
    match std::thread::scope(|scope| scope.spawn(bound).join()) {
        Ok(done) => done.map_err(|stopped| -> Failure { stopped }),
        Err(_) => Err("a thread panicked".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_with_what_it_ends_with() {
        assert_eq!(on_first(|| Ok(7)).expect("it ends well"), 7);
        let failed = on_last::<()>(|| Err("no".into())).expect_err("it fails");
        assert_eq!(failed.to_string(), "no");
        assert!(on_last::<()>(|| panic!("a test's own")).is_err());
    }
}
