//! Single mode and batch mode are the same program: random streams of signals to the agent (actions that
//! fail, panic, want to be tried again, have others follow them; calls and pushes; pauses, flushes, steps;
//! a shutdown anywhere) go through batches of one and through another sizing on one to four shards, and
//! come to the same states, the same replies, the same effects in the same order, the same errors. Both
//! are held against a plain twin that handles signal by signal.
//!
//! A plain engine and one with windows go through streams of what those can do, before the same twin.
//!
//! Where an outcome depends on how much waits at a moment (limits of a key, attempts that a shutdown cuts
//! off, a bulk call that a signal crashes for all in it, follow-ups onto other keys), each signal is settled
//! exactly once, in its turn, and after its cause; where such signals commute, the states are equal too.
//!
//! A failure prints its seed, and the smallest part of its stream that fails too; `TIDEGATE_SEED=<seed>`
//! replays that stream alone, `TIDEGATE_STREAMS=<n>` runs more of them.

#[path = "../agent/mod.rs"]
mod agent;
mod compare;
#[path = "../simulation/dice.rs"]
mod dice;
mod drive;
mod shrink;
mod stream;
mod twin;

use std::panic::{AssertUnwindSafe, catch_unwind};

use stream::{Keeps, Stream};

/// Streams, unless `TIDEGATE_STREAMS` says otherwise; a half of them in each of two tests, which run at
/// the same time.
const STREAMS: u64 = 12_000;
/// One in so many goes through a plain engine as well, and as many through windows.
const OTHERS: u64 = 4;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What does not hold of a stream, a panic included.
fn broken(stream: &Stream) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| compare::check(stream))) {
        Ok(held) => held.err(),
        Err(_) => Some("a panic".to_owned()),
    }
}

fn check(seed: u64, keeps: Keeps) {
    let stream = Stream::of_seed(seed, keeps);
    let Some(what) = broken(&stream) else { return };
    let smallest = shrink::shrink(stream, |stream| broken(stream).is_some());
    let why = broken(&smallest).unwrap_or_default();
    let ops: String = smallest.ops.iter().map(|op| format!("  {op:?}\n")).collect();
    panic!(
        "{what}\nreplay with TIDEGATE_SEED={seed}; of its operations these fail too:\n{ops}\
         with {:?}\nsince {why}",
        smallest.settings
    );
}

fn check_all(seeds: impl Iterator<Item = u64>, keeps: Keeps) {
    if let Some(seed) = number("TIDEGATE_SEED") {
        check(seed, keeps);
        return;
    }
    seeds.for_each(|seed| check(seed, keeps));
}

fn streams() -> u64 {
    number("TIDEGATE_STREAMS").unwrap_or(STREAMS)
}

#[test]
fn every_sizing_comes_to_what_single_comes_to() {
    check_all((0..streams()).step_by(2), Keeps::Queues);
}

#[test]
fn every_sizing_comes_to_what_single_comes_to_on_the_other_half_of_the_streams() {
    check_all((1..streams()).step_by(2), Keeps::Queues);
}

#[test]
fn a_plain_engine_comes_to_what_single_comes_to() {
    check_all(0..streams() / OTHERS, Keeps::Batches);
}

#[test]
fn windows_come_to_what_single_comes_to() {
    check_all(0..streams() / OTHERS, Keeps::Windows);
}
