//! Whole engines of random settings, stepped on one thread and a made-up clock through random
//! operations, and held against a plain oracle after each (G1, G2, G4, G6, G12).
//!
//! Each run has a seed, which a failure prints; `TIDEGATE_SEED=<seed>` replays that run alone, and
//! `TIDEGATE_STEPS=<n>` makes the simulation longer.

mod dice;
mod operations;
mod oracle;
mod run;
mod seeded;

use run::Run;

/// Steps of all runs together, unless `TIDEGATE_STEPS` says otherwise.
const STEPS: u64 = 600_000;
/// The same, of engines with operations.
const OPERATIONS_STEPS: u64 = 400_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// One run; a failure says how to see it again.
fn telling(seed: u64, run: fn(u64) -> u64) -> u64 {
    struct Telling(u64);
    impl Drop for Telling {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("replay with TIDEGATE_SEED={}", self.0);
            }
        }
    }
    let _telling = Telling(seed);
    run(seed)
}

/// Runs of so many steps together, or the one that the environment names.
fn simulate(steps: u64, run: fn(u64) -> u64) {
    if let Some(seed) = number("TIDEGATE_SEED") {
        telling(seed, run);
        return;
    }
    let most = number("TIDEGATE_STEPS").unwrap_or(steps);
    let mut steps = 0;
    let mut seed = 0;
    while steps < most {
        steps += telling(seed, run);
        seed += 1;
    }
    eprintln!("{steps} steps in {seed} runs");
}

#[test]
fn an_engine_of_any_settings_keeps_its_promises_through_any_operations() {
    simulate(STEPS, |seed| Run::new(seed).go_to_the_end());
}

#[test]
fn calls_retries_merges_holds_and_batches_taken_along_keep_their_promises_together() {
    simulate(OPERATIONS_STEPS, operations::run);
}
