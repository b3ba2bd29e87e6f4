//! Going on after a panic of foreign code.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs foreign code in which nobody here has a part. Should it panic, the panic's hook has said so, and that
/// is all.
pub(crate) fn contain(foreign: impl FnOnce()) {
    // Nothing of ours is in its hands.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(foreign)) {
        // What was thrown may throw again when it is dropped; where that ends nobody knows.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(again);
        }
    }
}

/// Runs steps that each must be run, whichever of them panics.
#[derive(Debug, Default)]
#[must_use = "the panic is to be handed on"]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

impl FirstPanic {
    /// Runs one step. Keeps its panic, if it is the first; a later one is dropped.
    pub(crate) fn run(&mut self, step: impl FnOnce()) {
        // What a step leaves behind halfway is seen by nobody but the steps that follow, and those
        // do not look at it; the panic goes on after the last of them.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(step)) {
            self.0.get_or_insert(panic);
        }
    }

    /// Lets the kept panic go on, unless this thread unwinds already.
    pub(crate) fn resume(self) {
        if let Some(panic) = self.0
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

#[cfg(all(test, not(tidegate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_run_and_the_first_panic_goes_on() {
        let mut ran = 0;
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut panics = FirstPanic::default();
            for n in 0..4 {
                panics.run(|| {
                    ran += 1;
                    assert!(n % 2 == 0, "step {n}");
                });
            }
            panics.resume();
        }));
        assert_eq!(ran, 4);
        assert_eq!(panicked.unwrap_err().downcast_ref::<String>().unwrap(), "step 1");
    }
}
