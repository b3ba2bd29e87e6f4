//! Producers and consumers on threads of their own.

use std::sync::Barrier;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use crate::Failure;
use crate::fault::{Fault, join};
use crate::pinning::{to_core_of_producers, to_core_of_shard};
use crate::run::{Handled, Run};
use crate::trivial::Done;

/// Starts all at once, and waits for all.
///
/// Each consumer is given as what it prepares on its own thread, before the time begins, and what it
/// then does. The time is from when the first producer begins until the last consumer is done.
pub(crate) fn race<P, C, D>(producers: Vec<P>, consumers: Vec<C>) -> Result<Run, Failure>
where
    P: FnOnce() -> Result<(), Fault> + Send,
    C: FnOnce() -> D + Send,
    D: FnOnce() -> Result<Done, Fault>,
{
    let shards = consumers.len();
    let all_ready = &Barrier::new(producers.len() + shards);
    std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..shards)
            .zip(consumers)
            .map(|(shard, prepare)| {
                scope.spawn(move || {
                    to_core_of_shard(shard, shards);
                    let consume = prepare();
                    all_ready.wait();
                    consume()
                })
            })
            .collect();
        let producers = start(scope, producers, shards, all_ready);
        // Consumers first: a producer that stopped because its consumer did knows less.
        let done = consumers.into_iter().map(join).collect::<Result<Vec<_>, _>>()?;
        let begun = producers.into_iter().map(join).collect::<Result<Vec<_>, _>>()?;
        Ok(timed(&begun, &done))
    })
}

/// Starts all producers at once, and waits for them; when each began.
pub(crate) fn push_all<P>(producers: Vec<P>, shards: usize) -> Result<Vec<Instant>, Failure>
where
    P: FnOnce() -> Result<(), Fault> + Send,
{
    let all_ready = &Barrier::new(producers.len());
    std::thread::scope(|scope| {
        start(scope, producers, shards, all_ready).into_iter().map(join).collect()
    })
}

/// A thread for each producer, which begins when all are ready, and says when.
fn start<'scope, P>(
    scope: &'scope Scope<'scope, '_>,
    producers: Vec<P>,
    shards: usize,
    all_ready: &'scope Barrier,
) -> Vec<ScopedJoinHandle<'scope, Result<Instant, Fault>>>
where
    P: FnOnce() -> Result<(), Fault> + Send + 'scope,
{
    let thread = |produce: P| {
        scope.spawn(move || {
            to_core_of_producers(shards);
            all_ready.wait();
            let begun = Instant::now();
            produce().map(|()| begun)
        })
    };
    producers.into_iter().map(thread).collect()
}

/// From the first that began to the last that was done.
pub(crate) fn timed(begun: &[Instant], done: &[Done]) -> Run {
    let began = begun.iter().min().expect("there is a producer");
    let ended = done.iter().map(|done| done.ended).max().expect("there is a consumer");
    let handled =
        done.iter().map(|done| done.trivial.handled()).fold(Handled::default(), Handled::and);
    Run::of_throughput(ended - *began, handled)
}
