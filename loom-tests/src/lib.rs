//! Models of every cross-thread protocol of `ringbuf`.
//!
//! Each model is a small program that [loom](https://docs.rs/loom) runs in every order that
//! matters, up to a number of preemptions. Everything here is empty unless built with
//! `--cfg tidegate_loom`, as `scripts/loom` and `scripts/loom-canaries` do. The README beside this
//! folder lists which model covers which protocol.

#![cfg(tidegate_loom)]

mod doorbell;
mod lanes;
mod ring;
mod room;
mod seqlock;
mod shared;
mod sites;
mod watch;

pub use sites::{Site, sites};

/// One model of one protocol.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Says what holds.
    pub name: &'static str,
    /// Explores it; panics if something does not hold.
    pub run: fn(),
}

/// All models.
pub fn models() -> Vec<Model> {
    [ring::MODELS, room::MODELS, doorbell::MODELS, lanes::MODELS, shared::MODELS, seqlock::MODELS]
        .concat()
}

/// Explores `model` with up to `preemptions` preemptions; the environment's
/// `TIDEGATE_MORE_PREEMPTIONS` adds to that.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let more = std::env::var("TIDEGATE_MORE_PREEMPTIONS").ok().and_then(|n| n.parse().ok());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions + more.unwrap_or(0));
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Names the functions of a module as its models.
macro_rules! models {
    ($($name:ident),* $(,)?) => {
        pub(crate) const MODELS: &[crate::Model] =
            &[$(crate::Model { name: stringify!($name), run: $name }),*];
    };
}
use models;
