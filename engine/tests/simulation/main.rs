//! Whole engines of random settings, stepped on one thread and a made-up clock through random
//! operations, and held against a plain oracle after each (G1, G2, G4, G6, G12).
//!
//! Each run has a seed, which a failure prints; `TIDEGATE_SEED=<seed>` replays that run alone, and
//! `TIDEGATE_STEPS=<n>` makes the simulation longer.

mod dice;
mod oracle;
mod run;

use run::Run;

/// Steps of all runs together, unless `TIDEGATE_STEPS` says otherwise.
const STEPS: u64 = 600_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// One run; a failure says how to see it again.
fn run(seed: u64) -> u64 {
    struct Telling(u64);
    impl Drop for Telling {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("replay with TIDEGATE_SEED={}", self.0);
            }
        }
    }
    let _telling = Telling(seed);
    Run::new(seed).go_to_the_end()
}

#[test]
fn an_engine_of_any_settings_keeps_its_promises_through_any_operations() {
    if let Some(seed) = number("TIDEGATE_SEED") {
        run(seed);
        return;
    }
    let most = number("TIDEGATE_STEPS").unwrap_or(STEPS);
    let mut steps = 0;
    let mut seed = 0;
    while steps < most {
        steps += run(seed);
        seed += 1;
    }
    eprintln!("{steps} steps in {seed} runs");
}
