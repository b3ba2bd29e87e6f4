//! Weakens every ordering and fence of `ringbuf`, one at a time, and looks which model notices.
//!
//! `canaries` runs them all; `canaries model NAME` explores one model, prints what it passed
//! through and exits with 1 if it does not hold; `canaries list` prints all sites.

#[cfg(tidegate_loom)]
#[path = "../flock.rs"]
mod flock;

#[cfg(tidegate_loom)]
fn main() -> std::process::ExitCode {
    flock::main()
}

#[cfg(not(tidegate_loom))]
fn main() {
    eprintln!("built without --cfg tidegate_loom: run scripts/loom-canaries");
    std::process::exit(2);
}
