//! A thread as Linux sees it: whether it sleeps, and what it used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A thread of this process, by its folder under `/proc`.
#[derive(Clone, Debug)]
pub(super) struct OsThread(PathBuf);

impl OsThread {
    /// The calling one.
    ///
    /// # Errors
    ///
    /// Where the system has no `/proc/thread-self`.
    pub(super) fn current() -> io::Result<Self> {
        Ok(Self(PathBuf::from("/proc").join(std::fs::read_link("/proc/thread-self")?)))
    }

    /// Waits until it sleeps in the kernel.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub(super) fn await_sleep(&self) -> io::Result<()> {
        // The state follows the name, which is in parentheses.
        let is_sleeping = |stat: &str| {
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
        };
        while !is_sleeping(&std::fs::read_to_string(self.0.join("stat"))?) {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Time that it ran on a core; exact while it sleeps.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub(super) fn ran(&self) -> io::Result<Duration> {
        let text = std::fs::read_to_string(self.0.join("schedstat"))?;
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        nanos
            .map(Duration::from_nanos)
            .ok_or_else(|| io::Error::other(format!("schedstat: {text}")))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    /// A thread that ran in this time is seen to have: the kernel counts at each of its ticks.
    const SEEN: Duration = Duration::from_millis(50);

    #[test]
    fn a_thread_that_waits_is_seen_asleep_and_its_work_is_counted() {
        let (here, threads) = channel();
        let (wake, waiting) = channel::<()>();
        let thread = std::thread::spawn(move || {
            here.send(OsThread::current().expect("Linux has it")).expect("the test listens");
            (0..100_000_u64).for_each(|n| {
                std::hint::black_box(n);
            });
            waiting.recv()
        });
        let other = threads.recv().expect("it says so first");
        other.await_sleep().expect("it lives");
        // On its way to sleep it may still run for a moment, however long that takes a busy machine.
        let rests = || {
            let (ran, begun) = (other.ran().expect("it lives"), Instant::now());
            while begun.elapsed() < SEEN {
                std::thread::yield_now();
            }
            ran > Duration::ZERO && other.ran().expect("it lives") == ran
        };
        assert!((0..100).any(|_| rests()), "asleep, it runs no further");
        drop(wake);
        assert!(thread.join().expect("it does not panic").is_err());
        // Whoever is joined may still be seen for as long as the system takes to clear up behind it.
        let has_ended = || {
            std::thread::yield_now();
            other.ran().is_err()
        };
        assert!((0..1_000_000).any(|_| has_ended()), "it has ended");
    }
}
