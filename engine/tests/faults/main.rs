//! Faults that other batchers had, each kept out by a test. They are named to say what to look for,
//! not to judge: each is a good project that others, this one included, learn from.

mod failures;
mod limits;
mod parcels;
mod retries;
mod rows;
mod shutdown;
mod sizes;
mod sketch;
mod timers;
