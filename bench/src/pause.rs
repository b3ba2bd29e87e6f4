//! Waiting by hand, alike for everybody who has no way of their own.

/// A short spin, then the core is left to others.
#[derive(Debug, Default)]
pub(crate) struct Pause(u32);

impl Pause {
    /// There was something to do: the next wait spins again.
    #[inline]
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    /// Waits for a moment: some nanoseconds for the first 64 times in a row, then for as long as the
    /// other threads of this core want it.
    #[inline]
    pub(crate) fn wait(&mut self) {
        if self.0 < 64 {
            self.0 += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}
