//! Models of every cross-thread protocol of `ringbuf`.
//!
//! Each model is a small program that [loom](https://docs.rs/loom) runs in every order that
//! matters, up to a number of preemptions. Everything here is empty unless built with
//! `--cfg tidegate_loom`, as `scripts/loom` and `scripts/loom-canaries` do. The README beside this
//! folder lists which model covers which protocol.

#![cfg(tidegate_loom)]

mod closing;
mod doorbell;
mod flags;
mod lanes;
mod reply;
mod returns;
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
    let all = [
        ring::MODELS,
        closing::MODELS,
        room::MODELS,
        doorbell::MODELS,
        lanes::MODELS,
        shared::MODELS,
        seqlock::MODELS,
        reply::MODELS,
        flags::MODELS,
        returns::MODELS,
    ];
    let short = |model: Model| {
        let name = model.name.trim_start_matches(concat!(env!("CARGO_CRATE_NAME"), "::"));
        Model { name, ..model }
    };
    all.concat().into_iter().map(short).collect()
}

/// Explores `model` with up to `preemptions` preemptions; the environment's
/// `TIDEGATE_MORE_PREEMPTIONS` adds to that.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let more = std::env::var("TIDEGATE_MORE_PREEMPTIONS").map_or(0, |more| {
        more.parse().expect("TIDEGATE_MORE_PREEMPTIONS is a number of preemptions")
    });
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions + more);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// As [`explore`], for a model that needs no store-load order: the light barrier does nothing in
/// it, as in earnest, so that it hides no ordering.
fn explore_without_light(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    ringbuf::canary::without_light_fences(|| explore(preemptions, model));
}

/// Names the functions of a module as its models.
macro_rules! list {
    ($($name:ident),* $(,)?) => {
        pub(crate) const MODELS: &[crate::Model] =
            &[$(crate::Model { name: concat!(module_path!(), "::", stringify!($name)), run: $name }),*];
    };
}
use list;
