//! A small agent, written against the engine's public API alone: its state is a tree for each id; signals
//! are routed to actions; an action is a list of instructions that run in sequence; a directive among
//! them enqueues a signal that is handled next.
//!
//! A signal takes effect whole or not at all: a later instruction sees what an earlier one made, and one
//! that fails stops the rest and leaves the state as it was before the signal. The state lies outside the
//! handler, so that it survives a handler's panic.

#![allow(dead_code, reason = "each program that includes the agent uses a part of it")]

pub(crate) mod brain;
pub(crate) mod instruction;
pub(crate) mod place;
pub(crate) mod router;
pub(crate) mod signal;
pub(crate) mod tree;
pub(crate) mod world;
