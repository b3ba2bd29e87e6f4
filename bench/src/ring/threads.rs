//! A producer and a consumer, each on a core of its own.

use std::sync::Barrier;
use std::time::Instant;

use super::words::Sum;
use crate::Failure;
use crate::fault::{Fault, join};
use crate::pinning::{to_core_of_producers, to_last_core};
use crate::run::{Handled, Run};

/// What the consumer took.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) sum: Sum,
    /// How often something was taken, however much it was.
    pub(super) bursts: u64,
}

/// Starts both, and waits for both: from when the producer begins until the consumer has taken all.
pub(super) fn hand_over(
    produce: impl FnOnce() -> Result<(), Fault> + Send,
    consume: impl FnOnce() -> Result<Taken, Fault> + Send,
) -> Result<Run, Failure> {
    let all_ready = Barrier::new(2);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            to_last_core();
            all_ready.wait();
            consume().map(|taken| (taken, Instant::now()))
        });
        let producer = scope.spawn(|| {
            to_core_of_producers(1);
            all_ready.wait();
            let begun = Instant::now();
            produce().map(|()| begun)
        });
        let (taken, ended) = join(consumer)?;
        let begun = join(producer)?;
        let handled = Handled { digest: taken.sum.digest(), batches: taken.bursts };
        Ok(Run::of_throughput(ended - begun, handled))
    })
}
