//! Ctrl-C: the first ends the run after the run in hand, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;

/// What a shell expects of a program that SIGINT ended.
pub(crate) const EXIT_CODE: u8 = 130;

/// Whether somebody wants the program to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// One that is raised by Ctrl-C, SIGTERM or SIGHUP.
    ///
    /// # Errors
    ///
    /// When there is a handler already.
    pub(crate) fn by_signal() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let raised = interrupt.clone();
        let mut signals = Signals::default();
        ctrlc::set_handler(move || match signals.count(Instant::now()) {
            Signal::First => {
                raised.raise();
                eprintln!("\nbench: ends after the run in hand; again to end at once");
            }
            Signal::Echo => {}
            Signal::Second => std::process::exit(EXIT_CODE.into()),
        })?;
        Ok(interrupt)
    }

    /// Returns whether it had been raised before.
    pub(crate) fn raise(&self) -> bool {
        // Relaxed: the flag is all there is to know.
        self.0.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_raised(&self) -> bool {
        // Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }
}

/// Whoever signals a process and then its whole group, as timeout(1) does, means it once.
const ECHO: Duration = Duration::from_millis(300);

/// The signals that came.
#[derive(Debug, Default)]
struct Signals {
    first: Option<Instant>,
}

/// Which of them one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    First,
    /// The first one again.
    Echo,
    Second,
}

impl Signals {
    /// One more.
    fn count(&mut self, now: Instant) -> Signal {
        match self.first {
            None => {
                self.first = Some(now);
                Signal::First
            }
            Some(first) if now.duration_since(first) < ECHO => Signal::Echo,
            Some(_) => Signal::Second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_ends_at_once_unless_it_is_an_echo_of_the_first() {
        let mut signals = Signals::default();
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let counted = [0, 1, 299, 300, 301].map(|ms| signals.count(after(ms)));
        let all = [Signal::First, Signal::Echo, Signal::Echo, Signal::Second, Signal::Second];
        assert_eq!(counted, all);
    }

    #[test]
    fn clones_share_the_flag() {
        let interrupt = Interrupt::default();
        let clone = interrupt.clone();
        assert!(!interrupt.is_raised());
        assert!(!clone.raise() && clone.raise());
        assert!(interrupt.is_raised());
    }
}
